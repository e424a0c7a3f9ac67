/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * posix DIR [-part K/N] [WORD...] - run the checks, or those whose names contain a word
 *
 * Each line is check, step and outcome, with tabs between; the last step of a check is
 * "end". -part takes every Nth check, beginning with the Kth. Nothing is removed: DIR is
 * the caller's.
 */
#include <signal.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "posix.h"
#include "report.h"

#define SECONDS 30              /* the longest that a check may take */
#define PATIENCE 10             /* to be gone then, before it is left behind */

extern const struct check *const __start_checks[], *const __stop_checks[];

static void full_name(const struct check *c, unsigned int nr, char *ret, size_t size)
{
	snprintf(ret, size, "%s%s%s", c->name, c->words ? "." : "", c->words ? c->words[nr] : "");
}

static _Noreturn void run_child(const struct check *c, unsigned int nr, const char *folder)
{
	setpgid(0, 0);
	umask(022);
	alarm(SECONDS);
	if (mkdir(folder, 0755) < 0 || chdir(folder) < 0)
		_exit(2);
	c->fn(nr);
	_exit(0);
}

/* How it ended, once it has; it takes its children with it. */
static const char *reap(pid_t pid, char *buf, size_t size)
{
	struct timespec limit = { .tv_sec = SECONDS + PATIENCE };
	sigset_t set;
	int status;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (sigtimedwait(&set, NULL, &limit) < 0 && errno == EAGAIN) {
			kill(-pid, SIGKILL);
			return "stuck";
		}
	}
	kill(-pid, SIGKILL);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return "done";
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
		return "out of time";
	if (WIFSIGNALED(status))
		snprintf(buf, size, "signal %s", sigabbrev_np(WTERMSIG(status)));
	else
		snprintf(buf, size, "status %d", WEXITSTATUS(status));
	return buf;
}

static void run(const struct check *c, unsigned int nr, unsigned int folder_nr)
{
	char name[128], folder[16], buf[64];
	pid_t pid;

	full_name(c, nr, name, sizeof(name));
	snprintf(folder, sizeof(folder), "%u", folder_nr);
	report_start(name);
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		run_child(c, nr, folder);
	report_end(reap(pid, buf, sizeof(buf)));
}

static bool wanted(const char *name, char **words)
{
	if (!*words)
		return true;
	for (; *words; words++)
		if (strstr(name, *words))
			return true;
	return false;
}

/* Limits and signals are the same wherever this is started. */
static void settle(void)
{
	struct rlimit files = { 1024, 4096 }, none = { RLIM_INFINITY, RLIM_INFINITY };
	sigset_t set;

	setrlimit(RLIMIT_NOFILE, &files);
	setrlimit(RLIMIT_FSIZE, &none);
	for (int s = 1; s < SIGRTMAX; s++)
		signal(s, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	for (int fd = 3; fd < 1024; fd++)
		close(fd);
}

int main(int argc, char **argv)
{
	unsigned int part = 0, parts = 1, n = 0;
	char **words = argv + 2, name[128];

	if (argc > 3 && strcmp(argv[2], "-part") == 0) {
		if (sscanf(argv[3], "%u/%u", &part, &parts) != 2 || parts == 0)
			return 2;
		words = argv + 4;
	}
	if (argc < 2 || chdir(argv[1]) < 0) {
		fprintf(stderr, "usage: posix DIR [-part K/N] [WORD...]\n");
		return 2;
	}
	settle();
	if (report_init() < 0)
		return 2;
	for (const struct check *const *c = __start_checks; c < __stop_checks; c++) {
		for (unsigned int nr = 0; nr < (*c)->count; nr++, n++) {
			full_name(*c, nr, name, sizeof(name));
			if (n % parts == part % parts && wanted(name, words))
				run(*c, nr, n);
		}
	}
	return 0;
}
