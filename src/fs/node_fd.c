/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Theory of operation
 *
 * The cold node is found by a clock over descriptor numbers, which are dense:
 * owner[] tells whose each is. A node that was pinned since the hand came by last
 * is passed over. Each search takes a bounded number of steps, so when all nodes
 * are hot the budget is exceeded for a while, and nobody waits.
 *
 * A node's descriptor is closed only while nobody else can get at the node:
 * with the shard's lock held and the node frozen (base/slots.h). Whatever takes a
 * system call is done before, with the node pinned.
 *
 * Unlinked files. A handle alone is worth nothing once the file's last name is
 * gone. So a node gives its descriptor up only if its link count, taken after it
 * was pinned for the purpose, is not 0, and whoever removes a name looks first
 * whether the guest holds the file (node_removal_enter()): it then marks the node
 * NODE_KEEP, under the lock under which the descriptor would be given up.
 *
 * That look costs the removal a system call, so it begins only once descriptors
 * are short. Removals that began before that are counted in gates; the first
 * descriptor is given up when, after short_of was set, all gates were seen
 * empty. A removal counts itself in first and looks at short_of afterwards, so
 * one of the two sees the other.
 */
#include "fs/node_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/reserve.h"
#include "fs/node_place.h"

/* Steps of the clock's hand in one search. */
#define STEPS_MAX 128
/* Descriptors that are closed when the process is at its limit. */
#define RELIEF 16
/* Descriptors beyond this number are not looked after. */
#define OWNERS_MAX (1U << 22)

/* Whether handles can be had and opened here. syscalls: openat */
static int probe(int root_fd, int *ret_mount_fd)
{
	_cleanup_close_ int mount_fd = -1, again = -1;
	struct fhandle fh;
	int r = fhandle_get(root_fd, &fh);

	if (r < 0)
		return r;
	mount_fd = fd_openat(AT_FDCWD, fd_name(root_fd).s, O_RDONLY, 0);
	if (mount_fd < 0)
		return mount_fd;
	again = fhandle_open(mount_fd, &fh, O_PATH);
	if (again < 0)
		return again;
	*ret_mount_fd = fd_take(&mount_fd);
	return 0;
}

static long budget_of(enum handle_mode mode)
{
	long most = fd_guest_limit() / 4 * 3;

	return min_long(most, mode == HANDLES_AUTO ? NODE_FDS_AUTO :
						     NODE_FDS_PREFER);
}

/* syscalls: prlimit64 */
static int owners_init(struct node_fds *f)
{
	struct rlimit rl = { .rlim_cur = OWNERS_MAX };
	void *p;

	(void)getrlimit(RLIMIT_NOFILE, &rl);
	f->n_owner = (uint32_t)min_u64(rl.rlim_cur, OWNERS_MAX);
	p = reserve(f->n_owner * sizeof(*f->owner));
	if (!p)
		return -ENOMEM;
	f->owner = p;
	return 0;
}

int node_fds_init(struct node_fds *f, enum handle_mode mode, int root_fd,
		  int *ret_mount_fd)
{
	int r = -EOPNOTSUPP;

	memset(f, 0, sizeof(*f));
	f->mode = mode;
	f->budget = LONG_MAX;
	if (mode != HANDLES_NEVER)
		r = probe(root_fd, ret_mount_fd);
	if (r < 0 && mode == HANDLES_MANDATORY)
		return r;
	if (r < 0 && mode != HANDLES_NEVER)
		log_lacking(LOG_LEVEL_DEBUG,
			    "no file handles: each file that the guest holds takes a descriptor (%s)",
			    strerror(-r));
	if (r < 0)
		return 0;
	f->budget = budget_of(mode);
	return owners_init(f);
}

/* syscalls: munmap */
void node_fds_destroy(struct node_fds *f)
{
	if (f->owner)
		munmap(f->owner, f->n_owner * sizeof(*f->owner));
	f->owner = NULL;
}

/* syscalls: madvise */
void node_fds_clear(struct node_fds *f)
{
	if (f->owner)
		madvise(f->owner, f->n_owner * sizeof(*f->owner),
			MADV_DONTNEED);
	atomic_store(&f->top, 0);
	atomic_store(&f->short_of, false);
	atomic_store(&f->begun, false);
}

void node_fds_attach(struct node_fds *f)
{
	atomic_store(&f->short_of, true);
	atomic_store(&f->begun, true);
}

static void set_owner(struct node_fds *f, int fd, uint32_t owner)
{
	uint32_t n = (uint32_t)fd, top = atomic_load(&f->top);

	if (fd < 0 || n >= f->n_owner)
		return;
	atomic_store_explicit(&f->owner[n], owner, memory_order_relaxed);
	while (owner && top <= n &&
	       !atomic_compare_exchange_weak(&f->top, &top, n + 1))
		;
}

void node_fd_put(struct node_table *t, struct node *n, int *fd_taken)
{
	int fd = fd_take(fd_taken);

	set_owner(&t->fds, fd, slots_index(&t->slots, n) + 1);
	atomic_store_explicit(&n->fd, fd, memory_order_release);
}

int node_fd_take(struct node_table *t, struct node *n)
{
	int fd = atomic_load_explicit(&n->fd, memory_order_relaxed);

	set_owner(&t->fds, fd, 0);
	atomic_store_explicit(&n->fd, -1, memory_order_relaxed);
	return fd;
}

void node_handle_put(struct node *n, const struct fhandle *fh, uint32_t mount)
{
	n->flags &= (uint16_t)~NODE_PLACED;
	n->mount = (uint16_t)mount;
	n->handle_type = fh->type;
	memcpy(n->handle, fh->bytes, sizeof(n->handle));
	atomic_thread_fence(memory_order_release);
	n->handle_len = fh->len;
}

struct fhandle node_handle(const struct node *n)
{
	struct fhandle fh = { .type = n->handle_type, .len = n->handle_len };

	memcpy(fh.bytes, n->handle, sizeof(fh.bytes));
	return fh;
}

/* A new descriptor of it, by what else it has. */
static int open_again(struct node_table *t, const struct node *n)
{
	struct fhandle fh;

	if (!n->handle_len)
		return node_place_open(t, n);
	fh = node_handle(n);
	return fhandle_open(mounts_fd(&t->mounts, n->mount), &fh, O_PATH);
}

int node_fd_revive(struct node_table *t, struct node *n, int *ret_fd)
{
	int r = open_again(t, n);
	_cleanup_close_ int fd = r;

	pthread_mutex_lock(node_lock(t, n));
	if (fd >= 0 && atomic_load(&n->fd) < 0)
		node_fd_put(t, n, &fd);
	pthread_mutex_unlock(node_lock(t, n));
	/* Who took its name away meanwhile has opened it before. */
	*ret_fd = atomic_load(&n->fd);
	if (*ret_fd < 0)
		return r;
	node_fds_balance(t);
	return 0;
}

/* All who take names away know that they have to look. */
static bool may_begin(struct node_fds *f)
{
	if (atomic_load_explicit(&f->begun, memory_order_relaxed))
		return true;
	atomic_store(&f->short_of, true);
	for (unsigned int i = 0; i < NODE_GATES; i++)
		if (atomic_load(&f->gate[i].n))
			return false;
	atomic_store(&f->begun, true);
	return true;
}

static bool is_cold(struct node_table *t, const struct node *n, int fd)
{
	return slots_is_idle(&t->slots, n) && atomic_load(&n->fd) == fd &&
	       !(n->flags & (NODE_KEEP | NODE_NO_HANDLE));
}

static int learn_handle(struct node_table *t, const struct node *n, int fd,
			struct fhandle *ret, uint32_t *ret_mount)
{
	int r = fhandle_get(fd, ret);

	if (r == 0)
		r = mounts_get(&t->mounts, n->mnt_id, fd);
	if (r < 0)
		return r;
	*ret_mount = (uint32_t)r;
	return 0;
}

/*
 * What is to be known before a pinned node can give up its descriptor: 0, or
 * -errno if that is not known now, or the flags that keep it from doing so.
 * syscalls: statx
 */
static int prepare(struct node_table *t, struct node *n, int fd)
{
	struct fhandle fh;
	struct statx stx;
	uint32_t mount;
	int r;

	/* Handles there may go stale: only who asked for them gets them. */
	if (node_class(n) & FSCLASS_UNSTABLE && t->fds.mode == HANDLES_AUTO)
		return NODE_NO_HANDLE;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_NLINK, &stx) < 0)
		return -errno;
	if (stx.stx_nlink == 0)
		return NODE_KEEP;
	if (n->handle_len)
		return 0;
	r = learn_handle(t, n, fd, &fh, &mount);
	if (r == -EOPNOTSUPP || r == -EOVERFLOW)
		return NODE_NO_HANDLE;
	if (r < 0)
		return r;
	pthread_mutex_lock(node_lock(t, n));
	node_handle_put(n, &fh, mount);
	pthread_mutex_unlock(node_lock(t, n));
	return 0;
}

/* Closes the descriptor of a node that the caller has pinned. */
static bool give_up(struct node_table *t, struct node *n, int fd)
{
	_cleanup_close_ int victim = -1;
	int r = prepare(t, n, fd);

	if (r < 0)
		return false;
	pthread_mutex_lock(node_lock(t, n));
	n->flags |= (uint16_t)r;
	if (!(n->flags & (NODE_KEEP | NODE_NO_HANDLE)) &&
	    slots_freeze(&t->slots, n)) {
		victim = node_fd_take(t, n);
		slots_thaw(&t->slots, n);
	}
	pthread_mutex_unlock(node_lock(t, n));
	return victim >= 0;
}

static bool try_node(struct node_table *t, uint32_t index, int fd)
{
	struct node *n = slots_at(&t->slots, index);
	bool cold;

	if (slots_was_used(&t->slots, n))
		return false;
	pthread_mutex_lock(node_lock(t, n));
	cold = is_cold(t, n, fd);
	if (cold)
		slots_pin(&t->slots, n);
	pthread_mutex_unlock(node_lock(t, n));
	if (!cold)
		return false;
	cold = give_up(t, n, fd);
	slots_put(&t->slots, n);
	return cold;
}

/* One cold node gives up its descriptor. False if none was found. */
static bool give_up_one(struct node_table *t)
{
	struct node_fds *f = &t->fds;
	uint32_t top = atomic_load(&f->top);

	if (top == 0 || !may_begin(f))
		return false;
	for (int i = 0; i < STEPS_MAX; i++) {
		uint32_t fd = atomic_fetch_add(&f->hand, 1) % top;
		uint32_t owner = atomic_load_explicit(&f->owner[fd],
						      memory_order_relaxed);

		if (owner && try_node(t, owner - 1, (int)fd))
			return true;
	}
	return false;
}

void node_fds_balance(struct node_table *t)
{
	/* Two for one, so that it comes down again after it was exceeded. */
	for (int i = 0; i < 2 && fd_count() > t->fds.budget; i++)
		if (!give_up_one(t))
			return;
}

/* Every node may be hot: then the hand has to come round once. */
bool node_fds_relieve(void *table)
{
	struct node_table *t = table;
	uint32_t tries = atomic_load(&t->fds.top) / STEPS_MAX * 2 + 2;
	int closed = 0;

	if (t->fds.budget == LONG_MAX)
		return false;
	while (closed < RELIEF && tries-- > 0)
		closed += give_up_one(t);
	return closed > 0;
}

void node_removal_enter(struct node_table *t, const struct node_pin *dir,
			const char *name, uint32_t guess,
			struct node_removal *ret)
{
	struct node_fds *f = &t->fds;
	struct statx stx;
	struct node *n;
	int fd;

	ret->gate = NULL;
	node_leaves(t, dir, name, guess);
	if (f->budget == LONG_MAX)
		return;
	if (!atomic_load(&f->short_of)) {
		uint32_t i = slots_index(&t->slots, dir->node) % NODE_GATES;

		ret->gate = &f->gate[i].n;
		atomic_fetch_add(ret->gate, 1);
		if (!atomic_load(&f->short_of))
			return;
		node_removal_leave(ret);
	}
	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_INO | STATX_MNT_ID, &stx) < 0)
		return;
	n = node_find(t, &stx);
	if (!n)
		return;
	/* If another file has taken over the number, its handle is stale. */
	if (atomic_load(&n->fd) >= 0 || node_fd_revive(t, n, &fd) == 0) {
		pthread_mutex_lock(node_lock(t, n));
		n->flags |= NODE_KEEP;
		pthread_mutex_unlock(node_lock(t, n));
	}
	slots_put(&t->slots, n);
}

void node_removal_leave(struct node_removal *r)
{
	if (r->gate)
		atomic_fetch_sub(r->gate, 1);
	r->gate = NULL;
}
