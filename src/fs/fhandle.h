/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * File handles of the host: what a file can be opened by when neither its name
 * nor a descriptor is at hand (name_to_handle_at(2), open_by_handle_at(2)).
 *
 * A handle holds the inode's generation: two files have the same handle only if
 * they are the same file, even if one took over the other's inode number.
 */
#ifndef FS_FHANDLE_H
#define FS_FHANDLE_H

#include <stdbool.h>
#include <stdint.h>

/* ext4 needs 8 bytes, xfs 12, btrfs 20, tmpfs 12. Files with longer ones keep
 * their descriptors. */
#define FHANDLE_MAX 40U

struct fhandle {
	int32_t type;
	uint8_t len; /* 0: none */
	uint8_t bytes[FHANDLE_MAX];
};

/* The handle of the file behind @fd (O_PATH will do). -EOPNOTSUPP if its file
 * system has none, -EOVERFLOW if it is too long. */
int fhandle_get(int fd, struct fhandle *ret);

/*
 * Opens by handle, with @flags (O_PATH or how else). @mount_fd is any
 * descriptor on the file's mount, but not an O_PATH one. Needs
 * CAP_DAC_READ_SEARCH. Counts as a descriptor of the guest's. -ESTALE if the
 * file is gone.
 */
int fhandle_open(int mount_fd, const struct fhandle *fh, int flags);

bool fhandle_equal(const struct fhandle *a, const struct fhandle *b);

#endif
