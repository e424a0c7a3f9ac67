/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE session: what INIT has agreed on, from INIT to DESTROY. A guest may
 * begin anew at any time (it was reset): then all that it held is dropped.
 */
#ifndef FUSE_SESSION_H
#define FUSE_SESSION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "fs/request.h"
#include "fs/share.h"

/* In the arena. Changed only while no request is served. */
struct session_record {
	atomic_uint_least32_t live; /* stored last */
	uint32_t minor; /* of the guest's FUSE version */
	uint64_t flags; /* agreed: FUSE_* of both words */
	uint64_t number; /* counts INITs */
};

struct session {
	struct fs *fs;
	struct session_record *record;
	unsigned int refused; /* INITs of which the log says why */
};

void session_init(struct session *s, struct fs *fs, struct session_record *rec);

/* Goes on with the session of a worker that died. */
void session_attach(struct session *s);

static inline bool session_is_live(const struct session *s)
{
	return atomic_load_explicit(&s->record->live, memory_order_acquire);
}

/* Drops what the guest holds. No request may be running. */
void session_end(struct session *s);

/* The two ops that change it; exclusive. */
int op_init(struct fs *fs, struct request *rq);
int op_destroy(struct fs *fs, struct request *rq);

#endif
