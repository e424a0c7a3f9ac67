/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ranges of a file that one lock owner holds: a list without overlaps,
 * sorted, its neighbours merged where POSIX would. Plain data; the caller
 * locks.
 *
 * Ranges come from one pool, whose memory is reserved at the start and touched
 * only as it is used. What a change may need is taken out beforehand
 * (lock_spare), so that nothing can fail once the host has said yes.
 */
#ifndef FS_LOCK_RANGE_H
#define FS_LOCK_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* In all, of all owners. More is ENOLCK. */
#define LOCK_RANGES_MAX (1U << 18)

/* The last byte that a file can have: a lock "to the end". */
#define LOCK_TO_END ((uint64_t)INT64_MAX)

/* First and last byte, and F_RDLCK, F_WRLCK or F_UNLCK. */
struct lock_span {
	uint64_t start, end;
	uint32_t type;
};

struct lock_range {
	struct lock_span span;
	uint32_t next; /* index + 1; 0: none */
};

struct lock_pool {
	struct lock_range *range;
	uint32_t free; /* index + 1 */
	uint32_t used; /* ranges that were ever in use */
};

/* A change of a list needs no more than this. */
#define LOCK_SPARES 2U
struct lock_spare {
	uint32_t index[LOCK_SPARES]; /* + 1; 0: none */
};

int lock_pool_init(struct lock_pool *p);
void lock_pool_destroy(struct lock_pool *p);

/* Gives back all memory; every list is void. */
void lock_pool_clear(struct lock_pool *p);

/* Takes out what one change may need, or -ENOLCK. lock_unspare() gives back
 * what is left of it. */
int lock_spare(struct lock_pool *p, struct lock_spare *ret);
void lock_unspare(struct lock_pool *p, struct lock_spare *spare);

/* Two owners cannot both have them. */
bool lock_span_conflict(const struct lock_span *a, const struct lock_span *b);

/* The first range of a list that @want is in conflict with, or NULL. */
const struct lock_span *lock_list_conflict(const struct lock_pool *p,
					   uint32_t list,
					   const struct lock_span *want);

/*
 * Makes the range of *list that @span covers what @span says, as fcntl(2)
 * does. Returns whether somebody else may have gained by that: something was
 * unlocked or is only read-locked now.
 */
bool lock_list_set(struct lock_pool *p, uint32_t *list,
		   const struct lock_span *span, struct lock_spare *spare);

/* Empties a list. */
void lock_list_free(struct lock_pool *p, uint32_t *list);

#endif
