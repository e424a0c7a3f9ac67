/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuse/session.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"

#define GUEST_PAGE 4096U

/*
 * Data pages of a request. A Linux guest's request needs up to four more
 * descriptors than it has pages, and one system call takes IOV_MAX pieces.
 */
#define PAGES_MAX 1020U
#define PAGES_BY_DEFAULT 32U /* what a guest that knows no MAX_PAGES uses */
#define HEADER_DESCRIPTORS 4U

/* Reads and writes that the guest may have under way without being waited
 * for: the queue is the limit, not this. */
#define BACKGROUND_MAX 65535U

/* The log says so often why an INIT is refused. */
#define REFUSALS_SAID 10U

/* Answered whenever they are offered. */
#define FLAGS_ALWAYS                                                           \
	((uint64_t)(FUSE_ASYNC_READ | FUSE_PARALLEL_DIROPS |                   \
		    FUSE_AUTO_INVAL_DATA | FUSE_ASYNC_DIO |                    \
		    FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_MAX_PAGES |   \
		    FUSE_EXPORT_SUPPORT | FUSE_CACHE_SYMLINKS |                \
		    FUSE_HAS_IOCTL_DIR | FUSE_INIT_EXT) |                                           \
	 FUSE_CREATE_SUPP_GROUP)
#define FLAGS_READDIRPLUS                                                      \
	((uint64_t)(FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO))

/* Only all three together make ACLs that the host inherits as it should. */
#define FLAGS_ACL                                                              \
	((uint64_t)(FUSE_POSIX_ACL | FUSE_DONT_MASK | FUSE_SETXATTR_EXT))

/* What the file system has to know of the agreement. */
static void apply(const struct session *s)
{
	uint64_t flags = s->record->flags;
	struct fs *fs = s->fs;

	fs->use_acl = flags & FUSE_POSIX_ACL;
	fs->use_label = flags & FUSE_SECURITY_CTX;
	/* Windows' driver does not, and takes any reply for a file that is
	 * there. It is the one that knows nothing of O_TRUNC either. */
	fs->use_negative = flags & (FUSE_ATOMIC_O_TRUNC | FUSE_NO_OPEN_SUPPORT);
	fs->use_submounts = flags & FUSE_SUBMOUNTS;
	fs->writeback = flags & FUSE_WRITEBACK_CACHE;
	fs->use_posix_lock = flags & FUSE_POSIX_LOCKS;
	fs->use_flock = flags & FUSE_FLOCK_LOCKS;
	fs->no_open = flags & FUSE_NO_OPEN_SUPPORT;
	fs->no_opendir = flags & FUSE_NO_OPENDIR_SUPPORT;
}

void session_init(struct session *s, struct fs *fs, struct session_record *rec)
{
	s->fs = fs;
	s->record = rec;
	s->refused = 0;
}

void session_attach(struct session *s)
{
	if (session_is_live(s))
		apply(s);
	else
		fs_reset(s->fs); /* its end was under way, perhaps */
}

void session_end(struct session *s)
{
	if (!session_is_live(s))
		return;
	atomic_store(&s->record->live, 0);
	log_debug("session ended: %llu nodes, %llu handles dropped",
		  (unsigned long long)node_table_count(&s->fs->nodes) - 1,
		  (unsigned long long)handle_table_count(&s->fs->handles));
	fs_reset(s->fs);
}

/* fuse_init_in has grown twice; what an older guest does not send reads 0. */
static int read_init(struct request *rq, struct fuse_init_in *ret)
{
	size_t more = min_size(rq->in.left,
			       sizeof(*ret) - WIRE_FUSE_INIT_IN_MIN);

	memset(ret, 0, sizeof(*ret));
	memcpy(ret, &rq->arg.init, WIRE_FUSE_INIT_IN_MIN);
	iobuf_read(&rq->in, (char *)ret + WIRE_FUSE_INIT_IN_MIN, more);
	return ret->major < WIRE_FUSE_MAJOR ||
			       (ret->major == WIRE_FUSE_MAJOR &&
				ret->minor < WIRE_FUSE_MINOR_MIN) ?
		       -EPROTO :
		       0;
}

static uint64_t agree(const struct fs *fs, const struct fuse_init_in *in)
{
	uint64_t offered = in->flags;
	uint64_t ours = FLAGS_ALWAYS;

	if (in->flags & FUSE_INIT_EXT)
		offered |= (uint64_t)in->flags2 << 32;
	if (fs->cache.readdirplus)
		ours |= FLAGS_READDIRPLUS;
	if (fs->posix_acl != AGREE_NEVER && fs->xattr && (offered & FLAGS_ACL) == FLAGS_ACL)
		ours |= FLAGS_ACL;
	if (fs->security_label != AGREE_NEVER && fs->xattr)
		ours |= FUSE_SECURITY_CTX;
	/* A guest takes the second only with the first. */
	if (ours & FUSE_POSIX_ACL)
		ours |= FUSE_ALLOW_IDMAP;
	if (fs->announce_submounts)
		ours |= FUSE_SUBMOUNTS;
	if (fs->allow_writeback)
		ours |= FUSE_WRITEBACK_CACHE;
	if (fs->killpriv_v2)
		ours |= FUSE_HANDLE_KILLPRIV_V2;
	if (fs->allow_posix_lock)
		ours |= FUSE_POSIX_LOCKS;
	if (fs->allow_flock)
		ours |= FUSE_FLOCK_LOCKS;
	if (fs->allow_mmap)
		ours |= FUSE_DIRECT_IO_ALLOW_MMAP;
	if (fs->allow_no_open)
		ours |= FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT;
	/* O_TRUNC, which no OPEN comes with then, is a request of its own. */
	if (offered & ours & FUSE_NO_OPEN_SUPPORT)
		ours &= ~(uint64_t)FUSE_ATOMIC_O_TRUNC;
	return offered & ours;
}

/* Whether to say why an INIT is refused: a guest may send them without end, and
 * has no business to fill the host's disk with log. */
static bool say_refused(struct session *s)
{
	if (s->refused == REFUSALS_SAID)
		return false;
	s->refused++;
	return true;
}

/* What the operator insists on must be there. */
static int check_agreed(struct session *s, uint64_t flags)
{
	const struct fs *fs = s->fs;
	const char *missing = NULL;

	if (fs->posix_acl == AGREE_ALWAYS && !(flags & FUSE_POSIX_ACL))
		missing = "POSIX ACLs (--posix-acl=auto would go on without)";
	if (fs->security_label == AGREE_ALWAYS && !(flags & FUSE_SECURITY_CTX))
		missing = "security labels (--security-label=auto would go on without)";
	if (!missing)
		return 0;
	if (say_refused(s))
		log_error("the guest does not offer %s", missing);
	return -EPROTO;
}

static uint32_t max_pages(const struct request *rq)
{
	uint32_t size = rq->queue_size;

	if (size <= HEADER_DESCRIPTORS)
		return 1;
	return (uint32_t)min_size(size - HEADER_DESCRIPTORS, PAGES_MAX);
}

static void fill_init(const struct request *rq, const struct fuse_init_in *in,
		      uint64_t flags, struct fuse_init_out *ret)
{
	uint32_t pages = flags & FUSE_MAX_PAGES ? max_pages(rq) :
						  PAGES_BY_DEFAULT;

	memset(ret, 0, sizeof(*ret));
	ret->major = WIRE_FUSE_MAJOR;
	ret->minor = WIRE_FUSE_MINOR;
	ret->max_readahead = in->max_readahead;
	ret->flags = (uint32_t)flags;
	if (flags & FUSE_INIT_EXT)
		ret->flags2 = (uint32_t)(flags >> 32);
	ret->max_background = BACKGROUND_MAX;
	ret->congestion_threshold = BACKGROUND_MAX / 4 * 3;
	ret->max_write = pages * GUEST_PAGE;
	ret->time_gran = 1;
	ret->max_pages = flags & FUSE_MAX_PAGES ? (uint16_t)pages : 0;
}

/* A guest of a later major version asks again in ours. */
static int reply_version(struct request *rq)
{
	struct fuse_init_out out = {
		.major = WIRE_FUSE_MAJOR,
		.minor = WIRE_FUSE_MINOR,
	};

	return reply_put(rq, &out, sizeof(out)) ? 0 : -ERANGE;
}

int op_init(struct fs *fs, struct request *rq)
{
	struct session *s = rq->session;
	struct fuse_init_out out;
	struct fuse_init_in in;
	int r;

	session_end(s);
	r = read_init(rq, &in);
	if (r < 0) {
		if (say_refused(s))
			log_warn("the guest speaks FUSE %u.%u; %u.%u is the oldest that is served",
				 in.major, in.minor, WIRE_FUSE_MAJOR,
				 WIRE_FUSE_MINOR_MIN);
		return r;
	}
	if (in.major > WIRE_FUSE_MAJOR)
		return reply_version(rq);

	s->record->minor = in.minor;
	s->record->flags = agree(fs, &in);
	r = check_agreed(s, s->record->flags);
	if (r < 0)
		return r;
	apply(s);
	s->record->number++;
	fill_init(rq, &in, s->record->flags, &out);
	if (!reply_put(rq, &out, sizeof(out)))
		return -ERANGE;
	atomic_store(&s->record->live, 1);
	log_debug("session %llu: FUSE 7.%u, flags 0x%llx, requests up to %u KiB",
		  (unsigned long long)s->record->number, in.minor,
		  (unsigned long long)s->record->flags, out.max_write / 1024);
	return 0;
}

int op_destroy(struct fs *fs, struct request *rq)
{
	session_end(rq->session);
	return 0;
}
