/* SPDX-License-Identifier: BSD-3-Clause */
/* One queue with all that it needs around it: memory map, dirty log, records. */
#ifndef UNIT_RIG_H
#define UNIT_RIG_H

#include "driver.h"

/* Where the rings lie; what comes after them is for buffers. */
#define RIG_RING 0x10000ULL
#define RIG_DATA 0x200000ULL
#define RIG_SIZE 0x400000ULL

struct rig {
	struct memmap map;
	struct region_record regions[MEMMAP_REGIONS_MAX];
	struct dirty dirty;
	struct gmem g;
	struct queue_record record;
	struct inflight *inflight;
	struct queue q;
	struct driver d;
	struct chain c;
};

/* One region of RIG_SIZE at guest address 0; a queue without rings. */
void rig_init(struct rig *rig);
void rig_destroy(struct rig *rig);

/* Rings of @num descriptors, both sides at index @base; the queue runs. */
void rig_start(struct rig *rig, uint32_t num, bool event_idx, uint16_t base);
/* The driver's side goes, and with it the eventfds of the queue. */
void rig_stop(struct rig *rig);

/* Pops one chain, which must be there. */
void rig_pop(struct rig *rig, uint16_t head);

/* A chain of one readable and one writable descriptor: @head and the one after
 * it, with 64 bytes each at a place of their own. Offered, not published. */
void rig_offer_pair(struct rig *rig, uint16_t head);

#endif
