"""Made-up records and recipes: never a 5xx, and what was taken reads back equal."""

import json

import hypothesis
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import model
from wire import NDJSON, export, facts, make, new_dataset, prompt, quote, same_example

QUICK = settings(max_examples=150, deadline=None, derandomize=True, database=None,
                 suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                                        HealthCheck.data_too_large])

texts = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40)
ids = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._:-]{0,20}\Z")
names = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), min_size=1, max_size=20)
numbers = st.floats(allow_nan=False, allow_infinity=False)
times = st.datetimes().filter(lambda t: t.year >= 1000).map(lambda t: t.isoformat() + "Z")
json_values = st.recursive(st.none() | st.booleans() | numbers | texts,
                           lambda v: st.lists(v, max_size=3) | st.dictionaries(texts, v, max_size=3), max_leaves=8)
good_scores = st.fixed_dictionaries({"judge": names, "value": numbers},
                                    optional={"attribute": names, "rationale": texts, "at": times})
bad_scores = st.fixed_dictionaries({"judge": names, "value": st.none(),
                                    "status": st.sampled_from(["failed", "abstained"])})
responses = st.fixed_dictionaries({"text": texts}, optional={
    "model": names, "tokens": st.integers(0, 2**31 - 1), "finish_reason": names,
    "logprobs": st.dictionaries(names, st.floats(-1e15, 0), max_size=2),
    "scores": st.lists(good_scores | bad_scores, max_size=3)})
messages = st.lists(st.fixed_dictionaries({"role": st.sampled_from(["system", "user", "assistant", "tool"]),
                                           "content": texts}), min_size=1, max_size=3)
records = st.fixed_dictionaries({"id": ids, "prompt": texts | messages}, optional={
    "split": names, "source": names, "metadata": st.dictionaries(texts, json_values, max_size=3),
    "responses": st.lists(responses, max_size=4)})
# Anything at the right places and the wrong ones.
keys = st.sampled_from(["id", "prompt", "responses", "text", "scores", "judge", "value", "status", "at", "comparisons",
                        "chosen", "rejected", "strength", "metadata", "split", "role", "content", "logprobs"]) | texts
wild = st.recursive(json_values, lambda v: st.lists(v, max_size=3) | st.dictionaries(keys, v, max_size=5), max_leaves=12)


@pytest.fixture(scope="module")
def place(daemon):
    return new_dataset(daemon, "fuzz")


def dumps(rows, ascii):
    return "".join(json.dumps(r, ensure_ascii=ascii) + "\n" for r in rows).encode()


def post_rows(daemon, dataset, rows, kind="records", ascii=False, query=""):
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/{kind}{query}", dumps(rows, ascii), NDJSON)
    assert answer.status < 500, (answer, rows)
    return answer


@given(row=records, ascii=st.booleans())
@QUICK
def test_what_was_taken_reads_back(daemon, row, ascii):
    dataset = new_dataset(daemon, "fuzz-back")
    answer = post_rows(daemon, dataset, [row], ascii=ascii)
    hypothesis.event(str(answer.status))
    assert answer.status == 200, (answer, row)
    seen = prompt(daemon, dataset, row["id"])
    wanted = row["prompt"]
    assert seen["messages"] == ([{"role": "user", "content": wanted}] if isinstance(wanted, str) else wanted)
    assert (seen["split"], seen["source"]) == (row.get("split", "train"), row.get("source"))
    assert seen["metadata"] == row.get("metadata")
    folded = {}
    for r in row.get("responses", []):
        into = folded.setdefault((r.get("model"), r["text"]), {"values": set()})
        for key in ("tokens", "finish_reason"):
            into.setdefault(key, r.get(key))
            into[key] = r.get(key) if into[key] is None else into[key]
        into.setdefault("logprobs", {})
        into["logprobs"] = {**r.get("logprobs", {}), **into["logprobs"]}
        into["values"] |= {s["value"] for s in r.get("scores", [])}
    assert {(r["model"], r["text"]) for r in seen["responses"]} == folded.keys()
    for r in seen["responses"]:
        want = folded[r["model"], r["text"]]
        assert (r["tokens"], r["finish_reason"], r["logprobs"]) == (
            want["tokens"], want["finish_reason"], want["logprobs"])
        assert {s["value"] for s in r["scores"]} <= want["values"]
    again = post_rows(daemon, dataset, [row])
    assert again.status == 200 and again.json()["prompts"]["created"] == again.json()["responses"]["created"] == 0
    path = f"/v1/datasets/{dataset}"
    assert daemon.request("DELETE", f"{path}?confirm={quote(dataset)}").status == 204


@given(rows=st.lists(wild, min_size=1, max_size=4), kind=st.sampled_from(["records", "scores", "comparisons"]),
       query=st.sampled_from(["", "?on_error=continue", "?on_conflict=keep", "?on_conflict=replace"]))
@QUICK
def test_anything_gets_a_clear_answer(daemon, place, rows, kind, query):
    answer = post_rows(daemon, place, rows, kind, query=query)
    assert answer.status in (200, 207, 400, 409, 422)
    if answer.status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["errors"][0]["detail"]


@given(row=wild, form=st.sampled_from(["ultrafeedback", "ultrafeedback_binarized", "trl"]))
@QUICK
def test_other_forms_get_a_clear_answer(daemon, place, row, form):
    answer = post_rows(daemon, place, [row], query=f"?format={form}")
    assert answer.status in (200, 400, 422)


@given(body=st.binary(max_size=200), kind=st.sampled_from(["application/json", "application/x-ndjson"]),
       coding=st.sampled_from([None, "gzip", "zstd"]))
@QUICK
def test_any_bytes_get_a_clear_answer(daemon, place, body, kind, coding):
    headers = {"Content-Type": kind, **({"Content-Encoding": coding} if coding else {})}
    answer = daemon.request("POST", f"/v1/datasets/{place}/records", body, headers)
    assert answer.status in (200, 400, 409, 413, 422), answer


@given(path=texts, query=st.dictionaries(texts, texts, max_size=2))
@QUICK
def test_any_path_gets_a_clear_answer(daemon, path, query):
    target = "/v1/" + quote(path) + "?" + "&".join(f"{quote(k)}={quote(v)}" for k, v in query.items())
    answer = daemon.request("GET", target)
    assert answer.status < 500 and answer.status != 200, answer


# --- recipes ------------------------------------------------------------------------------


scale = st.sampled_from([1, 2, 3, 5, 7.5, 7.501, 8, 9.99, 10])


@pytest.fixture(scope="module")
def scored(daemon):
    """A small dataset of everything that recipes look at, and its facts."""
    dataset = new_dataset(daemon, "fuzz-recipes", attributes={"depth": {"min": 0, "max": 5}})
    values = [1, 2, 3, 5, 7.5, 7.501, 8, 9.99, 10]
    rows = []
    for i in range(40):
        answers = [{"id": f"r{i}-{k}", "text": f"t{(i * k) % 5} " * (k + 1), "model": f"m{k % 3}",
                    "finish_reason": ["stop", "length"][(i + k) % 2], "logprobs": {"ref": -1.0 - k},
                    "scores": [{"judge": f"j{j}", "value": values[(i * 7 + k * 3 + j) % 9]} for j in range(1 + i % 2)]
                    + [{"judge": "j0", "attribute": "depth", "value": (i + k) % 6}]} for k in range(i % 6)]
        votes = [{"judge": f"v{j}", "chosen": f"r{i}-{j % 2}", "rejected": f"r{i}-{2 - 2 * (j % 2)}"}
                 for j in range(3) if i % 6 > 2]
        rows.append({"id": f"p{i}", "prompt": f"q{i % 33}", "split": ["train", "test"][i % 2],
                     "source": f"s{i % 3}", "responses": answers, "comparisons": votes})
    assert post_rows(daemon, dataset, rows).status == 200
    return dataset, facts(daemon, dataset)


subsets = st.lists(st.sampled_from(["s0", "s1", "s2"]), min_size=1, max_size=2, unique=True)
recipes = st.fixed_dictionaries({}, optional={
    "split": st.sampled_from(["*", "train", "test"]),
    "holdout": st.fixed_dictionaries({"fraction": st.floats(0, 1), "part": st.sampled_from(["train", "eval"])},
                                     optional={"seed": st.integers(0, 2**53 - 1)}),
    "reward": st.fixed_dictionaries({}, optional={
        "attributes": st.dictionaries(st.sampled_from(["overall", "depth"]), st.integers(-3, 3), min_size=1)
        .filter(lambda w: any(w.values())),
        "judges": st.lists(st.sampled_from(["j0", "j1"]), min_size=1, unique=True),
        "across_judges": st.sampled_from(["mean", "median", "min", "max"])}),
    "pairing": st.fixed_dictionaries({}, optional={
        "strategy": st.sampled_from(["best_random", "best_worst", "best_rest", "adjacent", "all", "comparisons"]),
        "min_responses": st.integers(1, 4), "min_margin": st.sampled_from([0, 0.001, 1, 2.5]),
        "seed": st.integers(0, 2**53 - 1)}),
    "filters": st.fixed_dictionaries({}, optional={
        "sources": subsets, "exclude_sources": subsets,
        "models": st.lists(st.sampled_from(["m0", "m1", "m2"]), min_size=1, unique=True),
        "exclude_finish_reasons": st.lists(st.sampled_from(["stop", "length"]), max_size=1),
        "min_characters": st.integers(0, 10), "max_characters": st.integers(3, 30)}),
    "view": st.fixed_dictionaries({}, optional={
        "augment": st.sampled_from(["both", "chosen", "rejected", "none"]),
        "goal": st.sampled_from(["reward", "quantile", "attributes"]),
        "placement": st.sampled_from(["system", "user"]), "format": st.sampled_from(["trl", "trl_text"]),
        "template": st.sampled_from(["{goal}", "aim at {goal} of {min}..{max}: {goal}"])})})


@given(recipe=recipes)
@QUICK
def test_any_recipe_is_the_models(daemon, scored, recipe):
    dataset, known = scored
    made = make(daemon, dataset, recipe)
    wanted = model.snapshot(known, recipe)
    hypothesis.event(f"pairs: {len(wanted.pairs) > 0}")
    view = made["recipe"]["view"]
    template = None if view["goal"] == "attributes" else view["template"]
    modelled = model.examples(known, recipe, wanted, view["augment"], view["placement"], view["format"], template)
    assert {k: v for k, v in made["skipped"].items() if v} == wanted.skipped
    for seen, want in zip(export(daemon, made["id"]).rows(), modelled, strict=True):
        same_example(seen, want)


@given(recipe=st.dictionaries(st.sampled_from(["split", "holdout", "reward", "pairing", "filters", "reference", "view"])
                              | texts, st.dictionaries(keys, wild, max_size=3) | wild, max_size=3))
@QUICK
def test_any_document_gets_a_clear_answer(daemon, place, recipe):
    answer = daemon.request("POST", f"/v1/datasets/{place}/snapshots?wait=60", {"recipe": recipe})
    assert answer.status in (201, 422), answer
