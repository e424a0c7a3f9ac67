/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FUSE client that calls fuse_serve() on two iovecs, as any caller of it may:
 * there is no queue and no thread in between.
 *
 * Each reply is checked for what holds for all of them: the header's length is
 * what fuse_serve() returned, its unique number is the request's, its error is
 * one that a guest's kernel takes, an error has no body, and nothing beyond the
 * room for the reply was touched.
 */
#ifndef UNIT_CLIENT_H
#define UNIT_CLIENT_H

#include <string.h>

#include "fuse/serve.h"
#include "fuse/session.h"
#include "unit.h"

struct client {
	struct arena arena;
	struct fs fs;
	struct session session;
	struct session_record record;
};

/* Shares unit_dir; INIT is done unless the caller wants to do it. */
void client_start(struct client *c, enum cache_mode cache);
void client_start_bare(struct client *c, enum cache_mode cache);
void client_stop(struct client *c);

/* What must be the same again after a request that has failed. */
struct client_counts {
	uint64_t nodes, handles;
	long fds;
};
struct client_counts client_counts(struct client *c);
void client_check_counts(struct client *c, const struct client_counts *was);

/* One request and the room for its reply. */
#define CALL_IN_MAX 8192U
#define CALL_OUT_MAX 69632U
struct call {
	char in[CALL_IN_MAX];
	size_t in_len;
	size_t in_piece, out_piece; /* cut into pieces of this; 0: one */
	size_t room;
	int returned; /* by fuse_serve() */
	size_t body_len;
	char out[CALL_OUT_MAX + 64];
};

static inline const void *call_body(const struct call *k)
{
	return k->out + sizeof(struct fuse_out_header);
}

/* A request of the daemon's own user, without extensions. */
void call_begin(struct call *k, uint32_t opcode, uint64_t nodeid);
void call_put(struct call *k, const void *data, size_t len);
void call_name(struct call *k, const char *name);
struct fuse_in_header *call_header(struct call *k);

/* The fixed part of a request of this type, in place. */
#define call_arg(k, type) ((struct type *)call_arg_sized(k, sizeof(struct type)))
void *call_arg_sized(struct call *k, size_t size);

/* Serves it. Returns the error of the reply, 0 or -errno; 0 if it has none. */
int call_serve(struct client *c, struct call *k);

/* The same with iovecs of the caller's, unchecked. Any thread. */
int client_serve(struct client *c, const struct iovec *in, size_t n_in,
		 const struct iovec *out, size_t n_out);

/* Requests in one line. They return the error; ids are 0 then. */
int client_init(struct client *c);
int client_lookup(struct client *c, uint64_t parent, const char *name,
		  uint64_t *ret_nodeid);
void client_forget(struct client *c, uint64_t nodeid, uint64_t n);
int client_open(struct client *c, uint64_t nodeid, uint32_t flags,
		uint64_t *ret_fh);
int client_opendir(struct client *c, uint64_t nodeid, uint64_t *ret_fh);
int client_release(struct client *c, uint64_t fh);
int client_releasedir(struct client *c, uint64_t fh);
int client_create(struct client *c, uint64_t parent, const char *name,
		  uint32_t flags, uint32_t mode, uint64_t *ret_nodeid,
		  uint64_t *ret_fh);
int client_getattr(struct client *c, uint64_t nodeid, struct fuse_attr *ret);
/* An op of one name only: UNLINK, RMDIR. */
int client_name(struct client *c, uint32_t opcode, uint64_t parent,
		const char *name);
int client_read(struct client *c, uint64_t fh, uint64_t off, uint32_t size,
		void *data);
int client_write(struct client *c, uint64_t fh, uint64_t off, const void *data,
		 uint32_t size);

#endif
