/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/hints: what was told is known; fs/fsclass: which file system is which. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <linux/magic.h>

#include "base/fd.h"
#include "fs/fsclass.h"
#include "fs/hints.h"
#include "unit.h"

static struct hints hints;

static void setup(void)
{
	ck_ok(hints_init(&hints));
}

static void teardown(void)
{
	hints_destroy(&hints);
}

START_TEST(names_are_known_until_dropped)
{
	static const char *const names[] = { "a", "1234567", "12345678",
					     "123456789", "a longer name",
					     "a longer namf" };

	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct hint h = hint_of(7, names[i]);

		ck_assert_uint_eq(hints_find(&hints, h), 0);
		hints_note(&hints, h, 40 + i);
		ck_assert_uint_eq(hints_find(&hints, h), 40 + i);
		ck_assert_uint_eq(hints_find(&hints, hint_of(8, names[i])), 0);
		hints_note(&hints, h, 50 + i);
	}
	for (uint32_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct hint h = hint_of(7, names[i]);

		ck_assert_uint_eq(hints_find(&hints, h), 50 + i);
		hints_drop(&hints, h);
		ck_assert_uint_eq(hints_find(&hints, h), 0);
	}
}
END_TEST

/* Two names can share a place; the third one takes it from one of them, and dropping
 * one leaves the others alone. */
START_TEST(places_are_shared)
{
	struct hint a = hint_of(1, "a"), b = a, c = a;

	b.tag = a.tag ^ 1U << 31;
	c.tag = a.tag ^ 1U << 30;
	hints_note(&hints, a, 3);
	hints_note(&hints, b, 4);
	ck_assert_uint_eq(hints_find(&hints, a), 3);
	hints_drop(&hints, a);
	ck_assert_uint_eq(hints_find(&hints, a), 0);
	ck_assert_uint_eq(hints_find(&hints, b), 4);
	hints_note(&hints, a, 3);
	hints_note(&hints, c, 5);
	ck_assert_uint_eq(hints_find(&hints, c), 5);
	ck_assert_uint_eq((hints_find(&hints, a) != 0) +
				  (hints_find(&hints, b) != 0),
			  1);
}
END_TEST

/* Most names stay known while the table grows with them. */
START_TEST(names_are_spread)
{
	unsigned int n = HINTS_MAX / 8, known = 0;
	char name[32];

	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		hints_note(&hints, hint_of(i % 100, name), i + 1);
	}
	for (unsigned int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		known += hints_find(&hints, hint_of(i % 100, name)) == i + 1;
	}
	ck_assert_uint_ge(known, n / 100 * 80);
	ck_assert_uint_lt(hints.mask, n * 4);
}
END_TEST

/* However many come, it ends somewhere. */
START_TEST(table_has_an_end)
{
	char name[32];

	for (unsigned int i = 0; i < 4 * HINTS_MAX; i++) {
		snprintf(name, sizeof(name), "file%u", i);
		hints_note(&hints, hint_of(i % 100, name), i + 1);
	}
	ck_assert_uint_eq(hints.mask, HINTS_MAX - 1);
	ck_assert_uint_eq(hints_find(&hints, hint_of((4 * HINTS_MAX - 1) % 100, name)),
			  4 * HINTS_MAX);
}
END_TEST

static unsigned int class_of(const char *path)
{
	int fd = fd_openat(AT_FDCWD, path, O_PATH, 0);
	unsigned int class;

	must(fd >= 0);
	class = fsclass_of(fd);
	(void)fd_close(&fd);
	return class;
}

START_TEST(classes)
{
	struct statfs sfs;

	/* Not on the list. */
	ck_assert_uint_eq(class_of("/proc"), FSCLASS_REMOTE);
	if (statfs("/dev/shm", &sfs) == 0 && sfs.f_type == TMPFS_MAGIC)
		ck_assert_uint_eq(class_of("/dev/shm"),
				  FSCLASS_MEMORY | FSCLASS_BORN);
	if (statfs("/usr", &sfs) == 0 && sfs.f_type == EXT4_SUPER_MAGIC)
		ck_assert_uint_eq(class_of("/usr"), FSCLASS_BORN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("hints");
	TCase *tc = unit_tcase(s, "hints", 20);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, names_are_known_until_dropped);
	tcase_add_test(tc, places_are_shared);
	tcase_add_test(tc, names_are_spread);
	tcase_add_test(tc, table_has_an_end);
	tc = unit_tcase(s, "classes", 20);
	tcase_add_test(tc, classes);
	return unit_run(s);
}
