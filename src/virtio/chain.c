/* SPDX-License-Identifier: BSD-3-Clause */
#include "virtio/chain.h"

#include <stdbool.h>
#include <string.h>

#include "base/checked.h"
#include "base/guestmem.h"

/* A descriptor in the machine's byte order. */
struct desc {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next;
};

/* The ring's own table, or an indirect one. */
struct table {
	const struct vring_desc *at; /* NULL: not contiguous here, use gpa */
	uint64_t gpa;
	uint32_t n;
};

struct walk {
	struct chain *c;
	const struct memmap *map;
	uint64_t bytes; /* of the present direction */
	bool writing;
};

/* The only read of shared memory in this file. */
static void desc_load(struct desc *d, const struct vring_desc *from)
{
	struct vring_desc copy;

	guestmem_begin();
	memcpy(&copy, (const void *)from, sizeof(copy));
	guestmem_end();
	/* The compiler must not look at the original again. */
	__asm__ volatile("" : "+m"(copy));
	d->addr = le64toh(copy.addr);
	d->len = le32toh(copy.len);
	d->flags = le16toh(copy.flags);
	d->next = le16toh(copy.next);
}

/* An indirect table may itself lie across regions. */
static bool desc_gather(struct vring_desc *to, const struct memmap *map,
			uint64_t gpa)
{
	size_t done = 0, now;

	while (done < sizeof(*to)) {
		const void *p = memmap_gpa(map, gpa + done,
					   sizeof(*to) - done, &now);

		if (!p)
			return false;
		guestmem_begin();
		memcpy((char *)to + done, p, now);
		guestmem_end();
		done += now;
	}
	return true;
}

static bool desc_get(const struct walk *w, const struct table *t, uint32_t i,
		     struct desc *ret)
{
	struct vring_desc copy;

	if (t->at) {
		desc_load(ret, &t->at[i]);
		return true;
	}
	if (!desc_gather(&copy, w->map, t->gpa + (uint64_t)i * sizeof(copy)))
		return false;
	desc_load(ret, &copy);
	return true;
}

/* Appends the memory of one descriptor, merged with what it continues. */
static const char *add_piece(struct walk *w, uint64_t gpa, uint32_t len)
{
	struct chain *c = w->c;
	size_t *n = w->writing ? &c->n_write : &c->n_read;

	w->bytes += len;
	if (w->bytes > CHAIN_BYTES_MAX)
		return "is longer than 256 MiB";
	while (len) {
		struct iovec *next = &c->iov[c->n_read + c->n_write];
		size_t now;
		char *p = memmap_gpa(w->map, gpa, len, &now);

		if (!p)
			return "points outside the guest's memory";
		if (*n && (char *)next[-1].iov_base + next[-1].iov_len == p) {
			next[-1].iov_len += now;
		} else {
			if (c->n_read + c->n_write == CHAIN_IOV_MAX)
				return "has too many pieces";
			next->iov_base = p;
			next->iov_len = now;
			(*n)++;
		}
		gpa += now;
		len -= (uint32_t)now;
	}
	return NULL;
}

static const char *add_desc(struct walk *w, const struct desc *d)
{
	bool writing = d->flags & VRING_DESC_F_WRITE;

	if (d->len == 0)
		return "has a descriptor of length 0";
	if (writing != w->writing) {
		if (w->writing)
			return "has a readable descriptor after a writable one";
		w->writing = true;
		w->bytes = 0;
	}
	return add_piece(w, d->addr, d->len);
}

static const char *enter_indirect(const struct walk *w, const struct desc *d,
				  struct table *ret)
{
	size_t contiguous;

	if (d->flags & VRING_DESC_F_NEXT)
		return "goes on after an indirect table";
	if (d->len == 0 || d->len % sizeof(struct vring_desc))
		return "has an indirect table of odd length";
	if (d->len / sizeof(struct vring_desc) > CHAIN_DESC_MAX)
		return "has too large an indirect table";
	ret->n = d->len / sizeof(struct vring_desc);
	ret->gpa = d->addr;
	ret->at = memmap_gpa(w->map, d->addr, d->len, &contiguous);
	if (!ret->at)
		return "has an indirect table outside the guest's memory";
	if (contiguous < d->len)
		ret->at = NULL;
	return NULL;
}

const char *chain_walk(struct chain *c, const struct memmap *map,
		       const struct vring_desc *ring, uint16_t num,
		       uint16_t head)
{
	struct table t = { .at = ring, .n = num };
	struct walk w = { .c = c, .map = map };
	bool indirect = false;
	uint32_t i = head, seen = 0;
	const char *wrong;
	struct desc d;

	c->n_read = 0;
	c->n_write = 0;
	for (;;) {
		if (i >= t.n)
			return "has an index outside its table";
		if (++seen > t.n)
			return "is a loop";
		if (!desc_get(&w, &t, i, &d))
			return "has an indirect table outside the guest's memory";
		if (d.flags & VRING_DESC_F_INDIRECT) {
			if (indirect)
				return "has an indirect table in an indirect one";
			wrong = enter_indirect(&w, &d, &t);
			if (wrong)
				return wrong;
			indirect = true;
			i = 0;
			seen = 0;
			continue;
		}
		wrong = add_desc(&w, &d);
		if (wrong)
			return wrong;
		if (!(d.flags & VRING_DESC_F_NEXT))
			return NULL;
		i = d.next;
	}
}
