# SPDX-License-Identifier: BSD-3-Clause
"""The bench in a guest works: two daemons in one guest, each job done on both. Speed is not
looked at."""

import json
import os
import subprocess

import pytest
import vm


def test_two_daemons(tmp_path):
    daemon = vm.daemon_path()
    line = "other=%s --socket-path={socket} --shared-dir={dir} {lock:-o posix_lock}" % daemon
    try:
        vm.prepare("6.12")
    except vm.Missing as e:
        pytest.skip(str(e))
    done = subprocess.run([os.path.join(vm.TOP, "bench/guest.py"), "--quick", "--daemon=" + daemon,
                           "--peer=" + line, "--out=%s" % tmp_path, "--dir=%s" % tmp_path],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "guest.json") as f:
        samples = json.load(f)["samples"]
    jobs = {target: sorted(s["job"] for s in samples if s["target"] == target)
            for target in ("virtiofsd", "other")}
    assert jobs["virtiofsd"] == jobs["other"] and "untar" in jobs["other"]
    for s in samples:
        assert s["units"] > 0 and s["seconds"] > 0 and s["daemon_ns"] > 0, s
