/* SPDX-License-Identifier: BSD-3-Clause */
/* Cleanup attributes, assertions and other small things that every file uses. */
#ifndef BASE_SCOPE_H
#define BASE_SCOPE_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* The struct of which @p is the member. */
#define container_of(p, type, member)                                          \
	((type *)((char *)(p) - offsetof(type, member)))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define _cleanup_(fn) __attribute__((cleanup(fn)))
#define _printf_(f, a) __attribute__((format(printf, f, a)))
#define _cacheline_ __attribute__((aligned(64)))

/*
 * ASSERT() - something that only a bug of ours can make false
 * Mustn't: be reachable from what a guest or a front-end sends. The worker
 * dies at once: its state may be wrong, and the keeper still has the truth.
 */
#define ASSERT(x)                                                              \
	do {                                                                   \
		if (__builtin_expect(!(x), 0)) {                               \
			fprintf(stderr, "virtiofsd: %s:%d: %s is false\n",     \
				__FILE__, __LINE__, #x);                       \
			abort();                                               \
		}                                                              \
	} while (0)

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}
#define _cleanup_free_ _cleanup_(cleanup_free)

#endif
