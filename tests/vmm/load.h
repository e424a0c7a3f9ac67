/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_LOAD_H
#define VMM_LOAD_H

#include "load_call.h"
#include "vmm.h"

/*
 * An asynchronous driver: `depth` lanes on one ring, one thread. A lane does one operation after
 * the other, each of one or more requests in turn; what it does is a step function, called with
 * lane->step = 0 for a new operation and then after each reply. It builds the next request in
 * lane->call and says what is to be done:
 */
enum load_verdict {
	LOAD_SEND,	/* submit lane->call, come back with its lane->result */
	LOAD_DONE,	/* the operation is complete: count it, begin the next */
	LOAD_IDLE,	/* no operation to begin until another lane has gone on; asked again then */
	LOAD_END,	/* this lane has nothing more to do */
};
/* or -errno: the run has failed. */

struct load;

struct load_lane {
	struct load *load;
	unsigned int index;		/* of all lanes of all rings */
	struct load_call call;
	int result;			/* load_result() of the last reply */
	unsigned int step;		/* the step function's own, zeroed for each operation */
	bool apart;			/* not counted, not measured (what others are disturbed by) */
	bool idle;
	uint64_t node, fh, pos;		/* the step function's own */
	bool no_flush;			/* likewise */
	uint64_t random;
	int64_t since;
	void *arg;
};

typedef int (*load_step)(struct load_lane *lane);

/* Latencies in ns: exact below 32, then 32 steps to each power of two (3 % wide). */
#define LOAD_HIST (60 * 32)

struct load_result {
	uint64_t ops, units, requests;
	int64_t start, end;
	int64_t max_ns;
	uint32_t hist[LOAD_HIST];
};

struct load {
	struct ring *ring;
	struct load_lane *lane;
	unsigned int depth;
	bool spin;			/* poll; else sleep on the call eventfd */
	int64_t length;			/* ns after which no operation begins; 0: no limit */
	uint64_t max_ops;		/* nor after so many; 0: no limit */
	load_step step;
	/* called when only lanes that are `apart` still wait for replies and no more is begun */
	void (*last)(void *arg);
	void *arg;

	struct load_result res;
	unsigned int inflight, nidle, apart_inflight;
	int error;
	/* Set from a signal handler when the device has died: the run ends with -ECHILD. The
	 * handler has to write to the ring's call eventfd as well. */
	volatile bool gone;
};

size_t load_space(unsigned int depth, size_t data_max);
/* load_init() - lanes on a ring, numbered from first_lane on; the ring's call eventfd becomes a
 * blocking one */
int load_init(struct load *ld, struct vmm *v, unsigned int queue, unsigned int depth,
	      size_t data_max, unsigned int first_lane);
void load_free(struct load *ld);
/* load_run() - returns 0 when all lanes have ended, or the first error of a step function */
int load_run(struct load *ld);

void load_hist_add(struct load_result *res, int64_t ns);
/* load_hist_at() - the latency below which the part lies (0.99: of 99 in 100), in ns */
int64_t load_hist_at(const struct load_result *res, double part);
/* load_merge() - add what another thread measured */
void load_merge(struct load_result *to, const struct load_result *from);

static inline uint64_t load_random(struct load_lane *l)
{
	/* xorshift64*: cheap, and good enough to hit pages evenly */
	l->random ^= l->random >> 12;
	l->random ^= l->random << 25;
	l->random ^= l->random >> 27;
	return (l->random * 0x2545f4914f6cdd1dull) >> 16;
}

#endif
