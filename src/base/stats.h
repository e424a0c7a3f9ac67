/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one thread has served: counters and latencies of each op.
 *
 * A thread alone writes its own; anybody reads at any time and sees numbers that
 * were true a moment ago, each for itself. So counting is a load, an addition
 * and a store, without a lock or a shared cache line. One request in
 * STATS_SAMPLE, on average, is timed: the clock costs more than all the rest. The
 * whole is about thirty instructions a request.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Opcodes below this have a place of their own, all others the first one. */
#define STATS_OPS 64U
#define STATS_SAMPLE 16U

/* Latencies: four buckets for each power of two from 256 ns to nine minutes,
 * and one below and one above. */
#define STATS_BUCKETS 128U
#define STATS_BUCKET_SHIFT 8U

typedef _Atomic uint64_t stats_counter;

struct stats_op {
	stats_counter count, errors;
	stats_counter bytes; /* of requests and replies */
	_Atomic uint32_t bucket[STATS_BUCKETS]; /* of those that were timed */
};

struct stats {
	stats_counter notified; /* times that the guest was told */
	struct stats_op op[STATS_OPS];
};

static inline void stats_add(stats_counter *c, uint64_t n)
{
	atomic_store_explicit(c,
			      atomic_load_explicit(c, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline uint64_t stats_get(const stats_counter *c)
{
	return atomic_load_explicit((stats_counter *)c, memory_order_relaxed);
}

/* Whether a request is one to be timed: by its number, mixed, since a guest may well
 * do the same few things again and again. */
static inline bool stats_is_sample(uint64_t unique)
{
	return unique * 0x9e3779b97f4a7c15ULL < UINT64_MAX / STATS_SAMPLE;
}

/* Where a table of operations has @opcode; all that are unknown have one place. */
static inline uint32_t stats_place(uint32_t opcode)
{
	return opcode < STATS_OPS ? opcode : 0;
}

static inline struct stats_op *stats_of(struct stats *s, uint32_t opcode)
{
	return &s->op[stats_place(opcode)];
}

/* The bucket of a latency, and the lowest latency of a bucket, in ns. */
unsigned int stats_bucket(uint64_t ns);
uint64_t stats_bucket_start(unsigned int bucket);

static inline void stats_time(struct stats_op *op, uint64_t ns)
{
	_Atomic uint32_t *n = &op->bucket[stats_bucket(ns)];

	atomic_store_explicit(n,
			      atomic_load_explicit(n, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

/* Adds one op's numbers of a thread to a sum that nobody else looks at. */
void stats_sum(struct stats_op *sum, const struct stats_op *op);

/* How many requests were timed. */
uint64_t stats_timed(const struct stats_op *op);

/* The latency that so many in a thousand of them were not above: in ns, good to
 * 12 %; 0 if none was timed. */
uint64_t stats_quantile(const struct stats_op *op, unsigned int per_mille);

#endif
