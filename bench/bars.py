# SPDX-License-Identifier: BSD-3-Clause
"""What is measured, and what the daemon has to reach: data for run.py.

A cell is one workload in one setting. A bar holds for a cell if the median of the ratios of
paired samples meets it and the end of their 95 % interval that lies nearer to failure is
within 5 % of it.
"""

import collections

Cell = collections.namedtuple("Cell", "place work depth cpus wait queues kind")
Cell.__new__.__defaults__ = ("sleep", 1, "rate")

# metric: rate (units a second), cpu (daemon's CPU time a unit), forget (nodes a second);
# base: peer (the faster one in the cell), pools (the fastest, pools of threads included), plain
# (system calls), queue (the same with one queue); least/most: the bar; aim: what is hoped for.
Bar = collections.namedtuple("Bar", "name metric base least most aim cells")
Bar.__new__.__defaults__ = (None,) * 4

NAMES = ["lookup", "lookup-new", "lookup-none", "getattr"]
FILES = ["open-read", "create", "readdirplus", "tree", "untar"]
SMALL = ["read4k", "write4k"]
MIB = ["read1m", "write1m"]
MEMORY = ["empty"] + SMALL + NAMES + FILES + ["mkdir", "rename", "readdir"]
ON_DISK = SMALL + ["getattr", "lookup", "open-read", "create", "untar"]
SYNC = ["direct4k", "fsync"]
POOLS = ("16", "64")                    # sizes that peers are given for SYNC, besides none


def memory(works, depth, cpus="each", **more):
    return [Cell("mem", work, depth, cpus, **more) for work in works]


def disk(works, depth, cpus="each", **more):
    return [Cell("disk", work, depth, cpus, **more) for work in works]


def both(function, works, **more):
    """Depths 8 and 32, which is what is meant where none is named."""
    return function(works, 8, **more) + function(works, 32, **more)


ONE_CPU = memory(MEMORY, 1, "one") + disk(ON_DISK, 1, "one")
ASLEEP = memory(MEMORY, 1)
DEEP = both(memory, MEMORY) + both(disk, ON_DISK)
LARGE = memory(MIB, 1) + both(memory, MIB)

BARS = [
    Bar("every workload, every depth", "rate", "peer", 1.0, cells=ONE_CPU + ASLEEP + DEEP
        + both(disk, SYNC)),
    Bar("1 MiB in sequence", "rate", "peer", 0.98, cells=LARGE),
    Bar("1 MiB in sequence, against system calls", "rate", "plain", 0.92, cells=memory(MIB, 1)),
    Bar("1 MiB in sequence, CPU", "cpu", "peer", most=1.0, cells=LARGE),
    Bar("depth 1, one CPU", "rate", "peer", 1.1, cells=ONE_CPU),
    Bar("depth 1, one CPU, CPU of the daemon", "cpu", "peer", most=0.85, cells=ONE_CPU),
    Bar("depth 1, a CPU each", "rate", "peer", 1.5, cells=ASLEEP),
    Bar("4 KiB at depth 32", "rate", "peer", 2.0, cells=memory(SMALL, 32)),
    Bar("4 KiB at depth 32, against system calls", "rate", "plain", 0.5, aim=0.6,
        cells=memory(SMALL, 32)),
    Bar("attributes and names at depth 32", "rate", "peer", 1.5, aim=1.8,
        cells=memory(["getattr", "lookup", "lookup-new"], 32)),
    Bar("small files and folders", "rate", "peer", 1.5, cells=both(memory, FILES)),
    Bar("O_DIRECT and fdatasync, any pool", "rate", "pools", 1.1,
        cells=disk(SYNC, 32, kind="pools")),
    Bar("CPU of the daemon", "cpu", "peer", most=0.75, cells=DEEP),
    Bar("two queues against one", "rate", "queue", 1.5,
        cells=memory(["empty", "read4k", "getattr", "lookup"], 32, "any", queues=2)),
    Bar("two queues against one, CPU", "cpu", "queue", most=1.1,
        cells=memory(["empty", "read4k", "getattr", "lookup"], 32, "any", queues=2)),
    Bar("many nodes, looked up", "rate", "peer", 1.5, cells=memory(["nodes"], 8)),
    Bar("many nodes, forgotten", "forget", "peer", 1.5, cells=memory(["nodes"], 8)),
    Bar("slow file, ms that others wait longer", "stall", None, most=10,
        cells=[Cell("mem", "slow", 8, "any")]),
    Bar("lock held elsewhere, ms that others wait longer", "stall", None, most=10,
        cells=[Cell("mem", "lock", 8, "any")]),
    Bar("system calls", "syscalls", "peer", most=1.0,
        cells=[Cell("mem", work, 1, "any", kind="strace") for work in SMALL + NAMES + FILES
               + ["mkdir", "rename", "readdir"]]),
    Bar("idle: wake-ups", "switches", None, most=0, cells=[Cell("mem", "idle", 1, "any")]),
    Bar("idle: CPU, us", "idle", None, most=0, cells=[Cell("mem", "idle", 1, "any")]),
    Bar("idle: private memory, KiB", "private", None, most=3072,
        cells=[Cell("mem", "idle", 1, "any")]),
]

# Measured and reported without a bar: the driver polls.
REPORTED = [Cell("mem", work, depth, "each", "poll") for work in ["empty"] + SMALL + NAMES
            for depth in (1, 32)]

TWIN = {"slow": "slow-base", "lock": "lock-base"}


def twin(cell):
    """The cell that another is measured against, if there is one."""
    if cell.work in TWIN:
        return cell._replace(work=TWIN[cell.work])
    if cell.queues > 1:
        return cell._replace(queues=1)
    return None


def few(all_cells):
    """One cell for each workload, place and kind, and the ones that those are compared with."""
    found = {}
    for cell in all_cells:
        found.setdefault((cell.place, cell.work, cell.kind, cell.queues), cell)
    return [cell for cell in all_cells if cell in found.values()]


def cells():
    """All of them, each once, in the order in which they are run."""
    found = collections.OrderedDict()
    for bar in BARS:
        for cell in bar.cells:
            if twin(cell):
                found[twin(cell)] = None
            found[cell] = None
    for cell in REPORTED:
        found[cell] = None
    return list(found)


def name(cell):
    text = "%s/%s/%d/%s/%s" % (cell.place, cell.work, cell.depth, cell.cpus, cell.wait)
    if cell.queues > 1:
        text += "/%dq" % cell.queues
    if cell.kind != "rate":
        text += "/" + cell.kind
    return text
