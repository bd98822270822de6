"""What clients were told about their writes, and what the daemon holds.

A fact is a key and a value: ("prompt", id), ("response", id), ("score",
response, judge), ("vote", judge, chosen, rejected), … A client writes down
what a request is to change before it sends it, and that it was acknowledged
when a 2xx is there. What got no answer is in doubt: it may have happened, but
as a whole, or not at all. What was refused has not happened.
"""

from wire import prompt, prompt_ids, totals


class Ledger:
    """Of clients that write to keys of their own, each one request at a time."""

    def __init__(self):
        self.facts = {}   # as acknowledged; None: deleted
        self.doubts = {}  # changes sent and not answered, by their identity
        self.acknowledged = 0

    def sent(self, changes):
        self.doubts[id(changes)] = changes
        return changes

    def done(self, changes):
        self.refused(changes)
        self.facts.update(changes)
        self.acknowledged += 1

    def refused(self, changes):
        del self.doubts[id(changes)]

    def lied(self):
        """The same, had every request been acknowledged when it was sent: what a daemon would promise that
        answers before it commits. The auditor must find losses in it."""
        other = Ledger()
        other.facts = dict(self.facts)
        for changes in self.doubts.values():
            other.facts.update(changes)
        return other

    def findings(self, seen):
        """What does not fit between the ledger and what is there: lost, half done, or never sent."""
        out, doubtful = [], set()
        for changes in self.doubts.values():
            doubtful |= changes.keys()
            new = [seen.get(k) == v for k, v in changes.items()]
            old = [seen.get(k) == self.facts.get(k) for k in changes]
            if not all(new) and not all(old):
                out.append(("half done", changes, {k: seen.get(k) for k in changes}))
        for key, value in self.facts.items():
            if key not in doubtful and seen.get(key) != value:
                out.append(("lost", key, value, seen.get(key)))
        out += [("never sent", key, seen[key]) for key in seen if key not in doubtful and key not in self.facts]
        return out

    def resolve(self, seen):
        """What was in doubt is as it was found. Returns how many requests were there without an answer."""
        there = 0
        for changes in self.doubts.values():
            there += any(seen.get(k) != self.facts.get(k) for k in changes)
            self.facts.update({k: seen.get(k) for k in changes})
        self.doubts = {}
        return there


def record_facts(row):
    """What a posted record comes to."""
    out = {("prompt", row["id"]): True}
    for r in row.get("responses", []):
        out["response", r["id"]] = r["text"]
        out |= {("score", r["id"], s["judge"]): s["value"] for s in r.get("scores", [])}
        out |= {("logprob", r["id"], m): v for m, v in r.get("logprobs", {}).items()}
    return out


def read_facts(daemon, dataset):
    """All that the dataset holds; its statistics must count exactly that."""
    out = {}
    ids = prompt_ids(daemon, dataset)
    assert len(ids) == len(set(ids)), "a prompt twice"
    for id in ids:
        p = prompt(daemon, dataset, id)
        out["prompt", id] = True
        for r in p["responses"]:
            assert ("response", r["id"]) not in out, "a response twice"
            out["response", r["id"]] = r["text"]
            out |= {("score", r["id"], s["judge"]): s["value"] for s in r["scores"]}
            out |= {("logprob", r["id"], m): v for m, v in (r.get("logprobs") or {}).items()}
        out |= {("vote", v["judge"], v["chosen"], v["rejected"]): v["strength"] for v in p.get("comparisons", [])}
    kinds = {"prompts": "prompt", "responses": "response", "scores": "score", "comparisons": "vote"}
    counted = {name: sum(k[0] == kind for k in out) for name, kind in kinds.items()}
    assert totals(daemon, dataset) == counted, (totals(daemon, dataset), counted)
    return out
