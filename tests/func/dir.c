/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories: OPENDIR, READDIR, READDIRPLUS, RELEASEDIR, FSYNCDIR (rows 14, 19, 27). */
#include <dirent.h>
#include <fcntl.h>

#include "func.h"

#define BIG 3000

static char buf[FUNC_DATA_MAX];

static uint64_t open_dir(uint64_t node)
{
	struct fuse_open_out o;

	ok(guest_opendir(&fx.g, node, &o));
	return o.fh;
}

/* Make n files f0, f1, ... in a directory (relative to the share, "" for its root). */
static void fill(const char *dir, int n)
{
	for (int i = 0; i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%sf%d", dir, *dir ? "/" : "", i);
		host_text(name, "");
	}
}

struct seen {
	int total, dots;
	bool file[BIG];
};

static void see(struct seen *s, const struct fuse_dirent *d, const char *dir)
{
	char name[300], path[600];
	int i;

	ck_assert_uint_le(d->namelen, 255);
	memcpy(name, d->name, d->namelen);
	name[d->namelen] = '\0';
	s->total++;
	if (!strcmp(name, ".") || !strcmp(name, "..")) {
		s->dots++;
		ck_assert_uint_eq(d->type, DT_DIR);
		return;
	}
	if (sscanf(name, "f%d", &i) == 1) {
		ck_assert_msg(i >= 0 && i < BIG && !s->file[i], "%s twice", name);
		s->file[i] = true;
	}
	snprintf(path, sizeof(path), "%s%s%s", dir, *dir ? "/" : "", name);

	struct stat st = host_stat(path);

	ck_assert_uint_eq(d->ino, st.st_ino);
	ck_assert_uint_eq(d->type, IFTODT(st.st_mode));
}

static void list(struct seen *s, uint64_t node, uint64_t fh, const char *dir, uint32_t size)
{
	uint64_t offset = 0;

	memset(s, 0, sizeof(*s));
	for (;;) {
		size_t len = ok(guest_readdir(&fx.g, node, fh, offset, buf, size)), at = 0;
		const struct fuse_dirent *d;

		if (!len)
			return;
		while ((d = guest_dirent(buf, len, &at))) {
			see(s, d, dir);
			offset = d->off;
		}
		ck_assert_uint_eq(at, len);
	}
}

START_TEST(every_entry_is_listed_once_with_its_type_and_number)
{
	static struct seen s;

	func_start();
	fill("", 100);
	host(mkdir(host_path("dir"), 0755));
	host(symlink("x", host_path("link")));
	host(mkfifo(host_path("fifo"), 0600));
	list(&s, FUSE_ROOT_ID, open_dir(FUSE_ROOT_ID), "", 4096);
	ck_assert_int_eq(s.total, 105);
	ck_assert_int_eq(s.dots, 2);
	func_end();
}
END_TEST

START_TEST(large_directory_in_buffers_of_any_size)
{
	static const uint32_t sizes[] = { 320, 512, 1000, 4096, 32768, 1 << 20 };
	static struct seen s;

	func_start();
	host(mkdir(host_path("d"), 0755));
	fill("d", BIG);

	uint64_t d = func_node("d"), fh = open_dir(d);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		list(&s, d, fh, "d", sizes[i]);
		ck_assert_int_eq(s.total, BIG + 2);
	}
	ok(guest_releasedir(&fx.g, d, fh));
	func_end();
}
END_TEST

START_TEST(reading_resumes_at_any_offset)
{
	static char names[502][32];
	static uint64_t offs[502];
	uint64_t offset = 0;
	int n = 0;

	func_start();
	host(mkdir(host_path("d"), 0755));
	fill("d", 500);

	uint64_t d = func_node("d"), fh = open_dir(d);

	for (size_t len, at = 0; (len = ok(guest_readdir(&fx.g, d, fh, offset, buf, 4096)));
	     at = 0) {
		const struct fuse_dirent *e;

		while ((e = guest_dirent(buf, len, &at))) {
			snprintf(names[n], 32, "%.*s", (int)e->namelen, e->name);
			offset = offs[n++] = e->off;
		}
	}
	ck_assert_int_eq(n, 502);

	/* backwards, and with a handle of its own: each offset leads to the entry after it */
	uint64_t other = open_dir(d);

	for (int i = 500; i >= 0; i -= 7) {
		for (int which = 0; which < 2; which++) {
			size_t len = ok(guest_readdir(&fx.g, d, which ? other : fh, offs[i], buf,
						      512));
			size_t at = 0;
			const struct fuse_dirent *e = guest_dirent(buf, len, &at);

			ck_assert_ptr_nonnull(e);
			ck_assert_msg(e->namelen == strlen(names[i + 1]) &&
					      !memcmp(e->name, names[i + 1], e->namelen),
				      "after %s came %.*s, not %s", names[i], (int)e->namelen,
				      e->name, names[i + 1]);
		}
	}
	ck_assert_int_eq(guest_readdir(&fx.g, d, fh, offs[501], buf, 512), 0);
	func_end();
}
END_TEST

START_TEST(reading_from_0_sees_what_was_added_since)
{
	static struct seen s;

	func_start();
	fill("", 3);

	uint64_t fh = open_dir(FUSE_ROOT_ID);

	list(&s, FUSE_ROOT_ID, fh, "", 4096);
	ck_assert_int_eq(s.total, 5);
	fill("", 6);
	list(&s, FUSE_ROOT_ID, fh, "", 4096);
	ck_assert_int_eq(s.total, 8);
	func_end();
}
END_TEST

static uint64_t ino_of(uint64_t node, const char *name)
{
	size_t len = ok(guest_readdir(&fx.g, node, open_dir(node), 0, buf, 4096)), at = 0;
	const struct fuse_dirent *d;

	while ((d = guest_dirent(buf, len, &at)))
		if (d->namelen == strlen(name) && !memcmp(d->name, name, d->namelen))
			return d->ino;
	return 0;
}

START_TEST(dot_dot_of_the_root_is_the_root)
{
	func_start();
	host(mkdir(host_path("d"), 0755));
	ck_assert_uint_eq(ino_of(FUSE_ROOT_ID, ".."), host_stat("").st_ino);
	ck_assert_uint_eq(ino_of(FUSE_ROOT_ID, "."), host_stat("").st_ino);
	ck_assert_uint_eq(ino_of(func_node("d"), ".."), host_stat("").st_ino);
	ck_assert_uint_eq(ino_of(func_node("d"), "."), host_stat("d").st_ino);
	func_end();
}
END_TEST

START_TEST(long_names_are_whole)
{
	char name[256];
	size_t at = 0;

	func_start();
	host(mkdir(host_path("d"), 0755));
	memset(name, 'n', 255);
	name[255] = '\0';

	char path[300];

	snprintf(path, sizeof(path), "d/%s", name);
	host_text(path, "");

	uint64_t d = func_node("d");
	size_t len = ok(guest_readdir(&fx.g, d, open_dir(d), 0, buf, 4096));
	bool found = false;
	const struct fuse_dirent *e;

	while ((e = guest_dirent(buf, len, &at)))
		found |= e->namelen == 255 && !memcmp(e->name, name, 255);
	ck_assert(found);
	func_end();
}
END_TEST

START_TEST(padding_after_names_is_zero)
{
	size_t at = 0;
	const struct fuse_dirent *d;

	func_start();
	for (int i = 1; i < 20; i++) {
		char name[32] = { 0 };

		memset(name, 'a' + i, i);
		host_text(name, "");
	}
	/* what lay in guest memory before must not matter, so fill it */
	memset(fx.v.mem.region[0].host + (fx.g.call.area[0].gpa - fx.v.mem.region[0].gpa), 0xa5,
	       fx.g.call.area[0].size);

	size_t len = ok(guest_readdir(&fx.g, FUSE_ROOT_ID, open_dir(FUSE_ROOT_ID), 0, buf, 4096));

	while ((d = guest_dirent(buf, len, &at)))
		for (const char *p = d->name + d->namelen; p < buf + at; p++)
			ck_assert_int_eq(*p, 0);
	func_end();
}
END_TEST

START_TEST(released_directory_is_ebadf)
{
	func_start();

	uint64_t fh = open_dir(FUSE_ROOT_ID);

	ok(guest_releasedir(&fx.g, FUSE_ROOT_ID, fh));
	fails(guest_readdir(&fx.g, FUSE_ROOT_ID, fh, 0, buf, 4096), EBADF);
	fails(guest_readdirplus(&fx.g, FUSE_ROOT_ID, fh, 0, buf, 4096), EBADF);
	fails(guest_fsyncdir(&fx.g, FUSE_ROOT_ID, fh, false), EBADF);
	fails(guest_releasedir(&fx.g, FUSE_ROOT_ID, fh), EBADF);
	func_end();
}
END_TEST

START_TEST(opendir_of_a_file_is_enotdir)
{
	struct fuse_open_out o;

	func_start();
	host_text("f", "x");
	fails(guest_opendir(&fx.g, func_node("f"), &o), ENOTDIR);
	func_end();
}
END_TEST

START_TEST(fsyncdir_by_handle_and_by_node)
{
	func_start();

	uint64_t fh = open_dir(FUSE_ROOT_ID);

	ok(guest_fsyncdir(&fx.g, FUSE_ROOT_ID, fh, false));
	ok(guest_fsyncdir(&fx.g, FUSE_ROOT_ID, fh, true));
	func_end();
}
END_TEST

START_TEST(removed_directory_reads_as_empty)
{
	func_start();
	host(mkdir(host_path("d"), 0755));

	uint64_t d = func_node("d"), fh = open_dir(d);

	ok(guest_rmdir(&fx.g, FUSE_ROOT_ID, "d"));

	ssize_t len = guest_readdir(&fx.g, d, fh, 0, buf, 4096);

	ck_assert_msg(len == 0 || len == -ENOENT, "%zd", len);
	ok(guest_releasedir(&fx.g, d, fh));
	func_end();
}
END_TEST

/* --- READDIRPLUS --- */

static const char *const plus[] = { "--cache=auto", NULL };

/* Read all of a directory; checks each entry; returns how many nodes were given. */
static int list_plus(uint64_t node, uint64_t fh, const char *dir, uint32_t size,
		     struct fuse_forget_one *one)
{
	uint64_t offset = 0;
	int n = 0;

	for (;;) {
		size_t len = ok(guest_readdirplus(&fx.g, node, fh, offset, buf, size)), at = 0;
		const struct fuse_direntplus *d;

		if (!len)
			return n;
		while ((d = guest_direntplus(buf, len, &at))) {
			char path[600];

			offset = d->dirent.off;
			if (d->dirent.name[0] == '.') {
				ck_assert_uint_eq(d->entry_out.nodeid, 0);
				continue;
			}
			snprintf(path, sizeof(path), "%s/%.*s", dir, (int)d->dirent.namelen,
				 d->dirent.name);

			struct stat st = host_stat(path);

			ck_assert_uint_eq(d->entry_out.attr.ino, st.st_ino);
			ck_assert_uint_eq(d->entry_out.attr.mode, st.st_mode);
			ck_assert_uint_eq(d->entry_out.attr.size, st.st_size);
			ck_assert_uint_eq(d->dirent.ino, st.st_ino);
			ck_assert_uint_gt(d->entry_out.nodeid, FUSE_ROOT_ID);
			one[n++] = (struct fuse_forget_one){ d->entry_out.nodeid, 1 };
		}
		ck_assert_uint_eq(at, len);
	}
}

START_TEST(readdirplus_gives_nodes_and_attributes)
{
	static struct fuse_forget_one one[BIG + 10];

	func_start_with(plus, NULL);
	host(mkdir(host_path("d"), 0755));
	host(mkdir(host_path("d/sub"), 0700));
	host(symlink("nowhere", host_path("d/link")));
	host_text("d/text", "hello");

	uint64_t d = func_node("d");

	ck_assert_int_eq(list_plus(d, open_dir(d), "d", 4096, one), 3);
	for (int i = 0; i < 3; i++)
		func_attr(one[i].nodeid);
	ck_assert_uint_eq(func_attr(func_node("d/text")).size, 5);
	func_end();
}
END_TEST

START_TEST(readdirplus_counts_one_lookup_for_each_entry)
{
	static struct fuse_forget_one one[BIG + 10];
	static const uint32_t sizes[] = { 500, 4096, 32768, 1 << 20 };

	func_start_with(plus, NULL);
	host(mkdir(host_path("d"), 0755));
	fill("d", BIG);

	uint64_t d = func_node("d"), fh = open_dir(d);
	int before = daemon_fds(&fx.d);

	/* what did not fit into a buffer must not have been counted */
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fuse_attr_out a;

		ck_assert_int_eq(list_plus(d, fh, "d", sizes[i], one), BIG);
		ok(guest_batch_forget(&fx.g, BIG, one, BIG));
		ck_assert_int_le(daemon_fds_settle(&fx.d, before, 2000), before);
		fails(guest_getattr(&fx.g, one[0].nodeid, GUEST_NO_FH, &a), EBADF);
		fails(guest_getattr(&fx.g, one[BIG - 1].nodeid, GUEST_NO_FH, &a), EBADF);
	}
	func_end();
}
END_TEST

/* What the daemon has read ahead may be gone by now: a name then, and no node. */
START_TEST(readdirplus_of_what_has_gone_gives_no_node)
{
	uint64_t offset = 0, d, fh;
	int entries = 0, nodes = 0;

	func_start_with(plus, NULL);
	host(mkdir(host_path("d"), 0755));
	fill("d", 60);
	d = func_node("d");
	fh = open_dir(d);
	for (int piece = 0;; piece++) {
		size_t len = ok(guest_readdirplus(&fx.g, d, fh, offset, buf, 1024)), at = 0;
		const struct fuse_direntplus *e;

		if (!len)
			break;
		while ((e = guest_direntplus(buf, len, &at))) {
			offset = e->dirent.off;
			entries += e->dirent.name[0] != '.';
			nodes += e->entry_out.nodeid != 0;
			ck_assert(piece == 0 || e->entry_out.nodeid == 0);
		}
		for (int i = 0; piece == 0 && i < 60; i++) {
			char name[16];

			snprintf(name, sizeof(name), "d/f%d", i);
			host(unlink(host_path(name)));
		}
	}
	ck_assert_int_gt(nodes, 0);
	ck_assert_int_lt(nodes, 20);
	ck_assert_int_le(entries, 60);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("dir", argc, argv);
	func_test(every_entry_is_listed_once_with_its_type_and_number);
	func_test(large_directory_in_buffers_of_any_size);
	func_test(reading_resumes_at_any_offset);
	func_test(reading_from_0_sees_what_was_added_since);
	func_test(dot_dot_of_the_root_is_the_root);
	func_test(long_names_are_whole);
	func_test(padding_after_names_is_zero);
	func_test(released_directory_is_ebadf);
	func_test(opendir_of_a_file_is_enotdir);
	func_test(fsyncdir_by_handle_and_by_node);
	func_test(removed_directory_reads_as_empty);
	func_test(readdirplus_gives_nodes_and_attributes);
	func_test(readdirplus_counts_one_lookup_for_each_entry);
	func_test(readdirplus_of_what_has_gone_gives_no_node);
	return func_done();
}
