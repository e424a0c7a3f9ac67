/* SPDX-License-Identifier: BSD-3-Clause */
/* Mappings: shared, private, of what is not there, and beside read and write. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "posix.h"

#define RW (PROT_READ | PROT_WRITE)

static sigjmp_buf fault;

static void on_fault(int number)
{
	siglongjmp(fault, number);
}

/* The signal that an access raises, or 0. */
static int touch(volatile char *p, bool write)
{
	int number;

	signal(SIGBUS, on_fault);
	signal(SIGSEGV, on_fault);
	number = sigsetjmp(fault, 1);
	if (number == 0 && write)
		*p = 'x';
	else if (number == 0)
		(void)*p;
	return number;
}

/* A mapping of the file "f", which is made of @n bytes. */
static char *mapped(size_t n, int prot, int flags)
{
	int fd = opened("f", O_RDWR | O_CREAT);
	char *p;

	if (write(fd, fill('a', n), n) != (ssize_t)n)
		return MAP_FAILED;
	p = mmap(NULL, 16384, prot, flags, fd, 0);
	close(fd);
	return p;
}

CHECK(mmap_shared_write)
{
	char *p;

	NEED(p = mapped(10000, RW, MAP_SHARED));
	memcpy(p + 4090, "across pages", 12);
	TEXT_IS(fd_content(opened("f", O_RDONLY), 4088, 16), "aaacross pagesaa");
	OK(msync(p, 16384, MS_SYNC));
	OK(munmap(p, 16384));
	TEXT_IS(fd_content(opened("f", O_RDONLY), 4088, 16), "aaacross pagesaa");
	IS(size("f"), 10000);
}

CHECK(mmap_shared_read)
{
	char *p;
	int fd;

	NEED(p = mapped(5000, PROT_READ, MAP_SHARED));
	YES(p[0] == 'a' && p[4999] == 'a' && p[5000] == 0);
	fd = opened("f", O_RDWR);
	OK(pwrite(fd, "ZZ", 2, 4095));
	YES(p[4095] == 'Z' && p[4096] == 'Z');
	OK(ftruncate(fd, 6000));
	OK(pwrite(fd, "Y", 1, 5999));
	YES(p[5998] == 0 && p[5999] == 'Y');
}

CHECK(mmap_private)
{
	char *p;

	NEED(p = mapped(5000, RW, MAP_PRIVATE));
	p[0] = 'X';
	TEXT_IS(fd_content(opened("f", O_RDONLY), 0, 3), "aaa");
	OK(pwrite(opened("f", O_WRONLY), "Q", 1, 4500));
	ASK(p[4500] == 'Q');
	YES(p[0] == 'X');
	OK(munmap(p, 16384));
	TEXT_IS(fd_content(opened("f", O_RDONLY), 0, 3), "aaa");
}

CHECK(mmap_private_beyond_the_end)
{
	char *p;

	NEED(p = mapped(5000, RW, MAP_PRIVATE));
	IS(touch(p + 8191, false), 0);
	IS(touch(p + 8192, false), SIGBUS);
	IS(touch(p + 8192, true), SIGBUS);
	IS(p[5000], 0);
}

CHECK(mmap_shared_beyond_the_end)
{
	char *p;

	NEED(p = mapped(5000, RW, MAP_SHARED));
	IS(touch(p + 8191, true), 0);
	IS(touch(p + 8192, false), SIGBUS);
	IS(touch(p + 12288, true), SIGBUS);
	IS(size("f"), 5000);
	OK(truncate("f", 10000));
	IS(touch(p + 8192, false), 0);
	IS(touch(p + 12288, false), SIGBUS);
	TEXT_IS(fd_content(opened("f", O_RDONLY), 4999, 2), "a~");
}

CHECK(mmap_after_truncation)
{
	char *p;

	NEED(p = mapped(10000, RW, MAP_SHARED));
	IS(touch(p + 9000, true), 0);
	OK(truncate("f", 4097));
	IS(touch(p + 4096, false), 0);
	IS(p[4097], 0);
	IS(touch(p + 8192, false), SIGBUS);
	OK(truncate("f", 0));
	IS(touch(p, false), SIGBUS);
	OK(truncate("f", 100));
	IS(touch(p, false), 0);
	IS(p[0], 0);
}

CHECK(mmap_between_processes)
{
	char *p, *q;
	int fd;

	NEED(p = mapped(100, RW, MAP_SHARED));
	CHILD {
		fd = opened("f", O_RDWR);
		q = mmap(NULL, 4096, RW, MAP_SHARED, fd, 0);
		YES(q != MAP_FAILED);
		memcpy(q, "child", 5);
	}
	YES(memcmp(p, "childa", 6) == 0);
	TEXT_IS(fd_content(opened("f", O_RDONLY), 0, 6), "childa");
}

CHECK(mmap_rights)
{
	int r, w, rw;

	put("f", "text");
	r = opened("f", O_RDONLY);
	w = opened("f", O_WRONLY);
	rw = opened("f", O_RDWR);
	TRY(mmap(NULL, 4096, PROT_READ, MAP_SHARED, r, 0));
	NO(mmap(NULL, 4096, RW, MAP_SHARED, r, 0), EACCES);
	OK(mmap(NULL, 4096, RW, MAP_PRIVATE, r, 0));
	NO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, w, 0), EACCES);
	NO(mmap(NULL, 4096, RW, MAP_SHARED, w, 0), EACCES);
	NO(mmap(NULL, 4096, PROT_READ, MAP_SHARED, opened("f", O_PATH), 0), EBADF);
	NO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, opened(".", O_RDONLY), 0), ENODEV);
	NO(mmap(NULL, 0, PROT_READ, MAP_PRIVATE, rw, 0), EINVAL);
	NO(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, rw, 5), EINVAL);
	NO(mmap(NULL, 4096, PROT_READ, 0, rw, 0), EINVAL);
}

CHECK(mmap_moves_times)
{
	struct times t;
	char *p;

	NEED(p = mapped(100, RW, MAP_SHARED));
	t = times("f");
	tick();
	p[0] = 'x';
	OK(msync(p, 4096, MS_SYNC));
	TEXT(moved(&t, "f"));
}

CHECK(mmap_of_a_file_opened_by_nobody_else)
{
	char *p;

	NEED(p = mapped(4096, RW, MAP_SHARED));
	OK(unlink("f"));
	IS(touch(p + 4000, true), 0);
	IS(p[4000], 'x');
	OK(msync(p, 4096, MS_SYNC));
	put("f", "new");
	IS(p[0], 'a');
}

CHECK(mmap_exec)
{
	char *p;
	int fd;

	put("f", "text");
	fd = opened("f", O_RDONLY);
	TRY(p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0));
	YES(p == MAP_FAILED || memcmp(p, "text", 4) == 0);
}

CHECK(mmap_write_beside)
{
	char text[16], *p;
	int fd;

	NEED(p = mapped(100, RW, MAP_SHARED));
	fd = opened("f", O_RDWR);
	for (int i = 0; i < 20; i++) {
		with("%d", i);
		snprintf(text, sizeof(text), "by map %02d", i);
		memcpy(p, text, 9);
		TEXT_IS(fd_content(fd, 0, 9), text);
		snprintf(text, sizeof(text), "by call %d", i % 10);
		OK(pwrite(fd, text, 9, 0));
		YES(memcmp(p, text, 9) == 0);
	}
}

CHECK(mmap_madvise)
{
	char *p;

	NEED(p = mapped(8192, RW, MAP_SHARED));
	p[0] = 'x';
	OK(madvise(p, 8192, MADV_DONTNEED));
	IS(p[0], 'x');
	OK(madvise(p, 8192, MADV_WILLNEED));
	TRY(madvise(p, 8192, MADV_REMOVE));
	GIVES(p[0]);
	TEXT(fd_content(opened("f", O_RDONLY), 0, 2));
}

CHECK(mmap_read_into_own_mapping)
{
	char *p;
	int fd;

	NEED(p = mapped(8192, RW, MAP_SHARED));
	fd = opened("f", O_RDWR);
	OK(pwrite(fd, "head", 4, 0));
	IS(pread(fd, p + 4096, 4096, 0), 4096);
	TEXT_IS(fd_content(fd, 4095, 6), "aheada");
	IS(pwrite(fd, p + 4096, 10, 20), 10);
	TEXT_IS(fd_content(fd, 18, 8), "aaheadaa");
}

CHECK(mmap_text_busy)
{
	int fd;

	put_mode("f", "", 0755);
	CHILD {
		/* A program that runs cannot be written. */
		int in = open("/proc/self/exe", O_RDONLY);
		char buf[65536];
		ssize_t n;

		fd = opened("f", O_WRONLY);
		while ((n = read(in, buf, sizeof(buf))) > 0)
			if (write(fd, buf, (size_t)n) != n)
				_exit(3);
		close(fd);
		close(in);
		fd = opened("f", O_RDWR);
		NO(execl("./f", "f", NULL), ETXTBSY);
		close(fd);
		TEXT_IS(kind("f"), "file");
	}
	CHILD {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			if (!freopen("/dev/null", "w", stderr))
				_exit(3);
			execl("./f", "f", NULL);
			_exit(4);
		}
		OK(waitpid(pid, &status, 0));
		IS(WEXITSTATUS(status), 2);     /* it wants a folder to work in */
	}
}
