/* SPDX-License-Identifier: BSD-3-Clause */
/* A member of a queue's crew: from the ring to the used ring. */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "base/barrier.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/probe.h"
#include "device/device.h"
#include "fuse/serve.h"

/* A guest that kicks and whose ring stays empty for this long may have its
 * memory to itself. */
#define DOUBT_MS 1000

static struct member *member_of(struct request *rq)
{
	return container_of(rq, struct slot, rq)->member;
}

/*
 * Telling the guest wakes a CPU of its, which takes this thread longer than many a
 * request. While there is work enough to be at until the guest has woken and sent
 * more, several completions are told of together: as long as what waits will take
 * more than AHEAD_NS, and for no more than HOLD_NS.
 *
 * A guest that has to run on this thread's CPU takes it when it is told, mostly, and
 * gives it back when there is nothing more to take: two switches for a single
 * completion. So there all that waits is done first, for HOLD_SHARED_NS at most.
 */
#define AHEAD_NS 20000U
#define HOLD_NS 30000U
#define HOLD_SHARED_NS 100000U

/* Notifications between two looks at how often somebody took the CPU. */
#define TOLD_MAX 32

static uint32_t typical(const struct crew *crew)
{
	return atomic_load_explicit((_Atomic uint32_t *)&crew->typical,
				    memory_order_relaxed);
}

/* The leader. */
static bool is_behind(const struct crew *crew)
{
	return queue_waiting(&crew->queue) * (uint64_t)typical(crew) > AHEAD_NS;
}

static bool shares_cpu(const struct crew *crew)
{
	return atomic_load_explicit((atomic_bool *)&crew->shares_cpu,
				    memory_order_relaxed);
}

/* How long the guest need not be told of a completion, in ns; 0: it would get to more
 * work before this thread is done with what waits. */
static uint64_t may_hold_ns(const struct member *m)
{
	const struct crew *crew = m->crew;

	if (!m->leads)
		return HOLD_NS;
	if (shares_cpu(crew) && typical(crew) < AHEAD_NS)
		return queue_waiting(&crew->queue) ? HOLD_SHARED_NS : 0;
	return is_behind(crew) ? HOLD_NS : 0;
}

static void look_for_help(struct member *m)
{
	struct crew *crew = m->crew;
	bool behind = is_behind(crew);

	help_look(&crew->help, m->start, behind);
	if (behind && help_on(&crew->help))
		crew_call_help(crew);
}

static void on_acts(struct request *rq)
{
	struct member *m = member_of(rq);
	bool sample = stats_is_sample(rq->h.unique);

	probe_request_start(rq->h.opcode, rq->h.nodeid, rq->h.unique);
	if (sample || trace_wanted(&m->crew->dev->trace))
		m->start = clock_ns();
	if (sample && m->crew->dev->may_help)
		look_for_help(m);
	crew_act(m, help_on(&m->crew->help) && is_behind(m->crew));
}

static void on_blocks(struct request *rq)
{
	crew_blocks(member_of(rq));
}

static void on_may_block(struct request *rq)
{
	struct member *m = member_of(rq);

	m->remote = clock_ns();
	m->kept = quick_is(&m->crew->quick, rq->h.opcode, m->remote);
	if (!m->kept)
		crew_blocks(m);
}

static const struct request_hooks hooks = { .acts = on_acts,
					    .blocks = on_blocks,
					    .may_block = on_may_block };

/* Binds the slot's request to its chain. */
static struct request *bind(struct member *m)
{
	struct chain *c = &m->slot->chain;
	struct request *rq = &m->slot->rq;

	request_bind(rq, c->iov, c->n_read, chain_write_iov(c), c->n_write);
	rq->record = c->record;
	rq->hooks = &hooks;
	rq->tally = m->tally;
	rq->token.queue = (uint16_t)m->crew->queue.index;
	rq->token.head = c->head;
	rq->token.start_no = c->start_no;
	return rq;
}

/* Whether the guest may be told later; then it has been counted that it is to be. */
static bool hold(struct member *m)
{
	struct crew *crew = m->crew;
	uint64_t held = atomic_load_explicit(&crew->held, memory_order_relaxed);
	uint64_t word;

	if ((held + 1) * typical(crew) >= may_hold_ns(m))
		return false;
	/* Before a look at the lead: one that acts looks at this when it is done. */
	atomic_fetch_add(&crew->held, 1);
	if (m->leads)
		return true;
	word = atomic_load(&crew->lead);
	return word & LEAD_BEHIND && !(word & LEAD_BLOCKED);
}

/*
 * Who takes the CPU away is not known, but if that happens about as often as the guest
 * is told, it is the guest. syscalls: getrusage
 */
static void __attribute__((noinline)) learn_switches(struct member *m)
{
	long before = m->switches;
	struct rusage usage;

	m->told = 0;
	if (!m->leads || getrusage(RUSAGE_THREAD, &usage) < 0)
		return;
	m->switches = usage.ru_nivcsw;
	atomic_store_explicit(&m->crew->shares_cpu,
			      m->switches - before >= TOLD_MAX / 2,
			      memory_order_relaxed);
}

static void tell(struct member *m)
{
	if (!queue_notify(&m->crew->queue))
		return;
	stats_add(&m->slot->stats.notified, 1);
	if (++m->told >= TOLD_MAX)
		learn_switches(m);
}

/* Whether there were completions to tell of; they are up to the caller now. */
static bool take_held(struct crew *crew)
{
	return atomic_load(&crew->held) && atomic_exchange(&crew->held, 0);
}

void member_tell(struct member *m)
{
	if (take_held(m->crew))
		tell(m);
}

/*
 * Every completion is offered to the guest at once; its event index says
 * whether it wants to be told. Telling it is up to the queue's own threads: a
 * front-end may have given a descriptor that blocks whoever writes to it.
 */
static void finish(struct member *m, int len)
{
	if (!queue_push(&m->crew->queue, &m->slot->chain, (uint32_t)len) ||
	    hold(m))
		return;
	(void)take_held(m->crew);
	tell(m);
}

static void trace_request(struct member *m, uint64_t ns, uint32_t len)
{
	struct trace_record *r;
	uint64_t number;

	r = trace_begin(&m->crew->dev->trace, &number);
	r->when = clock_utc_ns();
	r->ns = ns;
	r->bytes_out = len;
	r->queue = (uint16_t)m->crew->queue.index;
	fuse_trace(&m->slot->rq, r);
	trace_end(r, number);
}

/* An average over the last 16 or so of those that are timed. */
static void learn_typical(struct crew *crew, uint64_t ns)
{
	uint32_t now = (uint32_t)min_u64(ns, HOLD_NS), before = typical(crew);

	if (before)
		now = before - before / 16 + now / 16;
	atomic_store_explicit(&crew->typical, now, memory_order_relaxed);
}

/* Kept apart: what it needs is not to be made room for each time. */
static void __attribute__((noinline))
time_request(struct member *m, struct stats_op *op, int len)
{
	uint64_t ns = clock_ns() - m->start;

	stats_time(op, ns);
	/* Not of those that blocked. */
	if (m->leads || m->word & LEAD_BEHIND)
		learn_typical(m->crew, ns);
	if (trace_wanted(&m->crew->dev->trace))
		trace_request(m, ns, (uint32_t)len);
	probe_request_done(m->slot->rq.h.opcode, m->slot->rq.error, ns,
			   m->slot->rq.h.unique);
}

/* Counts a request that is about to be answered with @len bytes, or was parked (0). */
static inline void __attribute__((always_inline))
count(struct member *m, int len)
{
	const struct request *rq = &m->slot->rq;
	struct stats_op *op = stats_of(&m->slot->stats, rq->h.opcode);

	stats_add(&op->count, 1);
	stats_add(&op->bytes, rq->h.len + (uint32_t)len);
	if (rq->error)
		stats_add(&op->errors, 1);
	if (m->start) {
		time_request(m, op, len);
		return;
	}
	/* Refused before it began to act: that took no time. */
	if (rq->error && trace_wanted(&m->crew->dev->trace))
		trace_request(m, 0, (uint32_t)len);
	probe_request_done(rq->h.opcode, rq->error, 0, rq->h.unique);
}

static void finish_parked(struct member *m, uint64_t unique, int result)
{
	struct chain *c = &m->slot->chain;
	struct iobuf out;

	iobuf_init(&out, chain_write_iov(c), c->n_write);
	finish(m, fuse_reply_parked(&out, unique, result));
}

static void __attribute__((noinline)) learn_remote(struct member *m)
{
	uint64_t now = clock_ns();

	quick_learn(&m->crew->quick, m->slot->rq.h.opcode, m->kept,
		    now - m->remote, now);
}

/* One request. Returns 1, 0 if there is none, or less if the ring is broken, the
 * thread has to wait for the control thread, or the lead is another's now. */
static int serve_one(struct member *m)
{
	struct queue *q = &m->crew->queue;
	struct chain *c = &m->slot->chain;
	uint64_t unique;
	int r, result;

	r = queue_pop_done(q, c, &unique, &result);
	if (r > 0)
		finish_parked(m, unique, result);
	if (r != 0)
		return r;
	r = queue_pop_again(q, c);
	if (r == 0)
		r = queue_pop(q, c);
	if (r <= 0)
		return r;
	m->start = m->remote = 0;
	r = fuse_serve(m->crew->dev->session, bind(m));
	if (r == REQUEST_EXCLUSIVE) {
		atomic_store(&m->exclusive, EXCLUSIVE_WAITS);
		return r;
	}
	crew_acted(m);
	if (m->remote)
		learn_remote(m);
	if (r != REQUEST_PARKED) {
		count(m, r);
		finish(m, r);
	} else {
		/* It may have been completed by now. */
		m->start = 0;
		count(m, 0);
	}
	return m->leads ? 1 : -ECANCELED;
}

/*
 * Something may come soon, and a sleep has two wake-ups across CPUs: the guest's
 * kick, and ours. Returns whether it has.
 */
static bool poll_ring(struct crew *crew)
{
	uint64_t start, now;

	if (!crew->window)
		return false;
	stats_add(&crew->polls, 1);
	start = now = clock_ns();
	do {
		for (int i = 0; i < CREW_LOOKS; i++) {
			if (queue_has_more(&crew->queue)) {
				stats_add(&crew->polls_paid, 1);
				return true;
			}
			cpu_relax();
		}
		if (gate_wanted(&crew->gate))
			return false;
		if (crew_yield(&now))
			crew->window = 0;
	} while (now - start < crew->window);
	return false;
}

/* After a sleep of so long that a kick has ended: a longer look would have made
 * it needless, or none would. */
static void learn_window(struct crew *crew, uint64_t slept)
{
	uint64_t max = crew->dev->poll_max;

	if (slept > max)
		crew->window = 0;
	else
		crew->window = crew->window ? min_u64(crew->window * 2, max) :
					      max / 4;
}

/* Inside the gate: until the ring is empty and the guest knows that it has to
 * kick, the gate closes, or the lead is lost. */
static void serve_ring(struct member *m)
{
	struct crew *crew = m->crew;
	struct queue *q = &crew->queue;

	if (atomic_exchange(&crew->tell_anyway, false))
		queue_notify_anyway(q);
	if (!m->helps)
		member_tell(m); /* of what the leader before has held */
	queue_disarm(q);
	do {
		int r = 1;

		while (r > 0 && !gate_wanted(&crew->gate))
			r = serve_one(m);
		if (m->leads)
			member_tell(m);
		if (r != 0)
			return; /* broken, exclusive, lost, or the gate */
	} while (poll_ring(crew) || queue_arm(q));
}

/* Outside the gate. */
static void wait_exclusive(struct member *m)
{
	if (!atomic_load(&m->exclusive))
		return;
	device_call_control(m->crew->dev);
	while (atomic_load(&m->exclusive) == EXCLUSIVE_WAITS &&
	       !atomic_load(&m->crew->stop))
		futex_wait(&m->exclusive, EXCLUSIVE_WAITS, 0);
	if (atomic_load(&m->exclusive) != EXCLUSIVE_DONE)
		return;
	(void)queue_notify(&m->crew->queue);
	atomic_store(&m->exclusive, EXCLUSIVE_NONE);
	futex_wake(&m->exclusive);
}

/*
 * Guest memory that is not shared looks like a guest that kicks and puts nothing
 * into the ring. VMMs kick for nothing at the start, too: so this waits a
 * while and has the control thread look, once.
 */
static void doubt_memory(struct crew *crew, bool kicked, bool timed_out)
{
	if (queue_popped(&crew->queue)) {
		crew->memory = MEMORY_CHECKED;
	} else if (kicked) {
		crew->memory = MEMORY_IN_DOUBT;
	} else if (timed_out && crew->memory == MEMORY_IN_DOUBT) {
		crew->memory = MEMORY_CHECKED;
		device_doubt_memory(crew->dev);
	}
}

/*
 * Both descriptors are edge-triggered: a kick is an event by itself, and its
 * counter need not be read.
 * syscalls: epoll_wait epoll_pwait
 */
static void sleep_until_kicked(struct crew *crew)
{
	int ms = crew->memory == MEMORY_IN_DOUBT ? DOUBT_MS :
						atomic_load(&crew->sleep_ms);
	struct epoll_event ev[2];
	uint64_t start = crew->dev->poll_max ? clock_ns() : 0;
	bool kicked = false;
	int n = epoll_wait(crew->epoll_fd, ev, 2, ms);

	for (int i = 0; i < n; i++)
		kicked |= ev[i].data.u32;
	if (kicked)
		stats_add(&crew->kicks, 1);
	if (start && kicked)
		learn_window(crew, clock_ns() - start);
	if (crew->memory != MEMORY_CHECKED)
		doubt_memory(crew, kicked, n == 0);
}

static void lead(struct member *m)
{
	struct crew *crew = m->crew;

	while (m->leads && !atomic_load(&crew->stop)) {
		if (gate_enter(&crew->gate, &m->pass)) {
			serve_ring(m);
			gate_leave(&crew->gate, &m->pass);
			wait_exclusive(m);
		} else {
			member_tell(m);
		}
		if (m->leads)
			sleep_until_kicked(crew);
	}
}

/* What ps(1) and top(1) call the thread. syscalls: prctl:PR_SET_NAME */
static void name_thread(const struct member *m)
{
	char name[16];

	snprintf(name, sizeof(name), "queue %u", m->crew->queue.index);
	(void)prctl(PR_SET_NAME, name);
}

/* syscalls: unshare:CLONE_FS */
void *member_main(void *arg)
{
	struct member *m = arg;

	name_thread(m);
	/* Its own umask and working directory, which no other thread changes. */
	if (unshare(CLONE_FS) < 0)
		log_err(-errno, "queue %u: unshare", m->crew->queue.index);
	while (crew_rest(m))
		lead(m);
	return NULL;
}

void member_run_exclusive(struct member *m)
{
	struct request *rq = &m->slot->rq;
	struct crew *crew = m->crew;
	int r;

	rq->queue_size = device_request_queue_size(crew->dev);
	r = fuse_serve_exclusive(crew->dev->session, rq);
	count(m, r);
	queue_push(&crew->queue, &m->slot->chain, (uint32_t)r);
	crew_wake(crew);
	atomic_store(&m->exclusive, EXCLUSIVE_DONE);
	futex_wake(&m->exclusive);
}

int member_wait_told(struct member *m, unsigned int ms)
{
	if (atomic_load(&m->exclusive) == EXCLUSIVE_DONE)
		futex_wait(&m->exclusive, EXCLUSIVE_DONE, ms);
	return atomic_load(&m->exclusive) == EXCLUSIVE_DONE ? -ETIMEDOUT : 0;
}
