/* SPDX-License-Identifier: BSD-3-Clause */
/* For people. */
#include <string.h>
#include <time.h>

#include "ctl.h"

const char *show_bytes(double n, struct show_buf *buf)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	unsigned int i = 0;

	for (; n >= 1024 && i < 4; i++)
		n /= 1024;
	snprintf(buf->s, sizeof(buf->s), "%.*f %s", i == 0 || n >= 100 ? 0 : 1,
		 n, units[i]);
	return buf->s;
}

const char *show_us(double us, struct show_buf *buf)
{
	if (us == 0)
		snprintf(buf->s, sizeof(buf->s), "-");
	else if (us < 1000)
		snprintf(buf->s, sizeof(buf->s), "%.*f us", us < 10, us);
	else if (us < 1000000)
		snprintf(buf->s, sizeof(buf->s), "%.*f ms", us < 10000,
			 us / 1000);
	else
		snprintf(buf->s, sizeof(buf->s), "%.1f s", us / 1000000);
	return buf->s;
}

static const char *show_seconds(double s, struct show_buf *buf)
{
	unsigned long n = (unsigned long)s;

	if (n < 120)
		snprintf(buf->s, sizeof(buf->s), "%lu s", n);
	else if (n < 2 * 86400)
		snprintf(buf->s, sizeof(buf->s), "%lu:%02lu:%02lu", n / 3600,
			 n / 60 % 60, n % 60);
	else
		snprintf(buf->s, sizeof(buf->s), "%lu days", n / 86400);
	return buf->s;
}

static void label(const char *name)
{
	printf("%-13s ", name);
}

/* "a, b" of a list */
static void words(struct json_object *list)
{
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++)
		printf("%s%s", i ? ", " : "",
		       json_object_get_string(json_object_array_get_idx(list, i)));
}

/* What is on, by name, and what has a value. */
static void options(struct json_object *o)
{
	const char *between = "";

	label("Options");
	json_object_object_foreach(o, key, value) {
		if (json_object_is_type(value, json_type_boolean)) {
			if (json_object_get_boolean(value))
				printf("%s%s", between, key);
			else
				continue;
		} else if (json_object_is_type(value, json_type_double)) {
			printf("%s%s=%g", between, key,
			       json_object_get_double(value));
		} else {
			printf("%s%s=%s", between, key,
			       json_object_get_string(value));
		}
		between = ", ";
	}
	printf("\n");
}

static void queues(struct json_object *list)
{
	size_t n = list ? json_object_array_length(list) : 0;

	for (size_t i = 0; i < n; i++) {
		struct json_object *q = json_object_array_get_idx(list, i);
		struct json_object *work = ctl_at(q, "/at_work");

		label(i ? "" : "Queues");
		printf("%llu: ", (unsigned long long)ctl_number(q, "/index"));
		if (ctl_bool(q, "/running"))
			printf("%llu descriptors",
			       (unsigned long long)ctl_number(q, "/size"));
		else
			printf("not running");
		if (work && json_object_array_length(work)) {
			printf(", at work: ");
			words(work);
		}
		printf("\n");
	}
}

static const char *state(struct json_object *s)
{
	if (ctl_bool(s, "/drained"))
		return "standing still (drain)";
	if (ctl_bool(s, "/session/mounted"))
		return "mounted by the guest";
	return ctl_bool(s, "/session/connected") ?
		       "connected, not mounted by a guest" :
		       "waiting for a VMM";
}

void show_status(struct json_object *s)
{
	struct json_object *lacking = ctl_at(s, "/lacking");
	struct show_buf a, b;

	label("Share");
	printf("%s%s%s\n", ctl_text(s, "/shared-dir"),
	       ctl_at(s, "/tag") ? ", tag " : "", ctl_text(s, "/tag"));
	label("State");
	printf("%s\n", state(s));
	label("Daemon");
	printf("%s, up for %s", ctl_text(s, "/version"),
	       show_seconds(ctl_real(s, "/uptime"), &a));
	if (ctl_number(s, "/worker/replaced"))
		printf("; worker replaced %llu times, the last one %s ago",
		       (unsigned long long)ctl_number(s, "/worker/replaced"),
		       show_seconds(ctl_real(s, "/worker/uptime"), &b));
	printf("\n");
	if (ctl_at(s, "/session/fuse")) {
		label("Session");
		printf("FUSE %s; ", ctl_text(s, "/session/fuse"));
		words(ctl_at(s, "/session/agreed"));
		printf("\n");
	}
	options(ctl_at(s, "/options"));
	for (size_t i = 0; lacking && i < json_object_array_length(lacking); i++) {
		label(i ? "" : "Not to be had");
		printf("%s\n", json_object_get_string(
				       json_object_array_get_idx(lacking, i)));
	}
	label("Held");
	printf("%llu nodes, %llu open files, %llu of %llu descriptors\n",
	       (unsigned long long)ctl_number(s, "/nodes"),
	       (unsigned long long)ctl_number(s, "/handles"),
	       (unsigned long long)ctl_number(s, "/descriptors/open"),
	       (unsigned long long)ctl_number(s, "/descriptors/limit"));
	label("Memory");
	printf("%s resident, %s of it private; %llu threads\n",
	       show_bytes(ctl_real(s, "/memory/resident"), &a),
	       show_bytes(ctl_real(s, "/memory/private"), &b),
	       (unsigned long long)ctl_number(s, "/worker/threads"));
	queues(ctl_at(s, "/queues"));
}

static void show_op(struct json_object *o)
{
	struct show_buf bytes, p50, p99, p999;

	printf("%-16s %12llu %9llu %11s %9s %9s %9s\n",
	       ctl_text(o, "/op"),
	       (unsigned long long)ctl_number(o, "/count"),
	       (unsigned long long)ctl_number(o, "/errors"),
	       show_bytes(ctl_real(o, "/bytes"), &bytes),
	       show_us(ctl_real(o, "/p50_us"), &p50),
	       show_us(ctl_real(o, "/p99_us"), &p99),
	       show_us(ctl_real(o, "/p999_us"), &p999));
}

static void show_queue(struct json_object *q)
{
	printf("%-16llu %12llu %9llu %13llu %9llu %9llu\n",
	       (unsigned long long)ctl_number(q, "/index"),
	       (unsigned long long)ctl_number(q, "/requests"),
	       (unsigned long long)ctl_number(q, "/kicks"),
	       (unsigned long long)ctl_number(q, "/notifications"),
	       (unsigned long long)ctl_number(q, "/polls"),
	       (unsigned long long)ctl_number(q, "/polls_paid"));
}

void show_stats(struct json_object *s)
{
	struct json_object *ops = ctl_at(s, "/ops"), *qs = ctl_at(s, "/queues");
	struct show_buf up;

	printf("Since the worker began, %s ago:\n\n",
	       show_seconds(ctl_real(s, "/uptime"), &up));
	printf("%-16s %12s %9s %11s %9s %9s %9s\n", "op", "count", "errors",
	       "bytes", "p50", "p99", "p99.9");
	for (size_t i = 0; ops && i < json_object_array_length(ops); i++)
		show_op(json_object_array_get_idx(ops, i));
	printf("\n%-16s %12s %9s %13s %9s %9s\n", "queue", "requests", "kicks",
	       "notifications", "polls", "that paid");
	for (size_t i = 0; qs && i < json_object_array_length(qs); i++)
		show_queue(json_object_array_get_idx(qs, i));
}

void show_request(struct json_object *r)
{
	double when = ctl_real(r, "/time");
	time_t seconds = (time_t)when;
	struct show_buf us;
	struct tm tm;

	localtime_r(&seconds, &tm);
	printf("%02d:%02d:%02d.%06ld  q%llu  %9s  %-14s %s", tm.tm_hour,
	       tm.tm_min, tm.tm_sec, (long)((when - (double)seconds) * 1e6),
	       (unsigned long long)ctl_number(r, "/queue"),
	       show_us(ctl_real(r, "/us"), &us), ctl_text(r, "/op"),
	       ctl_text(r, "/path"));
	if (ctl_at(r, "/size"))
		printf("  %llu at %llu",
		       (unsigned long long)ctl_number(r, "/size"),
		       (unsigned long long)ctl_number(r, "/offset"));
	if (ctl_at(r, "/error"))
		printf("  %s", ctl_text(r, "/error"));
	printf("  (uid %llu, pid %llu)\n",
	       (unsigned long long)ctl_number(r, "/uid"),
	       (unsigned long long)ctl_number(r, "/pid"));
}
