"""Memory that stays flat while 1 GB goes in, is built and is served.

Slow: runs with PREFD_SLOW=1. It prints its figures (pytest -s).
"""

import concurrent.futures
import http.client
import json
import os
import random
import re
import threading
import time

import pytest

from wire import new_dataset, stats

pytestmark = pytest.mark.skipif(os.environ.get("PREFD_SLOW") != "1", reason="slow: set PREFD_SLOW=1")

GIGABYTE = 10**9
BODY_ROWS = 400
MAX_ANON_MIB = 128       # at any time
MAX_GROWTH_MIB = 16      # of the second half over the first


def memory(pid):
    """RssAnon in MiB."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return int(re.search(r"RssAnon:\s+(\d+) kB", f.read()).group(1)) / 1024


class Watch(threading.Thread):
    """The greatest RssAnon, phase by phase."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.peak, self.seen, self.stop = pid, 0.0, [], threading.Event()

    def run(self):
        while not self.stop.wait(0.1):
            now = memory(self.pid)
            self.peak = max(self.peak, now)
            self.seen.append(now)

    def phase(self, name):
        peak, self.peak = self.peak, 0.0
        print(f"{name}: RssAnon at most {peak:.0f} MiB", flush=True)
        return peak


def body(number, rng, words):
    rows = []
    for i in range(BODY_ROWS):
        id = number * BODY_ROWS + i
        rows.append(json.dumps({"id": f"p{id}", "prompt": f"question {id} {rng.choice(words)}", "responses": [
            {"text": f"{k} " + " ".join(rng.choices(words, k=200)), "model": f"m{k}",
             "scores": [{"judge": "j", "attribute": a, "value": rng.randrange(1, 11)}
                        for a in ("overall", "clarity")]} for k in range(2)]}))
    return "\n".join(rows).encode()


def test_one_gigabyte(fresh_daemon):
    d = fresh_daemon()
    dataset = new_dataset(d, "large")
    words = [f"w{i:05d}x" for i in range(5000)]
    size = len(body(0, random.Random(0), words))
    bodies = GIGABYTE // size + 1
    watch = Watch(d.pid)
    print(f"\n{bodies} bodies of {size / 1e6:.1f} MB; at rest RssAnon {memory(d.pid):.0f} MiB", flush=True)
    watch.start()
    local = threading.local()

    def send(number):
        if not hasattr(local, "connection"):
            local.connection = d.connect()
        local.connection.request("POST", f"/v1/datasets/{dataset}/records", body(number, random.Random(number), words),
                                 {"Content-Type": "application/x-ndjson"})
        answer = local.connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()

    begin = time.monotonic()
    half = bodies // 2
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(send, range(half)))
        first = watch.phase("ingest, first half")
        list(pool.map(send, range(half, bodies)))
        second = watch.phase("ingest, second half")
    took = time.monotonic() - begin
    s = stats(d, dataset)
    assert s["prompts"] == bodies * BODY_ROWS
    print(f"{s['responses']} responses, {s['scores']} scores in {took:.0f} s", flush=True)

    begin = time.monotonic()
    d.request("POST", f"/v1/datasets/{dataset}/snapshots", {"name": "large", "recipe": {}})
    while d.request("GET", "/v1/snapshots/large?wait=60").json()["state"] == "building":
        assert time.monotonic() - begin < 1200
    made = d.request("GET", "/v1/snapshots/large").json()
    assert made["state"] == "ready", made
    print(f"{made['pairs']} pairs, {made['bytes'] / 1e6:.0f} MB in {time.monotonic() - begin:.0f} s", flush=True)
    built = watch.phase("build")

    def fetch(i):
        answer = d.request("GET", f"/v1/snapshots/large/batch?batch_size=256&seed={i}&offset={i * 256}")
        assert answer.status == 200
        return len(answer.body)

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        total = sum(pool.map(fetch, range(made["examples"] // 256)))
    print(f"{total / 1e6:.0f} MB of batches", flush=True)
    connection = http.client.HTTPConnection(d.host, d.port, timeout=600)
    connection.request("GET", "/v1/snapshots/large/export")
    answer = connection.getresponse()
    lines = 0
    while piece := answer.read(1 << 20):
        lines += piece.count(b"\n")
    assert lines == made["examples"]
    served = watch.phase("batches and export")
    watch.stop.set()
    watch.join()
    assert max(first, second, built, served) < MAX_ANON_MIB
    assert second - first < MAX_GROWTH_MIB
