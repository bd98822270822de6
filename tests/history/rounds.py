"""What a dataset with rounds must answer: tasks handed out, samples and log-probabilities delivered, rescorings and
what is published of them, one operation after the other. The prompts are fixed (PROMPTS); see ledger.py.

A round is (closed, samples, logprobs, rescorings):
  samples {(prompt, index): text}, logprobs {(response, model): value}, rescorings {number: its pairs}
"""

import hashlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "http"))

import model  # noqa: E402
import model_rounds  # noqa: E402
from ledger import same_examples, wanted  # noqa: E402
from order import Mismatch  # noqa: E402
from history import digest  # noqa: E402

POLICY, REFERENCE = "lab/policy", "lab/start"
PER_PROMPT = 3
PROMPTS = [f"p{i}" for i in range(8)]
SCALE = (1.0, 10.0)
DOCUMENT = {"policy": POLICY, "reference": REFERENCE, "responses_per_prompt": PER_PROMPT, "min_responses": 2}


def prompt_text(id):
    return f"question {id}"


def sample_id(round, prompt, index):
    return hashlib.sha256(f"prefd-sample-1\n{round}\n{prompt}\n{index}".encode()).hexdigest()[:32]


class Round:
    def __init__(self, name, closed=False, samples=(), logprobs=(), rescorings=()):
        self.name, self.closed = name, closed
        self.samples, self.logprobs, self.rescorings = dict(samples), dict(logprobs), dict(rescorings)

    def copy(self, **changed):
        return Round(**{**vars(self), **changed})

    def fingerprint(self):
        return hash((self.name, self.closed, frozenset(self.samples.items()), frozenset(self.logprobs.items()),
                     frozenset(self.rescorings.items())))

    def ids(self):
        return {sample_id(self.name, p, i): (p, i) for p, i in self.samples}

    def known(self):
        """The round for the independent model of rewards."""
        prompts = []
        for p in PROMPTS:
            scored = []
            for i in range(PER_PROMPT):
                if (p, i) in self.samples:
                    id = sample_id(self.name, p, i)
                    values = {m: (self.logprobs[id, m], None) for m in (POLICY, REFERENCE) if (id, m) in self.logprobs}
                    scored.append(model_rounds.Scored(id, self.samples[p, i], "stop", None, values, i))
            prompts.append((model.Prompt(p, [{"role": "user", "content": prompt_text(p)}]), scored))
        return model_rounds.Round(POLICY, REFERENCE, prompts, min_responses=2, sampled=True)


def example_of(p):
    """A published pair as history.digest has it."""
    def said(half):
        return [{"role": "assistant", "content": half.text}]
    return digest({"prompt_id": p.prompt.id, "prompt": p.prompt.messages, "chosen": said(p.chosen),
                   "rejected": said(p.rejected), "chosen_id": p.chosen.id, "rejected_id": p.rejected.id,
                   "score_chosen": p.chosen.score, "score_rejected": p.rejected.score})


class Rounds:
    """rounds: {id: Round}; snapshots: {id: examples}."""

    def __init__(self, rounds, snapshots):
        self.rounds, self.snapshots = rounds, snapshots

    def fingerprint(self):
        return hash((frozenset(r.fingerprint() for r in self.rounds.values()), frozenset(self.snapshots)))

    def apply(self, op):
        if op["status"] in (429, 503, 507):
            return self
        return getattr(self, op["do"])(op)

    def find(self, op):
        """The round, or None when it is not there: 404, if there was an answer."""
        r = self.rounds.get(op["ask"]["round"])
        if r is None and op["status"] not in (None, 404):
            raise Mismatch(f"no such round, but answered {op['status']}")
        return r

    def put(self, r):
        return Rounds({**self.rounds, r.name: r}, self.snapshots)

    def round(self, op):
        name = op["ask"]["round"]
        if name in self.rounds:
            if op["status"] is not None:
                wanted(op["status"], 200, "the same round again")
            return self
        if op["status"] is not None:
            wanted(op["status"], 201, "a new round")
        return self.put(Round(name))

    def progress(self, op):
        r = self.find(op)
        if r is None or op["status"] is None:
            return self
        n = len(PROMPTS) * PER_PROMPT
        wanted(op["status"], 200, "a look at a round")
        wanted(op["answer"]["state"], "closed" if r.closed else "open", "state")
        wanted(op["answer"]["responses"], {"wanted": n, "there": len(r.samples)}, "samples there")
        for m in (POLICY, REFERENCE):
            there = sum(by == m for _, by in r.logprobs)
            wanted(op["answer"]["logprobs"][m], {"wanted": n, "there": there}, f"log-probabilities of {m}")
        return self

    def close(self, op):
        r = self.find(op)
        if r is None:
            return self
        closed = r.copy(closed=True)
        return self.put(closed).progress(op)

    # Work.

    def lease(self, op):
        r = self.find(op)
        if r is None or op["status"] is None:
            return self
        ask, left = op["ask"], self.left(r, op["ask"])
        if r.closed or not left["ever"]:
            wanted(op["status"], 410, "a lease when nothing will come any more")
        elif op["status"] == 200:
            self.right_tasks(r, ask, op["answer"]["tasks"], left["now"])
        else:
            wanted(op["status"], 204, "a lease")  # others hold what is left
        return self

    @staticmethod
    def left(r, ask):
        """What is missing, by prompt: at all (ever), and as tasks that may go out (now)."""
        if ask["kind"] == "sample":
            gaps = {p: [i for i in range(PER_PROMPT) if (p, i) not in r.samples] for p in PROMPTS}
            gaps = {p: g for p, g in gaps.items() if g}
            return {"ever": gaps, "now": gaps}
        now, ever = {}, {}
        for p in PROMPTS:
            there = [sample_id(r.name, p, i) for i in range(PER_PROMPT) if (p, i) in r.samples]
            missing = [id for id in there if (id, ask["model"]) not in r.logprobs]
            whole = len(there) == PER_PROMPT
            if missing or not whole:
                ever[p] = missing
            if missing and whole:
                now[p] = sorted(missing)
        return {"ever": ever, "now": now}

    @staticmethod
    def right_tasks(r, ask, tasks, now):
        """All that a prompt misses goes out together, and nothing that is there."""
        given = {}
        for t in tasks:
            if ask["kind"] == "sample":
                given[t["prompt"]["id"]] = t["indices"]
            else:
                given.setdefault(t["prompt"]["id"], []).append(t["response"]["id"])
        for p, g in given.items():
            wanted(sorted(g), now.get(p), f"tasks of {p}")
        if len(given) > ask["limit"]:
            raise Mismatch(f"{len(given)} prompts handed out, {ask['limit']} were asked for")

    def renew(self, op):
        self.find(op)
        return self  # its times are checked apart

    giveback = renew

    # Deliveries.

    def samples(self, op):
        r = self.find(op)
        if r is None:
            return self
        if r.closed:
            return self.refused(op, 409)
        samples = dict(r.samples)
        for row in op["ask"]["rows"]:
            samples.setdefault((row["prompt"], row["index"]), row["text"])
        return self.delivered(op, r.copy(samples=samples), "responses", len(samples) - len(r.samples), "unchanged")

    def logprobs(self, op):
        r = self.find(op)
        if r is None:
            return self
        if r.closed:
            return self.refused(op, 409)
        ids = r.ids()
        if any(row["response"] not in ids for row in op["ask"]["rows"]):
            return self.refused(op, 422)
        values = dict(r.logprobs)
        for row in op["ask"]["rows"]:
            values.setdefault((row["response"], row["model"]), row["logprob"])
        return self.delivered(op, r.copy(logprobs=values), "logprobs", len(values) - len(r.logprobs), "kept")

    def delivered(self, op, r, what, created, other):
        if op["status"] is not None:
            said = {what: {"created": created, other: len(op["ask"]["rows"]) - created}}
            wanted((op["status"], op["answer"]), (200, said), "counts of a delivery")
        return self.put(r)

    def refused(self, op, status):
        if op["status"] is not None:
            wanted(op["status"], status, "a refused delivery")
        return self

    # What is made of them.

    def rescore(self, op):
        r = self.find(op)
        if r is None or op["status"] is None:
            return self  # nobody knows its number
        wanted(op["status"], 200, "a rescoring")
        known, seen = r.known(), op["answer"]
        groups = model_rounds.groups(known)
        skipped = {}
        for g in groups:
            if g.skipped:
                skipped[g.skipped] = skipped.get(g.skipped, 0) + 1
        wanted(seen["skipped"], skipped, "skipped prompts of a rescoring")
        wanted(seen["pairs"], len(groups) - sum(skipped.values()), "pairs of a rescoring")
        alpha = model_rounds.auto(groups)
        if abs(alpha - seen["alpha"]) > 1e-6 * max(1.0, abs(alpha)):
            raise Mismatch(f"alpha of a rescoring: {seen['alpha']}, the model says {alpha}")
        if seen["rescoring"] in r.rescorings:
            raise Mismatch(f"rescoring {seen['rescoring']} was there before")
        pairs = [example_of(p) for p in model_rounds.own_pairs(known, groups, seen["alpha"], SCALE)]
        return self.put(r.copy(rescorings={**r.rescorings, seen["rescoring"]: tuple(map(tuple, pairs))}))

    def publish(self, op):
        r, ask = self.find(op), op["ask"]
        if r is None:
            return self
        if ask["name"] in self.snapshots:
            if op["status"] is not None:
                wanted(op["status"], 200, "the same publication again")
            return self
        if op["status"] not in (None, 201, 202):
            raise Mismatch(f"a publication: answered {op['status']}")
        if ask["rescoring"] not in r.rescorings:
            raise Mismatch(f"rescoring {ask['rescoring']} is published before it was made")
        if ask.get("content") is not None:
            same_examples(ask["content"], r.rescorings[ask["rescoring"]])
        return Rounds(self.rounds, {**self.snapshots, ask["name"]: True})

    def export(self, op):
        if op["status"] is not None:
            there = op["ask"]["id"] in self.snapshots
            if op["status"] not in ([200, 204] if there else [404]):
                raise Mismatch(f"a snapshot that is {'there' if there else 'not there'}: answered {op['status']}")
        return self

    batch = export


EMPTY = Rounds({}, {})
