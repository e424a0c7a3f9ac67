/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Translation of user or group ids between guest and host
 * (options --translate-uid, --translate-gid). Ids that no rule names are the
 * same on both sides.
 *
 *	guest:G:H:N		the guest's G.. are the host's H.. (N of them)
 *	host:H:G:N		the host's H.. are the guest's G..
 *	map:G:H:N		both of these
 *	squash-guest:G:H:N	all of the guest's G.. are the host's H
 *	squash-host:H:G:N	all of the host's H.. are the guest's G
 *	forbid-guest:G:N	the guest may not use G..
 */
#ifndef BASE_IDMAP_H
#define BASE_IDMAP_H

#include <stddef.h>
#include <stdint.h>

struct idmap_rule {
	uint32_t from, to, count;
	enum { IDMAP_SHIFT, IDMAP_SQUASH, IDMAP_FORBID } how;
};

/* One direction. */
struct idmap_side {
	struct idmap_rule *rule;
	size_t n;
};

struct idmap {
	struct idmap_side guest; /* what the guest says: to host ids */
	struct idmap_side host; /* what the host has: to guest ids */
};

/*
 * Adds one rule as the option has it. -EINVAL with *ret_what saying what is
 * wrong, -ENOMEM; rules for one direction may not overlap.
 */
int idmap_add(struct idmap *m, const char *text, const char **ret_what);
void idmap_free(struct idmap *m);

/* 0 with the host's id, or -EPERM for one that is forbidden. */
int idmap_to_host(const struct idmap *m, uint32_t guest, uint32_t *ret);
uint32_t idmap_to_guest(const struct idmap *m, uint32_t host);

#endif
