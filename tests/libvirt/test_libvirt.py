# SPDX-License-Identifier: BSD-3-Clause
"""libvirt starts the daemon, works with it, and ends it."""

import fcntl
import glob
import os
import re
import subprocess
import time

import pytest

import host as hosts
import machine
import vm

# What each libvirt makes of the shares in machine.py, without --fd.
OLD = {
    "share": ["-o", "source=/run/shares/share,cache=always,xattr,flock,posix_lock", "--thread-pool-size=4"],
    "found": ["-o", "source=/run/shares/found"],
    "chroot": ["-o", "source=/run/shares/chroot,cache=none,sandbox=chroot,xattr"],
}
NEW = {
    "share": ["--shared-dir", "/run/shares/share", "--cache", "always", "--sandbox", "namespace", "--xattr",
              "--thread-pool-size=4", "--rlimit-nofile=5000"],
    "found": ["--shared-dir", "/run/shares/found"],
    "chroot": ["--shared-dir", "/run/shares/chroot", "--cache", "never", "--sandbox", "chroot", "--xattr"],
    "readonly": ["--shared-dir", "/run/shares/readonly", "--cache", "always", "--xattr", "--readonly"],
}


def maps(first, count):
    return [word % numbers for word in ("--uid-map=:%d:%d:%d:", "--gid-map=:%d:%d:%d:")
            for numbers in ((0, hosts.USER, 1), (1, first, count))]


ALL_IDS, SOME_IDS = maps(*hosts.SUBIDS), maps(hosts.SUBIDS[0] + 100, 1000)
USERS = {
    "share": ["--shared-dir", "/run/shares/share", "--cache", "always", "--xattr", "--thread-pool-size=4",
              "--rlimit-nofile=5000", *ALL_IDS],
    "found": ["--shared-dir", "/run/shares/found", *ALL_IDS],
    "readonly": ["--shared-dir", "/run/shares/readonly", "--xattr", *ALL_IDS, "--readonly"],
    "ids": ["--shared-dir", "/run/shares/ids", "--xattr", *SOME_IDS],
}
LINES = {"bookworm": OLD, "backports": NEW, "session": USERS}


def only_with(domain, tag):
    if tag not in domain.tags:
        pytest.skip("%s: this libvirt does not take a share of the kind \"%s\"" % (domain.host.kind, tag))


def outside_pid(domain, pid):
    """The machine's number for a process of the host's"""
    for path in glob.glob("/proc/[0-9]*/status"):
        try:
            found = re.search(r"^NSpid:\s(\d+)\s(?:.*\s)?(\d+)$", hosts.read(path), re.M)
        except OSError:
            continue
        if found and int(found[2]) == pid and same_namespace(int(found[1]), domain.host.pid):
            return int(found[1])
    raise AssertionError("no process %d" % pid)


def same_namespace(a, b):
    try:
        return os.readlink("/proc/%d/ns/pid" % a) == os.readlink("/proc/%d/ns/pid" % b)
    except OSError:
        return False


def is_locked(path):
    """As libvirt asks whether the process of a pid file is still there"""
    with open(path, "r+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


# -- how it is started

def test_command_lines(domain):
    for tag, words in LINES[domain.host.kind].items():
        line = domain.command_line(domain.pids()[tag])
        assert line[0] == hosts.DAEMON
        assert re.fullmatch(r"--fd=\d+", line[1])
        assert line[2:] == words


def test_it_is_found_by_its_file(domain):
    """The XML of this share names no program."""
    assert "binary" not in machine.share_xml("found", machine.SHARES[domain.host.kind]["found"])
    assert domain.command_line(domain.pids()["found"])[0] == hosts.DAEMON


def test_user_and_log(domain):
    """Root's daemons stay root's, though QEMU is not; a user's are the user's."""
    owner = hosts.USER if domain.host.session else 0
    qemu = hosts.USER if domain.host.session else hosts.QEMU_USER
    assert os.stat("/proc/%d" % outside_pid(domain, domain.qemu())).st_uid == qemu
    for tag, pid in domain.pids().items():
        assert os.stat("/proc/%d" % outside_pid(domain, pid)).st_uid == owner
        log = domain.log(domain.alias(tag))
        assert "Waiting for vhost-user socket connection" in log and "Client connected" in log


def test_pid_file_stays_locked(domain):
    """libvirt's lock is the first process's; one that closed the file would be taken for dead, and
    not be ended."""
    for tag in domain.own_tags():
        assert is_locked(domain.pid_file(domain.alias(tag)))


# -- the guest works

WORK = r"""
set -e
cd /mnt/%s
mkdir -p d && cd d
seq 20000 >numbers; dd if=/dev/urandom of=bytes bs=1M count=2 2>/dev/null
for i in $(seq 40); do echo $i >f$i; done
mv f1 g1; ln g1 h1; ln -s numbers link; chmod 640 numbers
sync; sha256sum $(ls) | sort
"""


def work_tags(domain):
    return [tag for tag in domain.tags if tag != "readonly"]


def test_data_is_the_same_on_both_sides(domain):
    for tag in work_tags(domain):
        guest = domain.run(WORK % tag).out
        there = subprocess.run("sha256sum $(ls) | sort", shell=True, cwd=domain.seen(tag) + "/d",
                               env={"PATH": "/usr/bin", "LC_ALL": "C"}, capture_output=True, text=True, check=True)
        assert guest == there.stdout and guest.count("\n") == 44
        hosts.write(domain.seen(tag) + "/of-host", "of the host\n")
        assert domain.run("cat /mnt/%s/of-host" % tag).out == "of the host\n"


def test_attributes(domain):
    domain.run("cd /mnt/share; echo x >a; setfattr -n user.name -v value a")
    assert domain.run("getfattr --only-values -n user.name /mnt/share/a").out == "value"
    assert os.getxattr(domain.seen("share") + "/a", "user.name") == b"value"
    result = domain.run("cd /mnt/found; echo x >a; setfattr -n user.name -v value a", check=False)
    assert result.status != 0 and "not supported" in result.err


HOLD = r"""
cd /mnt/share; rm -f held
(echo $BASHPID >/tmp/holder; %s) >/dev/null 2>&1 </dev/null &
until [ -e held ]; do sleep 0.1; done
"""
RELEASE = "kill $(cat /tmp/holder); "


def test_flock(domain):
    """Where libvirt can ask for it, locks of the guest are the host's, and else the guest's own."""
    domain.run(HOLD % "exec 9>lock; flock 9; touch held; exec sleep 1000")
    assert domain.run("flock -n /mnt/share/lock true", check=False).status == 1
    with open(domain.seen("share") + "/lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            locked = False
        except OSError:
            locked = True
    assert locked == (domain.host.kind == "bookworm")
    domain.run(RELEASE + "flock -w 10 /mnt/share/lock true")


def test_posix_lock(domain):
    """So are POSIX locks: a database that is being written has them."""
    domain.run(HOLD % "exec sqlite3 -cmd 'create table t(x)' -cmd 'begin exclusive' "
                      "-cmd '.shell touch held; exec sleep 1000' db")
    assert is_locked(domain.seen("share") + "/db") == (domain.host.kind == "bookworm")
    domain.run(RELEASE)


def test_readonly(domain):
    only_with(domain, "readonly")
    hosts.write(domain.seen("readonly") + "/f", "text\n")
    assert domain.run("cat /mnt/readonly/f").out == "text\n"
    for command in ("echo >/mnt/readonly/new", "rm /mnt/readonly/f", "chmod 600 /mnt/readonly/f"):
        result = domain.run(command, check=False)
        assert result.status != 0 and "Read-only file system" in result.err
    assert os.listdir(domain.seen("readonly")) == ["f"]


def test_owners(domain):
    """What a user of the guest makes belongs to that user, as far as there are ids for it."""
    numbers = {"ids": hosts.SUBIDS[0] + 100 + 499} if domain.host.session else {"share": 500}
    if domain.host.session:
        numbers["share"] = hosts.SUBIDS[0] + 499
    for tag, number in numbers.items():
        domain.run("cd /mnt/%s; chmod 777 .; touch of-root; "
                   "setpriv --reuid=500 --regid=500 --clear-groups touch of-500" % tag)
        there = os.stat(domain.seen(tag) + "/of-500")
        assert (there.st_uid, there.st_gid) == (number, number)
        assert os.stat(domain.seen(tag) + "/of-root").st_uid == (hosts.USER if domain.host.session else 0)
        assert domain.run("stat -c %%u:%%g /mnt/%s/of-500" % tag).out == "500:500\n"


# -- what libvirt does meanwhile

def test_suspend_and_resume(domain):
    """Work stops where it is, and goes on."""
    job = domain.agent.start("cd /mnt/share; for i in $(seq 300); do echo $i >>log; echo $i >s$((i % 50)) || exit 1; "
                             "done; sync; sha256sum log")
    path = domain.seen("share") + "/log"
    vm.wait_until("work", lambda: os.path.exists(path) and os.path.getsize(path) > 50, 20)
    domain.virsh("suspend")
    assert domain.state() == "paused"
    before = os.path.getsize(path)
    time.sleep(1)
    assert os.path.getsize(path) == before
    assert job.status is None
    domain.virsh("resume")
    assert domain.state() == "running"
    result = job.wait(60)
    assert result.status == 0, result.err
    assert hosts.read(path) == "".join("%d\n" % i for i in range(1, 301))


def test_libvirtd_starts_anew(domain):
    """The daemons do not mind, and the new one knows them."""
    pids = domain.pids()
    domain.host.libvirtd.terminate()
    domain.host.libvirtd.wait(20)
    domain.run("echo without >/mnt/share/without")
    domain.host.start_libvirtd()
    domain.wait_state("running")
    assert domain.pids() == pids
    assert hosts.read(domain.seen("share") + "/without") == "without\n"


def test_share_that_comes_and_goes(domain):
    """Hot-plugged, used, unplugged: its daemon goes, by itself or by libvirt's SIGTERM, and the
    others stay."""
    pids = domain.pids()
    path = domain.host.folder + "/run/shares/later"
    os.makedirs(path, exist_ok=True)
    os.chown(path, *[os.stat(domain.seen("share")).st_uid] * 2)
    xml = machine.share_xml("later", machine.BINARY % machine.CACHE)
    hosts.write(domain.host.folder + "/run/later.xml", xml)
    domain.virsh("attach-device", "/run/later.xml", "--live")
    alias = "fs%d" % len(domain.tags)
    pid = domain.daemon(alias)
    domain.run("mkdir -p /mnt/later; for i in $(seq 100); do mount -t virtiofs later /mnt/later 2>/tmp/err && exit 0; "
               "sleep 0.1; done; cat /tmp/err; exit 1")
    domain.run("echo text >/mnt/later/f; sync; umount /mnt/later")
    assert hosts.read(path + "/f") == "text\n"
    found = re.search(r"<filesystem type='mount'[^>]*>(?:(?!</filesystem>).)*<target dir='later'/>.*?</filesystem>",
                      domain.virsh("dumpxml").stdout, re.S)
    hosts.write(domain.host.folder + "/run/later.xml", found[0])
    domain.virsh("detach-device", "/run/later.xml", "--live")
    assert domain.host.status(pid) in (0, 1)
    assert domain.log(alias).endswith("shutting down\n")
    assert domain.pids() == pids
    domain.run("echo x >/mnt/share/x")


# -- how it ends

def gone(domain, pids):
    """All of it is: the processes, and libvirt's files. Returns the daemons' statuses."""
    statuses = {tag: domain.host.status(pid) for tag, pid in pids.items()}
    vm.wait_until("libvirt's files to go", lambda: not domain.files(), 20)
    names = domain.host.run("ps", "-eo", "args").stdout
    assert hosts.DAEMON not in names, names
    return statuses


def test_shut_down_and_start_again(domain):
    """The guest powers itself off; the daemons end with 0 and say so; the next ones find all as it was."""
    domain.run("echo kept >/mnt/share/kept; sync")
    pids = domain.pids()
    domain.agent.start("umount -a -t virtiofs; poweroff -f")
    domain.wait_state("shut off")
    statuses = gone(domain, pids)
    assert set(statuses.values()) == {0}, statuses
    for tag in domain.own_tags():
        assert domain.log(domain.alias(tag)).endswith("Client disconnected, shutting down\n")
    if domain.outside:
        assert domain.outside.wait(20) == 0
    domain.disconnect()
    domain.start()
    assert domain.run("cat /mnt/share/kept").out == "kept\n"
    assert not set(domain.pids().values()) & set(pids.values())


def test_daemon_is_ended_by_its_pid_file(domain):
    """As libvirt does it when QEMU is gone: SIGTERM to the number in the file; all of it goes."""
    pid = domain.pids()["found"]
    family = domain.host.run("ps", "-eo", "pid,args").stdout
    assert family.count("shares/found") == 3, family
    domain.host.run("kill", "-TERM", str(pid))
    assert domain.host.status(pid) == 1
    assert not is_locked(domain.pid_file(domain.alias("found")))
    vm.wait_until("its family to go",
                  lambda: "shares/found" not in domain.host.run("ps", "-eo", "args").stdout, 10)
    domain.run("echo x >/mnt/share/x")


def test_destroy(domain):
    """In the middle of work: everything goes at once."""
    pids = {tag: pid for tag, pid in domain.pids().items() if domain.host.alive(pid)}
    domain.agent.start("cd /mnt/share; while :; do dd if=/dev/zero of=z bs=64k count=50; done")
    start = time.monotonic()
    domain.virsh("destroy")
    assert domain.state() == "shut off"
    statuses = gone(domain, pids)
    assert set(statuses.values()) == {0}, statuses
    assert time.monotonic() - start < 10
