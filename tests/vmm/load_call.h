/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_LOAD_CALL_H
#define VMM_LOAD_CALL_H

#include <linux/fuse.h>

#include "mem.h"
#include "ring.h"

/*
 * A request that costs little: built in guest memory itself, cut as the Linux driver cuts it
 * (header; all arguments; each page of data on its own), its descriptors written anew only where
 * they differ from the last time. For tests, which want every other layout and every check of
 * the reply, there is struct call.
 */
struct load_call {
	struct fuse_in_header *in;
	struct fuse_out_header *out;
	uint8_t *args;			/* what goes in, then room for what comes out */
	struct mem_buf head, table, data;
	unsigned int pages;		/* of data, each LOAD_STRIDE from the next */
	size_t arg_len, room;
	unsigned int send_pages, recv_pages;
	bool no_reply;
	uint32_t last_shape[4];		/* what the descriptors in the table are for */
	uint16_t ndesc;
};

#define LOAD_PAGE	4096u
#define LOAD_STRIDE	8192u		/* pages are not adjacent, as a page cache's are not */

/* load_call_space() - guest memory that load_call_init() takes; data_max: a multiple of a page */
size_t load_call_space(size_t data_max);
int load_call_init(struct load_call *c, struct mem *mem, size_t data_max);

/* The ids of the caller are those that the header has: they stay from request to request. */
void load_begin(struct load_call *c, uint32_t opcode, uint64_t nodeid);
/* load_arg() - space for an argument struct, not zeroed */
void *load_arg(struct load_call *c, size_t len);
void load_name(struct load_call *c, const char *name);
void load_room(struct load_call *c, size_t body);
/* len bytes of data go out or may come in; all of the last page is offered for what comes in */
void load_send(struct load_call *c, size_t len);
void load_recv(struct load_call *c, size_t len);

/* load_submit() - add it to the ring; no kick. -ENOSPC. */
int load_submit(struct load_call *c, struct ring *ring, void *cookie);
/* load_result() - the reply's error, or the number of bytes behind its header; -EBADMSG */
int load_result(const struct load_call *c, uint32_t used_len);
const void *load_body(const struct load_call *c);
/* load_data() - a page of the data */
static inline uint8_t *load_data(const struct load_call *c, unsigned int page)
{
	return c->data.host + (size_t)page * LOAD_STRIDE;
}

#endif
