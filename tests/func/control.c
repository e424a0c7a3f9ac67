/* SPDX-License-Identifier: BSD-3-Clause */
/* The control socket: what it says of the daemon, and what it has it do. */
#include <json-c/json.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "func.h"

static char path[160];
static int client = -1;
static FILE *from;

static void start(const char *const *more)
{
	const char *args[16] = { "--control-socket", path };
	int n = 2;

	ok(daemon_prepare(&fx.d));
	snprintf(path, sizeof(path), "%s.control", fx.d.socket);
	while (more && *more)
		args[n++] = *more++;

	struct daemon_opts o = { .args = args };

	ok(daemon_spawn(&fx.d, &o));
}

static void start_all(const char *const *more)
{
	start(more);
	func_connect(NULL);
	func_init_session();
}

static int open_client(void)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int s = host(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
	struct timeval limit = { .tv_sec = wait_scaled(10000) / 1000 };

	strcpy(un.sun_path, path);
	host(connect(s, (struct sockaddr *)&un, sizeof(un)));
	host(setsockopt(s, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)));
	return s;
}

static void hang_up(void)
{
	fclose(from);
	client = -1;
}

static void say(const char *line)
{
	client = open_client();
	from = fdopen(client, "r");
	host(write(client, line, strlen(line)));
	host(write(client, "\n", 1));
}

/* The next line, an object */
static struct json_object *answer(void)
{
	char *line = NULL;
	size_t size = 0;
	struct json_object *o;

	ck_assert_msg(getline(&line, &size, from) > 0, "no answer: %m");
	o = json_tokener_parse(line);
	ck_assert_msg(json_object_is_type(o, json_type_object), "%s", line);
	free(line);
	return o;
}

/* The answer to a client that comes for it and goes, beside one that waits */
static struct json_object *ask(const char *line)
{
	FILE *waits = from;
	struct json_object *o;

	say(line);
	o = answer();
	hang_up();
	from = waits;
	return o;
}

static struct json_object *at(struct json_object *o, const char *pointer)
{
	struct json_object *v = NULL;

	ck_assert_msg(json_pointer_get(o, pointer, &v) == 0, "no %s in %s", pointer,
		      json_object_to_json_string(o));
	return v;
}

static int64_t number(struct json_object *o, const char *pointer)
{
	return json_object_get_int64(at(o, pointer));
}

static const char *text(struct json_object *o, const char *pointer)
{
	return json_object_get_string(at(o, pointer));
}

/* An op's row in the answer to "stats"; NULL: it has none */
static struct json_object *op_of(struct json_object *stats, const char *name)
{
	struct json_object *ops = at(stats, "/ops");

	for (size_t i = 0; i < json_object_array_length(ops); i++) {
		struct json_object *o = json_object_array_get_idx(ops, i);

		if (!strcmp(text(o, "/op"), name))
			return o;
	}
	return NULL;
}

START_TEST(status_says_what_is_in_force_and_what_is_held)
{
	static const char *const more[] = { "--cache=always", "--xattr", "--thread-pool-size=7",
					    "--readonly", NULL };
	struct json_object *s;
	uint64_t n;

	start(more);
	s = ask("status");
	ck_assert(!json_object_get_boolean(at(s, "/session/connected")));
	json_object_put(s);
	func_connect(NULL);
	func_init_session();
	host_text("f", "x");
	n = func_node("f");
	func_open(n, O_RDONLY);
	s = ask("status");
	ck_assert_str_eq(text(s, "/options/cache"), "always");
	ck_assert(json_object_get_boolean(at(s, "/options/xattr")));
	ck_assert(json_object_get_boolean(at(s, "/options/readonly")));
	ck_assert(!json_object_get_boolean(at(s, "/options/writeback")));
	ck_assert_int_eq(number(s, "/options/thread-pool-size"), 7);
	ck_assert_str_eq(text(s, "/shared-dir"), fx.d.share);
	ck_assert(json_object_get_boolean(at(s, "/session/connected")));
	ck_assert(json_object_get_boolean(at(s, "/session/mounted")));
	ck_assert_int_eq(number(s, "/nodes"), 2);
	ck_assert_int_eq(number(s, "/handles"), 1);
	ck_assert_int_eq(number(s, "/worker/replaced"), 0);
	ck_assert_int_le(llabs(number(s, "/descriptors/open") - daemon_fds(&fx.d)), 6);
	ck_assert_int_gt(number(s, "/memory/resident"), 1 << 20);
	ck_assert_int_ge(number(s, "/queues/1/size"), 8);
	ck_assert_str_eq(text(s, "/log-level"), "info");
	json_object_put(s);
	func_end();
}
END_TEST

START_TEST(stats_count_requests_errors_and_bytes)
{
	struct json_object *s, *op;
	struct fuse_entry_out e;
	struct fuse_attr_out a;
	int64_t replies = 0;

	start_all(NULL);
	host_text("f", "x");
	for (int i = 0; i < 300; i++) {
		ok(guest_lookup(&fx.g, FUSE_ROOT_ID, "f", &e));
		fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "none", &e), ENOENT);
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	}
	s = ask("stats");
	op = op_of(s, "lookup");
	ck_assert_int_eq(number(op, "/count"), 600);
	ck_assert_int_eq(number(op, "/errors"), 300);
	ck_assert_int_eq(number(op, "/bytes"),
			 300 * (2 * (sizeof(struct fuse_in_header) + sizeof(struct fuse_out_header)) +
				sizeof("f") + sizeof("none") + sizeof(e)));
	/* One in sixteen */
	ck_assert_int_gt(number(op, "/timed"), 10);
	ck_assert_int_lt(number(op, "/timed"), 100);
	op = op_of(s, "getattr");
	ck_assert_int_eq(number(op, "/count"), 300);
	ck_assert_int_eq(number(op, "/errors"), 0);
	ck_assert_int_gt(number(op, "/timed"), 3);
	ck_assert(json_object_get_double(at(op, "/p50_us")) > 0.5);
	ck_assert(json_object_get_double(at(op, "/p50_us")) <=
		  json_object_get_double(at(op, "/p99_us")));
	ck_assert_ptr_null(op_of(s, "write"));
	ck_assert_int_eq(number(s, "/queues/1/index"), 1);
	ck_assert_int_eq(number(s, "/queues/1/requests") + number(s, "/queues/0/requests"),
			 901);
	replies = number(s, "/queues/1/notifications");
	ck_assert_int_gt(replies, 0);
	ck_assert_int_le(replies, 901);
	json_object_put(s);
	func_end();
}
END_TEST

/* The next request that was traced */
static struct json_object *traced(const char *op)
{
	struct json_object *o = answer();

	ck_assert_str_eq(text(o, "/op"), op);
	return o;
}

START_TEST(trace_shows_requests_as_they_come)
{
	struct fuse_entry_out e;
	struct json_object *o;
	uint64_t d, f, fh;
	char byte[4];

	start_all(NULL);
	host(mkdir(host_path("dir"), 0755));
	host_text("dir/file \"1\"\n", "abc");
	say("trace");
	ck_assert(json_object_get_boolean(at(o = answer(), "/trace")));
	json_object_put(o);
	d = func_node("dir");
	json_object_put(traced("lookup"));
	f = func_node("dir/file \"1\"\n");
	json_object_put(traced("lookup"));
	o = traced("lookup");
	ck_assert_msg(strstr(text(o, "/path"), "dir/file \"1\"\n"), "%s", text(o, "/path"));
	ck_assert_ptr_null(at(o, "/error"));
	ck_assert_int_eq(number(o, "/node"), d);
	json_object_put(o);
	fh = func_open(f, O_RDONLY);
	json_object_put(traced("open"));
	ok(guest_read(&fx.g, f, fh, byte, 2, 1));
	o = traced("read");
	ck_assert_int_eq(number(o, "/offset"), 1);
	ck_assert_int_eq(number(o, "/size"), 2);
	ck_assert_int_eq(number(o, "/bytes_out"), 2 + sizeof(struct fuse_out_header));
	ck_assert(json_object_get_double(at(o, "/us")) > 0);
	ck_assert_msg(strstr(text(o, "/path"), "dir/file"), "%s", text(o, "/path"));
	json_object_put(o);
	fails(guest_lookup(&fx.g, d, "a\xff", &e), ENOENT);
	o = traced("lookup");
	ck_assert_str_eq(text(o, "/error"), "ENOENT");
	ck_assert_msg(strstr(text(o, "/path"), "/a\xef\xbf\xbd"), "%s", text(o, "/path"));
	json_object_put(o);
	/* and one that is refused before anything is looked at */
	ok(guest_destroy(&fx.g));
	fails(guest_lookup(&fx.g, d, "b", &e), EIO);
	o = traced("lookup");
	ck_assert_str_eq(text(o, "/error"), "EIO");
	json_object_put(o);
	hang_up();
	func_end();
}
END_TEST

START_TEST(trace_of_one_op_or_of_slow_ones)
{
	struct fuse_attr_out a;
	struct fuse_entry_out e;
	struct json_object *o;

	start_all(NULL);
	say("trace op=getattr");
	json_object_put(answer());
	fails(guest_lookup(&fx.g, FUSE_ROOT_ID, "none", &e), ENOENT);
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	json_object_put(traced("getattr"));
	hang_up();
	say("trace slow=60000000");
	json_object_put(answer());
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	wait_sleep_ms(200);
	ck_assert_int_eq(recv(client, &a, 1, MSG_DONTWAIT), -1);
	hang_up();
	ck_assert(strstr(text(o = ask("trace op=nothing"), "/error"), "op"));
	json_object_put(o);
	ck_assert(strstr(text(o = ask("trace what"), "/error"), "op=NAME"));
	json_object_put(o);
	func_end();
}
END_TEST

/* What nobody reads is lost, and said; nobody waits for it. */
START_TEST(trace_that_is_not_read_holds_up_nobody)
{
	struct fuse_attr_out a;
	int64_t begin;

	start_all(NULL);
	say("trace");
	begin = wait_now_ms();
	for (int i = 0; i < 20000; i++)
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ck_assert_int_le(wait_now_ms() - begin, wait_scaled(20000));
	hang_up();
	json_object_put(ask("status"));
	func_end();
}
END_TEST

START_TEST(log_level_is_changed)
{
	struct fuse_attr_out a;

	start_all(NULL);
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ck_assert(!daemon_log_has(&fx.d, "getattr"));
	json_object_put(ask("log-level debug"));
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	ck_assert(daemon_log_wait(&fx.d, "getattr", 5000));

	struct json_object *o = ask("log-level loud");

	ck_assert(strstr(text(o, "/error"), "trace"));
	json_object_put(o);
	func_end();
}
END_TEST

/* Whether the reply to a request on its way comes within a while */
static bool is_answered(struct call *c, int ms)
{
	fx.g.timeout_ms = ms;
	return guest_wait_for(&fx.g, c) == 0;
}

START_TEST(drain_holds_requests_until_it_hangs_up)
{
	struct json_object *o;
	struct call *c;

	start_all(NULL);
	say("drain");
	ck_assert(json_object_get_boolean(at(o = answer(), "/drained")));
	json_object_put(o);
	c = guest_begin(&fx.g, FUSE_STATFS, FUSE_ROOT_ID);
	call_room(c, sizeof(struct fuse_statfs_out));
	ok(guest_send(&fx.g, c));
	ck_assert(!is_answered(c, 300));
	ck_assert(json_object_get_boolean(at(o = ask("status"), "/drained")));
	json_object_put(o);
	hang_up();
	ck_assert(is_answered(c, wait_scaled(5000)));
	ck_assert(!json_object_get_boolean(at(o = ask("status"), "/drained")));
	json_object_put(o);
	func_end();
}
END_TEST

/* A VMM may come, and set everything up, while all stands still. */
START_TEST(drained_before_the_front_end_comes)
{
	struct json_object *o;

	start(NULL);
	say("drain");
	json_object_put(answer());
	func_connect(NULL);
	ck_assert(json_object_get_boolean(at(o = ask("status"), "/drained")));
	json_object_put(o);
	hang_up();
	func_init_session();
	func_end();
}
END_TEST

START_TEST(socket_is_the_owners_and_goes_with_the_daemon)
{
	struct stat st;

	start_all(NULL);
	host(stat(path, &st));
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
	func_hang_up();
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	daemon_discard(&fx.d);
}
END_TEST

START_TEST(nonsense_is_an_error_and_floods_are_cut_off)
{
	char big[400];
	int many[20];
	struct json_object *o;

	start_all(NULL);
	ck_assert(strstr(text(o = ask("nothing of that kind"), "/error"), "status"));
	json_object_put(o);
	memset(big, 'x', sizeof(big));
	client = open_client();
	from = fdopen(client, "r");
	host(write(client, big, sizeof(big)));
	ck_assert_int_le(recv(client, big, 1, 0), 0);
	hang_up();
	/* One too many is sent away, and room comes back. */
	for (int i = 0; i < 20; i++)
		many[i] = open_client();
	ck_assert_int_le(recv(many[19], big, 1, 0), 0);
	for (int i = 0; i < 20; i++)
		close(many[i]);
	wait_sleep_ms(100);
	json_object_put(ask("status"));
	func_end();
}
END_TEST

START_TEST(socket_that_is_in_use_is_left_alone)
{
	struct daemon first;

	start(NULL);
	first = fx.d;
	ok(daemon_prepare(&fx.d));

	const char *args[] = { "--control-socket", path, NULL };
	struct daemon_opts o = { .args = args, .no_wait = true };

	ok(daemon_spawn(&fx.d, &o));
	ck_assert_int_eq(daemon_wait(&fx.d, wait_scaled(5000)), 1);
	ck_assert(daemon_log_has(&fx.d, "somebody answers there already"));
	daemon_discard(&fx.d);
	json_object_put(ask("status"));
	daemon_discard(&first);
}
END_TEST

/* The next worker answers on it. */
START_TEST(socket_outlives_a_worker)
{
	struct json_object *o;
	struct fuse_attr_out a;

	start_all(NULL);
	host(kill(daemon_worker(&fx.d), SIGKILL));
	ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	o = ask("status");
	ck_assert_int_eq(number(o, "/worker/replaced"), 1);
	json_object_put(o);
	func_end();
}
END_TEST

/* --- virtiofsctl --- */

/* What a command line that begins with virtiofsctl writes, and its status */
static const char *ctl(int want, const char *format, const char *arguments)
{
	static char out[65536];
	const char *program = getenv("VIRTIOFSCTL");
	char line[1024];
	size_t n;
	FILE *f;

	ck_assert_ptr_nonnull(program);
	snprintf(line, sizeof(line), "LC_ALL=C %s --socket=%s %s %s 2>&1", program, path, format,
		 arguments);
	f = popen(line, "r");
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	n = (size_t)pclose(f);
	ck_assert_msg(WIFEXITED((int)n) && WEXITSTATUS((int)n) == want, "%s: %zx: %s", line, n,
		      out);
	return out;
}

#define says(out, text) ck_assert_msg(strstr(out, text), "'%s' is not in: %s", text, out)

START_TEST(ctl_shows_status_and_stats)
{
	struct fuse_attr_out a;
	const char *out;

	start_all(NULL);
	for (int i = 0; i < 100; i++)
		ok(guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a));
	out = ctl(0, "", "status");
	says(out, fx.d.share);
	says(out, "mounted by the guest");
	says(out, "cache=never");
	out = ctl(0, "", "stats");
	says(out, "getattr                   100         0");
	out = ctl(0, "--prometheus", "stats");
	says(out, "# TYPE virtiofsd_requests_total counter\n");
	says(out, "\nvirtiofsd_requests_total{op=\"getattr\"} 100\n");
	says(out, "\nvirtiofsd_request_seconds_bucket{op=\"getattr\",le=\"+Inf\"} ");
	out = ctl(0, "--prometheus", "status");
	says(out, "\nvirtiofsd_mounted 1\n");
	says(out, "\nvirtiofsd_nodes 1\n");

	struct json_object *o = json_tokener_parse(ctl(0, "--json", "stats"));

	ck_assert_int_eq(number(op_of(o, "getattr"), "/count"), 100);
	json_object_put(o);
	func_end();
}
END_TEST

START_TEST(ctl_top_shows_what_happens_meanwhile)
{
	struct fuse_attr_out a;
	const char *out;
	pid_t pid;

	start_all(NULL);
	pid = fork();
	if (pid == 0)
		for (;;) {
			(void)guest_getattr(&fx.g, FUSE_ROOT_ID, GUEST_NO_FH, &a);
			wait_sleep_ms(1);
		}
	out = ctl(0, "", "top --interval=0.3 --count=2");
	kill(pid, SIGKILL);
	says(out, "requests/s");
	says(out, "\ngetattr ");
	ck_assert_ptr_null(strstr(out, "\ninit "));
	func_end();
}
END_TEST

START_TEST(ctl_drains_while_a_command_runs)
{
	const char *out;

	start_all(NULL);
	out = ctl(3, "", "drain sh -c '$VIRTIOFSCTL status; exit 3'");
	says(out, "which socket?");
	setenv("VIRTIOFSD_CONTROL_SOCKET", path, 1);
	out = ctl(0, "", "drain sh -c '$VIRTIOFSCTL status'");
	says(out, "standing still");
	ctl(127, "", "drain /no/such/program");
	wait_sleep_ms(wait_scaled(100));
	says(ctl(0, "", "status"), "mounted by the guest");
	func_end();
}
END_TEST

START_TEST(ctl_refuses_what_makes_no_sense)
{
	start_all(NULL);
	says(ctl(2, "", ""), "a command is wanted");
	says(ctl(2, "", "frobnicate"), "no such command");
	says(ctl(2, "--json", "drain"), "no such format");
	says(ctl(2, "", "trace --slow=-1"), "--slow");
	says(ctl(2, "", "top --count=x"), "--count");
	says(ctl(1, "", "trace --op=nothing"), "no op is called that");
	says(ctl(1, "", "log-level loud"), "is wanted");
	ctl(0, "", "log-level trace");
	says(ctl(1, "--socket=/no/such/socket", "status"), "No such file");
	func_end();
}
END_TEST

int main(int argc, char **argv)
{
	func_init("control", argc, argv);
	func_test(status_says_what_is_in_force_and_what_is_held);
	func_test(stats_count_requests_errors_and_bytes);
	func_test(trace_shows_requests_as_they_come);
	func_test(trace_of_one_op_or_of_slow_ones);
	func_test_long(trace_that_is_not_read_holds_up_nobody, 60);
	func_test(log_level_is_changed);
	func_test(drain_holds_requests_until_it_hangs_up);
	func_test(drained_before_the_front_end_comes);
	func_test(socket_is_the_owners_and_goes_with_the_daemon);
	func_test(nonsense_is_an_error_and_floods_are_cut_off);
	func_test(socket_that_is_in_use_is_left_alone);
	func_test(socket_outlives_a_worker);
	func_test(ctl_shows_status_and_stats);
	func_test(ctl_top_shows_what_happens_meanwhile);
	func_test(ctl_drains_while_a_command_runs);
	func_test(ctl_refuses_what_makes_no_sense);
	return func_done();
}
