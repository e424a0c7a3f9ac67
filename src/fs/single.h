/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A share that is one regular file.
 *
 * Guests take the root of a mount for a directory, whatever the daemon says of
 * it. So they get one: a directory that has the file in it, under its own name,
 * and nothing else. It is nowhere on the host. All that stands behind it is the
 * file's descriptor, so there is no way from it to the file's neighbours; and
 * the file is what it was at the start, as with a bind mount: if the host puts
 * another one in its place, the guest goes on with this one.
 *
 * The node of that directory has a descriptor that nothing can be done with. An
 * op that comes by it in a way that is not thought of here gets an error.
 */
#ifndef FS_SINGLE_H
#define FS_SINGLE_H

#include "fs/request.h"
#include "fs/share.h"

/*
 * If *root_fd is a regular file's, makes fs->single and puts a descriptor for
 * the directory's node in its place. @path is the file's, and outlives @fs.
 */
int single_init(struct fs *fs, const char *path, int *root_fd);
void single_destroy(struct fs *fs);

static inline bool single_is_root(const struct fs *fs,
				  const struct node_pin *node)
{
	return fs->single && node->table && node_is_root(node);
}

/* Carries out a request about the directory that does not change it. */
int single_serve(struct fs *fs, struct request *rq);

/* What lookup_child() does there. */
int single_lookup(struct fs *fs, const struct node_pin *dir, const char *name,
		  struct tally *tally, struct fuse_entry_out *ret);

/* The entries from @cookie on, as getdents64(2) has them: a size or -errno. */
long single_entries(const struct fs *fs, uint64_t cookie, void *buf, size_t size);

#endif
