/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages and requests at random: near enough to good ones to get somewhere. */
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/mman.h>

#include "hostile.h"

/* What the specification says of each: sizes of the payload, descriptors, when it may come. */
const struct hostile_message hostile_messages[] = {
	{ VU_GET_FEATURES, "GET_FEATURES", 0, 0, 0, HOSTILE_NO_FEATURE, false },
	{ VU_SET_FEATURES, "SET_FEATURES", 8, 8, 0, HOSTILE_NO_FEATURE, false },
	{ VU_SET_OWNER, "SET_OWNER", 0, 0, 0, HOSTILE_NO_FEATURE, false },
	{ VU_RESET_OWNER, "RESET_OWNER", 0, 0, 0, HOSTILE_NO_FEATURE, false },
	{ VU_SET_MEM_TABLE, "SET_MEM_TABLE", 8, 264, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_LOG_BASE, "SET_LOG_BASE", 16, 16, 1, 1, true },
	{ VU_SET_LOG_FD, "SET_LOG_FD", 0, 8, 1, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_NUM, "SET_VRING_NUM", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_ADDR, "SET_VRING_ADDR", 40, 40, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_BASE, "SET_VRING_BASE", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_GET_VRING_BASE, "GET_VRING_BASE", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_KICK, "SET_VRING_KICK", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_CALL, "SET_VRING_CALL", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_VRING_ERR, "SET_VRING_ERR", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_GET_PROTOCOL_FEATURES, "GET_PROTOCOL_FEATURES", 0, 0, 0, HOSTILE_NO_FEATURE, false },
	{ VU_SET_PROTOCOL_FEATURES, "SET_PROTOCOL_FEATURES", 8, 8, 0, HOSTILE_NO_FEATURE, false },
	{ VU_GET_QUEUE_NUM, "GET_QUEUE_NUM", 0, 0, 0, 0, false },
	{ VU_SET_VRING_ENABLE, "SET_VRING_ENABLE", 8, 8, 0, HOSTILE_NO_FEATURE, true },
	{ VU_SET_BACKEND_REQ_FD, "SET_BACKEND_REQ_FD", 0, 8, 1, 5, false },
	{ VU_GET_CONFIG, "GET_CONFIG", 12, 268, 0, 9, false },
	{ VU_SET_CONFIG, "SET_CONFIG", 12, 268, 0, 9, false },
	{ VU_RESET_DEVICE, "RESET_DEVICE", 0, 0, 0, 13, true },
	{ VU_GET_MAX_MEM_SLOTS, "GET_MAX_MEM_SLOTS", 0, 0, 0, 15, false },
	{ VU_ADD_MEM_REG, "ADD_MEM_REG", 40, 40, 0, 15, true },
	{ VU_REM_MEM_REG, "REM_MEM_REG", 40, 40, 0, 15, true },
};
const unsigned int hostile_nmessages = sizeof(hostile_messages) / sizeof(hostile_messages[0]);

void garbage_send(struct front *f, uint32_t request, uint32_t flags, const void *data,
		  uint32_t size, unsigned int nfds)
{
	int fds[FRONT_FDS_MAX], fd = host(memfd_create("any", MFD_CLOEXEC));

	host(ftruncate(fd, 4096));
	for (unsigned int i = 0; i < nfds; i++)
		fds[i] = fd;
	(void)front_send(f, request, flags, data, size, fds, nfds);
	close(fd);
}

void garbage_message(struct front *f)
{
	const struct hostile_message *m = &hostile_messages[random_below(hostile_nmessages)];
	uint32_t size = random_one_in(8) ? random_below(300) : m->max;
	uint8_t payload[304];

	random_bytes(payload, size);
	if (size >= 8 && random_one_in(2)) {
		struct vu_state s = { random_below(3), random_one_in(2) ? random_odd()
									: random_below(2) };

		memcpy(payload, &s, sizeof(s));
	}
	for (size_t at = 8; at + 8 <= size && random_one_in(2); at += 8) {
		uint64_t v = random_odd();

		memcpy(payload + at, &v, sizeof(v));
	}
	garbage_send(f, m->request, random_one_in(2) ? VU_NEED_REPLY : 0, payload, size,
		     random_one_in(3) ? random_below(4) : m->fds);
}

/* --- requests --- */

static uint64_t any_of(const uint64_t *pool)
{
	uint64_t v = pool[random_below(GARBAGE_POOL)];

	return v && !random_one_in(16) ? v : random_one_in(2) ? FUSE_ROOT_ID : random_odd();
}

static size_t put_name(char *to)
{
	static const char *const names[] = {
		"a", "b", "c", "d", "e", "f", "file", "dir", "link", "..", ".", "", "../canary",
		"/", "user.a", "user.b", "security.capability", "system.posix_acl_access",
	};
	size_t len;

	if (!random_one_in(8)) {
		const char *s = names[random_below(sizeof(names) / sizeof(names[0]))];

		return stpcpy(to, s) - to + 1;
	}
	len = random_one_in(4) ? random_below(300) : random_below(8);
	random_bytes(to, len);
	to[len] = '\0';
	return len + !random_one_in(8);
}

static void put_args(const struct garbage *g, const struct hostile_op *op, uint8_t *body)
{
	static const uint32_t cmds[] = { FS_IOC_GETFLAGS, FS_IOC_FSGETXATTR, 0xc0046686,
					 0x40806685, FIGETBSZ };

	if (random_one_in(8)) {
		random_bytes(body, op->size);
	} else {
		memset(body, 0, op->size);
		for (size_t at = 0; at + 4 <= op->size; at += 4) {
			uint32_t v = random_one_in(3) ? random_odd() : random_below(3);

			if (random_one_in(2))
				memcpy(body + at, &v, sizeof(v));
		}
	}
	if (op->size >= 8) {
		uint64_t id = random_one_in(8) ? any_of(g->node) : any_of(g->fh);

		if (op->opcode == FUSE_LINK || op->opcode == FUSE_RENAME ||
		    op->opcode == FUSE_RENAME2)
			id = any_of(g->node);
		memcpy(body, &id, 8);
	}
	if (op->opcode == FUSE_IOCTL)
		((struct fuse_ioctl_in *)body)->cmd = cmds[random_below(5)];
	if (op->opcode == FUSE_INIT)
		((struct fuse_init_in *)body)->major = random_one_in(4) ? random_below(9) : 7;
	if (op->opcode == FUSE_OPEN || op->opcode == FUSE_CREATE)
		((struct fuse_open_in *)body)->flags &= ~(uint32_t)O_DIRECT;
}

size_t garbage_request(struct garbage *g, uint8_t *buf)
{
	const struct hostile_op *op = &hostile_ops[random_below(hostile_nops)];
	struct fuse_in_header *h = (struct fuse_in_header *)buf;
	size_t len = sizeof(*h) + op->size;

	/* What keeps the whole host busy, or ends what the others have, is rare. */
	if ((op->opcode == FUSE_SYNCFS || op->flags & OP_ALONE) && !random_one_in(50))
		op = &hostile_ops[0], len = sizeof(*h);
	if (op->opcode == FUSE_FALLOCATE && g->no_fallocate)
		op = &hostile_ops[0], len = sizeof(*h);
	put_args(g, op, buf + sizeof(*h));
	for (int i = 0; i < op->names; i++)
		len += put_name((char *)buf + len);
	if (op->opcode == FUSE_WRITE || random_one_in(8)) {
		size_t more = random_one_in(4) ? random_below(8192) : 64;

		random_bytes(buf + len, more);
		if (op->opcode == FUSE_WRITE) {
			((struct fuse_write_in *)(h + 1))->size = more;
			((struct fuse_write_in *)(h + 1))->offset &= 0xffff;
		}
		len += more;
	}
	*h = (struct fuse_in_header){
		.len = random_one_in(32) ? random_odd() : len, .opcode = op->opcode,
		.unique = ++g->unique, .nodeid = any_of(g->node),
		.uid = random_one_in(4) ? random_below(3) : 0, .gid = random_one_in(4) ? 7 : 0,
		.total_extlen = random_one_in(32) ? random_below(16) : 0,
	};
	return len;
}

void garbage_learn(struct garbage *g, uint32_t opcode, const void *body, size_t len)
{
	const struct fuse_entry_out *e = body;
	const struct fuse_open_out *o = body;
	unsigned int at = random_below(GARBAGE_POOL);

	switch (opcode) {
	case FUSE_CREATE:
	case FUSE_TMPFILE:
		if (len >= sizeof(*e) + sizeof(*o))
			g->fh[at] = ((const struct fuse_open_out *)(e + 1))->fh;
		/* fall through */
	case FUSE_LOOKUP:
	case FUSE_MKDIR:
	case FUSE_MKNOD:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		if (len >= sizeof(*e))
			g->node[at] = e->nodeid;
		break;
	case FUSE_OPEN:
	case FUSE_OPENDIR:
		if (len >= sizeof(*o))
			g->fh[at] = o->fh;
	}
}
