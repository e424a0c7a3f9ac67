/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/gate.h"

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

/* syscalls: futex */
void futex_wait(_Atomic uint32_t *word, uint32_t while_value, unsigned int ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000,
		.tv_nsec = (long)(ms % 1000) * 1000000,
	};

	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, while_value,
		ms ? &ts : NULL, NULL, 0);
}

void futex_wake(_Atomic uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

void gate_init(struct gate *g)
{
	atomic_store(&g->closed, 1);
}

bool gate_enter(struct gate *g, struct gate_pass *p)
{
	atomic_store(&p->busy, 1);
	if (!atomic_load(&g->closed))
		return true;
	gate_leave(g, p);
	return false;
}

void gate_leave(struct gate *g, struct gate_pass *p)
{
	atomic_store(&p->busy, 0);
	if (atomic_load(&g->closed))
		futex_wake(&p->busy);
}

void gate_close(struct gate *g)
{
	atomic_store(&g->closed, 1);
}

int gate_wait(struct gate_pass *p, unsigned int ms)
{
	uint64_t now, end = 0;

	while (atomic_load(&p->busy)) {
		now = clock_ms();
		if (end == 0)
			end = now + ms;
		if (now >= end)
			return -ETIMEDOUT;
		futex_wait(&p->busy, 1, (unsigned int)(end - now));
	}
	return 0;
}

void gate_open(struct gate *g)
{
	atomic_store(&g->closed, 0);
}
