/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/json.h"

#include <stdarg.h>
#include <stdlib.h>

static void begin(struct json *j, const char *key)
{
	if (j->more)
		fputc(',', j->f);
	if (key)
		fprintf(j->f, "\"%s\":", key);
	j->more = true;
}

void json_open(struct json *j, const char *key, char bracket)
{
	begin(j, key);
	fputc(bracket, j->f);
	j->more = false;
}

void json_close(struct json *j, char bracket)
{
	fputc(bracket, j->f);
	j->more = true;
}

void json_number(struct json *j, const char *key, uint64_t n)
{
	begin(j, key);
	fprintf(j->f, "%llu", (unsigned long long)n);
}

void json_real(struct json *j, const char *key, double x)
{
	begin(j, key);
	fprintf(j->f, "%.6f", x);
}

void json_bool(struct json *j, const char *key, bool b)
{
	begin(j, key);
	fputs(b ? "true" : "false", j->f);
}

/* Bytes of the UTF-8 sequence at @s, 0 if there is none (RFC 3629). */
static unsigned int utf8_length(const unsigned char *s)
{
	unsigned int n = *s < 0x80 ? 1 : *s < 0xc2 ? 0 : *s < 0xe0 ? 2 :
			 *s < 0xf0 ? 3 : *s < 0xf5 ? 4 : 0;

	for (unsigned int i = 1; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
	    (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f))
		return 0;
	return n;
}

static unsigned int put(struct json *j, const unsigned char *s)
{
	unsigned int n = utf8_length(s);

	if (n == 0)
		fputs("\\ufffd", j->f);
	else if (*s == '"' || *s == '\\')
		fprintf(j->f, "\\%c", *s);
	else if (*s < 0x20 || *s == 0x7f)
		fprintf(j->f, "\\u%04x", *s);
	else
		fwrite(s, 1, n, j->f);
	return n ? n : 1;
}

void json_string(struct json *j, const char *key, const char *s)
{
	const unsigned char *at = (const unsigned char *)s;

	begin(j, key);
	if (!s) {
		fputs("null", j->f);
		return;
	}
	fputc('"', j->f);
	while (*at)
		at += put(j, at);
	fputc('"', j->f);
}

void json_text(struct json *j, const char *key, const char *fmt, ...)
{
	_cleanup_free_ char *s = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&s, fmt, ap) < 0)
		s = NULL;
	va_end(ap);
	json_string(j, key, s);
}
