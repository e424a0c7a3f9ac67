/* SPDX-License-Identifier: BSD-3-Clause */
#include "keeper/restart.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "device/device.h"
#include "fuse/optable.h"

/* Requests that are named in the log; more than one a queue is rare. */
#define NAMED_MAX 8U

int restart_limit(const char *text, struct config *cfg)
{
	unsigned int max = 0, sec = 0;
	char more;

	if (text && (strspn(text, "0123456789/") != strlen(text) ||
		     sscanf(text, "%u/%u%c", &max, &sec, &more) != 2 ||
		     max > RESTART_MAX || sec > RESTART_SEC_MAX))
		return -EINVAL;
	cfg->restart_max = max;
	cfg->restart_sec = sec;
	return 0;
}

/*
 * The numbers that the dead worker has left, which may say anything: they are
 * used to choose words, and bounded before that.
 */
static unsigned int log_acting_of(const struct inflight *fl, unsigned int queue,
				  uint32_t num, unsigned int room)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < num && n < room; i++) {
		const struct fuse_op *op = fuse_op(fl[i].opcode);

		if (inflight_phase(&fl[i]) != INFLIGHT_ACTING)
			continue;
		log_error("it was carrying out: queue %u: %s (unique %llu)",
			  queue, op ? op->name : "?",
			  (unsigned long long)fl[i].unique);
		n++;
	}
	return n;
}

static void log_acting(const struct arena *a)
{
	const struct queue_record *rec = arena_section(a, ARENA_QUEUES);
	const struct inflight *fl = arena_section(a, ARENA_INFLIGHT);
	unsigned int left = NAMED_MAX;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX && left; i++) {
		if (rec[i].named && rec[i].num <= WIRE_VRING_SIZE_MAX)
			left -= log_acting_of(fl, i, rec[i].num, left);
		fl += WIRE_VRING_SIZE_MAX;
	}
}

static bool within_limit(struct restarts *r, const struct config *cfg,
			 uint64_t now_ms)
{
	uint64_t *oldest;

	if (cfg->restart_max == 0)
		return false;
	/* The one that was as many restarts ago as there may be. */
	oldest = &r->at_ms[r->n % cfg->restart_max];
	if (r->n >= cfg->restart_max &&
	    now_ms - *oldest < (uint64_t)cfg->restart_sec * 1000)
		return false;
	*oldest = now_ms;
	r->n++;
	return true;
}

bool restart_decide(struct restarts *r, const struct config *cfg,
		    const struct keeper *k, int signal, uint64_t now_ms)
{
	log_error("the worker died of signal %d (%s)", signal,
		  strsignal(signal));
	log_acting(&k->arena);
	if (!within_limit(r, cfg, now_ms)) {
		if (cfg->restart_max)
			log_error("%u workers have died in the last %u s: this is the end",
				  cfg->restart_max + 1, cfg->restart_sec);
		return false;
	}
	log_warn("another worker goes on where it was");
	return true;
}
