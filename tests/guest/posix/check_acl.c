/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * POSIX ACLs, as the raw attributes that they are kept in. In texts: u:: u:1000: g:: g:77:
 * m:: o:: with r, w and x as a digit.
 */
#include <endian.h>
#include <stdint.h>
#include <sys/xattr.h>

#include "posix.h"

#define ACCESS "system.posix_acl_access"
#define DEFAULT "system.posix_acl_default"

struct entry {
	uint16_t tag, perm;
	uint32_t id;
};

struct acl {
	uint32_t version;
	struct entry e[16];
};

/* "u7 u1000=5 g5 g77=4 m7 o0" */
static size_t parse(const char *text, struct acl *ret)
{
	size_t n = 0;
	char kind;
	unsigned int id, perm;
	int used;

	ret->version = htole32(2);
	for (; *text; text += used) {
		bool named = sscanf(text, " %c%u=%u%n", &kind, &id, &perm, &used) == 3;

		if (!named && sscanf(text, " %c%1u%n", &kind, &perm, &used) != 2)
			break;
		ret->e[n].tag = htole16(kind == 'u' ? (named ? 2 : 1) : kind == 'g' ? (named ? 8 : 4) :
					kind == 'm' ? 16 : 32);
		ret->e[n].perm = htole16((uint16_t)perm);
		ret->e[n].id = htole32(named ? id : UINT32_MAX);
		n++;
	}
	return 4 + n * sizeof(struct entry);
}

static int set(const char *path, const char *name, const char *text)
{
	struct acl a;
	size_t n = parse(text, &a);

	return setxattr(path, name, &a, n, 0);
}

static const char *acl(const char *path, const char *name)
{
	static char buf[300];
	struct acl a;
	ssize_t n = getxattr(path, name, &a, sizeof(a));
	int len = 0;

	if (n < 0) {
		snprintf(buf, sizeof(buf), "(%s)", strerrorname_np(errno));
		return buf;
	}
	buf[0] = 0;
	for (size_t i = 0; i < ((size_t)n - 4) / sizeof(struct entry); i++) {
		unsigned int tag = le16toh(a.e[i].tag);
		char c = tag <= 2 ? 'u' : tag <= 8 ? 'g' : tag == 16 ? 'm' : 'o';

		len += tag == 2 || tag == 8 ?
			snprintf(buf + len, sizeof(buf) - (size_t)len, "%s%c%u=%u", i ? " " : "", c,
				 le32toh(a.e[i].id), le16toh(a.e[i].perm)) :
			snprintf(buf + len, sizeof(buf) - (size_t)len, "%s%c%u", i ? " " : "", c,
				 le16toh(a.e[i].perm));
	}
	return buf;
}

CHECK(acl_none)
{
	put("f", "");
	dir("d", 0755);
	TEXT_IS(acl("f", ACCESS), "(ENODATA)");
	TEXT_IS(acl("d", DEFAULT), "(ENODATA)");
	TRY(set("f", DEFAULT, "u7 g5 o5"));
	TRY(removexattr("f", ACCESS));
	TRY(removexattr("d", DEFAULT));
}

CHECK(acl_minimal_is_the_mode)
{
	put("f", "");
	OK(set("f", ACCESS, "u7 g5 o1"));
	IS(mode("f"), 0751);
	TEXT_IS(acl("f", ACCESS), "(ENODATA)");
}

CHECK(acl_set_and_got)
{
	put("f", "");
	OK(set("f", ACCESS, "u6 u1000=7 g4 g77=5 m7 o0"));
	TEXT_IS(acl("f", ACCESS), "u6 u1000=7 g4 g77=5 m7 o0");
	IS(mode("f"), 0670);
	OK(chmod("f", 0640));
	TEXT_IS(acl("f", ACCESS), "u6 u1000=7 g4 g77=5 m4 o0");
	OK(chmod("f", 0711));
	TEXT_IS(acl("f", ACCESS), "u7 u1000=7 g4 g77=5 m1 o1");
	OK(set("f", ACCESS, "u7 u5=1 g1 m1 o1"));
	TEXT_IS(acl("f", ACCESS), "u7 u5=1 g1 m1 o1");
	OK(removexattr("f", ACCESS));
	TEXT_IS(acl("f", ACCESS), "(ENODATA)");
	GIVES(mode("f"));
}

CHECK(acl_bad_values)
{
	put("f", "");
	dir("d", 0755);
	NO(set("f", ACCESS, "u7 g5"), EINVAL);
	NO(set("f", ACCESS, "u7 u1000=7 g5 o5"), EINVAL);
	NO(set("f", ACCESS, "g5 u7 o5"), EINVAL);
	NO(set("f", ACCESS, "u7 u7 g5 o5"), EINVAL);
	NO(set("f", ACCESS, "u9 g5 o5"), EINVAL);
	NO(setxattr("f", ACCESS, "xyz", 3, 0), EINVAL);
	NO(setxattr("f", ACCESS, "\1\0\0\0", 4, 0), EOPNOTSUPP);
	TRY(setxattr("f", ACCESS, "\2\0\0\0", 4, 0));
	TRY(setxattr("f", ACCESS, NULL, 0, 0));
	NO(set("d", DEFAULT, "u7 g5"), EINVAL);
	NO(set("f", DEFAULT, "u7 g5 o5"), EACCES);
	IS(mode("f"), 0644);
}

CHECK(acl_gives_rights)
{
	put_mode("f", "text", 0600);
	OK(set("f", ACCESS, "u6 u1000=6 u1001=4 g0 m7 o0"));
	AS(USER, USER) {
		OK(open("f", O_RDWR));
		OK(access("f", R_OK | W_OK));
		NO(access("f", X_OK), EACCES);
	}
	AS(OTHER, OTHER) {
		OK(open("f", O_RDONLY));
		NO(open("f", O_RDWR), EACCES);
	}
	AS(1002, 1002)
		NO(open("f", O_RDONLY), EACCES);
}

CHECK(acl_takes_rights)
{
	put_mode("f", "text", 0666);
	OK(set("f", ACCESS, "u6 u1000=0 g6 g77=0 m6 o6"));
	AS(USER, USER)
		NO(open("f", O_RDONLY), EACCES);
	AS(OTHER, 77)
		NO(open("f", O_RDONLY), EACCES);
	AS_GROUPS(OTHER, OTHER, 77)
		NO(open("f", O_RDONLY), EACCES);
	AS(OTHER, OTHER)
		OK(open("f", O_RDWR));
}

CHECK(acl_mask_limits)
{
	put_mode("f", "text", 0600);
	OK(set("f", ACCESS, "u6 u1000=7 g7 g77=7 m4 o0"));
	AS(USER, USER) {
		OK(open("f", O_RDONLY));
		NO(open("f", O_WRONLY), EACCES);
	}
	AS(OTHER, 77)
		NO(open("f", O_WRONLY), EACCES);
	OK(chmod("f", 0660));
	AS(USER, USER)
		OK(open("f", O_WRONLY));
	OK(chmod("f", 0600));
	AS(USER, USER)
		NO(open("f", O_RDONLY), EACCES);
}

CHECK(acl_of_groups)
{
	put_mode("f", "text", 0600);
	OK(chown("f", 0, 5));
	OK(set("f", ACCESS, "u6 g0 g77=6 g78=4 m6 o0"));
	AS_GROUPS(USER, 5, 77)
		OK(open("f", O_RDWR));
	AS_GROUPS(USER, 5, 78) {
		OK(open("f", O_RDONLY));
		NO(open("f", O_RDWR), EACCES);
	}
	AS(USER, 5)
		NO(open("f", O_RDONLY), EACCES);
}

CHECK(acl_on_directory)
{
	dir("d", 0700);
	put("d/f", "text");
	OK(set("d", ACCESS, "u7 u1000=7 u1001=1 g0 m7 o0"));
	AS(USER, USER) {
		TEXT_IS(listing("d"), "f");
		OK(close(open("d/g", O_CREAT | O_WRONLY, 0600)));
		OK(unlink("d/f"));
	}
	AS(OTHER, OTHER) {
		TEXT_IS(listing("d"), "(EACCES)");
		OK(access("d/g", F_OK));
		NO(unlink("d/g"), EACCES);
	}
	TEXT_IS(acl("d/g", ACCESS), "(ENODATA)");
}

CHECK(acl_by_whom)
{
	put("f", "");
	put("g", "");
	OK(chown("f", USER, USER));
	AS(USER, USER) {
		OK(set("f", ACCESS, "u6 u1001=4 g4 m4 o4"));
		NO(set("g", ACCESS, "u6 u1001=4 g4 m4 o4"), EPERM);
		OK(removexattr("f", ACCESS));
		NO(removexattr("g", ACCESS), EPERM);
		TEXT_IS(acl("g", ACCESS), "(ENODATA)");
	}
}

/* Whoever is not of the group loses the set-group-id bit with it. */
CHECK(acl_set_clears_setgid)
{
	put("f", "");
	OK(chown("f", USER, 77));
	OK(chmod("f", 02755));
	AS_GROUPS(USER, USER, 77)
		OK(set("f", ACCESS, "u7 u1001=5 g5 m5 o5"));
	GIVES(mode("f"));
	OK(chmod("f", 02755));
	AS(USER, USER)
		OK(set("f", ACCESS, "u7 u1001=4 g5 m5 o5"));
	GIVES(mode("f"));
	OK(chmod("f", 02755));
	OK(set("f", ACCESS, "u7 u1001=6 g5 m7 o5"));
	GIVES(mode("f"));
}

static const char *const umasks[] = { "0", "22", "77", "777" };

CHECK_EACH(acl_default_inherited, umasks)
{
	dir("d", 0777);
	OK(set("d", DEFAULT, "u7 u1000=6 g5 g77=7 m7 o1"));
	TEXT_IS(acl("d", DEFAULT), "u7 u1000=6 g5 g77=7 m7 o1");
	IS(mode("d"), 0777);
	umask((mode_t)strtol(umasks[nr], NULL, 8));
	OK(close(open("d/f", O_CREAT | O_WRONLY, 0666)));
	TEXT_IS(acl("d/f", ACCESS), "u6 u1000=6 g5 g77=7 m6 o0");
	IS(mode("d/f"), 0660);
	OK(close(open("d/g", O_CREAT | O_WRONLY, 0700)));
	TEXT(acl("d/g", ACCESS));
	GIVES(mode("d/g"));
	OK(mkdir("d/d", 0777));
	TEXT(acl("d/d", ACCESS));
	TEXT_IS(acl("d/d", DEFAULT), "u7 u1000=6 g5 g77=7 m7 o1");
	IS(mode("d/d"), 0771);
	OK(mkdir("d/d/e", 0700));
	TEXT(acl("d/d/e", ACCESS));
	OK(mkfifo("d/p", 0666));
	TEXT(acl("d/p", ACCESS));
	GIVES(mode("d/p"));
	OK(symlink("x", "d/s"));
	IS(mode("d/s"), 0777);
	OK(mknod("d/n", S_IFREG | 0640, 0));
	TEXT(acl("d/n", ACCESS));
	GIVES(mode("d/n"));
}

CHECK_EACH(acl_default_without_names, umasks)
{
	dir("d", 0777);
	OK(set("d", DEFAULT, "u6 g4 o2"));
	umask((mode_t)strtol(umasks[nr], NULL, 8));
	OK(close(open("d/f", O_CREAT | O_WRONLY, 0777)));
	IS(mode("d/f"), 0642);
	TEXT_IS(acl("d/f", ACCESS), "(ENODATA)");
	OK(mkdir("d/d", 0777));
	IS(mode("d/d"), 0642);
	TEXT_IS(acl("d/d", DEFAULT), "u6 g4 o2");
}

CHECK(acl_default_for_user)
{
	dir("d", 0777);
	OK(set("d", DEFAULT, "u7 u1001=6 g5 m7 o0"));
	AS(USER, USER) {
		umask(077);
		OK(close(open("d/f", O_CREAT | O_WRONLY, 0666)));
		OK(mkdir("d/d", 0777));
	}
	TEXT_IS(acl("d/f", ACCESS), "u6 u1001=6 g5 m6 o0");
	TEXT(acl("d/d", ACCESS));
	IS(uid("d/f"), USER);
	AS(OTHER, OTHER) {
		OK(open("d/f", O_RDWR));
		TRY(access("d/d", X_OK));
	}
}

CHECK(acl_default_and_tmpfile)
{
	int fd;

	dir("d", 0777);
	OK(set("d", DEFAULT, "u7 u1000=6 g5 m7 o0"));
	umask(022);
	NEED(fd = open("d", O_TMPFILE | O_RDWR, 0666));
	GIVES(fd_mode(fd));
	OK(linkat(fd, "", AT_FDCWD, "d/f", AT_EMPTY_PATH));
	TEXT(acl("d/f", ACCESS));
}

CHECK(acl_default_removed)
{
	dir("d", 0755);
	OK(set("d", DEFAULT, "u7 u1000=6 g5 m7 o0"));
	OK(removexattr("d", DEFAULT));
	TEXT_IS(acl("d", DEFAULT), "(ENODATA)");
	OK(close(open("d/f", O_CREAT | O_WRONLY, 0666)));
	IS(mode("d/f"), 0644);
	OK(set("d", DEFAULT, "u7 u1000=6 g5 m7 o0"));
	TRY(setxattr("d", DEFAULT, "\2\0\0\0", 4, 0));
	TEXT(acl("d", DEFAULT));
}

CHECK(acl_kept_and_moved)
{
	dir("d", 0755);
	put("f", "");
	OK(set("d", DEFAULT, "u7 u1000=6 g5 m7 o0"));
	OK(set("f", ACCESS, "u6 u1001=4 g4 m4 o0"));
	OK(rename("f", "d/f"));
	TEXT_IS(acl("d/f", ACCESS), "u6 u1001=4 g4 m4 o0");
	OK(link("d/f", "l"));
	TEXT_IS(acl("l", ACCESS), "u6 u1001=4 g4 m4 o0");
	OK(chown("l", 5, 5));
	TEXT_IS(acl("l", ACCESS), "u6 u1001=4 g4 m4 o0");
	OK(truncate("l", 10));
	TEXT_IS(acl("d/f", ACCESS), "u6 u1001=4 g4 m4 o0");
}

CHECK(acl_listed)
{
	char names[200];
	ssize_t n, at = 0;

	dir("d", 0755);
	OK(set("d", ACCESS, "u7 u1000=6 g5 m7 o0"));
	OK(set("d", DEFAULT, "u7 u1000=6 g5 m7 o0"));
	n = listxattr("d", names, sizeof(names));
	while (at < n) {
		ASK(strncmp(names + at, "system.", 7) == 0);
		at += (ssize_t)strlen(names + at) + 1;
	}
}

CHECK(acl_many_entries)
{
	struct acl *a = calloc(1, 4 + 400 * sizeof(struct entry));
	size_t n = 0;

	put("f", "");
	a->version = htole32(2);
	for (int i = 0; i < 300; i++) {
		unsigned int tag = i == 0 ? 1 : i < 297 ? 2 : i == 297 ? 4 : i == 298 ? 16 : 32;

		((struct entry *)((char *)a + 4))[n++] = (struct entry){
			htole16((uint16_t)tag), htole16(4), htole32(tag == 2 ? 1000u + (unsigned)i : ~0u) };
	}
	NEED(setxattr("f", ACCESS, a, 4 + n * sizeof(struct entry), 0));
	GIVES(getxattr("f", ACCESS, NULL, 0));
	AS(1200, 1200) {
		OK(open("f", O_RDONLY));
		NO(open("f", O_WRONLY), EACCES);
	}
}

CHECK(acl_on_links_and_others)
{
	put("f", "");
	symlink("f", "s");
	mkfifo("p", 0600);
	OK(set("s", ACCESS, "u6 u1000=4 g4 m4 o0"));
	TEXT_IS(acl("f", ACCESS), "u6 u1000=4 g4 m4 o0");
	TRY(lsetxattr("s", ACCESS, "\2\0\0\0", 4, 0));
	TRY(lgetxattr("s", ACCESS, NULL, 0));
	OK(set("p", ACCESS, "u6 u1000=4 g4 m4 o0"));
	TEXT_IS(acl("p", ACCESS), "u6 u1000=4 g4 m4 o0");
}
