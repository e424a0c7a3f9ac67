/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX ACLs as the value of an extended attribute (<linux/posix_acl_xattr.h>):
 * the ids of users and groups in them are the guest's on one side, the host's
 * on the other.
 */
#ifndef FS_ACL_H
#define FS_ACL_H

#include <stdbool.h>
#include <stddef.h>

#include "fs/share.h"

/* Whether the attribute of this name is an ACL. */
bool acl_is_name(const char *name);

/*
 * Translates the ids of an ACL in place. What is no ACL stays as it is: the host
 * has something to say about it. acl_to_host(): -EPERM if the guest may not use
 * one of the ids.
 */
int acl_to_host(const struct fs *fs, char *value, size_t len);
void acl_to_guest(const struct fs *fs, char *value, size_t len);

#endif
