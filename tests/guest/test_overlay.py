# SPDX-License-Identifier: BSD-3-Clause
"""An overlayfs whose upper and work folders are on the mount.

The host makes the same overlay in its folder: what is seen in it, and what is left in the
upper folder, has to be the same. It then mounts what the guest has made."""

import pytest

import conftest

# What is in the overlay, and in the upper folder: whiteouts are character devices 0:0.
MERGED = r"""find m -mindepth 1 \( -type d -printf '%p %y %m %U:%G %n\n' -o """ \
         r"""-printf '%p %y %m %U:%G %n %s %l\n' \) | sort; grep -rs --exclude=large . m | sort"""
UPPER = r"""find up -mindepth 1 -printf '%p %y %m %U:%G %l\n' | sort; find up -type c -exec stat -c '%n %t:%T' {} + | sort
getfattr --absolute-names -R -h -e text -m 'overlay.(opaque|redirect)' -d up"""

MAKE = """
mkdir -p lower/kept/sub lower/gone/sub lower/again/sub lower/moved/sub up work m
for f in append chmod chown touch xattr shrink mapped unlinked renamed over target linked open; do
    echo "$f, as it was" >lower/$f.txt
done
for d in kept gone again moved; do echo $d >lower/$d/f; echo $d >lower/$d/sub/f; done
ln -s append.txt lower/symlink; head -c 300000 /dev/zero | tr '\\0' x >lower/large
"""

CHANGE = """
cd m || exit 9
echo more >>append.txt; chmod 4755 chmod.txt; chown 5:6 chown.txt; touch -d @1000000000 touch.txt
setfattr -n user.name -v value xattr.txt; getfattr --only-values -n user.name xattr.txt
truncate -s 3 shrink.txt; fsop open mapped.txt rw , mmap-write 2 MAPPED , read 0 9
rm unlinked.txt; mv renamed.txt elsewhere.txt; mv over.txt target.txt; ln linked.txt link2.txt
exec 3<open.txt; rm open.txt; cat <&3; exec 3<&-
printf Y | dd of=large bs=1 seek=200000 conv=notrunc status=none; sha256sum <large
rm -r gone; mkdir gone; rmdir gone
rm -r again; mkdir again; echo new >again/new; ls again
mv moved moved2 && cat moved2/sub/f && echo more >>moved2/f && rm moved2/sub/f; ls moved 2>&1
echo sub >>kept/sub/f; ls kept; mkdir -p new/deep; echo x >new/deep/f; mv new/deep .; rmdir new
fsop rename exchange elsewhere.txt deep , rename noreplace link2.txt linked.txt , rename whiteout deep d2
ln -s nowhere dangling; ln -sf other symlink; mkfifo fifo; fsop mknod chr null
fsop rmdir kept , unlink none , mkdir kept 755
"""


def overlay(options, script):
    return "unshare --mount bash -c 'mount -t overlay over -o lowerdir=%s,upperdir=up,workdir=work,%s m && " \
           "{ %s\n}'" % (options.get("lower", "lower"), options["options"], script.replace("'", "'\\''"))


REDIRECT = {"options": "redirect_dir=on,index=off,metacopy=off"}
USER = {"options": "userxattr,index=off,metacopy=off"}
TMPFS = dict(REDIRECT, lower="/dev/shm/lower")


@pytest.mark.parametrize("tag", ("auto", "never", "map") + conftest.in_full("always", "metadata"))
def test_overlay(on, tag):
    place = on(tag)
    conftest.need_shared_mappings(place)
    place.guest.run("dmesg -c >/dev/null")
    place.same(MAKE)
    place.same(overlay(REDIRECT, "(%s) 2>&1; %s" % (CHANGE, MERGED)))
    merged = place.same(overlay(REDIRECT, MERGED)).out
    assert "m/moved2/f f " in merged and "m/unlinked.txt" not in merged
    upper = place.same(UPPER).out
    assert "up/unlinked.txt 0:0" in upper and 'trusted.overlay.opaque="y"' in upper \
        and 'trusted.overlay.redirect="moved"' in upper
    # It misses nothing but what no FUSE file system should give it; its own users of O_TMPFILE
    # have to do without.
    missed = [line for line in place.guest.run("dmesg").out.split("\n") if "overlayfs: upper fs" in line]
    assert all("tmpfile" in line for line in missed), missed
    assert "EOPNOTSUPP" in place.run(overlay(REDIRECT, "fsop open m rw+tmpfile")).out
    if tag == "map":
        assert 'user.virtiofs.trusted.overlay.opaque="y"' in \
            place.host("getfattr -e text -m - -d up/again").out
        return
    # The host makes of it what the guest did.
    assert place.host(overlay(REDIRECT, MERGED)).out == merged


def test_user_attributes(on):
    """With userxattr the daemon needs no right to trusted.* names."""
    place = on("auto")
    place.same(MAKE)
    place.same(overlay(USER, "(%s) 2>&1; %s" % (CHANGE, MERGED)))
    assert 'user.overlay.opaque="y"' in place.same(UPPER).out
    place.same(overlay(USER, MERGED))


def test_lower_on_tmpfs(on):
    place = on("auto")
    place.same(MAKE + "rm -rf /dev/shm/lower; mv lower /dev/shm/lower")
    place.same(overlay(TMPFS, "(%s) 2>&1; %s" % (CHANGE, MERGED)))
    place.same(overlay(TMPFS, MERGED) + UPPER + "\nrm -r /dev/shm/lower")


def test_needs_attributes(on):
    """Without --xattr there can be no opaque folders: Linux refuses such an upper folder."""
    place = on("plain")
    place.run(MAKE + "dmesg -c >/dev/null")
    result = place.run(overlay(REDIRECT, ":"), check=False)
    assert result.status != 0
    assert "overlayfs: upper fs missing required features" in place.guest.run("dmesg").out
