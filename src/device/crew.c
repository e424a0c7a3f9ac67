/* SPDX-License-Identifier: BSD-3-Clause */
#include "device/crew.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/reserve.h"
#include "device/device.h"

/* A ring without a kick descriptor is looked at this often. */
#define POLL_MS 1

/* A member that has had nothing to do for this long ends. */
#define REST_MS 5000U

/* The lead, next in line after @word, for a member. */
static uint64_t lead_of(uint64_t word, const struct member *m)
{
	return ((word & ~(uint64_t)(LEAD_ONE - 1)) + LEAD_ONE) | (m->no + 1);
}

static bool take_lead(struct member *m, uint64_t word)
{
	uint64_t mine = lead_of(word, m);

	if (!atomic_compare_exchange_strong(&m->crew->lead, &word, mine))
		return false;
	m->word = mine;
	m->leads = true;
	return true;
}

/* Lock held. */
static void stop_resting(struct member *m)
{
	struct member **p = &m->crew->resting;

	while (*p != m)
		p = &(*p)->next;
	*p = m->next;
	m->rests = false;
}

/* Lock held: one that rests has something to do. */
static void rouse(struct member *m)
{
	stop_resting(m);
	atomic_store(&m->go, 1);
	futex_wake(&m->go);
}

/* Lock held, and somebody rests. */
static void give_lead(struct crew *crew, uint64_t word)
{
	if (take_lead(crew->resting, word))
		rouse(crew->resting);
}

void crew_act(struct member *m, bool behind)
{
	m->word = lead_of(m->word, m) | LEAD_ACTS | (behind ? LEAD_BEHIND : 0);
	/* The lead before a look at the watchdog; pairs with sleep_until_woken(). */
	atomic_store(&m->crew->lead, m->word);
	watchdog_notice(&m->crew->dev->watchdog);
}

void crew_acted(struct member *m)
{
	uint64_t acts = m->word, word = acts;
	uint64_t done = acts & ~(uint64_t)(LEAD_ACTS | LEAD_BEHIND);

	if (!(acts & LEAD_ACTS))
		return;
	/* Somebody may have marked it on the way. */
	m->leads = atomic_compare_exchange_strong(&m->crew->lead, &word, done) ||
		   (word == (acts | LEAD_BLOCKED) &&
		    atomic_compare_exchange_strong(&m->crew->lead, &word, done));
	if (m->leads)
		m->word = done;
}

void crew_blocks(struct member *m)
{
	struct crew *crew = m->crew;
	uint64_t word = m->word;
	bool alone;

	if (!(word & LEAD_ACTS) || atomic_load(&crew->lead) != word)
		return;
	pthread_mutex_lock(&crew->lock);
	alone = !crew->resting;
	if (alone)
		(void)atomic_compare_exchange_strong(&crew->lead, &word,
						     word | LEAD_BLOCKED);
	else
		give_lead(crew, word);
	pthread_mutex_unlock(&crew->lock);
	/* One that is awake has seen the mark, or sees it when it lies down. */
	if (alone && !atomic_load(&crew->hot))
		watchdog_call(&crew->dev->watchdog);
	/* Only now: none of them may count on this member from here on. */
	member_tell(m);
}

/* Lock held. Returns whether it rests; else it leads, or is to end. */
static bool lie_down(struct member *m)
{
	struct crew *crew = m->crew;
	uint64_t word = atomic_load(&crew->lead);

	if (crew->starting == m)
		crew->starting = NULL;
	m->is_new = false;
	if (atomic_load(&crew->stop) ||
	    (word & LEAD_BLOCKED && take_lead(m, word)))
		return false;
	atomic_store(&m->go, 0);
	m->next = crew->resting;
	crew->resting = m;
	m->rests = true;
	return true;
}

/* Returns whether the thread ends for want of work. */
static bool has_rested_enough(struct member *m)
{
	bool enough;

	pthread_mutex_lock(&m->crew->lock);
	enough = m->rests;
	if (enough) {
		stop_resting(m);
		m->runs = false;
		atomic_fetch_sub(&m->crew->dev->n_threads, 1);
	}
	pthread_mutex_unlock(&m->crew->lock);
	return enough;
}

/* A yield that took so long has given the CPU to somebody who wanted it. */
#define WANTED_NS 200000U

/* How long a member that could help stays awake: a wake-up takes about as long. */
#define HOT_NS 50000U

static bool look_at_lead(struct member *m)
{
	for (int i = 0; i < CREW_LOOKS; i++) {
		uint64_t word = atomic_load(&m->crew->lead);

		if (word & (LEAD_BLOCKED | LEAD_BEHIND) && take_lead(m, word)) {
			m->helps = !(word & LEAD_BLOCKED);
			return true;
		}
		cpu_relax();
	}
	return false;
}

bool crew_yield(uint64_t *now)
{
	uint64_t before = *now;

	sched_yield();
	*now = clock_ns();
	return *now - before > WANTED_NS;
}

/* While help is on, one member that has nothing to do looks for work for a moment
 * before it rests. Returns whether it leads. */
static bool stay_awake(struct member *m)
{
	struct crew *crew = m->crew;
	uint64_t start, now;
	bool leads = false;

	if (!help_on(&crew->help) || m->is_new ||
	    atomic_exchange(&crew->hot, true))
		return false;
	start = now = clock_ns();
	do {
		leads = look_at_lead(m);
		if (leads || atomic_load(&crew->stop))
			break;
	} while (!crew_yield(&now) && now - start < HOT_NS);
	atomic_store(&crew->hot, false);
	if (m->helps)
		stats_add(&crew->helped, 1);
	return leads;
}

void crew_call_help(struct crew *crew)
{
	uint64_t helped = stats_get(&crew->helped);

	if (helped == crew->helped_seen && !atomic_load(&crew->hot)) {
		pthread_mutex_lock(&crew->lock);
		if (crew->resting)
			rouse(crew->resting);
		else
			atomic_store(&crew->wants_member, true);
		pthread_mutex_unlock(&crew->lock);
	}
	crew->helped_seen = helped;
}

bool crew_rest(struct member *m)
{
	struct crew *crew = m->crew;
	uint64_t now, end;
	bool rests;

	m->helps = false;
	if (stay_awake(m))
		return true;
	now = clock_ms();
	end = now + REST_MS;
	pthread_mutex_lock(&crew->lock);
	rests = lie_down(m);
	pthread_mutex_unlock(&crew->lock);
	while (rests && !atomic_load(&m->go)) {
		if (now >= end) {
			if (has_rested_enough(m))
				return false;
			end = now + REST_MS;
		}
		futex_wait(&m->go, 0, (unsigned int)(end - now));
		now = clock_ms();
	}
	return !atomic_load(&crew->stop);
}

static void free_member(struct member *m)
{
	munmap(m->slot, sizeof(*m->slot));
	free(m);
}

static struct member *make_member(struct crew *crew, unsigned int no)
{
	struct member *m = aligned_alloc(64, sizeof(*m));

	if (!m)
		return NULL;
	*m = (struct member){ .crew = crew, .no = no };
	m->slot = reserve(sizeof(*m->slot));
	if (!m->slot) {
		free(m);
		return NULL;
	}
	m->slot->member = m;
	m->slot->chain.iov = m->slot->iov;
	m->tally = device_tally(crew->dev, crew->queue.index, no);
	if (!m->tally) {
		free_member(m);
		return NULL;
	}
	return m;
}

/* A member without a thread, or a new one. */
static struct member *find_place(struct crew *crew)
{
	unsigned int n = atomic_load(&crew->n_members);

	for (unsigned int i = 0; i < n; i++)
		if (!crew->member[i]->runs)
			return crew->member[i];
	if (n >= crew->dev->crew_max)
		return NULL;
	crew->member[n] = make_member(crew, n);
	if (!crew->member[n])
		return NULL;
	atomic_store(&crew->n_members, n + 1);
	return crew->member[n];
}

/* Lock held. 0 or -errno. */
static int start_member(struct crew *crew)
{
	struct member *m = find_place(crew);
	int r;

	if (!m)
		return -ENOSPC;
	if (m->joinable)
		pthread_join(m->thread, NULL);
	m->joinable = false;
	m->is_new = true;
	r = pthread_create(&m->thread, NULL, member_main, m);
	if (r > 0)
		return -r;
	m->joinable = true;
	m->runs = true;
	crew->starting = m;
	atomic_fetch_add(&crew->dev->n_threads, 1);
	return 0;
}

/* Lock held. Without another one, the queue waits for its leader. */
static void grow(struct crew *crew)
{
	int r = start_member(crew);

	if (r < 0 && r != -ENOSPC && !crew->lacks_threads) {
		log_warn("queue %u waits for the host: it cannot have another thread: %s",
			 crew->queue.index, strerror(-r));
		crew->lacks_threads = true;
	}
}

void crew_relieve(struct crew *crew, uint64_t word)
{
	uint64_t marked = word | LEAD_BLOCKED;

	if (!(word & LEAD_BLOCKED))
		quick_stalled(&crew->quick, clock_ns());
	pthread_mutex_lock(&crew->lock);
	if (crew->resting)
		give_lead(crew, word);
	else if (atomic_compare_exchange_strong(&crew->lead, &word, marked) &&
		 !crew->starting && device_may_grow(crew->dev))
		grow(crew);
	pthread_mutex_unlock(&crew->lock);
}

void crew_add_wanted(struct crew *crew)
{
	if (!atomic_load_explicit(&crew->wants_member, memory_order_relaxed) ||
	    !atomic_exchange(&crew->wants_member, false))
		return;
	pthread_mutex_lock(&crew->lock);
	if (!crew->resting && !crew->starting && device_may_grow(crew->dev))
		(void)start_member(crew);
	pthread_mutex_unlock(&crew->lock);
}

int crew_start(struct crew *crew)
{
	int r = watchdog_start(&crew->dev->watchdog, crew->dev);

	if (r < 0)
		return r;
	pthread_mutex_lock(&crew->lock);
	if (atomic_load(&crew->n_members) == 0 || !crew->member[0]->joinable)
		r = start_member(crew);
	pthread_mutex_unlock(&crew->lock);
	return r;
}

/* syscalls: write */
void crew_wake(struct crew *crew)
{
	const uint64_t one = 1;

	if (write(crew->wake_fd, &one, sizeof(one)) < 0) {
		/* Its counter is full: it has been woken. */
	}
}

/* syscalls: epoll_ctl */
static int poll_fd(struct crew *crew, int fd, bool kick)
{
	struct epoll_event ev = {
		.events = EPOLLIN | EPOLLET,
		.data.u32 = kick,
	};

	return epoll_ctl(crew->epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno :
								       0;
}

/* A kick that a worker which died has read or has not is an event for this one:
 * nobody ever takes it off the counter. */
int crew_listen(struct crew *crew)
{
	const struct queue_record *rec = crew->queue.record;
	int r;

	atomic_store(&crew->sleep_ms,
		     rec->kick_fd || !rec->started ? -1 : POLL_MS);
	if (!rec->kick_fd)
		return 0;
	r = poll_fd(crew, rec->kick_fd, true);
	if (r == 0)
		crew->polled_fd = rec->kick_fd;
	return r;
}

int crew_set_kick(struct crew *crew, int *fd)
{
	struct queue_record *rec = crew->queue.record;

	/* Before it is closed: the front-end has the same eventfd, which would
	 * keep it in the set under a number that is no longer ours. */
	if (crew->polled_fd >= 0)
		(void)epoll_ctl(crew->epoll_fd, EPOLL_CTL_DEL, crew->polled_fd,
				NULL);
	crew->polled_fd = -1;
	queue_set_fd(&rec->kick_fd, fd);
	return crew_listen(crew);
}

static void release(struct crew *crew)
{
	struct member *m;

	for_each_member(crew, m)
		free_member(m);
	queue_destroy(&crew->queue);
	pthread_mutex_destroy(&crew->lock);
	(void)fd_close(&crew->epoll_fd);
	(void)fd_close(&crew->wake_fd);
	free(crew);
}

/* syscalls: epoll_create1 */
int crew_create(struct device *dev, unsigned int index, struct crew **ret)
{
	struct crew *crew = aligned_alloc(64, sizeof(*crew));
	int r;

	if (!crew)
		return -ENOMEM;
	*crew = (struct crew){ .dev = dev, .polled_fd = -1, .sleep_ms = -1,
			       .lead = LEAD_BLOCKED };
	gate_init(&crew->gate);
	pthread_mutex_init(&crew->lock, NULL);
	r = queue_init(&crew->queue, index, &dev->queue_record[index],
		       device_inflight(dev, index), &dev->map, &dev->dirty);
	if (r < 0) {
		free(crew);
		return r;
	}
	crew->wake_fd = fd_eventfd(0, EFD_NONBLOCK);
	crew->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (crew->epoll_fd >= 0)
		fd_adopt(crew->epoll_fd);
	if (crew->wake_fd < 0 || crew->epoll_fd < 0 ||
	    poll_fd(crew, crew->wake_fd, false) < 0) {
		release(crew);
		return -EMFILE;
	}
	*ret = crew;
	return 0;
}

void crew_stop(struct crew *crew)
{
	struct member *m;

	gate_close(&crew->gate);
	pthread_mutex_lock(&crew->lock);
	atomic_store(&crew->stop, 1);
	for_each_member(crew, m) {
		atomic_store(&m->go, 1);
		futex_wake(&m->go);
		atomic_store(&m->exclusive, EXCLUSIVE_NONE);
		futex_wake(&m->exclusive);
	}
	pthread_mutex_unlock(&crew->lock);
	crew_wake(crew);
}

int crew_destroy(struct crew *crew, const struct timespec *deadline)
{
	struct member *m;

	for_each_member(crew, m) {
		if (m->joinable &&
		    pthread_timedjoin_np(m->thread, NULL, deadline))
			return -ETIMEDOUT;
		m->joinable = false;
	}
	release(crew);
	return 0;
}
