/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the hostile tests share, on top of tests/func: random numbers that can be had again, a
 * guest on a queue of its own that must be served whatever happens on the others, requests as
 * raw bytes, and the end of a test, where nothing may be left behind.
 */
#ifndef HOSTILE_HOSTILE_H
#define HOSTILE_HOSTILE_H

#include "func.h"

/* --- random.c --- */

/* random_seed_from() - $HOSTILE_SEED, else the clock; the seed that it is */
uint64_t random_seed_from_env(void);
void random_seed(uint64_t seed);
uint64_t random_u64(void);
/* random_below() - 0 .. n-1 */
uint32_t random_below(uint32_t n);
bool random_one_in(uint32_t n);
void random_bytes(void *buf, size_t len);
/* random_odd() - a number of the kind that breaks things: around powers of two and the ends of
 * types, small, or anything */
uint64_t random_odd(void);

/* --- fixture.c --- */

struct hostile {
	struct guest witness;		/* on the last queue */
	struct fuse_entry_out file;	/* what it looks at: "witness" */
	int err_fd;			/* eventfd: the daemon has stopped queue 1 */
	int fds;			/* descriptors of the daemon with nothing held but that */
	struct mem_buf in, out;		/* for hostile_send() */
	size_t log_seen;		/* bytes of the log: see hostile_stopped() */
};

extern struct hostile hx;

#define HOSTILE_IN_MAX	(128u << 10)
#define HOSTILE_OUT_MAX	(64u << 10)

/* hostile_init() - func_init(), and the seed, which is said */
void hostile_init(const char *area, int argc, char **argv);

/* hostile_start() - as func_start_with(), with one more request queue for the witness. fx.g and
 * queue 1 are for the attack. */
void hostile_start(const char *const *args, const struct vmm_opts *opts);
/* hostile_connect() - the same with a daemon that runs */
void hostile_connect(const struct vmm_opts *opts);

/* hostile_open_up() - whoever this is may read and write all of the share again */
void hostile_open_up(void);

/* hostile_served() - the witness is */
void hostile_served(void);

/* hostile_end() - everything is given back with a new INIT; the daemon must have no more
 * descriptors than at the start, and end with 0 */
void hostile_end(void);

/* hostile_ended() - the session was ended by the daemon, in plain words; nothing else is wrong.
 * The daemon goes. */
void hostile_ended(const char *words);

/* hostile_stopped() - queue 1 has been stopped, and the log says so in these words, since
 * the last time */
void hostile_stopped(const char *words);
/* hostile_restart() - queue 1 is stopped and started again by the front-end; the session stays */
void hostile_restart(void);

/* --- raw requests (raw.c) --- */

/*
 * hostile_send() - in_len bytes of hx.in as a request on queue 1, and `room` bytes for its reply
 *
 * The reply is checked for what holds for all of them (length, unique, error; nothing written
 * beyond its room). Returns its error, or 0; hx.out holds it, *ret_len is the used length.
 */
int hostile_send(size_t in_len, size_t room, uint32_t *ret_len);

/* hostile_header() - the header in hx.in, filled for an opcode and a body of this length */
struct fuse_in_header *hostile_header(uint32_t opcode, uint64_t nodeid, size_t body);
/* Its body */
void *hostile_body(void);

/* --- opcodes (ops.c) --- */

enum { OP_NODE = 1, OP_FILE = 2, OP_DIR = 4, OP_SILENT = 8, OP_ALONE = 16 };

struct hostile_op {
	uint32_t opcode;
	const char *name;
	uint16_t size;		/* of the fixed arguments */
	uint8_t names;		/* that follow */
	uint8_t flags;
	uint16_t reply;		/* bytes of the reply's fixed body */
};
extern const struct hostile_op hostile_ops[];
extern const unsigned int hostile_nops;

/* --- messages of vhost-user, and things at random (garbage.c) --- */

#define HOSTILE_NO_FEATURE 64

/* What the specification says of each: sizes of the payload, descriptors, when it may come. */
struct hostile_message {
	uint32_t request;
	const char *name;
	uint16_t min, max;
	uint8_t fds;
	uint8_t feature;	/* protocol feature bit */
	bool owned;		/* after SET_OWNER */
};
extern const struct hostile_message hostile_messages[];
extern const unsigned int hostile_nmessages;

/* garbage_send() - with nfds descriptors of a memfd of one page */
void garbage_send(struct front *f, uint32_t request, uint32_t flags, const void *data,
		  uint32_t size, unsigned int nfds);
void garbage_message(struct front *f);

#define GARBAGE_POOL 16

/* Numbers that some reply has given, to be used again whether they are still good or not */
struct garbage {
	uint64_t node[GARBAGE_POOL], fh[GARBAGE_POOL];
	uint64_t unique;
	bool no_fallocate;	/* the file system is one that others need */
};

/* garbage_request() - into buf, 16 KiB; its length */
size_t garbage_request(struct garbage *g, uint8_t *buf);
void garbage_learn(struct garbage *g, uint32_t opcode, const void *body, size_t len);

/* --- what lies outside the share (canary.c) --- */

/* canary_place() - before or after the start: a file and a directory beside the share */
void canary_place(void);
/* canary_alive() - they are as they were, and nothing has come to them */
void canary_alive(void);
/* canary_is() - this is the attribute of one of them, which no guest may ever see */
bool canary_is(const struct fuse_attr *a);

/* --- somebody who rewrites guest memory (rewriter.c) --- */

struct rewriter {
	pid_t pid;
};

/* rewriter_start() - a process that calls fn(arg) again and again; it shares guest memory. A
 * process and not a thread, as the test itself reads and writes the same memory. */
void rewriter_start(struct rewriter *w, void (*fn)(void *arg), void *arg);
void rewriter_stop(struct rewriter *w);

#endif
