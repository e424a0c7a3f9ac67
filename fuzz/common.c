/* SPDX-License-Identifier: BSD-3-Clause */
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "fuzz.h"

#define FILE_BYTES_MAX (1 << 20)

char fuzz_dir[64];
static pid_t owner;

void fuzz_fail(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: %s is false\n", file, line, what);
	abort();
}

const uint8_t *input_bytes(struct input *in, size_t len, size_t *ret_len)
{
	const uint8_t *at = in->at;

	if (len > in->left)
		len = in->left;
	in->at += len;
	in->left -= len;
	*ret_len = len;
	return at;
}

static uint32_t number(struct input *in, size_t bytes)
{
	uint32_t v = 0;
	size_t n;
	const uint8_t *at = input_bytes(in, bytes, &n);

	for (size_t i = 0; i < n; i++)
		v |= (uint32_t)at[i] << (8 * i);
	return v;
}

uint8_t input_u8(struct input *in)
{
	return (uint8_t)number(in, 1);
}

uint16_t input_u16(struct input *in)
{
	return (uint16_t)number(in, 2);
}

uint32_t input_u32(struct input *in)
{
	return number(in, 4);
}

char *fuzz_text(const uint8_t *data, size_t size)
{
	char *s = malloc(size + 1);

	must(s);
	memcpy(s, data, size);
	s[size] = '\0';
	return s;
}

static int remove_below(const char *path, const struct stat *st, int flag,
			struct FTW *ftw)
{
	if (ftw->level > 0)
		(void)remove(path);
	return 0;
}

static void clean_up(void)
{
	/* What a target makes of this process's children is not ours. */
	if (getpid() != owner)
		return;
	nftw(fuzz_dir, remove_below, 16, FTW_DEPTH | FTW_PHYS);
	rmdir(fuzz_dir);
}

/* A file that cannot be removed would stay: without this, none can be made so.
 * By the system call, as the library is not there everywhere. */
static void drop_immutable(void)
{
	struct __user_cap_header_struct h = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d) < 0)
		return;
	for (int i = 0; i < 2; i++)
		d[i].inheritable = 0;
	d[0].effective &= ~(1U << CAP_LINUX_IMMUTABLE);
	d[0].permitted &= ~(1U << CAP_LINUX_IMMUTABLE);
	(void)syscall(SYS_capset, &h, d);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit files;

	must(getrlimit(RLIMIT_FSIZE, &files) == 0);
	files.rlim_cur = bytes < files.rlim_max ? bytes : files.rlim_max;
	must(setrlimit(RLIMIT_FSIZE, &files) == 0);
}

void fuzz_tree_init(void)
{
	/* In memory, where FALLOCATE heeds the limit below as well. */
	snprintf(fuzz_dir, sizeof(fuzz_dir), "/dev/shm/vfsd-fuzz.XXXXXX");
	must(mkdtemp(fuzz_dir));
	owner = getpid();
	atexit(clean_up);
	drop_immutable();
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	umask(0);
	/* libFuzzer runs the program from itself, with the limit below. */
	limit_files(RLIM_INFINITY);
}

void fuzz_limit_files(void)
{
	limit_files(FILE_BYTES_MAX);
}

static void put(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", fuzz_dir, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	must(fd >= 0);
	must(write(fd, "0123456789abcdef", 16) == 16);
	close(fd);
}

void fuzz_tree_renew(void)
{
	char path[128];

	nftw(fuzz_dir, remove_below, 16, FTW_DEPTH | FTW_PHYS);
	must(chmod(fuzz_dir, 0777) == 0);
	snprintf(path, sizeof(path), "%s/dir", fuzz_dir);
	must(mkdir(path, 0777) == 0);
	put("file");
	put("dir/file");
	snprintf(path, sizeof(path), "%s/link", fuzz_dir);
	must(symlink("../..", path) == 0);
}
