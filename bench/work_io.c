/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads and writes of one large file, and the request that does nothing. */
#include <errno.h>
#include <sys/uio.h>
#include <unistd.h>

#include "work_step.h"

#define MIB (1u << 20)

static int mount_data(struct target *t)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	int r = guest_lookup(&t->guest, FUSE_ROOT_ID, "data", &e);

	if (r == 0)
		r = guest_open(&t->guest, e.nodeid, O_RDWR | t->bench->work->open_flags, &o);
	t->file = e.nodeid;
	t->fh = r == 0 ? o.fh : 0;
	return r;
}

static uint64_t random_page(struct load_lane *l)
{
	return load_random(l) % (target_of(l)->bench->scale.data / PAGE) * PAGE;
}

/* The file from its start to its end, again and again, by all lanes together */
static uint64_t next_mib(struct load_lane *l)
{
	struct target *t = target_of(l);

	return __atomic_fetch_add(&t->cursor, 1, __ATOMIC_RELAXED) %
	       (t->bench->scale.data / MIB) * MIB;
}

static int done(struct load_lane *l, int want)
{
	if (l->result != want)
		return l->result < 0 ? l->result : -EIO;
	l->load->res.units++;
	return LOAD_DONE;
}

static uint32_t file_flags(struct load_lane *l)
{
	return O_RDWR | target_of(l)->bench->work->open_flags;
}

static int step_read(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step++ == 0)
		return send_read(l, FUSE_READ, t->file, t->fh, random_page(l), PAGE,
				 file_flags(l));
	return done(l, PAGE);
}

static int step_write(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step++ == 0)
		return send_write(l, t->file, t->fh, random_page(l), PAGE, file_flags(l));
	return done(l, sizeof(struct fuse_write_out));
}

static int step_read_mib(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step++ == 0)
		return send_read(l, FUSE_READ, t->file, t->fh, next_mib(l), MIB, O_RDWR);
	return done(l, MIB);
}

static int step_write_mib(struct load_lane *l)
{
	struct target *t = target_of(l);

	if (l->step++ == 0)
		return send_write(l, t->file, t->fh, next_mib(l), MIB, O_RDWR);
	return done(l, sizeof(struct fuse_write_out));
}

static int step_sync(struct load_lane *l)
{
	struct target *t = target_of(l);
	struct fuse_fsync_in *in;

	switch (l->step++) {
	case 0:
		return send_write(l, t->file, t->fh, random_page(l), PAGE, O_RDWR);
	case 1:
		if (l->result < 0)
			return l->result;
		load_begin(&l->call, FUSE_FSYNC, t->file);
		in = load_arg(&l->call, sizeof(*in));
		*in = (struct fuse_fsync_in){ .fh = t->fh, .fsync_flags = 1 };
		return LOAD_SEND;
	default:
		return done(l, 0);
	}
}

/* BMAP: well-formed, and carried out by no virtio-fs daemon. */
static int step_empty(struct load_lane *l)
{
	struct fuse_bmap_in *in;

	if (l->step++ == 0) {
		load_begin(&l->call, FUSE_BMAP, FUSE_ROOT_ID);
		in = load_arg(&l->call, sizeof(*in));
		*in = (struct fuse_bmap_in){ .blocksize = PAGE };
		load_room(&l->call, sizeof(struct fuse_bmap_out));
		return LOAD_SEND;
	}
	return done(l, -ENOSYS);
}

/* --- by plain system calls --- */

static int host_open_data(struct host *h)
{
	if (h->fd < 0)
		h->fd = openat(h->share, "data",
			       O_RDWR | O_CLOEXEC | h->bench->work->open_flags);
	return h->fd < 0 ? -errno : 0;
}

static uint64_t host_random_page(struct host *h)
{
	h->random ^= h->random << 13;
	h->random ^= h->random >> 7;
	h->random ^= h->random << 17;
	return (h->random >> 11) % (h->bench->scale.data / PAGE) * PAGE;
}

static uint64_t host_next_mib(struct host *h)
{
	return h->pos++ % (h->bench->scale.data / MIB) * MIB;
}

static int host_done(ssize_t n, ssize_t want)
{
	if (n != want)
		return n < 0 ? -errno : -EIO;
	return 1;
}

static int host_read(struct host *h)
{
	return host_done(preadv(h->fd, h->iov, 1, host_random_page(h)), PAGE);
}

static int host_write(struct host *h)
{
	return host_done(pwritev(h->fd, h->iov, 1, host_random_page(h)), PAGE);
}

static int host_read_mib(struct host *h)
{
	return host_done(preadv(h->fd, h->iov, MIB / PAGE, host_next_mib(h)), MIB);
}

static int host_write_mib(struct host *h)
{
	return host_done(pwritev(h->fd, h->iov, MIB / PAGE, host_next_mib(h)), MIB);
}

static int host_sync(struct host *h)
{
	int r = host_write(h);

	return r > 0 && fdatasync(h->fd) < 0 ? -errno : r;
}

const struct work work_empty = {
	.name = "empty", .unit = "ops", .what = "a request that is answered ENOSYS (BMAP)",
	.step = step_empty,
};

#define DATA_WORK(NAME, WHAT, SIZE, STEP, HOST, ...) {				\
	.name = NAME, .unit = "ops", .what = WHAT, .data_max = SIZE,		\
	.unit_bytes = SIZE, .make = make_data, .mount = mount_data,		\
	.step = STEP, .host_before = host_open_data, .host_op = HOST, __VA_ARGS__ }

const struct work work_read =
	DATA_WORK("read4k", "4 KiB reads at random", PAGE, step_read, host_read);
const struct work work_write =
	DATA_WORK("write4k", "4 KiB writes at random", PAGE, step_write, host_write);
const struct work work_read_mib =
	DATA_WORK("read1m", "1 MiB reads in sequence", MIB, step_read_mib, host_read_mib);
const struct work work_write_mib =
	DATA_WORK("write1m", "1 MiB writes in sequence", MIB, step_write_mib, host_write_mib);
const struct work work_direct_read =
	DATA_WORK("direct4k", "4 KiB reads at random with O_DIRECT", PAGE, step_read, host_read,
		  .open_flags = O_DIRECT, .option = "direct=1");
const struct work work_sync =
	DATA_WORK("fsync", "4 KiB write and fdatasync", PAGE, step_sync, host_sync);
