/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "guest.h"
#include "load.h"
#include "load_forget.h"
#include "usage.h"

#define TARGETS_MAX	16
#define SETS_MAX	8
#define PAGE		4096u

struct bench;
struct target;
struct host;

/*
 * What is measured. Each function may be NULL and returns 0 or -errno. One operation through a
 * daemon is `step` (see load.h; lane->arg is the target), by plain system calls `host_op`.
 */
struct work {
	const char *name, *unit, *what;
	size_t data_max;		/* most bytes of data in a request */
	unsigned int min_depth;		/* 0: any */
	bool set;			/* a sample is a fixed set of operations, not a time */
	const char *option;		/* NAME=VALUE for the placeholders of command lines */
	unsigned int unit_bytes;	/* for MB/s; 0: not about data */
	uint32_t open_flags;		/* of the files that it opens, besides the access mode */

	int (*make)(struct bench *b);		/* files, on the host, once */
	int (*mount)(struct target *t);		/* once for each daemon: nodes and open files */
	int (*before)(struct target *t);	/* around each sample, not measured ... */
	int (*after)(struct target *t);		/* ... but by the target's own `extra` */
	load_step step;
	void (*last)(void *target);		/* struct load's */

	int (*host_before)(struct host *h);
	int (*host_op)(struct host *h);		/* units done; -ENODATA at the set's end */
	int (*host_after)(struct host *h);
};

extern const struct work *const works[];

/* How large the sets are. */
struct scale {
	uint64_t data;			/* bytes of the file for reads and writes */
	unsigned int hot, cold;		/* files */
	unsigned int dirs, entries;	/* directories, and files in each */
	unsigned int fanout, leaves;	/* of the tree: three levels of folders; files in each */
	unsigned int untar;		/* files */
	uint64_t nodes;
};

/* The same work without a daemon. */
struct host {
	struct bench *bench;
	int share, own;			/* directories */
	int fd;
	uint64_t pos, random;
	uint8_t *buf;			/* pages at the stride of a guest's */
	struct iovec *iov;
};

/* A daemon, the machine that uses it, and what a workload keeps about it. */
struct target {
	struct bench *bench;
	const char *name, *command;	/* command NULL: plain system calls */
	int pid;
	char socket[96], log[96];
	struct vmm vmm;
	struct guest guest;
	struct load_forget forget;
	struct load *load;		/* one for each queue */
	struct host host;

	uint64_t own;			/* node of the directory that is its alone */
	uint64_t dir, file, fh;		/* what most workloads need one of */
	uint64_t *node;			/* by number of the hot file or of the directory */
	uint64_t *looked;		/* how often each was looked up */
	uint64_t *held;			/* nodes to forget after the sample */
	uint64_t nheld, held_max;
	uint64_t cursor;		/* next of the set */
	bool no_open, no_flush;
	bool disturbed;			/* the lane that is apart is at work */
	int answer;			/* what it was answered, if it was an error */
	int lock_fd;
	uint64_t *stack;		/* nodes of directories still to be walked */
	unsigned int nstack;
	pthread_mutex_t stack_lock;
	int64_t extra_ns;		/* time that `after` took, where that is a result */
};

enum cpus { CPUS_ONE, CPUS_EACH, CPUS_ANY };

struct bench {
	const struct work *work;
	struct scale scale;
	const char *dir;		/* where the share is made */
	char top[128], share[160], run[64];
	unsigned int depth, queues, rounds;
	double seconds;
	uint64_t max_ops;
	enum cpus cpus;
	uint32_t uid;
	bool spin, strace, quick;
	int slowfs;			/* pid of the file system's server, 0: none */
	struct target *target[TARGETS_MAX];	/* those that are still measured ... */
	struct target *all[TARGETS_MAX];	/* ... and those that were given */
	unsigned int ntargets, nall;
	const char *option[SETS_MAX];	/* NAME=VALUE */
	unsigned int noptions;
};

/* fail() - say what failed on stderr, return r */
int fail(int r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* target.c */
int target_start(struct target *t);
void target_stop(struct target *t);
/* target_watch() - from now on this is the daemon whose death ends a run; NULL: none is */
void target_watch(struct target *t);
int host_start(struct target *t);
void host_stop(struct target *t);
/* cpus_pin() - the calling thread to the driver's or the daemon's CPU */
void cpus_pin(const struct bench *b, bool daemon);

/* sample.c */
int sample_all(struct bench *b);

/* strace.c: system calls of a daemon while something runs */
struct strace;
int strace_start(struct target *t, struct strace **ret);
/* strace_end() - writes a JSON object, calls per operation by name */
int strace_end(struct strace *s, uint64_t ops, FILE *out);

/* slowfs.c: a file system with a file that takes a second for each read */
#define SLOWFS_SLOW	"slow"
#define SLOWFS_FAST	"fast"
int slowfs_mount(const char *where, int *ret_pid);
void slowfs_unmount(const char *where, int pid);

/* files.c: what the workloads work on */
int make_data(struct bench *b);
int make_hot(struct bench *b);
int make_cold(struct bench *b);
int make_dirs(struct bench *b);
int make_tree(struct bench *b);
int make_nodes(struct bench *b);
void name_of(char *to, char kind, unsigned int i);

#endif
