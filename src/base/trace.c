/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "base/reserve.h"

static size_t ring_size(void)
{
	return TRACE_RECORDS * sizeof(struct trace_record);
}

int trace_watch(struct trace *t)
{
	if (!t->record) {
		void *p = reserve(ring_size());

		if (!p)
			return -ENOMEM;
		t->record = p;
	}
	if (atomic_load(&t->watchers) == 0)
		t->next = atomic_load(&t->head);
	atomic_fetch_add(&t->watchers, 1);
	return 0;
}

/* The ring stays: a thread may be about to write to it. */
void trace_unwatch(struct trace *t)
{
	atomic_fetch_sub(&t->watchers, 1);
}

struct trace_record *trace_begin(struct trace *t, uint64_t *ret_number)
{
	uint64_t number = atomic_fetch_add_explicit(&t->head, 1,
						    memory_order_relaxed);
	struct trace_record *r = &t->record[number % TRACE_RECORDS];

	atomic_store_explicit(&r->number, 0, memory_order_relaxed);
	/* Before what is written into it; pairs with the reader's fence. */
	atomic_thread_fence(memory_order_release);
	*ret_number = number;
	return r;
}

void trace_end(struct trace_record *r, uint64_t number)
{
	atomic_store_explicit(&r->number, number + 1, memory_order_release);
}

/* What other threads may be writing at this moment: the number tells afterwards
 * whether the copy is whole. */
static void __attribute__((no_sanitize("thread")))
copy(struct trace_record *to, const struct trace_record *from)
{
	const volatile char *in = (const volatile char *)from;
	char *out = (char *)to;

	for (size_t i = 0; i < sizeof(*to); i++)
		out[i] = in[i];
}

bool trace_next(struct trace *t, struct trace_record *ret, uint64_t *missed)
{
	uint64_t head = atomic_load_explicit(&t->head, memory_order_acquire);

	if (!t->record)
		return false;
	if (head - t->next > TRACE_RECORDS) {
		*missed += head - t->next - TRACE_RECORDS;
		t->next = head - TRACE_RECORDS;
	}
	while (t->next != head) {
		struct trace_record *r = &t->record[t->next % TRACE_RECORDS];
		uint64_t number = atomic_load_explicit(&r->number,
						       memory_order_acquire);

		/* Its writer has not finished, or a later one has begun. */
		if (number < t->next + 1)
			return false;
		t->next++;
		if (number == t->next) {
			copy(ret, r);
			atomic_thread_fence(memory_order_acquire);
			if (atomic_load_explicit(&r->number,
						 memory_order_relaxed) == number)
				return true;
		}
		++*missed;
	}
	return false;
}

/* syscalls: munmap */
void trace_destroy(struct trace *t)
{
	if (t->record)
		munmap(t->record, ring_size());
	memset(t, 0, sizeof(*t));
}
