/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What launchers start today, to the letter, and what each of them relies on. A launcher waits for
 * the line on standard error, or for the socket; its VMM connects, a guest works, and when the VMM
 * goes the program ends with 0.
 */
#include <fcntl.h>
#include <signal.h>

#include "func.h"

#define AS_USER(uid) "setpriv", "--reuid=" uid, "--regid=" uid, "--clear-groups"
#define ARGS(...) { __VA_ARGS__ }

enum {
	QUIET = 1,	/* it says nothing: its socket is what is looked for */
	XATTR = 2,	/* extended attributes work */
	READONLY = 4,
	WHOLE = 8,	/* the share is the host's root */
	ROOT = 16,	/* only root starts it so */
};

static const struct line {
	const char *name;
	const char *args[20];
	int flags;
	const char *wrap[12];
	unsigned int uid;	/* of the share's owner */
} lines[] = {
	{ "libvirt", ARGS("--fd={fd}", "--shared-dir", "{share}", "--cache", "always", "--sandbox",
			  "namespace", "--xattr", "--thread-pool-size=16",
			  "--rlimit-nofile=10000", "--log-level", "debug"), XATTR | ROOT },
	{ "libvirt_least", ARGS("--fd={fd}", "--shared-dir", "{share}"), ROOT },
	{ "libvirt_old", ARGS("--fd={fd}", "-o",
			      "source={share},cache=none,sandbox=chroot,xattr,no_flock,"
			      "no_posix_lock", "-d"), XATTR | ROOT },
	{ "libvirt_old_locks", ARGS("--fd={fd}", "-o",
				    "source={share},cache=always,no_xattr,flock,posix_lock"), ROOT },
	{ "libvirt_session", ARGS("--fd={fd}", "--shared-dir", "{share}",
				  "--uid-map=:0:65534:1:", "--gid-map=:0:65534:1:"),
	  ROOT, { AS_USER("65534") }, 65534 },
	{ "proxmox", ARGS("--fd={fd}", "--shared-dir={share}", "--xattr", "--posix-acl",
			  "--announce-submounts", "--allow-direct-io", "--cache=auto",
			  "--inode-file-handles=prefer", "--syslog"), QUIET | XATTR | ROOT },
	{ "kata_go", ARGS("--syslog", "--cache=auto", "--shared-dir={share}", "--fd={fd}",
			  "--thread-pool-size=1", "--announce-submounts"), QUIET | ROOT },
	{ "kata_rust", ARGS("--socket-path", "{socket}", "--shared-dir", "{share}", "--cache",
			    "never", "--xattr"), XATTR | ROOT },
	{ "kubevirt", ARGS("--socket-path={socket}", "--shared-dir={share}", "--sandbox=none",
			   "--cache=auto", "--migration-on-error=guest-error",
			   "--migration-mode=find-paths", "--translate-uid=host:107:0:1"),
	  ROOT, { AS_USER("107"), "--bounding-set=-all", "--inh-caps=-all" }, 107 },
	{ "incus", ARGS("--fd={fd}", "--cache=metadata", "--shared-dir={share}",
			"--translate-uid=map:0:0:65536", "--translate-uid=forbid-guest:65536:1000",
			"--translate-gid=map:0:0:65536", "--posix-acl=auto"), XATTR | ROOT },
	{ "lxd", ARGS("--fd={fd}", "--shared-dir", "{share}", "--cache", "auto",
		      "--allow-direct-io", "--thread-pool-size", "64", "--xattr"), ROOT,
	  { "unshare", "--user", "--map-root-user" } },
	{ "virtme_ng", ARGS("--syslog", "--no-announce-submounts", "--posix-acl", "--readonly",
			    "--socket-path", "{socket}", "--shared-dir", "/", "--sandbox", "none",
			    "--cache", "auto"), QUIET | READONLY | WHOLE },
	{ "lima", ARGS("--socket-path", "{socket}", "--shared-dir", "{share}"), ROOT },
	{ "mkosi", ARGS("--shared-dir", "{share}", "--xattr", "--no-announce-submounts",
			"--sandbox=chroot", "--inode-file-handles=prefer", "--log-level=error",
			"--modcaps=-mknod", "--fd", "{fd}"), QUIET | XATTR | ROOT },
	{ "bcvk", ARGS("--socket-path", "{socket}", "--shared-dir", "{share}", "--cache=never",
		       "--allow-mmap", "--sandbox=none", "--inode-file-handles=fallback",
		       "--readonly"), READONLY },
	{ "microvm_nix", ARGS("--socket-path={socket}", "--socket-group=nogroup",
			      "--shared-dir={share}", "--rlimit-nofile", "10000",
			      "--thread-pool-size", "4", "--posix-acl", "--xattr", "--cache=auto",
			      "--inode-file-handles=prefer", "--tag=store"), XATTR | ROOT },
	{ "cloud_hypervisor", ARGS("--socket-path={socket}", "--shared-dir={share}",
				   "--cache=never"), ROOT },
	{ "user_mode_linux", ARGS("--socket-path={socket}", "--shared-dir={share}",
				  "--tag=share"), ROOT },
};

static const struct line *line;

static void spawn(void)
{
	struct daemon_opts o = { .args = line->args, .only_args = true };

	if (line->wrap[0])
		o.wrap = line->wrap;
	for (int i = 0; line->args[i]; i++)
		o.inherit |= strstr(line->args[i], "{fd}") != NULL;
	if (line->flags & ROOT)
		func_need_root();
	ok(daemon_prepare(&fx.d));
	if (line->uid) {
		host(chown(fx.d.dir, line->uid, line->uid));
		host(chown(fx.d.share, line->uid, line->uid));
	}
	ok(daemon_spawn(&fx.d, &o));
}

/* Whether somebody listens, without a connection that it would take for the VMM's. */
static bool listens(void)
{
	char text[512];
	bool found = false;
	FILE *f = fopen("/proc/net/unix", "re");

	while (f && !found && fgets(text, sizeof(text), f)) {
		char *path = strchr(text, '/');

		if (!path)
			continue;
		path[strcspn(path, "\n")] = '\0';
		/* Flags: __SO_ACCEPTCON */
		found = strcmp(path, fx.d.socket) == 0 && strstr(text, " 00010000 ");
	}
	if (f)
		fclose(f);
	return found;
}

static void wait_ready(void)
{
	int64_t deadline = wait_now_ms() + wait_scaled(3000);

	if (!(line->flags & QUIET))
		ck_assert_msg(daemon_log_wait(&fx.d, DAEMON_READY, wait_scaled(3000)), "%s: %s",
			      line->name, daemon_log(&fx.d));
	while (!listens()) {
		ck_assert_msg(wait_now_ms() < deadline, "%s: no socket", line->name);
		wait_sleep_ms(10);
	}
}

static void work_readonly(void)
{
	const char *name = line->flags & WHOLE ? "etc" : "f";
	struct fuse_entry_out e;
	struct fuse_open_out o;

	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, name, &e));
	ok(guest_forget(&fx.g, e.nodeid, 1));
	fails(guest_create(&fx.g, FUSE_ROOT_ID, "new", O_RDWR, 0644, 0, &e, &o), EROFS);
}

static void work(void)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char back[8] = "";

	ok(guest_create(&fx.g, FUSE_ROOT_ID, "new", O_RDWR | O_CREAT, 0644, 0, &e, &o));
	ck_assert_int_eq(guest_write(&fx.g, e.nodeid, o.fh, "text", 4, 0), 4);
	ck_assert_int_eq(guest_read(&fx.g, e.nodeid, o.fh, back, sizeof(back), 0), 4);
	ck_assert_str_eq(back, "text");
	host_is("new", "text", 4);
	if (line->flags & XATTR)
		ok(guest_setxattr(&fx.g, e.nodeid, "user.x", "v", 1, 0));
	else if (!line->wrap[0])
		fails(guest_setxattr(&fx.g, e.nodeid, "user.x", "v", 1, 0), ENOSYS);
	ok(guest_release(&fx.g, e.nodeid, o.fh));
	ok(guest_forget(&fx.g, e.nodeid, 1));
	ok(guest_unlink(&fx.g, FUSE_ROOT_ID, "new"));
}

START_TEST(serves)
{
	spawn();
	wait_ready();
	host_text("f", "text");
	func_connect(NULL);
	func_init_session();
	ck_assert_int_lt(daemon_rss_kb(&fx.d), func_sanitized() ? 1 << 20 : 80 << 10);
	if (line->flags & READONLY)
		work_readonly();
	else
		work();
	func_hang_up();
	ck_assert_int_eq(daemon_stop(&fx.d), 0);
}
END_TEST

/* Kata's end: nothing of it is left, and the next one starts. */
START_TEST(killed_leaves_nothing)
{
	pid_t pids[DAEMON_FAMILY_MAX];
	int64_t end = wait_now_ms() + wait_scaled(10000);
	int n;

	line = &lines[0];
	spawn();
	wait_ready();
	func_connect(NULL);
	func_init_session();
	n = daemon_family(fx.d.pid, pids);
	ck_assert_int_ge(n, 3);
	daemon_kill(&fx.d, SIGKILL);
	for (int i = 1; i < n; i++)
		while (kill(pids[i], 0) == 0 && wait_now_ms() < end)
			wait_sleep_ms(10);
	for (int i = 1; i < n; i++)
		ck_assert_int_lt(kill(pids[i], 0), 0);
	func_hang_up();
	daemon_discard(&fx.d);
	spawn();
	wait_ready();
	daemon_discard(&fx.d);
}
END_TEST

/* libvirt's way: the process that is to become the program opens its pid file and locks it (a POSIX
 * lock). Later the lock alone tells that the number in it is still the program's, and may be
 * killed: the program must not close what it does not know. */
static const char lock_and_start[] =
	"import fcntl, os, sys\n"
	"fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT, 0o600)\n"
	"fcntl.lockf(fd, fcntl.LOCK_EX)\n"
	"os.set_inheritable(fd, True)\n"
	"os.execvp(sys.argv[2], sys.argv[2:])\n";

static pid_t lock_owner(const char *path)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	int fd = host(open(path, O_RDWR | O_CLOEXEC));

	host(fcntl(fd, F_GETLK, &l));
	close(fd);
	return l.l_type == F_UNLCK ? 0 : l.l_pid;
}

static void spawn_with_pid_file(char *path, size_t size)
{
	const char *wrap[] = { "python3", "-c", lock_and_start, path, NULL };
	struct daemon_opts o = { .wrap = wrap };

	ok(daemon_prepare(&fx.d));
	snprintf(path, size, "%s/launcher.pid", fx.d.dir);
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
}

static void wait_gone(const pid_t *pids, int n)
{
	int64_t end = wait_now_ms() + wait_scaled(10000);

	for (int i = 1; i < n; i++)
		while (kill(pids[i], 0) == 0) {
			ck_assert_msg(wait_now_ms() < end, "process %d is left", (int)pids[i]);
			wait_sleep_ms(10);
		}
}

START_TEST(pid_file_of_the_launcher_stays_locked)
{
	char path[128];
	pid_t pids[DAEMON_FAMILY_MAX];
	int n;

	spawn_with_pid_file(path, sizeof(path));
	ck_assert_int_eq(lock_owner(path), fx.d.pid);
	n = daemon_family(fx.d.pid, pids);
	daemon_kill(&fx.d, SIGTERM);
	ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(10000))), 1);
	wait_gone(pids, n);
	ck_assert_int_eq(lock_owner(path), 0);
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

/* QEMU is gone, and libvirt kills what may be on its way already. */
START_TEST(ended_while_the_front_end_goes)
{
	char path[128];
	pid_t pids[DAEMON_FAMILY_MAX];
	int n, r;

	spawn_with_pid_file(path, sizeof(path));
	n = daemon_family(fx.d.pid, pids);
	func_hang_up();
	daemon_kill(&fx.d, SIGTERM);
	r = ok(daemon_wait(&fx.d, wait_scaled(10000)));
	ck_assert_msg(r == 0 || r == 1, "status %d: %s", r, daemon_log(&fx.d));
	wait_gone(pids, n);
	daemon_discard(&fx.d);
}
END_TEST

/* virtme-ng and Lima ask before they start it, without any right. */
START_TEST(questions_need_no_right)
{
	static const char *const nobody[] = { AS_USER("65534"), NULL };
	static const char *const questions[] = { "--version", "--help", "--print-capabilities" };

	for (int i = 0; i < 3; i++) {
		const char *args[] = { questions[i], NULL };
		struct daemon_opts o = { .args = args, .only_args = true,
					 .wrap = func_is_root() ? nobody : NULL };

		ok(daemon_prepare(&fx.d));
		host(chmod(fx.d.dir, 0777));
		ok(daemon_spawn(&fx.d, &o));
		ck_assert_int_eq(ok(daemon_wait(&fx.d, wait_scaled(5000))), 0);
		if (i == 1)
			ck_assert_ptr_nonnull(strstr(daemon_output(&fx.d), "--readonly"));
		daemon_discard(&fx.d);
	}
}
END_TEST

int main(int argc, char **argv)
{
	func_init("launch", argc, argv);
	for (line = lines; line < lines + sizeof(lines) / sizeof(lines[0]); line++)
		func_run(line->name, serves, 60);
	func_test(killed_leaves_nothing);
	func_test(pid_file_of_the_launcher_stays_locked);
	func_test(ended_while_the_front_end_goes);
	func_test(questions_need_no_right);
	return func_done();
}
