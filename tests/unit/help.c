/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device/help.h: when two members serve a queue; and that two of them lose no
 * request and no notification, whoever blocks or is held meanwhile.
 *
 * The linker hands LSEEK to this file: it works, or says that it blocks, as its
 * mode says; and the question how many CPUs there are.
 */
#include "device/help.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <semaphore.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "fs/op.h"
#include "machine.h"
#include "unit.h"

#define MS 1000000ULL
#define NUM 64U
#define WORK_NS 6000U

enum mode { MODE_WORK = 0x10000, MODE_YIELD = 0x20000, MODE_BLOCK = 0x30000 };

/* The rule */

static unsigned int cpus = 2;

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	must(pid == 0 && size == sizeof(*set));
	CPU_ZERO(set);
	for (unsigned int i = 0; i < cpus; i++)
		CPU_SET(i, set);
	return 0;
}

/* Windows of help_look() of @ms each, at @rate looks a millisecond. */
static void load(struct help *h, uint64_t *now, unsigned int ms,
		 unsigned int rate, bool behind)
{
	for (unsigned int i = 0; i < ms * rate; i++) {
		*now += MS / rate;
		help_look(h, *now, behind);
	}
}

/* Until help is tried, at @rate without it. Returns how long that took, in ms. */
static unsigned int wait_for_try(struct help *h, uint64_t *now,
				 unsigned int rate)
{
	unsigned int ms = 0;

	while (!help_on(h) && ms < 20000) {
		load(h, now, 1, rate, true);
		ms++;
	}
	ck_assert(help_on(h));
	return ms;
}

START_TEST(a_queue_that_keeps_up_needs_no_help)
{
	struct help h = { 0 };
	uint64_t now = MS;

	load(&h, &now, 10000, 10, false);
	ck_assert(!help_on(&h));
}
END_TEST

START_TEST(help_that_pays_stays_and_is_measured_again)
{
	struct help h = { 0 };
	uint64_t now = MS;
	unsigned int off = 0;

	ck_assert_uint_ge(wait_for_try(&h, &now, 10), 100);
	for (unsigned int ms = 0; ms < 10000; ms++) {
		load(&h, &now, 1, help_on(&h) ? 16 : 10, true);
		off += !help_on(&h);
	}
	/* A window in each second, and never a pause. */
	ck_assert_uint_ge(off, 9 * 10);
	ck_assert_uint_le(off, 11 * 15);
}
END_TEST

START_TEST(help_that_does_not_pay_is_tried_less_and_less)
{
	struct help h = { 0 };
	uint64_t now = MS;
	unsigned int before = 0, wait;

	for (int i = 0; i < 8; i++) {
		wait = wait_for_try(&h, &now, 10);
		if (i > 1 && i < 7)
			ck_assert_uint_gt(wait, before + before / 2);
		before = wait;
		/* The first window is not measured, however fast it is. */
		load(&h, &now, 10, 20, true);
		ck_assert(help_on(&h));
		load(&h, &now, 12, 10, true);
		ck_assert(!help_on(&h));
	}
	ck_assert_uint_ge(wait, 4900);
	ck_assert_uint_le(wait, 5100);
}
END_TEST

START_TEST(help_ends_with_the_load)
{
	struct help h = { 0 };
	uint64_t now = MS;

	wait_for_try(&h, &now, 10);
	load(&h, &now, 200, 16, true);
	ck_assert(help_on(&h));
	load(&h, &now, 50, 5, false);
	ck_assert(!help_on(&h));
	/* It is back without a pause. */
	ck_assert_uint_le(wait_for_try(&h, &now, 10), 30);
}
END_TEST

/* Requests with long gaps are no load. */
START_TEST(long_windows_say_nothing)
{
	struct help h = { 0 };
	uint64_t now = MS;

	for (int i = 0; i < 1000; i++) {
		now += 40 * MS;
		help_look(&h, now, true);
	}
	ck_assert(!help_on(&h));
}
END_TEST

START_TEST(one_cpu_is_not_for_two)
{
	struct help h = { 0 };
	uint64_t now = MS;

	cpus = 1;
	load(&h, &now, 10000, 10, true);
	ck_assert(!help_on(&h));
}
END_TEST

/* Two members */

static struct machine m;
static uint64_t fh;
static atomic_uint at_work, at_work_most;
static sem_t blocked, go_on;

static void work(void)
{
	uint64_t start = clock_ns();
	unsigned int n = atomic_fetch_add(&at_work, 1) + 1;

	if (n > atomic_load(&at_work_most))
		atomic_store(&at_work_most, n);
	while (clock_ns() - start < WORK_NS)
		;
	atomic_fetch_sub(&at_work, 1);
}

int __wrap_op_lseek(struct fs *fs, struct request *rq);
int __wrap_op_lseek(struct fs *fs, struct request *rq)
{
	(void)fs;
	switch (rq->arg.lseek.whence) {
	case MODE_YIELD:
		request_blocks(rq);
		sched_yield();
		return 0;
	case MODE_BLOCK:
		sem_post(&blocked);
		while (sem_wait(&go_on) < 0)
			;
		return 0;
	default:
		work();
		return 0;
	}
}

static void start(long pool)
{
	uint64_t id;

	machine_start_with(&m, 1, NUM, pool, 0);
	ck_ok(machine_init_session(&m, 0));
	ck_ok(client_create(&m.c, FUSE_ROOT_ID, "file", O_RDWR, 0644, &id, &fh));
}

/* As if it had been found to pay, against no rate at all. */
static void force_help(void)
{
	device_stop_queue(&m.dev, m.w[0]);
	m.w[0]->help.state = HELP_PAYS;
	m.w[0]->help.next = UINT64_MAX;
	atomic_store(&m.w[0]->help.on, true);
	machine_resume_ring(&m, 0);
}

static void offer(uint16_t *head, unsigned int n, enum mode mode)
{
	struct fuse_lseek_in in = { .fh = fh, .whence = mode };
	struct call k;

	call_begin(&k, FUSE_LSEEK, FUSE_ROOT_ID);
	call_put(&k, &in, sizeof(in));
	for (; n; n--, *head += 2)
		machine_offer(&m, 0, *head, &k, 4096);
}

/* As a guest does it: who has said that it wants to be told, and finds nothing,
 * sleeps until it is told. */
static void all_come_back(unsigned int n)
{
	struct pollfd p = { .fd = m.d[0].call_fd, .events = POLLIN };
	struct vring_used_elem e;

	while (n) {
		(void)unit_eventfd_take(p.fd);
		(void)driver_want_call(&m.d[0]);
		if (driver_take(&m.d[0], &e))
			n--;
		else
			must(poll(&p, 1, 10000) == 1);
	}
}

static void work_together(unsigned int n, enum mode other)
{
	uint16_t head = 0;

	if (other == MODE_WORK) {
		offer(&head, n, MODE_WORK);
	} else {
		offer(&head, n / 4, MODE_WORK);
		offer(&head, n / 4, other);
		offer(&head, n - n / 4 * 2, MODE_WORK);
	}
	machine_kick(&m, 0);
	all_come_back(n);
}

/* What a crowded machine makes rare */
#define PATIENCE_MS 30000

static bool have_helped(void)
{
	return atomic_load(&at_work_most) >= 2 && stats_get(&m.w[0]->helped) > 0;
}

START_TEST(two_members_lose_nothing)
{
	unsigned int rounds = unit_rounds(2000);
	uint64_t end = clock_ms() + PATIENCE_MS;

	start(-1);
	force_help();
	for (unsigned int i = 0; i < rounds || (!have_helped() && clock_ms() < end); i++) {
		work_together(NUM / 2 - i % 7, _i ? MODE_YIELD : MODE_WORK);
		if (i % 16 == 0) {
			device_stop_queue(&m.dev, m.w[0]);
			ck_assert_uint_eq(m.w[0]->held, 0);
			machine_resume_ring(&m, 0);
		}
	}
	ck_assert(have_helped());
	machine_stop(&m);
}
END_TEST

/* The threads come when they are called for, and rest when there is no work. */
START_TEST(the_helper_is_called_for)
{
	uint64_t end = clock_ms() + PATIENCE_MS;

	start(-1);
	force_help();
	while (!stats_get(&m.w[0]->helped) && clock_ms() < end)
		work_together(NUM / 2, MODE_WORK);
	ck_assert_uint_gt(stats_get(&m.w[0]->helped), 0);
	usleep(20000);
	ck_assert(!atomic_load(&m.w[0]->hot));
	pthread_mutex_lock(&m.w[0]->lock);
	ck_assert_ptr_nonnull(m.w[0]->resting);
	pthread_mutex_unlock(&m.w[0]->lock);
	machine_stop(&m);
}
END_TEST

/* Members that come for one that is stuck, and get stuck themselves. */
START_TEST(help_does_not_stand_in_for_new_members)
{
	struct timespec end;
	uint16_t head = 0;

	sem_init(&blocked, 0, 0);
	sem_init(&go_on, 0, 0);
	start(-1);
	force_help();
	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 20;
	offer(&head, 12, MODE_BLOCK);
	offer(&head, NUM / 2 - 12, MODE_WORK);
	machine_kick(&m, 0);
	for (int i = 0; i < 12; i++)
		ck_ok(sem_timedwait(&blocked, &end));
	all_come_back(NUM / 2 - 12);
	for (int i = 0; i < 12; i++)
		sem_post(&go_on);
	all_come_back(12);
	machine_stop(&m);
}
END_TEST

/* --thread-pool-size=0 */
START_TEST(without_a_pool_there_is_no_help)
{
	start(0);
	for (unsigned int i = 0; i < 400; i++)
		work_together(NUM / 2, MODE_WORK);
	ck_assert_uint_eq(m.w[0]->help.since, 0);
	machine_stop(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("help");
	TCase *tc = unit_tcase(s, "help", 60);

	unit_add_dir(tc);
	tcase_add_test(tc, a_queue_that_keeps_up_needs_no_help);
	tcase_add_test(tc, help_that_pays_stays_and_is_measured_again);
	tcase_add_test(tc, help_that_does_not_pay_is_tried_less_and_less);
	tcase_add_test(tc, help_ends_with_the_load);
	tcase_add_test(tc, long_windows_say_nothing);
	tcase_add_test(tc, one_cpu_is_not_for_two);
	tcase_add_loop_test(tc, two_members_lose_nothing, 0, 2);
	tcase_add_test(tc, the_helper_is_called_for);
	tcase_add_test(tc, help_does_not_stand_in_for_new_members);
	tcase_add_test(tc, without_a_pool_there_is_no_help);
	return unit_run(s);
}
