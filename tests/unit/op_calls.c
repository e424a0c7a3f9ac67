/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How many system calls each op makes on the host: the library's calls are
 * counted on their way to the C library.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"
#include "fs/node_place.h"

#define ROOT FUSE_ROOT_ID

static struct client c;
static unsigned int calls;

#define COUNTED(type, name, params, args)                                      \
	type __real_##name params;                                             \
	type __wrap_##name params;                                             \
	type __wrap_##name params                                              \
	{                                                                      \
		calls++;                                                       \
		return __real_##name args;                                     \
	}

COUNTED(int, statx, (int d, const char *p, int f, unsigned int m,
		     struct statx *s), (d, p, f, m, s))
COUNTED(int, close, (int fd), (fd))
COUNTED(off_t, lseek64, (int fd, off_t o, int w), (fd, o, w))
COUNTED(int, unlinkat, (int d, const char *p, int f), (d, p, f))
COUNTED(int, mkdirat, (int d, const char *p, mode_t m), (d, p, m))
COUNTED(int, renameat, (int a, const char *p, int b, const char *q),
	(a, p, b, q))
COUNTED(ssize_t, preadv64, (int fd, const struct iovec *i, int n, off_t o),
	(fd, i, n, o))
COUNTED(ssize_t, pwritev64, (int fd, const struct iovec *i, int n, off_t o),
	(fd, i, n, o))
COUNTED(ssize_t, pwritev64v2, (int fd, const struct iovec *i, int n, off_t o,
			       int f), (fd, i, n, o, f))

int __real_openat64(int d, const char *p, int f, ...);
int __wrap_openat64(int d, const char *p, int f, ...);
int __wrap_openat64(int d, const char *p, int f, ...)
{
	mode_t mode;
	va_list ap;

	va_start(ap, f);
	mode = va_arg(ap, mode_t);
	va_end(ap);
	calls++;
	return __real_openat64(d, p, f, mode);
}

int __real_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...);
int __wrap_fcntl64(int fd, int cmd, ...)
{
	va_list ap;
	long arg;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);
	calls++;
	return __real_fcntl64(fd, cmd, arg);
}

/* getdents64(2) */
long __real_syscall(long no, ...);
long __wrap_syscall(long no, ...);
long __wrap_syscall(long no, ...)
{
	va_list ap;
	long arg[3];

	va_start(ap, no);
	for (int i = 0; i < 3; i++)
		arg[i] = va_arg(ap, long);
	va_end(ap);
	calls++;
	return __real_syscall(no, arg[0], arg[1], arg[2]);
}

/* One op and the calls that it makes. */
#define expect(op, n)                                                          \
	do {                                                                   \
		calls = 0;                                                     \
		ck_ok(op);                                                     \
		ck_assert_msg(calls == (n), "%s: %u calls, not %u", #op,       \
			      calls, (unsigned int)(n));                       \
	} while (0)

/* client_read() and client_write() name no node. */
static int read_node(uint64_t id, uint64_t fh, uint64_t off, uint32_t size)
{
	struct fuse_read_in *in;
	struct call k;
	int r;

	call_begin(&k, FUSE_READ, id);
	in = call_arg(&k, fuse_read_in);
	in->fh = fh;
	in->offset = off;
	in->size = size;
	calls = 0;
	r = call_serve(&c, &k);
	return r < 0 ? r : (int)k.body_len;
}

static int flush_node(uint64_t id, uint64_t fh)
{
	struct call k;

	call_begin(&k, FUSE_FLUSH, id);
	call_arg(&k, fuse_flush_in)->fh = fh;
	return call_serve(&c, &k);
}

static int rename_root(const char *from, const char *to)
{
	struct call k;

	call_begin(&k, FUSE_RENAME, ROOT);
	call_arg(&k, fuse_rename_in)->newdir = ROOT;
	call_name(&k, from);
	call_name(&k, to);
	return call_serve(&c, &k);
}

static void setup(void)
{
	client_start(&c, CACHE_AUTO);
}

static void teardown(void)
{
	client_stop(&c);
}

/* Whether a file that is new takes a statx by name alone; else an open and a statx. */
static bool has_places(void)
{
	unsigned int saved = calls;
	struct statx stx;

	unit_write_file("probe", "", 0);
	ck_ok(statx(c.fs.nodes.root->fd, "probe", 0, STATX_BTIME, &stx));
	calls = saved;
	return node_may_place(&c.fs.nodes,
			      &(struct node_pin){ .node = c.fs.nodes.root }) &&
	       node_born(&stx);
}

START_TEST(lookup)
{
	unsigned int new = has_places() ? 1 : 2;
	struct fuse_attr attr;
	uint64_t id, again;

	unit_write_file("f", "x", 1);
	expect(client_lookup(&c, ROOT, "f", &id), new);
	expect(client_lookup(&c, ROOT, "f", &again), 1); /* statx */
	ck_assert_uint_eq(id, again);
	client_forget(&c, id, 2);
	/* Its name is known, but not as a node of the guest's. */
	expect(client_lookup(&c, ROOT, "f", &id), new);
	expect(client_lookup(&c, ROOT, "f", &id), 1);
	client_forget(&c, id, 2);
	/* A place is opened once: open, statx. */
	expect(client_lookup(&c, ROOT, "f", &id), new);
	expect(client_getattr(&c, id, &attr), new == 1 ? 3 : 1);
	expect(client_getattr(&c, id, &attr), 1);
}
END_TEST

/* The node that a name stood for was forgotten, and its slot is another file's. */
START_TEST(lookup_of_a_name_that_was_forgotten)
{
	unsigned int new = has_places() ? 1 : 2;
	uint64_t id;

	unit_write_file("f", "x", 1);
	unit_write_file("g", "x", 1);
	for (int i = 0; i < 64; i++) {
		expect(client_lookup(&c, ROOT, i % 2 ? "f" : "g", &id), new);
		client_forget(&c, id, 1);
	}
}
END_TEST

START_TEST(lookup_of_what_is_not_there)
{
	bool places;
	uint64_t id;

	unit_write_file("gone", "x", 1);
	ck_ok(client_lookup(&c, ROOT, "gone", &id));
	calls = 0;
	ck_assert_int_eq(client_lookup(&c, ROOT, "none", &id), -ENOENT);
	ck_assert_uint_eq(calls, 1);
	/* What the guest holds is opened before its name goes. */
	places = has_places();
	expect(client_name(&c, FUSE_UNLINK, ROOT, "gone"), places ? 3 : 1);
	for (int i = 0; i < 2; i++) {
		calls = 0;
		ck_assert_int_eq(client_lookup(&c, ROOT, "gone", &id), -ENOENT);
		ck_assert_uint_eq(calls, 1);
	}
}
END_TEST

/* A guess is no answer: the name leads elsewhere now. */
START_TEST(lookup_of_a_name_that_was_moved)
{
	unsigned int new = has_places() ? 1 : 3;
	uint64_t a, b, now;
	char from[128], to[128];

	unit_write_file("a", "x", 1);
	unit_write_file("b", "x", 1);
	ck_ok(client_lookup(&c, ROOT, "a", &a));
	ck_ok(client_lookup(&c, ROOT, "b", &b));
	snprintf(from, sizeof(from), "%s/b", unit_dir);
	snprintf(to, sizeof(to), "%s/a", unit_dir);
	ck_ok(rename(from, to));
	expect(client_lookup(&c, ROOT, "a", &now), 1);
	ck_assert_uint_eq(now, b);
	unit_write_file("b", "new", 3);
	expect(client_lookup(&c, ROOT, "b", &now), new);
	ck_assert_uint_ne(now, a);
	ck_assert_uint_ne(now, b);
}
END_TEST

START_TEST(small_file)
{
	struct fuse_attr attr;
	uint64_t id, fh;

	unit_write_file("f", "0123456789", 10);
	ck_ok(client_lookup(&c, ROOT, "f", &id));
	ck_ok(client_getattr(&c, id, &attr));
	expect(client_getattr(&c, id, &attr), 1);
	expect(client_open(&c, id, O_RDWR, &fh), 1);
	/* It ends where it was seen to end. */
	ck_assert_int_eq(read_node(id, fh, 0, 64), 10);
	ck_assert_uint_eq(calls, 1);
	calls = 0;
	ck_assert_int_eq(client_write(&c, fh, 10, "ABCDE", 5), 5);
	ck_assert_uint_eq(calls, 1);
	/* Longer than was known: the end has to be found, once. */
	ck_assert_int_eq(read_node(id, fh, 0, 64), 15);
	ck_assert_uint_eq(calls, 2);
	ck_assert_int_eq(read_node(id, fh, 0, 64), 15);
	ck_assert_uint_eq(calls, 1);
	ck_assert_int_eq(read_node(id, fh, 2, 8), 8);
	ck_assert_uint_eq(calls, 1);
	expect(flush_node(id, fh), 0);
	expect(client_release(&c, fh), 1);
}
END_TEST

START_TEST(names)
{
	uint64_t id, fh;

	/* open, open as a path, statx */
	expect(client_create(&c, ROOT, "new", O_RDWR, 0644, &id, &fh), 3);
	expect(client_lookup(&c, ROOT, "new", &id), 1);
	expect(client_release(&c, fh), 1);
	expect(rename_root("new", "old"), 1);
	expect(client_name(&c, FUSE_UNLINK, ROOT, "old"), 1);
}
END_TEST

/* One READDIR of a piece, and the calls that it makes; moves the cookie on. False
 * at the end. */
static bool read_piece(uint64_t id, uint64_t fh, uint64_t *cookie,
		       unsigned int n)
{
	struct fuse_read_in in = { .fh = fh, .offset = *cookie, .size = 512 };
	const struct fuse_dirent *d;
	struct call k;

	call_begin(&k, FUSE_READDIR, id);
	call_put(&k, &in, sizeof(in));
	expect(call_serve(&c, &k), n);
	for (size_t at = 0; at < k.body_len; at += FUSE_DIRENT_SIZE(d)) {
		d = (const void *)((const char *)call_body(&k) + at);
		*cookie = d->off;
	}
	return k.body_len > 0;
}

START_TEST(directory)
{
	uint64_t id, fh, other, cookie = 0, first, at = 0;
	unsigned int pieces = 1;
	char name[96];

	snprintf(name, sizeof(name), "%s/d", unit_dir);
	must(mkdir(name, 0755) == 0);
	ck_ok(client_lookup(&c, ROOT, "d", &id));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof(name), "d/f%03d", i);
		unit_write_file(name, "", 0);
	}
	expect(client_opendir(&c, id, &fh), 1);
	must(read_piece(id, fh, &cookie, 1));
	first = cookie;
	for (; pieces < 8; pieces++)
		must(read_piece(id, fh, &cookie, 0));
	/* Another handle has entries of its own. */
	expect(client_opendir(&c, id, &other), 1);
	must(read_piece(id, other, &at, 1));
	must(read_piece(id, fh, &cookie, 0));
	must(read_piece(id, other, &at, 0));
	/* Elsewhere: sought, and read. */
	must(read_piece(id, fh, &first, 2));
	/* From the start it is read again, and to the end. */
	cookie = 0;
	must(read_piece(id, fh, &cookie, 2));
	ck_ok(client_releasedir(&c, fh));
	ck_ok(client_opendir(&c, id, &fh));
	cookie = 0;
	must(read_piece(id, fh, &cookie, 1));
	for (pieces = 1; pieces < 13; pieces++)
		must(read_piece(id, fh, &cookie, 0));
	must(!read_piece(id, fh, &cookie, 1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_calls");
	TCase *tc = unit_tcase(s, "calls", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, lookup);
	tcase_add_test(tc, lookup_of_what_is_not_there);
	tcase_add_test(tc, lookup_of_a_name_that_was_forgotten);
	tcase_add_test(tc, lookup_of_a_name_that_was_moved);
	tcase_add_test(tc, small_file);
	tcase_add_test(tc, names);
	tcase_add_test(tc, directory);
	return unit_run(s);
}
