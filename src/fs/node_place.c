/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/node_place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/checked.h"
#include "base/fd.h"

uint64_t node_born(const struct statx *stx)
{
	if (!(stx->stx_mask & STATX_BTIME))
		return 0;
	return (uint64_t)stx->stx_btime.tv_sec * 1000000000 +
	       stx->stx_btime.tv_nsec;
}

bool node_place_of(const struct node_table *t, const struct node_pin *dir,
		   const char *name, const struct statx *stx,
		   struct node_place *ret)
{
	const char *end = memccpy(ret->name, name, '\0', sizeof(ret->name));

	ret->dir = node_id(t, dir->node);
	ret->born = node_born(stx);
	return end && ret->born && node_may_place(t, dir) &&
	       stx->stx_mnt_id == dir->node->mnt_id && !S_ISDIR(stx->stx_mode);
}

void node_place_put(struct node_table *t, struct node *n,
		    const struct node_place *place)
{
	if (n->handle_len || atomic_load(&n->fd) >= 0)
		return;
	n->place = *place;
	n->flags |= NODE_PLACED;
	if (!atomic_load_explicit(&t->any_placed, memory_order_relaxed))
		atomic_store(&t->any_placed, true);
}

static bool same_place(const struct node_place *a, const struct node_place *b)
{
	return a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

/* The file that is there, if it is the node's. syscalls: statx */
static int open_place(struct node_table *t, const struct node *n,
		      const struct node_place *place)
{
	_cleanup_unpin_ struct node_pin dir = { 0 };
	_cleanup_close_ int fd = -1;
	struct statx stx;
	int r = node_pin(t, place->dir, &dir);

	if (r < 0)
		return r == -EBADF ? -ESTALE : r;
	if (!node_is_dir(&dir))
		return -ESTALE;
	r = fd_open_for_guest(dir.fd, place->name, O_PATH | O_NOFOLLOW, 0);
	if (r < 0)
		return r == -ENOENT ? -ESTALE : r;
	fd = r;
	if (statx(fd, "", AT_EMPTY_PATH,
		  STATX_TYPE | STATX_INO | STATX_MNT_ID | STATX_BTIME, &stx) < 0)
		return -errno;
	if (!node_has_key(n, &stx) ||
	    !node_is_placed_file(n, place, stx.stx_mode, node_born(&stx)))
		return -ESTALE;
	return fd_take(&fd);
}

bool node_place_get(struct node_table *t, const struct node *n,
		    struct node_place *ret)
{
	bool placed;

	pthread_mutex_lock(node_lock(t, n));
	placed = node_by_place_alone(n);
	if (placed)
		*ret = n->place;
	pthread_mutex_unlock(node_lock(t, n));
	return placed;
}

int node_place_open(struct node_table *t, const struct node *n)
{
	struct node_place place;

	return node_place_get(t, n, &place) ? open_place(t, n, &place) :
					      -ESTALE;
}

/*
 * The node that a guess means, pinned, if it is known by a place alone. *ret_sure: it
 * is certain that no other node has this place. Shard lock taken.
 */
static struct node *placed_guess(struct node_table *t,
				 const struct node_place *place, uint32_t guess,
				 bool *ret_sure)
{
	struct node *n = guess ? slots_peek(&t->slots, guess) : NULL;
	bool found;

	*ret_sure = false;
	if (!n)
		return NULL;
	pthread_mutex_lock(node_lock(t, n));
	*ret_sure = slots_peek(&t->slots, guess) &&
		    (!node_by_place_alone(n) || same_place(&n->place, place));
	found = *ret_sure && node_by_place_alone(n);
	if (found)
		slots_pin(&t->slots, n);
	pthread_mutex_unlock(node_lock(t, n));
	return found ? n : NULL;
}

/* The same by what is there now. syscalls: statx */
static struct node *placed_found(struct node_table *t,
				 const struct node_pin *dir, const char *name)
{
	struct node_place place;
	struct statx stx;
	struct node *n;

	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  STATX_TYPE | STATX_INO | STATX_MNT_ID | STATX_BTIME, &stx) < 0 ||
	    !node_place_of(t, dir, name, &stx, &place))
		return NULL;
	n = node_find(t, &stx);
	if (!n)
		return NULL;
	pthread_mutex_lock(node_lock(t, n));
	if (node_by_place_alone(n) &&
	    node_is_placed_file(n, &n->place, stx.stx_mode,
				place.born))
		node_place_put(t, n, &place);
	pthread_mutex_unlock(node_lock(t, n));
	return n;
}

void node_leaves(struct node_table *t, const struct node_pin *dir,
		 const char *name, uint32_t guess)
{
	struct node_place place = { .dir = node_id(t, dir->node) };
	struct node *n;
	bool sure;
	int fd;

	if (!atomic_load_explicit(&t->any_placed, memory_order_relaxed) ||
	    !node_may_place(t, dir) ||
	    !memccpy(place.name, name, '\0', sizeof(place.name)))
		return;
	n = placed_guess(t, &place, guess, &sure);
	if (!sure)
		n = placed_found(t, dir, name);
	if (!n)
		return;
	/* What has become of it otherwise, the next use of it will tell. */
	if (node_by_place_alone(n))
		(void)node_fd_revive(t, n, &fd);
	slots_put(&t->slots, n);
}

bool node_place_is_sound(const struct node *n)
{
	const struct node_place *p = &n->place;

	return n->flags & NODE_PLACED && !n->handle_len && !S_ISDIR(n->mode) &&
	       p->born != 0 && p->name[0] != '\0' &&
	       memchr(p->name, '\0', sizeof(p->name)) &&
	       !strchr(p->name, '/');
}
