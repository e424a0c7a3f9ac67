/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_CALL_H
#define VMM_CALL_H

#include <linux/fuse.h>

#include "layout.h"
#include "mem.h"
#include "ring.h"

#define CALL_IN_MAX	16384	/* header, arguments, names */
#define CALL_OUT_MAX	4096	/* header and fixed body */

/*
 * One FUSE request and its room in guest memory, made once and used again and again: begin,
 * add arguments, submit, and when its completion came, finish. Nothing is allocated after
 * call_init(). Data (of WRITE, READ, READDIR, READLINK ...) is a part of its own: copied from
 * or to the caller's buffer, or with a NULL buffer left in guest memory as it is.
 */
struct call {
	struct mem *mem;
	struct layout_area area[2];		/* as made */
	struct layout_area free[2];		/* as the current request uses it */
	struct mem_buf table;			/* indirect descriptors */
	struct ring_piece *piece;
	unsigned int max_pieces, nr, nw;

	_Alignas(8) uint8_t in[CALL_IN_MAX];
	size_t in_len;
	const void *send;
	size_t send_len;

	_Alignas(8) uint8_t out[CALL_OUT_MAX];
	size_t room;				/* for the fixed body */
	void *recv;
	size_t recv_room;
	bool no_reply;

	/* after call_finish() */
	size_t body_len;			/* bytes of the body that are in out[] */
	size_t recv_len;			/* bytes of data */
	const char *fault;			/* how the reply broke the protocol, or NULL */
};

/* call_init() - with space for data_max bytes of data and max_pieces descriptors. region2 is
 * where the second area lies (for layouts that alternate); it may be the same region. */
int call_init(struct call *c, struct mem *mem, unsigned int region, unsigned int region2,
	      size_t data_max, unsigned int max_pieces);
void call_free(struct call *c);

/* call_begin() - start a request; the header's other fields (uid, unique...) are open to the
 * caller in call_header(). By default there is room for a header without body. */
void call_begin(struct call *c, uint32_t opcode, uint64_t nodeid);
struct fuse_in_header *call_header(struct call *c);

/* call_arg() - zeroed space for an argument struct; NULL when in[] is full */
void *call_arg(struct call *c, size_t len);
void call_bytes(struct call *c, const void *bytes, size_t len);
void call_name(struct call *c, const char *name);
void call_send(struct call *c, const void *data, size_t len);
void call_room(struct call *c, size_t body);
void call_recv(struct call *c, void *data, size_t len);
/* call_no_reply() - a request that is answered by nothing; it gets no writable descriptor */
void call_no_reply(struct call *c);

/* call_plan() - cut the request into pieces and copy it to guest memory; sets in_header.len
 * unless the caller did. -ENOSPC. */
int call_plan(struct call *c, const struct layout *how);
/* call_submit() - plan it and add it to the ring with the call as cookie; no kick */
int call_submit(struct call *c, struct ring *ring, const struct layout *how);

/*
 * call_finish() - read the reply of a request that came back with used_len bytes
 *
 * Returns 0 or the reply's error (-errno); -EBADMSG with c->fault set when the reply is not a
 * proper one: used length other than out_header.len, wrong unique, a positive error...
 */
int call_finish(struct call *c, uint32_t used_len);

/* call_body() - the fixed body of the reply, zeroes where the reply was shorter */
const void *call_body(const struct call *c);

#endif
