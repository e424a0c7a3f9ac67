/* SPDX-License-Identifier: BSD-3-Clause */
/* The capabilities of the three processes. */
#ifndef SANDBOX_CAPS_H
#define SANDBOX_CAPS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"

/* Reads a list as in "+sys_admin:-CAP_MKNOD". 0 or -EINVAL. */
int caps_parse(const char *text, struct cap_mods *ret);

/* Whether this process has the capability (CAP_*) in effect. */
bool caps_have(unsigned int cap);

/* Which of its capabilities a daemon with this configuration goes on to need,
 * as bits; -EPERM (said in the log) if --modcaps asks for one it has not. */
int caps_wanted(const struct config *cfg, uint64_t *ret);

/*
 * caps_limit() - permitted and bounding set become @wanted, for good; nothing
 *	is in effect any more
 * caps_raise() - what is permitted comes into effect
 * caps_drop() - nothing is left
 */
int caps_limit(uint64_t wanted);
int caps_raise(void);
int caps_drop(void);

#endif
