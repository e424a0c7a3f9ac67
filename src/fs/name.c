/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/name.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

bool name_is_dot(const char *name)
{
	return strcmp(name, ".") == 0;
}

bool name_is_dotdot(const char *name)
{
	return strcmp(name, "..") == 0;
}

int name_check_lookup(const char *name)
{
	if (name[0] == '\0')
		return -ENOENT;
	if (strchr(name, '/'))
		return -EINVAL;
	return strlen(name) > NAME_MAX ? -ENAMETOOLONG : 0;
}

int name_check(const char *name)
{
	if (name[0] == '\0' || name_is_dot(name) || name_is_dotdot(name))
		return -EINVAL;
	return name_check_lookup(name);
}
