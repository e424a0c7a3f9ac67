/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/xattrmap.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/scope.h"

enum type { TYPE_PREFIX, TYPE_OK, TYPE_BAD, TYPE_UNSUPPORTED };
enum scope { SCOPE_CLIENT = 1, SCOPE_SERVER = 2, SCOPE_ALL = 3 };

struct xattr_rule {
	enum type type;
	enum scope scope;
	const char *key;
	const char *prepend;
};

struct parser {
	struct xattrmap *map;
	char *at; /* in the map's own copy of the text */
	char separator;
	struct xattrmap_error *error;
};

static const struct {
	const char *name;
	int value;
} types[] = {
	{ "prefix", TYPE_PREFIX },
	{ "ok", TYPE_OK },
	{ "bad", TYPE_BAD },
	{ "unsupported", TYPE_UNSUPPORTED },
}, scopes[] = {
	{ "client", SCOPE_CLIENT },
	{ "server", SCOPE_SERVER },
	{ "all", SCOPE_ALL },
};

static int wrong(struct parser *p, const char *at, const char *what)
{
	p->error->what = what;
	p->error->at = (size_t)(at - p->map->text);
	return -EINVAL;
}

/* The next field, up to the separator, which is made its end. */
static int field(struct parser *p, char **ret)
{
	char *end = strchr(p->at, p->separator);

	if (!end)
		return wrong(p, p->at, "a separator is missing after this field");
	*end = '\0';
	*ret = p->at;
	p->at = end + 1;
	return 0;
}

static int add(struct parser *p, enum type type, enum scope scope,
	       const char *key, const char *prepend)
{
	struct xattrmap *m = p->map;
	struct xattr_rule *bigger = reallocarray(m->rule, m->n_rules + 1,
						 sizeof(*bigger));

	if (!bigger)
		return -ENOMEM;
	m->rule = bigger;
	bigger[m->n_rules++] = (struct xattr_rule){ type, scope, key, prepend };
	return 0;
}

/* ":map:KEY:PREFIX:" is short for these. */
static int add_map(struct parser *p, const char *key, const char *prefix)
{
	int r = add(p, TYPE_PREFIX, SCOPE_ALL, key, prefix);

	if (r == 0 && !*key)
		return add(p, TYPE_BAD, SCOPE_ALL, "", "");
	/* What the host has under the key is not the guest's ... */
	if (r == 0)
		r = add(p, TYPE_BAD, SCOPE_SERVER, "", key);
	/* ... and the guest has no other way to what the prefix makes. */
	if (r == 0)
		r = add(p, TYPE_BAD, SCOPE_CLIENT, prefix, "");
	return r == 0 ? add(p, TYPE_OK, SCOPE_ALL, "", "") : r;
}

static void skip_space(struct parser *p)
{
	while (isspace((unsigned char)*p->at))
		p->at++;
}

static int parse_map(struct parser *p)
{
	char *key, *prefix;
	int r = field(p, &key);

	if (r == 0)
		r = field(p, &prefix);
	if (r == 0 && !*prefix)
		r = wrong(p, prefix, "a map needs a prefix");
	if (r == 0)
		r = add_map(p, key, prefix);
	if (r < 0)
		return r;
	skip_space(p);
	return *p->at ? wrong(p, p->at, "nothing may follow a map rule") : 0;
}

static int parse_plain(struct parser *p, int type)
{
	char *scope_at, *key, *prepend;
	int scope = 0;
	int r = field(p, &scope_at);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(scopes); i++)
		if (strcmp(scope_at, scopes[i].name) == 0)
			scope = scopes[i].value;
	if (!scope)
		return wrong(p, scope_at,
			     "the scope must be client, server or all");
	r = field(p, &key);
	if (r == 0)
		r = field(p, &prepend);
	return r < 0 ? r : add(p, (enum type)type, (enum scope)scope, key,
			       prepend);
}

static int parse_rule(struct parser *p)
{
	char *type;
	int r;

	p->separator = *p->at++;
	r = field(p, &type);
	if (r < 0)
		return r;
	if (strcmp(type, "map") == 0)
		return parse_map(p);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (strcmp(type, types[i].name) == 0)
			return parse_plain(p, types[i].value);
	return wrong(p, type,
		     "the type must be prefix, ok, bad, unsupported or map");
}

int xattrmap_parse(const char *text, struct xattrmap *ret,
		   struct xattrmap_error *ret_error)
{
	struct xattrmap m = { .text = strdup(text) };
	struct parser p = { .map = &m, .at = m.text, .error = ret_error };
	int r = m.text ? 0 : -ENOMEM;

	while (r == 0) {
		skip_space(&p);
		if (!*p.at)
			break;
		r = parse_rule(&p);
	}
	if (r == 0 && m.n_rules == 0)
		r = wrong(&p, p.at, "there is no rule");
	if (r < 0) {
		xattrmap_free(&m);
		return r;
	}
	*ret = m;
	return 0;
}

void xattrmap_free(struct xattrmap *m)
{
	free(m->rule);
	free(m->text);
	memset(m, 0, sizeof(*m));
}

bool xattrmap_has_catch_all(const struct xattrmap *m)
{
	int open = SCOPE_ALL;

	for (size_t i = 0; i < m->n_rules; i++) {
		const struct xattr_rule *r = &m->rule[i];

		if (!*r->key)
			open &= ~(r->scope & SCOPE_CLIENT);
		if (!*r->prepend)
			open &= ~(r->scope & SCOPE_SERVER);
	}
	return open == 0;
}

static bool begins(const char *name, const char *with)
{
	return strncmp(name, with, strlen(with)) == 0;
}

static int prepend(const char *prefix, const char *name, char *buf)
{
	size_t a = strlen(prefix), b = strlen(name);

	if (a + b > XATTR_NAME_MAX)
		return -ERANGE;
	memcpy(buf, prefix, a);
	memcpy(buf + a, name, b + 1);
	return 0;
}

int xattrmap_client(const struct xattrmap *m, const char *name, char *buf,
		    const char **ret_name)
{
	*ret_name = name;
	if (!m->rule)
		return 0;
	for (size_t i = 0; i < m->n_rules; i++) {
		const struct xattr_rule *r = &m->rule[i];

		if (!(r->scope & SCOPE_CLIENT) || !begins(name, r->key))
			continue;
		switch (r->type) {
		case TYPE_OK:
			return 0;
		case TYPE_PREFIX:
			*ret_name = buf;
			return prepend(r->prepend, name, buf);
		case TYPE_UNSUPPORTED:
			return -EOPNOTSUPP;
		case TYPE_BAD:
			return -EPERM;
		}
	}
	return -EPERM;
}

const char *xattrmap_server(const struct xattrmap *m, const char *name)
{
	if (!m->rule)
		return name;
	for (size_t i = 0; i < m->n_rules; i++) {
		const struct xattr_rule *r = &m->rule[i];

		if (!(r->scope & SCOPE_SERVER) || !begins(name, r->prepend))
			continue;
		if (r->type == TYPE_OK)
			return name;
		if (r->type == TYPE_PREFIX)
			return name + strlen(r->prepend);
		return NULL;
	}
	return NULL;
}
