/* SPDX-License-Identifier: BSD-3-Clause */
/* What can be seen of a daemon from outside: its log and /proc. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "wait.h"

static const char *read_text(struct daemon *d, const char *path)
{
	FILE *f = fopen(path, "re");
	size_t n = 0;

	free(d->text);
	d->text = NULL;
	if (f) {
		if (getdelim(&d->text, &n, '\0', f) < 0) {
			free(d->text);
			d->text = NULL;
		}
		fclose(f);
	}
	return d->text ? d->text : "";
}

const char *daemon_log(struct daemon *d)
{
	return read_text(d, d->log);
}

const char *daemon_output(struct daemon *d)
{
	return read_text(d, d->out);
}

bool daemon_log_has(struct daemon *d, const char *text)
{
	return strstr(daemon_log(d), text);
}

bool daemon_log_wait(struct daemon *d, const char *text, int timeout_ms)
{
	int64_t deadline = wait_now_ms() + timeout_ms;

	while (!daemon_log_has(d, text)) {
		if (wait_now_ms() > deadline)
			return false;
		wait_sleep_ms(1);
	}
	return true;
}

unsigned int daemon_log_lines(struct daemon *d)
{
	unsigned int n = 0;

	for (const char *s = daemon_log(d); *s; s++)
		n += *s == '\n';
	return n;
}

bool daemon_log_sanitizer(struct daemon *d)
{
	static const char *const marks[] = {
		"ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer",
		"runtime error:", "AddressSanitizer:DEADLYSIGNAL",
		"WARNING: MemorySanitizer", "FATAL: ThreadSanitizer",
	};
	const char *log = daemon_log(d);

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strstr(log, marks[i]))
			return true;
	return false;
}

int daemon_family(pid_t top, pid_t pids[DAEMON_FAMILY_MAX])
{
	int n = 1;

	pids[0] = top;
	for (int i = 0; i < n; i++) {
		char path[64], name[16];

		snprintf(path, sizeof(path), "/proc/%d/task", pids[i]);

		DIR *tasks = opendir(path);

		for (struct dirent *e; tasks && (e = readdir(tasks));) {
			snprintf(name, sizeof(name), "%.15s", e->d_name);
			snprintf(path, sizeof(path), "/proc/%d/task/%s/children", pids[i], name);

			FILE *f = name[0] == '.' ? NULL : fopen(path, "re");

			while (f && n < DAEMON_FAMILY_MAX && fscanf(f, "%d", &pids[n]) == 1)
				n++;
			if (f)
				fclose(f);
		}
		if (tasks)
			closedir(tasks);
	}
	return n;
}

static int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	int n = 0;

	for (struct dirent *e; dir && (e = readdir(dir));)
		n += e->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return n;
}

int daemon_fds(struct daemon *d)
{
	pid_t pids[DAEMON_FAMILY_MAX];
	int most = 0, n = daemon_family(d->pid, pids);

	for (int i = 0; i < n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/fd", pids[i]);

		int fds = count_entries(path);

		most = fds > most ? fds : most;
	}
	return most;
}

int daemon_threads(struct daemon *d)
{
	pid_t pids[DAEMON_FAMILY_MAX];
	int all = 0, n = daemon_family(d->pid, pids);

	for (int i = 0; i < n; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task", pids[i]);
		all += count_entries(path);
	}
	return all;
}

static int settle(struct daemon *d, int (*count)(struct daemon *d), int n, int timeout_ms)
{
	int64_t deadline = wait_now_ms() + timeout_ms;
	int got;

	while ((got = count(d)) > n && wait_now_ms() < deadline)
		wait_sleep_ms(2);
	return got;
}

int daemon_fds_settle(struct daemon *d, int n, int timeout_ms)
{
	return settle(d, daemon_fds, n, timeout_ms);
}

int daemon_threads_settle(struct daemon *d, int n, int timeout_ms)
{
	return settle(d, daemon_threads, n, timeout_ms);
}

long daemon_rss_kb(struct daemon *d)
{
	pid_t pids[DAEMON_FAMILY_MAX];
	int n = daemon_family(d->pid, pids);
	long all = 0;

	for (int i = 0; i < n; i++) {
		char path[64], line[256];
		long kb;

		snprintf(path, sizeof(path), "/proc/%d/status", pids[i]);

		FILE *f = fopen(path, "re");

		while (f && fgets(line, sizeof(line), f))
			if (sscanf(line, "VmRSS: %ld", &kb) == 1)
				all += kb;
		if (f)
			fclose(f);
	}
	return all;
}

pid_t daemon_worker(struct daemon *d)
{
	pid_t pids[DAEMON_FAMILY_MAX];

	return pids[daemon_family(d->pid, pids) - 1];
}

/* The open(2) flags of /proc/PID/fd/NAME if it is open on the path; else, or if it is merely
 * O_PATH, -1 */
static int flags_if_open(pid_t pid, const char *name, const char *path)
{
	char link[64], line[128];
	unsigned int flags = O_PATH;
	struct stat a, b;

	/* Its name for the file is not ours. */
	snprintf(link, sizeof(link), "/proc/%d/fd/%.16s", pid, name);
	if (stat(link, &a) < 0 || lstat(path, &b) < 0 || a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino)
		return -1;
	snprintf(link, sizeof(link), "/proc/%d/fdinfo/%.16s", pid, name);

	FILE *f = fopen(link, "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	if (f)
		fclose(f);
	return flags & O_PATH ? -1 : (int)flags;
}

/* How many there are; the flags of one of them */
static int find_opened(struct daemon *d, const char *path, int *ret_flags)
{
	pid_t worker = daemon_worker(d);
	char fds[64];
	int n = 0;

	snprintf(fds, sizeof(fds), "/proc/%d/fd", worker);

	DIR *dir = opendir(fds);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		int flags = flags_if_open(worker, e->d_name, path);

		if (flags >= 0) {
			*ret_flags = flags;
			n++;
		}
	}
	if (dir)
		closedir(dir);
	return n;
}

int daemon_opened(struct daemon *d, const char *path)
{
	int flags;

	return find_opened(d, path, &flags);
}

int daemon_open_flags(struct daemon *d, const char *path)
{
	int flags;

	return find_opened(d, path, &flags) ? flags : -1;
}
