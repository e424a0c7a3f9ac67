# SPDX-License-Identifier: BSD-3-Clause
"""The daemons that are measured, by their command lines: see run.py for what stands in them."""

import os
import re

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OWN = "virtiofsd"
OWN_LINE = ("%s --socket-path={socket} --shared-dir={dir} {direct:--allow-direct-io} "
            "{lock:-o posix_lock} {pool:--thread-pool-size=@}")


def add_options(parser):
    parser.add_argument("--daemon", default=os.path.join(TOP, "build/virtiofsd"),
                        help="the program, or a command line with {socket} and {dir}")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=LINE")


def own(options):
    return OWN, options.daemon if "{socket}" in options.daemon else OWN_LINE % options.daemon


def peers(options):
    lines = options.peer + [line for line in os.environ.get("BENCH_PEERS", "").split("\n")
                            if line.strip()]
    return [tuple(line.strip().split("=", 1)) for line in lines]


def all_of(options):
    return [own(options)] + peers(options)


def with_pool(line, size):
    return re.sub(r"\{pool:([^}]*)\}", lambda m: m.group(1).replace("@", size), line)


def fill(line, **words):
    """The line as it is started where no option is set."""
    for word, value in words.items():
        line = line.replace("{%s}" % word, value)
    return re.sub(r"\{\w+:[^}]*\}", "", line)
