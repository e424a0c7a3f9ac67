/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/name: one component of a path, and nothing else. */
#include "fs/name.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "unit.h"

static const struct {
	const char *name;
	int make, look_up;
} names[] = {
	{ "", -EINVAL, -ENOENT },
	{ ".", -EINVAL, 0 },
	{ "..", -EINVAL, 0 },
	{ "/", -EINVAL, -EINVAL },
	{ "a/b", -EINVAL, -EINVAL },
	{ "a/", -EINVAL, -EINVAL },
	{ "/a", -EINVAL, -EINVAL },
	{ "../x", -EINVAL, -EINVAL },
	{ "./", -EINVAL, -EINVAL },
	{ "a", 0, 0 },
	{ "...", 0, 0 },
	{ "..a", 0, 0 },
	{ ".a", 0, 0 },
	{ " ", 0, 0 },
	{ "\n", 0, 0 },
	{ "\xff\xfe", 0, 0 },
	{ "a\\b", 0, 0 },
};

START_TEST(names_and_what_they_are_good_for)
{
	ck_assert_int_eq(name_check(names[_i].name), names[_i].make);
	ck_assert_int_eq(name_check_lookup(names[_i].name), names[_i].look_up);
}
END_TEST

START_TEST(length)
{
	char name[NAME_MAX + 2];

	memset(name, 'n', sizeof(name));
	name[NAME_MAX + 1] = '\0';
	ck_assert_int_eq(name_check(name), -ENAMETOOLONG);
	ck_assert_int_eq(name_check_lookup(name), -ENAMETOOLONG);
	name[NAME_MAX] = '\0';
	ck_assert_int_eq(name_check(name), 0);
	ck_assert_int_eq(name_check_lookup(name), 0);
}
END_TEST

START_TEST(dots)
{
	ck_assert(name_is_dot("."));
	ck_assert(!name_is_dot("") && !name_is_dot("..") && !name_is_dot(".a"));
	ck_assert(name_is_dotdot(".."));
	ck_assert(!name_is_dotdot("") && !name_is_dotdot(".") &&
		  !name_is_dotdot("..."));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("name");
	TCase *tc = unit_tcase(s, "names", 10);

	tcase_add_loop_test(tc, names_and_what_they_are_good_for, 0,
			    sizeof(names) / sizeof(names[0]));
	tcase_add_test(tc, length);
	tcase_add_test(tc, dots);
	return unit_run(s);
}
