/* SPDX-License-Identifier: BSD-3-Clause */
#include <ftw.h>
#include <poll.h>
#include <sys/eventfd.h>

#include "hostile.h"

struct hostile hx;

void hostile_init(const char *area, int argc, char **argv)
{
	uint64_t seed = random_seed_from_env();

	func_init(area, argc, argv);
	printf("# HOSTILE_SEED=%llu\n", (unsigned long long)seed);
	random_seed(seed);
}

void hostile_start(const char *const *args, const struct vmm_opts *opts)
{
	func_start_daemon(args);
	hostile_connect(opts);
}

void hostile_connect(const struct vmm_opts *opts)
{
	struct vmm_opts o = opts ? *opts : (struct vmm_opts){ .request_queues = 1 };
	struct fuse_attr_out a;

	o.request_queues++;
	host_text("witness", "here");
	func_connect(&o);
	func_init_session();
	ok(guest_attach(&hx.witness, &fx.v, fx.v.nrings - 1, 4096));
	ok(mem_alloc(&fx.v.mem, 0, HOSTILE_IN_MAX, 4096, &hx.in));
	ok(mem_alloc(&fx.v.mem, 0, HOSTILE_OUT_MAX, 4096, &hx.out));
	hx.err_fd = host(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_ERR, 1, hx.err_fd));
	ok(guest_lookup(&hx.witness, FUSE_ROOT_ID, "witness", &hx.file));
	ok(guest_getattr(&hx.witness, hx.file.nodeid, GUEST_NO_FH, &a)); /* opens its node */
	hx.fds = daemon_fds(&fx.d);
}

static int open_up(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	if (S_ISDIR(st->st_mode) || S_ISREG(st->st_mode))
		(void)chmod(path, S_ISDIR(st->st_mode) ? 0777 : 0666);
	return 0;
}

void hostile_open_up(void)
{
	/* A directory that cannot be read is only entered the next time. */
	for (int depth = 0; depth < 4; depth++)
		nftw(fx.d.share, open_up, 32, FTW_PHYS);
}

void hostile_served(void)
{
	struct fuse_entry_out e;
	struct fuse_attr_out a;

	ok(guest_getattr(&hx.witness, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ok(guest_lookup(&hx.witness, FUSE_ROOT_ID, "witness", &e));
	ck_assert_uint_eq(e.attr.ino, hx.file.attr.ino);
}

void hostile_end(void)
{
	int now;

	ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
	ok(guest_lookup(&hx.witness, FUSE_ROOT_ID, "witness", &hx.file));
	now = daemon_fds_settle(&fx.d, hx.fds, wait_scaled(3000));
	ck_assert_msg(now <= hx.fds, "%d descriptors, %d at the start", now, hx.fds);
	ck_assert_uint_eq(hx.witness.ring->lost, 0);
	guest_detach(&hx.witness);
	func_end();
}

void hostile_ended(const char *words)
{
	int status;

	ck_assert_msg(front_hung_up(&fx.v.front, wait_scaled(8000)), "the session goes on");
	status = daemon_wait(&fx.d, wait_scaled(8000));
	ck_assert_msg(status == 0 || status == 1, "ended with %d:\n%s", status,
		      daemon_log(&fx.d));
	ck_assert_msg(!daemon_log_sanitizer(&fx.d), "sanitizer report:\n%s", daemon_log(&fx.d));
	ck_assert_msg(daemon_log_has(&fx.d, words), "no word of '%s':\n%s", words,
		      daemon_log(&fx.d));
	if (hx.witness.vmm)
		guest_detach(&hx.witness);
	func_hang_up();
	daemon_discard(&fx.d);
}

void hostile_stopped(const char *words)
{
	struct pollfd p = { .fd = hx.err_fd, .events = POLLIN };
	const char *log;
	eventfd_t n;

	ck_assert_msg(poll(&p, 1, wait_scaled(5000)) == 1, "queue 1 is not stopped (%s)", words);
	host(eventfd_read(hx.err_fd, &n));
	log = daemon_log(&fx.d) + hx.log_seen;
	ck_assert_msg(strstr(log, "queue 1 stopped") && strstr(log, words),
		      "no word of '%s':\n%s", words, log);
	hx.log_seen += strlen(log);
}

void hostile_restart(void)
{
	struct ring *r = &fx.v.ring[1];
	unsigned int base;

	ok(vmm_ring_stop(&fx.v, r, &base));
	ring_reset(r, base);
	ok(vmm_ring_start(&fx.v, r, base));
}
