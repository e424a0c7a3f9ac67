/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each test is a suite of its own to libcheck, so that its line comes out when it ends, a skip
 * can say why, and the log of a failed test's daemon can follow.
 */
#include <dirent.h>
#include <limits.h>

#include "func.h"

static struct {
	const char *area;
	char dir[PATH_MAX];
	int argc;
	char **argv;
	int run, failed;
} self;

void func_init(const char *area, int argc, char **argv)
{
	const char *top = getenv("TMPDIR");

	self.area = area;
	self.argc = argc;
	self.argv = argv;
	snprintf(self.dir, sizeof(self.dir), "%s/vfsd-%s.XXXXXX", top ? top : "/tmp", area);
	if (!mkdtemp(self.dir)) {
		printf("Bail out! no directory %s: %m\n", self.dir);
		exit(1);
	}
	chmod(self.dir, 0755);
	setenv("VMM_TMPDIR", self.dir, 1);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("TAP version 13\n");
}

static bool chosen(const char *name)
{
	for (int i = 1; i < self.argc; i++)
		if (strstr(name, self.argv[i]))
			return true;
	return self.argc < 2;
}

static char *read_line(const char *path)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t n = 0;

	if (f) {
		if (getline(&line, &n, f) < 0) {
			free(line);
			line = NULL;
		}
		fclose(f);
	}
	return line;
}

static void print_indented(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512];
	int n = 0;

	while (f && fgets(line, sizeof(line), f) && n++ < 200)
		printf("#   %.400s%s", line, strchr(line, '\n') ? "" : "\n");
	if (f)
		fclose(f);
}

/* A test that failed left its daemon's directory: show the log, then remove it. */
static void clean_up(bool show)
{
	DIR *dir = opendir(self.dir);
	char path[PATH_MAX + 300];

	for (struct dirent *e; dir && (e = readdir(dir));) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/log", self.dir, e->d_name);
		if (show && access(path, R_OK) == 0) {
			printf("# log of the daemon:\n");
			print_indented(path);
		}
		snprintf(path, sizeof(path), "%s/%s", self.dir, e->d_name);
		daemon_remove_tree(path);
	}
	if (dir)
		closedir(dir);
}

static void report(const char *name, TestResult *tr, double seconds)
{
	char path[PATH_MAX + 32];
	bool passed = tr_rtype(tr) == CK_PASS;

	snprintf(path, sizeof(path), "%s/skip", self.dir);

	char *skip = passed ? read_line(path) : NULL;

	printf("%s %d - %s: %s%s%s\n", passed ? "ok" : "not ok", self.run, self.area, name,
	       skip ? " # SKIP " : "", skip ? skip : "");
	if (!passed) {
		printf("# %s:%d: %s (after %.1f s)\n", tr_lfile(tr), tr_lno(tr), tr_msg(tr),
		       seconds);
		self.failed++;
	}
	clean_up(!passed);
	free(skip);
}

void func_run(const char *name, const TTest *test, int timeout_s)
{
	if (!chosen(name))
		return;

	Suite *s = suite_create(self.area);
	TCase *tc = tcase_create(name);

	tcase_set_timeout(tc, wait_scaled(timeout_s * 1000) / 1000.0);
	tcase_add_test(tc, test);
	suite_add_tcase(s, tc);

	SRunner *sr = srunner_create(s);
	int64_t start = wait_now_ms();

	srunner_set_fork_status(sr, CK_FORK);
	fflush(stdout);
	srunner_run_all(sr, CK_SILENT);

	TestResult **results = srunner_results(sr);

	self.run++;
	report(name, results[0], (wait_now_ms() - start) / 1e3);
	free(results);
	srunner_free(sr);
}

int func_done(void)
{
	printf("1..%d\n", self.run);
	daemon_remove_tree(self.dir);
	return self.failed ? 1 : 0;
}

void func_skip(const char *reason)
{
	char path[PATH_MAX + 32];

	snprintf(path, sizeof(path), "%s/skip", self.dir);

	FILE *f = fopen(path, "we");

	if (f) {
		fputs(reason, f);
		fclose(f);
	}
	_exit(0);
}

/* In a user namespace, root may have few ids, and never has all rights. */
static bool has_all_ids(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned int inside, outside, count;
	bool all;

	if (!f)
		return true;
	all = fscanf(f, "%u %u %u", &inside, &outside, &count) == 3 && count == UINT32_MAX;
	fclose(f);
	return all;
}

bool func_is_root(void)
{
	return geteuid() == 0 && has_all_ids();
}

void func_need_root(void)
{
	if (!func_is_root())
		func_skip("needs root");
}

/* For this test, which has a process of its own */
static void add_options(const char *option, const char *value)
{
	const char *options = getenv("VIRTIOFSD_OPTIONS");
	char more[512];

	snprintf(more, sizeof(more), "%s %s%s", options ? options : "", option, value);
	setenv("VIRTIOFSD_OPTIONS", more, 1);
}

void func_need_cap(const char *name)
{
	func_need_root();
	add_options("--modcaps=+", name);
}

void func_need_ids(void)
{
	if (!has_all_ids())
		func_skip("needs all ids");
	if (geteuid() != 0)
		add_options("--sandbox=", "none");
}

bool func_sanitized(void)
{
	return getenv("VMM_SANITIZED") != NULL;
}
