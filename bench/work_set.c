/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "work_step.h"

int hold_room(struct target *t, uint64_t n)
{
	free(t->held);
	t->held = calloc(n, sizeof(*t->held));
	t->held_max = n;
	t->nheld = 0;
	return t->held ? 0 : -ENOMEM;
}

int forget_held(struct target *t)
{
	uint64_t n = t->nheld < t->held_max ? t->nheld : t->held_max;

	for (uint64_t i = 0; i < n; i++)
		load_forget(&t->forget, t->held[i], 1);
	load_forget_drain(&t->forget);
	t->nheld = 0;
	return 0;
}

int mount_names(struct target *t, const char *name, char kind, unsigned int n)
{
	struct fuse_entry_out e;
	char file[16];
	int r = guest_lookup(&t->guest, FUSE_ROOT_ID, name, &e);

	t->dir = e.nodeid;
	free(t->node);
	free(t->looked);
	t->node = calloc(n + 1, sizeof(*t->node));
	t->looked = calloc(n + 1, sizeof(*t->looked));
	if (!t->node || !t->looked)
		return -ENOMEM;
	for (unsigned int i = 0; i < n && r == 0; i++) {
		name_of(file, kind, i);
		r = guest_lookup(&t->guest, t->dir, file, &e);
		t->node[i] = e.nodeid;
	}
	return r;
}

int restart(struct target *t)
{
	t->cursor = 0;
	t->nheld = 0;
	return 0;
}

int host_restart(struct host *h)
{
	h->pos = 0;
	return 0;
}

int host_look(int dir, const char *path)
{
	int fd = openat(dir, path, O_PATH | O_NOFOLLOW | O_CLOEXEC), r;
	struct statx stx;

	if (fd < 0)
		return -errno;
	r = statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) ? -errno : 1;
	close(fd);
	return r;
}

int host_opendir(struct host *h, const char *name)
{
	int fd = openat(h->share, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}
