/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/share.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/fd.h"
#include "wire/fuse.h"

#define DAY_SEC 86400U

/* What each cache mode means. timeout= and readdirplus override. */
static const struct {
	uint32_t valid_sec;
	bool readdirplus;
	uint32_t open_flags, opendir_flags;
} modes[] = {
	[CACHE_NEVER] = { 0, false, FOPEN_DIRECT_IO, 0 },
	[CACHE_METADATA] = { DAY_SEC, true, FOPEN_DIRECT_IO,
			     FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
	[CACHE_AUTO] = { 1, true, 0, 0 },
	[CACHE_ALWAYS] = { DAY_SEC, true, FOPEN_KEEP_CACHE,
			   FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
};

int share_open(const char *path)
{
	return fd_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
}

static void policy_init(struct cache_policy *p, const struct config *cfg)
{
	p->valid_sec = modes[cfg->cache].valid_sec;
	p->valid_nsec = 0;
	if (cfg->timeout >= 0) {
		p->valid_sec = (uint64_t)cfg->timeout;
		p->valid_nsec = (uint32_t)((cfg->timeout -
					    (double)p->valid_sec) * 1e9);
	}
	p->readdirplus = modes[cfg->cache].readdirplus;
	if (cfg->readdirplus != CHOICE_AUTO)
		p->readdirplus = cfg->readdirplus == CHOICE_YES;
	p->open_flags = modes[cfg->cache].open_flags;
	p->opendir_flags = modes[cfg->cache].opendir_flags;
}

int fs_init(struct fs *fs, const struct arena *arena, const struct config *cfg,
	    int *root_fd_taken)
{
	_cleanup_close_ int root_fd = fd_take(root_fd_taken);
	int r;

	memset(fs, 0, sizeof(*fs));
	for (unsigned int i = 0; i < FS_APPEND_LOCKS; i++)
		pthread_mutex_init(&fs->append_lock[i], NULL);
	policy_init(&fs->cache, cfg);
	r = cred_base_init(&fs->cred);
	if (r == 0)
		r = node_table_init(&fs->nodes, arena, &root_fd);
	if (r == 0)
		r = handle_table_init(&fs->handles, arena);
	if (r < 0)
		fs_destroy(fs);
	return r;
}

void fs_destroy(struct fs *fs)
{
	handle_table_destroy(&fs->handles);
	node_table_destroy(&fs->nodes);
	for (unsigned int i = 0; i < FS_APPEND_LOCKS; i++)
		pthread_mutex_destroy(&fs->append_lock[i]);
}

void fs_reset(struct fs *fs)
{
	handle_table_clear(&fs->handles);
	node_table_clear(&fs->nodes);
	fs->writeback = false;
}
