/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>
#include <stdlib.h>

#include "load_forget.h"

size_t load_forget_space(void)
{
	return LOAD_FORGETS * load_call_space(0);
}

int load_forget_init(struct load_forget *f, struct vmm *v)
{
	pthread_mutex_init(&f->lock, NULL);
	f->ring = &v->ring[0];
	f->sent = 0;
	for (f->nfree = 0; f->nfree < LOAD_FORGETS; f->nfree++) {
		struct load_call *c = &f->call[f->nfree];
		int r = load_call_init(c, &v->mem, 0);

		if (r < 0)
			return r;
		f->free[f->nfree] = c;
	}
	return 0;
}

static void reap(struct load_forget *f)
{
	struct ring_done d;
	int n;

	while ((n = ring_poll(f->ring, &d)) == 1)
		f->free[f->nfree++] = d.cookie;
	if (n < 0) {
		fprintf(stderr, "hiprio queue: the device's used ring makes no sense\n");
		abort();
	}
}

static void send(struct load_forget *f, struct load_call *c, uint64_t node, uint64_t nlookup)
{
	struct fuse_forget_in *in;

	load_begin(c, FUSE_FORGET, node);
	in = load_arg(c, sizeof(*in));
	in->nlookup = nlookup;
	c->no_reply = true;
	load_submit(c, f->ring, c);	/* the ring has room for all calls there are */
	ring_kick(f->ring);
	f->sent++;
}

void load_forget(struct load_forget *f, uint64_t node, uint64_t nlookup)
{
	pthread_mutex_lock(&f->lock);
	reap(f);
	while (f->nfree == 0 && !f->gone) {
		ring_sleep(f->ring);
		reap(f);
	}

	if (f->nfree)
		send(f, f->free[--f->nfree], node, nlookup);
	pthread_mutex_unlock(&f->lock);
}

void load_forget_drain(struct load_forget *f)
{
	pthread_mutex_lock(&f->lock);
	for (reap(f); f->nfree < LOAD_FORGETS && !f->gone; reap(f))
		ring_sleep(f->ring);
	pthread_mutex_unlock(&f->lock);
}
