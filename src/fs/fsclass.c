/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/fsclass.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

#include "base/scope.h"

/* Those that <linux/magic.h> does not know. */
#define MAGIC_FUSE 0x65735546U
#define MAGIC_CIFS 0xff534d42U
#define MAGIC_SMB2 0xfe534d42U
#define MAGIC_EXFAT 0x2011bab0U
#define MAGIC_ZFS 0x2fc12fc1U
#define MAGIC_BCACHEFS 0xca451a4eU

/* What is not here is taken for remote: that costs time at the most. */
static const struct {
	uint32_t magic;
	unsigned int class;
} known[] = {
	{ TMPFS_MAGIC, FSCLASS_MEMORY | FSCLASS_BORN },
	{ RAMFS_MAGIC, FSCLASS_MEMORY },
	{ HUGETLBFS_MAGIC, FSCLASS_MEMORY },
	{ EXT4_SUPER_MAGIC, FSCLASS_BORN }, /* and its elders */
	{ XFS_SUPER_MAGIC, FSCLASS_BORN },
	{ BTRFS_SUPER_MAGIC, FSCLASS_BORN },
	{ F2FS_SUPER_MAGIC, FSCLASS_BORN },
	{ OVERLAYFS_SUPER_MAGIC, 0 },
	{ MAGIC_ZFS, FSCLASS_BORN },
	{ MAGIC_BCACHEFS, FSCLASS_BORN },
	{ MSDOS_SUPER_MAGIC, FSCLASS_UNSTABLE },
	{ MAGIC_EXFAT, FSCLASS_UNSTABLE },
	{ MAGIC_FUSE, FSCLASS_REMOTE | FSCLASS_UNSTABLE },
	{ MAGIC_CIFS, FSCLASS_REMOTE | FSCLASS_UNSTABLE },
	{ MAGIC_SMB2, FSCLASS_REMOTE | FSCLASS_UNSTABLE },
	{ SMB_SUPER_MAGIC, FSCLASS_REMOTE | FSCLASS_UNSTABLE },
	{ V9FS_MAGIC, FSCLASS_REMOTE | FSCLASS_UNSTABLE },
};

/* syscalls: fstatfs */
unsigned int fsclass_of(int fd)
{
	struct statfs sfs;

	if (fstatfs(fd, &sfs) < 0)
		return FSCLASS_REMOTE;
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (known[i].magic == (uint32_t)sfs.f_type)
			return known[i].class;
	return FSCLASS_REMOTE;
}
