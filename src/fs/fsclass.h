/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What kind of file system a file lies on, as far as that makes a difference
 * here. All files of a mount are of one class.
 */
#ifndef FS_FSCLASS_H
#define FS_FSCLASS_H

enum fs_class {
	/* Memory: no call waits for anything. */
	FSCLASS_MEMORY = 1,
	/* A network, a process in user space, or who knows: every call may take
	 * as long as somebody else likes, and close(2) may have news. Neither
	 * this nor memory: a disk. */
	FSCLASS_REMOTE = 2,
	/* Inode numbers do not tell files apart, or handles go stale while the
	 * file is there. */
	FSCLASS_UNSTABLE = 4,
	/* If it tells a file's time of birth, that is the file's for good, and so is
	 * its inode number as long as it lives. */
	FSCLASS_BORN = 8,
};

/* The class, bits of these, of the file system behind @fd. */
unsigned int fsclass_of(int fd);

#endif
