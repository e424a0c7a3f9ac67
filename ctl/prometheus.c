/* SPDX-License-Identifier: BSD-3-Clause */
/* The text format of Prometheus, version 0.0.4. */
#include <string.h>

#include "ctl.h"

static void type(const char *name, const char *kind, const char *help)
{
	printf("# HELP virtiofsd_%s %s\n# TYPE virtiofsd_%s %s\n", name, help,
	       name, kind);
}

static void gauge(const char *name, const char *help, struct json_object *o,
		  const char *path)
{
	struct json_object *v = ctl_at(o, path);

	if (!v)
		return;
	type(name, "gauge", help);
	if (json_object_is_type(v, json_type_boolean))
		printf("virtiofsd_%s %d\n", name, json_object_get_boolean(v));
	else
		printf("virtiofsd_%s %s\n", name, json_object_get_string(v));
}

void prometheus_status(struct json_object *s)
{
	gauge("uptime_seconds", "How long the daemon has run.", s, "/uptime");
	gauge("worker_uptime_seconds", "How long its present worker has.", s,
	      "/worker/uptime");
	gauge("worker_replaced", "Workers that died and were replaced.", s,
	      "/worker/replaced");
	gauge("threads", "Threads that serve requests.", s, "/worker/threads");
	gauge("connected", "Whether a VMM is there.", s, "/session/connected");
	gauge("mounted", "Whether a guest has mounted the share.", s,
	      "/session/mounted");
	gauge("drained", "Whether everything stands still (drain).", s,
	      "/drained");
	gauge("nodes", "Files that the guest holds.", s, "/nodes");
	gauge("handles", "Files and directories that it has open.", s,
	      "/handles");
	gauge("descriptors", "Descriptors in use.", s, "/descriptors/open");
	gauge("descriptors_limit", "How many the guest may have.", s,
	      "/descriptors/limit");
	gauge("resident_bytes", "Memory.", s, "/memory/resident");
	gauge("private_bytes", "Memory that is not shared.", s,
	      "/memory/private");
}

/* A counter of each element of a list, labelled by what stands at @key. */
static void counters(const char *name, const char *help,
		     struct json_object *list, const char *label,
		     const char *key, const char *path)
{
	type(name, "counter", help);
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		printf("virtiofsd_%s{%s=\"%s\"} %llu\n", name, label,
		       ctl_text(o, key),
		       (unsigned long long)ctl_number(o, path));
	}
}

/* Buckets as the daemon has them: each pair is an upper end in ns and how many
 * were below it and not in the ones before. */
static void histogram(struct json_object *op)
{
	struct json_object *latency = ctl_at(op, "/latency");
	const char *name = ctl_text(op, "/op");
	unsigned long long n = 0;
	double sum = 0;

	for (size_t i = 0; latency && i < json_object_array_length(latency); i++) {
		struct json_object *pair = json_object_array_get_idx(latency, i);
		double from = ctl_real(pair, "/0"), to = ctl_real(pair, "/1");

		n += ctl_number(pair, "/2");
		sum += (from + to) / 2 * ctl_real(pair, "/2");
		printf("virtiofsd_request_seconds_bucket{op=\"%s\",le=\"%g\"} %llu\n",
		       name, to / 1e9, n);
	}
	printf("virtiofsd_request_seconds_bucket{op=\"%s\",le=\"+Inf\"} %llu\n"
	       "virtiofsd_request_seconds_sum{op=\"%s\"} %g\n"
	       "virtiofsd_request_seconds_count{op=\"%s\"} %llu\n",
	       name, n, name, sum / 1e9, name, n);
}

void prometheus_stats(struct json_object *s)
{
	struct json_object *ops = ctl_at(s, "/ops"), *queues = ctl_at(s, "/queues");

	counters("requests_total", "Requests served.", ops, "op", "/op",
		 "/count");
	counters("request_errors_total", "Those that were answered an error.",
		 ops, "op", "/op", "/errors");
	counters("bytes_total", "Bytes of requests and replies.", ops, "op",
		 "/op", "/bytes");
	type("request_seconds", "histogram",
	     "Latency of a sample of the requests, one in sixteen.");
	for (size_t i = 0; ops && i < json_object_array_length(ops); i++)
		histogram(json_object_array_get_idx(ops, i));
	counters("queue_requests_total", "Requests of the queue.", queues,
		 "queue", "/index", "/requests");
	counters("queue_kicks_total", "Wake-ups by the guest.", queues, "queue",
		 "/index", "/kicks");
	counters("queue_notifications_total", "Times the guest was told.",
		 queues, "queue", "/index", "/notifications");
	counters("queue_polls_total", "Looks at an empty ring.", queues, "queue",
		 "/index", "/polls");
	counters("queue_polls_paid_total", "Those in which something came.",
		 queues, "queue", "/index", "/polls_paid");
}
