/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/recall.h"
#include "fs/lock_host.h"

/* Pages that are never touched, while no lock is taken, cost nothing.
 * syscalls: mmap */
int locks_create(struct fs *fs, const struct arena *arena)
{
	struct locks *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int r;

	if (l == MAP_FAILED)
		return -errno;
	fs->locks = l;
	lock_retry_init(&l->retry);
	r = lock_table_init(&l->table, arena);
	if (r == 0 && recall_runs())
		lock_attach(fs);
	return r;
}

/* syscalls: munmap */
void locks_destroy(struct fs *fs)
{
	struct locks *l = fs->locks;

	if (!l)
		return;
	lock_table_destroy(&l->table);
	lock_retry_destroy(&l->retry);
	munmap(l, sizeof(*l));
	fs->locks = NULL;
}

int locks_stop(struct fs *fs)
{
	return fs->locks ? lock_retry_stop(fs) : 0;
}

void locks_reset(struct fs *fs)
{
	struct locks *l = fs->locks;

	if (!l)
		return;
	lock_retry_hold(fs);
	pthread_mutex_lock(&l->table.lock);
	lock_table_clear(&l->table);
	pthread_mutex_unlock(&l->table.lock);
	lock_retry_resume(fs);
}

/* Stripe held. */
static int take_or_park(struct fs *fs, const struct lock_want *want,
			const struct lock_files *files,
			const struct request_token *park, bool *gain)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_span blocker;
	bool ours;
	int r = -EAGAIN;

	if (park)
		lock_pass_polled(fs, want->nodeid);
	ours = lock_conflict(t, want, NULL, NULL);
	/* The host has to hear of an flock all the same: it gives up the one
	 * that is to be changed. */
	if (!ours || want->kind == LOCK_FLOCK)
		r = lock_try(fs, want, files, &blocker, gain);
	if (r == -EAGAIN && park)
		r = lock_park(fs, want, park, !ours);
	return r;
}

int lock_set(struct fs *fs, const struct lock_want *want,
	     const struct request_token *park)
{
	_cleanup_lock_files_ struct lock_files files = { 0 };
	struct lock_table *t = &fs->locks->table;
	pthread_mutex_t *stripe = lock_stripe(t, want->nodeid);
	bool gain = false;
	int r;

	pthread_mutex_lock(stripe);
	/* Pinned in here: RELEASE and FORGET first make the numbers worthless
	 * and then come here to clean up. */
	r = lock_files_pin(fs, want, &files);
	if (r == 0 && want->span.type == F_UNLCK)
		r = lock_untake(fs, want, &files, &gain);
	else if (r == 0)
		r = take_or_park(fs, want, &files, park, &gain);
	if (r == 0 && want->span.type != F_UNLCK)
		lock_granted(fs, want->nodeid, want->owner);
	if (gain)
		lock_pass(fs, want->nodeid);
	pthread_mutex_unlock(stripe);
	return r;
}

int lock_test(struct fs *fs, const struct lock_want *want,
	      struct lock_span *ret_held, uint32_t *ret_pid)
{
	_cleanup_lock_files_ struct lock_files files = { 0 };
	struct lock_table *t = &fs->locks->table;
	pthread_mutex_t *stripe = lock_stripe(t, want->nodeid);
	int r;

	pthread_mutex_lock(stripe);
	r = lock_files_pin(fs, want, &files);
	if (r == 0 && lock_conflict(t, want, ret_held, ret_pid)) {
		r = 1;
	} else if (r == 0) {
		/* A process of the host has no number in the guest. */
		*ret_pid = 0;
		r = lock_probe(fs, want, &files, ret_held);
		r = r == -EAGAIN ? 1 : r;
	}
	pthread_mutex_unlock(stripe);
	return r;
}

void lock_flush(struct fs *fs, uint64_t nodeid, uint64_t owner, uint64_t fh)
{
	const struct lock_want want = {
		.nodeid = nodeid,
		.owner = owner,
		.kind = LOCK_POSIX,
	};
	struct lock_owner *o;
	pthread_mutex_t *stripe;

	if (!fs->locks || lock_table_idle(&fs->locks->table))
		return;
	stripe = lock_stripe(&fs->locks->table, nodeid);
	pthread_mutex_lock(stripe);
	lock_end_waits(fs, nodeid, &fh, &owner);
	o = lock_owner_find(&fs->locks->table, &want);
	if (o) {
		lock_let_go(fs, o, -1);
		lock_pass(fs, nodeid);
	}
	pthread_mutex_unlock(stripe);
}

/*
 * POSIX locks that are left by now are those that an open file of the guest
 * owns itself (F_OFD_SETLK): its kernel says nothing of their end but this. A
 * process's own go with the FLUSH that comes before.
 */
void lock_release(struct fs *fs, uint64_t nodeid, uint64_t fh, int fd)
{
	struct lock_owner *o, *next;
	struct lock_table *t;
	pthread_mutex_t *stripe;

	if (!fs->locks || lock_table_idle(&fs->locks->table))
		return;
	t = &fs->locks->table;
	stripe = lock_stripe(t, nodeid);
	pthread_mutex_lock(stripe);
	lock_end_waits(fs, nodeid, &fh, NULL);
	for (o = lock_owner_next(t, nodeid, NULL); o; o = next) {
		next = lock_owner_next(t, nodeid, o);
		if (o->fh == fh)
			lock_let_go(fs, o, fd);
	}
	lock_pass(fs, nodeid);
	pthread_mutex_unlock(stripe);
}

void lock_forget_node(struct fs *fs, uint64_t nodeid)
{
	struct lock_owner *o;
	pthread_mutex_t *stripe;

	if (!fs->locks)
		return;
	stripe = lock_stripe(&fs->locks->table, nodeid);
	pthread_mutex_lock(stripe);
	lock_end_waits(fs, nodeid, NULL, NULL);
	while ((o = lock_owner_next(&fs->locks->table, nodeid, NULL)) != NULL)
		lock_let_go(fs, o, -1);
	pthread_mutex_unlock(stripe);
}
