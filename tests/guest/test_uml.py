# SPDX-License-Identifier: BSD-3-Clause
"""User-Mode Linux: a front-end whose guest memory is one file, and which asks the daemon for
the tag (--tag)."""

import os
import shutil
import subprocess

import pytest

import conftest
import vm

LINUX = "linux.uml"

# What the guest does; the same is then asked of the host.
SCRIPT = """
set -e
mount -t virtiofs tagged /mnt
cd /mnt
cat from-host
echo from the guest >from-guest
mkdir -p a/b; ln -s from-host s; mv from-guest a/b/; ln a/b/from-guest l
head -c 3000000 /dev/zero | tr '\\0' u >large; sha256sum large; sync
dd if=large of=direct bs=64k oflag=direct iflag=direct status=none
"""
LOOK = "find . -mindepth 1 -printf '%p %y %m %n %s %l\\n' | sort; find . -type f -exec sha256sum {} + | sort"


def preload(folder):
    """Lets UML run on hosts with more floating point state than it knows; see the source."""
    library = os.path.join(folder, "uml_xstate.so")
    subprocess.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o",
                    library, os.path.join(vm.TOP, "tests/guest/uml_xstate.c")], check=True)
    return library


@pytest.fixture
def folder():
    folder, lock = vm.run_folder()
    yield folder
    vm.remove_run_folder(folder, lock)


@pytest.mark.parametrize("cache", conftest.CACHES)
def test_uml(folder, cache):
    if not shutil.which(LINUX):
        pytest.skip("no " + LINUX)
    vm.prepare("uml")
    share = vm.Share(conftest.work_folder(), tag="tagged", cache=cache, options=["--tag=tagged"])
    control = os.path.join(folder, "control")
    os.mkdir(control)
    with open(control + "/run", "w") as f:
        f.write(SCRIPT + LOOK)
    with open(share.path + "/from-host", "w") as f:
        f.write("text of the host\n")
    try:
        try:
            share.start(folder)
        except vm.Missing as e:
            pytest.skip(str(e))
        with open(folder + "/console", "w") as console:
            subprocess.run(
                [LINUX, "mem=256M", "initrd=" + os.path.join(vm.BUILD, "uml/initramfs.cpio"),
                 "virtio_uml.device=%s:26" % share.socket, "host=" + control,
                 "con=null", "con0=null,fd:1", "ssl=null", "uml_dir=" + folder],
                env=dict(os.environ, LD_PRELOAD=preload(folder), TMPDIR="/dev/shm"), timeout=120,
                stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                start_new_session=True, preexec_fn=vm.die_with_parent)
        said = "\n".join(vm.tail(path) for path in (control + "/out", control + "/err",
                                                    folder + "/console", share.log_path))
        assert vm.tail(control + "/status") == "0\n", said
        look = conftest.host_run(LOOK, share.path, "uml").out
        assert vm.tail(control + "/out", 1 << 20).endswith(look), said
        assert share.wait(5) == 0, said
    finally:
        share.stop()
        conftest.remove_work_folder(share.path)
