"""The n-th allocation of memory fails: of prefd's own, SQLite's, libmicrohttpd's, all of them.

prefd itself ends at once when its heap is exhausted (base/heap.h); a library
may pass the failure on, which then is an answer with an error. In neither case
may an acknowledged write be lost, a refused one be there by half, or the
process die in any other way.

Control: with SIGKILL at the same points the audit must know what is in doubt
(test_crash.py); here, a daemon that dies by a signal but SIGABRT is a failure.
"""

import collections
import errno
import http.client
import signal
import subprocess

import pytest
from faulty import ALLOC, LATER, REFUSALS, Faulty, Script, check_folder, needs_shim, read_only

pytestmark = needs_shim
POINTS = 150  # of a start, of the script, spread evenly; of reads all


@pytest.fixture
def faulty(tmp_path):
    d = Faulty(tmp_path)
    yield d
    d.disarm()
    d.stop()


def how_it_is(daemon):
    """"runs", or "read-only" as it says itself, or "ended" with a word about it."""
    try:
        status = daemon.process.wait(0.05)
    except subprocess.TimeoutExpired:
        return "read-only" if read_only(daemon) else "runs"
    assert status == -signal.SIGABRT and "prefd: out of memory" in daemon.log()[-2000:], (status, daemon.log()[-2000:])
    return "ended"


def run_script(daemon, number, n):
    """Returns how many allocations there were, and what became of the daemon: None if none failed."""
    script = Script(daemon, number)
    daemon.arm(ALLOC, errno.ENOMEM, n)
    try:
        script.run()
    except (OSError, http.client.HTTPException):
        pass  # no answer: in doubt
    operations, failed = daemon.disarm()
    state = how_it_is(daemon)
    if state != "runs":
        daemon.kill()
        daemon.start()
    script.audit()
    daemon.request("DELETE", f"/v1/snapshots/{script.dataset}")
    return operations, state if failed else None


def test_while_requests_are_served(faulty, capsys):
    faulty.start()
    run_script(faulty, "first", 10**9)  # prepares statements, once
    total, _ = run_script(faulty, "count", 10**9)
    states, n, step = collections.Counter(), 1, max(1, total // POINTS)
    while (state := run_script(faulty, f"n{n}", n)[1]) and n < 10**6:
        states[state] += 1
        n += step
    assert not state, "it never came to an end"
    check_folder(faulty)
    with capsys.disabled():
        print(f"\n# allocations of requests: every {step}. of {n - 1}; what became of the daemon when one failed: "
              f"{dict(states)}")
    assert states["ended"] > 3 and states["runs"] > 10


def test_while_reading(faulty, capsys):
    """An answer is the right one, or an error, or none."""
    faulty.start()
    script = Script(faulty, "read")
    script.run()
    paths = [f"{script.path}/prompts/many7", f"{script.path}/prompts?limit=5", f"{script.path}/stats",
             f"/v1/snapshots/{script.dataset}", f"/v1/snapshots/{script.dataset}/batch?batch_size=3",
             f"/v1/snapshots/{script.dataset}/export", f"/v1/rounds/{script.round}", "/v1/datasets"]
    right = {path: faulty.request("GET", path).body for path in paths}
    counted, n, failed = collections.Counter(), 1, 1
    while failed and n < 4000:
        faulty.arm(ALLOC, errno.ENOMEM, n)
        for path in paths:
            try:
                answer = faulty.request("GET", path)
                assert answer.status in REFUSALS or answer.body == right[path], (path, n, answer)
                counted["answered" if answer.status == 200 else "refused"] += 1
            except (OSError, http.client.HTTPException):
                counted["none"] += 1
        _, failed = faulty.disarm()
        state = how_it_is(faulty)
        counted[state] += 1
        if state != "runs":
            faulty.kill()
            faulty.start()
        n += 1
    assert not failed
    with capsys.disabled():
        print(f"\n# allocations of reads: {n - 1}; answers and what became of the daemon: {dict(counted)}")


def test_at_the_start(faulty, capsys):
    """It starts, or ends saying why; the next start finds all."""
    faulty.start()
    script = Script(faulty, "start")
    script.run()
    faulty.stop()
    faulty.arm(ALLOC | LATER, errno.ENOMEM, 10**9)
    faulty.start()
    total, _ = faulty.disarm()
    faulty.stop()
    states = collections.Counter()
    for n in range(1, total, max(1, total // POINTS)):
        faulty.arm(ALLOC | LATER, errno.ENOMEM, n)
        try:
            faulty.start()
            state = how_it_is(faulty)
        except AssertionError:
            status = faulty.process.returncode
            assert status in (1, -signal.SIGABRT) and "prefd: " in faulty.log()[-500:], (status, faulty.log()[-2000:])
            state = "refused" if status == 1 else "ended"
        faulty.disarm()
        faulty.kill()
        states[state] += 1
    faulty.start()
    script.audit()
    check_folder(faulty)
    with capsys.disabled():
        print(f"\n# allocations of a start: {total}; what became of it when one failed: {dict(states)}")
    assert states["ended"] + states["refused"] > 10
