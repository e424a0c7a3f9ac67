/* SPDX-License-Identifier: BSD-3-Clause */
/* The share's files, the same ones for all daemons and for plain system calls. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench.h"

void name_of(char *to, char kind, unsigned int i)
{
	sprintf(to, "%c%06u", kind, i);
}

static int make_dir(int at, const char *name, int *ret)
{
	if (mkdirat(at, name, 0755) < 0)
		return -errno;
	*ret = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret < 0 ? -errno : 0;
}

static int make_file(int at, const char *name, const void *text, size_t len)
{
	int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int r = fd < 0 || (len && write(fd, text, len) < 0) ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return r;
}

/* n files of len bytes in a new directory */
static int make_files(int at, const char *name, char kind, unsigned int n, size_t len)
{
	char text[PAGE], file[16];
	int dir, r = make_dir(at, name, &dir);

	if (r < 0)
		return r;
	memset(text, 'x', sizeof(text));
	for (unsigned int i = 0; i < n && r == 0; i++) {
		name_of(file, kind, i);
		r = make_file(dir, file, text, len);
	}
	close(dir);
	return r;
}

static int open_share(struct bench *b)
{
	int fd = open(b->share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int make_data(struct bench *b)
{
	static char text[1 << 20];
	int share = open_share(b), r = 0;
	int fd = share < 0 ? share : openat(share, "data", O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return share < 0 ? share : -errno;
	memset(text, 'd', sizeof(text));
	for (uint64_t at = 0; at < b->scale.data && r == 0; at += sizeof(text))
		r = pwrite(fd, text, sizeof(text), at) < 0 ? -errno : 0;
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	close(fd);
	close(share);
	return r;
}

int make_hot(struct bench *b)
{
	int share = open_share(b);
	int r = share < 0 ? share : make_files(share, "hot", 'f', b->scale.hot, PAGE);

	close(share);
	return r;
}

int make_cold(struct bench *b)
{
	int share = open_share(b);
	int r = share < 0 ? share : make_files(share, "cold", 'f', b->scale.cold, 0);

	close(share);
	return r;
}

static int make_many(struct bench *b, const char *name, unsigned int dirs, unsigned int files)
{
	int share = open_share(b), top = -1;
	int r = share < 0 ? share : make_dir(share, name, &top);
	char dir[16];

	for (unsigned int i = 0; i < dirs && r == 0; i++) {
		name_of(dir, 'd', i);
		r = make_files(top, dir, 'f', files, 0);
	}
	close(top);
	close(share);
	return r;
}

int make_dirs(struct bench *b)
{
	return make_many(b, "dirs", b->scale.dirs, b->scale.entries);
}

int make_nodes(struct bench *b)
{
	return make_many(b, "nodes", (b->scale.nodes + 999) / 1000, 1000);
}

static int make_level(struct bench *b, int at, const char *name, unsigned int level)
{
	char sub[16];
	int r = make_files(at, name, 'f', b->scale.leaves, 0);
	int dir = r < 0 ? r : openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return r < 0 ? r : -errno;
	for (unsigned int i = 0; i < b->scale.fanout && level && r == 0; i++) {
		name_of(sub, 'd', i);
		r = make_level(b, dir, sub, level - 1);
	}
	close(dir);
	return r;
}

int make_tree(struct bench *b)
{
	int share = open_share(b);
	int r = share < 0 ? share : make_level(b, share, "tree", 3);

	close(share);
	return r;
}
