/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Beside the share lie a file "canary" and a directory "nest" with an egg: "../canary" is what a
 * name that leads out leads to first.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>

#include "hostile.h"

static struct {
	struct stat file, nest, egg;
	unsigned int beside;		/* entries beside the share */
} was;

static const char *outside(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", fx.d.dir, name);
	return path;
}

static void put(const char *name)
{
	int fd = host(open(outside(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));

	host(write(fd, "tweet", 5));
	close(fd);
}

static struct stat look(const char *name)
{
	struct stat st;

	host(lstat(outside(name), &st));
	return st;
}

static unsigned int count(const char *name)
{
	DIR *dir = opendir(outside(name));
	unsigned int n = 0;

	while (dir && readdir(dir))
		n++;
	if (dir)
		closedir(dir);
	return n;
}

void canary_place(void)
{
	host(mkdir(outside("nest"), 0755));
	put("canary");
	put("nest/egg");
	was.file = look("canary");
	was.nest = look("nest");
	was.egg = look("nest/egg");
	was.beside = count("");
}

/* Access times apart: counting looks into the directory. */
static void same(const char *name, const struct stat *before)
{
	struct stat now = look(name);

	ck_assert_msg(now.st_ino == before->st_ino && now.st_size == before->st_size &&
		      now.st_mode == before->st_mode && now.st_nlink == before->st_nlink &&
		      now.st_uid == before->st_uid &&
		      now.st_ctim.tv_sec == before->st_ctim.tv_sec &&
		      now.st_ctim.tv_nsec == before->st_ctim.tv_nsec,
		      "%s, outside the share, was touched", name);
}

void canary_alive(void)
{
	same("canary", &was.file);
	same("nest", &was.nest);
	same("nest/egg", &was.egg);
	ck_assert_uint_eq(count("nest"), 3);
	ck_assert_uint_eq(count(""), was.beside);
}

bool canary_is(const struct fuse_attr *a)
{
	struct stat parent = look("");

	return a->ino == was.file.st_ino || a->ino == was.nest.st_ino ||
	       a->ino == was.egg.st_ino || a->ino == parent.st_ino;
}
