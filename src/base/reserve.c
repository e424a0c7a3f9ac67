/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/reserve.h"

#include <sys/mman.h>

/* syscalls: mmap */
void *reserve(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}
