/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests that make, remove and move names. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "guest.h"

/* The extension after a creating request's name: the caller's one group that matters. */
static void add_groups(struct guest *g)
{
	struct {
		struct fuse_ext_header head;
		uint32_t nr_groups, groups[1];
	} ext = {
		.head = { .size = sizeof(ext), .type = GUEST_EXT_GROUPS },
		.nr_groups = 1,
		.groups = { g->supp_group },
	};

	if (g->supp_group == GUEST_NO_GROUP)
		return;
	call_bytes(&g->call, &ext, sizeof(ext));
	call_header(&g->call)->total_extlen += sizeof(ext) / 8;
}

static void add_ext(struct guest *g)
{
	if (g->ext_len) {
		call_bytes(&g->call, g->ext, g->ext_len);
		if (!g->ext_unsized)
			call_header(&g->call)->total_extlen = g->ext_len / 8;
	}
	add_groups(g);
}

size_t guest_label(void *buf, const char *name, const void *value, size_t len)
{
	struct fuse_secctx_header head = { .nr_secctx = 1 };
	struct fuse_secctx ctx = { .size = len };
	size_t name_size = strlen(name) + 1;
	char *at = (char *)buf + sizeof(head);

	head.size = sizeof(head) + FUSE_REC_ALIGN(sizeof(ctx) + name_size + len);
	memset(buf, 0, head.size);
	memcpy(buf, &head, sizeof(head));
	memcpy(at, &ctx, sizeof(ctx));
	memcpy(at + sizeof(ctx), name, name_size);
	memcpy(at + sizeof(ctx) + name_size, value, len);
	return head.size;
}

static int call_entry(struct guest *g, struct fuse_entry_out *ret)
{
	call_room(&g->call, sizeof(*ret));

	int r = guest_call(g);

	if (r == 0)
		memcpy(ret, call_body(&g->call), sizeof(*ret));
	return r;
}

int guest_symlink(struct guest *g, uint64_t parent, const char *name, const char *target,
		  struct fuse_entry_out *ret)
{
	struct call *c = guest_begin(g, FUSE_SYMLINK, parent);

	call_name(c, name);
	call_name(c, target);
	add_ext(g);
	return call_entry(g, ret);
}

int guest_mknod(struct guest *g, uint64_t parent, const char *name, mode_t mode, uint32_t rdev,
		mode_t umask, struct fuse_entry_out *ret)
{
	struct call *c = guest_begin(g, FUSE_MKNOD, parent);
	struct fuse_mknod_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_mknod_in){ .mode = mode, .rdev = rdev, .umask = umask };
	call_name(c, name);
	add_ext(g);
	return call_entry(g, ret);
}

int guest_mkdir(struct guest *g, uint64_t parent, const char *name, mode_t mode, mode_t umask,
		struct fuse_entry_out *ret)
{
	struct call *c = guest_begin(g, FUSE_MKDIR, parent);
	struct fuse_mkdir_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_mkdir_in){ .mode = mode, .umask = umask };
	call_name(c, name);
	add_ext(g);
	return call_entry(g, ret);
}

static int make_and_open(struct guest *g, uint32_t opcode, uint64_t parent, const char *name,
			 const struct fuse_create_in *in, struct fuse_entry_out *ret_entry,
			 struct fuse_open_out *ret_open)
{
	struct call *c = guest_begin(g, opcode, parent);

	call_bytes(c, in, sizeof(*in));
	call_name(c, name);
	add_ext(g);
	call_room(c, sizeof(*ret_entry) + sizeof(*ret_open));

	int r = guest_call(g);

	if (r == 0) {
		const uint8_t *body = call_body(c);

		memcpy(ret_entry, body, sizeof(*ret_entry));
		memcpy(ret_open, body + sizeof(*ret_entry), sizeof(*ret_open));
	}
	return r;
}

int guest_create(struct guest *g, uint64_t parent, const char *name, uint32_t flags,
		 mode_t mode, mode_t umask, struct fuse_entry_out *ret_entry,
		 struct fuse_open_out *ret_open)
{
	struct fuse_create_in in = { .flags = flags, .mode = mode, .umask = umask,
				     .open_flags = g->open_flags };

	return make_and_open(g, FUSE_CREATE, parent, name, &in, ret_entry, ret_open);
}

int guest_kernel_tmpfile(struct guest *g, uint64_t parent, uint32_t flags, mode_t mode,
			 mode_t umask, struct fuse_entry_out *ret_entry,
			 struct fuse_open_out *ret_open)
{
	struct fuse_create_in in = { .flags = flags, .mode = mode, .umask = umask,
				     .open_flags = g->open_flags };

	/* what Linux calls a file without a name */
	return make_and_open(g, FUSE_TMPFILE, parent, "/", &in, ret_entry, ret_open);
}

int guest_tmpfile(struct guest *g, uint64_t parent, uint32_t flags, mode_t mode, mode_t umask,
		  struct fuse_entry_out *ret_entry, struct fuse_open_out *ret_open)
{
	return guest_kernel_tmpfile(g, parent, flags | O_TMPFILE, mode, umask, ret_entry,
				    ret_open);
}

static int remove_name(struct guest *g, uint32_t opcode, uint64_t parent, const char *name)
{
	call_name(guest_begin(g, opcode, parent), name);
	return guest_call(g);
}

int guest_unlink(struct guest *g, uint64_t parent, const char *name)
{
	return remove_name(g, FUSE_UNLINK, parent, name);
}

int guest_rmdir(struct guest *g, uint64_t parent, const char *name)
{
	return remove_name(g, FUSE_RMDIR, parent, name);
}

int guest_rename(struct guest *g, uint64_t dir, const char *name, uint64_t newdir,
		 const char *newname)
{
	struct call *c = guest_begin(g, FUSE_RENAME, dir);
	struct fuse_rename_in *in = call_arg(c, sizeof(*in));

	in->newdir = newdir;
	call_name(c, name);
	call_name(c, newname);
	return guest_call(g);
}

int guest_rename2(struct guest *g, uint64_t dir, const char *name, uint64_t newdir,
		  const char *newname, uint32_t flags)
{
	struct call *c = guest_begin(g, FUSE_RENAME2, dir);
	struct fuse_rename2_in *in = call_arg(c, sizeof(*in));

	*in = (struct fuse_rename2_in){ .newdir = newdir, .flags = flags };
	call_name(c, name);
	call_name(c, newname);
	return guest_call(g);
}

int guest_link(struct guest *g, uint64_t node, uint64_t newdir, const char *newname,
	       struct fuse_entry_out *ret)
{
	struct call *c = guest_begin(g, FUSE_LINK, newdir);
	struct fuse_link_in *in = call_arg(c, sizeof(*in));

	in->oldnodeid = node;
	call_name(c, newname);
	return call_entry(g, ret);
}
