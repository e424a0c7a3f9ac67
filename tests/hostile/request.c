/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests that no guest's kernel sends: bodies of every length, room for a part of the reply,
 * garbage, counts that lie, names without an end, numbers of other things. Each is answered by
 * an errno; see raw.c for what must hold of any reply.
 */
#include <fcntl.h>

#include "hostile.h"

static struct {
	uint64_t dir, file, forgotten;
	uint64_t fh, dir_fh, closed_fh;
} have;

/* Again after each opcode: the requests before may have taken anything away. */
static void set_up(void)
{
	struct fuse_open_out o;
	struct fuse_entry_out e;

	func_init_session();
	hostile_open_up();
	host_text("file", "0123456789");
	(void)mkdir(host_path("dir"), 0755);
	host_text("gone", "");
	have.file = func_node("file");
	have.dir = func_node("dir");
	have.fh = func_open(have.file, O_RDWR);
	have.closed_fh = func_open(have.file, O_RDWR);
	ok(guest_release(&fx.g, have.file, have.closed_fh));
	ok(guest_opendir(&fx.g, have.dir, &o));
	have.dir_fh = o.fh;
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "gone", &e));
	have.forgotten = e.nodeid;
	ok(guest_forget(&fx.g, e.nodeid, 1));
}

static uint64_t node_for(const struct hostile_op *op)
{
	return op->flags & OP_FILE || op->opcode == FUSE_OPEN ? have.file : have.dir;
}

static uint64_t fh_for(const struct hostile_op *op)
{
	return op->flags & OP_DIR ? have.dir_fh : have.fh;
}

enum fill { ZEROES, ONES, GARBAGE, WITH_FH, FILLS };

static void fill(const struct hostile_op *op, enum fill how, size_t len)
{
	uint64_t fh = fh_for(op);
	uint8_t *body = hostile_body();

	if (how == ZEROES || how == ONES)
		memset(body, how == ONES ? 0xff : 0, len);
	else
		random_bytes(body, len);
	if (how == WITH_FH && len >= sizeof(fh))
		memcpy(body, &fh, sizeof(fh));
}

static void still_served(const struct hostile_op *op)
{
	if (op->flags & OP_ALONE)
		func_init_session();
	hostile_served();
}

START_TEST(every_opcode_with_every_length_of_body_is_answered)
{
	static const char *const args[] = { "--xattr", NULL };

	hostile_start(args, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];

		set_up();
		for (size_t len = 0; len <= op->size + 40u; len++)
			for (unsigned int f = 0; f < (func_sanitized() ? 1 : FILLS); f++) {
				int r;

				fill(op, func_sanitized() ? len % FILLS : f, len);
				hostile_header(op->opcode, node_for(op), len);
				r = hostile_send(sizeof(struct fuse_in_header) + len, 4096, NULL);
				if (len < op->size && !(op->flags & (OP_SILENT | OP_ALONE)) &&
				    op->opcode != FUSE_SETXATTR && r != -ENOSYS)
					ck_assert_msg(r == -EINVAL, "%s of %zu bytes: %d",
						      op->name, len, r);
			}
		still_served(op);
	}
	hostile_end();
}
END_TEST

/* The header says one thing and the chain another. */
START_TEST(every_opcode_with_a_length_that_lies_is_answered)
{
	static const uint32_t odd[] = { 0, 1, 39, 40, 41, 0x7fffffff, 0x80000000, 0xffffffff };
	const size_t head = sizeof(struct fuse_in_header);

	hostile_start(NULL, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];
		size_t body = op->size + 16u * op->names;

		set_up();
		for (size_t n = 0; n < sizeof(odd) / sizeof(odd[0]); n++) {
			int r;

			fill(op, WITH_FH, body);
			hostile_header(op->opcode, node_for(op), body)->len = odd[n];
			r = hostile_send(head + body, 4096, NULL);
			if ((odd[n] < head || odd[n] > 41) && !(op->flags & OP_SILENT))
				ck_assert_msg(r == -EINVAL, "%s of %u bytes: %d", op->name, odd[n],
					      r);
		}
		for (size_t cut = 1; cut < head; cut++) {
			hostile_header(op->opcode, node_for(op), body);
			ck_assert_int_eq(hostile_send(cut, 4096, NULL), -EINVAL);
		}
	}
	hostile_served();
	hostile_end();
}
END_TEST

/* A good request of each kind, and room for less than its reply. */
static size_t good_request(const struct hostile_op *op)
{
	size_t len = op->size;
	uint8_t *body = hostile_body();
	uint64_t fh = fh_for(op);

	memset(body, 0, HOSTILE_IN_MAX - sizeof(struct fuse_in_header));
	if (op->flags & (OP_FILE | OP_DIR))
		memcpy(body, &fh, sizeof(fh));
	if (op->opcode == FUSE_INIT)
		*(struct fuse_init_in *)body = (struct fuse_init_in){ .major = 7, .minor = 38 };
	else if (op->opcode == FUSE_READ || op->opcode == FUSE_READDIR ||
		 op->opcode == FUSE_READDIRPLUS)
		((struct fuse_read_in *)body)->size = 4096;
	else if (op->opcode == FUSE_CREATE || op->opcode == FUSE_TMPFILE)
		*(struct fuse_create_in *)body = (struct fuse_create_in){ .flags = O_RDWR,
									  .mode = S_IFREG | 0600 };
	else if (op->opcode == FUSE_LINK)
		((struct fuse_link_in *)body)->oldnodeid = have.file;
	else if (op->opcode == FUSE_OPEN)
		((struct fuse_open_in *)body)->flags = O_RDWR;
	for (int i = 0; i < op->names; i++)
		len += sprintf((char *)body + len, "n%u-%d", random_below(1u << 30), i) + 1;
	hostile_header(op->opcode, node_for(op), len);
	return sizeof(struct fuse_in_header) + len;
}

START_TEST(every_opcode_with_little_room_is_answered_and_leaks_nothing)
{
	static const char *const args[] = { "--cache=auto", NULL };

	hostile_start(args, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];
		size_t most = 16 + (op->reply < 300 ? op->reply : 300u);
		int fds;

		set_up();
		fds = daemon_fds(&fx.d);
		for (size_t room = 0; room < most; room++) {
			int r = hostile_send(good_request(op), room, NULL);

			/* What went well after all is not for this test. */
			if (room >= 16 && (op->flags & OP_ALONE || r == 0 || r == -EBADF))
				break;
		}
		if (!(op->flags & OP_ALONE))
			ck_assert_msg(daemon_fds_settle(&fx.d, fds + 1, wait_scaled(1000)) <= fds + 1,
				      "%s leaks descriptors", op->name);
	}
	hostile_served();
	hostile_end();
}
END_TEST

START_TEST(garbage_bodies_are_answered)
{
	static const char *const args[] = { "--xattr", "--cache=auto", NULL };

	hostile_start(args, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];

		set_up();
		for (int n = 0; n < (func_sanitized() ? 60 : 300); n++) {
			size_t len = op->size + random_below(random_one_in(8) ? 8192 : 64);
			uint64_t node = random_one_in(4) ? random_odd() : node_for(op);
			struct fuse_in_header *h;

			fill(op, random_one_in(3) ? GARBAGE : WITH_FH, len);
			h = hostile_header(op->opcode, node, len);
			if (random_one_in(4))
				h->total_extlen = random_odd();
			if (random_one_in(4))
				h->uid = h->gid = random_odd();
			(void)hostile_send(sizeof(*h) + len, random_below(8192), NULL);
		}
		still_served(op);
	}
	hostile_end();
}
END_TEST

/* --- numbers of nothing, and of other things --- */

START_TEST(wrong_nodes_are_ebadf)
{
	hostile_start(NULL, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];

		if (!(op->flags & OP_NODE))
			continue;
		set_up();

		const uint64_t wrong[] = { 0, 2, have.forgotten, have.fh, have.dir_fh,
					   have.file ^ (1ull << 40), have.file + 1, 1ull << 32,
					   INT64_MAX, UINT64_MAX, random_u64() };

		for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
			size_t len = good_request(op);
			int r;

			((struct fuse_in_header *)hx.in.host)->nodeid = wrong[n];
			r = hostile_send(len, 8192, NULL);
			ck_assert_msg(r == (op->opcode == FUSE_LOOKUP ? -ENOENT : -EBADF),
				      "%s of node %#llx: %d", op->name,
				      (unsigned long long)wrong[n], r);
		}
	}
	hostile_end();
}
END_TEST

START_TEST(wrong_handles_are_ebadf)
{
	hostile_start(NULL, NULL);
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];

		if (!(op->flags & (OP_FILE | OP_DIR)))
			continue;
		set_up();

		const uint64_t wrong[] = { 0, 1, have.closed_fh, have.file, have.dir,
					   op->flags & OP_FILE ? have.dir_fh : have.fh,
					   have.fh ^ (1ull << 40), have.fh + 64, 1ull << 32,
					   INT64_MAX, UINT64_MAX - 1, random_u64() };

		for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
			size_t len = good_request(op);
			int r;

			memcpy(hostile_body(), &wrong[n], 8);
			r = hostile_send(len, 8192, NULL);
			ck_assert_msg(r == -EBADF, "%s of handle %#llx: %d", op->name,
				      (unsigned long long)wrong[n], r);
		}
	}
	hostile_end();
}
END_TEST

/* The second one that a request names. */
START_TEST(wrong_second_ids_are_ebadf)
{
	hostile_start(NULL, NULL);
	set_up();

	const uint64_t wrong[] = { 0, have.forgotten, have.fh, UINT64_MAX, random_u64() };

	for (size_t n = 0; n < sizeof(wrong) / sizeof(wrong[0]); n++) {
		struct fuse_entry_out e;

		fails(guest_rename(&fx.g, FUSE_ROOT_ID, "file", wrong[n], "x"), EBADF);
		fails(guest_rename2(&fx.g, FUSE_ROOT_ID, "file", wrong[n], "x", 1), EBADF);
		fails(guest_link(&fx.g, wrong[n], FUSE_ROOT_ID, "x", &e), EBADF);
		if (wrong[n] == have.fh)
			continue;
		fails(guest_copy_file_range(&fx.g, have.file, have.fh, 0, have.file, wrong[n], 0,
					    1, 0), EBADF);
	}
	fails(guest_copy_file_range(&fx.g, have.file, have.fh, 0, have.dir, have.dir_fh, 0, 1, 0),
	      EBADF);
	ck_assert(!host_exists("x"));
	hostile_end();
}
END_TEST

/* Without INIT there is no session, whatever is asked for; DESTROY twice, INIT twice. */
START_TEST(nothing_but_init_is_served_outside_a_session)
{
	struct fuse_init_out init;

	hostile_start(NULL, NULL);
	for (int again = 0; again < 2; again++) {
		set_up();
		ok(guest_destroy(&fx.g));
		fails(guest_destroy(&fx.g), EIO);
		for (unsigned int i = 0; i < hostile_nops; i++) {
			const struct hostile_op *op = &hostile_ops[i];
			int r;

			if (op->flags & OP_ALONE)
				continue;
			r = hostile_send(good_request(op), 8192, NULL);
			ck_assert_msg(op->flags & OP_SILENT || r == -EIO || r == -ENOSYS,
				      "%s outside a session: %d", op->name, r);
		}
		ok(guest_init(&fx.g, GUEST_MINOR, GUEST_INIT_FLAGS, &init));
		ok(guest_init(&fx.g, GUEST_MINOR, GUEST_INIT_FLAGS, &init));
	}
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("request", argc, argv);
	func_test_long(every_opcode_with_every_length_of_body_is_answered, 60);
	func_test(every_opcode_with_a_length_that_lies_is_answered);
	func_test(every_opcode_with_little_room_is_answered_and_leaks_nothing);
	func_test_long(garbage_bodies_are_answered, 60);
	func_test(wrong_nodes_are_ebadf);
	func_test(wrong_handles_are_ebadf);
	func_test(wrong_second_ids_are_ebadf);
	func_test(nothing_but_init_is_served_outside_a_session);
	return func_done();
}
