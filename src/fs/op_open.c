/* SPDX-License-Identifier: BSD-3-Clause */
/* OPEN, RELEASE, FLUSH, FSYNC, SYNCFS. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/lock.h"
#include "fs/op.h"
#include "fs/open.h"
#include "fs/reopen.h"

int op_open(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	struct fuse_open_out out;
	int r;

	if (fs->no_open)
		return -ENOSYS; /* and never again */
	if (node_is_dir(&rq->node))
		return -EISDIR;
	r = open_node(fs, &rq->node, rq->arg.open.flags,
		      rq->arg.open.open_flags);
	if (r < 0)
		return r;
	fd = r;
	r = open_enter(fs, rq, rq->h.nodeid, &fd, &out);
	if (r < 0)
		return r;
	if (reply_put(rq, &out, sizeof(out)))
		return 0;
	open_undo(fs, out.fh);
	return -ERANGE;
}

int op_release(struct fs *fs, struct request *rq)
{
	/* First its number: no new lock comes by it then. */
	handle_retire(&rq->file);
	lock_release(fs, rq->h.nodeid, rq->arg.release.fh, rq->file.fd);
	handle_unpin(&rq->file);
	return 0;
}

/*
 * close(2) of one of the guest's descriptors: on the host too, a close is when
 * some file systems (NFS) write back and tell of errors. The handle stays.
 */
int op_flush(struct fs *fs, struct request *rq)
{
	int fd = -1;

	if (fs->no_open)
		return -ENOSYS;
	if (node_class(rq->node.node) & FSCLASS_REMOTE)
		fd = fd_dup(rq->file.fd);
	lock_flush(fs, rq->h.nodeid, rq->arg.flush.lock_owner,
		   rq->arg.flush.fh);
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
	r = unopened_pin(fs, rq->h.nodeid, in->fh, kind, false, &file);
	return r < 0 ? r : sync_fd(file.fd, in->fsync_flags);
}

/* Any directory of the file system will do. syscalls: syncfs */
int op_syncfs(struct fs *fs, struct request *rq)
{
	_cleanup_close_ int fd = -1;
	int r = reopen(&rq->node, O_RDONLY);

	if (r < 0)
		return r;
	fd = r;
	return syncfs(fd) < 0 ? -errno : 0;
}

int op_fsync(struct fs *fs, struct request *rq)
{
	return sync_handle(fs, rq, HANDLE_FILE);
}

int op_fsyncdir(struct fs *fs, struct request *rq)
{
	return sync_handle(fs, rq, HANDLE_DIR);
}
