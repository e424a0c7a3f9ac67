/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/hints.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* syscalls: mmap */
int hints_init(struct hints *h)
{
	void *p = mmap(NULL, HINTS_MAX * sizeof(*h->place),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	h->place = p;
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
	return (struct hint){ (uint32_t)h % HINTS_MAX,
			      (uint32_t)(h >> 32) | 1U };
}

static uint64_t at(const struct hints *h, struct hint hint)
{
	return atomic_load_explicit(&h->place[hint.index],
				    memory_order_relaxed);
}

uint32_t hints_find(const struct hints *h, struct hint hint)
{
	uint64_t x = at(h, hint);

	return x >> 32 == hint.tag ? (uint32_t)x : 0;
}

void hints_note(struct hints *h, struct hint hint, uint32_t node)
{
	uint64_t x = (uint64_t)hint.tag << 32 | node;

	/* Mostly it is there: no other CPU loses the line. */
	if (at(h, hint) != x)
		atomic_store_explicit(&h->place[hint.index], x,
				      memory_order_relaxed);
}

void hints_drop(struct hints *h, struct hint hint)
{
	if (at(h, hint) >> 32 == hint.tag)
		atomic_store_explicit(&h->place[hint.index], 0,
				      memory_order_relaxed);
}
