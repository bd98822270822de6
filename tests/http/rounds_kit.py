"""What the tests of rescored and published rounds have in common: rounds made, rescored, published, and the same
for the model."""

import hashlib
import json
import random

import pytest

import model
import model_rounds as mr
from wire import export, new_dataset, post

POLICY, REFERENCE = "lab/policy-1", "lab/start"
BOTH = {"policy": POLICY, "reference": REFERENCE}


WORDS = ["ant", "bee", "crane", "dove", "eagle", "fox", "gnu"]


def words(rng, low, high):
    return " ".join(rng.choice(WORDS) for _ in range(rng.randrange(low, high)))


def sample_id(round, prompt, index):
    return hashlib.sha256(f"prefd-sample-1\n{round}\n{prompt}\n{index}".encode()).hexdigest()[:32]


def prompt_id(i):
    return f"p{i:03}"


def lengthy_rows(rng, prompts, per_prompt, policy=POLICY, reference=REFERENCE):
    """Stored responses with log-probabilities: longer ones are liked better, as usual. Some are not to be scored."""
    rows = []
    for i in range(prompts):
        responses = []
        for k in range(per_prompt):
            text = words(rng, 1, 40) if rng.random() > 0.05 else "abc"
            r = {"id": f"{prompt_id(i)}.r{k:02}", "text": text, "model": "m",
                 "finish_reason": "length" if rng.random() < 0.05 else "stop",
                 "logprobs": {policy: -rng.uniform(10, 90) - 0.5 * len(text),
                              reference: -rng.uniform(10, 90) - 0.6 * len(text)}}
            if rng.random() < 0.05:
                del r["logprobs"][reference]
            responses.append(r)
        if per_prompt > 2 and rng.random() < 0.3:
            responses[-1]["text"] = responses[-2]["text"]
            responses[-1]["model"] = "twin"
        rows.append({"id": prompt_id(i), "prompt": f"question {i}", "responses": responses})
    return rows


def known_of(rows, order=lambda r: r["id"].encode(), policy=POLICY, reference=REFERENCE, **values):
    """The same rows for the model."""
    prompts = []
    for row in rows:
        scored = [mr.Scored(r["id"], r["text"], r.get("finish_reason"), r.get("tokens"),
                            {m: (v, None) for m, v in r.get("logprobs", {}).items()}, order(r))
                  for r in row["responses"]]
        prompts.append((model.Prompt(row["id"], [{"role": "user", "content": row["prompt"]}]), scored))
    return mr.Round(policy, reference, prompts, **values)


def known_of_round(known, **values):
    return mr.Round(known.policy, known.reference, known.prompts,
                    **{"min_responses": known.min_responses, "beta": known.beta, "length": known.length, **values})


def create(daemon, dataset, **document):
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {**BOTH, "responses": "dataset", **document})
    assert answer.status == 201, answer
    return answer.json()["id"]


def rescore(daemon, round, status=200, headers=None, **document):
    answer = daemon.request("POST", f"/v1/rounds/{round}/rescore", document, headers)
    assert answer.status == status, answer
    return answer.json()


def rewards(daemon, round, **query):
    """All of them, page by page."""
    out, after = [], None
    while True:
        q = {**query, **({"after": after} if after else {})}
        answer = daemon.request("GET", f"/v1/rounds/{round}/rewards?" + "&".join(f"{k}={v}" for k, v in q.items()))
        assert answer.status == 200, answer
        out += answer.json()["rewards"]
        after = answer.json()["next"]
        if after is None:
            return out


def roles(listed):
    return {(x["prompt"], x["role"]): x["response"] for x in listed if x["role"]}


def publish(daemon, round, status=201, wait=60, **document):
    answer = daemon.request("POST", f"/v1/rounds/{round}/publish?wait={wait}", document)
    assert answer.status == status, answer
    return answer.json()


def refused(answer, status, problem, pointer=None):
    assert answer.status == status and answer.json()["type"] == f"/problems/{problem}", answer
    if pointer is not None:
        assert answer.json().get("pointer", "") == pointer, answer


def stored_round(daemon, seed, prompts=24, per_prompt=6, name="rescore", **document):
    """A dataset, a round over its responses, and the same for the model."""
    dataset = new_dataset(daemon, name)
    rows = lengthy_rows(random.Random(seed), prompts, per_prompt)
    post(daemon, dataset, rows)
    document = {"min_responses": 3, "filters": {"min_characters": 4}, **document}
    r = create(daemon, dataset, **document)
    values = {k: v for k, v in document.items() if k in ("beta", "min_responses", "length")}
    return dataset, r, known_of(rows, **values)


def scale_of(daemon, dataset):
    s = daemon.request("GET", f"/v1/datasets/{dataset}").json()["goal_scale"]
    return s["min"], s["max"]


def as_published(daemon, snapshot, prompts):
    """The pairs of a snapshot as the model takes them: by its plain view and its goals."""
    plain = export(daemon, snapshot, augment="none").rows()
    twins = [json.loads(line, parse_float=str, parse_int=str)
             for line in export(daemon, snapshot, augment="both").body.splitlines()]
    out = []
    for row, high, low in zip(plain, twins[::2], twins[1::2], strict=True):
        halves = [mr.Half(row[f"{side}_id"], row[side][0]["content"], row[f"score_{side}"], goal)
                  for side, goal in (("chosen", high["goal"]), ("rejected", low["goal"]))]
        out.append(mr.Published(prompts[row["prompt_id"]], *halves, row["origin"]))
    return out


def same_pairs(seen, wanted):
    def told(p):
        goals = (None, None) if p.plain else (p.chosen.goal, p.rejected.goal)
        return (p.prompt.id, p.chosen.id, p.rejected.id, p.chosen.text, p.rejected.text, p.chosen.score,
                p.rejected.score, goals, p.origin)

    assert [told(p) for p in seen] == [told(p) for p in wanted]


def check_published(daemon, made, wanted, prompts):
    """Pairs, goals, numbers and the revision, from outside."""
    assert made["state"] == "ready" and made["pairs"] == made["prompts"] == len(wanted)
    same_pairs(as_published(daemon, made["id"], prompts), wanted)
    raw = mr.exactly(daemon.request("GET", f"/v1/snapshots/{made['id']}").body)
    rows = [mr.exactly(line) for line in export(daemon, made["id"], augment="none").body.splitlines()]
    assert mr.revision(raw["recipe"], rows, wanted) == made["revision"]


@pytest.fixture(scope="module")
def sampled(daemon):
    """(dataset, round, the model's round): samples delivered, all but a few."""
    rng = random.Random(77)
    dataset = new_dataset(daemon, "sampled")
    rows = [{"id": prompt_id(i), "prompt": f"question {i}"} for i in range(30)]
    post(daemon, dataset, rows)
    r = create(daemon, dataset, responses="sample", responses_per_prompt=6, min_responses=4, name=f"{dataset}-r")
    prompts = []
    for row in rows:
        scored, samples = [], []
        for k in range(6):
            text = words(rng, 1, 30)
            values = {POLICY: -rng.uniform(5, 60) - len(text), REFERENCE: -rng.uniform(5, 60) - len(text)}
            if rng.random() < 0.1:
                continue
            finish = "length" if rng.random() < 0.1 else "stop"
            samples.append({"prompt": row["id"], "index": k, "text": text, "finish_reason": finish, "logprobs": values})
            scored.append(mr.Scored(sample_id(r, row["id"], k), text, finish, None,
                                    {m: (v, None) for m, v in values.items()}, k))
        assert daemon.post_rows(f"/v1/rounds/{r}/responses", samples).status == 200
        prompts.append((model.Prompt(row["id"], [{"role": "user", "content": row["prompt"]}]), scored))
    return dataset, r, mr.Round(POLICY, REFERENCE, prompts, min_responses=4, sampled=True)


def prompts_of(known):
    return {p.id: p for p, _ in known.prompts}
