"""What random clients do. Each is a thread with random numbers of its own (seed, number) and one connection; it
works on a few datasets that all share, so that they get into each other's way.

What goes wrong on purpose: a body whose connection is cut in its middle, a whole one whose answer nobody reads, the
same sent twice, a key used for another body; and whoever runs the clients kills the daemon meanwhile. After a lost
answer a client repeats what had a key, under the same key.
"""

import http.client
import json
import random
import socket
import threading
import time

import rounds
from history import brief, sha

ANSWER_SECONDS = 60
RETRIES = 3
PART, DEAF = 0.01, 0.015  # of all POSTs: cut in the middle of the body; the answer not waited for
PROMPTS = ["p0", "p1", "p2", "p3"]
JUDGES = ["ada", "bo", "cyd"]
PAST = [f"2020-01-0{d}T00:00:00Z" for d in range(1, 5)]
FUTURE = [f"2099-01-0{d}T00:00:00Z" for d in range(1, 3)]
STRATEGIES = ["best_random", "best_worst", "best_rest", "adjacent", "comparisons"]
PAUSE_SECONDS = 0.012  # between two things that a client does, on average
LOST = (OSError, http.client.HTTPException)


def coded(body, key):
    """(bytes or None, headers): text goes as rows, anything else as a document."""
    headers = {"Idempotency-Key": key} if key else {}
    if body is None:
        return None, headers
    rows = isinstance(body, str)
    headers["Content-Type"] = "application/x-ndjson" if rows else "application/json"
    return (body if rows else json.dumps(body)).encode(), headers


class Client(threading.Thread):
    """up: set while the daemon runs; stop: set at the end."""

    def __init__(self, number, seed, port, history, up, stop, ledgers, round_places):
        super().__init__(name=f"client {number}", daemon=True)
        self.number, self.port, self.history, self.up, self.stopped = number, port, history, up, stop
        self.random = random.Random(f"{seed}/{number}")
        self.ledgers, self.round_places = ledgers, round_places
        self.connection, self.opened = None, 0.0
        self.failure = None
        self.serial = 0
        self.snapshots = []  # (place, id) that may be read
        self.keys = []       # (place, key) used before

    # The wire.

    def connect(self):
        if self.connection is None:
            c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS)
            c.connect()
            c.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connection, self.opened = c, time.monotonic()

    def hang_up(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def send(self, method, path, body, headers, sent):
        """(status, headers, body), or None."""
        if sent == "part":
            self.connection.putrequest(method, path)
            for k, v in {**headers, "Content-Length": str(len(body))}.items():
                self.connection.putheader(k, v)
            self.connection.endheaders(body[:self.random.randrange(len(body))])
            return None
        self.connection.request(method, path, body, headers)
        if sent == "deaf":
            if self.random.random() < 0.5:
                self.connection.sock.recv(20)  # the answer has begun
            return None
        answer = self.connection.getresponse()
        return answer.status, answer.headers, answer.read()

    def call(self, do, place, method, path, ask, body=None, key=None, faults=True):
        """Does it once and notes it. None when the daemon was out of reach and nothing was sent."""
        try:
            self.connect()
        except LOST:
            self.hang_up()
            return None
        data, headers = coded(body, key)
        sent = self.random.choices(["part", "deaf", "whole"], [PART, DEAF, 1 - PART - DEAF])[0] \
            if faults and data else "whole"
        op = {"n": self.history.number(), "client": self.number, "place": place, "do": do, "ask": ask, "key": key,
              "sent": "part" if sent == "part" else "whole", "opened": self.opened, "begin": time.monotonic()}
        try:
            answer = self.send(method, path, data, headers, sent)
        except LOST:
            answer = None
        op.update(end=time.monotonic(), wall=time.time(), status=None, retry_after=False, replayed=False, answer=None)
        if answer is None:
            self.hang_up()
        else:
            status, fields, content = answer
            op.update(status=status, retry_after="Retry-After" in fields,
                      replayed="Idempotency-Replayed" in fields, answer=brief(do, status, content))
        self.history.note(op)
        return op

    def post(self, do, place, path, ask, body, key=None):
        """With repetitions after a lost answer, when a key makes them safe."""
        op = self.call(do, place, "POST", path, ask, body, key)
        for _ in range(RETRIES):
            if key is None or (op and op["status"] is not None) or self.stopped.is_set():
                break
            self.up.wait(1)
            op = self.call(do, place, "POST", path, ask, body, key)
        return op

    def run(self):
        try:
            while not self.stopped.is_set():
                if not self.up.wait(0.5):
                    continue
                self.stopped.wait(self.random.expovariate(1 / PAUSE_SECONDS))
                if self.round_places and self.random.random() < 0.4:
                    Worker(self, self.random.choice(self.round_places)).work()
                else:
                    self.act(self.random.choice(self.ledgers))
        except Exception as e:  # a defect of the checker itself: the run must not pass
            self.failure = e
        finally:
            self.hang_up()

    # A dataset with prompts, scores and snapshots.

    def act(self, place):
        what, weight = zip((self.post_records, 22), (self.post_scores, 22), (self.post_comparisons, 8), (self.read, 22),
                           (self.stats, 6), (self.list, 3), (self.delete, 3), (self.make_snapshot, 4),
                           (self.read_snapshot, 9), (self.drop_snapshot, 1))
        self.random.choices(what, weight)[0](place)

    def fresh(self, stem):
        self.serial += 1
        return f"{stem}{self.number}-{self.serial}"

    def score(self, **more):
        r = self.random
        s = {"judge": r.choice(JUDGES), "value": r.randrange(1000, 10000) / 1000, **more}
        if r.random() < 0.3:
            s["at"] = r.choice(PAST + FUTURE)
        if r.random() < 0.06:
            s.update(value=None, status="failed")
        if r.random() < 0.1:
            s["value"] = 5 if s["value"] else None
        return s

    def vote(self, prompt, ids=()):
        chosen, rejected = self.random.sample(sorted({*ids, *(f"{prompt}.{k}" for k in "abc")}), 2)
        v = {"judge": self.random.choice(JUDGES), "chosen": chosen, "rejected": rejected}
        if self.random.random() < 0.5:
            v["strength"] = self.random.choice([1, 2, 0.5])
        if self.random.random() < 0.3:
            v["at"] = self.random.choice(PAST + FUTURE)
        return v

    def response(self, id):
        r = self.random
        out = {"id": id, "text": f"text of {id}" + (" once more" if r.random() < 0.05 else "")}
        if r.random() < 0.5:
            out["scores"] = [self.score(judge=j) for j in r.sample(JUDGES, r.randrange(1, 3))]
        return out

    def record(self, prompt):
        r = self.random
        if r.random() < 0.02:
            return {"id": prompt, "prompt": 1}
        ids = [f"{prompt}.{k}" for k in r.sample("abc", r.randrange(0, 4))]
        if r.random() < 0.3:
            ids.append(self.fresh(f"{prompt}.f"))
        row = {"id": prompt, "prompt": f"question {prompt}" + (" anew" if r.random() < 0.06 else "")}
        if ids:
            row["responses"] = [self.response(id) for id in ids]
        if r.random() < 0.2:
            row["comparisons"] = [self.vote(prompt, ids)]
        return row

    def post_rows(self, do, place, rows):
        r, query = self.random, []
        ask = {"rows": rows, "on_conflict": None, "on_error": r.random() < 0.2}
        if do == "records":
            ask["on_conflict"] = r.choice([None, None, "keep", "replace"])
        if ask["on_conflict"]:
            query.append(f"on_conflict={ask['on_conflict']}")
        if ask["on_error"]:
            query.append("on_error=continue")
        key = None
        if r.random() < 0.4:
            key = self.fresh(f"{place}-k")
            self.keys.append((place, do, key))
            old = [k for p, d, k in self.keys[-20:] if (p, d) == (place, do)]
            if r.random() < 0.03:
                key = r.choice(old)
        path = f"/v1/datasets/{place}/{do}" + ("?" + "&".join(query) if query else "")
        body = "".join(json.dumps(row) + "\n" for row in rows)
        ask["body"] = sha(f"{do}\n{body}".encode())  # what a key stands for: not the query
        for _ in range(2 if r.random() < 0.08 else 1):  # twice, as a client that is not sure
            self.post(do, place, path, ask, body, key)

    def post_records(self, place):
        prompts = self.random.sample(PROMPTS, self.random.choice([1, 1, 2, 3]))
        self.post_rows("records", place, [self.record(p) for p in prompts])

    def post_scores(self, place):
        n = self.random.choice([1, 1, 1, 4])
        self.post_rows("scores", place, [self.score(response=f"{self.random.choice(PROMPTS)}.{self.random.choice('abc')}")
                                         for _ in range(n)])

    def post_comparisons(self, place):
        self.post_rows("comparisons", place, [self.vote(self.random.choice(PROMPTS))
                                              for _ in range(self.random.choice([1, 1, 3]))])

    def read(self, place):
        self.read_prompt(place, self.random.choice(PROMPTS))

    def read_prompt(self, place, id):
        return self.call("read", place, "GET", f"/v1/datasets/{place}/prompts/{id}?ledger=true", {"id": id})

    def stats(self, place):
        self.call("stats", place, "GET", f"/v1/datasets/{place}/stats", {})

    def list(self, place):
        self.call("list", place, "GET", f"/v1/datasets/{place}/prompts?limit=100", {})

    def delete(self, place):
        id = self.random.choice(PROMPTS)
        self.call("delete", place, "DELETE", f"/v1/datasets/{place}/prompts/{id}", {"id": id})

    def make_snapshot(self, place):
        r, name = self.random, self.fresh(f"{place}-s")
        recipe = {"pairing": {"strategy": r.choice(STRATEGIES), "seed": r.randrange(100)},
                  "reward": {"across_judges": r.choice(["mean", "median", "min", "max"])}}
        if r.random() < 0.3:
            recipe["pairing"]["min_margin"] = 0.5
        path = f"/v1/datasets/{place}/snapshots" + ("?wait=20" if r.random() < 0.8 else "")
        for _ in range(2 if r.random() < 0.2 else 1):
            self.call("snapshot", place, "POST", path, {"name": name, "recipe": recipe},
                      {"name": name, "recipe": recipe})
        self.snapshots.append((place, name))
        self.export(place, name)

    def export(self, place, id):
        return self.call("export", place, "GET", f"/v1/snapshots/{id}/export?augment=none", {"id": id})

    def read_snapshot(self, place):
        mine = [id for p, id in self.snapshots[-12:] if p == place]
        if not mine:
            return
        id, r = self.random.choice(mine), self.random
        if r.random() < 0.5:
            self.export(place, id)
        else:
            q = {"offset": r.choice([0, 0, 1, 3]), "batch_size": r.choice([1, 2, 64]), "seed": r.randrange(3)}
            self.call("batch", place, "GET", f"/v1/snapshots/{id}/batch?augment=none&"
                      + "&".join(f"{k}={v}" for k, v in q.items()), {"id": id, **q})

    def drop_snapshot(self, place):
        mine = [id for p, id in self.snapshots if p == place]
        if mine:
            id = self.random.choice(mine)
            self.call("drop", place, "DELETE", f"/v1/snapshots/{id}", {"id": id})


class Worker:
    """A client at a place with rounds: opens one, leases, delivers twice and late, rescores, publishes."""

    opening = threading.Lock()
    names = {}  # place -> how many rounds it has had

    def __init__(self, client, place):
        self.client, self.place, self.random = client, place, client.random

    def call(self, do, method, path, ask, body=None):
        return self.client.call(do, self.place, method, f"/v1/rounds/{self.round}{path}",
                                {"round": self.round, **ask}, body)

    def work(self):
        with self.opening:
            number = self.names.setdefault(self.place, 1)
        self.round = f"{self.place}-r{number}"
        act, weight = zip((self.open, 2), (self.take, 50), (self.progress, 12), (self.rescore, 3), (self.stale, 12),
                          (self.again, 4))
        self.random.choices(act, weight)[0](number)

    def open(self, number, seconds=1):
        body = {"name": self.round, **rounds.DOCUMENT, "lease_seconds": seconds}
        self.client.call("round", self.place, "POST", f"/v1/datasets/{self.place}/rounds", {"round": self.round}, body)

    def progress(self, _):
        self.call("progress", "GET", "", {})

    def stale(self, number):
        """A word about the round before: what comes late to it."""
        if number > 1:
            self.round = f"{self.place}-r{number - 1}"
            self.random.choice([self.progress, self.late, self.rescore])(number)

    def late(self, _):
        p, i = self.random.choice(rounds.PROMPTS), self.random.randrange(rounds.PER_PROMPT)
        self.deliver("samples", [self.sample(p, i)])

    def again(self, number):
        """Something that may be there, or not yet, without a lease."""
        p, i = self.random.choice(rounds.PROMPTS), self.random.randrange(rounds.PER_PROMPT)
        if self.random.random() < 0.5:
            self.late(number)
        else:
            self.deliver("logprobs", [self.logprob(rounds.sample_id(self.round, p, i), rounds.POLICY)])

    def sample(self, prompt, index):
        self.client.serial += 1
        words = " word" * self.random.randrange(1, 12)
        return {"prompt": prompt, "index": index, "text": f"by {self.client.number}, {self.client.serial}:{words}"}

    def logprob(self, response, model):
        return {"response": response, "model": model, "logprob": -self.random.randrange(1, 10**6) / 8192}

    def deliver(self, do, rows):
        path = "/responses" if do == "samples" else "/logprobs"
        body = "".join(json.dumps(row) + "\n" for row in rows)
        return self.call(do, "POST", path, {"rows": rows}, body)

    def take(self, number):
        r = self.random
        kind = r.choice(["sample", "sample", "policy", "reference"])
        ask = {"kind": "sample", "worker": self.client.name, "limit": r.choice([1, 2, 4])}
        if kind != "sample":
            ask.update(kind="score", model=rounds.POLICY if kind == "policy" else rounds.REFERENCE)
        op = self.call("lease", "POST", "/leases", ask, ask)
        if op and op["status"] == 410 and kind != "sample":
            self.finish(number)
        if op and op["status"] == 204:
            self.client.stopped.wait(0.05)
        if op and op["status"] == 200:
            self.fulfil(ask, op["answer"])

    def fulfil(self, ask, lease):
        """Most deliver; some renew first, give back, or sleep until the lease is over and deliver all the same."""
        r, path = self.random, f"/leases/{lease['lease']}"
        if r.random() < 0.2:
            self.call("renew", "POST", path + "/renew", {"lease": lease["lease"]})
        fate = r.random()
        if fate < 0.12:
            return  # died
        if fate < 0.2:
            self.call("giveback", "DELETE", path, {"lease": lease["lease"]})
            return
        if fate < 0.24:
            self.client.stopped.wait(1.2)
        if ask["kind"] == "sample":
            rows = [self.sample(t["prompt"]["id"], i) for t in lease["tasks"] for i in t["indices"]]
        else:
            rows = [self.logprob(t["response"]["id"], ask["model"]) for t in lease["tasks"]]
        for _ in range(2 if r.random() < 0.2 else 1):
            self.deliver("samples" if ask["kind"] == "sample" else "logprobs", rows)

    def rescore(self, number):
        op = self.call("rescore", "POST", "/rescore", {}, {})
        if op and op["status"] == 200 and op["answer"]["pairs"] and self.random.random() < 0.7:
            self.publish(op["answer"]["rescoring"])

    def publish(self, rescoring):
        name = self.client.fresh(f"{self.round}-s")
        self.call("publish", "POST", "/publish?wait=20", {"name": name, "rescoring": rescoring},
                  {"name": name, "rescoring": rescoring})
        for _ in range(2):
            self.client.export(self.place, name)

    def finish(self, number):
        """All of one kind is there: now and then the next round begins."""
        if self.random.random() < 0.3:
            self.rescore(number)
            if self.random.random() < 0.5:
                self.call("close", "POST", "/close", {})
            with self.opening:
                if self.names[self.place] == number:
                    self.names[self.place] = number + 1
