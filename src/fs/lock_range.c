/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lock_range.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/reserve.h"
#include "base/scope.h"

#define POOL_SIZE (LOCK_RANGES_MAX * sizeof(struct lock_range))

static struct lock_range *at(const struct lock_pool *p, uint32_t index)
{
	return &p->range[index - 1];
}

int lock_pool_init(struct lock_pool *p)
{
	void *mem = reserve(POOL_SIZE);

	if (!mem)
		return -ENOMEM;
	*p = (struct lock_pool){ .range = mem };
	return 0;
}

/* syscalls: munmap */
void lock_pool_destroy(struct lock_pool *p)
{
	if (p->range)
		munmap(p->range, POOL_SIZE);
	p->range = NULL;
}

/* syscalls: madvise */
void lock_pool_clear(struct lock_pool *p)
{
	madvise(p->range, POOL_SIZE, MADV_DONTNEED);
	p->free = 0;
	p->used = 0;
}

static uint32_t take(struct lock_pool *p)
{
	uint32_t i = p->free;

	if (i)
		p->free = at(p, i)->next;
	else if (p->used < LOCK_RANGES_MAX)
		i = ++p->used;
	return i;
}

static void give(struct lock_pool *p, uint32_t i)
{
	if (!i)
		return;
	at(p, i)->next = p->free;
	p->free = i;
}

int lock_spare(struct lock_pool *p, struct lock_spare *ret)
{
	for (unsigned int i = 0; i < LOCK_SPARES; i++)
		ret->index[i] = take(p);
	if (ret->index[LOCK_SPARES - 1])
		return 0;
	lock_unspare(p, ret);
	return -ENOLCK;
}

void lock_unspare(struct lock_pool *p, struct lock_spare *spare)
{
	for (unsigned int i = 0; i < LOCK_SPARES; i++) {
		give(p, spare->index[i]);
		spare->index[i] = 0;
	}
}

static uint32_t from_spare(struct lock_spare *spare)
{
	uint32_t *i = &spare->index[spare->index[0] ? 0 : 1], taken = *i;

	ASSERT(taken);
	*i = 0;
	return taken;
}

static bool overlap(const struct lock_span *a, const struct lock_span *b)
{
	return a->start <= b->end && b->start <= a->end;
}

bool lock_span_conflict(const struct lock_span *a, const struct lock_span *b)
{
	return overlap(a, b) && (a->type == F_WRLCK || b->type == F_WRLCK);
}

const struct lock_span *lock_list_conflict(const struct lock_pool *p,
					   uint32_t list,
					   const struct lock_span *want)
{
	for (uint32_t i = list; i; i = at(p, i)->next) {
		const struct lock_span *held = &at(p, i)->span;

		if (held->start > want->end)
			break;
		if (lock_span_conflict(held, want))
			return held;
	}
	return NULL;
}

/* Leaves of the range at *link what lies outside of @cut. Returns the link
 * behind what is left of it. */
static uint32_t *cut_one(struct lock_pool *p, uint32_t *link,
			 const struct lock_span *cut, struct lock_spare *spare)
{
	uint32_t i = *link, right;
	struct lock_range *r = at(p, i);

	if (r->span.start < cut->start && r->span.end > cut->end) {
		right = from_spare(spare);
		*at(p, right) = *r;
		at(p, right)->span.start = cut->end + 1;
		r->span.end = cut->start - 1;
		r->next = right;
		return &at(p, right)->next;
	}
	if (r->span.start < cut->start) {
		r->span.end = cut->start - 1;
		return &r->next;
	}
	if (r->span.end > cut->end) {
		r->span.start = cut->end + 1;
		return &r->next;
	}
	*link = r->next;
	give(p, i);
	return link;
}

/* Frees @span in the list. Returns whether that is a gain for others if it is
 * then held as span->type. */
static bool cut_out(struct lock_pool *p, uint32_t *link,
		    const struct lock_span *span, struct lock_spare *spare)
{
	bool gain = false;

	while (*link && at(p, *link)->span.start <= span->end) {
		struct lock_range *r = at(p, *link);

		if (!overlap(&r->span, span)) {
			link = &r->next;
			continue;
		}
		gain |= span->type == F_UNLCK ||
			(span->type == F_RDLCK && r->span.type == F_WRLCK);
		link = cut_one(p, link, span, spare);
	}
	return gain;
}

static void merge_next(struct lock_pool *p, uint32_t i)
{
	struct lock_range *r = at(p, i), *n;
	uint32_t next = r->next;

	if (!next)
		return;
	n = at(p, next);
	if (n->span.type != r->span.type || n->span.start != r->span.end + 1)
		return;
	r->span.end = n->span.end;
	r->next = n->next;
	give(p, next);
}

static void insert(struct lock_pool *p, uint32_t *link,
		   const struct lock_span *span, struct lock_spare *spare)
{
	uint32_t i = from_spare(spare), before = 0;

	while (*link && at(p, *link)->span.start < span->start) {
		before = *link;
		link = &at(p, *link)->next;
	}
	*at(p, i) = (struct lock_range){ .span = *span, .next = *link };
	*link = i;
	merge_next(p, i);
	if (before)
		merge_next(p, before);
}

bool lock_list_set(struct lock_pool *p, uint32_t *list,
		   const struct lock_span *span, struct lock_spare *spare)
{
	bool gain = cut_out(p, list, span, spare);

	if (span->type != F_UNLCK)
		insert(p, list, span, spare);
	return gain;
}

void lock_list_free(struct lock_pool *p, uint32_t *list)
{
	while (*list) {
		uint32_t i = *list;

		*list = at(p, i)->next;
		give(p, i);
	}
}
