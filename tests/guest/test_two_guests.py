# SPDX-License-Identifier: BSD-3-Clause
"""Locks between two guests on one folder, each with a daemon of its own, and the host."""

import subprocess

import lab as shares
import vm

TIME = 60                               # for what takes no time on an idle machine
KINDS = ("posix", "ofd", "flock")


class Holder:
    """An fsop that has opened "f", does what it is told and holds what it has got."""

    def __init__(self, place, commands):
        self.place = place
        self.job = place.guest.agent.start("cd %s && exec fsop open f rw+creat , %s , hold"
                                           % (place.inside, commands))

    def out(self):
        return self.job.text("O").split()[1:]

    def granted(self):
        return self.out()[:1] == ["0"]

    def wait(self):
        vm.wait_until("a lock", self.granted, TIME)
        return self

    def end(self):
        self.job.close_input()
        self.job.wait(TIME)


class HostHolder(Holder):
    def __init__(self, place, commands):
        self.place = place
        self.fsop = subprocess.Popen(
            [vm.BUILD + "/" + place.kernel + "/fsop", "open", "f", "rw+creat", ",", *commands.split(), ",", "hold"],
            cwd=place.path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def wait(self):
        assert [self.fsop.stdout.readline() for _ in range(2)] == ["0\n", "0\n"]
        return self

    def end(self):
        self.fsop.stdin.close()
        self.fsop.wait(TIME)
        self.fsop.stdout.close()


class There:
    """The folder as the second guest sees it: its daemon shares just that."""

    def __init__(self, guest, kernel, path):
        self.guest, self.kernel, self.path, self.inside = guest, kernel, path, "/mnt"

    def run(self, command, **options):
        return self.guest.run("cd /mnt && " + command, **options)


def attempt(place, commands):
    run = place.host if isinstance(place, Host) else place.run
    return run("fsop open f rw , " + commands).out.split()[1:]


class Host:
    def __init__(self, place):
        self.host, self.kernel, self.path = place.host, place.kernel, place.path


def conflicts(here, there, host, kind):
    """What one has the others do not get, until it ends."""
    held = Holder(here, "lock %s w 0 10" % kind).wait()
    for other in (there, here, host):
        assert attempt(other, "lock %s w 5 10 , lock %s r 0 1" % (kind, kind)) == ["EAGAIN", "EAGAIN"]
        if kind != "flock":
            assert attempt(other, "lock %s w 10 10 , getlk 0 10" % kind) == ["0", "write", "0", "10"]
    held.end()
    for other in (there, here, host):
        assert attempt(other, "lock %s w 5 10" % kind) == ["0"]
    # Readers share.
    readers = [Holder(place, "lock %s r 0 0" % kind).wait() for place in (here, there)]
    assert attempt(host, "lock %s r 0 0 , lock %s w 0 0" % (kind, kind)) == ["0", "EAGAIN"]
    for reader in readers:
        reader.end()


def waits(here, there, kind):
    """One who waits gets it when the other ends; whatever else its guest does goes on."""
    for holder, waiter in ((here, there), (there, here)):
        held = Holder(holder, "lock %s w 0 10" % kind).wait()
        waiting = Holder(waiter, "lock-wait %s w 0 10" % kind)
        for n in range(3):
            assert waiter.run("echo %d >g && cat g && mv g h && rm h; ls" % n).out.split()[0] == str(n)
            assert not waiting.granted()
        held.end()
        waiting.wait().end()


def with_the_host(here, there, kind):
    held = HostHolder(here, "lock %s w 0 10" % kind).wait()
    waiting = [Holder(place, "lock-wait %s r 0 10" % kind) for place in (here, there)]
    here.run("ls")
    there.run("ls")
    assert not any(waiter.granted() for waiter in waiting)
    held.end()
    for waiter in waiting:
        waiter.wait()
    held = HostHolder(here, "lock-wait %s w 0 10" % kind)
    for waiter in waiting:
        waiter.end()
    held.wait().end()


def test_locks(on, own_guest):
    here = on("always")
    share = vm.Share(here.path, tag="there", options=shares.LOCKS)
    guest = own_guest([share], kernel=here.kernel, memory=512, smp=1)
    guest.mount()
    there = There(guest, here.kernel, here.path)
    here.run("touch f")
    for kind in KINDS:
        conflicts(here, there, Host(here), kind)
        waits(here, there, kind)
        with_the_host(here, there, kind)

    # The end of a machine is the end of its locks.
    held = [Holder(there, "lock %s w 0 10" % kind).wait() for kind in ("posix", "flock")]
    waiting = [Holder(here, "lock-wait %s w 0 10" % kind) for kind in ("posix", "flock")]
    here.run("ls")
    assert len(held) == 2 and not any(waiter.granted() for waiter in waiting)
    guest.kill()
    for waiter in waiting:
        waiter.wait().end()
    assert share.wait(TIME) == 0
