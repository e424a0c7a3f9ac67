/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/slots.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/reserve.h"

/* Generations that a shard takes from the arena at once. */
#define GENERATION_BATCH 4096U

#define STATE_BITS 2U
#define STATE_MASK 3U
/* Beside the number of pins in a record's private word. */
#define SLOT_FROZEN 0x80000000U
#define SLOT_USED 0x40000000U
#define PINS_MASK 0x3fffffffU

#define GENERATION_MASK ((1ULL << (64 - SLOTS_INDEX_BITS)) - 1)

static enum slot_state state_of(uint64_t commit)
{
	return (enum slot_state)(commit & STATE_MASK);
}

static struct slot_private *private_of(const struct slots *s, const void *rec)
{
	return &s->private[slots_index(s, rec)];
}

static struct slots_shard *shard_of(struct slots *s, const void *rec)
{
	return &s->shard[slots_index(s, rec) % SLOTS_SHARDS];
}

int slots_init(struct slots *s, const struct arena *arena,
	       enum arena_section_id section, size_t stride,
	       struct slot_fds (*reclaim)(void *ctx, void *record), void *ctx)
{
	size_t n = arena_section_size(arena, section) / stride;
	void *p;

	memset(s, 0, sizeof(*s));
	s->base = arena_section(arena, section);
	s->stride = stride;
	s->max = (uint32_t)min_size(n, SLOTS_MAX);
	s->arena = arena;
	s->section = section;
	s->reclaim = reclaim;
	s->ctx = ctx;
	p = reserve(s->max * sizeof(*s->private));
	if (!p)
		return -ENOMEM;
	s->private = p;
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++) {
		pthread_mutex_init(&s->shard[i].lock, NULL);
		s->shard[i].free = SLOTS_NONE;
	}
	return 0;
}

/* syscalls: munmap */
void slots_destroy(struct slots *s)
{
	if (!s->private)
		return;
	munmap(s->private, s->max * sizeof(*s->private));
	s->private = NULL;
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		pthread_mutex_destroy(&s->shard[i].lock);
}

uint32_t slots_index(const struct slots *s, const void *record)
{
	return (uint32_t)((size_t)((const char *)record - s->base) / s->stride);
}

void *slots_at(const struct slots *s, uint32_t index)
{
	return s->base + index * s->stride;
}

uint64_t slots_id(const struct slots *s, const void *record)
{
	const struct slot_head *head = record;
	uint64_t commit = atomic_load_explicit(
		(_Atomic uint64_t *)&head->commit, memory_order_relaxed);

	return (commit >> STATE_BITS) << SLOTS_INDEX_BITS |
	       slots_index(s, record);
}

void *slots_alloc(struct slots *s, uint32_t shard)
{
	struct slots_shard *sh = &s->shard[shard];
	uint32_t index = sh->free;
	char *rec;

	if (index != SLOTS_NONE) {
		sh->free = s->private[index].next;
	} else {
		uint32_t used = atomic_load_explicit(&sh->used,
						     memory_order_relaxed);

		index = used * SLOTS_SHARDS + shard;
		if (index >= s->max)
			return NULL;
		atomic_store_explicit(&sh->used, used + 1,
				      memory_order_release);
	}
	sh->live++;
	rec = slots_at(s, index);
	memset(rec + sizeof(struct slot_head), 0,
	       s->stride - sizeof(struct slot_head));
	return rec;
}

static uint64_t next_generation(struct slots *s, struct slots_shard *sh)
{
	if (sh->generation == sh->generation_end) {
		sh->generation = arena_generations(s->arena, GENERATION_BATCH);
		sh->generation_end = sh->generation + GENERATION_BATCH;
	}
	return sh->generation++ & GENERATION_MASK;
}

uint64_t slots_commit(struct slots *s, void *record)
{
	struct slot_head *head = record;
	uint64_t generation;

	/* A number whose generation reads 0 could be taken for a small one. */
	do
		generation = next_generation(s, shard_of(s, record));
	while (generation == 0);
	atomic_fetch_add(&private_of(s, record)->pins, 1);
	/* All of the record before the word that makes it valid. */
	atomic_store_explicit(&head->commit,
			      generation << STATE_BITS | SLOT_LIVE,
			      memory_order_release);
	return slots_id(s, record);
}

static void put_on_free_list(struct slots *s, void *record)
{
	struct slots_shard *sh = shard_of(s, record);
	uint32_t index = slots_index(s, record);

	s->private[index].next = sh->free;
	sh->free = index;
	sh->live--;
}

void *slots_get(struct slots *s, uint64_t id)
{
	uint32_t index = (uint32_t)(id & (SLOTS_MAX - 1));
	uint64_t want = (id >> SLOTS_INDEX_BITS) << STATE_BITS | SLOT_LIVE;
	struct slots_shard *sh = &s->shard[index % SLOTS_SHARDS];
	_Atomic uint32_t *pins;
	struct slot_head *head;
	uint32_t old;

	if (index / SLOTS_SHARDS >=
	    atomic_load_explicit(&sh->used, memory_order_acquire))
		return NULL;
	head = slots_at(s, index);
	pins = &s->private[index].pins;
	/* Counted first, looked at second; pairs with slots_kill(). */
	old = atomic_fetch_add(pins, 1);
	if (!(old & SLOT_USED))
		atomic_fetch_or_explicit(pins, SLOT_USED, memory_order_relaxed);
	if (old & SLOT_FROZEN) {
		pthread_mutex_lock(&sh->lock);
		pthread_mutex_unlock(&sh->lock);
	}
	if (atomic_load(&head->commit) == want)
		return head;
	slots_put(s, head);
	return NULL;
}

void *slots_peek(const struct slots *s, uint32_t id_low)
{
	uint32_t index = id_low & (SLOTS_MAX - 1);
	struct slot_head *head = slots_at(s, index);
	uint64_t commit;

	if (index / SLOTS_SHARDS >=
	    atomic_load_explicit(&s->shard[index % SLOTS_SHARDS].used,
				 memory_order_acquire))
		return NULL;
	commit = atomic_load_explicit(&head->commit, memory_order_relaxed);
	if (state_of(commit) != SLOT_LIVE || (uint32_t)slots_id(s, head) != id_low)
		return NULL;
	return head;
}

void slots_pin(struct slots *s, void *record)
{
	atomic_fetch_add(&private_of(s, record)->pins, 1);
}

static uint32_t pins_of(const struct slots *s, const void *record)
{
	return atomic_load(&private_of(s, record)->pins) & PINS_MASK;
}

bool slots_is_idle(const struct slots *s, const void *record)
{
	const struct slot_head *head = record;

	return state_of(atomic_load((_Atomic uint64_t *)&head->commit)) ==
		       SLOT_LIVE &&
	       pins_of(s, record) == 0;
}

bool slots_was_used(struct slots *s, const void *record)
{
	_Atomic uint32_t *pins = &private_of(s, record)->pins;

	return atomic_load_explicit(pins, memory_order_relaxed) & SLOT_USED &&
	       atomic_fetch_and_explicit(pins, ~SLOT_USED,
					 memory_order_relaxed) & SLOT_USED;
}

bool slots_freeze(struct slots *s, void *record)
{
	_Atomic uint32_t *pins = &private_of(s, record)->pins;
	uint32_t old = atomic_load(pins) & SLOT_USED;

	/* One pin; a bit that comes in between means that there are more. */
	return atomic_compare_exchange_strong(pins, &(uint32_t){ old | 1U },
					      old | 1U | SLOT_FROZEN);
}

void slots_thaw(struct slots *s, void *record)
{
	atomic_fetch_and(&private_of(s, record)->pins, ~SLOT_FROZEN);
}

/*
 * Lock held, no pins: the record's memory goes. Its descriptors are returned, to
 * be closed without the lock: a last close can take as long as the host likes.
 */
static struct slot_fds reclaim(struct slots *s, struct slot_head *head)
{
	struct slot_fds fds;

	atomic_store_explicit(&head->commit, SLOT_FREE, memory_order_release);
	fds = s->reclaim(s->ctx, head);
	put_on_free_list(s, head);
	return fds;
}

static void close_fds(struct slot_fds *fds)
{
	(void)fd_close(&fds->fd[0]);
	(void)fd_close(&fds->fd[1]);
}

void slots_put(struct slots *s, void *record)
{
	struct slot_fds fds = { { -1, -1 } };
	struct slot_head *head = record;
	struct slots_shard *sh;

	if ((atomic_fetch_sub(&private_of(s, record)->pins, 1) & PINS_MASK) !=
		    1 ||
	    state_of(atomic_load(&head->commit)) != SLOT_DYING)
		return;
	sh = shard_of(s, record);
	pthread_mutex_lock(&sh->lock);
	/* Another thread may have been here since, and the slot reused. */
	if (state_of(atomic_load(&head->commit)) == SLOT_DYING &&
	    pins_of(s, record) == 0)
		fds = reclaim(s, head);
	pthread_mutex_unlock(&sh->lock);
	close_fds(&fds);
}

bool slots_kill(struct slots *s, void *record)
{
	struct slot_head *head = record;
	uint64_t commit = atomic_load(&head->commit);

	if (state_of(commit) != SLOT_LIVE)
		return false;
	atomic_store(&head->commit, (commit & ~(uint64_t)STATE_MASK) |
					    SLOT_DYING);
	return true;
}

/* syscalls: madvise */
static void clear_shard(struct slots *s, uint32_t shard)
{
	struct slots_shard *sh = &s->shard[shard];
	struct slot_fds fds;

	pthread_mutex_lock(&sh->lock);
	for (uint32_t i = 0; i < sh->used; i++) {
		struct slot_head *head = slots_at(s, i * SLOTS_SHARDS + shard);

		if (state_of(atomic_load(&head->commit)) == SLOT_FREE)
			continue;
		ASSERT(pins_of(s, head) == 0);
		fds = reclaim(s, head);
		close_fds(&fds);
	}
	ASSERT(sh->live == 0);
	sh->free = SLOTS_NONE;
	atomic_store(&sh->used, 0);
	pthread_mutex_unlock(&sh->lock);
}

void slots_clear(struct slots *s)
{
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		clear_shard(s, i);
	arena_section_clear(s->arena, s->section);
	madvise(s->private, s->max * sizeof(*s->private), MADV_DONTNEED);
}

uint64_t slots_count(struct slots *s)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < SLOTS_SHARDS; i++) {
		pthread_mutex_lock(&s->shard[i].lock);
		n += s->shard[i].live;
		pthread_mutex_unlock(&s->shard[i].lock);
	}
	return n;
}
