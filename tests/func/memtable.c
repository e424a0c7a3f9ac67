/* SPDX-License-Identifier: BSD-3-Clause */
/* Guest memory: where it may lie, and how its table changes while requests run (row 23). */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "func.h"

#define MIB (1ull << 20)

static void start_with_regions(const struct mem_spec *spec, unsigned int n)
{
	struct vmm_opts o = { .regions = spec, .nregions = n };

	func_start_with(NULL, &o);
}

/* Write a file through the guest with the given layout, and read it back. */
static void round_trip(const char *name, const struct layout *how, size_t size)
{
	static char out[FUNC_DATA_MAX], back[FUNC_DATA_MAX];
	struct fuse_entry_out e;
	struct fuse_open_out o;
	size_t len;

	fx.g.layout = how;
	func_pattern(out, size, size);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR | O_EXCL, 0644, 0, &e, &o));
	ck_assert_int_eq(ok(guest_write(&fx.g, e.nodeid, o.fh, out, size, 0)), size);

	char *seen = host_read(name, &len);

	ck_assert_uint_eq(len, size);
	ck_assert_mem_eq(seen, out, size);
	free(seen);
	ck_assert_int_eq(ok(guest_read(&fx.g, e.nodeid, o.fh, back, size, 0)), size);
	ck_assert_mem_eq(back, out, size);
	ok(guest_release(&fx.g, e.nodeid, o.fh));
}

static const struct layout alternating = { .name = "alternating", .alternate = true,
					   .data_cut = 4096 };

START_TEST(regions_may_have_gaps_between)
{
	const struct mem_spec spec[] = { { .gpa = 0, .size = 16 * MIB },
					 { .gpa = 1ull << 32, .size = 16 * MIB } };

	start_with_regions(spec, 2);
	round_trip("f", &alternating, 300000);
	func_end();
}
END_TEST

START_TEST(regions_may_share_one_file_at_offsets)
{
	const struct mem_spec spec[] = {
		{ .gpa = 0x100000, .size = 16 * MIB, .offset = 0x100000 },
		{ .gpa = 0x8000000, .size = 8 * MIB, .offset = 0x200000, .from = 1 },
	};

	/* the second region overlaps the first in the file; keep what we allocate apart */
	struct vmm_opts o = { .regions = spec, .nregions = 2, .stopped = true };
	struct mem_buf skip;

	func_start_daemon(NULL);
	ok(vmm_start(&fx.v, fx.d.socket, &o));
	ok(mem_alloc(&fx.v.mem, 0, 64, 64, &skip));
	ck_assert_ptr_ne(mem_host(&fx.v.mem, 0x8000000, 1), NULL);
	/* one byte, two addresses */
	*(char *)mem_host(&fx.v.mem, 0x100000 + 0x100000 + 5, 1) = 'x';
	ck_assert_int_eq(*(char *)mem_host(&fx.v.mem, 0x8000000 + 5, 1), 'x');
	fx.v.mem.region[0].next = 0;
	fx.v.mem.region[1].next = 7 * MIB;
	for (unsigned int i = 0; i < 2; i++) {
		ring_free(&fx.v.ring[i]);
		ok(ring_init(&fx.v.ring[i], &fx.v.mem, 0, i, 64, true, 0));
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], 0));
	}
	ok(guest_attach(&fx.g, &fx.v, 1, 300000));
	func_init_session();
	round_trip("f", &alternating, 100000);
	func_end();
}
END_TEST

START_TEST(user_addresses_may_be_anything)
{
	const struct mem_spec spec[] = {
		{ .gpa = 0x40000000, .size = 16 * MIB, .uaddr = 0x7000000000001000 },
		{ .gpa = 0x80000000, .size = 16 * MIB, .uaddr = 0x1000 },
	};

	start_with_regions(spec, 2);
	round_trip("f", &alternating, 300000);
	func_end();
}
END_TEST

START_TEST(buffer_may_cross_from_one_region_into_the_next)
{
	/* adjacent for the guest, far apart for the back-end, boundary inside the data */
	const struct mem_spec spec[] = {
		{ .gpa = 0x40000000, .size = 16 * MIB, .uaddr = 0x7f0000000000 },
		{ .gpa = 0x41000000, .size = 16 * MIB, .uaddr = 0x100000000000 },
	};
	static const struct layout one = { .name = "one piece", .join = true };

	start_with_regions(spec, 2);
	for (int shift = 1; shift < 200; shift += 13) {
		/* headers and data of one descriptor, with the boundary at `shift` */
		fx.g.call.area[0] = (struct layout_area){
			.gpa = 0x41000000 - shift, .size = 600000, .hi = 600000 };

		char name[16];

		snprintf(name, sizeof(name), "f%d", shift);
		round_trip(name, &one, 200000);
	}
	func_end();
}
END_TEST

START_TEST(region_added_live_is_used_and_removed_again)
{
	func_start();

	struct mem *m = &fx.v.mem;

	for (int i = 0; i < 10; i++) {
		int slot = ok(mem_add(m, &(struct mem_spec){ .gpa = 1ull << 33,
							     .size = 4 * MIB }));
		int before = daemon_fds(&fx.d);
		char name[16];

		ok(front_add_mem_reg(&fx.v.front, m, slot));
		fx.g.call.area[1] = (struct layout_area){ .gpa = 1ull << 33, .size = 4 * MIB,
							  .hi = 4 * MIB };
		snprintf(name, sizeof(name), "f%d", i);
		round_trip(name, &alternating, 300000);
		ok(front_rem_mem_reg(&fx.v.front, m, slot));
		mem_remove(m, slot);
		fx.g.layout = &layout_linux;
		func_attr(FUSE_ROOT_ID);
		ck_assert_int_le(daemon_fds(&fx.d), before + 1);
	}
	func_end();
}
END_TEST

static int mappings_of_guest_ram(void)
{
	char path[64], line[512];
	int n = 0;

	snprintf(path, sizeof(path), "/proc/%d/maps", daemon_worker(&fx.d));

	FILE *f = fopen(path, "re");

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		n += strstr(line, "memfd:guest-ram") != NULL;
	fclose(f);
	return n;
}

START_TEST(removed_region_is_unmapped_and_its_file_closed)
{
	func_start();

	int fds = daemon_fds(&fx.d), maps = mappings_of_guest_ram();
	int slot = ok(mem_add(&fx.v.mem, &(struct mem_spec){ .gpa = 1ull << 33, .size = MIB }));

	ok(front_add_mem_reg(&fx.v.front, &fx.v.mem, slot));
	ck_assert_int_gt(mappings_of_guest_ram(), maps);
	ok(front_rem_mem_reg(&fx.v.front, &fx.v.mem, slot));
	ck_assert_int_eq(mappings_of_guest_ram(), maps);
	ck_assert_int_eq(daemon_fds(&fx.d), fds);
	func_end();
}
END_TEST

START_TEST(replaced_table_leaves_no_mapping_behind)
{
	func_start();

	int fds = daemon_fds(&fx.d), maps = mappings_of_guest_ram();

	for (int i = 0; i < 20; i++) {
		ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
		func_attr(FUSE_ROOT_ID);
	}
	ck_assert_int_eq(mappings_of_guest_ram(), maps);
	ck_assert_int_eq(daemon_fds(&fx.d), fds);
	func_end();
}
END_TEST

START_TEST(all_509_slots_hold_data_of_one_write)
{
	static char seen[508 * 512];
	struct ring_piece piece[2 + 508 + 2];
	struct fuse_entry_out e;
	struct fuse_open_out o;

	func_start();

	struct mem *m = &fx.v.mem;
	struct ring_done done;
	struct mem_buf head;

	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	for (int i = 0; i < 508; i++) {
		int slot = ok(mem_add(m, &(struct mem_spec){ .gpa = (1ull << 33) + i * 8192,
							     .size = 4096 }));

		ok(front_add_mem_reg(&fx.v.front, m, slot));
		piece[2 + i] = (struct ring_piece){ m->region[slot].gpa + 100, 512 };
		func_pattern(m->region[slot].host + 100, 512, i);
		memcpy(seen + i * 512, m->region[slot].host + 100, 512);
	}

	struct call *c = guest_begin(&fx.g, FUSE_WRITE, e.nodeid);
	struct fuse_write_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_write_in){ .fh = o.fh, .size = sizeof(seen) };
	call_header(c)->len = c->in_len + sizeof(seen);
	ok(mem_alloc(m, 0, 4096, 4096, &head));
	memcpy(head.host, c->in, c->in_len);
	piece[0] = (struct ring_piece){ head.gpa, 40 };
	piece[1] = (struct ring_piece){ head.gpa + 40, sizeof(*in) };
	piece[510] = (struct ring_piece){ head.gpa + 1024, 16 };
	piece[511] = (struct ring_piece){ head.gpa + 2048, 8 };
	ok(ring_add(fx.g.ring, piece, 510, 2, &c->table, c));
	ring_kick(fx.g.ring);
	ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(5000)), 1);
	ck_assert_uint_eq(done.len, 24);

	char *now = host_read("f", NULL);

	ck_assert_mem_eq(now, seen, sizeof(seen));
	free(now);
	func_end();
}
END_TEST

START_TEST(region_beyond_the_slots_is_refused)
{
	func_start();

	struct mem *m = &fx.v.mem;
	int r = 0, added = 1;

	for (; added < 600 && r == 0; added += r == 0) {
		int slot = ok(mem_add(m, &(struct mem_spec){
						 .gpa = (1ull << 33) + added * 8192,
						 .size = 4096 }));

		r = front_add_mem_reg(&fx.v.front, m, slot);
	}
	ck_assert_int_lt(r, 0);
	ck_assert_int_eq(added, 509);
	func_hang_up();
	ck_assert_int_le(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	daemon_discard(&fx.d);
}
END_TEST

/* --- changes under load --- */

static atomic_bool stop;
static atomic_ulong rounds;

/* Writes and reads patterns until told to stop; its buffers are in region 0, which stays. */
static void *load(void *arg)
{
	struct guest *g = arg;
	static __thread char out[65536], back[65536];
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char name[32];

	snprintf(name, sizeof(name), "load%u", g->ring->index);
	ok(guest_create(g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
	for (unsigned int i = 0; !stop; i++) {
		func_pattern(out, sizeof(out), i);
		ck_assert_int_eq(ok(guest_write(g, e.nodeid, o.fh, out, sizeof(out), 0)),
				 sizeof(out));
		ck_assert_int_eq(ok(guest_read(g, e.nodeid, o.fh, back, sizeof(back), 0)),
				 sizeof(back));
		ck_assert_mem_eq(out, back, sizeof(out));
		rounds++;
	}
	return NULL;
}

static void under_load(void (*change)(int i))
{
	struct vmm_opts o = { .request_queues = 2 };
	struct guest second;
	pthread_t t[2];

	func_start_with(NULL, &o);
	ok(guest_attach(&second, &fx.v, 2, FUNC_DATA_MAX));
	pthread_create(&t[0], NULL, load, &fx.g);
	pthread_create(&t[1], NULL, load, &second);
	for (int i = 0; i < 200; i++) {
		change(i);
		wait_sleep_ms(1);
	}
	stop = true;
	pthread_join(t[0], NULL);
	pthread_join(t[1], NULL);
	ck_assert_uint_ge(rounds, 10);
	ck_assert_uint_eq(fx.v.ring[1].lost + fx.v.ring[2].lost, 0);
	guest_detach(&second);
	func_end();
}

static void set_table(int i)
{
	ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
}

/* in a table of its own, since the threads look into the machine's */
static void add_or_remove(int i)
{
	static struct mem more;
	static int slot;

	if (i % 2 == 0) {
		slot = ok(mem_add(&more, &(struct mem_spec){ .gpa = 1ull << 34, .size = MIB }));
		ok(front_add_mem_reg(&fx.v.front, &more, slot));
	} else {
		ok(front_rem_mem_reg(&fx.v.front, &more, slot));
		mem_remove(&more, slot);
	}
}

START_TEST(table_is_replaced_under_load)
{
	under_load(set_table);
}
END_TEST

START_TEST(regions_come_and_go_under_load)
{
	under_load(add_or_remove);
}
END_TEST

START_TEST(table_that_moves_to_other_user_addresses_under_load)
{
	struct vmm_opts o = { 0 };
	pthread_t t;

	func_start_with(NULL, &o);
	pthread_create(&t, NULL, load, &fx.g);
	for (int i = 0; i < 100; i++) {
		/* the front-end's own addresses change; the ring's come again, as its rule is */
		fx.v.mem.region[0].uaddr = 0x10000000 + (i % 7) * 0x100000000ull;
		ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
		ok(vmm_ring_addr(&fx.v, &fx.v.ring[0], false));
		ok(vmm_ring_addr(&fx.v, &fx.v.ring[1], false));
		wait_sleep_ms(2);
	}
	stop = true;
	pthread_join(t, NULL);
	func_end();
}
END_TEST

/* --- memory that vanishes: the front-end has cut its file --- */

/* Data in a region of its own, whose pages are gone when the request comes. */
START_TEST(vanished_data_is_efault_and_the_session_goes_on)
{
	static char buf[FUNC_DATA_MAX];
	const struct mem_spec spec[] = { { .gpa = 0x40000000, .size = 16 * MIB },
					 { .gpa = 0x80000000, .size = 16 * MIB } };
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start_with_regions(spec, 2);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	func_pattern(buf, 65536, 1);
	ok(guest_write(&fx.g, e.nodeid, o.fh, buf, 65536, 0));
	ok(mem_truncate(&fx.v.mem, 1, 0));
	for (int write = 0; write < 2; write++) {
		struct call *c = guest_begin(&fx.g, write ? FUSE_WRITE : FUSE_READ, e.nodeid);
		struct ring_piece piece[4];
		struct ring_done done;
		unsigned int n = 0;

		*(struct fuse_write_in *)call_arg(c, sizeof(struct fuse_write_in)) =
			(struct fuse_write_in){ .fh = o.fh, .size = 65536 };
		call_room(c, write ? sizeof(struct fuse_write_out) : 0);
		call_header(c)->len = c->in_len + (write ? 65536 : 0);
		ok(call_plan(c, &(struct layout){ .name = "parts" }));
		piece[n++] = (struct ring_piece){ c->piece[0].gpa, 40 };
		piece[n++] = c->piece[1];
		if (write)
			piece[n++] = (struct ring_piece){ 0x80000000 + MIB, 65536 };
		piece[n++] = c->piece[2];
		if (!write)
			piece[n++] = (struct ring_piece){ 0x80000000 + MIB, 65536 };
		/* READ: header, data; WRITE: header and body, which call_plan() put one by one */
		ok(ring_add(fx.g.ring, piece, write ? 3 : 2, n - (write ? 3 : 2), NULL, c));
		ring_kick(fx.g.ring);
		ck_assert_int_eq(ok(ring_wait(fx.g.ring, &done, wait_scaled(5000))), 1);

		struct fuse_out_header h;

		ok(mem_read(&fx.v.mem, c->piece[2].gpa, &h, sizeof(h)));
		ck_assert_uint_eq(done.len, sizeof(h));
		ck_assert_msg(h.error == -EFAULT, "%s: %d", write ? "write" : "read", h.error);
	}
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

/* The rings or headers themselves: the front-end's fault, which ends its session in one line. */
static void vanish_and_kick(void)
{
	unsigned int lines;

	func_start();
	lines = daemon_log_lines(&fx.d);
	ok(mem_truncate(&fx.v.mem, 0, 0));
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ring_kick_always(&fx.v.ring[i]);
	ck_assert_msg(front_hung_up(&fx.v.front, wait_scaled(5000)), "the session goes on");
	func_hang_up();

	int status = daemon_wait(&fx.d, wait_scaled(5000));

	ck_assert_msg(status == 0 || status == 1, "ended with %d", status);
	ck_assert_uint_gt(daemon_log_lines(&fx.d), lines);
	ck_assert_uint_le(daemon_log_lines(&fx.d), lines + 2);
	ck_assert(!daemon_log_sanitizer(&fx.d));
	daemon_discard(&fx.d);
}

START_TEST(vanished_rings_end_the_session_in_plain_words)
{
	vanish_and_kick();
}
END_TEST

START_TEST(ring_that_vanished_before_its_start_ends_the_session)
{
	unsigned int base;

	func_start();
	ok(vmm_ring_stop(&fx.v, &fx.v.ring[1], &base));
	ok(mem_truncate(&fx.v.mem, 0, 0));
	(void)vmm_ring_start(&fx.v, &fx.v.ring[1], base);
	ck_assert_msg(front_hung_up(&fx.v.front, wait_scaled(5000)), "the session goes on");
	func_hang_up();

	int status = daemon_wait(&fx.d, wait_scaled(5000));

	ck_assert_msg(status == 0 || status == 1, "ended with %d", status);
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("memtable", argc, argv);
	func_test(regions_may_have_gaps_between);
	func_test(regions_may_share_one_file_at_offsets);
	func_test(user_addresses_may_be_anything);
	func_test(buffer_may_cross_from_one_region_into_the_next);
	func_test(region_added_live_is_used_and_removed_again);
	func_test(removed_region_is_unmapped_and_its_file_closed);
	func_test(replaced_table_leaves_no_mapping_behind);
	func_test(all_509_slots_hold_data_of_one_write);
	func_test(region_beyond_the_slots_is_refused);
	func_test(table_is_replaced_under_load);
	func_test(regions_come_and_go_under_load);
	func_test(table_that_moves_to_other_user_addresses_under_load);
	func_test(vanished_data_is_efault_and_the_session_goes_on);
	func_test(vanished_rings_end_the_session_in_plain_words);
	func_test(ring_that_vanished_before_its_start_ends_the_session);
	return func_done();
}
