/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client as Windows has it: FUSE 7.31 with two flags, no read-ahead, one descriptor for a
 * request and one for its reply, one request at a time, replies of exactly the size it expects,
 * ids of its own, LOOKUP of "." for the root, and no notion of a name's absence but an error.
 */
#include <fcntl.h>
#include <sys/statvfs.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID
#define FLAGS ((uint64_t)(FUSE_DO_READDIRPLUS | FUSE_MAX_PAGES))

static char buf[65536], data[65536];

/* A reply with a fixed body has all of it, one without has none. */
static void replied(size_t size)
{
	ck_assert_uint_eq(fx.g.call.body_len, size);
}

static void start(const char *cache)
{
	struct fuse_init_in in = { .major = 7, .minor = 31, .max_readahead = 0, .flags = FLAGS };
	char arg[40];

	snprintf(arg, sizeof(arg), "--cache=%s", cache);
	func_start_daemon((const char *[]){ arg, NULL });
	func_connect(NULL);
	fx.g.layout = &layouts[1];
	ck_assert_str_eq(fx.g.layout->name, "one descriptor a direction");
	ok(guest_init_raw(&fx.g, &in, 16, &fx.init));
}

/* What the whole of this file is run with */
static const char *const caches[] = { "auto", "never", "always" };
#define CACHES 3

static struct fuse_entry_out lookup(uint64_t dir, const char *name)
{
	struct fuse_entry_out e;
	int r = guest_lookup(&fx.g, dir, name, &e);

	ck_assert_msg(r == 0, "%s: %s", name, strerror(-r));
	replied(sizeof(e));
	ck_assert_uint_ne(e.nodeid, 0);
	return e;
}

/* It leaves room for a reply to FORGET, which has none: the chain comes back with nothing. */
static void forget(uint64_t node, uint64_t n)
{
	struct call *c = guest_begin(&fx.g, FUSE_FORGET, node);
	struct fuse_forget_in *in = call_arg(c, sizeof(*in));

	in->nlookup = n;
	ok(call_submit(c, fx.g.ring, fx.g.layout));
	c->no_reply = true;
	ring_kick(fx.g.ring);
	ok(guest_wait_for(&fx.g, c));
}

START_TEST(init_answers_no_more_than_was_offered)
{
	for (int i = 0; i < CACHES; i++) {
		start(caches[i]);
		replied(64);
		ck_assert_uint_eq(fx.init.major, 7);
		ck_assert_uint_ge(fx.init.minor, 31);
		ck_assert(!(fx.init.flags & ~FLAGS));
		ck_assert(fx.init.flags & FUSE_MAX_PAGES);
		ck_assert_uint_eq(fx.init.flags2, 0);
		ck_assert_uint_eq(fx.init.max_readahead, 0);
		ck_assert_uint_gt(fx.init.max_pages, 0);
		ck_assert_uint_eq(fx.init.max_write, fx.init.max_pages * 4096u);
		ck_assert_uint_eq(fx.init.time_gran, 1);
		/* its end, and the next mount */
		ok(guest_destroy(&fx.g));
		replied(0);

		struct fuse_init_in in = { .major = 7, .minor = 31, .flags = FLAGS };

		ok(guest_init_raw(&fx.g, &in, 16, &fx.init));
		replied(64);
		func_end();
	}
}
END_TEST

START_TEST(a_path_is_walked)
{
	for (int i = 0; i < CACHES; i++) {
		struct fuse_attr_out a;

		start(caches[i]);
		host(mkdir(host_path("d"), 0755));
		host_text("d/f", "hello");
		host(symlink("d/f", host_path("l")));

		struct fuse_entry_out root = lookup(ROOT, "."), d = lookup(ROOT, "d");
		struct fuse_entry_out f = lookup(d.nodeid, "f"), l = lookup(ROOT, "l");

		ck_assert_uint_eq(root.nodeid, ROOT);
		ck_assert_uint_eq(f.attr.size, 5);
		ok(guest_getattr(&fx.g, f.nodeid, GUEST_NO_FH, &a));
		replied(sizeof(a));

		/* READLINK with a body that means nothing */
		struct call *c = guest_begin(&fx.g, FUSE_READLINK, l.nodeid);

		memset(call_arg(c, 4096), 0x5a, 4096);
		call_recv(c, buf, 4096);
		ok(guest_call(&fx.g));
		ck_assert_uint_eq(c->recv_len, 3);
		ck_assert_mem_eq(buf, "d/f", 3);
		forget(f.nodeid, 1);
		fails(guest_getattr(&fx.g, f.nodeid, GUEST_NO_FH, &a), EBADF);
		forget(root.nodeid, 1);
		ok(guest_getattr(&fx.g, ROOT, GUEST_NO_FH, &a));
		func_end();
	}
}
END_TEST

/* Success is a file to it: an entry without a node would be one with no attributes. */
START_TEST(what_is_not_there_is_an_error)
{
	for (int i = 0; i < CACHES; i++) {
		struct fuse_entry_out e = { 0 };
		int r;

		start(caches[i]);
		r = guest_lookup(&fx.g, ROOT, "none", &e);
		ck_assert_msg(r == -ENOENT, "--cache=%s: %s, node %lu", caches[i],
			      r ? strerror(-r) : "success", (unsigned long)e.nodeid);
		replied(0);
		fails(guest_lookup(&fx.g, ROOT, "", &e), ENOENT);
		replied(0);
		func_end();
	}
}
END_TEST

START_TEST(a_directory_is_read_with_attributes)
{
	enum { N = 300 };

	for (int i = 0; i < CACHES; i++) {
		bool seen[N] = { false };
		struct fuse_open_out o;
		uint64_t off = 0;
		ssize_t len;
		int n = 0;

		start(caches[i]);
		host(mkdir(host_path("d"), 0755));
		for (int k = 0; k < N; k++) {
			char name[32];

			snprintf(name, sizeof(name), "d/file-%d", k);
			host_write(name, "hello", k % 6);
		}

		uint64_t d = lookup(ROOT, "d").nodeid;

		ok(guest_opendir(&fx.g, d, &o));
		replied(sizeof(o));
		/* by the flag or without: it asks all the same */
		while ((len = ok(guest_readdirplus(&fx.g, d, o.fh, off, buf, 4096)))) {
			const struct fuse_direntplus *p;
			size_t at = 0;
			int k;

			while ((p = guest_direntplus(buf, len, &at))) {
				char name[32];

				off = p->dirent.off;
				snprintf(name, sizeof(name), "%.*s", (int)p->dirent.namelen,
					 p->dirent.name);
				if (sscanf(name, "file-%d", &k) != 1)
					continue;
				ck_assert(k >= 0 && k < N && !seen[k]);
				seen[k] = true;
				n++;
				ck_assert_uint_eq(p->entry_out.attr.size, k % 6);
				ck_assert_uint_ne(p->entry_out.nodeid, 0);
			}
			ck_assert_uint_eq(at, len);
		}
		ck_assert_int_eq(n, N);
		/* is it empty? */
		ck_assert_int_gt(ok(guest_readdir(&fx.g, d, o.fh, 0, buf, 4096 - 16)), 0);
		ok(guest_releasedir(&fx.g, d, o.fh));
		replied(0);
		func_end();
	}
}
END_TEST

START_TEST(a_file_lives)
{
	for (int i = 0; i < CACHES; i++) {
		struct fuse_setattr_in in = { .valid = FATTR_SIZE | FATTR_FH, .size = 30000 };
		struct fuse_entry_out e, d;
		struct fuse_attr_out a;
		struct fuse_open_out o;

		start(caches[i]);
		ok(guest_create(&fx.g, ROOT, "New File", O_RDWR | O_EXCL, 0664, 0, &e, &o));
		replied(sizeof(e) + sizeof(o));
		fails(guest_create(&fx.g, ROOT, "New File", O_RDWR | O_EXCL, 0664, 0, &d, &o),
		      EEXIST);
		replied(0);
		func_pattern(data, 65536, i);
		ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, data, 65536, 0)), 65536);
		replied(sizeof(struct fuse_write_out));
		ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 65536, 0)), 65536);
		ck_assert_mem_eq(buf, data, 65536);
		in.fh = o.fh;
		ok(guest_setattr(&fx.g, e.nodeid, &in, &a));
		replied(sizeof(a));
		ck_assert_uint_eq(a.attr.size, 30000);
		ok(guest_flush(&fx.g, e.nodeid, o.fh));
		replied(0);
		ok(guest_fsync(&fx.g, e.nodeid, o.fh, false));
		ok(guest_mkdir(&fx.g, ROOT, "New Folder", 0775, 0, &d));
		replied(sizeof(d));
		/* renamed while it is open, which is the rule there */
		ok(guest_rename(&fx.g, ROOT, "New File", d.nodeid, "Datei \xc3\xa4"));
		replied(0);
		host_text("other", "x");
		fails(guest_rename2(&fx.g, ROOT, "other", d.nodeid, "Datei \xc3\xa4", 1), EEXIST);
		ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 65536, 0)), 30000);
		host_is("New Folder/Datei \xc3\xa4", data, 30000);
		ok(guest_release(&fx.g, e.nodeid, o.fh));
		replied(0);
		fails(guest_rmdir(&fx.g, ROOT, "New Folder"), ENOTEMPTY);
		ok(guest_unlink(&fx.g, d.nodeid, "Datei \xc3\xa4"));
		forget(e.nodeid, 1);
		ok(guest_rmdir(&fx.g, ROOT, "New Folder"));
		forget(d.nodeid, 1);
		ck_assert(!host_exists("New Folder"));
		/* a new file is a new node, though the host may use an inode again */
		ok(guest_create(&fx.g, ROOT, "New File", O_RDWR | O_EXCL, 0664, 0, &d, &o));
		ck_assert_uint_ne(d.nodeid, e.nodeid);
		func_end();
	}
}
END_TEST

START_TEST(the_volume_has_a_size)
{
	struct fuse_statfs_out out;
	struct statvfs sv;

	start("auto");
	ok(guest_statfs(&fx.g, ROOT, &out));
	replied(sizeof(out));
	host(statvfs(fx.d.share, &sv));
	ck_assert_uint_eq(out.st.blocks * out.st.frsize, sv.f_blocks * sv.f_frsize);
	ck_assert_uint_eq(out.st.bsize, out.st.frsize);
	func_end();
}
END_TEST

/* A large write is one request, all of it in one descriptor. */
START_TEST(large_writes_and_reads)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start("auto");

	size_t size = fx.init.max_write < FUNC_DATA_MAX ? fx.init.max_write : FUNC_DATA_MAX;
	char *out = malloc(size), *in = calloc(1, size);

	func_pattern(out, size, 5);
	ok(guest_create(&fx.g, ROOT, "f", O_RDWR | O_EXCL, 0664, 0, &e, &o));
	ck_assert_uint_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, out, size, 0)), size);
	ck_assert_uint_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, in, size, 0)), size);
	ck_assert_mem_eq(in, out, size);
	free(in);
	free(out);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("windows", argc, argv);
	func_test(init_answers_no_more_than_was_offered);
	func_test(a_path_is_walked);
	func_test(what_is_not_there_is_an_error);
	func_test(a_directory_is_read_with_attributes);
	func_test(a_file_lives);
	func_test(the_volume_has_a_size);
	func_test(large_writes_and_reads);
	return func_done();
}
