/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lookup.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"
#include "fs/attr.h"
#include "fs/lock.h"
#include "fs/name.h"
#include "fs/node_place.h"
#include "fs/single.h"

/* Directories above each other that ".." is willing to walk. */
#define DEPTH_MAX 4096

/* A directory of another mount than the one that its name lies in is where a
 * mount begins: the guest makes one of its own of it. */
static void fill(const struct fs *fs, const struct node_pin *dir,
		 const struct statx *stx, uint64_t nodeid,
		 struct fuse_entry_out *ret)
{
	attr_fill_entry(fs, stx, nodeid, ret);
	if (fs->use_submounts && S_ISDIR(stx->stx_mode) &&
	    stx->stx_mnt_id != dir->node->mnt_id)
		ret->attr.flags |= FUSE_ATTR_SUBMOUNT;
}

int lookup_fd(struct fs *fs, const struct node_pin *dir, int *path_fd,
	      struct tally *tally, struct fuse_entry_out *ret)
{
	_cleanup_close_ int fd = fd_take(path_fd);
	struct statx stx;
	uint64_t nodeid;
	int r;

	r = attr_get(fd, &stx);
	if (r == 0)
		r = node_enter_for(&fs->nodes, dir, &stx, &fd, tally, &nodeid);
	if (r == 0)
		fill(fs, dir, &stx, nodeid, ret);
	return r;
}

static bool is_root(const struct fs *fs, const struct statx *stx)
{
	const struct node *root = fs->nodes.root;

	return stx->stx_ino == root->ino && stx->stx_mnt_id == root->mnt_id &&
	       stx->stx_dev_major == root->dev_major &&
	       stx->stx_dev_minor == root->dev_minor;
}

/*
 * The share's root is above the directory @fd (or is it): 0. If the walk up
 * ends at the host's root instead, a host's user has moved the directory out
 * of the share: -ESTALE.
 */
static int check_below_root(const struct fs *fs, int fd)
{
	_cleanup_close_ int up = -1;
	struct statx stx, below = { 0 };
	int r = attr_get(fd, &stx);

	for (int depth = 0; r == 0 && depth < DEPTH_MAX; depth++) {
		int next;

		if (is_root(fs, &stx))
			return 0;
		if (stx.stx_ino == below.stx_ino &&
		    stx.stx_mnt_id == below.stx_mnt_id)
			return -ESTALE;
		below = stx;
		next = fd_open_for_guest(up >= 0 ? up : fd, "..",
				 O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
		if (next < 0)
			return next;
		(void)fd_close(&up);
		up = next;
		r = attr_get(up, &stx);
	}
	return r < 0 ? r : -ESTALE;
}

/* NFS export in the guest asks for it, to find a directory's place again. */
static int lookup_parent(struct fs *fs, const struct node_pin *dir,
			 struct tally *tally, struct fuse_entry_out *ret)
{
	_cleanup_close_ int fd = -1;
	int r;

	if (!node_is_dir(dir))
		return -ENOTDIR;
	r = fd_open_for_guest(dir->fd, node_is_root(dir) ? "." : "..",
		      O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return r;
	fd = r;
	r = check_below_root(fs, fd);
	if (r == 0)
		r = lookup_fd(fs, dir, &fd, tally, ret);
	/* Upwards: where a mount begins, the guest has been. */
	if (r == 0)
		ret->attr.flags = 0;
	return r;
}

static struct hint hint_for(const struct fs *fs, const struct node_pin *dir,
			    const char *name)
{
	return hint_of(slots_id(&fs->nodes.slots, dir->node), name);
}

void lookup_made(struct fs *fs, const struct node_pin *dir, const char *name,
		 uint64_t nodeid)
{
	hints_note(&fs->hints, hint_for(fs, dir, name), (uint32_t)nodeid);
}

uint32_t lookup_guess(const struct fs *fs, const struct node_pin *dir,
		      const char *name)
{
	return hints_find(&fs->hints, hint_for(fs, dir, name));
}

void lookup_moved(struct fs *fs, const struct node_pin *from,
		  const char *old, const struct node_pin *to, const char *name)
{
	struct hint hint = hint_for(fs, from, old);
	uint32_t node = hints_find(&fs->hints, hint);

	hints_drop(&fs->hints, hint);
	hint = hint_for(fs, to, name);
	if (node)
		hints_note(&fs->hints, hint, node);
	else
		hints_drop(&fs->hints, hint);
}

/*
 * Without opening it: 1 if that was enough, 0 if it has to be opened. @guess is
 * probably the node. @may_place: if there is none yet, its place will do for one.
 * syscalls: statx
 */
static int lookup_seen(struct fs *fs, const struct node_pin *dir,
		       const char *name, uint32_t guess, bool may_place,
		       struct tally *tally, struct fuse_entry_out *ret)
{
	struct statx stx;
	struct node_table *t = &fs->nodes;
	uint64_t nodeid;
	int r = 0;

	if (statx(dir->fd, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
		  ATTR_MASK, &stx) < 0)
		return -errno;
	if (!node_meet_guess(t, dir, name, &stx, guess, tally, &nodeid)) {
		r = -EAGAIN;
		if (may_place)
			r = node_enter_place(t, dir, name, &stx, tally, &nodeid);
		if (r == -EAGAIN && node_meet(t, &stx, tally, &nodeid))
			r = 0;
	}
	if (r < 0)
		return r == -EAGAIN ? 0 : r;
	fill(fs, dir, &stx, nodeid, ret);
	return 1;
}

static int lookup_name(struct fs *fs, const struct node_pin *dir,
		       const char *name, enum lookup_use use,
		       struct tally *tally, struct fuse_entry_out *ret)
{
	struct hint hint = hint_for(fs, dir, name);
	uint32_t guess = hints_find(&fs->hints, hint);
	bool may_place = use == LOOKUP_TO_KNOW &&
			 node_may_place(&fs->nodes, dir);
	int r = 0, fd;

	if (may_place || node_may_be(&fs->nodes, guess))
		r = lookup_seen(fs, dir, name, guess, may_place, tally, ret);
	if (r == 0) {
		fd = fd_open_for_guest(dir->fd, name, O_PATH | O_NOFOLLOW, 0);
		r = fd < 0 ? fd : lookup_fd(fs, dir, &fd, tally, ret);
	}
	if (r < 0)
		hints_drop(&fs->hints, hint);
	else
		hints_note(&fs->hints, hint, (uint32_t)ret->nodeid);
	return r < 0 ? r : 0;
}

int lookup_child(struct fs *fs, const struct node_pin *dir, const char *name,
		 enum lookup_use use, struct tally *tally,
		 struct fuse_entry_out *ret)
{
	int fd;

	if (single_is_root(fs, dir))
		return single_lookup(fs, dir, name, tally, ret);
	if (name_is_dotdot(name))
		return lookup_parent(fs, dir, tally, ret);
	if (!name_is_dot(name))
		return lookup_name(fs, dir, name, use, tally, ret);
	/* NFS export: the node itself, of any type */
	fd = fd_dup(dir->fd);
	return fd < 0 ? fd : lookup_fd(fs, dir, &fd, tally, ret);
}

void lookup_undo(struct fs *fs, struct tally *tally,
		 const struct fuse_entry_out *entry)
{
	uint32_t n = tally_count(tally);

	if (entry->nodeid)
		lookup_forget(fs, entry->nodeid, 1, n ? tally : NULL, n - 1);
}

void lookup_forget(struct fs *fs, uint64_t nodeid, uint64_t n,
		   struct tally *tally, uint32_t tally_n)
{
	if (!node_forget_for(&fs->nodes, nodeid, n, tally, tally_n))
		return;
	lock_forget_node(fs, nodeid);
	unopened_forget(fs, nodeid);
}

int lookup_reply(struct fs *fs, struct request *rq,
		 const struct fuse_entry_out *entry)
{
	if (reply_put(rq, entry, sizeof(*entry)))
		return 0;
	lookup_undo(fs, rq->tally, entry);
	return -ERANGE;
}

int lookup_reply_none(struct fs *fs, struct request *rq)
{
	struct fuse_entry_out entry = {
		.entry_valid = fs->cache.negative.sec,
		.entry_valid_nsec = fs->cache.negative.nsec,
	};

	return reply_put(rq, &entry, sizeof(entry)) ? 0 : -ERANGE;
}
