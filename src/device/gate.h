/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gate between one serving thread and the control thread.
 *
 * The thread passes in, serves requests and passes out; the control thread
 * closes the gate and then knows that the thread is outside and stays there.
 * Passing costs two stores to a cache line that nobody else writes; there is no
 * lock on the request path.
 *
 * Each side publishes its own word first and then looks at the other's, both
 * sequentially consistent: so either the thread sees the gate closed, or the
 * control thread sees it busy and waits.
 */
#ifndef DEVICE_GATE_H
#define DEVICE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"

struct gate {
	_Atomic uint32_t busy _cacheline_; /* the thread is inside */
	_Atomic uint32_t closed _cacheline_; /* the control thread's wish */
};

/* A gate is born closed. */
void gate_init(struct gate *g);

/* The thread: false if the gate is closed, and it must stay outside. */
bool gate_enter(struct gate *g);
void gate_leave(struct gate *g);

/* Inside: it is time to leave. */
static inline bool gate_wanted(const struct gate *g)
{
	return atomic_load_explicit((_Atomic uint32_t *)&g->closed,
				    memory_order_relaxed);
}

/* The control thread. Closing says only that nobody may enter from now on;
 * gate_wait() waits until nobody is inside, at most @ms: 0 or -ETIMEDOUT. */
void gate_close(struct gate *g);
int gate_wait(struct gate *g, unsigned int ms);
void gate_open(struct gate *g);
bool gate_is_closed(const struct gate *g);

/* futex(2) on a word of this process. Times out after @ms if that is not 0. */
void futex_wait(_Atomic uint32_t *word, uint32_t while_value, unsigned int ms);
void futex_wake(_Atomic uint32_t *word);

#endif
