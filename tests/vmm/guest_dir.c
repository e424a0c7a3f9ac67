/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests on open directories. */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "guest.h"

int guest_opendir(struct guest *g, uint64_t node, struct fuse_open_out *ret)
{
	struct call *c = guest_begin(g, FUSE_OPENDIR, node);
	struct fuse_open_in *in = call_arg(c, sizeof(*in));

	in->flags = 0;
	call_room(c, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(c), sizeof(*ret));
	return r;
}

int guest_releasedir(struct guest *g, uint64_t node, uint64_t fh)
{
	struct call *c = guest_begin(g, FUSE_RELEASEDIR, node);
	struct fuse_release_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	return guest_call(g);
}

int guest_fsyncdir(struct guest *g, uint64_t node, uint64_t fh, bool datasync)
{
	struct call *c = guest_begin(g, FUSE_FSYNCDIR, node);
	struct fuse_fsync_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	in->fsync_flags = datasync;
	return guest_call(g);
}

static ssize_t read_entries(struct guest *g, uint32_t opcode, uint64_t node, uint64_t fh,
			    uint64_t offset, void *buf, uint32_t size)
{
	struct call *c = guest_begin(g, opcode, node);
	struct fuse_read_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_read_in){ .fh = fh, .offset = offset, .size = size };
	call_recv(c, buf, size);

	int r = guest_call(g);

	return r < 0 ? r : (ssize_t)c->recv_len;
}

ssize_t guest_readdir(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset, void *buf,
		      uint32_t size)
{
	return read_entries(g, FUSE_READDIR, node, fh, offset, buf, size);
}

ssize_t guest_readdirplus(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset,
			  void *buf, uint32_t size)
{
	return read_entries(g, FUSE_READDIRPLUS, node, fh, offset, buf, size);
}

const struct fuse_dirent *guest_dirent(const void *buf, size_t len, size_t *at)
{
	const struct fuse_dirent *d = (const void *)((const char *)buf + *at);

	if (len - *at < FUSE_NAME_OFFSET || len - *at < FUSE_DIRENT_SIZE(d))
		return NULL;
	*at += FUSE_DIRENT_SIZE(d);
	return d;
}

const struct fuse_direntplus *guest_direntplus(const void *buf, size_t len, size_t *at)
{
	const struct fuse_direntplus *d = (const void *)((const char *)buf + *at);

	if (len - *at < FUSE_NAME_OFFSET_DIRENTPLUS || len - *at < FUSE_DIRENTPLUS_SIZE(d))
		return NULL;
	*at += FUSE_DIRENTPLUS_SIZE(d);
	return d;
}
