/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/help.h"

#include <sched.h>

#include "base/checked.h"
#include "base/clock.h"

/* A window is at least so long, and has at least so many looks; one that took
 * longer than the last was no steady load. */
#define WINDOW_NS 10000000ULL
#define WINDOW_LOOKS 32U
#define WINDOW_MAX_NS 1000000000ULL

/* How long help that pays stays before one member is measured again. */
#define MEASURE_NS 1000000000ULL

/* How long a queue is behind before help is first tried, and how long it is left
 * alone after it has not paid: twice as long each time. */
#define PAUSE_MIN_NS 100000000ULL
#define PAUSE_MAX_NS 5000000000ULL

static bool pays(const struct help *h, uint64_t rate)
{
	return rate > h->alone + h->alone / 8;
}

/* syscalls: sched_getaffinity */
static bool has_cpu_for_two(void)
{
	cpu_set_t set;

	/* An error: more CPUs than the set has room for. */
	return sched_getaffinity(0, sizeof(set), &set) < 0 ||
	       CPU_COUNT(&set) > 1;
}

static void set_state(struct help *h, enum help_state state)
{
	h->state = state;
	atomic_store_explicit(&h->on, state != HELP_ALONE,
			      memory_order_relaxed);
}

static void give_up(struct help *h, uint64_t now)
{
	h->pause = min_u64(h->pause ? h->pause * 2 : PAUSE_MIN_NS,
			   PAUSE_MAX_NS);
	h->next = now + h->pause;
	set_state(h, HELP_ALONE);
}

static void end_window(struct help *h, uint64_t now, uint64_t rate, bool behind)
{
	switch (h->state) {
	case HELP_ALONE:
		h->alone = rate;
		if (behind && !h->next)
			h->next = now + PAUSE_MIN_NS;
		if (!behind || now < h->next)
			return;
		if (has_cpu_for_two())
			set_state(h, HELP_BEGINS);
		else
			give_up(h, now);
		return;
	case HELP_BEGINS:
		set_state(h, HELP_TRIED);
		return;
	case HELP_TRIED:
		if (!pays(h, rate)) {
			give_up(h, now);
			return;
		}
		h->pause = 0;
		h->next = now + MEASURE_NS;
		set_state(h, HELP_PAYS);
		return;
	case HELP_PAYS:
		/* Or there is less to do now. */
		if (now >= h->next || !pays(h, rate)) {
			h->next = now;
			set_state(h, HELP_ALONE);
		}
	}
}

void help_look(struct help *h, uint64_t now, bool behind)
{
	uint64_t ns = now - h->since;
	uint32_t looks = ++h->looks;

	h->behind += behind;
	if (ns < WINDOW_NS || looks < WINDOW_LOOKS)
		return;
	behind = h->behind > looks / 2;
	h->since = now;
	h->looks = h->behind = 0;
	end_window(h, now, looks * 1000000000ULL / ns,
		   behind && ns < WINDOW_MAX_NS);
}
