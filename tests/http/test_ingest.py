"""Rows in: codings, chunkings, counts, the ledger, conflicts, other projects' forms."""

import concurrent.futures
import gzip
import json
import random

import pytest

from wire import (JSON, NDJSON, chunked, lines, new_dataset, post, prompt, prompt_ids, quote, stats, totals, unzst,
                  zst)

RECORD = {
    "id": "p1",
    "prompt": [{"role": "system", "content": "Kurz."}, {"role": "user", "content": "Wie groß ist π? 🥧"}],
    "split": "test",
    "source": "hand",
    "metadata": {"n": 12345678901234567890, "deep": [{"a": None}]},
    "responses": [
        {"id": "p1-a", "text": "3,14159…\n\t\"rund\"", "model": "größer/7b", "tokens": 7, "finish_reason": "stop",
         "logprobs": {"größer/7b": -12.25},
         "scores": [{"judge": "jürgen", "value": 8.5, "rationale": "gut", "at": "2026-01-01T00:00:00Z"},
                    {"judge": "jürgen", "attribute": "clarity", "value": None, "status": "failed"}]},
        {"id": "p1-b", "text": "", "scores": [{"judge": "jürgen", "value": 1}]},
    ],
    "comparisons": [{"judge": "ada", "chosen": "p1-a", "rejected": "p1-b", "strength": 2}],
}
COUNTS = {
    "rows": 1, "prompts": {"created": 1, "unchanged": 0}, "responses": {"created": 2, "unchanged": 0},
    "scores": {"created": 3, "revised": 0, "unchanged": 0},
    "comparisons": {"created": 1, "revised": 0, "unchanged": 0}, "rejected": 0, "errors": [],
}


def records(daemon, dataset, body, headers, query=""):
    return daemon.request("POST", f"/v1/datasets/{dataset}/records{query}", body, headers)


def simple(i, value=5.0, **more):
    return {"id": f"p{i}", "prompt": f"question {i}", **more,
            "responses": [{"id": f"p{i}-a", "text": f"answer {i}", "scores": [{"judge": "j", "value": value}]},
                          {"id": f"p{i}-b", "text": f"other {i}", "scores": [{"judge": "j", "value": 1}]}]}


def score_at(daemon, dataset, p, response, judge="j", attribute="overall", query=""):
    found = [s for r in prompt(daemon, dataset, p, query)["responses"] if r["id"] == response
             for s in r["scores"] if (s["judge"], s["attribute"]) == (judge, attribute)]
    return found if query else (found[0] if found else None)


# --- bodies -------------------------------------------------------------------

TEXT = json.dumps(RECORD, ensure_ascii=False).encode()
BOM = b"\xef\xbb\xbf"
BODIES = {
    "json object": (TEXT, JSON),
    "json array": (b"[" + TEXT + b"]", JSON),
    "json, spaced": (b" \r\n\t[ \n" + json.dumps(RECORD, indent=3).encode() + b"\n ] \n", JSON),
    "json, escaped": (json.dumps(RECORD, ensure_ascii=True).encode(), JSON),
    "json, charset": (TEXT, {"Content-Type": "application/json; charset=utf-8"}),
    "json, BOM": (BOM + TEXT, JSON),
    "ndjson": (TEXT + b"\n", NDJSON),
    "ndjson, no newline": (TEXT, NDJSON),
    "ndjson, CRLF": (b"\r\n" + TEXT + b"\r\n\r\n", NDJSON),
    "ndjson, BOM": (BOM + TEXT + b"\n", NDJSON),
    "gzip": (gzip.compress(TEXT), {**NDJSON, "Content-Encoding": "gzip"}),
    "gzip, members": (gzip.compress(TEXT[:99]) + gzip.compress(b"") + gzip.compress(TEXT[99:]),
                      {**JSON, "Content-Encoding": "gzip"}),
    "zstd": (zst(TEXT), {**JSON, "Content-Encoding": "zstd"}),
    "zstd, frames": (zst(TEXT[:40]) + zst(b"") + zst(TEXT[40:]), {**NDJSON, "Content-Encoding": "zstd"}),
}


@pytest.mark.parametrize("kind", BODIES)
def test_every_body_is_the_same_row(daemon, kind):
    body, headers = BODIES[kind]
    dataset = new_dataset(daemon, "body")
    answer = records(daemon, dataset, body, headers)
    assert (answer.status, answer.json()) == (200, COUNTS)
    seen = prompt(daemon, dataset, "p1")
    assert seen["messages"] == RECORD["prompt"]
    assert (seen["split"], seen["source"], seen["metadata"]) == ("test", "hand", RECORD["metadata"])
    a, b = seen["responses"]
    assert (a["text"], a["model"], a["tokens"], a["finish_reason"]) == (
        RECORD["responses"][0]["text"], "größer/7b", 7, "stop")
    assert a["logprobs"] == {"größer/7b": -12.25}
    assert (b["text"], b["model"], b["tokens"]) == ("", None, None)
    scores = {(s["attribute"], s["judge"]): s for s in a["scores"]}
    assert scores["overall", "jürgen"]["value"] == 8.5
    assert scores["overall", "jürgen"]["at"] == "2026-01-01T00:00:00Z"
    assert scores["clarity", "jürgen"]["status"] == "failed"
    assert seen["comparisons"][0]["chosen"] == "p1-a" and seen["comparisons"][0]["strength"] == 2
    # The number in the metadata went through no double.
    path = f"/v1/datasets/{dataset}/prompts/p1"
    assert b"12345678901234567890" in daemon.request("GET", path).body


@pytest.mark.parametrize("kind", ["json array", "ndjson, CRLF", "gzip, members", "zstd, frames"])
@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_chunks_may_cut_anywhere(daemon, kind, size):
    body, headers = BODIES[kind]
    dataset = new_dataset(daemon, "chunks")
    pieces = [body[i:i + size] for i in range(0, len(body), size)]
    answer = chunked(daemon, "POST", f"/v1/datasets/{dataset}/records", pieces, headers)
    assert (answer.status, answer.json()) == (200, COUNTS)
    assert prompt(daemon, dataset, "p1")["messages"] == RECORD["prompt"]


@pytest.mark.parametrize("body,headers", [
    (b"[]", JSON), (b" [ ] ", JSON), (b"", NDJSON), (b"\n\r\n \n", NDJSON), (BOM, NDJSON),
    (gzip.compress(b""), {**NDJSON, "Content-Encoding": "gzip"}), (zst(b""), {**NDJSON, "Content-Encoding": "zstd"}),
], ids=["array", "spaced array", "nothing", "blank lines", "BOM", "gzip", "zstd"])
def test_no_rows_are_fine(daemon, dataset, body, headers):
    answer = records(daemon, dataset, body, headers)
    assert answer.status == 200 and answer.json()["rows"] == 0
    assert totals(daemon, dataset)["prompts"] == 0


def test_many_rows_over_the_memory_of_a_spool(daemon, dataset):
    rows = [simple(i, source="s" * 200) for i in range(3000)]
    seen = post(daemon, dataset, rows)
    assert (seen["rows"], seen["prompts"]["created"], seen["responses"]["created"]) == (3000, 3000, 6000)
    assert totals(daemon, dataset) == {"prompts": 3000, "responses": 6000, "scores": 6000, "comparisons": 0}
    assert prompt_ids(daemon, dataset, 700) == sorted(f"p{i}" for i in range(3000))


def test_answers_come_in_every_coding(daemon, dataset):
    post(daemon, dataset, [simple(i) for i in range(50)])
    path = f"/v1/datasets/{dataset}/prompts"
    plain = daemon.request("GET", path)
    assert "content-encoding" not in plain.headers
    gz = daemon.request("GET", path, headers={"Accept-Encoding": "gzip"})
    zs = daemon.request("GET", path, headers={"Accept-Encoding": "gzip;q=0.5, zstd"})
    assert (gz.headers["content-encoding"], zs.headers["content-encoding"]) == ("gzip", "zstd")
    assert gzip.decompress(gz.body) == plain.body == unzst(zs.body)
    assert "accept-encoding" in gz.headers["vary"].lower()


def test_request_id_comes_back(daemon):
    assert daemon.request("GET", "/healthz", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    a, b = (daemon.request("GET", "/healthz").headers["x-request-id"] for _ in range(2))
    assert a and b and a != b


# --- counts and conflicts ---------------------------------------------------------


def test_the_same_twice_is_unchanged(daemon, dataset):
    post(daemon, dataset, [RECORD])
    seen = post(daemon, dataset, [RECORD])
    assert seen["prompts"] == {"created": 0, "unchanged": 1}
    assert seen["responses"] == {"created": 0, "unchanged": 2}
    assert seen["scores"] == {"created": 0, "revised": 0, "unchanged": 3}
    assert seen["comparisons"] == {"created": 0, "revised": 0, "unchanged": 1}


def test_ids_derived_from_the_content(daemon, dataset):
    row = {"prompt": "What is 2 + 2?", "responses": [{"text": "4", "model": "m"}, {"text": "5"}]}
    assert post(daemon, dataset, [row])["responses"]["created"] == 2
    assert post(daemon, dataset, [row])["responses"] == {"created": 0, "unchanged": 2}
    # A string is one user message; the same prompt in the long form is the same prompt.
    long = {"prompt": [{"role": "user", "content": "What is 2 + 2?"}], "responses": [{"text": "4"}]}
    seen = post(daemon, dataset, [long])
    assert (seen["prompts"]["unchanged"], seen["responses"]["created"]) == (1, 1)  # "4" without a model is new
    assert post(daemon, dataset, [{"prompt": "What is 2 + 3?", "responses": [{"text": "4"}]}])["prompts"]["created"] == 1
    assert totals(daemon, dataset) == {"prompts": 2, "responses": 4, "scores": 0, "comparisons": 0}
    other = new_dataset(daemon, "other")
    post(daemon, other, [row])
    assert set(prompt_ids(daemon, other)) < set(prompt_ids(daemon, dataset))


def test_prompts_with_one_text_under_two_ids_are_two(daemon, dataset):
    post(daemon, dataset, [{"id": "x", "prompt": "same"}, {"id": "y", "prompt": "same"}, {"prompt": "same"}])
    assert totals(daemon, dataset)["prompts"] == 3


def test_conflicts(daemon, dataset):
    post(daemon, dataset, [simple(1), simple(2)])
    other_prompt = {"id": "p1", "prompt": "another question"}
    other_text = {"id": "p1", "prompt": "question 1", "responses": [{"id": "p1-a", "text": "changed"}]}
    other_model = {"id": "p1", "prompt": "question 1", "responses": [{"id": "p1-a", "text": "answer 1", "model": "m"}]}
    moved = {"id": "p2", "prompt": "question 2", "responses": [{"id": "p1-a", "text": "answer 1"}]}
    before = prompt(daemon, dataset, "p1")
    for row in (other_prompt, other_text, other_model, moved):
        answer = daemon.post_rows(f"/v1/datasets/{dataset}/records", [simple(3), row])
        assert answer.status == 409, answer
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["type"] == "/problems/conflict"
        assert [e["row"] for e in answer.json()["errors"]] == [1] and answer.json()["errors_total"] == 1
    assert prompt(daemon, dataset, "p1") == before
    assert totals(daemon, dataset)["prompts"] == 2  # row 0 was not stored either


def test_split_source_and_metadata_are_no_conflict(daemon, dataset):
    post(daemon, dataset, [{"id": "a", "prompt": "q", "split": "test", "source": "s", "metadata": {"k": 1}}])
    changed = {"id": "a", "prompt": "q", "split": "train", "source": "t", "metadata": {"k": 2}}
    assert post(daemon, dataset, [changed])["prompts"]["unchanged"] == 1
    seen = prompt(daemon, dataset, "a")
    assert (seen["split"], seen["source"], seen["metadata"]) == ("test", "s", {"k": 1})
    assert post(daemon, dataset, [changed], query="?on_conflict=keep")["prompts"]["unchanged"] == 1
    assert prompt(daemon, dataset, "a")["split"] == "test"
    post(daemon, dataset, [changed], query="?on_conflict=replace")
    seen = prompt(daemon, dataset, "a")
    assert (seen["split"], seen["source"], seen["metadata"]) == ("train", "t", {"k": 2})


def test_tokens_and_finish_reason_are_filled_in_and_stay(daemon, dataset):
    def send(**more):
        post(daemon, dataset, [{"id": "p", "prompt": "q", "responses": [{"id": "r", "text": "t", **more}]}])
        r = prompt(daemon, dataset, "p")["responses"][0]
        return r["tokens"], r["finish_reason"], r["logprobs"]

    assert send() == (None, None, {})
    assert send(tokens=5) == (5, None, {})
    assert send(tokens=6, finish_reason="stop", logprobs={"a": -1}) == (5, "stop", {"a": -1})
    assert send(finish_reason="length", logprobs={"a": -2, "b": -3.5}) == (5, "stop", {"a": -1, "b": -3.5})


def test_on_conflict_keep_and_replace(daemon, dataset):
    post(daemon, dataset, [simple(1), simple(2)])
    other = {"id": "p1", "prompt": "new question", "responses": [{"id": "p1-a", "text": "changed", "model": "m"}]}
    kept = post(daemon, dataset, [other], query="?on_conflict=keep")
    assert kept["prompts"]["created"] == kept["responses"]["created"] == 0
    seen = prompt(daemon, dataset, "p1")
    assert seen["messages"][0]["content"] == "question 1" and seen["responses"][0]["text"] == "answer 1"
    post(daemon, dataset, [other], query="?on_conflict=replace")
    seen = prompt(daemon, dataset, "p1")
    assert seen["messages"][0]["content"] == "new question"
    assert [(r["id"], r["text"], r["model"]) for r in seen["responses"]] == [
        ("p1-a", "changed", "m"), ("p1-b", "other 1", None)]
    assert seen["responses"][0]["scores"][0]["value"] == 5  # scores stay with the id
    assert totals(daemon, dataset) == {"prompts": 2, "responses": 4, "scores": 4, "comparisons": 0}


# --- the ledger -------------------------------------------------------------------


def score(daemon, dataset, response="p1-a", query="", status=200, **row):
    return post(daemon, dataset, [{"response": response, "judge": "j", **row}], "scores", query, status=status)


def test_revisions_without_at(daemon, dataset):
    post(daemon, dataset, [simple(1, 5)])
    assert score(daemon, dataset, value=5)["scores"] == {"created": 0, "revised": 0, "unchanged": 1}
    assert score(daemon, dataset, value=7)["scores"] == {"created": 0, "revised": 1, "unchanged": 0}
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 7
    assert score(daemon, dataset, value=5)["scores"]["revised"] == 1  # not the current one: a further value
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 5
    ledger = score_at(daemon, dataset, "p1", "p1-a", query="?ledger=true")
    assert [s["value"] for s in ledger] == [5, 7, 5] and [s["current"] for s in ledger] == [False, False, True]
    times = [s["at"] for s in ledger]
    assert times == sorted(times) and len(set(times)) == 3
    assert totals(daemon, dataset)["scores"] == 2


def test_the_latest_at_is_current_whenever_it_comes(daemon, dataset):
    post(daemon, dataset, [{"id": "p1", "prompt": "q", "responses": [{"id": "p1-a", "text": "t"}]}])
    at = "2030-06-01T12:00:00.000001Z"
    assert score(daemon, dataset, value=3, at=at)["scores"]["created"] == 1
    assert score(daemon, dataset, value=4, at="2030-06-01T12:00:00Z")["scores"]["revised"] == 1  # earlier
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 3
    assert score(daemon, dataset, value=2, at=at)["scores"]["revised"] == 1  # of equal times the greater value
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 3
    assert score(daemon, dataset, value=3.5, at=at)["scores"]["revised"] == 1
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 3.5
    # Unchanged: the same value and status stand there with the same at.
    assert score(daemon, dataset, value=4, at="2030-06-01T14:00:00+02:00")["scores"]["unchanged"] == 1
    assert score(daemon, dataset, value=3.5, at=at)["scores"]["unchanged"] == 1
    assert score(daemon, dataset, value=3.5, at="2030-06-01T12:00:00.000002Z")["scores"]["revised"] == 1
    assert score_at(daemon, dataset, "p1", "p1-a")["at"] == "2030-06-01T12:00:00.000002Z"


def test_failed_and_abstained_displace_nothing(daemon, dataset):
    post(daemon, dataset, [simple(1, 6)])
    for status in ("failed", "abstained"):
        post(daemon, dataset, [{"response": "p1-a", "judge": "j", "value": None, "status": status,
                                "at": "2035-01-01T00:00:00Z"}], "scores")
        assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 6
    series = stats(daemon, dataset)["judges"]["j"]["overall"]
    assert (series["count"], series["failed"], series["abstained"], series["mean"]) == (2, 0, 0, 3.5)
    # Without a good value the later status counts, and a good one ends it even with an earlier at.
    post(daemon, dataset, [{"response": "p1-a", "judge": "k", "value": None, "status": "failed",
                            "at": "2035-01-01T00:00:00Z"}], "scores")
    assert score_at(daemon, dataset, "p1", "p1-a", "k")["status"] == "failed"
    series = stats(daemon, dataset)["judges"]["k"]["overall"]
    assert (series["count"], series["failed"], series["mean"]) == (0, 1, None)
    post(daemon, dataset, [{"response": "p1-a", "judge": "k", "value": 0, "at": "2020-01-01T00:00:00Z"}], "scores")
    assert score_at(daemon, dataset, "p1", "p1-a", "k")["value"] == 0
    series = stats(daemon, dataset)["judges"]["k"]["overall"]
    assert (series["count"], series["failed"], series["mean"]) == (1, 0, 0)


def test_two_revisions_in_one_body(daemon, dataset):
    post(daemon, dataset, [simple(1, 5)])
    rows = [{"response": "p1-a", "judge": "j", "value": v} for v in (6, 7, 7, 5)]
    seen = post(daemon, dataset, rows, "scores")["scores"]
    assert seen == {"created": 0, "revised": 3, "unchanged": 1}
    assert score_at(daemon, dataset, "p1", "p1-a")["value"] == 5


def test_two_posts_revise_one_score_at_once(daemon, dataset):
    post(daemon, dataset, [simple(1, 0)])
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda v: score(daemon, dataset, value=v)["scores"]["revised"], range(1, 41)))
    assert seen == [1] * 40
    ledger = score_at(daemon, dataset, "p1", "p1-a", query="?ledger=true")
    assert sorted(s["value"] for s in ledger) == list(range(41))
    assert [s["current"] for s in ledger].count(True) == 1 and ledger[-1]["current"]
    series = stats(daemon, dataset)["judges"]["j"]["overall"]
    assert series["count"] == 2 and series["mean"] == (ledger[-1]["value"] + 1) / 2


def test_negative_zero_is_zero(daemon, dataset):
    body = b'{"id":"p1","prompt":"q","responses":[{"id":"p1-a","text":"t","scores":[{"judge":"j","value":-0.0}]}]}'
    assert records(daemon, dataset, body, JSON).status == 200
    assert score(daemon, dataset, value=0)["scores"]["unchanged"] == 1
    assert b'"value":0,' in daemon.request("GET", f"/v1/datasets/{dataset}/prompts/p1").body


def test_numbers_keep_every_digit(daemon, dataset):
    values = [0.1 + 0.2, 5e-324, 1.7976931348623157e308, 2**53 + 2.0, -123456.789e-7, 1 / 3]
    post(daemon, dataset, [{"id": "p", "prompt": "q", "responses": [
        {"id": f"r{i}", "text": str(i), "scores": [{"judge": "j", "value": v}]} for i, v in enumerate(values)]}])
    seen = {r["id"]: r["scores"][0]["value"] for r in prompt(daemon, dataset, "p")["responses"]}
    assert seen == {f"r{i}": v for i, v in enumerate(values)}


def test_comparisons_are_one_vote_per_judge_and_pair(daemon, dataset):
    post(daemon, dataset, [simple(1)])

    def vote(chosen, rejected, **more):
        return post(daemon, dataset, [{"judge": "v", "chosen": chosen, "rejected": rejected, **more}],
                    "comparisons")["comparisons"]

    assert vote("p1-a", "p1-b") == {"created": 1, "revised": 0, "unchanged": 0}
    assert vote("p1-a", "p1-b") == {"created": 0, "revised": 0, "unchanged": 1}
    assert vote("p1-a", "p1-b", strength=2) == {"created": 0, "revised": 1, "unchanged": 0}
    assert vote("p1-b", "p1-a", strength=3) == {"created": 0, "revised": 1, "unchanged": 0}
    current = prompt(daemon, dataset, "p1")["comparisons"]
    assert [(c["chosen"], c["rejected"], c["strength"]) for c in current] == [("p1-b", "p1-a", 3)]
    at = "2031-01-01T00:00:00Z"
    vote("p1-b", "p1-a", at=at)
    vote("p1-a", "p1-b", at=at)  # of equal times the one with the smaller chosen id
    assert prompt(daemon, dataset, "p1")["comparisons"][0]["chosen"] == "p1-a"
    vote("p1-b", "p1-a", at=at, strength=9)
    assert prompt(daemon, dataset, "p1")["comparisons"][0]["chosen"] == "p1-a"
    assert totals(daemon, dataset)["comparisons"] == 1


# --- all or nothing, and otherwise --------------------------------------------------


def test_all_or_nothing(daemon, dataset):
    bad = {"id": "bad", "prompt": 7}
    answer = daemon.post_rows(f"/v1/datasets/{dataset}/records", [simple(1), bad, simple(2), bad])
    assert answer.status == 422
    problem = answer.json()
    assert [(e["row"], e["pointer"]) for e in problem["errors"]] == [(1, "/prompt"), (3, "/prompt")]
    assert problem["errors_total"] == 2
    assert totals(daemon, dataset)["prompts"] == 0


def test_the_passes_report_their_own_rows(daemon, dataset):
    post(daemon, dataset, [simple(1)])
    broken, wrong = b'{"id": \n', lines([{"id": "w", "prompt": 1}])
    conflict = lines([{"id": "p1", "prompt": "else"}])
    unknown = lines([{"id": "u", "prompt": "q", "comparisons": [{"judge": "j", "chosen": "nowhere-1",
                                                                 "rejected": "nowhere-2"}]}])
    path = f"/v1/datasets/{dataset}/records"

    def send(*rows):
        answer = daemon.request("POST", path, b"".join(rows), NDJSON)
        return answer.status, [e["row"] for e in answer.json()["errors"]], answer.json()["errors_total"]

    assert send(conflict, wrong, broken, unknown) == (400, [2], 1)
    assert send(conflict, wrong, unknown, wrong) == (422, [1, 3], 2)
    assert send(conflict, unknown) == (422, [0, 1], 2)
    assert send(conflict, conflict) == (409, [0, 1], 2)
    assert totals(daemon, dataset)["prompts"] == 1


def test_on_error_continue(daemon, dataset):
    post(daemon, dataset, [simple(9)])
    body = (lines([simple(1)]) + b"{broken\n" + lines([{"id": "w", "prompt": 1}, {"id": "p9", "prompt": "else"}])
            + lines([simple(2)]) + b'{"id":"p3","prompt":"\xff"}\n')
    answer = records(daemon, dataset, body, NDJSON, "?on_error=continue")
    assert answer.status == 207, answer
    seen = answer.json()
    assert (seen["rows"], seen["rejected"], seen["prompts"]["created"]) == (6, 4, 2)
    assert [e["row"] for e in seen["errors"]] == [1, 2, 3, 5] and seen["errors_total"] == 4
    assert seen["errors"][1]["pointer"] == "/prompt"
    assert sorted(prompt_ids(daemon, dataset)) == ["p1", "p2", "p9"]
    assert records(daemon, dataset, lines([simple(4)]), NDJSON, "?on_error=continue").status == 200


def test_a_refused_row_leaves_nothing_behind(daemon, dataset):
    post(daemon, dataset, [simple(1)])
    # New responses and scores come before the conflict inside the row.
    row = {"id": "p1", "prompt": "question 1", "responses": [
        {"id": "new", "text": "new", "scores": [{"judge": "j", "value": 3}]}, {"id": "p1-b", "text": "changed"}]}
    before = stats(daemon, dataset)
    answer = daemon.post_rows(f"/v1/datasets/{dataset}/records?on_error=continue", [row])
    assert answer.status == 207 and answer.json()["responses"]["created"] == 0
    assert stats(daemon, dataset) == before
    assert len(prompt(daemon, dataset, "p1")["responses"]) == 2


def test_only_the_first_hundred_errors_are_named(daemon, dataset):
    rows = [{"id": f"b{i}", "prompt": None} for i in range(250)]
    problem = daemon.post_rows(f"/v1/datasets/{dataset}/records", rows).json()
    assert [e["row"] for e in problem["errors"]] == list(range(100)) and problem["errors_total"] == 250


def test_a_row_behind_the_named_ones_still_counts(daemon, dataset):
    post(daemon, dataset, [simple(1)])
    conflicts = [{"id": "p1", "prompt": f"else {i}"} for i in range(150)]
    unknown = {"id": "p1", "prompt": "question 1", "comparisons": [
        {"judge": "j", "chosen": "nobody", "rejected": "p1-a"}]}
    path = f"/v1/datasets/{dataset}/records"
    assert daemon.post_rows(path, conflicts).status == 409
    answer = daemon.post_rows(path, [*conflicts, unknown])
    assert (answer.status, answer.json()["errors_total"]) == (422, 151)


# --- idempotency keys ---------------------------------------------------------------


def test_idempotency_key(daemon, dataset):
    key = {"Idempotency-Key": f"key-{dataset}"}
    first = daemon.post_rows(f"/v1/datasets/{dataset}/records", [simple(1)], key)
    assert first.status == 200 and first.json()["prompts"]["created"] == 1
    again = daemon.post_rows(f"/v1/datasets/{dataset}/records", [simple(1)], key)
    assert (again.status, again.body) == (200, first.body)  # the same answer, not "unchanged"
    packed = records(daemon, dataset, gzip.compress(lines([simple(1)])), {**NDJSON, **key, "Content-Encoding": "gzip"})
    assert (packed.status, packed.body) == (200, first.body)  # the body is what it unpacks to
    other = daemon.post_rows(f"/v1/datasets/{dataset}/records", [simple(2)], key)
    assert other.status == 422 and other.json()["type"] == "/problems/idempotency-key-reused"
    elsewhere = daemon.post_rows(f"/v1/datasets/{dataset}/scores", [], key)
    assert elsewhere.status == 422
    assert prompt_ids(daemon, dataset) == ["p1"]


def test_a_refusal_does_not_use_the_key_up(daemon, dataset):
    key = {"Idempotency-Key": f"k2-{dataset}"}
    path = f"/v1/datasets/{dataset}/scores"
    row = {"response": "p1-a", "judge": "k", "value": 4}
    assert daemon.post_rows(path, [row], key).status == 422
    post(daemon, dataset, [simple(1)])
    assert daemon.post_rows(path, [row], key).json()["scores"]["created"] == 1


def test_one_key_at_once(daemon, dataset):
    key = {"Idempotency-Key": f"k3-{dataset}"}
    rows = [simple(i) for i in range(20)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(lambda _: daemon.post_rows(f"/v1/datasets/{dataset}/records", rows, key), range(16)))
    assert {a.status for a in seen} == {200} and len({a.body for a in seen}) == 1
    assert seen[0].json()["prompts"]["created"] == 20


def test_the_key_of_a_snapshot(daemon, dataset):
    post(daemon, dataset, [simple(1)])
    path, key = f"/v1/datasets/{dataset}/snapshots?wait=60", {"Idempotency-Key": f"k4-{dataset}"}
    a = daemon.request("POST", path, {"recipe": {}}, key)
    b = daemon.request("POST", path, {"recipe": {}}, key)
    assert a.status in (201, 202) and b.status in (200, 201, 202)
    assert a.json()["id"] == b.json()["id"]
    assert daemon.request("POST", path, {"recipe": {}}).json()["id"] != a.json()["id"]
    assert daemon.request("POST", path, {"recipe": {"split": "x"}}, key).status == 422


# --- twins --------------------------------------------------------------------------


def test_twins_are_folded_within_a_row(daemon, dataset):
    row = {"id": "p", "prompt": "q", "responses": [
        {"text": "same", "scores": [{"judge": "j", "value": 3}, {"judge": "k", "value": 1}]},
        {"text": "same", "model": "m"},
        {"text": "same", "tokens": 4, "scores": [{"judge": "j", "value": 8}]}]}
    seen = post(daemon, dataset, [row])
    assert seen["responses"]["created"] == 2 and seen["scores"]["created"] == 2 and seen["scores"]["revised"] == 0
    responses = prompt(daemon, dataset, "p")["responses"]
    twin = next(r for r in responses if r["model"] is None)
    assert twin["tokens"] == 4
    assert {s["judge"]: s["value"] for s in twin["scores"]} == {"j": 8, "k": 1}
    assert [s["value"] for s in score_at(daemon, dataset, "p", twin["id"], query="?ledger=true")] == [8]
    # Posting it again changes nothing.
    again = post(daemon, dataset, [row])
    assert again["scores"] == {"created": 0, "revised": 0, "unchanged": 2}
    assert again["responses"] == {"created": 0, "unchanged": 2}


def test_twins_in_two_rows_meet_in_the_store(daemon, dataset):
    row = {"id": "p", "prompt": "q", "responses": [{"text": "same", "scores": [{"judge": "j", "value": 3}]}]}
    later = {"id": "p", "prompt": "q", "responses": [{"text": "same", "scores": [{"judge": "j", "value": 4}]}]}
    seen = post(daemon, dataset, [row, later])
    assert seen["responses"] == {"created": 1, "unchanged": 1}
    assert seen["scores"] == {"created": 1, "revised": 1, "unchanged": 0}
    (r,) = prompt(daemon, dataset, "p")["responses"]
    assert r["scores"][0]["value"] == 4


def test_comparisons_may_name_responses_that_are_there(daemon, dataset):
    post(daemon, dataset, [simple(1)])
    row = {"id": "p1", "prompt": "question 1", "responses": [{"id": "p1-c", "text": "third"}],
           "comparisons": [{"judge": "j", "chosen": "p1-c", "rejected": "p1-a"}]}
    assert post(daemon, dataset, [row])["comparisons"]["created"] == 1
    assert prompt(daemon, dataset, "p1")["comparisons"][0]["chosen"] == "p1-c"
    post(daemon, dataset, [simple(2)])
    across = {"id": "p2", "prompt": "question 2", "comparisons": [{"judge": "j", "chosen": "p2-a", "rejected": "p1-a"}]}
    assert daemon.post_rows(f"/v1/datasets/{dataset}/records", [across]).status == 422


def test_times(daemon, dataset):
    post(daemon, dataset, [{"id": "p", "prompt": "q", "responses": [{"id": "r", "text": "t"}]}])
    same = {"2026-01-31T12:00:00.5Z": "2026-01-31T12:00:00.500000Z", "0001-01-01T00:00:00Z": "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.9999999Z": "9999-12-31T23:59:59.999999Z",
            "2024-02-29T23:30:00-01:30": "2024-03-01T01:00:00Z", "2026-01-31t12:00:00z": "2026-01-31T12:00:00Z"}
    for i, (at, printed) in enumerate(same.items()):
        post(daemon, dataset, [{"response": "r", "judge": f"j{i}", "value": 1, "at": at}], "scores")
        seen = score_at(daemon, dataset, "p", "r", f"j{i}")["at"]
        assert seen in (printed, printed.replace(".500000Z", ".5Z")), at
        again = post(daemon, dataset, [{"response": "r", "judge": f"j{i}", "value": 1, "at": printed}], "scores")
        assert again["scores"]["unchanged"] == 1


def test_prompts_by_split(daemon, dataset):
    post(daemon, dataset, [{"id": f"p{i}", "prompt": "q", **({"split": "test"} if i % 3 == 0 else {})}
                           for i in range(30)])
    for split, wanted in (("test", 10), ("train", 20), ("other", 0)):
        seen, after = [], ""
        while after is not None:
            page = daemon.request("GET", f"/v1/datasets/{dataset}/prompts?split={split}&limit=7"
                                  + (f"&after={after}" if after else "")).json()
            seen, after = seen + page["prompts"], page["next"]
        assert len(seen) == wanted and {p["split"] for p in seen} <= {split}


@pytest.mark.parametrize("id", ["", "a" * 500, "a b", "ä", 'x"y', "x\ty"])
def test_strange_request_ids(daemon, id):
    """Whatever the client calls its request, the answer has one clean header."""
    answer = daemon.request("GET", "/healthz", headers={"X-Request-Id": id.encode("latin-1")})
    assert answer.status in (200, 400)
    assert answer.headers["x-request-id"].isprintable() and answer.headers["x-request-id"]


def test_two_ids_for_one_text_are_two(daemon, dataset):
    row = {"id": "p", "prompt": "q", "responses": [{"id": "a", "text": "same"}, {"id": "b", "text": "same"}]}
    assert post(daemon, dataset, [row])["responses"]["created"] == 2


def test_empty_is_not_missing(daemon, dataset):
    post(daemon, dataset, [{"id": "e", "prompt": "", "responses": [{"text": ""}, {"text": "", "model": "m"}]},
                           {"id": "n", "prompt": "to be sampled"}])
    assert totals(daemon, dataset)["responses"] == 2
    assert prompt(daemon, dataset, "e")["messages"] == [{"role": "user", "content": ""}]
    assert prompt(daemon, dataset, "n")["responses"] == []


# --- the judges' queue ----------------------------------------------------------------


def queue(daemon, dataset, judge, **query):
    out, after = [], None
    for _ in range(1000):
        more = {"unscored_by": judge, **query, **({"after": after} if after else {})}
        answer = daemon.request("GET", f"/v1/datasets/{dataset}/responses?"
                                + "&".join(f"{k}={quote(str(v))}" for k, v in more.items()))
        assert answer.status == 200, answer
        out += answer.json()["responses"]
        after = answer.json()["next"]
        if after is None:
            return out
    raise AssertionError("the queue never ends")


def test_unscored_by(daemon, dataset):
    rows = [{"id": f"p{i}", "prompt": f"q{i}", "responses": [
        {"id": f"p{i}-a", "text": "a", "model": "m"}, {"id": f"p{i}-b", "text": "b", "model": "größer"}]}
        for i in range(25)]
    post(daemon, dataset, rows)
    every = {f"p{i}-{x}" for i in range(25) for x in "ab"}
    for limit in (1, 7, 100):
        seen = queue(daemon, dataset, "j", limit=limit)
        assert len(seen) == 50 and {r["id"] for r in seen} == every
    assert seen[0]["prompt"] == {"id": "p0", "messages": [{"role": "user", "content": "q0"}]}
    assert {r["id"] for r in queue(daemon, dataset, "j", model="größer")} == {f"p{i}-b" for i in range(25)}
    scores = [{"response": "p0-a", "judge": "j", "value": 3},
              {"response": "p1-a", "judge": "j", "value": None, "status": "failed"},
              {"response": "p2-a", "judge": "j", "value": None, "status": "abstained"},
              {"response": "p3-a", "judge": "j", "attribute": "clarity", "value": 2},
              {"response": "p4-a", "judge": "k", "value": 2}]
    post(daemon, dataset, scores, "scores")
    assert {r["id"] for r in queue(daemon, dataset, "j")} == every - {"p0-a", "p2-a"}
    assert {r["id"] for r in queue(daemon, dataset, "j", attribute="clarity")} == every - {"p3-a"}
    assert {r["id"] for r in queue(daemon, dataset, "k", limit=3)} == every - {"p4-a"}


# --- other projects' forms --------------------------------------------------------------


def by_model(daemon, dataset, id=None):
    p = prompt(daemon, dataset, id or prompt_ids(daemon, dataset)[0])
    return p, {r["model"]: {s["attribute"]: s for s in r["scores"]} for r in p["responses"]}


UF = {"source": "evol_instruct", "instruction": "Name a colour.", "models": ["a", "b", "c"],
      "correct_answers": ["None"], "completions": [
          {"model": "a", "principle": "honesty", "response": "Red.", "overall_score": 8.5, "critique": "Good.",
           "annotations": {"helpfulness": {"Rating": "5", "Rationale": "clear", "Type": ["1"]},
                           "honesty": {"Rating": "4", "Rationale": "x"},
                           "instruction_following": {"Rating": "N/A", "Rationale": "y"},
                           "truthfulness": {"Rating": "3", "Rationale": "z"}}},
          {"model": "b", "response": "Sky.", "overall_score": 10,
           "annotations": {k: {"Rating": "1", "Rationale": ""} for k in
                           ("helpfulness", "honesty", "instruction_following", "truthfulness")}},
          {"model": "c", "response": "", "annotations": {}}]}


def test_ultrafeedback(daemon, dataset):
    seen = post(daemon, dataset, [UF], query="?format=ultrafeedback")
    assert (seen["prompts"]["created"], seen["responses"]["created"]) == (1, 3)
    p, scores = by_model(daemon, dataset)
    assert (p["messages"], p["source"]) == ([{"role": "user", "content": "Name a colour."}], "evol_instruct")
    assert {a: (s["judge"], s["value"], s["status"]) for a, s in scores["a"].items()} == {
        "overall": ("gpt-4", 8.5, "ok"), "helpfulness": ("gpt-4", 5, "ok"), "honesty": ("gpt-4", 4, "ok"),
        "instruction_following": ("gpt-4", None, "failed"), "truthfulness": ("gpt-4", 3, "ok")}
    assert scores["b"]["overall"]["value"] == 10 and scores["c"] == {}
    other = new_dataset(daemon, "uf")
    post(daemon, other, [UF], query="?format=ultrafeedback&judge=me&fix_overall=true")
    _, scores = by_model(daemon, other)
    assert scores["b"]["overall"]["value"] == 1 and scores["a"]["overall"]["value"] == 8.5
    assert {s["judge"] for by in scores.values() for s in by.values()} == {"me"}


def test_ultrafeedback_binarized(daemon, dataset):
    row = {"prompt": "Q?", "prompt_id": "ab12", "score_chosen": 8.0, "score_rejected": 6.5,
           "messages": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "yes"}],
           "chosen": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "yes"}],
           "rejected": [{"role": "user", "content": "Q?"}, {"role": "assistant", "content": "no"}]}
    seen = post(daemon, dataset, [row], query="?format=ultrafeedback_binarized")
    assert seen["responses"]["created"] == 2 and seen["scores"]["created"] == 2
    p = prompt(daemon, dataset, "ab12")
    assert p["messages"] == [{"role": "user", "content": "Q?"}]
    assert {r["text"]: [(s["judge"], s["attribute"], s["value"]) for s in r["scores"]] for r in p["responses"]} == {
        "yes": [("gpt-4", "overall", 8)], "no": [("gpt-4", "overall", 6.5)]}


SYSTEM, USER, YES, NO = ({"role": r, "content": c} for r, c in
                         [("system", "S"), ("user", "Q?"), ("assistant", "yes"), ("assistant", "no")])
TRL = {
    "explicit conversational": ({"prompt": [SYSTEM, USER], "chosen": [YES], "rejected": [NO]}, [SYSTEM, USER]),
    "implicit conversational": ({"chosen": [SYSTEM, USER, YES], "rejected": [SYSTEM, USER, NO]}, [SYSTEM, USER]),
    "explicit plain": ({"prompt": "Q?", "chosen": "yes", "rejected": "no"}, [USER]),
    "implicit plain": ({"chosen": "The sky is blue.", "rejected": "The sky is green."}, None),
}


@pytest.mark.parametrize("kind", TRL)
def test_trl(daemon, kind):
    row, messages = TRL[kind]
    dataset = new_dataset(daemon, "trl")
    seen = post(daemon, dataset, [row], query="?format=trl&judge=anna")
    assert seen["responses"]["created"] == 2 and seen["comparisons"]["created"] == 1
    p = prompt(daemon, dataset, prompt_ids(daemon, dataset)[0])
    text = {r["id"]: r["text"] for r in p["responses"]}
    (vote,) = p["comparisons"]
    assert (vote["judge"], vote["strength"]) == ("anna", 1)
    if messages is not None:
        assert p["messages"] == messages
        assert (text[vote["chosen"]], text[vote["rejected"]]) == ("yes", "no")
    else:  # the prompt is what both begin with
        (m,) = p["messages"]
        assert m["role"] == "user" and m["content"] == "The sky is"
        assert (text[vote["chosen"]].strip(), text[vote["rejected"]].strip()) == ("blue.", "green.")
    assert post(daemon, dataset, [row], query="?format=trl&judge=anna")["comparisons"]["unchanged"] == 1


@pytest.mark.parametrize("form,row,pointer", [
    ("ultrafeedback", {"completions": []}, "/instruction"),
    ("ultrafeedback", {"instruction": "q", "completions": [{"model": "m"}]}, "/completions/0/response"),
    ("ultrafeedback_binarized", {"prompt": "q", "chosen": "a", "rejected": "b"}, "/chosen"),
    ("trl", {"prompt": "q", "chosen": "a"}, "/rejected"),
    ("trl", {"prompt": "q", "chosen": 5, "rejected": "b"}, "/chosen"),
    ("trl", {"prompt": [{"role": "user", "content": "q"}], "chosen": [{"role": "user", "content": "a"}],
             "rejected": [{"role": "assistant", "content": "b"}]}, "/chosen"),
])
def test_bad_rows_of_other_forms(daemon, dataset, form, row, pointer):
    answer = daemon.post_rows(f"/v1/datasets/{dataset}/records?format={form}", [row])
    assert answer.status == 422, answer
    assert answer.json()["errors"][0]["row"] == 0 and answer.json()["errors"][0]["pointer"].startswith(pointer)
    assert totals(daemon, dataset)["prompts"] == 0


# --- datasets and deletions ---------------------------------------------------------------


def test_ranges_are_fixed_once_there_are_scores(daemon):
    dataset = new_dataset(daemon, "range", attributes={"overall": {"min": 0, "max": 10}})
    path = f"/v1/datasets/{dataset}"
    post(daemon, dataset, [simple(1, 10)])
    answer = daemon.post_rows(path + "/scores", [{"response": "p1-a", "judge": "j", "value": 10.5}])
    assert (answer.status, answer.json()["errors"][0]["pointer"]) == (422, "/value")
    same = daemon.request("PUT", path, {"attributes": {"overall": {"min": 0, "max": 10}}, "description": "d"})
    assert same.status == 200 and same.json()["description"] == "d"
    moved = daemon.request("PUT", path, {"attributes": {"overall": {"min": 0, "max": 12}}})
    assert moved.status == 409 and moved.json()["type"] == "/problems/range-fixed"
    assert daemon.request("PUT", path, {"attributes": {"fresh": {"min": 1, "max": 2}}}).status == 200
    assert set(daemon.request("GET", path).json()["attributes"]) == {"overall", "fresh"}


def test_a_prompt_may_come_anew_after_its_deletion(daemon, dataset):
    post(daemon, dataset, [simple(1), simple(2)])
    before = stats(daemon, dataset)
    path = f"/v1/datasets/{dataset}/prompts/p2"
    assert daemon.request("DELETE", path).status == 204
    assert daemon.request("GET", path).status == daemon.request("DELETE", path).status == 404
    assert totals(daemon, dataset) == {"prompts": 1, "responses": 2, "scores": 2, "comparisons": 0}
    answer = daemon.post_rows(f"/v1/datasets/{dataset}/scores", [{"response": "p2-a", "judge": "j", "value": 1}])
    assert answer.status == 422 and answer.json()["type"] == "/problems/unknown-id"
    changed = simple(2) | {"prompt": "another question"}
    assert post(daemon, dataset, [changed])["prompts"]["created"] == 1
    assert daemon.request("DELETE", path).status == 204
    assert post(daemon, dataset, [simple(2)])["scores"]["created"] == 2
    assert stats(daemon, dataset) == before


def test_deleting_a_dataset_needs_its_name(daemon):
    dataset = new_dataset(daemon, "gone")
    post(daemon, dataset, [simple(i) for i in range(700)])
    path = f"/v1/datasets/{dataset}"
    assert daemon.request("DELETE", path).status == 422
    assert daemon.request("DELETE", path + "?confirm=else").status == 422
    assert totals(daemon, dataset)["prompts"] == 700
    assert daemon.request("DELETE", path + f"?confirm={dataset}").status == 204
    assert daemon.request("GET", path).status == 404
    assert daemon.request("PUT", path).status == 201
    assert totals(daemon, dataset)["prompts"] == 0
    assert post(daemon, dataset, [simple(1)])["prompts"]["created"] == 1


def test_statistics_do_not_depend_on_the_way_there(daemon):
    """Revisions, other bodies and another order leave the same sums."""
    rng = random.Random(7)
    rows = [{"id": f"p{i}", "prompt": f"q{i}", "responses": [
        {"id": f"p{i}-{k}", "text": "x" * rng.randrange(400), "model": rng.choice(["m", "n"]),
         "scores": [{"judge": "j", "value": rng.choice([0.1, 0.2, 3, 1e16, -1e16, 7.7]), "at": "2026-01-01T00:00:00Z"}]}
        for k in range(rng.randrange(1, 5))]} for i in range(60)]
    straight, crooked = new_dataset(daemon, "straight"), new_dataset(daemon, "crooked")
    post(daemon, straight, rows)
    for row in rng.sample(rows, len(rows)):
        early = json.loads(json.dumps(row))
        for r in early["responses"]:
            r["scores"] = [{"judge": "j", "value": rng.uniform(-1e17, 1e17), "at": "2025-01-01T00:00:00Z"}]
        post(daemon, crooked, [early])
        post(daemon, crooked, [row])
    a, b = stats(daemon, straight), stats(daemon, crooked)
    assert {**a, "dataset": ""} == {**b, "dataset": ""}


def test_the_dataset_that_rows_are_checked_against_is_the_latest(daemon):
    """It is kept between requests: a new range, or the end of the dataset, counts from its answer on."""
    dataset = new_dataset(daemon)
    post(daemon, dataset, [RECORD])
    row = {"response": "p1-a", "judge": "late", "attribute": "tone", "value": 9}
    post(daemon, dataset, [row], "scores")
    other = {**row, "attribute": "wit"}
    for top, status in ((5, 422), (10, 200)):
        answer = daemon.request("PUT", f"/v1/datasets/{dataset}", {"attributes": {"wit": {"min": 1, "max": top}}})
        assert answer.status == 200, answer
        post(daemon, dataset, [other], "scores", status=status)
    assert daemon.request("DELETE", f"/v1/datasets/{dataset}?confirm={dataset}").status == 204
    post(daemon, dataset, [other], "scores", status=404)
    assert daemon.request("PUT", f"/v1/datasets/{dataset}", {}).status == 201
    post(daemon, dataset, [{**RECORD, "comparisons": []}])
    post(daemon, dataset, [{**other, "value": 99}], "scores")  # no range is left
