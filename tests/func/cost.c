/* SPDX-License-Identifier: BSD-3-Clause */
/* What a request may not cost: allocations, and descriptors beyond the daemon's budget. */
#include <fcntl.h>
#include <sys/mman.h>

#include "func.h"

static char data[65536];

/* One of each kind of request that comes often, on things that are there. */
static void one_round(void)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	struct fuse_attr_out a;
	struct fuse_statfs_out s;

	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f", &e));
	ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
	ok(guest_open(&fx.g, e.nodeid, O_RDWR, &o));
	ok(guest_write(&fx.g, e.nodeid, o.fh, data, sizeof(data), 0));
	ok(guest_read(&fx.g, e.nodeid, o.fh, data, sizeof(data), 0));
	ok(guest_flush(&fx.g, e.nodeid, o.fh));
	ok(guest_release(&fx.g, e.nodeid, o.fh));
	ok(guest_chmod(&fx.g, e.nodeid, 0644));
	ok(guest_forget(&fx.g, e.nodeid, 1));
	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	ok(guest_readdir(&fx.g, FUSE_ROOT_ID, o.fh, 0, data, 4096));
	ok(guest_releasedir(&fx.g, FUSE_ROOT_ID, o.fh));
	ok(guest_statfs(&fx.g, FUSE_ROOT_ID, &s));
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0755, 0, &e));
	ok(guest_rename(&fx.g, FUSE_ROOT_ID, "d", FUSE_ROOT_ID, "d2"));
	ok(guest_rmdir(&fx.g, FUSE_ROOT_ID, "d2"));
	ok(guest_forget(&fx.g, e.nodeid, 1));
}

START_TEST(requests_allocate_nothing)
{
	const char *lib = getenv("VMM_MALLOC_COUNT_LIB");
	char preload[600];
	const char *wrap[] = { "env", preload, "MALLOC_COUNT={dir}/count", NULL };
	struct daemon_opts o = { .wrap = wrap };
	char path[128];

	if (func_sanitized())
		func_skip("not under a sanitizer");
	if (!lib)
		func_skip("VMM_MALLOC_COUNT_LIB does not name the counting library");
	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", lib);
	ok(daemon_prepare(&fx.d));
	snprintf(path, sizeof(path), "%s/count", fx.d.dir);

	int fd = host(open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666));

	host(ftruncate(fd, 4096));

	volatile uint64_t *count = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);

	close(fd);
	ck_assert_ptr_ne((void *)count, MAP_FAILED);
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
	host_text("f", "x");
	for (int i = 0; i < 20; i++)
		one_round();
	ck_assert_msg(*count > 0, "nothing was counted at start either");

	uint64_t before;
	int threads;

	/* A thread that is started meanwhile, since the machine was busy, takes a few: then it
	 * is there, and the rounds are repeated. */
	do {
		threads = daemon_threads(&fx.d);
		before = *count;
		for (int i = 0; i < 500; i++)
			one_round();
	} while (daemon_threads(&fx.d) != threads);
	ck_assert_msg(*count == before, "%llu allocations in 500 rounds",
		      (unsigned long long)(*count - before));
	func_end();
}
END_TEST

START_TEST(guest_that_opens_too_much_gets_an_errno)
{
	static uint64_t fh[1000];
	struct fuse_open_out o;
	int n = 0, r = 0;

	func_start_with((const char *[]){ "--rlimit-nofile=300", NULL }, NULL);
	host_text("f", "x");

	uint64_t node = func_node("f");

	while (n < 1000 && (r = guest_open(&fx.g, node, O_RDONLY, &o)) == 0)
		fh[n++] = o.fh;
	ck_assert_msg(r == -EMFILE || r == -ENFILE, "after %d: %s", n, strerror(-r));
	ck_assert_int_gt(n, 20);
	/* what needs no descriptor works, and what was opened can be closed */
	func_attr(node);
	for (int i = 0; i < n; i++)
		ok(guest_release(&fx.g, node, fh[i]));
	ok(guest_open(&fx.g, node, O_RDONLY, &o));
	func_end();
}
END_TEST

START_TEST(guest_that_looks_up_too_much_gets_an_errno)
{
	struct fuse_entry_out e, first = { 0 };
	int n = 0, r = 0;

	func_start_with((const char *[]){ "--rlimit-nofile=300", NULL }, NULL);
	for (int i = 0; i < 1000; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "");
	}
	while (n < 1000 && r == 0) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", n);
		r = guest_lookup(&fx.g, FUSE_ROOT_ID, name, &e);
		if (n++ == 0)
			first = e;
	}
	ck_assert_msg(r == 0 || r == -EMFILE || r == -ENFILE, "after %d: %s", n, strerror(-r));
	func_attr(first.nodeid);
	ok(guest_forget(&fx.g, first.nodeid, 1));
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f0", &e));
	func_end();
}
END_TEST

START_TEST(request_larger_than_1_mib_is_carried_or_refused)
{
	uint32_t size = 3u << 20;
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char *big = malloc(size), *back = malloc(size);

	func_start_daemon(NULL);
	ok(vmm_start(&fx.v, fx.d.socket, NULL));
	ok(guest_attach(&fx.g, &fx.v, 1, size));
	func_init_session();
	func_pattern(big, size, 1);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));

	ssize_t n = guest_write(&fx.g, e.nodeid, o.fh, big, size, 0);

	ck_assert_msg(n != -ETIMEDOUT && n != -EBADMSG, "%zd", n);
	if (fx.init.max_write >= size)
		ck_assert_int_eq(n, size);
	if (n == size) {
		ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, back, size, 0)), size);
		ck_assert_mem_eq(big, back, size);
	}
	func_attr(FUSE_ROOT_ID);
	free(big);
	free(back);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("cost", argc, argv);
	func_test(requests_allocate_nothing);
	func_test(guest_that_opens_too_much_gets_an_errno);
	func_test(guest_that_looks_up_too_much_gets_an_errno);
	func_test(request_larger_than_1_mib_is_carried_or_refused);
	return func_done();
}
