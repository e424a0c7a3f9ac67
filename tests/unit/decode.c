/* SPDX-License-Identifier: BSD-3-Clause */
/* fuse/decode: requests that are too short, lie, or change under its eyes. */
#include "fuse/decode.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuse/optable.h"
#include "unit.h"

#define HEAD sizeof(struct fuse_in_header)
#define PAGE 4096U
#define REQUEST_MAX 8192U

/* A request ends where memory ends: a byte read too much is a fault. The guest
 * has a view of its own of the same memory. */
static char *memory, *memory_end, *guest_end;
static struct request rq;

static void setup(void)
{
	int fd = memfd_create("guest", MFD_CLOEXEC);
	char *guest;

	ck_assert_int_eq(ftruncate(fd, REQUEST_MAX + PAGE), 0);
	memory = mmap(NULL, REQUEST_MAX + PAGE, PROT_READ | PROT_WRITE,
		      MAP_SHARED, fd, 0);
	guest = mmap(NULL, REQUEST_MAX, PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		     0);
	ck_assert(memory != MAP_FAILED && guest != MAP_FAILED);
	close(fd);
	memory_end = memory + REQUEST_MAX;
	guest_end = guest + REQUEST_MAX;
	ck_assert_int_eq(mprotect(memory_end, PAGE, PROT_NONE), 0);
}

struct built {
	char bytes[REQUEST_MAX];
	size_t len;
};

static struct fuse_in_header *header(struct built *b)
{
	return (void *)b->bytes;
}

static void append(struct built *b, const void *data, size_t len)
{
	must(b->len + len <= sizeof(b->bytes));
	memcpy(b->bytes + b->len, data, len);
	b->len += len;
	header(b)->len = (uint32_t)b->len;
}

static void begin(struct built *b, uint32_t opcode)
{
	struct fuse_in_header h = { .opcode = opcode, .unique = 5, .nodeid = 1 };

	b->len = 0;
	append(b, &h, sizeof(h));
}

/* The shortest good request of an op: arguments of 0x11.., names "a", "bb". */
static size_t build(struct built *b, uint32_t opcode)
{
	const struct fuse_op *op = fuse_op(opcode);
	char arg[128];

	begin(b, opcode);
	memset(arg, 0x11, sizeof(arg));
	append(b, arg, op->in_size);
	if (op->names > 0)
		append(b, "a", 2);
	if (op->names > 1)
		append(b, "bb", 3);
	return b->len;
}

/* Decodes @len bytes that lie in pieces of @piece bytes at the end of memory. */
static int decode_pieces(const struct built *b, size_t len, size_t piece)
{
	static struct iovec iov[REQUEST_MAX];
	char *at = memory_end - len;
	size_t n = 0;

	memcpy(at, b->bytes, len);
	for (size_t done = 0; done < len; done += piece, n++) {
		iov[n].iov_base = at + done;
		iov[n].iov_len = len - done < piece ? len - done : piece;
	}
	memset(&rq.h, 0x77, sizeof(rq.h));
	request_bind(&rq, iov, n, NULL, 0);
	rq.long_setxattr = true;
	return fuse_decode(&rq);
}

static int decode(const struct built *b)
{
	return decode_pieces(b, b->len, REQUEST_MAX);
}

static bool in_names(const char *p)
{
	return p >= rq.names && p < rq.names + sizeof(rq.names);
}

#define for_each_op(opcode, op)                                                \
	for (uint32_t opcode = 0; opcode < 4200; opcode++)                     \
		if (((op) = fuse_op(opcode)) != NULL)

START_TEST(good_request_of_each_op)
{
	const struct fuse_op *op;
	struct built b;

	for_each_op(opcode, op) {
		build(&b, opcode);
		for (size_t piece = 1; piece < 64; piece++) {
			ck_ok(decode_pieces(&b, b.len, piece));
			must(rq.op == op);
			must(rq.h.unique == 5);
			must(rq.in.left == 0);
			must(memcmp(&rq.arg, b.bytes + HEAD,
						op->in_size) == 0);
			if (op->names > 0)
				ck_assert_str_eq(rq.name[0], "a");
			if (op->names > 1)
				ck_assert_str_eq(rq.name[1], "bb");
		}
	}
}
END_TEST

/* Fewer bytes than the header says: in the pieces, or in its own words. */
START_TEST(each_truncation_of_each_op)
{
	const struct fuse_op *op;
	struct built b;

	for_each_op(opcode, op) {
		size_t full = build(&b, opcode);

		for (size_t len = 0; len < full; len++) {
			header(&b)->len = (uint32_t)full;
			must(decode_pieces(&b, len, 7) == -EINVAL);
			header(&b)->len = (uint32_t)len;
			must(decode_pieces(&b, len, 7) == -EINVAL);
			must(decode_pieces(&b, full, 7) == -EINVAL);
		}
	}
}
END_TEST

START_TEST(short_header_is_no_request)
{
	struct built b;

	build(&b, FUSE_GETATTR);
	for (size_t len = 0; len < HEAD; len++) {
		ck_assert_int_eq(decode_pieces(&b, len, 3), -EINVAL);
		ck_assert_ptr_null(rq.op);
		ck_assert_uint_eq(rq.h.unique, 0);
	}
}
END_TEST

START_TEST(unknown_opcodes)
{
	static const uint32_t opcodes[] = { 0, 7, 19, 21, 200, 4096, 4097,
					    UINT32_MAX, 1U << 31 };
	struct built b;

	for (size_t i = 0; i < ARRAY_SIZE(opcodes); i++) {
		if (fuse_op(opcodes[i]))
			continue;
		begin(&b, opcodes[i]);
		ck_assert_int_eq(decode(&b), -ENOSYS);
		ck_assert_ptr_null(rq.op);
		ck_assert_uint_eq(rq.h.unique, 5);
	}
}
END_TEST

/* The length of the header against what is there. */
START_TEST(length_field_lies)
{
	static const uint32_t lies[] = { 0, 1, 39, UINT32_MAX, 1U << 31, 1000 };
	struct built b;

	build(&b, FUSE_LOOKUP);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		header(&b)->len = lies[i];
		ck_assert_int_eq(decode(&b), -EINVAL);
		/* Whom to answer is known all the same. */
		ck_assert_uint_eq(rq.h.unique, 5);
		ck_assert_ptr_eq(rq.op, fuse_op(FUSE_LOOKUP));
	}
	/* Smaller than what is there: the rest is not the request's. */
	build(&b, FUSE_WRITE);
	append(&b, "datadata", 8);
	header(&b)->len -= 3;
	ck_ok(decode(&b));
	ck_assert_uint_eq(rq.in.left, 5);
}
END_TEST

START_TEST(names_need_their_nul)
{
	const struct fuse_op *op;
	struct built b;

	for_each_op(opcode, op) {
		if (!op->names)
			continue;
		build(&b, opcode);
		b.bytes[b.len - 1] = 'x';
		ck_assert_int_eq(decode(&b), -EINVAL);
		build(&b, opcode);
		b.len = HEAD + op->in_size;
		header(&b)->len = (uint32_t)b.len;
		ck_assert_int_eq(decode(&b), -EINVAL);
	}
}
END_TEST

START_TEST(names_of_each_length)
{
	static char name[REQUEST_NAMES_MAX + 2];
	struct built b;

	for (size_t len = 0; len < sizeof(name); len += len < 300 ? 1 : 97) {
		memset(name, 'n', sizeof(name));
		name[len] = '\0';
		begin(&b, FUSE_LOOKUP);
		append(&b, name, len + 1);
		if (len + 1 <= REQUEST_NAMES_MAX) {
			ck_ok(decode(&b));
			ck_assert_str_eq(rq.name[0], name);
			ck_assert(in_names(rq.name[0]));
		} else {
			ck_assert_int_eq(decode(&b), -ENAMETOOLONG);
		}
	}
	/* The longest that is good, and one byte more. */
	for (size_t extra = 0; extra < 2; extra++) {
		memset(name, 'n', sizeof(name));
		begin(&b, FUSE_SYMLINK);
		append(&b, "link", 5);
		append(&b, name, REQUEST_NAMES_MAX - 6 + extra);
		append(&b, "", 1);
		ck_assert_int_eq(decode(&b), extra ? -ENAMETOOLONG : 0);
	}
}
END_TEST

/* MKDIR "d" with extensions behind it. */
static size_t build_ext(struct built *b, const void *ext, size_t len,
			uint16_t units)
{
	build(b, FUSE_MKDIR);
	while (b->len % 8)
		append(b, "", 1);
	append(b, ext, len);
	header(b)->total_extlen = units;
	return b->len;
}

struct group_ext {
	struct wire_fuse_ext_header h;
	uint32_t n;
	uint32_t group[5];
};

START_TEST(group_extension)
{
	struct group_ext e = { { 24, WIRE_FUSE_EXT_GROUPS }, 1, { 4711 } };
	struct built b;

	build_ext(&b, &e, 24, 3);
	for (size_t piece = 1; piece < 30; piece++) {
		ck_ok(decode_pieces(&b, b.len, piece));
		ck_assert(rq.have_group);
		ck_assert_uint_eq(rq.group, 4711);
		ck_assert_str_eq(rq.name[0], "a");
	}
	/* None of an earlier request is left over. */
	build(&b, FUSE_MKDIR);
	ck_ok(decode(&b));
	ck_assert(!rq.have_group);
	/* Zero groups are none. */
	e.n = 0;
	build_ext(&b, &e, 24, 3);
	ck_ok(decode(&b));
	ck_assert(!rq.have_group);
}
END_TEST

START_TEST(group_extension_lies)
{
	static const struct group_ext bad[] = {
		{ { 24, WIRE_FUSE_EXT_GROUPS }, 2, { 1, 2 } },
		{ { 24, WIRE_FUSE_EXT_GROUPS }, UINT32_MAX, { 1 } },
		{ { 24, WIRE_FUSE_EXT_GROUPS }, 0x40000001, { 1 } },
		{ { 32, WIRE_FUSE_EXT_GROUPS }, 1, { 1 } },
		{ { 23, WIRE_FUSE_EXT_GROUPS }, 1, { 1 } },
		{ { 12, WIRE_FUSE_EXT_GROUPS }, 1, { 1 } },
		{ { 8, WIRE_FUSE_EXT_GROUPS }, 1, { 1 } },
		{ { 7, 0 }, 0, { 0 } },
		{ { 0, 0 }, 0, { 0 } },
		{ { UINT32_MAX, 0 }, 0, { 0 } },
		{ { UINT32_MAX - 7, 0 }, 0, { 0 } },
		{ { 16, 0 }, 0, { 0, 0x40000000 } },
	};
	struct built b;

	build_ext(&b, &bad[_i], 24, 3);
	ck_assert_int_eq(decode(&b), -EINVAL);
	ck_assert_int_eq(decode_pieces(&b, b.len, 5), -EINVAL);
}
END_TEST

/* Extensions of a kind that is not known are passed over. */
START_TEST(other_extensions_are_passed_over)
{
	struct {
		struct wire_fuse_ext_header other;
		char text[8];
		struct group_ext groups;
	} e = { { 16, WIRE_FUSE_EXT_GROUPS + 1 }, "another", { { 24, WIRE_FUSE_EXT_GROUPS }, 1, { 9 } } };
	struct built b;

	build_ext(&b, &e, 40, 5);
	ck_ok(decode(&b));
	ck_assert(rq.have_group);
	ck_assert_uint_eq(rq.group, 9);
}
END_TEST

START_TEST(total_extlen_lies)
{
	struct group_ext e = { { 24, WIRE_FUSE_EXT_GROUPS }, 1, { 1 } };
	struct built b;

	for (uint32_t units = 0; units <= UINT16_MAX; units++) {
		int r;

		build_ext(&b, &e, 24, (uint16_t)units);
		r = decode(&b);
		must(r == (units == 3 || units == 0 ? 0 : -EINVAL));
	}
	/* An op without extensions pays no heed to it. */
	build(&b, FUSE_LOOKUP);
	header(&b)->total_extlen = UINT16_MAX;
	ck_ok(decode(&b));
}
END_TEST

START_TEST(longest_extensions)
{
	static char ext[REQUEST_EXT_MAX + 8];
	struct wire_fuse_ext_header h = { sizeof(ext) - 8,
					  WIRE_FUSE_EXT_GROUPS + 1 };
	struct built b;

	memcpy(ext, &h, sizeof(h));
	build_ext(&b, ext, sizeof(ext) - 8, (sizeof(ext) - 8) / 8);
	ck_ok(decode(&b));
	h.size += 8;
	memcpy(ext, &h, sizeof(h));
	build_ext(&b, ext, sizeof(ext), sizeof(ext) / 8);
	ck_assert_int_eq(decode(&b), -EINVAL);
}
END_TEST

/*
 * Another thread rewrites the request, byte by byte, from one form to another
 * and to nonsense. Whatever was decoded, it must agree with itself.
 */
static atomic_bool stop;
static char forms[4][128];
static size_t form_len;

static void *rewriter(void *arg)
{
	volatile char *at = arg;
	uint32_t seed = 3;

	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		const char *form = forms[unit_random(&seed) % 4];
		size_t from = unit_random(&seed) % form_len;

		for (size_t i = from; i < form_len; i++)
			at[i] = form[i];
	}
	return NULL;
}

static void make_forms(void)
{
	struct group_ext e = { { 24, WIRE_FUSE_EXT_GROUPS }, 1, { 7 } };
	struct built b;

	form_len = build_ext(&b, &e, 24, 3);
	memcpy(forms[0], b.bytes, form_len);
	/* The same, said to be as short as can be, without extensions. */
	header(&b)->len = (uint32_t)(HEAD + sizeof(struct fuse_mkdir_in) + 2);
	header(&b)->total_extlen = 0;
	memcpy(forms[1], b.bytes, form_len);
	/* Another op, its names where the extensions were. */
	build(&b, FUSE_SYMLINK);
	memset(b.bytes + b.len, 'z', sizeof(b.bytes) - b.len);
	b.bytes[form_len - 1] = '\0';
	b.len = form_len;
	header(&b)->len = (uint32_t)form_len;
	memcpy(forms[2], b.bytes, form_len);
	/* Lies. */
	memset(forms[3], 0xff, sizeof(forms[3]));
	header(&b)->opcode = FUSE_MKDIR;
	header(&b)->len = UINT32_MAX;
	memcpy(forms[3], b.bytes, HEAD);
}

/* What was left for the names, by the private header. */
static void check_consistent(void)
{
	size_t ext = rq.op->flags & OP_EXT ? rq.h.total_extlen * 8U : 0;
	size_t names = rq.h.len - HEAD - rq.op->in_size - ext;

	must(rq.op == fuse_op(rq.h.opcode));
	must(rq.h.len >= HEAD + rq.op->in_size + ext);
	must(rq.h.len <= form_len);
	for (int i = 0; i < rq.op->names; i++) {
		must(rq.name[i] >= rq.names &&
			  rq.name[i] < rq.names + names);
		must(strlen(rq.name[i]) < (size_t)(rq.names + names - rq.name[i]));
	}
	must(!rq.have_group || ext >= 16);
	must(rq.in.left == 0);
}

START_TEST(request_changes_while_it_is_decoded)
{
	unsigned int good = 0, rounds = unit_rounds(300000);
	struct iovec iov;
	pthread_t thread;

	make_forms();
	iov = (struct iovec){ memory_end - form_len, form_len };
	ck_ok(pthread_create(&thread, NULL, rewriter, guest_end - form_len));
	for (unsigned int i = 0; i < rounds || good < 1000; i++) {
		request_bind(&rq, &iov, 1, NULL, 0);
		if (fuse_decode(&rq) < 0)
			continue;
		good++;
		check_consistent();
	}
	atomic_store(&stop, true);
	ck_ok(pthread_join(thread, NULL));
}
END_TEST

/* Once decoded, no byte of the original is looked at again: it may vanish. */
START_TEST(decoded_request_needs_no_memory)
{
	const struct fuse_op *op;
	struct built b;

	for_each_op(opcode, op) {
		build(&b, opcode);
		ck_ok(decode(&b));
		ck_assert_int_eq(mprotect(memory, REQUEST_MAX, PROT_NONE), 0);
		for (int i = 0; i < op->names; i++)
			ck_assert_uint_le(strlen(rq.name[i]), 2);
		ck_assert_ptr_eq(fuse_op(rq.h.opcode), op);
		ck_assert_int_eq(mprotect(memory, REQUEST_MAX,
					  PROT_READ | PROT_WRITE), 0);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("decode");
	TCase *tc = unit_tcase(s, "requests", 20);

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, good_request_of_each_op);
	tcase_add_test(tc, each_truncation_of_each_op);
	tcase_add_test(tc, short_header_is_no_request);
	tcase_add_test(tc, unknown_opcodes);
	tcase_add_test(tc, length_field_lies);
	tcase_add_test(tc, names_need_their_nul);
	tcase_add_test(tc, names_of_each_length);
	tcase_add_test(tc, group_extension);
	tcase_add_loop_test(tc, group_extension_lies, 0, 12);
	tcase_add_test(tc, other_extensions_are_passed_over);
	tcase_add_test(tc, total_extlen_lies);
	tcase_add_test(tc, longest_extensions);
	tcase_add_test(tc, request_changes_while_it_is_decoded);
	tcase_add_test(tc, decoded_request_needs_no_memory);
	return unit_run(s);
}
