/* SPDX-License-Identifier: BSD-3-Clause */
#include "fuse/serve.h"

#include <errno.h>
#include <string.h>

#include "base/checked.h"
#include "base/log.h"
#include "fs/cred.h"
#include "fs/fsclass.h"
#include "fs/single.h"
#include "fuse/decode.h"
#include "fuse/optable.h"

/* Workers that may die over one request. */
#define DEATHS_MAX 2U

static int write_header(struct iobuf *out, uint64_t unique, int result,
			size_t body)
{
	struct fuse_out_header h = {
		.len = (uint32_t)(sizeof(h) + body),
		.error = result,
		.unique = unique,
	};

	return iobuf_write(out, &h, sizeof(h)) ? (int)h.len : 0;
}

/* To a guest's program, errno 512 and EINTR are not what happened: whatever
 * was cut short here was not cut short by it. */
static int wire_error(int r)
{
	return r == -EINTR ? -EIO : r;
}

static int reply_finish(struct request *rq, int r)
{
	r = wire_error(r);
	rq->error = r < 0 ? -r : 0;
	log_debug("%s: unique %llu, node %llu: %s, %zu bytes",
		  rq->op ? rq->op->name : "unknown op",
		  (unsigned long long)rq->h.unique,
		  (unsigned long long)rq->h.nodeid,
		  r < 0 ? strerror(-r) : "done", r < 0 ? 0 : rq->body);
	if (rq->op && rq->op->flags & OP_NO_REPLY)
		return 0;
	return write_header(&rq->head, rq->h.unique, r, r < 0 ? 0 : rq->body);
}

int fuse_reply_parked(struct iobuf *out, uint64_t unique, int result)
{
	return write_header(out, unique, wire_error(result), 0);
}

void fuse_trace(const struct request *rq, struct trace_record *ret)
{
	bool moves_data = rq->h.opcode == FUSE_READ || rq->h.opcode == FUSE_WRITE;
	const char *name = rq->name[0] ? rq->name[0] : "";

	ret->unique = rq->h.unique;
	ret->nodeid = rq->h.nodeid;
	ret->uid = rq->h.uid;
	ret->pid = rq->h.pid;
	ret->bytes_in = rq->h.len;
	ret->error = rq->error;
	ret->opcode = (uint16_t)min_u64(rq->h.opcode, UINT16_MAX);
	ret->offset = moves_data ? rq->arg.read.offset : 0;
	ret->size = moves_data ? rq->arg.read.size : 0;
	memccpy(ret->name, name, '\0', sizeof(ret->name));
}

static bool is_release(const struct request *rq)
{
	return rq->h.opcode == FUSE_RELEASE || rq->h.opcode == FUSE_RELEASEDIR;
}

static enum handle_kind file_kind(const struct request *rq)
{
	return rq->op->flags & OP_FILE ? HANDLE_FILE : HANDLE_DIR;
}

/* Whether it changes the file that it names by a handle. */
static bool writes_to(const struct request *rq)
{
	return rq->op->flags & OP_WRITES &&
	       rq->h.opcode != FUSE_COPY_FILE_RANGE &&
	       rq->h.opcode != WIRE_FUSE_COPY_FILE_RANGE_64;
}

/* The row's demands on what the guest names. */
static int pin(struct fs *fs, struct request *rq)
{
	uint32_t flags = rq->op->flags;
	int r = 0;

	if (flags & (OP_NODE | OP_PARENT))
		r = node_pin(&fs->nodes, rq->h.nodeid, &rq->node);
	if (r < 0)
		return flags & OP_PARENT ? -ENOENT : r;
	if (flags & (OP_FILE | OP_DIR))
		r = unopened_pin(fs, rq->h.nodeid, rq->arg.fh, file_kind(rq),
				 writes_to(rq), &rq->file);
	return r;
}

static void unpin(struct request *rq)
{
	handle_unpin(&rq->file);
	node_unpin(&rq->node);
}

static int enter_cred(const struct fs *fs, const struct request *rq,
		      struct cred_scope *scope)
{
	if (rq->op->cred == CRED_NO_FSETID &&
	    rq->arg.write.write_flags & FUSE_WRITE_KILL_SUIDGID)
		return cred_drop_fsetid(scope, &fs->cred);
	return 0;
}

/* The directory that is made up for a share of one file is nobody's to change. */
static int run(struct fs *fs, struct request *rq)
{
	if (!single_is_root(fs, &rq->node))
		return rq->op->fn(fs, rq);
	return rq->op->flags & OP_WRITES ? -EPERM : single_serve(fs, rq);
}

/* Two workers have died over it: a third one will not. */
static int refuse_again(const struct request *rq)
{
	log_error("%s (unique %llu) was being carried out when two workers died: it fails",
		  rq->op->name, (unsigned long long)rq->h.unique);
	return -EIO;
}

/* A release that an earlier worker has done leaves nothing to be found. */
static bool is_released(const struct request *rq, int r)
{
	return r == -EBADF && rq->again && is_release(rq);
}

/* What an earlier worker did of a FORGET stays done. */
static void begin_tally(const struct request *rq)
{
	uint64_t done = rq->again && rq->op->flags & OP_NO_REPLY ?
				request_mark(rq) :
				0;

	if (rq->record)
		tally_begin(rq->tally, tally_order(rq->token.queue,
						   rq->record->order),
			    (uint32_t)done);
}

/* Where every call may take as long as somebody else likes, or this one does. */
static void say_what_may_block(struct request *rq)
{
	uint32_t flags = rq->op->flags;
	unsigned int fs_class = 0;

	if (flags & (OP_NODE | OP_PARENT))
		fs_class = node_class(rq->node.node);
	else if (flags & (OP_FILE | OP_DIR))
		fs_class = rq->file.handle->fs_class;
	if (flags & OP_SLOW && !(fs_class & FSCLASS_MEMORY))
		request_blocks(rq);
	else if (fs_class & FSCLASS_REMOTE)
		request_may_block(rq);
}

static int act_pinned(struct fs *fs, struct request *rq)
{
	struct cred_scope scope = { 0 };
	int r = enter_cred(fs, rq, &scope);

	if (r < 0)
		return r;
	begin_tally(rq);
	inflight_acting(rq->record, (uint16_t)rq->h.opcode, rq->h.unique);
	atomic_store_explicit(&rq->acting, rq->h.opcode, memory_order_relaxed);
	say_what_may_block(rq);
	r = run(fs, rq);
	atomic_store_explicit(&rq->acting, 0, memory_order_relaxed);
	cred_leave(&scope);
	return r;
}

static int act(struct fs *fs, struct request *rq)
{
	unsigned int deaths = rq->record ? inflight_deaths(rq->record) : 0;
	int r;

	/* What the guest never opened need not be opened to be released. */
	if (is_release(rq) && unopened_is(fs, rq->arg.fh, file_kind(rq)))
		return 0;
	r = pin(fs, rq);
	if (is_released(rq, r))
		r = 0;
	else if (r == 0)
		r = deaths >= DEATHS_MAX ? refuse_again(rq) : act_pinned(fs, rq);
	unpin(rq);
	return r;
}

void fuse_undo(struct session *s, struct inflight *record, unsigned int queue)
{
	const struct fuse_op *op = fuse_op(record->opcode);
	struct node_table *nodes = &s->fs->nodes;

	if (inflight_phase(record) != INFLIGHT_ACTING || !op)
		return;
	for (uint32_t i = 0; i < nodes->n_tallies; i++) {
		struct tally *t = &nodes->tally[i];

		if (t->number != i + 1 ||
		    t->order != tally_order(queue, record->order))
			continue;
		if (op->flags & OP_NO_REPLY) {
			record->mark = max_u64(record->mark, tally_count(t));
			continue;
		}
		while (tally_count(t))
			node_unlook(nodes, t);
		handle_undo(&s->fs->handles, t);
	}
}

int fuse_serve_exclusive(struct session *s, struct request *rq)
{
	ASSERT(rq->op->flags & OP_EXCLUSIVE);
	return reply_finish(rq, act(s->fs, rq));
}

/* A DESTROY that an earlier worker has done has left none. */
static bool needs_session(const struct request *rq)
{
	return !(rq->op->flags & OP_NO_SESSION) &&
	       !(rq->again && rq->h.opcode == FUSE_DESTROY);
}

int fuse_serve(struct session *s, struct request *rq)
{
	int r;

	rq->session = s;
	rq->long_setxattr = s->record->flags & FUSE_SETXATTR_EXT;
	rq->unsized_label = s->record->flags & FUSE_SECURITY_CTX &&
			    s->record->minor < WIRE_FUSE_MINOR_EXTLEN;
	r = fuse_decode(rq);
	rq->again = rq->record && inflight_deaths(rq->record);
	if (r == 0 && !session_is_live(s) && needs_session(rq))
		r = -EIO;
	if (r == 0 && rq->op->flags & OP_EXCLUSIVE)
		return REQUEST_EXCLUSIVE;
	/* Whatever the guest's kernel thinks of its mount. */
	if (r == 0 && s->fs->readonly && rq->op->flags & OP_WRITES)
		r = -EROFS;
	if (r == 0 && rq->hooks)
		rq->hooks->acts(rq);
	if (r == 0)
		r = act(s->fs, rq);
	return r == REQUEST_PARKED ? r : reply_finish(rq, r);
}
