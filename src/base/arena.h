/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The arena: one shared-memory region with all state that must outlive a
 * worker process.
 *
 * It is a sealed memfd, large and sparse: an untouched page costs nothing. It
 * is cut into sections, one per owner, whose layout only the owner knows. What
 * lies in it are indices, offsets, descriptor numbers and plain values: no
 * pointers, no locks, no lists, no reference that belongs to a thread. Those
 * are rebuilt from it by whoever attaches.
 *
 * A record is made valid by one commit word (state and generation), stored
 * last with release order. Generations come from one counter in the header and
 * are never used twice, not even after a section's memory was given back.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arena_section_id {
	ARENA_SESSION, /* features, INIT flags (device/state.h) */
	ARENA_REGIONS, /* guest memory regions */
	ARENA_QUEUES, /* addresses and indices of each queue */
	ARENA_INFLIGHT, /* a record per request at work */
	ARENA_TALLIES, /* what requests at work have given to the guest */
	ARENA_JOURNALS, /* lookup counts that are being changed */
	ARENA_NODES,
	ARENA_MOUNTS, /* those that nodes are opened on by handle */
	ARENA_HANDLES,
	ARENA_LOCKS, /* owners of the guest's locks */
	ARENA_SECTIONS
};

struct arena_header;

struct arena {
	struct arena_header *header;
	size_t size;
	int fd;
};

/*
 * Makes an arena with sections of the given sizes in bytes, zeroed. Keeper,
 * once. Returns 0 or -errno.
 */
int arena_create(const size_t sizes[ARENA_SECTIONS], struct arena *ret);

/*
 * Maps the arena behind @fd (not taken) after checking that its header has
 * this program's magic and layout, and the sections these sizes. -EPROTO if not.
 */
int arena_attach(int fd, const size_t sizes[ARENA_SECTIONS], struct arena *ret);

/* Unmaps; the memory stays as long as somebody has the descriptor. */
void arena_detach(struct arena *a);

void *arena_section(const struct arena *a, enum arena_section_id id);
size_t arena_section_size(const struct arena *a, enum arena_section_id id);

/* Gives the memory behind a section back; it reads as zeroes afterwards. */
void arena_section_clear(const struct arena *a, enum arena_section_id id);

/*
 * The next part of a section, from @at bytes on, that was ever written: true,
 * and where it begins and ends, within the section. A look at the rest would
 * make memory of it.
 */
bool arena_section_data(const struct arena *a, enum arena_section_id id,
			size_t at, size_t *ret_start, size_t *ret_end);

/* Whether this generation has been given out. */
bool arena_generation_is_old(const struct arena *a, uint64_t generation);

/* Reserves @n generations and returns the first. Never 0. Any thread. */
uint64_t arena_generations(const struct arena *a, uint64_t n);

#endif
