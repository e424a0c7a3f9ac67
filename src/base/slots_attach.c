/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Takes a table over from a worker that died.
 *
 * The commit word of a record is stored last when it is made and first when it
 * goes, so it alone says what the rest is worth. Only memory that was written to
 * is looked at: the table is far larger than what is in use of it.
 */
#include "base/slots.h"

#define STATE_BITS 2U
#define STATE_MASK 3U

/* LIVE, of a generation that was given out. */
static bool is_live(const struct slots *s, const struct slot_head *head)
{
	uint64_t commit = atomic_load(&head->commit);

	return (commit & STATE_MASK) == SLOT_LIVE &&
	       arena_generation_is_old(s->arena, commit >> STATE_BITS);
}

/* The table's used part ends, for each shard, with the last record that was ever
 * written. */
static void look_at(struct slots *s, uint32_t index,
		    bool (*keep)(void *ctx, void *record))
{
	struct slots_shard *sh = &s->shard[index % SLOTS_SHARDS];
	struct slot_head *head = slots_at(s, index);

	if (atomic_load(&head->commit) == 0)
		return;
	atomic_store(&sh->used, index / SLOTS_SHARDS + 1);
	if (is_live(s, head) && keep(s->ctx, head))
		sh->live++;
	else
		atomic_store(&head->commit, SLOT_FREE);
}

/* Lowest index first, so that a table that has emptied stays dense. */
static void list_free(struct slots *s, uint32_t shard)
{
	struct slots_shard *sh = &s->shard[shard];

	for (uint32_t i = sh->used; i-- > 0;) {
		uint32_t index = i * SLOTS_SHARDS + shard;
		struct slot_head *head = slots_at(s, index);

		if ((atomic_load(&head->commit) & STATE_MASK) != SLOT_FREE)
			continue;
		s->private[index].next = sh->free;
		sh->free = index;
	}
}

void slots_attach(struct slots *s, bool (*keep)(void *ctx, void *record))
{
	size_t start, end, at = 0;
	uint32_t index = 0;

	while (arena_section_data(s->arena, s->section, at, &start, &end)) {
		if (start / s->stride > index)
			index = (uint32_t)(start / s->stride);
		for (; index < s->max && index * s->stride < end; index++)
			look_at(s, index, keep);
		at = end;
	}
	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		list_free(s, i);
}

void *slots_next(struct slots *s, const void *prev)
{
	uint32_t index = prev ? slots_index(s, prev) + 1 : 0, most = 0;

	for (uint32_t i = 0; i < SLOTS_SHARDS; i++)
		if (s->shard[i].used > most)
			most = s->shard[i].used;
	for (; index < most * SLOTS_SHARDS && index < s->max; index++) {
		struct slot_head *head = slots_at(s, index);

		if (index / SLOTS_SHARDS <
			    s->shard[index % SLOTS_SHARDS].used &&
		    (atomic_load(&head->commit) & STATE_MASK) == SLOT_LIVE)
			return head;
	}
	return NULL;
}
