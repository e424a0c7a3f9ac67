/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse/serve: every request gets the answer that is its own, or none. */
#include "fuse/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"
#include "fuse/optable.h"
#include "mix.h"

#define HEAD sizeof(struct fuse_out_header)

static struct client c;
static struct mix mix;

static void setup(void)
{
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
}

static void teardown(void)
{
	client_stop(&c);
}

static struct request rq;

static int serve_raw(const struct call *k, void *out, size_t room)
{
	static struct iovec in, reply; /* as long as the request */

	in = (struct iovec){ (void *)k->in, k->in_len };
	reply = (struct iovec){ out, room };
	request_bind(&rq, &in, 1, &reply, 1);
	return fuse_serve(&c.session, &rq);
}

/* An error reply has the header, the whole header and nothing else. */
START_TEST(error_reply)
{
	struct fuse_out_header h[2];
	struct call k;

	memset(h, 0x77, sizeof(h));
	call_begin(&k, FUSE_GETATTR, 999999);
	call_arg(&k, fuse_getattr_in);
	ck_assert_int_eq(serve_raw(&k, h, sizeof(h)), HEAD);
	ck_assert_uint_eq(h[0].len, HEAD);
	ck_assert_int_eq(h[0].error, -EBADF);
	ck_assert_uint_eq(h[0].unique, call_header(&k)->unique);
	ck_assert_uint_eq(h[1].len, 0x77777777);
}
END_TEST

START_TEST(unknown_op_is_enosys)
{
	static const uint32_t opcodes[] = { 0, 7, 19, 30, 63, 4096, UINT32_MAX };
	struct client_counts before = client_counts(&c);
	struct call k;

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		if (fuse_op(opcodes[i]))
			continue;
		call_begin(&k, opcodes[i], FUSE_ROOT_ID);
		ck_assert_int_eq(call_serve(&c, &k), -ENOSYS);
		ck_assert_int_eq(k.returned, HEAD);
	}
	client_check_counts(&c, &before);
}
END_TEST

/* Not even a header: there is room for an answer, so there is one. */
START_TEST(request_without_a_header)
{
	struct call k;

	call_begin(&k, FUSE_LOOKUP, FUSE_ROOT_ID);
	for (size_t len = 0; len < sizeof(struct fuse_in_header); len++) {
		k.in_len = len;
		ck_assert_int_eq(call_serve(&c, &k), -EINVAL);
		ck_assert_int_eq(k.returned, HEAD);
	}
}
END_TEST

START_TEST(no_pieces_at_all)
{
	ck_assert_int_eq(client_serve(&c, NULL, 0, NULL, 0), 0);
}
END_TEST

/* FORGET and the like are never answered, right or wrong, with room or not. */
START_TEST(ops_without_a_reply)
{
	static const uint32_t opcodes[] = { FUSE_FORGET, FUSE_BATCH_FORGET,
					    FUSE_INTERRUPT };
	struct call k;

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		for (size_t room = 0; room < 100; room += 33) {
			call_begin(&k, opcodes[i], 12345);
			call_arg_sized(&k, 16);
			k.room = room;
			call_serve(&c, &k);
			ck_assert_int_eq(k.returned, 0);
			/* Cut short. */
			call_begin(&k, opcodes[i], 12345);
			k.room = room;
			call_serve(&c, &k);
			ck_assert_int_eq(k.returned, 0);
		}
	}
}
END_TEST

static size_t batch_forget(uint32_t count, const uint64_t *ids, size_t n,
			   size_t cut)
{
	struct fuse_batch_forget_in in = { .count = count };
	struct call k;

	call_begin(&k, FUSE_BATCH_FORGET, 0);
	call_put(&k, &in, sizeof(in));
	for (size_t i = 0; i < n; i++) {
		struct fuse_forget_one one = { ids[i], 1 };

		call_put(&k, &one, sizeof(one));
	}
	k.in_len -= cut;
	call_header(&k)->len = (uint32_t)k.in_len;
	call_serve(&c, &k);
	ck_assert_int_eq(k.returned, 0);
	return node_table_count(&c.fs.nodes);
}

/* Its count is the guest's word; the list ends where it ends. */
START_TEST(batch_forget_counts_that_lie)
{
	uint64_t ids[4];
	uint64_t held = node_table_count(&c.fs.nodes);

	for (int round = 0; round < 6; round++) {
		for (int i = 0; i < 4; i++)
			ck_ok(client_lookup(&c, mix.dir,
					    (const char *[]){ "entry0", "entry1",
							      "entry2",
							      "entry3" }[i],
					    &ids[i]));
		ck_assert_uint_eq(node_table_count(&c.fs.nodes), held + 4);
		/* Fewer than there are. */
		ck_assert_uint_eq(batch_forget(0, ids, 4, 0), held + 4);
		ck_assert_uint_eq(batch_forget(1, ids, 4, 0), held + 3);
		/* More, and one that is cut off. */
		ck_assert_uint_eq(batch_forget(UINT32_MAX, ids, 3, 5), held + 2);
		ck_assert_uint_eq(batch_forget(1000000, ids, 4, 0), held);
		ck_assert_uint_eq(batch_forget(4, ids, 4, 0), held);
	}
	ids[0] = FUSE_ROOT_ID;
	ids[1] = 0;
	ids[2] = UINT64_MAX;
	ids[3] = FUSE_ROOT_ID;
	ck_assert_uint_eq(batch_forget(4, ids, 4, 0), held);
}
END_TEST

START_TEST(forget_more_than_there_is)
{
	uint64_t id;

	ck_ok(client_lookup(&c, mix.dir, "entry1", &id));
	client_forget(&c, id, UINT64_MAX);
	client_forget(&c, id, 1);
	client_forget(&c, FUSE_ROOT_ID, UINT64_MAX);
	ck_ok(client_lookup(&c, FUSE_ROOT_ID, ".", &id));
	ck_assert_uint_eq(id, FUSE_ROOT_ID);
}
END_TEST

/* The row's demands: nodes and handles that are none. */
START_TEST(ids_that_are_none)
{
	static const uint64_t bad[] = { 0, 2, 0xffffff, 1ULL << 24,
					1ULL << 63, UINT64_MAX };
	struct client_counts before = client_counts(&c);

	for (size_t i = 0; i < mix_n_ops; i++) {
		for (size_t b = 0; b < ARRAY_SIZE(bad); b++) {
			struct call k;
			uint32_t flags;
			int r;

			mix_ops[i].build(&mix, &k);
			flags = fuse_op(call_header(&k)->opcode)->flags;
			call_header(&k)->nodeid = bad[b];
			if (flags & (OP_FILE | OP_DIR))
				memcpy(k.in + sizeof(struct fuse_in_header),
				       &bad[b], sizeof(bad[b]));
			r = call_serve(&c, &k);
			ck_assert_int_eq(r, flags & OP_PARENT ? -ENOENT :
								-EBADF);
			client_check_counts(&c, &before);
		}
	}
}
END_TEST

/* Every op, in pieces of every size, both ways. */
START_TEST(any_pieces)
{
	for (size_t i = 0; i < mix_n_ops; i++) {
		for (size_t piece = 1; piece < 70; piece += 1 + piece / 5) {
			struct call k;
			int whole, r;

			mix_ops[i].build(&mix, &k);
			whole = call_serve(&c, &k);
			mix_ops[i].build(&mix, &k);
			k.room = 8192;
			k.in_piece = piece;
			k.out_piece = 71 - piece;
			r = call_serve(&c, &k);
			ck_assert_msg(r == whole, "%s in pieces of %zu: %d, not %d",
				      mix_ops[i].name, piece, r, whole);
		}
	}
}
END_TEST

/* What was cut short on the host was not cut short by the guest. */
START_TEST(nothing_is_answered_eintr)
{
	struct fuse_out_header h = { 0 };
	struct iovec iov = { &h, sizeof(h) };
	struct iobuf out;

	iobuf_init(&out, &iov, 1);
	ck_assert_int_eq(fuse_reply_parked(&out, 7, -EINTR), HEAD);
	ck_assert_int_eq(h.error, -EIO);
	iobuf_init(&out, &iov, 1);
	ck_assert_int_eq(fuse_reply_parked(&out, 7, -EAGAIN), HEAD);
	ck_assert_int_eq(h.error, -EAGAIN);
	ck_assert_uint_eq(h.unique, 7);
	ck_assert_uint_eq(h.len, HEAD);
	iov.iov_len = 15;
	iobuf_init(&out, &iov, 1);
	ck_assert_int_eq(fuse_reply_parked(&out, 7, 0), 0);
}
END_TEST

/* Header, decoded arguments and names: what fuse_serve() has read once is not
 * read again by what goes on with it. */
START_TEST(exclusive_request_is_decoded_once)
{
	struct fuse_init_in in = { .major = 7, .minor = 31 };
	char out[256];
	struct call k;

	call_begin(&k, FUSE_INIT, 0);
	call_put(&k, &in, sizeof(in));
	ck_assert_int_eq(serve_raw(&k, out, sizeof(out)), REQUEST_EXCLUSIVE);
	call_header(&k)->opcode = FUSE_MKDIR;
	call_header(&k)->unique = 1;
	ck_assert_int_eq(fuse_serve_exclusive(&c.session, &rq),
			 HEAD + sizeof(struct fuse_init_out));
	ck_assert(session_is_live(&c.session));
	ck_assert_uint_ne(((struct fuse_out_header *)out)->unique, 1);
}
END_TEST

/* Threads of their own, one session: each gets its own answer. */
static void serve_many(void *arg, unsigned int no)
{
	struct call k;

	for (unsigned int i = 0; i < unit_rounds(5000); i++) {
		struct fuse_attr attr;
		uint64_t id, fh;

		call_begin(&k, FUSE_GETATTR, i % 2 ? mix.file : 12345);
		call_arg(&k, fuse_getattr_in);
		must(call_serve(&c, &k) == (i % 2 ? 0 : -EBADF));
		must(client_lookup(&c, mix.dir, no % 2 ? "entry1" : "entry2",
				   &id) == 0);
		must(client_open(&c, id, O_RDONLY, &fh) == 0);
		must(client_getattr(&c, id, &attr) == 0);
		must(client_release(&c, fh) == 0);
		client_forget(&c, id, 1);
	}
}

START_TEST(threads_share_a_session)
{
	struct client_counts before = client_counts(&c);

	unit_threads(4, serve_many, NULL);
	client_check_counts(&c, &before);
}
END_TEST

/* The credentials of one request are not the next one's. */
START_TEST(caller_ids_do_not_stick)
{
	struct fuse_attr attr;
	struct call k;
	uint64_t id;

	if (geteuid() != 0)
		return;
	for (int i = 0; i < 3; i++) {
		static const char *const names[] = { "by1000", "by0", "by2000" };
		static const uint32_t uids[] = { 1000, 0, 2000 };

		(void)client_name(&c, FUSE_RMDIR, FUSE_ROOT_ID, names[i]);
		call_begin(&k, FUSE_MKDIR, FUSE_ROOT_ID);
		call_arg(&k, fuse_mkdir_in)->mode = 0755;
		call_name(&k, names[i]);
		call_header(&k)->uid = uids[i];
		call_header(&k)->gid = uids[i];
		ck_ok(call_serve(&c, &k));
		ck_assert_uint_eq(geteuid(), 0);
		ck_ok(client_lookup(&c, FUSE_ROOT_ID, names[i], &id));
		ck_ok(client_getattr(&c, id, &attr));
		ck_assert_uint_eq(attr.uid, uids[i]);
		ck_assert_uint_eq(attr.gid, uids[i]);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("serve");
	TCase *tc = unit_tcase(s, "requests", 30);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, error_reply);
	tcase_add_test(tc, unknown_op_is_enosys);
	tcase_add_test(tc, request_without_a_header);
	tcase_add_test(tc, no_pieces_at_all);
	tcase_add_test(tc, ops_without_a_reply);
	tcase_add_test(tc, batch_forget_counts_that_lie);
	tcase_add_test(tc, forget_more_than_there_is);
	tcase_add_test(tc, ids_that_are_none);
	tcase_add_test(tc, any_pieces);
	tcase_add_test(tc, nothing_is_answered_eintr);
	tcase_add_test(tc, exclusive_request_is_decoded_once);
	tcase_add_test(tc, threads_share_a_session);
	tcase_add_test(tc, caller_ids_do_not_stick);
	return unit_run(s);
}
