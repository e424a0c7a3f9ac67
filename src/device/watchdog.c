/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/watchdog.h"

#include <errno.h>
#include <sys/prctl.h>

#include "device/device.h"

#define TICK_MS 2U
/* Looks without a change before it sleeps. */
#define QUIET_LOOKS 2U

static bool has_changed(const struct watchdog *d)
{
	struct crew *crew;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		crew = atomic_load(&d->dev->crew[i]);
		if (crew && atomic_load(&crew->lead) != d->seen[i])
			return true;
	}
	return false;
}

/* Returns whether anything goes on. */
static bool look(struct watchdog *d)
{
	bool busy = false;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		struct crew *crew = atomic_load(&d->dev->crew[i]);
		uint64_t word = crew ? atomic_load(&crew->lead) : 0;

		if (word & LEAD_ACTS)
			busy = true;
		if (word & LEAD_ACTS &&
		    (word == d->seen[i] || word & LEAD_BLOCKED))
			crew_relieve(crew, word);
		if (word != d->seen[i])
			busy = true;
		d->seen[i] = word;
		if (crew)
			crew_add_wanted(crew);
	}
	return busy;
}

/* The state first, then one more look; pairs with the leader's change of its
 * word before it looks at the state. */
static void sleep_until_woken(struct watchdog *d)
{
	uint32_t state = WATCHDOG_TICKS;

	if (!atomic_compare_exchange_strong(&d->state, &state, WATCHDOG_SLEEPS))
		return;
	if (!has_changed(d) && !atomic_load(&d->stop))
		futex_wait(&d->state, WATCHDOG_SLEEPS, 0);
	state = WATCHDOG_SLEEPS;
	(void)atomic_compare_exchange_strong(&d->state, &state, WATCHDOG_TICKS);
}

/* syscalls: prctl:PR_SET_NAME */
static void *watchdog_main(void *arg)
{
	struct watchdog *d = arg;
	unsigned int quiet = 0;

	(void)prctl(PR_SET_NAME, "watchdog");
	while (!atomic_load(&d->stop)) {
		atomic_store(&d->state, WATCHDOG_TICKS);
		quiet = look(d) ? 0 : quiet + 1;
		if (quiet >= QUIET_LOOKS)
			sleep_until_woken(d);
		else
			futex_wait(&d->state, WATCHDOG_TICKS, TICK_MS);
	}
	return NULL;
}

int watchdog_start(struct watchdog *d, struct device *dev)
{
	int r;

	if (d->have_thread)
		return 0;
	d->dev = dev;
	r = pthread_create(&d->thread, NULL, watchdog_main, d);
	d->have_thread = r == 0;
	return -r;
}

int watchdog_stop(struct watchdog *d, const struct timespec *deadline)
{
	if (!d->have_thread)
		return 0;
	atomic_store(&d->stop, 1);
	watchdog_call(d);
	if (pthread_timedjoin_np(d->thread, NULL, deadline))
		return -ETIMEDOUT;
	d->have_thread = false;
	return 0;
}

void watchdog_call(struct watchdog *d)
{
	atomic_store(&d->state, WATCHDOG_CALLED);
	futex_wake(&d->state);
}

void watchdog_wake(struct watchdog *d)
{
	uint32_t state = WATCHDOG_SLEEPS;

	if (atomic_compare_exchange_strong(&d->state, &state, WATCHDOG_TICKS))
		futex_wake(&d->state);
}
