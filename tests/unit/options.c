/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line: what each spelling means, and one line for what is wrong. */
#include "options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/scope.h"
#include "unit.h"

#define ARGS_MAX 16

static struct options o;
static char *argv[ARGS_MAX + 1];
static int argc;
static char *copy;

static void teardown(void)
{
	options_free(&o);
	free(copy);
}

/* Words apart by blanks; they live until the next line. */
static int parse(const char *line)
{
	options_free(&o);
	free(copy);
	copy = strdup(line);
	argc = 0;
	argv[argc++] = (char *)"virtiofsd";
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " ")) {
		ck_assert_int_lt(argc, ARGS_MAX);
		argv[argc++] = word;
	}
	argv[argc] = NULL;
	return options_parse(argc, argv, &o);
}

static void good(const char *line)
{
	int r;

	log_init(LOG_LEVEL_ERR, false);
	r = parse(line);
	ck_assert_msg(r == 0, "refused: %s", line);
}

/* Refused with one line that has @why in it. */
static void bad(const char *line, const char *why)
{
	struct capture c;
	unsigned int lines;
	int r;

	log_init(LOG_LEVEL_INFO, false);
	capture_begin(&c);
	r = parse(line);
	lines = capture_end(&c);
	ck_assert_msg(r == -EINVAL, "accepted: %.200s", line);
	ck_assert_msg(lines == 1 && strstr(c.text, why), "%.200s: %.200s", line,
		      c.text);
}

static void timeouts_are(double entry, double attr, double negative)
{
	ck_assert_double_eq(o.cfg.entry_timeout, entry);
	ck_assert_double_eq(o.cfg.attr_timeout, attr);
	ck_assert_double_eq(o.cfg.negative_timeout, negative);
}

#define BASE "--shared-dir=/x --socket-path=/s "

START_TEST(defaults)
{
	good(BASE);
	ck_assert_int_eq(o.action, OPTIONS_SERVE);
	ck_assert_str_eq(o.cfg.shared_dir, "/x");
	ck_assert_str_eq(o.cfg.socket_path, "/s");
	ck_assert_int_eq(o.cfg.listen_fd, -1);
	ck_assert_int_eq(o.cfg.cache, CACHE_AUTO);
	timeouts_are(-1, -1, -1);
	ck_assert_int_eq(o.cfg.readdirplus, CHOICE_AUTO);
	ck_assert_int_eq(o.cfg.thread_pool_size, -1);
	ck_assert_int_eq(o.cfg.rlimit_nofile, -1);
	ck_assert_int_eq(o.cfg.log_level, LOG_LEVEL_INFO);
	ck_assert(!o.cfg.use_syslog && !o.cfg.tag && !o.cfg.socket_group);
}
END_TEST

START_TEST(values_in_both_spellings)
{
	good("--shared-dir /x --socket-path /s --tag t --thread-pool-size 4 --log-level warn");
	ck_assert_str_eq(o.cfg.tag, "t");
	ck_assert_int_eq(o.cfg.thread_pool_size, 4);
	ck_assert_int_eq(o.cfg.log_level, LOG_LEVEL_WARN);
	good("--socket=/old --shared-dir=/x");
	ck_assert_str_eq(o.cfg.socket_path, "/old");
	good("--fd=5 -o source=/x");
	ck_assert_int_eq(o.cfg.listen_fd, 5);
	ck_assert_ptr_null(o.cfg.socket_path);
}
END_TEST

START_TEST(cache_modes)
{
	static const struct {
		const char *name;
		enum cache_mode mode;
	} modes[] = { { "never", CACHE_NEVER }, { "none", CACHE_NEVER },
		      { "auto", CACHE_AUTO }, { "always", CACHE_ALWAYS },
		      { "metadata", CACHE_METADATA } };
	char line[128];

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		snprintf(line, sizeof(line), BASE "--cache=%s", modes[i].name);
		good(line);
		ck_assert_int_eq(o.cfg.cache, modes[i].mode);
		snprintf(line, sizeof(line), BASE "-o cache=%s", modes[i].name);
		good(line);
		ck_assert_int_eq(o.cfg.cache, modes[i].mode);
	}
}
END_TEST

START_TEST(what_others_take_is_taken)
{
	good(BASE "--preserve-noatime -o allow_root,max_idle_threads=10");
	ck_assert(!o.cfg.migration && !o.cfg.daemonize);
	bad(BASE "-o max_idle_threads=many", "max_idle_threads");
	bad(BASE "-o allow_root=1", "takes no value");
	good(BASE "--daemonize");
	ck_assert(o.cfg.daemonize);
	good(BASE "--daemonize -f");
	ck_assert(!o.cfg.daemonize);
	good(BASE "--migration-mode=find-paths --migration-on-error=guest-error");
	ck_assert(o.cfg.migration);
	good(BASE "--migration-mode=file-handles --migration-on-error=abort");
	good(BASE "--migration-verify-handles");
	ck_assert(o.cfg.migration);
	good(BASE "--migration-confirm-paths");
	ck_assert(o.cfg.migration);
	bad(BASE "--migration-mode=paths", "find-paths or file-handles");
	bad(BASE "--migration-on-error=ignore", "abort or guest-error");
}
END_TEST

START_TEST(log_levels)
{
	static const char *const names[] = { "off", "error", "warn", "info",
					     "debug", "trace" };
	char line[128];

	for (int i = 0; i < 6; i++) {
		snprintf(line, sizeof(line), BASE "--log-level=%s", names[i]);
		good(line);
		ck_assert_int_eq(o.cfg.log_level, i);
		snprintf(line, sizeof(line), BASE "-o loglevel=%s", names[i]);
		good(line);
		ck_assert_int_eq(o.cfg.log_level, i);
	}
	good(BASE "-o log_level=err");
	ck_assert_int_eq(o.cfg.log_level, LOG_LEVEL_ERR);
	good(BASE "-d");
	ck_assert_int_eq(o.cfg.log_level, LOG_LEVEL_DEBUG);
	good(BASE "-o debug");
	ck_assert_int_eq(o.cfg.log_level, LOG_LEVEL_DEBUG);
}
END_TEST

START_TEST(later_ones_win)
{
	good(BASE "--cache=never --shared-dir=/y -o cache=always -f");
	ck_assert_int_eq(o.cfg.cache, CACHE_ALWAYS);
	ck_assert_str_eq(o.cfg.shared_dir, "/y");
	good(BASE "-o cache=always,source=/z --cache=never");
	ck_assert_int_eq(o.cfg.cache, CACHE_NEVER);
	ck_assert_str_eq(o.cfg.shared_dir, "/z");
	good(BASE "-o readdirplus --no-readdirplus");
	ck_assert_int_eq(o.cfg.readdirplus, CHOICE_NO);
	good(BASE "-o no_readdirplus,readdirplus");
	ck_assert_int_eq(o.cfg.readdirplus, CHOICE_YES);
}
END_TEST

/* As libvirt writes them: a comma in a path is doubled. */
START_TEST(lists)
{
	good("--fd=3 -o source=/a,,b,cache=none,timeout=2.5");
	ck_assert_str_eq(o.cfg.shared_dir, "/a,b");
	ck_assert_int_eq(o.cfg.cache, CACHE_NEVER);
	timeouts_are(2.5, 2.5, 2.5);
	good("--fd=3 -o source=,,,,x,,");
	ck_assert_str_eq(o.cfg.shared_dir, ",,x,");
	good("--fd=3 -o source=/a=b");
	ck_assert_str_eq(o.cfg.shared_dir, "/a=b");
	good("--fd=3 -o source=/x,");
	ck_assert_str_eq(o.cfg.shared_dir, "/x");
}
END_TEST

/* Values of one list outlive the next ones, however it is written. */
START_TEST(lists_behind_lists)
{
	static const char *const first[] = {
		"source=/the/share", ",source=/the/share", "debug,source=/the/share",
		"source=/the/share,", "source=/the/share,debug",
		",,source=/the/share", "source=/other,source=/the/share",
	};
	char line[256];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(first); i++) {
		snprintf(line, sizeof(line),
			 "--fd=3 -o %s -o cache=none -o timeout=1 -o debug",
			 first[i]);
		log_init(LOG_LEVEL_OFF, false);
		r = parse(line);
		if (r == 0)
			ck_assert_msg(strcmp(o.cfg.shared_dir, "/the/share") == 0,
				      "%s: %s", line, o.cfg.shared_dir);
	}
}
END_TEST

/* Each on its own, all at once, in both spellings; the later one wins. */
START_TEST(timeouts)
{
	good(BASE "--entry-timeout=1 --attr-timeout 2.5 --negative-timeout=0");
	timeouts_are(1, 2.5, 0);
	good(BASE "-o entry_timeout=1,attr_timeout=2.5,negative_timeout=0");
	timeouts_are(1, 2.5, 0);
	good(BASE "--timeout=4");
	timeouts_are(4, 4, 4);
	good(BASE "--attr-timeout=9 -o timeout=4 --negative-timeout=0");
	timeouts_are(4, 4, 0);
	good(BASE "-o negative_timeout=7 --cache=never");
	timeouts_are(-1, -1, 7);
	good(BASE "--timeout=3 -o attr_timeout=1 --attr-timeout=2");
	timeouts_are(3, 2, 3);
	bad(BASE "--entry-timeout=", "--entry-timeout");
	bad(BASE "--attr-timeout=-0.1", "--attr-timeout");
	bad(BASE "--negative-timeout=never", "--negative-timeout");
	bad(BASE "--timeout=4294967296", "--timeout");
	bad(BASE "-o negative_timeout=1s", "negative_timeout");
	bad(BASE "-o attr_timeout", "wants a value");
	/* One that was refused has set none of the three. */
	timeouts_are(-1, -1, -1);
}
END_TEST

START_TEST(wrong_lists)
{
	bad("--fd=3 -o nonsense", "nonsense");
	bad("--fd=3 -o source=/x,nonsense=1", "nonsense");
	bad("--fd=3 -o source", "wants a value");
	bad("--fd=3 -o source=/x,debug=1", "takes no value");
	bad("--fd=3 -o source=", "path");
	bad("--fd=3 -o source=/x,cache=", "cache");
	bad("--fd=3 -o source=/x,timeout=x", "timeout");
	bad("--fd=3 -o source=/x,timeout=-1", "timeout");
	bad("--fd=3 -o source=/x,timeout=nan", "timeout");
	bad("--fd=3 -o source=/x,timeout=inf", "timeout");
	bad("--fd=3 -o source=/x,timeout=1e300", "timeout");
	bad("--fd=3 -o source=/x,timeout=1x", "timeout");
}
END_TEST

static void fill(char *line, int c, size_t n)
{
	size_t len = strlen(line);

	memset(line + len, c, n);
	line[len + n] = '\0';
}

START_TEST(a_list_that_is_too_long)
{
	static char line[80000];

	strcpy(line, "--fd=3 -o source=/");
	fill(line, 'x', 70000);
	bad(line, "bad value");
	/* Nor many of them. */
	strcpy(line, "--fd=3");
	for (int i = 0; i < 3; i++) {
		strcat(line, " -o source=/");
		fill(line, 'y', 25000);
	}
	bad(line, "bad value");
}
END_TEST

START_TEST(what_is_missing_or_too_much)
{
	bad("--socket-path=/s", "shared-dir");
	bad("--shared-dir=/x", "no socket");
	bad("--shared-dir=/x --fd=3 --socket-path=/s", "exclude");
	bad("--shared-dir=/x --fd=3 --socket-group=kvm", "socket-group");
	bad(BASE "stray", "stray");
	bad(BASE "--no-open", "needs --cache=always");
	bad(BASE "--no-open --cache=auto", "needs --cache=always");
	bad(BASE "--no-open --cache=always -o posix_lock", "excludes");
	bad(BASE "--cache=always -o flock --no-open", "excludes");
	good(BASE "--no-open --cache=always");
	ck_assert(o.cfg.no_open);
	good("--shared-dir=/x --socket-path=/s --socket-group=kvm");
	ck_assert_str_eq(o.cfg.socket_group, "kvm");
}
END_TEST

START_TEST(values_out_of_range)
{
	bad("--shared-dir=/x --fd=2", "fd");
	bad("--shared-dir=/x --fd=-1", "fd");
	bad("--shared-dir=/x --fd=99999999999", "fd");
	bad("--shared-dir=/x --fd=3x", "fd");
	bad("--shared-dir=/x --fd=", "fd");
	bad(BASE "--thread-pool-size=-1", "thread-pool-size");
	bad(BASE "--thread-pool-size=1000000", "thread-pool-size");
	bad(BASE "--rlimit-nofile=lots", "rlimit-nofile");
	bad(BASE "--cache=sometimes", "sometimes");
	bad(BASE "--log-level=loud", "loud");
	bad(BASE "--tag=", "tag");
	bad(BASE "--tag=1234567890123456789012345678901234567", "tag");
	good(BASE "--tag=123456789012345678901234567890123456");
	bad("--shared-dir= --socket-path=/s", "path");
}
END_TEST

START_TEST(socket_path_that_is_too_long)
{
	char line[300] = "--shared-dir=/x --socket-path=/";
	size_t head = strlen(line);

	fill(line, 's', 106);
	good(line);
	line[head] = '\0';
	fill(line, 's', 107);
	bad(line, "socket");
	bad("--shared-dir=/x --socket-path=", "socket");
}
END_TEST

START_TEST(questions)
{
	good("--help");
	ck_assert_int_eq(o.action, OPTIONS_HELP);
	good("-h");
	ck_assert_int_eq(o.action, OPTIONS_HELP);
	good("--version");
	ck_assert_int_eq(o.action, OPTIONS_VERSION);
	good("-V");
	ck_assert_int_eq(o.action, OPTIONS_VERSION);
	good("--print-capabilities");
	ck_assert_int_eq(o.action, OPTIONS_CAPABILITIES);
	/* Whatever else is given, right or wrong. */
	good("--nonsense=1 --fd=x --print-capabilities");
	ck_assert_int_eq(o.action, OPTIONS_CAPABILITIES);
	good("-o nonsense stray --print-capabilities");
	ck_assert_int_eq(o.action, OPTIONS_CAPABILITIES);
}
END_TEST

START_TEST(unknown_options)
{
	struct capture c;

	capture_begin(&c);
	ck_assert_int_eq(parse(BASE "--nonsense"), -EINVAL);
	ck_assert_int_eq(parse(BASE "-Z"), -EINVAL);
	ck_assert_int_eq(parse(BASE "--tag"), -EINVAL);
	ck_assert_int_eq(parse(BASE "--syslog=yes"), -EINVAL);
	ck_assert_uint_eq(capture_end(&c), 4);
}
END_TEST

/* Launchers' lines that must be taken as they are. */
START_TEST(lines_of_launchers)
{
	static const char *const lines[] = {
		"--fd=3 --shared-dir /srv --cache always --sandbox none --thread-pool-size=8 --rlimit-nofile=1000 --log-level debug",
		"--syslog --cache=auto --shared-dir=/run/share --fd=3 --thread-pool-size=1",
		"--socket-path=/s --shared-dir=/p --cache=never",
		"--socket-path /s --shared-dir /p --cache always",
		"--socket-path=/s --shared-dir=/p --tag=t",
		"--fd=3 -o source=/p,cache=none,sandbox=none -d",
		"-f --fd=3 -o source=/p",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		good(lines[i]);
}
END_TEST

static void to_file(void (*print)(void), char *text, size_t size)
{
	FILE *f = tmpfile();
	int saved = dup(STDOUT_FILENO);
	ssize_t n;

	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	print();
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	n = pread(fileno(f), text, size - 1, 0);
	ck_assert_int_gt(n, 0);
	text[n] = '\0';
	fclose(f);
}

START_TEST(help_and_capabilities)
{
	static char text[16384];

	to_file(options_print_help, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "--shared-dir=DIR"));
	ck_assert_ptr_nonnull(strstr(text, "--socket-path=PATH"));
	ck_assert_ptr_nonnull(strstr(text, "-h, --help"));
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		ck_assert_uint_lt(strlen(line), 200);
	to_file(options_print_capabilities, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "\"type\": \"fs\""));
	ck_assert_ptr_nonnull(strstr(text, "separate-options"));
}
END_TEST

START_TEST(sandbox_and_seccomp)
{
	good(BASE);
	ck_assert_int_eq(o.cfg.sandbox, SANDBOX_NAMESPACE);
	ck_assert_int_eq(o.cfg.seccomp, SECCOMP_KILL);
	good(BASE "--sandbox=none --sandbox=chroot --seccomp=none --seccomp=log");
	ck_assert_int_eq(o.cfg.sandbox, SANDBOX_CHROOT);
	ck_assert_int_eq(o.cfg.seccomp, SECCOMP_LOG);
	good(BASE "-o sandbox=chroot,sandbox=none --seccomp=trap");
	ck_assert_int_eq(o.cfg.sandbox, SANDBOX_NONE);
	ck_assert_int_eq(o.cfg.seccomp, SECCOMP_TRAP);
	bad(BASE "--sandbox=castle", "namespace, chroot or none is wanted");
	bad(BASE "--seccomp=allow", "none, kill, log or trap is wanted");
}
END_TEST

START_TEST(capabilities)
{
	good(BASE "--modcaps=+sys_admin:-CAP_MKNOD:+Sys_Nice:-sys_nice:");
	ck_assert_uint_eq(o.cfg.modcaps.add, 1ull << 21);
	ck_assert_uint_eq(o.cfg.modcaps.drop, 1ull << 27 | 1ull << 23);
	good(BASE "--modcaps=-chown -o modcaps=+kill");
	ck_assert_uint_eq(o.cfg.modcaps.add, 1ull << 5);
	ck_assert_uint_eq(o.cfg.modcaps.drop, 0);
	good(BASE "--modcaps=");
	bad(BASE "--modcaps=mknod", "with a sign");
	bad(BASE "--modcaps=+", "with a sign");
	bad(BASE "--modcaps=+everything", "with a sign");
	bad(BASE "--modcaps=-mknod,+chown", "with a sign");
	bad(BASE "--modcaps=+a_capability_with_a_name_of_many_letters", "with a sign");
}
END_TEST

START_TEST(id_maps)
{
	good(BASE "--uid-map=:0:1000:1: --uid-map /1/100000/65536/ --gid-map=,5,6,7,");
	ck_assert_uint_eq(o.cfg.uid_map.n, 2);
	ck_assert_uint_eq(o.cfg.uid_map.range[1].inside, 1);
	ck_assert_uint_eq(o.cfg.uid_map.range[1].outside, 100000);
	ck_assert_uint_eq(o.cfg.uid_map.range[1].count, 65536);
	ck_assert_uint_eq(o.cfg.gid_map.range[0].count, 7);
	good(BASE "--uid-map=:0:0:4294967295:");
	bad(BASE "--uid-map=0:1000:1", "is wanted");
	bad(BASE "--uid-map=:0:1000:1", "is wanted");
	bad(BASE "--uid-map=:0:1000:1:x", "is wanted");
	bad(BASE "--uid-map=:0:1000:0:", "is wanted");
	bad(BASE "--uid-map=:-1:1000:1:", "is wanted");
	bad(BASE "--uid-map=:0:4294967296:1:", "is wanted");
	bad(BASE "--uid-map=:1:0:4294967295:", "is wanted");
	bad(BASE "--uid-map=", "is wanted");
	bad(BASE "--uid-map=:0:1000:10: --uid-map=:9:2000:1:", "overlaps");
	bad(BASE "--gid-map=:0:1000:10: --gid-map=:20:1009:1:", "overlaps");
	bad(BASE "--sandbox=chroot --uid-map=:0:0:1:", "need --sandbox=namespace");
	bad(BASE "--sandbox=none --gid-map=:0:0:1:", "need --sandbox=namespace");
}
END_TEST

/* What a shell offers to complete is taken. */
START_TEST(words_that_are_offered)
{
	static const char *const rows[][2] = {
#define WORDS(name, words) { name, words },
#include "options.def"
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char words[128], *rest, *word;

		ck_assert_uint_lt(strlen(rows[i][1]), sizeof(words));
		strcpy(words, rows[i][1]);
		for (word = strtok_r(words, " ", &rest); word;
		     word = strtok_r(NULL, " ", &rest)) {
			char line[256];

			snprintf(line, sizeof(line),
				 "--shared-dir=/s --socket-path=/p --%s=%s",
				 rows[i][0], word);
			good(line);
		}
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("options");
	TCase *tc = unit_tcase(s, "command line", 10);

	tcase_add_checked_fixture(tc, NULL, teardown);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, values_in_both_spellings);
	tcase_add_test(tc, cache_modes);
	tcase_add_test(tc, what_others_take_is_taken);
	tcase_add_test(tc, log_levels);
	tcase_add_test(tc, later_ones_win);
	tcase_add_test(tc, lists);
	tcase_add_test(tc, lists_behind_lists);
	tcase_add_test(tc, timeouts);
	tcase_add_test(tc, wrong_lists);
	tcase_add_test(tc, a_list_that_is_too_long);
	tcase_add_test(tc, what_is_missing_or_too_much);
	tcase_add_test(tc, values_out_of_range);
	tcase_add_test(tc, socket_path_that_is_too_long);
	tcase_add_test(tc, questions);
	tcase_add_test(tc, unknown_options);
	tcase_add_test(tc, lines_of_launchers);
	tcase_add_test(tc, help_and_capabilities);
	tcase_add_test(tc, words_that_are_offered);
	tcase_add_test(tc, sandbox_and_seccomp);
	tcase_add_test(tc, capabilities);
	tcase_add_test(tc, id_maps);
	return unit_run(s);
}
