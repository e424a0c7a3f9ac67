/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Kills the daemon's worker at a point that can be named: before or after the n-th system call
 * that the thread of the first request queue makes for a request, or after its n-th instruction.
 * A thread of the test traces it (ptrace(2)), while the test itself is the guest.
 */
#ifndef FUNC_KILLER_H
#define FUNC_KILLER_H

#include "func.h"

enum killer_unit { KILLER_CALLS, KILLER_STEPS };

/* killer_arm() - from here on the queue's thread is watched; n counts from 0. UINT_MAX: never */
void killer_arm(enum killer_unit unit, unsigned int n);
/* killer_arm_control() - the same for the control thread, which carries out INIT and DESTROY */
void killer_arm_control(enum killer_unit unit, unsigned int n);
/* killer_result() - after the request: the worker was killed. If not, it is let go, and
 * *ret_seen (may be NULL) is how many points there were. */
bool killer_result(unsigned int *ret_seen);

/* killer_worker() - launcher, keeper, worker: the third, or 0 while there is none */
pid_t killer_worker(void);
/* killer_kill() - kill the worker with a signal, wherever it is, and wait for the next one */
void killer_kill(int sig);
/* killer_kill_twice() - kill the worker, and the next one at its n-th system call; wait until one
 * serves. False, and it lives, if it made fewer before it did. */
bool killer_kill_twice(unsigned int n);
/* killer_wait_next() - a worker was killed: wait until the next one serves */
void killer_wait_next(void);

/* The arguments of a daemon whose workers may die as often as they like */
extern const char *const killer_args[];

#endif
