/* SPDX-License-Identifier: BSD-3-Clause */
/* What checks set up with and look with. */
#include <dirent.h>
#include <grp.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "posix.h"

#define SHOWN 4000

char *const volatile nowhere = (char *)16;

static void must(const char *what, const char *path, long r)
{
	char step[128];

	if (r >= 0)
		return;
	snprintf(step, sizeof(step), "set-up: %s %.80s", what, path);
	step_ok(step, r);
	_exit(0);
}

int opened(const char *path, int flags)
{
	long fd = R(open(path, flags, 0644));

	must("open", path, fd);
	return (int)fd;
}

void put_mode(const char *path, const char *text, mode_t m)
{
	int fd = opened(path, O_WRONLY | O_CREAT | O_TRUNC);

	must("write", path, R(write(fd, text, strlen(text))));
	must("chmod", path, R(fchmod(fd, m)));
	close(fd);
}

void put(const char *path, const char *text)
{
	put_mode(path, text, 0644);
}

void dir(const char *path, mode_t m)
{
	must("mkdir", path, R(mkdir(path, 0755)));
	must("chmod", path, R(chmod(path, m)));
}

int child_begin(uid_t u, gid_t g, gid_t more)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		alarm(20);
		if (u || g) {
			must("setgroups", "", R(setgroups(more ? 1 : 0, &more)));
			must("setresgid", "", R(setresgid(g, g, g)));
			must("setresuid", "", R(setresuid(u, u, u)));
		}
		return 1;
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		step_text("child", sigabbrev_np(WTERMSIG(status)));
	return 0;
}

void child_end(void)
{
	_exit(0);
}

static const char *kind_of(mode_t m)
{
	switch (m & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "dir";
	case S_IFLNK: return "link";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	case S_IFCHR: return "chr";
	case S_IFBLK: return "blk";
	}
	return "unknown";
}

const char *kind(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? "none" : kind_of(st.st_mode);
}

#define VIEW(type, name, value)                                                          \
	type name(const char *path)                                                      \
	{                                                                                \
		struct stat st;                                                          \
		return lstat(path, &st) < 0 ? (type)-1 : (type)(value);                  \
	}

VIEW(int, mode, st.st_mode & 07777)
VIEW(long, nlink, st.st_nlink)
VIEW(long, size, st.st_size)
VIEW(long, uid, st.st_uid)
VIEW(long, gid, st.st_gid)
VIEW(ino_t, ino, st.st_ino)

#define FD_VIEW(type, name, value)                                                       \
	type name(int fd)                                                                \
	{                                                                                \
		struct stat st;                                                          \
		return fstat(fd, &st) < 0 ? (type)-1 : (type)(value);                    \
	}

FD_VIEW(int, fd_mode, st.st_mode & 07777)
FD_VIEW(long, fd_nlink, st.st_nlink)
FD_VIEW(long, fd_size, st.st_size)

bool same(const char *a, const char *b)
{
	struct stat s, t;

	return lstat(a, &s) == 0 && lstat(b, &t) == 0 && s.st_dev == t.st_dev &&
	       s.st_ino == t.st_ino;
}

/* Several texts can be used in one expression. */
static char *room(void)
{
	static char texts[4][SHOWN + 1];
	static unsigned int next;

	return texts[next++ % ARRAY_SIZE(texts)];
}

static const char *failure(char *buf)
{
	snprintf(buf, SHOWN, "(%s)", strerrorname_np(errno));
	return buf;
}

const char *fd_content(int fd, off_t at, size_t len)
{
	char *buf = room();
	ssize_t n = pread(fd, buf, len < SHOWN ? len : SHOWN, at);

	if (n < 0)
		return failure(buf);
	for (ssize_t i = 0; i < n; i++)
		if (!buf[i])
			buf[i] = '~';   /* a hole shows as that */
	buf[n] = 0;
	return buf;
}

const char *content(const char *path)
{
	int fd = open(path, O_RDONLY | O_NONBLOCK);
	const char *s;

	if (fd < 0)
		return failure(room());
	s = fd_content(fd, 0, SHOWN);
	close(fd);
	return s;
}

const char *target(const char *link)
{
	char *buf = room();
	ssize_t n = readlink(link, buf, SHOWN);

	if (n < 0)
		return failure(buf);
	buf[n] = 0;
	return buf;
}

static int without_dots(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

const char *listing(const char *path)
{
	struct dirent **names;
	char *buf = room();
	size_t len = 0;
	int n = scandir(path, &names, without_dots, by_bytes);

	if (n < 0)
		return failure(buf);
	buf[0] = 0;
	for (int i = 0; i < n; i++) {
		len += (size_t)snprintf(buf + len, SHOWN - len, "%s%s", i ? " " : "",
					names[i]->d_name);
		if (len > SHOWN)
			len = SHOWN;
		free(names[i]);
	}
	free(names);
	return buf;
}

static struct times times_in(int r, const struct stat *st)
{
	struct times t = { 0 };

	if (r == 0) {
		t.t[0] = st->st_atim;
		t.t[1] = st->st_mtim;
		t.t[2] = st->st_ctim;
	}
	return t;
}

struct times times(const char *path)
{
	struct stat st;
	int r = lstat(path, &st);

	return times_in(r, &st);
}

struct times fd_times(int fd)
{
	struct stat st;
	int r = fstat(fd, &st);

	return times_in(r, &st);
}

static const char *difference(const struct times *a, const struct times *b)
{
	static const char *const names[] = { "atime", "mtime", "ctime" };
	char *buf = room();

	buf[0] = 0;
	for (int i = 0; i < 3; i++) {
		if (a->t[i].tv_sec == b->t[i].tv_sec && a->t[i].tv_nsec == b->t[i].tv_nsec)
			continue;
		if (*buf)
			strcat(buf, " ");
		strcat(buf, names[i]);
	}
	return *buf ? buf : "nothing";
}

const char *moved(const struct times *since, const char *path)
{
	struct times now = times(path);

	return difference(since, &now);
}

const char *fd_moved(const struct times *since, int fd)
{
	struct times now = fd_times(fd);

	return difference(since, &now);
}

void nap(int ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L };

	nanosleep(&ts, NULL);
}

void tick(void)
{
	nap(12);
}

char *fill(char c, size_t n)
{
	static char *text;

	free(text);
	text = malloc(n + 1);
	memset(text, c, n);
	text[n] = 0;
	return text;
}
