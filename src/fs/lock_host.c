/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/lock_host.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>

#include "base/fd.h"
#include "fs/lock.h"
#include "fs/reopen.h"

int lock_files_pin(struct fs *fs, const struct lock_want *want,
		   struct lock_files *ret)
{
	int r = node_pin(&fs->nodes, want->nodeid, &ret->node);

	if (r == 0)
		r = handle_pin(&fs->handles, want->fh, HANDLE_FILE, &ret->file);
	return r;
}

void lock_files_unpin(struct lock_files *f)
{
	handle_unpin(&f->file);
	node_unpin(&f->node);
}

static struct flock to_host(const struct lock_span *s)
{
	return (struct flock){
		.l_type = (short)s->type,
		.l_whence = SEEK_SET,
		.l_start = (off_t)s->start,
		.l_len = s->end == LOCK_TO_END ? 0 :
						 (off_t)(s->end - s->start + 1),
	};
}

static struct lock_span from_host(const struct flock *l)
{
	return (struct lock_span){
		.start = (uint64_t)l->l_start,
		.end = l->l_len ? (uint64_t)l->l_start + (uint64_t)l->l_len - 1 :
				  LOCK_TO_END,
		.type = (uint32_t)l->l_type,
	};
}

/* syscalls: fcntl:F_OFD_SETLK,F_OFD_GETLK */
static int host_set(int fd, const struct lock_span *span)
{
	struct flock l = to_host(span);

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : -errno;
}

static int host_get(int fd, const struct lock_span *span,
		    struct lock_span *ret_held)
{
	struct flock l = to_host(span);

	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return -errno;
	if (l.l_type == F_UNLCK)
		return 0;
	*ret_held = from_host(&l);
	return -EAGAIN;
}

/* syscalls: flock */
static int host_flock(int fd, uint32_t type)
{
	int how = type == F_UNLCK ? LOCK_UN :
		  type == F_WRLCK ? LOCK_EX : LOCK_SH;

	return flock(fd, how | LOCK_NB) < 0 ? -errno : 0;
}

/* What is known of the one in the way if the host does not tell: it is there,
 * and excludes this one. */
static struct lock_span least_blocker(const struct lock_span *span)
{
	struct lock_span b = *span;

	b.type = span->type == F_WRLCK ? F_RDLCK : F_WRLCK;
	return b;
}

/* For reading and writing, since locks of both kinds may be asked of it. */
static int open_description(const struct fs *fs, const struct node_pin *node,
			    uint32_t type)
{
	int r = fs->readonly ? -EROFS : reopen(node, O_RDWR), why = r;

	if (r == -EISDIR || r == -EACCES || r == -EROFS || r == -EPERM ||
	    r == -ETXTBSY)
		r = type == F_RDLCK ? reopen(node, O_RDONLY) : why;
	return r == -ENFILE || r == -EMFILE ? -ENOLCK : r;
}

static int add_owner(struct fs *fs, const struct lock_want *want,
		     const struct lock_files *files, struct lock_owner **ret)
{
	_cleanup_close_ int fd = -1;

	if (want->kind == LOCK_POSIX) {
		fd = open_description(fs, &files->node, want->span.type);
		if (fd < 0)
			return fd;
	}
	return lock_owner_add(&fs->locks->table, want, &fd, ret);
}

/* The guest's open file has no POSIX locks of its own: with no other owner in
 * the way, it sees what a description of this owner's would see. */
int lock_probe(struct fs *fs, const struct lock_want *want,
	       const struct lock_files *files, struct lock_span *ret_held)
{
	const struct lock_owner *o = lock_owner_find(&fs->locks->table, want);

	return host_get(o ? o->fd : files->file.fd, &want->span, ret_held);
}

static int take(struct lock_owner *o, const struct lock_want *want,
		const struct lock_files *files, struct lock_span *ret_blocker)
{
	int r;

	*ret_blocker = least_blocker(&want->span);
	if (want->kind == LOCK_FLOCK)
		return host_flock(files->file.fd, want->span.type);
	r = host_set(o->fd, &want->span);
	if (r == -EAGAIN)
		(void)host_get(o->fd, &want->span, ret_blocker);
	return r;
}

static int take_and_note(struct fs *fs, const struct lock_want *want,
			 const struct lock_files *files,
			 struct lock_span *ret_blocker, bool *gain)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_owner *o = lock_owner_find(t, want);
	struct lock_spare spare;
	int r = lock_reserve(t, &spare);

	if (r < 0)
		return r;
	if (!o)
		r = add_owner(fs, want, files, &o);
	if (r == 0)
		r = take(o, want, files, ret_blocker);
	if (r == 0)
		*gain |= lock_owner_set(t, o, want, &spare);
	else
		lock_unreserve(t, &spare);
	if (o && r == -EAGAIN && want->kind == LOCK_FLOCK) {
		*gain |= !lock_owner_empty(t, o);
		lock_owner_drop(t, o);
	} else if (o && lock_owner_empty(t, o)) {
		lock_owner_drop(t, o);
	}
	return r;
}

int lock_try(struct fs *fs, const struct lock_want *want,
	     const struct lock_files *files, struct lock_span *ret_blocker,
	     bool *gain)
{
	int r = 0;

	/* No descriptor is opened to hear that it was in vain. */
	if (want->kind == LOCK_POSIX &&
	    !lock_owner_find(&fs->locks->table, want))
		r = lock_probe(fs, want, files, ret_blocker);
	return r < 0 ? r : take_and_note(fs, want, files, ret_blocker, gain);
}

int lock_untake(struct fs *fs, const struct lock_want *want,
		const struct lock_files *files, bool *gain)
{
	struct lock_table *t = &fs->locks->table;
	struct lock_owner *o = lock_owner_find(t, want);
	struct lock_want nothing = *want;
	struct lock_span blocker;
	struct lock_spare spare;
	int r;

	if (!o)
		return 0;
	nothing.span.type = F_UNLCK;
	r = lock_reserve(t, &spare);
	if (r < 0)
		return r;
	r = take(o, &nothing, files, &blocker);
	if (r < 0) {
		lock_unreserve(t, &spare);
		return r;
	}
	*gain |= lock_owner_set(t, o, &nothing, &spare);
	if (lock_owner_empty(t, o))
		lock_owner_drop(t, o);
	return 0;
}

/* Released first, since a thread that has the description pinned, or a close
 * that takes its time, must not keep others from the lock. */
void lock_let_go(struct fs *fs, struct lock_owner *o, int fd)
{
	const struct lock_span all = { 0, LOCK_TO_END, F_UNLCK };

	if (o->kind == LOCK_POSIX)
		(void)host_set(o->fd, &all);
	else if (fd >= 0)
		(void)host_flock(fd, F_UNLCK);
	lock_owner_drop(&fs->locks->table, o);
}
