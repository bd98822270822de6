"""The n-th operation on a file fails, n = 1, 2, 3 … until none does.

A script of writes runs against the daemon while one operation of a kind
(write, sync, open, truncate, rename or unlink, read) fails. Whatever it hits,
each request is answered, what was acknowledged is there, what was refused has
left no trace, and `prefd check` is content. When it was a full disk, the
daemon goes on by itself; when a sync failed, or the disk did, it takes no more
writes and says so until it is started again.

Control: a write that is only said to have happened must be found out.
"""

import errno
import os
import shutil
import time

import pytest
from audit import read_facts
from faulty import (ALWAYS, DROP, LATER, NAME, NAMES, OPEN, READ, SHORT, SYNC, TRUNCATE, WRITE, Faulty, Script,
                    check_folder, needs_shim, read_only, record)
from old_schema import downgrade
from wire import post, totals

pytestmark = needs_shim
STEPS_MAX = 5000


@pytest.fixture
def faulty(tmp_path):
    d = Faulty(tmp_path).start()
    yield d
    d.disarm()
    d.stop()


def stays_read_only(daemon, script):
    """It says so, takes nothing, and goes on reading."""
    before = read_facts(daemon, script.dataset)
    answer = daemon.post_rows(f"{script.path}/records", [record("later")])
    assert answer.status == 503 and read_only(daemon), answer
    assert read_facts(daemon, script.dataset) == before


class Sweep:
    """n = 1, 1 + step, … until nothing fails any more."""

    def __init__(self, daemon, kinds, error, step=1, times=1):
        self.daemon, self.kinds, self.error, self.step, self.times = daemon, kinds, error, step, times
        self.points = self.restarts = self.refused = 0

    def one(self, n):
        """True: something failed."""
        script = Script(self.daemon, f"{NAMES[self.error]}-{self.kinds}-{self.times}-{n}")
        self.daemon.arm(self.kinds, self.error, n, self.times)
        # A log whose sync failed may hold the refused group nevertheless, whole.
        script.run(in_doubt=self.error == errno.EIO)
        _, failed = self.daemon.disarm()
        self.refused += len(script.refusals)
        if read_only(self.daemon):
            assert self.error == errno.EIO, "a full disk must not end writing"
            stays_read_only(self.daemon, script)
            self.daemon.kill()
            self.daemon.start()
            self.restarts += 1
        script.audit()
        script.again()
        return failed > 0

    def run(self, capsys):
        n = 1
        while self.one(n):
            n += self.step
            self.points += 1
            assert n < STEPS_MAX
        check_folder(self.daemon)
        with capsys.disabled():
            print(f"\n# {NAMES[self.error]} at kinds {self.kinds}: every {self.step}. of {n - 1} operations, "
                  f"{self.points} failures, {self.refused} requests refused, {self.restarts} ended writing")
        assert self.points > 0


def test_a_full_disk(faulty, capsys):
    sweep = Sweep(faulty, WRITE | TRUNCATE, errno.ENOSPC)
    sweep.run(capsys)
    assert sweep.refused > 10 and sweep.restarts == 0


def test_a_disk_that_stays_full(faulty, capsys):
    sweep = Sweep(faulty, WRITE | TRUNCATE | OPEN, errno.ENOSPC, step=5, times=ALWAYS)
    sweep.run(capsys)
    assert sweep.refused > 10 and sweep.restarts == 0


def test_writes_cut_short(faulty, capsys):
    sweep = Sweep(faulty, WRITE, SHORT, step=5)
    sweep.run(capsys)
    assert sweep.refused == 0  # the rest is written


def test_a_disk_that_fails_to_write(faulty, capsys):
    Sweep(faulty, WRITE | TRUNCATE, errno.EIO, step=7).run(capsys)


def test_a_disk_that_fails_to_sync(faulty, capsys):
    sweep = Sweep(faulty, SYNC, errno.EIO)
    sweep.run(capsys)
    assert sweep.restarts > 5


def test_files_that_cannot_be_opened_or_named(faulty, capsys):
    Sweep(faulty, OPEN | NAME, errno.EIO).run(capsys)


def test_a_disk_that_fails_to_read(faulty, capsys):
    Sweep(faulty, READ, errno.EIO, step=3).run(capsys)


def test_a_checkpoint_that_fails_to_sync(faulty):
    """What was acknowledged is in the log; that the daemon takes no more is said at once, not at the next write."""
    assert faulty.request("PUT", "/v1/datasets/large").status == 201
    time.sleep(1.5)  # until housekeeping, whose group would find the store failed too, has had its turn
    for part in range(2):
        rows = [record(f"p{part}-{i}", 50000) for i in range(100)]  # 10 MB: the second time the log is long enough
        if part:
            faulty.arm(SYNC, errno.EIO, 2, ALWAYS)  # behind the commit's own
        post(faulty, "large", rows)
    until = time.monotonic() + 3
    while not read_only(faulty) and time.monotonic() < until:
        time.sleep(0.05)
    _, failed = faulty.disarm()
    assert failed > 0 and read_only(faulty)
    faulty.kill()
    faulty.start()
    assert totals(faulty, "large")["prompts"] == 200
    check_folder(faulty)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_faults_at_the_start(tmp_path, capsys, error):
    """Of a daemon that brings a database of version 1 up to date: it starts, or says why not, and the next start
    finds all."""
    d = Faulty(tmp_path).start()
    script = Script(d, "old")
    script.run()
    d.stop()
    downgrade(os.path.join(d.data, "prefd.db"))
    shutil.copytree(d.data, tmp_path / "old")
    script.ledger.facts = {k: v for k, v in script.ledger.facts.items() if k[0] != "dataset"}
    n = refused = failed = 1
    while failed:
        shutil.rmtree(d.data)
        shutil.copytree(tmp_path / "old", d.data)
        d.arm(WRITE | SYNC | TRUNCATE | OPEN | NAME | READ | LATER, error, n)
        try:
            d.start()
        except AssertionError as e:
            assert "prefd ended with 1:" in str(e), e
            refused += 1
        _, failed = d.disarm()
        d.kill()
        d.start()
        assert read_facts(d, script.dataset) == {k: v for k, v in script.ledger.facts.items() if v is not None}
        d.kill()
        n += 1
        assert n < STEPS_MAX
    check_folder(d)
    with capsys.disabled():
        print(f"\n# {NAMES[error]} at the start of a store of version 1: {n - 2} operations failed, {refused - 1} starts refused")
    assert refused > 10


def test_control_a_write_that_never_happened_is_found_out(faulty):
    """The daemon cannot know; the audit must."""
    found = 0
    for n in range(1, 200, 13):
        script = Script(faulty, f"dropped-{n}")
        faulty.arm(WRITE, DROP, n)
        script.run()
        faulty.disarm()
        try:
            faulty.kill()
            faulty.start()
            script.audit()
            check_folder(faulty)
        except AssertionError:
            found += 1
            break
    assert found
