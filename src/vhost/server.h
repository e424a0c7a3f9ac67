/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control plane: one front-end on one socket, from its first message to its
 * disconnect. All of it runs in the worker's first thread.
 */
#ifndef VHOST_SERVER_H
#define VHOST_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "device/device.h"
#include "vhost/sock.h"

/* In the arena. */
struct server_record {
	uint64_t features; /* virtio and vhost feature bits agreed */
	uint64_t protocol; /* vhost-user protocol features agreed */
	uint32_t owned; /* SET_OWNER came */
	int32_t backend_fd; /* 0: none. The channel towards the front-end */
	int32_t front_fd; /* 0: none. The front-end's socket */
	uint32_t stage; /* enum server_stage */
	uint32_t in_message; /* a message is being received or handled */
};

enum server_stage {
	SERVER_LISTENS,
	SERVER_ACCEPTS, /* there may be a connection that nobody knows of */
	SERVER_SERVES, /* front_fd; the listening socket is not needed */
};

struct server {
	const struct config *cfg;
	struct device *dev;
	struct server_record *record;
	struct sock sock;
	int control_fd; /* eventfd: a queue or a fault wants this thread */
	int stop_fd; /* eventfd: the keeper wants the end */
};

/* Why server_run() came back. */
enum server_end {
	SERVER_DISCONNECTED, /* the front-end is gone: all is well */
	SERVER_STOPPED, /* the keeper asked for it */
	SERVER_BROKEN, /* the front-end did what it must not; said in the log */
};

/*
 * After a worker's death: recalls the descriptors of the record, and sets the
 * device up as was agreed. -EPIPE, said in the log, if the session cannot go on:
 * the death was in the middle of a message.
 */
int server_attach(struct server *s);

/*
 * Accepts one connection on *listen_fd (which is then closed, unless another one
 * is to follow) and serves it to its end; after server_attach(), goes on with the one that there is. Both
 * eventfds are borrowed.
 */
enum server_end server_run(struct server *s, int *listen_fd);

/* After server_run(): nothing of the front-end is left, and the next one may come. */
void server_forget(struct server *s);

/* What is offered. */
uint64_t server_features(const struct server *s);
uint64_t server_protocol_features(const struct server *s);

static inline bool server_has_protocol(const struct server *s, unsigned int bit)
{
	return s->record->protocol >> bit & 1;
}

#endif
