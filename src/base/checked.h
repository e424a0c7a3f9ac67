/* SPDX-License-Identifier: BSD-3-Clause */
/* Arithmetic that says when it does not fit. */
#ifndef BASE_CHECKED_H
#define BASE_CHECKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* True if a + b (or a * b) does not fit *ret, which is then not to be used. */
#define add_overflow(a, b, ret) __builtin_add_overflow(a, b, ret)
#define mul_overflow(a, b, ret) __builtin_mul_overflow(a, b, ret)

static inline size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline long min_long(long a, long b)
{
	return a < b ? a : b;
}

static inline bool is_power_of_2(uint64_t n)
{
	return n != 0 && (n & (n - 1)) == 0;
}

/* Round up or down to a multiple of @to, a power of two. */
static inline uint64_t round_down(uint64_t n, uint64_t to)
{
	return n & ~(to - 1);
}

static inline uint64_t round_up(uint64_t n, uint64_t to)
{
	return round_down(n + to - 1, to);
}

#endif
