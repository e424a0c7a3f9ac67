/* SPDX-License-Identifier: BSD-3-Clause */
/* strace(1) counts the system calls of all threads of a daemon, between its start and its end. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "daemon.h"
#include "wait.h"

struct strace {
	int pid;
	char out[128];
};

static void run_strace(struct strace *s, const pid_t *pids, int n)
{
	static char text[DAEMON_FAMILY_MAX][16];
	const char *argv[8 + 2 * DAEMON_FAMILY_MAX] = { "strace", "-f", "-c", "-q", "-o", s->out };
	int argc = 6, null = open("/dev/null", O_WRONLY);

	for (int i = 0; i < n; i++) {
		snprintf(text[i], sizeof(text[i]), "%d", pids[i]);
		argv[argc++] = "-p";
		argv[argc++] = text[i];
	}
	dup2(null, 1);
	dup2(null, 2);
	execvp(argv[0], (char **)argv);
	_exit(127);
}

static bool traced(int pid)
{
	char path[64], line[256];
	int tracer = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", pid);

	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "TracerPid: %d", &tracer) == 1)
			break;
	if (f)
		fclose(f);
	return tracer;
}

int strace_start(struct target *t, struct strace **ret)
{
	int64_t deadline = wait_now_ms() + wait_scaled(10000);
	struct strace *s = calloc(1, sizeof(*s));
	pid_t pids[DAEMON_FAMILY_MAX];
	int n = daemon_family(t->pid, pids);

	if (!s)
		return -ENOMEM;
	snprintf(s->out, sizeof(s->out), "%s/%.24s.strace", t->bench->run, t->name);
	s->pid = fork();
	if (s->pid == 0)
		run_strace(s, pids, n);
	for (int i = 0; i < n;) {
		i += traced(pids[i]);
		if (waitpid(s->pid, NULL, WNOHANG) == s->pid || wait_now_ms() > deadline) {
			free(s);
			return fail(-ESRCH, "strace does not work here");
		}
		wait_sleep_ms(2);
	}
	wait_sleep_ms(50);		/* its other threads */
	*ret = s;
	return 0;
}

int strace_end(struct strace *s, uint64_t ops, FILE *out)
{
	char line[256], name[64];
	const char *sep = "";
	unsigned long calls;
	FILE *f;

	kill(s->pid, SIGINT);
	waitpid(s->pid, NULL, 0);
	f = fopen(s->out, "re");
	fprintf(out, "{");
	while (f && fgets(line, sizeof(line), f)) {
		char *last = strrchr(line, ' ');

		/* "% time seconds usecs/call calls [errors] syscall" */
		if (sscanf(line, " %*f %*f %*u %lu", &calls) != 1 || !last ||
		    sscanf(last, "%63s", name) != 1 || !strcmp(name, "total"))
			continue;
		fprintf(out, "%s\"%s\": %.4f", sep, name, (double)calls / (ops ? ops : 1));
		sep = ", ";
	}
	fprintf(out, "}");
	if (f)
		fclose(f);
	free(s);
	return 0;
}
