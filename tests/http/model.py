"""The mathematics once more, in plain Python, from its description alone.

Rewards, pairs, goals, views, the order of an epoch and a rank's share of it.
It reads data as the contract gives it (records, current scores) and says what
the daemon must answer. Slow and obvious on purpose.
"""

import hashlib
import json
import math
from dataclasses import dataclass, field
from fractions import Fraction

MASK64 = 2**64 - 1


# --- facts ------------------------------------------------------------------


@dataclass
class Response:
    id: str
    text: str
    model: str | None = None
    finish_reason: str | None = None
    scores: dict = field(default_factory=dict)  # (attribute, judge) -> current good value
    logprobs: dict = field(default_factory=dict)


@dataclass
class Prompt:
    id: str
    messages: list
    split: str = "train"
    source: str | None = None
    responses: list = field(default_factory=list)
    votes: list = field(default_factory=list)  # (judge, chosen id, rejected id, strength)

    def messages_hash(self):
        text = json.dumps([{"role": m["role"], "content": m["content"]} for m in self.messages],
                          ensure_ascii=False, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass
class Dataset:
    prompts: list
    ranges: dict = field(default_factory=dict)  # attribute -> (min, max)
    goal_scale: tuple = (1.0, 10.0)


# --- keyed hashes -----------------------------------------------------------


def keyed(tag, *parts):
    return hashlib.sha256("\n".join([tag, *map(str, parts)]).encode()).digest()


def word(digest):
    return int.from_bytes(digest[:8], "little")


def draw(digest, n):
    return word(digest) * n >> 64


def held_out(prompt, seed, fraction):
    return Fraction(word(keyed("prefd-holdout-1", seed, prompt.messages_hash())), 2**64) < Fraction(fraction)


def pair_id(prompt, a, b):
    low, high = sorted([a, b], key=str.encode)
    return keyed("prefd-pair-1", prompt, low, high)[:16].hex()


# --- rewards ----------------------------------------------------------------


def across(values, how):
    if how == "mean":
        total = 0.0
        for v in values:
            total += v
        return total / len(values)
    if how == "median":
        s = sorted(values)
        mid = len(s) // 2
        return s[mid] if len(s) % 2 else (s[mid - 1] + s[mid]) / 2
    return min(values) if how == "min" else max(values)


def weights_of(dataset, recipe):
    """The weighted attributes, in byte order."""
    given = recipe.get("reward", {}).get("attributes")
    if given is None:
        there = {a for p in dataset.prompts for r in p.responses for a, _ in r.scores}
        given = {"overall": 1.0} if "overall" in there else {a: 1.0 for a in there}
    return dict(sorted(given.items(), key=lambda kv: kv[0].encode()))


def reward_of(dataset, recipe, weights, response):
    """(reward, {attribute: own goal}), or None when an attribute is missing or nothing was ever scored."""
    if not weights:
        return None
    rule = recipe.get("reward", {})
    low, high = dataset.goal_scale
    total = weight_sum = 0.0
    own = {}
    for attribute, weight in weights.items():
        judged = sorted(((j, v) for (a, j), v in response.scores.items()
                         if a == attribute and ("judges" not in rule or j in rule["judges"])),
                        key=lambda jv: jv[0].encode())
        if not judged:
            return None
        a = across([v for _, v in judged], rule.get("across_judges", "mean"))
        if attribute in dataset.ranges and rule.get("rescale", True):
            least, most = dataset.ranges[attribute]
            a = low + (a - least) * (high - low) / (most - least)
        if weight < 0:
            a = low + high - a
        own[attribute] = a
        total += abs(weight) * a
        weight_sum += abs(weight)
    return total / weight_sum, own


# --- goals ------------------------------------------------------------------


def print_goal(g, decimals=2):
    text = f"{g:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def centred(rewards):
    """x(y) of one prompt's candidates; rewards: in byte order of ids."""
    total = 0.0
    for r in rewards:
        total += r
    mean = total / len(rewards)
    return [float(f"{r - mean:.12g}") + 0.0 for r in rewards]


def quantile(ground, x, low, high):
    """ground: all x, sorted."""
    if len(ground) == 1:
        return high
    below = sum(1 for v in ground if v < x)
    same = sum(1 for v in ground if v == x)
    mid_rank = below + (same + 1) / 2
    return low + (high - low) * (mid_rank - 1) / (len(ground) - 1)


# --- pairs ------------------------------------------------------------------


@dataclass
class Candidate:
    response: Response
    reward: float | None
    own: dict
    printed: str | None = None    # the reward as it prints; None: no reward
    vector: tuple | None = None   # under goal `attributes`: each own goal as it prints


@dataclass
class Pair:
    prompt: Prompt
    chosen: Candidate
    rejected: Candidate
    plain: bool


def by_id(c):
    return c.response.id.encode()


def candidates_of(dataset, recipe, weights, prompt, dropped):
    votes = recipe.get("pairing", {}).get("strategy") == "comparisons"
    goal = recipe.get("view", {}).get("goal", "reward")
    filters = recipe.get("filters", {})
    out = []
    for r in sorted(prompt.responses, key=lambda r: r.id.encode()):
        if not passes(filters, r):
            continue
        found = reward_of(dataset, recipe, weights, r)
        if found is None and not votes:
            dropped["missing_attribute"] = dropped.get("missing_attribute", 0) + 1
            continue
        reward, own = found or (None, {})
        if "min_reward" in filters and (reward is None or reward < filters["min_reward"]):
            continue
        printed = None if reward is None else print_goal(reward)
        vector = tuple(map(print_goal, own.values())) if goal == "attributes" and own else None
        out.append(Candidate(r, reward, own, printed, vector))
    kept, texts = [], set()
    for c in out:  # in byte order of ids: the smallest stays
        if c.response.text in texts:
            dropped["duplicate_text"] = dropped.get("duplicate_text", 0) + 1
        else:
            texts.add(c.response.text)
            kept.append(c)
    return kept


def passes(filters, r):
    n = len(r.text)
    return (("models" not in filters or r.model in filters["models"])
            and r.finish_reason not in filters.get("exclude_finish_reasons", [])
            and n >= filters.get("min_characters", 0)
            and n <= filters.get("max_characters", math.inf))


def alike(a, b):
    """Whether the goals of two answers could not be told apart."""
    return a.printed == b.printed or (a.vector is not None and a.vector == b.vector)


def verdict(better, worse, margin):
    if alike(better, worse):
        return "equal_rewards"
    return "small_margin" if better.reward - worse.reward < margin else "fits"


def pairs_by_reward(strategy, margin, seed, prompt, ranked):
    """([(chosen, rejected)], why there is none)."""
    first = ranked[0]
    if strategy == "best_random":
        wanted = [(first, c) for c in ranked[1:]]
    elif strategy == "best_worst":
        wanted = [(first, ranked[-1])]
    elif strategy == "best_rest":
        wanted = [(first, c) for c in ranked[1:]]
    elif strategy == "all":
        wanted = [(a, b) for i, a in enumerate(ranked) for b in ranked[i + 1:]]
    else:  # adjacent: the first of each distinct reward
        heads = []
        for c in ranked:
            if not heads or heads[-1].printed != c.printed:
                heads.append(c)
        wanted = list(zip(heads, heads[1:]))
    said = [verdict(a, b, margin) for a, b in wanted]
    fit = [p for p, v in zip(wanted, said) if v == "fits"]
    if strategy == "best_random" and fit:
        fit = [fit[draw(keyed("prefd-draw-1", seed, prompt.id), len(fit))]]
    return fit, "small_margin" if "small_margin" in said else "equal_rewards"


def pairs_by_votes(margin, prompt, kept, judges=None):
    """judges: the recipe's; the others' votes do not count."""
    there = {c.response.id: c for c in kept}
    sums = {}
    for judge, chosen, rejected, strength in sorted(prompt.votes, key=lambda v: v[0].encode()):
        if chosen in there and rejected in there and (judges is None or judge in judges):
            low, high = sorted([chosen, rejected], key=str.encode)
            sums[low, high] = sums.get((low, high), 0.0) + (strength if chosen == low else -strength)
    out, small, contradictory = [], False, False
    for (low, high), total in sums.items():
        if total == 0:
            contradictory = True
            continue
        w, l = (there[low], there[high]) if total > 0 else (there[high], there[low])
        goals = (w.printed is not None and l.printed is not None and w.reward > l.reward
                 and not alike(w, l))
        if goals and w.reward - l.reward < margin:
            small = True
        else:
            out.append((w, l, not goals))
    return out, "small_margin" if small else "contradictory" if contradictory else "no_votes"


def in_scope(recipe, prompt):
    """Whether split, sources and holdout let the prompt take part."""
    split = recipe.get("split", "train")
    filters = recipe.get("filters", {})
    hold = recipe.get("holdout")
    return ((split == "*" or prompt.split == split)
            and ("sources" not in filters or prompt.source in filters["sources"])
            and prompt.source not in filters.get("exclude_sources", [])
            and (hold is None
                 or held_out(prompt, hold.get("seed", 0), hold["fraction"]) == (hold["part"] == "eval")))


@dataclass
class Snapshot:
    pairs: list
    skipped: dict
    dropped: dict
    ground: list  # of quantiles


def snapshot(dataset, recipe):
    rule = recipe.get("pairing", {})
    strategy = rule.get("strategy", "best_random")
    margin = rule.get("min_margin", 0)
    weights = weights_of(dataset, recipe)
    out = Snapshot([], {}, {}, [])
    for prompt in sorted(dataset.prompts, key=lambda p: p.id.encode()):
        if not in_scope(recipe, prompt):
            continue
        kept = candidates_of(dataset, recipe, weights, prompt, out.dropped)
        if len(kept) < max(rule.get("min_responses", 2), 1):
            out.skipped["too_few_responses"] = out.skipped.get("too_few_responses", 0) + 1
            continue
        if all(c.reward is not None for c in kept):
            out.ground += centred([c.reward for c in kept])
        made, why = [], "too_few_responses"
        if len(kept) > 1 and strategy == "comparisons":
            made, why = pairs_by_votes(margin, prompt, kept, recipe.get("reward", {}).get("judges"))
        elif len(kept) > 1:
            ranked = sorted(kept, key=lambda c: (-c.reward, by_id(c)))
            found, why = pairs_by_reward(strategy, margin, rule.get("seed", 42), prompt, ranked)
            made = [(w, l, False) for w, l in found]
        if not made:
            out.skipped[why] = out.skipped.get(why, 0) + 1
        made.sort(key=lambda p: (by_id(p[0]), by_id(p[1])))
        out.pairs += [Pair(prompt, w, l, plain) for w, l, plain in made]
    out.ground.sort()
    return out


def goal_of(dataset, recipe, snap, pair, candidate, weights):
    """The goal field that a candidate stands for: a number or an object."""
    kind = recipe.get("view", {}).get("goal", "reward")
    if kind == "reward":
        return float(print_goal(candidate.reward))
    if kind == "attributes":
        return {a: float(print_goal(v)) for a, v in candidate.own.items()}
    kept = candidates_of(dataset, recipe, weights, pair.prompt, {})
    xs = dict(zip([c.response.id for c in kept], centred([c.reward for c in kept])))
    return float(print_goal(quantile(snap.ground, xs[candidate.response.id], *dataset.goal_scale), 4))


# --- views ------------------------------------------------------------------


def goal_text(template, goal, scale):
    return (template.replace("{goal}", goal).replace("{min}", print_goal(scale[0]))
            .replace("{max}", print_goal(scale[1])))


def placed(messages, text, placement):
    out = [dict(m) for m in messages]
    if placement == "user":
        first = next(m for m in out if m["role"] == "user")
        first["content"] = text + "\n\n" + first["content"]
    elif out[0]["role"] == "system":
        out[0]["content"] = text + "\n\n" + out[0]["content"]
    else:
        out.insert(0, {"role": "system", "content": text})
    return out


def joined(messages):
    return "\n\n".join(m["content"] for m in messages)


def example(dataset, recipe, snap, weights, pair, twin, placement, form, template):
    first, second = pair.chosen, pair.rejected
    goal = None
    if pair.plain:
        twin = "plain"
    if twin == "rejected_goal":
        first, second = second, first
    prompt = pair.prompt.messages
    if twin != "plain":
        goal = goal_of(dataset, recipe, snap, pair, first, weights)
        if template is not None:
            printed = print_goal(goal, 4 if recipe.get("view", {}).get("goal") == "quantile" else 2)
            prompt = placed(prompt, goal_text(template, printed, dataset.goal_scale), placement)
        else:
            prompt = None  # wording unknown
    out = {
        "pair": pair_id(pair.prompt.id, pair.chosen.response.id, pair.rejected.response.id),
        "twin": twin,
        "prompt_id": pair.prompt.id,
        "prompt": prompt,
        "chosen": [{"role": "assistant", "content": first.response.text}],
        "rejected": [{"role": "assistant", "content": second.response.text}],
        "goal": goal,
        "score_chosen": first.reward,
        "score_rejected": second.reward,
        "chosen_id": first.response.id,
        "rejected_id": second.response.id,
        "origin": "judged",
    }
    if form == "trl_text":
        out["prompt"] = None if prompt is None else joined(prompt)
        out["chosen"] = first.response.text
        out["rejected"] = second.response.text
    reference = recipe.get("reference")
    if twin == "plain" and reference is not None:
        out["ref_chosen_logps"] = first.response.logprobs[reference]
        out["ref_rejected_logps"] = second.response.logprobs[reference]
    return out


def examples(dataset, recipe, snap, augment="both", placement="system", form="trl", template=None):
    """The view's examples in stored order."""
    weights = weights_of(dataset, recipe)
    twins = {"both": ["chosen_goal", "rejected_goal"], "chosen": ["chosen_goal"],
             "rejected": ["rejected_goal"], "none": ["plain"]}[augment]
    return [example(dataset, recipe, snap, weights, pair, twin, placement, form, template)
            for pair in snap.pairs for twin in twins]


# --- the order --------------------------------------------------------------


def mix(z):
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK64
    return z ^ z >> 31


def ceil_sqrt(n):
    root = math.isqrt(n)
    return root if root * root == n else root + 1


class Order:
    def __init__(self, revision, augment, seed, epoch, n):
        d = hashlib.sha512(f"prefd-order-1\n{revision}\n{augment}\n{seed}\n{epoch}\n".encode()).digest()
        self.n = n
        self.k = [int.from_bytes(d[8 * i:8 * i + 8], "little") for i in range(8)]
        self.a = max(32, ceil_sqrt(n))
        self.b = max(32, -(-n // self.a))

    def __getitem__(self, x):
        while True:
            left, right = divmod(x, self.b)
            for i in (0, 2, 4, 6):
                left = (left + (mix((right + self.k[i]) & MASK64) * self.a >> 64)) % self.a
                right = (right + (mix((left + self.k[i + 1]) & MASK64) * self.b >> 64)) % self.b
            x = left * self.b + right
            if x < self.n:
                return x

    def all(self):
        return [self[p] for p in range(self.n)]


def share(n, offset, batch_size, rank, world_size, tail=None):
    """(positions of this rank, next offset), or "end" (204) or "beyond" (422)."""
    tail = tail or ("short" if world_size == 1 else "drop")
    if offset > n:
        return "beyond"
    whole = batch_size * world_size
    if offset == n or (tail == "drop" and n - offset < whole):
        return "end"
    positions = [offset + i * world_size + rank for i in range(batch_size)]
    if tail == "pad":
        positions = [p % n for p in positions]
    else:
        positions = [p for p in positions if p < n]
    return positions, min(n, offset + whole)
