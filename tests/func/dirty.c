/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty log: with LOG_ALL agreed, exactly the pages that the back-end writes are marked, in
 * data, reply headers and (if its address says so) the used ring.
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "func.h"

#define PAGE 4096ull
#define GPA 0x40000000ull
#define MEM_SIZE (64ull << 20)
#define LOG_SIZE ((GPA + MEM_SIZE) / PAGE / 8)

static uint8_t *dirty;
static uint8_t want[LOG_SIZE];		/* must be marked */

static void set_bits(uint8_t *map, uint64_t gpa, uint64_t len)
{
	for (uint64_t p = gpa / PAGE; len && p <= (gpa + len - 1) / PAGE; p++)
		map[p / 8] |= 1u << p % 8;
}

static void start_logging(bool used_ring)
{
	struct vmm_opts o = { .queue_size = 128 };

	func_start_daemon(NULL);
	ok(vmm_start(&fx.v, fx.d.socket, &o));
	ok(guest_attach(&fx.g, &fx.v, 1, FUNC_DATA_MAX));
	func_init_session();

	int fd = host(memfd_create("dirty", MFD_CLOEXEC));

	host(ftruncate(fd, LOG_SIZE));
	dirty = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(dirty, MAP_FAILED);
	ok(front_set_log_base(&fx.v.front, fd, LOG_SIZE, 0));
	close(fd);
	ok(front_set_features(&fx.v.front, fx.v.front.features | VU_F_LOG_ALL));
	for (unsigned int i = 0; i < fx.v.nrings; i++)
		ok(vmm_ring_addr(&fx.v, &fx.v.ring[i], used_ring));
}

static void expect_reply_of(const struct call *c)
{
	uint32_t left = sizeof(struct fuse_out_header) + c->body_len + c->recv_len;

	for (unsigned int i = c->nr; i < c->nr + c->nw; i++) {
		uint32_t n = c->piece[i].len < left ? c->piece[i].len : left;

		set_bits(want, c->piece[i].gpa, n);
		left -= n;
	}
}

static void expect_used_ring(const struct ring *r)
{
	/* an entry and the index: one page for a ring of 128 */
	set_bits(want, r->used_buf.gpa, 1);
}

static void check_exactly(void)
{
	for (uint64_t i = 0; i < LOG_SIZE; i++) {
		uint8_t missing = want[i] & ~dirty[i], extra = dirty[i] & ~want[i];

		ck_assert_msg(!missing, "page %#llx.. written but not marked (bits %#x)",
			      (unsigned long long)(i * 8 * PAGE), missing);
		ck_assert_msg(!extra, "page %#llx.. marked but not written (bits %#x)",
			      (unsigned long long)(i * 8 * PAGE), extra);
	}
	memset(dirty, 0, LOG_SIZE);
	memset(want, 0, sizeof(want));
}

static const struct layout spread = { .name = "spread", .gap = 4096, .data_cut = 4096 };

static void read_and_check(size_t size, bool used_ring)
{
	static char buf[FUNC_DATA_MAX];
	uint64_t node = func_node("f"), fh = func_open(node, O_RDONLY);

	fx.g.layout = &spread;
	memset(dirty, 0, LOG_SIZE);
	ok(guest_read(&fx.g, node, fh, buf, size, 0));
	expect_reply_of(&fx.g.call);
	if (used_ring)
		expect_used_ring(fx.g.ring);
	check_exactly();
}

START_TEST(read_marks_its_pages_and_the_used_ring)
{
	static char data[100000];

	func_pattern(data, sizeof(data), 1);
	start_logging(true);
	host_write("f", data, sizeof(data));
	read_and_check(65536, true);
	func_end();
}
END_TEST

START_TEST(short_read_marks_only_what_was_read)
{
	start_logging(true);
	host_text("f", "short");
	read_and_check(65536, true);
	func_end();
}
END_TEST

START_TEST(used_ring_is_marked_only_if_its_address_says_so)
{
	static char data[20000];

	start_logging(false);
	host_write("f", data, sizeof(data));
	read_and_check(20000, false);
	func_end();
}
END_TEST

START_TEST(write_marks_only_its_reply)
{
	static char data[65536];
	struct fuse_entry_out e;
	struct fuse_open_out o;

	start_logging(true);
	ok(guest_create(&fx.g, FUSE_ROOT_ID, "f", O_RDWR, 0644, 0, &e, &o));
	memset(dirty, 0, LOG_SIZE);
	fx.g.layout = &spread;
	ok(guest_write(&fx.g, e.nodeid, o.fh, data, sizeof(data), 0));
	expect_reply_of(&fx.g.call);
	expect_used_ring(fx.g.ring);
	check_exactly();
	func_end();
}
END_TEST

START_TEST(readdir_and_lookup_mark_their_replies)
{
	static char buf[65536];
	struct fuse_entry_out e;

	start_logging(true);
	host_text("f", "x");

	struct fuse_open_out o;

	ok(guest_opendir(&fx.g, FUSE_ROOT_ID, &o));
	memset(dirty, 0, LOG_SIZE);
	ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f", &e));
	expect_reply_of(&fx.g.call);
	expect_used_ring(fx.g.ring);
	check_exactly();
	ok(guest_readdir(&fx.g, FUSE_ROOT_ID, o.fh, 0, buf, sizeof(buf)));
	expect_reply_of(&fx.g.call);
	expect_used_ring(fx.g.ring);
	check_exactly();
	func_end();
}
END_TEST

START_TEST(logging_stops_when_log_all_is_cleared)
{
	static char data[20000];

	start_logging(true);
	host_write("f", data, sizeof(data));
	read_and_check(20000, true);
	ok(front_set_features(&fx.v.front, fx.v.front.features & ~VU_F_LOG_ALL));

	uint64_t node = func_node("f"), fh = func_open(node, O_RDONLY);

	memset(dirty, 0, LOG_SIZE);
	ok(guest_read(&fx.g, node, fh, data, sizeof(data), 0));
	check_exactly();

	/* ... and starts again */
	ok(front_set_features(&fx.v.front, fx.v.front.features | VU_F_LOG_ALL));
	read_and_check(20000, true);
	func_end();
}
END_TEST

START_TEST(log_may_be_replaced_while_logging)
{
	static char data[20000];

	start_logging(true);
	host_write("f", data, sizeof(data));

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 5; i++) {
		int fd = host(memfd_create("dirty", MFD_CLOEXEC));

		host(ftruncate(fd, LOG_SIZE + i * 4096));
		munmap(dirty, LOG_SIZE);
		/* an offset, too */
		dirty = mmap(NULL, LOG_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, i * 4096);
		ok(front_set_log_base(&fx.v.front, fd, LOG_SIZE, i * 4096));
		close(fd);
		memset(want, 0, sizeof(want));
		read_and_check(20000, true);
	}
	/* five handles are open by now; the logs leave nothing behind */
	ck_assert_int_le(daemon_fds(&fx.d), before + 5 + 1);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("dirty", argc, argv);
	func_test(read_marks_its_pages_and_the_used_ring);
	func_test(short_read_marks_only_what_was_read);
	func_test(used_ring_is_marked_only_if_its_address_says_so);
	func_test(write_marks_only_its_reply);
	func_test(readdir_and_lookup_mark_their_replies);
	func_test(logging_stops_when_log_all_is_cleared);
	func_test(log_may_be_replaced_while_logging);
	return func_done();
}
