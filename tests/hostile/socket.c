/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The vhost-user socket itself: bytes one by one, ends in the middle, a front-end that does not
 * read, descriptors that block or are not what they should be, messages amid requests.
 */
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "hostile.h"

static void start_negotiated(void)
{
	func_start_daemon(NULL);
	ok(front_connect(&fx.v.front, fx.d.socket));
	ok(front_negotiate(&fx.v.front, VMM_FEATURES & ~VU_F_LOG_ALL, VMM_PROTOCOL_FEATURES));
}

static void ends_by_itself(int want)
{
	int status = daemon_wait(&fx.d, wait_scaled(9000));

	ck_assert_msg(status == want, "ended with %d:\n%s", status, daemon_log(&fx.d));
	ck_assert_msg(!daemon_log_sanitizer(&fx.d), "%s", daemon_log(&fx.d));
	daemon_discard(&fx.d);
}

/* A whole SET_VRING_ADDR and a SET_MEM_TABLE of one region, as bytes. */
static size_t a_message(uint8_t *buf, bool table)
{
	struct vu_header h = { table ? VU_SET_MEM_TABLE : VU_SET_VRING_ADDR, VU_VERSION, 40 };
	struct {
		uint32_t n, padding;
		struct vu_region r;
	} t = { 1, 0, { 1 << 20, 4096, 1 << 20, 0 } };

	memset(buf, 0, 64);
	memcpy(buf, &h, sizeof(h));
	if (table)
		memcpy(buf + sizeof(h), &t, sizeof(t));
	return sizeof(h) + 40;
}

START_TEST(message_cut_anywhere_ends_with_the_front_end)
{
	uint8_t buf[64];
	size_t len = a_message(buf, true);
	int fd = host(memfd_create("m", MFD_CLOEXEC));

	host(ftruncate(fd, 4096));
	for (size_t cut = 1; cut < len; cut += cut == 11 || cut == 12 ? 1 : 5) {
		start_negotiated();
		ok(front_send_bytes(&fx.v.front, buf, cut, &fd, cut % 2));
		front_close(&fx.v.front);
		ends_by_itself(0);
	}
	close(fd);
}
END_TEST

/* A descriptor with every byte: more than any message has, in pieces. */
START_TEST(message_byte_by_byte_with_a_descriptor_each_is_understood)
{
	uint8_t buf[64];
	size_t len = a_message(buf, true);
	int fd = host(memfd_create("m", MFD_CLOEXEC)), fds, many[FRONT_FDS_MAX];
	uint64_t v;

	host(ftruncate(fd, 4096));
	start_negotiated();
	fds = daemon_fds(&fx.d);
	for (int n = 0; n < 10; n++)
		for (size_t i = 0; i < len; i++)
			ok(front_send_bytes(&fx.v.front, buf + i, 1, &fd, 1));
	for (int i = 0; i < FRONT_FDS_MAX; i++)
		many[i] = fd;
	for (size_t i = 0; i < len; i++)
		ok(front_send_bytes(&fx.v.front, buf + i, 1, many, FRONT_FDS_MAX));
	ok(front_ask_u64(&fx.v.front, VU_GET_FEATURES, &v));
	/* the one region's */
	ck_assert_int_le(daemon_fds_settle(&fx.d, fds + 1, wait_scaled(2000)), fds + 1);
	front_close(&fx.v.front);
	ends_by_itself(0);
	close(fd);
}
END_TEST

START_TEST(half_a_message_keeps_nobody_from_being_served)
{
	uint8_t buf[64];
	uint64_t v;

	hostile_start(NULL, NULL);
	a_message(buf, false);
	*(struct vu_header *)buf = (struct vu_header){ VU_GET_FEATURES, VU_VERSION, 0 };
	for (size_t cut = 1; cut < 12; cut++) {
		struct front_msg *m = malloc(sizeof(*m));

		ok(front_send_bytes(&fx.v.front, buf, cut, NULL, 0));
		for (int i = 0; i < 20; i++)
			hostile_served();
		/* by the thread that has the other half to wait for, too */
		ok(guest_init(&hx.witness, GUEST_MINOR, GUEST_INIT_FLAGS, NULL));
		ok(front_send_bytes(&fx.v.front, buf + cut, 12 - cut, NULL, 0));
		ok(front_recv(&fx.v.front, m));
		ck_assert_uint_eq(m->head.request, VU_GET_FEATURES);
		free(m);
	}
	ok(front_ask_u64(&fx.v.front, VU_GET_FEATURES, &v));
	hostile_end();
}
END_TEST

/* Answers that nobody takes must not keep the daemon: it gives up, or waits for the end. */
START_TEST(front_end_that_does_not_read_is_left)
{
	struct vu_header h = { VU_GET_FEATURES, VU_VERSION, 0 };
	int64_t end;
	int r = 0;

	start_negotiated();
	host(fcntl(fx.v.front.sock, F_SETFL, O_NONBLOCK));
	for (end = wait_now_ms() + wait_scaled(9000); r == 0 && wait_now_ms() < end;) {
		r = front_send_bytes(&fx.v.front, &h, sizeof(h), NULL, 0);
		if (r == -EAGAIN)
			wait_sleep_ms(1), r = 0;
	}
	ends_by_itself(1);
	front_close(&fx.v.front);
}
END_TEST

START_TEST(socket_shut_down_one_way_ends_the_session)
{
	for (int how = 0; how < 3; how++) {
		start_negotiated();
		host(shutdown(fx.v.front.sock, how));
		if (how == SHUT_RD) {
			struct vu_header h = { VU_GET_FEATURES, VU_VERSION, 0 };

			ok(front_send_bytes(&fx.v.front, &h, sizeof(h), NULL, 0));
		}
		ends_by_itself(0);
		front_close(&fx.v.front);
	}
}
END_TEST

/* --- descriptors for rings that are no eventfds, or block --- */

static int odd_fd(int kind)
{
	int p[2];

	switch (kind) {
	case 0: return host(open("/dev/null", O_RDWR | O_CLOEXEC));
	case 1: return host(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	case 2: return host(open("/", O_PATH | O_CLOEXEC));
	case 3: return host(memfd_create("m", MFD_CLOEXEC));
	case 4: return host(epoll_create1(EPOLL_CLOEXEC));
	case 5: return dup(fx.v.front.sock);
	case 6: return host(open("/proc/self/status", O_RDONLY | O_CLOEXEC));
	case 7:
		host(pipe2(p, O_CLOEXEC));
		close(p[1]);
		return p[0];
	case 8:			/* a pipe that nobody reads */
		host(pipe2(p, O_CLOEXEC));
		close(p[0]);
		return p[1];
	default:
		return -1;
	}
}

/* The ring's own session may end by it; the daemon ends with its front-end at the latest. */
START_TEST(descriptors_that_are_no_eventfds_do_no_harm)
{
	static const uint32_t requests[] = { VU_SET_VRING_KICK, VU_SET_VRING_CALL,
					     VU_SET_VRING_ERR, VU_SET_LOG_FD,
					     VU_SET_BACKEND_REQ_FD };

	for (int r = 0; r < 5; r++)
		for (int kind = 0;; kind++) {
			uint64_t index = 1;
			int status, fd;

			func_start();
			fd = odd_fd(kind);
			if (fd < 0) {
				func_end();
				break;
			}
			if (front_tell(&fx.v.front, requests[r], &index, 8, &fd, 1) == 0) {
				guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
				call_room(&fx.g.call, sizeof(struct fuse_statfs_out));
				ok(call_submit(&fx.g.call, fx.g.ring, &layout_linux));
				ring_kick_always(fx.g.ring);
				ring_publish(fx.g.ring, 65535);
				ring_kick_always(fx.g.ring);
				wait_sleep_ms(5);
			}
			/* of which the daemon may have the other end, too */
			(void)shutdown(fx.v.front.sock, SHUT_RDWR);
			func_hang_up();
			status = daemon_wait(&fx.d, wait_scaled(8000));
			ck_assert_msg(status == 0 || status == 1, "%d, %d: ended with %d", r, kind,
				      status);
			ck_assert(!daemon_log_sanitizer(&fx.d));
			daemon_discard(&fx.d);
			close(fd);
		}
}
END_TEST

/* A call eventfd that blocks whoever writes to it: its queue hangs, the rest does not, and the
 * end of the front-end is the end. */
static int full_eventfd(void)
{
	int fd = host(eventfd(0, EFD_CLOEXEC));

	host(eventfd_write(fd, UINT64_MAX - 1));
	return fd;
}

START_TEST(call_descriptor_that_blocks_keeps_only_its_queue)
{
	int fd;

	hostile_start(NULL, NULL);
	fd = full_eventfd();
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, fd));
	*ring_used_event(fx.g.ring) = fx.g.ring->used->idx;
	guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
	call_room(&fx.g.call, sizeof(struct fuse_statfs_out));
	ok(call_submit(&fx.g.call, fx.g.ring, &layout_linux));
	ring_kick_always(fx.g.ring);
	for (int i = 0; i < 50; i++)
		hostile_served();
	guest_detach(&hx.witness);
	func_hang_up();
	ends_by_itself(0);
	close(fd);
}
END_TEST

START_TEST(call_descriptor_that_blocks_at_once_does_not_keep_the_daemon)
{
	int fd;

	func_start();
	fd = full_eventfd();
	(void)front_send(&fx.v.front, VU_SET_VRING_CALL, 0, &(uint64_t){ 1 }, 8, &fd, 1);
	wait_sleep_ms(100);
	func_hang_up();
	ends_by_itself(0);
	close(fd);
}
END_TEST

START_TEST(init_with_a_call_descriptor_that_blocks_does_not_keep_the_daemon)
{
	struct fuse_init_in in = { .major = 7, .minor = GUEST_MINOR };
	eventfd_t told;
	int fd;

	func_start();
	fd = host(eventfd(0, EFD_CLOEXEC));
	ok(front_set_vring_fd(&fx.v.front, VU_SET_VRING_CALL, 1, fd));
	host(eventfd_read(fd, &told));	/* a new descriptor is told at once */
	host(eventfd_write(fd, UINT64_MAX - 1));
	guest_begin(&fx.g, FUSE_INIT, 0);
	call_bytes(&fx.g.call, &in, sizeof(in));
	call_room(&fx.g.call, sizeof(struct fuse_init_out));
	ok(call_submit(&fx.g.call, fx.g.ring, &layout_linux));
	*ring_used_event(fx.g.ring) = fx.g.ring->used->idx;
	ring_kick_always(fx.g.ring);
	wait_sleep_ms(100);
	func_hang_up();
	ends_by_itself(0);
	close(fd);
}
END_TEST

/* --- messages amid requests --- */

static atomic_bool stop;

static void *keep_asking(void *arg)
{
	struct guest *g = arg;
	struct fuse_attr_out a;

	while (!stop) {
		int r = guest_getattr(g, FUSE_ROOT_ID, GUEST_NO_FH, &a);

		ck_assert_msg(r == 0, "%d", r);
	}
	return NULL;
}

static void any_good_message(struct ring *idle)
{
	struct front *f = &fx.v.front;
	unsigned int base;

	switch (random_below(9)) {
	case 0:
		ok(front_set_mem_table(f, &fx.v.mem));
		break;
	case 1:
		ok(front_set_features(f, f->features));
		break;
	case 2:
		ok(vmm_ring_stop(&fx.v, idle, &base));
		ok(vmm_ring_start(&fx.v, idle, base));
		break;
	case 3:
		ok(front_set_vring_enable(f, idle->index, false));
		ok(front_set_vring_enable(f, idle->index, true));
		break;
	case 4:
		ok(front_set_vring_fd(f, VU_SET_VRING_KICK, idle->index, idle->kick_fd));
		break;
	case 5:
		ok(front_set_vring_fd(f, VU_SET_VRING_CALL, 2, fx.v.ring[2].call_fd));
		break;
	case 6:
		ok(vmm_ring_addr(&fx.v, &fx.v.ring[2], false));
		break;
	case 7:
		ok(front_set_vring_enable(f, 2, random_one_in(2)));
		ok(front_set_vring_enable(f, 2, true));
		break;
	default:
		ok(front_set_vring_fd(f, VU_SET_VRING_ERR, 2, -1));
	}
}

START_TEST(messages_amid_requests_lose_none)
{
	int64_t end;
	pthread_t t;

	hostile_start(NULL, NULL);
	pthread_create(&t, NULL, keep_asking, &hx.witness);
	for (end = wait_now_ms() + 1000; wait_now_ms() < end;)
		any_good_message(&fx.v.ring[1]);
	stop = true;
	pthread_join(t, NULL);
	hostile_end();
}
END_TEST

/* The front-end goes, or breaks the rules, while requests are on their way. */
START_TEST(end_amid_requests_is_an_end)
{
	static struct call calls[64];

	for (int how = 0; how < 12; how++) {
		func_start();
		for (size_t i = 0; i < 64; i++) {
			ok(call_init(&calls[i], &fx.v.mem, 0, 0, 0, 16));
			guest_begin_on(&fx.g, &calls[i], FUSE_STATFS, FUSE_ROOT_ID);
			call_room(&calls[i], sizeof(struct fuse_statfs_out));
			ok(call_submit(&calls[i], &fx.v.ring[1], &layout_linux));
		}
		ring_kick_always(&fx.v.ring[1]);
		if (how % 3 == 1)
			(void)front_send(&fx.v.front, VU_SET_VRING_NUM, 0, NULL, 0, NULL, 0);
		if (how % 3 == 2)
			(void)front_send(&fx.v.front, VU_RESET_DEVICE, 0, NULL, 0, NULL, 0);
		func_hang_up();
		for (size_t i = 0; i < 64; i++)
			call_free(&calls[i]);
		ends_by_itself(how % 3 == 1 ? 1 : 0);
	}
}
END_TEST

int main(int argc, char **argv)
{
	hostile_init("socket", argc, argv);
	func_test(message_cut_anywhere_ends_with_the_front_end);
	func_test(message_byte_by_byte_with_a_descriptor_each_is_understood);
	func_test(half_a_message_keeps_nobody_from_being_served);
	func_test(front_end_that_does_not_read_is_left);
	func_test(socket_shut_down_one_way_ends_the_session);
	func_test(descriptors_that_are_no_eventfds_do_no_harm);
	func_test(call_descriptor_that_blocks_keeps_only_its_queue);
	func_test(call_descriptor_that_blocks_at_once_does_not_keep_the_daemon);
	func_test(init_with_a_call_descriptor_that_blocks_does_not_keep_the_daemon);
	func_test(messages_amid_requests_lose_none);
	func_test(end_amid_requests_is_an_end);
	return func_done();
}
