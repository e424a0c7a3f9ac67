/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests about locks, and the closes that end them. */
#include <string.h>

#include "guest.h"

static struct call *begin(struct guest *g, struct call *c, uint32_t opcode,
			  const struct guest_lock *l)
{
	guest_begin_on(g, c, opcode, l->node);

	struct fuse_lk_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_lk_in){
		.fh = l->fh,
		.owner = l->owner,
		.lk = { .start = l->start, .end = l->end, .type = l->type, .pid = g->pid },
		.lk_flags = l->flags,
	};
	return c;
}

int guest_getlk(struct guest *g, const struct guest_lock *l, struct fuse_file_lock *ret)
{
	struct call *c = begin(g, &g->call, FUSE_GETLK, l);

	call_room(c, sizeof(struct fuse_lk_out));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(c), sizeof(*ret));
	return r;
}

int guest_setlk(struct guest *g, const struct guest_lock *l)
{
	begin(g, &g->call, FUSE_SETLK, l);
	return guest_call(g);
}

int guest_setlkw(struct guest *g, const struct guest_lock *l)
{
	begin(g, &g->call, FUSE_SETLKW, l);
	return guest_call(g);
}

int guest_setlkw_send(struct guest *g, struct call *c, const struct guest_lock *l)
{
	return guest_send(g, begin(g, c, FUSE_SETLKW, l));
}

int guest_flush_owner(struct guest *g, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct call *c = guest_begin(g, FUSE_FLUSH, node);
	struct fuse_flush_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	in->lock_owner = owner;
	return guest_call(g);
}

int guest_release_flock(struct guest *g, uint64_t node, uint64_t fh, uint64_t owner)
{
	struct call *c = guest_begin(g, FUSE_RELEASE, node);
	struct fuse_release_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	in->lock_owner = owner;
	in->release_flags = FUSE_RELEASE_FLOCK_UNLOCK;
	return guest_call(g);
}
