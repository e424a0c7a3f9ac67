# SPDX-License-Identifier: BSD-3-Clause
"""What a guest's life does to the daemon: mounts, resets, pauses, sudden ends.

After each of them the daemon serves on as before, with no descriptor left over, or has
ended in good time with the right status.
"""

import os
import signal
import time

import pytest

import conftest
import vm

pytestmark = pytest.mark.few

# Reads and writes without end, of data and of names.
LOAD = ("cd %s && while :; do dd if=/dev/zero of=load bs=64k count=16 status=none; "
        "cat load >/dev/null; mkdir -p d/e; mv d d2; rm -r d2; ls -l >/dev/null; done")


def start_load(place):
    job = place.guest.agent.start(LOAD % place.inside)
    vm.wait_until("the load's first file", lambda: os.path.exists(place.path + "/load"), 20)
    return job


def no_descriptor_left(guest):
    """A new mount ends what an earlier one has left, and its own end leaves nothing."""
    guest.run("mount -t virtiofs share /mnt && umount /mnt")
    left = conftest.descriptor_kinds(guest.shares[0])
    assert left == guest.before, "the daemon's descriptors before and now differ"


def works(place):
    place.same("mkdir works; echo text >works/f; cat works/f; ls works; rm -r works; ls works 2>&1")


def test_mount_loop(place):
    """Nothing that a mount has held outlives it."""
    guest = place.guest
    place.run("mkdir many; cd many; fsop fill f 100")
    guest.umount()
    no_descriptor_left(guest)
    guest.run("for i in $(seq 20); do mount -t virtiofs share /mnt && ls -l %s/many | wc -l && "
              "exec 5<%s/many/f1 && exec 5<&- && umount /mnt || exit 1; done"
              % (place.inside, place.inside), timeout=120)
    no_descriptor_left(guest)
    guest.mount()
    works(place)


def test_reboot(place):
    guest = place.guest
    place.run("mkdir many; cd many; fsop fill f 100; ls -l >/dev/null; exec 5<f1; sleep 1000 &")
    guest.reboot()
    no_descriptor_left(guest)
    guest.mount()
    works(place)


def test_system_reset(place):
    """The reset comes in the middle of I/O, with nodes and handles held."""
    guest = place.guest
    place.run("mkdir many; cd many; fsop fill f 100; ls -l >/dev/null")
    start_load(place)
    guest.system_reset()
    no_descriptor_left(guest)
    guest.mount()
    works(place)


def test_reset_of_a_booting_guest(place):
    """Two resets in a row: the second one meets a device that is being set up."""
    guest = place.guest
    guest.agent.start("reboot -f")
    time.sleep(1.5)
    guest.system_reset()
    no_descriptor_left(guest)
    guest.mount()
    works(place)


def test_stop_and_continue(place):
    """QEMU stops the queues at each pause, and starts them where they were."""
    guest = place.guest
    job = guest.agent.start(
        "cd %s && fio --name=verify --filename=f --rw=randwrite --bs=4k --size=12M --verify=crc32c "
        "--do_verify=1 --verify_fatal=1 --fallocate=none --thread --ioengine=libaio --iodepth=16 "
        "--direct=1 --loops=2 >out 2>&1" % place.inside)
    for _ in range(8):
        time.sleep(0.4)
        guest.qmp.command("stop")
        time.sleep(0.1)
        guest.qmp.command("cont")
    assert job.wait(180).status == 0, place.run("cat out").out
    place.view("sha256sum f")
    works(place)


def test_kill_of_qemu(place):
    """The end of QEMU in the middle of I/O is the orderly end of the daemon."""
    share = place.guest.shares[0]
    start_load(place)
    place.guest.kill()
    assert share.wait(5) == 0
    assert "Client disconnected, shutting down" in share.log()


def test_sigterm(place):
    share = place.guest.shares[0]
    start_load(place)
    share.process.send_signal(signal.SIGTERM)
    assert share.wait(5) == 1


def test_power_off(place):
    """The guest's own end, with the share mounted."""
    guest = place.guest
    place.run("echo kept >f")
    guest.power_off()
    assert guest.shares[0].wait(5) == 0
    assert place.host("cat f").out == "kept\n"


def test_two_shares(own_guest):
    """Two daemons in one guest, each with its own folder and tag."""
    shares = [vm.Share(conftest.work_folder(), tag=tag) for tag in ("one", "two")]
    guest = own_guest(shares)
    for share in shares:
        guest.mount(share, "/mnt/" + share.tag)
    guest.run("echo 1 >/mnt/one/f; cp /mnt/one/f /mnt/two/g; mv /mnt/one/f /mnt/two/h")
    assert os.listdir(shares[0].path) == []
    assert sorted(os.listdir(shares[1].path)) == ["g", "h"]
    assert guest.run("umount /mnt/one; cat /mnt/two/g").out == "1\n"
