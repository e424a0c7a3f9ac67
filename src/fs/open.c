/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/open.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "fs/priv.h"
#include "fs/reopen.h"

/*
 * A guest that caches writes reads what it needs of a page before it writes a
 * part of it: files opened to write have to be readable.
 */
int open_flags(const struct fs *fs, uint32_t guest_flags)
{
	int flags = reopen_flags(guest_flags);

	/* Others read and write by the same descriptor then, each with flags of
	 * its own that its kernel sees to. */
	if (fs->no_open)
		flags &= ~(O_SYNC | O_DSYNC);
	if ((fs->writeback || fs->no_open) && (flags & O_ACCMODE) == O_WRONLY)
		flags = (flags & ~O_ACCMODE) | O_RDWR;
	if (fs->allow_direct_io && !fs->no_open)
		flags |= (int)guest_flags & O_DIRECT;
	return flags;
}

static bool wants_to_write(uint32_t flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
}

/*
 * Files that are append-only on the host (chattr +a) can only be opened so. And
 * reading leaves no trace, where the host allows that (it does to the file's
 * owner), if the guest asks for it or the share is not to be changed.
 */
static int open_somehow(const struct fs *fs, const struct node_pin *node,
			uint32_t guest_flags)
{
	int flags = open_flags(fs, guest_flags);
	bool quiet = fs->readonly || guest_flags & O_NOATIME;
	int r = reopen(node, flags | (quiet ? O_NOATIME : 0));

	if (r == -EPERM && quiet)
		r = reopen(node, flags);
	if (r == -EPERM && guest_flags & O_APPEND && !fs->writeback)
		r = reopen(node, flags | O_APPEND);
	return r;
}

int open_node(const struct fs *fs, const struct node_pin *node,
	      uint32_t guest_flags, uint32_t open_fuse)
{
	struct cred_scope scope = { 0 };
	int r = 0;

	if (fs->readonly && wants_to_write(guest_flags))
		return -EROFS;
	if (guest_flags & O_TRUNC)
		r = priv_drop_capability(fs, node->fd);
	if (r == 0 && open_fuse & FUSE_OPEN_KILL_SUIDGID)
		r = cred_drop_fsetid(&scope, &fs->cred);
	if (r < 0)
		return r;
	r = open_somehow(fs, node, guest_flags);
	cred_leave(&scope);
	return r;
}

/*
 * Whether the guest has to say when one of its descriptors is closed: where a close on
 * the host may have news, or its locks are kept here.
 */
static bool needs_flush(const struct fs *fs, uint32_t guest_flags,
			unsigned int fs_class)
{
	return fs->use_posix_lock || (fs_class & FSCLASS_REMOTE &&
				      (guest_flags & O_ACCMODE) != O_RDONLY);
}

int open_enter(struct fs *fs, const struct request *rq, uint64_t nodeid,
	       int *fd, struct fuse_open_out *ret)
{
	int flags = open_flags(fs, rq->arg.open.flags);
	struct handle_origin from = {
		.tally = rq->tally,
		.fs_class = node_class(rq->node.node), /* or the parent's */
	};

	if (flags & O_DIRECT)
		from.io |= HANDLE_DIRECT;
	if (flags & (O_SYNC | O_DSYNC))
		from.io |= HANDLE_SYNC;
	memset(ret, 0, sizeof(*ret));
	ret->open_flags = fs->cache.open_flags;
	if (!needs_flush(fs, rq->arg.open.flags, from.fs_class))
		ret->open_flags |= FOPEN_NOFLUSH;
	if (fs->no_open)
		return unopened_put(fs, nodeid, fd, from.fs_class);
	return handle_open_for(&fs->handles, HANDLE_FILE, fd, &from, &ret->fh);
}

void open_undo(struct fs *fs, uint64_t fh)
{
	struct handle_pin h = { 0 };

	if (handle_pin(&fs->handles, fh, HANDLE_FILE, &h) == 0)
		handle_close(&h);
}
