/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Puts the layers together: arena, file system, session, device, server.
 *
 * The C library believes that this process's first thread is still the
 * keeper's. So this thread does what needs no thread identity: it makes the
 * other threads, runs the control plane and waits. It serves no request but
 * INIT and DESTROY and changes no credentials.
 */
#include "keeper/service.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/recall.h"
#include "control/control.h"
#include "fs/lock_table.h"
#include "keeper/background.h"
#include "sandbox/sandbox.h"
#include "vhost/server.h"

/* What launchers wait for, letter by letter. */
static const char waiting_line[] = "Waiting for vhost-user socket connection...";

/* ARENA_SESSION. */
struct state_record {
	struct server_record server;
	struct session_record session;
	struct dirty_record dirty;
};

struct service {
	struct arena arena;
	struct fs fs;
	struct session session;
	struct device dev;
	struct server server;
	struct control control;
	int control_fd;
};

void service_arena_sizes(size_t sizes[ARENA_SECTIONS])
{
	sizes[ARENA_SESSION] = sizeof(struct state_record);
	sizes[ARENA_REGIONS] = MEMMAP_REGIONS_MAX * sizeof(struct region_record);
	sizes[ARENA_QUEUES] = device_queues_size();
	sizes[ARENA_INFLIGHT] = device_inflight_size();
	sizes[ARENA_TALLIES] = device_tallies_size();
	sizes[ARENA_JOURNALS] = SLOTS_SHARDS * sizeof(struct journal);
	sizes[ARENA_NODES] = (size_t)SLOTS_MAX * sizeof(struct node);
	sizes[ARENA_MOUNTS] = MOUNTS_MAX * sizeof(struct mount_record);
	sizes[ARENA_LOCKS] = (size_t)LOCK_OWNERS_MAX * sizeof(struct lock_owner);
	sizes[ARENA_HANDLES] = (size_t)HANDLES_MAX * sizeof(struct handle);
}

/* syscalls(keeper): prctl:PR_SET_PDEATHSIG getppid */
static int follow_keeper(pid_t keeper)
{
	/* Raised by the thread's own doing: SIGBUS has a handler (memmap.c), the
	 * others end the worker, which they could not do if they were blocked. */
	static const int own[] = { SIGBUS, SIGSEGV, SIGILL, SIGFPE,
				   SIGABRT, SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&set, own[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return -errno;
	return getppid() == keeper ? 0 : -ESRCH;
}

/*
 * Descriptors are reopened by their names below /proc/self/fd, from there: the
 * directory has to be this process's own.
 * syscalls(keeper): fchdir
 */
static int enter_fd_directory(int proc_fd)
{
	_cleanup_close_ int fd = fd_openat(proc_fd, "self/fd",
					   O_PATH | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	umask(0);
	return fchdir(fd) < 0 ? -errno : 0;
}

/* From now on the end is near: the keeper sees to it that it comes, even if a
 * thread is stuck in a system call.
 * syscalls: rt_sigqueueinfo:SIGUSR1 getppid getuid */
static void announce_end(int status)
{
	const union sigval v = { .sival_int = status };

	(void)sigqueue(getppid(), KEEPER_SIG_ENDING, v);
}

/* The front-end went away while the control thread waits for a request. */
static void on_hang_up(void)
{
	announce_end(STATUS_OK);
}

static bool complete(void *ctx, const struct request_token *token, int result)
{
	return device_complete(ctx, token, result);
}

static void park(void *ctx, const struct request_token *token)
{
	device_park(ctx, token);
}

static bool waits_for(void *ctx, const struct request_token *token)
{
	return device_waits_for(ctx, token);
}

/* What the keeper has, but for the listening socket once it is of no use. */
static int recall_keeper(const struct service *s, const struct keeper *k)
{
	bool connected = s->server.record->stage == SERVER_SERVES &&
			 !s->server.cfg->reconnect;
	int r = recall_begin();

	for (int i = 0; i < k->n_fds && r == 0; i++)
		if (k->fds[i] != k->listen_fd || !connected)
			r = recall_fd(k->fds[i]);
	return r;
}

/* A directory of its own for the root's node: the keeper's stays. */
static int init_fs(struct service *s, const struct config *cfg,
		   const struct keeper *k)
{
	int root_fd = fd_openat(AT_FDCWD, fd_name(k->root_fd).s,
				O_PATH, 0);

	return root_fd < 0 ? root_fd :
			     fs_init(&s->fs, &s->arena, cfg, &root_fd);
}

/* Everything that has a descriptor says so; the rest is closed. */
static int recall_all(struct service *s, const struct config *cfg,
		      const struct keeper *k)
{
	int r = recall_keeper(s, k);

	if (r == 0)
		r = server_attach(&s->server);
	if (r == 0)
		r = memmap_attach(&s->dev.map);
	if (r == 0)
		r = dirty_attach(&s->dev.dirty);
	if (r == 0)
		r = device_recall(&s->dev);
	if (r == 0)
		r = init_fs(s, cfg, k);
	if (r < 0)
		return r;
	r = recall_end();
	log_debug("%d descriptors of the dead worker closed", r);
	return r < 0 ? r : 0;
}

static void connect_parts(struct service *s, const struct config *cfg,
			  const struct keeper *k)
{
	struct state_record *state = arena_section(&s->arena, ARENA_SESSION);

	session_init(&s->session, &s->fs, &state->session);
	device_init(&s->dev, &s->arena, &s->session, -1);
	s->dev.dirty.record = &state->dirty;
	if (!cfg->reconnect)
		s->dev.on_hang_up = on_hang_up;
	device_set_pool(&s->dev, cfg->thread_pool_size);
	device_set_poll(&s->dev, (unsigned int)cfg->poll_us);
	s->server = (struct server){
		.cfg = cfg,
		.dev = &s->dev,
		.record = &state->server,
		.stop_fd = k->stop_fd,
	};
}

static int init(struct service *s, const struct config *cfg, struct keeper *k)
{
	size_t sizes[ARENA_SECTIONS];
	int r;

	service_arena_sizes(sizes);
	r = arena_attach(k->arena.fd, sizes, &s->arena);
	if (r < 0)
		return r;
	fd_set_reserve();
	r = enter_fd_directory(k->proc_fd);
	if (r < 0)
		return log_err(r, "/proc/self/fd");
	connect_parts(s, cfg, k);
	r = k->deaths ? recall_all(s, cfg, k) : init_fs(s, cfg, k);
	if (r < 0)
		return r;
	fd_set_relief(fs_relieve, &s->fs);
	s->fs.parking = (struct fs_parking){
		.park = park,
		.complete = complete,
		.wanted = waits_for,
		.ctx = &s->dev,
	};
	s->control_fd = fd_eventfd(0, EFD_NONBLOCK);
	if (s->control_fd < 0)
		return s->control_fd;
	s->server.control_fd = s->control_fd;
	s->dev.control_fd = s->control_fd;
	r = memmap_catch_sigbus(&s->dev.map, s->control_fd);
	if (r < 0 || !k->deaths)
		return r;
	session_attach(&s->session);
	r = device_attach(&s->dev);
	if (r == 0)
		log_info("The new worker serves: %llu nodes, %llu open files",
			 (unsigned long long)node_table_count(&s->fs.nodes),
			 (unsigned long long)handle_table_count(&s->fs.handles));
	return r;
}

/* A thread that hangs in a system call may still use any of it: then the end
 * of the process has to do. */
static void destroy(struct service *s)
{
	if (control_stop(&s->control) < 0 || fs_stop(&s->fs) < 0 ||
	    device_destroy(&s->dev) < 0) {
		log_warn("a request hangs in the host's kernel");
		return;
	}
	fd_set_relief(NULL, NULL);
	fs_destroy(&s->fs);
	arena_detach(&s->arena);
	(void)fd_close(&s->control_fd);
}

/* Behind the filter, since it has clients of its own. */
static int start_control(struct service *s, const struct config *cfg,
			 const struct keeper *k)
{
	const struct control_view view = {
		.cfg = cfg,
		.server = &s->server,
		.dev = &s->dev,
		.fs = &s->fs,
		.session = &s->session,
		.proc_fd = k->proc_fd,
		.started_ms = k->started_ms,
		.worker_ms = clock_ms(),
		.replaced = k->deaths,
	};

	if (k->control_fd < 0)
		return 0;
	return control_start(&s->control, &view, k->control_fd);
}

/*
 * VMMs can connect: nothing can go wrong at start any more, and all who wait for
 * that hear of it. Only a first worker has somebody to tell.
 */
static void announce_start(const struct keeper *k)
{
	if (k->deaths)
		return;
	log_info("%s", waiting_line);
	keeper_tell(k, KEEPER_READY);
}

/* One front-end, or with --reconnect one after the other. */
static enum server_end serve(struct service *s, const struct config *cfg,
			     struct keeper *k)
{
	enum server_end end = server_run(&s->server, &k->listen_fd);

	while (cfg->reconnect && end != SERVER_STOPPED) {
		server_forget(&s->server);
		log_info("%s", waiting_line);
		end = server_run(&s->server, &k->listen_fd);
	}
	return end;
}

int service_run(const struct config *cfg, struct keeper *k, pid_t keeper)
{
	static struct service s;
	enum server_end end;
	int r = sandbox_open_worker(), status;

	if (r == 0)
		r = follow_keeper(keeper);
	if (r == 0)
		r = init(&s, cfg, k);
	/* What goes wrong from here on, the starter does not get to read. */
	if (r == 0 && cfg->daemonize)
		background_leave();
	if (r == 0)
		r = sandbox_close_worker(cfg);
	if (r == 0)
		r = start_control(&s, cfg, k);
	if (r < 0) {
		if (!log_has_erred())
			log_err(r, k->deaths ? "the worker cannot go on" :
					       "the worker cannot start");
		return k->deaths ? STATUS_WORKER_DIED : STATUS_FAILED;
	}
	announce_start(k);
	end = serve(&s, cfg, k);
	status = end == SERVER_DISCONNECTED ? STATUS_OK : STATUS_FAILED;
	announce_end(status);
	destroy(&s);
	return status;
}
