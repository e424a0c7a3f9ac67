/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The device: guest memory and queues as one thing that is configured, started,
 * held still and stopped.
 *
 * Everything here is the control thread's, but for device_complete() and what
 * the queues' threads call. Whatever the threads of the queues read without a
 * lock (memory table, ring addresses, dirty log, session) is changed only
 * between device_quiesce() and device_resume().
 */
#ifndef DEVICE_DEVICE_H
#define DEVICE_DEVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/trace.h"
#include "device/crew.h"
#include "device/watchdog.h"
#include "fuse/session.h"
#include "virtio/dirty.h"
#include "virtio/memmap.h"
#include "wire/vhost_user.h"

/* One for the first member of each queue, and some for the others. */
#define DEVICE_TALLIES (VHOST_USER_QUEUES_MAX + 1024U)

/* Members besides the first of each queue, unless it is said otherwise. */
#define DEVICE_THREADS_MAX 64U

struct device {
	struct memmap map;
	struct dirty dirty;
	struct session *session;
	struct queue_record *queue_record; /* VHOST_USER_QUEUES_MAX, arena */
	struct inflight *inflight; /* arena */
	struct tally *tally; /* DEVICE_TALLIES, arena */
	struct crew *_Atomic crew[VHOST_USER_QUEUES_MAX]; /* NULL: never named */
	struct watchdog watchdog;
	unsigned int crew_max; /* members of one queue, at most */
	bool may_help; /* two members may serve one queue */
	unsigned int threads_max; /* of all queues, but for the first of each */
	atomic_uint n_threads; /* members that run */
	uint64_t poll_max; /* the longest window of a crew, in ns; 0: none */
	unsigned int n_tallies; /* taken, besides those of the first members */
	struct trace trace;
	/* All queues are to stand still, and do. */
	atomic_bool drain_wanted, drained;
	/* Called by the control thread when they do, and when they go on again.
	 * NULL: nobody wants to know. */
	void (*on_drain)(void *ctx);
	void *on_drain_ctx;
	bool event_idx; /* negotiated */
	int control_fd; /* eventfd: the control thread is wanted */
	int front_fd; /* the front-end's socket, borrowed; -1: none */
	/* Called when the front-end goes away while a request keeps the control
	 * thread waiting. NULL: nobody wants to know. */
	void (*on_hang_up)(void);
	atomic_bool memory_in_doubt; /* memmap_is_shared() is to be asked */
};

/* What the device needs of the arena, in bytes. */
size_t device_queues_size(void);
size_t device_inflight_size(void);
size_t device_tallies_size(void);

/* @control_fd is borrowed. */
int device_init(struct device *dev, const struct arena *arena,
		struct session *session, int control_fd);

/*
 * After a worker's death, in two steps. The first recalls the descriptors of the
 * queues (base/recall.h). The second makes the queues go on: what was pushed by
 * halves is pushed, what was not answered is run, and each guest's ring is
 * looked at and notified once. The guest's memory and the session are there by
 * then. -errno if a record makes no sense, or guest memory is gone.
 */
int device_recall(struct device *dev);
int device_attach(struct device *dev);

/* Stops all threads and frees everything; -ETIMEDOUT if one hangs, and then
 * nothing is freed. */
int device_destroy(struct device *dev);

/* The queue with this index, made if it is new. */
int device_queue(struct device *dev, unsigned int index, struct crew **ret);

/*
 * Holds all queues still: waits until no request is being carried out, and
 * carries out what waits for such a moment. A request that takes 5 s is named
 * in the log. device_resume() lets the queues that may run go on, with ring
 * addresses resolved anew.
 */
void device_quiesce(struct device *dev);
void device_resume(struct device *dev);

/* Holds one queue still; device_update() lets it go on. */
void device_hold(struct device *dev, struct crew *crew);

/* Starts or stops a queue as its record now says; -errno if its ring is not
 * where the front-end says. */
int device_update(struct device *dev, struct crew *crew);

/*
 * Stops a ring: each request that was being carried out is on the used ring
 * when this returns. Parked ones stay and complete when the ring goes on.
 * Returns the index from which it can go on.
 */
uint16_t device_stop_queue(struct device *dev, struct crew *crew);

/* As the device was before any set-up: rings, session, in-flight requests. */
void device_reset(struct device *dev);

/*
 * Has the control thread hold all queues still, whatever the front-end asks for
 * meanwhile, until it is told that it may let them go on. Any thread.
 */
void device_drain(struct device *dev, bool on);

/* Sees to what device_drain() has asked for. */
void device_obey_drain(struct device *dev);

/* The same, and nothing is left of the front-end and its memory either. */
void device_forget_front_end(struct device *dev);

/* Drops what the guest holds, as a DESTROY would. */
void device_end_session(struct device *dev);

/* Carries out requests that need to be alone, if any waits. */
void device_run_exclusives(struct device *dev);

/*
 * Completes a request that returned REQUEST_PARKED, with a reply that has no
 * body. While its ring stands still, the reply waits until it goes on. False,
 * and nothing happens, if its ring was reset since. Any thread.
 */
bool device_complete(struct device *dev, const struct request_token *token,
		     int result);

/* A request is about to be parked. The thread that serves it. */
void device_park(struct device *dev, const struct request_token *token);

/* Whether a parked request is still to be completed. Any thread. */
bool device_waits_for(struct device *dev, const struct request_token *token);

/* For crew.c and member.c: */
void device_call_control(struct device *dev);
void device_doubt_memory(struct device *dev);
uint32_t device_request_queue_size(const struct device *dev);
struct inflight *device_inflight(const struct device *dev, unsigned int index);

/* The tally of a queue's member, or NULL: there is none left. The starting
 * thread. */
struct tally *device_tally(struct device *dev, unsigned int index,
			   unsigned int no);

/* Whether one more thread may be started. */
bool device_may_grow(const struct device *dev);

/*
 * How many members a queue may have: @n besides one standby; 0: two; negative:
 * as many as it needs. Before the first queue.
 */
void device_set_pool(struct device *dev, long n);

/*
 * Adds up what the members of a queue have served, op by op (STATS_OPS of them).
 * Returns how often the guest was told. Any thread.
 */
uint64_t device_sum_stats(const struct crew *crew, struct stats_op *sum);

/* How long an empty ring is looked at, at most, before its leader sleeps, in us.
 * Before the first queue. */
void device_set_poll(struct device *dev, unsigned int us);

#endif
