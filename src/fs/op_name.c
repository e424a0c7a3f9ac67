/* SPDX-License-Identifier: BSD-3-Clause */
/* What takes names away or moves them: UNLINK, RMDIR, RENAME, RENAME2. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "fs/name.h"
#include "fs/op.h"

/* syscalls: unlinkat */
static int remove_name(struct fs *fs, const struct request *rq, int flags)
{
	int r = name_check(rq->name[0]);
	struct node_removal removal;

	if (r < 0)
		return r;
	node_removal_enter(&fs->nodes, &rq->node, rq->name[0], &removal);
	r = unlinkat(rq->node.fd, rq->name[0], flags) < 0 ? -errno : 0;
	node_removal_leave(&removal);
	return r;
}

int op_unlink(struct fs *fs, struct request *rq)
{
	return remove_name(fs, rq, 0);
}

int op_rmdir(struct fs *fs, struct request *rq)
{
	return remove_name(fs, rq, AT_REMOVEDIR);
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
	/* Over a name: that one is taken away. */
	node_removal_enter(&fs->nodes, &to, rq->name[1], &removal);
	r = call_rename(rq->node.fd, rq->name[0], to.fd, rq->name[1], flags);
	node_removal_leave(&removal);
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
