/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Replies that do not fit: for each op and each size of the room below what the
 * reply needs, there is an error reply (none if not even a header fits), and
 * nothing is left behind that no guest will ever give back.
 */
#include <fcntl.h>

#include "mix.h"

#define HEAD sizeof(struct fuse_out_header)

static struct client c;
static struct mix mix;

static void setup(void)
{
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
}

static void teardown(void)
{
	client_stop(&c);
}

/* Gives back what the entries of a READDIRPLUS reply have given. */
static void forget_entries(const struct call *k)
{
	const char *at = call_body(k), *end = at + k->body_len;

	while (at < end) {
		const struct fuse_direntplus *d = (const void *)at;
		size_t len = FUSE_DIRENTPLUS_SIZE(d);

		must(len <= (size_t)(end - at));
		if (d->entry_out.nodeid)
			client_forget(&c, d->entry_out.nodeid, 1);
		at += len;
	}
}

static void check_room(int i, size_t room, size_t piece)
{
	struct client_counts before = client_counts(&c);
	struct call k;
	int r;

	mix_ops[i].build(&mix, &k);
	k.room = room;
	k.out_piece = piece;
	r = call_serve(&c, &k);
	if (room < HEAD)
		must(k.returned == 0);
	else
		must(k.returned >= (int)HEAD);
	if (room >= HEAD && mix_ops[i].kind == MIX_WHOLE)
		ck_assert_msg(r < 0, "%s in %zu bytes", mix_ops[i].name, room);
	if (room >= HEAD && mix_ops[i].kind == MIX_PLUS && r == 0)
		forget_entries(&k);
	client_check_counts(&c, &before);
}

static size_t full_reply(int i)
{
	struct call k;

	mix_ops[i].build(&mix, &k);
	(void)call_serve(&c, &k);
	ck_assert_int_ge(k.returned, (int)HEAD);
	return (size_t)k.returned;
}

/* The test is a process of its own: what the full reply gave stays open. */
START_TEST(reply_without_room)
{
	size_t full = full_reply(_i);

	for (size_t room = 0; room < full; room++) {
		check_room(_i, room, 0);
		check_room(_i, room, 5);
	}
}
END_TEST

/* RELEASE ends the handle, whether or not its reply arrives. */
START_TEST(release_without_room)
{
	uint64_t h;

	for (size_t room = 0; room < HEAD; room++) {
		struct client_counts before = client_counts(&c);
		struct call k;

		ck_ok(client_open(&c, mix.file, O_RDONLY, &h));
		call_begin(&k, FUSE_RELEASE, mix.file);
		call_arg(&k, fuse_release_in)->fh = h;
		k.room = room;
		call_serve(&c, &k);
		ck_assert_int_eq(k.returned, 0);
		client_check_counts(&c, &before);
	}
}
END_TEST

START_TEST(init_without_room)
{
	for (size_t room = 0; room < HEAD + sizeof(struct fuse_init_out); room++) {
		struct fuse_init_in in = { .major = 7, .minor = 31 };
		struct call k;
		int r;

		call_begin(&k, FUSE_INIT, 0);
		call_put(&k, &in, sizeof(in));
		k.room = room;
		r = call_serve(&c, &k);
		ck_assert(room < HEAD ? k.returned == 0 : r < 0);
		ck_assert(!session_is_live(&c.session));
		ck_assert_uint_eq(node_table_count(&c.fs.nodes), 1);
		ck_assert_uint_eq(handle_table_count(&c.fs.handles), 0);
	}
	ck_ok(client_init(&c));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_room");
	TCase *tc = unit_tcase(s, "room", 20);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, reply_without_room, 0, (int)mix_n_ops);
	tcase_add_test(tc, release_without_room);
	tcase_add_test(tc, init_without_room);
	return unit_run(s);
}
