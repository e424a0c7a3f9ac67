/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The dirty-page log of a migration (vhost-user, "Migration"): a bit per 4 KiB
 * of guest memory that this process has written.
 *
 * Set up by the control thread while no queue runs; marked by any thread.
 */
#ifndef VIRTIO_DIRTY_H
#define VIRTIO_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/memmap.h"

/* In the arena. */
struct dirty_record {
	int32_t fd; /* 0: none (never a descriptor here). Stored last */
	uint64_t size, offset;
};

struct dirty {
	const struct memmap *map;
	struct dirty_record *record; /* NULL in tests */
	uint8_t *log; /* shared with the front-end; NULL: none */
	size_t size; /* bytes of log */
	void *mapped; /* page-aligned */
	size_t mapped_len;
	bool enabled; /* VHOST_F_LOG_ALL is negotiated */
};

/* Maps the log behind @fd (consumed) in place of any older one. -EINVAL if the
 * file is smaller than said. */
int dirty_set_log(struct dirty *d, uint64_t size, uint64_t offset, int *fd);
void dirty_clear(struct dirty *d);

/* Maps the log that a worker which died has left in its record. 0 or -errno. */
int dirty_attach(struct dirty *d);

static inline bool dirty_logging(const struct dirty *d)
{
	return d->enabled && d->log;
}

/* Marks [gpa, gpa + len); what lies beyond the log is not marked. */
void dirty_mark_gpa(struct dirty *d, uint64_t gpa, uint64_t len);

/* The same for guest memory given by pointer. */
void dirty_mark(struct dirty *d, const void *ptr, size_t len);

#endif
