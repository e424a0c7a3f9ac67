/* SPDX-License-Identifier: BSD-3-Clause */
/* The client's core, and the requests that are about the session. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "wait.h"

int guest_attach(struct guest *g, struct vmm *v, unsigned int queue, size_t data_max)
{
	unsigned int second = v->mem.n > 1 ? 1 : 0;

	*g = (struct guest){
		.vmm = v,
		.ring = &v->ring[queue],
		.layout = &layout_linux,
		.uid = getuid(),
		.gid = getgid(),
		.pid = 1,
		.supp_group = GUEST_NO_GROUP,
		.unique = (uint64_t)(queue + 1) << 32,
		.timeout_ms = wait_scaled(20000),
	};
	return call_init(&g->call, &v->mem, 0, second, data_max, 4096);
}

void guest_detach(struct guest *g)
{
	call_free(&g->call);
}

struct call *guest_begin(struct guest *g, uint32_t opcode, uint64_t nodeid)
{
	return guest_begin_on(g, &g->call, opcode, nodeid);
}

struct call *guest_begin_on(struct guest *g, struct call *c, uint32_t opcode, uint64_t nodeid)
{
	call_begin(c, opcode, nodeid);
	g->unique += 2;

	struct fuse_in_header *h = call_header(c);

	h->unique = g->unique;
	h->uid = g->uid;
	h->gid = g->gid;
	h->pid = g->pid;
	return c;
}

static int finish(struct call *c, uint32_t used_len)
{
	int r = call_finish(c, used_len);

	if (c->fault)
		fprintf(stderr, "# opcode %u: %s (used length %u)\n", call_header(c)->opcode,
			c->fault, used_len);
	return r;
}

int guest_wait_for(struct guest *g, struct call *c)
{
	struct ring_done done;

	for (;;) {
		int n = g->spin ? ring_spin(g->ring, &done, g->timeout_ms)
				: ring_wait(g->ring, &done, g->timeout_ms);

		if (n < 0)
			return n;
		if (done.cookie == c)
			return finish(c, done.len);
	}
}

int guest_send(struct guest *g, struct call *c)
{
	int r = call_submit(c, g->ring, g->layout);

	if (r >= 0)
		ring_kick(g->ring);
	return r;
}

int guest_call(struct guest *g)
{
	int r = guest_send(g, &g->call);

	return r < 0 ? r : guest_wait_for(g, &g->call);
}

int guest_init_raw(struct guest *g, const struct fuse_init_in *in, size_t in_len,
		   struct fuse_init_out *ret)
{
	struct call *c = guest_begin(g, FUSE_INIT, 0);

	call_bytes(c, in, in_len);
	call_room(c, sizeof(*ret));

	int r = guest_call(g);
	const struct fuse_init_out *out = call_body(c);

	if (r == 0) {
		g->agreed = out->flags;
		if (out->flags & FUSE_INIT_EXT)
			g->agreed |= (uint64_t)out->flags2 << 32;
		if (ret)
			*ret = *out;
	}
	return r;
}

int guest_init(struct guest *g, uint32_t minor, uint64_t flags, struct fuse_init_out *ret)
{
	if (minor < 36)
		flags &= UINT32_MAX & ~FUSE_INIT_EXT;

	struct fuse_init_in in = {
		.major = 7,
		.minor = minor,
		.max_readahead = 131072,
		.flags = flags,
		.flags2 = flags >> 32,
	};
	/* flags2 came with 7.36; before, the struct ended after flags */
	size_t len = minor >= 36 ? sizeof(in) : offsetof(struct fuse_init_in, flags2);

	return guest_init_raw(g, &in, len, ret);
}

int guest_destroy(struct guest *g)
{
	guest_begin(g, FUSE_DESTROY, 0);
	return guest_call(g);
}

int guest_interrupt(struct guest *g, uint64_t unique)
{
	struct call *c = guest_begin(g, FUSE_INTERRUPT, 0);
	struct fuse_interrupt_in *in = call_arg(c, sizeof(*in));

	in->unique = unique;
	call_no_reply(c);
	return guest_call(g);
}

int guest_statfs(struct guest *g, uint64_t node, struct fuse_statfs_out *ret)
{
	struct call *c = guest_begin(g, FUSE_STATFS, node);

	call_room(c, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(c), sizeof(*ret));
	return r;
}
