/* SPDX-License-Identifier: BSD-3-Clause */
/* fs/node: one node a file, counts that a guest cannot break. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/node.h"
#include "unit.h"

static struct arena arena;
static struct node_table table;

static int open_root(void)
{
	int fd = fd_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);

	must(fd >= 0);
	return fd;
}

static void setup_sized(size_t nodes)
{
	int fd;

	unit_arena(&arena, nodes, 64);
	fd = open_root();
	ck_ok(node_table_init(&table, &arena, HANDLES_NEVER, &fd));
	ck_assert_int_eq(fd, -1);
}

static void setup(void)
{
	setup_sized(SLOTS_MAX);
}

static void teardown(void)
{
	node_table_destroy(&table);
	unit_arena_destroy(&arena);
	ck_assert_int_eq(fd_count(), 0);
}

static struct statx key(uint64_t ino)
{
	return (struct statx){ .stx_ino = ino, .stx_mnt_id = 7,
			       .stx_dev_major = 3, .stx_dev_minor = 4,
			       .stx_mode = S_IFREG | 0644 };
}

/* Nodes without descriptors: the table does not look at them. */
static uint64_t enter(uint64_t ino)
{
	struct statx stx = key(ino);
	uint64_t id = 0;
	int none = -1;

	ck_ok(node_enter(&table, NULL, &stx, &none, &id));
	return id;
}

static uint64_t enter_fd(uint64_t ino)
{
	struct statx stx = key(ino);
	uint64_t id = 0;
	int fd = open_root();

	ck_ok(node_enter(&table, NULL, &stx, &fd, &id));
	must(fd == -1);
	return id;
}

/* These have no file, so that they cannot be opened. */
static int pin_once(uint64_t id)
{
	struct node *n = node_get(&table, id);

	if (!n)
		return -EBADF;
	slots_put(&table.slots, n);
	return 0;
}

START_TEST(same_key_is_one_node)
{
	uint64_t a = enter_fd(10), b = enter_fd(10), c = enter_fd(11);
	struct node_pin p = { 0 };

	ck_assert_uint_eq(a, b);
	ck_assert_uint_ne(a, c);
	ck_assert_uint_eq(node_table_count(&table), 3);
	/* Arena, root and one for each node: the second one was closed. */
	ck_assert_int_eq(fd_count(), 4);
	ck_ok(node_pin(&table, a, &p));
	ck_assert_uint_eq(p.node->ino, 10);
	ck_assert_uint_eq(p.node->lookups, 2);
	ck_assert_uint_eq(p.node->mode, S_IFREG);
	ck_assert_int_eq(p.fd, p.node->fd);
	node_unpin(&p);
	node_unpin(&p);
}
END_TEST

/* Many of each, so that some meet in one chain. */
START_TEST(each_part_of_the_key_counts)
{
	enum { MANY = 3000 };

	enter(10);
	for (uint32_t part = 0; part < 4; part++) {
		for (uint32_t i = 1; i <= MANY; i++) {
			struct statx stx = key(10);
			uint64_t id;
			int none = -1;

			stx.stx_ino += part == 0 ? i : 0;
			stx.stx_mnt_id += part == 1 ? i : 0;
			stx.stx_dev_major += part == 2 ? i : 0;
			stx.stx_dev_minor += part == 3 ? i : 0;
			must(node_enter(&table, NULL, &stx, &none, &id) == 0);
		}
		ck_assert_uint_eq(node_table_count(&table),
				  2 + (part + 1) * MANY);
	}
}
END_TEST

START_TEST(forget_saturates)
{
	uint64_t id = enter_fd(10);

	enter(10);
	node_forget(&table, id, 1);
	ck_ok(pin_once(id));
	node_forget(&table, id, 0);
	ck_ok(pin_once(id));
	node_forget(&table, id, 1000);
	ck_assert_int_eq(pin_once(id), -EBADF);
	node_forget(&table, id, 1);
	id = enter(10);
	node_forget(&table, id, UINT64_MAX);
	ck_assert_int_eq(pin_once(id), -EBADF);
	ck_assert_uint_eq(node_table_count(&table), 1);
	ck_assert_int_eq(fd_count(), 2);
}
END_TEST

START_TEST(unknown_numbers_are_ignored)
{
	static const uint64_t bad[] = { 0, 2, 3, 4095, 1ULL << 24, UINT64_MAX,
					INT64_MAX, 1ULL << 63 };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		node_forget(&table, bad[i], 1);
		ck_assert_int_eq(pin_once(bad[i]), -EBADF);
	}
	ck_assert_uint_eq(node_table_count(&table), 1);
}
END_TEST

START_TEST(root_cannot_be_forgotten)
{
	struct node_pin p = { 0 };
	struct statx stx;
	uint64_t id;
	int fd = open_root();

	ck_assert_int_eq(statx(fd, "", AT_EMPTY_PATH,
			       STATX_BASIC_STATS | STATX_MNT_ID, &stx), 0);
	ck_ok(node_enter(&table, NULL, &stx, &fd, &id));
	ck_assert_uint_eq(id, NODE_ROOT_ID);
	node_forget(&table, NODE_ROOT_ID, 1);
	node_forget(&table, NODE_ROOT_ID, UINT64_MAX);
	node_forget(&table, slots_id(&table.slots, table.root), UINT64_MAX);
	ck_ok(node_pin(&table, NODE_ROOT_ID, &p));
	ck_assert(node_is_root(&p) && node_is_dir(&p));
	node_unpin(&p);
	/* It is still found by its key. */
	fd = open_root();
	ck_ok(node_enter(&table, NULL, &stx, &fd, &id));
	ck_assert_uint_eq(id, NODE_ROOT_ID);
	ck_assert_uint_eq(node_table_count(&table), 1);
	ck_assert_int_eq(fd_count(), 2);
}
END_TEST

START_TEST(root_has_no_other_number)
{
	uint64_t id = slots_id(&table.slots, table.root);
	uint32_t index = slots_index(&table.slots, table.root);

	must(id != NODE_ROOT_ID);
	must(pin_once(id) == -EBADF);
	for (uint64_t generation = 1; generation < 5000; generation++)
		must(pin_once(generation << SLOTS_INDEX_BITS | index) == -EBADF);
	/* Nothing of this has cost the root its pin. */
	node_table_clear(&table);
	ck_ok(pin_once(NODE_ROOT_ID));
}
END_TEST

START_TEST(pinned_node_outlives_its_last_forget)
{
	uint64_t id = enter_fd(10), again;
	struct node_pin p = { 0 };

	ck_ok(node_pin(&table, id, &p));
	node_forget(&table, id, 1);
	ck_assert_int_eq(pin_once(id), -EBADF);
	ck_assert_int_ge(fcntl(p.fd, F_GETFD), 0);
	/* The key is free at once: who looks it up gets a node of its own. */
	again = enter_fd(10);
	ck_assert_uint_ne(again, id);
	ck_assert_int_eq(fd_count(), 4);
	node_unpin(&p);
	ck_assert_int_eq(fd_count(), 3);
	ck_ok(pin_once(again));
}
END_TEST

START_TEST(clear_leaves_the_root)
{
	enum { N = 5000 };
	uint64_t id[N];

	for (unsigned int i = 0; i < N; i++)
		id[i] = i < 100 ? enter_fd(100 + i) : enter(100 + i);
	node_table_clear(&table);
	ck_assert_uint_eq(node_table_count(&table), 1);
	ck_assert_int_eq(fd_count(), 2);
	ck_ok(pin_once(NODE_ROOT_ID));
	for (unsigned int i = 0; i < N; i++)
		ck_assert_int_eq(pin_once(id[i]), -EBADF);
	for (unsigned int i = 0; i < N; i++)
		ck_assert_uint_ne(enter(100 + i), id[i]);
	ck_assert_uint_eq(node_table_count(&table), N + 1);
}
END_TEST

START_TEST(full_table_is_enfile)
{
	unsigned int fits = 0;
	long before;

	setup_sized(64);
	before = fd_count();
	for (unsigned int i = 0; i < 1000; i++) {
		struct statx stx = key(1000 + i);
		uint64_t id = 99;
		int fd = open_root();
		int r = node_enter(&table, NULL, &stx, &fd, &id);

		ck_assert_int_eq(fd, -1);
		ck_assert(r == 0 || r == -ENFILE);
		if (r == 0)
			fits++;
		else
			ck_assert_uint_eq(id, 99);
	}
	ck_assert_uint_eq(node_table_count(&table), 64);
	ck_assert_uint_eq(fits, 63);
	ck_assert_int_eq(fd_count(), before + fits);
	teardown();
}
END_TEST

START_TEST(init_that_fails_leaves_nothing)
{
	struct node_table t;
	struct arena a;
	int not_one = -1;

	unit_arena(&a, 64, 64);
	ck_assert_int_lt(node_table_init(&t, &a, HANDLES_NEVER, &not_one), 0);
	unit_arena_destroy(&a);
	ck_assert_int_eq(fd_count(), 0);
}
END_TEST

/* Every thread looks the same files up: some in the same order, so that they
 * meet all the way, some in one of their own. */
enum { THREADS = 8, KEYS = 2000 };
static uint64_t seen[THREADS][KEYS];

static void enter_all(void *arg, unsigned int no)
{
	for (unsigned int i = 0; i < KEYS; i++) {
		unsigned int k = no < 5 ? i : (i * 7 + no * 251) % KEYS;

		seen[no][k] = k < 200 ? enter_fd(50 + k) : enter(50 + k);
	}
}

START_TEST(racing_first_lookups_make_one_node)
{
	for (int round = 0; round < 20; round++) {
		unit_threads(THREADS, enter_all, NULL);
		must(node_table_count(&table) == KEYS + 1);
		must(fd_count() == 2 + 200);
		for (unsigned int k = 0; k < KEYS; k++) {
			for (unsigned int t = 1; t < THREADS; t++)
				must(seen[t][k] == seen[0][k]);
			node_forget(&table, seen[0][k], THREADS - 1);
			ck_ok(pin_once(seen[0][k]));
			node_forget(&table, seen[0][k], 1);
			must(pin_once(seen[0][k]) == -EBADF);
		}
		must(node_table_count(&table) == 1);
		must(fd_count() == 2);
	}
}
END_TEST

/* Lookups, pins and forgets of the same few files at the same time. */
static _Atomic uint64_t known[4];

static void pin_known(unsigned int k)
{
	struct node_pin p = { 0 };

	if (node_pin(&table, atomic_load(&known[k]), &p) < 0)
		return;
	must(p.node->ino == 500 + k);
	must(fcntl(p.fd, F_GETFD) >= 0);
	must(p.fd == p.node->fd);
	node_unpin(&p);
}

static void look_and_forget(void *arg, unsigned int no)
{
	uint32_t seed = no + 1;

	for (unsigned int i = 0; i < unit_rounds(20000); i++) {
		unsigned int k = unit_random(&seed) % ARRAY_SIZE(known);
		uint64_t id;

		if (no % 4 == 3) {
			pin_known(k);
			continue;
		}
		id = enter_fd(500 + k);
		atomic_store(&known[k], id);
		/* The guest holds a count of it: it must be there. */
		ck_ok(pin_once(id));
		node_forget(&table, id, 1);
	}
}

START_TEST(forget_races_with_lookup_and_pin)
{
	unit_threads(THREADS, look_and_forget, NULL);
	ck_assert_uint_eq(node_table_count(&table), 1);
	ck_assert_int_eq(fd_count(), 2);
}
END_TEST

static uint64_t arena_bytes(void)
{
	struct stat st;

	ck_assert_int_eq(fstat(arena.fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* Of this thread alone: whoever else is busy on the host does not count. */
static uint64_t cpu_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* What it takes to find the first nodes again, in milliseconds. */
static uint64_t find_again(unsigned int n, uint64_t stride)
{
	uint64_t start = cpu_ms();

	for (unsigned int i = 0; i < n; i++)
		node_forget(&table, enter(1000 + i * stride), 1);
	return cpu_ms() - start;
}

/* Costs of a tree as large as it gets. Numbers that lie close together, as
 * inode numbers do, must not end in the same chains. */
static void check_growth(uint64_t stride)
{
	unsigned int n = UNIT_TSAN ? 150000 : 1200000, few = n / 20;
	uint64_t bytes = arena_bytes(), early, late;

	for (unsigned int i = 0; i < few; i++)
		enter(1000 + i * stride);
	early = find_again(few, stride);
	for (unsigned int i = few; i < n; i++)
		enter(1000 + i * stride);
	ck_assert_uint_eq(node_table_count(&table), n + 1);
	late = find_again(few, stride);
	find_again(n, stride);
	ck_assert_uint_eq(node_table_count(&table), n + 1);
	bytes = arena_bytes() - bytes +
		unit_resident(table.slots.private,
			      table.slots.max * sizeof(struct slot_private));
	fprintf(stderr, "%u nodes: %u found in %lu ms, in %lu ms when they were alone; %lu bytes each and a bucket\n",
		n, few, (unsigned long)late, (unsigned long)early,
		(unsigned long)(bytes / n));
	ck_assert_uint_le(bytes / n, 124); /* of the 160 that it may take */
	/* As when they were alone; caches may tell a difference. */
	ck_assert_uint_le(late, early * 8 + 60);
	node_table_clear(&table);
	ck_assert_uint_le(arena_bytes(), 1U << 20);
}

START_TEST(a_million_nodes)
{
	check_growth(1);
}
END_TEST

START_TEST(a_million_nodes_far_apart)
{
	check_growth(256);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("node");
	TCase *tc = unit_tcase(s, "table", 30);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, same_key_is_one_node);
	tcase_add_test(tc, each_part_of_the_key_counts);
	tcase_add_test(tc, forget_saturates);
	tcase_add_test(tc, unknown_numbers_are_ignored);
	tcase_add_test(tc, root_cannot_be_forgotten);
	tcase_add_test(tc, root_has_no_other_number);
	tcase_add_test(tc, pinned_node_outlives_its_last_forget);
	tcase_add_test(tc, clear_leaves_the_root);
	tcase_add_test(tc, racing_first_lookups_make_one_node);
	tcase_add_test(tc, forget_races_with_lookup_and_pin);
	tcase_add_test(tc, a_million_nodes);
	tcase_add_test(tc, a_million_nodes_far_apart);
	tc = unit_tcase(s, "small table", 20);
	tcase_add_test(tc, full_table_is_enfile);
	tcase_add_test(tc, init_that_fails_leaves_nothing);
	return unit_run(s);
}
