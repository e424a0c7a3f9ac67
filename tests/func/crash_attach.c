/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Deaths outside the queues' threads: of a worker that takes over from a dead one, at each of its
 * system calls, and of one that carries out INIT or DESTROY. These are watched from their keeper
 * on, into which only root may look.
 */
#include <fcntl.h>

#include "killer.h"

#define OPENED 5

/* Every point with GUEST_MATRIX=full; else one of so many, others each time. */
#define EACH 8

static unsigned int step(void)
{
	const char *matrix = getenv("GUEST_MATRIX");

	return matrix && strcmp(matrix, "full") == 0 ? 1 : EACH;
}

static unsigned int first(void)
{
	unsigned int n = (unsigned int)getpid() % step();

	fprintf(stderr, "# points %u, %u, ...\n", n, n + step());
	return n;
}

static const char *const args[] = { "--restart-limit=1000/0", "-o", "posix_lock", NULL };

/* Nodes, open files, a lock, a file with no name left: all are there after each death. */
START_TEST(while_it_takes_over)
{
	uint64_t node[OPENED], fh[OPENED];
	struct fuse_file_lock l;
	unsigned int n;
	char buf[8];
	int before;

	func_need_root();
	func_start_with(args, NULL);
	for (int i = 0; i < OPENED; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, name);
		node[i] = func_node(name);
		fh[i] = func_open(node[i], O_RDWR);
	}
	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, "f0"));
	ok(guest_setlk(&fx.g, &(struct guest_lock){ node[1], fh[1], 1, 0, 9, F_WRLCK, 0 }));
	before = daemon_fds(&fx.d);
	for (n = first(); killer_kill_twice(n); n += step()) {
		for (int i = 0; i < OPENED; i++) {
			ck_assert_int_eq(ok(guest_read(&fx.g, node[i], fh[i], buf, 8, 0)), 2);
			ck_assert_int_eq(buf[1], '0' + i);
		}
		ok(guest_getlk(&fx.g, &(struct guest_lock){ node[1], fh[1], 2, 0, 99, F_WRLCK, 0 },
			       &l));
		ck_assert_uint_eq(l.end, 9);
		ck_assert_int_eq(daemon_fds(&fx.d), before);
	}
	ck_assert_uint_gt(n, 20);
	func_end();
}
END_TEST

/* A new session drops what the old one held, all of it, whenever its worker died. */
START_TEST(in_an_init)
{
	struct fuse_attr_out a;
	int before;

	func_need_root();
	func_start_with(args, NULL);
	host_text("f", "text");
	before = daemon_fds(&fx.d);
	for (unsigned int n = first();; n += step()) {
		uint64_t node = func_node("f");

		func_open(node, O_RDONLY);
		killer_arm_control(KILLER_CALLS, n);
		func_init_session();
		if (!killer_result(NULL))
			break;
		fails(guest_getattr(&fx.g, node, GUEST_NO_FH, &a), EBADF);
		ck_assert_int_eq(daemon_fds(&fx.d), before);
		ck_assert_uint_eq(func_attr(func_node("f")).size, 4);
	}
	func_end();
}
END_TEST

START_TEST(in_a_destroy)
{
	int before;

	func_need_root();
	func_start_with(args, NULL);
	host_text("f", "text");
	before = daemon_fds(&fx.d);
	for (unsigned int n = first();; n += step()) {
		func_open(func_node("f"), O_RDONLY);
		killer_arm_control(KILLER_CALLS, n);
		ok(guest_destroy(&fx.g));
		if (!killer_result(NULL))
			break;
		ck_assert_int_eq(daemon_fds(&fx.d), before);
		func_init_session();
	}
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("crash_attach", argc, argv);
	func_test_long(while_it_takes_over, 300);
	func_test_long(in_an_init, 300);
	func_test_long(in_a_destroy, 300);
	return func_done();
}
