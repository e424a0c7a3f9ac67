/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE protocol: <linux/fuse.h> of the build machine, and what newer
 * kernels added, for build machines that do not know it yet.
 */
#ifndef WIRE_FUSE_H
#define WIRE_FUSE_H

#include <linux/fuse.h>

/* The newest version whose messages this program knows. */
#define WIRE_FUSE_MAJOR 7U
#define WIRE_FUSE_MINOR 45U
/* The oldest it speaks: the first with virtio-fs (Linux 5.4) is 7.31; 7.27
 * has every structure in today's size but for fuse_init_in. */
#define WIRE_FUSE_MINOR_MIN 27U

/* fuse_init_in before 7.36 ends after the first flags. */
#define WIRE_FUSE_INIT_IN_MIN 16U

/* 7.39 */
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
/* 7.40 */
#ifndef FUSE_NO_EXPORT_SUPPORT
#define FUSE_NO_EXPORT_SUPPORT (1ULL << 38)
#endif
#ifndef FUSE_ALLOW_IDMAP
#define FUSE_ALLOW_IDMAP (1ULL << 40)
#endif

/* 7.38; some distributions' headers name the version but not these. */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34)
#endif

/* Extensions of a request (7.38): a header each, then what its type says. */
#define WIRE_FUSE_EXT_GROUPS 32U
struct wire_fuse_ext_header {
	uint32_t size; /* with this header; a multiple of 8 */
	uint32_t type; /* up to 31: that many security contexts */
};
struct wire_fuse_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

#endif
