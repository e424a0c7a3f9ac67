/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Several threads of the guest, each on a queue of its own, doing what does not go well together
 * (rows 12, 26, 27; REFERENCE 2: racing first LOOKUPs, racing RELEASE).
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "func.h"

#define THREADS 4

static struct guest guests[THREADS];
static atomic_bool stop;
static pthread_barrier_t barrier;

static void start_threads_with(const char *const *args)
{
	func_start_with(args, &(struct vmm_opts){ .request_queues = THREADS });
	for (unsigned int i = 0; i < THREADS; i++)
		ok(guest_attach(&guests[i], &fx.v, 1 + i, 65536));
	/* fx.g is on the first queue, too: used only while no thread runs */
	pthread_barrier_init(&barrier, NULL, THREADS);
}

static void run_threads(void *(*fn)(void *), int ms)
{
	pthread_t t[THREADS];

	for (long i = 0; i < THREADS; i++)
		pthread_create(&t[i], NULL, fn, (void *)i);
	if (ms) {
		wait_sleep_ms(ms);
		stop = true;
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(t[i], NULL);
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ck_assert_uint_eq(fx.v.ring[i].lost, 0);
}

static void end_threads(void)
{
	for (int i = 0; i < THREADS; i++)
		guest_detach(&guests[i]);
	func_end();
}

/* Descriptors again as before, when everything that the guest held was given back. */
static void expect_fds(int before)
{
	int now = daemon_fds_settle(&fx.d, before, wait_scaled(2000));

	ck_assert_msg(now <= before, "%d descriptors, %d before", now, before);
}

#define RACE_FILES 300

static uint64_t found[THREADS][RACE_FILES];

static void *lookup_all_at_once(void *arg)
{
	long me = (long)arg;
	struct fuse_entry_out e;
	char name[16];

	for (int i = 0; i < RACE_FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		pthread_barrier_wait(&barrier);
		ok(guest_lookup(&guests[me], FUSE_ROOT_ID, name, &e));
		found[me][i] = e.nodeid;
	}
	return NULL;
}

START_TEST(racing_first_lookups_make_one_node)
{
	start_threads_with(NULL);

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < RACE_FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "x");
	}
	run_threads(lookup_all_at_once, 0);
	for (int i = 0; i < RACE_FILES; i++) {
		for (int t = 1; t < THREADS; t++)
			ck_assert_uint_eq(found[t][i], found[0][i]);
		ok(guest_forget(&fx.g, found[0][i], THREADS));
	}
	expect_fds(before);
	end_threads();
}
END_TEST

static void *lookup_and_forget(void *arg)
{
	struct guest *g = &guests[(long)arg];
	struct fuse_entry_out e;
	struct fuse_attr_out a;

	while (!stop) {
		ok(guest_lookup(g, FUSE_ROOT_ID, "f", &e));
		ck_assert_uint_eq(e.attr.size, 5);
		ok(guest_getattr(g, e.nodeid, GUEST_NO_FH, &a));
		ck_assert_uint_eq(a.attr.size, 5);
		ok(guest_forget(g, e.nodeid, 1));
	}
	return NULL;
}

START_TEST(node_stays_while_any_thread_has_looked_it_up)
{
	start_threads_with(NULL);
	host_text("f", "hello");

	int before = daemon_fds(&fx.d);

	run_threads(lookup_and_forget, 1000);
	expect_fds(before);
	end_threads();
}
END_TEST

/* Two files full of 'A' or 'B'; the handle numbers of both are shared by all threads. */
static _Atomic uint64_t shared_fh[2];
static uint64_t shared_node[2];

static void *release_and_read(void *arg)
{
	long me = (long)arg;
	struct guest *g = &guests[me];
	struct fuse_open_out o;
	char buf[8192];

	while (!stop) {
		int which = me % 2;

		if (me < 2) {
			ok(guest_open(g, shared_node[which], O_RDWR, &o));

			uint64_t old = atomic_exchange(&shared_fh[which], o.fh);

			ok(guest_release(g, shared_node[which], old));
			continue;
		}

		ssize_t n = guest_read(g, shared_node[which], shared_fh[which], buf, sizeof(buf), 0);

		ck_assert_msg(n == sizeof(buf) || n == -EBADF, "%zd", n);
		for (ssize_t i = 0; i < n; i++)
			ck_assert_msg(buf[i] == 'A' + which, "bytes of another file");
	}
	return NULL;
}

START_TEST(read_racing_with_release_reads_no_other_file)
{
	char bytes[8192];

	start_threads_with(NULL);

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 2; i++) {
		memset(bytes, 'A' + i, sizeof(bytes));
		host_write(i ? "b" : "a", bytes, sizeof(bytes));
		shared_node[i] = func_node(i ? "b" : "a");
		shared_fh[i] = func_open(shared_node[i], O_RDWR);
	}
	run_threads(release_and_read, 1000);
	for (int i = 0; i < 2; i++) {
		ok(guest_release(&fx.g, shared_node[i], shared_fh[i]));
		ok(guest_forget(&fx.g, shared_node[i], 1));
	}
	expect_fds(before);
	end_threads();
}
END_TEST

static void *readdir_and_release(void *arg)
{
	long me = (long)arg;
	struct guest *g = &guests[me];
	static __thread char buf[4096];
	struct fuse_open_out o;
	uint64_t offset = 0;

	while (!stop) {
		if (me == 0) {
			ok(guest_opendir(g, FUSE_ROOT_ID, &o));

			uint64_t old = atomic_exchange(&shared_fh[0], o.fh);

			ok(guest_releasedir(g, FUSE_ROOT_ID, old));
			continue;
		}

		ssize_t n = guest_readdir(g, FUSE_ROOT_ID, shared_fh[0], offset, buf, sizeof(buf));
		const struct fuse_dirent *d, *last = NULL;
		size_t at = 0;

		ck_assert_msg(n >= 0 || n == -EBADF, "%zd", n);
		while (n > 0 && (d = guest_dirent(buf, n, &at)))
			last = d;
		offset = last ? last->off : 0;
	}
	return NULL;
}

START_TEST(readdir_racing_with_releasedir_is_safe)
{
	start_threads_with(NULL);
	for (int i = 0; i < 500; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "");
	}

	struct fuse_open_out o;
	int before = daemon_fds(&fx.d);

	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	shared_fh[0] = o.fh;
	run_threads(readdir_and_release, 1000);
	ok(guest_releasedir(&fx.g, FUSE_ROOT_ID, shared_fh[0]));
	expect_fds(before);
	end_threads();
}
END_TEST

/* One directory handle read by all at once, each from offsets of its own. */
static void *readdir_shared(void *arg)
{
	struct guest *g = &guests[(long)arg];
	static __thread char buf[65536];

	for (int round = 0; round < 20; round++) {
		uint64_t offset = 0;
		int total = 0;

		for (;;) {
			ssize_t n = ok(guest_readdir(g, FUSE_ROOT_ID, shared_fh[0], offset, buf,
						     512 + 64 * (long)arg));
			const struct fuse_dirent *d;
			size_t at = 0;

			if (!n)
				break;
			while ((d = guest_dirent(buf, n, &at))) {
				offset = d->off;
				total++;
			}
		}
		ck_assert_int_eq(total, 302);
	}
	return NULL;
}

START_TEST(one_directory_handle_serves_several_readers)
{
	struct fuse_open_out o;

	start_threads_with(NULL);
	for (int i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "");
	}
	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	shared_fh[0] = o.fh;
	run_threads(readdir_shared, 0);
	end_threads();
}
END_TEST

static void *create_and_unlink(void *arg)
{
	struct guest *g = &guests[(long)arg];
	struct fuse_entry_out e;
	struct fuse_open_out o;

	while (!stop) {
		int r = guest_create(g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o);

		/* it may go between the two looks that a file that exists takes */
		ck_assert_msg(r == 0 || r == -ENOENT || r == -EEXIST, "create: %s", strerror(-r));
		if (r == 0) {
			ck_assert_int_eq(ok(guest_write(g, e.nodeid, o.fh, "x", 1, 0)), 1);
			ok(guest_release(g, e.nodeid, o.fh));
			ok(guest_forget(g, e.nodeid, 1));
		}
		r = guest_unlink(g, FUSE_ROOT_ID, "f");
		ck_assert_msg(r == 0 || r == -ENOENT, "unlink: %s", strerror(-r));
	}
	return NULL;
}

START_TEST(create_racing_with_unlink)
{
	start_threads_with(NULL);

	int before = daemon_fds(&fx.d);

	run_threads(create_and_unlink, 1000);
	expect_fds(before);
	end_threads();
}
END_TEST

static void *rename_and_lookup(void *arg)
{
	long me = (long)arg;
	struct guest *g = &guests[me];
	struct fuse_entry_out e;

	while (!stop) {
		if (me == 0) {
			ok(guest_rename(g, FUSE_ROOT_ID, "a", FUSE_ROOT_ID, "b"));
			ok(guest_rename(g, FUSE_ROOT_ID, "b", FUSE_ROOT_ID, "a"));
			continue;
		}

		int r = guest_lookup(g, FUSE_ROOT_ID, me % 2 ? "a" : "b", &e);

		ck_assert_msg(r == 0 || r == -ENOENT, "%s", strerror(-r));
		if (r == 0) {
			ck_assert_uint_eq(e.nodeid, shared_node[0]);
			ok(guest_forget(g, e.nodeid, 1));
		}
	}
	return NULL;
}

START_TEST(lookup_racing_with_rename_finds_the_node_or_nothing)
{
	start_threads_with(NULL);
	host_text("a", "x");
	shared_node[0] = func_node("a");
	run_threads(rename_and_lookup, 700);
	func_attr(shared_node[0]);
	end_threads();
}
END_TEST

/* Requests of all sorts while another thread resets the session again and again. */
static void *use_or_init(void *arg)
{
	long me = (long)arg;
	struct guest *g = &guests[me];
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char buf[1000], name[16];

	snprintf(name, sizeof(name), "f%ld", me);
	while (!stop) {
		if (me == 0) {
			ok(guest_init(g, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
			wait_sleep_ms(1);
			continue;
		}

		int r = guest_create(g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o);

		ck_assert_msg(r == 0, "create: %s", strerror(-r));
		r = guest_write(g, e.nodeid, o.fh, buf, sizeof(buf), 0);
		ck_assert_msg(r == sizeof(buf) || r == -EBADF, "write: %d", r);
		r = guest_release(g, e.nodeid, o.fh);
		ck_assert_msg(r == 0 || r == -EBADF, "release: %d", r);
		ok(guest_forget(g, e.nodeid, 1));
	}
	return NULL;
}

START_TEST(init_excludes_all_other_requests)
{
	start_threads_with(NULL);

	int before = daemon_fds(&fx.d);

	run_threads(use_or_init, 1000);
	func_init_session();
	expect_fds(before);
	end_threads();
}
END_TEST

/* Each thread as another caller: what it makes must be its own. */
static void *make_as_myself(void *arg)
{
	long me = (long)arg;
	struct guest *g = &guests[me];
	struct fuse_entry_out e;
	char name[32];

	g->uid = 1000 + me;
	g->gid = 2000 + me;
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%ld.%d", me, i);
		ok(guest_mkdir(g, FUSE_ROOT_ID, name, 0755, 0, &e));
		ck_assert_uint_eq(e.attr.uid, 1000 + me);
		ck_assert_uint_eq(e.attr.gid, 2000 + me);
	}
	return NULL;
}

START_TEST(credentials_belong_to_one_thread)
{
	func_need_root();
	start_threads_with(NULL);
	run_threads(make_as_myself, 0);
	end_threads();
}
END_TEST

/* --- a guest that rewrites its request while it is being served (row 9) --- */

static void *rewrite_header(void *arg)
{
	struct fuse_in_header *h = arg;

	while (!stop) {
		__atomic_store_n(&h->len, 4096, __ATOMIC_RELAXED);
		__atomic_store_n(&h->opcode, 0xffff, __ATOMIC_RELAXED);
		__atomic_store_n(&h->nodeid, 0xdead, __ATOMIC_RELAXED);
		__atomic_store_n(&h->nodeid, FUSE_ROOT_ID, __ATOMIC_RELAXED);
		__atomic_store_n(&h->opcode, FUSE_GETATTR, __ATOMIC_RELAXED);
		__atomic_store_n(&h->len, 56, __ATOMIC_RELAXED);
	}
	return NULL;
}

START_TEST(rewritten_header_is_taken_as_it_was_at_one_moment)
{
	const char *sanitizer = getenv("VMM_SANITIZED");
	uint64_t ino;
	int good = 0;
	pthread_t t;

	if (sanitizer && strstr(sanitizer, "thread"))
		func_skip("a data race by intention");
	func_start();
	ino = func_attr(FUSE_ROOT_ID).ino;

	struct call *c = &fx.g.call;
	struct fuse_in_header *h = mem_host(&fx.v.mem, c->area[0].gpa, 40);

	pthread_create(&t, NULL, rewrite_header, h);
	for (int i = 0; i < 20000; i++) {
		const struct fuse_attr_out *a = call_body(c);

		guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);
		call_arg(c, sizeof(struct fuse_getattr_in));
		call_room(c, sizeof(*a));

		int r = guest_call(&fx.g);

		ck_assert_msg(r == 0 || r == -ENOSYS || r == -EBADF || r == -EINVAL || r == -EIO,
			      "%d", r);
		if (r == 0)
			ck_assert_uint_eq(a->attr.ino, ino);
		good += r == 0;
	}
	stop = true;
	pthread_join(t, NULL);
	ck_assert_int_gt(good, 0);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("race", argc, argv);
	func_test(racing_first_lookups_make_one_node);
	func_test(node_stays_while_any_thread_has_looked_it_up);
	func_test(read_racing_with_release_reads_no_other_file);
	func_test(readdir_racing_with_releasedir_is_safe);
	func_test(one_directory_handle_serves_several_readers);
	func_test(create_racing_with_unlink);
	func_test(lookup_racing_with_rename_finds_the_node_or_nothing);
	func_test(init_excludes_all_other_requests);
	func_test(credentials_belong_to_one_thread);
	func_test(rewritten_header_is_taken_as_it_was_at_one_moment);
	return func_done();
}
