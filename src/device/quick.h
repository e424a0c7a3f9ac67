/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which operations are quick, just now, on a file system that may take as long as
 * somebody else likes: a network's, or one in user space.
 *
 * To hand the lead over before each call costs a wake-up, and what the host has
 * cached takes less than that. So an operation keeps the lead, as on a disk, while
 * it takes less on average, and is tried again some seconds after it did not. If a
 * call stalls after all, the watchdog gives the lead to another member, and none
 * keeps it for a while.
 *
 * Any thread, without a lock: what two learn at once may be lost.
 */
#ifndef DEVICE_QUICK_H
#define DEVICE_QUICK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/stats.h"

struct quick {
	struct {
		_Atomic uint32_t average; /* of what it took with the lead; ns */
		_Atomic uint64_t not_before; /* when to try it again; ns */
	} op[STATS_OPS];
	_Atomic uint64_t not_before; /* of all */
};

/* Times are in ns, of the monotonic clock. */
bool quick_is(const struct quick *q, uint32_t opcode, uint64_t now);

/* A request with @opcode ends at @now and took @ns; whether it @kept the lead. */
void quick_learn(struct quick *q, uint32_t opcode, bool kept, uint64_t ns,
		 uint64_t now);

/* The lead was taken from a member. */
void quick_stalled(struct quick *q, uint64_t now);

#endif
