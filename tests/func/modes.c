/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Options that change how files are opened and cached: --writeback, --allow-direct-io,
 * --allow-mmap, --cache and what it means for names that are not there.
 */
#include <fcntl.h>

#include "func.h"

#define ROOT FUSE_ROOT_ID

#ifndef FOPEN_PARALLEL_DIRECT_WRITES
#define FOPEN_PARALLEL_DIRECT_WRITES (1 << 6)
#endif

#define OFFERED (GUEST_INIT_FLAGS | FUSE_DIRECT_IO_ALLOW_MMAP)

static char buf[65536], data[65536], expected[131072];

#define START(...) func_start_with((const char *[]){ __VA_ARGS__, NULL }, NULL)

/* --- flags of INIT --- */

START_TEST(flags_are_answered_by_option)
{
	static const struct { uint64_t flag; const char *args[4]; bool answered; } lines[] = {
		{ FUSE_WRITEBACK_CACHE, { NULL }, false },
		{ FUSE_WRITEBACK_CACHE, { "--writeback" }, true },
		{ FUSE_WRITEBACK_CACHE, { "-o", "writeback" }, true },
		{ FUSE_WRITEBACK_CACHE, { "--writeback", "-o", "no_writeback" }, false },
		{ FUSE_DIRECT_IO_ALLOW_MMAP, { NULL }, false },
		{ FUSE_DIRECT_IO_ALLOW_MMAP, { "--allow-mmap" }, true },
		{ FUSE_DIRECT_IO_ALLOW_MMAP, { "--allow-direct-io" }, false },
		{ FUSE_CACHE_SYMLINKS, { NULL }, true },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_daemon(lines[i].args);
		func_connect(NULL);
		ok(func_init_with(GUEST_MINOR, OFFERED));
		ck_assert_msg(!!(fx.g.agreed & lines[i].flag) == lines[i].answered,
			      "%s: flag %lx", lines[i].args[0], lines[i].flag);
		/* what was not offered is not answered, whatever the option */
		ok(func_init_with(GUEST_MINOR, OFFERED & ~lines[i].flag));
		ck_assert(!(fx.g.agreed & lines[i].flag));
		func_end();
	}
}
END_TEST

/* --- writeback --- */

START_TEST(writeback_reads_what_was_opened_to_write)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	START("--writeback", "--cache=auto");
	host_text("f", "hello");

	uint64_t n = func_node("f"), fh = func_open(n, O_WRONLY);

	ck_assert_int_eq(ok(guest_read(&fx.g, n, fh, buf, 100, 0)), 5);
	ck_assert_int_eq(ok(guest_write(&fx.g, n, fh, "J", 1, 0)), 1);
	host_is("f", "Jello", 5);
	ok(guest_create(&fx.g, ROOT, "g", O_WRONLY, 0200, 0, &e, &o));
	ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 100, 0)), 0);
	ok(guest_tmpfile(&fx.g, ROOT, O_WRONLY, 0200, 0, &e, &o));
	ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, buf, 100, 0)), 0);
	/* to read is to read */
	fh = func_open(n, O_RDONLY);
	fails(guest_write(&fx.g, n, fh, "x", 1, 0), EBADF);
	/* without its agreement the guest gets what it asks for */
	ok(func_init_with(GUEST_MINOR, GUEST_INIT_FLAGS & ~(uint64_t)FUSE_WRITEBACK_CACHE));
	n = func_node("f");
	fails(guest_read(&fx.g, n, func_open(n, O_WRONLY), buf, 100, 0), EBADF);
	func_end();
}
END_TEST

START_TEST(without_writeback_write_only_is_write_only)
{
	func_start();
	host_text("f", "hello");

	uint64_t n = func_node("f");

	fails(guest_read(&fx.g, n, func_open(n, O_WRONLY), buf, 100, 0), EBADF);
	func_end();
}
END_TEST

START_TEST(writeback_puts_appends_where_they_say)
{
	START("--writeback", "--cache=auto");
	host_text("f", "0123456789");

	uint64_t n = func_node("f"), fh = func_open(n, O_WRONLY | O_APPEND);

	ck_assert(!(daemon_open_flags(&fx.d, host_path("f")) & O_APPEND));
	fx.g.file_flags = O_WRONLY | O_APPEND;
	ok(guest_write(&fx.g, n, fh, "ab", 2, 2));
	fx.g.write_flags = FUSE_WRITE_CACHE;
	ok(guest_write(&fx.g, n, fh, "cd", 2, 10));
	ok(guest_write(&fx.g, n, fh, "ef", 2, 5));
	host_is("f", "01ab4ef789cd", 12);
	func_end();
}
END_TEST

START_TEST(without_writeback_appends_go_to_the_end)
{
	func_start();
	host_text("f", "0123456789");

	uint64_t n = func_node("f"), fh = func_open(n, O_WRONLY | O_APPEND);

	fx.g.file_flags = O_WRONLY | O_APPEND;
	ok(guest_write(&fx.g, n, fh, "ab", 2, 2));
	host_is("f", "0123456789ab", 12);
	func_end();
}
END_TEST

/* --- O_DIRECT --- */

static int host_flags(const char *name)
{
	int flags = daemon_open_flags(&fx.d, host_path(name));

	ck_assert_msg(flags >= 0, "%s is not open", name);
	return flags;
}

/* Ends the test unless the file system of the share knows O_DIRECT. */
static void need_direct(void)
{
	host_text("probe", "x");

	int fd = open(host_path("probe"), O_RDWR | O_DIRECT | O_CLOEXEC);

	if (fd < 0)
		func_skip("no O_DIRECT on this file system");
	close(fd);
}

START_TEST(direct_io_is_the_guests_own_affair)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();
	host_text("f", "x");
	func_open(func_node("f"), O_RDWR | O_DIRECT);
	ck_assert(!(host_flags("f") & O_DIRECT));
	ok(guest_create(&fx.g, ROOT, "g", O_RDWR | O_DIRECT, 0644, 0, &e, &o));
	ck_assert(!(host_flags("g") & O_DIRECT));
	func_end();
}
END_TEST

START_TEST(direct_io_is_carried_out_if_allowed)
{
	static const char *const lines[][3] = {
		{ "--allow-direct-io", NULL },
		{ "-o", "allow_direct_io", NULL },
	};
	struct fuse_entry_out e;
	struct fuse_open_out o;

	for (int i = 0; i < 2; i++) {
		func_start_with(lines[i], NULL);
		need_direct();
		host_text("f", "x");
		host_text("plain", "x");

		uint64_t n = func_node("f");

		func_open(n, O_RDWR | O_DIRECT);
		ck_assert(host_flags("f") & O_DIRECT);
		func_open(func_node("plain"), O_RDWR);
		ck_assert(!(host_flags("plain") & O_DIRECT));
		ok(guest_create(&fx.g, ROOT, "g", O_RDWR | O_DIRECT, 0644, 0, &e, &o));
		ck_assert(host_flags("g") & O_DIRECT);
		/* what was there already */
		ok(guest_create(&fx.g, ROOT, "plain", O_RDWR | O_DIRECT, 0644, 0, &e, &o));
		func_end();
	}
}
END_TEST

/* Requests of every alignment, on a file that is O_DIRECT on the host, against a copy here. */
static void write_and_read_all(uint64_t n, uint64_t fh)
{
	static const uint32_t sizes[] = { 1, 511, 512, 513, 4095, 4096, 4097, 20000, 65536 };
	static const uint64_t offsets[] = { 0, 1, 512, 4095, 4096, 8191, 60000 };
	size_t end = host_stat("f").st_size;

	for (int i = 0; i < 9; i++)
		for (int k = 0; k < 7; k++) {
			size_t size = sizes[i], off = offsets[k];

			func_pattern(data, size, i * 7 + k);
			ck_assert_uint_eq(ok(guest_write(&fx.g, n, fh, data, size, off)), size);
			memcpy(expected + off, data, size);
			end = off + size > end ? off + size : end;
			host_is("f", expected, end);
			memset(buf, 0x55, sizeof(buf));
			ck_assert_uint_eq(ok(guest_read(&fx.g, n, fh, buf, size, off)), size);
			ck_assert_mem_eq(buf, expected + off, size);
			/* over the end of the file */
			ck_assert_uint_eq(ok(guest_read(&fx.g, n, fh, buf, 5000, end - 100)), 100);
			ck_assert_mem_eq(buf, expected + end - 100, 100);
			ck_assert_uint_eq(ok(guest_read(&fx.g, n, fh, buf, 5000, end)), 0);
		}
}

START_TEST(direct_io_of_any_alignment_succeeds)
{
	START("--allow-direct-io");
	need_direct();
	func_pattern(expected, 1000, 99);
	host_write("f", expected, 1000);

	uint64_t n = func_node("f");

	for (unsigned int i = 0; i < nlayouts; i++) {
		fx.g.layout = &layouts[i];

		uint64_t fh = func_open(n, O_RDWR | O_DIRECT);

		ck_assert(host_flags("f") & O_DIRECT);
		write_and_read_all(n, fh);
		ok(guest_release(&fx.g, n, fh));
	}
	func_end();
}
END_TEST

START_TEST(direct_io_appends)
{
	START("--allow-direct-io");
	need_direct();
	host_text("f", "0123456789");

	uint64_t n = func_node("f"), fh = func_open(n, O_WRONLY | O_DIRECT | O_APPEND);

	fx.g.file_flags = O_WRONLY | O_APPEND | O_DIRECT;
	ok(guest_write(&fx.g, n, fh, "ab", 2, 0));
	ok(guest_write(&fx.g, n, fh, "cd", 2, 0));
	host_is("f", "0123456789abcd", 14);
	func_end();
}
END_TEST

/* A real mistake is still one. */
START_TEST(direct_io_keeps_other_errors)
{
	START("--allow-direct-io");
	need_direct();
	host_text("f", "x");

	uint64_t n = func_node("f"), r = func_open(n, O_RDONLY | O_DIRECT);
	uint64_t w = func_open(n, O_WRONLY | O_DIRECT);

	fails(guest_write(&fx.g, n, r, data, 4096, 0), EBADF);
	fails(guest_write(&fx.g, n, r, data, 1, 1), EBADF);
	fails(guest_read(&fx.g, n, w, buf, 4096, 0), EBADF);
	fails(guest_read(&fx.g, n, w, buf, 1, 1), EBADF);
	func_end();
}
END_TEST

/* --- what the reply to OPEN says, by cache mode --- */

START_TEST(open_replies_by_cache_mode)
{
	static const struct { const char *arg; uint32_t flags; } modes[] = {
		{ "--cache=never", FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES },
		{ "--cache=metadata", FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES },
		{ "--cache=auto", 0 },
		{ "--cache=always", FOPEN_KEEP_CACHE },
	};
	const uint32_t mask = FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES | FOPEN_KEEP_CACHE;

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct fuse_entry_out e;
		struct fuse_open_out o;

		START(modes[i].arg);
		host_text("f", "x");
		ok(guest_open(&fx.g, func_node("f"), O_RDWR, &o));
		ck_assert_msg((o.open_flags & mask) == modes[i].flags, "%s: %x", modes[i].arg,
			      o.open_flags);
		ok(guest_create(&fx.g, ROOT, "g", O_RDWR, 0644, 0, &e, &o));
		ck_assert_uint_eq(o.open_flags & mask, modes[i].flags);
		ok(guest_tmpfile(&fx.g, ROOT, O_RDWR, 0644, 0, &e, &o));
		ck_assert_uint_eq(o.open_flags & mask, modes[i].flags);
		func_end();
	}
}
END_TEST

/* --- names that are not there --- */

START_TEST(absent_names_are_kept_by_cache_mode)
{
	static const struct { const char *args[4]; uint64_t sec; uint32_t nsec; } lines[] = {
		{ { "--cache=always" }, 86400, 0 },
		{ { "--cache=metadata" }, 86400, 0 },
		{ { "--cache=auto", "-o", "timeout=5" }, 5, 0 },
		{ { "--cache=auto", "--negative-timeout=0.5" }, 0, 500000000 },
		{ { "--cache=never", "-o", "timeout=0.25" }, 0, 250000000 },
	};
	static const struct fuse_attr none;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct fuse_entry_out e;

		func_start_with(lines[i].args, NULL);
		memset(&e, 0x55, sizeof(e));
		ok(guest_lookup(&fx.g, ROOT, "none", &e));
		ck_assert_uint_eq(e.nodeid, 0);
		ck_assert_uint_eq(e.entry_valid, lines[i].sec);
		ck_assert_uint_eq(e.entry_valid_nsec, lines[i].nsec);
		ck_assert_mem_eq(&e.attr, &none, sizeof(none));
		/* the daemon itself remembers nothing of it */
		host_text("none", "x");
		ck_assert_uint_ne(func_node("none"), 0);
		host(unlink(host_path("none")));
		ok(guest_lookup(&fx.g, ROOT, "none", &e));
		ck_assert_uint_eq(e.nodeid, 0);
		func_end();
	}
}
END_TEST

START_TEST(absent_names_are_an_error_where_nothing_is_kept)
{
	static const char *const lines[][4] = {
		{ "--cache=never", NULL },
		/* what the host makes is there at once, as with the older daemons */
		{ "--cache=auto", NULL },
		{ "--cache=always", "-o", "timeout=0", NULL },
		{ "--cache=metadata", "--negative-timeout=0", NULL },
	};

	for (int i = 0; i < 4; i++) {
		struct fuse_entry_out e;

		func_start_with(lines[i], NULL);
		fails(guest_lookup(&fx.g, ROOT, "none", &e), ENOENT);
		func_end();
	}
}
END_TEST

/* --- how long names and attributes are good --- */

static void entry_is(const struct fuse_entry_out *e, double entry, double attr)
{
	ck_assert_double_eq(e->entry_valid + e->entry_valid_nsec / 1e9, entry);
	ck_assert_double_eq(e->attr_valid + e->attr_valid_nsec / 1e9, attr);
}

/* Every reply that carries a time: LOOKUP, CREATE, MKDIR, READDIRPLUS, GETATTR, STATX. */
static void times_are(double entry, double attr)
{
	struct fuse_open_out o;
	struct fuse_entry_out e;
	struct fuse_attr_out a;
	struct guest_statx_out x;
	const struct fuse_direntplus *d;
	size_t at = 0, seen = 0;

	host_text("f", "x");
	ok(guest_lookup(&fx.g, ROOT, "f", &e));
	entry_is(&e, entry, attr);
	ok(guest_getattr(&fx.g, e.nodeid, GUEST_NO_FH, &a));
	ck_assert_double_eq(a.attr_valid + a.attr_valid_nsec / 1e9, attr);
	ok(guest_chmod(&fx.g, e.nodeid, 0600));
	ok(guest_statx(&fx.g, e.nodeid, STATX_BASIC_STATS, &x));
	ck_assert_double_eq(x.attr_valid + x.attr_valid_nsec / 1e9, attr);
	ok(guest_create(&fx.g, ROOT, "new", O_RDWR, 0644, 0, &e, &o));
	entry_is(&e, entry, attr);
	ok(guest_mkdir(&fx.g, ROOT, "dir", 0755, 0, &e));
	entry_is(&e, entry, attr);
	ok(guest_opendir(&fx.g, ROOT, &o));

	ssize_t n = ok(guest_readdirplus(&fx.g, ROOT, o.fh, 0, buf, sizeof(buf)));

	while ((d = guest_direntplus(buf, n, &at)) != NULL) {
		if (!d->entry_out.nodeid)
			continue;	/* "." and ".." */
		entry_is(&d->entry_out, entry, attr);
		seen++;
	}
	ck_assert_uint_eq(seen, 3);
}

START_TEST(names_and_attributes_are_kept_by_cache_mode_and_option)
{
	static const struct { const char *args[5]; double entry, attr; } lines[] = {
		{ { "--cache=never" }, 0, 0 },
		{ { "--cache=auto" }, 1, 1 },
		{ { "--cache=metadata" }, 86400, 86400 },
		{ { "--cache=always" }, 86400, 86400 },
		{ { "--cache=auto", "--entry-timeout=7.5" }, 7.5, 1 },
		{ { "--cache=auto", "--attr-timeout=0.25" }, 1, 0.25 },
		{ { "--cache=always", "--timeout=3", "-o", "attr_timeout=0" }, 3, 0 },
		{ { "--entry-timeout=9", "--attr-timeout=9", "-o", "timeout=2" }, 2, 2 },
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_with(lines[i].args, NULL);
		times_are(lines[i].entry, lines[i].attr);
		func_end();
	}
}
END_TEST

/* What releases a lock is the close, of which the host has to hear then. */
START_TEST(locks_and_flush_go_together)
{
	static const struct { const char *args[3]; bool flush; } lines[] = {
		{ { NULL }, false },
		{ { "--writeback" }, false },
		{ { "-o", "posix_lock" }, true },
		{ { "-o", "flock" }, false }, /* which RELEASE ends */
	};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct fuse_entry_out e;
		struct fuse_open_out o;

		func_start_with(lines[i].args, NULL);
		ok(guest_create(&fx.g, ROOT, "f", O_RDWR, 0644, 0, &e, &o));
		ck_assert_msg(!(o.open_flags & FOPEN_NOFLUSH) == lines[i].flush, "%zu: create", i);
		ok(guest_flush(&fx.g, e.nodeid, o.fh));
		ok(guest_open(&fx.g, e.nodeid, O_RDONLY, &o));
		ck_assert_msg(!(o.open_flags & FOPEN_NOFLUSH) == lines[i].flush, "%zu: open", i);
		func_end();
	}
}
END_TEST

START_TEST(directories_are_opened_by_cache_mode)
{
	static const struct { const char *arg; uint32_t flags; bool plus; } modes[] = {
		{ "--cache=never", 0, false },
		{ "--cache=metadata", FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, true },
		{ "--cache=auto", 0, true },
		{ "--cache=always", FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR, true },
	};

	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		struct fuse_open_out o;

		START(modes[i].arg);
		ok(guest_opendir(&fx.g, ROOT, &o));
		ck_assert_msg(o.open_flags == modes[i].flags, "%s: %x", modes[i].arg, o.open_flags);
		ck_assert(!!(fx.g.agreed & FUSE_DO_READDIRPLUS) == modes[i].plus);
		ck_assert(!!(fx.g.agreed & FUSE_READDIRPLUS_AUTO) == modes[i].plus);
		func_end();
	}
}
END_TEST

START_TEST(other_errors_of_lookup_are_errors)
{
	struct fuse_entry_out e;
	char name[300];

	START("--cache=always");
	host_text("f", "x");
	memset(name, 'n', 256);
	name[256] = '\0';
	fails(guest_lookup(&fx.g, ROOT, name, &e), ENAMETOOLONG);
	fails(guest_lookup(&fx.g, func_node("f"), "x", &e), ENOTDIR);
	/* the parent is not there: that says nothing about a name */
	fails(guest_lookup(&fx.g, 0x7777, "x", &e), ENOENT);
	fails(guest_lookup(&fx.g, ROOT, "", &e), ENOENT);
	fails(guest_unlink(&fx.g, ROOT, "none"), ENOENT);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("modes", argc, argv);
	func_test(flags_are_answered_by_option);
	func_test(writeback_reads_what_was_opened_to_write);
	func_test(without_writeback_write_only_is_write_only);
	func_test(writeback_puts_appends_where_they_say);
	func_test(without_writeback_appends_go_to_the_end);
	func_test(direct_io_is_the_guests_own_affair);
	func_test(direct_io_is_carried_out_if_allowed);
	func_test(direct_io_of_any_alignment_succeeds);
	func_test(direct_io_appends);
	func_test(direct_io_keeps_other_errors);
	func_test(open_replies_by_cache_mode);
	func_test(absent_names_are_kept_by_cache_mode);
	func_test(absent_names_are_an_error_where_nothing_is_kept);
	func_test(names_and_attributes_are_kept_by_cache_mode_and_option);
	func_test(locks_and_flush_go_together);
	func_test(directories_are_opened_by_cache_mode);
	func_test(other_errors_of_lookup_are_errors);
	return func_done();
}
