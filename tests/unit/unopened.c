/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/unopened: files that are opened by their nodes, and kept in a line. */
#include "fs/unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"

#define FILES 8U
#define ROOT FUSE_ROOT_ID

static struct client c;
static uint64_t id[FILES];

static const char *file_name(unsigned int i)
{
	static _Thread_local char name[16];

	snprintf(name, sizeof(name), "f%u", i);
	return name;
}

static void setup(void)
{
	client_start(&c, CACHE_ALWAYS);
	ck_ok(unopened_init(&c.fs.unopened));
	c.fs.no_open = c.fs.no_opendir = true;
	for (unsigned int i = 0; i < FILES; i++) {
		unit_write_file(file_name(i), file_name(i), 2);
		ck_ok(client_lookup(&c, ROOT, file_name(i), &id[i]));
	}
}

static void teardown(void)
{
	fd_set_relief(NULL, NULL);
	client_stop(&c);
}

static int pin(uint64_t nodeid, bool writes, struct handle_pin *ret)
{
	return unopened_pin(&c.fs, nodeid, 0, HANDLE_FILE, writes, ret);
}

/* What a pin gives is file @i, and can be written if that was asked for. */
static void check(const struct handle_pin *p, unsigned int i, bool writes)
{
	char text[2] = "";

	must(pread(p->fd, text, 2, 0) == 2);
	must(memcmp(text, file_name(i), 2) == 0);
	must(!writes || pwrite(p->fd, text, 2, 0) == 2);
}

static uint64_t use(unsigned int i, bool writes)
{
	_cleanup_handle_ struct handle_pin p = { 0 };

	ck_ok(pin(id[i], writes, &p));
	check(&p, i, writes);
	return handle_id(&p);
}

START_TEST(files_are_found_opened_and_dropped)
{
	struct handle_pin p = { 0 };
	uint64_t read, written;
	long fds;

	read = use(0, false);
	ck_assert_uint_eq(use(0, false), read);
	written = use(0, true);
	ck_assert_uint_ne(written, read);
	ck_assert_uint_eq(use(0, false), written);
	/* The guest cannot name it. */
	ck_assert_int_eq(handle_pin(&c.fs.handles, written, HANDLE_FILE, &p),
			 -EBADF);
	ck_assert_uint_eq(handle_table_count(&c.fs.handles), 1);
	fds = fd_count();
	client_forget(&c, id[0], 1);
	ck_assert_int_eq(fd_count(), fds - 2);
	ck_assert_uint_eq(handle_table_count(&c.fs.handles), 0);
	ck_assert_int_eq(pin(id[0], false, &p), -EBADF);
}
END_TEST

/* A node in the place of one that was forgotten has not its file. */
START_TEST(place_of_another_node)
{
	struct handle_pin p = { 0 };
	uint64_t fh = use(1, false), left;

	/* As if the file had been opened while its node was forgotten. */
	ck_ok(pin(id[1], false, &p));
	left = atomic_load(&c.fs.unopened.by_node[id[1] & (SLOTS_MAX - 1)]);
	ck_assert_uint_eq(left, fh);
	p.handle->nodeid = id[1] + (1ULL << SLOTS_INDEX_BITS);
	handle_unpin(&p);
	ck_assert_uint_ne(use(1, false), fh);
}
END_TEST

START_TEST(the_line_has_an_end)
{
	uint64_t first = use(0, false);
	long fds = fd_count();

	for (unsigned int i = 0; i < UNOPENED_MAX - 1; i++) {
		int fd = fd_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);

		ck_ok(unopened_put(&c.fs, id[1], &fd, 0));
	}
	/* The one before of the same node goes at once. */
	ck_assert_int_eq(fd_count(), fds + 1);
	ck_assert_uint_eq(use(0, false), first);
	use(2, false);
	ck_assert_uint_ne(use(0, false), first);
}
END_TEST

/* Without descriptors the oldest of the line are closed for it. */
START_TEST(descriptors_are_short)
{
	const struct rlimit rl = { 64, 64 };
	struct fuse_attr attr;
	int n = 0, fds[64];

	for (unsigned int i = 0; i < FILES; i++)
		use(i, true);
	ck_ok(setrlimit(RLIMIT_NOFILE, &rl));
	fd_set_reserve();
	c.fs.nodes.fds.budget = LONG_MAX; /* nodes give none up */
	while (n < 64 && (fds[n] = fd_dup(STDERR_FILENO)) >= 0)
		n++;
	client_forget(&c, id[0], 1);
	ck_ok(client_lookup(&c, ROOT, file_name(0), &id[0]));
	ck_ok(client_getattr(&c, id[0], &attr)); /* opens its node */
	while (n < 64 && (fds[n] = fd_dup(STDERR_FILENO)) >= 0)
		n++;
	fd_set_relief(fs_relieve, &c.fs);
	use(0, true);
	ck_assert_int_gt(n, 8);
	while (n)
		ck_ok(fd_close(&fds[--n]));
	for (unsigned int i = 0; i < FILES; i++)
		use(i, true);
}
END_TEST

/* Some use, one writes, one opens others until they fall out of the line. */
static void race(void *arg, unsigned int no)
{
	uint32_t state = no + 1;

	for (unsigned int n = unit_rounds(3000); n; n--) {
		unsigned int i = unit_random(&state) % (FILES - 1);
		struct handle_pin p = { 0 };
		int fd;

		if (no == 0) {
			fd = fd_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
			must(unopened_put(&c.fs, id[FILES - 1], &fd, 0) == 0);
			continue;
		}
		must(pin(id[i], no == 1, &p) == 0);
		check(&p, i, no == 1);
		handle_unpin(&p);
	}
}

START_TEST(files_are_dropped_while_they_are_used)
{
	unit_threads(4, race, NULL);
	ck_assert_uint_le(handle_table_count(&c.fs.handles), UNOPENED_MAX);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("unopened");
	TCase *tc = unit_tcase(s, "unopened", 30);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, files_are_found_opened_and_dropped);
	tcase_add_test(tc, place_of_another_node);
	tcase_add_test(tc, the_line_has_an_end);
	tcase_add_test(tc, descriptors_are_short);
	tcase_add_test(tc, files_are_dropped_while_they_are_used);
	return unit_run(s);
}
