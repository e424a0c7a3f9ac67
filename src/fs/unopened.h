/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files that the guest reads and writes without having opened them (--no-open).
 *
 * A guest whose first OPEN or OPENDIR is answered with ENOSYS sends no more of them,
 * nor RELEASE, and a handle of 0 with what it asks for. What it means is told by the
 * node: the first request opens the file here, and it stays open for the next ones,
 * until the guest forgets the node, or UNOPENED_MAX others have been opened since.
 *
 * They are handles of a kind of their own (fs/handle.h), which no number from the
 * guest leads to. A worker's death closes them.
 */
#ifndef FS_UNOPENED_H
#define FS_UNOPENED_H

#include <stdatomic.h>
#include <stdint.h>

#include "fs/handle.h"

struct fs;

/* So many are kept open. */
#define UNOPENED_MAX 1024U

struct unopened {
	/* By the index of the node: the handle of its file, or 0. */
	_Atomic uint64_t *by_node;
	/* The handles in the order in which they were opened, a ring. */
	_Atomic uint64_t *line;
	_Atomic uint32_t next;
};

int unopened_init(struct unopened *u);
void unopened_destroy(struct unopened *u);
/* The handles are closed by now. */
void unopened_clear(struct unopened *u);

/*
 * Gets at the open file that a request means by @fh, of a node: as handle_pin(),
 * or if it is 0 and the guest opens nothing, one that is opened here, to write if
 * it @writes. Any thread.
 */
int unopened_pin(struct fs *fs, uint64_t nodeid, uint64_t fh,
		 enum handle_kind kind, bool writes, struct handle_pin *ret);

/* Whether a request means a file of that kind by its node, whatever it has opened. */
bool unopened_is(const struct fs *fs, uint64_t fh, enum handle_kind kind);

/* Makes a descriptor (consumed) that was opened to read and write the node's. 0 or
 * -errno. */
int unopened_put(struct fs *fs, uint64_t nodeid, int *fd, unsigned int fs_class);

/* Closes those that are the longest in the line: false if there were none. For
 * fs_relieve(). */
bool unopened_relieve(struct fs *fs);

/* The guest has forgotten the node. */
void unopened_forget(struct fs *fs, uint64_t nodeid);

#endif
