/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/device.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

#define SLOW_STOP_MS 5000U
/* For all threads together; the keeper waits a little longer than this. */
#define JOIN_SEC 3

#define for_each_worker(dev, w)                                                \
	for (unsigned int i_ = 0; i_ < VHOST_USER_QUEUES_MAX; i_++)            \
		if (((w) = (dev)->worker[i_]) != NULL)

size_t device_queues_size(void)
{
	return VHOST_USER_QUEUES_MAX * sizeof(struct queue_record);
}

size_t device_inflight_size(void)
{
	return (size_t)VHOST_USER_QUEUES_MAX * WIRE_VRING_SIZE_MAX *
	       sizeof(struct inflight);
}

size_t device_tallies_size(void)
{
	return VHOST_USER_QUEUES_MAX * sizeof(struct tally);
}

struct inflight *device_inflight(const struct device *dev, unsigned int index)
{
	return dev->inflight + (size_t)index * WIRE_VRING_SIZE_MAX;
}

int device_init(struct device *dev, const struct arena *arena,
		struct session *session, int control_fd)
{
	memset(dev, 0, sizeof(*dev));
	memmap_init(&dev->map, arena_section(arena, ARENA_REGIONS));
	dev->dirty.map = &dev->map;
	dev->session = session;
	dev->queue_record = arena_section(arena, ARENA_QUEUES);
	dev->inflight = arena_section(arena, ARENA_INFLIGHT);
	dev->tally = arena_section(arena, ARENA_TALLIES);
	dev->control_fd = control_fd;
	dev->front_fd = -1;
	return 0;
}

static void close_fds(struct queue_record *rec)
{
	int none = -1;

	queue_set_fd(&rec->kick_fd, &none);
	queue_set_fd(&rec->call_fd, &none);
	queue_set_fd(&rec->err_fd, &none);
}

int device_destroy(struct device *dev)
{
	struct timespec deadline;
	struct worker *w;
	int r = 0;

	for_each_worker(dev, w)
		worker_stop(w);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += JOIN_SEC;
	for_each_worker(dev, w) {
		struct queue_record *rec = w->queue.record;

		if (worker_destroy(w, &deadline) < 0) {
			r = -ETIMEDOUT;
			continue;
		}
		dev->worker[i_] = NULL;
		close_fds(rec);
	}
	if (r < 0)
		return r;
	memmap_clear(&dev->map);
	dirty_clear(&dev->dirty);
	return 0;
}

int device_queue(struct device *dev, unsigned int index, struct worker **ret)
{
	int r;

	if (index >= VHOST_USER_QUEUES_MAX)
		return -EINVAL;
	if (!dev->worker[index]) {
		r = worker_create(dev, index, &dev->worker[index]);
		if (r < 0)
			return r;
		dev->queue_record[index].named = 1;
	}
	*ret = dev->worker[index];
	return 0;
}

static bool hung_up(const struct device *dev)
{
	struct pollfd p = { .fd = dev->front_fd, .events = POLLRDHUP };

	return dev->front_fd >= 0 && poll(&p, 1, 0) > 0 &&
	       p.revents & (POLLRDHUP | POLLHUP | POLLERR);
}

/* The control thread waits for another one and there is no way back. If the
 * front-end gives up meanwhile, the keeper ends it all. */
static void waits_long(const struct device *dev)
{
	if (hung_up(dev) && dev->on_hang_up)
		dev->on_hang_up();
}

/* The memory that a request works on is to change. */
static void wait_outside(struct worker *w)
{
	while (gate_wait(&w->gate, SLOW_STOP_MS) < 0) {
		log_warn("queue %u: still waiting for a request to end (opcode %u)",
			 w->queue.index,
			 (unsigned int)atomic_load(&w->slot->rq.acting));
		waits_long(w->dev);
	}
}

static void close_all(struct device *dev)
{
	struct worker *w;

	for_each_worker(dev, w)
		gate_close(&w->gate);
	for_each_worker(dev, w)
		wait_outside(w);
}

/* But for @except, which may be NULL. */
static void open_all(struct device *dev, const struct worker *except)
{
	struct worker *w;

	for_each_worker(dev, w) {
		if (!w->queue.mapped || w == except)
			continue;
		gate_open(&w->gate);
		worker_wake(w);
	}
}

static bool exclusive_waits(const struct device *dev)
{
	struct worker *w;

	for_each_worker(dev, w)
		if (atomic_load(&w->exclusive))
			return true;
	return false;
}

/*
 * All gates closed. What is in flight then is parked, and for nobody once its
 * session ends, but for the requests that end it.
 */
static void forget_all(struct device *dev)
{
	struct worker *w;

	for_each_worker(dev, w)
		queue_forget_requests_but(&w->queue,
					  atomic_load(&w->exclusive) ==
							  EXCLUSIVE_WAITS ?
						  w->slot->chain.head :
						  QUEUE_NO_HEAD);
}

/*
 * All gates closed. INIT and DESTROY end the session: what is still in flight
 * then is parked for nobody, but for those that wait here themselves.
 */
static void run_exclusives(struct device *dev)
{
	struct worker *w;

	if (!exclusive_waits(dev))
		return;
	forget_all(dev);
	for_each_worker(dev, w) {
		struct chain *c = &w->slot->chain;

		if (!atomic_load(&w->exclusive))
			continue;
		c->start_no = w->queue.record->start_no;
		worker_run_exclusive(w);
		while (worker_wait_told(w, SLOW_STOP_MS) < 0)
			waits_long(dev);
	}
}

void device_run_exclusives(struct device *dev)
{
	if (!exclusive_waits(dev))
		return;
	close_all(dev);
	run_exclusives(dev);
	open_all(dev, NULL);
}

void device_quiesce(struct device *dev)
{
	close_all(dev);
	run_exclusives(dev);
}

/* A ring whose memory has gone stands still until it is there again. */
void device_resume(struct device *dev)
{
	struct worker *w;

	for_each_worker(dev, w) {
		if (!queue_runnable(&w->queue) || w->queue.record->fresh)
			continue;
		if (queue_map(&w->queue, dev->event_idx, false) < 0)
			queue_unmap(&w->queue);
	}
	open_all(dev, NULL);
}

static int start_queue(struct device *dev, struct worker *w)
{
	int r;

	r = queue_map(&w->queue, dev->event_idx, w->queue.record->fresh);
	if (r < 0)
		return r;
	w->queue.record->fresh = 0;
	r = worker_start_thread(w);
	if (r < 0) {
		queue_unmap(&w->queue);
		return r;
	}
	log_debug("queue %u runs: %u descriptors from index %u",
		  w->queue.index, w->queue.record->num,
		  w->queue.record->last_avail);
	gate_open(&w->gate);
	worker_wake(w);
	return 0;
}

/* With the other queues too only if an INIT or a DESTROY is to be carried out. */
void device_hold(struct device *dev, struct worker *w)
{
	gate_close(&w->gate);
	wait_outside(w);
	if (!atomic_load(&w->exclusive))
		return;
	close_all(dev);
	run_exclusives(dev);
	/* Not this one, not even for a moment: it would find the next INIT. */
	open_all(dev, w);
}

int device_update(struct device *dev, struct worker *w)
{
	device_hold(dev, w);
	queue_unmap(&w->queue);
	return queue_runnable(&w->queue) ? start_queue(dev, w) : 0;
}

uint16_t device_stop_queue(struct device *dev, struct worker *w)
{
	device_hold(dev, w);
	queue_unmap(&w->queue);
	w->queue.record->started = 0;
	log_debug("queue %u stops at index %u", w->queue.index,
		  w->queue.record->last_avail);
	return w->queue.record->last_avail;
}

void device_reset(struct device *dev)
{
	struct worker *w;
	int none = -1;

	device_quiesce(dev);
	for_each_worker(dev, w) {
		struct queue_record *rec = w->queue.record;

		queue_unmap(&w->queue);
		queue_forget_requests(&w->queue);
		(void)worker_set_kick(w, &none);
		close_fds(rec);
		rec->started = 0;
		rec->enabled = 0;
		rec->have_addr = 0;
		rec->num = 0;
		rec->last_avail = 0;
		rec->used_idx = 0;
	}
	session_end(dev->session);
}

void device_end_session(struct device *dev)
{
	if (!session_is_live(dev->session))
		return;
	device_quiesce(dev);
	forget_all(dev);
	session_end(dev->session);
	device_resume(dev);
}

uint32_t device_request_queue_size(const struct device *dev)
{
	uint32_t size = 0;
	struct worker *w;

	for_each_worker(dev, w) {
		uint32_t num = w->queue.record->num;

		if (w->queue.index > 0 && w->queue.mapped &&
		    (size == 0 || num < size))
			size = num;
	}
	return size;
}

/* syscalls: write */
void device_call_control(struct device *dev)
{
	const uint64_t one = 1;

	if (write(dev->control_fd, &one, sizeof(one)) < 0) {
		/* Its counter is full: it has been called. */
	}
}

void device_doubt_memory(struct device *dev)
{
	atomic_store(&dev->memory_in_doubt, true);
	device_call_control(dev);
}

bool device_complete(struct device *dev, const struct request_token *token,
		     int result)
{
	struct worker *w = dev->worker[token->queue];

	if (!queue_complete(&w->queue, token->head, token->start_no, result))
		return false;
	worker_wake(w);
	return true;
}

bool device_waits_for(struct device *dev, const struct request_token *token)
{
	return queue_waits_for(&dev->worker[token->queue]->queue,
			       token->start_no);
}
