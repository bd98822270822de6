"""Statistics of a dataset: as many milliseconds at ten thousand scores as at ten million?
The large one is filled through the store's own doors (fill.c)."""

import http.client
import os
import shutil
import statistics
import subprocess
import tempfile
import time

import kit

SMALL, LARGE, QUICK = 10_000, 10_000_000, 200_000  # scores
RESPONSES, SCORES = 4, 5                           # of a prompt, of a response
TEXT_BYTES = 100
REQUESTS = 100


def fill(args, folder, scores):
    """A data folder with so many scores; the seconds it took."""
    before = time.monotonic()
    said = subprocess.run([args.yardstick("fill"), os.path.join(folder, "data"), "d", str(scores // (RESPONSES * SCORES)),
                           str(RESPONSES), str(SCORES), str(TEXT_BYTES)], capture_output=True, text=True, timeout=600)
    assert said.returncode == 0 and int(said.stdout.split()[0]) == scores, said
    return time.monotonic() - before


def ask(prefd, scores):
    """The median of many requests on one connection, in milliseconds."""
    connection = http.client.HTTPConnection("127.0.0.1", prefd.port, timeout=60)
    took = []
    for _ in range(REQUESTS):
        before = time.monotonic()
        connection.request("GET", "/v1/datasets/d/stats")
        answer = connection.getresponse()
        body = answer.read()
        took.append(1e3 * (time.monotonic() - before))
        assert answer.status == 200 and f'"scores":{scores}'.encode() in body, body[:300]
    connection.close()
    return statistics.median(took)


def measure(args):
    large = QUICK if args.quick else LARGE
    folders = [tempfile.mkdtemp(prefix="prefd-bench-") for _ in range(2)]
    try:
        for folder, scores in zip(folders, (large, SMALL)):
            fill(args, folder, scores)
        kit.settle()
        with kit.Prefd(folders[0]) as many, kit.Prefd(folders[1]) as few:
            a, b = kit.abab(lambda: ask(many, large), lambda: ask(few, SMALL), args.rounds)
    finally:
        for folder in folders:
            shutil.rmtree(folder)
    row = kit.Row(f"statistics of a dataset of {large:,} scores", f"itself at {SMALL:,}", "ms", a, b,
                  "< 10 ms", "flat (≥ 0.8)", "lower")
    s = row.summary()
    row.verdict = "goal" if s["ratio"][1] >= 0.8 and s["ours"] < 10 else "good" if s["ours"] < 10 else "no"
    return [row]
