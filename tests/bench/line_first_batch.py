"""The first batch after a start: from the daemon's exec to the first 200, with 10 million
examples beside 10 thousand. They are the pairs (`all`) of prompts with sixteen answers."""

import json
import random
import time

import kit

ANSWERS = 16
PAIRS = ANSWERS * (ANSWERS - 1) // 2  # of a prompt; two examples each
FULL = 42_000                         # prompts: 10.08 million examples


def rows(prompts, text_bytes=40):
    """Prompts with sixteen answers, no two of one prompt worth the same."""
    rng = random.Random(5)
    text = kit.texts(rng, text_bytes)
    for p in range(prompts):
        values = rng.sample(range(2, 21), ANSWERS)
        yield json.dumps({"id": f"p{p}", "prompt": next(text), "responses": [
            {"id": f"p{p}.{k}", "text": next(text), "scores": [{"judge": "j", "value": v / 2}]}
            for k, v in enumerate(values)]}, ensure_ascii=False).encode() + b"\n"


def prepare(prefd, prompts, text_bytes=40):
    """A snapshot of all pairs; its number of examples."""
    prefd.dataset("d")
    for body in kit.bodies(rows(prompts, text_bytes)):
        prefd.post("d", body)
    shot = prefd.snapshot("d", "s", {"pairing": {"strategy": "all"}})
    assert shot["examples"] == 2 * PAIRS * prompts, shot
    return shot["examples"]


def first(prefd):
    """Seconds from exec to the first batch; the daemon then ends again."""
    began = time.monotonic()
    prefd.start()
    status, _, body = prefd.request("GET", "/v1/snapshots/s/batch?batch_size=64")
    took = time.monotonic() - began
    assert status == 200 and len(json.loads(body)["examples"]) == 64, (status, body[:200])
    prefd.stop()
    return took


def measure(args, prompts=FULL):
    prompts = 420 if args.quick else prompts
    with kit.Prefd() as many, kit.Prefd() as few:
        prepare(many, prompts)
        prepare(few, 42)
        many.stop()
        few.stop()
        kit.settle()
        a, b = kit.abab(lambda: 1000 * first(many), lambda: 1000 * first(few), args.rounds)
    row = kit.Row(f"first batch after start, {2 * PAIRS * prompts / 1e6:.1f} M examples", "itself at 10 k", "ms", a, b,
                  "< 1 s", "flat (< 20 ms more)", better="lower")
    s = row.summary()
    row.verdict = "goal" if s["ours"] - s["theirs"] < 20 else "good" if s["ours"] < 1000 else "no"
    return [row]
