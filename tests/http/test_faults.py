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
import subprocess

import pytest
from audit import Ledger, read_facts, record_facts
from conftest import BINARY, clean_environment
from faulty import ALWAYS, DROP, NAME, NAMES, OPEN, READ, SHORT, SYNC, TRUNCATE, WRITE, Faulty, needs_shim
from rounds_kit import POLICY, REFERENCE, create, sample_id
from wire import batch, post

pytestmark = needs_shim
STEPS_MAX = 5000
REFUSALS = (500, 503, 507)


@pytest.fixture
def faulty(tmp_path):
    d = Faulty(tmp_path).start()
    yield d
    d.disarm()
    d.stop()


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
        answer = self.ask(*request)
        if answer.status in (200, 201, 204):
            self.ledger.done(self.ledger.sent(changes))
        elif answer.status == 404 and request[0] == "DELETE":
            assert self.ledger.facts.get(next(iter(changes))) is None, answer  # it never came to be
        else:
            assert answer.status in REFUSALS and answer.json()["type"].startswith("/problems/"), (request[:2], answer)
            if in_doubt and not self.refusals:
                self.ledger.sent(changes)  # the rest was refused because of the first
            self.refusals.append((step, answer))

    def run(self, in_doubt=False):
        for step in self.steps():
            self.write(step, in_doubt)
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
