/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/iobuf.h"

#include <stdint.h>
#include <string.h>

#include "base/checked.h"
#include "base/guestmem.h"

void iobuf_init(struct iobuf *b, const struct iovec *iov, size_t n)
{
	b->iov = iov;
	b->n = n;
	b->off = 0;
	b->left = 0;
	for (size_t i = 0; i < n; i++)
		b->left += iov[i].iov_len;
}

static void advance(struct iobuf *b, size_t len)
{
	b->off += len;
	b->left -= len;
	while (b->n && b->off == b->iov->iov_len) {
		b->iov++;
		b->n--;
		b->off = 0;
	}
}

bool iobuf_read(struct iobuf *b, void *dst, size_t len)
{
	char *to = dst;

	if (len > b->left)
		return false;
	while (len) {
		size_t now = min_size(len, b->iov->iov_len - b->off);

		guestmem_begin();
		memcpy(to, (const char *)b->iov->iov_base + b->off, now);
		guestmem_end();
		to += now;
		len -= now;
		advance(b, now);
	}
	return true;
}

bool iobuf_write(struct iobuf *b, const void *src, size_t len)
{
	const char *from = src;

	if (len > b->left)
		return false;
	while (len) {
		size_t now = min_size(len, b->iov->iov_len - b->off);

		guestmem_begin();
		memcpy((char *)b->iov->iov_base + b->off, from, now);
		guestmem_end();
		from += now;
		len -= now;
		advance(b, now);
	}
	return true;
}

bool iobuf_skip(struct iobuf *b, size_t len)
{
	if (len > b->left)
		return false;
	while (len) {
		size_t now = min_size(len, b->iov->iov_len - b->off);

		len -= now;
		advance(b, now);
	}
	return true;
}

void iobuf_limit(struct iobuf *b, size_t len)
{
	b->left = min_size(b->left, len);
}

size_t iobuf_window(const struct iobuf *b, size_t len, struct iovec *ret_iov,
		    size_t max, size_t *ret_len)
{
	size_t off = b->off, total = 0, out = 0;

	len = min_size(len, b->left);
	for (size_t i = 0; i < b->n && out < max && total < len; i++) {
		size_t now = min_size(len - total, b->iov[i].iov_len - off);

		ret_iov[out].iov_base = (char *)b->iov[i].iov_base + off;
		ret_iov[out].iov_len = now;
		out++;
		total += now;
		off = 0;
	}
	*ret_len = total;
	return out;
}
