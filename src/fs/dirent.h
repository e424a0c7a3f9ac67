/* SPDX-License-Identifier: BSD-3-Clause */
/* An entry as getdents64(2) has it, which the C library does not declare. */
#ifndef FS_DIRENT_H
#define FS_DIRENT_H

#include <stdint.h>

struct linux_dirent64 {
	uint64_t d_ino;
	int64_t d_off; /* cookie of the entry after this one */
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};

#endif
