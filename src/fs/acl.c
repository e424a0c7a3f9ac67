/* SPDX-License-Identifier: BSD-3-Clause */
#include "fs/acl.h"

#include <endian.h>
#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <string.h>

#define NAME_ACCESS "system.posix_acl_access"
#define NAME_DEFAULT "system.posix_acl_default"

bool acl_is_name(const char *name)
{
	return strcmp(name, NAME_ACCESS) == 0 ||
	       strcmp(name, NAME_DEFAULT) == 0;
}

static bool is_acl(const char *value, size_t len)
{
	struct posix_acl_xattr_header h;

	if (len < sizeof(h) ||
	    (len - sizeof(h)) % sizeof(struct posix_acl_xattr_entry) != 0)
		return false;
	memcpy(&h, value, sizeof(h));
	return le32toh(h.a_version) == POSIX_ACL_XATTR_VERSION;
}

/* Which ids an entry has, or NULL if it has none. */
static const struct idmap *ids_of(const struct fs *fs,
				  const struct posix_acl_xattr_entry *e)
{
	switch (le16toh(e->e_tag)) {
	case ACL_USER:
		return &fs->uids;
	case ACL_GROUP:
		return &fs->gids;
	default:
		return NULL;
	}
}

int acl_to_host(const struct fs *fs, char *value, size_t len)
{
	struct posix_acl_xattr_entry e;

	if (!is_acl(value, len))
		return 0;
	for (size_t at = sizeof(struct posix_acl_xattr_header); at < len;
	     at += sizeof(e)) {
		const struct idmap *ids;
		uint32_t id;

		memcpy(&e, value + at, sizeof(e));
		ids = ids_of(fs, &e);
		if (!ids)
			continue;
		if (idmap_to_host(ids, le32toh(e.e_id), &id) < 0)
			return -EPERM;
		e.e_id = htole32(id);
		memcpy(value + at, &e, sizeof(e));
	}
	return 0;
}

void acl_to_guest(const struct fs *fs, char *value, size_t len)
{
	struct posix_acl_xattr_entry e;

	if (!is_acl(value, len))
		return;
	for (size_t at = sizeof(struct posix_acl_xattr_header); at < len;
	     at += sizeof(e)) {
		const struct idmap *ids;

		memcpy(&e, value + at, sizeof(e));
		ids = ids_of(fs, &e);
		if (!ids)
			continue;
		e.e_id = htole32(idmap_to_guest(ids, le32toh(e.e_id)));
		memcpy(value + at, &e, sizeof(e));
	}
}
