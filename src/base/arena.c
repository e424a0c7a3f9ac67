/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/scope.h"

#define ARENA_MAGIC 0x616e657261736676ULL
#define ARENA_LAYOUT 3U
#define ARENA_ALIGN 4096U

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

struct arena_header {
	uint64_t magic;
	uint32_t layout;
	uint32_t sections;
	uint64_t size;
	_Atomic uint64_t generation; /* the next one to give out */
	struct {
		uint64_t offset;
		uint64_t size;
	} section[ARENA_SECTIONS];
};

static uint64_t section_offsets(const size_t sizes[ARENA_SECTIONS],
				uint64_t ret_offset[ARENA_SECTIONS])
{
	uint64_t at = round_up(sizeof(struct arena_header), ARENA_ALIGN);

	for (int i = 0; i < ARENA_SECTIONS; i++) {
		ret_offset[i] = at;
		at += round_up(sizes[i], ARENA_ALIGN);
	}
	return at;
}

static int map(int fd, size_t size, struct arena *ret)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED)
		return -errno;
	ret->header = p;
	ret->size = size;
	ret->fd = fd;
	return 0;
}

/* syscalls(start): memfd_create ftruncate fcntl:F_ADD_SEALS mmap */
int arena_create(const size_t sizes[ARENA_SECTIONS], struct arena *ret)
{
	uint64_t offset[ARENA_SECTIONS];
	uint64_t size = section_offsets(sizes, offset);
	const unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	_cleanup_close_ int fd = -1;
	struct arena_header *h;
	struct arena a;
	int r;

	fd = memfd_create("virtiofsd-arena", flags | MFD_NOEXEC_SEAL);
	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("virtiofsd-arena", flags);
	if (fd < 0)
		return -errno;
	fd_adopt(fd);
	if (ftruncate(fd, (off_t)size) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -errno;
	r = map(fd, size, &a);
	if (r < 0)
		return r;

	h = a.header;
	h->layout = ARENA_LAYOUT;
	h->sections = ARENA_SECTIONS;
	h->size = size;
	h->generation = 1;
	for (int i = 0; i < ARENA_SECTIONS; i++) {
		h->section[i].offset = offset[i];
		h->section[i].size = sizes[i];
	}
	h->magic = ARENA_MAGIC;
	*ret = a;
	fd_take(&fd);
	return 0;
}

static int check(const struct arena *a, const size_t sizes[ARENA_SECTIONS])
{
	const struct arena_header *h = a->header;
	uint64_t offset[ARENA_SECTIONS];

	if (h->magic != ARENA_MAGIC || h->layout != ARENA_LAYOUT ||
	    h->sections != ARENA_SECTIONS || h->size != a->size ||
	    section_offsets(sizes, offset) != a->size)
		return -EPROTO;
	for (int i = 0; i < ARENA_SECTIONS; i++)
		if (h->section[i].offset != offset[i] ||
		    h->section[i].size != sizes[i])
			return -EPROTO;
	return 0;
}

/* syscalls: fstat mmap */
int arena_attach(int fd, const size_t sizes[ARENA_SECTIONS], struct arena *ret)
{
	struct arena a;
	struct stat st;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if ((size_t)st.st_size < sizeof(struct arena_header))
		return -EPROTO;
	r = map(fd, (size_t)st.st_size, &a);
	if (r < 0)
		return r;
	r = check(&a, sizes);
	if (r < 0) {
		arena_detach(&a);
		return r;
	}
	*ret = a;
	return 0;
}

/* syscalls: munmap */
void arena_detach(struct arena *a)
{
	if (a->header)
		munmap(a->header, a->size);
	a->header = NULL;
}

void *arena_section(const struct arena *a, enum arena_section_id id)
{
	return (char *)a->header + a->header->section[id].offset;
}

size_t arena_section_size(const struct arena *a, enum arena_section_id id)
{
	return a->header->section[id].size;
}

/* syscalls: fallocate */
void arena_section_clear(const struct arena *a, enum arena_section_id id)
{
	int r = fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (off_t)a->header->section[id].offset,
			  (off_t)round_up(a->header->section[id].size,
					  ARENA_ALIGN));

	ASSERT(r == 0);
}

/* syscalls: lseek */
bool arena_section_data(const struct arena *a, enum arena_section_id id,
			size_t at, size_t *ret_start, size_t *ret_end)
{
	off_t base = (off_t)a->header->section[id].offset, start, end;
	size_t size = a->header->section[id].size;

	if (at >= size)
		return false;
	start = lseek(a->fd, base + (off_t)at, SEEK_DATA);
	if (start < 0 || start >= base + (off_t)size)
		return false;
	end = lseek(a->fd, start, SEEK_HOLE);
	*ret_start = (size_t)(start - base);
	*ret_end = end < 0 ? size : min_size((size_t)(end - base), size);
	return true;
}

bool arena_generation_is_old(const struct arena *a, uint64_t generation)
{
	return generation > 0 &&
	       generation < atomic_load_explicit(&a->header->generation,
						 memory_order_relaxed);
}

uint64_t arena_generations(const struct arena *a, uint64_t n)
{
	return atomic_fetch_add_explicit(&a->header->generation, n,
					 memory_order_relaxed);
}
