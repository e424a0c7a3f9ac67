/* SPDX-License-Identifier: BSD-3-Clause */
/* Writes JSON (RFC 8259) into a stream, in order, without keeping any of it. */
#ifndef CONTROL_JSON_H
#define CONTROL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/scope.h"

struct json {
	FILE *f;
	bool more; /* a value stands before the next one */
};

/* Each takes the key of the value, or NULL in a list and at the top. A list or
 * an object lasts until it is closed. */
void json_open(struct json *j, const char *key, char bracket);
void json_close(struct json *j, char bracket);
void json_number(struct json *j, const char *key, uint64_t n);
void json_real(struct json *j, const char *key, double x);
void json_bool(struct json *j, const char *key, bool b);

/* Bytes that are no UTF-8 are replaced (U+FFFD); NULL is null. */
void json_string(struct json *j, const char *key, const char *s);
void json_text(struct json *j, const char *key, const char *fmt, ...)
	_printf_(3, 4);

#endif
