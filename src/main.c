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
#include "keeper/keeper.h"
#include "keeper/listen.h"
#include "rlimit.h"
#include "options.h"
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

static int serve(const struct config *cfg, bool *ret_in_worker)
{
	_cleanup_close_ int root_fd = -1;
	struct listener listener;
	int status;

	log_init(cfg->log_level, cfg->use_syslog);
	root_fd = share_open(cfg->shared_dir);
	if (root_fd < 0)
		return STATUS_FAILED;
	if (rlimit_raise_nofile(cfg->rlimit_nofile) < 0)
		return STATUS_FAILED;
	keeper_block_signals();
	if (listener_open(cfg, &listener) < 0)
		return STATUS_FAILED;
	log_info("Waiting for vhost-user socket connection...");
	status = keeper_run(cfg, &listener.fd, &root_fd, ret_in_worker);
	/* Descriptors are shared with the keeper, who is not done with them. */
	if (!*ret_in_worker)
		listener_close(&listener);
	return status;
}

int main(int argc, char **argv)
{
	int status = STATUS_OK;
	bool in_worker = false;
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
		status = serve(&o.cfg, &in_worker);
	options_free(&o);
	if (fflush(stdout) == EOF && status == STATUS_OK)
		status = STATUS_FAILED;
	exit(status);
}
