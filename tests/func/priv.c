/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a change of a file takes from it: the set-id bits where the guest leaves that to the
 * daemon (HANDLE_KILLPRIV_V2 and the flags of WRITE, OPEN and SETATTR), and capabilities that an
 * xattr map has put where the host's kernel does not look for them (CVE-2021-20263).
 */
#include <fcntl.h>
#include <sys/xattr.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID
#define CAPS "security.capability"
#define MAPPED "user.virtiofs." CAPS

/* Version 2, cap_net_raw+ep */
static const uint8_t caps[20] = { 1, 0, 0, 2, 0, 0x20 };

static char buf[4096];

static mode_t mode_of(const char *name)
{
	return host_stat(name).st_mode & 07777;
}

static uint64_t make(const char *name, mode_t mode)
{
	host_text(name, "hello");
	host(chmod(host_path(name), mode));
	return func_node(name);
}

static const char *const killpriv[] = { "--killpriv-v2", NULL };

/* --- INIT --- */

START_TEST(killpriv_v2_is_answered_by_option)
{
	static const struct { const char *args[4]; bool answered; } lines[] = {
		{ { NULL }, false },
		{ { "--killpriv-v2" }, true },
		{ { "-o", "killpriv_v2" }, true },
		{ { "--killpriv-v2", "--no-killpriv-v2" }, false },
		{ { "-o", "killpriv_v2,no_killpriv_v2" }, false },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_with(lines[i].args, NULL);
		ck_assert_int_eq(!!(fx.g.agreed & FUSE_HANDLE_KILLPRIV_V2), lines[i].answered);
		ck_assert(!(fx.g.agreed & FUSE_HANDLE_KILLPRIV));
		ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS &
				  ~(uint64_t)FUSE_HANDLE_KILLPRIV_V2));
		ck_assert(!(fx.g.agreed & FUSE_HANDLE_KILLPRIV_V2));
		func_end();
	}
}
END_TEST

/* --- WRITE --- */

/* A write whose sender is not privileged: as on the host, sgid stays where it means locking. */
static const struct { mode_t before, after; } falls[] = {
	{ 06755, 0755 }, { 04755, 0755 }, { 02755, 0755 }, { 02745, 02745 }, { 06745, 02745 },
	{ 0755, 0755 }, { 01644, 01644 }, { 04644, 0644 },
};
#define FALLS (sizeof(falls) / sizeof(falls[0]))

START_TEST(write_takes_set_id_bits_when_the_guest_says_so)
{
	func_need_root();
	for (int agreed = 0; agreed < 2; agreed++) {
		func_start_with(agreed ? killpriv : NULL, NULL);
		for (size_t i = 0; i < FALLS; i++) {
			uint64_t n = make("f", falls[i].before), fh = func_open(n, O_RDWR);

			fx.g.write_flags = 0;
			ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, "x", 1, 0)), 1);
			ck_assert_uint_eq(mode_of("f"), falls[i].before);
			fx.g.write_flags = FUSE_WRITE_KILL_SUIDGID;
			ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, "x", 1, 0)), 1);
			ck_assert_msg(mode_of("f") == falls[i].after, "%o became %o",
				      falls[i].before, mode_of("f"));
			host(chmod(host_path("f"), falls[i].before));
			/* the thread has its rights back */
			fx.g.write_flags = 0;
			ok(guest_write(&fx.g, n, fh, "x", 1, 0));
			ck_assert_uint_eq(mode_of("f"), falls[i].before);
			ok(guest_release(&fx.g, n, fh));
		}
		func_end();
	}
}
END_TEST

START_TEST(write_takes_the_hosts_own_capabilities)
{
	func_need_root();
	func_start();

	uint64_t n = make("f", 0755), fh = func_open(n, O_RDWR);

	host(lsetxattr(host_path("f"), CAPS, caps, sizeof(caps), 0));
	fx.g.write_flags = FUSE_WRITE_KILL_SUIDGID;
	ok(guest_write(&fx.g, n, fh, "x", 1, 0));
	ck_assert_int_eq(lgetxattr(host_path("f"), CAPS, buf, sizeof(buf)), -1);
	func_end();
}
END_TEST

/* The guest is not told that they are gone: it has to ask before it runs the file. */
START_TEST(set_id_bits_are_not_remembered)
{
	for (int agreed = 0; agreed < 2; agreed++) {
		func_start_with((const char *[]){ "--cache=always",
						  agreed ? "--killpriv-v2" : "--no-killpriv-v2", NULL },
				NULL);
		for (mode_t mode = 0; mode <= 06000; mode += 02000) {
			struct fuse_entry_out e;
			struct fuse_attr_out a;
			uint64_t expected = agreed && mode ? 0 : 86400;

			make("f", mode | 0755);
			e = func_entry("f");
			ck_assert_uint_eq(e.attr_valid, expected);
			ck_assert_uint_eq(e.entry_valid, 86400);
			ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
			ck_assert_uint_eq(a.attr_valid, expected);
		}
		host(mkdir(host_path("d"), 0755));
		host(chmod(host_path("d"), 02755));
		ck_assert_uint_eq(func_entry("d").attr_valid, 86400);
		func_end();
	}
}
END_TEST

/* --- truncation --- */

static int set_size(uint64_t n, uint64_t fh, uint32_t more)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE | more, .size = 3, .fh = fh };

	if (fh != GUEST_NO_FH)
		in.valid |= FATTR_FH;
	return guest_setattr(&fx.g, n, &in, NULL);
}

START_TEST(truncate_takes_set_id_bits_when_the_guest_says_so)
{
	func_need_root();
	func_start_with(killpriv, NULL);
	for (size_t i = 0; i < FALLS; i++)
		for (int by_fh = 0; by_fh < 2; by_fh++) {
			uint64_t n = make("f", falls[i].before);
			uint64_t fh = by_fh ? func_open(n, O_RDWR) : GUEST_NO_FH;

			ok(set_size(n, fh, 0));
			ck_assert_uint_eq(mode_of("f"), falls[i].before);
			ok(set_size(n, fh, FATTR_KILL_SUIDGID));
			ck_assert_msg(mode_of("f") == falls[i].after, "%o became %o",
				      falls[i].before, mode_of("f"));
			ck_assert_int_eq(host_stat("f").st_size, 3);
			host(chmod(host_path("f"), falls[i].before));
			ok(set_size(n, fh, 0));
			ck_assert_uint_eq(mode_of("f"), falls[i].before);
		}
	func_end();
}
END_TEST

/* These do not say who may keep the bits: root may, whoever else it is may not. */
START_TEST(allocation_and_copy_take_set_id_bits_of_users)
{
	func_need_root();
	func_start_with(killpriv, NULL);
	host_text("from", "text");

	uint64_t from = func_node("from"), from_fh = func_open(from, O_RDONLY);

	for (int copy = 0; copy < 2; copy++)
		for (uid_t uid = 0; uid < 2; uid++) {
			uint64_t n = make("f", 06777), fh = func_open(n, O_RDWR);

			fx.g.uid = uid;
			if (copy)
				ok(guest_copy_file_range(&fx.g, from, from_fh, 0, n, fh, 0, 4, 0));
			else
				ok(guest_fallocate(&fx.g, n, fh, 0, 0, 100));
			ck_assert_uint_eq(mode_of("f"), uid ? 0777 : 06777);
			fx.g.uid = 0;
		}
	func_end();
}
END_TEST

START_TEST(open_with_truncation_takes_set_id_bits)
{
	func_need_root();
	func_start_with(killpriv, NULL);
	for (size_t i = 0; i < FALLS; i++) {
		uint64_t n = make("f", falls[i].before);

		fx.g.open_flags = FUSE_OPEN_KILL_SUIDGID;
		func_open(n, O_RDWR);	/* nothing is truncated */
		ck_assert_uint_eq(mode_of("f"), falls[i].before);
		fx.g.open_flags = 0;
		func_open(n, O_RDWR | O_TRUNC);
		ck_assert_uint_eq(mode_of("f"), falls[i].before);
		fx.g.open_flags = FUSE_OPEN_KILL_SUIDGID;
		host_write("f", "hello", 5);
		host(chmod(host_path("f"), falls[i].before));
		func_open(n, O_RDWR | O_TRUNC);
		ck_assert_int_eq(host_stat("f").st_size, 0);
		ck_assert_msg(mode_of("f") == falls[i].after, "%o became %o", falls[i].before,
			      mode_of("f"));
	}
	func_end();
}
END_TEST

START_TEST(create_with_truncation_takes_set_id_bits)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_need_root();
	func_start_with(killpriv, NULL);
	for (size_t i = 0; i < FALLS; i++) {
		make("f", falls[i].before);
		fx.g.open_flags = FUSE_OPEN_KILL_SUIDGID;
		ok(guest_create(&fx.g, ROOT, "f", O_RDWR | O_TRUNC, 0644, 0, &e, &o));
		ck_assert_int_eq(host_stat("f").st_size, 0);
		ck_assert_msg(mode_of("f") == falls[i].after, "%o became %o", falls[i].before,
			      mode_of("f"));
	}
	/* a new one has the mode that was asked for, whatever else is said */
	ok(guest_create(&fx.g, ROOT, "new", O_RDWR | O_TRUNC, 06755, 0, &e, &o));
	ck_assert_uint_eq(mode_of("new"), 06755);
	func_end();
}
END_TEST

/* --- chown --- */

START_TEST(chown_takes_set_id_bits)
{
	static const struct { uid_t uid; gid_t gid; } to[] = {
		{ 1, 1 }, { 1, -1 }, { -1, 1 }, { 0, 0 },
	};

	func_need_root();
	func_start_with(killpriv, NULL);
	for (size_t i = 0; i < FALLS; i++)
		for (int k = 0; k < 4; k++) {
			uint64_t n = make("f", falls[i].before);

			host(chown(host_path("f"), 0, 0));
			host(chmod(host_path("f"), falls[i].before));
			host_text("g", "x");
			host(chmod(host_path("g"), falls[i].before));
			host(chown(host_path("g"), to[k].uid, to[k].gid));
			ok(guest_chown(&fx.g, n, to[k].uid, to[k].gid));
			ck_assert_msg(mode_of("f") == mode_of("g"), "%o became %o, host %o",
				      falls[i].before, mode_of("f"), mode_of("g"));
			host(unlink(host_path("g")));
		}
	func_end();
}
END_TEST

START_TEST(mode_and_owner_at_once_keeps_the_mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE | FATTR_UID | FATTR_GID,
				      .mode = S_IFREG | 06711, .uid = 5, .gid = 6 };
	struct fuse_attr_out a;

	func_need_root();
	func_start_with(killpriv, NULL);

	uint64_t n = make("f", 0644);

	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_uint_eq(mode_of("f"), 06711);
	ck_assert_uint_eq(a.attr.mode, S_IFREG | 06711);
	ck_assert_uint_eq(a.attr.uid, 5);
	/* with a size as well: that comes last, and takes them if it says so */
	in.valid |= FATTR_SIZE;
	in.size = 1;
	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_uint_eq(mode_of("f"), 06711);
	in.valid |= FATTR_KILL_SUIDGID;
	in.size = 2;
	ok(guest_setattr(&fx.g, n, &in, &a));
	ck_assert_uint_eq(mode_of("f"), 0711);
	func_end();
}
END_TEST

/* --- capabilities that are somewhere else --- */

static void start_mapped(void)
{
	func_start_with((const char *[]){ "--xattrmap=:map::user.virtiofs.:", NULL }, NULL);
}

static uint64_t make_mapped(const char *name)
{
	uint64_t n = make(name, 0755);

	ok(guest_setxattr(&fx.g, n, CAPS, caps, sizeof(caps), 0));
	ck_assert_int_eq(host(lgetxattr(host_path(name), MAPPED, buf, sizeof(buf))), 20);
	ck_assert_mem_eq(buf, caps, sizeof(caps));
	ck_assert_int_eq(lgetxattr(host_path(name), CAPS, buf, sizeof(buf)), -1);
	host(lsetxattr(host_path(name), "user.virtiofs.user.other", "o", 1, 0));
	return n;
}

static void has_lost(const char *name, uint64_t n, const char *how)
{
	ck_assert_msg(lgetxattr(host_path(name), MAPPED, buf, sizeof(buf)) == -1,
		      "%s: still there", how);
	fails(guest_getxattr(&fx.g, n, CAPS, buf, sizeof(buf)), ENODATA);
	/* but nothing else */
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, "user.other", buf, sizeof(buf))), 1);
}

static void still_has(const char *name, const char *how)
{
	ck_assert_msg(lgetxattr(host_path(name), MAPPED, buf, sizeof(buf)) == sizeof(caps),
		      "%s: gone", how);
}

START_TEST(remapped_capabilities_fall_on_write)
{
	start_mapped();
	for (int kill = 0; kill < 2; kill++) {
		uint64_t n = make_mapped("f"), fh = func_open(n, O_RDWR);

		still_has("f", "open");
		ok(guest_read(&fx.g, n, fh, buf, 5, 0));
		ok(guest_chmod(&fx.g, n, 0700));
		still_has("f", "read and chmod");
		fx.g.write_flags = kill ? FUSE_WRITE_KILL_SUIDGID : 0;
		ok(guest_write(&fx.g, n, fh, "x", 1, 0));
		has_lost("f", n, "write");
		/* and again: there is nothing to take away any more */
		ok(guest_write(&fx.g, n, fh, "y", 1, 0));
	}
	func_end();
}
END_TEST

START_TEST(remapped_capabilities_fall_on_truncation)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start_mapped();

	uint64_t n = make_mapped("size");

	ok(set_size(n, GUEST_NO_FH, 0));
	has_lost("size", n, "truncate");
	n = make_mapped("fh");
	ok(set_size(n, func_open(n, O_RDWR), FATTR_KILL_SUIDGID));
	has_lost("fh", n, "ftruncate");
	n = make_mapped("open");
	func_open(n, O_RDWR | O_TRUNC);
	has_lost("open", n, "open with O_TRUNC");
	n = make_mapped("create");
	ok(guest_create(&fx.g, ROOT, "create", O_RDWR | O_TRUNC, 0644, 0, &e, &o));
	has_lost("create", n, "create with O_TRUNC");
	func_end();
}
END_TEST

START_TEST(remapped_capabilities_fall_on_chown)
{
	func_need_root();
	start_mapped();

	uint64_t n = make_mapped("f");

	ok(guest_chown(&fx.g, n, 1, -1));
	has_lost("f", n, "chown");
	n = make_mapped("g");
	ok(guest_chown(&fx.g, n, -1, 1));
	has_lost("g", n, "chgrp");
	func_end();
}
END_TEST

/* The kernel takes its own on these as well. */
START_TEST(remapped_capabilities_fall_on_allocation_and_copy)
{
	start_mapped();

	uint64_t n = make_mapped("f"), fh = func_open(n, O_RDWR);

	ok(guest_fallocate(&fx.g, n, fh, 0, 0, 10000));
	has_lost("f", n, "fallocate");
	n = make_mapped("g");
	fh = func_open(n, O_RDWR);

	uint64_t from = make("from", 0644);

	ok(guest_copy_file_range(&fx.g, from, func_open(from, O_RDONLY), 0, n, fh, 0, 5, 0));
	has_lost("g", n, "copy_file_range");
	func_end();
}
END_TEST

START_TEST(files_that_have_no_capabilities_are_changed_as_ever)
{
	start_mapped();
	host(mkdir(host_path("d"), 0755));
	host(symlink("x", host_path("l")));
	host(mkfifo(host_path("p"), 0600));
	fails(guest_truncate(&fx.g, func_node("d"), 0), EISDIR);
	/* links have no user.*: that must not keep anybody from changing their owner */
	ok(guest_chown(&fx.g, func_node("l"), getuid(), getgid()));
	ok(guest_chown(&fx.g, func_node("p"), getuid(), getgid()));
	ok(guest_chown(&fx.g, func_node("d"), getuid(), getgid()));
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("priv", argc, argv);
	func_test(killpriv_v2_is_answered_by_option);
	func_test(write_takes_set_id_bits_when_the_guest_says_so);
	func_test(write_takes_the_hosts_own_capabilities);
	func_test(set_id_bits_are_not_remembered);
	func_test(truncate_takes_set_id_bits_when_the_guest_says_so);
	func_test(allocation_and_copy_take_set_id_bits_of_users);
	func_test(open_with_truncation_takes_set_id_bits);
	func_test(create_with_truncation_takes_set_id_bits);
	func_test(chown_takes_set_id_bits);
	func_test(mode_and_owner_at_once_keeps_the_mode);
	func_test(remapped_capabilities_fall_on_write);
	func_test(remapped_capabilities_fall_on_truncation);
	func_test(remapped_capabilities_fall_on_chown);
	func_test(remapped_capabilities_fall_on_allocation_and_copy);
	func_test(files_that_have_no_capabilities_are_changed_as_ever);
	return func_done();
}
