"""What the HTTP tests share: coded and chunked bodies, datasets, snapshots,
and what the daemon holds as the model's facts."""

import gzip
import json
import os
import time
import urllib.parse

import zstandard

import model
from conftest import ROOT, Answer, quote

NDJSON = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def shared_data():
    """The folder of the real sets, or None."""
    folder = os.environ.get("PREFD_SHARED_DATA", os.path.join(ROOT, "..", "shared", "data"))
    return folder if os.path.isfile(os.path.join(folder, "shaberi.ndjson.gz")) else None


def real_rows(name):
    with gzip.open(os.path.join(shared_data(), name + ".ndjson.gz"), "rt", encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def lines(rows):
    return "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows).encode()


def zst(data):
    return zstandard.ZstdCompressor().compress(data)


def unzst(data):
    """All frames of a body."""
    out = b""
    while data:
        d = zstandard.ZstdDecompressor().decompressobj()
        out += d.decompress(data)
        data = d.unused_data
    return out


def chunked(daemon, method, path, pieces, headers=None):
    """The pieces as chunks of a chunked body, each in a packet of its own."""
    connection = daemon.connect()
    try:
        connection.putrequest(method, path)
        for k, v in {**(headers or {}), "Transfer-Encoding": "chunked"}.items():
            connection.putheader(k, v)
        connection.endheaders()
        for piece in pieces:
            connection.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\n\r\n")
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


_names = iter(range(10**9))


def new_dataset(daemon, stem="d", **declaration):
    name = f"{stem}-{time.monotonic_ns() % 10**9}-{next(_names)}"
    answer = daemon.request("PUT", f"/v1/datasets/{name}", declaration)
    assert answer.status == 201, answer
    return name


def post(daemon, dataset, rows, kind="records", query="", headers=None, status=200):
    answer = daemon.post_rows(f"/v1/datasets/{dataset}/{kind}{query}", rows, headers)
    assert answer.status == status, answer
    return answer.json()


def stats(daemon, dataset):
    answer = daemon.request("GET", f"/v1/datasets/{dataset}/stats")
    assert answer.status == 200, answer
    return answer.json()


def totals(daemon, dataset):
    s = stats(daemon, dataset)
    return {k: s[k] for k in ("prompts", "responses", "scores", "comparisons")}


def prompt(daemon, dataset, id, query=""):
    answer = daemon.request("GET", f"/v1/datasets/{dataset}/prompts/{quote(id)}{query}")
    assert answer.status == 200, answer
    return answer.json()


def prompt_ids(daemon, dataset, limit=1000):
    out, after = [], None
    while True:
        more = f"&after={quote(after)}" if after else ""
        page = daemon.request("GET", f"/v1/datasets/{dataset}/prompts?limit={limit}{more}").json()
        out += [p["id"] for p in page["prompts"]]
        after = page["next"]
        if after is None:
            return out


def facts(daemon, dataset):
    """The dataset as the daemon tells it, for the model."""
    d = daemon.request("GET", f"/v1/datasets/{dataset}").json()
    out = model.Dataset([], {a: (r["min"], r["max"]) for a, r in d["attributes"].items()},
                        (d["goal_scale"]["min"], d["goal_scale"]["max"]))
    for id in prompt_ids(daemon, dataset):
        p = prompt(daemon, dataset, id)
        responses = [
            model.Response(r["id"], r["text"], r.get("model"), r.get("finish_reason"),
                           {(s["attribute"], s["judge"]): s["value"] for s in r["scores"] if s["status"] == "ok"},
                           r.get("logprobs") or {})
            for r in p["responses"]]
        votes = [(v["judge"], v["chosen"], v["rejected"], v["strength"]) for v in p.get("comparisons", [])]
        out.prompts.append(model.Prompt(p["id"], p["messages"], p["split"], p.get("source"), responses, votes))
    return out


def make(daemon, dataset, recipe=None, name=None, status=201):
    """A snapshot that is ready (or the problem that the status asks for)."""
    body = {"recipe": recipe or {}}
    if name is not None:
        body["name"] = name
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/snapshots?wait=60", body)
    assert answer.status == status, answer
    return answer.json()


def batch(daemon, snapshot, headers=None, **query):
    path = f"/v1/snapshots/{quote(snapshot)}/batch"
    if query:
        path += "?" + urllib.parse.urlencode(query)
    return daemon.request("GET", path, headers=headers)


def export(daemon, snapshot, headers=None, **query):
    path = f"/v1/snapshots/{quote(snapshot)}/export"
    if query:
        path += "?" + urllib.parse.urlencode(query)
    return daemon.request("GET", path, headers=headers)


def epoch(daemon, snapshot, batch_size=1000, **query):
    """All examples of an epoch, in its order."""
    out, offset = [], 0
    while True:
        answer = batch(daemon, snapshot, offset=offset, batch_size=batch_size, **query)
        if answer.status == 204:
            return out
        assert answer.status == 200, answer
        out += answer.json()["examples"]
        offset = answer.json()["next_offset"]


def same_number(a, b, relative=1e-12):
    if a is None or b is None:
        return a is b
    return abs(a - b) <= relative * max(abs(a), abs(b), 1e-300)


def same_example(seen, wanted):
    """Equal but for the last bits of scores."""
    assert seen.keys() == wanted.keys(), (seen.keys(), wanted.keys())
    for key, value in wanted.items():
        if key.startswith("score_"):
            assert same_number(seen[key], value), (key, seen, wanted)
        elif value is not None or key != "prompt":
            assert seen[key] == value, (key, seen[key], value)
