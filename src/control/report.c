/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/report.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "control/json.h"
#include "fs/name.h"
#include "fuse/optable.h"
#include "version.h"

static const char *op_name(uint32_t opcode)
{
	const struct fuse_op *op = fuse_op(opcode);

	return op ? op->name : "unknown";
}

uint32_t report_opcode(const char *name)
{
	for (uint32_t i = 1; i < STATS_OPS; i++)
		if (fuse_op(i) && strcmp(op_name(i), name) == 0)
			return i;
	return 0;
}

static double seconds_since(uint64_t ms)
{
	return (double)(clock_ms() - ms) / 1000;
}

static struct json begin(FILE *f)
{
	struct json j = { .f = f };

	json_open(&j, NULL, '{');
	return j;
}

static void end(struct json *j)
{
	json_close(j, '}');
	fputc('\n', j->f);
}

/* --- status --- */

static void put_fences(struct json *j, const struct config *cfg)
{
	static const char *const sandboxes[] = { "namespace", "chroot", "none" };
	static const char *const actions[] = { "kill", "trap", "log", "none" };

	json_string(j, "sandbox", sandboxes[cfg->sandbox]);
	json_string(j, "seccomp", actions[cfg->seccomp]);
	json_text(j, "restart-limit", "%u/%u", cfg->restart_max,
		  cfg->restart_sec);
}

static void put_attributes(struct json *j, const struct fs *fs)
{
	static const char *const agreements[] = { "never", "auto", "always" };

	json_bool(j, "xattr", fs->xattr);
	json_string(j, "posix-acl", agreements[fs->posix_acl]);
	json_string(j, "security-label",
		    agreements[fs->security_label]);
	json_bool(j, "killpriv-v2", fs->killpriv_v2);
}

/* What is in force, by the names of the options. */
static void put_options(struct json *j, const struct control_view *v)
{
	static const char *const caches[] = { "never", "metadata", "auto",
					      "always" };
	static const char *const handles[] = { "auto", "never", "prefer",
					       "mandatory" };
	const struct config *cfg = v->cfg;
	const struct fs *fs = v->fs;

	json_open(j, "options", '{');
	json_string(j, "cache", caches[cfg->cache]);
	json_real(j, "entry-timeout", (double)fs->cache.entry.sec +
					      fs->cache.entry.nsec / 1e9);
	json_real(j, "attr-timeout", (double)fs->cache.attr.sec +
					     fs->cache.attr.nsec / 1e9);
	json_real(j, "negative-timeout", (double)fs->cache.negative.sec +
						 fs->cache.negative.nsec / 1e9);
	json_bool(j, "readdirplus", fs->cache.readdirplus);
	json_bool(j, "readonly", fs->readonly);
	json_bool(j, "writeback", fs->allow_writeback);
	json_bool(j, "allow-direct-io", fs->allow_direct_io);
	json_bool(j, "allow-mmap", fs->allow_mmap);
	json_bool(j, "no-open", fs->allow_no_open);
	json_bool(j, "posix-lock", fs->allow_posix_lock);
	json_bool(j, "flock", fs->allow_flock);
	put_attributes(j, fs);
	json_bool(j, "announce-submounts", fs->announce_submounts);
	json_string(j, "inode-file-handles", handles[cfg->handles]);
	if (cfg->thread_pool_size >= 0)
		json_number(j, "thread-pool-size",
			    (uint64_t)cfg->thread_pool_size);
	json_number(j, "poll-us", (uint64_t)cfg->poll_us);
	put_fences(j, cfg);
	json_close(j, '}');
}

static void put_lacking(struct json *j)
{
	const char *line;

	json_open(j, "lacking", '[');
	for (unsigned int i = 0; (line = log_lacking_line(i)) != NULL; i++)
		json_string(j, NULL, line);
	json_close(j, ']');
}

static void put_session(struct json *j, const struct control_view *v)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} flags[] = {
		{ FUSE_WRITEBACK_CACHE, "writeback" },
		{ FUSE_POSIX_ACL, "posix-acl" },
		{ FUSE_POSIX_LOCKS, "posix-lock" },
		{ FUSE_FLOCK_LOCKS, "flock" },
		{ FUSE_DO_READDIRPLUS, "readdirplus" },
		{ FUSE_SUBMOUNTS, "announce-submounts" },
		{ FUSE_HANDLE_KILLPRIV_V2, "killpriv-v2" },
		{ FUSE_SECURITY_CTX, "security-label" },
	};
	const struct session_record *rec = v->session->record;
	bool live = session_is_live(v->session);

	json_open(j, "session", '{');
	json_bool(j, "connected",
		  __atomic_load_n(&v->server->record->stage,
				  __ATOMIC_ACQUIRE) == SERVER_SERVES);
	json_bool(j, "mounted", live);
	if (live) {
		json_text(j, "fuse", "7.%u", rec->minor);
		json_open(j, "agreed", '[');
		for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
			if (rec->flags & flags[i].flag)
				json_string(j, NULL, flags[i].name);
		json_close(j, ']');
	}
	json_close(j, '}');
}

/* Pages resident, and those of them that are nobody else's as well. */
static void put_memory(struct json *j, const struct control_view *v)
{
	_cleanup_close_ int fd = fd_openat(v->proc_fd, "self/statm", O_RDONLY, 0);
	unsigned long long size, resident = 0, shared = 0, page;
	char text[128] = "";

	page = (unsigned long long)sysconf(_SC_PAGESIZE);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0 ||
	    sscanf(text, "%llu %llu %llu", &size, &resident, &shared) != 3)
		return;
	json_open(j, "memory", '{');
	json_number(j, "resident", resident * page);
	json_number(j, "private", (resident - shared) * page);
	json_close(j, '}');
}

/* Which requests are being carried out at this moment. */
static void put_at_work(struct json *j, const struct crew *crew)
{
	struct member *m;

	json_open(j, "at_work", '[');
	for_each_member(crew, m) {
		uint32_t opcode = atomic_load(&m->slot->rq.acting);

		if (opcode)
			json_string(j, NULL, op_name(opcode));
	}
	json_close(j, ']');
}

static void put_queues(struct json *j, const struct control_view *v)
{
	json_open(j, "queues", '[');
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		struct crew *crew = atomic_load(&v->dev->crew[i]);
		unsigned int size = crew ? queue_size(&crew->queue) : 0;

		if (!crew)
			continue;
		json_open(j, NULL, '{');
		json_number(j, "index", i);
		json_bool(j, "running", size != 0);
		json_number(j, "size", size);
		put_at_work(j, crew);
		json_close(j, '}');
	}
	json_close(j, ']');
}

void report_status(const struct control_view *v, FILE *f)
{
	struct json j = begin(f);
	uint64_t nodes, handles;

	json_string(&j, "version", VIRTIOFSD_VERSION);
	json_real(&j, "uptime", seconds_since(v->started_ms));
	json_string(&j, "shared-dir", v->cfg->shared_dir);
	if (v->cfg->tag)
		json_string(&j, "tag", v->cfg->tag);
	json_string(&j, "socket-path", v->cfg->socket_path);
	put_options(&j, v);
	put_lacking(&j);
	json_open(&j, "worker", '{');
	json_real(&j, "uptime", seconds_since(v->worker_ms));
	json_number(&j, "replaced", v->replaced);
	json_number(&j, "threads", atomic_load(&v->dev->n_threads));
	json_close(&j, '}');
	put_session(&j, v);
	json_bool(&j, "drained", atomic_load(&v->dev->drained));
	pthread_mutex_lock(&v->fs->view_lock);
	nodes = node_table_count(&v->fs->nodes);
	handles = handle_table_count(&v->fs->handles);
	pthread_mutex_unlock(&v->fs->view_lock);
	json_number(&j, "nodes", nodes);
	json_number(&j, "handles", handles);
	json_open(&j, "descriptors", '{');
	json_number(&j, "open", (uint64_t)fd_count());
	json_number(&j, "limit", (uint64_t)fd_guest_limit());
	json_close(&j, '}');
	put_memory(&j, v);
	put_queues(&j, v);
	json_string(&j, "log-level", log_level_name(log_now()));
	end(&j);
}

/* --- stats --- */

/* [from, to, count] of each bucket that is not empty, in ns. */
static void put_latency(struct json *j, const struct stats_op *op)
{
	json_open(j, "latency", '[');
	for (unsigned int i = 0; i < STATS_BUCKETS; i++) {
		if (!op->bucket[i])
			continue;
		json_open(j, NULL, '[');
		json_number(j, NULL, stats_bucket_start(i));
		json_number(j, NULL, stats_bucket_start(i + 1));
		json_number(j, NULL, op->bucket[i]);
		json_close(j, ']');
	}
	json_close(j, ']');
}

static void put_op(struct json *j, uint32_t opcode, const struct stats_op *op)
{
	json_open(j, NULL, '{');
	json_string(j, "op", op_name(opcode));
	json_number(j, "count", op->count);
	json_number(j, "errors", op->errors);
	json_number(j, "bytes", op->bytes);
	json_number(j, "timed", stats_timed(op));
	json_real(j, "p50_us", (double)stats_quantile(op, 500) / 1000);
	json_real(j, "p99_us", (double)stats_quantile(op, 990) / 1000);
	json_real(j, "p999_us", (double)stats_quantile(op, 999) / 1000);
	put_latency(j, op);
	json_close(j, '}');
}

static void put_queue_stats(struct json *j, const struct crew *crew,
			    uint64_t requests, uint64_t notified)
{
	json_open(j, NULL, '{');
	json_number(j, "index", crew->queue.index);
	json_number(j, "requests", requests);
	json_number(j, "kicks", stats_get(&crew->kicks));
	json_number(j, "notifications", notified);
	json_number(j, "polls", stats_get(&crew->polls));
	json_number(j, "polls_paid", stats_get(&crew->polls_paid));
	json_number(j, "helped", stats_get(&crew->helped));
	json_close(j, '}');
}

static uint64_t all_of(const struct stats_op *ops)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < STATS_OPS; i++)
		n += ops[i].count;
	return n;
}

void report_stats(const struct control_view *v, FILE *f)
{
	_cleanup_free_ struct stats_op *sum = calloc(STATS_OPS, sizeof(*sum));
	struct json j = begin(f);
	uint64_t before = 0;

	if (!sum) {
		json_string(&j, "error", strerror(ENOMEM));
		end(&j);
		return;
	}
	json_real(&j, "uptime", seconds_since(v->worker_ms));
	json_open(&j, "queues", '[');
	for (unsigned int i = 0; i < VHOST_USER_QUEUES_MAX; i++) {
		struct crew *crew = atomic_load(&v->dev->crew[i]);
		uint64_t notified, all;

		if (!crew)
			continue;
		notified = device_sum_stats(crew, sum);
		all = all_of(sum);
		put_queue_stats(&j, crew, all - before, notified);
		before = all;
	}
	json_close(&j, ']');
	json_open(&j, "ops", '[');
	for (uint32_t i = 0; i < STATS_OPS; i++)
		if (sum[i].count)
			put_op(&j, i, &sum[i]);
	json_close(&j, ']');
	end(&j);
}

/* --- trace --- */

/* A path that begins at the share's root, if the sandbox has made that the root. */
static void path_of(const struct control_view *v, uint64_t nodeid, char *buf,
		    size_t size)
{
	pthread_mutex_lock(&v->fs->view_lock);
	node_path(&v->fs->nodes, nodeid, buf, size);
	pthread_mutex_unlock(&v->fs->view_lock);
}

void report_request(const struct control_view *v, const struct trace_record *r,
		    FILE *f)
{
	int len = (int)strnlen(r->name, sizeof(r->name));
	struct json j = begin(f);
	char path[4096];

	path_of(v, r->nodeid, path, sizeof(path));
	json_real(&j, "time", (double)r->when / 1e9);
	json_string(&j, "op", op_name(r->opcode));
	if (len)
		json_text(&j, "path", "%s%s%.*s", path,
			  strcmp(path, "/") == 0 ? "" : "/", len, r->name);
	else
		json_string(&j, "path", path);
	json_string(&j, "error", r->error ? strerrorname_np(r->error) : NULL);
	json_real(&j, "us", (double)r->ns / 1000);
	json_number(&j, "queue", r->queue);
	json_number(&j, "node", r->nodeid);
	json_number(&j, "unique", r->unique);
	if (r->size) {
		json_number(&j, "offset", r->offset);
		json_number(&j, "size", r->size);
	}
	json_number(&j, "bytes_in", r->bytes_in);
	json_number(&j, "bytes_out", r->bytes_out);
	json_number(&j, "uid", r->uid);
	json_number(&j, "pid", r->pid);
	end(&j);
}

void report_missed(FILE *f, uint64_t n)
{
	struct json j = begin(f);

	json_number(&j, "missed", n);
	end(&j);
}

void report_error(FILE *f, const char *what)
{
	struct json j = begin(f);

	json_string(&j, "error", what);
	end(&j);
}

void report_done(FILE *f, const char *what)
{
	struct json j = begin(f);

	json_bool(&j, what, true);
	end(&j);
}
