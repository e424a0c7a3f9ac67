/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * --xattrmap: the whole grammar of its rules and what each does to the names that the guest
 * sends (client) and to those that the host lists (server). REFERENCE 3.
 */
#include <sys/xattr.h>

#include "func.h"

/* The guest's root sees all names; others, and whoever runs this, not those of trusted.* */
static ssize_t list_as_root(uint64_t node, void *buf, uint32_t size)
{
	uint32_t uid = fx.g.uid;
	ssize_t len;

	fx.g.uid = 0;
	len = guest_listxattr(&fx.g, node, buf, size);
	fx.g.uid = uid;
	return len;
}

static char buf[4096];

static void start(const char *map)
{
	char arg[400];

	snprintf(arg, sizeof(arg), "--xattrmap=%s", map);
	func_start_with((const char *[]){ arg, NULL }, NULL);
	host_text("f", "x");
}

/* The guest's name is this one of the host; or, with a NULL one, it is refused with err. */
static void client(const char *name, const char *there, int err)
{
	uint64_t n = func_node("f");
	int r = guest_setxattr(&fx.g, n, name, name, strlen(name), 0);

	if (!there) {
		ck_assert_msg(r == -err, "set %s: %s", name, strerror(-r));
		fails(guest_removexattr(&fx.g, n, name), err);
		fails(guest_getxattr(&fx.g, n, name, buf, sizeof(buf)),
		      err == EPERM ? ENODATA : err);
		fails(guest_getxattr(&fx.g, n, name, NULL, 0), err == EPERM ? ENODATA : err);
		ck_assert_int_eq(llistxattr(host_path("f"), buf, sizeof(buf)), 0);
		return;
	}
	ck_assert_msg(r == 0, "set %s: %s", name, strerror(-r));

	ssize_t len = lgetxattr(host_path("f"), there, buf, sizeof(buf));

	ck_assert_msg(len == (ssize_t)strlen(name), "%s is not %s on the host", name, there);
	ck_assert_mem_eq(buf, name, len);
	ck_assert_int_eq(llistxattr(host_path("f"), buf, sizeof(buf)), strlen(there) + 1);
	memset(buf, 0, sizeof(buf));
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, name, buf, sizeof(buf))), len);
	ck_assert_mem_eq(buf, name, len);
	ok(guest_removexattr(&fx.g, n, name));
	ck_assert_int_eq(lgetxattr(host_path("f"), there, buf, sizeof(buf)), -1);
}

/* What the host has under a name is listed to the guest as this, or not at all. */
static void server(const char *there, const char *name)
{
	uint64_t n = func_node("f");
	size_t size = name ? strlen(name) + 1 : 0;

	host(lsetxattr(host_path("f"), there, "v", 1, 0));
	ck_assert_msg(ok(list_as_root(n, NULL, 0)) == (ssize_t)size, "list for %s",
		      there);
	memset(buf, 0x55, sizeof(buf));
	ck_assert_uint_eq(ok(list_as_root(n, buf, sizeof(buf))), size);
	if (name)
		ck_assert_str_eq(buf, name);
	host(lremovexattr(host_path("f"), there));
}

/* --- each type in each scope --- */

START_TEST(prefix_for_all)
{
	start(":prefix:all:trusted.:user.v.::ok:all:::");
	client("trusted.a", "user.v.trusted.a", 0);
	client("user.a", "user.a", 0);
	server("user.v.trusted.a", "trusted.a");
	server("user.v.user.a", "user.a");	/* stripped whatever is behind it */
	server("user.b", "user.b");
	func_end();
}
END_TEST

START_TEST(prefix_for_clients)
{
	func_need_cap("sys_admin");
	start(":prefix:client:trusted.:user.v.::ok:all:::");
	client("trusted.a", "user.v.trusted.a", 0);
	server("user.v.trusted.a", "user.v.trusted.a");
	server("trusted.a", "trusted.a");
	func_end();
}
END_TEST

START_TEST(prefix_for_servers)
{
	func_need_cap("sys_admin");
	start(":prefix:server:trusted.:user.v.::ok:all:::");
	client("trusted.a", "trusted.a", 0);
	server("user.v.trusted.a", "trusted.a");
	func_end();
}
END_TEST

START_TEST(ok_in_each_scope)
{
	start(":ok:all:user.::");
	client("user.a", "user.a", 0);
	client("security.a", NULL, EPERM);
	server("user.a", "user.a");
	func_end();
	start(":ok:client:user.::");
	client("user.a", "user.a", 0);
	server("user.a", NULL);
	func_end();
	start(":ok:server::user.:");
	client("user.a", NULL, EPERM);
	server("user.a", "user.a");
	func_end();
}
END_TEST

START_TEST(bad_in_each_scope)
{
	start(":bad:all:user.x:user.x::ok:all:::");
	client("user.xyz", NULL, EPERM);
	client("user.y", "user.y", 0);
	server("user.xyz", NULL);
	server("user.y", "user.y");
	func_end();
	start(":bad:client:user.x:user.x::ok:all:::");
	client("user.xyz", NULL, EPERM);
	server("user.xyz", "user.xyz");
	func_end();
	start(":bad:server:user.x:user.x::ok:all:::");
	client("user.xyz", "user.xyz", 0);
	server("user.xyz", NULL);
	func_end();
}
END_TEST

START_TEST(unsupported_in_each_scope)
{
	start(":unsupported:all:user.x:user.x::ok:all:::");
	client("user.xyz", NULL, EOPNOTSUPP);
	client("user.y", "user.y", 0);
	server("user.xyz", NULL);
	server("user.y", "user.y");
	func_end();
	start(":unsupported:client:user.x:user.x::ok:all:::");
	client("user.xyz", NULL, EOPNOTSUPP);
	server("user.xyz", "user.xyz");
	func_end();
	start(":unsupported:server:user.x:user.x::ok:all:::");
	client("user.xyz", "user.xyz", 0);
	server("user.xyz", NULL);
	func_end();
}
END_TEST

/* --- map --- */

START_TEST(map_without_a_key_takes_everything)
{
	start(":map::user.virtiofs.:");
	client("user.a", "user.virtiofs.user.a", 0);
	client("trusted.a", "user.virtiofs.trusted.a", 0);
	client("security.capability", "user.virtiofs.security.capability", 0);
	client("whatever", "user.virtiofs.whatever", 0);
	client("user.virtiofs.a", "user.virtiofs.user.virtiofs.a", 0);
	server("user.virtiofs.trusted.a", "trusted.a");
	server("user.a", NULL);
	ck_assert(!daemon_log_has(&fx.d, "the xattr map"));
	func_end();
}
END_TEST

START_TEST(map_with_a_key_takes_that)
{
	if (func_is_root())
		func_need_cap("sys_admin");
	start(":map:trusted.:user.virtiofs.:");
	client("trusted.a", "user.virtiofs.trusted.a", 0);
	client("user.a", "user.a", 0);
	/* no other way to what the map makes */
	client("user.virtiofs.trusted.a", NULL, EPERM);
	client("user.virtiofs.a", NULL, EPERM);
	server("user.virtiofs.trusted.a", "trusted.a");
	server("user.a", "user.a");
	if (func_is_root()) {
		server("trusted.a", NULL);	/* the host's own */
		server("security.a", "security.a");
		client("security.a", "security.a", 0);
	}
	ck_assert(!daemon_log_has(&fx.d, "the xattr map"));
	func_end();
}
END_TEST

START_TEST(map_may_follow_other_rules)
{
	start(":bad:all:user.x:user.x: :map:trusted.:user.virtiofs.:");
	client("user.x", NULL, EPERM);
	client("trusted.a", "user.virtiofs.trusted.a", 0);
	client("user.a", "user.a", 0);
	server("user.x", NULL);
	func_end();
}
END_TEST

/* --- how rules are written and found --- */

START_TEST(any_character_separates)
{
	static const char *const maps[] = {
		"/prefix/all/trusted./user.v.//ok/all///",
		"|prefix|all|trusted.|user.v.||ok|all|||",
		"#prefix#all#trusted.#user.v.#:ok:all:::",
		":prefix:all:trusted.:user.v.:/ok/all///",
		"\\prefix\\all\\trusted.\\user.v.\\;ok;all;;;",
	};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		start(maps[i]);
		client("trusted.a", "user.v.trusted.a", 0);
		client("user.a", "user.a", 0);
		server("user.v.trusted.a", "trusted.a");
		func_end();
	}
}
END_TEST

START_TEST(white_space_goes_between_rules)
{
	static const char *const maps[] = {
		" :prefix:all:trusted.:user.v.: :ok:all::: ",
		"\n:prefix:all:trusted.:user.v.:\n\t  :ok:all:::\n",
		":prefix:all:trusted.:user.v.:\r\n:ok:all:::",
	};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		start(maps[i]);
		client("trusted.a", "user.v.trusted.a", 0);
		client("user.a", "user.a", 0);
		func_end();
	}
	/* in a rule it is a part of the name */
	start(":prefix:all:user.a :user.v.::ok:all:::");
	client("user.a", "user.a", 0);
	client("user.a b", "user.v.user.a b", 0);
	func_end();
}
END_TEST

START_TEST(first_rule_that_fits_counts)
{
	start(":ok:all:user.a:user.a::bad:all:user.:user.::ok:all:::");
	client("user.ab", "user.ab", 0);
	client("user.b", NULL, EPERM);
	server("user.ab", "user.ab");
	server("user.b", NULL);
	func_end();
	start(":bad:all:user.:user.::ok:all:user.a:user.a::ok:all:::");
	client("user.ab", NULL, EPERM);
	server("user.ab", NULL);
	func_end();
	/* of the scope that is asked for */
	start(":bad:server:::"":ok:all:::");
	client("user.a", "user.a", 0);
	server("user.a", NULL);
	func_end();
}
END_TEST

START_TEST(what_no_rule_fits_is_refused_and_hidden)
{
	start(":ok:all:user.a:user.a:");
	client("user.ab", "user.ab", 0);
	client("user.b", NULL, EPERM);
	server("user.b", NULL);
	func_end();
}
END_TEST

START_TEST(a_map_without_a_last_rule_is_warned_of)
{
	static const struct { const char *map; bool warned; } maps[] = {
		{ ":ok:all:user.a:user.a:", true },
		{ ":ok:client:::", true },
		{ ":ok:server:::", true },
		{ ":ok:client::: :bad:server:::", false },
		{ ":prefix:all::user.v.:", true },
		{ ":prefix:all::user.v.: :bad:all:::", false },
		{ ":ok:all:::", false },
		{ ":map:user.:user.v.:", false },
	};

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		start(maps[i].map);
		ck_assert_msg(daemon_log_has(&fx.d, "xattr map") == maps[i].warned, "%s: %s",
			      maps[i].map, daemon_log(&fx.d));
		func_end();
	}
}
END_TEST

START_TEST(lists_are_mapped_name_by_name)
{
	start(":prefix:all:trusted.:user.v.: :bad:all:user.x:user.x: :ok:all:::");
	host(lsetxattr(host_path("f"), "user.x1", "", 0, 0));
	host(lsetxattr(host_path("f"), "user.v.trusted.a", "", 0, 0));
	host(lsetxattr(host_path("f"), "user.x2", "", 0, 0));
	host(lsetxattr(host_path("f"), "user.b", "", 0, 0));
	host(lsetxattr(host_path("f"), "user.v.trusted.c", "", 0, 0));
	host(lsetxattr(host_path("f"), "user.x3", "", 0, 0));

	uint64_t n = func_node("f");
	ssize_t len = ok(list_as_root(n, buf, sizeof(buf)));
	bool a = false, b = false, c = false;

	ck_assert_int_eq(len, sizeof("trusted.a") + sizeof("user.b") + sizeof("trusted.c"));
	for (const char *at = buf; at < buf + len; at += strlen(at) + 1) {
		a |= !strcmp(at, "trusted.a");
		b |= !strcmp(at, "user.b");
		c |= !strcmp(at, "trusted.c");
	}
	ck_assert(a && b && c);
	/* sizes are those of what the guest gets to see */
	ck_assert_int_eq(ok(list_as_root(n, NULL, 0)), len);
	ok(list_as_root(n, buf, len));
	fails(list_as_root(n, buf, len - 1), ERANGE);
	func_end();
}
END_TEST

START_TEST(names_that_get_too_long_are_refused)
{
	char name[300] = "trusted.";

	start(":prefix:all:trusted.:user.v.: :ok:all:::");

	uint64_t n = func_node("f");

	memset(name + 8, 'n', 255 - 7 - 8);
	ck_assert_uint_eq(strlen(name) + strlen("user.v."), 255);
	ok(guest_setxattr(&fx.g, n, name, "v", 1, 0));
	ck_assert_int_eq(ok(guest_getxattr(&fx.g, n, name, buf, 9)), 1);
	ok(guest_removexattr(&fx.g, n, name));
	strcat(name, "n");
	fails(guest_setxattr(&fx.g, n, name, "v", 1, 0), ERANGE);
	fails(guest_getxattr(&fx.g, n, name, buf, 9), ERANGE);
	fails(guest_removexattr(&fx.g, n, name), ERANGE);
	func_end();
}
END_TEST

START_TEST(an_empty_name_stays_an_error)
{
	start(":map::user.v.:");

	uint64_t n = func_node("f");

	fails(guest_setxattr(&fx.g, n, "", "v", 1, 0), ERANGE);
	fails(guest_getxattr(&fx.g, n, "", buf, 9), ERANGE);
	fails(guest_removexattr(&fx.g, n, ""), ERANGE);
	ck_assert_int_eq(llistxattr(host_path("f"), buf, sizeof(buf)), 0);
	func_end();
}
END_TEST

START_TEST(a_name_of_which_nothing_is_left_is_hidden)
{
	start(":map::user.v.:");
	server("user.v.", NULL);
	server("user.v.a", "a");
	func_end();
}
END_TEST

START_TEST(the_older_spelling_is_heard)
{
	func_start_with((const char *[]){ "-o", "xattrmap=:map::user.virtiofs.:", NULL }, NULL);
	host_text("f", "x");
	client("trusted.a", "user.virtiofs.trusted.a", 0);
	func_end();
}
END_TEST

/* --- errors at start --- */

START_TEST(mistakes_are_told_with_their_place)
{
	static const struct { const char *map; int at; } bad[] = {
		{ "", 0 },
		{ "  ", 2 },
		{ ":", 1 },
		{ ":ok", 1 },
		{ ":okay:all:::", 1 },
		{ ":ok:everybody:::", 4 },
		{ ":OK:all:::", 1 },
		{ ":ok:all", 4 },
		{ ":ok:all:user.", 8 },
		{ ":ok:all:user.:user.", 14 },
		{ ":ok:all:::x", 11 },
		{ ":ok:all::: :bad:some:::", 16 },
		{ ":ok:all::: nonsense", 12 },
		{ ":map:", 5 },
		{ ":map:user.", 5 },
		{ ":map:user.:", 11 },
		{ ":map:user.::", 11 },
		{ ":map:user.:user.v.: :ok:all:::", 20 },
		{ ":map::user.v.::map::user.w.:", 14 },
		{ "::all:::", 1 },
	};

	ok(daemon_prepare(&fx.d));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char arg[100], at[30];
		struct daemon_opts o = {
			.args = (const char *[]){ "--rlimit-nofile=0", "--socket-path={socket}",
						  "--shared-dir={share}", "--sandbox=none", arg,
						  NULL },
			.only_args = true,
		};

		snprintf(arg, sizeof(arg), "--xattrmap=%s", bad[i].map);
		unlink(fx.d.log);
		ok(daemon_spawn(&fx.d, &o));
		ck_assert_msg(ok(daemon_wait(&fx.d, wait_scaled(5000))) == 1, "%s: status %d",
			      bad[i].map, fx.d.status);
		ck_assert_msg(daemon_log_lines(&fx.d) == 1, "%s: not one line: %s", bad[i].map,
			      daemon_log(&fx.d));
		ck_assert_msg(daemon_log_has(&fx.d, "xattrmap"), "%s: %s", bad[i].map,
			      daemon_log(&fx.d));
		snprintf(at, sizeof(at), "byte %d:", bad[i].at);
		ck_assert_msg(daemon_log_has(&fx.d, at), "%s: not %s %s", bad[i].map, at,
			      daemon_log(&fx.d));
	}
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("xattrmap", argc, argv);
	func_test(prefix_for_all);
	func_test(prefix_for_clients);
	func_test(prefix_for_servers);
	func_test(ok_in_each_scope);
	func_test(bad_in_each_scope);
	func_test(unsupported_in_each_scope);
	func_test(map_without_a_key_takes_everything);
	func_test(map_with_a_key_takes_that);
	func_test(map_may_follow_other_rules);
	func_test(any_character_separates);
	func_test(white_space_goes_between_rules);
	func_test(first_rule_that_fits_counts);
	func_test(what_no_rule_fits_is_refused_and_hidden);
	func_test(a_map_without_a_last_rule_is_warned_of);
	func_test(lists_are_mapped_name_by_name);
	func_test(names_that_get_too_long_are_refused);
	func_test(an_empty_name_stays_an_error);
	func_test(a_name_of_which_nothing_is_left_is_hidden);
	func_test(the_older_spelling_is_heard);
	func_test(mistakes_are_told_with_their_place);
	return func_done();
}
