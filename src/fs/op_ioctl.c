/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * IOCTL: file attributes (chattr, project quotas) and fs-verity. Only these: the
 * meaning of any other command is the host kernel's affair, and may reach far
 * beyond the file.
 */
#include <errno.h>
#include <linux/fs.h>
#include <linux/fsverity.h>
#include <string.h>
#include <sys/ioctl.h>

#include "base/checked.h"
#include "fs/op.h"

/* What fs-verity takes (Documentation/filesystems/fsverity.rst). */
#define VERITY_SALT_MAX 32U
#define VERITY_SIGNATURE_MAX 16128U
#define VERITY_DIGEST_MAX 64U

struct verity_digest {
	struct fsverity_digest head;
	uint8_t digest[VERITY_DIGEST_MAX];
};

static int reply_ioctl(struct request *rq, const void *data, size_t len)
{
	struct fuse_ioctl_out out = { 0 };

	if (len > rq->arg.ioctl.out_size)
		return -EINVAL;
	if (!reply_put(rq, &out, sizeof(out)) || !reply_put(rq, data, len))
		return -ERANGE;
	return 0;
}

/* A command that fills @len bytes. */
static int get(struct request *rq, int fd, unsigned long cmd, size_t len)
{
	uint64_t buf[16] = { 0 };

	ASSERT(len <= sizeof(buf));
	if (ioctl(fd, cmd, buf) < 0)
		return -errno;
	return reply_ioctl(rq, buf, len);
}

/* A command that takes @len bytes. */
static int set(struct fs *fs, struct request *rq, int fd, unsigned long cmd,
	       size_t len)
{
	uint64_t buf[16] = { 0 };

	ASSERT(len <= sizeof(buf));
	if (fs->readonly)
		return -EROFS;
	if (rq->arg.ioctl.in_size != len || !iobuf_read(&rq->in, buf, len))
		return -EINVAL;
	return ioctl(fd, cmd, buf) < 0 ? -errno : reply_ioctl(rq, NULL, 0);
}

/* The guest's kernel sends salt and signature behind the structure. */
static int enable_verity(struct fs *fs, struct request *rq, int fd)
{
	char salt[VERITY_SALT_MAX], *signature = rq->scratch.xattr.value;
	struct fsverity_enable_arg arg;

	if (fs->readonly)
		return -EROFS;
	if (!iobuf_read(&rq->in, &arg, sizeof(arg)) ||
	    arg.salt_size > sizeof(salt) ||
	    arg.sig_size > VERITY_SIGNATURE_MAX ||
	    !iobuf_read(&rq->in, salt, arg.salt_size) ||
	    !iobuf_read(&rq->in, signature, arg.sig_size))
		return -EINVAL;
	arg.salt_ptr = arg.salt_size ? (uintptr_t)salt : 0;
	arg.sig_ptr = arg.sig_size ? (uintptr_t)signature : 0;
	if (ioctl(fd, FS_IOC_ENABLE_VERITY, &arg) < 0 &&
	    !(errno == EEXIST && rq->again)) /* done by an earlier worker */
		return -errno;
	return reply_ioctl(rq, NULL, 0);
}

static int measure_verity(struct request *rq, int fd)
{
	struct verity_digest d = { 0 };

	if (!iobuf_read(&rq->in, &d.head, sizeof(d.head)))
		return -EINVAL;
	if (d.head.digest_size > sizeof(d.digest))
		d.head.digest_size = sizeof(d.digest);
	if (ioctl(fd, FS_IOC_MEASURE_VERITY, &d) < 0)
		return -errno;
	return reply_ioctl(rq, &d, sizeof(d.head) + d.head.digest_size);
}

/*
 * syscalls: ioctl:FS_IOC_GETFLAGS,FS_IOC_SETFLAGS
 * syscalls: ioctl:FS_IOC_FSGETXATTR,FS_IOC_FSSETXATTR
 * syscalls: ioctl:FS_IOC_ENABLE_VERITY,FS_IOC_MEASURE_VERITY
 */
static int act(struct fs *fs, struct request *rq, int fd)
{
	switch (rq->arg.ioctl.cmd) {
	/* An int, whatever the commands' numbers say. */
	case FS_IOC_GETFLAGS:
		return get(rq, fd, FS_IOC_GETFLAGS, sizeof(int));
	case FS_IOC_SETFLAGS:
		return set(fs, rq, fd, FS_IOC_SETFLAGS, sizeof(int));
	case FS_IOC_FSGETXATTR:
		return get(rq, fd, FS_IOC_FSGETXATTR, sizeof(struct fsxattr));
	case FS_IOC_FSSETXATTR:
		return set(fs, rq, fd, FS_IOC_FSSETXATTR,
			   sizeof(struct fsxattr));
	case FS_IOC_ENABLE_VERITY:
		return enable_verity(fs, rq, fd);
	case FS_IOC_MEASURE_VERITY:
		return measure_verity(rq, fd);
	default:
		return -ENOTTY;
	}
}

int op_ioctl(struct fs *fs, struct request *rq)
{
	_cleanup_handle_ struct handle_pin file = { 0 };
	const struct fuse_ioctl_in *in = &rq->arg.ioctl;
	int r;

	r = unopened_pin(fs, rq->h.nodeid, in->fh,
			 in->flags & FUSE_IOCTL_DIR ? HANDLE_DIR : HANDLE_FILE,
			 false, &file);
	if (r < 0)
		return r;
	if (in->flags & FUSE_IOCTL_UNRESTRICTED)
		return -ENOTTY;
	return act(fs, rq, file.fd);
}
