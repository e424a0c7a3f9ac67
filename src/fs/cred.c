/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/cred.h"

#include <errno.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/scope.h"

/* To the system calls, this as an id means "leave it as it is". */
#define UNCHANGED ((uint32_t)-1)

/* syscalls: setresuid setresgid setgroups capset capget */

static int set_uid(uid_t uid)
{
	return syscall(SYS_setresuid, UNCHANGED, uid, UNCHANGED) < 0 ? -errno : 0;
}

static int set_gid(gid_t gid)
{
	return syscall(SYS_setresgid, UNCHANGED, gid, UNCHANGED) < 0 ? -errno : 0;
}

static int set_groups(size_t n, const gid_t *list)
{
	return syscall(SYS_setgroups, n, list) < 0 ? -errno : 0;
}

/* Makes @effective (of what is permitted) the thread's effective set. */
static int set_effective(const struct cred_base *base,
			 const uint32_t effective[2])
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2] = { 0 };

	for (int i = 0; i < 2; i++) {
		data[i].permitted = base->permitted[i];
		data[i].effective = effective[i] & base->permitted[i];
	}
	return syscall(SYS_capset, &head, data) < 0 ? -errno : 0;
}

/* syscalls(keeper): geteuid getegid */
int cred_base_init(struct cred_base *base)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3,
	};
	struct __user_cap_data_struct data[2];
	int r;

	base->uid = geteuid();
	base->gid = getegid();
	if (syscall(SYS_capget, &head, data) < 0)
		return -errno;
	base->permitted[0] = data[0].permitted;
	base->permitted[1] = data[1].permitted;
	base->effective[0] = data[0].effective;
	base->effective[1] = data[1].effective;
	base->may_change =
		data[0].effective & (1U << CAP_SETUID) &&
		data[0].effective & (1U << CAP_SETGID);
	if (!base->may_change && base->uid != 0)
		log_lacking(LOG_LEVEL_INFO, "without the right to become other users: what the guest's root creates belongs to uid %u, and its other users cannot create anything",
			 base->uid);
	r = set_groups(0, NULL);
	return r == -EPERM ? 0 : r;
}

/* The user first, to whom a thread may always return; then what capabilities
 * it had, which the rest may need. */
void cred_leave(struct cred_scope *s)
{
	const struct cred_base *base = s->base;
	int r = 0;

	if (!base)
		return;
	if (s->uid)
		r |= set_uid(base->uid);
	if (s->caps)
		r |= set_effective(base, base->effective);
	if (s->gid)
		r |= set_gid(base->gid);
	if (s->groups)
		r |= set_groups(0, NULL);
	ASSERT(r == 0);
	memset(s, 0, sizeof(*s));
}

static int enter(struct cred_scope *s, uid_t uid, gid_t gid, const gid_t *group)
{
	static const uint32_t dac[2] = { 1U << CAP_DAC_OVERRIDE, 0 };
	const struct cred_base *base = s->base;
	int r;

	if (uid == UNCHANGED || gid == UNCHANGED)
		return -EINVAL;
	if (!base->may_change && base->uid != 0 && uid == 0 && gid == 0)
		return 0;
	/* Without the right to it, one group less is what the caller gets. */
	if (group && base->may_change) {
		r = set_groups(1, group);
		if (r < 0)
			return r;
		s->groups = true;
	}
	if (gid != base->gid) {
		r = set_gid(gid);
		if (r < 0)
			return r;
		s->gid = true;
	}
	if (uid != base->uid) {
		r = set_uid(uid);
		if (r < 0)
			return r;
		s->uid = true;
	}
	/* Leaving uid 0 clears the effective set, be it now or on the way back;
	 * leaving another does not. */
	s->caps = (base->effective[0] || base->effective[1]) &&
		  (uid != 0 || s->uid);
	return s->caps && uid != 0 ? set_effective(base, dac) : 0;
}

int cred_enter_caller(struct cred_scope *s, const struct cred_base *base,
		      uid_t uid, gid_t gid, const gid_t *group)
{
	int r;

	memset(s, 0, sizeof(*s));
	s->base = base;
	r = enter(s, uid, gid, group);
	if (r < 0)
		cred_leave(s);
	return r < 0 ? -EPERM : 0;
}

int cred_drop_fsetid(struct cred_scope *s, const struct cred_base *base)
{
	uint32_t effective[2] = { base->effective[0] & ~(1U << CAP_FSETID),
				  base->effective[1] };
	int r;

	memset(s, 0, sizeof(*s));
	if (!(base->effective[0] & (1U << CAP_FSETID)))
		return 0;
	r = set_effective(base, effective);
	if (r < 0)
		return r;
	s->base = base;
	s->caps = true;
	return 0;
}
