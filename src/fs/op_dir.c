/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * OPENDIR, READDIR, READDIRPLUS.
 *
 * The guest reads a directory in pieces, each from a cookie that the host's
 * file system has given for the entry before. The host is asked for more than a
 * piece, and the rest is kept with the handle's lock (struct handle_ahead), for one
 * of the handles that have it: a guest that reads on in order is mostly answered
 * without a getdents64(2), and without a seek. As in the C library, what is read
 * ahead shows a directory as it was a moment ago, which POSIX allows until the guest
 * begins again at its start.
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

	if (fs->no_opendir)
		return -ENOSYS; /* and never again */
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
	return min_size(want, HANDLE_AHEAD_MAX);
}

static size_t padded(size_t namelen)
{
	return FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + namelen);
}

/* What an entry takes of the reply. */
static size_t entry_size(const struct linux_dirent64 *d, bool plus)
{
	return padded(strlen(d->d_name)) +
	       (plus ? FUSE_NAME_OFFSET_DIRENTPLUS - FUSE_NAME_OFFSET : 0);
}

/* So many bytes of the entries from @at to @end have room in the reply; stores the
 * cookie of what comes behind them. */
static size_t fitting(const char *at, const char *end, size_t room, bool plus,
		      uint64_t *ret_cookie)
{
	const char *start = at;

	while (at < end) {
		const struct linux_dirent64 *d = (const void *)at;
		size_t need = entry_size(d, plus);

		if (need > room)
			break;
		room -= need;
		at += d->d_reclen;
		*ret_cookie = (uint64_t)d->d_off;
	}
	return (size_t)(at - start);
}

/* Where the directory's descriptor stands after what was read. */
static off_t end_of(const char *p, size_t n, off_t start)
{
	const char *end = p + n;

	while (p < end) {
		const struct linux_dirent64 *d = (const void *)p;

		start = (off_t)d->d_off;
		p += d->d_reclen;
	}
	return start;
}

/* Dir lock held. syscalls: lseek getdents64 */
static int read_host(struct request *rq, struct handle_ahead *a, bool plus)
{
	off_t cookie = (off_t)rq->arg.read.offset;
	struct handle *h = rq->file.handle;
	size_t size = HANDLE_AHEAD_MAX;
	bool moved = h->dir_pos != cookie;
	long n;

	a->fh = 0;
	h->dir_pos = -1;
	if (moved) {
		if (lseek(rq->file.fd, cookie, SEEK_SET) < 0)
			return -errno;
		size = seek_size(reply_room(rq), plus);
	}
	n = syscall(SYS_getdents64, rq->file.fd, a->bytes, size);
	if (n < 0)
		return -errno;
	h->dir_pos = end_of(a->bytes, (size_t)n, cookie);
	a->fh = handle_id(&rq->file);
	a->cookie = (uint64_t)cookie;
	a->at = 0;
	a->end = (uint32_t)n;
	return 0;
}

/* Dir lock held. Moves what has room from what was read ahead, or is read now, to
 * the scratch. Its bytes, 0 at the end, or -errno. */
static long take_entries(struct request *rq, struct handle_ahead *a, bool plus)
{
	uint64_t cookie = rq->arg.read.offset;
	bool goes_on = cookie != 0 && a->fh == handle_id(&rq->file) &&
		       a->cookie == cookie && a->at < a->end;
	size_t n;
	int r = goes_on ? 0 : read_host(rq, a, plus);

	if (r < 0 || a->end == 0)
		return r;
	n = fitting(a->bytes + a->at, a->bytes + a->end, reply_room(rq), plus,
		    &a->cookie);
	memcpy(rq->scratch.dirents, a->bytes + a->at, n);
	a->at += (uint32_t)n;
	/* Not even one: the end would look like this to the guest. */
	return n ? (long)n : -EINVAL;
}

static long single_take(const struct fs *fs, struct request *rq, bool plus)
{
	uint64_t cookie = rq->arg.read.offset, next;
	long n = single_entries(fs, cookie, rq->scratch.dirents,
				HANDLE_AHEAD_MAX);
	size_t fit;

	if (n <= 0)
		return n;
	fit = fitting(rq->scratch.dirents, rq->scratch.dirents + n,
		      reply_room(rq), plus, &next);
	return fit ? (long)fit : -EINVAL;
}

static long have_entries(const struct fs *fs, struct request *rq, bool plus)
{
	pthread_mutex_t *lock;
	long n;

	if (rq->arg.read.offset > INT64_MAX)
		return -EINVAL;
	if (single_is_root(fs, &rq->node))
		return single_take(fs, rq, plus);
	lock = handle_dir_lock(&rq->file);
	pthread_mutex_lock(lock);
	n = take_entries(rq, handle_ahead(&rq->file), plus);
	pthread_mutex_unlock(lock);
	return n;
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
	enum lookup_use use = d->d_type == DT_DIR ? LOOKUP_TO_USE :
						    LOOKUP_TO_KNOW;

	if (!name_is_dot(d->d_name) && !name_is_dotdot(d->d_name) &&
	    lookup_child(fs, &rq->node, d->d_name, use, rq->tally, ret) == 0)
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

static void put_entry(struct fs *fs, struct request *rq,
		      const struct linux_dirent64 *d, bool plus)
{
	uint64_t ino = entry_ino(fs, rq, d);

	if (plus) {
		struct fuse_entry_out entry;

		look_up_entry(fs, rq, d, ino, &entry);
		reply_put(rq, &entry, sizeof(entry));
	}
	put_dirent(rq, d, ino, strlen(d->d_name));
}

static int read_dir(struct fs *fs, struct request *rq, bool plus)
{
	const char *at = rq->scratch.dirents, *end;
	long n;

	/* The size is what the guest wants at most, not only what it has room
	 * for. */
	iobuf_limit(&rq->out, rq->arg.read.size);
	n = have_entries(fs, rq, plus);
	if (n <= 0)
		return (int)n;
	for (end = at + n; at < end;) {
		const struct linux_dirent64 *d = (const void *)at;

		put_entry(fs, rq, d, plus);
		at += d->d_reclen;
	}
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
