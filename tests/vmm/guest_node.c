/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that find nodes, drop them, and read or change their attributes. */
#include <errno.h>
#include <string.h>

#include "guest.h"

static int call_entry(struct guest *g, struct fuse_entry_out *ret)
{
	call_room(&g->call, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(&g->call), sizeof(*ret));
	return r;
}

int guest_lookup(struct guest *g, uint64_t parent, const char *name,
		 struct fuse_entry_out *ret)
{
	struct call *c = guest_begin(g, FUSE_LOOKUP, parent);

	call_name(c, name);
	return call_entry(g, ret);
}

int guest_walk(struct guest *g, const char *path, struct fuse_entry_out *ret)
{
	uint64_t at = FUSE_ROOT_ID;
	char name[256];
	int r = -ENOENT;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n >= sizeof(name))
			return -ENAMETOOLONG;
		memcpy(name, path, n);
		name[n] = '\0';
		r = guest_lookup(g, at, name, ret);
		if (r < 0)
			return r;
		at = ret->nodeid;
		path += n + (path[n] == '/');
	}
	return r;
}

int guest_forget(struct guest *g, uint64_t node, uint64_t nlookup)
{
	struct call *c = guest_begin(g, FUSE_FORGET, node);
	struct fuse_forget_in *in = call_arg(c, sizeof(*in));

	in->nlookup = nlookup;
	call_no_reply(c);
	return guest_call(g);
}

int guest_batch_forget(struct guest *g, uint32_t count, const struct fuse_forget_one *one,
		       size_t n)
{
	struct call *c = guest_begin(g, FUSE_BATCH_FORGET, 0);
	struct fuse_batch_forget_in *in = call_arg(c, sizeof(*in));

	in->count = count;
	call_send(c, one, n * sizeof(*one));
	call_no_reply(c);
	return guest_call(g);
}

static int call_attr(struct guest *g, struct fuse_attr_out *ret)
{
	call_room(&g->call, sizeof(struct fuse_attr_out));

	int r = guest_call(g);

	if (r == 0 && ret)
		memcpy(ret, call_body(&g->call), sizeof(*ret));
	return r;
}

int guest_getattr(struct guest *g, uint64_t node, uint64_t fh, struct fuse_attr_out *ret)
{
	struct call *c = guest_begin(g, FUSE_GETATTR, node);
	struct fuse_getattr_in *in = call_arg(c, sizeof(*in));

	if (fh != GUEST_NO_FH) {
		in->getattr_flags = FUSE_GETATTR_FH;
		in->fh = fh;
	}
	return call_attr(g, ret);
}

int guest_setattr(struct guest *g, uint64_t node, const struct fuse_setattr_in *in,
		  struct fuse_attr_out *ret)
{
	struct call *c = guest_begin(g, FUSE_SETATTR, node);

	call_bytes(c, in, sizeof(*in));
	return call_attr(g, ret);
}

int guest_chmod(struct guest *g, uint64_t node, mode_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };

	return guest_setattr(g, node, &in, NULL);
}

int guest_chown(struct guest *g, uint64_t node, uid_t uid, gid_t gid)
{
	struct fuse_setattr_in in = { .uid = uid, .gid = gid };

	in.valid = (uid != (uid_t)-1 ? FATTR_UID : 0) | (gid != (gid_t)-1 ? FATTR_GID : 0);
	return guest_setattr(g, node, &in, NULL);
}

int guest_truncate(struct guest *g, uint64_t node, uint64_t size)
{
	struct fuse_setattr_in in = { .valid = FATTR_SIZE, .size = size };

	return guest_setattr(g, node, &in, NULL);
}

ssize_t guest_readlink(struct guest *g, uint64_t node, char *buf, size_t size)
{
	struct call *c = guest_begin(g, FUSE_READLINK, node);

	call_recv(c, buf, size);

	int r = guest_call(g);

	return r < 0 ? r : (ssize_t)c->recv_len;
}
