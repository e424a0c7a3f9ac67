/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the guest's lock owners hold, after a worker's death. The locks are the
 * host's and outlive it, as descriptors do; which ranges they are is read from
 * /proc/self/fdinfo, where each line of a lock looks like this:
 *
 *	lock:	1: OFDLCK ADVISORY  WRITE -1 fe:00:10953491 10 EOF
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/lock.h"
#include "fs/lock_host.h"

/* Words of a line; numbers have twenty digits at most. */
#define WORD_LEN 24

/* False: the line is not about a lock of this kind. */
static bool parse_line(const char *line, enum lock_kind kind,
		       struct lock_span *ret)
{
	char what[WORD_LEN], how[WORD_LEN], end[WORD_LEN];
	unsigned long long start, last;

	if (sscanf(line, "lock: %*d: %23s %*s %23s %*d %*x:%*x:%*u %llu %23s",
		   what, how, &start, end) != 4 ||
	    strcmp(what, kind == LOCK_FLOCK ? "FLOCK" : "OFDLCK") != 0)
		return false;
	ret->type = strcmp(how, "WRITE") == 0 ? F_WRLCK : F_RDLCK;
	ret->start = start;
	ret->end = LOCK_TO_END;
	if (strcmp(end, "EOF") != 0) {
		if (sscanf(end, "%llu", &last) != 1)
			return false;
		ret->end = last;
	}
	return ret->start <= ret->end && ret->end <= LOCK_TO_END;
}

static int note(struct fs *fs, struct lock_owner *o,
		const struct lock_span *span)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_want want = {
		.fh = o->fh,
		.pid = o->pid,
		.span = *span,
	};
	struct lock_spare spare;
	int r = lock_reserve(t, &spare);

	if (r == 0)
		(void)lock_owner_set(t, o, &want, &spare);
	return r;
}

/* The whole lines in @buf; what is left of them is moved to its beginning. */
static int note_lines(struct fs *fs, struct lock_owner *o, char *buf,
		      size_t *len)
{
	struct lock_span span;
	char *at = buf, *nl;
	int r = 0;

	while (r == 0 && (nl = memchr(at, '\n', *len)) != NULL) {
		*nl = '\0';
		if (parse_line(at, o->kind, &span))
			r = note(fs, o, &span);
		*len -= (size_t)(nl + 1 - at);
		at = nl + 1;
	}
	memmove(buf, at, *len);
	return r;
}

/* syscalls: read */
static int read_ranges(struct fs *fs, struct lock_owner *o, int fd)
{
	_cleanup_close_ int info = -1;
	char path[32], buf[4096];
	size_t len = 0;
	ssize_t n;
	int r;

	/* From /proc/self/fd, where every thread is. */
	snprintf(path, sizeof(path), "../fdinfo/%d", fd);
	info = fd_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (info < 0)
		return info;
	do {
		n = read(info, buf + len, sizeof(buf) - len);
		if (n < 0)
			return -errno;
		len += (size_t)n;
		r = note_lines(fs, o, buf, &len);
	} while (r == 0 && n > 0 && len < sizeof(buf));
	return r;
}

/* A POSIX owner's own descriptor is one of its node's file. syscalls: fstat */
static bool is_of_node(const struct lock_owner *o, const struct node *n)
{
	struct stat st;

	return fstat(o->fd, &st) == 0 && st.st_ino == n->ino &&
	       major(st.st_dev) == n->dev_major &&
	       minor(st.st_dev) == n->dev_minor;
}

static bool attach_owner(struct fs *fs, struct lock_owner *o)
{
	_cleanup_lock_files_ struct lock_files files = { 0 };
	const struct lock_want want = { .nodeid = o->nodeid, .fh = o->fh };

	if (lock_files_pin(fs, &want, &files) < 0 ||
	    (o->kind == LOCK_POSIX && !is_of_node(o, files.node.node)))
		return false;
	return read_ranges(fs, o, o->kind == LOCK_POSIX ? o->fd :
							   files.file.fd) == 0 &&
	       !lock_owner_empty(&fs->locks->table, o);
}

void lock_attach(struct fs *fs)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_owner *o;

	lock_table_attach(t);
	for (o = slots_next(&t->slots, NULL); o;) {
		struct lock_owner *next = slots_next(&t->slots, o);

		if (!attach_owner(fs, o))
			lock_owner_drop(t, o);
		o = next;
	}
}
