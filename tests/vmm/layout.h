/* SPDX-License-Identifier: BSD-3-Clause */
#ifndef VMM_LAYOUT_H
#define VMM_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ring.h"

/*
 * How a request's bytes are cut into descriptors and where those lie in guest memory.
 *
 * Each direction of a request is a stream of three parts: header, arguments, data. Usually each
 * part has descriptors of its own; with `join` the stream is cut without regard to its parts.
 */
struct layout {
	const char *name;
	bool direct;		/* descriptors in the ring, no indirect table */
	bool join;		/* parts share descriptors (cut by first_cut and data_cut) */
	bool reversed;		/* later pieces lie lower in memory */
	bool alternate;		/* pieces go to the call's two areas in turn */
	uint32_t gap;		/* bytes left free between two pieces in memory */
	uint32_t head_cut;	/* size of the pieces of header and arguments; 0: one each */
	uint32_t first_cut;	/* size of the first piece of data; 0: data_cut */
	uint32_t data_cut;	/* size of the other pieces of data; 0: one piece */
};

/* Like the Linux driver: header, arguments, each page on its own, not adjacent; indirect. */
extern const struct layout layout_linux;
/* All of it in a table of layouts that differ in kind, for tests that go through them. */
extern const struct layout layouts[];
extern const unsigned int nlayouts;

/* A stretch of guest memory that pieces are placed in. */
struct layout_area {
	uint64_t gpa;
	uint64_t size;
	uint64_t lo, hi;	/* the free part */
};

/* The pieces of one direction of one request. */
struct layout_plan {
	const struct layout *how;
	struct ring_piece *piece;
	unsigned int n, max;
	struct layout_area *area;	/* two, both used only by `alternate` */
	unsigned int turn;
};

/* layout_stream() - cut one direction's parts and place the pieces; -ENOSPC */
int layout_stream(struct layout_plan *p, size_t header, size_t args, size_t data);

#endif
