/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker that has been taken over can do. The test stands for the attacker: by ptrace it
 * makes the worker's control thread do system calls, whatever the worker's code has in mind.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "func.h"

#ifdef __x86_64__

static pid_t worker;
static struct user_regs_struct idle;
static int stopped_by;

static void take_over(void)
{
	int status;

	worker = daemon_worker(&fx.d);
	host(ptrace(PTRACE_SEIZE, worker, 0, 0));
	host(ptrace(PTRACE_INTERRUPT, worker, 0, 0));
	ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
	ck_assert(WIFSTOPPED(status));
	host(ptrace(PTRACE_GETREGS, worker, 0, &idle));
}

/* Does a system call as the worker, which is about to wait in one: its instruction is at hand.
 * The result, or DAEMON_KILLED + the signal that the worker died of. */
static long inject(long nr, const unsigned long arg[6])
{
	struct user_regs_struct r = idle;
	int status;

	r.rip -= 2;
	r.rax = nr;
	r.orig_rax = -1;
	r.rdi = arg[0];
	r.rsi = arg[1];
	r.rdx = arg[2];
	r.r10 = arg[3];
	r.r8 = arg[4];
	r.r9 = arg[5];
	host(ptrace(PTRACE_SETREGS, worker, 0, &r));
	host(ptrace(PTRACE_SINGLESTEP, worker, 0, 0));
	ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
	if (WIFSIGNALED(status))
		return DAEMON_KILLED + WTERMSIG(status);
	ck_assert(WIFSTOPPED(status));
	stopped_by = WSTOPSIG(status);
	host(ptrace(PTRACE_GETREGS, worker, 0, &r));
	return r.rax;
}

#define injected(nr, ...) inject(nr, (const unsigned long[6]){ __VA_ARGS__ })

/* Puts a text below the worker's stack; its address there */
static unsigned long plant(const char *text)
{
	unsigned long at = (idle.rsp - 8192) & ~63ul;
	struct iovec here = { (void *)text, strlen(text) + 1 };
	struct iovec there = { (void *)at, here.iov_len };

	ck_assert_int_eq(process_vm_writev(worker, &here, 1, &there, 1, 0), here.iov_len);
	return at;
}

static long open_as_worker(const char *path, int flags)
{
	return injected(SYS_openat, AT_FDCWD, plant(path), flags);
}

/* It goes on where it was; the daemon ends as ever. */
static void let_go(void)
{
	host(ptrace(PTRACE_SETREGS, worker, 0, &idle));
	host(ptrace(PTRACE_DETACH, worker, 0, 0));
	func_end();
}

static void start_in(const char *mode, const char *option)
{
	char sandbox[32];

	func_need_root();
	if (func_sanitized())
		func_skip("sanitizers make calls of their own");
	snprintf(sandbox, sizeof(sandbox), "--sandbox=%s", mode);
	func_start_with((const char *[]){ sandbox, option, NULL }, NULL);
	take_over();
}

static int landlock_version(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* --- system calls --- */

START_TEST(forbidden_calls_kill)
{
	static const struct { const char *what; long nr; unsigned long arg[6]; } calls[] = {
		{ "execve", SYS_execve, { 0 } },
		{ "fork", SYS_clone, { SIGCHLD } },
		{ "a worker of its own", SYS_clone, { CLONE_FILES | SIGCHLD } },
		{ "a thread with a namespace", SYS_clone,
		  { CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWNS } },
		{ "vfork", SYS_vfork, { 0 } },
		{ "unshare", SYS_unshare, { CLONE_NEWUSER } },
		{ "setns", SYS_setns, { 0, CLONE_NEWNS } },
		{ "socket", SYS_socket, { AF_INET, SOCK_STREAM } },
		{ "connect", SYS_connect, { 0 } },
		{ "ptrace", SYS_ptrace, { PTRACE_ATTACH, 1 } },
		{ "process_vm_writev", SYS_process_vm_writev, { 1 } },
		{ "kill", SYS_kill, { 1, SIGTERM } },
		{ "another signal", SYS_rt_sigqueueinfo, { 1, SIGKILL, 0 } },
		{ "another signal to a thread", SYS_tgkill, { 1, 1, SIGKILL } },
		{ "mount", SYS_mount, { 0 } },
		{ "chroot", SYS_chroot, { 0 } },
		{ "pivot_root", SYS_pivot_root, { 0 } },
		{ "open_tree", SYS_open_tree, { -1, 0, 0 } },
		{ "memory that is code", SYS_mmap,
		  { 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1ul, 0 } },
		{ "memory that becomes code", SYS_mprotect, { 0, 4096, PROT_READ | PROT_EXEC } },
		{ "prctl", SYS_prctl, { PR_SET_DUMPABLE, 1 } },
		{ "a filter", SYS_seccomp, { 0 } },
		{ "fcntl's owner", SYS_fcntl, { 0, F_SETOWN, 1 } },
		{ "fcntl's pipe size", SYS_fcntl, { 0, F_SETPIPE_SZ, 4096 } },
		{ "a terminal's input", SYS_ioctl, { 0, TIOCSTI, 0 } },
		{ "a command with high bits", SYS_ioctl, { 0, TIOCSTI | 1ul << 32, 0 } },
		{ "io_uring", SYS_io_uring_setup, { 0 } },
		{ "bpf", SYS_bpf, { 0 } },
		{ "keyctl", SYS_keyctl, { 0 } },
		{ "open_by_handle_at", SYS_open_by_handle_at, { 0 } },
		{ "fsconfig", SYS_fsconfig, { 0 } },
		{ "reboot", SYS_reboot, { 0 } },
		{ "x32", 0x40000000 | SYS_getpid, { 0 } },
	};

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		long r;

		start_in(i % 2 ? "namespace" : "none", "--inode-file-handles=never");
		r = inject(calls[i].nr, calls[i].arg);
		ck_assert_msg(r == DAEMON_KILLED + SIGSYS, "%s: %ld", calls[i].what, r);
		func_hang_up();
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(clone3_does_not_exist)
{
	start_in("namespace", NULL);
	ck_assert_int_eq(injected(SYS_clone3, 0, 0), -ENOSYS);
	let_go();
}
END_TEST

START_TEST(actions_are_as_asked)
{
	start_in("none", "--seccomp=log");
	ck_assert_int_ge(injected(SYS_socket, AF_INET, SOCK_STREAM), 0);
	let_go();
	start_in("none", "--seccomp=none");
	ck_assert_int_ge(injected(SYS_socket, AF_INET, SOCK_STREAM), 0);
	let_go();
}
END_TEST

/* trap: a signal that is not caught here ends the worker as well. */
START_TEST(trap_raises_a_signal)
{
	int status;

	start_in("none", "--seccomp=trap");
	injected(SYS_socket, AF_INET, SOCK_STREAM);
	ck_assert_int_eq(stopped_by, SIGSYS);
	host(ptrace(PTRACE_CONT, worker, 0, SIGSYS));
	ck_assert_int_eq(waitpid(worker, &status, __WALL), worker);
	ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
	func_hang_up();
	daemon_discard(&fx.d);
}
END_TEST

/* --- files --- */

static const char *const host_files[] = {
	"/etc/passwd", "/proc/self/environ", "/proc/1/root/etc/passwd", "/bin/sh",
	"../root/etc/passwd", "../../../etc/passwd", "../../../../../../etc/passwd",
};

START_TEST(namespace_and_chroot_have_no_host)
{
	static const char *const modes[] = { "namespace", "chroot" };

	for (int m = 0; m < 2; m++) {
		start_in(modes[m], NULL);
		for (size_t i = 0; i < sizeof(host_files) / sizeof(host_files[0]); i++) {
			long r;

			if (m == 1 && host_files[i][0] == '.')
				continue; /* the host's /proc leads there: see Landlock */
			r = open_as_worker(host_files[i], O_RDONLY);
			ck_assert_msg(r == -ENOENT || r == -EACCES, "%s: %ld", host_files[i], r);
		}
		let_go();
	}
}
END_TEST

START_TEST(landlock_keeps_the_hosts_files)
{
	static const char *const modes[] = { "none", "chroot" };

	if (landlock_version() < 2)
		func_skip("no Landlock here");
	for (int m = 0; m < 2; m++) {
		start_in(modes[m], "--inode-file-handles=never");
		for (size_t i = 0; i < sizeof(host_files) / sizeof(host_files[0]); i++) {
			long r = open_as_worker(host_files[i], O_RDONLY);

			if (!strcmp(host_files[i], "/proc/self/environ") && m == 0)
				continue; /* its own */
			ck_assert_msg(r == -EACCES || r == -ENOENT, "%s: %ld", host_files[i], r);
		}
		if (m == 0)
			ck_assert_int_eq(open_as_worker("/tmp/made", O_CREAT | O_WRONLY), -EACCES);
		let_go();
	}
}
END_TEST

/* A process of the same user is no way out either. */
START_TEST(other_processes_are_out_of_reach)
{
	static const char *const modes[] = { "none", "chroot", "namespace" };
	static const char *const files[] = { "root", "mem", "cwd", "environ" };
	char path[64];

	if (landlock_version() < 4)
		func_skip("no Landlock here that goes with file handles");
	for (int m = 0; m < 3; m++) {
		start_in(modes[m], NULL);
		for (int i = 0; i < 4; i++) {
			long r;

			snprintf(path, sizeof(path), "../../%d/%s", m == 2 ? 1 : fx.d.pid, files[i]);
			r = open_as_worker(path, i == 1 ? O_RDWR : O_RDONLY);
			ck_assert_msg(r == -EACCES, "%s: %s: %ld", modes[m], path, r);
		}
		let_go();
	}
}
END_TEST

START_TEST(processes_outside_get_no_signals)
{
	siginfo_t info = { .si_code = SI_QUEUE };
	long r;

	if (landlock_version() < 6)
		func_skip("this kernel's Landlock knows no signals");
	start_in("none", NULL);
	info.si_signo = SIGUSR1;

	unsigned long at = plant("");
	struct iovec here = { &info, sizeof(info) }, there = { (void *)at, sizeof(info) };

	host(process_vm_writev(worker, &here, 1, &there, 1, 0));
	r = injected(SYS_rt_sigqueueinfo, fx.d.pid, SIGUSR1, at);
	ck_assert_int_eq(r, -EPERM);
	let_go();
}
END_TEST

/* Not even root of the share may be left upwards by a descriptor of it. */
START_TEST(the_share_has_no_parent)
{
	struct stat here, there;
	char path[64];
	long fd;

	start_in("namespace", NULL);
	fd = open_as_worker("/../../..", O_PATH | O_DIRECTORY);
	ck_assert_int_ge(fd, 0);
	snprintf(path, sizeof(path), "/proc/%d/fd/%ld", worker, fd);
	host(stat(path, &there));
	host(stat(fx.d.share, &here));
	ck_assert_uint_eq(here.st_ino, there.st_ino);
	injected(SYS_close, fd);
	let_go();
}
END_TEST

#endif

int main(int argc, char **argv)
{
	func_init("escape", argc, argv);
#ifdef __x86_64__
	func_test(forbidden_calls_kill);
	func_test(clone3_does_not_exist);
	func_test(actions_are_as_asked);
	func_test(trap_raises_a_signal);
	func_test(namespace_and_chroot_have_no_host);
	func_test(landlock_keeps_the_hosts_files);
	func_test(other_processes_are_out_of_reach);
	func_test(processes_outside_get_no_signals);
	func_test(the_share_has_no_parent);
#endif
	return func_done();
}
