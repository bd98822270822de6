"""Recipes about rounds: their rewards under any pairing, and judged samples chosen by their round."""

import json

import pytest

import model
import model_rounds as mr
from rounds_kit import POLICY, REFERENCE, create, prompt_id, refused, rescore, sample_id, sampled, scale_of
from wire import export, make, new_dataset, post


@pytest.mark.parametrize("strategy", ["best_random", "best_worst", "best_rest", "adjacent", "all"])
def test_a_recipe_with_a_rounds_rewards(daemon, sampled, strategy):
    """Judges' pairings over implicit rewards: the model with each reward as a score of its own."""
    dataset, r, known = sampled
    alpha = rescore(daemon, r)["alpha"]
    pairing = {"strategy": strategy, "min_responses": 3, "seed": 7}
    made = make(daemon, dataset, {"reward": {"round": r}, "pairing": pairing})
    prompts = []
    for g in mr.groups(known):
        responses = [model.Response(x.id, x.text, scores={("implicit", "r"): v})
                     for x, v in zip(g.valid, g.regular(alpha))]
        prompts.append(model.Prompt(g.prompt.id, g.prompt.messages, responses=responses))
    d = model.Dataset(prompts, {}, scale_of(daemon, dataset))
    recipe = {"reward": {"attributes": {"implicit": 1.0}}, "view": {"goal": "quantile"},
              "pairing": pairing}
    snap = model.snapshot(d, recipe)
    seen = export(daemon, made["id"]).rows()
    weights = model.weights_of(d, recipe)
    wanted = [(model.pair_id(p.prompt.id, p.chosen.response.id, p.rejected.response.id), c.response.id,
               c.reward, model.goal_of(d, recipe, snap, p, c, weights))
              for p in snap.pairs for c in (p.chosen, p.rejected)]
    assert made["recipe"]["view"]["goal"] == "quantile"
    assert [(x["pair"], x["chosen_id"], x["score_chosen"], x["goal"]) for x in seen if x["twin"] != "plain"] == wanted
    assert {x["origin"] for x in seen} == {"on_policy"}
    assert made["lineage"][0]["round"] == r
    assert made["id"] in daemon.request("GET", f"/v1/rounds/{r}").json()["snapshots"]
    reasons = {}
    for g in mr.groups(known):
        for why in g.reasons.values():
            reasons[why] = reasons.get(why, 0) + 1
    assert {k: made["dropped"].get(k, 0) for k in reasons} == reasons


def test_filters_of_a_recipe_come_before_the_rounds(daemon):
    """What a filter removes makes no other response a duplicate."""
    dataset = new_dataset(daemon, "filtered")
    responses = [{"id": f"a{k}", "text": "the same" if k < 2 else f"answer {k}", "model": "m" if k == 0 else "n",
                  "logprobs": {POLICY: -1.0 - k, REFERENCE: -9.0}} for k in range(4)]
    post(daemon, dataset, [{"id": "p", "prompt": "q", "responses": responses}])
    r = create(daemon, dataset, min_responses=2)
    rescore(daemon, r, alpha=0)
    recipe = {"reward": {"round": r, "rescoring": 1}, "pairing": {"strategy": "best_worst"}}
    assert make(daemon, dataset, recipe)["dropped"] == {"duplicate_text": 1}
    made = make(daemon, dataset, {**recipe, "filters": {"models": ["n"]}})
    assert made["dropped"] == {"model": 1}
    assert export(daemon, made["id"], augment="none").rows()[0]["chosen_id"] == "a1"
    low = make(daemon, dataset, {**recipe, "filters": {"min_reward": 0.65}})
    assert low["dropped"] == {"duplicate_text": 1, "low_reward": 2}  # rewards of a0, a2, a3: 0.8, 0.6, 0.5
    assert low["skipped"] == {"too_few_responses": 1}


def test_votes_with_a_rounds_rewards(daemon):
    """Judges choose the pairs, the round's rewards are their goals where they agree."""
    dataset = new_dataset(daemon, "voted")
    rows = [{"id": f"p{i}", "prompt": f"q{i}",
             "responses": [{"id": f"p{i}.{k}", "text": f"text {k}", "logprobs": {POLICY: -1.0 - k, REFERENCE: -9.0}}
                           for k in range(3)],
             "comparisons": [{"judge": "human", "chosen": f"p{i}.{i}", "rejected": f"p{i}.{1 - i}"}]} for i in range(2)]
    post(daemon, dataset, rows)
    r = create(daemon, dataset, min_responses=2)
    rescore(daemon, r, alpha=0)
    made = make(daemon, dataset, {"reward": {"round": r, "judges": ["human"]}, "pairing": {"strategy": "comparisons"}})
    assert [(x["chosen_id"], x["twin"]) for x in export(daemon, made["id"], augment="chosen").rows()] == [
        ("p0.0", "chosen_goal"), ("p1.1", "plain")]


def test_judged_samples_are_chosen_by_their_round(daemon, sampled):
    """On-policy data with a reward model: judges score samples, and the filter takes one round's."""
    dataset, r, known = sampled
    other = create(daemon, dataset, responses="sample", responses_per_prompt=2, policy="lab/p9")
    rows = [{"prompt": prompt_id(0), "index": k, "text": f"other {k}", "logprobs": {}} for k in range(2)]
    assert daemon.post_rows(f"/v1/rounds/{other}/responses", rows).status == 200
    mine = [x for _, scored in known.prompts for x in scored]
    theirs = [sample_id(other, prompt_id(0), k) for k in range(2)]
    values = {**{x.id: 1 + i % 10 for i, x in enumerate(mine)}, theirs[0]: 2, theirs[1]: 5}
    post(daemon, dataset, [{"response": x, "judge": "rm", "attribute": "rm", "value": v} for x, v in values.items()],
         kind="scores")
    reward = {"attributes": {"rm": 1}}
    made = make(daemon, dataset, {"reward": reward, "filters": {"rounds": [other]}, "pairing": {"strategy": "all"}})
    rows = export(daemon, made["id"], augment="none").rows()
    assert [(x["chosen_id"], x["rejected_id"], x["origin"]) for x in rows] == [(theirs[1], theirs[0], "judged")]
    assert made["recipe"]["filters"] == {"rounds": [other]}
    both = make(daemon, dataset, {"reward": reward, "filters": {"rounds": [r, other, r]},
                                  "pairing": {"strategy": "all"}})
    ids = {x["chosen_id"] for x in export(daemon, both["id"], augment="none").rows()}
    assert ids & set(theirs) and ids & {x.id for x in mine}
    assert both["recipe"]["filters"] == {"rounds": sorted([r, other])}


@pytest.mark.parametrize("recipe, problem, pointer", [
    ({"reward": {"round": "nobody"}}, "unknown-id", "/recipe/reward/round"),
    ({"reward": {"rescoring": 1}}, "invalid-value", "/recipe/reward/rescoring"),
    ({"reward": {"round": "ROUND", "rescoring": 99}}, "unknown-id", "/recipe/reward/rescoring"),
    ({"reward": {"round": "ROUND", "rescoring": 0}}, "invalid-value", "/recipe/reward/rescoring"),
    ({"reward": {"round": "ROUND"}, "view": {"goal": "reward"}}, "invalid-value", "/recipe/view/goal"),
    ({"reward": {"round": "ROUND"}, "view": {"goal": "attributes"}}, "invalid-value", "/recipe/view/goal"),
    ({"reward": {"round": "ROUND", "attributes": {"overall": 1}}}, "invalid-value", "/recipe/reward/attributes"),
    ({"reward": {"round": "ROUND", "rescale": True}}, "invalid-value", "/recipe/reward/rescale"),
    ({"reward": {"round": "ROUND", "judges": ["g"]}}, "invalid-value", "/recipe/reward/judges"),
    ({"reward": {"implicit": {}}}, "unknown-key", "/recipe/reward/implicit"),
    ({"published": {}}, "unknown-key", "/recipe/published"),
    ({"made_from": {}}, "unknown-key", "/recipe/made_from"),
    ({"filters": {"rounds": []}}, "invalid-value", "/recipe/filters/rounds"),
    ({"filters": {"rounds": ["ROUND", "nobody"]}}, "unknown-id", "/recipe/filters/rounds/1"),
])
def test_bad_recipes(daemon, sampled, recipe, problem, pointer):
    dataset, r, _ = sampled
    text = json.dumps({"recipe": recipe}).replace("ROUND", r)
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/snapshots", text.encode(),
                            {"Content-Type": "application/json"})
    refused(answer, 422, problem, pointer)


def test_a_round_of_another_dataset_is_unknown(daemon, sampled):
    _, r, _ = sampled
    away = new_dataset(daemon, "elsewhere")
    for recipe, pointer in (({"reward": {"round": r}}, "/recipe/reward/round"),
                            ({"filters": {"rounds": [r]}}, "/recipe/filters/rounds/0")):
        answer = daemon.request("POST", f"/v1/datasets/{away}/snapshots", {"recipe": recipe})
        refused(answer, 422, "unknown-id", pointer)
