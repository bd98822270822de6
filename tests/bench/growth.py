#!/usr/bin/python3
"""How serving batches grows: with the examples of a snapshot, with the connections, and with
the length of the texts. Each point gives throughput, latency (p50, p99) and the daemon's own
memory under load. Points are kept in a JSON file, so that they can be measured one by one;
the pictures are drawn from it (`make bench-growth`: everything, up to 40 minutes).

  tests/bench/growth.py list                      the names of all points
  tests/bench/growth.py measure examples-2000 …   some, merged into BUILD/bench/growth.json
  tests/bench/growth.py draw                      docs/growth-*.svg from that file
  tests/bench/growth.py all                       all that the file lacks, then the pictures"""

import argparse
import json
import os
import sys
import threading
import time

import kit
import growth_pictures
import line_batches
import line_first_batch

EXAMPLES = (2_000, 20_000, 200_000, 2_000_000, 10_080_000)
CONNECTIONS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
TEXT_BYTES = (1_000, 2_500, 10_000, 40_000, 160_000)
SHORT = 400          # bytes of an answer where there are many: all pairs of sixteen answers a prompt
TURN_SECONDS = 4
MOST_BATCH = 64      # examples, as in the line of nginx; fewer where the texts are long
BATCH_BYTES = 1_000_000
TOUCHED_BYTES = 256_000_000


def points():
    """name → (axis, x)."""
    out = {f"examples-{n}": ("examples", n) for n in EXAMPLES}
    out.update({f"connections-{n}": ("connections", n) for n in CONNECTIONS})
    out.update({f"text-{n}": ("text", n) for n in TEXT_BYTES})
    return out


def two_each(prefd, pairs, text_bytes):
    """Prompts with two answers each."""
    prefd.dataset("d")
    for body in kit.bodies(kit.responses(2 * pairs, text_bytes, scores=1)):
        prefd.post("d", body)
    return prefd.snapshot("d", "s")["examples"]


class Memory(threading.Thread):
    """The most own memory of a process while it works, looked at ten times a second."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, 0, threading.Event()

    def run(self):
        while not self.over.wait(0.1):
            self.most = max(self.most, kit.rss_anon(self.pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join(5)


def load(prefd, examples, batch, connections):
    """One measured turn, the calmest of at most three."""
    script = kit.lua_random(f"/v1/snapshots/s/batch?batch_size={batch}&offset=%d", examples - batch)
    best = None
    for _ in range(3):
        before = kit.stolen()
        with Memory(prefd.pid) as memory:
            figures = kit.wrk(prefd.url, connections, TURN_SECONDS, script)
        after = kit.stolen()
        stolen = (after[0] - before[0]) / max(1, after[1] - before[1])
        if best is None or stolen < best["stolen"]:
            best = {**figures, "rss_anon": memory.most, "stolen": round(stolen, 3)}
        if stolen <= kit.CALM:
            break
    best["examples_per_s"] = best["requests_per_s"] * batch
    return {**best, "batch": batch}


def served(prefd, examples, batch, connections):
    """Yields figures. After a restart, so that what taking rows in needed is not counted; one turn warms up."""
    prefd.stop()
    prefd.start()
    kit.settle()
    status, _, body = prefd.request("GET", f"/v1/snapshots/s/batch?batch_size={batch}")
    assert status == 200 and len(json.loads(body)["examples"]) == batch, status
    load(prefd, examples, batch, 16)
    for c in connections:
        yield {"connections": c, **load(prefd, examples, batch, c)}


def measure(names):
    """Yields (name, figures). Points that share a dataset are measured with one daemon."""
    wanted = {name: points()[name] for name in names}
    axes = {name: axis for name, (axis, _) in wanted.items()}
    for name, x in ((name, x) for name, (axis, x) in wanted.items() if axis != "connections"):
        with kit.Prefd() as prefd:
            if axes[name] == "examples":
                batch = MOST_BATCH
                there = line_first_batch.prepare(prefd, x // (2 * line_first_batch.PAIRS), SHORT)
            else:
                batch = max(1, min(MOST_BATCH, BATCH_BYTES // (2 * x)))
                there = two_each(prefd, min(20_000, TOUCHED_BYTES // (2 * x)), x)
            figures, = served(prefd, there, batch, (16,))
            yield name, {"x": x, **figures}
    counts = [x for axis, x in wanted.values() if axis == "connections"]
    if counts:
        with kit.Prefd() as prefd:
            there = two_each(prefd, 20_000, line_batches.TEXT_BYTES)
            for figures in served(prefd, there, MOST_BATCH, counts):
                yield f"connections-{figures['connections']}", {"x": figures["connections"], **figures}


def known(path):
    if not os.path.exists(path):
        return {}
    with open(path, encoding="utf-8") as f:
        return json.load(f)


def measure_into(path, names):
    for name, figures in measure(names):
        held = {**known(path), name: figures}
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump({n: held[n] for n in points() if n in held}, f, indent=1)
        os.replace(path + ".new", path)
        print(f"{time.strftime('%T')} {name}: {figures['examples_per_s']:,.0f} examples/s, "
              f"{figures['bytes_per_s'] / 1e6:,.0f} MB/s, p50 {figures['p50_ms']:.2f} ms, p99 {figures['p99_ms']:.2f} ms, "
              f"{figures['rss_anon'] / 2**20:.1f} MiB, stolen {figures['stolen']:.0%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("list", "measure", "draw", "all"))
    parser.add_argument("points", nargs="*")
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    got = parser.parse_args()
    os.environ["PREFD_BIN"] = os.path.join(os.path.abspath(got.build), "prefd")
    path = os.path.join(got.build, "bench", "growth.json")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    unknown = set(got.points) - set(points())
    if unknown:
        parser.error(f"no such point: {', '.join(sorted(unknown))}; see `growth.py list`")
    if got.what == "list":
        print("\n".join(points()))
    if got.what in ("measure", "all"):
        measure_into(path, got.points or [n for n in points() if n not in known(path)])
    if got.what in ("draw", "all"):
        growth_pictures.draw(known(path), os.path.join(kit.ROOT, "docs"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
