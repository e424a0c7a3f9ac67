/* SPDX-License-Identifier: BSD-3-Clause */
/* The only place where a name becomes a node. */
#ifndef FS_LOOKUP_H
#define FS_LOOKUP_H

#include "fs/request.h"
#include "fs/share.h"

enum lookup_use {
	/* Nobody knows whether anything will be done with it. */
	LOOKUP_TO_KNOW,
	/* It is a directory, or is used next: better opened at once. */
	LOOKUP_TO_USE,
};

/*
 * Looks @name up in @dir without following a link and raises the guest's count of
 * its node by one, noted in the request's tally (or NULL). Attributes and node are
 * those of one file: either it is opened and they come from that descriptor, or its
 * numbers are those of a node that is known to keep them, or that will be compared
 * with them when it is used (fs/node_place.h). @name has been checked; "." and ".."
 * may be among them. 0 or -errno.
 */
int lookup_child(struct fs *fs, const struct node_pin *dir, const char *name,
		 enum lookup_use use, struct tally *tally,
		 struct fuse_entry_out *ret);

/* The same for a file in @dir that is open already, by an O_PATH descriptor
 * (consumed). */
int lookup_fd(struct fs *fs, const struct node_pin *dir, int *path_fd,
	      struct tally *tally, struct fuse_entry_out *ret);

/* @name in @dir is the guest's node now: its next lookup is that of a known name. */
void lookup_made(struct fs *fs, const struct node_pin *dir, const char *name,
		 uint64_t nodeid);

/* The lower half of the number of the node that it probably is, or 0. */
uint32_t lookup_guess(const struct fs *fs, const struct node_pin *dir,
		      const char *name);

/* @old in @from was renamed to @name in @to. */
void lookup_moved(struct fs *fs, const struct node_pin *from,
		  const char *old, const struct node_pin *to, const char *name);

/* Takes back what the last lookup of a request gave, when its reply does not
 * reach the guest. */
void lookup_undo(struct fs *fs, struct tally *tally,
		 const struct fuse_entry_out *entry);

/* Takes back @n lookups of a node, as node_forget_for() does; with the last of
 * them everything that the guest has of the node. */
void lookup_forget(struct fs *fs, uint64_t nodeid, uint64_t n,
		   struct tally *tally, uint32_t tally_n);

/* Writes an entry as the reply; takes the lookup back if it has no room. */
int lookup_reply(struct fs *fs, struct request *rq,
		 const struct fuse_entry_out *entry);

/* Writes the reply that says that there is no such name, and for how long. */
int lookup_reply_none(struct fs *fs, struct request *rq);

#endif
