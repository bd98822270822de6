"""What a bulk body does to prompts: ledgers of scores and votes, and the counts of its answer.

A prompt is (text, responses, votes), all sorted tuples:
  responses   (id, text, model, ((judge, ((at, status, value), …)), …))     at: None for the time of arrival
  votes       ((judge, low id, high id), ((at, chosen, strength), …))       entries in order of their commits
"""


class Refused(Exception):
    """A row is: "conflict" or "unknown-id"."""


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
