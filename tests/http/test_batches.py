"""Minibatches: the order, ranks, tails, views, codings, and snapshots that never move."""

import concurrent.futures
import gzip
import hashlib
import http.client
import json
import os
import random
import re
import threading
import time

import pytest

import model
from wire import batch, epoch, export, facts, make, new_dataset, post, prompt, same_example, unzst

HOLDOUTS = [{"holdout": {"fraction": 0.3, "part": part, "seed": seed}} for part in ("train", "eval") for seed in (0, 7)]
JUDGES = ["a", "b", "c"]


def rows_of(seed, prompts=60):
    """Varied on purpose: ties, twins, missing attributes, failed scores, conversations."""
    rng = random.Random(seed)
    out = []
    for i in range(prompts):
        messages = f"question {i}" if i % 3 else [{"role": "system", "content": f"rule {i % 5}"},
                                                  {"role": "user", "content": f'Say "{i}" — größer?'}]
        responses = []
        for k in range(rng.randrange(0, 7)):
            text = rng.choice(["same", f"text {k} 🥧" * (1 + k), "", f"{i}/{k}\n"])
            scores = [{"judge": j, "attribute": attribute, "value": rng.choice([1, 2, 2.5, 3, 3.004, 4, 5, 9.996, 10])}
                      for j in JUDGES for attribute in ("overall", "depth") if rng.random() < 0.7]
            scores += [{"judge": "d", "value": None, "status": "failed"}] if rng.random() < 0.2 else []
            responses.append({"id": f"r{rng.randrange(10**6)}-{i}-{k}", "text": text, "scores": scores,
                              "model": rng.choice(["m1", "m2"]), "logprobs": {"ref": -float(k) - 0.5},
                              **({"finish_reason": rng.choice(["stop", "length"])} if k % 2 else {})})
        votes = []
        if len(responses) > 1:
            for j in JUDGES:
                a, b = rng.sample(responses, 2)
                votes.append({"judge": j, "chosen": a["id"], "rejected": b["id"],
                              "strength": rng.choice([0.5, 1, 2])})
        out.append({"id": f"p{i * 37 % 1009}", "prompt": messages, "split": rng.choice(["train", "test"]),
                    "source": rng.choice(["s", "t"]), "responses": responses, "comparisons": votes})
    return out


@pytest.fixture(scope="module")
def varied(daemon):
    """A dataset, its facts, and the makers' memory of snapshots by recipe."""
    dataset = new_dataset(daemon, "varied", attributes={"depth": {"min": 1, "max": 10}})
    post(daemon, dataset, rows_of(1))
    return dataset, facts(daemon, dataset)


@pytest.fixture(scope="module")
def shot(daemon, varied):
    """A snapshot of it all, with its resolved recipe and its examples in stored order."""
    dataset, known = varied
    made = make(daemon, dataset, {"split": "*"})
    rows = export(daemon, made["id"]).rows()
    assert made["examples"] == len(rows) > 40
    return made, rows


# --- the model agrees ---------------------------------------------------------------------

RECIPES = [
    {"split": "*"}, {}, {"split": "test"}, *HOLDOUTS,
    *({"split": "*", "pairing": {"strategy": s}} for s in
      ("best_random", "best_worst", "best_rest", "adjacent", "all", "comparisons")),
    *({"split": "*", "pairing": {"strategy": s, "min_margin": 1.5, "min_responses": 3}} for s in
      ("best_random", "best_worst", "best_rest", "adjacent", "all", "comparisons")),
    *({"split": "*", "pairing": {"seed": seed}} for seed in (0, 1, 2**53 - 1)),
    *({"split": "*", "reward": {"across_judges": how}} for how in ("mean", "median", "min", "max")),
    {"split": "*", "reward": {"attributes": {"overall": 2, "depth": -1}, "judges": ["a", "c"]}},
    {"split": "*", "reward": {"attributes": {"overall": 1, "depth": 0}}},
    {"split": "*", "reward": {"attributes": {"depth": 1}, "rescale": True}},
    {"split": "*", "reward": {"attributes": {"depth": 3}, "rescale": False}},
    {"split": "*", "filters": {"sources": ["s"]}}, {"split": "*", "filters": {"exclude_sources": ["s"]}},
    {"split": "*", "filters": {"models": ["m1"]}, "pairing": {"strategy": "all"}},
    {"split": "*", "filters": {"exclude_finish_reasons": ["length"], "min_characters": 1, "max_characters": 30}},
    {"split": "*", "filters": {"min_reward": 2.5}, "pairing": {"strategy": "best_rest"}},
    {"split": "*", "view": {"goal": "attributes"}, "reward": {"attributes": {"overall": 1, "depth": 2}}},
    {"split": "*", "view": {"goal": "quantile"}, "pairing": {"strategy": "all"}},
    {"split": "*", "view": {"augment": "none"}, "reference": "ref"},
    {"split": "nobody"},
]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: re.sub(r"[^A-Za-z0-9.]+", "-", str(r))[:90])
def test_the_model_agrees_pair_by_pair(daemon, varied, recipe):
    dataset, known = varied
    made = make(daemon, dataset, recipe)
    wanted = model.snapshot(known, recipe)
    view = made["recipe"]["view"]
    template = None if view["goal"] == "attributes" else view["template"]
    rows = export(daemon, made["id"]).rows()
    modelled = model.examples(known, recipe, wanted, view["augment"], view["placement"], "trl", template)
    assert [(r["prompt_id"], r["chosen_id"], r["rejected_id"]) for r in rows] == [
        (r["prompt_id"], r["chosen_id"], r["rejected_id"]) for r in modelled]
    for seen, want in zip(rows, modelled):
        same_example(seen, want)
    assert made["pairs"] == len(wanted.pairs)
    assert made["prompts"] == len({p.prompt.id for p in wanted.pairs})
    assert {k: v for k, v in made["skipped"].items() if v} == wanted.skipped
    for reason in ("missing_attribute", "duplicate_text"):
        assert made["dropped"].get(reason, 0) == wanted.dropped.get(reason, 0)


def test_recipes_are_closed(daemon, varied):
    dataset, _ = varied
    made = make(daemon, dataset, {"split": "*"})
    r = made["recipe"]
    assert r["pairing"]["strategy"] == "best_random" and r["pairing"]["seed"] == 42
    assert r["pairing"]["min_responses"] == 2 and r["pairing"]["min_margin"] == 0
    assert r["view"]["augment"] == "both" and r["view"]["goal"] == "reward" and r["view"]["placement"] == "system"
    assert r["view"]["format"] == "trl" and "{goal}" in r["view"]["template"]
    assert list(r["reward"]["attributes"]) == ["overall"]
    text = model.goal_text(r["view"]["template"], "10", (1, 10))
    assert made["inference_prompt"] == text


def field(value):
    data = value if isinstance(value, bytes) else value.encode()
    return len(data).to_bytes(8, "little") + data


def revision_of(daemon, made, known):
    """The revision from what the export says; numbers as they are printed."""
    texts = {r.id: r.text for p in known.prompts for r in p.responses}
    hashes = {p.id: bytes.fromhex(p.messages_hash()) for p in known.prompts}
    twins = [json.loads(line, parse_float=str, parse_int=str)
             for line in export(daemon, made["id"], augment="both").body.splitlines()]
    plain = [json.loads(line, parse_float=str, parse_int=str)
             for line in export(daemon, made["id"], augment="none").body.splitlines()]
    hashed = {**made["recipe"], "view": {"goal": made["recipe"]["view"]["goal"]}}
    out = hashlib.sha256(b"prefd-revision-1\n")
    out.update(field(json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=False)))
    for high, low, row in zip(twins[::2], twins[1::2], plain, strict=True):
        parts = [row["prompt_id"], hashes[row["prompt_id"]], row["chosen_id"], row["rejected_id"]]
        parts += [hashlib.sha256(texts[row[k]].encode()).digest() for k in ("chosen_id", "rejected_id")]
        parts += [row["score_chosen"] or "null", row["score_rejected"] or "null"]
        parts += [high["goal"] or "null", low["goal"] or "null"]
        parts += [row.get("ref_chosen_logps", "null"), row.get("ref_rejected_logps", "null"), row["origin"], ""]
        for part in parts:
            out.update(field(part))
    return out.hexdigest()


@pytest.mark.parametrize("recipe", [
    {"split": "*"}, {"split": "*", "pairing": {"strategy": "all"}, "reference": "ref"},
    {"split": "*", "pairing": {"strategy": "comparisons"}}, {"view": {"goal": "quantile"}},
    {"reward": {"across_judges": "mean", "judges": ["a", "b", "c"]}, "filters": {"sources": ["t"]}}, {"split": "none"},
], ids=["default", "reference", "votes", "quantile", "filters", "empty"])
def test_the_revision_is_a_hash_of_recipe_and_pairs(daemon, varied, recipe):
    dataset, known = varied
    made = make(daemon, dataset, recipe)
    assert revision_of(daemon, made, known) == made["revision"]


# --- the order ------------------------------------------------------------------------------


def test_the_order_is_the_models(daemon, shot):
    made, rows = shot
    for augment in ("both", "chosen", "rejected", "none"):
        view = export(daemon, made["id"], augment=augment).rows()
        assert len(view) == (2 if augment == "both" else 1) * made["pairs"]
        for seed, e in ((0, 0), (42, 1), (2**53 - 1, 7)):
            order = model.Order(made["revision"], augment, seed, e, len(view))
            seen = epoch(daemon, made["id"], augment=augment, seed=seed, epoch=e, batch_size=7)
            assert seen == [view[i] for i in order.all()]
    assert epoch(daemon, made["id"], shuffle="false") == rows


@pytest.mark.parametrize("world", [1, 2, 3, 8])
@pytest.mark.parametrize("size", [1, 5, 32])
def test_each_example_once_an_epoch(daemon, shot, world, size):
    made, rows = shot
    order = model.Order(made["revision"], "both", 3, 2, len(rows))
    offset, seen = 0, {}
    while offset < len(rows):
        answers = [batch(daemon, made["id"], seed=3, epoch=2, offset=offset, batch_size=size, rank=r,
                         world_size=world, tail="short") for r in range(world)]
        ends = set()
        for r, a in enumerate(answers):
            positions, end = model.share(len(rows), offset, size, r, world, "short")
            assert a.status == 200
            body = a.json()
            assert body["next_offset"] == end and body["epoch_size"] == len(rows) and body["offset"] == offset
            assert (a.headers["prefd-next-offset"], a.headers["prefd-epoch-size"]) == (str(end), str(len(rows)))
            assert body["examples"] == [rows[order[p]] for p in positions]
            for p in positions:
                assert p not in seen
                seen[p] = order[p]
            ends.add(end)
        (offset,) = ends
    assert [seen[p] for p in range(len(rows))] == order.all()
    for r in range(world):
        assert batch(daemon, made["id"], offset=offset, batch_size=size, rank=r, world_size=world,
                     tail="short").status == 204


def test_stop_and_resume_with_another_size(daemon, shot):
    made, rows = shot
    order = model.Order(made["revision"], "both", 9, 0, len(rows))
    rng = random.Random(5)
    for _ in range(12):
        offset, got = 0, []
        while offset < len(rows):
            world, size = rng.choice([1, 2, 3, 8]), rng.randrange(1, 20)
            parts = [batch(daemon, made["id"], seed=9, offset=offset, batch_size=size, rank=r, world_size=world,
                           tail="short").json() for r in range(world)]
            whole = [None] * (parts[0]["next_offset"] - offset)
            for r, part in enumerate(parts):
                whole[r::world] = part["examples"]
            got += whole
            offset = parts[0]["next_offset"]
        assert got == [rows[i] for i in order.all()]


@pytest.mark.parametrize("tail", [None, "short", "drop", "pad"])
@pytest.mark.parametrize("world", [1, 2, 3, 8])
def test_tails(daemon, shot, tail, world):
    made, rows = shot
    n = len(rows)
    order = model.Order(made["revision"], "both", 0, 0, n)
    size = n // 3 + 1
    for offset in (0, n - 2 * world, n - world, n - 1, n, max(0, n - size * world), max(0, n - size * world + 1)):
        for rank in {0, 1 % world, world - 1}:
            query = {"offset": offset, "batch_size": size, "rank": rank, "world_size": world}
            a = batch(daemon, made["id"], **query, **({"tail": tail} if tail else {}))
            want = model.share(n, offset, size, rank, world, tail)
            if want == "end":
                assert (a.status, a.body) == (204, b""), (query, tail)
                continue
            positions, end = want
            assert a.status == 200
            assert a.json()["examples"] == [rows[order[p]] for p in positions]
            assert a.json()["next_offset"] == end
    assert batch(daemon, made["id"], offset=n + 1, **({"tail": tail} if tail else {})).status == 422


def test_pad_goes_round_as_often_as_needed(daemon, shot):
    made, rows = shot
    order = model.Order(made["revision"], "both", 0, 0, len(rows)).all()
    a = batch(daemon, made["id"], tail="pad", batch_size=3 * len(rows) + 5).json()
    assert a["next_offset"] == len(rows)
    assert a["examples"] == [rows[order[i % len(rows)]] for i in range(3 * len(rows) + 5)]


# --- how it is served --------------------------------------------------------------------------


def test_ndjson_and_codings_hold_the_same_examples(daemon, shot):
    made, _ = shot
    query = {"offset": 5, "batch_size": 9, "seed": 1}
    plain = batch(daemon, made["id"], **query)
    assert plain.headers["content-type"].startswith("application/json")
    lines = batch(daemon, made["id"], {"Accept": "application/x-ndjson"}, **query)
    assert lines.headers["content-type"].startswith("application/x-ndjson")
    assert lines.rows() == plain.json()["examples"] and lines.body.endswith(b"}\n")
    assert lines.headers["prefd-next-offset"] == plain.headers["prefd-next-offset"] == "14"
    etags = {plain.headers["etag"], lines.headers["etag"]}
    for accept in ({}, {"Accept": "application/x-ndjson"}):
        identity = batch(daemon, made["id"], accept, **query)
        gz = batch(daemon, made["id"], {**accept, "Accept-Encoding": "gzip"}, **query)
        zs = batch(daemon, made["id"], {**accept, "Accept-Encoding": "zstd, gzip"}, **query)
        assert (gz.headers["content-encoding"], zs.headers["content-encoding"]) == ("gzip", "zstd")
        assert gzip.decompress(gz.body) == identity.body == unzst(zs.body)
        etags |= {gz.headers["etag"], zs.headers["etag"]}
    assert len(etags) == 6  # one for each form and coding
    assert {v.strip().lower() for v in plain.headers["vary"].split(",")} >= {"accept", "accept-encoding"}
    assert plain.headers["x-revision"] == made["revision"]
    assert "immutable" in plain.headers["cache-control"]
    assert batch(daemon, made["id"], **query).body == plain.body


def test_etags(daemon, shot):
    made, _ = shot
    seen = {}
    for query in ({}, {"seed": 1}, {"epoch": 1}, {"offset": 1}, {"batch_size": 3}, {"augment": "none"},
                  {"placement": "user"}, {"format": "trl_text"}, {"shuffle": "false"},
                  {"rank": 1, "world_size": 2, "tail": "short"}, {"rank": 0, "world_size": 2, "tail": "short"}):
        a = batch(daemon, made["id"], **{"batch_size": 4, **query})
        assert a.status == 200, a
        assert a.headers["etag"] not in seen, (query, seen[a.headers["etag"]])
        seen[a.headers["etag"]] = query
        for match in (a.headers["etag"], f'"x", {a.headers["etag"]}', "*"):
            again = batch(daemon, made["id"], {"If-None-Match": match}, **{"batch_size": 4, **query})
            assert (again.status, again.body) == (304, b""), match
            assert again.headers["etag"] == a.headers["etag"]
        assert batch(daemon, made["id"], {"If-None-Match": '"other"'}, **{"batch_size": 4, **query}).status == 200
    plain = batch(daemon, made["id"])
    coded = batch(daemon, made["id"], {"Accept-Encoding": "gzip", "If-None-Match": plain.headers["etag"]})
    assert coded.status == 200  # the etag of another coding


def test_head_is_get_without_a_body(daemon, shot):
    made, _ = shot
    path = f"/v1/snapshots/{made['id']}/batch"
    head, get = daemon.request("HEAD", path), daemon.request("GET", path)
    assert (head.status, head.body) == (200, b"")
    assert head.headers["etag"] == get.headers["etag"]


def test_export_is_the_stored_order(daemon, shot):
    made, rows = shot
    plain = export(daemon, made["id"])
    assert plain.headers["content-type"].startswith("application/x-ndjson")
    assert plain.headers["x-revision"] == made["revision"]
    for coding, undo in (("gzip", gzip.decompress), ("zstd", unzst)):
        a = export(daemon, made["id"], {"Accept-Encoding": coding})
        assert a.headers.get("content-encoding") == coding and undo(a.body) == plain.body
    ids = [(r["prompt_id"].encode(), r["twin"] == "rejected_goal") for r in rows]
    assert [i for i, _ in ids] == sorted(i for i, _ in ids)
    assert [t for _, t in ids] == [False, True] * made["pairs"]


# --- views ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["trl", "trl_text"])
@pytest.mark.parametrize("placement", ["system", "user"])
@pytest.mark.parametrize("augment", ["both", "chosen", "rejected", "none"])
def test_views(daemon, varied, augment, placement, form):
    dataset, known = varied
    template = "Aim at {goal} between {min} and {max}, \"best\" is {max}."
    recipe = {"split": "*", "view": {"template": template}, "pairing": {"strategy": "comparisons"}}
    made = make(daemon, dataset, recipe, name=f"{dataset}-views", status=(
        200 if daemon.request("GET", f"/v1/snapshots/{dataset}-views").status == 200 else 201))
    wanted = model.snapshot(known, recipe)
    assert {p.plain for p in wanted.pairs} == {True, False}
    modelled = model.examples(known, recipe, wanted, augment, placement, form, template)
    query = {"augment": augment, "placement": placement, "format": form}
    for seen, want in zip(export(daemon, made["id"], **query).rows(), modelled, strict=True):
        same_example(seen, want)
    order = model.Order(made["revision"], augment, 0, 0, len(modelled)).all()
    for seen, want in zip(epoch(daemon, made["id"], **query), [modelled[i] for i in order], strict=True):
        same_example(seen, want)


def test_the_view_is_no_part_of_the_revision(daemon, varied):
    dataset, _ = varied
    base = make(daemon, dataset, {"split": "*"})
    for view in ({"augment": "none"}, {"placement": "user"}, {"format": "trl_text"}, {"template": "g={goal}"}):
        assert make(daemon, dataset, {"split": "*", "view": view})["revision"] == base["revision"], view
    for recipe in ({}, {"split": "*", "view": {"goal": "quantile"}}, {"split": "*", "pairing": {"seed": 1}}):
        assert make(daemon, dataset, recipe)["revision"] != base["revision"], recipe


def test_exports_for_other_trainers(daemon, shot, varied):
    made, rows = shot
    for seen, row in zip(export(daemon, made["id"], format="llamafactory").rows(), rows, strict=True):
        system = [m["content"] for m in row["prompt"] if m["role"] == "system"]
        rest = [m for m in row["prompt"] if m["role"] != "system"]
        assert seen["conversations"] == [{"from": "human", "value": m["content"]} for m in rest]
        assert seen["chosen"] == {"from": "gpt", "value": row["chosen"][0]["content"]}
        assert seen["rejected"] == {"from": "gpt", "value": row["rejected"][0]["content"]}
        assert seen.get("system") == (system[0] if system else None)
    for seen, row in zip(export(daemon, made["id"], format="openrlhf").rows(), rows, strict=True):
        assert seen == {"chosen": row["prompt"] + row["chosen"], "rejected": row["prompt"] + row["rejected"]}


def test_viewer_rows(daemon, shot):
    made, rows = shot
    path = f"/v1/snapshots/{made['id']}/rows"
    page = daemon.request("GET", path + "?offset=3&length=5").json()
    assert [r["row_idx"] for r in page["rows"]] == [3, 4, 5, 6, 7]
    assert [r["row"] for r in page["rows"]] == rows[3:8]
    assert page["num_rows_total"] == len(rows)
    assert {f["name"] for f in page["features"]} >= set(rows[0])
    assert len(daemon.request("GET", path).json()["rows"]) == min(100, len(rows))
    assert daemon.request("GET", path + f"?offset={len(rows)}").json()["rows"] == []


def talk(turns):
    return [{"role": ["user", "assistant"][i % 2], "content": f"turn {i}"} for i in range(turns)]


def two(id, prompt, high=9, low=2, **more):
    return {"id": id, "prompt": prompt, "responses": [
        {"id": id + "-a", "text": "good", "scores": [{"judge": "j", "value": high}], **more},
        {"id": id + "-b", "text": "bad", "scores": [{"judge": "j", "value": low}], **more}]}


def test_a_long_conversation_cannot_be_text(daemon, dataset):
    post(daemon, dataset, [two("p1", "q"), two("p2", talk(3))])
    made = make(daemon, dataset)
    assert len(epoch(daemon, made["id"])) == 4
    for answer in (batch(daemon, made["id"], format="trl_text"), export(daemon, made["id"], format="trl_text")):
        assert answer.status == 422 and answer.json()["type"] == "/problems/impossible-view"
    problem = make(daemon, dataset, {"view": {"format": "trl_text"}}, name=f"{dataset}-text", status=422)
    assert problem["type"] == "/problems/impossible-view"
    failed = daemon.request("GET", f"/v1/snapshots/{dataset}-text").json()
    assert failed["state"] == "failed" and failed["problem"]["type"] == "/problems/impossible-view"


def test_rewards_outside_the_goal_scale(daemon, dataset):
    post(daemon, dataset, [two("p1", "q", 95, 20), two("p2", "r", 9, 2)])
    problem = make(daemon, dataset, name=f"{dataset}-bad", status=422)
    assert problem["type"] == "/problems/outside-goal-scale"
    assert daemon.request("GET", f"/v1/snapshots/{dataset}-bad").json()["state"] == "failed"
    made = make(daemon, dataset, {"view": {"augment": "none"}})
    assert made["state"] == "ready" and [e["score_chosen"] for e in export(daemon, made["id"]).rows()] == [95, 9]
    for augment in ("both", "chosen", "rejected"):
        assert batch(daemon, made["id"], augment=augment).status == 422


def test_a_declared_range_is_mapped_onto_the_scale(daemon):
    dataset = new_dataset(daemon, "mapped", attributes={"overall": {"min": 0, "max": 100}})
    post(daemon, dataset, [two("p1", "q", 95, 20)])
    rows = export(daemon, make(daemon, dataset)["id"]).rows()
    assert [r["goal"] for r in rows] == [9.55, 2.8]  # 1 + 9·0.95, 1 + 9·0.20
    assert [(r["chosen_id"], r["rejected_id"]) for r in rows] == [("p1-a", "p1-b"), ("p1-b", "p1-a")]
    assert "9.55" in rows[0]["prompt"][0]["content"] and "2.8" in rows[1]["prompt"][0]["content"]


def test_a_forgotten_range_is_warned_of(daemon, dataset):
    post(daemon, dataset, [two(f"p{i}", f"q{i}", 5, 1 + i % 3) for i in range(30)])
    assert make(daemon, dataset)["warnings"]
    other = new_dataset(daemon, "whole")
    post(daemon, other, [two(f"p{i}", f"q{i}", 10 - i % 3, 1 + i % 7) for i in range(30)])
    assert make(daemon, other)["warnings"] == []


def test_references_go_along_where_no_goal_is(daemon, dataset):
    post(daemon, dataset, [two("p1", "q", logprobs={"ref": -3.5})])
    made = make(daemon, dataset, {"reference": "ref", "view": {"augment": "none"}})
    (row,) = export(daemon, made["id"]).rows()
    assert (row["ref_chosen_logps"], row["ref_rejected_logps"]) == (-3.5, -3.5)
    assert all("ref_chosen_logps" not in r for r in export(daemon, made["id"], augment="both").rows())


# --- snapshots never move ------------------------------------------------------------------------------


def test_an_empty_snapshot(daemon, dataset):
    made = make(daemon, dataset)
    assert (made["state"], made["examples"], made["pairs"]) == ("ready", 0, 0)
    assert batch(daemon, made["id"]).status == 204
    assert batch(daemon, made["id"], offset=1).status == 422
    assert (export(daemon, made["id"]).status, export(daemon, made["id"]).body) == (200, b"")


def test_names(daemon, dataset):
    post(daemon, dataset, [two("p1", "q")])
    path = f"/v1/datasets/{dataset}/snapshots?wait=60"
    name = f"{dataset}-n"
    first = daemon.request("POST", path, {"name": name, "recipe": {"pairing": {"seed": 1}}})
    assert first.status == 201 and first.headers["location"] == f"/v1/snapshots/{name}"
    assert first.json()["id"] == name
    again = daemon.request("POST", path, {"recipe": {"pairing": {"seed": 1}}, "name": name})
    assert again.status == 200 and again.json() == first.json()
    assert daemon.request("POST", path, {"name": name, "recipe": {}}).status == 409
    post(daemon, dataset, [two("p2", "r")])
    assert daemon.request("POST", path, {"name": name, "recipe": {"pairing": {"seed": 1}}}).json()["pairs"] == 1
    a, b = make(daemon, dataset), make(daemon, dataset)
    assert a["id"] != b["id"] and a["revision"] == b["revision"]
    assert daemon.request("DELETE", f"/v1/snapshots/{name}").status == 204
    assert daemon.request("GET", f"/v1/snapshots/{name}").status in (404, 410)
    assert daemon.request("POST", path, {"name": name, "recipe": {}}).status == 409  # never used again
    daemon.request("DELETE", f"/v1/snapshots/{a['id']}")
    assert batch(daemon, b["id"]).status == 200  # the shared file stays


def test_later_scores_do_not_move_a_byte(daemon, dataset):
    rows = [r | {"id": f"x-{r['id']}", "responses": [q | {"id": "x-" + q["id"]} for q in r["responses"]],
                 "comparisons": []} for r in rows_of(3, 30)]
    post(daemon, dataset, rows)
    made = make(daemon, dataset, {"split": "*"}, name=f"{dataset}-s")
    before = export(daemon, made["id"]).body, batch(daemon, made["id"], batch_size=50).body
    scores = [{"response": q["id"], "judge": "a", "value": 1 + i % 9} for r in rows
              for i, q in enumerate(r["responses"])]
    post(daemon, dataset, scores, "scores")
    post(daemon, dataset, [two("y-1", "new"), two("a-1", "newer")])
    post(daemon, dataset, [{"id": rows[0]["id"], "prompt": rows[0]["prompt"], "split": "elsewhere"}],
         query="?on_conflict=replace")
    assert (export(daemon, made["id"]).body, batch(daemon, made["id"], batch_size=50).body) == before
    assert daemon.request("GET", f"/v1/snapshots/{made['id']}").json() == made
    assert make(daemon, dataset, {"split": "*"})["revision"] != made["revision"]


def test_a_deleted_prompt_revokes(daemon, dataset):
    post(daemon, dataset, [two("p1", "q"), two("p2", "r"), two("p3", "s") | {"split": "test"}])
    whole, train = make(daemon, dataset, {"split": "*"}), make(daemon, dataset)
    assert daemon.request("DELETE", f"/v1/datasets/{dataset}/prompts/p3").status == 204
    seen = daemon.request("GET", f"/v1/snapshots/{whole['id']}").json()
    assert seen["state"] == "revoked"
    for answer in (batch(daemon, whole["id"]), export(daemon, whole["id"])):
        assert answer.status == 410 and answer.json()["type"] == "/problems/gone"
    assert batch(daemon, train["id"]).status == 200  # it does not hold p3
    assert make(daemon, dataset, {"split": "*"})["pairs"] == 2


# --- files ------------------------------------------------------------------------------------------------


@pytest.fixture
def files(fresh_daemon):
    """A daemon of its own with a snapshot; its file's path."""
    d = fresh_daemon()
    dataset = new_dataset(d, "files")
    post(d, dataset, rows_of(2, 150))
    made = make(d, dataset, {"split": "*", "pairing": {"strategy": "all"}})
    path = os.path.join(d.data, "snapshots", made["revision"] + ".snap")
    assert os.path.getsize(path) == made["bytes"]
    return d, dataset, made, path


def served(d, made, seconds=30):
    """The whole export, asked for again while the file is being rebuilt."""
    for _ in range(seconds * 10):
        try:
            answer = export(d, made["id"])
        except (http.client.HTTPException, ConnectionError):  # it broke on a bad block
            continue
        if answer.status == 200:
            return answer.body
        assert answer.status == 503 and int(answer.headers["retry-after"]) >= 0, answer
        time.sleep(0.1)
    raise AssertionError("the file was not rebuilt")


def test_damaged_files_are_rebuilt(files):
    d, _, made, path = files
    with open(path, "rb") as f:
        content = f.read()
    body = served(d, made)
    rng = random.Random(11)
    places = [0, 8, 40, 100, 4095, len(content) - 1, len(content) // 2] + [rng.randrange(len(content)) for _ in range(8)]
    for at in places:
        d.stop()
        with open(path, "wb") as f:
            f.write(content[:at] + bytes([content[at] ^ 1]) + content[at + 1:])
        d.start()
        assert served(d, made) == body, at
        with open(path, "rb") as f:
            after = f.read()
        # A byte that nobody reads may stay damaged (padding); a file that was rebuilt is the same.
        assert after == content or after[at] == content[at] ^ 1, at
    for cut in (0, 1, 4096, len(content) - 7):
        d.stop()
        with open(path, "wb") as f:
            f.write(content[:cut])
        d.start()
        assert served(d, made) == body, cut
        with open(path, "rb") as f:
            assert f.read() == content


def read_until(over, d, made, body, pages):
    """Exports and batches in turn: whole and right, refused with 503, or broken off; how many were whole."""
    whole = 0
    while not over.is_set():
        try:
            answer = export(d, made["id"])
        except (http.client.HTTPException, ConnectionError):  # it broke on a bad page
            continue
        assert (answer.status == 200 and answer.body == body) or answer.status == 503, answer
        whole += answer.status == 200
        for offset, page in pages.items():
            answer = batch(d, made["id"], shuffle="false", offset=offset, batch_size=64, tail="short")
            assert (answer.status == 200 and answer.body == page) or answer.status == 503, answer
    return whole


def test_files_cut_short_while_they_are_read(files):
    d, _, made, path = files
    with open(path, "rb") as f:
        content = f.read()
    body = served(d, made)
    pages = {offset: batch(d, made["id"], shuffle="false", offset=offset, batch_size=64, tail="short").body
             for offset in range(0, made["examples"], 64)}
    pid = d.pid
    for cut in (8192, 0, len(content) // 2, len(content) - 8, 8192 + 1234):
        over = threading.Event()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            readers = [pool.submit(read_until, over, d, made, body, pages) for _ in range(4)]
            try:
                time.sleep(0.2)
                os.truncate(path, cut)
                time.sleep(0.3)
                assert served(d, made) == body, cut
            finally:
                over.set()
            assert sum(r.result() for r in readers) > 0
        with open(path, "rb") as f:
            assert f.read() == content, cut
    assert d.running() and d.pid == pid  # the same process all along


def test_a_missing_file_is_rebuilt(files):
    d, dataset, made, path = files
    with open(path, "rb") as f:
        content = f.read()
    body = served(d, made)
    post(d, dataset, [{"response": r["id"], "judge": "a", "value": 3}
                      for r in prompt(d, dataset, "p0")["responses"]], "scores")
    os.unlink(path)
    assert served(d, made) == body  # still mapped
    d.restart()
    assert served(d, made) == body
    with open(path, "rb") as f:
        assert f.read() == content


def test_a_deletion_while_the_file_is_lost(files):
    """Two datasets share a file that is lost: the one that loses a prompt is revoked by itself, the other served."""
    d, dataset, made, path = files
    other = new_dataset(d, "files-again")
    post(d, other, rows_of(2, 150))
    same = make(d, other, {"split": "*", "pairing": {"strategy": "all"}})
    assert same["revision"] == made["revision"]
    body = served(d, same)
    gone = json.loads(body.splitlines()[0])["prompt_id"]
    d.stop()
    os.unlink(path)
    d.start()
    assert d.request("DELETE", f"/v1/datasets/{dataset}/prompts/{gone}").status == 204
    for _ in range(300):
        state = d.request("GET", f"/v1/snapshots/{made['id']}").json()["state"]
        if state == "revoked":
            break
        time.sleep(0.1)
    assert state == "revoked"
    assert batch(d, made["id"]).status == export(d, made["id"]).status == 410
    assert served(d, same) == body
    assert d.request("GET", f"/v1/snapshots/{same['id']}").json()["state"] == "ready"
    assert os.path.getsize(path) == made["bytes"]


def metric(d, name):
    text = d.request("GET", "/metrics").body.decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.MULTILINE).group(1))


def test_many_readers_of_a_missing_file_are_one_job(files):
    d, _, made, path = files
    body = served(d, made)
    d.stop()
    os.unlink(path)
    d.start()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda _: served(d, made), range(24))) == {body}
    assert metric(d, "prefd_snapshots_built_total") == 1


def test_many_makers_of_one_revision_are_one_file(files):
    d, dataset, made, _ = files
    before = sorted(os.listdir(os.path.join(d.data, "snapshots")))
    recipe = {"split": "*", "pairing": {"strategy": "all"}}
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        many = list(pool.map(lambda _: make(d, dataset, recipe), range(16)))
    assert len({m["id"] for m in many}) == 16 and {m["revision"] for m in many} == {made["revision"]}
    assert sorted(os.listdir(os.path.join(d.data, "snapshots"))) == before
    for m in many:
        assert d.request("DELETE", f"/v1/snapshots/{m['id']}").status == 204
    assert served(d, made)


def test_a_deleted_dataset_revokes_and_its_file_goes(files):
    d, dataset, made, path = files
    assert d.request("DELETE", f"/v1/datasets/{dataset}?confirm={dataset}").status == 204
    assert d.request("GET", f"/v1/snapshots/{made['id']}").json()["state"] == "revoked"
    assert batch(d, made["id"]).status == export(d, made["id"]).status == 410
    d.restart()
    assert batch(d, made["id"]).status == 410
    assert not os.path.exists(path)


def test_a_snapshot_deleted_while_it_is_read(files):
    d, _, made, path = files
    connection = d.connect()
    connection.request("GET", f"/v1/snapshots/{made['id']}/export")
    answer = connection.getresponse()
    start = answer.read(10)
    assert d.request("DELETE", f"/v1/snapshots/{made['id']}").status == 204
    whole = start + answer.read()
    connection.close()
    assert whole.count(b"\n") == made["examples"]
    assert batch(d, made["id"]).status in (404, 410)
    d.restart()
    assert not os.path.exists(path)


def test_equal_bytes_on_another_daemon(fresh_daemon, files):
    """Another order, other posts, revisions in between: the same revision and the same file."""
    d, _, made, path = files
    other = fresh_daemon()
    dataset = new_dataset(other, "elsewhere", description="another")
    rows = rows_of(2, 150)
    random.Random(3).shuffle(rows)
    for i in range(0, len(rows), 17):
        post(other, dataset, [r | {"comparisons": []} for r in rows[i:i + 17]])
    post(other, dataset, rows)
    same = make(other, dataset, {"split": "*", "pairing": {"strategy": "all"}})
    assert same["revision"] == made["revision"]
    with open(path, "rb") as f, open(os.path.join(other.data, "snapshots", same["revision"] + ".snap"), "rb") as g:
        assert f.read() == g.read()
    assert served(d, made) == served(other, same)
