/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Agent of the test guest: its pid 1 once the init script has run.
 *
 * It serves one byte stream (a virtio-serial port) to vm.py on the host. Both
 * directions carry frames: type, id, length (struct frame, little-endian) and
 * then the payload.
 *
 *   host -> guest   'R' run a command line with bash, stdin/out/err are pipes
 *                   'T' run it on a terminal of its own; payload: rows, cols
 *                       (u16 each), then the command line; empty: a shell
 *                   'I' input for it; an empty payload closes its input
 *                   'W' new window size: rows, cols
 *                   'K' send signal (u32) to its whole session
 *   guest -> host   'H' the agent has started; the payload is hello[]
 *                   'O' 'E' output and error output of a command
 *                   'X' it has ended: its exit status (u32), 128 + N if a
 *                       signal N ended it; always the last frame of that id
 *
 * The id is chosen by the host; commands with different ids run side by side.
 * After a reset of the guest the host finds the new stream by hello[].
 *
 * As pid 1 it collects orphans and takes the signals of busybox's poweroff
 * (SIGUSR2), halt (SIGUSR1) and reboot (SIGTERM).
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define JOB_MAX 32
#define PAYLOAD_MAX (1u << 20)
#define CHUNK 32768

struct frame {
	uint8_t type;
	uint8_t pad;
	uint16_t id;
	uint32_t len;
};

/* A command that runs, or has ended with output still to be sent. */
struct job {
	pid_t pid;              /* 0: this slot is free */
	uint16_t id;
	int in, out, err;       /* our ends of its pipes, or one terminal; -1: closed */
	int status;             /* of waitpid(), valid once ended is set */
	int ended;
};

static const char hello[] = "virtiofsd-guest-agent-1";

static struct job jobs[JOB_MAX];
static int port;                /* the stream to the host */
static sigset_t old_mask;       /* for the commands: as it was before main() */

static void write_all(int fd, const void *buf, size_t len)
{
	const char *p = buf;

	while (len > 0) {
		ssize_t n = write(fd, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, 1000);
		} else if (n < 0 && errno != EINTR) {
			return;         /* nobody listens any more */
		}
	}
}

static void send_frame(char type, uint16_t id, const void *buf, size_t len)
{
	static char out[sizeof(struct frame) + CHUNK];
	struct frame f = { .type = (uint8_t)type, .id = id, .len = (uint32_t)len };

	memcpy(out, &f, sizeof(f));
	memcpy(out + sizeof(f), buf, len);
	write_all(port, out, sizeof(f) + len);
}

/* Blocks until len bytes are there; while no host is connected, reads give 0. */
static void read_all(int fd, void *buf, size_t len)
{
	char *p = buf;

	while (len > 0) {
		ssize_t n = read(fd, p, len);

		if (n > 0) {
			p += n;
			len -= (size_t)n;
		} else {
			usleep(10000);
		}
	}
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static struct job *job_find(uint16_t id)
{
	for (size_t i = 0; i < JOB_MAX; i++)
		if (jobs[i].pid != 0 && jobs[i].id == id)
			return &jobs[i];
	return NULL;
}

static void exec_shell(const char *cmd)
{
	sigprocmask(SIG_SETMASK, &old_mask, NULL);
	if (cmd[0] != '\0')
		execl("/bin/bash", "bash", "-c", cmd, (char *)NULL);
	else
		execl("/bin/bash", "-bash", (char *)NULL);
	_exit(127);
}

static int job_start_pipes(struct job *j, const char *cmd)
{
	int in[2], out[2], err[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0 ||
	    pipe2(err, O_CLOEXEC) < 0)
		return -errno;
	j->pid = fork();
	if (j->pid == 0) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		exec_shell(cmd);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	j->in = in[1];
	j->out = out[0];
	j->err = err[0];
	return j->pid < 0 ? -errno : 0;
}

static int job_start_tty(struct job *j, const char *buf, size_t len)
{
	struct winsize ws = { 0 };
	uint16_t size[2] = { 24, 80 };
	int tty;

	if (len < sizeof(size))
		return -EINVAL;
	memcpy(size, buf, sizeof(size));
	ws.ws_row = size[0];
	ws.ws_col = size[1];
	j->pid = forkpty(&tty, NULL, NULL, &ws);
	if (j->pid == 0)
		exec_shell(buf + sizeof(size));
	fcntl(tty, F_SETFD, FD_CLOEXEC);
	j->in = j->out = tty;
	j->err = -1;
	return j->pid < 0 ? -errno : 0;
}

static void set_nonblock(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* buf: the payload, with a NUL behind it. */
static void job_start(const struct frame *f, const char *buf)
{
	uint32_t failed = 126;
	int r = -ENFILE;

	for (size_t i = 0; i < JOB_MAX && r == -ENFILE; i++) {
		struct job *j = &jobs[i];

		if (j->pid != 0)
			continue;
		*j = (struct job){ .id = f->id };
		r = f->type == 'R' ? job_start_pipes(j, buf) : job_start_tty(j, buf, f->len);
		if (r < 0) {
			j->pid = 0;
			continue;
		}
		set_nonblock(j->in);
		set_nonblock(j->out);
		set_nonblock(j->err);
	}
	if (r < 0)
		send_frame('X', f->id, &failed, sizeof(failed));
}

/* Sends on one piece of what is there; closes *fd at its end. 1: there may be more. */
static int job_output(struct job *j, char type, int *fd)
{
	static char buf[CHUNK];
	ssize_t n;

	if (*fd < 0)
		return 0;
	n = read(*fd, buf, sizeof(buf));
	if (n > 0) {
		send_frame(type, j->id, buf, (size_t)n);
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (*fd == j->in)               /* a terminal; EIO: its other side is gone */
		j->in = -1;
	close_fd(fd);
	return 0;
}

/* What a background process writes later is not waited for. */
static void job_finish(struct job *j)
{
	uint32_t status = WIFEXITED(j->status) ? (uint32_t)WEXITSTATUS(j->status)
					       : 128u + (uint32_t)WTERMSIG(j->status);

	while (job_output(j, 'O', &j->out))
		;
	while (job_output(j, 'E', &j->err))
		;
	if (j->in == j->out)
		j->in = -1;
	close_fd(&j->in);
	close_fd(&j->out);
	close_fd(&j->err);
	send_frame('X', j->id, &status, sizeof(status));
	j->pid = 0;
}

/* Takes the output off a command that must write before it reads on. */
static void job_input(struct job *j, const char *buf, size_t len)
{
	if (len == 0 && j->in != j->out)
		close_fd(&j->in);
	while (len > 0 && j->in >= 0) {
		ssize_t n = write(j->in, buf, len);

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			struct pollfd p[] = {
				{ .fd = j->in, .events = POLLOUT },
				{ .fd = j->out, .events = POLLIN },
				{ .fd = j->err, .events = POLLIN },
			};

			poll(p, ARRAY_SIZE(p), 1000);
			job_output(j, 'O', &j->out);
			job_output(j, 'E', &j->err);
		} else if (n < 0 && errno != EINTR) {
			return;         /* it reads no more */
		}
	}
}

static void port_read(void)
{
	static char buf[PAYLOAD_MAX + 1];
	struct frame f;
	struct job *j;
	uint16_t size[2];
	uint32_t sig;

	read_all(port, &f, sizeof(f));
	if (f.len > PAYLOAD_MAX)
		abort();
	read_all(port, buf, f.len);
	buf[f.len] = '\0';
	if (f.type == 'R' || f.type == 'T') {
		job_start(&f, buf);
		return;
	}
	j = job_find(f.id);
	if (!j)
		return;
	if (f.type == 'I') {
		job_input(j, buf, f.len);
	} else if (f.type == 'W' && f.len == sizeof(size)) {
		memcpy(size, buf, sizeof(size));
		ioctl(j->out, TIOCSWINSZ, &(struct winsize){ .ws_row = size[0], .ws_col = size[1] });
	} else if (f.type == 'K' && f.len == sizeof(sig)) {
		memcpy(&sig, buf, sizeof(sig));
		kill(-j->pid, (int)sig);
	}
}

static void reap(void)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < JOB_MAX; i++)
			if (jobs[i].pid == pid) {
				jobs[i].status = status;
				jobs[i].ended = 1;
			}
}

static void signal_read(int sfd)
{
	struct signalfd_siginfo si;

	if (read(sfd, &si, sizeof(si)) != (ssize_t)sizeof(si))
		return;
	if (si.ssi_signo == SIGCHLD) {
		reap();
		return;
	}
	sync();
	reboot(si.ssi_signo == SIGTERM ? RB_AUTOBOOT : RB_POWER_OFF);
}

static int signals_open(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, &old_mask);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void serve(int sfd)
{
	struct pollfd p[2 + 2 * JOB_MAX] = {
		{ .fd = port, .events = POLLIN },
		{ .fd = sfd, .events = POLLIN },
	};

	for (size_t i = 0; i < JOB_MAX; i++) {
		struct job *j = &jobs[i];

		p[2 + 2 * i] = (struct pollfd){ .fd = j->pid ? j->out : -1, .events = POLLIN };
		p[3 + 2 * i] = (struct pollfd){ .fd = j->pid ? j->err : -1, .events = POLLIN };
	}
	if (poll(p, ARRAY_SIZE(p), -1) < 0)
		return;
	if (p[1].revents)
		signal_read(sfd);
	for (size_t i = 0; i < JOB_MAX; i++) {
		struct job *j = &jobs[i];

		if (j->pid && p[2 + 2 * i].revents)
			job_output(j, 'O', &j->out);
		if (j->pid && p[3 + 2 * i].revents)
			job_output(j, 'E', &j->err);
		if (j->pid && j->ended)
			job_finish(j);
	}
	if (p[0].revents & POLLIN)
		port_read();
	else if (p[0].revents)
		usleep(100000);         /* no host for now */
}

int main(int argc, char **argv)
{
	int sfd = signals_open();

	if (argc != 2)
		return 2;
	port = open(argv[1], O_RDWR | O_CLOEXEC);
	if (port < 0) {
		perror(argv[1]);
		return 1;
	}
	send_frame('H', 0, hello, sizeof(hello) - 1);
	for (;;)
		serve(sfd);
}
