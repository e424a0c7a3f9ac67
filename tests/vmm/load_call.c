/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <string.h>

#include "load_call.h"

#define OUT_AT		64		/* both headers lie in one allocation of the driver */
#define ARGS_AT		128
#define HEAD_SPACE	4096

enum { SHAPE_ARGS, SHAPE_SEND, SHAPE_ROOM, SHAPE_RECV };

static size_t table_len(unsigned int pages)
{
	return (4 + pages) * sizeof(struct vring_desc);
}

size_t load_call_space(size_t data_max)
{
	unsigned int pages = data_max / LOAD_PAGE;

	return HEAD_SPACE + (table_len(pages) + 4095) / 4096 * 4096 + (size_t)pages * LOAD_STRIDE;
}

int load_call_init(struct load_call *c, struct mem *mem, size_t data_max)
{
	unsigned int pages = data_max / LOAD_PAGE;
	int r;

	*c = (struct load_call){ .pages = pages };
	r = mem_alloc(mem, 0, HEAD_SPACE, 4096, &c->head);
	if (r == 0)
		r = mem_alloc(mem, 0, table_len(pages), 4096, &c->table);
	if (r == 0)
		r = mem_alloc(mem, 0, (size_t)pages * LOAD_STRIDE, 4096, &c->data);
	if (r < 0)
		return r;
	c->in = (struct fuse_in_header *)c->head.host;
	c->out = (struct fuse_out_header *)(c->head.host + OUT_AT);
	c->args = c->head.host + ARGS_AT;
	memset(c->in, 0, sizeof(*c->in));
	memset(c->last_shape, 0xff, sizeof(c->last_shape));
	return 0;
}

void load_begin(struct load_call *c, uint32_t opcode, uint64_t nodeid)
{
	c->in->opcode = opcode;
	c->in->nodeid = nodeid;
	c->in->unique += 2;
	c->in->len = sizeof(*c->in);
	c->arg_len = c->room = 0;
	c->send_pages = c->recv_pages = 0;
	c->no_reply = false;
}

void *load_arg(struct load_call *c, size_t len)
{
	void *at = c->args + c->arg_len;

	c->arg_len += len;
	c->in->len += len;
	return at;
}

void load_name(struct load_call *c, const char *name)
{
	size_t len = strlen(name) + 1;

	memcpy(load_arg(c, len), name, len);
}

void load_room(struct load_call *c, size_t body)
{
	c->room = body;
}

void load_send(struct load_call *c, size_t len)
{
	c->send_pages = (len + LOAD_PAGE - 1) / LOAD_PAGE;
	c->in->len += len;
}

void load_recv(struct load_call *c, size_t len)
{
	c->recv_pages = (len + LOAD_PAGE - 1) / LOAD_PAGE;
}

static void add(struct load_call *c, uint64_t gpa, uint32_t len, uint16_t flags)
{
	struct vring_desc *d = (struct vring_desc *)c->table.host + c->ndesc++;

	*d = (struct vring_desc){ .addr = gpa, .len = len, .flags = flags | VRING_DESC_F_NEXT,
				  .next = c->ndesc };
}

/* last: bytes of the last page, which is whole for what is received */
static void add_pages(struct load_call *c, unsigned int n, uint32_t last, uint16_t flags)
{
	for (unsigned int i = 0; i < n; i++)
		add(c, c->data.gpa + (uint64_t)i * LOAD_STRIDE, i + 1 < n ? LOAD_PAGE : last,
		    flags);
}

static void describe(struct load_call *c, uint32_t send_len)
{
	uint64_t args = c->head.gpa + ARGS_AT;
	struct vring_desc *d = (struct vring_desc *)c->table.host;

	c->ndesc = 0;
	add(c, c->head.gpa, sizeof(*c->in), 0);
	if (c->arg_len)
		add(c, args, c->arg_len, 0);
	if (c->send_pages)
		add_pages(c, c->send_pages, send_len - (c->send_pages - 1) * LOAD_PAGE, 0);
	if (!c->no_reply) {
		add(c, c->head.gpa + OUT_AT, sizeof(*c->out), VRING_DESC_F_WRITE);
		if (c->room)
			add(c, args + c->arg_len, c->room, VRING_DESC_F_WRITE);
		add_pages(c, c->recv_pages, LOAD_PAGE, VRING_DESC_F_WRITE);
	}
	d[c->ndesc - 1].flags &= ~VRING_DESC_F_NEXT;
}

int load_submit(struct load_call *c, struct ring *ring, void *cookie)
{
	uint32_t send_len = c->in->len - sizeof(*c->in) - c->arg_len;
	uint32_t shape[4] = {
		[SHAPE_ARGS] = c->arg_len,
		[SHAPE_SEND] = send_len,
		[SHAPE_ROOM] = c->no_reply ? UINT32_MAX - 1 : c->room,
		[SHAPE_RECV] = c->recv_pages,
	};
	int head = ring_take(ring, 1, cookie);

	if (head < 0)
		return head;
	if (memcmp(shape, c->last_shape, sizeof(shape))) {
		describe(c, send_len);
		memcpy(c->last_shape, shape, sizeof(shape));
	}
	ring_desc(ring, head, c->table.gpa, c->ndesc * sizeof(struct vring_desc),
		  VRING_DESC_F_INDIRECT, 0);
	ring_publish(ring, head);
	return head;
}

int load_result(const struct load_call *c, uint32_t used_len)
{
	if (c->no_reply)
		return used_len ? -EBADMSG : 0;
	if (used_len < sizeof(*c->out) || c->out->unique != c->in->unique ||
	    c->out->error > 0 || c->out->len < sizeof(*c->out))
		return -EBADMSG;
	if (c->out->error)
		return c->out->error;
	return c->out->len - sizeof(*c->out);
}

const void *load_body(const struct load_call *c)
{
	return c->args + c->arg_len;
}
