"""Rounds rescored: against tests/http/model_rounds.py, which tries every crossing."""

import pytest

import model_rounds as mr
from rounds_kit import (POLICY, REFERENCE, create, known_of_round, prompt_id, publish, refused, rescore, rewards, roles,
                        sample_id, stored_round)
from wire import new_dataset, post


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_other_alpha_has_a_smaller_gap(daemon, seed):
    _, r, known = stored_round(daemon, seed)
    seen = rescore(daemon, r)
    gs = mr.groups(known)
    best = mr.auto(gs)
    assert seen["alpha"] == pytest.approx(best, rel=1e-9, abs=1e-12)
    assert abs(mr.gap(gs, seen["alpha"])) == min(abs(mr.gap(gs, a)) for a in [0.0, best, *mr.crossings(gs)])
    assert seen["length_gap"]["before"] == float(mr.gap(gs, 0.0))
    assert seen["length_gap"]["after"] == float(mr.gap(gs, seen["alpha"]))
    assert abs(seen["length_gap"]["after"]) < seen["length_gap"]["before"]


def test_a_rescoring_says_what_it_counted(daemon):
    _, r, known = stored_round(daemon, 11, prompts=40, per_prompt=5, min_responses=5)
    seen = rescore(daemon, r)
    gs = mr.groups(known)
    skipped, dropped = {}, {}
    for g in gs:
        if g.skipped:
            skipped[g.skipped] = skipped.get(g.skipped, 0) + 1
        for why in g.reasons.values():
            dropped[why] = dropped.get(why, 0) + 1
    assert {"duplicate_text", "finish_reason", "missing_logprob", "too_short"} <= dropped.keys()
    assert (seen["skipped"], seen["dropped"]) == (skipped, dropped)
    assert seen["prompts"] == 40 and seen["pairs"] == 40 - sum(skipped.values())
    values = [x for g in gs for x in g.regular(seen["alpha"])]
    assert seen["rewards"]["min"] == min(values) and seen["rewards"]["max"] == max(values)
    assert seen["rewards"]["mean"] == pytest.approx(sum(values) / len(values), rel=1e-12)
    mean = sum(values) / len(values)
    assert seen["rewards"]["std"] == pytest.approx((sum((v - mean) ** 2 for v in values) / len(values)) ** 0.5)
    edges, tally = seen["rewards"]["histogram"]["bin_edges"], seen["rewards"]["histogram"]["counts"]
    assert len(edges) == len(tally) + 1 == 21 and sum(tally) == len(values)
    for i, n in enumerate(tally):
        last = i == len(tally) - 1
        assert n == sum(edges[i] <= v and (v < edges[i + 1] or (last and v <= edges[i + 1])) for v in values)


def test_the_answered_alpha_gives_the_same_pairs(daemon):
    _, r, known = stored_round(daemon, 21)
    first = rescore(daemon, r)
    again = rescore(daemon, r, alpha=first["alpha"])
    assert again == {**first, "rescoring": 2}
    assert roles(rewards(daemon, r, rescoring=1)) == roles(rewards(daemon, r, rescoring=2))
    # Nothing that decides the pairs differs: the same revision.
    assert publish(daemon, r, rescoring=1)["revision"] == publish(daemon, r, rescoring=2)["revision"]
    other = rescore(daemon, r, alpha=first["alpha"] / 2)
    assert other["length_gap"]["after"] >= first["length_gap"]["after"]
    assert publish(daemon, r, rescoring=3)["revision"] != publish(daemon, r, rescoring=1)["revision"]


def test_rewards_of_every_response(daemon):
    _, r, known = stored_round(daemon, 31, prompts=15)
    alpha = rescore(daemon, r)["alpha"]
    want = []
    for g in mr.groups(known):
        pair = g.pair(alpha) if g.skipped is None else (None, None)
        places = {x.id: k for k, x in enumerate(g.valid)}
        for x in sorted(g.all, key=lambda x: x.order):
            k = places.get(x.id)
            scored = {m: x.logprobs.get(m, (None,))[0] for m in (POLICY, REFERENCE)}
            row = {"response": x.id, "prompt": g.prompt.id, "reward": None if k is None else g.regular(alpha)[k],
                   "length": len(x.text), "policy_logprob": scored[POLICY], "reference_logprob": scored[REFERENCE],
                   "role": None if k is None else {pair[0]: "chosen", pair[1]: "rejected"}.get(k)}
            if x.id in g.reasons:
                row["left_out"] = g.reasons[x.id]
            want.append(row)
    seen = rewards(daemon, r)
    assert seen == want
    assert rewards(daemon, r, limit=1) == want and rewards(daemon, r, limit=7) == want
    one = prompt_id(7)
    assert rewards(daemon, r, prompt=one) == [x for x in want if x["prompt"] == one]


def test_other_values_need_no_new_log_probabilities(daemon):
    _, r, known = stored_round(daemon, 41, beta=0.1)
    rescore(daemon, r)
    for number, (values, document) in enumerate([
            ({"beta": 0.5}, {"beta": 0.5}),
            ({"min_responses": 6}, {"min_responses": 6}),
            ({"min_responses": 1}, {"min_responses": 1, "alpha": 0})], start=2):
        known2 = known_of_round(known, **values)
        seen = rescore(daemon, r, **document)
        gs = mr.groups(known2)
        assert seen["rescoring"] == number and seen["pairs"] == sum(g.skipped is None for g in gs)
        want = {}
        for g in gs:
            if g.skipped is None:
                w, l = g.pair(seen["alpha"])
                want[g.prompt.id, "chosen"], want[g.prompt.id, "rejected"] = g.valid[w].id, g.valid[l].id
        assert roles(rewards(daemon, r, rescoring=number)) == want
    told = daemon.request("GET", f"/v1/rounds/{r}").json()["rescorings"]
    assert [x["rescoring"] for x in told] == [1, 2, 3, 4]


def test_lengths_in_tokens(daemon):
    """Delivered with the response, else with a log-probability; two counts that differ are a mismatch."""
    dataset = new_dataset(daemon, "tokens")
    post(daemon, dataset, [{"id": "p", "prompt": "q"}])
    r = create(daemon, dataset, responses="sample", responses_per_prompt=5, min_responses=2, length="tokens")
    samples = [{"prompt": "p", "index": i, "text": f"answer {i}", "finish_reason": "stop",
                **({"tokens": 10 + i} if i < 2 else {})} for i in range(5)]
    assert daemon.post_rows(f"/v1/rounds/{r}/responses", samples).status == 200
    ids = {i: sample_id(r, "p", i) for i in range(5)}
    counted = {2: (7, 7), 3: (7, 8), 4: (None, None)}
    rows = [{"response": ids[i], "model": m, "logprob": -1.0 - i - k * 3,
             **({"tokens": counted[i][k]} if i in counted and counted[i][k] else {})}
            for i in range(5) for k, m in enumerate((POLICY, REFERENCE))]
    assert daemon.post_rows(f"/v1/rounds/{r}/logprobs", rows).status == 200
    seen = rescore(daemon, r, alpha=0.01)
    assert seen["dropped"] == {"missing_tokens": 1, "token_mismatch": 1} and seen["pairs"] == 1
    listed = {x["response"]: x for x in rewards(daemon, r)}
    assert [listed[ids[i]]["length"] for i in range(5)] == [10, 11, 7, None, None]
    # All r are equal: the shortest has the greatest r - alpha |y|.
    assert listed[ids[2]]["role"] == "chosen" and listed[ids[1]]["role"] == "rejected"
    assert rescore(daemon, r, length="characters", alpha=0)["dropped"] == {"token_mismatch": 1}


def test_what_comes_later_belongs_to_the_next(daemon):
    """A rescoring stands on the facts as they were, and so does what is made of it."""
    dataset = new_dataset(daemon, "later")
    post(daemon, dataset, [{"id": "p", "prompt": "q"}, {"id": "s", "prompt": "s"}])
    r = create(daemon, dataset, responses="sample", responses_per_prompt=3, min_responses=2)

    def deliver(prompt, index, policy):
        row = {"prompt": prompt, "index": index, "text": f"answer {index}", "logprobs": {POLICY: policy, REFERENCE: -5}}
        assert daemon.post_rows(f"/v1/rounds/{r}/responses", [row]).status == 200

    deliver("p", 0, -1)
    deliver("p", 1, -2)
    assert rescore(daemon, r, alpha=0)["pairs"] == 1
    before = rewards(daemon, r)
    made = publish(daemon, r)
    deliver("p", 2, -0.5)
    deliver("s", 0, -1)
    deliver("s", 1, -3)
    assert rewards(daemon, r, rescoring=1) == before
    assert publish(daemon, r, rescoring=1)["revision"] == made["revision"]
    assert rescore(daemon, r, alpha=0)["pairs"] == 2
    assert len(rewards(daemon, r)) == 5
    late = publish(daemon, r)
    assert late["pairs"] == 2 and late["revision"] != made["revision"]


def test_an_idempotency_key_rescores_once(daemon):
    _, r, _ = stored_round(daemon, 51)
    first = rescore(daemon, r, headers={"Idempotency-Key": f"k-{r}"})
    again = rescore(daemon, r, headers={"Idempotency-Key": f"k-{r}"})
    assert first == again and first["rescoring"] == 1
    assert rescore(daemon, r)["rescoring"] == 2


def test_a_round_without_anything(daemon):
    dataset = new_dataset(daemon, "empty")
    r = create(daemon, dataset)
    seen = rescore(daemon, r)
    assert (seen["prompts"], seen["pairs"], seen["alpha"]) == (0, 0, 0)
    assert seen["rewards"] == {"mean": None, "std": None, "min": None, "max": None,
                               "histogram": {"bin_edges": [], "counts": []}}
    made = publish(daemon, r)
    assert made["pairs"] == 0 and made["state"] == "ready"


@pytest.mark.parametrize("document, problem, pointer", [
    ({"beta": 0}, "invalid-value", "/beta"), ({"beta": -1}, "invalid-value", "/beta"),
    ({"alpha": -0.1}, "invalid-value", "/alpha"), ({"alpha": "grid"}, "invalid-value", "/alpha"),
    ({"length": "bytes"}, "invalid-value", "/length"), ({"min_responses": 0}, "invalid-value", "/min_responses"),
    ({"gamma": 1}, "unknown-key", "/gamma"), ([], "invalid-value", "")])
def test_bad_rescorings(daemon, document, problem, pointer):
    dataset = new_dataset(daemon, "bad")
    r = create(daemon, dataset)
    refused(daemon.request("POST", f"/v1/rounds/{r}/rescore", document), 422, problem, pointer)
    assert daemon.request("GET", f"/v1/rounds/{r}").json()["rescorings"] == []


def test_what_there_is_not(daemon):
    refused(daemon.request("POST", "/v1/rounds/nobody/rescore", {}), 404, "unknown-round")
    refused(daemon.request("GET", "/v1/rounds/nobody/rewards"), 404, "unknown-round")
    refused(daemon.request("POST", "/v1/rounds/nobody/publish", {}), 404, "unknown-round")
    dataset = new_dataset(daemon, "none")
    post(daemon, dataset, [{"id": "a1", "prompt": "a"}, {"id": "a-", "prompt": "b"}, {"id": "a0", "prompt": "c"}])
    r = create(daemon, dataset)
    refused(daemon.request("GET", f"/v1/rounds/{r}/rewards"), 404, "unknown-rescoring")
    refused(daemon.request("POST", f"/v1/rounds/{r}/publish", {}), 422, "unknown-id", "/rescoring")
    rescore(daemon, r)
    refused(daemon.request("GET", f"/v1/rounds/{r}/rewards?rescoring=2"), 404, "unknown-rescoring")
    refused(daemon.request("GET", f"/v1/rounds/{r}/rewards?rescoring=0"), 422, "invalid-value", "?rescoring")
    refused(daemon.request("GET", f"/v1/rounds/{r}/rewards?prompt=a"), 422, "unknown-id", "?prompt")
    refused(daemon.request("GET", f"/v1/rounds/{r}/rewards?prompt=%20"), 422, "unknown-id", "?prompt")
    refused(daemon.request("POST", f"/v1/rounds/{r}/publish", {"rescoring": 2}), 422, "unknown-id", "/rescoring")
    for id in ("a1", "a-", "a0"):
        assert rewards(daemon, r, prompt=id) == []
