/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/tally.h"

void tally_begin(struct tally *t, uint64_t order, uint32_t n)
{
	if (!t || t->order == order)
		return;
	/* Right before it is this request's. */
	atomic_store_explicit(&t->n, n, memory_order_release);
	__atomic_store_n(&t->order, order, __ATOMIC_RELEASE);
}

bool tally_note(struct tally *t, uint64_t nodeid)
{
	uint32_t n = tally_count(t);

	if (!t || n == TALLY_NODES_MAX)
		return false;
	t->node[n] = nodeid;
	return true;
}
