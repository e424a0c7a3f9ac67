/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Descriptor chains that no driver makes: each stops its queue in plain words, or is answered;
 * the other queues are served on, and so is this one once the front-end has started it anew.
 */
#include <fcntl.h>
#include <linux/virtio_ring.h>

#include "hostile.h"

#define NEXT	VRING_DESC_F_NEXT
#define WRITE	VRING_DESC_F_WRITE
#define TABLE	VRING_DESC_F_INDIRECT

#define GIB	(1ull << 30)
#define MIB	(1ull << 20)

/* Two regions with a gap between, and two that touch: ends and neighbours to point at. */
static const struct mem_spec regions[] = {
	{ .gpa = 1 * GIB, .size = 64 * MIB },
	{ .gpa = 2 * GIB, .size = 8 * MIB },
	{ .gpa = 2 * GIB + 8 * MIB, .size = 1 * MIB },
};
#define END_OF_FIRST	(1 * GIB + 64 * MIB)
#define END_OF_LAST	(2 * GIB + 9 * MIB)
#define NOWHERE		(3 * GIB)

static struct mem_buf table;
static uint64_t buf;		/* a page for whatever the chain is to lead to */
static uint16_t head;

static struct ring *ring(void)
{
	return &fx.v.ring[1];
}

static void start(void)
{
	struct vmm_opts o = { .request_queues = 1, .queue_size = 256,
			      .regions = regions, .nregions = 3 };

	hostile_start(NULL, &o);
	ok(mem_alloc(&fx.v.mem, 0, 4096 * 16, 4096, &table));
	buf = hx.in.gpa;
}

/* --- chains in the ring --- */

static void d(unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	ring_desc(ring(), i, gpa, len, flags, next);
}

static void loop_of_one(void) { d(0, buf, 40, NEXT, 0); }
static void loop_of_two(void) { d(0, buf, 40, NEXT, 1); d(1, buf, 8, NEXT, 0); }
static void loop_behind_a_start(void)
{
	d(0, buf, 40, NEXT, 1);
	d(1, buf, 8, NEXT, 2);
	d(2, buf, 8, NEXT, 1);
}
static void loop_of_all(void)
{
	for (unsigned int i = 0; i < ring()->size; i++)
		d(i, buf, 1, NEXT, (i + 1) % ring()->size);
}
static void head_at_the_end(void) { head = ring()->size; }
static void head_of_65535(void) { head = 65535; }
static void next_at_the_end(void) { d(0, buf, 40, NEXT, ring()->size); }
static void next_of_65535(void) { d(0, buf, 40, NEXT, 65535); }
static void empty_alone(void) { d(0, buf, 0, 0, 0); }
static void empty_readable(void) { d(0, buf, 0, NEXT, 1); d(1, buf, 64, WRITE, 0); }
static void empty_writable(void) { d(0, buf, 40, NEXT, 1); d(1, buf, 0, WRITE, 0); }
static void empty_between(void)
{
	d(0, buf, 40, NEXT, 1);
	d(1, 0, 0, NEXT, 2);
	d(2, buf, 64, WRITE, 0);
}
static void readable_last(void) { d(0, buf, 64, WRITE | NEXT, 1); d(1, buf, 40, 0, 0); }
static void readable_between(void)
{
	d(0, buf, 40, NEXT, 1);
	d(1, buf, 64, WRITE | NEXT, 2);
	d(2, buf, 8, NEXT, 3);
	d(3, buf, 64, WRITE, 0);
}
static void at_null(void) { d(0, 0, 40, 0, 0); }
static void at_the_top(void) { d(0, ~0ull, 1, 0, 0); }
static void around_the_top(void) { d(0, ~0ull - 7, 64, 0, 0); }
static void in_the_gap(void) { d(0, END_OF_FIRST, 1, 0, 0); }
static void into_the_gap(void) { d(0, END_OF_FIRST - 39, 40, 0, 0); }
static void before_the_first(void) { d(0, 1 * GIB - 1, 2, 0, 0); }
static void beyond_the_last(void) { d(0, END_OF_LAST - 1, 2, 0, 0); }
static void of_4_gib(void) { d(0, 1 * GIB, ~0u, 0, 0); }
static void nowhere_to_write(void) { d(0, buf, 40, NEXT, 1); d(1, NOWHERE, 64, WRITE, 0); }
static void of_more_than_256_mib(void)
{
	for (unsigned int i = 0; i < 5; i++)
		d(i, 1 * GIB, 64 * MIB, i < 4 ? NEXT : 0, i + 1);
}
static void room_of_more_than_256_mib(void)
{
	d(0, buf, 40, NEXT, 1);
	for (unsigned int i = 1; i < 6; i++)
		d(i, 1 * GIB, 64 * MIB, WRITE | (i < 5 ? NEXT : 0), i + 1);
}

/* --- indirect tables --- */

static void t(unsigned int i, uint64_t gpa, uint32_t len, uint16_t flags, uint16_t next)
{
	((struct vring_desc *)table.host)[i] =
		(struct vring_desc){ .addr = gpa, .len = len, .flags = flags, .next = next };
}

static void by_table(uint32_t len) { d(0, table.gpa, len, TABLE, 0); }
static void table_of_nothing(void) { by_table(0); }
static void table_of_15(void) { by_table(15); }
static void table_of_17(void) { by_table(17); }
static void table_of_4_gib(void) { by_table(0xfffffff0); }
static void table_of_32769(void) { by_table(32769 * 16); }
static void table_nowhere(void) { d(0, NOWHERE, 16, TABLE, 0); }
static void table_at_the_top(void) { d(0, ~0ull - 15, 32, TABLE, 0); }
static void table_into_the_gap(void)
{
	struct vring_desc end = { buf, 8, NEXT, 1 };

	ok(mem_write(&fx.v.mem, END_OF_FIRST - 16, &end, 16));
	d(0, END_OF_FIRST - 16, 32, TABLE, 0);
}
static void table_half_an_entry_into_the_gap(void)
{
	d(0, END_OF_FIRST - 8, 16, TABLE, 0);
}
static void table_of_the_last_two_regions(void)
{
	struct vring_desc two[2] = { { buf, 8, NEXT, 1 }, { NOWHERE, 8, 0, 0 } };

	ok(mem_write(&fx.v.mem, 2 * GIB + 8 * MIB - 8, two, sizeof(two)));
	d(0, 2 * GIB + 8 * MIB - 8, 32, TABLE, 0);
}
static void table_in_a_table(void) { t(0, table.gpa, 16, TABLE, 0); by_table(16); }
static void table_that_is_the_ring(void) { d(0, ring()->desc_buf.gpa, 16, TABLE, 0); }
static void table_that_goes_on(void)
{
	t(0, buf, 40, 0, 0);
	d(0, table.gpa, 16, TABLE | NEXT, 1);
	d(1, buf, 64, WRITE, 0);
}
static void table_after_a_start(void)
{
	t(0, table.gpa, 16, TABLE, 0);
	d(0, buf, 40, NEXT, 1);
	d(1, table.gpa, 16, TABLE, 0);
}
static void table_that_loops(void) { t(0, buf, 40, NEXT, 0); by_table(16); }
static void table_that_loops_late(void)
{
	for (unsigned int i = 0; i < 1024; i++)
		t(i, buf, 1, NEXT, i < 1023 ? i + 1 : 7);
	by_table(1024 * 16);
}
static void table_left(void) { t(0, buf, 40, NEXT, 1); by_table(16); }
static void table_with_an_empty_entry(void)
{
	t(0, buf, 40, NEXT, 1);
	t(1, buf, 0, WRITE, 0);
	by_table(32);
}
static void table_readable_last(void)
{
	t(0, buf, 64, WRITE | NEXT, 1);
	t(1, buf, 40, 0, 0);
	by_table(32);
}

/* --- indices --- */

static void ahead(uint16_t n)
{
	ring()->avail->idx = ring()->avail_idx += n;
}

static void index_one_too_far(void) { ahead(ring()->size); }
static void index_half_around(void) { ahead(32767); }
static void index_backwards(void) { ahead(65534); }

static const struct {
	const char *what;
	void (*make)(void);
	const char *says;
} bad[] = {
	{ "descriptor that is its own next", loop_of_one, "is a loop" },
	{ "loop of two", loop_of_two, "is a loop" },
	{ "loop that the head is not in", loop_behind_a_start, "is a loop" },
	{ "loop of the whole ring", loop_of_all, "is a loop" },
	{ "head that is the ring's size", head_at_the_end, "is outside the ring" },
	{ "head 65535", head_of_65535, "is outside the ring" },
	{ "next that is the ring's size", next_at_the_end, "index outside its table" },
	{ "next 65535", next_of_65535, "index outside its table" },
	{ "empty descriptor alone", empty_alone, "descriptor of length 0" },
	{ "empty readable descriptor", empty_readable, "descriptor of length 0" },
	{ "empty writable descriptor", empty_writable, "descriptor of length 0" },
	{ "empty descriptor between", empty_between, "descriptor of length 0" },
	{ "writable before readable", readable_last, "readable descriptor after a writable" },
	{ "readable between writable", readable_between, "readable descriptor after a writable" },
	{ "address 0", at_null, "outside the guest's memory" },
	{ "address 2^64 - 1", at_the_top, "outside the guest's memory" },
	{ "address and length that overflow", around_the_top, "outside the guest's memory" },
	{ "address between regions", in_the_gap, "outside the guest's memory" },
	{ "end between regions", into_the_gap, "outside the guest's memory" },
	{ "start before the first region", before_the_first, "outside the guest's memory" },
	{ "end beyond the last region", beyond_the_last, "outside the guest's memory" },
	{ "4 GiB in one descriptor", of_4_gib, "is longer than 256 MiB" },
	{ "reply outside memory", nowhere_to_write, "outside the guest's memory" },
	{ "more than 256 MiB", of_more_than_256_mib, "is longer than 256 MiB" },
	{ "more than 256 MiB of room", room_of_more_than_256_mib, "is longer than 256 MiB" },
	{ "indirect table of 0 bytes", table_of_nothing, "table of odd length" },
	{ "indirect table of 15 bytes", table_of_15, "table of odd length" },
	{ "indirect table of 17 bytes", table_of_17, "table of odd length" },
	{ "indirect table of 4 GiB", table_of_4_gib, "too large an indirect table" },
	{ "indirect table of 32769 entries", table_of_32769, "too large an indirect table" },
	{ "indirect table outside memory", table_nowhere, "indirect table outside" },
	{ "indirect table that overflows", table_at_the_top, "indirect table outside" },
	{ "indirect table cut by a region's end", table_into_the_gap, "indirect table outside" },
	{ "entry cut by a region's end", table_half_an_entry_into_the_gap,
	  "indirect table outside" },
	{ "indirect table over two regions, entry nowhere", table_of_the_last_two_regions,
	  "points outside the guest's memory" },
	{ "indirect table in an indirect table", table_in_a_table, "indirect table in an" },
	{ "indirect table that is the ring's own", table_that_is_the_ring, "indirect table in an" },
	{ "chain that goes on after a table", table_that_goes_on, "goes on after an indirect" },
	{ "indirect table in a table, after a start", table_after_a_start, "indirect table in an" },
	{ "loop in an indirect table", table_that_loops, "is a loop" },
	{ "loop at a long table's end", table_that_loops_late, "is a loop" },
	{ "next outside the indirect table", table_left, "index outside its table" },
	{ "empty entry in an indirect table", table_with_an_empty_entry, "descriptor of length 0" },
	{ "writable before readable in a table", table_readable_last,
	  "readable descriptor after a writable" },
	{ "avail index one too far", index_one_too_far, "avail index jumped" },
	{ "avail index half around", index_half_around, "avail index jumped" },
	{ "avail index backwards", index_backwards, "avail index jumped" },
};

START_TEST(bad_chain_stops_its_queue_in_plain_words)
{
	struct fuse_attr_out a;
	struct ring_done done;

	start();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		unsigned int lines = daemon_log_lines(&fx.d);

		fprintf(stderr, "# %s\n", bad[i].what);
		head = 0;
		bad[i].make();
		ring_publish(ring(), head);
		ring_kick_always(ring());
		hostile_stopped(bad[i].says);
		ck_assert_uint_eq(daemon_log_lines(&fx.d), lines + 1);
		hostile_served();
		ck_assert_int_eq(ring_poll(ring(), &done), 0);
		hostile_restart();
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	}
	hostile_end();
}
END_TEST

/* It stays stopped however often it is kicked, and says nothing more. */
START_TEST(stopped_queue_stays_stopped_until_it_is_started_anew)
{
	struct fuse_attr_out a;
	struct ring_done done;
	unsigned int lines;

	start();
	head_at_the_end();
	ring_publish(ring(), head);
	ring_kick_always(ring());
	hostile_stopped("outside the ring");
	lines = daemon_log_lines(&fx.d);
	for (int i = 0; i < 100; i++) {
		d(0, buf, 40, 0, 0);
		ring_publish(ring(), 0);
		ring_kick_always(ring());
		hostile_served();
	}
	ck_assert_uint_eq(daemon_log_lines(&fx.d), lines);
	ck_assert_int_eq(ring_poll(ring(), &done), 0);
	hostile_restart();
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	hostile_end();
}
END_TEST

/* --- odd, but nothing that a queue must stop for --- */

static uint32_t answered(void)
{
	struct ring_done done;

	ring_publish(ring(), 0);
	ring()->slot[0].count = 1;	/* of ours, for ring_poll() */
	ring()->nfree--;
	ring_kick_always(ring());
	ck_assert_msg(ring_wait(ring(), &done, wait_scaled(5000)) == 1, "not answered");
	ck_assert_uint_eq(done.id, 0);
	hostile_restart();
	return done.len;
}

static void put_statfs(void)
{
	hostile_header(FUSE_STATFS, FUSE_ROOT_ID, 0);
	memset(hx.out.host, 0, 4096);
}

static int error_of_reply(void)
{
	return ((struct fuse_out_header *)hx.out.host)->error;
}

#define STATFS_REPLY (sizeof(struct fuse_out_header) + sizeof(struct fuse_statfs_out))

START_TEST(unknown_flags_of_descriptors_are_ignored)
{
	start();
	put_statfs();
	d(0, buf, 40, NEXT | 0xfff8, 1);
	d(1, hx.out.gpa, 4096, WRITE | 0xfff8, 0);
	ck_assert_uint_eq(answered(), STATFS_REPLY);
	/* "The device MUST ignore the write-only flag" of the reference to a table */
	t(0, buf, 40, NEXT, 1);
	t(1, hx.out.gpa, 4096, WRITE, 0);
	d(0, table.gpa, 32, TABLE | WRITE, 0);
	ck_assert_uint_eq(answered(), STATFS_REPLY);
	hostile_end();
}
END_TEST

START_TEST(chain_of_room_alone_is_answered_with_an_error)
{
	start();
	for (uint32_t room = 1; room < 64; room++) {
		memset(hx.out.host, 0, 4096);
		d(0, hx.out.gpa, room, WRITE, 0);
		ck_assert_uint_eq(answered(), room < 16 ? 0 : 16);
		ck_assert_int_eq(error_of_reply(), room < 16 ? 0 : -EINVAL);
	}
	hostile_end();
}
END_TEST

START_TEST(header_in_40_pieces_of_one_byte_in_any_order_is_read)
{
	struct fuse_in_header h;

	start();
	put_statfs();
	memcpy(&h, hx.in.host, sizeof(h));
	for (unsigned int i = 0; i < sizeof(h); i++) {
		hx.in.host[2 * (39 - i)] = ((uint8_t *)&h)[i];
		d(i, buf + 2 * (39 - i), 1, NEXT, i + 1);
	}
	for (unsigned int i = 0; i < STATFS_REPLY; i++)
		d(40 + i, hx.out.gpa + i, 1, WRITE | (i + 1 < STATFS_REPLY ? NEXT : 0), 41 + i);
	ck_assert_uint_eq(answered(), STATFS_REPLY);
	ck_assert_int_eq(error_of_reply(), 0);
	hostile_end();
}
END_TEST

/* As many pieces as a chain may have; all of them lie on one byte. */
START_TEST(longest_chain_is_answered)
{
	struct mem_buf big;

	start();
	ok(mem_alloc(&fx.v.mem, 0, 32768 * 16, 4096, &big));
	put_statfs();
	for (unsigned int i = 0; i < 32768; i++)
		((struct vring_desc *)big.host)[i] = (struct vring_desc){
			.addr = i ? hx.out.gpa + 4096 : buf,
			.len = i ? 1 : 40,
			.flags = (i < 32767 ? NEXT : 0) | (i ? WRITE : 0),
			.next = i + 1,
		};
	d(0, big.gpa, 32768 * 16, TABLE, 0);
	ck_assert_uint_eq(answered(), STATFS_REPLY);
	hostile_end();
}
END_TEST

/* Request and reply in the same memory, and replies over the rings themselves. */
START_TEST(reply_over_its_own_request_is_given)
{
	start();
	put_statfs();
	d(0, buf, 40, NEXT, 1);
	d(1, buf, 4096, WRITE, 0);
	ck_assert_uint_eq(answered(), STATFS_REPLY);
	hostile_end();
}
END_TEST

START_TEST(reply_over_the_rings_hurts_only_them)
{
	const struct mem_buf *part[] = { &fx.v.ring[1].desc_buf, &fx.v.ring[1].avail_buf,
					 &fx.v.ring[1].used_buf };
	struct fuse_attr_out a;

	start();
	host_text("f", "");
	host(truncate(host_path("f"), 1 << 20));
	for (size_t i = 0; i < 3; i++) {
		struct fuse_read_in *in = hostile_body();

		hostile_header(FUSE_READ, FUSE_ROOT_ID, sizeof(*in));
		*in = (struct fuse_read_in){ .fh = func_open(func_node("f"), O_RDONLY),
					     .size = 4096 };
		hostile_header(FUSE_READ, FUSE_ROOT_ID, sizeof(*in));
		d(0, buf, 40 + sizeof(*in), NEXT, 1);
		d(1, part[i]->gpa, part[i]->len, WRITE, 0);
		ring_publish(ring(), 0);
		ring_kick_always(ring());
		for (int n = 0; n < 20; n++)
			hostile_served();
		hostile_restart();
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	}
	hostile_end();
}
END_TEST

/* All three parts of the ring, and what it leads to, are the same bytes. */
START_TEST(ring_whose_parts_are_the_same_memory_hurts_nobody)
{
	struct ring *r;

	start();
	r = ring();
	for (int i = 0; i < 50; i++) {
		uint64_t at = mem_uaddr(&fx.v.mem, r->desc_buf.gpa);
		struct vu_addr addr = { .index = 1, .desc = at, .used = at, .avail = at };

		random_bytes(r->desc_buf.host, r->desc_buf.len);
		if (i % 2)
			r->avail->idx = r->avail_idx + random_below(256);
		ok(front_set_vring_addr(&fx.v.front, &addr));
		ring_kick_always(r);
		hostile_served();
		hostile_restart();
	}
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("chain", argc, argv);
	func_test(bad_chain_stops_its_queue_in_plain_words);
	func_test(stopped_queue_stays_stopped_until_it_is_started_anew);
	func_test(unknown_flags_of_descriptors_are_ignored);
	func_test(chain_of_room_alone_is_answered_with_an_error);
	func_test(header_in_40_pieces_of_one_byte_in_any_order_is_read);
	func_test(longest_chain_is_answered);
	func_test(reply_over_its_own_request_is_given);
	func_test(reply_over_the_rings_hurts_only_them);
	func_test(ring_whose_parts_are_the_same_memory_hurts_nobody);
	return func_done();
}
