/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening a node for I/O. */
#ifndef FS_REOPEN_H
#define FS_REOPEN_H

#include "fs/node.h"

/* Flags of the guest's open(2) that the host's may have. */
int reopen_flags(uint32_t guest_flags);

/*
 * Opens the file behind a node, by its descriptor, never by a name. Only
 * regular files and directories: opening a device, a FIFO or a socket of the
 * share would act on the host. Returns the descriptor, -EISDIR for a directory
 * opened to write, -ELOOP for a symlink, -EBADF for the rest, or -errno.
 */
int reopen(const struct node_pin *node, int flags);

#endif
