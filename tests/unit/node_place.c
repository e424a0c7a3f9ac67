/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fs/node_place: nodes that have nothing but the place where they were found. Files
 * of a real file system that tells when they were born.
 */
#include "fs/node_place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

static struct arena arena;
static struct node_table table;
static struct node_pin root;
static int dir_fd; /* the share, for the test's own calls */

static void setup_mode(enum handle_mode mode)
{
	int fd;

	unit_enter_fd_directory();
	unit_arena(&arena, 4096, 64);
	fd = fd_openat(AT_FDCWD, unit_dir, O_PATH | O_DIRECTORY, 0);
	dir_fd = fd_openat(AT_FDCWD, unit_dir, O_RDONLY | O_DIRECTORY, 0);
	ck_ok(node_table_init(&table, &arena, mode, &fd));
	ck_ok(node_pin(&table, NODE_ROOT_ID, &root));
}

static void setup(void)
{
	setup_mode(HANDLES_AUTO);
}

static void teardown(void)
{
	node_unpin(&root);
	node_table_destroy(&table);
	unit_arena_destroy(&arena);
	ck_ok(fd_close(&dir_fd));
	ck_assert_int_eq(fd_count(), 0);
}

static void see(const char *name, struct statx *ret)
{
	must(statx(dir_fd, name, AT_SYMLINK_NOFOLLOW,
		   STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME, ret) == 0);
}

/* Whether the scratch directory is on a file system that this is for. */
static bool tells_birth(void)
{
	struct statx stx;

	unit_write_file("probe", "", 0);
	see("probe", &stx);
	must(unlinkat(dir_fd, "probe", 0) == 0);
	if (node_class(root.node) & FSCLASS_BORN && node_born(&stx))
		return true;
	fprintf(stderr, "skipped: no times of birth here\n");
	return false;
}

/* What a LOOKUP does with a name that it has not seen. */
static uint64_t enter_in(const struct node_pin *dir, const char *name)
{
	struct statx stx;
	uint64_t id;

	must(statx(dir->fd, name, AT_SYMLINK_NOFOLLOW,
		   STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME, &stx) == 0);
	ck_ok(node_enter_place(&table, dir, name, &stx, NULL, &id));
	return id;
}

static uint64_t enter(const char *name)
{
	return enter_in(&root, name);
}

static uint64_t enter_new(const char *name)
{
	unit_write_file(name, "x", 1);
	return enter(name);
}

/* And of one that is opened. */
static uint64_t enter_open(const char *name)
{
	int fd = fd_openat(dir_fd, name, O_PATH | O_NOFOLLOW, 0);
	struct statx stx;
	uint64_t id;

	must(fd >= 0);
	see(name, &stx);
	ck_ok(node_enter(&table, &root, &stx, &fd, &id));
	return id;
}

static struct node *node_of(uint64_t id)
{
	return slots_at(&table.slots, (uint32_t)(id & (SLOTS_MAX - 1)));
}

static bool is_placed(uint64_t id)
{
	return node_by_place_alone(node_of(id));
}

/* The inode behind the descriptor of a node that is used; 0 if it is stale. */
static ino_t use(uint64_t id)
{
	_cleanup_unpin_ struct node_pin p = { 0 };
	struct stat st;
	int r = node_pin(&table, id, &p);

	must(r == 0 || r == -ESTALE);
	if (r < 0)
		return 0;
	must(fstat(p.fd, &st) == 0);
	return st.st_ino;
}

static ino_t ino_of(const char *name)
{
	struct statx stx;

	see(name, &stx);
	return stx.stx_ino;
}

/* The host dates files by a clock that ticks: not the same date as before. */
static void tick(void)
{
	struct timespec before, now;

	clock_gettime(CLOCK_REALTIME_COARSE, &before);
	do
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	while (now.tv_sec == before.tv_sec && now.tv_nsec == before.tv_nsec);
}

static void move(const char *from, const char *to)
{
	must(renameat(dir_fd, from, dir_fd, to) == 0);
}

START_TEST(file_is_opened_when_it_is_used)
{
	long before = fd_count();
	uint64_t id;
	ino_t ino;

	if (!tells_birth())
		return;
	id = enter_new("f");
	ino = ino_of("f");
	ck_assert(is_placed(id));
	ck_assert_uint_eq(enter("f"), id);
	ck_assert_int_eq(fd_count(), before);
	ck_assert_uint_eq(use(id), ino);
	ck_assert(!is_placed(id));
	ck_assert_int_eq(fd_count(), before + 1);
	/* From here on it is the file, wherever that goes. */
	ck_assert_uint_eq(enter("f"), id);
	must(unlinkat(dir_fd, "f", 0) == 0);
	ck_assert_uint_eq(use(id), ino);
	ck_assert(node_forget(&table, id, 3));
	ck_assert_int_eq(fd_count(), before);
}
END_TEST

START_TEST(forgotten_without_a_use)
{
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	ck_assert(node_forget(&table, id, 1));
	ck_assert_uint_eq(node_table_count(&table), 1);
	ck_assert_uint_ne(enter("f"), id);
}
END_TEST

/* Somebody else opens it first. */
START_TEST(lookup_that_opens_it_gives_it_the_descriptor)
{
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	ck_assert_uint_eq(enter_open("f"), id);
	ck_assert(!is_placed(id));
}
END_TEST

/* --- what the host does --- */

START_TEST(removed_by_the_host_is_stale)
{
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	must(unlinkat(dir_fd, "f", 0) == 0);
	ck_assert_uint_eq(use(id), 0);
}
END_TEST

START_TEST(replaced_by_the_host_is_stale)
{
	uint64_t id, now;

	if (!tells_birth())
		return;
	for (int i = 0; i < 20; i++) {
		id = enter_new("f");
		must(unlinkat(dir_fd, "f", 0) == 0);
		/* ext4 gives the number out again at once. */
		tick();
		now = enter_new("f");
		ck_assert_uint_ne(now, id);
		ck_assert_uint_eq(use(id), 0);
		ck_assert_uint_eq(use(now), ino_of("f"));
		ck_assert_uint_eq(enter("f"), now);
		must(unlinkat(dir_fd, "f", 0) == 0);
	}
}
END_TEST

START_TEST(moved_by_the_host_is_found_in_its_new_place)
{
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	move("f", "g");
	ck_assert_uint_eq(use(id), 0);
	ck_assert_uint_eq(enter("g"), id);
	move("g", "f");
	ck_assert_uint_eq(use(id), 0);
	ck_assert_uint_eq(enter("f"), id);
	ck_assert_uint_eq(use(id), ino_of("f"));
}
END_TEST

/* Whatever else has the name now is neither followed nor opened. */
START_TEST(another_type_is_not_opened)
{
	uint64_t id;

	if (!tells_birth())
		return;
	for (int what = 0; what < 3; what++) {
		id = enter_new("f");
		must(unlinkat(dir_fd, "f", 0) == 0);
		unit_write_file("g", "x", 1);
		if (what == 0)
			must(symlinkat("g", dir_fd, "f") == 0);
		else if (what == 1)
			must(mkdirat(dir_fd, "f", 0755) == 0);
		else
			must(mkfifoat(dir_fd, "f", 0644) == 0);
		ck_assert_uint_eq(use(id), 0);
		must(unlinkat(dir_fd, "f", what == 1 ? AT_REMOVEDIR : 0) == 0);
	}
}
END_TEST

START_TEST(one_of_two_names_is_removed_by_the_host)
{
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	must(linkat(dir_fd, "f", dir_fd, "second", 0) == 0);
	ck_assert_uint_eq(enter("second"), id);
	must(unlinkat(dir_fd, "f", 0) == 0);
	ck_assert_uint_eq(use(id), ino_of("second"));
	must(unlinkat(dir_fd, "second", 0) == 0);
}
END_TEST

/* Number and name of another file, with the date of the old one: not told apart, and
 * nobody could have. */
START_TEST(birth_tells_files_apart)
{
	struct statx stx;
	uint64_t id, other;

	if (!tells_birth())
		return;
	id = enter_new("f");
	see("f", &stx);
	stx.stx_btime.tv_nsec ^= 1;
	ck_ok(node_enter_place(&table, &root, "f", &stx, NULL, &other));
	ck_assert_uint_ne(other, id);
	/* The first one is not found any more, but is still a node. */
	ck_assert_uint_eq(use(id), ino_of("f"));
	ck_assert_uint_eq(use(other), 0);
	stx.stx_mode = S_IFLNK | 0777;
	ck_ok(node_enter_place(&table, &root, "f", &stx, NULL, &id));
	ck_assert_uint_ne(other, id);
}
END_TEST

/* --- what the guest does --- */

/* With a good guess, without one, with that of a forgotten node, and of another. */
START_TEST(removed_by_the_guest_lives_on)
{
	uint64_t id, gone, other;
	uint32_t guess;
	ino_t ino;

	if (!tells_birth())
		return;
	gone = enter_new("gone");
	other = enter_new("other");
	ck_assert(node_forget(&table, gone, 1));
	for (int what = 0; what < 4; what++) {
		id = enter_new("f");
		ino = ino_of("f");
		guess = (uint32_t)(what == 0 ? id : what == 1 ? 0 :
				   what == 2 ? gone : other);
		unit_remove_name(&table, "f", guess);
		ck_assert_uint_eq(use(id), ino);
		ck_assert(node_forget(&table, id, 1));
	}
	ck_assert(is_placed(other));
}
END_TEST

/* It was found by one name, and goes by the other. */
START_TEST(last_name_is_not_the_one_it_was_found_by)
{
	uint64_t id;
	ino_t ino;

	if (!tells_birth())
		return;
	for (int guessed = 0; guessed < 2; guessed++) {
		id = enter_new("f");
		ino = ino_of("f");
		must(linkat(dir_fd, "f", dir_fd, "second", 0) == 0);
		must(unlinkat(dir_fd, "f", 0) == 0);
		unit_remove_name(&table, "second", guessed ? (uint32_t)id : 0);
		ck_assert_uint_eq(use(id), ino);
	}
}
END_TEST

START_TEST(name_that_leaves_is_opened_first)
{
	uint64_t id;
	ino_t ino;

	if (!tells_birth())
		return;
	id = enter_new("f");
	ino = ino_of("f");
	node_leaves(&table, &root, "f", (uint32_t)id);
	ck_assert(!is_placed(id));
	move("f", "g");
	ck_assert_uint_eq(use(id), ino);
	/* Nothing to be done, nothing done. */
	node_leaves(&table, &root, "none", 0);
	node_leaves(&table, &root, "g", (uint32_t)id);
	must(unlinkat(dir_fd, "g", 0) == 0);
}
END_TEST

START_TEST(place_in_a_directory_that_moves)
{
	_cleanup_unpin_ struct node_pin d = { 0 };
	uint64_t dir, id;

	if (!tells_birth())
		return;
	must(mkdirat(dir_fd, "d", 0755) == 0);
	unit_write_file("d/f", "x", 1);
	dir = enter_open("d");
	ck_ok(node_pin(&table, dir, &d));
	id = enter_in(&d, "f");
	move("d", "e");
	ck_assert_uint_eq(use(id), ino_of("e/f"));
	id = (unit_write_file("e/g", "x", 1), enter_in(&d, "g"));
	/* The guest has no right to forget it yet, and does. */
	node_unpin(&d);
	ck_assert(node_forget(&table, dir, 1));
	ck_assert_uint_eq(use(id), 0);
}
END_TEST

/* --- who has no place --- */

static void has_no_place(const char *name)
{
	struct statx stx;
	uint64_t id;

	see(name, &stx);
	ck_assert_int_eq(node_enter_place(&table, &root, name, &stx, NULL, &id),
			 -EAGAIN);
}

START_TEST(what_is_opened_at_once)
{
	char name[NODE_NAME_MAX + 2];
	struct statx stx;
	uint64_t id;

	if (!tells_birth())
		return;
	must(mkdirat(dir_fd, "d", 0755) == 0);
	has_no_place("d");
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	unit_write_file(name, "x", 1);
	has_no_place(name);
	unit_remove_name(&table, name, 0);
	name[sizeof(name) - 2] = '\0';
	ck_assert_uint_eq(use(enter_new(name)), ino_of(name));
	unit_write_file("f", "x", 1);
	see("f", &stx);
	stx.stx_mnt_id++;
	ck_assert_int_eq(node_enter_place(&table, &root, "f", &stx, NULL, &id),
			 -EAGAIN);
	see("f", &stx);
	stx.stx_mask &= ~STATX_BTIME;
	ck_assert_int_eq(node_enter_place(&table, &root, "f", &stx, NULL, &id),
			 -EAGAIN);
}
END_TEST

/* Each file has a handle, or a descriptor, from the start. */
START_TEST(who_insists_has_no_places)
{
	unit_write_file("f", "x", 1);
	table.fds.mode = _i == 0 ? HANDLES_MANDATORY : HANDLES_NEVER;
	has_no_place("f");
	table.fds.mode = HANDLES_AUTO;
}
END_TEST

/* --- names for people --- */

START_TEST(path_of_a_place)
{
	char path[256], want[256], small[8];
	uint64_t id;

	if (!tells_birth())
		return;
	id = enter_new("f");
	snprintf(want, sizeof(want), "%s/f", unit_dir);
	node_path(&table, id, path, sizeof(path));
	ck_assert_str_eq(path, want);
	ck_assert(is_placed(id));
	node_path(&table, id, small, sizeof(small));
	ck_assert_uint_lt(strlen(small), sizeof(small));
	ck_assert_int_eq(strncmp(small, want, strlen(small)), 0);
}
END_TEST

/* --- at the same time --- */

#define RACE_FILES 16U

static uint64_t race_id[RACE_FILES];
static ino_t race_ino[RACE_FILES];

/* One looks up and uses, one uses, one takes names away as a guest does. */
static void race(void *arg, unsigned int no)
{
	char name[16];

	for (unsigned int i = 0; i < RACE_FILES; i++) {
		snprintf(name, sizeof(name), "race%u", i);
		if (no == 2)
			unit_remove_name(&table, name, i % 2 ? (uint32_t)race_id[i] : 0);
		else
			must(use(race_id[i]) == race_ino[i]);
	}
}

START_TEST(use_races_with_the_end_of_the_name)
{
	char name[16];

	if (!tells_birth())
		return;
	for (unsigned int round = 0; round < unit_rounds(200); round++) {
		for (unsigned int i = 0; i < RACE_FILES; i++) {
			snprintf(name, sizeof(name), "race%u", i);
			race_id[i] = enter_new(name);
			race_ino[i] = ino_of(name);
		}
		unit_threads(3, race, NULL);
		for (unsigned int i = 0; i < RACE_FILES; i++)
			ck_assert(node_forget(&table, race_id[i], 1));
	}
	ck_assert_uint_eq(node_table_count(&table), 1);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("node_place");
	TCase *tc = unit_tcase(s, "places", 30);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, file_is_opened_when_it_is_used);
	tcase_add_test(tc, forgotten_without_a_use);
	tcase_add_test(tc, lookup_that_opens_it_gives_it_the_descriptor);
	tcase_add_test(tc, removed_by_the_host_is_stale);
	tcase_add_test(tc, replaced_by_the_host_is_stale);
	tcase_add_test(tc, moved_by_the_host_is_found_in_its_new_place);
	tcase_add_test(tc, another_type_is_not_opened);
	tcase_add_test(tc, one_of_two_names_is_removed_by_the_host);
	tcase_add_test(tc, birth_tells_files_apart);
	tcase_add_test(tc, removed_by_the_guest_lives_on);
	tcase_add_test(tc, last_name_is_not_the_one_it_was_found_by);
	tcase_add_test(tc, name_that_leaves_is_opened_first);
	tcase_add_test(tc, place_in_a_directory_that_moves);
	tcase_add_test(tc, what_is_opened_at_once);
	tcase_add_loop_test(tc, who_insists_has_no_places, 0, 2);
	tcase_add_test(tc, path_of_a_place);
	tcase_add_test(tc, use_races_with_the_end_of_the_name);
	return unit_run(s);
}
