/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/hints.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* syscalls: mmap */
int hints_init(struct hints *h)
{
	void *p = mmap(NULL, HINTS_MAX * sizeof(*h->tag),
		       PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return -errno;
	h->tag = p;
	return 0;
}

/* syscalls: munmap */
void hints_destroy(struct hints *h)
{
	if (h->tag)
		munmap(h->tag, HINTS_MAX * sizeof(*h->tag));
	h->tag = NULL;
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

bool hints_know(const struct hints *h, struct hint hint)
{
	return atomic_load_explicit(&h->tag[hint.index],
				    memory_order_relaxed) == hint.tag;
}

void hints_add(struct hints *h, struct hint hint)
{
	if (!hints_know(h, hint))
		atomic_store_explicit(&h->tag[hint.index], hint.tag,
				      memory_order_relaxed);
}

void hints_drop(struct hints *h, struct hint hint)
{
	if (hints_know(h, hint))
		atomic_store_explicit(&h->tag[hint.index], 0,
				      memory_order_relaxed);
}
