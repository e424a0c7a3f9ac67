/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stdint.h>

/* What a daemon, all processes of it, has used or holds. */
struct usage {
	int64_t cpu_ns;			/* so far, threads that have ended included */
	uint64_t switches;		/* voluntary context switches of the threads there are */
	long rss_kb, private_kb;	/* private: the sum of Private_* of its mappings */
	int fds, threads;
};

void usage_cpu(int pid, struct usage *ret);
/* usage_all() - takes milliseconds where there are many mappings */
void usage_all(int pid, struct usage *ret);

#endif
