/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>

#include "layout.h"

const struct layout layout_linux = { .name = "linux", .gap = 4096, .data_cut = 4096 };

const struct layout layouts[] = {
	{ .name = "linux", .gap = 4096, .data_cut = 4096 },
	{ .name = "one descriptor a direction", .join = true },
	{ .name = "header and data share the first page", .join = true, .gap = 4096,
	  .data_cut = 4096 },
	{ .name = "headers in one-byte descriptors", .gap = 1, .head_cut = 1, .data_cut = 65536 },
	{ .name = "headers in three-byte descriptors, adjacent", .head_cut = 3,
	  .data_cut = 4096 },
	{ .name = "odd sizes", .gap = 7, .head_cut = 11, .first_cut = 13, .data_cut = 5003 },
	{ .name = "backwards in memory", .reversed = true, .head_cut = 8, .data_cut = 4096 },
	{ .name = "two memory regions in turn", .alternate = true, .head_cut = 16,
	  .data_cut = 4096 },
	{ .name = "direct, whole parts", .direct = true },
	{ .name = "direct, header and data joined, odd cuts", .direct = true, .join = true,
	  .gap = 3, .first_cut = 21, .data_cut = 8191 },
};
const unsigned int nlayouts = sizeof(layouts) / sizeof(layouts[0]);

static int place(struct layout_plan *p, uint32_t len)
{
	const struct layout *l = p->how;
	struct layout_area *a = &p->area[l->alternate ? p->turn++ % 2 : 0];
	uint64_t need = (uint64_t)len + l->gap;

	if (p->n == p->max || need > a->hi - a->lo)
		return -ENOSPC;
	if (l->reversed) {
		a->hi -= need;
		p->piece[p->n++] = (struct ring_piece){ a->gpa + a->hi, len };
	} else {
		p->piece[p->n++] = (struct ring_piece){ a->gpa + a->lo, len };
		a->lo += need;
	}
	return 0;
}

static int cut(struct layout_plan *p, size_t len, uint32_t first, uint32_t size)
{
	uint32_t next = first ? first : size;

	while (len) {
		uint32_t n = next && next < len ? next : len;
		int r = place(p, n);

		if (r < 0)
			return r;
		len -= n;
		next = size;
	}
	return 0;
}

int layout_stream(struct layout_plan *p, size_t header, size_t args, size_t data)
{
	const struct layout *l = p->how;
	int r;

	if (l->join)
		return cut(p, header + args + data, l->first_cut, l->data_cut);
	r = cut(p, header, 0, l->head_cut);
	if (r == 0)
		r = cut(p, args, 0, l->head_cut);
	return r < 0 ? r : cut(p, data, l->first_cut, l->data_cut);
}
