/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse/session: what INIT agrees on, and that a new one ends all of the old. */
#include "fuse/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/log.h"
#include "client.h"

static struct client c;

static void setup(void)
{
	client_start_bare(&c, CACHE_AUTO);
}

static void teardown(void)
{
	client_stop(&c);
}

/* INIT with @len bytes of its structure. */
static int init(const struct fuse_init_in *in, size_t len,
		struct fuse_init_out *ret)
{
	struct call k;
	int r;

	call_begin(&k, FUSE_INIT, 0);
	call_put(&k, in, len);
	r = call_serve(&c, &k);
	memset(ret, 0xee, sizeof(*ret));
	if (r == 0) {
		ck_assert_uint_eq(k.body_len, sizeof(*ret));
		memcpy(ret, call_body(&k), sizeof(*ret));
	}
	return r;
}

static struct fuse_init_in offer(uint64_t flags)
{
	return (struct fuse_init_in){ .major = 7, .minor = 38,
				      .max_readahead = 131072,
				      .flags = (uint32_t)flags,
				      .flags2 = (uint32_t)(flags >> 32) };
}

START_TEST(nothing_before_init)
{
	uint64_t id;

	ck_assert_int_eq(client_lookup(&c, FUSE_ROOT_ID, "x", &id), -EIO);
	ck_assert_int_eq(client_name(&c, FUSE_UNLINK, FUSE_ROOT_ID, "x"), -EIO);
	client_forget(&c, 5, 1);
	ck_assert(!session_is_live(&c.session));
}
END_TEST

START_TEST(only_what_was_offered_is_answered)
{
	struct fuse_init_in in;
	struct fuse_init_out out;
	uint64_t answered;

	for (int bit = 0; bit < 64; bit++) {
		uint64_t flag = 1ULL << bit;

		in = offer(flag | FUSE_INIT_EXT);
		ck_ok(init(&in, sizeof(in), &out));
		answered = (uint64_t)out.flags2 << 32 | out.flags;
		ck_assert_uint_eq(answered & ~(flag | FUSE_INIT_EXT), 0);
		/* The second word counts only with INIT_EXT. */
		if (bit >= 32) {
			in.flags &= ~(uint32_t)FUSE_INIT_EXT;
			ck_ok(init(&in, sizeof(in), &out));
			ck_assert_uint_eq(out.flags | out.flags2, 0);
		}
	}
}
END_TEST

/* Bits that would promise something that is not there. */
START_TEST(nothing_is_answered_that_is_not_there)
{
	struct fuse_init_in in = offer(UINT64_MAX);
	struct fuse_init_out out;
	const uint64_t none = FUSE_POSIX_ACL | FUSE_SECURITY_CTX |
			      FUSE_ALLOW_IDMAP | FUSE_POSIX_LOCKS |
			      FUSE_FLOCK_LOCKS | FUSE_WRITEBACK_CACHE |
			      FUSE_HAS_INODE_DAX | FUSE_SETXATTR_EXT |
			      FUSE_HANDLE_KILLPRIV_V2;

	ck_ok(init(&in, sizeof(in), &out));
	ck_assert_uint_eq(((uint64_t)out.flags2 << 32 | out.flags) & none, 0);
	ck_assert_uint_ne(out.flags & FUSE_MAX_PAGES, 0);
	ck_assert_uint_ne(out.flags & FUSE_DO_READDIRPLUS, 0);
}
END_TEST

START_TEST(sizes_follow_the_queue)
{
	struct fuse_init_in in = offer(FUSE_MAX_PAGES);
	struct fuse_init_out out;

	/* The client's queue has 1024 descriptors. */
	ck_ok(init(&in, sizeof(in), &out));
	ck_assert_uint_eq(out.max_pages, 1020);
	ck_assert_uint_eq(out.max_write, 1020 * 4096);
	ck_assert_uint_eq(out.time_gran, 1);
	ck_assert_uint_eq(out.max_readahead, 131072);
	/* A guest that does not know the field goes by its own 32 pages. */
	in = offer(0);
	ck_ok(init(&in, sizeof(in), &out));
	ck_assert_uint_eq(out.max_pages, 0);
	ck_assert_uint_eq(out.max_write, 32 * 4096);
}
END_TEST

/* Each length that a guest may send; what it does not send reads 0. */
START_TEST(init_of_each_length)
{
	struct fuse_init_in in = offer(FUSE_INIT_EXT | FUSE_CREATE_SUPP_GROUP |
				       FUSE_ASYNC_READ);
	struct fuse_init_out out;

	for (size_t len = 0; len <= sizeof(in); len++) {
		int r = init(&in, len, &out);

		if (len < 16) {
			ck_assert_int_eq(r, -EINVAL);
			continue;
		}
		ck_ok(r);
		ck_assert_uint_ne(out.flags & FUSE_ASYNC_READ, 0);
		/* Bit 34 lies in the first byte of the second word. */
		ck_assert_int_eq(out.flags2 != 0, len > 16);
	}
}
END_TEST

START_TEST(versions)
{
	struct fuse_init_in in = offer(0);
	struct fuse_init_out out;
	struct capture log;

	for (uint32_t minor = 27; minor < 60; minor++) {
		in.minor = minor;
		ck_ok(init(&in, sizeof(in), &out));
		ck_assert_uint_eq(out.major, 7);
		ck_assert_uint_ge(out.minor, 38);
		ck_assert_uint_eq(c.record.minor, minor);
	}
	capture_begin(&log);
	in.minor = 26;
	ck_assert_int_eq(init(&in, sizeof(in), &out), -EPROTO);
	ck_assert(!session_is_live(&c.session));
	in.major = 6;
	in.minor = 99;
	ck_assert_int_eq(init(&in, sizeof(in), &out), -EPROTO);
	ck_assert_uint_eq(capture_end(&log), 2);
	/* A later major version is told ours, and asks again. */
	in.major = 8;
	ck_ok(init(&in, sizeof(in), &out));
	ck_assert_uint_eq(out.major, 7);
	ck_assert(!session_is_live(&c.session));
	in = offer(0);
	ck_ok(init(&in, sizeof(in), &out));
	ck_assert(session_is_live(&c.session));
}
END_TEST

static void hold_things(uint64_t *ret_node, uint64_t *ret_fh, uint64_t *ret_dir)
{
	unit_write_file("held", "x", 1);
	ck_ok(client_lookup(&c, FUSE_ROOT_ID, "held", ret_node));
	ck_ok(client_open(&c, *ret_node, O_RDWR, ret_fh));
	ck_ok(client_opendir(&c, FUSE_ROOT_ID, ret_dir));
}

static int destroy(void)
{
	struct call k;
	int r;

	call_begin(&k, FUSE_DESTROY, 0);
	r = call_serve(&c, &k);
	/* It is answered, with a header. */
	ck_assert_int_eq(k.returned, sizeof(struct fuse_out_header));
	return r;
}

/* A guest's reset (INIT on a live session) and DESTROY: everything goes. */
START_TEST(end_of_a_session_drops_all)
{
	struct fuse_attr attr;
	uint64_t node, fh, dir;
	long fds;

	ck_ok(client_init(&c));
	fds = fd_count();
	for (int round = 0; round < 20; round++) {
		hold_things(&node, &fh, &dir);
		ck_assert_int_eq(fd_count(), fds + 3);
		if (round % 2) {
			ck_ok(destroy());
			ck_assert(!session_is_live(&c.session));
			ck_assert_int_eq(client_getattr(&c, node, &attr), -EIO);
		}
		if (round % 2 == 0 || round % 4 == 1)
			ck_ok(client_init(&c));
		ck_assert_int_eq(fd_count(), fds);
		ck_assert_uint_eq(node_table_count(&c.fs.nodes), 1);
		ck_assert_uint_eq(handle_table_count(&c.fs.handles), 0);
		if (!session_is_live(&c.session))
			ck_ok(client_init(&c));
		ck_assert_int_eq(client_getattr(&c, node, &attr), -EBADF);
		ck_assert_int_eq(client_release(&c, fh), -EBADF);
		ck_assert_int_eq(client_releasedir(&c, dir), -EBADF);
		ck_ok(client_getattr(&c, FUSE_ROOT_ID, &attr));
	}
}
END_TEST

/* What a guest holds is dropped by an INIT that fails, too: it is a reset. */
START_TEST(failed_init_ends_the_session)
{
	struct fuse_init_in in = { .major = 7, .minor = 1 };
	struct fuse_init_out out;
	struct capture log;
	uint64_t node, fh, dir;

	ck_ok(client_init(&c));
	hold_things(&node, &fh, &dir);
	capture_begin(&log);
	ck_assert_int_eq(init(&in, sizeof(in), &out), -EPROTO);
	capture_end(&log);
	ck_assert(!session_is_live(&c.session));
	ck_assert_uint_eq(handle_table_count(&c.fs.handles), 0);
	ck_assert_uint_eq(node_table_count(&c.fs.nodes), 1);
}
END_TEST

START_TEST(destroy_twice)
{
	ck_ok(client_init(&c));
	ck_ok(destroy());
	ck_assert_int_eq(destroy(), -EIO);
	session_end(&c.session);
}
END_TEST

/* Readdirplus is a matter of the cache mode, unless the user has said. */
START_TEST(readdirplus_by_mode)
{
	static const struct {
		enum cache_mode mode;
		enum choice choice;
		bool plus;
	} want[] = {
		{ CACHE_NEVER, CHOICE_AUTO, false },
		{ CACHE_METADATA, CHOICE_AUTO, true },
		{ CACHE_AUTO, CHOICE_AUTO, true },
		{ CACHE_ALWAYS, CHOICE_AUTO, true },
		{ CACHE_NEVER, CHOICE_YES, true },
		{ CACHE_ALWAYS, CHOICE_NO, false },
	};
	struct fuse_init_in in = offer(FUSE_DO_READDIRPLUS |
				       FUSE_READDIRPLUS_AUTO);
	struct config cfg = { .cache = want[_i].mode, .entry_timeout = -1,
			      .attr_timeout = -1,
			      .negative_timeout = -1,
			      .readdirplus = want[_i].choice };
	struct fuse_init_out out;
	int root;

	fs_destroy(&c.fs);
	root = share_open(unit_dir);
	ck_ok(fs_init(&c.fs, &c.arena, &cfg, &root));
	ck_ok(init(&in, sizeof(in), &out));
	ck_assert_int_eq(out.flags != 0, want[_i].plus);
}
END_TEST

static void ck_validity(const struct validity *got, const struct validity *want)
{
	ck_assert_uint_eq(got->sec, want->sec);
	ck_assert_uint_eq(got->nsec, want->nsec);
}

START_TEST(times_by_mode)
{
	static const struct {
		enum cache_mode mode;
		double entry, attr, negative; /* options */
		struct validity want_entry, want_attr, want_negative;
	} want[] = {
		{ CACHE_NEVER, -1, -1, -1, { 0, 0 }, { 0, 0 }, { 0, 0 } },
		{ CACHE_AUTO, -1, -1, -1, { 1, 0 }, { 1, 0 }, { 0, 0 } },
		{ CACHE_METADATA, -1, -1, -1,
		  { 86400, 0 }, { 86400, 0 }, { 86400, 0 } },
		{ CACHE_ALWAYS, -1, -1, -1,
		  { 86400, 0 }, { 86400, 0 }, { 86400, 0 } },
		{ CACHE_NEVER, 2.5, -1, -1,
		  { 2, 500000000 }, { 0, 0 }, { 0, 0 } },
		{ CACHE_AUTO, -1, 0.25, 3, { 1, 0 }, { 0, 250000000 }, { 3, 0 } },
		{ CACHE_ALWAYS, -1, 0, 0, { 86400, 0 }, { 0, 0 }, { 0, 0 } },
	};
	struct config cfg = { .cache = want[_i].mode,
			      .entry_timeout = want[_i].entry,
			      .attr_timeout = want[_i].attr,
			      .negative_timeout = want[_i].negative };
	const struct cache_policy *p = &c.fs.cache;
	int root;

	fs_destroy(&c.fs);
	root = share_open(unit_dir);
	ck_ok(fs_init(&c.fs, &c.arena, &cfg, &root));
	ck_validity(&p->entry, &want[_i].want_entry);
	ck_validity(&p->attr, &want[_i].want_attr);
	ck_validity(&p->negative, &want[_i].want_negative);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("session");
	TCase *tc = unit_tcase(s, "session", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, nothing_before_init);
	tcase_add_test(tc, only_what_was_offered_is_answered);
	tcase_add_test(tc, nothing_is_answered_that_is_not_there);
	tcase_add_test(tc, sizes_follow_the_queue);
	tcase_add_test(tc, init_of_each_length);
	tcase_add_test(tc, versions);
	tcase_add_test(tc, end_of_a_session_drops_all);
	tcase_add_test(tc, failed_init_ends_the_session);
	tcase_add_test(tc, destroy_twice);
	tcase_add_loop_test(tc, readdirplus_by_mode, 0, 6);
	tcase_add_loop_test(tc, times_by_mode, 0, 7);
	return unit_run(s);
}
