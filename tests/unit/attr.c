/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/attr: attributes as the host has them, and as FUSE sends them. */
#include "fs/attr.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "unit.h"

static const struct fs no_ids; /* none are translated */

START_TEST(each_field_has_its_place)
{
	struct statx stx = {
		.stx_ino = 1, .stx_size = 1ULL << 40, .stx_blocks = 3,
		.stx_mode = S_IFREG | 04751, .stx_nlink = 5, .stx_uid = 6,
		.stx_gid = 7, .stx_blksize = 8,
		.stx_atime = { .tv_sec = 9, .tv_nsec = 10 },
		.stx_mtime = { .tv_sec = -11, .tv_nsec = 999999999 },
		.stx_ctime = { .tv_sec = 1LL << 34, .tv_nsec = 14 },
	};
	struct fuse_attr want = {
		.ino = 1, .size = 1ULL << 40, .blocks = 3,
		.mode = S_IFREG | 04751, .nlink = 5, .uid = 6, .gid = 7,
		.blksize = 8, .atime = 9, .atimensec = 10,
		.mtime = (uint64_t)-11, .mtimensec = 999999999,
		.ctime = 1ULL << 34, .ctimensec = 14,
	};
	struct fuse_attr got;

	memset(&got, 0xff, sizeof(got));
	attr_fill(&no_ids, &stx, &got);
	ck_assert_int_eq(memcmp(&got, &want, sizeof(want)), 0);
}
END_TEST

/* As the guest's kernel takes it apart again (new_decode_dev()). */
START_TEST(device_numbers)
{
	static const uint32_t majors[] = { 0, 1, 8, 255, 256, 4095 };
	static const uint32_t minors[] = { 0, 1, 255, 256, 0xfffff };

	for (size_t i = 0; i < ARRAY_SIZE(majors); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(minors); k++) {
			struct statx stx = { .stx_rdev_major = majors[i],
					     .stx_rdev_minor = minors[k] };
			struct fuse_attr got;

			attr_fill(&no_ids, &stx, &got);
			ck_assert_uint_eq((got.rdev & 0xfff00) >> 8, majors[i]);
			ck_assert_uint_eq((got.rdev & 0xff) |
						  (got.rdev >> 12 & 0xfff00),
					  minors[k]);
		}
	}
}
END_TEST

START_TEST(of_an_open_file)
{
	struct statx stx;
	struct stat st;
	char path[128];
	int fd;

	unit_write_file("file", "12345", 5);
	snprintf(path, sizeof(path), "%s/file", unit_dir);
	fd = open(path, O_PATH | O_CLOEXEC);
	ck_ok(attr_get(fd, &stx));
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(stx.stx_ino, st.st_ino);
	ck_assert_uint_eq(stx.stx_size, 5);
	ck_assert(stx.stx_mask & STATX_MNT_ID);
	ck_assert_uint_ne(stx.stx_mnt_id, 0);
	ck_assert_uint_eq(makedev(stx.stx_dev_major, stx.stx_dev_minor),
			  st.st_dev);
	close(fd);
	ck_assert_int_eq(attr_get(-1, &stx), -EBADF);
}
END_TEST

START_TEST(of_a_link_itself)
{
	struct statx stx;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/link", unit_dir);
	(void)unlink(path);
	ck_assert_int_eq(symlink("/etc/passwd", path), 0);
	fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	ck_ok(attr_get(fd, &stx));
	ck_assert(S_ISLNK(stx.stx_mode));
	ck_assert_uint_eq(stx.stx_size, 11);
	close(fd);
}
END_TEST

START_TEST(entry_says_how_long_it_is_good)
{
	struct fs fs = { .cache = { .entry = { 86400, 5 },
				   .attr = { 17, 6 } } };
	struct statx stx = { .stx_ino = 3 };
	struct fuse_entry_out got;

	memset(&got, 0xff, sizeof(got));
	attr_fill_entry(&fs, &stx, 77, &got);
	ck_assert_uint_eq(got.nodeid, 77);
	ck_assert_uint_eq(got.generation, 0);
	ck_assert_uint_eq(got.entry_valid, 86400);
	ck_assert_uint_eq(got.attr_valid, 17);
	ck_assert_uint_eq(got.entry_valid_nsec, 5);
	ck_assert_uint_eq(got.attr_valid_nsec, 6);
	ck_assert_uint_eq(got.attr.ino, 3);
	ck_assert_uint_eq(got.attr.mode, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attr");
	TCase *tc = unit_tcase(s, "attributes", 10);

	unit_add_dir(tc);
	tcase_add_test(tc, each_field_has_its_place);
	tcase_add_test(tc, device_numbers);
	tcase_add_test(tc, of_an_open_file);
	tcase_add_test(tc, of_a_link_itself);
	tcase_add_test(tc, entry_says_how_long_it_is_good);
	return unit_run(s);
}
