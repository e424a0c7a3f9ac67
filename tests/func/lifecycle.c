/* SPDX-License-Identifier: BSD-3-Clause */
/* How a daemon ends, and what it leaves behind over many sessions (row 21; DESIGN 5, 8). */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>

#include "func.h"

static void expect_status(int want, int within_ms)
{
	int status = daemon_wait(&fx.d, wait_scaled(within_ms));

	ck_assert_msg(status == want, "ended with %d, not %d", status, want);
	ck_assert_msg(!daemon_log_sanitizer(&fx.d), "sanitizer report");
}

START_TEST(front_end_that_hangs_up_ends_the_daemon_with_0)
{
	func_start();
	func_hang_up();
	expect_status(0, 5000);
	ck_assert(daemon_log_has(&fx.d, "Client disconnected, shutting down"));
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(front_end_that_says_nothing_and_hangs_up)
{
	func_start_daemon(NULL);
	ok(front_connect(&fx.v.front, fx.d.socket));
	front_close(&fx.v.front);
	expect_status(0, 5000);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(front_end_that_hangs_up_inside_a_message)
{
	struct vu_header h = { VU_SET_FEATURES, VU_VERSION, 8 };

	for (size_t len = 1; len < sizeof(h) + 1; len += 4) {
		func_start_daemon(NULL);
		ok(front_connect(&fx.v.front, fx.d.socket));
		ok(front_send_bytes(&fx.v.front, &h, len < sizeof(h) ? len : sizeof(h), NULL, 0));
		front_close(&fx.v.front);

		int status = daemon_wait(&fx.d, wait_scaled(5000));

		ck_assert_msg(status == 0 || status == 1, "%d", status);
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(front_end_that_hangs_up_with_requests_in_flight)
{
	static char data[FUNC_DATA_MAX];

	for (int round = 0; round < 10; round++) {
		struct fuse_entry_out e;
		struct fuse_open_out o;

		func_start();
		ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
		for (int i = 0; i < 30; i++) {
			/* all from the same memory: what they write is of no interest */
			struct call *c = guest_begin(&fx.g, FUSE_WRITE, e.nodeid);

			*(struct fuse_write_in *)call_arg(c, sizeof(struct fuse_write_in)) =
				(struct fuse_write_in){ .fh = o.fh, .size = sizeof(data) };
			call_send(c, NULL, sizeof(data));
			call_room(c, sizeof(struct fuse_write_out));
			ok(call_submit(c, fx.g.ring, &layout_linux));
		}
		ring_kick(fx.g.ring);
		wait_sleep_ms(round % 4);
		func_end();
	}
}
END_TEST

static void expect_end_on_signal(int sig)
{
	daemon_kill(&fx.d, sig);
	expect_status(1, 5000);
}

static const int signals[] = { SIGTERM, SIGINT, SIGHUP };

START_TEST(signal_before_a_front_end_came)
{
	for (int i = 0; i < 3; i++) {
		func_start_daemon(NULL);
		expect_end_on_signal(signals[i]);
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(signal_in_an_idle_session)
{
	for (int i = 0; i < 3; i++) {
		func_start();
		expect_end_on_signal(signals[i]);
		ck_assert(front_hung_up(&fx.v.front, wait_scaled(2000)));
		func_hang_up();
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(signal_under_load)
{
	static char data[FUNC_DATA_MAX];
	struct fuse_entry_out e;
	struct fuse_open_out o;

	for (int i = 0; i < 3; i++) {
		func_start();
		ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
		for (int k = 0; k < 200; k++) {
			struct call *c = guest_begin(&fx.g, FUSE_WRITE, e.nodeid);

			*(struct fuse_write_in *)call_arg(c, sizeof(struct fuse_write_in)) =
				(struct fuse_write_in){ .fh = o.fh, .size = sizeof(data) };
			call_send(c, NULL, sizeof(data));
			call_room(c, sizeof(struct fuse_write_out));
			ok(call_submit(c, fx.g.ring, &layout_linux));
		}
		ring_kick(fx.g.ring);
		expect_end_on_signal(signals[i]);
		func_hang_up();
		daemon_discard(&fx.d);
	}
}
END_TEST

static bool is_dead(const char *stat_path)
{
	FILE *f = fopen(stat_path, "re");
	char line[256];
	bool dead = true;

	if (!f)
		return true;
	if (fgets(line, sizeof(line), f)) {
		char *state = strrchr(line, ')');

		dead = !state || state[2] == 'Z' || state[2] == 'X';
	}
	fclose(f);
	return dead;
}

/* True while any thread lives: the first may be dead, and the rest still hold descriptors. */
static bool process_exists(pid_t pid)
{
	char path[300];
	bool alive = false;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *tasks = opendir(path);

	for (struct dirent *e; tasks && (e = readdir(tasks));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.16s/stat", pid, e->d_name);
		alive |= !is_dead(path);
	}
	if (tasks)
		closedir(tasks);
	return alive;
}

static bool gone_within(pid_t pid, int ms)
{
	int64_t deadline = wait_now_ms() + wait_scaled(ms);

	while (process_exists(pid) && wait_now_ms() < deadline)
		wait_sleep_ms(5);
	return !process_exists(pid);
}

START_TEST(killed_worker_ends_the_program_with_a_status_of_its_own)
{
	static const int how[] = { SIGKILL, SIGSEGV };

	static const char *const args[] = { "--no-restart", NULL };

	/* a sanitizer has an exit status of its own for SIGSEGV */
	for (int i = 0; i < (func_sanitized() ? 1 : 2); i++) {
		func_start_with(args, NULL);

		pid_t worker = daemon_worker(&fx.d);

		if (worker == fx.d.pid)
			ck_abort_msg("there is no worker");
		kill(worker, how[i]);

		int status = daemon_wait(&fx.d, wait_scaled(5000));

		ck_assert_msg(status > 1 && status < 256, "signal %d: ended with %d", how[i],
			      status);
		func_hang_up();
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(killed_program_leaves_no_process)
{
	func_start();

	pid_t worker = daemon_worker(&fx.d);

	daemon_kill(&fx.d, SIGKILL);
	ck_assert(gone_within(fx.d.pid, 3000));
	ck_assert_msg(gone_within(worker, 3000), "the worker lives on");
	ck_assert(front_hung_up(&fx.v.front, wait_scaled(2000)));
	func_hang_up();
	daemon_wait(&fx.d, 1000);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(ended_program_leaves_no_process)
{
	func_start();

	pid_t worker = daemon_worker(&fx.d);

	func_hang_up();
	expect_status(0, 5000);
	ck_assert(!process_exists(worker));
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(daemon_killed_hard_can_be_started_again_on_its_socket)
{
	func_start();

	pid_t worker = daemon_worker(&fx.d);

	daemon_kill(&fx.d, SIGKILL);
	daemon_wait(&fx.d, 3000);
	/* the lock goes with the last process that had it */
	ck_assert(gone_within(worker, 3000));
	func_hang_up();
	host(truncate(fx.d.log, 0));
	ok(daemon_spawn(&fx.d, NULL));
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

/* --- nothing is left behind over many sessions --- */

static void use_the_share(void)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char name[16];

	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
		ok(guest_write(&fx.g, e.nodeid, o.fh, "x", 1, 0));
		ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	}
}

START_TEST(mount_and_unmount_loops_leave_nothing)
{
	func_start();
	use_the_share();
	ok(guest_destroy(&fx.g));
	func_init_session();

	int fds = daemon_fds(&fx.d), threads = daemon_threads(&fx.d);

	for (int i = 0; i < 100; i++) {
		use_the_share();
		ok(guest_destroy(&fx.g));
		func_init_session();
	}
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds, 2000), fds);
	/* One that a crowded machine kept from its CPU may have been relieved. */
	ck_assert_int_le(daemon_threads_settle(&fx.d, threads, wait_scaled(15000)), threads);
	func_end();
}
END_TEST

static void reset_rings(void)
{
	unsigned int base;

	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ok(vmm_ring_stop(&fx.v, &fx.v.ring[i], &base));
	for (unsigned int i = 0; i < fx.v.nrings; i++) {
		ring_reset(&fx.v.ring[i], 0);
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], 0));
	}
}

START_TEST(guest_reset_loops_leave_nothing)
{
	func_start();
	use_the_share();
	reset_rings();
	func_init_session();

	int fds = daemon_fds(&fx.d), threads = daemon_threads(&fx.d);

	for (int i = 0; i < 50; i++) {
		use_the_share();
		/* no DESTROY: the guest's machine was reset */
		reset_rings();
		func_init_session();
	}
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds, 2000), fds);
	/* One that a crowded machine kept from its CPU may have been relieved. */
	ck_assert_int_le(daemon_threads_settle(&fx.d, threads, wait_scaled(15000)), threads);
	func_end();
}
END_TEST

START_TEST(memory_of_the_daemon_does_not_grow_with_requests)
{
	struct fuse_entry_out e;

	if (func_sanitized())
		func_skip("not under a sanitizer");
	func_start();
	host_text("f", "x");
	for (int i = 0; i < 2000; i++)
		ok(guest_forget(&fx.g, func_node("f"), 1));

	long before = daemon_rss_kb(&fx.d);

	for (int i = 0; i < 20000; i++) {
		ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f", &e));
		ok(guest_forget(&fx.g, e.nodeid, 1));
	}
	ck_assert_int_le(daemon_rss_kb(&fx.d), before + 1024);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("lifecycle", argc, argv);
	func_test(front_end_that_hangs_up_ends_the_daemon_with_0);
	func_test(front_end_that_says_nothing_and_hangs_up);
	func_test(front_end_that_hangs_up_inside_a_message);
	func_test(front_end_that_hangs_up_with_requests_in_flight);
	func_test(signal_before_a_front_end_came);
	func_test(signal_in_an_idle_session);
	func_test(signal_under_load);
	func_test(killed_worker_ends_the_program_with_a_status_of_its_own);
	func_test(killed_program_leaves_no_process);
	func_test(ended_program_leaves_no_process);
	func_test(daemon_killed_hard_can_be_started_again_on_its_socket);
	func_test(mount_and_unmount_loops_leave_nothing);
	func_test(guest_reset_loops_leave_nothing);
	func_test(memory_of_the_daemon_does_not_grow_with_requests);
	return func_done();
}
