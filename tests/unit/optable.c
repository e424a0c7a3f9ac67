/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse/optable: each row against the protocol's header, spelled out again. */
#include "fuse/optable.h"

#include "fs/op.h"
#include "fuse/session.h"
#include "unit.h"

#define IN(type) sizeof(struct fuse_##type##_in)

/* What the protocol says: the fixed part and the names of a request, and
 * whether it is answered. */
static const struct {
	uint32_t opcode;
	size_t in_size;
	int names;
	bool no_reply;
} protocol[] = {
	{ FUSE_LOOKUP, 0, 1, false },
	{ FUSE_FORGET, IN(forget), 0, true },
	{ FUSE_GETATTR, IN(getattr), 0, false },
	{ FUSE_SETATTR, IN(setattr), 0, false },
	{ FUSE_READLINK, 0, 0, false },
	{ FUSE_SYMLINK, 0, 2, false },
	{ FUSE_MKNOD, IN(mknod), 1, false },
	{ FUSE_MKDIR, IN(mkdir), 1, false },
	{ FUSE_UNLINK, 0, 1, false },
	{ FUSE_RMDIR, 0, 1, false },
	{ FUSE_RENAME, IN(rename), 2, false },
	{ FUSE_LINK, IN(link), 1, false },
	{ FUSE_OPEN, IN(open), 0, false },
	{ FUSE_READ, IN(read), 0, false },
	{ FUSE_WRITE, IN(write), 0, false },
	{ FUSE_STATFS, 0, 0, false },
	{ FUSE_RELEASE, IN(release), 0, false },
	{ FUSE_FSYNC, IN(fsync), 0, false },
	{ FUSE_FLUSH, IN(flush), 0, false },
	{ FUSE_INIT, 16, 0, false }, /* before 7.36 it ends there */
	{ FUSE_OPENDIR, IN(open), 0, false },
	{ FUSE_READDIR, IN(read), 0, false },
	{ FUSE_RELEASEDIR, IN(release), 0, false },
	{ FUSE_FSYNCDIR, IN(fsync), 0, false },
	{ FUSE_CREATE, IN(create), 1, false },
	{ FUSE_INTERRUPT, IN(interrupt), 0, true },
	{ FUSE_DESTROY, 0, 0, false },
	{ FUSE_BATCH_FORGET, IN(batch_forget), 0, true },
	{ FUSE_FALLOCATE, IN(fallocate), 0, false },
	{ FUSE_READDIRPLUS, IN(read), 0, false },
	{ FUSE_RENAME2, IN(rename2), 2, false },
	{ FUSE_LSEEK, IN(lseek), 0, false },
	{ FUSE_COPY_FILE_RANGE, IN(copy_file_range), 0, false },
	{ FUSE_SETXATTR, IN(setxattr), 1, false },
	{ FUSE_GETXATTR, IN(getxattr), 1, false },
	{ FUSE_LISTXATTR, IN(getxattr), 0, false },
	{ FUSE_REMOVEXATTR, 0, 1, false },
	{ FUSE_IOCTL, IN(ioctl), 0, false },
	{ FUSE_SYNCFS, IN(syncfs), 0, false },
	{ FUSE_TMPFILE, IN(create), 1, false },
	{ WIRE_FUSE_STATX, 24, 0, false },
	{ WIRE_FUSE_COPY_FILE_RANGE_64, IN(copy_file_range), 0, false },
};

START_TEST(rows_are_the_protocol)
{
	const struct fuse_op *op = fuse_op(protocol[_i].opcode);

	ck_assert_ptr_nonnull(op);
	ck_assert_uint_eq(op->in_size, protocol[_i].in_size);
	ck_assert_uint_eq(op->names, protocol[_i].names);
	ck_assert_int_eq(!!(op->flags & OP_NO_REPLY), protocol[_i].no_reply);
}
END_TEST

START_TEST(no_row_contradicts_itself)
{
	for (uint32_t opcode = 0; opcode < 5000; opcode++) {
		const struct fuse_op *op = fuse_op(opcode);

		if (!op)
			continue;
		ck_assert(op->name && op->fn);
		ck_assert_uint_le(op->in_size, sizeof(union request_arg));
		ck_assert_uint_le(op->names, 2);
		/* One node, one open file at most; its number comes first. */
		ck_assert(!(op->flags & OP_NODE && op->flags & OP_PARENT));
		ck_assert(!(op->flags & OP_FILE && op->flags & OP_DIR));
		if (op->flags & (OP_FILE | OP_DIR))
			ck_assert_uint_ge(op->in_size, sizeof(uint64_t));
		/* After a worker's death each can be carried out again; what
		 * makes and takes away names only by an op that knows of it. The
		 * name that comes with a TMPFILE is none. */
		ck_assert(!(op->flags & OP_REDO) != !(op->flags & OP_AGAIN));
		if (op->flags & OP_WRITES && op->names && opcode != FUSE_TMPFILE)
			ck_assert(op->flags & OP_AGAIN);
		/* As the caller: where names are made, and only there. */
		if (op->cred == CRED_CALLER)
			ck_assert(op->flags & OP_WRITES && op->flags & OP_EXT);
	}
}
END_TEST

/* What a read-only share must refuse. */
START_TEST(rows_that_write)
{
	static const uint32_t writes[] = {
		FUSE_SETATTR, FUSE_SYMLINK, FUSE_MKNOD, FUSE_MKDIR, FUSE_UNLINK,
		FUSE_RMDIR, FUSE_RENAME, FUSE_LINK, FUSE_WRITE, FUSE_CREATE,
		FUSE_FALLOCATE, FUSE_RENAME2, FUSE_COPY_FILE_RANGE,
		FUSE_SETXATTR, FUSE_REMOVEXATTR, FUSE_TMPFILE,
		WIRE_FUSE_COPY_FILE_RANGE_64,
	};

	for (size_t i = 0; i < ARRAY_SIZE(writes); i++)
		ck_assert(fuse_op(writes[i])->flags & OP_WRITES);
}
END_TEST

START_TEST(rows_of_the_session)
{
	ck_assert(fuse_op(FUSE_INIT)->flags & OP_EXCLUSIVE);
	ck_assert(fuse_op(FUSE_DESTROY)->flags & OP_EXCLUSIVE);
	for (uint32_t opcode = 0; opcode < 5000; opcode++) {
		const struct fuse_op *op = fuse_op(opcode);

		if (op && op->flags & OP_NO_SESSION)
			ck_assert_uint_eq(opcode, FUSE_INIT);
	}
}
END_TEST

START_TEST(opcodes_beyond_the_table)
{
	static const uint32_t none[] = { 0, 7, 19, 1000, 4096, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		ck_assert_ptr_null(fuse_op(none[i]));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("optable");
	TCase *tc = unit_tcase(s, "rows", 10);

	tcase_add_loop_test(tc, rows_are_the_protocol, 0, ARRAY_SIZE(protocol));
	tcase_add_test(tc, no_row_contradicts_itself);
	tcase_add_test(tc, rows_that_write);
	tcase_add_test(tc, rows_of_the_session);
	tcase_add_test(tc, opcodes_beyond_the_table);
	return unit_run(s);
}
