/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * vfsbench - one workload at one depth, by any daemons and by plain system calls, side by side
 *
 * Writes JSON with every sample on standard output. run.py calls it for many cells and makes
 * tables of what it says.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench.h"
#include "daemon.h"

static const char usage[] =
"vfsbench --dir=DIR --work=NAME --daemon='NAME=COMMAND LINE' ... [OPTION ...]\n"
"  --daemon=NAME=LINE  a daemon; LINE goes to sh; {socket} and {dir} are filled in, {X:TEXT} is\n"
"                      TEXT (@ in it: the value) in cells with --set=X=VALUE, and else nothing\n"
"  --plain             the same work by plain system calls too\n"
"  --dir=DIR           the share is made there\n"
"  --work=NAME         the workload; --list shows all\n"
"  --depth=N           operations in flight on each queue (1)\n"
"  --queues=N          request queues, each with a thread of the driver (1)\n"
"  --wait=sleep|poll   how the driver waits: on its eventfd, or polling the ring (sleep)\n"
"  --cpus=one|each|any driver and daemon on one CPU, on a CPU each, or anywhere (any)\n"
"  --rounds=N          samples of each (5), --seconds=S long (0.5)\n"
"  --strace            count system calls in place of samples\n"
"  --max-ops=N         operations of a sample on each queue, at most\n"
"  --uid=N             the user that the requests come from (0)\n"
"  --nodes=N           how many the workload \"nodes\" holds (900000)\n"
"  --set=X=VALUE       see --daemon\n"
"  --quick             small sets of files\n";

int fail(int r, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	fprintf(stderr, "vfsbench: ");
	vfprintf(stderr, format, ap);
	fprintf(stderr, ": %s\n", strerror(-r));
	va_end(ap);
	return r;
}

static void list(void)
{
	for (unsigned int i = 0; works[i]; i++)
		printf("%-14s %-8s %s\n", works[i]->name, works[i]->unit, works[i]->what);
}

static const struct work *find_work(const char *name)
{
	for (unsigned int i = 0; works[i]; i++)
		if (!strcmp(works[i]->name, name))
			return works[i];
	return NULL;
}

static int add_target(struct bench *b, const char *text)
{
	struct target *t = calloc(1, sizeof(*t));
	const char *eq = text ? strchr(text, '=') : NULL;

	if (!t || b->ntargets == TARGETS_MAX || (text && !eq)) {
		free(t);
		return -EINVAL;
	}
	t->bench = b;
	t->name = text ? strndup(text, eq - text) : strdup("plain");
	t->command = text ? eq + 1 : NULL;
	t->lock_fd = -1;
	b->all[b->nall++] = b->target[b->ntargets++] = t;
	return 0;
}

static int set_word(const char *value, const char *const *words)
{
	for (int i = 0; words[i]; i++)
		if (!strcmp(value, words[i]))
			return i;
	return -EINVAL;
}

static int set_option(struct bench *b, int c, const char *v)
{
	static const char *const waits[] = { "sleep", "poll", NULL };
	static const char *const cpus[] = { "one", "each", "any", NULL };
	int r = 0;

	switch (c) {
	case 'D': return add_target(b, v);
	case 'p': return add_target(b, NULL);
	case 'd': b->dir = v; break;
	case 'w': b->work = find_work(v); return b->work ? 0 : -EINVAL;
	case 'n': b->depth = atoi(v); return b->depth > 0 && b->depth <= 512 ? 0 : -EINVAL;
	case 'q': b->queues = atoi(v); return b->queues > 0 && b->queues < 32 ? 0 : -EINVAL;
	case 'W': r = set_word(v, waits); b->spin = r == 1; break;
	case 'c': r = set_word(v, cpus); b->cpus = r; break;
	case 'r': b->rounds = atoi(v); break;
	case 's': b->seconds = atof(v); break;
	case 't': b->strace = true; break;
	case 'm': b->max_ops = atoll(v); break;
	case 'u': b->uid = atoi(v); break;
	case 'N': b->scale.nodes = atoll(v); break;
	case 'S':
		if (b->noptions == SETS_MAX)
			return -EINVAL;
		b->option[b->noptions++] = v;
		break;
	case 'Q': b->quick = true; break;
	default: return -EINVAL;
	}
	return r < 0 ? r : 0;
}

static int parse(struct bench *b, int argc, char **argv)
{
	static const struct option longs[] = {
		{ "daemon", 1, NULL, 'D' }, { "plain", 0, NULL, 'p' }, { "dir", 1, NULL, 'd' },
		{ "work", 1, NULL, 'w' }, { "depth", 1, NULL, 'n' },
		{ "queues", 1, NULL, 'q' }, { "wait", 1, NULL, 'W' },
		{ "cpus", 1, NULL, 'c' }, { "rounds", 1, NULL, 'r' },
		{ "seconds", 1, NULL, 's' }, { "strace", 0, NULL, 't' },
		{ "max-ops", 1, NULL, 'm' }, { "uid", 1, NULL, 'u' },
		{ "nodes", 1, NULL, 'N' }, { "set", 1, NULL, 'S' }, { "quick", 0, NULL, 'Q' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		int r = set_option(b, c, optarg);

		if (r < 0 && c != '?')
			fprintf(stderr, "vfsbench: %s: not a good value\n", optarg);
		if (r < 0)
			return r;
	}
	return b->work && b->dir && b->ntargets && optind == argc ? 0 : -EINVAL;
}

static int make_share(struct bench *b)
{
	const char *tmp = getenv("TMPDIR");
	int r = 0;

	snprintf(b->top, sizeof(b->top), "%s/vfsbench.XXXXXX", b->dir);
	snprintf(b->run, sizeof(b->run), "%.40s/vfsb.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(b->top) || !mkdtemp(b->run))
		return fail(-errno, "a folder in %s", b->dir);
	snprintf(b->share, sizeof(b->share), "%s/share", b->top);
	umask(022);
	if (chmod(b->top, 0755) < 0 || mkdir(b->share, 0755) < 0)
		return fail(-errno, "%s", b->share);
	for (unsigned int i = 0; i < b->ntargets; i++) {
		char path[256];

		snprintf(path, sizeof(path), "%s/own-%s", b->share, b->target[i]->name);
		if (mkdir(path, 0777) < 0 || chmod(path, 0777) < 0)
			return fail(-errno, "%s", path);
	}
	if (b->work->make)
		r = b->work->make(b);
	return r < 0 ? fail(r, "files in %s", b->share) : 0;
}

static void remove_share(struct bench *b)
{
	if (b->slowfs)
		slowfs_unmount(b->share, b->slowfs);
	daemon_remove_tree(b->top);
	daemon_remove_tree(b->run);
}

static struct bench *running;

/* Whatever hangs ends here; the daemons die with their parent. */
static void stalled(int number)
{
	static const char text[] = "vfsbench: a sample does not come to its end\n";

	if (number == SIGALRM)
		(void)!write(2, text, sizeof(text) - 1);
	remove_share(running);
	_exit(3);
}

static void print_head(const struct bench *b)
{
	static const char *const cpus[] = { "one", "each", "any" };

	printf("{\"work\": \"%s\", \"unit\": \"%s\", \"unit_bytes\": %u, \"depth\": %u, "
	       "\"queues\": %u, \"wait\": \"%s\", \"cpus\": \"%s\", \"uid\": %u, ",
	       b->work->name, b->work->unit, b->work->unit_bytes, b->depth, b->queues,
	       b->spin ? "poll" : "sleep", cpus[b->cpus], b->uid);
	printf("\"seconds\": %g, \"rounds\": %u, \"dir\": \"%s\", \"set\": [", b->seconds,
	       b->rounds, b->dir);
	for (unsigned int i = 0; i < b->noptions; i++)
		printf("%s\"%s\"", i ? ", " : "", b->option[i]);
	printf("],\n ");
}

static void set_scale(struct bench *b)
{
	uint64_t nodes = b->scale.nodes;

	/* what is held at a time fits into a limit of 20000 descriptors, "nodes" apart */
	b->scale = (struct scale){ .data = 64 << 20, .hot = 1024, .cold = 12000, .dirs = 32,
				   .entries = 400, .fanout = 8, .leaves = 20, .untar = 4000,
				   .nodes = nodes ? nodes : 900000 };
	if (b->quick || b->strace)
		b->scale = (struct scale){ .data = 4 << 20, .hot = 64, .cold = 500, .dirs = 4,
					   .entries = 200, .fanout = 3, .leaves = 5,
					   .untar = 100, .nodes = nodes ? nodes : 3000 };
	if (b->strace && !b->max_ops)
		b->max_ops = 2000;
	if (b->strace)
		b->seconds = 60;
}

static void free_targets(struct bench *b)
{
	for (unsigned int i = 0; i < b->nall; i++) {
		struct target *t = b->all[i];

		free((char *)t->name);
		free(t->node);
		free(t->looked);
		free(t->held);
		free(t->stack);
		free(t);
	}
}

int main(int argc, char **argv)
{
	struct bench b = { .depth = 1, .queues = 1, .rounds = 5, .seconds = 0.5,
			   .cpus = CPUS_ANY };
	struct rlimit files = { 1000000, 1000000 };
	int r;

	if (argc == 2 && !strcmp(argv[1], "--list")) {
		list();
		return 0;
	}
	if (parse(&b, argc, argv) < 0) {
		fputs(usage, stderr);
		return 2;
	}
	if (b.depth < b.work->min_depth)
		b.depth = b.work->min_depth;
	set_scale(&b);
	if (b.work->option && b.noptions < SETS_MAX)
		b.option[b.noptions++] = b.work->option;
	setrlimit(RLIMIT_NOFILE, &files);
	cpus_pin(&b, false);
	running = &b;
	for (int i = 0; i < 4; i++)
		signal((int[]){ SIGALRM, SIGINT, SIGTERM, SIGHUP }[i], stalled);
	r = make_share(&b);
	if (r == 0) {
		print_head(&b);
		r = sample_all(&b);
		printf("}\n");
	}
	remove_share(&b);
	free_targets(&b);
	return r < 0 ? 1 : 0;
}
