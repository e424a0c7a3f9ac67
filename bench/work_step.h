/* SPDX-License-Identifier: BSD-3-Clause */
/* What step functions have in common: requests as a Linux guest sends them. */
#ifndef BENCH_WORK_STEP_H
#define BENCH_WORK_STEP_H

#include <fcntl.h>
#include <string.h>

#include "bench.h"

static inline struct target *target_of(struct load_lane *l)
{
	return l->arg;
}

static inline int send_lookup(struct load_lane *l, uint64_t dir, const char *name)
{
	load_begin(&l->call, FUSE_LOOKUP, dir);
	load_name(&l->call, name);
	load_room(&l->call, sizeof(struct fuse_entry_out));
	return LOAD_SEND;
}

static inline int send_getattr(struct load_lane *l, uint64_t node)
{
	struct fuse_getattr_in *in;

	load_begin(&l->call, FUSE_GETATTR, node);
	in = load_arg(&l->call, sizeof(*in));
	memset(in, 0, sizeof(*in));
	load_room(&l->call, sizeof(struct fuse_attr_out));
	return LOAD_SEND;
}

static inline int send_open(struct load_lane *l, uint32_t opcode, uint64_t node, uint32_t flags)
{
	struct fuse_open_in *in;

	load_begin(&l->call, opcode, node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_open_in){ .flags = flags };
	load_room(&l->call, sizeof(struct fuse_open_out));
	return LOAD_SEND;
}

static inline int send_release(struct load_lane *l, uint32_t opcode, uint64_t node,
			       uint64_t fh, uint32_t flags)
{
	struct fuse_release_in *in;

	load_begin(&l->call, opcode, node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_release_in){ .fh = fh, .flags = flags };
	return LOAD_SEND;
}

static inline int send_flush(struct load_lane *l, uint64_t node, uint64_t fh)
{
	struct fuse_flush_in *in;

	load_begin(&l->call, FUSE_FLUSH, node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_flush_in){ .fh = fh, .lock_owner = 0x1234 };
	return LOAD_SEND;
}

/* opcode: READ, READDIR, READDIRPLUS */
static inline int send_read(struct load_lane *l, uint32_t opcode, uint64_t node, uint64_t fh,
			    uint64_t offset, uint32_t size, uint32_t flags)
{
	struct fuse_read_in *in;

	load_begin(&l->call, opcode, node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_read_in){ .fh = fh, .offset = offset, .size = size, .flags = flags };
	load_recv(&l->call, size);
	return LOAD_SEND;
}

static inline int send_write(struct load_lane *l, uint64_t node, uint64_t fh, uint64_t offset,
			     uint32_t size, uint32_t flags)
{
	struct fuse_write_in *in;

	load_begin(&l->call, FUSE_WRITE, node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_write_in){ .fh = fh, .offset = offset, .size = size, .flags = flags };
	load_send(&l->call, size);
	load_room(&l->call, sizeof(struct fuse_write_out));
	return LOAD_SEND;
}

static inline int send_create(struct load_lane *l, uint64_t dir, const char *name)
{
	struct fuse_create_in *in;

	load_begin(&l->call, FUSE_CREATE, dir);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_create_in){ .flags = O_RDWR | O_CREAT, .mode = S_IFREG | 0644,
				       .umask = 022 };
	load_name(&l->call, name);
	load_room(&l->call, sizeof(struct fuse_entry_out) + sizeof(struct fuse_open_out));
	return LOAD_SEND;
}

static inline int send_mkdir(struct load_lane *l, uint64_t dir, const char *name)
{
	struct fuse_mkdir_in *in;

	load_begin(&l->call, FUSE_MKDIR, dir);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_mkdir_in){ .mode = 0755, .umask = 022 };
	load_name(&l->call, name);
	load_room(&l->call, sizeof(struct fuse_entry_out));
	return LOAD_SEND;
}

/* opcode: UNLINK, RMDIR */
static inline int send_remove(struct load_lane *l, uint32_t opcode, uint64_t dir,
			      const char *name)
{
	load_begin(&l->call, opcode, dir);
	load_name(&l->call, name);
	return LOAD_SEND;
}

static inline const struct fuse_entry_out *entry_of(struct load_lane *l)
{
	return load_body(&l->call);
}

/* After CREATE: the second struct. After OPEN: the first. */
static inline const struct fuse_open_out *created(struct load_lane *l)
{
	return (const void *)(entry_of(l) + 1);
}

static inline const struct fuse_open_out *opened(struct load_lane *l)
{
	return load_body(&l->call);
}

/* The next of a set of n, by any thread; n when it is used up. */
static inline uint64_t take_next(struct target *t, uint64_t n)
{
	uint64_t i = __atomic_fetch_add(&t->cursor, 1, __ATOMIC_RELAXED);

	return i < n ? i : n;
}

/* Remember a node to be forgotten after the sample. */
static inline int hold(struct target *t, uint64_t node)
{
	uint64_t i = __atomic_fetch_add(&t->nheld, 1, __ATOMIC_RELAXED);

	if (i >= t->held_max)
		return -ENOSPC;
	t->held[i] = node;
	return 0;
}

/* work_set.c: common parts of workloads */
int hold_room(struct target *t, uint64_t n);
int forget_held(struct target *t);
/* mount_names() - look up NAME and the n files in it; t->dir, t->node[], t->looked[] */
int mount_names(struct target *t, const char *name, char kind, unsigned int n);
int restart(struct target *t);
int host_restart(struct host *h);
/* host_look() - what a node costs that is not kept: open, attributes, close; 1 or -errno */
int host_look(int dir, const char *path);
int host_opendir(struct host *h, const char *name);

#endif
