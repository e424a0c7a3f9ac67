/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Mounts below the share: the guest is told where one begins (--announce-submounts, the default),
 * and files that differ by their mount alone are different nodes.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID
#define SUBMOUNT(e) (!!((e)->attr.flags & FUSE_ATTR_SUBMOUNT))

static char buf[65536];

/* {share}/m is a tmpfs with a directory in it, {share}/d is none. */
static void start(const char *const *args)
{
	struct daemon_opts o = { .args = args };

	func_need_root();
	ok(daemon_prepare(&fx.d));
	host(mkdir(host_path("m"), 0755));
	host(mkdir(host_path("d"), 0755));
	host_mount("tmpfs", "m");
	host(mkdir(host_path("m/inside"), 0755));
	host_text("m/f", "x");
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
}

/* Hangs up, and takes the mount away, which a tree cannot be removed with. */
static void end(void)
{
	host(umount2(host_path("m"), MNT_DETACH));
	func_end();
}

static bool listed_as_submount(const char *name)
{
	struct fuse_open_out o;
	const struct fuse_direntplus *d;
	size_t at = 0;

	ok(guest_opendir(&fx.g, ROOT, &o));

	ssize_t n = ok(guest_readdirplus(&fx.g, ROOT, o.fh, 0, buf, sizeof(buf)));

	while ((d = guest_direntplus(buf, n, &at)) != NULL)
		if (d->dirent.namelen == strlen(name) &&
		    memcmp(d->dirent.name, name, d->dirent.namelen) == 0)
			return SUBMOUNT(&d->entry_out);
	ck_abort_msg("%s is not listed", name);
}

START_TEST(mounts_are_announced_where_they_begin)
{
	struct fuse_entry_out m, e;

	start((const char *[]){ "--cache=auto", NULL });
	ck_assert(fx.g.agreed & FUSE_SUBMOUNTS);
	m = func_entry("m");
	ck_assert(SUBMOUNT(&m));
	e = func_entry("d");
	ck_assert(!SUBMOUNT(&e));
	ck_assert(listed_as_submount("m") && !listed_as_submount("d"));
	/* not again further down, for files, or on the way up */
	ok(guest_lookup(&fx.g, m.nodeid, "inside", &e));
	ck_assert(!SUBMOUNT(&e));
	ok(guest_lookup(&fx.g, m.nodeid, "f", &e));
	ck_assert(!SUBMOUNT(&e));
	ok(guest_lookup(&fx.g, m.nodeid, "..", &e));
	ck_assert(!SUBMOUNT(&e));
	ck_assert_uint_eq(e.nodeid, ROOT);
	end();
}
END_TEST

START_TEST(the_option_or_the_guest_may_say_no)
{
	static const char *const lines[][3] = {
		{ "--cache=auto", "--no-announce-submounts", NULL },
		{ "-o", "no_announce_submounts", NULL },
		{ NULL },
	};
	struct fuse_entry_out e;

	for (int i = 0; i < 3; i++) {
		start(lines[i]);
		if (i == 2)
			ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~(uint64_t)FUSE_SUBMOUNTS));
		ck_assert(!(fx.g.agreed & FUSE_SUBMOUNTS));
		e = func_entry("m");
		ck_assert(!SUBMOUNT(&e));
		ok(guest_lookup(&fx.g, e.nodeid, "f", &e));
		end();
	}
}
END_TEST

START_TEST(the_later_option_counts)
{
	struct fuse_entry_out e;

	start((const char *[]){ "--no-announce-submounts", "-o", "announce_submounts", NULL });
	e = func_entry("m");
	ck_assert(SUBMOUNT(&e));
	end();
}
END_TEST

/* One directory, seen through two mounts: the inode is the same, the node is not. */
START_TEST(mount_is_a_part_of_a_nodes_identity)
{
	struct fuse_entry_out first, second;

	start(NULL);
	host(mount(host_path("m"), host_path("d"), NULL, MS_BIND, NULL));
	/* the daemon has the mounts that were there when it started: start it again */
	func_hang_up();
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 0);
	host(unlink(fx.d.log));	/* it says "ready" of the first one */
	ok(daemon_spawn(&fx.d, NULL));
	func_connect(NULL);
	func_init_session();
	first = func_entry("m/inside");
	second = func_entry("d/inside");
	ck_assert_uint_eq(first.attr.ino, second.attr.ino);
	ck_assert_uint_ne(first.nodeid, second.nodeid);
	host(umount2(host_path("d"), MNT_DETACH));
	end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("submount", argc, argv);
	func_test(mounts_are_announced_where_they_begin);
	func_test(the_option_or_the_guest_may_say_no);
	func_test(the_later_option_counts);
	func_test(mount_is_a_part_of_a_nodes_identity);
	return func_done();
}
