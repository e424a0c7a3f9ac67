/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * READ, WRITE, FALLOCATE, LSEEK, COPY_FILE_RANGE.
 *
 * Data goes between the guest's memory and the file in one system call, by an
 * iovec array that points into that memory, however the guest laid it out. More
 * than IOV_MAX pieces take one call for each IOV_MAX, each but the last ending
 * at a multiple of 4 KiB in the file.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/checked.h"
#include "base/fd.h"
#include "base/guestmem.h"
#include "fs/fsclass.h"
#include "fs/op.h"
#include "fs/priv.h"

#define CUT 4096U

/* copy_file_range(2) takes less than 2 GiB at once; a whole number of pages. */
#define COPY_MAX 0x7ffff000U

/*
 * The next pieces of guest memory for one call at file offset @off, into
 * rq->scratch.iov. Returns their number and stores the bytes they cover.
 */
static int next_window(struct request *rq, const struct iobuf *b, size_t left,
		       uint64_t off, size_t *ret_len)
{
	struct iovec *iov = rq->scratch.iov;
	size_t n, len, excess;

	n = iobuf_window(b, left, iov, IOV_MAX, &len);
	excess = (off + len) % CUT;
	if (len < left && excess < len) {
		len -= excess;
		while (excess >= iov[n - 1].iov_len)
			excess -= iov[--n].iov_len;
		iov[n - 1].iov_len -= excess;
	}
	*ret_len = len;
	return (int)n;
}

/* syscalls: preadv preadv2 */
static ssize_t read_fd(int fd, const struct request *rq, int n, uint64_t off,
		       int flags)
{
	ssize_t done;

	guestmem_begin();
	if (flags)
		done = preadv2(fd, rq->scratch.iov, n, (off_t)off, flags);
	else
		done = preadv(fd, rq->scratch.iov, n, (off_t)off);
	guestmem_end();
	return done < 0 ? -errno : done;
}

/*
 * What the page cache has is read at once. -EAGAIN if that is nothing, or
 * nobody knows.
 */
static ssize_t read_cached(const struct request *rq, int n, uint64_t off)
{
	struct handle *h = rq->file.handle;
	ssize_t done;

	if (atomic_load_explicit(&h->io, memory_order_relaxed) &
	    (HANDLE_DIRECT | HANDLE_NO_NOWAIT))
		return -EAGAIN;
	done = read_fd(rq->file.fd, rq, n, off, RWF_NOWAIT);
	if (done != -EOPNOTSUPP)
		return done;
	atomic_fetch_or(&h->io, HANDLE_NO_NOWAIT);
	return -EAGAIN;
}

/*
 * The host asks more of an O_DIRECT request than the guest's kernel knew when
 * it made it: the file once more, opened without. Returns a descriptor if that
 * may help with the error @r of a call on @fd, or -errno.
 * syscalls: fcntl:F_GETFL
 */
static int open_buffered(int fd, ssize_t r)
{
	int flags = r == -EINVAL ? fcntl(fd, F_GETFL) : 0;

	if (flags < 0 || !(flags & O_DIRECT))
		return -EINVAL;
	return fd_open_for_guest(AT_FDCWD, fd_name(fd).s,
				 flags & (O_ACCMODE | O_SYNC | O_DSYNC), 0);
}

static ssize_t read_window(struct request *rq, int n, uint64_t off)
{
	_cleanup_close_ int fd = -1;
	ssize_t done = -EAGAIN;

	/* Memory has all of it; what is remote is waited for already. */
	if (rq->hooks && !(rq->file.handle->fs_class &
			   (FSCLASS_MEMORY | FSCLASS_REMOTE))) {
		done = read_cached(rq, n, off);
		if (done == -EAGAIN)
			request_blocks(rq);
	}
	if (done == -EAGAIN)
		done = read_fd(rq->file.fd, rq, n, off, 0);
	if (done != -EINVAL)
		return done;
	fd = open_buffered(rq->file.fd, done);
	return fd < 0 ? done : read_fd(fd, rq, n, off, 0);
}

int op_read(struct fs *fs, struct request *rq)
{
	const struct fuse_read_in *in = &rq->arg.read;
	size_t left = min_size(in->size, reply_room(rq));
	uint64_t off = in->offset, end;

	if (add_overflow(off, (uint64_t)left, &end) || end > INT64_MAX)
		return -EINVAL;
	/*
	 * Goes on after a short count: that is the end of the file only if the
	 * file was seen to end there, or the next read says so. It may as well
	 * hide an error, and the guest would take it for the file's size.
	 */
	while (left) {
		size_t len;
		int n = next_window(rq, &rq->out, left, off, &len);
		ssize_t done = read_window(rq, n, off);

		if (done < 0)
			return (int)done;
		if (done == 0) {
			if (off > in->offset)
				node_saw_size(&fs->nodes, rq->h.nodeid, off);
			break;
		}
		reply_passed(rq, (size_t)done);
		off += (size_t)done;
		left -= (size_t)done;
		if ((size_t)done < len &&
		    node_size(&fs->nodes, rq->h.nodeid) == off)
			break;
	}
	return 0;
}

static int reply_count(struct request *rq, uint64_t n)
{
	struct fuse_write_out out = { .size = (uint32_t)n };

	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

/*
 * An append of the guest is one of the host's: at the end of the file as it is
 * at that moment, whoever else appends. That holds for cached files too, whose
 * place in the file the guest has guessed: if it is wrong, its cache is out of
 * date until it sees the file's new size, but nobody's data is overwritten. Not
 * so what the guest's page cache writes back: that belongs where it says.
 */
static int write_flags(const struct fs *fs, const struct fuse_write_in *in)
{
	if (in->flags & O_APPEND && !(in->write_flags & FUSE_WRITE_CACHE) &&
	    !fs->writeback)
		return RWF_APPEND;
	return 0;
}

/* syscalls: pwritev pwritev2 */
static ssize_t write_fd(int fd, const struct request *rq, int n, uint64_t off,
			int flags)
{
	ssize_t done;

	guestmem_begin();
	if (flags)
		done = pwritev2(fd, rq->scratch.iov, n, (off_t)off, flags);
	else
		done = pwritev(fd, rq->scratch.iov, n, (off_t)off);
	guestmem_end();
	return done < 0 ? -errno : done;
}

static ssize_t write_window(const struct request *rq, int n, uint64_t off,
			    int flags)
{
	ssize_t done = write_fd(rq->file.fd, rq, n, off, flags);
	_cleanup_close_ int fd = -1;

	if (done != -EINVAL)
		return done;
	fd = open_buffered(rq->file.fd, done);
	return fd < 0 ? done : write_fd(fd, rq, n, off, flags);
}

/* @done_before bytes are there already, and skipped in rq->in. */
static int write_all(struct request *rq, size_t done_before, int flags)
{
	const struct fuse_write_in *in = &rq->arg.write;
	uint64_t off = in->offset + done_before;
	size_t left = in->size - done_before;

	while (left) {
		size_t len;
		int n = next_window(rq, &rq->in, left, off, &len);
		ssize_t done = write_window(rq, n, off, flags);

		if (done < 0 && left == in->size)
			return (int)done;
		/* What is on the host by now is a write of that length. */
		if (done <= 0)
			break;
		iobuf_skip(&rq->in, (size_t)done);
		off += (size_t)done;
		left -= (size_t)done;
	}
	return reply_count(rq, in->size - left);
}

/*
 * How much of an append is at its place in the file already, from @from to the
 * end. -EIO if something else is there: then nobody can tell what is missing.
 * syscalls: pread64
 */
static ssize_t appended(const struct request *rq, uint64_t from, uint64_t end)
{
	_cleanup_close_ int fd = fd_open_for_guest(
		AT_FDCWD, fd_name(rq->file.fd).s, O_RDONLY, 0);
	size_t left = (size_t)min_u64(end - from, rq->in.left);
	struct iobuf data = rq->in;
	char now[4096], wanted[4096];
	uint64_t off = from;

	while (fd >= 0 && left) {
		ssize_t n = pread(fd, now, min_size(left, sizeof(now)),
				  (off_t)off);

		if (n <= 0 || !iobuf_read(&data, wanted, (size_t)n) ||
		    memcmp(now, wanted, (size_t)n) != 0)
			return -EIO;
		off += (size_t)n;
		left -= (size_t)n;
	}
	return fd < 0 ? -EIO : (ssize_t)(off - from);
}

/* An append is not redone without a look: where the file ends is noted before,
 * + 1. syscalls: fstat */
static int append(struct request *rq, int flags)
{
	uint64_t mark = request_mark(rq);
	ssize_t done = 0;
	struct stat st;

	if (fstat(rq->file.fd, &st) < 0)
		return -errno;
	if (!mark)
		request_set_mark(rq, (uint64_t)st.st_size + 1);
	else if ((uint64_t)st.st_size >= mark)
		done = appended(rq, mark - 1, (uint64_t)st.st_size);
	if (done < 0)
		return (int)done;
	iobuf_skip(&rq->in, (size_t)done);
	return write_all(rq, (size_t)done, flags);
}

int op_write(struct fs *fs, struct request *rq)
{
	const struct fuse_write_in *in = &rq->arg.write;
	int flags = write_flags(fs, in), r;
	pthread_mutex_t *lock;
	uint64_t end;

	if (rq->in.left != in->size)
		return -EIO;
	if (add_overflow(in->offset, (uint64_t)in->size, &end) ||
	    end > INT64_MAX)
		return -EFBIG;
	if (atomic_load_explicit(&rq->file.handle->io, memory_order_relaxed) &
	    (HANDLE_DIRECT | HANDLE_SYNC))
		request_blocks(rq);
	r = priv_drop_capability(fs, rq->file.fd);
	if (r < 0)
		return r;
	if (!flags)
		return write_all(rq, 0, 0);
	lock = &fs->append_lock[rq->h.nodeid % FS_APPEND_LOCKS];
	pthread_mutex_lock(lock);
	r = append(rq, flags);
	pthread_mutex_unlock(lock);
	return r;
}

/*
 * Before a file is changed by a request that does not say whether its caller
 * may keep the set-id bits. Where the guest's kernel leaves them to us, they
 * stay for root alone.
 */
static int change_enter(const struct fs *fs, const struct request *rq, int fd,
			struct cred_scope *scope)
{
	int r = priv_drop_capability(fs, fd);

	if (r == 0 && fs->killpriv_v2 && rq->h.uid != 0)
		r = cred_drop_fsetid(scope, &fs->cred);
	return r;
}

/* syscalls: fallocate */
int op_fallocate(struct fs *fs, struct request *rq)
{
	const struct fuse_fallocate_in *in = &rq->arg.fallocate;
	struct cred_scope scope = { 0 };
	int r;

	if (in->offset > INT64_MAX || in->length > INT64_MAX)
		return -EINVAL;
	/* These move what lies behind, once or twice. */
	if (rq->again &&
	    in->mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE))
		return -EIO;
	r = change_enter(fs, rq, rq->file.fd, &scope);
	if (r < 0)
		return r;
	r = fallocate(rq->file.fd, (int)in->mode, (off_t)in->offset,
		      (off_t)in->length) < 0 ? -errno : 0;
	cred_leave(&scope);
	return r;
}

/* The position of the host's descriptor is used by nothing else. */
/* syscalls: lseek */
int op_lseek(struct fs *fs, struct request *rq)
{
	const struct fuse_lseek_in *in = &rq->arg.lseek;
	struct fuse_lseek_out out = { 0 };
	off_t at;

	if (in->whence != SEEK_DATA && in->whence != SEEK_HOLE)
		return -EINVAL;
	if (in->offset > INT64_MAX)
		return -ENXIO;
	at = lseek(rq->file.fd, (off_t)in->offset, (int)in->whence);
	if (at < 0)
		return -errno;
	out.offset = (uint64_t)at;
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

/* The number of bytes copied, or -errno. syscalls: copy_file_range */
static ssize_t copy_range(struct fs *fs, struct request *rq)
{
	const struct fuse_copy_file_range_in *in = &rq->arg.copy;
	_cleanup_handle_ struct handle_pin to = { 0 };
	off_t from_off = (off_t)in->off_in, to_off = (off_t)in->off_out;
	struct cred_scope scope = { 0 };
	ssize_t done;
	int r;

	r = unopened_pin(fs, in->nodeid_out, in->fh_out, HANDLE_FILE, true, &to);
	if (r < 0)
		return r;
	if (in->off_in > INT64_MAX || in->off_out > INT64_MAX)
		return -EINVAL;
	r = change_enter(fs, rq, to.fd, &scope);
	if (r < 0)
		return r;
	done = copy_file_range(rq->file.fd, &from_off, to.fd, &to_off,
			       min_u64(in->len, COPY_MAX), (unsigned int)in->flags);
	if (done < 0)
		done = -errno;
	cred_leave(&scope);
	return done;
}

int op_copy_file_range(struct fs *fs, struct request *rq)
{
	ssize_t done = copy_range(fs, rq);

	return done < 0 ? (int)done : reply_count(rq, (uint64_t)done);
}

int op_copy_file_range_64(struct fs *fs, struct request *rq)
{
	ssize_t done = copy_range(fs, rq);
	struct wire_fuse_copy_file_range_out out = {
		.bytes_copied = (uint64_t)done,
	};

	if (done < 0)
		return (int)done;
	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}
