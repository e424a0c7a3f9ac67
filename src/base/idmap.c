/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/idmap.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

static const struct {
	const char *name;
	int numbers;
	bool from_guest, from_host;
	int how;
} kinds[] = {
	{ "guest", 3, true, false, IDMAP_SHIFT },
	{ "host", 3, false, true, IDMAP_SHIFT },
	{ "map", 3, true, true, IDMAP_SHIFT },
	{ "squash-guest", 3, true, false, IDMAP_SQUASH },
	{ "squash-host", 3, false, true, IDMAP_SQUASH },
	{ "forbid-guest", 2, true, false, IDMAP_FORBID },
};

static int wrong(const char **ret_what, const char *what)
{
	*ret_what = what;
	return -EINVAL;
}

static bool overlap(const struct idmap_rule *a, const struct idmap_rule *b)
{
	return a->from < (uint64_t)b->from + b->count &&
	       b->from < (uint64_t)a->from + a->count;
}

static int add(struct idmap_side *side, const struct idmap_rule *r,
	       const char **ret_what)
{
	struct idmap_rule *bigger;

	for (size_t i = 0; i < side->n; i++)
		if (overlap(&side->rule[i], r))
			return wrong(ret_what,
				     "these ids have been translated by an earlier option");
	bigger = reallocarray(side->rule, side->n + 1, sizeof(*bigger));
	if (!bigger)
		return -ENOMEM;
	side->rule = bigger;
	bigger[side->n++] = *r;
	return 0;
}

/* @n numbers, each after a colon, and nothing else. */
static bool parse_numbers(const char *at, int n, uint32_t *ret)
{
	for (int i = 0; i < n; i++) {
		unsigned long long v;
		char *end;

		if (*at++ != ':' || *at < '0' || *at > '9')
			return false;
		v = strtoull(at, &end, 10);
		if (v > UINT32_MAX)
			return false;
		ret[i] = (uint32_t)v;
		at = end;
	}
	return *at == '\0';
}

/* The last id, (uint32_t)-1, means "none" to every system call. */
static bool fits(uint32_t first, uint32_t count)
{
	return count > 0 && (uint64_t)first + count <= UINT32_MAX;
}

static int add_kind(struct idmap *m, int kind, const uint32_t n[3],
		    const char **ret_what)
{
	bool forbid = kinds[kind].how == IDMAP_FORBID;
	struct idmap_rule r = {
		.from = n[0],
		.to = forbid ? 0 : n[1],
		.count = forbid ? n[1] : n[2],
		.how = kinds[kind].how,
	};
	struct idmap_rule back = { r.to, r.from, r.count, r.how };
	int e = 0;

	if (!fits(r.from, r.count) ||
	    (!forbid && !fits(r.to, r.how == IDMAP_SHIFT ? r.count : 1)))
		return wrong(ret_what, "the range is empty or goes too far");
	if (kinds[kind].from_guest)
		e = add(&m->guest, &r, ret_what);
	else
		e = add(&m->host, &r, ret_what);
	if (e == 0 && kinds[kind].from_guest && kinds[kind].from_host)
		e = add(&m->host, &back, ret_what);
	return e;
}

int idmap_add(struct idmap *m, const char *text, const char **ret_what)
{
	size_t len = strcspn(text, ":");
	uint32_t n[3];

	for (int i = 0; i < (int)ARRAY_SIZE(kinds); i++) {
		if (strlen(kinds[i].name) != len ||
		    memcmp(kinds[i].name, text, len) != 0)
			continue;
		if (!parse_numbers(text + len, kinds[i].numbers, n))
			return wrong(ret_what,
				     kinds[i].numbers == 3 ?
					     "it takes three numbers: source, target, count" :
					     "it takes two numbers: source, count");
		return add_kind(m, i, n, ret_what);
	}
	return wrong(ret_what,
		     "guest, host, map, squash-guest, squash-host or forbid-guest is wanted");
}

void idmap_free(struct idmap *m)
{
	free(m->guest.rule);
	free(m->host.rule);
	memset(m, 0, sizeof(*m));
}

static const struct idmap_rule *find(const struct idmap_side *side, uint32_t id)
{
	for (size_t i = 0; i < side->n; i++)
		if (id - side->rule[i].from < side->rule[i].count &&
		    id >= side->rule[i].from)
			return &side->rule[i];
	return NULL;
}

static uint32_t translate(const struct idmap_rule *r, uint32_t id)
{
	return r->how == IDMAP_SQUASH ? r->to : r->to + (id - r->from);
}

int idmap_to_host(const struct idmap *m, uint32_t guest, uint32_t *ret)
{
	const struct idmap_rule *r = find(&m->guest, guest);

	if (r && r->how == IDMAP_FORBID)
		return -EPERM;
	*ret = r ? translate(r, guest) : guest;
	return 0;
}

uint32_t idmap_to_guest(const struct idmap *m, uint32_t host)
{
	const struct idmap_rule *r = find(&m->host, host);

	return r ? translate(r, host) : host;
}
