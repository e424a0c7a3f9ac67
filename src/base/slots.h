/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Tables of records in the arena that a guest holds by opaque numbers.
 *
 * What the guest holds is an id: the record's index and its generation. A
 * number that it makes up, or kept after the record went, meets either an index
 * beyond the table or another generation: slots_get() says NULL.
 *
 * Life of a record, as its commit word (state | generation) tells it:
 *
 *	FREE --slots_commit()--> LIVE --slots_kill()--> DYING --last put--> FREE
 *
 * slots_get() takes a pin on a LIVE record without any lock: it counts itself
 * in first and looks at the commit word afterwards. slots_kill() stores DYING
 * first and the counting is looked at afterwards. One of the two sees the
 * other, so nobody gets a record that is being taken apart, and whoever drops
 * the last pin of a DYING record takes it apart.
 *
 * The table is cut into shards with a lock each (rank 20); an index belongs to
 * the shard index % SLOTS_SHARDS. The lock covers allocation, kill and the
 * owner's own index over the shard (a hash table, say); it is never needed to
 * get or put.
 *
 * Pins and free lists are private memory of the worker. Both the arena's and
 * the private pages are touched only below the highest index in use, whatever
 * number the guest sends.
 */
#ifndef BASE_SLOTS_H
#define BASE_SLOTS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/scope.h"

#define SLOTS_SHARDS 16U
#define SLOTS_INDEX_BITS 24U
#define SLOTS_MAX (1U << SLOTS_INDEX_BITS)
#define SLOTS_NONE UINT32_MAX

enum slot_state { SLOT_FREE, SLOT_LIVE, SLOT_DYING };

/* The first member of every record. */
struct slot_head {
	_Atomic uint64_t commit; /* generation << 2 | enum slot_state */
};

/* What the worker knows of a record and a new worker would not miss. */
struct slot_private {
	_Atomic uint32_t pins; /* their number, SLOT_FROZEN, SLOT_USED */
	uint32_t next; /* shard lock: free list, or the owner's own chain */
};

struct slots_shard {
	pthread_mutex_t lock; /* rank 20: take no rank <= 20 while held */
	uint32_t free; /* lock: first free index, or SLOTS_NONE */
	_Atomic uint32_t used; /* lock to write: indices ever used here */
	uint32_t live; /* lock: records that are not FREE */
	uint64_t generation, generation_end; /* lock: a range of its own */
} _cacheline_;

/* Descriptors that a record gave up, for slots.c to close; -1: none. */
struct slot_fds {
	int fd[2];
};

struct slots {
	char *base;
	size_t stride;
	uint32_t max; /* records in all */
	const struct arena *arena;
	enum arena_section_id section;
	struct slot_private *private;
	/* Called with the shard's lock held, when a DYING record has lost its
	 * last pin and is FREE already. Returns the descriptors to be closed
	 * once the lock is released. */
	struct slot_fds (*reclaim)(void *ctx, void *record);
	void *ctx;
	struct slots_shard shard[SLOTS_SHARDS];
};

/* Sets up an empty table over a section. Returns 0 or -errno. */
int slots_init(struct slots *s, const struct arena *arena,
	       enum arena_section_id section, size_t stride,
	       struct slot_fds (*reclaim)(void *ctx, void *record), void *ctx);
void slots_destroy(struct slots *s);

/*
 * Takes over the records that a worker which died has left; between
 * slots_init() and the first use. @keep is asked for each LIVE one whether it is
 * sound and still of use; what is not, and what was DYING, becomes FREE without
 * being reclaimed: its descriptor is closed by recall_end().
 */
void slots_attach(struct slots *s, bool (*keep)(void *ctx, void *record));

/* Each LIVE record in turn; NULL at the end. No other thread in the table. */
void *slots_next(struct slots *s, const void *prev);

/*
 * A free record of the shard, whose lock is held; zeroed but for its commit
 * word. NULL if there is none. Not visible to anyone until slots_commit().
 */
void *slots_alloc(struct slots *s, uint32_t shard);

/* Makes an allocated record LIVE with one pin, the caller's. Returns its id.
 * Lock held. */
uint64_t slots_commit(struct slots *s, void *record);

/* The LIVE record with this id, pinned; or NULL. Any thread, no lock. */
void *slots_get(struct slots *s, uint64_t id);

/*
 * The LIVE record whose id has this lower half, or NULL; not pinned, and without
 * the shard's lock the answer is a guess. Any thread.
 */
void *slots_peek(const struct slots *s, uint32_t id_low);

/* Pins a record that the caller knows to be LIVE, since it holds the lock. */
void slots_pin(struct slots *s, void *record);

/* Drops a pin. Takes the shard's lock if it was the last of a DYING record. */
void slots_put(struct slots *s, void *record);

/* Lock held: the record is LIVE, and nobody has a pin on it. */
bool slots_is_idle(const struct slots *s, const void *record);

/* Whether it was pinned by slots_get() since this was asked last. */
bool slots_was_used(struct slots *s, const void *record);

/*
 * Freezes a LIVE record on which the caller has the only pin: false if there
 * are others. From here to slots_thaw() nobody else gets at it: slots_get()
 * waits for the shard's lock, which the caller holds from before to after.
 */
bool slots_freeze(struct slots *s, void *record);
void slots_thaw(struct slots *s, void *record);

/* LIVE becomes DYING. The caller holds the lock and a pin. False if it was
 * DYING already. */
bool slots_kill(struct slots *s, void *record);

/*
 * Kills and reclaims every record. No other thread may be in the table.
 * Afterwards the table is empty and its memory given back.
 */
void slots_clear(struct slots *s);

uint32_t slots_index(const struct slots *s, const void *record);
uint64_t slots_id(const struct slots *s, const void *record);
void *slots_at(const struct slots *s, uint32_t index);

/* Records that are not FREE. Takes each shard's lock in turn. */
uint64_t slots_count(struct slots *s);

#endif
