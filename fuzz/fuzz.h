/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the fuzz targets share. Each is one file with the two functions below; it is linked with
 * libFuzzer, or with replay.c, which feeds it files.
 */
#ifndef FUZZ_FUZZ_H
#define FUZZ_FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What must hold, whatever the input. */
#define must(expr)                                                             \
	do {                                                                   \
		if (!(expr))                                                   \
			fuzz_fail(__FILE__, __LINE__, #expr);                  \
	} while (0)
void fuzz_fail(const char *file, int line, const char *what)
	__attribute__((noreturn));

/* The input, read from its start; zeroes when it is at its end. */
struct input {
	const uint8_t *at;
	size_t left;
};
uint8_t input_u8(struct input *in);
uint16_t input_u16(struct input *in);
uint32_t input_u32(struct input *in);
/* At most @len bytes, as many as there are, and how many in *ret_len */
const uint8_t *input_bytes(struct input *in, size_t len, size_t *ret_len);

/* A copy with a NUL behind it, to be freed. */
char *fuzz_text(const uint8_t *data, size_t size);

/*
 * A scratch directory in memory with a small tree ("file", "dir/file", "link"),
 * and nothing else after each fuzz_tree_renew(). Made once, removed at exit.
 */
extern char fuzz_dir[];
void fuzz_tree_init(void);
void fuzz_tree_renew(void);
/* From here on no file can have more than 1 MiB, memory files included. */
void fuzz_limit_files(void);

#endif
