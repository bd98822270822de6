"""A daemon whose n-th operation fails on demand (faulty.c stands between it and the C library), and a script of
requests whose outcome is audited."""

import errno
import mmap
import os
import struct
import subprocess

import pytest
from audit import Ledger, read_facts, record_facts
from conftest import BINARY, ROOT, Daemon, clean_environment
from rounds_kit import POLICY, REFERENCE, create, sample_id
from wire import batch, post

WRITE, SYNC, TRUNCATE, OPEN, NAME, READ, ALLOC, LATER = (1 << i for i in range(8))
DROP = -1    # a write that is said to have happened
SHORT = 0    # a write that is cut short
ALWAYS = 2**40
REFUSALS = (500, 503, 507)
SANITIZED = os.path.basename(os.path.dirname(BINARY)).startswith("build-")

needs_shim = pytest.mark.skipif(SANITIZED, reason="a sanitizer stands at the same place")


class Faulty(Daemon):
    def __init__(self, folder):
        self.control_path = str(folder / "control")
        with open(self.control_path, "wb") as f:
            f.write(bytes(mmap.PAGESIZE))
        with open(self.control_path, "r+b") as f:
            self.control = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        library = str(folder / "faulty.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library,
                        os.path.join(ROOT, "tests", "http", "faulty.c")], check=True)
        data = str(folder / "data")
        super().__init__(data, folder / "log", [], {"LD_PRELOAD": library, "FAULTY_CONTROL": self.control_path,
                                                    "FAULTY_FOLDER": data})

    def arm(self, kinds, error, n, times=1):
        """The n-th operation from here on of these kinds fails, and so do the `times` - 1 behind it."""
        self.control[0:40] = struct.pack("<Iiqqqq", 0, error, n - 1, times, 0, 0)
        self.control[0:4] = struct.pack("<I", kinds)

    def disarm(self):
        """Returns how many operations there were, and how many of them failed."""
        self.control[0:4] = bytes(4)
        return struct.unpack("<qq", self.control[24:40])


NAMES = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", SHORT: "short", DROP: "dropped"}


def record(id, characters=100):
    return {"id": id, "prompt": f"question of {id}", "responses": [
        {"id": f"{id}-{k}", "text": f"answer {k} " + "x" * characters, "scores": [{"judge": "j", "value": 1 + k}],
         "logprobs": {POLICY: -5.0 - k, REFERENCE: -6.0 + k}} for k in range(2)]}


class Script:
    """Some requests of every kind, in a dataset of their own."""

    def __init__(self, daemon, number):
        self.daemon, self.dataset = daemon, f"d{number}"
        self.path, self.other = f"/v1/datasets/{self.dataset}", f"other{number}"
        self.ledger, self.refusals, self.snapshot = Ledger(), [], None
        rows = [record(f"base{i}") for i in range(2)]
        assert daemon.request("PUT", self.path).status == 201
        post(daemon, self.dataset, rows)
        for row in rows:
            self.ledger.facts |= record_facts(row)
        self.round = create(daemon, self.dataset, responses="sample", responses_per_prompt=4)

    def steps(self):
        """(changes, method, path, body) of the writes."""
        few, many = [record("few")], [record(f"many{i}", 5000) for i in range(40)]  # these wait in a file
        text, id = "a sample", sample_id(self.round, "base0", 1)
        sample = {("response", id): text, ("logprob", id, POLICY): -1.5}
        return [
            ({("dataset", self.other): True}, "PUT", f"/v1/datasets/{self.other}", {}),
            (record_facts(few[0]), "POST", f"{self.path}/records", few),
            ({("score", "base0-0", "late"): 7}, "POST", f"{self.path}/scores",
             [{"response": "base0-0", "judge": "late", "value": 7}]),
            ({("vote", "ann", "base0-0", "base0-1"): 1}, "POST", f"{self.path}/comparisons",
             [{"judge": "ann", "chosen": "base0-0", "rejected": "base0-1"}]),
            ({k: v for row in many for k, v in record_facts(row).items()}, "POST", f"{self.path}/records", many),
            (sample, "POST", f"/v1/rounds/{self.round}/responses",
             [{"prompt": "base0", "index": 1, "text": text, "logprobs": {POLICY: -1.5}}]),
            ({k: None for k in record_facts(record("base1"))}, "DELETE", f"{self.path}/prompts/base1", None),
            ({("dataset", self.other): None}, "DELETE", f"/v1/datasets/{self.other}?confirm={self.other}", None),
        ]

    def ask(self, method, path, body):
        if isinstance(body, list):
            return self.daemon.post_rows(path, body)
        return self.daemon.request(method, path, body)

    def write(self, step, in_doubt=False):
        changes, *request = step
        self.ledger.sent(changes)
        answer = self.ask(*request)  # without one it stays in doubt
        if answer.status in (200, 201, 204):
            self.ledger.done(changes)
        elif answer.status == 404 and request[0] == "DELETE":
            assert self.ledger.facts.get(next(iter(changes))) is None, answer  # it never came to be
            self.ledger.refused(changes)
        else:
            assert answer.status in REFUSALS and answer.json()["type"].startswith("/problems/"), (request[:2], answer)
            if not in_doubt or self.refusals:
                self.ledger.refused(changes)  # the rest is refused because of the first
            self.refusals.append((step, answer))

    def run(self, in_doubt=False):
        for step in self.steps():
            self.write(step, in_doubt)
        self.make()

    def make(self):
        answer = self.daemon.request("POST", f"{self.path}/snapshots?wait=20", {"name": self.dataset, "recipe": {}})
        assert answer.status in (201, 202, *REFUSALS), answer
        if answer.status == 201:
            self.snapshot = answer.json()["revision"]
            seen = batch(self.daemon, self.dataset)
            assert seen.status == 200 or seen.status in REFUSALS, seen

    def read(self):
        seen = read_facts(self.daemon, self.dataset)
        if self.daemon.request("GET", f"/v1/datasets/{self.other}").status == 200:
            seen["dataset", self.other] = True
        return seen

    def audit(self):
        seen = self.read()
        findings = self.ledger.findings(seen)
        assert not findings, findings[:5]
        self.ledger.resolve(seen)

    def again(self):
        """What was refused is taken now; the snapshot that was made is what it is without faults."""
        refused, self.refusals = self.refusals, []
        for step, _ in refused:
            self.write(step)
        assert not self.refusals, self.refusals[0]
        self.audit()
        name = f"{self.dataset}-again"
        answer = self.daemon.request("POST", f"{self.path}/snapshots?wait=20", {"name": name, "recipe": {}})
        assert answer.status == 201, answer
        if self.snapshot and not refused:
            assert answer.json()["revision"] == self.snapshot
        for made in (name, self.dataset):
            assert self.daemon.request("DELETE", f"/v1/snapshots/{made}").status in (204, 404)


def check_folder(daemon):
    done = subprocess.run([BINARY, "check", "--data", daemon.data], env=clean_environment(), capture_output=True,
                          timeout=120, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def read_only(daemon):
    return daemon.request("GET", "/readyz").status == 503
