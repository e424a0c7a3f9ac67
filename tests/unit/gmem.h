/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: regions of memfds, seen by the code under test as a memmap, and
 * by the test, which plays the guest, through mappings of its own. */
#ifndef UNIT_GMEM_H
#define UNIT_GMEM_H

#include "virtio/dirty.h"
#include "virtio/memmap.h"

#define GMEM_REGIONS 8U
/* What a front-end calls a guest address: it lies this much higher. */
#define GMEM_UADDR 0x100000000000ULL

struct gmem {
	struct memmap *map;
	struct {
		uint64_t gpa, size;
		char *mine;
		int fd;
	} region[GMEM_REGIONS];
	unsigned int n;
};

void gmem_init(struct gmem *g, struct memmap *map);
void gmem_destroy(struct gmem *g);

/* A new region, added to the map. */
void gmem_add(struct gmem *g, uint64_t gpa, uint64_t size);

/* Takes all regions out of the map and adds them again: they are mapped
 * elsewhere afterwards, as when a memory table is sent anew. */
void gmem_move(struct gmem *g);

/* The test's own view; all of [gpa, gpa + len) is in one region. */
void *gmem_ptr(const struct gmem *g, uint64_t gpa, size_t len);

/* Copies to and from guest memory, across regions too. */
void gmem_write(struct gmem *g, uint64_t gpa, const void *data, size_t len);
void gmem_read(struct gmem *g, uint64_t gpa, void *data, size_t len);

#endif
