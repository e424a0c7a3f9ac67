/* SPDX-License-Identifier: BSD-3-Clause */
/* CREATE and TMPFILE: a new file and a handle of it, in one. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/create.h"
#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"
#include "fs/open.h"

#define CREATE_TRIES 8

/* What open(2) has in its flags for a file without a name, and the guest's
 * kernel has not when it wants one for itself. */
#define ASKED_BY_PROGRAM (O_TMPFILE & ~O_DIRECTORY)

/* The flags of a file that is to be made: there is nothing to truncate. */
static int new_flags(const struct fs *fs, const struct request *rq)
{
	return open_flags(fs, rq->arg.create.flags) & ~O_TRUNC;
}

/* Opens a new file with the caller's rights and umask: as @name, or with
 * O_TMPFILE in @extra without a name in @name. */
static int open_new(struct fs *fs, const struct request *rq, const char *name,
		    int extra)
{
	const struct fuse_create_in *in = &rq->arg.create;
	struct cred_scope scope;
	mode_t mask;
	int r;

	r = request_enter_caller(fs, rq, &scope);
	if (r < 0)
		return r;
	mask = create_umask_enter(fs, in->umask);
	r = fd_open_for_guest(rq->node.fd, name, new_flags(fs, rq) | extra,
			      in->mode & 07777);
	create_umask_leave(mask);
	cred_leave(&scope);
	return r;
}

/* The node of the very file that @fd is open on, whatever a name leads to by
 * now; labelled, if the request says how. */
static int enter_new(struct fs *fs, struct request *rq, int fd,
		     struct fuse_entry_out *ret)
{
	_cleanup_close_ int path_fd = -1;
	int r;

	r = fd_open_for_guest(AT_FDCWD, fd_name(fd).s, O_PATH, 0);
	if (r < 0)
		return r;
	path_fd = r;
	r = create_label(fs, rq, path_fd);
	return r < 0 ? r : lookup_fd(fs, &rq->node, &path_fd, rq->tally, ret);
}

/* What cannot be entered is as if it had not been made. */
static int create_new(struct fs *fs, struct request *rq,
		      struct fuse_entry_out *ret, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = open_new(fs, rq, rq->name[0], O_CREAT | O_EXCL | O_NOFOLLOW);
	if (r < 0)
		return r;
	fd = r;
	r = enter_new(fs, rq, fd, ret);
	if (r < 0) {
		(void)unlinkat(rq->node.fd, rq->name[0], 0);
		return r;
	}
	lookup_made(fs, &rq->node, rq->name[0], ret->nodeid);
	*ret_fd = fd_take(&fd);
	return 0;
}

/* An O_EXCL that meets what an earlier worker has made for it: nobody has
 * written to it yet. */
static bool is_half_made(const struct request *rq)
{
	struct statx stx;

	return create_was_made(rq, rq->name[0], S_IFREG, &stx) &&
	       stx.stx_size == 0;
}

/* The name was there: opened through its node, with the check of its type. */
static int open_existing(struct fs *fs, struct request *rq,
			 struct fuse_entry_out *ret, int *ret_fd)
{
	_cleanup_unpin_ struct node_pin node = { 0 };
	int r;

	r = lookup_child(fs, &rq->node, rq->name[0], LOOKUP_TO_USE, rq->tally,
			 ret);
	if (r < 0)
		return r;
	r = node_pin(&fs->nodes, ret->nodeid, &node);
	if (r == 0 && rq->again && is_half_made(rq))
		r = create_label(fs, rq, node.fd);
	if (r == 0)
		r = node_is_dir(&node) ?
			    -EISDIR :
			    open_node(fs, &node, rq->arg.create.flags,
				      rq->arg.create.open_flags);
	if (r < 0) {
		lookup_undo(fs, rq->tally, ret);
		return r;
	}
	*ret_fd = r;
	return 0;
}

/* There is room for it: that was seen to before anything was made. */
static int reply_created(struct fs *fs, struct request *rq,
			 const struct fuse_entry_out *entry, int *fd)
{
	struct fuse_open_out out;
	int r = open_enter(fs, rq, entry->nodeid, fd, &out);

	if (r < 0) {
		lookup_undo(fs, rq->tally, entry);
		return r;
	}
	r = lookup_reply(fs, rq, entry);
	ASSERT(r == 0 && reply_put(rq, &out, sizeof(out)));
	return 0;
}

static bool has_room(const struct request *rq)
{
	return reply_room(rq) >= sizeof(struct fuse_entry_out) +
					 sizeof(struct fuse_open_out);
}

int op_create(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	struct fuse_entry_out entry;
	int r = name_check(rq->name[0]);

	if (r < 0)
		return r;
	if (!has_room(rq))
		return -ERANGE;
	create_begin(rq);
	/* Somebody on the host may remove the name and make it again meanwhile,
	 * but not for ever. */
	for (int tries = 0; tries < CREATE_TRIES; tries++) {
		r = create_new(fs, rq, &entry, &fd);
		if (r != -EEXIST ||
		    (rq->arg.create.flags & O_EXCL && !is_half_made(rq)))
			break;
		r = open_existing(fs, rq, &entry, &fd);
		if (r != -ENOENT)
			break;
	}
	return r < 0 ? r : reply_created(fs, rq, &entry, &fd);
}

/*
 * The name in the request is of no meaning. LINK gives the file one later, by
 * its node, unless it was made with O_EXCL.
 *
 * An overlayfs on top of the share copies a file up into such a one if it can,
 * links it, and goes on with the entry that has no name. Its kernel then asks
 * for that entry again, by looking up "/" in the directory: nothing can answer
 * that, and the file is stale for as long as it is known. So the kernel gets
 * none, and the overlay takes its other way, a file in the work directory that
 * is renamed.
 */
int op_tmpfile(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	struct fuse_entry_out entry;
	int r;

	if (!node_is_dir(&rq->node))
		return -ENOTDIR;
	if (!(rq->arg.create.flags & ASKED_BY_PROGRAM))
		return -EOPNOTSUPP;
	if (!has_room(rq))
		return -ERANGE;
	r = open_new(fs, rq, ".",
		     O_TMPFILE | ((int)rq->arg.create.flags & O_EXCL));
	if (r < 0)
		return r;
	fd = r;
	r = enter_new(fs, rq, fd, &entry);
	return r < 0 ? r : reply_created(fs, rq, &entry, &fd);
}
