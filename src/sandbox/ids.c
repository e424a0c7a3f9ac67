/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: give a new user namespace the ids that were asked for, or those alone
 * that an unprivileged process may have in it: its own.
 * Mustn't: run in a process that serves, since it may start a program.
 */
#include "sandbox/ids.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "sandbox/caps.h"

extern char **environ;

/* Three numbers and blanks. */
#define RANGE_TEXT 36U

static int parse_u32(const char **text, char separator, uint32_t *ret)
{
	unsigned long long n;
	char *end;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	n = strtoull(*text, &end, 10);
	if (n > UINT32_MAX || *end != separator)
		return -EINVAL;
	*text = end + 1;
	*ret = (uint32_t)n;
	return 0;
}

static bool overlap(uint32_t a, uint32_t a_count, uint32_t b, uint32_t b_count)
{
	return a < (uint64_t)b + b_count && b < (uint64_t)a + a_count;
}

int ids_add(struct id_ranges *map, const char *text)
{
	char separator = *text;
	struct id_range r;

	if (!separator || strchr("0123456789", separator))
		return -EINVAL;
	text++;
	if (parse_u32(&text, separator, &r.inside) < 0 ||
	    parse_u32(&text, separator, &r.outside) < 0 ||
	    parse_u32(&text, separator, &r.count) < 0 || *text || !r.count ||
	    r.count > UINT32_MAX - r.inside || r.count > UINT32_MAX - r.outside)
		return -EINVAL;
	if (map->n == ID_RANGES_MAX)
		return -E2BIG;
	for (unsigned int i = 0; i < map->n; i++) {
		const struct id_range *o = &map->range[i];

		if (overlap(r.inside, r.count, o->inside, o->count) ||
		    overlap(r.outside, r.count, o->outside, o->count))
			return -EEXIST;
	}
	map->range[map->n++] = r;
	return 0;
}

void ids_set_one(struct id_ranges *map, uint32_t id)
{
	*map = (struct id_ranges){
		.n = 1,
		.range[0] = { .inside = id, .outside = id, .count = 1 },
	};
}

static int write_text(pid_t pid, const char *file, const char *text)
{
	_cleanup_close_ int fd = -1;
	size_t len = strlen(text);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = fd_openat(AT_FDCWD, path, O_WRONLY, 0);
	if (fd < 0)
		return fd;
	/* In one piece, or the kernel does not take it. */
	return write(fd, text, len) == (ssize_t)len ? 0 : -errno;
}

static int write_map(pid_t pid, const char *file, const struct id_ranges *map)
{
	char text[ID_RANGES_MAX * RANGE_TEXT];
	size_t at = 0;
	int r;

	for (unsigned int i = 0; i < map->n; i++)
		at += (size_t)snprintf(text + at, sizeof(text) - at,
				       "%u %u %u\n", map->range[i].inside,
				       map->range[i].outside,
				       map->range[i].count);
	r = write_text(pid, file, text);
	return r < 0 ? log_err(r, "%s of the sandbox", file) : 0;
}

/* newuidmap PID INSIDE OUTSIDE COUNT ... */
static int run_helper(const char *program, pid_t pid,
		      const struct id_ranges *map)
{
	char word[1 + 3 * ID_RANGES_MAX][16];
	char *argv[3 + 3 * ID_RANGES_MAX];
	posix_spawnattr_t attr;
	unsigned int n = 0;
	sigset_t none;
	int status, r;
	pid_t helper;

	snprintf(word[n++], sizeof(word[0]), "%d", (int)pid);
	for (unsigned int i = 0; i < map->n; i++) {
		snprintf(word[n++], sizeof(word[0]), "%u", map->range[i].inside);
		snprintf(word[n++], sizeof(word[0]), "%u", map->range[i].outside);
		snprintf(word[n++], sizeof(word[0]), "%u", map->range[i].count);
	}
	argv[0] = (char *)program;
	for (unsigned int i = 0; i < n; i++)
		argv[i + 1] = word[i];
	argv[n + 1] = NULL;
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	r = -posix_spawnp(&helper, program, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (r < 0)
		return log_err(r, "cannot run %s", program);
	if (waitpid(helper, &status, 0) < 0)
		return log_err(-errno, "%s", program);
	if (status == 0)
		return 0;
	log_error("%s does not allow these ids (see subuid(5), subgid(5))",
		  program);
	return -EPERM;
}

/* The one map that needs no right: this user, and nobody else. */
static bool is_own(const struct id_ranges *map, uint32_t id)
{
	return map->n == 1 && map->range[0].count == 1 &&
	       map->range[0].outside == id;
}

/* Without setgroups(), by which a process could leave a group that keeps it
 * out of a file. */
static int write_own_gid(pid_t pid, const struct id_ranges *gids)
{
	int r = write_text(pid, "setgroups", "deny");

	if (r < 0)
		return log_err(r, "setgroups of the sandbox");
	return write_map(pid, "gid_map", gids);
}

int ids_write(pid_t pid, const struct id_ranges *uids,
	      const struct id_ranges *gids)
{
	int r;

	if (caps_have(CAP_SETUID) || is_own(uids, geteuid()))
		r = write_map(pid, "uid_map", uids);
	else
		r = run_helper("newuidmap", pid, uids);
	if (r < 0)
		return r;
	if (caps_have(CAP_SETGID))
		r = write_map(pid, "gid_map", gids);
	else if (!is_own(gids, getegid()))
		r = run_helper("newgidmap", pid, gids);
	else
		r = write_own_gid(pid, gids);
	return r;
}
