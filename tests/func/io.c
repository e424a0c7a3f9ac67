/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open files: OPEN, READ, WRITE, FLUSH, FSYNC, RELEASE, FALLOCATE, LSEEK,
 * COPY_FILE_RANGE (rows 7, 8, 12, 27, 30, 32, 33).
 */
#include <fcntl.h>
#include <sys/resource.h>

#include "func.h"

static char data[FUNC_DATA_MAX], back[FUNC_DATA_MAX];

/* A file of the guest's, just created and open for both. */
static uint64_t new_file(const char *name, uint64_t *ret_fh)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR | O_EXCL, 0644, 0, &e, &o));
	*ret_fh = o.fh;
	return e.nodeid;
}

/* --- READ and WRITE --- */

START_TEST(what_is_written_is_in_the_file_and_is_read_back)
{
	static const uint32_t sizes[] = { 1, 2, 511, 4095, 4096, 4097, 65536, 100001,
					  (1 << 20) - 4096, 1 << 20 };
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		func_pattern(data, sizes[i], i);
		ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data, sizes[i], 0)), sizes[i]);
		if (i == 0 || sizes[i] > sizes[i - 1])
			host_is("f", data, sizes[i]);
		memset(back, 0, sizeof(back));
		ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, sizes[i], 0)), sizes[i]);
		ck_assert_mem_eq(back, data, sizes[i]);
	}
	func_end();
}
END_TEST

START_TEST(unaligned_offsets)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	func_pattern(data, sizeof(data), 1);
	for (unsigned int at = 0, step = 1; at + step < 600000; at += step, step = step * 3 + 1)
		ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data + at, step, at)), step);

	size_t len;
	char *now = host_read("f", &len);

	ck_assert_mem_eq(now, data, len);
	free(now);
	for (unsigned int at = 1; at < len; at = at * 3 + 2) {
		unsigned int size = len - at < 5001 ? len - at : 5001;

		ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, size, at)), size);
		ck_assert_mem_eq(back, data + at, size);
	}
	func_end();
}
END_TEST

START_TEST(read_at_and_beyond_the_end_is_short)
{
	func_start();
	host_text("f", "0123456789");

	uint64_t n = func_node("f"), fh = func_open(n, O_RDONLY);

	ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 4096, 0), 10);
	ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 7), 3);
	ck_assert_mem_eq(back, "789", 3);
	ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 10), 0);
	ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 65536, 1ull << 40), 0);
	ck_assert_int_eq(guest_read(&fx.g, n, fh, back, 0, 0), 0);
	func_end();
}
END_TEST

START_TEST(write_of_nothing_writes_nothing)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	ck_assert_int_eq(guest_write(&fx.g, n, fh, data, 0, 100), 0);
	ck_assert_int_eq(host_stat("f").st_size, 0);
	func_end();
}
END_TEST

START_TEST(write_leaves_a_hole_before_its_offset)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, "end", 3, 6ull << 30)), 3);
	ck_assert_int_eq(host_stat("f").st_size, (6ll << 30) + 3);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, 10, (6ull << 30) - 2)), 5);
	ck_assert_mem_eq(back, "\0\0end", 5);
	func_end();
}
END_TEST

START_TEST(offsets_out_of_range_are_errors)
{
	static const uint64_t wrong[] = { 1ull << 63, ~0ull, ~0ull - 100 };
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		int r = guest_write(&fx.g, n, fh, "x", 1, wrong[i]);

		ck_assert_msg(r == -EINVAL || r == -EFBIG || r == -EOVERFLOW, "write: %d", r);
		r = guest_read(&fx.g, n, fh, back, 1, wrong[i]);
		ck_assert_msg(r == -EINVAL || r == -EOVERFLOW, "read: %d", r);
	}
	ck_assert_int_eq(host_stat("f").st_size, 0);
	func_end();
}
END_TEST

START_TEST(write_whose_size_is_not_its_data_is_eio)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	for (int off = -1; off <= 1; off += 2) {
		struct call *c = guest_begin(&fx.g, FUSE_WRITE, n);
		struct fuse_write_in *in = call_arg(c, sizeof(*in));

		*in = (struct fuse_write_in){ .fh = fh, .size = 1000 + off };
		call_send(c, data, 1000);
		call_room(c, sizeof(struct fuse_write_out));
		fails(guest_call(&fx.g), EIO);
	}
	ck_assert_int_eq(host_stat("f").st_size, 0);
	func_end();
}
END_TEST

START_TEST(write_that_fails_after_a_part_tells_the_part)
{
	struct rlimit limit = { 100000, RLIM_INFINITY };
	uint64_t n, fh;

	func_need_root();
	func_start();
	n = new_file("f", &fh);
	host(prlimit(daemon_worker(&fx.d), RLIMIT_FSIZE, &limit, NULL));
	ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, data, 65536, 65536)), 100000 - 65536);
	fails(guest_write(&fx.g, n, fh, data, 65536, 100000), EFBIG);
	ck_assert_int_eq(host_stat("f").st_size, 100000);
	func_attr(n);
	func_end();
}
END_TEST

START_TEST(handle_keeps_to_its_access_mode)
{
	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");
	uint64_t rd = func_open(n, O_RDONLY), wr = func_open(n, O_WRONLY);

	fails(guest_write(&fx.g, n, rd, "x", 1, 0), EBADF);
	fails(guest_read(&fx.g, n, wr, back, 1, 0), EBADF);
	ck_assert_int_eq(ok(guest_write(&fx.g, n, wr, "j", 1, 0)), 1);
	ck_assert_int_eq(ok(guest_read(&fx.g, n, rd, back, 10, 0)), 5);
	ck_assert_mem_eq(back, "jello", 5);
	func_end();
}
END_TEST

START_TEST(append_handle_writes_at_the_end)
{
	func_start();
	host_text("f", "one");

	uint64_t n = func_node("f");
	uint64_t a = func_open(n, O_WRONLY | O_APPEND), b = func_open(n, O_WRONLY);

	fx.g.file_flags = O_WRONLY | O_APPEND;
	ck_assert_int_eq(ok(guest_write(&fx.g, n, a, "two", 3, 0)), 3);
	ck_assert_int_eq(ok(guest_write(&fx.g, n, a, "three", 5, 1)), 5);
	host_is("f", "onetwothree", 11);
	fx.g.file_flags = O_WRONLY;
	ck_assert_int_eq(ok(guest_write(&fx.g, n, b, "ONE", 3, 0)), 3);
	host_is("f", "ONEtwothree", 11);
	func_end();
}
END_TEST

START_TEST(open_with_trunc_empties_the_file)
{
	func_start();
	host_text("f", "hello");
	func_open(func_node("f"), O_WRONLY | O_TRUNC);
	ck_assert_int_eq(host_stat("f").st_size, 0);
	func_end();
}
END_TEST

START_TEST(open_takes_no_creating_flags_to_the_host)
{
	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");
	uint64_t fh = func_open(n, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_NOCTTY);

	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, 5, 0)), 5);
	func_end();
}
END_TEST

START_TEST(reading_leaves_no_trace_if_the_guest_asks)
{
	struct timespec old[2] = { { .tv_sec = 1 }, { .tv_sec = 2 } };
	struct fuse_open_out o;
	char buf[8];

	func_start();
	host_text("f", "text");

	uint64_t n = func_node("f");

	for (int quiet = 1; quiet >= 0; quiet--) {
		host(utimensat(AT_FDCWD, host_path("f"), old, 0));
		ok(guest_open(&fx.g, n, quiet ? O_RDONLY | O_NOATIME : O_RDONLY, &o));
		ck_assert_int_eq(ok(guest_read(&fx.g, n, o.fh, buf, 4, 0)), 4);
		if (quiet)
			ck_assert_int_eq(host_stat("f").st_atim.tv_sec, 1);
		else if (host_stat("f").st_atim.tv_sec == 1)
			func_skip("the file system has no access times");
		ok(guest_release(&fx.g, n, o.fh));
	}
	func_end();
}
END_TEST

START_TEST(open_of_a_directory_as_a_file_fails)
{
	struct fuse_open_out o;

	func_start();
	fails(guest_open(&fx.g, FUSE_ROOT_ID, O_RDWR, &o), EISDIR);
	func_end();
}
END_TEST

START_TEST(open_does_not_act_as_the_caller)
{
	func_need_root();
	func_start();
	host_text("f", "secret");
	host(chmod(host_path("f"), 0600));
	fx.g.uid = 1234;
	fx.g.gid = 5678;

	/* the guest's kernel has checked; its user may have got the node's owner's rights */
	uint64_t n = func_node("f"), fh = func_open(n, O_RDWR);

	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, 6, 0)), 6);
	func_end();
}
END_TEST

/* --- handles --- */

START_TEST(released_handle_is_ebadf)
{
	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	for (int i = 0; i < 20; i++) {
		uint64_t fh = func_open(n, O_RDWR);

		ok(guest_release(&fx.g, n, fh));
		fails(guest_read(&fx.g, n, fh, back, 5, 0), EBADF);
		fails(guest_write(&fx.g, n, fh, "x", 1, 0), EBADF);
		fails(guest_flush(&fx.g, n, fh), EBADF);
		fails(guest_fsync(&fx.g, n, fh, false), EBADF);
		fails(guest_fallocate(&fx.g, n, fh, 0, 0, 10), EBADF);
		fails(guest_lseek(&fx.g, n, fh, 0, SEEK_DATA), EBADF);
		fails(guest_release(&fx.g, n, fh), EBADF);
		/* the next one to take its place has another number */
		ck_assert_uint_ne(func_open(n, O_RDWR), fh);
	}
	host_is("f", "hello", 5);
	func_end();
}
END_TEST

START_TEST(unknown_handles_are_ebadf)
{
	static const uint64_t wrong[] = { 1000000, 1ull << 31, 1ull << 32, 1ull << 63, ~0ull - 1 };

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	func_open(n, O_RDWR);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		fails(guest_read(&fx.g, n, wrong[i], back, 5, 0), EBADF);
		fails(guest_write(&fx.g, n, wrong[i], "x", 1, 0), EBADF);
		fails(guest_release(&fx.g, n, wrong[i]), EBADF);
		fails(guest_readdir(&fx.g, n, wrong[i], 0, back, 1000), EBADF);
		fails(guest_copy_file_range(&fx.g, n, wrong[i], 0, n, wrong[i], 0, 1, 0), EBADF);
	}
	func_end();
}
END_TEST

START_TEST(handle_of_one_kind_is_not_valid_as_the_other)
{
	struct fuse_open_out dir;

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f"), fh = func_open(n, O_RDWR);

	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &dir));
	fails(guest_read(&fx.g, n, dir.fh, back, 5, 0), EBADF);
	fails(guest_write(&fx.g, n, dir.fh, "x", 1, 0), EBADF);
	fails(guest_fsync(&fx.g, n, dir.fh, false), EBADF);
	fails(guest_flush(&fx.g, n, dir.fh), EBADF);
	fails(guest_readdir(&fx.g, FUSE_ROOT_ID, fh, 0, back, 1000), EBADF);
	fails(guest_readdirplus(&fx.g, FUSE_ROOT_ID, fh, 0, back, 1000), EBADF);
	fails(guest_fsyncdir(&fx.g, FUSE_ROOT_ID, fh, false), EBADF);
	fails(guest_release(&fx.g, n, dir.fh), EBADF);
	fails(guest_releasedir(&fx.g, FUSE_ROOT_ID, fh), EBADF);

	/* and neither was closed by that */
	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, back, 5, 0)), 5);
	ck_assert_int_gt(ok(guest_readdir(&fx.g, FUSE_ROOT_ID, dir.fh, 0, back, 1000)), 0);
	ok(guest_release(&fx.g, n, fh));
	ok(guest_releasedir(&fx.g, FUSE_ROOT_ID, dir.fh));
	func_end();
}
END_TEST

START_TEST(released_handles_leave_no_descriptor)
{
	static uint64_t fh[3000];

	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	func_attr(n); /* opens its node */

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 3000; i++)
		fh[i] = func_open(n, O_RDONLY);
	for (int i = 0; i < 3000; i++)
		ok(guest_release(&fx.g, n, fh[i]));
	ck_assert_int_le(daemon_fds_settle(&fx.d, before, 2000), before);
	func_end();
}
END_TEST

START_TEST(failed_opens_leave_no_descriptor)
{
	struct fuse_open_out o;
	struct fuse_entry_out e;

	func_start();
	host(mkdir(host_path("d"), 0755));
	host_text("f", "x");

	uint64_t f = func_node("f"), d = func_node("d");

	func_attr(f); /* opens its node */

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 200; i++) {
		fails(guest_open(&fx.g, d, O_WRONLY, &o), EISDIR);
		fails(guest_opendir(&fx.g, f, &o), ENOTDIR);
		fails(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR | O_EXCL, 0644, 0, &e, &o),
		      EEXIST);
		fails(guest_create(&fx.g, FUSE_ROOT_ID, "d", O_RDWR, 0644, 0, &e, &o), EISDIR);
		fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "no", &e), ENOENT);
		fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0755, 0, &e), EEXIST);
		fails(guest_link(&fx.g, f, FUSE_ROOT_ID, "d", &e), EEXIST);
		fails(guest_rmdir(&fx.g, FUSE_ROOT_ID, "f"), ENOTDIR);
	}
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	func_end();
}
END_TEST

/* --- FSYNC, FLUSH --- */

START_TEST(fsync_by_handle_and_by_node)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	ok(guest_write(&fx.g, n, fh, "x", 1, 0));
	ok(guest_fsync(&fx.g, n, fh, false));
	ok(guest_fsync(&fx.g, n, fh, true));
	ok(guest_flush(&fx.g, n, fh));
	ok(guest_release(&fx.g, n, fh));
	/* no handle: the node is opened again */
	ok(guest_fsync(&fx.g, n, GUEST_NO_FH, false));
	ok(guest_fsync(&fx.g, n, GUEST_NO_FH, true));
	host(chmod(host_path("f"), 0400));
	ok(guest_fsync(&fx.g, n, GUEST_NO_FH, false));
	ok(guest_fsync(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, false));
	func_end();
}
END_TEST

START_TEST(fsync_by_node_leaves_no_descriptor)
{
	func_start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	func_attr(n); /* opens its node */

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 50; i++)
		ok(guest_fsync(&fx.g, n, GUEST_NO_FH, true));
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	func_end();
}
END_TEST

/* --- FALLOCATE, LSEEK, COPY_FILE_RANGE --- */

START_TEST(fallocate_in_its_modes)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);

	int r = guest_fallocate(&fx.g, n, fh, 0, 0, 100000);

	if (r == -EOPNOTSUPP)
		func_skip("the file system has no fallocate");
	ok(r);
	ck_assert_int_eq(host_stat("f").st_size, 100000);
	ck_assert_int_ge(host_stat("f").st_blocks, 100000 / 512);
	ok(guest_fallocate(&fx.g, n, fh, FALLOC_FL_KEEP_SIZE, 0, 200000));
	ck_assert_int_eq(host_stat("f").st_size, 100000);
	func_pattern(data, 16384, 1);
	ok(guest_write(&fx.g, n, fh, data, 16384, 0));
	ok(guest_fallocate(&fx.g, n, fh, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
	memset(data + 4096, 0, 4096);
	ok(guest_read(&fx.g, n, fh, back, 16384, 0));
	ck_assert_mem_eq(back, data, 16384);
	fails(guest_fallocate(&fx.g, n, fh, 0, 0, 0), EINVAL);
	fails(guest_fallocate(&fx.g, n, fh, 0, ~0ull, 1), EINVAL);
	ck_assert_int_lt(guest_fallocate(&fx.g, n, fh, 0x8000, 0, 1), 0);
	func_end();
}
END_TEST

START_TEST(lseek_finds_data_and_holes)
{
	uint64_t n, fh;

	func_start();
	n = new_file("f", &fh);
	ok(guest_write(&fx.g, n, fh, data, 4096, 1 << 20));
	ok(guest_truncate(&fx.g, n, 4 << 20));

	int host_fd = host(open(host_path("f"), O_RDONLY | O_CLOEXEC));

	ck_assert_int_eq(guest_lseek(&fx.g, n, fh, 0, SEEK_DATA), lseek(host_fd, 0, SEEK_DATA));
	ck_assert_int_eq(guest_lseek(&fx.g, n, fh, 0, SEEK_HOLE), lseek(host_fd, 0, SEEK_HOLE));
	ck_assert_int_eq(guest_lseek(&fx.g, n, fh, 1 << 20, SEEK_HOLE),
			 lseek(host_fd, 1 << 20, SEEK_HOLE));
	fails(guest_lseek(&fx.g, n, fh, 5 << 20, SEEK_DATA), ENXIO);
	fails(guest_lseek(&fx.g, n, fh, 0, 77), EINVAL);
	func_end();
}
END_TEST

START_TEST(copy_file_range_copies_on_the_host)
{
	uint64_t a, b, fa, fb;

	func_start();
	a = new_file("a", &fa);
	b = new_file("b", &fb);
	func_pattern(data, 500000, 1);
	ok(guest_write(&fx.g, a, fa, data, 500000, 0));

	ssize_t n = guest_copy_file_range(&fx.g, a, fa, 1000, b, fb, 0, 400000, 0);

	if (n == -EOPNOTSUPP || n == -EXDEV)
		func_skip("the host does not copy here");
	ck_assert_int_eq(n, 400000);
	host_is("b", data + 1000, 400000);
	ck_assert_int_eq(guest_copy_file_range(&fx.g, a, fa, 499990, b, fb, 0, 100, 0), 10);
	fails(guest_copy_file_range(&fx.g, a, fa, 0, b, fb, 0, 100, 1), EINVAL);
	fails(guest_copy_file_range(&fx.g, a, fa, 0, b, 987654, 0, 100, 0), EBADF);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("io", argc, argv);
	func_test(what_is_written_is_in_the_file_and_is_read_back);
	func_test(unaligned_offsets);
	func_test(read_at_and_beyond_the_end_is_short);
	func_test(write_of_nothing_writes_nothing);
	func_test(write_leaves_a_hole_before_its_offset);
	func_test(offsets_out_of_range_are_errors);
	func_test(write_whose_size_is_not_its_data_is_eio);
	func_test(write_that_fails_after_a_part_tells_the_part);
	func_test(handle_keeps_to_its_access_mode);
	func_test(append_handle_writes_at_the_end);
	func_test(open_with_trunc_empties_the_file);
	func_test(open_takes_no_creating_flags_to_the_host);
	func_test(reading_leaves_no_trace_if_the_guest_asks);
	func_test(open_of_a_directory_as_a_file_fails);
	func_test(open_does_not_act_as_the_caller);
	func_test(released_handle_is_ebadf);
	func_test(unknown_handles_are_ebadf);
	func_test(handle_of_one_kind_is_not_valid_as_the_other);
	func_test(released_handles_leave_no_descriptor);
	func_test(failed_opens_leave_no_descriptor);
	func_test(fsync_by_handle_and_by_node);
	func_test(fsync_by_node_leaves_no_descriptor);
	func_test(fallocate_in_its_modes);
	func_test(lseek_finds_data_and_holes);
	func_test(copy_file_range_copies_on_the_host);
	return func_done();
}
