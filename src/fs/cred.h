/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Whose rights an op has on the host. A column of the op table says which;
 * serve.c enters and leaves the scope around the op.
 *
 * All of it is per thread, by raw system calls: the C library's wrappers would
 * change every thread of the process. Not being able to come back would leave
 * a thread with a guest user's identity, so that ends the worker.
 */
#ifndef FS_CRED_H
#define FS_CRED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum cred_kind {
	CRED_DAEMON, /* as the daemon itself */
	CRED_CALLER, /* as the guest's user for the call that makes something, so
		      * that it is its own: the op does request_enter_caller() */
	CRED_NO_FSETID, /* as the daemon, but set-id bits fall as for a user */
};

/* Who the daemon is. Constant after start. */
struct cred_base {
	uid_t uid;
	gid_t gid;
	uint32_t permitted[2]; /* capabilities, as capget(2) has them */
	uint32_t effective[2];
	bool may_change; /* CAP_SETUID and CAP_SETGID are there */
};

struct cred_scope {
	const struct cred_base *base; /* NULL: nothing to undo */
	bool uid, gid, groups, caps;
};

/* Reads who the process is, and drops its supplementary groups where that is
 * permitted (a guest's user must not gain them). Before the second thread. */
int cred_base_init(struct cred_base *base);

/*
 * Becomes (uid, gid), with *group as the only supplementary group unless it is
 * NULL. -EPERM if the daemon may not: then nothing has changed. The capability
 * to pass over permissions stays, and no other, since the guest's kernel has
 * checked them with all of the user's groups, which are not known here.
 *
 * A daemon that may become nobody else stands for the guest's root as well as
 * for its own user: cred_base_init() says so.
 */
int cred_enter_caller(struct cred_scope *s, const struct cred_base *base,
		      uid_t uid, gid_t gid, const gid_t *group);

/* Puts CAP_FSETID aside. */
int cred_drop_fsetid(struct cred_scope *s, const struct cred_base *base);

void cred_leave(struct cred_scope *s);

#endif
