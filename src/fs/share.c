/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/share.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/xattr.h>
#include <string.h>

#include "base/fd.h"
#include "base/log.h"
#include "fs/attr.h"
#include "fs/lock.h"
#include "fs/single.h"
#include "wire/fuse.h"

#define DAY_SEC 86400U

/*
 * What each cache mode means; options override. That a name is not there is kept
 * only where nobody but the guest makes names: to a guest that has been told of
 * a new file by other means, a name that is a second late is not there, while
 * one that was there before only leads to what it did a second ago.
 */
static const struct {
	uint32_t valid_sec, negative_sec;
	bool readdirplus;
	uint32_t open_flags, opendir_flags;
} modes[] = {
	[CACHE_NEVER] = { 0, 0, false,
			  FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES, 0 },
	[CACHE_METADATA] = { DAY_SEC, DAY_SEC, true,
			     FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES,
			     FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
	[CACHE_AUTO] = { 1, 0, true, 0, 0 },
	[CACHE_ALWAYS] = { DAY_SEC, DAY_SEC, true, FOPEN_KEEP_CACHE,
			   FOPEN_KEEP_CACHE | FOPEN_CACHE_DIR },
};

int share_open(const char *path)
{
	_cleanup_close_ int fd = fd_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY,
					   0);
	struct statx stx;
	int r;

	if (fd == -ENOTDIR)
		fd = fd_openat(AT_FDCWD, path, O_PATH, 0);
	if (fd < 0)
		return log_err(fd, "cannot share %s", path);
	r = attr_get(fd, &stx);
	if (r < 0)
		return log_err(r, "cannot share %s", path);
	if (!S_ISDIR(stx.stx_mode) && !S_ISREG(stx.stx_mode)) {
		log_error("cannot share %s: it is neither a directory nor a regular file",
			  path);
		return -EINVAL;
	}
	return fd_take(&fd);
}

/* @option is in seconds; below 0 it was not given. */
static struct validity validity(double option, uint32_t mode_sec)
{
	struct validity v = { .sec = mode_sec };

	if (option >= 0) {
		v.sec = (uint64_t)option;
		v.nsec = (uint32_t)((option - (double)v.sec) * 1e9);
	}
	return v;
}

static void policy_init(struct cache_policy *p, const struct config *cfg)
{
	uint32_t sec = modes[cfg->cache].valid_sec;

	p->entry = validity(cfg->entry_timeout, sec);
	p->attr = validity(cfg->attr_timeout, sec);
	p->negative = validity(cfg->negative_timeout,
			       modes[cfg->cache].negative_sec);
	p->readdirplus = modes[cfg->cache].readdirplus;
	if (cfg->readdirplus != CHOICE_AUTO)
		p->readdirplus = cfg->readdirplus == CHOICE_YES;
	p->open_flags = modes[cfg->cache].open_flags;
	p->opendir_flags = modes[cfg->cache].opendir_flags;
}

/* The host goes by an ACL only under its own name. */
static bool map_moves_acls(const struct xattrmap *m)
{
	static const char *const names[] = { XATTR_NAME_POSIX_ACL_ACCESS,
					     XATTR_NAME_POSIX_ACL_DEFAULT };
	char buf[XATTR_NAME_MAX + 1];
	const char *to;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (xattrmap_client(m, names[i], buf, &to) < 0 ||
		    strcmp(to, names[i]) != 0)
			return true;
	return false;
}

/* A guest that is offered ACLs leaves to the host what an ACL decides. */
static int check_acls(struct fs *fs)
{
	if (fs->posix_acl == AGREE_NEVER || !map_moves_acls(&fs->xattrmap))
		return 0;
	if (fs->posix_acl == AGREE_ALWAYS) {
		log_error("--posix-acl=always: the xattr map puts ACLs where the host does not go by them");
		return -EINVAL;
	}
	log_lacking(LOG_LEVEL_WARN, "no POSIX ACLs: the xattr map puts them where the host does not go by them");
	fs->posix_acl = AGREE_NEVER;
	return 0;
}

static int map_init(struct fs *fs, const struct config *cfg)
{
	char buf[XATTR_NAME_MAX + 1];
	struct xattrmap_error e;
	const char *name;
	int r;

	if (!cfg->xattrmap)
		return 0;
	r = xattrmap_parse(cfg->xattrmap, &fs->xattrmap, &e);
	if (r < 0)
		return r;
	if (!xattrmap_has_catch_all(&fs->xattrmap))
		log_lacking(LOG_LEVEL_WARN, "the xattr map has no rule for all other names: they are refused, and hidden");
	r = check_acls(fs);
	if (r < 0)
		return r;
	if (xattrmap_client(&fs->xattrmap, XATTR_NAME_CAPS, buf, &name) < 0 ||
	    strcmp(name, XATTR_NAME_CAPS) == 0)
		return 0;
	fs->capability_name = strdup(name);
	return fs->capability_name ? 0 : -ENOMEM;
}

/* One file has its descriptor, and nobody needs another. */
static int nodes_init(struct fs *fs, const struct arena *arena,
		      const struct config *cfg, int *root_fd)
{
	enum handle_mode mode = fs->single ? HANDLES_NEVER : cfg->handles;
	int r = node_table_init(&fs->nodes, arena, mode, root_fd);

	if (r < 0 && mode == HANDLES_MANDATORY)
		return log_err(r, "--inode-file-handles=mandatory: no file handles (they need CAP_DAC_READ_SEARCH and a file system that has them)");
	return r;
}

int fs_init(struct fs *fs, const struct arena *arena, const struct config *cfg,
	    int *root_fd_taken)
{
	_cleanup_close_ int root_fd = fd_take(root_fd_taken);
	int r;

	memset(fs, 0, sizeof(*fs));
	pthread_mutex_init(&fs->view_lock, NULL);
	for (unsigned int i = 0; i < FS_APPEND_LOCKS; i++)
		pthread_mutex_init(&fs->append_lock[i], NULL);
	policy_init(&fs->cache, cfg);
	fs->xattr = cfg->xattr;
	fs->posix_acl = cfg->posix_acl;
	fs->security_label = cfg->security_label;
	fs->allow_writeback = cfg->writeback;
	fs->allow_direct_io = cfg->allow_direct_io;
	fs->allow_mmap = cfg->allow_mmap;
	fs->killpriv_v2 = cfg->killpriv_v2 == CHOICE_YES;
	fs->allow_posix_lock = cfg->posix_lock;
	fs->allow_flock = cfg->flock;
	fs->readonly = cfg->readonly;
	fs->announce_submounts = cfg->announce_submounts;
	fs->uids = cfg->uids;
	fs->gids = cfg->gids;
	r = map_init(fs, cfg);
	if (r == 0)
		r = cred_base_init(&fs->cred);
	if (r == 0)
		r = single_init(fs, cfg->shared_dir, &root_fd);
	if (r == 0)
		r = nodes_init(fs, arena, cfg, &root_fd);
	if (r == 0)
		r = hints_init(&fs->hints);
	if (r == 0)
		r = handle_table_init(&fs->handles, arena);
	fs->allow_no_open = cfg->no_open && !fs->single;
	if (r == 0 && fs->allow_no_open)
		r = unopened_init(&fs->unopened);
	if (r == 0 && (cfg->posix_lock || cfg->flock))
		r = locks_create(fs, arena);
	if (r < 0)
		fs_destroy(fs);
	return r;
}

int fs_stop(struct fs *fs)
{
	return locks_stop(fs);
}

void fs_destroy(struct fs *fs)
{
	locks_destroy(fs);
	handle_table_destroy(&fs->handles);
	node_table_destroy(&fs->nodes);
	hints_destroy(&fs->hints);
	unopened_destroy(&fs->unopened);
	single_destroy(fs);
	pthread_mutex_destroy(&fs->view_lock);
	for (unsigned int i = 0; i < FS_APPEND_LOCKS; i++)
		pthread_mutex_destroy(&fs->append_lock[i]);
	xattrmap_free(&fs->xattrmap);
	free(fs->capability_name);
}

bool fs_relieve(void *ctx)
{
	struct fs *fs = ctx;

	return node_fds_relieve(&fs->nodes) || unopened_relieve(fs);
}

void fs_reset(struct fs *fs)
{
	locks_reset(fs);
	pthread_mutex_lock(&fs->view_lock);
	handle_table_clear(&fs->handles);
	unopened_clear(&fs->unopened);
	node_table_clear(&fs->nodes);
	pthread_mutex_unlock(&fs->view_lock);
	fs->writeback = false;
	fs->use_acl = false;
	fs->use_label = false;
	fs->use_submounts = false;
	fs->use_negative = false;
	fs->use_posix_lock = false;
	fs->use_flock = false;
	fs->no_open = false;
	fs->no_opendir = false;
}
