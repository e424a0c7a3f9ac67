/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/handle: open files by opaque numbers, closed once, whoever races. */
#include "fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

static struct arena arena;
static struct handle_table table;

static void setup_sized(size_t handles)
{
	unit_arena(&arena, 64, handles);
	ck_ok(handle_table_init(&table, &arena));
}

static void setup(void)
{
	setup_sized(HANDLES_MAX);
}

static void teardown(void)
{
	handle_table_destroy(&table);
	handle_table_destroy(&table);
	unit_arena_destroy(&arena);
	ck_assert_int_eq(fd_count(), 0);
}

static uint64_t open_one(enum handle_kind kind)
{
	uint64_t fh = 0;
	int fd = fd_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);

	must(fd >= 0);
	must(handle_open(&table, kind, &fd, &fh) == 0);
	must(fd == -1 && fh != 0);
	return fh;
}

static int close_one(uint64_t fh, enum handle_kind kind)
{
	struct handle_pin p = { 0 };
	int r = handle_pin(&table, fh, kind, &p);

	if (r == 0)
		handle_close(&p);
	return r;
}

static int pin_once(uint64_t fh, enum handle_kind kind)
{
	struct handle_pin p = { 0 };
	int r = handle_pin(&table, fh, kind, &p);

	handle_unpin(&p);
	handle_unpin(&p);
	return r;
}

START_TEST(kinds_do_not_mix)
{
	uint64_t file = open_one(HANDLE_FILE), dir = open_one(HANDLE_DIR);

	ck_ok(pin_once(file, HANDLE_FILE));
	ck_assert_int_eq(pin_once(file, HANDLE_DIR), -EBADF);
	ck_ok(pin_once(dir, HANDLE_DIR));
	ck_assert_int_eq(pin_once(dir, HANDLE_FILE), -EBADF);
	ck_assert_int_eq(close_one(dir, HANDLE_FILE), -EBADF);
	ck_assert_uint_eq(handle_table_count(&table), 2);
	ck_ok(close_one(dir, HANDLE_DIR));
	ck_ok(close_one(file, HANDLE_FILE));
	ck_assert_int_eq(close_one(file, HANDLE_FILE), -EBADF);
	ck_assert_uint_eq(handle_table_count(&table), 0);
	ck_assert_int_eq(fd_count(), 1);
}
END_TEST

START_TEST(numbers_that_were_never_given)
{
	uint64_t fh = open_one(HANDLE_FILE);

	ck_assert_int_eq(pin_once(0, HANDLE_FILE), -EBADF);
	ck_assert_int_eq(pin_once(UINT64_MAX, HANDLE_FILE), -EBADF);
	for (int bit = 0; bit < 64; bit++)
		ck_assert_int_eq(pin_once(fh ^ 1ULL << bit, HANDLE_FILE),
				 -EBADF);
}
END_TEST

/* The descriptor lives as long as somebody is at work with it. */
START_TEST(closed_handle_outlives_its_number)
{
	uint64_t fh = open_one(HANDLE_FILE);
	struct handle_pin a = { 0 }, b = { 0 };
	int fd;

	ck_ok(handle_pin(&table, fh, HANDLE_FILE, &a));
	ck_ok(handle_pin(&table, fh, HANDLE_FILE, &b));
	fd = a.fd;
	handle_close(&b);
	ck_assert_int_eq(pin_once(fh, HANDLE_FILE), -EBADF);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	ck_assert_uint_eq(handle_table_count(&table), 1);
	handle_unpin(&a);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
	ck_assert_uint_eq(handle_table_count(&table), 0);
}
END_TEST

/* Of two that release the same number at the same time, one is enough. */
START_TEST(closed_twice_at_once)
{
	uint64_t fh = open_one(HANDLE_FILE);
	struct handle_pin a = { 0 }, b = { 0 };

	ck_ok(handle_pin(&table, fh, HANDLE_FILE, &a));
	ck_ok(handle_pin(&table, fh, HANDLE_FILE, &b));
	handle_close(&a);
	handle_close(&b);
	ck_assert_uint_eq(handle_table_count(&table), 0);
	ck_assert_int_eq(fd_count(), 1);
}
END_TEST

START_TEST(clear_closes_all)
{
	uint64_t fh[200];

	for (unsigned int i = 0; i < 200; i++)
		fh[i] = open_one(i % 2 ? HANDLE_FILE : HANDLE_DIR);
	ck_assert_int_eq(fd_count(), 201);
	handle_table_clear(&table);
	ck_assert_int_eq(fd_count(), 1);
	for (unsigned int i = 0; i < 200; i++)
		ck_assert_int_eq(pin_once(fh[i], i % 2 ? HANDLE_FILE :
							 HANDLE_DIR), -EBADF);
	ck_assert_uint_eq(handle_table_count(&table), 0);
}
END_TEST

START_TEST(full_table_is_enfile)
{
	unsigned int made = 0;

	setup_sized(32);
	for (int i = 0; i < 200; i++) {
		int fd = fd_openat(AT_FDCWD, "/dev/null", O_RDONLY, 0);
		uint64_t fh = 7;
		int r = handle_open(&table, HANDLE_FILE, &fd, &fh);

		ck_assert_int_eq(fd, -1);
		ck_assert(r == 0 || (r == -ENFILE && fh == 7));
		made += r == 0;
		/* Descriptors that are in nobody's hands: numbers vary. */
		if (i % 3 == 0)
			ck_assert_int_ge(dup(STDERR_FILENO), 0);
	}
	ck_assert_uint_eq(handle_table_count(&table), made);
	ck_assert_int_eq(fd_count(), (long)made + 1);
	teardown();
}
END_TEST

/* Opening, reading and closing of a few numbers at once. */
static _Atomic uint64_t known[4];

static void race(void *arg, unsigned int no)
{
	uint32_t seed = no + 1;

	for (unsigned int i = 0; i < unit_rounds(30000); i++) {
		unsigned int k = unit_random(&seed) % ARRAY_SIZE(known);
		struct handle_pin p = { 0 };

		if (handle_pin(&table, atomic_load(&known[k]), HANDLE_FILE,
			       &p) < 0) {
			atomic_store(&known[k], open_one(HANDLE_FILE));
			continue;
		}
		must(fcntl(p.fd, F_GETFD) >= 0);
		if (unit_random(&seed) % 4 == 0)
			handle_close(&p);
		else
			handle_unpin(&p);
	}
}

START_TEST(open_pin_and_close_race)
{
	unit_threads(8, race, NULL);
	ck_assert_int_eq(fd_count(), (long)handle_table_count(&table) + 1);
	handle_table_clear(&table);
	ck_assert_int_eq(fd_count(), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("handle");
	TCase *tc = unit_tcase(s, "table", 20);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kinds_do_not_mix);
	tcase_add_test(tc, numbers_that_were_never_given);
	tcase_add_test(tc, closed_handle_outlives_its_number);
	tcase_add_test(tc, closed_twice_at_once);
	tcase_add_test(tc, clear_closes_all);
	tcase_add_test(tc, open_pin_and_close_race);
	tc = unit_tcase(s, "small table", 20);
	tcase_add_test(tc, full_table_is_enfile);
	return unit_run(s);
}
