/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests on open files. */
#include <errno.h>
#include <string.h>

#include "guest.h"

int guest_open(struct guest *g, uint64_t node, uint32_t flags, struct fuse_open_out *ret)
{
	struct call *c = guest_begin(g, FUSE_OPEN, node);
	struct fuse_open_in *in = call_arg(c, sizeof(*in));

	in->flags = flags;
	in->open_flags = g->open_flags;
	call_room(c, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(c), sizeof(*ret));
	return r;
}

int guest_release(struct guest *g, uint64_t node, uint64_t fh)
{
	struct call *c = guest_begin(g, FUSE_RELEASE, node);
	struct fuse_release_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	return guest_call(g);
}

int guest_flush(struct guest *g, uint64_t node, uint64_t fh)
{
	struct call *c = guest_begin(g, FUSE_FLUSH, node);
	struct fuse_flush_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	return guest_call(g);
}

int guest_fsync(struct guest *g, uint64_t node, uint64_t fh, bool datasync)
{
	struct call *c = guest_begin(g, FUSE_FSYNC, node);
	struct fuse_fsync_in *in = call_arg(c, sizeof(*in));

	in->fh = fh;
	in->fsync_flags = datasync;
	return guest_call(g);
}

ssize_t guest_read(struct guest *g, uint64_t node, uint64_t fh, void *buf, uint32_t size,
		   uint64_t offset)
{
	struct call *c = guest_begin(g, FUSE_READ, node);
	struct fuse_read_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_read_in){ .fh = fh, .offset = offset, .size = size,
				     .flags = g->file_flags };
	call_recv(c, buf, size);

	int r = guest_call(g);

	return r < 0 ? r : (ssize_t)c->recv_len;
}

ssize_t guest_write(struct guest *g, uint64_t node, uint64_t fh, const void *buf,
		    uint32_t size, uint64_t offset)
{
	struct call *c = guest_begin(g, FUSE_WRITE, node);
	struct fuse_write_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_write_in){ .fh = fh, .offset = offset, .size = size,
				      .write_flags = g->write_flags, .flags = g->file_flags };
	call_send(c, buf, size);
	call_room(c, sizeof(struct fuse_write_out));

	int r = guest_call(g);
	const struct fuse_write_out *out = call_body(c);

	return r < 0 ? r : (ssize_t)out->size;
}

int guest_fallocate(struct guest *g, uint64_t node, uint64_t fh, uint32_t mode,
		    uint64_t offset, uint64_t length)
{
	struct call *c = guest_begin(g, FUSE_FALLOCATE, node);
	struct fuse_fallocate_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_fallocate_in){ .fh = fh, .offset = offset, .length = length,
					  .mode = mode };
	return guest_call(g);
}

int64_t guest_lseek(struct guest *g, uint64_t node, uint64_t fh, uint64_t offset,
		    uint32_t whence)
{
	struct call *c = guest_begin(g, FUSE_LSEEK, node);
	struct fuse_lseek_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_lseek_in){ .fh = fh, .offset = offset, .whence = whence };
	call_room(c, sizeof(struct fuse_lseek_out));

	int r = guest_call(g);
	const struct fuse_lseek_out *out = call_body(c);

	return r < 0 ? r : (int64_t)out->offset;
}

ssize_t guest_copy_file_range(struct guest *g, uint64_t node_in, uint64_t fh_in,
			      uint64_t off_in, uint64_t node_out, uint64_t fh_out,
			      uint64_t off_out, uint64_t len, uint64_t flags)
{
	struct call *c = guest_begin(g, FUSE_COPY_FILE_RANGE, node_in);
	struct fuse_copy_file_range_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_copy_file_range_in){
		.fh_in = fh_in, .off_in = off_in, .nodeid_out = node_out,
		.fh_out = fh_out, .off_out = off_out, .len = len, .flags = flags,
	};
	call_room(c, sizeof(struct fuse_write_out));

	int r = guest_call(g);
	const struct fuse_write_out *out = call_body(c);

	return r < 0 ? r : (ssize_t)out->size;
}
