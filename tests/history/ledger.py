"""What a dataset without rounds must answer: prompts, responses, ledgers, keys and snapshots, one operation after
the other. States are immutable; apply() gives the next one, or raises Mismatch when the answer is another.

A prompt is (text, responses, votes), all sorted tuples:
  responses   (id, text, model, ((judge, ((at, status, value), …)), …))     at: None for the time of arrival
  votes       ((judge, low id, high id), ((at, chosen, strength), …))       entries in order of their commits
"""

import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "http"))

import model  # noqa: E402
from history import digest  # noqa: E402
from order import Mismatch  # noqa: E402

REFUSED = {"conflict": 409, "unknown-id": 422, "invalid-value": 422}


class Refused(Exception):
    """A row is: "conflict" or "unknown-id"."""


def wanted(seen, said, what):
    if seen != said:
        raise Mismatch(f"{what}: answered {seen!r}, the model says {said!r}")


def near(a, b):
    if a is None or b is None:
        return a is b
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


# --- ledgers ------------------------------------------------------------------------


def when(i, at):
    """Times of arrival lie between the past and the future that clients write, in order of commits."""
    return (1, i) if at is None else ((0, at) if at < "2026" else (2, at))


def current_score(entries):
    """Good before failed, then the later, then the greater."""
    i = max(range(len(entries)), key=lambda i: (entries[i][1] == "ok", when(i, entries[i][0]), entries[i][2] or 0))
    return entries[i]


def current_vote(entries, low):
    i = max(range(len(entries)), key=lambda i: (when(i, entries[i][0]), entries[i][1] == low, entries[i][2]))
    return entries[i]


def append(ledger, key, entry, current):
    """"created", "revised" or "unchanged"."""
    entries = ledger.get(key)
    if entries is None:
        ledger[key] = (entry,)
        return "created"
    if entry in entries if entry[0] is not None else current(entries)[1:] == entry[1:]:
        return "unchanged"
    ledger[key] = entries + (entry,)
    return "revised"


# --- a prompt, to be changed ------------------------------------------------------------


class Draft:
    def __init__(self, frozen):
        self.text, responses, votes = frozen
        self.responses = {r[0]: [r[1], r[2], dict(r[3])] for r in responses}
        self.votes = dict(votes)

    def freeze(self):
        responses = tuple((id, text, by, tuple(sorted(scores.items())))
                          for id, (text, by, scores) in sorted(self.responses.items()))
        return self.text, responses, tuple(sorted(self.votes.items()))

    def put_score(self, id, s, counts):
        entry = (s.get("at"), s.get("status", "ok"), s["value"])
        counts["scores"][append(self.responses[id][2], s["judge"], entry, current_score)] += 1

    def put_vote(self, v, counts):
        low, high = sorted([v["chosen"], v["rejected"]])
        entry = (v.get("at"), v["chosen"], v.get("strength", 1))
        how = append(self.votes, (v["judge"], low, high), entry, lambda entries: current_vote(entries, low))
        counts["comparisons"][how] += 1


def zero_counts(replaced):
    out = {"prompts": {"created": 0, "unchanged": 0}, "responses": {"created": 0, "unchanged": 0},
           "scores": {"created": 0, "revised": 0, "unchanged": 0},
           "comparisons": {"created": 0, "revised": 0, "unchanged": 0}}
    if replaced:
        out["prompts"]["replaced"] = out["responses"]["replaced"] = 0
    return out


def owner(response):
    """Clients name a response after its prompt."""
    return response.split(".")[0]


class Body:
    """One bulk body on the way in: rows that pass change `prompts`, the others are listed."""

    def __init__(self, prompts, policy):
        self.prompts, self.policy = dict(prompts), policy
        self.counts = zero_counts(policy == "replace")
        self.refused = {}  # row -> why

    def take(self, number, row, do):
        try:
            {"records": self.record, "scores": self.score, "comparisons": self.vote}[do](row)
        except Refused as e:
            self.refused[number] = str(e)

    def open(self, id, response=None):
        if id not in self.prompts:
            raise Refused("unknown-id")
        draft = Draft(self.prompts[id])
        if response is not None and response not in draft.responses:
            raise Refused("unknown-id")
        return draft

    def score(self, row):
        draft = self.open(owner(row["response"]), row["response"])
        draft.put_score(row["response"], row, self.counts)
        self.prompts[owner(row["response"])] = draft.freeze()

    def vote(self, row):
        draft = self.open(owner(row["chosen"]), row["chosen"])
        if row["rejected"] not in draft.responses:
            raise Refused("unknown-id")
        draft.put_vote(row, self.counts)
        self.prompts[owner(row["chosen"])] = draft.freeze()

    def check(self, row, there):
        """Reads only: a refused row leaves nothing behind."""
        if there and self.policy == "refuse":
            same = all(there.responses[r["id"]][:2] == [r["text"], r.get("model")]
                       for r in row.get("responses", []) if r["id"] in there.responses)
            if there.text != row["prompt"] or not same:
                raise Refused("conflict")
        known = {r["id"] for r in row.get("responses", [])} | (set(there.responses) if there else set())
        if any(side not in known for v in row.get("comparisons", []) for side in (v["chosen"], v["rejected"])):
            raise Refused("unknown-id")

    def record(self, row):
        there = Draft(self.prompts[row["id"]]) if row["id"] in self.prompts else None
        self.check(row, there)
        count = self.counts["prompts"]
        if there is None:
            there = Draft((row["prompt"], (), ()))
            count["created"] += 1
        elif self.policy == "replace" and there.text != row["prompt"]:
            there.text = row["prompt"]
            count["replaced"] += 1
        else:
            count["unchanged"] += 1
        for r in row.get("responses", []):
            self.response(there, r)
        for v in row.get("comparisons", []):
            there.put_vote(v, self.counts)
        self.prompts[row["id"]] = there.freeze()

    def response(self, draft, r):
        count, content = self.counts["responses"], [r["text"], r.get("model")]
        known = draft.responses.get(r["id"])
        if known is None:
            draft.responses[r["id"]] = [*content, {}]
            count["created"] += 1
        elif known[:2] == content:
            count["unchanged"] += 1
        elif self.policy == "replace":
            known[:2] = content
            count["replaced"] += 1
        else:
            count["unchanged"] += 1
            return  # scores are of the text that was not kept
        for s in r.get("scores", []):
            draft.put_score(r["id"], s, self.counts)


# --- the whole ----------------------------------------------------------------------


class Ledger:
    """prompts: {id: prompt}; keys: {key: (body, status, answer)}; snapshots: {id: (state, examples)};
    unseen: nobody ever saw what it holds."""

    def __init__(self, prompts, keys, snapshots):
        self.prompts, self.keys, self.snapshots = prompts, keys, snapshots

    def fingerprint(self):
        return hash((frozenset(self.prompts.items()), frozenset(self.keys), frozenset(
            (k, v[0]) for k, v in self.snapshots.items())))

    def apply(self, op):
        # Not now, or no room: nothing happened.
        if op["status"] in (429, 503, 507):
            return self
        return getattr(self, op["do"])(op)

    # A bulk body.

    def records(self, op):
        ask = op["ask"]
        first = [i for i, row in enumerate(ask["rows"]) if isinstance(row.get("prompt"), int)]
        if first and not ask["on_error"]:
            return self.refuse(op, dict.fromkeys(first, "invalid-value"))
        if op["key"] in self.keys:
            return self.again(op)
        body = Body(self.prompts, ask["on_conflict"] or "refuse")
        for i, row in enumerate(ask["rows"]):
            if i not in first:
                body.take(i, row, op["do"])
        if body.refused and not ask["on_error"]:
            return self.refuse(op, body.refused)
        return self.stored(op, body, len(first) + len(body.refused))

    scores = comparisons = records

    def again(self, op):
        """The same key: the same answer, whatever happened since; another body: refused."""
        body, status, said = self.keys[op["key"]]
        if op["status"] is None:
            return self
        if body != op["ask"]["body"]:
            wanted((op["status"], op["answer"].get("type")), (422, "/problems/idempotency-key-reused"), "key reused")
        else:
            wanted((op["status"], self.without_errors(op["answer"])), (status, said), "the same key again")
        return self

    @staticmethod
    def without_errors(answer):
        return {k: v for k, v in answer.items() if k not in ("errors", "errors_total")}

    def refuse(self, op, rows):
        if op["status"] is not None:
            kinds = set(rows.values())
            word = "conflict" if kinds == {"conflict"} else None
            wanted((op["status"], op["answer"].get("rows")), (409 if word else 422, sorted(rows)), "refused rows")
        return self

    def stored(self, op, body, rejected):
        status = 207 if rejected else 200
        said = {"rows": len(op["ask"]["rows"]), **body.counts, "rejected": rejected}
        if op["status"] is not None:
            seen = (op["status"], self.without_errors(op["answer"]))
            wanted(seen, (status, said), "counts")
        keys = self.keys
        if op["key"]:
            keys = {**keys, op["key"]: (op["ask"]["body"], status, said)}
        return Ledger(body.prompts, keys, self.snapshots)

    # Prompts.

    def delete(self, op):
        id = op["ask"]["id"]
        if op["status"] is not None:
            wanted(op["status"], 204 if id in self.prompts else 404, f"DELETE of {id}")
        if id not in self.prompts:
            return self
        prompts = {k: v for k, v in self.prompts.items() if k != id}
        snapshots = {name: ("revoked" if state == "live" and any(e[0] == id for e in examples) else state,
                            examples) for name, (state, examples) in self.snapshots.items()}
        return Ledger(prompts, self.keys, snapshots)

    def read(self, op):
        if op["status"] is None:
            return self
        there = self.prompts.get(op["ask"]["id"])
        wanted(op["status"], 404 if there is None else 200, f"GET of {op['ask']['id']}")
        if there is not None:
            seen, said = told_prompt(op["answer"]), expected_prompt(there)
            for part in ("text", "responses", "votes"):
                wanted(seen[part], said[part], f"{part} of {op['ask']['id']}")
        return self

    def list(self, op):
        if op["status"] is not None:
            said = sorted([id, len(p[1])] for id, p in self.prompts.items())
            wanted(sorted(op["answer"]), said, "the list of prompts")
        return self

    def stats(self, op):
        if op["status"] is not None:
            same_stats(op["answer"], recount(self.prompts))
        return self

    # Snapshots.

    def snapshot(self, op):
        ask = op["ask"]
        if ask["name"] in self.snapshots:
            state = self.snapshots[ask["name"]][0]
            if op["status"] is not None:
                wanted(op["status"], 409 if state == "deleted" else 200, "the same snapshot again")
            return self
        if op["status"] not in (None, 201, 202):
            raise Mismatch(f"a new snapshot: answered {op['status']}")
        content = ask.get("content")  # as it was exported
        if content is not None:
            said = [e for e in examples_of(self.prompts, ask["recipe"]) if e[0] not in ask["gone"]]
            same_examples([e for e in content if e[0] not in ask["gone"]], said)
        made = ("unseen", ()) if content is None else ("live", tuple(map(tuple, content)))
        return Ledger(self.prompts, self.keys, {**self.snapshots, ask["name"]: made})

    def export(self, op):
        state, _ = self.snapshots.get(op["ask"]["id"], (None, None))
        if op["status"] is not None:
            may = {None: [404], "unseen": [200, 204, 410, 422], "live": [200, 204], "revoked": [410], "deleted": [410]}[state]
            if op["status"] not in may:
                raise Mismatch(f"a snapshot that is {state}: answered {op['status']}")
        return self

    def batch(self, op):
        state, examples = self.snapshots.get(op["ask"]["id"], (None, ()))
        if state == "live" and op["ask"]["offset"] > len(examples):
            if op["status"] is not None:
                wanted(op["status"], 422, "a batch behind the end")
            return self
        return self.export(op)

    def drop(self, op):
        state, examples = self.snapshots.get(op["ask"]["id"], (None, None))
        if op["status"] is not None:
            wanted(op["status"], {None: 404, "deleted": 410}.get(state, 204), "DELETE of a snapshot")
        if state in (None, "deleted"):
            return self
        return Ledger(self.prompts, self.keys, {**self.snapshots, op["ask"]["id"]: ("deleted", examples)})


EMPTY = Ledger({}, {}, {})


# --- what a read tells ------------------------------------------------------------------


def told_at(at):
    """The time as a client wrote it, or None: of arrival."""
    return at if at[:4] in ("2020", "2099") else None


def listed(key, entries):
    """A ledger as it is compared: what came without a time in order of arrival, what had one by that."""
    return [(*key, *e) for e in sorted(entries, key=lambda e: (e[0] or "", repr(e) if e[0] else ""))]


def marked(entries, best):
    return [(*e, e is best) for e in entries]


def expected_prompt(prompt):
    text, responses, votes = prompt
    return {"text": text,
            "responses": [(id, t, by, [x for j, e in scores for x in listed((j,), marked(e, current_score(e)))])
                          for id, t, by, scores in responses],
            "votes": [x for key, e in votes for x in listed(key, marked(e, current_vote(e, key[1])))]}


def gathered(rows):
    """(key, entry) in order of times → as `listed` has them."""
    ledgers = {}
    for key, entry in rows:
        ledgers.setdefault(key, []).append(entry)
    return [x for key in sorted(ledgers) for x in listed(key, ledgers[key])]


def told_prompt(answer):
    responses = []
    for id, text, by, scores in sorted(answer["responses"], key=lambda r: r[0]):
        in_time = sorted(scores, key=lambda s: s[3])
        responses.append((id, text, by, gathered(((j,), (told_at(at), status, value, current))
                                                 for j, status, value, at, current in in_time)))
    in_time = sorted(answer["votes"], key=lambda v: v[4])
    votes = gathered(((j, *sorted([chosen, rejected])), (told_at(at), chosen, strength, current))
                     for j, chosen, rejected, strength, at, current in in_time)
    return {"text": answer["text"], "responses": responses, "votes": votes}


def recount(prompts):
    """Statistics by counting again."""
    scores = [current_score(e) + (j,) for p in prompts.values() for r in p[1] for j, e in r[3]]
    judges = {}
    for j in {s[3] for s in scores}:
        x = [s[2] for s in scores if s[3] == j and s[1] == "ok"]
        mean = math.fsum(x) / len(x) if x else None
        std = math.sqrt(math.fsum((v - mean) ** 2 for v in x) / len(x)) if x else None
        judges[j] = {"count": len(x), "failed": sum(s[3] == j and s[1] == "failed" for s in scores), "mean": mean,
                     "std": std, "min": min(x, default=None), "max": max(x, default=None)}
    return {"prompts": len(prompts), "responses": sum(len(p[1]) for p in prompts.values()), "scores": len(scores),
            "comparisons": sum(len(p[2]) for p in prompts.values()), "judges": judges,
            "scored_prompts": sum(any(current_score(e)[1] == "ok" for r in p[1] for _, e in r[3])
                                  for p in prompts.values())}


def same_stats(seen, said):
    for k in ("prompts", "responses", "scores", "comparisons", "scored_prompts"):
        wanted(seen[k], said[k], f"statistics, {k}")
    for j in seen["judges"].keys() - said["judges"].keys():
        wanted((seen["judges"][j]["count"], seen["judges"][j]["failed"]), (0, 0), f"statistics of {j}")
    for j, of in said["judges"].items():
        for k, v in of.items():
            if not near(seen["judges"].get(j, {}).get(k), v):
                raise Mismatch(f"statistics, {k} of {j}: {seen['judges'].get(j, {}).get(k)!r}, the model says {v!r}")


# --- what a snapshot holds ----------------------------------------------------------------


def facts_of(prompts):
    out = model.Dataset([])
    for id, (text, responses, votes) in prompts.items():
        made = []
        for r, t, by, scores in responses:
            best = {j: current_score(e) for j, e in scores}
            made.append(model.Response(r, t, by, None, {("overall", j): s[2] for j, s in best.items() if s[1] == "ok"}))
        said = []
        for (judge, low, high), entries in votes:
            _, chosen, strength = current_vote(entries, low)
            said.append((judge, chosen, high if chosen == low else low, strength))
        out.prompts.append(model.Prompt(id, [{"role": "user", "content": text}], responses=made, votes=said))
    return out


def examples_of(prompts, recipe):
    facts = facts_of(prompts)
    return [digest(e) for e in model.examples(facts, recipe, model.snapshot(facts, recipe), "none")]


def same_examples(seen, said):
    if len(seen) != len(said):
        raise Mismatch(f"the snapshot holds {len(seen)} examples, the model says {len(said)}")
    for a, b in zip(seen, said):
        if list(a[:3]) != list(b[:3]) or a[5] != b[5] or not (near(a[3], b[3]) and near(a[4], b[4])):
            raise Mismatch(f"the snapshot holds {a}, the model says {b}")
