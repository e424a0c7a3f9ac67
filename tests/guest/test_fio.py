# SPDX-License-Identifier: BSD-3-Clause
"""fio's verify job: what was written in random order is read back as it was."""

import pytest

import conftest

SIZE = "12M" if conftest.MATRIX is conftest.FULL else "4M"
JOBS = {"psync": "--ioengine=psync", "libaio": "--ioengine=libaio --iodepth=16"}


@pytest.mark.parametrize("direct", (0, 1), ids=("buffered", "direct"))
@pytest.mark.parametrize("engine", sorted(JOBS))
def test_verify(place, engine, direct):
    place.run("fio --name=verify --filename=f --rw=randwrite --bs=4k --size=%s --verify=crc32c "
              "--do_verify=1 --verify_fatal=1 --fallocate=none --thread --direct=%d %s >out"
              % (SIZE, direct, JOBS[engine]), timeout=180)
    out = place.run("cat out").out
    assert "err= 0" in out, out
    place.view("sha256sum f; stat -c %s f")
