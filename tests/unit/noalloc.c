/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The path of a request makes no allocation.
 *
 * Two nets, one in the other. The linker hands this file every call that the
 * library makes to an allocating function or to mmap(2). And, where no sanitizer
 * has taken its place, this file is the process's malloc: then calls that the C
 * library makes on the library's behalf are seen as well.
 *
 * What is counted is what happens inside fuse_serve(), or in the threads of the
 * queues; the test itself may allocate.
 */
#include <errno.h>
#include <malloc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "machine.h"
#include "mix.h"

static atomic_uint allocations;
static atomic_bool counting; /* in the threads of the queues */
static _Thread_local bool is_test; /* this is not one of them ... */
static _Thread_local volatile bool in_serve; /* ... or it is in fuse_serve() */

static void count(void)
{
	if (in_serve || (!is_test && atomic_load(&counting)))
		atomic_fetch_add(&allocations, 1);
}

#define WRAP(ret, name, params, args)                                          \
	ret __real_##name params;                                              \
	ret __wrap_##name params;                                              \
	ret __wrap_##name params                                               \
	{                                                                      \
		count();                                                       \
		return __real_##name args;                                     \
	}

WRAP(void *, malloc, (size_t n), (n))
WRAP(void *, calloc, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, (void *p, size_t n), (p, n))
WRAP(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
WRAP(void *, aligned_alloc, (size_t align, size_t n), (align, n))
WRAP(void *, memalign, (size_t align, size_t n), (align, n))
WRAP(int, posix_memalign, (void **p, size_t align, size_t n), (p, align, n))
WRAP(char *, strdup, (const char *s), (s))
WRAP(char *, strndup, (const char *s, size_t n), (s, n))
WRAP(void *, mmap, (void *p, size_t n, int prot, int flags, int fd, off_t off),
     (p, n, prot, flags, fd, off))
WRAP(void *, mmap64, (void *p, size_t n, int prot, int flags, int fd, off_t off),
     (p, n, prot, flags, fd, off))

void __real_free(void *p);
void __wrap_free(void *p);
void __wrap_free(void *p)
{
	count();
	__real_free(p);
}

#if !UNIT_SANITIZED && defined(__GLIBC__)
#define INTERPOSED 1
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);
void __libc_free(void *p);

void *malloc(size_t n)
{
	count();
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	count();
	return __libc_calloc(n, size);
}

void *realloc(void *p, size_t n)
{
	count();
	return __libc_realloc(p, n);
}

void *aligned_alloc(size_t align, size_t n)
{
	count();
	return __libc_memalign(align, n);
}

void *memalign(size_t align, size_t n)
{
	count();
	return __libc_memalign(align, n);
}

int posix_memalign(void **p, size_t align, size_t n)
{
	count();
	*p = __libc_memalign(align, n);
	return *p ? 0 : ENOMEM;
}

void free(void *p)
{
	count();
	__libc_free(p);
}
#else
#define INTERPOSED 0
#endif

static struct client c;
static struct mix mix;

/* A thread more is no part of a request. */
void __real_crew_relieve(struct crew *crew, uint64_t word);
void __wrap_crew_relieve(struct crew *crew, uint64_t word);
void __wrap_crew_relieve(struct crew *crew, uint64_t word)
{
	is_test = true;
	__real_crew_relieve(crew, word);
	is_test = false;
}

/* Both nets hold: of what the C library allocates on somebody's behalf, the
 * call is seen by one, and what it leads to by the other. */
START_TEST(allocations_are_counted)
{
	char *volatile copy;
	void *volatile p;

	is_test = true;
	in_serve = true;
	p = malloc(10);
	in_serve = false;
	ck_assert_uint_eq(allocations, 1);
	in_serve = true;
	copy = strdup("twelve bytes");
	in_serve = false;
	ck_assert_uint_eq(allocations, 2 + INTERPOSED);
	in_serve = true;
	free(p);
	in_serve = false;
	ck_assert_uint_eq(allocations, 3 + INTERPOSED);
	free(copy);
}
END_TEST

static int serve_counted(const struct call *k, char *out, size_t room)
{
	struct iovec in = { (void *)k->in, k->in_len }, reply = { out, room };
	int r;

	in_serve = true;
	r = client_serve(&c, &in, 1, &reply, 1);
	in_serve = false;
	return r;
}

/* An op and what undoes it. */
static unsigned int serve_mix(size_t i)
{
	static char out[8192], ignored[256];
	struct fuse_out_header h;
	unsigned int n = 1;
	struct call k, undo;

	mix_ops[i].build(&mix, &k);
	ck_assert_int_ge(serve_counted(&k, out, sizeof(out)), 16);
	memcpy(&h, out, sizeof(h));
	for (int step = 0; h.error == 0 && step < MIX_STEPS; step++) {
		if (!mix_undo(&mix, call_header(&k), out + sizeof(h), step,
			      &undo))
			continue;
		serve_counted(&undo, ignored, sizeof(ignored));
		n++;
	}
	return n;
}

START_TEST(serving_allocates_nothing)
{
	unsigned int n = 0, todo = unit_rounds(40000);

	is_test = true;
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
	allocations = 0;
	for (uint32_t seed = 1; n < todo;)
		n += serve_mix(unit_random(&seed) % mix_n_ops);
	ck_assert_msg(allocations == 0, "%u allocations in %u requests",
		      allocations, n);
	client_stop(&c);
}
END_TEST

/* Nonsense must not fill the host's disk. */
static void limit_files(rlim_t bytes)
{
	const struct rlimit rl = { bytes, RLIM_INFINITY };

	signal(SIGXFSZ, SIG_IGN);
	/* Check's own file of messages is one of them: no message here. */
	must(setrlimit(RLIMIT_FSIZE, &rl) == 0);
}

/* Requests that fail in every way. */
START_TEST(errors_allocate_nothing)
{
	uint32_t seed = 1;
	static char out[8192];

	is_test = true;
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
	allocations = 0;
	for (unsigned int n = 0; n < unit_rounds(20000); n++) {
		struct call k;

		mix_ops[unit_random(&seed) % mix_n_ops].build(&mix, &k);
		/* The one op that can take disk space beyond the limit. */
		if (call_header(&k)->opcode == FUSE_FALLOCATE)
			continue;
		/* Not its header: else it could be an INIT. */
		for (int i = 0; i < 3; i++)
			k.in[16 + unit_random(&seed) % (k.in_len - 16)] ^=
				(char)unit_random(&seed);
		k.in_len -= unit_random(&seed) % 4;
		call_header(&k)->uid = geteuid();
		call_header(&k)->gid = getegid();
		limit_files(1U << 20);
		serve_counted(&k, out, unit_random(&seed) % sizeof(out));
		limit_files(RLIM_INFINITY);
	}
	ck_assert_uint_eq(allocations, 0);
}
END_TEST

/* Through rings and threads: each op on a queue, its undoing on the other. */
static struct machine m;

static void offer_and_wait(unsigned int i, const struct call *k, char *out)
{
	struct vring_used_elem e;

	machine_offer(&m, i, 0, k, 8192);
	machine_kick(&m, i);
	ck_assert(machine_wait(&m, i, 10000, &e, NULL));
	gmem_read(&m.g, machine_out(i, 0), out, e.len);
}

static unsigned int ring_mix(size_t i)
{
	static char out[8192], ignored[8192];
	struct fuse_out_header h;
	unsigned int n = 1;
	struct call k, undo;

	mix_ops[i].build(&mix, &k);
	offer_and_wait(0, &k, out);
	memcpy(&h, out, sizeof(h));
	for (int step = 0; h.error == 0 && step < MIX_STEPS; step++) {
		if (!mix_undo(&mix, call_header(&k), out + sizeof(h), step,
			      &undo))
			continue;
		offer_and_wait(1, &undo, ignored);
		n++;
	}
	return n;
}

START_TEST(queues_allocate_nothing)
{
	unsigned int n = 0, todo = unit_rounds(30000);

	is_test = true;
	machine_start(&m, 2, 64);
	ck_ok(machine_init_session(&m, 0));
	mix_init(&mix, &m.c);
	for (size_t i = 0; i < mix_n_ops; i++)
		ring_mix(i);
	allocations = 0;
	atomic_store(&counting, true);
	for (uint32_t seed = 2; n < todo;)
		n += ring_mix(unit_random(&seed) % mix_n_ops);
	atomic_store(&counting, false);
	ck_assert_msg(allocations == 0, "%u allocations in %u requests",
		      allocations, n);
	machine_stop(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("noalloc");
	TCase *tc = unit_tcase(s, "no allocation", 20);

	unit_add_dir(tc);
	tcase_add_test(tc, allocations_are_counted);
	tcase_add_test(tc, serving_allocates_nothing);
	tcase_add_test(tc, queues_allocate_nothing);
	/* In a directory of its own: nobody knows what it leaves behind. */
	tc = unit_tcase(s, "errors", 20);
	unit_add_dir(tc);
	tcase_add_test(tc, errors_allocate_nothing);
	return unit_run(s);
}
