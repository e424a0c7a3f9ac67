/* SPDX-License-Identifier: BSD-3-Clause */
/* base/iobuf: a cursor that cannot pass its end, over pieces of any size. */
#include "base/iobuf.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"
#include "unit.h"

#define BYTES 600U
#define PIECES 64U

static char memory[BYTES];
static struct iovec iov[PIECES];
static size_t n_iov;

/* Pieces of random sizes, empty ones among them. Returns their sum. */
static size_t cut(uint32_t *seed)
{
	size_t at = 0;

	n_iov = unit_random(seed) % PIECES;
	for (size_t i = 0; i < n_iov; i++) {
		size_t len = unit_random(seed) % 16;

		if (len > BYTES - at)
			len = BYTES - at;
		/* Memory of their own, so that ASan sees a byte too much. */
		iov[i].iov_base = malloc(len ? len : 1);
		iov[i].iov_len = len;
		memcpy(iov[i].iov_base, memory + at, len);
		at += len;
	}
	return at;
}

static void uncut(void)
{
	for (size_t i = 0; i < n_iov; i++)
		free(iov[i].iov_base);
}

/* What the pieces hold now, one after the other. */
static void gather(char *to)
{
	for (size_t i = 0; i < n_iov; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
}

static void setup(void)
{
	uint32_t seed = 1;

	for (size_t i = 0; i < BYTES; i++)
		memory[i] = (char)unit_random(&seed);
}

START_TEST(reads_what_is_there)
{
	uint32_t seed = 2;

	for (int round = 0; round < 2000; round++) {
		size_t total = cut(&seed), at = 0;
		struct iobuf b;

		iobuf_init(&b, iov, n_iov);
		must(b.left == total);
		while (at < total) {
			size_t len = unit_random(&seed) % 40;
			char to[40];
			bool fits = len <= total - at;

			must(iobuf_read(&b, to, len) == fits);
			must(!fits || memcmp(to, memory + at, len) == 0);
			at += fits ? len : 0;
			must(b.left == total - at);
		}
		must(!iobuf_read(&b, &(char){ 0 }, 1));
		must(iobuf_read(&b, NULL, 0));
		uncut();
	}
}
END_TEST

START_TEST(writes_no_more_than_there_is)
{
	uint32_t seed = 3;

	for (int round = 0; round < 2000; round++) {
		size_t total = cut(&seed), at = 0;
		char want[BYTES], got[BYTES], from[40];
		struct iobuf b;

		memcpy(want, memory, total);
		iobuf_init(&b, iov, n_iov);
		for (int i = 0; i < 30; i++) {
			size_t len = unit_random(&seed) % 40;
			bool fits = len <= total - at;

			memset(from, i, sizeof(from));
			must(iobuf_write(&b, from, len) == fits);
			if (fits) {
				memset(want + at, i, len);
				at += len;
			}
		}
		gather(got);
		must(memcmp(want, got, total) == 0);
		uncut();
	}
}
END_TEST

START_TEST(skip_and_limit)
{
	uint32_t seed = 4;

	for (int round = 0; round < 2000; round++) {
		size_t total = cut(&seed), pass, keep;
		struct iobuf b;
		char to[BYTES];

		iobuf_init(&b, iov, n_iov);
		must(!iobuf_skip(&b, total + 1));
		must(!iobuf_skip(&b, SIZE_MAX));
		pass = total ? unit_random(&seed) % total : 0;
		must(iobuf_skip(&b, pass));
		must(b.left == total - pass);
		keep = unit_random(&seed) % (BYTES * 2);
		iobuf_limit(&b, keep);
		keep = keep < total - pass ? keep : total - pass;
		must(b.left == keep);
		must(!iobuf_read(&b, to, keep + 1));
		must(iobuf_read(&b, to, keep));
		must(memcmp(to, memory + pass, keep) == 0);
		must(b.left == 0);
		/* A limit never gives back what it took. */
		iobuf_limit(&b, SIZE_MAX);
		must(b.left == 0);
		uncut();
	}
}
END_TEST

static void check_window(const struct iobuf *b, size_t pass, size_t len,
			 size_t max)
{
	struct iovec w[PIECES];
	size_t covered = SIZE_MAX, at = pass;
	size_t n = iobuf_window(b, len, w, max, &covered);

	must(n <= max && covered <= len && covered <= b->left);
	for (size_t i = 0; i < n; i++) {
		must(memcmp(w[i].iov_base, memory + at, w[i].iov_len) == 0);
		at += w[i].iov_len;
	}
	must(at - pass == covered);
	/* Less than asked only because of one of the two limits. */
	must(covered == len || covered == b->left || n == max);
}

START_TEST(window_shows_what_comes)
{
	uint32_t seed = 5;

	for (int round = 0; round < 2000; round++) {
		size_t total = cut(&seed), pass;
		struct iobuf b, before;

		iobuf_init(&b, iov, n_iov);
		pass = total ? unit_random(&seed) % total : 0;
		iobuf_skip(&b, pass);
		before = b;
		check_window(&b, pass, unit_random(&seed) % BYTES, PIECES);
		check_window(&b, pass, SIZE_MAX, 1 + unit_random(&seed) % 8);
		check_window(&b, pass, 0, PIECES);
		must(memcmp(&b, &before, sizeof(b)) == 0);
		uncut();
	}
}
END_TEST

START_TEST(no_pieces_at_all)
{
	struct iovec empty[2] = { { NULL, 0 }, { NULL, 0 } };
	struct iobuf b;
	char byte;

	iobuf_init(&b, NULL, 0);
	ck_assert(!iobuf_read(&b, &byte, 1));
	ck_assert(!iobuf_write(&b, &byte, 1));
	ck_assert(!iobuf_skip(&b, 1));
	ck_assert(iobuf_skip(&b, 0));
	iobuf_init(&b, empty, 2);
	ck_assert_uint_eq(b.left, 0);
	ck_assert(!iobuf_read(&b, &byte, 1));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("iobuf");
	TCase *tc = unit_tcase(s, "cursor", 10);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, reads_what_is_there);
	tcase_add_test(tc, writes_no_more_than_there_is);
	tcase_add_test(tc, skip_and_limit);
	tcase_add_test(tc, window_shows_what_comes);
	tcase_add_test(tc, no_pieces_at_all);
	return unit_run(s);
}
