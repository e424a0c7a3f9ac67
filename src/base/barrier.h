/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Access to little-endian fields that another party reads and writes at the
 * same time: a guest's CPU, or another thread. Each access is one load or one
 * store of the machine; what it is ordered against is said where it is used.
 */
#ifndef BASE_BARRIER_H
#define BASE_BARRIER_H

#include <endian.h>
#include <stdatomic.h>
#include <stdint.h>

static inline uint16_t load_le16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_RELAXED));
}

static inline uint16_t load_acquire_le16(const uint16_t *p)
{
	return le16toh(__atomic_load_n(p, __ATOMIC_ACQUIRE));
}

static inline void store_le16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELAXED);
}

static inline void store_release_le16(uint16_t *p, uint16_t v)
{
	__atomic_store_n(p, htole16(v), __ATOMIC_RELEASE);
}

static inline void store_le32(uint32_t *p, uint32_t v)
{
	__atomic_store_n(p, htole32(v), __ATOMIC_RELAXED);
}

/*
 * Orders an earlier store against a later load, which nothing weaker does: the
 * two sides of a "I publish mine, then look at yours" hand-shake.
 */
static inline void barrier_full(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Within a loop that waits for another CPU. */
static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#endif
}

#endif
