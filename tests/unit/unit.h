/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What every unit test uses. The code under test is the program's own library,
 * with its real lower layers; Check runs each test in a process of its own, so
 * that one may change what is the process's (descriptors, credentials, the
 * working directory) and crash without harm to the others.
 *
 * Helpers fail the test by themselves; they return no errors.
 */
#ifndef UNIT_H
#define UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

/* What built this: sanitizers cost time, and own malloc. */
#if defined(__SANITIZE_THREAD__)
#define UNIT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNIT_TSAN 1
#endif
#endif
#ifndef UNIT_TSAN
#define UNIT_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#define UNIT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNIT_ASAN 1
#endif
#endif
#ifndef UNIT_ASAN
#define UNIT_ASAN 0
#endif
#define UNIT_SANITIZED (UNIT_TSAN || UNIT_ASAN)

/* Rounds of a loop: as many, or a part of them where each costs much more. */
static inline unsigned int unit_rounds(unsigned int n)
{
	return UNIT_TSAN ? n / 10 : UNIT_ASAN ? n / 3 : n;
}

/* Runs a suite with TAP on standard output. Returns main()'s value. */
int unit_run(Suite *s);

/* A test case that may take @seconds (more under sanitizers) a test. */
TCase *unit_tcase(Suite *s, const char *name, unsigned int seconds);

/* An arena with the whole program's sections but tables of this many. */
void unit_arena(struct arena *ret, size_t nodes, size_t handles);
void unit_arena_destroy(struct arena *a);
void unit_arena_sizes(size_t sizes[ARENA_SECTIONS], size_t nodes,
		      size_t handles);

/* Bytes of [start, start + len) that have memory behind them. */
size_t unit_resident(const void *start, size_t len);

/* Milliseconds of a clock that never goes back. */
uint64_t unit_now_ms(void);

/* Runs fn(arg, 0 .. n-1), each in a thread; all begin at the same time. */
void unit_threads(unsigned int n, void (*fn)(void *arg, unsigned int no),
		  void *arg);

/* A small generator of numbers that are the same in each run. */
uint32_t unit_random(uint32_t *state);

/*
 * Catches what is written to standard error between begin and end, which
 * returns the number of lines; the text is in c->text.
 */
struct capture {
	int fd, saved;
	char text[4096];
};
void capture_begin(struct capture *c);
unsigned int capture_end(struct capture *c);

/* The value of an eventfd, which is 0 afterwards. */
uint64_t unit_eventfd_take(int fd);

/* Scratch directory of the test program; made and removed by it. */
extern char unit_dir[];
void unit_add_dir(TCase *tc);

/* Writes a file below unit_dir. */
void unit_write_file(const char *name, const void *data, size_t len);

/* Removes a name from the share's root as an UNLINK does; @guess as for
 * node_leaves(). */
struct node_table;
void unit_remove_name(struct node_table *t, const char *name, uint32_t guess);

/* Makes /proc/self/fd the working directory, as each process that serves
 * requests has it. */
void unit_enter_fd_directory(void);

/* For what is checked a million times: Check's own macros write each of their
 * calls to a file. */
#define must(expr)                                                             \
	do {                                                                   \
		if (__builtin_expect(!(expr), 0))                              \
			ck_abort_msg("%s is false", #expr);                    \
	} while (0)

#define ck_ok(expr)                                                            \
	do {                                                                   \
		long r_ = (expr);                                              \
		if (__builtin_expect(r_ != 0, 0))                              \
			ck_abort_msg("%s: %ld", #expr, r_);                    \
	} while (0)

#endif
