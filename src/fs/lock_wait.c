/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lock_wait.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <time.h>

#include "base/log.h"
#include "fs/lock.h"
#include "fs/lock_host.h"

#define RETRY_MIN_MS 1U
#define RETRY_MAX_MS 50U
/* The end of the process must not wait for a host that does not answer. */
#define STOP_SEC 1

void lock_retry_init(struct lock_retry *r)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&r->wake, &attr);
	pthread_cond_init(&r->idle, &attr);
	pthread_condattr_destroy(&attr);
}

void lock_retry_destroy(struct lock_retry *r)
{
	pthread_cond_destroy(&r->wake);
	pthread_cond_destroy(&r->idle);
}

/* Then the rings of those who wait may be gone already. */
static bool is_stopped(const struct fs *fs)
{
	return atomic_load(&fs->locks->retry.stopped);
}

/* Nothing comes of it if the ring was reset since, or at the very end. */
static bool complete(const struct fs *fs, const struct request_token *token,
		     int result)
{
	if (is_stopped(fs))
		return true;
	return fs->parking.complete(fs->parking.ctx, token, result);
}

static void end_wait(struct fs *fs, struct lock_waiter *w, int result)
{
	struct request_token token = w->token;

	lock_wait_remove(&fs->locks->table, w);
	(void)complete(fs, &token, result);
}

/* One pass along one line. */
struct pass {
	struct fs *fs;
	uint64_t nodeid;
	bool again; /* something has changed for those before */
	bool stop; /* the line itself has changed: from its beginning */
	bool granted; /* anything */
	/* What the host last named as being in the way, by kind: whoever is in
	 * conflict with it need not be tried. Type F_UNLCK: nothing. */
	struct lock_span blocker[LOCK_FLOCK + 1];
};

static int start_thread(struct fs *fs);
static void wake_thread(struct locks *l);

static void poll_for(struct fs *fs, struct lock_waiter *w)
{
	int r = w->polled ? 0 : start_thread(fs);

	if (r < 0) {
		end_wait(fs, w, r);
	} else if (!w->polled) {
		lock_wait_poll(&fs->locks->table, w, true);
		wake_thread(fs->locks);
	}
}

/* The waiter has got its lock, or an error that is no reason to go on. */
static void grant(struct pass *p, struct lock_waiter *w,
		  const struct lock_files *files, int result)
{
	struct lock_table *t = &p->fs->locks->table;
	struct lock_want want = w->want;
	struct request_token token = w->token;

	lock_wait_remove(t, w);
	p->granted = true;
	if (!complete(p->fs, &token, result) && result == 0) {
		(void)lock_untake(p->fs, &want, files, &p->again);
	} else if (result == 0 && lock_owner_waits(t, want.owner)) {
		lock_granted(p->fs, p->nodeid, want.owner);
		p->stop = true;
	}
}

static void try_waiter(struct pass *p, struct lock_waiter *w)
{
	_cleanup_lock_files_ struct lock_files files = { 0 };
	struct fs *fs = p->fs;
	struct lock_span blocker;
	int r;

	if (!fs->parking.wanted(fs->parking.ctx, &w->token)) {
		lock_wait_remove(&fs->locks->table, w);
		return;
	}
	r = lock_files_pin(fs, &w->want, &files);
	if (r == 0)
		r = lock_try(fs, &w->want, &files, &blocker, &p->again);
	if (r == -EAGAIN) {
		p->blocker[w->want.kind] = blocker;
		poll_for(fs, w);
	} else {
		grant(p, w, &files, r);
	}
}

static void pass_one(struct pass *p, struct lock_waiter *w)
{
	struct lock_table *t = &p->fs->locks->table;
	const struct lock_span *blocker = &p->blocker[w->want.kind];

	if (lock_conflict(t, &w->want, NULL, NULL)) {
		if (w->polled)
			lock_wait_poll(t, w, false);
	} else if (blocker->type != F_UNLCK &&
		   lock_span_conflict(blocker, &w->want.span)) {
		poll_for(p->fs, w);
	} else {
		try_waiter(p, w);
	}
}

/* Returns whether anybody was served. */
static bool run_pass(struct fs *fs, uint64_t nodeid)
{
	struct lock_table *t = &fs->locks->table;
	struct pass p = { .fs = fs, .nodeid = nodeid };

	do {
		struct lock_waiter *w = lock_wait_next(t, nodeid, NULL), *next;

		p.again = false;
		p.stop = false;
		p.blocker[LOCK_POSIX].type = F_UNLCK;
		p.blocker[LOCK_FLOCK].type = F_UNLCK;
		for (; w && !p.stop && !is_stopped(fs); w = next) {
			next = lock_wait_next(t, nodeid, w);
			pass_one(&p, w);
		}
	} while ((p.again || p.stop) && !is_stopped(fs));
	return p.granted;
}

void lock_pass(struct fs *fs, uint64_t nodeid)
{
	if (atomic_load(&fs->locks->table.n_waiters))
		(void)run_pass(fs, nodeid);
}

void lock_granted(struct fs *fs, uint64_t nodeid, uint64_t owner)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_waiter *w, *next;

	if (!atomic_load(&t->n_waiters) || !lock_owner_waits(t, owner))
		return;
	for (w = lock_wait_next(t, nodeid, NULL); w; w = next) {
		next = lock_wait_next(t, nodeid, w);
		if (lock_in_way(t, &w->want, owner) &&
		    lock_deadlock(t, &w->want))
			end_wait(fs, w, -EDEADLK);
	}
}

void lock_pass_polled(struct fs *fs, uint64_t nodeid)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_waiter *w = lock_wait_next(t, nodeid, NULL);

	while (w && !w->polled)
		w = lock_wait_next(t, nodeid, w);
	if (w)
		(void)run_pass(fs, nodeid);
}

void lock_end_waits(struct fs *fs, uint64_t nodeid, const uint64_t *fh,
		    const uint64_t *owner)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_waiter *w = lock_wait_next(t, nodeid, NULL), *next;

	for (; w; w = next) {
		next = lock_wait_next(t, nodeid, w);
		if ((!fh || *fh == w->want.fh) &&
		    (!owner || *owner == w->want.owner))
			end_wait(fs, w, -EBADF);
	}
}

int lock_park(struct fs *fs, const struct lock_want *want,
	      const struct request_token *token, bool polled)
{
	struct locks *l = fs->locks;
	struct lock_waiter *w;
	int r = polled ? start_thread(fs) : 0;

	if (r == 0) {
		fs->parking.park(fs->parking.ctx, token);
		r = lock_wait_add(&l->table, want, token, polled, &w);
	}
	if (r < 0)
		return r;
	if (polled)
		wake_thread(l);
	return REQUEST_PARKED;
}

/* The retry thread. */

static struct timespec in_ms(unsigned int ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	ts.tv_nsec += (long)ms * 1000000;
	ts.tv_sec += ts.tv_nsec / 1000000000;
	ts.tv_nsec %= 1000000000;
	return ts;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
	       (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

static bool may_work(const struct locks *l)
{
	return l->table.n_polled && !l->retry.hold;
}

/* Table lock held. Sleeps for *ms; somebody new makes it 1 ms from then on. */
static void sleep_until_due(struct locks *l, unsigned int *ms)
{
	struct timespec due = in_ms(*ms), soon;
	struct lock_retry *r = &l->retry;

	while (!atomic_load(&r->stopped) &&
	       pthread_cond_timedwait(&r->wake, &l->table.lock, &due) !=
		       ETIMEDOUT) {
		if (!r->fresh)
			continue;
		r->fresh = false;
		*ms = RETRY_MIN_MS;
		soon = in_ms(RETRY_MIN_MS);
		if (before(&soon, &due))
			due = soon;
	}
}

/* The next node with somebody to poll for; its waiters are marked as having had
 * their turn in this round. Table lock held. */
static bool next_node(struct locks *l, uint64_t *ret_nodeid)
{
	struct lock_table *t = &l->table;

	for (uint32_t i = 0; i < t->waiters_used; i++) {
		struct lock_waiter *w = &t->waiter[i];

		if (!w->waiting || !w->polled || w->passed == l->retry.number)
			continue;
		*ret_nodeid = w->want.nodeid;
		w = NULL;
		while ((w = lock_wait_next(t, *ret_nodeid, w)) != NULL)
			w->passed = l->retry.number;
		return true;
	}
	return false;
}

/* Table lock held, and given up for each node's pass. */
static bool one_round(struct fs *fs)
{
	struct locks *l = fs->locks;
	bool served = false;
	uint64_t nodeid;

	l->retry.number++;
	l->retry.busy = true;
	while (!l->retry.hold && !atomic_load(&l->retry.stopped) &&
	       next_node(l, &nodeid)) {
		pthread_mutex_t *stripe = lock_stripe(&l->table, nodeid);

		pthread_mutex_unlock(&l->table.lock);
		pthread_mutex_lock(stripe);
		served |= run_pass(fs, nodeid);
		pthread_mutex_unlock(stripe);
		pthread_mutex_lock(&l->table.lock);
	}
	l->retry.busy = false;
	pthread_cond_broadcast(&l->retry.idle);
	return served;
}

/* syscalls: unshare:CLONE_FS */
static void *retry_main(void *arg)
{
	struct fs *fs = arg;
	struct locks *l = fs->locks;
	unsigned int ms = RETRY_MIN_MS;

	if (unshare(CLONE_FS) < 0)
		log_err(-errno, "locks: unshare");
	pthread_mutex_lock(&l->table.lock);
	while (!atomic_load(&l->retry.stopped)) {
		if (!may_work(l)) {
			pthread_cond_wait(&l->retry.wake, &l->table.lock);
			ms = RETRY_MIN_MS;
			continue;
		}
		sleep_until_due(l, &ms);
		if (one_round(fs))
			ms = RETRY_MIN_MS;
		else
			ms = ms * 2 < RETRY_MAX_MS ? ms * 2 : RETRY_MAX_MS;
	}
	pthread_mutex_unlock(&l->table.lock);
	return NULL;
}

/* Signals are blocked in every thread of the worker that could come here. */
static int start_thread(struct fs *fs)
{
	struct locks *l = fs->locks;
	int r = 0;

	pthread_mutex_lock(&l->table.lock);
	if (atomic_load(&l->retry.stopped))
		r = -ENOLCK;
	else if (!l->retry.have_thread)
		r = pthread_create(&l->retry.thread, NULL, retry_main, fs) ?
			    -ENOLCK :
			    0;
	l->retry.have_thread |= r == 0;
	pthread_mutex_unlock(&l->table.lock);
	return r;
}

static void wake_thread(struct locks *l)
{
	pthread_mutex_lock(&l->table.lock);
	l->retry.fresh = true;
	pthread_cond_signal(&l->retry.wake);
	pthread_mutex_unlock(&l->table.lock);
}

void lock_retry_hold(struct fs *fs)
{
	struct locks *l = fs->locks;

	pthread_mutex_lock(&l->table.lock);
	l->retry.hold = true;
	while (l->retry.busy)
		pthread_cond_wait(&l->retry.idle, &l->table.lock);
	pthread_mutex_unlock(&l->table.lock);
}

void lock_retry_resume(struct fs *fs)
{
	struct locks *l = fs->locks;

	pthread_mutex_lock(&l->table.lock);
	l->retry.hold = false;
	pthread_cond_signal(&l->retry.wake);
	pthread_mutex_unlock(&l->table.lock);
}

int lock_retry_stop(struct fs *fs)
{
	struct locks *l = fs->locks;
	struct timespec deadline;
	bool joined = true;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += STOP_SEC;
	pthread_mutex_lock(&l->table.lock);
	atomic_store(&l->retry.stopped, true);
	pthread_cond_signal(&l->retry.wake);
	joined = !l->retry.have_thread;
	pthread_mutex_unlock(&l->table.lock);
	if (!joined && pthread_timedjoin_np(l->retry.thread, NULL, &deadline))
		return -ETIMEDOUT;
	l->retry.have_thread = false;
	/* Whoever was completing requests has done so once each stripe was free. */
	for (unsigned int i = 0; i < LOCK_STRIPES; i++) {
		if (pthread_mutex_timedlock(&l->table.stripe[i], &deadline))
			return -ETIMEDOUT;
		pthread_mutex_unlock(&l->table.stripe[i]);
	}
	return 0;
}
