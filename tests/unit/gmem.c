/* SPDX-License-Identifier: BSD-3-Clause */
#include "gmem.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "unit.h"

void gmem_init(struct gmem *g, struct memmap *map)
{
	memset(g, 0, sizeof(*g));
	g->map = map;
}

void gmem_destroy(struct gmem *g)
{
	for (unsigned int i = 0; i < g->n; i++) {
		munmap(g->region[i].mine, g->region[i].size);
		ck_ok(fd_close(&g->region[i].fd));
	}
	g->n = 0;
}

static void map_region(struct gmem *g, unsigned int i)
{
	int fd = fd_dup(g->region[i].fd);

	ck_ok(memmap_add(g->map, g->region[i].gpa, g->region[i].size,
			 g->region[i].gpa + GMEM_UADDR, 0, &fd));
}

void gmem_add(struct gmem *g, uint64_t gpa, uint64_t size)
{
	unsigned int i = g->n++;
	void *p;

	must(i < GMEM_REGIONS);
	g->region[i].gpa = gpa;
	g->region[i].size = size;
	g->region[i].fd = memfd_create("guest", MFD_CLOEXEC);
	must(g->region[i].fd >= 0);
	fd_adopt(g->region[i].fd);
	must(ftruncate(g->region[i].fd, (off_t)size) == 0);
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
		 g->region[i].fd, 0);
	must(p != MAP_FAILED);
	g->region[i].mine = p;
	map_region(g, i);
}

void gmem_move(struct gmem *g)
{
	char *hole;

	memmap_clear(g->map);
	/* What was free is not any more: the same places are not found. */
	hole = mmap(NULL, g->region[0].size, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	for (unsigned int i = 0; i < g->n; i++)
		map_region(g, i);
	munmap(hole, g->region[0].size);
}

static char *find(const struct gmem *g, uint64_t gpa, size_t *ret_left)
{
	for (unsigned int i = 0; i < g->n; i++) {
		uint64_t off = gpa - g->region[i].gpa;

		if (gpa < g->region[i].gpa || off >= g->region[i].size)
			continue;
		*ret_left = g->region[i].size - off;
		return g->region[i].mine + off;
	}
	ck_abort_msg("no guest memory at %llx", (unsigned long long)gpa);
	return NULL;
}

void *gmem_ptr(const struct gmem *g, uint64_t gpa, size_t len)
{
	size_t left = 0;
	char *p = find(g, gpa, &left);

	must(len <= left);
	return p;
}

void gmem_write(struct gmem *g, uint64_t gpa, const void *data, size_t len)
{
	const char *from = data;

	while (len) {
		size_t left = 0, now;
		char *p = find(g, gpa, &left);

		now = min_size(left, len);
		memcpy(p, from, now);
		from += now;
		gpa += now;
		len -= now;
	}
}

void gmem_read(struct gmem *g, uint64_t gpa, void *data, size_t len)
{
	char *to = data;

	while (len) {
		size_t left = 0, now;
		char *p = find(g, gpa, &left);

		now = min_size(left, len);
		memcpy(to, p, now);
		to += now;
		gpa += now;
		len -= now;
	}
}
