#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""bench/run.py - measure the daemon, beside peers and plain system calls, against the bars

    bench/run.py [--peer NAME='COMMAND LINE' ...] [options]

A command line goes to a shell; {socket} and {dir} in it are filled in; {direct:TEXT} stands for
TEXT in cells with O_DIRECT, {lock:TEXT} where locks are tried, {pool:TEXT} where pools of
threads are, with @ for their size. Peers also come from the environment: BENCH_PEERS, one a
line. Without peers the daemon is compared with system calls alone.

Results are in --out: results.json (every sample), table.md, picture.svg. The bars (bars.py) are
printed; cells that miss one are run again with 15 rounds, which then count.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(HERE)
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import bars     # noqa: E402
import lines    # noqa: E402
import report   # noqa: E402
import stats    # noqa: E402

RERUN_ROUNDS = 15
NO_PLAIN = ("empty", "idle", "slow", "slow-base", "lock", "lock-base")


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0], epilog=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    lines.add_options(p)
    p.add_argument("--vfsbench", default=os.path.join(TOP, "build/bench/vfsbench"))
    p.add_argument("--mem", default="/dev/shm", help="a folder on tmpfs")
    p.add_argument("--disk", default=os.path.join(TOP, "build"), help="a folder on a disk")
    p.add_argument("--out", default=os.path.join(TOP, "build/bench-results"))
    p.add_argument("--only", default="", metavar="REGEX", help="cells with such a name alone")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=float, default=0.4, help="length of a sample")
    p.add_argument("--nodes", type=int, help="how many \"nodes\" holds")
    p.add_argument("--no-rerun", action="store_true")
    p.add_argument("--quick", action="store_true",
                   help="few cells, small sets, one short round: whether it works, not how fast")
    p.add_argument("--list", action="store_true", help="the cells, and nothing is run")
    return p.parse_args()


def pool_variants(peers):
    """Each peer with pools of several sizes, as peers of their own: NAME@SIZE."""
    return [("%s@%s" % (name, size), lines.with_pool(line, size))
            for name, line in peers if "{pool:" in line for size in bars.POOLS]


class Bench:
    def __init__(self, options):
        self.options = options
        self.own = lines.own(options)
        self.peers = lines.peers(options)
        self.results = {}
        self.first = {}                 # what was run again: its first result

    def command(self, cell, rounds):
        o = self.options
        # peers have one request queue
        daemons = [self.own] + (self.peers if cell.queues == 1 else [])
        if cell.kind == "pools":
            daemons += pool_variants(self.peers)
        args = [o.vfsbench, "--work=" + cell.work, "--depth=%d" % cell.depth,
                "--queues=%d" % cell.queues, "--cpus=" + cell.cpus, "--wait=" + cell.wait,
                "--dir=" + (o.mem if cell.place == "mem" else o.disk), "--rounds=%d" % rounds,
                "--seconds=%g" % self.seconds(cell)]
        args += ["--daemon=%s=%s" % daemon for daemon in daemons]
        if cell.kind == "strace":
            args.append("--strace")
        elif cell.work not in NO_PLAIN:
            args.append("--plain")
        if o.nodes:
            args.append("--nodes=%d" % o.nodes)
        return args + ["--quick"] * o.quick

    def seconds(self, cell):
        if self.options.quick:
            return 0.02
        if cell.work in bars.TWIN or cell.work in bars.TWIN.values() or cell.work == "idle":
            return 3
        return self.options.seconds

    def run(self, cell, rounds):
        done = subprocess.run(self.command(cell, rounds), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.stderr:
            print("  " + done.stderr.strip().replace("\n", "\n  "), flush=True)
        try:
            return json.loads(done.stdout)
        except ValueError:
            print("  %s: status %d, no result" % (bars.name(cell), done.returncode), flush=True)
            return None

    def run_cells(self, cells, rounds):
        for n, cell in enumerate(cells):
            start = time.monotonic()
            result = self.run(cell, rounds)
            if not result:
                continue
            if cell in self.results:
                self.first[cell] = self.results[cell]
            self.results[cell] = result
            print("%3d/%d %5.1f s  %-36s %s" % (n + 1, len(cells), time.monotonic() - start,
                                                bars.name(cell), self.brief(result)), flush=True)

    @staticmethod
    def brief(result):
        metric = "syscalls" if any("syscalls" in s for s in result["samples"]) else "rate"
        return "  ".join("%s %s" % (t, report.number(stats.median(result, t, metric)))
                         for t in stats.targets(result))

    def rerun(self):
        missed = []
        for v in stats.judge_all(self.results, lines.OWN):
            if v.state == "missed" and v.cell.kind != "strace" and v.bar.base:
                missed += [c for c in (bars.twin(v.cell), v.cell) if c and c not in missed]
        if missed:
            print("\n%d cells again, with %d rounds" % (len(missed), RERUN_ROUNDS))
        self.run_cells(missed, RERUN_ROUNDS)

    def machine(self):
        with open("/proc/cpuinfo") as f:
            models = re.findall(r"model name\s*: (.*)", f.read())
        return {"kernel": platform.release(), "machine": platform.machine(),
                "cpu": models[0] if models else "", "cpus": os.cpu_count(),
                "load": os.getloadavg(), "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "daemons": [self.own] + self.peers}

    def write(self, machine, verdicts):
        out = self.options.out
        os.makedirs(out, exist_ok=True)
        data = {"machine": machine, "bars": [v.record() for v in verdicts if v.state != "not run"],
                "cells": {bars.name(c): r for c, r in self.results.items()},
                "first": {bars.name(c): r for c, r in self.first.items()}}
        with open(os.path.join(out, "results.json"), "w") as f:
            json.dump(data, f, indent=1)
        with open(os.path.join(out, "table.md"), "w") as f:
            f.write("\n".join(report.overview(self.results, lines.OWN)
                              + report.table(self.results, lines.OWN)
                              + ["", *report.syscall_table(self.results), "",
                                 "```", *report.bar_lines(verdicts), "```", ""]))
        with open(os.path.join(out, "picture.svg"), "w") as f:
            f.write(report.picture(self.results, lines.OWN))


def main():
    options = arguments()
    cells = [c for c in bars.cells() if re.search(options.only, bars.name(c))]
    cells = bars.few(cells) if options.quick else cells
    if options.list:
        print("\n".join(bars.name(c) for c in cells))
        return 0
    bench = Bench(options)
    machine = bench.machine()
    if machine["load"][0] > 0.3 and not options.quick:
        print("The machine is not quiet (load %.2f): what follows is not worth much." %
              machine["load"][0])
    bench.run_cells(cells, 1 if options.quick else options.rounds)
    if not options.no_rerun and not options.quick:
        bench.rerun()
    verdicts = stats.judge_all(bench.results, lines.OWN)
    bench.write(machine, verdicts)
    print("\n" + "\n".join(report.bar_lines(verdicts)))
    print("\n%s: results.json, table.md, picture.svg" % options.out)
    return 0 if len(bench.results) == len(cells) else 1


sys.exit(main())
