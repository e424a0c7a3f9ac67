/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Nodes that are known by their place alone.
 *
 * Most files that a guest looks up, or lists, it never does anything with: a find,
 * an `ls -l`, a `git status` is content with what the LOOKUP said. So a file that is
 * new takes one statx(2) by name and no descriptor. Its node has its place instead:
 * the directory's number, the name, and when the file was born. The first use
 * (node_pin()) opens it there, and from then on it is a node like any other.
 *
 * Whether what is found in the place is still the file is told by its key and its
 * time of birth: an inode's number may be in use again, but not by a file that is
 * as old. (The host dates files to a few ms. A file that took over name, number and
 * date of one that nobody had ever used is as good as that one.) What is not, is
 * ESTALE, at which the guest's kernel looks the name up again.
 *
 * So that the guest itself never moves or removes a file from under such a node,
 * whoever takes a name away has it opened first (node_removal_enter(),
 * node_leaves()).
 *
 * This is for file systems whose times of birth can be relied on (FSCLASS_BORN), and
 * not for directories, which would have to be opened for the first thing in them. Who
 * wants handles, or descriptors, behind all nodes has no places.
 */
#ifndef FS_NODE_PLACE_H
#define FS_NODE_PLACE_H

#include "fs/node.h"

/* In ns; 0 if the file system does not say. */
uint64_t node_born(const struct statx *stx);

/* Whether new files in @dir may be known by their places. */
static inline bool node_may_place(const struct node_table *t,
				  const struct node_pin *dir)
{
	return node_class(dir->node) & FSCLASS_BORN &&
	       t->fds.mode != HANDLES_MANDATORY && t->fds.mode != HANDLES_NEVER;
}

/* The place of a file, whose statx this is, as its node will have it. False: it has to
 * be opened at once. */
bool node_place_of(const struct node_table *t, const struct node_pin *dir,
		   const char *name, const struct statx *stx,
		   struct node_place *ret);

/* Nothing but its place is behind it. */
static inline bool node_by_place_alone(const struct node *n)
{
	return n->flags & NODE_PLACED &&
	       atomic_load((_Atomic int32_t *)&n->fd) < 0;
}

/* The file of this type and birth, whose key is the node's, is the node's own. @place is
 * the node's, or a copy: it needs the shard's lock. */
static inline bool node_is_placed_file(const struct node *n,
				       const struct node_place *place,
				       mode_t mode, uint64_t born)
{
	return born != 0 && place->born == born && n->mode == (mode & S_IFMT);
}

/* Records where the node was last seen, if it has nothing else. Shard lock held. */
void node_place_put(struct node_table *t, struct node *n,
		    const struct node_place *place);

/* The place of a node that has nothing else, as it is now; false if it has. */
bool node_place_get(struct node_table *t, const struct node *n,
		    struct node_place *ret);

/* A new descriptor of a pinned node that has none, from its place; -ESTALE if it is not
 * there, or has one by now. No lock held. For node_fd_revive(). */
int node_place_open(struct node_table *t, const struct node *n);

/*
 * @name in @dir is about to lead elsewhere: the guest's node of that file, if it has
 * nothing but this place, gets its descriptor. @guess is the lower half of the
 * number of the node that it probably is, or 0.
 */
void node_leaves(struct node_table *t, const struct node_pin *dir,
		 const char *name, uint32_t guess);

/* A place that a worker which died has left makes sense. */
bool node_place_is_sound(const struct node *n);

#endif
