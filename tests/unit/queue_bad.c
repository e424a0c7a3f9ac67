/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio/queue against a driver that does what it must not: this queue stops,
 * with one line in the log and its error eventfd raised; no other does, and it
 * works again after a restart.
 */
#include <errno.h>
#include <string.h>

#include "base/barrier.h"
#include "base/fd.h"
#include "base/log.h"
#include "rig.h"
#include "unit.h"

#define NUM 16U
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
/* Where an indirect table is put. */
#define TABLE (RIG_DATA + 0x1000)

static struct rig rig, other;

static void setup(void)
{
	log_init(LOG_LEVEL_WARN, false);
	rig_init(&rig);
}

static void teardown(void)
{
	rig_destroy(&rig);
}

static void desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
		 uint16_t next)
{
	driver_desc(&rig.d, i, gpa, len, flags, next);
}

static void table_desc(uint16_t i, uint64_t gpa, uint32_t len, uint16_t flags,
		       uint16_t next)
{
	struct vring_desc d = { gpa, len, flags, next };

	gmem_write(&rig.g, TABLE + i * sizeof(d), &d, sizeof(d));
}

static void self_loop(void)
{
	desc(0, RIG_DATA, 8, NEXT, 0);
}

static void loop_of_two(void)
{
	desc(0, RIG_DATA, 8, NEXT, 1);
	desc(1, RIG_DATA + 100, 8, NEXT, 0);
}

/* All of the table, and then round again. */
static void loop_of_all(void)
{
	for (uint16_t i = 0; i < NUM; i++)
		desc(i, RIG_DATA + i * 16, 8, NEXT, (i + 1) % NUM);
}

static void next_outside(void)
{
	desc(0, RIG_DATA, 8, NEXT, NUM);
}

static void next_far_outside(void)
{
	desc(0, RIG_DATA, 8, NEXT, 65535);
}

static void zero_length(void)
{
	desc(0, RIG_DATA, 0, 0, 0);
}

static void zero_length_later(void)
{
	desc(0, RIG_DATA, 8, NEXT, 1);
	desc(1, RIG_DATA, 0, WRITE, 0);
}

static void readable_after_writable(void)
{
	desc(0, RIG_DATA, 8, WRITE | NEXT, 1);
	desc(1, RIG_DATA + 8, 8, 0, 0);
}

static void nowhere(void)
{
	desc(0, RIG_SIZE, 1, 0, 0);
}

static void over_the_end(void)
{
	desc(0, RIG_SIZE - 8, 9, 0, 0);
}

static void far_away(void)
{
	desc(0, 1ULL << 63, 8, 0, 0);
}

static void around_the_end_of_all(void)
{
	desc(0, UINT64_MAX - 3, 8, 0, 0);
}

/* Whose sum does not fit in 32 bits, and is small where it wraps. */
static void more_than_4_gib(void)
{
	gmem_add(&rig.g, 1ULL << 32, 0x60000000);
	for (uint16_t i = 0; i < 3; i++)
		desc(i, 1ULL << 32, i < 2 ? 0x60000000 : 0x40000010,
		     i < 2 ? NEXT : 0, i + 1);
}

static void more_than_the_most(void)
{
	gmem_add(&rig.g, 1ULL << 32, CHAIN_BYTES_MAX);
	desc(0, 1ULL << 32, CHAIN_BYTES_MAX, NEXT, 1);
	desc(1, RIG_DATA, 1, 0, 0);
}

static void more_than_the_most_to_write(void)
{
	gmem_add(&rig.g, 1ULL << 32, CHAIN_BYTES_MAX);
	desc(0, RIG_DATA, 8, NEXT, 1);
	desc(1, RIG_DATA, 1, NEXT | WRITE, 2);
	desc(2, 1ULL << 32, CHAIN_BYTES_MAX, WRITE, 0);
}

static void table_of_odd_length(void)
{
	desc(0, TABLE, 24, INDIRECT, 0);
}

static void table_of_no_length(void)
{
	desc(0, TABLE, 0, INDIRECT, 0);
}

static void table_of_15_bytes(void)
{
	desc(0, TABLE, 15, INDIRECT, 0);
}

static void table_too_large(void)
{
	desc(0, TABLE, (CHAIN_DESC_MAX + 1) * 16, INDIRECT, 0);
}

static void table_nowhere(void)
{
	desc(0, RIG_SIZE, 16, INDIRECT, 0);
}

static void table_over_the_end(void)
{
	struct vring_desc d = { RIG_DATA, 8, NEXT, 1 };

	gmem_write(&rig.g, RIG_SIZE - 16, &d, sizeof(d));
	desc(0, RIG_SIZE - 16, 32, INDIRECT, 0);
}

static void table_goes_on(void)
{
	table_desc(0, RIG_DATA, 8, 0, 0);
	desc(0, TABLE, 16, INDIRECT | NEXT, 1);
	desc(1, RIG_DATA, 8, WRITE, 0);
}

static void table_in_table(void)
{
	table_desc(0, TABLE, 16, INDIRECT, 0);
	desc(0, TABLE, 16, INDIRECT, 0);
}

static void table_next_outside(void)
{
	table_desc(0, RIG_DATA, 8, NEXT, 2);
	table_desc(1, RIG_DATA, 8, 0, 0);
	desc(0, TABLE, 32, INDIRECT, 0);
}

static void table_loop(void)
{
	table_desc(0, RIG_DATA, 8, NEXT, 1);
	table_desc(1, RIG_DATA + 50, 8, NEXT, 0);
	desc(0, TABLE, 32, INDIRECT, 0);
}

static void table_zero_length(void)
{
	table_desc(0, RIG_DATA, 0, WRITE, 0);
	desc(0, TABLE, 16, INDIRECT, 0);
}

static void table_readable_after_writable(void)
{
	desc(0, RIG_DATA, 8, WRITE | NEXT, 1);
	desc(1, TABLE, 16, INDIRECT, 0);
	table_desc(0, RIG_DATA, 8, 0, 0);
}

static const struct {
	void (*make)(void);
	const char *says;
} chains[] = {
	{ self_loop, "loop" },
	{ loop_of_two, "loop" },
	{ loop_of_all, "loop" },
	{ next_outside, "index outside" },
	{ next_far_outside, "index outside" },
	{ zero_length, "length 0" },
	{ zero_length_later, "length 0" },
	{ readable_after_writable, "readable" },
	{ nowhere, "outside" },
	{ over_the_end, "outside" },
	{ far_away, "outside" },
	{ around_the_end_of_all, "outside" },
	{ more_than_4_gib, "is longer than" },
	{ more_than_the_most, "is longer than" },
	{ more_than_the_most_to_write, "is longer than" },
	{ table_of_odd_length, "odd length" },
	{ table_of_no_length, "odd length" },
	{ table_of_15_bytes, "odd length" },
	{ table_too_large, "too large" },
	{ table_nowhere, "outside" },
	{ table_over_the_end, "outside" },
	{ table_goes_on, "goes on" },
	{ table_in_table, "indirect one" },
	{ table_next_outside, "index outside" },
	{ table_loop, "loop" },
	{ table_zero_length, "length 0" },
	{ table_readable_after_writable, "readable" },
};

static void check_other_queue(struct rig *r)
{
	struct vring_used_elem e;

	rig_offer_pair(r, 4);
	driver_publish(&r->d);
	rig_pop(r, 4);
	ck_assert(queue_push(&r->q, &r->c, 3));
	ck_assert(driver_take(&r->d, &e));
	ck_assert_uint_eq(e.id, 4);
	ck_assert_uint_eq(e.len, 3);
}

/* The next pop finds the queue broken, now and later, and says so once. */
static void check_stopped(const char *says)
{
	struct capture log;
	unsigned int lines;

	capture_begin(&log);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(queue_pop(&rig.q, &rig.c), -EBADMSG);
	lines = capture_end(&log);
	ck_assert_msg(lines == 1 && strstr(log.text, "queue 1 stopped") &&
			      strstr(log.text, says),
		      "%u lines, not \"%s\": %s", lines, says, log.text);
	ck_assert_uint_eq(unit_eventfd_take(rig.d.err_fd), 1);
	ck_assert(!queue_has_more(&rig.q));
	ck_assert(!queue_arm(&rig.q));
}

static void check_restart(void)
{
	rig_stop(&rig);
	rig_start(&rig, NUM, true, 0);
	check_other_queue(&rig);
	rig_stop(&rig);
}

START_TEST(malformed_chain)
{
	rig_init(&other);
	rig_start(&other, NUM, true, 0);
	rig_start(&rig, NUM, true, 0);
	check_other_queue(&rig);
	chains[_i].make();
	driver_offer(&rig.d, 0);
	driver_publish(&rig.d);
	check_stopped(chains[_i].says);
	check_other_queue(&other);
	check_restart();
	rig_stop(&other);
	memmap_clear(&other.map);
	queue_destroy(&other.q);
	gmem_destroy(&other.g);
	free(other.inflight);
	free(other.c.iov);
}
END_TEST

START_TEST(head_outside_the_ring)
{
	static const uint16_t heads[] = { NUM, NUM + 1, 0x7fff, 0x8000, 0xffff };

	rig_start(&rig, NUM, true, 0);
	driver_offer(&rig.d, heads[_i]);
	driver_publish(&rig.d);
	check_stopped("outside the ring");
	check_restart();
}
END_TEST

START_TEST(head_given_twice)
{
	rig_start(&rig, NUM, true, 0);
	rig_offer_pair(&rig, 2);
	driver_offer(&rig.d, 2);
	driver_publish(&rig.d);
	rig_pop(&rig, 2);
	check_stopped("twice");
	/* What was popped before is still answered. */
	ck_assert(queue_push(&rig.q, &rig.c, 0));
	check_restart();
}
END_TEST

START_TEST(head_given_again_is_good)
{
	rig_start(&rig, NUM, true, 0);
	for (int i = 0; i < 100; i++) {
		struct vring_used_elem e;

		rig_offer_pair(&rig, 2);
		driver_publish(&rig.d);
		rig_pop(&rig, 2);
		ck_assert(queue_push(&rig.q, &rig.c, 0));
		ck_assert(driver_take(&rig.d, &e));
	}
	rig_stop(&rig);
}
END_TEST

START_TEST(avail_index_jumps)
{
	static const uint16_t bases[] = { 0, 0xfff0, 0xffff };
	uint16_t base = bases[_i];

	rig_start(&rig, NUM, true, base);
	/* As many as the ring has is no jump. */
	for (uint16_t i = 0; i < NUM; i++) {
		desc(i, RIG_DATA, 8, WRITE, 0);
		driver_offer(&rig.d, i);
	}
	driver_publish(&rig.d);
	for (uint16_t i = 0; i < NUM; i++) {
		rig_pop(&rig, i);
		ck_assert(queue_push(&rig.q, &rig.c, 0));
	}
	store_release_le16(&rig.d.avail->idx, (uint16_t)(base + 2 * NUM + 1));
	check_stopped("jumped");
	check_restart();
}
END_TEST

/* Back by one is forward by 65535. */
START_TEST(avail_index_goes_back)
{
	rig_start(&rig, NUM, true, 5);
	store_release_le16(&rig.d.avail->idx, 4);
	check_stopped("jumped");
	check_restart();
}
END_TEST

/* A ring that was broken while requests were parked: nothing hangs on them. */
START_TEST(broken_ring_forgets_parked_requests)
{
	uint64_t unique;
	int result;

	rig_start(&rig, NUM, true, 0);
	rig_offer_pair(&rig, 2);
	driver_offer(&rig.d, NUM);
	driver_publish(&rig.d);
	rig_pop(&rig, 2);
	inflight_acting(rig.c.record, 31, 5);
	check_stopped("outside the ring");
	ck_assert(queue_complete(&rig.q, 2, rig.c.start_no, 0));
	ck_assert_int_eq(queue_pop_done(&rig.q, &rig.c, &unique, &result),
			 -EBADMSG);
	check_restart();
}
END_TEST

/* A parked chain that is malformed by the time its request completes. */
START_TEST(parked_chain_is_checked_again)
{
	uint64_t unique;
	int result;

	rig_start(&rig, NUM, true, 0);
	rig_offer_pair(&rig, 2);
	driver_publish(&rig.d);
	rig_pop(&rig, 2);
	inflight_acting(rig.c.record, 31, 5);
	desc(2, RIG_SIZE, 8, 0, 0);
	ck_assert(queue_complete(&rig.q, 2, rig.c.start_no, 0));
	ck_assert_int_eq(queue_pop_done(&rig.q, &rig.c, &unique, &result),
			 -EBADMSG);
	ck_assert_uint_eq(unit_eventfd_take(rig.d.err_fd), 1);
	check_restart();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("queue_bad");
	TCase *tc = unit_tcase(s, "malformed", 20);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, malformed_chain, 0, ARRAY_SIZE(chains));
	tcase_add_loop_test(tc, head_outside_the_ring, 0, 5);
	tcase_add_test(tc, head_given_twice);
	tcase_add_test(tc, head_given_again_is_good);
	tcase_add_loop_test(tc, avail_index_jumps, 0, 3);
	tcase_add_test(tc, avail_index_goes_back);
	tcase_add_test(tc, broken_ring_forgets_parked_requests);
	tcase_add_test(tc, parked_chain_is_checked_again);
	return unit_run(s);
}
