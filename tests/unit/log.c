/* SPDX-License-Identifier: BSD-3-Clause */
/* base/log: one line a call, whatever is in it. */
#include "base/log.h"

#include <errno.h>
#include <regex.h>
#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct capture c;

static void matches(const char *pattern)
{
	regex_t re;

	ck_assert_int_eq(regcomp(&re, pattern, REG_EXTENDED | REG_NOSUB), 0);
	ck_assert_msg(regexec(&re, c.text, 0, NULL, 0) == 0, "'%s' is not '%s'",
		      c.text, pattern);
	regfree(&re);
}

START_TEST(lines_by_level)
{
	static const enum log_level levels[] = { LOG_LEVEL_OFF, LOG_LEVEL_ERR,
						 LOG_LEVEL_WARN, LOG_LEVEL_INFO,
						 LOG_LEVEL_DEBUG,
						 LOG_LEVEL_TRACE };

	for (unsigned int i = 0; i < ARRAY_SIZE(levels); i++) {
		log_init(levels[i], false);
		capture_begin(&c);
		log_error("a");
		log_warn("b");
		log_info("c");
		log_debug("d");
		log_trace("e");
		ck_assert_uint_eq(capture_end(&c), i);
	}
}
END_TEST

START_TEST(how_a_line_looks)
{
	log_init(LOG_LEVEL_INFO, false);
	capture_begin(&c);
	log_info("Waiting for %s", "it");
	capture_end(&c);
	matches("^virtiofsd: Waiting for it\n$");
	capture_begin(&c);
	log_warn("careful");
	capture_end(&c);
	matches("^virtiofsd: warning: careful\n$");
	log_init(LOG_LEVEL_DEBUG, false);
	capture_begin(&c);
	log_debug("x");
	capture_end(&c);
	matches("^\\[20[0-9]{2}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]\\.[0-9]{6}\\] \\[[0-9]+\\] virtiofsd: debug: x\n$");
}
END_TEST

START_TEST(error_is_named_and_returned)
{
	log_init(LOG_LEVEL_ERR, false);
	capture_begin(&c);
	errno = 4711;
	ck_assert_int_eq(log_err(-ENOENT, "cannot share %s", "/x"), -ENOENT);
	ck_assert_int_eq(errno, 4711);
	capture_end(&c);
	matches("^virtiofsd: error: cannot share /x: No such file or directory\n$");
	log_init(LOG_LEVEL_OFF, false);
	capture_begin(&c);
	ck_assert_int_eq(log_err(-EIO, "x"), -EIO);
	ck_assert_uint_eq(capture_end(&c), 0);
}
END_TEST

/* A name of the guest's cannot make a second line, nor talk to a terminal. */
START_TEST(no_line_is_forged)
{
	log_init(LOG_LEVEL_INFO, false);
	capture_begin(&c);
	log_info("name '%s'", "a\nvirtiofsd: error: b\r\t\033[31m\177");
	ck_assert_uint_eq(capture_end(&c), 1);
	for (const char *p = c.text; p[1]; p++)
		ck_assert((unsigned char)*p >= 0x20 && *p != 0x7f);
}
END_TEST

START_TEST(long_lines_are_cut)
{
	static char text[3000];

	log_init(LOG_LEVEL_DEBUG, false);
	for (size_t len = 900; len < sizeof(text); len += len < 1100 ? 1 : 500) {
		memset(text, 'x', len);
		text[len] = '\0';
		capture_begin(&c);
		log_info("%s", text);
		ck_assert_uint_eq(capture_end(&c), 1);
		ck_assert_uint_le(strlen(c.text), 1024);
		capture_begin(&c);
		log_err(-ENOENT, "%s", text);
		ck_assert_uint_eq(capture_end(&c), 1);
		ck_assert_int_eq(c.text[strlen(c.text) - 1], '\n');
	}
}
END_TEST

static void chatter(void *arg, unsigned int no)
{
	for (int i = 0; i < 10; i++)
		log_info("%c%c%c%c%c%c%c%c%c%c", 'a' + no, 'a' + no, 'a' + no,
			 'a' + no, 'a' + no, 'a' + no, 'a' + no, 'a' + no,
			 'a' + no, 'a' + no);
}

START_TEST(lines_of_threads_do_not_mix)
{
	log_init(LOG_LEVEL_INFO, false);
	capture_begin(&c);
	unit_threads(8, chatter, NULL);
	ck_assert_uint_eq(capture_end(&c), 80);
	for (char *line = strtok(c.text, "\n"); line; line = strtok(NULL, "\n")) {
		ck_assert_uint_eq(strlen(line), 21);
		for (int i = 12; i < 21; i++)
			ck_assert_int_eq(line[i], line[11]);
	}
}
END_TEST

/* Nothing is formatted that nobody asked for. */
static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

START_TEST(arguments_are_not_evaluated_below_the_level)
{
	log_init(LOG_LEVEL_INFO, false);
	log_debug("%d", evaluate());
	ck_assert_int_eq(evaluated, 0);
}
END_TEST

START_TEST(syslog_writes_nothing_to_stderr)
{
	log_init(LOG_LEVEL_INFO, true);
	capture_begin(&c);
	log_info("to a syslog that may not be there");
	ck_assert_uint_eq(capture_end(&c), 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("log");
	TCase *tc = unit_tcase(s, "lines", 10);

	tcase_add_test(tc, lines_by_level);
	tcase_add_test(tc, how_a_line_looks);
	tcase_add_test(tc, error_is_named_and_returned);
	tcase_add_test(tc, no_line_is_forged);
	tcase_add_test(tc, long_lines_are_cut);
	tcase_add_test(tc, lines_of_threads_do_not_mix);
	tcase_add_test(tc, arguments_are_not_evaluated_below_the_level);
	tcase_add_test(tc, syslog_writes_nothing_to_stderr);
	return unit_run(s);
}
