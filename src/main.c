/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start-up, in the order in which privilege is lost, and the only exit.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "fs/share.h"
#include "keeper/background.h"
#include "keeper/keeper.h"
#include "keeper/launch.h"
#include "keeper/listen.h"
#include "options.h"
#include "sandbox/limits.h"
#include "version.h"

/* Whoever starts us without standard descriptors must not have files of the
 * share take their place. */
static void ensure_standard_fds(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

/* A closed socket and a file size limit are errors of one request, no more. The
 * launcher may have ignored the end of its children; the keeper does not. */
static void set_signals(void)
{
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
}

#ifdef __SANITIZE_ADDRESS__
/* The leak checker asks this at the end. It cannot do without /proc/self, which
 * a sandbox does not show: leaks are looked for in mode none. */
int __lsan_is_turned_off(void);

int __lsan_is_turned_off(void)
{
	return access("/proc/self/task", F_OK) < 0;
}
#endif

static int serve(struct config *cfg, bool *ret_child)
{
	_cleanup_close_ int root_fd = -1;
	int status, r, starter_fd = -1;
	struct listener listener;

	cfg->use_syslog |= cfg->daemonize;
	log_init(cfg->log_level, cfg->use_syslog);
	if (cfg->daemonize) {
		log_to_syslog(false);
		r = background_prepare();
		if (r == 0)
			r = background_begin(&starter_fd, &status);
		if (r != 0)
			return r < 0 ? STATUS_FAILED : status;
	}
	if (cfg->migration)
		log_lacking(LOG_LEVEL_INFO, "--migration-*: the state of a session cannot be moved to another host yet, and the VMM will refuse to");
	root_fd = share_open(cfg->shared_dir);
	if (root_fd < 0)
		return STATUS_FAILED;
	if (limits_raise_nofile(cfg->rlimit_nofile) < 0)
		return STATUS_FAILED;
	keeper_block_signals();
	if (listener_open(cfg, &listener) < 0)
		return STATUS_FAILED;
	status = launch_run(cfg, &listener, &root_fd, &starter_fd, ret_child);
	/* The files are the launcher's, and a worker's descriptors the keeper's. */
	if (!*ret_child)
		listener_close(&listener);
	return status;
}

int main(int argc, char **argv)
{
	int status = STATUS_OK;
	bool child = false;
	struct options o;

	ensure_standard_fds();
	set_signals();
	if (options_parse(argc, argv, &o) < 0)
		status = STATUS_FAILED;
	else if (o.action == OPTIONS_HELP)
		options_print_help();
	else if (o.action == OPTIONS_VERSION)
		printf("virtiofsd " VIRTIOFSD_VERSION "\n");
	else if (o.action == OPTIONS_CAPABILITIES)
		options_print_capabilities();
	else
		status = serve(&o.cfg, &child);
	options_free(&o);
	if (fflush(stdout) == EOF && status == STATUS_OK)
		status = STATUS_FAILED;
	exit(status);
}
