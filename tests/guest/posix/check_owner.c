/* SPDX-License-Identifier: BSD-3-Clause */
/* Owners, who may change them, and what falls with a change. */
#include "posix.h"

static const char *const ids[] = { "0", "1", "1000", "65533", "65534", "65535", "65536", "70000",
				   "4294967293", "4294967294" };

CHECK_EACH(owner_set, ids)
{
	uid_t id = (uid_t)strtoul(ids[nr], NULL, 10);

	put("f", "");
	dir("d", 0755);
	symlink("f", "s");
	OK(chown("f", id, 7));
	IS(uid("f"), (long)id);
	IS(gid("f"), 7);
	OK(chown("f", 8, id));
	IS(gid("f"), (long)id);
	IS(uid("f"), 8);
	OK(lchown("s", id, id));
	IS(uid("s"), (long)id);
	IS(uid("f"), 8);
	OK(chown("d", id, id));
	IS(uid("d"), (long)id);
}

CHECK(owner_left_alone)
{
	struct times t;

	put("f", "");
	OK(chown("f", 5, 6));
	OK(chown("f", -1, 7));
	IS(uid("f"), 5);
	IS(gid("f"), 7);
	OK(chown("f", 8, -1));
	IS(uid("f"), 8);
	IS(gid("f"), 7);
	t = times("f");
	tick();
	OK(chown("f", 9, 9));
	TEXT_IS(moved(&t, "f"), "ctime");
	t = times("f");
	tick();
	OK(chown("f", -1, -1));
	TEXT(moved(&t, "f"));
	IS(uid("f"), 9);
}

CHECK(owner_by_link_and_descriptor)
{
	int fd, path;

	put("f", "");
	symlink("f", "s");
	OK(chown("s", 3, 4));
	IS(uid("f"), 3);
	IS(uid("s"), 0);
	fd = opened("f", O_RDONLY);
	path = opened("f", O_PATH);
	OK(fchown(fd, 11, 12));
	IS(uid("f"), 11);
	NO(fchown(path, 1, 1), EBADF);
	OK(fchownat(path, "", 13, 14, AT_EMPTY_PATH));
	IS(uid("f"), 13);
	path = opened("s", O_PATH | O_NOFOLLOW);
	OK(fchownat(path, "", 15, 16, AT_EMPTY_PATH));
	IS(uid("s"), 15);
	IS(uid("f"), 13);
}

CHECK(owner_of_what_a_user_makes)
{
	dir("open", 0777);
	AS_GROUPS(USER, OTHER, 5) {
		put("open/f", "");
		dir("open/d", 0700);
		mkfifo("open/p", 0600);
		symlink("x", "open/s");
		OK(link("open/f", "open/l"));
	}
	IS(uid("open/f"), USER);
	IS(gid("open/f"), OTHER);
	IS(uid("open/d"), USER);
	IS(gid("open/d"), OTHER);
	IS(uid("open/p"), USER);
	IS(gid("open/p"), OTHER);
	IS(uid("open/s"), USER);
	IS(gid("open/s"), OTHER);
}

CHECK(owner_user_may_not_give_away)
{
	put("f", "");
	OK(chown("f", USER, USER));
	AS(USER, USER) {
		NO(chown("f", OTHER, -1), EPERM);
		NO(chown("f", 0, 0), EPERM);
		NO(chown("f", -1, OTHER), EPERM);
		NO(chown("f", -1, 0), EPERM);
		OK(chown("f", USER, USER));
		OK(chown("f", USER, -1));
		OK(chown("f", -1, USER));
		OK(chown("f", -1, -1));
	}
	IS(uid("f"), USER);
	IS(gid("f"), USER);
}

CHECK(owner_user_may_change_to_own_groups)
{
	put("f", "");
	dir("d", 0755);
	OK(chown("f", USER, USER));
	OK(chown("d", USER, USER));
	AS_GROUPS(USER, USER, OTHER) {
		OK(chown("f", -1, OTHER));
		IS(gid("f"), OTHER);
		OK(chown("f", USER, USER));
		IS(gid("f"), USER);
		NO(chown("f", -1, 77), EPERM);
		OK(chown("d", -1, OTHER));
		IS(gid("d"), OTHER);
	}
}

CHECK(owner_user_may_not_change_others)
{
	put("f", "");
	dir("d", 0777);
	symlink("x", "s");
	AS_GROUPS(USER, USER, 0) {
		NO(chown("f", USER, USER), EPERM);
		NO(chown("f", -1, USER), EPERM);
		TRY(chown("f", -1, -1));
		NO(chown("d", USER, -1), EPERM);
		NO(lchown("s", USER, -1), EPERM);
	}
	IS(uid("f"), 0);
}

static const char *const bits[] = { "644", "2644", "2755", "4644", "4711", "6755", "6644", "1755",
				    "7777" };

CHECK_EACH(owner_change_clears, bits)
{
	mode_t m = (mode_t)strtol(bits[nr], NULL, 8);

	put_mode("f", "x", m);
	OK(chown("f", 5, -1));
	GIVES(mode("f"));
	OK(chmod("f", m));
	OK(chown("f", -1, 6));
	GIVES(mode("f"));
	OK(chmod("f", m));
	OK(chown("f", -1, -1));
	GIVES(mode("f"));
	OK(chmod("f", m));
	OK(chown("f", 5, 6));
	GIVES(mode("f"));
	dir("d", m);
	OK(chown("d", 5, 6));
	GIVES(mode("d"));
	mkfifo("p", 0644);
	OK(chmod("p", m));
	OK(chown("p", 5, 6));
	GIVES(mode("p"));
}

CHECK_EACH(owner_change_by_user_clears, bits)
{
	mode_t m = (mode_t)strtol(bits[nr], NULL, 8);

	put("f", "x");
	dir("d", 0755);
	OK(chown("f", USER, USER));
	OK(chown("d", USER, USER));
	AS_GROUPS(USER, USER, OTHER) {
		OK(chmod("f", m));
		OK(chown("f", -1, OTHER));
		GIVES(mode("f"));
		OK(chmod("f", m));
		OK(chown("f", USER, OTHER));
		GIVES(mode("f"));
		OK(chmod("d", m));
		OK(chown("d", -1, OTHER));
		GIVES(mode("d"));
	}
}
