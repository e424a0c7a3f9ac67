/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One FUSE request on its way through the daemon.
 *
 * fuse/decode.c fills it from the pieces of guest memory that carry it; the op
 * acts, writes the body of its reply through @out and returns 0 or -errno;
 * fuse/serve.c puts the header in front. Everything here but file data is a
 * private copy: the guest cannot change it any more.
 *
 * A request belongs to the thread that serves it and is used again for the
 * next one: there is no allocation on the way.
 */
#ifndef FS_REQUEST_H
#define FS_REQUEST_H

#include <limits.h>
#include <linux/limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/inflight.h"
#include "base/iobuf.h"
#include "base/scope.h"
#include "fs/cred.h"
#include "fs/handle.h"
#include "fs/node.h"
#include "wire/fuse.h"

struct fs;
struct fuse_op;
struct request;
struct session;

/* What an op may return besides 0 and -errno, and fuse_serve() instead of a
 * length: it completes later, see device_complete(). */
#define REQUEST_PARKED INT_MIN
/* What fuse_serve() may return: to be carried out while nothing else runs. */
#define REQUEST_EXCLUSIVE (INT_MIN + 1)

/* Names of a request, with their NULs: a symlink's target and its name. */
#define REQUEST_NAMES_MAX (PATH_MAX + NAME_MAX + 2)
/* Extensions: a group list and a security label. */
#define REQUEST_EXT_MAX 4096U
/* getdents64(2) into this, at most. */

/* The fixed part of each request that has one. */
union request_arg {
	struct fuse_init_in init;
	struct fuse_forget_in forget;
	struct fuse_batch_forget_in batch_forget;
	struct fuse_getattr_in getattr;
	struct fuse_setattr_in setattr;
	struct fuse_mknod_in mknod;
	struct fuse_mkdir_in mkdir;
	struct fuse_rename_in rename;
	struct fuse_rename2_in rename2;
	struct fuse_link_in link;
	struct fuse_open_in open;
	struct fuse_create_in create;
	struct fuse_read_in read;
	struct fuse_write_in write;
	struct fuse_release_in release;
	struct fuse_flush_in flush;
	struct fuse_fsync_in fsync;
	struct fuse_fallocate_in fallocate;
	struct fuse_lseek_in lseek;
	struct fuse_copy_file_range_in copy;
	struct fuse_getxattr_in getxattr;
	struct fuse_ioctl_in ioctl;
	struct fuse_lk_in lk;
	struct fuse_syncfs_in syncfs;
	struct wire_fuse_statx_in statx;
	struct fuse_setxattr_in setxattr;
	uint64_t fh; /* first in each op on an open file */
};

/* Where a request that was parked is to be completed. */
struct request_token {
	uint16_t queue;
	uint16_t head;
	uint32_t start_no;
};

/* What the thread that serves a request wants to know of it. */
struct request_hooks {
	void (*acts)(struct request *rq); /* it begins to act */
	void (*blocks)(struct request *rq); /* its next call may take long */
	void (*may_block)(struct request *rq); /* nobody knows how long */
};

struct request {
	/* The caller's: */
	const struct request_hooks *hooks; /* NULL: nothing */
	struct iobuf in; /* what is left to decode; then the data of a WRITE */
	struct iobuf head; /* room for the reply's header ... */
	struct iobuf out; /* ... and for its body */
	size_t body; /* bytes of the body so far */
	int error; /* errno that the guest was answered, or 0 */
	struct inflight *record; /* in the arena; NULL in tests */
	struct request_token token;
	struct tally *tally; /* in the arena; NULL in tests */
	/* A worker has died over it: what it asks for may be there already. */
	bool again;
	struct session *session;
	uint32_t queue_size; /* descriptors of the request queues, for INIT */
	bool long_setxattr; /* agreed: SETXATTR_EXT */
	bool unsized_label; /* agreed: labels, by a guest without total_extlen */

	/* Decoded: */
	struct fuse_in_header h;
	const struct fuse_op *op;
	union request_arg arg;
	const char *name[2];
	gid_t group; /* the caller's supplementary group, if it sent one ... */
	bool have_group;
	const char *label_name; /* security label for what is made, or NULL */
	const char *label;
	size_t label_len;
	struct node_pin node; /* of h.nodeid, for ops that have one */
	struct handle_pin file; /* of arg.fh, for ops on an open file */

	_Atomic uint32_t acting; /* opcode that is being carried out, or 0 */

	/* Scratch, of no meaning between requests. */
	char names[REQUEST_NAMES_MAX + REQUEST_EXT_MAX];
	union {
		char path[PATH_MAX + 1];
		_Alignas(8) char dirents[HANDLE_AHEAD_MAX];
		struct iovec iov[IOV_MAX];
		struct {
			char name[XATTR_NAME_MAX + 1];
			char value[XATTR_SIZE_MAX];
		} xattr;
	} scratch;
};

/* Binds a request to the readable and writable pieces of a chain. */
void request_bind(struct request *rq, const struct iovec *readable,
		  size_t n_readable, const struct iovec *writable,
		  size_t n_writable);

/* Before a call that may wait for something: nobody waits for it in turn. */
static inline void request_blocks(struct request *rq)
{
	if (rq->hooks)
		rq->hooks->blocks(rq);
}

/* Before a call that is quick most of the time, or never, on this file system. */
static inline void request_may_block(struct request *rq)
{
	if (rq->hooks)
		rq->hooks->may_block(rq);
}

/* Notes something of the host before the op acts, for whoever has to find out
 * whether it did; and what an earlier worker has noted, or 0. */
static inline void request_set_mark(struct request *rq, uint64_t mark)
{
	if (rq->record)
		__atomic_store_n(&rq->record->mark, mark, __ATOMIC_RELEASE);
}

static inline uint64_t request_mark(const struct request *rq)
{
	return rq->record ? rq->record->mark : 0;
}

/* Becomes the caller of the request; see cred_enter_caller(). */
int request_enter_caller(const struct fs *fs, const struct request *rq,
			 struct cred_scope *scope);

/* Appends to the reply's body. False if there is no room: -ERANGE, mostly. */
static inline bool reply_put(struct request *rq, const void *p, size_t len)
{
	if (!iobuf_write(&rq->out, p, len))
		return false;
	rq->body += len;
	return true;
}

/* The same for @len bytes that a system call has put there. */
static inline void reply_passed(struct request *rq, size_t len)
{
	bool fits = iobuf_skip(&rq->out, len);

	ASSERT(fits);
	rq->body += len;
}

/* Room left in the body, in bytes. */
static inline size_t reply_room(const struct request *rq)
{
	return rq->out.left;
}

#endif
