/* SPDX-License-Identifier: BSD-3-Clause */
/* device/gate: once closed and waited for, nobody is inside. */
#include "device/gate.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "unit.h"

static struct gate gate;
static struct gate_pass pass;
static uint64_t guarded; /* plain: what the gate is to protect */
static atomic_bool done;
static atomic_uint passes;

static void setup(void)
{
	gate_init(&gate);
	guarded = 0;
	done = false;
	passes = 0;
}

START_TEST(born_closed)
{
	ck_assert(!gate_enter(&gate, &pass));
	ck_ok(gate_wait(&pass, 0));
	gate_open(&gate);
	ck_assert(gate_enter(&gate, &pass));
	gate_leave(&gate, &pass);
}
END_TEST

START_TEST(thread_inside_sees_the_wish)
{
	gate_open(&gate);
	ck_assert(gate_enter(&gate, &pass));
	ck_assert(!gate_wanted(&gate));
	gate_close(&gate);
	ck_assert(gate_wanted(&gate));
	gate_leave(&gate, &pass);
	ck_assert(!gate_enter(&gate, &pass));
	ck_ok(gate_wait(&pass, 0));
}
END_TEST

START_TEST(wait_ends_in_time)
{
	uint64_t start = unit_now_ms();

	gate_open(&gate);
	ck_assert(gate_enter(&gate, &pass));
	gate_close(&gate);
	ck_assert_int_eq(gate_wait(&pass, 50), -ETIMEDOUT);
	ck_assert_uint_ge(unit_now_ms() - start, 49);
	ck_assert_uint_le(unit_now_ms() - start, 2000);
	ck_assert_int_eq(gate_wait(&pass, 0), -ETIMEDOUT);
	gate_leave(&gate, &pass);
	ck_ok(gate_wait(&pass, 50));
}
END_TEST

static void *leave_later(void *arg)
{
	usleep(50000);
	guarded++;
	gate_leave(&gate, &pass);
	return NULL;
}

START_TEST(wait_is_woken)
{
	uint64_t start = unit_now_ms();
	pthread_t thread;

	gate_open(&gate);
	ck_assert(gate_enter(&gate, &pass));
	gate_close(&gate);
	ck_ok(pthread_create(&thread, NULL, leave_later, NULL));
	ck_ok(gate_wait(&pass, 10000));
	ck_assert_uint_eq(guarded, 1);
	ck_assert_uint_le(unit_now_ms() - start, 5000);
	ck_ok(pthread_join(thread, NULL));
}
END_TEST

/* The serving thread: in and out as fast as it can, sometimes for longer. */
static void serve(uint32_t *seed)
{
	if (!gate_enter(&gate, &pass)) {
		sched_yield();
		return;
	}
	for (uint32_t i = unit_random(seed) % 50; i && !gate_wanted(&gate); i--)
		guarded++;
	guarded++;
	gate_leave(&gate, &pass);
	atomic_fetch_add(&passes, 1);
}

/* The control thread: what it finds when it is alone stays as it is. */
static void control(void)
{
	uint64_t found;

	gate_close(&gate);
	while (gate_wait(&pass, 1000) < 0)
		;
	found = guarded;
	for (int i = 0; i < 20; i++)
		must(*(volatile uint64_t *)&guarded == found);
	guarded = found + 1;
	gate_open(&gate);
}

static void race(void *arg, unsigned int no)
{
	uint32_t seed = 1;

	if (no == 0) {
		for (unsigned int i = 0; i < 40000U; i++) {
			control();
			if (i % 8 == 0)
				sched_yield();
		}
		atomic_store(&done, true);
		return;
	}
	while (!atomic_load(&done))
		serve(&seed);
}

START_TEST(close_wait_and_open_race_with_enter)
{
	gate_open(&gate);
	unit_threads(2, race, NULL);
	ck_assert_uint_gt(passes, 0);
}
END_TEST

START_TEST(futex_times_out_and_sees_a_change)
{
	_Atomic uint32_t word = 1;
	uint64_t start = unit_now_ms();

	futex_wait(&word, 1, 30);
	ck_assert_uint_ge(unit_now_ms() - start, 29);
	futex_wait(&word, 0, 0); /* not the value: back at once */
	futex_wake(&word);
	ck_assert_uint_le(unit_now_ms() - start, 5000);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("gate");
	TCase *tc = unit_tcase(s, "gate", 20);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, born_closed);
	tcase_add_test(tc, thread_inside_sees_the_wish);
	tcase_add_test(tc, wait_ends_in_time);
	tcase_add_test(tc, wait_is_woken);
	tcase_add_test(tc, close_wait_and_open_race_with_enter);
	tcase_add_test(tc, futex_times_out_and_sees_a_change);
	return unit_run(s);
}
