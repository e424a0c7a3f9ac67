/* SPDX-License-Identifier: BSD-3-Clause */
/* Several request queues, each driven by a thread of its own. */
#include <fcntl.h>
#include <pthread.h>

#include "func.h"

START_TEST(one_stopped_ring_does_not_stop_another)
{
	struct guest second;
	unsigned int base;

	func_start_with(NULL, &(struct vmm_opts){ .request_queues = 2 });
	ok(guest_attach(&second, &fx.v, 2, 4096));
	ok(vmm_ring_stop(&fx.v, &fx.v.ring[1], &base));

	struct fuse_attr_out a;

	ok(guest_getattr(&second, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ok(vmm_ring_start(&fx.v, &fx.v.ring[1], base));
	func_attr(FUSE_ROOT_ID);
	guest_detach(&second);
	func_end();
}
END_TEST

static void *file_load(void *arg)
{
	struct guest *g = arg;
	static __thread char out[20000], back[20000];
	struct fuse_entry_out e;
	struct fuse_open_out o;
	char name[32];

	snprintf(name, sizeof(name), "f%u", g->ring->index);
	ok(guest_create(g, FUSE_ROOT_ID, name, O_RDWR, 0644, 0, &e, &o));
	for (int i = 0; i < 200; i++) {
		func_pattern(out, sizeof(out), i * 100 + g->ring->index);
		ck_assert_int_eq(ok(guest_write(g, e.nodeid, o.fh, out, sizeof(out), i * 7)),
				 sizeof(out));
		ck_assert_int_eq(ok(guest_read(g, e.nodeid, o.fh, back, sizeof(back), i * 7)),
				 sizeof(back));
		ck_assert_mem_eq(out, back, sizeof(out));
	}
	ok(guest_release(g, e.nodeid, o.fh));
	return NULL;
}

static void parallel(unsigned int queues)
{
	struct guest *g = calloc(queues, sizeof(*g));
	pthread_t t[VMM_QUEUES_MAX];

	func_start_with(NULL, &(struct vmm_opts){ .request_queues = queues });
	for (unsigned int i = 0; i < queues; i++)
		ok(guest_attach(&g[i], &fx.v, 1 + i, 32768));
	for (unsigned int i = 0; i < queues; i++)
		pthread_create(&t[i], NULL, file_load, &g[i]);
	for (unsigned int i = 0; i < queues; i++)
		pthread_join(t[i], NULL);
	for (unsigned int i = 0; i < queues; i++)
		guest_detach(&g[i]);
	free(g);
	func_end();
}

START_TEST(two_queues_serve_in_parallel)
{
	parallel(2);
}
END_TEST

START_TEST(eight_queues_serve_in_parallel)
{
	parallel(8);
}
END_TEST

START_TEST(forty_queues_serve_in_parallel)
{
	parallel(40);
}
END_TEST

int main(int argc, char **argv)
{
	func_init("queues", argc, argv);
	func_test(one_stopped_ring_does_not_stop_another);
	func_test(two_queues_serve_in_parallel);
	func_test(eight_queues_serve_in_parallel);
	func_test(forty_queues_serve_in_parallel);
	return func_done();
}
