/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/worker.h"

#include <errno.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "device/device.h"
#include "fuse/serve.h"

/* A ring without a kick descriptor is looked at this often. */
#define POLL_MS 1

/* A guest that kicks and whose ring stays empty for this long may have its
 * memory to itself. */
#define DOUBT_MS 1000

enum wake_source { WAKE_UP, WAKE_KICK };

/* Binds the slot's request to its chain. */
static struct request *bind(struct worker *w)
{
	struct chain *c = &w->slot->chain;
	struct request *rq = &w->slot->rq;

	request_bind(rq, c->iov, c->n_read, chain_write_iov(c), c->n_write);
	rq->record = c->record;
	rq->tally = w->tally;
	rq->token.queue = (uint16_t)w->queue.index;
	rq->token.head = c->head;
	rq->token.start_no = c->start_no;
	return rq;
}

/*
 * Every completion is offered to the guest at once; its event index says
 * whether it wants to be told. Telling it is up to the queue's own thread: a
 * front-end may have given a descriptor that blocks whoever writes to it.
 */
static void finish(struct worker *w, int len)
{
	if (queue_push(&w->queue, &w->slot->chain, (uint32_t)len))
		queue_notify(&w->queue);
}

static void finish_parked(struct worker *w, uint64_t unique, int result)
{
	struct chain *c = &w->slot->chain;
	struct iobuf out;

	iobuf_init(&out, chain_write_iov(c), c->n_write);
	finish(w, fuse_reply_parked(&out, unique, result));
}

/* One request. Returns 1, 0 if there is none, or less if the ring is broken or
 * the thread has to wait for the control thread. */
static int serve_one(struct worker *w)
{
	struct chain *c = &w->slot->chain;
	uint64_t unique;
	int r, result;

	r = queue_pop_done(&w->queue, c, &unique, &result);
	if (r > 0)
		finish_parked(w, unique, result);
	if (r != 0)
		return r;
	r = queue_pop_again(&w->queue, c);
	if (r == 0)
		r = queue_pop(&w->queue, c);
	if (r <= 0)
		return r;
	r = fuse_serve(w->dev->session, bind(w));
	if (r == REQUEST_EXCLUSIVE) {
		atomic_store(&w->exclusive, EXCLUSIVE_WAITS);
		return r;
	}
	/* Done with by nobody but this thread: it still has its phase. */
	if (r == REQUEST_PARKED)
		inflight_enter(c->record, INFLIGHT_PARKED);
	else
		finish(w, r);
	return 1;
}

/* Inside the gate: until the ring is empty and the guest knows that it has to
 * kick, or the gate closes. */
static void serve_ring(struct worker *w)
{
	if (atomic_exchange(&w->tell_anyway, false))
		queue_notify_anyway(&w->queue);
	queue_disarm(&w->queue);
	do {
		int r = 1;

		while (r > 0 && !gate_wanted(&w->gate))
			r = serve_one(w);
		if (r != 0)
			return; /* broken, exclusive, or the gate */
	} while (queue_arm(&w->queue));
}

/* Outside the gate. */
static void wait_exclusive(struct worker *w)
{
	if (!atomic_load(&w->exclusive))
		return;
	device_call_control(w->dev);
	while (atomic_load(&w->exclusive) == EXCLUSIVE_WAITS &&
	       !atomic_load(&w->stop))
		futex_wait(&w->exclusive, EXCLUSIVE_WAITS, 0);
	if (atomic_load(&w->exclusive) != EXCLUSIVE_DONE)
		return;
	queue_notify(&w->queue);
	atomic_store(&w->exclusive, EXCLUSIVE_NONE);
	futex_wake(&w->exclusive);
}

/*
 * Guest memory that is not shared looks like a guest that kicks and puts nothing
 * into the ring. VMMs kick for nothing at the start, too: so this waits a
 * while and has the control thread look, once.
 */
static void doubt_memory(struct worker *w, bool kicked, bool timed_out)
{
	if (queue_popped(&w->queue) || w->memory == MEMORY_CHECKED) {
		w->memory = MEMORY_CHECKED;
	} else if (kicked) {
		w->memory = MEMORY_IN_DOUBT;
	} else if (timed_out && w->memory == MEMORY_IN_DOUBT) {
		w->memory = MEMORY_CHECKED;
		device_doubt_memory(w->dev);
	}
}

/*
 * Both descriptors are edge-triggered: a kick is an event by itself, and its
 * counter need not be read.
 * syscalls: epoll_wait epoll_pwait
 */
static void sleep_until_kicked(struct worker *w)
{
	int ms = w->memory == MEMORY_IN_DOUBT ? DOUBT_MS :
						atomic_load(&w->sleep_ms);
	struct epoll_event ev[2];
	bool kicked = false;
	int n = epoll_wait(w->epoll_fd, ev, 2, ms);

	for (int i = 0; i < n; i++)
		kicked |= ev[i].data.u32 == WAKE_KICK;
	if (w->memory != MEMORY_CHECKED)
		doubt_memory(w, kicked, n == 0);
}

/* syscalls: unshare:CLONE_FS */
static void *worker_main(void *arg)
{
	struct worker *w = arg;

	/* Its own umask and working directory, which no other thread changes. */
	if (unshare(CLONE_FS) < 0)
		log_err(-errno, "queue %u: unshare", w->queue.index);
	while (!atomic_load(&w->stop)) {
		if (gate_enter(&w->gate)) {
			serve_ring(w);
			gate_leave(&w->gate);
			wait_exclusive(w);
		}
		sleep_until_kicked(w);
	}
	return NULL;
}

void worker_run_exclusive(struct worker *w)
{
	struct request *rq = &w->slot->rq;

	rq->queue_size = device_request_queue_size(w->dev);
	queue_push(&w->queue, &w->slot->chain,
		   (uint32_t)fuse_serve_exclusive(w->dev->session, rq));
	worker_wake(w);
	atomic_store(&w->exclusive, EXCLUSIVE_DONE);
	futex_wake(&w->exclusive);
}

int worker_wait_told(struct worker *w, unsigned int ms)
{
	if (atomic_load(&w->exclusive) == EXCLUSIVE_DONE)
		futex_wait(&w->exclusive, EXCLUSIVE_DONE, ms);
	return atomic_load(&w->exclusive) == EXCLUSIVE_DONE ? -ETIMEDOUT : 0;
}

/* syscalls: write */
void worker_wake(struct worker *w)
{
	const uint64_t one = 1;

	if (write(w->wake_fd, &one, sizeof(one)) < 0) {
		/* Its counter is full: it has been woken. */
	}
}

/* syscalls: epoll_ctl */
static int poll_fd(struct worker *w, int fd, enum wake_source source)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLET,
		.data.u32 = source,
	};

	return epoll_ctl(w->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* A kick that a worker which died has read or has not is an event for this one:
 * nobody ever takes it off the counter. */
int worker_listen(struct worker *w)
{
	const struct queue_record *rec = w->queue.record;
	int r;

	atomic_store(&w->sleep_ms, rec->kick_fd || !rec->started ? -1 : POLL_MS);
	if (!rec->kick_fd)
		return 0;
	r = poll_fd(w, rec->kick_fd, WAKE_KICK);
	if (r == 0)
		w->polled_fd = rec->kick_fd;
	return r;
}

int worker_set_kick(struct worker *w, int *fd)
{
	struct queue_record *rec = w->queue.record;

	/* Before it is closed: the front-end has the same eventfd, which would
	 * keep it in the set under a number that is no longer ours. */
	if (w->polled_fd >= 0)
		(void)epoll_ctl(w->epoll_fd, EPOLL_CTL_DEL, w->polled_fd, NULL);
	w->polled_fd = -1;
	queue_set_fd(&rec->kick_fd, fd);
	return worker_listen(w);
}

int worker_start_thread(struct worker *w)
{
	int r;

	if (w->have_thread)
		return 0;
	r = pthread_create(&w->thread, NULL, worker_main, w);
	w->have_thread = r == 0;
	return -r;
}

static void release(struct worker *w)
{
	queue_destroy(&w->queue);
	munmap(w->slot, sizeof(*w->slot));
	(void)fd_close(&w->epoll_fd);
	(void)fd_close(&w->wake_fd);
	free(w);
}

/* syscalls: epoll_create1 mmap */
int worker_create(struct device *dev, unsigned int index, struct worker **ret)
{
	struct worker *w = aligned_alloc(64, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	*w = (struct worker){ .dev = dev, .polled_fd = -1, .sleep_ms = -1 };
	gate_init(&w->gate);
	w->slot = mmap(NULL, sizeof(*w->slot), PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (w->slot == MAP_FAILED) {
		r = -errno;
		goto out_free;
	}
	w->slot->chain.iov = w->slot->iov;
	w->tally = &dev->tally[index];
	w->tally->number = index + 1;
	r = queue_init(&w->queue, index, &dev->queue_record[index],
		       device_inflight(dev, index), &dev->map, &dev->dirty);
	if (r < 0)
		goto out_unmap;
	w->wake_fd = fd_eventfd(0, EFD_NONBLOCK);
	w->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (w->epoll_fd >= 0)
		fd_adopt(w->epoll_fd);
	if (w->wake_fd < 0 || w->epoll_fd < 0 || poll_fd(w, w->wake_fd, WAKE_UP) < 0) {
		release(w);
		return -EMFILE;
	}
	*ret = w;
	return 0;

out_unmap:
	munmap(w->slot, sizeof(*w->slot));
out_free:
	free(w);
	return r;
}

void worker_stop(struct worker *w)
{
	atomic_store(&w->stop, 1);
	gate_close(&w->gate);
	atomic_store(&w->exclusive, EXCLUSIVE_NONE);
	futex_wake(&w->exclusive);
	worker_wake(w);
}

int worker_destroy(struct worker *w, const struct timespec *deadline)
{
	if (w->have_thread &&
	    pthread_timedjoin_np(w->thread, NULL, deadline))
		return -ETIMEDOUT;
	release(w);
	return 0;
}
