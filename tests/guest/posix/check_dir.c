/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading directories: order, positions, and while they change. */
#include <dirent.h>
#include <stdint.h>
#include <sys/sysmacros.h>

#include "posix.h"

struct entry64 {
	uint64_t ino;
	int64_t off;
	uint16_t len;
	uint8_t type;
	char name[];
};

static void fill_with(const char *path, int n)
{
	char name[64];

	for (int i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%s/entry-%d", path, i);
		if (mknod(name, S_IFREG | 0644, 0) < 0)
			_exit(3);
	}
}

/* How often each entry-N below @n has been read; returns how many others there were. */
static int count(DIR *d, unsigned char *seen, int n)
{
	struct dirent *e;
	int other = 0, i;

	while ((e = readdir(d))) {
		if (sscanf(e->d_name, "entry-%d", &i) == 1 && i >= 0 && i < n)
			seen[i]++;
		else
			other++;
	}
	return other;
}

static int not_once(const unsigned char *seen, int from, int to)
{
	int bad = 0;

	for (int i = from; i < to; i++)
		bad += seen[i] != 1;
	return bad;
}

CHECK(dir_empty)
{
	DIR *d;

	dir("d", 0755);
	d = opendir("d");
	YES(d != NULL);
	IS(count(d, NULL, 0), 2);
	YES(readdir(d) == NULL);
	rewinddir(d);
	IS(count(d, NULL, 0), 2);
	closedir(d);
}

CHECK(dir_dots_and_inodes)
{
	struct dirent *e;
	int right = 0;
	char path[300];
	DIR *d;

	dir("d", 0755);
	dir("d/sub", 0755);
	put("d/f", "");
	symlink("x", "d/s");
	mkfifo("d/p", 0644);
	d = opendir("d");
	while ((e = readdir(d))) {
		snprintf(path, sizeof(path), "d/%s", e->d_name);
		right += e->d_ino == ino(path);
	}
	IS(right, 6);
	closedir(d);
}

CHECK(dir_types)
{
	static const char *const names[] = { "f", "d", "s", "p", "k", "c", "b" };
	struct dirent *e;
	int type[7] = { 0 };
	DIR *d;

	put("f", "");
	dir("d", 0755);
	symlink("f", "s");
	mkfifo("p", 0644);
	mknod("k", S_IFSOCK | 0644, 0);
	mknod("c", S_IFCHR | 0644, makedev(1, 3));
	mknod("b", S_IFBLK | 0644, makedev(7, 77));
	d = opendir(".");
	while ((e = readdir(d)))
		for (int i = 0; i < 7; i++)
			if (strcmp(e->d_name, names[i]) == 0)
				type[i] = e->d_type;
	IS(type[0], DT_REG);
	IS(type[1], DT_DIR);
	IS(type[2], DT_LNK);
	IS(type[3], DT_FIFO);
	IS(type[4], DT_SOCK);
	IS(type[5], DT_CHR);
	IS(type[6], DT_BLK);
	closedir(d);
}

static const char *const counts[] = { "1", "10", "100", "400" };

CHECK_EACH(dir_whole, counts)
{
	int n = atoi(counts[nr]);
	unsigned char seen[1000] = { 0 };
	DIR *d;

	dir("d", 0755);
	fill_with("d", n);
	d = opendir("d");
	IS(count(d, seen, n), 2);
	IS(not_once(seen, 0, n), 0);
	memset(seen, 0, sizeof(seen));
	rewinddir(d);
	IS(count(d, seen, n), 2);
	IS(not_once(seen, 0, n), 0);
	closedir(d);
}

CHECK(dir_telldir_and_seekdir)
{
	enum { N = 300 };
	static long at[N + 2];
	static char name[N + 2][32];
	struct dirent *e;
	int n = 0, right = 0;
	DIR *d;

	dir("d", 0755);
	fill_with("d", N);
	d = opendir("d");
	do {
		at[n] = telldir(d);
		e = readdir(d);
		if (e)
			snprintf(name[n], sizeof(name[n]), "%.31s", e->d_name);
	} while (e && ++n < N + 2);
	IS(n, N + 2);
	for (int i = N + 1; i >= 0; i--) {
		seekdir(d, at[i]);
		e = readdir(d);
		right += e && strcmp(e->d_name, name[i]) == 0;
	}
	IS(right, N + 2);
	for (int i = 0; i < N; i += 7) {
		seekdir(d, at[i]);
		e = readdir(d);
		right -= e && strcmp(e->d_name, name[i]) == 0;
	}
	IS(right, N + 2 - 43);
	closedir(d);
}

CHECK(dir_position_of_another_descriptor)
{
	enum { N = 100 };
	struct dirent *e;
	char name[256];
	long at;
	DIR *a, *b;

	dir("d", 0755);
	fill_with("d", N);
	a = opendir("d");
	b = opendir("d");
	for (int i = 0; i < 50; i++)
		readdir(a);
	at = telldir(a);
	e = readdir(a);
	snprintf(name, sizeof(name), "%s", e->d_name);
	seekdir(b, at);
	e = readdir(b);
	YES(e && strcmp(e->d_name, name) == 0);
	closedir(a);
	closedir(b);
}

CHECK(dir_small_reads)
{
	enum { N = 200 };
	unsigned char seen[N] = { 0 };
	char buf[64];
	int fd, other = 0, i;
	long n;

	dir("d", 0755);
	fill_with("d", N);
	fd = opened("d", O_RDONLY | O_DIRECTORY);
	while ((n = R(syscall(SYS_getdents64, fd, buf, sizeof(buf)))) > 0) {
		for (long at = 0; at < n; at += ((struct entry64 *)(buf + at))->len) {
			const struct entry64 *e = (struct entry64 *)(buf + at);

			if (sscanf(e->name, "entry-%d", &i) == 1)
				seen[i]++;
			else
				other++;
		}
	}
	IS(n, 0);
	IS(other, 2);
	IS(not_once(seen, 0, N), 0);
	OK(lseek(fd, 0, SEEK_SET));
	NO(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
	NO(syscall(SYS_getdents64, opened("d/entry-1", O_RDONLY), buf, 64), ENOTDIR);
	NO(syscall(SYS_getdents64, opened("d", O_PATH), buf, 64), EBADF);
}

/* Entries that stay are neither lost nor doubled, whatever happens to the others. */
static void read_while_changing(const char *path, int n, int keep)
{
	unsigned char *seen = calloc((size_t)n, 1);
	char name[300], to[300];
	struct dirent *e;
	int i, step = 0;
	DIR *d = opendir(path);

	YES(d != NULL);
	while (d && (e = readdir(d))) {
		if (sscanf(e->d_name, "entry-%d", &i) == 1 && i >= 0 && i < n)
			seen[i]++;
		if (++step % (n / 100 + 1) != 0)
			continue;
		i = keep + step % (n - keep);
		snprintf(name, sizeof(name), "%s/entry-%d", path, i);
		snprintf(to, sizeof(to), "%s/new-%d", path, step);
		if (step % 3 == 0)
			unlink(name);
		else if (step % 3 == 1)
			rename(name, to);
		else
			mknod(to, S_IFREG | 0644, 0);
	}
	IS(not_once(seen, 0, keep), 0);
	memset(seen, 0, (size_t)n);
	if (d)
		rewinddir(d);
	count(d, seen, n);
	IS(not_once(seen, 0, keep), 0);
	if (d)
		closedir(d);
	free(seen);
}

CHECK(dir_read_while_changing)
{
	dir("d", 0755);
	fill_with("d", 400);
	read_while_changing("d", 400, 300);
}

/* The directory is there already: making it takes a guest a minute. */
CHECK(dir_huge_read_while_changing)
{
	NEED(access("../large", R_OK));
	read_while_changing("../large", 50000, 45000);
	OK(access("../large/entry-44999", F_OK));
}

CHECK(dir_emptied_while_read)
{
	enum { N = 200 };
	char name[300];
	struct dirent *e;
	int removed = 0;
	DIR *d;

	dir("d", 0755);
	fill_with("d", N);
	d = opendir("d");
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "d/%s", e->d_name);
		removed += unlink(name) == 0;
	}
	IS(removed, N);
	closedir(d);
	OK(rmdir("d"));
}

CHECK(dir_new_entry_after_rewind)
{
	DIR *d;

	dir("d", 0755);
	put("d/a", "");
	d = opendir("d");
	IS(count(d, NULL, 0), 3);
	put("d/b", "");
	rewinddir(d);
	IS(count(d, NULL, 0), 4);
	OK(unlink("d/a"));
	OK(rename("d/b", "d/c"));
	rewinddir(d);
	IS(count(d, NULL, 0), 3);
	TEXT_IS(listing("d"), "c");
	closedir(d);
}

CHECK(dir_read_by_two)
{
	enum { N = 250 };
	unsigned char seen[N] = { 0 };
	DIR *a, *b;

	dir("d", 0755);
	fill_with("d", N);
	a = opendir("d");
	b = opendir("d");
	for (int i = 0; i < 100; i++)
		readdir(b);
	IS(count(a, seen, N), 2);
	IS(not_once(seen, 0, N), 0);
	closedir(a);
	memset(seen, 0, sizeof(seen));
	rewinddir(b);
	IS(count(b, seen, N), 2);
	IS(not_once(seen, 0, N), 0);
	closedir(b);
}

CHECK(dir_listed_then_looked_at)
{
	enum { N = 150 };
	struct dirent *e;
	struct stat st;
	int right = 0;
	DIR *d;

	dir("d", 0755);
	fill_with("d", N);
	d = opendir("d");
	while ((e = readdir(d)))
		right += fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
			 (st.st_ino == e->d_ino || e->d_name[1] == '.');
	IS(right, N + 2);
	closedir(d);
}

CHECK(dir_changes_show_in_listings)
{
	dir("d", 0755);
	for (int i = 0; i < 10; i++) {
		char name[32];

		with("%d", i);
		snprintf(name, sizeof(name), "d/f%d", i);
		put(name, "");
		OK(access(name, F_OK));
		TEXT(listing("d"));
	}
	OK(unlink("d/f3"));
	TEXT(listing("d"));
	OK(mkdir("d/f3", 0755));
	TEXT(listing("d"));
}

CHECK(dir_open_in_child)
{
	int fd;

	dir("d", 0755);
	put("d/a", "");
	fd = opened("d", O_RDONLY | O_DIRECTORY);
	CHILD {
		OK(mkdirat(fd, "b", 0755));
		TEXT_IS(listing("d"), "a b");
	}
	TEXT_IS(listing("d"), "a b");
	IS(fd_nlink(fd) >= 1, 1);
}

CHECK(dir_long_names)
{
	char path[300];
	int n = 0;

	dir("d", 0755);
	for (int i = 0; i < 60; i++) {
		snprintf(path, sizeof(path), "d/%s%02d", fill('n', 253), i);
		n += mknod(path, S_IFREG | 0644, 0) == 0;
	}
	IS(n, 60);
	DIR *d = opendir("d");

	IS(count(d, NULL, 0), 62);
	closedir(d);
}
