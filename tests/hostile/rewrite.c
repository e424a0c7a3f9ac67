/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Somebody rewrites guest memory while it is being served: descriptors, rings, headers, names,
 * values, data. What the daemon goes by must be a copy: whatever it reads, it must never do
 * what its checks have refused. The rewriter is another process that shares the memory.
 */
#include <fcntl.h>

#include "hostile.h"

static struct rewriter w;

static int for_ms(void)
{
	return 700;
}

static void put32(void *at, uint32_t v)
{
	__atomic_store_n((uint32_t *)at, v, __ATOMIC_RELAXED);
}

static void put64(void *at, uint64_t v)
{
	__atomic_store_n((uint64_t *)at, v, __ATOMIC_RELAXED);
}

/* --- names --- */

/* Both are as long, so that the request is whole at every moment. */
static const char good[16] = "inside_the_share", evil[16] = "..///////canary";

static void swap_name(void *at)
{
	for (int i = 0; i < 16; i += 8) {
		uint64_t x;

		memcpy(&x, good + i, 8);
		put64((char *)at + i, x);
	}
	for (int i = 0; i < 16; i += 8) {
		uint64_t x;

		memcpy(&x, evil + i, 8);
		put64((char *)at + i, x);
	}
}

/* Names of request `op` at multiples of 8; 16 bytes each and a NUL in a word of its own. */
static size_t with_names(const struct hostile_op *op)
{
	size_t first = (op->size + 7u) & ~7u;
	uint8_t *body = hostile_body();

	memset(body, 0, 256);
	memcpy(body + first, good, 16);
	if (op->opcode == FUSE_CREATE)
		*(struct fuse_create_in *)body = (struct fuse_create_in){
			.flags = O_RDWR | O_TRUNC, .mode = S_IFREG | 0666 };
	if (op->opcode == FUSE_RENAME || op->opcode == FUSE_RENAME2)
		put64(body, FUSE_ROOT_ID);
	if (op->opcode == FUSE_MKNOD)
		put32(body, S_IFREG | 0666);
	if (op->names == 2)
		memcpy(body + first + 17, "other", 6);
	return first + 17 + (op->names == 2 ? 6 : 0);
}

START_TEST(names_that_change_never_lead_out)
{
	static const uint32_t ops[] = { FUSE_LOOKUP, FUSE_CREATE, FUSE_MKDIR, FUSE_MKNOD,
					FUSE_UNLINK, FUSE_RMDIR, FUSE_RENAME, FUSE_SYMLINK,
					FUSE_RENAME2 };
	const int n = sizeof(ops) / sizeof(ops[0]);
	int64_t end;
	int went_well = 0, refused = 0;

	hostile_start(NULL, NULL);
	canary_place();
	for (int i = 0; i < n; i++) {
		const struct hostile_op *op = hostile_ops;

		while (op->opcode != ops[i])
			op++;
		rewriter_start(&w, swap_name, (uint8_t *)hostile_body() + ((op->size + 7u) & ~7u));
		for (end = wait_now_ms() + for_ms() / 2; wait_now_ms() < end;) {
			const struct fuse_entry_out *e =
				(void *)(hx.out.host + sizeof(struct fuse_out_header));
			size_t len = with_names(op);
			int r;

			if (i % 2)
				host_text("inside_the_share", "x");
			hostile_header(op->opcode, FUSE_ROOT_ID, len);
			r = hostile_send(sizeof(struct fuse_in_header) + len, 4096, NULL);
			went_well += r == 0;
			refused += r == -EINVAL;
			if (r == 0 && op->reply >= sizeof(*e) && e->nodeid) {
				ck_assert_msg(!canary_is(&e->attr), "%s leads out", op->name);
				ok(guest_forget(&hx.witness, e->nodeid, 1));
			}
			(void)unlink(host_path("inside_the_share"));
			(void)rmdir(host_path("inside_the_share"));
		}
		rewriter_stop(&w);
		canary_alive();
	}
	ck_assert_int_gt(went_well, 0);
	ck_assert_int_gt(refused, 0);
	hostile_served();
	hostile_end();
}
END_TEST

/* --- headers and arguments --- */

static void scribble_over_request(void *at)
{
	uint8_t *p = at;

	if (random_one_in(2))
		put32(p + 4 * random_below(10), random_odd());
	else
		put64(p + 8 * random_below(20), random_odd());
	if (random_one_in(4))
		put32(p + 4, hostile_ops[random_below(hostile_nops)].opcode);
}

/* The reply's unique and whether there is one depend on what was read: not hostile_send(). */
static void send_loose(size_t len)
{
	struct ring_piece piece[2] = { { hx.in.gpa, len }, { hx.out.gpa, 4096 } };
	struct fuse_out_header h;
	struct ring_done done;

	ok(ring_add(fx.g.ring, piece, 1, 1, NULL, NULL));
	ring_kick(fx.g.ring);
	ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(10000)), 1);
	memcpy(&h, hx.out.host, sizeof(h));
	if (done.len && (done.len < sizeof(h) || done.len > 4096 || h.len != done.len ||
			 h.error > 0 || h.error <= -512))
		ck_abort_msg("used length %u, header's %u, error %d", done.len, h.len, h.error);
}

START_TEST(headers_and_arguments_that_change_are_taken_once)
{
	static const char *const args[] = { "--xattr", NULL };
	int64_t end = wait_now_ms() + 2 * for_ms();

	hostile_start(args, NULL);
	canary_place();
	rewriter_start(&w, scribble_over_request, hx.in.host);
	while (wait_now_ms() < end) {
		const struct hostile_op *op = &hostile_ops[random_below(hostile_nops)];
		size_t len = op->size + 64;

		memset(hostile_body(), 0, len);
		hostile_header(op->opcode, FUSE_ROOT_ID, len);
		send_loose(sizeof(struct fuse_in_header) + len);
	}
	rewriter_stop(&w);
	func_init_session();
	canary_alive();
	hostile_served();
	hostile_end();
}
END_TEST

/* A size that is checked and then used must be one and the same. */
static void swap_sizes(void *at)
{
	struct fuse_write_in *in = at;

	put32(&in->size, 8);
	put64(&in->offset, 0);
	put32(&in->size, 0x7fffffff);
	put64(&in->offset, INT64_MAX - 4);
}

START_TEST(write_whose_size_changes_writes_what_was_checked)
{
	int64_t end = wait_now_ms() + for_ms();
	uint64_t fh;
	int good_ones = 0;

	hostile_start(NULL, NULL);
	host_text("f", "");
	fh = func_open(func_node("f"), O_RDWR);
	rewriter_start(&w, swap_sizes, hostile_body());
	/* On a crowded machine the right moment for a good one may be long in coming. */
	while (wait_now_ms() < end || (!good_ones && wait_now_ms() < end + 20000)) {
		struct fuse_write_in *in = hostile_body();
		uint32_t len;

		put64(&in->fh, fh);
		hostile_header(FUSE_WRITE, FUSE_ROOT_ID, sizeof(*in) + 8);
		if (hostile_send(sizeof(struct fuse_in_header) + sizeof(*in) + 8, 64, &len) == 0) {
			ck_assert_uint_eq(*(uint32_t *)(hx.out.host + 16), 8);
			good_ones++;
		}
		ck_assert_int_le(host_stat("f").st_size, 8);
	}
	rewriter_stop(&w);
	ck_assert_int_gt(good_ones, 0);
	hostile_end();
}
END_TEST

/* --- descriptors --- */

static struct mem_buf table;

static void scribble_over_table(void *at)
{
	struct vring_desc *d = (struct vring_desc *)at + random_below(4);

	switch (random_below(5)) {
	case 0:
		put64(&d->addr, random_one_in(2) ? random_odd() : hx.out.gpa);
		break;
	case 1:
		put32(&d->len, random_one_in(2) ? random_odd() : 40);
		break;
	case 2:
		__atomic_store_n(&d->flags, random_below(8), __ATOMIC_RELAXED);
		break;
	case 3:
		__atomic_store_n(&d->next, random_below(6), __ATOMIC_RELAXED);
		break;
	default:
		put64(&d->addr, hx.in.gpa);
		put32(&d->len, 40);
		put32(&d->flags, VRING_DESC_F_NEXT | 1 << 16);
	}
}

/* Sends until the queue was stopped, and starts it again; for a while. */
static void abuse_ring(void (*send)(void), int ms)
{
	int64_t end = wait_now_ms() + ms;
	struct ring *r = &fx.v.ring[1];
	struct ring_done done;
	int stops = 0;

	while (wait_now_ms() < end) {
		send();
		ring_kick_always(r);
		if (ring_wait(r, &done, 1) == 1)
			continue;
		hostile_served();
		hostile_restart();
		stops++;
	}
	ck_assert_int_gt(stops, 0);
}

static void send_table(void)
{
	struct ring *r = &fx.v.ring[1];

	hostile_header(FUSE_STATFS, FUSE_ROOT_ID, 0);
	ring_desc(r, 0, table.gpa, 64, VRING_DESC_F_INDIRECT, 0);
	r->slot[0].count = 1;
	ring_publish(r, 0);
}

START_TEST(indirect_descriptors_that_change_hurt_only_their_queue)
{
	hostile_start(NULL, NULL);
	ok(mem_alloc(&fx.v.mem, 0, 4096, 4096, &table));
	rewriter_start(&w, scribble_over_table, table.host);
	abuse_ring(send_table, 2 * for_ms());
	rewriter_stop(&w);
	hostile_served();
	hostile_end();
}
END_TEST

static void scribble_over_ring(void *arg)
{
	struct ring *r = arg;
	uint32_t part = random_below(8);

	if (part < 4) {
		scribble_over_table(&r->desc[random_below(2) * 4]);
	} else if (part < 6) {
		__atomic_store_n(&r->avail->ring[random_below(r->size)], random_below(8),
				 __ATOMIC_RELAXED);
	} else if (part == 6) {
		__atomic_store_n(ring_used_event(r), random_u64(), __ATOMIC_RELAXED);
		__atomic_store_n(&r->avail->flags, random_below(4), __ATOMIC_RELAXED);
	} else {
		put32(&r->used->ring[random_below(r->size)].len, random_u64());
		__atomic_store_n(ring_avail_event(r), random_u64(), __ATOMIC_RELAXED);
		__atomic_store_n(&r->used->idx, random_u64(), __ATOMIC_RELAXED);
	}
}

static void send_any(void)
{
	struct ring *r = &fx.v.ring[1];

	hostile_header(random_one_in(2) ? FUSE_STATFS : FUSE_GETATTR, FUSE_ROOT_ID, 64);
	for (int i = 0; i < 4; i++)
		ring_publish(r, random_below(8));
	if (random_one_in(50))
		r->avail->idx = r->avail_idx = random_u64();
}

START_TEST(rings_that_change_hurt_only_themselves)
{
	hostile_start(NULL, NULL);
	rewriter_start(&w, scribble_over_ring, &fx.v.ring[1]);
	abuse_ring(send_any, 2 * for_ms());
	rewriter_stop(&w);
	hostile_served();
	hostile_end();
}
END_TEST

/* --- data --- */

static void scribble_over_page(void *at)
{
	put64((uint64_t *)at + random_below(512), random_u64());
}

START_TEST(data_that_change_are_data)
{
	static char back[65536];
	int64_t end = wait_now_ms() + for_ms();
	struct fuse_entry_out e;
	struct fuse_open_out o;

	hostile_start(NULL, NULL);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	/* where fx.g has its data: behind the header and the arguments */
	rewriter_start(&w, scribble_over_page,
		       mem_host(&fx.v.mem, fx.g.call.area[0].gpa + 65536, 4096));
	while (wait_now_ms() < end) {
		ck_assert_int_eq(guest_write(&fx.g, e.nodeid, o.fh, NULL, 65536, 0), 65536);
		ck_assert_int_eq(guest_read(&fx.g, e.nodeid, o.fh, NULL, 65536, 0), 65536);
		ck_assert_int_eq(guest_read(&fx.g, e.nodeid, o.fh, back, 65536, 65536), 0);
		ck_assert_int_eq(host_stat("f").st_size, 65536);
	}
	rewriter_stop(&w);
	hostile_end();
}
END_TEST

/* --- names of the host's own doing, in between --- */

static void swap_on_the_host(void *arg)
{
	const char *const *path = arg;

	/* "turn" is a directory, then a link to what lies outside, then ... */
	(void)!rename(path[0], path[1]);
	(void)!symlink("../nest", path[0]);
	(void)!unlink(path[0]);
	(void)!rename(path[1], path[0]);
}

START_TEST(directory_that_becomes_a_link_never_leads_out)
{
	static char turn[256], aside[256];
	static const char *path[] = { turn, aside };
	int64_t end = wait_now_ms() + for_ms();
	struct fuse_entry_out d, e;
	struct fuse_open_out o;

	hostile_start(NULL, NULL);
	snprintf(turn, sizeof(turn), "%s", host_path("turn"));
	snprintf(aside, sizeof(aside), "%s", host_path("aside"));
	host(mkdir(turn, 0777));
	canary_place();
	rewriter_start(&w, swap_on_the_host, path);
	while (wait_now_ms() < end) {
		if (guest_lookup(&fx.g, FUSE_ROOT_ID, "turn", &d) < 0 || !d.nodeid)
			continue;
		ck_assert(!canary_is(&d.attr));
		if (guest_lookup(&fx.g, d.nodeid, "egg", &e) == 0)
			ck_assert(!e.nodeid || !canary_is(&e.attr));
		if (guest_create(&fx.g, d.nodeid, "egg", O_RDWR | O_TRUNC, 0666, 0, &e, &o) == 0) {
			ck_assert(!canary_is(&e.attr));
			ok(guest_release(&fx.g, e.nodeid, o.fh));
		}
		(void)guest_unlink(&fx.g, d.nodeid, "egg");
		if (guest_opendir(&fx.g, d.nodeid, &o) == 0)
			ok(guest_releasedir(&fx.g, d.nodeid, o.fh));
	}
	rewriter_stop(&w);
	canary_alive();
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("rewrite", argc, argv);
	func_test(names_that_change_never_lead_out);
	func_test(headers_and_arguments_that_change_are_taken_once);
	func_test(write_whose_size_changes_writes_what_was_checked);
	func_test(indirect_descriptors_that_change_hurt_only_their_queue);
	func_test(rings_that_change_hurt_only_themselves);
	func_test(data_that_change_are_data);
	func_test(directory_that_becomes_a_link_never_leads_out);
	return func_done();
}
