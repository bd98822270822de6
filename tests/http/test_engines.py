"""Engines as documents, and rounds that they score: against small servers that
answer in vLLM's and SGLang's own forms, errors included."""

import json
import time

import pytest

from conftest import quote
from engine_server import EngineServer, logprob
from wire import new_dataset, post

WAIT_SECONDS = 60
_names = iter(range(10**9))


def put(daemon, url, kind="vllm", status=201, **more):
    name = f"e-{time.monotonic_ns() % 10**9}-{next(_names)}"
    answer = daemon.request("PUT", f"/v1/engines/{name}", {"kind": kind, "url": url, "model": "served", **more})
    assert answer.status == status, answer
    return name


def refused(answer, status, slug, pointer=None):
    assert answer.status == status, answer
    problem = answer.json()
    assert problem["type"] == f"/problems/{slug}", problem
    if pointer is not None:
        assert problem["errors"][0]["pointer"] == pointer if "errors" in problem else problem["pointer"] == pointer
    return problem


def token_ids(i, j):
    """Of prompt i, and of its response j: different everywhere."""
    return [1, 1000 + i, 2, 3], [5000 + 16 * i + j, 7, 40000 + i]


def make_round(daemon, engines, prompts=2, per_prompt=2, ids=True, **more):
    """An open round with all its samples there. → (round, response ids by (i, j))"""
    d = new_dataset(daemon)
    post(daemon, d, [{"id": f"p{i}", "prompt": f"question {i}"} for i in range(prompts)])
    answer = daemon.request("POST", f"/v1/datasets/{d}/rounds", {
        "policy": "pi", "reference": "ref", "responses_per_prompt": per_prompt, "min_responses": 2,
        "engines": engines, **more})
    assert answer.status == 201, answer
    round = answer.json()
    assert round["engines"] == engines and round["scoring"] is None
    rows = []
    for i in range(prompts):
        for j in range(per_prompt):
            p, r = token_ids(i, j)
            rows.append({"prompt": f"p{i}", "index": j, "text": f"answer {j} to {i}", "finish_reason": "stop",
                         **({"prompt_token_ids": p, "token_ids": r} if ids else {})})
    answer = daemon.post_rows(f"/v1/rounds/{round['id']}/responses", rows)
    assert answer.status == 200 and answer.json()["responses"]["created"] == len(rows), answer
    return round["id"]


def score(daemon, round, status=202):
    answer = daemon.request("POST", f"/v1/rounds/{round}/score")
    assert answer.status == status, answer
    if status == 202:
        assert answer.json()["scoring"]["state"] == "running"
        assert answer.headers["location"] == f"/v1/rounds/{round}"
    return answer


def get(daemon, round):
    answer = daemon.request("GET", f"/v1/rounds/{round}")
    assert answer.status == 200, answer
    return answer.json()


def until(condition, seconds=WAIT_SECONDS):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError("it did not come")


def done(daemon, round):
    """The round's scoring when its run has ended."""
    return until(lambda: (lambda s: s if s["state"] != "running" else None)(get(daemon, round)["scoring"]))


def scored(daemon, engines, **more):
    """A round, scored to the end. → (round's document, scoring)"""
    round = make_round(daemon, engines, **more)
    score(daemon, round)
    scoring = done(daemon, round)
    assert scoring["state"] == "done", scoring
    asked = scoring["asked"]
    unasked = scoring["failed"].get("missing_token_ids", 0) + scoring["failed"].get("too_many_tokens", 0)
    assert asked + unasked == scoring["delivered"] + sum(scoring["failed"].values()), scoring
    return get(daemon, round), scoring


def stored(daemon, round):
    """{(prompt, response text): {model: log-probability}}"""
    out = {}
    for i in range(int(round["prompts"])):
        p = daemon.request("GET", f"/v1/datasets/{round['dataset']}/prompts/p{i}").json()
        for r in p["responses"]:
            out[f"p{i}", r["text"]] = r.get("logprobs") or {}
    return out


def wanted(prompts, per_prompt, models):
    return {(f"p{i}", f"answer {j} to {i}"): {m: sum(logprob(t) for t in token_ids(i, j)[1]) for m in models}
            for i in range(prompts) for j in range(per_prompt)}


# --- documents -----------------------------------------------------------------------


def test_an_engine_comes_and_goes(daemon):
    document = {"kind": "sglang", "url": "http://localhost:30000/", "model": "org/m", "max_in_flight": 3}
    kept = {"id": "engine.1", **document, "url": "http://localhost:30000"}
    answer = daemon.request("PUT", "/v1/engines/engine.1", document)
    assert answer.status == 201 and answer.json() == kept and answer.headers["location"] == "/v1/engines/engine.1"
    assert daemon.request("PUT", "/v1/engines/engine.1", document).status == 200
    answer = daemon.request("PUT", "/v1/engines/engine.1", {"kind": "vllm", "url": "https://[::1]:8000", "model": "m"})
    kept = {"id": "engine.1", "kind": "vllm", "url": "https://[::1]:8000", "model": "m", "max_in_flight": 64}
    assert answer.status == 200 and answer.json() == kept
    assert daemon.request("GET", "/v1/engines/engine.1").json() == kept
    assert daemon.request("DELETE", "/v1/engines/engine.1").status == 204
    refused(daemon.request("GET", "/v1/engines/engine.1"), 404, "unknown-engine")
    refused(daemon.request("DELETE", "/v1/engines/engine.1"), 404, "unknown-engine")


def test_engines_are_listed(fresh_daemon):
    daemon = fresh_daemon()
    assert daemon.request("GET", "/v1/engines").json() == {"engines": [], "next": None}
    for name in ("b", "a", "c"):
        daemon.request("PUT", f"/v1/engines/{name}", {"kind": "vllm", "url": "http://localhost", "model": "m"})
    page = daemon.request("GET", "/v1/engines?limit=2").json()
    assert [e["id"] for e in page["engines"]] == ["a", "b"] and page["next"] == "b"
    page = daemon.request("GET", "/v1/engines?limit=2&after=b").json()
    assert [e["id"] for e in page["engines"]] == ["c"] and page["next"] is None
    daemon.restart()
    assert len(daemon.request("GET", "/v1/engines").json()["engines"]) == 3


GOOD = {"kind": "vllm", "url": "http://127.0.0.1:1", "model": "m"}


@pytest.mark.parametrize("change, slug, pointer", [
    ({"kind": "tgi"}, "invalid-value", "/kind"),
    ({"kind": 1}, "invalid-value", "/kind"),
    ({"url": None}, "invalid-value", "/url"),
    ({"url": "localhost:8000"}, "invalid-value", "/url"),
    ({"url": "ftp://localhost/"}, "invalid-value", "/url"),
    ({"url": "http://localhost/?a=1"}, "invalid-value", "/url"),
    ({"url": "http://u:p@localhost/"}, "invalid-value", "/url"),
    ({"url": "http://" + "a" * 1100}, "invalid-value", "/url"),
    ({"url": "http://example.com/"}, "invalid-value", "/url"),
    ({"url": "http://localhost@example.com/"}, "invalid-value", "/url"),
    ({"url": "http://localhost.example.com/"}, "invalid-value", "/url"),
    ({"url": "http://169.254.169.254/latest"}, "invalid-value", "/url"),
    ({"url": "http://0x7f000002/"}, "invalid-value", "/url"),
    ({"url": "http://0/"}, "invalid-value", "/url"),
    ({"model": ""}, "invalid-value", "/model"),
    ({"max_in_flight": 0}, "invalid-value", "/max_in_flight"),
    ({"max_in_flight": 1025}, "invalid-value", "/max_in_flight"),
    ({"max_in_flight": 1.5}, "invalid-value", "/max_in_flight"),
    ({"token": "x"}, "unknown-key", "/token"),
])
def test_bad_engines(daemon, change, slug, pointer):
    answer = daemon.request("PUT", "/v1/engines/bad", {**GOOD, **change})
    assert answer.status == 422 and answer.json()["type"] == f"/problems/{slug}", answer
    assert pointer in json.dumps(answer.json()), answer
    refused(daemon.request("GET", "/v1/engines/bad"), 404, "unknown-engine")


@pytest.mark.parametrize("lacking", ["kind", "url", "model"])
def test_what_an_engine_must_have(daemon, lacking):
    answer = daemon.request("PUT", "/v1/engines/bad", {k: v for k, v in GOOD.items() if k != lacking})
    assert answer.status == 422 and f"/{lacking}" in json.dumps(answer.json()), answer


def test_other_hosts_by_the_setting(fresh_daemon):
    daemon = fresh_daemon("--engine-hosts", "gpu-1.example GPU-2.example")
    for url, status in (("http://gpu-1.example:8000", 201), ("http://gpu-2.EXAMPLE", 200), ("http://localhost", 422),
                        ("http://gpu-3.example", 422), ("http://example", 422)):
        assert daemon.request("PUT", "/v1/engines/e", {**GOOD, "url": url}).status == status, url


def test_the_setting_holds_for_what_was_put_before(fresh_daemon, tmp_path):
    with EngineServer() as engine:
        daemon = fresh_daemon()
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        daemon.stop()
        daemon = fresh_daemon("--engine-hosts", "gpu.example", data=daemon.data)
        refused(score(daemon, round, 422), 422, "invalid-value")
        assert engine.requests == []


# --- rounds name engines ---------------------------------------------------------------


def test_a_round_names_engines_that_are_there(daemon):
    d = new_dataset(daemon)
    e, other = put(daemon, "http://localhost:1"), put(daemon, "http://localhost:1", "sglang")
    body = {"policy": "pi", "reference": "ref"}
    answer = daemon.request("POST", f"/v1/datasets/{d}/rounds", {**body, "engines": {"policy": "none"}})
    assert answer.status == 422 and answer.json()["type"] == "/problems/unknown-id", answer
    assert "/engines/policy" in json.dumps(answer.json())
    answer = daemon.request("POST", f"/v1/datasets/{d}/rounds", {**body, "engines": {"policy": e, "reference": "none"}})
    assert answer.status == 422 and "/engines/reference" in json.dumps(answer.json()), answer
    answer = daemon.request("POST", f"/v1/datasets/{d}/rounds", {**body, "engines": {"policy": e, "reference": other}})
    assert answer.status == 422 and answer.json()["type"] == "/problems/invalid-value", answer
    assert daemon.request("GET", f"/v1/rounds?dataset={d}").json()["rounds"] == []


def test_nothing_to_score_with(daemon):
    refused(score(daemon, "none", 404), 404, "unknown-round")
    d = new_dataset(daemon)
    round = daemon.request("POST", f"/v1/datasets/{d}/rounds", {"policy": "pi", "reference": "ref"}).json()["id"]
    refused(score(daemon, round, 422), 422, "invalid-value")
    e = put(daemon, "http://localhost:1")
    round = make_round(daemon, {"reference": e})
    daemon.request("DELETE", f"/v1/engines/{e}")
    refused(score(daemon, round, 422), 422, "unknown-id")
    assert get(daemon, round)["scoring"] is None


def test_a_closed_round_is_not_scored(daemon):
    with EngineServer() as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        assert daemon.request("POST", f"/v1/rounds/{round}/close").status == 200
        refused(score(daemon, round, 409), 409, "conflict")
        assert engine.requests == []


# --- scoring -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_both_models_are_scored(daemon, kind):
    with EngineServer(kind) as policy, EngineServer(kind) as reference:
        engines = {"policy": put(daemon, policy.url, kind), "reference": put(daemon, reference.url + "/", kind)}
        round, scoring = scored(daemon, engines, prompts=70, per_prompt=3)
        assert scoring == {"state": "done", "asked": 420, "delivered": 420, "failed": {}}
        assert round["logprobs"] == {"pi": {"wanted": 210, "there": 210}, "ref": {"wanted": 210, "there": 210}}
        assert stored(daemon, round) == wanted(70, 3, ("pi", "ref"))
        assert len(policy.requests) == len(reference.requests) == 210
        # A second run finds nothing to ask.
        score(daemon, round["id"])
        assert done(daemon, round["id"]) == {"state": "done", "asked": 0, "delivered": 0, "failed": {}}
        assert len(policy.requests) == 210
        rescored = daemon.request("POST", f"/v1/rounds/{round['id']}/rescore", {})
        # pi and ref say the same: every reward is equal, and so is every length.
        assert rescored.status == 200 and rescored.json()["prompts"] == 70, rescored


def test_one_engine_alone(daemon):
    with EngineServer() as engine:
        round, scoring = scored(daemon, {"reference": put(daemon, engine.url)})
        assert scoring["delivered"] == 4
        assert round["logprobs"] == {"pi": {"wanted": 4, "there": 0}, "ref": {"wanted": 4, "there": 4}}
        assert stored(daemon, round) == wanted(2, 2, ("ref",))


@pytest.mark.parametrize("status", [400, 404, 422])
def test_the_older_form_where_the_newer_is_refused(daemon, status):
    with EngineServer(old=status) as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url, max_in_flight=1)})
        assert scoring == {"state": "done", "asked": 4, "delivered": 4, "failed": {}}
        assert stored(daemon, round) == wanted(2, 2, ("pi",))
        # Once it is known, the newer form is not asked again.
        assert ["echo" in d for _, d in engine.requests] == [False, True, True, True, True]


def test_refused_in_both_forms(daemon):
    def answer(server, handler, ids, n):
        return handler.reply(400, {"error": "this model's maximum context length is 3"})

    with EngineServer(answer=answer) as engine:
        _, scoring = scored(daemon, {"policy": put(daemon, engine.url)})
        assert scoring["failed"] == {"engine_refused": 4} and len(engine.requests) == 8


def test_no_more_in_flight_than_allowed(daemon):
    with EngineServer(delay=0.05) as engine:
        e = put(daemon, engine.url, max_in_flight=3)
        # Both models by the same engine share its places.
        _, scoring = scored(daemon, {"policy": e, "reference": e}, prompts=10, per_prompt=2)
        assert scoring["delivered"] == 40
        assert engine.most == 3


def test_two_rounds_share_an_engines_places(daemon):
    with EngineServer(delay=0.05) as engine:
        e = put(daemon, engine.url, max_in_flight=4)
        rounds = [make_round(daemon, {"policy": e}, prompts=8) for _ in range(2)]
        for round in rounds:
            score(daemon, round)
        for round in rounds:
            assert done(daemon, round)["delivered"] == 16
        assert engine.most <= 4
        # Neither waited for the other's end: once both ask, they take turns.
        first = [d["prompt"] for _, d in engine.requests[:16]]
        assert len(first) - len({tuple(p) for p in first}) > 2


def test_two_rounds_take_turns_at_the_only_place(daemon):
    with EngineServer(delay=0.02) as engine:
        e = put(daemon, engine.url, max_in_flight=1)
        rounds = [make_round(daemon, {"policy": e}, prompts=8) for _ in range(2)]
        for round in rounds:
            score(daemon, round)
        for round in rounds:
            assert done(daemon, round)["delivered"] == 16
        seen = [tuple(d["prompt"]) for _, d in engine.requests]
        # Each text comes twice, once for each round; soon after the other time.
        assert max(seen.index(p, seen.index(p) + 1) - seen.index(p) for p in set(seen)) <= 8


def test_responses_without_token_ids(daemon):
    with EngineServer() as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url)}, ids=False)
        assert scoring == {"state": "done", "asked": 0, "delivered": 0, "failed": {"missing_token_ids": 4}}
        assert engine.requests == [] and round["logprobs"]["pi"]["there"] == 0


def test_what_a_worker_delivered_is_not_asked(daemon):
    with EngineServer() as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        d = get(daemon, round)["dataset"]
        id = daemon.request("GET", f"/v1/datasets/{d}/prompts/p0").json()["responses"][0]["id"]
        answer = daemon.post_rows(f"/v1/rounds/{round}/logprobs", [{"response": id, "model": "pi", "logprob": -99.5}])
        assert answer.status == 200
        score(daemon, round)
        assert done(daemon, round)["asked"] == 3
        values = [r["logprobs"]["pi"] for r in daemon.request("GET", f"/v1/datasets/{d}/prompts/p0").json()["responses"]]
        assert -99.5 in values


def test_stored_responses_have_no_token_ids(daemon):
    d = new_dataset(daemon)
    post(daemon, d, [{"id": "p0", "prompt": "q", "responses": [{"id": "r0", "text": "an answer"},
                                                                {"id": "r1", "text": "another"}]}])
    with EngineServer() as engine:
        round = daemon.request("POST", f"/v1/datasets/{d}/rounds", {
            "policy": "pi", "reference": "ref", "responses": "dataset", "min_responses": 2,
            "engines": {"policy": put(daemon, engine.url)}}).json()["id"]
        score(daemon, round)
        assert done(daemon, round)["failed"] == {"missing_token_ids": 2}
        assert engine.requests == []


def test_a_prompt_that_goes_while_it_is_asked(daemon):
    dataset = []

    def answer(server, handler, ids, n):
        if ids[1] == 1000 and ids[4] == 5000:  # response 0 of prompt 0
            assert daemon.request("DELETE", f"/v1/datasets/{dataset[0]}/prompts/p0").status == 204
        return False

    with EngineServer(answer=answer) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)}, prompts=2, per_prompt=1)
        dataset.append(get(daemon, round)["dataset"])
        score(daemon, round)
        assert done(daemon, round) == {"state": "done", "asked": 2, "delivered": 1, "failed": {"unknown_response": 1}}


# --- engines that fail ------------------------------------------------------------------


def one_bad(change):
    """An answer that changes what is said of response 0 of prompt 0, and of no other."""
    victim = tuple(sum(token_ids(0, 0), []))

    def answer(server, handler, ids, n):
        if ids != victim:
            return False
        _, document = server.good(handler.path, {
            "input_ids": [list(ids)], "sampling_params": {"max_new_tokens": 1, "temperature": 0},
            "return_logprob": True, "logprob_start_len": 3} if server.kind == "sglang" else {
            "model": "served", "prompt": list(ids), "max_tokens": 1, "temperature": 0, "prompt_logprobs": 0})
        other = change(document)
        return handler.reply(200, document if other is None else other)

    return answer


def vllm_list(d):
    return d["choices"][0]["prompt_logprobs"]


def sglang_list(d):
    return d[0]["meta_info"]["input_token_logprobs"]


def in_vllm(at, value):
    def change(d):
        own = list(vllm_list(d)[at])[-1]
        vllm_list(d)[at][own]["logprob"] = value
    return change


def in_sglang(at, value):
    def change(d):
        sglang_list(d)[at][0] = value
    return change


def changed(*_):
    """What was changed in its place: no other answer."""


BAD = [
    ("vllm", in_vllm(-1, None), "null_logprob"),
    ("vllm", in_vllm(-1, -9999.0), "masked_logprob"),
    ("vllm", in_vllm(-1, float("nan")), "broken_json"),
    ("vllm", in_vllm(-1, float("-inf")), "broken_json"),
    ("vllm", in_vllm(-1, 0.01), "positive_logprob"),
    ("vllm", in_vllm(-1, "x"), "wrong_form"),
    ("vllm", lambda d: changed(vllm_list(d).pop()), "length_mismatch"),
    ("vllm", lambda d: changed(vllm_list(d).insert(1, vllm_list(d)[1])), "length_mismatch"),
    ("vllm", lambda d: changed(vllm_list(d).__setitem__(-1, {"9": {"logprob": -1}})), "token_id_mismatch"),
    ("vllm", lambda d: changed(vllm_list(d).__setitem__(-1, None)), "null_logprob"),
    ("vllm", lambda d: changed(d["choices"][0].pop("prompt_logprobs")), "wrong_form"),
    ("vllm", lambda d: {"error": {"message": "overloaded"}}, "wrong_form"),
    ("vllm", lambda d: b"<html>", "broken_json"),
    ("vllm", lambda d: b"", "broken_json"),
    ("vllm", lambda d: b'{"choices":' + b"[" * 1000, "broken_json"),
    ("vllm", lambda d: b" " * (1 << 20), "answer_too_large"),
    ("sglang", in_sglang(-1, None), "null_logprob"),
    ("sglang", in_sglang(1, None), "null_logprob"),
    ("sglang", in_sglang(-1, -9999.0), "masked_logprob"),
    ("sglang", in_sglang(-1, float("nan")), "broken_json"),
    ("sglang", in_sglang(-1, 3), "positive_logprob"),
    ("sglang", lambda d: changed(sglang_list(d).pop()), "length_mismatch"),
    ("sglang", lambda d: changed(sglang_list(d)[1].__setitem__(1, 77)), "token_id_mismatch"),
    ("sglang", lambda d: changed(sglang_list(d).__setitem__(-1, [-1])), "wrong_form"),
    ("sglang", lambda d: changed(d[0].pop("meta_info")), "wrong_form"),
    ("sglang", lambda d: [d[0], d[0]], "wrong_form"),
    ("sglang", lambda d: b"nonsense", "broken_json"),
]


@pytest.mark.parametrize("kind, change, reason", BAD, ids=[f"{k}-{r}-{i}" for i, (k, _, r) in enumerate(BAD)])
def test_one_bad_answer_is_a_reason_and_the_rest_goes_on(daemon, kind, change, reason):
    with EngineServer(kind, answer=one_bad(change)) as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url, kind)})
        assert scoring == {"state": "done", "asked": 4, "delivered": 3, "failed": {reason: 1}}
        assert round["logprobs"]["pi"] == {"wanted": 4, "there": 3}
        want = wanted(2, 2, ("pi",))
        want["p0", "answer 0 to 0"] = {}
        assert stored(daemon, round) == want
        # It was asked once: such an answer does not get better.
        assert len(engine.requests) == 4


def test_busy_engines_are_asked_again_when_they_say(daemon):
    def answer(server, handler, ids, n):
        return n == 0 and handler.reply(429, {"error": "busy"}, [("Retry-After", "1")])

    with EngineServer(answer=answer) as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url)}, prompts=1, per_prompt=1)
        assert scoring == {"state": "done", "asked": 1, "delivered": 1, "failed": {}}
        assert engine.at[1] - engine.at[0] >= 0.99
        assert stored(daemon, round) == wanted(1, 1, ("pi",))


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_an_error_that_passes(daemon, kind):
    def answer(server, handler, ids, n):
        return n < 2 and handler.reply(500 + n, {"error": "out of memory"})

    with EngineServer(kind, answer=answer) as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url, kind)})
        assert scoring == {"state": "done", "asked": 4, "delivered": 4, "failed": {}}
        assert set(engine.times.values()) == {3}
        assert stored(daemon, round) == wanted(2, 2, ("pi",))


def test_an_error_that_stays(daemon):
    with EngineServer(answer=lambda server, handler, ids, n: handler.reply(503, {})) as engine:
        _, scoring = scored(daemon, {"policy": put(daemon, engine.url)}, prompts=1)
        assert scoring["failed"] == {"engine_error": 2}
        assert set(engine.times.values()) == {5}
        # 0.25, 0.5, 1 and 2 seconds lie between the tries.
        assert engine.at[-1] - engine.at[0] >= 3.7


@pytest.mark.parametrize("status, reason", [(401, "engine_refused"), (403, "engine_refused"), (413, "engine_refused"),
                                            (302, "redirected"), (307, "redirected"), (308, "redirected")])
def test_what_is_not_asked_again(daemon, status, reason):
    with EngineServer() as target:
        def answer(server, handler, ids, n):
            return handler.reply(status, {}, [("Location", target.url + "/v1/completions")])

        with EngineServer(answer=answer) as engine:
            _, scoring = scored(daemon, {"policy": put(daemon, engine.url)})
            assert scoring["failed"] == {reason: 4} and len(engine.requests) == 4
            assert target.requests == []


def test_nothing_comes(daemon):
    def hang_up(server, handler, ids, n):
        handler.close_connection = True
        return True

    with EngineServer(answer=hang_up) as engine:
        _, scoring = scored(daemon, {"policy": put(daemon, engine.url)})
        assert scoring["failed"] == {"no_answer": 4}


def test_nobody_is_there(daemon):
    with EngineServer() as engine:
        url = engine.url
    _, scoring = scored(daemon, {"policy": put(daemon, url)})
    assert scoring["failed"] == {"unreachable": 4}


def test_slow_engines_are_left_and_asked_again(fresh_daemon):
    daemon = fresh_daemon("--engine-seconds", "1")

    def answer(server, handler, ids, n):
        if n == 0:
            time.sleep(2)
        return False

    with EngineServer(answer=answer) as engine:
        round, scoring = scored(daemon, {"policy": put(daemon, engine.url)}, prompts=1)
        assert scoring == {"state": "done", "asked": 2, "delivered": 2, "failed": {}}
        assert set(engine.times.values()) == {2}
        assert stored(daemon, round) == wanted(1, 2, ("pi",))


# --- the end of a run ------------------------------------------------------------------------


def test_closing_the_round_stops_it(daemon):
    with EngineServer(delay=0.1) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url, max_in_flight=2)}, prompts=100)
        score(daemon, round)
        until(lambda: get(daemon, round)["scoring"]["delivered"] > 2)
        assert daemon.request("POST", f"/v1/rounds/{round}/close").status == 200
        scoring = done(daemon, round)
        assert scoring["state"] == "stopped" and scoring["delivered"] < 200
        asked = len(engine.requests)
        time.sleep(0.5)
        assert len(engine.requests) <= asked + 2
        assert get(daemon, round)["logprobs"]["pi"]["there"] == scoring["delivered"]


def test_deleting_the_dataset_stops_it(daemon):
    with EngineServer(delay=0.1) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url, max_in_flight=2)}, prompts=100)
        score(daemon, round)
        until(lambda: get(daemon, round)["scoring"]["delivered"] > 0)
        d = get(daemon, round)["dataset"]
        assert daemon.request("DELETE", f"/v1/datasets/{d}?confirm={quote(d)}").status == 204
        assert done(daemon, round)["state"] in ("stopped", "done")
        asked = len(engine.requests)
        time.sleep(0.5)
        assert len(engine.requests) <= asked + 2


def test_a_second_post_while_it_runs_changes_nothing(daemon):
    with EngineServer(delay=0.05) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url, max_in_flight=2)}, prompts=10)
        for _ in range(3):
            score(daemon, round)
        assert done(daemon, round)["delivered"] == 20
        assert len(engine.requests) == 20


def test_an_idempotency_key_begins_one_run(daemon):
    with EngineServer(answer=lambda server, handler, ids, n: handler.reply(401, {})) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        for i in range(2):
            answer = daemon.request("POST", f"/v1/rounds/{round}/score", headers={"Idempotency-Key": f"score-{round}"})
            assert answer.status == 202 and answer.json()["scoring"]["state"] == "running"
            assert done(daemon, round)["failed"] == {"engine_refused": 4}
        assert len(engine.requests) == 4


def test_what_failed_is_asked_by_the_next_run(daemon):
    broken = [True]

    def answer(server, handler, ids, n):
        return broken[0] and ids[-1] == 40001 and handler.reply(200, b"nonsense")

    with EngineServer(answer=answer) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        score(daemon, round)
        assert done(daemon, round) == {"state": "done", "asked": 4, "delivered": 2, "failed": {"broken_json": 2}}
        broken[0] = False
        score(daemon, round)
        assert done(daemon, round) == {"state": "done", "asked": 2, "delivered": 2, "failed": {}}
        assert stored(daemon, get(daemon, round)) == wanted(2, 2, ("pi",))


def test_sigterm_does_not_wait_for_engines(fresh_daemon):
    daemon = fresh_daemon()
    with EngineServer(delay=20) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url)})
        score(daemon, round)
        until(lambda: engine.requests)
        began = time.monotonic()
        daemon.stop()
        assert time.monotonic() - began < 10


def test_killed_and_started_a_new_post_goes_on(fresh_daemon):
    daemon = fresh_daemon()
    with EngineServer(delay=0.02) as engine:
        round = make_round(daemon, {"policy": put(daemon, engine.url, max_in_flight=4)}, prompts=100)
        score(daemon, round)
        until(lambda: get(daemon, round)["scoring"]["delivered"] > 20)
        before = get(daemon, round)["scoring"]["delivered"]
        daemon.kill()
        daemon.start()
        there = get(daemon, round)["logprobs"]["pi"]["there"]
        assert get(daemon, round)["scoring"] is None and before <= there < 200
        score(daemon, round)
        scoring = done(daemon, round)
        assert scoring == {"state": "done", "asked": 200 - there, "delivered": 200 - there, "failed": {}}
        assert stored(daemon, get(daemon, round)) == wanted(100, 2, ("pi",))
