/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fd.h"
#include "base/recall.h"

void mounts_init(struct mounts *m, const struct arena *arena, uint64_t mnt_id,
		 int *fd)
{
	memset(m, 0, sizeof(*m));
	m->record = arena_section(arena, ARENA_MOUNTS);
	pthread_mutex_init(&m->lock, NULL);
	m->record[MOUNT_ROOT].mnt_id = mnt_id;
	m->record[MOUNT_ROOT].fd = fd_take(fd);
	m->n = 1;
}

/* All nodes are gone, and with them all mounts but the share's. */
void mounts_destroy(struct mounts *m)
{
	if (!m->record)
		return;
	(void)fd_close(&m->record[MOUNT_ROOT].fd);
	pthread_mutex_destroy(&m->lock);
	m->record = NULL;
}

/* The entry of the mount, or else a free one, or MOUNTS_MAX. Lock held. */
static uint32_t find(const struct mounts *m, uint64_t mnt_id)
{
	uint32_t spare = m->n;

	for (uint32_t i = 1; i < m->n; i++) {
		if (m->users[i] && m->record[i].mnt_id == mnt_id)
			return i;
		if (!m->users[i])
			spare = i;
	}
	return spare;
}

/*
 * Only directories and regular files may be opened on the host at all.
 * syscalls: fstat openat
 */
static int open_on_mount(int path_fd)
{
	struct stat st;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode))
		return -EAGAIN; /* another node of the mount will do */
	return fd_openat(AT_FDCWD, fd_name(path_fd).s, O_RDONLY | O_NONBLOCK, 0);
}

/* Counts in one more user of an entry that is there. */
static bool join(struct mounts *m, uint64_t mnt_id, uint32_t *ret_index)
{
	uint32_t i = find(m, mnt_id);

	*ret_index = i;
	if (i == m->n || !m->users[i])
		return false;
	m->users[i]++;
	return true;
}

/* *fd is taken if the entry is new. Lock held. */
static int join_or_make(struct mounts *m, uint64_t mnt_id, int *fd)
{
	uint32_t i;

	if (join(m, mnt_id, &i))
		return (int)i;
	if (i == MOUNTS_MAX)
		return -ENOSPC;
	m->record[i].mnt_id = mnt_id;
	m->record[i].fd = fd_take(fd);
	m->users[i] = 1;
	if (i == m->n)
		m->n++;
	return (int)i;
}

int mounts_get(struct mounts *m, uint64_t mnt_id, int path_fd)
{
	_cleanup_close_ int fd = -1;
	uint32_t i;
	bool found;
	int r;

	if (mnt_id == m->record[MOUNT_ROOT].mnt_id)
		return m->record[MOUNT_ROOT].fd >= 0 ? (int)MOUNT_ROOT :
						       -EOPNOTSUPP;
	pthread_mutex_lock(&m->lock);
	found = join(m, mnt_id, &i);
	pthread_mutex_unlock(&m->lock);
	if (found)
		return (int)i;
	/* Not with the lock held: who knows how long the host takes. */
	fd = open_on_mount(path_fd);
	if (fd < 0)
		return fd;
	pthread_mutex_lock(&m->lock);
	r = join_or_make(m, mnt_id, &fd);
	pthread_mutex_unlock(&m->lock);
	return r;
}

/* syscalls: statx */
static bool is_on_mount(int fd, uint64_t mnt_id)
{
	struct statx stx;

	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID,
		     &stx) == 0 &&
	       stx.stx_mnt_id == mnt_id;
}

bool mounts_attach_user(struct mounts *m, uint32_t index, uint64_t mnt_id)
{
	struct mount_record *rec = &m->record[index];

	if (index >= MOUNTS_MAX || rec->mnt_id != mnt_id)
		return false;
	if (index == MOUNT_ROOT)
		return rec->fd >= 0;
	if (!m->users[index] && (rec->fd <= 0 || !is_on_mount(rec->fd, mnt_id) ||
				 recall_fd(rec->fd) < 0))
		return false;
	m->users[index]++;
	if (index >= m->n)
		m->n = index + 1;
	return true;
}

void mounts_attach_end(struct mounts *m)
{
	for (uint32_t i = 1; i < MOUNTS_MAX; i++)
		if (!m->users[i])
			m->record[i].fd = 0;
}

void mounts_put(struct mounts *m, uint32_t index, int *ret_fd)
{
	struct mount_record *rec = &m->record[index];

	if (index == MOUNT_ROOT)
		return;
	pthread_mutex_lock(&m->lock);
	if (--m->users[index] == 0) {
		*ret_fd = rec->fd;
		rec->fd = 0;
	}
	pthread_mutex_unlock(&m->lock);
}
