/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the tests of locks share: a file that is open, and clients that wait for locks on it, each
 * on a queue of its own.
 */
#ifndef FUNC_LOCKERS_H
#define FUNC_LOCKERS_H

#include <fcntl.h>

#include "func.h"

#define ALL 0, GUEST_LOCK_END
#define LOCKERS 6

extern struct guest locker[LOCKERS];	/* on queues 2 and up */
extern uint64_t node, fh;		/* of "f", open to read and write */

/* lockers_start() - a daemon with both kinds of locks, fx.g and the lockers */
void lockers_start(void);
/* lockers_start_with() - the same with these arguments, which turn the locks on */
void lockers_start_with(const char *const *args);
/* lockers_open() - "f" once more, in a new session */
void lockers_open(void);
void lockers_hang_up(void);
void lockers_end(void);

/* A lock by `fh`, by its owner's number; and an flock by an open file */
struct guest_lock posix(uint64_t owner, uint32_t type, uint64_t first, uint64_t last);
struct guest_lock whole(uint64_t by, uint32_t type);

/* set() - SETLK by fx.g */
int set(struct guest_lock l);
/* ask() - SETLKW by a locker, whose answer() is taken later */
void ask(unsigned int i, struct guest_lock l);
/* ask_and_wait() - the same, and it is in line when this returns: who comes next is behind it */
void ask_and_wait(unsigned int i, struct guest_lock l);
bool answered(unsigned int i);
int answer(unsigned int i);
void expect_waiting(unsigned int i);

/* host_lock() - a process of the host has it until the descriptor is closed; how: F_SETLK ... */
int host_lock(short type, off_t first, off_t len, int how);
/* host_is_free() - nobody has a lock of either kind */
bool host_is_free(void);

#endif
