/* SPDX-License-Identifier: BSD-3-Clause */
/* base/slots: ids are never reused, whatever a guest sends finds nothing. */
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/slots.h"
#include "unit.h"

#define ALIVE 0x600dU
#define DEAD 0xdeadU

struct record {
	struct slot_head head;
	uint32_t state; /* plain: a race on it is for TSan to see */
	int32_t fd; /* 0: none */
	uint64_t payload;
};

static struct arena arena;
static struct slots slots;
static atomic_uint reclaimed;

static struct slot_fds reclaim(void *ctx, void *record)
{
	struct record *r = record;

	must(ctx == &slots);
	must(r->state == ALIVE);
	r->state = DEAD;
	atomic_fetch_add(&reclaimed, 1);
	return (struct slot_fds){ { r->fd ? r->fd : -1, -1 } };
}

static void setup_sized(size_t records)
{
	size_t sizes[ARENA_SECTIONS] = { 0 };

	sizes[ARENA_NODES] = records * sizeof(struct record);
	sizes[ARENA_HANDLES] = 4096;
	ck_ok(arena_create(sizes, &arena));
	ck_ok(slots_init(&slots, &arena, ARENA_NODES, sizeof(struct record),
			 reclaim, &slots));
	reclaimed = 0;
}

static void setup(void)
{
	setup_sized(SLOTS_MAX);
}

static void teardown(void)
{
	slots_clear(&slots);
	slots_destroy(&slots);
	unit_arena_destroy(&arena);
	ck_assert_int_eq(fd_count(), 0);
}

static void lock(uint32_t shard)
{
	pthread_mutex_lock(&slots.shard[shard].lock);
}

static void unlock(uint32_t shard)
{
	pthread_mutex_unlock(&slots.shard[shard].lock);
}

/* A record with one pin, or NULL. */
static struct record *make(uint32_t shard, uint64_t *ret_id)
{
	struct record *r;

	lock(shard);
	r = slots_alloc(&slots, shard);
	if (r) {
		r->state = ALIVE;
		*ret_id = slots_commit(&slots, r);
	}
	unlock(shard);
	return r;
}

static uint64_t make_unpinned(uint32_t shard)
{
	uint64_t id = 0;
	struct record *r = make(shard, &id);

	must(r);
	slots_put(&slots, r);
	return id;
}

static bool kill_pinned(struct record *r)
{
	uint32_t shard = slots_index(&slots, r) % SLOTS_SHARDS;
	bool killed;

	lock(shard);
	killed = slots_kill(&slots, r);
	unlock(shard);
	return killed;
}

static void kill_id(uint64_t id)
{
	struct record *r = slots_get(&slots, id);

	must(r);
	must(kill_pinned(r));
	slots_put(&slots, r);
}

static size_t resident(void)
{
	return unit_resident(slots.base, arena_section_size(&arena, ARENA_NODES)) +
	       unit_resident(slots.private,
			     slots.max * sizeof(struct slot_private));
}

START_TEST(get_finds_what_was_committed)
{
	uint64_t id = 0;
	struct record *r = make(3, &id);

	r->payload = 42;
	ck_assert_ptr_eq(slots_get(&slots, id), r);
	ck_assert_uint_eq(r->payload, 42);
	ck_assert_uint_eq(slots_id(&slots, r), id);
	ck_assert_ptr_eq(slots_at(&slots, slots_index(&slots, r)), r);
	ck_assert_uint_eq(slots_index(&slots, r) % SLOTS_SHARDS, 3);
	ck_assert_uint_eq(slots_count(&slots), 1);
	slots_put(&slots, r);
	slots_put(&slots, r);
}
END_TEST

/* The record is used again each time: only the generation differs. */
START_TEST(generations_never_repeat)
{
	enum { ROUNDS = 20000, KEPT = 32 };
	uint64_t kept[KEPT] = { 0 }, before = 0;
	uint32_t index = UINT32_MAX;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		uint64_t id = make_unpinned(5);

		if (index == UINT32_MAX)
			index = id & (SLOTS_MAX - 1);
		must((id & (SLOTS_MAX - 1)) == index);
		must(id >> SLOTS_INDEX_BITS > before);
		before = id >> SLOTS_INDEX_BITS;
		for (unsigned int k = 0; k < KEPT; k++)
			must(!slots_get(&slots, kept[k]));
		kept[i % KEPT] = id;
		if (i % 1000 == 999)
			slots_clear(&slots);
		else
			kill_id(id);
	}
}
END_TEST

START_TEST(forged_ids_find_nothing)
{
	uint64_t id = make_unpinned(0), generation = id >> SLOTS_INDEX_BITS;
	size_t before;
	uint32_t seed = 1;

	for (uint32_t shard = 1; shard < SLOTS_SHARDS; shard++)
		make_unpinned(shard);
	before = resident();
	for (uint64_t i = 0; i < 4096; i++)
		must(!slots_get(&slots, i));
	for (unsigned int bit = 0; bit < 64; bit++) {
		if (1ULL << bit != id)
			must(!slots_get(&slots, 1ULL << bit));
		must(!slots_get(&slots, id ^ 1ULL << bit));
		must(!slots_get(&slots, ~(1ULL << bit)));
	}
	must(!slots_get(&slots, UINT64_MAX));
	/* The right generation with each other index. */
	for (uint32_t i = 16; i < SLOTS_MAX; i += 97)
		must(!
			slots_get(&slots, generation << SLOTS_INDEX_BITS | i));
	for (unsigned int i = 0; i < unit_rounds(300000); i++) {
		uint64_t forged = (uint64_t)unit_random(&seed) << 32 |
				  unit_random(&seed);

		must(!slots_get(&slots, forged));
	}
	must(resident() == before);
	must(slots_count(&slots) == SLOTS_SHARDS);
}
END_TEST

START_TEST(killed_record_lives_until_the_last_put)
{
	uint64_t id = 0;
	struct record *r = make(7, &id);

	slots_pin(&slots, r);
	ck_assert(kill_pinned(r));
	ck_assert(!kill_pinned(r));
	ck_assert_ptr_null(slots_get(&slots, id));
	ck_assert_uint_eq(slots_count(&slots), 1);
	slots_put(&slots, r);
	ck_assert_uint_eq(reclaimed, 0);
	ck_assert_uint_eq(r->state, ALIVE);
	slots_put(&slots, r);
	ck_assert_uint_eq(reclaimed, 1);
	ck_assert_uint_eq(slots_count(&slots), 0);
	ck_assert_ptr_null(slots_get(&slots, id));
}
END_TEST

/* slots_get() of a stale id pins and unpins: a dying record must not be taken
 * apart by that, nor one that is free. */
START_TEST(failed_get_reclaims_nothing)
{
	uint64_t id = 0;
	struct record *r = make(2, &id);

	ck_assert(kill_pinned(r));
	ck_assert_ptr_null(slots_get(&slots, id));
	ck_assert_uint_eq(reclaimed, 0);
	slots_put(&slots, r);
	ck_assert_ptr_null(slots_get(&slots, id));
	ck_assert_uint_eq(reclaimed, 1);
}
END_TEST

/* While a record is frozen nobody gets at it: who wants it waits. */
static _Atomic int change;
static struct record *frozen;
static uint64_t frozen_id;

static void freeze_or_get(void *arg, unsigned int no)
{
	if (no == 0) {
		lock(3);
		must(slots_freeze(&slots, frozen));
		atomic_store(&change, 1);
		usleep(50000);
		atomic_store(&change, 2);
		slots_thaw(&slots, frozen);
		unlock(3);
		return;
	}
	while (atomic_load(&change) == 0)
		usleep(100);
	must(slots_get(&slots, frozen_id) == frozen);
	must(atomic_load(&change) == 2);
	slots_put(&slots, frozen);
}

START_TEST(frozen_record_is_waited_for)
{
	frozen = make(3, &frozen_id);
	lock(3);
	slots_pin(&slots, frozen);
	ck_assert(!slots_freeze(&slots, frozen));
	slots_put(&slots, frozen);
	unlock(3);
	unit_threads(2, freeze_or_get, NULL);
	ck_assert(!slots_is_idle(&slots, frozen));
	slots_put(&slots, frozen);
	ck_assert(slots_is_idle(&slots, frozen));
}
END_TEST

START_TEST(use_is_noticed_once)
{
	uint64_t id = 0;
	struct record *r = make(3, &id);

	ck_assert(!slots_was_used(&slots, r));
	slots_put(&slots, slots_get(&slots, id));
	ck_assert(slots_was_used(&slots, r));
	ck_assert(!slots_was_used(&slots, r));
	slots_put(&slots, r);
}
END_TEST

START_TEST(record_is_zeroed_when_used_again)
{
	uint64_t id = 0;
	struct record *r = make(1, &id);

	r->payload = UINT64_MAX;
	kill_pinned(r);
	slots_put(&slots, r);
	ck_assert_ptr_eq(make(1, &id), r);
	ck_assert_uint_eq(r->payload, 0);
	slots_put(&slots, r);
}
END_TEST

/* 130 records: shards 0 and 1 have nine each, the others eight. */
START_TEST(full_shard_says_no)
{
	uint64_t id[9], other;

	setup_sized(130);
	for (uint32_t shard = 0; shard < SLOTS_SHARDS; shard++) {
		unsigned int fits = shard < 2 ? 9 : 8;

		for (unsigned int i = 0; i < fits; i++)
			id[i] = make_unpinned(shard);
		ck_assert_ptr_null(make(shard, &other));
		kill_id(id[3]);
		id[3] = make_unpinned(shard);
		ck_assert_ptr_null(make(shard, &other));
	}
	ck_assert_uint_eq(slots_count(&slots), 130);
	teardown();
}
END_TEST

START_TEST(clear_gives_all_back)
{
	enum { N = 40000 };
	static uint64_t id[N];
	size_t empty = resident();
	uint32_t seed = 7;

	for (unsigned int i = 0; i < N; i++)
		id[i] = make_unpinned(unit_random(&seed) % SLOTS_SHARDS);
	for (unsigned int i = 0; i < N; i += 3)
		kill_id(id[i]);
	must(resident() > empty);
	slots_clear(&slots);
	must(reclaimed == N);
	must(slots_count(&slots) == 0);
	must(resident() == 0);
	for (unsigned int i = 0; i < N; i++)
		must(!slots_get(&slots, id[i]));
	/* The same places again, with zeroed memory behind them. */
	for (unsigned int i = 0; i < N; i++)
		make_unpinned(i % SLOTS_SHARDS);
	for (unsigned int i = 0; i < N; i++)
		must(!slots_get(&slots, id[i]));
}
END_TEST

START_TEST(reclaimed_descriptor_is_closed)
{
	long before = fd_count();
	uint64_t id = 0;
	struct record *r = make(9, &id);

	r->fd = fd_openat(AT_FDCWD, "/", O_PATH, 0);
	ck_assert_int_eq(fd_count(), before + 1);
	kill_pinned(r);
	slots_put(&slots, r);
	ck_assert_int_eq(fd_count(), before);
	r = make(9, &id);
	r->fd = fd_openat(AT_FDCWD, "/", O_PATH, 0);
	slots_put(&slots, r);
	slots_clear(&slots);
	ck_assert_int_eq(fd_count(), before);
}
END_TEST

/*
 * Threads make, look up and kill records of a few places. While a thread has a
 * record pinned, nobody may take it apart.
 */
enum { PLACES = 2, RACERS = 6 };
static _Atomic uint64_t place[PLACES];
static atomic_uint made;

static void race_once(uint32_t *seed)
{
	unsigned int i = unit_random(seed) % PLACES;
	uint64_t id = atomic_load(&place[i]);
	struct record *r = slots_get(&slots, id);

	if (!r) {
		r = make(0, &id);
		must(r);
		atomic_fetch_add(&made, 1);
		id = atomic_exchange(&place[i], id);
		slots_put(&slots, r);
		/* What was there before is nobody's now. */
		r = slots_get(&slots, id);
		if (!r)
			return;
	}
	/* This record and no other, alive, for as long as it is pinned. */
	must(r->state == ALIVE && slots_id(&slots, r) == id);
	if (unit_random(seed) % 4 == 0)
		kill_pinned(r);
	if (unit_random(seed) % 16 == 0)
		sched_yield();
	must(r->state == ALIVE && slots_id(&slots, r) == id);
	slots_put(&slots, r);
}

static void race(void *arg, unsigned int no)
{
	uint32_t seed = no + 1;

	for (unsigned int i = 0; i < unit_rounds(1500000); i++)
		race_once(&seed);
}

START_TEST(get_put_and_kill_race)
{
	made = 0;
	for (unsigned int i = 0; i < PLACES; i++)
		place[i] = 0;
	unit_threads(RACERS, race, NULL);
	ck_assert_uint_eq(slots_count(&slots) + reclaimed, made);
	slots_clear(&slots);
	ck_assert_uint_eq(reclaimed, made);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("slots");
	TCase *tc = unit_tcase(s, "table", 30);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, get_finds_what_was_committed);
	tcase_add_test(tc, generations_never_repeat);
	tcase_add_test(tc, forged_ids_find_nothing);
	tcase_add_test(tc, killed_record_lives_until_the_last_put);
	tcase_add_test(tc, failed_get_reclaims_nothing);
	tcase_add_test(tc, frozen_record_is_waited_for);
	tcase_add_test(tc, use_is_noticed_once);
	tcase_add_test(tc, record_is_zeroed_when_used_again);
	tcase_add_test(tc, clear_gives_all_back);
	tcase_add_test(tc, reclaimed_descriptor_is_closed);
	tcase_add_test(tc, get_put_and_kill_race);
	tc = unit_tcase(s, "small table", 20);
	tcase_add_test(tc, full_shard_says_no);
	return unit_run(s);
}
