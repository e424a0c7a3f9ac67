/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/hints.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "base/reserve.h"

int hints_init(struct hints *h)
{
	void *p = reserve(HINTS_MAX * sizeof(*h->place));

	if (!p)
		return -ENOMEM;
	h->place = p;
	h->mask = HINTS_MIN - 1;
	h->noted = 0;
	return 0;
}

/* syscalls: munmap */
void hints_destroy(struct hints *h)
{
	if (h->place)
		munmap(h->place, HINTS_MAX * sizeof(*h->place));
	h->place = NULL;
}

/* Multiply and fold, eight bytes at a time. */
static uint64_t mix(uint64_t h, uint64_t x)
{
	h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

struct hint hint_of(uint64_t dir, const char *name)
{
	size_t len = strlen(name);
	uint64_t h = mix(len, dir), x;

	for (; len >= sizeof(x); len -= sizeof(x), name += sizeof(x)) {
		memcpy(&x, name, sizeof(x));
		h = mix(h, x);
	}
	x = 0;
	memcpy(&x, name, len);
	h = mix(mix(h, x), len);
	/* A tag is never 0, which is an empty place. */
	return (struct hint){ (uint32_t)(h >> 32) | 1U };
}

static uint64_t load(const _Atomic uint64_t *place)
{
	return atomic_load_explicit((_Atomic uint64_t *)place,
				    memory_order_relaxed);
}

static void store(_Atomic uint64_t *place, uint64_t x)
{
	atomic_store_explicit(place, x, memory_order_relaxed);
}

/* The lowest bit of a tag is always set. */
static uint32_t index_of(uint32_t tag, uint32_t mask)
{
	return tag >> 1 & mask;
}

static uint32_t mask_of(const struct hints *h)
{
	return atomic_load_explicit((_Atomic uint32_t *)&h->mask,
				    memory_order_relaxed);
}

/* A name may be at its own place or at that one's neighbour: with the tag @tag, or
 * NULL. */
static _Atomic uint64_t *look(const struct hints *h, struct hint hint,
			      uint32_t tag)
{
	uint32_t own = index_of(hint.tag, mask_of(h));

	for (uint32_t i = 0; i < 2; i++)
		if (load(&h->place[own ^ i]) >> 32 == tag)
			return &h->place[own ^ i];
	return NULL;
}

uint32_t hints_find(const struct hints *h, struct hint hint)
{
	const _Atomic uint64_t *place = look(h, hint, hint.tag);

	return place ? (uint32_t)load(place) : 0;
}

/* Moves half of the names to the half that is new. What another thread notes
 * meanwhile may be lost. */
static void grow(struct hints *h, uint32_t mask)
{
	uint32_t wide = mask * 2 + 1;

	if (!atomic_compare_exchange_strong(&h->mask, &mask, wide))
		return;
	atomic_store_explicit(&h->noted, 0, memory_order_relaxed);
	for (uint32_t i = 0; i <= mask; i++) {
		uint64_t x = load(&h->place[i]);
		uint32_t to = index_of((uint32_t)(x >> 32), wide);

		if (x == 0 || to / 2 == i / 2)
			continue;
		store(&h->place[to], x);
		store(&h->place[i], 0);
	}
}

/* One more name: the table is kept half empty. */
static void count(struct hints *h)
{
	uint32_t mask = mask_of(h);

	if (mask < HINTS_MAX - 1 &&
	    atomic_fetch_add_explicit(&h->noted, 1, memory_order_relaxed) >=
		    mask / 4)
		grow(h, mask);
}

void hints_note(struct hints *h, struct hint hint, uint32_t node)
{
	uint64_t x = (uint64_t)hint.tag << 32 | node;
	_Atomic uint64_t *place = look(h, hint, hint.tag);
	bool is_new = !place;

	/* Mostly it is there: no other CPU loses the line. */
	if (place && load(place) == x)
		return;
	if (!place)
		place = look(h, hint, 0);
	if (!place)
		place = &h->place[index_of(hint.tag, mask_of(h))];
	store(place, x);
	if (is_new)
		count(h);
}

void hints_drop(struct hints *h, struct hint hint)
{
	_Atomic uint64_t *place = look(h, hint, hint.tag);

	if (place)
		store(place, 0);
}
