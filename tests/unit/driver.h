/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The driver's side of a split virtqueue (VIRTIO 1.2, 2.7), as a guest has it.
 *
 * It writes whatever a test tells it to, so that it can be wrong in every way;
 * descriptors are the test's own to choose.
 */
#ifndef UNIT_DRIVER_H
#define UNIT_DRIVER_H

#include "gmem.h"
#include "virtio/queue.h"

struct driver {
	struct gmem *g;
	uint64_t at; /* guest address of the rings */
	uint16_t num;
	bool event_idx;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	uint16_t avail_idx, kicked; /* what was offered; and at the last kick */
	uint16_t used_idx; /* what was taken back */
	int kick_fd, call_fd, err_fd; /* the test's own, or -1 */
};

/* Bytes of guest memory that the rings take. */
size_t driver_size(uint16_t num);

/* Rings at guest address @at, empty, both indices at @base. */
void driver_init(struct driver *d, struct gmem *g, uint64_t at, uint32_t num,
		 bool event_idx, uint16_t base);
void driver_destroy(struct driver *d);

/* Tells a queue where the rings are and gives it duplicates of the eventfds. */
void driver_configure(const struct driver *d, struct queue *q, uint16_t base);

void driver_desc(struct driver *d, uint16_t i, uint64_t gpa, uint32_t len,
		 uint16_t flags, uint16_t next);

/* Offers a chain; driver_publish() lets the device see what was offered. */
void driver_offer(struct driver *d, uint16_t head);
void driver_publish(struct driver *d);
/* The same, with a kick if the device has asked for one. True if it has. */
bool driver_kick(struct driver *d);

/* Takes the next used entry, if there is one. */
bool driver_take(struct driver *d, struct vring_used_elem *ret);

/* Asks for an interrupt at the next used entry, or for none. True if there is
 * something in the ring already. */
bool driver_want_call(struct driver *d);
void driver_want_no_call(struct driver *d);

#endif
