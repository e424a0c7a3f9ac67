/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A request that the host keeps waiting holds no other request of its queue up: here it opens files
 * on which this process has a lease, which it does not give up before it has seen enough.
 */
#include <fcntl.h>
#include <signal.h>

#include "func.h"

#define WAITING 6

static struct {
	struct guest g; /* on the same ring as fx.g, with a call of its own */
	int lease;
	uint64_t node;
} waiting[WAITING];

/* Somebody else opens it for writing: the kernel sends a signal, and waits. */
static int take_lease(const char *name)
{
	int fd = host(open(host_path(name), O_RDONLY | O_CLOEXEC));

	signal(SIGIO, SIG_IGN);
	host(fcntl(fd, F_SETLEASE, F_RDLCK));
	return fd;
}

static void start(const char *pool)
{
	const char *args[] = { pool, NULL };

	func_start_with(pool ? args : NULL, NULL);
	host_text("other", "text");
	for (int i = 0; i < WAITING; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "text");
		waiting[i].node = func_node(name);
		waiting[i].lease = take_lease(name);
		ok(guest_attach(&waiting[i].g, &fx.v, 1, 4096));
	}
}

static void send_open(int i)
{
	struct guest *g = &waiting[i].g;
	struct call *c = guest_begin(g, FUSE_OPEN, waiting[i].node);
	struct fuse_open_in *in = call_arg(c, sizeof(*in));

	in->flags = O_RDWR;
	call_header(c)->unique = 1000 + i;
	call_room(c, sizeof(struct fuse_open_out));
	ok(guest_send(g, c));
}

static uint64_t take_reply(int i)
{
	struct fuse_open_out out;

	host(fcntl(waiting[i].lease, F_SETLEASE, F_UNLCK));
	ok(guest_wait_for(&waiting[i].g, &waiting[i].g.call));
	memcpy(&out, call_body(&waiting[i].g.call), sizeof(out));
	return out.fh;
}

static void end(void)
{
	for (int i = 0; i < WAITING; i++) {
		guest_detach(&waiting[i].g);
		close(waiting[i].lease);
	}
	func_end();
}

static void work(int rounds)
{
	struct fuse_attr_out a;

	for (int i = 0; i < rounds; i++) {
		struct fuse_entry_out e;

		ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "other", &e));
		ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
		ok(guest_forget(&fx.g, e.nodeid, 1));
	}
}

START_TEST(requests_that_wait_hold_nobody_up)
{
	start(NULL);
	for (int i = 0; i < WAITING; i++) {
		send_open(i);
		work(20);
	}
	for (int i = WAITING; i-- > 0;)
		ok(guest_release(&fx.g, waiting[i].node, take_reply(i)));
	work(20);
	end();
}
END_TEST

/* Two threads: the second OPEN that waits takes the last one. */
START_TEST(a_pool_ends_somewhere)
{
	struct ring_done done;

	start("--thread-pool-size=0");
	send_open(0);
	work(20);
	send_open(1);

	struct call *c = guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);

	call_arg(c, sizeof(struct fuse_getattr_in));
	call_room(c, sizeof(struct fuse_attr_out));
	ok(guest_send(&fx.g, c));
	ck_assert_int_lt(ring_wait(fx.g.ring, &done, 300), 0);
	host(fcntl(waiting[0].lease, F_SETLEASE, F_UNLCK));
	/* In any order. */
	ck_assert_int_ge(ring_wait(fx.g.ring, &done, wait_scaled(10000)), 0);
	ck_assert_int_ge(ring_wait(fx.g.ring, &done, wait_scaled(10000)), 0);
	work(20);
	take_reply(1);
	work(20);
	end();
}
END_TEST

START_TEST(threads_without_work_end)
{
	int before, many;

	start(NULL);
	work(1);
	before = daemon_threads(&fx.d);
	for (int i = 0; i < WAITING; i++)
		send_open(i);
	work(20);
	many = daemon_threads(&fx.d);
	ck_assert_int_ge(many, before + WAITING - 1);
	for (int i = 0; i < WAITING; i++)
		take_reply(i);
	ck_assert_int_le(daemon_threads_settle(&fx.d, before, wait_scaled(15000)), before);
	for (int i = 0; i < 2; i++)
		work(20);
	end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("crew", argc, argv);
	func_test(requests_that_wait_hold_nobody_up);
	func_test(a_pool_ends_somewhere);
	func_test_long(threads_without_work_end, 60);
	return func_done();
}
