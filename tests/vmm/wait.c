/* SPDX-License-Identifier: BSD-3-Clause */
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "wait.h"

int wait_scaled(int ms)
{
	const char *s = getenv("VMM_TIMEOUT_SCALE");
	int scale = s ? atoi(s) : 1;

	if (scale < 1 || ms > INT_MAX / scale)
		return ms;
	return ms * scale;
}

int64_t wait_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

int64_t wait_now_ms(void)
{
	return wait_now_ns() / 1000000;
}

void wait_sleep_ms(int ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&ts, NULL);
}
