/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The ops: one function per opcode, in fs/op_*.c; fuse/optable.c says what each
 * may count on. By the time one runs, header, fixed arguments and names are
 * checked copies, the node and the open file are pinned and the credentials
 * are those that the table asks for. It acts on the host, writes the body of
 * the reply and returns 0 or -errno.
 */
#ifndef FS_OP_H
#define FS_OP_H

#include "fs/request.h"
#include "fs/share.h"

int op_lookup(struct fs *fs, struct request *rq);
int op_forget(struct fs *fs, struct request *rq);
int op_batch_forget(struct fs *fs, struct request *rq);
int op_getattr(struct fs *fs, struct request *rq);
int op_setattr(struct fs *fs, struct request *rq);
int op_statfs(struct fs *fs, struct request *rq);
int op_readlink(struct fs *fs, struct request *rq);
int op_symlink(struct fs *fs, struct request *rq);
int op_mknod(struct fs *fs, struct request *rq);
int op_mkdir(struct fs *fs, struct request *rq);
int op_link(struct fs *fs, struct request *rq);
int op_unlink(struct fs *fs, struct request *rq);
int op_rmdir(struct fs *fs, struct request *rq);
int op_rename(struct fs *fs, struct request *rq);
int op_rename2(struct fs *fs, struct request *rq);
int op_open(struct fs *fs, struct request *rq);
int op_create(struct fs *fs, struct request *rq);
int op_release(struct fs *fs, struct request *rq);
int op_flush(struct fs *fs, struct request *rq);
int op_fsync(struct fs *fs, struct request *rq);
int op_read(struct fs *fs, struct request *rq);
int op_write(struct fs *fs, struct request *rq);
int op_fallocate(struct fs *fs, struct request *rq);
int op_lseek(struct fs *fs, struct request *rq);
int op_copy_file_range(struct fs *fs, struct request *rq);
int op_opendir(struct fs *fs, struct request *rq);
int op_readdir(struct fs *fs, struct request *rq);
int op_readdirplus(struct fs *fs, struct request *rq);
int op_fsyncdir(struct fs *fs, struct request *rq);
int op_tmpfile(struct fs *fs, struct request *rq);
int op_statx(struct fs *fs, struct request *rq);
int op_syncfs(struct fs *fs, struct request *rq);
int op_ioctl(struct fs *fs, struct request *rq);
int op_copy_file_range_64(struct fs *fs, struct request *rq);
int op_getxattr(struct fs *fs, struct request *rq);
int op_listxattr(struct fs *fs, struct request *rq);
int op_setxattr(struct fs *fs, struct request *rq);
int op_removexattr(struct fs *fs, struct request *rq);
int op_getlk(struct fs *fs, struct request *rq);
int op_setlk(struct fs *fs, struct request *rq);
int op_setlkw(struct fs *fs, struct request *rq);
int op_interrupt(struct fs *fs, struct request *rq);

#endif
