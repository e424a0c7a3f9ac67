/* SPDX-License-Identifier: BSD-3-Clause */
/* Large offsets and the limits of processes. */
#include <limits.h>
#include <signal.h>
#include <sys/resource.h>

#include "posix.h"

static const char *const places[] = { "2G-1", "2G", "4G-1", "4G", "1T", "8T" };

CHECK_EACH(limit_offset, places)
{
	static const off_t offset[] = { (2L << 30) - 1, 2L << 30, (4L << 30) - 1, 4L << 30, 1L << 40,
					8L << 40 };
	off_t at = offset[nr];
	int fd = opened("f", O_RDWR | O_CREAT);

	NEED(pwrite(fd, "edge", 4, at));
	IS(fd_size(fd), at + 4);
	IS(size("f"), at + 4);
	TEXT_IS(fd_content(fd, at - 1, 6), "~edge");
	IS(lseek(fd, 0, SEEK_END), at + 4);
	IS(write(fd, "!", 1), 1);
	OK(ftruncate(fd, at + 2));
	TEXT_IS(fd_content(fd, at, 6), "ed");
	IS(lseek(fd, 4096, SEEK_DATA) <= at, 1);
	OK(truncate("f", 1));
	OK(ftruncate(fd, at));
	IS(fd_size(fd), at);
}

CHECK(limit_of_file_system)
{
	int fd = opened("f", O_RDWR | O_CREAT);

	TRY(ftruncate(fd, LONG_MAX));
	TRY(truncate("f", LONG_MAX));
	TRY(ftruncate(fd, LONG_MAX - 4096));
	TRY(ftruncate(fd, 1L << 62));
	OK(ftruncate(fd, 0));
	TRY(pwrite(fd, "x", 1, LONG_MAX));
	TRY(pwrite(fd, "x", 1, LONG_MAX - 1));
	TRY(pwrite(fd, "x", 1, 1L << 62));
	TRY(lseek(fd, LONG_MAX, SEEK_SET));
	TRY(lseek(fd, 1L << 62, SEEK_SET));
	OK(ftruncate(fd, 0));
	IS(fd_size(fd), 0);
}

CHECK(limit_fsize)
{
	struct rlimit limit = { 1000, 1000 };
	int fd = opened("f", O_RDWR | O_CREAT);

	CHILD {
		signal(SIGXFSZ, SIG_IGN);
		setrlimit(RLIMIT_FSIZE, &limit);
		IS(write(fd, fill('x', 600), 600), 600);
		IS(write(fd, fill('x', 600), 600), 400);
		NO(write(fd, "x", 1), EFBIG);
		NO(pwrite(fd, "x", 1, 5000), EFBIG);
		IS(pwrite(fd, "y", 1, 0), 1);
		NO(ftruncate(fd, 1001), EFBIG);
		NO(truncate("f", 1001), EFBIG);
		OK(ftruncate(fd, 1000));
		NO(fallocate(fd, 0, 0, 1001), EFBIG);
		OK(ftruncate(fd, 10));
	}
	IS(size("f"), 10);
}

CHECK(limit_fsize_signal)
{
	struct rlimit limit = { 10, 10 };

	CHILD {
		setrlimit(RLIMIT_FSIZE, &limit);
		IS(write(opened("f", O_RDWR | O_CREAT), fill('x', 11), 11), 10);
		TEXT("not killed by the part that fits");
		write(opened("f", O_RDWR | O_APPEND), "x", 1);
		TEXT("not killed");
	}
	GIVES(size("f"));
}

CHECK(limit_descriptors)
{
	struct rlimit limit = { 20, 20 };
	int n = 0, fd;

	put("f", "");
	CHILD {
		setrlimit(RLIMIT_NOFILE, &limit);
		while ((fd = open("f", O_RDONLY)) >= 0)
			n++;
		IS(n, 17);
		NO(open("f", O_RDONLY), EMFILE);
		NO(open("new", O_CREAT | O_WRONLY, 0644), EMFILE);
	}
	TEXT(kind("new"));
}
