/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests, decoded and carried out on a scratch tree. The input is a sequence
 * of them: flags, piece size, room for the reply, length, bytes. With FILL, the
 * header is made good and its node, and the handle behind it, are chosen from
 * those that replies have given.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "fs/lock_table.h"
#include "fuse/serve.h"
#include "fuzz.h"
#include "keeper/service.h"

#define IN_MAX 16384U
#define OUT_MAX 65536U
#define POOL 8U
#define REQUESTS_MAX 32

enum flags { FILL = 1, FILL_HANDLE = 2 };

static struct arena arena;
static struct fs fs;
static struct session session;
static struct session_record record;
static long fds;

static uint64_t node[POOL], handle[POOL];
static char out[OUT_MAX + 64];

static bool complete(void *ctx, const struct request_token *token, int result)
{
	return true;
}

static void park(void *ctx, const struct request_token *token)
{
	(void)ctx;
	(void)token;
}

static bool wanted(void *ctx, const struct request_token *token)
{
	return true;
}

static void enter_fd_directory(void)
{
	int fd = fd_openat(AT_FDCWD, "/proc/self/fd", O_PATH | O_DIRECTORY, 0);

	must(fd >= 0);
	must(fchdir(fd) == 0);
	(void)fd_close(&fd);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	const struct config cfg = {
		.shared_dir = fuzz_dir, .cache = CACHE_AUTO,
		.entry_timeout = -1, .attr_timeout = -1, .negative_timeout = -1,
		.xattr = true, .posix_acl = AGREE_AUTO,
		.security_label = AGREE_AUTO, .posix_lock = true, .flock = true,
		.writeback = true, .allow_mmap = true, .killpriv_v2 = CHOICE_YES,
		.xattrmap = ":map:security.:user.virtiofsd.:",
	};
	size_t sizes[ARENA_SECTIONS];
	int root;

	log_init(LOG_LEVEL_OFF, false);
	fuzz_tree_init();
	service_arena_sizes(sizes);
	must(arena_create(sizes, &arena) == 0);
	fuzz_tree_renew();
	root = share_open(fuzz_dir);
	must(root >= 0);
	enter_fd_directory();
	must(fs_init(&fs, &arena, &cfg, &root) == 0);
	fs.parking = (struct fs_parking){ park, complete, wanted, NULL };
	session_init(&session, &fs, &record);
	fds = fd_count();
	fuzz_limit_files();
	return 0;
}

static size_t cut(char *p, size_t len, size_t piece, struct iovec *iov)
{
	size_t n = 0;

	for (size_t at = 0; at < len; at += piece, n++)
		iov[n] = (struct iovec){ p + at, len - at < piece ? len - at : piece };
	return n;
}

/* Numbers for later requests. */
static void learn(uint32_t opcode, const char *body, size_t len)
{
	static unsigned int turn;
	struct fuse_entry_out e;
	struct fuse_open_out o;

	turn = (turn + 1) % POOL;
	if (opcode == FUSE_OPEN || opcode == FUSE_OPENDIR) {
		memcpy(&o, body, sizeof(o));
		handle[turn] = o.fh;
	} else if (len >= sizeof(e)) {
		memcpy(&e, body, sizeof(e));
		node[turn] = e.nodeid;
		if (len == sizeof(e) + sizeof(o)) {
			memcpy(&o, body + sizeof(e), sizeof(o));
			handle[turn] = o.fh;
		}
	}
}

static void check_reply(const struct fuse_in_header *h, int returned, size_t room)
{
	struct fuse_out_header oh;

	for (size_t i = 0; i < 64; i++)
		must(out[room + i] == 0x5c);
	if (returned == REQUEST_PARKED || returned == 0)
		return;
	must(returned >= (int)sizeof(oh) && (size_t)returned <= room);
	memcpy(&oh, out, sizeof(oh));
	must(oh.len == (uint32_t)returned);
	must(oh.error <= 0 && oh.error > -512);
	must(!oh.error || oh.len == sizeof(oh));
	if (h && !oh.error)
		learn(h->opcode, out + sizeof(oh), oh.len - sizeof(oh));
}

static void serve(char *in, size_t len, size_t piece, size_t room)
{
	static struct iovec in_iov[IN_MAX], out_iov[OUT_MAX];
	static struct request rq;
	struct fuse_in_header h;
	int r;

	memset(out + room, 0x5c, 64);
	request_bind(&rq, in_iov, cut(in, len, piece, in_iov), out_iov,
		     cut(out, room, piece * 3, out_iov));
	rq.queue_size = 1024;
	if (len >= sizeof(h))
		memcpy(&h, in, sizeof(h));
	r = fuse_serve(&session, &rq);
	if (r == REQUEST_EXCLUSIVE)
		r = fuse_serve_exclusive(&session, &rq);
	check_reply(len >= sizeof(h) ? &h : NULL, r, room);
}

static void fill(char *in, size_t len, uint8_t flags)
{
	struct fuse_in_header h;
	uint64_t fh;

	if (!(flags & FILL) || len < sizeof(h))
		return;
	memcpy(&h, in, sizeof(h));
	h.len = (uint32_t)len;
	h.opcode %= 64;
	h.nodeid = h.nodeid % (POOL + 1) ? node[h.nodeid % POOL] : FUSE_ROOT_ID;
	h.uid %= 4;
	h.gid %= 4;
	memcpy(in, &h, sizeof(h));
	if (!(flags & FILL_HANDLE) || len < sizeof(h) + sizeof(fh))
		return;
	memcpy(&fh, in + sizeof(h), sizeof(fh));
	fh = handle[fh % POOL];
	memcpy(in + sizeof(h), &fh, sizeof(fh));
}

static void begin_session(void)
{
	struct {
		struct fuse_in_header h;
		struct fuse_init_in in;
	} rq = {
		.h = { .len = sizeof(rq), .opcode = FUSE_INIT },
		.in = { .major = 7, .minor = 38, .flags = ~0U, .flags2 = ~0U },
	};

	serve((char *)&rq, sizeof(rq), sizeof(rq), OUT_MAX);
	must(session_is_live(&session));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char buf[IN_MAX];
	struct input in = { data, size };

	memset(node, 0, sizeof(node));
	memset(handle, 0, sizeof(handle));
	fuzz_tree_renew();
	begin_session();
	for (int i = 0; i < REQUESTS_MAX && in.left; i++) {
		uint8_t flags = input_u8(&in);
		size_t piece = 1 + (size_t)input_u8(&in) * 16, n;
		size_t room = input_u16(&in) % OUT_MAX;
		const uint8_t *bytes = input_bytes(&in, input_u16(&in) % IN_MAX, &n);

		memcpy(buf, bytes, n);
		fill(buf, n, flags);
		serve(buf, n, piece, room);
	}
	session_end(&session);
	must(node_table_count(&fs.nodes) == 1);
	must(handle_table_count(&fs.handles) == 0);
	must(fd_count() == fds);
	return 0;
}
