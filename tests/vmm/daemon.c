/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start, watch and end a daemon. It dies with the test (PDEATHSIG; also it stays in the test's
 * process group, which the test framework kills), and its files go with daemon_stop().
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "wait.h"

#define ARGV_MAX 64
#define ARG_MAX_LEN 512

int daemon_prepare(struct daemon *d)
{
	const char *top = getenv("VMM_TMPDIR");

	*d = (struct daemon){ .listen_fd = -1, .status = -1 };
	snprintf(d->dir, sizeof(d->dir), "%s/d.XXXXXX", top ? top : "/tmp");
	if (!mkdtemp(d->dir))
		return -errno;
	chmod(d->dir, 0755);
	snprintf(d->share, sizeof(d->share), "%s/share", d->dir);
	snprintf(d->socket, sizeof(d->socket), "%s/sock", d->dir);
	snprintf(d->log, sizeof(d->log), "%s/log", d->dir);
	snprintf(d->out, sizeof(d->out), "%s/out", d->dir);
	if (mkdir(d->share, 0755) < 0 || chmod(d->share, 0777) < 0)
		return -errno;
	return 0;
}

/* --- the command line --- */

struct argv {
	char text[ARGV_MAX][ARG_MAX_LEN];
	char *arg[ARGV_MAX + 1];
	int n;
};

/* Add an argument with {share}, {socket}, {dir} and {fd} filled in. */
static void argv_add(struct argv *a, struct daemon *d, const char *arg, size_t len)
{
	char fd[16];
	const struct { const char *key, *value; } words[] = {
		{ "{share}", d->share }, { "{socket}", d->socket }, { "{dir}", d->dir },
		{ "{fd}", fd },
	};
	const size_t n = sizeof(words) / sizeof(words[0]);
	char *to = a->text[a->n], *end = to + ARG_MAX_LEN - 1;

	if (a->n == ARGV_MAX)
		return;
	snprintf(fd, sizeof(fd), "%d", d->listen_fd);
	for (const char *s = arg; s < arg + len && to < end;) {
		size_t w = 0;

		while (w < n && strncmp(s, words[w].key, strlen(words[w].key)))
			w++;
		if (w == n) {
			*to++ = *s++;
			continue;
		}
		to = stpncpy(to, words[w].value, end - to);
		s += strlen(words[w].key);
	}
	*to = '\0';
	a->arg[a->n] = a->text[a->n];
	a->arg[++a->n] = NULL;
}

static void argv_add_list(struct argv *a, struct daemon *d, const char *const *list)
{
	for (; list && *list; list++)
		argv_add(a, d, *list, strlen(*list));
}

static void argv_add_words(struct argv *a, struct daemon *d, const char *s, bool inherit)
{
	char fd_arg[32];

	snprintf(fd_arg, sizeof(fd_arg), "--fd=%d", d->listen_fd);
	while (*s) {
		size_t n = strcspn(s, " ");
		bool socket_arg = memmem(s, n, "{socket}", 8);

		if (socket_arg && inherit)
			argv_add(a, d, fd_arg, strlen(fd_arg));
		else if (n)
			argv_add(a, d, s, n);
		s += n + (s[n] == ' ');
	}
}

static void argv_add_default(struct argv *a, struct daemon *d, bool inherit)
{
	const char *args = getenv("VIRTIOFSD_ARGS"), *more = getenv("VIRTIOFSD_OPTIONS");

	argv_add_words(a, d, args ? args : DAEMON_ARGS, inherit);
	argv_add_words(a, d, more ? more : "", inherit);
}

static int listen_socket(struct daemon *d)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(sa.sun_path, d->socket);
	if (s < 0)
		return -errno;
	if (bind(s, (struct sockaddr *)&sa, sizeof(sa)) < 0 || listen(s, 1) < 0) {
		int r = -errno;

		close(s);
		return r;
	}
	d->listen_fd = s;
	return 0;
}

static void run_child(struct daemon *d, char **argv, pid_t parent)
{
	int log = open(d->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int out = open(d->out, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(125);
	dup2(null, 0);
	dup2(out, 1);
	dup2(log, 2);
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	if (d->listen_fd >= 0)
		fcntl(d->listen_fd, F_SETFD, 0);
	signal(SIGPIPE, SIG_DFL);
	execvp(argv[0], argv);
	fprintf(stderr, "cannot run %s: %m\n", argv[0]);
	_exit(126);
}

static int wait_ready(struct daemon *d, const struct daemon_opts *o)
{
	int64_t deadline = wait_now_ms() + wait_scaled(10000);
	struct stat st;

	for (;;) {
		if (daemon_wait(d, 0) != -ETIMEDOUT)
			return -ECHILD;
		if (daemon_log_has(d, DAEMON_READY) &&
		    (o->inherit || stat(d->socket, &st) == 0))
			return 0;
		if (wait_now_ms() > deadline)
			return -ETIMEDOUT;
		wait_sleep_ms(1);
	}
}

int daemon_spawn(struct daemon *d, const struct daemon_opts *opts)
{
	struct daemon_opts o = opts ? *opts : (struct daemon_opts){ 0 };
	const char *program = getenv("VIRTIOFSD");
	struct argv *a = calloc(1, sizeof(*a));
	pid_t self = getpid();

	if (!a)
		return -ENOMEM;
	if (!program || !*program)
		program = getenv("VIRTIOFSD_BUILT");
	if (!program)
		program = "virtiofsd";
	if (o.inherit && d->listen_fd < 0 && listen_socket(d) < 0) {
		free(a);
		return -EADDRINUSE;
	}
	argv_add_list(a, d, o.wrap);
	argv_add(a, d, program, strlen(program));
	if (!o.only_args)
		argv_add_default(a, d, o.inherit);
	argv_add_list(a, d, o.args);

	d->status = -1;
	d->pid = fork();
	if (d->pid == 0)
		run_child(d, a->arg, self);
	free(a);
	if (d->pid < 0)
		return -errno;
	return o.only_args || o.no_wait ? 0 : wait_ready(d, &o);
}

int daemon_start(struct daemon *d, const struct daemon_opts *opts)
{
	int r = daemon_prepare(d);

	if (r == 0)
		r = daemon_spawn(d, opts);
	if (r < 0)
		fprintf(stderr, "# daemon not ready: %s\n%s", strerror(-r), daemon_log(d));
	return r;
}

int daemon_wait(struct daemon *d, int timeout_ms)
{
	int64_t deadline = wait_now_ms() + timeout_ms;
	int status;

	if (d->pid <= 0)
		return -ECHILD;
	while (d->status < 0) {
		if (waitpid(d->pid, &status, WNOHANG) == d->pid) {
			d->status = WIFEXITED(status) ? WEXITSTATUS(status)
						      : DAEMON_KILLED + WTERMSIG(status);
			break;
		}
		if (wait_now_ms() >= deadline)
			return -ETIMEDOUT;
		wait_sleep_ms(1);
	}
	return d->status;
}

void daemon_kill(struct daemon *d, int sig)
{
	if (d->pid > 0 && d->status < 0)
		kill(d->pid, sig);
}

void daemon_discard(struct daemon *d)
{
	if (d->pid > 0 && d->status < 0) {
		pid_t worker = daemon_worker(d);

		if (worker != d->pid)
			kill(worker, SIGKILL);
		kill(d->pid, SIGKILL);
		daemon_wait(d, wait_scaled(5000));
	}
	if (d->listen_fd >= 0)
		close(d->listen_fd);
	d->listen_fd = -1;
	free(d->text);
	d->text = NULL;
	daemon_remove_tree(d->dir);
}

int daemon_stop(struct daemon *d)
{
	int r = daemon_wait(d, wait_scaled(10000));

	if (daemon_log_sanitizer(d))
		r = -ENOTRECOVERABLE;
	if (r != 0)
		fprintf(stderr, "# the daemon ended with %d; its log:\n%s", r, daemon_log(d));
	daemon_discard(d);
	return r;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)remove(path);	/* what stays shows when its directory cannot go */
	return 0;
}

void daemon_remove_tree(const char *path)
{
	nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS);
}
