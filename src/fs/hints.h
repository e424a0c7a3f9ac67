/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guesses which names the guest knows already.
 *
 * A LOOKUP of a name whose file is a node takes one system call (statx by name,
 * and the numbers are found in the node table); of any other it takes two, and
 * the first must not be the statx. So this remembers names that were found: one
 * tag for each hash of directory and name, overwritten by whoever comes next. A
 * wrong guess costs a call, never an answer.
 */
#ifndef FS_HINTS_H
#define FS_HINTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define HINTS_MAX (1U << 17) /* 512 KiB, touched as names come */

struct hints {
	_Atomic uint32_t *tag;
};

/* A name's place in the table and what is there if it is known. */
struct hint {
	uint32_t index, tag;
};

int hints_init(struct hints *h);
void hints_destroy(struct hints *h);

/* @dir is the directory's number, @name without a slash. */
struct hint hint_of(uint64_t dir, const char *name);

/* Any thread, no lock. */
bool hints_know(const struct hints *h, struct hint hint);
void hints_add(struct hints *h, struct hint hint);
void hints_drop(struct hints *h, struct hint hint);

#endif
