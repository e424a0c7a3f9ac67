/* SPDX-License-Identifier: BSD-3-Clause */
/* Names from the guest: one component of a path, and nothing else. */
#ifndef FS_NAME_H
#define FS_NAME_H

#include <stdbool.h>

/*
 * A name that is to be made, removed or renamed: -EINVAL for "", ".", ".." and
 * anything with a '/'; -ENAMETOOLONG beyond NAME_MAX; else 0.
 */
int name_check(const char *name);

/*
 * A name that is to be looked up: -ENOENT for "", -EINVAL with a '/' in it,
 * -ENAMETOOLONG; "." and ".." are good.
 */
int name_check_lookup(const char *name);

bool name_is_dot(const char *name);
bool name_is_dotdot(const char *name);

#endif
