/* SPDX-License-Identifier: BSD-3-Clause */
/* GETATTR, SETATTR, STATFS through fuse_serve(). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "client.h"

#define ROOT FUSE_ROOT_ID

static struct client c;
static uint64_t file;

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	return path;
}

static void setup(void)
{
	(void)unlink(path_of("file"));
	unit_write_file("file", "0123456789", 10);
	client_start(&c, CACHE_AUTO);
	ck_ok(client_lookup(&c, ROOT, "file", &file));
}

static void teardown(void)
{
	client_stop(&c);
}

static struct stat stat_of(const char *name)
{
	struct stat st = { 0 };

	ck_assert_int_eq(lstat(path_of(name), &st), 0);
	return st;
}

static struct fuse_attr replied;

static int setattr(uint64_t node, const struct fuse_setattr_in *in)
{
	const struct fuse_attr_out *out;
	struct call k;
	int r;

	call_begin(&k, FUSE_SETATTR, node);
	call_put(&k, in, sizeof(*in));
	r = call_serve(&c, &k);
	out = call_body(&k);
	if (r == 0)
		replied = out->attr;
	return r;
}

START_TEST(attributes_and_how_long_they_are_good)
{
	const struct fuse_attr_out *out;
	struct stat st = stat_of("file");
	struct call k;

	call_begin(&k, FUSE_GETATTR, file);
	call_arg(&k, fuse_getattr_in);
	ck_ok(call_serve(&c, &k));
	ck_assert_uint_eq(k.body_len, sizeof(*out));
	out = call_body(&k);
	ck_assert_uint_eq(out->attr_valid, 1);
	ck_assert_uint_eq(out->attr.ino, st.st_ino);
	ck_assert_uint_eq(out->attr.size, 10);
	ck_assert_uint_eq(out->attr.mode, st.st_mode);
	ck_assert_uint_eq(out->attr.mtime, (uint64_t)st.st_mtim.tv_sec);
	ck_assert_uint_eq(out->attr.mtimensec, st.st_mtim.tv_nsec);
}
END_TEST

START_TEST(nothing_to_set)
{
	struct stat was = stat_of("file"), is;

	ck_ok(setattr(file, &(struct fuse_setattr_in){ .mode = 0, .size = 1,
						       .uid = 5 }));
	is = stat_of("file");
	ck_assert_uint_eq(is.st_mode, was.st_mode);
	ck_assert_int_eq(is.st_size, was.st_size);
	ck_assert_uint_eq(is.st_uid, was.st_uid);
	ck_assert_int_eq(is.st_mtim.tv_nsec, was.st_mtim.tv_nsec);
}
END_TEST

START_TEST(mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE };

	in.mode = S_IFREG | 0640;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_mode, S_IFREG | 0640);
	ck_assert_uint_eq(replied.mode, S_IFREG | 0640);
	/* The type cannot change; bits beyond the mode mean nothing. */
	in.mode = S_IFIFO | 0600;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_mode, S_IFREG | 0600);
	in.mode = 0;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_mode, S_IFREG);
}
END_TEST

START_TEST(size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = 4 };

	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(replied.size, 4);
	in.size = 1ULL << 33;
	ck_ok(setattr(file, &in));
	ck_assert_int_eq(stat_of("file").st_size, 1LL << 33);
	in.size = UINT64_MAX;
	ck_assert_int_eq(setattr(file, &in), -EINVAL);
	in.size = 1ULL << 63;
	ck_assert_int_eq(setattr(file, &in), -EINVAL);
	ck_assert_int_eq(setattr(ROOT, &in), -EINVAL);
	in.size = 0;
	ck_assert_int_eq(setattr(ROOT, &in), -EISDIR);
}
END_TEST

/* An open file may be cut though its mode no longer lets anyone write. */
START_TEST(size_by_open_file)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH };
	uint64_t fh, reader, dir;

	ck_ok(client_open(&c, file, O_RDWR, &fh));
	ck_ok(client_open(&c, file, O_RDONLY, &reader));
	ck_ok(client_opendir(&c, ROOT, &dir));
	ck_assert_int_eq(chmod(path_of("file"), 0), 0);
	in.fh = fh;
	in.size = 3;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(replied.size, 3);
	in.fh = reader;
	ck_assert_int_eq(setattr(file, &in), -EINVAL);
	in.fh = dir;
	ck_assert_int_eq(setattr(file, &in), -EBADF);
	in.fh = 12345;
	ck_assert_int_eq(setattr(file, &in), -EBADF);
	ck_assert_int_eq(stat_of("file").st_size, 3);
}
END_TEST

START_TEST(times)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_ATIME | FATTR_MTIME,
		.atime = 1000000000, .atimensec = 1,
		.mtime = (uint64_t)-2, .mtimensec = 999999999,
	};
	struct stat st;

	ck_ok(setattr(file, &in));
	st = stat_of("file");
	ck_assert_int_eq(st.st_atim.tv_sec, 1000000000);
	ck_assert_int_eq(st.st_atim.tv_nsec, 1);
	ck_assert_int_eq(st.st_mtim.tv_sec, -2);
	ck_assert_int_eq(st.st_mtim.tv_nsec, 999999999);
	/* One alone. */
	in.valid = FATTR_MTIME;
	in.mtime = 5;
	in.atime = 7;
	ck_ok(setattr(file, &in));
	st = stat_of("file");
	ck_assert_int_eq(st.st_atim.tv_sec, 1000000000);
	ck_assert_int_eq(st.st_mtim.tv_sec, 5);
	/* Now: the host's clock. */
	in.valid = FATTR_MTIME | FATTR_MTIME_NOW;
	ck_ok(setattr(file, &in));
	st = stat_of("file");
	ck_assert_int_le(labs(st.st_mtim.tv_sec - time(NULL)), 5);
	ck_assert_int_eq(st.st_atim.tv_sec, 1000000000);
}
END_TEST

START_TEST(nanoseconds_out_of_range)
{
	static const uint32_t bad[] = { 1000000000, 2000000000, UINT32_MAX };
	struct stat was = stat_of("file");

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct fuse_setattr_in in = { .valid = FATTR_MTIME, .mtime = 1,
					      .mtimensec = bad[i] };

		ck_assert_int_eq(setattr(file, &in), -EINVAL);
	}
	ck_assert_int_eq(stat_of("file").st_mtim.tv_sec, was.st_mtim.tv_sec);
}
END_TEST

START_TEST(owner)
{
	struct fuse_setattr_in in = { .valid = FATTR_UID, .uid = 1000,
				      .gid = 77 };

	if (geteuid() != 0)
		return;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_uid, 1000);
	ck_assert_uint_eq(stat_of("file").st_gid, 0);
	in.valid = FATTR_GID;
	in.uid = 5;
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_uid, 1000);
	ck_assert_uint_eq(stat_of("file").st_gid, 77);
	/* To the host it would mean "leave it". */
	in = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = UINT32_MAX };
	ck_assert_int_eq(setattr(file, &in), -EINVAL);
	in = (struct fuse_setattr_in){ .valid = FATTR_GID, .gid = UINT32_MAX };
	ck_assert_int_eq(setattr(file, &in), -EINVAL);
	/* Owner and mode at once: the mode is what was asked for. */
	in = (struct fuse_setattr_in){ .valid = FATTR_UID | FATTR_MODE,
				       .uid = 1, .mode = 06755 };
	ck_ok(setattr(file, &in));
	ck_assert_uint_eq(stat_of("file").st_mode, S_IFREG | 06755);
}
END_TEST

/* Of a symlink itself, never of what it leads to. */
START_TEST(attributes_of_a_link)
{
	struct fuse_setattr_in in = { .valid = FATTR_MTIME, .mtime = 5 };
	uint64_t link;

	(void)unlink(path_of("link"));
	ck_assert_int_eq(symlink("file", path_of("link")), 0);
	ck_ok(client_lookup(&c, ROOT, "link", &link));
	ck_ok(setattr(link, &in));
	ck_assert_int_eq(stat_of("link").st_mtim.tv_sec, 5);
	ck_assert_int_ne(stat_of("file").st_mtim.tv_sec, 5);
	in = (struct fuse_setattr_in){ .valid = FATTR_MODE, .mode = 0 };
	ck_assert_int_eq(setattr(link, &in), -EOPNOTSUPP);
	ck_assert_uint_ne(stat_of("file").st_mode & 0777, 0);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE, .size = 0 };
	ck_assert_int_eq(setattr(link, &in), -EINVAL);
	ck_assert_int_eq(stat_of("file").st_size, 10);
	if (geteuid() != 0)
		return;
	in = (struct fuse_setattr_in){ .valid = FATTR_UID, .uid = 1000 };
	ck_ok(setattr(link, &in));
	ck_assert_uint_eq(stat_of("link").st_uid, 1000);
	ck_assert_uint_eq(stat_of("file").st_uid, 0);
}
END_TEST

/* Mode and times of a FIFO do not open it. */
START_TEST(attributes_of_a_fifo)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_MODE | FATTR_MTIME, .mode = 0640, .mtime = 5,
	};
	uint64_t fifo;

	(void)unlink(path_of("fifo"));
	ck_assert_int_eq(mkfifo(path_of("fifo"), 0600), 0);
	ck_ok(client_lookup(&c, ROOT, "fifo", &fifo));
	ck_ok(setattr(fifo, &in));
	ck_assert_uint_eq(stat_of("fifo").st_mode, S_IFIFO | 0640);
	ck_assert_int_eq(stat_of("fifo").st_mtim.tv_sec, 5);
	in = (struct fuse_setattr_in){ .valid = FATTR_SIZE };
	ck_assert_int_eq(setattr(fifo, &in), -EINVAL);
}
END_TEST

START_TEST(file_system)
{
	const struct fuse_statfs_out *out;
	struct statvfs sv;
	struct call k;

	ck_assert_int_eq(statvfs(unit_dir, &sv), 0);
	call_begin(&k, FUSE_STATFS, ROOT);
	ck_ok(call_serve(&c, &k));
	ck_assert_uint_eq(k.body_len, sizeof(*out));
	out = call_body(&k);
	ck_assert_uint_eq(out->st.blocks, sv.f_blocks);
	ck_assert_uint_eq(out->st.files, sv.f_files);
	ck_assert_uint_eq(out->st.namelen, sv.f_namemax);
	ck_assert_uint_eq(out->st.frsize, sv.f_frsize);
	ck_assert_uint_eq(out->st.bsize, sv.f_frsize);
	ck_assert_uint_eq(out->st.padding, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_attr");
	TCase *tc = unit_tcase(s, "attributes", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, attributes_and_how_long_they_are_good);
	tcase_add_test(tc, nothing_to_set);
	tcase_add_test(tc, mode);
	tcase_add_test(tc, size);
	tcase_add_test(tc, size_by_open_file);
	tcase_add_test(tc, times);
	tcase_add_test(tc, nanoseconds_out_of_range);
	tcase_add_test(tc, owner);
	tcase_add_test(tc, attributes_of_a_link);
	tcase_add_test(tc, attributes_of_a_fifo);
	tcase_add_test(tc, file_system);
	return unit_run(s);
}
