"""What a dataset without rounds must answer: prompts, responses, ledgers, keys and snapshots, one operation after
the other. States are immutable; apply() gives the next one, or raises Mismatch when the answer is another.
Prompts are kept as bodies.py says.
"""

import math
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "http"))

import model  # noqa: E402
from bodies import Body, current_score, current_vote  # noqa: E402
from history import digest  # noqa: E402
from order import Mismatch  # noqa: E402


def wanted(seen, said, what):
    if seen != said:
        raise Mismatch(f"{what}: answered {seen!r}, the model says {said!r}")


def near(a, b):
    if a is None or b is None:
        return a is b
    return abs(a - b) <= 1e-9 * max(1.0, abs(a), abs(b))


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
            wanted(op["replayed"], True, "Idempotency-Replayed")
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
            wanted(op["replayed"], False, "Idempotency-Replayed")
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
            may = {"deleted": [409], "live": [200]}.get(state, [200, 410])
            if op["status"] is not None and op["status"] not in may:
                raise Mismatch(f"the same snapshot again, which is {state}: answered {op['status']}")
            return self
        # 410: revoked before its maker, who waited, heard of it.
        if op["status"] not in (None, 201, 202) and not (op["status"] == 410 and ask["gone"]):
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


def by_time(at):
    """A key to sort by: a whole second is printed without a fraction, and "." comes before "Z"."""
    return at if "." in at else at[:-1] + ".000000Z"


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
        in_time = sorted(scores, key=lambda s: by_time(s[3]))
        responses.append((id, text, by, gathered(((j,), (told_at(at), status, value, current))
                                                 for j, status, value, at, current in in_time)))
    in_time = sorted(answer["votes"], key=lambda v: by_time(v[4]))
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
