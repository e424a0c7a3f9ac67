/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guesses which node a name stands for.
 *
 * A LOOKUP of a name whose file is a node takes one system call (statx by name,
 * and the numbers are compared with the node's); of any other it takes two, and
 * the first must not be the statx. So this remembers names that were found: one
 * tag for each hash of directory and name, with the lower half of the node's
 * number (base/slots.h), overwritten by whoever comes next. Nothing is taken out
 * when the guest forgets: the number is no node's any more then. A wrong guess
 * costs a call, never an answer.
 *
 * The part in use doubles as names come, and with it the memory that they are spread
 * over.
 */
#ifndef FS_HINTS_H
#define FS_HINTS_H

#include <stdatomic.h>
#include <stdint.h>

#define HINTS_MIN (1U << 10)
#define HINTS_MAX (1U << 17) /* 1 MiB */

struct hints {
	_Atomic uint64_t *place; /* tag << 32 | lower half of a node's number */
	_Atomic uint32_t mask; /* places in use - 1 */
	_Atomic uint32_t noted; /* names, since it was set */
};

/* What is left of directory and name; its place follows from it, too. */
struct hint {
	uint32_t tag;
};

int hints_init(struct hints *h);
void hints_destroy(struct hints *h);

/* @dir is the directory's number, @name without a slash. */
struct hint hint_of(uint64_t dir, const char *name);

/* What was noted with the name, or 0. Any thread, no lock, as of the others. */
uint32_t hints_find(const struct hints *h, struct hint hint);
void hints_note(struct hints *h, struct hint hint, uint32_t node);
void hints_drop(struct hints *h, struct hint hint);

#endif
