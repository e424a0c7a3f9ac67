/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Handles: the guest's open files and directories. What it holds is an id
 * (base/slots.h); a handle of one kind is not valid as the other.
 */
#ifndef FS_HANDLE_H
#define FS_HANDLE_H

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slots.h"
#include "fs/tally.h"

/* No process can have more descriptors than this by default (fs.nr_open). */
#define HANDLES_MAX (1U << 20)

enum handle_kind {
	HANDLE_FILE = 1,
	HANDLE_DIR = 2,
	/* Opened here, for a guest that opens nothing (fs/unopened.h). */
	HANDLE_NODE_FILE = 3,
	HANDLE_NODE_DIR = 4,
};

/* How reading and writing it goes. */
enum handle_io {
	HANDLE_DIRECT = 1, /* O_DIRECT: each call waits for the disk */
	HANDLE_SYNC = 2, /* O_SYNC, O_DSYNC: each write does */
	HANDLE_NO_NOWAIT = 4, /* its file system does not know RWF_NOWAIT */
	HANDLE_WRITABLE = 8, /* known to be open to write: HANDLE_NODE_FILE alone */
};

/* In the arena. */
struct handle {
	struct slot_head head;
	int32_t fd;
	uint16_t kind;
	uint8_t fs_class; /* FSCLASS_*; constant */
	_Atomic uint8_t io; /* HANDLE_* */
	off_t dir_pos; /* dir lock: where the descriptor stands; -1: unknown */
	/* The request that it was opened for: the tally's number (0: none) and
	 * its order. */
	uint64_t order;
	uint32_t tally;
	uint64_t nodeid; /* HANDLE_NODE_*: whose it is; constant */
};

#define HANDLE_DIR_LOCKS 64U

/* Entries of a directory that were read and found no room in a reply. */
#define HANDLE_AHEAD_MAX 32768U
struct handle_ahead {
	uint64_t fh; /* 0: none */
	uint64_t cookie; /* of the first one */
	uint32_t at, end;
	_Alignas(8) char bytes[HANDLE_AHEAD_MAX];
};

struct handle_table {
	struct slots slots;
	/* Reading a directory is seek and read: they must not mix with those of
	 * another thread on the same handle. Rank 15, chosen by index. */
	pthread_mutex_t dir_lock[HANDLE_DIR_LOCKS];
	struct handle_ahead *ahead; /* one for each of these; its lock */
};

struct handle_pin {
	struct handle_table *table; /* NULL: empty */
	struct handle *handle;
	int fd;
};

/* After a worker's death (base/recall.h) the handles that it has left are taken
 * over; those whose descriptor is not what it was are dropped. */
int handle_table_init(struct handle_table *t, const struct arena *arena);
void handle_table_destroy(struct handle_table *t);

/* Closes every handle. No other thread in the table. */
void handle_table_clear(struct handle_table *t);
uint64_t handle_table_count(struct handle_table *t);

/* Makes a handle of an open descriptor (consumed). -ENFILE: table full. */
int handle_open(struct handle_table *t, enum handle_kind kind, int *fd,
		uint64_t *ret_fh);

/* What is known of what is opened. */
struct handle_origin {
	const struct tally *tally; /* of the request, for handle_undo(), or NULL */
	unsigned int fs_class, io;
	uint64_t nodeid;
};

/* The same, with where it comes from. */
int handle_open_for(struct handle_table *t, enum handle_kind kind, int *fd,
		    const struct handle_origin *from, uint64_t *ret_fh);

/* Closes what was opened for the request that a tally is of. No other thread in
 * the table. */
void handle_undo(struct handle_table *t, const struct tally *tally);

/* Gets at a handle: 0, or -EBADF if it is none or of another kind. */
int handle_pin(struct handle_table *t, uint64_t fh, enum handle_kind kind,
	       struct handle_pin *ret);
void handle_unpin(struct handle_pin *p);
#define _cleanup_handle_ _cleanup_(handle_unpin)

/*
 * Takes the handle out of the table: its number is worth nothing from now on.
 * It is closed when the last thread that is at work with it is done.
 */
void handle_close(struct handle_pin *p);

/* The same, but the caller keeps its pin. */
void handle_retire(struct handle_pin *p);

/* Takes a handle of any kind out of the table, if it is there: whether it was. */
bool handle_drop(struct handle_table *t, uint64_t fh);

/* What the guest, or its node, calls it. */
uint64_t handle_id(const struct handle_pin *p);

pthread_mutex_t *handle_dir_lock(const struct handle_pin *p);
struct handle_ahead *handle_ahead(const struct handle_pin *p);

#endif
