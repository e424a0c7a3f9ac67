/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef OPTIONS_H
#define OPTIONS_H

#include "config.h"

enum options_action {
	OPTIONS_SERVE,
	OPTIONS_HELP,
	OPTIONS_VERSION,
	OPTIONS_CAPABILITIES,
};

struct options {
	struct config cfg; /* points into argv and into @copy */
	enum options_action action;
	char *copy; /* of -o lists, with their doubled commas undone ... */
	size_t copied; /* ... one behind the other: so many bytes */
};

/*
 * Reads the command line. 0, or -EINVAL after one line in the log that says
 * what is wrong. Later options override earlier ones.
 */
int options_parse(int argc, char **argv, struct options *ret);
void options_free(struct options *o);

/* Print to standard output. */
void options_print_help(void);
void options_print_capabilities(void);

#endif
