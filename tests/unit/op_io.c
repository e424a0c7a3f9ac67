/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE through fuse_serve().
 *
 * The data calls of the library are wrapped by the linker: each goes through to
 * the C library, and is written down.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/fd.h"
#include "client.h"

#define ROOT FUSE_ROOT_ID
#define MIB (1024U * 1024U)
#define PIECES_MAX 8192U

static struct client c;

static void setup(void)
{
	client_start(&c, CACHE_AUTO);
}

static void teardown(void)
{
	client_stop(&c);
}

struct data_call {
	uint64_t off;
	size_t asked;
	ssize_t done;
	int n;
};
static struct data_call calls[PIECES_MAX];
static unsigned int n_calls;

static void note(const struct iovec *iov, int n, off_t off, ssize_t done)
{
	struct data_call *call = &calls[n_calls++ % PIECES_MAX];

	*call = (struct data_call){ (uint64_t)off, 0, done, n };
	for (int i = 0; i < n; i++)
		call->asked += iov[i].iov_len;
}

/* One wrapper a name that the function may have (large-file variants). */
#define WRAP(type, name)                                                       \
	ssize_t __real_##name(int fd, type iov, int n, off_t off);             \
	ssize_t __wrap_##name(int fd, type iov, int n, off_t off);             \
	ssize_t __wrap_##name(int fd, type iov, int n, off_t off)              \
	{                                                                      \
		ssize_t r = __real_##name(fd, iov, n, off);                    \
		note(iov, n, off, r);                                          \
		return r;                                                      \
	}
WRAP(const struct iovec *, preadv)
WRAP(const struct iovec *, preadv64)
WRAP(const struct iovec *, pwritev)
WRAP(const struct iovec *, pwritev64)

#define WRAP2(name)                                                            \
	ssize_t __real_##name(int fd, const struct iovec *iov, int n,          \
			      off_t off, int flags);                           \
	ssize_t __wrap_##name(int fd, const struct iovec *iov, int n,          \
			      off_t off, int flags);                           \
	ssize_t __wrap_##name(int fd, const struct iovec *iov, int n,          \
			      off_t off, int flags)                            \
	{                                                                      \
		ssize_t r = __real_##name(fd, iov, n, off, flags);             \
		note(iov, n, off, r);                                          \
		return r;                                                      \
	}
WRAP2(pwritev2)
WRAP2(pwritev64v2)

static uint64_t create(const char *name)
{
	uint64_t id, fh;

	ck_ok(client_create(&c, ROOT, name, O_RDWR | O_TRUNC, 0644, &id, &fh));
	return fh;
}

/* A WRITE or READ whose data lies in pieces. */
struct io {
	char *data;
	size_t len, piece, n;
	struct iovec iov[PIECES_MAX + 1]; /* the first is for the header */
};

static void io_init(struct io *io, size_t len, size_t piece)
{
	io->data = malloc(len + piece);
	io->len = len;
	io->piece = piece;
	io->n = 1;
	for (size_t at = 0; at < len; at += piece, io->n++) {
		must(io->n < ARRAY_SIZE(io->iov));
		io->iov[io->n].iov_base = io->data + at;
		io->iov[io->n].iov_len = len - at < piece ? len - at : piece;
	}
}

static int do_write(struct io *io, uint64_t fh, uint64_t off)
{
	struct {
		struct fuse_in_header h;
		struct fuse_write_in w;
	} in = { { .len = (uint32_t)(sizeof(in) + io->len),
		   .opcode = FUSE_WRITE },
		 { .fh = fh, .offset = off, .size = (uint32_t)io->len } };
	struct {
		struct fuse_out_header h;
		struct fuse_write_out w;
	} out = { 0 };
	struct iovec reply = { &out, sizeof(out) };

	io->iov[0] = (struct iovec){ &in, sizeof(in) };
	n_calls = 0;
	client_serve(&c, io->iov, io->n, &reply, 1);
	return out.h.error ? out.h.error : (int)out.w.size;
}

static int do_read(struct io *io, uint64_t fh, uint64_t off)
{
	struct {
		struct fuse_in_header h;
		struct fuse_read_in r;
	} in = { { .len = sizeof(in), .opcode = FUSE_READ },
		 { .fh = fh, .offset = off, .size = (uint32_t)io->len } };
	struct iovec request = { &in, sizeof(in) };
	struct fuse_out_header out = { 0 };
	int r;

	io->iov[0] = (struct iovec){ &out, sizeof(out) };
	n_calls = 0;
	r = client_serve(&c, &request, 1, io->iov, io->n);
	ck_assert_int_eq(r, (int)out.len);
	if (out.error)
		ck_assert_uint_eq(out.len, sizeof(out));
	return out.error ? out.error : r - (int)sizeof(out);
}

/* No call takes more than IOV_MAX pieces; together they cover all, in order;
 * each but the last ends at a page of the file if there was one on its way. */
static void check_calls(size_t len, uint64_t off, size_t piece)
{
	uint64_t at = off;

	for (unsigned int i = 0; i < n_calls; i++) {
		uint64_t end = calls[i].off + calls[i].asked;

		must(calls[i].off == at);
		must(calls[i].done == (ssize_t)calls[i].asked);
		must(calls[i].n <= IOV_MAX);
		at += calls[i].asked;
		if (i + 1 < n_calls)
			ck_assert_msg(end % 4096 == 0 ||
					      end / 4096 == calls[i].off / 4096,
				      "call %u of %u: %lu to %lu", i, n_calls,
				      (unsigned long)calls[i].off,
				      (unsigned long)end);
	}
	must(at == off + len);
	/* A cut costs less than a page of what a call could take. */
	must(n_calls <= len / (IOV_MAX * piece) * 2 +
					   len / 4096 + 2);
}

static void check_pieces(size_t len, size_t piece, uint64_t off)
{
	uint64_t fh = create("pieces");
	char *copy = malloc(len);
	static struct io io;
	uint32_t seed = (uint32_t)(len + piece + off);

	io_init(&io, len, piece);
	for (size_t i = 0; i < len; i++)
		io.data[i] = copy[i] = (char)unit_random(&seed);
	ck_assert_int_eq(do_write(&io, fh, off), (int)len);
	check_calls(len, off, piece);
	memset(io.data, 0, len);
	ck_assert_int_eq(do_read(&io, fh, off), (int)len);
	check_calls(len, off, piece);
	ck_assert_int_eq(memcmp(io.data, copy, len), 0);
	free(io.data);
	free(copy);
	ck_ok(client_release(&c, fh));
}

START_TEST(any_pieces_at_any_offset)
{
	static const size_t pieces[] = { 1, 3, 5, 7, 100, 4095, 4096, 4097 };
	static const uint64_t offs[] = { 0, 1, 100, 3072, 4095, 4096, 1ULL << 33 };
	size_t piece = pieces[_i];

	for (size_t o = 0; o < ARRAY_SIZE(offs); o++) {
		size_t most = piece * 5000 < MIB ? piece * 5000 : MIB;

		check_pieces(most, piece, offs[o]);
		check_pieces(most / 2 + 1, piece, offs[o]);
		check_pieces(piece, piece, offs[o]);
	}
}
END_TEST

/* What an ordinary guest sends: a descriptor a page. */
START_TEST(a_megabyte_is_one_call)
{
	uint64_t fh = create("one");
	static struct io io;

	io_init(&io, MIB - 4096, 4096);
	memset(io.data, 'x', io.len);
	ck_assert_int_eq(do_write(&io, fh, 8192), (int)io.len);
	ck_assert_uint_eq(n_calls, 1);
	ck_assert_int_eq(do_read(&io, fh, 8192), (int)io.len);
	ck_assert_uint_eq(n_calls, 1);
	free(io.data);
}
END_TEST

START_TEST(read_ends_with_the_file)
{
	uint64_t fh = create("short");
	char buf[64];

	ck_assert_int_eq(client_write(&c, fh, 0, "0123456789", 10), 10);
	ck_assert_int_eq(client_read(&c, fh, 0, 64, buf), 10);
	ck_assert_int_eq(client_read(&c, fh, 7, 64, buf), 3);
	ck_assert_int_eq(memcmp(buf, "789", 3), 0);
	ck_assert_int_eq(client_read(&c, fh, 10, 64, buf), 0);
	ck_assert_int_eq(client_read(&c, fh, 1ULL << 40, 64, buf), 0);
	ck_assert_int_eq(client_read(&c, fh, 0, 0, buf), 0);
	ck_assert_int_eq(client_read(&c, fh, 0, 4, buf), 4);
}
END_TEST

START_TEST(read_is_no_longer_than_asked)
{
	uint64_t fh = create("long");
	char buf[64];

	ck_assert_int_eq(client_write(&c, fh, 0, "0123456789", 10), 10);
	for (uint32_t size = 0; size <= 10; size++)
		ck_assert_int_eq(client_read(&c, fh, 0, size, buf), (int)size);
}
END_TEST

START_TEST(offsets_out_of_range)
{
	uint64_t fh = create("range");
	static const uint64_t bad[] = { UINT64_MAX, UINT64_MAX - 3, 1ULL << 63,
					INT64_MAX, INT64_MAX - 3 };
	struct stat st;
	char buf[8], path[128];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert_int_lt(client_read(&c, fh, bad[i], 8, buf), 0);
		ck_assert_int_eq(client_write(&c, fh, bad[i], buf, 8), -EFBIG);
	}
	snprintf(path, sizeof(path), "%s/range", unit_dir);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
}
END_TEST

static int write_lying(uint64_t fh, uint32_t size, size_t data)
{
	struct fuse_write_in in = { .fh = fh, .size = size };
	struct call k;

	call_begin(&k, FUSE_WRITE, ROOT);
	call_put(&k, &in, sizeof(in));
	call_put(&k, "aaaaaaaaaaaaaaaa", data);
	return call_serve(&c, &k);
}

START_TEST(write_size_must_be_the_data)
{
	uint64_t fh = create("lies");
	char byte;

	ck_assert_int_eq(write_lying(fh, 16, 15), -EIO);
	ck_assert_int_eq(write_lying(fh, 15, 16), -EIO);
	ck_assert_int_eq(write_lying(fh, UINT32_MAX, 16), -EIO);
	ck_assert_int_eq(write_lying(fh, 0, 1), -EIO);
	ck_assert_int_eq(client_read(&c, fh, 0, 1, &byte), 0);
	ck_ok(write_lying(fh, 0, 0));
}
END_TEST

static int write_flagged(uint64_t fh, uint64_t off, uint32_t open_flags,
			 uint32_t write_flags)
{
	struct fuse_write_in in = { .fh = fh, .offset = off, .size = 2,
				    .flags = open_flags,
				    .write_flags = write_flags };
	struct call k;

	call_begin(&k, FUSE_WRITE, ROOT);
	call_put(&k, &in, sizeof(in));
	call_put(&k, "ab", 2);
	return call_serve(&c, &k);
}

START_TEST(append_goes_to_the_end_of_today)
{
	uint64_t fh = create("append");
	char buf[16];

	ck_assert_int_eq(client_write(&c, fh, 0, "0123456789", 10), 10);
	ck_ok(write_flagged(fh, 0, O_WRONLY | O_APPEND, 0));
	ck_assert_int_eq(client_read(&c, fh, 0, 16, buf), 12);
	ck_assert_int_eq(memcmp(buf, "0123456789ab", 12), 0);
	/* What the guest's cache writes back belongs where it says. */
	ck_ok(write_flagged(fh, 2, O_WRONLY | O_APPEND, FUSE_WRITE_CACHE));
	ck_assert_int_eq(client_read(&c, fh, 0, 16, buf), 12);
	ck_assert_int_eq(memcmp(buf, "01ab456789ab", 12), 0);
}
END_TEST

static mode_t mode_of(const char *name)
{
	struct stat st;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", unit_dir, name);
	ck_assert_int_eq(stat(path, &st), 0);
	return st.st_mode & 07777;
}

START_TEST(set_id_bits_fall_when_asked)
{
	uint64_t fh = create("suid");
	char path[128];

	if (geteuid() != 0)
		return; /* without CAP_FSETID they fall at any write */
	snprintf(path, sizeof(path), "%s/suid", unit_dir);
	ck_assert_int_eq(chmod(path, 06755), 0);
	ck_ok(write_flagged(fh, 0, O_WRONLY, 0));
	ck_assert_uint_eq(mode_of("suid"), 06755);
	ck_ok(write_flagged(fh, 0, O_WRONLY, FUSE_WRITE_KILL_SUIDGID));
	ck_assert_uint_eq(mode_of("suid"), 0755);
	/* And the thread has its capability back. */
	ck_assert_int_eq(chmod(path, 06755), 0);
	ck_ok(write_flagged(fh, 0, O_WRONLY, 0));
	ck_assert_uint_eq(mode_of("suid"), 06755);
}
END_TEST

/* What is on the host when a write fails is a write of that length. */
START_TEST(write_that_fails_after_a_part)
{
	struct rlimit rl = { 2048, RLIM_INFINITY };
	uint64_t fh = create("limit");
	static struct io io;

	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &rl), 0);
	io_init(&io, 5000, 1);
	memset(io.data, 'x', io.len);
	ck_assert_int_eq(do_write(&io, fh, 0), 2048);
	ck_assert_int_eq(do_write(&io, fh, 2048), -EFBIG);
	free(io.data);
}
END_TEST

/* Guest memory that has gone: an error, not a short file. */
START_TEST(read_into_lost_memory)
{
	uint64_t fh = create("lost");
	static struct io io;
	char *gone;

	io_init(&io, 8192, 4096);
	memset(io.data, 'x', io.len);
	ck_assert_int_eq(do_write(&io, fh, 0), 8192);
	gone = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	io.iov[2].iov_base = gone;
	ck_assert_int_eq(do_read(&io, fh, 0), -EFAULT);
	io.iov[1].iov_base = gone;
	ck_assert_int_eq(do_read(&io, fh, 0), -EFAULT);
	ck_assert_int_eq(do_write(&io, fh, 0), -EFAULT);
	free(io.data);
}
END_TEST

START_TEST(handles_have_the_rights_they_were_opened_with)
{
	uint64_t id, r, w;
	char byte;

	unit_write_file("rw", "x", 1);
	ck_ok(client_lookup(&c, ROOT, "rw", &id));
	ck_ok(client_open(&c, id, O_RDONLY, &r));
	ck_ok(client_open(&c, id, O_WRONLY, &w));
	ck_assert_int_eq(client_write(&c, r, 0, "y", 1), -EBADF);
	ck_assert_int_eq(client_read(&c, w, 0, 1, &byte), -EBADF);
	ck_assert_int_eq(client_write(&c, w, 0, "y", 1), 1);
	ck_assert_int_eq(client_read(&c, r, 0, 1, &byte), 1);
	ck_assert_int_eq(byte, 'y');
}
END_TEST

static int do_fallocate(uint64_t fh, uint64_t off, uint64_t len, uint32_t mode)
{
	struct fuse_fallocate_in in = { fh, off, len, mode, 0 };
	struct call k;

	call_begin(&k, FUSE_FALLOCATE, ROOT);
	call_put(&k, &in, sizeof(in));
	return call_serve(&c, &k);
}

START_TEST(fallocate_of_the_guest)
{
	uint64_t fh = create("falloc");

	ck_ok(do_fallocate(fh, 0, 100000, 0));
	ck_assert_int_eq(do_fallocate(fh, 0, 0, 0), -EINVAL);
	ck_assert_int_eq(do_fallocate(fh, UINT64_MAX, 1, 0), -EINVAL);
	ck_assert_int_eq(do_fallocate(fh, 0, UINT64_MAX, 0), -EINVAL);
	ck_assert_int_eq(do_fallocate(fh, INT64_MAX, INT64_MAX, 0), -EFBIG);
	ck_assert_int_lt(do_fallocate(fh, 0, 1, UINT32_MAX), 0);
	ck_assert_int_eq(do_fallocate(fh + 1, 0, 1, 0), -EBADF);
}
END_TEST

static int do_lseek(uint64_t fh, uint64_t off, uint32_t whence, uint64_t *ret)
{
	struct fuse_lseek_in in = { fh, off, whence, 0 };
	const struct fuse_lseek_out *out;
	struct call k;
	int r;

	call_begin(&k, FUSE_LSEEK, ROOT);
	call_put(&k, &in, sizeof(in));
	r = call_serve(&c, &k);
	out = call_body(&k);
	if (r == 0)
		*ret = out->offset;
	return r;
}

START_TEST(lseek_of_the_guest)
{
	uint64_t fh = create("seek"), at;
	char byte;

	ck_assert_int_eq(client_write(&c, fh, MIB, "x", 1), 1);
	ck_ok(do_lseek(fh, 0, SEEK_DATA, &at));
	ck_assert_uint_le(at, MIB);
	ck_ok(do_lseek(fh, MIB, SEEK_HOLE, &at));
	ck_assert_uint_eq(at, MIB + 1);
	ck_assert_int_eq(do_lseek(fh, MIB + 1, SEEK_DATA, &at), -ENXIO);
	ck_assert_int_eq(do_lseek(fh, UINT64_MAX, SEEK_DATA, &at), -ENXIO);
	ck_assert_int_eq(do_lseek(fh, 0, SEEK_SET, &at), -EINVAL);
	ck_assert_int_eq(do_lseek(fh, 0, SEEK_END, &at), -EINVAL);
	ck_assert_int_eq(do_lseek(fh, 0, UINT32_MAX, &at), -EINVAL);
	/* It moves nothing that a READ or WRITE would go by. */
	ck_assert_int_eq(client_read(&c, fh, MIB, 1, &byte), 1);
}
END_TEST

static int do_copy(uint64_t from, uint64_t off, uint64_t to, uint64_t to_off,
		   uint64_t len, uint64_t flags)
{
	struct fuse_copy_file_range_in in = { from, off, ROOT, to, to_off, len,
					      flags };
	const struct fuse_write_out *out;
	struct call k;
	int r;

	call_begin(&k, FUSE_COPY_FILE_RANGE, ROOT);
	call_put(&k, &in, sizeof(in));
	r = call_serve(&c, &k);
	out = call_body(&k);
	return r < 0 ? r : (int)out->size;
}

START_TEST(copy_file_range_of_the_guest)
{
	uint64_t a = create("a"), b = create("b"), dir;
	struct client_counts before;
	char buf[16];

	ck_ok(client_opendir(&c, ROOT, &dir));
	before = client_counts(&c);
	ck_assert_int_eq(client_write(&c, a, 0, "0123456789", 10), 10);
	ck_assert_int_eq(do_copy(a, 2, b, 1, 5, 0), 5);
	ck_assert_int_eq(client_read(&c, b, 0, 16, buf), 6);
	ck_assert_int_eq(memcmp(buf, "\00023456", 6), 0);
	ck_assert_int_eq(do_copy(a, 0, b, 0, UINT64_MAX, 0), 10);
	ck_assert_int_eq(do_copy(a, UINT64_MAX, b, 0, 1, 0), -EINVAL);
	ck_assert_int_eq(do_copy(a, 0, b, 1ULL << 63, 1, 0), -EINVAL);
	ck_assert_int_eq(do_copy(a, 0, b, 0, 1, 1), -EINVAL);
	ck_assert_int_eq(do_copy(a, 0, dir, 0, 1, 0), -EBADF);
	ck_assert_int_eq(do_copy(a, 0, b + 1, 0, 1, 0), -EBADF);
	ck_assert_int_eq(do_copy(dir, 0, b, 0, 1, 0), -EBADF);
	client_check_counts(&c, &before);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("op_io");
	TCase *tc = unit_tcase(s, "data", 30);

	unit_add_dir(tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, any_pieces_at_any_offset, 0, 8);
	tcase_add_test(tc, a_megabyte_is_one_call);
	tcase_add_test(tc, read_ends_with_the_file);
	tcase_add_test(tc, read_is_no_longer_than_asked);
	tcase_add_test(tc, offsets_out_of_range);
	tcase_add_test(tc, write_size_must_be_the_data);
	tcase_add_test(tc, append_goes_to_the_end_of_today);
	tcase_add_test(tc, set_id_bits_fall_when_asked);
	tcase_add_test(tc, write_that_fails_after_a_part);
	tcase_add_test(tc, read_into_lost_memory);
	tcase_add_test(tc, handles_have_the_rights_they_were_opened_with);
	tcase_add_test(tc, fallocate_of_the_guest);
	tcase_add_test(tc, lseek_of_the_guest);
	tcase_add_test(tc, copy_file_range_of_the_guest);
	return unit_run(s);
}
