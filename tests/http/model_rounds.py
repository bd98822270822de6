"""The mathematics of rounds once more, in plain Python, from its description alone.

Implicit rewards, validity, the search for alpha by trying every crossing, the
draw of a replay, quantile goals of what is published, and its revision. Slow
and obvious on purpose; hashes, goals and pairs come from model.py.
"""

import bisect
import hashlib
import json
import re
from dataclasses import dataclass, field
from fractions import Fraction

import model


@dataclass
class Scored:
    """A response as a round looks at it."""

    id: str
    text: str
    finish_reason: str | None = None
    tokens: int | None = None
    logprobs: dict = field(default_factory=dict)  # model -> (logprob, tokens or None)
    order: object = None                          # its index, or its id

    def reward(self, round):
        policy, reference = (min(self.logprobs[m][0], 0.0) for m in (round.policy, round.reference))
        return round.beta * (policy - reference) + 0.0


@dataclass
class Round:
    policy: str
    reference: str
    prompts: list  # (model.Prompt, [Scored])
    beta: float = 0.1
    min_responses: int = 8
    length: str = "characters"
    excluded: tuple = ("length", "abort")
    min_characters: int = 4
    max_characters: int = 6699
    sampled: bool = False


# --- validity ---------------------------------------------------------------


def counted(x, round):
    if x.tokens is not None:
        return x.tokens
    return next((x.logprobs[m][1] for m in (round.policy, round.reference)
                 if m in x.logprobs and x.logprobs[m][1] is not None), None)


def reason_alone(x, round):
    scores = [x.logprobs.get(m) for m in (round.policy, round.reference)]
    if x.finish_reason is not None and x.finish_reason in round.excluded:
        return "finish_reason"
    if len(x.text) < round.min_characters:
        return "too_short"
    if len(x.text) > round.max_characters:
        return "too_long"
    if None in scores:
        return "missing_logprob"
    if None not in (scores[0][1], scores[1][1]) and scores[0][1] != scores[1][1]:
        return "token_mismatch"
    if round.length == "tokens" and counted(x, round) is None:
        return "missing_tokens"
    return None


def left_out(responses, round):
    """id -> reason, of those that take no part."""
    out, texts = {}, set()
    for x in sorted(responses, key=lambda x: x.order):
        why = reason_alone(x, round)
        if why is None and x.text in texts:
            why = "duplicate_text"
        if why is None:
            texts.add(x.text)
        else:
            out[x.id] = why
    return out


# --- rewards and pairs --------------------------------------------------------


@dataclass
class Group:
    prompt: model.Prompt
    all: list
    valid: list      # in byte order of ids
    reward: list     # r, beside valid
    length: list
    reasons: dict
    skipped: str | None

    def regular(self, alpha):
        return [r - alpha * n for r, n in zip(self.reward, self.length)]

    def pair(self, alpha):
        """(chosen, rejected) as places: of equals the shorter is the better, then the smaller id."""
        r = self.regular(alpha)
        order = sorted(range(len(r)), key=lambda i: (-r[i], self.length[i], self.valid[i].id.encode()))
        return order[0], order[-1]


def groups(round):
    out = []
    for prompt, responses in sorted(round.prompts, key=lambda p: p[0].id.encode()):
        reasons = left_out(responses, round)
        valid = sorted((x for x in responses if x.id not in reasons), key=lambda x: x.id.encode())
        reward = [x.reward(round) for x in valid]
        length = [counted(x, round) if round.length == "tokens" else len(x.text) for x in valid]
        skipped = None
        if len(valid) < round.min_responses:
            skipped = "too_few_responses"
        elif len(set(zip(reward, length))) <= 1:
            skipped = "tied"
        out.append(Group(prompt, responses, valid, reward, length, reasons, skipped))
    return out


def gap(gs, alpha):
    """D(alpha), exactly."""
    kept = [g for g in gs if g.skipped is None]
    total = 0
    for g in kept:
        w, l = g.pair(alpha)
        total += Fraction(g.length[w]) - Fraction(g.length[l])
    return total / len(kept) if kept else Fraction(0)


def crossings(gs):
    out = set()
    for g in gs:
        if g.skipped is not None:
            continue
        for i in range(len(g.valid)):
            for j in range(len(g.valid)):
                if g.length[i] > g.length[j] and g.reward[i] > g.reward[j]:
                    out.add((g.reward[i] - g.reward[j]) / (g.length[i] - g.length[j]))
    merged = []
    for c in sorted(out):
        if not merged or c - merged[-1] > 1e-12 * c:
            merged.append(c)
    return merged


def auto(gs):
    """The smallest alpha of those with the least |D|, by trying every interval between crossings."""
    steps = crossings(gs)
    tried = [0.0]
    for c, after in zip(steps, steps[1:] + [float("inf")]):
        tried.append(c + min((after - c) / 2, 1e-9 * max(1, c)))
    return min(tried, key=lambda a: (abs(gap(gs, a)), a))


# --- publishing ---------------------------------------------------------------


@dataclass
class Half:
    """One answer of a pair as it is published."""

    id: str
    text: str
    score: float | None
    goal: str | None = None  # as it prints


@dataclass
class Published:
    prompt: model.Prompt
    chosen: Half
    rejected: Half
    origin: str

    @property
    def plain(self):
        return self.chosen.goal is None or self.chosen.goal == self.rejected.goal


def quantile(ground, x, scale):
    low, high = scale
    if len(ground) == 1:
        return model.print_goal(high, 4)
    rank = bisect.bisect_left(ground, x) + (bisect.bisect_right(ground, x) - bisect.bisect_left(ground, x) + 1) / 2
    return model.print_goal(low + (high - low) * (rank - 1) / (len(ground) - 1), 4)


def own_pairs(round, gs, alpha, scale):
    """Every pair of a rescoring, with goals ranked among all candidates of prompts that have enough."""
    centre = {}
    for i, g in enumerate(gs):
        if g.skipped != "too_few_responses":
            centre[i] = model.centred(g.regular(alpha))
    ground = sorted(x for xs in centre.values() for x in xs)
    out = []
    for i, g in enumerate(gs):
        if g.skipped is not None:
            continue
        regular = g.regular(alpha)
        halves = [Half(g.valid[k].id, g.valid[k].text, regular[k], quantile(ground, centre[i][k], scale))
                  for k in g.pair(alpha)]
        out.append(Published(g.prompt, *halves, "on_policy" if round.sampled else "rescored"))
    return out


def drawn(items, seed, n):
    """Those whose hash of seed and messages is smallest; of equal messages the first stands for them."""
    tickets = {}
    for item in items:
        key = model.keyed("prefd-replay-1", seed, item.prompt.messages_hash())
        tickets.setdefault(key, item)
    return [tickets[k] for k in sorted(tickets)[:n]]


def counts(gamma, total, generated):
    """(of the round, to be replayed); gamma: the text of a decimal."""
    g = Fraction(gamma)
    if g == 1:
        return 0, total
    n = min(int(total * (1 - g)), generated)
    return n, int(g * n / (1 - g))


def replayed(own, other, gamma, seed, total, scale):
    """Both parts merged, and what the snapshot tells of it. other: pairs of the replayed snapshot, in stored
    order, with the scores that it printed."""
    hashes = {p.prompt.messages_hash() for p in own}
    n, wanted = counts(gamma, total, len(hashes))
    part = drawn(own, seed, n)
    taken_hashes = {p.prompt.messages_hash() for p in part}
    first = {}
    for p in other:
        first.setdefault(p.prompt.id, p)
    pool = [p for p in first.values() if p.prompt.messages_hash() not in taken_hashes]
    off = drawn(pool, seed, wanted)
    ground, centres = [], {}
    for p in off:
        if not p.plain:
            halves = sorted([p.chosen, p.rejected], key=lambda h: h.id.encode())
            for h, x in zip(halves, model.centred([h.score for h in halves])):
                centres[p.prompt.id, h.id] = x
                ground.append(x)
    ground.sort()

    def again(p, h):
        x = centres.get((p.prompt.id, h.id))
        return Half(h.id, h.text, h.score, None if x is None else quantile(ground, x, scale))

    merged = part + [Published(p.prompt, again(p, p.chosen), again(p, p.rejected), "replay") for p in off]
    merged.sort(key=lambda p: (p.prompt.id.encode(), p.chosen.id.encode(), p.rejected.id.encode()))
    return merged, {"wanted": wanted, "taken": len(off), "generated": len(part)}


# --- the revision ---------------------------------------------------------------


def canonical(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def hashed_recipe(recipe):
    """The resolved recipe without the view's looks and without what it was made from."""
    out = {k: v for k, v in recipe.items() if k != "made_from"}
    out["view"] = {"goal": recipe["view"]["goal"]}
    return out


def exactly(text):
    """JSON whose numbers keep the text that they came as; see canonical_text."""
    return json.loads(text, parse_float=lambda t: f"\x01{t}\x01", parse_int=lambda t: f"\x01{t}\x01")


def canonical_text(value):
    return re.sub(r'"\\u0001([^"\\]*)\\u0001"', r"\1", canonical(value))


def number(x):
    return "null" if x is None else canonical_text(x)


def revision(recipe, examples, pairs):
    """Of a published snapshot. recipe, examples (the export under `none`): read by exactly(), so that numbers are
    as they print. Lineages name models and revisions, never ids."""
    h = hashlib.sha256(b"prefd-revision-1\n")

    def put(x):
        x = x.encode() if isinstance(x, str) else x
        h.update(len(x).to_bytes(8, "little") + x)

    terms, published = recipe["reward"]["implicit"], recipe["published"]
    own = canonical({"policy": terms["policy"], "reference": terms["reference"]})
    replay = canonical({"snapshot": published["replay"]["revision"]}) if "replay" in published else ""
    put(canonical_text(hashed_recipe(recipe)))
    for p, row in zip(pairs, examples, strict=True):
        put(p.prompt.id)
        put(bytes.fromhex(p.prompt.messages_hash()))
        for half in (p.chosen, p.rejected):
            put(half.id)
        for half in (p.chosen, p.rejected):
            put(hashlib.sha256(half.text.encode()).digest())
        put(number(row["score_chosen"]))
        put(number(row["score_rejected"]))
        for half in (p.chosen, p.rejected):
            put("null" if p.plain else half.goal)
        put("null")
        put("null")
        put(p.origin)
        put(replay if p.origin == "replay" else own)
    return h.hexdigest()
