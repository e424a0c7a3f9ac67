/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory that is not what it was: files cut short under every part of a queue and of a
 * request, tables that shrink while a queue runs, regions that cannot be.
 */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "hostile.h"

#define MIB	(1ull << 20)
#define MAIN	0x40000000ull
#define APART	0x80000000ull

/* What is cut lies in a region of its own, the rest in another. */
static const struct mem_spec regions[] = {
	{ .gpa = MAIN, .size = 32 * MIB },
	{ .gpa = APART, .size = 8 * MIB },
};

static uint64_t file;

static void start(void)
{
	static const char *const args[] = { "--xattr", NULL };
	struct vmm_opts o = { .request_queues = 1, .regions = regions, .nregions = 2 };

	hostile_start(args, &o);
	host_text("file", "0123456789");
	file = func_node("file");
}

/* --- files that are cut --- */

enum part { DESC, AVAIL, USED, TABLE, HEADER, ARGS, NAME, VALUE, REPLY, PARTS };

/* Moves one part of queue 1 into the region that will go. */
static void move_ring_part(enum part part)
{
	struct ring *r = &fx.v.ring[1];
	struct mem_buf *b = part == DESC ? &r->desc_buf : part == AVAIL ? &r->avail_buf
									 : &r->used_buf;
	struct mem_buf there;
	unsigned int base;

	ok(vmm_ring_stop(&fx.v, r, &base));
	ok(mem_alloc(&fx.v.mem, 1, b->len, 4096, &there));
	*b = there;
	r->desc = (struct vring_desc *)r->desc_buf.host;
	r->avail = (struct vring_avail *)r->avail_buf.host;
	r->used = (struct vring_used *)r->used_buf.host;
	ring_reset(r, base);
	ok(vmm_ring_start(&fx.v, r, base));
}

/* A SETXATTR or a GETATTR, each part in a descriptor of its own. */
static void submit(enum part part, const struct mem_buf *table)
{
	struct ring *r = &fx.v.ring[1];
	uint32_t args = offsetof(struct fuse_setxattr_in, setxattr_flags);
	struct ring_piece piece[5] = {
		{ hx.in.gpa, 40 }, { hx.in.gpa + 4096, args }, { hx.in.gpa + 8192, 8 },
		{ hx.in.gpa + 12288, 64 }, { hx.out.gpa, 4096 },
	};

	if (part >= HEADER)
		piece[part - HEADER].gpa = APART + MIB;
	hostile_header(FUSE_SETXATTR, file, args + 8 + 64);
	((struct fuse_setxattr_in *)(hx.in.host + 4096))->size = 64;
	memcpy(hx.in.host + 8192, "user.ab", 8);
	ok(ring_add(r, piece, 4, 1, table, NULL));
}

START_TEST(cut_file_under_any_part_ends_the_session_in_plain_words)
{
	for (enum part part = 0; part < PARTS; part++) {
		struct mem_buf table;

		fprintf(stderr, "# part %d\n", part);
		start();
		if (part < TABLE)
			move_ring_part(part);
		ok(mem_alloc(&fx.v.mem, part == TABLE, 4096, 4096, &table));
		submit(part, &table);
		/* what was in the page does not matter */
		ok(mem_truncate(&fx.v.mem, 1, 0));
		ring_kick_always(&fx.v.ring[1]);
		hostile_ended("guest memory has vanished");
	}
}
END_TEST

static void cut_and_grow(void *arg)
{
	static bool cut;

	/* its pages go and come back, empty */
	(void)!ftruncate(*(int *)arg, (cut = !cut) ? 0 : 8 * MIB);
}

START_TEST(file_cut_again_and_again_ends_the_session_at_most)
{
	for (int i = 0; i < 10; i++) {
		struct mem_buf table;
		struct rewriter w;
		int64_t end;

		start();
		ok(mem_alloc(&fx.v.mem, 0, 4096, 4096, &table));
		rewriter_start(&w, cut_and_grow, &fx.v.mem.region[1].fd);
		for (end = wait_now_ms() + 200; wait_now_ms() < end;) {
			struct ring_done done;

			submit(HEADER + random_below(PARTS - HEADER), &table);
			ring_kick(&fx.v.ring[1]);
			if (ring_wait(&fx.v.ring[1], &done, 50) != 1)
				break;
		}
		rewriter_stop(&w);
		if (front_hung_up(&fx.v.front, 100)) {
			hostile_ended("guest memory has vanished");
		} else {
			ok(mem_truncate(&fx.v.mem, 1, 8 * MIB));
			hostile_served();
			hostile_end();
		}
	}
}
END_TEST

START_TEST(cut_dirty_log_ends_the_session)
{
	int fd = host(memfd_create("log", MFD_CLOEXEC));
	struct fuse_attr_out a;

	host(ftruncate(fd, MIB));
	start();
	ok(front_set_log_base(&fx.v.front, fd, MIB, 0));
	ok(front_set_features(&fx.v.front, fx.v.front.features | VU_F_LOG_ALL));
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	host(ftruncate(fd, 0));
	guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
	call_room(&fx.g.call, sizeof(struct fuse_statfs_out));
	(void)guest_call(&fx.g);
	hostile_ended("guest memory has vanished");
	close(fd);
}
END_TEST

/* --- tables that shrink while requests come --- */

static void refill(void)
{
	struct ring *r = &fx.v.ring[1];
	struct ring_done done;

	while (ring_poll(r, &done) > 0)
		;
	while (r->nfree > 8) {
		struct ring_piece piece[2] = { { hx.in.gpa, 40 },
					       { random_one_in(2) ? APART + MIB : hx.out.gpa, 4096 } };

		hostile_header(FUSE_STATFS, FUSE_ROOT_ID, 0);
		ok(ring_add(r, piece, 1, 1, NULL, NULL));
	}
	ring_kick_always(r);
}

/* Another process keeps the ring full of what refill() has put there. */
static void offer_again(void *arg)
{
	struct ring *r = arg;
	uint16_t done = __atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE);

	while (r->used_idx != done)
		ring_publish(r, r->used->ring[r->used_idx++ % r->size].id);
	ring_kick_always(r);
}

START_TEST(table_that_shrinks_under_a_running_queue_stops_it_at_most)
{
	struct mem without;
	struct rewriter w;

	start();
	for (int i = 0; i < 60; i++) {
		refill();
		rewriter_start(&w, offer_again, &fx.v.ring[1]);
		without = fx.v.mem;
		without.n = 1;
		wait_sleep_ms(random_below(3));
		/* Its replies' region goes while they are given, and comes back. */
		ok(front_set_mem_table(&fx.v.front, &without));
		hostile_served();
		ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
		hostile_served();
		rewriter_stop(&w);
		hostile_restart();
	}
	hostile_end();
}
END_TEST

/* The region with a ring itself: the ring stands still until it is there again. */
START_TEST(ring_whose_region_goes_stands_still)
{
	struct fuse_attr_out a;

	start();
	for (enum part part = DESC; part <= USED; part++) {
		move_ring_part(part);
		refill();
		ok(front_rem_mem_reg(&fx.v.front, &fx.v.mem, 1));
		for (int i = 0; i < 10; i++) {
			ring_kick_always(&fx.v.ring[1]);
			hostile_served();
		}
		ok(front_add_mem_reg(&fx.v.front, &fx.v.mem, 1));
		hostile_restart();
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	}
	hostile_end();
}
END_TEST

/* --- regions that cannot be --- */

struct one_region {
	uint64_t padding;
	struct vu_region r;
};

static const struct {
	const char *what;
	struct vu_region r;
} wrong[] = {
	{ "empty", { 0xc0000000, 0, 0x700000000000, 0 } },
	{ "larger than its file", { 0xc0000000, 4 * MIB, 0x700000000000, 0 } },
	{ "behind its file's end", { 0xc0000000, MIB, 0x700000000000, MIB } },
	{ "file offset that overflows", { 0xc0000000, MIB, 0x700000000000, ~0ull - 4095 } },
	{ "file offset above 2^63", { 0xc0000000, MIB, 0x700000000000, 1ull << 63 } },
	{ "guest address that overflows", { ~0ull - 4095, MIB, 0x700000000000, 0 } },
	{ "user address that overflows", { 0xc0000000, MIB, ~0ull - 4095, 0 } },
	{ "size of 2^64 - 1", { 0xc0000000, ~0ull, 0x700000000000, 0 } },
	{ "size of 2^63", { 0xc0000000, 1ull << 63, 0x700000000000, 0 } },
	{ "size that overflows with its offset", { 0xc0000000, ~0ull - 4095, 0x700000000000, 8192 } },
	{ "guest address of another", { MAIN + 16 * MIB, MIB, 0x700000000000, 0 } },
	{ "guest address into another", { MAIN - 4096, MIB, 0x700000000000, 0 } },
	{ "guest address around another", { MAIN - MIB, 64 * MIB, 0x700000000000, 0 } },
};

START_TEST(region_that_cannot_be_ends_the_session)
{
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct one_region m = { 0, wrong[i].r };
		int fd = host(memfd_create("wrong", MFD_CLOEXEC));

		fprintf(stderr, "# %s\n", wrong[i].what);
		host(ftruncate(fd, MIB));
		start();
		ck_assert_int_lt(front_tell(&fx.v.front, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1), 0);
		hostile_ended("cannot be mapped");
		close(fd);
	}
}
END_TEST

/* Descriptors that are no memory, or not such as can be written to. */
static int odd_fd(int kind)
{
	int fd;

	switch (kind) {
	case 0: return host(open("/dev/null", O_RDWR | O_CLOEXEC));
	case 1: return host(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	case 2: return host(open("/", O_PATH | O_CLOEXEC));
	case 3: return host(open("/proc/self/maps", O_RDONLY | O_CLOEXEC));
	case 4: return dup(fx.v.front.sock);
	case 5: return dup(fx.v.ring[1].kick_fd);
	case 6:
		fd = host(memfd_create("sealed", MFD_CLOEXEC | MFD_ALLOW_SEALING));
		host(ftruncate(fd, MIB));
		host(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
		return fd;
	case 7:
		return host(open(host_path("file"), O_RDONLY | O_CLOEXEC));
	default:
		return -1;
	}
}

START_TEST(region_of_what_is_no_memory_ends_the_session)
{
	for (int kind = 0;; kind++) {
		struct one_region m = { 0, { 0xc0000000, 4096, 0x700000000000, 0 } };
		int fd;

		start();
		host(truncate(host_path("file"), MIB));
		fd = odd_fd(kind);
		if (fd < 0) {
			hostile_end();
			return;
		}
		ck_assert_int_lt(front_tell(&fx.v.front, VU_ADD_MEM_REG, &m, sizeof(m), &fd, 1), 0);
		hostile_ended("cannot be mapped");
		close(fd);
	}
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("memory", argc, argv);
	func_test(cut_file_under_any_part_ends_the_session_in_plain_words);
	func_test(file_cut_again_and_again_ends_the_session_at_most);
	func_test(cut_dirty_log_ends_the_session);
	func_test(table_that_shrinks_under_a_running_queue_stops_it_at_most);
	func_test(ring_whose_region_goes_stands_still);
	func_test(region_that_cannot_be_ends_the_session);
	func_test(region_of_what_is_no_memory_ends_the_session);
	return func_done();
}
