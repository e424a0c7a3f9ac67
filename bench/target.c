/* SPDX-License-Identifier: BSD-3-Clause */
/* Start a daemon by its command line, and the machine that uses it; end both. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "daemon.h"
#include "wait.h"

#define COMMAND_MAX 4096

/* What stands for a placeholder; NULL: not one. {NAME:text} is its text, with @ for the value,
 * if the cell has an option of that name, and else nothing. */
static const char *option_value(const struct bench *b, const char *name, size_t len)
{
	for (unsigned int i = 0; i < b->noptions; i++)
		if (!strncmp(b->option[i], name, len) && b->option[i][len] == '=')
			return b->option[i] + len + 1;
	return NULL;
}

static void append(char *to, const char *text, size_t len)
{
	size_t at = strlen(to);

	if (len >= COMMAND_MAX - at)
		len = COMMAND_MAX - 1 - at;
	memcpy(to + at, text, len);
	to[at + len] = '\0';
}

static void expand_option(struct target *t, const char *word, size_t len, char *to)
{
	size_t name = strcspn(word, ":");
	const char *value = option_value(t->bench, word, name);

	for (const char *s = word + name + 1; value && s < word + len; s++)
		append(to, *s == '@' ? value : s, *s == '@' ? strlen(value) : 1);
}

static void expand(struct target *t, char to[COMMAND_MAX])
{
	strcpy(to, "exec ");
	for (const char *s = t->command; *s;) {
		size_t n = strcspn(s, "{"), len;

		append(to, s, n);
		s += n;
		if (!*s)
			break;
		len = strcspn(s, "}") - 1;
		if (!strncmp(s, "{socket}", 8))
			append(to, t->socket, strlen(t->socket));
		else if (!strncmp(s, "{dir}", 5))
			append(to, t->bench->share, strlen(t->bench->share));
		else if (memchr(s, ':', len))
			expand_option(t, s + 1, len, to);
		else
			append(to, s, len + 2);
		s += len + (s[len + 1] ? 2 : 1);
	}
}

void cpus_pin(const struct bench *b, bool daemon)
{
	static cpu_set_t all;
	static bool known;
	cpu_set_t set;
	int first = -1, last = -1;

	if (!known)
		sched_getaffinity(0, sizeof(all), &all);
	known = true;
	for (int i = 0; i < CPU_SETSIZE; i++) {
		if (!CPU_ISSET(i, &all))
			continue;
		first = first < 0 ? i : first;
		last = i;
	}
	if (b->cpus == CPUS_ANY)
		return;
	CPU_ZERO(&set);
	CPU_SET(b->cpus == CPUS_EACH && !daemon ? first : last, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void run_child(struct target *t, const char *command, int parent)
{
	int log = open(t->log, O_WRONLY | O_CREAT | O_APPEND, 0644);
	int null = open("/dev/null", O_RDONLY);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	dup2(null, 0);
	dup2(log, 1);
	dup2(log, 2);
	cpus_pin(t->bench, true);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(126);
}

static int spawn(struct target *t)
{
	char command[COMMAND_MAX];
	int parent = getpid();

	expand(t, command);
	unlink(t->socket);
	t->pid = fork();
	if (t->pid == 0)
		run_child(t, command, parent);
	return t->pid < 0 ? -errno : 0;
}

static void show_log(struct target *t)
{
	FILE *f = fopen(t->log, "re");
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "  %s: %s", t->name, line);
	if (f)
		fclose(f);
}

static uint64_t memory_size(struct bench *b)
{
	uint64_t need = b->queues * (load_space(b->depth, b->work->data_max) + (1 << 20)) +
			load_forget_space() + (8 << 20);

	return (need + (1 << 21) - 1) & ~((1ull << 21) - 1);
}

static int connect_vm(struct target *t)
{
	struct bench *b = t->bench;
	struct vmm_opts o = { .request_queues = b->queues, .mem_size = memory_size(b) };
	int64_t deadline = wait_now_ms() + wait_scaled(10000);
	int status, r;

	while ((r = vmm_start(&t->vmm, t->socket, &o)) == -ENOENT || r == -ECONNREFUSED) {
		if (waitpid(t->pid, &status, WNOHANG) == t->pid) {
			t->pid = 0;
			return -ECHILD;
		}
		if (wait_now_ms() > deadline)
			return -ETIMEDOUT;
		wait_sleep_ms(5);
	}
	return r;
}

static int mount(struct target *t)
{
	struct fuse_init_out init;
	struct fuse_entry_out e;
	char own[64];
	int r = guest_attach(&t->guest, &t->vmm, 1, 1 << 20);

	if (r == 0)
		r = guest_init(&t->guest, 31, GUEST_INIT_FLAGS & UINT32_MAX, &init);
	if (r < 0)
		return r;
	if (t->bench->slowfs)
		return t->bench->work->mount ? t->bench->work->mount(t) : 0;
	snprintf(own, sizeof(own), "own-%s", t->name);
	r = guest_lookup(&t->guest, FUSE_ROOT_ID, own, &e);
	t->own = e.nodeid;
	if (r == 0 && t->bench->work->mount)
		r = t->bench->work->mount(t);
	return r;
}

static int make_lanes(struct target *t)
{
	struct bench *b = t->bench;
	int r = load_forget_init(&t->forget, &t->vmm);

	t->load = calloc(b->queues, sizeof(*t->load));
	if (!t->load)
		return -ENOMEM;
	for (unsigned int q = 0; q < b->queues && r == 0; q++) {
		struct load *ld = &t->load[q];

		r = load_init(ld, &t->vmm, 1 + q, b->depth, b->work->data_max, q * b->depth);
		ld->spin = b->spin;
		ld->step = b->work->step;
		ld->last = b->work->last;
		ld->arg = t;
		for (unsigned int i = 0; i < b->depth && r == 0; i++) {
			ld->lane[i].arg = t;
			ld->lane[i].call.in->uid = ld->lane[i].call.in->gid = b->uid;
			ld->lane[i].call.in->pid = 1;
		}
	}
	return r;
}

static struct target *volatile watched;

static void on_child(int number)
{
	struct target *t = watched;
	siginfo_t info = { 0 };
	int saved = errno;

	if (t && waitid(P_PID, t->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid) {
		t->forget.gone = true;
		eventfd_write(t->vmm.ring[0].call_fd, 1);
		for (unsigned int q = 0; q < t->bench->queues; q++) {
			t->load[q].gone = true;
			eventfd_write(t->load[q].ring->call_fd, 1);
		}
	}
	errno = saved;
}

void target_watch(struct target *t)
{
	struct sigaction act = { .sa_handler = on_child };

	watched = t;
	sigaction(SIGCHLD, &act, NULL);
	on_child(SIGCHLD);		/* it may be dead already */
}

int target_start(struct target *t)
{
	int r;

	snprintf(t->socket, sizeof(t->socket), "%s/%.24s.sock", t->bench->run, t->name);
	snprintf(t->log, sizeof(t->log), "%s/%.24s.log", t->bench->run, t->name);
	r = spawn(t);
	if (r == 0)
		r = connect_vm(t);
	if (r == 0)
		r = mount(t);
	if (r == 0)
		r = make_lanes(t);
	if (r < 0) {
		fail(r, "%s does not start or mount", t->name);
		show_log(t);
	}
	return r;
}

void target_stop(struct target *t)
{
	int64_t deadline = wait_now_ms() + wait_scaled(10000);
	pid_t pids[DAEMON_FAMILY_MAX];
	int status;

	if (t->load) {
		for (unsigned int q = 0; q < t->bench->queues; q++)
			load_free(&t->load[q]);
		guest_detach(&t->guest);
		vmm_stop(&t->vmm);
	}
	free(t->load);
	t->load = NULL;
	while (t->pid && waitpid(t->pid, &status, WNOHANG) != t->pid) {
		if (wait_now_ms() > deadline) {
			for (int n = daemon_family(t->pid, pids); n > 0; n--)
				kill(pids[n - 1], SIGKILL);
			waitpid(t->pid, &status, 0);
			break;
		}
		wait_sleep_ms(5);
	}
	t->pid = 0;
}

int host_start(struct target *t)
{
	struct host *h = &t->host;
	size_t pages = t->bench->work->data_max / PAGE;
	char own[256];

	*h = (struct host){ .bench = t->bench, .fd = -1, .random = 88172645463325252ull };
	snprintf(own, sizeof(own), "%s/own-%s", t->bench->share, t->name);
	h->share = open(t->bench->share, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	h->own = open(own, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (h->share < 0 || h->own < 0)
		return -errno;
	h->buf = mmap(NULL, (pages + 1) * LOAD_STRIDE, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	h->iov = calloc(pages + 1, sizeof(*h->iov));
	if (h->buf == MAP_FAILED || !h->iov)
		return -ENOMEM;
	for (size_t i = 0; i <= pages; i++)
		h->iov[i] = (struct iovec){ h->buf + i * LOAD_STRIDE, PAGE };
	return 0;
}

void host_stop(struct target *t)
{
	struct host *h = &t->host;

	close(h->share);
	close(h->own);
	munmap(h->buf, (t->bench->work->data_max / PAGE + 1) * LOAD_STRIDE);
	free(h->iov);
}
