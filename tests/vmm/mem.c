/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Guest RAM: memfds, mapped here and handed to the back-end by the front-end. A region's slot
 * in the table keeps its number until it is removed, so that tests can name it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "mem.h"

#define RAM_MIN (1u << 20)

void mem_init(struct mem *m)
{
	m->n = 0;
}

static int region_slot(struct mem *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		if (m->region[i].fd < 0)
			return i;
	if (m->n == MEM_REGIONS_MAX)
		return -ENOSPC;
	m->region[m->n].fd = -1;
	return m->n++;
}

static int region_fd(struct mem *m, const struct mem_spec *spec)
{
	if (spec->from) {
		int fd = fcntl(m->region[spec->from - 1].fd, F_DUPFD_CLOEXEC, 0);

		return fd < 0 ? -errno : fd;
	}

	int fd = memfd_create("guest-ram", MFD_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (ftruncate(fd, spec->offset + spec->size) < 0) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int mem_add(struct mem *m, const struct mem_spec *spec)
{
	int slot = region_slot(m);

	if (slot < 0)
		return slot;

	int fd = region_fd(m, spec);

	if (fd < 0)
		return fd;

	void *host = mmap(NULL, spec->size, PROT_READ | PROT_WRITE,
			  spec->unshared ? MAP_PRIVATE : MAP_SHARED, fd, spec->offset);

	if (host == MAP_FAILED) {
		int r = -errno;

		close(fd);
		return r;
	}
	/* A real guest has firmware in its memory: what has nothing at all, and kicks before
	 * its ring is there, would be taken for memory that is not shared. */
	if (!spec->from && spec->size >= RAM_MIN)
		((volatile char *)host)[spec->size - 1] = 1;
	m->region[slot] = (struct mem_region){
		.gpa = spec->gpa,
		.size = spec->size,
		.uaddr = spec->uaddr ? spec->uaddr : (uintptr_t)host,
		.offset = spec->offset,
		.fd = fd,
		.host = host,
	};
	return slot;
}

void mem_remove(struct mem *m, unsigned int region)
{
	struct mem_region *r = &m->region[region];

	if (r->fd < 0)
		return;
	munmap(r->host, r->size);
	close(r->fd);
	r->fd = -1;
}

void mem_free(struct mem *m)
{
	for (unsigned int i = 0; i < m->n; i++)
		mem_remove(m, i);
	m->n = 0;
}

int mem_alloc(struct mem *m, unsigned int region, size_t len, size_t align,
	      struct mem_buf *ret)
{
	if (region >= m->n || m->region[region].fd < 0)
		return -EINVAL;

	struct mem_region *r = &m->region[region];
	uint64_t at = (r->next + align - 1) & ~(uint64_t)(align - 1);

	if (at > r->size || len > r->size - at)
		return -ENOMEM;
	r->next = at + len;
	*ret = (struct mem_buf){ .gpa = r->gpa + at, .host = r->host + at, .len = len };
	return 0;
}

static const struct mem_region *region_of(const struct mem *m, uint64_t gpa)
{
	for (unsigned int i = 0; i < m->n; i++) {
		const struct mem_region *r = &m->region[i];

		if (r->fd >= 0 && gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

void *mem_host(const struct mem *m, uint64_t gpa, size_t len)
{
	const struct mem_region *r = region_of(m, gpa);

	if (!r || len > r->size - (gpa - r->gpa))
		return NULL;
	return r->host + (gpa - r->gpa);
}

uint64_t mem_uaddr(const struct mem *m, uint64_t gpa)
{
	const struct mem_region *r = region_of(m, gpa);

	return r ? r->uaddr + (gpa - r->gpa) : 0;
}

int mem_write(struct mem *m, uint64_t gpa, const void *src, size_t len)
{
	const uint8_t *from = src;

	while (len) {
		const struct mem_region *r = region_of(m, gpa);

		if (!r)
			return -EFAULT;

		uint64_t off = gpa - r->gpa;
		size_t n = len < r->size - off ? len : r->size - off;

		memcpy(r->host + off, from, n);
		from += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int mem_read(const struct mem *m, uint64_t gpa, void *dst, size_t len)
{
	uint8_t *to = dst;

	while (len) {
		const struct mem_region *r = region_of(m, gpa);

		if (!r)
			return -EFAULT;

		uint64_t off = gpa - r->gpa;
		size_t n = len < r->size - off ? len : r->size - off;

		memcpy(to, r->host + off, n);
		to += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int mem_truncate(struct mem *m, unsigned int region, uint64_t size)
{
	struct mem_region *r = &m->region[region];

	return ftruncate(r->fd, r->offset + size) < 0 ? -errno : 0;
}

int mem_protect(struct mem *m, unsigned int region, int prot)
{
	struct mem_region *r = &m->region[region];

	return mprotect(r->host, r->size, prot) < 0 ? -errno : 0;
}
