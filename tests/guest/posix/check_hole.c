/* SPDX-License-Identifier: BSD-3-Clause */
/* Holes, fallocate, truncation. */
#include <limits.h>
#include <linux/falloc.h>
#include <sys/statvfs.h>

#include "posix.h"

#define MB (1L << 20)

static long block(void)
{
	struct statvfs sv;

	return statvfs(".", &sv) == 0 ? (long)sv.f_bsize : 4096;
}

CHECK(hole_seek)
{
	int fd = opened("f", O_RDWR | O_CREAT);

	OK(pwrite(fd, "start", 5, 0));
	OK(pwrite(fd, "end", 3, MB));
	OK(fsync(fd));
	IS(lseek(fd, 0, SEEK_DATA), 0);
	GIVES(lseek(fd, 0, SEEK_HOLE));
	GIVES(lseek(fd, 65536, SEEK_DATA));
	GIVES(lseek(fd, MB, SEEK_DATA));
	IS(lseek(fd, MB, SEEK_HOLE), MB + 3);
	NO(lseek(fd, MB + 3, SEEK_DATA), ENXIO);
	NO(lseek(fd, MB + 3, SEEK_HOLE), ENXIO);
	NO(lseek(fd, 2 * MB, SEEK_DATA), ENXIO);
}

CHECK(hole_seek_in_nothing_but_a_hole)
{
	int fd = opened("f", O_RDWR | O_CREAT);

	NO(lseek(fd, 0, SEEK_DATA), ENXIO);
	NO(lseek(fd, 0, SEEK_HOLE), ENXIO);
	OK(ftruncate(fd, MB));
	NO(lseek(fd, 0, SEEK_DATA), ENXIO);
	IS(lseek(fd, 0, SEEK_HOLE), 0);
	IS(lseek(fd, 5000, SEEK_HOLE), 5000);
	IS(lseek(fd, 0, SEEK_CUR), 5000);
}

CHECK(hole_seek_in_a_full_file)
{
	int fd;

	put("f", fill('x', 10000));
	fd = opened("f", O_RDONLY);
	IS(lseek(fd, 0, SEEK_DATA), 0);
	IS(lseek(fd, 4097, SEEK_DATA), 4097);
	IS(lseek(fd, 0, SEEK_HOLE), 10000);
	IS(lseek(fd, 9999, SEEK_HOLE), 10000);
	NO(lseek(fd, 10000, SEEK_HOLE), ENXIO);
}

CHECK(hole_reads_as_zeroes)
{
	char buf[4096];
	int fd = opened("f", O_RDWR | O_CREAT);
	int others = 0;

	OK(pwrite(fd, "x", 1, 100000));
	IS(pread(fd, buf, sizeof(buf), 50000), 4096);
	for (size_t i = 0; i < sizeof(buf); i++)
		others += buf[i] != 0;
	IS(others, 0);
	IS(fd_size(fd), 100001);
}

CHECK(hole_takes_no_room)
{
	struct stat st;
	int fd = opened("f", O_RDWR | O_CREAT);

	OK(ftruncate(fd, 100 * MB));
	OK(fstat(fd, &st));
	IS(st.st_blocks, 0);
	OK(pwrite(fd, "x", 1, 50 * MB));
	OK(fsync(fd));
	OK(fstat(fd, &st));
	YES(st.st_blocks > 0 && st.st_blocks * 512 < MB);
	IS(st.st_size, 100 * MB);
}

CHECK(falloc_extends)
{
	struct stat st;
	int fd = opened("f", O_RDWR | O_CREAT);

	NEED(fallocate(fd, 0, 0, MB));
	IS(fd_size(fd), MB);
	OK(fstat(fd, &st));
	YES(st.st_blocks * 512 >= MB);
	OK(fallocate(fd, 0, 0, 100));
	IS(fd_size(fd), MB);
	OK(fallocate(fd, 0, MB, 1));
	IS(fd_size(fd), MB + 1);
	TEXT_IS(fd_content(fd, MB - 1, 9), "~~");
}

CHECK(falloc_keep_size)
{
	struct stat st;
	int fd;

	put("f", "text");
	fd = opened("f", O_RDWR);
	NEED(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, MB));
	IS(fd_size(fd), 4);
	OK(fstat(fd, &st));
	YES(st.st_blocks * 512 >= MB);
	TEXT_IS(content("f"), "text");
	OK(write(fd, "TEXT", 4));
	OK(pwrite(fd, "!", 1, 10));
	IS(fd_size(fd), 11);
}

CHECK(falloc_punch)
{
	int fd;

	put("f", fill('x', 3000));
	fd = opened("f", O_RDWR);
	OK(pwrite(fd, fill('y', 65536), 65536, 0));
	NEED(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 16384, 16384));
	IS(fd_size(fd), 65536);
	TEXT_IS(fd_content(fd, 16382, 4), "yy~~");
	TEXT_IS(fd_content(fd, 32766, 4), "~~yy");
	OK(fsync(fd));
	IS(lseek(fd, 0, SEEK_HOLE), 16384);
	IS(lseek(fd, 16384, SEEK_DATA), 32768);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 5, 3));
	TEXT_IS(fd_content(fd, 4, 5), "y~~~y");
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65536, 4096));
	IS(fd_size(fd), 65536);
	OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 65530, 4096));
	IS(fd_size(fd), 65536);
	TEXT_IS(fd_content(fd, 65529, 9), "y~~~~~~");
}

CHECK(falloc_zero)
{
	int fd;

	put("f", fill('z', 3000));
	fd = opened("f", O_RDWR);
	OK(pwrite(fd, fill('y', 20000), 20000, 0));
	NEED(fallocate(fd, FALLOC_FL_ZERO_RANGE, 5, 10000));
	TEXT_IS(fd_content(fd, 4, 3), "y~~");
	TEXT_IS(fd_content(fd, 10003, 4), "~~yy");
	IS(fd_size(fd), 20000);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 19999, 10000));
	IS(fd_size(fd), 20000);
	OK(fallocate(fd, FALLOC_FL_ZERO_RANGE, 19998, 10000));
	IS(fd_size(fd), 29998);
}

static const char *const modes[] = { "collapse", "insert", "unshare", "collapse-keep",
				     "punch-alone", "unknown", "write-zeroes" };

CHECK_EACH(falloc_rare, modes)
{
	static const int bits[] = {
		FALLOC_FL_COLLAPSE_RANGE, FALLOC_FL_INSERT_RANGE, FALLOC_FL_UNSHARE_RANGE,
		FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_PUNCH_HOLE, 0x4000, 0x80,
	};
	long b = block();
	int fd = opened("f", O_RDWR | O_CREAT);

	for (int i = 0; i < 4; i++)
		OK(pwrite(fd, fill((char)('a' + i), (size_t)b), (size_t)b, i * b));
	NEED(fallocate(fd, bits[nr], b, b));
	IS(fd_size(fd) % b, 0);
	GIVES(fd_size(fd) / b);
	TEXT(fd_content(fd, b - 1, 2));
	TEXT(fd_content(fd, 2 * b - 1, 2));
	TRY(fallocate(fd, bits[nr], 5, b));
	TRY(fallocate(fd, bits[nr], 0, 8 * b));
	GIVES(fd_size(fd) / b);
}

CHECK(falloc_errors)
{
	int fd, r, d, p[2];

	put("f", "text");
	fd = opened("f", O_RDWR);
	r = opened("f", O_RDONLY);
	d = opened(".", O_RDONLY);
	NO(fallocate(fd, 0, 0, 0), EINVAL);
	NO(fallocate(fd, 0, 0, -1), EINVAL);
	NO(fallocate(fd, 0, -1, 10), EINVAL);
	NO(fallocate(r, 0, 0, 10), EBADF);
	NO(fallocate(d, 0, 0, 10), EBADF);
	NO(fallocate(fd, 0, LONG_MAX, 10), EFBIG);
	NO(fallocate(opened("f", O_PATH), 0, 0, 10), EBADF);
	OK(pipe(p));
	NO(fallocate(p[1], 0, 0, 10), ESPIPE);
	IS(fd_size(fd), 4);
}

CHECK(falloc_of_append_descriptor)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_WRONLY | O_APPEND);
	TRY(fallocate(fd, 0, 0, 100));
	GIVES(fd_size(fd));
	TRY(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 2));
	TEXT(content("f"));
}

CHECK(truncate_grows_and_shrinks)
{
	int fd;

	put("f", "0123456789");
	OK(truncate("f", 4));
	TEXT_IS(content("f"), "0123");
	OK(truncate("f", 8));
	TEXT_IS(content("f"), "0123~~~~");
	fd = opened("f", O_RDWR);
	OK(ftruncate(fd, 2));
	TEXT_IS(content("f"), "01");
	OK(ftruncate(fd, 0));
	IS(size("f"), 0);
	OK(ftruncate(fd, 5000));
	OK(ftruncate(fd, 5000));
	IS(size("f"), 5000);
	IS(lseek(fd, 0, SEEK_CUR), 0);
}

/* What was cut off must not come back. */
CHECK(truncate_leaves_zeroes)
{
	int fd;

	put("f", fill('s', 3000));
	fd = opened("f", O_RDWR);
	TEXT_IS(fd_content(fd, 1000, 3), "sss");
	OK(ftruncate(fd, 1000));
	OK(ftruncate(fd, 3000));
	TEXT_IS(fd_content(fd, 998, 4), "ss~~");
	OK(ftruncate(fd, 500));
	OK(pwrite(fd, "x", 1, 2000));
	TEXT_IS(fd_content(fd, 498, 4), "ss~~");
	TEXT_IS(fd_content(fd, 1998, 3), "~~x");
}

CHECK(truncate_errors)
{
	put("f", "text");
	dir("d", 0755);
	mkfifo("p", 0644);
	mknod("s", S_IFSOCK | 0644, 0);
	NO(truncate("f", -1), EINVAL);
	NO(truncate("d", 0), EISDIR);
	NO(truncate("p", 0), EINVAL);
	TRY(truncate("s", 0));
	NO(truncate("none", 0), ENOENT);
	NO(ftruncate(opened("f", O_RDWR), -1), EINVAL);
	NO(ftruncate(opened("f", O_PATH), 0), EBADF);
	TEXT_IS(content("f"), "text");
}

CHECK(truncate_by_user)
{
	put_mode("readable", "text", 0644);
	put_mode("writable", "text", 0666);
	put_mode("writeonly", "text", 0222);
	AS(USER, USER) {
		NO(truncate("readable", 0), EACCES);
		OK(truncate("writable", 2));
		OK(truncate("writeonly", 2));
		NO(open("readable", O_RDONLY | O_TRUNC), EACCES);
		OK(open("writable", O_RDONLY | O_TRUNC));
	}
	IS(size("readable"), 4);
	IS(size("writable"), 0);
	IS(size("writeonly"), 2);
}

CHECK(truncate_seen_by_all)
{
	int a, b;

	put("f", "0123456789");
	a = opened("f", O_RDWR);
	b = opened("f", O_RDONLY);
	TEXT_IS(fd_content(b, 0, 20), "0123456789");
	OK(ftruncate(a, 3));
	TEXT_IS(fd_content(b, 0, 20), "012");
	IS(fd_size(b), 3);
	OK(close(open("f", O_WRONLY | O_TRUNC)));
	TEXT_IS(fd_content(b, 0, 20), "");
	OK(pwrite(a, "z", 1, 2));
	TEXT_IS(fd_content(b, 0, 20), "~~z");
}

CHECK(truncate_with_offset_beyond)
{
	char c;
	int fd;

	put("f", "0123456789");
	fd = opened("f", O_RDWR);
	IS(lseek(fd, 8, SEEK_SET), 8);
	OK(ftruncate(fd, 4));
	IS(read(fd, &c, 1), 0);
	OK(write(fd, "!", 1));
	TEXT_IS(content("f"), "0123~~~~!");
}

CHECK(truncate_through_link)
{
	put("f", "text");
	symlink("f", "s");
	OK(truncate("s", 1));
	IS(size("f"), 1);
	IS(size("s"), 1);
	symlink("none", "t");
	NO(truncate("t", 1), ENOENT);
}
