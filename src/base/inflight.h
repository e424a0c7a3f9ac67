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
	INFLIGHT_TAKEN, /* popped; nothing was done since: may be run */
	INFLIGHT_ACTING, /* may have acted on the host */
	INFLIGHT_PARKED, /* waits for something, and has done nothing yet */
	INFLIGHT_KNOWN, /* the reply is in guest memory: to be pushed */
	INFLIGHT_PHASES
};

struct inflight {
	/* Phase, and above it how many workers died while it was ACTING: one
	 * word, stored last. Use the functions below. */
	_Atomic uint16_t state;
	uint16_t opcode;
	int32_t result; /* KNOWN: the used length. PARKED: what it came to */
	uint64_t order; /* of being taken, within its queue */
	uint64_t unique; /* of the FUSE header */
	/* What the op noted of the host before it acted, for whoever has to find
	 * out whether it did; of a FORGET, how much of it is done. */
	uint64_t mark;
	uint16_t avail_at; /* the avail index that it was popped at */
	uint16_t used_at; /* KNOWN: the used index that it is pushed at */
};

#define INFLIGHT_DEATHS_SHIFT 8U
#define INFLIGHT_DEATHS_MAX 255U

static inline unsigned int inflight_phase(const struct inflight *r)
{
	return atomic_load_explicit((_Atomic uint16_t *)&r->state,
				    memory_order_acquire) &
	       ((1U << INFLIGHT_DEATHS_SHIFT) - 1);
}

static inline unsigned int inflight_deaths(const struct inflight *r)
{
	return (unsigned int)atomic_load_explicit((_Atomic uint16_t *)&r->state,
						  memory_order_acquire) >>
	       INFLIGHT_DEATHS_SHIFT;
}

/* All that was stored in the record before is there when the phase is. */
static inline void inflight_set(struct inflight *r, enum inflight_phase phase,
				unsigned int deaths)
{
	atomic_store_explicit(&r->state,
			      (uint16_t)(phase |
					 deaths << INFLIGHT_DEATHS_SHIFT),
			      memory_order_release);
}

/* The next phase of the same request. */
static inline void inflight_enter(struct inflight *r, enum inflight_phase phase)
{
	inflight_set(r, phase, inflight_deaths(r));
}

static inline void inflight_acting(struct inflight *r, uint16_t opcode,
				   uint64_t unique)
{
	if (!r)
		return;
	r->opcode = opcode;
	r->unique = unique;
	if (!inflight_deaths(r))
		r->mark = 0;
	inflight_enter(r, INFLIGHT_ACTING);
}

#endif
