/* SPDX-License-Identifier: BSD-3-Clause */
/* What takes names away or moves them: UNLINK, RMDIR, RENAME, RENAME2. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/node_place.h"
#include "fs/op.h"

/* syscalls: unlinkat */
static int remove_name(struct fs *fs, const struct request *rq, int flags)
{
	int r = name_check(rq->name[0]);
	struct node_removal removal;

	if (r < 0)
		return r;
	node_removal_enter(&fs->nodes, &rq->node, rq->name[0],
			   lookup_guess(fs, &rq->node, rq->name[0]), &removal);
	r = unlinkat(rq->node.fd, rq->name[0], flags) < 0 ? -errno : 0;
	node_removal_leave(&removal);
	/* An earlier worker has done it. */
	return r == -ENOENT && rq->again ? 0 : r;
}

int op_unlink(struct fs *fs, struct request *rq)
{
	return remove_name(fs, rq, 0);
}

int op_rmdir(struct fs *fs, struct request *rq)
{
	return remove_name(fs, rq, AT_REMOVEDIR);
}

/* The inode that a name is of, or 0. syscalls: statx */
static uint64_t inode_of(const struct node_pin *dir, const char *name)
{
	struct statx stx;

	return statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_STATX_DONT_SYNC,
		     STATX_INO, &stx) == 0 ? stx.stx_ino : 0;
}

/*
 * Whether an earlier worker has done what is asked for. An exchange leaves
 * something under the old name, and so does a whiteout: which file was to be
 * moved is noted beforehand. Else the old name is gone and the new one there.
 */
static bool is_moved(struct request *rq, const struct node_pin *to,
		     uint32_t flags)
{
	bool leaves = flags & (RENAME_EXCHANGE | RENAME_WHITEOUT);
	uint64_t from = 0, to_ino;

	if (leaves || rq->again)
		from = inode_of(&rq->node, rq->name[0]);
	if (leaves && !request_mark(rq)) {
		request_set_mark(rq, from);
		return false;
	}
	if (!rq->again)
		return false;
	to_ino = inode_of(to, rq->name[1]);
	return to_ino && (leaves ? to_ino == request_mark(rq) : !from);
}

/* syscalls: renameat renameat2 */
static int call_rename(int from_fd, const char *from, int to_fd, const char *to,
		       uint32_t flags)
{
	int r = flags == 0 ? renameat(from_fd, from, to_fd, to) :
			     renameat2(from_fd, from, to_fd, to, flags);

	if (r == 0)
		return 0;
	return errno == ENOSYS ? -EINVAL : -errno;
}

/* A whiteout is something new, and belongs to whoever leaves it. */
static int rename_as_caller(struct fs *fs, const struct request *rq, int to_fd,
			    uint32_t flags)
{
	struct cred_scope scope;
	int r = request_enter_caller(fs, rq, &scope);

	if (r < 0)
		return r;
	r = call_rename(rq->node.fd, rq->name[0], to_fd, rq->name[1], flags);
	cred_leave(&scope);
	return r;
}

static int rename_to(struct fs *fs, struct request *rq, uint64_t newdir,
		     uint32_t flags)
{
	_cleanup_unpin_ struct node_pin to = { 0 };
	struct node_removal removal;
	int r = name_check(rq->name[0]);

	if (r == 0)
		r = name_check(rq->name[1]);
	if (r == 0)
		r = node_pin(&fs->nodes, newdir, &to);
	if (r < 0)
		return r;
	if (is_moved(rq, &to, flags))
		return 0;
	node_leaves(&fs->nodes, &rq->node, rq->name[0],
		    lookup_guess(fs, &rq->node, rq->name[0]));
	/* Over a name: that one is taken away. */
	node_removal_enter(&fs->nodes, &to, rq->name[1],
			   lookup_guess(fs, &to, rq->name[1]), &removal);
	if (flags & RENAME_WHITEOUT)
		r = rename_as_caller(fs, rq, to.fd, flags);
	else
		r = call_rename(rq->node.fd, rq->name[0], to.fd, rq->name[1],
				flags);
	node_removal_leave(&removal);
	if (r == 0 && !(flags & (RENAME_EXCHANGE | RENAME_WHITEOUT)))
		lookup_moved(fs, &rq->node, rq->name[0], &to, rq->name[1]);
	return r;
}

int op_rename(struct fs *fs, struct request *rq)
{
	return rename_to(fs, rq, rq->arg.rename.newdir, 0);
}

int op_rename2(struct fs *fs, struct request *rq)
{
	return rename_to(fs, rq, rq->arg.rename2.newdir, rq->arg.rename2.flags);
}
