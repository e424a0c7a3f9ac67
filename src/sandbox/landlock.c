/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: be a fence of its own behind the others, and in mode none the only
 * one around the share that holds a worker which runs somebody else's code.
 * Mustn't: refuse anything that the daemon does.
 *
 * Landlock decides when a file is opened for reading or writing, made, linked,
 * renamed or removed, by going up from it to the root of a permitted tree.
 * O_PATH descriptors need no permission, and a reopening through /proc/self/fd
 * is judged by the file, not by /proc: so all goes on as before as long as the
 * file still lies in the share. What the host moves out of it while the guest
 * has it cannot be opened again.
 *
 * A file that was opened by its handle may have no way up: the kernel has found
 * it by its number, and not the directories that it lies in. To Landlock it lies
 * nowhere. So with file handles it cannot be asked about files at all.
 *
 * A process in a Landlock domain can also not look into one outside of it
 * (ptrace, /proc/PID/root, /proc/PID/mem), even of the same user.
 */
#include "sandbox/landlock.h"

#include <errno.h>
#include <linux/landlock.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"

/* What the headers of Linux 6.1 have not. */
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define ACCESS_FS_IOCTL_DEV (1ULL << 15)
#define ACCESS_NET_TCP 3ULL
#define SCOPE_ABSTRACT_UNIX_AND_SIGNAL 3ULL

struct ruleset {
	__u64 fs, net, scoped;
};

#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* Of a file that is no directory. */
#define FS_FILE                                                               \
	(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |       \
	 LANDLOCK_ACCESS_FS_TRUNCATE)

/* Nothing is ever executed, and no device is talked to. */
static const __u64 never = LANDLOCK_ACCESS_FS_EXECUTE | ACCESS_FS_IOCTL_DEV;

static __u64 fs_of(int abi)
{
	__u64 fs = LANDLOCK_ACCESS_FS_REFER - 1;

	if (abi >= 2)
		fs |= LANDLOCK_ACCESS_FS_REFER;
	if (abi >= 3)
		fs |= LANDLOCK_ACCESS_FS_TRUNCATE;
	if (abi >= 5)
		fs |= ACCESS_FS_IOCTL_DEV;
	return fs;
}

static int allow(int ruleset, int fd, __u64 access)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = access,
		.parent_fd = fd,
	};

	return syscall(SYS_landlock_add_rule, ruleset,
		       LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

static int allow_share(int ruleset, int root_fd, __u64 fs)
{
	struct stat st;

	if (fstat(root_fd, &st) < 0)
		return -errno;
	return allow(ruleset, root_fd,
		     fs & ~never & (S_ISDIR(st.st_mode) ? ~0ULL : FS_FILE));
}

/* What a kernel with this version of Landlock can refuse; its size. */
static size_t all_of(int abi, bool by_handle, struct ruleset *ret)
{
	*ret = (struct ruleset){ .fs = by_handle ? 0 : fs_of(abi) };
	if (abi >= 4)
		ret->net = ACCESS_NET_TCP;
	if (abi >= 6)
		ret->scoped = SCOPE_ABSTRACT_UNIX_AND_SIGNAL;
	if (ret->scoped)
		return sizeof(*ret);
	return ret->net ? offsetof(struct ruleset, scoped) :
			  offsetof(struct ruleset, net);
}

int landlock_close(int root_fd, int proc_fd, bool by_handle)
{
	int abi = (int)syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);
	struct ruleset rules;
	size_t size = all_of(abi, by_handle, &rules);
	_cleanup_close_ int fd = -1;
	int r = 0;

	/* The first version cannot rename or link from directory to directory,
	 * and the next ones know of nothing but files. */
	if (abi < 2 || (by_handle && !rules.net)) {
		log_lacking(LOG_LEVEL_DEBUG, "no Landlock: this kernel has none that would do");
		return 0;
	}
	fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0);
	if (fd < 0)
		return log_err(-errno, "Landlock");
	fd_adopt(fd);
	if (rules.fs)
		r = allow_share(fd, root_fd, rules.fs);
	if (r == 0 && rules.fs)
		r = allow(fd, proc_fd, FS_READ);
	if (r == 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r < 0 ? log_err(r, "Landlock") : 0;
}
