/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whether a dead worker is replaced. Not more often than the configuration says:
 * a new worker has the address layout of the old one, so each is another guess
 * for whoever attacks it.
 */
#ifndef KEEPER_RESTART_H
#define KEEPER_RESTART_H

#include "keeper/keeper.h"

#define RESTART_MAX 1000U
#define RESTART_SEC_MAX 1000000U

struct restarts {
	uint64_t at_ms[RESTART_MAX]; /* of the last ones, in a ring */
	unsigned int n; /* all that there were */
};

/* Reads "N/SECONDS" into the configuration; NULL: none at all. 0 or -EINVAL. */
int restart_limit(const char *text, struct config *cfg);

/*
 * Says in the log what a worker died of, what it was carrying out and what is
 * done about it. True if another one is to be started.
 */
bool restart_decide(struct restarts *r, const struct config *cfg,
		    const struct keeper *k, int signal, uint64_t now_ms);

#endif
