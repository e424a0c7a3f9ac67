/* SPDX-License-Identifier: BSD-3-Clause */
/* The opcodes as <linux/fuse.h> has them, and those that came later. */
#include "hostile.h"

#define IN(type)  sizeof(struct fuse_##type##_in)
#define OUT(type) sizeof(struct fuse_##type##_out)

#define STATX_IN		24
#define COPY_64			53
#define STATX			52

const struct hostile_op hostile_ops[] = {
	{ FUSE_LOOKUP, "lookup", 0, 1, OP_NODE, OUT(entry) },
	{ FUSE_FORGET, "forget", IN(forget), 0, OP_SILENT, 0 },
	{ FUSE_GETATTR, "getattr", IN(getattr), 0, OP_NODE, OUT(attr) },
	{ FUSE_SETATTR, "setattr", IN(setattr), 0, OP_NODE, OUT(attr) },
	{ FUSE_READLINK, "readlink", 0, 0, OP_NODE, 4096 },
	{ FUSE_SYMLINK, "symlink", 0, 2, OP_NODE, OUT(entry) },
	{ FUSE_MKNOD, "mknod", IN(mknod), 1, OP_NODE, OUT(entry) },
	{ FUSE_MKDIR, "mkdir", IN(mkdir), 1, OP_NODE, OUT(entry) },
	{ FUSE_UNLINK, "unlink", 0, 1, OP_NODE, 0 },
	{ FUSE_RMDIR, "rmdir", 0, 1, OP_NODE, 0 },
	{ FUSE_RENAME, "rename", IN(rename), 2, OP_NODE, 0 },
	{ FUSE_LINK, "link", IN(link), 1, OP_NODE, OUT(entry) },
	{ FUSE_OPEN, "open", IN(open), 0, OP_NODE, OUT(open) },
	{ FUSE_READ, "read", IN(read), 0, OP_FILE, 4096 },
	{ FUSE_WRITE, "write", IN(write), 0, OP_FILE, OUT(write) },
	{ FUSE_STATFS, "statfs", 0, 0, OP_NODE, OUT(statfs) },
	{ FUSE_RELEASE, "release", IN(release), 0, OP_FILE, 0 },
	{ FUSE_FSYNC, "fsync", IN(fsync), 0, OP_NODE | OP_FILE, 0 },
	{ FUSE_SETXATTR, "setxattr", IN(setxattr), 1, OP_NODE, 0 },
	{ FUSE_GETXATTR, "getxattr", IN(getxattr), 1, OP_NODE, 256 },
	{ FUSE_LISTXATTR, "listxattr", IN(getxattr), 0, OP_NODE, 256 },
	{ FUSE_REMOVEXATTR, "removexattr", 0, 1, OP_NODE, 0 },
	{ FUSE_FLUSH, "flush", IN(flush), 0, OP_FILE, 0 },
	{ FUSE_INIT, "init", IN(init), 0, OP_ALONE, OUT(init) },
	{ FUSE_OPENDIR, "opendir", IN(open), 0, OP_NODE, OUT(open) },
	{ FUSE_READDIR, "readdir", IN(read), 0, OP_NODE | OP_DIR, 4096 },
	{ FUSE_RELEASEDIR, "releasedir", IN(release), 0, OP_DIR, 0 },
	{ FUSE_FSYNCDIR, "fsyncdir", IN(fsync), 0, OP_NODE | OP_DIR, 0 },
	{ FUSE_GETLK, "getlk", IN(lk), 0, OP_NODE | OP_FILE, OUT(lk) },
	{ FUSE_SETLK, "setlk", IN(lk), 0, OP_NODE | OP_FILE, 0 },
	{ FUSE_SETLKW, "setlkw", IN(lk), 0, OP_NODE | OP_FILE, 0 },
	{ FUSE_ACCESS, "access", IN(access), 0, 0, 0 },
	{ FUSE_CREATE, "create", IN(create), 1, OP_NODE, OUT(entry) + OUT(open) },
	{ FUSE_INTERRUPT, "interrupt", IN(interrupt), 0, OP_SILENT, 0 },
	{ FUSE_BMAP, "bmap", IN(bmap), 0, 0, OUT(bmap) },
	{ FUSE_DESTROY, "destroy", 0, 0, OP_ALONE, 0 },
	{ FUSE_IOCTL, "ioctl", IN(ioctl), 0, OP_FILE, OUT(ioctl) + 256 },
	{ FUSE_POLL, "poll", IN(poll), 0, 0, OUT(poll) },
	{ FUSE_NOTIFY_REPLY, "notify_reply", 40, 0, 0, 0 },
	{ FUSE_BATCH_FORGET, "batch_forget", IN(batch_forget), 0, OP_SILENT, 0 },
	{ FUSE_FALLOCATE, "fallocate", IN(fallocate), 0, OP_FILE, 0 },
	{ FUSE_READDIRPLUS, "readdirplus", IN(read), 0, OP_NODE | OP_DIR, 4096 },
	{ FUSE_RENAME2, "rename2", IN(rename2), 2, OP_NODE, 0 },
	{ FUSE_LSEEK, "lseek", IN(lseek), 0, OP_FILE, OUT(lseek) },
	{ FUSE_COPY_FILE_RANGE, "copy_file_range", IN(copy_file_range), 0, OP_FILE, OUT(write) },
	{ FUSE_SETUPMAPPING, "setupmapping", 40, 0, 0, 0 },
	{ FUSE_REMOVEMAPPING, "removemapping", 20, 0, 0, 0 },
	{ FUSE_SYNCFS, "syncfs", IN(syncfs), 0, OP_NODE, 0 },
	{ FUSE_TMPFILE, "tmpfile", IN(create), 1, OP_NODE, OUT(entry) + OUT(open) },
	{ STATX, "statx", STATX_IN, 0, OP_NODE, 288 },
	{ COPY_64, "copy_file_range_64", IN(copy_file_range), 0, OP_FILE, 8 },
	{ 0, "opcode 0", 16, 0, 0, 16 },
	{ 7, "opcode 7", 16, 0, 0, 16 },
	{ 54, "opcode 54", 16, 0, 0, 16 },
	{ 4096, "cuse_init", 16, 0, 0, 16 },
	{ UINT32_MAX, "opcode 2^32 - 1", 16, 0, 0, 16 },
};

const unsigned int hostile_nops = sizeof(hostile_ops) / sizeof(hostile_ops[0]);
