"""A hundred times kill -9 under mixed load, and an audit of every acknowledgement.

Each cycle: clients write records, scores, votes, deletions, a round's samples,
snapshots, datasets, each noting in a ledger what it was told; the daemon is
killed at a random moment and started again; then all that is there is read and
compared. Control: the same ledger, had its requests been acknowledged before
the commit, must show losses.
"""

import http.client
import json
import os
import random
import subprocess
import threading
import time

from audit import Ledger, read_facts, record_facts
from conftest import BINARY, clean_environment
from rounds_kit import POLICY, REFERENCE, create, sample_id
from wire import batch, post, prompt_ids, totals

SANITIZED = os.path.basename(os.path.dirname(BINARY)).startswith("build-")
CYCLES = int(os.environ.get("PREFD_CRASH_CYCLES", 8 if SANITIZED else 100))
BASE_PROMPTS, INDICES = 4, 1000


def record(id, responses=2, attribute="overall"):
    return {"id": id, "prompt": f"question of {id}", "responses": [
        {"id": f"{id}-{k}", "text": f"answer {k} of {id} " + "x" * 200,
         "scores": [{"judge": "j", "attribute": attribute, "value": 1 + k}]} for k in range(responses)]}


class Client(threading.Thread):
    """Does its kind of work until the daemon is gone."""

    def __init__(self, cycle, number):
        super().__init__()
        self.cycle, self.ledger, self.number = cycle, cycle.ledger, number
        self.failure, self.n = None, 0

    def run(self):
        try:
            self.connection = self.cycle.daemon.connect(timeout=30)
            while not self.cycle.killed.is_set():
                self.n += 1
                self.work()
        except (OSError, http.client.HTTPException):
            pass  # killed in the middle
        except Exception as e:
            self.failure = e

    def name(self):
        return f"{type(self).__name__.lower()}{self.number}-{self.n}"

    def ask(self, method, path, body, headers=None):
        rows = isinstance(body, list)
        content = "".join(json.dumps(r) + "\n" for r in body) if rows else json.dumps(body) if body else None
        kind = "application/x-ndjson" if rows else "application/json"
        self.connection.request(method, path, content, {"Content-Type": kind, **(headers or {})})
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status in (200, 201, 202, 204), (method, path, answer.status, content)
        return answer.status, json.loads(content) if content else None

    def write(self, changes, method, path, body=None, headers=None):
        changes = self.ledger.sent(changes)
        answer = self.ask(method, path, body, headers)
        self.ledger.done(changes)
        return answer


class Records(Client):
    def work(self):
        rows = [record(f"{self.name()}-{i}") for i in range(1 + self.n % 4)]
        changes = {k: v for row in rows for k, v in record_facts(row).items()}
        self.write(changes, "POST", f"{self.cycle.path}/records", rows)


class Scores(Client):
    """A single score, revised: the last one counts."""

    def work(self):
        response, judge = f"base{self.n % BASE_PROMPTS}-0", f"later{self.number}"
        value = 1 + self.n % 8000 / 1000  # on the goal scale, and none twice
        self.write({("score", response, judge): value}, "POST", f"{self.cycle.path}/scores",
                   [{"response": response, "judge": judge, "value": value}])


class Votes(Client):
    def work(self):
        base, judge = f"base{self.n % BASE_PROMPTS}", f"{self.name()}"
        self.write({("vote", judge, f"{base}-0", f"{base}-1"): 1}, "POST", f"{self.cycle.path}/comparisons",
                   [{"judge": judge, "chosen": f"{base}-0", "rejected": f"{base}-1"}])


class Deletions(Client):
    """Of prompts that no snapshot pairs: it would be revoked."""

    def work(self):
        row = record(self.name(), 6, "aside")
        facts = record_facts(row)
        self.write(facts, "POST", f"{self.cycle.path}/records", [row])
        self.write({k: None for k in facts}, "DELETE", f"{self.cycle.path}/prompts/{row['id']}")


class Samples(Client):
    """A worker of a round: leases, delivers a sample and its log-probabilities."""

    def work(self):
        if self.n % 8 == 1:
            self.ask("POST", f"/v1/rounds/{self.cycle.round}/leases",
                     {"kind": "sample", "worker": self.name(), "limit": 1})
        prompt, index, text = f"base{self.n % BASE_PROMPTS}", self.n, f"sample {self.name()}"
        id = sample_id(self.cycle.round, prompt, index)
        changes = {("response", id): text, ("logprob", id, POLICY): -2.5, ("logprob", id, REFERENCE): -3.5}
        self.write(changes, "POST", f"/v1/rounds/{self.cycle.round}/responses",
                   [{"prompt": prompt, "index": index, "text": text, "logprobs": {POLICY: -2.5, REFERENCE: -3.5}}])


class Keyed(Client):
    """With an Idempotency-Key: what got no answer is sent again after the crash."""

    def work(self):
        row, key = record(self.name()), {"Idempotency-Key": f"{self.cycle.dataset}-{self.name()}"}
        self.cycle.keyed = (row, key)
        self.write(record_facts(row), "POST", f"{self.cycle.path}/records", [row], key)
        self.cycle.keyed = None


class Others(Client):
    """Datasets come and go; snapshots are made and stay the same."""

    def work(self):
        name = f"{self.cycle.dataset}-{self.name()}"
        if self.n % 3:
            self.write({("dataset", name): True}, "PUT", f"/v1/datasets/{name}", {})
            if self.n % 2:
                self.write({("dataset", name): None}, "DELETE", f"/v1/datasets/{name}?confirm={name}")
            return
        made = self.ledger.sent({("snapshot", name): True})
        status, body = self.ask("POST", f"{self.cycle.path}/snapshots?wait=20", {"name": name, "recipe": {}})
        self.ledger.done(made)
        if status == 201:
            self.cycle.revisions[name] = body["revision"]


class Cycle:
    def __init__(self, daemon, number):
        self.daemon, self.dataset = daemon, f"cycle{number}"
        self.path = f"/v1/datasets/{self.dataset}"
        self.ledger, self.killed = Ledger(), threading.Event()
        self.keyed, self.revisions = None, {}

    def prepare(self):
        rows = [record(f"base{i}") for i in range(BASE_PROMPTS)]
        assert self.daemon.request("PUT", self.path).status == 201
        post(self.daemon, self.dataset, rows)
        for row in rows:
            self.ledger.facts |= record_facts(row)
        self.round = create(self.daemon, self.dataset, responses="sample", responses_per_prompt=INDICES)

    def load_and_kill(self, seconds):
        kinds = [Records, Records, Scores, Scores, Votes, Deletions, Samples, Keyed, Others]
        clients = [kind(self, number) for number, kind in enumerate(kinds)]
        for c in clients:
            c.start()
        time.sleep(seconds)
        self.daemon.kill()
        self.killed.set()
        for c in clients:
            c.join(60)
            assert not c.is_alive()
            assert c.failure is None, c.failure

    def read(self):
        seen = read_facts(self.daemon, self.dataset)
        for kind, name in [k for changes in [self.ledger.facts, *self.ledger.doubts.values()] for k in changes
                           if k[0] in ("dataset", "snapshot")]:
            if self.daemon.request("GET", f"/v1/{kind}s/{name}").status == 200:
                seen[kind, name] = True
        progress = self.daemon.request("GET", f"/v1/rounds/{self.round}").json()
        samples = sum(k[0] == "response" and v.startswith("sample ") for k, v in seen.items())
        assert progress["responses"]["there"] == samples, (progress, samples)
        return seen

    def audit(self):
        """Returns what a lying daemon would have lost, and how many requests were done without an answer."""
        seen = self.read()
        findings = self.ledger.findings(seen)
        assert not findings, findings[:5]
        lied = sum(kind == "lost" for kind, *_ in self.ledger.lied().findings(seen))
        there = self.ledger.resolve(seen)
        for name, revision in self.revisions.items():
            made = self.daemon.request("GET", f"/v1/snapshots/{name}?wait=30").json()
            assert (made["state"], made["revision"]) == ("ready", revision), made
            assert batch(self.daemon, name).status == 200
        if self.keyed:
            row, key = self.keyed
            answer = post(self.daemon, self.dataset, [row], headers=key)
            assert answer["prompts"] == {"created": 1, "unchanged": 0}, answer
            self.ledger.facts |= record_facts(row)
        return lied, there

    def still_there(self):
        ids = {k[1] for k, v in self.ledger.facts.items() if k[0] == "prompt" and v}
        assert set(prompt_ids(self.daemon, self.dataset)) == ids
        values = [k[0] for k, v in self.ledger.facts.items() if v is not None]
        kinds = {"prompts": "prompt", "responses": "response", "scores": "score", "comparisons": "vote"}
        assert totals(self.daemon, self.dataset) == {n: values.count(k) for n, k in kinds.items()}


def check_folder(daemon):
    done = subprocess.run([BINARY, "check", "--data", daemon.data], env=clean_environment(), capture_output=True,
                          timeout=120, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_hundred_kills(fresh_daemon, capsys):
    rng = random.Random(5)
    d = fresh_daemon()
    cycles, lied, there = [], 0, 0
    for number in range(CYCLES):
        cycle = Cycle(d, number)
        cycle.prepare()
        cycle.load_and_kill(0.05 + rng.random() * 0.3)
        d.start()
        lost, done = cycle.audit()
        lied, there = lied + lost, there + done
        cycles.append(cycle)
        if number % 10 == 9:
            check_folder(d)
    for cycle in cycles:
        cycle.still_there()
    acknowledged = sum(c.ledger.acknowledged for c in cycles)
    with capsys.disabled():
        print(f"\n# {CYCLES} kills: {acknowledged} acknowledged requests, all there; {there} there without an answer; "
              f"control: {lied} facts lost had they been acknowledged before the commit")
    assert acknowledged > (2 if SANITIZED else 20) * CYCLES
    assert lied > 0, "control: a daemon that acknowledges before it commits is not found out"
