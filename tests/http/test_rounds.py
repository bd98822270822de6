"""Rounds over HTTP: made once, worked off by workers that may die, counted once."""

import hashlib
import http.client
import json
import threading
import time
import zlib
from datetime import datetime

import pytest

from wire import JSON, NDJSON, lines, make, new_dataset, post, prompt, real_rows, shared_data, stats

POLICY, REFERENCE = "lab/policy-1", "lab/start"
MODELS = {"policy": POLICY, "reference": REFERENCE}
WORKER_SECONDS = 120


# --- helpers ----------------------------------------------------------------------------


def prompts(n, **more):
    return [{"id": f"p{i:03}", "prompt": f"question {i}", **more} for i in range(n)]


def dataset_of(daemon, n, **more):
    name = new_dataset(daemon, "rounds")
    post(daemon, name, prompts(n, **more))
    return name


def create(daemon, dataset, status=201, headers=None, **document):
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {**MODELS, **document}, headers)
    assert answer.status == status, answer
    return answer.json()


def path(round, tail=""):
    return f"/v1/rounds/{round}{tail}"


def show(daemon, round):
    answer = daemon.request("GET", path(round))
    assert answer.status == 200, answer
    return answer.json()


def take(daemon, round, kind="sample", model=None, limit=None, worker="w"):
    body = {"kind": kind, "worker": worker, **({"model": model} if model else {}), **({"limit": limit} if limit else {})}
    return daemon.request("POST", path(round, "/leases"), body)


def taken(daemon, round, *more, **named):
    answer = take(daemon, round, *more, **named)
    assert answer.status == 200, answer
    return answer.json()


def deliver(daemon, round, rows, kind="responses", query="", status=200):
    answer = daemon.post_rows(path(round, f"/{kind}{query}"), rows)
    assert answer.status == status, answer
    return answer.json()


def refused(answer, status, problem, pointer=None):
    assert answer.status == status and answer.json()["type"] == f"/problems/{problem}", answer
    if pointer is not None:
        assert answer.json().get("pointer", "") == pointer, answer


def text_of(prompt, index):
    return f"answer {index} to {prompt}"


def samples_of(tasks, **more):
    return [{"prompt": t["prompt"]["id"], "index": i, "text": text_of(t["prompt"]["id"], i), "tokens": 5 + i,
             "finish_reason": "stop", **more} for t in tasks for i in t["indices"]]


def logprob_of(model, response):
    return -(zlib.crc32(f"{model} {response}".encode()) % 10**6) / 1000 - 0.001


def logprobs_of(tasks):
    return [{"response": t["response"]["id"], "model": t["model"], "tokens": 7,
             "logprob": logprob_of(t["model"], t["response"]["id"])} for t in tasks]


def sample_id(round, prompt, index):
    return hashlib.sha256(f"prefd-sample-1\n{round}\n{prompt}\n{index}".encode()).hexdigest()[:32]


def seconds(time_text):
    return datetime.fromisoformat(time_text.replace("Z", "+00:00")).timestamp()


def work_off(daemon, round, kind="sample", model=None, limit=50):
    """One worker until there is nothing left; how many rows it delivered."""
    rows = 0
    while True:
        answer = take(daemon, round, kind, model, limit)
        if answer.status == 410:
            return rows
        assert answer.status == 200, answer
        tasks = answer.json()["tasks"]
        made = samples_of(tasks) if kind == "sample" else logprobs_of(tasks)
        deliver(daemon, round, made, "responses" if kind == "sample" else "logprobs")
        rows += len(made)


def progress(daemon, round):
    """(responses, policy's, reference's log-probabilities), each (wanted, there)."""
    r = show(daemon, round)
    parts = [r["responses"], r["logprobs"][POLICY], r["logprobs"][REFERENCE]]
    return [(p["wanted"], p["there"]) for p in parts]


# --- the document -------------------------------------------------------------------------


def test_a_round_is_made_with_its_defaults(daemon):
    dataset = dataset_of(daemon, 3)
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", MODELS)
    made = answer.json()
    assert answer.status == 201 and answer.headers["location"] == path(made["id"])
    assert seconds(made.pop("created_at")) == pytest.approx(time.time(), abs=60)
    id = made.pop("id")
    assert made == {
        "name": None, "dataset": dataset, "state": "open", **MODELS, "previous": None, "alpha": "auto", "beta": 0.1,
        "responses_per_prompt": 16, "min_responses": 8, "responses_from": "sample", "length": "characters",
        "filters": {"exclude_finish_reasons": ["abort", "length"], "min_characters": 4, "max_characters": 6699},
        "prompts_from": {"split": "train", "seed": 0}, "sampling": {}, "lease_seconds": 300, "prompts": 3,
        "responses": {"wanted": 48, "there": 0},
        "logprobs": {POLICY: {"wanted": 48, "there": 0}, REFERENCE: {"wanted": 48, "there": 0}},
        "leases": 0, "scoring": None, "rescorings": [], "snapshots": []}
    assert show(daemon, id) == answer.json()
    assert create(daemon, dataset)["id"] != id  # without a name a new one each time


def test_a_document_comes_back_as_it_was_written(daemon):
    dataset = dataset_of(daemon, 3)
    made = make(daemon, dataset)["id"]
    first = create(daemon, dataset)["id"]
    body = (f'{{"policy":"{POLICY}","reference":"{REFERENCE}","previous":"{first}","beta":0.05,"alpha":1e-3,'
            f'"length":"tokens","responses_per_prompt":2,"min_responses":1,"lease_seconds":7,'
            f'"prompts":{{"split":"*","limit":2,"seed":4}},"sampling":{{"n":12345678901234567890,"t":1.0}},'
            f'"filters":{{"exclude_finish_reasons":[],"max_characters":10}},'
            f'"replay":{{"snapshot":"{made}","gamma":0.70,"total":10}}}}')
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", body, JSON)
    r = answer.json()
    assert answer.status == 201 and r["prompts"] == 2 and r["responses"] == {"wanted": 4, "there": 0}
    assert r["previous"] == first and r["beta"] == 0.05 and r["alpha"] == 0.001 and r["length"] == "tokens"
    assert r["filters"] == {"exclude_finish_reasons": [], "min_characters": 4, "max_characters": 10}
    assert r["prompts_from"] == {"split": "*", "limit": 2, "seed": 4} and r["lease_seconds"] == 7
    assert b'"gamma":0.70,' in answer.body and r["replay"] == {"snapshot": made, "gamma": 0.7, "total": 10, "seed": 0}
    assert b'"sampling":{"n":12345678901234567890,"t":1.0}' in answer.body


def test_prompts_are_chosen_by_split_and_hash(daemon):
    dataset = dataset_of(daemon, 9)
    post(daemon, dataset, [{"id": f"e{i}", "prompt": f"eval {i}", "split": "eval"} for i in range(4)])
    assert create(daemon, dataset)["prompts"] == 9
    assert create(daemon, dataset, prompts={"split": "eval"})["prompts"] == 4
    assert create(daemon, dataset, prompts={"split": "*"})["prompts"] == 13
    assert create(daemon, dataset, prompts={"split": "none"})["prompts"] == 0

    def chosen(seed):
        r = create(daemon, dataset, prompts={"limit": 4, "seed": seed})["id"]
        return {t["prompt"]["id"] for t in taken(daemon, r, limit=1000)["tasks"]}

    def wanted(seed):
        def key(i):
            messages = json.dumps([{"role": "user", "content": f"question {i}"}], separators=(",", ":"))
            hex = hashlib.sha256(messages.encode()).hexdigest()
            return hashlib.sha256(f"prefd-round-1\n{seed}\n{hex}".encode()).digest()
        return {f"p{i:03}" for i in sorted(range(9), key=key)[:4]}

    for seed in (0, 1):
        assert chosen(seed) == wanted(seed)
    # Fixed when the round is made.
    r = create(daemon, dataset)["id"]
    post(daemon, dataset, [{"id": "late", "prompt": "late"}])
    assert show(daemon, r)["prompts"] == 9


def test_a_round_without_prompts_has_nothing_to_do(daemon):
    r = create(daemon, new_dataset(daemon, "rounds"))["id"]
    assert progress(daemon, r) == [(0, 0)] * 3
    assert take(daemon, r).status == 410 and take(daemon, r, "score", POLICY).status == 410


def test_the_same_name_and_document_is_the_same_round(daemon):
    dataset, other = dataset_of(daemon, 2), dataset_of(daemon, 2)
    name = f"{dataset}-r"
    first = create(daemon, dataset, name=name, beta=0.5)
    assert first["id"] == first["name"] == name
    assert create(daemon, dataset, 200, name=name, beta=0.5) == first
    again = daemon.request("POST", f"/v1/datasets/{dataset}/rounds",
                           f'{{"beta": 5e-1, "reference": "{REFERENCE}", "name": "{name}", "policy": "{POLICY}"}}', JSON)
    assert again.status == 200 and again.json() == first
    for where, document in ((dataset, {}), (dataset, {"beta": 0.5, "length": "characters"}), (other, {"beta": 0.5})):
        answer = daemon.request("POST", f"/v1/datasets/{where}/rounds", {**MODELS, "name": name, **document})
        refused(answer, 409, "conflict", "/name")
    # gamma is the decimal that was written, not the double next to it.
    snapshot = make(daemon, dataset)["id"]
    replay = f'"replay":{{"snapshot":"{snapshot}","gamma":%s}}'
    body = f'{{"policy":"{POLICY}","reference":"{REFERENCE}","name":"{name}-g",{replay}}}'
    for gamma, status in (("0.8", 201), ("8e-1", 200), ("0.80", 200), ("0.800000000000000001", 409)):
        answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", body % gamma, JSON)
        assert answer.status == status, (gamma, answer)


def test_a_snapshot_may_have_the_name_of_a_round(daemon):
    dataset = dataset_of(daemon, 2)
    make(daemon, dataset, name=f"{dataset}-x")
    create(daemon, dataset, name=f"{dataset}-x")


def test_an_idempotency_key_makes_a_round_once(daemon):
    dataset = dataset_of(daemon, 2)
    key = {"Idempotency-Key": f"k-{dataset}"}
    first = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", MODELS, key)
    again = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", MODELS, key)
    assert (first.status, again.status) == (201, 201) and first.body == again.body
    assert again.headers["location"] == first.headers["location"]
    other = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {**MODELS, "beta": 1}, key)
    refused(other, 422, "idempotency-key-reused")


@pytest.mark.parametrize("document, problem, pointer", [
    ([], "invalid-value", ""),
    ({"reference": "r"}, "invalid-value", "/policy"),
    ({"policy": "p"}, "invalid-value", "/reference"),
    ({"policy": "p", "reference": "p"}, "invalid-value", "/reference"),
    ({"policy": "", "reference": "r"}, "invalid-value", "/policy"),
    ({**MODELS, "name": "no spaces"}, "invalid-value", "/name"),
    ({**MODELS, "judge": "j"}, "unknown-key", "/judge"),
    ({**MODELS, "previous": "nobody"}, "unknown-id", "/previous"),
    ({**MODELS, "beta": 0}, "invalid-value", "/beta"),
    ({**MODELS, "beta": "0.1"}, "invalid-value", "/beta"),
    ({**MODELS, "alpha": -0.5}, "invalid-value", "/alpha"),
    ({**MODELS, "alpha": "grid"}, "invalid-value", "/alpha"),
    ({**MODELS, "responses": "none"}, "invalid-value", "/responses"),
    ({**MODELS, "responses_per_prompt": 0}, "invalid-value", "/responses_per_prompt"),
    ({**MODELS, "responses_per_prompt": 1025}, "invalid-value", "/responses_per_prompt"),
    ({**MODELS, "min_responses": 0}, "invalid-value", "/min_responses"),
    ({**MODELS, "length": "words"}, "invalid-value", "/length"),
    ({**MODELS, "lease_seconds": 0}, "invalid-value", "/lease_seconds"),
    ({**MODELS, "lease_seconds": 86401}, "invalid-value", "/lease_seconds"),
    ({**MODELS, "filters": {"sources": []}}, "unknown-key", "/filters/sources"),
    ({**MODELS, "filters": {"max_characters": 3}}, "invalid-value", "/filters/max_characters"),
    ({**MODELS, "filters": {"exclude_finish_reasons": "length"}}, "invalid-value", "/filters/exclude_finish_reasons"),
    ({**MODELS, "prompts": {"limit": 0}}, "invalid-value", "/prompts/limit"),
    ({**MODELS, "prompts": {"seed": -1}}, "invalid-value", "/prompts/seed"),
    ({**MODELS, "sampling": "hot"}, "invalid-value", "/sampling"),
    ({**MODELS, "replay": {"snapshot": "nobody", "gamma": 0.5}}, "unknown-id", "/replay/snapshot"),
    ({**MODELS, "replay": {"snapshot": "nobody", "gamma": 1.01}}, "invalid-value", "/replay/gamma"),
    ({**MODELS, "replay": {"snapshot": "nobody"}}, "invalid-value", "/replay/gamma"),
    ({**MODELS, "replay": {"snapshot": "s", "gamma": 0, "total": 0}}, "invalid-value", "/replay/total"),
    ({**MODELS, "engines": {"policy": "vllm-1"}}, "unknown-id", "/engines/policy"),
    ({**MODELS, "engines": {"judge": "vllm-1"}}, "unknown-key", "/engines/judge"),
])
def test_bad_documents(daemon, dataset, document, problem, pointer):
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", json.dumps(document), JSON)
    refused(answer, 422, problem, pointer)


def test_what_a_document_names_must_be_there(daemon):
    dataset, other = dataset_of(daemon, 1), dataset_of(daemon, 1)
    stranger = create(daemon, other)["id"]
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {**MODELS, "previous": stranger})
    refused(answer, 422, "unknown-id", "/previous")
    snapshot = make(daemon, dataset)["id"]
    assert daemon.request("DELETE", f"/v1/snapshots/{snapshot}").status == 204
    replay = {"replay": {"snapshot": snapshot, "gamma": 0.5}}
    refused(daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {**MODELS, **replay}), 422, "unknown-id",
            "/replay/snapshot")
    refused(daemon.request("POST", f"/v1/datasets/{dataset}-x/rounds", MODELS), 404, "unknown-dataset")
    refused(daemon.request("POST", f"/v1/datasets/{dataset}/rounds", b"{", JSON), 400, "broken-json")


def test_rounds_are_listed(daemon):
    dataset = dataset_of(daemon, 1)
    made = sorted(create(daemon, dataset, name=f"{dataset}-{i}")["id"] for i in range(5))
    listed = daemon.request("GET", f"/v1/rounds?dataset={dataset}").json()
    assert [r["id"] for r in listed["rounds"]] == made and listed["next"] is None
    assert listed["rounds"][2] == show(daemon, made[2])
    seen, after = [], ""
    while after is not None:
        page = daemon.request("GET", f"/v1/rounds?dataset={dataset}&limit=2&after={after}").json()
        seen, after = seen + [r["id"] for r in page["rounds"]], page["next"]
    assert seen == made
    refused(daemon.request("GET", f"/v1/rounds?dataset={dataset}-x"), 404, "unknown-dataset")
    for what in ("", "/close", "/leases", "/responses", "/logprobs"):
        method, body = ("GET", None) if what == "" else ("POST", None if what == "/close" else b"[]")
        if what == "/leases":
            body = json.dumps({"kind": "sample", "worker": "w"})
        refused(daemon.request(method, path("nobody", what), body, JSON if body else None), 404, "unknown-round")


# --- leases ---------------------------------------------------------------------------------


def test_the_tasks_of_leases(daemon):
    dataset = dataset_of(daemon, 3)
    r = create(daemon, dataset, responses_per_prompt=3, sampling={"temperature": 0.9, "top_p": 1.0})["id"]
    before = time.time()
    lease = taken(daemon, r, limit=2)
    assert seconds(lease["expires_at"]) == pytest.approx(before + 300, abs=60)
    assert [t["prompt"]["id"] for t in lease["tasks"]] == ["p000", "p001"]
    assert lease["tasks"][0] == {
        "prompt": {"id": "p000", "messages": [{"role": "user", "content": "question 0"}]},
        "indices": [0, 1, 2], "sampling": {"temperature": 0.9, "top_p": 1.0}}
    # Score work of a prompt is there once its samples are.
    assert take(daemon, r, "score", POLICY).status == 204
    ids = {"prompt_token_ids": [1, 2], "token_ids": [3, 2147483647]}
    rows = samples_of(lease["tasks"][:1], **ids)
    assert deliver(daemon, r, rows) == {"responses": {"created": 3, "unchanged": 0}}
    score = taken(daemon, r, "score", REFERENCE)
    assert score["tasks"] == [{
        "model": REFERENCE,
        "prompt": {"id": "p000", "messages": [{"role": "user", "content": "question 0"}], "token_ids": [1, 2]},
        "response": {"id": sample_id(r, "p000", i), "text": text_of("p000", i), "token_ids": [3, 2147483647]}}
        for i in range(3)]
    # Both models are scored apart from each other.
    assert len(taken(daemon, r, "score", POLICY)["tasks"]) == 3
    assert take(daemon, r, "score", POLICY).status == 204
    # A given lease that has one sample missing goes out with that index alone.
    deliver(daemon, r, samples_of(lease["tasks"][1:])[:2])
    assert daemon.request("DELETE", path(r, f"/leases/{lease['lease']}")).status == 204
    again = taken(daemon, r, limit=1000)
    assert {t["prompt"]["id"]: t["indices"] for t in again["tasks"]} == {"p001": [2], "p002": [0, 1, 2]}


def test_nothing_now_and_nothing_any_more(daemon):
    dataset = dataset_of(daemon, 2)
    r = create(daemon, dataset, responses_per_prompt=1)["id"]
    lease = taken(daemon, r)
    later = take(daemon, r)
    assert later.status == 204 and later.body == b"" and 1 <= int(later.headers["retry-after"]) <= 300
    deliver(daemon, r, samples_of(lease["tasks"]))
    refused(take(daemon, r), 410, "gone")
    for model in (POLICY, REFERENCE):
        assert work_off(daemon, r, "score", model) == 2
        refused(take(daemon, r, "score", model), 410, "gone")
    assert progress(daemon, r) == [(2, 2)] * 3


@pytest.mark.parametrize("body, problem, pointer", [
    ({"worker": "w"}, "invalid-value", "/kind"),
    ({"kind": "sample"}, "invalid-value", "/worker"),
    ({"kind": "judge", "worker": "w"}, "invalid-value", "/kind"),
    ({"kind": "sample", "worker": ""}, "invalid-value", "/worker"),
    ({"kind": "sample", "worker": "w", "model": POLICY}, "invalid-value", "/model"),
    ({"kind": "score", "worker": "w"}, "invalid-value", "/model"),
    ({"kind": "score", "worker": "w", "model": "other"}, "invalid-value", "/model"),
    ({"kind": "sample", "worker": "w", "limit": 0}, "invalid-value", "/limit"),
    ({"kind": "sample", "worker": "w", "limit": 1001}, "invalid-value", "/limit"),
    ({"kind": "sample", "worker": "w", "limit": 1.5}, "invalid-value", "/limit"),
    ({"kind": "sample", "worker": "w", "seconds": 9}, "unknown-key", "/seconds"),
])
def test_bad_lease_requests(daemon, dataset, body, problem, pointer):
    r = create(daemon, dataset)["id"]
    refused(daemon.request("POST", path(r, "/leases"), body), 422, problem, pointer)
    refused(daemon.request("POST", path(r, "/leases"), b"x", JSON), 400, "broken-json")


def test_a_lease_is_renewed_and_given_back(daemon):
    dataset = dataset_of(daemon, 4)
    r = create(daemon, dataset, responses_per_prompt=1, lease_seconds=60)["id"]
    lease = taken(daemon, r, limit=3)
    where = path(r, f"/leases/{lease['lease']}")
    assert show(daemon, r)["leases"] == 1
    time.sleep(0.05)
    renewed = daemon.request("POST", where + "/renew")
    assert renewed.status == 200 and renewed.json().keys() == {"lease", "expires_at"}
    assert renewed.json()["lease"] == lease["lease"]
    assert seconds(renewed.json()["expires_at"]) > seconds(lease["expires_at"])
    assert [t["prompt"]["id"] for t in taken(daemon, r)["tasks"]] == ["p003"]
    assert show(daemon, r)["leases"] == 2
    assert daemon.request("DELETE", where).status == 204
    assert daemon.request("DELETE", where).status == 204  # twice is once
    refused(daemon.request("POST", where + "/renew"), 410, "gone")
    assert show(daemon, r)["leases"] == 1
    assert len(taken(daemon, r)["tasks"]) == 3
    other = create(daemon, dataset)["id"]
    for round, id in ((r, "nobody"), (other, lease["lease"])):
        refused(daemon.request("POST", path(round, f"/leases/{id}/renew")), 404, "unknown-lease")
        refused(daemon.request("DELETE", path(round, f"/leases/{id}")), 404, "unknown-lease")
    refused(daemon.request("DELETE", path("nobody", f"/leases/{lease['lease']}")), 404, "unknown-round")


def test_a_lease_that_ran_out(daemon):
    dataset = dataset_of(daemon, 2)
    r = create(daemon, dataset, responses_per_prompt=2, lease_seconds=1)["id"]
    lost = taken(daemon, r, worker="dead")
    assert take(daemon, r).status == 204
    deliver(daemon, r, samples_of(lost["tasks"])[:1])  # p000/0; then silence
    time.sleep(1.1)
    assert show(daemon, r)["leases"] == 0
    again = taken(daemon, r, worker="alive")
    assert {t["prompt"]["id"]: t["indices"] for t in again["tasks"]} == {"p000": [1], "p001": [0, 1]}
    refused(daemon.request("POST", path(r, f"/leases/{lost['lease']}/renew")), 410, "gone")
    # Late deliveries are taken if they are the first, and counted once.
    assert deliver(daemon, r, samples_of(lost["tasks"])) == {"responses": {"created": 3, "unchanged": 1}}
    mine = [{**row, "text": "another text"} for row in samples_of(again["tasks"])]
    assert deliver(daemon, r, mine) == {"responses": {"created": 0, "unchanged": 3}}
    seen = {x["id"]: x["text"] for p in ("p000", "p001") for x in prompt(daemon, dataset, p)["responses"]}
    assert seen == {sample_id(r, p, i): text_of(p, i) for p in ("p000", "p001") for i in range(2)}
    assert progress(daemon, r)[0] == (4, 4)


# --- deliveries -------------------------------------------------------------------------------


def test_samples_are_counted_once(daemon):
    dataset = dataset_of(daemon, 2)
    r = create(daemon, dataset, responses_per_prompt=2)["id"]
    same = [{"prompt": "p000", "index": i, "text": "the same text"} for i in range(2)]
    # No lease is needed; equal texts are different samples; a row twice in a body counts once.
    assert deliver(daemon, r, same + same[:1]) == {"responses": {"created": 2, "unchanged": 1}}
    assert deliver(daemon, r, same) == {"responses": {"created": 0, "unchanged": 2}}
    other = {**same[0], "text": "something else"}
    assert deliver(daemon, r, [other]) == {"responses": {"created": 0, "unchanged": 1}}
    assert {x["text"] for x in prompt(daemon, dataset, "p000")["responses"]} == {"the same text"}
    assert deliver(daemon, r, []) == {"responses": {"created": 0, "unchanged": 0}}
    one = daemon.request("POST", path(r, "/responses"), {"prompt": "p001", "index": 1, "text": "as one object"})
    assert one.json() == {"responses": {"created": 1, "unchanged": 0}}
    assert progress(daemon, r)[0] == (4, 3) and stats(daemon, dataset)["responses"] == 3


def test_log_probabilities_may_come_with_samples(daemon):
    dataset = dataset_of(daemon, 1)
    r = create(daemon, dataset, responses_per_prompt=2)["id"]
    rows = [{"prompt": "p000", "index": i, "text": f"text {i}", "logprobs": {POLICY: -1.25, REFERENCE: 0.001}}
            for i in range(2)]
    assert deliver(daemon, r, rows) == {"responses": {"created": 2, "unchanged": 0}}
    assert progress(daemon, r) == [(2, 2)] * 3
    assert take(daemon, r, "score", POLICY).status == 410
    assert prompt(daemon, dataset, "p000")["responses"][0]["logprobs"] == {POLICY: -1.25, REFERENCE: 0}


def test_the_first_log_probability_stays(daemon):
    dataset = dataset_of(daemon, 1)
    r = create(daemon, dataset, responses_per_prompt=1)["id"]
    deliver(daemon, r, [{"prompt": "p000", "index": 0, "text": "text"}])
    row = {"response": sample_id(r, "p000", 0), "model": POLICY, "logprob": -3.5, "tokens": 4}
    assert deliver(daemon, r, [row], "logprobs") == {"logprobs": {"created": 1, "kept": 0}}
    assert deliver(daemon, r, [{**row, "logprob": -9}], "logprobs") == {"logprobs": {"created": 0, "kept": 1}}
    assert prompt(daemon, dataset, "p000")["responses"][0]["logprobs"] == {POLICY: -3.5}
    assert deliver(daemon, r, [], "logprobs") == {"logprobs": {"created": 0, "kept": 0}}
    assert progress(daemon, r) == [(1, 1), (1, 1), (1, 0)]


SAMPLE = {"prompt": "p000", "index": 0, "text": "text"}
LOGPROB = {"response": "r", "model": POLICY, "logprob": -1}


@pytest.mark.parametrize("kind, row, problem, pointer", [
    ("responses", {"index": 0, "text": "t"}, "invalid-value", "/prompt"),
    ("responses", {**SAMPLE, "prompt": "nobody"}, "unknown-id", "/prompt"),
    ("responses", {**SAMPLE, "prompt": "eval"}, "unknown-id", "/prompt"),
    ("responses", {**SAMPLE, "index": 2}, "invalid-value", "/index"),
    ("responses", {**SAMPLE, "index": "0"}, "invalid-value", "/index"),
    ("responses", {**SAMPLE, "text": None}, "invalid-value", "/text"),
    ("responses", {**SAMPLE, "score": 1}, "unknown-key", "/score"),
    ("responses", {**SAMPLE, "tokens": 1.5}, "invalid-value", "/tokens"),
    ("responses", {**SAMPLE, "token_ids": [1, -1]}, "invalid-value", "/token_ids/1"),
    ("responses", {**SAMPLE, "prompt_token_ids": [2147483648]}, "invalid-value", "/prompt_token_ids/0"),
    ("responses", {**SAMPLE, "logprobs": {"other": -1}}, "invalid-value", "/logprobs/other"),
    ("responses", {**SAMPLE, "logprobs": {REFERENCE: 0.002}}, "invalid-value", "/logprobs/lab~1start"),
    ("logprobs", {"model": POLICY, "logprob": -1}, "invalid-value", "/response"),
    ("logprobs", LOGPROB, "unknown-id", "/response"),
    ("logprobs", {**LOGPROB, "response": "stored"}, "unknown-id", "/response"),
    ("logprobs", {**LOGPROB, "model": "other"}, "invalid-value", "/model"),
    ("logprobs", {**LOGPROB, "logprob": 0.0011}, "invalid-value", "/logprob"),
    ("logprobs", {**LOGPROB, "logprob": None}, "invalid-value", "/logprob"),
    ("logprobs", {**LOGPROB, "logprob": "-1"}, "invalid-value", "/logprob"),
    ("logprobs", {**LOGPROB, "judge": "j"}, "unknown-key", "/judge"),
])
def test_bad_deliveries(daemon, kind, row, problem, pointer):
    """All or nothing; with on_error=continue the good rows are stored."""
    dataset = dataset_of(daemon, 2)
    post(daemon, dataset, [{"id": "eval", "prompt": "e", "split": "eval"},
                           {"id": "p000", "prompt": "question 0", "responses": [{"id": "stored", "text": "old"}]}])
    r = create(daemon, dataset, responses_per_prompt=2)["id"]
    deliver(daemon, r, [{"prompt": "p001", "index": 0, "text": "first"}])
    good = ({"prompt": "p001", "index": 1, "text": "good"} if kind == "responses" else
            {"response": sample_id(r, "p001", 0), "model": POLICY, "logprob": -1})
    answer = daemon.post_rows(path(r, f"/{kind}"), [good, row, good])
    refused(answer, 422, problem)
    (error,) = answer.json()["errors"]
    assert (error["row"], error["pointer"]) == (1, pointer) and answer.json()["errors_total"] == 1
    assert progress(daemon, r) == [(4, 1), (4, 0), (4, 0)]
    mixed = deliver(daemon, r, [good, row, good], kind, "?on_error=continue", 207)
    second = "unchanged" if kind == "responses" else "kept"
    assert mixed == {kind: {"created": 1, second: 1}, "rejected": 1, "errors": [error], "errors_total": 1}


def test_numbers_that_are_none_are_broken_json(daemon):
    r = create(daemon, dataset_of(daemon, 1))["id"]
    for number in ("NaN", "-Infinity", "-1e400"):
        body = f'{{"response": "r", "model": "{POLICY}", "logprob": {number}}}\n'
        refused(daemon.request("POST", path(r, "/logprobs"), body, NDJSON), 400, "broken-json")


def test_deliveries_take_no_words_of_records(daemon):
    r = create(daemon, dataset_of(daemon, 1))["id"]
    for kind in ("responses", "logprobs"):
        for query in ("on_conflict=keep", "format=trl"):
            refused(daemon.request("POST", path(r, f"/{kind}?{query}"), b"", NDJSON), 422, "unknown-key")


def test_an_idempotency_key_repeats_the_counts(daemon):
    dataset = dataset_of(daemon, 1)
    r = create(daemon, dataset)["id"]
    key = {"Idempotency-Key": f"k-{r}"}
    body = lines([SAMPLE])
    first = daemon.request("POST", path(r, "/responses"), body, {**NDJSON, **key})
    again = daemon.request("POST", path(r, "/responses"), body, {**NDJSON, **key})
    assert first.body == again.body and again.json() == {"responses": {"created": 1, "unchanged": 0}}


def test_what_the_filters_drop_is_not_wanted(daemon):
    dataset = dataset_of(daemon, 1)
    r = create(daemon, dataset, responses_per_prompt=6, filters={"max_characters": 9})["id"]
    assert progress(daemon, r) == [(6, 0), (6, 0), (6, 0)]
    rows = [{"text": "good one", "finish_reason": "stop"}, {"text": "no reason"}, {"text": "cut", "tokens": 1},
            {"text": "too long a"}, {"text": "cut off", "finish_reason": "length"},
            {"text": "stopped", "finish_reason": "abort"}]
    deliver(daemon, r, [{"prompt": "p000", "index": i, **row} for i, row in enumerate(rows)])
    assert progress(daemon, r) == [(6, 6), (2, 0), (2, 0)]
    tasks = taken(daemon, r, "score", POLICY)["tasks"]
    assert [t["response"]["text"] for t in tasks] == ["good one", "no reason"]
    deliver(daemon, r, logprobs_of(tasks), "logprobs")
    # One for a dropped sample is a fact like any other, but nobody waits for it.
    extra = {"response": sample_id(r, "p000", 3), "model": POLICY, "logprob": -1}
    assert deliver(daemon, r, [extra], "logprobs") == {"logprobs": {"created": 1, "kept": 0}}
    assert progress(daemon, r) == [(6, 6), (2, 2), (2, 0)]


def test_samples_are_responses_of_the_dataset(daemon):
    dataset = dataset_of(daemon, 3)
    post(daemon, dataset, [{"id": "p000", "prompt": "question 0", "responses": [{"id": "old", "text": "stored"}]}])
    r, other = (create(daemon, dataset, responses_per_prompt=2)["id"] for _ in range(2))
    work_off(daemon, r)
    deliver(daemon, other, [SAMPLE])
    queue = f"/v1/datasets/{dataset}/responses?unscored_by=judge"
    waiting = daemon.request("GET", f"{queue}&round={r}").json()["responses"]
    wanted = {sample_id(r, f"p{p:03}", i) for p in range(3) for i in range(2)}
    assert {x["id"] for x in waiting} == wanted and {x["model"] for x in waiting} == {POLICY}
    assert len(daemon.request("GET", queue).json()["responses"]) == 8
    post(daemon, dataset, [{"response": x, "judge": "judge", "value": 5} for x in sorted(wanted)[:4]], "scores")
    assert len(daemon.request("GET", f"{queue}&round={r}").json()["responses"]) == 2
    stranger = create(daemon, dataset_of(daemon, 1))["id"]
    for id in ("nobody", stranger):
        refused(daemon.request("GET", f"{queue}&round={id}"), 422, "unknown-id", "?round")
    seen = prompt(daemon, dataset, "p000")["responses"]
    assert sorted((x["round"] or "", x["model"] or "") for x in seen) == sorted(
        [("", ""), (other, POLICY), (r, POLICY), (r, POLICY)])
    assert stats(daemon, dataset)["models"][POLICY]["responses"] == 7


def test_a_round_over_stored_responses(daemon):
    dataset = new_dataset(daemon, "rounds")
    rows = [{"id": f"p{i}", "prompt": f"q{i}", "responses": [
        {"id": f"r{i}-{k}", "text": f"stored answer {k}", "logprobs": {POLICY: -1} if k == 0 else {}} for k in range(3)]}
        for i in range(2)]
    rows[0]["responses"].append({"id": "short", "text": "no"})
    post(daemon, dataset, rows)
    r = create(daemon, dataset, responses="dataset")["id"]
    post(daemon, dataset, [{**rows[0], "responses": [{"id": "late", "text": "came later"}]}])
    assert progress(daemon, r) == [(6, 6), (6, 2), (6, 0)]
    assert take(daemon, r).status == 410  # nothing to sample
    refused(daemon.post_rows(path(r, "/responses"), [{"prompt": "p0", "index": 0, "text": "t"}]), 422, "invalid-value")
    tasks = taken(daemon, r, "score", POLICY)["tasks"]
    assert sorted(t["response"]["id"] for t in tasks) == ["r0-1", "r0-2", "r1-1", "r1-2"]
    late = daemon.post_rows(path(r, "/logprobs"), [{"response": "late", "model": POLICY, "logprob": -1}])
    refused(late, 422, "unknown-id")
    # One that comes with a record counts as well.
    post(daemon, dataset, [{**rows[1], "responses": [{"id": "r1-2", "text": "stored answer 2",
                                                     "logprobs": {REFERENCE: -2}}]}])
    assert progress(daemon, r) == [(6, 6), (6, 2), (6, 1)]
    deliver(daemon, r, logprobs_of(tasks), "logprobs")
    assert work_off(daemon, r, "score", REFERENCE) == 5
    assert progress(daemon, r) == [(6, 6)] * 3


def test_a_closed_round(daemon):
    dataset = dataset_of(daemon, 2)
    r = create(daemon, dataset, responses_per_prompt=1)["id"]
    lease = taken(daemon, r, limit=1)
    deliver(daemon, r, samples_of(lease["tasks"]))
    closed = daemon.request("POST", path(r, "/close"))
    assert closed.status == 200 and closed.json()["state"] == "closed" and closed.json()["leases"] == 0
    assert daemon.request("POST", path(r, "/close")).json() == closed.json() == show(daemon, r)
    for kind, model in (("sample", None), ("score", POLICY)):
        refused(take(daemon, r, kind, model), 410, "gone")
    refused(daemon.request("POST", path(r, f"/leases/{lease['lease']}/renew")), 410, "gone")
    assert daemon.request("DELETE", path(r, f"/leases/{lease['lease']}")).status == 204
    for kind, row in (("responses", {"prompt": "p001", "index": 0, "text": "late"}),
                      ("logprobs", {"response": sample_id(r, "p000", 0), "model": POLICY, "logprob": -1})):
        for query in ("", "?on_error=continue"):
            refused(daemon.post_rows(path(r, f"/{kind}{query}"), [row]), 409, "conflict")
    assert progress(daemon, r)[0] == (2, 1)
    assert create(daemon, dataset, previous=r)["previous"] == r
    # Rescoring and publishing stay possible.
    assert daemon.request("POST", path(r, "/rescore"), {}).status == 200
    made = daemon.request("POST", path(r, "/publish?wait=60"), {})
    assert made.status == 201 and show(daemon, r)["snapshots"] == [made.json()["id"]]
    assert [x["rescoring"] for x in show(daemon, r)["rescorings"]] == [1]


def test_a_prompt_that_is_deleted_leaves_its_rounds(daemon):
    dataset = dataset_of(daemon, 3)
    r = create(daemon, dataset, responses_per_prompt=2)["id"]
    deliver(daemon, r, samples_of(taken(daemon, r, limit=1)["tasks"]))
    assert daemon.request("DELETE", f"/v1/datasets/{dataset}/prompts/p000").status == 204
    assert progress(daemon, r) == [(4, 0)] * 3
    refused(daemon.post_rows(path(r, "/responses"), [SAMPLE]), 422, "unknown-id")
    work_off(daemon, r)
    assert progress(daemon, r) == [(4, 4), (4, 0), (4, 0)]


# --- workers -----------------------------------------------------------------------------------


class Worker(threading.Thread):
    """Works a round off; notes what was handed out, and what its deliveries came to."""

    def __init__(self, daemon, round, name, limit, die_after=None):
        super().__init__()
        self.d, self.round, self.label, self.limit, self.die_after = daemon, round, name, limit, die_after
        self.handed, self.counts, self.failure = [], {"created": 0, "unchanged": 0, "kept": 0}, None

    def run(self):
        try:
            for kind, model in (("sample", None), ("score", POLICY), ("score", REFERENCE)):
                if not self.finish(kind, model):
                    return
        except (OSError, http.client.HTTPException, AssertionError) as e:
            self.failure = e

    def finish(self, kind, model):
        """False: it died, with a lease in its hands."""
        deadline = time.monotonic() + WORKER_SECONDS
        while time.monotonic() < deadline:
            answer = take(self.d, self.round, kind, model, self.limit, self.label)
            if answer.status == 410:
                return True
            if answer.status == 204:
                assert int(answer.headers["retry-after"]) >= 1
                time.sleep(0.1)
                continue
            assert answer.status == 200, answer
            lease = answer.json()
            self.note(kind, model, lease)
            if self.die_after is not None and len(self.handed) > self.die_after:
                return False
            self.hand_in(kind, lease["tasks"])
        raise AssertionError(f"{self.label} is not done after {WORKER_SECONDS} s")

    def note(self, kind, model, lease):
        until = seconds(lease["expires_at"])
        self.handed.append((kind, model, {t["prompt"]["id"] for t in lease["tasks"]}, until))

    def hand_in(self, kind, tasks):
        rows = samples_of(tasks) if kind == "sample" else logprobs_of(tasks)
        what = "responses" if kind == "sample" else "logprobs"
        for n, v in deliver(self.d, self.round, rows, what)[what].items():
            self.counts[n] += v


def run_workers(workers):
    for w in workers:
        w.start()
    for w in workers:
        w.join(4 * WORKER_SECONDS)
        assert not w.is_alive() and w.failure is None, w.failure


def handed_out_apart(workers, lease_seconds):
    """Of one prompt and kind a lease begins only when the one before has run out."""
    held = {}
    for w in workers:
        for kind, model, ids, until in w.handed:
            for id in ids:
                held.setdefault((kind, model, id), []).append(until)
    for key, ends in held.items():
        ends.sort()
        for before, after in zip(ends, ends[1:]):
            assert after - lease_seconds >= before - 0.001, (key, ends)
    return held


def all_is_there(daemon, dataset, r, ids, per_prompt):
    for id in ids:
        mine = [x for x in prompt(daemon, dataset, id)["responses"] if x["round"] == r]
        assert {x["id"]: x["text"] for x in mine} == {sample_id(r, id, i): text_of(id, i) for i in range(per_prompt)}
        for x in mine:
            assert x["logprobs"] == {m: logprob_of(m, x["id"]) for m in (POLICY, REFERENCE)}


def three_workers(daemon, dataset, n, per_prompt, limit, lease_seconds):
    r = create(daemon, dataset, responses_per_prompt=per_prompt, lease_seconds=lease_seconds)["id"]
    workers = [Worker(daemon, r, f"w{i}", limit, die_after=1 if i == 0 else None) for i in range(3)]
    run_workers(workers)
    held = handed_out_apart(workers, lease_seconds)
    assert len(held) == 3 * n
    # The dead one's last lease went to the others; nothing was stored twice.
    kind, model, lost, until = workers[0].handed[-1]
    assert lost and all(held[kind, model, id][-1] > until for id in lost)
    total = {k: sum(w.counts[k] for w in workers) for k in workers[0].counts}
    assert total["created"] == 3 * n * per_prompt
    assert progress(daemon, r) == [(n * per_prompt, n * per_prompt)] * 3
    # What the dead one had made comes late.
    late = [{"prompt": id, "index": i, "text": "late"} for id in sorted(lost) for i in range(per_prompt)]
    assert deliver(daemon, r, late) == {"responses": {"created": 0, "unchanged": len(late)}}
    assert progress(daemon, r)[0] == (n * per_prompt, n * per_prompt)
    return r


def test_three_workers_of_which_one_dies(daemon):
    dataset = dataset_of(daemon, 12)
    r = three_workers(daemon, dataset, 12, per_prompt=3, limit=2, lease_seconds=1)
    all_is_there(daemon, dataset, r, [f"p{i:03}" for i in range(12)], 3)
    assert stats(daemon, dataset)["responses"] == 36


@pytest.mark.skipif(shared_data() is None, reason="the real sets are not at hand (PREFD_SHARED_DATA)")
def test_three_workers_on_real_prompts(daemon):
    rows = real_rows("shaberi")
    dataset = new_dataset(daemon, "shaberi")
    stored = 0
    for at in range(0, len(rows), 100):
        stored += post(daemon, dataset, rows[at:at + 100])["responses"]["created"]
    n = len({row["id"] for row in rows})
    r = three_workers(daemon, dataset, n, per_prompt=4, limit=20, lease_seconds=3)
    all_is_there(daemon, dataset, r, [row["id"] for row in rows[::17]], 4)
    assert stats(daemon, dataset)["responses"] == stored + 4 * n


# --- a crash -------------------------------------------------------------------------------------


class Deliverer(threading.Thread):
    """Delivers samples until the daemon is gone; remembers what was acknowledged."""

    def __init__(self, daemon, round):
        super().__init__()
        self.d, self.round, self.sent, self.acknowledged, self.failure = daemon, round, 0, [], None

    def run(self):
        try:
            while True:
                lease = taken(self.d, self.round, limit=3)
                rows = samples_of(lease["tasks"])
                self.sent += len(rows)
                deliver(self.d, self.round, rows)
                self.acknowledged += [(x["prompt"], x["index"]) for x in rows]
        except (OSError, http.client.HTTPException):
            pass  # killed in the middle
        except AssertionError as e:
            self.failure = e


def test_kill_in_the_middle_and_going_on(fresh_daemon):
    d = fresh_daemon()
    dataset = dataset_of(d, 3000)
    r = create(d, dataset, responses_per_prompt=2, lease_seconds=2)["id"]
    threads = [Deliverer(d, r) for _ in range(4)]
    for t in threads:
        t.start()
    deadline = time.monotonic() + 60
    while sum(len(t.acknowledged) for t in threads) < 120 and time.monotonic() < deadline:
        time.sleep(0.01)
    d.kill()
    for t in threads:
        t.join(60)
        assert not t.is_alive() and t.failure is None, t.failure
    d.start()
    acknowledged = {x for t in threads for x in t.acknowledged}
    wanted, there = progress(d, r)[0]
    assert wanted == 6000 and 120 <= len(acknowledged) <= there <= sum(t.sent for t in threads)
    for id in sorted({id for id, _ in acknowledged}):
        seen = {x["id"] for x in prompt(d, dataset, id)["responses"]}
        assert {sample_id(r, p, i) for p, i in acknowledged if p == id} <= seen
    # A lease lives on; what the killed clients held goes out again when theirs end.
    lease = taken(d, r, limit=1)
    d.kill()
    d.start()
    assert d.request("POST", path(r, f"/leases/{lease['lease']}/renew")).status == 200
    assert d.request("DELETE", path(r, f"/leases/{lease['lease']}")).status == 204
    time.sleep(2.1)
    assert work_off(d, r, limit=1000) == wanted - there
    for model in (POLICY, REFERENCE):
        assert work_off(d, r, "score", model, limit=1000) == 6000
    assert progress(d, r) == [(6000, 6000)] * 3


def test_a_prompt_larger_than_a_lease_goes_out_in_parts(daemon):
    """A prompt of 1.2 MB is told with each of its 12 responses; nobody behind it waits for ever."""
    dataset = new_dataset(daemon, "rounds")
    post(daemon, dataset, [{"id": "p000", "prompt": "x" * 1_200_000}, {"id": "p001", "prompt": "short"}])
    r = create(daemon, dataset, responses_per_prompt=12, lease_seconds=1)["id"]
    deliver(daemon, r, [{"prompt": p, "index": i, "text": text_of(p, i)} for p in ("p000", "p001") for i in range(12)])
    seen = set()
    for _ in range(60):
        lease = take(daemon, r, "score", POLICY, limit=32)
        if lease.status == 410:
            break
        if lease.status == 204:
            time.sleep(0.1)
            continue
        assert lease.status == 200 and len(lease.body) < 16 << 20
        tasks = [t["response"]["id"] for t in lease.json()["tasks"]]
        deliver(daemon, r, [{"response": x, "model": POLICY, "logprob": -1} for x in tasks], "logprobs")
        seen.update(tasks)
    assert len(seen) == 24 and lease.status == 410


def test_a_name_is_one_document_to_the_last_digit(daemon):
    dataset = dataset_of(daemon, 1)
    for seed, status in (("9007199254740993", 201), ("9007199254740993", 200), ("9007199254740992", 409)):
        body = '{"name": "%s-s", "policy": "a", "reference": "b", "sampling": {"seed": %s}}' % (dataset, seed)
        assert daemon.request("POST", f"/v1/datasets/{dataset}/rounds", body.encode(), JSON).status == status
