/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Names that lead out of the share, or that are none, in each request that has one. Outside lie
 * a canary and an egg (canary.c): whatever is refused how, they must never be reached.
 */
#include <fcntl.h>
#include <limits.h>

#include "hostile.h"

static const char *const out[] = {
	"..", ".", "/", "//", "", "../canary", "../nest", "../nest/egg", "/etc/passwd",
	"./../canary", "dir/../../canary", "dir/..", "dir/.", "up/canary", "up", "far", "abs",
	"loop", "\n/../canary", "canary/", "../", "..//canary", "dir//file", "/proc/self/fd/0",
};

static uint64_t dir, file;

static void start(void)
{
	static const char *const args[] = { "--xattr", NULL };

	hostile_start(args, NULL);
	host(mkdir(host_path("dir"), 0777));
	host_text("dir/file", "x");
	host_text("file", "x");
	host(symlink("..", host_path("up")));
	host(symlink("../canary", host_path("far")));
	host(symlink("/etc/passwd", host_path("abs")));
	host(symlink("loop", host_path("loop")));
	canary_place();
	dir = func_node("dir");
	file = func_node("file");
}

static bool is_link(const char *name)
{
	return !strcmp(name, "up") || !strcmp(name, "far") || !strcmp(name, "abs") ||
	       !strcmp(name, "loop");
}

START_TEST(lookup_never_leads_out)
{
	const uint64_t from[] = { FUSE_ROOT_ID, 0, 0 };

	start();
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		for (size_t n = 0; n < 3; n++) {
			uint64_t parent = n == 1 ? dir : n == 2 ? func_node("up") : from[0];
			struct fuse_entry_out e;
			int r = guest_lookup(&fx.g, parent, out[i], &e);

			/* The root is its own parent. */
			if (n == 0 && !strcmp(out[i], ".."))
				ck_assert_uint_eq(ok(r) ? 0 : e.attr.ino, host_stat("").st_ino);
			if (r < 0)
				continue;
			ck_assert_msg(!canary_is(&e.attr), "'%s' leads out", out[i]);
			if (is_link(out[i]) && e.nodeid)
				ck_assert(S_ISLNK(e.attr.mode));
		}
	canary_alive();
	hostile_end();
}
END_TEST

/* What makes or removes names: only good ones. */
static int with_name(unsigned int what, uint64_t parent, const char *name)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;

	switch (what) {
	case 0: return guest_mkdir(&fx.g, parent, name, 0777, 0, &e);
	case 1: return guest_mknod(&fx.g, parent, name, S_IFREG | 0666, 0, 0, &e);
	case 2: return guest_symlink(&fx.g, parent, name, "../canary", &e);
	case 3: return guest_create(&fx.g, parent, name, O_RDWR | O_TRUNC, 0666, 0, &e, &o);
	case 4: return guest_unlink(&fx.g, parent, name);
	case 5: return guest_rmdir(&fx.g, parent, name);
	case 6: return guest_rename(&fx.g, parent, name, FUSE_ROOT_ID, "moved");
	case 7: return guest_rename(&fx.g, FUSE_ROOT_ID, "file", parent, name);
	case 8: return guest_rename2(&fx.g, parent, name, FUSE_ROOT_ID, "dir", 2);
	default: return guest_link(&fx.g, file, parent, name, &e);
	}
}
#define WITH_NAMES 10

START_TEST(no_bad_name_is_made_or_removed)
{
	start();
	for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++)
		for (unsigned int what = 0; what < WITH_NAMES && !is_link(out[i]); what++)
			for (int in_dir = 0; in_dir < 2; in_dir++) {
				int r = with_name(what, in_dir ? dir : FUSE_ROOT_ID, out[i]);

				/* To those of which "" is ENOENT it is so on the host, too */
				ck_assert_msg(r == -EINVAL || (!*out[i] && r == -ENOENT),
					      "'%s' in request %u: %d", out[i], what, r);
			}
	canary_alive();
	ck_assert(host_exists("dir/file") && host_exists("file") && !host_exists("moved"));
	hostile_end();
}
END_TEST

/* A link is not a directory, and not what it leads to. */
START_TEST(nothing_is_done_through_a_link)
{
	struct fuse_open_out o;
	uint64_t up, far;

	start();
	up = func_node("up");
	far = func_node("far");
	for (unsigned int what = 0; what < WITH_NAMES; what++) {
		fails(with_name(what, up, "canary"), ENOTDIR);
		fails(with_name(what, far, "egg"), ENOTDIR);
	}
	ck_assert_int_lt(guest_open(&fx.g, far, O_RDWR | O_TRUNC, &o), 0);
	ck_assert_int_lt(guest_opendir(&fx.g, up, &o), 0);
	ck_assert_int_lt(guest_truncate(&fx.g, far, 0), 0);
	(void)guest_chmod(&fx.g, far, 0777);
	(void)guest_chown(&fx.g, far, 1, 1);
	(void)guest_setxattr(&fx.g, far, "user.x", "y", 1, 0);
	(void)guest_create(&fx.g, FUSE_ROOT_ID, "far", O_RDWR | O_TRUNC, 0666, 0,
			   &(struct fuse_entry_out){ 0 }, &o);
	canary_alive();
	hostile_end();
}
END_TEST

START_TEST(names_of_any_length_are_served_or_refused)
{
	static char name[20001];

	start();
	memset(name, 'n', sizeof(name) - 1);
	for (size_t len = 250; len < sizeof(name); len = len < 270 ? len + 1 : len * 2)
		for (unsigned int what = 0; what < WITH_NAMES; what++) {
			int r;

			name[len] = '\0';
			r = len < CALL_IN_MAX - 200 ? with_name(what, dir, name) : -ENAMETOOLONG;
			name[len] = 'n';
			ck_assert_msg(len <= NAME_MAX || r == -ENAMETOOLONG || r == -EINVAL,
				      "%zu bytes in request %u: %d", len, what, r);
		}
	hostile_served();
	hostile_end();
}
END_TEST

START_TEST(names_without_an_end_are_invalid)
{
	start();
	for (unsigned int i = 0; i < hostile_nops; i++) {
		const struct hostile_op *op = &hostile_ops[i];

		if (!op->names)
			continue;
		for (size_t len = 0; len < 9000; len = len < 20 ? len + 1 : len * 2) {
			size_t body = op->size + len;
			uint8_t *at = hostile_body();
			int r;

			memset(at, 0, body);
			memset(at + op->size, 'n', len);
			/* one of the two has its end */
			if (op->names == 2 && len > 1)
				at[op->size + len / 2] = '\0';
			hostile_header(op->opcode, FUSE_ROOT_ID, body);
			r = hostile_send(sizeof(struct fuse_in_header) + body, 4096, NULL);
			ck_assert_msg(r == -EINVAL || (len > 255 && r == -ENAMETOOLONG) ||
				      (op->opcode == FUSE_SETXATTR && r == -ERANGE),
				      "%s, %zu bytes of name: %d", op->name, len, r);
		}
	}
	canary_alive();
	hostile_end();
}
END_TEST

/* Bytes of names that are bytes to the host, whatever they look like. */
START_TEST(names_of_any_bytes_stay_in_the_share)
{
	start();
	for (int i = 0; i < 2000; i++) {
		char name[64];
		size_t len = 1 + random_below(sizeof(name) - 2);

		for (size_t n = 0; n < len; n++)
			name[n] = random_one_in(3) ? "./\\~:\n\x7f\xff"[random_below(8)]
						   : 1 + random_below(255);
		name[len] = '\0';

		int r = with_name(random_below(WITH_NAMES), random_one_in(2) ? dir : FUSE_ROOT_ID,
				  name);

		if (strchr(name, '/'))
			ck_assert_int_eq(r, -EINVAL);
	}
	canary_alive();
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("name", argc, argv);
	func_test(lookup_never_leads_out);
	func_test(no_bad_name_is_made_or_removed);
	func_test(nothing_is_done_through_a_link);
	func_test(names_of_any_length_are_served_or_refused);
	func_test(names_without_an_end_are_invalid);
	func_test(names_of_any_bytes_stay_in_the_share);
	return func_done();
}
