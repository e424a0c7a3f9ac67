/* SPDX-License-Identifier: BSD-3-Clause */
/* The sandbox, from outside: what each process has is what doc/security.md says; its options
 * (rows 15, 16). */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "func.h"

#define AS_USER "setpriv", "--reuid=107", "--regid=107", "--clear-groups"

enum { LAUNCHER, KEEPER, WORKER, PROCESSES };
static const char *const process_names[] = { "launcher", "keeper", "worker" };
static const char *const ns_names[] = { "cgroup", "ipc", "mnt", "net", "pid", "user", "uts" };

/* A row of the table */
struct row {
	char mode[16], as[8], process[16], permitted[16], effective[16], bounding[16];
	int filters;
	char namespaces[32], root[8];
};

static pid_t pids[DAEMON_FAMILY_MAX];

/* --- starting --- */

static void spawn(const char *const *wrap, const char *const *args)
{
	struct daemon_opts o = { .wrap = wrap, .args = args };

	ok(daemon_prepare(&fx.d));
	host(chmod(fx.d.dir, 0777));
	ok(daemon_spawn(&fx.d, &o));
}

static void find_processes(void)
{
	ck_assert_int_eq(daemon_family(fx.d.pid, pids), PROCESSES);
	ck_assert_int_eq(pids[LAUNCHER], fx.d.pid);
}

/* A daemon that must not start, and says why in one line that has the text in it */
static void refused(const char *const *wrap, const char *const *args, const char *text)
{
	struct daemon_opts o = { .wrap = wrap, .args = args, .no_wait = true };

	ok(daemon_prepare(&fx.d));
	host(chmod(fx.d.dir, 0777));
	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert_msg(daemon_log_has(&fx.d, text), "%s is not in: %s", text, daemon_log(&fx.d));
	ck_assert(!daemon_log_has(&fx.d, DAEMON_READY));
	ck_assert(access(fx.d.socket, F_OK) < 0);
	daemon_discard(&fx.d);
}

/* --- looking --- */

static uint64_t status_value(const char *path, const char *key, int base)
{
	FILE *f = fopen(path, "re");
	char line[256];
	uint64_t value = UINT64_MAX;

	ck_assert_msg(f != NULL, "%s: %m", path);
	while (fgets(line, sizeof(line), f))
		if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':')
			value = strtoull(line + strlen(key) + 1, NULL, base);
	fclose(f);
	return value;
}

static uint64_t cap_bits(const char *words)
{
	static const struct { const char *name; int cap; } caps[] = {
		{ "chown", CAP_CHOWN }, { "dac_override", CAP_DAC_OVERRIDE },
		{ "dac_read_search", CAP_DAC_READ_SEARCH }, { "fowner", CAP_FOWNER },
		{ "fsetid", CAP_FSETID }, { "setgid", CAP_SETGID }, { "setuid", CAP_SETUID },
		{ "mknod", CAP_MKNOD }, { "setfcap", CAP_SETFCAP },
	};
	char copy[256], *word, *at = copy;
	uint64_t bits = 0;

	snprintf(copy, sizeof(copy), "%s", words);
	while ((word = strsep(&at, " \n"))) {
		size_t i = 0;

		while (*word && i < sizeof(caps) / sizeof(caps[0]) && strcmp(word, caps[i].name))
			i++;
		ck_assert_msg(i < sizeof(caps) / sizeof(caps[0]), "what is %s?", word);
		bits |= *word ? 1ull << caps[i].cap : 0;
	}
	return bits;
}

static uint64_t own_bounds(void)
{
	return status_value("/proc/self/status", "CapBnd", 16);
}

/* "none", "kept", "one-id", "-" */
static uint64_t set_bits(const char *name, uint64_t kept)
{
	if (!strcmp(name, "-"))
		return own_bounds();
	if (!strcmp(name, "one-id"))
		return kept & ~cap_bits("setuid setgid dac_read_search");
	ck_assert(!strcmp(name, "kept") || !strcmp(name, "none"));
	return !strcmp(name, "kept") ? kept : 0;
}

/* Of each thread: sets and filters are a thread's own. */
static void check_status(pid_t pid, const struct row *row, uint64_t kept)
{
	const struct { const char *key; uint64_t want; } values[] = {
		{ "CapPrm", set_bits(row->permitted, kept) },
		{ "CapEff", set_bits(row->effective, kept) },
		{ "CapBnd", set_bits(row->bounding, kept) },
		{ "CapInh", 0 }, { "CapAmb", 0 }, { "NoNewPrivs", 1 }, { "Seccomp", 2 },
		{ "Seccomp_filters", row->filters },
	};
	char path[128], tasks[64];
	int n = 0;

	snprintf(tasks, sizeof(tasks), "/proc/%d/task", pid);

	DIR *dir = opendir(tasks);

	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%.16s/status", tasks, e->d_name);
		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			uint64_t is = status_value(path, values[i].key, i < 5 ? 16 : 10);

			ck_assert_msg(is == values[i].want, "%s %s %s: %s of %s is %lx, not %lx",
				      row->mode, row->as, row->process, values[i].key, path, is,
				      values[i].want);
		}
		n++;
	}
	if (dir)
		closedir(dir);
	ck_assert_int_ge(n, !strcmp(row->process, "worker") ? 2 : 1);
}

static void check_namespaces(pid_t pid, const struct row *row)
{
	for (size_t i = 0; i < sizeof(ns_names) / sizeof(ns_names[0]); i++) {
		bool own = strstr(row->namespaces, ns_names[i]);
		char path[64], theirs[64] = "", ours[64] = "";

		snprintf(path, sizeof(path), "/proc/%d/ns/%s", pid, ns_names[i]);
		host(readlink(path, theirs, sizeof(theirs) - 1));
		snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_names[i]);
		host(readlink(path, ours, sizeof(ours) - 1));
		ck_assert_msg(!!strcmp(theirs, ours) == own, "%s %s %s: namespace %s", row->mode,
			      row->as, row->process, theirs);
	}
}

static unsigned int count_lines(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned int n = 0;

	for (int c; f && (c = getc(f)) != EOF;)
		n += c == '\n';
	if (f)
		fclose(f);
	return n;
}

static void check_root(pid_t pid, const struct row *row)
{
	bool share = !strcmp(row->root, "share");
	struct stat is, want;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", pid);
	host(stat(path, &is));
	host(stat(share ? fx.d.share : "/", &want));
	ck_assert_msg(is.st_dev == want.st_dev && is.st_ino == want.st_ino, "%s %s %s: its root",
		      row->mode, row->as, row->process);
	snprintf(path, sizeof(path), "/proc/%d/mountinfo", pid);
	if (strstr(row->namespaces, "mnt"))
		ck_assert_uint_eq(count_lines(path), 1);
}

/* --- the table --- */

static FILE *open_table(uint64_t *ret_kept)
{
	const char *path = getenv("DOC_SECURITY_MD");
	FILE *f = fopen(path ? path : "doc/security.md", "re");
	char line[512];

	ck_assert_msg(f != NULL, "doc/security.md: %m");
	while (fgets(line, sizeof(line), f)) {
		if (strncmp(line, "Kept: ", 6) == 0) {
			*ret_kept = cap_bits(line + 6) & own_bounds();
			return f;
		}
	}
	ck_abort_msg("doc/security.md does not say what is kept");
}

static bool next_row(FILE *f, struct row *row)
{
	char line[512];

	while (fgets(line, sizeof(line), f))
		if (sscanf(line,
			   "| %15s | %7s | %15s | %15s | %15s | %15s | %d | %31[^|]| %7s |",
			   row->mode, row->as, row->process, row->permitted, row->effective,
			   row->bounding, &row->filters, row->namespaces, row->root) == 9)
			return true;
	return false;
}

static void check_rows(const char *mode, const char *as)
{
	uint64_t kept;
	FILE *f = open_table(&kept);
	struct row row;
	int seen = 0;

	while (next_row(f, &row)) {
		if (strcmp(row.mode, mode) || strcmp(row.as, as))
			continue;
		ck_assert_str_eq(row.process, process_names[seen]);
		check_status(pids[seen], &row, kept);
		check_namespaces(pids[seen], &row);
		check_root(pids[seen++], &row);
	}
	fclose(f);
	ck_assert_int_eq(seen, PROCESSES);
}

static void check_mode(const char *const *wrap, const char *as, const char *mode)
{
	char option[32];

	snprintf(option, sizeof(option), "--sandbox=%s", mode);
	spawn(wrap, (const char *[]){ option, "--seccomp=kill", NULL });
	func_connect(NULL);
	func_init_session();
	find_processes();
	check_rows(mode, as);
	func_end();
}

START_TEST(processes_of_root_are_as_documented)
{
	func_need_root();
	check_mode(NULL, "root", "namespace");
	check_mode(NULL, "root", "chroot");
	check_mode(NULL, "root", "none");
}
END_TEST

START_TEST(processes_of_a_user_are_as_documented)
{
	static const char *const wrap[] = { AS_USER, NULL };

	func_need_root();
	check_mode(wrap, "user", "namespace");
	check_mode(wrap, "user", "none");
}
END_TEST

START_TEST(namespace_is_the_default)
{
	char link[64] = "", own[64] = "", path[64];

	setenv("VIRTIOFSD_OPTIONS", "", 1);
	func_start();
	snprintf(path, sizeof(path), "/proc/%d/ns/pid", daemon_worker(&fx.d));
	host(readlink(path, link, sizeof(link) - 1));
	host(readlink("/proc/self/ns/pid", own, sizeof(own) - 1));
	ck_assert_str_ne(link, own);
	func_end();
}
END_TEST

START_TEST(no_seccomp_means_no_filter)
{
	func_start_with((const char *[]){ "--seccomp=none", NULL }, NULL);
	find_processes();
	for (int i = 0; i < PROCESSES; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/status", pids[i]);
		ck_assert_uint_eq(status_value(path, "Seccomp", 10), 0);
		ck_assert_uint_eq(status_value(path, "NoNewPrivs", 10), 1);
	}
	func_end();
}
END_TEST

/* --- capabilities --- */

static uint64_t worker_caps(void)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", daemon_worker(&fx.d));
	ck_assert_uint_eq(status_value(path, "CapPrm", 16), status_value(path, "CapEff", 16));
	return status_value(path, "CapEff", 16);
}

static int make_device(const char *name)
{
	struct fuse_entry_out e;

	return guest_mknod(&fx.g, FUSE_ROOT_ID, name, S_IFCHR | 0600, 0x103, 0, &e);
}

START_TEST(modcaps_gives_and_takes)
{
	static const struct { const char *args[3]; uint64_t add, drop; int made; } lines[] = {
		{ { "--modcaps=-mknod" }, 0, 1ull << CAP_MKNOD, -EPERM },
		{ { "-o", "modcaps=-CAP_MKNOD:+sys_admin" }, 1ull << CAP_SYS_ADMIN,
		  1ull << CAP_MKNOD, -EPERM },
		{ { "--modcaps=+SYS_ADMIN:-dac_override:-mknod:+mknod" }, 1ull << CAP_SYS_ADMIN,
		  1ull << CAP_DAC_OVERRIDE, 0 },
		{ { "--modcaps=-mknod", "--modcaps=+sys_nice" }, 1ull << CAP_SYS_NICE, 0, 0 },
		{ { "--inode-file-handles=never" }, 0, 1ull << CAP_DAC_READ_SEARCH, 0 },
	};
	uint64_t kept;

	func_need_root();
	fclose(open_table(&kept));
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		func_start_with(lines[i].args, NULL);
		ck_assert_uint_eq(worker_caps(), (kept | lines[i].add) & ~lines[i].drop);
		ck_assert_int_eq(make_device("dev"), lines[i].made);
		func_end();
	}
}
END_TEST

START_TEST(modcaps_that_the_daemon_has_not_are_refused)
{
	func_need_root();
	refused((const char *[]){ AS_USER, NULL },
		(const char *[]){ "--sandbox=none", "--modcaps=+sys_admin", NULL },
		"--modcaps=+sys_admin: the daemon was started without it");
}
END_TEST

/* --- what cannot be had --- */

START_TEST(chroot_without_the_right_to_it_is_refused)
{
	func_need_root();
	refused((const char *[]){ AS_USER, NULL }, (const char *[]){ "--sandbox=chroot", NULL },
		"cannot change the root directory for --sandbox=chroot");
}
END_TEST

START_TEST(file_is_no_root_directory)
{
	struct daemon_opts o = { .only_args = true, .args = (const char *[]){
		"--sandbox=chroot", "--socket-path={socket}", "--shared-dir={share}/file", NULL } };

	ok(daemon_prepare(&fx.d));
	host_text("file", "x");
	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert(daemon_log_has(&fx.d, "--sandbox=chroot needs a directory to share"));
	daemon_discard(&fx.d);
}
END_TEST

/* A container that forbids namespaces: by a limit, and without CAP_SYS_ADMIN. */
START_TEST(namespaces_that_cannot_be_made_are_refused)
{
	static const char *const wrap[] = {
		"unshare", "-Ur", "sh", "-c",
		"echo 0 >/proc/sys/user/max_user_namespaces &&"
		" exec setpriv --bounding-set=-all \"$0\" \"$@\"", NULL,
	};

	refused(wrap, (const char *[]){ "--sandbox=namespace", NULL },
		"cannot make a user namespace for --sandbox=namespace (chroot and none do without)");
}
END_TEST

/* As Kubernetes' virtual machines have it */
START_TEST(none_takes_no_capability_at_all)
{
	static const char *const wrap[] = { AS_USER, "--bounding-set=-all", "--inh-caps=-all",
					    "--no-new-privs", NULL };
	struct fuse_entry_out e;

	func_need_root();
	spawn(wrap, (const char *[]){ "--sandbox=none", "--translate-uid=host:107:0:1", NULL });
	func_connect(NULL);
	func_init_session();
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0755, 0, &e));
	ck_assert_uint_eq(host_stat("d").st_uid, 107);
	func_end();
}
END_TEST

/* --- ids --- */

static void map_is(const char *file, const char *text)
{
	char path[64], line[128], squeezed[128];
	unsigned int a, b, c;

	snprintf(path, sizeof(path), "/proc/%d/%s", daemon_worker(&fx.d), file);

	FILE *f = fopen(path, "re");

	squeezed[0] = '\0';
	while (f && fgets(line, sizeof(line), f)) {
		ck_assert_int_eq(sscanf(line, "%u %u %u", &a, &b, &c), 3);
		snprintf(squeezed + strlen(squeezed), sizeof(squeezed) - strlen(squeezed),
			 "%u:%u:%u ", a, b, c);
	}
	if (f)
		fclose(f);
	ck_assert_str_eq(squeezed, text);
}

static void owner_of_made(uint32_t guest_id, const char *name, uint32_t host_id)
{
	struct fuse_entry_out e;
	struct stat st;

	fx.g.uid = fx.g.gid = guest_id;
	ok(guest_mkdir(&fx.g, FUSE_ROOT_ID, name, 0755, 0, &e));
	st = host_stat(name);
	ck_assert_uint_eq(st.st_uid, host_id);
	ck_assert_uint_eq(st.st_gid, host_id);
	ck_assert_uint_eq(e.attr.uid, guest_id);
	ck_assert_uint_eq(e.attr.gid, guest_id);
}

START_TEST(root_may_map_ids)
{
	struct fuse_entry_out e;

	func_need_root();
	spawn(NULL, (const char *[]){ "--sandbox=namespace", "--uid-map=:0:0:1:",
				      "--uid-map=:1:100001:999:", "--gid-map=:0:0:1:",
				      "--gid-map=/1/100001/999/", NULL });
	func_connect(NULL);
	func_init_session();
	map_is("uid_map", "0:0:1 1:100001:999 ");
	map_is("gid_map", "0:0:1 1:100001:999 ");
	host(chmod(fx.d.share, 0777));
	owner_of_made(0, "root", 0);
	owner_of_made(500, "user", 100500);
	fx.g.uid = fx.g.gid = 1000;
	fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "x", 0755, 0, &e), EPERM);
	func_end();
}
END_TEST

/* For this test alone: the user nobody has these ids besides its own. */
static void grant_ids(void)
{
	static const char *const files[] = { "/etc/subuid", "/etc/subgid" };
	char own[128];

	host(unshare(CLONE_NEWNS));
	host(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	snprintf(own, sizeof(own), "%s/ids", fx.d.dir);

	FILE *f = fopen(own, "we");

	ck_assert(f && fputs("nobody:100000:1000\n", f) >= 0 && fclose(f) == 0);
	for (int i = 0; i < 2; i++)
		if (mount(own, files[i], NULL, MS_BIND, NULL) < 0)
			func_skip("no subordinate ids here");
}

/* As libvirt has it for a session */
START_TEST(user_may_map_what_it_was_granted)
{
	static const char *const wrap[] = { "setpriv", "--reuid=65534", "--regid=65534",
					    "--clear-groups", NULL };
	struct daemon_opts o = { .wrap = wrap, .args = (const char *[]){
		"--sandbox=namespace", "--uid-map=:0:65534:1:", "--uid-map=:1:100000:1000:",
		"--gid-map=:0:65534:1:", "--gid-map=:1:100000:1000:", NULL } };
	struct fuse_entry_out e;

	func_need_root();
	if (access("/usr/bin/newuidmap", X_OK) < 0)
		func_skip("newuidmap is not installed");
	ok(daemon_prepare(&fx.d));
	host(chmod(fx.d.dir, 0777));
	grant_ids();
	ok(daemon_spawn(&fx.d, &o));
	func_connect(NULL);
	func_init_session();
	owner_of_made(0, "root", 65534);
	owner_of_made(1, "first", 100000);
	owner_of_made(1000, "last", 100999);
	fx.g.uid = fx.g.gid = 1001;
	fails(guest_mkdir(&fx.g, FUSE_ROOT_ID, "x", 0755, 0, &e), EPERM);
	func_end();
}
END_TEST

START_TEST(ids_that_were_not_granted_are_refused)
{
	static const char *const wrap[] = { AS_USER, NULL };

	func_need_root();
	refused(wrap, (const char *[]){ "--sandbox=namespace", "--uid-map=:0:107:1:",
					"--uid-map=:1:100000:65536:", NULL }, "newuidmap");
	refused(wrap, (const char *[]){ "--sandbox=namespace", "--uid-map=:0:1000:1:", NULL },
		"--uid-map and --gid-map must have the daemon's own ids in them (107 and 107)");
}
END_TEST

/* --- the end --- */

/* The launcher does not depend on the others being able to run. */
START_TEST(stopped_processes_do_not_hold_up_the_end)
{
	int64_t start;

	func_start();
	find_processes();
	host(kill(pids[WORKER], SIGSTOP));
	host(kill(pids[KEEPER], SIGSTOP));
	start = wait_now_ms();
	daemon_kill(&fx.d, SIGTERM);
	/* Below 5 s, and a crowded machine's share. If they waited for each other
	 * one after the other, it would be more than 9 s. */
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(10000)), 1);
	ck_assert_int_le(wait_now_ms() - start, wait_scaled(7000));
	ck_assert(access(fx.d.socket, F_OK) < 0);
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(killed_keeper_ends_all)
{
	func_start();
	find_processes();
	host(kill(pids[KEEPER], SIGKILL));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 70);
	ck_assert(daemon_log_has(&fx.d, "the keeper died of signal 9"));
	for (int i = 0; i < 500 && kill(pids[WORKER], 0) == 0; i++)
		wait_sleep_ms(10);
	ck_assert_int_eq(kill(pids[WORKER], 0), -1);
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

/* --- syslog --- */

/* A /dev of this test's own, with a syslog in it; its socket */
static int own_syslog(void)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	struct timeval limit = { .tv_sec = wait_scaled(5000) / 1000 };
	int s;

	host(unshare(CLONE_NEWNS));
	host(mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount("dev", "/dev", "tmpfs", 0, "mode=755") < 0)
		func_skip("cannot mount a file system here");
	host(mknod("/dev/null", S_IFCHR | 0666, 0x103));
	s = host(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	host(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	host(bind(s, (struct sockaddr *)&sa, sizeof(sa)));
	return s;
}

static void syslog_gets(int s, const char *text)
{
	char line[1024], want[128];
	ssize_t n = recv(s, line, sizeof(line) - 1, 0);

	ck_assert_msg(n > 0, "no line in syslog: %m");
	line[n] = '\0';
	snprintf(want, sizeof(want), "<30>virtiofsd[%d]: %s", fx.d.pid, text);
	ck_assert_msg(!strncmp(line, want, strlen(want)), "'%s' is not '%s'", line, want);
}

START_TEST(syslog_is_reached_from_within)
{
	int s;

	func_need_root();
	s = own_syslog();
	ok(daemon_prepare(&fx.d));
	ok(daemon_spawn(&fx.d, &(struct daemon_opts){
		.args = (const char *[]){ "--syslog", "--rlimit-nofile=0", NULL },
		.no_wait = true }));
	syslog_gets(s, DAEMON_READY);
	func_connect(NULL);
	func_init_session();
	syslog_gets(s, "Client connected");
	func_end();
	syslog_gets(s, "Client disconnected");
	close(s);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("sandbox", argc, argv);
	func_test(processes_of_root_are_as_documented);
	func_test(processes_of_a_user_are_as_documented);
	func_test(namespace_is_the_default);
	func_test(no_seccomp_means_no_filter);
	func_test(modcaps_gives_and_takes);
	func_test(modcaps_that_the_daemon_has_not_are_refused);
	func_test(chroot_without_the_right_to_it_is_refused);
	func_test(file_is_no_root_directory);
	func_test(namespaces_that_cannot_be_made_are_refused);
	func_test(none_takes_no_capability_at_all);
	func_test(root_may_map_ids);
	func_test(user_may_map_what_it_was_granted);
	func_test(ids_that_were_not_granted_are_refused);
	func_test(stopped_processes_do_not_hold_up_the_end);
	func_test(killed_keeper_ends_all);
	func_test(syslog_is_reached_from_within);
	return func_done();
}
