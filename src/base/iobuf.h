/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A bounded cursor over pieces of guest memory (an iovec array).
 *
 * Bytes are copied out or in through it and it cannot pass its end. What it
 * has passed is never read again: each byte that a decision rests on is copied
 * once, and the guest may rewrite the original as it likes.
 */
#ifndef BASE_IOBUF_H
#define BASE_IOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

struct iobuf {
	const struct iovec *iov; /* the piece the cursor is in */
	size_t n; /* pieces left, that one included */
	size_t off; /* bytes of it already passed */
	size_t left; /* bytes left in all */
};

void iobuf_init(struct iobuf *b, const struct iovec *iov, size_t n);

/* Copy @len bytes out of (into) the pieces and pass them. False, and nothing
 * is passed, if fewer are left. */
bool iobuf_read(struct iobuf *b, void *dst, size_t len);
bool iobuf_write(struct iobuf *b, const void *src, size_t len);

/* Pass @len bytes without looking. False if fewer are left. */
bool iobuf_skip(struct iobuf *b, size_t len);

/* Forget all but the next @len bytes. */
void iobuf_limit(struct iobuf *b, size_t len);

/*
 * The next bytes as an iovec array for preadv(2) or pwritev(2): at most @max
 * entries of @ret_iov and @len bytes. Returns the number of entries and stores
 * the bytes they cover. The cursor does not move.
 */
size_t iobuf_window(const struct iobuf *b, size_t len, struct iovec *ret_iov,
		    size_t max, size_t *ret_len);

#endif
