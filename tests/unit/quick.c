/* SPDX-License-Identifier: BSD-3-Clause */
/* device/quick.h: what keeps the lead, and what does not. */
#include "device/quick.h"

#include "unit.h"
#include "wire/fuse.h"

#define US 1000ULL
#define MS 1000000ULL
#define S 1000000000ULL

static struct quick q;

static void learn(unsigned int n, uint32_t opcode, uint64_t ns, uint64_t now)
{
	while (n--)
		quick_learn(&q, opcode, quick_is(&q, opcode, now), ns, now);
}

static void start(void)
{
	q = (struct quick){ 0 };
}

START_TEST(what_is_quick_keeps_the_lead)
{
	start();
	learn(1000, FUSE_GETATTR, 40 * US, S);
	ck_assert(quick_is(&q, FUSE_GETATTR, S));
	/* One that is not makes no difference, ... */
	learn(1, FUSE_GETATTR, 300 * US, S);
	ck_assert(quick_is(&q, FUSE_GETATTR, S));
	/* ... but several do, of that operation. */
	learn(20, FUSE_GETATTR, 300 * US, S);
	ck_assert(!quick_is(&q, FUSE_GETATTR, S));
	ck_assert(quick_is(&q, FUSE_LOOKUP, S));
}
END_TEST

/* Few calls find out that it is still slow. */
START_TEST(what_is_slow_is_tried_again)
{
	unsigned int kept = 0;

	start();
	for (uint64_t now = S; now < 101 * S; now += MS) {
		kept += quick_is(&q, FUSE_READ, now);
		learn(1, FUSE_READ, 300 * US, now);
	}
	ck_assert_uint_ge(kept, 49);
	ck_assert_uint_le(kept, 51 * 8);
	learn(100, FUSE_READ, 10 * US, 200 * S);
	ck_assert(quick_is(&q, FUSE_READ, 200 * S));
}
END_TEST

/* What others wait for in the server's queue is not the operation's fault. */
START_TEST(without_the_lead_only_long_calls_count)
{
	start();
	learn(20, FUSE_READ, 300 * US, S);
	ck_assert(!quick_is(&q, FUSE_READ, 2 * S));
	learn(100, FUSE_READ, 4 * MS, 2 * S);
	ck_assert(quick_is(&q, FUSE_READ, 3 * S));
	start();
	learn(20, FUSE_READ, 300 * US, S);
	learn(1, FUSE_READ, 5 * MS, 2 * S);
	ck_assert(!quick_is(&q, FUSE_READ, 3 * S));
	ck_assert(quick_is(&q, FUSE_READ, 4 * S));
}
END_TEST

START_TEST(after_a_stall_none_keeps_the_lead)
{
	start();
	quick_stalled(&q, S);
	ck_assert(!quick_is(&q, FUSE_READ, S));
	ck_assert(!quick_is(&q, FUSE_GETATTR, 2 * S));
	ck_assert(quick_is(&q, FUSE_GETATTR, 3 * S));
}
END_TEST

/* The guest's number: any. */
START_TEST(unknown_operations_have_a_place)
{
	start();
	learn(1000, UINT32_MAX, 1 * MS, S);
	learn(1000, 4096, 10 * US, S);
	ck_assert(quick_is(&q, FUSE_READ, S));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("quick");
	TCase *tc = unit_tcase(s, "quick", 10);

	tcase_add_test(tc, what_is_quick_keeps_the_lead);
	tcase_add_test(tc, what_is_slow_is_tried_again);
	tcase_add_test(tc, without_the_lead_only_long_calls_count);
	tcase_add_test(tc, after_a_stall_none_keeps_the_lead);
	tcase_add_test(tc, unknown_operations_have_a_place);
	return unit_run(s);
}
