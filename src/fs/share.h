/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The share: a directory tree of the host with its policy, and what the guest
 * holds of it. This is the `struct fs` that every op works on.
 */
#ifndef FS_SHARE_H
#define FS_SHARE_H

#include <pthread.h>
#include <stdint.h>

#include "config.h"
#include "fs/cred.h"
#include "fs/handle.h"
#include "fs/hints.h"
#include "fs/node.h"
#include "fs/unopened.h"
#include "fs/xattrmap.h"

/* How long something that the guest has been told stays good. */
struct validity {
	uint64_t sec;
	uint32_t nsec;
};

/* How a cache mode answers the guest's questions. Constant. */
struct cache_policy {
	struct validity entry; /* of what a name leads to */
	struct validity attr;
	struct validity negative; /* of there being no such name; 0: says so */
	bool readdirplus;
	uint32_t open_flags; /* FOPEN_* for files */
	uint32_t opendir_flags; /* FOPEN_* for directories */
};

#define FS_APPEND_LOCKS 64U

struct locks;
struct single;
struct request_token;

/*
 * Where a request that returned REQUEST_PARKED goes on. Any thread may call; the
 * one that served the request may not even have returned yet.
 */
struct fs_parking {
	/* It is about to be parked; it may complete from now on, or be answered
	 * all the same. */
	void (*park)(void *ctx, const struct request_token *token);
	/* Completes it: false if its ring was reset since, and nothing was done. */
	bool (*complete)(void *ctx, const struct request_token *token,
			 int result);
	/* Whether complete() would do anything now. */
	bool (*wanted)(void *ctx, const struct request_token *token);
	void *ctx;
};

struct fs {
	struct node_table nodes;
	struct handle_table handles;
	struct hints hints; /* which names the guest knows */
	struct unopened unopened; /* with allow_no_open */
	struct locks *locks; /* NULL: the guest keeps its locks to itself */
	struct single *single; /* NULL: the share is a directory */
	struct fs_parking parking; /* set before the first request */
	struct cache_policy cache;
	struct cred_base cred; /* who the daemon is */
	/* Keeps the tables from being emptied under somebody who looks at them
	 * without a request: rank 10. */
	pthread_mutex_t view_lock;
	/* An append that takes several calls is one piece: rank 16, by nodeid. */
	pthread_mutex_t append_lock[FS_APPEND_LOCKS];
	struct xattrmap xattrmap;
	bool xattr; /* extended attributes are served */
	enum agreement posix_acl, security_label;
	bool allow_writeback, allow_direct_io, allow_mmap, killpriv_v2;
	bool readonly, announce_submounts, allow_no_open;
	struct idmap uids, gids; /* their rules are the configuration's */
	bool allow_posix_lock, allow_flock;
	/* Where the map puts security.capability, if that is not its own place:
	 * then its fall at a write or a change of owner is not the kernel's
	 * doing but ours. NULL: nothing to do. */
	char *capability_name;

	/* Agreed on by the present session: */
	bool use_negative; /* it knows what an entry without a node means */
	bool use_submounts; /* it makes mounts of mounts */
	bool writeback; /* the guest's cache holds dirty pages */
	bool use_acl; /* the guest goes by ACLs, and leaves umask to us */
	bool use_label; /* it sends labels for what it creates */
	bool use_posix_lock, use_flock; /* its locks are taken here */
	bool no_open, no_opendir; /* it can do without */
};

/*
 * Opens the directory, or the regular file, that is to be shared. Returns an
 * O_PATH descriptor that the caller owns, or -errno after a line in the log.
 * Before anything is closed off.
 */
int share_open(const char *path);

/* Sets up the tables over the arena. @root_fd is consumed. */
int fs_init(struct fs *fs, const struct arena *arena, const struct config *cfg,
	    int *root_fd);
void fs_destroy(struct fs *fs);

/* The end is near: ends what goes on without a request, and from here on uses
 * fs->parking no more. -ETIMEDOUT if a thread hangs in the host. */
int fs_stop(struct fs *fs);

/* Closes some descriptors that can be had again: whether there were any. @fs is a
 * struct fs. For fd_set_relief(). */
bool fs_relieve(void *fs);

/*
 * Drops everything that the guest holds but the root. No op may be running
 * (INIT, DESTROY).
 */
void fs_reset(struct fs *fs);

#endif
