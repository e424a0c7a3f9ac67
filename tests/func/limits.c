/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the daemon sets for itself and what it says of it: the limit of open files, one front-end,
 * a request that hangs, and no byte in a reply that is nobody's.
 */
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

/* --- RLIMIT_NOFILE --- */

static struct rlimit limit_of_the_worker(void)
{
	struct rlimit rl;

	host(prlimit(daemon_worker(&fx.d), RLIMIT_NOFILE, NULL, &rl));
	return rl;
}

static long nr_open(void)
{
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	long n = 0;

	ck_assert(f && fscanf(f, "%ld", &n) == 1);
	fclose(f);
	return n;
}

/* The test's own, which the daemon is born with. */
static struct rlimit set_limit(rlim_t soft, rlim_t hard)
{
	struct rlimit rl;

	host(getrlimit(RLIMIT_NOFILE, &rl));
	if (hard > rl.rlim_max)
		hard = rl.rlim_max;
	rl = (struct rlimit){ soft, hard };
	host(setrlimit(RLIMIT_NOFILE, &rl));
	return rl;
}

START_TEST(open_files_are_raised_as_far_as_is_useful)
{
	struct rlimit born = set_limit(200, RLIM_INFINITY), rl;
	long useful = nr_open() < 1000000 ? nr_open() : 1000000;

	func_start();
	rl = limit_of_the_worker();
	/* or as far as this user may, which is said */
	if (rl.rlim_cur < (rlim_t)useful) {
		ck_assert_uint_eq(rl.rlim_cur, born.rlim_max);
		ck_assert(daemon_log_has(&fx.d, "open files are allowed"));
	} else {
		ck_assert_uint_eq(rl.rlim_cur, useful);
	}
	func_end();
}
END_TEST

START_TEST(open_files_are_as_the_option_says)
{
	static const struct { const char *arg; rlim_t want; } lines[] = {
		{ "--rlimit-nofile=150", 150 }, { "--rlimit-nofile=300", 300 },
		{ "--rlimit-nofile=0", 200 },
	};

	set_limit(200, 400);
	for (int i = 0; i < 3; i++) {
		func_start_with((const char *[]){ lines[i].arg, NULL }, NULL);
		ck_assert_uint_eq(limit_of_the_worker().rlim_cur, lines[i].want);
		func_end();
	}
}
END_TEST

START_TEST(open_files_that_cannot_be_had_are_said)
{
	set_limit(200, 400);
	func_start_with((const char *[]){ "--rlimit-nofile=500", NULL }, NULL);
	if (limit_of_the_worker().rlim_cur != 500) {
		ck_assert_uint_eq(limit_of_the_worker().rlim_cur, 400);
		ck_assert(daemon_log_has(&fx.d, "no more than 400 open files are allowed"));
	}
	func_end();
}
END_TEST

/* --- one front-end --- */

START_TEST(second_front_end_is_not_served)
{
	struct front second;

	func_start();
	ck_assert_int_eq(front_connect(&second, fx.d.socket), -ECONNREFUSED);
	func_attr(ROOT);
	func_end();
}
END_TEST

START_TEST(front_end_that_queues_behind_another_is_let_go)
{
	struct front first, second;
	pid_t held;

	func_start_daemon(NULL);
	/* both before the daemon has taken the first: it is held for as long, whether it is ready
	 * as one process yet or as two */
	held = daemon_worker(&fx.d);
	host(kill(held, SIGSTOP));
	ok(front_connect(&first, fx.d.socket));
	ok(front_connect(&second, fx.d.socket));
	host(kill(held, SIGCONT));
	ck_assert(front_hung_up(&second, wait_scaled(5000)));
	ok(front_tell_u64(&first, VU_SET_FEATURES, 0));
	front_close(&first);
	front_close(&second);
	ck_assert_int_eq(daemon_stop(&fx.d), 0);
}
END_TEST

/* --- a request that hangs --- */

/* A lease on a file of the host: whoever opens it to write waits for the lease to be given back. */
static int lease(const char *name)
{
	int fd = host(open(host_path(name), O_RDONLY | O_CLOEXEC));

	signal(SIGIO, SIG_IGN);
	if (fcntl(fd, F_SETLEASE, F_RDLCK) < 0)
		func_skip("no leases here");
	return fd;
}

START_TEST(request_that_hangs_at_a_stop_is_named)
{
	static struct call c;
	struct vu_state state = { 1, 0 };
	struct front_msg answer;
	struct ring_done done;

	func_start();
	host_text("f", "x");

	uint64_t n = func_node("f");
	int fd = lease("f");

	ok(call_init(&c, &fx.v.mem, 0, 0, 0, 16));
	guest_begin_on(&fx.g, &c, FUSE_OPEN, n);
	*(struct fuse_open_in *)call_arg(&c, sizeof(struct fuse_open_in)) =
		(struct fuse_open_in){ .flags = O_RDWR };
	call_room(&c, sizeof(struct fuse_open_out));
	ok(call_submit(&c, fx.g.ring, &layout_linux));
	ring_kick(fx.g.ring);
	for (int i = 0; i < 1000 && fcntl(fd, F_GETLEASE) == F_RDLCK; i++)
		wait_sleep_ms(5);
	ck_assert_int_eq(fcntl(fd, F_GETLEASE), F_UNLCK);
	ok(front_send(&fx.v.front, VU_GET_VRING_BASE, VU_VERSION, &state, sizeof(state), NULL, 0));
	ck_assert(daemon_log_wait(&fx.d, "queue 1: still waiting for a request to end (opcode 14)",
				  wait_scaled(15000)));
	/* it is waited for all the same */
	ck_assert_int_eq(ring_wait(fx.g.ring, &done, 0), -ETIMEDOUT);
	host(fcntl(fd, F_SETLEASE, F_UNLCK));
	ok(front_recv(&fx.v.front, &answer));
	memcpy(&state, answer.payload, sizeof(state));
	ck_assert_uint_eq((uint16_t)state.num, fx.g.ring->used->idx);
	ok(ring_wait(fx.g.ring, &done, 1000));
	ok(call_finish(&c, done.len));
	close(fd);
	func_end();
}
END_TEST

/* --- replies --- */

static bool zero(const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (((const uint8_t *)bytes)[i])
			return false;
	return true;
}

#define ZERO(field) ck_assert_msg(zero(&(field), sizeof(field)), #field)

/* What a reply has that is not said in it is zero, whatever lay there before. */
START_TEST(replies_have_no_stray_bytes)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	struct fuse_attr_out a;
	struct fuse_statfs_out s;
	struct guest_statx_out x;
	char name[200];

	func_start_with((const char *[]){ "--no-announce-submounts", NULL }, NULL);
	memset(name, 'n', sizeof(name));
	name[199] = '\0';
	for (int i = 0; i < 3; i++) {
		/* leaves something on the stack that is not zero */
		fails(guest_rename(&fx.g, ROOT, name, ROOT, name), ENOENT);
		ok(guest_create(&fx.g, ROOT, "f", O_RDWR, 0644, 0, &e, &o));
		ZERO(e.generation);
		ZERO(e.attr.flags);
		ck_assert(zero((char *)&o + 12, sizeof(o) - 12));
		ok(guest_open(&fx.g, e.nodeid, O_RDONLY, &o));
		ck_assert(zero((char *)&o + 12, sizeof(o) - 12));
		ok(guest_opendir(&fx.g, ROOT, &o));
		ck_assert(zero((char *)&o + 12, sizeof(o) - 12));
		ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
		ZERO(a.dummy);
		ZERO(a.attr.flags);
		ok(guest_statfs(&fx.g, ROOT, &s));
		ZERO(s.st.padding);
		ZERO(s.st.spare);
		ok(guest_statx(&fx.g, e.nodeid, STATX_BASIC_STATS, &x));
		ZERO(x.flags);
		ZERO(x.spare);
		ZERO(x.stat.spare0);
		ZERO(x.stat.spare2);
		ZERO(x.stat.atime.reserved);
		ZERO(x.stat.btime.reserved);
		ZERO(x.stat.ctime.reserved);
		ZERO(x.stat.mtime.reserved);
	}
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("limits", argc, argv);
	func_test(open_files_are_raised_as_far_as_is_useful);
	func_test(open_files_are_as_the_option_says);
	func_test(open_files_that_cannot_be_had_are_said);
	func_test(second_front_end_is_not_served);
	func_test(front_end_that_queues_behind_another_is_let_go);
	func_test_long(request_that_hangs_at_a_stop_is_named, 60);
	func_test(replies_have_no_stray_bytes);
	return func_done();
}
