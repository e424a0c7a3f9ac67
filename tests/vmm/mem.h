/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_MEM_H
#define VMM_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MEM_REGIONS_MAX 1024

/* How one region is to be made; a zeroed one with gpa and size is the usual. */
struct mem_spec {
	uint64_t gpa;		/* guest physical address */
	uint64_t size;
	uint64_t uaddr;		/* user address told to the back-end; 0: where it is mapped here */
	uint64_t offset;	/* where it starts in its file */
	int from;		/* 1 + index of the region whose file it shares; 0: a memfd of its own */
	bool unshared;		/* mapped private here: the back-end sees none of our writes */
};

struct mem_region {
	uint64_t gpa, size, uaddr, offset;
	int fd;			/* -1: this slot is free */
	uint8_t *host;
	uint64_t next;		/* first byte that mem_alloc() has not given out */
};

/* Guest RAM. Reading is safe from any thread; adding and removing is not. */
struct mem {
	struct mem_region region[MEM_REGIONS_MAX];
	unsigned int n;
};

/* A piece of guest memory, inside one region. */
struct mem_buf {
	uint64_t gpa;
	uint8_t *host;
	size_t len;
};

void mem_init(struct mem *m);
void mem_free(struct mem *m);

/* mem_add() - make a region; returns its index or -errno. Nothing is told to the back-end. */
int mem_add(struct mem *m, const struct mem_spec *spec);
void mem_remove(struct mem *m, unsigned int region);

/* mem_alloc() - the next free piece of a region (align: a power of two). Never freed singly. */
int mem_alloc(struct mem *m, unsigned int region, size_t len, size_t align,
	      struct mem_buf *ret);

/* mem_host() - where [gpa, gpa + len) is mapped here; NULL unless one region holds all of it */
void *mem_host(const struct mem *m, uint64_t gpa, size_t len);
/* mem_uaddr() - the user address for the back-end of a guest address; 0 if there is none */
uint64_t mem_uaddr(const struct mem *m, uint64_t gpa);

/* Copy across regions that touch each other. -EFAULT when a byte has no region. */
int mem_write(struct mem *m, uint64_t gpa, const void *src, size_t len);
int mem_read(const struct mem *m, uint64_t gpa, void *dst, size_t len);

/* mem_truncate() - cut a region's file to size bytes: its end is SIGBUS for all who map it */
int mem_truncate(struct mem *m, unsigned int region, uint64_t size);
/* mem_protect() - change what we ourselves may do with our mapping (PROT_NONE...) */
int mem_protect(struct mem *m, unsigned int region, int prot);

#endif
