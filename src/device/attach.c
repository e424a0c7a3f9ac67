/* SPDX-License-Identifier: BSD-3-Clause */
/* A device goes on where a worker that died has left it. */
#include <errno.h>

#include "base/log.h"
#include "base/recall.h"
#include "device/device.h"
#include "fuse/serve.h"

static int recall(int32_t fd)
{
	return fd ? recall_fd(fd) : 0;
}

int device_recall(struct device *dev)
{
	int r = 0;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX && r == 0; i++) {
		const struct queue_record *rec = &dev->queue_record[i];

		if (!queue_record_is_sane(rec))
			r = -EPROTO;
		if (r == 0)
			r = recall(rec->kick_fd);
		if (r == 0)
			r = recall(rec->call_fd);
		if (r == 0)
			r = recall(rec->err_fd);
		if (r < 0)
			log_err(r, "queue %u", i);
	}
	return r;
}

/* What the guest was given and not told of is taken back, then the requests are
 * put in line. */
static int attach_queue(struct device *dev, struct crew *crew)
{
	struct queue *q = &crew->queue;
	int r;

	for (uint32_t i = 0; i < q->record->num; i++)
		fuse_undo(dev->session, &q->inflight[i], q->index);
	r = crew_listen(crew);
	if (r == 0)
		r = queue_attach(q, dev->event_idx);
	return r < 0 ? log_err(r, "queue %u", q->index) : 0;
}

/* The thread tells the guest first: that may be what was lost. */
static int start(struct crew *crew)
{
	int r;

	if (!crew->queue.mapped)
		return 0;
	r = crew_start(crew);
	if (r < 0)
		return r;
	atomic_store(&crew->tell_anyway, true);
	gate_open(&crew->gate);
	crew_wake(crew);
	return 0;
}

int device_attach(struct device *dev)
{
	struct crew *crew;
	int r = 0;

	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX && r == 0; i++) {
		if (!dev->queue_record[i].named)
			continue;
		r = device_queue(dev, i, &crew);
		if (r == 0)
			r = attach_queue(dev, crew);
	}
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX && r == 0; i++)
		if (dev->crew[i])
			r = start(dev->crew[i]);
	return r;
}
