/* SPDX-License-Identifier: BSD-3-Clause */
/* Translation of ids: what each kind of rule does, and which rules are refused. */
#include "base/idmap.h"

#include <errno.h>
#include <string.h>

#include "base/scope.h"
#include "unit.h"

static struct idmap m;

static void teardown(void)
{
	idmap_free(&m);
}

static void good(const char *rule)
{
	const char *what = "";

	ck_assert_msg(idmap_add(&m, rule, &what) == 0, "%s: %s", rule, what);
}

static void bad(const char *rule, const char *why)
{
	const char *what = "";

	ck_assert_msg(idmap_add(&m, rule, &what) == -EINVAL, "accepted: %s", rule);
	ck_assert_msg(strstr(what, why), "%s: %s", rule, what);
}

static uint32_t host_of(uint32_t guest)
{
	uint32_t id = 0xdead;

	ck_assert_int_eq(idmap_to_host(&m, guest, &id), 0);
	return id;
}

START_TEST(no_rule_changes_nothing)
{
	static const uint32_t ids[] = { 0, 1, 65534, 0x7fffffff, 0xfffffffe,
					0xffffffff };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		ck_assert_uint_eq(host_of(ids[i]), ids[i]);
		ck_assert_uint_eq(idmap_to_guest(&m, ids[i]), ids[i]);
	}
}
END_TEST

/* Only the way that they name, and no further than they go. */
START_TEST(ranges_go_one_way_or_both)
{
	good("guest:100:5000:10");
	ck_assert_uint_eq(host_of(99), 99);
	ck_assert_uint_eq(host_of(100), 5000);
	ck_assert_uint_eq(host_of(109), 5009);
	ck_assert_uint_eq(host_of(110), 110);
	ck_assert_uint_eq(idmap_to_guest(&m, 5000), 5000);
	good("host:200:6000:10");
	ck_assert_uint_eq(idmap_to_guest(&m, 200), 6000);
	ck_assert_uint_eq(idmap_to_guest(&m, 209), 6009);
	ck_assert_uint_eq(idmap_to_guest(&m, 210), 210);
	ck_assert_uint_eq(host_of(6000), 6000);
	good("map:0:100000:50");
	ck_assert_uint_eq(host_of(0), 100000);
	ck_assert_uint_eq(host_of(49), 100049);
	ck_assert_uint_eq(idmap_to_guest(&m, 100049), 49);
	ck_assert_uint_eq(idmap_to_guest(&m, 100050), 100050);
}
END_TEST

START_TEST(many_become_one)
{
	good("squash-guest:1000:7:1000");
	ck_assert_uint_eq(host_of(1000), 7);
	ck_assert_uint_eq(host_of(1999), 7);
	ck_assert_uint_eq(host_of(2000), 2000);
	ck_assert_uint_eq(idmap_to_guest(&m, 7), 7);
	good("squash-host:3000:8:4294964295");
	ck_assert_uint_eq(idmap_to_guest(&m, 3000), 8);
	ck_assert_uint_eq(idmap_to_guest(&m, 0xfffffffe), 8);
	ck_assert_uint_eq(idmap_to_guest(&m, 2999), 2999);
}
END_TEST

START_TEST(forbidden_ids)
{
	uint32_t id = 1;

	good("forbid-guest:10:5");
	ck_assert_int_eq(idmap_to_host(&m, 10, &id), -EPERM);
	ck_assert_int_eq(idmap_to_host(&m, 14, &id), -EPERM);
	ck_assert_uint_eq(id, 1);
	ck_assert_uint_eq(host_of(9), 9);
	ck_assert_uint_eq(host_of(15), 15);
	ck_assert_uint_eq(idmap_to_guest(&m, 12), 12);
}
END_TEST

START_TEST(rules_of_one_direction_do_not_overlap)
{
	good("map:0:1000:10");
	bad("guest:9:5:1", "earlier");
	bad("squash-guest:0:5:100", "earlier");
	bad("forbid-guest:5:1", "earlier");
	bad("host:1009:5:1", "earlier");
	bad("map:10:1005:1", "earlier");
	good("host:0:1000:10");
	good("guest:20:1000:10");
}
END_TEST

START_TEST(rules_that_are_none)
{
	bad("", "wanted");
	bad("maps:1:2:3", "wanted");
	bad("map", "three numbers");
	bad("map:1:2", "three numbers");
	bad("map:1:2:3:4", "three numbers");
	bad("map:1:2:3:", "three numbers");
	bad("map:1::3", "three numbers");
	bad("map:-1:2:3", "three numbers");
	bad("map: 1:2:3", "three numbers");
	bad("map:+1:2:3", "three numbers");
	bad("map:0x1:2:3", "three numbers");
	bad("map:1:2:4294967296", "three numbers");
	bad("forbid-guest:1:2:3", "two numbers");
	bad("forbid-guest:1", "two numbers");
	bad("map:1:2:0", "range");
	bad("map:4294967295:0:1", "range");
	bad("guest:0:4294967290:10", "range");
	bad("squash-guest:0:4294967295:10", "range");
	good("squash-guest:0:4294967294:10");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("idmap");
	TCase *tc = unit_tcase(s, "translation of ids", 10);

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, no_rule_changes_nothing);
	tcase_add_test(tc, ranges_go_one_way_or_both);
	tcase_add_test(tc, many_become_one);
	tcase_add_test(tc, forbidden_ids);
	tcase_add_test(tc, rules_of_one_direction_do_not_overlap);
	tcase_add_test(tc, rules_that_are_none);
	return unit_run(s);
}
