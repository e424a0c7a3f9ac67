/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts, sizes, offsets and extensions that are not what they say. */
#include <fcntl.h>
#include <linux/fs.h>

#include "hostile.h"

static uint64_t file, fh, dir, dir_fh;

static void start(void)
{
	static const char *const args[] = { "--xattr", "-o", "posix_lock,flock", NULL };
	struct fuse_open_out o;

	hostile_start(args, NULL);
	host_text("file", "0123456789");
	host(mkdir(host_path("dir"), 0777));
	file = func_node("file");
	fh = func_open(file, O_RDWR);
	dir = func_node("dir");
	ok(guest_opendir(&fx.g, dir, &o));
	dir_fh = o.fh;
}

/* Sends `size` bytes of arguments and `more` bytes behind them. */
static int send_args(uint32_t opcode, uint64_t node, const void *arg, size_t size, size_t more,
		     size_t room)
{
	memcpy(hostile_body(), arg, size);
	memset((uint8_t *)hostile_body() + size, 'v', more);
	hostile_header(opcode, node, size + more);
	return hostile_send(sizeof(struct fuse_in_header) + size + more, room, NULL);
}

#define send_arg(opcode, node, arg, more, room) \
	send_args(opcode, node, &(arg), sizeof(arg), more, room)

START_TEST(reads_of_any_size_and_place_are_bounded_by_their_room)
{
	start();
	for (int i = 0; i < 500; i++) {
		struct fuse_read_in in = { .fh = fh, .size = random_odd(), .offset = random_odd() };
		bool in_dir = random_one_in(3);

		if (in_dir)
			in.fh = dir_fh;
		(void)send_arg(in_dir ? random_one_in(2) ? FUSE_READDIR : FUSE_READDIRPLUS
				      : FUSE_READ,
			       in_dir ? dir : file, in, 0, 16 + random_below(8192));
	}
	hostile_served();
	hostile_end();
}
END_TEST

START_TEST(write_whose_size_is_not_that_of_its_data_is_eio)
{
	start();
	for (int i = 0; i < 300; i++) {
		struct fuse_write_in in = { .fh = fh, .size = random_odd() };
		size_t data = random_below(4096);

		if (in.size == data)
			continue;
		ck_assert_int_eq(send_arg(FUSE_WRITE, file, in, data, 64), -EIO);
	}
	host_is("file", "0123456789", 10);
	hostile_end();
}
END_TEST

START_TEST(write_at_the_end_of_all_offsets_is_refused)
{
	static const uint64_t at[] = { INT64_MAX, INT64_MAX - 1, 1ull << 63, UINT64_MAX,
				       UINT64_MAX - 3 };

	start();
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct fuse_write_in in = { .fh = fh, .size = 8, .offset = at[i] };
		struct fuse_read_in rd = { .fh = fh, .size = 8, .offset = at[i] };
		struct fuse_lseek_in ls = { .fh = fh, .offset = at[i], .whence = SEEK_DATA };
		struct fuse_fallocate_in fa = { .fh = fh, .offset = at[i], .length = 8 };
		struct fuse_fallocate_in fl = { .fh = fh, .offset = 8, .length = at[i] };
		struct fuse_copy_file_range_in cp = { .fh_in = fh, .fh_out = fh, .off_in = at[i],
						      .off_out = at[i], .len = UINT64_MAX };
		struct fuse_setattr_in sa = { .valid = FATTR_SIZE, .size = at[i] };

		ck_assert_int_lt(send_arg(FUSE_WRITE, file, in, 8, 64), 0);
		(void)send_arg(FUSE_READ, file, rd, 0, 64);
		ck_assert_int_lt(send_arg(FUSE_LSEEK, file, ls, 0, 64), 0);
		ck_assert_int_lt(send_arg(FUSE_FALLOCATE, file, fa, 0, 64), 0);
		ck_assert_int_lt(send_arg(FUSE_FALLOCATE, file, fl, 0, 64), 0);
		(void)send_arg(FUSE_COPY_FILE_RANGE, file, cp, 0, 64);
		(void)send_arg(FUSE_SETATTR, file, sa, 0, 256);
	}
	host_is("file", "0123456789", 10);
	hostile_served();
	hostile_end();
}
END_TEST

/* A count of what is not there, of what is, and of more than there is. */
START_TEST(batch_forget_is_bounded_by_its_body)
{
	static const uint32_t counts[] = { 0, 1, 2, 3, 5, 1000, 0x7fffffff, 0x80000000, ~0u };
	struct fuse_forget_one *one;

	start();
	for (size_t c = 0; c < sizeof(counts) / sizeof(counts[0]); c++)
		for (size_t bytes = 0; bytes < 100; bytes++) {
			struct fuse_batch_forget_in *in = hostile_body();

			in->count = counts[c];
			one = (struct fuse_forget_one *)(in + 1);
			for (int i = 0; i < 8; i++)
				one[i] = (struct fuse_forget_one){ random_odd(), random_odd() };
			hostile_header(FUSE_BATCH_FORGET, 0, sizeof(*in) + bytes);
			ck_assert_int_eq(hostile_send(sizeof(struct fuse_in_header) + sizeof(*in) +
						      bytes, 0, NULL), 0);
		}
	hostile_served();
	hostile_end();
}
END_TEST

/* The root is never forgotten; another one is with its last lookup and not below that. */
START_TEST(forget_of_more_than_there_is_forgets_and_no_more)
{
	struct fuse_entry_out e;
	struct fuse_attr_out a;

	start();
	ok(guest_forget(&fx.g, FUSE_ROOT_ID, UINT64_MAX));
	ok(guest_forget(&fx.g, FUSE_ROOT_ID, 1));
	func_attr(FUSE_ROOT_ID);
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "..", &e));
	ck_assert_uint_eq(e.nodeid, FUSE_ROOT_ID);
	ok(guest_forget(&fx.g, file, UINT64_MAX));
	fails(guest_getattr(&fx.g, file, GUEST_NO_FH, &a), EBADF);
	ok(guest_forget(&fx.g, file, 1));
	file = func_node("file");
	ok(guest_forget(&fx.g, file, 0));
	ok(guest_getattr(&fx.g, file, GUEST_NO_FH, &a));
	hostile_end();
}
END_TEST

START_TEST(xattr_sizes_that_lie_are_refused)
{
	static const uint32_t sizes[] = { 0, 1, 63, 64, 65, 65535, 65536, 65537, 0x7fffffff, ~0u };

	start();
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fuse_getxattr_in get = { .size = sizes[i] };
		struct {
			struct fuse_setxattr_in in;
			char name[8];
		} set = { { .size = sizes[i] }, "user.ab" };
		size_t len = offsetof(struct fuse_setxattr_in, setxattr_flags);
		int r;

		/* The short form is what is agreed on here: name and value follow at once. */
		memmove((char *)&set + len, set.name, sizeof(set.name));
		r = send_args(FUSE_SETXATTR, file, &set, len + 8, 64, 64);
		ck_assert_msg(sizes[i] <= 64 ? r == 0 || r == -EOPNOTSUPP : r < 0, "size %u: %d",
			      sizes[i], r);
		(void)send_arg(FUSE_LISTXATTR, file, get, 0, 16 + random_below(100));
		memcpy((uint8_t *)hostile_body() + sizeof(get), set.name, 8);
		hostile_header(FUSE_GETXATTR, file, sizeof(get) + 8);
		memcpy((uint8_t *)hostile_body() + sizeof(get), "user.ab", 8);
		(void)hostile_send(sizeof(struct fuse_in_header) + sizeof(get) + 8,
				   16 + random_below(100), NULL);
	}
	/* 64 bytes are there by now: to who wants less, whatever the room, none of them. */
	for (uint32_t size = 1; size < 64; size++) {
		struct {
			struct fuse_getxattr_in in;
			char name[8];
		} get = { { .size = size }, "user.ab" };
		int r = send_arg(FUSE_GETXATTR, file, get, 0, 4096);

		ck_assert_msg(r == -ERANGE || r == -EOPNOTSUPP, "%u bytes: %d", size, r);
	}
	hostile_served();
	hostile_end();
}
END_TEST

START_TEST(ioctl_sizes_that_lie_are_refused)
{
	static const uint32_t cmds[] = { FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR, 0xc0046686,
					 0x40806685, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, 0x5401,
					 FIFREEZE, FICLONE, FITRIM, 0 };

	start();
	for (int i = 0; i < 600; i++) {
		struct fuse_ioctl_in in = { .fh = fh, .cmd = cmds[random_below(11)],
					    .flags = random_below(64), .arg = random_odd(),
					    .in_size = random_odd(), .out_size = random_odd() };
		uint32_t len;
		int r;

		/* With a body that is no more than zeroes nothing is set. */
		memset(hostile_body(), 0, 4096);
		memcpy(hostile_body(), &in, sizeof(in));
		hostile_header(FUSE_IOCTL, file, sizeof(in) + random_below(256));
		in.out_size = random_one_in(2) ? random_below(40) : in.out_size;
		memcpy(hostile_body(), &in, sizeof(in));
		r = hostile_send(((struct fuse_in_header *)hx.in.host)->len, random_below(512),
				 &len);
		ck_assert_msg(r < 0 || len < sizeof(struct fuse_out_header) ||
			      len - 32 <= in.out_size, "%u bytes for %u", len - 32, in.out_size);
	}
	hostile_served();
	hostile_end();
}
END_TEST

/* --- extensions of what creates --- */

static int mkdir_with(const void *ext, size_t len, uint32_t units)
{
	struct fuse_mkdir_in in = { .mode = 0755 };
	char *body = hostile_body();
	size_t at = sizeof(in);

	memcpy(body, &in, at);
	at += sprintf(body + at, "e%u", random_below(1u << 31)) + 1;
	memcpy(body + at, ext, len);
	hostile_header(FUSE_MKDIR, FUSE_ROOT_ID, at + len)->total_extlen = units;
	return hostile_send(sizeof(struct fuse_in_header) + at + len, 4096, NULL);
}

START_TEST(extensions_that_lie_are_invalid)
{
	static const uint32_t bad[][6] = {
		{ 0, 32 }, { 7, 32 }, { 9, 32 }, { 16, 32 }, { ~0u, 32 }, { 8, 32 }, { 8, 1 },
		{ 24, 32, ~0u, 1 }, { 24, 32, 2, 1 }, { 24, 32, 0x80000001, 1 },
		{ 24, 2, 0, 0 }, { 24, 31, 0, 0 },
		{ 24, 1, ~0u, 0x41 }, { 24, 1, 100, 0x41 },
		{ 24, 1, 0, 0x41414141, 0x41414141, 0x41414141 },
	};
	uint8_t junk[4096 + 64];

	start();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = bad[i][0] == 24 ? 24 : 8;
		int r = mkdir_with(bad[i], len, len / 8);

		ck_assert_msg(r == -EINVAL, "extension %zu: %d", i, r);
	}
	/* more than there is, and more than is taken */
	ck_assert_int_eq(mkdir_with(junk, 8, 2000), -EINVAL);
	ck_assert_int_eq(mkdir_with(junk, 8, 0xffff), -EINVAL);
	for (int i = 0; i < 500; i++) {
		size_t len = random_below(sizeof(junk) / 8) * 8;

		random_bytes(junk, len);
		if (random_one_in(2)) {
			uint32_t head[3] = { 8 * random_below(len / 8 + 2), random_below(34),
					     random_odd() };

			memcpy(junk, head, len < sizeof(head) ? len : sizeof(head));
		}
		(void)mkdir_with(junk, len, random_one_in(4) ? random_odd() : len / 8);
	}
	hostile_served();
	hostile_end();
}
END_TEST

START_TEST(lock_ranges_that_make_no_sense_are_refused)
{
	start();
	for (int i = 0; i < 1000; i++) {
		struct fuse_lk_in in = { .fh = fh, .owner = random_odd(),
					 .lk = { .start = random_odd(), .end = random_odd(),
						 .type = random_below(5), .pid = random_odd() },
					 .lk_flags = random_below(4) };
		int r = send_arg(random_one_in(4) ? FUSE_GETLK : FUSE_SETLK, file, in, 0, 64);

		if (in.lk.type > 2)
			ck_assert_msg(r == -EINVAL || r == -EBADF, "type %u: %d", in.lk.type, r);
	}
	hostile_served();
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("count", argc, argv);
	func_test(reads_of_any_size_and_place_are_bounded_by_their_room);
	func_test(write_whose_size_is_not_that_of_its_data_is_eio);
	func_test(write_at_the_end_of_all_offsets_is_refused);
	func_test(batch_forget_is_bounded_by_its_body);
	func_test(forget_of_more_than_there_is_forgets_and_no_more);
	func_test(xattr_sizes_that_lie_are_refused);
	func_test(ioctl_sizes_that_lie_are_refused);
	func_test(extensions_that_lie_are_invalid);
	func_test(lock_ranges_that_make_no_sense_are_refused);
	return func_done();
}
