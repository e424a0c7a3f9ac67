/* SPDX-License-Identifier: BSD-3-Clause */
#include <errno.h>
#include <fnmatch.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"
#include "version.h"

#define SOCKET_VARIABLE "VIRTIOFSD_CONTROL_SOCKET"

static const char help[] =
	"Usage: virtiofsctl --socket=PATH [OPTION...] COMMAND\n"
	"Shows and directs a virtiofsd that was started with --control-socket=PATH.\n"
	"\n"
	"  status                  how it was set up, what it holds, what it is at\n"
	"  stats                   what it has served: requests, errors, bytes, latencies\n"
	"  top [--interval=SECONDS] [--count=N]\n"
	"                          the same as it happens\n"
	"  trace [--op=OP] [--path=GLOB] [--slow=MICROSECONDS]\n"
	"                          requests as they come\n"
	"  log-level LEVEL         off, error, warn, info, debug, trace\n"
	"  drain [COMMAND...]      serve nothing while the command runs (or until Ctrl-C)\n"
	"\n"
	"  -s, --socket=PATH       the socket (or $" SOCKET_VARIABLE ")\n"
	"  -j, --json              JSON as the daemon sends it (status, stats, trace)\n"
	"  -p, --prometheus        text for Prometheus (status, stats)\n"
	"  -h, --help              this help\n"
	"  -V, --version           the version\n";

static int usage(const char *what)
{
	fprintf(stderr, "virtiofsctl: %s (see virtiofsctl --help)\n", what);
	return CTL_USAGE;
}

static int fail(const char *what, int err)
{
	fprintf(stderr, "virtiofsctl: %s: %s\n", what, strerror(err));
	return CTL_FAILED;
}

/* --- talking to the daemon --- */

static int connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s;

	if (strlen(path) >= sizeof(un.sun_path)) {
		fail(path, ENAMETOOLONG);
		return -1;
	}
	strcpy(un.sun_path, path);
	s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s < 0 || connect(s, (struct sockaddr *)&un, sizeof(un)) < 0) {
		fail(path, errno);
		if (s >= 0)
			close(s);
		return -1;
	}
	return s;
}

FILE *ctl_say(const struct ctl *c, const char *fmt, ...)
{
	int s = connect_to(c->socket);
	FILE *f = s < 0 ? NULL : fdopen(s, "r");
	char line[256];
	va_list ap;
	int n;

	if (!f)
		return NULL;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line) - 1)
		n = (int)sizeof(line) - 2;
	line[n++] = '\n';
	if (send(s, line, (size_t)n, MSG_NOSIGNAL) != n) {
		fail(c->socket, errno);
		fclose(f);
		return NULL;
	}
	return f;
}

struct json_object *ctl_next(FILE *from, char **line, size_t *size)
{
	struct json_object *o;

	if (getline(line, size, from) <= 0)
		return NULL;
	o = json_tokener_parse(*line);
	if (!ctl_at(o, "/error") || ctl_at(o, "/op"))
		return o;
	fprintf(stderr, "virtiofsctl: %s\n", ctl_text(o, "/error"));
	json_object_put(o);
	return NULL;
}

struct json_object *ctl_ask(const struct ctl *c, const char *question)
{
	FILE *f = ctl_say(c, "%s", question);
	struct json_object *o = NULL;
	char *line = NULL;
	size_t size = 0;

	if (f)
		o = ctl_next(f, &line, &size);
	if (f && !o && feof(f))
		fprintf(stderr, "virtiofsctl: no answer\n");
	if (f)
		fclose(f);
	free(line);
	return o;
}

struct json_object *ctl_at(struct json_object *o, const char *path)
{
	struct json_object *v = NULL;

	return o && json_pointer_get(o, path, &v) == 0 ? v : NULL;
}

uint64_t ctl_number(struct json_object *o, const char *path)
{
	return json_object_get_uint64(ctl_at(o, path));
}

double ctl_real(struct json_object *o, const char *path)
{
	return json_object_get_double(ctl_at(o, path));
}

bool ctl_bool(struct json_object *o, const char *path)
{
	return json_object_get_boolean(ctl_at(o, path));
}

const char *ctl_text(struct json_object *o, const char *path)
{
	struct json_object *v = ctl_at(o, path);

	return v ? json_object_get_string(v) : "";
}

/* --- commands --- */

static int report(const struct ctl *c, const char *question,
		  void (*text)(struct json_object *),
		  void (*prometheus)(struct json_object *))
{
	struct json_object *o = ctl_ask(c, question);

	if (!o)
		return CTL_FAILED;
	if (c->format == CTL_JSON)
		puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY));
	else
		(c->format == CTL_PROMETHEUS ? prometheus : text)(o);
	json_object_put(o);
	return CTL_OK;
}

static int on_status(const struct ctl *c, int argc, char **argv)
{
	return argc > 1 ? usage("status takes no arguments") :
			  report(c, "status", show_status, prometheus_status);
}

static int on_stats(const struct ctl *c, int argc, char **argv)
{
	return argc > 1 ? usage("stats takes no arguments") :
			  report(c, "stats", show_stats, prometheus_stats);
}

/* A number above 0, or -1. */
static double positive(const char *text)
{
	char *end;
	double x = strtod(text, &end);

	return *text && !*end && x > 0 && x < 1e9 ? x : -1;
}

static int on_top(const struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "interval", required_argument, NULL, 'i' },
		{ "count", required_argument, NULL, 'n' },
		{ 0 },
	};
	double interval = 1, count = 0;
	int o;

	optind = 0;
	while ((o = getopt_long(argc, argv, "+i:n:", options, NULL)) != -1)
		switch (o) {
		case 'i':
			interval = positive(optarg);
			break;
		case 'n':
			count = positive(optarg);
			break;
		default:
			return CTL_USAGE;
		}
	if (optind < argc || interval < 0 || count < 0)
		return usage("top takes --interval and --count, numbers above 0");
	return top(c, interval, (unsigned long)count);
}

static void show_traced(const struct ctl *c, struct json_object *o,
			const char *line)
{
	if (c->format == CTL_JSON)
		fputs(line, stdout);
	else if (ctl_at(o, "/missed"))
		printf("... %llu more\n",
		       (unsigned long long)ctl_number(o, "/missed"));
	else if (ctl_at(o, "/op"))
		show_request(o);
	fflush(stdout);
}

static int follow(const struct ctl *c, FILE *f, const char *glob)
{
	struct json_object *o;
	char *line = NULL;
	size_t size = 0;
	int answers = 0;

	for (; (o = ctl_next(f, &line, &size)) != NULL; answers++) {
		if (!glob || !ctl_at(o, "/path") ||
		    fnmatch(glob, ctl_text(o, "/path"), 0) == 0)
			show_traced(c, o, line);
		json_object_put(o);
		if (ferror(stdout))
			break;
	}
	free(line);
	if (answers && !ferror(stdout))
		fprintf(stderr, "virtiofsctl: the daemon has hung up\n");
	return CTL_FAILED;
}

static int on_trace(const struct ctl *c, int argc, char **argv)
{
	static const struct option options[] = {
		{ "op", required_argument, NULL, 'o' },
		{ "path", required_argument, NULL, 'P' },
		{ "slow", required_argument, NULL, 'l' },
		{ 0 },
	};
	const char *glob = NULL, *op = NULL;
	double slow = 0;
	FILE *f;
	int o, r;

	optind = 0;
	while ((o = getopt_long(argc, argv, "+o:P:l:", options, NULL)) != -1)
		switch (o) {
		case 'o':
			op = optarg;
			break;
		case 'P':
			glob = optarg;
			break;
		case 'l':
			slow = positive(optarg);
			break;
		default:
			return CTL_USAGE;
		}
	if (optind < argc || slow < 0 || (op && strlen(op) > 64))
		return usage("trace takes --op, --path and --slow, in microseconds");
	f = ctl_say(c, "trace slow=%.0f%s%s", slow, op ? " op=" : "",
		    op ? op : "");
	if (!f)
		return CTL_FAILED;
	r = follow(c, f, glob);
	fclose(f);
	return r;
}

static int on_log_level(const struct ctl *c, int argc, char **argv)
{
	struct json_object *o;
	char question[64];

	if (argc != 2 || strlen(argv[1]) > 16)
		return usage("log-level takes a level");
	snprintf(question, sizeof(question), "log-level %s", argv[1]);
	o = ctl_ask(c, question);
	json_object_put(o);
	return o ? CTL_OK : CTL_FAILED;
}

static int run(char **argv)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return fail("fork", errno);
	if (pid == 0) {
		execvp(argv[0], argv);
		fail(argv[0], errno);
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail("wait", errno);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The daemon goes on when this process, and with it the connection, ends. */
static int on_drain(const struct ctl *c, int argc, char **argv)
{
	FILE *f = ctl_say(c, "drain");
	struct json_object *o;
	char *line = NULL;
	size_t size = 0;
	int r = CTL_FAILED;

	if (!f)
		return r;
	o = ctl_next(f, &line, &size);
	if (o && argc > 1) {
		r = run(argv + 1);
	} else if (o) {
		printf("Nothing is served. Ctrl-C lets it go on.\n");
		fflush(stdout);
		/* Until then, or until the daemon ends. */
		(void)ctl_next(f, &line, &size);
	}
	json_object_put(o);
	free(line);
	fclose(f);
	return r;
}

static const struct {
	const char *name;
	int (*fn)(const struct ctl *c, int argc, char **argv);
	unsigned int formats; /* that make sense, as bits */
} commands[] = {
	{ "status", on_status, 1 << CTL_JSON | 1 << CTL_PROMETHEUS },
	{ "stats", on_stats, 1 << CTL_JSON | 1 << CTL_PROMETHEUS },
	{ "top", on_top, 0 },
	{ "trace", on_trace, 1 << CTL_JSON },
	{ "log-level", on_log_level, 0 },
	{ "drain", on_drain, 0 },
};

static int obey(const struct ctl *c, int argc, char **argv)
{
	if (argc == 0)
		return usage("a command is wanted");
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(argv[0], commands[i].name) != 0)
			continue;
		if (c->format != CTL_TEXT &&
		    !(commands[i].formats & 1U << c->format))
			return usage("this command has no such format");
		if (!c->socket)
			return usage("which socket? --socket=PATH says it");
		return commands[i].fn(c, argc, argv);
	}
	return usage("there is no such command");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "json", no_argument, NULL, 'j' },
		{ "prometheus", no_argument, NULL, 'p' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	struct ctl c = { .socket = getenv(SOCKET_VARIABLE) };
	int o;

	while ((o = getopt_long(argc, argv, "+s:jphV", options, NULL)) != -1)
		switch (o) {
		case 's':
			c.socket = optarg;
			break;
		case 'j':
			c.format = CTL_JSON;
			break;
		case 'p':
			c.format = CTL_PROMETHEUS;
			break;
		case 'h':
			fputs(help, stdout);
			return CTL_OK;
		case 'V':
			printf("virtiofsctl " VIRTIOFSD_VERSION "\n");
			return CTL_OK;
		default:
			return CTL_USAGE;
		}
	o = obey(&c, argc - optind, argv + optind);
	if (fflush(stdout) == EOF && o == CTL_OK)
		o = CTL_FAILED;
	return o;
}
