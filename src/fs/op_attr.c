/* SPDX-License-Identifier: BSD-3-Clause */
/* GETATTR, SETATTR, STATFS. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "fs/attr.h"
#include "fs/op.h"
#include "fs/priv.h"

static int reply_attr(struct fs *fs, struct request *rq)
{
	struct fuse_attr_out out;
	struct statx stx;
	int r = attr_get(rq->node.fd, &stx);

	if (r < 0)
		return r;
	rq->node.node->size = stx.stx_size;
	attr_fill_out(fs, &stx, &out);
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

int op_getattr(struct fs *fs, struct request *rq)
{
	return reply_attr(fs, rq);
}

/* syscalls: statx */
int op_statx(struct fs *fs, struct request *rq)
{
	struct wire_fuse_statx_out out;
	struct statx stx;

	if (statx(rq->node.fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT,
		  STATX_BASIC_STATS | STATX_BTIME, &stx) < 0)
		return -errno;
	attr_fill_statx(fs, &stx, &out);
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

/* A change of owner to the present one changes all the same: the host moves the
 * time of the last change. So does a request that names nothing to be set. */
#define SETS_SOMETHING                                                         \
	(FATTR_MODE | FATTR_UID | FATTR_GID | FATTR_SIZE | FATTR_ATIME |       \
	 FATTR_MTIME | FATTR_ATIME_NOW | FATTR_MTIME_NOW)

/* syscalls: fchownat */
static int set_owner(const struct fs *fs, const struct request *rq)
{
	const struct fuse_setattr_in *in = &rq->arg.setattr;
	uid_t uid = in->valid & FATTR_UID ? in->uid : (uid_t)-1;
	gid_t gid = in->valid & FATTR_GID ? in->gid : (gid_t)-1;
	int r;

	if (!(in->valid & (FATTR_UID | FATTR_GID)) &&
	    in->valid & SETS_SOMETHING)
		return 0;
	/* An id of -1 would mean "leave it": never what the guest asks for. */
	if ((in->valid & FATTR_UID && uid == (uid_t)-1) ||
	    (in->valid & FATTR_GID && gid == (gid_t)-1))
		return -EINVAL;
	r = in->valid & FATTR_UID ? idmap_to_host(&fs->uids, uid, &uid) : 0;
	if (r == 0 && in->valid & FATTR_GID)
		r = idmap_to_host(&fs->gids, gid, &gid);
	if (r < 0)
		return r;
	r = priv_drop_capability(fs, rq->node.fd);
	if (r < 0)
		return r;
	return fchownat(rq->node.fd, "", uid, gid,
			AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* After the owner: a change of owner takes the set-id bits away.
 * syscalls: fchmodat */
static int set_mode(const struct request *rq)
{
	const struct fuse_setattr_in *in = &rq->arg.setattr;

	if (!(in->valid & FATTR_MODE))
		return 0;
	if (S_ISLNK(rq->node.node->mode))
		return -EOPNOTSUPP;
	return fchmodat(AT_FDCWD, fd_name(rq->node.fd).s, in->mode & 07777,
			0) < 0 ? -errno : 0;
}

/* With the open file that the guest names, since it may have rights that the
 * path no longer gives.
 * syscalls: ftruncate truncate */
static int truncate_node(struct fs *fs, const struct request *rq)
{
	_cleanup_handle_ struct handle_pin file = { 0 };
	const struct fuse_setattr_in *in = &rq->arg.setattr;
	int r;

	if (in->valid & FATTR_FH) {
		r = unopened_pin(fs, rq->h.nodeid, in->fh, HANDLE_FILE, true,
				 &file);
		if (r < 0)
			return r;
		return ftruncate(file.fd, (off_t)in->size) < 0 ? -errno : 0;
	}
	if (!S_ISREG(rq->node.node->mode))
		return node_is_dir(&rq->node) ? -EISDIR : -EINVAL;
	return truncate(fd_name(rq->node.fd).s, (off_t)in->size) < 0 ? -errno : 0;
}

/* Set-id bits fall as for a user where the guest leaves that to the host. */
static int set_size(struct fs *fs, const struct request *rq)
{
	const struct fuse_setattr_in *in = &rq->arg.setattr;
	struct cred_scope scope = { 0 };
	int r;

	if (!(in->valid & FATTR_SIZE))
		return 0;
	if (in->size > INT64_MAX)
		return -EINVAL;
	r = priv_drop_capability(fs, rq->node.fd);
	if (r == 0 && in->valid & FATTR_KILL_SUIDGID)
		r = cred_drop_fsetid(&scope, &fs->cred);
	if (r < 0)
		return r;
	r = truncate_node(fs, rq);
	cred_leave(&scope);
	return r;
}

static struct timespec time_of(const struct fuse_setattr_in *in, uint32_t set,
			       uint32_t now, uint64_t sec, uint32_t nsec)
{
	struct timespec ts = { .tv_sec = (time_t)sec, .tv_nsec = nsec };

	if (in->valid & now)
		ts.tv_nsec = UTIME_NOW;
	else if (!(in->valid & set))
		ts.tv_nsec = UTIME_OMIT;
	return ts;
}

/* syscalls: utimensat */
static int set_times(const struct request *rq)
{
	const struct fuse_setattr_in *in = &rq->arg.setattr;
	struct timespec ts[2] = {
		time_of(in, FATTR_ATIME, FATTR_ATIME_NOW, in->atime,
			in->atimensec),
		time_of(in, FATTR_MTIME, FATTR_MTIME_NOW, in->mtime,
			in->mtimensec),
	};

	if (!(in->valid & (FATTR_ATIME | FATTR_MTIME | FATTR_ATIME_NOW |
			   FATTR_MTIME_NOW)))
		return 0;
	return utimensat(rq->node.fd, "", ts, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int op_setattr(struct fs *fs, struct request *rq)
{
	int r = set_owner(fs, rq);

	if (r == 0)
		r = set_mode(rq);
	if (r == 0)
		r = set_size(fs, rq);
	if (r == 0)
		r = set_times(rq);
	return r < 0 ? r : reply_attr(fs, rq);
}

int op_statfs(struct fs *fs, struct request *rq)
{
	return attr_reply_statfs(rq, rq->node.fd);
}
