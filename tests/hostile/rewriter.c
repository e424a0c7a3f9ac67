/* SPDX-License-Identifier: BSD-3-Clause */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "hostile.h"

void rewriter_start(struct rewriter *w, void (*fn)(void *arg), void *arg)
{
	pid_t self = getpid();
	uint64_t seed = random_u64();

	w->pid = host(fork());
	if (w->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != self)
		_exit(1);
	random_seed(seed);
	for (;;)
		fn(arg);
}

void rewriter_stop(struct rewriter *w)
{
	kill(w->pid, SIGKILL);
	waitpid(w->pid, NULL, 0);
}
