/* SPDX-License-Identifier: BSD-3-Clause */
/* OPEN, CREATE, RELEASE, FLUSH, FSYNC. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"
#include "fs/reopen.h"

#define CREATE_TRIES 8

/* Makes a handle of *fd (consumed) and fills the reply. */
static int enter_handle(struct fs *fs, int *fd, struct fuse_open_out *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->open_flags = fs->cache.open_flags;
	return handle_open(&fs->handles, HANDLE_FILE, fd, &ret->fh);
}

/* The reply has no room: nobody will ever release this handle. */
static void undo_handle(struct fs *fs, uint64_t fh)
{
	struct handle_pin h = { 0 };

	if (handle_pin(&fs->handles, fh, HANDLE_FILE, &h) == 0)
		handle_close(&h);
}

int op_open(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	struct fuse_open_out out;
	int r;

	if (node_is_dir(&rq->node))
		return -EISDIR;
	r = reopen(&rq->node, reopen_flags(rq->arg.open.flags));
	if (r < 0)
		return r;
	fd = r;
	r = enter_handle(fs, &fd, &out);
	if (r < 0)
		return r;
	if (reply_put(rq, &out, sizeof(out)))
		return 0;
	undo_handle(fs, out.fh);
	return -ERANGE;
}

/* A new file, never what a name leads to: *ret_fd is open on it. */
static int create_new(struct fs *fs, const struct request *rq,
		      struct fuse_entry_out *ret, int *ret_fd)
{
	const struct fuse_create_in *in = &rq->arg.create;
	_cleanup_close_ int fd = -1, path_fd = -1;
	struct cred_scope scope;
	int r;

	r = request_enter_caller(fs, rq, &scope);
	if (r < 0)
		return r;
	r = fd_open_for_guest(rq->node.fd, rq->name[0],
			      (reopen_flags(in->flags) & ~O_TRUNC) | O_CREAT |
				      O_EXCL | O_NOFOLLOW,
			      in->mode & 07777);
	cred_leave(&scope);
	if (r < 0)
		return r;
	fd = r;
	/* The node of this very file, whatever its name leads to by now. */
	r = fd_open_for_guest(AT_FDCWD, fd_name(fd).s, O_PATH, 0);
	if (r < 0)
		return r;
	path_fd = r;
	r = lookup_fd(fs, &path_fd, ret);
	if (r < 0)
		return r;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* The name was there: opened through its node, with the check of its type. */
static int open_existing(struct fs *fs, const struct request *rq,
			 struct fuse_entry_out *ret, int *ret_fd)
{
	_cleanup_unpin_ struct node_pin node = { 0 };
	int r;

	r = lookup_child(fs, &rq->node, rq->name[0], ret);
	if (r < 0)
		return r;
	r = node_pin(&fs->nodes, ret->nodeid, &node);
	if (r == 0)
		r = node_is_dir(&node) ?
			    -EISDIR :
			    reopen(&node, reopen_flags(rq->arg.create.flags));
	if (r < 0) {
		lookup_undo(fs, ret);
		return r;
	}
	*ret_fd = r;
	return 0;
}

int op_create(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	struct fuse_entry_out entry;
	struct fuse_open_out out;
	int r = name_check(rq->name[0]);

	if (r < 0)
		return r;
	if (reply_room(rq) < sizeof(entry) + sizeof(out))
		return -ERANGE;
	/* Somebody on the host may remove the name and make it again meanwhile,
	 * but not for ever. */
	for (int tries = 0; tries < CREATE_TRIES; tries++) {
		r = create_new(fs, rq, &entry, &fd);
		if (r != -EEXIST || rq->arg.create.flags & O_EXCL)
			break;
		r = open_existing(fs, rq, &entry, &fd);
		if (r != -ENOENT)
			break;
	}
	if (r < 0)
		return r;
	r = enter_handle(fs, &fd, &out);
	if (r < 0) {
		lookup_undo(fs, &entry);
		return r;
	}
	r = lookup_reply(fs, rq, &entry);
	ASSERT(r == 0 && reply_put(rq, &out, sizeof(out)));
	return 0;
}

int op_release(struct fs *fs, struct request *rq)
{
	handle_close(&rq->file);
	return 0;
}

/*
 * close(2) of one of the guest's descriptors: on the host too, a close is when
 * some file systems (NFS) write back and tell of errors. The handle stays.
 */
int op_flush(struct fs *fs, struct request *rq)
{
	int fd = fd_dup(rq->file.fd);

	/* No descriptor left is nothing that close(2) may fail with. */
	return fd < 0 ? 0 : fd_close(&fd);
}

/* syscalls: fsync fdatasync */
static int sync_fd(int fd, uint32_t flags)
{
	int r = flags & FUSE_FSYNC_FDATASYNC ? fdatasync(fd) : fsync(fd);

	return r < 0 ? -errno : 0;
}

static int sync_node(const struct node_pin *node, uint32_t flags)
{
	_cleanup_close_ int fd = -1;
	int r = node_is_dir(node) ? -EISDIR : reopen(node, O_RDWR);

	/* A file that cannot be written can still be waiting for the disk. */
	if (r == -EISDIR || r == -EACCES || r == -EROFS || r == -EPERM ||
	    r == -ETXTBSY)
		r = reopen(node, O_RDONLY);
	if (r < 0)
		return r;
	fd = r;
	return sync_fd(fd, flags);
}

static int sync_handle(struct fs *fs, const struct request *rq,
		       enum handle_kind kind)
{
	_cleanup_handle_ struct handle_pin file = { 0 };
	const struct fuse_fsync_in *in = &rq->arg.fsync;
	int r;

	if (in->fh == UINT64_MAX) /* no open file: by node */
		return sync_node(&rq->node, in->fsync_flags);
	r = handle_pin(&fs->handles, in->fh, kind, &file);
	return r < 0 ? r : sync_fd(file.fd, in->fsync_flags);
}

int op_fsync(struct fs *fs, struct request *rq)
{
	return sync_handle(fs, rq, HANDLE_FILE);
}

int op_fsyncdir(struct fs *fs, struct request *rq)
{
	return sync_handle(fs, rq, HANDLE_DIR);
}
