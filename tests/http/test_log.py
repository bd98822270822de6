"""What the log holds: one line an event, and never a text or a secret."""

import json
import re
import zlib

MARKER = "marker-4711"
SECRET = "prefd_secret-token-0815"
HEADERS = {"Authorization": f"Bearer {SECRET}", "Cookie": f"session={SECRET}"}
LINE = re.compile(r"time=\S+ level=(error|warn|info|debug) room=[a-z]+ .+")


def post(d, path, body, **headers):
    return d.request("POST", path, body, {"Content-Type": "application/json", **HEADERS, **headers})


def say_all_sorts(d):
    """Good requests, refused ones and broken ones, each with texts and secrets."""
    d.request("PUT", "/v1/datasets/s", headers=HEADERS)
    record = {"id": "p", "prompt": f"{MARKER} asks", "metadata": {"k": MARKER}, "responses": [
        {"id": f"r{v}", "text": f"{MARKER} says {v}", "model": "m",
         "scores": [{"judge": "j", "value": v, "rationale": MARKER}]} for v in (1, 2)]}
    assert post(d, "/v1/datasets/s/records", json.dumps(record)).status == 200
    assert post(d, "/v1/datasets/s/records", json.dumps({**record, "prompt": MARKER + " other"})).status == 409
    assert post(d, "/v1/datasets/s/records", json.dumps({**record, MARKER: 1})).status == 422
    assert post(d, "/v1/datasets/s/records", '{"prompt": "' + MARKER).status == 400
    assert post(d, "/v1/datasets/s/records", zlib.compress(MARKER.encode()), **{"Content-Encoding": "gzip"}).status == 400
    assert post(d, "/v1/datasets/s/scores", json.dumps({"response": "none", "judge": MARKER, "value": 1})).status == 422
    assert post(d, "/v1/datasets/s/snapshots?wait=30", {"name": "one", "recipe": {
        "view": {"template": f"{MARKER} {{goal}}"}}}).status == 201
    assert d.request("GET", "/v1/snapshots/one/batch", headers=HEADERS).status == 200
    assert d.request("GET", f"/v1/datasets/s/prompts?{MARKER}=1", headers=HEADERS).status == 422
    assert d.request("GET", f"/v1/datasets/s/prompts?after={MARKER}&access_token={SECRET}").status in (400, 422)


def test_no_texts_and_no_secrets(fresh_daemon):
    d = fresh_daemon("--log-level", "debug")
    say_all_sorts(d)
    d.stop()
    log = d.log()
    assert "method=POST path=/v1/datasets/s/records status=200" in log  # it does log requests
    assert MARKER not in log
    assert SECRET not in log


def test_lines_are_logfmt(fresh_daemon):
    d = fresh_daemon("--log-level", "debug")
    say_all_sorts(d)
    d.stop()
    lines = d.log().splitlines()
    spoken = [line for line in lines if not LINE.fullmatch(line)]
    # Two lines are for people: where it listens, and whom it serves.
    assert len(spoken) == 2 and "listening on http://" in spoken[0] and "loopback only" in spoken[1], spoken
    assert len(lines) > 10
