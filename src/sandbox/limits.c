/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: let the daemon open as many files as a guest may come to know.
 * Mustn't: fail a start for what an unprivileged user cannot have.
 */
#include "sandbox/limits.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

#include "base/log.h"

#define NOFILE_USEFUL 1000000L

static long nr_open(void)
{
	FILE *f = fopen("/proc/sys/fs/nr_open", "re");
	long n = NOFILE_USEFUL;

	if (f) {
		if (fscanf(f, "%ld", &n) != 1)
			n = NOFILE_USEFUL;
		fclose(f);
	}
	return n;
}

/* syscalls(start): prlimit64 */
int limits_raise_nofile(long wanted)
{
	long open_max = nr_open();
	long useful = open_max < NOFILE_USEFUL ? open_max : NOFILE_USEFUL;
	rlim_t n = (rlim_t)(wanted > 0 ? wanted : useful);
	struct rlimit old, new;

	if (wanted == 0)
		return 0;
	if (getrlimit(RLIMIT_NOFILE, &old) < 0)
		return log_err(-errno, "RLIMIT_NOFILE");
	if (wanted < 0 && old.rlim_cur >= n)
		return 0;
	new.rlim_cur = n;
	new.rlim_max = old.rlim_max > n ? old.rlim_max : n;
	if (setrlimit(RLIMIT_NOFILE, &new) == 0)
		return 0;
	/* Not privileged: as far as this user may. */
	new.rlim_cur = new.rlim_max = old.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &new) < 0)
		return log_err(-errno, "RLIMIT_NOFILE");
	log_lacking(wanted > 0 ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
		    "no more than %llu open files are allowed",
		    (unsigned long long)old.rlim_max);
	return 0;
}
