/* SPDX-License-Identifier: BSD-3-Clause */
/* LOOKUP and what takes its counts back. */
#include <errno.h>

#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"

int op_lookup(struct fs *fs, struct request *rq)
{
	struct fuse_entry_out entry;
	int r;

	r = name_check_lookup(rq->name[0]);
	if (r < 0)
		return r;
	r = lookup_child(fs, &rq->node, rq->name[0], LOOKUP_TO_KNOW,
			 rq->tally, &entry);
	if (r == -ENOENT && fs->use_negative &&
	    (fs->cache.negative.sec || fs->cache.negative.nsec))
		return lookup_reply_none(fs, rq);
	return r < 0 ? r : lookup_reply(fs, rq, &entry);
}

int op_forget(struct fs *fs, struct request *rq)
{
	/* An earlier worker may have died after this, and before its end. */
	if (tally_count(rq->tally) == 0)
		lookup_forget(fs, rq->h.nodeid, rq->arg.forget.nlookup,
			      rq->tally, 1);
	return 0;
}

int op_batch_forget(struct fs *fs, struct request *rq)
{
	uint32_t done = tally_count(rq->tally); /* by an earlier worker */
	struct fuse_forget_one one;

	/* The count is the guest's word; the body ends where it ends. */
	for (uint32_t i = 0; i < rq->arg.batch_forget.count; i++) {
		if (!iobuf_read(&rq->in, &one, sizeof(one)))
			return -EINVAL;
		if (i >= done)
			lookup_forget(fs, one.nodeid, one.nlookup, rq->tally,
				      i + 1);
	}
	return 0;
}

/* Nothing here waits in a way that could be cut short. */
int op_interrupt(struct fs *fs, struct request *rq)
{
	return 0;
}
