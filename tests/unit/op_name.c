/* SPDX-License-Identifier: BSD-3-Clause */
/* What makes, moves and takes away names, through fuse_serve(). */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "client.h"

#define ROOT FUSE_ROOT_ID

static struct client c;
static uint64_t dir;

static const char *path_of(const char *name)
{
	static char path[128];

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	return path;
}

static void setup(void)
{
	mkdir(path_of("dir"), 0755);
	unit_write_file("file", "x", 1);
	client_start(&c, CACHE_AUTO);
	ck_ok(client_lookup(&c, ROOT, "dir", &dir));
}

static void teardown(void)
{
	client_stop(&c);
}

static bool exists(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

static struct stat stat_of(const char *name)
{
	struct stat st = { 0 };

	ck_assert_int_eq(lstat(path_of(name), &st), 0);
	return st;
}

/* Entry of the last reply. */
static struct fuse_entry_out entry;

static int serve_entry(struct call *k)
{
	int r = call_serve(&c, k);

	if (r == 0)
		memcpy(&entry, call_body(k), sizeof(entry));
	return r;
}

static int do_mkdir(uint64_t parent, const char *name)
{
	struct call k;

	call_begin(&k, FUSE_MKDIR, parent);
	call_arg(&k, fuse_mkdir_in)->mode = 0755;
	call_name(&k, name);
	return serve_entry(&k);
}

static int do_mknod(uint64_t parent, const char *name, mode_t mode,
		    uint32_t rdev)
{
	struct call k;
	struct fuse_mknod_in *in;

	call_begin(&k, FUSE_MKNOD, parent);
	in = call_arg(&k, fuse_mknod_in);
	in->mode = mode;
	in->rdev = rdev;
	call_name(&k, name);
	return serve_entry(&k);
}

static int do_symlink(uint64_t parent, const char *name, const char *target)
{
	struct call k;

	call_begin(&k, FUSE_SYMLINK, parent);
	call_name(&k, name);
	call_name(&k, target);
	return serve_entry(&k);
}

static int do_link(uint64_t node, uint64_t parent, const char *name)
{
	struct call k;

	call_begin(&k, FUSE_LINK, parent);
	call_arg(&k, fuse_link_in)->oldnodeid = node;
	call_name(&k, name);
	return serve_entry(&k);
}

static int do_rename(uint64_t from, const char *old, uint64_t to,
		     const char *new, uint32_t flags)
{
	struct call k;

	call_begin(&k, flags ? FUSE_RENAME2 : FUSE_RENAME, from);
	if (flags) {
		struct fuse_rename2_in in = { to, flags, 0 };

		call_put(&k, &in, sizeof(in));
	} else {
		call_arg(&k, fuse_rename_in)->newdir = to;
	}
	call_name(&k, old);
	call_name(&k, new);
	return call_serve(&c, &k);
}

static int do_create(uint64_t parent, const char *name)
{
	uint64_t id, fh;

	return client_create(&c, parent, name, O_RDWR | O_EXCL, 0644, &id, &fh);
}

/* Names that are none: for each op that makes, moves or removes one. */
START_TEST(bad_names)
{
	static const char *const bad[] = { "", ".", "..", "/", "a/b", "../x",
					   "dir/", "/etc", "./x" };
	const char *name = bad[_i];
	struct client_counts before = client_counts(&c);
	uint64_t id;

	ck_assert_int_eq(do_mkdir(ROOT, name), -EINVAL);
	ck_assert_int_eq(do_mknod(ROOT, name, S_IFREG | 0644, 0), -EINVAL);
	ck_assert_int_eq(do_symlink(ROOT, name, "x"), -EINVAL);
	ck_assert_int_eq(do_link(ROOT, ROOT, name), -EINVAL);
	ck_assert_int_eq(do_create(ROOT, name), -EINVAL);
	ck_assert_int_eq(client_name(&c, FUSE_UNLINK, ROOT, name), -EINVAL);
	ck_assert_int_eq(client_name(&c, FUSE_RMDIR, ROOT, name), -EINVAL);
	for (uint32_t flags = 0; flags <= RENAME_NOREPLACE; flags++) {
		ck_assert_int_eq(do_rename(ROOT, name, ROOT, "new", flags),
				 -EINVAL);
		ck_assert_int_eq(do_rename(ROOT, "file", ROOT, name, flags),
				 -EINVAL);
	}
	if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
		ck_assert_int_eq(client_lookup(&c, ROOT, name, &id),
				 *name ? -EINVAL : -ENOENT);
	client_check_counts(&c, &before);
	ck_assert(exists("file") && exists("dir"));
}
END_TEST

START_TEST(names_of_any_length)
{
	char name[300];
	uint64_t id;

	for (size_t len = 250; len < sizeof(name); len++) {
		int want = len > NAME_MAX ? -ENAMETOOLONG : 0;

		memset(name, 'n', len);
		name[len] = '\0';
		ck_assert_int_eq(client_lookup(&c, ROOT, name, &id),
				 want ? want : -ENOENT);
		ck_assert_int_eq(do_mkdir(ROOT, name), want);
		ck_assert_int_eq(client_name(&c, FUSE_RMDIR, ROOT, name), want);
	}
}
END_TEST

START_TEST(directories)
{
	struct client_counts before = client_counts(&c);

	ck_ok(do_mkdir(dir, "new"));
	ck_assert(S_ISDIR(entry.attr.mode));
	ck_assert_uint_eq(entry.attr.ino, stat_of("dir/new").st_ino);
	ck_assert_int_eq(do_mkdir(dir, "new"), -EEXIST);
	ck_assert_int_eq(client_name(&c, FUSE_UNLINK, dir, "new"), -EISDIR);
	ck_assert_int_eq(client_name(&c, FUSE_RMDIR, ROOT, "dir"), -ENOTEMPTY);
	ck_ok(client_name(&c, FUSE_RMDIR, dir, "new"));
	ck_assert_int_eq(client_name(&c, FUSE_RMDIR, dir, "new"), -ENOENT);
	ck_assert_int_eq(client_name(&c, FUSE_RMDIR, ROOT, "file"), -ENOTDIR);
	client_forget(&c, entry.nodeid, 1);
	client_check_counts(&c, &before);
}
END_TEST

/* The mode is as it came: the guest has taken its umask off, ours is 0. */
START_TEST(modes_are_as_they_come)
{
	struct call k;

	(void)unlink(path_of("node"));
	ck_ok(do_mknod(ROOT, "node", S_IFREG | 0666, 0));
	ck_assert_uint_eq(stat_of("node").st_mode, S_IFREG | 0666);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "node"));
	call_begin(&k, FUSE_MKDIR, ROOT);
	call_arg(&k, fuse_mkdir_in)->mode = 01777;
	call_name(&k, "sticky");
	ck_ok(serve_entry(&k));
	ck_assert_uint_eq(stat_of("sticky").st_mode, S_IFDIR | 01777);
	ck_ok(client_name(&c, FUSE_RMDIR, ROOT, "sticky"));
}
END_TEST

START_TEST(special_files)
{
	/* The guest's kernel encodes a device number so (new_encode_dev()). */
	uint32_t rdev = (300U & 0xff) | 10U << 8 | (300U & ~0xffU) << 12;

	(void)unlink(path_of("special"));
	ck_ok(do_mknod(ROOT, "special", S_IFIFO | 0600, 0));
	ck_assert(S_ISFIFO(stat_of("special").st_mode));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "special"));
	ck_ok(do_mknod(ROOT, "special", S_IFSOCK | 0600, 0));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "special"));
	if (geteuid() != 0)
		return;
	if (do_mknod(ROOT, "special", S_IFCHR | 0600, rdev) < 0)
		return; /* a container may not */
	ck_assert_uint_eq(stat_of("special").st_rdev, makedev(10, 300));
	ck_assert_uint_eq(entry.attr.rdev, rdev);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "special"));
}
END_TEST

static int do_readlink(uint64_t node, char *ret, size_t *ret_len)
{
	struct call k;
	int r;

	call_begin(&k, FUSE_READLINK, node);
	r = call_serve(&c, &k);
	*ret_len = k.body_len;
	memcpy(ret, call_body(&k), k.body_len);
	return r;
}

START_TEST(symlinks)
{
	static char target[PATH_MAX + 1], back[PATH_MAX + 1];
	size_t len;
	uint64_t file;

	(void)unlink(path_of("link"));
	ck_ok(do_symlink(ROOT, "link", "../../no/where"));
	ck_assert(S_ISLNK(entry.attr.mode));
	ck_ok(do_readlink(entry.nodeid, back, &len));
	ck_assert_uint_eq(len, 14);
	ck_assert_int_eq(memcmp(back, "../../no/where", len), 0);
	ck_assert_int_eq(do_symlink(ROOT, "link", "x"), -EEXIST);
	ck_assert_int_eq(do_symlink(ROOT, "empty", ""), -ENOENT);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "link"));
	/* The longest, and one byte more. */
	memset(target, 't', sizeof(target));
	target[PATH_MAX - 1] = '\0';
	ck_ok(do_symlink(ROOT, "link", target));
	ck_ok(do_readlink(entry.nodeid, back, &len));
	ck_assert_uint_eq(len, PATH_MAX - 1);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "link"));
	target[PATH_MAX - 1] = 't';
	target[PATH_MAX] = '\0';
	ck_assert_int_eq(do_symlink(ROOT, "link", target), -ENAMETOOLONG);
	ck_ok(client_lookup(&c, ROOT, "file", &file));
	ck_assert_int_eq(do_readlink(file, back, &len), -EINVAL);
	ck_assert_int_eq(do_readlink(ROOT, back, &len), -EINVAL);
}
END_TEST

START_TEST(hard_links)
{
	uint64_t file, link;

	(void)unlink(path_of("second"));
	ck_ok(client_lookup(&c, ROOT, "file", &file));
	ck_ok(do_link(file, ROOT, "second"));
	ck_assert_uint_eq(entry.nodeid, file);
	ck_assert_uint_eq(entry.attr.nlink, 2);
	ck_assert_int_eq(do_link(file, ROOT, "second"), -EEXIST);
	ck_assert_int_eq(do_link(dir, ROOT, "third"), -EPERM);
	ck_assert_int_eq(do_link(12345, ROOT, "third"), -EBADF);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "second"));
	/* Of a symlink: the link itself gets a second name. */
	(void)unlink(path_of("link"));
	ck_ok(do_symlink(ROOT, "link", "file"));
	link = entry.nodeid;
	ck_ok(do_link(link, ROOT, "second"));
	ck_assert_uint_eq(entry.nodeid, link);
	ck_assert(S_ISLNK(stat_of("second").st_mode));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "second"));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "link"));
}
END_TEST

START_TEST(renames)
{
	uint64_t id, again;

	unit_write_file("old", "old", 3);
	unit_write_file("new", "new", 3);
	ck_ok(client_lookup(&c, ROOT, "old", &id));
	ck_assert_int_eq(do_rename(ROOT, "old", ROOT, "new", RENAME_NOREPLACE),
			 -EEXIST);
	ck_ok(do_rename(ROOT, "old", ROOT, "new", RENAME_EXCHANGE));
	ck_ok(client_lookup(&c, ROOT, "new", &again));
	ck_assert_uint_eq(again, id);
	ck_ok(do_rename(ROOT, "new", dir, "moved", 0));
	ck_assert(!exists("new") && exists("dir/moved"));
	ck_ok(client_lookup(&c, dir, "moved", &again));
	ck_assert_uint_eq(again, id);
	ck_assert_int_eq(do_rename(ROOT, "gone", dir, "x", 0), -ENOENT);
	ck_assert_int_eq(do_rename(ROOT, "dir", dir, "x", 0), -EINVAL);
	ck_assert_int_eq(do_rename(ROOT, "old", 12345, "x", 0), -EBADF);
	ck_assert_int_eq(do_rename(12345, "old", ROOT, "x", 0), -EBADF);
	ck_assert_int_eq(do_rename(ROOT, "old", ROOT, "x", 1U << 20), -EINVAL);
	/* Over a name that the guest holds: its node is still there. */
	ck_ok(do_rename(ROOT, "old", dir, "moved", 0));
	ck_ok(client_open(&c, id, O_RDONLY, &again));
	ck_ok(client_name(&c, FUSE_UNLINK, dir, "moved"));
}
END_TEST

/* overlayfs on top needs it: a character device 0,0 where the name was. */
/* Kernels and file systems without renameat2(2), as far as the program can tell.
 * The filter is the test's process's own. */
static void refuse_renameat2(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_renameat2, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	must(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0);
}

START_TEST(renames_without_the_call_that_takes_flags)
{
	unit_write_file("old", "old", 3);
	unit_write_file("new", "new", 3);
	refuse_renameat2();
	ck_assert_int_eq(do_rename(ROOT, "old", ROOT, "new", RENAME_NOREPLACE),
			 -EINVAL);
	ck_assert_int_eq(do_rename(ROOT, "old", ROOT, "new", RENAME_EXCHANGE),
			 -EINVAL);
	ck_assert(exists("old") && exists("new"));
	/* Without flags it is not needed. */
	ck_ok(do_rename(ROOT, "old", ROOT, "new", 0));
	ck_assert(!exists("old") && exists("new"));
}
END_TEST

START_TEST(whiteout)
{
	int r;

	unit_write_file("covered", "x", 1);
	r = do_rename(ROOT, "covered", dir, "uncovered", RENAME_WHITEOUT);
	if (r == -EPERM || r == -EINVAL)
		return; /* not here */
	ck_ok(r);
	ck_assert(S_ISCHR(stat_of("covered").st_mode));
	ck_assert_uint_eq(stat_of("covered").st_rdev, 0);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "covered"));
	ck_ok(client_name(&c, FUSE_UNLINK, dir, "uncovered"));
}
END_TEST

START_TEST(removed_file_is_still_a_node)
{
	struct fuse_attr attr;
	uint64_t id;

	unit_write_file("doomed", "12", 2);
	ck_ok(client_lookup(&c, ROOT, "doomed", &id));
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "doomed"));
	ck_ok(client_getattr(&c, id, &attr));
	ck_assert_uint_eq(attr.nlink, 0);
	/* A name that nobody ever looked up. */
	unit_write_file("unseen", "", 0);
	ck_ok(client_name(&c, FUSE_UNLINK, ROOT, "unseen"));
	client_forget(&c, id, 1);
	ck_assert_int_eq(client_getattr(&c, id, &attr), -EBADF);
}
END_TEST

static void as_user(struct call *k, uint32_t opcode, const char *name)
{
	struct fuse_in_header *h;

	call_begin(k, opcode, ROOT);
	if (opcode == FUSE_MKNOD)
		call_arg(k, fuse_mknod_in)->mode = S_IFREG | 0644;
	else if (opcode == FUSE_MKDIR)
		call_arg(k, fuse_mkdir_in)->mode = 0755;
	else if (opcode == FUSE_CREATE)
		*call_arg(k, fuse_create_in) = (struct fuse_create_in){
			.flags = O_RDWR, .mode = S_IFREG | 0644 };
	call_name(k, name);
	if (opcode == FUSE_SYMLINK)
		call_name(k, "to");
	h = call_header(k);
	h->uid = 1000;
	h->gid = 2000;
}

static const uint32_t makers[] = { FUSE_MKNOD, FUSE_MKDIR, FUSE_SYMLINK,
				   FUSE_CREATE };

static void remove_made(const char *name)
{
	if (unlink(path_of(name)) < 0)
		(void)rmdir(path_of(name));
}

/* What a user of the guest makes is the user's; not permitted to say so: EPERM
 * and nothing is made. */
START_TEST(new_names_belong_to_the_caller)
{
	struct call k;
	int r;

	remove_made("theirs");
	as_user(&k, makers[_i], "theirs");
	r = serve_entry(&k);
	if (geteuid() != 0) {
		ck_assert_int_eq(r, -EPERM);
		ck_assert(!exists("theirs"));
		return;
	}
	ck_ok(r);
	ck_assert_uint_eq(stat_of("theirs").st_uid, 1000);
	ck_assert_uint_eq(stat_of("theirs").st_gid, 2000);
	ck_assert_uint_eq(entry.attr.uid, 1000);
	remove_made("theirs");
}
END_TEST

/* The supplementary group that it sends along decides on a set-gid bit. */
START_TEST(group_of_the_caller)
{
	struct {
		struct wire_fuse_ext_header h;
		uint32_t n, group[3];
	} ext = { { 24, WIRE_FUSE_EXT_GROUPS }, 1, { 4711 } };
	struct call k;

	if (geteuid() != 0)
		return;
	remove_made("in-group");
	ck_assert_int_eq(chown(path_of("dir"), 0, 4711), 0);
	ck_assert_int_eq(chmod(path_of("dir"), 02777), 0);
	as_user(&k, FUSE_MKDIR, "in-group");
	call_header(&k)->nodeid = dir;
	while (k.in_len % 8)
		call_put(&k, "", 1);
	call_put(&k, &ext, sizeof(ext));
	call_header(&k)->total_extlen = sizeof(ext) / 8;
	ck_ok(serve_entry(&k));
	ck_assert_uint_eq(stat_of("dir/in-group").st_gid, 4711);
	ck_assert_uint_eq(stat_of("dir/in-group").st_uid, 1000);
	ck_assert_int_eq(getgroups(0, NULL), 0);
	ck_ok(client_name(&c, FUSE_RMDIR, dir, "in-group"));
	ck_assert_int_eq(chmod(path_of("dir"), 0755), 0);
}
END_TEST

START_TEST(files_are_no_parents)
{
	uint64_t file, id;

	ck_ok(client_lookup(&c, ROOT, "file", &file));
	ck_assert_int_eq(do_mkdir(file, "x"), -ENOTDIR);
	ck_assert_int_eq(do_create(file, "x"), -ENOTDIR);
	ck_assert_int_eq(client_name(&c, FUSE_UNLINK, file, "x"), -ENOTDIR);
	ck_assert_int_eq(client_lookup(&c, file, "x", &id), -ENOTDIR);
	ck_assert_int_eq(client_lookup(&c, 12345, "x", &id), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_name");
	TCase *tc = unit_tcase(s, "names", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, bad_names, 0, 9);
	tcase_add_test(tc, names_of_any_length);
	tcase_add_test(tc, directories);
	tcase_add_test(tc, modes_are_as_they_come);
	tcase_add_test(tc, special_files);
	tcase_add_test(tc, symlinks);
	tcase_add_test(tc, hard_links);
	tcase_add_test(tc, renames);
	tcase_add_test(tc, renames_without_the_call_that_takes_flags);
	tcase_add_test(tc, whiteout);
	tcase_add_test(tc, removed_file_is_still_a_node);
	tcase_add_loop_test(tc, new_names_belong_to_the_caller, 0, 4);
	tcase_add_test(tc, group_of_the_caller);
	tcase_add_test(tc, files_are_no_parents);
	return unit_run(s);
}
