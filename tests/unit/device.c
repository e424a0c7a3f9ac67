/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device/: queues with threads, held still, stopped, reset; requests that wait.
 *
 * No op waits today as a blocking lock will. So FALLOCATE stands in for one:
 * the linker hands the op to this file, which parks the request for one value
 * of its mode, blocks it for another, and passes all others on.
 */
#include "device/device.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "fs/op.h"
#include "machine.h"
#include "unit.h"

#define ROOT FUSE_ROOT_ID
#define MODE_PARK 0x10000U
#define MODE_BLOCK 0x20000U
#define MODE_BLOCK_SAID 0x30000U /* as one that knows that it may take long */
#define MODE_YIELD 0x40000U /* the same, and it does not */
#define MODE_WORK 0x50000U /* takes a few us */
#define MODE_REMOTE 0x60000U /* who knows, but takes none */
#define MODE_REMOTE_BLOCK 0x70000U /* who knows, and blocks */
#define WORK_NS 6000U
#define NUM 64U

static struct machine m;

static struct {
	pthread_mutex_t lock;
	struct request_token token[NUM]; /* lock */
	unsigned int n; /* lock */
} parked = { .lock = PTHREAD_MUTEX_INITIALIZER };
static sem_t blocked, go_on;
static atomic_int acting;
/* Completions that the guest was not told of when a request began: the most there
 * were, and as one began that blocks. */
static atomic_uint held_most, held_at_block;
/* Whether the last one of MODE_REMOTE was still its queue's leader's. */
static atomic_bool kept_lead;

static void work(void)
{
	uint64_t start = clock_ns();
	unsigned int held = m.w[0]->held;

	if (held > atomic_load(&held_most))
		atomic_store(&held_most, held);
	while (clock_ns() - start < WORK_NS)
		;
}

static void block(void)
{
	atomic_fetch_add(&acting, 1);
	sem_post(&blocked);
	while (sem_wait(&go_on) < 0)
		;
	atomic_fetch_sub(&acting, 1);
}

int __wrap_op_lseek(struct fs *fs, struct request *rq);
int __wrap_op_lseek(struct fs *fs, struct request *rq)
{
	(void)fs;
	switch (rq->arg.lseek.whence) {
	case MODE_PARK:
		device_park(&m.dev, &rq->token);
		pthread_mutex_lock(&parked.lock);
		parked.token[parked.n++] = rq->token;
		pthread_mutex_unlock(&parked.lock);
		return REQUEST_PARKED;
	case MODE_YIELD:
		request_blocks(rq);
		sched_yield();
		return 0;
	case MODE_WORK:
		work();
		return 0;
	case MODE_REMOTE:
		request_may_block(rq);
		atomic_store(&kept_lead,
			     (atomic_load(&m.w[0]->lead) &
			      (LEAD_ACTS | LEAD_BLOCKED)) == LEAD_ACTS);
		return 0;
	case MODE_BLOCK_SAID:
		atomic_store(&held_at_block, m.w[0]->held);
		request_blocks(rq);
		block();
		return 0;
	case MODE_REMOTE_BLOCK:
		request_may_block(rq);
		block();
		return 0;
	case MODE_BLOCK:
		block();
		return 0;
	default:
		return 0;
	}
}

static uint64_t fh;

/* A file through the session itself: the requests go through the rings. */
static void open_file(void)
{
	uint64_t id;

	ck_ok(client_create(&m.c, ROOT, "file", O_RDWR, 0644, &id, &fh));
}

static void start_with(unsigned int queues, long pool, unsigned int poll_us)
{
	sem_init(&blocked, 0, 0);
	sem_init(&go_on, 0, 0);
	parked.n = 0;
	machine_start_with(&m, queues, NUM, pool, poll_us);
	ck_ok(machine_init_session(&m, 0));
	open_file();
}

static void start(unsigned int queues)
{
	start_with(queues, -1, 0);
}

static void stop(void)
{
	machine_stop(&m);
}

static struct call make(uint32_t mode)
{
	struct fuse_lseek_in in = { .fh = fh, .whence = mode };
	struct call k;

	call_begin(&k, FUSE_LSEEK, ROOT);
	call_put(&k, &in, sizeof(in));
	return k;
}

static void offer(unsigned int i, uint16_t head, uint32_t mode)
{
	struct call k = make(mode);

	machine_offer(&m, i, head, &k, 4096);
	machine_kick(&m, i);
}

static void wait_parked(unsigned int n)
{
	for (int i = 0; i < 5000; i++) {
		unsigned int now;

		pthread_mutex_lock(&parked.lock);
		now = parked.n;
		pthread_mutex_unlock(&parked.lock);
		if (now == n)
			return;
		usleep(1000);
	}
	ck_abort_msg("not parked");
}

static void expect(unsigned int i, uint32_t head, int error)
{
	struct vring_used_elem e;
	int got = 1;

	ck_assert(machine_wait(&m, i, 10000, &e, &got));
	ck_assert_uint_eq(e.id, head);
	ck_assert_int_eq(got, error);
}

static void expect_nothing(unsigned int i)
{
	struct vring_used_elem e;

	ck_assert(!machine_wait(&m, i, 60, &e, NULL));
}

START_TEST(requests_come_back)
{
	struct call k;

	start(2);
	for (unsigned int n = 0; n < 500; n++) {
		k = make(0);
		ck_ok(machine_call(&m, n % 2, &k));
		call_begin(&k, FUSE_GETATTR, ROOT);
		call_arg(&k, fuse_getattr_in);
		ck_ok(machine_call(&m, n % 2, &k));
	}
	stop();
}
END_TEST

START_TEST(no_reply_still_returns_the_chain)
{
	struct vring_used_elem e;
	struct call k;

	start(1);
	call_begin(&k, FUSE_FORGET, 12345);
	call_arg(&k, fuse_forget_in)->nlookup = 1;
	machine_offer(&m, 0, 4, &k, 0);
	machine_kick(&m, 0);
	ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
	ck_assert_uint_eq(e.id, 4);
	ck_assert_uint_eq(e.len, 0);
	stop();
}
END_TEST

START_TEST(parked_request_holds_nobody_up)
{
	struct call k;

	start(1);
	offer(0, 2, MODE_PARK);
	wait_parked(1);
	for (int n = 0; n < 50; n++) {
		k = make(0);
		ck_ok(machine_call(&m, 0, &k));
	}
	device_complete(&m.dev, &parked.token[0], -EDEADLK);
	expect(0, 2, -EDEADLK);
	stop();
}
END_TEST

static void complete_some(void *arg, unsigned int no)
{
	unsigned int n = *(unsigned int *)arg;

	for (unsigned int i = no; i < n; i += 2)
		device_complete(&m.dev, &parked.token[i], -100 - (int)i);
}

START_TEST(parked_requests_complete_from_any_thread)
{
	unsigned int n = NUM / 2;

	start(1);
	for (int round = 0; round < 20; round++) {
		uint64_t heads = 0;

		pthread_mutex_lock(&parked.lock);
		parked.n = 0;
		pthread_mutex_unlock(&parked.lock);
		for (uint16_t i = 0; i < n; i++)
			offer(0, i * 2, MODE_PARK);
		wait_parked(n);
		unit_threads(2, complete_some, &n);
		for (unsigned int i = 0; i < n; i++) {
			struct vring_used_elem e;
			int error;

			ck_assert(machine_wait(&m, 0, 10000, &e, &error));
			ck_assert_int_eq(error, -100 - (int)e.id / 2);
			heads |= 1ULL << e.id / 2;
		}
		ck_assert_uint_eq(heads, (1ULL << n) - 1);
		expect_nothing(0);
	}
	stop();
}
END_TEST

/* A stop waits for acting requests, not for parked ones. */
START_TEST(stop_does_not_wait_for_parked_requests)
{
	start(1);
	offer(0, 2, MODE_PARK);
	offer(0, 4, MODE_PARK);
	wait_parked(2);
	/* INIT, and these two. */
	ck_assert_uint_eq(device_stop_queue(&m.dev, m.w[0]), 3);
	/* One while the ring stands still, one after. */
	device_complete(&m.dev, &parked.token[0], -EAGAIN);
	expect_nothing(0);
	machine_resume_ring(&m, 0);
	expect(0, 2, -EAGAIN);
	device_complete(&m.dev, &parked.token[1], 0);
	expect(0, 4, 0);
	stop();
}
END_TEST

START_TEST(parked_request_is_dropped_by_reset)
{
	start(1);
	offer(0, 2, MODE_PARK);
	wait_parked(1);
	device_reset(&m.dev);
	device_complete(&m.dev, &parked.token[0], 0);
	machine_start_ring(&m, 0, NUM);
	ck_ok(machine_init_session(&m, 0));
	expect_nothing(0);
	/* A second completion, and one of a ring that runs anew. */
	device_complete(&m.dev, &parked.token[0], 0);
	expect_nothing(0);
	open_file();
	offer(0, 2, 0);
	expect(0, 2, 0);
	stop();
}
END_TEST

/* A guest that begins anew (INIT) or ends (DESTROY) waits for nothing. */
START_TEST(parked_request_is_dropped_by_a_new_session)
{
	struct call k;

	start(2);
	offer(1, 2, MODE_PARK);
	wait_parked(1);
	if (_i == 0) {
		ck_ok(machine_init_session(&m, 0));
	} else {
		call_begin(&k, FUSE_DESTROY, 0);
		ck_ok(machine_call(&m, 0, &k));
		ck_ok(machine_init_session(&m, 0));
	}
	device_complete(&m.dev, &parked.token[0], 0);
	expect_nothing(1);
	ck_assert_uint_eq(handle_table_count(&m.c.fs.handles), 0);
	/* The descriptor chain may be used again. */
	open_file();
	offer(1, 2, 0);
	expect(1, 2, 0);
	stop();
}
END_TEST

static void *let_go(void *arg)
{
	const unsigned int *n = arg;

	usleep(100000);
	for (unsigned int i = 0; i < *n; i++)
		sem_post(&go_on);
	return NULL;
}

START_TEST(stop_waits_for_acting_requests)
{
	unsigned int n = 1;
	struct vring_used_elem e;
	pthread_t thread;

	start(1);
	offer(0, 2, MODE_BLOCK);
	ck_assert_int_eq(sem_wait(&blocked), 0);
	ck_ok(pthread_create(&thread, NULL, let_go, &n));
	ck_assert_uint_eq(device_stop_queue(&m.dev, m.w[0]), 2);
	ck_assert_int_eq(acting, 0);
	/* Its reply is on the used ring by now, with no help of ours. */
	ck_assert(driver_take(&m.d[0], &e));
	ck_assert_uint_eq(e.id, 2);
	ck_ok(pthread_join(thread, NULL));
	stop();
}
END_TEST

START_TEST(stopping_one_queue_leaves_the_others)
{
	struct call k = { 0 };

	start(2);
	offer(1, 2, MODE_BLOCK);
	ck_assert_int_eq(sem_wait(&blocked), 0);
	device_stop_queue(&m.dev, m.w[0]);
	ck_assert_int_eq(acting, 1);
	sem_post(&go_on);
	expect(1, 2, 0);
	k = make(0);
	ck_ok(machine_call(&m, 1, &k));
	stop();
}
END_TEST

/* INIT while another queue is busy: it waits, and ends what was open. */
START_TEST(init_is_alone)
{
	struct fuse_init_in in = { .major = 7, .minor = 31 };
	struct vring_used_elem e;
	unsigned int n = 1;
	pthread_t thread;
	struct call k;
	int error = 1;

	start(3);
	offer(1, 2, MODE_BLOCK);
	ck_assert_int_eq(sem_wait(&blocked), 0);
	call_begin(&k, FUSE_INIT, 0);
	call_put(&k, &in, sizeof(in));
	machine_offer(&m, 0, 4, &k, 4096);
	machine_kick(&m, 0);
	usleep(20000);
	ck_assert(!driver_take(&m.d[0], &e));
	ck_assert_uint_eq(m.c.record.number, 1);
	ck_ok(pthread_create(&thread, NULL, let_go, &n));
	ck_assert(machine_wait(&m, 0, 10000, &e, &error));
	ck_assert_int_eq(acting, 0);
	ck_assert_int_eq(error, 0);
	ck_assert_uint_eq(m.c.record.number, 2);
	ck_assert_uint_eq(handle_table_count(&m.c.fs.handles), 0);
	expect(1, 2, 0);
	ck_ok(pthread_join(thread, NULL));
	stop();
}
END_TEST

/* Requests flow on two queues while a third says INIT over and over: none is
 * lost, and each is carried out or told that there is no session. */
START_TEST(init_over_and_over)
{
	unsigned int rounds = unit_rounds(600);
	struct fuse_init_in in = { .major = 7, .minor = 31 };
	struct call init, k;

	start(3);
	call_begin(&init, FUSE_INIT, 0);
	call_put(&init, &in, sizeof(in));
	for (unsigned int i = 0; i < rounds; i++) {
		struct vring_used_elem e;
		int error;

		call_begin(&k, FUSE_GETATTR, ROOT);
		call_arg(&k, fuse_getattr_in);
		for (uint16_t n = 0; n < 8; n++) {
			machine_offer(&m, 1, n * 2, &k, 4096);
			machine_kick(&m, 1);
			machine_offer(&m, 2, n * 2, &k, 4096);
			machine_kick(&m, 2);
		}
		ck_ok(machine_call(&m, 0, &init));
		for (unsigned int n = 0; n < 16; n++) {
			ck_assert(machine_wait(&m, 1 + n % 2, 10000, &e, &error));
			ck_assert_int_eq(error, 0);
		}
	}
	ck_assert_uint_eq(m.c.record.number, rounds + 1);
	stop();
}
END_TEST

static bool exclusive_waits(const struct crew *crew)
{
	struct member *mb;

	for_each_member(crew, mb)
		if (atomic_load(&mb->exclusive))
			return true;
	return false;
}

/*
 * A ring full of INITs, each of which waits for the control thread, while that
 * stops the queue: what it leaves must be a queue that waits for nothing.
 */
START_TEST(stop_among_inits)
{
	struct fuse_init_in in = { .major = 7, .minor = 31 };
	struct call init;

	start(MACHINE_QUEUES);
	call_begin(&init, FUSE_INIT, 0);
	call_put(&init, &in, sizeof(in));
	for (unsigned int i = 0; i < unit_rounds(300); i++) {
		struct vring_used_elem e;
		unsigned int back = 0;

		for (uint16_t n = 0; n < NUM / 2; n++)
			machine_offer(&m, 0, n * 2, &init, 4096);
		machine_kick(&m, 0);
		while (back < NUM / 2) {
			device_stop_queue(&m.dev, m.w[0]);
			ck_assert_msg(!exclusive_waits(m.w[0]),
				      "stopped with a request at work");
			machine_resume_ring(&m, 0);
			while (machine_wait(&m, 0, 0, &e, NULL))
				back++;
		}
	}
	stop();
}
END_TEST

START_TEST(memory_moves_while_requests_flow)
{
	unsigned int sent = 0, back = 0, todo = unit_rounds(3000);
	struct call k;

	start(1);
	call_begin(&k, FUSE_GETATTR, ROOT);
	call_arg(&k, fuse_getattr_in);
	while (back < todo) {
		struct vring_used_elem e;
		int error;

		while (sent - back < NUM / 2 && sent < todo) {
			machine_offer(&m, 0, (uint16_t)(sent % (NUM / 2) * 2),
				      &k, 4096);
			sent++;
		}
		machine_kick(&m, 0);
		device_quiesce(&m.dev);
		gmem_move(&m.g);
		device_resume(&m.dev);
		while (machine_wait(&m, 0, 0, &e, &error)) {
			ck_assert_int_eq(error, 0);
			back++;
		}
	}
	stop();
}
END_TEST

/* A ring whose memory is gone stands still, and goes on with it. */
START_TEST(ring_without_memory_stands_still)
{
	struct call k = { 0 };

	start(1);
	device_quiesce(&m.dev);
	memmap_clear(&m.dev.map);
	device_resume(&m.dev);
	ck_assert(!m.w[0]->queue.mapped);
	k = make(0);
	machine_offer(&m, 0, 2, &k, 4096);
	machine_kick(&m, 0);
	expect_nothing(0);
	device_quiesce(&m.dev);
	gmem_move(&m.g);
	device_resume(&m.dev);
	expect(0, 2, 0);
	stop();
}
END_TEST

START_TEST(broken_queue_leaves_the_others)
{
	struct capture log;
	struct call k = { 0 };

	start(2);
	capture_begin(&log);
	driver_offer(&m.d[0], NUM);
	machine_kick(&m, 0);
	expect_nothing(0);
	machine_kick(&m, 0);
	k = make(0);
	ck_ok(machine_call(&m, 1, &k));
	ck_assert_uint_eq(capture_end(&log), 1);
	device_stop_queue(&m.dev, m.w[0]);
	machine_start_ring(&m, 0, NUM);
	k = make(0);
	ck_ok(machine_call(&m, 0, &k));
	stop();
}
END_TEST

START_TEST(queue_indices)
{
	struct crew *w, *again;

	start(1);
	ck_assert_int_eq(device_queue(&m.dev, VHOST_USER_QUEUES_MAX, &w), -EINVAL);
	ck_assert_int_eq(device_queue(&m.dev, UINT32_MAX, &w), -EINVAL);
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		ck_ok(device_queue(&m.dev, i, &w));
		ck_ok(device_queue(&m.dev, i, &again));
		ck_assert_ptr_eq(w, again);
	}
	stop();
}
END_TEST

/* Requests of each queue size that INIT goes by. */
START_TEST(smallest_request_queue_counts)
{
	start(2);
	ck_assert_uint_eq(device_request_queue_size(&m.dev), NUM);
	device_stop_queue(&m.dev, m.w[1]);
	machine_start_ring(&m, 1, 16);
	ck_assert_uint_eq(device_request_queue_size(&m.dev), 16);
	device_stop_queue(&m.dev, m.w[1]);
	ck_assert_uint_eq(device_request_queue_size(&m.dev), NUM);
	stop();
}
END_TEST

START_TEST(destroy_does_not_wait_for_ever)
{
	struct capture log;

	start(2);
	offer(0, 2, MODE_BLOCK);
	ck_assert_int_eq(sem_wait(&blocked), 0);
	capture_begin(&log);
	ck_assert_int_eq(device_destroy(&m.dev), -ETIMEDOUT);
	capture_end(&log);
	sem_post(&go_on);
	stop();
}
END_TEST

/* --- the crew --- */

static void work_on(unsigned int i, unsigned int n)
{
	while (n--) {
		struct call k = make(0);

		ck_ok(machine_call(&m, i, &k));
	}
}

static void block_some(uint32_t mode, unsigned int n)
{
	for (unsigned int i = 1; i <= n; i++) {
		offer(0, (uint16_t)(i * 2), mode);
		ck_assert_int_eq(sem_wait(&blocked), 0);
	}
}

static void unblock(unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		sem_post(&go_on);
	for (unsigned int i = 0; i < n; i++) {
		struct vring_used_elem e;

		ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
	}
}

/* Each takes the lead from the one before, by itself or by the watchdog. */
START_TEST(blocked_requests_hold_nobody_up)
{
	uint32_t mode = _i ? MODE_BLOCK_SAID : MODE_BLOCK;

	start(1);
	for (int round = 0; round < 3; round++) {
		block_some(mode, 8);
		work_on(0, 50);
		ck_assert_int_eq(atomic_load(&acting), 8);
		unblock(8);
		work_on(0, 50);
	}
	ck_assert_uint_le(atomic_load(&m.dev.n_threads), 10);
	stop();
}
END_TEST

/* The leader and one more: two that block are the queue's limit, and whoever
 * comes back first serves it on. */
START_TEST(a_pool_has_its_size)
{
	struct vring_used_elem e;
	struct call k = make(0);

	start_with(1, 0, 0);
	block_some(_i ? MODE_BLOCK_SAID : MODE_BLOCK, 2);
	machine_offer(&m, 0, 0, &k, 4096);
	machine_kick(&m, 0);
	ck_assert(!machine_wait(&m, 0, 100, &e, NULL));
	ck_assert_uint_eq(atomic_load(&m.dev.n_threads), 2);
	sem_post(&go_on);
	ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
	ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
	unblock(1);
	stop();
}
END_TEST

START_TEST(stop_waits_for_all_members)
{
	unsigned int n = 4;
	struct vring_used_elem e;
	pthread_t thread;

	start(1);
	block_some(MODE_BLOCK, 4);
	ck_ok(pthread_create(&thread, NULL, let_go, &n));
	ck_assert_uint_eq(device_stop_queue(&m.dev, m.w[0]), 5);
	ck_assert_int_eq(atomic_load(&acting), 0);
	ck_assert_uint_eq(m.w[0]->queue.record->used_idx, 5);
	ck_ok(pthread_join(thread, NULL));
	machine_resume_ring(&m, 0);
	for (int i = 0; i < 4; i++)
		ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
	work_on(0, 10);
	stop();
}
END_TEST

static void offer_many(uint16_t *head, unsigned int n, uint32_t mode)
{
	struct call k = make(mode);

	for (; n; n--, *head += 2)
		machine_offer(&m, 0, *head, &k, 4096);
}

static void all_come_back(unsigned int n)
{
	struct vring_used_elem e;

	while (n--)
		ck_assert(machine_wait(&m, 0, 10000, &e, NULL));
}

static void work_off(unsigned int n)
{
	uint16_t head = 0;

	offer_many(&head, n, MODE_WORK);
	machine_kick(&m, 0);
	all_come_back(n);
}

/* A guest that has much to wait for is not woken for each. */
START_TEST(completions_are_told_of_together)
{
	start(1);
	for (int i = 0; i < 400 && !atomic_load(&held_most); i++) {
		work_off(NUM / 2);
		device_stop_queue(&m.dev, m.w[0]);
		ck_assert_uint_eq(m.w[0]->held, 0);
		machine_resume_ring(&m, 0);
	}
	ck_assert_uint_gt(atomic_load(&held_most), 0);
	/* Few are told of at once, unless this thread has to run on the queue's CPU, or
	 * the machine is so crowded that the two seem to take long. */
	for (int i = 0; i < 400; i++) {
		device_stop_queue(&m.dev, m.w[0]);
		atomic_store(&m.w[0]->shares_cpu, false);
		machine_resume_ring(&m, 0);
		atomic_store(&held_most, 0);
		work_off(2);
		if (i >= 20 && atomic_load(&held_most) == 0)
			break;
	}
	ck_assert_uint_eq(atomic_load(&held_most), 0);
	stop();
}
END_TEST

/* With a leader and one more, the second that blocks has nobody to tell for it. */
START_TEST(completions_are_told_of_before_a_block)
{
	bool held = false;
	uint16_t head;

	start_with(1, 0, 0);
	for (int i = 0; i < 400 && !held; i++) {
		head = 0;
		offer_many(&head, 1, MODE_BLOCK_SAID);
		offer_many(&head, 10, MODE_WORK);
		offer_many(&head, 1, MODE_BLOCK_SAID);
		offer_many(&head, 20, MODE_WORK);
		machine_kick(&m, 0);
		ck_assert_int_eq(sem_wait(&blocked), 0);
		ck_assert_int_eq(sem_wait(&blocked), 0);
		held = atomic_load(&held_at_block) > 0;
		ck_assert_uint_eq(m.w[0]->held, 0);
		all_come_back(10);
		unblock(2);
		all_come_back(20);
	}
	ck_assert(held);
	stop();
}
END_TEST

/* On somebody else's file system: what is quick is carried out by the leader, until
 * it stalls; that holds nobody up. */
START_TEST(quick_calls_keep_the_lead)
{
	uint64_t end = unit_now_ms() + 20000;
	struct call k;

	start(1);
	k = make(MODE_REMOTE);
	/* A crowded machine stalls by itself now and then. */
	while (!atomic_load(&kept_lead) && unit_now_ms() < end)
		ck_ok(machine_call(&m, 0, &k));
	ck_assert(atomic_load(&kept_lead));
	offer(0, 2, MODE_REMOTE_BLOCK);
	ck_ok(sem_wait(&blocked));
	work_on(0, 10);
	sem_post(&go_on);
	expect(0, 2, 0);
	ck_ok(machine_call(&m, 0, &k));
	ck_assert(!atomic_load(&kept_lead));
	stop();
}
END_TEST

/* Looked for, found and not found, and it stops for whoever holds the queue. */
START_TEST(a_ring_is_looked_at_before_sleep)
{
	start_with(1, -1, 1000);
	for (int i = 0; i < 200; i++) {
		work_on(0, 5);
		if (i % 20 == 0) {
			device_stop_queue(&m.dev, m.w[0]);
			machine_resume_ring(&m, 0);
		}
		usleep(i % 4 * 500);
	}
	usleep(20000);
	work_on(0, 1);
	usleep(20000);
	device_stop_queue(&m.dev, m.w[0]);
	/* The last sleep was long. */
	ck_assert_uint_eq(m.w[0]->window, 0);
	stop();
}
END_TEST

/* Nobody stops being served while the lead goes round as fast as it can. */
static void flood(void *arg, unsigned int no)
{
	(void)arg;
	for (unsigned int n = unit_rounds(400); n; n--) {
		struct vring_used_elem e;
		unsigned int back = 0;

		for (uint16_t i = 0; i < NUM / 2; i++) {
			struct call k = make(n % 3 ? MODE_YIELD : 0);

			machine_offer(&m, no, i * 2, &k, 4096);
		}
		machine_kick(&m, no);
		while (back < NUM / 2) {
			must(machine_wait(&m, no, 20000, &e, NULL));
			back++;
		}
	}
}

START_TEST(the_lead_goes_round)
{
	start_with(2, -1, _i ? 1000 : 0);
	unit_threads(2, flood, NULL);
	stop();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("device");
	TCase *tc = unit_tcase(s, "device", 30);

	unit_add_dir(tc);
	tcase_add_test(tc, requests_come_back);
	tcase_add_test(tc, no_reply_still_returns_the_chain);
	tcase_add_test(tc, parked_request_holds_nobody_up);
	tcase_add_test(tc, parked_requests_complete_from_any_thread);
	tcase_add_test(tc, stop_does_not_wait_for_parked_requests);
	tcase_add_test(tc, parked_request_is_dropped_by_reset);
	tcase_add_loop_test(tc, parked_request_is_dropped_by_a_new_session, 0, 2);
	tcase_add_test(tc, stop_waits_for_acting_requests);
	tcase_add_test(tc, stopping_one_queue_leaves_the_others);
	tcase_add_test(tc, init_is_alone);
	tcase_add_test(tc, init_over_and_over);
	tcase_add_test(tc, stop_among_inits);
	tcase_add_test(tc, memory_moves_while_requests_flow);
	tcase_add_test(tc, ring_without_memory_stands_still);
	tcase_add_test(tc, broken_queue_leaves_the_others);
	tcase_add_test(tc, queue_indices);
	tcase_add_test(tc, smallest_request_queue_counts);
	tcase_add_loop_test(tc, blocked_requests_hold_nobody_up, 0, 2);
	tcase_add_loop_test(tc, a_pool_has_its_size, 0, 2);
	tcase_add_test(tc, stop_waits_for_all_members);
	tcase_add_test(tc, completions_are_told_of_together);
	tcase_add_test(tc, completions_are_told_of_before_a_block);
	tcase_add_test(tc, quick_calls_keep_the_lead);
	tcase_add_test(tc, a_ring_is_looked_at_before_sleep);
	tcase_add_loop_test(tc, the_lead_goes_round, 0, 2);
	tcase_add_test(tc, destroy_does_not_wait_for_ever);
	return unit_run(s);
}
