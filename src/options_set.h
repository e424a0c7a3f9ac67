/* SPDX-License-Identifier: BSD-3-Clause */
/* What the files that parse options share. */
#ifndef OPTIONS_SET_H
#define OPTIONS_SET_H

#include "options.h"

struct value {
	const char *name; /* as the user wrote it, for messages */
	const char *text; /* NULL for a switch */
};

/* Sets what the option says; 0, or -EINVAL after a line in the log. */
typedef int setter(struct options *o, struct value v);

/* Logs that the value is wrong and what would be right. -EINVAL. */
int option_wrong(struct value v, const char *right);

/* options_fence.c */
setter set_sandbox, set_seccomp, set_modcaps, set_uid_map, set_gid_map;

#endif
