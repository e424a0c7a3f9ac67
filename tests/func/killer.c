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

/* Whether a file of a thread in /proc begins with one of these. */
static bool says(pid_t pid, const char *tid, const char *file, const char *const *begin)
{
	char path[PATH_MAX], line[64] = "";
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%s/%s", pid, tid, file);
	f = fopen(path, "re");
	if (f && !fgets(line, sizeof(line), f))
		line[0] = 0;
	if (f)
		fclose(f);
	for (; *begin; begin++)
		if (strncmp(line, *begin, strlen(*begin)) == 0)
			return true;
	return false;
}

/* The thread that leads the crew of the first request queue: it waits for a kick. */
static pid_t find_leader(pid_t pid)
{
	static const char *const name[] = { "queue 1\n", NULL };
	static char waits[2][16];
	const char *const syscall[] = { waits[0], waits[1], NULL };
	char path[64];
	pid_t found = 0;

#ifdef SYS_epoll_wait
	snprintf(waits[0], sizeof(waits[0]), "%d ", SYS_epoll_wait);
#else
	snprintf(waits[0], sizeof(waits[0]), "none");
#endif
	snprintf(waits[1], sizeof(waits[1]), "%d ", SYS_epoll_pwait);
	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *dir = opendir(path);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_name[0] != '.' && says(pid, e->d_name, "comm", name) &&
		    says(pid, e->d_name, "syscall", syscall))
			found = atoi(e->d_name);
	if (dir)
		closedir(dir);
	return found;
}

static pid_t wait_leader(pid_t pid)
{
	int64_t end = wait_now_ms() + wait_scaled(10000);
	pid_t tid;

	while (!(tid = find_leader(pid))) {
		ck_assert_msg(wait_now_ms() < end, "no thread waits for the first queue");
		sched_yield();
	}
	return tid;
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
		info.entry.nr == SYS_futex || /* it has lost the lead */
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

static void arm(bool control, enum killer_unit unit, unsigned int n)
{
	memset(&k, 0, sizeof(k));
	k.unit = unit;
	k.n = n;
	k.worker = daemon_worker(&fx.d);
	k.tid = control ? k.worker : wait_leader(k.worker);
	ck_assert_int_eq(pthread_create(&k.thread, NULL, trace, NULL), 0);
	while (!k.ready)
		sched_yield();
	ck_assert_msg(!k.error, "ptrace: %s", strerror(k.error));
}

void killer_arm(enum killer_unit unit, unsigned int n)
{
	arm(false, unit, n);
}

void killer_arm_control(enum killer_unit unit, unsigned int n)
{
	arm(true, unit, n);
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
