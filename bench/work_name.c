/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and attributes: one request an operation, or two that undo each other. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "work_step.h"

static int done(struct load_lane *l)
{
	if (l->result < 0)
		return l->result;
	l->load->res.units++;
	return LOAD_DONE;
}

static unsigned int hot_number(struct load_lane *l)
{
	return load_random(l) % target_of(l)->bench->scale.hot;
}

static int mount_hot(struct target *t)
{
	return mount_names(t, "hot", 'f', t->bench->scale.hot);
}

static int step_getattr(struct load_lane *l)
{
	if (l->step++ == 0)
		return send_getattr(l, target_of(l)->node[hot_number(l)]);
	return done(l);
}

static int step_lookup(struct load_lane *l)
{
	struct target *t = target_of(l);
	char name[16];

	if (l->step++ == 0) {
		l->pos = hot_number(l);
		name_of(name, 'f', l->pos);
		return send_lookup(l, t->dir, name);
	}
	if (l->result >= 0)
		__atomic_fetch_add(&t->looked[l->pos], 1, __ATOMIC_RELAXED);
	return done(l);
}

/* The node stays known: its first lookup, at the mount, is not given back. */
static int after_lookup(struct target *t)
{
	for (unsigned int i = 0; i < t->bench->scale.hot; i++) {
		if (t->looked[i])
			load_forget(&t->forget, t->node[i], t->looked[i]);
		t->looked[i] = 0;
	}
	load_forget_drain(&t->forget);
	return 0;
}

static int mount_cold(struct target *t)
{
	int r = mount_names(t, "cold", 'f', 0);

	return r < 0 ? r : hold_room(t, t->bench->scale.cold);
}

static int step_cold(struct load_lane *l)
{
	struct target *t = target_of(l);
	uint64_t n = t->bench->scale.cold;
	char name[16];

	if (l->step++ == 0) {
		uint64_t i = take_next(t, n);

		if (i == n)
			return LOAD_END;
		name_of(name, 'f', i);
		return send_lookup(l, t->dir, name);
	}
	if (l->result >= 0 && hold(t, entry_of(l)->nodeid) < 0)
		return -ENOSPC;
	return done(l);
}

static int step_missing(struct load_lane *l)
{
	char name[16];

	if (l->step++ == 0) {
		name_of(name, 'm', hot_number(l));
		return send_lookup(l, target_of(l)->dir, name);
	}
	/* a daemon may say so with an entry that has no node, too */
	if (l->result != -ENOENT && (l->result < 0 || entry_of(l)->nodeid))
		return l->result < 0 ? l->result : -EEXIST;
	l->load->res.units++;
	return LOAD_DONE;
}

static int step_mkdir(struct load_lane *l)
{
	struct target *t = target_of(l);
	char name[16];

	name_of(name, 'd', l->index);
	switch (l->step++) {
	case 0:
		return send_mkdir(l, t->own, name);
	case 1:
		if (l->result < 0)
			return l->result;
		l->node = entry_of(l)->nodeid;
		return send_remove(l, FUSE_RMDIR, t->own, name);
	default:
		load_forget(&t->forget, l->node, 1);
		return done(l);
	}
}

/* Each lane has a file of its own with two names in turn. */
static int mount_rename(struct target *t)
{
	unsigned int lanes = t->bench->depth * t->bench->queues;
	struct fuse_entry_out e;
	struct fuse_open_out o;
	int r = 0;

	for (unsigned int i = 0; i < lanes && r == 0; i++) {
		char name[16];

		name_of(name, 'a', i);
		r = guest_create(&t->guest, t->own, name, O_RDWR, 0644, 022, &e, &o);
		if (r == 0)
			r = guest_release(&t->guest, e.nodeid, o.fh);
	}
	return r;
}

static int step_rename(struct load_lane *l)
{
	struct target *t = target_of(l);
	struct fuse_rename_in *in;
	char from[16], to[16];

	if (l->step++)
		return done(l);
	name_of(from, l->pos % 2 ? 'b' : 'a', l->index);
	name_of(to, l->pos % 2 ? 'a' : 'b', l->index);
	l->pos++;
	load_begin(&l->call, FUSE_RENAME, t->own);
	in = load_arg(&l->call, sizeof(*in));
	in->newdir = t->own;
	load_name(&l->call, from);
	load_name(&l->call, to);
	return LOAD_SEND;
}

/* --- by plain system calls --- */

static int host_hot(struct host *h)
{
	if (h->fd < 0)
		h->fd = host_opendir(h, h->bench->work->set ? "cold" : "hot");
	h->pos = 0;
	return h->fd < 0 ? h->fd : 0;
}

static int host_own(struct host *h)
{
	if (h->fd >= 0)
		return 0;
	h->fd = openat(h->own, "a000000", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	return h->fd < 0 ? -errno : 0;
}

static void host_name(struct host *h, char *name, char kind)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	name_of(name, kind, (h->random >> 11) % h->bench->scale.hot);
}

static int host_lookup(struct host *h)
{
	struct statx stx;
	char name[16];

	host_name(h, name, 'f');
	return statx(h->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx) ? -errno : 1;
}

/* The descriptor of an O_PATH node is what an attribute request has to go by. */
static int host_getattr(struct host *h)
{
	struct statx stx;

	return statx(h->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) ? -errno : 1;
}

static int host_cold(struct host *h)
{
	char name[16];

	if (h->pos == h->bench->scale.cold)
		return -ENODATA;
	name_of(name, 'f', h->pos++);
	return host_look(h->fd, name);
}

static int host_missing(struct host *h)
{
	struct statx stx;
	char name[16];

	host_name(h, name, 'm');
	return statx(h->fd, name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx) ? 1 : -EEXIST;
}

static int host_mkdir(struct host *h)
{
	if (mkdirat(h->own, "d", 0755) < 0 || unlinkat(h->own, "d", AT_REMOVEDIR) < 0)
		return -errno;
	return 1;
}

static int host_rename(struct host *h)
{
	const char *names[2] = { "a000000", "b000000" };
	int r = renameat(h->own, names[h->pos % 2], h->own, names[(h->pos + 1) % 2]);

	h->pos++;
	return r < 0 ? -errno : 1;
}

const struct work work_getattr = {
	.name = "getattr", .unit = "ops", .what = "attributes of known files",
	.make = make_hot, .mount = mount_hot, .step = step_getattr,
	.host_before = host_hot, .host_op = host_getattr,
};
const struct work work_lookup = {
	.name = "lookup", .unit = "ops", .what = "names of files that the guest knows",
	.make = make_hot, .mount = mount_hot, .after = after_lookup, .step = step_lookup,
	.host_before = host_hot, .host_op = host_lookup,
};
const struct work work_cold = {
	.name = "lookup-new", .unit = "ops", .what = "names of files that the guest does not know",
	.set = true, .make = make_cold, .mount = mount_cold, .before = restart,
	.after = forget_held, .step = step_cold,
	.host_before = host_hot, .host_op = host_cold,
};
const struct work work_missing = {
	.name = "lookup-none", .unit = "ops", .what = "names of files that are not there",
	.make = make_hot, .mount = mount_hot, .step = step_missing,
	.host_before = host_hot, .host_op = host_missing,
};
const struct work work_mkdir = {
	.name = "mkdir", .unit = "ops", .what = "mkdir, rmdir",
	.step = step_mkdir, .host_op = host_mkdir,
};
const struct work work_rename = {
	.name = "rename", .unit = "ops", .what = "rename in a directory",
	.mount = mount_rename, .step = step_rename,
	.host_before = host_own, .host_op = host_rename,
};
