/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes as the host has them, and as FUSE sends them. */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include <sys/stat.h>

#include "fs/request.h"
#include "fs/share.h"
#include "wire/fuse.h"

/* All that a node's key, its place and a reply need: for statx(2). */
#define ATTR_MASK (STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME)

/* That, in one call. 0 or -errno. */
int attr_get(int fd, struct statx *ret);

/* As the guest sees them: with its ids. */
void attr_fill(const struct fs *fs, const struct statx *stx,
	       struct fuse_attr *ret);

/* The replies to GETATTR and STATX. */
void attr_fill_out(const struct fs *fs, const struct statx *stx,
		   struct fuse_attr_out *ret);
void attr_fill_statx(const struct fs *fs, const struct statx *stx,
		     struct wire_fuse_statx_out *ret);

/* Writes the reply to STATFS, about the file system that @fd is on. */
int attr_reply_statfs(struct request *rq, int fd);

/* An entry for a node whose lookup count has been raised. */
void attr_fill_entry(const struct fs *fs, const struct statx *stx,
		     uint64_t nodeid, struct fuse_entry_out *ret);

#endif
