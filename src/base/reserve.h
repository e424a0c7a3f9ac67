/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that is reserved at the start for as much as may ever be needed, and costs
 * something only where it was touched: tables that grow without a request having to
 * wait for, or fail from, an allocation.
 */
#ifndef BASE_RESERVE_H
#define BASE_RESERVE_H

#include <stddef.h>

/* @size bytes of zeroes, private to this process; NULL if they are not to be had.
 * munmap(2) gives them back, madvise(MADV_DONTNEED) makes them zeroes again. */
void *reserve(size_t size);

#endif
