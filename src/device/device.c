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

#define for_each_crew(dev, crew)                                                \
	for (unsigned int i_ = 0; i_ < VHOST_USER_QUEUES_MAX; i_++)            \
		if (((crew) = (dev)->crew[i_]) != NULL)

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
	return DEVICE_TALLIES * sizeof(struct tally);
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
	device_set_pool(dev, -1);
	return 0;
}

void device_set_pool(struct device *dev, long n)
{
	unsigned int max = CREW_MEMBERS_MAX;

	dev->threads_max = n < 0 ? DEVICE_THREADS_MAX : DEVICE_TALLIES;
	if (n >= 0 && n < max)
		max = n == 0 ? 2 : (unsigned int)n + 1;
	dev->crew_max = max;
	dev->may_help = n != 0;
}

void device_set_poll(struct device *dev, unsigned int us)
{
	dev->poll_max = (uint64_t)us * 1000;
}

uint64_t device_sum_stats(const struct crew *crew, struct stats_op *sum)
{
	uint64_t notified = 0;
	struct member *m;

	for_each_member(crew, m) {
		for (unsigned int i = 0; i < STATS_OPS; i++)
			if (stats_get(&m->slot->stats.op[i].count))
				stats_sum(&sum[i], &m->slot->stats.op[i]);
		notified += stats_get(&m->slot->stats.notified);
	}
	return notified;
}

struct tally *device_tally(struct device *dev, unsigned int index,
			   unsigned int no)
{
	unsigned int i = no == 0 ? index :
				   VHOST_USER_QUEUES_MAX + dev->n_tallies++;

	if (i >= DEVICE_TALLIES)
		return NULL;
	dev->tally[i].number = i + 1;
	return &dev->tally[i];
}

bool device_may_grow(const struct device *dev)
{
	return atomic_load((atomic_uint *)&dev->n_threads) < dev->threads_max;
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
	struct crew *crew;
	int r;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += JOIN_SEC;
	/* It looks at all crews, and starts threads. */
	r = watchdog_stop(&dev->watchdog, &deadline);
	for_each_crew(dev, crew)
		crew_stop(crew);
	if (r < 0)
		return r;
	for_each_crew(dev, crew) {
		struct queue_record *rec = crew->queue.record;

		if (crew_destroy(crew, &deadline) < 0) {
			r = -ETIMEDOUT;
			continue;
		}
		dev->crew[i_] = NULL;
		close_fds(rec);
	}
	if (r < 0)
		return r;
	memmap_clear(&dev->map);
	dirty_clear(&dev->dirty);
	trace_destroy(&dev->trace);
	return 0;
}

int device_queue(struct device *dev, unsigned int index, struct crew **ret)
{
	struct crew *crew;
	int r;

	if (index >= VHOST_USER_QUEUES_MAX)
		return -EINVAL;
	if (!dev->crew[index]) {
		r = crew_create(dev, index, &crew);
		if (r < 0)
			return r;
		dev->crew[index] = crew;
		dev->queue_record[index].named = 1;
	}
	*ret = dev->crew[index];
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

/* The memory that requests work on is to change. */
static void wait_outside(struct crew *crew)
{
	struct member *m;

	for_each_member(crew, m) {
		while (gate_wait(&m->pass, SLOW_STOP_MS) < 0) {
			log_warn("queue %u: still waiting for a request to end (opcode %u)",
				 crew->queue.index,
				 (unsigned int)atomic_load(&m->slot->rq.acting));
			waits_long(crew->dev);
		}
	}
}

static void close_all(struct device *dev)
{
	struct crew *crew;

	for_each_crew(dev, crew)
		gate_close(&crew->gate);
	for_each_crew(dev, crew)
		wait_outside(crew);
}

/* Not while everything is to stand still. */
static void let_go(struct device *dev, struct crew *crew)
{
	if (atomic_load(&dev->drained))
		return;
	gate_open(&crew->gate);
	crew_wake(crew);
}

/* But for @except, which may be NULL. */
static void open_all(struct device *dev, const struct crew *except)
{
	struct crew *crew;

	for_each_crew(dev, crew)
		if (crew->queue.mapped && crew != except)
			let_go(dev, crew);
}

/* The member of a crew whose request waits for the control thread: it leads, so
 * there is one at most. NULL: none. */
static struct member *find_exclusive(const struct crew *crew)
{
	struct member *m;

	for_each_member(crew, m)
		if (atomic_load(&m->exclusive))
			return m;
	return NULL;
}

static bool exclusive_waits(const struct device *dev)
{
	struct crew *crew;

	for_each_crew(dev, crew)
		if (find_exclusive(crew))
			return true;
	return false;
}

/*
 * All gates closed. What is in flight then is parked, and for nobody once its
 * session ends, but for the requests that end it.
 */
static void forget_all(struct device *dev)
{
	struct crew *crew;

	for_each_crew(dev, crew) {
		const struct member *m = find_exclusive(crew);

		queue_forget_requests_but(&crew->queue,
					  m && atomic_load(&m->exclusive) ==
							EXCLUSIVE_WAITS ?
						  m->slot->chain.head :
						  QUEUE_NO_HEAD);
	}
}

/*
 * All gates closed. INIT and DESTROY end the session: what is still in flight
 * then is parked for nobody, but for those that wait here themselves.
 */
static void run_exclusives(struct device *dev)
{
	struct crew *crew;

	if (!exclusive_waits(dev))
		return;
	forget_all(dev);
	for_each_crew(dev, crew) {
		struct member *m = find_exclusive(crew);

		if (!m)
			continue;
		m->slot->chain.start_no = crew->queue.record->start_no;
		member_run_exclusive(m);
		while (member_wait_told(m, SLOW_STOP_MS) < 0)
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
	struct crew *crew;

	for_each_crew(dev, crew) {
		if (!queue_runnable(&crew->queue) || crew->queue.record->fresh)
			continue;
		if (queue_map(&crew->queue, dev->event_idx, false) < 0)
			queue_unmap(&crew->queue);
	}
	open_all(dev, NULL);
}

void device_drain(struct device *dev, bool on)
{
	atomic_store(&dev->drain_wanted, on);
	device_call_control(dev);
}

void device_obey_drain(struct device *dev)
{
	bool on = atomic_load(&dev->drain_wanted);

	if (on == atomic_load(&dev->drained))
		return;
	if (on)
		device_quiesce(dev);
	atomic_store(&dev->drained, on);
	if (!on)
		device_resume(dev);
	if (dev->on_drain)
		dev->on_drain(dev->on_drain_ctx);
}

static int start_queue(struct device *dev, struct crew *crew)
{
	int r;

	r = queue_map(&crew->queue, dev->event_idx, crew->queue.record->fresh);
	if (r < 0)
		return r;
	crew->queue.record->fresh = 0;
	r = crew_start(crew);
	if (r < 0) {
		queue_unmap(&crew->queue);
		return r;
	}
	log_debug("queue %u runs: %u descriptors from index %u",
		  crew->queue.index, crew->queue.record->num,
		  crew->queue.record->last_avail);
	let_go(dev, crew);
	return 0;
}

/* With the other queues too only if an INIT or a DESTROY is to be carried out. */
void device_hold(struct device *dev, struct crew *crew)
{
	gate_close(&crew->gate);
	wait_outside(crew);
	if (!find_exclusive(crew))
		return;
	close_all(dev);
	run_exclusives(dev);
	/* Not this one, not even for a moment: it would find the next INIT. */
	open_all(dev, crew);
}

int device_update(struct device *dev, struct crew *crew)
{
	device_hold(dev, crew);
	queue_unmap(&crew->queue);
	return queue_runnable(&crew->queue) ? start_queue(dev, crew) : 0;
}

uint16_t device_stop_queue(struct device *dev, struct crew *crew)
{
	device_hold(dev, crew);
	queue_unmap(&crew->queue);
	crew->queue.record->started = 0;
	log_debug("queue %u stops at index %u", crew->queue.index,
		  crew->queue.record->last_avail);
	return crew->queue.record->last_avail;
}

void device_reset(struct device *dev)
{
	struct crew *crew;
	int none = -1;

	device_quiesce(dev);
	for_each_crew(dev, crew) {
		struct queue_record *rec = crew->queue.record;

		queue_unmap(&crew->queue);
		queue_forget_requests(&crew->queue);
		(void)crew_set_kick(crew, &none);
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

void device_forget_front_end(struct device *dev)
{
	struct crew *crew;

	device_reset(dev);
	for_each_crew(dev, crew)
		crew->memory = MEMORY_TRUSTED_SO_FAR;
	memmap_clear(&dev->map);
	dirty_clear(&dev->dirty);
	dev->event_idx = false;
	dev->dirty.enabled = false;
	atomic_store(&dev->memory_in_doubt, false);
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
	struct crew *crew;

	for_each_crew(dev, crew) {
		uint32_t num = crew->queue.record->num;

		if (crew->queue.index > 0 && crew->queue.mapped &&
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
	struct crew *crew = dev->crew[token->queue];

	if (!queue_complete(&crew->queue, token->head, token->start_no, result))
		return false;
	crew_wake(crew);
	return true;
}

void device_park(struct device *dev, const struct request_token *token)
{
	inflight_enter(&dev->crew[token->queue]->queue.inflight[token->head],
		       INFLIGHT_PARKED);
}

bool device_waits_for(struct device *dev, const struct request_token *token)
{
	return queue_waits_for(&dev->crew[token->queue]->queue,
			       token->start_no);
}
