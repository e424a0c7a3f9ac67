# SPDX-License-Identifier: BSD-3-Clause
"""The conformance suite (posix/): what a program sees on the mount is what it sees on the
host's file system, check by check and step by step.

Each run is one share: a kernel, a cache mode, the host's file system below it, the daemon's
options. The host runs the program beside the shared folder, on the same file system. What
may differ stands in posix/differences, and why in doc/differences.md; a difference that is
listed and does not show fails as well. All shares of a kernel are mounted in one guest.
"""

import collections
import ctypes
import itertools
import os
import re
import shutil
import subprocess

import pytest

import conftest
import vm

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "posix")
DOCUMENT = os.path.join(vm.TOP, "doc/differences.md")
LARGE = 50000                   # entries of the folder that check_dir.c reads while it changes
CLONE_NEWNS = 0x20000
SYSCTLS = ["fs/protected_" + name for name in ("hardlinks", "symlinks", "fifos", "regular")]
# The capabilities are what trusted.* names and inode flags take on the host.
OPTIONS = ["--xattr", "--posix-acl=auto", "--modcaps=+sys_admin:+linux_immutable"]
EXTRA = {
    "plain": [],
    "locks": ["-o", "posix_lock", "-o", "flock"],
    "writeback": ["--writeback"],
    "mmap": ["--allow-mmap"],
    "direct": ["--allow-direct-io"],
    "killpriv": ["--killpriv-v2"],
}

# part: of the checks, (which, of how many); None: all of them.
Run = collections.namedtuple("Run", "kernel cache fs extra part")

SMALL = [
    Run("6.12", "auto", "ext4", "plain", None),
    Run("6.12", "always", "xfs", "locks", (0, 4)),
    Run("6.12", "never", "ext4", "mmap", (1, 4)),
    Run("6.1", "never", "xfs", "plain", (2, 4)),
    Run("6.1", "auto", "ext4", "killpriv", (3, 4)),
    Run("6.1", "always", "ext4", "writeback", (0, 4)),
]
FULL = [Run(kernel, *rest) for kernel in conftest.KERNELS for rest in (
    *((cache, fs, "plain", None) for cache in ("auto", "always", "never")
      for fs in ("ext4", "xfs")),
    ("metadata", "ext4", "plain", None),
    ("auto", "btrfs", "plain", None),
    ("auto", "ext4", "locks", None),
    ("always", "ext4", "writeback", None),
    ("never", "ext4", "mmap", None),
    ("auto", "xfs", "direct", None),
    ("auto", "ext4", "killpriv", None),
)]
RUNS = FULL if conftest.MATRIX is conftest.FULL else SMALL


def run_id(run):
    return "-".join([run.kernel, run.cache, run.fs, run.extra] +
                    (["%d/%d" % run.part] if run.part else []))


# -- places to share -------------------------------------------------------------------

class Disks:
    """Folders on each file system, for which images are mounted. The mounts are in a mount
    namespace of this process's own, so that they end with it, however it ends."""

    def __init__(self):
        self.folder = self.lock = None
        self.mounted = {}

    def start(self):
        if self.folder:
            return
        if os.geteuid() != 0:
            pytest.skip("only root can mount an image")
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWNS) != 0:
            pytest.skip("no mount namespace: " + os.strerror(ctypes.get_errno()))
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        self.folder, self.lock = vm.run_folder(short=False)

    def mount(self, fs):
        """The folder on which an image with that file system is mounted."""
        self.start()
        if fs not in self.mounted:
            image, where = (os.path.join(self.folder, fs + end) for end in (".image", ""))
            if not shutil.which("mkfs." + fs):
                pytest.skip("no mkfs." + fs)
            with open(image, "wb") as file:
                file.truncate(4 << 30)
            os.mkdir(where)
            for command in (["mkfs." + fs, "-q", image], ["mount", "-o", "loop", image, where]):
                done = subprocess.run(command, capture_output=True, text=True)
                if done.returncode != 0:
                    pytest.skip("%s: %s" % (" ".join(command[:2]), done.stderr.strip()))
            self.mounted[fs] = where
        return self.mounted[fs]

    def place(self, fs):
        """A new folder to share, and its remover. The disk of build/ serves as ext4."""
        if fs == "ext4":
            path = conftest.work_folder()
            return path, lambda: conftest.remove_work_folder(path)
        path = os.path.join(self.mount(fs), "share-%d" % next(conftest.numbers))
        os.mkdir(path, 0o755)
        return path, lambda: shutil.rmtree(path, ignore_errors=True)

    def stop(self):
        for where in self.mounted.values():
            subprocess.run(["umount", where], check=False)
        if self.folder:
            vm.remove_run_folder(self.folder, self.lock)


@pytest.fixture(scope="module")
def disks():
    disks = Disks()
    yield disks
    disks.stop()


def fill(folder):
    os.mkdir(folder)
    for n in range(LARGE):
        os.mknod("%s/entry-%d" % (folder, n), 0o100644)


# -- guests ----------------------------------------------------------------------------

class Machine:
    """The guest of one kernel with a share for each run of it that can be had."""

    def __init__(self, kernel, disks, wanted):
        self.removers = []
        self.shares, self.reasons = {}, {}
        self.guest = None
        self.wanted = wanted
        self.disks = disks
        self.kernel = kernel

    def start(self):
        for n, run in enumerate(self.wanted):
            try:
                path, remover = self.disks.place(run.fs)
            except pytest.skip.Exception as e:
                self.reasons[run] = str(e)
                continue
            self.removers.append(remover)
            self.shares[run] = vm.Share(path, tag="share%d" % n, cache=run.cache,
                                        options=OPTIONS + EXTRA[run.extra])
        self.guest = vm.Guest(list(self.shares.values()), kernel=self.kernel, queues=1)
        self.guest.start()
        for name in SYSCTLS:
            with open("/proc/sys/" + name) as file:
                self.guest.run("echo %s >/proc/sys/%s" % (file.read().strip(), name))

    def stop(self):
        log = ""
        if self.guest:
            if self.guest.agent and not self.guest.trouble():
                self.guest.power_off()
            for share in self.shares.values():
                share.stop()
                log += share.log() if share.log_path else ""
            self.guest.leave()
        for remover in self.removers:
            remover()
        conftest.alarms(log)


class Machines:
    """One at a time, as long as it is in order."""

    def __init__(self, disks, wanted):
        self.disks = disks
        self.wanted = wanted
        self.now = None

    def get(self, run):
        if self.now and (self.now.kernel != run.kernel or self.now.guest.trouble() or
                         self.now.guest.qemu.poll() is not None):
            self.stop()
        if not self.now:
            self.now = Machine(run.kernel, self.disks,
                               [r for r in self.wanted if r.kernel == run.kernel])
            try:
                self.now.start()
            except vm.Missing as e:
                self.stop()
                pytest.skip(str(e))
        if run in self.now.reasons:
            pytest.skip(self.now.reasons[run])
        return self.now.guest, self.now.shares[run]

    def stop(self):
        now, self.now = self.now, None
        if now:
            now.stop()


@pytest.fixture(scope="module")
def machines(request, disks):
    """For the runs that were chosen: pytest may have been told to leave some out."""
    wanted = [item.callspec.params["run"] for item in request.session.items
              if item.originalname == "test_posix" and hasattr(item, "callspec")]
    machines = Machines(disks, wanted)
    yield machines
    machines.stop()


# -- reports ---------------------------------------------------------------------------

def parse(text):
    """{check: {step: outcome}}; the second step of one name has " #2" to it."""
    checks = {}
    for line in text.split("\n")[:-1]:
        name, step, outcome = line.split("\t")
        steps = checks.setdefault(name, {})
        for n in itertools.count(2):
            if step not in steps:
                break
            step = re.sub(r"( #\d+)?$", " #%d" % n, step, count=1)
        steps[step] = outcome
    return checks


Difference = collections.namedtuple("Difference", "check step host guest")


def wrong(check):
    """Where the check says itself that this is not what must come of it."""
    return [step for step, outcome in check.items() if re.search(r" !\S", outcome)]


def compare(host, guest):
    """The differences. A side that has said "no more" is not asked for what the other says."""
    for name, steps in host.items():
        other = guest.get(name, {})
        short = [any(o.endswith("no more") for o in s.values()) for s in (steps, other)]
        for step in {**steps, **other}:
            a, b = steps.get(step), other.get(step)
            if a != b and not (a is None and short[0]) and not (b is None and short[1]):
                yield Difference(name, step, a or "-", b or "-")


class Known:
    """A line of posix/differences, with the heading that it stands under."""

    def __init__(self, key, alternatives, line, number):
        self.key = key
        self.alternatives = alternatives
        self.number = number
        self.fields = Difference(*(f.strip() for f in line.split(" :: ")))
        self.patterns = [re.compile(".*".join(map(re.escape, f.split("*"))) + r"\Z", re.S)
                         for f in self.fields]
        self.used = False

    def holds(self, run):
        return any(all(getattr(run, name) in values for name, values in conditions)
                   for conditions in self.alternatives)

    def fits(self, difference):
        return all(p.match(f) for p, f in zip(self.patterns, difference))

    def ran(self, checks):
        return any(self.patterns[0].match(name) for name in checks)


def known_differences():
    known, key, alternatives = [], None, []
    with open(os.path.join(HERE, "differences"), encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.strip()
            heading = re.match(r"\[([\w-]+)\](.*)", line)
            if heading:
                key = heading.group(1)
                alternatives = [[(name, values.split(",")) for name, values in
                                 (c.split("=") for c in conditions.split())]
                                for conditions in heading.group(2).split("|")]
            elif line and not line.startswith("#"):
                known.append(Known(key, alternatives, line, number))
    return known


def judge(run, host, guest):
    """All that is wrong, as lines."""
    known = [k for k in known_differences() if k.holds(run)]
    for name, steps in host.items():
        for step in wrong(steps):
            yield "the host itself: %s: %s: %s" % (name, step, steps[step])
    for difference in compare(host, guest):
        fitting = [k for k in known if k.fits(difference)]
        for k in fitting:
            k.used = True
        if not fitting:
            yield " :: ".join(difference)
    for k in known:
        if not k.used and k.ran(host):
            yield "listed in line %d, but does not show: %s" % (k.number, " :: ".join(k.fields))


hosts = {}                      # reports of the host, by file system and part


def arguments(folder, run):
    return "posix '%s'%s" % (folder, " -part %d/%d" % run.part if run.part else "")


def host_report(share, run):
    key = run.fs, run.part
    if key not in hosts:
        folder = share.path + "/native"
        os.mkdir(folder, 0o755)
        if not run.part:
            fill(folder + "/large")
        done = conftest.host_run(arguments(folder, run), share.path, run.kernel, timeout=600)
        hosts[key] = parse(done.out)
        subprocess.run(["rm", "-rf", folder], check=True)
    return hosts[key]


def guest_report(guest, share, run):
    where = "/mnt/" + share.tag
    guest.mount(share, where)
    os.mkdir(share.path + "/guest", 0o755)
    if not run.part:
        fill(share.path + "/guest/large")
    report = guest.run("umask 022; " + arguments(where + "/guest", run), timeout=900).out
    guest.umount(where)
    subprocess.run(["rm", "-rf", share.path + "/guest"], check=True)
    return parse(report)


@pytest.mark.parametrize("run", RUNS, ids=run_id)
def test_posix(run, machines):
    guest, share = machines.get(run)
    findings = list(judge(run, host_report(share, run), guest_report(guest, share, run)))
    if findings:
        pytest.fail("check :: step :: host :: guest\n" + "\n".join(findings) + "\n" +
                    guest.report()[-4000:], pytrace=False)


def test_differences_are_documented():
    """Each reason in the list is a section of the document, and the other way round."""
    with open(DOCUMENT, encoding="utf-8") as file:
        sections = set(re.findall(r'<a id="([\w-]+)"></a>', file.read()))
    assert sections == {k.key for k in known_differences()}
