/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fsop COMMAND ARG... - file system calls that no common tool makes
 *
 * Tests run it with the same arguments on the host and in the guest. It prints one line:
 * what the call gave, or the name of its error. Numbers are decimal; a command line of
 * several commands is joined with "," words, and one process then carries out all of them:
 *
 *     fsop open f rw , write 0 abc , unlink f , read 0 3 , fstat
 *
 * "open" replaces the current descriptor, which read, write, append, ... work on.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define ARGS_MAX 8

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

struct command {
	const char *name;
	int args;
	/* 0 or positive: printed; negative: -1 with errno; NOTHING: it has printed itself */
	long (*fn)(char **arg);
};

enum { NOTHING = -2 };

static int cur = -1;            /* the descriptor of the last open */

static long num(const char *s)
{
	return strtol(s, NULL, 0);
}

/* Words of a set, joined by '+', to bits. */
struct word {
	const char *name;
	long bits;
};

static long bits(const char *s, const struct word *words, size_t n)
{
	char copy[128], *save = NULL;
	long sum = 0;

	snprintf(copy, sizeof(copy), "%s", s);
	for (char *w = strtok_r(copy, "+", &save); w; w = strtok_r(NULL, "+", &save)) {
		size_t i = 0;

		while (i < n && strcmp(w, words[i].name) != 0)
			i++;
		if (i == n) {
			fprintf(stderr, "fsop: what is %s?\n", w);
			exit(2);
		}
		sum |= words[i].bits;
	}
	return sum;
}

static long do_open(char **arg)
{
	static const struct word words[] = {
		{ "r", O_RDONLY }, { "w", O_WRONLY }, { "rw", O_RDWR }, { "creat", O_CREAT },
		{ "excl", O_EXCL }, { "trunc", O_TRUNC }, { "append", O_APPEND },
		{ "direct", O_DIRECT }, { "nofollow", O_NOFOLLOW }, { "dir", O_DIRECTORY },
		{ "path", O_PATH }, { "tmpfile", O_TMPFILE }, { "sync", O_SYNC },
		{ "nonblock", O_NONBLOCK },
	};
	int fd = open(arg[0], (int)bits(arg[1], words, ARRAY_SIZE(words)) | O_CLOEXEC, 0644);

	if (fd < 0)
		return -1;
	if (cur >= 0)
		close(cur);
	cur = fd;
	return 0;
}

static long do_close(char **arg)
{
	int fd = cur;

	(void)arg;
	cur = -1;
	return close(fd);
}

static long do_read(char **arg)
{
	size_t len = (size_t)num(arg[1]);
	char *buf = malloc(len + 1);
	ssize_t n = pread(cur, buf, len, num(arg[0]));

	if (n >= 0) {
		printf("%zd ", n);
		for (ssize_t i = 0; i < n; i++)
			printf(buf[i] >= ' ' && buf[i] <= '~' ? "%c" : "\\%03o", (unsigned char)buf[i]);
		printf("\n");
	}
	free(buf);
	return n < 0 ? -1 : NOTHING;
}

static long do_write(char **arg)
{
	return pwrite(cur, arg[1], strlen(arg[1]), num(arg[0]));
}

static long do_append(char **arg)
{
	return write(cur, arg[0], strlen(arg[0]));
}

/* appends ITEM N times, each by one write */
static long do_append_many(char **arg)
{
	long n = num(arg[1]);

	for (long i = 0; i < n; i++)
		if (write(cur, arg[0], strlen(arg[0])) != (ssize_t)strlen(arg[0]))
			return -1;
	return n;
}

static long do_fstat(char **arg)
{
	struct stat st;

	(void)arg;
	if (fstat(cur, &st) < 0)
		return -1;
	printf("mode %o nlink %lu size %ld\n", st.st_mode, (unsigned long)st.st_nlink, (long)st.st_size);
	return NOTHING;
}

static long do_ftruncate(char **arg)
{
	return ftruncate(cur, num(arg[0]));
}

static long do_fchmod(char **arg)
{
	return fchmod(cur, (mode_t)strtol(arg[0], NULL, 8));
}

static long do_fsync(char **arg)
{
	return strcmp(arg[0], "data") == 0 ? fdatasync(cur) : fsync(cur);
}

static long do_fallocate(char **arg)
{
	static const struct word words[] = {
		{ "alloc", 0 }, { "keep", FALLOC_FL_KEEP_SIZE },
		{ "punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE },
		{ "zero", FALLOC_FL_ZERO_RANGE }, { "collapse", FALLOC_FL_COLLAPSE_RANGE },
		{ "insert", FALLOC_FL_INSERT_RANGE },
	};

	return fallocate(cur, (int)bits(arg[0], words, ARRAY_SIZE(words)), num(arg[1]), num(arg[2]));
}

static long do_seek(char **arg)
{
	static const struct word words[] = {
		{ "set", SEEK_SET }, { "end", SEEK_END }, { "data", SEEK_DATA }, { "hole", SEEK_HOLE },
	};

	return lseek(cur, num(arg[1]), (int)bits(arg[0], words, ARRAY_SIZE(words)));
}

/* The file's map: data and holes in turn. */
static long do_map(char **arg)
{
	off_t at = 0, end = lseek(cur, 0, SEEK_END);

	(void)arg;
	while (at < end) {
		off_t data = lseek(cur, at, SEEK_DATA);
		off_t hole;

		if (data < 0)
			break;
		hole = lseek(cur, data, SEEK_HOLE);
		printf("data %ld-%ld ", (long)data, (long)hole);
		at = hole;
	}
	printf("end %ld\n", (long)end);
	return NOTHING;
}

static long do_rename(char **arg)
{
	static const struct word words[] = {
		{ "plain", 0 }, { "noreplace", RENAME_NOREPLACE }, { "exchange", RENAME_EXCHANGE },
		{ "whiteout", RENAME_WHITEOUT },
	};

	return syscall(SYS_renameat2, AT_FDCWD, arg[1], AT_FDCWD, arg[2],
		       bits(arg[0], words, ARRAY_SIZE(words)));
}

/* copies LEN bytes of FROM at offset A to the current file at offset B */
static long do_copy(char **arg)
{
	off_t a = num(arg[1]), b = num(arg[2]);
	int fd = open(arg[0], O_RDONLY | O_CLOEXEC);
	long n;

	if (fd < 0)
		return -1;
	n = copy_file_range(fd, &a, cur, &b, (size_t)num(arg[3]), 0);
	close(fd);
	return n;
}

/* writes TEXT at an offset through a shared mapping */
static long do_mmap_write(char **arg)
{
	size_t at = (size_t)num(arg[0]), len = strlen(arg[1]);
	char *p = mmap(NULL, at + len, PROT_READ | PROT_WRITE, MAP_SHARED, cur, 0);

	if (p == MAP_FAILED)
		return -1;
	memcpy(p + at, arg[1], len);
	if (msync(p, at + len, MS_SYNC) < 0)
		return -1;
	return munmap(p, at + len);
}

static long do_mmap_read(char **arg)
{
	size_t at = (size_t)num(arg[0]), len = (size_t)num(arg[1]);
	char *p = mmap(NULL, at + len, PROT_READ, MAP_PRIVATE, cur, 0);

	if (p == MAP_FAILED)
		return -1;
	printf("%.*s\n", (int)len, p + at);
	munmap(p, at + len);
	return NOTHING;
}

static long do_mknod(char **arg)
{
	static const struct word words[] = {
		{ "fifo", S_IFIFO }, { "sock", S_IFSOCK }, { "chr", S_IFCHR }, { "blk", S_IFBLK },
		{ "reg", S_IFREG },
	};

	return mknod(arg[1], (mode_t)bits(arg[0], words, ARRAY_SIZE(words)) | 0640, makedev(1, 3));
}

static long do_mkdir(char **arg)
{
	return mkdir(arg[0], (mode_t)strtol(arg[1], NULL, 8));
}

static long do_rmdir(char **arg)
{
	return rmdir(arg[0]);
}

static long do_unlink(char **arg)
{
	return unlink(arg[0]);
}

static long do_link(char **arg)
{
	return link(arg[0], arg[1]);
}

static long do_symlink(char **arg)
{
	return symlink(arg[0], arg[1]);
}

static long do_readlink(char **arg)
{
	char buf[5000];
	ssize_t n = readlink(arg[0], buf, sizeof(buf));

	if (n < 0)
		return -1;
	printf("%.*s\n", (int)n, buf);
	return NOTHING;
}

static long do_chdir(char **arg)
{
	return chdir(arg[0]);
}

static long do_chmod(char **arg)
{
	return chmod(arg[0], (mode_t)strtol(arg[1], NULL, 8));
}

static long do_chown(char **arg)
{
	return lchown(arg[0], (uid_t)num(arg[1]), (gid_t)num(arg[2]));
}

static long do_truncate(char **arg)
{
	return truncate(arg[0], num(arg[1]));
}

/* sets access and modification time: seconds and nanoseconds each */
static long do_utimens(char **arg)
{
	struct timespec ts[2] = { { num(arg[1]), num(arg[2]) }, { num(arg[3]), num(arg[4]) } };

	return utimensat(AT_FDCWD, arg[0], ts, AT_SYMLINK_NOFOLLOW);
}

static long do_stat(char **arg)
{
	struct stat st;

	if (lstat(arg[0], &st) < 0)
		return -1;
	printf("mode %o nlink %lu uid %u gid %u size %ld mtime %ld.%09ld\n", st.st_mode,
	       (unsigned long)st.st_nlink, st.st_uid, st.st_gid, (long)st.st_size,
	       (long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	return NOTHING;
}

static long do_access(char **arg)
{
	return access(arg[0], (int)num(arg[1]));
}

static long do_statvfs(char **arg)
{
	struct statvfs sv;

	if (statvfs(arg[0], &sv) < 0)
		return -1;
	printf("bsize %lu blocks %lu files %lu namemax %lu\n", sv.f_bsize, (unsigned long)sv.f_blocks,
	       (unsigned long)sv.f_files, sv.f_namemax);
	return NOTHING;
}

/* the folder's entries in the order given, twice over, from seekdir'ed places too: their number */
static long do_listdir(char **arg)
{
	DIR *d = opendir(arg[0]);
	long n = 0, again = 0, middle = -1;

	if (!d)
		return -1;
	for (struct dirent *e = readdir(d); e; e = readdir(d))
		if (++n == num(arg[1]))
			middle = telldir(d);
	if (middle != -1) {
		seekdir(d, middle);
		while (readdir(d))
			again++;
	}
	rewinddir(d);
	while (readdir(d))
		again++;
	closedir(d);
	printf("%ld %ld\n", n, again);
	return NOTHING;
}

/* makes N empty files NAME0 ... in the current folder */
static long do_fill(char **arg)
{
	char name[300];
	long n = num(arg[1]);

	for (long i = 0; i < n; i++) {
		int fd;

		snprintf(name, sizeof(name), "%s%ld", arg[0], i);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			return -1;
		close(fd);
	}
	return n;
}

/* posix | ofd | flock, then r | w | u for the type; flock takes the whole file */
static int set_lock(char **arg, int wait)
{
	struct flock l = { .l_whence = SEEK_SET, .l_start = num(arg[2]), .l_len = num(arg[3]) };
	int whole = LOCK_UN;

	l.l_type = *arg[1] == 'r' ? F_RDLCK : *arg[1] == 'w' ? F_WRLCK : F_UNLCK;
	if (*arg[0] == 'p')
		return fcntl(cur, wait ? F_SETLKW : F_SETLK, &l);
	if (*arg[0] == 'o')
		return fcntl(cur, wait ? F_OFD_SETLKW : F_OFD_SETLK, &l);
	if (*arg[1] != 'u')
		whole = (*arg[1] == 'r' ? LOCK_SH : LOCK_EX) | (wait ? 0 : LOCK_NB);
	return flock(cur, whole);
}

static long do_lock(char **arg)
{
	return set_lock(arg, 0);
}

static long do_lock_wait(char **arg)
{
	return set_lock(arg, 1);
}

/* what is in the way of a POSIX write lock */
static long do_getlk(char **arg)
{
	struct flock l = { .l_type = F_WRLCK, .l_start = num(arg[0]), .l_len = num(arg[1]) };

	if (fcntl(cur, F_GETLK, &l) < 0)
		return -1;
	if (l.l_type == F_UNLCK)
		printf("free\n");
	else
		printf("%s %ld %ld\n", l.l_type == F_RDLCK ? "read" : "write", (long)l.l_start, (long)l.l_len);
	return NOTHING;
}

/* waits for the end of its input; what was printed so far is seen by then */
static long do_hold(char **arg)
{
	char buf[100];

	(void)arg;
	fflush(stdout);
	while (read(STDIN_FILENO, buf, sizeof(buf)) > 0)
		;
	return 0;
}

/* gives the current descriptor, an O_TMPFILE one, a name */
static long do_link_tmpfile(char **arg)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", cur);
	return linkat(AT_FDCWD, path, AT_FDCWD, arg[0], AT_SYMLINK_FOLLOW);
}

static long do_as(char **arg)
{
	if (setgroups(0, NULL) < 0 || setgid((gid_t)num(arg[1])) < 0)
		return -1;
	return setuid((uid_t)num(arg[0]));
}

static const struct command commands[] = {
	{ "open", 2, do_open }, { "close", 0, do_close }, { "read", 2, do_read },
	{ "write", 2, do_write }, { "append", 1, do_append }, { "append-many", 2, do_append_many },
	{ "fstat", 0, do_fstat }, { "ftruncate", 1, do_ftruncate }, { "fchmod", 1, do_fchmod },
	{ "fsync", 1, do_fsync }, { "fallocate", 3, do_fallocate }, { "seek", 2, do_seek },
	{ "map", 0, do_map }, { "rename", 3, do_rename }, { "copy", 4, do_copy },
	{ "mmap-write", 2, do_mmap_write }, { "mmap-read", 2, do_mmap_read },
	{ "mknod", 2, do_mknod }, { "mkdir", 2, do_mkdir }, { "rmdir", 1, do_rmdir },
	{ "unlink", 1, do_unlink }, { "link", 2, do_link }, { "symlink", 2, do_symlink },
	{ "readlink", 1, do_readlink }, { "chdir", 1, do_chdir }, { "chmod", 2, do_chmod },
	{ "chown", 3, do_chown }, { "truncate", 2, do_truncate }, { "utimens", 5, do_utimens },
	{ "stat", 1, do_stat }, { "access", 2, do_access }, { "statvfs", 1, do_statvfs },
	{ "listdir", 2, do_listdir }, { "fill", 2, do_fill }, { "as", 2, do_as },
	{ "lock", 4, do_lock }, { "lock-wait", 4, do_lock_wait }, { "getlk", 2, do_getlk },
	{ "hold", 0, do_hold }, { "link-tmpfile", 1, do_link_tmpfile },
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		const struct command *c = find(argv[i]);
		long r;

		if (!c || i + c->args >= argc) {
			fprintf(stderr, "fsop: bad command: %s\n", argv[i]);
			return 2;
		}
		r = c->fn(argv + i + 1);
		if (r == -1)
			printf("%s\n", strerrorname_np(errno));
		else if (r >= 0)
			printf("%ld\n", r);
		i += c->args + 1;
		if (i < argc && strcmp(argv[i], ",") != 0) {
			fprintf(stderr, "fsop: \",\" expected: %s\n", argv[i]);
			return 2;
		}
	}
	return fflush(stdout) == 0 ? 0 : 1;
}
