"""Bad input of every kind we know: refused clearly, nothing stored, no 5xx.

Tables of cases; each names the body or the request, the status and, where there
is a row, the place that the first error must name.
"""

import gzip
import json
import re
import socket
import struct
import zlib

import pytest

from conftest import quote
from wire import JSON, NDJSON, chunked, lines, make, new_dataset, post, stats, zst

GOOD = {"id": "good", "prompt": "q", "responses": [
    {"id": "good-a", "text": "yes", "scores": [{"judge": "j", "value": 3}]},
    {"id": "good-b", "text": "no", "scores": [{"judge": "j", "value": 1}]}]}
OTHER = {"id": "other", "prompt": "q2", "responses": [{"id": "other-a", "text": "yes"}]}
GOOD_LINE = json.dumps(GOOD).encode()


@pytest.fixture(scope="module")
def place(daemon):
    """A dataset with a little in it; afterwards exactly that is still there."""
    dataset = new_dataset(daemon, "bad", attributes={"bounded": {"min": 0, "max": 5}})
    post(daemon, dataset, [GOOD, OTHER])
    make(daemon, dataset, name=f"{dataset}-snap")
    before = stats(daemon, dataset)
    yield dataset
    assert stats(daemon, dataset) == before
    assert daemon.request("GET", "/healthz").status == 200


def check(daemon, dataset, answer, status, row=None, pointer=None):
    """The answer is that problem, the daemon lives and the dataset is as it was."""
    statuses = status if isinstance(status, tuple) else (status,)
    assert answer.status in statuses, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status and problem["type"].startswith("/problems/")
    assert problem["title"] and problem["detail"]
    if row is not None:
        error = problem["errors"][0]
        assert error["row"] == row, problem
        assert error["detail"] and problem["errors_total"] >= 1
        if pointer is not None:
            assert error["pointer"] == pointer, problem
    if dataset:
        s = stats(daemon, dataset)
        assert (s["prompts"], s["responses"], s["scores"], s["comparisons"]) == (2, 3, 2, 0)


# --- texts that are not JSON as prefd takes it: 400 -----------------------------------


def filled(text):
    """A record with the text as its prompt's JSON."""
    return b'{"id":"x","prompt":' + text + b"}"


def deep(n):
    """metadata so that the row is n levels deep."""
    return b'{"id":"x","prompt":"q","metadata":' + b'{"a":' * (n - 2) + b"{}" + b"}" * (n - 2) + b"}"


BROKEN = {
    "nothing but a word": b"hello",
    "cut in an object": b'{"id":"x"',
    "cut in a string": b'{"id":"x',
    "cut in an escape": b'{"id":"x\\',
    "cut behind a colon": b'{"id":',
    "cut in a literal": b'{"prompt":tru',
    "cut in a number": b'{"prompt":1e',
    "an extra brace": b'{"id":"x","prompt":"q"}}',
    "two values": b'{"id":"x","prompt":"q"} {"id":"y","prompt":"q"}',
    "garbage behind": b'{"id":"x","prompt":"q"} x',
    "a comma too many": b'{"id":"x","prompt":"q",}',
    "a comma at the front": b'{,"id":"x","prompt":"q"}',
    "a comma missing": b'{"id":"x" "prompt":"q"}',
    "a colon missing": b'{"id" "x","prompt":"q"}',
    "a key without quotes": b'{id:"x","prompt":"q"}',
    "a number as key": b'{1:"x","prompt":"q"}',
    "single quotes": b"{'id':'x','prompt':'q'}",
    "a comment": b'{"id":"x",/* c */"prompt":"q"}',
    "mismatched brackets": b'{"prompt":[{"role":"user","content":"q"}}',
    "a tab in a string": filled(b'"a\tb"'),
    "a newline in a string": None,  # only inside an array; see ARRAYS
    "a control character": filled(b'"a\x01b"'),
    "a raw NUL": filled(b'"a\x00b"'),
    "an escaped NUL": filled(b'"a\\u0000b"'),
    "an escaped NUL in a key": b'{"prompt":"q","a\\u0000":1}',
    "a lone high surrogate": filled(b'"\\ud83d"'),
    "a lone low surrogate": filled(b'"\\ude00"'),
    "surrogates the wrong way round": filled(b'"\\ude00\\ud83d"'),
    "a high surrogate and a letter": filled(b'"\\ud83dx"'),
    "two high surrogates": filled(b'"\\ud83d\\ud83d"'),
    "an unknown escape": filled(b'"\\x41"'),
    "a short escape": filled(b'"\\u12"'),
    "an escape that is no hex": filled(b'"\\u12g4"'),
    "a raw surrogate": filled(b'"\xed\xa0\x80"'),
    "an overlong slash": filled(b'"\xc0\xaf"'),
    "an overlong NUL": filled(b'"\xc0\x80"'),
    "three bytes overlong": filled(b'"\xe0\x80\xaf"'),
    "four bytes overlong": filled(b'"\xf0\x80\x80\xaf"'),
    "above U+10FFFF": filled(b'"\xf4\x90\x80\x80"'),
    "five byte UTF-8": filled(b'"\xf8\x88\x80\x80\x80"'),
    "a lone continuation byte": filled(b'"\x80"'),
    "a cut sequence": filled(b'"\xe2\x82"'),
    "0xFF": filled(b'"\xff"'),
    "Latin-1": filled('"größer"'.encode("latin-1")),
    "invalid UTF-8 in a key": b'{"prompt":"q","\xff":1}',
    "UTF-16": '{"prompt":"q"}'.encode("utf-16"),
    "a BOM in the middle": b'{"prompt":\xef\xbb\xbf"q"}',
    "duplicate keys": b'{"id":"x","prompt":"q","prompt":"q"}',
    "duplicate keys, one escaped": b'{"id":"x","prompt":"q","\\u0070rompt":"r"}',
    "duplicate keys below": b'{"prompt":"q","metadata":{"a":{"b":1,"b":1}}}',
    "1e400": b'{"prompt":"q","metadata":{"n":1e400}}',
    "-1e400": b'{"prompt":"q","responses":[{"text":"t","scores":[{"judge":"j","value":-1e400}]}]}',
    "four hundred digits": b'{"prompt":"q","metadata":{"n":' + b"9" * 400 + b"}}",
    "a leading zero": b'{"prompt":"q","metadata":{"n":01}}',
    "a plus sign": b'{"prompt":"q","metadata":{"n":+1}}',
    "a point without digits": b'{"prompt":"q","metadata":{"n":1.}}',
    "a point at the front": b'{"prompt":"q","metadata":{"n":.5}}',
    "a minus alone": b'{"prompt":"q","metadata":{"n":-}}',
    "hexadecimal": b'{"prompt":"q","metadata":{"n":0x10}}',
    "NaN": b'{"prompt":"q","metadata":{"n":NaN}}',
    "Infinity": b'{"prompt":"q","metadata":{"n":Infinity}}',
    "-Infinity": b'{"prompt":"q","metadata":{"n":-Infinity}}',
    "True": b'{"prompt":"q","metadata":{"n":True}}',
    "undefined": b'{"prompt":"q","metadata":{"n":undefined}}',
    "depth 33": deep(33),
    "depth 100000": filled(b"[" * 100000),
    "a form feed between tokens": b'{"prompt":\x0c"q"}',
    "a no-break space between tokens": b'{"prompt":\xc2\xa0"q"}',
}
BROKEN = {k: v for k, v in BROKEN.items() if v is not None}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_lines(daemon, place, kind):
    body = GOOD_LINE + b"\n" + BROKEN[kind] + b"\n"
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, NDJSON)
    check(daemon, place, answer, 400, row=1)
    assert answer.json()["type"] == "/problems/broken-json"


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_elements(daemon, place, kind):
    body = b"[" + GOOD_LINE + b"," + BROKEN[kind] + b"]"
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, JSON)
    check(daemon, place, answer, 400)


@pytest.mark.parametrize("kind", ["nothing but a word", "cut in a string", "duplicate keys", "0xFF", "a raw NUL"])
@pytest.mark.parametrize("before", [b"", GOOD_LINE + b"\n", b'{"id":"w","prompt":1}\n'], ids=["", "good", "wrong"])
def test_a_broken_last_line_without_a_newline(daemon, place, kind, before):
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", before + BROKEN[kind], NDJSON)
    check(daemon, place, answer, 400, row=before.count(b"\n"))


def test_depth_32_passes(daemon):
    dataset = new_dataset(daemon, "deep")
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/records", deep(32), JSON)
    assert answer.status == 200, answer


ARRAYS = {
    "an array cut short": b"[" + GOOD_LINE,
    "an array cut behind a comma": b"[" + GOOD_LINE + b",",
    "a comma at the end": b"[" + GOOD_LINE + b",]",
    "two commas": b"[" + GOOD_LINE + b",," + GOOD_LINE + b"]",
    "no comma": b"[" + GOOD_LINE + GOOD_LINE + b"]",
    "a comma first": b"[," + GOOD_LINE + b"]",
    "something behind": b"[" + GOOD_LINE + b"] x",
    "another array behind": b"[" + GOOD_LINE + b"][]",
    "an object behind an object": GOOD_LINE + GOOD_LINE,
    "lines as JSON": GOOD_LINE + b"\n" + GOOD_LINE,
    "nothing at all": b"",
    "only space": b"  \n",
    "a BOM twice": b"\xef\xbb\xbf\xef\xbb\xbf[]",
    "a newline in a string": b'[{"id":"x","prompt":"a\nb"}]',
    "a closing bracket": b"]",
    "a brace for a bracket": b"[" + GOOD_LINE + b"}",
    "a string": b'"hello"',
    "a number": b"17",
    "null": b"null",
    "HTML": b"<html></html>",
}


@pytest.mark.parametrize("kind", ARRAYS)
def test_broken_arrays(daemon, place, kind):
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", ARRAYS[kind], JSON)
    # A whole JSON text that is no row was understood, if one likes.
    check(daemon, place, answer, (400, 422) if kind in ("a string", "a number", "null") else 400)


# --- rows that are understood and wrong: 422 --------------------------------------------

STRINGS_AS = {"number": 7, "bool": True, "null": None, "array": ["x"], "object": {"x": 1}}
WRONG = {}  # name -> (row, pointer)


def wrong(name, row, pointer):
    WRONG[name] = (row, pointer)


def with_response(**r):
    return {"id": "x", "prompt": "q", "responses": [{"id": "x-0", "text": "ok"}, {"text": "t", **r}]}


def with_score(**s):
    return with_response(scores=[{"judge": "a", "value": 1}, {"judge": "j", "value": 2, **s}])


def with_vote(**v):
    return {"id": "x", "prompt": "q", "responses": [{"id": "x-0", "text": "a"}, {"id": "x-1", "text": "b"}],
            "comparisons": [{"judge": "j", "chosen": "x-0", "rejected": "x-1", **v}]}


def without(row, *path):
    row = json.loads(json.dumps(row))
    at = row
    for step in path[:-1]:
        at = at[step]
    del at[path[-1]]
    return row


S, V = "/responses/1/scores/1", "/comparisons/0"
for kind, bad in STRINGS_AS.items():
    for key in ("id", "split", "source"):
        wrong(f"{key}: {kind}", {"id": "x", "prompt": "q", key: bad}, f"/{key}")
    for key in ("id", "text", "model", "finish_reason"):
        wrong(f"response's {key}: {kind}", with_response(**{key: bad}), f"/responses/1/{key}")
    for key in ("judge", "attribute", "status", "rationale", "at"):
        wrong(f"score's {key}: {kind}", with_score(**{key: bad}), f"{S}/{key}")
    for key in ("judge", "chosen", "rejected", "at"):
        wrong(f"comparison's {key}: {kind}", with_vote(**{key: bad}), f"{V}/{key}")
for kind, bad in {"number": 7, "bool": False, "null": None, "object": {}}.items():
    wrong(f"prompt: {kind}", {"id": "x", "prompt": bad}, "/prompt")
    wrong(f"responses: {kind}", {"id": "x", "prompt": "q", "responses": bad}, "/responses")
    wrong(f"comparisons: {kind}", {"id": "x", "prompt": "q", "comparisons": bad}, "/comparisons")
    wrong(f"scores: {kind}", with_response(scores=bad), "/responses/1/scores")
for kind, bad in {"number": 7, "string": "s", "null": None, "array": []}.items():
    wrong(f"metadata: {kind}", {"id": "x", "prompt": "q", "metadata": bad}, "/metadata")
    wrong(f"a message: {kind}", {"id": "x", "prompt": [bad]}, "/prompt/0")
    wrong(f"a response: {kind}", {"id": "x", "prompt": "q", "responses": [bad]}, "/responses/0")
    wrong(f"a score: {kind}", with_response(scores=[bad]), "/responses/1/scores/0")
    wrong(f"a comparison: {kind}", {"id": "x", "prompt": "q", "comparisons": [bad]}, "/comparisons/0")
    wrong(f"logprobs: {kind}", with_response(logprobs=bad), "/responses/1/logprobs")
for kind, bad in {"string": "7", "bool": True, "array": [1], "object": {}}.items():
    wrong(f"value: {kind}", with_score(value=bad), f"{S}/value")
    wrong(f"strength: {kind}", with_vote(strength=bad), f"{V}/strength")
    wrong(f"tokens: {kind}", with_response(tokens=bad), "/responses/1/tokens")
    wrong(f"a logprob: {kind}", with_response(logprobs={"m": bad}), "/responses/1/logprobs/m")
for kind, bad in {"number": 7, "null": None, "array": [], "object": {}}.items():
    wrong(f"content: {kind}", {"id": "x", "prompt": [{"role": "user", "content": bad}]}, "/prompt/0/content")
    wrong(f"role: {kind}", {"id": "x", "prompt": [{"role": bad, "content": "q"}]}, "/prompt/0/role")
for name, bad in {"empty": "", "a space": "a b", "a slash": "a/b", "a dot first": ".a", "a dash first": "-a",
                  "an umlaut": "ä", "129 bytes": "a" * 129, "a newline": "a\n"}.items():
    wrong(f"id: {name}", {"id": bad, "prompt": "q"}, "/id")
    wrong(f"response's id: {name}", with_response(id=bad), "/responses/1/id")
    wrong(f"chosen: {name}", with_vote(chosen=bad), f"{V}/chosen")
for name, bad in {"empty": "", "257 bytes": "m" * 257, "129 umlauts": "ä" * 129, "a newline": "a\nb", "DEL": "a\x7f",
                  "a C1 control": "a\x85b"}.items():
    wrong(f"model: {name}", with_response(model=bad), "/responses/1/model")
    wrong(f"judge: {name}", with_score(judge=bad), f"{S}/judge")
    wrong(f"attribute: {name}", with_score(attribute=bad), f"{S}/attribute")
    wrong(f"comparison's judge: {name}", with_vote(judge=bad), f"{V}/judge")
for name, bad in {"a word": "yesterday", "a date": "2026-01-01", "no zone": "2026-01-01T00:00:00",
                  "month 13": "2026-13-01T00:00:00Z", "February 30": "2026-02-30T00:00:00Z",
                  "hour 24": "2026-01-01T24:00:00Z", "minute 60": "2026-01-01T00:60:00Z", "empty": "",
                  "a point without digits": "2026-01-01T00:00:00.Z", "year 0": "0000-01-01T00:00:00Z",
                  "something behind": "2026-01-01T00:00:00Z ", "offset 25": "2026-01-01T00:00:00+25:00"}.items():
    wrong(f"at: {name}", with_score(at=bad), f"{S}/at")
wrong("no prompt", {"id": "x"}, "/prompt")
wrong("an empty object", {}, "/prompt")
wrong("an empty prompt list", {"id": "x", "prompt": []}, "/prompt")
wrong("a message without content", {"prompt": [{"role": "user"}]}, "/prompt/0/content")
wrong("a message without role", {"prompt": [{"content": "q"}]}, "/prompt/0/role")
wrong("an unknown role", {"prompt": [{"role": "developer", "content": "q"}]}, "/prompt/0/role")
wrong("a role in capitals", {"prompt": [{"role": "User", "content": "q"}]}, "/prompt/0/role")
wrong("an unknown key", {"id": "x", "prompt": "q", "promt": 1}, "/promt")
wrong("a key in capitals", {"id": "x", "prompt": "q", "Split": "a"}, "/Split")
wrong("an unknown key with a slash", {"id": "x", "prompt": "q", "a/b~c": 1}, "/a~1b~0c")
wrong("an unknown key of a message", {"prompt": [{"role": "user", "content": "q", "name": "n"}]}, "/prompt/0/name")
wrong("an unknown key of a response", with_response(reward=1), "/responses/1/reward")
wrong("an unknown key of a score", with_score(weight=1), f"{S}/weight")
wrong("a score's response inside a record", with_score(response="x-0"), f"{S}/response")
wrong("an unknown key of a comparison", with_vote(winner="a"), f"{V}/winner")
wrong("no text", {"prompt": "q", "responses": [{"id": "x-0"}]}, "/responses/0/text")
wrong("no judge", without(with_score(), "responses", 1, "scores", 1, "judge"), f"{S}/judge")
wrong("no value", without(with_score(), "responses", 1, "scores", 1, "value"), f"{S}/value")
wrong("no chosen", without(with_vote(), "comparisons", 0, "chosen"), f"{V}/chosen")
wrong("no rejected", without(with_vote(), "comparisons", 0, "rejected"), f"{V}/rejected")
wrong("a comparison without judge", without(with_vote(), "comparisons", 0, "judge"), f"{V}/judge")
wrong("a response against itself", with_vote(rejected="x-0"), f"{V}/rejected")
wrong("strength 0", with_vote(strength=0), f"{V}/strength")
wrong("a negative strength", with_vote(strength=-1), f"{V}/strength")
wrong("strength null", with_vote(strength=None), f"{V}/strength")
wrong("negative tokens", with_response(tokens=-1), "/responses/1/tokens")
wrong("half a token", with_response(tokens=1.5), "/responses/1/tokens")
wrong("too many tokens", with_response(tokens=2**40), "/responses/1/tokens")
wrong("a positive log-probability", with_response(logprobs={"m": 0.5}), "/responses/1/logprobs/m")
wrong("null without a status", with_score(value=None), f"{S}/value")
wrong("null and ok", with_score(value=None, status="ok"), f"{S}/value")
wrong("a number and failed", with_score(value=1, status="failed"), f"{S}/value")
wrong("a number and abstained", with_score(value=1, status="abstained"), f"{S}/value")
wrong("an unknown status", with_score(status="good"), f"{S}/status")
wrong("above the declared range", with_score(attribute="bounded", value=5.001), f"{S}/value")
wrong("below the declared range", with_score(attribute="bounded", value=-1), f"{S}/value")
wrong("one id, two texts in a row", {"prompt": "q", "responses": [{"id": "r", "text": "a"}, {"id": "r", "text": "b"}]},
      "/responses/1/id")
for kind, bad in {"null": None, "a number": 7, "a string": "s", "true": True, "an array": []}.items():
    wrong(f"a row that is {kind}", bad, "")


@pytest.mark.parametrize("kind", WRONG)
def test_wrong_records(daemon, place, kind):
    row, pointer = WRONG[kind]
    fresh = {"id": "fresh", "prompt": "new", "responses": [{"id": "fresh-a", "text": "t"}]}
    answer = daemon.post_rows(f"/v1/datasets/{place}/records", [fresh, row])
    check(daemon, place, answer, 422, row=1, pointer=pointer)


SCORE = {"response": "good-a", "judge": "j", "value": 2}
SCORES = {
    "no response": (without(SCORE, "response"), 422, "/response"),
    "no judge": (without(SCORE, "judge"), 422, "/judge"),
    "no value": (without(SCORE, "value"), 422, "/value"),
    "an unknown key": ({**SCORE, "prompt": "q"}, 422, "/prompt"),
    "a bad id": ({**SCORE, "response": "a b"}, 422, "/response"),
    "a number as response": ({**SCORE, "response": 1}, 422, "/response"),
    "an unknown response": ({**SCORE, "response": "nobody"}, 422, None),
    "a prompt's id": ({**SCORE, "response": "good"}, 422, None),
    "outside the range": ({**SCORE, "attribute": "bounded", "value": 6}, 422, "/value"),
    "a string as value": ({**SCORE, "value": "2"}, 422, "/value"),
    "null": ({**SCORE, "value": None}, 422, "/value"),
    "a bad time": ({**SCORE, "at": 0}, 422, "/at"),
    "an array": ([SCORE], 422, ""),
}


@pytest.mark.parametrize("kind", SCORES)
def test_wrong_scores(daemon, place, kind):
    row, status, pointer = SCORES[kind]
    answer = daemon.post_rows(f"/v1/datasets/{place}/scores", [SCORE, row])
    check(daemon, place, answer, status, row=1, pointer=pointer)


VOTE = {"judge": "v", "chosen": "good-a", "rejected": "good-b"}
VOTES = {
    "no chosen": (without(VOTE, "chosen"), "/chosen"),
    "an unknown key": ({**VOTE, "response": "good-a"}, "/response"),
    "itself": ({**VOTE, "rejected": "good-a"}, "/rejected"),
    "strength 0": ({**VOTE, "strength": 0}, "/strength"),
    "an unknown response": ({**VOTE, "rejected": "nobody"}, None),
    "responses of two prompts": ({**VOTE, "rejected": "other-a"}, None),
    "a string": ("x", ""),
}


@pytest.mark.parametrize("kind", VOTES)
def test_wrong_comparisons(daemon, place, kind):
    row, pointer = VOTES[kind]
    answer = daemon.post_rows(f"/v1/datasets/{place}/comparisons", [VOTE, row])
    check(daemon, place, answer, 422, row=1, pointer=pointer)


CONFLICTS = {
    "another prompt": {"id": "good", "prompt": "another"},
    "another role": {"id": "good", "prompt": [{"role": "system", "content": "q"}]},
    "another text": {"id": "good", "prompt": "q", "responses": [{"id": "good-a", "text": "changed"}]},
    "another model": {"id": "good", "prompt": "q", "responses": [{"id": "good-a", "text": "yes", "model": "m"}]},
    "under another prompt": {"id": "other", "prompt": "q2", "responses": [{"id": "good-a", "text": "yes"}]},
}


@pytest.mark.parametrize("kind", CONFLICTS)
def test_conflicting_content(daemon, place, kind):
    answer = daemon.post_rows(f"/v1/datasets/{place}/records", [GOOD, CONFLICTS[kind]])
    check(daemon, place, answer, 409, row=1)


# --- sizes, codings, types -----------------------------------------------------------------


def limits(daemon):
    return daemon.request("GET", "/v1/limits").json()


def gzip_bomb(megabytes):
    """Small on the wire, one huge JSON string unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    out = [packer.compress(b'{"prompt":"')]
    out += [packer.compress(b"a" * 2**20) for _ in range(megabytes)]
    out += [packer.compress(b'"}'), packer.flush()]
    return b"".join(out)


def gzip_of_lines(megabytes):
    """Many short rows."""
    row = json.dumps({"id": "x", "prompt": "q" * 950}).encode() + b"\n"
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join([packer.compress(row * 1024) for _ in range(megabytes)] + [packer.flush()])


SIZES = {
    "a row over row_bytes": lambda l: (lines([{"prompt": "a" * (l["row_bytes"] + 1)}]), NDJSON),
    "an element over row_bytes": lambda l: (b"[" + lines([{"prompt": "a" * (l["row_bytes"] + 1)}]) + b"]", JSON),
    "a body over body_bytes": lambda l: (b" " * (l["body_bytes"] + 1), NDJSON),
    "a gzip bomb in a row": lambda l: (gzip_bomb(l["row_bytes"] // 2**20 + 8), {**JSON, "Content-Encoding": "gzip"}),
    "a gzip bomb in rows": lambda l: (gzip_of_lines(l["body_bytes"] // 2**20 + 4),
                                      {**NDJSON, "Content-Encoding": "gzip"}),
    "a zstd bomb": lambda l: (zst(b"\n" * (4 * l["body_bytes"])), {**NDJSON, "Content-Encoding": "zstd"}),
}


@pytest.mark.parametrize("kind", SIZES)
def test_oversized(daemon, place, kind):
    body, headers = SIZES[kind](limits(daemon))
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, headers)
    check(daemon, place, answer, 413)


def test_an_oversized_chunked_body(daemon, place):
    piece = b"\n" * 2**20
    pieces = [piece] * (limits(daemon)["body_bytes"] // 2**20 + 1)
    answer = chunked(daemon, "POST", f"/v1/datasets/{place}/records", pieces, NDJSON)
    check(daemon, place, answer, 413)


def test_a_long_content_length_is_refused_without_its_body(daemon, place):
    connection = daemon.connect()
    try:
        connection.putrequest("POST", f"/v1/datasets/{place}/records")
        for k, v in {**NDJSON, "Content-Length": str(2**40), "Expect": "100-continue"}.items():
            connection.putheader(k, v)
        connection.endheaders()
        assert connection.getresponse().status == 413
    finally:
        connection.close()


PACKED = gzip.compress(GOOD_LINE)
SQUEEZED = zst(GOOD_LINE)


def flipped(data, at):
    return data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1:]


CODED = {
    "gzip that is none": ("gzip", b"this is not gzip"),
    "gzip cut short": ("gzip", PACKED[:-9]),
    "gzip without its trailer": ("gzip", PACKED[:-8]),
    "gzip cut in the trailer": ("gzip", PACKED[:-1]),
    "gzip of another content": ("gzip", PACKED[:-8] + struct.pack("<II", 1, len(GOOD_LINE))),
    "gzip of another length": ("gzip", PACKED[:-4] + struct.pack("<I", 1)),
    "gzip with damage inside": ("gzip", flipped(PACKED, 20)),
    "gzip and garbage": ("gzip", PACKED + b"garbage"),
    "gzip and half a member": ("gzip", PACKED + PACKED[:15]),
    "an empty gzip body": ("gzip", b""),
    "plain text as gzip": ("gzip", GOOD_LINE),
    "deflate as gzip": ("gzip", zlib.compress(GOOD_LINE)),
    "zstd that is none": ("zstd", b"this is not zstd"),
    "zstd cut short": ("zstd", SQUEEZED[:-3]),
    "zstd and garbage": ("zstd", SQUEEZED + b"garbage"),
    "zstd and half a frame": ("zstd", SQUEEZED + SQUEEZED[:7]),
    "an empty zstd body": ("zstd", b""),
    "plain text as zstd": ("zstd", GOOD_LINE),
    "gzip as zstd": ("zstd", PACKED),
    "a zstd window of 128 MiB": ("zstd", bytes.fromhex("28b52ffd") + b"\x00" + bytes([17 << 3]) + b"\x01\x00\x00"),
}


@pytest.mark.parametrize("kind", CODED)
def test_damaged_codings(daemon, place, kind):
    coding, body = CODED[kind]
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, {**NDJSON, "Content-Encoding": coding})
    check(daemon, place, answer, (400, 413) if "window" in kind else 400)


TYPES = {
    "no type": {},
    "text": {"Content-Type": "text/plain"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "multipart": {"Content-Type": "multipart/form-data; boundary=x"},
    "problem+json": {"Content-Type": "application/problem+json"},
    "nonsense": {"Content-Type": ";;;"},
    "brotli": {**NDJSON, "Content-Encoding": "br"},
    "deflate": {**NDJSON, "Content-Encoding": "deflate"},
    "two codings": {**NDJSON, "Content-Encoding": "gzip, zstd"},
}


@pytest.mark.parametrize("kind", TYPES)
def test_unknown_types(daemon, place, kind):
    body = lines([{"id": "new", "prompt": "new"}])
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, TYPES[kind])
    check(daemon, place, answer, 415)


# --- queries, paths, documents --------------------------------------------------------------

REQUESTS = {}  # name -> (method, path with {d} and {s}, body, status)


def bad(name, method, path, status, body=None):
    REQUESTS[name] = (method, path, body, status)


UNREADABLE = (400, 422)  # the contract names no status for a query that is no number
bad("an unknown path", "GET", "/nothing", 404)
bad("an unknown path below", "GET", "/v1/datasets/{d}/nothing", 404)
bad("a slash too many", "GET", "/v1/datasets/{d}/", 404)
bad("an empty id", "GET", "/v1/datasets//stats", 404)
bad("DELETE of a collection", "DELETE", "/v1/datasets", 405)
bad("POST to stats", "POST", "/v1/datasets/{d}/stats", 405, {})
bad("GET of records", "GET", "/v1/datasets/{d}/records", 405)
bad("PATCH", "PATCH", "/v1/datasets/{d}", 405, {})
bad("an unknown dataset", "GET", "/v1/datasets/nowhere", 404)
bad("stats of an unknown dataset", "GET", "/v1/datasets/nowhere/stats", 404)
bad("records to an unknown dataset", "POST", "/v1/datasets/nowhere/records", 404, GOOD)
bad("scores to an unknown dataset", "POST", "/v1/datasets/nowhere/scores", 404, SCORE)
bad("comparisons to an unknown dataset", "POST", "/v1/datasets/nowhere/comparisons", 404, VOTE)
bad("prompts of an unknown dataset", "GET", "/v1/datasets/nowhere/prompts", 404)
bad("a snapshot of an unknown dataset", "POST", "/v1/datasets/nowhere/snapshots", 404, {"recipe": {}})
bad("deleting an unknown dataset", "DELETE", "/v1/datasets/nowhere?confirm=nowhere", 404)
bad("an unknown prompt", "GET", "/v1/datasets/{d}/prompts/nobody", 404)
bad("deleting an unknown prompt", "DELETE", "/v1/datasets/{d}/prompts/nobody", 404)
bad("an unknown snapshot", "GET", "/v1/snapshots/nobody", 404)
bad("the batch of an unknown snapshot", "GET", "/v1/snapshots/nobody/batch", 404)
bad("deleting an unknown snapshot", "DELETE", "/v1/snapshots/nobody", 404)
bad("a dataset's name with a space", "PUT", "/v1/datasets/a%20b", (400, 404, 422))
bad("a dataset's name of 129 bytes", "PUT", "/v1/datasets/" + "a" * 129, (400, 404, 422))
bad("a dataset's name with a dot first", "PUT", "/v1/datasets/.hidden", (400, 404, 422))
bad("%00 in a path", "GET", "/v1/datasets/a%00b", 400)
bad("broken percent", "GET", "/v1/datasets/%zz", UNREADABLE + (404,))
bad("dots in a path", "GET", "/v1/datasets/../../etc/passwd", 400)
bad("escaped dots in a path", "GET", "/v1/datasets/%2e%2e/%2e%2e/passwd", (400, 404))
bad("an unknown query parameter", "GET", "/v1/datasets/{d}/prompts?lim=3", 422)
bad("a query parameter twice", "GET", "/v1/datasets/{d}/prompts?limit=3&limit=4", UNREADABLE)
for value in ("0", "-1", "1001", "x", "", "1.5", "99999999999999999999", "1e2", "0x10"):
    bad(f"limit={value}", "GET", f"/v1/datasets/{{d}}/prompts?limit={value}", UNREADABLE)
bad("limit of datasets", "GET", "/v1/datasets?limit=0", UNREADABLE)
bad("limit of snapshots", "GET", "/v1/snapshots?limit=0", UNREADABLE)
bad("no judge for the queue", "GET", "/v1/datasets/{d}/responses", UNREADABLE)
bad("an empty judge for the queue", "GET", "/v1/datasets/{d}/responses?unscored_by=", UNREADABLE)
bad("a cursor of nobody's", "GET", "/v1/datasets/{d}/responses?unscored_by=j&after=hello", UNREADABLE)
bad("ledger=maybe", "GET", "/v1/datasets/{d}/prompts/good?ledger=maybe", UNREADABLE)
bad("on_error=stop", "POST", "/v1/datasets/{d}/records?on_error=stop", 422, GOOD)
bad("on_conflict=merge", "POST", "/v1/datasets/{d}/records?on_conflict=merge", 422, GOOD)
bad("format=csv", "POST", "/v1/datasets/{d}/records?format=csv", 422, GOOD)
bad("judge with a newline", "POST", "/v1/datasets/{d}/records?format=trl&judge=a%0Ab", UNREADABLE, [])
for value in ("-1", "61", "x", ""):
    bad(f"wait={value}", "GET", f"/v1/snapshots/{{s}}?wait={value}", UNREADABLE)
for name, values in {
        "seed": ["-1", "x", "1.5", "99999999999999999999999"], "epoch": ["-1", "x"], "offset": ["-1", "x", "3", "1e3"],
        "batch_size": ["0", "-1", "x", "999999999"], "rank": ["1", "-1", "x"], "world_size": ["0", "-1", "x"],
        "tail": ["none", ""], "shuffle": ["maybe", ""], "augment": ["all", ""], "placement": ["assistant"],
        "format": ["openrlhf", "csv"], "sede": ["1"]}.items():
    for value in values:
        listed = name in ("tail", "augment", "placement", "format", "sede") or (name, value) == ("offset", "3")
        bad(f"batch: {name}={value}", "GET", f"/v1/snapshots/{{s}}/batch?{name}={value}", 422 if listed else UNREADABLE)
bad("rank not below world_size", "GET", "/v1/snapshots/{s}/batch?rank=3&world_size=3", 422)
bad("export: format=csv", "GET", "/v1/snapshots/{s}/export?format=csv", 422)
bad("export: augment=all", "GET", "/v1/snapshots/{s}/export?augment=all", 422)
bad("rows: length=101", "GET", "/v1/snapshots/{s}/rows?length=101", UNREADABLE)
bad("rows: length=x", "GET", "/v1/snapshots/{s}/rows?length=x", UNREADABLE)
bad("rows: offset=-1", "GET", "/v1/snapshots/{s}/rows?offset=-1", UNREADABLE)
bad("a body of GET", "GET", "/healthz", (400, 413, 415), {"a": 1})


@pytest.mark.parametrize("kind", REQUESTS)
def test_bad_requests(daemon, place, kind):
    method, path, body, status = REQUESTS[kind]
    answer = daemon.request(method, path.replace("{d}", place).replace("{s}", place + "-snap"), body)
    check(daemon, place, answer, status)
    if status == 405:
        assert answer.headers["allow"]


DECLARATIONS = {
    "not an object": [], "a string": "x", "an unknown key": {"attribute": {}}, "attributes: a list": {"attributes": []},
    "a range of nothing": {"attributes": {"a": {}}}, "no max": {"attributes": {"a": {"min": 1}}},
    "max below min": {"attributes": {"a": {"min": 5, "max": 1}}},
    "max equals min": {"attributes": {"a": {"min": 1, "max": 1}}},
    "min: a string": {"attributes": {"a": {"min": "1", "max": 5}}},
    "a range with more": {"attributes": {"a": {"min": 1, "max": 5, "step": 1}}},
    "an attribute without name": {"attributes": {"": {"min": 1, "max": 5}}},
    "goal_scale: a list": {"goal_scale": [1, 10]}, "goal_scale reversed": {"goal_scale": {"min": 10, "max": 1}},
    "description: a number": {"description": 7},
}


@pytest.mark.parametrize("kind", DECLARATIONS)
def test_bad_declarations(daemon, place, kind):
    body = json.dumps(DECLARATIONS[kind])
    answer = daemon.request("PUT", f"/v1/datasets/{place}", body, JSON)
    check(daemon, place, answer, 422)
    answer = daemon.request("PUT", f"/v1/datasets/{place}-new", body, JSON)
    check(daemon, place, answer, 422)
    assert daemon.request("GET", f"/v1/datasets/{place}-new").status == 404


RECIPES = {
    "no recipe": {}, "recipe: a list": {"recipe": []}, "recipe: null": {"recipe": None},
    "an unknown key": {"recipe": {}, "wait": 3}, "a bad name": {"name": "a b", "recipe": {}},
    "a number as name": {"name": 1, "recipe": {}},
}


def recipe(name, r):
    RECIPES[name] = {"recipe": r}


recipe("an unknown part", {"pairs": {}})
for part in ("holdout", "reward", "pairing", "filters", "view"):
    recipe(f"{part}: a string", {part: "x"})
    recipe(f"{part}: an unknown key", {part: {"nothing": 1}})
recipe("split: a number", {"split": 1})
recipe("split: empty", {"split": ""})
recipe("holdout without fraction", {"holdout": {"part": "train"}})
recipe("holdout without part", {"holdout": {"fraction": 0.1}})
recipe("holdout above 1", {"holdout": {"fraction": 1.5, "part": "train"}})
recipe("holdout below 0", {"holdout": {"fraction": -0.1, "part": "train"}})
recipe("an unknown part of holdout", {"holdout": {"fraction": 0.1, "part": "test"}})
recipe("holdout's seed: half", {"holdout": {"fraction": 0.1, "part": "eval", "seed": 0.5}})
recipe("attributes: a list", {"reward": {"attributes": ["overall"]}})
recipe("attributes: none", {"reward": {"attributes": {}}})
recipe("a weight: a string", {"reward": {"attributes": {"overall": "1"}}})
recipe("all weights 0", {"reward": {"attributes": {"overall": 0}}})
recipe("an attribute that nobody scored", {"reward": {"attributes": {"beauty": 1}}})
recipe("judges: a string", {"reward": {"judges": "j"}})
recipe("judges: a number inside", {"reward": {"judges": [1]}})
recipe("a judge that nobody knows", {"reward": {"judges": ["nobody"]}})
recipe("across_judges: mode", {"reward": {"across_judges": "mode"}})
recipe("rescale: a word", {"reward": {"rescale": "yes"}})
recipe("rescale without a range", {"reward": {"rescale": True}})
recipe("an unknown round", {"reward": {"round": "r-1"}})
recipe("strategy: an unknown word", {"pairing": {"strategy": "best"}})
recipe("strategy: a number", {"pairing": {"strategy": 1}})
recipe("min_responses 0", {"pairing": {"min_responses": 0}})
recipe("min_responses: half", {"pairing": {"min_responses": 2.5}})
recipe("min_margin below 0", {"pairing": {"min_margin": -1}})
recipe("seed: negative", {"pairing": {"seed": -1}})
recipe("seed: too great", {"pairing": {"seed": 2**60}})
recipe("seed: a string", {"pairing": {"seed": "42"}})
recipe("sources: a string", {"filters": {"sources": "s"}})
recipe("min_characters below 0", {"filters": {"min_characters": -1}})
recipe("max_characters: a string", {"filters": {"max_characters": "9"}})
recipe("min_reward: null", {"filters": {"min_reward": None}})
recipe("augment: an unknown word", {"view": {"augment": "twice"}})
recipe("goal: an unknown word", {"view": {"goal": "score"}})
recipe("placement: an unknown word", {"view": {"placement": "assistant"}})
recipe("format: an unknown word", {"view": {"format": "csv"}})
recipe("format of an export", {"view": {"format": "openrlhf"}})
recipe("a template without a goal", {"view": {"template": "Be good."}})
recipe("a template with a strange placeholder", {"view": {"template": "{goal} of {maximum}"}})
recipe("template: a number", {"view": {"template": 1}})


@pytest.mark.parametrize("kind", RECIPES)
def test_bad_recipes(daemon, place, kind):
    path = f"/v1/datasets/{place}/snapshots?wait=60"
    answer = daemon.request("POST", path, json.dumps(RECIPES[kind]), JSON)
    check(daemon, place, answer, 422)


def test_bad_recipes_left_no_snapshot(daemon, place):
    listed = daemon.request("GET", f"/v1/snapshots?dataset={quote(place)}").json()
    assert [s["id"] for s in listed["snapshots"]] == [f"{place}-snap"]


@pytest.mark.parametrize("kind", ["an extra brace", "duplicate keys", "0xFF", "depth 33", "cut in an object", "NaN"])
@pytest.mark.parametrize("method,path", [("PUT", "/v1/datasets/{d}"), ("POST", "/v1/datasets/{d}/snapshots")])
def test_broken_documents(daemon, place, kind, method, path):
    answer = daemon.request(method, path.replace("{d}", place), BROKEN[kind], JSON)
    check(daemon, place, answer, 400)


def test_a_document_over_its_limit(daemon, place):
    body = b'{"recipe":{"split":"' + b"a" * limits(daemon)["document_bytes"] + b'"}}'
    answer = daemon.request("POST", f"/v1/datasets/{place}/snapshots", body, JSON)
    check(daemon, place, answer, 413)


@pytest.mark.parametrize("key", ["", "k" * 300, "a\tb"])
def test_bad_idempotency_keys(daemon, place, key):
    headers = {**NDJSON, "Idempotency-Key": key}
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", lines([GOOD]), headers)
    check(daemon, place, answer, UNREADABLE)


# --- HTTP itself -----------------------------------------------------------------------------


def raw(daemon, data):
    """The statuses of what the daemon says to these bytes before it closes."""
    with socket.create_connection((daemon.host, daemon.port), timeout=20) as s:
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        seen = b""
        while piece := s.recv(65536):
            seen += piece
    return [int(code) for code in re.findall(rb"^HTTP/1\.1 (\d+) [A-Z]", seen, re.MULTILINE)]


HOST = b"Host: localhost\r\n"
SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
RAW = {
    "two lengths": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST
                   + b"Content-Type: application/x-ndjson\r\nContent-Length: 0\r\nContent-Length: 35\r\n\r\n" + SMUGGLED,
    "length and chunks": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST
                         + b"Content-Type: application/x-ndjson\r\nContent-Length: 5\r\nTransfer-Encoding: chunked"
                           b"\r\n\r\n0\r\n\r\n" + SMUGGLED,
    "an unknown transfer coding": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST
                                  + b"Transfer-Encoding: gzip\r\n\r\n" + SMUGGLED,
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n" + SMUGGLED,
    "a space before the colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A : 1\r\n\r\n" + SMUGGLED,
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a negative length": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n",
    "a length that is no number": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST + b"Content-Length: x\r\n\r\n",
    "nonsense": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "no version": b"GET /healthz\r\n\r\n",
    "a chunk that is no number": b"POST /v1/datasets/{d}/records HTTP/1.1\r\n" + HOST
                                 + b"Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "an endless header": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 200000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", RAW)
def test_broken_http(daemon, place, kind):
    seen = raw(daemon, RAW[kind].replace(b"{d}", place.encode()))
    assert all(400 <= code < 500 for code in seen), seen  # a 200 would be the smuggled request's
    assert daemon.request("GET", "/healthz").status == 200


def test_a_body_cut_by_the_client(daemon, place):
    body = lines([{"id": f"cut{i}", "prompt": "q"} for i in range(100)])
    head = f"POST /v1/datasets/{place}/records HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\n" \
           f"Content-Length: {len(body)}\r\n\r\n"
    for keep in (0, 10, len(body) - 1):
        with socket.create_connection((daemon.host, daemon.port), timeout=20) as s:
            s.sendall(head.encode() + body[:keep])
    s = stats(daemon, place)
    assert s["prompts"] == 2
