/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line and what launchers rely on at start (rows 1 to 4, 20). */
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "func.h"

/* Run the program with exactly these arguments until it ends; its status. */
static int run(const char *const *args)
{
	struct daemon_opts o = { .args = args, .only_args = true };

	if (!fx.d.dir[0])
		ok(daemon_prepare(&fx.d));
	unlink(fx.d.log);
	unlink(fx.d.out);
	ok(daemon_spawn(&fx.d, &o));
	return ok(daemon_wait(&fx.d, wait_scaled(5000)));
}
#define RUN(...) run((const char *[]){ __VA_ARGS__, NULL })

/* --- JSON, as far as is needed to say whether a text is JSON --- */

static const char *json_value(const char *s);

static const char *json_space(const char *s)
{
	return s ? s + strspn(s, " \t\r\n") : NULL;
}

static const char *json_string(const char *s)
{
	if (!s || *s != '"')
		return NULL;
	for (s++; *s && *s != '"'; s++)
		if (*s == '\\' && !*++s)
			return NULL;
	return *s ? s + 1 : NULL;
}

static const char *json_list(const char *s, char end, bool named)
{
	s = json_space(s + 1);
	if (*s == end)
		return s + 1;
	for (;;) {
		if (named) {
			s = json_space(json_string(json_space(s)));
			if (!s || *s++ != ':')
				return NULL;
		}
		s = json_space(json_value(json_space(s)));
		if (!s || (*s != ',' && *s != end))
			return NULL;
		if (*s++ == end)
			return s;
	}
}

static const char *json_value(const char *s)
{
	if (!s)
		return NULL;
	if (*s == '{')
		return json_list(s, '}', true);
	if (*s == '[')
		return json_list(s, ']', false);
	if (*s == '"')
		return json_string(s);

	size_t n = strspn(s, "+-.0123456789eEtrufalsn");

	return n ? s + n : NULL;
}

static void expect_capabilities(void)
{
	const char *out = daemon_output(&fx.d), *end = json_space(json_value(json_space(out)));

	ck_assert_msg(end && !*end, "not JSON: %s", out);
	ck_assert_ptr_nonnull(strstr(out, "\"type\""));
	ck_assert_ptr_nonnull(strstr(out, "\"fs\""));
}

START_TEST(print_capabilities_is_json)
{
	ck_assert_int_eq(RUN("--print-capabilities"), 0);
	expect_capabilities();
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(print_capabilities_whatever_else_is_given)
{
	ck_assert_int_eq(RUN("--fd=77", "--print-capabilities"), 0);
	expect_capabilities();
	ck_assert_int_eq(RUN("--print-capabilities", "--shared-dir=/nonexistent", "--fd=3",
			     "--socket-path=/nonexistent/s"), 0);
	expect_capabilities();
	ck_assert_int_eq(RUN("--socket-path={socket}", "--shared-dir={share}",
			     "--print-capabilities"), 0);
	expect_capabilities();
	ck_assert_int_ne(access(fx.d.socket, F_OK), 0);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(help_names_the_options)
{
	static const char *const names[] = { "--shared-dir", "--socket-path", "--fd", "--tag",
					     "--cache", "--thread-pool-size", "--log-level",
					     "--syslog", "--print-capabilities", "--version",
					     "--socket-group" };

	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(RUN(i ? "-h" : "--help"), 0);
		for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++)
			ck_assert_msg(strstr(daemon_output(&fx.d), names[k]), "no %s", names[k]);
	}
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(version_is_printed)
{
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(RUN(i ? "-V" : "--version"), 0);
		ck_assert_ptr_nonnull(strstr(daemon_output(&fx.d), "virtiofsd"));
		ck_assert_ptr_nonnull(strpbrk(daemon_output(&fx.d), "0123456789"));
	}
	daemon_discard(&fx.d);
}
END_TEST

/* --- refusals: one line, a status other than 0, and nothing left --- */

static void expect_refusal(int status, const char *what)
{
	ck_assert_msg(status != 0 && status < 256, "%s: status %d", what, status);
	ck_assert_msg(daemon_log_lines(&fx.d) == 1, "%s: not one line:\n%s", what,
		      daemon_log(&fx.d));
	ck_assert_msg(strlen(daemon_output(&fx.d)) == 0, "%s: output %s", what,
		      daemon_output(&fx.d));
}

#define REFUSED(...) expect_refusal(RUN("--rlimit-nofile=0", __VA_ARGS__), #__VA_ARGS__)

START_TEST(unknown_options_are_refused)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--no-such-option", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("-Z", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("-o", "nonsense", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("-o", "nonsense=1", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("stray", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--help=me", "--socket-path={socket}", "--shared-dir={share}");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(bad_values_are_refused)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--cache=sometimes", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--log-level=loud", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--thread-pool-size=-1", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--thread-pool-size=many", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--thread-pool-size=", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--poll-us=1001", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--sandbox=castle", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--tag=", "--socket-path={socket}", "--shared-dir={share}");
	REFUSED("--tag=0123456789012345678901234567890123456", "--socket-path={socket}",
		"--shared-dir={share}");
	REFUSED("--socket-group=no-such-group-here", "--socket-path={socket}",
		"--shared-dir={share}");
	REFUSED("--socket-path={socket}", "--shared-dir");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(share_must_be_there)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--socket-path={socket}", "--sandbox=none");
	REFUSED("--socket-path={socket}", "--sandbox=none", "--shared-dir=/no/such/directory");
	REFUSED("--socket-path={socket}", "--sandbox=none", "--shared-dir=");
	REFUSED("--socket-path={socket}", "--sandbox=none", "--shared-dir=/dev/null");
	ck_assert_int_ne(access(fx.d.socket, F_OK), 0);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(neither_or_both_of_socket_and_fd_are_refused)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--shared-dir={share}", "--sandbox=none");
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=3", "--socket-path={socket}");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_group_needs_a_path)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=3", "--socket-group=root");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_path_too_long_is_refused)
{
	char path[200] = "--socket-path={dir}/";

	memset(path + strlen(path), 's', 120);
	ok(daemon_prepare(&fx.d));
	REFUSED(path, "--shared-dir={share}", "--sandbox=none");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_path_in_no_directory_is_refused)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--socket-path={dir}/none/sock", "--shared-dir={share}", "--sandbox=none");
	REFUSED("--socket-path=", "--shared-dir={share}", "--sandbox=none");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(fd_that_is_no_listening_socket_is_refused)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=99");
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=0");
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=-1");
	REFUSED("--shared-dir={share}", "--sandbox=none", "--fd=three");
	/* a socket, but connected instead of listening */
	int pair[2];

	host(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	fx.d.listen_fd = pair[0];

	char arg[32];

	snprintf(arg, sizeof(arg), "--fd=%d", pair[0]);
	REFUSED("--shared-dir={share}", "--sandbox=none", arg);
	daemon_discard(&fx.d);
}
END_TEST

/* --- what works --- */

START_TEST(inherited_listening_socket_is_used)
{
	struct daemon_opts o = { .inherit = true };

	ok(daemon_start(&fx.d, &o));
	close(fx.d.listen_fd);
	fx.d.listen_fd = -1;
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

START_TEST(options_as_qemus_daemon_took_them)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--socket-path={socket}", "-o",
					  "source={share},cache=none,log_level=info,sandbox=none",
					  "-f", NULL },
		.only_args = true,
	};
	struct fuse_entry_out e;

	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &o));
	ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(5000)));
	func_connect(NULL);
	func_init_session();
	host_text("f", "x");
	e = func_entry("f");
	ck_assert_uint_eq(e.entry_valid, 0);
	func_end();
}
END_TEST

/* What has a letter has a name: the last one here undoes --daemonize. */
START_TEST(letters_have_names)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--socket-path={socket}", "--debug", "--daemonize",
					  "--options=source={share},sandbox=none", "--foreground",
					  NULL },
		.only_args = true,
	};

	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &o));
	ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(5000)));
	ck_assert_int_eq(daemon_wait(&fx.d, 0), -ETIMEDOUT);
	func_connect(NULL);
	func_init_session();
	func_attr(FUSE_ROOT_ID);
	ck_assert_msg(strstr(daemon_log(&fx.d), "getattr"), "%s", daemon_log(&fx.d));
	func_end();
}
END_TEST

/* How long a thread looks for the next request before it sleeps changes nothing but time. */
START_TEST(served_with_and_without_polling)
{
	static const char *const args[] = { "--poll-us=0", "--poll-us=1000" };

	for (int i = 0; i < 2; i++) {
		func_start_with((const char *[]){ args[i], NULL }, NULL);
		for (int n = 0; n < 100; n++)
			func_attr(FUSE_ROOT_ID);
		func_end();
	}
}
END_TEST

START_TEST(timeout_overrides_the_cache_policy)
{
	func_start_with((const char *[]){ "--cache=auto", "-o", "timeout=7", NULL }, NULL);
	host_text("f", "x");
	ck_assert_uint_eq(func_entry("f").entry_valid, 7);
	ck_assert_uint_eq(func_entry("f").attr_valid, 7);
	func_end();
}
END_TEST

START_TEST(comma_in_a_source_is_doubled)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--socket-path={socket}", "-o",
					  "source={share}/a,,b,sandbox=none,cache=none", NULL },
		.only_args = true,
	};

	ok(daemon_prepare(&fx.d));
	host(mkdir(host_path("a,b"), 0755));
	host_text("a,b/inside", "x");
	ok(daemon_spawn(&fx.d, &o));
	ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(5000)));
	func_connect(NULL);
	func_init_session();
	func_node("inside");
	func_end();
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };

	ok(daemon_prepare(&fx.d));
	strcpy(sa.sun_path, fx.d.socket);

	int s = host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));

	host(bind(s, (struct sockaddr *)&sa, sizeof(sa)));
	close(s);
	ok(daemon_spawn(&fx.d, NULL));
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

START_TEST(socket_is_for_its_owner)
{
	struct stat st;

	umask(0);
	func_start_daemon(NULL);
	host(stat(fx.d.socket, &st));
	ck_assert_msg((st.st_mode & 0777) == 0600, "mode %o", st.st_mode & 0777);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_is_for_its_group_if_asked)
{
	struct group *gr = getgrgid(getgid());
	char arg[100];
	struct stat st;

	if (!gr)
		func_skip("this group has no name");
	snprintf(arg, sizeof(arg), "--socket-group=%s", gr->gr_name);
	umask(077);
	func_start_daemon((const char *[]){ arg, NULL });
	umask(022);
	host(stat(fx.d.socket, &st));
	ck_assert_msg((st.st_mode & 0777) == 0660, "mode %o", st.st_mode & 0777);
	ck_assert_uint_eq(st.st_gid, gr->gr_gid);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_path_may_be_relative)
{
	struct daemon_opts o = {
		.args = (const char *[]){ "--socket-path=sock", "--shared-dir=share",
					  "--sandbox=none", NULL },
		.only_args = true,
	};
	char here[4096];

	ok(daemon_prepare(&fx.d));
	ck_assert_ptr_nonnull(getcwd(here, sizeof(here)));

	const char *program = getenv("VIRTIOFSD");

	if (!program || !*program)
		program = getenv("VIRTIOFSD_BUILT");
	if (program) {
		/* it may be named relative to where we are now */
		char *whole = realpath(program, NULL);

		if (whole)
			setenv("VIRTIOFSD", whole, 1);
		free(whole);
	}
	host(chdir(fx.d.dir));
	ok(daemon_spawn(&fx.d, &o));
	ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(5000)));
	func_connect(NULL);
	func_init_session();
	host(chdir(here));
	func_end();
}
END_TEST

static const char *pid_path(void)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s.pid", fx.d.socket);
	return path;
}

START_TEST(second_daemon_on_the_same_socket_fails)
{
	struct daemon second;
	struct daemon_opts o = {
		.args = (const char *[]){ "--rlimit-nofile=0", NULL }, .no_wait = true,
	};

	func_start_daemon(NULL);
	ok(daemon_prepare(&second));
	strcpy(second.socket, fx.d.socket);
	ok(daemon_spawn(&second, &o));

	int status = ok(daemon_wait(&second, wait_scaled(5000)));

	ck_assert_msg(status != 0 && status < 256, "status %d", status);
	ck_assert_msg(daemon_log_lines(&second) == 1, "not one line:\n%s", daemon_log(&second));
	daemon_discard(&second);
	/* and the first one was not disturbed */
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

static pid_t read_pid(int fd)
{
	char text[32] = "";

	ck_assert_int_gt(read(fd, text, sizeof(text) - 1), 0);
	return atoi(text);
}

START_TEST(pid_file_is_locked_and_holds_the_pid)
{
	pid_t pid;

	func_start_daemon(NULL);

	int fd = host(open(pid_path(), O_RDONLY | O_CLOEXEC));

	pid = read_pid(fd);
	ck_assert_int_eq(pid, fx.d.pid);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), -1);
	ck_assert_int_eq(errno, EWOULDBLOCK);
	/* as a launcher may do */
	kill(pid, SIGTERM);
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
	close(fd);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(daemonize_returns_when_the_socket_is_there)
{
	static const char *const args[] = { "--daemonize", NULL };
	int64_t deadline = wait_now_ms() + wait_scaled(10000);
	struct daemon_opts o = { .args = args, .no_wait = true };
	pid_t pid;

	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(5000))), 0);

	int fd = host(open(pid_path(), O_RDONLY | O_CLOEXEC));

	pid = read_pid(fd);
	close(fd);
	ck_assert_int_ne(pid, fx.d.pid);
	ck_assert_int_eq(getsid(pid), pid);
	func_connect(NULL);
	func_init_session();
	host_text("f", "text");
	ok(guest_forget(&fx.g, func_node("f"), 1));
	func_hang_up();
	/* It is not our child: its socket goes with it. */
	while (access(fx.d.socket, F_OK) == 0 && wait_now_ms() < deadline)
		wait_sleep_ms(10);
	ck_assert_int_ne(access(fx.d.socket, F_OK), 0);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(daemonize_says_what_is_wrong)
{
	ok(daemon_prepare(&fx.d));
	REFUSED("--daemonize", "--socket-path={socket}", "--shared-dir=/no/such/directory");
	REFUSED("--daemonize", "--socket-path=/no/such/directory/s", "--shared-dir={share}");
	/* What the serving process alone finds out */
	REFUSED("--daemonize", "--socket-path={socket}", "--shared-dir={share}",
		"--posix-acl=always", "--xattrmap=:map::user.virtiofs.:");
	REFUSED("--socket-path={socket}", "--shared-dir={share}", "--posix-acl=always", "-o",
		"no_xattr");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(migration_options_are_heard_and_said)
{
	static const char *const args[] = { "--migration-on-error=guest-error",
					    "--migration-mode=find-paths", NULL };

	func_start_daemon(args);
	ck_assert(daemon_log_has(&fx.d, "cannot be moved to another host yet"));
	func_connect(NULL);
	func_init_session();
	func_end();
}
END_TEST

START_TEST(readiness_line_comes_after_listening)
{
	/* func_start_daemon() returns at the line: a connection must not fail from then on */
	for (int i = 0; i < 20; i++) {
		struct daemon_opts o = { .no_wait = true };

		ok(daemon_prepare(&fx.d));
		ok(daemon_spawn(&fx.d, &o));
		while (!daemon_log_has(&fx.d, DAEMON_READY))
			ck_assert_int_eq(daemon_wait(&fx.d, 0), -ETIMEDOUT);
		ok(front_connect(&fx.v.front, fx.d.socket));
		front_close(&fx.v.front);
		ck_assert_int_eq(daemon_stop(&fx.d), 0);
	}
}
END_TEST

START_TEST(readiness_line_is_exact)
{
	func_start_daemon(NULL);
	ck_assert(daemon_log_has(&fx.d, "Waiting for vhost-user socket connection..."));
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(debug_lines_have_time_and_thread)
{
	func_start_with((const char *[]){ "--log-level=debug", NULL }, NULL);
	func_attr(FUSE_ROOT_ID);

	int y, mo, d, h, mi, s, us, tid;
	bool found = false;

	for (const char *l = daemon_log(&fx.d); *l; l = strchrnul(l, '\n'), l += *l == '\n')
		found |= sscanf(l, "[%d-%d-%d %d:%d:%d.%6d] [%d]", &y, &mo, &d, &h, &mi, &s, &us,
				&tid) == 8;
	ck_assert_msg(found, "no line with time and thread:\n%.500s", daemon_log(&fx.d));
	func_end();
}
END_TEST

START_TEST(syslog_needs_no_syslog)
{
	struct daemon_opts o = { .args = (const char *[]){ "--syslog", NULL }, .no_wait = true };

	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &o));
	for (int i = 0; i < 500 && front_connect(&fx.v.front, fx.d.socket) < 0; i++)
		wait_sleep_ms(10);
	front_close(&fx.v.front);
	ck_assert_int_eq(daemon_stop(&fx.d), 0);
}
END_TEST

START_TEST(no_readdirplus_is_heeded)
{
	func_start_with((const char *[]){ "--cache=auto", "--no-readdirplus", NULL }, NULL);
	ck_assert(!(fx.init.flags & (FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO)));
	func_end();
}
END_TEST

START_TEST(log_level_off_says_nothing)
{
	struct daemon_opts o = { .args = (const char *[]){ "--log-level=off", NULL },
				 .no_wait = true };

	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &o));
	for (int i = 0; i < 500 && access(pid_path(), F_OK); i++)
		wait_sleep_ms(10);
	wait_sleep_ms(wait_scaled(50));
	func_connect(NULL);
	func_init_session();
	ck_assert_uint_eq(daemon_log_lines(&fx.d), 0);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("cmdline", argc, argv);
	func_test(print_capabilities_is_json);
	func_test(print_capabilities_whatever_else_is_given);
	func_test(help_names_the_options);
	func_test(version_is_printed);
	func_test(unknown_options_are_refused);
	func_test(bad_values_are_refused);
	func_test(share_must_be_there);
	func_test(neither_or_both_of_socket_and_fd_are_refused);
	func_test(socket_group_needs_a_path);
	func_test(socket_path_too_long_is_refused);
	func_test(socket_path_in_no_directory_is_refused);
	func_test(fd_that_is_no_listening_socket_is_refused);
	func_test(inherited_listening_socket_is_used);
	func_test(options_as_qemus_daemon_took_them);
	func_test(letters_have_names);
	func_test(served_with_and_without_polling);
	func_test(timeout_overrides_the_cache_policy);
	func_test(comma_in_a_source_is_doubled);
	func_test(stale_socket_is_replaced);
	func_test(socket_is_for_its_owner);
	func_test(socket_is_for_its_group_if_asked);
	func_test(socket_path_may_be_relative);
	func_test(second_daemon_on_the_same_socket_fails);
	func_test(pid_file_is_locked_and_holds_the_pid);
	func_test(daemonize_returns_when_the_socket_is_there);
	func_test(daemonize_says_what_is_wrong);
	func_test(migration_options_are_heard_and_said);
	func_test(readiness_line_comes_after_listening);
	func_test(readiness_line_is_exact);
	func_test(debug_lines_have_time_and_thread);
	func_test(log_level_off_says_nothing);
	func_test(syslog_needs_no_syslog);
	func_test(no_readdirplus_is_heeded);
	return func_done();
}
