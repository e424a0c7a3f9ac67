/* SPDX-License-Identifier: BSD-3-Clause */
#include <linux/virtio_ring.h>

#include "hostile.h"

#define CANARY		0x5c
#define CANARY_LEN	64

struct fuse_in_header *hostile_header(uint32_t opcode, uint64_t nodeid, size_t body)
{
	struct fuse_in_header *h = (struct fuse_in_header *)hx.in.host;

	*h = (struct fuse_in_header){
		.len = sizeof(*h) + body,
		.opcode = opcode,
		.nodeid = nodeid,
		.unique = fx.g.unique += 2,
		.uid = fx.g.uid,
		.gid = fx.g.gid,
		.pid = fx.g.pid,
	};
	return h;
}

void *hostile_body(void)
{
	return hx.in.host + sizeof(struct fuse_in_header);
}

static bool is_silent(uint32_t opcode)
{
	return opcode == FUSE_FORGET || opcode == FUSE_BATCH_FORGET || opcode == FUSE_INTERRUPT;
}

/* The request as it was when it was sent. */
struct sent {
	struct fuse_in_header h;
	size_t in_len, room;
};

static int check(const struct sent *s, uint32_t used)
{
	struct fuse_out_header h;
	const uint8_t *end = hx.out.host + s->room;

	for (size_t i = 0; i < CANARY_LEN; i++)
		ck_assert_msg(end[i] == CANARY, "byte %zu beyond the reply's room was written", i);
	if (used == 0) {
		ck_assert_msg(s->room < sizeof(h) || is_silent(s->h.opcode),
			      "no reply to opcode %u", s->h.opcode);
		return 0;
	}
	memcpy(&h, hx.out.host, sizeof(h));
	if (used < sizeof(h) || used > s->room || h.len != used)
		ck_abort_msg("opcode %u: used length %u, header's %u, room %zu", s->h.opcode, used,
			     h.len, s->room);
	if (h.error > 0 || h.error <= -512 || (h.error && h.len != sizeof(h)))
		ck_abort_msg("opcode %u: error %d in %u bytes", s->h.opcode, h.error, h.len);
	if (s->in_len >= sizeof(s->h) && h.unique != s->h.unique)
		ck_abort_msg("opcode %u: unique of another request", s->h.opcode);
	return h.error;
}

int hostile_send(size_t in_len, size_t room, uint32_t *ret_len)
{
	struct ring_piece piece[2] = { { hx.in.gpa, in_len }, { hx.out.gpa, room } };
	struct sent s = { .in_len = in_len, .room = room };
	struct ring_done done;
	unsigned int nr = in_len > 0, nw = room > 0;

	if (in_len >= sizeof(s.h))
		memcpy(&s.h, hx.in.host, sizeof(s.h));
	memset(hx.out.host, 0xa5, room);
	memset(hx.out.host + room, CANARY, CANARY_LEN);
	ok(ring_add(fx.g.ring, &piece[!nr], nr, nw, NULL, NULL));
	ring_kick(fx.g.ring);
	ck_assert_msg(ring_wait(fx.g.ring, &done, wait_scaled(10000)) == 1,
		      "opcode %u with %zu bytes and room for %zu does not come back", s.h.opcode,
		      in_len, room);
	if (ret_len)
		*ret_len = done.len;
	return check(&s, done.len);
}
