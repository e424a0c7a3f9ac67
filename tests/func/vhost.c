/* SPDX-License-Identifier: BSD-3-Clause */
/* The vhost-user message table: what is offered, accepted, answered and refused. */
#include <fcntl.h>
#include <linux/virtio_fs.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "func.h"

/* A daemon and a bare socket to it. */
static void start_bare(const char *const *args)
{
	func_start_daemon(args);
	ok(front_connect(&fx.v.front, fx.d.socket));
}

static void end_bare(void)
{
	front_close(&fx.v.front);

	int status = daemon_stop(&fx.d);

	ck_assert_msg(status == 0, "the daemon ended with %d", status);
}

static uint64_t offered(uint32_t request)
{
	uint64_t v;

	ok(front_ask_u64(&fx.v.front, request, &v));
	return v;
}

START_TEST(features_are_offered)
{
	start_bare(NULL);

	uint64_t f = offered(VU_GET_FEATURES);

	ck_assert(f & VU_F_VERSION_1);
	ck_assert(f & VU_F_EVENT_IDX);
	ck_assert(f & VU_F_INDIRECT_DESC);
	ck_assert(f & VU_F_PROTOCOL_FEATURES);
	ck_assert(f & VU_F_LOG_ALL);
	end_bare();
}
END_TEST

START_TEST(protocol_features_are_offered)
{
	start_bare(NULL);

	uint64_t p = offered(VU_GET_PROTOCOL_FEATURES);

	ck_assert(p & VU_P_MQ);
	ck_assert(p & VU_P_REPLY_ACK);
	ck_assert(p & VU_P_BACKEND_REQ);
	ck_assert(p & VU_P_CONFIGURE_MEM_SLOTS);
	ck_assert(p & VU_P_RESET_DEVICE);
	ck_assert(p & VU_P_LOG_SHMFD);
	ck_assert_msg(!(p & VU_P_CONFIG), "CONFIG without --tag");
	end_bare();
}
END_TEST

START_TEST(config_is_offered_with_a_tag)
{
	start_bare((const char *[]){ "--tag=share7", NULL });
	ck_assert(offered(VU_GET_PROTOCOL_FEATURES) & VU_P_CONFIG);
	end_bare();
}
END_TEST

START_TEST(config_space_reads_tag_and_queue_count)
{
	struct virtio_fs_config c;
	uint32_t n;

	start_bare((const char *[]){ "--tag=share7", NULL });
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	ok(front_get_config(&fx.v.front, 0, sizeof(c), &c));
	ck_assert_mem_eq(c.tag, "share7\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 36);
	ck_assert_uint_ge(c.num_request_queues, 1);
	ok(front_get_config(&fx.v.front, 36, sizeof(n), &n));
	ck_assert_uint_eq(n, c.num_request_queues);
	end_bare();
}
END_TEST

START_TEST(tag_of_36_bytes_fills_its_field)
{
	static const char tag[] = "0123456789abcdefghijklmnopqrstuvwxyz";
	struct virtio_fs_config c;

	start_bare((const char *[]){ "--tag=0123456789abcdefghijklmnopqrstuvwxyz", NULL });
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	ok(front_get_config(&fx.v.front, 0, sizeof(c), &c));
	ck_assert_mem_eq(c.tag, tag, 36);
	end_bare();
}
END_TEST

START_TEST(config_read_beyond_its_end_is_answered_as_an_error)
{
	uint8_t buf[128];
	uint64_t f;

	start_bare((const char *[]){ "--tag=share7", NULL });
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	/* The specification's error reply has no payload, which is not what we asked for. */
	fails(front_get_config(&fx.v.front, 100, 28, buf), EPROTO);
	ok(front_ask_u64(&fx.v.front, VU_GET_FEATURES, &f));
	end_bare();
}
END_TEST

START_TEST(queue_count_leaves_room_for_many_cpus)
{
	start_bare(NULL);
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	ck_assert_uint_ge(offered(VU_GET_QUEUE_NUM), 17);
	end_bare();
}
END_TEST

START_TEST(memory_slots_are_509)
{
	start_bare(NULL);
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	ck_assert_uint_eq(offered(VU_GET_MAX_MEM_SLOTS), 509);
	end_bare();
}
END_TEST

START_TEST(feature_that_was_not_offered_is_refused)
{
	start_bare(NULL);
	ok(front_negotiate(&fx.v.front, VMM_FEATURES, VMM_PROTOCOL_FEATURES));
	ck_assert_int_lt(front_set_features(&fx.v.front, fx.v.front.features | VU_BIT(63)), 0);
	front_close(&fx.v.front);
	ck_assert_int_le(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(front_end_without_protocol_features_is_served)
{
	struct vmm_opts o = { .without = VU_F_PROTOCOL_FEATURES };

	func_start_with(NULL, &o);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(front_end_without_reply_ack_is_served)
{
	struct vmm_opts o = { .without_protocol = VU_P_REPLY_ACK };

	func_start_with(NULL, &o);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(protocol_features_may_come_after_the_memory_table)
{
	struct front *f = &fx.v.front;

	start_bare(NULL);
	ok(front_tell(f, VU_SET_OWNER, NULL, 0, NULL, 0));
	f->features = offered(VU_GET_FEATURES) & VMM_FEATURES & ~VU_F_LOG_ALL;
	ok(front_set_features(f, f->features));
	mem_init(&fx.v.mem);
	ok(mem_add(&fx.v.mem, &(struct mem_spec){ .gpa = 1 << 30, .size = 32 << 20 }));
	ok(front_set_mem_table(f, &fx.v.mem));
	f->protocol_features = offered(VU_GET_PROTOCOL_FEATURES) & VMM_PROTOCOL_FEATURES;
	ok(front_tell_u64(f, VU_SET_PROTOCOL_FEATURES, f->protocol_features));
	f->ack = true;
	for (unsigned int i = 0; i < 2; i++) {
		ok(ring_init(&fx.v.ring[i], &fx.v.mem, 0, i, 128, true, 0));
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], 0));
	}
	fx.v.nrings = 2;
	ok(guest_attach(&fx.g, &fx.v, 1, FUNC_DATA_MAX));
	func_init_session();
	func_end();
}
END_TEST

START_TEST(message_in_single_bytes_is_understood)
{
	struct vu_header h = { .request = VU_GET_FEATURES, .flags = VU_VERSION };
	struct front_msg *m = malloc(sizeof(*m));

	start_bare(NULL);
	for (size_t i = 0; i < sizeof(h); i++) {
		ok(front_send_bytes(&fx.v.front, (char *)&h + i, 1, NULL, 0));
		wait_sleep_ms(1);
	}
	ok(front_recv(&fx.v.front, m));
	ck_assert_uint_eq(m->head.request, VU_GET_FEATURES);
	free(m);
	end_bare();
}
END_TEST

START_TEST(two_messages_in_one_send_are_both_answered)
{
	struct vu_header h[2] = { { VU_GET_FEATURES, VU_VERSION, 0 },
				  { VU_GET_PROTOCOL_FEATURES, VU_VERSION, 0 } };
	struct front_msg *m = malloc(sizeof(*m));

	start_bare(NULL);
	ok(front_send_bytes(&fx.v.front, h, sizeof(h), NULL, 0));
	ok(front_recv(&fx.v.front, m));
	ck_assert_uint_eq(m->head.request, VU_GET_FEATURES);
	ok(front_recv(&fx.v.front, m));
	ck_assert_uint_eq(m->head.request, VU_GET_PROTOCOL_FEATURES);
	free(m);
	end_bare();
}
END_TEST

START_TEST(descriptors_nobody_asked_for_are_closed)
{
	int fds[5];
	uint64_t v;

	func_start();
	for (int i = 0; i < 5; i++)
		fds[i] = host(eventfd(0, EFD_CLOEXEC));

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 20; i++) {
		ok(front_send(&fx.v.front, VU_GET_FEATURES, 0, NULL, 0, fds, 5));

		struct front_msg *m = malloc(sizeof(*m));

		ok(front_recv(&fx.v.front, m));
		free(m);
	}
	ok(front_ask_u64(&fx.v.front, VU_GET_FEATURES, &v));
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(call_err_and_kick_descriptors_may_be_replaced)
{
	func_start();

	struct ring *r = &fx.v.ring[1];
	int err_fd = host(eventfd(0, EFD_CLOEXEC));

	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_ERR, 1, err_fd));

	int before = daemon_fds(&fx.d);

	for (int i = 0; i < 20; i++) {
		int call = host(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));

		ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, call));
		close(r->call_fd);
		r->call_fd = call;
		ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_ERR, 1, err_fd));
		func_attr(FUSE_ROOT_ID);
	}
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	ck_assert_uint_eq(r->lost, 0);
	func_end();
}
END_TEST

START_TEST(backend_request_channel_may_be_replaced)
{
	int pair[2], before = 0;

	func_start();
	for (int i = 0; i < 5; i++) {
		host(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
		ok(front_set_backend_req_fd(&fx.v.front, pair[1]));
		close(pair[1]);
		if (i == 0)
			before = daemon_fds(&fx.d);
	}
	ck_assert_int_eq(daemon_fds(&fx.d), before);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(disabled_ring_is_not_served_until_enabled)
{
	func_start();

	struct ring *r = &fx.v.ring[1];
	struct ring_done done;

	ok(front_set_vring_enable(&fx.v.front, 1, false));
	guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
	call_room(&fx.g.call, sizeof(struct fuse_statfs_out));
	ok(call_submit(&fx.g.call, r, fx.g.layout));
	ring_kick_always(r);
	fails(ring_wait(r, &done, 100), ETIMEDOUT);
	ok(front_set_vring_enable(&fx.v.front, 1, true));
	ck_assert_int_eq(ring_wait(r, &done, wait_scaled(5000)), 1);
	ck_assert_ptr_eq(done.cookie, &fx.g.call);
	func_end();
}
END_TEST

START_TEST(reset_device_stops_rings_and_forgets_the_session)
{
	struct fuse_attr_out a;

	func_start();
	ok(front_reset_device(&fx.v.front));
	/* as QEMU starts a device: features and memory again, then the rings */
	ok(front_set_features(&fx.v.front, fx.v.front.features));
	ok(front_set_mem_table(&fx.v.front, &fx.v.mem));
	for (unsigned int i = 0; i < 2; i++) {
		ring_reset(&fx.v.ring[i], 0);
		ok(vmm_ring_start(&fx.v, &fx.v.ring[i], 0));
	}
	fails(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a), EIO);
	func_init_session();
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

START_TEST(base_of_a_ring_never_started_is_what_was_set)
{
	struct vmm_opts o = { .stopped = true };
	unsigned int base = 1;

	func_start_daemon(NULL);
	func_connect(&o);
	ok(front_set_vring_num(&fx.v.front, 1, 128));
	ok(front_set_vring_base(&fx.v.front, 1, 77));
	ok(front_get_vring_base(&fx.v.front, 1, &base));
	ck_assert_uint_eq(base, 77);
	func_end();
}
END_TEST

/* --- refusals: the session ends, one plain line says why, and nothing crashes --- */

static unsigned int lines_before;

static void expect_refused(void)
{
	ck_assert_msg(front_hung_up(&fx.v.front, wait_scaled(5000)), "the session goes on");
	front_close(&fx.v.front);

	int status = daemon_wait(&fx.d, wait_scaled(5000));
	unsigned int n = 0, skip = lines_before;

	ck_assert_msg(status == 0 || status == 1, "ended with %d", status);
	ck_assert_msg(!daemon_log_sanitizer(&fx.d), "sanitizer report");

	const char *log = daemon_log(&fx.d);

	for (const char *s = log; *s; s = strchrnul(s, '\n'), s += *s == '\n') {
		if (skip) {
			skip--;
			continue;
		}

		size_t len = strcspn(s, "\n");

		if (!memmem(s, len, "isconnected", 11) && !memmem(s, len, "shutting down", 13))
			n++;
	}
	ck_assert_msg(n == 1, "%u lines instead of one:\n%s", n, log);
	daemon_discard(&fx.d);
}

static void start_negotiated(void)
{
	start_bare(NULL);
	ok(front_negotiate(&fx.v.front, VMM_FEATURES & ~VU_F_LOG_ALL, VMM_PROTOCOL_FEATURES));
	lines_before = daemon_log_lines(&fx.d);
}

struct bad_message {
	const char *what;
	uint32_t request, flags, size, nfds;
	uint64_t payload[9];
};

static const struct bad_message bad[] = {
	{ "wrong version", VU_GET_FEATURES, 2 },
	{ "reply instead of request", VU_GET_FEATURES, VU_REPLY },
	{ "payload far too large", VU_SET_FEATURES, 0, 0xfffffff0 },
	{ "payload of SET_FEATURES too short", VU_SET_FEATURES, 0, 4 },
	{ "payload of SET_FEATURES too long", VU_SET_FEATURES, 0, 16 },
	{ "payload of SET_VRING_NUM missing", VU_SET_VRING_NUM, 0, 0 },
	{ "ring size 0", VU_SET_VRING_NUM, 0, 8, 0, { 1 } },
	{ "ring size no power of two", VU_SET_VRING_NUM, 0, 8, 0, { 1 | 100ull << 32 } },
	{ "ring size above 32768", VU_SET_VRING_NUM, 0, 8, 0, { 1 | 65536ull << 32 } },
	{ "ring number out of range", VU_SET_VRING_NUM, 0, 8, 0, { 0xffff | 128ull << 32 } },
	{ "ring number out of range to kick", VU_SET_VRING_KICK, 0, 8, 1, { 0xff } },
	{ "ring base above 65535", VU_SET_VRING_BASE, 0, 8, 0, { 1 | 0x10000ull << 32 } },
	{ "kick without its descriptor", VU_SET_VRING_KICK, 0, 8, 0, { 1 } },
	{ "ring addresses outside memory", VU_SET_VRING_ADDR, 0, 40, 0,
	  { 1, 0xdead0000, 0xdead2000, 0xdead1000, 0 } },
	{ "memory table with more regions than its size", VU_SET_MEM_TABLE, 0, 8 + 32, 1,
	  { 2, 1 << 20, 1 << 20, 1 << 20, 0 } },
	{ "memory table with 2^32 - 1 regions", VU_SET_MEM_TABLE, 0, 8 + 32, 1,
	  { 0xffffffff, 1 << 20, 1 << 20, 1 << 20, 0 } },
	{ "memory region of no size", VU_SET_MEM_TABLE, 0, 8 + 32, 1,
	  { 1, 1 << 20, 0, 1 << 20, 0 } },
	{ "memory region larger than its file", VU_SET_MEM_TABLE, 0, 8 + 32, 1,
	  { 1, 1 << 20, 1 << 20, 1 << 20, 0 } },
	{ "memory region that wraps around", VU_SET_MEM_TABLE, 0, 8 + 32, 1,
	  { 1, ~0ull - 4095, 1 << 20, 1 << 20, 0 } },
	{ "region to add without its descriptor", VU_ADD_MEM_REG, 0, 8 + 32, 0,
	  { 0, 1 << 20, 1 << 20, 1 << 20, 0 } },
	{ "region to remove that does not exist", VU_REM_MEM_REG, 0, 8 + 32, 0,
	  { 0, 1 << 20, 1 << 20, 1 << 20, 0 } },
	{ "log without its descriptor", VU_SET_LOG_BASE, 0, 16, 0, { 4096, 0 } },
	{ "log of no size", VU_SET_LOG_BASE, 0, 16, 1, { 0, 0 } },
	{ "config read without CONFIG", VU_GET_CONFIG, 0, 12 + 40 },
};

START_TEST(bad_message_ends_the_session)
{
	/* a file of one page, so that no region above fits into it */
	int fds[2] = { host(memfd_create("small", MFD_CLOEXEC)), -1 };

	host(ftruncate(fds[0], 4096));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const struct bad_message *b = &bad[i];
		struct {
			struct vu_header h;
			uint64_t payload[9];
		} __attribute__((packed)) m = { { b->request, b->flags | VU_NEED_REPLY, b->size } };
		uint32_t size = b->size < sizeof(b->payload) ? b->size : 72;

		fprintf(stderr, "# %s\n", b->what);
		if (!(b->flags & 3))
			m.h.flags |= VU_VERSION;
		memcpy(m.payload, b->payload, sizeof(m.payload));
		start_negotiated();
		ok(front_send_bytes(&fx.v.front, &m, sizeof(m.h) + size, fds, b->nfds));
		expect_refused();
	}
}
END_TEST

/* The answer finds nobody: that is an end like any other. */
START_TEST(hang_up_before_the_answer_is_no_error)
{
	func_start();

	pid_t worker = daemon_worker(&fx.d);

	host(kill(worker, SIGSTOP));
	ok(front_send(&fx.v.front, VU_GET_FEATURES, 0, NULL, 0, NULL, 0));
	func_hang_up();
	host(kill(worker, SIGCONT));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 0);
	ck_assert(daemon_log_has(&fx.d, "Client disconnected, shutting down"));
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(unknown_message_is_refused_or_ends_the_session)
{
	start_negotiated();

	int r = front_tell_u64(&fx.v.front, 200, 0);

	ck_assert_msg(r == -EREMOTEIO || r == -ECONNRESET, "%d", r);
	ck_assert_msg(daemon_log_wait(&fx.d, "200", wait_scaled(2000)), "not named:\n%s",
		      daemon_log(&fx.d));
	front_close(&fx.v.front);
	ck_assert_int_le(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(overlapping_regions_are_refused)
{
	struct mem *m = &fx.v.mem;

	start_negotiated();
	mem_init(m);
	ok(mem_add(m, &(struct mem_spec){ .gpa = 1 << 20, .size = 1 << 20 }));
	ok(mem_add(m, &(struct mem_spec){ .gpa = (2 << 20) - 4096, .size = 1 << 20 }));
	ck_assert_int_lt(front_set_mem_table(&fx.v.front, m), 0);
	expect_refused();
}
END_TEST

START_TEST(memory_table_without_files_is_refused_in_plain_words)
{
	uint64_t empty = 0;

	start_negotiated();
	ck_assert_int_lt(front_tell(&fx.v.front, VU_SET_MEM_TABLE, &empty, 8, NULL, 0), 0);
	ck_assert_msg(daemon_log_wait(&fx.d, "shared", wait_scaled(3000)),
		      "nothing about shared memory:\n%s", daemon_log(&fx.d));
	expect_refused();
}
END_TEST

START_TEST(memory_mapped_private_is_named_in_plain_words)
{
	/* As with share=off: the back-end has the file, but sees none of the guest's writes. */
	struct mem_spec spec = { .gpa = 1 << 30, .size = 16 << 20, .unshared = true };
	struct vmm_opts o = { .regions = &spec, .nregions = 1 };

	func_start_daemon(NULL);
	ok(vmm_start(&fx.v, fx.d.socket, &o));
	ring_kick_always(&fx.v.ring[1]);
	ring_kick_always(&fx.v.ring[1]);
	ck_assert_msg(daemon_log_wait(&fx.d, "shared", wait_scaled(3000)),
		      "nothing about shared memory:\n%s", daemon_log(&fx.d));
	vmm_stop(&fx.v);
	ck_assert_int_le(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	daemon_discard(&fx.d);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("vhost", argc, argv);
	func_test(features_are_offered);
	func_test(protocol_features_are_offered);
	func_test(config_is_offered_with_a_tag);
	func_test(config_space_reads_tag_and_queue_count);
	func_test(tag_of_36_bytes_fills_its_field);
	func_test(config_read_beyond_its_end_is_answered_as_an_error);
	func_test(queue_count_leaves_room_for_many_cpus);
	func_test(memory_slots_are_509);
	func_test(feature_that_was_not_offered_is_refused);
	func_test(front_end_without_protocol_features_is_served);
	func_test(front_end_without_reply_ack_is_served);
	func_test(protocol_features_may_come_after_the_memory_table);
	func_test(message_in_single_bytes_is_understood);
	func_test(two_messages_in_one_send_are_both_answered);
	func_test(descriptors_nobody_asked_for_are_closed);
	func_test(call_err_and_kick_descriptors_may_be_replaced);
	func_test(backend_request_channel_may_be_replaced);
	func_test(disabled_ring_is_not_served_until_enabled);
	func_test(reset_device_stops_rings_and_forgets_the_session);
	func_test(base_of_a_ring_never_started_is_what_was_set);
	func_test(bad_message_ends_the_session);
	func_test(hang_up_before_the_answer_is_no_error);
	func_test(unknown_message_is_refused_or_ends_the_session);
	func_test(overlapping_regions_are_refused);
	func_test(memory_table_without_files_is_refused_in_plain_words);
	func_test(memory_mapped_private_is_named_in_plain_words);
	return func_done();
}
