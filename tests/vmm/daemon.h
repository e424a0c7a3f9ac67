/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_DAEMON_H
#define VMM_DAEMON_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * A virtiofsd under test: a fresh directory with a share, a socket, a log; one process started
 * in it. Which program: $VIRTIOFSD, else $VIRTIOFSD_BUILT (set by the test suite). How it is
 * started: $VIRTIOFSD_ARGS, else DAEMON_ARGS; in both, {share} {socket} {dir} are filled in.
 * The words of $VIRTIOFSD_OPTIONS and the test's own arguments follow.
 */
#define DAEMON_ARGS "--socket-path={socket} --shared-dir={share} --cache=never"

#define DAEMON_READY "Waiting for vhost-user socket connection"
/* What daemon_wait() adds to the signal's number if the daemon was killed by one */
#define DAEMON_KILLED 1000

struct daemon {
	char dir[64];
	char share[96], socket[96], log[96], out[96];
	pid_t pid;		/* 0: not started */
	int status;		/* -1: running; else as from daemon_wait() */
	int listen_fd;		/* what it inherits with --fd, or -1 */
	char *text;		/* last reading of the log */
};

struct daemon_opts {
	const char *const *args;	/* more arguments, NULL at the end */
	const char *const *wrap;	/* command before the program's name, NULL at the end */
	bool only_args;			/* args are all there are: no defaults, no readiness */
	bool inherit;			/* --fd=N in place of the socket's path */
	bool no_wait;			/* do not wait until it is ready */
};

/* daemon_prepare() - the directory and the paths, nothing started; -errno */
int daemon_prepare(struct daemon *d);
/* daemon_spawn() - start the program in a prepared directory, wait until it is ready.
 * -ECHILD: it ended before that; -ETIMEDOUT. opts may be NULL. */
int daemon_spawn(struct daemon *d, const struct daemon_opts *opts);
/* daemon_start() - both */
int daemon_start(struct daemon *d, const struct daemon_opts *opts);

/* daemon_wait() - its exit status, or DAEMON_KILLED + signal; -ETIMEDOUT */
int daemon_wait(struct daemon *d, int timeout_ms);
void daemon_kill(struct daemon *d, int sig);

/*
 * daemon_stop() - the end of a test: wait until it has ended by itself (the front-end has hung
 * up), and remove everything
 *
 * Returns its status; -ETIMEDOUT if it had to be killed; -ENOTRECOVERABLE if a sanitizer left a
 * report in the log. In both cases, and with a status other than 0, the log goes to stderr.
 */
int daemon_stop(struct daemon *d);
/* daemon_discard() - kill it if it still runs, and remove everything */
void daemon_discard(struct daemon *d);

/* The log so far; valid until the next call. daemon_output() is the same for stdout. */
const char *daemon_log(struct daemon *d);
const char *daemon_output(struct daemon *d);
bool daemon_log_has(struct daemon *d, const char *text);
bool daemon_log_wait(struct daemon *d, const char *text, int timeout_ms);
/* The number of lines; a single one is what a refusal at start must be */
unsigned int daemon_log_lines(struct daemon *d);
bool daemon_log_sanitizer(struct daemon *d);

/* daemon_family() - a process and its descendants, elders first; how many */
#define DAEMON_FAMILY_MAX 32
int daemon_family(pid_t top, pid_t pids[DAEMON_FAMILY_MAX]);
/* Of all its processes: most descriptors of one (they share a table), threads and KiB together */
int daemon_fds(struct daemon *d);
int daemon_threads(struct daemon *d);
long daemon_rss_kb(struct daemon *d);
/* daemon_worker() - the youngest of its descendants; its own pid if there is none */
pid_t daemon_worker(struct daemon *d);
/* daemon_opened() - descriptors, O_PATH ones apart, that are open on the path */
int daemon_opened(struct daemon *d, const char *path);
/* daemon_open_flags() - the flags that one of these was opened with; -1: there is none */
int daemon_open_flags(struct daemon *d, const char *path);
/* daemon_fds_settle() - wait until there are at most n descriptors; the number in the end */
int daemon_fds_settle(struct daemon *d, int n, int timeout_ms);
/* The same for threads: those without work end after 5 s */
int daemon_threads_settle(struct daemon *d, int n, int timeout_ms);

/* daemon_remove_tree() - rm -rf */
void daemon_remove_tree(const char *path);

#endif
