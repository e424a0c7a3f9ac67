/* SPDX-License-Identifier: BSD-3-Clause */
#include "mix.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOT FUSE_ROOT_ID

static void make_tree(void)
{
	char path[128], name[32];

	unit_write_file("file", "0123456789abcdef", 16);
	unit_write_file("other", "", 0);
	snprintf(path, sizeof(path), "%s/dir", unit_dir);
	mkdir(path, 0755);
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "dir/entry%d", i);
		unit_write_file(name, "", 0);
	}
	snprintf(path, sizeof(path), "%s/link", unit_dir);
	(void)unlink(path);
	ck_assert_int_eq(symlink("target/of/it", path), 0);
}

void mix_init(struct mix *m, struct client *c)
{
	struct fuse_attr attr;

	memset(m, 0, sizeof(*m));
	make_tree();
	ck_ok(client_lookup(c, ROOT, "file", &m->file));
	ck_ok(client_lookup(c, ROOT, "other", &m->other));
	ck_ok(client_lookup(c, ROOT, "link", &m->link));
	ck_ok(client_getattr(c, m->link, &attr)); /* opens it */
	ck_ok(client_lookup(c, ROOT, "dir", &m->dir));
	ck_ok(client_open(c, m->file, O_RDWR, &m->fh));
	ck_ok(client_open(c, m->other, O_RDWR, &m->other_fh));
	ck_ok(client_opendir(c, m->dir, &m->dir_fh));
}

static const char *fresh_name(struct mix *m)
{
	snprintf(m->fresh, sizeof(m->fresh), "fresh%u", ++m->serial);
	return m->fresh;
}

static void lookup(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_LOOKUP, m->dir);
	call_name(k, "entry1");
}

static void getattr(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_GETATTR, m->file);
	call_arg(k, fuse_getattr_in);
}

static void setattr(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_SETATTR, m->file);
	call_arg(k, fuse_setattr_in);
}

static void readlink_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_READLINK, m->link);
}

static void symlink_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_SYMLINK, ROOT);
	call_name(k, fresh_name(m));
	call_name(k, "to");
}

static void mknod_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_MKNOD, ROOT);
	call_arg(k, fuse_mknod_in)->mode = S_IFREG | 0644;
	call_name(k, fresh_name(m));
}

static void mkdir_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_MKDIR, ROOT);
	call_arg(k, fuse_mkdir_in)->mode = 0755;
	call_name(k, fresh_name(m));
}

static void link_to(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_LINK, ROOT);
	call_arg(k, fuse_link_in)->oldnodeid = m->file;
	call_name(k, fresh_name(m));
}

static void open_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_OPEN, m->file);
	call_arg(k, fuse_open_in)->flags = O_RDWR;
}

static void create(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_CREATE, ROOT);
	*call_arg(k, fuse_create_in) =
		(struct fuse_create_in){ .flags = O_RDWR | O_CREAT,
					 .mode = S_IFREG | 0644 };
	call_name(k, fresh_name(m));
}

static void create_existing(struct mix *m, struct call *k)
{
	create(m, k);
	k->in_len = sizeof(struct fuse_in_header) +
		    sizeof(struct fuse_create_in);
	call_name(k, "entry2");
	call_header(k)->nodeid = m->dir;
}

static void opendir_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_OPENDIR, m->dir);
	call_arg(k, fuse_open_in);
}

static void statfs_(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_STATFS, ROOT);
}

static void write_(struct mix *m, struct call *k)
{
	struct fuse_write_in in = { .fh = m->other_fh, .size = 4 };

	call_begin(k, FUSE_WRITE, m->file);
	call_put(k, &in, sizeof(in));
	call_put(k, "data", 4);
}

static void lseek_(struct mix *m, struct call *k)
{
	struct fuse_lseek_in in = { .fh = m->fh, .whence = SEEK_HOLE };

	call_begin(k, FUSE_LSEEK, m->file);
	call_put(k, &in, sizeof(in));
}

static void copy(struct mix *m, struct call *k)
{
	struct fuse_copy_file_range_in in = { .fh_in = m->fh, .fh_out = m->other_fh,
					      .len = 8 };

	call_begin(k, FUSE_COPY_FILE_RANGE, m->file);
	call_put(k, &in, sizeof(in));
}

static void read_(struct mix *m, struct call *k)
{
	struct fuse_read_in in = { .fh = m->fh, .size = 100 };

	call_begin(k, FUSE_READ, m->file);
	call_put(k, &in, sizeof(in));
}

static void readdir_as(struct mix *m, struct call *k, uint32_t opcode)
{
	struct fuse_read_in in = { .fh = m->dir_fh, .size = 4096 };

	call_begin(k, opcode, m->dir);
	call_put(k, &in, sizeof(in));
}

static void readdir_(struct mix *m, struct call *k)
{
	readdir_as(m, k, FUSE_READDIR);
}

static void readdirplus(struct mix *m, struct call *k)
{
	readdir_as(m, k, FUSE_READDIRPLUS);
}

static void fsync_(struct mix *m, struct call *k)
{
	struct fuse_fsync_in in = { .fh = m->fh };

	call_begin(k, FUSE_FSYNC, m->file);
	call_put(k, &in, sizeof(in));
}

static void flush(struct mix *m, struct call *k)
{
	struct fuse_flush_in in = { .fh = m->fh };

	call_begin(k, FUSE_FLUSH, m->file);
	call_put(k, &in, sizeof(in));
}

static void fallocate_(struct mix *m, struct call *k)
{
	struct fuse_fallocate_in in = { .fh = m->fh, .length = 16 };

	call_begin(k, FUSE_FALLOCATE, m->file);
	call_put(k, &in, sizeof(in));
}

static void rename_gone(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_RENAME, ROOT);
	call_arg(k, fuse_rename_in)->newdir = m->dir;
	call_name(k, "not there");
	call_name(k, "b");
}

static void unlink_gone(struct mix *m, struct call *k)
{
	call_begin(k, FUSE_UNLINK, ROOT);
	call_name(k, "not there");
}

const struct mix_op mix_ops[] = {
	{ "lookup", lookup, MIX_WHOLE },
	{ "getattr", getattr, MIX_WHOLE },
	{ "setattr", setattr, MIX_WHOLE },
	{ "readlink", readlink_, MIX_WHOLE },
	{ "symlink", symlink_, MIX_WHOLE },
	{ "mknod", mknod_, MIX_WHOLE },
	{ "mkdir", mkdir_, MIX_WHOLE },
	{ "link", link_to, MIX_WHOLE },
	{ "open", open_, MIX_WHOLE },
	{ "create", create, MIX_WHOLE },
	{ "create of a name that is there", create_existing, MIX_WHOLE },
	{ "opendir", opendir_, MIX_WHOLE },
	{ "statfs", statfs_, MIX_WHOLE },
	{ "write", write_, MIX_WHOLE },
	{ "lseek", lseek_, MIX_WHOLE },
	{ "copy_file_range", copy, MIX_WHOLE },
	{ "fsync", fsync_, MIX_WHOLE },
	{ "flush", flush, MIX_WHOLE },
	{ "fallocate", fallocate_, MIX_WHOLE },
	{ "rename", rename_gone, MIX_WHOLE },
	{ "unlink", unlink_gone, MIX_WHOLE },
	{ "read", read_, MIX_PARTS },
	{ "readdir", readdir_, MIX_PARTS },
	{ "readdirplus", readdirplus, MIX_PLUS },
};


const size_t mix_n_ops = ARRAY_SIZE(mix_ops);

static bool gives_entry(uint32_t opcode)
{
	return opcode == FUSE_LOOKUP || opcode == FUSE_SYMLINK ||
	       opcode == FUSE_MKNOD || opcode == FUSE_MKDIR ||
	       opcode == FUSE_LINK || opcode == FUSE_CREATE;
}

static void release(struct call *k, uint32_t opcode, uint64_t fh)
{
	call_begin(k, opcode, ROOT);
	call_arg(k, fuse_release_in)->fh = fh;
}

static bool undo_open(uint32_t opcode, const void *body, struct call *next)
{
	const struct fuse_open_out *open = body;

	if (opcode == FUSE_CREATE)
		open = (const void *)((const struct fuse_entry_out *)body + 1);
	else if (opcode != FUSE_OPEN && opcode != FUSE_OPENDIR)
		return false;
	release(next, opcode == FUSE_OPENDIR ? FUSE_RELEASEDIR : FUSE_RELEASE,
		open->fh);
	return true;
}

static bool undo_entry(uint32_t opcode, const void *body, struct call *next)
{
	const struct fuse_entry_out *entry = body;

	if (!gives_entry(opcode))
		return false;
	call_begin(next, FUSE_FORGET, entry->nodeid);
	call_arg(next, fuse_forget_in)->nlookup = 1;
	return true;
}

static bool undo_name(struct mix *m, const struct fuse_in_header *h,
		      struct call *next)
{
	if (!gives_entry(h->opcode) || h->nodeid != ROOT)
		return false;
	call_begin(next, h->opcode == FUSE_MKDIR ? FUSE_RMDIR : FUSE_UNLINK,
		   ROOT);
	call_name(next, m->fresh);
	return true;
}

bool mix_undo(struct mix *m, const struct fuse_in_header *h, const void *body,
	      enum mix_step step, struct call *next)
{
	switch (step) {
	case MIX_CLOSE:
		return undo_open(h->opcode, body, next);
	case MIX_FORGET:
		return undo_entry(h->opcode, body, next);
	case MIX_REMOVE:
		return undo_name(m, h, next);
	default:
		return false;
	}
}
