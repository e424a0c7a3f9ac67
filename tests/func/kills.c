/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Workers that are killed under load: guests on queues of their own work on, each request of
 * theirs succeeds, and what they read is what they wrote.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "killer.h"

#define GUESTS 4
#define KILLS 100
#define SIZE 20000
#define ENTRY_ROOM 8192

struct client {
	pthread_t thread;
	struct guest g;
	unsigned int no;
	uint64_t dir;
	char data[SIZE], back[SIZE], names[ENTRY_ROOM];
	unsigned int rounds;
	const char *wrong;		/* what went wrong, and how */
	int error;
};

static struct client clients[GUESTS];
static atomic_bool stop;

/* Each of these ends the round if its request fails. */
#define must_ok(c, call) ({						\
	__auto_type must_r = (call);					\
	if (must_r < 0) {						\
		(c)->wrong = #call;					\
		(c)->error = (int)must_r;				\
		return false;						\
	}								\
	must_r; })
#define must_be(c, what) do {						\
	if (!(what)) {							\
		(c)->wrong = #what;					\
		return false;						\
	}								\
} while (0)

/* A file is made, written to, appended to, renamed, read, linked and removed. */
static bool use_file(struct client *c)
{
	struct fuse_entry_out e, same;
	struct fuse_open_out o;

	func_pattern(c->data, SIZE, c->no * 1000 + c->rounds);
	must_ok(c, guest_create(&c->g, c->dir, "f", O_RDWR | O_EXCL, 0644, 0, &e, &o));
	must_be(c, guest_write(&c->g, e.nodeid, o.fh, c->data, SIZE / 2, 0) == SIZE / 2);
	c->g.file_flags = O_APPEND;
	must_be(c, guest_write(&c->g, e.nodeid, o.fh, c->data + SIZE / 2, SIZE / 2, SIZE / 2) ==
			   SIZE / 2);
	c->g.file_flags = 0;
	must_ok(c, guest_rename(&c->g, c->dir, "f", c->dir, "g"));
	must_be(c, guest_read(&c->g, e.nodeid, o.fh, c->back, SIZE, 0) == SIZE);
	must_be(c, memcmp(c->back, c->data, SIZE) == 0);
	must_ok(c, guest_lookup(&c->g, c->dir, "g", &same));
	must_be(c, same.nodeid == e.nodeid && same.attr.size == SIZE);
	must_ok(c, guest_link(&c->g, e.nodeid, c->dir, "h", &same));
	must_be(c, same.nodeid == e.nodeid && same.attr.nlink == 2);
	must_ok(c, guest_unlink(&c->g, c->dir, "g"));
	must_ok(c, guest_unlink(&c->g, c->dir, "h"));
	must_be(c, guest_lookup(&c->g, c->dir, "h", &same) == -ENOENT);
	must_ok(c, guest_flush(&c->g, e.nodeid, o.fh));
	must_ok(c, guest_release(&c->g, e.nodeid, o.fh));
	must_ok(c, guest_forget(&c->g, e.nodeid, 3));
	return true;
}

static bool use_dir(struct client *c)
{
	const struct fuse_direntplus *d;
	struct fuse_entry_out e, l;
	struct fuse_open_out o;
	unsigned int n = 0;
	ssize_t len;

	must_ok(c, guest_mkdir(&c->g, c->dir, "d", 0755, 0, &e));
	must_ok(c, guest_symlink(&c->g, e.nodeid, "l", "nowhere", &l));
	must_ok(c, guest_forget(&c->g, l.nodeid, 1));
	must_ok(c, guest_opendir(&c->g, e.nodeid, &o));
	len = must_ok(c, guest_readdirplus(&c->g, e.nodeid, o.fh, 0, c->names, ENTRY_ROOM));
	for (size_t at = 0; (d = guest_direntplus(c->names, len, &at)) != NULL;) {
		n++;
		if (d->entry_out.nodeid)
			must_ok(c, guest_forget(&c->g, d->entry_out.nodeid, 1));
	}
	must_be(c, n == 3);
	must_ok(c, guest_releasedir(&c->g, e.nodeid, o.fh));
	must_ok(c, guest_unlink(&c->g, e.nodeid, "l"));
	must_ok(c, guest_rmdir(&c->g, c->dir, "d"));
	must_ok(c, guest_forget(&c->g, e.nodeid, 1));
	return true;
}

static void *work(void *arg)
{
	struct client *c = arg;

	while (!stop && use_file(c) && use_dir(c))
		c->rounds++;
	return NULL;
}

static void start_clients(void)
{
	char name[16];

	for (unsigned int i = 0; i < GUESTS; i++) {
		struct client *c = &clients[i];

		c->no = i;
		snprintf(name, sizeof(name), "dir%u", i);
		host(mkdir(host_path(name), 0755));
		c->dir = func_node(name);
		ok(guest_attach(&c->g, &fx.v, 2 + i, 1 << 16));
	}
}

/* The one error that there may be: a request that was at work in two deaths. False: some guest has
 * met it, and has left its round by halves. */
static bool end_clients(void)
{
	bool whole = true;

	stop = true;
	for (unsigned int i = 0; i < GUESTS; i++) {
		struct client *c = &clients[i];

		pthread_join(c->thread, NULL);
		if (c->error == -EIO && daemon_log_has(&fx.d, "when two workers died")) {
			whole = false;
			continue;
		}
		ck_assert_msg(!c->wrong, "guest %u, round %u: %s: %s", i, c->rounds, c->wrong,
			      strerror(-c->error));
		ck_assert_uint_gt(c->rounds, 0);
	}
	return whole;
}

/* Milliseconds from one death to the next: also shorter than a worker needs to begin. */
static void kill_under_load(unsigned int kills, unsigned int ms)
{
	bool whole;
	int before;

	func_start_with(killer_args, &(struct vmm_opts){ .request_queues = 1 + GUESTS });
	start_clients();
	before = daemon_fds(&fx.d);
	for (unsigned int i = 0; i < GUESTS; i++)
		ck_assert_int_eq(pthread_create(&clients[i].thread, NULL, work, &clients[i]), 0);
	srandom(kills + ms);
	for (unsigned int i = 0; i < kills; i++) {
		pid_t worker;

		wait_sleep_ms((int)((unsigned int)random() % (2 * ms)));
		while ((worker = killer_worker()) == 0)
			wait_sleep_ms(1);
		kill(worker, SIGKILL);
	}
	whole = end_clients();
	for (unsigned int i = 0; i < GUESTS; i++)
		guest_detach(&clients[i].g);
	if (whole)
		ck_assert_int_eq(daemon_fds_settle(&fx.d, before, wait_scaled(2000)), before);
	func_end();
}

START_TEST(a_hundred_deaths_under_load)
{
	kill_under_load(KILLS, 25);
}
END_TEST

/* Some die while they take over from the one before. */
START_TEST(deaths_at_once)
{
	kill_under_load(KILLS, 4);
}
END_TEST

#define MANY 10000
#define PAUSE_MS 2000

/* The guest sees a pause, not a stand-still. */
START_TEST(with_many_nodes)
{
	static uint64_t node[MANY];
	char name[16];

	func_start_with(killer_args, NULL);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		host_text(name, "");
		node[i] = func_node(name);
	}
	for (int i = 0; i < 5; i++) {
		int64_t start = wait_now_ms(), took;

		kill(daemon_worker(&fx.d), SIGKILL);
		func_attr(node[i * (MANY / 5)]);
		took = wait_now_ms() - start;
		ck_assert_msg(took < wait_scaled(PAUSE_MS), "%lld ms", (long long)took);
		killer_wait_next();
	}
	for (int i = 0; i < MANY; i++)
		ok(guest_forget(&fx.g, node[i], 1));
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("kills", argc, argv);
	func_test_long(a_hundred_deaths_under_load, 120);
	func_test_long(deaths_at_once, 120);
	func_test_long(with_many_nodes, 120);
	return func_done();
}
