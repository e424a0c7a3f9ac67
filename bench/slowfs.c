/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A FUSE file system with two files: "fast" is answered at once, each read of "slow" takes a
 * second. A process of its own serves it; reads are not cached by the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "wait.h"

#define SLOW_MS		1000
#define FILE_SIZE	(1u << 20)
#define BUF_SIZE	(FUSE_MIN_READ_BUFFER + (128u << 10))

enum { FAST_NODE = 2, SLOW_NODE };

struct slow_read {
	int dev;
	uint64_t unique;
	uint32_t size;
};

static void reply(int dev, uint64_t unique, int error, const void *body, size_t len)
{
	struct fuse_out_header h = { .len = sizeof(h) + len, .error = error, .unique = unique };
	struct iovec iov[2] = { { &h, sizeof(h) }, { (void *)body, len } };

	(void)!writev(dev, iov, len ? 2 : 1);
}

static struct fuse_attr attr_of(uint64_t node)
{
	bool dir = node == FUSE_ROOT_ID;

	return (struct fuse_attr){ .ino = node, .size = dir ? 0 : FILE_SIZE, .blksize = PAGE,
				   .mode = dir ? S_IFDIR | 0755 : S_IFREG | 0666,
				   .nlink = dir ? 2 : 1 };
}

static void reply_data(int dev, uint64_t unique, uint32_t size)
{
	static const char zeroes[128 << 10];

	reply(dev, unique, 0, zeroes, size < sizeof(zeroes) ? size : sizeof(zeroes));
}

static void *answer_late(void *arg)
{
	struct slow_read *s = arg;

	wait_sleep_ms(SLOW_MS);
	reply_data(s->dev, s->unique, s->size);
	free(s);
	return NULL;
}

static void serve_read(int dev, const struct fuse_in_header *h, const struct fuse_read_in *in)
{
	struct slow_read *s = h->nodeid == SLOW_NODE ? malloc(sizeof(*s)) : NULL;
	pthread_t thread;

	if (!s) {
		reply_data(dev, h->unique, in->size);
		return;
	}
	*s = (struct slow_read){ dev, h->unique, in->size };
	if (pthread_create(&thread, NULL, answer_late, s))
		abort();
	pthread_detach(thread);
}

static void serve_lookup(int dev, const struct fuse_in_header *h, const char *name)
{
	struct fuse_entry_out e = { .attr_valid = 3600, .entry_valid = 3600 };

	e.nodeid = !strcmp(name, SLOWFS_FAST) ? FAST_NODE :
		   !strcmp(name, SLOWFS_SLOW) ? SLOW_NODE : 0;
	e.attr = attr_of(e.nodeid);
	if (e.nodeid)
		reply(dev, h->unique, 0, &e, sizeof(e));
	else
		reply(dev, h->unique, -ENOENT, NULL, 0);
}

static void serve_init(int dev, const struct fuse_in_header *h)
{
	struct fuse_init_out out = { .major = 7, .minor = 31, .max_readahead = 128 << 10,
				     .flags = FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS,
				     .max_background = 64, .congestion_threshold = 48,
				     .max_write = 128 << 10 };

	reply(dev, h->unique, 0, &out, sizeof(out));
}

static void serve(int dev, const struct fuse_in_header *h)
{
	struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attr_of(h->nodeid) };
	struct fuse_open_out open = { .open_flags = FOPEN_DIRECT_IO };
	struct fuse_statfs_out statfs = { .st = { .bsize = PAGE, .frsize = PAGE,
						  .namelen = 255 } };

	switch (h->opcode) {
	case FUSE_INIT: return serve_init(dev, h);
	case FUSE_LOOKUP: return serve_lookup(dev, h, (const char *)(h + 1));
	case FUSE_GETATTR: return reply(dev, h->unique, 0, &attr, sizeof(attr));
	case FUSE_OPEN: return reply(dev, h->unique, 0, &open, sizeof(open));
	case FUSE_OPENDIR: return reply(dev, h->unique, 0, &open, sizeof(open));
	case FUSE_READ: return serve_read(dev, h, (const void *)(h + 1));
	case FUSE_STATFS: return reply(dev, h->unique, 0, &statfs, sizeof(statfs));
	case FUSE_READDIR:
	case FUSE_RELEASE:
	case FUSE_RELEASEDIR:
	case FUSE_FLUSH: return reply(dev, h->unique, 0, NULL, 0);
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT: return;
	default: return reply(dev, h->unique, -ENOSYS, NULL, 0);
	}
}

static void run_server(int dev)
{
	static _Alignas(8) char buf[BUF_SIZE];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		ssize_t n = read(dev, buf, sizeof(buf));

		if (n < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN))
			continue;
		if (n < (ssize_t)sizeof(struct fuse_in_header))
			_exit(0);
		serve(dev, (const struct fuse_in_header *)buf);
	}
}

int slowfs_mount(const char *where, int *ret_pid)
{
	char options[128];
	int dev = open("/dev/fuse", O_RDWR), pid;

	if (dev < 0)
		return fail(-errno, "/dev/fuse");
	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", dev);
	if (mount("vfsbench", where, "fuse", MS_NOSUID | MS_NODEV, options) < 0) {
		close(dev);
		return fail(-errno, "mount of a FUSE file system");
	}
	pid = fork();
	if (pid == 0)
		run_server(dev);
	close(dev);
	if (pid < 0) {
		umount2(where, MNT_DETACH);
		return -errno;
	}
	*ret_pid = pid;
	return 0;
}

void slowfs_unmount(const char *where, int pid)
{
	umount2(where, MNT_DETACH);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
