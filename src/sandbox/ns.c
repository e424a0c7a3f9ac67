/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: leave nothing of the host's tree in reach of the keeper and the
 * worker but the share, and no other processes and no network (namespace), or
 * at least no paths (chroot).
 * Mustn't: go on with less than what was asked for.
 *
 * The share is a descriptor, opened before. A mount namespace has copies of all
 * mounts, and a descriptor stays on the original; but a working directory moves
 * along. So the share becomes the working directory first. Then a copy of its
 * tree is put over it, made the root, and the rest is detached. Mounts are
 * slaves of the host's: what the host mounts below the share shows up.
 *
 * A single file as the share has no tree around it that its descriptor could
 * lead to. It stays what it is, and the root is an empty file system.
 */
#include "sandbox/ns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "sandbox/caps.h"
#include "sandbox/ids.h"

#define HARMLESS (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC)

static bool wants_user_ns(const struct config *cfg)
{
	return cfg->sandbox == SANDBOX_NAMESPACE &&
	       (cfg->uid_map.n || cfg->gid_map.n || !caps_have(CAP_SYS_ADMIN));
}

static bool has_id(const struct id_ranges *map, uint32_t id)
{
	for (unsigned int i = 0; i < map->n; i++)
		if (id >= map->range[i].outside &&
		    id - map->range[i].outside < map->range[i].count)
			return true;
	return false;
}

int ns_default_ids(struct config *cfg)
{
	if (!wants_user_ns(cfg))
		return 0;
	if (!cfg->uid_map.n)
		ids_set_one(&cfg->uid_map, geteuid());
	if (!cfg->gid_map.n)
		ids_set_one(&cfg->gid_map, getegid());
	if (has_id(&cfg->uid_map, geteuid()) && has_id(&cfg->gid_map, getegid()))
		return 0;
	log_error("--uid-map and --gid-map must have the daemon's own ids in them (%u and %u)",
		  geteuid(), getegid());
	return -EINVAL;
}

int ns_write_ids(const struct config *cfg, pid_t child)
{
	return wants_user_ns(cfg) ?
		       ids_write(child, &cfg->uid_map, &cfg->gid_map) : 0;
}

pid_t ns_fork(const struct config *cfg)
{
	bool user = wants_user_ns(cfg);
	unsigned long flags = SIGCHLD;
	long pid;

	if (cfg->sandbox == SANDBOX_NAMESPACE)
		flags |= CLONE_NEWPID | CLONE_NEWNET | (user ? CLONE_NEWUSER : 0);
	pid = syscall(SYS_clone, flags, 0, 0, 0, 0);
	if (pid >= 0)
		return (pid_t)pid;
	return log_err(-errno, "cannot make %s for --sandbox=namespace (chroot and none do without)",
		       user ? "a user namespace" : "namespaces");
}

/* /proc of the new pid namespace, if it can be without the files that are not
 * about processes. */
static int mount_proc(void)
{
	const unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount("proc", "/proc", "proc", flags, "subset=pid") == 0 ||
	    (errno == EINVAL && /* before Linux 5.8 */
	     mount("proc", "/proc", "proc", flags, NULL) == 0))
		return 0;
	return log_err(-errno, "cannot mount /proc for --sandbox=namespace (chroot and none do without)");
}

/* Best effort: nothing in the daemon relies on it. */
static void restrict_mount(const struct config *cfg, int tree)
{
	struct mount_attr attr = { .attr_set = HARMLESS };

	if (cfg->readonly)
		attr.attr_set |= MOUNT_ATTR_RDONLY;
	if (mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr,
			  sizeof(attr)) < 0)
		log_debug("mount_setattr: errno %d", errno);
}

static int adopt_tree(int fd)
{
	return fd < 0 ? -errno : fd_adopt(fd);
}

/* A copy of the working directory's tree. */
static int copy_tree(const struct config *cfg)
{
	int tree = adopt_tree(open_tree(AT_FDCWD, ".", OPEN_TREE_CLONE |
						       OPEN_TREE_CLOEXEC |
						       AT_RECURSIVE));

	if (tree >= 0)
		restrict_mount(cfg, tree);
	return tree;
}

static int empty_tree(void)
{
	_cleanup_close_ int fs = adopt_tree(fsopen("tmpfs", FSOPEN_CLOEXEC));

	if (fs < 0)
		return fs;
	if (fsconfig(fs, FSCONFIG_SET_STRING, "nr_inodes", "2", 0) < 0 ||
	    fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	return adopt_tree(fsmount(fs, FSMOUNT_CLOEXEC,
				  HARMLESS | MOUNT_ATTR_RDONLY));
}

/* Makes @tree the root, and lets go of what was the root. */
static int make_root(int tree)
{
	_cleanup_close_ int old = fd_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);

	if (old < 0)
		return old;
	if (move_mount(tree, "", AT_FDCWD, ".", MOVE_MOUNT_F_EMPTY_PATH) < 0 ||
	    fchdir(tree) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    fchdir(old) < 0 || umount2(".", MNT_DETACH) < 0 ||
	    fchdir(tree) < 0)
		return -errno;
	return 0;
}

static bool is_directory(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode);
}

static int enter_namespace(const struct config *cfg, int *root_fd,
			   int *ret_proc_fd)
{
	_cleanup_close_ int proc = -1, tree = -1;
	bool dir = is_directory(*root_fd);
	int r;

	if ((dir ? fchdir(*root_fd) : chdir("/")) < 0 ||
	    unshare(CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return log_err(-errno, "cannot make a mount namespace");
	r = mount_proc();
	if (r < 0)
		return r;
	proc = fd_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
	if (proc < 0)
		return log_err(proc, "/proc");
	tree = dir ? copy_tree(cfg) : empty_tree();
	r = tree < 0 ? tree : make_root(tree);
	if (r < 0)
		return log_err(r, "cannot make the shared directory the root");
	if (dir) {
		(void)fd_close(root_fd);
		*root_fd = fd_take(&tree);
	}
	*ret_proc_fd = fd_take(&proc);
	return 0;
}

static int enter_chroot(int root_fd)
{
	if (!is_directory(root_fd)) {
		log_error("--sandbox=chroot needs a directory to share, not a file");
		return -ENOTDIR;
	}
	if (fchdir(root_fd) < 0 || chroot(".") < 0)
		return log_err(-errno, "cannot change the root directory for --sandbox=chroot");
	return 0;
}

int ns_close_off(const struct config *cfg, int *root_fd, int *ret_proc_fd)
{
	int proc, r = 0;

	if (cfg->sandbox == SANDBOX_NAMESPACE)
		return enter_namespace(cfg, root_fd, ret_proc_fd);
	proc = fd_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
	if (proc < 0)
		return log_err(proc, "/proc");
	if (cfg->sandbox == SANDBOX_CHROOT)
		r = enter_chroot(*root_fd);
	if (r < 0) {
		(void)fd_close(&proc);
		return r;
	}
	*ret_proc_fd = proc;
	return 0;
}
