/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security labels that come with what the guest makes (SECURITY_CTX): they are on the file when
 * its maker hears of it, or there is no file. Guests since 7.38 say how long the extensions are,
 * those before send them behind the name.
 */
#include <fcntl.h>
#include <sys/xattr.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID
#define LABEL "security.test"
#define VALUE "system_u:object_r:t"	/* its NUL goes with it */

static char buf[4096], ext[8192];

static void set_label(const char *name, const void *value, size_t len)
{
	fx.g.ext = ext;
	fx.g.ext_len = guest_label(ext, name, value, len);
}

static void start(uint32_t minor, const char *more)
{
	func_start_daemon((const char *[]){ "--security-label=auto", more, NULL });
	func_connect(NULL);
	ok(func_init_with(minor, GUEST_INIT_FLAGS));
	ck_assert(fx.g.agreed & FUSE_SECURITY_CTX);
	ck_assert(fx.g.agreed & FUSE_INIT_EXT);
	fx.g.ext_unsized = minor < 38;
}

/* --- INIT --- */

START_TEST(labels_are_agreed_on_by_option)
{
	static const struct { const char *args[4]; bool agreed; } lines[] = {
		{ { NULL }, false },
		{ { "--xattr" }, false },
		{ { "--security-label" }, true },
		{ { "--security-label=always" }, true },
		{ { "--security-label=auto" }, true },
		{ { "--security-label=never" }, false },
		{ { "-o", "security_label" }, true },
		{ { "--security-label", "-o", "no_security_label" }, false },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_with(lines[i].args, NULL);
		ck_assert_int_eq(!!(fx.g.agreed & FUSE_SECURITY_CTX), lines[i].agreed);
		/* flags of the upper half count only with this one */
		if (fx.init.flags2)
			ck_assert(fx.init.flags & FUSE_INIT_EXT);
		func_end();
	}
}
END_TEST

START_TEST(a_guest_that_cannot_is_answered_by_when)
{
	static const char *const when[] = { "--security-label=auto", "--security-label=always" };

	for (int i = 0; i < 2; i++)
		for (int how = 0; how < 3; how++) {
			func_start_daemon((const char *[]){ when[i], NULL });
			func_connect(NULL);

			/* not offered; offered where it does not count; too old for it */
			int r = how == 0 ? func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS &
							  ~(uint64_t)FUSE_SECURITY_CTX)
			      : how == 1 ? func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS &
							  ~(uint64_t)FUSE_INIT_EXT)
					 : func_init_with(33, GUEST_INIT_FLAGS);

			if (i == 0) {
				ok(r);
				ck_assert(!(fx.g.agreed & FUSE_SECURITY_CTX));
			} else {
				ck_assert_int_lt(r, 0);
				ck_assert(daemon_log_has(&fx.d, "label"));
			}
			func_end();
		}
}
END_TEST

/* --- made and labelled --- */

static const char *const made[] = { "dir", "node", "fifo", "link", "file" };
#define MADE 5

static int make(int kind, const char *name, uint64_t *ret_node)
{
	struct fuse_entry_out e = { 0 };
	struct fuse_open_out o;
	int r;

	switch (kind) {
	case 0:
		r = guest_mkdir(&fx.g, ROOT, name, 0755, 0, &e);
		break;
	case 1:
		r = guest_mknod(&fx.g, ROOT, name, S_IFREG | 0644, 0, 0, &e);
		break;
	case 2:
		r = guest_mknod(&fx.g, ROOT, name, S_IFIFO | 0644, 0, 0, &e);
		break;
	case 3:
		r = guest_symlink(&fx.g, ROOT, name, "target", &e);
		break;
	default:
		r = guest_create(&fx.g, ROOT, name, O_RDWR | O_EXCL, 0644, 0, &e, &o);
	}
	if (ret_node)
		*ret_node = e.nodeid;
	return r;
}

static void is_labelled(const char *file, const char *name, const void *value, size_t len)
{
	ssize_t n = lgetxattr(host_path(file), name, buf, sizeof(buf));

	ck_assert_msg(n >= 0, "%s has no %s", file, name);
	ck_assert_uint_eq(n, len);
	ck_assert_mem_eq(buf, value, len);
}

static void make_all(void)
{
	for (int i = 0; i < MADE; i++) {
		uint64_t n;
		int r = make(i, made[i], &n);

		ck_assert_msg(r == 0, "%s: %s", made[i], strerror(-r));
		is_labelled(made[i], LABEL, VALUE, sizeof(VALUE));
		ck_assert_uint_eq(ok(guest_getxattr(&fx.g, n, LABEL, buf, 100)), sizeof(VALUE));
		ck_assert_uint_eq(host_stat(made[i]).st_uid, fx.g.uid);
	}
}

START_TEST(what_is_made_has_its_label)
{
	func_need_cap("sys_admin");
	start(38, NULL);
	set_label(LABEL, VALUE, sizeof(VALUE));
	make_all();
	func_end();
}
END_TEST

START_TEST(older_guests_do_not_say_how_long_it_is)
{
	func_need_cap("sys_admin");
	for (uint32_t minor = 36; minor < 38; minor++) {
		start(minor, NULL);
		set_label(LABEL, VALUE, sizeof(VALUE));
		make_all();
		/* and without one there is nothing behind the name */
		fx.g.ext_len = 0;
		ok(make(0, "plain", NULL));
		ck_assert_int_eq(llistxattr(host_path("plain"), buf, sizeof(buf)), 0);
		func_end();
	}
}
END_TEST

START_TEST(users_files_are_labelled_as_roots_are)
{
	func_need_cap("sys_admin");
	start(38, NULL);
	fx.g.uid = fx.g.gid = 1234;
	set_label(LABEL, VALUE, sizeof(VALUE));
	make_all();
	func_end();
}
END_TEST

START_TEST(a_file_without_a_name_is_labelled)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_cap("sys_admin");
	start(38, NULL);
	set_label(LABEL, VALUE, sizeof(VALUE));
	ok(guest_tmpfile(&fx.g, ROOT, O_RDWR, 0644, 0, &e, &o));
	fx.g.ext_len = 0;
	ok(guest_link(&fx.g, e.nodeid, ROOT, "named", &e));
	is_labelled("named", LABEL, VALUE, sizeof(VALUE));
	func_end();
}
END_TEST

START_TEST(values_of_any_size_and_content)
{
	static const size_t sizes[] = { 0, 1, 7, 8, 9, 255, 1000, 3000 };
	static char value[3000];

	func_need_cap("sys_admin");
	start(38, NULL);
	for (int i = 0; i < 8; i++) {
		char name[16];

		snprintf(name, sizeof(name), "d%d", i);
		func_pattern(value, sizes[i], i);
		set_label(LABEL, value, sizes[i]);
		ok(make(i % MADE, name, NULL));
		is_labelled(name, LABEL, value, sizes[i]);
	}
	func_end();
}
END_TEST

START_TEST(no_label_is_fine)
{
	struct fuse_secctx_header none = { .size = sizeof(none) };

	start(38, NULL);
	/* a guest whose security module has nothing to say */
	fx.g.ext = &none;
	fx.g.ext_len = sizeof(none);
	for (int i = 0; i < MADE; i++) {
		ok(make(i, made[i], NULL));
		ck_assert_int_eq(llistxattr(host_path(made[i]), buf, sizeof(buf)), 0);
	}
	func_end();
}
END_TEST

START_TEST(a_label_belongs_to_its_request)
{
	struct fuse_entry_out e;

	func_need_cap("sys_admin");
	start(38, NULL);
	set_label(LABEL, VALUE, sizeof(VALUE));
	ok(make(4, "a", NULL));
	fx.g.ext_len = 0;
	ok(make(4, "b", NULL));
	ck_assert_int_eq(llistxattr(host_path("b"), buf, sizeof(buf)), 0);
	ok(guest_link(&fx.g, func_node("b"), ROOT, "c", &e));
	ck_assert_int_eq(llistxattr(host_path("c"), buf, sizeof(buf)), 0);
	func_end();
}
END_TEST

START_TEST(what_was_there_keeps_its_own)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_cap("sys_admin");
	start(38, NULL);
	host_text("f", "x");
	host(lsetxattr(host_path("f"), LABEL, "own", 3, 0));
	set_label(LABEL, VALUE, sizeof(VALUE));
	ok(guest_create(&fx.g, ROOT, "f", O_RDWR, 0644, 0, &e, &o));
	is_labelled("f", LABEL, "own", 3);
	fails(guest_create(&fx.g, ROOT, "f", O_RDWR | O_EXCL, 0644, 0, &e, &o), EEXIST);
	fails(guest_mkdir(&fx.g, ROOT, "f", 0755, 0, &e), EEXIST);
	is_labelled("f", LABEL, "own", 3);
	func_end();
}
END_TEST

START_TEST(label_and_group_together)
{
	gid_t group = 4242;

	func_need_cap("sys_admin");
	start(38, NULL);
	/* a set-gid directory of a group that only the extension says the caller is in */
	host(chown(fx.d.share, 0, group));
	host(chmod(fx.d.share, 02775));
	fx.g.uid = fx.g.gid = 1234;
	fx.g.supp_group = group;
	set_label(LABEL, VALUE, sizeof(VALUE));
	make_all();
	ck_assert_uint_eq(host_stat("file").st_gid, group);

	/* the other way round */
	struct { uint32_t size, type, nr, gid; } groups = { 16, GUEST_EXT_GROUPS, 1, group };

	memmove(ext + sizeof(groups), ext, fx.g.ext_len);
	memcpy(ext, &groups, sizeof(groups));
	fx.g.ext_len += sizeof(groups);
	fx.g.supp_group = GUEST_NO_GROUP;
	ok(make(4, "other", NULL));
	is_labelled("other", LABEL, VALUE, sizeof(VALUE));
	ck_assert_uint_eq(host_stat("other").st_gid, group);
	func_end();
}
END_TEST

START_TEST(labels_are_mapped_like_other_attributes)
{
	start(38, "--xattrmap=:map:security.:user.virtiofs.:");
	set_label(LABEL, VALUE, sizeof(VALUE));
	ok(make(0, "dir", NULL));
	is_labelled("dir", "user.virtiofs." LABEL, VALUE, sizeof(VALUE));
	ok(make(4, "file", NULL));
	is_labelled("file", "user.virtiofs." LABEL, VALUE, sizeof(VALUE));
	func_end();
}
END_TEST

/* --- not made --- */

static void nothing_is_made(const char *how, int err)
{
	for (int i = 0; i < MADE; i++) {
		int r = make(i, made[i], NULL);

		ck_assert_msg(r == -err, "%s with %s: %s", made[i], how, strerror(-r));
		ck_assert_msg(!host_exists(made[i]), "%s with %s was made", made[i], how);
	}
}

START_TEST(a_label_that_cannot_be_set_leaves_nothing)
{
	char name[300];

	start(38, NULL);
	host(mkdir(host_path("ref"), 0755));
	/* no such namespace, as the host says */
	ck_assert_int_eq(lsetxattr(host_path("ref"), "nonsense", "x", 1, 0), -1);
	set_label("nonsense", "x", 1);
	nothing_is_made("nonsense", errno);
	memset(name, 'n', 256);
	name[256] = '\0';
	memcpy(name, "security.", 9);
	set_label(name, "x", 1);
	nothing_is_made("a long name", ERANGE);
	set_label("", "x", 1);
	for (int i = 0; i < MADE; i++) {
		ck_assert_int_lt(make(i, made[i], NULL), 0);
		ck_assert(!host_exists(made[i]));
	}
	/* nor is anything held */
	fx.g.ext_len = 0;
	host(rmdir(host_path("ref")));

	int before = daemon_fds(&fx.d);

	set_label("nonsense", "x", 1);
	for (int i = 0; i < 20; i++)
		nothing_is_made("nonsense", EOPNOTSUPP);
	ck_assert_int_le(daemon_fds_settle(&fx.d, before, wait_scaled(2000)), before);
	func_end();

	start(38, "--xattrmap=:bad:all:security.:security.: :ok:all:::");
	set_label(LABEL, "x", 1);
	nothing_is_made("a refused name", EPERM);
	func_end();
}
END_TEST

/* Contexts that do not add up, laid out as the two kinds of guests do it. */
static void malformed(uint32_t minor)
{
	struct fuse_secctx_header *head = (void *)ext;
	struct fuse_secctx *ctx = (void *)(ext + sizeof(*head));
	size_t whole;

	start(minor, NULL);
	set_label(LABEL, VALUE, sizeof(VALUE));
	whole = fx.g.ext_len;

	static const uint32_t sizes[] = { 0, 4, 7, 9, 12, 41, 4096, UINT32_MAX };

	for (int i = 0; i < 8; i++) {
		head->size = sizes[i];
		nothing_is_made("a wrong size", EINVAL);
	}
	head->size = whole;
	head->nr_secctx = 2;
	nothing_is_made("two contexts told, one there", EINVAL);
	head->nr_secctx = 31;
	nothing_is_made("31 contexts told", EINVAL);
	head->nr_secctx = 1;
	for (uint32_t more = 1; more < 3; more++) {
		ctx->size = more == 1 ? whole : UINT32_MAX;
		nothing_is_made("a wrong value size", EINVAL);
	}
	ctx->size = sizeof(VALUE);
	/* no NUL in what is left of the context */
	memset(ext + sizeof(*head) + sizeof(*ctx), 'n', whole - sizeof(*head) - sizeof(*ctx));
	nothing_is_made("a name without an end", EINVAL);
	/* a header and nothing in it; half of one */
	head->size = fx.g.ext_len = sizeof(*head);
	nothing_is_made("no context", EINVAL);
	head->size = fx.g.ext_len = sizeof(*head) + 4;
	if (minor < 38)
		nothing_is_made("half a context", EINVAL);
	func_end();
}

START_TEST(malformed_labels_make_nothing)
{
	malformed(38);
}
END_TEST

START_TEST(malformed_labels_of_older_guests_make_nothing)
{
	malformed(36);
	malformed(37);
}
END_TEST

/* total_extlen is the guest's word. */
START_TEST(extensions_longer_than_the_request_make_nothing)
{
	static const uint16_t units[] = { 100, 511, 513, UINT16_MAX };

	start(38, NULL);
	set_label(LABEL, VALUE, sizeof(VALUE));
	for (int i = 0; i < 4; i++) {
		struct call *c = guest_begin(&fx.g, FUSE_MKDIR, ROOT);
		struct fuse_mkdir_in *in = call_arg(c, sizeof(*in));

		in->mode = 0755;
		call_name(c, "dir");
		call_bytes(c, ext, fx.g.ext_len);
		call_header(c)->total_extlen = units[i];
		call_room(c, sizeof(struct fuse_entry_out));
		fails(guest_call(&fx.g), EINVAL);
		ck_assert(!host_exists("dir"));
	}
	/* the name must end before them */
	struct call *c = guest_begin(&fx.g, FUSE_MKDIR, ROOT);

	call_arg(c, sizeof(struct fuse_mkdir_in));
	call_bytes(c, "dir", 3);
	call_bytes(c, ext, fx.g.ext_len);
	call_header(c)->total_extlen = fx.g.ext_len / 8;
	call_room(c, sizeof(struct fuse_entry_out));
	fails(guest_call(&fx.g), EINVAL);
	ck_assert(!host_exists("dir"));
	func_end();
}
END_TEST

START_TEST(labels_that_are_not_agreed_on_are_not_set)
{
	func_need_cap("sys_admin");
	func_start_with((const char *[]){ "--xattr", NULL }, NULL);
	ck_assert(!(fx.g.agreed & FUSE_SECURITY_CTX));
	set_label(LABEL, VALUE, sizeof(VALUE));
	for (int i = 0; i < MADE; i++) {
		(void)make(i, made[i], NULL);
		ck_assert_int_lt(lgetxattr(host_path(made[i]), LABEL, buf, sizeof(buf)), 0);
	}
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("label", argc, argv);
	func_test(labels_are_agreed_on_by_option);
	func_test(a_guest_that_cannot_is_answered_by_when);
	func_test(what_is_made_has_its_label);
	func_test(older_guests_do_not_say_how_long_it_is);
	func_test(users_files_are_labelled_as_roots_are);
	func_test(a_file_without_a_name_is_labelled);
	func_test(values_of_any_size_and_content);
	func_test(no_label_is_fine);
	func_test(a_label_belongs_to_its_request);
	func_test(what_was_there_keeps_its_own);
	func_test(label_and_group_together);
	func_test(labels_are_mapped_like_other_attributes);
	func_test(a_label_that_cannot_be_set_leaves_nothing);
	func_test(malformed_labels_make_nothing);
	func_test(malformed_labels_of_older_guests_make_nothing);
	func_test(extensions_longer_than_the_request_make_nothing);
	func_test(labels_that_are_not_agreed_on_are_not_set);
	return func_done();
}
