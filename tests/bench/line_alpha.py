"""Implicit rewards with α found, 10 k prompts of 16 answers. The search alone, on the same
scores in memory: beside the published grid in pandas and beside the same exact search in
plain Python. And the whole request, JSON in and out over HTTP, beside a server in Python."""

import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time

import alpha_pandas
import alpha_plain
import kit

BETA = 0.1
EACH = 16
LENGTH_PULL = 0.031  # log-probability per character that long answers gain: where the grid's best lies


def made(prompts):
    """The request's document: lengths in characters, differences of log-probabilities that grow with them."""
    rng = random.Random(5)
    groups = []
    for p in range(prompts):
        responses = []
        for i in range(EACH):
            length = min(6000, int(rng.lognormvariate(7, 0.4)))
            reference = -0.9 * length * rng.uniform(0.8, 1.2) - 5000
            responses.append({"id": f"p{p}.{i}", "policy_logprob": reference + LENGTH_PULL * length + rng.gauss(0, 8),
                              "reference_logprob": reference, "length": length})
        groups.append({"id": f"p{p}", "responses": responses})
    return {"beta": BETA, "alpha": "auto", "groups": groups}


def scores(document):
    """Of every prompt (log π − log π_ref, length), as the published search takes them."""
    return [[(r["policy_logprob"] - r["reference_logprob"], r["length"]) for r in g["responses"]] for g in document["groups"]]


class PlainServer(kit.Server):
    def command(self):
        return [sys.executable, os.path.join(kit.HERE, "alpha_plain.py"), str(self.port)]


def timed(call):
    before = time.monotonic()
    result = call()
    return time.monotonic() - before, result


def native(program, groups):
    """(seconds, α) of the daemon's own search; a first one, which finds cold memory, is left out."""
    with tempfile.NamedTemporaryFile(prefix="prefd-bench-") as f:
        f.write(struct.pack("dd", len(groups), EACH))
        f.writelines(struct.pack("dd", reward, length) for group in groups for reward, length in group)
        f.flush()
        said = subprocess.run([program, f.name, "2"], capture_output=True, text=True, check=True, timeout=120)
    lines = said.stdout.split("\n")
    return float(lines[1]), float(lines[2].split()[1])


def search_rows(args, groups):
    frame = alpha_pandas.table(groups)
    rewards = [[(BETA * score, length) for score, length in group] for group in groups]
    turns = kit.in_turn((lambda: native(args.yardstick("alpha_search"), rewards),
                         lambda: timed(lambda: alpha_pandas.search(frame)),
                         lambda: timed(lambda: alpha_plain.search(rewards))), min(args.rounds, 3))
    ours, pandas, plain = ([1e3 * took for took, _ in side] for side in turns)
    alpha, (grid, steps), swept = (side[0][1] for side in turns)
    assert abs(swept - alpha) <= 1e-9 * max(1, alpha), (swept, alpha)
    assert abs(BETA * grid - alpha) < 0.002 * BETA, (BETA * grid, alpha)
    what = f"α for {len(groups):,} prompts × {EACH}, the search alone"
    return [kit.Row(what, f"the published grid in pandas, {steps} steps", "ms", ours, pandas, "≥ 40", "≥ 1,000", "lower",
                    note=f"exact: {alpha / BETA:.6f}, grid: {grid:.3f}, both without β"),
            kit.Row(what, "the same exact search in plain Python", "ms", ours, plain, "≥ 10", "≥ 100", "lower")], alpha


def post(server, body):
    """(milliseconds from the first byte sent to the last byte read, the answer)."""
    took, (status, _, answer) = timed(lambda: server.request("POST", "/v1/implicit-rewards", body,
                                                             {"Content-Type": "application/json"}))
    assert status == 200, (status, answer[:300])
    return 1e3 * took, answer


def check_answers(ours, theirs, alpha):
    ours, theirs = json.loads(ours), json.loads(theirs)
    assert abs(ours["alpha"] - alpha) <= 1e-9 * max(1, alpha), (ours["alpha"], alpha)
    assert len(ours["groups"]) == len(theirs["groups"])
    same = sum(a["chosen"] == b["chosen"] and a["rejected"] == b["rejected"]
               for a, b in zip(ours["groups"], theirs["groups"]))
    assert same >= 0.999 * len(ours["groups"]), f"{same} of {len(ours['groups'])} pairs alike"


def request_row(args, document, alpha):
    body = json.dumps(document).encode()
    with kit.Prefd() as prefd, PlainServer() as plain:
        check_answers(post(prefd, body)[1], post(plain, body)[1], alpha)
        a, b = kit.abab(lambda: post(prefd, body)[0], lambda: post(plain, body)[0], args.rounds)
    row = kit.Row(f"implicit rewards of {len(document['groups']):,} × {EACH} over HTTP with JSON ({len(body) / 1e6:.0f} MB)",
                  "plain Python: HTTP, JSON and the search", "ms", a, b, "< 350 ms", "< 150 ms", "lower")
    took = row.summary()["ours"]
    row.verdict = "goal" if took < 150 else "good" if took < 350 else "no"
    return row


def measure(args):
    document = made(500 if args.quick else 10_000)
    rows, alpha = search_rows(args, scores(document))
    return [*rows, request_row(args, document, alpha)]
