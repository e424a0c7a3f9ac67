/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The descriptors that a worker which died has left.
 *
 * A new worker shares the descriptor table of the old one. Everything that a
 * record in the arena names, and everything the keeper has, is recalled here;
 * what nobody names after that was being opened or closed when the old worker
 * died, and is closed. What is opened here meanwhile stays. One thread, before
 * there is a second one.
 */
#ifndef BASE_RECALL_H
#define BASE_RECALL_H

#include <stdbool.h>
#include <stddef.h>

/* Begins: no descriptor counts as opened here any more. 0 or -errno. */
int recall_begin(void);

/*
 * A descriptor that a record names. 0, and it counts as one that was opened
 * here; -EBADF if it is not open or has been named before.
 */
int recall_fd(int fd);

/* Between the two: recall_fd() may be called. */
bool recall_runs(void);

/* Closes all that was not named; in /proc/self/fd. Returns their number, or -errno. */
int recall_end(void);

/*
 * All descriptors that are open now, in an array that the caller frees: their
 * number, or -errno. @proc_fd is a /proc. The keeper, before the first worker.
 */
int recall_list(int proc_fd, int **ret_fds);

#endif
