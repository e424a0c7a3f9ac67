/* SPDX-License-Identifier: BSD-3-Clause */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon.h"
#include "usage.h"

/* The number behind "KEY:" in a file below /proc */
static void add_field(const char *path, const char *key, long *sum)
{
	FILE *f = fopen(path, "re");
	size_t n = strlen(key);
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, key, n) && line[n] == ':')
			*sum += strtol(line + n + 1, NULL, 10);
	if (f)
		fclose(f);
}

static uint64_t switches_of(int pid)
{
	char path[64];
	long n = 0;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);

	DIR *tasks = opendir(path);

	for (struct dirent *e; tasks && (e = readdir(tasks));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.15s/status", pid, e->d_name);
		add_field(path, "voluntary_ctxt_switches", &n);
	}
	if (tasks)
		closedir(tasks);
	return n;
}

void usage_cpu(int pid, struct usage *ret)
{
	pid_t pids[DAEMON_FAMILY_MAX];
	int n = daemon_family(pid, pids);

	*ret = (struct usage){ 0 };
	for (int i = 0; i < n; i++) {
		struct timespec ts;
		clockid_t clock;

		if (clock_getcpuclockid(pids[i], &clock) == 0 && clock_gettime(clock, &ts) == 0)
			ret->cpu_ns += ts.tv_sec * 1000000000ll + ts.tv_nsec;
		ret->switches += switches_of(pids[i]);
	}
}

void usage_all(int pid, struct usage *ret)
{
	struct daemon d = { .pid = pid };
	pid_t pids[DAEMON_FAMILY_MAX];
	int n = daemon_family(pid, pids);

	usage_cpu(pid, ret);
	for (int i = 0; i < n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pids[i]);
		add_field(path, "Rss", &ret->rss_kb);
		add_field(path, "Private_Clean", &ret->private_kb);
		add_field(path, "Private_Dirty", &ret->private_kb);
	}
	ret->fds = daemon_fds(&d);
	ret->threads = daemon_threads(&d);
}
