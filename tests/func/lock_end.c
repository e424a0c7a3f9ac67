/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What ends a wait for a lock besides the lock (SETLKW; row 22): closes, pauses and resets of the
 * machine, the end; and how many may wait.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "lockers.h"

/* --- the end of waiting --- */

START_TEST(close_of_the_file_ends_its_own_waits)
{
	lockers_start();

	uint64_t mine = func_open(node, O_RDWR);
	struct guest_lock l = posix(2, F_WRLCK, ALL);

	ok(set(posix(1, F_WRLCK, ALL)));
	ok(set(whole(fh, F_WRLCK)));
	ask_and_wait(0, l);
	/* a close of another descriptor of that process */
	ok(guest_flush_owner(&fx.g, node, mine, 2));
	expect_waiting(0);
	ok(guest_flush_owner(&fx.g, node, fh, 2));
	fails(answer(0), EBADF);

	l.fh = mine;
	ask_and_wait(0, l);
	ask_and_wait(1, whole(mine, F_WRLCK));
	ok(guest_release(&fx.g, node, mine));
	fails(answer(0), EBADF);
	fails(answer(1), EBADF);
	fails(set(posix(2, F_RDLCK, 0, 0)), EAGAIN);
	lockers_end();
}
END_TEST

START_TEST(forgotten_node_ends_waits)
{
	lockers_start();
	ok(set(posix(1, F_WRLCK, ALL)));
	ask_and_wait(0, posix(2, F_WRLCK, ALL));
	ok(guest_forget(&fx.g, node, 1));
	fails(answer(0), EBADF);
	ck_assert(host_is_free());
	lockers_end();
}
END_TEST

static void stop_rings(unsigned int base[])
{
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ok(vmm_ring_stop(&fx.v, &fx.v.ring[i], &base[i]));
}

static void start_rings(const unsigned int base[])
{
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], base[i]));
}

START_TEST(pause_of_the_machine_keeps_waiters)
{
	unsigned int base[VMM_QUEUES_MAX];

	lockers_start();

	int fd = host_lock(F_WRLCK, 100, 1, F_OFD_SETLK);

	ok(set(posix(1, F_WRLCK, 0, 9)));
	ask_and_wait(0, posix(2, F_WRLCK, 0, 9));
	ask_and_wait(1, posix(3, F_WRLCK, 100, 100));
	for (int i = 0; i < 3; i++) {
		stop_rings(base);
		ck_assert_uint_eq(base[2], locker[0].ring->avail_idx);
		start_rings(base);
		expect_waiting(0);
		expect_waiting(1);
	}
	/* woken while nothing runs: the answer waits for the ring, and comes */
	stop_rings(base);
	close(fd);
	wait_sleep_ms(wait_scaled(150));
	ck_assert(!answered(1));
	start_rings(base);
	ok(answer(1));
	ok(set(posix(1, F_UNLCK, ALL)));
	ok(answer(0));
	fails(set(posix(1, F_WRLCK, 100, 100)), EAGAIN);
	lockers_end();
}
END_TEST

/* One queue stands still; the unlock comes by another. */
START_TEST(answer_waits_for_its_own_queue)
{
	unsigned int base;

	lockers_start();
	ok(set(posix(1, F_WRLCK, ALL)));
	ask_and_wait(0, posix(2, F_WRLCK, ALL));
	ok(vmm_ring_stop(&fx.v, locker[0].ring, &base));
	ok(set(posix(1, F_UNLCK, ALL)));
	fails(set(posix(1, F_RDLCK, ALL)), EAGAIN);
	ck_assert(!answered(0));
	ok(vmm_ring_start(&fx.v, locker[0].ring, base));
	ok(answer(0));
	lockers_end();
}
END_TEST

static void reset_rings(void)
{
	unsigned int base[VMM_QUEUES_MAX];

	stop_rings(base);
	for (unsigned int i = 0; i < fx.v.nrings; i++) {
		ring_reset(&fx.v.ring[i], 0);
		base[i] = 0;
	}
	start_rings(base);
}

START_TEST(reset_of_the_machine_drops_waiters)
{
	lockers_start();

	int fds = daemon_fds(&fx.d), fd = host_lock(F_WRLCK, 100, 1, F_OFD_SETLK);

	for (int i = 0; i < 5; i++) {
		ok(set(posix(1, F_WRLCK, 0, 9)));
		ask_and_wait(0, posix(2, F_WRLCK, 0, 9));
		ask_and_wait(1, posix(3, F_WRLCK, 100, 100));
		reset_rings();
		func_init_session();
		lockers_open();
		wait_sleep_ms(wait_scaled(60));
		ck_assert(!answered(0) && !answered(1));
		ok(set(posix(2, F_WRLCK, 0, 20)));
		ok(set(posix(2, F_UNLCK, ALL)));
	}
	close(fd);
	wait_sleep_ms(wait_scaled(150));
	ck_assert(host_is_free());
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds, 2000), fds);
	lockers_end();
}
END_TEST

/* Nobody would ever give it back: the driver that waited is gone, and so is the session, of which
 * a ring that begins anew is the end. */
START_TEST(reset_ring_gets_no_lock)
{
	unsigned int base;

	lockers_start();

	int fd = host_lock(F_WRLCK, 100, 1, F_OFD_SETLK);

	ask_and_wait(0, posix(2, F_WRLCK, 100, 100));
	ask_and_wait(1, posix(3, F_WRLCK, 100, 100));
	ok(vmm_ring_stop(&fx.v, locker[0].ring, &base));
	ring_reset(locker[0].ring, 0);
	ok(vmm_ring_start(&fx.v, locker[0].ring, 0));
	close(fd);
	wait_sleep_ms(wait_scaled(150));
	ck_assert(host_is_free());
	ck_assert(!answered(0) && !answered(1));
	lockers_end();
}
END_TEST

/* The index from which it begins anew is by chance the one where it stopped. */
START_TEST(reset_to_the_same_index_drops_waiters)
{
	struct vmm_opts opts = { .request_queues = 1 + LOCKERS, .base = 65500 };
	static const char *const args[] = { "-o", "posix_lock", NULL };
	struct guest_lock l;

	func_start_with(args, &opts);
	for (unsigned int i = 0; i < LOCKERS; i++)
		ok(guest_attach(&locker[i], &fx.v, 2 + i, 4096));
	host_text("f", "");
	lockers_open();
	l = posix(1, F_WRLCK, ALL);
	ok(guest_setlkw(&locker[0], &l));
	while (fx.g.ring->avail_idx != 65535)
		(void)func_attr(node);
	l.owner = 2;
	ok(guest_setlkw_send(&fx.g, &fx.g.call, &l));
	wait_sleep_ms(wait_scaled(20));
	ck_assert_uint_eq(fx.g.ring->avail_idx, 0);
	reset_rings();
	/* as the first request of the new driver it has the old one's head */
	func_init_session();
	lockers_open();
	ok(set(posix(3, F_WRLCK, ALL)));
	lockers_end();
}
END_TEST

START_TEST(new_session_drops_waiters)
{
	lockers_start();

	int fd = host_lock(F_WRLCK, 100, 1, F_OFD_SETLK);

	for (int i = 0; i < 2; i++) {
		ok(set(posix(1, F_WRLCK, 0, 9)));
		ask_and_wait(2 * i, posix(2, F_WRLCK, 0, 9));
		ask_and_wait(2 * i + 1, posix(3, F_WRLCK, 100, 100));
		if (i)
			ok(guest_destroy(&fx.g));
		func_init_session();
		lockers_open();
	}
	close(fd);
	wait_sleep_ms(wait_scaled(150));
	for (unsigned int i = 0; i < 4; i++)
		ck_assert(!answered(i));
	ck_assert(host_is_free());
	/* the queue goes on, with what is new */
	ask(4, posix(3, F_WRLCK, 100, 100));
	ok(answer(4));
	lockers_end();
}
END_TEST

START_TEST(daemon_ends_at_once_with_waiters)
{
	lockers_start();

	int fd = host_lock(F_WRLCK, 100, 1, F_OFD_SETLK);

	ok(set(posix(1, F_WRLCK, 0, 9)));
	ask_and_wait(0, posix(2, F_WRLCK, 0, 9));
	ask_and_wait(1, posix(3, F_WRLCK, 100, 100));

	int64_t began = wait_now_ms();

	lockers_hang_up();

	int status = daemon_stop(&fx.d);

	ck_assert_msg(status == 0, "the daemon ended with %d", status);
	ck_assert_int_lt(wait_now_ms() - began, wait_scaled(1500));
	close(fd);
}
END_TEST

/* --- many of them --- */

#define WAITERS_MAX 4096u
#define REQUEST (sizeof(struct fuse_in_header) + sizeof(struct fuse_lk_in))

struct small {
	struct mem_buf mem;		/* the request; then room for a header */
	struct ring_piece piece[2];
};

static struct small many[WAITERS_MAX + 1];

static void send_many(struct ring *ring, uint32_t i)
{
	struct small *s = &many[i];
	struct fuse_in_header h = {
		.len = REQUEST, .opcode = FUSE_SETLKW, .unique = 1000 + i, .nodeid = node,
	};
	struct fuse_lk_in in = {
		.fh = fh, .owner = 1000 + i, .lk = { .end = 99, .type = F_WRLCK },
	};

	ok(mem_alloc(&fx.v.mem, 0, 256, 8, &s->mem));
	s->piece[0] = (struct ring_piece){ s->mem.gpa, REQUEST };
	s->piece[1] = (struct ring_piece){ s->mem.gpa + 128, sizeof(struct fuse_out_header) };
	memcpy(s->mem.host, &h, sizeof(h));
	memcpy(s->mem.host + sizeof(h), &in, sizeof(in));
	ok(ring_add(ring, s->piece, 1, 1, NULL, s));
}

/* The next answer on the ring; whose it is in *ret_who. */
static int take_many(struct ring *ring, uint32_t *ret_who)
{
	struct fuse_out_header out;
	struct ring_done done;
	struct small *s;

	ok(ring_wait(ring, &done, wait_scaled(20000)));
	s = done.cookie;
	ck_assert_uint_eq(done.len, sizeof(out));
	memcpy(&out, s->mem.host + 128, sizeof(out));
	*ret_who = s - many;
	ck_assert_uint_eq(out.unique, 1000 + *ret_who);
	return out.error;
}

/* In the order in which they came, but that a member which lost the lead on a crowded machine may
 * begin to wait behind others. */
#define OVERTAKEN_MAX 16

/* @by_host: for a lock of the host, not of the guest */
static void too_many_wait(bool by_host)
{
	struct vmm_opts opts = { .request_queues = 2, .queue_size = 16384 };
	static const char *const args[] = { "-o", "posix_lock", NULL };
	struct ring *ring;
	uint32_t who, refused;
	int fd = -1;

	func_start_with(args, &opts);
	ring = &fx.v.ring[2];
	host_text("f", "");
	lockers_open();
	if (by_host)
		fd = host_lock(F_WRLCK, 0, 0, F_OFD_SETLK);
	else
		ok(set(posix(1, F_WRLCK, ALL)));

	int fds = daemon_fds(&fx.d);

	for (uint32_t i = 0; i < WAITERS_MAX + 1; i++)
		send_many(ring, i);
	ring_kick(ring);
	fails(take_many(ring, &who), ENOLCK);
	/* The last one; or on a crowded machine one that was overtaken at the end. */
	ck_assert_uint_gt(who, WAITERS_MAX / 2);
	refused = who;
	/* none has a descriptor, and everything else goes on */
	ck_assert_int_le(daemon_fds(&fx.d), fds);
	for (int i = 0; i < 100; i++)
		(void)func_attr(node);
	if (by_host)
		close(fd);
	else
		ok(set(posix(1, F_UNLCK, ALL)));
	for (uint32_t i = 0; i < 100; i++) {
		ok(take_many(ring, &who));
		ck_assert_uint_lt(who, i + OVERTAKEN_MAX);
		ok(set(posix(1000 + who, F_UNLCK, ALL)));
	}
	/* room for another one */
	send_many(ring, refused);
	ring_kick(ring);
	ok(take_many(ring, &who));
	ck_assert_uint_lt(who, 100 + OVERTAKEN_MAX);
	func_end();
}

START_TEST(too_many_that_wait_for_the_guest)
{
	too_many_wait(false);
}
END_TEST

START_TEST(too_many_that_wait_for_the_host)
{
	too_many_wait(true);
}
END_TEST

/* --- under load --- */

/* Each under a lock of its own: loaded and stored, never added to in one step. */
static _Atomic unsigned long counter[2];
static atomic_int inside[2];

static void *count(void *arg)
{
	unsigned int me = (unsigned int)(uintptr_t)arg;
	struct guest *g = &locker[me];

	for (int i = 0; i < 300; i++) {
		unsigned int which = (i + me) % 2;
		struct guest_lock l = posix(50 + me, F_WRLCK, which, which);

		if (which) {
			l.start = 10;
			l.end = 20 + me;
		}
		ok(guest_setlkw(g, &l));
		ck_assert_int_eq(atomic_fetch_add(&inside[which], 1), 0);
		atomic_store(&counter[which], atomic_load(&counter[which]) + 1);
		ck_assert_int_eq(atomic_fetch_sub(&inside[which], 1), 1);
		l.type = F_UNLCK;
		if (i % 7)
			ok(guest_setlk(g, &l));
		else
			ok(guest_flush_owner(g, l.node, l.fh, l.owner));
	}
	return NULL;
}

START_TEST(locks_exclude_under_load)
{
	pthread_t t[LOCKERS];

	lockers_start();
	for (uintptr_t i = 0; i < LOCKERS; i++)
		pthread_create(&t[i], NULL, count, (void *)i);
	/* and somebody on the host, now and then */
	for (int i = 0; i < 10; i++) {
		struct flock l = { .l_type = F_WRLCK };
		int fd = host(open(host_path("f"), O_RDWR | O_CLOEXEC));

		host(fcntl(fd, F_OFD_SETLKW, &l));
		ck_assert_int_eq(inside[0] + inside[1], 0);
		wait_sleep_ms(3);
		ck_assert_int_eq(inside[0] + inside[1], 0);
		close(fd);
		wait_sleep_ms(5);
	}
	for (int i = 0; i < LOCKERS; i++)
		pthread_join(t[i], NULL);
	ck_assert_uint_eq(counter[0] + counter[1], LOCKERS * 300);
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ck_assert_uint_eq(fx.v.ring[i].lost, 0);
	ck_assert(host_is_free());
	lockers_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("lock_end", argc, argv);
	func_test(close_of_the_file_ends_its_own_waits);
	func_test(forgotten_node_ends_waits);
	func_test(pause_of_the_machine_keeps_waiters);
	func_test(answer_waits_for_its_own_queue);
	func_test(reset_of_the_machine_drops_waiters);
	func_test(reset_ring_gets_no_lock);
	func_test(reset_to_the_same_index_drops_waiters);
	func_test(new_session_drops_waiters);
	func_test(daemon_ends_at_once_with_waiters);
	func_test_long(too_many_that_wait_for_the_guest, 60);
	func_test_long(too_many_that_wait_for_the_host, 60);
	func_test_long(locks_exclude_under_load, 60);
	return func_done();
}
