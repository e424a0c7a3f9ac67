/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/priv.h"

#include <errno.h>
#include <sys/xattr.h>

#include "base/fd.h"

/* syscalls: removexattr */
int priv_drop_capability(const struct fs *fs, int fd)
{
	const char *file, *name = fs->capability_name;
	struct fd_name fn;

	if (!name)
		return 0;
	fn = fd_name(fd);
	file = fn.s;
	if (removexattr(file, name) == 0 || errno == ENODATA ||
	    errno == EOPNOTSUPP)
		return 0;
	/* Not permitted (a symlink, an append-only file): no harm, if there is
	 * none to be taken away. */
	if (errno == EPERM && getxattr(file, name, NULL, 0) < 0)
		return 0;
	return -errno;
}
