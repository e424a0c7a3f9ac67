/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "killer.h"

const char *const killer_args[] = { "--restart-limit=1000/0", NULL };

static struct {
	pthread_t thread;
	enum killer_unit unit;
	unsigned int n, seen;
	pid_t worker, tid;
	atomic_bool ready, finished;
	bool killed;
	int error;
} k;

static unsigned int next_worker; /* of all that took another one's place */

static int by_number(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

/* The threads of a process in the order in which they were made: the control thread, the one of
 * hiprio, that of the first request queue. */
static int threads_of(pid_t pid, pid_t *tid, int max)
{
	char path[64];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.' && n < max)
			tid[n++] = atoi(e->d_name);
	if (dir)
		closedir(dir);
	qsort(tid, n, sizeof(*tid), by_number);
	return n;
}

/* Waits for the thread to stop. 1: it did, 0: it is gone, or the test has what it wants. */
static int wait_stop(bool may_finish)
{
	int status;

	for (;;) {
		pid_t r = waitpid(k.tid, &status, __WALL | WNOHANG);

		if (r == k.tid)
			return WIFSTOPPED(status);
		if (r < 0 || (may_finish && k.finished))
			return 0;
		sched_yield();
	}
}

static bool is_waiting(void)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, k.tid, sizeof(info), &info) < 0)
		return false;
	return info.op == PTRACE_SYSCALL_INFO_ENTRY &&
	       (info.entry.nr == SYS_epoll_wait || info.entry.nr == SYS_epoll_pwait ||
		info.entry.nr == SYS_poll || info.entry.nr == SYS_ppoll ||
		info.entry.nr == SYS_restart_syscall); /* poll(2), once it was interrupted */
}

/* To the entry of the call in which it waits for the guest: there it can be watched, and let go
 * without a trap that is still to come. */
static bool park(void)
{
	if (ptrace(PTRACE_INTERRUPT, k.tid, 0, 0) < 0)
		return false;
	while (wait_stop(false)) {
		if (is_waiting())
			return true;
		if (ptrace(PTRACE_SYSCALL, k.tid, 0, 0) < 0)
			return false;
	}
	return false;
}

static void kill_it(void)
{
	kill(k.worker, SIGKILL);
	while (wait_stop(false))
		; /* until it is gone: its process does not end before */
	k.killed = true;
}

static void *trace(void *arg)
{
	long how = k.unit == KILLER_CALLS ? PTRACE_SYSCALL : PTRACE_SINGLESTEP;

	if (ptrace(PTRACE_SEIZE, k.tid, 0, PTRACE_O_TRACESYSGOOD) < 0 || !park()) {
		k.error = errno ? errno : ESRCH;
		k.ready = true;
		return NULL;
	}
	k.ready = true;
	for (;;) {
		if (ptrace(how, k.tid, 0, 0) < 0 || !wait_stop(true))
			break;
		if (k.seen++ == k.n) {
			kill_it();
			return NULL;
		}
	}
	if (park())
		ptrace(PTRACE_DETACH, k.tid, 0, 0);
	return NULL;
}

static void arm(unsigned int thread, enum killer_unit unit, unsigned int n)
{
	pid_t tid[16];

	memset(&k, 0, sizeof(k));
	k.unit = unit;
	k.n = n;
	k.worker = daemon_worker(&fx.d);
	ck_assert_int_ge(threads_of(k.worker, tid, 16), 3);
	k.tid = tid[thread];
	ck_assert_int_eq(pthread_create(&k.thread, NULL, trace, NULL), 0);
	while (!k.ready)
		sched_yield();
	ck_assert_msg(!k.error, "ptrace: %s", strerror(k.error));
}

void killer_arm(enum killer_unit unit, unsigned int n)
{
	arm(2, unit, n);
}

void killer_arm_control(enum killer_unit unit, unsigned int n)
{
	arm(0, unit, n);
}

bool killer_result(unsigned int *ret_seen)
{
	k.finished = true;
	pthread_join(k.thread, NULL);
	if (ret_seen)
		*ret_seen = k.seen;
	if (k.killed)
		killer_wait_next();
	return k.killed;
}

static unsigned int workers_so_far(void)
{
	unsigned int n = 0;

	for (const char *s = daemon_log(&fx.d); (s = strstr(s, "The new worker serves")); s++)
		n++;
	return n;
}

void killer_wait_next(void)
{
	int64_t end = wait_now_ms() + wait_scaled(10000);

	next_worker++;
	while (workers_so_far() < next_worker) {
		ck_assert_msg(wait_now_ms() < end, "no other worker serves");
		wait_sleep_ms(1);
	}
}

pid_t killer_worker(void)
{
	pid_t pids[DAEMON_FAMILY_MAX];

	return daemon_family(fx.d.pid, pids) < 3 ? 0 : pids[2];
}

/* --- a worker that dies while it takes over --- */

/* Lets a stopped process go on, with the signal that it stopped for. */
static void go_on(long how, pid_t pid, int status)
{
	int sig = WSTOPSIG(status);

	if (status >> 16 || sig == SIGTRAP || sig == (SIGTRAP | 0x80) || sig == SIGSTOP)
		sig = 0;
	ptrace(how, pid, 0, sig);
}

/* The keeper is the worker's parent: the launcher's only child. */
static pid_t keeper(void)
{
	pid_t pids[DAEMON_FAMILY_MAX];

	ck_assert_int_ge(daemon_family(fx.d.pid, pids), 2);
	return pids[1];
}

/* The first child of the keeper is followed, the others are let go. */
static void *follow(void *arg)
{
	pid_t first = 0, pid, parent = keeper();
	int status;

	if (ptrace(PTRACE_SEIZE, parent, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK |
						  PTRACE_O_TRACECLONE) < 0) {
		k.error = errno;
		return NULL;
	}
	kill(k.worker, SIGKILL);
	while (!k.finished) {
		pid = waitpid(-1, &status, __WALL | WNOHANG | __WNOTHREAD);
		if (pid <= 0) {
			wait_sleep_ms(1);
		} else if (!WIFSTOPPED(status)) {
			continue;
		} else if (pid == parent) {
			go_on(PTRACE_CONT, pid, status);
		} else if (!first || pid == first) {
			first = pid;
			if (k.seen++ == k.n) {
				kill(pid, SIGKILL);
				k.killed = true;
			}
			go_on(PTRACE_SYSCALL, pid, status);
		} else {
			ptrace(PTRACE_DETACH, pid, 0, 0);
		}
	}
	return NULL; /* its tracees go on without it */
}

bool killer_kill_twice(unsigned int n)
{
	memset(&k, 0, sizeof(k));
	k.n = n;
	k.worker = daemon_worker(&fx.d);
	ck_assert_int_eq(pthread_create(&k.thread, NULL, follow, NULL), 0);
	killer_wait_next();
	k.finished = true;
	pthread_join(k.thread, NULL);
	ck_assert_msg(!k.error, "ptrace: %s", strerror(k.error));
	return k.killed;
}

void killer_kill(int sig)
{
	pid_t worker;

	while ((worker = killer_worker()) == 0)
		sched_yield(); /* the first one is not there yet */
	kill(worker, sig);
	killer_wait_next();
}
