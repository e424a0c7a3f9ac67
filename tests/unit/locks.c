/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The path of a request takes no lock that all queues share.
 *
 * The linker hands this file every lock that the library takes; it writes down
 * which, by thread. What is allowed: the shards of the node and the handle
 * table, a lock for the reading of a directory, one for appending to a file (all
 * chosen by what the request is about), and the used ring's lock of a queue. And
 * two threads that serve different files share none at all.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "machine.h"
#include "mix.h"

#define LOCKS_MAX 256U

/* Written by one thread; the test may read it while that one takes another lock. */
struct taken {
	const void *lock[LOCKS_MAX];
	atomic_uint n;
	uint64_t times;
};

/* A thread of the test's own notes what is taken inside fuse_serve(), a queue's
 * thread all that it takes while it is being counted. */
static _Thread_local bool is_test, in_serve;
static _Thread_local struct taken *taken;

static struct taken by_thread[16];
static atomic_uint threads;
static atomic_bool counting;

static void note(const void *lock)
{
	unsigned int n;

	if (is_test ? !in_serve : !atomic_load(&counting))
		return;
	if (!taken && !is_test)
		taken = &by_thread[atomic_fetch_add(&threads, 1) % 16];
	if (!taken)
		return;
	taken->times++;
	n = atomic_load(&taken->n);
	for (unsigned int i = 0; i < n; i++)
		if (taken->lock[i] == lock)
			return;
	if (n < LOCKS_MAX) {
		taken->lock[n] = lock;
		atomic_store(&taken->n, n + 1);
	}
}

int __real_fuse_serve(struct session *s, struct request *rq);
int __wrap_fuse_serve(struct session *s, struct request *rq);
int __wrap_fuse_serve(struct session *s, struct request *rq)
{
	int r;

	in_serve = true;
	r = __real_fuse_serve(s, rq);
	in_serve = false;
	return r;
}

#define WRAP(name, type)                                                       \
	int __real_##name(type *lock);                                         \
	int __wrap_##name(type *lock);                                         \
	int __wrap_##name(type *lock)                                          \
	{                                                                      \
		note((const void *)lock);                                      \
		return __real_##name(lock);                                    \
	}
WRAP(pthread_mutex_lock, pthread_mutex_t)
WRAP(pthread_mutex_trylock, pthread_mutex_t)
WRAP(pthread_rwlock_rdlock, pthread_rwlock_t)
WRAP(pthread_rwlock_wrlock, pthread_rwlock_t)
WRAP(pthread_spin_lock, pthread_spinlock_t)

static bool within(const void *lock, const void *start, size_t size)
{
	return (const char *)lock >= (const char *)start &&
	       (const char *)lock < (const char *)start + size;
}

#define IN(lock, array) within(lock, array, sizeof(array))

static bool is_sharded(const struct fs *fs, const void *lock)
{
	return IN(lock, fs->nodes.slots.shard) ||
	       IN(lock, fs->handles.slots.shard) ||
	       IN(lock, fs->handles.dir_lock) || IN(lock, fs->append_lock);
}

static struct client c;
static struct mix mix;

static int serve(const struct call *k, char *out, size_t room,
		 struct taken *note_in)
{
	struct iovec in = { (void *)k->in, k->in_len }, reply = { out, room };
	int r;

	taken = note_in;
	r = client_serve(&c, &in, 1, &reply, 1);
	taken = NULL;
	return r;
}

/* What each op takes when it is alone. */
START_TEST(locks_are_sharded)
{
	static char out[8192];

	is_test = true;
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
	for (size_t i = 0; i < mix_n_ops; i++) {
		struct taken t = { .n = 0 };
		struct call k;

		mix_ops[i].build(&mix, &k);
		ck_assert_int_ge(serve(&k, out, sizeof(out), &t), 16);
		for (unsigned int n = 0; n < t.n; n++)
			ck_assert_msg(is_sharded(&c.fs, t.lock[n]),
				      "%s takes a lock of its own",
				      mix_ops[i].name);
	}
}
END_TEST

/* Data and attributes of what is open take no lock at all. */
START_TEST(open_files_need_no_lock)
{
	static const char *const names[] = { "getattr", "setattr", "readlink",
					     "statfs", "write", "lseek",
					     "copy_file_range", "fsync",
					     "flush", "fallocate", "read",
					     "rename", "unlink" };
	static char out[8192];
	unsigned int found = 0;

	is_test = true;
	client_start(&c, CACHE_AUTO);
	mix_init(&mix, &c);
	for (size_t i = 0; i < mix_n_ops; i++) {
		for (size_t n = 0; n < ARRAY_SIZE(names); n++) {
			struct taken t = { .n = 0 };
			struct call k;

			if (strcmp(mix_ops[i].name, names[n]) != 0)
				continue;
			found++;
			mix_ops[i].build(&mix, &k);
			serve(&k, out, sizeof(out), &t);
			ck_assert_msg(t.times == 0, "%s takes a lock", names[n]);
		}
	}
	ck_assert_uint_eq(found, ARRAY_SIZE(names));
}
END_TEST

/* Nor does the failure of an op, nor a number that is none. */
START_TEST(forged_numbers_need_no_lock)
{
	static char out[256];
	struct taken t = { .n = 0 };
	uint32_t seed = 3;
	struct call k;

	is_test = true;
	client_start(&c, CACHE_AUTO);
	for (unsigned int i = 0; i < 1000; i++) {
		call_begin(&k, i % 2 ? FUSE_GETATTR : FUSE_READ,
			   (uint64_t)unit_random(&seed) << 24 |
				   unit_random(&seed));
		call_arg_sized(&k, i % 2 ? sizeof(struct fuse_getattr_in) :
					   sizeof(struct fuse_read_in));
		ck_assert_int_eq(serve(&k, out, sizeof(out), &t), 16);
	}
	ck_assert_uint_eq(t.times, 0);
}
END_TEST

/*
 * Two threads, a tree for each: lookups, opens, data, closes, forgets. Names are
 * picked so that the files of the two are in different shards, as most files of
 * different programs are.
 */
struct user {
	char name[32];
	struct taken taken;
};
static struct user users[2];

static void one_name(const struct user *u)
{
	uint64_t id, fh;
	char buf[16];

	ck_ok(client_lookup(&c, FUSE_ROOT_ID, u->name, &id));
	ck_ok(client_open(&c, id, O_RDWR, &fh));
	ck_assert_int_eq(client_write(&c, fh, 0, "data", 4), 4);
	ck_assert_int_eq(client_read(&c, fh, 0, 16, buf), 4);
	ck_ok(client_release(&c, fh));
	client_forget(&c, id, 1);
}

static void use(void *arg, unsigned int no)
{
	is_test = true;
	taken = &users[no].taken;
	for (unsigned int i = 0; i < unit_rounds(3000); i++)
		one_name(&users[no]);
	taken = NULL;
}

static uint32_t shard_of_name(const char *name)
{
	uint64_t id;

	unit_write_file(name, "", 0);
	ck_ok(client_lookup(&c, FUSE_ROOT_ID, name, &id));
	client_forget(&c, id, 1);
	return (uint32_t)(id % SLOTS_SHARDS);
}

static void pick_names(void)
{
	uint32_t first, n = 0;

	snprintf(users[0].name, sizeof(users[0].name), "first");
	first = shard_of_name(users[0].name);
	do
		snprintf(users[1].name, sizeof(users[1].name), "second%u", n++);
	while (shard_of_name(users[1].name) == first);
}

static bool share_a_lock(const struct taken *a, const struct taken *b,
			 const struct fs *fs, bool handles_too)
{
	for (unsigned int i = 0; i < a->n; i++)
		for (unsigned int k = 0; k < b->n; k++)
			if (a->lock[i] == b->lock[k] &&
			    (handles_too ||
			     !IN(a->lock[i], fs->handles.slots.shard)))
				return true;
	return false;
}

START_TEST(different_files_share_no_lock)
{
	is_test = true;
	client_start(&c, CACHE_AUTO);
	pick_names();
	/* A handle's shard follows from its descriptor's number, which the host
	 * picks: so first one after the other, and only the nodes together. */
	use(NULL, 0);
	ck_assert_uint_gt(users[0].taken.n, 1);
	memset(users, 0, sizeof(users));
	pick_names();
	unit_threads(2, use, NULL);
	for (int u = 0; u < 2; u++)
		for (unsigned int i = 0; i < users[u].taken.n; i++)
			ck_assert(is_sharded(&c.fs, users[u].taken.lock[i]));
	ck_assert(!share_a_lock(&users[0].taken, &users[1].taken, &c.fs, false));
	client_stop(&c);
}
END_TEST

/* Through the queues: reads of two files share nothing but the host. */
static struct machine m;

static bool is_of_queue(const void *lock)
{
	for (unsigned int i = 0; i < m.n; i++)
		if (lock == &m.w[i]->queue.lock)
			return true;
	return false;
}

static void read_through(unsigned int queue, uint64_t fh)
{
	struct fuse_read_in in = { .fh = fh, .size = 16 };
	struct call k;

	call_begin(&k, FUSE_READ, FUSE_ROOT_ID);
	call_put(&k, &in, sizeof(in));
	ck_ok(machine_call(&m, queue, &k));
}

START_TEST(queues_share_no_lock)
{
	is_test = true;
	machine_start(&m, 2, 64);
	ck_ok(machine_init_session(&m, 0));
	mix_init(&mix, &m.c);
	atomic_store(&counting, true);
	for (unsigned int i = 0; i < unit_rounds(3000); i++) {
		read_through(0, mix.fh);
		read_through(1, mix.other_fh);
	}
	device_quiesce(&m.dev);
	atomic_store(&counting, false);
	ck_assert_uint_ge(threads, 2);
	for (unsigned int t = 0; t < threads; t++) {
		unsigned int queues = 0, n = atomic_load(&by_thread[t].n);

		/* On a crowded machine the watchdog may have relieved a leader:
		 * it and the crew's threads then take the crew's lock as well. */
		for (unsigned int i = 0; i < n; i++)
			queues += is_of_queue(by_thread[t].lock[i]);
		ck_assert_uint_le(queues, 1);
		ck_assert(threads > 2 || n == 1);
	}
	device_resume(&m.dev);
	machine_stop(&m);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("locks");
	TCase *tc = unit_tcase(s, "locks", 30);

	unit_add_dir(tc);
	tcase_add_test(tc, locks_are_sharded);
	tcase_add_test(tc, open_files_need_no_lock);
	tcase_add_test(tc, forged_numbers_need_no_lock);
	tcase_add_test(tc, different_files_share_no_lock);
	tcase_add_test(tc, queues_share_no_lock);
	return unit_run(s);
}
