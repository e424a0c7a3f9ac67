# SPDX-License-Identifier: BSD-3-Clause
"""A source tree's life on the share: unpacked, committed to git, compared, removed."""

import contextlib
import io
import os
import random
import shutil
import signal
import tarfile
import threading

import pytest

import conftest
import vm

FILES = 3000 if conftest.MATRIX is conftest.FULL else 300
LIST = (r"find . -name .git -prune -o -type d -printf '%p %y %m %U:%G %n\n' -o "
        r"-printf '%p %y %m %U:%G %n %s %l %T@\n' | sort")
COMMIT = ("git init -q . && git add -A && git commit -qm tree && git status --porcelain && "
          "git rev-parse HEAD && git ls-files | wc -l")

# Seconds for one command: without a cache, git in an emulated guest takes minutes.
LIMIT = 900


def make_archive(path, files):
    """A tree that looks like sources, the same in every run: text of many sizes, empty files,
    programs, links, odd names, and a few large files that do not compress."""
    rng = random.Random(2020)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz_", k=rng.randint(2, 10)))
             for _ in range(500)]
    text = " ".join(rng.choices(words, k=40000)).replace(" z", ";\n\tz").encode()
    folders = ["tree"]
    for n in range(files // 20 + 10):
        folders.append("%s/%s-%d" % (rng.choice(folders), rng.choice(words), n))
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        def add(name, kind=tarfile.REGTYPE, data=b"", mode=0o644, link=""):
            info = tarfile.TarInfo(name)
            info.type, info.size, info.mode, info.linkname = kind, len(data), mode, link
            info.mtime = 1600000000 + rng.randint(0, 10 ** 7) + rng.choice((0, 0.25, 0.123456789))
            tar.addfile(info, io.BytesIO(data))

        for folder in folders:
            add(folder, tarfile.DIRTYPE, mode=0o755)
        names = []
        for n in range(files):
            name = "%s/%s%d.%s" % (rng.choice(folders), rng.choice(words), n, rng.choice(("c", "h", "txt")))
            size = rng.choice((0, rng.randint(1, 300), rng.randint(1, 4096), rng.randint(1, 12000)))
            at = rng.randint(0, len(text) - size)
            add(name, data=text[at:at + size], mode=rng.choice((0o644, 0o644, 0o644, 0o755, 0o600)))
            names.append(name)
        for n in range(60):
            add("tree/link%d" % n, tarfile.SYMTYPE, link=names[n][5:], mode=0o777)
            add("tree/hard%d" % n, tarfile.LNKTYPE, link=names[n + 100])
        for n in range(3):
            add("tree/large%d" % n, data=rng.randbytes(700000 + n))
        for name in ("sp ace", "\u00e4\u20ac", "q'uo\"te", "l" * 240):
            add("tree/" + name, data=name.encode())


def archive_of(tmp_path_factory, files):
    """The archive and what the host makes of it: path, the folder it is unpacked in, commit."""
    folder = str(tmp_path_factory.mktemp("tree"))
    path = os.path.join(folder, "tree.tar")
    make_archive(path, files)
    conftest.host_run("tar xf tree.tar && cp -a tree committed", folder, "6.1")
    result = conftest.host_run(COMMIT, folder + "/committed", "6.1")
    yield path, folder + "/tree", result.out
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    yield from archive_of(tmp_path_factory, FILES)


@pytest.fixture(scope="session")
def small_archive(tmp_path_factory):
    yield from archive_of(tmp_path_factory, 300)


def life_of_a_tree(place, archive):
    path, unpacked, commit = archive
    shutil.copy(path, place.path + "/tree.tar")
    conftest.host_run("cp -a '%s' '%s'" % (unpacked, place.native), "/", "6.1")
    native = place.inside + ".native/tree"

    assert place.run("tar xf tree.tar && ls", timeout=LIMIT).out == "tree\ntree.tar\n"
    listing = place.run("cd tree && " + LIST, timeout=LIMIT).out
    assert listing == conftest.host_run(LIST, place.path + "/tree", "6.1").out
    assert listing == conftest.host_run(LIST, unpacked, "6.1").out

    ours = place.run("cd tree && " + COMMIT, timeout=LIMIT)
    assert ours.out == commit and ours.err == ""
    place.run("cd tree && git fsck --strict --no-progress", timeout=LIMIT)
    place.run("diff -r --no-dereference --exclude=.git tree " + native, timeout=LIMIT)
    conftest.host_run("diff -r --no-dereference --exclude=.git tree '%s' && cd tree && "
                      "git fsck --strict --no-progress && git status --porcelain" % unpacked,
                      place.path, "6.1")
    assert place.run("rm -rf tree && ls -A", timeout=LIMIT).out == "tree.tar\n"
    assert os.listdir(place.path) == ["tree.tar"]


def test_tree(place, archive):
    life_of_a_tree(place, archive)


def test_tree_sanitized(own_guest, archive):
    """The same with the daemon that was built with sanitizers, and what they say."""
    daemon = os.environ.get("VIRTIOFSD_SANITIZED", os.path.join(vm.TOP, "build-asan/virtiofsd"))
    if not os.access(daemon, os.X_OK):
        pytest.skip("no daemon with sanitizers at " + daemon)
    share = vm.Share(conftest.work_folder(), binary=daemon)
    guest = own_guest([share], queues=2)
    guest.mount()
    life_of_a_tree(conftest.Place(guest, share, "tree"), archive)
    guest.power_off()
    status = share.wait(30)
    conftest.alarms(share.log())
    assert status == 0


@contextlib.contextmanager
def deaths(share):
    """Kills the process that serves, again and again, a second or two apart. The list that this
    gives is of those that died."""
    rng, end, killed = random.Random(1), threading.Event(), []

    def work():
        while not end.wait(rng.uniform(0.5, 2.5)):
            worker = share.pids()[-1]
            if worker != share.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker, signal.SIGKILL)
                    killed.append(worker)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield killed
    finally:
        end.set()
        thread.join()


def test_tree_with_deaths(own_guest, small_archive):
    """The same with a daemon whose serving process dies all the time: the guest notices nothing."""
    share = vm.Share(conftest.work_folder(), options=["--restart-limit=1000/0"])
    guest = own_guest([share], queues=2)
    guest.mount()
    with deaths(share) as killed:
        for n in range(5):              # a fast machine meets enough deaths only in a few
            life_of_a_tree(conftest.Place(guest, share, "tree%d" % n), small_archive)
            if len(killed) >= 10:
                break
    assert len(killed) >= 10, "too few to say anything"
    guest.power_off()
    assert share.wait(30) == 0
    assert share.log().count("The new worker serves") >= len(killed) - 1
