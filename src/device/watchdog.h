/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Looks after the leaders of the queues, every 2 ms while requests come in: one
 * that was at the same request at two looks loses the lead to another member.
 * It sleeps as soon as nothing goes on, and the next request wakes it.
 */
#ifndef DEVICE_WATCHDOG_H
#define DEVICE_WATCHDOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/scope.h"
#include "device/gate.h"
#include "wire/vhost_user.h"

struct device;

enum watchdog_state {
	WATCHDOG_TICKS,
	WATCHDOG_SLEEPS, /* until a request begins */
	WATCHDOG_CALLED, /* it is to look at once */
};

struct watchdog {
	_Atomic uint32_t state _cacheline_; /* enum watchdog_state */
	_Atomic uint32_t stop;
	struct device *dev;
	pthread_t thread;
	bool have_thread;
	/* The thread's own: each lead as it was at the last look. */
	uint64_t seen[VHOST_USER_QUEUES_MAX];
};

/* Starts the thread unless it runs. 0 or -errno. Control thread. */
int watchdog_start(struct watchdog *d, struct device *dev);

/* Ends it: 0, or -ETIMEDOUT if it has not ended by @deadline. */
int watchdog_stop(struct watchdog *d, const struct timespec *deadline);

/* A leader is at the end of its means. Any thread. */
void watchdog_call(struct watchdog *d);

void watchdog_wake(struct watchdog *d);

/* A request begins, and the lead says so. Any thread. */
static inline void watchdog_notice(struct watchdog *d)
{
	if (atomic_load(&d->state) == WATCHDOG_SLEEPS)
		watchdog_wake(d);
}

#endif
