/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OPENDIR, READDIR, READDIRPLUS.
 *
 * The guest reads a directory in pieces, each from a cookie that the host's
 * file system has given for the entry before. The host is asked for more than a
 * piece, and the rest waits in the request (`ahead`), which its thread uses again:
 * a guest that reads on in order is mostly answered without a getdents64(2), and
 * without a seek. As in the C library, what is read ahead shows a directory as it
 * was a moment ago, which POSIX allows until the guest begins again at its start.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "fs/attr.h"
#include "fs/dirent.h"
#include "fs/lookup.h"
#include "fs/name.h"
#include "fs/op.h"
#include "fs/open.h"
#include "fs/single.h"

int op_opendir(struct fs *fs, struct request *rq)
{
	struct handle_origin from = {
		.tally = rq->tally,
		.fs_class = node_class(rq->node.node),
	};
	struct fuse_open_out out;
	struct handle_pin h = { 0 };
	_cleanup_close_ int fd = -1;
	int r;

	if (!node_is_dir(&rq->node))
		return -ENOTDIR;
	r = open_node(fs, &rq->node, O_RDONLY, 0);
	if (r < 0)
		return r;
	fd = r;
	memset(&out, 0, sizeof(out));
	out.open_flags = fs->cache.opendir_flags;
	r = handle_open_for(&fs->handles, HANDLE_DIR, &fd, &from, &out.fh);
	if (r < 0)
		return r;
	if (reply_put(rq, &out, sizeof(out)))
		return 0;
	if (handle_pin(&fs->handles, out.fh, HANDLE_DIR, &h) == 0)
		handle_close(&h);
	return -ERANGE;
}

/* As many bytes of host entries as probably fill the room: after a seek it is
 * not known that the guest goes on from there. The host's entries are a little
 * smaller than FUSE's, those of READDIRPLUS five times as large. */
static size_t seek_size(size_t room, bool plus)
{
	size_t want = plus ? room / 5 : room * 7 / 8;

	if (want < 1024)
		want = 1024;
	return min_size(want, REQUEST_DIRENTS_MAX);
}

/* Where the directory's descriptor stands after what was read. */
static off_t end_of(const struct request *rq, off_t start, size_t n)
{
	const char *p = rq->ahead.bytes, *end = p + n;

	while (p < end) {
		const struct linux_dirent64 *d = (const void *)p;

		start = (off_t)d->d_off;
		p += d->d_reclen;
	}
	return start;
}

/* Entries from the cookie on into rq->ahead.bytes: how many bytes, 0 at the end,
 * or -errno. Dir lock held. syscalls: lseek getdents64 */
static long read_host(struct request *rq, off_t cookie, bool plus)
{
	struct handle *h = rq->file.handle;
	size_t size = REQUEST_DIRENTS_MAX;
	bool moved = h->dir_pos != cookie;
	long n;

	h->dir_pos = -1;
	if (moved) {
		if (lseek(rq->file.fd, cookie, SEEK_SET) < 0)
			return -errno;
		size = seek_size(reply_room(rq), plus);
	}
	n = syscall(SYS_getdents64, rq->file.fd, rq->ahead.bytes, size);
	if (n < 0)
		return -errno;
	h->dir_pos = end_of(rq, cookie, (size_t)n);
	return n;
}

static long read_entries(const struct fs *fs, struct request *rq,
			 uint64_t cookie, bool plus)
{
	pthread_mutex_t *lock;
	long n;

	if (cookie > INT64_MAX)
		return -EINVAL;
	if (single_is_root(fs, &rq->node))
		return single_entries(fs, cookie, rq->ahead.bytes,
				      REQUEST_DIRENTS_MAX);
	lock = handle_dir_lock(&rq->file);
	pthread_mutex_lock(lock);
	n = read_host(rq, (off_t)cookie, plus);
	pthread_mutex_unlock(lock);
	return n;
}

/* Entries from the cookie on in rq->ahead: 1, 0 at the end, or -errno. */
static int have_entries(const struct fs *fs, struct request *rq, bool plus)
{
	uint64_t fh = rq->arg.read.fh, cookie = rq->arg.read.offset;
	long n;

	if (cookie != 0 && rq->ahead.fh == fh && rq->ahead.cookie == cookie)
		return 1;
	rq->ahead.fh = 0;
	n = read_entries(fs, rq, cookie, plus);
	if (n <= 0)
		return (int)n;
	rq->ahead.fh = fh;
	rq->ahead.cookie = cookie;
	rq->ahead.at = 0;
	rq->ahead.end = (uint32_t)n;
	return 1;
}

static size_t padded(size_t namelen)
{
	return FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen);
}

static void put_dirent(struct request *rq, const struct linux_dirent64 *d,
		       uint64_t ino, size_t namelen)
{
	static const char zeroes[8];
	struct fuse_dirent out = {
		.ino = ino,
		.off = (uint64_t)d->d_off,
		.namelen = (uint32_t)namelen,
		.type = d->d_type,
	};

	reply_put(rq, &out, FUSE_NAME_OFFSET);
	reply_put(rq, d->d_name, namelen);
	reply_put(rq, zeroes, padded(namelen) - FUSE_NAME_OFFSET - namelen);
}

/* What READDIRPLUS says of an entry. One that cannot be looked up (it went, or
 * may not be seen) is still a name: a nodeid of 0 says "ask again". */
static void look_up_entry(struct fs *fs, struct request *rq,
			  const struct linux_dirent64 *d, uint64_t ino,
			  struct fuse_entry_out *ret)
{
	if (!name_is_dot(d->d_name) && !name_is_dotdot(d->d_name) &&
	    lookup_child(fs, &rq->node, d->d_name, rq->tally, ret) == 0)
		return;
	memset(ret, 0, sizeof(*ret));
	ret->attr.ino = ino;
	ret->attr.mode = DTTOIF((uint32_t)d->d_type);
}

/* Nothing of what lies above the share: the root is its own parent. */
static uint64_t entry_ino(const struct fs *fs, const struct request *rq,
			  const struct linux_dirent64 *d)
{
	if (node_is_root(&rq->node) && !fs->single &&
	    name_is_dotdot(d->d_name))
		return rq->node.node->ino;
	return d->d_ino;
}

/* False if there is no room for it. */
static bool put_entry(struct fs *fs, struct request *rq,
		      const struct linux_dirent64 *d, bool plus)
{
	size_t namelen = strlen(d->d_name);
	size_t need = padded(namelen) +
		      (plus ? FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET : 0);
	uint64_t ino = entry_ino(fs, rq, d);

	if (reply_room(rq) < need)
		return false;
	if (plus) {
		struct fuse_entry_out entry;

		look_up_entry(fs, rq, d, ino, &entry);
		reply_put(rq, &entry, sizeof(entry));
	}
	put_dirent(rq, d, ino, namelen);
	return true;
}

static int read_dir(struct fs *fs, struct request *rq, bool plus)
{
	bool some = false;
	int r;

	/* The size is what the guest wants at most, not only what it has room
	 * for. */
	iobuf_limit(&rq->out, rq->arg.read.size);
	r = have_entries(fs, rq, plus);
	if (r <= 0)
		return r;
	while (rq->ahead.at < rq->ahead.end) {
		const struct linux_dirent64 *d =
			(const void *)&rq->ahead.bytes[rq->ahead.at];

		/* Not even one: the end would look like this to the guest. */
		if (!put_entry(fs, rq, d, plus))
			return some ? 0 : -EINVAL;
		some = true;
		rq->ahead.cookie = (uint64_t)d->d_off;
		rq->ahead.at += d->d_reclen;
	}
	rq->ahead.fh = 0;
	return 0;
}

int op_readdir(struct fs *fs, struct request *rq)
{
	return read_dir(fs, rq, false);
}

int op_readdirplus(struct fs *fs, struct request *rq)
{
	return read_dir(fs, rq, true);
}
