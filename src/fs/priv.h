/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a change of a file takes away from it: set-id bits and capabilities.
 *
 * The host's kernel sees to both when the one who writes has no CAP_FSETID, so
 * all that is needed is to put that aside (cred.h) when the guest says so. But
 * a security.capability that the xattr map has put elsewhere means nothing to
 * that kernel.
 */
#ifndef FS_PRIV_H
#define FS_PRIV_H

#include "fs/share.h"

/* The file's data or owner is about to change: takes a remapped capability
 * away. @fd may be an O_PATH descriptor. 0 or -errno. */
int priv_drop_capability(const struct fs *fs, int fd);

#endif
