/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * More nodes than descriptors (row 26): a guest that holds many files of a daemon that may have
 * few open: some thousands of them, and a million once with GUEST_MATRIX=full.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include "func.h"

#define LIMIT 1024
#define DIRS 50

#define SOME 5000

/* A million takes minutes: not in each tree and each mode of the sandbox. */
static unsigned int files(void)
{
	const char *matrix = getenv("GUEST_MATRIX");

	if (func_sanitized() || getenv("VIRTIOFSD_OPTIONS"))
		return SOME;
	return matrix && strcmp(matrix, "full") == 0 ? 1000000 : SOME;
}

static const char *file_name(unsigned int i)
{
	static char name[32];

	snprintf(name, sizeof(name), "%u/%u", i % DIRS, i);
	return name;
}

static ino_t *ino;
static uint64_t *node;
static uint64_t dir[DIRS];

/* A share with n empty files */
static void make_files(unsigned int n)
{
	char name[16];

	ok(daemon_prepare(&fx.d));
	ino = calloc(n, sizeof(*ino));
	node = calloc(n, sizeof(*node));
	for (unsigned int i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "%u", i);
		host(mkdir(host_path(name), 0755));
	}
	for (unsigned int i = 0; i < n; i++) {
		int fd = host(open(host_path(file_name(i)), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		struct stat st;

		host(fstat(fd, &st));
		ino[i] = st.st_ino;
		close(fd);
	}
}

static void start(const char *mode)
{
	char limit[32], handles[64];
	const char *const args[] = { limit, handles, NULL };
	const struct daemon_opts opts = { .args = args };

	snprintf(limit, sizeof(limit), "--rlimit-nofile=%d", LIMIT);
	snprintf(handles, sizeof(handles), "--inode-file-handles=%s", mode);
	ok(daemon_spawn(&fx.d, &opts));
	func_connect(NULL);
	func_init_session();
}

/* Whether the daemon, which is the user of this test, can have handles here */
static void need_handles(void)
{
	union {
		struct file_handle h;
		char space[256];
	} b = { .h.handle_bytes = 128 };
	int mount_id, fd, root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (name_to_handle_at(root, "", &b.h, &mount_id, AT_EMPTY_PATH) < 0 ||
	    (fd = open_by_handle_at(root, &b.h, O_PATH | O_CLOEXEC)) < 0)
		func_skip("no file handles for this user or on this file system");
	close(fd);
	close(root);
}

static void look_up(unsigned int n)
{
	struct fuse_entry_out e;

	for (unsigned int i = 0; i < DIRS; i++)
		if (!dir[i]) {
			char name[16];

			snprintf(name, sizeof(name), "%u", i);
			dir[i] = func_node(name);
		}
	for (unsigned int i = 0; i < n; i++) {
		int r = guest_lookup(&fx.g, dir[i % DIRS], strchr(file_name(i), '/') + 1, &e);

		if (r < 0 || e.attr.ino != ino[i])
			ck_abort_msg("lookup of file %u: %s", i, strerror(-r));
		if (node[i] && node[i] != e.nodeid)
			ck_abort_msg("file %u has two nodes", i);
		node[i] = e.nodeid;
	}
}

static void ask_all(unsigned int n)
{
	struct fuse_attr_out a;

	for (unsigned int i = 0; i < n; i++) {
		int r = guest_getattr(&fx.g, node[i], GUEST_NO_FH, &a);

		if (r < 0 || a.attr.ino != ino[i])
			ck_abort_msg("attributes of file %u: %s", i, strerror(-r));
	}
}

static void forget_all(unsigned int n, uint64_t lookups)
{
	struct fuse_forget_one one[512];

	for (unsigned int i = 0; i < n;) {
		unsigned int k = 0;

		for (; k < 512 && i < n; k++, i++) {
			one[k].nodeid = node[i];
			one[k].nlookup = lookups;
			node[i] = 0;
		}
		ok(guest_batch_forget(&fx.g, k, one, k));
	}
}

static void hold_them(const char *mode, unsigned int n)
{
	int fds;

	make_files(n);
	start(mode);
	fds = daemon_fds(&fx.d);
	look_up(n);
	ask_all(n);
	ck_assert_int_le(daemon_fds(&fx.d), LIMIT);
	for (unsigned int i = 0; i < n; i += n / 100) {
		uint64_t fh = func_open(node[i], O_RDWR);

		ck_assert_int_eq(ok(guest_write(&fx.g, node[i], fh, "text", 4, 0)), 4);
		ok(guest_release(&fx.g, node[i], fh));
		host_is(file_name(i), "text", 4);
	}
	look_up(n);
	forget_all(n, 2);
	for (unsigned int i = 0; i < DIRS; i++)
		ok(guest_forget(&fx.g, dir[i], 1));
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds, 10000), fds);
	func_end();
}

START_TEST(nodes_beyond_the_limit)
{
	need_handles();
	hold_them("auto", files());
}
END_TEST

START_TEST(nodes_beyond_the_limit_with_handles_preferred)
{
	need_handles();
	hold_them("prefer", SOME);
}
END_TEST

START_TEST(nodes_beyond_the_limit_with_handles_mandatory)
{
	need_handles();
	hold_them("mandatory", SOME);
}
END_TEST

START_TEST(without_handles_the_limit_is_an_error_and_no_end)
{
	struct fuse_entry_out e;
	unsigned int n;
	int r = 0;

	make_files(LIMIT * 2);
	start("never");
	for (n = 0; n < LIMIT * 2; n++) {
		r = guest_walk(&fx.g, file_name(n), &e);
		if (r < 0)
			break;
		node[n] = e.nodeid;
	}
	fails(r, ENFILE);
	ck_assert(daemon_log_has(&fx.d, "ENFILE"));
	ask_all(n);
	ok(guest_forget(&fx.g, node[0], 1));
	ok(guest_walk(&fx.g, file_name(0), &e));
	func_end();
}
END_TEST

/* A find(1) over everything. */
START_TEST(files_that_are_only_looked_up_take_no_descriptors)
{
	const unsigned int n = LIMIT * 4;

	make_files(n);
	if (!func_has_places())
		func_skip("the share's file system does not tell when files were born");
	start("auto");
	look_up(1);

	int fds = daemon_fds(&fx.d);

	look_up(n);
	look_up(n);
	ck_assert_int_eq(daemon_fds(&fx.d), fds);
	for (unsigned int i = 0; i < n; i += n / 16)
		ck_assert_uint_eq(func_attr(node[i]).ino, ino[i]);
	ck_assert_int_gt(daemon_fds(&fx.d), fds);
	ck_assert(!daemon_log_has(&fx.d, "ENFILE"));
	func_end();
}
END_TEST

/* --- what the guest has removed --- */

static void squeeze(unsigned int n)
{
	look_up(n);
	ask_all(n);
}

START_TEST(removed_files_and_directories_stay_until_forgotten)
{
	enum { MANY = LIMIT * 2 };
	struct fuse_entry_out file, over, folder;
	struct fuse_attr a;
	char text[8];
	uint64_t fh;

	need_handles();
	make_files(MANY);
	start("auto");
	squeeze(MANY);
	host_text("file", "of old");
	host_text("over", "too");
	host_text("new", "new");
	host(mkdir(host_path("folder"), 0755));
	file = func_entry("file");
	over = func_entry("over");
	folder = func_entry("folder");
	squeeze(MANY);		/* these have no descriptor now */
	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, "file"));
	ok(guest_rename(&fx.g, FUSE_ROOT_ID, "new", FUSE_ROOT_ID, "over"));
	ok(guest_rmdir(&fx.g, FUSE_ROOT_ID, "folder"));
	squeeze(MANY);
	a = func_attr(file.nodeid);
	ck_assert_uint_eq(a.ino, file.attr.ino);
	ck_assert_uint_eq(a.nlink, 0);
	fh = func_open(file.nodeid, O_RDONLY);
	ck_assert_int_eq(ok(guest_read(&fx.g, file.nodeid, fh, text, 8, 0)), 6);
	ck_assert_mem_eq(text, "of old", 6);
	ok(guest_release(&fx.g, file.nodeid, fh));
	a = func_attr(over.nodeid);
	ck_assert_uint_eq(a.ino, over.attr.ino);
	a = func_attr(folder.nodeid);
	ck_assert_uint_eq(a.ino, folder.attr.ino);
	func_end();
}
END_TEST

START_TEST(what_the_host_removes_is_stale)
{
	enum { MANY = LIMIT * 2 };
	struct fuse_entry_out old, new;
	struct fuse_attr_out a;

	need_handles();
	make_files(MANY);
	start("auto");
	host_text("file", "of old");
	old = func_entry("file");
	squeeze(MANY);
	host(unlink(host_path("file")));
	host_text("file", "new");
	fails(guest_getattr(&fx.g, old.nodeid, GUEST_NO_FH, &a), ESTALE);
	new = func_entry("file");
	ck_assert_uint_ne(new.nodeid, old.nodeid);
	func_attr(new.nodeid);
	func_end();
}
END_TEST

/* --- memory --- */

/* Bytes of memory that the worker has to itself or shares with nobody but the keeper */
static long memory(void)
{
	char path[64], line[128];
	long kb, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)daemon_worker(&fx.d));
	f = fopen(path, "re");
	ck_assert(f != NULL);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "RssAnon: %ld", &kb) == 1 || sscanf(line, "RssShmem: %ld", &kb) == 1)
			sum += kb;
	fclose(f);
	return sum * 1024;
}

START_TEST(memory_of_a_node)
{
	unsigned int n = files();
	long before, first, second;

	if (func_sanitized())
		func_skip("sanitizers have memory of their own for each byte");
	need_handles();
	make_files(n);
	start("auto");
	look_up(DIRS * 4);
	forget_all(DIRS * 4, 1);
	before = memory();
	look_up(n);
	first = memory() - before;
	forget_all(n, 1);
	look_up(n);
	second = memory() - before;
	fprintf(stderr, "%u nodes: %ld bytes each, %ld after they were forgotten and looked up again\n",
		n, first / n, second / n);
	ck_assert_int_le(first / n, 160);
	ck_assert_int_le(second, first + first / 50);
	func_end();
}
END_TEST

START_TEST(mandatory_handles_that_are_not_to_be_had_are_said)
{
	const char *const args[] = { "--inode-file-handles=mandatory", NULL };
	const struct daemon_opts opts = { .args = args, .no_wait = true };

	ok(daemon_prepare(&fx.d));
	host_mount("proc", "");
	ok(daemon_spawn(&fx.d, &opts));
	ck_assert_int_eq(daemon_wait(&fx.d, 5000), 1);
	ck_assert(daemon_log_has(&fx.d, "--inode-file-handles=mandatory"));
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("handles", argc, argv);
	func_test_long(nodes_beyond_the_limit, 900);
	func_test_long(nodes_beyond_the_limit_with_handles_preferred, 300);
	func_test_long(nodes_beyond_the_limit_with_handles_mandatory, 300);
	func_test(without_handles_the_limit_is_an_error_and_no_end);
	func_test(files_that_are_only_looked_up_take_no_descriptors);
	func_test(removed_files_and_directories_stay_until_forgotten);
	func_test(what_the_host_removes_is_stale);
	func_test_long(memory_of_a_node, 900);
	func_test(mandatory_handles_that_are_not_to_be_had_are_said);
	return func_done();
}
