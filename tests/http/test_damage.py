"""Damage from outside: pages overwritten, the header gone, the file cut, empty or lost; an old schema, a newer one.

A damaged database is refused at the start, or what cannot be read is answered
with an error: never with other data than was stored. `prefd check` finds it.
A database of version 1 is brought up to date, one of a newer version is left
as it is. (Every byte of a snapshot file: tests/unit/test_snap.c.)

Control: facts changed behind the daemon's back with SQLite itself, which no
checksum of a page could show, must be seen by the comparison here and by
`prefd check`.
"""

import os
import random
import shutil
import sqlite3
import subprocess

import pytest
from audit import read_facts, record_facts
from conftest import BINARY, Daemon, clean_environment
from faulty import SANITIZED
from old_schema import downgrade, newest_version
from rounds_kit import create
from wire import export, make, post, prompt

DATASET, PROMPTS, PAGE = "d", 40, 8192


def record(i):
    id = f"p{i:02}"
    return {"id": id, "prompt": f"question of {id}", "responses": [
        {"id": f"{id}-{k}", "text": f"answer {k} of {id} " + "x" * 700,
         "scores": [{"judge": f"j{j}", "value": 1 + k + j} for j in range(3)]} for k in range(2)]}


class Stored:
    """A folder with facts in it, and what they are."""

    def __init__(self, folder):
        self.folder = folder
        d = Daemon(folder / "data", folder / "log").start()
        assert d.request("PUT", f"/v1/datasets/{DATASET}").status == 201
        rows = [record(i) for i in range(PROMPTS)]
        post(d, DATASET, rows)
        self.facts = {k: v for row in rows for k, v in record_facts(row).items()}
        assert read_facts(d, DATASET) == self.facts
        self.prompts = {row["id"]: prompt(d, DATASET, row["id"]) for row in rows}
        self.round = create(d, DATASET, responses="dataset", min_responses=2)
        self.made = make(d, DATASET, name="s")
        self.examples = export(d, "s").body
        d.stop()
        self.copies = 0

    def copy(self):
        """A daemon of a copy's own, not started."""
        self.copies += 1
        to = self.folder / f"copy{self.copies}"
        shutil.copytree(self.folder / "data", to)
        return Daemon(to, self.folder / f"log{self.copies}")


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    return Stored(tmp_path_factory.mktemp("damage"))


def database(daemon):
    return os.path.join(daemon.data, "prefd.db")


def content(daemon):
    with open(database(daemon), "rb") as f:
        return f.read()


def overwrite(daemon, data):
    with open(database(daemon), "wb") as f:
        f.write(data)


def check(daemon):
    return subprocess.run([BINARY, "check", "--data", daemon.data], env=clean_environment(), capture_output=True,
                          timeout=60, text=True)


def started(daemon):
    """False when it refuses to: with a word on standard error."""
    try:
        daemon.start()
    except AssertionError as e:
        assert "prefd ended with 1:" in str(e) and "prefd: " in daemon.log(), e
        return False
    return True


def reads(daemon, stored):
    """(right, refused, wrong) answers to what was stored."""
    right = refused = wrong = 0
    paths = {f"/v1/datasets/{DATASET}/prompts/{id}": p for id, p in stored.prompts.items()}
    paths["/v1/snapshots/s"] = stored.made
    for path, expected in paths.items():
        answer = daemon.request("GET", path)
        if answer.status >= 500:
            assert answer.json()["type"].startswith("/problems/")
            refused += 1
        elif answer.status == 200 and answer.json() == expected:
            right += 1
        else:
            wrong += 1
    answer = daemon.request("GET", "/v1/snapshots/s/export")
    wrong += answer.status == 200 and answer.body != stored.examples
    return right, refused, wrong


def outcome(daemon, stored):
    """refused | served, found by check?, wrong answers"""
    found = check(daemon).returncode != 0
    if not started(daemon):
        return "refused", found, 0, 0
    _, refused, wrong = reads(daemon, stored)
    daemon.kill()
    return "served", found, refused, wrong


def test_nothing_is_wrong_without_damage(stored):
    d = stored.copy()
    assert check(d).returncode == 0
    assert outcome(d, stored) == ("served", False, 0, 0)


@pytest.mark.parametrize("name, damage", [
    ("empty", lambda b: b""),
    ("no header", lambda b: bytes(100) + b[100:]),
    ("no magic", lambda b: b"not a database!\0" + b[16:]),
    ("another page size", lambda b: b[:16] + b"\x10\x00" + b[18:]),
    ("a page of header", lambda b: b[:PAGE]),
    ("half", lambda b: b[:len(b) // 2 // PAGE * PAGE]),
    ("a page less", lambda b: b[:-PAGE]),
    ("half a page less", lambda b: b[:-PAGE // 2]),
])
def test_header_and_length(stored, name, damage):
    d = stored.copy()
    overwrite(d, damage(content(d)))
    before = content(d)
    verdict = outcome(d, stored)
    assert verdict[:2] == ("refused", True), (name, verdict)
    assert content(d) == before  # whoever repairs it finds it as it was


def test_a_database_that_is_gone(stored):
    """An empty one in its place would be the worst of answers."""
    d = stored.copy()
    os.unlink(database(d))
    assert outcome(d, stored)[:2] == ("refused", True)
    assert sorted(os.listdir(d.data)) == sorted(set(os.listdir(stored.folder / "data")) - {"prefd.db"})
    assert "lock" in d.log()  # what to do if it is meant
    os.unlink(os.path.join(d.data, "lock"))
    assert started(d)
    d.stop()


def test_pages_overwritten(stored, capsys):
    rng, d = random.Random(3), stored.copy()
    whole = content(d)
    counted = {"refused": 0, "served": 0, "errors": 0}
    pages = range(1, len(whole) // PAGE, 6 if SANITIZED else 1)
    for page in pages:
        other = bytes(PAGE) if page % 2 else rng.randbytes(PAGE)
        overwrite(d, whole[:page * PAGE] + other + whole[(page + 1) * PAGE:])
        kind, found, refused, wrong = outcome(d, stored)
        assert wrong == 0, f"page {page}: {wrong} answers are wrong"
        assert found, f"page {page}: check finds nothing"
        counted[kind] += 1
        counted["errors"] += refused
        for name in os.listdir(d.data):
            if name.startswith("prefd.db-"):
                os.unlink(os.path.join(d.data, name))
    with capsys.disabled():
        print(f"\n# {len(pages)} pages overwritten: {counted['refused']} refused at the start, "
              f"{counted['served']} served with {counted['errors']} errors; nothing wrong; check found all")


def test_flipped_bits_of_texts_are_found_by_check(stored):
    """SQLite has no checksums of its own: the hashes kept beside the texts have."""
    d = stored.copy()
    whole = content(d)
    for text in (b"answer 1 of p07", b"question of p30"):
        at = whole.index(text) + 3
        overwrite(d, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
        done = check(d)
        assert done.returncode == 1 and text[-3:].decode() in done.stdout, done.stdout


@pytest.mark.parametrize("sql, shows", [
    ("UPDATE text SET body = 'other' WHERE body LIKE 'answer 1 of p07%'", True),
    ("UPDATE score SET value = value + 0.5 WHERE prompt = (SELECT prompt FROM prompt WHERE id = 'p07')", True),
    ("DELETE FROM response_key WHERE id = 'p07-1'", False),  # by which only writers look things up
])
def test_control_changed_facts_are_seen(stored, sql, shows):
    d = stored.copy()
    db = sqlite3.connect(database(d))
    assert db.execute(sql).rowcount > 0
    db.commit()
    db.close()
    kind, found, _, wrong = outcome(d, stored)
    assert kind == "served" and found and (wrong > 0) == shows


def test_a_damaged_log(stored):
    """The log holds commits that are not in the database yet. SQLite takes it up to the first damage: a state that
    was once acknowledged, never half of one."""
    d = stored.copy().start()
    states = [read_facts(d, DATASET)]
    for i in range(5):
        post(d, DATASET, [record(50 + i)])
        states.append(read_facts(d, DATASET))
    d.kill()
    log = database(d) + "-wal"
    with open(log, "rb") as f:
        whole = f.read()
    seen = set()
    for part in range(1, 10):
        at = len(whole) * part // 10
        with open(log, "wb") as f:
            f.write(whole[:at] + bytes(b ^ 255 for b in whole[at:at + 64]) + whole[at + 64:])
        if os.path.exists(database(d) + "-shm"):
            os.unlink(database(d) + "-shm")
        d.start()
        seen.add(states.index(read_facts(d, DATASET)))
        d.kill()
        assert check(d).returncode == 0
    assert len(seen) > 1


# --- versions ------------------------------------------------------------------------------


def test_a_database_of_version_1_is_brought_up(stored):
    d = stored.copy()
    downgrade(database(d))
    with sqlite3.connect(database(d)) as db:
        assert [n for (n,) in db.execute("SELECT name FROM sqlite_schema WHERE name = 'round'")] == []
    assert "not brought up to date" in check(d).stderr
    d.start()
    assert read_facts(d, DATASET) == stored.facts
    assert reads(d, stored)[1:] == (0, 0)
    create(d, DATASET, responses="dataset", min_responses=2)
    d.stop()
    assert check(d).returncode == 0
    with sqlite3.connect(database(d)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (newest_version(),)


@pytest.mark.parametrize("pragma, word", [
    (f"user_version={newest_version() + 1}", "newer"), ("application_id=1", "not prefd's")])
def test_a_database_of_others_is_left_as_it_is(stored, pragma, word):
    d = stored.copy()
    with sqlite3.connect(database(d)) as db:
        db.execute(f"PRAGMA {pragma}")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    before = content(d)
    assert not started(d) and word in d.log()
    assert word in check(d).stderr
    assert content(d) == before
    assert not os.path.exists(database(d) + "-wal") or os.path.getsize(database(d) + "-wal") == 0
