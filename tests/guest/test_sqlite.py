# SPDX-License-Identifier: BSD-3-Clause
"""SQLite under load from several processes of the guest.

The write-ahead log needs a shared mapping of one file and POSIX locks: the guest's own or,
with -o posix_lock, the host's. With --cache=never the mapping needs --allow-mmap and a guest
from 6.6 on; without it SQLite's other journals work."""

import pytest

import conftest
import vm

CREATE = """
sqlite3 -bail db "pragma journal_mode=%s; create table a(who, n, filler); create table total(who primary key, n);
    insert into total values(1, 0), (2, 0), (3, 0);"
"""

# A transaction is two changes that have to be there both or not at all.
WRITE = """
for i in $(seq %d); do
    echo "begin immediate; insert into a values(%d, $i, hex(randomblob(300)));
          update total set n = n + 1 where who = %d; commit;"
done | sqlite3 -bail -cmd '.timeout 60000' -cmd 'pragma wal_autocheckpoint=20' db
"""

READ = """
while ! [ -e done ]; do
    sqlite3 -bail -cmd '.timeout 60000' db "begin; select (select count(*) from a) - (select sum(n) from total); commit;" || exit 1
done | sort | uniq -c >read.out
"""

CHECK = """sqlite3 -bail db "pragma integrity_check; pragma journal_mode;
    select who, count(*), max(n) from a where who < 3 group by who; select who, n from total where who < 3;
    select count(*) from a where who = 3 having count(*) <> (select n from total where who = 3);" """


def load(place, journal, n=25):
    place.run(CREATE % journal)
    guest = place.guest
    start = "cd %s && " % place.inside
    reader = guest.agent.start(start + READ)
    writers = [guest.agent.start(start + WRITE % (n, who, who)) for who in (1, 2)]
    victim = guest.agent.start(start + WRITE % (100000, 3, 3))
    vm.wait_until("the third writer's transactions",
                  lambda: place.run("sqlite3 -cmd '.timeout 60000' db 'select count(*) from a where who = 3'")
                  .out.strip() not in ("", "0"), 60, 0.2)
    victim.signal(9)
    for job in writers:
        result = job.wait(120)
        assert result.status == 0, result.err
    place.run("touch done")
    assert reader.wait(60).status == 0
    # What a reader sees is whole transactions.
    seen = place.run("cat read.out").out.split()
    assert seen[1:] == ["0"] and int(seen[0]) > 0, seen
    expected = "ok\n%s\n" % journal + "1|%d|%d\n2|%d|%d\n1|%d\n2|%d\n" % (n, n, n, n, n, n)
    assert place.run(CHECK).out == expected
    assert place.host(CHECK).out == expected


@pytest.mark.parametrize("tag", ("auto", "always", "never") + conftest.in_full("metadata"))
def test_write_ahead_log(on, tag):
    """always: with locks that the host sees; the others: with the guest's own."""
    place = on(tag)
    conftest.need_shared_mappings(place)
    load(place, "wal")


def test_without_mappings(on):
    """Where there can be no shared mapping SQLite says so, and its own journals serve."""
    place = on("uncached")
    result = place.run(CREATE % "wal", check=False)
    assert result.status != 0 and "disk I/O error" in result.err
    place.run("rm -f db*")
    load(place, "delete", 6)


def test_exclusive_write_ahead_log(on):
    """One process alone needs no shared mapping for it."""
    place = on("uncached")
    place.run("sqlite3 -bail db 'pragma locking_mode=exclusive; pragma journal_mode=wal; create table t(a); "
              "insert into t values(1), (2);'")
    assert place.host("sqlite3 db 'select count(*) from t; pragma integrity_check'").out == "2\nok\n"
