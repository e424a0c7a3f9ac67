/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/dirty.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/recall.h"
#include "wire/vhost_user.h"

/* syscalls: munmap */
static void unmap(struct dirty *d)
{
	memmap_guard_extra(NULL, 0);
	if (d->mapped)
		munmap(d->mapped, d->mapped_len);
	d->mapped = NULL;
	d->log = NULL;
	d->size = 0;
}

/* Takes the descriptor out of the record, then closes it. */
static void close_recorded(struct dirty *d)
{
	int fd = d->record && d->record->fd ? d->record->fd : -1;

	if (fd >= 0)
		__atomic_store_n(&d->record->fd, 0, __ATOMIC_RELEASE);
	(void)fd_close(&fd);
}

/* syscalls: fstat mmap */
static int map_log(struct dirty *d, uint64_t size, uint64_t offset, int fd)
{
	uint64_t start = round_down(offset, (uint64_t)sysconf(_SC_PAGESIZE));
	uint64_t end;
	struct stat st;
	void *p;

	if (size == 0 || add_overflow(offset, size, &end))
		return -EINVAL;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (end > (uint64_t)st.st_size)
		return -EINVAL;
	p = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		 (off_t)start);
	if (p == MAP_FAILED)
		return -errno;

	unmap(d);
	d->mapped = p;
	d->mapped_len = end - start;
	d->log = (uint8_t *)p + (offset - start);
	d->size = size;
	memmap_guard_extra(d->mapped, d->mapped_len);
	return 0;
}

/* The descriptor stays, for a worker to come. */
int dirty_set_log(struct dirty *d, uint64_t size, uint64_t offset, int *fd_taken)
{
	_cleanup_close_ int fd = fd_take(fd_taken);
	int r = map_log(d, size, offset, fd);

	if (r < 0 || !d->record)
		return r;
	close_recorded(d);
	d->record->size = size;
	d->record->offset = offset;
	d->record->fd = fd_take(&fd);
	return 0;
}

int dirty_attach(struct dirty *d)
{
	const struct dirty_record *rec = d->record;
	int r = rec->fd ? recall_fd(rec->fd) : 0;

	return r == 0 && rec->fd ?
		       map_log(d, rec->size, rec->offset, rec->fd) : r;
}

void dirty_clear(struct dirty *d)
{
	unmap(d);
	close_recorded(d);
}

void dirty_mark_gpa(struct dirty *d, uint64_t gpa, uint64_t len)
{
	uint64_t page, last;

	if (len == 0 || add_overflow(gpa, len - 1, &last))
		return;
	for (page = gpa / VHOST_LOG_PAGE; page <= last / VHOST_LOG_PAGE; page++) {
		if (page / 8 >= d->size)
			return;
		__atomic_fetch_or(&d->log[page / 8], (uint8_t)(1 << (page % 8)),
				  __ATOMIC_SEQ_CST);
	}
}

void dirty_mark(struct dirty *d, const void *ptr, size_t len)
{
	const char *p = ptr;
	uint64_t gpa;
	size_t now;

	/* Regions that are neighbours here need not be so in the guest. */
	while (len && memmap_to_gpa(d->map, p, &gpa, &now)) {
		now = min_size(now, len);
		dirty_mark_gpa(d, gpa, now);
		p += now;
		len -= now;
	}
}
