/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_GUEST_H
#define VMM_GUEST_H

#include <sys/types.h>
#include <time.h>

#include "call.h"
#include "vmm.h"

/* Newer than some distributions' <linux/fuse.h> */
#ifndef FUSE_CREATE_SUPP_GROUP
#define FUSE_CREATE_SUPP_GROUP	(1ULL << 34)
#endif
#ifndef FUSE_DIRECT_IO_ALLOW_MMAP
#define FUSE_DIRECT_IO_ALLOW_MMAP (1ULL << 36)
#endif
#define GUEST_EXT_GROUPS	32	/* type of the extension that carries groups */

#define GUEST_NO_GROUP		UINT32_MAX
#define GUEST_NO_FH		UINT64_MAX

/*
 * A FUSE client that does one request at a time on one ring; make one per thread and ring. For
 * many requests in flight use its parts: call_*() and ring_*().
 *
 * Functions named after an opcode return 0 (or a count) or the error of the reply, -errno;
 * -ETIMEDOUT when no reply came, -EBADMSG when it broke the protocol (said on stderr).
 */
struct guest {
	struct vmm *vmm;
	struct ring *ring;
	struct call call;
	const struct layout *layout;
	uint32_t uid, gid, pid;		/* the caller, in every request */
	uint32_t supp_group;		/* sent with what creates; GUEST_NO_GROUP: none */
	uint32_t file_flags;		/* of the open file, sent with READ and WRITE (O_APPEND) */
	uint32_t open_flags;		/* FUSE_OPEN_*, sent with OPEN, CREATE, TMPFILE */
	uint32_t write_flags;		/* FUSE_WRITE_*, sent with WRITE */
	uint32_t setxattr_flags;	/* FUSE_SETXATTR_*, sent where SETXATTR_EXT is agreed */
	const void *ext;		/* another extension of what creates: see guest_label() */
	size_t ext_len;
	bool ext_unsized;		/* without total_extlen, as before 7.38 */
	uint64_t agreed;		/* flags of the last reply to INIT */
	uint64_t unique;		/* of the last request */
	int timeout_ms;
	bool spin;			/* poll for completions, ask for no notification */
};

/* guest_attach() - a client on ring number `queue`; data_max: most data of a request */
int guest_attach(struct guest *g, struct vmm *v, unsigned int queue, size_t data_max);
void guest_detach(struct guest *g);

/* guest_begin() - start a request in g->call with the guest's ids and a new unique */
struct call *guest_begin(struct guest *g, uint32_t opcode, uint64_t nodeid);
/* guest_begin_on() - the same in another call, to have several in flight */
struct call *guest_begin_on(struct guest *g, struct call *c, uint32_t opcode, uint64_t nodeid);
/* guest_send() - submit and kick, and do not wait: guest_wait_for(); the chain's head, or -errno */
int guest_send(struct guest *g, struct call *c);
/* guest_call() - submit g->call, kick, wait, check; the reply's error */
int guest_call(struct guest *g);
/* guest_wait_for() - take completions until c's; its error */
int guest_wait_for(struct guest *g, struct call *c);

/* --- session (guest.c) --- */

#define GUEST_MINOR 38
/* What a recent Linux guest offers in INIT */
#define GUEST_INIT_FLAGS \
	(FUSE_ASYNC_READ | FUSE_POSIX_LOCKS | FUSE_ATOMIC_O_TRUNC | FUSE_EXPORT_SUPPORT | \
	 FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_FLOCK_LOCKS | FUSE_HAS_IOCTL_DIR | \
	 FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | \
	 FUSE_WRITEBACK_CACHE | FUSE_NO_OPEN_SUPPORT | FUSE_PARALLEL_DIROPS | \
	 FUSE_HANDLE_KILLPRIV | FUSE_POSIX_ACL | FUSE_ABORT_ERROR | FUSE_MAX_PAGES | \
	 FUSE_CACHE_SYMLINKS | FUSE_NO_OPENDIR_SUPPORT | FUSE_EXPLICIT_INVAL_DATA | \
	 FUSE_SUBMOUNTS | FUSE_HANDLE_KILLPRIV_V2 | FUSE_SETXATTR_EXT | FUSE_INIT_EXT | \
	 FUSE_SECURITY_CTX | FUSE_CREATE_SUPP_GROUP)

/* flags: all 64 bits; the upper half goes to flags2. ret may be NULL. */
int guest_init(struct guest *g, uint32_t minor, uint64_t flags, struct fuse_init_out *ret);
int guest_init_raw(struct guest *g, const struct fuse_init_in *in, size_t in_len,
		   struct fuse_init_out *ret);
int guest_destroy(struct guest *g);
int guest_interrupt(struct guest *g, uint64_t unique);
int guest_statfs(struct guest *g, uint64_t node, struct fuse_statfs_out *ret);

/* --- nodes and attributes (guest_node.c) --- */

int guest_lookup(struct guest *g, uint64_t parent, const char *name,
		 struct fuse_entry_out *ret);
/* guest_walk() - look up a relative path, name by name; forgets nothing */
int guest_walk(struct guest *g, const char *path, struct fuse_entry_out *ret);
int guest_forget(struct guest *g, uint64_t node, uint64_t nlookup);
/* count: as told in the request; n: how many are really sent */
int guest_batch_forget(struct guest *g, uint32_t count, const struct fuse_forget_one *one,
		       size_t n);
/* fh: GUEST_NO_FH: by node */
int guest_getattr(struct guest *g, uint64_t node, uint64_t fh, struct fuse_attr_out *ret);
int guest_setattr(struct guest *g, uint64_t node, const struct fuse_setattr_in *in,
		  struct fuse_attr_out *ret);
int guest_chmod(struct guest *g, uint64_t node, mode_t mode);
int guest_chown(struct guest *g, uint64_t node, uid_t uid, gid_t gid);
int guest_truncate(struct guest *g, uint64_t node, uint64_t size);
ssize_t guest_readlink(struct guest *g, uint64_t node, char *buf, size_t size);

/* --- names (guest_name.c) --- */

int guest_symlink(struct guest *g, uint64_t parent, const char *name, const char *target,
		  struct fuse_entry_out *ret);
int guest_mknod(struct guest *g, uint64_t parent, const char *name, mode_t mode, uint32_t rdev,
		mode_t umask, struct fuse_entry_out *ret);
int guest_mkdir(struct guest *g, uint64_t parent, const char *name, mode_t mode, mode_t umask,
		struct fuse_entry_out *ret);
int guest_create(struct guest *g, uint64_t parent, const char *name, uint32_t flags,
		 mode_t mode, mode_t umask, struct fuse_entry_out *ret_entry,
		 struct fuse_open_out *ret_open);
/* guest_tmpfile() - O_TMPFILE: CREATE without a name */
int guest_tmpfile(struct guest *g, uint64_t parent, uint32_t flags, mode_t mode, mode_t umask,
		  struct fuse_entry_out *ret_entry, struct fuse_open_out *ret_open);
/* guest_kernel_tmpfile() - as the guest's kernel makes one of its own, for an overlay */
int guest_kernel_tmpfile(struct guest *g, uint64_t parent, uint32_t flags, mode_t mode,
			 mode_t umask, struct fuse_entry_out *ret_entry,
			 struct fuse_open_out *ret_open);
/* guest_label() - a security context as g->ext takes it; buf has len + 300 bytes. Its size */
size_t guest_label(void *buf, const char *name, const void *value, size_t len);
int guest_unlink(struct guest *g, uint64_t parent, const char *name);
int guest_rmdir(struct guest *g, uint64_t parent, const char *name);
int guest_rename(struct guest *g, uint64_t dir, const char *name, uint64_t newdir,
		 const char *newname);
int guest_rename2(struct guest *g, uint64_t dir, const char *name, uint64_t newdir,
		  const char *newname, uint32_t flags);
int guest_link(struct guest *g, uint64_t node, uint64_t newdir, const char *newname,
	       struct fuse_entry_out *ret);

/* --- files (guest_io.c) --- */

int guest_open(struct guest *g, uint64_t node, uint32_t flags, struct fuse_open_out *ret);
int guest_release(struct guest *g, uint64_t node, uint64_t fh);
int guest_flush(struct guest *g, uint64_t node, uint64_t fh);
int guest_fsync(struct guest *g, uint64_t node, uint64_t fh, bool datasync);
/* A NULL buf leaves the data in (takes it as it is in) guest memory. */
ssize_t guest_read(struct guest *g, uint64_t node, uint64_t fh, void *buf, uint32_t size,
		   uint64_t offset);
ssize_t guest_write(struct guest *g, uint64_t node, uint64_t fh, const void *buf,
		    uint32_t size, uint64_t offset);
int guest_fallocate(struct guest *g, uint64_t node, uint64_t fh, uint32_t mode,
		    uint64_t offset, uint64_t length);
int64_t guest_lseek(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset,
		    uint32_t whence);
ssize_t guest_copy_file_range(struct guest *g, uint64_t node_in, uint64_t fh_in,
			      uint64_t off_in, uint64_t node_out, uint64_t fh_out,
			      uint64_t off_out, uint64_t len, uint64_t flags);

/* --- extended attributes (guest_xattr.c) --- */

int guest_setxattr(struct guest *g, uint64_t node, const char *name, const void *value,
		   size_t size, uint32_t flags);
/* With a size of 0 the reply is a number: how long it is. */
ssize_t guest_getxattr(struct guest *g, uint64_t node, const char *name, void *buf,
		       uint32_t size);
ssize_t guest_listxattr(struct guest *g, uint64_t node, void *buf, uint32_t size);
int guest_removexattr(struct guest *g, uint64_t node, const char *name);

/* --- newer requests (guest_new.c) --- */

struct guest_sx_time {
	int64_t sec;
	uint32_t nsec;
	int32_t reserved;
};
struct guest_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, spare0;
	uint64_t ino, size, blocks, attributes_mask;
	struct guest_sx_time atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t spare2[14];
};
struct guest_statx_out {
	uint64_t attr_valid;
	uint32_t attr_valid_nsec;
	uint32_t flags;
	uint64_t spare[2];
	struct guest_statx stat;
};

int guest_statx(struct guest *g, uint64_t node, uint32_t mask, struct guest_statx_out *ret);
int guest_syncfs(struct guest *g, uint64_t node);
/* guest_ioctl() - flags: FUSE_IOCTL_*; the bytes that came back to out */
ssize_t guest_ioctl(struct guest *g, uint64_t node, uint64_t fh, uint32_t flags, uint32_t cmd,
		    const void *in, uint32_t in_size, void *out, uint32_t out_size);
ssize_t guest_copy_file_range_64(struct guest *g, uint64_t node_in, uint64_t fh_in,
				 uint64_t off_in, uint64_t node_out, uint64_t fh_out,
				 uint64_t off_out, uint64_t len);

/* --- locks (guest_lock.c) --- */

#define GUEST_LOCK_END INT64_MAX	/* "to the end of the file", however long */

struct guest_lock {
	uint64_t node, fh, owner;
	uint64_t start, end;		/* first and last byte */
	uint32_t type;			/* F_RDLCK, F_WRLCK, F_UNLCK */
	uint32_t flags;			/* FUSE_LK_FLOCK */
};

/* guest_getlk() - ret->type is F_UNLCK if the lock could be had */
int guest_getlk(struct guest *g, const struct guest_lock *l, struct fuse_file_lock *ret);
int guest_setlk(struct guest *g, const struct guest_lock *l);
/* guest_setlkw() - waits for as long as the guest's time-out */
int guest_setlkw(struct guest *g, const struct guest_lock *l);
/* guest_setlkw_send() - sends it in a call of its own and does not wait: guest_wait_for() */
int guest_setlkw_send(struct guest *g, struct call *c, const struct guest_lock *l);
/* guest_flush_owner() - a process closes the file; its POSIX locks go */
int guest_flush_owner(struct guest *g, uint64_t node, uint64_t fh, uint64_t owner);
/* guest_release_flock() - the last close of an open file that flock() was used on */
int guest_release_flock(struct guest *g, uint64_t node, uint64_t fh, uint64_t owner);

/* --- directories (guest_dir.c) --- */

int guest_opendir(struct guest *g, uint64_t node, struct fuse_open_out *ret);
int guest_releasedir(struct guest *g, uint64_t node, uint64_t fh);
int guest_fsyncdir(struct guest *g, uint64_t node, uint64_t fh, bool datasync);
ssize_t guest_readdir(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset, void *buf,
		      uint32_t size);
ssize_t guest_readdirplus(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset,
			  void *buf, uint32_t size);

/* guest_dirent() - the entry at *at of a READDIR reply of len bytes, and step; NULL at its end
 * or when what is there is not a whole entry */
const struct fuse_dirent *guest_dirent(const void *buf, size_t len, size_t *at);
const struct fuse_direntplus *guest_direntplus(const void *buf, size_t len, size_t *at);

#endif
