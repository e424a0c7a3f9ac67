/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A gate between the threads that serve a queue and the control thread.
 *
 * A thread passes in, serves requests and passes out; the control thread
 * closes the gate and then knows of each thread that it is outside and stays
 * there. Passing costs two stores to a cache line that nobody else writes; there
 * is no lock on the request path.
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
	_Atomic uint32_t closed _cacheline_; /* the control thread's wish */
};

/* One for each thread that passes. */
struct gate_pass {
	_Atomic uint32_t busy _cacheline_; /* the thread is inside */
};

/* A gate is born closed. */
void gate_init(struct gate *g);

/* The thread: false if the gate is closed, and it must stay outside. */
bool gate_enter(struct gate *g, struct gate_pass *p);
void gate_leave(struct gate *g, struct gate_pass *p);

/* Inside: it is time to leave. */
static inline bool gate_wanted(const struct gate *g)
{
	return atomic_load_explicit((_Atomic uint32_t *)&g->closed,
				    memory_order_relaxed);
}

/* The control thread. Closing says only that nobody may enter from now on;
 * gate_wait() waits until a thread is not inside, at most @ms: 0 or -ETIMEDOUT. */
void gate_close(struct gate *g);
int gate_wait(struct gate_pass *p, unsigned int ms);
void gate_open(struct gate *g);

/* futex(2) on a word of this process. Times out after @ms if that is not 0. */
void futex_wait(_Atomic uint32_t *word, uint32_t while_value, unsigned int ms);
void futex_wake(_Atomic uint32_t *word);

#endif
