/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Marks accesses to guest memory for ThreadSanitizer.
 *
 * What orders two threads of ours that touch the same guest memory one after
 * the other is the guest: it was told of the first request before it made the
 * second. TSan cannot see that, and what a guest does wrong there is no race of
 * ours: every byte that matters is copied once. Costs nothing in other builds.
 */
#ifndef BASE_GUESTMEM_H
#define BASE_GUESTMEM_H

#ifdef __SANITIZE_THREAD__
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);

static inline void guestmem_begin(void)
{
	AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
	AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}

static inline void guestmem_end(void)
{
	AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
	AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
}
#else
static inline void guestmem_begin(void)
{
}

static inline void guestmem_end(void)
{
}
#endif

#endif
