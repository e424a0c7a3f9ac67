/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * virtiofsctl: asks a daemon's control socket and shows the answers to people,
 * or as JSON, or for Prometheus. A program of its own: nothing of the daemon's
 * is in it.
 */
#ifndef CTL_CTL_H
#define CTL_CTL_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum ctl_format { CTL_TEXT, CTL_JSON, CTL_PROMETHEUS };

/* Exit statuses. */
enum { CTL_OK = 0, CTL_FAILED = 1, CTL_USAGE = 2 };

struct ctl {
	const char *socket;
	enum ctl_format format;
};

/* --- main.c --- */

/* Sends one line on a connection of its own; the answers come from the stream.
 * NULL, said on standard error. */
FILE *ctl_say(const struct ctl *c, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* The next line as an object, to be put; NULL at the end, or if it is an error
 * (said on standard error). *line (to be freed) holds the text. */
struct json_object *ctl_next(FILE *from, char **line, size_t *size);

/* A question with one answer; NULL as above. */
struct json_object *ctl_ask(const struct ctl *c, const char *question);

/* What stands at a path like "/session/fuse"; NULL, 0, false or "" if nothing
 * does. */
struct json_object *ctl_at(struct json_object *o, const char *path);
uint64_t ctl_number(struct json_object *o, const char *path);
double ctl_real(struct json_object *o, const char *path);
bool ctl_bool(struct json_object *o, const char *path);
const char *ctl_text(struct json_object *o, const char *path);

/* --- show.c --- */

void show_status(struct json_object *status);
void show_stats(struct json_object *stats);

/* One request of a trace, on one line. */
void show_request(struct json_object *r);

/* "12.3 MiB" and the like: into @buf, which is returned. */
struct show_buf {
	char s[32];
};
const char *show_bytes(double n, struct show_buf *buf);
const char *show_us(double us, struct show_buf *buf);

/* --- prometheus.c --- */

void prometheus_status(struct json_object *status);
void prometheus_stats(struct json_object *stats);

/* --- top.c --- */

/* Shows what goes on, every @interval seconds; @count times, or until it is told
 * to stop (0). Returns an exit status. */
int top(const struct ctl *c, double interval, unsigned long count);

#endif
