"""Minibatches of the same size as in the line of nginx, beside the service that most teams
would write first: FastAPI and SQLite, a worker a core (yard_fastapi.py)."""

import json
import os
import tempfile

import kit
import line_batches
import yard_fastapi

CONNECTIONS = line_batches.CONNECTIONS
BATCH = line_batches.BATCH


def measure(args):
    pairs = 2_000 if args.quick else 20_000
    with tempfile.TemporaryDirectory(prefix="prefd-bench-") as folder:
        db = os.path.join(folder, "yard.db")
        yard_fastapi.fill(db, kit.responses(2 * pairs, line_batches.TEXT_BYTES, scores=1))
        with kit.Prefd() as prefd, kit.Uvicorn("yard_fastapi:app", workers=os.cpu_count(), YARD_DB=db) as yard:
            path, examples = line_batches.prepare(prefd, pairs)
            size = len(line_batches.check(prefd, path, examples))
            status, _, body = yard.request("GET", f"/batch?batch_size={BATCH}")
            assert status == 200 and len(json.loads(body)["examples"]) == BATCH, status
            assert 0.7 < len(body) / size < 1.3, f"batches of {len(body)} and {size} bytes"
            kit.settle()
            ours = kit.lua_random(path, examples - BATCH)
            a, b = kit.abab(
                lambda: kit.wrk(prefd.url, CONNECTIONS, args.seconds, ours)["requests_per_s"],
                lambda: kit.wrk(f"{yard.url}/batch?batch_size={BATCH}", CONNECTIONS, args.seconds)["requests_per_s"],
                args.rounds)
    return [kit.Row("the same batches, 16 connections", "FastAPI + SQLite", "/s", a, b, "≥ 15", "≥ 20")]
