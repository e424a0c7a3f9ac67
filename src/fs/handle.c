/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/handle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/recall.h"
#include "base/reserve.h"

static struct slot_fds reclaim(void *ctx, void *record)
{
	struct handle *h = record;

	return (struct slot_fds){ { fd_take(&h->fd), -1 } };
}

/* Open, for more than to point at a file, and of the right kind.
 * syscalls: fcntl:F_GETFL fstat */
static bool keep(void *ctx, void *record)
{
	const struct handle *h = record;
	int flags = fcntl(h->fd, F_GETFL);
	struct stat st;

	if (flags < 0 || flags & O_PATH || fstat(h->fd, &st) < 0)
		return false;
	if (h->kind == HANDLE_DIR ? !S_ISDIR(st.st_mode) || h->dir_pos < -1 :
				    h->kind != HANDLE_FILE ||
					    !S_ISREG(st.st_mode))
		return false;
	return recall_fd(h->fd) == 0;
}

static size_t ahead_size(const struct handle_table *t)
{
	return HANDLE_DIR_LOCKS * sizeof(*t->ahead);
}

int handle_table_init(struct handle_table *t, const struct arena *arena)
{
	void *p = reserve(ahead_size(t));
	int r;

	memset(t, 0, sizeof(*t));
	if (!p)
		return -ENOMEM;
	t->ahead = p;
	for (unsigned int i = 0; i < HANDLE_DIR_LOCKS; i++)
		pthread_mutex_init(&t->dir_lock[i], NULL);
	r = slots_init(&t->slots, arena, ARENA_HANDLES, sizeof(struct handle),
		       reclaim, t);
	if (r == 0 && recall_runs())
		slots_attach(&t->slots, keep);
	return r;
}

void handle_table_clear(struct handle_table *t)
{
	slots_clear(&t->slots);
}

/* syscalls: munmap */
void handle_table_destroy(struct handle_table *t)
{
	if (t->ahead)
		munmap(t->ahead, ahead_size(t));
	t->ahead = NULL;
	if (!t->slots.private)
		return;
	slots_clear(&t->slots);
	slots_destroy(&t->slots);
	for (unsigned int i = 0; i < HANDLE_DIR_LOCKS; i++)
		pthread_mutex_destroy(&t->dir_lock[i]);
}

uint64_t handle_table_count(struct handle_table *t)
{
	return slots_count(&t->slots);
}

int handle_open_for(struct handle_table *t, enum handle_kind kind,
		    int *fd_taken, const struct handle_origin *from,
		    uint64_t *ret_fh)
{
	_cleanup_close_ int fd = fd_take(fd_taken);
	uint32_t shard = (uint32_t)fd % SLOTS_SHARDS;
	pthread_mutex_t *lock = &t->slots.shard[shard].lock;
	struct handle *h;

	pthread_mutex_lock(lock);
	h = slots_alloc(&t->slots, shard);
	if (h) {
		h->fd = fd_take(&fd);
		h->kind = (uint16_t)kind;
		h->fs_class = (uint8_t)from->fs_class;
		h->io = (uint8_t)from->io;
		h->dir_pos = 0;
		h->order = from->tally ? from->tally->order : 0;
		h->tally = from->tally ? from->tally->number : 0;
		h->nodeid = from->nodeid;
		*ret_fh = slots_commit(&t->slots, h);
	}
	pthread_mutex_unlock(lock);
	if (!h)
		return -ENFILE;
	slots_put(&t->slots, h);
	return 0;
}

int handle_open(struct handle_table *t, enum handle_kind kind, int *fd,
		uint64_t *ret_fh)
{
	const struct handle_origin nowhere = { 0 };

	return handle_open_for(t, kind, fd, &nowhere, ret_fh);
}

void handle_undo(struct handle_table *t, const struct tally *tally)
{
	struct handle *h = NULL;

	while ((h = slots_next(&t->slots, h)) != NULL) {
		struct handle_pin p = { .table = t, .handle = h };

		if (h->tally != tally->number || h->order != tally->order)
			continue;
		slots_pin(&t->slots, h);
		handle_close(&p);
	}
}

int handle_pin(struct handle_table *t, uint64_t fh, enum handle_kind kind,
	       struct handle_pin *ret)
{
	struct handle *h = slots_get(&t->slots, fh);

	if (!h)
		return -EBADF;
	if (h->kind != kind) {
		slots_put(&t->slots, h);
		return -EBADF;
	}
	ret->table = t;
	ret->handle = h;
	ret->fd = h->fd;
	return 0;
}

void handle_unpin(struct handle_pin *p)
{
	if (!p->table)
		return;
	slots_put(&p->table->slots, p->handle);
	p->table = NULL;
}

void handle_retire(struct handle_pin *p)
{
	struct slots *s = &p->table->slots;
	uint32_t shard = slots_index(s, p->handle) % SLOTS_SHARDS;

	pthread_mutex_lock(&s->shard[shard].lock);
	slots_kill(s, p->handle);
	pthread_mutex_unlock(&s->shard[shard].lock);
}

void handle_close(struct handle_pin *p)
{
	handle_retire(p);
	handle_unpin(p);
}

bool handle_drop(struct handle_table *t, uint64_t fh)
{
	struct handle_pin p = { .table = t };

	p.handle = fh ? slots_get(&t->slots, fh) : NULL;
	if (!p.handle)
		return false;
	handle_close(&p);
	return true;
}

uint64_t handle_id(const struct handle_pin *p)
{
	return slots_id(&p->table->slots, p->handle);
}

static uint32_t stripe(const struct handle_pin *p)
{
	return slots_index(&p->table->slots, p->handle) % HANDLE_DIR_LOCKS;
}

pthread_mutex_t *handle_dir_lock(const struct handle_pin *p)
{
	return &p->table->dir_lock[stripe(p)];
}

struct handle_ahead *handle_ahead(const struct handle_pin *p)
{
	return &p->table->ahead[stripe(p)];
}
