/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/request.h"

#include "fs/share.h"

int request_enter_caller(const struct fs *fs, const struct request *rq,
			 struct cred_scope *scope)
{
	uint32_t uid, gid, group;
	int r = idmap_to_host(&fs->uids, rq->h.uid, &uid);

	if (r == 0)
		r = idmap_to_host(&fs->gids, rq->h.gid, &gid);
	if (r == 0 && rq->have_group)
		r = idmap_to_host(&fs->gids, rq->group, &group);
	if (r < 0)
		return r;
	return cred_enter_caller(scope, &fs->cred, uid, gid,
				 rq->have_group ? &group : NULL);
}

void request_bind(struct request *rq, const struct iovec *readable,
		  size_t n_readable, const struct iovec *writable,
		  size_t n_writable)
{
	iobuf_init(&rq->in, readable, n_readable);
	iobuf_init(&rq->head, writable, n_writable);
	rq->out = rq->head;
	if (!iobuf_skip(&rq->out, sizeof(struct fuse_out_header)))
		iobuf_limit(&rq->out, 0);
	rq->body = 0;
	rq->error = 0;
	rq->hooks = NULL;
	rq->record = NULL;
	rq->tally = NULL;
	rq->again = false;
	rq->op = NULL;
	rq->name[0] = NULL;
	rq->have_group = false;
	rq->label_name = NULL;
	rq->node.table = NULL;
	rq->file.table = NULL;
}
