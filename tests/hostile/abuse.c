/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Abuse at random, for a time: hostile-abuse [SECONDS], 5 by default
 *
 * First a guest that lives for three quarters of it: garbage on several queues at once, while
 * another process rewrites the memory that they lie in; the front-end restarts what was stopped,
 * moves memory, resets. A witness on a queue of its own, in memory of its own, must be served all
 * the time. About once a second all that the guest holds is dropped, and descriptors and memory
 * are counted: they may not grow. Then front-ends, a session each, that send garbage, too.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>

#include "hostile.h"

/* Check writes a line to a file for each assertion, which is a lot in ten minutes. */
#undef ok
#define ok(call) do {								\
	int64_t ok_r = (call);							\
	if (ok_r < 0)								\
		ck_abort_msg("%s: %s", #call, strerror(-(int)ok_r));		\
} while (0)
#define must(expr, ...) do {							\
	if (!(expr))								\
		ck_abort_msg(__VA_ARGS__);					\
} while (0)

#define MIB		(1ull << 20)
#define ATTACKED	0x80000000ull
#define QUEUES		3
#define SLOTS		64		/* requests under way on each */
#define SLOT_IN		16384u
#define SLOT_OUT	8192u
#define WARM_UP		3		/* samples that do not count */
#define GROWTH_KB	(16 << 10)

static struct garbage garbage;
static struct mem_buf slots, log_buf;
static struct rewriter rewriter;
static bool rewriting;
static int log_fd;

static struct {
	uint64_t requests, replies, restarts, resets, tables, samples, sessions, ended;
	int fds_first, fds_last, fds_most;
	long rss_first, rss_last, rss_most;
} sum;

/* --- the machine --- */

static struct ring *ring_of(unsigned int q)
{
	return &fx.v.ring[1 + q];
}

static uint8_t *slot_in(unsigned int q, unsigned int i)
{
	return slots.host + (q * SLOTS + i) * (SLOT_IN + SLOT_OUT);
}

/* The attacked queues, in the memory that is rewritten. */
static void move_rings(void)
{
	for (unsigned int q = 0; q < QUEUES; q++) {
		struct ring *r = ring_of(q);
		unsigned int base;

		ok(vmm_ring_stop(&fx.v, r, &base));
		ring_free(r);
		ok(ring_init(r, &fx.v.mem, 1, 1 + q, 256, random_one_in(2), base));
		r->event_idx = fx.v.front.features & VU_F_EVENT_IDX;
		ok(vmm_ring_start(&fx.v, r, base));
	}
	ok(mem_alloc(&fx.v.mem, 1, QUEUES * SLOTS * (SLOT_IN + SLOT_OUT), 4096, &slots));
}

static void tree(void)
{
	(void)mkdir(host_path("dir"), 0777);
	host_text("file", "0123456789");
	(void)!symlink("../canary", host_path("link"));
	host_text("witness", "here");
}

static void empty_share(void)
{
	DIR *dir = opendir(fx.d.share);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			daemon_remove_tree(host_path(e->d_name));
	if (dir)
		closedir(dir);
}

/* What the guest can fill is a file system of its own; where that cannot be had, it may not ask
 * for space that no limit of ours covers. */
static void start_on_little_space(const char *const *args)
{
	struct daemon_opts o = { .args = args };

	ok(daemon_prepare(&fx.d));
	garbage.no_fallocate = unshare(CLONE_NEWNS) < 0 ||
			       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
			       mount("tmpfs", fx.d.share, "tmpfs", 0, "size=64m") < 0;
	host(chmod(fx.d.share, 0777));
	ok(daemon_spawn(&fx.d, &o));
}

static void start_guest(void)
{
	static const char *const with_locks[] = { "--xattr", "-o", "posix_lock,flock,writeback",
						  "--cache=auto", "--rlimit-nofile=1024", NULL };
	static const char *const no_open[] = { "--xattr", "--writeback", "--cache=always",
					       "--no-open", "--rlimit-nofile=1024", NULL };
	static const struct mem_spec regions[] = { { .gpa = 0x40000000, .size = 32 * MIB },
						   { .gpa = ATTACKED, .size = 16 * MIB } };
	struct vmm_opts o = { .request_queues = QUEUES, .queue_size = 256, .regions = regions,
			      .nregions = 2 };
	struct rlimit small = { 16 * MIB, 16 * MIB };

	start_on_little_space(random_one_in(3) ? no_open : with_locks);
	hostile_connect(&o);
	/* Holes may be large, files may not. */
	(void)prlimit(daemon_worker(&fx.d), RLIMIT_FSIZE, &small, NULL);
	canary_place();
	move_rings();
	tree();
	log_fd = host(memfd_create("log", MFD_CLOEXEC));
	host(ftruncate(log_fd, MIB));
	ok(mem_alloc(&fx.v.mem, 1, 4096, 4096, &log_buf));
}

/* --- requests --- */

static unsigned int cut(struct ring_piece *piece, uint64_t gpa, uint32_t len)
{
	unsigned int n = 0;

	while (len && n < 15) {
		uint32_t now = random_one_in(2) ? len : 1 + random_below(len);

		piece[n++] = (struct ring_piece){ gpa, now };
		gpa += now;
		len -= now;
	}
	if (len)
		piece[n++] = (struct ring_piece){ gpa, len };
	return n;
}

static void spoil(struct ring *r, struct ring_piece *piece, unsigned int n)
{
	struct ring_piece *p = &piece[random_below(n)];

	switch (random_below(6)) {
	case 0:
		p->gpa = random_odd();
		break;
	case 1:
		p->len = random_odd();
		break;
	case 2:
		p->gpa = r->desc_buf.gpa + random_below(r->desc_buf.len);
		break;
	case 3:
		ring_publish(r, random_u64());
		break;
	case 4:
		ring_desc(r, random_below(r->size), random_odd(), random_odd(), random_u64(),
			  random_u64());
		break;
	default:
		r->avail->idx = random_u64();
	}
}

static void add_request(unsigned int q)
{
	struct ring *r = ring_of(q);
	unsigned int i = random_below(SLOTS), nr, nw;
	uint8_t buf[SLOT_IN], *in = slot_in(q, i);
	uint64_t gpa = ATTACKED + (in - fx.v.mem.region[1].host);
	struct mem_buf table = { gpa + SLOT_IN - 1024, in + SLOT_IN - 1024, 1024 };
	struct ring_piece piece[40];
	size_t len = garbage_request(&garbage, buf);

	if (len > SLOT_IN - 1024)
		len = SLOT_IN - 1024;
	memcpy(in, buf, len);
	nr = cut(piece, gpa, len);
	nw = cut(piece + nr, gpa + SLOT_IN, random_one_in(8) ? random_below(64) : SLOT_OUT);
	if (random_one_in(60))
		spoil(r, piece, nr + nw);
	if (ring_add(r, piece, nr, nw, random_one_in(2) ? &table : NULL, in) >= 0)
		sum.requests++;
}

/* What came back; the memory is the rewriter's as much as ours, so nothing is certain. */
static void take_replies(unsigned int q)
{
	struct ring_done done;

	while (ring_poll(ring_of(q), &done) > 0) {
		const uint8_t *in = done.cookie;
		const struct fuse_out_header *h = (const void *)(in + SLOT_IN);

		sum.replies++;
		if (in && done.len > sizeof(*h) && done.len <= SLOT_OUT && h->error == 0)
			garbage_learn(&garbage, ((const struct fuse_in_header *)in)->opcode, h + 1,
				      done.len - sizeof(*h));
	}
}

/* --- what the front-end does --- */

static void restart(unsigned int q)
{
	struct ring *r = ring_of(q);
	unsigned int base;

	ok(vmm_ring_stop(&fx.v, r, &base));
	if (random_one_in(20))
		base = random_below(65536);
	ring_reset(r, base);
	ok(vmm_ring_start(&fx.v, r, base));
	sum.restarts++;
}

static void witness(void)
{
	struct fuse_attr_out a;
	int r = -EIO;

	/* Others may begin and end the session at any time. */
	for (int i = 0; i < 200 && r == -EIO; i++) {
		r = guest_getattr(&hx.witness, FUSE_ROOT_ID, GUEST_NO_FH, &a);
		if (r == -EIO)
			ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
	}
	must(r == 0, "the witness is not served: %d", r);
}

static void reset(void)
{
	struct front *f = &fx.v.front;

	ok(front_reset_device(f));
	for (unsigned int i = 0; i < fx.v.nrings; i++) {
		ring_reset(&fx.v.ring[i], 0);
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], 0));
	}
	sum.resets++;
}

static void move_memory(void)
{
	if (random_one_in(2)) {
		ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
	} else {
		ok(front_rem_mem_reg(&fx.v.front, &fx.v.mem, 1));
		witness();
		ok(front_add_mem_reg(&fx.v.front, &fx.v.mem, 1));
	}
	sum.tables++;
}

static void toggle_log(void)
{
	struct front *f = &fx.v.front;

	ok(front_set_log_base(f, log_fd, 4096 << random_below(8), 0));
	ok(front_set_features(f, random_one_in(2) ? f->features | VU_F_LOG_ALL
						  : f->features & ~VU_F_LOG_ALL));
}

/* --- who rewrites --- */

static void scribble(void *arg)
{
	uint8_t *at = fx.v.mem.region[1].host;
	unsigned int burst = random_below(200);

	for (unsigned int i = 0; i < burst; i++) {
		struct ring *r = ring_of(random_below(QUEUES));
		uint64_t v = random_odd();

		switch (random_below(4)) {
		case 0:
			at = slot_in(0, 0) + random_below(slots.len / 8) * 8;
			break;
		case 1:		/* a header, or what follows it */
			at = slot_in(random_below(QUEUES), random_below(SLOTS)) +
			     8 * random_below(16);
			break;
		case 2:
			at = r->desc_buf.host + 8 * random_below(512);
			break;
		default:
			at = r->avail_buf.host + 8 * random_below(64);
		}
		__atomic_store_n((uint64_t *)at, v, __ATOMIC_RELAXED);
	}
	wait_sleep_ms(random_below(20));
}

static void rewrite(bool on)
{
	if (on == rewriting)
		return;
	if (on)
		rewriter_start(&rewriter, scribble, NULL);
	else
		rewriter_stop(&rewriter);
	rewriting = on;
}

/* --- samples --- */

static void sample(void)
{
	long rss;
	int fds;

	rewrite(false);
	for (unsigned int q = 0; q < QUEUES; q++)
		restart(q);
	/* Everything that the guest holds is dropped, whoever holds it. */
	ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
	memset(garbage.node, 0, sizeof(garbage.node));
	memset(garbage.fh, 0, sizeof(garbage.fh));
	fds = daemon_fds_settle(&fx.d, hx.fds, wait_scaled(1000));
	rss = daemon_rss_kb(&fx.d);
	canary_alive();
	hostile_open_up();
	empty_share();
	tree();
	must(daemon_wait(&fx.d, 0) == -ETIMEDOUT, "the daemon has gone:\n%s",
		      daemon_log(&fx.d));
	if (sum.samples++ < WARM_UP)
		sum.fds_first = fds, sum.rss_first = rss;
	sum.fds_last = fds;
	sum.rss_last = rss;
	sum.fds_most = fds > sum.fds_most ? fds : sum.fds_most;
	sum.rss_most = rss > sum.rss_most ? rss : sum.rss_most;
	/* the dirty log, perhaps, and the error descriptor, which a reset has closed */
	must(fds <= hx.fds + 2, "%d descriptors, %d at the start", fds, hx.fds);
	must(rss <= sum.rss_first + GROWTH_KB, "%ld KiB, %ld at the start", rss,
		      sum.rss_first);
}

static void act(void)
{
	unsigned int q = random_below(QUEUES);

	for (unsigned int n = random_below(16); n; n--)
		add_request(q);
	ring_kick_always(ring_of(q));
	take_replies(q);
	if (random_one_in(60) || ring_of(q)->nfree < 40)
		restart(q);
	if (random_one_in(100))
		witness();
	if (random_one_in(500))
		move_memory();
	if (random_one_in(500))
		toggle_log();
	if (random_one_in(3000))
		reset();
	if (random_one_in(200))
		rewrite(random_one_in(2));
}

static void abuse_guest(int64_t until)
{
	start_guest();
	while (wait_now_ms() < until) {
		int64_t next = wait_now_ms() + 1000;

		while (wait_now_ms() < next && wait_now_ms() < until)
			act();
		sample();
	}
	close(log_fd);
	guest_detach(&hx.witness);
	func_end();
}

/* --- front-ends --- */

static void scribble_anywhere(void *arg)
{
	const struct mem_region *m = &fx.v.mem.region[0];
	uint64_t *at = (uint64_t *)(m->host + random_below(m->next / 8) * 8);

	__atomic_store_n(at, random_odd(), __ATOMIC_RELAXED);
}

static void abuse_front(void)
{
	int status;

	func_start();
	rewriter_start(&rewriter, scribble_anywhere, NULL);
	for (unsigned int n = random_below(300); n; n--) {
		if (random_one_in(3))
			garbage_message(&fx.v.front);
		ring_kick_always(&fx.v.ring[random_below(2)]);
		if (random_one_in(400))
			(void)!ftruncate(fx.v.mem.region[0].fd, random_below(64) * MIB);
		if (front_hung_up(&fx.v.front, random_below(2)))
			break;
	}
	rewriter_stop(&rewriter);
	func_hang_up();
	status = daemon_wait(&fx.d, wait_scaled(9000));
	must(status == 0 || status == 1, "ended with %d:\n%s", status,
		      daemon_log(&fx.d));
	must(!daemon_log_sanitizer(&fx.d), "%s", daemon_log(&fx.d));
	sum.sessions++;
	sum.ended += status;
	daemon_discard(&fx.d);
}

static int seconds = 5;

START_TEST(abuse_at_random)
{
	int64_t start = wait_now_ms(), end = start + seconds * 1000ll;

	abuse_guest(start + seconds * 750ll);
	while (wait_now_ms() < end)
		abuse_front();
	printf("# %llu requests, %llu answered; %llu ring restarts, %llu resets, %llu table changes\n",
	       (unsigned long long)sum.requests, (unsigned long long)sum.replies,
	       (unsigned long long)sum.restarts, (unsigned long long)sum.resets,
	       (unsigned long long)sum.tables);
	printf("# %llu samples: descriptors %d to %d (most %d), memory %ld to %ld KiB (most %ld)\n",
	       (unsigned long long)sum.samples, sum.fds_first, sum.fds_last, sum.fds_most,
	       sum.rss_first, sum.rss_last, sum.rss_most);
	printf("# %llu sessions of front-ends, %llu of them ended by the daemon\n",
	       (unsigned long long)sum.sessions, (unsigned long long)sum.ended);
	fflush(stdout);
}
END_TEST

int main(int argc, char **argv)
{
	if (argc > 1)
		seconds = atoi(argv[1]);
	hostile_init("abuse", 1, argv);
	func_test_long(abuse_at_random, 2 * seconds + 60);
	return func_done();
}
