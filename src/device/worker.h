/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The thread that serves one queue.
 *
 * It sleeps on the queue's kick and on a wake-up of its own, serves what is in
 * the ring and sleeps again. It may touch the ring only inside its gate.
 */
#ifndef DEVICE_WORKER_H
#define DEVICE_WORKER_H

#include <pthread.h>
#include <stdbool.h>

#include "device/gate.h"
#include "fs/request.h"
#include "virtio/queue.h"

struct device;

/* A request and its reply: reused for each, big and mostly untouched. */
struct slot {
	struct chain chain;
	struct request rq;
	struct iovec iov[CHAIN_IOV_MAX];
};

enum worker_exclusive {
	EXCLUSIVE_NONE,
	EXCLUSIVE_WAITS, /* for the control thread */
	EXCLUSIVE_DONE, /* is on the used ring: the thread tells the guest */
};

struct worker {
	struct queue queue;
	struct tally *tally; /* of the request in the slot; arena */
	struct gate gate;
	struct device *dev;
	struct slot *slot;
	pthread_t thread;
	bool have_thread;
	int epoll_fd;
	int wake_fd;
	int polled_fd; /* the kick descriptor in the epoll set; -1: none */
	_Atomic int sleep_ms; /* how long at most; -1: until kicked */
	enum {
		MEMORY_TRUSTED_SO_FAR,
		MEMORY_IN_DOUBT, /* kicked, and the ring is as if never used */
		MEMORY_CHECKED,
	} memory; /* the thread's own */
	/* The slot holds a request that the control thread has to carry out ... */
	_Atomic uint32_t exclusive; /* enum worker_exclusive */
	/* The guest is to be told of what is on the used ring by now. */
	atomic_bool tell_anyway;
	_Atomic uint32_t stop;
};

/* Makes queue @index of the device; its thread comes with the first start. */
int worker_create(struct device *dev, unsigned int index, struct worker **ret);

/* Tells the thread to end, after the request that it is carrying out. */
void worker_stop(struct worker *w);

/*
 * Waits for a stopped thread until @deadline (of the real-time clock) and frees
 * everything. -ETIMEDOUT if it hangs in a system call: then nothing is freed,
 * since it may still use any of it.
 */
int worker_destroy(struct worker *w, const struct timespec *deadline);

/* Starts the thread unless it runs. Control thread. */
int worker_start_thread(struct worker *w);

/* Listens to a new kick descriptor (consumed; -1: none, the ring is polled)
 * instead of the present one, which is closed. 0 or -errno. */
int worker_set_kick(struct worker *w, int *fd);

/* Listens to the kick descriptor that the queue's record names. 0 or -errno. */
int worker_listen(struct worker *w);

/* Makes the thread look at its gate and its ring. Any thread. */
void worker_wake(struct worker *w);

/* Carries out the decoded request in the slot; the thread then tells the guest.
 * Control thread, all gates closed. */
void worker_run_exclusive(struct worker *w);

/* Waits until it has, at most @ms: 0 or -ETIMEDOUT. */
int worker_wait_told(struct worker *w, unsigned int ms);

#endif
