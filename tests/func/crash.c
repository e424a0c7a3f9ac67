/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every op, with its worker killed before and after each system call that it makes, and after
 * instructions chosen at random: the guest gets the answer that it would have got, the host shows
 * what was asked for once, and no lookup count, open file or descriptor is left over.
 */
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/xattr.h>

#include "killer.h"

#define DATA_LEN 70000u
#define ENTRIES 30
struct step {
	char name[32], other[32];	/* of this round alone */
	uint64_t node, fh;		/* of `name`, if prepare() has looked it up, opened it */
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char buf[DATA_LEN + 1];
};

static struct step s;

static bool is_host(const char *name, mode_t type)
{
	struct stat st;

	return lstat(host_path(name), &st) == 0 && (st.st_mode & S_IFMT) == type;
}

static void forget(uint64_t n)
{
	ok(guest_forget(&fx.g, n, 1));
}

/* The one count that the guest has of a new node is the last. */
static void forget_new(void)
{
	struct fuse_attr_out a;

	forget(s.e.nodeid);
	fails(guest_getattr(&fx.g, s.e.nodeid, GUEST_NO_FH, &a), EBADF);
}

static void have_file(void)
{
	host_text(s.name, "text");
	s.node = func_node(s.name);
}

static void have_open(void)
{
	have_file();
	s.fh = func_open(s.node, O_RDWR);
}

static void drop_file(void)
{
	struct fuse_attr_out a;

	forget(s.node);
	fails(guest_getattr(&fx.g, s.node, GUEST_NO_FH, &a), EBADF);
	unlink(host_path(s.name));
}

static void drop_open(void)
{
	ok(guest_release(&fx.g, s.node, s.fh));
	drop_file();
}

/* --- the ops: what is there before, the request, what has to be there after --- */

static void have_name(void)
{
	host_text(s.name, "text");
}

static void lookup(void)
{
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, s.name, &s.e));
}

static void looked_up(void)
{
	forget_new();
	unlink(host_path(s.name));
}

static void nothing(void)
{
}

static void create(void)
{
	ok(guest_create(&fx.g, FUSE_ROOT_ID, s.name, O_RDWR, 0644, 0, &s.e, &s.o));
}

static void create_excl(void)
{
	ok(guest_create(&fx.g, FUSE_ROOT_ID, s.name, O_RDWR | O_EXCL, 0644, 0, &s.e, &s.o));
}

static void created(void)
{
	ok(guest_write(&fx.g, s.e.nodeid, s.o.fh, "new", 3, 0));
	host_is(s.name, "new", 3);
	ok(guest_release(&fx.g, s.e.nodeid, s.o.fh));
	looked_up();
}

static void tmpfile_(void)
{
	ok(guest_tmpfile(&fx.g, FUSE_ROOT_ID, O_RDWR, 0600, 0, &s.e, &s.o));
}

static void tmpfile_made(void)
{
	ok(guest_write(&fx.g, s.e.nodeid, s.o.fh, "new", 3, 0));
	ok(guest_release(&fx.g, s.e.nodeid, s.o.fh));
	forget_new();
}

static void mkdir_(void)
{
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, s.name, 0755, 0, &s.e));
}

static void made_dir(void)
{
	ck_assert(is_host(s.name, S_IFDIR));
	forget_new();
	host(rmdir(host_path(s.name)));
}

static void mknod_(void)
{
	ok(guest_mknod(&fx.g, FUSE_ROOT_ID, s.name, S_IFIFO | 0600, 0, 0, &s.e));
}

static void made_fifo(void)
{
	ck_assert(is_host(s.name, S_IFIFO));
	looked_up();
}

static void symlink_(void)
{
	ok(guest_symlink(&fx.g, FUSE_ROOT_ID, s.name, "target", &s.e));
}

static void made_symlink(void)
{
	char to[16] = "";

	host(readlink(host_path(s.name), to, sizeof(to) - 1));
	ck_assert_str_eq(to, "target");
	looked_up();
}

static void link_(void)
{
	ok(guest_link(&fx.g, s.node, FUSE_ROOT_ID, s.other, &s.e));
}

static void linked(void)
{
	ck_assert_uint_eq(host_stat(s.name).st_nlink, 2);
	ck_assert_uint_eq(s.e.nodeid, s.node);
	forget(s.node);
	host(unlink(host_path(s.other)));
	drop_file();
}

static void unlink_(void)
{
	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, s.name));
}

static void unlinked(void)
{
	ck_assert(!host_exists(s.name));
	ck_assert_uint_eq(func_attr(s.node).nlink, 0);
	drop_file();
}

static void have_dir(void)
{
	host(mkdir(host_path(s.name), 0755));
}

static void rmdir_(void)
{
	ok(guest_rmdir(&fx.g, FUSE_ROOT_ID, s.name));
}

static void removed_dir(void)
{
	ck_assert(!host_exists(s.name));
}

static void have_two(void)
{
	host_text(s.name, "one");
	host_text(s.other, "other");
}

static void rename_(void)
{
	ok(guest_rename(&fx.g, FUSE_ROOT_ID, s.name, FUSE_ROOT_ID, s.other));
}

static void renamed(void)
{
	ck_assert(!host_exists(s.name));
	host_is(s.other, "one", 3);
	host(unlink(host_path(s.other)));
}

static void exchange(void)
{
	ok(guest_rename2(&fx.g, FUSE_ROOT_ID, s.name, FUSE_ROOT_ID, s.other, RENAME_EXCHANGE));
}

static void exchanged(void)
{
	host_is(s.name, "other", 5);
	host_is(s.other, "one", 3);
	host(unlink(host_path(s.name)));
	host(unlink(host_path(s.other)));
}

static void open_(void)
{
	ok(guest_open(&fx.g, s.node, O_RDWR, &s.o));
	s.fh = s.o.fh;
}

static void read_(void)
{
	ck_assert_int_eq(ok(guest_read(&fx.g, s.node, s.fh, s.buf, DATA_LEN, 0)), DATA_LEN);
}

static void have_data(void)
{
	func_pattern(s.buf, DATA_LEN, 1);
	host_write(s.name, s.buf, DATA_LEN);
	s.node = func_node(s.name);
	s.fh = func_open(s.node, O_RDWR);
	memset(s.buf, 0, DATA_LEN);
}

static void is_data(void)
{
	static char want[DATA_LEN];

	func_pattern(want, DATA_LEN, 1);
	ck_assert_mem_eq(s.buf, want, DATA_LEN);
	host_is(s.name, want, DATA_LEN);
	drop_open();
}

static void write_(void)
{
	func_pattern(s.buf, DATA_LEN, 1);
	ck_assert_int_eq(ok(guest_write(&fx.g, s.node, s.fh, s.buf, DATA_LEN, 0)), DATA_LEN);
}

/* The same bytes are in the file already: twice is not once. */
static void append(void)
{
	memset(s.buf, 'a', DATA_LEN);
	fx.g.file_flags = O_APPEND;
	ck_assert_int_eq(ok(guest_write(&fx.g, s.node, s.fh, s.buf, DATA_LEN, 0)), DATA_LEN);
	fx.g.file_flags = 0;
}

static void have_as(void)
{
	memset(s.buf, 'a', DATA_LEN);
	host_write(s.name, s.buf, DATA_LEN);
	s.node = func_node(s.name);
	s.fh = func_open(s.node, O_WRONLY);
}

static void appended(void)
{
	ck_assert_uint_eq(host_stat(s.name).st_size, 2 * DATA_LEN);
	drop_open();
}

static void release(void)
{
	ok(guest_release(&fx.g, s.node, s.fh));
}

static void truncate_(void)
{
	ok(guest_truncate(&fx.g, s.node, 2));
}

static void truncated(void)
{
	host_is(s.name, "te", 2);
	drop_file();
}

static void setxattr_(void)
{
	ok(guest_setxattr(&fx.g, s.node, "user.a", "value", 5, XATTR_CREATE));
}

static void has_xattr(void)
{
	char v[8];

	ck_assert_int_eq(host(getxattr(host_path(s.name), "user.a", v, 8)), 5);
	drop_file();
}

static void have_xattr(void)
{
	have_file();
	host(setxattr(host_path(s.name), "user.a", "value", 5, 0));
}

static void removexattr_(void)
{
	ok(guest_removexattr(&fx.g, s.node, "user.a"));
}

static void has_no_xattr(void)
{
	char v[8];

	ck_assert_int_eq(getxattr(host_path(s.name), "user.a", v, 8), -1);
	drop_file();
}

/* FORGET of one of two counts: the other has to stay, and be the last. */
static void have_twice(void)
{
	have_file();
	ck_assert_uint_eq(func_node(s.name), s.node);
}

static void forget_one(void)
{
	forget(s.node);
}

static void batch_forget(void)
{
	struct fuse_forget_one one[3] = { { s.node, 1 }, { 12345, 1 }, { s.e.nodeid, 1 } };

	ok(guest_batch_forget(&fx.g, 3, one, 3));
}

static void have_twice_and_another(void)
{
	have_twice();
	host_text(s.other, "x");
	s.e = func_entry(s.other);
	ck_assert_uint_eq(func_node(s.other), s.e.nodeid);
}

static void forgot_both(void)
{
	func_attr(s.node);
	func_attr(s.e.nodeid);
	forget_new();
	host(unlink(host_path(s.other)));
	drop_file();
}

static void forgot_one(void)
{
	func_attr(s.node);
	drop_file();
}

static void setlk(void)
{
	ok(guest_setlk(&fx.g, &(struct guest_lock){ s.node, s.fh, 1, 0, 9, F_WRLCK, 0 }));
}

static void is_locked(void)
{
	struct fuse_file_lock l;

	ok(guest_getlk(&fx.g, &(struct guest_lock){ s.node, s.fh, 2, 0, 99, F_WRLCK, 0 }, &l));
	ck_assert_uint_eq(l.type, F_WRLCK);
	ck_assert_uint_eq(l.end, 9);
	ok(guest_flush_owner(&fx.g, s.node, s.fh, 1));
	ok(guest_getlk(&fx.g, &(struct guest_lock){ s.node, s.fh, 2, 0, 99, F_WRLCK, 0 }, &l));
	ck_assert_uint_eq(l.type, F_UNLCK);
	drop_open();
}

static void opendir_(void)
{
	ok(guest_opendir(&fx.g, s.node, &s.o));
	s.fh = s.o.fh;
}

static void have_entries(void)
{
	char path[64];

	have_dir();
	for (int i = 0; i < ENTRIES; i++) {
		snprintf(path, sizeof(path), "%s/%d", s.name, i);
		host_text(path, "");
	}
	s.node = func_node(s.name);
}

static void have_open_dir(void)
{
	have_entries();
	opendir_();
}

static void releasedir(void)
{
	ok(guest_releasedir(&fx.g, s.node, s.fh));
}

static void drop_dir(void)
{
	forget(s.node);
	daemon_remove_tree(host_path(s.name));
}

static void drop_open_dir(void)
{
	releasedir();
	drop_dir();
}

static ssize_t got;

static void readdirplus(void)
{
	got = ok(guest_readdirplus(&fx.g, s.node, s.fh, 0, s.buf, sizeof(s.buf)));
}

static void has_entries(void)
{
	const struct fuse_direntplus *d;
	struct fuse_attr_out a;
	int n = 0;

	for (size_t at = 0; (d = guest_direntplus(s.buf, got, &at)) != NULL;) {
		if (!d->entry_out.nodeid)
			continue;
		forget(d->entry_out.nodeid);
		fails(guest_getattr(&fx.g, d->entry_out.nodeid, GUEST_NO_FH, &a), EBADF);
		n++;
	}
	ck_assert_int_eq(n, ENTRIES);
	drop_open_dir();
}

static void flush(void)
{
	ok(guest_flush(&fx.g, s.node, s.fh));
}

static void fallocate_(void)
{
	ok(guest_fallocate(&fx.g, s.node, s.fh, 0, 0, 10000));
}

static void allocated(void)
{
	ck_assert_uint_eq(host_stat(s.name).st_size, 10000);
	drop_open();
}

static const struct op {
	const char *name;
	void (*prepare)(void), (*act)(void), (*check)(void);
} ops[] = {
	{ "lookup", have_name, lookup, looked_up },
	{ "create", nothing, create, created },
	{ "create_excl", nothing, create_excl, created },
	{ "tmpfile", nothing, tmpfile_, tmpfile_made },
	{ "mkdir", nothing, mkdir_, made_dir },
	{ "mknod", nothing, mknod_, made_fifo },
	{ "symlink", nothing, symlink_, made_symlink },
	{ "link", have_file, link_, linked },
	{ "unlink", have_file, unlink_, unlinked },
	{ "rmdir", have_dir, rmdir_, removed_dir },
	{ "rename", have_two, rename_, renamed },
	{ "exchange", have_two, exchange, exchanged },
	{ "open", have_file, open_, drop_open },
	{ "read", have_data, read_, is_data },
	{ "write", have_open, write_, is_data },
	{ "append", have_as, append, appended },
	{ "release", have_open, release, drop_file },
	{ "truncate", have_file, truncate_, truncated },
	{ "setxattr", have_file, setxattr_, has_xattr },
	{ "removexattr", have_xattr, removexattr_, has_no_xattr },
	{ "forget", have_twice, forget_one, forgot_one },
	{ "batch_forget", have_twice_and_another, batch_forget, forgot_both },
	{ "setlk", have_open, setlk, is_locked },
	{ "opendir", have_entries, opendir_, drop_open_dir },
	{ "readdirplus", have_open_dir, readdirplus, has_entries },
	{ "releasedir", have_open_dir, releasedir, drop_dir },
	{ "flush", have_open, flush, drop_open },
	{ "fallocate", have_open, fallocate_, allocated },
};
#define OPS (sizeof(ops) / sizeof(ops[0]))

static void start(void)
{
	static const char *const args[] = { "--restart-limit=1000/0", "--xattr", "-o",
					    "posix_lock,flock", NULL };

	func_start_with(args, NULL);
}

/* Once, with the worker killed at a point; false if there is no such point. */
static bool round_at(const struct op *op, enum killer_unit unit, unsigned int n,
		     unsigned int *ret_seen)
{
	static unsigned int number;
	bool killed;
	int before;

	snprintf(s.name, sizeof(s.name), "n%u", ++number);
	snprintf(s.other, sizeof(s.other), "o%u", number);
	before = daemon_fds(&fx.d);
	op->prepare();
	killer_arm(unit, n);
	op->act();
	killed = killer_result(ret_seen);
	op->check();
	ck_assert_msg(!fx.g.ring->lost, "%s at %u: nobody told of a reply", op->name, n);
	ck_assert_msg(daemon_fds_settle(&fx.d, before, wait_scaled(1000)) == before,
		      "%s at %u: descriptors left over", op->name, n);
	return killed;
}


/* A test of each op, since a test is a function: chosen by this. */
static unsigned int chosen;

START_TEST(at_each_system_call)
{
	const struct op *op = &ops[chosen];
	unsigned int n = 0;

	start();
	while (round_at(op, KILLER_CALLS, n, NULL))
		n++;
	ck_assert_msg(n >= 2, "%s: only %u points", op->name, n);
	func_end();
}
END_TEST

/* Rounds of each op, or $CRASH_ROUNDS; a sanitizer has many more instructions */
#define INSTRUCTIONS 8

/* How many instructions a round has; none were seen if another thread took the lead and served. */
static unsigned int count_instructions(const struct op *op)
{
	unsigned int all = 0;

	for (int i = 0; i < 10 && all == 0; i++)
		round_at(op, KILLER_STEPS, UINT_MAX, &all);
	ck_assert_msg(all > 0, "%s: no instruction was seen", op->name);
	return all;
}

/* A round is as long as the worker waits after it, which depends on the machine: a point behind its
 * end says that it was counted in a longer one, and is not one of the rounds asked for. */
START_TEST(after_any_instruction)
{
	const struct op *op = &ops[chosen];
	unsigned int rounds = func_sanitized() ? 2 : INSTRUCTIONS, killed = 0, all, seen;

	if (getenv("CRASH_ROUNDS"))
		rounds = (unsigned int)atoi(getenv("CRASH_ROUNDS"));
	srandom(rounds + chosen);
	start();
	all = count_instructions(op);
	for (unsigned int i = 0; killed < rounds; i++) {
		ck_assert_msg(i < 4 * rounds, "%s: killed only %u times, of %u instructions",
			      op->name, killed, all);
		if (round_at(op, KILLER_STEPS, (unsigned int)random() % all, &seen))
			killed++;
		else
			all = (all + seen + 1) / 2;
	}
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	char name[64];

	func_init("crash", argc, argv);
	for (chosen = 0; chosen < OPS; chosen++) {
		snprintf(name, sizeof(name), "%s_at_each_system_call", ops[chosen].name);
		func_run(name, at_each_system_call, 300);
	}
	for (chosen = 0; chosen < OPS; chosen++) {
		snprintf(name, sizeof(name), "%s_after_any_instruction", ops[chosen].name);
		func_run(name, after_any_instruction, 600);
	}
	return func_done();
}
