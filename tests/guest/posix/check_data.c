/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading, writing, appending, seeking. */
#include <limits.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "posix.h"

CHECK(data_write_and_read)
{
	char buf[64];
	int fd;

	fd = opened("f", O_RDWR | O_CREAT);
	IS(write(fd, "hello world", 11), 11);
	IS(lseek(fd, 0, SEEK_CUR), 11);
	IS(read(fd, buf, sizeof(buf)), 0);
	IS(lseek(fd, 6, SEEK_SET), 6);
	IS(read(fd, buf, sizeof(buf)), 5);
	YES(memcmp(buf, "world", 5) == 0);
	IS(lseek(fd, -3, SEEK_END), 8);
	IS(write(fd, "RLD!", 4), 4);
	TEXT_IS(content("f"), "hello woRLD!");
}

CHECK(data_pread_pwrite)
{
	char buf[16];
	int fd = opened("f", O_RDWR | O_CREAT);

	IS(pwrite(fd, "abc", 3, 5), 3);
	IS(lseek(fd, 0, SEEK_CUR), 0);
	IS(fd_size(fd), 8);
	IS(pread(fd, buf, 16, 0), 8);
	YES(memcmp(buf, "\0\0\0\0\0abc", 8) == 0);
	IS(pread(fd, buf, 16, 8), 0);
	IS(pread(fd, buf, 16, 1000000), 0);
	IS(pread(fd, buf, 0, 0), 0);
	IS(pwrite(fd, "x", 0, 100), 0);
	IS(fd_size(fd), 8);
	NO(pread(fd, buf, 1, -1), EINVAL);
	NO(pwrite(fd, buf, 1, -1), EINVAL);
}

CHECK(data_wrong_descriptors)
{
	char c;
	int r, w, d;

	put("f", "x");
	r = opened("f", O_RDONLY);
	w = opened("f", O_WRONLY);
	d = opened(".", O_RDONLY);
	NO(write(r, "y", 1), EBADF);
	NO(pwrite(r, "y", 1, 0), EBADF);
	NO(read(w, &c, 1), EBADF);
	NO(pread(w, &c, 1, 0), EBADF);
	NO(read(d, &c, 1), EISDIR);
	NO(write(d, "x", 1), EBADF);
	NO(ftruncate(r, 0), EINVAL);
	NO(ftruncate(d, 0), EINVAL);
	NO(read(-1, &c, 1), EBADF);
	NO(open(".", O_WRONLY), EISDIR);
	NO(open(".", O_RDWR), EISDIR);
}

CHECK(data_bad_addresses)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_RDWR);
	NO(read(fd, nowhere, 4), EFAULT);
	NO(write(fd, nowhere, 4), EFAULT);
	NO(open(nowhere, O_RDONLY), EFAULT);
	IS(fd_size(fd), 4);
}

CHECK(data_vectors)
{
	char a[3], b[5];
	struct iovec out[3] = { { "abc", 3 }, { "", 0 }, { "defgh", 5 } };
	struct iovec in[2] = { { a, 3 }, { b, 5 } };
	int fd = opened("f", O_RDWR | O_CREAT);

	IS(writev(fd, out, 3), 8);
	IS(pwritev(fd, out, 3, 8), 8);
	TEXT_IS(content("f"), "abcdefghabcdefgh");
	IS(preadv(fd, in, 2, 1), 8);
	YES(memcmp(a, "bcd", 3) == 0 && memcmp(b, "efgha", 5) == 0);
	IS(preadv(fd, in, 2, 12), 4);
	IS(writev(fd, out, 0), 0);
	NO(syscall(SYS_writev, fd, out, -1), EINVAL);
	NO(syscall(SYS_writev, fd, out, IOV_MAX + 1), EINVAL);
}

CHECK(data_many_vectors)
{
	static struct iovec v[IOV_MAX];
	static char bytes[IOV_MAX], back[IOV_MAX];
	int fd = opened("f", O_RDWR | O_CREAT);

	for (int i = 0; i < IOV_MAX; i++) {
		bytes[i] = (char)('a' + i % 26);
		v[i] = (struct iovec){ bytes + i, 1 };
	}
	IS(writev(fd, v, IOV_MAX), IOV_MAX);
	IS(pread(fd, back, sizeof(back), 0), IOV_MAX);
	YES(memcmp(bytes, back, sizeof(back)) == 0);
}

CHECK(data_v2_flags)
{
	char buf[8];
	struct iovec out = { "abcd", 4 }, in = { buf, 8 };
	int fd = opened("f", O_RDWR | O_CREAT);

	IS(pwritev2(fd, &out, 1, 0, 0), 4);
	IS(pwritev2(fd, &out, 1, 0, RWF_APPEND), 4);
	IS(fd_size(fd), 8);
	IS(pwritev2(fd, &out, 1, 2, RWF_DSYNC), 4);
	IS(pwritev2(fd, &out, 1, 2, RWF_SYNC), 4);
	IS(pwritev2(fd, &out, 1, -1, 0), 4);
	IS(lseek(fd, 0, SEEK_CUR), 4);
	IS(preadv2(fd, &in, 1, 0, 0), 8);
	IS(preadv2(fd, &in, 1, -1, 0), 4);
	TRY(preadv2(fd, &in, 1, 0, RWF_HIPRI));
	NO(preadv2(fd, &in, 1, 0, 0x40000000), EOPNOTSUPP);
	TEXT(content("f"));
}

CHECK(data_nowait)
{
	char buf[8];
	struct iovec in = { buf, 8 };
	int fd = opened("f", O_RDWR | O_CREAT);

	OK(write(fd, "text", 4));
	TRY(preadv2(fd, &in, 1, 0, RWF_NOWAIT));
}

CHECK(data_append)
{
	int fd;

	put("f", "one");
	fd = opened("f", O_RDWR | O_APPEND);
	IS(lseek(fd, 0, SEEK_CUR), 0);
	IS(write(fd, "two", 3), 3);
	IS(lseek(fd, 0, SEEK_CUR), 6);
	IS(lseek(fd, 1, SEEK_SET), 1);
	IS(write(fd, "3", 1), 1);
	TEXT_IS(content("f"), "onetwo3");
	IS(pwrite(fd, "4", 1, 0), 1);           /* Linux appends here too */
	TEXT_IS(content("f"), "onetwo34");
	TEXT_IS(fd_content(fd, 0, 3), "one");
	OK(ftruncate(fd, 2));
	IS(write(fd, "!", 1), 1);
	TEXT_IS(content("f"), "on!");
}

CHECK(data_append_two_openers)
{
	int a, b, c;

	a = opened("f", O_WRONLY | O_APPEND | O_CREAT);
	b = opened("f", O_WRONLY | O_APPEND);
	c = opened("f", O_WRONLY);
	OK(write(a, "a1 ", 3));
	OK(write(b, "b1 ", 3));
	OK(write(a, "a2 ", 3));
	OK(pwrite(c, "C", 1, 0));
	OK(write(b, "b2 ", 3));
	TEXT_IS(content("f"), "C1 b1 a2 b2 ");
}

CHECK(data_append_processes)
{
	char line[32], *all, *p;
	int fd, from[3] = { 0 };
	pid_t pid[3];

	for (int w = 0; w < 3; w++) {
		pid[w] = fork();
		if (pid[w] == 0) {
			fd = opened("f", O_WRONLY | O_APPEND | O_CREAT);
			snprintf(line, sizeof(line), "%d says this\n", w);
			for (int i = 0; i < 60; i++)
				if (write(fd, line, strlen(line)) != (ssize_t)strlen(line))
					_exit(1);
			_exit(0);
		}
	}
	for (int w = 0; w < 3; w++)
		OK(waitpid(pid[w], NULL, 0));
	IS(size("f"), 3 * 60 * 12);
	all = calloc(1, 3 * 60 * 12 + 1);
	fd = opened("f", O_RDONLY);
	IS(read(fd, all, 3 * 60 * 12), 3 * 60 * 12);
	for (p = all; *p; p += 12)
		if (*p >= '0' && *p <= '2' && memcmp(p + 1, " says this\n", 11) == 0)
			from[*p - '0']++;
	IS(from[0], 60);
	IS(from[1], 60);
	IS(from[2], 60);
}

CHECK(data_append_set_later)
{
	int fd;

	put("f", "text");
	fd = opened("f", O_RDWR);
	OK(fcntl(fd, F_SETFL, O_APPEND));
	YES(fcntl(fd, F_GETFL) & O_APPEND);
	OK(write(fd, "+", 1));
	TEXT_IS(content("f"), "text+");
	OK(fcntl(fd, F_SETFL, 0));
	OK(pwrite(fd, "T", 1, 0));
	TEXT_IS(content("f"), "Text+");
}

CHECK(data_shared_offset)
{
	char c;
	int fd, fd2;

	put("f", "abcdef");
	fd = opened("f", O_RDONLY);
	fd2 = dup(fd);
	IS(read(fd, &c, 1), 1);
	IS(lseek(fd2, 0, SEEK_CUR), 1);
	CHILD
		IS(lseek(fd, 2, SEEK_CUR), 3);
	IS(read(fd2, &c, 1), 1);
	IS(c, 'd');
}

CHECK(data_seek)
{
	int fd, d;

	put("f", "abcdef");
	fd = opened("f", O_RDWR);
	d = opened(".", O_RDONLY);
	NO(lseek(fd, -1, SEEK_SET), EINVAL);
	NO(lseek(fd, -7, SEEK_END), EINVAL);
	NO(lseek(fd, 0, 77), EINVAL);
	IS(lseek(fd, 100, SEEK_SET), 100);
	IS(lseek(fd, 100, SEEK_CUR), 200);
	NO(lseek(fd, -201, SEEK_CUR), EINVAL);
	IS(lseek(fd, 0, SEEK_CUR), 200);
	IS(lseek(fd, 10, SEEK_END), 16);
	IS(fd_size(fd), 6);
	IS(write(fd, "!", 1), 1);
	IS(fd_size(fd), 17);
	IS(lseek(d, 0, SEEK_SET), 0);
}

CHECK(data_seek_end_sees_others_writes)
{
	int a, b;

	a = opened("f", O_RDWR | O_CREAT);
	b = opened("f", O_RDWR);
	OK(write(a, "12345", 5));
	IS(lseek(b, 0, SEEK_END), 5);
	CHILD
		OK(write(a, "678", 3));
	IS(lseek(b, 0, SEEK_END), 8);
	OK(truncate("f", 2));
	IS(lseek(a, 0, SEEK_END), 2);
}

CHECK(data_coherent_between_openers)
{
	char text[16];
	int a, b;

	a = opened("f", O_RDWR | O_CREAT);
	b = opened("f", O_RDWR);
	for (int i = 0; i < 20; i++) {
		snprintf(text, sizeof(text), "round %d", i);
		with("%d", i);
		OK(pwrite(i % 2 ? a : b, text, strlen(text), 0));
		TEXT_IS(fd_content(i % 2 ? b : a, 0, 16), text);
		TEXT_IS(content("f"), text);
	}
}

CHECK(data_coherent_between_processes)
{
	int fd;

	put("f", "one");
	fd = opened("f", O_RDONLY);
	TEXT_IS(fd_content(fd, 0, 9), "one");
	CHILD
		put("f", "other");
	TEXT_IS(fd_content(fd, 0, 9), "other");
	CHILD
		OK(truncate("f", 0));
	IS(fd_size(fd), 0);
	TEXT_IS(fd_content(fd, 0, 9), "");
	TEXT_IS(content("f"), "");
}

static const char *const sizes[] = { "1", "511", "4095", "4096", "4097", "65535", "131073",
				     "1048576", "1200001" };

CHECK_EACH(data_sizes, sizes)
{
	size_t n = (size_t)atol(sizes[nr]), bad = 0;
	unsigned char *buf = malloc(n), *back = malloc(n + 10);
	int fd = opened("f", O_RDWR | O_CREAT);

	for (size_t i = 0; i < n; i++)
		buf[i] = (unsigned char)(i * 7 + i / 251);
	IS(pwrite(fd, buf, n, 3), (long)n);
	IS(fd_size(fd), (long)n + 3);
	memset(back, 'X', n + 10);
	IS(pread(fd, back, n + 10, 3), (long)n);
	for (size_t i = 0; i < n; i++)
		bad += back[i] != buf[i];
	IS(bad, 0);
	IS(back[n], 'X');
	close(fd);
	fd = opened("f", O_RDONLY);
	IS(pread(fd, back, n, n / 2 + 3), (long)(n - n / 2));
	YES(memcmp(back, buf + n / 2, n - n / 2) == 0);
}

CHECK(data_direct)
{
	char *buf = aligned_alloc(4096, 8192);
	int fd;

	put("f", fill('a', 3000));
	NEED(fd = open("f", O_RDWR | O_DIRECT));
	memset(buf, 'b', 8192);
	IS(pwrite(fd, buf, 4096, 4096), 4096);
	IS(fd_size(fd), 8192);
	IS(pread(fd, buf, 8192, 0), 8192);
	YES(buf[0] == 'a' && buf[2999] == 'a' && buf[3000] == 0 && buf[4096] == 'b');
	TEXT(fd_content(opened("f", O_RDONLY), 4094, 4));
	IS(pread(fd, buf, 4096, 8192), 0);
	TRY(pread(fd, buf, 4096, 5));
	TRY(pread(fd, buf + 1, 4096, 0));
	TRY(pread(fd, buf, 100, 0));
}

CHECK(data_sync_flags)
{
	int fd;

	OK(fd = open("f", O_RDWR | O_CREAT | O_SYNC, 0644));
	IS(write(fd, "text", 4), 4);
	OK(fsync(fd));
	OK(fdatasync(fd));
	YES((fcntl(fd, F_GETFL) & O_SYNC) == O_SYNC);
	OK(fd = open("f", O_RDWR | O_DSYNC));
	IS(write(fd, "T", 1), 1);
	OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE));
	OK(fsync(opened(".", O_RDONLY)));
	OK(fsync(opened("f", O_RDONLY)));
	NO(fsync(opened("f", O_PATH)), EBADF);
	OK(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED));
	OK(readahead(fd, 0, 4096));
}
