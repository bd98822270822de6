"""Bulk ingest: responses of 1.5 KB with five scores each, posted as NDJSON and durable when
answered, beside the same rows put into SQLite in process (sqlite_bulk.c), whose JSON was
parsed before its clock started. Both commit with synchronous=FULL."""

import concurrent.futures
import os
import subprocess
import tempfile
import time

import kit

TEXT_BYTES = 1500
BODY_BYTES = 8 << 20
POSTERS = 3  # connections; the scanning and parsing of one overlaps with the writing of another


def count_expected(rows):
    return len(rows), sum(row.count(b'"scores"') for row in rows), sum(row.count(b'"judge"') for row in rows)


def post_all(bodies, expected):
    """Responses per second into a new daemon; all rows must be there afterwards."""
    _, responses, scores = expected
    with kit.Prefd() as prefd:
        prefd.dataset("d")
        before = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(POSTERS) as pool:
            counts = list(pool.map(lambda body: prefd.post("d", body), bodies))
        took = time.monotonic() - before
        stats = prefd.json("GET", "/v1/datasets/d/stats")
    assert sum(c["responses"]["created"] for c in counts) == responses == stats["responses"], stats
    assert sum(c["scores"]["created"] for c in counts) == scores == stats["scores"], stats
    return responses / took


def sqlite_all(program, path, expected):
    """Responses per second into a new SQLite file."""
    with tempfile.TemporaryDirectory(prefix="prefd-bench-") as folder:
        said = subprocess.run([program, path, os.path.join(folder, "db")], capture_output=True, text=True, timeout=300,
                              check=True).stdout.split()
    assert (int(said[0]), int(said[2])) == expected[1:], said
    return int(said[0]) / float(said[4])


def measure(args):
    rows = list(kit.responses(4_000 if args.quick else 100_000, TEXT_BYTES, scores=5, each=4))
    expected, bodies = count_expected(rows), list(kit.bodies(rows, BODY_BYTES))
    with tempfile.NamedTemporaryFile(prefix="prefd-bench-", suffix=".ndjson") as f:
        f.writelines(rows)
        f.flush()
        del rows
        kit.settle()
        a, b = kit.abab(lambda: post_all(bodies, expected),
                        lambda: sqlite_all(args.yardstick("sqlite_bulk"), f.name, expected), args.rounds)
    return [kit.Row("bulk ingest, 1.5 KB responses with five scores each, durable",
                    "SQLite in process, 1,000 a transaction, FULL", "responses/s", a, b, "≥ 0.6", "≥ 0.8",
                    note=f"{len(bodies)} NDJSON bodies of {BODY_BYTES >> 20} MiB over {POSTERS} connections; "
                         "the yardstick's JSON is parsed beforehand")]
