/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded into User-Mode Linux on hosts with more floating point state (AMX)
 * than its kernel has room for.
 *
 * The host takes a process's state only as a whole. So what UML sets is laid
 * over the whole state that the process has at the moment; what it does not
 * know of stays as it is.
 */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef NT_X86_XSTATE
#define NT_X86_XSTATE 0x202
#endif

static char whole[65536] __attribute__((aligned(64)));

static long set_xstate(pid_t pid, const struct iovec *part)
{
	struct iovec iov = { whole, sizeof(whole) };

	if (syscall(SYS_ptrace, PTRACE_GETREGSET, pid, NT_X86_XSTATE, &iov) < 0)
		return -1;
	/* A host with less than UML knows takes what it has of it. */
	if (part->iov_len >= iov.iov_len)
		return syscall(SYS_ptrace, PTRACE_SETREGSET, pid,
			       NT_X86_XSTATE, part);
	memcpy(whole, part->iov_base, part->iov_len);
	return syscall(SYS_ptrace, PTRACE_SETREGSET, pid, NT_X86_XSTATE, &iov);
}

long ptrace(enum __ptrace_request request, ...)
{
	va_list ap;
	pid_t pid;
	void *addr, *data;
	long peeked, r;

	va_start(ap, request);
	pid = va_arg(ap, pid_t);
	addr = va_arg(ap, void *);
	data = va_arg(ap, void *);
	va_end(ap);
	if (request == PTRACE_SETREGSET && addr == (void *)NT_X86_XSTATE)
		return set_xstate(pid, data);
	/* The system call stores what it has peeked at; the function returns it. */
	if (request != PTRACE_PEEKTEXT && request != PTRACE_PEEKDATA &&
	    request != PTRACE_PEEKUSER)
		return syscall(SYS_ptrace, request, pid, addr, data);
	r = syscall(SYS_ptrace, request, pid, addr, &peeked);
	if (r < 0)
		return r;
	errno = 0;
	return peeked;
}
