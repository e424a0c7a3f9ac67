/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio/memmap: guest addresses, and memory that goes away. */
#include "virtio/memmap.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

#define PAGE 4096ULL
#define UADDR 0x7000000000ULL

static struct region_record records[MEMMAP_REGIONS_MAX];
static struct memmap map;

static void setup(void)
{
	memset(records, 0, sizeof(records));
	memmap_init(&map, records);
}

static void teardown(void)
{
	memmap_clear(&map);
	ck_assert_int_eq(fd_count(), 0);
	for (unsigned int i = 0; i < MEMMAP_REGIONS_MAX; i++)
		ck_assert_uint_eq(records[i].valid, 0);
}

static int memory_file(uint64_t size)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd_adopt(fd);
}

static int add_at(uint64_t gpa, uint64_t size, uint64_t uaddr, uint64_t offset,
		  uint64_t file_size)
{
	int fd = memory_file(file_size);
	int r = memmap_add(&map, gpa, size, uaddr, offset, &fd);

	/* Consumed, whatever came of it. */
	ck_assert_int_eq(fd, -1);
	return r;
}

static int add(uint64_t gpa, uint64_t size)
{
	return add_at(gpa, size, UADDR + gpa, 0, size);
}

START_TEST(addresses_inside_and_outside)
{
	size_t len = 0;
	char *low, *high;

	ck_ok(add(0, 4 * PAGE));
	ck_ok(add(16 * PAGE, 2 * PAGE));
	low = memmap_gpa(&map, 0, 100, &len);
	ck_assert_ptr_nonnull(low);
	ck_assert_uint_eq(len, 100);
	ck_assert_ptr_eq(memmap_gpa(&map, PAGE, 1, &len), low + PAGE);
	ck_assert_ptr_eq(memmap_gpa(&map, 4 * PAGE - 1, 100, &len),
			 low + 4 * PAGE - 1);
	ck_assert_uint_eq(len, 1);
	ck_assert_ptr_null(memmap_gpa(&map, 4 * PAGE, 1, &len));
	ck_assert_ptr_null(memmap_gpa(&map, 16 * PAGE - 1, 1, &len));
	high = memmap_gpa(&map, 16 * PAGE, SIZE_MAX, &len);
	ck_assert_ptr_nonnull(high);
	ck_assert_uint_eq(len, 2 * PAGE);
	ck_assert_ptr_null(memmap_gpa(&map, 18 * PAGE, 1, &len));
	ck_assert_ptr_null(memmap_gpa(&map, UINT64_MAX, 1, &len));
	ck_assert_ptr_null(memmap_gpa(&map, 0, 0, &len));
}
END_TEST

START_TEST(front_end_addresses)
{
	size_t len;
	char *p;

	ck_ok(add_at(0, 2 * PAGE, UADDR, 0, 2 * PAGE));
	ck_ok(add_at(2 * PAGE, 2 * PAGE, UADDR + 2 * PAGE, 0, 2 * PAGE));
	p = memmap_gpa(&map, 0, 1, &len);
	ck_assert_ptr_eq(memmap_uaddr(&map, UADDR, 2 * PAGE), p);
	ck_assert_ptr_eq(memmap_uaddr(&map, UADDR + 5, 7), p + 5);
	/* All of it in one region, or nothing. */
	ck_assert_ptr_null(memmap_uaddr(&map, UADDR + 1, 2 * PAGE));
	ck_assert_ptr_null(memmap_uaddr(&map, UADDR - 1, 2));
	ck_assert_ptr_null(memmap_uaddr(&map, UADDR + 4 * PAGE, 1));
	ck_assert_ptr_null(memmap_uaddr(&map, UINT64_MAX, 2));
	ck_assert_ptr_null(memmap_uaddr(&map, UADDR, SIZE_MAX));
}
END_TEST

START_TEST(pointers_back_to_addresses)
{
	uint64_t gpa;
	size_t len, left;
	char *p;

	ck_ok(add(PAGE, 2 * PAGE));
	p = memmap_gpa(&map, PAGE, 1, &len);
	ck_assert(memmap_to_gpa(&map, p + 100, &gpa, &left));
	ck_assert_uint_eq(gpa, PAGE + 100);
	ck_assert_uint_eq(left, 2 * PAGE - 100);
	ck_assert(memmap_to_gpa(&map, p + 2 * PAGE - 1, &gpa, &left));
	ck_assert_uint_eq(left, 1);
	ck_assert(!memmap_to_gpa(&map, p + 2 * PAGE, &gpa, &left));
	ck_assert(!memmap_to_gpa(&map, p - 1, &gpa, &left));
	ck_assert(!memmap_to_gpa(&map, &gpa, &gpa, &left));
}
END_TEST

START_TEST(regions_do_not_overlap)
{
	ck_ok(add(4 * PAGE, 4 * PAGE));
	ck_assert_int_eq(add(4 * PAGE, 4 * PAGE), -EEXIST);
	ck_assert_int_eq(add(3 * PAGE, PAGE + 1), -EEXIST);
	ck_assert_int_eq(add(7 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(add(5 * PAGE, PAGE), -EEXIST);
	ck_assert_int_eq(add(0, 100 * PAGE), -EEXIST);
	/* Apart in the guest, not in the front-end. */
	ck_assert_int_eq(add_at(100 * PAGE, PAGE, UADDR + 4 * PAGE, 0, PAGE),
			 -EEXIST);
	ck_ok(add(3 * PAGE, PAGE));
	ck_ok(add(8 * PAGE, PAGE));
	ck_assert_uint_eq(map.n, 3);
	ck_assert_int_eq(fd_count(), 3);
}
END_TEST

START_TEST(sizes_that_cannot_be)
{
	ck_assert_int_eq(add_at(0, 0, UADDR, 0, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, 2 * PAGE, UADDR, 0, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, PAGE, UADDR, PAGE, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, PAGE, UADDR, UINT64_MAX, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, PAGE, UADDR, INT64_MAX, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(UINT64_MAX - 10, PAGE, UADDR, 0, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, PAGE, UINT64_MAX - 10, 0, PAGE), -EINVAL);
	ck_assert_int_eq(add_at(0, UINT64_MAX, 0, 0, PAGE), -EINVAL);
	ck_assert_uint_eq(map.n, 0);
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

/* The offset in the file need not be a page's. */
START_TEST(region_at_an_odd_offset)
{
	int fd = memory_file(3 * PAGE), copy = fd_dup(fd);
	size_t len;
	char *p;

	ck_assert_int_eq(pwrite(copy, "here", 4, PAGE + 100), 4);
	ck_ok(memmap_add(&map, 0, PAGE, UADDR, PAGE + 100, &fd));
	p = memmap_gpa(&map, 0, 4, &len);
	ck_assert_int_eq(memcmp(p, "here", 4), 0);
	ck_ok(fd_close(&copy));
}
END_TEST

START_TEST(removed_region_is_gone)
{
	size_t len;

	ck_ok(add(0, PAGE));
	ck_ok(add(PAGE, PAGE));
	ck_ok(add(2 * PAGE, PAGE));
	ck_assert_int_eq(memmap_remove(&map, PAGE, PAGE, UADDR), -ENOENT);
	ck_assert_int_eq(memmap_remove(&map, PAGE, 2 * PAGE, UADDR + PAGE),
			 -ENOENT);
	ck_assert_int_eq(memmap_remove(&map, 5 * PAGE, PAGE, UADDR + PAGE),
			 -ENOENT);
	ck_ok(memmap_remove(&map, PAGE, PAGE, UADDR + PAGE));
	ck_assert_ptr_null(memmap_gpa(&map, PAGE, 1, &len));
	ck_assert_ptr_nonnull(memmap_gpa(&map, 0, 1, &len));
	ck_assert_ptr_nonnull(memmap_gpa(&map, 2 * PAGE, 1, &len));
	ck_assert_int_eq(fd_count(), 2);
	ck_ok(add(PAGE, PAGE));
}
END_TEST

/* As many as a front-end may add, in any order, found all. */
START_TEST(all_slots)
{
	size_t len;

	for (uint64_t i = 0; i < MEMMAP_REGIONS_MAX; i++)
		ck_ok(add(i * 281 % MEMMAP_REGIONS_MAX * 2 * PAGE, PAGE));
	ck_assert_int_eq(add(5000 * PAGE, PAGE), -ENOSPC);
	for (uint64_t i = 0; i < MEMMAP_REGIONS_MAX; i++) {
		must(memmap_gpa(&map, i * 2 * PAGE, 1, &len));
		must(memmap_gpa(&map, i * 2 * PAGE + PAGE - 1, 1, &len));
		must(!memmap_gpa(&map, i * 2 * PAGE + PAGE, 1, &len));
	}
	for (uint64_t i = 0; i < MEMMAP_REGIONS_MAX; i += 2)
		ck_ok(memmap_remove(&map, i * 2 * PAGE, PAGE,
				    UADDR + i * 2 * PAGE));
	for (uint64_t i = 0; i < MEMMAP_REGIONS_MAX; i++)
		must(!memmap_gpa(&map, i * 2 * PAGE, 1, &len) == (i % 2 == 0));
}
END_TEST

START_TEST(memory_is_shared_if_something_is_in_it)
{
	size_t len;
	char *p;

	unit_enter_fd_directory();
	ck_assert(memmap_is_shared(&map));
	ck_ok(add(0, 1ULL << 30));
	ck_ok(add(1ULL << 30, PAGE));
	ck_assert(!memmap_is_shared(&map));
	/* Zeroes that were written are still nothing. */
	p = memmap_gpa(&map, 1ULL << 29, PAGE, &len);
	memset(p, 0, PAGE);
	ck_assert(!memmap_is_shared(&map));
	p[PAGE - 1] = 1;
	ck_assert(memmap_is_shared(&map));
}
END_TEST

START_TEST(vanished_memory_reads_as_zeroes)
{
	int fd = memory_file(4 * PAGE), copy = fd_dup(fd);
	int event = fd_eventfd(0, EFD_NONBLOCK);
	volatile char *p;
	size_t len;

	ck_ok(memmap_add(&map, 0, 4 * PAGE, UADDR, 0, &fd));
	ck_ok(memmap_catch_sigbus(&map, event));
	p = memmap_gpa(&map, 0, 1, &len);
	p[0] = 1;
	p[2 * PAGE] = 2;
	p[3 * PAGE] = 3;
	ck_assert(!memmap_vanished());
	ck_assert_int_eq(ftruncate(copy, 2 * PAGE), 0);
	ck_assert_int_eq(p[2 * PAGE], 0);
	ck_assert(memmap_vanished());
	ck_assert_uint_eq(unit_eventfd_take(event), 1);
	p[3 * PAGE + 7] = 4;
	ck_assert_int_eq(p[3 * PAGE + 7], 4);
	ck_assert_int_eq(p[0], 1);
	/* Said once. */
	ck_assert_uint_eq(unit_eventfd_take(event), 0);
	ck_ok(fd_close(&copy));
	ck_ok(fd_close(&event));
}
END_TEST

START_TEST(extra_range_is_guarded_too)
{
	int fd = memory_file(PAGE), event = fd_eventfd(0, EFD_NONBLOCK);
	volatile char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);

	ck_ok(memmap_catch_sigbus(&map, event));
	memmap_guard_extra((void *)p, PAGE);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	p[10] = 1;
	ck_assert(memmap_vanished());
	memmap_guard_extra(NULL, 0);
	ck_ok(fd_close(&fd));
	ck_ok(fd_close(&event));
}
END_TEST

/* Any other SIGBUS is a bug of ours, and kills. */
START_TEST(other_sigbus_kills)
{
	int fd = memory_file(PAGE), event = fd_eventfd(0, EFD_NONBLOCK);
	volatile char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
				fd, 0);

	ck_ok(add(0, PAGE));
	ck_ok(memmap_catch_sigbus(&map, event));
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	p[10] = 1;
}
END_TEST

START_TEST(sent_sigbus_kills)
{
	int event = fd_eventfd(0, EFD_NONBLOCK);

	ck_ok(add(0, PAGE));
	ck_ok(memmap_catch_sigbus(&map, event));
	raise(SIGBUS);
	raise(SIGBUS);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("memmap");
	TCase *tc = unit_tcase(s, "addresses", 10);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, addresses_inside_and_outside);
	tcase_add_test(tc, front_end_addresses);
	tcase_add_test(tc, pointers_back_to_addresses);
	tcase_add_test(tc, regions_do_not_overlap);
	tcase_add_test(tc, sizes_that_cannot_be);
	tcase_add_test(tc, region_at_an_odd_offset);
	tcase_add_test(tc, removed_region_is_gone);
	tcase_add_test(tc, all_slots);
	tcase_add_test(tc, memory_is_shared_if_something_is_in_it);
	tcase_add_test(tc, vanished_memory_reads_as_zeroes);
	tcase_add_test(tc, extra_range_is_guarded_too);
	tc = unit_tcase(s, "faults", 10);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test_raise_signal(tc, other_sigbus_kills, SIGBUS);
	tcase_add_test_raise_signal(tc, sent_sigbus_kills, SIGBUS);
	return unit_run(s);
}
