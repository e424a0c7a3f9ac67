/* SPDX-License-Identifier: BSD-3-Clause */
#include "vhost/server.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "base/recall.h"
#include "vhost/msgtable.h"
#include "wire/vring.h"

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
	if (r >= 0)
		r = ack;
	/* Of a handler's errors this one alone has not been said. */
	if (r == -EAGAIN)
		log_error("front-end: does not read what it is answered");
	return r < 0 ? r : 0;
}

static bool has_hung_up(int r)
{
	return r == -EPIPE || r == -ECONNRESET;
}

/* The front-end may hang up at any time: while it is read from or answered. */
static int receive(struct server *s, enum server_end *ret_end)
{
	int r = sock_receive(&s->sock);

	if (r < 0 && !has_hung_up(r))
		log_err(r, "front-end: cannot receive");
	if (r > 0)
		r = handle(s);
	if (has_hung_up(r))
		log_info(s->cfg->reconnect ? "Client disconnected" :
					     "Client disconnected, shutting down");
	*ret_end = has_hung_up(r) ? SERVER_DISCONNECTED : SERVER_BROKEN;
	return r;
}

static void empty(int event_fd)
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
			empty(s->control_fd);
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
		device_obey_drain(s->dev);
		if (!p[SOCK].revents)
			continue;
		s->record->in_message = 1;
		if (receive(s, &end) < 0)
			return end;
		if (!s->sock.have)
			s->record->in_message = 0;
	}
}

/* After what goes with it. */
static void set_stage(struct server *s, enum server_stage stage)
{
	__atomic_store_n(&s->record->stage, stage, __ATOMIC_RELEASE);
}

/* syscalls: poll ppoll accept4 */
static int accept_one(struct server *s, int listen_fd)
{
	struct pollfd p[3] = {
		{ .fd = listen_fd, .events = POLLIN },
		{ .fd = s->stop_fd, .events = POLLIN },
		{ .fd = s->control_fd, .events = POLLIN },
	};
	int fd;

	for (;;) {
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return -errno;
		if (p[1].revents)
			return -ECANCELED;
		if (p[2].revents)
			empty(s->control_fd);
		device_obey_drain(s->dev);
		if (!p[0].revents)
			continue;
		set_stage(s, SERVER_ACCEPTS);
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			return fd_adopt(fd);
		set_stage(s, SERVER_LISTENS);
		if (errno != EINTR && errno != ECONNABORTED && errno != EAGAIN)
			return -errno;
	}
}

/* The connection is known before the socket that it came by is closed. */
static int accept_and_record(struct server *s, int *listen_fd)
{
	int fd = accept_one(s, *listen_fd);

	if (fd >= 0) {
		s->record->front_fd = fd;
		set_stage(s, SERVER_SERVES);
		log_info("Client connected, servicing requests");
	}
	if (!s->cfg->reconnect)
		(void)fd_close(listen_fd);
	return fd;
}

enum server_end server_run(struct server *s, int *listen_fd)
{
	enum server_end end;
	int fd, none = -1;

	if (s->record->stage == SERVER_SERVES)
		fd = s->record->front_fd;
	else
		fd = accept_and_record(s, listen_fd);
	if (fd == -ECANCELED)
		return SERVER_STOPPED;
	if (fd < 0) {
		log_err(fd, "cannot accept a connection");
		return SERVER_BROKEN;
	}
	sock_init(&s->sock, fd);
	s->dev->front_fd = fd;
	end = serve(s);
	s->dev->front_fd = -1;
	s->record->front_fd = 0;
	sock_close(&s->sock);
	queue_set_fd(&s->record->backend_fd, &none);
	return end;
}

void server_forget(struct server *s)
{
	device_forget_front_end(s->dev);
	s->record->features = 0;
	s->record->protocol = 0;
	s->record->owned = 0;
	s->record->in_message = 0;
	set_stage(s, SERVER_LISTENS);
}

static void agree(struct server *s)
{
	s->dev->event_idx = s->record->features >> VIRTIO_RING_F_EVENT_IDX & 1;
	s->dev->dirty.enabled = s->record->features >> VHOST_F_LOG_ALL_BIT & 1;
}

/* syscalls: fstat */
int server_attach(struct server *s)
{
	const struct server_record *rec = s->record;
	struct stat st;

	if (rec->stage > SERVER_SERVES || rec->owned > 1 ||
	    rec->features & ~server_features(s) ||
	    rec->protocol & ~server_protocol_features(s))
		return log_err(-EPROTO, "the record of the front-end");
	if (rec->stage == SERVER_ACCEPTS || rec->in_message) {
		log_error("the worker died in the middle of a message of the front-end: the session ends");
		return -EPIPE;
	}
	if (rec->backend_fd && recall_fd(rec->backend_fd) < 0)
		return log_err(-EBADF, "the channel to the front-end");
	if (rec->stage == SERVER_SERVES &&
	    (recall_fd(rec->front_fd) < 0 || fstat(rec->front_fd, &st) < 0 ||
	     !S_ISSOCK(st.st_mode)))
		return log_err(-EBADF, "the front-end's socket");
	agree(s);
	return 0;
}
