/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A descriptor chain: one request and the room for its reply.
 *
 * The guest may lay a request out as it likes (VIRTIO 1.2, 2.7.4): in one
 * descriptor or in one per byte, in the ring or in an indirect table, in one
 * memory region or across many. What comes out is one iovec array, adjacent
 * pieces merged: first what the device reads, then what it writes.
 */
#ifndef VIRTIO_CHAIN_H
#define VIRTIO_CHAIN_H

#include <stdint.h>
#include <sys/uio.h>

#include "base/inflight.h"
#include "virtio/memmap.h"
#include "wire/vring.h"

/* Descriptors of one chain, and pieces after cutting at region boundaries. */
#define CHAIN_DESC_MAX WIRE_VRING_SIZE_MAX
#define CHAIN_IOV_MAX (CHAIN_DESC_MAX + MEMMAP_REGIONS_MAX)

/* Bytes of a chain in each direction: several times what the largest request
 * of a guest with 64 KiB pages has, and far from what an int can count. */
#define CHAIN_BYTES_MAX (256U << 20)

struct chain {
	uint16_t head; /* what goes on the used ring */
	uint32_t start_no; /* of the ring, when it was popped */
	struct inflight *record;
	size_t n_read; /* iov[0 .. n_read) is the request */
	size_t n_write; /* and as many after it are room for the reply */
	struct iovec *iov; /* CHAIN_IOV_MAX of them, the owner's */
};

static inline struct iovec *chain_write_iov(const struct chain *c)
{
	return c->iov + c->n_read;
}

/*
 * Walks the chain that begins at @head of a ring's table of @num descriptors
 * and fills c->iov and its counts. Each descriptor is read once.
 * Returns NULL, or what is wrong with the chain in plain words.
 */
const char *chain_walk(struct chain *c, const struct memmap *map,
		       const struct vring_desc *table, uint16_t num,
		       uint16_t head);

#endif
