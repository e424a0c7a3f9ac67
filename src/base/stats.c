/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/stats.h"

unsigned int stats_bucket(uint64_t ns)
{
	unsigned int power, bucket;

	if (ns < 1U << STATS_BUCKET_SHIFT)
		return 0;
	power = 63 - (unsigned int)__builtin_clzll(ns);
	bucket = (power - STATS_BUCKET_SHIFT) * 4 +
		 (unsigned int)(ns >> (power - 2) & 3) + 1;
	return bucket < STATS_BUCKETS ? bucket : STATS_BUCKETS - 1;
}

uint64_t stats_bucket_start(unsigned int bucket)
{
	if (bucket == 0)
		return 0;
	return (uint64_t)(4 + (bucket - 1) % 4)
	       << ((bucket - 1) / 4 + STATS_BUCKET_SHIFT - 2);
}

void stats_sum(struct stats_op *sum, const struct stats_op *op)
{
	stats_add(&sum->count, stats_get(&op->count));
	stats_add(&sum->errors, stats_get(&op->errors));
	stats_add(&sum->bytes, stats_get(&op->bytes));
	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		sum->bucket[i] += op->bucket[i];
}

uint64_t stats_timed(const struct stats_op *op)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < STATS_BUCKETS; i++)
		n += op->bucket[i];
	return n;
}

uint64_t stats_quantile(const struct stats_op *op, unsigned int per_mille)
{
	uint64_t all = stats_timed(op), seen = 0;
	unsigned int i;

	if (all == 0)
		return 0;
	for (i = 0; i < STATS_BUCKETS - 1; i++) {
		seen += op->bucket[i];
		if (seen && seen >= (all * per_mille + 999) / 1000)
			break;
	}
	/* The middle of the bucket stands for all in it. */
	return (stats_bucket_start(i) + stats_bucket_start(i + 1)) / 2;
}
