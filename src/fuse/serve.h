/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef FUSE_SERVE_H
#define FUSE_SERVE_H

#include "base/trace.h"
#include "fuse/session.h"

/*
 * Carries out one request that request_bind() has bound to its memory. Any
 * thread that has its own file system context; none of the session's locks.
 *
 * Returns the number of bytes written into the reply (0 if there is none),
 * REQUEST_PARKED, or REQUEST_EXCLUSIVE if fuse_serve_exclusive() has to carry
 * it out while nothing else is being served.
 */
int fuse_serve(struct session *s, struct request *rq);

/* Goes on with what fuse_serve() has decoded: nothing is read again of what it
 * has looked at. Returns the number of bytes written into the reply. */
int fuse_serve_exclusive(struct session *s, struct request *rq);

/*
 * Takes back what a request of queue @queue gave the guest, lookups and open
 * files, if its worker died before that was pushed; of a FORGET, notes how far it
 * went. Before queue_attach(), which makes of a request that acted one that is
 * to be run.
 */
void fuse_undo(struct session *s, struct inflight *record, unsigned int queue);

/* Puts into a trace record what a request that was served has asked for. */
void fuse_trace(const struct request *rq, struct trace_record *ret);

/*
 * Writes a reply without a body for a request that was parked. @out has the
 * room for it. Returns the bytes written.
 */
int fuse_reply_parked(struct iobuf *out, uint64_t unique, int result);

#endif
