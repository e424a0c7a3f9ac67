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

/* 7.38 */
#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif
/* 7.39 */
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
/* 7.40 */
#ifndef FUSE_ALLOW_IDMAP
#define FUSE_ALLOW_IDMAP (1ULL << 40)
#endif

/* 7.38; some distributions' headers name the version but not these. */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP (1ULL << 34)
#endif

/* Opcodes that the build machine's enum may lack. */
#define WIRE_FUSE_STATX 52 /* 7.39 */
#define WIRE_FUSE_COPY_FILE_RANGE_64 53 /* 7.45 */

/* STATX (7.39) */
struct wire_fuse_sx_time {
	int64_t tv_sec;
	uint32_t tv_nsec;
	int32_t reserved;
};
struct wire_fuse_statx {
	uint32_t mask;
	uint32_t blksize;
	uint64_t attributes;
	uint32_t nlink;
	uint32_t uid;
	uint32_t gid;
	uint16_t mode;
	uint16_t spare0[1];
	uint64_t ino;
	uint64_t size;
	uint64_t blocks;
	uint64_t attributes_mask;
	struct wire_fuse_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor;
	uint32_t dev_major, dev_minor;
	uint64_t spare2[14];
};
struct wire_fuse_statx_in {
	uint32_t getattr_flags;
	uint32_t reserved;
	uint64_t fh;
	uint32_t sx_flags;
	uint32_t sx_mask;
};
struct wire_fuse_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct wire_fuse_statx stat;
};

/* COPY_FILE_RANGE_64 (7.45): the request is the older one's. */
struct wire_fuse_copy_file_range_out {
	uint64_t bytes_copied;
};

/* Extensions of a request (7.38): a header each, then what its type says. */
#define WIRE_FUSE_SECCTX_MAX 31U
#define WIRE_FUSE_EXT_GROUPS 32U
/* Before this minor version labels came without total_extlen. */
#define WIRE_FUSE_MINOR_EXTLEN 38U
struct wire_fuse_ext_header {
	uint32_t size; /* with this header; a multiple of 8 */
	uint32_t type; /* up to 31: that many security contexts */
};
struct wire_fuse_supp_groups {
	uint32_t nr_groups;
	uint32_t groups[];
};

#endif
