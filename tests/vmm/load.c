/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The asynchronous driver's loop: take all completions there are, let their lanes go on, kick
 * once, and only then sleep or poll. A batch ends after `depth` completions so that a kick is
 * never put off for long.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "wait.h"

static void relax(void)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#else
	__asm__ volatile("" ::: "memory");
#endif
}

size_t load_space(unsigned int depth, size_t data_max)
{
	return depth * load_call_space(data_max);
}

int load_init(struct load *ld, struct vmm *v, unsigned int queue, unsigned int depth,
	      size_t data_max, unsigned int first_lane)
{
	*ld = (struct load){ .ring = &v->ring[queue], .depth = depth };
	ld->lane = calloc(depth, sizeof(*ld->lane));
	if (!ld->lane)
		return -ENOMEM;
	for (unsigned int i = 0; i < depth; i++) {
		struct load_lane *l = &ld->lane[i];
		int r = load_call_init(&l->call, &v->mem, data_max);

		if (r < 0)
			return r;
		l->load = ld;
		l->index = first_lane + i;
		l->random = 0x9e3779b97f4a7c15ull * (l->index + 1);
		l->call.in->unique = (uint64_t)(l->index + 1) << 32;
		for (unsigned int p = 0; p < l->call.pages; p++)
			memset(load_data(&l->call, p), 'a' + (l->index + p) % 26, LOAD_PAGE);
	}

	int fd = ld->ring->call_fd;

	return fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) < 0 ? -errno : 0;
}

void load_free(struct load *ld)
{
	free(ld->lane);
	ld->lane = NULL;
}

static bool may_begin(const struct load *ld, int64_t now)
{
	return !ld->error && (!ld->length || now - ld->res.start < ld->length) &&
	       (!ld->max_ops || ld->res.ops + ld->inflight < ld->max_ops);
}

static void count(struct load *ld, struct load_lane *l, int64_t now)
{
	if (l->apart)
		return;
	ld->res.ops++;
	load_hist_add(&ld->res, now - l->since);
}

/* Let a lane go on until it has a request in flight, is idle, or has ended. */
static void advance(struct load *ld, struct load_lane *l, int64_t now, bool fresh)
{
	for (;;) {
		if (fresh && !may_begin(ld, now))
			return;
		if (fresh) {
			l->step = 0;
			l->since = now;
		}

		int r = ld->step(l);

		fresh = r == LOAD_DONE;
		if (r == LOAD_DONE) {
			count(ld, l, now);
			continue;
		}
		if (r == LOAD_SEND)
			r = load_submit(&l->call, ld->ring, l);
		else if (r == LOAD_IDLE)
			l->idle = true;
		else if (r == LOAD_END)
			return;
		if (r < 0) {
			ld->error = ld->error ? ld->error : r;
			return;
		}
		ld->nidle += l->idle;
		ld->inflight += !l->idle;
		ld->apart_inflight += !l->idle && l->apart;
		return;
	}
}

static void wake_idle(struct load *ld, int64_t now)
{
	unsigned int n = ld->nidle;

	for (unsigned int i = 0; i < ld->depth && n; i++) {
		struct load_lane *l = &ld->lane[i];

		if (!l->idle)
			continue;
		n--;
		l->idle = false;
		ld->nidle--;
		if (!ld->error)
			advance(ld, l, now, true);
	}
}

/* All completions that are there, at most one for each lane; the time, 0 if there were none. */
static int64_t take_batch(struct load *ld)
{
	struct ring_done d;
	int64_t now = 0;
	int n = 0;

	for (unsigned int i = 0; i < ld->depth && (n = ring_poll(ld->ring, &d)) == 1; i++) {
		struct load_lane *l = d.cookie;

		if (!now)
			now = wait_now_ns();
		ld->inflight--;
		ld->apart_inflight -= l->apart;
		ld->res.requests++;
		l->result = load_result(&l->call, d.len);
		if (l->result == -EBADMSG)
			ld->error = -EBADMSG;
		if (!ld->error)
			advance(ld, l, now, false);
	}
	if (n < 0 && !ld->error)
		ld->error = n;
	return now;
}

int load_run(struct load *ld)
{
	int64_t now = wait_now_ns();
	bool told = false;

	memset(&ld->res, 0, sizeof(ld->res));
	ld->res.start = ld->res.end = now;
	ld->inflight = ld->nidle = ld->apart_inflight = 0;
	ld->error = 0;
	if (ld->spin)
		ring_mute(ld->ring);
	for (unsigned int i = 0; i < ld->depth; i++) {
		ld->lane[i].idle = false;
		advance(ld, &ld->lane[i], now, true);
	}
	ring_kick(ld->ring);
	while (ld->inflight && ld->error != -EPROTO && !ld->gone) {
		now = take_batch(ld);
		if (now) {
			ld->res.end = now;
			if (ld->nidle)
				wake_idle(ld, now);
			ring_kick(ld->ring);
			continue;
		}
		if (ld->inflight == ld->apart_inflight && !told && ld->last &&
		    !may_begin(ld, wait_now_ns())) {
			told = true;
			ld->last(ld->arg);
		}
		if (ld->spin)
			relax();
		else
			ring_sleep(ld->ring);
	}
	if (ld->gone)
		ld->error = -ECHILD;
	return ld->error;
}

static unsigned int hist_slot(uint64_t ns)
{
	unsigned int top = ns < 32 ? 4 : 63 - __builtin_clzll(ns);

	return ns < 32 ? ns : (top - 4) * 32 + ((ns >> (top - 5)) & 31);
}

void load_hist_add(struct load_result *res, int64_t ns)
{
	unsigned int i = hist_slot(ns < 0 ? 0 : ns);

	res->hist[i < LOAD_HIST ? i : LOAD_HIST - 1]++;
	if (ns > res->max_ns)
		res->max_ns = ns;
}

int64_t load_hist_at(const struct load_result *res, double part)
{
	uint64_t all = 0, seen = 0;

	for (unsigned int i = 0; i < LOAD_HIST; i++)
		all += res->hist[i];
	for (unsigned int i = 0; i < LOAD_HIST; i++) {
		seen += res->hist[i];
		if (seen && seen >= part * all)
			return i < 32 ? i : (32ll + i % 32) << (i / 32 - 1);
	}
	return 0;
}

void load_merge(struct load_result *to, const struct load_result *from)
{
	if (!to->start || from->start < to->start)
		to->start = from->start;
	if (from->end > to->end)
		to->end = from->end;
	if (from->max_ns > to->max_ns)
		to->max_ns = from->max_ns;
	to->ops += from->ops;
	to->units += from->units;
	to->requests += from->requests;
	for (unsigned int i = 0; i < LOAD_HIST; i++)
		to->hist[i] += from->hist[i];
}
