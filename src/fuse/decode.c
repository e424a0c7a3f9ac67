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

/* The names, each with its NUL. *ret_end is what follows them. */
static int decode_names(struct request *rq, char *end, char **ret_end)
{
	char *at = rq->names;

	for (int i = 0; i < rq->op->names; i++) {
		char *nul = memchr(at, '\0', (size_t)(end - at));

		if (!nul)
			return -EINVAL;
		rq->name[i] = at;
		at = nul + 1;
	}
	*ret_end = at;
	return 0;
}

/* The name in front of a value: as much as a name can be is copied, and what
 * belongs to the value is passed over again when that is read. */
static int decode_name_of_value(struct request *rq)
{
	struct iobuf ahead = rq->in;
	size_t len = min_size(ahead.left, XATTR_NAME_MAX + 1);
	char *nul;

	iobuf_read(&ahead, rq->names, len);
	nul = memchr(rq->names, '\0', len);
	if (!nul)
		return len > XATTR_NAME_MAX ? -ERANGE : -EINVAL;
	rq->name[0] = rq->names;
	iobuf_skip(&rq->in, (size_t)(nul + 1 - rq->names));
	return 0;
}

/* SETXATTR has grown by two fields for guests that have agreed to ACLs. */
static size_t fixed_size(const struct request *rq)
{
	if (rq->h.opcode == FUSE_SETXATTR && !rq->long_setxattr)
		return FUSE_COMPAT_SETXATTR_IN_SIZE;
	return rq->op->in_size;
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

/* One label: more than one security module with a label of its own is not in
 * any kernel yet. */
static int decode_label(struct request *rq, const char *at, size_t size)
{
	struct fuse_secctx ctx;
	const char *nul;

	if (size < sizeof(ctx))
		return -EINVAL;
	memcpy(&ctx, at, sizeof(ctx));
	at += sizeof(ctx);
	size -= sizeof(ctx);
	nul = memchr(at, '\0', size);
	if (!nul || ctx.size > size - (size_t)(nul + 1 - at))
		return -EINVAL;
	rq->label_name = at;
	rq->label = nul + 1;
	rq->label_len = ctx.size;
	return 0;
}

static int decode_ext(struct request *rq, const char *at, size_t len)
{
	struct wire_fuse_ext_header eh;

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
		else if (eh.type == 1)
			r = decode_label(rq, at + sizeof(eh),
					 eh.size - sizeof(eh));
		else if (eh.type && eh.type <= WIRE_FUSE_SECCTX_MAX)
			r = -EINVAL;
		if (r < 0)
			return r;
		at += eh.size;
		len -= eh.size;
	}
	return 0;
}

/* Names and extensions, which come to their end together. */
static int decode_tail(struct request *rq)
{
	size_t len = rq->in.left, ext = 0;
	char *end, *names_end;
	int r;

	if (rq->op->flags & OP_EXT)
		ext = (size_t)rq->h.total_extlen * EXT_UNIT;
	if (ext > len)
		return -EINVAL;
	if (len - ext > REQUEST_NAMES_MAX)
		return -ENAMETOOLONG;
	if (ext > REQUEST_EXT_MAX)
		return -EINVAL;
	iobuf_read(&rq->in, rq->names, len);
	end = rq->names + len;
	r = decode_names(rq, end - ext, &names_end);
	if (r < 0)
		return r;
	if (!ext && rq->unsized_label && rq->op->flags & OP_EXT)
		ext = (size_t)(end - names_end);
	return decode_ext(rq, end - ext, ext);
}

int fuse_decode(struct request *rq)
{
	int r = decode_header(rq);

	/* Known or not, the op says whether a reply is waited for. */
	rq->op = fuse_op(rq->h.opcode);
	if (r < 0)
		return r;
	if (!rq->op)
		return -ENOSYS;
	memset(&rq->arg, 0, rq->op->in_size);
	if (!iobuf_read(&rq->in, &rq->arg, fixed_size(rq)))
		return -EINVAL;
	if (rq->op->flags & OP_VALUE)
		return decode_name_of_value(rq);
	return rq->op->names ? decode_tail(rq) : 0;
}
