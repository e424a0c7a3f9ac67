/* SPDX-License-Identifier: BSD-3-Clause */
/* Rules of --translate-uid, one a line, and what they make of ids. */
#include <errno.h>
#include <string.h>

#include "base/idmap.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

/* The id that means "none" never comes out unless it went in. */
static void try_id(const struct idmap *m, uint32_t id)
{
	uint32_t host;

	if (idmap_to_host(m, id, &host) == 0)
		must(host != UINT32_MAX || id == UINT32_MAX);
	must(idmap_to_guest(m, id) != UINT32_MAX || id == UINT32_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *next = text, *line;
	struct idmap m = { 0 };

	while ((line = strsep(&next, "\n"))) {
		const char *what = NULL;
		int r = idmap_add(&m, line, &what);

		must(r == 0 || (r == -EINVAL && what));
	}
	for (uint32_t i = 0; i < 32; i++) {
		try_id(&m, 1U << i);
		try_id(&m, (1U << i) - 1);
	}
	for (size_t i = 0; i < m.guest.n; i++) {
		try_id(&m, m.guest.rule[i].from);
		try_id(&m, m.guest.rule[i].from + m.guest.rule[i].count - 1);
	}
	try_id(&m, 0);
	try_id(&m, UINT32_MAX - 1);
	try_id(&m, UINT32_MAX);
	idmap_free(&m);
	free(text);
	return 0;
}
