/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The op table: one row per opcode, the whole contract between the protocol and
 * the function that carries the op out. Everything in a row is seen to before
 * the function runs (fuse/decode.c, fuse/serve.c), in one place for all.
 */
#ifndef FUSE_OPTABLE_H
#define FUSE_OPTABLE_H

#include <stdint.h>

#include "fs/cred.h"
#include "fs/request.h"

enum op_flags {
	OP_NODE = 1 << 0, /* h.nodeid is a node: pinned; else EBADF */
	OP_PARENT = 1 << 1, /* the same, but ENOENT: the parent of a LOOKUP */
	OP_FILE = 1 << 2, /* arg.fh is an open file: pinned; else EBADF */
	OP_DIR = 1 << 3, /* arg.fh is an open directory: the same */
	OP_NO_REPLY = 1 << 4, /* the guest waits for nothing */
	OP_NO_SESSION = 1 << 5, /* may come before INIT */
	OP_EXCLUSIVE = 1 << 6, /* while no other request is served */
	OP_WRITES = 1 << 7, /* changes the share: not if it is read-only */
	OP_REDO = 1 << 8, /* may be carried out twice without harm ... */
	OP_AGAIN = 1 << 11, /* ... or the op minds rq->again */
	OP_EXT = 1 << 9, /* may carry extensions (total_extlen) */
	OP_SLOW = 1 << 12, /* waits for the disk, most likely */
	OP_VALUE = 1 << 10, /* a value follows the name, and stays in rq->in */
};

struct fuse_op {
	const char *name;
	int (*fn)(struct fs *fs, struct request *rq);
	uint16_t in_size; /* bytes of fixed arguments */
	uint8_t names; /* how many names follow them */
	uint8_t cred; /* enum cred_kind: whose rights it has */
	uint32_t flags; /* enum op_flags */
};

/* The row of an opcode, or NULL: ENOSYS. */
const struct fuse_op *fuse_op(uint32_t opcode);

#endif
