# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the guest tests: which guests there are, and a place to work in.

The matrix is kernel x request queues x cache mode. GUEST_MATRIX=small (the default) takes
four guests that have each value, and each pair of kernel and queues, once; full takes all
sixteen. Tests share guests: `config` is the outermost loop, and a guest is booted anew
only after a test has ended it, or broken it.

    guest   the machine of the present config, with its share mounted at /mnt
    place   a new folder on it, seen from both sides

Tests of options, and of what is put on top of a mount, have a machine with many shares
(lab.py), each served by a daemon with options of its own and mounted at /mnt/TAG:

    lab     that machine; GUEST_MATRIX=full has it with both kernels
    on      on(TAG) is a new folder on a share of it, seen from both sides
"""

import itertools
import os
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import lab as lab_shares  # noqa: E402
import vm  # noqa: E402

KERNELS = ("6.1", "6.12")
CACHES = ("auto", "always", "never", "metadata")
SMALL = (("6.1", 1, "auto"), ("6.12", 2, "always"), ("6.1", 2, "never"), ("6.12", 1, "metadata"))
FULL = tuple(itertools.product(KERNELS, (1, 2), CACHES))
MATRIX = FULL if os.environ.get("GUEST_MATRIX") == "full" else SMALL
LAB_KERNELS = KERNELS if MATRIX is FULL else KERNELS[1:]
# Tests of the small matrix that need guests of their own, or minutes, leave the rest out.
FEW = SMALL[:2]



def in_full(*values):
    """Values of a parameter that the small matrix leaves out."""
    return values if MATRIX is FULL else ()


# Both sides run commands with these.
ENVIRONMENT = {
    "LC_ALL": "C", "TZ": "UTC", "HOME": "/root",
    "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*",
    "GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "C", "GIT_COMMITTER_EMAIL": "c@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}
EXPORTS = "export " + " ".join("%s='%s'" % v for v in ENVIRONMENT.items()) + "; umask 022; "

# What a sanitizer says in the log of a daemon that was built with one.
ALARMS = ("Sanitizer", "runtime error:")


vm.end_by_sigterm()

# No name is used twice: a guest may still know what the host has removed.
numbers = itertools.count(1)


def config_id(config):
    return "%s-%dq-%s" % config


class Pool:
    """At most one guest at a time: the one that tests share."""

    def __init__(self):
        self.guest = None
        self.config = None

    def get(self, config):
        if self.guest and (config != self.config or not self.usable()):
            self.drop()
        if not self.guest:
            self.config = config
            self.boot(config)
        return self.guest

    def boot(self, config):
        kernel, queues, cache = config
        guest = self.guest = vm.Guest([vm.Share(work_folder(), cache=cache)],
                                      kernel=kernel, queues=queues)
        guest.start()
        guest.before = descriptor_kinds(guest.shares[0])
        guest.mount()

    def usable(self):
        guest = self.guest
        if not guest.agent or guest.trouble() or guest.qemu.poll() is not None:
            return False
        try:
            guest.run(self.mounted(), timeout=20)
        except vm.GuestError:
            return False
        return True

    @staticmethod
    def mounted():
        """A command that fails in a guest that lacks what boot() gave it."""
        return "grep -q ' /mnt ' /proc/mounts || mount -t virtiofs share /mnt"

    def drop(self):
        guest, self.guest = self.guest, None
        if not guest:
            return
        log = ""
        try:
            if guest.agent and not guest.trouble():
                guest.power_off()
            for share in guest.shares:
                share.stop()
                log += share.log() if share.log_path else ""
        finally:
            guest.leave()
            for share in guest.shares:
                remove_work_folder(share.path)
        alarms(log)


class Lab(Pool):
    """The machine with many shares; its config is the kernel."""

    def boot(self, config):
        shares = [vm.Share(work_folder(), tag=tag, **how) for tag, how in lab_shares.SHARES.items()]
        guest = self.guest = vm.Guest(shares, kernel=config)
        guest.start()
        for share in shares:
            guest.mount(share, "/mnt/" + share.tag)

    @staticmethod
    def mounted():
        return "[ $(grep -c '^[^ ]* /mnt/[^/]* virtiofs' /proc/mounts) = %d ]" % len(lab_shares.SHARES)


def alarms(log):
    for word in ALARMS:
        assert word not in log, "the daemon's log:\n" + log[log.index(word) - 200:][:8000]


locks = {}                              # of the folders that work_folder() has made


def work_folder():
    """A folder to share. It is on the disk that build/ is on."""
    folder, lock = vm.run_folder(short=False)
    path = os.path.join(folder, "share")
    os.mkdir(path, 0o755)
    locks[path] = lock
    return path


def remove_work_folder(path):
    vm.remove_run_folder(os.path.dirname(path), locks.pop(path))


def descriptor_kinds(share):
    """descriptors(), with the numbers of sockets and pipes left out."""
    kinds = {}
    for link, n in share.settled_descriptors().items():
        kind = link.split(":[")[0] if link.startswith(("socket:", "pipe:")) else link
        kinds[kind] = kinds.get(kind, 0) + n
    return kinds


def host_run(command, folder, kernel, timeout=120, check=True):
    """The host's counterpart of Guest.run()."""
    env = dict(ENVIRONMENT, PATH=os.path.join(vm.BUILD, kernel) + ":/usr/sbin:/usr/bin")
    done = subprocess.run(["/bin/bash", "-c", "umask 022; " + command], cwd=folder, env=env,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    result = vm.Result(done.returncode, done.stdout.decode(errors="surrogateescape"),
                       done.stderr.decode(errors="surrogateescape"))
    if check:
        assert result.status == 0, "on the host: %s\n%s%s" % (command, result.out, result.err)
    return result


class Place:
    """A folder of the share: `path` on the host, `inside` in the guest; and `native`, a
    folder beside it in which the host does for itself what the guest does in this one."""

    def __init__(self, guest, share, name, where="/mnt"):
        self.guest = guest
        self.share = share
        self.kernel = guest.kernel
        self.cache = share.cache
        self.path = os.path.join(share.seen, name)
        self.inside = os.path.join(where, name)
        self.native = os.path.join(share.seen, name + ".native")
        for path in (self.path, self.native):
            shutil.rmtree(path, ignore_errors=True)
            os.mkdir(path, 0o755)

    def remove(self):
        for path in (self.path, self.native):
            subprocess.run(["rm", "-rf", path], check=False)

    def run(self, command, **options):
        return self.guest.run("%scd '%s' || exit 99; %s" % (EXPORTS, self.inside, command), **options)

    def host(self, command, **options):
        return host_run(command, self.path, self.kernel, **options)

    def same(self, command, timeout=300):
        """The command is run in the guest here and by the host in its folder: what they
        print and their status are the same. Returns it."""
        ours = self.run(command, timeout=timeout, check=False)
        theirs = host_run(command, self.native, self.kernel, check=False)
        assert_equal(ours, theirs, command)
        return ours

    def view(self, command, timeout=300):
        """The command, which changes nothing, shows the guest and the host the same."""
        ours = self.run(command, timeout=timeout, check=False)
        theirs = self.host(command, check=False)
        assert_equal(ours, theirs, command)
        return ours


def need_shared_mappings(place):
    if place.kernel == "6.1" and place.cache in ("never", "metadata"):
        pytest.skip("guests before Linux 6.6 have no shared mappings of files that are not cached")


def assert_equal(ours, theirs, command):
    if ours != theirs:
        pytest.fail("the guest and the host differ after:\n%s\n--- guest: %d\n%s%s--- host: %d\n%s%s" % (
            command.strip(), ours.status, ours.out[:6000], ours.err[:3000],
            theirs.status, theirs.out[:6000], theirs.err[:3000]), pytrace=False)


@pytest.fixture(scope="session")
def pool():
    pool = Pool()
    yield pool
    pool.drop()


@pytest.fixture(scope="session", params=MATRIX, ids=config_id)
def config(request):
    return request.param


@pytest.fixture
def guest(pool, config):
    try:
        return pool.get(config)
    except vm.Missing as e:
        pool.drop()
        pytest.skip(str(e))


@pytest.fixture(scope="session")
def labs():
    labs = Lab()
    yield labs
    labs.drop()


@pytest.fixture(scope="session", params=LAB_KERNELS)
def lab_kernel(request):
    return request.param


@pytest.fixture
def lab(labs, lab_kernel):
    if os.geteuid() != 0:
        pytest.skip("the daemon's options that are tested here need root")
    try:
        return labs.get(lab_kernel)
    except vm.Missing as e:
        labs.drop()
        pytest.skip(str(e))


@pytest.fixture
def on(request, lab):
    places = []

    def make(tag):
        share = next(share for share in lab.shares if share.tag == tag)
        places.append(Place(lab, share, "%s-%d" % (request.node.originalname, next(numbers)),
                            "/mnt/" + tag))
        return places[-1]

    yield make
    for place in places:
        place.remove()


@pytest.fixture
def own_guest(request):
    """own_guest(shares, ...) starts a guest for this test alone."""
    guests = []

    def start(shares, **options):
        guest = vm.Guest(shares, **options)
        guests.append(guest)
        request.node.own_guest = guest          # for its report, if the test fails
        try:
            return guest.start()
        except vm.Missing as e:
            pytest.skip(str(e))

    yield start
    for guest in guests:
        guest.leave()
        for share in guest.shares:
            if share.path in locks:             # else: somebody else's
                remove_work_folder(share.path)


@pytest.fixture
def place(request, guest):
    place = Place(guest, guest.shares[0], "%s-%d" % (request.node.originalname, next(numbers)))
    yield place
    place.remove()


def pytest_configure(config):
    config.addinivalue_line("markers", "few: in the small matrix, run for FEW guests only")


@pytest.hookimpl(tryfirst=True)      # before that of pytest-xdist
def pytest_collection_modifyitems(config, items):
    def left_out(item):
        return MATRIX is SMALL and item.get_closest_marker("few") and hasattr(item, "callspec") \
            and item.callspec.params["config"] not in FEW

    config.hook.pytest_deselected(items=[item for item in items if left_out(item)])
    items[:] = [item for item in items if not left_out(item)]
    # Processes that share the work (pytest-xdist) take the tests of a guest together.
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        if "config" in parameters or "lab_kernel" in parameters:
            guest = str(parameters.get("config") or parameters["lab_kernel"])
        elif "machines" in item.fixturenames or "files" in item.fixturenames:
            guest = item.module.__name__
        else:
            continue
        item.add_marker(pytest.mark.xdist_group(guest))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure comes with what the guest's console and the daemons have said."""
    report = (yield).get_result()
    if report.failed:
        guest = getattr(item, "own_guest", None) or \
            next((item.funcargs[name].guest for name in ("pool", "labs") if name in item.funcargs), None)
        if guest:
            report.sections.append(("guest", guest.report()))
