/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What one request that takes its time does to the others: the first lane sends it, the others
 * work on a file that is quick, and only they are measured. Each has a twin in which the first
 * lane does nothing. And a daemon that is left alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "work_step.h"

#define LOCKED "data"

static int make_slow(struct bench *b)
{
	return slowfs_mount(b->share, &b->slowfs);
}

static int open_file(struct target *t, const char *name, uint64_t *ret_node, uint64_t *ret_fh)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	int r = guest_lookup(&t->guest, FUSE_ROOT_ID, name, &e);

	if (r == 0)
		r = guest_open(&t->guest, e.nodeid, O_RDWR, &o);
	*ret_node = e.nodeid;
	*ret_fh = o.fh;
	return r;
}

/* t->file is for all, t->dir the node that lane 0 is at work on, t->own its handle */
static int mount_slow(struct target *t)
{
	int r = open_file(t, SLOWFS_FAST, &t->file, &t->fh);

	return r < 0 ? r : open_file(t, SLOWFS_SLOW, &t->dir, &t->own);
}

static int mount_lock(struct target *t)
{
	int r = open_file(t, LOCKED, &t->file, &t->fh);

	t->dir = t->file;
	t->own = t->fh;
	return r;
}

static int disturb(struct target *t, bool on)
{
	t->load[0].lane[0].apart = true;
	t->disturbed = on;
	t->answer = 0;
	return 0;
}

static int before_disturbed(struct target *t)
{
	return disturb(t, true);
}

static int before_quiet(struct target *t)
{
	return disturb(t, false);
}

/* Attributes and reads in turn */
static int step_quick(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step++ == 0) {
		if (l->pos++ % 2)
			return send_getattr(l, t->file);
		return send_read(l, FUSE_READ, t->file, t->fh, 0, PAGE, O_RDWR);
	}
	if (l->result < 0)
		return l->result;
	l->load->res.units++;
	return LOAD_DONE;
}

static int step_slow(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (!l->apart)
		return step_quick(l);
	if (!t->disturbed)
		return LOAD_END;
	if (l->step++ == 0)
		return send_read(l, FUSE_READ, t->dir, t->own, 0, PAGE, O_RDWR);
	return l->result < 0 ? l->result : LOAD_DONE;
}

/* --- a lock that somebody on the host holds --- */

static int set_lock(int fd, int type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

static int before_lock(struct target *t)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/" LOCKED, t->bench->share);
	t->lock_fd = open(path, O_RDWR | O_CLOEXEC);
	if (t->lock_fd < 0)
		return -errno;
	disturb(t, true);
	return set_lock(t->lock_fd, F_WRLCK);
}

static void unlock(void *target)
{
	struct target *t = target;

	if (t->lock_fd >= 0)
		close(t->lock_fd);
	t->lock_fd = -1;
}

static int after_lock(struct target *t)
{
	unlock(t);
	return 0;
}

static int send_lock(struct load_lane *l, uint32_t opcode, uint32_t type)
{
	struct target *t = target_of(l);
	struct fuse_lk_in *in;

	load_begin(&l->call, opcode, t->dir);
	in = load_arg(&l->call, sizeof(*in));
	*in = (struct fuse_lk_in){ .fh = t->own, .owner = 0x77, .lk = { .end = INT64_MAX,
				   .type = type, .pid = 1 } };
	return LOAD_SEND;
}

static int step_lock(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (!l->apart)
		return step_quick(l);
	if (!t->disturbed)
		return LOAD_END;
	switch (l->step++) {
	case 0:
		return send_lock(l, FUSE_SETLKW, F_WRLCK);
	case 1:
		t->answer = l->result;
		return l->result < 0 ? LOAD_END : send_lock(l, FUSE_SETLK, F_UNLCK);
	default:
		return LOAD_END;
	}
}

#define STALL(NAME, WHAT, MAKE, MOUNT, BEFORE, STEP, ...) {			\
	.name = NAME, .unit = "ops", .what = WHAT, .data_max = PAGE, .min_depth = 2, \
	.make = MAKE, .mount = MOUNT, .before = BEFORE, .step = STEP, __VA_ARGS__ }

const struct work work_slow =
	STALL("slow", "other files, while one takes a second for each read", make_slow,
	      mount_slow, before_disturbed, step_slow);
const struct work work_slow_base =
	STALL("slow-base", "the same without that one", make_slow, mount_slow, before_quiet,
	      step_slow);
const struct work work_lock =
	STALL("lock", "other requests, while one waits for a lock", make_data, mount_lock,
	      before_lock, step_lock, .after = after_lock, .last = unlock, .option = "lock=1");
const struct work work_lock_base =
	STALL("lock-base", "the same without that one", make_data, mount_lock, before_quiet,
	      step_lock, .option = "lock=1");
const struct work work_idle = {
	.name = "idle", .unit = "s", .what = "nothing, after a mount",
};
