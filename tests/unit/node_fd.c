/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fs/node_fd: more nodes than descriptors. Files of the real file system below
 * unit_dir, a process with few descriptors, and handles where it has them.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/node.h"
#include "unit.h"

#define LIMIT 256 /* descriptors of the process; guests get three quarters */
#define FILES 600

static struct arena arena;
static struct node_table table;
static int dir_fd; /* the share, for the test's own calls */
static uint64_t id[FILES];

static int open_share(int flags)
{
	return fd_openat(AT_FDCWD, unit_dir, flags | O_DIRECTORY, 0);
}

/* False if this user or file system has no handles: nothing to be tested. */
static bool have_handles(void)
{
	if (table.fds.budget != LONG_MAX)
		return true;
	fprintf(stderr, "skipped: no file handles here\n");
	return false;
}

static void setup_mode(enum handle_mode mode)
{
	const struct rlimit rl = { LIMIT, LIMIT };
	int fd;

	ck_ok(setrlimit(RLIMIT_NOFILE, &rl));
	fd_set_reserve();
	unit_enter_fd_directory();
	unit_arena(&arena, 1U << 16, 64);
	fd = open_share(O_PATH);
	dir_fd = open_share(O_RDONLY);
	must(fd >= 0 && dir_fd >= 0);
	ck_ok(node_table_init(&table, &arena, mode, &fd));
	fd_set_relief(node_fds_relieve, &table);
}

static void setup(void)
{
	setup_mode(HANDLES_AUTO);
}

static void setup_never(void)
{
	setup_mode(HANDLES_NEVER);
}

static void teardown(void)
{
	fd_set_relief(NULL, NULL);
	node_table_destroy(&table);
	unit_arena_destroy(&arena);
	ck_ok(fd_close(&dir_fd));
	ck_assert_int_eq(fd_count(), 0);
}

static void get_statx(int fd, struct statx *ret)
{
	must(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID,
		   ret) == 0);
}

/* A LOOKUP of @name in @dir, which is pinned. */
static int enter_in(const struct node_pin *dir, const char *name,
		    uint64_t *ret_id)
{
	struct statx stx;
	int fd = fd_open_for_guest(dir->fd, name, O_PATH | O_NOFOLLOW, 0);

	if (fd < 0)
		return fd;
	get_statx(fd, &stx);
	return node_enter(&table, dir, &stx, &fd, ret_id);
}

static int enter(const char *name, uint64_t *ret_id)
{
	_cleanup_unpin_ struct node_pin root = { 0 };

	must(node_pin(&table, NODE_ROOT_ID, &root) == 0);
	return enter_in(&root, name, ret_id);
}

static const char *file_name(unsigned int i)
{
	static _Thread_local char name[32];

	snprintf(name, sizeof(name), "file%u", i);
	return name;
}

static void make_files(void)
{
	for (unsigned int i = 0; i < FILES; i++) {
		unit_write_file(file_name(i), "x", 1);
		must(enter(file_name(i), &id[i]) == 0);
	}
}

static ino_t ino_of_name(const char *name)
{
	struct stat st;

	must(fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0);
	return st.st_ino;
}

/* The descriptor that a pin gives is the file's own. */
static int check_node(uint64_t node, ino_t ino)
{
	_cleanup_unpin_ struct node_pin p = { 0 };
	struct stat st;
	int r = node_pin(&table, node, &p);

	if (r < 0)
		return r;
	must(p.fd >= 0 && fstat(p.fd, &st) == 0);
	must(st.st_ino == ino);
	return 0;
}

/* Without being a use of it. */
static bool has_fd(uint64_t node)
{
	const struct node *n = slots_at(&table.slots,
					(uint32_t)node & (SLOTS_MAX - 1));

	must(slots_id(&table.slots, n) == node);
	return atomic_load((_Atomic int32_t *)&n->fd) >= 0;
}

/* Has everyone but the nodes in use give up its descriptor. */
static void chill(void)
{
	while (node_fds_relieve(&table))
		;
}

START_TEST(more_nodes_than_descriptors)
{
	if (!have_handles())
		return;
	make_files();
	ck_assert_uint_eq(node_table_count(&table), FILES + 1);
	ck_assert_int_le(fd_count(), table.fds.budget + 2);
	for (unsigned int round = 0; round < 3; round++)
		for (unsigned int i = 0; i < FILES; i++)
			ck_ok(check_node(id[i], ino_of_name(file_name(i))));
	ck_assert_int_le(fd_count(), table.fds.budget + 2);
	for (unsigned int i = 0; i < FILES; i++)
		must(node_forget(&table, id[i], 1));
	ck_assert_uint_eq(node_table_count(&table), 1);
	/* The arena, the share twice, and its mount. */
	ck_assert_int_eq(fd_count(), 4);
}
END_TEST

START_TEST(every_kind_of_file)
{
	static const char *const names[] = { "d", "fifo", "link", "dangling",
					     "sock" };
	uint64_t node[ARRAY_SIZE(names)];

	if (!have_handles())
		return;
	must(mkdirat(dir_fd, "d", 0755) == 0);
	must(mkfifoat(dir_fd, "fifo", 0600) == 0);
	must(symlinkat("d", dir_fd, "link") == 0);
	must(symlinkat("nowhere", dir_fd, "dangling") == 0);
	must(mknodat(dir_fd, "sock", S_IFSOCK | 0600, 0) == 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_ok(enter(names[i], &node[i]));
	chill();
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_msg(!has_fd(node[i]), "%s kept its descriptor",
			      names[i]);
		ck_ok(check_node(node[i], ino_of_name(names[i])));
	}
}
END_TEST

START_TEST(nodes_in_use_keep_theirs)
{
	enum { HOT = 20 };
	unsigned int lost = 0;

	if (!have_handles())
		return;
	for (unsigned int i = 0; i < FILES; i++) {
		unit_write_file(file_name(i), "x", 1);
		ck_ok(enter(file_name(i), &id[i]));
		for (unsigned int k = 0; k < HOT && k <= i; k++) {
			lost += !has_fd(id[k]);
			ck_ok(check_node(id[k], ino_of_name(file_name(k))));
		}
	}
	ck_assert_uint_le(lost, 2);
}
END_TEST

START_TEST(pinned_node_keeps_its_descriptor)
{
	struct node_pin p = { 0 };
	struct stat st;

	if (!have_handles())
		return;
	unit_write_file("pinned", "x", 1);
	ck_ok(enter("pinned", &id[0]));
	ck_ok(node_pin(&table, id[0], &p));
	chill();
	ck_ok(fstat(p.fd, &st));
	ck_assert_uint_eq(st.st_ino, ino_of_name("pinned"));
	ck_assert(has_fd(id[0]));
	node_unpin(&p);
	chill();
	ck_assert(!has_fd(id[0]));
}
END_TEST

START_TEST(lookup_brings_the_descriptor_back)
{
	uint64_t again;

	if (!have_handles())
		return;
	unit_write_file("f", "x", 1);
	ck_ok(enter("f", &id[0]));
	chill();
	ck_assert(!has_fd(id[0]));
	ck_ok(enter("f", &again));
	ck_assert_uint_eq(again, id[0]);
	ck_assert(has_fd(id[0]));
	ck_assert(!node_forget(&table, id[0], 1));
	ck_assert(node_forget(&table, id[0], 1));
}
END_TEST

/* What the guest has removed stays until it forgets it. */
START_TEST(removed_file_lives_on)
{
	ino_t ino[3];

	if (!have_handles())
		return;
	for (unsigned int i = 0; i < 3; i++) {
		unit_write_file(file_name(i), "x", 1);
		ck_ok(enter(file_name(i), &id[i]));
		ino[i] = ino_of_name(file_name(i));
	}
	/* Before descriptors are short, with its descriptor, without it. */
	unit_remove_name(&table, file_name(0), 0);
	chill();
	ck_assert(has_fd(id[0]));
	ck_ok(enter(file_name(1), &id[1]));
	ck_assert(has_fd(id[1]));
	unit_remove_name(&table, file_name(1), 0);
	ck_assert(!has_fd(id[2]));
	unit_remove_name(&table, file_name(2), 0);
	chill();
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(has_fd(id[i]));
		ck_ok(check_node(id[i], ino[i]));
	}
}
END_TEST

/* Who began to remove a name before descriptors were short has not looked
 * whether the guest holds the file. */
START_TEST(removal_that_has_begun_is_waited_for)
{
	struct node_removal removal;
	struct node_pin root = { 0 };
	ino_t ino;

	if (!have_handles())
		return;
	unit_write_file("f", "x", 1);
	ino = ino_of_name("f");
	ck_ok(enter("f", &id[0]));
	ck_ok(node_pin(&table, NODE_ROOT_ID, &root));
	node_removal_enter(&table, &root, "f", 0, &removal);
	chill();
	ck_assert(has_fd(id[0]));
	ck_ok(unlinkat(dir_fd, "f", 0));
	node_removal_leave(&removal);
	chill();
	ck_ok(check_node(id[0], ino));
	node_unpin(&root);
}
END_TEST

/* What the host removes is gone, also if the number is in use again. */
START_TEST(number_in_use_again_is_another_file)
{
	unsigned int reused = 0;

	if (!have_handles())
		return;
	for (unsigned int i = 0; i < 50; i++) {
		uint64_t old, new;
		ino_t ino;

		unit_write_file("a", "old", 3);
		ino = ino_of_name("a");
		ck_ok(enter("a", &old));
		chill();
		ck_ok(unlinkat(dir_fd, "a", 0));
		unit_write_file("b", "new", 3);
		ck_ok(enter("b", &new));
		ck_assert_uint_ne(old, new);
		ck_assert_int_eq(check_node(old, ino), -ESTALE);
		ck_ok(check_node(new, ino_of_name("b")));
		reused += ino_of_name("b") == ino;
		ck_assert(node_forget(&table, old, 1));
		ck_assert(node_forget(&table, new, 1));
		ck_ok(unlinkat(dir_fd, "b", 0));
	}
	fprintf(stderr, "%u of 50 numbers were used again\n", reused);
	ck_assert_uint_eq(node_table_count(&table), 1);
}
END_TEST

/* Two files with one number, as some file systems have them. */
START_TEST(numbers_that_do_not_tell_files_apart)
{
	_cleanup_unpin_ struct node_pin root = { 0 };
	uint64_t a, b, again;
	struct statx stx;
	int fd;

	if (!have_handles())
		return;
	ck_ok(node_pin(&table, NODE_ROOT_ID, &root));
	root.node->flags |= FSCLASS_UNSTABLE << NODE_CLASS_SHIFT;
	unit_write_file("a", "x", 1);
	unit_write_file("b", "x", 1);
	ck_ok(enter_in(&root, "a", &a));
	fd = fd_openat(dir_fd, "a", O_PATH, 0);
	get_statx(fd, &stx);
	ck_ok(fd_close(&fd));
	fd = fd_openat(dir_fd, "b", O_PATH, 0);
	ck_ok(node_enter(&table, &root, &stx, &fd, &b));
	ck_assert_uint_ne(a, b);
	ck_ok(enter_in(&root, "a", &again));
	ck_assert_uint_eq(a, again);
	fd = fd_openat(dir_fd, "b", O_PATH, 0);
	ck_ok(node_enter(&table, &root, &stx, &fd, &again));
	ck_assert_uint_eq(b, again);
	/* Their handles may go stale: without being asked to, nobody relies on
	 * them. */
	chill();
	ck_assert(has_fd(a));
	ck_assert(has_fd(b));
}
END_TEST

START_TEST(open_files_take_the_place_of_nodes)
{
	int fd[LIMIT], n = 0;

	if (!have_handles())
		return;
	make_files();
	/* All that the guest may have, but for one or two that are on their
	 * way. */
	while (n < LIMIT && (fd[n] = fd_open_for_guest(dir_fd, file_name(0),
						       O_RDONLY, 0)) >= 0)
		n++;
	ck_assert_int_eq(fd[n], -ENFILE);
	ck_assert_int_ge(n, fd_guest_limit() - 8);
	while (n > 0)
		ck_ok(fd_close(&fd[--n]));
	for (unsigned int i = 0; i < FILES; i++)
		ck_ok(check_node(id[i], ino_of_name(file_name(i))));
}
END_TEST

START_TEST(without_handles_the_limit_is_an_error)
{
	int r = 0;

	for (unsigned int i = 0; i < FILES && r == 0; i++) {
		unit_write_file(file_name(i), "x", 1);
		r = enter(file_name(i), &id[i]);
	}
	ck_assert_int_eq(r, -ENFILE);
	ck_assert(!node_fds_relieve(&table));
	ck_ok(check_node(id[3], ino_of_name(file_name(3))));
}
END_TEST

/* -- a mount below the share ------------------------------------------------ */

static bool mounted;

/* In a mount namespace of its own, in which the share is opened. */
static void setup_mount(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/m", unit_dir);
	must(mkdir(path, 0755) == 0);
	mounted = unshare(CLONE_NEWNS) == 0 &&
		  mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
		  mount("tmpfs", path, "tmpfs", 0, NULL) == 0;
	if (!mounted)
		fprintf(stderr, "skipped: no mount below the share: %m\n");
	setup();
}

static void unmount_below(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/m", unit_dir);
	ck_assert_msg(umount(path) == 0, "umount: %m");
}

START_TEST(mount_below_can_go_when_its_nodes_have_gone)
{
	struct node_pin m = { 0 };
	uint64_t mount_id, file_id;

	if (!have_handles() || !mounted)
		return;
	unit_write_file("m/f", "x", 1);
	ck_ok(enter("m", &mount_id));
	ck_ok(node_pin(&table, mount_id, &m));
	ck_ok(enter_in(&m, "f", &file_id));
	node_unpin(&m);
	for (int i = 0; i < 3; i++) {
		chill();
		ck_assert(!has_fd(mount_id));
		ck_assert(!has_fd(file_id));
		ck_ok(check_node(file_id, ino_of_name("m/f")));
		ck_ok(check_node(mount_id, ino_of_name("m")));
	}
	ck_assert(node_forget(&table, file_id, 1));
	ck_assert(node_forget(&table, mount_id, 1));
	unmount_below();
}
END_TEST

/* -- threads ---------------------------------------------------------------- */

static ino_t ino[FILES];
static atomic_uint at_work;

static void work(void *arg, unsigned int no)
{
	unsigned int rounds = unit_rounds(20000);
	uint32_t seed = no + 1;
	uint64_t again;

	for (unsigned int i = 0; i < rounds; i++) {
		unsigned int k = unit_random(&seed) % FILES;

		switch (no % 4) {
		case 0:
			must(enter(file_name(k), &again) == 0);
			must(again == id[k]);
			must(!node_forget(&table, again, 1));
			break;
		case 1:
			node_fds_relieve(&table);
			break;
		default:
			must(check_node(id[k], ino[k]) == 0);
		}
	}
	atomic_fetch_add(&at_work, 1);
}

START_TEST(threads_that_take_and_give)
{
	if (!have_handles())
		return;
	make_files();
	for (unsigned int i = 0; i < FILES; i++)
		ino[i] = ino_of_name(file_name(i));
	unit_threads(4, work, NULL);
	ck_assert_uint_eq(atomic_load(&at_work), 4);
	for (unsigned int i = 0; i < FILES; i++)
		ck_assert(node_forget(&table, id[i], 1));
	ck_assert_int_eq(fd_count(), 4);
}
END_TEST

/* Files are removed and must not be lost while descriptors get short. */
static void remove_or_relieve(void *arg, unsigned int no)
{
	if (no == 1) {
		for (unsigned int i = 0; i < FILES * 4; i++)
			node_fds_relieve(&table);
		return;
	}
	for (unsigned int i = 0; i < FILES; i++) {
		struct node_removal removal;
		struct node_pin root = { 0 };

		must(node_pin(&table, NODE_ROOT_ID, &root) == 0);
		node_removal_enter(&table, &root, file_name(i), 0, &removal);
		must(unlinkat(dir_fd, file_name(i), 0) == 0);
		node_removal_leave(&removal);
		node_unpin(&root);
		must(check_node(id[i], ino[i]) == 0);
		must(node_forget(&table, id[i], 1));
	}
}

START_TEST(removals_race_with_the_shortage)
{
	if (!have_handles())
		return;
	for (unsigned int round = 0; round < unit_rounds(20); round++) {
		make_files();
		for (unsigned int i = 0; i < FILES; i++)
			ino[i] = ino_of_name(file_name(i));
		unit_threads(2, remove_or_relieve, NULL);
		node_table_clear(&table);
	}
}
END_TEST

/* -- modes ------------------------------------------------------------------ */

START_TEST(who_prefers_handles_keeps_few_descriptors)
{
	struct rlimit rl = { 20000, 20000 };
	struct node_fds f;
	int mount_fd = -1, root = open_share(O_PATH);

	if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
		return;
	fd_set_reserve();
	unit_enter_fd_directory();
	ck_ok(node_fds_init(&f, HANDLES_PREFER, root, &mount_fd));
	if (f.budget != LONG_MAX) {
		ck_assert_int_eq(f.budget, NODE_FDS_PREFER);
		node_fds_destroy(&f);
		(void)fd_close(&mount_fd);
		ck_ok(node_fds_init(&f, HANDLES_AUTO, root, &mount_fd));
		ck_assert_int_gt(f.budget, NODE_FDS_PREFER);
		ck_assert_int_lt(f.budget, fd_guest_limit());
	}
	node_fds_destroy(&f);
	(void)fd_close(&mount_fd);
	ck_ok(node_fds_init(&f, HANDLES_NEVER, root, &mount_fd));
	ck_assert_int_eq(f.budget, LONG_MAX);
	ck_assert_int_eq(mount_fd, -1);
	(void)fd_close(&root);
}
END_TEST

/* /proc has no handles. */
START_TEST(handles_that_must_be_and_are_not)
{
	int root = fd_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);

	unit_arena(&arena, 1024, 64);
	unit_enter_fd_directory();
	ck_assert_int_eq(node_table_init(&table, &arena, HANDLES_MANDATORY,
					 &root), -EOPNOTSUPP);
	ck_assert_int_eq(root, -1);
	unit_arena_destroy(&arena);
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("node_fd");
	TCase *tc = unit_tcase(s, "descriptors", 60);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, more_nodes_than_descriptors);
	tcase_add_test(tc, every_kind_of_file);
	tcase_add_test(tc, nodes_in_use_keep_theirs);
	tcase_add_test(tc, pinned_node_keeps_its_descriptor);
	tcase_add_test(tc, lookup_brings_the_descriptor_back);
	tcase_add_test(tc, removed_file_lives_on);
	tcase_add_test(tc, removal_that_has_begun_is_waited_for);
	tcase_add_test(tc, number_in_use_again_is_another_file);
	tcase_add_test(tc, numbers_that_do_not_tell_files_apart);
	tcase_add_test(tc, open_files_take_the_place_of_nodes);
	tcase_add_test(tc, threads_that_take_and_give);
	tcase_add_test(tc, removals_race_with_the_shortage);
	tc = unit_tcase(s, "mount below", 20);
	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup_mount, teardown);
	tcase_add_test(tc, mount_below_can_go_when_its_nodes_have_gone);
	tc = unit_tcase(s, "descriptors alone", 20);
	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup_never, teardown);
	tcase_add_test(tc, without_handles_the_limit_is_an_error);
	tc = unit_tcase(s, "modes", 20);
	unit_add_dir(tc);
	tcase_add_test(tc, who_prefers_handles_keeps_few_descriptors);
	tcase_add_test(tc, handles_that_must_be_and_are_not);
	return unit_run(s);
}
