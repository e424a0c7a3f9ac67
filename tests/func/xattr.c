/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Extended attributes on every type of file, by its node and never through a link: SETXATTR
 * GETXATTR LISTXATTR REMOVEXATTR. Errors are those of the host's own calls.
 */
#include <fcntl.h>
#include <linux/limits.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include "func.h"

static char buf[XATTR_SIZE_MAX + 16], value[XATTR_SIZE_MAX + 16];

static void start(void)
{
	func_start_with((const char *[]){ "--xattr", NULL }, NULL);
}

/* The host's attribute has exactly these bytes. */
static void host_xattr_is(const char *file, const char *name, const void *bytes, size_t len)
{
	static char now[XATTR_SIZE_MAX];
	ssize_t n = lgetxattr(host_path(file), name, now, sizeof(now));

	ck_assert_msg(n >= 0, "%s of %s: %m", name, file);
	ck_assert_uint_eq(n, len);
	ck_assert_mem_eq(now, bytes, len);
}

static bool host_has(const char *file, const char *name)
{
	return lgetxattr(host_path(file), name, NULL, 0) >= 0;
}

static bool listed(const char *list, size_t len, const char *name)
{
	for (const char *at = list; at < list + len; at += strlen(at) + 1)
		if (strcmp(at, name) == 0)
			return true;
	return false;
}

/* --- off by default --- */

START_TEST(without_the_option_there_are_none)
{
	func_start();
	host_text("f", "x");
	host(lsetxattr(host_path("f"), "user.a", "1", 1, 0));

	uint64_t n = func_node("f");

	fails(guest_getxattr(&fx.g, n, "user.a", buf, 10), ENOSYS);
	fails(guest_getxattr(&fx.g, n, "user.a", NULL, 0), ENOSYS);
	fails(guest_listxattr(&fx.g, n, buf, 10), ENOSYS);
	fails(guest_setxattr(&fx.g, n, "user.a", "2", 1, 0), ENOSYS);
	fails(guest_removexattr(&fx.g, n, "user.a"), ENOSYS);
	host_xattr_is("f", "user.a", "1", 1);
	func_end();
}
END_TEST

/* --- what there is to have them --- */

static void make_one_of_each(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	host_text("file", "x");
	host(mkdir(host_path("dir"), 0755));
	host(symlink("file", host_path("link")));
	host(symlink("nowhere", host_path("dangling")));
	host(symlink("dir", host_path("dirlink")));
	host(mkfifo(host_path("fifo"), 0644));
	host(mknod(host_path("null"), S_IFCHR | 0644, makedev(1, 3)));
	host(mknod(host_path("block"), S_IFBLK | 0644, makedev(7, 200)));

	int s = host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	snprintf(sa.sun_path, sizeof(sa.sun_path), "%.100s", host_path("sock"));
	host(bind(s, (struct sockaddr *)&sa, sizeof(sa)));
	close(s);
}

static const char *const each[] = { "file", "dir", "link", "dangling", "dirlink", "fifo", "null",
				    "block", "sock" };
#define EACH (sizeof(each) / sizeof(each[0]))

/* Set, read, list, remove by the guest, seen from the host. */
static void round_trip(const char *file, const char *name)
{
	uint64_t n = func_node(file);

	ok(guest_setxattr(&fx.g, n, name, "one\0two", 7, 0));
	host_xattr_is(file, name, "one\0two", 7);
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, name, NULL, 0)), 7);
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, name, buf, 100)), 7);
	ck_assert_mem_eq(buf, "one\0two", 7);

	ssize_t len = ok(guest_listxattr(&fx.g, n, buf, sizeof(buf)));

	ck_assert_int_eq(len, llistxattr(host_path(file), value, sizeof(value)));
	ck_assert_msg(listed(buf, len, name), "%s not listed for %s", name, file);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, NULL, 0)), len);
	ok(guest_removexattr(&fx.g, n, name));
	ck_assert(!host_has(file, name));
	fails(guest_getxattr(&fx.g, n, name, buf, 100), ENODATA);
	fails(guest_removexattr(&fx.g, n, name), ENODATA);
}

START_TEST(files_and_directories_have_those_of_users)
{
	start();
	host_text("file", "x");
	host(mkdir(host_path("dir"), 0755));
	round_trip("file", "user.test");
	round_trip("dir", "user.test");
	func_end();
}
END_TEST

START_TEST(every_type_has_those_of_root)
{
	func_need_cap("sys_admin");
	start();
	make_one_of_each();
	for (size_t i = 0; i < EACH; i++) {
		round_trip(each[i], "trusted.test");
		round_trip(each[i], "security.test");
	}
	func_end();
}
END_TEST

/* A guest that does not say who asks gets all of them. */
START_TEST(only_root_sees_the_names_of_its_own)
{
	static const struct {
		uid_t uid;
		bool sees;
	} who[] = { { 0, true }, { 1000, false }, { UINT32_MAX, true } };
	ssize_t len;

	func_need_cap("sys_admin");
	start();
	host_text("f", "x");
	host(lsetxattr(host_path("f"), "user.a", "1", 1, 0));
	host(lsetxattr(host_path("f"), "trusted.a", "1", 1, 0));

	uint64_t n = func_node("f");

	for (size_t i = 0; i < sizeof(who) / sizeof(who[0]); i++) {
		fx.g.uid = who[i].uid;
		len = ok(guest_listxattr(&fx.g, n, buf, sizeof(buf)));
		ck_assert(listed(buf, (size_t)len, "user.a"));
		ck_assert_int_eq(listed(buf, (size_t)len, "trusted.a"), who[i].sees);
		ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, NULL, 0)), len);
	}
	func_end();
}
END_TEST

/* What a type cannot have is refused as the host refuses it. */
START_TEST(errors_are_those_of_the_host)
{
	static const char *const names[] = { "user.x", "user.", "trusted.", "security.", "x",
					     "nonsense.x", "system.x", "user", ".", "USER.x" };

	func_need_cap("sys_admin");
	start();
	make_one_of_each();
	for (size_t i = 0; i < EACH; i++) {
		uint64_t n = func_node(each[i]);

		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
			int err = lsetxattr(host_path(each[i]), names[k], "v", 1, 0) ? errno : 0;
			int r = guest_setxattr(&fx.g, n, names[k], "v", 1, 0);

			ck_assert_msg(r == -err, "set %s of %s: %d, host %d", names[k], each[i], r,
				      err);
			err = lgetxattr(host_path(each[i]), names[k], value, 10) < 0 ? errno : 0;
			r = guest_getxattr(&fx.g, n, names[k], buf, 10);
			ck_assert_msg(err ? r == -err : r == 1, "get %s of %s: %d, host %d",
				      names[k], each[i], r, err);
			err = lremovexattr(host_path(each[i]), names[k]) ? errno : 0;
			if (!err)
				host(lsetxattr(host_path(each[i]), names[k], "v", 1, 0));
			r = guest_removexattr(&fx.g, n, names[k]);
			ck_assert_msg(r == -err, "remove %s of %s: %d, host %d", names[k], each[i],
				      r, err);
		}
	}
	func_end();
}
END_TEST

START_TEST(a_link_is_not_followed)
{
	func_need_cap("sys_admin");
	start();
	make_one_of_each();
	host(lsetxattr(host_path("file"), "trusted.t", "target", 6, 0));

	uint64_t link = func_node("link");

	fails(guest_getxattr(&fx.g, link, "trusted.t", buf, 10), ENODATA);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, link, buf, 100)),
			 llistxattr(host_path("link"), value, 100));
	ck_assert(!listed(buf, 100, "trusted.t"));
	ok(guest_setxattr(&fx.g, link, "trusted.t", "link", 4, 0));
	host_xattr_is("file", "trusted.t", "target", 6);
	host_xattr_is("link", "trusted.t", "link", 4);
	ok(guest_removexattr(&fx.g, link, "trusted.t"));
	host_xattr_is("file", "trusted.t", "target", 6);
	func_end();
}
END_TEST

START_TEST(those_of_the_share_itself)
{
	start();
	ok(guest_setxattr(&fx.g, FUSE_ROOT_ID, "user.root", "r", 1, 0));
	host_xattr_is("", "user.root", "r", 1);
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, FUSE_ROOT_ID, "user.root", buf, 9)), 1);
	func_end();
}
END_TEST

START_TEST(of_a_file_without_a_name)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	func_attr(n);
	host(unlink(host_path("f")));
	ok(guest_setxattr(&fx.g, n, "user.t", "v", 1, 0));
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, "user.t", buf, 9)), 1);
	fails(guest_getxattr(&fx.g, 0x7777, "user.t", buf, 9), EBADF);
	fails(guest_setxattr(&fx.g, 0x7777, "user.t", "v", 1, 0), EBADF);
	func_end();
}
END_TEST

/* --- sizes --- */

START_TEST(values_come_back_byte_for_byte)
{
	static const size_t sizes[] = { 0, 1, 2, 7, 8, 63, 255, 256, 1000, 3000 };

	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t size = sizes[i];

		func_pattern(value, size, i);
		ok(guest_setxattr(&fx.g, n, "user.v", value, size, 0));
		host_xattr_is("f", "user.v", value, size);
		ck_assert_uint_eq(ok(guest_getxattr(&fx.g, n, "user.v", NULL, 0)), size);
		memset(buf, 0x55, sizeof(buf));
		ck_assert_uint_eq(ok(guest_getxattr(&fx.g, n, "user.v", buf, size + 5)), size);
		ck_assert_mem_eq(buf, value, size);
		if (size) {
			ck_assert_uint_eq(ok(guest_getxattr(&fx.g, n, "user.v", buf, size)), size);
			ck_assert_mem_eq(buf, value, size);
		}
		if (size > 1)
			fails(guest_getxattr(&fx.g, n, "user.v", buf, size - 1), ERANGE);
	}
	func_end();
}
END_TEST

START_TEST(what_does_not_fit_the_host_fails_as_there)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");
	int err = lsetxattr(host_path("f"), "user.v", value, XATTR_SIZE_MAX, 0) ? errno : 0;

	(void)lremovexattr(host_path("f"), "user.v");
	ck_assert_int_eq(guest_setxattr(&fx.g, n, "user.v", value, XATTR_SIZE_MAX, 0), -err);
	fails(guest_setxattr(&fx.g, n, "user.w", value, XATTR_SIZE_MAX + 1, 0), E2BIG);
	ck_assert(!host_has("f", "user.w"));
	func_end();
}
END_TEST

static void start_on_tmpfs(void)
{
	ok(daemon_prepare(&fx.d));
	host_mount("tmpfs", "");
	host_text("f", "x");
	if (lsetxattr(host_path("f"), "user.t", value, XATTR_SIZE_MAX, 0) < 0) {
		daemon_discard(&fx.d);
		func_skip("no file system here takes values of 64 KiB");
	}

	struct daemon_opts o = { .args = (const char *[]){ "--xattr", NULL } };

	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
}

START_TEST(the_largest_values_however_the_guest_lays_them_out)
{
	unsigned int done = 0;

	start_on_tmpfs();

	uint64_t n = func_node("f");

	for (unsigned int i = 0; i < nlayouts; i++) {
		fx.g.layout = &layouts[i];
		func_pattern(value, XATTR_SIZE_MAX, i);

		int r = guest_setxattr(&fx.g, n, "user.v", value, XATTR_SIZE_MAX, 0);

		if (r == -ENOSPC)	/* more descriptors than this layout's ring has */
			continue;
		ok(r);
		host_xattr_is("f", "user.v", value, XATTR_SIZE_MAX);
		memset(buf, 0x55, sizeof(buf));
		ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, "user.v", buf, XATTR_SIZE_MAX)),
				 XATTR_SIZE_MAX);
		ck_assert_mem_eq(buf, value, XATTR_SIZE_MAX);
		done++;
	}
	ck_assert_uint_gt(done, nlayouts / 2);
	fx.g.layout = &layout_linux;
	fails(guest_getxattr(&fx.g, n, "user.v", buf, XATTR_SIZE_MAX - 1), ERANGE);
	fails(guest_setxattr(&fx.g, n, "user.v", value, XATTR_SIZE_MAX + 1, 0), E2BIG);
	func_end();
}
END_TEST

START_TEST(names_have_up_to_255_bytes)
{
	char name[300] = "user.";

	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	memset(name + 5, 'n', 250);
	ck_assert_uint_eq(strlen(name), 255);
	ok(guest_setxattr(&fx.g, n, name, "v", 1, 0));
	host_xattr_is("f", name, "v", 1);
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, name, buf, 9)), 1);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, 256)), 256);
	ck_assert_str_eq(buf, name);
	ok(guest_removexattr(&fx.g, n, name));

	static const size_t lengths[] = { 256, 0 };

	for (int i = 0; i < 2; i++) {
		name[255] = 'n';
		name[256] = '\0';
		name[lengths[i]] = '\0';
		ck_assert_int_eq(lsetxattr(host_path("f"), name, "v", 1, 0), -1);

		int err = errno;	/* ERANGE, says the kernel */

		fails(guest_setxattr(&fx.g, n, name, "v", 1, 0), err);
		fails(guest_getxattr(&fx.g, n, name, buf, 9), err);
		fails(guest_removexattr(&fx.g, n, name), err);
	}
	func_end();
}
END_TEST

START_TEST(lists_fit_or_fail)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, NULL, 0)), 0);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, 100)), 0);
	for (int i = 0; i < 30; i++) {
		char name[32];

		snprintf(name, sizeof(name), "user.name-%d", i);
		host(lsetxattr(host_path("f"), name, "", 0, 0));
	}

	ssize_t len = host(llistxattr(host_path("f"), value, sizeof(value)));

	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, NULL, 0)), len);
	fails(guest_listxattr(&fx.g, n, buf, len - 1), ERANGE);
	fails(guest_listxattr(&fx.g, n, buf, 1), ERANGE);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, len)), len);
	ck_assert_mem_eq(buf, value, len);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, 60000)), len);
	func_end();
}
END_TEST

/* --- flags --- */

START_TEST(create_and_replace_are_heeded)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	fails(guest_setxattr(&fx.g, n, "user.v", "1", 1, XATTR_REPLACE), ENODATA);
	ck_assert(!host_has("f", "user.v"));
	ok(guest_setxattr(&fx.g, n, "user.v", "1", 1, XATTR_CREATE));
	fails(guest_setxattr(&fx.g, n, "user.v", "2", 1, XATTR_CREATE), EEXIST);
	host_xattr_is("f", "user.v", "1", 1);
	ok(guest_setxattr(&fx.g, n, "user.v", "3", 1, XATTR_REPLACE));
	host_xattr_is("f", "user.v", "3", 1);
	for (uint32_t flags = 3; flags < 6; flags++) {
		int err = lsetxattr(host_path("f"), "user.v", "4", 1, (int)flags) ? errno : 0;

		ck_assert_int_eq(guest_setxattr(&fx.g, n, "user.v", "4", 1, flags), -err);
	}
	func_end();
}
END_TEST

/* --- requests that do not tell the truth --- */

static int set_raw(uint64_t node, uint32_t told, const char *name, size_t name_len,
		   const void *bytes, size_t len)
{
	struct call *c = guest_begin(&fx.g, FUSE_SETXATTR, node);
	struct fuse_setxattr_in in = { .size = told };

	call_bytes(c, &in, FUSE_COMPAT_SETXATTR_IN_SIZE);
	call_bytes(c, name, name_len);
	call_send(c, bytes, len);
	return guest_call(&fx.g);
}

START_TEST(sizes_that_are_lies_set_nothing)
{
	start();
	host_text("f", "x");

	uint64_t n = func_node("f");

	func_pattern(value, sizeof(value), 1);
	fails(set_raw(n, 101, "user.v", 7, value, 100), EINVAL);
	fails(set_raw(n, 1, "user.v", 7, value, 0), EINVAL);
	fails(set_raw(n, XATTR_SIZE_MAX, "user.v", 7, value, 100), EINVAL);
	fails(set_raw(n, UINT32_MAX, "user.v", 7, value, 100), E2BIG);
	fails(set_raw(n, XATTR_SIZE_MAX + 1, "user.v", 7, value, 100), E2BIG);
	/* a name without an end; the value's bytes are not a part of it */
	fails(set_raw(n, 0, "user.v", 6, value, 0), EINVAL);
	fails(set_raw(n, 0, "", 0, value, 0), EINVAL);
	memset(value, 'n', 1000);
	ck_assert_int_lt(set_raw(n, 900, "user.v", 6, value, 1000), 0);
	ck_assert_int_eq(ok(guest_listxattr(&fx.g, n, buf, 100)), 0);
	func_end();
}
END_TEST

START_TEST(a_reader_with_less_room_than_it_says_is_refused)
{
	start();
	host_text("f", "x");
	host(lsetxattr(host_path("f"), "user.v", value, 500, 0));

	uint64_t n = func_node("f");
	struct call *c = guest_begin(&fx.g, FUSE_GETXATTR, n);
	struct fuse_getxattr_in *in = call_arg(c, sizeof(*in));

	in->size = 1000;
	call_name(c, "user.v");
	call_recv(c, buf, 499);
	fails(guest_call(&fx.g), ERANGE);

	/* and the other way round */
	c = guest_begin(&fx.g, FUSE_GETXATTR, n);
	in = call_arg(c, sizeof(*in));
	in->size = 499;
	call_name(c, "user.v");
	call_recv(c, buf, 1000);
	fails(guest_call(&fx.g), ERANGE);

	c = guest_begin(&fx.g, FUSE_GETXATTR, n);
	in = call_arg(c, sizeof(*in));
	in->size = UINT32_MAX;
	call_name(c, "user.v");
	call_recv(c, buf, 500);
	ok(guest_call(&fx.g));
	ck_assert_uint_eq(c->recv_len, 500);

	/* no room for the number */
	c = guest_begin(&fx.g, FUSE_LISTXATTR, n);
	call_arg(c, sizeof(*in));
	call_room(c, 4);
	fails(guest_call(&fx.g), ERANGE);
	func_end();
}
END_TEST

/* SETXATTR is 8 bytes longer for those who have agreed to it. */
START_TEST(both_lengths_of_setxattr)
{
	func_start_daemon((const char *[]){ "--posix-acl=auto", NULL });
	func_connect(NULL);
	host_text("f", "x");
	for (int i = 0; i < 4; i++) {
		bool extended = i & 1;
		uint64_t flags = GUEST_INIT_FLAGS;

		if (!extended)
			flags &= ~(uint64_t)FUSE_SETXATTR_EXT;
		ok(func_init_with(GUEST_MINOR, flags));
		ck_assert_int_eq(!!(fx.g.agreed & FUSE_SETXATTR_EXT), extended);

		uint64_t n = func_node("f");

		func_pattern(value, 100, i);
		ok(guest_setxattr(&fx.g, n, "user.v", value, 100, 0));
		host_xattr_is("f", "user.v", value, 100);
	}
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("xattr", argc, argv);
	func_test(without_the_option_there_are_none);
	func_test(files_and_directories_have_those_of_users);
	func_test(every_type_has_those_of_root);
	func_test(only_root_sees_the_names_of_its_own);
	func_test(errors_are_those_of_the_host);
	func_test(a_link_is_not_followed);
	func_test(those_of_the_share_itself);
	func_test(of_a_file_without_a_name);
	func_test(values_come_back_byte_for_byte);
	func_test(what_does_not_fit_the_host_fails_as_there);
	func_test(the_largest_values_however_the_guest_lays_them_out);
	func_test(names_have_up_to_255_bytes);
	func_test(lists_fit_or_fail);
	func_test(create_and_replace_are_heeded);
	func_test(sizes_that_are_lies_set_nothing);
	func_test(a_reader_with_less_room_than_it_says_is_refused);
	func_test(both_lengths_of_setxattr);
	return func_done();
}
