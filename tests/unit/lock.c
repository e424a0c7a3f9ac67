/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fs/lock_range and fs/lock_table: range lists against a map of single bytes, and the search for
 * circles against one that goes through all of them.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "fs/lock_table.h"

#define FREE F_UNLCK

static struct lock_pool pool;

static bool set(uint32_t *list, uint64_t start, uint64_t end, uint32_t type)
{
	struct lock_span span = { start, end, type };
	struct lock_spare spare;
	bool gain;

	ck_assert_int_eq(lock_spare(&pool, &spare), 0);
	gain = lock_list_set(&pool, list, &span, &spare);
	lock_unspare(&pool, &spare);
	return gain;
}

/* "r0-9 w20-29" and so on; "-" alone is up to the end */
static void expect(uint32_t list, const char *want)
{
	char got[512] = "";
	size_t n = 0;

	for (uint32_t i = list; i; i = pool.range[i - 1].next) {
		const struct lock_span *s = &pool.range[i - 1].span;

		n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%c%llu-", n ? " " : "",
				      s->type == F_WRLCK ? 'w' : 'r',
				      (unsigned long long)s->start);
		if (s->end != LOCK_TO_END)
			n += (size_t)snprintf(got + n, sizeof(got) - n, "%llu",
					      (unsigned long long)s->end);
	}
	ck_assert_str_eq(got, want);
}

START_TEST(ranges_split_and_merge)
{
	uint32_t l = 0;

	ck_assert_int_eq(lock_pool_init(&pool), 0);
	ck_assert(!set(&l, 10, 19, F_WRLCK));
	ck_assert(!set(&l, 30, 39, F_WRLCK));
	expect(l, "w10-19 w30-39");
	ck_assert(!set(&l, 20, 29, F_WRLCK));
	expect(l, "w10-39");
	ck_assert(set(&l, 15, 24, F_RDLCK));
	expect(l, "w10-14 r15-24 w25-39");
	ck_assert(!set(&l, 15, 24, F_RDLCK));
	ck_assert(!set(&l, 0, 9, F_RDLCK));
	expect(l, "r0-9 w10-14 r15-24 w25-39");
	ck_assert(set(&l, 10, 14, F_RDLCK));
	expect(l, "r0-24 w25-39");
	ck_assert(set(&l, 5, 30, F_UNLCK));
	expect(l, "r0-4 w31-39");
	ck_assert(!set(&l, 5, 30, F_UNLCK));
	ck_assert(!set(&l, 100, LOCK_TO_END, F_RDLCK));
	expect(l, "r0-4 w31-39 r100-");
	ck_assert(!set(&l, 2, 200, F_WRLCK));
	expect(l, "r0-1 w2-200 r201-");
	ck_assert(set(&l, 0, LOCK_TO_END, F_UNLCK));
	expect(l, "");
	ck_assert(!set(&l, LOCK_TO_END, LOCK_TO_END, F_WRLCK));
	ck_assert(!set(&l, 0, 0, F_WRLCK));
	expect(l, "w0-0 w9223372036854775807-");
	ck_assert(!set(&l, 1, LOCK_TO_END - 1, F_WRLCK));
	expect(l, "w0-");
	lock_list_free(&pool, &l);
	lock_pool_destroy(&pool);
}
END_TEST

#define BYTES 24U

START_TEST(ranges_are_what_single_bytes_are)
{
	uint32_t map[BYTES], l = 0, used = 0;
	struct lock_span w;

	ck_assert_int_eq(lock_pool_init(&pool), 0);
	for (uint32_t i = 0; i < BYTES; i++)
		map[i] = FREE;
	srandom(1);
	for (int round = 0; round < 20000; round++) {
		uint32_t a = (uint32_t)random() % BYTES, b = (uint32_t)random() % BYTES;
		uint32_t type = (uint32_t)random() % 3, start = a < b ? a : b;
		uint32_t end = a < b ? b : a, n = 0;
		bool gain = false, conflict = false;
		const struct lock_span *held;

		w = (struct lock_span){ start, end, type };
		for (uint32_t i = start; i <= end; i++) {
			if (type != F_UNLCK && map[i] != FREE)
				conflict |= map[i] == F_WRLCK || type == F_WRLCK;
			gain |= (type == F_UNLCK && map[i] != FREE) ||
				(type == F_RDLCK && map[i] == F_WRLCK);
			map[i] = type;
		}
		if (type != F_UNLCK) {
			held = lock_list_conflict(&pool, l, &w);
			ck_assert_int_eq(held != NULL, conflict);
		}
		ck_assert_int_eq(set(&l, start, end, type), gain);
		/* each range is a longest run of bytes of one kind */
		uint32_t at = 0;

		for (uint32_t i = l; i; i = pool.range[i - 1].next) {
			const struct lock_span *s = &pool.range[i - 1].span;

			for (; at < s->start; at++)
				ck_assert_uint_eq(map[at], FREE);
			ck_assert(at == 0 || map[at - 1] != s->type);
			for (; at <= s->end; at++)
				ck_assert_uint_eq(map[at], s->type);
			n++;
		}
		for (; at < BYTES; at++)
			ck_assert_uint_eq(map[at], FREE);
		used = n > used ? n : used;
	}
	/* what is given back is used again */
	ck_assert_uint_le(pool.used, used + LOCK_SPARES + 1);
	lock_pool_destroy(&pool);
}
END_TEST

START_TEST(pool_that_is_empty_says_so)
{
	struct lock_spare spare, more;
	uint32_t l = 0;

	ck_assert_int_eq(lock_pool_init(&pool), 0);
	for (uint64_t i = 0; i < LOCK_RANGES_MAX - 3; i++) {
		uint32_t one = 0;

		set(&one, i, i, F_RDLCK);
	}
	ck_assert_int_eq(lock_spare(&pool, &spare), 0);
	ck_assert_int_eq(lock_spare(&pool, &more), -ENOLCK);
	lock_unspare(&pool, &spare);
	set(&l, 0, 9, F_RDLCK);
	set(&l, 4, 5, F_UNLCK);
	expect(l, "r0-3 r6-9");
	ck_assert_int_eq(lock_spare(&pool, &spare), -ENOLCK);
	lock_list_free(&pool, &l);
	ck_assert_int_eq(lock_spare(&pool, &spare), 0);
	lock_pool_destroy(&pool);
}
END_TEST

/* The table. */

static struct arena arena;
static struct lock_table *t;

static void setup(void)
{
	size_t sizes[ARENA_SECTIONS] = { 0 };

	sizes[ARENA_LOCKS] = 16 * 4096 * sizeof(struct lock_owner);
	ck_assert_int_eq(arena_create(sizes, &arena), 0);
	t = calloc(1, sizeof(*t));
	ck_assert_int_eq(lock_table_init(t, &arena), 0);
}

static void teardown(void)
{
	lock_table_destroy(t);
	free(t);
	arena_detach(&arena);
	(void)fd_close(&arena.fd);
	ck_assert_int_eq(fd_count(), 0);
}

static struct lock_want want(uint64_t node, uint64_t owner, uint64_t start, uint64_t end,
			     uint32_t type)
{
	return (struct lock_want){
		.nodeid = node, .owner = owner, .kind = LOCK_POSIX, .span = { start, end, type },
	};
}

static void hold(struct lock_want w)
{
	struct lock_owner *o = lock_owner_find(t, &w);
	struct lock_spare spare;
	int fd = -1;

	if (!o)
		ck_assert_int_eq(lock_owner_add(t, &w, &fd, &o), 0);
	ck_assert_int_eq(lock_reserve(t, &spare), 0);
	lock_owner_set(t, o, &w, &spare);
	if (lock_owner_empty(t, o))
		lock_owner_drop(t, o);
}

static int wait_for(struct lock_want w)
{
	const struct request_token token = { 0 };
	struct lock_waiter *ret;

	return lock_wait_add(t, &w, &token, false, &ret);
}

START_TEST(table_knows_who_holds_what)
{
	struct lock_want w = want(1, 7, 0, 9, F_WRLCK);
	struct lock_span held;
	uint32_t pid;

	w.pid = 99;
	hold(w);
	w = want(1, 8, 20, 29, F_RDLCK);
	w.pid = 98;
	hold(w);
	w = want(1, 9, 5, 40, F_WRLCK);
	ck_assert(lock_conflict(t, &w, &held, &pid));
	ck_assert_uint_eq(held.start, 0);
	ck_assert_uint_eq(held.end, 9);
	ck_assert_uint_eq(pid, 99);
	w = want(1, 9, 10, 40, F_WRLCK);
	ck_assert(lock_conflict(t, &w, &held, &pid));
	ck_assert_uint_eq(pid, 98);
	w = want(1, 9, 10, 40, F_RDLCK);
	ck_assert(!lock_conflict(t, &w, NULL, NULL));
	/* another node, another kind, oneself */
	w = want(2, 9, 0, 9, F_WRLCK);
	ck_assert(!lock_conflict(t, &w, NULL, NULL));
	w = want(1, 9, 0, 9, F_WRLCK);
	w.kind = LOCK_FLOCK;
	ck_assert(!lock_conflict(t, &w, NULL, NULL));
	w = want(1, 7, 0, 9, F_WRLCK);
	ck_assert(!lock_conflict(t, &w, NULL, NULL));
	hold(want(1, 7, 0, 9, F_UNLCK));
	ck_assert_uint_eq(atomic_load(&t->n_owners), 1);
	lock_table_clear(t);
	ck_assert(lock_table_idle(t));
	w = want(1, 9, 5, 40, F_WRLCK);
	ck_assert(!lock_conflict(t, &w, NULL, NULL));
}
END_TEST

START_TEST(waiters_stand_in_line)
{
	struct lock_waiter *w = NULL, *second;

	hold(want(1, 1, 0, LOCK_TO_END, F_WRLCK));
	for (uint64_t i = 0; i < LOCK_WAITERS_MAX; i++)
		ck_assert_int_eq(wait_for(want(1 + i % 2 * 4096, 10 + i, 0, 0, F_WRLCK)), 0);
	ck_assert_int_eq(wait_for(want(1, 5, 0, 0, F_WRLCK)), -ENOLCK);
	for (uint64_t i = 0; i < LOCK_WAITERS_MAX; i += 2) {
		w = lock_wait_next(t, 1, w);
		ck_assert_ptr_nonnull(w);
		ck_assert_uint_eq(w->want.owner, 10 + i);
	}
	ck_assert_ptr_null(lock_wait_next(t, 1, w));
	w = lock_wait_next(t, 1, NULL);
	second = lock_wait_next(t, 1, w);
	lock_wait_remove(t, second);
	ck_assert(!lock_owner_waits(t, 12));
	ck_assert(lock_owner_waits(t, 10));
	ck_assert_uint_eq(lock_wait_next(t, 1, w)->want.owner, 14);
	/* its record is used again, at the end of the line */
	ck_assert_int_eq(wait_for(want(1, 5, 0, 0, F_WRLCK)), 0);
	for (second = w; (w = lock_wait_next(t, 1, second)) != NULL;)
		second = w;
	ck_assert_uint_eq(second->want.owner, 5);
	lock_table_clear(t);
	ck_assert_ptr_null(lock_wait_next(t, 1, NULL));
}
END_TEST

/* A ring of owners, each of which waits for the next; the last one closes it. */
static void circle(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		hold(want(1 + i % 3, 1 + i, i, i, F_WRLCK));
	for (unsigned int i = 0; i + 1 < n; i++)
		ck_assert_int_eq(wait_for(want(1 + (i + 1) % 3, 1 + i, i + 1, i + 1, F_RDLCK)), 0);
	ck_assert_int_eq(wait_for(want(1, n, 0, 0, F_RDLCK)), -EDEADLK);
	/* the same bytes of another file are nobody's */
	ck_assert_int_eq(wait_for(want(9, n, 0, 0, F_RDLCK)), 0);
	lock_table_clear(t);
}

START_TEST(circles_of_any_length)
{
	circle(2);
	circle(3);
	circle(4);
	circle(100);
	circle(4000);
}
END_TEST

#define OWNERS 6U
#define FILES 2U
#define POS 5U

static struct {
	struct lock_want want;
	bool waiting;
} model_wait[64];
static uint32_t held[FILES][POS][OWNERS]; /* FREE, F_RDLCK, F_WRLCK */
static unsigned int n_waits;

static bool in_way(const struct lock_want *w, uint32_t owner)
{
	for (uint64_t b = w->span.start; b <= w->span.end; b++) {
		uint32_t h = held[w->nodeid][b][owner];

		if (owner != w->owner && h != FREE &&
		    (h == F_WRLCK || w->span.type == F_WRLCK))
			return true;
	}
	return false;
}

/* Whether @w, going on from one to another, comes to @goal: by trying it all. */
static bool leads_to(const struct lock_want *w, uint64_t goal, unsigned int seen)
{
	for (uint32_t o = 0; o < OWNERS; o++) {
		if (!in_way(w, o))
			continue;
		if (o == goal)
			return true;
		if (seen >> o & 1)
			continue;
		for (unsigned int i = 0; i < n_waits; i++)
			if (model_wait[i].want.owner == o &&
			    leads_to(&model_wait[i].want, goal, seen | 1U << o))
				return true;
	}
	return false;
}

START_TEST(only_real_circles)
{
	unsigned int found = 0, not = 0;

	srandom(2);
	for (int round = 0; round < 600; round++) {
		n_waits = 0;
		for (uint32_t f = 0; f < FILES; f++)
			for (uint32_t p = 0; p < POS; p++)
				for (uint32_t o = 0; o < OWNERS; o++)
					held[f][p][o] = FREE;
		for (int i = 0; i < 12; i++) {
			uint32_t f = (uint32_t)random() % FILES, p = (uint32_t)random() % POS;
			uint32_t o = (uint32_t)random() % OWNERS, type = (uint32_t)random() % 2;
			struct lock_want w = want(f, o, p, p, type);

			if (lock_conflict(t, &w, NULL, NULL))
				continue;
			held[f][p][o] = type;
			hold(w);
		}
		for (int i = 0; i < 10; i++) {
			uint32_t a = (uint32_t)random() % POS;
			struct lock_want w = want((uint32_t)random() % FILES,
						  (uint32_t)random() % OWNERS, a,
						  a + (uint32_t)random() % (POS - a),
						  (uint32_t)random() % 2);
			bool real = leads_to(&w, w.owner, 0);

			ck_assert_int_eq(lock_deadlock(t, &w), real);
			ck_assert_int_eq(wait_for(w), real ? -EDEADLK : 0);
			if (!real)
				model_wait[n_waits++].want = w;
			found += real;
			not += !real;
		}
		lock_table_clear(t);
	}
	ck_assert_uint_gt(found, 300);
	ck_assert_uint_gt(not, 300);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lock");
	TCase *ranges = tcase_create("ranges"), *table = tcase_create("table");
	SRunner *sr;
	int failed;

	tcase_add_test(ranges, ranges_split_and_merge);
	tcase_add_test(ranges, ranges_are_what_single_bytes_are);
	tcase_add_test(ranges, pool_that_is_empty_says_so);
	tcase_add_checked_fixture(table, setup, teardown);
	tcase_add_test(table, table_knows_who_holds_what);
	tcase_add_test(table, waiters_stand_in_line);
	tcase_add_test(table, circles_of_any_length);
	tcase_add_test(table, only_real_circles);
	tcase_set_timeout(ranges, 120);
	tcase_set_timeout(table, 120);
	suite_add_tcase(s, ranges);
	suite_add_tcase(s, table);
	sr = srunner_create(s);
	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
