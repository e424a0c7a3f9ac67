/* SPDX-License-Identifier: BSD-3-Clause */
/* A request of each kind on a small tree, and what undoes it. */
#ifndef UNIT_MIX_H
#define UNIT_MIX_H

#include "client.h"

/* The tree, as a guest knows it that has looked everything up. */
struct mix {
	uint64_t file, other, link, dir; /* nodes */
	uint64_t fh, other_fh, dir_fh; /* file, other and dir, open */
	unsigned int serial;
	char fresh[32]; /* the name that was made last */
};

/* Makes the tree in unit_dir and opens it. */
void mix_init(struct mix *m, struct client *c);

/* May a part of the reply be a reply, too? PLUS: and each entry is a lookup. */
enum mix_kind { MIX_WHOLE, MIX_PARTS, MIX_PLUS };

struct mix_op {
	const char *name;
	void (*build)(struct mix *m, struct call *k);
	enum mix_kind kind;
};
extern const struct mix_op mix_ops[];
extern const size_t mix_n_ops;

/*
 * What takes back what a request that went well has given or made: the steps in
 * order, each a request or (false) nothing. READDIRPLUS is the caller's affair.
 */
enum mix_step { MIX_CLOSE, MIX_FORGET, MIX_REMOVE, MIX_STEPS };
bool mix_undo(struct mix *m, const struct fuse_in_header *h, const void *body,
	      enum mix_step step, struct call *next);

#endif
