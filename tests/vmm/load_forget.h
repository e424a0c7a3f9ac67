/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_LOAD_FORGET_H
#define VMM_LOAD_FORGET_H

#include <pthread.h>

#include "load_call.h"
#include "vmm.h"

#define LOAD_FORGETS 256		/* in flight at most */

/*
 * FORGET on the hiprio queue, from any thread: one at a time as Linux sends them, with a kick
 * where the device asks for it. Nothing waits for their completion but load_forget_drain() and
 * who finds all LOAD_FORGETS in flight.
 */
struct load_forget {
	pthread_mutex_t lock;
	struct ring *ring;
	struct load_call call[LOAD_FORGETS];
	struct load_call *free[LOAD_FORGETS];
	unsigned int nfree;
	uint64_t sent;
	volatile bool gone;	/* as in struct load: nothing is sent or waited for any more */
};

size_t load_forget_space(void);
int load_forget_init(struct load_forget *f, struct vmm *v);
void load_forget(struct load_forget *f, uint64_t node, uint64_t nlookup);
/* load_forget_drain() - wait until all that were sent have come back */
void load_forget_drain(struct load_forget *f);

#endif
