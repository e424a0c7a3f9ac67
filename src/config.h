/* SPDX-License-Identifier: BSD-3-Clause */
/* What the command line asked for. Constant after start-up. */
#ifndef CONFIG_H
#define CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "base/idmap.h"

enum cache_mode { CACHE_NEVER, CACHE_METADATA, CACHE_AUTO, CACHE_ALWAYS };
enum choice { CHOICE_AUTO, CHOICE_NO, CHOICE_YES };

/* Something that guest and daemon have to agree on. */
enum agreement {
	AGREE_NEVER,
	AGREE_AUTO, /* if the guest offers it */
	AGREE_ALWAYS, /* a guest that does not offer it is refused */
};

/* What stands for a node of the guest when descriptors are short. */
enum handle_mode {
	HANDLES_AUTO, /* file handles, if they are to be had; many descriptors */
	HANDLES_NEVER, /* descriptors alone */
	HANDLES_PREFER, /* the same as auto, with few descriptors */
	HANDLES_MANDATORY, /* no node without a handle */
};

enum sandbox_mode { SANDBOX_NAMESPACE, SANDBOX_CHROOT, SANDBOX_NONE };

/* What happens to a process that makes a system call it should not. */
enum seccomp_mode { SECCOMP_KILL, SECCOMP_TRAP, SECCOMP_LOG, SECCOMP_NONE };

/* Capabilities, as bits by number, to keep and to drop besides the usual. */
struct cap_mods {
	uint64_t add, drop;
};

#define ID_RANGES_MAX 32U

/* A map of ids as the kernel takes it for a user namespace. */
struct id_ranges {
	unsigned int n;
	struct id_range {
		uint32_t inside, outside, count;
	} range[ID_RANGES_MAX];
};

struct config {
	const char *shared_dir;
	const char *socket_path;
	const char *socket_group;
	const char *control_socket; /* NULL: none */
	const char *tag;
	int listen_fd; /* --fd, or a service manager's; -1: none */
	enum cache_mode cache;
	/* Seconds; below 0: as the cache mode has it. */
	double entry_timeout, attr_timeout, negative_timeout;
	enum choice readdirplus;
	bool xattr;
	const char *xattrmap; /* NULL: none */
	enum agreement posix_acl;
	enum agreement security_label;
	bool writeback;
	bool allow_direct_io;
	bool no_open; /* the guest may do without OPEN and OPENDIR */
	bool allow_mmap; /* of files that the guest does not cache */
	bool posix_lock, flock; /* the guest's locks are the host's too */
	enum handle_mode handles;
	bool readonly;
	bool announce_submounts;
	struct idmap uids, gids; /* owned by the options */
	enum choice killpriv_v2;
	long thread_pool_size; /* -1: automatic */
	long poll_us; /* 0: never */
	long rlimit_nofile; /* -1: as high as useful; 0: leave it */
	enum sandbox_mode sandbox;
	enum seccomp_mode seccomp;
	struct cap_mods modcaps;
	struct id_ranges uid_map, gid_map; /* empty: no --uid-map, --gid-map */
	/* Workers that may be started in the place of dead ones, and within how
	 * many seconds. */
	unsigned int restart_max, restart_sec;
	enum log_level log_level;
	bool use_syslog;
	bool daemonize;
	bool reconnect; /* serve one front-end after the other */
	bool migration; /* an option was given that speaks of it */
};

#endif
