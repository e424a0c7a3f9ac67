/* SPDX-License-Identifier: BSD-3-Clause */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "device/device.h"
#include "fs/handle.h"
#include "fs/lock_table.h"
#include "fs/node.h"

#define THREADS_MAX 16U

char unit_dir[64];

int unit_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	int failed;

	srunner_set_tap(sr, "-");
	srunner_run_all(sr, CK_SILENT);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

TCase *unit_tcase(Suite *s, const char *name, unsigned int seconds)
{
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, UNIT_SANITIZED ? seconds * 6 : seconds);
	suite_add_tcase(s, tc);
	return tc;
}

void unit_arena_sizes(size_t sizes[ARENA_SECTIONS], size_t nodes,
		      size_t handles)
{
	sizes[ARENA_SESSION] = 4096;
	sizes[ARENA_REGIONS] = MEMMAP_REGIONS_MAX * sizeof(struct region_record);
	sizes[ARENA_QUEUES] = device_queues_size();
	sizes[ARENA_INFLIGHT] = device_inflight_size();
	sizes[ARENA_TALLIES] = device_tallies_size();
	sizes[ARENA_JOURNALS] = SLOTS_SHARDS * sizeof(struct journal);
	sizes[ARENA_NODES] = nodes * sizeof(struct node);
	sizes[ARENA_HANDLES] = handles * sizeof(struct handle);
	sizes[ARENA_MOUNTS] = MOUNTS_MAX * sizeof(struct mount_record);
	sizes[ARENA_LOCKS] = LOCK_OWNERS_MAX * sizeof(struct lock_owner);
}

void unit_arena(struct arena *ret, size_t nodes, size_t handles)
{
	size_t sizes[ARENA_SECTIONS];

	unit_arena_sizes(sizes, nodes, handles);
	ck_ok(arena_create(sizes, ret));
}

void unit_arena_destroy(struct arena *a)
{
	arena_detach(a);
	ck_ok(fd_close(&a->fd));
}

size_t unit_resident(const void *start, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), found = 0;
	uintptr_t at = (uintptr_t)start & ~(page - 1);
	uintptr_t end = (uintptr_t)start + len;
	static unsigned char vec[65536];

	while (at < end) {
		size_t now = end - at, pages;

		if (now > sizeof(vec) * page)
			now = sizeof(vec) * page;
		pages = (now + page - 1) / page;
		ck_assert_int_eq(mincore((void *)at, now, vec), 0);
		for (size_t i = 0; i < pages; i++)
			found += vec[i] & 1;
		at += pages * page;
	}
	return found * page;
}

uint64_t unit_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct thread_arg {
	void (*fn)(void *arg, unsigned int no);
	void *arg;
	unsigned int no;
	pthread_barrier_t *start;
};

static void *thread_main(void *p)
{
	struct thread_arg *a = p;

	pthread_barrier_wait(a->start);
	a->fn(a->arg, a->no);
	return NULL;
}

void unit_threads(unsigned int n, void (*fn)(void *arg, unsigned int no),
		  void *arg)
{
	struct thread_arg args[THREADS_MAX];
	pthread_t thread[THREADS_MAX];
	pthread_barrier_t start;

	ck_assert_uint_le(n, THREADS_MAX);
	pthread_barrier_init(&start, NULL, n);
	for (unsigned int i = 0; i < n; i++) {
		args[i] = (struct thread_arg){ fn, arg, i, &start };
		ck_ok(pthread_create(&thread[i], NULL, thread_main, &args[i]));
	}
	for (unsigned int i = 0; i < n; i++)
		ck_ok(pthread_join(thread[i], NULL));
	pthread_barrier_destroy(&start);
}

uint32_t unit_random(uint32_t *state)
{
	uint32_t x = *state ? *state : 0x9e3779b9U;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	*state = x;
	return x;
}

void capture_begin(struct capture *c)
{
	c->fd = memfd_create("stderr", MFD_CLOEXEC);
	c->saved = dup(STDERR_FILENO);
	ck_assert(c->fd >= 0 && c->saved >= 0);
	/* Writers in threads share no position of a memfd otherwise. */
	ck_assert_int_eq(fcntl(c->fd, F_SETFL, O_APPEND), 0);
	ck_assert_int_eq(dup2(c->fd, STDERR_FILENO), STDERR_FILENO);
}

unsigned int capture_end(struct capture *c)
{
	unsigned int lines = 0;
	ssize_t n;

	dup2(c->saved, STDERR_FILENO);
	close(c->saved);
	n = pread(c->fd, c->text, sizeof(c->text) - 1, 0);
	ck_assert_int_ge(n, 0);
	c->text[n] = '\0';
	close(c->fd);
	for (ssize_t i = 0; i < n; i++)
		lines += c->text[i] == '\n';
	return lines;
}

uint64_t unit_eventfd_take(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	uint64_t n;

	if (poll(&p, 1, 0) != 1)
		return 0;
	ck_assert_int_eq(read(fd, &n, sizeof(n)), sizeof(n));
	return n;
}

static void dir_make(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(unit_dir, sizeof(unit_dir), "%.40s/unit-XXXXXX",
		 tmp && *tmp == '/' ? tmp : "/tmp");
	if (!mkdtemp(unit_dir)) {
		perror(unit_dir);
		exit(EXIT_FAILURE);
	}
	chmod(unit_dir, 0755);
}

/* A test may have taken the rights to a directory away, even from itself. */
static int open_up(const char *path, const struct stat *st, int type,
		   struct FTW *ftw)
{
	if (type == FTW_D || type == FTW_DNR)
		(void)chmod(path, 0700);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
		      struct FTW *ftw)
{
	(void)remove(path);
	return 0;
}

static void dir_remove(void)
{
	nftw(unit_dir, open_up, 16, FTW_PHYS);
	nftw(unit_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void unit_add_dir(TCase *tc)
{
	tcase_add_unchecked_fixture(tc, dir_make, dir_remove);
}

void unit_write_file(const char *name, const void *data, size_t len)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	close(fd);
}

void unit_remove_name(struct node_table *t, const char *name, uint32_t guess)
{
	_cleanup_unpin_ struct node_pin root = { 0 };
	struct node_removal removal;

	must(node_pin(t, NODE_ROOT_ID, &root) == 0);
	node_removal_enter(t, &root, name, guess, &removal);
	must(unlinkat(root.fd, name, 0) == 0);
	node_removal_leave(&removal);
}

void unit_enter_fd_directory(void)
{
	int fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchdir(fd), 0);
	close(fd);
	umask(0);
}
