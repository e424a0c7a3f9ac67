/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The record of one request at work, in the arena: what a new worker needs to
 * know of a request that an old one had begun.
 *
 * Follows the vhost-user specification's "Inflight I/O tracking": a record per
 * descriptor head, with an order. Each step is stored before what it announces
 * is done.
 */
#ifndef BASE_INFLIGHT_H
#define BASE_INFLIGHT_H

#include <stdatomic.h>
#include <stdint.h>

enum inflight_phase {
	INFLIGHT_NONE, /* not taken, or its result is on the used ring */
	INFLIGHT_TAKEN, /* popped; nothing was done: may be run again */
	INFLIGHT_ACTING, /* may have acted on the host */
	INFLIGHT_KNOWN, /* the reply is in guest memory: to be pushed */
};

struct inflight {
	_Atomic uint8_t phase;
	uint8_t deaths; /* workers that died while it was ACTING */
	uint16_t opcode;
	int32_t result; /* KNOWN: the used length. ACTING: of a parked request */
	uint64_t order; /* of being taken, within its queue */
	uint64_t unique; /* of the FUSE header */
	uint64_t looked_up; /* the node that it gave the guest a count of, or 0 */
};

static inline void inflight_acting(struct inflight *r, uint16_t opcode,
				   uint64_t unique)
{
	if (!r)
		return;
	r->opcode = opcode;
	r->unique = unique;
	r->looked_up = 0;
	atomic_store_explicit(&r->phase, INFLIGHT_ACTING, memory_order_release);
}

#endif
