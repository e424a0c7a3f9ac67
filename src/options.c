/* SPDX-License-Identifier: BSD-3-Clause */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/log.h"
#include "fs/xattrmap.h"
#include "keeper/manager.h"
#include "keeper/restart.h"
#include "options_set.h"
#include "wire/vring.h"

/* --options of one command line come to less than this. */
#define LISTS_MAX 65536U

int option_wrong(struct value v, const char *right)
{
	log_error("bad value '%s' of option %s: %s", v.text, v.name, right);
	return -EINVAL;
}

static int parse_long(struct value v, long min, long max, long *ret)
{
	char *end;

	errno = 0;
	*ret = strtol(v.text, &end, 10);
	if (errno || end == v.text || *end || *ret < min || *ret > max) {
		log_error("bad value '%s' of option %s: a number from %ld to %ld is wanted",
			  v.text, v.name, min, max);
		return -EINVAL;
	}
	return 0;
}

struct word {
	const char *word;
	int value;
};

/* The value of one of @n words, which @right names; -EINVAL if it is none. */
static int parse_word(struct value v, const struct word *words, size_t n,
		      const char *right)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(v.text, words[i].word) == 0)
			return words[i].value;
	return option_wrong(v, right);
}

static int set_shared_dir(struct options *o, struct value v)
{
	o->cfg.shared_dir = v.text;
	return *v.text ? 0 : option_wrong(v, "the path of a directory is wanted");
}

static int set_path_of_socket(struct value v, const char **where)
{
	struct sockaddr_un un;

	if (strlen(v.text) >= sizeof(un.sun_path) || !*v.text) {
		log_error("bad value of option %s: a socket's path has 1 to %zu bytes, this has %zu",
			  v.name, sizeof(un.sun_path) - 1, strlen(v.text));
		return -EINVAL;
	}
	*where = v.text;
	return 0;
}

static int set_socket_path(struct options *o, struct value v)
{
	return set_path_of_socket(v, &o->cfg.socket_path);
}

static int set_control_socket(struct options *o, struct value v)
{
	return set_path_of_socket(v, &o->cfg.control_socket);
}

static int set_fd(struct options *o, struct value v)
{
	long n;
	int r = parse_long(v, 3, INT_MAX, &n);

	if (r == 0)
		o->cfg.listen_fd = (int)n;
	return r;
}

static int set_socket_group(struct options *o, struct value v)
{
	o->cfg.socket_group = v.text;
	return 0;
}

static int set_tag(struct options *o, struct value v)
{
	if (strlen(v.text) < 1 || strlen(v.text) > WIRE_VIRTIO_FS_TAG_LEN)
		return option_wrong(v, "1 to 36 bytes are wanted");
	o->cfg.tag = v.text;
	return 0;
}

static int set_cache(struct options *o, struct value v)
{
	static const struct word modes[] = {
		{ "never", CACHE_NEVER },   { "none", CACHE_NEVER },
		{ "auto", CACHE_AUTO },	    { "always", CACHE_ALWAYS },
		{ "metadata", CACHE_METADATA },
	};
	int r = parse_word(v, modes, ARRAY_SIZE(modes),
			   "never, metadata, auto or always is wanted");

	if (r >= 0)
		o->cfg.cache = (enum cache_mode)r;
	return r < 0 ? r : 0;
}

static int set_inode_file_handles(struct options *o, struct value v)
{
	static const struct word modes[] = {
		{ "auto", HANDLES_AUTO },
		{ "never", HANDLES_NEVER },
		{ "prefer", HANDLES_PREFER },
		{ "fallback", HANDLES_PREFER }, /* its former name */
		{ "mandatory", HANDLES_MANDATORY },
	};
	int r = parse_word(v, modes, ARRAY_SIZE(modes),
			   "auto, never, prefer or mandatory is wanted");

	if (r >= 0)
		o->cfg.handles = (enum handle_mode)r;
	return r < 0 ? r : 0;
}

static int parse_seconds(struct value v, double *ret)
{
	char *end;
	double t = strtod(v.text, &end);

	if (end == v.text || *end || !isfinite(t) || t < 0 || t > UINT32_MAX)
		return option_wrong(v, "a number of seconds is wanted");
	*ret = t;
	return 0;
}

static int set_entry_timeout(struct options *o, struct value v)
{
	return parse_seconds(v, &o->cfg.entry_timeout);
}

static int set_attr_timeout(struct options *o, struct value v)
{
	return parse_seconds(v, &o->cfg.attr_timeout);
}

static int set_negative_timeout(struct options *o, struct value v)
{
	return parse_seconds(v, &o->cfg.negative_timeout);
}

static int set_timeout(struct options *o, struct value v)
{
	double t = 0;
	int r = parse_seconds(v, &t);

	if (r < 0)
		return r;
	o->cfg.entry_timeout = t;
	o->cfg.attr_timeout = t;
	o->cfg.negative_timeout = t;
	return 0;
}

/* Switches: what each one sets. */
#define SWITCH(fn, field, to)                                       \
	static int fn(struct options *o, struct value v)            \
	{                                                           \
		o->cfg.field = to;                                  \
		return 0;                                           \
	}

SWITCH(set_readdirplus, readdirplus, CHOICE_YES)
SWITCH(set_no_readdirplus, readdirplus, CHOICE_NO)
SWITCH(set_xattr, xattr, true)
SWITCH(set_no_xattr, xattr, false)
SWITCH(set_no_posix_acl, posix_acl, AGREE_NEVER)
SWITCH(set_no_security_label, security_label, AGREE_NEVER)
SWITCH(set_writeback, writeback, true)
SWITCH(set_no_writeback, writeback, false)
SWITCH(set_allow_direct_io, allow_direct_io, true)
SWITCH(set_no_allow_direct_io, allow_direct_io, false)
SWITCH(set_allow_mmap, allow_mmap, true)
SWITCH(set_no_open, no_open, true)
SWITCH(set_posix_lock, posix_lock, true)
SWITCH(set_no_posix_lock, posix_lock, false)
SWITCH(set_flock, flock, true)
SWITCH(set_no_flock, flock, false)
SWITCH(set_readonly, readonly, true)
SWITCH(set_killpriv_v2, killpriv_v2, CHOICE_YES)
SWITCH(set_no_killpriv_v2, killpriv_v2, CHOICE_NO)
SWITCH(set_announce_submounts, announce_submounts, true)
SWITCH(set_no_announce_submounts, announce_submounts, false)
SWITCH(set_debug, log_level, LOG_LEVEL_DEBUG)
SWITCH(set_syslog, use_syslog, true)
SWITCH(set_reconnect, reconnect, true)

/* Checked here, so that it is the option that is named when it is wrong. */
static int set_xattrmap(struct options *o, struct value v)
{
	struct xattrmap_error e;
	struct xattrmap m;
	int r = xattrmap_parse(v.text, &m, &e);

	if (r == -EINVAL)
		log_error("bad value of option %s: %s, at byte %zu: '%.20s'",
			  v.name, e.what, e.at, v.text + e.at);
	if (r < 0)
		return r;
	xattrmap_free(&m);
	o->cfg.xattrmap = v.text;
	return set_xattr(o, v);
}

/* The switch alone means always. */
static int set_agreement(struct options *o, struct value v,
			 enum agreement *where)
{
	if (!v.text || strcmp(v.text, "always") == 0)
		*where = AGREE_ALWAYS;
	else if (strcmp(v.text, "auto") == 0)
		*where = AGREE_AUTO;
	else if (strcmp(v.text, "never") == 0)
		*where = AGREE_NEVER;
	else
		return option_wrong(v, "never, auto or always is wanted");
	if (*where != AGREE_NEVER)
		o->cfg.xattr = true;
	return 0;
}

static int set_posix_acl(struct options *o, struct value v)
{
	return set_agreement(o, v, &o->cfg.posix_acl);
}

static int set_security_label(struct options *o, struct value v)
{
	return set_agreement(o, v, &o->cfg.security_label);
}

static int add_translation(struct idmap *m, struct value v)
{
	const char *what = "memory is short";
	int r = idmap_add(m, v.text, &what);

	return r < 0 ? option_wrong(v, what) : 0;
}

static int set_translate_uid(struct options *o, struct value v)
{
	return add_translation(&o->cfg.uids, v);
}

static int set_translate_gid(struct options *o, struct value v)
{
	return add_translation(&o->cfg.gids, v);
}

static int set_thread_pool_size(struct options *o, struct value v)
{
	return parse_long(v, 0, 1 << 16, &o->cfg.thread_pool_size);
}

static int set_poll_us(struct options *o, struct value v)
{
	return parse_long(v, 0, 1000, &o->cfg.poll_us);
}

static int set_rlimit_nofile(struct options *o, struct value v)
{
	return parse_long(v, 0, INT_MAX, &o->cfg.rlimit_nofile);
}

static int set_restart(struct options *o, struct value v)
{
	return restart_limit(v.text, &o->cfg) < 0 ?
		       option_wrong(v, "N/SECONDS is wanted") : 0;
}

static int set_log_level(struct options *o, struct value v)
{
	int r = log_level_of(v.text);

	if (r < 0)
		return option_wrong(v, "off, error, warn, info, debug or trace is wanted");
	o->cfg.log_level = (enum log_level)r;
	return 0;
}

static int set_nothing(struct options *o, struct value v)
{
	return 0;
}

static int set_daemonize(struct options *o, struct value v)
{
	o->cfg.daemonize = true;
	return 0;
}

static int set_foreground(struct options *o, struct value v)
{
	o->cfg.daemonize = false;
	return 0;
}

/* For whoever counts on threads that are kept, as QEMU's virtiofsd did. */
static int set_max_idle_threads(struct options *o, struct value v)
{
	long unused;

	return parse_long(v, 0, INT_MAX, &unused);
}

static int set_migration(struct options *o, struct value v)
{
	o->cfg.migration = true;
	return 0;
}

static int set_migration_mode(struct options *o, struct value v)
{
	static const struct word modes[] = { { "find-paths", 0 },
					     { "file-handles", 1 } };
	int r = parse_word(v, modes, ARRAY_SIZE(modes),
			   "find-paths or file-handles is wanted");

	return r < 0 ? r : set_migration(o, v);
}

static int set_migration_on_error(struct options *o, struct value v)
{
	static const struct word actions[] = { { "abort", 0 },
					       { "guest-error", 1 } };
	int r = parse_word(v, actions, ARRAY_SIZE(actions),
			   "abort or guest-error is wanted");

	return r < 0 ? r : set_migration(o, v);
}

static int set_action(struct options *o, enum options_action action)
{
	o->action = action;
	return 0;
}

static int set_help(struct options *o, struct value v)
{
	return set_action(o, OPTIONS_HELP);
}

static int set_version(struct options *o, struct value v)
{
	return set_action(o, OPTIONS_VERSION);
}

static int set_print_capabilities(struct options *o, struct value v)
{
	return set_action(o, OPTIONS_CAPABILITIES);
}

static const struct {
	const char *name;
	bool wants_value;
	setter *set;
} subopts[] = {
#define SUBOPT(name, wants, set, unused) { name, wants, set },
#include "options.def"
};

static int set_subopt(struct options *o, char *item)
{
	char *equals = strchr(item, '=');
	struct value v = { item, equals ? equals + 1 : NULL };

	if (equals)
		*equals = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(subopts); i++) {
		if (strcmp(item, subopts[i].name) != 0)
			continue;
		if (subopts[i].wants_value != (v.text != NULL)) {
			log_error("-o %s %s value", item,
				  v.text ? "takes no" : "wants a");
			return -EINVAL;
		}
		return subopts[i].set(o, v);
	}
	log_error("unknown option -o %s", item);
	return -EINVAL;
}

/* Cuts the next item off *at, at a comma; two commas stand for one. The text
 * is made anew in place. */
static char *next_item(char **at)
{
	char *item = *at, *out = item, *in = item;

	if (!*in)
		return NULL;
	while (*in) {
		if (*in == ',' && in[1] != ',')
			break;
		if (*in == ',')
			in++;
		*out++ = *in++;
	}
	*at = *in ? in + 1 : in;
	*out = '\0';
	return item;
}

static int set_list(struct options *o, struct value v)
{
	size_t len = strlen(v.text) + 1;
	char *at = o->copy + o->copied, *item;
	int r = 0;

	if (len > LISTS_MAX - o->copied)
		return option_wrong(v, "the list is too long");
	memcpy(at, v.text, len);
	o->copied += len;
	while (r == 0 && (item = next_item(&at)) != NULL)
		r = *item ? set_subopt(o, item) : 0;
	return r;
}

enum { OPT_FIRST = 256 };

static const struct {
	const char *name;
	int short_name;
	const char *arg;
	setter *set;
	const char *help;
} opts[] = {
#define OPT(name, c, arg, set, help) { name, c, arg, set, help },
#include "options.def"
};

static int apply(struct options *o, int code, const char *text)
{
	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		char name[64];

		if (code != OPT_FIRST + (int)i && code != opts[i].short_name)
			continue;
		snprintf(name, sizeof(name), "--%s", opts[i].name);
		return opts[i].set(o, (struct value){ name, text });
	}
	return -EINVAL; /* getopt has said why */
}

static int check(const struct config *cfg)
{
	const char *wrong = NULL;

	if (!cfg->shared_dir)
		wrong = "no directory to share: --shared-dir=DIR is wanted";
	else if (cfg->socket_path && cfg->listen_fd >= 0)
		wrong = "--socket-path and --fd exclude each other";
	else if (!cfg->socket_path && cfg->listen_fd < 0)
		wrong = "no socket: --socket-path=PATH or --fd=N is wanted";
	else if (cfg->posix_acl == AGREE_ALWAYS && !cfg->xattr)
		wrong = "--posix-acl=always needs extended attributes, which no_xattr takes away";
	else if (cfg->security_label == AGREE_ALWAYS && !cfg->xattr)
		wrong = "--security-label=always needs extended attributes, which no_xattr takes away";
	else if (cfg->no_open && cfg->cache != CACHE_ALWAYS)
		wrong = "--no-open needs --cache=always: opening a file is when the guest looks whether it has changed";
	else if (cfg->no_open && (cfg->posix_lock || cfg->flock))
		wrong = "--no-open excludes -o posix_lock and flock: locks need open files";
	else if (cfg->socket_group && !cfg->socket_path)
		wrong = "--socket-group needs --socket-path";
	else if ((cfg->uid_map.n || cfg->gid_map.n) &&
		 cfg->sandbox != SANDBOX_NAMESPACE)
		wrong = "--uid-map and --gid-map need --sandbox=namespace";
	if (!wrong)
		return 0;
	log_error("%s", wrong);
	return -EINVAL;
}

static int has_argument(const char *arg)
{
	if (!arg)
		return no_argument;
	return arg[0] == '[' ? optional_argument : required_argument;
}

static int parse_all(int argc, char **argv, struct options *o)
{
	struct option longs[ARRAY_SIZE(opts) + 1] = { 0 };
	char shorts[ARRAY_SIZE(opts) * 2 + 1], *s = shorts;
	int code, r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(opts); i++) {
		longs[i].name = opts[i].name;
		longs[i].has_arg = has_argument(opts[i].arg);
		longs[i].val = OPT_FIRST + (int)i;
		if (!opts[i].short_name)
			continue;
		*s++ = (char)opts[i].short_name;
		if (opts[i].arg)
			*s++ = ':';
	}
	*s = '\0';
	optind = 0;
	while (r == 0 && (code = getopt_long(argc, argv, shorts, longs,
					     NULL)) != -1)
		r = apply(o, code, optarg);
	if (r == 0 && optind < argc) {
		log_error("unexpected argument '%s'", argv[optind]);
		r = -EINVAL;
	}
	return r;
}

/* A launcher asks an unknown daemon for this first, with whatever else it
 * would pass: that need not even be right. */
static bool asks_capabilities(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], "--print-capabilities") == 0)
			return true;
	return false;
}

int options_parse(int argc, char **argv, struct options *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	ret->cfg = (struct config){
		.listen_fd = -1,
		.cache = CACHE_AUTO,
		.entry_timeout = -1,
		.attr_timeout = -1,
		.negative_timeout = -1,
		.announce_submounts = true,
		.thread_pool_size = -1,
		.poll_us = 50,
		.rlimit_nofile = -1,
		.restart_max = 3, .restart_sec = 60,
		.log_level = LOG_LEVEL_INFO,
	};
	if (asks_capabilities(argc, argv))
		return set_action(ret, OPTIONS_CAPABILITIES);
	ret->copy = calloc(1, LISTS_MAX);
	if (!ret->copy)
		return log_err(-ENOMEM, "options");
	r = parse_all(argc, argv, ret);
	if (r == 0 && ret->action == OPTIONS_SERVE && !ret->cfg.socket_path &&
	    ret->cfg.listen_fd < 0)
		r = manager_socket(&ret->cfg.listen_fd);
	if (r == 0 && ret->action == OPTIONS_SERVE)
		r = check(&ret->cfg);
	return r;
}

void options_free(struct options *o)
{
	free(o->copy);
	idmap_free(&o->cfg.uids);
	idmap_free(&o->cfg.gids);
	o->copy = NULL;
}
