#!/usr/bin/python3
"""Did a hot way become slower? Counts instructions under callgrind, no times, so that it says
the same on a busy machine (`make check-speed`, under two minutes).

  tests/bench/check_speed.py              compares with counts.json: at most 1.5 times as many
  tests/bench/check_speed.py --record     writes counts.json anew
  tests/bench/check_speed.py --self-test  plants slow ways, which must be found

Each way runs twice, without and with its units (count.c), so what prepares it is subtracted.
Closes with one line: N passed, N failed."""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
COUNTS = os.path.join(HERE, "counts.json")
BOUND = 1.5
RUN_SECONDS = 100

# What `fill` is asked for: prompts, responses of each, scores of each, bytes of a text.
FOLDERS = {"scores-10k": (500, 4, 5, 100), "scores-100k": (5_000, 4, 5, 100),
           "pairs-1k": (1_000, 2, 1, 200), "pairs-100k": (100_000, 2, 1, 200)}


@dataclasses.dataclass(frozen=True)
class Way:
    """One line: a way of count.c, the folder it works in, how often it runs, what a unit is."""
    what: str
    way: str
    folder: str
    times: int
    unit: str
    writes: bool = False
    per: int = 1  # units in one of `times`


WAYS = (
    Way("batch of 64 out of 2 k examples", "batch", "pairs-1k", 20, "batch"),
    Way("batch of 64 out of 200 k examples", "batch", "pairs-100k", 20, "batch"),
    Way("order of an epoch", "order", "", 20, "place", per=1000),
    Way("strict scan and parse of a row of 6.5 KB", "json", "", 1000, "row"),
    Way("storing responses with five scores", "responses", "scores-10k", 250, "response", True, per=4),
    Way("one score, 10 k there", "scores", "scores-10k", 1000, "score", True),
    Way("one score, 100 k there", "scores", "scores-100k", 1000, "score", True),
    Way("statistics of 10 k scores", "stats", "scores-10k", 20, "request"),
    Way("statistics of 100 k scores", "stats", "scores-100k", 20, "request"),
    Way("building a snapshot of 500 prompts", "build", "scores-10k", 1, "prompt", True, per=500),
    Way("α of 100 prompts × 16", "alpha", "", 20, "search"),
)

# (what, large, small, bound): instructions at the one over those at the other.
FLAT = (
    ("a batch does not depend on the examples", "batch of 64 out of 200 k examples", "batch of 64 out of 2 k examples", 1.2),
    ("statistics do not depend on the scores", "statistics of 100 k scores", "statistics of 10 k scores", 1.2),
    ("a score hardly depends on the scores", "one score, 100 k there", "one score, 10 k there", 1.5),
)


class Bench:
    """The programs and the folders made for this run."""

    def __init__(self, build, folder):
        self.count, self.fill = (os.path.join(build, "bench", name) for name in ("count", "fill"))
        self.folder = folder

    def path(self, name):
        return os.path.join(self.folder, name)

    def make(self, name):
        """A data folder, and the snapshot that batches are taken from."""
        subprocess.run([self.fill, self.path(name), "d", *map(str, FOLDERS[name])], check=True, timeout=RUN_SECONDS,
                       stdout=subprocess.DEVNULL)
        if name.startswith("pairs"):
            subprocess.run([self.count, "build", self.path(name), "1"], check=True, timeout=RUN_SECONDS)

    def instructions(self, way, times):
        """Of a whole run. Who writes gets a copy of the folder."""
        folder = self.path(way.folder) if way.folder else "-"
        if way.folder:
            copy = tempfile.mkdtemp(dir=self.folder)
            folder = shutil.copytree(folder, os.path.join(copy, "data"))
        run = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", self.count, way.way, folder,
                              str(times)], capture_output=True, text=True, timeout=RUN_SECONDS)
        if way.folder:
            shutil.rmtree(copy)
        found = re.search(r"Collected : (\d+)", run.stderr)
        if run.returncode or not found:
            raise RuntimeError(f"{way.what}: {run.stderr[-1000:]}")
        return int(found[1])

    def measure(self, way, slower=1):
        """Instructions of one unit. slower: a planted slow way, which does all so many times."""
        units = way.times * way.per
        return (self.instructions(way, way.times * slower) - self.instructions(way, 0)) / units


def judge_counts(counts, known):
    """[(passed, line)] of what was measured against what was recorded."""
    out = []
    for way in (w for w in WAYS if w.what in counts):
        ratio = counts[way.what] / known[way.what] if known.get(way.what) else float("inf")
        out.append((ratio <= BOUND, f"{way.what}: {counts[way.what]:,.0f} instructions a {way.unit}, "
                                    f"{ratio:.2f} × the recorded, at most {BOUND}"))
    return out


def judge_flat(counts):
    """[(passed, line)] of what was measured at two sizes."""
    ratios = ((what, counts[large] / counts[small], bound) for what, large, small, bound in FLAT
              if large in counts and small in counts)
    return [(ratio <= bound, f"{what}: {ratio:.2f} ×, at most {bound}") for what, ratio, bound in ratios]


def measure_all(bench, pool):
    list(pool.map(bench.make, FOLDERS))
    # The long ones first, so that both cores end together.
    order = sorted(WAYS, key=lambda w: (w.folder != "pairs-100k", w.way != "build"))
    return dict(zip([w.what for w in order], pool.map(bench.measure, order)))


def self_test(bench):
    """Ways that do everything twice must be refused, by their counts and where they seem to grow."""
    bench.make("scores-10k")
    planted = [w for w in WAYS if w.way in ("alpha", "order") or w.what == "statistics of 10 k scores"]
    once, twice = ({w.what: bench.measure(w, slower) for w in planted} for slower in (1, 2))
    grown = {"statistics of 10 k scores": once["statistics of 10 k scores"],
             "statistics of 100 k scores": twice["statistics of 10 k scores"]}
    return [(not passed, "planted " + line) for passed, line in judge_counts(twice, once) + judge_flat(grown)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default=os.path.join(ROOT, "build"))
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--record", action="store_true", help="write counts.json anew")
    mode.add_argument("--self-test", action="store_true", help="plant slow ways, which must be found")
    got = parser.parse_args()
    known = {}
    if os.path.exists(COUNTS):
        with open(COUNTS, encoding="utf-8") as f:
            known = json.load(f)
    with tempfile.TemporaryDirectory(prefix="prefd-speed-") as folder, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bench = Bench(os.path.abspath(got.build), folder)
        if got.self_test:
            results = self_test(bench)
        else:
            counts = measure_all(bench, pool)
            if got.record:
                known = {way.what: round(counts[way.what]) for way in WAYS}
                with open(COUNTS, "w", encoding="utf-8") as f:
                    json.dump(known, f, ensure_ascii=False, indent=1)
                    f.write("\n")
            results = judge_counts(counts, known) + judge_flat(counts)
    for passed, line in results:
        print(("ok      " if passed else "NOT OK  ") + line)
    failed = sum(not passed for passed, _ in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed or not results else 0


if __name__ == "__main__":
    sys.exit(main())
