"""POST /v1/implicit-rewards against figures worked by hand, and against the
same arithmetic done by force: every crossing of every two responses."""

import gzip
import json
import math
import random
import threading
import time

import pytest

from wire import JSON, zst

PATH = "/v1/implicit-rewards"


def response(name, policy, reference, length):
    return {"id": name, "policy_logprob": policy, "reference_logprob": reference, "length": length}


def ask(daemon, groups, **options):
    answer = daemon.request("POST", PATH, {"groups": groups, **options})
    assert answer.status == 200, answer
    return answer.json()


# --- by hand ----------------------------------------------------------------------------

# beta 0.5: r = 5, 3, 1, 0. At alpha 0.25 (r − L/4): 1, 2, −2, −0.5.
FOUR = [response("a", -10, -20, 16), response("b", -4, -10, 4), response("c", -3, -5, 12), response("d", -7, -7, 2)]


def test_a_given_alpha(daemon):
    got = ask(daemon, [{"id": "p", "responses": FOUR}], beta=0.5, alpha=0.25)
    assert got == {
        "alpha": 0.25, "beta": 0.5, "length_gap": {"before": 14, "after": -8},
        "groups": [{"id": "p", "rewards": {"a": 1, "b": 2, "c": -2, "d": -0.5}, "chosen": "b", "rejected": "c"}]}


def test_defaults(daemon):
    """beta 0.1, alpha auto, min_responses 2; an absent id is null."""
    got = ask(daemon, [{"responses": [response("x", -1, -11, 5), response("y", -2, -2, 9)]},
                       {"id": "q", "responses": [response("x", -1, -11, 5)]}])
    assert got == {
        "alpha": 0, "beta": 0.1, "length_gap": {"before": -4, "after": -4},
        "groups": [{"id": None, "rewards": {"x": 1, "y": 0}, "chosen": "x", "rejected": "y"},
                   {"id": "q", "rewards": {"x": 1}, "chosen": None, "rejected": None, "skipped": "too_few_responses"}]}


def test_auto(daemon):
    """+6 up to 1/2, then −6; +2 up to 2, then −2: the mean is 4, then −2 from 1/2 on."""
    groups = [{"id": "a", "responses": [response("long", -6, -10, 10), response("short", -9, -10, 4)]},
              {"id": "b", "responses": [response("long", -1, -10, 6), response("short", -5, -10, 4)]}]
    got = ask(daemon, groups, beta=1)
    assert got["alpha"] == 0.5 + 1e-9 and got["length_gap"] == {"before": 4, "after": -2}
    assert [(g["chosen"], g["rejected"]) for g in got["groups"]] == [("short", "long"), ("long", "short")]
    assert got["groups"][1]["rewards"]["long"] == 9 - (0.5 + 1e-9) * 6


def test_grid_searches_without_beta_and_answers_with_it(daemon):
    """Scores change places at 0.25/100 = 0.0025: so 0.003, times beta."""
    groups = [{"responses": [response("a", -1, -2, 300), response("b", -1, -1.75, 200)]},
              {"responses": [response("a", -1, -9, 100), response("b", -1, -1, 95)]}]
    got = ask(daemon, groups, beta=0.5, alpha="grid")
    assert got["alpha"] == 0.5 * 0.003 and got["length_gap"] == {"before": 52.5, "after": -47.5}


def test_ties(daemon):
    """Of equals the shorter, then the smaller id, bytewise; whatever the order posted."""
    same = [response(name, -1, -1, 3) for name in ("b", "B", "a", "10", "9")]
    longer = [response(name, -1, -1, 8) for name in ("x", "X")]
    got = ask(daemon, [{"responses": longer + same}], alpha=0)
    assert (got["groups"][0]["chosen"], got["groups"][0]["rejected"]) == ("10", "x")
    tied = ask(daemon, [{"responses": same}])
    assert tied["groups"][0]["skipped"] == "tied" and tied["groups"][0]["chosen"] is None
    assert tied["alpha"] == 0 and tied["length_gap"] == {"before": 0, "after": 0}


def test_skips(daemon):
    groups = [{"id": f"g{n}", "responses": [response(f"r{i}", -1 - i, -3, 4) for i in range(n)]} for n in range(4)]
    for least in range(1, 5):
        got = ask(daemon, groups, min_responses=least)["groups"]
        why = [g.get("skipped") for g in got]
        assert why == ["too_few_responses" if n < least else "tied" if n == 1 else None for n in range(4)]


def test_a_little_above_zero_is_zero(daemon):
    got = ask(daemon, [{"responses": [response("a", 0.001, -1, 1), response("b", -1, 0.0005, 1)]}], beta=1, alpha=0)
    assert got["groups"][0]["rewards"] == {"a": 1, "b": -1}


def test_no_groups(daemon):
    assert ask(daemon, []) == {"alpha": 0, "beta": 0.1, "length_gap": {"before": 0, "after": 0}, "groups": []}


# --- by force ---------------------------------------------------------------------------


def rewards(group, beta):
    return [(beta * (r["policy_logprob"] - r["reference_logprob"]), r["length"], r["id"]) for r in group["responses"]]


def pair(scored, alpha):
    order = sorted(scored, key=lambda x: (-(x[0] - alpha * x[1]), x[1], x[2]))
    return order[0], order[-1]


def gap(groups, alpha):
    return math.fsum(b[1] - w[1] for b, w in (pair(g, alpha) for g in groups)) / len(groups) if groups else 0


def least_gap(groups):
    crossings = sorted({(a[0] - b[0]) / (a[1] - b[1]) for g in groups for a in g for b in g if a[1] > b[1]})
    crossings = [c for c in crossings if c > 0]
    best = abs(gap(groups, 0))
    for c, after in zip(crossings, crossings[1:] + [math.inf]):
        if after - c > 1e-12 * after or after == math.inf:
            best = min(best, abs(gap(groups, c + min((after - c) / 2, 1e-9 * max(1, c)))))
    return best


def grid(groups):
    """The published search, over scores without beta."""
    best, alpha = math.inf, 0
    for k in range(1000):
        d = abs(gap(groups, k * 0.001))
        if d > best:
            break
        if d < best:
            best, alpha = d, k * 0.001
    return alpha


def random_groups(rng, kind):
    groups = []
    for g in range(rng.randrange(1, 9)):
        responses = []
        for i in range(rng.randrange(1, 10)):
            length = {"characters": rng.randrange(4, 2000), "few": rng.randrange(4), "real": 50 * rng.random()}[kind]
            policy = -rng.randrange(4) if kind == "few" else -300 * rng.random() + 0.02 * length - 40
            reference = -rng.randrange(4) if kind == "few" else -300 * rng.random() - 40
            responses.append(response(f"r{rng.randrange(10**6)}-{i}", policy, reference, length))
        groups.append({"id": f"g{g}", "responses": responses})
    return groups


@pytest.mark.parametrize("kind", ["characters", "few", "real"])
def test_no_other_alpha_is_better(daemon, kind):
    rng = random.Random(kind)
    for _ in range(60):
        groups, beta = random_groups(rng, kind), rng.choice([0.1, 1, 0.37])
        got = ask(daemon, groups, beta=beta)
        kept = [rewards(g, beta) for g, a in zip(groups, got["groups"]) if "skipped" not in a]
        assert got["length_gap"]["before"] == pytest.approx(gap(kept, 0), abs=1e-9)
        assert got["length_gap"]["after"] == pytest.approx(gap(kept, got["alpha"]), abs=1e-9)
        assert abs(got["length_gap"]["after"]) == pytest.approx(least_gap(kept), abs=1e-9)
        for g, a in zip(groups, got["groups"]):
            scored = rewards(g, beta)
            assert a["rewards"] == {name: r - got["alpha"] * length for r, length, name in scored}
            if "skipped" not in a:
                best, worst = pair(scored, got["alpha"])
                assert (a["chosen"], a["rejected"]) == (best[2], worst[2])
        assert ask(daemon, groups, beta=beta, alpha=got["alpha"]) == got


def test_grid_is_the_published_search(daemon):
    rng = random.Random(5)
    for _ in range(30):
        groups = random_groups(rng, "characters")
        got = ask(daemon, groups, beta=0.2, alpha="grid")
        kept = [rewards(g, 1) for g, a in zip(groups, got["groups"]) if "skipped" not in a]
        assert got["alpha"] == 0.2 * grid(kept)
        assert abs(ask(daemon, groups, beta=0.2)["length_gap"]["after"]) <= abs(got["length_gap"]["after"])


# --- what is refused ----------------------------------------------------------------------

GOOD = response("a", -1, -2, 3)


def groups_with(**changes):
    """Three good groups and a fourth whose first response is changed; None takes a key out."""
    bad = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    good = {"responses": [GOOD, {**GOOD, "id": "b"}]}
    return {"groups": [good] * 3 + [{"responses": [bad, {**GOOD, "id": "b"}]}]}


HERE = "/groups/3/responses/0"
INVALID, KEY = "/problems/invalid-value", "/problems/unknown-key"
REFUSED = {
    "no groups": ({}, INVALID, "/groups"),
    "groups: an object": ({"groups": {}}, INVALID, "/groups"),
    "a group: a list": ({"groups": [[]]}, INVALID, "/groups/0"),
    "a group without responses": ({"groups": [{"id": "g"}]}, INVALID, "/groups/0/responses"),
    "responses: null": ({"groups": [{"responses": None}]}, INVALID, "/groups/0/responses"),
    "a response: a number": ({"groups": [{"responses": [1]}]}, INVALID, "/groups/0/responses/0"),
    "a group's id: a number": ({"groups": [{"id": 1, "responses": []}]}, INVALID, "/groups/0/id"),
    "an unknown key": ({"groups": [], "gamma": 1}, KEY, "/gamma"),
    "an unknown key of a group": ({"groups": [{"responses": [], "prompt": "p"}]}, KEY, "/groups/0/prompt"),
    "an unknown key of a response": (groups_with(text="t"), KEY, HERE + "/text"),
    "an unknown key with a slash": ({"groups": [], "a/b~": 1}, KEY, "/a~1b~0"),
    "beta 0": ({"beta": 0, "groups": []}, INVALID, "/beta"),
    "beta below 0": ({"beta": -0.1, "groups": []}, INVALID, "/beta"),
    "beta: a string": ({"beta": "0.1", "groups": []}, INVALID, "/beta"),
    "beta too great": ({"beta": 1e16, "groups": []}, INVALID, "/beta"),
    "alpha below 0": ({"alpha": -1e-9, "groups": []}, INVALID, "/alpha"),
    "alpha: another word": ({"alpha": "best", "groups": []}, KEY, "/alpha"),
    "alpha: null": ({"alpha": None, "groups": []}, INVALID, "/alpha"),
    "alpha too great": ({"alpha": 1e16, "groups": []}, INVALID, "/alpha"),
    "min_responses 0": ({"min_responses": 0, "groups": []}, INVALID, "/min_responses"),
    "min_responses: half": ({"min_responses": 2.5, "groups": []}, INVALID, "/min_responses"),
    "min_responses: true": ({"min_responses": True, "groups": []}, INVALID, "/min_responses"),
    "min_responses too great": ({"min_responses": 2**31, "groups": []}, INVALID, "/min_responses"),
    "a log-probability above 0.001": (groups_with(policy_logprob=0.0011), INVALID, HERE + "/policy_logprob"),
    "a reference above 0.001": (groups_with(reference_logprob=1), INVALID, HERE + "/reference_logprob"),
    "a log-probability too small": (groups_with(policy_logprob=-1e16), INVALID, HERE + "/policy_logprob"),
    "a log-probability: a string": (groups_with(policy_logprob="-1"), INVALID, HERE + "/policy_logprob"),
    "no log-probability": (groups_with(reference_logprob=None), INVALID, HERE + "/reference_logprob"),
    "a length below 0": (groups_with(length=-1), INVALID, HERE + "/length"),
    "a length too great": (groups_with(length=1e16), INVALID, HERE + "/length"),
    "no length": (groups_with(length=None), INVALID, HERE + "/length"),
    "an empty id": (groups_with(id=""), INVALID, HERE + "/id"),
    "an id with a space": (groups_with(id="a b"), INVALID, HERE + "/id"),
    "an id: a number": (groups_with(id=1), INVALID, HERE + "/id"),
    "no id": (groups_with(id=None), INVALID, HERE + "/id"),
    "an id twice": (groups_with(id="b"), INVALID, "/groups/3/responses/1/id"),
    "an array": ([], INVALID, None),
    "a string": ("groups", INVALID, None),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused(daemon, kind):
    body, problem, pointer = REFUSED[kind]
    answer = daemon.request("POST", PATH, json.dumps(body), JSON)
    assert (answer.status, answer.headers["content-type"]) == (422, "application/problem+json"), answer
    assert (answer.json()["type"], answer.json().get("pointer")) == (problem, pointer), answer


def test_the_first_of_several_twins_is_named(daemon):
    """z, y, y, z: the second y comes before the second z."""
    body = {"groups": [{"responses": [{**GOOD, "id": name} for name in ("z", "y", "y", "z")]}]}
    answer = daemon.request("POST", PATH, body)
    assert (answer.status, answer.json()["pointer"]) == (422, "/groups/0/responses/2/id")


@pytest.mark.parametrize("text", [
    b"", b"{", b"{\"groups\":[]", b"{\"groups\":[]}}", b"{\"groups\":[],}", b"{\"groups\":[],\"groups\":[]}",
    b"{\"groups\":[{\"responses\":[{\"id\":\"a\",\"id\":\"b\"}]}]}", b"{\"beta\":1e400,\"groups\":[]}",
    b"{\"beta\":NaN,\"groups\":[]}", b"{\"beta\":-Infinity,\"groups\":[]}", b"{\"groups\":[],\"a\":\"\\u0000\"}",
    b"{\"groups\":" + b"[" * 40 + b"]" * 40 + b"}", b"{\"groups\":[],\"a\":\"\xff\"}"])
def test_broken(daemon, text):
    answer = daemon.request("POST", PATH, text, JSON)
    assert (answer.status, answer.json()["type"]) == (400, "/problems/broken-json"), answer


def test_too_many_responses_of_one_group(daemon):
    most = daemon.request("GET", "/v1/limits").json()["json_members"]
    names = [{**GOOD, "id": str(i), "length": i} for i in range(most + 1)]
    answer = daemon.request("POST", PATH, {"groups": [{"responses": names}]})
    assert (answer.status, answer.json()["pointer"]) == (413, "/groups/0/responses")
    got = ask(daemon, [{"responses": names[:most]}])["groups"][0]
    assert (got["chosen"], got["rejected"], len(got["rewards"])) == ("0", str(most - 1), most)


def test_other_methods(daemon):
    answer = daemon.request("GET", PATH)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    assert daemon.request("POST", PATH + "?alpha=1", {"groups": []}).status == 422


# --- how it travels -------------------------------------------------------------------------


def test_spaces_escapes_and_codings(daemon):
    """Keys and ids as escapes, numbers in every form, and the body packed."""
    text = (b' { "gro\\u0075ps" : [ { "responses" : [ { "id" : "\\u0061" , "policy_logprob" : -1e0 ,\n'
            b'"reference_logprob" : -20e-1, "length":\t5.0e+0 } , {"id":"b","policy_logprob":-0,'
            b'"reference_logprob":-0.0,"length":0} ] } ] , "beta":1,"\\u0061lpha":0}\r\n')
    plain = daemon.request("POST", PATH, text, JSON)
    assert plain.json()["groups"][0]["rewards"] == {"a": 1, "b": 0}
    for coding, packed in (("gzip", gzip.compress(text)), ("zstd", zst(text))):
        assert daemon.request("POST", PATH, packed, {**JSON, "Content-Encoding": coding}).body == plain.body


def test_the_same_body_has_the_same_answer(daemon):
    body = {"groups": random_groups(random.Random(9), "characters")}
    first = daemon.request("POST", PATH, body, {"Idempotency-Key": "k1"})
    shuffled = [{"id": g["id"], "responses": g["responses"][::-1]} for g in body["groups"]]
    assert first.body == daemon.request("POST", PATH, body, {"Idempotency-Key": "k1"}).body
    assert first.body == daemon.request("POST", PATH, {"groups": shuffled}).body
    assert daemon.request("POST", PATH, body, {"Idempotency-Key": "k" * 200}).status == 422


def large(n):
    rng = random.Random(3)
    return json.dumps({"groups": [{"id": f"g{g}", "responses": [
        response(f"g{g}-{i}", -500 * rng.random(), -500 * rng.random() - 20, rng.randrange(4, 6700))
        for i in range(16)]} for g in range(n)]}).encode()


def test_large_documents_keep_nobody_waiting(daemon):
    """While several are worked on, other requests are answered."""
    body, answers = large(4000), []

    def post():
        answers.append(daemon.request("POST", PATH, body, JSON))

    threads = [threading.Thread(target=post) for _ in range(4)]
    for t in threads:
        t.start()
    slowest = 0
    while any(t.is_alive() for t in threads):
        began = time.monotonic()
        assert daemon.request("GET", "/healthz").status == 200
        slowest = max(slowest, time.monotonic() - began)
    for t in threads:
        t.join(60)
    assert [a.status for a in answers] == [200] * 4 and len({a.body for a in answers}) == 1
    assert slowest < 5
    got = answers[0].json()
    assert abs(got["length_gap"]["after"]) < 2 < abs(got["length_gap"]["before"])
    assert len(got["groups"]) == 4000
