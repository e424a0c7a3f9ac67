/* SPDX-License-Identifier: BSD-3-Clause */
/* What the program says of its options. */
#include <stddef.h>
#include <stdio.h>

#include "base/scope.h"
#include "options.h"

static const struct {
	const char *name;
	int short_name;
	const char *arg;
	const char *help;
} opts[] = {
#define OPT(name, c, arg, set, help) { name, c, arg, help },
#include "options.def"
};

void options_print_help(void)
{
	printf("Usage: virtiofsd --shared-dir=DIR --socket-path=PATH [OPTION...]\n"
	       "Shares a directory of this host with a virtual machine (virtio-fs).\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		char left[40], c[8] = "    ";

		if (!opts[i].help)
			continue;
		if (opts[i].short_name)
			snprintf(c, sizeof(c), "-%c, ", opts[i].short_name);
		if (!opts[i].arg)
			snprintf(left, sizeof(left), "%s--%s", c, opts[i].name);
		else if (opts[i].arg[0] == '[')
			snprintf(left, sizeof(left), "%s--%s[=%s]", c,
				 opts[i].name, opts[i].arg + 3);
		else
			snprintf(left, sizeof(left), "%s--%s=%s", c,
				 opts[i].name, opts[i].arg);
		printf("  %-30s %s\n", left, opts[i].help);
	}
}

/* Only what works; see docs/interop/vhost-user in QEMU for the format. */
void options_print_capabilities(void)
{
	printf("{\n  \"type\": \"fs\",\n  \"features\": [\n    \"separate-options\"\n  ]\n}\n");
}
