/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages of the wrong size, at the wrong time, with wrong descriptors and values.
 * The session ends in plain words or goes on; the daemon ends with its session, by itself, and
 * nothing leaks while it goes on.
 */
#include "hostile.h"

static const char *const args[] = { "--tag=t", NULL };
static uint8_t payload[8192];

static void start_bare(void)
{
	func_start_daemon(args);
	ok(front_connect(&fx.v.front, fx.d.socket));
	hx.witness.vmm = NULL;
}

static void start_negotiated(uint64_t protocol_features)
{
	start_bare();
	ok(front_negotiate(&fx.v.front, VMM_FEATURES & ~VU_F_LOG_ALL, protocol_features));
}

/* A session of its own for one message, which must end it. */
static void refused(const struct hostile_message *m, uint32_t size, unsigned int nfds,
		    const char *words)
{
	fprintf(stderr, "# %s of %u bytes with %u descriptors\n", m->name, size, nfds);
	start_negotiated(VMM_PROTOCOL_FEATURES);
	garbage_send(&fx.v.front, m->request, 0, payload, size, nfds);
	hostile_ended(words);
}

START_TEST(wrong_size_of_any_message_ends_the_session)
{
	for (size_t i = 0; i < hostile_nmessages; i++) {
		const struct hostile_message *m = &hostile_messages[i];

		if (m->min)
			refused(m, m->min - 1, m->fds, "has the wrong size");
		if (m->min > 1)
			refused(m, 0, m->fds, "has the wrong size");
		refused(m, m->max + 1, m->fds, "has the wrong size");
	}
}
END_TEST

START_TEST(payload_that_no_message_has_ends_the_session)
{
	static const uint32_t sizes[] = { 4097, 65536, 0x7fffffff, 0x80000000, 0xfffffff4, ~0u };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct vu_header h = { VU_SET_FEATURES, VU_VERSION, sizes[i] };

		start_negotiated(VMM_PROTOCOL_FEATURES);
		ok(front_send_bytes(&fx.v.front, &h, sizeof(h), NULL, 0));
		(void)front_send_bytes(&fx.v.front, payload, sizeof(payload), NULL, 0);
		hostile_ended("cannot receive");
	}
}
END_TEST

START_TEST(missing_descriptor_ends_the_session)
{
	for (size_t i = 0; i < hostile_nmessages; i++)
		if (hostile_messages[i].fds)
			refused(&hostile_messages[i], hostile_messages[i].max, 0, "lacks a descriptor");
	memset(payload, 0, sizeof(payload));
	for (size_t i = 0; i < hostile_nmessages; i++)
		if (hostile_messages[i].request >= VU_SET_VRING_KICK &&
		    hostile_messages[i].request <= VU_SET_VRING_ERR)
			refused(&hostile_messages[i], 8, 0, "without a descriptor");
}
END_TEST

START_TEST(message_before_its_owner_ends_the_session)
{
	for (size_t i = 0; i < hostile_nmessages; i++) {
		const struct hostile_message *m = &hostile_messages[i];

		if (!m->owned)
			continue;
		fprintf(stderr, "# %s\n", m->name);
		start_bare();
		ok(front_tell_u64(&fx.v.front, VU_SET_PROTOCOL_FEATURES,
				  VMM_PROTOCOL_FEATURES & ~VU_P_REPLY_ACK));
		garbage_send(&fx.v.front, m->request, 0, payload, m->max, 1);
		hostile_ended("came before SET_OWNER");
	}
}
END_TEST

START_TEST(message_whose_feature_was_not_agreed_on_ends_the_session)
{
	for (size_t i = 0; i < hostile_nmessages; i++) {
		const struct hostile_message *m = &hostile_messages[i];

		if (m->feature == HOSTILE_NO_FEATURE)
			continue;
		fprintf(stderr, "# %s\n", m->name);
		start_negotiated(VMM_PROTOCOL_FEATURES & ~VU_BIT(m->feature));
		garbage_send(&fx.v.front, m->request, 0, payload, m->max, 1);
		hostile_ended("feature that was not agreed on");
	}
}
END_TEST

static bool is_known(uint32_t request)
{
	for (size_t i = 0; i < hostile_nmessages; i++)
		if (hostile_messages[i].request == request)
			return true;
	return false;
}

START_TEST(unknown_message_ends_the_session)
{
	static const uint32_t far[] = { 63, 64, 255, 256, 65536, 0x80000000, ~0u };

	for (uint32_t i = 0; i < 45 + sizeof(far) / sizeof(far[0]); i++) {
		uint32_t request = i < 45 ? i : far[i - 45];

		if (is_known(request))
			continue;
		start_negotiated(VMM_PROTOCOL_FEATURES);
		garbage_send(&fx.v.front, request, 0, payload, 8, 1);
		hostile_ended("is not known");
	}
}
END_TEST

START_TEST(wrong_flags_end_the_session)
{
	static const uint32_t flags[] = { 0, 2, 3, VU_VERSION | VU_REPLY, ~0u, 0x80000000 };

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		struct vu_header h = { VU_GET_FEATURES, flags[i], 0 };

		start_negotiated(VMM_PROTOCOL_FEATURES);
		ok(front_send_bytes(&fx.v.front, &h, sizeof(h), NULL, 0));
		hostile_ended("not a request of protocol version 1");
	}
}
END_TEST

/* --- wrong values, with rings that run --- */

static void start_running(void)
{
	func_start_daemon(args);
	func_connect(NULL);
	func_init_session();
	hx.witness.vmm = NULL;
}

static const uint32_t no_index[] = { 256, 257, 0xffff, 0x80000000, ~0u };

START_TEST(queue_that_cannot_be_ends_the_session)
{
	static const uint32_t of[] = { VU_SET_VRING_NUM, VU_SET_VRING_BASE, VU_GET_VRING_BASE,
				       VU_SET_VRING_ENABLE, VU_SET_VRING_ADDR };

	memset(payload, 0, sizeof(payload));
	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++)
		for (size_t n = 0; n < sizeof(no_index) / sizeof(no_index[0]); n++) {
			start_running();
			memcpy(payload, &no_index[n], 4);
			garbage_send(&fx.v.front, of[i], 0, payload, of[i] == VU_SET_VRING_ADDR ? 40 : 8, 0);
			hostile_ended("for queue ");
		}
}
END_TEST

static void refused_when_running(uint32_t request, const void *data, uint32_t size,
				 bool stop_first, const char *words)
{
	unsigned int base;

	start_running();
	if (stop_first)
		ok(front_get_vring_base(&fx.v.front, 1, &base));
	ck_assert_int_lt(front_tell(&fx.v.front, request, data, size, NULL, 0), 0);
	hostile_ended(words);
}

START_TEST(ring_size_that_cannot_be_ends_the_session)
{
	static const uint32_t num[] = { 0, 3, 127, 129, 32769, 65536, 0x10000000, 0x80000000, ~0u };

	for (size_t i = 0; i < sizeof(num) / sizeof(num[0]); i++)
		refused_when_running(VU_SET_VRING_NUM, &(struct vu_state){ 1, num[i] }, 8, true,
				     "bad value in SET_VRING_NUM");
	refused_when_running(VU_SET_VRING_NUM, &(struct vu_state){ 1, 128 }, 8, false,
			     "while queue 1 runs");
}
END_TEST

START_TEST(ring_base_that_cannot_be_ends_the_session)
{
	static const uint32_t base[] = { 65536, 0x80000000, ~0u };

	for (size_t i = 0; i < sizeof(base) / sizeof(base[0]); i++)
		refused_when_running(VU_SET_VRING_BASE, &(struct vu_state){ 1, base[i] }, 8, true,
				     "bad value in SET_VRING_BASE");
	refused_when_running(VU_SET_VRING_BASE, &(struct vu_state){ 1, 0 }, 8, false,
			     "while queue 1 runs");
	refused_when_running(VU_SET_VRING_ENABLE, &(struct vu_state){ 1, 2 }, 8, false,
			     "bad value in SET_VRING_ENABLE");
}
END_TEST

/* Relative to the region's start S (user address) and end E, or on its own. */
enum rel { S, E, ABS };
static const struct {
	enum rel rel;
	uint64_t at;
	const char *what;
} wrong_addr[] = {
	{ S, 1, "odd" }, { S, 2, "2 bytes off" }, { E, 0, "at the region's end" },
	{ E, -16ull, "end beyond the region's" }, { S, -4096ull, "before the region" },
	{ S, -16ull, "start before the region's" }, { ABS, 0, "null" }, { ABS, ~0ull, "2^64 - 1" },
	{ ABS, -4096ull, "overflows" }, { ABS, 0x40000000, "a guest's address, not a user's" },
};

static void try_wrong_addr(size_t i, int part)
{
	struct ring *r = &fx.v.ring[1];
	struct vu_addr a;
	uint64_t bad = wrong_addr[i].at, s;

	start_running();
	s = fx.v.mem.region[0].uaddr;
	if (wrong_addr[i].rel != ABS)
		bad += wrong_addr[i].rel == S ? s : s + fx.v.mem.region[0].size;
	a = (struct vu_addr){ .index = 1, .desc = mem_uaddr(&fx.v.mem, r->desc_buf.gpa),
			      .avail = mem_uaddr(&fx.v.mem, r->avail_buf.gpa),
			      .used = mem_uaddr(&fx.v.mem, r->used_buf.gpa) };
	*(part == 0 ? &a.desc : part == 1 ? &a.avail : &a.used) = bad;
	ck_assert_int_lt(front_set_vring_addr(&fx.v.front, &a), 0);
	hostile_ended("bad value in SET_VRING_ADDR");
}

START_TEST(ring_address_that_cannot_be_ends_the_session)
{
	for (size_t i = 0; i < sizeof(wrong_addr) / sizeof(wrong_addr[0]); i++)
		for (int part = 0; part < 3; part++) {
			if (i == 1 && part == 1)
				continue;	/* which is how an avail ring may lie */
			fprintf(stderr, "# part %d: %s\n", part, wrong_addr[i].what);
			try_wrong_addr(i, part);
		}
}
END_TEST

/* --- all at random: the session ends, or goes on as if nothing had been --- */

static bool goes_on(void)
{
	struct front *f = &fx.v.front;
	struct front_msg *m = malloc(sizeof(*m));
	bool on;

	/* What is answered meanwhile is passed over, up to the answer to this. */
	(void)front_send(f, VU_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
	do {
		on = front_recv(f, m) == 0;
		for (unsigned int i = 0; on && i < m->nfds; i++)
			close(m->fds[i]);
	} while (on && m->head.request != VU_GET_QUEUE_NUM);
	free(m);
	return on;
}

START_TEST(messages_at_random_end_the_session_or_do_not)
{
	for (int session = 0; session < (func_sanitized() ? 40 : 150); session++) {
		int fds, status;

		start_running();
		fds = daemon_fds(&fx.d);
		for (int n = 0; n < 200; n++) {
			garbage_message(&fx.v.front);
			if (random_one_in(4))
				ring_kick_always(&fx.v.ring[random_below(2)]);
			if (!goes_on())
				break;
			/* KICK, CALL and ERR of three queues, their threads, and a channel */
			ck_assert_int_le(daemon_fds(&fx.d), fds + 64);
		}
		func_hang_up();
		status = daemon_wait(&fx.d, wait_scaled(8000));
		ck_assert_msg(status == 0 || status == 1, "ended with %d:\n%s", status,
			      daemon_log(&fx.d));
		ck_assert_msg(!daemon_log_sanitizer(&fx.d), "%s", daemon_log(&fx.d));
		daemon_discard(&fx.d);
	}
}
END_TEST

START_TEST(descriptors_with_any_message_leak_nowhere)
{
	int fds;

	start_running();
	fds = daemon_fds(&fx.d);
	for (int n = 0; n < 3; n++)
		for (size_t i = 0; i < hostile_nmessages; i++) {
			const struct hostile_message *m = &hostile_messages[i];

			if (m->min || m->request == VU_RESET_OWNER || m->request == VU_RESET_DEVICE)
				continue;
			garbage_send(&fx.v.front, m->request, 0, payload, m->min, FRONT_FDS_MAX);
			ck_assert(goes_on());
		}
	/* the back-end channel is held */
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds + 1, wait_scaled(2000)), fds + 1);
	func_attr(FUSE_ROOT_ID);
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("message", argc, argv);
	func_test(wrong_size_of_any_message_ends_the_session);
	func_test(payload_that_no_message_has_ends_the_session);
	func_test(missing_descriptor_ends_the_session);
	func_test(message_before_its_owner_ends_the_session);
	func_test(message_whose_feature_was_not_agreed_on_ends_the_session);
	func_test(unknown_message_ends_the_session);
	func_test(wrong_flags_end_the_session);
	func_test(queue_that_cannot_be_ends_the_session);
	func_test(ring_size_that_cannot_be_ends_the_session);
	func_test(ring_base_that_cannot_be_ends_the_session);
	func_test(ring_address_that_cannot_be_ends_the_session);
	func_test(messages_at_random_end_the_session_or_do_not);
	func_test(descriptors_with_any_message_leak_nowhere);
	return func_done();
}
