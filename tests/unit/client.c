/* SPDX-License-Identifier: BSD-3-Clause */
#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "fuse/optable.h"

#define CANARY 0x5c
#define PIECES_MAX 16384U

void client_start_bare(struct client *c, enum cache_mode cache)
{
	struct config cfg = { .shared_dir = unit_dir, .cache = cache,
			      .entry_timeout = -1,
			      .attr_timeout = -1,
			      .negative_timeout = -1 };
	int root;

	log_init(LOG_LEVEL_WARN, false);
	unit_enter_fd_directory();
	memset(c, 0, sizeof(*c));
	unit_arena(&c->arena, SLOTS_MAX, HANDLES_MAX);
	root = share_open(unit_dir);
	must(root >= 0);
	ck_ok(fs_init(&c->fs, &c->arena, &cfg, &root));
	session_init(&c->session, &c->fs, &c->record);
}

void client_start(struct client *c, enum cache_mode cache)
{
	client_start_bare(c, cache);
	ck_ok(client_init(c));
}

void client_stop(struct client *c)
{
	fs_destroy(&c->fs);
	unit_arena_destroy(&c->arena);
	must(fd_count() == 0);
}

struct client_counts client_counts(struct client *c)
{
	return (struct client_counts){ node_table_count(&c->fs.nodes),
				       handle_table_count(&c->fs.handles),
				       fd_count() };
}

void client_check_counts(struct client *c, const struct client_counts *was)
{
	struct client_counts now = client_counts(c);

	must(now.nodes == was->nodes);
	must(now.handles == was->handles);
	must(now.fds == was->fds);
}

struct fuse_in_header *call_header(struct call *k)
{
	return (void *)k->in;
}

void call_begin(struct call *k, uint32_t opcode, uint64_t nodeid)
{
	static _Atomic uint64_t unique = 1000;
	struct fuse_in_header h = {
		.len = sizeof(h),
		.opcode = opcode,
		.nodeid = nodeid,
		.unique = unique++,
		.uid = geteuid(),
		.gid = getegid(),
		.pid = 1,
	};

	memcpy(k->in, &h, sizeof(h));
	k->in_len = sizeof(h);
	k->in_piece = 0;
	k->out_piece = 0;
	k->room = CALL_OUT_MAX;
}

void call_put(struct call *k, const void *data, size_t len)
{
	must(k->in_len + len <= sizeof(k->in));
	memcpy(k->in + k->in_len, data, len);
	k->in_len += len;
	call_header(k)->len = (uint32_t)k->in_len;
}

void call_name(struct call *k, const char *name)
{
	call_put(k, name, strlen(name) + 1);
}

void *call_arg_sized(struct call *k, size_t size)
{
	static const char zeroes[128];

	call_put(k, zeroes, size);
	return k->in + k->in_len - size;
}

static size_t cut(void *p, size_t len, size_t piece, struct iovec *iov)
{
	size_t n = 0;

	if (piece == 0)
		piece = len;
	for (size_t at = 0; at < len; at += piece, n++) {
		must(n < PIECES_MAX);
		iov[n].iov_base = (char *)p + at;
		iov[n].iov_len = len - at < piece ? len - at : piece;
	}
	return n;
}

int client_serve(struct client *c, const struct iovec *in, size_t n_in,
		 const struct iovec *out, size_t n_out)
{
	static _Thread_local struct request rq;
	int r;

	request_bind(&rq, in, n_in, out, n_out);
	rq.queue_size = 1024;
	r = fuse_serve(&c->session, &rq);
	if (r != REQUEST_EXCLUSIVE)
		return r;
	return fuse_serve_exclusive(&c->session, &rq);
}

static int check_reply(struct call *k)
{
	struct fuse_out_header h;

	for (size_t i = 0; i < 64; i++)
		must(k->out[k->room + i] == CANARY);
	k->body_len = 0;
	if (k->returned == 0)
		return 0;
	memcpy(&h, k->out, sizeof(h));
	must(k->returned >= (int)sizeof(h));
	must(h.len <= k->room);
	must(h.len == k->returned);
	if (k->in_len >= sizeof(struct fuse_in_header))
		must(h.unique == call_header(k)->unique);
	must(h.error <= 0);
	must(h.error > -512);
	if (h.error)
		must(h.len == sizeof(h));
	k->body_len = h.len - sizeof(h);
	return h.error;
}

int call_serve(struct client *c, struct call *k)
{
	static _Thread_local struct iovec in[PIECES_MAX], out[PIECES_MAX];
	size_t n_in, n_out;

	memset(k->out + k->room, CANARY, 64);
	n_in = cut(k->in, k->in_len, k->in_piece, in);
	n_out = cut(k->out, k->room, k->out_piece, out);
	k->returned = client_serve(c, in, n_in, out, n_out);
	return check_reply(k);
}

int client_init(struct client *c)
{
	struct call k;
	struct fuse_init_in *in;

	call_begin(&k, FUSE_INIT, 0);
	in = call_arg(&k, fuse_init_in);
	in->major = 7;
	in->minor = 38;
	in->max_readahead = 131072;
	in->flags = FUSE_INIT_EXT | FUSE_MAX_PAGES | FUSE_DO_READDIRPLUS |
		    FUSE_READDIRPLUS_AUTO | FUSE_PARALLEL_DIROPS;
	in->flags2 = FUSE_CREATE_SUPP_GROUP >> 32;
	return call_serve(c, &k);
}

int client_lookup(struct client *c, uint64_t parent, const char *name,
		  uint64_t *ret_nodeid)
{
	const struct fuse_entry_out *entry;
	struct call k;
	int r;

	call_begin(&k, FUSE_LOOKUP, parent);
	call_name(&k, name);
	r = call_serve(c, &k);
	entry = call_body(&k);
	*ret_nodeid = r < 0 ? 0 : entry->nodeid;
	return r;
}

void client_forget(struct client *c, uint64_t nodeid, uint64_t n)
{
	struct call k;

	call_begin(&k, FUSE_FORGET, nodeid);
	call_arg(&k, fuse_forget_in)->nlookup = n;
	ck_ok(call_serve(c, &k));
	must(k.returned == 0);
}

static int open_node(struct client *c, uint32_t opcode, uint64_t nodeid,
		     uint32_t flags, uint64_t *ret_fh)
{
	const struct fuse_open_out *out;
	struct call k;
	int r;

	call_begin(&k, opcode, nodeid);
	call_arg(&k, fuse_open_in)->flags = flags;
	r = call_serve(c, &k);
	out = call_body(&k);
	*ret_fh = r < 0 ? 0 : out->fh;
	return r;
}

int client_open(struct client *c, uint64_t nodeid, uint32_t flags,
		uint64_t *ret_fh)
{
	return open_node(c, FUSE_OPEN, nodeid, flags, ret_fh);
}

int client_opendir(struct client *c, uint64_t nodeid, uint64_t *ret_fh)
{
	return open_node(c, FUSE_OPENDIR, nodeid, O_RDONLY, ret_fh);
}

static int release(struct client *c, uint32_t opcode, uint64_t fh)
{
	struct call k;

	call_begin(&k, opcode, FUSE_ROOT_ID);
	call_arg(&k, fuse_release_in)->fh = fh;
	return call_serve(c, &k);
}

int client_release(struct client *c, uint64_t fh)
{
	return release(c, FUSE_RELEASE, fh);
}

int client_releasedir(struct client *c, uint64_t fh)
{
	return release(c, FUSE_RELEASEDIR, fh);
}

int client_create(struct client *c, uint64_t parent, const char *name,
		  uint32_t flags, uint32_t mode, uint64_t *ret_nodeid,
		  uint64_t *ret_fh)
{
	struct fuse_create_in *in;
	struct {
		struct fuse_entry_out entry;
		struct fuse_open_out open;
	} out = { 0 };
	struct call k;
	int r;

	call_begin(&k, FUSE_CREATE, parent);
	in = call_arg(&k, fuse_create_in);
	in->flags = flags;
	in->mode = S_IFREG | mode;
	call_name(&k, name);
	r = call_serve(c, &k);
	if (r == 0) {
		must(k.body_len == sizeof(out));
		memcpy(&out, call_body(&k), sizeof(out));
	}
	*ret_nodeid = out.entry.nodeid;
	*ret_fh = out.open.fh;
	return r;
}

int client_getattr(struct client *c, uint64_t nodeid, struct fuse_attr *ret)
{
	const struct fuse_attr_out *out;
	struct call k;
	int r;

	call_begin(&k, FUSE_GETATTR, nodeid);
	call_arg(&k, fuse_getattr_in);
	r = call_serve(c, &k);
	out = call_body(&k);
	if (r == 0)
		*ret = out->attr;
	return r;
}

int client_name(struct client *c, uint32_t opcode, uint64_t parent,
		const char *name)
{
	struct call k;

	call_begin(&k, opcode, parent);
	call_name(&k, name);
	return call_serve(c, &k);
}

int client_read(struct client *c, uint64_t fh, uint64_t off, uint32_t size,
		void *data)
{
	struct fuse_read_in *in;
	struct call k;
	int r;

	call_begin(&k, FUSE_READ, FUSE_ROOT_ID);
	in = call_arg(&k, fuse_read_in);
	in->fh = fh;
	in->offset = off;
	in->size = size;
	r = call_serve(c, &k);
	if (r < 0)
		return r;
	memcpy(data, call_body(&k), k.body_len);
	return (int)k.body_len;
}

int client_write(struct client *c, uint64_t fh, uint64_t off, const void *data,
		 uint32_t size)
{
	const struct fuse_write_out *out;
	struct fuse_write_in *in;
	struct call k;
	int r;

	call_begin(&k, FUSE_WRITE, FUSE_ROOT_ID);
	in = call_arg(&k, fuse_write_in);
	in->fh = fh;
	in->offset = off;
	in->size = size;
	call_put(&k, data, size);
	r = call_serve(c, &k);
	out = call_body(&k);
	return r < 0 ? r : (int)out->size;
}
