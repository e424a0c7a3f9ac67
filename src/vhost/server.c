/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "vhost/msgtable.h"

int msg_reply(struct server *s, const struct msg *m, const void *payload,
	      uint32_t size)
{
	int r = sock_reply(&s->sock, m->h.request, payload, size);

	return r < 0 ? r : MSG_REPLIED;
}

int msg_reply_u64(struct server *s, const struct msg *m, uint64_t value)
{
	return msg_reply(s, m, &value, sizeof(value));
}

int msg_take_fd(struct msg *m, size_t i)
{
	return i < m->n_fds ? fd_take(&m->fd[i]) : -1;
}

static int not_allowed(const struct msg *m, const char *name, const char *why)
{
	log_error("front-end: message %s (%u) of %u bytes with %zu descriptors %s",
		  name, m->h.request, m->h.size, m->n_fds, why);
	return -EPROTO;
}

/* All that the table says, before the handler is called. */
static int check(const struct server *s, const struct msg *m,
		 const struct msg_row **ret_row)
{
	const struct msg_row *row = msg_row(m->h.request);

	if ((m->h.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION ||
	    m->h.flags & VHOST_USER_REPLY)
		return not_allowed(m, row ? row->name : "?",
				   "is not a request of protocol version 1");
	if (!row)
		return not_allowed(m, "?", "is not known");
	if (m->h.size < row->size_min || m->h.size > row->size_max)
		return not_allowed(m, row->name, "has the wrong size");
	if (m->n_fds < row->fds_min)
		return not_allowed(m, row->name, "lacks a descriptor");
	if (row->protocol != MSG_NO_FEATURE &&
	    !server_has_protocol(s, row->protocol))
		return not_allowed(m, row->name,
				   "needs a protocol feature that was not agreed on");
	if (row->state & ST_OWNED && !s->record->owned)
		return not_allowed(m, row->name, "came before SET_OWNER");
	*ret_row = row;
	return 0;
}

static int acknowledge(struct server *s, const struct msg *m, int r)
{
	uint64_t failed = r != MSG_DONE;

	if (!(m->h.flags & VHOST_USER_NEED_REPLY) || r == MSG_REPLIED ||
	    !server_has_protocol(s, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return 0;
	return sock_reply(&s->sock, m->h.request, &failed, sizeof(failed));
}

/* One message. 0, or -errno that ends the session (said in the log). */
static int handle(struct server *s)
{
	struct msg *m = &s->sock.msg;
	const struct msg_row *row = NULL;
	int r, ack;

	/* What the payload does not fill is zero to the handler. */
	memset(m->p.bytes + m->h.size, 0, sizeof(m->p.bytes) - m->h.size);
	r = check(s, m, &row);
	if (r == 0) {
		log_debug("vhost-user: %s, %u bytes, %zu descriptors",
			  row->name, m->h.size, m->n_fds);
		r = row->fn(s, m);
	}
	ack = acknowledge(s, m, r);
	sock_next(&s->sock);
	if (r >= 0 && ack < 0)
		return log_err(ack, "front-end: cannot be answered");
	return r < 0 ? r : 0;
}

static int receive(struct server *s, enum server_end *ret_end)
{
	int r = sock_receive(&s->sock);

	if (r > 0) {
		r = handle(s);
		*ret_end = SERVER_BROKEN;
		return r;
	}
	if (r == -EPIPE || r == -ECONNRESET) {
		log_info("Client disconnected, shutting down");
		*ret_end = SERVER_DISCONNECTED;
	} else if (r < 0) {
		log_err(r, "front-end: cannot receive");
		*ret_end = SERVER_BROKEN;
	}
	return r;
}

static void drain(int event_fd)
{
	uint64_t n;

	if (read(event_fd, &n, sizeof(n)) < 0) {
		/* Somebody else's wake-up, or none. */
	}
}

/* syscalls: poll ppoll read */
static enum server_end serve(struct server *s)
{
	enum { SOCK, CONTROL, STOP, N };
	struct pollfd p[N] = {
		[SOCK] = { .fd = s->sock.fd, .events = POLLIN },
		[CONTROL] = { .fd = s->control_fd, .events = POLLIN },
		[STOP] = { .fd = s->stop_fd, .events = POLLIN },
	};
	enum server_end end;

	for (;;) {
		if (poll(p, N, -1) < 0 && errno != EINTR) {
			log_err(-errno, "poll");
			return SERVER_BROKEN;
		}
		if (p[STOP].revents)
			return SERVER_STOPPED;
		if (p[CONTROL].revents)
			drain(s->control_fd);
		if (memmap_vanished()) {
			log_error("front-end: guest memory has vanished: the file behind it was truncated");
			return SERVER_BROKEN;
		}
		if (atomic_exchange(&s->dev->memory_in_doubt, false) &&
		    !memmap_is_shared(&s->dev->map)) {
			msg_not_shared();
			return SERVER_BROKEN;
		}
		device_run_exclusives(s->dev);
		if (p[SOCK].revents && receive(s, &end) < 0)
			return end;
	}
}

/* syscalls: poll ppoll accept4 */
static int accept_one(struct server *s, int listen_fd)
{
	struct pollfd p[2] = {
		{ .fd = listen_fd, .events = POLLIN },
		{ .fd = s->stop_fd, .events = POLLIN },
	};
	int fd;

	for (;;) {
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents)
			return -ECANCELED;
		if (!p[0].revents)
			continue;
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			return fd_adopt(fd);
		if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
			return -errno;
	}
}

enum server_end server_run(struct server *s, int *listen_fd)
{
	enum server_end end;
	int fd = accept_one(s, *listen_fd), none = -1;

	(void)fd_close(listen_fd);
	if (fd == -ECANCELED)
		return SERVER_STOPPED;
	if (fd < 0) {
		log_err(fd, "cannot accept a connection");
		return SERVER_BROKEN;
	}
	log_info("Client connected, servicing requests");
	sock_init(&s->sock, fd);
	s->dev->front_fd = fd;
	end = serve(s);
	s->dev->front_fd = -1;
	sock_close(&s->sock);
	queue_set_fd(&s->record->backend_fd, &none);
	return end;
}
