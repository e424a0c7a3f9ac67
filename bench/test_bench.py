#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The bench works: what vfsbench writes, and what is made of it. Speed is not looked at.

    test_bench.py VFSBENCH DAEMON
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
import xml.dom.minidom

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True
import bars     # noqa: E402
import stats    # noqa: E402

VFSBENCH, DAEMON = sys.argv[1:3]
SANITIZED = "VMM_SANITIZED" in os.environ
LINE = DAEMON + " --socket-path={socket} --shared-dir={dir} {lock:-o posix_lock}"
# Not those that need root, a disk, or a while.
WORKS = ["empty", "read4k", "write4k", "read1m", "write1m", "fsync", "getattr", "lookup", "lookup-new",
         "lookup-none", "open-read", "create", "mkdir", "rename", "readdir", "readdirplus", "tree",
         "untar", "nodes", "lock", "idle"]
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
ENTRIES = {"readdir": 200, "readdirplus": 800, "tree": 239, "untar": 100, "nodes": 3003,
           "lookup-new": 500}


def vfsbench(*args, daemons=(("a", LINE), ("b", LINE)), check=True):
    done = subprocess.run([VFSBENCH, "--quick", "--seconds=0.05", "--dir=" + FOLDER]
                          + ["--daemon=%s=%s" % d for d in daemons] + list(args),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          timeout=300)
    if check and done.returncode != 0:
        raise AssertionError("status %d: %s" % (done.returncode, done.stderr))
    return json.loads(done.stdout) if done.stdout else None


class Vfsbench(unittest.TestCase):
    def sample(self, work, s):
        self.assertNotIn("error", s)
        self.assertGreater(s["seconds"], 0)
        if work == "idle":
            self.assertEqual(s["requests"], 0)
            return
        self.assertGreater(s["ops"], 0)
        self.assertGreater(s["driver_ns"], 0)
        self.assertLessEqual(s["p50_us"], s["p99_us"])
        self.assertLessEqual(s["p99_us"], s["p999_us"])
        self.assertLessEqual(s["p999_us"], s["max_us"] * 1.04)
        if s["target"] == "plain":
            return
        if work in ENTRIES and work != "readdir":
            self.assertEqual(s["units"], ENTRIES[work])
        self.assertGreaterEqual(s["requests"], s["ops"])
        # a kick or call for each request and for each FORGET at the most
        self.assertLessEqual(s["kicks"], 2 * s["requests"] + 1)
        self.assertLessEqual(s["calls"], s["requests"] + 1)
        for field in ("daemon_ns", "rss_kb", "private_kb", "fds", "threads"):
            self.assertGreater(s[field], 0, field)

    def works(self, depth, works, *args):
        for work in works:
            with self.subTest(work=work, depth=depth):
                r = vfsbench("--work=" + work, "--depth=%d" % depth, "--rounds=2", *args)
                self.assertEqual(r["work"], work)
                order = [s["target"] for s in r["samples"]]
                self.assertEqual(order, order[::-1])
                for s in r["samples"]:
                    self.sample(work, s)

    def test_each_workload(self):
        self.works(1, WORKS[:1] + WORKS[-2:], "--cpus=one")
        self.works(4, WORKS[1:-2], "--plain")

    def test_two_queues_and_polling(self):
        self.works(4, ["empty", "getattr", "create", "lookup-new"], "--queues=2")
        if (os.cpu_count() or 1) > 1:
            self.works(2, ["empty", "read4k"], "--wait=poll", "--cpus=each")

    def test_max_ops(self):
        r = vfsbench("--work=getattr", "--depth=3", "--max-ops=100", "--rounds=1")
        self.assertEqual([s["ops"] for s in r["samples"]], [100, 100])

    def test_entries_are_all_seen(self):
        r = vfsbench("--work=readdir", "--rounds=1")
        for s in r["samples"]:
            self.assertEqual(s["units"], ENTRIES["readdir"] * s["ops"])

    def test_what_was_looked_up_is_forgotten(self):
        r = vfsbench("--work=untar", "--rounds=4", daemons=(("a", LINE),))
        held = [s["fds"] for s in r["samples"]]
        self.assertGreater(held[0], 100)        # a daemon that keeps a descriptor for a node
        self.assertLess(held[3], held[0] + 50)

    def test_nodes_are_held_and_forgotten_for_a_time(self):
        r = vfsbench("--work=nodes", "--nodes=2000", "--rounds=1")
        for s in r["samples"]:
            self.assertEqual(s["units"], 2002)
            self.assertGreater(s["extra_ns"], 0)

    def test_daemon_that_does_not_start(self):
        r = vfsbench("--work=getattr", "--rounds=1", daemons=(("no", "exit 3; {socket}"), ("a", LINE)))
        self.assertIn("error", r["samples"][0])
        self.assertEqual(r["samples"][1]["target"], "a")
        self.assertGreater(r["samples"][1]["ops"], 0)

    def test_daemon_that_dies(self):
        start = time.monotonic()
        r = vfsbench("--work=getattr", "--rounds=3", "--seconds=1", "--depth=4",
                     daemons=(("mortal", "timeout -s KILL 1 " + LINE), ("a", LINE)))
        errors = [s for s in r["samples"] if "error" in s]
        self.assertEqual([s["target"] for s in errors], ["mortal"])
        self.assertEqual([s["round"] for s in r["samples"] if s["target"] == "a"], [0, 1, 2])
        self.assertLess(time.monotonic() - start, 60)

    def test_placeholders(self):
        out = os.path.join(FOLDER, "words")
        line = "sh -c 'echo {socket} {x:got @ @} {y:not} {z} >%s; exec %s'" % (out, LINE)
        vfsbench("--work=idle", "--rounds=1", "--set=x=5", daemons=(("a", line),))
        with open(out) as f:
            words = f.read().split()
        self.assertTrue(words[0].endswith("/a.sock"))
        self.assertEqual(words[1:], ["got", "5", "5", "{z}"])

    def test_nothing_is_left_behind(self):
        before = sorted(os.listdir(FOLDER))
        vfsbench("--work=untar", "--rounds=1", "--plain")
        self.assertEqual(sorted(os.listdir(FOLDER)), before)

    @unittest.skipIf(SANITIZED, "leak detection does not go with strace")
    @unittest.skipUnless(shutil.which("strace"), "no strace")
    def test_system_calls(self):
        r = vfsbench("--work=read4k", "--strace", "--max-ops=200")
        for s in r["samples"]:
            self.assertEqual(s["ops"], 200)
            self.assertAlmostEqual(s["syscalls"]["preadv"], 1, delta=0.02)

    @unittest.skipUnless(os.geteuid() == 0 and os.access("/dev/fuse", os.W_OK), "no root, or no FUSE")
    def test_slow_file(self):
        r = vfsbench("--work=slow-base", "--depth=4", "--rounds=1")
        for s in r["samples"]:
            self.sample("slow-base", s)


def samples(target, rates):
    return [{"target": target, "round": i, "units": rate, "seconds": 1.0, "daemon_ns": 1e9}
            for i, rate in enumerate(rates)]


class Statistics(unittest.TestCase):
    CELL = bars.Cell("mem", "getattr", 1, "one")

    def verdict(self, bar, **rates):
        result = {"samples": sum((samples(t, r) for t, r in rates.items()), [])}
        return stats.judge(bar, self.CELL, {self.CELL: result}, "own")

    def test_pairs_by_round(self):
        middle, low, high = stats.ratio({0: 10, 1: 20, 2: 60}, {0: 5, 1: 10, 2: 20})
        self.assertEqual((middle, low, high), (2, 2, 3))
        self.assertIsNone(stats.ratio({0: 1}, {1: 1}))

    def test_interval_holds_the_median(self):
        low, high = stats.interval([1, 2, 3, 4, 100])
        self.assertLess(low, 3)
        self.assertGreater(high, 3)

    def test_least(self):
        bar = bars.Bar("x", "rate", "peer", 1.5)
        self.assertEqual(self.verdict(bar, own=[16] * 5, p=[10] * 5).state, "met")
        self.assertEqual(self.verdict(bar, own=[14] * 5, p=[10] * 5).state, "missed")
        # the median is there, but the interval reaches far below
        self.assertEqual(self.verdict(bar, own=[16, 16, 16, 9, 9], p=[10] * 5).state, "missed")

    def test_most(self):
        bar = bars.Bar("x", "cpu", "peer", most=0.8)
        self.assertEqual(self.verdict(bar, own=[20] * 5, p=[10] * 5).state, "met")
        self.assertEqual(self.verdict(bar, own=[10] * 5, p=[10] * 5).state, "missed")

    def test_better_peer(self):
        bar = bars.Bar("x", "rate", "peer", 1.0)
        v = self.verdict(bar, own=[10] * 3, p=[9] * 3, q=[11] * 3, plain=[99] * 3)
        self.assertEqual((v.state, v.against), ("missed", "q"))
        v = self.verdict(bar, own=[10] * 3, p=[9] * 3, **{"q@16": [11] * 3})
        self.assertEqual((v.state, v.against), ("met", "p"))
        v = self.verdict(bar._replace(base="pools"), own=[10] * 3, p=[9] * 3, **{"q@16": [11] * 3})
        self.assertEqual((v.state, v.against), ("missed", "q@16"))

    def test_no_peer(self):
        self.assertEqual(self.verdict(bars.Bar("x", "rate", "peer", 1.0), own=[1]).state, "no peer")

    def test_cells_are_named_apart(self):
        cells = bars.cells()
        self.assertEqual(len({bars.name(c) for c in cells}), len(cells))


class Run(unittest.TestCase):
    def test_results(self):
        out = os.path.join(FOLDER, "out")
        subprocess.run([os.path.join(HERE, "run.py"), "--quick", "--vfsbench=" + VFSBENCH,
                        "--daemon=" + DAEMON, "--peer=peer=" + LINE, "--mem=" + FOLDER,
                        "--disk=" + FOLDER, "--out=" + out, "--only=^mem/(getattr|idle)/"],
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True, timeout=300)
        with open(os.path.join(out, "results.json")) as f:
            data = json.load(f)
        names = list(data["cells"])
        self.assertTrue(any(n.startswith("mem/getattr/") for n in names), names)
        self.assertEqual(data["cells"][names[0]]["samples"][0]["target"], "virtiofsd")
        self.assertIn("idle: private memory, KiB", {b["bar"] for b in data["bars"]})
        self.assertTrue(any(b["numbers"] and b["against"] == "peer" for b in data["bars"]))
        picture = xml.dom.minidom.parse(os.path.join(out, "picture.svg"))
        texts = [t.firstChild.data for t in picture.getElementsByTagName("text")]
        self.assertIn("getattr", texts)
        with open(os.path.join(out, "table.md")) as f:
            text = f.read()
        self.assertIn("mem/getattr/", text)
        self.assertRegex(text, r"\| tmpfs, a second \| depth 1")
        self.assertRegex(text, r"\| getattr \| [0-9.k]+ / [0-9.k]+ \|")


if __name__ == "__main__":
    FOLDER = tempfile.mkdtemp(prefix="vfsb-test.", dir=MEMORY)
    os.environ["TMPDIR"] = FOLDER
    try:
        program = unittest.main(argv=sys.argv[:1], exit=False, verbosity=2)
    finally:
        shutil.rmtree(FOLDER, ignore_errors=True)
    sys.exit(not program.result.wasSuccessful())
