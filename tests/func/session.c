/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The FUSE session: INIT in all its versions, what comes before and after it, DESTROY, INIT
 * again (row 21), and requests whose form is wrong (rows 6, 10).
 */
#include <fcntl.h>

#include "func.h"

static void start_without_init(void)
{
	func_start_daemon(NULL);
	func_connect(NULL);
}

static uint64_t flags_of(const struct fuse_init_out *o)
{
	return o->flags | (o->flags & FUSE_INIT_EXT ? (uint64_t)o->flags2 << 32 : 0);
}

/* --- INIT --- */

START_TEST(init_is_answered_for_every_version_from_7_27_on)
{
	struct fuse_init_out out;

	start_without_init();
	for (uint32_t minor = 27; minor <= 50; minor++) {
		ok(guest_init(&fx.g, minor, GUEST_INIT_FLAGS, &out));
		ck_assert_uint_eq(out.major, 7);
		ck_assert_uint_ge(out.minor, 27);
		ck_assert_uint_ge(out.max_write, 4096);
		func_attr(FUSE_ROOT_ID);
	}
	func_end();
}
END_TEST

START_TEST(init_of_a_newer_major_is_answered_with_7_and_starts_nothing)
{
	struct fuse_init_in in = { .major = 8, .minor = 1 };
	struct fuse_init_out out;
	struct fuse_attr_out a;

	start_without_init();
	ok(guest_init_raw(&fx.g, &in, sizeof(in), &out));
	ck_assert_uint_eq(out.major, 7);
	fails(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a), EIO);
	func_init_session();
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(init_of_an_older_major_is_an_error)
{
	struct fuse_init_in in = { .major = 6, .minor = 1 };

	start_without_init();
	fails(guest_init_raw(&fx.g, &in, sizeof(in), NULL), EPROTO);
	func_init_session();
	func_end();
}
END_TEST

START_TEST(init_with_a_short_body_is_invalid)
{
	struct fuse_init_in in = { .major = 7, .minor = 38 };

	start_without_init();
	fails(guest_init_raw(&fx.g, &in, 4, NULL), EINVAL);
	fails(guest_init_raw(&fx.g, &in, 0, NULL), EINVAL);
	func_init_session();
	func_end();
}
END_TEST

START_TEST(flags_are_answered_only_if_offered)
{
	struct fuse_init_out out;

	start_without_init();
	ok(guest_init(&fx.g, 38, 0, &out));
	ck_assert_msg(out.flags == 0 && out.flags2 == 0, "%#x %#x", out.flags, out.flags2);
	for (int bit = 0; bit < 64; bit++) {
		uint64_t offer = (1ull << bit) | (bit >= 32 ? FUSE_INIT_EXT : 0);

		ok(guest_init(&fx.g, 38, offer, &out));
		ck_assert_msg(!(out.flags & ~(uint32_t)offer) &&
				      !(out.flags2 & ~(uint32_t)(offer >> 32)),
			      "offered %#llx, answered %#x %#x", (unsigned long long)offer,
			      out.flags, out.flags2);
	}
	func_end();
}
END_TEST

START_TEST(flags2_counts_only_with_init_ext)
{
	struct fuse_init_in in = { .major = 7, .minor = 38, .flags2 = ~0u };
	struct fuse_init_out out;

	start_without_init();
	in.flags = (uint32_t)(GUEST_INIT_FLAGS & ~FUSE_INIT_EXT);
	ok(guest_init_raw(&fx.g, &in, sizeof(in), &out));
	ck_assert_uint_eq(out.flags2, 0);
	ck_assert(!(out.flags & FUSE_INIT_EXT));
	in.flags |= FUSE_INIT_EXT;
	ok(guest_init_raw(&fx.g, &in, sizeof(in), &out));
	ck_assert(out.flags & FUSE_INIT_EXT);
	ck_assert(flags_of(&out) & FUSE_CREATE_SUPP_GROUP);
	func_end();
}
END_TEST

START_TEST(what_is_always_useful_is_agreed_on)
{
	static const uint64_t always =
		FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS | FUSE_AUTO_INVAL_DATA | FUSE_ASYNC_DIO |
		FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_MAX_PAGES | FUSE_EXPORT_SUPPORT |
		FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_INIT_EXT |
		FUSE_CREATE_SUPP_GROUP | FUSE_CACHE_SYMLINKS | FUSE_HAS_IOCTL_DIR |
		FUSE_SUBMOUNTS;

	func_start_with((const char *[]){ "--cache=auto", NULL }, NULL);

	uint64_t missing = always & ~flags_of(&fx.init);

	ck_assert_msg(!missing, "missing: %#llx", (unsigned long long)missing);
	func_end();
}
END_TEST

START_TEST(what_needs_an_option_is_not_agreed_on_without)
{
	static const uint64_t by_option =
		FUSE_WRITEBACK_CACHE | FUSE_HANDLE_KILLPRIV_V2 | FUSE_POSIX_ACL | FUSE_DONT_MASK |
		FUSE_SETXATTR_EXT | FUSE_SECURITY_CTX | FUSE_POSIX_LOCKS | FUSE_FLOCK_LOCKS;

	func_start();

	uint64_t extra = flags_of(&fx.init) & by_option;

	ck_assert_msg(!extra, "agreed: %#llx", (unsigned long long)extra);
	func_end();
}
END_TEST

START_TEST(cache_never_offers_no_readdirplus)
{
	func_start();
	ck_assert(!(fx.init.flags & (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)));
	func_end();
}
END_TEST

START_TEST(a_request_may_be_1_mib_and_fit_in_1024_iovecs)
{
	func_start();
	ck_assert_uint_eq(fx.init.time_gran, 1);
	ck_assert_uint_ge(fx.init.max_write, 1 << 20);
	ck_assert_uint_ge(fx.init.max_pages, 256);
	ck_assert_uint_le(fx.init.max_pages, 1020);
	ck_assert_uint_le(fx.init.max_write, fx.init.max_pages * 4096u);
	func_end();
}
END_TEST

START_TEST(short_queue_limits_the_pages_of_a_request)
{
	func_start_with(NULL, &(struct vmm_opts){ .queue_size = 64 });
	ck_assert_uint_le(fx.init.max_pages, 60);
	ck_assert_uint_ge(fx.init.max_pages, 32);
	ck_assert_uint_le(fx.init.max_write, fx.init.max_pages * 4096u);
	func_end();
}
END_TEST

START_TEST(reply_to_init_has_no_stray_bytes)
{
	func_start();
	for (size_t i = 0; i < sizeof(fx.init.unused) / sizeof(fx.init.unused[0]); i++)
		ck_assert_uint_eq(fx.init.unused[i], 0);
	func_end();
}
END_TEST

/* --- outside a session --- */

START_TEST(any_request_before_init_is_eio)
{
	struct fuse_attr_out a;
	struct fuse_entry_out e;
	struct fuse_open_out o;
	struct fuse_statfs_out s;
	char buf[64];

	start_without_init();
	fails(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a), EIO);
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "x", &e), EIO);
	fails(guest_statfs(&fx.g, FUSE_ROOT_ID, &s), EIO);
	fails(guest_opendir(&fx.g, FUSE_ROOT_ID, &o), EIO);
	fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "x", 0755, 0, &e), EIO);
	fails(guest_read(&fx.g, FUSE_ROOT_ID, 0, buf, 64, 0), EIO);
	ck_assert(!host_exists("x"));
	func_end();
}
END_TEST

START_TEST(forget_before_init_comes_back)
{
	start_without_init();
	ok(guest_forget(&fx.g, 7, 1));
	ok(guest_forget(&fx.g, FUSE_ROOT_ID, 1));
	func_init_session();
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(destroy_is_answered_and_ends_the_session)
{
	struct fuse_attr_out a;

	func_start();
	ok(guest_destroy(&fx.g));
	fails(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a), EIO);
	func_init_session();
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(destroy_before_init_is_answered)
{
	start_without_init();

	int r = guest_destroy(&fx.g);

	ck_assert_msg(r == 0 || r == -EIO, "%s", strerror(-r));
	func_init_session();
	func_end();
}
END_TEST

/* Open files, directories and nodes of every kind; what they are is in *nodes and *fhs. */
static void fill_session(uint64_t nodes[32], uint64_t fhs[32])
{
	for (int i = 0; i < 32; i++) {
		struct fuse_entry_out e;
		struct fuse_open_out o;
		char name[16];

		snprintf(name, sizeof(name), "%c%d", i % 2 ? 'd' : 'f', i);
		if (i % 2) {
			if (!host_exists(name))
				host(mkdir(host_path(name), 0755));
			nodes[i] = func_node(name);
			ok(guest_opendir(&fx.g, nodes[i], &o));
		} else {
			ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
			nodes[i] = e.nodeid;
		}
		fhs[i] = o.fh;
	}
}

static void expect_all_gone(const uint64_t nodes[32], const uint64_t fhs[32])
{
	struct fuse_attr_out a;
	char buf[64];

	for (int i = 0; i < 32; i++) {
		fails(guest_getattr(&fx.g, nodes[i], GUEST_NO_FH, &a), EBADF);
		if (i % 2)
			fails(guest_readdir(&fx.g, nodes[i], fhs[i], 0, buf, 64), EBADF);
		else
			fails(guest_read(&fx.g, nodes[i], fhs[i], buf, 64, 0), EBADF);
	}
}

START_TEST(init_on_a_live_session_drops_all_nodes_and_handles)
{
	uint64_t nodes[32], fhs[32];

	func_start();

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 20; i++) {
		fill_session(nodes, fhs);
		ck_assert_int_gt(daemon_fds(&fx.d), before + 16);
		func_init_session();
		ck_assert_int_le(daemon_fds_settle(&fx.d, before, 2000), before);
		expect_all_gone(nodes, fhs);
	}
	func_end();
}
END_TEST

START_TEST(destroy_drops_all_nodes_and_handles)
{
	uint64_t nodes[32], fhs[32];

	func_start();

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 20; i++) {
		fill_session(nodes, fhs);
		ok(guest_destroy(&fx.g));
		ck_assert_int_le(daemon_fds_settle(&fx.d, before, 2000), before);
		func_init_session();
		expect_all_gone(nodes, fhs);
	}
	func_end();
}
END_TEST

/* --- form --- */

START_TEST(unknown_opcodes_are_enosys)
{
	static const uint32_t unknown[] = { 0, 7, 19, 99, 4096, 0x7fffffff, 0xffffffff };

	func_start();
	for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		guest_begin(&fx.g, unknown[i], FUSE_ROOT_ID);
		fails(guest_call(&fx.g), ENOSYS);
	}
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

struct op_form {
	const char *what;
	uint32_t opcode;
	uint32_t args;		/* size of the argument struct */
	uint32_t names;		/* NUL-terminated names after it */
};

static const struct op_form forms[] = {
	{ "LOOKUP", FUSE_LOOKUP, 0, 1 },
	{ "SETATTR", FUSE_SETATTR, sizeof(struct fuse_setattr_in), 0 },
	{ "SYMLINK", FUSE_SYMLINK, 0, 2 },
	{ "MKNOD", FUSE_MKNOD, sizeof(struct fuse_mknod_in), 1 },
	{ "MKDIR", FUSE_MKDIR, sizeof(struct fuse_mkdir_in), 1 },
	{ "UNLINK", FUSE_UNLINK, 0, 1 },
	{ "RMDIR", FUSE_RMDIR, 0, 1 },
	{ "RENAME", FUSE_RENAME, sizeof(struct fuse_rename_in), 2 },
	{ "RENAME2", FUSE_RENAME2, sizeof(struct fuse_rename2_in), 2 },
	{ "LINK", FUSE_LINK, sizeof(struct fuse_link_in), 1 },
	{ "OPEN", FUSE_OPEN, sizeof(struct fuse_open_in), 0 },
	{ "READ", FUSE_READ, sizeof(struct fuse_read_in), 0 },
	{ "WRITE", FUSE_WRITE, sizeof(struct fuse_write_in), 0 },
	{ "RELEASE", FUSE_RELEASE, sizeof(struct fuse_release_in), 0 },
	{ "FSYNC", FUSE_FSYNC, sizeof(struct fuse_fsync_in), 0 },
	{ "FLUSH", FUSE_FLUSH, sizeof(struct fuse_flush_in), 0 },
	{ "OPENDIR", FUSE_OPENDIR, sizeof(struct fuse_open_in), 0 },
	{ "READDIR", FUSE_READDIR, sizeof(struct fuse_read_in), 0 },
	{ "READDIRPLUS", FUSE_READDIRPLUS, sizeof(struct fuse_read_in), 0 },
	{ "RELEASEDIR", FUSE_RELEASEDIR, sizeof(struct fuse_release_in), 0 },
	{ "FSYNCDIR", FUSE_FSYNCDIR, sizeof(struct fuse_fsync_in), 0 },
	{ "CREATE", FUSE_CREATE, sizeof(struct fuse_create_in), 1 },
	{ "FALLOCATE", FUSE_FALLOCATE, sizeof(struct fuse_fallocate_in), 0 },
	{ "LSEEK", FUSE_LSEEK, sizeof(struct fuse_lseek_in), 0 },
	{ "COPY_FILE_RANGE", FUSE_COPY_FILE_RANGE, sizeof(struct fuse_copy_file_range_in), 0 },
};
#define N_FORMS (sizeof(forms) / sizeof(forms[0]))

/* Send a request of which only the first `len` bytes after the header are there. */
static int send_cut(const struct op_form *f, size_t len, const void *names, size_t names_len)
{
	char body[512] = { 0 };
	struct call *c = guest_begin(&fx.g, f->opcode, FUSE_ROOT_ID);

	memcpy(body + f->args, names, names_len);
	call_bytes(c, body, len);
	call_room(c, 512);
	return guest_call(&fx.g);
}

START_TEST(short_bodies_are_invalid)
{
	func_start();
	for (size_t i = 0; i < N_FORMS; i++) {
		const struct op_form *f = &forms[i];

		for (uint32_t len = 0; len < f->args; len += len < 8 ? 1 : 4) {
			int r = send_cut(f, len, "", 0);

			ck_assert_msg(r == -EINVAL, "%s with %u of %u bytes: %s", f->what, len,
				      f->args, strerror(-r));
		}
	}
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(names_without_their_nul_are_invalid)
{
	func_start();
	for (size_t i = 0; i < N_FORMS; i++) {
		const struct op_form *f = &forms[i];
		int r;

		if (!f->names)
			continue;
		r = send_cut(f, f->args + 3, "abc", 3);
		ck_assert_msg(r == -EINVAL, "%s, no NUL: %s", f->what, strerror(-r));
		r = send_cut(f, f->args, "", 0);
		ck_assert_msg(r == -EINVAL, "%s, no name: %s", f->what, strerror(-r));
		if (f->names == 2) {
			r = send_cut(f, f->args + 4, "abc", 4);
			ck_assert_msg(r == -EINVAL, "%s, one name of two: %s", f->what,
				      strerror(-r));
			r = send_cut(f, f->args + 7, "abc\0def", 7);
			ck_assert_msg(r == -EINVAL, "%s, second without NUL: %s", f->what,
				      strerror(-r));
		}
	}
	ck_assert(!host_exists("abc"));
	func_end();
}
END_TEST

START_TEST(header_that_claims_more_than_there_is_is_an_error)
{
	func_start();
	for (uint32_t len = 0; len < 200; len += 8) {
		struct call *c = guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);

		call_arg(c, sizeof(struct fuse_getattr_in));
		call_room(c, sizeof(struct fuse_attr_out));
		if (len == 56)
			continue;
		call_header(c)->len = len ? len : 1;

		int r = guest_call(&fx.g);

		/* shorter than the argument, or longer than what the chain holds */
		ck_assert_msg(r == -EINVAL || r == -EIO, "len %u: %d", len, r);
	}
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(reply_that_does_not_fit_becomes_an_error_reply)
{
	func_start();
	host_text("f", "x");
	for (size_t room = 0; room < sizeof(struct fuse_attr_out); room += 8) {
		struct call *c = guest_begin(&fx.g, FUSE_GETATTR, FUSE_ROOT_ID);

		call_arg(c, sizeof(struct fuse_getattr_in));
		call_room(c, room);

		int r = guest_call(&fx.g);

		ck_assert_msg(r < 0 && r != -ETIMEDOUT && r != -EBADMSG, "room %zu: %d", room, r);
	}
	func_end();
}
END_TEST

START_TEST(lookup_whose_reply_does_not_fit_leaves_no_node)
{
	func_start();
	host_text("f", "x");

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 50; i++) {
		struct call *c = guest_begin(&fx.g, FUSE_LOOKUP, FUSE_ROOT_ID);

		call_name(c, "f");
		call_room(c, 8);
		ck_assert_int_lt(guest_call(&fx.g), 0);
	}
	ck_assert_int_eq(daemon_fds(&fx.d), before);

	/* with one lookup, one forget: gone */
	uint64_t node = func_node("f");
	struct fuse_attr_out a;

	ok(guest_forget(&fx.g, node, 1));
	fails(guest_getattr(&fx.g, node, GUEST_NO_FH, &a), EBADF);
	func_end();
}
END_TEST

START_TEST(sizes_are_clamped_to_the_room_of_the_reply)
{
	static char data[10000], buf[4096];

	func_start();
	func_pattern(data, sizeof(data), 3);
	host_write("f", data, sizeof(data));

	uint64_t node = func_node("f"), fh = func_open(node, O_RDONLY);
	struct call *c = guest_begin(&fx.g, FUSE_READ, node);
	struct fuse_read_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_read_in){ .fh = fh, .size = UINT32_MAX };
	call_recv(c, buf, sizeof(buf));
	ok(guest_call(&fx.g));
	ck_assert_uint_eq(c->recv_len, sizeof(buf));
	ck_assert_mem_eq(buf, data, sizeof(buf));

	struct fuse_open_out o;

	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	c = guest_begin(&fx.g, FUSE_READDIR, FUSE_ROOT_ID);
	in = call_arg(c, sizeof(*in));
	*in = (struct fuse_read_in){ .fh = o.fh, .size = UINT32_MAX };
	call_recv(c, buf, sizeof(buf));
	ok(guest_call(&fx.g));
	ck_assert_uint_gt(c->recv_len, 0);
	ck_assert_int_lt(daemon_rss_kb(&fx.d), 400 << 10);
	func_end();
}
END_TEST

START_TEST(interrupt_of_anything_is_harmless)
{
	func_start();
	for (int i = 0; i < 100; i++)
		ok(guest_interrupt(&fx.g, i * 77));
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("session", argc, argv);
	func_test(init_is_answered_for_every_version_from_7_27_on);
	func_test(init_of_a_newer_major_is_answered_with_7_and_starts_nothing);
	func_test(init_of_an_older_major_is_an_error);
	func_test(init_with_a_short_body_is_invalid);
	func_test(flags_are_answered_only_if_offered);
	func_test(flags2_counts_only_with_init_ext);
	func_test(what_is_always_useful_is_agreed_on);
	func_test(what_needs_an_option_is_not_agreed_on_without);
	func_test(cache_never_offers_no_readdirplus);
	func_test(a_request_may_be_1_mib_and_fit_in_1024_iovecs);
	func_test(short_queue_limits_the_pages_of_a_request);
	func_test(reply_to_init_has_no_stray_bytes);
	func_test(any_request_before_init_is_eio);
	func_test(forget_before_init_comes_back);
	func_test(destroy_is_answered_and_ends_the_session);
	func_test(destroy_before_init_is_answered);
	func_test(init_on_a_live_session_drops_all_nodes_and_handles);
	func_test(destroy_drops_all_nodes_and_handles);
	func_test(unknown_opcodes_are_enosys);
	func_test(short_bodies_are_invalid);
	func_test(names_without_their_nul_are_invalid);
	func_test(header_that_claims_more_than_there_is_is_an_error);
	func_test(reply_that_does_not_fit_becomes_an_error_reply);
	func_test(lookup_whose_reply_does_not_fit_leaves_no_node);
	func_test(sizes_are_clamped_to_the_room_of_the_reply);
	func_test(interrupt_of_anything_is_harmless);
	return func_done();
}
