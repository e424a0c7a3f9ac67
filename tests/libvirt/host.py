# SPDX-License-Identifier: BSD-3-Clause
"""A host of its own for libvirt, and domains on it.

Nothing of the machine's own libvirt is used but its programs. The host is a set of namespaces:
/run and /var are folders of the test, /etc and /usr are the machine's with some files laid over
them (an overlay that cannot be written), and processes, network and System V objects are apart.
All of it goes when pid 1 (init, in this folder) does, and that does with this process.

    with Host("bookworm") as host:
        host.define(xml, "name")
        domain = Domain(host, "name")
        domain.start()
        domain.run("ls /mnt")

`bookworm` is what is installed, with its QEMU; `backports` is the newer one that tools/guest-fetch
has unpacked, with QEMU 10; `session` is that one, run by an ordinary user for itself.
"""

import glob
import json
import os
import platform
import shutil
import socket
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "guest"))
import vm  # noqa: E402

NEWER = os.path.join(vm.BUILD, "libvirt")
DAEMON = "/usr/libexec/virtiofsd-of-test"
USER = 12345                            # who has a libvirt of its own
QEMU_USER = 64055                       # who runs QEMU for root's
SUBIDS = (200000, 65536)

ACCOUNTS = {
    "passwd": "user:x:%d:%d::/run/home:/bin/sh\nlibvirt-qemu:x:%d:%d::/var/lib/libvirt:/bin/false\n"
              % (USER, USER, QEMU_USER, QEMU_USER),
    "group": "user:x:%d:\nlibvirt-qemu:x:%d:\nkvm:x:990:\n" % (USER, QEMU_USER),
    "subuid": "user:%d:%d\n" % SUBIDS,
    "subgid": "user:%d:%d\n" % SUBIDS,
}

# Of a host: kernel of its guests, where the newer libvirt is, and where the file is by which the
# daemon is found.
KINDS = {
    "bookworm": ("6.1", None, "/etc/qemu/vhost-user"),
    "backports": ("6.12", NEWER, "/usr/share/qemu/vhost-user"),
    "session": ("6.12", NEWER, "/run/home/.config/qemu/vhost-user"),
}


def write(path, text, mode=0o644):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, mode)


def read(path):
    with open(path, errors="replace") as file:
        return file.read()


class Host:
    def __init__(self, kind):
        self.kind = kind
        self.kernel, self.libvirt, self.json_folder = KINDS[kind]
        self.session = kind == "session"
        self.folder = None
        self.process = None
        self.pid = None                 # of pid 1, as the machine sees it
        self.domains = []

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.leave()
            raise
        return self

    def __exit__(self, *_):
        self.leave()

    # -- what it is made of

    def need(self):
        """Says what is missing on this machine."""
        if platform.machine() != "x86_64":
            raise vm.Missing("the domain of these tests is an x86-64 machine")
        if os.geteuid() != 0:
            raise vm.Missing("namespaces with a libvirt of their own need root")
        if not os.access(vm.daemon_path(), os.X_OK):
            raise vm.Missing("no daemon at " + vm.daemon_path())
        for program in ("libvirtd", "virtlogd", "virsh"):
            if not shutil.which(program, path="/usr/sbin:/usr/bin"):
                raise vm.Missing("no %s: tools/setup check" % program)
        vm.prepare(self.kernel)
        if self.libvirt:
            fetch("libvirt")
            fetch("qemu")

    def outside(self, path):
        """Where a path of this host is on the machine."""
        for name in ("/run", "/var"):
            if path.startswith(name + "/"):
                return self.folder + path
        raise ValueError(path)

    def lay_out(self):
        over = self.folder + "/over"
        for name, lines in ACCOUNTS.items():
            try:
                text = read("/etc/" + name)
            except OSError:
                text = ""
            write(over + "/etc/" + name, text + lines)
        shutil.copy(vm.daemon_path(), self.made(over + DAEMON))
        with open(os.path.join(vm.TOP, "contrib/50-virtiofsd.json.in")) as file:
            found = file.read().replace("@BINARY@", DAEMON)
        # Before the one that comes with bookworm's QEMU.
        where = self.json_folder + "/10-virtiofsd.json"
        write(self.folder + where if where.startswith("/run") else over + where, found)
        for name in ("lib/libvirt", "log/libvirt", "cache", "tmp"):
            os.makedirs(self.folder + "/var/" + name)
        os.symlink("/run", self.folder + "/var/run")
        for name in ("boot", "domain", "shares", "home", "user/%d" % USER, "qemu"):
            os.makedirs(self.folder + "/run/" + name, exist_ok=True)
        os.makedirs(over + "/etc/libvirt")
        write(self.folder + "/libvirt/libvirtd.conf", 'auth_unix_rw = "none"\n')
        # One has its logs written by virtlogd, as is the default, the others have files.
        handler = "logd" if self.kind == "bookworm" else "file"
        for path in ("/libvirt", "/run/home/.config/libvirt"):
            write(self.folder + path + "/qemu.conf", 'stdio_handler = "%s"\nnamespaces = []\n' % handler)
        if self.libvirt:
            name = os.path.basename(glob.glob(vm.BUILD + "/qemu/qemu-system-*")[0])
            write(over + "/usr/bin/" + name, "#!/bin/sh\nexec /run/qemu/%s -L /run/qemu/seabios "
                  "-L /run/qemu/qemu \"$@\"\n" % name, 0o755)
        for path in ("home", "user/%d" % USER):
            subprocess.run(["chown", "-R", "%d:%d" % (USER, USER), self.folder + "/run/" + path], check=True)
        os.chmod(self.folder + "/run/user/%d" % USER, 0o700)

    @staticmethod
    def made(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return path

    def mounts(self):
        over, run = self.folder + "/over", self.folder + "/run"
        newer = [self.libvirt + "/usr"] if self.libvirt else []
        plan = [["-t", "overlay", "-o", "ro,lowerdir=" + ":".join([over + "/usr", *newer, "/usr"]),
                 "overlay", "/usr"],
                ["-t", "overlay", "-o", "ro,lowerdir=%s/etc:/etc" % over, "overlay", "/etc"],
                ["--bind", self.folder + "/libvirt", "/etc/libvirt"],
                ["--bind", "-o", "ro", os.path.join(vm.BUILD, self.kernel), run + "/boot"]]
        if self.libvirt:
            plan.append(["--bind", "-o", "ro", vm.BUILD + "/qemu", run + "/qemu"])
            # libvirt asks QEMU for all it has, and 10 does not survive to find modules of 7.2.
            os.makedirs(self.folder + "/modules")
            plan += [["--bind", self.folder + "/modules", modules]
                     for modules in glob.glob("/usr/lib/*/qemu") if glob.glob(modules + "/*.so")]
        # No driver but QEMU's, and none of the other libvirt.
        driver = glob.glob((self.libvirt or "") + "/usr/lib/*/libvirt/connection-driver/*_qemu.so")[0]
        shutil.copy(driver, self.made(self.folder + "/drivers/" + os.path.basename(driver)))
        plan.append(["--bind", self.folder + "/drivers",
                     os.path.dirname(driver)[len(self.libvirt or ""):]])
        if os.path.exists("/dev/kvm"):
            # Guests are emulated; and a libvirt that finds that QEMU has it and QEMU's user has not
            # probes QEMU again and again. (A /dev of QEMU's own cannot take this mount along.)
            write(self.folder + "/kvm", "", 0)
            plan.append(["--bind", self.folder + "/kvm", "/dev/kvm"])
        return plan + [["--bind", self.folder + "/var", "/var"], ["--rbind", run, "/run"]]

    # -- its life

    def start(self):
        self.need()
        self.folder, self.lock = vm.run_folder()
        os.chmod(self.folder, 0o755)
        self.lay_out()
        plan = self.folder + "/plan"
        write(plan, json.dumps({"mounts": self.mounts()}))
        with open(self.folder + "/init.log", "ab") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--pid", "--net", "--ipc", "--fork", "--kill-child",
                 "--mount-proc", os.path.join(HERE, "init"), plan], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, preexec_fn=vm.die_with_parent)
        vm.wait_until("namespaces", lambda: self.ended() or self.process.poll() is not None, 20)
        if self.process.poll() is not None:
            raise vm.Missing("no namespaces of the test's own: " + vm.tail(self.folder + "/init.log"))
        with open("/proc/%d/task/%d/children" % (self.process.pid, self.process.pid)) as file:
            self.pid = int(file.read().split()[0])
        if not self.session:
            self.spawn("virtlogd")
        self.start_libvirtd()

    def start_libvirtd(self):
        self.libvirtd = self.spawn("libvirtd")

        def answers():
            if self.libvirtd.poll() is not None:
                raise vm.GuestError("libvirtd ended: " + vm.tail(self.folder + "/libvirtd.log"))
            return self.virsh("version", check=False).returncode == 0

        vm.wait_until("libvirtd", answers, 30, 0.1)

    def command(self, words):
        """A command as this host runs it, by the user if the libvirt is the user's."""
        words = list(words)
        if self.session:
            words = ["setpriv", "--reuid=%d" % USER, "--regid=%d" % USER, "--clear-groups", "env",
                     "HOME=/run/home", "XDG_RUNTIME_DIR=/run/user/%d" % USER, "USER=user", *words]
        return ["nsenter", "-t", str(self.pid), "-m", "-p", "-n", "-i", *words]

    def environment(self):
        kept = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        kept.update((name, os.environ[name]) for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS")
                    if name in os.environ)
        return kept

    def spawn(self, program):
        with open("%s/%s.log" % (self.folder, program), "ab") as log:
            return subprocess.Popen(self.command([program]), stdin=subprocess.DEVNULL, stdout=log,
                                    stderr=log, env=self.environment(), cwd="/",
                                    preexec_fn=vm.die_with_parent)

    def run(self, *words, check=True, timeout=60):
        done = subprocess.run(self.command(words), stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, env=self.environment(), cwd="/", timeout=timeout)
        if check and done.returncode != 0:
            raise vm.GuestError("%s: %s%s" % (" ".join(words), done.stdout, done.stderr))
        return done

    def virsh(self, *words, **how):
        return self.run("virsh", "-q", "-c", "qemu:///session" if self.session else "qemu:///system",
                        *words, **how)

    def ended(self):
        """What pid 1 has collected: {pid: status}, and "ready"."""
        try:
            lines = read(self.folder + "/run/ended").split("\n")[:-1]
        except OSError:
            return {}
        return {line.split()[0]: line.split()[-1] for line in lines}

    def status(self, pid, timeout=20):
        """The exit status of a process of this host that has lost its parent."""
        vm.wait_until("the end of process %d" % pid, lambda: str(pid) in self.ended(), timeout)
        return int(self.ended()[str(pid)])

    def alive(self, pid):
        return self.run("test", "-d", "/proc/%d" % pid, check=False).returncode == 0

    def state_folder(self):
        """Where sockets and pid files of running domains are."""
        return "/run/user/%d/libvirt/qemu/run" % USER if self.session else "/run/libvirt/qemu"

    def log_folder(self):
        return "/run/home/.cache/libvirt/qemu/log" if self.session else "/var/log/libvirt/qemu"

    def define(self, xml, name):
        write(self.folder + "/run/%s.xml" % name, xml)
        self.virsh("define", "/run/%s.xml" % name)

    def report(self):
        logs = [self.folder + "/init.log", self.folder + "/libvirtd.log",
                *sorted(glob.glob(self.outside(self.log_folder()) + "/*.log")),
                self.folder + "/run/domain/console"]
        return "\n".join("--- %s:\n%s" % (os.path.basename(log), vm.tail(log)) for log in logs)

    def leave(self):
        for domain in self.domains:
            domain.disconnect()
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.pid:
            vm.wait_until("the end of a host", lambda: not os.path.isdir("/proc/%d" % self.pid), 20)
        if self.folder:
            vm.remove_run_folder(self.folder, self.lock)
        self.folder = None


class Domain:
    def __init__(self, host, name):
        self.host = host
        self.name = name
        self.agent = None

    # -- what libvirt does with it

    def virsh(self, command, *words, **how):
        return self.host.virsh(command, self.name, *words, **how)

    def start(self):
        self.virsh("start", timeout=120)
        self.connect()

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        # By a path that is short enough, wherever the folder is.
        here = os.open(self.host.outside("/run/domain"), os.O_PATH | os.O_DIRECTORY)
        try:
            sock.connect("/proc/self/fd/%d/agent" % here)
        finally:
            os.close(here)
        self.agent = vm.Agent(sock, lambda: None)
        self.agent.wait_start(1, vm.BOOT_TIME)

    def disconnect(self):
        if self.agent:
            self.agent.sock.close()
        self.agent = None

    def state(self):
        return self.virsh("domstate").stdout.strip()

    def wait_state(self, state, timeout=20):
        vm.wait_until("the domain to be " + state, lambda: self.state() == state, timeout, 0.05)

    # -- its guest

    def run(self, command, timeout=60, check=True):
        job = self.agent.start(command)
        job.close_input()
        result = job.wait(timeout)
        if check and result.status != 0:
            raise vm.GuestError("status %d: %s\n%s%s" % (result.status, command, result.out, result.err))
        return result

    def mount(self, *tags):
        self.run("".join("mkdir -p /mnt/%s && mount -t virtiofs %s /mnt/%s || exit 1\n" % (tag, tag, tag)
                         for tag in tags))

    # -- its daemons

    def qemu(self):
        return int(read(self.host.outside("%s/%s.pid" % (self.host.state_folder(), self.name))))

    def files(self):
        """What libvirt has of the running domain's daemons: pid files and sockets."""
        folder = self.host.outside(self.host.state_folder())
        return sorted(path for root, _, names in os.walk(folder) for name in names
                      for path in [os.path.join(root, name)] if "-fs." in path or "-fs" in name)

    def pid_file(self, alias):
        folder = self.host.outside(self.host.state_folder())
        return glob.glob("%s/**/*%s-fs.pid" % (folder, alias), recursive=True)[0]

    def daemon(self, alias):
        return int(read(self.pid_file(alias)))

    def command_line(self, pid):
        return self.host.run("cat", "/proc/%d/cmdline" % pid).stdout.split("\0")[:-1]

    def log(self, alias):
        return read(glob.glob("%s/%s-%s-virtiofsd.log" % (
            self.host.outside(self.host.log_folder()), self.name, alias))[0])


def fetch(what):
    done = subprocess.run([os.path.join(vm.TOP, "tools/guest-fetch"), what],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise vm.Missing("no newer %s: %s" % (what, done.stderr.strip()[-400:]))
