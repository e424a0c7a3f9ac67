/* SPDX-License-Identifier: BSD-3-Clause */
/* base/arena: memory that another process finds as it was left. */
#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

static const size_t sizes[ARENA_SECTIONS] = { 100, 4096, 4097, 1U << 20,
					      4095, 8, 1ULL << 34, 300, 1, 77 };
static struct arena a;

static void setup(void)
{
	ck_ok(arena_create(sizes, &a));
}

static void teardown(void)
{
	unit_arena_destroy(&a);
	ck_assert_int_eq(fd_count(), 0);
}

START_TEST(sections_lie_apart)
{
	for (int i = 0; i < ARENA_SECTIONS; i++) {
		char *p = arena_section(&a, i), *end = p + sizes[i];

		ck_assert_uint_eq(arena_section_size(&a, i), sizes[i]);
		ck_assert_uint_eq((uintptr_t)p % 4096, 0);
		ck_assert((size_t)(end - (char *)a.header) <= a.size);
		ck_assert_int_eq(*p, 0);
		ck_assert_int_eq(end[-1], 0);
		*p = 1;
		end[-1] = (char)(i + 1);
	}
	for (int i = 0; i < ARENA_SECTIONS; i++) {
		char *p = arena_section(&a, i);

		ck_assert_int_eq(p[sizes[i] - 1], i + 1);
	}
}
END_TEST

START_TEST(untouched_memory_costs_nothing)
{
	struct stat st;

	ck_assert_int_eq(fstat(a.fd, &st), 0);
	ck_assert_uint_gt((uint64_t)st.st_size, 1ULL << 34);
	ck_assert_uint_le((uint64_t)st.st_blocks * 512, 65536);
}
END_TEST

START_TEST(file_cannot_change_its_size)
{
	ck_assert_int_lt(ftruncate(a.fd, 4096), 0);
	ck_assert_int_lt(ftruncate(a.fd, (off_t)a.size * 2), 0);
	ck_assert_int_lt(fcntl(a.fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
}
END_TEST

START_TEST(attached_arena_is_the_same)
{
	char *p = arena_section(&a, ARENA_NODES);
	struct arena again;
	pid_t pid;
	int status;

	strcpy(p, "left here");
	pid = fork();
	if (pid == 0) {
		if (arena_attach(a.fd, sizes, &again) < 0)
			_exit(1);
		p = arena_section(&again, ARENA_NODES);
		if (strcmp(p, "left here") != 0)
			_exit(2);
		strcpy(p, "answered");
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_str_eq(p, "answered");
}
END_TEST

START_TEST(other_layout_is_refused)
{
	size_t other[ARENA_SECTIONS];
	struct arena again = { .fd = 77 };

	for (int i = 0; i < ARENA_SECTIONS; i++) {
		memcpy(other, sizes, sizeof(other));
		/* Even where no offset changes. */
		other[i]++;
		ck_assert_int_eq(arena_attach(a.fd, other, &again), -EPROTO);
	}
	ck_assert_int_eq(again.fd, 77);
	ck_ok(arena_attach(a.fd, sizes, &again));
	arena_detach(&again);
	arena_detach(&again);
}
END_TEST

START_TEST(other_files_are_refused)
{
	struct arena again;
	int fd = memfd_create("other", MFD_CLOEXEC);

	ck_assert_int_eq(arena_attach(fd, sizes, &again), -EPROTO);
	ck_assert_int_eq(ftruncate(fd, 8), 0);
	ck_assert_int_eq(arena_attach(fd, sizes, &again), -EPROTO);
	ck_assert_int_eq(ftruncate(fd, (off_t)a.size), 0);
	ck_assert_int_eq(arena_attach(fd, sizes, &again), -EPROTO);
	ck_assert_int_eq(arena_attach(-1, sizes, &again), -EBADF);
	close(fd);
}
END_TEST

/* Any one byte of the header's fixed part. */
START_TEST(damaged_header_is_refused)
{
	unsigned char *h = (void *)a.header;
	struct arena again;

	for (size_t i = 0; i < 24; i++) {
		h[i] ^= 0x10;
		ck_assert_int_eq(arena_attach(a.fd, sizes, &again), -EPROTO);
		h[i] ^= 0x10;
	}
	ck_ok(arena_attach(a.fd, sizes, &again));
	arena_detach(&again);
}
END_TEST

START_TEST(cleared_section_is_zero_and_free)
{
	char *p = arena_section(&a, ARENA_INFLIGHT);
	char *before = arena_section(&a, ARENA_QUEUES);
	char *after = arena_section(&a, ARENA_NODES);

	memset(p, 7, sizes[ARENA_INFLIGHT]);
	before[4096] = 5;
	after[0] = 6;
	arena_section_clear(&a, ARENA_INFLIGHT);
	ck_assert_uint_eq(unit_resident(p, sizes[ARENA_INFLIGHT]), 0);
	for (size_t i = 0; i < sizes[ARENA_INFLIGHT]; i += 511)
		must(p[i] == 0);
	ck_assert_int_eq(before[4096], 5);
	ck_assert_int_eq(after[0], 6);
}
END_TEST

static uint64_t ranges[8][1000];

static void take(void *arg, unsigned int no)
{
	for (int i = 0; i < 1000; i++)
		ranges[no][i] = arena_generations(&a, 3);
}

START_TEST(generations_are_given_once)
{
	static unsigned char seen[8 * 1000 * 3 + 8];

	unit_threads(8, take, NULL);
	for (int t = 0; t < 8; t++) {
		for (int i = 0; i < 1000; i++) {
			must(ranges[t][i] > 0);
			for (uint64_t g = 0; g < 3; g++)
				must(seen[ranges[t][i] + g]++ == 0);
		}
	}
	/* Nor again after memory was given back. */
	for (int i = 0; i < ARENA_SECTIONS; i++)
		arena_section_clear(&a, i);
	ck_assert_uint_gt(arena_generations(&a, 1), 8 * 1000 * 3);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("arena");
	TCase *tc = unit_tcase(s, "arena", 10);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, sections_lie_apart);
	tcase_add_test(tc, untouched_memory_costs_nothing);
	tcase_add_test(tc, file_cannot_change_its_size);
	tcase_add_test(tc, attached_arena_is_the_same);
	tcase_add_test(tc, other_layout_is_refused);
	tcase_add_test(tc, other_files_are_refused);
	tcase_add_test(tc, damaged_header_is_refused);
	tcase_add_test(tc, cleared_section_is_zero_and_free);
	tcase_add_test(tc, generations_are_given_once);
	return unit_run(s);
}
