/* SPDX-License-Identifier: BSD-3-Clause */
/* What OPEN, CREATE and TMPFILE have in common. */
#ifndef FS_OPEN_H
#define FS_OPEN_H

#include "fs/request.h"
#include "fs/share.h"
#include "wire/fuse.h"

/* The host's open(2) flags for the guest's, as the share's modes have it. */
int open_flags(const struct fs *fs, uint32_t guest_flags);

/*
 * Opens a node as the guest asks for it, with @open_fuse FUSE_OPEN_*. Returns
 * a descriptor or -errno; -EROFS for what would change a read-only share.
 */
int open_node(const struct fs *fs, const struct node_pin *node,
	      uint32_t guest_flags, uint32_t open_fuse);

/* Makes a handle of *fd (consumed), which is open on a node, for a request and fills its
 * reply. 0 or -errno. */
int open_enter(struct fs *fs, const struct request *rq, uint64_t nodeid,
	       int *fd, struct fuse_open_out *ret);

/* Takes a handle back whose reply has no room: nobody will ever release it. */
void open_undo(struct fs *fs, uint64_t fh);

#endif
