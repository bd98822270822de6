"""A data folder on a small disk of its own that is really full.

A ballast file leaves this much room or that. Writes are refused with 507 or
pass, nothing between; what was acknowledged is there and what was refused is
not; reads go on. Once the ballast is gone the daemon writes again by itself.

Control: had the refused writes been acknowledged, the audit would find them lost.
"""

import errno
import os
import subprocess

import pytest
from audit import Ledger, read_facts, record_facts
from conftest import BINARY, Daemon, clean_environment
from wire import batch, make, new_dataset

DISK = "24m"
MOUNT = 'mount -t tmpfs -o size="$1" tmpfs "$2" && shift 2 && exec "$@"'
ROOMS = [0, 4096, 8192, 16384, 40000, 65536, 100000, 200000, 300000, 500000, 800000, 1200000]  # bytes left
SMALL, LARGE = 100, 20000  # characters of a response; ten large ones wait in a file


def can_mount(folder):
    return subprocess.run(["unshare", "-rm", "sh", "-c", MOUNT, "sh", DISK, str(folder), "true"],
                          capture_output=True).returncode == 0


class OnSmallDisk(Daemon):
    """In a mount namespace of its own, seen from outside through /proc."""

    def __init__(self, folder):
        self.mount = str(folder / "disk")
        os.mkdir(self.mount)
        super().__init__(os.path.join(self.mount, "data"), folder / "log")
        self.command = ["unshare", "-rm", "sh", "-c", MOUNT, "sh", DISK, self.mount, BINARY]

    def inside(self, name):
        return f"/proc/{self.pid}/root{self.mount}/{name}"

    def room(self):
        s = os.statvfs(self.inside(""))
        return s.f_bavail * s.f_frsize

    def leave(self, n):
        """Ballast takes all but n bytes, to the page."""
        with open(self.inside("ballast"), "ab") as f:
            while (more := min(self.room() - n, 1 << 20)) > 0:
                try:
                    f.write(bytes(more))
                    f.flush()
                except OSError as e:
                    assert e.errno == errno.ENOSPC
                    break

    def make_room(self):
        os.unlink(self.inside("ballast"))

    def check(self):
        done = subprocess.run(["nsenter", f"--user=/proc/{self.pid}/ns/user", f"--mount=/proc/{self.pid}/ns/mnt",
                               BINARY, "check", "--data", self.data],
                              env=clean_environment(), capture_output=True, timeout=60, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def small(tmp_path):
    if not can_mount(tmp_path):
        pytest.skip("this machine lets nobody mount a disk of his own")
    d = OnSmallDisk(tmp_path).start()
    yield d
    d.stop()


def record(id, characters):
    return {"id": id, "prompt": f"question of {id}", "responses": [
        {"id": f"{id}-{k}", "text": f"{k}" + "x" * characters, "scores": [{"judge": "j", "value": 1 + k}]}
        for k in range(2)]}


class Writer:
    def __init__(self, daemon, dataset):
        self.daemon, self.dataset, self.ledger, self.n = daemon, dataset, Ledger(), 0
        self.refused, self.stored = [], []

    def write(self, changes, method, path, rows=None):
        d, path = self.daemon, f"/v1/datasets/{self.dataset}/{path}"
        answer = d.post_rows(path, rows) if rows else d.request(method, path)
        if answer.status in (200, 204):
            self.ledger.done(self.ledger.sent(changes))
        else:
            assert (answer.status, answer.json()["type"]) == (507, "/problems/storage-full"), answer
            self.refused.append(changes)
        return answer.status in (200, 204)

    def post(self, characters, prompts):
        self.n += 1
        rows = [record(f"p{self.n}-{i}", characters) for i in range(prompts)]
        if self.write({k: v for row in rows for k, v in record_facts(row).items()}, "POST", "records", rows):
            self.stored.append(rows[0])
            return True
        return False

    def some(self):
        """One write of each kind; returns how many passed."""
        known, self.n = self.stored[0]["id"], self.n + 1
        passed = self.post(SMALL, 1) + self.post(LARGE, 10) + self.post(LARGE, 1)
        score = {"response": f"{known}-0", "judge": "late", "value": 1 + self.n % 900 / 100}
        passed += self.write({("score", score["response"], "late"): score["value"]}, "POST", "scores", [score])
        vote = {"judge": f"v{self.n}", "chosen": f"{known}-0", "rejected": f"{known}-1"}
        passed += self.write({("vote", *vote.values()): 1}, "POST", "comparisons", [vote])
        if len(self.stored) > 3:
            gone = self.stored[-1]
            if self.write({k: None for k in record_facts(gone)}, "DELETE", f"prompts/{gone['id']}"):
                self.stored.pop()
        return passed

    def tidy(self):
        """Deletes what is not in the snapshot, so that the disk lasts for all levels."""
        there = [k[1] for k, v in self.ledger.facts.items() if k[0] == "prompt" and v and k[1][:3] not in ("p1-", "p2-")]
        for id in there:
            changes = {k: None for k in self.ledger.facts if k[1] in (id, f"{id}-0", f"{id}-1")}
            assert self.write(changes, "DELETE", f"prompts/{id}")
        self.stored = self.stored[:2]

    def audit(self):
        seen = read_facts(self.daemon, self.dataset)
        findings = self.ledger.findings(seen)
        assert not findings, findings[:5]
        return seen


def test_a_full_disk(small, capsys):
    w = Writer(small, new_dataset(small, "full"))
    assert w.post(SMALL, 2) and w.post(SMALL, 2)
    snapshot = make(small, w.dataset, name="before")
    before = batch(small, "before").body
    for room in ROOMS:
        small.leave(room)
        refused = len(w.refused)
        for _ in range(3):
            w.some()
        ready = small.request("GET", "/readyz")
        assert (ready.status, ready.json()["type"]) == (507, "/problems/storage-full"), ready
        assert len(w.refused) > refused or room > 500000
        assert batch(small, "before").body == before  # reads go on
        w.audit()
        small.make_room()
        assert w.post(SMALL, 1), "it does not go on by itself"
        w.tidy()
    seen = w.audit()
    small.check()
    assert small.request("GET", f"/v1/snapshots/{snapshot['id']}").json() == snapshot
    lied = Ledger()
    lied.facts = dict(w.ledger.facts)
    for changes in w.refused:
        lied.facts.update(changes)
    lost = sum(kind == "lost" for kind, *_ in lied.findings(seen))
    with capsys.disabled():
        print(f"\n# full disk: {len(ROOMS)} levels of room, {w.ledger.acknowledged} writes acknowledged, "
              f"{len(w.refused)} refused; control: {lost} facts lost had they been acknowledged")
    assert lost > 0


def test_a_snapshot_waits_for_room(small):
    w = Writer(small, new_dataset(small, "wait"))
    for _ in range(10):
        assert w.post(LARGE, 10)
    small.leave(300000)  # for the row, not for the file
    answer = small.request("POST", f"/v1/datasets/{w.dataset}/snapshots?wait=1", {"name": "s", "recipe": {}})
    assert answer.status in (202, 507), answer
    small.make_room()
    made = make(small, w.dataset, name="s", status=answer.status == 202 and 200 or 201)
    made = small.request("GET", "/v1/snapshots/s?wait=30").json()
    assert made["state"] == "ready" and made["pairs"] == 100, made
    assert batch(small, "s").status == 200
    assert not [n for n in os.listdir(small.inside("data/snapshots")) if n.startswith("tmp-")]
