/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * GETXATTR, LISTXATTR, SETXATTR, REMOVEXATTR.
 *
 * By the descriptor's name below /proc/self/fd: the calls that take a
 * descriptor refuse O_PATH ones, and a link there leads to the file itself, of
 * whatever type, and no further.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <linux/xattr.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/checked.h"
#include "base/fd.h"
#include "fs/acl.h"
#include "fs/attr.h"
#include "fs/op.h"

/*
 * The host's name for what the guest calls rq->name[0]. Where ACLs are not
 * agreed on, the guest must not see the host's: its kernel would not go by
 * them, and would store others as if they meant something.
 */
static int host_name(const struct fs *fs, struct request *rq, const char **ret)
{
	int r;

	if (!fs->xattr)
		return -ENOSYS; /* the guest does not ask again */
	if (!*rq->name[0])
		return -ERANGE;
	if (strlen(rq->name[0]) > XATTR_NAME_MAX)
		return -ERANGE;
	r = xattrmap_client(&fs->xattrmap, rq->name[0], rq->scratch.xattr.name,
			    ret);
	if (r == 0 && !fs->use_acl && (acl_is_name(rq->name[0]) || acl_is_name(*ret)))
		return -EOPNOTSUPP;
	return r;
}

static int reply_size(struct request *rq, ssize_t size)
{
	struct fuse_getxattr_out out = { .size = (uint32_t)size };

	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

/* The value, if the guest has room for it; its size, if that is what it asks. */
static int reply_value(struct request *rq, ssize_t size)
{
	uint32_t wanted = rq->arg.getxattr.size;

	if (wanted == 0)
		return reply_size(rq, size);
	if (size > wanted)
		return -ERANGE;
	return reply_put(rq, rq->scratch.xattr.value, (size_t)size) ? 0 : -ERANGE;
}

/* syscalls: getxattr */
static int get_value(const struct fs *fs, struct request *rq)
{
	const char *name;
	ssize_t n;
	int r = host_name(fs, rq, &name);

	/* To a reader, what is refused is not there. */
	if (r == -EPERM)
		return -ENODATA;
	if (r < 0)
		return r;
	n = getxattr(fd_name(rq->node.fd).s, name, rq->scratch.xattr.value,
		     sizeof(rq->scratch.xattr.value));
	if (n < 0)
		return -errno;
	if (acl_is_name(rq->name[0]))
		acl_to_guest(fs, rq->scratch.xattr.value, (size_t)n);
	return reply_value(rq, n);
}

/* A guest that goes by ACLs asks for them whenever a user other than the owner
 * comes by, and keeps him out with whatever error it gets but this one: that
 * the host's file system knows no ACLs means that the file has none. */
int op_getxattr(struct fs *fs, struct request *rq)
{
	int r = get_value(fs, rq);

	return r == -EOPNOTSUPP && fs->use_acl && acl_is_name(rq->name[0]) ?
		       -ENODATA : r;
}

#define UNKNOWN_UID UINT32_MAX /* what guests send whose mounts map ids */

/* Those of root are no others' business: its own kernel would hide them. */
static bool may_see(const struct request *rq, const char *name)
{
	return strncmp(name, XATTR_TRUSTED_PREFIX, XATTR_TRUSTED_PREFIX_LEN) != 0 ||
	       rq->h.uid == 0 || rq->h.uid == UNKNOWN_UID;
}

/* Maps the names of a list in place: they never get longer. */
static size_t map_list(const struct fs *fs, const struct request *rq, char *list,
		       size_t len)
{
	const char *in = list, *end = list + len;
	char *out = list;

	while (in < end) {
		size_t in_len = strlen(in) + 1, n;
		const char *name = xattrmap_server(&fs->xattrmap, in);

		if (name && !fs->use_acl && (acl_is_name(name) || acl_is_name(in)))
			name = NULL;
		if (name && *name && may_see(rq, name)) {
			n = strlen(name) + 1;
			memmove(out, name, n);
			out += n;
		}
		in += in_len;
	}
	return (size_t)(out - list);
}

/* syscalls: listxattr */
int op_listxattr(struct fs *fs, struct request *rq)
{
	char *list = rq->scratch.xattr.value;
	ssize_t n;

	if (!fs->xattr)
		return -ENOSYS;
	n = listxattr(fd_name(rq->node.fd).s, list,
		      sizeof(rq->scratch.xattr.value));
	if (n < 0)
		return -errno;
	return reply_value(rq, (ssize_t)map_list(fs, rq, list, (size_t)n));
}

/* The set-group-id bit goes with an ACL whose setter is not of the group: the
 * guest knows who that is, and says so. syscalls: fchmodat */
static int kill_sgid(const struct node_pin *node)
{
	struct statx stx;
	int r = attr_get(node->fd, &stx);

	if (r < 0 || !(stx.stx_mode & S_ISGID))
		return r;
	return fchmodat(AT_FDCWD, fd_name(node->fd).s,
			(stx.stx_mode & 07777U) & ~(mode_t)S_ISGID,
			0) < 0 ? -errno : 0;
}

/* XATTR_CREATE found the name there: with this very value, it is what an earlier
 * worker has set. Values too large for a look count as somebody else's.
 * syscalls: getxattr */
static bool is_set(const struct request *rq, const char *name, const char *value,
		   size_t size)
{
	char now[4096];

	return rq->again && size <= sizeof(now) &&
	       getxattr(fd_name(rq->node.fd).s, name, now, sizeof(now)) ==
		       (ssize_t)size &&
	       memcmp(now, value, size) == 0;
}

/* syscalls: setxattr */
int op_setxattr(struct fs *fs, struct request *rq)
{
	const struct fuse_setxattr_in *in = &rq->arg.setxattr;
	char *value = rq->scratch.xattr.value;
	const char *name;
	int r = host_name(fs, rq, &name);

	if (r < 0)
		return r;
	if (in->size > sizeof(rq->scratch.xattr.value))
		return -E2BIG;
	if (!iobuf_read(&rq->in, value, in->size))
		return -EINVAL;
	if (acl_is_name(rq->name[0]))
		r = acl_to_host(fs, value, in->size);
	if (r < 0)
		return r;
	if (setxattr(fd_name(rq->node.fd).s, name, value, in->size,
		     (int)in->flags) < 0)
		r = -errno;
	if (r < 0 && !(r == -EEXIST && is_set(rq, name, value, in->size)))
		return r;
	if (fs->use_acl && in->setxattr_flags & FUSE_SETXATTR_ACL_KILL_SGID)
		return kill_sgid(&rq->node);
	return 0;
}

/* syscalls: removexattr */
int op_removexattr(struct fs *fs, struct request *rq)
{
	const char *name;
	int r = host_name(fs, rq, &name);

	if (r < 0)
		return r;
	if (removexattr(fd_name(rq->node.fd).s, name) == 0)
		return 0;
	/* An earlier worker has done it. */
	return errno == ENODATA && rq->again ? 0 : -errno;
}
