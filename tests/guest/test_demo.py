# SPDX-License-Identifier: BSD-3-Clause
"""tools/demo: one command with exact output and status, and a shell on a terminal."""

import os
import pty
import select
import signal
import subprocess
import time

import pytest

import conftest
import vm

DEMO = os.path.join(vm.TOP, "tools/demo")


@pytest.fixture
def folder(tmp_path):
    if not os.access(vm.daemon_path(), os.X_OK):
        pytest.skip("no daemon at " + vm.daemon_path())
    for n in range(50):
        (tmp_path / ("file %d" % n)).write_bytes(os.urandom(n * 1000))
    return str(tmp_path)


def demo(folder, command, **env):
    return subprocess.run([DEMO], env=dict(os.environ, DIR=folder, CMD=command, **env),
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=120)


def nothing_left():
    """No process of this user works in a run folder that is gone or ours."""
    ps = subprocess.run(["ps", "-eo", "ppid,args"], capture_output=True, text=True).stdout
    return not [line for line in ps.split("\n") if "chardev=agent" in line and line.split()[0] == "1"]


@pytest.mark.parametrize("kernel", conftest.KERNELS)
def test_command(folder, kernel):
    done = demo(folder, "find /mnt -type f | wc -l; cd /mnt && find . -type f -exec sha256sum {} + "
                        "| sort | sha256sum; cat 'file 49'; echo error >&2; exit 7", KERNEL=kernel)
    host = subprocess.run(["bash", "-c", "find . -type f | wc -l; find . -type f -exec sha256sum {} + "
                           "| sort | sha256sum; cat 'file 49'"], cwd=folder, capture_output=True)
    assert done.stderr == b"error\n"
    assert done.stdout == host.stdout
    assert done.returncode == 7
    assert nothing_left()


def test_interrupt(folder):
    """Ctrl-C ends it at once and leaves nothing."""
    process = subprocess.Popen([DEMO], env=dict(os.environ, DIR=folder, CMD="echo up; sleep 1000"),
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 130
    process.communicate()
    assert nothing_left()


class Terminal:
    """A shell in the demo, as a person has it."""

    def __init__(self, folder):
        self.seen = b""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            env = dict(os.environ, DIR=folder, TERM="xterm")
            env.pop("CMD", None)
            os.execve(DEMO, [DEMO], env)

    def expect(self, text, timeout=120):
        end = time.monotonic() + timeout
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0, end - time.monotonic()))
            assert ready, "no %r in %r" % (text, self.seen)
            try:
                self.seen += os.read(self.fd, 65536)
            except OSError:
                break
        self.seen = self.seen[self.seen.find(text) + len(text):]

    def type(self, text):
        os.write(self.fd, text)

    def end(self):
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def test_shell(folder):
    """Line editing, Ctrl-C, job control; its status is the shell's."""
    terminal = Terminal(folder)
    terminal.expect(b"guest:/mnt# ")
    terminal.type(b"ls | wc -X\x7fl\r")             # a mistake, corrected with backspace
    terminal.expect(b"50\r\n")
    terminal.type(b"sleep 1000\r")
    time.sleep(0.5)
    terminal.type(b"\x03")
    terminal.expect(b"guest:/mnt# ")
    terminal.type(b"sleep 1000\r")
    time.sleep(0.5)
    terminal.type(b"\x1a")
    terminal.expect(b"Stopped")
    terminal.type(b"kill %1; stty size; exit 5\r")
    terminal.expect(b"24 80\r\n")
    terminal.expect(b"exit")
    assert terminal.end() == 5
    assert nothing_left()


def test_shell_power_off(folder):
    terminal = Terminal(folder)
    terminal.expect(b"guest:/mnt# ")
    terminal.type(b"poweroff\r")
    assert terminal.end() == 0


