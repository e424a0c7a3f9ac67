# SPDX-License-Identifier: BSD-3-Clause
"""What a user installs: by make install, and as a Debian package.

The trees are copies; nothing is installed on this machine.
"""
import glob
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess

import pytest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# The files of Debian's other daemons that are about virtio-fs: package virtiofsd (1.13 to 1.14), and
# qemu-system-common of Debian 12.
TAKEN = {
    "usr/libexec/virtiofsd", "usr/lib/qemu/virtiofsd",
    "usr/share/qemu/vhost-user/50-virtiofsd.json",
    "usr/share/qemu/vhost-user/50-qemu-virtiofsd.json",
    "usr/share/man/man1/virtiofsd.1.gz", "usr/share/man/man1/virtiofsd.1",
    "usr/share/doc/virtiofsd/copyright",
}
# What they call their files, as sorted by libvirt
OTHER_JSON = ("50-qemu-virtiofsd.json", "50-virtiofsd.json")

PACKAGE = {
    "usr/bin/virtiofsd-c",
    "usr/share/qemu/vhost-user/40-virtiofsd-c.json",
    "usr/share/man/man1/virtiofsd-c.1.gz",
    "usr/bin/virtiofsctl",
    "usr/share/man/man1/virtiofsctl.1.gz",
    "usr/share/bash-completion/completions/virtiofsctl",
    "usr/share/virtiofsd-c/bpftrace/errors.bt",
    "usr/lib/systemd/system/virtiofsd@.service",
    "usr/lib/systemd/system/virtiofsd@.socket",
    "usr/share/bash-completion/completions/virtiofsd-c",
    "usr/share/zsh/vendor-completions/_virtiofsd-c",
    "usr/share/fish/vendor_completions.d/virtiofsd-c.fish",
    "etc/apparmor.d/virtiofsd-c",
    "etc/apparmor.d/virtiofsd-c.d/shares",
    "usr/share/doc/virtiofsd-c/README.Debian",
    "usr/share/doc/virtiofsd-c/copyright",
}

INSTALLED = {
    "usr/libexec/virtiofsd",
    "usr/share/qemu/vhost-user/50-virtiofsd.json",
    "usr/share/man/man1/virtiofsd.1",
    "usr/bin/virtiofsctl",
    "usr/share/man/man1/virtiofsctl.1",
    "usr/share/virtiofsd/bpftrace/latency.bt",
    "usr/lib/systemd/system/virtiofsd@.service",
    "usr/lib/systemd/system/virtiofsd@.socket",
    "usr/share/bash-completion/completions/virtiofsd",
    "usr/share/zsh/site-functions/_virtiofsd",
    "usr/share/fish/vendor_completions.d/virtiofsd.fish",
    "etc/apparmor.d/virtiofsd",
    "etc/apparmor.d/virtiofsd.d/shares",
}


def need(*programs):
    for p in programs:
        if not shutil.which(p):
            pytest.skip("%s is not installed" % p)


def run(*args, **more):
    """A command that must succeed; what it says."""
    # The tests' own settings are none of a build's.
    env = {k: v for k, v in os.environ.items()
           if k not in ("MAKEFLAGS", "MAKELEVEL", "PREFIX", "LIBEXECDIR", "DESTDIR", "CFLAGS")}
    r = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, env=dict(env, **more.pop("env", {})),
                       timeout=170, check=False, **more)
    assert r.returncode == 0, "%s: status %d\n%s" % (" ".join(args), r.returncode,
                                                     r.stdout[-4000:])
    return r.stdout


def copy_tree(where):
    def unwanted(folder, names):
        return [n for n in names if n in (".git", "__pycache__", ".pytest_cache") or
                folder == TOP and n.startswith("build")]
    shutil.copytree(TOP, where, ignore=unwanted, symlinks=True)
    return where


def files(root):
    """path: (mode, hash) of all files below it"""
    found = {}
    for folder, _, names in os.walk(root):
        for n in names:
            path = os.path.join(folder, n)
            with open(path, "rb") as f:
                digest = hashlib.sha256(f.read()).hexdigest()
            found[os.path.relpath(path, root)] = (os.stat(path).st_mode, digest)
    return found


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def version():
    return re.search(r"^  version: '([^']+)'", read(TOP, "meson.build"), re.M).group(1)


def named_program_is_there(root, json_file):
    """The path that VMM managers and systemd go by is a program of this version."""
    program = json.loads(read(root, json_file))["binary"]
    said = run(root + program, "--version").strip()
    assert said == "virtiofsd " + version()
    unit = read(root, "usr/lib/systemd/system/virtiofsd@.service")
    assert re.search(r"^ExecStart=%s " % program, unit, re.M)
    return program


# --- make install ---

@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(tree, root): by make install, of a tree that has no build yet"""
    need("make", "meson", "ninja")
    top = tmp_path_factory.mktemp("install")
    tree, root = copy_tree(str(top / "tree")), str(top / "root")
    # The tests would take most of the time, and are not installed.
    run("meson", "setup", "-Dtests=disabled", "build", cwd=tree)
    run("make", "install", "PREFIX=/usr", "DESTDIR=" + root, cwd=tree)
    return tree, root


def test_make_install(installed):
    _, root = installed
    assert INSTALLED <= set(files(root))
    assert named_program_is_there(root, "usr/share/qemu/vhost-user/50-virtiofsd.json") == \
        "/usr/libexec/virtiofsd"


def test_make_install_twice_is_the_same(installed, tmp_path):
    tree, root = installed
    before = files(root)
    run("make", "install", "DESTDIR=" + root, cwd=tree)
    assert files(root) == before
    run("make", "install", "PREFIX=/usr", "DESTDIR=" + str(tmp_path), cwd=tree)
    assert files(str(tmp_path)) == before


def test_make_install_into_other_folders(installed, tmp_path):
    tree, _ = installed
    run("make", "install", "prefix=/opt/vfs", "libexecdir=lib/vfs", "DESTDIR=" + str(tmp_path),
        cwd=tree)
    found = set(files(str(tmp_path)))
    assert "opt/vfs/lib/vfs/virtiofsd" in found
    assert not [f for f in found if not f.startswith("opt/vfs/")]
    for f in ("share/qemu/vhost-user/50-virtiofsd.json", "lib/systemd/system/virtiofsd@.service",
              "etc/apparmor.d/virtiofsd"):
        assert "/opt/vfs/lib/vfs/virtiofsd" in read(str(tmp_path), "opt/vfs", f)
        assert "@" not in re.sub(r"virtiofsd@|@\{PROC\}", "", read(str(tmp_path), "opt/vfs", f))


# --- the Debian package ---

@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """(folder, root): where it was built, and what is in it"""
    need("dpkg-buildpackage", "dh", "dh_apparmor")
    top = tmp_path_factory.mktemp("package")
    tree, root = copy_tree(str(top / "tree")), str(top / "root")
    run("dpkg-buildpackage", "-us", "-uc", "-b", cwd=tree)
    run("dpkg-deb", "-x", deb(str(top)), root)
    return str(top), root


def deb(folder):
    found = [f for f in glob.glob(folder + "/*.deb") if "-dbgsym" not in f]
    assert len(found) == 1
    return found[0]


def test_package_has_each_file(package):
    found = files(package[1])
    assert PACKAGE <= set(found)
    assert found["usr/bin/virtiofsd-c"][0] & 0o7777 == 0o755
    # What belongs to the other program is there as soon as that is.
    assert not [f for f in found if f.endswith((".py", ".c", ".o"))]


def test_package_has_the_program_it_names(package):
    assert named_program_is_there(package[1], "usr/share/qemu/vhost-user/40-virtiofsd-c.json") == \
        "/usr/bin/virtiofsd-c"
    assert re.search(r"^profile virtiofsd-c /usr/bin/virtiofsd-c ",
                     read(package[1], "etc/apparmor.d/virtiofsd-c"), re.M)


def test_package_lives_beside_others(package):
    found = set(files(package[1]))
    assert not found & TAKEN
    for other in ("virtiofsd", "qemu-system-common"):
        r = subprocess.run(["dpkg", "-L", other], capture_output=True, text=True, check=False)
        theirs = {line.lstrip("/") for line in r.stdout.splitlines()}
        assert not found & theirs
    fields = run("dpkg-deb", "-f", deb(package[0]))
    assert not re.search(r"^(Conflicts|Breaks|Replaces):", fields, re.M)


def test_package_is_what_libvirt_takes(package):
    ours, = glob.glob(package[1] + "/usr/share/qemu/vhost-user/*")
    assert min((os.path.basename(ours),) + OTHER_JSON) == os.path.basename(ours)
    assert os.path.basename(ours) in read(package[1], "usr/share/doc/virtiofsd-c/README.Debian")


def test_package_depends_on_what_it_needs(package):
    need("readelf")
    depends = run("dpkg-deb", "-f", deb(package[0]), "Depends")
    program = package[1] + "/usr/bin/virtiofsd-c"
    libraries = re.findall(r"NEEDED.*\[(.*)\]", run("readelf", "-d", program,
                                                   package[1] + "/usr/bin/virtiofsctl"))
    packages = {"libc.so.6": "libc6", "libcap-ng.so.0": "libcap-ng0",
                "libseccomp.so.2": "libseccomp2",
                "libjson-c.so.5": "libjson-c5", "libm.so.6": "libc6"}
    for library in libraries:
        assert packages[library] in depends, library


def test_package_version_is_the_programs():
    changelog = read(TOP, "debian/changelog")
    assert changelog.startswith("virtiofsd-c (%s) " % version())
    assert ".TH VIRTIOFSD 1" in read(TOP, "doc/virtiofsd.1")
    assert '"virtiofsd %s"' % version() in read(TOP, "doc/virtiofsd.1")


def test_package_is_fine_for_lintian(package):
    need("lintian")
    changes, = glob.glob(package[0] + "/*.changes")
    said = run("lintian", "--allow-root", "--fail-on", "error,warning,info", "--display-info",
               changes)
    assert not said.strip(), said


def test_manuals_render_without_a_warning(package, tmp_path):
    need("man")
    pages = glob.glob(package[1] + "/usr/share/man/man*/*.gz")
    assert pages
    for page in pages:
        plain = tmp_path / os.path.basename(page)[:-3]
        with gzip.open(page) as f:
            plain.write_bytes(f.read())
        r = subprocess.run(["man", "--warnings=w", "-E", "UTF-8", "-l", "-Tutf8", str(plain)],
                           capture_output=True, text=True, check=False, timeout=60,
                           env=dict(os.environ, LC_ALL="C.UTF-8", MANROFFSEQ="", MANWIDTH="80"))
        assert r.returncode == 0 and not r.stderr, r.stderr
        assert "\nNAME\n" in re.sub(".\b", "", r.stdout)
