#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench/guest.py - daemons side by side in one real guest: fio, and work on many small files

    bench/guest.py [--peer NAME='COMMAND LINE' ...] [options]

One guest has a share of each daemon, and does the same work on each in turn, in rounds whose
order is turned around each time. Command lines and BENCH_PEERS are those of run.py. Emulated
guests (see tests/guest/vm.py; the output says which it was) are so slow that only the daemon's
CPU time and the number of requests mean much.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TOP, "tests/guest")]
sys.dont_write_bytecode = True
import lines    # noqa: E402
import stats    # noqa: E402
import vm       # noqa: E402

FIO = ("fio --name=j --filename=data --size=%(size)s --rw=%(rw)s --bs=%(bs)s --ioengine=%(engine)s "
       "--iodepth=%(depth)d --direct=%(direct)d --time_based --runtime=%(runtime)g --thread "
       "--fallocate=none --output-format=json")
# name: (rw, bs, engine, depth, direct)
FIO_JOBS = {
    "randread-4k": ("randread", "4k", "psync", 1, 1),
    "randread-4k-deep": ("randread", "4k", "libaio", 32, 1),
    "randwrite-4k": ("randwrite", "4k", "psync", 1, 1),
    "randwrite-4k-deep": ("randwrite", "4k", "libaio", 32, 1),
    "read-1m": ("read", "1m", "psync", 1, 1),
    "write-1m": ("write", "1m", "psync", 1, 1),
    "read-1m-cached": ("read", "1m", "psync", 1, 0),
}
# Seconds for each, the guest's caches dropped before. In this order: one makes what the next needs.
DROP = "sync; echo 3 >/proc/sys/vm/drop_caches; "
SCRIPTS = {
    "untar": "mkdir tree && tar xf /tmp/files.tar -C tree",
    "find": "find tree -type f -size +0 | wc -l",
    "read-all": "find tree -type f -exec cat {} + | wc -c",
    "copy": "cp -r tree copy",
    "remove": "rm -rf tree copy",
}


class LineShare(vm.Share):
    """A share whose daemon is started by a command line."""

    def __init__(self, path, name, line):
        super().__init__(path, tag=name)
        self.line = line

    def start(self, folder):
        self.socket = os.path.join(folder, self.tag + ".sock")
        self.log_path = os.path.join(folder, self.tag + ".log")
        command = "exec " + lines.fill(self.line, socket=self.socket, dir=self.path)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=vm.die_with_parent)
        vm.wait_until("the socket of " + self.tag, lambda: os.path.exists(self.socket)
                      or self.process.poll() is not None, 20)
        if self.process.poll() is not None:
            raise vm.GuestError("%s ended with status %d:\n%s"
                                % (self.tag, self.process.returncode, self.log()))

    def cpu_ns(self):
        """CPU time of all its processes so far; the kernel's number of a process' clock is
        made of the process' own (clock_getcpuclockid)."""
        return sum(time.clock_gettime_ns((~pid << 3) | 2) for pid in self.pids())


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_options(p)
    p.add_argument("--dir", default=os.path.join(TOP, "build"), help="where the shares are made")
    p.add_argument("--out", default=os.path.join(TOP, "build/bench-results"))
    p.add_argument("--kernel", default="6.12", choices=("6.1", "6.12"))
    p.add_argument("--queues", type=int, default=1)
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=3, help="of each fio job")
    p.add_argument("--files", type=int, default=2000, help="in the tree of small files")
    p.add_argument("--quick", action="store_true", help="one short round of little work")
    return p.parse_args()


def make_archive(path, count):
    """A tar file of `count` files of up to 16 KiB in folders of 50."""
    with tempfile.TemporaryDirectory() as top:
        for i in range(count):
            folder = os.path.join(top, "d%03d" % (i // 50))
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, "f%05d" % i), "wb") as f:
                f.write(b"x" * (512 + i * 7919 % 15872))
        with tarfile.open(path, "w") as tar:
            tar.add(top, ".")


class Run:
    def __init__(self, guest, options):
        self.guest = guest
        self.options = options
        self.samples = []

    def measure(self, share, job, rnd, work):
        cpu = share.cpu_ns()
        units, seconds = work()
        self.samples.append({"target": share.tag, "job": job, "round": rnd, "units": units,
                             "seconds": seconds, "daemon_ns": share.cpu_ns() - cpu})

    def fio(self, share, job):
        rw, bs, engine, depth, direct = FIO_JOBS[job]
        quick = self.options.quick
        command = FIO % {"rw": rw, "bs": bs, "engine": engine, "depth": depth, "direct": direct,
                         "size": "4m" if quick else "64m",
                         "runtime": 1 if quick else self.options.seconds}
        out = self.guest.run("cd /mnt/%s; %s" % (share.tag, command), timeout=300).out
        side = json.loads(out[out.index("{"):])["jobs"][0]["read" if "read" in rw else "write"]
        return side["total_ios"], side["runtime"] / 1e3

    def script(self, share, job):
        command = ("set -e; cd /mnt/%s; %s s=$EPOCHREALTIME; (%s) >/dev/null; "
                   "echo $s $EPOCHREALTIME" % (share.tag, DROP, SCRIPTS[job]))
        begin, end = self.guest.run(command, timeout=600).out.split()
        return self.options.files, float(end) - float(begin)

    def round(self, rnd):
        shares = self.guest.shares if rnd % 2 == 0 else self.guest.shares[::-1]
        for job in FIO_JOBS if not self.options.quick else list(FIO_JOBS)[:2]:
            for share in shares:
                self.measure(share, job, rnd, lambda s=share, j=job: self.fio(s, j))
        for job in SCRIPTS:
            for share in shares:
                self.measure(share, job, rnd, lambda s=share, j=job: self.script(s, j))


def table(samples, own):
    """Markdown: each job with the rates and CPU times of all, and the ratios to the others."""
    jobs = list(dict.fromkeys(s["job"] for s in samples))
    found = ["| job | target | ops/s | CPU of the daemon/op us | ratio to it | CPU ratio |",
             "|---|---|---:|---:|---|---|"]
    for job in jobs:
        result = {"samples": [s for s in samples if s["job"] == job]}
        for target in stats.targets(result):
            ratios = [stats.ratio(stats.rounds(result, own, m), stats.rounds(result, target, m))
                      for m in ("rate", "cpu")]
            found.append("| %s | %s | %.0f | %.1f | %s |" % (
                job, target, statistics.median(stats.rounds(result, target, "rate").values()),
                statistics.median(stats.rounds(result, target, "cpu").values()),
                " | ".join("" if target == own or not r else "%.2f [%.2f, %.2f]" % r
                           for r in ratios)))
    return found


def measure(options, top):
    shares = []
    for name, line in lines.all_of(options):
        path = os.path.join(top, name)
        os.mkdir(path, 0o755)
        shares.append(LineShare(path, name, line))
    archive = os.path.join(shares[0].path, "files.tar")
    make_archive(archive, options.files)
    with vm.Guest(shares, kernel=options.kernel, queues=options.queues) as guest:
        accel = guest.accel or vm.accelerator(options.kernel)
        for share in shares:
            guest.mount(share, "/mnt/" + share.tag)
            # what fio would do in its first job, and have measured with it
            guest.run("cd /mnt/%s; head -c %s /dev/zero >data; sync" % (
                share.tag, "4M" if options.quick else "64M"))
        guest.run("cp /mnt/%s/files.tar /tmp/" % shares[0].tag)
        run = Run(guest, options)
        for rnd in range(1 if options.quick else options.rounds):
            run.round(rnd)
            print("round %d done" % (rnd + 1), flush=True)
        guest.power_off()
    return accel, run.samples


def main():
    options = arguments()
    if options.quick:
        options.files = 50
    top = tempfile.mkdtemp(prefix="guest-bench.", dir=options.dir)
    try:
        accel, samples = measure(options, top)
    except (vm.Missing, vm.GuestError) as e:
        print("guest.py: %s" % e, file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(top, ignore_errors=True)
    text = "\n".join(table(samples, lines.OWN))
    os.makedirs(options.out, exist_ok=True)
    with open(os.path.join(options.out, "guest.json"), "w") as f:
        json.dump({"accelerator": accel, "kernel": options.kernel, "samples": samples}, f, indent=1)
    with open(os.path.join(options.out, "guest.md"), "w") as f:
        f.write(text + "\n")
    print("Guest with %s, Linux %s:\n%s" % (accel, options.kernel, text))
    return 0


sys.exit(main())
