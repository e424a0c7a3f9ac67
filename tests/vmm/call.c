/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "call.h"

#define HEAD_SPACE 65536	/* of each area, for headers and arguments in wide layouts */

static struct layout_area area_of(const struct mem_buf *b)
{
	return (struct layout_area){ .gpa = b->gpa, .size = b->len, .hi = b->len };
}

int call_init(struct call *c, struct mem *mem, unsigned int region, unsigned int region2,
	      size_t data_max, unsigned int max_pieces)
{
	size_t size = HEAD_SPACE + 2 * data_max;
	struct mem_buf a, b;
	int r = mem_alloc(mem, region, size, 4096, &a);

	memset(c, 0, sizeof(*c));
	if (r == 0)
		r = mem_alloc(mem, region2, size, 4096, &b);
	if (r == 0)
		r = mem_alloc(mem, region, max_pieces * sizeof(struct vring_desc), 4096,
			      &c->table);
	if (r < 0)
		return r;
	c->mem = mem;
	c->area[0] = area_of(&a);
	c->area[1] = area_of(&b);
	c->max_pieces = max_pieces;
	c->piece = calloc(max_pieces, sizeof(*c->piece));
	return c->piece ? 0 : -ENOMEM;
}

void call_free(struct call *c)
{
	free(c->piece);
	c->piece = NULL;
}

struct fuse_in_header *call_header(struct call *c)
{
	return (struct fuse_in_header *)c->in;
}

void call_begin(struct call *c, uint32_t opcode, uint64_t nodeid)
{
	*call_header(c) = (struct fuse_in_header){ .opcode = opcode, .nodeid = nodeid };
	c->in_len = sizeof(struct fuse_in_header);
	c->send = c->recv = NULL;
	c->send_len = c->recv_room = c->room = 0;
	c->no_reply = false;
}

void *call_arg(struct call *c, size_t len)
{
	void *at = c->in + c->in_len;

	if (len > sizeof(c->in) - c->in_len)
		return NULL;
	memset(at, 0, len);
	c->in_len += len;
	return at;
}

void call_bytes(struct call *c, const void *bytes, size_t len)
{
	void *at = call_arg(c, len);

	if (at)
		memcpy(at, bytes, len);
}

void call_name(struct call *c, const char *name)
{
	call_bytes(c, name, strlen(name) + 1);
}

void call_send(struct call *c, const void *data, size_t len)
{
	c->send = data;
	c->send_len = len;
}

void call_room(struct call *c, size_t body)
{
	c->room = body;
}

void call_recv(struct call *c, void *data, size_t len)
{
	c->recv = data;
	c->recv_room = len;
}

void call_no_reply(struct call *c)
{
	c->no_reply = true;
}

/*
 * Copy a stream that starts with `head` and goes on with `data` to or from its pieces. With a
 * NULL data only the head is moved. Stops after `limit` bytes.
 */
static int move(struct call *c, unsigned int first, unsigned int n, uint8_t *head,
		size_t head_len, uint8_t *data, size_t limit, bool to_guest)
{
	size_t at = 0;

	for (unsigned int i = first; i < first + n && at < limit; i++) {
		uint64_t gpa = c->piece[i].gpa;
		size_t len = c->piece[i].len < limit - at ? c->piece[i].len : limit - at;

		while (len) {
			bool in_head = at < head_len;
			size_t part = in_head && head_len - at < len ? head_len - at : len;
			uint8_t *p = in_head ? head + at : data ? data + (at - head_len) : NULL;
			int r = 0;

			if (!p)
				return 0;
			r = to_guest ? mem_write(c->mem, gpa, p, part)
				     : mem_read(c->mem, gpa, p, part);
			if (r < 0)
				return r;
			at += part;
			gpa += part;
			len -= part;
		}
	}
	return 0;
}

int call_plan(struct call *c, const struct layout *how)
{
	struct layout_plan p = { .how = how, .piece = c->piece, .max = c->max_pieces,
				 .area = c->free };
	size_t header = sizeof(struct fuse_in_header);
	int r;

	c->free[0] = c->area[0];
	c->free[1] = c->area[1];
	if (!call_header(c)->len)
		call_header(c)->len = c->in_len + c->send_len;
	r = layout_stream(&p, header, c->in_len - header, c->send_len);
	if (r < 0)
		return r;
	c->nr = p.n;
	if (!c->no_reply)
		r = layout_stream(&p, sizeof(struct fuse_out_header), c->room, c->recv_room);
	if (r < 0)
		return r;
	c->nw = p.n - c->nr;
	return move(c, 0, c->nr, c->in, c->in_len, (uint8_t *)c->send, SIZE_MAX, true);
}

int call_submit(struct call *c, struct ring *ring, const struct layout *how)
{
	int r = call_plan(c, how);

	if (r < 0)
		return r;
	return ring_add(ring, c->piece, c->nr, c->nw, how->direct ? NULL : &c->table, c);
}

static int broken(struct call *c, const char *fault)
{
	c->fault = fault;
	return -EBADMSG;
}

int call_finish(struct call *c, uint32_t used_len)
{
	size_t fixed = sizeof(struct fuse_out_header) + c->room;
	struct fuse_out_header h;

	c->body_len = c->recv_len = 0;
	c->fault = NULL;
	memset(c->out, 0, fixed);
	if (c->no_reply)
		return used_len ? broken(c, "used length of a request without reply") : 0;
	if (used_len < sizeof(h))
		return broken(c, "used length shorter than a header");
	if (used_len > fixed + c->recv_room)
		return broken(c, "used length beyond the room");
	if (move(c, c->nr, c->nw, c->out, fixed, c->recv, used_len, false) < 0)
		return broken(c, "reply not readable");
	memcpy(&h, c->out, sizeof(h));
	if (h.len != used_len)
		return broken(c, "out_header.len is not the used length");
	if (h.unique != call_header(c)->unique)
		return broken(c, "unique of another request");
	if (h.error > 0 || h.error <= -512)
		return broken(c, "error out of range");
	if (h.error && h.len != sizeof(h))
		return broken(c, "error reply with a body");
	c->body_len = (h.len < fixed ? h.len : fixed) - sizeof(h);
	c->recv_len = h.len > fixed ? h.len - fixed : 0;
	return h.error;
}

const void *call_body(const struct call *c)
{
	return c->out + sizeof(struct fuse_out_header);
}
