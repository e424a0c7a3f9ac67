/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Without libFuzzer: feeds a target the files that it is given, and those in
 * directories. TAP, one line a directory or file.
 */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fuzz.h"

#define INPUT_MAX (1 << 20)

static unsigned int feed(const char *path)
{
	static uint8_t buf[INPUT_MAX];
	FILE *f = fopen(path, "re");
	uint8_t *copy;
	size_t n;

	if (!f)
		return 0;
	n = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	/* Of just this size, so that a sanitizer sees its end. */
	copy = malloc(n ? n : 1);
	must(copy);
	memcpy(copy, buf, n);
	LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	return 1;
}

static unsigned int feed_all(const char *path)
{
	DIR *dir = opendir(path);
	char name[PATH_MAX];
	unsigned int n = 0;

	if (!dir)
		return feed(path);
	for (struct dirent *e; (e = readdir(dir));) {
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (e->d_name[0] != '.')
			n += feed(name);
	}
	closedir(dir);
	return n;
}

int main(int argc, char **argv)
{
	static const uint8_t nothing[1];
	int bad = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	/* A target may change its working directory. */
	for (int i = 1; i < argc; i++)
		argv[i] = realpath(argv[i], NULL) ?: argv[i];
	LLVMFuzzerInitialize(&argc, &argv);
	LLVMFuzzerTestOneInput(nothing, 0);
	printf("1..%d\n", argc - 1);
	for (int i = 1; i < argc; i++) {
		unsigned int n = feed_all(argv[i]);

		printf("%s %d - %s: %u inputs\n", n ? "ok" : "not ok", i, argv[i], n);
		bad |= !n;
	}
	return bad;
}
