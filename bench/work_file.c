/* SPDX-License-Identifier: BSD-3-Clause */
/* Small files: opened and read, made and removed, unpacked. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "work_step.h"

#define FOPEN_NOFLUSH_	(1u << 5)	/* 7.35: a close needs no FLUSH */
#define UNTAR_DIR	50		/* files in a directory */
#define UNTAR_MAX	16384		/* bytes of a file */

static int done(struct load_lane *l)
{
	if (l->result < 0)
		return l->result;
	l->load->res.units++;
	return LOAD_DONE;
}

static int mount_hot(struct target *t)
{
	return mount_names(t, "hot", 'f', t->bench->scale.hot);
}

/* What a close of it takes, as Linux does from 5.16 on. */
static void keep_open(struct load_lane *l, const struct fuse_open_out *o)
{
	l->fh = o->fh;
	l->no_flush = o->open_flags & FOPEN_NOFLUSH_;
}

enum { READ_OPEN, READ_READ, READ_FLUSH, READ_RELEASE, READ_DONE };

/* A daemon that answers ENOSYS is asked for no more opens; FLUSH and RELEASE depend on it. */
static int step_open_read_close(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step && l->result < 0 && !(l->step == READ_READ && l->result == -ENOSYS))
		return l->result;
	switch (l->step++) {
	case READ_OPEN:
		l->node = t->node[load_random(l) % t->bench->scale.hot];
		l->fh = 0;
		if (!t->no_open)
			return send_open(l, FUSE_OPEN, l->node, O_RDONLY);
		l->step = READ_FLUSH;
		return send_read(l, FUSE_READ, l->node, 0, 0, PAGE, O_RDONLY);
	case READ_READ:
		if (l->result == -ENOSYS)
			t->no_open = true;
		else
			keep_open(l, opened(l));
		return send_read(l, FUSE_READ, l->node, l->fh, 0, PAGE, O_RDONLY);
	case READ_FLUSH:
		if (t->no_open)
			return done(l);
		if (!l->no_flush)
			return send_flush(l, l->node, l->fh);
		l->step++;
		/* fall through */
	case READ_RELEASE:
		return send_release(l, FUSE_RELEASE, l->node, l->fh, O_RDONLY);
	default:
		return done(l);
	}
}

static int step_create_unlink(struct load_lane *l)
{
	struct target *t = target_of(l);
	char name[16];

	if (l->step && l->result < 0)
		return l->result;
	name_of(name, 'c', l->index);
	switch (l->step++) {
	case 0:
		return send_create(l, t->own, name);
	case 1:
		l->node = entry_of(l)->nodeid;
		keep_open(l, created(l));
		return send_write(l, l->node, l->fh, 0, PAGE, O_RDWR);
	case 2:
		if (!l->no_flush)
			return send_flush(l, l->node, l->fh);
		l->step++;
		/* fall through */
	case 3:
		return send_release(l, FUSE_RELEASE, l->node, l->fh, O_RDWR);
	case 4:
		return send_remove(l, FUSE_UNLINK, t->own, name);
	default:
		load_forget(&t->forget, l->node, 1);
		return done(l);
	}
}

/* --- untar: directories of UNTAR_DIR files, made by the first lane that needs them --- */

static int before_untar(struct target *t)
{
	unsigned int n = t->bench->scale.untar, dirs = (n + UNTAR_DIR - 1) / UNTAR_DIR;
	struct fuse_entry_out e;
	int r = hold_room(t, n + dirs);

	if (r == 0)
		r = restart(t);
	free(t->node);
	t->node = calloc(dirs, sizeof(*t->node));
	for (unsigned int i = 0; i < dirs && r == 0; i++) {
		char name[16];

		name_of(name, 'd', i);
		r = guest_mkdir(&t->guest, t->own, name, 0755, 022, &e);
		t->node[i] = e.nodeid;
		if (r == 0)
			r = hold(t, e.nodeid);
	}
	return r;
}

static int remove_untarred(struct bench *b, const char *target)
{
	char path[256], name[16];
	unsigned int dirs = (b->scale.untar + UNTAR_DIR - 1) / UNTAR_DIR;

	for (unsigned int i = 0; i < dirs; i++) {
		name_of(name, 'd', i);
		snprintf(path, sizeof(path), "%s/own-%s/%s", b->share, target, name);
		daemon_remove_tree(path);
	}
	return 0;
}

static int after_untar(struct target *t)
{
	forget_held(t);
	return remove_untarred(t->bench, t->name);
}

static uint32_t untar_size(uint64_t i)
{
	return 512 + i * 7919 % (UNTAR_MAX - 512);
}

static int send_times(struct load_lane *l)
{
	struct fuse_setattr_in *in;

	load_begin(&l->call, FUSE_SETATTR, l->node);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_setattr_in){ .valid = FATTR_MTIME | FATTR_ATIME | FATTR_MODE,
					.mode = S_IFREG | 0640, .atime = 1000000000,
					.mtime = 1000000000 };
	load_room(&l->call, sizeof(struct fuse_attr_out));
	return LOAD_SEND;
}

static int step_untar(struct load_lane *l)
{
	struct target *t = target_of(l);
	uint64_t n = t->bench->scale.untar, dir;
	char name[16];

	if (l->step > 1 && l->result < 0 && !(l->step == 2 && l->result == -ENOENT))
		return l->result;
	if (l->step == 0) {
		l->pos = take_next(t, n);
		if (l->pos == n)
			return LOAD_END;
		l->step = 1;
	}
	dir = t->node[l->pos / UNTAR_DIR];
	name_of(name, 'f', l->pos);
	switch (l->step++) {
	case 1:
		return send_lookup(l, dir, name);
	case 2:
		return send_create(l, dir, name);
	case 3:
		l->node = entry_of(l)->nodeid;
		keep_open(l, created(l));
		if (hold(t, l->node) < 0)
			return -ENOSPC;
		return send_write(l, l->node, l->fh, 0, untar_size(l->pos), O_RDWR);
	case 4:
		return send_times(l);
	case 5:
		if (!l->no_flush)
			return send_flush(l, l->node, l->fh);
		l->step++;
		/* fall through */
	case 6:
		return send_release(l, FUSE_RELEASE, l->node, l->fh, O_RDWR);
	default:
		return done(l);
	}
}

/* --- by plain system calls --- */

static int host_open_hot(struct host *h)
{
	if (h->fd < 0)
		h->fd = host_opendir(h, "hot");
	return h->fd < 0 ? h->fd : 0;
}

static int host_open_read_close(struct host *h)
{
	char name[16];
	int fd, r;

	h->random = h->random * 6364136223846793005ull + 1442695040888963407ull;
	name_of(name, 'f', (h->random >> 33) % h->bench->scale.hot);
	fd = openat(h->fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = pread(fd, h->buf, PAGE, 0) == PAGE ? 1 : -EIO;
	close(fd);
	return r;
}

static int host_create(int dir, const char *name, const void *buf, size_t len, int *ret)
{
	int fd = openat(dir, name, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

	if (fd < 0)
		return -errno;
	*ret = fd;
	return pwrite(fd, buf, len, 0) == (ssize_t)len ? 0 : -EIO;
}

static int host_create_unlink(struct host *h)
{
	int fd = -1, r = host_create(h->own, "c", h->buf, PAGE, &fd);

	if (r < 0)
		return r;
	close(fd);
	return unlinkat(h->own, "c", 0) < 0 ? -errno : 1;
}

static int host_before_untar(struct host *h)
{
	unsigned int dirs = (h->bench->scale.untar + UNTAR_DIR - 1) / UNTAR_DIR;

	h->pos = 0;
	for (unsigned int i = 0; i < dirs; i++) {
		char name[16];

		name_of(name, 'd', i);
		if (mkdirat(h->own, name, 0755) < 0)
			return -errno;
	}
	return 0;
}

static int host_untar(struct host *h)
{
	const struct timespec times[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
	char path[32];
	int fd = -1, r;

	if (h->pos == h->bench->scale.untar)
		return -ENODATA;
	snprintf(path, sizeof(path), "d%06u/f%06u", (unsigned int)(h->pos / UNTAR_DIR),
		 (unsigned int)h->pos);
	r = host_create(h->own, path, h->buf, untar_size(h->pos++), &fd);
	if (r < 0)
		return r;
	if (fchmod(fd, 0640) < 0 || futimens(fd, times) < 0)
		r = -errno;
	close(fd);
	return r < 0 ? r : 1;
}

static int host_after_untar(struct host *h)
{
	return remove_untarred(h->bench, "plain");
}

const struct work work_open_read = {
	.name = "open-read", .unit = "ops", .what = "open, read 4 KiB, close of small files",
	.data_max = PAGE, .make = make_hot, .mount = mount_hot, .step = step_open_read_close,
	.host_before = host_open_hot, .host_op = host_open_read_close,
};
const struct work work_create = {
	.name = "create", .unit = "ops", .what = "create, write 4 KiB, close, unlink",
	.data_max = PAGE, .step = step_create_unlink, .host_op = host_create_unlink,
};
const struct work work_untar = {
	.name = "untar", .unit = "files",
	.what = "small files as tar makes them: look up, create, write, mode and times, close",
	.data_max = UNTAR_MAX, .set = true, .before = before_untar, .after = after_untar,
	.step = step_untar,
	.host_before = host_before_untar, .host_op = host_untar, .host_after = host_after_untar,
};
