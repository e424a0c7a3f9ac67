/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/create.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/lookup.h"
#include "fs/node_place.h"

/* syscalls: umask */
mode_t create_umask_enter(const struct fs *fs, uint32_t mask)
{
	if (!fs->use_acl || !(mask & 0777))
		return 0;
	(void)umask(mask & 0777);
	return mask & 0777;
}

void create_umask_leave(mode_t entered)
{
	if (entered)
		(void)umask(0);
}

static bool wants_label(const struct fs *fs, const struct request *rq)
{
	return fs->use_label && rq->label_name;
}

/* syscalls: setxattr */
int create_label(const struct fs *fs, struct request *rq, int path_fd)
{
	const char *name;
	int r;

	if (!wants_label(fs, rq))
		return 0;
	if (strlen(rq->label_name) > XATTR_NAME_MAX)
		return -ERANGE;
	r = xattrmap_client(&fs->xattrmap, rq->label_name,
			    rq->scratch.xattr.name, &name);
	if (r < 0)
		return r;
	return setxattr(fd_name(path_fd).s, name, rq->label, rq->label_len,
			0) < 0 ? -errno : 0;
}

/* The clock that the host's kernel dates files with, in ns.
 * syscalls: clock_gettime */
static uint64_t file_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

void create_begin(struct request *rq)
{
	if (!request_mark(rq))
		request_set_mark(rq, file_time());
}

/* syscalls: statx */
bool create_was_made(const struct request *rq, const char *name, mode_t type,
		     struct statx *ret_stx)
{
	struct statx stx;

	if (!rq->again || request_mark(rq) == 0 ||
	    statx(rq->node.fd, name, AT_SYMLINK_NOFOLLOW,
		  STATX_BASIC_STATS | STATX_BTIME, &stx) < 0 ||
	    (stx.stx_mode & S_IFMT) != type)
		return false;
	*ret_stx = stx;
	return !(stx.stx_mask & STATX_BTIME) ||
	       node_born(&stx) >= request_mark(rq);
}

static void remove_again(const struct request *rq, const char *name)
{
	int saved = errno;

	if (unlinkat(rq->node.fd, name, 0) < 0)
		(void)unlinkat(rq->node.fd, name, AT_REMOVEDIR);
	errno = saved;
}

/* Opens what was made, to label it before anybody knows of it. */
static int enter_labelled(struct fs *fs, struct request *rq, const char *name,
			  struct fuse_entry_out *ret)
{
	_cleanup_close_ int fd = -1;
	int r;

	r = fd_open_for_guest(rq->node.fd, name, O_PATH | O_NOFOLLOW, 0);
	if (r < 0)
		return r;
	fd = r;
	r = create_label(fs, rq, fd);
	if (r < 0) {
		remove_again(rq, name);
		return r;
	}
	r = lookup_fd(fs, &rq->node, &fd, rq->tally, ret);
	if (r == 0)
		lookup_made(fs, &rq->node, name, ret->nodeid);
	return r;
}

int create_reply(struct fs *fs, struct request *rq, const char *name)
{
	enum lookup_use use = rq->h.opcode == FUSE_MKDIR ? LOOKUP_TO_USE :
							   LOOKUP_TO_KNOW;
	struct fuse_entry_out entry;
	int r;

	if (wants_label(fs, rq))
		r = enter_labelled(fs, rq, name, &entry);
	else
		r = lookup_child(fs, &rq->node, name, use, rq->tally, &entry);
	return r < 0 ? r : lookup_reply(fs, rq, &entry);
}
