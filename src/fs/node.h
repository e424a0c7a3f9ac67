/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes: the host's files that the guest holds a reference to.
 *
 * A node is found by what identifies a file on the host, (device, inode, mount
 * id), and named towards the guest by an id (base/slots.h). It lives until the
 * guest's lookup count is zero and no thread is at work on it.
 *
 * Behind a node stands an O_PATH descriptor or, where descriptors are short, a
 * file handle (fs/node_fd.h), or, before it is used for the first time, nothing but
 * the place where it was found (fs/node_place.h). Ops reach it through node_pin()
 * alone, which opens it if need be.
 *
 * A match on the key counts only while the node has a descriptor of the file
 * open, since that keeps the inode number from being used again. A node that is
 * backed by its handle alone matches only a file with the same handle, one with its
 * place alone only a file that was born at the same time.
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/slots.h"
#include "config.h"
#include "fs/fhandle.h"
#include "fs/fsclass.h"
#include "fs/mounts.h"
#include "fs/node_fd.h"
#include "fs/tally.h"

#define NODE_ROOT_ID 1U

/* Longer names have their files opened at once. */
#define NODE_NAME_MAX 39U

/* Where a file was found (fs/node_place.h). */
struct node_place {
	uint64_t dir; /* the directory's number */
	uint64_t born; /* in ns since 1970 */
	char name[NODE_NAME_MAX + 1];
};

/* In the arena. */
struct node {
	struct slot_head head;
	uint64_t ino;
	uint64_t lookups; /* shard lock: the guest's count */
	/* In bytes, when attributes or an end of file were last seen. */
	_Atomic uint64_t size;
	uint32_t mnt_id; /* an int to the kernel */
	uint32_t dev_major, dev_minor;
	_Atomic int32_t fd; /* shard lock to write: O_PATH, or -1: by handle */
	uint16_t mode; /* S_IFMT part; a file's type never changes */
	_Atomic uint16_t flags; /* shard lock to write: NODE_* */
	/* The handle, once it is needed; then constant. */
	uint16_t mount; /* its entry, of which this node is a user */
	uint8_t handle_len; /* shard lock to write, last of these; 0: not known */
	uint8_t reserved;
	union {
		struct {
			int32_t handle_type;
			uint8_t handle[FHANDLE_MAX];
		};
		struct node_place place; /* shard lock; with NODE_PLACED */
	};
};

enum {
	/* It keeps its descriptor: its last name may be gone. */
	NODE_KEEP = 1,
	/* Its file system has no handles that would do. */
	NODE_NO_HANDLE = 2,
	/* Another file has its key now: it is not to be found any more. */
	NODE_UNHASHED = 4,
	/* It has a place, and no handle. */
	NODE_PLACED = 8,
	/* Its file system's class, FSCLASS_*, begins here. */
	NODE_CLASS_SHIFT = 8,
};

struct node_table {
	struct slots slots;
	struct node *root; /* NODE_ROOT_ID; always pinned */
	struct node_shard *shard; /* SLOTS_SHARDS of them */
	struct node_fds fds;
	struct mounts mounts;
	struct journal *journal; /* one for each shard, arena; its lock */
	struct tally *tally; /* arena */
	uint32_t n_tallies;
	atomic_bool any_placed; /* some nodes may be known by a place alone */
};

/* A node that a thread is at work on, and its descriptor for as long. */
struct node_pin {
	struct node_table *table; /* NULL: empty */
	struct node *node;
	int fd;
};

/* *root_fd is consumed. -EOPNOTSUPP if there are no handles and @mode does not
 * do without. After a worker's death (base/recall.h) the nodes that it has left
 * are taken over; those whose file is not what it was are dropped. */
int node_table_init(struct node_table *t, const struct arena *arena,
		    enum handle_mode mode, int *root_fd);
void node_table_destroy(struct node_table *t);

/* Forgets every node but the root. No other thread in the table. */
void node_table_clear(struct node_table *t);

/* How many nodes there are, the root included. */
uint64_t node_table_count(struct node_table *t);

/*
 * Gets at a node by the guest's number: 0, or -EBADF if it holds no such node.
 * -ESTALE, or what else the host says, if it is backed by its handle and cannot
 * be opened. Any thread, no lock (but for a moment, if it has to be opened).
 */
int node_pin(struct node_table *t, uint64_t nodeid, struct node_pin *ret);
void node_unpin(struct node_pin *p);
#define _cleanup_unpin_ _cleanup_(node_unpin)

static inline bool node_is_root(const struct node_pin *p)
{
	return p->node == p->table->root;
}

static inline bool node_is_dir(const struct node_pin *p)
{
	return S_ISDIR(p->node->mode);
}

/* FSCLASS_* of the file system that it lies on. */
static inline unsigned int node_class(const struct node *n)
{
	return (unsigned int)n->flags >> NODE_CLASS_SHIFT;
}

/*
 * Finds or makes the node of the file behind the O_PATH descriptor *fd, whose
 * statx is @stx and which was found in @dir, and raises the guest's lookup
 * count by one: in one critical section, before the reply is written. *fd is
 * consumed. -ENFILE: table full.
 */
int node_enter(struct node_table *t, const struct node_pin *dir,
	       const struct statx *stx, int *fd, uint64_t *ret_nodeid);

/* The same for a request with a tally (or NULL): the count is taken back if its
 * worker dies before the reply is pushed. */
int node_enter_for(struct node_table *t, const struct node_pin *dir,
		   const struct statx *stx, int *fd, struct tally *tally,
		   uint64_t *ret_nodeid);

/*
 * The same for a file that was just seen as @name in @dir but is not open here: its
 * node, if it is new, will be known by its place alone. -EAGAIN: it has to be
 * opened, and entered as above.
 */
int node_enter_place(struct node_table *t, const struct node_pin *dir,
		     const char *name, const struct statx *stx,
		     struct tally *tally, uint64_t *ret_nodeid);

/* Takes back the last count that a tally says was given. */
void node_unlook(struct node_table *t, struct tally *tally);

/*
 * The same by numbers alone, for a file that was just seen but is not open here:
 * true if they are those of a node that the guest holds and are known to be its. Not
 * for nodes that have nothing but a place.
 */
bool node_meet(struct node_table *t, const struct statx *stx,
	       struct tally *tally, uint64_t *ret_nodeid);

/* The same for one node, that with @guess as the lower half of its number, if it need
 * not be opened for that. The file was seen as @name in @dir. */
bool node_meet_guess(struct node_table *t, const struct node_pin *dir,
		     const char *name, const struct statx *stx,
		     uint32_t guess, struct tally *tally, uint64_t *ret_nodeid);

/* Whether there is a node whose number has this lower half. */
static inline bool node_may_be(const struct node_table *t, uint32_t guess)
{
	return guess != 0 && slots_peek(&t->slots, guess) != NULL;
}

/* Where a node lies, as the host's kernel says without looking at the disk, or "?"
 * if it does not know: cut off at @size bytes. */
void node_path(struct node_table *t, uint64_t nodeid, char *buf, size_t size);

/* The size that the guest's file was last seen to have; UINT64_MAX if there is
 * no such node. node_saw_size() tells of a new one. */
uint64_t node_size(struct node_table *t, uint64_t nodeid);
void node_saw_size(struct node_table *t, uint64_t nodeid, uint64_t size);

/*
 * Lowers the guest's count by @n, at most to zero: what a guest says too much
 * is ignored. Unknown numbers and the root too. Returns whether that was the
 * end of the number.
 */
bool node_forget(struct node_table *t, uint64_t nodeid, uint64_t n);

/* The same; with it the tally's number becomes @tally_n. */
bool node_forget_for(struct node_table *t, uint64_t nodeid, uint64_t n,
		     struct tally *tally, uint32_t tally_n);

/*
 * Whoever takes a name away does it between these two: a node that the guest
 * holds of @name in @dir then keeps, or gets back, its descriptor, without which
 * it would be lost along with its last name. @guess as for node_leaves().
 */
struct node_removal {
	_Atomic uint32_t *gate; /* NULL: none */
};
void node_removal_enter(struct node_table *t, const struct node_pin *dir,
			const char *name, uint32_t guess,
			struct node_removal *ret);
void node_removal_leave(struct node_removal *r);

/* For the other node_*.c: */
static inline pthread_mutex_t *node_lock(struct node_table *t,
					 const struct node *n)
{
	return &t->slots.shard[slots_index(&t->slots, n) % SLOTS_SHARDS].lock;
}

/* Its handle is all there is behind it. */
static inline bool node_by_handle_alone(const struct node *n)
{
	return n->handle_len &&
	       atomic_load((_Atomic int32_t *)&n->fd) < 0;
}

/* What the guest calls it. */
uint64_t node_id(const struct node_table *t, const struct node *n);

/* The guest's node, pinned, whether it has a descriptor or not; or NULL. */
struct node *node_get(struct node_table *t, uint64_t nodeid);
/* For node.c and node_attach.c. Sets a count, and the tally's number with it.
 * Shard lock held. */
void node_set_lookups(struct node_table *t, struct node *n, uint64_t lookups,
		      struct tally *tally, uint32_t tally_n);
/* One more lookup, noted in the tally if there is one. Shard lock held. */
void node_raise(struct node_table *t, struct node *n, struct tally *tally);
/* Takes over what a worker that died has left. */
void node_table_attach(struct node_table *t);

/* Whether a node's key is the one in @stx. */
bool node_has_key(const struct node *n, const struct statx *stx);

/* The LIVE node with the numbers in @stx, pinned, or NULL. */
struct node *node_find(struct node_table *t, const struct statx *stx);

#endif
