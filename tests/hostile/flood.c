/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Too much of everything: opens, lookups, directories, locks, waiters, FORGETs, refusals. What
 * there is no more of is refused by an errno, others are served meanwhile, and all of it can be
 * given back; memory stays what it was.
 */
#include <fcntl.h>

#include "hostile.h"

/* A thread more is not growth; under a sanitizer it has megabytes of its own. */
#define GROWTH_KB (func_sanitized() ? 32 << 10 : 4 << 10)

/* A node without a descriptor needs one for each request; here each has its own. */
static const char *const few_fds[] = { "--rlimit-nofile=256", "--inode-file-handles=never", NULL };

static void batch_forget_all(const uint64_t *node, unsigned int n)
{
	struct fuse_batch_forget_in *in = hostile_body();
	struct fuse_forget_one *one = (struct fuse_forget_one *)(in + 1);
	size_t len = sizeof(*in) + n * sizeof(*one);

	*in = (struct fuse_batch_forget_in){ .count = n };
	for (unsigned int i = 0; i < n; i++)
		one[i] = (struct fuse_forget_one){ node[i], 1 };
	hostile_header(FUSE_BATCH_FORGET, 0, len);
	ck_assert_int_eq(hostile_send(sizeof(struct fuse_in_header) + len, 0, NULL), 0);
}

/* By what needs no descriptor, since it is the same guest that has them all. */
static void still_served(void)
{
	struct fuse_attr_out a;

	ok(guest_getattr(&hx.witness, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ok(guest_getattr(&hx.witness, hx.file.nodeid, GUEST_NO_FH, &a));
}

static void gives_back(int before)
{
	int now = daemon_fds_settle(&fx.d, before, wait_scaled(2000));

	ck_assert_msg(now <= before, "%d descriptors, %d before", now, before);
}

START_TEST(opens_without_end_are_enfile_and_others_are_served)
{
	static uint64_t fh[1000];
	struct fuse_open_out o;
	unsigned int n = 0;
	uint64_t node;
	int fds, r = 0;

	hostile_start(few_fds, NULL);
	host_text("f", "x");
	node = func_node("f");
	fds = daemon_fds(&fx.d);
	for (int round = 0; round < 3; round++) {
		for (n = 0, r = 0; n < 1000 && r == 0; n += r == 0) {
			r = guest_open(&fx.g, node, O_RDWR, &o);
			fh[n] = o.fh;
		}
		ck_assert_int_eq(r, -ENFILE);
		ck_assert_uint_gt(n, 100);
		still_served();
		fails(guest_open(&fx.g, node, O_RDWR, &o), ENFILE);
		/* the front-end's messages still come through */
		ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, fx.g.ring->call_fd));
		while (n)
			ok(guest_release(&fx.g, node, fh[--n]));
		gives_back(fds);
	}
	hostile_end();
}
END_TEST

START_TEST(directories_without_end_are_enfile_and_others_are_served)
{
	struct fuse_open_out o;
	int n = 0, r = 0;

	hostile_start(few_fds, NULL);
	for (n = 0; n < 1000 && r == 0; n++)
		r = guest_opendir(&fx.g, FUSE_ROOT_ID, &o);
	ck_assert_int_eq(r, -ENFILE);
	still_served();
	/* READDIR of one that is open needs none */
	ck_assert_int_gt(guest_readdir(&fx.g, FUSE_ROOT_ID, o.fh, 0, NULL, 4096), 0);
	hostile_end();
}
END_TEST

static void look_up_without_end(const char *const *args, int until)
{
	static uint64_t node[1000];
	struct fuse_entry_out e;
	unsigned int n = 0;
	int fds, r = 0;
	char name[16];

	hostile_start(args, NULL);
	for (int i = 0; i < 1000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		host_text(name, "");
	}
	fds = daemon_fds(&fx.d);
	for (int round = 0; round < 3; round++) {
		for (n = 0, r = 0; n < 1000 && r == 0; n += r == 0) {
			snprintf(name, sizeof(name), "n%u", n);
			r = guest_lookup(&fx.g, FUSE_ROOT_ID, name, &e);
			node[n] = e.nodeid;
		}
		ck_assert_int_eq(r, until);
		still_served();
		batch_forget_all(node, n);
		gives_back(fds);
	}
	hostile_end();
}

START_TEST(lookups_without_end_are_enfile_and_can_be_forgotten)
{
	look_up_without_end(few_fds, -ENFILE);
}
END_TEST

/* Where nodes are file handles there is no end to them, with as few descriptors. */
START_TEST(lookups_without_end_by_handles_can_be_forgotten)
{
	static const char *const args[] = { "--rlimit-nofile=256", NULL };

	func_need_root();
	look_up_without_end(args, 0);
}
END_TEST

START_TEST(creates_without_end_leave_no_file_open)
{
	struct fuse_entry_out e;
	struct fuse_open_out o;
	int r = 0, made = 0;
	char name[16];

	hostile_start(few_fds, NULL);
	for (int n = 0; n < 1000 && r == 0; n++) {
		snprintf(name, sizeof(name), "c%d", n);
		r = guest_create(&fx.g, FUSE_ROOT_ID, name, O_RDWR, 0600, 0, &e, &o);
		made += r == 0;
	}
	ck_assert_int_eq(r, -ENFILE);
	ck_assert_int_gt(made, 50);
	for (int i = 0; i < 100; i++) {
		(void)guest_mkdir(&fx.g, FUSE_ROOT_ID, "d", 0700, 0, &e);
		(void)guest_tmpfile(&fx.g, FUSE_ROOT_ID, O_RDWR, 0600, 0, &e, &o);
	}
	still_served();
	hostile_end();
}
END_TEST

/* --- locks --- */

static const char *const with_locks[] = { "-o", "posix_lock,flock", NULL };

/* One byte in two, so that no range joins another. The host's kernel goes through a file's whole
 * list at each, so there are several files. */
START_TEST(ranges_without_end_can_be_given_back)
{
	unsigned int each = func_sanitized() ? 1000 : 4000;
	struct guest_lock l = { .owner = 1, .type = F_WRLCK };
	char name[8];
	long rss;

	hostile_start(with_locks, NULL);
	rss = daemon_rss_kb(&fx.d);
	for (int f = 0; f < 5; f++) {
		snprintf(name, sizeof(name), "f%d", f);
		host_text(name, "x");
		l.node = func_node(name);
		l.fh = func_open(l.node, O_RDWR);
		for (unsigned int n = each; n; n--) {
			l.start = l.end = 2 * n;
			ok(guest_setlk(&fx.g, &l));
		}
		hostile_served();
		ok(guest_flush_owner(&fx.g, l.node, l.fh, l.owner));
		l.owner++;
		l.start = 0;
		l.end = GUEST_LOCK_END;
		ok(guest_setlk(&fx.g, &l));
	}
	ck_assert_int_lt(daemon_rss_kb(&fx.d), rss + GROWTH_KB);
	hostile_end();
}
END_TEST

START_TEST(owners_without_end_are_refused_and_can_be_given_back)
{
	static const char *const args[] = { "-o", "posix_lock", "--rlimit-nofile=256", NULL };
	struct guest_lock l = { .type = F_RDLCK, .start = 0, .end = 10 };
	int fds, r = 0;

	hostile_start(args, NULL);
	host_text("f", "x");
	l.node = func_node("f");
	l.fh = func_open(l.node, O_RDWR);
	fds = daemon_fds(&fx.d);
	for (l.owner = 1; l.owner < 1000 && r == 0; l.owner++)
		r = guest_setlk(&fx.g, &l);
	ck_assert_msg(r == -ENFILE || r == -ENOLCK, "%d", r);
	still_served();
	while (--l.owner)
		ok(guest_flush_owner(&fx.g, l.node, l.fh, l.owner));
	gives_back(fds);
	hostile_end();
}
END_TEST

#define WAITERS 500

/* As many as the ring holds; half of them on one byte, the others on their own. */
static void park_many(struct call *calls, struct guest_lock *l)
{
	l->owner = 1;
	l->start = 0;
	l->end = GUEST_LOCK_END;
	ok(guest_setlk(&fx.g, l));
	for (unsigned int i = 0; i < WAITERS; i++) {
		struct call *c = &calls[i];
		struct fuse_lk_in *in;

		guest_begin_on(&fx.g, c, FUSE_SETLKW, l->node);
		in = call_arg(c, sizeof(*in));
		*in = (struct fuse_lk_in){ .fh = l->fh, .owner = 2 + i,
					   .lk = { .start = i % 2 ? 0 : i, .end = i % 2 ? 0 : i,
						   .type = F_WRLCK } };
		ok(call_submit(c, fx.g.ring, &layout_linux));
		ring_kick(fx.g.ring);
	}
	hostile_served();
	/* It asks for the next kick when it has seen them all. */
	while (__atomic_load_n(ring_avail_event(fx.g.ring), __ATOMIC_ACQUIRE) !=
	       fx.g.ring->avail_idx)
		wait_sleep_ms(1);
}

/* Their heads are free again: what waited for the guest before its INIT is nobody's. */
static void forget_waiters(void)
{
	struct ring *r = fx.g.ring;

	for (uint32_t i = 0; i < r->size; i++)
		r->slot[i] = (struct ring_slot){ .next = i + 1 };
	r->free_head = 0;
	r->nfree = r->size;
}

static struct call *make_calls(void)
{
	struct call *calls = calloc(WAITERS, sizeof(*calls));

	for (unsigned int i = 0; i < WAITERS; i++)
		ok(call_init(&calls[i], &fx.v.mem, 0, 0, 0, 8));
	return calls;
}

static void free_calls(struct call *calls)
{
	for (unsigned int i = 0; i < WAITERS; i++)
		call_free(&calls[i]);
	free(calls);
}

START_TEST(many_parked_locks_hold_up_nobody_and_go_with_the_session)
{
	struct vmm_opts o = { .request_queues = 1, .mem_size = 256u << 20 };
	struct guest_lock l = { .type = F_WRLCK };
	struct ring_done done;
	struct call *calls;

	hostile_start(with_locks, &o);
	host_text("f", "x");
	calls = make_calls();
	for (int how = 0; how < 4; how++) {
		l.node = func_node("f");
		l.fh = func_open(l.node, O_RDWR);
		park_many(calls, &l);
		ck_assert_int_eq(ring_poll(fx.g.ring, &done), 0);
		switch (how) {
		case 0:		/* granted: one byte's waiters only one after the other */
			ok(guest_flush_owner(&hx.witness, l.node, l.fh, 1));
			for (int i = 0; i < WAITERS / 2; i++) {
				ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(9000)), 1);
				ok(call_finish(done.cookie, done.len));
			}
			ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
			break;
		case 1:		/* a file that goes ends them all */
			ok(guest_release(&hx.witness, l.node, l.fh));
			for (int i = 0; i < WAITERS; i++) {
				ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(9000)), 1);
				fails(call_finish(done.cookie, done.len), EBADF);
			}
			break;
		default:
			ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
			wait_sleep_ms(5);
			ck_assert_int_eq(ring_poll(fx.g.ring, &done), 0);
			forget_waiters();
			func_attr(FUSE_ROOT_ID);
		}
		hostile_restart();
	}
	hostile_end();
	free_calls(calls);
}
END_TEST

/* A head that waits belongs to its request: given again, it is no request but a broken ring. */
START_TEST(head_of_a_parked_request_given_again_stops_the_queue)
{
	struct guest_lock l = { .type = F_WRLCK, .owner = 1, .end = 10 };
	struct fuse_attr_out a;
	struct call c;
	uint16_t head;

	hostile_start(with_locks, NULL);
	host_text("f", "x");
	l.node = func_node("f");
	l.fh = func_open(l.node, O_RDWR);
	ok(guest_setlk(&fx.g, &l));
	ok(call_init(&c, &fx.v.mem, 0, 0, 0, 8));
	l.owner = 2;
	head = fx.g.ring->free_head;
	ok(guest_setlkw_send(&fx.g, &c, &l));
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ring_publish(fx.g.ring, head);
	ring_kick_always(fx.g.ring);
	hostile_stopped("was given twice");
	hostile_served();
	call_free(&c);
	hostile_restart();
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	hostile_end();
}
END_TEST

/* --- FORGETs --- */

#define BATCH 655000u		/* in one request of 10 MiB */

START_TEST(ten_million_forgets_by_batch_forget)
{
	struct vmm_opts o = { .request_queues = 1, .mem_size = 128u << 20 };
	unsigned int rounds = 16;	/* 10.5 million */
	struct fuse_batch_forget_in *in;
	struct fuse_forget_one *one;
	struct mem_buf big;
	uint64_t nodes[2];
	long rss;

	hostile_start(NULL, &o);
	host_text("f", "x");
	ok(mem_alloc(&fx.v.mem, 0, 16 << 20, 4096, &big));
	rss = daemon_rss_kb(&fx.d);
	for (unsigned int n = 0; n < rounds; n++) {
		struct ring_piece piece = { big.gpa, sizeof(struct fuse_in_header) + sizeof(*in) +
						     BATCH * sizeof(*one) };
		struct ring_done done;

		nodes[0] = func_node("f");
		nodes[1] = func_node("witness");
		*(struct fuse_in_header *)big.host = (struct fuse_in_header){
			.len = piece.len, .opcode = FUSE_BATCH_FORGET, .unique = 1 };
		in = (struct fuse_batch_forget_in *)(big.host + sizeof(struct fuse_in_header));
		*in = (struct fuse_batch_forget_in){ .count = n % 2 ? ~0u : BATCH };
		one = (struct fuse_forget_one *)(in + 1);
		for (unsigned int i = 0; i < BATCH; i++)
			one[i] = (struct fuse_forget_one){
				i % 4 == 0 ? nodes[0] : i % 4 == 1 ? FUSE_ROOT_ID : random_u64(),
				i % 3 ? 1 : UINT64_MAX };
		ok(ring_add(fx.g.ring, &piece, 1, 0, NULL, NULL));
		ring_kick(fx.g.ring);
		hostile_served();
		ck_assert_int_eq(ring_wait(fx.g.ring, &done, wait_scaled(10000)), 1);
		ck_assert_uint_eq(done.len, 0);
		ok(guest_forget(&fx.g, nodes[1], 1));
	}
	/* what it maps of guest memory counts, too, and what a sanitizer notes of that */
	ck_assert_int_lt(daemon_rss_kb(&fx.d), rss + ((func_sanitized() ? 88 : 24) << 10));
	hostile_end();
}
END_TEST

/* A ring full of them, again and again; the chains are always the same. */
START_TEST(forgets_by_chains_without_end)
{
	unsigned int left = func_sanitized() ? 200000 : 1000000;
	struct vmm_opts o = { .request_queues = 1, .queue_size = 1024 };
	struct fuse_in_header *h;
	struct ring *r;
	long rss;

	hostile_start(NULL, &o);
	r = fx.g.ring;
	for (unsigned int i = 0; i < 1024; i++) {
		h = (struct fuse_in_header *)(hx.in.host + 64 * i);
		*h = (struct fuse_in_header){ .len = 48, .opcode = FUSE_FORGET, .unique = i,
					      .nodeid = i % 2 ? FUSE_ROOT_ID : random_u64() };
		*(uint64_t *)(h + 1) = i % 3 ? UINT64_MAX : 1;
		ring_desc(r, i, hx.in.gpa + 64 * i, 48, 0, 0);
	}
	rss = daemon_rss_kb(&fx.d);
	while (left) {
		uint16_t used = r->used->idx;

		for (unsigned int i = 0; i < 1024; i++)
			r->avail->ring[(r->avail_idx + i) % 1024] = i;
		__atomic_store_n(&r->avail->idx, r->avail_idx += 1024, __ATOMIC_RELEASE);
		ring_kick_always(r);
		while ((uint16_t)(__atomic_load_n(&r->used->idx, __ATOMIC_ACQUIRE) - used) < 1024)
			wait_sleep_ms(0);
		left -= left < 1024 ? left : 1024;
	}
	hostile_served();
	ck_assert_int_lt(daemon_rss_kb(&fx.d), rss + GROWTH_KB);
	hostile_restart();
	hostile_end();
}
END_TEST

/* --- the log --- */

START_TEST(guest_cannot_fill_the_log)
{
	struct fuse_init_in old = { .major = 7, .minor = 1 };
	unsigned int lines;

	hostile_start(NULL, NULL);
	lines = daemon_log_lines(&fx.d);
	for (int i = 0; i < 500; i++) {
		old.minor = i % 20;
		fails(guest_init_raw(&fx.g, &old, sizeof(old), NULL), EPROTO);
		ok(guest_init(&fx.g, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
		for (unsigned int n = 0; n < hostile_nops; n += 7) {
			hostile_header(hostile_ops[n].opcode, random_u64(), 8);
			(void)hostile_send(48, 4096, NULL);
		}
	}
	ck_assert_uint_le(daemon_log_lines(&fx.d), lines + 20);
	func_init_session();
	hostile_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("flood", argc, argv);
	func_test(opens_without_end_are_enfile_and_others_are_served);
	func_test(directories_without_end_are_enfile_and_others_are_served);
	func_test(lookups_without_end_are_enfile_and_can_be_forgotten);
	func_test(lookups_without_end_by_handles_can_be_forgotten);
	func_test(creates_without_end_leave_no_file_open);
	func_test(ranges_without_end_can_be_given_back);
	func_test(owners_without_end_are_refused_and_can_be_given_back);
	func_test(many_parked_locks_hold_up_nobody_and_go_with_the_session);
	func_test(head_of_a_parked_request_given_again_stops_the_queue);
	func_test_long(ten_million_forgets_by_batch_forget, 60);
	func_test(forgets_by_chains_without_end);
	func_test(guest_cannot_fill_the_log);
	return func_done();
}
