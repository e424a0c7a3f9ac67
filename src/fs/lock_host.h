/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Locks on the host, none of which ever waits. The node's stripe is held by the
 * caller of each of these; the table (lock_table.h) is kept in step.
 *
 * POSIX locks are the host's open file description locks, one description to
 * each owner on each node, made by reopening the node: so owners exclude each
 * other and the host's processes, and closing the description gives up all that
 * its owner had. flock() is put on the description of the guest's open file.
 */
#ifndef FS_LOCK_HOST_H
#define FS_LOCK_HOST_H

#include "fs/lock_table.h"
#include "fs/share.h"

/* The open file and the node of a lock, for as long as somebody works on it. */
struct lock_files {
	struct node_pin node;
	struct handle_pin file;
};

/* 0, or -EBADF if either is gone, as far as the guest is concerned. */
int lock_files_pin(struct fs *fs, const struct lock_want *want,
		   struct lock_files *ret);
void lock_files_unpin(struct lock_files *f);
#define _cleanup_lock_files_ _cleanup_(lock_files_unpin)

/*
 * Takes a lock if that is possible now. -EAGAIN: somebody else has it, and
 * *ret_blocker says what stands in the way. *gain is set when somebody else may
 * get a lock now, even if this one failed: an flock that cannot be changed is
 * lost, as on the host.
 */
int lock_try(struct fs *fs, const struct lock_want *want,
	     const struct lock_files *files, struct lock_span *ret_blocker,
	     bool *gain);

/* Releases want->span, whatever its type. 0 or -errno. */
int lock_untake(struct fs *fs, const struct lock_want *want,
		const struct lock_files *files, bool *gain);

/* Releases all that an owner has, and forgets it. @fd: the guest's open file,
 * for flock; -1: it keeps that until it is closed. */
void lock_let_go(struct fs *fs, struct lock_owner *o, int fd);

/*
 * After a worker's death: takes over the owners that it has left, and asks the
 * host what each of them holds. Those that hold nothing, or whose node or open
 * file is gone, go too.
 */
void lock_attach(struct fs *fs);

/* Whether somebody who is not an owner here holds what POSIX lock @want wants:
 * -EAGAIN and what, 0, or -errno. */
int lock_probe(struct fs *fs, const struct lock_want *want,
	       const struct lock_files *files, struct lock_span *ret_held);

#endif
