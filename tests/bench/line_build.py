"""Building a snapshot of 100,000 prompts with two responses each, beside sqlite3 reading the
same texts in full out of the same database: less cannot be done than to read them once."""

import json
import os
import subprocess
import time

import kit

TEXT_BYTES = 1500
TEXTS = "SELECT body FROM text"


def build(prefd, seed):
    """Seconds from the request to `ready`. A recipe with another seed is another snapshot."""
    began = time.monotonic()
    shot = prefd.snapshot("d", f"s{seed}", {"pairing": {"seed": seed}})
    took = time.monotonic() - began
    assert shot["pairs"] > 0.9 * shot["prompts"] > 0, shot
    prefd.json("DELETE", f"/v1/snapshots/s{seed}")
    return took


def read(path):
    """Seconds in which sqlite3 prints all texts."""
    began = time.monotonic()
    subprocess.run(["sqlite3", "-readonly", path, TEXTS], check=True, stdout=subprocess.DEVNULL, timeout=120)
    return time.monotonic() - began


def measure(args):
    prompts = 5_000 if args.quick else 100_000
    with kit.Prefd() as prefd:
        prefd.dataset("d")
        for body in kit.bodies(kit.responses(2 * prompts, TEXT_BYTES, scores=1)):
            prefd.post("d", body)
        path = os.path.join(prefd.data, "prefd.db")
        count = subprocess.run(["sqlite3", "-readonly", path, "SELECT count(*) FROM text"], check=True,
                               capture_output=True, timeout=120)
        assert json.loads(count.stdout) == 3 * prompts, count.stdout
        read(path)
        kit.settle()
        seeds = iter(range(1000))
        a, b = kit.abab(lambda: build(prefd, next(seeds)), lambda: read(path), args.rounds)
    return [kit.Row(f"building a snapshot, {prompts // 1000} k prompts × 2", "sqlite3 reading the same texts", "s", a, b,
                    "≥ 0.3", "≥ 0.8", better="lower")]
