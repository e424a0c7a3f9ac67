/* SPDX-License-Identifier: BSD-3-Clause */
/* What ops that make something have in common. */
#ifndef FS_CREATE_H
#define FS_CREATE_H

#include <sys/stat.h>

#include "fs/request.h"
#include "fs/share.h"

/*
 * The caller's umask, as the thread's own for the time of one call, if the
 * guest leaves it to the host (POSIX ACLs: a default ACL takes its place).
 * Returns what create_umask_leave() has to be given.
 */
mode_t create_umask_enter(const struct fs *fs, uint32_t umask);
void create_umask_leave(mode_t entered);

/* Gives the new file behind an O_PATH descriptor the label that came with the
 * request, if one did. 0 or -errno. */
int create_label(const struct fs *fs, struct request *rq, int path_fd);

/*
 * Before something is made: notes when that was. After an EEXIST: whether an
 * earlier worker has made it, for this same request, as far as the host can tell:
 * a file of the right type that is not older. *ret_stx is what it is now.
 */
void create_begin(struct request *rq);
bool create_was_made(const struct request *rq, const char *name, mode_t type,
		     struct statx *ret_stx);

/*
 * The reply for rq->name[@which], which has just been made: label, node and
 * entry. If it cannot be labelled it is removed again.
 */
int create_reply(struct fs *fs, struct request *rq, const char *name);

#endif
