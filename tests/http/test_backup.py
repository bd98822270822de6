"""Backups: the state at one commit, made while others write; brought back to the
same bytes; refused when anything in them is not what it was."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time

import pytest

from conftest import BINARY, Daemon, clean_environment
from test_readme import follow, page, sample_daemon
from wire import batch, export, make, new_dataset, post, prompt_ids

CLIENTS = 4
READY_SECONDS = 60


def prefd(*arguments, env=None):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=120,
                          env=clean_environment(env))
    return done.returncode, done.stdout + done.stderr


def record(name, responses=3, length=400):
    return {"id": name, "prompt": f"question {name}", "responses": [
        {"id": f"{name}-{k}", "text": f"answer {k} {name} " + "x" * length, "scores": [{"judge": "j", "value": 1 + k}]}
        for k in range(responses)]}


def fill(daemon, megabytes, stem="fill"):
    dataset = new_dataset(daemon, stem)
    for part in range(4 * megabytes):
        post(daemon, dataset, [record(f"{part}-{i}", 4, 600) for i in range(100)])
    return dataset


def state(daemon, name):
    return daemon.request("GET", f"/v1/backups/{name}")


def wait_ready(daemon, name):
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        answer = state(daemon, name)
        if answer.status != 200 or answer.json()["state"] == "ready":
            return answer
        time.sleep(0.02)
    raise AssertionError("never ready")


def back_up(daemon, name):
    assert daemon.request("PUT", f"/v1/backups/{name}").status in (200, 202)
    answer = wait_ready(daemon, name)
    assert answer.status == 200, answer
    return answer.json()


@pytest.fixture
def kept(fresh_daemon, tmp_path):
    """A daemon with a snapshot, and a backup of it."""
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"))
    dataset = new_dataset(daemon, "kept")
    post(daemon, dataset, [record(f"p{i}") for i in range(40)])
    make(daemon, dataset, name="s")
    return daemon, tmp_path / "backups" / "one", back_up(daemon, "one")


# --- one commit ----------------------------------------------------------------------------


class Poster(threading.Thread):
    """Posts three records at a time, one post after the other."""

    def __init__(self, daemon, dataset, number):
        super().__init__()
        self.daemon_under_test, self.dataset, self.number = daemon, dataset, number
        self.stopped, self.done, self.failure = threading.Event(), 0, None

    def run(self):
        try:
            while not self.stopped.is_set():
                n = self.done
                post(self.daemon_under_test, self.dataset, [record(f"c{self.number}-{n:06}-{k}") for k in range(3)])
                post(self.daemon_under_test, self.dataset,
                     [{"response": f"c{self.number}-{n:06}-0-1", "judge": "later", "value": n}], "scores")
                self.done += 1
        except Exception as e:  # told by the main thread
            self.failure = e


FACTS = {"prompt": "*", "response": "*", "score": "*"}


def facts(database, seq=None):
    """All rows of the ledgers, as a set a table; those up to seq."""
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        where = "" if seq is None else f" WHERE seq <= {seq}"
        return {table: set(db.execute(f"SELECT {what} FROM {table}{where}")) for table, what in FACTS.items()}
    finally:
        db.close()


def texts_of(database):
    db = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return dict(db.execute("SELECT key, body FROM text"))
    finally:
        db.close()


def test_it_is_the_state_at_one_commit(fresh_daemon, tmp_path):
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"))
    dataset = new_dataset(daemon, "busy")
    posters = [Poster(daemon, dataset, n) for n in range(CLIENTS)]
    for part in range(40):
        post(daemon, dataset, [record(f"first-{part}-{i}", 4, 600) for i in range(100)])
    for p in posters:
        p.start()
    time.sleep(0.3)
    before = [p.done for p in posters]
    seqs = []
    for n in range(3):
        made = back_up(daemon, f"b{n}")
        (told,) = made["manifest"]["datasets"]
        assert told["dataset"] == dataset
        seqs.append(told["seq"])
    after = [p.done for p in posters]
    for p in posters:
        p.stopped.set()
    for p in posters:
        p.join(60)
        assert p.failure is None, p.failure
    daemon.stop()  # the last checkpoint leaves all in the one file
    assert seqs == sorted(seqs) and sum(after) > sum(before), "nothing was written meanwhile"
    original, bodies = tmp_path / "data0" / "prefd.db", texts_of(tmp_path / "data0" / "prefd.db")
    for n, seq in enumerate(seqs):
        copy = tmp_path / "backups" / f"b{n}"
        # Every row up to the number that the copy stands at, and no other.
        assert facts(copy / "prefd.db") == facts(original, seq)
        held = texts_of(copy / "prefd.db")
        assert held.items() <= bodies.items()
        status, said = prefd("check", "--backup", copy)
        assert status == 0 and said.endswith("ok\n"), said
    # What was acknowledged before it began is in it; whoever wrote one by one is in it one by one, three at a time.
    ids = {r[0] for r in sqlite3.connect(tmp_path / "backups" / "b0" / "prefd.db").execute("SELECT id FROM prompt")}
    for number, done in enumerate(before):
        mine = sorted(i for i in ids if i.startswith(f"c{number}-"))
        count = len(mine) // 3
        assert mine == [f"c{number}-{n:06}-{k}" for n in range(count) for k in range(3)] and count >= done
    # Control: the comparison sees a single row.
    lost = tmp_path / "lost.db"
    shutil.copy(tmp_path / "backups" / "b2" / "prefd.db", lost)
    with sqlite3.connect(lost) as db:
        db.execute("DELETE FROM score WHERE seq = (SELECT max(seq) FROM score)")
    assert facts(lost) != facts(original, seqs[2])


# --- there and back ----------------------------------------------------------------------------


def test_a_restored_folder_gives_the_same_bytes(kept, fresh_daemon, tmp_path):
    daemon, folder, made = kept
    make(daemon, made["manifest"]["datasets"][0]["dataset"], {"pairing": {"strategy": "all"}}, name="gone")
    revision = daemon.request("GET", "/v1/snapshots/gone").json()["revision"]
    os.unlink(tmp_path / "data0" / "snapshots" / f"{revision}.snap")  # lost: it is left out, and made anew
    files = {f["name"] for f in back_up(daemon, "two")["manifest"]["files"]}
    assert "prefd.db" in files and len(files) == 2 and f"snapshots/{revision}.snap" not in files
    status, said = prefd("restore", "--from", tmp_path / "backups" / "two", "--data", tmp_path / "back")
    assert status == 0, said
    again = fresh_daemon(data=tmp_path / "back")
    for snapshot in ("s", "gone"):
        ours = daemon.request("GET", f"/v1/snapshots/{snapshot}").json()
        assert again.request("GET", f"/v1/snapshots/{snapshot}").json() == ours
        assert wait_export(again, snapshot) == wait_export(daemon, snapshot)
        assert batch(again, snapshot, seed=3).body == batch(daemon, snapshot, seed=3).body
        name = f"{ours['revision']}.snap"
        assert (tmp_path / "back" / "snapshots" / name).read_bytes() == (tmp_path / "data0" / "snapshots" / name).read_bytes()
    dataset = made["manifest"]["datasets"][0]["dataset"]
    assert prompt_ids(again, dataset) == prompt_ids(daemon, dataset)
    assert again.request("GET", f"/v1/datasets/{dataset}/stats").json() == \
        daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()
    post(again, dataset, [record("new")])  # it takes writes


def wait_export(daemon, snapshot):
    until = time.monotonic() + READY_SECONDS
    while (answer := export(daemon, snapshot)).status == 503 and time.monotonic() < until:
        time.sleep(0.05)
    assert answer.status == 200, answer
    return answer.body


def test_tokens_come_back(fresh_daemon, tmp_path):
    status, token = prefd("token", "create", "--name", "root", "--scope", "admin", "--data", tmp_path / "data0")
    assert status == 0
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"), data=tmp_path / "data0")
    bearer = {"Authorization": f"Bearer {token.split()[0]}"}
    assert daemon.request("PUT", "/v1/backups/b").status == 401
    status, said = prefd("backup", "b", "--server", daemon.base, env={"PREFD_TOKEN": token.split()[0]})
    assert status == 0 and said.strip() == str(tmp_path / "backups" / "b"), said
    assert prefd("check", "--backup", tmp_path / "backups" / "b")[0] == 0
    assert prefd("restore", "--from", tmp_path / "backups" / "b", "--data", tmp_path / "back")[0] == 0
    again = fresh_daemon(data=tmp_path / "back")
    assert again.request("GET", "/v1/datasets").status == 401
    assert again.request("GET", "/v1/datasets", headers=bearer).status == 200
    assert token.split()[0] not in (tmp_path / "backups" / "b" / "tokens.json").read_text()


# --- what is refused ---------------------------------------------------------------------------------


def edit_manifest(folder, change):
    path = folder / "manifest.json"
    m = json.loads(path.read_text())
    change(m)
    path.write_text(json.dumps(m))


def entry(m, start):
    return next(f for f in m["files"] if f["name"].startswith(start))


def cut(path):
    with open(path, "r+b") as f:
        f.truncate(os.path.getsize(path) - 8192)


def flip(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 1]))


def snapshot_file(folder):
    return folder / "snapshots" / os.listdir(folder / "snapshots")[0]


BREACHES = {
    "hash": (lambda f: edit_manifest(f, lambda m: entry(m, "prefd").update(sha256="0" * 64)), "does not have its SHA-256"),
    "length": (lambda f: edit_manifest(f, lambda m: entry(m, "prefd").update(bytes=5)), "instead of 5"),
    "cut database": (lambda f: cut(f / "prefd.db"), "bytes instead of"),
    "flipped bit": (lambda f: flip(f / "prefd.db"), "prefd.db: does not have its SHA-256"),
    "flipped bit of a snapshot": (lambda f: flip(snapshot_file(f)), ".snap: does not have its SHA-256"),
    "missing database": (lambda f: os.unlink(f / "prefd.db"), "prefd.db: is missing"),
    "missing snapshot": (lambda f: os.unlink(snapshot_file(f)), ".snap: is missing"),
    "no manifest": (lambda f: os.unlink(f / "manifest.json"), "there is no backup"),
    "half a manifest": (lambda f: os.truncate(f / "manifest.json", 100), "manifest.json is damaged"),
    "a way out": (lambda f: edit_manifest(f, lambda m: entry(m, "snap").update(name="../../escaped")), "is damaged"),
    "no database listed": (lambda f: edit_manifest(f, lambda m: m["files"].remove(entry(m, "prefd"))), "is damaged"),
    "newer schema": (lambda f: edit_manifest(f, lambda m: m.update(schema=99)), "a newer prefd made it"),
    "newer form": (lambda f: edit_manifest(f, lambda m: m.update(version=2)), "a newer prefd made it"),
    "another's": (lambda f: edit_manifest(f, lambda m: m.update(format="tar")), "is damaged"),
}


def test_what_is_not_sound_is_refused(kept, tmp_path):
    _, folder, _ = kept
    assert prefd("check", "--backup", folder)[0] == 0
    for name, (breach, says) in BREACHES.items():
        broken, target = tmp_path / "broken", tmp_path / "target"
        shutil.copytree(folder, broken)
        breach(broken)
        status, said = prefd("check", "--backup", broken)
        assert status == 1 and says in said, (name, said)
        status, said = prefd("restore", "--from", broken, "--data", target)
        assert status == 1 and says in said, (name, said)
        assert not target.exists(), name
        shutil.rmtree(broken)


def test_only_an_empty_folder_is_filled(kept, fresh_daemon, tmp_path):
    _, folder, _ = kept
    target = tmp_path / "target"
    target.mkdir()
    (target / "mine").write_text("mine")
    status, said = prefd("restore", "--from", folder, "--data", target)
    assert status == 1 and "is not empty: it holds mine" in said and os.listdir(target) == ["mine"]
    status, said = prefd("restore", "--from", folder, "--data", tmp_path / "data0")
    assert status == 1 and "is not empty" in said
    (target / "mine").unlink()
    assert prefd("restore", "--from", folder, "--data", target)[0] == 0
    assert prefd("check", "--data", target)[0] == 0


def test_a_restore_that_was_cut_short_is_seen(kept, fresh_daemon, tmp_path):
    """Wherever it was killed: no daemon starts on it, and the next restore makes it whole."""
    _, folder, _ = kept
    seen = 0
    for attempt in range(60):
        target = tmp_path / f"t{attempt}"
        p = subprocess.Popen([BINARY, "restore", "--from", str(folder), "--data", str(target)],
                             stdout=subprocess.DEVNULL, env=clean_environment())
        until = time.monotonic() + 10
        while not (target / "restoring").exists() and p.poll() is None and time.monotonic() < until:
            pass
        p.kill()
        p.wait(30)
        if not (target / "restoring").exists():
            continue
        seen += 1
        status, said = prefd("serve", "--data", target, "--listen", "127.0.0.1:0")
        assert status == 1 and "was not finished" in said
        assert prefd("restore", "--from", folder, "--data", target)[0] == 0
        assert prefd("check", "--data", target)[0] == 0
        if seen == 3:
            break
    assert seen >= 1


# --- cut short ---------------------------------------------------------------------------------------------


def unfinished(folder):
    return [n for n in os.listdir(folder) if n.startswith(".unfinished-")] if folder.exists() else []


def test_killed_in_the_middle(fresh_daemon, tmp_path):
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"))
    fill(daemon, 24)
    for attempt in range(20):
        assert daemon.request("PUT", f"/v1/backups/k{attempt}").status == 202
        until = time.monotonic() + 10
        while not unfinished(tmp_path / "backups") and time.monotonic() < until:
            pass
        daemon.kill()
        left = unfinished(tmp_path / "backups")
        daemon.start()
        if left:
            break
    assert left == [f".unfinished-k{attempt}"]
    assert f"k{attempt}" not in daemon.request("GET", "/v1/backups").json()["backups"]
    assert state(daemon, f"k{attempt}").status == 404
    made = back_up(daemon, f"k{attempt}")  # the same name is free
    assert unfinished(tmp_path / "backups") == []
    assert prefd("check", "--backup", made["folder"])[0] == 0


def test_a_stop_ends_it_and_leaves_nothing(fresh_daemon, tmp_path):
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"))
    fill(daemon, 24)
    assert daemon.request("PUT", "/v1/backups/b").status == 202
    daemon.stop()  # must exit 0
    assert unfinished(tmp_path / "backups") == []


def test_one_at_a_time(fresh_daemon, tmp_path):
    daemon = fresh_daemon("--backups", str(tmp_path / "backups"))
    fill(daemon, 12)
    assert daemon.request("PUT", "/v1/backups/a").status == 202
    second, same = daemon.request("PUT", "/v1/backups/b"), daemon.request("PUT", "/v1/backups/a")
    assert second.status == 409 and "is being made" in second.json()["detail"]
    assert same.status == 202 and same.json()["state"] == "running"
    assert wait_ready(daemon, "a").status == 200
    assert daemon.request("PUT", "/v1/backups/a").status == 200
    assert daemon.request("GET", "/v1/backups").json() == {"backups": ["a"], "next": None}
    back_up(daemon, "b")
    first = daemon.request("GET", "/v1/backups?limit=1").json()
    assert first == {"backups": ["a"], "next": "a"}
    assert daemon.request("GET", "/v1/backups?limit=1&after=a").json() == {"backups": ["b"], "next": None}


# --- a full disk -------------------------------------------------------------------------------------------


def test_a_full_disk_fails_the_backup_alone(tmp_path):
    """The backups' folder is a small disk of its own; the daemon, inside its namespace, goes on."""
    (tmp_path / "small").mkdir()
    script = (f"mount -t tmpfs -o size=2m tmpfs {tmp_path}/small && exec {BINARY} serve --data {tmp_path}/data "
              f"--backups {tmp_path}/small/b --listen 127.0.0.1:0")
    probe = subprocess.run(["unshare", "-rm", "true"], capture_output=True)
    if probe.returncode:
        pytest.skip("no namespaces here")
    log = open(tmp_path / "log", "wb")
    p = subprocess.Popen(["unshare", "-rm", "bash", "-c", script], stderr=log, env=clean_environment())
    try:
        d = Daemon(tmp_path / "data", tmp_path / "log")
        d.host, d.port = "127.0.0.1", listening_port(tmp_path / "log", p)
        dataset = fill(d, 4)
        assert d.request("PUT", "/v1/backups/b").status == 202
        answer = wait_ready(d, "b")
        assert answer.status == 507 and answer.json()["type"] == "/problems/storage-full", answer
        post(d, dataset, [record("after")])
        assert d.request("GET", "/readyz").status == 200
        assert d.request("GET", "/v1/backups").json()["backups"] == []
    finally:
        p.send_signal(signal.SIGTERM)
        assert p.wait(30) == 0
        log.close()


def listening_port(log, process):
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text().splitlines():
            if "listening on http://" in line:
                return int(line.rsplit(":", 1)[1])
        time.sleep(0.02)
    raise AssertionError(log.read_text())


# --- without a daemon, and the command line ---------------------------------------------------------------------


def test_cold(kept, tmp_path):
    daemon, folder, _ = kept
    data, to = tmp_path / "data0", tmp_path / "cold"
    status, said = prefd("backup", "--data", data, "--to", to)
    assert status == 1 and "another prefd holds" in said and not to.exists()
    daemon.stop()
    status, said = prefd("backup", "--data", data, "--to", to)
    assert status == 0, said
    # The database beside which nothing was written since is the same file.
    digest = [hashlib.sha256((f / "prefd.db").read_bytes()).hexdigest() for f in (folder, to)]
    assert digest[0] == digest[1] == entry(json.loads((to / "manifest.json").read_text()), "prefd")["sha256"]
    status, said = prefd("backup", "--data", data, "--to", to)
    assert status == 1 and "is there already" in said
    status, said = prefd("backup", "--data", tmp_path / "nothing", "--to", tmp_path / "x")
    assert status == 1 and "no database" in said and not (tmp_path / "nothing").exists()


def test_usage():
    for wrong in (["a", "b"], ["--data", "x"], ["--to", "x"], ["--nothing"], ["a", "--data", "x", "--to", "y"]):
        assert prefd("backup", *wrong)[0] == 2, wrong
    for wrong in ([], ["--from", "x"], ["--data", "x"], ["--from", "x", "--data", "y", "z"]):
        assert prefd("restore", *wrong)[0] == 2, wrong


def test_names_lead_nowhere_else(daemon):
    for name in ("..", ".lock", "a%2Fb", "%2e%2e"):
        assert daemon.request("PUT", f"/v1/backups/{name}").status in (400, 404, 422), name


def test_every_command_of_the_page_answers_as_it_says(fresh_daemon, tmp_path):
    daemon = sample_daemon(fresh_daemon, tmp_path)
    follow(page("docs", "backup.md"), daemon, tmp_path)
