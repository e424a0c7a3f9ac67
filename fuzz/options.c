/* SPDX-License-Identifier: BSD-3-Clause */
/* A command line: one argument a line. */
#include <getopt.h>
#include <string.h>

#include "base/log.h"
#include "fuzz.h"
#include "options.h"

#define ARGS_MAX 64

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	log_init(LOG_LEVEL_OFF, false);
	opterr = 0;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *next = text;
	char *argv[ARGS_MAX + 2] = { (char *)"virtiofsd" };
	struct options o;
	int argc = 1;

	while (next && argc <= ARGS_MAX)
		argv[argc++] = strsep(&next, "\n");
	if (options_parse(argc, argv, &o) == 0 && o.action == OPTIONS_SERVE) {
		must(o.cfg.shared_dir);
		must(o.cfg.socket_path || o.cfg.listen_fd >= 0);
		must(o.cfg.cache <= CACHE_ALWAYS);
	}
	options_free(&o);
	free(text);
	return 0;
}
