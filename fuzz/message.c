/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vhost-user messages, to a whole device without a guest. The input: how much of
 * guest memory it fills, that part, and then messages: how many descriptors come
 * with it and of what, flags, request, length, payload. Rings can start, and are
 * served, over what the input has put there. With WELL, addresses in the payload
 * are moved to where memory is, and the payload has the size that it says.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "fs/lock_table.h"
#include "fuzz.h"
#include "keeper/service.h"
#include "vhost/server.h"

#define MEMORY 0x40000U
#define USER 0x7f0000000000ULL
#define MESSAGES_MAX 32

static const struct config cfg = { .shared_dir = fuzz_dir, .tag = "tag" };
static int memory_fd, event_fd, control_fd, stop_fd;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	int fd;

	log_init(LOG_LEVEL_OFF, false);
	fuzz_tree_init();
	fuzz_tree_renew();
	memory_fd = memfd_create("guest", MFD_CLOEXEC);
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	control_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	must(memory_fd >= 0 && event_fd >= 0 && control_fd >= 0 && stop_fd >= 0);
	must(ftruncate(memory_fd, MEMORY) == 0);
	fd = open("/proc/self/fd", O_PATH | O_DIRECTORY | O_CLOEXEC);
	must(fd >= 0 && fchdir(fd) == 0);
	close(fd);
	return 0;
}

/* --- the front-end --- */

static int listening(struct sockaddr_un *sa, socklen_t *len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*sa = (struct sockaddr_un){ .sun_family = AF_UNIX };
	must(fd >= 0);
	/* a name of the kernel's choice */
	must(bind(fd, (struct sockaddr *)sa, sizeof(sa->sun_family)) == 0);
	must(listen(fd, 1) == 0);
	*len = sizeof(*sa);
	must(getsockname(fd, (struct sockaddr *)sa, len) == 0);
	return fd_adopt(fd);
}

static void move_address(uint8_t *payload, size_t len, size_t at)
{
	uint64_t v;

	if (at + sizeof(v) > len)
		return;
	memcpy(&v, payload + at, sizeof(v));
	v = USER + v % MEMORY;
	memcpy(payload + at, &v, sizeof(v));
}

static void make_well(struct vhost_user_header *h, uint8_t *payload, size_t len)
{
	const struct vhost_user_region whole = { 0, MEMORY, USER, 0 };

	h->request %= 40;
	h->flags = VHOST_USER_VERSION | (h->flags & VHOST_USER_NEED_REPLY);
	h->size = (uint32_t)len;
	for (size_t at = 8; h->request == VHOST_USER_SET_VRING_ADDR && at < 32;
	     at += 8)
		move_address(payload, len, at);
	if (h->request == VHOST_USER_SET_MEM_TABLE ||
	    h->request == VHOST_USER_ADD_MEM_REG)
		if (len >= 8 + sizeof(whole) && payload[4] % 2 == 0)
			memcpy(payload + 8, &whole, sizeof(whole));
}

static bool send_with(int sock, const void *p, size_t len, unsigned int nfds,
		      bool memory)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)p, len };
	struct msghdr mh = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[8];

	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = memory ? memory_fd : event_fd;
	if (nfds) {
		struct cmsghdr *c = &control.align;

		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	return sendmsg(sock, &mh, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)len;
}

/* All of it, before anybody reads: the daemon finds a stream and its end. */
static void send_input(int sock, struct input *in)
{
	for (int i = 0; i < MESSAGES_MAX && in->left; i++) {
		uint8_t how = input_u8(in);
		struct {
			struct vhost_user_header h;
			uint8_t payload[512];
		} m = { .h = { .flags = input_u8(in), .request = input_u8(in) } };
		size_t n;
		const uint8_t *bytes = input_bytes(in, input_u16(in) % 512, &n);

		memcpy(m.payload, bytes, n);
		m.h.size = how & 16 ? input_u32(in) : (uint32_t)n;
		if (!(how & 32))
			make_well(&m.h, m.payload, n);
		if (!send_with(sock, &m, sizeof(m.h) + n, how % 8, how & 8))
			break;
	}
	shutdown(sock, SHUT_WR);
}

static void fill_memory(struct input *in)
{
	size_t n;
	const uint8_t *at = input_bytes(in, input_u16(in), &n);

	/* empty again, whatever was there */
	must(ftruncate(memory_fd, 0) == 0 && ftruncate(memory_fd, MEMORY) == 0);
	must(pwrite(memory_fd, at, n, 0) == (ssize_t)n);
	(void)eventfd_write(event_fd, 1);
}

/* --- the daemon --- */

struct state {
	struct server_record server;
	struct session_record session;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct device dev;
	static struct fs fs;
	struct input in = { data, size };
	size_t sizes[ARENA_SECTIONS];
	struct sockaddr_un sa;
	struct session session;
	struct arena arena;
	struct state *state;
	struct server server;
	socklen_t len;
	long before = fd_count();
	int root, listen_fd, sock;
	eventfd_t drained;

	fill_memory(&in);
	service_arena_sizes(sizes);
	must(arena_create(sizes, &arena) == 0);
	root = share_open(fuzz_dir);
	must(root >= 0);
	must(fs_init(&fs, &arena, &cfg, &root) == 0);
	state = arena_section(&arena, ARENA_SESSION);
	session_init(&session, &fs, &state->session);
	must(device_init(&dev, &arena, &session, control_fd) == 0);
	must(memmap_catch_sigbus(&dev.map, control_fd) == 0);
	server = (struct server){ .cfg = &cfg, .dev = &dev,
				  .record = &state->server,
				  .control_fd = control_fd, .stop_fd = stop_fd };
	listen_fd = listening(&sa, &len);
	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(connect(sock, (struct sockaddr *)&sa, len) == 0);
	send_input(sock, &in);

	(void)server_run(&server, &listen_fd);

	must(device_destroy(&dev) == 0);
	fs_destroy(&fs);
	arena_detach(&arena);
	(void)fd_close(&arena.fd);
	close(sock);
	(void)eventfd_read(control_fd, &drained);
	must(fd_count() == before);
	return 0;
}
