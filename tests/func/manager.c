/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Under a service manager such as systemd: it is told when VMMs can connect, at a socket with a
 * path or an abstract one, and it may pass the listening socket.
 */
#include <fcntl.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "func.h"

#define NOBODY "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"

static int manager = -1;	/* where the manager listens */
static char at[96];		/* NOTIFY_SOCKET=... */

static void manage(bool abstract)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	size_t len;

	ok(daemon_prepare(&fx.d));
	snprintf(un.sun_path, sizeof(un.sun_path), "%c%.80s/notify",
		 abstract ? '@' : '/', fx.d.dir + 1);
	snprintf(at, sizeof(at), "NOTIFY_SOCKET=%.80s", un.sun_path);
	len = offsetof(struct sockaddr_un, sun_path) + strlen(un.sun_path);
	if (abstract)
		un.sun_path[0] = '\0';
	manager = host(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	host(bind(manager, (struct sockaddr *)&un, (socklen_t)len));
	if (!abstract)
		host(chmod(un.sun_path, 0666));
}

/* What the manager is told within this time; "" is nothing. */
static const char *told(int timeout_ms)
{
	static char text[256];
	struct pollfd p = { .fd = manager, .events = POLLIN };

	text[0] = '\0';
	if (poll(&p, 1, timeout_ms) == 1)
		text[host(recv(manager, text, sizeof(text) - 1, 0))] = '\0';
	return text;
}

static void spawn_with(const char *const *wrap, const char *const *args)
{
	struct daemon_opts o = { .wrap = wrap, .args = args, .no_wait = true };

	ok(daemon_spawn(&fx.d, &o));
}

/*
 * A shell that passes the listening socket as descriptor 3, sets what a manager would in the
 * environment, and becomes the program.
 */
#define PASSING(environment)							\
	"bash", "-c",								\
	"[ {fd} = 3 ] || exec 3<&{fd} {fd}<&-; "				\
	"exec env " environment " \"$@\"", "bash"

static void spawn_passed(const char *const *wrap, const char *const *args)
{
	struct daemon_opts o = { .wrap = wrap, .args = args, .only_args = true, .inherit = true };

	ok(daemon_spawn(&fx.d, &o));
	close(fx.d.listen_fd);
	fx.d.listen_fd = -1;
}

static void is_served(void)
{
	func_connect(NULL);
	func_init_session();
	host_text("f", "text");
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f", &(struct fuse_entry_out){ 0 }));
}

static void is_refused(const char *why)
{
	ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(10000))), 1);
	ck_assert_msg(daemon_log_has(&fx.d, why), "%s", daemon_log(&fx.d));
	ck_assert_msg(daemon_log_lines(&fx.d) == 1, "%s", daemon_log(&fx.d));
	daemon_discard(&fx.d);
}

static void manager_hears(bool abstract)
{
	manage(abstract);
	spawn_with((const char *const[]){ "env", at, NULL }, NULL);
	ck_assert_str_eq(told(wait_scaled(10000)), "READY=1");
	/* That is no promise but a fact. */
	is_served();
	ck_assert(daemon_log_has(&fx.d, DAEMON_READY));
	func_end();
	ck_assert_str_eq(told(0), "");
}

START_TEST(manager_hears_when_vmms_can_connect)
{
	manager_hears(false);
}
END_TEST

START_TEST(manager_at_an_abstract_socket_hears_it_too)
{
	manager_hears(true);
}
END_TEST

/* It listens first, and then cannot fence itself in: it never was ready. */
START_TEST(manager_hears_nothing_of_a_start_that_fails)
{
	func_need_root();
	manage(false);
	host(chmod(fx.d.dir, 0777));
	spawn_with((const char *const[]){ "env", at, NOBODY, NULL },
		   (const char *const[]){ "--sandbox=chroot", NULL });
	ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(10000))), 1);
	ck_assert(daemon_log_has(&fx.d, "--sandbox=chroot"));
	ck_assert_str_eq(told(0), "");
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(manager_that_is_gone_is_no_obstacle)
{
	static const char *const places[] = { "NOTIFY_SOCKET=/no/such/socket",
					      "NOTIFY_SOCKET=vsock:2:1" };

	for (int i = 0; i < 2; i++) {
		ok(daemon_prepare(&fx.d));
		spawn_with((const char *const[]){ "env", places[i], NULL }, NULL);
		ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(10000)));
		ck_assert(daemon_log_wait(&fx.d, places[i], wait_scaled(10000)));
		is_served();
		func_end();
	}
}
END_TEST

START_TEST(manager_passes_the_socket)
{
	manage(false);
	spawn_passed((const char *const[]){ "env", at,
					    PASSING("LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=x"),
					    NULL },
		     (const char *const[]){ "--shared-dir={share}", NULL });
	ck_assert_str_eq(told(wait_scaled(10000)), "READY=1");
	is_served();
	func_hang_up();
	ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(10000))), 0);
	/* It is the manager's to remove. */
	ck_assert_int_eq(access(fx.d.socket, F_OK), 0);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(socket_for_another_process_is_not_taken)
{
	ok(daemon_prepare(&fx.d));
	spawn_passed((const char *const[]){ PASSING("LISTEN_PID=1 LISTEN_FDS=1"), NULL },
		     (const char *const[]){ "--shared-dir={share}", NULL });
	is_refused("no socket");
}
END_TEST

START_TEST(two_sockets_are_refused)
{
	ok(daemon_prepare(&fx.d));
	spawn_passed((const char *const[]){ PASSING("LISTEN_PID=$$ LISTEN_FDS=2"), NULL },
		     (const char *const[]){ "--shared-dir={share}", NULL });
	is_refused("one is wanted");
}
END_TEST

START_TEST(passed_descriptor_that_is_no_socket_is_refused)
{
	ok(daemon_prepare(&fx.d));
	spawn_passed((const char *const[]){ "bash", "-c",
					    "exec 3</dev/null env LISTEN_PID=$$ LISTEN_FDS=1 \"$@\"",
					    "bash", NULL },
		     (const char *const[]){ "--shared-dir={share}", "--rlimit-nofile=0", NULL });
	is_refused("not a listening");
}
END_TEST

/* Who names a socket gets that one. */
START_TEST(options_come_before_a_passed_socket)
{
	ok(daemon_prepare(&fx.d));
	spawn_with((const char *const[]){ "bash", "-c",
					  "exec env LISTEN_PID=$$ LISTEN_FDS=1 \"$@\"", "bash",
					  NULL }, NULL);
	ck_assert(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(10000)));
	is_served();
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("manager", argc, argv);
	func_test(manager_hears_when_vmms_can_connect);
	func_test(manager_at_an_abstract_socket_hears_it_too);
	func_test(manager_hears_nothing_of_a_start_that_fails);
	func_test(manager_that_is_gone_is_no_obstacle);
	func_test(manager_passes_the_socket);
	func_test(socket_for_another_process_is_not_taken);
	func_test(two_sockets_are_refused);
	func_test(passed_descriptor_that_is_no_socket_is_refused);
	func_test(options_come_before_a_passed_socket);
	return func_done();
}
