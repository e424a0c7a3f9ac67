/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lock_table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/recall.h"
#include "base/reserve.h"

#define WAITERS_SIZE (LOCK_WAITERS_MAX * sizeof(struct lock_waiter))

static uint32_t bucket_of(uint64_t id)
{
	return (uint32_t)((id * 0x9e3779b97f4a7c15ULL) >> 32) % LOCK_BUCKETS;
}

pthread_mutex_t *lock_stripe(struct lock_table *t, uint64_t nodeid)
{
	return &t->stripe[bucket_of(nodeid) % LOCK_STRIPES];
}

static struct lock_owner *owner_at(const struct lock_table *t, uint32_t number)
{
	return number ? slots_at(&t->slots, number - 1) : NULL;
}

static struct lock_links *links_of(const struct lock_table *t,
				   const struct lock_owner *o)
{
	return &t->links[slots_index(&t->slots, o)];
}

static struct lock_waiter *waiter_at(const struct lock_table *t,
				     uint32_t number)
{
	return number ? &t->waiter[number - 1] : NULL;
}

static uint32_t number_of(const struct lock_table *t,
			  const struct lock_waiter *w)
{
	return (uint32_t)(w - t->waiter) + 1;
}

static struct slot_fds reclaim(void *ctx, void *record)
{
	struct lock_owner *o = record;

	return (struct slot_fds){ { fd_take(&o->fd), -1 } };
}

int lock_table_init(struct lock_table *t, const struct arena *arena)
{
	int r;

	for (unsigned int i = 0; i < LOCK_STRIPES; i++)
		pthread_mutex_init(&t->stripe[i], NULL);
	pthread_mutex_init(&t->lock, NULL);
	r = slots_init(&t->slots, arena, ARENA_LOCKS,
		       sizeof(struct lock_owner), reclaim, t);
	if (r == 0)
		r = lock_pool_init(&t->pool);
	if (r < 0)
		return r;
	t->links = reserve(t->slots.max * sizeof(*t->links));
	t->waiter = reserve(WAITERS_SIZE);
	return t->links && t->waiter ? 0 : -ENOMEM;
}

/* syscalls: madvise */
static void clear_owners(struct lock_table *t)
{
	slots_clear(&t->slots);
	madvise(t->links, t->slots.max * sizeof(*t->links), MADV_DONTNEED);
	lock_pool_clear(&t->pool);
	memset(t->by_node, 0, sizeof(t->by_node));
	memset(t->by_owner, 0, sizeof(t->by_owner));
	atomic_store(&t->n_owners, 0);
}

static void clear_waiters(struct lock_table *t)
{
	madvise(t->waiter, WAITERS_SIZE, MADV_DONTNEED);
	t->waiter_free = 0;
	t->waiters_used = 0;
	t->n_polled = 0;
	t->search = 0;
	memset(t->first, 0, sizeof(t->first));
	memset(t->last, 0, sizeof(t->last));
	memset(t->waits, 0, sizeof(t->waits));
	atomic_store(&t->n_waiters, 0);
}

/* What was never used stays untouched memory. */
void lock_table_clear(struct lock_table *t)
{
	if (t->pool.used)
		clear_owners(t);
	if (t->waiters_used)
		clear_waiters(t);
}

/* syscalls: munmap */
void lock_table_destroy(struct lock_table *t)
{
	if (!t->slots.private)
		return;
	slots_clear(&t->slots);
	if (t->links)
		munmap(t->links, t->slots.max * sizeof(*t->links));
	if (t->waiter)
		munmap(t->waiter, WAITERS_SIZE);
	lock_pool_destroy(&t->pool);
	slots_destroy(&t->slots);
	for (unsigned int i = 0; i < LOCK_STRIPES; i++)
		pthread_mutex_destroy(&t->stripe[i]);
	pthread_mutex_destroy(&t->lock);
}

/* Owners. The functions named *_locked want the table's lock. */

static struct lock_owner *next_on_node(struct lock_table *t, uint64_t nodeid,
				       const struct lock_owner *prev)
{
	uint32_t n = prev ? links_of(t, prev)->next_node :
			    t->by_node[bucket_of(nodeid)];

	while (n && owner_at(t, n)->nodeid != nodeid)
		n = t->links[n - 1].next_node;
	return owner_at(t, n);
}

struct lock_owner *lock_owner_next(struct lock_table *t, uint64_t nodeid,
				   const struct lock_owner *prev)
{
	return next_on_node(t, nodeid, prev);
}

struct lock_owner *lock_owner_find(struct lock_table *t,
				   const struct lock_want *want)
{
	struct lock_owner *o = next_on_node(t, want->nodeid, NULL);

	while (o && (o->owner != want->owner || o->kind != want->kind))
		o = next_on_node(t, want->nodeid, o);
	return o;
}

static void chain_in(struct lock_table *t, struct lock_owner *o)
{
	struct lock_links *l = links_of(t, o);
	uint32_t number = slots_index(&t->slots, o) + 1;
	uint32_t *node = &t->by_node[bucket_of(o->nodeid)];
	uint32_t *owner = &t->by_owner[bucket_of(o->owner)];

	*l = (struct lock_links){ .next_node = *node, .next_owner = *owner };
	*node = number;
	*owner = number;
}

static void chain_out(struct lock_table *t, const struct lock_owner *o)
{
	const struct lock_links *l = links_of(t, o);
	uint32_t number = slots_index(&t->slots, o) + 1;
	uint32_t *at = &t->by_node[bucket_of(o->nodeid)];

	while (*at != number) {
		ASSERT(*at);
		at = &t->links[*at - 1].next_node;
	}
	*at = l->next_node;
	at = &t->by_owner[bucket_of(o->owner)];
	while (*at != number) {
		ASSERT(*at);
		at = &t->links[*at - 1].next_owner;
	}
	*at = l->next_owner;
}

int lock_owner_add(struct lock_table *t, const struct lock_want *want,
		   int *fd_taken, struct lock_owner **ret)
{
	_cleanup_close_ int fd = fd_take(fd_taken);
	uint32_t shard = bucket_of(want->nodeid) % SLOTS_SHARDS;
	pthread_mutex_t *lock = &t->slots.shard[shard].lock;
	struct lock_owner *o;

	pthread_mutex_lock(&t->lock);
	pthread_mutex_lock(lock);
	o = slots_alloc(&t->slots, shard);
	if (o) {
		o->nodeid = want->nodeid;
		o->owner = want->owner;
		o->fh = want->fh;
		o->kind = want->kind;
		o->pid = want->pid;
		o->fd = fd_take(&fd);
		slots_commit(&t->slots, o);
		chain_in(t, o);
		atomic_fetch_add(&t->n_owners, 1);
	}
	pthread_mutex_unlock(lock);
	pthread_mutex_unlock(&t->lock);
	if (!o)
		return -ENOLCK;
	slots_put(&t->slots, o);
	*ret = o;
	return 0;
}

void lock_owner_drop(struct lock_table *t, struct lock_owner *o)
{
	uint32_t shard = slots_index(&t->slots, o) % SLOTS_SHARDS;
	pthread_mutex_t *lock = &t->slots.shard[shard].lock;

	slots_pin(&t->slots, o);
	pthread_mutex_lock(&t->lock);
	chain_out(t, o);
	lock_list_free(&t->pool, &links_of(t, o)->ranges);
	atomic_fetch_sub(&t->n_owners, 1);
	pthread_mutex_lock(lock);
	slots_kill(&t->slots, o);
	pthread_mutex_unlock(lock);
	pthread_mutex_unlock(&t->lock);
	slots_put(&t->slots, o); /* closes its descriptor */
}

/* Its files are looked at later. */
static bool keep(void *ctx, void *record)
{
	const struct lock_owner *o = record;

	if (o->kind == LOCK_FLOCK)
		return o->fd == -1;
	return o->kind == LOCK_POSIX && recall_fd(o->fd) == 0;
}

void lock_table_attach(struct lock_table *t)
{
	struct lock_owner *o = NULL;

	slots_attach(&t->slots, keep);
	while ((o = slots_next(&t->slots, o)) != NULL) {
		chain_in(t, o);
		atomic_fetch_add(&t->n_owners, 1);
	}
}

bool lock_owner_empty(struct lock_table *t, const struct lock_owner *o)
{
	return links_of(t, o)->ranges == 0;
}

int lock_reserve(struct lock_table *t, struct lock_spare *ret)
{
	int r;

	pthread_mutex_lock(&t->lock);
	r = lock_spare(&t->pool, ret);
	pthread_mutex_unlock(&t->lock);
	return r;
}

void lock_unreserve(struct lock_table *t, struct lock_spare *spare)
{
	pthread_mutex_lock(&t->lock);
	lock_unspare(&t->pool, spare);
	pthread_mutex_unlock(&t->lock);
}

bool lock_owner_set(struct lock_table *t, struct lock_owner *o,
		    const struct lock_want *want, struct lock_spare *spare)
{
	struct lock_links *l = links_of(t, o);
	bool gain;

	pthread_mutex_lock(&t->lock);
	gain = lock_list_set(&t->pool, &l->ranges, &want->span, spare);
	if (want->span.type != F_UNLCK) {
		o->pid = want->pid;
		o->fh = want->fh;
	}
	lock_unspare(&t->pool, spare);
	pthread_mutex_unlock(&t->lock);
	return gain;
}

/* The next owner after @prev that holds what @want wants, and what. */
static struct lock_owner *next_in_way(struct lock_table *t,
				      const struct lock_want *want,
				      const struct lock_owner *prev,
				      const struct lock_span **ret_held)
{
	struct lock_owner *o = next_on_node(t, want->nodeid, prev);

	for (; o; o = next_on_node(t, want->nodeid, o)) {
		if (o->kind != want->kind || o->owner == want->owner)
			continue;
		*ret_held = lock_list_conflict(&t->pool, links_of(t, o)->ranges,
					       &want->span);
		if (*ret_held)
			return o;
	}
	return NULL;
}

bool lock_conflict(struct lock_table *t, const struct lock_want *want,
		   struct lock_span *ret_held, uint32_t *ret_pid)
{
	const struct lock_span *held, *first = NULL;
	struct lock_owner *o = NULL;

	pthread_mutex_lock(&t->lock);
	while ((o = next_in_way(t, want, o, &held)) != NULL) {
		if (first && first->start <= held->start)
			continue;
		first = held;
		if (!ret_held)
			break;
		*ret_held = *held;
		*ret_pid = o->pid;
	}
	pthread_mutex_unlock(&t->lock);
	return first;
}

bool lock_in_way(struct lock_table *t, const struct lock_want *want,
		 uint64_t owner)
{
	const struct lock_span *held;
	struct lock_owner *o = NULL;

	pthread_mutex_lock(&t->lock);
	do
		o = next_in_way(t, want, o, &held);
	while (o && o->owner != owner);
	pthread_mutex_unlock(&t->lock);
	return o;
}

/* Deadlocks. */

static bool holds_anything(const struct lock_table *t, uint64_t owner)
{
	uint32_t n = t->by_owner[bucket_of(owner)];

	for (; n; n = t->links[n - 1].next_owner) {
		const struct lock_owner *o = owner_at(t, n);

		if (o->owner == owner && o->kind == LOCK_POSIX &&
		    t->links[n - 1].ranges)
			return true;
	}
	return false;
}

/* Puts what @owner waits for on the stack, each once in a search. */
static uint32_t push_waits(struct lock_table *t, uint64_t owner, uint32_t depth)
{
	uint32_t n = t->waits[bucket_of(owner)];

	for (; n; n = waiter_at(t, n)->next_owner) {
		struct lock_waiter *w = waiter_at(t, n);

		if (w->want.owner != owner || w->want.kind != LOCK_POSIX ||
		    w->visited == t->search)
			continue;
		w->visited = t->search;
		t->stack[depth++] = n;
	}
	return depth;
}

/*
 * From those who hold what @first wants to what they wait for, and so on, until
 * it comes back to @first's owner. Each waiter is looked at once; the stack
 * holds each at most once, so it cannot overflow. An owner that holds nothing
 * is in nobody's way, which ends most searches before they begin.
 */
static bool search_locked(struct lock_table *t, const struct lock_want *first)
{
	const struct lock_want *want = first;
	const struct lock_span *held;
	uint32_t depth = 0;

	if (first->kind != LOCK_POSIX || !holds_anything(t, first->owner))
		return false;
	t->search++;
	for (;;) {
		struct lock_owner *o = NULL;

		while ((o = next_in_way(t, want, o, &held)) != NULL) {
			if (o->owner == first->owner)
				return true;
			depth = push_waits(t, o->owner, depth);
		}
		if (!depth)
			return false;
		want = &waiter_at(t, t->stack[--depth])->want;
	}
}

bool lock_deadlock(struct lock_table *t, const struct lock_want *want)
{
	bool found;

	pthread_mutex_lock(&t->lock);
	found = search_locked(t, want);
	pthread_mutex_unlock(&t->lock);
	return found;
}

/* Waiters. */

bool lock_owner_waits(struct lock_table *t, uint64_t owner)
{
	uint32_t n;

	pthread_mutex_lock(&t->lock);
	n = t->waits[bucket_of(owner)];
	while (n && waiter_at(t, n)->want.owner != owner)
		n = waiter_at(t, n)->next_owner;
	pthread_mutex_unlock(&t->lock);
	return n;
}

static struct lock_waiter *waiter_alloc(struct lock_table *t)
{
	uint32_t n = t->waiter_free;

	if (n)
		t->waiter_free = waiter_at(t, n)->next_owner;
	else if (t->waiters_used < LOCK_WAITERS_MAX)
		n = ++t->waiters_used;
	return waiter_at(t, n);
}

static void wait_chain_in(struct lock_table *t, struct lock_waiter *w)
{
	uint32_t number = number_of(t, w);
	uint32_t node = bucket_of(w->want.nodeid);
	uint32_t *owner = &t->waits[bucket_of(w->want.owner)];

	w->prev = t->last[node];
	w->next = 0;
	if (w->prev)
		waiter_at(t, w->prev)->next = number;
	else
		t->first[node] = number;
	t->last[node] = number;

	w->prev_owner = 0;
	w->next_owner = *owner;
	if (*owner)
		waiter_at(t, *owner)->prev_owner = number;
	*owner = number;
}

static void wait_chain_out(struct lock_table *t, const struct lock_waiter *w)
{
	uint32_t node = bucket_of(w->want.nodeid);

	if (w->prev)
		waiter_at(t, w->prev)->next = w->next;
	else
		t->first[node] = w->next;
	if (w->next)
		waiter_at(t, w->next)->prev = w->prev;
	else
		t->last[node] = w->prev;
	if (w->prev_owner)
		waiter_at(t, w->prev_owner)->next_owner = w->next_owner;
	else
		t->waits[bucket_of(w->want.owner)] = w->next_owner;
	if (w->next_owner)
		waiter_at(t, w->next_owner)->prev_owner = w->prev_owner;
}

int lock_wait_add(struct lock_table *t, const struct lock_want *want,
		  const struct request_token *token, bool polled,
		  struct lock_waiter **ret)
{
	struct lock_waiter *w;
	int r = -EDEADLK;

	pthread_mutex_lock(&t->lock);
	if (!search_locked(t, want)) {
		w = waiter_alloc(t);
		r = w ? 0 : -ENOLCK;
	}
	if (r == 0) {
		*w = (struct lock_waiter){
			.want = *want,
			.token = *token,
			.polled = polled,
			.waiting = true,
		};
		wait_chain_in(t, w);
		t->n_polled += polled;
		atomic_fetch_add(&t->n_waiters, 1);
		*ret = w;
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void lock_wait_remove(struct lock_table *t, struct lock_waiter *w)
{
	pthread_mutex_lock(&t->lock);
	wait_chain_out(t, w);
	t->n_polled -= w->polled;
	w->waiting = false;
	w->polled = false;
	w->next_owner = t->waiter_free;
	t->waiter_free = number_of(t, w);
	atomic_fetch_sub(&t->n_waiters, 1);
	pthread_mutex_unlock(&t->lock);
}

void lock_wait_poll(struct lock_table *t, struct lock_waiter *w, bool polled)
{
	pthread_mutex_lock(&t->lock);
	t->n_polled += polled;
	t->n_polled -= w->polled;
	w->polled = polled;
	pthread_mutex_unlock(&t->lock);
}

struct lock_waiter *lock_wait_next(struct lock_table *t, uint64_t nodeid,
				   const struct lock_waiter *prev)
{
	uint32_t n = prev ? prev->next : t->first[bucket_of(nodeid)];

	while (n && waiter_at(t, n)->want.nodeid != nodeid)
		n = waiter_at(t, n)->next;
	return waiter_at(t, n);
}
