/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the functional tests share: a runner (one process a test, TAP on stdout), the usual
 * daemon with its guest, assertions that speak errno, and a view of the share from the host.
 */
#ifndef FUNC_FUNC_H
#define FUNC_FUNC_H

#include <check.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "guest.h"
#include "vmm.h"
#include "wait.h"

/* --- runner.c --- */

/*
 * main() of a test file: func_init(), func_test() for each test, return func_done(). Arguments
 * choose tests by parts of their names.
 */
void func_init(const char *area, int argc, char **argv);
void func_run(const char *name, const TTest *test, int timeout_s);
int func_done(void);

#define func_test(name) func_run(#name, name, 30)
#define func_test_long(name, seconds) func_run(#name, name, seconds)

/* func_skip() - end this test as skipped, with a reason */
void func_skip(const char *reason) __attribute__((noreturn));
void func_need_root(void);
bool func_is_root(void);
/* func_need_cap() - needs root, and a daemon that keeps this capability besides the usual */
void func_need_cap(const char *name);
/* func_need_ids() - needs a daemon that knows all ids, which one in a user namespace does not */
void func_need_ids(void);
bool func_sanitized(void);

/* --- assertions --- */

/* A call that must succeed; its value */
#define ok(call) ({								\
	__auto_type ok_r = (call);						\
	ck_assert_msg((int64_t)ok_r >= 0, "%s: %s", #call, strerror(-(int)ok_r)); \
	ok_r; })

/* A call that must fail with this errno */
#define fails(call, err) do {							\
	int64_t fails_r = (call);						\
	ck_assert_msg(fails_r == -(err), "%s: %s, not %s", #call,		\
		      fails_r < 0 ? strerror(-(int)fails_r) : "success",		\
		      strerror(err));						\
} while (0)

/* A host call that must succeed */
#define host(call) ({								\
	__auto_type host_r = (call);						\
	ck_assert_msg(host_r != -1, "%s: %m", #call);				\
	host_r; })

/* --- fixture.c --- */

struct fixture {
	struct daemon d;
	struct vmm v;
	struct guest g;			/* on the first request queue */
	struct fuse_init_out init;
};

extern struct fixture fx;		/* each test has a process of its own */

/* func_start() - the usual: a daemon, a machine with one request queue, a session */
void func_start(void);
/* func_start_with() - more arguments for the daemon (NULL at the end), another machine; either
 * may be NULL */
void func_start_with(const char *const *args, const struct vmm_opts *opts);
/* func_start_daemon() - the daemon alone; func_connect() - then the machine, and no INIT */
void func_start_daemon(const char *const *args);
void func_connect(const struct vmm_opts *opts);
/* func_init_session() - INIT on fx.g as a recent Linux guest does it */
void func_init_session(void);
/* func_init_with() - INIT with these flags of 64; its result, the reply in fx.init */
int func_init_with(uint32_t minor, uint64_t flags);
/* func_hang_up() - release machine and guest; the daemon sees its front-end go */
void func_hang_up(void);
/* func_end() - hang up; the daemon must end with 0 and nothing bad in its log */
void func_end(void);

#define FUNC_DATA_MAX (1u << 20)

/* The share from the host's side; path is relative to it. */
const char *host_path(const char *name);
void host_write(const char *name, const void *data, size_t len);
void host_text(const char *name, const char *text);
/* host_read() - a file's bytes, NUL-terminated, to be freed; its size in *ret_len (may be NULL) */
char *host_read(const char *name, size_t *ret_len);
/* host_is() - the file has exactly these bytes */
void host_is(const char *name, const void *bytes, size_t len);
struct stat host_stat(const char *name);
bool host_exists(const char *name);

/* host_mount() - a new file system on a directory of the share, for this test alone; before the
 * daemon starts. Ends the test as skipped where that cannot be. */
void host_mount(const char *type, const char *name);

/* func_pattern() - n bytes that differ by place and seed */
void func_pattern(void *buf, size_t n, unsigned int seed);

/* Short forms on fx.g */
uint64_t func_node(const char *path);		/* looked up name by name */
struct fuse_entry_out func_entry(const char *path);
uint64_t func_open(uint64_t node, uint32_t flags);
struct fuse_attr func_attr(uint64_t node);
/* func_has_places() - new files of the share take no descriptor before they are used: its file
 * system is one whose times of birth the daemon relies on */
bool func_has_places(void);
/* func_attr_is() - what the guest was told is what the host shows */
void func_attr_is(const struct fuse_attr *a, const struct stat *st);

#endif
