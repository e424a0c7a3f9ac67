/* SPDX-License-Identifier: BSD-3-Clause */
/* OPEN, CREATE, RELEASE, FLUSH, FSYNC through fuse_serve(). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"

#define ROOT FUSE_ROOT_ID

static struct client c;

static void setup(void)
{
	client_start(&c, CACHE_AUTO);
}

static void teardown(void)
{
	client_stop(&c);
}

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	return path;
}

static uint64_t lookup(const char *name)
{
	uint64_t id;

	ck_ok(client_lookup(&c, ROOT, name, &id));
	return id;
}

static bool make_socket(const char *name)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int r;

	snprintf(un.sun_path, sizeof(un.sun_path), "%.*s",
		 (int)sizeof(un.sun_path) - 1, path_of(name));
	r = bind(fd, (struct sockaddr *)&un, sizeof(un));
	close(fd);
	return r == 0;
}

static bool make_special(int kind)
{
	const char *path = path_of("special");

	(void)unlink(path);
	switch (kind) {
	case 0:
		return mkfifo(path, 0666) == 0;
	case 1:
		return make_socket("special");
	case 2:
		return mknod(path, S_IFCHR | 0666, makedev(1, 3)) == 0;
	case 3:
		return mknod(path, S_IFBLK | 0666, makedev(7, 250)) == 0;
	default:
		return symlink("/etc/passwd", path) == 0;
	}
}

/* A FIFO would hang the thread, a device act on the host, a symlink lead out of
 * the share. No way leads to an open descriptor. */
START_TEST(special_files_cannot_be_opened)
{
	static const uint32_t flags[] = { O_RDONLY, O_WRONLY, O_RDWR,
					  O_RDWR | O_TRUNC,
					  O_RDWR | O_NONBLOCK };
	struct client_counts before;
	uint64_t id, other, fh;
	struct fuse_attr attr;

	if (!make_special(_i))
		return; /* device nodes need root */
	id = lookup("special");
	ck_ok(client_getattr(&c, id, &attr)); /* opens its node */
	before = client_counts(&c);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		int want = _i == 4 ? -ELOOP : -EBADF;

		ck_assert_int_eq(client_open(&c, id, flags[i], &fh), want);
		ck_assert_int_eq(client_create(&c, ROOT, "special", flags[i],
					       0644, &other, &fh), want);
		ck_assert_int_eq(client_opendir(&c, id, &fh), -ENOTDIR);
		ck_assert_int_eq(client_create(&c, ROOT, "special",
					       flags[i] | O_EXCL, 0644, &other,
					       &fh), -EEXIST);
		client_check_counts(&c, &before);
	}
	(void)unlink(path_of("special"));
}
END_TEST

START_TEST(fsync_by_node_opens_no_special_file)
{
	uint64_t id = make_special(_i) ? lookup("special") : 0;
	struct client_counts before;
	struct fuse_attr attr;
	struct call k;

	if (!id)
		return;
	ck_ok(client_getattr(&c, id, &attr)); /* opens its node */
	call_begin(&k, FUSE_FSYNC, id);
	before = client_counts(&c);
	call_arg(&k, fuse_fsync_in)->fh = UINT64_MAX;
	ck_assert_int_lt(call_serve(&c, &k), 0);
	client_check_counts(&c, &before);
	(void)unlink(path_of("special"));
}
END_TEST

START_TEST(directories_are_no_files)
{
	uint64_t fh, id;

	mkdir(path_of("d"), 0755);
	ck_assert_int_eq(client_open(&c, lookup("d"), O_RDONLY, &fh), -EISDIR);
	ck_assert_int_eq(client_open(&c, ROOT, O_RDONLY, &fh), -EISDIR);
	ck_assert_int_eq(client_create(&c, ROOT, "d", O_RDWR, 0644, &id, &fh),
			 -EISDIR);
	unit_write_file("f", "x", 1);
	ck_assert_int_eq(client_opendir(&c, lookup("f"), &fh), -ENOTDIR);
}
END_TEST

START_TEST(handle_of_one_kind_is_not_the_other)
{
	uint64_t fh, dir_fh;
	char byte;

	unit_write_file("f", "x", 1);
	ck_ok(client_open(&c, lookup("f"), O_RDONLY, &fh));
	ck_ok(client_opendir(&c, ROOT, &dir_fh));
	ck_assert_int_eq(client_read(&c, dir_fh, 0, 1, &byte), -EBADF);
	ck_assert_int_eq(client_release(&c, dir_fh), -EBADF);
	ck_assert_int_eq(client_releasedir(&c, fh), -EBADF);
	ck_assert_int_eq(client_read(&c, fh, 0, 1, &byte), 1);
	ck_ok(client_release(&c, fh));
	ck_assert_int_eq(client_release(&c, fh), -EBADF);
	ck_assert_int_eq(client_read(&c, fh, 0, 1, &byte), -EBADF);
	ck_ok(client_releasedir(&c, dir_fh));
	ck_assert_int_eq(client_read(&c, UINT64_MAX, 0, 1, &byte), -EBADF);
	ck_assert_int_eq(client_read(&c, 0, 0, 1, &byte), -EBADF);
}
END_TEST

/* The mode is for those that open it later. */
START_TEST(created_file_can_be_written_whatever_its_mode)
{
	struct fuse_attr attr;
	uint64_t id, fh;

	(void)unlink(path_of("readonly"));
	ck_ok(client_create(&c, ROOT, "readonly", O_RDWR | O_CREAT, 0444, &id,
			    &fh));
	ck_assert_int_eq(client_write(&c, fh, 0, "abc", 3), 3);
	ck_ok(client_getattr(&c, id, &attr));
	ck_assert_uint_eq(attr.size, 3);
	ck_assert_uint_eq(attr.mode, S_IFREG | 0444);
	ck_ok(client_release(&c, fh));
}
END_TEST

START_TEST(create_over_a_name)
{
	uint64_t id, again, fh, fh2;
	char buf[8];

	unit_write_file("there", "12345", 5);
	id = lookup("there");
	ck_assert_int_eq(client_create(&c, ROOT, "there", O_RDWR | O_EXCL, 0644,
				       &again, &fh), -EEXIST);
	ck_ok(client_create(&c, ROOT, "there", O_RDWR, 0600, &again, &fh));
	ck_assert_uint_eq(again, id);
	ck_assert_int_eq(client_read(&c, fh, 0, 8, buf), 5);
	ck_ok(client_create(&c, ROOT, "there", O_RDWR | O_TRUNC, 0600, &again,
			    &fh2));
	ck_assert_int_eq(client_read(&c, fh2, 0, 8, buf), 0);
}
END_TEST

START_TEST(open_file_outlives_its_name)
{
	uint64_t id, fh, none;
	char buf[4];

	unit_write_file("doomed", "abcd", 4);
	id = lookup("doomed");
	ck_ok(client_open(&c, id, O_RDONLY, &fh));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "doomed"));
	ck_assert_int_eq(client_read(&c, fh, 0, 4, buf), 4);
	/* The node too: it can be opened again until it is forgotten. */
	ck_ok(client_open(&c, id, O_RDONLY, &fh));
	client_forget(&c, id, 1);
	ck_assert_int_eq(client_open(&c, id, O_RDONLY, &none), -EBADF);
	ck_assert_int_eq(client_read(&c, fh, 0, 4, buf), 4);
}
END_TEST

START_TEST(cache_mode_tells_how_to_open)
{
	static const struct {
		enum cache_mode mode;
		uint32_t file, dir;
	} want[] = {
		{ CACHE_NEVER, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0 },
		{ CACHE_METADATA, FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
		  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
		{ CACHE_AUTO, 0, 0 },
		{ CACHE_ALWAYS, FOPEN_KEEP_CACHE,
		  FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
	};
	const struct fuse_open_out *out;
	struct client other;
	struct call k;
	uint64_t id;

	client_start(&other, want[_i].mode);
	unit_write_file("f", "x", 1);
	ck_ok(client_lookup(&other, ROOT, "f", &id));
	call_begin(&k, FUSE_OPEN, id);
	call_arg(&k, fuse_open_in);
	ck_ok(call_serve(&other, &k));
	out = call_body(&k);
	ck_assert_uint_eq(out->open_flags, want[_i].file | FOPEN_NOFLUSH);
	call_begin(&k, FUSE_OPENDIR, ROOT);
	call_arg(&k, fuse_open_in);
	ck_ok(call_serve(&other, &k));
	ck_assert_uint_eq(out->open_flags, want[_i].dir);
	fs_destroy(&other.fs);
	unit_arena_destroy(&other.arena);
}
END_TEST

/* A close has nothing to say, unless locks are kept here or the host's close may. */
START_TEST(who_has_to_flush)
{
	static const struct {
		uint32_t flags;
		bool locks, remote, flush;
	} want[] = {
		{ O_RDWR, false, false, false },
		{ O_RDONLY, true, false, true },
		{ O_WRONLY, true, false, true },
		{ O_RDONLY, false, true, false },
		{ O_WRONLY, false, true, true },
		{ O_RDWR, false, true, true },
	};
	const struct fuse_open_out *out;
	uint64_t id;
	struct call k;

	unit_write_file("f", "x", 1);
	id = lookup("f");
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		struct node_pin n = { 0 };

		ck_ok(node_pin(&c.fs.nodes, id, &n));
		n.node->flags &= (uint16_t)~(FSCLASS_REMOTE << NODE_CLASS_SHIFT);
		if (want[i].remote)
			n.node->flags |= FSCLASS_REMOTE << NODE_CLASS_SHIFT;
		node_unpin(&n);
		c.fs.use_posix_lock = want[i].locks;
		call_begin(&k, FUSE_OPEN, id);
		call_arg(&k, fuse_open_in)->flags = want[i].flags;
		ck_ok(call_serve(&c, &k));
		out = call_body(&k);
		ck_assert_msg(!(out->open_flags & FOPEN_NOFLUSH) ==
			      want[i].flush, "%zu", i);
	}
	c.fs.use_posix_lock = false;
}
END_TEST

static int fsync_as(uint32_t opcode, uint64_t node, uint64_t fh, uint32_t flags)
{
	struct fuse_fsync_in in = { .fh = fh, .fsync_flags = flags };
	struct call k;

	call_begin(&k, opcode, node);
	call_put(&k, &in, sizeof(in));
	return call_serve(&c, &k);
}

START_TEST(fsync_by_handle_and_by_node)
{
	uint64_t file, fh, dir_fh;
	struct client_counts before;

	unit_write_file("f", "x", 1);
	file = lookup("f");
	ck_ok(client_open(&c, file, O_RDWR, &fh));
	ck_ok(client_opendir(&c, ROOT, &dir_fh));
	before = client_counts(&c);
	for (uint32_t flags = 0; flags < 2; flags++) {
		ck_ok(fsync_as(FUSE_FSYNC, file, fh, flags));
		ck_ok(fsync_as(FUSE_FSYNCDIR, ROOT, dir_fh, flags));
		ck_ok(fsync_as(FUSE_FSYNC, file, UINT64_MAX, flags));
		ck_ok(fsync_as(FUSE_FSYNC, ROOT, UINT64_MAX, flags));
		ck_ok(fsync_as(FUSE_FSYNCDIR, ROOT, UINT64_MAX, flags));
		ck_assert_int_eq(fsync_as(FUSE_FSYNC, file, dir_fh, flags),
				 -EBADF);
		ck_assert_int_eq(fsync_as(FUSE_FSYNCDIR, ROOT, fh, flags),
				 -EBADF);
		ck_assert_int_eq(fsync_as(FUSE_FSYNC, 12345, fh, flags), -EBADF);
	}
	client_check_counts(&c, &before);
}
END_TEST

static int setrlimit_nofile(rlim_t n)
{
	struct rlimit rl;

	getrlimit(RLIMIT_NOFILE, &rl);
	rl.rlim_cur = n;
	return setrlimit(RLIMIT_NOFILE, &rl);
}

/* The host's limit of descriptors is an error of one request. */
START_TEST(out_of_descriptors)
{
	struct client_counts before;
	uint64_t id, other, fh;
	struct fuse_attr attr;
	int n = 0, fds[32];

	unit_write_file("f", "x", 1);
	mkdir(path_of("d"), 0755);
	id = lookup("f");
	ck_ok(client_getattr(&c, id, &attr));
	ck_assert_int_eq(setrlimit_nofile(24), 0);
	while (n < 32 && (fds[n] = fd_dup(STDERR_FILENO)) >= 0)
		n++;
	before = client_counts(&c);
	ck_assert_int_eq(client_open(&c, id, O_RDONLY, &fh), -EMFILE);
	ck_assert_int_eq(client_opendir(&c, ROOT, &fh), -EMFILE);
	ck_assert_int_eq(client_lookup(&c, ROOT, "d", &other), -EMFILE);
	ck_assert_int_eq(client_create(&c, ROOT, "f2", O_RDWR, 0644, &other,
				       &fh), -EMFILE);
	client_check_counts(&c, &before);
	while (n)
		ck_ok(fd_close(&fds[--n]));
	ck_ok(client_open(&c, id, O_RDONLY, &fh));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_open");
	TCase *tc = unit_tcase(s, "files", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, special_files_cannot_be_opened, 0, 5);
	tcase_add_loop_test(tc, fsync_by_node_opens_no_special_file, 0, 5);
	tcase_add_test(tc, directories_are_no_files);
	tcase_add_test(tc, handle_of_one_kind_is_not_the_other);
	tcase_add_test(tc, created_file_can_be_written_whatever_its_mode);
	tcase_add_test(tc, create_over_a_name);
	tcase_add_test(tc, open_file_outlives_its_name);
	tcase_add_loop_test(tc, cache_mode_tells_how_to_open, 0, 4);
	tcase_add_test(tc, who_has_to_flush);
	tcase_add_test(tc, fsync_by_handle_and_by_node);
	tcase_add_test(tc, out_of_descriptors);
	return unit_run(s);
}
