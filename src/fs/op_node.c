/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes new names: SYMLINK, MKNOD, MKDIR, LINK; and READLINK. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"

static int reply_child(struct fs *fs, struct request *rq, const char *name)
{
	struct fuse_entry_out entry;
	int r = lookup_child(fs, &rq->node, name, &entry);

	return r < 0 ? r : lookup_reply(fs, rq, &entry);
}

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

/* syscalls: symlinkat */
int op_symlink(struct fs *fs, struct request *rq)
{
	const char *name = rq->name[0], *target = rq->name[1];
	int r = name_check(name);

	if (r < 0)
		return r;
	if (symlinkat(target, rq->node.fd, name) < 0)
		return -errno;
	return reply_child(fs, rq, name);
}

/* The kernel's 32-bit encoding of a device number (new_decode_dev()). */
static dev_t decode_dev(uint32_t dev)
{
	return ((dev_t)(dev & 0xfff00U) >> 8) << 8 | (dev & 0xffU) |
	       ((dev_t)(dev >> 12) & 0xfff00U) << 12;
}

/* The guest has taken its umask off the mode already. */
/* syscalls: mknodat */
int op_mknod(struct fs *fs, struct request *rq)
{
	const struct fuse_mknod_in *in = &rq->arg.mknod;
	int r = name_check(rq->name[0]);

	if (r < 0)
		return r;
	if (mknodat(rq->node.fd, rq->name[0], in->mode, decode_dev(in->rdev)) < 0)
		return -errno;
	return reply_child(fs, rq, rq->name[0]);
}

/* syscalls: mkdirat */
int op_mkdir(struct fs *fs, struct request *rq)
{
	int r = name_check(rq->name[0]);

	if (r < 0)
		return r;
	if (mkdirat(rq->node.fd, rq->name[0], rq->arg.mkdir.mode) < 0)
		return -errno;
	return reply_child(fs, rq, rq->name[0]);
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
	return reply_child(fs, rq, rq->name[0]);
}
