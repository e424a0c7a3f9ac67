# SPDX-License-Identifier: BSD-3-Clause
"""Copies by the host: cp --reflink, copy_file_range.

Linux's FUSE has no FICLONE, so `cp --reflink=always` cannot work in any guest. cp's default
(auto) and copy_file_range() come to the daemon as one request, which the host's file system
carries out by sharing blocks where it can."""

import subprocess

import pytest

import conftest

MAKE = "head -c 1M /dev/urandom >a; truncate -s 5M sparse; printf data | dd of=sparse bs=1 seek=2M conv=notrunc status=none"


def shared(place, *names):
    """Which of the files' blocks are all shared with another file."""
    found = []
    for name in names:
        out = place.host("filefrag -v %s" % name).out
        extents = [line for line in out.split("\n") if line.strip()[:1].isdigit()]
        assert extents, out
        if all("shared" in line for line in extents):
            found.append(name)
    return found


def test_reflink_is_refused(on):
    """By the guest's kernel: the share does not come into it."""
    place = on("auto")
    result = place.run("echo text >a; cp --reflink=always a b", check=False)
    assert result.status != 0 and "Operation not supported" in result.err


def test_copies_share_blocks(on):
    place = on("xfs")
    if subprocess.run(["stat", "-f", "-c", "%T", place.path], capture_output=True, text=True,
                      check=True).stdout != "xfs\n":
        pytest.skip("no xfs on a loop device here")
    place.run(MAKE + "; cp a b; cp sparse sparse2; cp --reflink=auto a c; sync")
    place.view("sha256sum *; stat -c '%n %s' *")
    assert shared(place, "a", "b", "c") == ["a", "b", "c"]
    # A change in one is a change in that one.
    place.run("cp a d; printf X | dd of=d bs=1 seek=100000 conv=notrunc status=none; sync d; cmp a b && ! cmp -s a d")
    place.host("cmp a b && ! cmp -s a d")
    assert shared(place, "d") == []
    # A part, from one place to another.
    place.run("fsop open e rw+creat , copy a 524288 4096 8192 , copy a 0 0 4096 , fsync all")
    assert place.host("cmp -n 8192 -i 524288:4096 a e && cmp -n 4096 a e && stat -c %s e").out == "12288\n"
    assert shared(place, "e") == ["e"]


@pytest.mark.parametrize("tag", ("auto", "writeback") + conftest.in_full("always", "never"))
def test_copies_elsewhere(on, tag):
    """Where the host's file system shares nothing, a copy is a copy."""
    place = on(tag)
    place.run(MAKE + "; cp a b; cp --reflink=auto sparse c; cp --sparse=always sparse d; cp --attributes-only a e")
    place.view("sha256sum *; stat -c '%n %s' *")
    assert all(int(blocks) < 100 for blocks in place.host("stat -c %b c d").out.split())
    place.run("echo new >>a; fsop open b rw , copy a 1048576 10 100 , read 8 8; cmp -n 10 a b")
    place.view("sha256sum *")
