/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuse/decode.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "fuse/optable.h"

#define EXT_UNIT 8U /* total_extlen counts these */

static int decode_header(struct request *rq)
{
	memset(&rq->h, 0, sizeof(rq->h));
	if (!iobuf_read(&rq->in, &rq->h, sizeof(rq->h)))
		return -EINVAL;
	if (rq->h.len < sizeof(rq->h) ||
	    rq->h.len - sizeof(rq->h) > rq->in.left)
		return -EINVAL;
	iobuf_limit(&rq->in, rq->h.len - sizeof(rq->h));
	return 0;
}

/* The names, each with its NUL; what else lies between them and the
 * extensions is of no meaning. */
static int decode_names(struct request *rq, size_t len)
{
	char *at = rq->names, *end;

	if (len > sizeof(rq->names))
		return -ENAMETOOLONG;
	iobuf_read(&rq->in, at, len);
	end = at + len;
	for (int i = 0; i < rq->op->names; i++) {
		char *nul = memchr(at, '\0', (size_t)(end - at));

		if (!nul)
			return -EINVAL;
		rq->name[i] = at;
		at = nul + 1;
	}
	return 0;
}

/* One group: the one that the kernel sends, that of the parent directory. */
static int decode_groups(struct request *rq, const char *at, size_t size)
{
	struct wire_fuse_supp_groups list;
	uint32_t group;

	if (size < sizeof(list))
		return -EINVAL;
	memcpy(&list, at, sizeof(list));
	if (list.nr_groups == 0)
		return 0;
	if (list.nr_groups != 1 || size < sizeof(list) + sizeof(group))
		return -EINVAL;
	memcpy(&group, at + sizeof(list), sizeof(group));
	rq->group = group;
	rq->have_group = true;
	return 0;
}

static int decode_ext(struct request *rq, size_t len)
{
	const char *at = rq->scratch.ext;
	struct wire_fuse_ext_header eh;

	if (len > sizeof(rq->scratch.ext))
		return -EINVAL;
	iobuf_read(&rq->in, rq->scratch.ext, len);
	while (len) {
		int r = 0;

		if (len < sizeof(eh))
			return -EINVAL;
		memcpy(&eh, at, sizeof(eh));
		if (eh.size < sizeof(eh) || eh.size > len ||
		    eh.size % EXT_UNIT)
			return -EINVAL;
		if (eh.type == WIRE_FUSE_EXT_GROUPS)
			r = decode_groups(rq, at + sizeof(eh),
					  eh.size - sizeof(eh));
		if (r < 0)
			return r;
		at += eh.size;
		len -= eh.size;
	}
	return 0;
}

int fuse_decode(struct request *rq)
{
	size_t ext = 0;
	int r = decode_header(rq);

	/* Known or not, the op says whether a reply is waited for. */
	rq->op = fuse_op(rq->h.opcode);
	if (r < 0)
		return r;
	if (!rq->op)
		return -ENOSYS;
	if (!iobuf_read(&rq->in, &rq->arg, rq->op->in_size))
		return -EINVAL;
	if (rq->op->flags & OP_EXT)
		ext = (size_t)rq->h.total_extlen * EXT_UNIT;
	if (ext > rq->in.left)
		return -EINVAL;
	if (rq->op->names)
		r = decode_names(rq, rq->in.left - ext);
	if (r == 0 && ext)
		r = decode_ext(rq, ext);
	return r;
}
