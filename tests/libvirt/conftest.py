# SPDX-License-Identifier: BSD-3-Clause
"""Fixtures of the libvirt tests: `host`, each kind in turn, and `domain` on it, which runs with
all its shares mounted at /mnt/TAG whenever a test begins."""

import os
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import host as hosts  # noqa: E402
import machine  # noqa: E402
import vm  # noqa: E402

vm.end_by_sigterm()


class Machine(hosts.Domain):
    """The domain of machine.py, and the daemon of its share `outside`, which is started by hand."""

    def __init__(self, host):
        self.outside = None
        super().__init__(host, "machine")
        self.tags = list(machine.SHARES[host.kind])
        # A user's daemons are root for what the user owns.
        owner = hosts.USER if host.session else 0
        os.chmod(host.folder + "/run/domain", 0o777)
        for tag in self.tags:
            os.mkdir(self.seen(tag))
            os.chown(self.seen(tag), owner, owner)
        host.define(machine.xml(host.kind, self.name), self.name)
        host.domains.append(self)

    def seen(self, tag):
        return self.host.folder + "/run/shares/" + tag

    def alias(self, tag):
        return "fs%d" % self.tags.index(tag)

    def own_tags(self):
        """Those whose daemons are libvirt's"""
        return [tag for tag in self.tags if tag != "outside"]

    def pids(self):
        return {tag: self.daemon(self.alias(tag)) for tag in self.own_tags()}

    def start(self):
        if "outside" in self.tags:
            self.start_outside()
        super().start()
        self.mount(*self.tags)

    def start_outside(self):
        socket = self.host.folder + "/run/domain/outside.sock"
        with open(self.host.folder + "/outside.log", "ab") as log:
            self.outside = subprocess.Popen(
                self.host.command([hosts.DAEMON, "--socket-path=/run/domain/outside.sock",
                                   "--shared-dir=/run/shares/outside", "--socket-group=libvirt-qemu"]),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.host.environment(),
                preexec_fn=vm.die_with_parent)
        vm.wait_until("the daemon by hand", lambda: os.path.exists(socket), 20)

    def ensure(self):
        if self.agent and self.state() == "running" and not self.agent.closed:
            return
        self.disconnect()
        if self.state() != "shut off":
            self.virsh("destroy")
        if self.outside and self.outside.poll() is None:
            self.outside.terminate()
            self.outside.wait()
        self.start()


# The newer libvirt as root has little that the other two have not.
KINDS = list(hosts.KINDS) if os.environ.get("GUEST_MATRIX") == "full" else ["bookworm", "session"]


@pytest.fixture(scope="session", params=KINDS)
def host(request):
    host = hosts.Host(request.param)
    try:
        host.start()
        yield host
    except vm.Missing as e:
        pytest.skip(str(e))
    finally:
        host.leave()


@pytest.fixture(scope="session")
def machine_of_host(host):
    return Machine(host)


@pytest.fixture
def domain(machine_of_host):
    machine_of_host.ensure()
    return machine_of_host


@pytest.hookimpl(tryfirst=True)      # before that of pytest-xdist
def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.xdist_group(item.callspec.params["host"]))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure comes with the logs of that host."""
    report = (yield).get_result()
    host = item.funcargs.get("host")
    if report.failed and host and host.folder:
        report.sections.append(("host", host.report()))
