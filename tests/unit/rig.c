/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "unit.h"

void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	memmap_init(&rig->map, rig->regions);
	rig->dirty.map = &rig->map;
	gmem_init(&rig->g, &rig->map);
	gmem_add(&rig->g, 0, RIG_SIZE);
	rig->inflight = calloc(WIRE_VRING_SIZE_MAX, sizeof(*rig->inflight));
	rig->c.iov = calloc(CHAIN_IOV_MAX, sizeof(*rig->c.iov));
	must(rig->inflight && rig->c.iov);
	ck_ok(queue_init(&rig->q, 1, &rig->record, rig->inflight, &rig->map,
			 &rig->dirty));
}

void rig_destroy(struct rig *rig)
{
	queue_destroy(&rig->q);
	memmap_clear(&rig->map);
	dirty_clear(&rig->dirty);
	gmem_destroy(&rig->g);
	free(rig->inflight);
	free(rig->c.iov);
	must(fd_count() == 0);
}

void rig_start(struct rig *rig, uint32_t num, bool event_idx, uint16_t base)
{
	driver_init(&rig->d, &rig->g, RIG_RING, num, event_idx, base);
	driver_configure(&rig->d, &rig->q, base);
	ck_ok(queue_map(&rig->q, event_idx, true));
}

void rig_stop(struct rig *rig)
{
	int none = -1;

	queue_unmap(&rig->q);
	queue_set_fd(&rig->record.call_fd, &none);
	queue_set_fd(&rig->record.err_fd, &none);
	driver_destroy(&rig->d);
}

void rig_pop(struct rig *rig, uint16_t head)
{
	must(queue_pop(&rig->q, &rig->c) == 1);
	must(rig->c.head == head);
}

void rig_offer_pair(struct rig *rig, uint16_t head)
{
	uint64_t at = RIG_DATA + head * 128ULL % (RIG_SIZE - RIG_DATA);

	driver_desc(&rig->d, head, at, 64, VRING_DESC_F_NEXT, head + 1);
	driver_desc(&rig->d, head + 1, at + 64, 64, VRING_DESC_F_WRITE, 0);
	driver_offer(&rig->d, head);
}
