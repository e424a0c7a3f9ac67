/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One virtqueue: sizes, event index, indices and restarts, requests without reply (rows 5, 22).
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "func.h"

/* --- sizes and descriptors --- */

/* Header, name and reply in two descriptors, so that it fits the smallest ring. */
static const struct layout two_direct = { .name = "two direct", .direct = true, .join = true };

START_TEST(rings_of_any_size_are_served_and_wrap)
{
	for (uint32_t size = 2; size <= 4096; size *= size < 64 ? 2 : 8) {
		struct vmm_opts o = { .queue_size = size };

		func_start_with(NULL, &o);
		for (unsigned int i = 0; i < 3 * size && i < 3000; i++) {
			fx.g.layout = i % 2 ? &two_direct : &layout_linux;
			func_attr(FUSE_ROOT_ID);
		}
		func_end();
	}
}
END_TEST

static struct call *calls;

static void submit(struct ring *r, struct call *c, uint64_t unique, const struct layout *how)
{
	call_begin(c, FUSE_GETATTR, FUSE_ROOT_ID);
	call_header(c)->unique = unique;
	call_arg(c, sizeof(struct fuse_getattr_in));
	call_room(c, sizeof(struct fuse_attr_out));
	ok(call_submit(c, r, how));
}

/* n requests in flight at once, submitted together */
static void submit_batch(struct ring *r, unsigned int n, const struct layout *how)
{
	for (unsigned int i = 0; i < n; i++)
		submit(r, &calls[i], 1000 + i, how);
}

static void take_batch(struct ring *r, unsigned int n)
{
	struct ring_done done;

	for (unsigned int i = 0; i < n; i++) {
		ck_assert_int_eq(ok(ring_wait(r, &done, wait_scaled(10000))), 1);
		ok(call_finish(done.cookie, done.len));
	}
	ck_assert_uint_eq(r->lost, 0);
}

static void make_calls(unsigned int n)
{
	calls = calloc(n, sizeof(*calls));
	for (unsigned int i = 0; i < n; i++)
		ok(call_init(&calls[i], &fx.v.mem, 0, 0, 0, 16));
}

START_TEST(ring_of_32768_is_served_to_the_last_entry)
{
	struct vmm_opts o = { .queue_size = 32768, .mem_size = 1ull << 30 };

	func_start_with(NULL, &o);
	make_calls(4096);
	for (int i = 0; i < 17; i++) {
		submit_batch(&fx.v.ring[1], 4096, &layout_linux);
		ring_kick(&fx.v.ring[1]);
		take_batch(&fx.v.ring[1], 4096);
	}
	func_end();
}
END_TEST

START_TEST(full_ring_is_served)
{
	struct vmm_opts o = { .queue_size = 256 };

	func_start_with(NULL, &o);
	make_calls(256);
	for (int i = 0; i < 40; i++) {
		submit_batch(&fx.v.ring[1], 256, &layout_linux);
		ck_assert_uint_eq(fx.v.ring[1].nfree, 0);
		ring_kick(&fx.v.ring[1]);
		take_batch(&fx.v.ring[1], 256);
	}
	func_end();
}
END_TEST

START_TEST(indirect_table_may_cross_regions)
{
	const struct mem_spec spec[] = { { .gpa = 0x40000000, .size = 16 << 20 },
					 { .gpa = 0x41000000, .size = 16 << 20 } };
	struct vmm_opts o = { .regions = spec, .nregions = 2 };

	func_start_with(NULL, &o);
	for (int i = 1; i < 4; i++) {
		/* the boundary between two descriptors, then inside of one */
		for (int at = 0; at < 16; at += 8) {
			uint64_t gpa = 0x41000000 - 16 * i - at;
			struct call *c = guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);
			struct ring *r = fx.g.ring;
			struct ring_done done;

			call_arg(c, sizeof(struct fuse_getattr_in));
			call_room(c, sizeof(struct fuse_attr_out));
			ok(call_plan(c, &layout_linux));

			int head = ok(ring_take(r, 1, c));

			for (unsigned int d = 0; d < 4; d++) {
				struct vring_desc desc = {
					.addr = c->piece[d].gpa, .len = c->piece[d].len,
					.flags = (d < 3 ? VRING_DESC_F_NEXT : 0) |
						 (d >= c->nr ? VRING_DESC_F_WRITE : 0),
					.next = d + 1,
				};

				ok(mem_write(&fx.v.mem, gpa + 16 * d, &desc, sizeof(desc)));
			}
			ring_desc(r, head, gpa, 64, VRING_DESC_F_INDIRECT, 0);
			ring_publish(r, head);
			ring_kick(r);
			ck_assert_int_eq(ring_wait(r, &done, wait_scaled(3000)), 1);
			ok(call_finish(c, done.len));
		}
	}
	func_end();
}
END_TEST

START_TEST(indirect_descriptors_in_any_order_of_next)
{
	struct ring_done done;

	func_start();

	struct call *c = guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);
	struct vring_desc *t = (struct vring_desc *)c->table.host;
	struct ring *r = fx.g.ring;
	static const uint16_t order[] = { 0, 5, 2, 7 };

	call_arg(c, sizeof(struct fuse_getattr_in));
	call_room(c, sizeof(struct fuse_attr_out));
	ok(call_plan(c, &layout_linux));
	memset(t, 0xff, 8 * sizeof(*t));
	for (unsigned int i = 0; i < 4; i++)
		t[order[i]] = (struct vring_desc){
			.addr = c->piece[i].gpa, .len = c->piece[i].len,
			.flags = (i < 3 ? VRING_DESC_F_NEXT : 0) |
				 (i >= c->nr ? VRING_DESC_F_WRITE : 0),
			.next = i < 3 ? order[i + 1] : 0,
		};

	int head = ok(ring_take(r, 1, c));

	ring_desc(r, head, c->table.gpa, 8 * sizeof(*t), VRING_DESC_F_INDIRECT, 0);
	ring_publish(r, head);
	ring_kick(r);
	ck_assert_int_eq(ring_wait(r, &done, wait_scaled(3000)), 1);
	ok(call_finish(c, done.len));
	func_end();
}
END_TEST

/* --- event index --- */

static void many_requests(const struct vmm_opts *o, unsigned int total)
{
	unsigned int seed = 1;

	func_start_with(NULL, o);
	make_calls(16);
	for (unsigned int done = 0; done < total;) {
		unsigned int n = 1 + rand_r(&seed) % 8;

		submit_batch(&fx.v.ring[1], n, &layout_linux);
		ring_kick(&fx.v.ring[1]);
		take_batch(&fx.v.ring[1], n);
		done += n;
	}
	func_end();
}

START_TEST(no_wakeup_is_lost_with_event_index)
{
	many_requests(NULL, 100000);
}
END_TEST

START_TEST(no_wakeup_is_lost_without_event_index)
{
	many_requests(&(struct vmm_opts){ .without = VU_F_EVENT_IDX }, 30000);
}
END_TEST

/* A driver that keeps the ring filled: n times a completion is taken and a request added. */
static void go_on(struct ring *r, unsigned int n)
{
	struct ring_done done;

	for (unsigned int i = 0; i < n; i++) {
		ck_assert_int_eq(ok(ring_wait(r, &done, wait_scaled(10000))), 1);
		ok(call_finish(done.cookie, done.len));
		submit(r, done.cookie, i, &layout_linux);
		ring_kick(r);
	}
	ck_assert_uint_eq(r->lost, 0);
}

static struct ring *start_filled(void)
{
	struct ring *r;

	func_start();
	make_calls(8);
	r = &fx.v.ring[1];
	submit_batch(r, 8, &layout_linux);
	ring_kick(r);
	return r;
}

/* So that both sides often look at the same moment */
START_TEST(no_wakeup_is_lost_with_requests_added_while_others_complete)
{
	go_on(start_filled(), 60000);
	func_end();
}
END_TEST

/* Each notification would make way for a driver that has one completion to take. */
START_TEST(driver_on_the_daemons_cpu_is_told_of_many_at_once)
{
	unsigned int windows = 0;
	struct ring *r;
	cpu_set_t cpu;
	uint64_t before;

	CPU_ZERO(&cpu);
	CPU_SET(sched_getcpu(), &cpu);
	host(sched_setaffinity(0, sizeof(cpu), &cpu));
	r = start_filled();
	do {
		ck_assert_uint_lt(windows++, 50);
		before = r->calls;
		go_on(r, 800);
		/* With a sanitizer a request may take so long that one more switch is nothing. */
	} while (r->calls - before > 200 && !func_sanitized());
	func_end();
}
END_TEST

static uint64_t calls_seen(struct ring *r)
{
	uint64_t v = 0;

	return read(r->call_fd, &v, sizeof(v)) == sizeof(v) ? v : 0;
}

static void count_unwanted_calls(const struct vmm_opts *o)
{
	func_start_with(NULL, o);
	fx.g.spin = true;
	func_attr(FUSE_ROOT_ID);
	wait_sleep_ms(wait_scaled(20));
	calls_seen(fx.g.ring);
	for (int i = 0; i < 1000; i++)
		func_attr(FUSE_ROOT_ID);
	wait_sleep_ms(wait_scaled(20));
	/* used_event = used_idx - 1: met again only after 65536 completions */
	ck_assert_uint_le(calls_seen(fx.g.ring), 2);
	func_end();
}

START_TEST(driver_that_polls_is_not_notified_with_event_index)
{
	count_unwanted_calls(NULL);
}
END_TEST

START_TEST(driver_that_polls_is_not_notified_without_event_index)
{
	count_unwanted_calls(&(struct vmm_opts){ .without = VU_F_EVENT_IDX });
}
END_TEST

START_TEST(ring_without_indirect_is_served)
{
	func_start_with(NULL, &(struct vmm_opts){ .without = VU_F_INDIRECT_DESC });
	fx.g.layout = &(struct layout){ .name = "direct", .direct = true, .head_cut = 1 };
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

/* --- hiprio and requests that have no reply --- */

START_TEST(forget_on_hiprio_comes_back_with_length_0)
{
	struct guest hi;

	func_start();
	host_text("f", "x");
	ok(guest_attach(&hi, &fx.v, 0, 4096));
	for (int i = 0; i < 300; i++)
		ok(guest_forget(&hi, func_node("f"), 1));	/* the client checks the length */
	guest_detach(&hi);
	func_end();
}
END_TEST

START_TEST(batch_forget_and_interrupt_come_back_with_length_0)
{
	struct fuse_forget_one one[3];

	func_start();
	host_text("f", "x");
	for (int i = 0; i < 3; i++)
		one[i] = (struct fuse_forget_one){ func_node("f"), 1 };
	ok(guest_batch_forget(&fx.g, 3, one, 3));
	ok(guest_interrupt(&fx.g, 12345));
	func_end();
}
END_TEST

START_TEST(forget_with_room_for_a_reply_gets_none)
{
	struct ring_done done;

	func_start();
	host_text("f", "x");

	uint64_t node = func_node("f");
	struct call *c = guest_begin(&fx.g, FUSE_FORGET, node);

	((struct fuse_forget_in *)call_arg(c, sizeof(struct fuse_forget_in)))->nlookup = 1;
	ok(call_submit(c, fx.g.ring, fx.g.layout));
	ring_kick(fx.g.ring);
	ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(3000)), 1);
	ck_assert_uint_eq(done.len, 0);
	func_end();
}
END_TEST

/* --- a guest that does it wrong hurts itself alone --- */

START_TEST(chain_shorter_than_a_header_hurts_only_its_queue)
{
	struct guest second;
	struct mem_buf buf;

	for (uint32_t len = 1; len < 40; len += 13) {
		func_start_with(NULL, &(struct vmm_opts){ .request_queues = 2 });
		ok(guest_attach(&second, &fx.v, 2, 4096));
		ok(mem_alloc(&fx.v.mem, 0, 4096, 4096, &buf));

		struct ring_piece piece[2] = { { buf.gpa, len }, { buf.gpa + 2048, 512 } };
		struct ring_done done;

		/* with room for an answer, and without any */
		ok(ring_add(second.ring, piece, 1, 1, NULL, NULL));
		ok(ring_add(second.ring, piece, 1, 0, NULL, NULL));
		ring_kick(second.ring);
		ring_wait(second.ring, &done, 50);
		func_attr(FUSE_ROOT_ID);
		guest_detach(&second);
		func_end();
	}
}
END_TEST

/* --- indices --- */

START_TEST(ring_starts_from_any_base)
{
	static const uint16_t bases[] = { 1, 127, 128, 32767, 32768, 65520, 65535 };

	for (size_t b = 0; b < sizeof(bases) / sizeof(bases[0]); b++) {
		struct vmm_opts o = { .queue_size = 128, .base = bases[b] };
		unsigned int at;

		func_start_with(NULL, &o);
		for (int i = 0; i < 300; i++)
			func_attr(FUSE_ROOT_ID);
		ok(vmm_ring_stop(&fx.v, &fx.v.ring[1], &at));
		ck_assert_uint_eq(at, (uint16_t)(bases[b] + 301));	/* and INIT */
		func_end();
	}
}
END_TEST

START_TEST(stopped_ring_is_not_served_and_goes_on_where_it_stopped)
{
	struct ring_done done;
	unsigned int base;

	func_start();
	make_calls(20);

	struct ring *r = &fx.v.ring[1];

	for (int i = 0; i < 30; i++) {
		ok(vmm_ring_stop(&fx.v, r, &base));
		ck_assert_uint_eq(base, r->used_idx);
		submit_batch(r, 20, &layout_linux);
		ring_kick_always(r);
		if (i == 0)
			fails(ring_wait(r, &done, 50), ETIMEDOUT);
		ck_assert_uint_eq(r->used->idx, r->used_idx);
		ok(vmm_ring_start(&fx.v, r, base));
		take_batch(r, 20);
	}
	func_end();
}
END_TEST

/* Its own kick was read by the device before it stopped; only the start itself kicks. */
START_TEST(request_whose_kick_was_before_the_stop_is_found)
{
	unsigned int base;
	uint64_t v;

	func_start();
	make_calls(4);

	struct ring *r = &fx.v.ring[1];

	for (int i = 0; i < 20; i++) {
		ok(vmm_ring_stop(&fx.v, r, &base));
		submit_batch(r, 4, &layout_linux);
		(void)!read(r->kick_fd, &v, sizeof(v));
		ok(vmm_ring_start(&fx.v, r, base));
		take_batch(r, 4);
	}
	func_end();
}
END_TEST

START_TEST(stopping_waits_for_what_is_acting_and_answers_its_index)
{
	static char data[FUNC_DATA_MAX];
	struct fuse_entry_out e;
	struct fuse_open_out o;
	unsigned int base, total = 0;

	func_start_with(NULL, &(struct vmm_opts){ .mem_size = 256 << 20 });
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	calls = calloc(16, sizeof(*calls));
	for (int i = 0; i < 16; i++)
		ok(call_init(&calls[i], &fx.v.mem, 0, 0, FUNC_DATA_MAX, 300));

	struct ring *r = &fx.v.ring[1];

	for (int round = 0; round < 20; round++) {
		uint16_t start = r->used_idx;

		for (int i = 0; i < 16; i++) {
			struct call *c = &calls[i];

			call_begin(c, FUSE_WRITE, e.nodeid);
			call_header(c)->unique = i;
			*(struct fuse_write_in *)call_arg(c, sizeof(struct fuse_write_in)) =
				(struct fuse_write_in){ .fh = o.fh, .size = 1 << 19,
							.offset = i << 19 };
			call_send(c, data, 1 << 19);
			call_room(c, sizeof(struct fuse_write_out));
			ok(call_submit(c, r, &layout_linux));
		}
		ring_kick(r);
		if (round % 3)
			wait_sleep_ms(round % 3);
		ok(vmm_ring_stop(&fx.v, r, &base));

		uint16_t used = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);

		/* everything that was taken is in the used ring, now and later */
		ck_assert_msg(used == (uint16_t)base, "base %u, used index %u", base, used);
		wait_sleep_ms(5);
		ck_assert_uint_eq(r->used->idx, used);
		ck_assert_uint_le((uint16_t)(used - start), 16);
		ok(vmm_ring_start(&fx.v, r, base));
		take_batch(r, 16);
		total += 16;
		ck_assert_uint_eq((uint16_t)(r->used_idx - start), 16);
	}
	ck_assert_uint_eq(total, 320);
	func_end();
}
END_TEST

static atomic_bool stop;

static void *attr_load(void *arg)
{
	struct guest *g = arg;
	struct fuse_attr_out a;
	unsigned long n = 0;

	while (!stop || n < 100) {
		ok(guest_getattr(g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
		n++;
	}
	return NULL;
}

START_TEST(restarts_under_load_lose_nothing)
{
	unsigned int base;
	pthread_t t;

	func_start();
	pthread_create(&t, NULL, attr_load, &fx.g);
	for (int i = 0; i < 300; i++) {
		ok(vmm_ring_stop(&fx.v, &fx.v.ring[1], &base));
		ok(vmm_ring_start(&fx.v, &fx.v.ring[1], base));
		if (i % 4 == 0)
			wait_sleep_ms(1);
	}
	stop = true;
	pthread_join(t, NULL);
	ck_assert_uint_eq(fx.g.ring->lost, 0);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("ring", argc, argv);
	func_test(rings_of_any_size_are_served_and_wrap);
	func_test(ring_of_32768_is_served_to_the_last_entry);
	func_test(full_ring_is_served);
	func_test(indirect_table_may_cross_regions);
	func_test(indirect_descriptors_in_any_order_of_next);
	func_test_long(no_wakeup_is_lost_with_event_index, 60);
	func_test_long(no_wakeup_is_lost_without_event_index, 60);
	func_test_long(no_wakeup_is_lost_with_requests_added_while_others_complete, 60);
	func_test(driver_on_the_daemons_cpu_is_told_of_many_at_once);
	func_test(driver_that_polls_is_not_notified_with_event_index);
	func_test(driver_that_polls_is_not_notified_without_event_index);
	func_test(ring_without_indirect_is_served);
	func_test(forget_on_hiprio_comes_back_with_length_0);
	func_test(batch_forget_and_interrupt_come_back_with_length_0);
	func_test(forget_with_room_for_a_reply_gets_none);
	func_test(chain_shorter_than_a_header_hurts_only_its_queue);
	func_test(ring_starts_from_any_base);
	func_test(stopped_ring_is_not_served_and_goes_on_where_it_stopped);
	func_test(request_whose_kick_was_before_the_stop_is_found);
	func_test(stopping_waits_for_what_is_acting_and_answers_its_index);
	func_test_long(restarts_under_load_lose_nothing, 60);
	return func_done();
}
