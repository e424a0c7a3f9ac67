/* SPDX-License-Identifier: BSD-3-Clause */
/* GETLK, SETLK, SETLKW. */
#include <errno.h>
#include <fcntl.h>

#include "fs/lock.h"
#include "fs/op.h"

/* What the guest asks for, if it has agreed to ask at all. */
static int decode(const struct fs *fs, const struct request *rq,
		  struct lock_want *ret)
{
	const struct fuse_lk_in *in = &rq->arg.lk;
	bool flock = in->lk_flags & FUSE_LK_FLOCK;

	if (flock ? !fs->use_flock : !fs->use_posix_lock)
		return -ENOSYS;
	if (in->lk.type != F_RDLCK && in->lk.type != F_WRLCK &&
	    in->lk.type != F_UNLCK)
		return -EINVAL;
	*ret = (struct lock_want){
		.nodeid = rq->h.nodeid,
		.owner = flock ? in->fh : in->owner,
		.fh = in->fh,
		.kind = flock ? LOCK_FLOCK : LOCK_POSIX,
		.pid = in->lk.pid,
		.span = { in->lk.start, in->lk.end, in->lk.type },
	};
	if (flock) {
		ret->span.start = 0;
		ret->span.end = LOCK_TO_END;
	}
	return ret->span.start > ret->span.end || ret->span.end > LOCK_TO_END ?
		       -EINVAL :
		       0;
}

int op_getlk(struct fs *fs, struct request *rq)
{
	struct fuse_lk_out out = { .lk.type = F_UNLCK };
	struct lock_span held;
	struct lock_want want;
	uint32_t pid;
	int r = decode(fs, rq, &want);

	if (r < 0)
		return r;
	if (want.kind != LOCK_POSIX || want.span.type == F_UNLCK)
		return -EINVAL;
	r = lock_test(fs, &want, &held, &pid);
	if (r < 0)
		return r;
	if (r > 0)
		out.lk = (struct fuse_file_lock){ held.start, held.end,
						  held.type, pid };
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

static int set(struct fs *fs, struct request *rq, bool wait)
{
	struct lock_want want;
	int r = decode(fs, rq, &want);

	return r < 0 ? r : lock_set(fs, &want, wait ? &rq->token : NULL);
}

int op_setlk(struct fs *fs, struct request *rq)
{
	return set(fs, rq, false);
}

int op_setlkw(struct fs *fs, struct request *rq)
{
	return set(fs, rq, true);
}
