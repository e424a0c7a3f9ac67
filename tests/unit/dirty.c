/* SPDX-License-Identifier: BSD-3-Clause */
/* virtio/dirty: a bit for each page that was written, and for no other. */
#include "virtio/dirty.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/fd.h"
#include "rig.h"
#include "unit.h"

#define PAGE 4096ULL
#define LOG_BYTES 256U /* for 8 MiB */

static struct rig rig;
static uint8_t *bits; /* the front-end's view of the log */

static int log_file(size_t size)
{
	int fd = memfd_create("log", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd_adopt(fd);
}

static void setup(void)
{
	int fd = log_file(PAGE);

	rig_init(&rig);
	bits = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(bits, MAP_FAILED);
	ck_ok(dirty_set_log(&rig.dirty, LOG_BYTES, 0, &fd));
	ck_assert_int_eq(fd, -1);
	rig.dirty.enabled = true;
}

static void teardown(void)
{
	munmap(bits, PAGE);
	rig_destroy(&rig);
}

static bool is_dirty(uint64_t gpa)
{
	return bits[gpa / PAGE / 8] >> (gpa / PAGE % 8) & 1;
}

static unsigned int dirty_pages(void)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < PAGE; i++)
		n += (unsigned int)__builtin_popcount(bits[i]);
	return n;
}

START_TEST(pages_of_a_range)
{
	dirty_mark_gpa(&rig.dirty, 3 * PAGE + 1, 1);
	ck_assert(is_dirty(3 * PAGE));
	ck_assert_uint_eq(dirty_pages(), 1);
	dirty_mark_gpa(&rig.dirty, 5 * PAGE - 1, 2);
	ck_assert(is_dirty(4 * PAGE) && is_dirty(5 * PAGE));
	ck_assert_uint_eq(dirty_pages(), 3);
	dirty_mark_gpa(&rig.dirty, 16 * PAGE, 16 * PAGE);
	ck_assert_uint_eq(dirty_pages(), 19);
	dirty_mark_gpa(&rig.dirty, 7 * PAGE, 0);
	ck_assert_uint_eq(dirty_pages(), 19);
}
END_TEST

START_TEST(nothing_beyond_the_log)
{
	dirty_mark_gpa(&rig.dirty, LOG_BYTES * 8 * PAGE - 1, 2 * PAGE);
	ck_assert_uint_eq(dirty_pages(), 1);
	dirty_mark_gpa(&rig.dirty, LOG_BYTES * 8 * PAGE, PAGE);
	dirty_mark_gpa(&rig.dirty, UINT64_MAX - 10, 5);
	dirty_mark_gpa(&rig.dirty, UINT64_MAX - 10, 50);
	dirty_mark_gpa(&rig.dirty, 1ULL << 62, 1ULL << 62);
	ck_assert_uint_eq(dirty_pages(), 1);
}
END_TEST

START_TEST(logs_that_cannot_be)
{
	int fd = log_file(PAGE);

	ck_assert_int_eq(dirty_set_log(&rig.dirty, PAGE + 1, 0, &fd), -EINVAL);
	ck_assert_int_eq(fd, -1);
	fd = log_file(PAGE);
	ck_assert_int_eq(dirty_set_log(&rig.dirty, 1, PAGE, &fd), -EINVAL);
	fd = log_file(PAGE);
	ck_assert_int_eq(dirty_set_log(&rig.dirty, 0, 0, &fd), -EINVAL);
	fd = log_file(PAGE);
	ck_assert_int_eq(dirty_set_log(&rig.dirty, 2, UINT64_MAX, &fd), -EINVAL);
	/* The old one is still there. */
	dirty_mark_gpa(&rig.dirty, 0, 1);
	ck_assert_uint_eq(dirty_pages(), 1);
}
END_TEST

START_TEST(log_at_an_offset)
{
	int fd = log_file(2 * PAGE);
	uint8_t *view = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);

	ck_ok(dirty_set_log(&rig.dirty, 16, PAGE + 24, &fd));
	dirty_mark_gpa(&rig.dirty, 9 * PAGE, 1);
	ck_assert_int_eq(view[PAGE + 24 + 1], 2);
	ck_assert_uint_eq(dirty_pages(), 0);
	dirty_clear(&rig.dirty);
	ck_assert(!dirty_logging(&rig.dirty));
	munmap(view, 2 * PAGE);
}
END_TEST

enum { LARGE_LOG = 1 << 18 };

static void mark_own_bits(void *arg, unsigned int no)
{
	for (uint64_t page = no; page < LARGE_LOG * 8; page += 4)
		dirty_mark_gpa(&rig.dirty, page * PAGE, 1);
}

START_TEST(threads_lose_no_bit)
{
	int fd = log_file(LARGE_LOG);
	uint8_t *view = mmap(NULL, LARGE_LOG, PROT_READ | PROT_WRITE, MAP_SHARED,
			     fd, 0);

	ck_ok(dirty_set_log(&rig.dirty, LARGE_LOG, 0, &fd));
	for (int round = 0; round < 4; round++) {
		memset(view, 0, LARGE_LOG);
		unit_threads(4, mark_own_bits, NULL);
		for (unsigned int i = 0; i < LARGE_LOG; i++)
			must(view[i] == 0xff);
	}
	munmap(view, LARGE_LOG);
}
END_TEST

/* Regions that are mapped one beside the other here, and lie apart in the
 * guest: what crosses from one to the other is two ranges. */
START_TEST(neighbours_here_are_not_neighbours_there)
{
	uint64_t gpa[8];
	unsigned int pairs = 0;
	char *at[8];
	size_t len;

	for (unsigned int i = 0; i < 8; i++) {
		int fd = log_file(2 * PAGE);

		gpa[i] = 0x500000 + i * 16 * PAGE;
		ck_ok(memmap_add(&rig.map, gpa[i], 2 * PAGE,
				 GMEM_UADDR + gpa[i], 0, &fd));
		at[i] = memmap_gpa(&rig.map, gpa[i], 1, &len);
	}
	for (unsigned int i = 0; i < 64; i++) {
		unsigned int low = i / 8, high = i % 8;

		if (at[low] + 2 * PAGE != at[high])
			continue;
		pairs++;
		memset(bits, 0, PAGE);
		dirty_mark(&rig.dirty, at[low] + PAGE, 2 * PAGE);
		ck_assert(is_dirty(gpa[low] + PAGE) && is_dirty(gpa[high]));
		ck_assert_uint_eq(dirty_pages(), 2);
	}
	/* The host puts one mapping beside the next. */
	ck_assert_uint_gt(pairs, 0);
}
END_TEST

START_TEST(foreign_pointers_mark_nothing)
{
	char mine[100] = { 0 };

	dirty_mark(&rig.dirty, mine, sizeof(mine));
	ck_assert_uint_eq(dirty_pages(), 0);
}
END_TEST

/* What a queue writes: the bytes of the reply, the entry and the index. */
START_TEST(push_marks_what_was_written)
{
	uint64_t used = RIG_RING + PAGE;

	rig_start(&rig, 16, true, 0);
	rig.record.addr_flags = 1;
	rig.record.log = used;
	driver_desc(&rig.d, 0, RIG_DATA, 8, VRING_DESC_F_NEXT, 1);
	driver_desc(&rig.d, 1, RIG_DATA + PAGE, 3 * PAGE, VRING_DESC_F_WRITE, 0);
	driver_offer(&rig.d, 0);
	driver_publish(&rig.d);
	rig_pop(&rig, 0);
	ck_assert_uint_eq(dirty_pages(), 0);
	ck_assert(queue_push(&rig.q, &rig.c, PAGE + 1));
	ck_assert(!is_dirty(RIG_DATA));
	ck_assert(is_dirty(RIG_DATA + PAGE) && is_dirty(RIG_DATA + 2 * PAGE));
	ck_assert(!is_dirty(RIG_DATA + 3 * PAGE));
	ck_assert(is_dirty(used));
	ck_assert_uint_eq(dirty_pages(), 3);
	rig_stop(&rig);
}
END_TEST

START_TEST(push_marks_nothing_unless_asked)
{
	rig_start(&rig, 16, true, 0);
	rig.dirty.enabled = false;
	rig_offer_pair(&rig, 0);
	driver_publish(&rig.d);
	rig_pop(&rig, 0);
	ck_assert(queue_push(&rig.q, &rig.c, 64));
	ck_assert_uint_eq(dirty_pages(), 0);
	/* The ring is logged only where its address says so. */
	rig.dirty.enabled = true;
	rig_offer_pair(&rig, 0);
	driver_publish(&rig.d);
	rig_pop(&rig, 0);
	ck_assert(queue_push(&rig.q, &rig.c, 64));
	ck_assert_uint_eq(dirty_pages(), 1);
	rig_stop(&rig);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("dirty");
	TCase *tc = unit_tcase(s, "log", 10);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, pages_of_a_range);
	tcase_add_test(tc, nothing_beyond_the_log);
	tcase_add_test(tc, logs_that_cannot_be);
	tcase_add_test(tc, log_at_an_offset);
	tcase_add_test(tc, threads_lose_no_bit);
	tcase_add_test(tc, neighbours_here_are_not_neighbours_there);
	tcase_add_test(tc, foreign_pointers_mark_nothing);
	tcase_add_test(tc, push_marks_what_was_written);
	tcase_add_test(tc, push_marks_nothing_unless_asked);
	return unit_run(s);
}
