/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A check is a function that runs in a fresh directory, in a process of its own, and says
 * step by step what the file system did. The same program runs on the host's file system
 * and on the guest's mount of it, and the two reports have to be the same (test_posix.py).
 *
 * A step is an expression and what came of it: a number, the name of an error, a text.
 * Where POSIX or Linux leaves no doubt a step also says what must come of it, so that a
 * check that does not do what it says is found on the host already.
 */
#ifndef POSIX_H
#define POSIX_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

struct check {
	const char *name;
	void (*fn)(unsigned int nr);
	const char *const *words;       /* a check for each, "name.word"; NULL: one check */
	unsigned int count;
};

#define CHECK_TABLE(id, words, count)                                                    \
	static void id(unsigned int nr);                                                 \
	static const struct check id##_check = { #id, id, words, count };                \
	static const struct check *const id##_entry                                      \
		__attribute__((used, section("checks"))) = &id##_check;                  \
	static void id(unsigned int nr __attribute__((unused)))

#define CHECK(id) CHECK_TABLE(id, NULL, 1)

/* The check is run once for each word, with the word's number in nr. */
#define CHECK_EACH(id, words) CHECK_TABLE(id, words, ARRAY_SIZE(words))

/* A call's result as 0, positive or -errno. */
#define R(e) ({ errno = 0; long r_ = (long)(e); r_ == -1 ? -(long)errno : r_; })

/* Calls. OK must succeed, NO must fail so, IS must give this number; TRY tells success or
 * error and GIVES the number. NEED is TRY, and ends the check where the call failed: it
 * tells nothing more then, and what the other side tells beyond that is not compared. */
#define OK(e) step_ok(#e, R(e))
#define NO(e, err) step_no(#e, R(e), err)
#define IS(e, n) step_is(#e, R(e), n)
#define TRY(e) step_try(#e, R(e))
#define GIVES(e) step_gives(#e, R(e))
#define NEED(e) do { if (step_need(#e, R(e)) < 0) return; } while (0)

/* Conditions and texts: YES must be true, TEXT_IS must be so; ASK and TEXT tell. */
#define YES(c) step_yes(#c, !!(c))
#define ASK(c) step_ask(#c, !!(c))
#define TEXT_IS(s, want) step_text_is(#s, s, want)
#define TEXT(s) step_text(#s, s)

long step_ok(const char *what, long r);
long step_no(const char *what, long r, int err);
long step_is(const char *what, long r, long want);
long step_try(const char *what, long r);
long step_gives(const char *what, long r);
long step_need(const char *what, long r);
void step_yes(const char *what, bool b);
void step_ask(const char *what, bool b);
void step_text_is(const char *what, const char *s, const char *want);
void step_text(const char *what, const char *s);

/* Is put before the names of all steps that follow; "" ends it. */
void with(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The block is run in a child, by that user with that group and no other; AS_GROUPS: and
 * with one more group. What it says counts, what it sets is lost. */
#define CHILD for (int c_ = child_begin(0, 0, 0); c_; child_end())
#define AS(uid, gid) for (int c_ = child_begin(uid, gid, 0); c_; child_end())
#define AS_GROUPS(uid, gid, more) for (int c_ = child_begin(uid, gid, more); c_; child_end())
int child_begin(uid_t uid, gid_t gid, gid_t more);
void child_end(void);

#define USER 1000
#define OTHER 1001

/* Set-up that must not fail; if it does, the check ends with a step that says so. */
void put(const char *path, const char *text);
void put_mode(const char *path, const char *text, mode_t mode);
void dir(const char *path, mode_t mode);
int opened(const char *path, int flags);

/* Views of a file; -1 or "none" where it is not there. None follows a symbolic link. */
const char *kind(const char *path);     /* "file", "dir", "link", "fifo", "socket", ... */
int mode(const char *path);             /* permission and set-id bits */
long nlink(const char *path);
long size(const char *path);
long uid(const char *path);
long gid(const char *path);
ino_t ino(const char *path);
bool same(const char *a, const char *b);        /* the same file */
int fd_mode(int fd);
long fd_nlink(int fd);
long fd_size(int fd);

/* Content, up to 4000 bytes; "(ERRNO)" where it cannot be read. */
const char *content(const char *path);
const char *fd_content(int fd, off_t at, size_t len);
const char *target(const char *link);
const char *listing(const char *path);  /* names, sorted, a blank between two */

/* Which times of a file have changed since then, as "atime mtime ctime". */
struct times {
	struct timespec t[3];
};
struct times times(const char *path);
struct times fd_times(int fd);
const char *moved(const struct times *since, const char *path);
const char *fd_moved(const struct times *since, int fd);
void tick(void);                        /* long enough for a time stamp to differ */

/* Two processes in turn: post() wakes the one that waits for that number. */
void post(int n);
void await(int n);
void nap(int ms);

extern char *const volatile nowhere;    /* an address that nothing is at */

char *fill(char c, size_t n);           /* n times c; of the next call's no longer */

#endif
