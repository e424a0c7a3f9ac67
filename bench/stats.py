# SPDX-License-Identifier: BSD-3-Clause
"""Medians, ratios of paired samples, bootstrap intervals; and which bars they meet."""

import random
import statistics

import bars

DRAWS = 2000
SLACK = 0.95            # how near the bar the worse end of the interval has to be


def value(sample, metric):
    units = max(sample["units"], 1)
    if metric == "rate":
        return sample["units"] / max(sample["seconds"], 1e-9)
    if metric == "cpu":
        return sample["daemon_ns"] / units / 1e3
    if metric == "driver":
        return sample["driver_ns"] / units / 1e3
    if metric == "forget":
        return units / max(sample["extra_ns"], 1) * 1e9
    if metric == "idle":
        return sample["daemon_ns"] / 1e3
    if metric == "stall":
        return sample["max_us"] / 1e3
    if metric == "syscalls":
        return sum(sample["syscalls"].values())
    return sample[{"private": "private_kb"}.get(metric, metric)]


def rounds(result, target, metric):
    """{round: value} of a target in a cell; without the rounds that failed."""
    return {s.get("round", 0): value(s, metric) for s in result["samples"]
            if s["target"] == target and "error" not in s}


def median(result, target, metric):
    values = rounds(result, target, metric).values()
    return statistics.median(values) if values else None


def targets(result):
    seen = []
    for s in result["samples"]:
        if s["target"] not in seen:
            seen.append(s["target"])
    return seen


def error(result, target):
    for s in result["samples"]:
        if s["target"] == target and "error" in s:
            return s["error"]
    return None


def interval(values):
    """The middle 95 % of the medians of samples drawn anew; always the same draws."""
    if len(values) < 2:
        return values[0], values[0]
    chance = random.Random(1)
    medians = sorted(statistics.median(chance.choices(values, k=len(values)))
                     for _ in range(DRAWS))
    return medians[int(0.025 * DRAWS)], medians[int(0.975 * DRAWS) - 1]


def ratio(mine, theirs):
    """(median, low, high) of the ratios of values from the same round, or None."""
    pairs = [mine[r] / theirs[r] for r in sorted(mine) if theirs.get(r)]
    return (statistics.median(pairs), *interval(pairs)) if pairs else None


def better(result, own, pools=False):
    """The fastest of the peers in a cell; with pools, of those with a pool as well."""
    found = [(median(result, t, "rate"), t) for t in targets(result)
             if t not in (own, "plain") and (pools or "@" not in t)]
    found = [f for f in found if f[0]]
    return max(found)[1] if found else None


class Verdict:
    """One bar in one cell. state: met, missed, or why there is neither."""

    def __init__(self, bar, cell, state, numbers=None, against=""):
        self.bar = bar
        self.cell = cell
        self.state = state
        self.numbers = numbers
        self.against = against

    def limit(self):
        return self.bar.least if self.bar.least is not None else self.bar.most

    def record(self):
        return {"bar": self.bar.name, "cell": bars.name(self.cell), "state": self.state,
                "numbers": self.numbers, "against": self.against, "limit": self.limit(),
                "aim": self.bar.aim}


def meets(bar, numbers):
    middle, low, high = numbers
    if bar.least is not None:
        return middle >= bar.least and low >= SLACK * bar.least
    return middle <= bar.most and high <= bar.most / SLACK


def judge_absolute(bar, cell, results, own):
    result = results[cell]
    middle = median(result, own, bar.metric)
    if middle is None:
        return Verdict(bar, cell, "missed", against=error(result, own) or "no sample")
    if bar.metric == "stall":
        quiet = results.get(bars.twin(cell))
        # the longest of all, with and without
        middle = max(rounds(result, own, "stall").values()) \
            - (max(rounds(quiet, own, "stall").values()) if quiet else 0)
        answers = [s["answer"] for s in result["samples"]
                   if s["target"] == own and s.get("answer")]
        if answers:
            return Verdict(bar, cell, "missed", against="answered with error %d" % answers[0])
    return Verdict(bar, cell, "met" if middle <= bar.most else "missed", (middle,) * 3)


def judge_syscalls(bar, cell, results, own):
    result = results[cell]
    mine = median(result, own, "syscalls")
    theirs = [(median(result, t, "syscalls"), t) for t in targets(result) if t != own]
    theirs = [t for t in theirs if t[0]]
    if mine is None or not theirs:
        return Verdict(bar, cell, "no peer" if mine is not None else "missed")
    fewest, peer = min(theirs)
    # a sleep or two more or less, in thousands, are not the request's
    return Verdict(bar, cell, "met" if mine <= fewest + 0.1 else "missed",
                   (mine / fewest,) * 3, "%s: %.2f to %.2f" % (peer, mine, fewest))


def judge(bar, cell, results, own):
    if cell not in results:
        return Verdict(bar, cell, "not run")
    if bar.base is None:
        return judge_absolute(bar, cell, results, own)
    if bar.metric == "syscalls":
        return judge_syscalls(bar, cell, results, own)
    result = results[cell]
    mine = rounds(result, own, bar.metric)
    if not mine:
        return Verdict(bar, cell, "missed", against=error(result, own) or "no sample")
    if bar.base == "queue":
        one = results.get(bars.twin(cell))
        against, theirs = "one queue", rounds(one, own, bar.metric) if one else {}
    else:
        against = "plain" if bar.base == "plain" else better(result, own, bar.base == "pools")
        theirs = rounds(result, against, bar.metric) if against else {}
    numbers = ratio(mine, theirs)
    if not numbers:
        return Verdict(bar, cell, "no peer")
    return Verdict(bar, cell, "met" if meets(bar, numbers) else "missed", numbers, against)


def judge_all(results, own):
    return [judge(bar, cell, results, own) for bar in bars.BARS for cell in bar.cells]
