/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/unopened.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#include "base/fd.h"
#include "base/reserve.h"
#include "fs/open.h"

/* Closed at once, when there are no more descriptors. */
#define RELIEF 16U
#define TRIES 4

static size_t by_node_size(void)
{
	return SLOTS_MAX * sizeof(uint64_t);
}

static size_t line_size(void)
{
	return UNOPENED_MAX * sizeof(uint64_t);
}

int unopened_init(struct unopened *u)
{
	u->by_node = reserve(by_node_size());
	u->line = reserve(line_size());
	return u->by_node && u->line ? 0 : -ENOMEM;
}

/* syscalls: munmap */
void unopened_destroy(struct unopened *u)
{
	if (u->by_node)
		munmap(u->by_node, by_node_size());
	if (u->line)
		munmap(u->line, line_size());
	u->by_node = u->line = NULL;
}

/* syscalls: madvise */
void unopened_clear(struct unopened *u)
{
	if (!u->by_node)
		return;
	madvise(u->by_node, by_node_size(), MADV_DONTNEED);
	madvise(u->line, line_size(), MADV_DONTNEED);
}

static enum handle_kind kind_here(enum handle_kind kind)
{
	return kind == HANDLE_FILE ? HANDLE_NODE_FILE : HANDLE_NODE_DIR;
}

bool unopened_is(const struct fs *fs, uint64_t fh, enum handle_kind kind)
{
	return fh == 0 && (kind == HANDLE_FILE ? fs->no_open : fs->no_opendir);
}

static _Atomic uint64_t *place_of(struct fs *fs, uint64_t nodeid)
{
	uint32_t index = nodeid == NODE_ROOT_ID ?
				 slots_index(&fs->nodes.slots, fs->nodes.root) :
				 (uint32_t)(nodeid & (SLOTS_MAX - 1));

	return &fs->unopened.by_node[index];
}

/* Another node may have been there before, with a file of its own. */
static bool find(struct fs *fs, uint64_t nodeid, enum handle_kind kind,
		 bool writes, struct handle_pin *ret)
{
	uint64_t fh = atomic_load(place_of(fs, nodeid));

	if (fh == 0 || handle_pin(&fs->handles, fh, kind, ret) < 0)
		return false;
	if (ret->handle->nodeid == nodeid &&
	    (!writes || ret->handle->io & HANDLE_WRITABLE))
		return true;
	handle_unpin(ret);
	return false;
}

/* Makes a handle that was just opened the node's, instead of the one that it has, and
 * closes the one that is the longest in the line. */
static void publish(struct fs *fs, uint64_t nodeid, uint64_t fh)
{
	struct unopened *u = &fs->unopened;
	uint32_t at = atomic_fetch_add(&u->next, 1) % UNOPENED_MAX;

	handle_drop(&fs->handles, atomic_exchange(place_of(fs, nodeid), fh));
	handle_drop(&fs->handles, atomic_exchange(&u->line[at], fh));
}

bool unopened_relieve(struct fs *fs)
{
	struct unopened *u = &fs->unopened;
	uint32_t at = atomic_load(&u->next), n = 0;

	for (uint32_t i = 0; u->line && i < UNOPENED_MAX && n < RELIEF; i++) {
		uint64_t fh = atomic_exchange(&u->line[(at + i) % UNOPENED_MAX],
					      0);

		n += handle_drop(&fs->handles, fh);
	}
	return n > 0;
}

static int open_file(struct fs *fs, const struct node_pin *node, bool writes)
{
	int r = open_node(fs, node, writes ? O_RDWR : O_RDONLY, 0);

	/* Not all that may be written may be read. */
	if (r == -EACCES && writes)
		r = open_node(fs, node, O_WRONLY, 0);
	return r;
}

static int put(struct fs *fs, uint64_t nodeid, enum handle_kind kind,
	       unsigned int fs_class, bool writes, int *fd, uint64_t *ret_fh)
{
	const struct handle_origin from = {
		.nodeid = nodeid,
		.fs_class = fs_class,
		.io = writes ? HANDLE_WRITABLE : 0,
	};
	int r = handle_open_for(&fs->handles, kind, fd, &from, ret_fh);

	if (r == 0)
		publish(fs, nodeid, *ret_fh);
	return r;
}

static int open_here(struct fs *fs, uint64_t nodeid, enum handle_kind kind,
		     bool writes, struct handle_pin *ret)
{
	_cleanup_unpin_ struct node_pin node = { 0 };
	_cleanup_close_ int fd = -1;
	uint64_t fh;
	int r = node_pin(&fs->nodes, nodeid, &node);

	if (r < 0)
		return r;
	if (node_is_dir(&node) != (kind == HANDLE_NODE_DIR))
		return node_is_dir(&node) ? -EISDIR : -ENOTDIR;
	r = open_file(fs, &node, writes);
	if (r < 0)
		return r;
	fd = r;
	r = put(fs, nodeid, kind, node_class(node.node), writes, &fd, &fh);
	/* -EBADF: somebody who was short of descriptors has closed it. */
	return r < 0 ? r : handle_pin(&fs->handles, fh, kind, ret);
}

int unopened_pin(struct fs *fs, uint64_t nodeid, uint64_t fh,
		 enum handle_kind kind, bool writes, struct handle_pin *ret)
{
	enum handle_kind here = kind_here(kind);
	int r = -EBADF;

	if (!unopened_is(fs, fh, kind))
		return handle_pin(&fs->handles, fh, kind, ret);
	for (int i = 0; r == -EBADF && i < TRIES; i++)
		r = find(fs, nodeid, here, writes, ret) ?
			    0 :
			    open_here(fs, nodeid, here, writes, ret);
	return r;
}

int unopened_put(struct fs *fs, uint64_t nodeid, int *fd, unsigned int fs_class)
{
	uint64_t fh;

	return put(fs, nodeid, HANDLE_NODE_FILE, fs_class, true, fd, &fh);
}

void unopened_forget(struct fs *fs, uint64_t nodeid)
{
	if ((fs->no_open || fs->no_opendir) &&
	    atomic_load(place_of(fs, nodeid)))
		handle_drop(&fs->handles,
			    atomic_exchange(place_of(fs, nodeid), 0));
}
