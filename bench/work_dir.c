/* SPDX-License-Identifier: BSD-3-Clause */
/* Directories: listed with and without attributes, walked, and looked up by the million. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wait.h"
#include "work_step.h"

#define LIST_SIZE PAGE		/* what Linux guests ask for */

static int mount_dirs(struct target *t)
{
	struct bench *b = t->bench;
	int r = mount_names(t, "dirs", 'd', b->scale.dirs);

	return r < 0 ? r : hold_room(t, (uint64_t)b->scale.dirs * (b->scale.entries + 2));
}

static bool is_dot(const struct fuse_dirent *d)
{
	return d->name[0] == '.' && (d->namelen == 1 || (d->namelen == 2 && d->name[1] == '.'));
}

/* Goes through one reply of READDIR: counts, and remembers where to go on. */
static int take_entries(struct load_lane *l)
{
	const uint8_t *buf = load_data(&l->call, 0);
	const struct fuse_dirent *d;

	for (size_t at = 0; (d = guest_dirent(buf, l->result, &at));) {
		l->pos = d->off;
		l->load->res.units += !is_dot(d);
	}
	return 0;
}

static int push_dir(struct target *t, uint64_t node)
{
	pthread_mutex_lock(&t->stack_lock);
	t->stack[t->nstack++] = node;
	pthread_mutex_unlock(&t->stack_lock);
	return 0;
}

/* The same for READDIRPLUS: each entry but the dots has been looked up. */
static int take_plus(struct load_lane *l, bool walk)
{
	const uint8_t *buf = load_data(&l->call, 0);
	const struct fuse_direntplus *d;
	int r = 0;

	for (size_t at = 0; r == 0 && (d = guest_direntplus(buf, l->result, &at));) {
		l->pos = d->dirent.off;
		if (is_dot(&d->dirent))
			continue;
		l->load->res.units++;
		if (d->entry_out.nodeid)
			r = hold(target_of(l), d->entry_out.nodeid);
		if (walk && S_ISDIR(d->entry_out.attr.mode))
			push_dir(target_of(l), d->entry_out.nodeid);
	}
	return r;
}

/* OPENDIR, then READDIR or READDIRPLUS to the end, RELEASEDIR; l->node is the directory. */
static int step_list(struct load_lane *l, uint32_t opcode, bool walk)
{
	int r = 0;

	switch (l->step++) {
	case 0:
		return send_open(l, FUSE_OPENDIR, l->node, O_RDONLY | O_DIRECTORY);
	case 1:
		if (l->result < 0)
			return l->result;
		l->fh = opened(l)->fh;
		l->pos = 0;
		break;
	case 2:
		if (l->result < 0)
			return l->result;
		if (l->result == 0)
			return send_release(l, FUSE_RELEASEDIR, l->node, l->fh, O_RDONLY);
		r = opcode == FUSE_READDIR ? take_entries(l) : take_plus(l, walk);
		l->step = 2;
		break;
	default:
		return l->result < 0 ? l->result : LOAD_DONE;
	}
	return r < 0 ? r : send_read(l, opcode, l->node, l->fh, l->pos, LIST_SIZE, O_RDONLY);
}

static int step_readdir(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step == 0)
		l->node = t->node[load_random(l) % t->bench->scale.dirs];
	return step_list(l, FUSE_READDIR, false);
}

static int step_readdirplus(struct load_lane *l)
{
	struct target *t = target_of(l);
	uint64_t n = t->bench->scale.dirs;

	if (l->step == 0) {
		uint64_t i = take_next(t, n);

		if (i == n)
			return LOAD_END;
		l->node = t->node[i];
	}
	return step_list(l, FUSE_READDIRPLUS, false);
}

/* --- the tree --- */

static void tree_size(const struct scale *s, uint64_t *ret_dirs, uint64_t *ret_all)
{
	uint64_t f = s->fanout;

	*ret_dirs = 1 + f + f * f + f * f * f;
	*ret_all = *ret_dirs * (1 + s->leaves);
}

static int mount_tree(struct target *t)
{
	uint64_t dirs, all;
	int r = mount_names(t, "tree", 'd', 0);

	tree_size(&t->bench->scale, &dirs, &all);
	t->stack = calloc(dirs + 1, sizeof(*t->stack));
	pthread_mutex_init(&t->stack_lock, NULL);
	if (!t->stack)
		return -ENOMEM;
	return r < 0 ? r : hold_room(t, all);
}

static int before_tree(struct target *t)
{
	t->nstack = 0;
	push_dir(t, t->dir);
	return restart(t);
}

static int step_tree(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step == 0) {
		pthread_mutex_lock(&t->stack_lock);
		l->node = t->nstack ? t->stack[--t->nstack] : 0;
		pthread_mutex_unlock(&t->stack_lock);
		if (!l->node)
			return LOAD_IDLE;
	}
	return step_list(l, FUSE_READDIRPLUS, true);
}

/* --- a million nodes --- */

#define NODES_DIR 1000

static uint64_t node_dirs(struct bench *b)
{
	return (b->scale.nodes + NODES_DIR - 1) / NODES_DIR;
}

static int mount_nodes(struct target *t)
{
	int r = mount_names(t, "nodes", 'd', 0);

	return r < 0 ? r : hold_room(t, node_dirs(t->bench) * (NODES_DIR + 1));
}

static int before_nodes(struct target *t)
{
	for (unsigned int q = 0; q < t->bench->queues; q++)
		for (unsigned int i = 0; i < t->bench->depth; i++)
			t->load[q].lane[i].node = 0;
	return restart(t);
}

/* A lane takes a directory: l->node, and looks up file after file in it: l->pos. */
static int step_nodes(struct load_lane *l)
{
	struct target *t = target_of(l);
	uint64_t n = node_dirs(t->bench);
	char name[16];

	if (l->step++ == 0) {
		bool enter = !l->node || l->pos == NODES_DIR;
		uint64_t i = enter ? take_next(t, n) : 0;

		if (enter && i == n)
			return LOAD_END;
		if (enter)
			l->node = 0;
		name_of(name, enter ? 'd' : 'f', enter ? i : l->pos++);
		return send_lookup(l, enter ? t->dir : l->node, name);
	}
	if (l->result < 0)
		return l->result;
	if (!l->node) {
		l->node = entry_of(l)->nodeid;
		l->pos = 0;
	}
	l->load->res.units++;
	return hold(t, entry_of(l)->nodeid) < 0 ? -ENOSPC : LOAD_DONE;
}

static int after_nodes(struct target *t)
{
	int64_t since = wait_now_ns();
	int r = forget_held(t);

	t->extra_ns = wait_now_ns() - since;
	return r;
}

/* --- by plain system calls --- */

/* One directory, with the attributes of each entry if `plus`; the number of entries. */
static int host_list(int at, const char *name, bool plus, bool walk)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0, sub;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct statx stx;

	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		n++;
		if (plus && statx(fd, e->d_name, AT_SYMLINK_NOFOLLOW, STATX_BASIC_STATS, &stx))
			n = -errno;
		sub = walk && e->d_type == DT_DIR ? host_list(fd, e->d_name, plus, walk) : 0;
		n = sub < 0 || n < 0 ? -EIO : n + sub;
		if (n < 0)
			break;
	}
	if (!dir)
		return -errno;
	closedir(dir);
	return n;
}

static int host_readdir(struct host *h)
{
	char path[32];

	snprintf(path, sizeof(path), "dirs/d%06u",
		 (unsigned int)(h->pos++ % h->bench->scale.dirs));
	return host_list(h->share, path, h->bench->work->set, false);
}

static int host_readdirplus(struct host *h)
{
	return h->pos == h->bench->scale.dirs ? -ENODATA : host_readdir(h);
}

static int host_tree(struct host *h)
{
	return h->pos++ ? -ENODATA : host_list(h->share, "tree", true, true);
}

static int host_before_nodes(struct host *h)
{
	h->pos = 0;
	if (h->fd < 0)
		h->fd = host_opendir(h, "nodes");
	return h->fd < 0 ? h->fd : 0;
}

static int host_nodes(struct host *h)
{
	char name[32];
	uint64_t i = h->pos++;

	if (i / NODES_DIR == node_dirs(h->bench))
		return -ENODATA;
	snprintf(name, sizeof(name), "d%06u/f%06u", (unsigned int)(i / NODES_DIR),
		 (unsigned int)(i % NODES_DIR));
	return host_look(h->fd, name);
}

const struct work work_readdir = {
	.name = "readdir", .unit = "entries", .what = "whole directories, names alone",
	.data_max = PAGE, .make = make_dirs, .mount = mount_dirs, .step = step_readdir,
	.host_before = host_restart, .host_op = host_readdir,
};
const struct work work_readdirplus = {
	.name = "readdirplus", .unit = "entries",
	.what = "whole directories that the guest does not know yet, with attributes",
	.data_max = PAGE, .set = true, .make = make_dirs, .mount = mount_dirs, .before = restart,
	.after = forget_held, .step = step_readdirplus,
	.host_before = host_restart, .host_op = host_readdirplus,
};
const struct work work_tree = {
	.name = "tree", .unit = "entries", .what = "a tree of folders that is not known, walked",
	.data_max = PAGE, .set = true, .make = make_tree, .mount = mount_tree,
	.before = before_tree, .after = forget_held, .step = step_tree,
	.host_before = host_restart, .host_op = host_tree,
};
const struct work work_nodes = {
	.name = "nodes", .unit = "nodes", .what = "many files looked up, held, and forgotten",
	.set = true, .make = make_nodes, .mount = mount_nodes, .before = before_nodes,
	.after = after_nodes, .step = step_nodes,
	.host_before = host_before_nodes, .host_op = host_nodes,
};
