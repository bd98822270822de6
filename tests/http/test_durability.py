"""kill -9 at any moment: what was acknowledged is there, nothing is there by half."""

import http.client
import json
import os
import random
import threading
import time

from wire import export, make, new_dataset, post, prompt, prompt_ids, stats, totals

CYCLES = 4
CLIENTS = 8


def record(i, responses=3):
    return {"id": f"p{i}", "prompt": f"question {i}", "responses": [
        {"id": f"p{i}-{k}", "text": f"answer {k} " + "x" * 300, "scores": [{"judge": "j", "value": 1 + k}]}
        for k in range(responses)]}


class Poster(threading.Thread):
    """Posts until the daemon is gone; remembers what was acknowledged."""

    def __init__(self, daemon, dataset, number, stop):
        super().__init__()
        self.daemon_under_test, self.dataset, self.number, self.stopped = daemon, dataset, number, stop
        self.acknowledged, self.last, self.failure = [], {}, None
        self.base = number * 10**6

    def run(self):
        try:
            connection = self.daemon_under_test.connect(timeout=30)
            while not self.stopped.is_set():
                self.post(connection)
        except (OSError, http.client.HTTPException):
            pass  # killed in the middle
        except AssertionError as e:
            self.failure = e

    def send(self, connection, kind, rows):
        body = "".join(json.dumps(r) + "\n" for r in rows)
        connection.request("POST", f"/v1/datasets/{self.dataset}/{kind}", body,
                           {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        content = answer.read()
        assert answer.status == 200, content

    def post(self, connection):
        ids = list(range(self.base, self.base + 1 + self.base % 4))
        self.base += len(ids)
        self.send(connection, "records", [record(i) for i in ids])
        self.acknowledged += ids
        value = 10 + self.base % 1000
        self.send(connection, "scores", [{"response": f"p{ids[0]}-0", "judge": "later", "value": value}])
        self.last[ids[0]] = value


def kill_while_posting(daemon, dataset, rng, cycle):
    stop = threading.Event()
    posters = [Poster(daemon, dataset, cycle * CLIENTS + n, stop) for n in range(CLIENTS)]
    for p in posters:
        p.start()
    time.sleep(0.2 + rng.random() * 0.6)
    daemon.kill()
    stop.set()
    for p in posters:
        p.join(60)
        assert not p.is_alive()
        assert p.failure is None, p.failure
    return posters


def test_no_acknowledged_row_is_lost(fresh_daemon):
    rng = random.Random(1)
    d = fresh_daemon()
    dataset = new_dataset(d, "kill")
    acknowledged, last = set(), {}
    for cycle in range(CYCLES):
        for p in kill_while_posting(d, dataset, rng, cycle):
            acknowledged |= set(p.acknowledged)
            last |= p.last
        d.start()
        there = set(prompt_ids(d, dataset))
        missing = {f"p{i}" for i in acknowledged} - there
        assert not missing, f"{len(missing)} of {len(acknowledged)} acknowledged rows are gone"
        s = stats(d, dataset)
        assert s["prompts"] == len(there) and s["responses"] == 3 * len(there)  # no row by half
        for i in rng.sample(sorted(last), min(40, len(last))):
            responses = {r["id"]: r for r in prompt(d, dataset, f"p{i}")["responses"]}
            scores = {s["judge"]: s["value"] for s in responses[f"p{i}-0"]["scores"]}
            assert scores == {"j": 1, "later": last[i]}
    assert len(acknowledged) > 100
    # What was sent and not acknowledged may be there or not; sending it again is safe.
    assert post(d, dataset, [record(i) for i in sorted(acknowledged)[:500]])["prompts"]["created"] == 0


def test_a_snapshot_in_the_making_goes_on(fresh_daemon):
    d = fresh_daemon()
    dataset = new_dataset(d, "build")
    for part in range(4):
        post(d, dataset, [record(part * 3000 + i, 4) for i in range(3000)])
    recipe = {"pairing": {"strategy": "all"}}
    seen_building = 0
    for attempt in range(4):
        name = f"s{attempt}"
        answer = d.request("POST", f"/v1/datasets/{dataset}/snapshots",
                           {"name": name, "recipe": {**recipe, "pairing": {"strategy": "all", "seed": attempt}}})
        assert answer.status == 202
        time.sleep(0.02 * attempt)
        state = d.request("GET", f"/v1/snapshots/{name}").json()["state"]
        d.kill()
        d.start()
        seen_building += state == "building"
        post(d, dataset, [record(10**6 + attempt)])  # later than the snapshot
        made = d.request("GET", f"/v1/snapshots/{name}?wait=60").json()
        assert made["state"] == "ready", made
        assert made["prompts"] == 12000 + attempt and made["pairs"] == 6 * 12000 + 3 * attempt
        assert export(d, name).body.count(b"\n") == made["examples"]
    assert seen_building >= 1


def test_answers_of_idempotency_keys_survive(fresh_daemon):
    d = fresh_daemon()
    dataset = new_dataset(d, "key")
    key = {"Idempotency-Key": "once"}
    first = d.post_rows(f"/v1/datasets/{dataset}/records", [record(1)], key)
    assert first.json()["prompts"]["created"] == 1
    d.kill()
    d.start()
    again = d.post_rows(f"/v1/datasets/{dataset}/records", [record(1)], key)
    assert (again.status, again.body) == (200, first.body)
    other = d.post_rows(f"/v1/datasets/{dataset}/records", [record(2)], key)
    assert (other.status, other.json()["type"]) == (422, "/problems/idempotency-key-reused")
    assert totals(d, dataset)["prompts"] == 1


def test_a_deletion_cut_short_is_finished(fresh_daemon):
    d = fresh_daemon()
    dataset = new_dataset(d, "going")
    for part in range(2):
        post(d, dataset, [record(part * 3000 + i) for i in range(3000)])
    done = []

    def delete():
        try:
            done.append(d.request("DELETE", f"/v1/datasets/{dataset}?confirm={dataset}").status)
        except (OSError, http.client.HTTPException):
            done.append(None)

    t = threading.Thread(target=delete)
    t.start()
    time.sleep(0.05)
    d.kill()
    t.join(60)
    d.start()
    answer = d.request("GET", f"/v1/datasets/{dataset}")
    if done == [204]:
        assert answer.status == 404
    if answer.status == 200:  # it had not begun
        assert totals(d, dataset)["prompts"] == 6000
        return
    deadline = time.monotonic() + 30
    while (answer := d.request("PUT", f"/v1/datasets/{dataset}")).status not in (200, 201):
        assert answer.status in (409, 503) and time.monotonic() < deadline, answer
        time.sleep(0.1)
    assert totals(d, dataset) == {"prompts": 0, "responses": 0, "scores": 0, "comparisons": 0}
    assert post(d, dataset, [record(1)])["prompts"]["created"] == 1


def test_a_prompt_goes_whole_or_not_at_all(fresh_daemon):
    """kill -9 while a prompt with 4,000 responses and 20,000 scores is deleted."""
    d = fresh_daemon()
    dataset = new_dataset(d)
    row = {"id": "big", "prompt": "p", "responses": [
        {"id": f"r{i}", "text": f"t{i}", "scores": [{"judge": f"j{k}", "value": k} for k in range(5)]}
        for i in range(4000)]}
    for wait_ms in (5, 20, 60, 150):
        post(d, dataset, [row])
        gone = threading.Thread(target=lambda: ask_quietly(d, "DELETE", f"/v1/datasets/{dataset}/prompts/big"))
        gone.start()
        time.sleep(wait_ms / 1000)
        d.kill()
        gone.join()
        d.restart()
        seen = d.request("GET", f"/v1/datasets/{dataset}/prompts/big")
        assert seen.status in (200, 404)
        whole = 4000 if seen.status == 200 else 0
        if whole:
            assert [len(r["scores"]) for r in seen.json()["responses"]] == [5] * 4000
        assert totals(d, dataset) == {"prompts": whole // 4000, "responses": whole, "scores": 5 * whole, "comparisons": 0}


def ask_quietly(d, method, path):
    try:
        d.request(method, path)
    except (OSError, http.client.HTTPException):
        pass  # killed in the middle


def test_a_second_daemon_is_kept_away(fresh_daemon):
    d = fresh_daemon()
    try:
        fresh_daemon(data=d.data)
    except AssertionError as e:
        assert "prefd ended with" in str(e)
    else:
        raise AssertionError("two daemons write to one folder")
    assert d.request("GET", "/readyz").status == 200


def test_the_same_after_a_clean_stop(fresh_daemon):
    d = fresh_daemon()
    dataset = new_dataset(d, "stop")
    post(d, dataset, [record(i) for i in range(50)])
    made = make(d, dataset)
    before = stats(d, dataset), prompt(d, dataset, "p7"), export(d, made["id"]).body
    d.restart()
    assert (stats(d, dataset), prompt(d, dataset, "p7"), export(d, made["id"]).body) == before
    assert d.request("GET", f"/v1/snapshots/{made['id']}").json() == made


# --- is it gone? ----------------------------------------------------------------------------


GONE_SECONDS = 30


def found_in(folder, marks):
    """Which of the marks any file of the folder holds."""
    left = set()
    for root, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(root, name), "rb") as f:
                data = f.read()
            left |= {m for m in marks if m.encode() in data}
    return left


def wait_gone(folder, marks):
    until = time.monotonic() + GONE_SECONDS
    while (left := found_in(folder, marks)) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def marked(i, rng):
    """A record whose texts name it: short ones, and one longer than a page of the database. Its id does
    not: why a snapshot was revoked, and the audit log, keep the id."""
    mark = "%032x" % rng.getrandbits(128)
    return mark, {"id": f"p{i}", "prompt": f"question {mark}", "metadata": {"about": mark}, "responses": [
        {"id": f"r{i}-{k}", "text": f"answer {mark} " * length,
         "scores": [{"judge": "j", "value": 1 + k, "rationale": f"because {mark}"}]}
        for k, length in enumerate((3, 40, 400))]}


def test_what_was_deleted_is_in_no_file(fresh_daemon, tmp_path):
    rng = random.Random(5)
    d = fresh_daemon(data=tmp_path / "data")
    dataset, other = new_dataset(d, "erase"), new_dataset(d, "whole")
    rows = [marked(i, rng) for i in range(60)]
    post(d, dataset, [r for _, r in rows])
    whole = [marked(1000 + i, rng) for i in range(20)]
    post(d, other, [r for _, r in whole])
    make(d, dataset, name="holds-them")
    marks = {m for m, _ in rows}
    assert found_in(tmp_path / "data", marks) == marks  # the search sees what is there
    gone = [m for m, _ in rows[10:16]]
    for i in range(10, 16):
        assert d.request("DELETE", f"/v1/datasets/{dataset}/prompts/p{i}").status == 204
    assert wait_gone(tmp_path / "data", gone) == set()
    assert found_in(tmp_path / "data", marks) == marks - set(gone)
    assert d.request("DELETE", f"/v1/datasets/{other}?confirm={other}").status == 204
    assert wait_gone(tmp_path / "data", [m for m, _ in whole]) == set()
    # Also after a crash that came before the log was shortened.
    last = rows[20][0]
    assert d.request("DELETE", f"/v1/datasets/{dataset}/prompts/p20").status == 204
    d.kill()
    d.start()
    assert wait_gone(tmp_path / "data", [last]) == set()
