/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests on extended attributes. */
#include <string.h>

#include "guest.h"

int guest_setxattr(struct guest *g, uint64_t node, const char *name, const void *value,
		   size_t size, uint32_t flags)
{
	struct call *c = guest_begin(g, FUSE_SETXATTR, node);
	struct fuse_setxattr_in in = { .size = size, .flags = flags,
				       .setxattr_flags = g->setxattr_flags };

	call_bytes(c, &in, g->agreed & FUSE_SETXATTR_EXT ? sizeof(in)
							 : FUSE_COMPAT_SETXATTR_IN_SIZE);
	call_name(c, name);
	call_send(c, value, size);
	return guest_call(g);
}

/* The reply is a number or the thing itself. */
static ssize_t number_or_value(struct guest *g, void *buf, uint32_t size)
{
	struct call *c = &g->call;

	if (size)
		call_recv(c, buf, size);
	else
		call_room(c, sizeof(struct fuse_getxattr_out));

	int r = guest_call(g);
	const struct fuse_getxattr_out *out = call_body(c);

	if (r < 0)
		return r;
	return size ? (ssize_t)c->recv_len : (ssize_t)out->size;
}

ssize_t guest_getxattr(struct guest *g, uint64_t node, const char *name, void *buf,
		       uint32_t size)
{
	struct call *c = guest_begin(g, FUSE_GETXATTR, node);
	struct fuse_getxattr_in *in = call_arg(c, sizeof(*in));

	in->size = size;
	call_name(c, name);
	return number_or_value(g, buf, size);
}

ssize_t guest_listxattr(struct guest *g, uint64_t node, void *buf, uint32_t size)
{
	struct call *c = guest_begin(g, FUSE_LISTXATTR, node);
	struct fuse_getxattr_in *in = call_arg(c, sizeof(*in));

	in->size = size;
	return number_or_value(g, buf, size);
}

int guest_removexattr(struct guest *g, uint64_t node, const char *name)
{
	call_name(guest_begin(g, FUSE_REMOVEXATTR, node), name);
	return guest_call(g);
}
