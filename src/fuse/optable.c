/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuse/optable.h"

#include "base/scope.h"
#include "fs/op.h"
#include "fuse/session.h"

#define IN(type) sizeof(struct fuse_##type##_in)

static const struct fuse_op ops[] = {
	[FUSE_LOOKUP] = { "lookup", op_lookup, 0, 1, CRED_DAEMON,
			  OP_PARENT | OP_REDO },
	[FUSE_FORGET] = { "forget", op_forget, IN(forget), 0, CRED_DAEMON,
			  OP_NO_REPLY },
	[FUSE_GETATTR] = { "getattr", op_getattr, IN(getattr), 0, CRED_DAEMON,
			   OP_NODE | OP_REDO },
	[FUSE_SETATTR] = { "setattr", op_setattr, IN(setattr), 0, CRED_DAEMON,
			   OP_NODE | OP_WRITES | OP_REDO },
	[FUSE_READLINK] = { "readlink", op_readlink, 0, 0, CRED_DAEMON,
			    OP_NODE | OP_REDO },
	[FUSE_SYMLINK] = { "symlink", op_symlink, 0, 2, CRED_CALLER,
			   OP_NODE | OP_WRITES | OP_EXT },
	[FUSE_MKNOD] = { "mknod", op_mknod, IN(mknod), 1, CRED_CALLER,
			 OP_NODE | OP_WRITES | OP_EXT },
	[FUSE_MKDIR] = { "mkdir", op_mkdir, IN(mkdir), 1, CRED_CALLER,
			 OP_NODE | OP_WRITES | OP_EXT },
	[FUSE_UNLINK] = { "unlink", op_unlink, 0, 1, CRED_DAEMON,
			  OP_NODE | OP_WRITES },
	[FUSE_RMDIR] = { "rmdir", op_rmdir, 0, 1, CRED_DAEMON,
			 OP_NODE | OP_WRITES },
	[FUSE_RENAME] = { "rename", op_rename, IN(rename), 2, CRED_DAEMON,
			  OP_NODE | OP_WRITES },
	[FUSE_LINK] = { "link", op_link, IN(link), 1, CRED_DAEMON,
			OP_NODE | OP_WRITES },
	[FUSE_OPEN] = { "open", op_open, IN(open), 0, CRED_DAEMON,
			OP_NODE | OP_REDO },
	[FUSE_READ] = { "read", op_read, IN(read), 0, CRED_DAEMON,
			OP_FILE | OP_REDO },
	[FUSE_WRITE] = { "write", op_write, IN(write), 0, CRED_NO_FSETID,
			 OP_FILE | OP_WRITES },
	[FUSE_STATFS] = { "statfs", op_statfs, 0, 0, CRED_DAEMON,
			  OP_NODE | OP_REDO },
	[FUSE_RELEASE] = { "release", op_release, IN(release), 0, CRED_DAEMON,
			   OP_FILE },
	[FUSE_FSYNC] = { "fsync", op_fsync, IN(fsync), 0, CRED_DAEMON,
			 OP_NODE | OP_REDO },
	[FUSE_FLUSH] = { "flush", op_flush, IN(flush), 0, CRED_DAEMON,
			 OP_FILE | OP_REDO },
	[FUSE_INIT] = { "init", op_init, WIRE_FUSE_INIT_IN_MIN, 0, CRED_DAEMON,
			OP_NO_SESSION | OP_EXCLUSIVE },
	[FUSE_OPENDIR] = { "opendir", op_opendir, IN(open), 0, CRED_DAEMON,
			   OP_NODE | OP_REDO },
	[FUSE_READDIR] = { "readdir", op_readdir, IN(read), 0, CRED_DAEMON,
			   OP_NODE | OP_DIR | OP_REDO },
	[FUSE_RELEASEDIR] = { "releasedir", op_release, IN(release), 0,
			      CRED_DAEMON, OP_DIR },
	[FUSE_FSYNCDIR] = { "fsyncdir", op_fsyncdir, IN(fsync), 0, CRED_DAEMON,
			    OP_NODE | OP_REDO },
	[FUSE_CREATE] = { "create", op_create, IN(create), 1, CRED_BY_OP,
			  OP_NODE | OP_WRITES | OP_EXT },
	[FUSE_INTERRUPT] = { "interrupt", op_interrupt, IN(interrupt), 0,
			     CRED_DAEMON, OP_NO_REPLY },
	[FUSE_DESTROY] = { "destroy", op_destroy, 0, 0, CRED_DAEMON,
			   OP_EXCLUSIVE },
	[FUSE_BATCH_FORGET] = { "batch_forget", op_batch_forget,
				IN(batch_forget), 0, CRED_DAEMON, OP_NO_REPLY },
	[FUSE_FALLOCATE] = { "fallocate", op_fallocate, IN(fallocate), 0,
			     CRED_DAEMON, OP_FILE | OP_WRITES },
	[FUSE_READDIRPLUS] = { "readdirplus", op_readdirplus, IN(read), 0,
			       CRED_DAEMON, OP_NODE | OP_DIR | OP_REDO },
	[FUSE_RENAME2] = { "rename2", op_rename2, IN(rename2), 2, CRED_DAEMON,
			   OP_NODE | OP_WRITES },
	[FUSE_LSEEK] = { "lseek", op_lseek, IN(lseek), 0, CRED_DAEMON,
			 OP_FILE | OP_REDO },
	[FUSE_COPY_FILE_RANGE] = { "copy_file_range", op_copy_file_range,
				   IN(copy_file_range), 0, CRED_DAEMON,
				   OP_FILE | OP_WRITES },
};

const struct fuse_op *fuse_op(uint32_t opcode)
{
	if (opcode >= ARRAY_SIZE(ops) || !ops[opcode].fn)
		return NULL;
	return &ops[opcode];
}
