/* SPDX-License-Identifier: BSD-3-Clause */
/* Time: a monotonic clock, and time-outs that stretch where everything is slower. */
#ifndef VMM_WAIT_H
#define VMM_WAIT_H

#include <stdint.h>

/* wait_scaled() - ms times $VMM_TIMEOUT_SCALE (sanitizers, emulation); 1 if it is not set */
int wait_scaled(int ms);
int64_t wait_now_ms(void);
int64_t wait_now_ns(void);
void wait_sleep_ms(int ms);

#endif
