# SPDX-License-Identifier: BSD-3-Clause
"""The daemon's options: what each one changes, as a guest and the host see it."""

import os
import re
import time

import pytest

import conftest

USER = "setpriv --reuid %d --regid %d --clear-groups "
FIO = "fio --name=verify --filename=f --rw=randwrite --bs=%s --size=2M --verify=crc32c --do_verify=1 " \
      "--verify_fatal=1 --fallocate=none --thread --direct=%d --ioengine=psync >out && cat out"


# -- --writeback -----------------------------------------------------------------------

def test_writeback_data(on):
    place = on("writeback")
    assert "err= 0" in place.run(FIO % ("3k", 0)).out
    place.view("sha256sum f; stat -c %s f")
    # What is closed is on the host; parts of a file that only may be written are, too.
    place.same("""printf %09d 7 >f; cat f; chmod 200 f; printf X | dd of=f bs=1 seek=4 conv=notrunc status=none
        setpriv --reuid 0 --regid 0 dd if=/dev/zero of=f bs=1 count=3 seek=20 conv=notrunc status=none
        od -c f; fsop open f w , write 2 ab , close , open f rw , mmap-write 6 cd , read 0 30; truncate -s 8 f; cat f""")
    place.view("od -c f; stat -c %s f")


def test_writeback_appends(on):
    """From several openers at once, whose data is in the guest's cache only."""
    place = on("writeback")
    place.same("""for w in 1 2 3; do for i in $(seq 40); do echo $w.$i; done >>f & done; wait; wc -l <f; sort f | md5sum
        fsop open f rw+append , append-many line 100 , fstat; tail -c 12 f""")
    place.view("md5sum f; wc -c f")


def test_writeback_times(on):
    """The guest's clock says when a file was written; what is set stays."""
    place = on("writeback")
    place.same("""echo x >f; touch -d @1000000000.123456789 f; sync; stat -c '%.9Y' f; cp -p f g; stat -c '%.9Y %s' g
        exec 3>>f; echo y >&3; touch -d @5 f; exec 3>&-; stat -c '%Y %s' f; tar cf t f; tar xf t; stat -c %Y f
        chmod 600 g; mv g h; stat -c '%.9Y' h""")
    place.view("stat -c '%n %.9Y %s' *")
    place.run("echo z >>f; sync f")
    assert abs(os.stat(place.path + "/f").st_mtime - time.time()) < 60
    place.view("stat -c '%n %.9Y' f")


# -- --no-open -------------------------------------------------------------------------

def test_no_open(on):
    """Nothing is opened, and everything is as if it were."""
    place = on("noopen")
    place.same("""echo hello >f; cat f; echo more >>f; cat f; : >f; cat f; printf 12345 >f; wc -c <f
        cp f g; mv g h; rm f; cat h; mkdir -p d/e; for i in $(seq 300); do echo $i >d/$i; done; ls d | wc -l
        cat d/* | md5sum; grep -lr 77 d; find d -size -2c | sort | head -3; rm -r d; ls
        fsop open h rw , unlink h , write 1 xy , read 0 9 , fstat; ls
        fsop open n rw+creat+trunc , write 0 abcdef , ftruncate 3 , fsync , read 0 9 , seek hole 0
        fsop open n rw+append , append zz , read 0 9; fsop open n rw , mmap-write 1 QQ , mmap-read 0 5
        chmod 400 n; cat n; fsop open n w+trunc , fstat; touch -d @5 n; stat -c '%s %Y' n""")
    place.view("od -c n; stat -c '%n %s %Y %a' n")
    assert "err= 0" in place.run(FIO % ("3k", 0)).out
    place.view("sha256sum f; stat -c %s f")
    place.run("cp /bin/busybox prog && ./prog echo runs; sync; sync")


def test_no_open_sends_no_open(on):
    """Once, to learn that it need not."""
    place = on("noopen")
    place.run("for i in $(seq 50); do echo $i >f$i; done; cat f* >/dev/null; ls >/dev/null")
    start = os.path.getsize(place.share.log_path)
    assert place.run("for i in $(seq 50); do cat f$i; done; ls | wc -l; echo x >f1; cat f1").out.endswith("50\n50\nx\n")
    with open(place.share.log_path) as log:
        log.seek(start)
        sent = re.findall(r" ([a-z]+): unique", log.read())
    assert sent.count("write") == 1
    assert not {"open", "opendir", "release", "releasedir", "flush"} & set(sent)


# -- --allow-direct-io -----------------------------------------------------------------

def direct_on_host(place):
    """Whether a file that the guest has open with O_DIRECT is so on the host."""
    job = place.guest.agent.start("cd %s && exec fsop open held rw+creat+direct , hold" % place.inside)
    vm_wait(job)
    flags = set()
    for pid in place.share.pids():
        for fd in os.listdir("/proc/%d/fd" % pid):
            if os.readlink("/proc/%d/fd/%s" % (pid, fd)).endswith("/held"):
                with open("/proc/%d/fdinfo/%s" % (pid, fd)) as f:
                    flags.add(int(re.search(r"flags:\s*(\d+)", f.read()).group(1), 8))
    job.close_input()
    job.wait(60)
    return any(f & os.O_DIRECT for f in flags)


def vm_wait(job):
    conftest.vm.wait_until("a file that is held open", lambda: job.text("O"), 60)


def test_direct_io(on):
    place = on("direct")
    assert direct_on_host(place) and not direct_on_host(on("plain"))
    assert "err= 0" in place.run(FIO % ("4k", 1)).out
    place.view("sha256sum f")
    # What the host's O_DIRECT would refuse: odd sizes, places and memory.
    place.run("fsop open g rw+creat+direct , write 0 abc , write 5001 defg , read 4999 10 , append xy , fstat , "
              "ftruncate 5003 , read 5000 100")
    place.view("od -c g; dd if=f iflag=direct bs=64k status=none | md5sum")
    place.run("dd if=f of=h oflag=direct bs=1M status=none; dd if=f of=i oflag=direct,append conv=notrunc bs=8k status=none")
    place.view("cmp f h; cmp f i; stat -c %s f h i")


# -- --readonly ------------------------------------------------------------------------

READONLY = """
fsop open f w , open f rw , open f w+trunc , open f w+append , open new w+creat , open f r+trunc , open . rw+tmpfile \\
    , mkdir new 755 , rmdir empty , unlink f , link f new , symlink x new , mknod fifo new , mknod reg new \\
    , mknod chr new , rename plain f g , rename noreplace f new , rename exchange f g , chmod f 600 , chown f 1 1 \\
    , truncate f 0 , utimens f 1 0 1 0
setfattr -n user.a -v x f; setfattr -x user.there f; setfacl -m u:1:r f; chattr +d f; touch f; touch new; rm f
rm -r empty; cp f new; mv f sub/; sed -i s/t/x/ f; echo x >>f; ln -s f new; mkfifo new; truncate -s 5 f
"""


def test_readonly(on):
    place = on("readonly")
    place.host("mkdir empty sub; echo text >f; echo text >g; echo x >sub/f; tar cf t.tar sub; setfattr -n user.there -v x f")
    tree = r"find . -printf '%p %i %m %U:%G %n %s %l %T@ %C@\n' | sort; md5sum f g sub/f; getfattr -d -m - f; lsattr f"
    before = place.host(tree).out
    errors = place.run("{ %s\n} 2>&1" % READONLY, check=False).out.strip().split("\n")
    assert [e for e in errors if e != "EROFS" and "Read-only file system" not in e] == []
    assert errors.count("EROFS") == 22 and len(errors) >= 22 + 15
    assert place.host(tree).out == before
    place.view("cat f sub/f; ls; getfattr -d f; getfacl -n f; find . -printf '%p %i %m %T@ %C@\\n' | sort; stat -f -c %b .")


# -- --translate-uid, --translate-gid, idmapped mounts ---------------------------------

OWNERS = "stat -c '%n %u:%g' *"


def test_translation(on):
    place = on("ids")
    place.host("chmod 777 .; touch h; chown 100007:200008 h; touch other; chown 3000:3001 other")
    place.run("touch root; " + USER % (1005, 1006) + "touch user; touch given; chown 1999:1000 given; ln -s x link; "
              "chown -h 1001:1002 link; touch out; chown 2000:2000 out; mkdir dir; chown 1003 dir; chmod 2755 dir")
    assert place.host(OWNERS).out == "dir 100003:0\ngiven 100999:200000\nh 100007:200008\nlink 100001:200002\n" \
        "other 3000:3001\nout 2000:2000\nroot 0:0\nuser 100005:200006\n"
    assert place.run(OWNERS).out == "dir 1003:0\ngiven 1999:1000\nh 1007:1008\nlink 1001:1002\nother 3000:3001\n" \
        "out 2000:2000\nroot 0:0\nuser 1005:1006\n"
    # Who may do what goes by what the guest sees.
    assert place.run(USER % (1007, 1) + "sh -c 'echo x >h && chmod 600 h && cat h'").out == "x\n"
    assert place.run(USER % (1008, 1) + "cat h", check=False).status != 0
    for forbidden in (USER % (5003, 1006) + "touch no", "chown 5009 root", USER % (5000, 0) + "mkdir no"):
        assert "Operation not permitted" in place.run(forbidden, check=False).err
    assert not os.path.exists(place.path + "/no")


def test_squash(on):
    place = on("squash")
    place.run("chmod 777 .; touch root; " + USER % (1005, 1006) + "touch user; mkdir dir; mkfifo p; chown 5:6 p")
    assert place.host(OWNERS).out == "".join(name + " 4321:4322\n" for name in ("dir", "p", "root", "user"))
    place.host("touch host; chown 12:13 host")
    assert place.run(OWNERS).out == "".join(name + " 77:78\n" for name in ("dir", "host", "p", "root", "user"))


def test_idmapped_mount(on):
    """Made in the guest, on top of the share."""
    place = on("auto")
    if place.kernel == "6.1":
        pytest.skip("FUSE has idmapped mounts from Linux 6.12 on")
    place.run("mkdir d; chown 1000:1000 d; echo text >d/f; chown 1000:1000 d/f; chmod 640 d/f; echo x >d/root; "
              "mkdir -p /mnt/idmapped; idmount $PWD/d /mnt/idmapped 1000 2000 10")
    try:
        assert place.run("cd /mnt/idmapped; stat -c '%u:%g' . f root").out == "2000:2000\n2000:2000\n65534:65534\n"
        place.run("cd /mnt/idmapped; " + USER % (2000, 2000) + "sh -c 'cat f; echo y >>f; echo new >new; mkdir sub; "
                  "ln -s f link; mv new sub/; ln f hard; chmod 4711 f; rm -r hard sub/new; cp f copy; chmod 644 copy'")
        place.run("cd /mnt/idmapped; " + USER % (2003, 2004) + "cat copy")
        assert place.run("cd /mnt/idmapped; " + USER % (1000, 1000) + "cat f", check=False).status != 0
        assert place.run("cd /mnt/idmapped; touch x", check=False).status != 0
        assert place.run("cd /mnt/idmapped; chown 2005:2006 copy; stat -c '%u:%g' copy; setfacl -m u:2007:r copy; "
                         "getfacl -n -c copy | grep 2007").out == "2005:2006\nuser:2007:r--\n"
    finally:
        place.run("umount /mnt/idmapped")
    assert place.host("cd d; stat -c '%n %u:%g %a' *; cat f; getfacl -n -c copy | grep :100").out == \
        "copy 1005:1006 644\nf 1000:1000 4711\nlink 1000:1000 777\nroot 0:0 644\nsub 1000:1000 755\ntext\ny\n" \
        "user:1007:r--\n"


# -- --announce-submounts --------------------------------------------------------------

def test_submounts(on):
    place = on("mounts")
    run = lambda command, **how: place.guest.run("cd /mnt/mounts && " + command, **how)  # noqa: E731
    assert run("cat tmpfs/f tmpfs/inner/f bind/f").out == "tmpfs\ninner\nneighbour\n"
    devices = run("stat -c %d . plain tmpfs tmpfs/inner bind target").out.split()
    assert devices[0] == devices[1] == devices[5] and len(set(devices)) == 4
    assert run("find . -xdev -name f").out == "./target/f\n"
    assert run("find . -name f | sort").out == "./bind/f\n./target/f\n./tmpfs/f\n./tmpfs/inner/f\n"
    assert run("grep -o ' /mnt/mounts[^ ]*' /proc/mounts | sort").out == \
        " /mnt/mounts\n /mnt/mounts/bind\n /mnt/mounts/tmpfs\n /mnt/mounts/tmpfs/inner\n"
    sizes = "stat -f -c '%b %S %l' . tmpfs tmpfs/inner bind"
    assert run(sizes).out == conftest.host_run(sizes, place.share.seen, place.kernel).out
    assert run("df -k tmpfs tmpfs/inner | awk 'NR > 1 { print $2 }'").out == "16384\n8192\n"
    run("echo x >tmpfs/new; mkdir -p bind/d; echo y >bind/d/f; cat target/d/f; mv tmpfs/new tmpfs/inner/; cp -r bind/d plain/")
    assert "EXDEV" in run("fsop link tmpfs/f plain/f , rename plain tmpfs/f plain/f").out
    assert conftest.host_run("cat tmpfs/inner/new target/d/f", place.share.seen, place.kernel).out == "x\ny\n"
    # A second mount of the same share has its own, and goes with them.
    place.guest.run("umount -R /mnt/mounts && mount -t virtiofs mounts /mnt/mounts && cat /mnt/mounts/tmpfs/inner/f")


def test_submounts_as_folders(on):
    place = on("nomounts")
    run = lambda command: place.guest.run("cd /mnt/nomounts && " + command)  # noqa: E731
    assert len(set(run("stat -c %d . plain tmpfs tmpfs/inner bind").out.split())) == 1
    assert run("cat tmpfs/f tmpfs/inner/f bind/f").out == "tmpfs\ninner\nneighbour\n"
    # find takes tmpfs/inner for tmpfs: they have one device and inode number now.
    assert run("find . -xdev -name f 2>/dev/null | sort").out == "./bind/f\n./target/f\n./tmpfs/f\n"
    assert "EXDEV" in run("fsop rename plain tmpfs/f plain/f").out


# -- O_TMPFILE, birth times, set-id bits, timeouts -------------------------------------

@pytest.mark.parametrize("tag", ("auto", "never") + conftest.in_full("always"))
def test_tmpfile(on, tag):
    place = on(tag)
    place.same("""fsop open . rw+tmpfile , write 0 text , fstat , read 0 9 , mmap-read 0 4 , link-tmpfile named , fstat \\
            , write 4 more , link-tmpfile named , link-tmpfile again , unlink named , read 0 20 , unlink again , fstat
        fsop open . w+tmpfile , append x , link-tmpfile w; cat w; ls -l w | cut -c 1-12; fsop open . r+tmpfile
        fsop open . rw+tmpfile+excl , link-tmpfile no; fsop open w rw+tmpfile , open none rw+tmpfile; ls; chmod 777 .
        setpriv --reuid 1000 --regid 1001 --clear-groups fsop open . rw+tmpfile , write 0 x , fstat; ls -A""")
    place.view(r"cat w; find . -type f -printf '%p %m %U:%G %n %s %T@\n'")


def test_birth_time(on):
    place = on("auto")
    if place.kernel == "6.1":
        pytest.skip("FUSE has birth times from Linux 6.6 on")
    place.run("echo x >f; mkdir d; ln -s f s; mkfifo p; sleep 0.1; echo y >>f; chmod 600 f; touch -d @1 f; mv f g")
    born = place.view("stat -c '%n %.9W' g d s p .").out
    assert " 0.0" not in born and "-" not in born


SET_ID = """
umask 0; for n in 1 2 3 4 5 6 7 8; do echo text >f$n; chmod 6777 f$n; done
as="setpriv --reuid 1000 --regid 1000 --clear-groups"
$as fsop open f1 rw , write 0 x; $as truncate -s 2 f2; $as fsop open f3 w+trunc , write 0 x; $as fsop open f4 rw , mmap-write 0 y
chown 5 f5; fsop open f6 rw , write 0 x; $as fsop open f7 rw , fallocate alloc 0 99
$as fsop open f8 rw , copy f1 0 0 3
"""


@pytest.mark.parametrize("tag", ("acl", "auto"))
def test_set_id_bits(on, tag):
    """Cleared by the host (acl: --killpriv-v2) or in the guest."""
    place = on(tag)
    place.same(SET_ID)
    modes = "stat -c '%n %a' f1 f2 f3 f5 f6 f7 f8"
    expected = conftest.host_run(modes, place.native, place.kernel).out
    assert place.host(modes).out == expected
    assert place.run(modes).out == expected


def test_timeouts(on):
    """How long the guest goes by what it knew. What is written in the guest is seen at once."""
    slow, auto, uncached = on("slow"), on("auto"), on("uncached")
    for place in (slow, auto, uncached):
        place.host("echo 1 >f; chmod 644 f")
        assert place.run("stat -c %a f; ls none 2>&1 | wc -l").out == "644\n1\n"
        place.host("chmod 600 f; echo 2 >none")
    assert uncached.run("stat -c %a f; cat none").out == "600\n2\n"
    time.sleep(1.2)
    assert auto.run("stat -c %a f; cat none").out == "600\n2\n"
    assert slow.run("stat -c %a f").out == "644\n"
    assert "No such file" in slow.run("cat none", check=False).err
    assert slow.run("chmod 640 f; echo x >none2; stat -c %a f; cat none2").out == "640\nx\n"
