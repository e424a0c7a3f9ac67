/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: end a process that makes a system call which the sources do not
 * declare (sandbox/syscalls.py says how they do).
 * Mustn't: depend on what the C library happens to call today more than this
 * file says.
 *
 * Where a call does many things, its argument is looked at: commands of fcntl,
 * ioctl and prctl; the flags of clone, which are exactly those of a thread (or,
 * in the keeper, of a worker); signals. Memory never becomes executable. clone3
 * does not exist (ENOSYS), as its flags lie where a filter cannot look; the C
 * library takes clone then.
 */
#include "sandbox/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/log.h"
#include "base/scope.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#else
#define SANITIZED false
#endif

/* pthread_create() of glibc. */
#define CLONE_THREAD_FLAGS                                                    \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |   \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |                 \
	 CLONE_CHILD_CLEARTID)
/* keeper.c */
#define CLONE_WORKER_FLAGS (CLONE_FILES | SIGCHLD)

/*
 * What the C library does for its callers:
 * ends, aborts (also of a stack or a heap that is damaged), signals
 * syscalls(libc): exit exit_group rt_sigprocmask rt_sigaction rt_sigreturn
 * syscalls(libc): getpid gettid tgkill:SIGABRT write writev restart_syscall
 * memory
 * syscalls(libc): brk mmap munmap mremap mprotect madvise getrandom
 * locks, clocks
 * syscalls(libc): futex clock_gettime clock_nanosleep sched_yield
 * standard output at the end
 * syscalls(libc): fstat newfstatat lseek
 * threads
 * syscalls: clone:CLONE_THREAD_FLAGS set_robust_list rseq sched_getaffinity
 * The filter itself, and libseccomp's questions what the kernel can do:
 * syscalls(keeper): seccomp prctl:PR_GET_SECCOMP prlimit64
 *
 * What sanitizers do: reports, maps, and the leak checker's own process at the
 * end, which traces this one. No arguments are looked at in such builds.
 * syscalls(sanitizer): clone clone3 open openat close read readlink readlinkat
 * syscalls(sanitizer): fcntl ioctl prctl ptrace wait4 getdents getdents64
 * syscalls(sanitizer): sigaltstack access faccessat
 * syscalls(sanitizer): mincore msync sysinfo uname getuid geteuid getgid
 * syscalls(sanitizer): getegid getppid arch_prctl personality pipe2 stat lstat
 * syscalls(sanitizer): rt_sigtimedwait nanosleep process_vm_readv tgkill kill
 * syscalls(sanitizer): getrlimit prlimit64 gettimeofday time unlink socket
 * syscalls(sanitizer): pselect6 poll sched_getaffinity set_robust_list rseq
 * syscalls(sanitizer): statx fork vfork execve unshare rt_sigqueueinfo
 */
struct rule {
	int syscall;
	int argument; /* that has to be ... */
	unsigned int value; /* ... this; -1: none has to */
};

#include "syscalls.h"

/* All the kernel looks at, in the calls that are compared, is an int. */
static int add(scmp_filter_ctx f, const struct rule *r)
{
	bool exec = r->syscall == SYS_mmap || r->syscall == SYS_mprotect;
	unsigned int argument = exec ? 2 : (unsigned int)r->argument;
	uint64_t mask = exec ? PROT_EXEC : UINT32_MAX;
	struct scmp_arg_cmp is = {
		.arg = argument,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = mask,
		.datum_b = exec ? 0 : r->value,
	};
	unsigned int n = !SANITIZED && (exec || r->argument >= 0);
	int e = seccomp_rule_add_array(f, SCMP_ACT_ALLOW, r->syscall, n, &is);

	return e == -EEXIST ? 0 : e;
}

static int add_all(scmp_filter_ctx f, const struct rule *rules, size_t n)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = add(f, &rules[i]);
	return r;
}

#define ADD(filter, rules) add_all(filter, rules, ARRAY_SIZE(rules))

static int fill(scmp_filter_ctx f, const struct config *cfg,
		enum sandbox_process who)
{
	int r = ADD(f, libc_rules);

	if (r == 0 && SANITIZED)
		r = ADD(f, sanitizer_rules);
	else if (r == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SYS_clone3, 0);
	if (r == 0 && cfg->use_syslog)
		r = ADD(f, syslog_rules);
	if (r == 0 && cfg->handles != HANDLES_NEVER && who != PROCESS_LAUNCHER)
		r = ADD(f, handles_rules);
	if (r == 0 && who == PROCESS_LAUNCHER)
		r = ADD(f, launcher_rules);
	if (r == 0 && who != PROCESS_LAUNCHER)
		r = ADD(f, worker_rules);
	if (r == 0 && who == PROCESS_KEEPER)
		r = ADD(f, keeper_rules);
	return r;
}

static uint32_t action(enum seccomp_mode mode)
{
	if (mode == SECCOMP_LOG)
		return SCMP_ACT_LOG;
	return mode == SECCOMP_TRAP ? SCMP_ACT_TRAP : SCMP_ACT_KILL_PROCESS;
}

int seccomp_close(const struct config *cfg, enum sandbox_process who)
{
	scmp_filter_ctx f;
	int r;

	if (cfg->seccomp == SECCOMP_NONE)
		return 0;
	f = seccomp_init(action(cfg->seccomp));
	if (!f)
		return log_err(-ENOMEM, "seccomp");
	r = seccomp_attr_set(f, SCMP_FLTATR_ACT_BADARCH, action(cfg->seccomp));
	/* no_new_privs is set. */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_NNP, 0);
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);
	if (r == 0)
		r = fill(f, cfg, who);
	/* A tree, not a list: what comes late in it would be paid for. */
	if (r == 0)
		r = seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0)
		r = seccomp_load(f);
	seccomp_release(f);
	return r < 0 ? log_err(r, "cannot load the seccomp filter") : 0;
}
