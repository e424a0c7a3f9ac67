/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a queue that has fallen behind is served by two members.
 *
 * Two of them hand the lead to and fro, which costs each request some cache lines
 * and the host a CPU. So it is tried and measured: the rate of requests over a
 * window with one member, then over one with two. Help stays while it makes the
 * queue faster by an eighth, and is measured against one member again and again.
 * What does not pay is tried less and less often.
 *
 * The leader's, but for @on.
 */
#ifndef DEVICE_HELP_H
#define DEVICE_HELP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum help_state {
	HELP_ALONE, /* one member: what its rate is */
	HELP_BEGINS, /* the second one comes: not measured */
	HELP_TRIED, /* two, for a window */
	HELP_PAYS,
};

struct help {
	atomic_bool on; /* a second member is wanted, and may take the lead */
	enum help_state state;
	/* The window: since when (ns), requests that were looked at, and those at
	 * which the queue was behind. */
	uint64_t since;
	uint32_t looks, behind;
	uint64_t alone; /* looks a second of the last window with one member */
	uint64_t next; /* when to try, or to measure, again; ns */
	uint64_t pause; /* how long it is left after it did not pay; ns */
};

/*
 * One of the requests that are timed begins, at @now (ns); @behind: there is work
 * enough in the ring for two. The timed ones are a fixed part of all, so that they
 * count them. syscalls: sched_getaffinity
 */
void help_look(struct help *h, uint64_t now, bool behind);

static inline bool help_on(const struct help *h)
{
	return atomic_load_explicit((atomic_bool *)&h->on,
				    memory_order_relaxed);
}

#endif
