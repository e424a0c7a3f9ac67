# SPDX-License-Identifier: BSD-3-Clause
"""An unpacked root tree on the mount in which chroot works, and dpkg.

The tree is made of the host's own programs, and comes to the guest as an archive: owners,
modes, set-id bits, device nodes, attributes and capabilities have to come out of it as they
went in, and to do what they are there for.

An emulated processor (QEMU's TCG) keeps the code that it has translated for as long as nobody
writes to that page of memory, and does not notice that the daemon does: a program whose pages
are read from the share a second time, into memory where code was before, may run as what was
there. So without KVM programs are run from shares with --cache=always alone, where pages stay
as the guest has written them."""

import os
import re
import shutil
import subprocess

import pytest

import conftest
import vm

PROGRAMS = """
bash sh cat chmod chown cp cut dpkg dpkg-deb dpkg-query dpkg-split echo env find getcap grep head id install ln ls mkdir
mknod mv od readlink rm sed setcap setpriv sort stat tar tee test touch true uname diff
""".split()
# dpkg wants to see these; nothing here needs what they do.
STUBS = ("ldconfig", "start-stop-daemon", "update-rc.d")

FILES = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000::/home/user:/bin/bash\n"
                  "daemon:x:1234:1234::/:/bin/false\n",
    "etc/group": "root:x:0:\nuser:x:1000:\ndaemon:x:1234:\n",
    "var/lib/dpkg/status": "", "var/lib/dpkg/available": "",
    "srv/secret": "secret\n",
}

# Everything about the tree but times of folders and what a file system makes of sizes.
LIST = r"""find tree -mindepth 1 \( -type f -printf '%p %y %m %U:%G %n %s %T@\n' -o """ \
       r"""-printf '%p %y %m %U:%G %n %l\n' \) | sort
find tree -type c -exec stat -c '%n %t:%T' {} + | sort; getfattr -h -R -d -m - -e hex tree; getcap -r tree | sort"""

IN_TREE = """
run() { echo "-- $*"; chroot tree env -i PATH=/usr/sbin:/usr/bin HOME=/home/user LC_ALL=C "$@" 2>&1; }
as() { ids=$1; shift; run setpriv --reuid $ids --regid $ids --clear-groups "$@"; }
run /bin/bash -c 'echo $((6 * 7)); cd /etc; ls -l passwd | cut -d " " -f 1-4; find / -xdev -name passwd'
run sh -c 'echo lost >/dev/null; stat -c %F /dev/null; echo x | tee /dev/none' ; run cat /dev/null
as 1000 id -u; as 1000 id -g; as 1000 bash -c 'echo ~; cd; echo mine >f; stat -c "%U %a" f; touch /etc/f; ls -A /root'
as 1000 cat /srv/secret; as 1000 /usr/local/bin/cap-cat /srv/secret; as 1000 getcap /usr/local/bin/cap-cat
as 1000 /usr/local/bin/suid-id -un; as 1000 /usr/local/bin/sgid-id -gn; as 1000 /usr/local/bin/suid-id -u
as 1000 setpriv --no-new-privs /usr/local/bin/suid-id -un
as 1000 bash -c 'cp /usr/local/bin/suid-id own; stat -c %a own; echo >>/usr/local/bin/suid-id'
as 1000 bash -c 'cd /tmp && echo x >of-user; stat -c %a .'; as 1234 rm -f /tmp/of-user; as 1234 mv /tmp/of-user /tmp/x
as 1000 mknod /tmp/null c 1 3; run mknod /tmp/zero c 1 5
run bash -c 'head -c 3 /dev/zero | od -c; cd /; pwd; ls -d /..; cd ../../..; pwd'
run chown 1234 /usr/local/bin/suid-id; run stat -c %a /usr/local/bin/suid-id
run bash -c 'cp /usr/local/bin/cap-cat /tmp/c && getcap /tmp/c; cp -a /usr/local/bin/cap-cat /tmp/d && getcap /tmp/d'
run setcap cap_net_raw+p /tmp/c; run getcap /tmp/c; run bash -c 'echo >>/tmp/c; getcap /tmp/c'; run setcap -r /tmp/d
"""

CONTROL = """Package: thing
Version: %s
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: thing
"""

DPKG = """
run() { chroot tree env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C "$@" 2>&1; }
run dpkg -i /srv/thing_1.deb; run dpkg --verify thing; run dpkg -s thing; run dpkg -L thing
run bash -c 'echo changed >/etc/thing.conf'; run dpkg --verify thing
run dpkg --force-confold -i /srv/thing_2.deb; run cat /usr/share/thing/version /etc/thing.conf; run thing
run dpkg --audit; run dpkg -r thing; run ls /usr/share/thing /etc/thing.conf; run dpkg -P thing; run ls /etc; run dpkg -l
"""


def closure(path):
    """A program with the libraries that ldd names."""
    out = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    return [path] + re.findall(r"(/\S+) \(0x", out)


def package(folder, version):
    """A package with what unpacking has to get right: set-id bits, links, a conffile, scripts."""
    root = os.path.join(folder, "package")
    files = {
        "DEBIAN/control": (CONTROL % version, 0o644),
        "DEBIAN/conffiles": ("/etc/thing.conf\n", 0o644),
        "DEBIAN/postinst": ("#!/bin/sh\necho postinst \"$@\"\n", 0o755),
        "DEBIAN/prerm": ("#!/bin/sh\necho prerm \"$@\"\n", 0o755),
        "etc/thing.conf": ("version=%s\n" % version, 0o640),
        "usr/bin/thing": ("#!/bin/sh\necho thing %s\n" % version, 0o4755),
        "usr/share/thing/version": (version + "\n", 0o644),
    }
    for n in range(40):
        files["usr/share/thing/%s/file%d" % ("ab"[n % 2], n)] = ("%s %d\n" % (version, n) * n, 0o644)
    for name, (text, mode) in files.items():
        path = os.path.join(root, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        os.chmod(path, mode)
        os.utime(path, (1700000000, 1700000000))
    os.link(root + "/usr/bin/thing", root + "/usr/bin/thing2")
    os.symlink("thing", root + "/usr/bin/thing3")
    deb = os.path.join(folder, "thing_%s.deb" % version)
    subprocess.run(["dpkg-deb", "-Zgzip", "--root-owner-group", "--build", root, deb], check=True,
                   stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    return deb


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The tree as root has made it, in an archive."""
    folder = str(tmp_path_factory.mktemp("root"))
    tree = os.path.join(folder, "tree")
    for name in "dev etc home/user proc root srv sys tmp usr/bin usr/sbin usr/lib usr/local/bin " \
                "var/lib/dpkg/info var/lib/dpkg/updates var/lib/dpkg/triggers var/log".split():
        os.makedirs(os.path.join(tree, name))
    for name in ("bin", "sbin", "lib", "lib64"):
        os.makedirs(os.path.join(tree, "usr", name), exist_ok=True)
        os.symlink("usr/" + name, os.path.join(tree, name))
    for program in PROGRAMS:
        for path in closure(shutil.which(program)):
            to = tree + path
            os.makedirs(os.path.dirname(to), exist_ok=True)
            if not os.path.exists(to):
                shutil.copy(path, to)
    for name in STUBS:
        with open(tree + "/usr/sbin/" + name, "w") as f:
            f.write("#!/bin/sh\n")
        os.chmod(tree + "/usr/sbin/" + name, 0o755)
    for name, text in FILES.items():
        with open(os.path.join(tree, name), "w") as f:
            f.write(text)
    for version in "12":
        shutil.move(package(folder, version), tree + "/srv/")
    conftest.host_run("""
        cd usr/local/bin; cp ../../bin/id suid-id; chown 1234:1234 suid-id; cp suid-id sgid-id
        chgrp 1234 sgid-id; chmod 4755 suid-id; chmod 2755 sgid-id
        cp ../../bin/cat cap-cat; setcap cap_dac_read_search+ep cap-cat; cd ../../..
        chmod 600 srv/secret; chown 1000:1000 home/user; chmod 1777 tmp; chmod 700 root
        mknod -m 666 dev/null c 1 3; mknod -m 666 dev/zero c 1 5; mkfifo -m 600 dev/initctl; mknod -m 660 dev/disk b 8 0
        ln usr/bin/bash usr/bin/rbash; setfattr -n user.note -v note srv; setfattr -n trusted.note -v note etc/passwd
        chown -h 1000:1000 lib64; touch -h -d @1600000000.123456789 lib64 srv/*
        """, tree, "6.1")
    conftest.host_run("tar --numeric-owner --xattrs --xattrs-include='*' -cf tree.tar tree", folder, "6.1")
    yield os.path.join(folder, "tree.tar")
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("tag", ("always", "map") + conftest.in_full("auto", "never"))
def test_root_tree(on, archive, tag):
    """map: all attributes lie below user.virtiofs., capabilities among them."""
    place = on(tag)
    if place.cache != "always" and vm.accelerator(place.kernel) != "kvm":
        pytest.skip("programs whose pages the daemon writes run with KVM only")
    for path in (place.path, place.native):
        shutil.copy(archive, path + "/tree.tar")
    place.same("tar --numeric-owner -p --xattrs --xattrs-include='*' --warning=no-timestamp -xf tree.tar; rm tree.tar\n" + LIST)
    if tag != "map":
        place.view(LIST)
    ours = place.same(IN_TREE).out
    assert "cap-cat /srv/secret\nsecret\n" in ours and "suid-id -un\ndaemon\n" in ours
    if tag != "map":
        out = place.same(DPKG).out
        assert "thing 2\n" in out and "changed\n" in out and "postinst configure" in out, out
    place.same("rm -f tree/var/log/*; rm -r tree/var/lib/dpkg; " + LIST.replace(" %T@", ""))
    if tag == "map":
        assert place.host("getcap -r .").out == ""
        assert "user.virtiofs.security.capability" in place.host("getfattr -m - tree/usr/local/bin/cap-cat").out
