/* SPDX-License-Identifier: BSD-3-Clause */
/* copy_file_range, sendfile, splice, clones. */
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include "posix.h"

CHECK(copy_range)
{
	off_t in = 2, out = 5;
	int a, b;

	put("a", "0123456789");
	put("b", "");
	a = opened("a", O_RDONLY);
	b = opened("b", O_RDWR);
	NEED(copy_file_range(a, NULL, b, NULL, 4, 0));
	IS(lseek(a, 0, SEEK_CUR), 4);
	IS(lseek(b, 0, SEEK_CUR), 4);
	TEXT_IS(content("b"), "0123");
	IS(copy_file_range(a, &in, b, &out, 3, 0), 3);
	IS(in, 5);
	IS(out, 8);
	IS(lseek(a, 0, SEEK_CUR), 4);
	TEXT_IS(content("b"), "0123~234");
	IS(copy_file_range(a, NULL, b, NULL, 100, 0), 6);
	IS(copy_file_range(a, NULL, b, NULL, 100, 0), 0);
	TEXT_IS(content("b"), "0123456789");
	IS(copy_file_range(a, NULL, b, NULL, 0, 0), 0);
}

CHECK(copy_range_errors)
{
	off_t far = 1000, neg = -5, zero = 0;
	int a, r, w, d, ap, p[2];

	put("a", "0123456789");
	put("b", "");
	a = opened("a", O_RDWR);
	r = opened("b", O_RDONLY);
	w = opened("b", O_WRONLY);
	d = opened(".", O_RDONLY);
	ap = opened("b", O_WRONLY | O_APPEND);
	OK(pipe(p));
	NO(copy_file_range(w, NULL, a, NULL, 5, 0), EBADF);
	NO(copy_file_range(a, NULL, r, NULL, 5, 0), EBADF);
	NO(copy_file_range(d, NULL, w, NULL, 5, 0), EISDIR);
	TRY(copy_file_range(a, NULL, d, NULL, 5, 0));
	NO(copy_file_range(a, NULL, ap, NULL, 5, 0), EBADF);
	NO(copy_file_range(p[0], NULL, w, NULL, 5, 0), EINVAL);
	NO(copy_file_range(a, NULL, w, NULL, 5, 1), EINVAL);
	TRY(copy_file_range(a, &neg, w, NULL, 5, 0));
	IS(copy_file_range(a, &far, w, NULL, 5, 0), 0);
	NO(copy_file_range(a, NULL, a, NULL, 5, 0), EINVAL);
	IS(copy_file_range(a, &zero, a, &far, 5, 0), 5);
	NO(copy_file_range(opened("a", O_PATH), NULL, w, NULL, 5, 0), EBADF);
	TEXT_IS(content("b"), "");
}

CHECK(copy_range_large)
{
	enum { N = 3000000 };
	char *buf = malloc(N), *back = malloc(N);
	off_t done = 0;
	ssize_t n;
	int a, b;

	for (int i = 0; i < N; i++)
		buf[i] = (char)(i * 31 >> 3);
	a = opened("a", O_RDWR | O_CREAT);
	b = opened("b", O_RDWR | O_CREAT);
	IS(pwrite(a, buf, N, 0), N);
	while ((n = copy_file_range(a, NULL, b, NULL, N, 0)) > 0)
		done += n;
	IS(done, N);
	IS(pread(b, back, N, 0), N);
	YES(memcmp(buf, back, N) == 0);
	IS(fd_size(b), N);
}

CHECK(copy_range_sees_fresh_data)
{
	off_t zero = 0, zero2 = 0;
	int a, b;

	a = opened("a", O_RDWR | O_CREAT);
	b = opened("b", O_RDWR | O_CREAT);
	OK(write(a, "old data", 8));
	OK(write(b, "previous", 8));
	TEXT_IS(fd_content(b, 0, 9), "previous");
	OK(pwrite(a, "new", 3, 0));
	NEED(copy_file_range(a, &zero, b, &zero2, 8, 0));
	TEXT_IS(fd_content(b, 0, 9), "new data");
	TEXT_IS(content("b"), "new data");
	OK(pwrite(a, "X", 1, 0));
	TEXT_IS(content("b"), "new data");
}

CHECK(copy_range_moves_times)
{
	struct times t;
	int a, b;

	put("a", "text");
	put("b", "");
	a = opened("a", O_RDONLY);
	b = opened("b", O_WRONLY);
	t = times("b");
	tick();
	OK(copy_file_range(a, NULL, b, NULL, 4, 0));
	TEXT_IS(moved(&t, "b"), "mtime ctime");
}

CHECK(copy_range_between_file_systems)
{
	int a, b = opened("b", O_RDWR | O_CREAT);

	a = open("/dev/shm", O_TMPFILE | O_RDWR, 0600);
	OK(write(a, "from memory", 11));
	OK(lseek(a, 0, SEEK_SET));
	TRY(copy_file_range(a, NULL, b, NULL, 11, 0));
	OK(ftruncate(a, 0));
	TRY(copy_file_range(b, NULL, a, NULL, 11, 0));
}

CHECK(copy_sendfile)
{
	off_t at = 3;
	int a, b, p[2];
	char buf[16];

	put("a", "0123456789");
	put("b", "");
	a = opened("a", O_RDONLY);
	b = opened("b", O_RDWR);
	OK(pipe(p));
	IS(sendfile(b, a, &at, 4), 4);
	IS(at, 7);
	TEXT_IS(content("b"), "3456");
	IS(sendfile(b, a, NULL, 100), 10);
	TEXT_IS(content("b"), "34560123456789");
	IS(sendfile(b, a, NULL, 100), 0);
	at = 0;
	IS(sendfile(p[1], a, &at, 5), 5);
	IS(read(p[0], buf, 16), 5);
	NO(sendfile(a, b, NULL, 4), EBADF);
	NO(sendfile(b, p[0], NULL, 4), EINVAL);
}

CHECK(copy_splice)
{
	loff_t at = 2, to = 1;
	int a, b, p[2];

	put("a", "0123456789");
	put("b", "");
	a = opened("a", O_RDONLY);
	b = opened("b", O_RDWR);
	OK(pipe(p));
	NEED(splice(a, &at, p[1], NULL, 5, 0));
	IS(at, 7);
	IS(splice(p[0], NULL, b, &to, 5, 0), 5);
	TEXT_IS(content("b"), "~23456");
	IS(splice(a, NULL, p[1], NULL, 100, 0), 10);
	IS(splice(p[0], NULL, b, NULL, 100, 0), 10);
	TEXT_IS(content("b"), "0123456789");
	NO(splice(p[0], NULL, opened("b", O_WRONLY | O_APPEND), NULL, 5, 0), EINVAL);
	NO(splice(a, NULL, b, NULL, 5, 0), EINVAL);
}

CHECK(copy_clone)
{
	int a, b;

	put("a", fill('c', 3000));
	put("b", "");
	a = opened("a", O_RDONLY);
	b = opened("b", O_RDWR);
	NEED(ioctl(b, FICLONE, a));
	YES(strcmp(content("a"), content("b")) == 0);
}

CHECK(copy_clone_range)
{
	struct file_clone_range range = { .src_offset = 0, .src_length = 65536,
					  .dest_offset = 65536 };
	int a;

	a = opened("a", O_RDWR | O_CREAT);
	OK(write(a, fill('c', 65536), 65536));
	range.src_fd = a;
	NEED(ioctl(a, FICLONERANGE, &range));
	IS(fd_size(a), 131072);
}
