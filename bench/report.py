# SPDX-License-Identifier: BSD-3-Clause
"""What run.py found, as tables and as a picture."""

import xml.sax.saxutils

import bars
import stats

COLOURS = ("#2563a8", "#e08a2c", "#7a9a3a", "#9b5fb0", "#c0504d")
PLAIN = "#999999"


def number(v):
    if v is None:
        return "-"
    if abs(v) >= 1e6:
        return "%.2fM" % (v / 1e6)
    if abs(v) >= 1e4:
        return "%.0fk" % (v / 1e3)
    if abs(v) >= 1e3:
        return "%.1fk" % (v / 1e3)
    return "%.3g" % v


def bar_lines(verdicts, everything=True):
    """A line for each row and cell that was run; rows have their worst cell's numbers."""
    lines = []
    for bar in bars.BARS:
        mine = [v for v in verdicts if v.bar is bar and v.state != "not run"]
        if not mine:
            continue
        met = sum(v.state == "met" for v in mine)
        limit = (">= %g" % bar.least) if bar.least is not None else ("<= %g" % bar.most)
        if bar.aim:
            limit += " (aim %g)" % bar.aim
        lines.append("%-48s %-18s %d of %d met" % (bar.name, limit, met, len(mine)))
        for v in mine if everything else [v for v in mine if v.state != "met"]:
            numbers = "%8.3g [%.3g, %.3g]" % v.numbers if v.numbers else "       -"
            lines.append("    %-44s %-28s %-9s %s" % (
                bars.name(v.cell), numbers, v.state, v.against and "against " + v.against))
    return lines


OVERVIEW = (("depth 1, one CPU", 1, "one", "rate"), ("depth 1, a CPU each", 1, "each", "rate"),
            ("depth 8", 8, "each", "rate"), ("depth 32", 32, "each", "rate"),
            ("CPU us, depth 8", 8, "each", "cpu"))


def overview(results, own):
    """Markdown: for each share a row for each workload, and in it all daemons' medians."""
    lines = []
    for place, title in (("mem", "tmpfs, a second"), ("disk", "disk, a second")):
        columns = [c for c in OVERVIEW
                   if any((cell.place, cell.depth, cell.cpus) == (place, c[1], c[2])
                          for cell in results)]
        works = {c.work: c for c in results
                 if c.place == place and c.kind == "rate" and c.wait == "sleep" and c.queues == 1
                 and any((c.depth, c.cpus) == column[1:3] for column in columns)}
        if not works:
            continue
        lines += ["| %s | %s |" % (title, " | ".join(c[0] for c in columns)),
                  "|---" * (len(columns) + 1) + "|"]
        for cell in works.values():
            fields = (medians(results.get(cell._replace(depth=depth, cpus=cpus)), metric, own)
                      for _, depth, cpus, metric in columns)
            lines.append("| %s | %s |" % (cell.work, " | ".join(fields)))
        lines.append("")
    return lines


def medians(result, metric, own):
    if not result:
        return "-"
    show = number if metric == "rate" else lambda v: "-" if v is None else "%.1f" % v
    daemons = [t for t in stats.targets(result) if t not in (own, "plain")]
    return " / ".join(show(stats.median(result, t, metric)) for t in [own] + daemons)


def table(results, own):
    """Markdown: a row for each cell and target."""
    lines = ["| cell | target | units/s | spread | MB/s | CPU/unit us | driver us | p50 us | p99 us"
             " | p99.9 us | kicks | calls | RSS KiB | private | fds | ratio to it |",
             "|---|---|---" + "|---:" * 13 + "|"]
    for cell, result in results.items():
        if cell.kind == "strace":
            continue
        for target in stats.targets(result):
            samples = [s for s in result["samples"]
                       if s["target"] == target and "error" not in s]
            if not samples:
                lines.append("| %s | %s | %s |" % (bars.name(cell), target,
                                                   stats.error(result, target)))
                continue
            lines.append(row(cell, result, target, samples, own))
    return lines


def row(cell, result, target, samples, own):
    def middle(metric):
        return stats.median(result, target, metric)

    rates = [stats.value(s, "rate") for s in samples]
    daemon = target != "plain"
    against = stats.ratio(stats.rounds(result, own, "rate"),
                          stats.rounds(result, target, "rate")) if target != own else None
    requests = max(sum(s["requests"] for s in samples), 1)
    fields = [bars.name(cell), target, number(middle("rate")),
              "%s to %s" % (number(min(rates)), number(max(rates))),
              number(middle("rate") * result["unit_bytes"] / 1e6) if result["unit_bytes"] else "",
              "%.2f" % middle("cpu") if daemon else "", "%.2f" % middle("driver"),
              number(middle("p50_us")), number(middle("p99_us")), number(middle("p999_us")),
              "%.2f" % (sum(s["kicks"] for s in samples) / requests) if daemon else "",
              "%.2f" % (sum(s["calls"] for s in samples) / requests) if daemon else "",
              *((str(samples[-1][k]) for k in ("rss_kb", "private_kb", "fds")) if daemon
                else ("", "", "")),
              "%.2f [%.2f, %.2f]" % against if against else ""]
    return "| " + " | ".join(fields) + " |"


def syscall_table(results):
    lines = ["| workload | target | all | of which |", "|---|---|---:|---|"]
    for cell, result in results.items():
        if cell.kind != "strace":
            continue
        for s in result["samples"]:
            if "error" in s:
                continue
            calls = sorted(s["syscalls"].items(), key=lambda c: -c[1])
            lines.append("| %s | %s | %.2f | %s |" % (
                cell.work, s["target"], sum(s["syscalls"].values()),
                ", ".join("%s %.2f" % c for c in calls if c[1] >= 0.005)))
    return lines


# -- the picture -----------------------------------------------------------------------

ROW, LEFT, WIDE, RIGHT = 13, 190, 520, 210


class Picture:
    """Horizontal bars: each target's rate as a part of the fastest peer's, with the spread of
    its rounds, and the rate itself beside it."""

    def __init__(self):
        self.parts = []
        self.y = 40

    def text(self, x, y, text, size=10, anchor="start", weight="normal"):
        self.parts.append('<text x="%d" y="%d" font-size="%d" text-anchor="%s" font-weight="%s">'
                          "%s</text>" % (x, y, size, anchor, weight,
                                         xml.sax.saxutils.escape(text)))

    def rect(self, x, y, width, height, colour):
        self.parts.append('<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="%s"/>'
                          % (x, y, max(width, 0.5), height, colour))

    def line(self, x1, y1, x2, y2, colour="#333333"):
        self.parts.append('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>'
                          % (x1, y1, x2, y2, colour))

    def bar(self, result, target, base, scale, colour):
        values = sorted(stats.rounds(result, target, "rate").values())
        if not values:
            self.text(LEFT + 4, self.y + 10, stats.error(result, target) or "", 9)
            return
        middle = stats.median(result, target, "rate")
        x = [LEFT + min(v / base / scale, 1) * WIDE for v in (values[0], middle, values[-1])]
        self.rect(LEFT, self.y + 2, x[1] - LEFT, ROW - 3, colour)
        self.line(x[0], self.y + ROW / 2, x[2], self.y + ROW / 2)
        for end in (x[0], x[2]):
            self.line(end, self.y + 4, end, self.y + ROW - 3)
        self.text(LEFT + WIDE + 8, self.y + 10, "%s %s/s  %.2f  %s" % (
            number(middle), result["unit"], middle / base, target), 9)

    def group(self, title, results, own):
        """Cells that differ in their workload alone."""
        self.text(10, self.y + 4, title, 12, weight="bold")
        self.y += 14
        for cell, result in results:
            peer = stats.better(result, own) or own
            base = stats.median(result, peer, "rate")
            if not base:
                continue
            shown = [t for t in stats.targets(result) if t != "plain" and "@" not in t]
            self.text(LEFT - 6, self.y + 10, cell.work, 10, "end")
            for i, target in enumerate(shown):
                self.bar(result, target, base, 3, COLOURS[i % len(COLOURS)])
                self.y += ROW
            self.y += 5
        self.y += 12

    def svg(self):
        for mark in (1, 2, 3):
            x = LEFT + WIDE * mark / 3
            self.parts.insert(0, '<line x1="%d" y1="30" x2="%d" y2="%d" stroke="#dddddd"/>'
                              % (x, x, self.y))
            self.text(x, 24, "%d x the faster peer" % mark, 9, "middle")
        width = LEFT + WIDE + RIGHT
        return ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" '
                'viewBox="0 0 %d %d" font-family="sans-serif">\n'
                '<rect width="100%%" height="100%%" fill="white"/>\n%s\n</svg>\n'
                % (width, self.y, width, self.y, "\n".join(self.parts)))


def picture(results, own):
    picture = Picture()
    groups = {}
    for cell, result in results.items():
        if cell.kind == "rate" and result["samples"] and cell.work not in (
                "idle", "slow", "slow-base", "lock", "lock-base"):
            groups.setdefault(cell._replace(work=""), []).append((cell, result))
    for key, group in groups.items():
        where = {"mem": "tmpfs", "disk": "disk"}[key.place]
        cpus = {"one": "one CPU for both sides", "each": "a CPU each", "any": "any CPU"}[key.cpus]
        picture.group("%s, depth %d, %s, driver %s%s" % (
            where, key.depth, cpus, {"sleep": "sleeps", "poll": "polls"}[key.wait],
            ", %d queues" % key.queues if key.queues > 1 else ""), group, own)
    return picture.svg()
