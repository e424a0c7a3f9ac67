/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guests and front-ends that do what they should not, each of which once ended the daemon or
 * made it lie (REFERENCE 1, rows 9 and 22; DESIGN 4, 5, 8).
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>

#include "func.h"

static void expect_status(int want, int within_ms)
{
	int status = daemon_wait(&fx.d, wait_scaled(within_ms));

	ck_assert_msg(status == want, "ended with %d, not %d:\n%s", status, want,
		      daemon_log(&fx.d));
	ck_assert_msg(!daemon_log_sanitizer(&fx.d), "sanitizer report:\n%s", daemon_log(&fx.d));
}

START_TEST(memory_that_vanishes_ends_the_session_in_plain_words)
{
	/* The rings in one region, what the requests are in in another, which goes. */
	struct mem_spec spec[2] = { { .gpa = 1 << 20, .size = 4 << 20 },
				    { .gpa = 1 << 30, .size = 16 << 20 } };
	struct vmm_opts o = { .regions = spec, .nregions = 2 };
	struct call c;

	func_start_with(NULL, &o);
	ok(call_init(&c, &fx.v.mem, 1, 1, 0, 16));
	call_begin(&c, FUSE_GETATTR, FUSE_ROOT_ID);
	call_arg(&c, sizeof(struct fuse_getattr_in));
	call_room(&c, sizeof(struct fuse_attr_out));
	ok(call_submit(&c, &fx.v.ring[1], &(struct layout){ .name = "direct", .direct = true }));
	ok(mem_truncate(&fx.v.mem, 1, 0));
	ring_kick_always(&fx.v.ring[1]);
	expect_status(1, 5000);
	ck_assert(daemon_log_has(&fx.d, "vanished"));
	call_free(&c);
	daemon_discard(&fx.d);
}
END_TEST

/* The lengths around 2 GiB have a meaning of their own to the code that carries them. */
START_TEST(reply_of_two_gib_stops_its_queue_only)
{
	static const uint32_t sizes[] = { 0x7fffffef, 0x7ffffff0, 0x7ffffff1, 0x7ffffff2 };
	struct vmm_opts o = { .request_queues = 2 };

	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct ring *r;
		struct guest other;
		struct fuse_attr_out a;
		struct ring_done done;
		struct mem_buf head;
		uint64_t fh;
		int first;

		func_start_with(NULL, &o);
		host_text("big", "");
		host(truncate(host_path("big"), 5ll << 30));
		fh = func_open(func_node("big"), O_RDONLY);
		ok(guest_attach(&other, &fx.v, 2, 4096));
		ok(mem_alloc(&fx.v.mem, 0, 4096, 4096, &head));
		*(struct fuse_in_header *)head.host = (struct fuse_in_header){
			.len = sizeof(struct fuse_in_header) + sizeof(struct fuse_read_in),
			.opcode = FUSE_READ, .unique = 7, .nodeid = FUSE_ROOT_ID,
		};
		*(struct fuse_read_in *)(head.host + sizeof(struct fuse_in_header)) =
			(struct fuse_read_in){ .fh = fh, .size = sizes[s] };

		r = &fx.v.ring[1];
		first = ok(ring_take(r, 70, NULL));
		ring_desc(r, first, head.gpa, sizeof(struct fuse_in_header) +
			  sizeof(struct fuse_read_in), VRING_DESC_F_NEXT, r->slot[first].next);
		for (unsigned int i = r->slot[first].next, n = 1; n < 70; n++, i = r->slot[i].next)
			ring_desc(r, i, fx.v.mem.region[0].gpa + (16 << 20), 32 << 20,
				  VRING_DESC_F_WRITE | (n < 69 ? VRING_DESC_F_NEXT : 0),
				  r->slot[i].next);
		ring_publish(r, first);
		ring_kick_always(r);
		ck_assert(daemon_log_wait(&fx.d, "queue 1 stopped", wait_scaled(5000)));
		fails(ring_wait(r, &done, 1), ETIMEDOUT);
		ok(guest_getattr(&other, FUSE_ROOT_ID, GUEST_NO_FH, &a));
		guest_detach(&other);
		func_end();
	}
}
END_TEST

/* INIT and DESTROY are carried out by another thread, while everything else stands still. */
START_TEST(stop_amid_inits_answers_the_right_index)
{
	static struct call calls[40];

	for (int round = 0; round < 20; round++) {
		struct ring *r;
		unsigned int base;

		func_start();
		r = &fx.v.ring[1];
		for (size_t i = 0; i < 40; i++) {
			struct fuse_init_in *in;

			ok(call_init(&calls[i], &fx.v.mem, 0, 0, 0, 16));
			call_begin(&calls[i], i % 2 ? FUSE_INIT : FUSE_DESTROY, 0);
			if (i % 2) {
				in = call_arg(&calls[i], sizeof(*in));
				in->major = 7;
				in->minor = GUEST_MINOR;
				call_room(&calls[i], sizeof(struct fuse_init_out));
			}
			ok(call_submit(&calls[i], r, &layout_linux));
		}
		ring_kick_always(r);
		wait_sleep_ms(round % 3);
		ok(front_get_vring_base(&fx.v.front, 1, &base));
		ck_assert_uint_eq(base, r->used->idx);
		wait_sleep_ms(1);
		ck_assert_uint_eq(base, r->used->idx);
		for (size_t i = 0; i < 40; i++)
			call_free(&calls[i]);
		func_end();
	}
}
END_TEST

START_TEST(hang_up_amid_inits_ends_at_once)
{
	static struct call calls[40];

	for (int round = 0; round < 20; round++) {
		func_start();
		for (size_t i = 0; i < 40; i++) {
			ok(call_init(&calls[i], &fx.v.mem, 0, 0, 0, 16));
			call_begin(&calls[i], FUSE_DESTROY, 0);
			ok(call_submit(&calls[i], &fx.v.ring[1], &layout_linux));
		}
		ring_kick_always(&fx.v.ring[1]);
		func_hang_up();
		expect_status(0, 2000);
		ck_assert(!daemon_log_has(&fx.d, "hangs"));
		for (size_t i = 0; i < 40; i++)
			call_free(&calls[i]);
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(guest_cannot_take_the_descriptors_that_the_daemon_needs)
{
	static const char *const args[] = { "--rlimit-nofile=64", NULL };
	struct fuse_open_out out;
	int r = 0, held = 0;
	uint64_t node, last = 0;

	func_start_with(args, NULL);
	host_text("f", "");
	node = func_node("f");
	for (; held < 100; held++) {
		r = guest_open(&fx.g, node, O_RDONLY, &out);
		if (r < 0)
			break;
		last = out.fh;
	}
	ck_assert_int_eq(r, -ENFILE);
	ck_assert_int_gt(held, 10);
	/* A message with a descriptor still comes through, and the guest goes on. */
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, fx.v.ring[1].call_fd));
	func_attr(FUSE_ROOT_ID);
	ok(guest_release(&fx.g, node, last));
	func_open(node, O_RDONLY);
	func_end();
}
END_TEST

START_TEST(launcher_that_ignores_its_children_waits_for_none)
{
	signal(SIGCHLD, SIG_IGN);
	func_start_daemon(NULL);
	signal(SIGCHLD, SIG_DFL);
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

/* User-Mode Linux never stops a ring: it disables it, and sets it up again. */
START_TEST(ring_that_is_only_disabled_may_be_set_up_anew)
{
	func_start();
	for (int i = 0; i < 5; i++) {
		for (unsigned int q = 0; q < 2; q++) {
			ok(front_set_vring_enable(&fx.v.front, q, false));
			ring_reset(&fx.v.ring[q], 0);
			ok(vmm_ring_start(&fx.v, &fx.v.ring[q], 0));
		}
		func_init_session();
		func_attr(FUSE_ROOT_ID);
	}
	func_end();
}
END_TEST

/* KICK and ENABLE before CALL: what is done meanwhile must be told once there is a way. */
START_TEST(completion_before_the_call_descriptor_is_told_with_it)
{
	struct ring *r;
	struct ring_done done;

	func_start();
	r = &fx.v.ring[1];
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, -1));
	guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
	call_room(&fx.g.call, sizeof(struct fuse_statfs_out));
	ok(call_submit(&fx.g.call, r, &layout_linux));
	ring_kick_always(r);
	for (int ms = 0; ms < 5000 && *(volatile uint16_t *)&r->used->idx == r->used_idx; ms++)
		wait_sleep_ms(1);
	ck_assert_uint_ne(r->used->idx, r->used_idx);
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, r->call_fd));
	/* Before a look at the ring, which would find it anyway. */
	ck_assert_int_eq(poll(&(struct pollfd){ r->call_fd, POLLIN, 0 }, 1,
			      wait_scaled(3000)), 1);
	ck_assert_int_eq(ring_wait(r, &done, wait_scaled(5000)), 1);
	func_end();
}
END_TEST

/* Without any privilege the guest's root is the daemon's own user. */
START_TEST(unprivileged_daemon_creates_for_the_guests_root)
{
	static const char *const wrap[] = { "setpriv", "--reuid=65534", "--regid=65534",
					    "--clear-groups", NULL };
	struct daemon_opts o = { .wrap = wrap,
				 .args = (const char *[]){ "--sandbox=namespace", NULL } };
	struct fuse_entry_out e;

	func_need_root();
	ok(daemon_prepare(&fx.d));
	host(chmod(fx.d.dir, 0777));
	host(chmod(fx.d.share, 0777));
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0755, 0, &e));
	ck_assert_uint_eq(host_stat("d").st_uid, 65534);
	fx.g.uid = fx.g.gid = 65534;
	fx.g.supp_group = 1234;
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "own", 0755, 0, &e));
	fx.g.uid = fx.g.gid = 1000;
	fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "other", 0755, 0, &e), EPERM);
	ck_assert(!host_exists("other"));
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("abuse", argc, argv);
	func_test(memory_that_vanishes_ends_the_session_in_plain_words);
	func_test(reply_of_two_gib_stops_its_queue_only);
	func_test(stop_amid_inits_answers_the_right_index);
	func_test(hang_up_amid_inits_ends_at_once);
	func_test(guest_cannot_take_the_descriptors_that_the_daemon_needs);
	func_test(launcher_that_ignores_its_children_waits_for_none);
	func_test(ring_that_is_only_disabled_may_be_set_up_anew);
	func_test(completion_before_the_call_descriptor_is_told_with_it);
	func_test(unprivileged_daemon_creates_for_the_guests_root);
	return func_done();
}
