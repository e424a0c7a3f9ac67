# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine with shared folders, for tests and for the demo.

    with Guest([Share(path, cache="auto")], kernel="6.12", queues=2) as guest:
        guest.mount()
        print(guest.run("ls /mnt").out)

A Share is a folder, a tag and the daemon that serves it. Guest starts the daemons and
QEMU, and talks to the agent in the guest (agent.c) over a virtio-serial port, so that
commands and their output pass byte for byte. Everything lives in one folder below
build/guest/run, which leave() removes; QEMU and the daemons die with this process.

Environment:
    VIRTIOFSD    the daemon (default build/virtiofsd)
    GUEST_ACCEL  QEMU's accelerator (default: kvm if it can boot a guest, else tcg)
    GUEST_QEMU   the emulator
"""

import collections
import contextlib
import ctypes
import fcntl
import glob
import itertools
import json
import os
import platform
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.path.join(TOP, "build/guest")
HELLO = b"virtiofsd-guest-agent-1"
FRAME = struct.Struct("<BBHI")          # type, padding, id, length; see agent.c
RESTART = FRAME.pack(ord("H"), 0, 0, len(HELLO)) + HELLO
BOOT_TIME = 90                          # seconds; a slow machine under TCG
PR_SET_PDEATHSIG = 1

# panic=-1: a guest that crashes starts anew, which fails the commands that ran. norandmaps:
# emulated code is translated once for all processes, so these start five times as fast.
KERNEL_ARGUMENTS = ("quiet loglevel=4 panic=-1 mitigations=off nopti nokaslr norandmaps "
                    "init_on_alloc=0")

# A large translation cache makes a reset slow: its entries are dropped page by page.
TCG = "tcg,thread=multi,tb-size=64"

# Without what costs much to emulate; and without cmpxchg16b, with which one in ten boots of
# 6.12 breaks in QEMU 7.2 (corrupted slab free lists).
TCG_CPU = {"x86_64": "max,la57=off,cx16=off", "aarch64": "max,pauth=off"}

libc = ctypes.CDLL(None, use_errno=True)
Result = collections.namedtuple("Result", "status out err")


class GuestError(Exception):
    """The guest, QEMU or a daemon did not do what it was asked to."""


class Missing(Exception):
    """Something that a guest needs is not on this machine."""


def daemon_path():
    return os.path.abspath(os.environ.get("VIRTIOFSD") or os.path.join(TOP, "build/virtiofsd"))


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_by_sigterm():
    """A time limit that ends pytest leaves nothing behind either. (pytest-xdist may load a
    conftest in another thread, which cannot say so.)"""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))


def wait_until(what, condition, timeout, step=0.01):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise GuestError("%s: not within %d s" % (what, timeout))
        time.sleep(step)


@contextlib.contextmanager
def locked(folder, how=0):
    """Holds the lock of a folder against other processes."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(lock)


def run_folder(short=True):
    """A new folder, (path, lock); short: its path is short enough for sockets. A run that
    was killed leaves its own behind: those that nobody holds locked are removed here."""
    parent = os.path.join(BUILD, "run")
    if short and len(parent) > 70:
        parent = os.path.join(tempfile.gettempdir(), "virtiofsd-guests-%d" % os.getuid())
    os.makedirs(parent, mode=0o755, exist_ok=True)
    with locked(parent):                        # other processes make folders here, too
        for path in glob.glob(parent + "/vm-*"):
            try:
                with locked(path, fcntl.LOCK_NB):
                    shutil.rmtree(path, ignore_errors=True)
            except OSError:
                pass
        path = tempfile.mkdtemp(prefix="vm-", dir=parent)
        lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return path, lock


def remove_run_folder(path, lock):
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    try:
        os.rmdir(os.path.dirname(path))
    except OSError:
        pass                            # others are at work there


def tail(path, size=6000):
    try:
        with open(path, "rb") as f:
            f.seek(max(0, os.path.getsize(path) - size))
            return f.read().decode(errors="replace")
    except OSError:
        return ""


def prepare(kernel):
    """The guest's kernel and file system; fetched and made when they are not there."""
    os.makedirs(BUILD, mode=0o755, exist_ok=True)
    with locked(BUILD):
        fetch_and_make(kernel)


def fetch_and_make(kernel):
    if kernel != "uml":
        done = subprocess.run([os.path.join(TOP, "tools/guest-fetch"), kernel],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise Missing("no %s kernel: %s" % (kernel, done.stderr.strip()[-400:]))
    done = subprocess.run([os.path.join(TOP, "tools/guest-initramfs"), kernel],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise GuestError("tools/guest-initramfs %s: %s" % (kernel, done.stderr.strip()))


# -- the daemon ------------------------------------------------------------------------

# A shell with mounts of its own, which go when the last process in it does.
OWN_MOUNTS = ["unshare", "--mount", "sh", "-c", '%s\nexec "$@"', "sh"]


class Share:
    """A folder and the daemon that serves it. `mounts` is a script that mounts something on
    or below "$share" first: nobody else sees that, but for those who look with `seen`."""

    def __init__(self, path, tag="share", cache="auto", options=(), binary=None, mounts=None):
        self.path = os.path.abspath(path)
        self.tag = tag
        self.cache = cache
        self.options = list(options)
        self.binary = binary or daemon_path()
        self.mounts = mounts
        self.process = None
        self.socket = None
        self.log_path = None

    def start(self, folder):
        if not os.access(self.binary, os.X_OK):
            raise Missing("no daemon at " + self.binary)
        self.socket = os.path.join(folder, self.tag + ".sock")
        self.log_path = os.path.join(folder, self.tag + ".log")
        args = [self.binary, "--socket-path=" + self.socket, "--shared-dir=" + self.path,
                "--cache=" + self.cache, *self.options]
        if self.mounts:
            args = [word % self.mounts if "%s" in word else word for word in OWN_MOUNTS] + args
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env=dict(os.environ, share=self.path),
                                            preexec_fn=die_with_parent)
        wait_until("the daemon's socket",
                   lambda: os.path.exists(self.socket) or self.process.poll() is not None, 20)
        if self.process.poll() is not None:
            raise GuestError("the daemon ended with status %d:\n%s"
                             % (self.process.returncode, self.log()))

    @property
    def pid(self):
        return self.process.pid

    @property
    def seen(self):
        """The folder, with what is mounted there for the daemon alone."""
        return "/proc/%d/root%s" % (self.pid, self.path) if self.mounts else self.path

    def log(self):
        return tail(self.log_path, 1 << 20)

    def pids(self):
        """The daemon's processes: the one that was started and all below it."""
        parents = collections.defaultdict(list)
        for path in glob.glob("/proc/[0-9]*/stat"):
            try:
                with open(path) as f:
                    text = f.read()
            except OSError:
                continue
            parents[int(text.rpartition(")")[2].split()[1])].append(int(text.split()[0]))
        found = [self.pid]
        for pid in found:
            found += parents[pid]
        return found

    def descriptors(self):
        """What the daemon has open: Counter of link texts. A table that processes share
        counts once for each of them, which does no harm to a comparison."""
        found = collections.Counter()
        for pid in self.pids():
            try:
                for fd in os.listdir("/proc/%d/fd" % pid):
                    try:
                        found[os.readlink("/proc/%d/fd/%s" % (pid, fd))] += 1
                    except OSError:
                        pass
            except OSError:
                pass
        return found

    def settled_descriptors(self, timeout=10, still=0.5):
        """descriptors(), once they have stayed the same for a while."""
        end = time.monotonic() + timeout
        last, since = self.descriptors(), time.monotonic()
        while time.monotonic() < min(end, since + still):
            time.sleep(0.05)
            now = self.descriptors()
            if now != last:
                last, since = now, time.monotonic()
        return last

    def wait(self, timeout):
        """The exit status; an error if the daemon does not end in time."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise GuestError("the daemon still runs after %s s" % timeout) from None

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(6)
            except subprocess.TimeoutExpired:
                for pid in self.pids()[::-1]:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
        for path in (self.socket, self.socket and self.socket + ".pid"):
            if path and os.path.exists(path):
                os.unlink(path)


# -- the agent -------------------------------------------------------------------------

class Job:
    """A command in the guest. sink(stream, bytes), if given, gets its output as it comes."""

    def __init__(self, agent, number, sink=None):
        self.agent = agent
        self.number = number
        self.sink = sink
        self.parts = {"O": [], "E": []}
        self.status = None
        self.lost = None
        self.ended = threading.Event()

    def output(self, stream, data):
        if self.sink:
            self.sink(stream, data)
        else:
            self.parts[stream].append(data)

    def input(self, data):
        for at in range(0, len(data), 65536):
            self.agent.send("I", self.number, data[at:at + 65536])

    def close_input(self):
        self.agent.send("I", self.number, b"")

    def signal(self, number):
        self.agent.send("K", self.number, struct.pack("<I", number))

    def resize(self, rows, cols):
        self.agent.send("W", self.number, struct.pack("<HH", rows, cols))

    def wait(self, timeout=None):
        end = timeout and time.monotonic() + timeout
        while not self.ended.wait(0.25):
            trouble = self.agent.trouble()
            if not trouble and end and time.monotonic() > end:
                trouble = "a command did not end within %s s" % timeout
                self.signal(signal.SIGKILL)
                self.ended.wait(5)
            if trouble:
                raise GuestError("%s; its output so far:\n%s\n%s" % (
                    trouble, self.text("O")[-2000:], self.text("E")[-2000:]))
        if self.lost:
            raise GuestError(self.lost)
        return Result(self.status, self.text("O"), self.text("E"))

    def text(self, stream):
        return b"".join(self.parts[stream]).decode(errors="surrogateescape")


class Agent:
    """Our side of the port: agent.c tells the protocol. trouble() says, if there is any,
    why commands may now hang for ever."""

    def __init__(self, sock, trouble):
        self.sock = sock
        self.trouble = trouble
        self.jobs = {}
        self.numbers = itertools.cycle(range(1, 65536))
        self.lock = threading.Lock()
        self.starts = 0                 # how often the guest's agent has started
        self.closed = False
        self.changed = threading.Condition()
        threading.Thread(target=self.read, daemon=True).start()

    def send(self, kind, number, data=b""):
        with self.lock:
            try:
                self.sock.sendall(FRAME.pack(ord(kind), 0, number, len(data)) + data)
            except OSError:
                pass                    # read() sees the end as well and tells all jobs

    def start(self, command, tty=None, sink=None):
        with self.lock:
            number = next(self.numbers)
            job = self.jobs[number] = Job(self, number, sink)
        if tty:
            self.send("T", number, struct.pack("<HH", *tty) + command.encode())
        else:
            self.send("R", number, command.encode(errors="surrogateescape"))
        return job

    def read(self):
        data = bytearray()
        while True:
            try:
                piece = self.sock.recv(1 << 16)
            except OSError:
                piece = b""
            if not piece:
                break
            data += piece
            self.parse(data)
        self.drop_jobs("the guest has gone")
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def parse(self, data):
        at = data.find(RESTART)
        if at >= 0:                     # whatever was before it: from before a reset
            del data[:at + len(RESTART)]
            self.drop_jobs("the guest was reset")
            with self.changed:
                self.starts += 1
                self.changed.notify_all()
        at = 0
        while len(data) - at >= FRAME.size:
            kind, _, number, length = FRAME.unpack_from(data, at)
            if len(data) - at < FRAME.size + length:
                break
            self.handle(chr(kind), number, bytes(data[at + FRAME.size:at + FRAME.size + length]))
            at += FRAME.size + length
        del data[:at]

    def handle(self, kind, number, payload):
        job = self.jobs.get(number)
        if not job:
            return
        if kind in "OE":
            job.output(kind, payload)
        elif kind == "X":
            del self.jobs[number]
            job.status = struct.unpack("<I", payload)[0]
            job.ended.set()

    def drop_jobs(self, why):
        with self.lock:
            jobs, self.jobs = self.jobs, {}
        for job in jobs.values():
            job.lost = why
            job.ended.set()

    def wait_start(self, count, timeout):
        """Waits for the agent's start number `count` (1: the first boot)."""
        with self.changed:
            self.changed.wait_for(lambda: self.starts >= count or self.closed, timeout)
            if self.starts < count:
                raise GuestError("the guest did not start" +
                                 ("" if self.closed else " within %d s" % timeout))


# -- QEMU ------------------------------------------------------------------------------

class Qmp:
    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(30)
        self.file = sock.makefile("r")
        self.line()
        self.command("qmp_capabilities")

    def line(self):
        """The monitor's next message. A QEMU that ends may reset the connection."""
        try:
            line = self.file.readline()
        except ConnectionError:
            line = ""
        if not line:
            raise GuestError("QEMU closed its monitor")
        return json.loads(line)

    def command(self, name, **arguments):
        try:
            self.sock.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        except ConnectionError as e:
            raise GuestError("QEMU closed its monitor") from e
        while True:
            answer = self.line()
            if "error" in answer:
                raise GuestError("%s: %s" % (name, answer["error"]["desc"]))
            if "return" in answer:
                return answer["return"]


def emulator(kernel):
    """The program with its first arguments, and the architecture. The 6.12 guests run in
    QEMU 10, if it could be had, and the others in the system's: two front-ends are tested."""
    arch = {"aarch64": "aarch64"}.get(platform.machine(), "x86_64")
    name = os.environ.get("GUEST_QEMU", "qemu-system-" + arch)
    newer = os.path.join(BUILD, "qemu")
    if kernel == "6.12" and "GUEST_QEMU" not in os.environ and os.path.isdir(newer):
        return [os.path.join(newer, name), "-L", newer + "/seabios", "-L", newer + "/qemu"], arch
    path = shutil.which(name)
    if not path:
        raise Missing("no " + name)
    return [path], arch


def accelerator(kernel):
    """kvm only where a guest was seen to boot with it; the answer is kept in build/guest."""
    if os.environ.get("GUEST_ACCEL"):
        return os.environ["GUEST_ACCEL"]
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "tcg"
    known = os.path.join(BUILD, "accel")
    if not os.path.exists(known):
        trial = Guest([], kernel=kernel, memory=512, accel="kvm")
        trial.boot_time = 10
        try:
            trial.start()
            answer = "kvm"
        except GuestError:
            answer = "tcg"
        finally:
            trial.leave()
        new = "%s.%d" % (known, os.getpid())    # nobody reads one that is half written
        with open(new, "w") as f:
            f.write(answer)
        os.replace(new, known)
    with open(known) as f:
        return f.read().strip()


class Guest:
    boot_time = BOOT_TIME

    def __init__(self, shares, kernel="6.1", queues=1, smp=2, memory=1024, queue_size=1024,
                 accel=None, extra=()):
        self.shares = shares
        self.kernel = kernel
        self.queues = queues
        self.smp = smp
        self.memory = memory
        self.queue_size = queue_size
        self.accel = accel
        self.extra = list(extra)
        self.folder = None
        self.qemu = None
        self.agent = None
        self.qmp = None

    def __enter__(self):
        try:
            return self.start()
        except BaseException:
            self.leave()
            raise

    def __exit__(self, *_):
        self.leave()

    def arguments(self, agent_fd, qmp_fd):
        program, arch = emulator(self.kernel)
        accel = self.accel or accelerator(self.kernel)
        cpu = "host" if accel == "kvm" else TCG_CPU[arch]
        console = "ttyS0" if arch == "x86_64" else "ttyAMA0"
        args = program + [
            "-nodefaults", "-no-user-config", "-display", "none",
            "-machine", "q35" if arch == "x86_64" else "virt",
            "-accel", TCG if accel == "tcg" else accel, "-cpu", cpu,
            "-smp", str(self.smp), "-m", "%dM" % self.memory,
            "-object", "memory-backend-memfd,id=mem,size=%dM,share=on" % self.memory,
            "-numa", "node,memdev=mem",
            "-kernel", os.path.join(BUILD, self.kernel, "vmlinuz"),
            "-initrd", os.path.join(BUILD, self.kernel, "initramfs.cpio"),
            "-append", "console=%s %s" % (console, KERNEL_ARGUMENTS),
            "-serial", "file:" + os.path.join(self.folder, "console"),
            "-chardev", "socket,id=qmp,fd=%d" % qmp_fd, "-mon", "chardev=qmp,mode=control",
            "-chardev", "socket,id=agent,fd=%d" % agent_fd,
            "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=agent,name=agent",
        ]
        for n, share in enumerate(self.shares):
            args += ["-chardev", "socket,id=fs%d,path=%s" % (n, share.socket.replace(",", ",,")),
                     "-device", "vhost-user-fs-pci,chardev=fs%d,tag=%s,queue-size=%d,"
                                "num-request-queues=%d" % (n, share.tag, self.queue_size, self.queues)]
        return args + self.extra

    def start(self):
        prepare(self.kernel)
        self.folder, self.lock = run_folder()
        for share in self.shares:
            share.start(self.folder)
        agent, agent_end = socket.socketpair()
        qmp, qmp_end = socket.socketpair()
        with agent_end, qmp_end, open(os.path.join(self.folder, "qemu.log"), "ab") as log:
            fds = (agent_end.fileno(), qmp_end.fileno())
            self.qemu = subprocess.Popen(self.arguments(*fds), stdin=subprocess.DEVNULL,
                                         stdout=log, stderr=log, pass_fds=fds,
                                         start_new_session=True, preexec_fn=die_with_parent)
        self.agent = Agent(agent, self.trouble)
        self.qmp = Qmp(qmp)
        self.agent.wait_start(1, self.boot_time)
        return self

    def trouble(self):
        for share in self.shares:
            if share.process.poll() is not None:
                return "the daemon of %s ended with status %d" % (share.tag, share.process.poll())
        return None

    def run(self, command, timeout=180, input=b"", check=True):
        """Runs a command line with the guest's bash; text in and out, see Result."""
        job = self.agent.start(command)
        if input:
            job.input(input)
        job.close_input()
        result = job.wait(timeout)
        if check and result.status != 0:
            raise GuestError("status %d: %s\n%s%s" % (
                result.status, command, result.out[-2000:], result.err[-4000:]))
        return result

    def mount(self, share=None, where="/mnt", options=""):
        tag = (share or self.shares[0]).tag
        self.run("mkdir -p %s && mount -t virtiofs %s %s %s" % (
            where, "-o " + options if options else "", tag, where))

    def umount(self, where="/mnt"):
        self.run("umount " + where)

    def reset(self, how):
        """how(): makes the guest start anew. Returns when its agent is there again."""
        count = self.agent.starts + 1
        how()
        self.agent.wait_start(count, self.boot_time)

    def reboot(self):
        self.reset(lambda: self.agent.start("reboot -f"))

    def system_reset(self):
        self.reset(lambda: self.qmp.command("system_reset"))

    def kill(self):
        if self.qemu and self.qemu.poll() is None:
            self.qemu.kill()
            self.qemu.wait()

    def power_off(self, timeout=20):
        """The orderly end: the guest goes first, then QEMU and with it the daemons."""
        if self.qemu.poll() is None:
            self.agent.start("umount -a -t virtiofs; poweroff -f")
            try:
                self.qemu.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()

    def report(self):
        """What to show when something went wrong."""
        if not self.folder:
            return ""
        parts = [("QEMU", "qemu.log"), ("guest's console", "console")]
        parts += [("daemon of %s, %s" % (s.tag, self.state(s)), s.tag + ".log") for s in self.shares]
        return "\n".join("--- %s:\n%s" % (title, tail(os.path.join(self.folder, name)))
                         for title, name in parts)

    @staticmethod
    def state(share):
        status = share.process.poll() if share.process else None
        return "running" if status is None else "ended with status %d" % status

    def leave(self):
        """Ends all processes and removes all files of this guest."""
        self.kill()
        for share in self.shares:
            share.stop()
        if self.agent:
            self.agent.sock.close()
        if self.qmp:
            self.qmp.sock.close()
        if self.folder:
            remove_run_folder(self.folder, self.lock)
        self.folder = None
