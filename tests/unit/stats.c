/* SPDX-License-Identifier: BSD-3-Clause */
/* base/stats: buckets and quantiles; base/trace: what is written is read, once; control/json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/stats.h"
#include "base/trace.h"
#include "control/json.h"
#include "unit.h"

START_TEST(buckets_follow_one_another)
{
	for (unsigned int i = 1; i < STATS_BUCKETS; i++) {
		uint64_t start = stats_bucket_start(i);

		ck_assert_uint_gt(start, stats_bucket_start(i - 1));
		ck_assert_uint_eq(stats_bucket(start), i);
		ck_assert_uint_eq(stats_bucket(start - 1), i - 1);
	}
	ck_assert_uint_eq(stats_bucket(0), 0);
	ck_assert_uint_eq(stats_bucket(UINT64_MAX), STATS_BUCKETS - 1);
}
END_TEST

/* Good to 12 %, wherever the numbers lie. */
START_TEST(quantiles)
{
	for (uint64_t unit = 1000; unit < 1000000000; unit *= 10) {
		struct stats_op op = { 0 };

		for (uint64_t i = 1; i <= 1000; i++)
			stats_time(&op, i * unit);
		ck_assert_uint_eq(stats_timed(&op), 1000);
		for (unsigned int part = 100; part < 1000; part += 100) {
			double q = (double)stats_quantile(&op, part) /
				   (double)(part * unit);

			ck_assert(q > 0.88 && q < 1.12);
		}
	}
}
END_TEST

START_TEST(nothing_timed_is_nothing)
{
	struct stats_op op = { 0 };

	ck_assert_uint_eq(stats_quantile(&op, 500), 0);
	stats_time(&op, 5000);
	ck_assert(stats_quantile(&op, 1) == stats_quantile(&op, 999));
}
END_TEST

/* One in sixteen, whatever the period of what the guest does; its numbers go up
 * by two. */
START_TEST(each_request_has_its_chance)
{
	unsigned int hits[12] = { 0 };

	for (unsigned int i = 0; i < 12 * 8000; i++)
		hits[i % 12] += stats_is_sample(2 * i);
	for (unsigned int i = 0; i < 12; i++) {
		ck_assert_uint_gt(hits[i], 400);
		ck_assert_uint_lt(hits[i], 600);
	}
}
END_TEST

static struct trace trace;

static void put(uint64_t unique)
{
	struct trace_record *r;
	uint64_t number;

	r = trace_begin(&trace, &number);
	r->unique = unique;
	r->nodeid = ~unique;
	trace_end(r, number);
}

START_TEST(trace_keeps_the_order_and_counts_what_it_lost)
{
	struct trace_record r;
	uint64_t missed = 0;

	ck_ok(trace_watch(&trace));
	must(!trace_next(&trace, &r, &missed));
	for (uint64_t i = 0; i < 100; i++)
		put(i);
	for (uint64_t i = 0; i < 100; i++) {
		must(trace_next(&trace, &r, &missed));
		ck_assert_uint_eq(r.unique, i);
	}
	must(!trace_next(&trace, &r, &missed));
	ck_assert_uint_eq(missed, 0);
	for (uint64_t i = 0; i < TRACE_RECORDS + 10; i++)
		put(i);
	must(trace_next(&trace, &r, &missed));
	ck_assert_uint_eq(missed, 10);
	ck_assert_uint_eq(r.unique, 10);
	/* Who comes later sees what comes later. */
	trace_unwatch(&trace);
	ck_ok(trace_watch(&trace));
	must(!trace_next(&trace, &r, &missed));
	trace_destroy(&trace);
}
END_TEST

static atomic_bool writing;

static void write_and_read(void *arg, unsigned int no)
{
	uint64_t missed = 0, n = 0, last[4] = { 0 };
	struct trace_record r;

	for (uint64_t i = 1; no > 0 && i <= unit_rounds(20000); i++)
		put((uint64_t)no << 32 | i);
	if (no == 1)
		atomic_store(&writing, false);
	while (no == 0 && (atomic_load(&writing) ||
			   trace_next(&trace, &r, &missed))) {
		if (!trace_next(&trace, &r, &missed))
			continue;
		n++;
		must(r.nodeid == ~r.unique);
		must((uint32_t)r.unique > last[r.unique >> 32]);
		last[r.unique >> 32] = (uint32_t)r.unique;
	}
}

/* Records are whole, and each writer's in its order. */
START_TEST(trace_with_writers_at_work)
{
	ck_ok(trace_watch(&trace));
	atomic_store(&writing, true);
	unit_threads(3, write_and_read, NULL);
	trace_destroy(&trace);
}
END_TEST

START_TEST(json_is_json)
{
	char *text = NULL;
	size_t len = 0;
	struct json j = { .f = open_memstream(&text, &len) };

	json_open(&j, NULL, '{');
	json_string(&j, "a", "\"\\\n\x7f \xc3\xa9 \xff \xc3");
	json_open(&j, "b", '[');
	json_number(&j, NULL, UINT64_MAX);
	json_bool(&j, NULL, true);
	json_string(&j, NULL, NULL);
	/* Overlong, a surrogate, beyond the last character. */
	json_string(&j, NULL, "\xc0\xaf\xed\xa0\x80\xf4\x90\x80\x80");
	json_close(&j, ']');
	json_open(&j, "c", '{');
	json_close(&j, '}');
	json_real(&j, "d", 1.5);
	json_text(&j, "e", "%d-%s", 7, "x");
	json_close(&j, '}');
	fclose(j.f);
	ck_assert_str_eq(text,
			 "{\"a\":\"\\\"\\\\\\u000a\\u007f \xc3\xa9 \\ufffd \\ufffd\","
			 "\"b\":[18446744073709551615,true,null,"
			 "\"\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\\ufffd\"],"
			 "\"c\":{},\"d\":1.500000,\"e\":\"7-x\"}");
	free(text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("stats");
	TCase *tc = unit_tcase(s, "stats", 20);

	tcase_add_test(tc, buckets_follow_one_another);
	tcase_add_test(tc, quantiles);
	tcase_add_test(tc, nothing_timed_is_nothing);
	tcase_add_test(tc, each_request_has_its_chance);
	tc = unit_tcase(s, "trace", 20);
	tcase_add_test(tc, trace_keeps_the_order_and_counts_what_it_lost);
	tcase_add_test(tc, trace_with_writers_at_work);
	tc = unit_tcase(s, "json", 20);
	tcase_add_test(tc, json_is_json);
	return unit_run(s);
}
