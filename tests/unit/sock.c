/* SPDX-License-Identifier: BSD-3-Clause */
/* vhost/sock: messages in whatever pieces they come, and their descriptors. */
#include "vhost/sock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "unit.h"

static struct sock s;
static int peer;

static void setup(void)
{
	int pair[2];

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
			 0);
	peer = pair[1];
	sock_init(&s, fd_adopt(pair[0]));
}

static void teardown(void)
{
	sock_close(&s);
	close(peer);
	ck_assert_int_eq(fd_count(), 0);
}

struct wire {
	struct vhost_user_header h;
	uint8_t payload[8192];
};

static struct wire make(uint32_t request, uint32_t size)
{
	struct wire w = { { request, VHOST_USER_VERSION, size }, { 0 } };

	for (uint32_t i = 0; i < size && i < sizeof(w.payload); i++)
		w.payload[i] = (uint8_t)(i * 7 + 1);
	return w;
}

/* Sends bytes with @n_fds duplicates of standard error. */
static void send_with(const void *data, size_t len, unsigned int n_fds)
{
	union {
		struct cmsghdr align;
		char buf[CMSG_SPACE(253 * sizeof(int))];
	} control;
	struct iovec iov = { (void *)data, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[253];

	if (n_fds) {
		struct cmsghdr *c;

		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		c = CMSG_FIRSTHDR(&mh);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		for (unsigned int i = 0; i < n_fds; i++)
			fds[i] = STDERR_FILENO;
		memcpy(CMSG_DATA(c), fds, n_fds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(peer, &mh, 0), (ssize_t)len);
}

START_TEST(whole_message)
{
	struct wire w = make(7, 100);

	ck_assert_int_eq(sock_receive(&s), 0);
	send_with(&w, 12 + 100, 0);
	ck_assert_int_eq(sock_receive(&s), 1);
	ck_assert_uint_eq(s.msg.h.request, 7);
	ck_assert_uint_eq(s.msg.h.size, 100);
	ck_assert_int_eq(memcmp(s.msg.p.bytes, w.payload, 100), 0);
	ck_assert_uint_eq(s.msg.n_fds, 0);
	/* It stays until it is done with. */
	ck_assert_int_eq(sock_receive(&s), 1);
	sock_next(&s);
	ck_assert_int_eq(sock_receive(&s), 0);
}
END_TEST

START_TEST(byte_by_byte)
{
	struct wire w = make(9, 50);
	const char *bytes = (const char *)&w;

	for (size_t i = 0; i < 12 + 50; i++) {
		ck_assert_int_eq(sock_receive(&s), 0);
		send_with(bytes + i, 1, 0);
	}
	ck_assert_int_eq(sock_receive(&s), 1);
	ck_assert_int_eq(memcmp(s.msg.p.bytes, w.payload, 50), 0);
}
END_TEST

START_TEST(one_behind_the_other)
{
	char stream[3 * 20];

	for (uint32_t i = 0; i < 3; i++) {
		struct wire w = make(i + 1, 8);

		memcpy(stream + i * 20, &w, 20);
	}
	send_with(stream, sizeof(stream), 0);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(sock_receive(&s), 1);
		ck_assert_uint_eq(s.msg.h.request, i + 1);
		sock_next(&s);
	}
	ck_assert_int_eq(sock_receive(&s), 0);
}
END_TEST

START_TEST(descriptors_come_along)
{
	struct wire w = make(5, 8);
	int taken;

	send_with(&w, 20, 3);
	ck_assert_int_eq(sock_receive(&s), 1);
	ck_assert_uint_eq(s.msg.n_fds, 3);
	ck_assert_int_eq(fd_count(), 4);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fcntl(s.msg.fd[i], F_GETFD), FD_CLOEXEC);
	taken = fd_take(&s.msg.fd[1]);
	sock_next(&s);
	ck_assert_int_eq(fd_count(), 2);
	ck_ok(fd_close(&taken));
}
END_TEST

/* Descriptors with each byte of a message: the first ones are kept, none
 * is lost. */
START_TEST(more_descriptors_than_there_is_room_for)
{
	struct wire w = make(5, 8);

	send_with(&w, 4, 200);
	ck_assert_int_eq(sock_receive(&s), 0);
	send_with((char *)&w + 4, 16, 100);
	ck_assert_int_eq(sock_receive(&s), 1);
	ck_assert_uint_eq(s.msg.n_fds, SOCK_FDS_MAX);
	ck_assert_int_eq(fd_count(), 1 + SOCK_FDS_MAX);
	sock_next(&s);
	ck_assert_int_eq(fd_count(), 1);
}
END_TEST

START_TEST(close_in_the_middle_of_a_message)
{
	struct wire w = make(5, 8);

	send_with(&w, 15, 4);
	ck_assert_int_eq(sock_receive(&s), 0);
	ck_assert_int_eq(fd_count(), 5);
}
END_TEST

START_TEST(sizes)
{
	struct wire w = make(5, SOCK_PAYLOAD_MAX);

	send_with(&w, 12 + SOCK_PAYLOAD_MAX, 0);
	ck_assert_int_eq(sock_receive(&s), 1);
	sock_next(&s);
	w = make(5, 0);
	send_with(&w, 12, 0);
	ck_assert_int_eq(sock_receive(&s), 1);
	sock_next(&s);
	w = make(5, SOCK_PAYLOAD_MAX + 1);
	send_with(&w, 12, 0);
	ck_assert_int_eq(sock_receive(&s), -EMSGSIZE);
}
END_TEST

START_TEST(huge_size)
{
	struct wire w = make(5, UINT32_MAX);

	send_with(&w, sizeof(w), 0);
	ck_assert_int_eq(sock_receive(&s), -EMSGSIZE);
}
END_TEST

START_TEST(end_of_the_stream)
{
	struct wire w = make(5, 8);

	send_with(&w, 20, 0);
	send_with(&w, 3, 0);
	ck_assert_int_eq(shutdown(peer, SHUT_WR), 0);
	/* What came before it is served. */
	ck_assert_int_eq(sock_receive(&s), 1);
	sock_next(&s);
	ck_assert_int_eq(sock_receive(&s), -EPIPE);
}
END_TEST

START_TEST(replies)
{
	const uint64_t value = 0x1122334455667788;
	struct vhost_user_header h;
	uint64_t got;

	ck_ok(sock_reply(&s, 15, &value, sizeof(value)));
	ck_assert_int_eq(read(peer, &h, sizeof(h)), sizeof(h));
	ck_assert_uint_eq(h.request, 15);
	ck_assert_uint_eq(h.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
	ck_assert_uint_eq(h.size, 8);
	ck_assert_int_eq(read(peer, &got, sizeof(got)), sizeof(got));
	ck_assert_uint_eq(got, value);
	ck_ok(sock_reply(&s, 24, NULL, 0));
	ck_assert_int_eq(read(peer, &h, sizeof(h)), sizeof(h));
	ck_assert_uint_eq(h.size, 0);
}
END_TEST

/* A front-end that does not read: an error, no thread that hangs, no signal. */
START_TEST(replies_that_nobody_reads)
{
	static const char payload[4000];
	int r = 0;

	for (int i = 0; i < 10000 && r == 0; i++)
		r = sock_reply(&s, 1, payload, sizeof(payload));
	ck_assert_int_eq(r, -EAGAIN);
	close(peer);
	peer = -1;
	ck_assert_int_eq(sock_reply(&s, 1, payload, sizeof(payload)), -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sock");
	TCase *tc = unit_tcase(suite, "framing", 10);

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, whole_message);
	tcase_add_test(tc, byte_by_byte);
	tcase_add_test(tc, one_behind_the_other);
	tcase_add_test(tc, descriptors_come_along);
	tcase_add_test(tc, more_descriptors_than_there_is_room_for);
	tcase_add_test(tc, close_in_the_middle_of_a_message);
	tcase_add_test(tc, sizes);
	tcase_add_test(tc, huge_size);
	tcase_add_test(tc, end_of_the_stream);
	tcase_add_test(tc, replies);
	tcase_add_test(tc, replies_that_nobody_reads);
	return unit_run(suite);
}
