/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The samples of a cell: every daemon and plain system calls in turn, in rounds whose order is
 * turned around each time (A B B A), so that what changes slowly on the machine hits all alike.
 * Each sample is a line of JSON.
 */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "wait.h"

#define STALL_LIMIT 120		/* seconds in which a sample has to be done */

struct sample {
	struct load_result res;
	struct usage before, after;
	int64_t driver_ns;
	uint64_t kicks, calls;
	int threads_error;
};

static int64_t own_cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec * 1000000000ll + ts.tv_nsec;
}

static void *run_thread(void *arg)
{
	struct load *ld = arg;
	struct target *t = ld->arg;

	cpus_pin(t->bench, false);
	load_run(ld);
	return NULL;
}

/* One thread for each queue; the first is this one. */
static int run_queues(struct target *t, struct load_result *ret)
{
	unsigned int n = t->bench->queues;
	pthread_t thread[VMM_QUEUES_MAX];
	int r = 0;

	for (unsigned int q = 1; q < n; q++)
		if (pthread_create(&thread[q], NULL, run_thread, &t->load[q]))
			abort();
	load_run(&t->load[0]);
	for (unsigned int q = 1; q < n; q++)
		pthread_join(thread[q], NULL);
	for (unsigned int q = 0; q < n; q++) {
		load_merge(ret, &t->load[q].res);
		r = r ? r : t->load[q].error;
	}
	return r;
}

/* Notifications that came while the driver was awake wait in the eventfd. */
static void count_notifications(struct target *t, struct sample *s, int sign)
{
	for (unsigned int q = 0; q < t->vmm.nrings; q++) {
		struct ring *r = &t->vmm.ring[q];
		eventfd_t v = 0;

		if (eventfd_write(r->call_fd, 1) == 0 && eventfd_read(r->call_fd, &v) == 0)
			r->calls += v - 1;
		s->kicks += sign * (int64_t)r->kicks;
		s->calls += sign * (int64_t)r->calls;
	}
}

static void sleep_ns(double seconds)
{
	struct timespec ts = { seconds, fmod(seconds, 1) * 1e9 };

	nanosleep(&ts, NULL);
}

static int run_daemon(struct target *t, double seconds, struct sample *s)
{
	const struct work *w = t->bench->work;
	int r = 0;

	for (unsigned int q = 0; q < t->bench->queues; q++) {
		t->load[q].length = w->set ? 0 : (int64_t)(seconds * 1e9);
		t->load[q].max_ops = w->set ? 0 : t->bench->max_ops;
	}
	count_notifications(t, s, -1);
	usage_all(t->pid, &s->before);
	s->driver_ns = -own_cpu_ns();
	if (w->step) {
		r = run_queues(t, &s->res);
	} else {
		s->res.start = wait_now_ns();
		sleep_ns(seconds);
		s->res.end = wait_now_ns();
	}
	s->driver_ns += own_cpu_ns();
	usage_all(t->pid, &s->after);
	count_notifications(t, s, 1);
	return r;
}

static int run_host(struct target *t, double seconds, struct sample *s)
{
	const struct work *w = t->bench->work;
	struct load_result *res = &s->res;
	int64_t now = wait_now_ns(), deadline = now + (int64_t)(seconds * 1e9);

	s->driver_ns = -own_cpu_ns();
	res->start = now;
	while (w->set || now < deadline) {
		int64_t since = now;
		int r = w->host_op(&t->host);

		if (r == -ENODATA)
			break;
		if (r < 0)
			return r;
		now = wait_now_ns();
		res->ops++;
		res->units += r;
		load_hist_add(res, now - since);
	}
	res->end = now;
	s->driver_ns += own_cpu_ns();
	return 0;
}

static void print_sample(struct target *t, int round, const struct sample *s)
{
	const struct load_result *r = &s->res;

	printf("{\"target\": \"%s\", \"round\": %d, \"ops\": %llu, \"units\": %llu, "
	       "\"seconds\": %.9f, \"requests\": %llu, \"kicks\": %llu, \"calls\": %llu, ",
	       t->name, round, (unsigned long long)r->ops, (unsigned long long)r->units,
	       (r->end - r->start) / 1e9, (unsigned long long)r->requests,
	       (unsigned long long)s->kicks, (unsigned long long)s->calls);
	printf("\"p50_us\": %.3f, \"p99_us\": %.3f, \"p999_us\": %.3f, \"max_us\": %.3f, ",
	       load_hist_at(r, 0.5) / 1e3, load_hist_at(r, 0.99) / 1e3,
	       load_hist_at(r, 0.999) / 1e3, r->max_ns / 1e3);
	printf("\"driver_ns\": %lld", (long long)s->driver_ns);
	if (t->command)
		printf(", \"daemon_ns\": %lld, \"switches\": %lld, \"rss_kb\": %ld, "
		       "\"private_kb\": %ld, \"grown_kb\": %ld, \"fds\": %d, \"threads\": %d, "
		       "\"answer\": %d",
		       (long long)(s->after.cpu_ns - s->before.cpu_ns),
		       (long long)(s->after.switches - s->before.switches), s->after.rss_kb,
		       s->after.private_kb, s->after.private_kb - s->before.private_kb,
		       s->after.fds, s->after.threads, t->answer);
	printf(", \"extra_ns\": %lld}", (long long)t->extra_ns);
}

static bool first_line = true;

static void next_line(void)
{
	printf(first_line ? "\n  " : ",\n  ");
	first_line = false;
}

static void print_error(struct target *t, int round, int r)
{
	next_line();
	printf("{\"target\": \"%s\", \"round\": %d, \"error\": \"%s\"}", t->name, round,
	       r == -ECHILD ? "the daemon died" : strerror(-r));
	fail(r, "%s", t->name);
}

/* round -1: to warm up, not printed */
static int sample(struct target *t, int round, double seconds)
{
	const struct work *w = t->bench->work;
	struct sample s = { 0 };
	int r = 0;

	alarm(STALL_LIMIT + seconds);
	t->extra_ns = 0;
	if (t->command) {
		target_watch(t);
		r = w->before ? w->before(t) : 0;
		r = r < 0 ? r : run_daemon(t, seconds, &s);
		if (r == 0 && w->after)
			r = w->after(t);
		target_watch(NULL);
	} else {
		r = w->host_before ? w->host_before(&t->host) : 0;
		r = r < 0 ? r : run_host(t, seconds, &s);
		if (r == 0 && w->host_after)
			r = w->host_after(&t->host);
	}
	alarm(0);
	if (r == 0 && round >= 0) {
		next_line();
		print_sample(t, round, &s);
	}
	return r;
}

/* A target that fails is left out from then on. */
static void drop(struct bench *b, struct target *t, int round, int r)
{
	unsigned int i = 0;

	print_error(t, round, r);
	(t->command ? target_stop : host_stop)(t);
	while (b->target[i] != t)
		i++;
	memmove(&b->target[i], &b->target[i + 1], (b->ntargets - i - 1) * sizeof(b->target[0]));
	b->ntargets--;
}

static void round_of(struct bench *b, int round, double seconds)
{
	struct target *order[TARGETS_MAX];
	unsigned int n = b->ntargets;

	memcpy(order, b->target, sizeof(order));
	for (unsigned int i = 0; i < n; i++) {
		struct target *t = order[round % 2 ? n - 1 - i : i];
		int r = sample(t, round, seconds);

		if (r < 0)
			drop(b, t, round, r);
	}
}

static void trace(struct bench *b)
{
	for (unsigned int i = 0; i < b->ntargets; i++) {
		struct target *t = b->target[i];
		struct strace *st;
		struct sample s = { 0 };
		int r;

		if (!t->command)
			continue;
		alarm(STALL_LIMIT);
		target_watch(t);
		r = b->work->before ? b->work->before(t) : 0;
		r = r < 0 ? r : strace_start(t, &st);
		if (r < 0) {
			print_error(t, 0, r);
			continue;
		}
		r = run_daemon(t, b->seconds, &s);
		next_line();
		printf("{\"target\": \"%s\", \"ops\": %llu, \"units\": %llu, \"syscalls\": ",
		       t->name, (unsigned long long)s.res.ops, (unsigned long long)s.res.units);
		strace_end(st, s.res.units ? s.res.units : s.res.ops, stdout);
		printf("}");
		if (r == 0 && b->work->after)
			r = b->work->after(t);
		target_watch(NULL);
		if (r < 0)
			print_error(t, 0, r);
		alarm(0);
	}
}

int sample_all(struct bench *b)
{
	first_line = true;
	printf("\"samples\": [");
	for (unsigned int i = 0; i < b->ntargets;) {
		struct target *t = b->target[i];
		int r = t->command ? target_start(t) : host_start(t);

		if (r < 0)
			drop(b, t, -1, r);
		else
			i++;
	}
	if (b->strace)
		trace(b);
	else
		for (int round = -1; round < (int)b->rounds; round++)
			round_of(b, round, round < 0 ? b->seconds / 2 : b->seconds);
	for (unsigned int i = 0; i < b->ntargets; i++)
		(b->target[i]->command ? target_stop : host_stop)(b->target[i]);
	printf("\n]");
	return 0;
}
