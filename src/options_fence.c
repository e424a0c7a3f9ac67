/* SPDX-License-Identifier: BSD-3-Clause */
/* The options that say how the daemon fences itself in. */
#include <errno.h>
#include <string.h>

#include "options_set.h"
#include "sandbox/caps.h"
#include "sandbox/ids.h"

int set_sandbox(struct options *o, struct value v)
{
	if (strcmp(v.text, "namespace") == 0)
		o->cfg.sandbox = SANDBOX_NAMESPACE;
	else if (strcmp(v.text, "chroot") == 0)
		o->cfg.sandbox = SANDBOX_CHROOT;
	else if (strcmp(v.text, "none") == 0)
		o->cfg.sandbox = SANDBOX_NONE;
	else
		return option_wrong(v, "namespace, chroot or none is wanted");
	return 0;
}

int set_seccomp(struct options *o, struct value v)
{
	if (strcmp(v.text, "kill") == 0)
		o->cfg.seccomp = SECCOMP_KILL;
	else if (strcmp(v.text, "log") == 0)
		o->cfg.seccomp = SECCOMP_LOG;
	else if (strcmp(v.text, "trap") == 0)
		o->cfg.seccomp = SECCOMP_TRAP;
	else if (strcmp(v.text, "none") == 0)
		o->cfg.seccomp = SECCOMP_NONE;
	else
		return option_wrong(v, "none, kill, log or trap is wanted");
	return 0;
}

int set_modcaps(struct options *o, struct value v)
{
	if (caps_parse(v.text, &o->cfg.modcaps) < 0)
		return option_wrong(v, "capabilities with a sign are wanted, as in +sys_admin:-mknod");
	return 0;
}

static int add_range(struct id_ranges *map, struct value v)
{
	switch (ids_add(map, v.text)) {
	case 0:
		return 0;
	case -E2BIG:
		return option_wrong(v, "there are too many of them");
	case -EEXIST:
		return option_wrong(v, "it overlaps with another");
	default:
		return option_wrong(v, ":ID IN THE SANDBOX:ID OUTSIDE:COUNT: is wanted");
	}
}

int set_uid_map(struct options *o, struct value v)
{
	return add_range(&o->cfg.uid_map, v);
}

int set_gid_map(struct options *o, struct value v)
{
	return add_range(&o->cfg.gid_map, v);
}
