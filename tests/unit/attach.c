/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a worker makes of the records that a dead one has left: whole, by halves,
 * and damaged in each of their numbers.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/barrier.h"
#include "base/fd.h"
#include "base/recall.h"
#include "fs/handle.h"
#include "fs/node_place.h"
#include "fs/tally.h"
#include "rig.h"
#include "unit.h"
#include "vhost/server.h"

static struct arena arena;

/* --- base/recall --- */

/* What is open now; /proc stays, as it does in the keeper. */
static int list_all(int **ret)
{
	static int proc = -1;

	if (proc < 0)
		proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(proc >= 0);
	return recall_list(proc, ret);
}

START_TEST(what_nobody_names_is_closed)
{
	int *list, n, kept, lost[3], more;

	unit_enter_fd_directory();
	n = list_all(&list);
	ck_assert_int_ge(n, 3);
	kept = dup(0);
	for (int i = 0; i < 3; i++)
		lost[i] = dup(0);
	ck_ok(recall_begin());
	for (int i = 0; i < n; i++)
		ck_ok(recall_fd(list[i]));
	ck_ok(recall_fd(kept));
	ck_assert_int_eq(recall_fd(kept), -EBADF);
	ck_assert_int_eq(recall_fd(-1), -EBADF);
	ck_assert_int_eq(recall_fd(987654), -EBADF);
	more = fd_eventfd(0, 0);
	ck_assert(recall_runs());
	ck_assert_int_eq(recall_end(), 3);
	ck_assert(!recall_runs());
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fcntl(lost[i], F_GETFD), -1);
	ck_assert_int_ge(fcntl(kept, F_GETFD), 0);
	ck_assert_int_ge(fcntl(more, F_GETFD), 0);
	ck_assert_int_eq(fd_count(), n + 2);
	free(list);
}
END_TEST

/* --- base/slots --- */

struct record {
	struct slot_head head;
	uint64_t payload;
};

static struct slots slots;

static struct slot_fds reclaim(void *ctx, void *record)
{
	return (struct slot_fds){ { -1, -1 } };
}

static bool keep(void *ctx, void *record)
{
	return ((struct record *)record)->payload != 13;
}

static void slots_again(void)
{
	slots_destroy(&slots);
	ck_ok(slots_init(&slots, &arena, ARENA_NODES, sizeof(struct record),
			 reclaim, NULL));
	slots_attach(&slots, keep);
}

static uint64_t make(uint32_t shard, uint64_t payload)
{
	struct record *r = slots_alloc(&slots, shard);
	uint64_t id;

	r->payload = payload;
	id = slots_commit(&slots, r);
	slots_put(&slots, r);
	return id;
}

static bool has(uint64_t id)
{
	struct record *r = slots_get(&slots, id);

	if (r)
		slots_put(&slots, r);
	return r;
}

static struct record *at(uint64_t id)
{
	return slots_at(&slots, (uint32_t)(id & (SLOTS_MAX - 1)));
}

static void slots_setup(void)
{
	unit_arena(&arena, 1U << 20, 4096);
	ck_ok(slots_init(&slots, &arena, ARENA_NODES, sizeof(struct record),
			 reclaim, NULL));
}

START_TEST(records_are_taken_over)
{
	uint64_t id[1000], fresh;

	slots_setup();
	for (int i = 0; i < 1000; i++)
		id[i] = make((uint32_t)i % 7, i == 500 ? 13 : 14);
	slots_again();
	ck_assert_uint_eq(slots_count(&slots), 999);
	for (int i = 0; i < 1000; i++)
		ck_assert_int_eq(has(id[i]), i != 500);
	/* Its place is given to another, under another number. */
	fresh = make(500 % 7, 1);
	ck_assert_uint_eq(fresh & (SLOTS_MAX - 1), id[500] & (SLOTS_MAX - 1));
	ck_assert(fresh != id[500] && has(fresh) && !has(id[500]));
	ck_assert_uint_lt(slots_count(&slots), 1001);
}
END_TEST

START_TEST(records_by_halves_and_nonsense_are_not)
{
	uint64_t live, dying, future, odd, none;

	slots_setup();
	live = make(0, 1);
	dying = make(0, 2);
	future = make(0, 3);
	odd = make(0, 4);
	none = make(0, 5);
	at(dying)->head.commit ^= SLOT_LIVE ^ SLOT_DYING;
	at(future)->head.commit |= 1ULL << 40;
	at(odd)->head.commit |= 3;
	at(none)->head.commit = SLOT_LIVE; /* no generation */
	slots_again();
	ck_assert(has(live));
	ck_assert_uint_eq(slots_count(&slots), 1);
	ck_assert(!has(dying) && !has(future) && !has(odd) && !has(none));
	for (int i = 0; i < 4; i++)
		ck_assert_uint_lt(make(0, 9) & (SLOTS_MAX - 1), 5 * SLOTS_SHARDS);
}
END_TEST

START_TEST(an_empty_table_costs_nothing)
{
	slots_setup();
	slots_again();
	ck_assert_uint_eq(unit_resident(slots.base, 1U << 20), 0);
}
END_TEST

/* --- fs/node, fs/handle --- */

static enum handle_mode handle_mode = HANDLES_NEVER;
static struct node_table nodes;
static struct handle_table handles;
static int *others, n_others; /* descriptors that are not ours */

static int open_file(const char *name, int flags)
{
	int dir = fd_openat(AT_FDCWD, unit_dir, O_PATH, 0);
	int fd = fd_openat(dir, name, flags, 0);

	must(dir >= 0 && fd >= 0);
	(void)fd_close(&dir);
	return fd;
}

static void tables_init(void)
{
	int root = fd_openat(AT_FDCWD, unit_dir, O_PATH | O_DIRECTORY, 0);

	free(nodes.shard); /* of the process before */
	ck_ok(node_table_init(&nodes, &arena, handle_mode, &root));
	ck_ok(handle_table_init(&handles, &arena));
}

/* As if another process went on here: descriptors stay, private memory not. */
static void tables_again(void)
{
	ck_ok(recall_begin());
	for (int i = 0; i < n_others; i++)
		recall_fd(others[i]);
	ck_ok(recall_fd(arena.fd));
	tables_init();
	ck_assert_int_ge(recall_end(), 0);
}

static uint64_t enter(const char *name, struct tally *tally)
{
	int fd = open_file(name, O_PATH);
	struct statx stx;
	uint64_t id;

	must(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID,
		   &stx) == 0);
	ck_ok(node_enter_for(&nodes, NULL, &stx, &fd, tally, &id));
	return id;
}

/* What has a place alone. */
static uint64_t enter_place(const char *name)
{
	_cleanup_unpin_ struct node_pin root = { 0 };
	struct statx stx;
	uint64_t id;

	must(node_pin(&nodes, NODE_ROOT_ID, &root) == 0);
	must(statx(root.fd, name, AT_SYMLINK_NOFOLLOW,
		   STATX_BASIC_STATS | STATX_MNT_ID | STATX_BTIME, &stx) == 0);
	if (node_enter_place(&nodes, &root, name, &stx, NULL, &id) < 0)
		return 0;
	return id;
}

static bool is_node(uint64_t id)
{
	struct node_pin p;

	if (node_pin(&nodes, id, &p) < 0)
		return false;
	node_unpin(&p);
	return true;
}

static uint64_t open_handle(const char *name, const struct tally *tally)
{
	const struct handle_origin from = { .tally = tally };
	int fd = open_file(name, O_RDWR);
	uint64_t fh;

	ck_ok(handle_open_for(&handles, HANDLE_FILE, &fd, &from, &fh));
	return fh;
}

static bool is_handle(uint64_t fh)
{
	struct handle_pin p;

	if (handle_pin(&handles, fh, HANDLE_FILE, &p) < 0)
		return false;
	handle_unpin(&p);
	return true;
}

static struct node *node_of(uint64_t id)
{
	return slots_at(&nodes.slots, (uint32_t)(id & (SLOTS_MAX - 1)));
}

static struct handle *handle_of(uint64_t fh)
{
	return slots_at(&handles.slots, (uint32_t)(fh & (SLOTS_MAX - 1)));
}

static void tables_setup(void)
{
	unit_enter_fd_directory();
	if (!others)
		n_others = list_all(&others);
	unit_arena(&arena, 4096, 4096);
	unit_write_file("a", "a", 1);
	unit_write_file("b", "b", 1);
	tables_init();
}

START_TEST(nodes_and_handles_are_taken_over)
{
	uint64_t a, b, fh;
	long before;

	tables_setup();
	a = enter("a", NULL);
	b = enter("b", NULL);
	fh = open_handle("a", NULL);
	tables_again();
	before = fd_count();
	ck_assert(is_node(a) && is_node(b) && is_handle(fh));
	ck_assert_uint_eq(enter("a", NULL), a);
	ck_assert_int_eq(fd_count(), before);
	tables_again();
	ck_assert(node_forget(&nodes, a, 2) && node_forget(&nodes, b, 1));
	ck_assert(!is_node(a));
}
END_TEST

/* Each number of a record, by itself. */
START_TEST(damaged_nodes_are_dropped)
{
	for (int what = 0; what < 8; what++) {
		uint64_t a, b;

		tables_setup();
		a = enter("a", NULL);
		b = enter("b", NULL);
		switch (what) {
		case 0: node_of(a)->ino++; break;
		case 1: node_of(a)->mnt_id++; break;
		case 2: node_of(a)->dev_minor++; break;
		case 3: node_of(a)->mode ^= S_IFMT; break;
		case 4: node_of(a)->fd = 12345; break;
		case 5: node_of(a)->fd = -1; break;
		case 6: node_of(a)->lookups = 0; break;
		case 7: node_of(a)->fd = (int)node_of(b)->fd; break;
		}
		tables_again();
		ck_assert_msg(!is_node(a), "%d", what);
		ck_assert(is_node(b));
		ck_assert_uint_eq(node_table_count(&nodes), 2);
	}
}
END_TEST

START_TEST(places_are_taken_over)
{
	uint64_t a;

	handle_mode = HANDLES_AUTO;
	tables_setup();
	a = enter_place("a");
	if (a == 0)
		return; /* no times of birth here */
	tables_again();
	ck_assert_uint_eq(enter_place("a"), a);
	ck_assert(node_by_place_alone(node_of(a)));
	unit_remove_name(&nodes, "a", 0);
	ck_assert(is_node(a));
	tables_again();
	ck_assert(is_node(a));
	ck_assert_int_ge(node_of(a)->fd, 0);
}
END_TEST

START_TEST(damaged_places_are_dropped_or_stale)
{
	for (int what = 0; what < 8; what++) {
		struct node_place *p;
		uint64_t a, b;

		handle_mode = HANDLES_AUTO;
		tables_setup();
		a = enter_place("a");
		b = enter_place("b");
		if (a == 0)
			return;
		p = &node_of(a)->place;
		switch (what) {
		case 0: p->born++; break;
		case 1: p->born = 0; break;
		case 2: p->dir = b; break;
		case 3: p->dir = 12345; break;
		case 4: p->name[0] = '\0'; break;
		case 5: memcpy(p->name, "../a", 5); break;
		case 6: memset(p->name, 'a', sizeof(p->name)); break;
		case 7: node_of(a)->mode = S_IFDIR; break;
		}
		tables_again();
		ck_assert_msg(!is_node(a), "%d", what);
		ck_assert(is_node(b));
	}
}
END_TEST

START_TEST(damaged_handles_are_dropped)
{
	for (int what = 0; what < 7; what++) {
		uint64_t a, b;

		tables_setup();
		a = open_handle("a", NULL);
		b = open_handle("b", NULL);
		switch (what) {
		case 0: handle_of(a)->fd = 12345; break;
		case 1: handle_of(a)->fd = -1; break;
		case 2: handle_of(a)->kind = 0; break;
		case 3: handle_of(a)->kind = HANDLE_DIR; break;
		case 4: handle_of(a)->fd = handle_of(b)->fd; break;
		case 5: handle_of(a)->fd = nodes.root->fd; break; /* O_PATH */
		case 6: handle_of(a)->fd = arena.fd; break; /* the keeper's */
		}
		tables_again();
		/* Of two that name one descriptor, the first has it. */
		ck_assert_msg(is_handle(a) == (what == 4 && !is_handle(b)), "%d",
			      what);
		ck_assert_uint_eq(handle_table_count(&handles), 1);
	}
}
END_TEST

/* --- what a request has given --- */

START_TEST(a_tally_takes_back_what_was_given)
{
	uint64_t a, b, fh, mine;
	struct tally *t;

	tables_setup();
	t = arena_section(&arena, ARENA_TALLIES);
	t->number = 1;
	tally_begin(t, 7, 0);
	mine = open_handle("a", NULL);
	a = enter("a", NULL);
	ck_assert_uint_eq(enter("a", t), a);
	b = enter("b", t);
	fh = open_handle("b", t);
	ck_assert_uint_eq(tally_count(t), 2);
	tables_again();
	while (tally_count(t))
		node_unlook(&nodes, t);
	handle_undo(&handles, t);
	ck_assert_uint_eq(node_of(a)->lookups, 1);
	ck_assert(is_node(a) && !is_node(b));
	ck_assert(is_handle(mine) && !is_handle(fh));
	/* The same request again goes on counting, another one begins. */
	t->n = 2;
	tally_begin(t, 7, 0);
	ck_assert_uint_eq(tally_count(t), 2);
	tally_begin(t, 8, 0);
	ck_assert_uint_eq(tally_count(t), 0);
}
END_TEST

/* Committed, and then: nothing, one or both of its two stores. */
START_TEST(a_journal_is_carried_out)
{
	for (int done = 0; done < 3; done++) {
		struct journal *j;
		struct tally *t;
		uint64_t a;

		tables_setup();
		t = arena_section(&arena, ARENA_TALLIES);
		t->number = 1;
		tally_begin(t, 7, 0);
		a = enter("a", NULL);
		j = &nodes.journal[slots_index(&nodes.slots, node_of(a)) %
				   SLOTS_SHARDS];
		*j = (struct journal){ a, 2, 1, 1 };
		if (done > 0)
			node_of(a)->lookups = 2;
		if (done > 1)
			t->n = 1;
		tables_again();
		ck_assert_uint_eq(node_of(a)->lookups, 2);
		ck_assert_uint_eq(tally_count(t), 1);
		ck_assert_uint_eq(nodes.journal[a % SLOTS_SHARDS].node, 0);
	}
}
END_TEST

START_TEST(a_damaged_journal_is_not)
{
	for (int what = 0; what < 6; what++) {
		struct journal *j;
		uint64_t a;

		tables_setup();
		a = enter("a", NULL);
		j = &nodes.journal[a % SLOTS_SHARDS];
		*j = (struct journal){ a, 9, 1, 1 };
		switch (what) {
		case 0: j->node += 1ULL << SLOTS_INDEX_BITS; break;
		case 1: j->node += 1; break;
		case 2: j->tally = 0; break;
		case 3: j->tally = DEVICE_TALLIES + 1; break;
		case 4: j->n = TALLY_NODES_MAX + 1; break;
		case 5: j->node = ~0ULL - 15 + a % SLOTS_SHARDS; break;
		}
		tables_again();
		ck_assert_uint_eq(node_of(a)->lookups, 1);
		ck_assert_uint_eq(j->node, 0);
	}
}
END_TEST

/* --- virtio/queue_attach --- */

static struct rig rig;

static void queue_again(void)
{
	struct queue old = rig.q;

	ck_ok(queue_init(&rig.q, 1, &rig.record, rig.inflight, &rig.map,
			 &rig.dirty));
	queue_destroy(&old);
	ck_ok(queue_attach(&rig.q, true));
}

static void rig_run(uint16_t base)
{
	rig_init(&rig);
	rig_start(&rig, 16, true, base);
	rig.record.started = 1;
	rig.record.enabled = 1;
	for (uint16_t i = 0; i < 4; i++)
		rig_offer_pair(&rig, i * 2);
	driver_kick(&rig.d);
}

static void rig_end(void)
{
	rig_stop(&rig);
	rig_destroy(&rig);
}

static const uint16_t bases[] = { 0, 65534 };

START_TEST(requests_are_run_again_in_their_order)
{
	rig_run(bases[_i]);
	for (uint16_t i = 0; i < 4; i++)
		rig_pop(&rig, i * 2);
	inflight_acting(&rig.inflight[4], 1, 1);
	inflight_enter(&rig.inflight[2], INFLIGHT_PARKED);
	for (unsigned int deaths = 1; deaths < 3; deaths++) {
		queue_again();
		for (uint16_t i = 0; i < 4; i++) {
			ck_assert_int_eq(queue_pop_again(&rig.q, &rig.c), 1);
			ck_assert_uint_eq(rig.c.head, i * 2);
			ck_assert_uint_eq(inflight_phase(rig.c.record),
					  INFLIGHT_TAKEN);
			ck_assert_uint_eq(inflight_deaths(rig.c.record),
					  i == 2 ? deaths : 0);
		}
		ck_assert_int_eq(queue_pop_again(&rig.q, &rig.c), 0);
		ck_assert_int_eq(queue_pop(&rig.q, &rig.c), 0);
		inflight_acting(&rig.inflight[4], 1, 1);
	}
	rig_end();
}
END_TEST

/* Died in queue_pop(): the record is there, the queue's counts are not yet. */
START_TEST(a_pop_by_halves)
{
	for (int half = 0; half < 2; half++) {
		rig_run(bases[_i]);
		rig_pop(&rig, 0);
		rig_pop(&rig, 2);
		rig.record.order--;
		if (half)
			rig.record.last_avail--;
		queue_again();
		for (uint16_t head = 0; head < 4; head += 2) {
			must(queue_pop_again(&rig.q, &rig.c) == 1);
			ck_assert_uint_eq(rig.c.head, head);
		}
		rig_pop(&rig, 4);
		ck_assert_uint_eq(rig.c.record->order, 3);
		rig_end();
	}
}
END_TEST

/* Died in queue_push(): KNOWN; then with the entry; with the guest's index; with
 * the queue's own. It is on the used ring once, with its length. */
START_TEST(a_push_by_halves)
{
	for (int steps = 0; steps < 4; steps++) {
		struct vring_used_elem e;
		uint16_t used;

		rig_run(bases[_i]);
		rig_pop(&rig, 0);
		rig_pop(&rig, 2);
		must(queue_push(&rig.q, &rig.c, 7)); /* head 2 */
		used = rig.record.used_idx;
		rig.inflight[0].result = 77;
		rig.inflight[0].used_at = used;
		inflight_enter(&rig.inflight[0], INFLIGHT_KNOWN);
		if (steps > 0) {
			rig.q.used->ring[used % 16].id = 0;
			rig.q.used->ring[used % 16].len = 77;
		}
		if (steps > 1)
			store_release_le16(&rig.q.used->idx, used + 1);
		if (steps > 2)
			rig.record.used_idx++;
		queue_again();
		ck_assert_uint_eq(rig.record.used_idx, (uint16_t)(used + 1));
		ck_assert_uint_eq(inflight_phase(&rig.inflight[0]), 0);
		ck_assert_int_eq(queue_pop_again(&rig.q, &rig.c), 0);
		must(driver_take(&rig.d, &e) && e.id == 2 && e.len == 7);
		must(driver_take(&rig.d, &e) && e.id == 0 && e.len == 77);
		ck_assert(!driver_take(&rig.d, &e));
		rig_end();
	}
}
END_TEST

START_TEST(damaged_queues_are_refused)
{
	for (int what = 0; what < 14; what++) {
		struct queue_record *rec = &rig.record;

		rig_run(0);
		rig_pop(&rig, 0);
		switch (what) {
		case 0: rec->num = 15; break;
		case 1: rec->num = 65536; break;
		case 2: rec->have_addr = 2; break;
		case 3: rec->enabled = 2; break;
		case 4: rec->started = 3; break;
		case 5: rec->fresh = 2; break;
		case 6: rec->named = 2; break;
		case 7: rec->broken = 9; break;
		case 8: rec->desc = 1ULL << 60; break;
		case 9: rec->used++; break;
		case 10: rig.inflight[0].state = INFLIGHT_PHASES; break;
		case 11: rig.inflight[0].order = 0; break;
		case 12: rig.inflight[0].order = 3; break;
		case 13: rec->avail = UINT64_MAX - 1; break;
		}
		queue_unmap(&rig.q);
		ck_assert_msg(queue_attach(&rig.q, true) < 0, "%d", what);
		rec->num = 16;
		rig_end();
	}
}
END_TEST

START_TEST(a_broken_queue_stays_broken)
{
	rig_run(0);
	rig.record.broken = 1;
	queue_again();
	ck_assert_int_eq(queue_pop(&rig.q, &rig.c), -EBADMSG);
	rig_end();
}
END_TEST

/* --- virtio/memmap, vhost/server --- */

START_TEST(damaged_regions_are_refused)
{
	for (int what = 0; what < 8; what++) {
		static struct region_record rec[MEMMAP_REGIONS_MAX];
		static struct memmap m;
		int fd = memfd_create("guest", MFD_CLOEXEC);

		memset(rec, 0, sizeof(rec));
		must(ftruncate(fd, 1 << 20) == 0);
		memmap_init(&m, rec);
		rec[0] = (struct region_record){ 1, fd, 0, 1 << 20, 0, 0 };
		rec[3] = (struct region_record){ 1, dup(fd), 1 << 20, 4096,
						 1 << 20, 0 };
		switch (what) {
		case 0: break;
		case 1: rec[3].fd = 4321; break;
		case 2: rec[3].fd = rec[0].fd; break;
		case 3: rec[3].size = 0; break;
		case 4: rec[3].size = 1 << 21; break;
		case 5: rec[3].gpa = 4096; break;
		case 6: rec[3].mmap_offset = UINT64_MAX; break;
		case 7: rec[3].uaddr = UINT64_MAX - 1; break;
		}
		ck_ok(recall_begin());
		ck_assert_msg((memmap_attach(&m) == 0) == (what == 0), "%d", what);
		ck_assert(what != 0 || m.n == 2);
	}
}
END_TEST

START_TEST(damaged_front_ends_are_refused)
{
	for (int what = 0; what < 9; what++) {
		static struct device dev;
		const struct config cfg = { 0 };
		struct server_record rec = { .owned = 1,
					     .stage = SERVER_LISTENS };
		struct server s = { .cfg = &cfg, .dev = &dev, .record = &rec };

		switch (what) {
		case 0: break;
		case 1: rec.features = 1ULL << 63; break;
		case 2: rec.protocol = 1ULL << 63; break;
		case 3: rec.owned = 2; break;
		case 4: rec.stage = SERVER_SERVES + 1; break;
		case 5: rec.stage = SERVER_SERVES; rec.front_fd = 1; break;
		case 6: rec.backend_fd = 4321; break;
		case 7: rec.in_message = 1; break;
		case 8: rec.stage = SERVER_ACCEPTS; break;
		}
		ck_ok(recall_begin());
		ck_assert_msg((server_attach(&s) == 0) == (what == 0), "%d", what);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("attach");
	TCase *tc = unit_tcase(s, "attach", 20);

	unit_add_dir(tc);
	tcase_add_test(tc, what_nobody_names_is_closed);
	tcase_add_test(tc, records_are_taken_over);
	tcase_add_test(tc, records_by_halves_and_nonsense_are_not);
	tcase_add_test(tc, an_empty_table_costs_nothing);
	tcase_add_test(tc, nodes_and_handles_are_taken_over);
	tcase_add_test(tc, damaged_nodes_are_dropped);
	tcase_add_test(tc, places_are_taken_over);
	tcase_add_test(tc, damaged_places_are_dropped_or_stale);
	tcase_add_test(tc, damaged_handles_are_dropped);
	tcase_add_test(tc, a_tally_takes_back_what_was_given);
	tcase_add_test(tc, a_journal_is_carried_out);
	tcase_add_test(tc, a_damaged_journal_is_not);
	tcase_add_loop_test(tc, requests_are_run_again_in_their_order, 0, 2);
	tcase_add_loop_test(tc, a_pop_by_halves, 0, 2);
	tcase_add_loop_test(tc, a_push_by_halves, 0, 2);
	tcase_add_test(tc, damaged_queues_are_refused);
	tcase_add_test(tc, a_broken_queue_stays_broken);
	tcase_add_test(tc, damaged_regions_are_refused);
	tcase_add_test(tc, damaged_front_ends_are_refused);
	return unit_run(s);
}
