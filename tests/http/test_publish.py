"""Rescorings published as snapshots, with and without replay, and their files: against tests/http/model_rounds.py."""

import glob
import json
import os
import random
import time

import pytest

import model
import model_rounds as mr
from rounds_kit import (BOTH, POLICY, REFERENCE, as_published, check_published, create, lengthy_rows, prompt_id,
                        prompts_of, publish, refused, rescore, rewards, roles, sample_id, sampled, scale_of,
                        stored_round, words)
from wire import batch, export, facts, make, new_dataset, post


def test_a_published_round_is_the_models(daemon, sampled):
    dataset, r, known = sampled
    alpha = rescore(daemon, r)["alpha"]
    made = publish(daemon, r)
    wanted = mr.own_pairs(known, mr.groups(known), alpha, scale_of(daemon, dataset))
    assert len(wanted) > 15
    check_published(daemon, made, wanted, prompts_of(known))
    assert made["recipe"]["view"]["augment"] == "none" and made["examples"] == made["pairs"]
    number = made["recipe"]["made_from"]["rescoring"]
    assert made["lineage"] == [{"origin": "on_policy", "round": r, "rescoring": number, **BOTH}]
    assert "replay" not in made
    assert made["id"] in daemon.request("GET", f"/v1/rounds/{r}").json()["snapshots"]


def test_goals_of_a_published_round(daemon, sampled):
    """Its own view may add them: quantiles on the goal scale."""
    _, r, _ = sampled
    rescore(daemon, r)
    made = publish(daemon, r, view={"augment": "both"})
    plain = publish(daemon, r)
    assert made["examples"] == 2 * made["pairs"] and made["revision"] == plain["revision"]
    for high, low in zip(*[iter(export(daemon, made["id"]).rows())] * 2):
        assert 1 <= low["goal"] <= high["goal"] <= 10 and high["goal"] == round_to(high["goal"])
        assert high["chosen"] == low["rejected"] and high["score_chosen"] == low["score_rejected"]
    for goal in ("reward", "attributes"):
        refused(daemon.request("POST", f"/v1/rounds/{r}/publish", {"view": {"goal": goal}}), 422, "invalid-value",
                "/view/goal")


def round_to(x):
    return float(f"{x:.4f}")


def test_published_again(daemon, sampled):
    dataset, r, _ = sampled
    rescore(daemon, r)
    name = f"{r}-pub"
    first = publish(daemon, r, name=name)
    assert publish(daemon, r, status=200, name=name) == first
    second = publish(daemon, r)
    assert second["id"] != first["id"] and second["revision"] == first["revision"]
    refused(daemon.request("POST", f"/v1/rounds/{r}/publish", {"name": name, "rescoring": 1}), 409, "conflict", "/name")
    refused(daemon.request("POST", f"/v1/datasets/{dataset}/snapshots", {"name": name, "recipe": {}}), 409, "conflict",
            "/name")


def test_two_rounds_of_equal_facts_are_one_revision(daemon):
    """Ids of rounds are names: equal data is equal bytes."""
    dataset, r, _ = stored_round(daemon, 61)
    other = create(daemon, dataset, min_responses=3, filters={"min_characters": 4})
    rescore(daemon, r)
    rescore(daemon, other)
    one, two = publish(daemon, r), publish(daemon, other)
    assert one["revision"] == two["revision"] and one["lineage"][0]["round"] != two["lineage"][0]["round"]
    assert one["lineage"][0]["origin"] == "rescored"


def test_equal_quantiles_stay_as_plain_pairs(daemon):
    """Equal r, different lengths: at alpha 0 a pair by length alone, and no goal tells its answers apart."""
    dataset = new_dataset(daemon, "alike")
    values = {POLICY: -3.0, REFERENCE: -4.0}
    post(daemon, dataset, [{"id": "p", "prompt": "q", "responses": [
        {"id": "a", "text": "longer than it", "logprobs": values}, {"id": "b", "text": "short", "logprobs": values}]}])
    r = create(daemon, dataset, min_responses=2)
    assert rescore(daemon, r, alpha=0)["pairs"] == 1
    made = publish(daemon, r, view={"augment": "both"})
    rows = export(daemon, made["id"]).rows()
    assert [(x["twin"], x["chosen_id"], x["goal"]) for x in rows] == [("plain", "b", None)] * 2
    assert rows[0]["score_chosen"] == rows[0]["score_rejected"]
    assert "1 of 1 pairs have no goals: they stay plain, under `both` in both their places." in made["warnings"]
    assert made["skipped"] == {}


# --- replay -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def offline(daemon, sampled):
    """A judged snapshot over the same prompts, a few twins in messages, and others: (snapshot, prompts by id)."""
    dataset, _, known = sampled
    rng = random.Random(5)
    rows = []
    for i in list(range(0, 30, 2)) + list(range(100, 125)):
        text = f"question {i % 103}" if i in (103, 104, 105) else f"question {i}"
        responses = [{"id": f"{prompt_id(i)}.o{k}", "text": f"{words(rng, 1, 9)} {k} \"\\\té", "model": "old",
                      "scores": [{"judge": "g", "value": rng.randrange(1, 11)}]} for k in range(4)]
        rows.append({"id": prompt_id(i), "prompt": text, "responses": responses})
    post(daemon, dataset, rows)
    made = make(daemon, dataset, {"pairing": {"strategy": "best_rest"}, "filters": {"models": ["old"]}})
    prompts = {p.id: p for p in facts(daemon, dataset).prompts}
    return made, prompts


@pytest.mark.parametrize("gamma", ["0", "0.25", "0.5", "0.8", "1", "0.333333333333333333", "8e-1"])
@pytest.mark.parametrize("total", [None, 10, 200])
def test_replay(daemon, sampled, offline, gamma, total):
    dataset, r, known = sampled
    other, prompts = offline
    alpha = rescore(daemon, r)["alpha"]
    more = "" if total is None else f',"total":{total}'
    body = f'{{"replay":{{"snapshot":"{other["id"]}","gamma":{gamma},"seed":3{more}}}}}'
    answer = daemon.request("POST", f"/v1/rounds/{r}/publish?wait=60", body.encode(),
                            {"Content-Type": "application/json"})
    assert answer.status == 201, answer
    made = answer.json()
    scale = scale_of(daemon, dataset)
    own = mr.own_pairs(known, mr.groups(known), alpha, scale)
    pool = as_published(daemon, other["id"], prompts)
    wanted, told = mr.replayed(own, pool, gamma, 3, total or other["prompts"], scale)
    assert made["replay"] == told
    check_published(daemon, made, wanted, prompts)
    origins = [p.origin for p in wanted]
    assert made["replay"]["taken"] == origins.count("replay")
    hashes = [p.prompt.messages_hash() for p in wanted]
    assert len(set(hashes)) == len(hashes)
    assert made["lineage"][1] == {"origin": "replay", "snapshot": other["id"], "revision": other["revision"]}
    if gamma == "0":
        assert told["taken"] == 0 and told["generated"] == min(len(own), total or other["prompts"])
    if gamma == "1":
        assert told["generated"] == 0 and told["wanted"] == (total or other["prompts"])


def test_equal_decimals_are_one_revision(daemon, sampled, offline):
    _, r, _ = sampled
    other, _ = offline
    rescore(daemon, r)
    made = {g: json.loads(daemon.request(
        "POST", f"/v1/rounds/{r}/publish?wait=60",
        f'{{"replay":{{"snapshot":"{other["id"]}","gamma":{g}}}}}'.encode(), {"Content-Type": "application/json"}).body)
        for g in ("0.5", "0.50", "5e-1", "0.500000000000000001")}
    assert made["0.5"]["recipe"]["published"]["replay"]["gamma"] == "0.5"
    assert made["0.5"]["revision"] == made["0.50"]["revision"] == made["5e-1"]["revision"]
    assert made["0.500000000000000001"]["revision"] != made["0.5"]["revision"]


def test_votes_are_replayed_plain(daemon, sampled):
    """Pairs without rewards have no goals, wherever they stand."""
    dataset, r, _ = sampled
    rows = [{"id": f"v{i}", "prompt": f"vote {i}",
             "responses": [{"id": f"v{i}.a", "text": "one"}, {"id": f"v{i}.b", "text": "two"}],
             "comparisons": [{"judge": "human", "chosen": f"v{i}.a", "rejected": f"v{i}.b"}]} for i in range(6)]
    post(daemon, dataset, rows)
    votes = make(daemon, dataset, {"pairing": {"strategy": "comparisons"}, "reward": {"judges": ["human"]}})
    rescore(daemon, r)
    made = publish(daemon, r, replay={"snapshot": votes["id"], "gamma": 0.5}, view={"augment": "both"})
    seen = [x for x in export(daemon, made["id"]).rows() if x["origin"] == "replay"]
    assert made["replay"]["taken"] == 3 == len(seen) / 2
    assert all((x["twin"], x["goal"], x["score_chosen"]) == ("plain", None, None) for x in seen)
    assert "3 of 6 pairs have no goals: they stay plain, under `both` in both their places." in made["warnings"]


def test_the_rounds_own_replay_holds_unless_another_is_named(daemon, sampled, offline):
    dataset, r, known = sampled
    other, _ = offline
    rows = lengthy_rows(random.Random(8), 12, 4)
    for row in rows:
        row["id"] = "x" + row["id"]
        row["prompt"] = "x" + row["prompt"]
        for x in row["responses"]:
            x["id"] = "x" + x["id"]
    post(daemon, dataset, [{**row, "split": "extra"} for row in rows])
    own = create(daemon, dataset, min_responses=2, prompts={"split": "extra"},
                 replay={"snapshot": other["id"], "gamma": 0.5, "total": 8, "seed": 1})
    rescore(daemon, own)
    made = publish(daemon, own)
    assert made["replay"] == {"wanted": 4, "taken": 4, "generated": 4}
    for seed, same in ((1, True), (2, False)):
        replay = {"snapshot": other["id"], "gamma": 0.5, "total": 8, "seed": seed}
        assert (publish(daemon, own, replay=replay)["revision"] == made["revision"]) is same
    without = publish(daemon, own, replay=None)
    assert "replay" not in without and without["pairs"] > 8


def test_a_replay_that_cannot_be(daemon, sampled, offline):
    dataset, r, _ = sampled
    other, _ = offline
    rescore(daemon, r)

    def ask(**replay):
        body = {"replay": {"snapshot": other["id"], "gamma": 0.5, **replay}}
        return daemon.request("POST", f"/v1/rounds/{r}/publish", body)

    refused(ask(snapshot="nobody"), 422, "unknown-id", "/replay/snapshot")
    refused(ask(gamma=1.5), 422, "invalid-value", "/replay/gamma")
    refused(ask(gamma="0.5"), 422, "invalid-value", "/replay/gamma")
    refused(ask(gamma=-0.5), 422, "invalid-value", "/replay/gamma")
    refused(ask(total=0), 422, "invalid-value", "/replay/total")
    refused(ask(what=0), 422, "unknown-key", "/replay/what")
    away = new_dataset(daemon, "away")
    refused(ask(snapshot=make(daemon, away)["id"]), 422, "unknown-id", "/replay/snapshot")
    gone = make(daemon, dataset)
    assert daemon.request("DELETE", f"/v1/snapshots/{gone['id']}").status == 204
    refused(ask(snapshot=gone["id"]), 410, "gone", "/replay/snapshot")


def test_a_chain_of_two_rounds(daemon, sampled):
    """The second scores with the first's policy as its reference's successor, and replays what the first published."""
    dataset, first, known = sampled
    alpha = rescore(daemon, first)["alpha"]
    one = publish(daemon, first)
    second = create(daemon, dataset, responses="sample", policy="lab/policy-2", reference=REFERENCE, previous=first,
                    responses_per_prompt=4, min_responses=2, replay={"snapshot": one["id"], "gamma": 0.5, "total": 12})
    rng = random.Random(9)
    prompts = []
    for i in range(20, 30):
        id = prompt_id(i)
        scored, rows = [], []
        for k in range(4):
            text = words(rng, 2, 20)
            values = {"lab/policy-2": -rng.uniform(5, 50), REFERENCE: -rng.uniform(5, 50)}
            rows.append({"prompt": id, "index": k, "text": text, "logprobs": values})
            scored.append(mr.Scored(sample_id(second, id, k), text, None, None,
                                    {m: (v, None) for m, v in values.items()}, k))
        assert daemon.post_rows(f"/v1/rounds/{second}/responses", rows).status == 200
        prompts.append((prompts_of(known)[id], scored))
    known2 = mr.Round("lab/policy-2", REFERENCE, prompts, min_responses=2, sampled=True)
    alpha2 = rescore(daemon, second)["alpha"]
    made = publish(daemon, second)
    scale = scale_of(daemon, dataset)
    own = mr.own_pairs(known2, mr.groups(known2), alpha2, scale)
    pool = as_published(daemon, one["id"], prompts_of(known))
    wanted, told = mr.replayed(own, pool, "0.5", 0, 12, scale)
    assert made["replay"] == told == {"wanted": 6, "taken": 6, "generated": 6}
    check_published(daemon, made, wanted, prompts_of(known))
    assert [x.get("round") for x in made["lineage"]] == [second, None]
    assert made["lineage"][0]["policy"] == "lab/policy-2" and made["lineage"][1]["snapshot"] == one["id"]
    assert daemon.request("GET", f"/v1/rounds/{second}").json()["previous"] == first


# --- what happens to files -------------------------------------------------------------------------


@pytest.fixture
def shelf(fresh_daemon):
    """A daemon of its own with a round, a judged snapshot and what was published of both."""
    d = fresh_daemon()
    dataset, r, _ = stored_round(d, 71)
    post(d, dataset, [{"id": f"o{i:02}", "prompt": f"offline {i}", "responses": [
        {"id": f"o{i:02}.{k}", "text": f"text {k}", "scores": [{"judge": "g", "value": 2 + 3 * k}]} for k in range(2)]}
        for i in range(12)])
    other = make(d, dataset)
    assert other["pairs"] == 12
    rescore(d, r)
    made = publish(d, r, replay={"snapshot": other["id"], "gamma": 0.5})
    assert made["replay"] == {"wanted": 6, "taken": 6, "generated": 6}
    return d, dataset, other, made


def file_of(d, snapshot):
    return os.path.join(d.data, "snapshots", snapshot["revision"] + ".snap")


def served(d, snapshot, seconds=30):
    """The export, once the file is whole again."""
    until = time.time() + seconds
    while batch(d, snapshot["id"]).status == 503:
        assert time.time() < until
        time.sleep(0.1)
    return export(d, snapshot["id"])


def damage(path):
    with open(path, "r+b") as f:
        f.seek(5000)
        byte = f.read(1)
        f.seek(5000)
        f.write(bytes([byte[0] ^ 1]))


def test_a_damaged_published_file_is_made_anew(shelf):
    d, _, _, made = shelf
    before = open(file_of(d, made), "rb").read()
    rows = export(d, made["id"]).body
    d.stop()
    damage(file_of(d, made))
    d.start()
    assert served(d, made).body == rows
    assert open(file_of(d, made), "rb").read() == before


@pytest.mark.parametrize("deleted", [False, True], ids=["there", "deleted"])
def test_both_files_lost(shelf, deleted):
    """The replay's file is made anew first, even if nobody else has use for it any more."""
    d, _, other, made = shelf
    before = open(file_of(d, made), "rb").read()
    rows = export(d, made["id"]).body
    if deleted:
        assert d.request("DELETE", f"/v1/snapshots/{other['id']}").status == 204
    d.stop()
    for path in glob.glob(os.path.join(d.data, "snapshots", "*.snap")):
        os.unlink(path)
    d.start()
    assert served(d, made, 60).body == rows
    assert open(file_of(d, made), "rb").read() == before


def test_a_damaged_replay_is_made_anew_for_who_publishes(shelf):
    d, _, other, made = shelf
    r = made["lineage"][0]["round"]
    before = open(file_of(d, other), "rb").read()
    d.stop()
    damage(file_of(d, other))
    d.start()
    again = publish(d, r, replay={"snapshot": other["id"], "gamma": 0.5})
    assert again["revision"] == made["revision"]
    assert open(file_of(d, other), "rb").read() == before


def test_a_replayed_prompt_that_is_deleted_revokes(shelf):
    d, dataset, other, made = shelf
    replayed = next(x["prompt_id"] for x in export(d, made["id"]).rows() if x["origin"] == "replay")
    assert d.request("DELETE", f"/v1/datasets/{dataset}/prompts/{replayed}").status == 204
    for snapshot in (other, made):
        assert d.request("GET", f"/v1/snapshots/{snapshot['id']}").json()["state"] == "revoked"
        assert export(d, snapshot["id"]).status == 410
    r = made["lineage"][0]["round"]
    body = {"replay": {"snapshot": other["id"], "gamma": 0.5}}
    refused(d.request("POST", f"/v1/rounds/{r}/publish", body), 410, "gone", "/replay/snapshot")


def test_what_cannot_be_made_anew_is_revoked(shelf):
    """The replay's prompts are not all there any more, and both files are lost: not other rows, nor 503 for ever."""
    d, dataset, other, made = shelf
    kept = {x["prompt_id"] for x in export(d, made["id"]).rows()}
    unused = next(f"o{i:02}" for i in range(12) if f"o{i:02}" not in kept)
    assert d.request("DELETE", f"/v1/datasets/{dataset}/prompts/{unused}").status == 204
    assert d.request("GET", f"/v1/snapshots/{made['id']}").json()["state"] == "ready"
    d.stop()
    for path in glob.glob(os.path.join(d.data, "snapshots", "*.snap")):
        os.unlink(path)
    d.start()
    assert served(d, made).status == 410
    assert d.request("GET", f"/v1/snapshots/{made['id']}").json()["state"] == "revoked"


def test_a_restart_takes_up_what_was_being_built(fresh_daemon):
    d = fresh_daemon()
    _, r, _ = stored_round(d, 81, prompts=60)
    rescore(d, r)
    wanted = publish(d, r)
    asked = publish(d, r, status=202, wait=0)
    d.kill()
    d.start()
    answer = d.request("GET", f"/v1/snapshots/{asked['id']}?wait=30").json()
    assert (answer["state"], answer["revision"]) == ("ready", wanted["revision"])
    assert roles(rewards(d, r))
