"""A yardstick: the service that most teams would write first, with FastAPI and SQLite, and
with some care: answers without pydantic's detour, one query a batch, statements with IN,
WAL, a durable commit a request. Run by uvicorn (with uvloop and httptools), one worker a
core for reading and one for writing. YARD_DB names the database."""

import json
import os
import random
import sqlite3

from fastapi import FastAPI, Request, Response

SCHEMA = """
CREATE TABLE IF NOT EXISTS prompt(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS response(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    prompt INTEGER NOT NULL REFERENCES prompt(id), content TEXT NOT NULL, model TEXT);
CREATE TABLE IF NOT EXISTS score(id INTEGER PRIMARY KEY, response TEXT NOT NULL, judge TEXT NOT NULL, value REAL NOT NULL);
CREATE TABLE IF NOT EXISTS pair(id INTEGER PRIMARY KEY, prompt INTEGER NOT NULL REFERENCES prompt(id),
    chosen INTEGER NOT NULL REFERENCES response(id), rejected INTEGER NOT NULL REFERENCES response(id),
    score_chosen REAL NOT NULL, score_rejected REAL NOT NULL);
"""
BATCH = """
SELECT pair.id, prompt.name, prompt.content, c.name, c.content, r.name, r.content, score_chosen, score_rejected
FROM pair JOIN prompt ON prompt.id = pair.prompt JOIN response c ON c.id = chosen JOIN response r ON r.id = rejected
WHERE pair.id IN (%s)
"""


def connect(path):
    """WAL, each commit synced; the database mapped and its pages cached."""
    db = sqlite3.connect(path)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute("PRAGMA mmap_size = 2147483648")
    db.execute("PRAGMA cache_size = -65536")
    return db


def fill(path, rows):
    """A database of pairs: of each row (as kit.responses makes them) the first two responses.
    Returns the number of pairs."""
    db = connect(path)
    db.executescript(SCHEMA)
    n = 0
    with db:
        for n, row in enumerate(map(json.loads, rows), 1):
            db.execute("INSERT INTO prompt VALUES (?, ?, ?)", (n, row["id"], row["prompt"]))
            best = sorted(row["responses"][:2], key=lambda r: -r["scores"][0]["value"])
            for i, r in enumerate(best):
                db.execute("INSERT INTO response VALUES (?, ?, ?, ?, ?)", (2 * n + i, r["id"], n, r["text"], r["model"]))
            scores = (r["scores"][0]["value"] for r in best)
            db.execute("INSERT INTO pair VALUES (?, ?, ?, ?, ?, ?)", (n, n, 2 * n, 2 * n + 1, *scores))
    db.close()
    return n


app = FastAPI()


@app.on_event("startup")
def opened():
    app.state.db = connect(os.environ["YARD_DB"])
    app.state.db.executescript(SCHEMA)
    app.state.pairs = app.state.db.execute("SELECT max(id) FROM pair").fetchone()[0] or 0


def example(row):
    pair, prompt_id, prompt, chosen_id, chosen, rejected_id, rejected, score_chosen, score_rejected = row
    return {"pair": pair, "prompt_id": prompt_id, "prompt": [{"role": "user", "content": prompt}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "score_chosen": score_chosen, "score_rejected": score_rejected,
            "chosen_id": chosen_id, "rejected_id": rejected_id}


@app.get("/batch")
async def batch(batch_size: int = 64):
    keys = random.sample(range(1, app.state.pairs + 1), batch_size)
    rows = app.state.db.execute(BATCH % ",".join("?" * batch_size), keys).fetchall()
    body = json.dumps({"examples": [example(row) for row in rows]}, ensure_ascii=False)
    return Response(body, media_type="application/json")


@app.post("/scores")
async def scores(request: Request):
    """One score or a list of them, durable before the answer."""
    rows = json.loads(await request.body())
    rows = rows if isinstance(rows, list) else [rows]
    with app.state.db as db:
        db.executemany("INSERT INTO score(response, judge, value) VALUES (:response, :judge, :value)", rows)
    return Response(json.dumps({"created": len(rows)}), media_type="application/json")
