# SPDX-License-Identifier: BSD-3-Clause
"""A share that is one regular file: the guest mounts a directory that has the file in it."""

import os

import pytest

import conftest
import vm

TAGS = ("auto", "always", "never")


class Files:
    """A guest with three shares, one for each cache mode: a file in a folder with others."""

    def __init__(self, kernel):
        self.folder = conftest.work_folder()
        for tag in TAGS:
            os.mkdir(os.path.join(self.folder, tag))
            for name in ("image", "secret"):
                self.write(tag, name, name + " of " + tag + "\n")
        self.guest = vm.Guest([vm.Share(self.path(tag), tag=tag, cache=tag) for tag in TAGS],
                              kernel=kernel)

    def path(self, tag, name="image"):
        return os.path.join(self.folder, tag, name)

    def write(self, tag, name, text):
        with open(self.path(tag, name), "w") as f:
            f.write(text)

    def read(self, tag, name="image"):
        with open(self.path(tag, name)) as f:
            return f.read()

    def leave(self):
        self.guest.leave()
        conftest.remove_work_folder(self.folder)


@pytest.fixture(scope="module", params=conftest.LAB_KERNELS)
def files(request):
    files = Files(request.param)
    try:
        files.guest.start()
        for share in files.guest.shares:
            files.guest.mount(share, "/mnt/" + share.tag)
        yield files
        for share in files.guest.shares:
            conftest.alarms(share.log())
    except vm.Missing as e:
        pytest.skip(str(e))
    finally:
        files.leave()


@pytest.fixture(params=TAGS)
def tag(request):
    return request.param


@pytest.fixture
def run(files, tag):
    return lambda command, **options: files.guest.run(
        "cd /mnt/%s || exit 99; %s" % (tag, command), **options)


def test_it_is_all_there_is(files, tag, run):
    assert run("ls -a").out == ".\n..\nimage\n"
    assert run("cat image").out == files.read(tag)
    assert run("cat secret ../%s/secret image/../secret; echo *" % tag).out == "image\n"
    assert run("stat -c '%F %a %h' . ; find . -type f; test . -ef ..; echo $?").out == \
        "directory 555 2\n./image\n1\n"
    st = os.stat(files.path(tag))
    assert run("stat -c '%i %a %u %g %s %Y' image").out == "%d %o %d %d %d %d\n" % (
        st.st_ino, st.st_mode & 0o7777, st.st_uid, st.st_gid, st.st_size, st.st_mtime)


def test_contents(files, tag, run):
    run("echo one >image; echo two >>image; sync")
    assert files.read(tag) == "one\ntwo\n"
    run("truncate -s 3 image; dd if=/dev/zero of=image bs=1M count=3 seek=1 conv=notrunc,fsync")
    assert os.stat(files.path(tag)).st_size == 4 << 20
    assert run("md5sum <image").out == conftest.host_run(
        "md5sum <image", os.path.dirname(files.path(tag)), files.guest.kernel).out
    run("chmod 640 image; touch -d @12345 image; : >image; sync -f .")
    assert os.stat(files.path(tag)).st_size == 0
    assert os.stat(files.path(tag)).st_mode & 0o777 == 0o640


def test_statfs(files, tag, run):
    vfs = os.statvfs(files.path(tag))
    for name in (".", "image"):
        assert run("stat -f -c '%b %S' " + name).out == "%d %d\n" % (vfs.f_blocks, vfs.f_frsize)


def test_the_directory_is_not_changed(files, tag, run):
    for command in ("echo x >new", "mkdir new", "ln image new", "ln -s image new", "mknod new p",
                    "rm -f image", "mv image new", "mv /etc/mtab new", "rmdir image",
                    "chmod 777 .", "cp -f /init secret"):
        assert run(command, check=False).status != 0, command
    assert sorted(os.listdir(os.path.dirname(files.path(tag)))) == ["image", "secret"]
    assert files.read(tag, "secret") == "secret of %s\n" % tag
    assert run("ls").out == "image\n"


def test_a_file_of_the_guest_becomes_it(files, tag, run):
    """What a user wants of it: the host's file in the place of one of the guest."""
    files.write(tag, "image", "")
    run("echo old >/tmp/place; mount --bind image /tmp/place; echo new >/tmp/place; sync")
    assert files.read(tag) == "new\n"
    run("umount /tmp/place; grep -q old /tmp/place; rm /tmp/place")


def test_users_may_use_it(files, tag, run):
    os.chmod(files.path(tag), 0o666)
    files.guest.run("umount /mnt/%s; mount -t virtiofs %s /mnt/%s" % (tag, tag, tag))
    run("setpriv --reuid=1000 --regid=1000 --clear-groups "
        "sh -c 'ls; cat image; echo user >image'; sync")
    assert files.read(tag) == "user\n"


def test_replaced_on_the_host(files, tag, run):
    """The guest goes on with the file that was shared; last, as the share has no name then."""
    files.write(tag, "image", "old\n")
    files.write(tag, "image2", "new\n")
    os.rename(files.path(tag, "image2"), files.path(tag))
    files.guest.run("umount /mnt/%s; mount -t virtiofs %s /mnt/%s" % (tag, tag, tag))
    assert run("cat image; echo more >>image; cat image").out == "old\nold\nmore\n"
    assert files.read(tag) == "new\n"
