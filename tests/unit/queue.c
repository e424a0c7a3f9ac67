/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio/queue: a split ring against a driver that keeps to the rules. */
#include "virtio/queue.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/fd.h"
#include "rig.h"
#include "unit.h"

static struct rig rig;

static void setup(void)
{
	rig_init(&rig);
}

static void teardown(void)
{
	rig_destroy(&rig);
}

static void check_used(uint32_t id, uint32_t len)
{
	struct vring_used_elem e;

	must(driver_take(&rig.d, &e));
	must(e.id == id);
	must(e.len == len);
}

/* As many chains as the ring has descriptors, twice around. */
static void fill_and_drain(uint32_t num)
{
	for (uint32_t i = 0; i < num; i++) {
		uint16_t head = (uint16_t)(num - 1 - i);

		driver_desc(&rig.d, head, RIG_DATA + i, 1, VRING_DESC_F_WRITE, 0);
		driver_offer(&rig.d, head);
	}
	driver_publish(&rig.d);
	for (uint32_t i = 0; i < num; i++) {
		rig_pop(&rig, (uint16_t)(num - 1 - i));
		must(rig.c.n_read == 0);
		must(rig.c.n_write == 1);
		*(char *)rig.c.iov[0].iov_base = (char)i;
		must(queue_push(&rig.q, &rig.c, 1));
	}
	must(queue_pop(&rig.q, &rig.c) == 0);
	for (uint32_t i = 0; i < num; i++) {
		check_used(num - 1 - i, 1);
		must(*(char *)gmem_ptr(&rig.g, RIG_DATA + i, 1) == (char)i);
	}
}

START_TEST(ring_of_each_size)
{
	uint32_t num = 1U << _i;

	rig_start(&rig, num, _i % 2, 0);
	for (int round = 0; round < 3; round++)
		fill_and_drain(num);
	rig_stop(&rig);
	rig_start(&rig, num, !(_i % 2), 65535);
	fill_and_drain(num);
	rig_stop(&rig);
}
END_TEST

START_TEST(bad_values_are_refused)
{
	static const uint32_t bad[] = { 0, 3, 32767, 32769, 65536, 1U << 31,
					UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_int_eq(queue_set_num(&rig.q, bad[i]), -EINVAL);
	ck_assert_int_eq(queue_set_base(&rig.q, 65536), -EINVAL);
	ck_assert_int_eq(queue_set_base(&rig.q, UINT32_MAX), -EINVAL);
	ck_assert_int_eq(queue_set_addr(&rig.q, 0, 0, 0, 0, 2), -EINVAL);
	ck_assert(!queue_runnable(&rig.q));
}
END_TEST

static int map_at(uint64_t desc, uint64_t avail, uint64_t used)
{
	int r;

	ck_ok(queue_set_addr(&rig.q, GMEM_UADDR + desc, GMEM_UADDR + avail,
			     GMEM_UADDR + used, 0, 0));
	r = queue_map(&rig.q, true, true);
	ck_assert_int_eq(queue_check_addr(&rig.q, true), r);
	return r;
}

START_TEST(rings_lie_in_guest_memory)
{
	const uint64_t end = RIG_SIZE;

	ck_ok(queue_set_num(&rig.q, 16));
	ck_ok(map_at(0, 256, 4096));
	queue_unmap(&rig.q);
	/* Exactly at the end, and one byte further. */
	ck_ok(map_at(end - 256, 0, 4096));
	ck_assert_int_eq(map_at(end - 240, 0, 4096), -EFAULT);
	ck_ok(map_at(0, end - 38, 4096));
	ck_assert_int_eq(map_at(0, end - 36, 4096), -EFAULT);
	ck_ok(map_at(0, 256, end - 136));
	ck_assert_int_eq(map_at(0, 256, end - 132), -EFAULT);
	ck_assert_int_eq(map_at(8, 256, 4096), -EINVAL);
	ck_assert_int_eq(map_at(0, 257, 4096), -EINVAL);
	ck_assert_int_eq(map_at(0, 256, 4098), -EINVAL);
	ck_assert_int_eq(map_at(end, 256, 4096), -EFAULT);
	ck_assert_int_eq(map_at(UINT64_MAX - GMEM_UADDR - 15, 256, 4096),
			 -EFAULT);
}
END_TEST

/* What the specification's text says, spelled out: an interrupt is wanted when
 * the used index has passed the event. */
static bool must_call(uint16_t event, uint16_t old, uint16_t now)
{
	for (uint16_t i = old; i != now; i++)
		if (i == event)
			return true;
	return false;
}

static void push_one(uint16_t head)
{
	driver_desc(&rig.d, head, RIG_DATA, 1, VRING_DESC_F_WRITE, 0);
	driver_offer(&rig.d, head);
	driver_publish(&rig.d);
	rig_pop(&rig, head);
	must(queue_push(&rig.q, &rig.c, 0));
}

/* From @base on, @batch completions before a notification; the driver's event
 * lies @ahead of the present index. */
static void check_call(uint16_t base, uint16_t batch, int ahead)
{
	struct vring_used_elem e;
	uint16_t event;

	rig_start(&rig, 8, true, base);
	/* The first one of a start is unconditional. */
	store_le16(&rig.d.avail->ring[8], (uint16_t)(base + 1000));
	push_one(0);
	queue_notify(&rig.q);
	must(unit_eventfd_take(rig.d.call_fd) == 1);
	queue_notify(&rig.q);
	must(unit_eventfd_take(rig.d.call_fd) == 0);

	event = (uint16_t)(base + 1 + ahead);
	store_le16(&rig.d.avail->ring[8], event);
	for (uint16_t i = 0; i < batch; i++)
		push_one(i % 8);
	queue_notify(&rig.q);
	ck_assert_msg(unit_eventfd_take(rig.d.call_fd) ==
			      must_call(event, (uint16_t)(base + 1),
					(uint16_t)(base + 1 + batch)),
		      "base %u batch %u ahead %d", base, batch, ahead);
	while (driver_take(&rig.d, &e))
		;
	rig_stop(&rig);
}

START_TEST(event_index_decides_on_calls)
{
	static const uint16_t bases[] = { 0, 1, 0x7ffe, 0x7fff, 0x8000, 0xfff8,
					  0xfffd, 0xfffe, 0xffff };
	static const int ahead[] = { -32768, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8,
				     32767 };

	for (size_t b = 0; b < ARRAY_SIZE(bases); b++)
		for (uint16_t batch = 1; batch <= 8; batch++)
			for (size_t a = 0; a < ARRAY_SIZE(ahead); a++)
				check_call(bases[b], batch, ahead[a]);
}
END_TEST

/* For what the guest cannot know of: a worker that took over, say. */
START_TEST(call_whatever_was_asked_for)
{
	for (int event_idx = 0; event_idx <= 1; event_idx++) {
		rig_start(&rig, 8, event_idx, 0);
		push_one(0);
		queue_notify(&rig.q);
		ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 1);
		store_le16(&rig.d.avail->ring[8], 1000);
		queue_notify(&rig.q);
		ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 0);
		queue_notify_anyway(&rig.q);
		ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 1);
		rig_stop(&rig);
	}
}
END_TEST

START_TEST(flags_decide_without_event_index)
{
	rig_start(&rig, 8, false, 0);
	push_one(0);
	queue_notify(&rig.q);
	ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 1);
	driver_want_no_call(&rig.d);
	push_one(1);
	queue_notify(&rig.q);
	ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 0);
	driver_want_call(&rig.d);
	push_one(2);
	queue_notify(&rig.q);
	ck_assert_uint_eq(unit_eventfd_take(rig.d.call_fd), 1);
	rig_stop(&rig);
}
END_TEST

/* The other direction: when the queue asks for kicks, and sees what came
 * before it asked. */
START_TEST(queue_asks_for_kicks)
{
	for (int event_idx = 0; event_idx <= 1; event_idx++) {
		rig_start(&rig, 8, event_idx, 0xfffe);
		queue_disarm(&rig.q);
		ck_assert(!queue_arm(&rig.q));
		for (unsigned int i = 0; i < 5; i++) {
			rig_offer_pair(&rig, 0);
			ck_assert(driver_kick(&rig.d));
			ck_assert_uint_eq(unit_eventfd_take(rig.d.kick_fd), 1);
			ck_assert(queue_has_more(&rig.q));
			queue_disarm(&rig.q);
			rig_pop(&rig, 0);
			ck_assert(queue_push(&rig.q, &rig.c, 0));
			/* It is awake: no kick is needed. */
			rig_offer_pair(&rig, 2);
			ck_assert(!driver_kick(&rig.d));
			ck_assert(queue_arm(&rig.q));
			rig_pop(&rig, 2);
			ck_assert(queue_push(&rig.q, &rig.c, 0));
			ck_assert(!queue_arm(&rig.q));
			ck_assert(!queue_has_more(&rig.q));
		}
		rig_stop(&rig);
	}
}
END_TEST

/*
 * Two threads, as in life: each sleeps on its eventfd and must be woken when
 * there is something. A missed wake-up shows as a poll that times out.
 */
/* Enough for three turns of the 16 bit indices; a ring of one or two, which
 * sleeps after each request, gets fewer. */
enum { REQUESTS = 200000, REQUESTS_SMALL = 20000 };
struct pump {
	unsigned int todo;
	bool missed;
};

static bool sleep_on(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 5000) != 1)
		return false;
	return read(fd, &n, sizeof(n)) == sizeof(n) || errno == EAGAIN;
}

static void *device_main(void *arg)
{
	struct pump *pump = arg;
	unsigned int done = 0;

	while (done < pump->todo) {
		int r;

		queue_disarm(&rig.q);
		while ((r = queue_pop(&rig.q, &rig.c)) > 0) {
			uint32_t tag;

			memcpy(&tag, rig.c.iov[0].iov_base, sizeof(tag));
			must(queue_push(&rig.q, &rig.c, tag));
			if (++done % 3 == 0)
				queue_notify(&rig.q);
		}
		queue_notify(&rig.q);
		if (r < 0 || done == pump->todo || queue_arm(&rig.q))
			continue;
		if (!sleep_on(rig.d.kick_fd)) {
			pump->missed = true;
			break;
		}
	}
	return NULL;
}

/* Offers up to a ring's worth of requests, each with its number in it. */
static unsigned int offer_some(unsigned int sent, unsigned int back,
			       unsigned int todo, uint32_t *seed)
{
	unsigned int half = rig.d.num / 2;
	unsigned int room = half ? half - (sent - back) : 1 - (sent - back);
	unsigned int n = room ? 1 + unit_random(seed) % room : 0;

	for (unsigned int i = 0; i < n && sent < todo; i++, sent++) {
		uint16_t head = half ? (uint16_t)(sent % half * 2) : 0;
		uint64_t at = RIG_DATA + head * 8ULL;
		uint32_t tag = sent;

		gmem_write(&rig.g, at, &tag, sizeof(tag));
		driver_desc(&rig.d, head, at, sizeof(tag), 0, 0);
		driver_offer(&rig.d, head);
	}
	(void)driver_kick(&rig.d);
	return sent;
}

static void pump_requests(uint32_t num, bool event_idx)
{
	struct pump pump = { .todo = num > 2 ? REQUESTS : REQUESTS_SMALL };
	unsigned int sent = 0, back = 0;
	struct vring_used_elem e;
	uint32_t seed = num;
	pthread_t thread;

	rig_start(&rig, num, event_idx, 60000);
	ck_ok(pthread_create(&thread, NULL, device_main, &pump));
	while (back < pump.todo) {
		sent = offer_some(sent, back, pump.todo, &seed);
		driver_want_no_call(&rig.d);
		while (driver_take(&rig.d, &e)) {
			must(e.len == back);
			back++;
		}
		if (sent - back <= rig.d.num / 4 ||
		    driver_want_call(&rig.d))
			continue;
		ck_assert_msg(sleep_on(rig.d.call_fd), "no call after %u of %u",
			      back, sent);
	}
	ck_ok(pthread_join(thread, NULL));
	ck_assert_msg(!pump.missed, "no kick after %u", sent);
	rig_stop(&rig);
}

START_TEST(two_hundred_thousand_requests)
{
	static const uint32_t sizes[] = { 1, 2, 256, 1024 };

	pump_requests(sizes[_i / 2], _i % 2);
}
END_TEST

START_TEST(ring_goes_on_from_a_base)
{
	rig_start(&rig, 8, true, 0);
	for (uint16_t i = 0; i < 5; i++)
		push_one(i);
	queue_unmap(&rig.q);
	ck_assert_uint_eq(rig.record.last_avail, 5);

	/* The same ring, as after a pause. */
	ck_ok(queue_set_base(&rig.q, 5));
	ck_ok(queue_map(&rig.q, true, true));
	ck_assert_int_eq(queue_pop(&rig.q, &rig.c), 0);
	push_one(5);
	for (uint16_t i = 0; i < 6; i++)
		check_used(i, 0);

	/* A driver that begins anew. */
	rig_stop(&rig);
	rig_start(&rig, 8, true, 0);
	push_one(3);
	check_used(3, 0);
	rig_stop(&rig);
}
END_TEST

/* What was popped before an end of the ring's start is nobody's after it. */
START_TEST(stale_completion_is_dropped)
{
	struct vring_used_elem e;
	uint32_t old_start;

	rig_start(&rig, 8, true, 0);
	rig_offer_pair(&rig, 2);
	driver_publish(&rig.d);
	rig_pop(&rig, 2);
	old_start = rig.c.start_no;
	inflight_acting(rig.c.record, 1, 77);
	queue_forget_requests(&rig.q);
	ck_assert(!queue_push(&rig.q, &rig.c, 64));
	ck_assert(!queue_complete(&rig.q, 2, old_start, 0));
	ck_assert(!driver_take(&rig.d, &e));
	rig_stop(&rig);

	/* Its head may be used again. */
	rig_start(&rig, 8, true, 0);
	rig_offer_pair(&rig, 2);
	driver_publish(&rig.d);
	rig_pop(&rig, 2);
	ck_assert_uint_ne(rig.c.start_no, old_start);
	ck_assert(!queue_complete(&rig.q, 2, old_start, 0));
	ck_assert(queue_push(&rig.q, &rig.c, 0));
	check_used(2, 0);
	rig_stop(&rig);
}
END_TEST

/* The same for each way in which a driver says that it begins anew. */
START_TEST(new_ring_ends_the_old_start)
{
	uint64_t at = GMEM_UADDR + RIG_RING;

	rig_start(&rig, 8, true, 0);
	rig_offer_pair(&rig, 0);
	driver_publish(&rig.d);
	rig_pop(&rig, 0);
	inflight_acting(rig.c.record, 1, 77);
	queue_unmap(&rig.q);
	if (_i == 0)
		ck_ok(queue_set_num(&rig.q, 4));
	else if (_i == 1)
		ck_ok(queue_set_base(&rig.q, 0));
	else
		ck_ok(queue_set_addr(&rig.q, at + 4096, at, at, 0, 0));
	ck_assert(!queue_complete(&rig.q, 0, rig.c.start_no, 0));
	ck_assert_int_eq(inflight_phase(&rig.inflight[0]), INFLIGHT_NONE);
	rig_stop(&rig);
}
END_TEST

/* Parks as many requests as half the ring has. Their unique numbers are 100
 * and the head. */
static void park(unsigned int n)
{
	for (uint16_t i = 0; i < n; i++)
		rig_offer_pair(&rig, i * 2);
	driver_publish(&rig.d);
	for (uint16_t i = 0; i < n; i++) {
		rig_pop(&rig, i * 2);
		inflight_acting(rig.c.record, 31, 100 + i * 2);
	}
}

static void complete(void *arg, unsigned int no)
{
	unsigned int *n = arg;

	for (unsigned int i = no; i < *n; i += 2)
		must(queue_complete(&rig.q, (uint16_t)(i * 2),
					 rig.record.start_no, -(int)i));
}

static unsigned int take_done(void)
{
	unsigned int done = 0;
	uint64_t unique;
	int result;

	while (queue_pop_done(&rig.q, &rig.c, &unique, &result) > 0) {
		must(unique == 100 + rig.c.head);
		must(result == -(int)rig.c.head / 2);
		must(rig.c.n_read + rig.c.n_write == 2);
		memset(chain_write_iov(&rig.c)->iov_base, 0x5a, 16);
		must(queue_push(&rig.q, &rig.c, 16));
		done++;
	}
	return done;
}

START_TEST(parked_requests_complete_from_other_threads)
{
	unsigned int n = 64;

	rig_start(&rig, 128, true, 0);
	for (int round = 0; round < 20; round++) {
		struct vring_used_elem e;
		uint64_t heads = 0;

		park(n);
		ck_assert_uint_eq(take_done(), 0);
		unit_threads(2, complete, &n);
		ck_assert_uint_eq(take_done(), n);
		while (driver_take(&rig.d, &e)) {
			ck_assert_uint_eq(e.len, 16);
			heads |= 1ULL << e.id / 2;
		}
		ck_assert_uint_eq(heads, UINT64_MAX);
	}
	rig_stop(&rig);
}
END_TEST

/* Stopped and started at the same place, with the memory mapped elsewhere: the
 * chain is where it is now. */
START_TEST(parked_request_outlives_a_stop)
{
	unsigned int n = 4;
	void *before;

	rig_start(&rig, 8, true, 0);
	park(n);
	before = rig.c.iov[0].iov_base;
	queue_unmap(&rig.q);
	gmem_move(&rig.g);
	/* Completed while it stands still. */
	unit_threads(1, complete, &(unsigned int){ 1 });
	ck_ok(queue_set_base(&rig.q, rig.record.last_avail));
	ck_ok(queue_map(&rig.q, true, true));
	ck_assert_uint_eq(take_done(), 1);
	check_used(0, 16);
	for (uint16_t i = 1; i < n; i++)
		ck_assert(queue_complete(&rig.q, i * 2, rig.record.start_no,
					 -(int)i));
	ck_assert_uint_eq(take_done(), n - 1);
	ck_assert_ptr_ne(rig.c.iov[0].iov_base, before);
	ck_assert_int_eq(*(char *)gmem_ptr(&rig.g, RIG_DATA + 64, 1), 0x5a);
	rig_stop(&rig);
}
END_TEST

START_TEST(fd_zero_stands_for_none)
{
	int32_t where = 0;
	int fd = fd_dup(STDIN_FILENO);
	long before = fd_count();

	queue_set_fd(&where, &fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_gt(where, 0);
	fd = fd_dup(STDIN_FILENO);
	queue_set_fd(&where, &fd);
	ck_assert_int_eq(fd_count(), before);
	queue_set_fd(&where, &fd);
	ck_assert_int_eq(where, 0);
	ck_assert_int_eq(fd_count(), before - 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("queue");
	TCase *tc = unit_tcase(s, "split ring", 30);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, ring_of_each_size, 0, 16);
	tcase_add_test(tc, bad_values_are_refused);
	tcase_add_test(tc, rings_lie_in_guest_memory);
	tcase_add_test(tc, event_index_decides_on_calls);
	tcase_add_test(tc, call_whatever_was_asked_for);
	tcase_add_test(tc, flags_decide_without_event_index);
	tcase_add_test(tc, queue_asks_for_kicks);
	tcase_add_loop_test(tc, two_hundred_thousand_requests, 0, 8);
	tcase_add_test(tc, ring_goes_on_from_a_base);
	tcase_add_test(tc, stale_completion_is_dropped);
	tcase_add_loop_test(tc, new_ring_ends_the_old_start, 0, 3);
	tcase_add_test(tc, parked_requests_complete_from_other_threads);
	tcase_add_test(tc, parked_request_outlives_a_stop);
	tcase_add_test(tc, fd_zero_stands_for_none);
	return unit_run(s);
}
