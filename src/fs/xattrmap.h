/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The xattr map: under which names the guest's extended attributes lie on the
 * host (option xattrmap=).
 *
 * A map is a list of rules, tried in order:
 *
 *	:TYPE:SCOPE:KEY:PREPEND:
 *	:map:KEY:PREFIX:		the last one, short for a whole list
 *
 * with any character as the separator, the first one of each rule, and white
 * space between rules. SCOPE is client (names that the guest sends), server
 * (names that the host lists) or all.
 *
 *	TYPE		client: KEY begins the name	server: PREPEND begins it
 *	prefix		PREPEND goes in front		PREPEND is taken off
 *	ok		stays as it is			stays as it is
 *	bad		refused				hidden
 *	unsupported	not supported			hidden
 *
 * What no rule fits is refused, or hidden.
 */
#ifndef FS_XATTRMAP_H
#define FS_XATTRMAP_H

#include <linux/limits.h>
#include <stdbool.h>
#include <stddef.h>

struct xattr_rule;

struct xattrmap {
	struct xattr_rule *rule; /* NULL: no map, every name is good as it is */
	size_t n_rules;
	char *text; /* the rules' strings */
};

/* What is wrong with a map, and where. */
struct xattrmap_error {
	const char *what;
	size_t at; /* byte of the text, from 0 */
};

/* Parses @text. 0, -ENOMEM, or -EINVAL with *ret_error filled. */
int xattrmap_parse(const char *text, struct xattrmap *ret,
		   struct xattrmap_error *ret_error);
void xattrmap_free(struct xattrmap *m);

/* True if some rule fits every name, in both directions. */
bool xattrmap_has_catch_all(const struct xattrmap *m);

/*
 * The host's name for the guest's @name: *ret_name is @name itself or lies in
 * @buf (XATTR_NAME_MAX + 1 bytes). -EPERM if it is refused, -EOPNOTSUPP, or
 * -ERANGE if it gets too long.
 */
int xattrmap_client(const struct xattrmap *m, const char *name, char *buf,
		    const char **ret_name);

/* The guest's name for the host's @name, within it; NULL if it is hidden. */
const char *xattrmap_server(const struct xattrmap *m, const char *name);

#endif
