/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Should: leave each process the capabilities that it needs, and take the rest
 * away in a way that cannot be undone: permitted and bounding set.
 * Mustn't: be called when there is a second thread, whose sets are its own.
 */
#include "sandbox/caps.h"

#include <cap-ng.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"

#define BIT(cap) (UINT64_C(1) << (cap))

/* What passing a guest's requests on takes, each for the ops in brackets. */
#define CAPS_USUAL                                                           \
	(BIT(CAP_CHOWN) /* owners (SETATTR) */ |                              \
	 BIT(CAP_DAC_OVERRIDE) /* the guest's kernel has checked (all) */ |   \
	 BIT(CAP_FOWNER) /* modes, times, xattrs of others' files */ |        \
	 BIT(CAP_FSETID) /* set-id bits outlive a write of root */ |          \
	 BIT(CAP_SETGID) | BIT(CAP_SETUID) /* acting as the caller */ |       \
	 BIT(CAP_MKNOD) /* device nodes (MKNOD) */ |                          \
	 BIT(CAP_SETFCAP) /* security.capability (SETXATTR) */)

/* "[+-](cap_)name", @len bytes of it. */
static int parse_one(const char *item, size_t len, struct cap_mods *mods)
{
	char name[32];
	int cap;

	if (len < 2 || len > sizeof(name) || (*item != '+' && *item != '-'))
		return -EINVAL;
	snprintf(name, sizeof(name), "%.*s", (int)len - 1, item + 1);
	cap = capng_name_to_capability(
		strncasecmp(name, "cap_", 4) == 0 ? name + 4 : name);
	if (cap < 0)
		return -EINVAL;
	if (*item == '+') {
		mods->add |= BIT(cap);
		mods->drop &= ~BIT(cap);
	} else {
		mods->drop |= BIT(cap);
		mods->add &= ~BIT(cap);
	}
	return 0;
}

int caps_parse(const char *text, struct cap_mods *ret)
{
	struct cap_mods mods = { 0 };

	while (*text) {
		size_t len = strcspn(text, ":");
		int r = parse_one(text, len, &mods);

		if (r < 0)
			return r;
		text += len + (text[len] == ':');
	}
	*ret = mods;
	return 0;
}

struct sets {
	uint64_t effective, permitted;
};

/* Not through the library, which reads /proc. */
static struct sets get_sets(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	long r = syscall(SYS_capget, &head, data);

	ASSERT(r == 0);
	return (struct sets){
		.effective = data[0].effective | (uint64_t)data[1].effective << 32,
		.permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
	};
}

bool caps_have(unsigned int cap)
{
	return get_sets().effective & BIT(cap);
}

/* In a user namespace with one id there is nobody to become. */
static uint64_t useless(const struct config *cfg)
{
	uint64_t caps = 0;

	if (cfg->uid_map.n == 1 && cfg->uid_map.range[0].count == 1)
		caps |= BIT(CAP_SETUID);
	if (cfg->gid_map.n == 1 && cfg->gid_map.range[0].count == 1)
		caps |= BIT(CAP_SETGID);
	return caps;
}

int caps_wanted(const struct config *cfg, uint64_t *ret)
{
	const struct cap_mods *mods = &cfg->modcaps;
	uint64_t wanted = CAPS_USUAL & ~useless(cfg);
	uint64_t held = get_sets().permitted, missing = mods->add & ~held;

	if (missing) {
		log_error("--modcaps=+%s: the daemon was started without it",
			  capng_capability_to_name(
				  (unsigned int)__builtin_ctzll(missing)));
		return -EPERM;
	}
	/* In a user namespace of ours it opens no handle. */
	if (cfg->handles != HANDLES_NEVER && !cfg->uid_map.n)
		wanted |= BIT(CAP_DAC_READ_SEARCH);
	*ret = ((wanted & ~mods->drop) | mods->add) & held;
	return 0;
}

/*
 * Sets permitted, effective and bounding set. The last takes CAP_SETPCAP; who has not got it can gain nothing either, since no_new_privs
 * is set.
 * syscalls(keeper): capget capset prctl:PR_CAPBSET_READ
 */
static int apply(uint64_t permitted, uint64_t effective)
{
	bool bounds = caps_have(CAP_SETPCAP);

	/* The library keeps the id of the process that it was first used in. */
	capng_setpid((int)syscall(SYS_gettid));
	capng_clear(CAPNG_SELECT_BOTH);
	for (unsigned int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (permitted & BIT(cap))
			capng_update(CAPNG_ADD,
				     CAPNG_PERMITTED | CAPNG_BOUNDING_SET |
				     (effective & BIT(cap) ? CAPNG_EFFECTIVE : 0),
				     cap);
	return capng_apply(bounds ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS) < 0 ?
		       -EPERM : 0;
}

int caps_limit(uint64_t wanted)
{
	return apply(wanted, 0);
}

int caps_raise(void)
{
	uint64_t permitted = get_sets().permitted;

	return apply(permitted, permitted);
}

int caps_drop(void)
{
	return apply(0, 0);
}
