/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes new names: SYMLINK, MKNOD, MKDIR, LINK; and READLINK. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/create.h"
#include "fs/name.h"
#include "fs/op.h"

/* syscalls: readlinkat */
int op_readlink(struct fs *fs, struct request *rq)
{
	char *buf = rq->scratch.path;
	ssize_t n = readlinkat(rq->node.fd, "", buf, sizeof(rq->scratch.path));

	if (n < 0)
		/* To this call, a file that is no link does not exist. */
		return errno == ENOENT ? -EINVAL : -errno;
	if ((size_t)n == sizeof(rq->scratch.path))
		return -ENAMETOOLONG;
	return reply_put(rq, buf, (size_t)n) ? 0 : -ERANGE;
}

/* Makes something with the caller's rights and umask, and replies with it. */
static int make(struct fs *fs, struct request *rq, uint32_t umask,
		int (*call)(const struct request *rq))
{
	int r = name_check(rq->name[0]);
	struct cred_scope scope;
	mode_t mask;

	if (r == 0)
		r = request_enter_caller(fs, rq, &scope);
	if (r < 0)
		return r;
	mask = create_umask_enter(fs, umask);
	r = call(rq) < 0 ? -errno : 0;
	create_umask_leave(mask);
	cred_leave(&scope);
	return r < 0 ? r : create_reply(fs, rq, rq->name[0]);
}

/* syscalls: symlinkat */
static int call_symlink(const struct request *rq)
{
	return symlinkat(rq->name[1], rq->node.fd, rq->name[0]);
}

int op_symlink(struct fs *fs, struct request *rq)
{
	return make(fs, rq, 0, call_symlink);
}

/* The kernel's 32-bit encoding of a device number (new_decode_dev()). */
static dev_t decode_dev(uint32_t dev)
{
	return ((dev_t)(dev & 0xfff00U) >> 8) << 8 | (dev & 0xffU) |
	       ((dev_t)(dev >> 12) & 0xfff00U) << 12;
}

/* syscalls: mknodat */
static int call_mknod(const struct request *rq)
{
	return mknodat(rq->node.fd, rq->name[0], rq->arg.mknod.mode,
		       decode_dev(rq->arg.mknod.rdev));
}

int op_mknod(struct fs *fs, struct request *rq)
{
	return make(fs, rq, rq->arg.mknod.umask, call_mknod);
}

/* syscalls: mkdirat */
static int call_mkdir(const struct request *rq)
{
	return mkdirat(rq->node.fd, rq->name[0], rq->arg.mkdir.mode);
}

int op_mkdir(struct fs *fs, struct request *rq)
{
	return make(fs, rq, rq->arg.mkdir.umask, call_mkdir);
}

/* syscalls: linkat */
int op_link(struct fs *fs, struct request *rq)
{
	_cleanup_unpin_ struct node_pin old = { 0 };
	int r = name_check(rq->name[0]);

	if (r == 0)
		r = node_pin(&fs->nodes, rq->arg.link.oldnodeid, &old);
	if (r < 0)
		return r;
	/* By the descriptor's own link: one level, never the guest's symlink. */
	if (linkat(AT_FDCWD, fd_name(old.fd).s, rq->node.fd, rq->name[0],
		   AT_SYMLINK_FOLLOW) < 0)
		return -errno;
	return create_reply(fs, rq, rq->name[0]);
}
