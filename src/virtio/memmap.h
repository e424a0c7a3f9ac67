/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest memory: which addresses exist and where they are mapped here.
 *
 * The table is changed by the control thread alone, and only while no queue
 * runs (device_quiesce()), so that the request path reads it without a lock.
 * What a new worker needs to map it again is recorded in the arena.
 *
 * Memory can vanish: a front-end may truncate the file behind it. System calls
 * on it then say EFAULT; an access of our own gets SIGBUS. The handler that
 * memmap_catch_sigbus() installs puts zeroes in the place of the lost page,
 * so that the thread goes on, and raises a flag and an eventfd: the control
 * thread ends the session.
 */
#ifndef VIRTIO_MEMMAP_H
#define VIRTIO_MEMMAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The most that a vhost-user front-end of Linux can use (KVM's own limit). */
#define MEMMAP_REGIONS_MAX 509U

/* In the arena. */
struct region_record {
	_Atomic uint32_t valid; /* stored last */
	int32_t fd;
	uint64_t gpa; /* guest physical address */
	uint64_t size; /* bytes */
	uint64_t uaddr; /* the front-end's own address of it */
	uint64_t mmap_offset; /* of the region within the file */
};

struct region {
	uint64_t gpa, end; /* [gpa, end) */
	uint64_t uaddr;
	char *hva; /* of gpa */
	char *map; /* what was mmapped ... */
	size_t map_len; /* ... and how much */
	size_t page; /* page size of the mapping */
	struct region_record *record;
};

struct memmap {
	struct region region[MEMMAP_REGIONS_MAX]; /* by gpa */
	uint32_t n;
	struct region_record *record; /* MEMMAP_REGIONS_MAX of them, arena */
};

void memmap_init(struct memmap *m, struct region_record *records);

/*
 * Adds a region and maps it. *fd is consumed in any case. Errors: -EEXIST
 * overlaps another, -EINVAL empty, too big, or larger than its file, -ENOSPC
 * table full, or what mmap said. Control thread, queues stopped.
 */
int memmap_add(struct memmap *m, uint64_t gpa, uint64_t size, uint64_t uaddr,
	       uint64_t mmap_offset, int *fd);

/*
 * Maps the regions that a worker which died has left in its records, whose
 * descriptors are recalled. 0, or -errno: memory that the guest counts on is
 * gone.
 */
int memmap_attach(struct memmap *m);

/* Removes the region that has exactly these addresses, or -ENOENT. */
int memmap_remove(struct memmap *m, uint64_t gpa, uint64_t size,
		  uint64_t uaddr);

void memmap_clear(struct memmap *m);

/*
 * The pointer for guest address @gpa, and in *ret_len how many of the @len
 * bytes lie contiguously behind it (at least 1). NULL if @gpa is in no region.
 */
void *memmap_gpa(const struct memmap *m, uint64_t gpa, size_t len,
		 size_t *ret_len);

/* The pointer for all of [uaddr, uaddr + len), front-end addresses, or NULL. */
void *memmap_uaddr(const struct memmap *m, uint64_t uaddr, size_t len);

/*
 * The guest address of a pointer that memmap_gpa() gave, and in *ret_len how
 * many bytes from there on lie in the same region. False if it is none.
 */
bool memmap_to_gpa(const struct memmap *m, const void *ptr, uint64_t *ret_gpa,
		   size_t *ret_len);

/*
 * False if every byte of the guest's memory is zero: then the guest runs in a
 * private copy that this process cannot see. Looks at what the files behind it
 * have allocated, up to the first byte that is not zero. Control thread.
 */
bool memmap_is_shared(const struct memmap *m);

/*
 * Installs the SIGBUS handler of the process. @m (and an extra range that is
 * mapped at the time, the dirty log: memmap_guard_extra()) is guarded from now
 * on; @event_fd is an eventfd that gets 1 when memory has vanished.
 */
int memmap_catch_sigbus(struct memmap *m, int event_fd);
void memmap_guard_extra(void *start, size_t len);
bool memmap_vanished(void);

#endif
