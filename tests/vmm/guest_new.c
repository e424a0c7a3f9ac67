/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that came late to the protocol, with what some distributions' <linux/fuse.h> lack. */
#include <string.h>

#include "guest.h"

#define STATX_OPCODE		52	/* 7.39 */
#define COPY_RANGE_64_OPCODE	53	/* 7.45 */

int guest_statx(struct guest *g, uint64_t node, uint32_t mask, struct guest_statx_out *ret)
{
	struct {
		uint32_t getattr_flags, reserved;
		uint64_t fh;
		uint32_t sx_flags, sx_mask;
	} *in;
	struct call *c = guest_begin(g, STATX_OPCODE, node);

	in = call_arg(c, sizeof(*in));
	in->sx_mask = mask;
	call_room(c, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(c), sizeof(*ret));
	return r;
}

int guest_syncfs(struct guest *g, uint64_t node)
{
	struct call *c = guest_begin(g, FUSE_SYNCFS, node);

	call_arg(c, sizeof(struct fuse_syncfs_in));
	return guest_call(g);
}

ssize_t guest_ioctl(struct guest *g, uint64_t node, uint64_t fh, uint32_t flags, uint32_t cmd,
		    const void *in, uint32_t in_size, void *out, uint32_t out_size)
{
	struct call *c = guest_begin(g, FUSE_IOCTL, node);
	struct fuse_ioctl_in *arg = call_arg(c, sizeof(*arg));

	*arg = (struct fuse_ioctl_in){ .fh = fh, .flags = flags, .cmd = cmd,
				       .in_size = in_size, .out_size = out_size };
	call_send(c, in, in_size);
	call_room(c, sizeof(struct fuse_ioctl_out));
	call_recv(c, out, out_size);

	int r = guest_call(g);

	return r < 0 ? r : (ssize_t)c->recv_len;
}

ssize_t guest_copy_file_range_64(struct guest *g, uint64_t node_in, uint64_t fh_in,
				 uint64_t off_in, uint64_t node_out, uint64_t fh_out,
				 uint64_t off_out, uint64_t len)
{
	struct call *c = guest_begin(g, COPY_RANGE_64_OPCODE, node_in);
	struct fuse_copy_file_range_in *in = call_arg(c, sizeof(*in));
	uint64_t copied;

	*in = (struct fuse_copy_file_range_in){
		.fh_in = fh_in, .off_in = off_in, .nodeid_out = node_out,
		.fh_out = fh_out, .off_out = off_out, .len = len,
	};
	call_room(c, sizeof(copied));

	int r = guest_call(g);

	memcpy(&copied, call_body(c), sizeof(copied));
	return r < 0 ? r : (ssize_t)copied;
}
