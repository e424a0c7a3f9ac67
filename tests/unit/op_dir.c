/* SPDX-License-Identifier: BSD-3-Clause */
/* OPENDIR, READDIR, READDIRPLUS through fuse_serve(). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"

#define ROOT FUSE_ROOT_ID
#define FILES 300U

static struct client c;

static void setup(void)
{
	char path[128], name[64];

	for (unsigned int d = 0; d < 2; d++) {
		snprintf(path, sizeof(path), "%s/%s", unit_dir,
			 d ? "empty" : "dir");
		mkdir(path, 0755);
	}
	for (unsigned int i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "dir/%.*s%03u", (int)(i % 40),
			 "name of a file of some length, more or less", i);
		unit_write_file(name, "", 0);
	}
	client_start(&c, CACHE_AUTO);
}

static void teardown(void)
{
	client_stop(&c);
}

static uint64_t lookup(const char *name)
{
	uint64_t id;

	ck_ok(client_lookup(&c, ROOT, name, &id));
	return id;
}

static int read_dir(struct call *k, uint32_t opcode, uint64_t node, uint64_t fh,
		    uint64_t cookie, uint32_t size)
{
	struct fuse_read_in in = { .fh = fh, .offset = cookie, .size = size };

	call_begin(k, opcode, node);
	call_put(k, &in, sizeof(in));
	return call_serve(&c, k);
}

/* What was found of a directory, in order. */
struct listing {
	unsigned int n;
	struct {
		char name[64];
		uint64_t ino, cookie, nodeid;
		uint32_t type, mode;
	} e[FILES + 8];
};

static bool all_zero(const char *p, size_t len)
{
	while (len && *p == 0) {
		p++;
		len--;
	}
	return len == 0;
}

static void note_entry(struct listing *l, const struct fuse_dirent *d,
		       const struct fuse_entry_out *plus)
{
	const char *end = (const char *)d + FUSE_DIRENT_SIZE(d);

	must(l->n < ARRAY_SIZE(l->e));
	must(d->namelen < sizeof(l->e[0].name));
	memset(&l->e[l->n], 0, sizeof(l->e[0]));
	memcpy(l->e[l->n].name, d->name, d->namelen);
	must(strlen(l->e[l->n].name) == d->namelen);
	/* The padding tells nothing. */
	must(all_zero(d->name + d->namelen,
			   (size_t)(end - d->name) - d->namelen));
	l->e[l->n].ino = d->ino;
	l->e[l->n].cookie = d->off;
	l->e[l->n].type = d->type;
	if (plus) {
		l->e[l->n].nodeid = plus->nodeid;
		l->e[l->n].mode = plus->attr.mode;
		must(plus->attr.ino == d->ino);
	}
	l->n++;
}

/* Appends the entries of a reply. */
static void note_reply(struct listing *l, const struct call *k, bool plus)
{
	const char *at = call_body(k), *end = at + k->body_len;

	while (at < end) {
		const struct fuse_direntplus *p = (const void *)at;
		const struct fuse_dirent *d = plus ? &p->dirent :
						     (const void *)at;
		size_t len = plus ? FUSE_DIRENTPLUS_SIZE(p) : FUSE_DIRENT_SIZE(d);

		must(len <= (size_t)(end - at));
		note_entry(l, d, plus ? &p->entry_out : NULL);
		at += len;
	}
}

/* From a cookie to the end, @size bytes at most a request. */
static void list(struct listing *l, uint64_t node, uint64_t fh, uint64_t cookie,
		 uint32_t size, bool plus)
{
	struct call k;

	l->n = 0;
	do {
		ck_ok(read_dir(&k, plus ? FUSE_READDIRPLUS : FUSE_READDIR, node,
			       fh, cookie, size));
		ck_assert_uint_le(k.body_len, size);
		note_reply(l, &k, plus);
		if (k.body_len)
			cookie = l->e[l->n - 1].cookie;
	} while (k.body_len);
}

static void check_complete(const struct listing *l)
{
	unsigned int numbers[FILES] = { 0 }, dots = 0;

	ck_assert_uint_eq(l->n, FILES + 2);
	for (unsigned int i = 0; i < l->n; i++) {
		const char *name = l->e[i].name;

		if (name[0] == '.') {
			dots++;
			ck_assert_uint_eq(l->e[i].type, DT_DIR);
			continue;
		}
		ck_assert_uint_eq(l->e[i].type, DT_REG);
		numbers[atoi(name + strlen(name) - 3)]++;
	}
	ck_assert_uint_eq(dots, 2);
	for (unsigned int i = 0; i < FILES; i++)
		ck_assert_uint_eq(numbers[i], 1);
}

static uint64_t open_dir(uint64_t *ret_node)
{
	uint64_t fh;

	*ret_node = lookup("dir");
	ck_ok(client_opendir(&c, *ret_node, &fh));
	return fh;
}

/* In pieces of any size: each name once. */
START_TEST(each_name_once)
{
	static const uint32_t sizes[] = { 72, 80, 100, 333, 1024, 4096, 65536 };
	static struct listing l;
	uint64_t node, fh = open_dir(&node);

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		list(&l, node, fh, 0, sizes[i], false);
		check_complete(&l);
		list(&l, node, fh, 0, sizes[i] + 128, true);
		check_complete(&l);
	}
}
END_TEST

START_TEST(plus_entries_are_lookups)
{
	static struct listing l;
	uint64_t node, fh = open_dir(&node), nodes;

	nodes = node_table_count(&c.fs.nodes);
	list(&l, node, fh, 0, 2000, true);
	ck_assert_uint_eq(node_table_count(&c.fs.nodes), nodes + FILES);
	for (unsigned int i = 0; i < l.n; i++) {
		struct fuse_attr attr;

		if (l.e[i].name[0] == '.') {
			ck_assert_uint_eq(l.e[i].nodeid, 0);
			ck_assert_uint_eq(l.e[i].mode, S_IFDIR);
			continue;
		}
		ck_ok(client_getattr(&c, l.e[i].nodeid, &attr));
		ck_assert_uint_eq(attr.ino, l.e[i].ino);
		/* One count a mention, neither more nor less. */
		client_forget(&c, l.e[i].nodeid, 1);
	}
	ck_assert_uint_eq(node_table_count(&c.fs.nodes), nodes);
}
END_TEST

/* Every cookie that was ever given leads to what came after it. */
START_TEST(cookies_lead_back)
{
	static struct listing all, part;
	uint64_t node, fh = open_dir(&node);
	uint32_t seed = 5;

	list(&all, node, fh, 0, 4096, false);
	for (int round = 0; round < 30; round++) {
		unsigned int from = unit_random(&seed) % all.n;
		uint32_t size = 72 + unit_random(&seed) % 2000;

		list(&part, node, fh, all.e[from].cookie, size, false);
		ck_assert_uint_eq(part.n, all.n - from - 1);
		for (unsigned int i = 0; i < part.n; i++)
			ck_assert_str_eq(part.e[i].name,
					 all.e[from + 1 + i].name);
	}
}
END_TEST

/* A directory that was read to its end is read from its start. */
START_TEST(cookie_zero_is_the_start)
{
	static struct listing l;
	uint64_t node, fh = open_dir(&node);

	for (int i = 0; i < 3; i++) {
		list(&l, node, fh, 0, 4096, false);
		check_complete(&l);
	}
}
END_TEST

START_TEST(cookies_that_were_never_given)
{
	static const uint64_t cookies[] = { 1, 12345, INT64_MAX, 1ULL << 63,
					    UINT64_MAX, UINT64_MAX - 1 };
	static struct listing l;
	uint64_t node, fh = open_dir(&node);
	struct client_counts before = client_counts(&c);

	for (size_t i = 0; i < ARRAY_SIZE(cookies); i++) {
		struct call k;
		int r = read_dir(&k, FUSE_READDIR, node, fh, cookies[i], 4096);

		/* An error or what the host finds there: never a crash, and
		 * beyond what an offset can be, an error. */
		if (cookies[i] > INT64_MAX)
			ck_assert_int_eq(r, -EINVAL);
		client_check_counts(&c, &before);
	}
	list(&l, node, fh, 0, 4096, false);
	check_complete(&l);
}
END_TEST

/* The end of a directory looks like a reply without entries: room for not even
 * one must not look like it. */
START_TEST(room_for_no_entry_is_an_error)
{
	uint64_t node, fh = open_dir(&node);
	struct call k;

	for (uint32_t size = 0; size < 32; size++) {
		ck_assert_int_eq(read_dir(&k, FUSE_READDIR, node, fh, 0, size),
				 -EINVAL);
		ck_assert_int_eq(read_dir(&k, FUSE_READDIRPLUS, node, fh, 0,
					  size + 128), -EINVAL);
	}
}
END_TEST

START_TEST(size_of_any_number_is_good)
{
	uint64_t node, fh = open_dir(&node);
	static struct listing l;
	struct call k;

	/* The room in the reply is what counts. */
	ck_ok(read_dir(&k, FUSE_READDIR, node, fh, 0, UINT32_MAX));
	l.n = 0;
	note_reply(&l, &k, false);
	ck_assert_uint_gt(l.n, 100);
}
END_TEST

START_TEST(empty_directory)
{
	static struct listing l;
	uint64_t node = lookup("empty"), fh;

	ck_ok(client_opendir(&c, node, &fh));
	list(&l, node, fh, 0, 4096, true);
	ck_assert_uint_eq(l.n, 2);
}
END_TEST

static uint64_t ino_of(const struct listing *l, const char *name)
{
	for (unsigned int i = 0; i < l->n; i++)
		if (strcmp(l->e[i].name, name) == 0)
			return l->e[i].ino;
	ck_abort_msg("no entry %s", name);
	return 0;
}

/* Nothing of what lies above the share. */
START_TEST(root_is_its_own_parent)
{
	static struct listing l;
	struct fuse_attr root;
	uint64_t fh, node;

	ck_ok(client_getattr(&c, ROOT, &root));
	ck_ok(client_opendir(&c, ROOT, &fh));
	for (int plus = 0; plus < 2; plus++) {
		list(&l, ROOT, fh, 0, 4096, plus);
		ck_assert_uint_eq(ino_of(&l, "."), root.ino);
		ck_assert_uint_eq(ino_of(&l, ".."), root.ino);
	}
	fh = open_dir(&node);
	list(&l, node, fh, 0, 4096, false);
	ck_assert_uint_eq(ino_of(&l, ".."), root.ino);
}
END_TEST

/* Threads that read the same handle, each from its own place. */
static struct listing order;
static uint64_t shared_node, shared_fh;

static void read_on(void *arg, unsigned int no)
{
	static _Thread_local struct listing l;
	unsigned int at = 0;

	for (unsigned int i = 0; i < unit_rounds(2000); i++) {
		uint64_t cookie = at ? order.e[at - 1].cookie : 0;
		struct call k;

		ck_ok(read_dir(&k, no % 2 ? FUSE_READDIR : FUSE_READDIRPLUS,
			       shared_node, shared_fh, cookie, 700));
		l.n = 0;
		note_reply(&l, &k, no % 2 == 0);
		must(l.n > 0 || at == order.n);
		for (unsigned int e = 0; e < l.n; e++)
			ck_assert_str_eq(l.e[e].name, order.e[at + e].name);
		at = l.n ? at + l.n : 0;
	}
}

START_TEST(threads_on_one_handle)
{
	shared_fh = open_dir(&shared_node);
	list(&order, shared_node, shared_fh, 0, 4096, false);
	unit_threads(4, read_on, NULL);
}
END_TEST

/* RELEASEDIR while others read: an end of the handle, not of the reader. */
static _Atomic uint64_t racing_fh;
static atomic_bool racing;

static void open_or_read(void *arg, unsigned int no)
{
	struct call k;

	for (unsigned int i = 0; no == 0 && i < unit_rounds(2000); i++) {
		uint64_t fh;

		ck_ok(client_opendir(&c, shared_node, &fh));
		atomic_store(&racing_fh, fh);
		ck_ok(client_releasedir(&c, fh));
	}
	if (no == 0)
		atomic_store(&racing, false);
	while (no != 0 && atomic_load(&racing)) {
		int r = read_dir(&k, FUSE_READDIR, shared_node,
				 atomic_load(&racing_fh), 0, 4096);

		must(r == 0 || r == -EBADF);
		must(r < 0 || k.body_len > 0);
	}
}

START_TEST(releasedir_races_with_readdir)
{
	struct client_counts before;

	shared_node = lookup("dir");
	before = client_counts(&c);
	atomic_store(&racing, true);
	unit_threads(3, open_or_read, NULL);
	client_check_counts(&c, &before);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_dir");
	TCase *tc = unit_tcase(s, "directories", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_name_once);
	tcase_add_test(tc, plus_entries_are_lookups);
	tcase_add_test(tc, cookies_lead_back);
	tcase_add_test(tc, cookie_zero_is_the_start);
	tcase_add_test(tc, cookies_that_were_never_given);
	tcase_add_test(tc, room_for_no_entry_is_an_error);
	tcase_add_test(tc, size_of_any_number_is_good);
	tcase_add_test(tc, empty_directory);
	tcase_add_test(tc, root_is_its_own_parent);
	tcase_add_test(tc, threads_on_one_handle);
	tcase_add_test(tc, releasedir_races_with_readdir);
	return unit_run(s);
}
