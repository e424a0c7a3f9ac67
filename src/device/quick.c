/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/quick.h"

#include "base/checked.h"

/* To wake another member up takes about a half of this, each time. */
#define QUICK_NS 100000U

/* What a call counts for at most, in the average of the last 16 or so. */
#define TOOK_MAX_NS 400000U

/* A call that did not keep the lead and took so long did well. */
#define STALL_NS 5000000U

#define PAUSE_NS 2000000000ULL

static uint64_t load(const _Atomic uint64_t *p)
{
	return atomic_load_explicit((_Atomic uint64_t *)p,
				    memory_order_relaxed);
}

static void pause_for(_Atomic uint64_t *not_before, uint64_t now)
{
	atomic_store_explicit(not_before, now + PAUSE_NS, memory_order_relaxed);
}

bool quick_is(const struct quick *q, uint32_t opcode, uint64_t now)
{
	return load(&q->op[stats_place(opcode)].not_before) <= now &&
	       load(&q->not_before) <= now;
}

void quick_learn(struct quick *q, uint32_t opcode, bool kept, uint64_t ns,
		 uint64_t now)
{
	uint32_t took = (uint32_t)min_u64(ns, TOOK_MAX_NS);
	uint32_t i = stats_place(opcode);
	uint32_t average = atomic_load_explicit(&q->op[i].average,
						memory_order_relaxed);

	if (kept) {
		average = average - average / 16 + took / 16;
		if (average >= QUICK_NS)
			pause_for(&q->op[i].not_before, now);
		atomic_store_explicit(&q->op[i].average,
				      average < QUICK_NS ? average : 0,
				      memory_order_relaxed);
	} else if (ns >= STALL_NS) {
		pause_for(&q->op[i].not_before, now);
	}
}

void quick_stalled(struct quick *q, uint64_t now)
{
	pause_for(&q->not_before, now);
}
