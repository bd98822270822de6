"""Five published sets of judged responses, in through `prefd import`.

Everything is counted once more here, from the files. Where the folder of the
sets is not at hand (PREFD_SHARED_DATA names it), these tests are left out.
"""

import concurrent.futures
import math
import os
import random
import subprocess
from fractions import Fraction

import pytest

import model
from conftest import BINARY, clean_environment
from wire import (batch, epoch, export, facts, make, new_dataset, post, real_rows, same_example, same_number,
                  shared_data, stats)

pytestmark = pytest.mark.skipif(shared_data() is None, reason="the real sets are not here")

SETS = ["ultrafeedback-pairs", "shaberi", "prometheus", "justeval", "pandalm"]
RANGES = {"shaberi": ["overall=0:10"]}
STRATEGIES = ["best_random", "best_worst", "best_rest", "adjacent", "all"]


class Real:
    """A set: its rows, its dataset's name, and its facts as the daemon tells them."""

    def __init__(self, daemon, name, home):
        self.rows = real_rows(name)
        self.dataset = f"real-{name}-{os.getpid()}"
        self.path = os.path.join(shared_data(), name + ".ndjson.gz")
        attributes = [x for a in RANGES.get(name, []) for x in ("--attribute", a)]
        self.command = [BINARY, "import", "--server", daemon.base, "--dataset", self.dataset, "--create",
                        *attributes, "--body-bytes", "512KiB", self.path]
        self.env = clean_environment({"HOME": str(home), "XDG_STATE_HOME": str(home), "XDG_CACHE_HOME": str(home)})
        self.run()
        self.facts = facts(daemon, self.dataset)
        self.response = {r.id: (p, r) for p in self.facts.prompts for r in p.responses}

    def run(self):
        done = subprocess.run(self.command, capture_output=True, timeout=120, env=self.env)
        assert done.returncode == 0, done.stderr.decode()
        return (done.stdout + done.stderr).decode()


@pytest.fixture(scope="module")
def real(daemon, tmp_path_factory):
    home, loaded = tmp_path_factory.mktemp("home"), {}

    def get(name):
        if name not in loaded:
            loaded[name] = Real(daemon, name, home)
        return loaded[name]

    return get


def folded(rows):
    """{prompt id: {key: (text, model, {(attribute, judge): value or None})}}; of twins the last score wins."""
    out = {}
    for row in rows:
        into = out.setdefault(row["id"], {})
        for r in row["responses"]:
            key = r.get("id") or (r.get("model"), r["text"])
            scores = into.setdefault(key, (r["text"], r.get("model"), {}))[2]
            for s in r.get("scores", []):
                place = (s.get("attribute", "overall"), s["judge"])
                if s["value"] is not None or scores.get(place) is None:
                    scores[place] = s["value"]
    return out


@pytest.mark.parametrize("name", SETS)
def test_every_row_reads_back(real, name):
    seen = real(name)
    wanted = folded(seen.rows)
    assert {p.id for p in seen.facts.prompts} == wanted.keys()
    by_id = {row["id"]: row for row in seen.rows}
    for p in seen.facts.prompts:
        row = by_id[p.id]
        assert p.messages == [{"role": "user", "content": row["prompt"]}]
        assert (p.split, p.source) == (row.get("split", "train"), row.get("source"))
        have = sorted((r.text, r.model or "", sorted(r.scores.items())) for r in p.responses)
        want = sorted((text, m or "", sorted((k, v) for k, v in scores.items() if v is not None))
                      for text, m, scores in wanted[p.id].values())
        assert have == want
        votes = sorted((v["judge"], v["chosen"], v["rejected"], 1.0) for v in row.get("comparisons", []))
        assert sorted(p.votes) == votes


# --- statistics ----------------------------------------------------------------------


def check_series(series, values):
    """mean and the rest over the values, exactly; the bins hold what lies in them."""
    exact = [Fraction(v) for v in values]
    n = len(values)
    mean = sum(exact) / n
    variance = sum(v * v for v in exact) / n - mean * mean
    assert (series["count"], series["min"], series["max"]) == (n, min(values), max(values))
    assert same_number(series["mean"], float(mean))
    assert same_number(series["std"], math.sqrt(variance)) or abs(series["std"] - math.sqrt(variance)) < 1e-15
    edges, counts = series["histogram"]["bin_edges"], series["histogram"]["counts"]
    assert len(edges) == len(counts) + 1 and edges == sorted(edges) and sum(counts) == n
    for i, count in enumerate(counts):
        last = i == len(counts) - 1
        assert count == sum(edges[i] <= v < edges[i + 1] or (last and v == edges[i + 1]) for v in values)


@pytest.mark.parametrize("name", SETS)
def test_statistics_agree_with_an_independent_count(daemon, real, name):
    seen = real(name)
    s = stats(daemon, seen.dataset)
    prompts = folded(seen.rows)
    responses = [r for by in prompts.values() for r in by.values()]
    keys = [(k, v) for _, _, scores in responses for k, v in scores.items()]
    votes = {(row["id"], v["judge"], *sorted([v["chosen"], v["rejected"]])): v.get("strength", 1)
             for row in seen.rows for v in row.get("comparisons", [])}
    assert (s["prompts"], s["responses"], s["scores"], s["comparisons"]) == (
        len(prompts), len(responses), len(keys), len(votes))
    assert s["scored_prompts"] == sum(any(v is not None for _, _, sc in by.values() for v in sc.values())
                                      for by in prompts.values())
    check_series(s["responses_per_prompt"], [len(by) for by in prompts.values()])
    check_series(s["lengths"], [len(text) for text, _, _ in responses])
    models = {m or "" for _, m, _ in responses}
    assert s["models"].keys() == models
    for m in models:
        lengths = [len(text) for text, of, _ in responses if (of or "") == m]
        assert s["models"][m]["responses"] == len(lengths)
        check_series(s["models"][m]["lengths"], lengths)
    judged = {(judge, attribute) for (attribute, judge), _ in keys}
    assert {(j, a) for j, by in s["judges"].items() for a in by} == judged
    for judge, attribute in judged:
        values = [v for k, v in keys if k == (attribute, judge)]
        series = s["judges"][judge][attribute]
        assert (series["failed"], series["abstained"]) == (sum(v is None for v in values), 0)
        check_series(series, [v for v in values if v is not None])
    assert {j: v["comparisons"] for j, v in s["voters"].items()} == {
        j: sum(1 for k in votes if k[1] == j) for j in {k[1] for k in votes}}


def test_known_figures(real):
    known = {"ultrafeedback-pairs": (1200, 2400), "shaberi": (340, 8162), "prometheus": (160, 640),
             "justeval": (800, 800), "pandalm": (999, 1998)}
    for name, (prompts, responses) in known.items():
        rows = real(name).rows
        assert (len(rows), sum(len(r["responses"]) for r in rows)) == (prompts, responses)
        texts = {}
        for r in rows:
            texts.setdefault(r["prompt"], []).append(r["id"])
        twins = sum(len(ids) > 1 for ids in texts.values())
        assert twins == {"justeval": 19, "pandalm": 159}.get(name, 0)


def test_a_second_import_changes_nothing(daemon, real):
    for name in ("prometheus", "pandalm"):
        before = stats(daemon, real(name).dataset)
        real(name).run()
        assert stats(daemon, real(name).dataset) == before


# --- pairs -----------------------------------------------------------------------------


def agree(daemon, seen, recipe, made=None):
    """The snapshot holds the pairs that the model makes; returns both."""
    made = made or make(daemon, seen.dataset, recipe)
    wanted = model.snapshot(seen.facts, recipe)
    view = made["recipe"]["view"]
    template = None if view["goal"] == "attributes" else view["template"]
    rows = export(daemon, made["id"]).rows()
    modelled = model.examples(seen.facts, recipe, wanted, view["augment"], view["placement"], "trl", template)
    assert [(r["prompt_id"], r["chosen_id"], r["rejected_id"]) for r in rows] == [
        (r["prompt_id"], r["chosen_id"], r["rejected_id"]) for r in modelled]
    for a, b in zip(rows, modelled):
        same_example(a, b)
    assert (made["pairs"], made["examples"]) == (len(wanted.pairs), len(rows))
    assert made["prompts"] == len({p.prompt.id for p in wanted.pairs})
    assert {k: v for k, v in made["skipped"].items() if v} == wanted.skipped
    return made, rows


def test_ultrafeedback_pairs_by_the_default_recipe(daemon, real):
    made, rows = agree(daemon, real("ultrafeedback-pairs"), {"split": "*"})
    assert (made["pairs"], made["examples"]) == (1061, 2122)
    assert made["skipped"] == {"equal_rewards": 134, "too_few_responses": 5}
    assert {r["twin"] for r in rows} == {"chosen_goal", "rejected_goal"}
    train, _ = agree(daemon, real("ultrafeedback-pairs"), {})
    test, _ = agree(daemon, real("ultrafeedback-pairs"), {"split": "test"})
    assert train["pairs"] + test["pairs"] == 1061
    order = model.Order(made["revision"], "both", 42, 1, 2122)
    assert epoch(daemon, made["id"], seed=42, epoch=1) == [rows[i] for i in order.all()]


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", ["prometheus", "shaberi"])
def test_every_strategy_on_real_scores(daemon, real, name, strategy):
    view = {"view": {"augment": "none"}} if strategy == "all" and name == "shaberi" else {}
    made, rows = agree(daemon, real(name), {"pairing": {"strategy": strategy}, **view})
    assert len(rows) > 100
    if strategy == "all" and name == "prometheus":
        for how in ("median", "min", "max"):
            agree(daemon, real(name), {"pairing": {"strategy": strategy}, "reward": {"across_judges": how}})


def test_one_judge_of_three(daemon, real):
    for draw in range(3):
        agree(daemon, real("prometheus"), {"reward": {"judges": [f"gpt-4-draw-{draw}"]}, "pairing": {"seed": draw}})


def test_failed_scores_have_no_reward(daemon, real):
    made, _ = agree(daemon, real("shaberi"), {"pairing": {"strategy": "best_worst"}})
    failed = sum(all(v is None for v in scores.values()) for by in folded(real("shaberi").rows).values()
                 for _, _, scores in by.values())
    assert made["dropped"]["missing_attribute"] == failed > 0


def test_quantile_goals(daemon, real):
    agree(daemon, real("prometheus"), {"view": {"goal": "quantile"}, "pairing": {"strategy": "best_worst"}})
    agree(daemon, real("shaberi"), {"view": {"goal": "quantile"}})


def test_filters_on_real_texts(daemon, real):
    agree(daemon, real("shaberi"), {"filters": {"min_characters": 50, "max_characters": 700, "min_reward": 4},
                                    "pairing": {"strategy": "best_rest"}})
    models = sorted({r["model"] for r in real("shaberi").rows[0]["responses"]})[:5]
    agree(daemon, real("shaberi"), {"filters": {"models": models}, "pairing": {"min_margin": 2}})
    sources = sorted({r["source"] for r in real("shaberi").rows})
    agree(daemon, real("shaberi"), {"filters": {"sources": sources[:1]}})
    agree(daemon, real("shaberi"), {"filters": {"exclude_sources": sources[:1]}})
    for part in ("train", "eval"):
        agree(daemon, real("pandalm"), {"holdout": {"fraction": 0.2, "part": part, "seed": 3},
                                        "pairing": {"strategy": "comparisons"}})


def test_votes_of_people(daemon, real):
    made, rows = agree(daemon, real("pandalm"), {"pairing": {"strategy": "comparisons"}})
    assert {r["twin"] for r in rows} == {"plain"} and all(r["score_chosen"] is None for r in rows)
    assert made["examples"] == 2 * made["pairs"] > 1000
    assert make(daemon, real("pandalm").dataset, {"pairing": {"strategy": "best_random"}})["pairs"] == 0


def test_five_attributes(daemon, real):
    seen = real("justeval")
    made, _ = agree(daemon, seen, {"view": {"goal": "attributes"}})
    assert made["skipped"] == {"too_few_responses": 800}
    failed = sum(any(s["value"] is None for s in r["scores"]) for row in seen.rows for r in row["responses"])
    assert made["dropped"]["missing_attribute"] == failed == 43 or failed < 43
    weights = model.weights_of(seen.facts, {})
    assert len(weights) == 5
    for row in seen.rows[::25]:
        answer = daemon.request("GET", f"/v1/datasets/{seen.dataset}/prompts/{row['id']}").json()
        for r in answer["responses"]:
            want = model.reward_of(seen.facts, {}, weights, seen.response[r["id"]][1])
            assert same_number(r["reward"], want and want[0])


# --- the same data, another way -----------------------------------------------------------


@pytest.mark.parametrize("name", ["ultrafeedback-pairs", "pandalm"])
def test_another_order_by_eight_clients_gives_the_same_bytes(daemon, real, name):
    seen = real(name)
    strategy = {"pairing": {"strategy": "comparisons"}} if name == "pandalm" else {}
    recipe = {"split": "*", **strategy}
    first = make(daemon, seen.dataset, recipe)
    dataset = new_dataset(daemon, "shuffled")
    rows = list(seen.rows)
    random.Random(20).shuffle(rows)
    parts = [rows[i:i + 23] for i in range(0, len(rows), 23)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        created = sum(a["prompts"]["created"] for a in pool.map(lambda p: post(daemon, dataset, p), parts))
    assert created == len(rows)
    second = make(daemon, dataset, recipe)
    assert second["revision"] == first["revision"] and second["id"] != first["id"]
    assert second["bytes"] == first["bytes"]
    assert {**stats(daemon, dataset), "dataset": ""} == {**stats(daemon, seen.dataset), "dataset": ""}
    lines = {"Accept": "application/x-ndjson"}
    for query in ({}, {"seed": 7, "epoch": 3, "offset": 100, "batch_size": 64, "rank": 1, "world_size": 3},
                  {"augment": "chosen", "placement": "user"}):
        assert batch(daemon, first["id"], lines, **query).body == batch(daemon, second["id"], lines, **query).body
    assert export(daemon, first["id"]).body == export(daemon, second["id"]).body
