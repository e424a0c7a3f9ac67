/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/fhandle.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "base/fd.h"

/* struct file_handle ends in an array without a size. */
union handle_buffer {
	struct file_handle h;
	char space[sizeof(struct file_handle) + FHANDLE_MAX];
};

/* syscalls: name_to_handle_at */
int fhandle_get(int fd, struct fhandle *ret)
{
	union handle_buffer b = { .h.handle_bytes = FHANDLE_MAX };
	int mount_id;

	if (name_to_handle_at(fd, "", &b.h, &mount_id, AT_EMPTY_PATH) < 0)
		return -errno;
	if (b.h.handle_bytes == 0 || b.h.handle_bytes > FHANDLE_MAX)
		return -EOPNOTSUPP;
	ret->type = b.h.handle_type;
	ret->len = (uint8_t)b.h.handle_bytes;
	memset(ret->bytes, 0, sizeof(ret->bytes));
	memcpy(ret->bytes, b.h.f_handle, ret->len);
	return 0;
}

/* While another file is being made of the number of one that was removed, the kernel
 * says ENOMEM for ESTALE (iget_locked()). syscalls: sched_yield */
#define TRIES 1000

int fhandle_open(int mount_fd, const struct fhandle *fh, int flags)
{
	union handle_buffer b = {
		.h.handle_bytes = fh->len,
		.h.handle_type = fh->type,
	};
	int r;

	memcpy(b.h.f_handle, fh->bytes, fh->len);
	r = fd_open_handle_for_guest(mount_fd, &b.h, flags);
	for (int i = 1; r == -ENOMEM && i < TRIES; i++) {
		sched_yield();
		r = fd_open_handle_for_guest(mount_fd, &b.h, flags);
	}
	return r;
}

bool fhandle_equal(const struct fhandle *a, const struct fhandle *b)
{
	return a->type == b->type && a->len == b->len &&
	       memcmp(a->bytes, b->bytes, a->len) == 0;
}
