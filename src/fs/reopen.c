/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/reopen.h"

#include <errno.h>
#include <fcntl.h>

#include "base/fd.h"

/*
 * O_APPEND is left out: each write says for itself whether it appends (see
 * op_write()). O_DIRECT too: the guest may mean its own cache by it, and the
 * host's alignment rules are not the guest's. O_NOATIME, which the host may
 * refuse, is added by whoever can do without. The rest says how a name is
 * resolved or a file made, which is over by now.
 */
int reopen_flags(uint32_t guest_flags)
{
	return (int)guest_flags &
	       (O_ACCMODE | O_TRUNC | O_SYNC | O_DSYNC | O_NONBLOCK);
}

/* syscalls: openat */
int reopen(const struct node_pin *node, int flags)
{
	mode_t type = node->node->mode;

	if (S_ISLNK(type))
		return -ELOOP;
	if (!S_ISREG(type) && !S_ISDIR(type))
		return -EBADF;
	return fd_open_for_guest(AT_FDCWD, fd_name(node->fd).s, flags, 0);
}
