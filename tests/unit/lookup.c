/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/lookup: where a name becomes a node, and never leaves the share. */
#include "fs/lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"

#define ROOT FUSE_ROOT_ID

static struct client c;

static const char *path_of(const char *name)
{
	static char path[2][128];
	static int turn;

	turn = !turn;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", unit_dir, name);
	return path[turn];
}

/* unit_dir/share is what is shared; unit_dir/out lies beside it. */
static void setup(void)
{
	struct config cfg = { .cache = CACHE_AUTO, .entry_timeout = -1,
			      .attr_timeout = -1,
			      .negative_timeout = -1 };
	int root;

	mkdir(path_of("share"), 0755);
	mkdir(path_of("out"), 0755);
	mkdir(path_of("share/a"), 0755);
	mkdir(path_of("share/a/b"), 0755);
	unit_write_file("share/file", "x", 1);
	client_start_bare(&c, CACHE_AUTO);
	fs_destroy(&c.fs);
	root = share_open(path_of("share"));
	ck_assert_int_ge(root, 0);
	ck_ok(fs_init(&c.fs, &c.arena, &cfg, &root));
	ck_ok(client_init(&c));
}

static void teardown(void)
{
	client_stop(&c);
}

static int look_up(uint64_t parent, const char *name,
		   struct fuse_entry_out *ret)
{
	struct node_pin dir = { 0 };
	int r;

	ck_ok(node_pin(&c.fs.nodes, parent, &dir));
	r = lookup_child(&c.fs, &dir, name, LOOKUP_TO_KNOW, NULL, ret);
	node_unpin(&dir);
	return r;
}

static uint64_t id_of(uint64_t parent, const char *name)
{
	struct fuse_entry_out e;

	ck_ok(look_up(parent, name, &e));
	return e.nodeid;
}

static uint64_t ino_of(const char *name)
{
	struct stat st;

	ck_assert_int_eq(lstat(path_of(name), &st), 0);
	return st.st_ino;
}

START_TEST(attributes_come_with_the_node)
{
	struct fuse_entry_out e;

	ck_ok(look_up(ROOT, "file", &e));
	ck_assert_uint_ne(e.nodeid, 0);
	ck_assert_uint_eq(e.attr.ino, ino_of("share/file"));
	ck_assert_uint_eq(e.attr.size, 1);
	ck_assert_uint_eq(e.entry_valid, 1);
	lookup_undo(&c.fs, NULL, &e);
	ck_assert_uint_eq(node_table_count(&c.fs.nodes), 1);
}
END_TEST

START_TEST(failed_lookups_leave_nothing)
{
	struct client_counts before = client_counts(&c);
	struct fuse_entry_out e;

	ck_assert_int_eq(look_up(ROOT, "nobody", &e), -ENOENT);
	ck_assert_int_eq(look_up(ROOT, "file/", &e), -ENOTDIR);
	client_check_counts(&c, &before);
	memset(&e, 0, sizeof(e));
	lookup_undo(&c.fs, NULL, &e);
	client_check_counts(&c, &before);
}
END_TEST

START_TEST(dots)
{
	struct fuse_entry_out e;
	uint64_t a = id_of(ROOT, "a"), b = id_of(a, "b"), f = id_of(ROOT, "file");

	ck_assert_uint_eq(id_of(ROOT, "."), ROOT);
	ck_assert_uint_eq(id_of(ROOT, ".."), ROOT);
	ck_assert_uint_eq(id_of(a, "."), a);
	ck_assert_uint_eq(id_of(a, ".."), ROOT);
	ck_assert_uint_eq(id_of(b, ".."), a);
	/* NFS export asks for a file's own node so, too. */
	ck_assert_uint_eq(id_of(f, "."), f);
	ck_assert_int_eq(look_up(f, "..", &e), -ENOTDIR);
}
END_TEST

/* A directory that a host's user has moved away: its ".." is outside. */
START_TEST(moved_out_directory_has_no_parent)
{
	struct client_counts before;
	struct fuse_entry_out e;
	uint64_t a = id_of(ROOT, "a"), b = id_of(a, "b");

	ck_assert_int_eq(rename(path_of("share/a"), path_of("out/a")), 0);
	before = client_counts(&c);
	ck_assert_int_eq(look_up(a, "..", &e), -ESTALE);
	ck_assert_int_eq(look_up(b, "..", &e), -ESTALE);
	client_check_counts(&c, &before);
	ck_assert_int_eq(rename(path_of("out/a"), path_of("share/a")), 0);
	ck_assert_uint_eq(id_of(b, ".."), a);
}
END_TEST

static void use(uint64_t id)
{
	struct node_pin p = { 0 };

	ck_ok(node_pin(&c.fs.nodes, id, &p));
	node_unpin(&p);
}

START_TEST(links_are_not_followed)
{
	struct fuse_entry_out e;

	(void)unlink(path_of("share/link"));
	ck_assert_int_eq(symlink("../out", path_of("share/link")), 0);
	ck_ok(look_up(ROOT, "link", &e));
	ck_assert(S_ISLNK(e.attr.mode));
	/* Nor on the way. */
	ck_assert_int_eq(look_up(e.nodeid, "x", &e), -ENOTDIR);
}
END_TEST

START_TEST(two_names_are_one_node)
{
	(void)unlink(path_of("share/second"));
	ck_assert_int_eq(link(path_of("share/file"), path_of("share/second")), 0);
	ck_assert_uint_eq(id_of(ROOT, "file"), id_of(ROOT, "second"));
	(void)unlink(path_of("share/second"));
}
END_TEST

/* Inode numbers are used again by the host at once; nodes that the guest has used
 * are not. */
START_TEST(new_file_is_a_new_node)
{
	unsigned int same_ino = 0;

	for (int i = 0; i < 50; i++) {
		struct fuse_entry_out old, new;

		unit_write_file("share/short-lived", "", 0);
		ck_ok(look_up(ROOT, "short-lived", &old));
		use(old.nodeid);
		ck_assert_int_eq(unlink(path_of("share/short-lived")), 0);
		unit_write_file("share/short-lived", "", 0);
		ck_ok(look_up(ROOT, "short-lived", &new));
		ck_assert_uint_ne(old.nodeid, new.nodeid);
		same_ino += old.attr.ino == new.attr.ino;
		lookup_undo(&c.fs, NULL, &old);
		lookup_undo(&c.fs, NULL, &new);
		unlink(path_of("share/short-lived"));
	}
	/* The node's descriptor keeps the number of the old file in use. */
	ck_assert_uint_eq(same_ino, 0);
}
END_TEST

START_TEST(descriptor_becomes_a_node)
{
	struct fuse_entry_out e;
	struct node_pin root = { 0 };
	int fd = fd_openat(AT_FDCWD, path_of("share/file"), O_PATH, 0);

	ck_ok(node_pin(&c.fs.nodes, ROOT, &root));
	ck_ok(lookup_fd(&c.fs, &root, &fd, NULL, &e));
	node_unpin(&root);
	ck_assert_int_eq(fd, -1);
	ck_assert_uint_eq(e.nodeid, id_of(ROOT, "file"));
}
END_TEST

/* The other way round: it was looked up first, and is not open for that. */
START_TEST(file_that_was_looked_up_is_the_node_when_it_is_opened)
{
	uint64_t id = id_of(ROOT, "file");
	struct fuse_entry_out e;
	struct node_pin root = { 0 };
	int fd = fd_openat(AT_FDCWD, path_of("share/file"), O_PATH, 0);

	ck_ok(node_pin(&c.fs.nodes, ROOT, &root));
	ck_ok(lookup_fd(&c.fs, &root, &fd, NULL, &e));
	node_unpin(&root);
	ck_assert_uint_eq(e.nodeid, id);
	use(id);
}
END_TEST

/* What threads look up at the same time, makes and loses it, is counted right. */
static void look_and_forget(void *arg, unsigned int no)
{
	for (unsigned int i = 0; i < unit_rounds(5000); i++) {
		struct node_pin root = { 0 };
		struct fuse_entry_out e;

		must(node_pin(&c.fs.nodes, ROOT, &root) == 0);
		must(lookup_child(&c.fs, &root, i % 2 ? "file" : "a",
				  LOOKUP_TO_KNOW, NULL,
				  &e) == 0);
		node_unpin(&root);
		lookup_undo(&c.fs, NULL, &e);
	}
}

START_TEST(lookups_race)
{
	struct client_counts before = client_counts(&c);

	unit_threads(6, look_and_forget, NULL);
	client_check_counts(&c, &before);
}
END_TEST

START_TEST(share_is_a_directory_or_a_file)
{
	_cleanup_close_ int dir = share_open(path_of("share"));
	_cleanup_close_ int file = share_open(path_of("share/file"));

	ck_assert_int_ge(dir, 0);
	ck_assert_int_ge(file, 0);
	log_init(LOG_LEVEL_OFF, false);
	ck_assert_int_eq(share_open("/dev/null"), -EINVAL);
	ck_assert_int_eq(share_open(path_of("share/file/")), -ENOTDIR);
	ck_assert_int_eq(share_open(path_of("nowhere")), -ENOENT);
	ck_assert_int_eq(share_open(""), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("lookup");
	TCase *tc = unit_tcase(s, "names to nodes", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, attributes_come_with_the_node);
	tcase_add_test(tc, failed_lookups_leave_nothing);
	tcase_add_test(tc, dots);
	tcase_add_test(tc, moved_out_directory_has_no_parent);
	tcase_add_test(tc, links_are_not_followed);
	tcase_add_test(tc, two_names_are_one_node);
	tcase_add_test(tc, new_file_is_a_new_node);
	tcase_add_test(tc, descriptor_becomes_a_node);
	tcase_add_test(tc, file_that_was_looked_up_is_the_node_when_it_is_opened);
	tcase_add_test(tc, lookups_race);
	tcase_add_test(tc, share_is_a_directory_or_a_file);
	return unit_run(s);
}
