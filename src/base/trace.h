/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests as they were served, for whoever watches: a ring that the serving
 * threads write and one thread reads. While nobody watches there is none, and
 * a request pays for one look at a flag.
 *
 * A writer takes a place by counting up the ring's head, and marks the record
 * complete with its number; it waits for nobody. A reader that is too slow
 * finds records of later numbers and knows how many it has missed.
 */
#ifndef BASE_TRACE_H
#define BASE_TRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define TRACE_NAME_MAX 88U
#define TRACE_RECORDS 4096U

struct trace_record {
	_Atomic uint64_t number; /* + 1; 0: being written */
	uint64_t unique, nodeid;
	uint64_t offset; /* of a READ or WRITE, and how many bytes */
	uint64_t when; /* it was done: ns since 1970, UTC */
	uint64_t ns; /* how long it took */
	uint32_t size;
	uint32_t bytes_in, bytes_out; /* of request and reply */
	int32_t error; /* errno, or 0 */
	uint32_t uid, pid;
	uint16_t opcode, queue;
	char name[TRACE_NAME_MAX]; /* cut off, if it is longer */
};

struct trace {
	_Atomic uint32_t watchers;
	_Atomic uint64_t head; /* numbers given out */
	uint64_t next; /* the reader's */
	struct trace_record *record; /* TRACE_RECORDS, once somebody has watched */
};

/* Whether a request is to be timed and noted. */
static inline bool trace_wanted(const struct trace *t)
{
	return atomic_load_explicit((_Atomic uint32_t *)&t->watchers,
				    memory_order_acquire) != 0;
}

/* The reading thread: begins, for one more watcher; 0 or -errno. */
int trace_watch(struct trace *t);
void trace_unwatch(struct trace *t);

/* The next place; to be filled in and handed to trace_end(). Any thread that has
 * seen trace_wanted(). */
struct trace_record *trace_begin(struct trace *t, uint64_t *ret_number);
void trace_end(struct trace_record *r, uint64_t number);

/* The reading thread: copies the next record, and adds to *missed how many were
 * lost before it. False if there is none. */
bool trace_next(struct trace *t, struct trace_record *ret, uint64_t *missed);

/* No more writers. */
void trace_destroy(struct trace *t);

#endif
