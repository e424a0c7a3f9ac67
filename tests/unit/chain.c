/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtio/chain: whatever way a guest lays a request out, what comes out are its
 * bytes, in order. (What it must not do is in queue_bad.c.)
 */
#include "virtio/chain.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "gmem.h"
#include "unit.h"

#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define NUM 64U
#define MIB (1024U * 1024U)
/* Three regions without a gap in the guest, and one apart. */
#define REGION (64U * 1024U)
#define APART (16U * MIB)

static struct memmap map;
static struct region_record records[MEMMAP_REGIONS_MAX];
static struct gmem g;
static struct vring_desc ring[NUM];
static struct chain c;

static void setup(void)
{
	memmap_init(&map, records);
	gmem_init(&g, &map);
	for (uint64_t i = 0; i < 3; i++)
		gmem_add(&g, i * REGION, REGION);
	gmem_add(&g, APART, MIB);
	c.iov = calloc(CHAIN_IOV_MAX, sizeof(*c.iov));
	memset(ring, 0, sizeof(ring));
}

static void teardown(void)
{
	free(c.iov);
	memmap_clear(&map);
	gmem_destroy(&g);
}

static void put(struct vring_desc *d, uint64_t gpa, uint32_t len,
		uint16_t flags, uint16_t next)
{
	*d = (struct vring_desc){ gpa, len, flags, next };
}

static void walk(uint16_t head)
{
	const char *wrong = chain_walk(&c, &map, ring, NUM, head);

	ck_assert_msg(!wrong, "%s", wrong);
}

/* The memory of guest address @gpa, as the map has it. */
static char *at(uint64_t gpa)
{
	size_t len;
	char *p = memmap_gpa(&map, gpa, 1, &len);

	ck_assert_ptr_nonnull(p);
	return p;
}

START_TEST(one_of_each_direction)
{
	put(&ring[3], 100, 40, NEXT, 7);
	put(&ring[7], APART, 16, WRITE, 0);
	walk(3);
	ck_assert_uint_eq(c.n_read, 1);
	ck_assert_uint_eq(c.n_write, 1);
	ck_assert_ptr_eq(c.iov[0].iov_base, at(100));
	ck_assert_uint_eq(c.iov[0].iov_len, 40);
	ck_assert_ptr_eq(chain_write_iov(&c)[0].iov_base, at(APART));
	ck_assert_uint_eq(chain_write_iov(&c)[0].iov_len, 16);
}
END_TEST

START_TEST(neighbours_are_merged)
{
	put(&ring[0], 0, 40, NEXT, 1);
	put(&ring[1], 40, 40, NEXT, 2);
	put(&ring[2], 80, 1, NEXT, 3);
	put(&ring[3], 82, 1, NEXT, 4); /* not this one */
	put(&ring[4], 83, 10, NEXT | WRITE, 5); /* nor across directions */
	put(&ring[5], 93, 10, WRITE, 0);
	walk(0);
	ck_assert_uint_eq(c.n_read, 2);
	ck_assert_uint_eq(c.iov[0].iov_len, 81);
	ck_assert_uint_eq(c.iov[1].iov_len, 1);
	ck_assert_uint_eq(c.n_write, 1);
	ck_assert_uint_eq(chain_write_iov(&c)->iov_len, 20);
}
END_TEST

START_TEST(only_readable_or_only_writable)
{
	put(&ring[0], 0, 40, 0, 0);
	walk(0);
	ck_assert_uint_eq(c.n_read, 1);
	ck_assert_uint_eq(c.n_write, 0);
	put(&ring[0], 0, 40, WRITE, 0);
	walk(0);
	ck_assert_uint_eq(c.n_read, 0);
	ck_assert_uint_eq(c.n_write, 1);
}
END_TEST

/* The bytes of the pieces, one after the other. */
static size_t gather(const struct iovec *iov, size_t n, char *to)
{
	size_t done = 0;

	for (size_t i = 0; i < n; i++) {
		must(iov[i].iov_len > 0);
		memcpy(to + done, iov[i].iov_base, iov[i].iov_len);
		done += iov[i].iov_len;
	}
	return done;
}

START_TEST(descriptor_across_regions)
{
	static char want[3 * REGION], got[3 * REGION];
	uint32_t seed = 1;

	for (size_t i = 0; i < sizeof(want); i++)
		want[i] = (char)unit_random(&seed);
	gmem_write(&g, 0, want, sizeof(want));
	put(&ring[0], 1, sizeof(want) - 1, 0, 0);
	walk(0);
	ck_assert_uint_eq(gather(c.iov, c.n_read, got), sizeof(want) - 1);
	ck_assert_int_eq(memcmp(got, want + 1, sizeof(want) - 1), 0);
	put(&ring[0], REGION - 3, 6, NEXT, 1);
	put(&ring[1], 2 * REGION - 1, 2, WRITE, 0);
	walk(0);
	ck_assert_uint_eq(gather(c.iov, c.n_read, got), 6);
	ck_assert_int_eq(memcmp(got, want + REGION - 3, 6), 0);
	ck_assert_uint_eq(gather(chain_write_iov(&c), c.n_write, got), 2);
}
END_TEST

/* A layout that no two rounds share: where its bytes are, is known. */
struct layout {
	uint64_t gpa[NUM];
	uint32_t len[NUM];
	unsigned int n, n_read;
};

static void make_layout(struct layout *l, uint32_t *seed)
{
	l->n = 1 + unit_random(seed) % NUM;
	l->n_read = unit_random(seed) % (l->n + 1);
	for (unsigned int i = 0; i < l->n; i++) {
		l->len[i] = 1 + unit_random(seed) % (i % 3 ? 40 : 9000);
		if (i && unit_random(seed) % 3 == 0)
			l->gpa[i] = l->gpa[i - 1] + l->len[i - 1];
		else
			l->gpa[i] = unit_random(seed) % (2 * REGION);
		if (l->gpa[i] + l->len[i] > 3 * REGION)
			l->gpa[i] = APART + i;
	}
}

/* In table order, or in any other. */
static void place(const struct layout *l, struct vring_desc *table,
		  uint32_t *seed, uint16_t *ret_head)
{
	uint16_t order[NUM];

	for (uint16_t i = 0; i < NUM; i++)
		order[i] = i;
	for (uint16_t i = l->n - 1; i > 0; i--) {
		uint16_t k = unit_random(seed) % (i + 1), t = order[i];

		order[i] = order[k];
		order[k] = t;
	}
	for (unsigned int i = 0; i < l->n; i++)
		put(&table[order[i]], l->gpa[i], l->len[i],
		    (i >= l->n_read ? WRITE : 0) | (i + 1 < l->n ? NEXT : 0),
		    i + 1 < l->n ? order[i + 1] : 999);
	*ret_head = order[0];
}

/* For an indirect table: it begins with its first entry. */
static void place_from_first(const struct layout *l, struct vring_desc *table,
			     uint32_t *seed)
{
	uint16_t head;
	struct vring_desc t;

	place(l, table, seed, &head);
	t = table[head];
	if (head == 0)
		return;
	for (unsigned int i = 0; i < l->n; i++) {
		if (!(table[i].flags & NEXT))
			continue;
		if (table[i].next == 0)
			table[i].next = head;
	}
	t = table[head];
	table[head] = table[0];
	table[0] = t;
}

static void check_layout(const struct layout *l)
{
	static char want[NUM * 9000], got[NUM * 9000];
	size_t len = 0, n;

	for (unsigned int i = 0; i < l->n_read; i++) {
		gmem_read(&g, l->gpa[i], want + len, l->len[i]);
		len += l->len[i];
	}
	n = gather(c.iov, c.n_read, got);
	must(n == len && memcmp(want, got, len) == 0);
	len = 0;
	for (unsigned int i = l->n_read; i < l->n; i++) {
		gmem_read(&g, l->gpa[i], want + len, l->len[i]);
		len += l->len[i];
	}
	n = gather(chain_write_iov(&c), c.n_write, got);
	must(n == len && memcmp(want, got, len) == 0);
}

static void fill_memory(void)
{
	static char bytes[MIB];
	uint32_t seed = 9;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)unit_random(&seed);
	gmem_write(&g, 0, bytes, 3 * REGION);
	gmem_write(&g, APART, bytes + 1, MIB - 1);
}

START_TEST(any_layout_in_the_ring)
{
	struct layout l;
	uint32_t seed = 1;
	uint16_t head;

	fill_memory();
	for (int i = 0; i < 1000; i++) {
		make_layout(&l, &seed);
		place(&l, ring, &seed, &head);
		walk(head);
		check_layout(&l);
	}
}
END_TEST

/* Tables within a region, at an odd address, and across a boundary: at each
 * byte of a descriptor. */
START_TEST(any_layout_in_an_indirect_table)
{
	struct vring_desc table[NUM];
	struct layout l;
	uint32_t seed = 2;

	fill_memory();
	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t where = i % 2 ? APART + MIB / 2 + i :
					 2 * REGION - 16 - i % 64;

		make_layout(&l, &seed);
		/* Not under the table itself. */
		for (unsigned int k = 0; k < l.n; k++)
			l.gpa[k] = APART + l.gpa[k] % (MIB / 4);
		place_from_first(&l, table, &seed);
		gmem_write(&g, where, table, l.n * sizeof(table[0]));
		put(&ring[5], where, l.n * sizeof(table[0]), INDIRECT, 0);
		walk(5);
		check_layout(&l);
	}
}
END_TEST

/* Some descriptors of the ring, and then a table. */
START_TEST(table_at_the_end_of_a_chain)
{
	struct vring_desc table[2];
	struct layout l = { .gpa = { 10, 500, 3 }, .len = { 4, 7, 9 },
			    .n = 3, .n_read = 2 };

	fill_memory();
	put(&ring[0], 10, 4, NEXT, 1);
	put(&ring[1], APART, 32, INDIRECT, 0);
	put(&table[0], 500, 7, NEXT, 1);
	put(&table[1], 3, 9, WRITE, 0);
	gmem_write(&g, APART, table, sizeof(table));
	walk(0);
	check_layout(&l);
}
END_TEST

/* The longest: as many descriptors as there can be, each a byte, none beside
 * the next. */
START_TEST(largest_table)
{
	static struct vring_desc table[CHAIN_DESC_MAX];

	for (uint32_t i = 0; i < CHAIN_DESC_MAX; i++)
		put(&table[i], i * 2, 1,
		    (i + 1 < CHAIN_DESC_MAX ? NEXT : 0) |
			    (i >= CHAIN_DESC_MAX / 2 ? WRITE : 0),
		    (uint16_t)(i + 1));
	gmem_write(&g, APART, table, sizeof(table));
	put(&ring[0], APART, sizeof(table), INDIRECT, 0);
	walk(0);
	ck_assert_uint_eq(c.n_read, CHAIN_DESC_MAX / 2);
	ck_assert_uint_eq(c.n_write, CHAIN_DESC_MAX / 2);
}
END_TEST

/*
 * The guest rewrites a descriptor while it is read: good ones and bad ones take
 * turns. Whatever comes out lies in its memory.
 */
static atomic_bool stop;

static void *rewriter(void *arg)
{
	struct vring_desc *d = arg;
	struct vring_desc forms[] = { { 0, 64, NEXT, 1 },
				      { APART + MIB - 64, 64, WRITE, 0 },
				      { APART + MIB - 63, 64, NEXT, 1 },
				      { UINT64_MAX, UINT32_MAX, 0xffff, 0xffff },
				      { APART, 0, 0, 0 },
				      { APART, 32, INDIRECT, 0 } };
	uint32_t seed = 1;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		const struct vring_desc *f = &forms[unit_random(&seed) % 6];
		volatile struct vring_desc *to = &d[unit_random(&seed) % 2];

		to->addr = f->addr;
		to->len = f->len;
		to->flags = f->flags;
		to->next = f->next;
	}
	return NULL;
}

static void check_inside(void)
{
	for (size_t i = 0; i < c.n_read + c.n_write; i++) {
		uint64_t gpa;
		size_t left;

		must(c.iov[i].iov_len > 0);
		must(memmap_to_gpa(&map, c.iov[i].iov_base, &gpa, &left));
		/* Neighbouring regions may have been merged. */
		must(c.iov[i].iov_len <= left ||
		     memmap_to_gpa(&map, (char *)c.iov[i].iov_base +
						 c.iov[i].iov_len - 1,
				   &gpa, &left));
	}
}

START_TEST(descriptors_change_while_they_are_read)
{
	struct vring_desc *theirs = gmem_ptr(&g, REGION, 32);
	const struct vring_desc *ours = (const void *)at(REGION);
	unsigned int good = 0;
	pthread_t thread;

	ck_ok(pthread_create(&thread, NULL, rewriter, theirs));
	for (unsigned int i = 0; i < unit_rounds(1000000) || good < 1000; i++) {
		if (chain_walk(&c, &map, ours, 2, i % 2))
			continue;
		good++;
		check_inside();
	}
	atomic_store(&stop, true);
	ck_ok(pthread_join(thread, NULL));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("chain");
	TCase *tc = unit_tcase(s, "layouts", 20);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, one_of_each_direction);
	tcase_add_test(tc, neighbours_are_merged);
	tcase_add_test(tc, only_readable_or_only_writable);
	tcase_add_test(tc, descriptor_across_regions);
	tcase_add_test(tc, any_layout_in_the_ring);
	tcase_add_test(tc, any_layout_in_an_indirect_table);
	tcase_add_test(tc, table_at_the_end_of_a_chain);
	tcase_add_test(tc, largest_table);
	tcase_add_test(tc, descriptors_change_while_they_are_read);
	return unit_run(s);
}
