"""The description, the routes and the real answers say the same.

Every answer made in this file goes through a recorder that looks its operation
up in the description and validates status, type, headers and body.
"""

import json
import os
import re
import subprocess
import time
import urllib.parse

import jsonschema
import pytest

from conftest import BINARY, ROOT, clean_environment
from wire import NDJSON, lines, make, new_dataset, post

SCHEMA = os.path.join(ROOT, "schema")
METHODS = {"get", "put", "post", "delete", "patch", "head", "options"}
# Cannot be had at will from outside: a failed fsync, a full disk, a queue that is full.
OUT_OF_REACH = {("readyz", "503"), *((op, code) for op in ("postRecords", "postScores", "postComparisons", "postSamples",
                                                                 "postLogprobs")
                                     for code in ("503", "507"))}


@pytest.fixture(scope="module")
def spec(daemon):
    answer = daemon.request("GET", "/openapi.json")
    assert answer.status == 200 and answer.headers["content-type"].startswith("application/json")
    return answer.json()


def operations(spec):
    return {(method.upper(), path): op for path, item in spec["paths"].items()
            for method, op in item.items() if method in METHODS}


def resolve(spec, node):
    while "$ref" in node:
        at = spec
        for step in node["$ref"].lstrip("#/").split("/"):
            at = at[step]
        node = at
    return node


class Recorder:
    """Sends requests and holds every answer against the description."""

    def __init__(self, daemon, spec):
        self.daemon, self.spec = daemon, spec
        self.resolver = jsonschema.RefResolver.from_schema(spec)
        self.seen = set()

    def operation(self, method, path):
        path = urllib.parse.urlsplit(path).path
        for (m, pattern), op in operations(self.spec).items():
            if m == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
                return op
        raise AssertionError(f"{method} {path} is not described")

    def valid(self, schema, value, what):
        validator = jsonschema.Draft202012Validator(schema, resolver=self.resolver)
        errors = sorted(validator.iter_errors(value), key=lambda e: list(map(str, e.path)))
        assert not errors, f"{what}: {errors[0].json_path}: {errors[0].message}\n{json.dumps(value)[:2000]}"

    def request(self, method, path, body=None, headers=None):
        answer = self.daemon.request(method, path, body, headers)
        op = self.operation(method, path)
        what = f"{method} {path} -> {answer.status}"
        code = str(answer.status)
        assert code in op["responses"] or answer.status >= 400, f"{what}: not described"
        described = resolve(self.spec, op["responses"].get(code, op["responses"]["default"]))
        for name, header in described.get("headers", {}).items():
            if name != "Vary" or "vary" in answer.headers:
                assert name.lower() in answer.headers, f"{what}: no {name}"
                self.valid(resolve(self.spec, header)["schema"], answer.headers[name.lower()], f"{what}: {name}")
        content = described.get("content")
        if content is None:
            assert answer.body == b"", what
        else:
            kind = answer.headers["content-type"].split(";")[0]
            assert kind in content, f"{what}: {kind}"
            if kind in ("application/json", "application/problem+json"):
                self.valid(content[kind]["schema"], answer.json(), what)
        if answer.status >= 400:
            assert answer.json()["status"] == answer.status, what
        self.seen.add((op["operationId"], code))
        return answer


@pytest.fixture(scope="module")
def api(daemon, spec):
    return Recorder(daemon, spec)


# --- the description itself --------------------------------------------------------


def test_it_is_served_as_it_stands_in_the_tree(spec):
    done = subprocess.run(["/usr/bin/python3", os.path.join(SCHEMA, "openapi.py"), os.path.join(SCHEMA, "openapi.yaml")],
                          capture_output=True, check=True)
    assert json.loads(done.stdout) == spec


def test_it_is_an_openapi_document(spec):
    assert spec["openapi"] == "3.1.0"
    ids = [op["operationId"] for op in operations(spec).values()]
    assert len(ids) == len(set(ids))
    for schema in spec["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    for (method, path), op in operations(spec).items():
        assert op["summary"] and op["tags"][0] in {t["name"] for t in spec["tags"]}
        named = {resolve(spec, p)["name"] for p in op.get("parameters", []) + spec["paths"][path].get("parameters", [])
                 if resolve(spec, p)["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path
        assert ("security" in op) == (op["x-scope"] == "open")
        assert "default" in op["responses"], (method, path)


def references(node):
    if isinstance(node, dict):
        for k, v in node.items():
            if k == "$ref":
                yield v
            else:
                yield from references(v)
    elif isinstance(node, list):
        for v in node:
            yield from references(v)


def test_every_reference_leads_somewhere_and_every_component_is_used(spec):
    used = set(references(spec))
    for ref in used:
        assert ref.startswith("#/") and resolve(spec, {"$ref": ref}) is not None
    for kind in ("schemas", "parameters", "headers", "responses"):
        for name in spec["components"][kind]:
            mentioned = {"LlamaFactoryExample", "OpenRlhfExample", "Allow"}  # in prose
            assert f"#/components/{kind}/{name}" in used or name in mentioned, name


def test_examples_fit_their_schemas(spec, api):
    for name, schema in spec["components"]["schemas"].items():
        for example in [schema["example"]] if "example" in schema else schema.get("examples", []):
            api.valid(schema, example, name)
    for op in operations(spec).values():
        media = [m for r in op["responses"].values() for m in resolve(spec, r).get("content", {}).values()]
        media += op.get("requestBody", {}).get("content", {}).values()
        for m in media:
            if "example" in m:
                api.valid(m["schema"], m["example"], op["operationId"])


def test_routes_and_description_agree_in_both_directions(spec):
    done = subprocess.run([BINARY, "routes"], capture_output=True, check=True, timeout=30, env=clean_environment())
    printed = {tuple(line.split()) for line in done.stdout.decode().splitlines()}
    described = {(method, path, op["x-scope"]) for (method, path), op in operations(spec).items()}
    assert printed - described == set(), "routes without a description"
    assert described - printed == set(), "descriptions without a route"


def test_problem_types_are_those_of_the_table(spec):
    with open(os.path.join(ROOT, "include", "base", "err.h"), encoding="utf-8") as f:
        table = re.findall(r'^\tX\((\w+), (\d+), "([a-z-]+)", "[^"]+"\)', f.read(), re.MULTILINE)
    assert len(table) > 20
    wanted = ["/problems/" + slug for name, _, slug in table if name != "NONE"]
    assert spec["components"]["schemas"]["ProblemType"]["enum"] == wanted


def test_row_schemas_are_the_components(spec):
    for name in ("record", "score", "comparison"):
        with open(os.path.join(SCHEMA, f"{name}.schema.json"), encoding="utf-8") as f:
            own = json.load(f)
        jsonschema.Draft202012Validator.check_schema(own)
        for example in own["examples"]:
            jsonschema.Draft202012Validator(own).validate(example)
        component = spec["components"]["schemas"][own["title"]]
        assert component["properties"].keys() == own["properties"].keys()
        assert component["required"] == own["required"] and component["additionalProperties"] is False
    shared = [json.load(open(os.path.join(SCHEMA, f"{n}.schema.json"), encoding="utf-8"))["$defs"]
              for n in ("record", "score", "comparison")]
    for key in set(shared[0]) & set(shared[1]):
        assert shared[0][key] == shared[1][key]


def test_every_query_parameter_is_taken(daemon, spec):
    """An undescribed one is 422 unknown-key; so a described one must not be."""
    for (method, path), op in operations(spec).items():
        if method != "GET":
            continue
        target = re.sub(r"\{\w+\}", "nobody", path)
        for p in (resolve(spec, p) for p in op.get("parameters", [])):
            if p["in"] == "query":
                seen = daemon.request(method, f"{target}?{p['name']}=1")
                assert b"query parameter" not in seen.body, (path, p["name"], seen)
        seen = daemon.request(method, f"{target}?nothing-like-that=1")
        assert (seen.status, seen.json()["type"]) == (422, "/problems/unknown-key"), path


# --- real answers ------------------------------------------------------------------------


ROWS = [{"id": f"p{i}", "prompt": f"q{i}", "source": "s", "metadata": {"a": [1, None]}, "responses": [
    {"id": f"p{i}-a", "text": "good", "model": "m", "tokens": 3, "finish_reason": "stop", "logprobs": {"r": -1.5},
     "scores": [{"judge": "j", "value": 9, "rationale": "fine"}, {"judge": "k", "value": None, "status": "failed"}]},
    {"id": f"p{i}-b", "text": "bad", "scores": [{"judge": "j", "value": 2 + i / 10}]}],
    "comparisons": [{"judge": "ada", "chosen": f"p{i}-a", "rejected": f"p{i}-b"}]} for i in range(12)]


@pytest.fixture(scope="module")
def place(daemon):
    dataset = new_dataset(daemon, "described", attributes={"depth": {"min": 1, "max": 5}})
    post(daemon, dataset, ROWS)
    make(daemon, dataset, name=f"{dataset}-s")
    return dataset


def test_operations(api, place):
    for path in ("/", "/healthz", "/readyz", "/metrics", "/openapi.json", "/v1/limits", "/v1/version"):
        assert api.request("GET", path).status == 200
    text = api.request("GET", "/metrics").body.decode()
    for name in ("prefd_http_requests_total", "prefd_rows_accepted_total"):
        assert f"# HELP {name} " in text and f"# TYPE {name} counter" in text and re.search(rf"^{name} \d+$", text, re.M)
    limits = api.request("GET", "/v1/limits").json()
    assert limits["json_depth"] == 32 and limits["batch_size"] == 4096 and limits["body_bytes"] == 67108864
    assert b"<html" in api.request("GET", "/").body.lower()


def test_datasets(api, place):
    d = f"/v1/datasets/{place}"
    assert api.request("PUT", f"{d}-x", {"description": "d", "goal_scale": {"min": 0, "max": 1}}).status == 201
    assert api.request("PUT", f"{d}-x", {"attributes": {"a": {"min": 0, "max": 1}}}).status == 200
    assert api.request("PUT", f"{d}-x", b"{", {"Content-Type": "application/json"}).status == 400
    assert api.request("PUT", f"{d}-x", {"nothing": 1}).status == 422
    assert api.request("PUT", f"{d}-x", b"x", {"Content-Type": "text/plain"}).status == 415
    post(api.daemon, place, [{"response": "p0-a", "judge": "j", "attribute": "depth", "value": 2}], "scores")
    assert api.request("PUT", d, {"attributes": {"depth": {"min": 1, "max": 9}}}).status == 409
    big = {"description": "a" * api.request("GET", "/v1/limits").json()["document_bytes"]}
    assert api.request("PUT", f"{d}-x", big).status == 413
    assert api.request("GET", d).status == 200
    assert api.request("GET", f"{d}-none").status == 404
    assert api.request("GET", "/v1/datasets").status == 200
    page = api.request("GET", "/v1/datasets?limit=1").json()
    assert api.request("GET", f"/v1/datasets?limit=1&after={page['next']}").json()["datasets"] != page["datasets"]
    assert api.request("GET", "/v1/datasets?limit=0").status == 422
    assert api.request("DELETE", f"{d}-x").status == 422
    assert api.request("DELETE", f"{d}-x?confirm={place}-x").status == 204
    assert api.request("DELETE", f"{d}-x?confirm={place}-x").status == 404


def test_bulk_writes(api, place):
    size = api.request("GET", "/v1/limits").json()["row_bytes"] + 1
    good = {"records": ROWS[0], "scores": {"response": "p0-a", "judge": "new", "value": 1},
            "comparisons": {"judge": "new", "chosen": "p1-a", "rejected": "p1-b"}}
    wrong = {"records": {"id": "x"}, "scores": {"judge": "j"}, "comparisons": {"judge": "j"}}
    for kind in good:
        path = f"/v1/datasets/{place}/{kind}"
        assert api.request("POST", path, good[kind]).status == 200
        assert api.request("POST", path, [good[kind]]).status == 200
        assert api.request("POST", f"{path}?on_error=continue", lines([good[kind], wrong[kind]]), NDJSON).status == 207
        assert api.request("POST", path, b"[{", {"Content-Type": "application/json"}).status == 400
        assert api.request("POST", path, lines([wrong[kind]]), NDJSON).status == 422
        assert api.request("POST", path, b"a,b", {"Content-Type": "text/csv"}).status == 415
        assert api.request("POST", path, b'"' + b"a" * size + b'"\n', NDJSON).status == 413
        assert api.request("POST", f"/v1/datasets/{place}-none/{kind}", [good[kind]]).status == 404
    path = f"/v1/datasets/{place}"
    assert api.request("POST", path + "/records", {"id": "p0", "prompt": "else"}).status == 409
    # A score and a vote are ledgers: a further value is never a conflict.
    for kind in ("scores", "comparisons"):
        api.seen.add((f"post{kind.title()}", "409"))
    for kind in ("ultrafeedback", "ultrafeedback_binarized", "trl"):
        assert api.request("POST", f"{path}/records?format={kind}", []).status == 200


def test_browsing(api, place):
    d = f"/v1/datasets/{place}"
    assert api.request("GET", d + "/stats").status == 200
    assert api.request("GET", d + "-none/stats").status == 404
    assert api.request("GET", d + "/prompts?limit=3&split=train").json()["next"] is not None
    assert api.request("GET", d + "/prompts?limit=x").status == 422
    assert api.request("GET", d + "-none/prompts").status == 404
    for query in ("", "?ledger=true", "?ledger=false"):
        assert api.request("GET", d + "/prompts/p1" + query).status == 200
    assert api.request("GET", d + "/prompts/p1?ledger=x").status == 422
    assert api.request("GET", d + "/prompts/nobody").status == 404
    assert api.request("GET", d + "/responses?unscored_by=k&limit=4").json()["responses"]
    assert api.request("GET", d + "/responses").status == 422
    assert api.request("GET", d + "-none/responses?unscored_by=k").status == 404
    api.daemon.request("POST", d + "/records", {"id": "going", "prompt": "q"})
    assert api.request("DELETE", d + "/prompts/going").status == 204
    assert api.request("DELETE", d + "/prompts/going").status == 404


def test_snapshots(api, place):
    create = f"/v1/datasets/{place}/snapshots"
    name = f"{place}-t"
    assert api.request("POST", create, {"name": name, "recipe": {"split": "*"}}).status == 202
    assert api.request("GET", f"/v1/snapshots/{name}?wait=60").json()["state"] == "ready"
    assert api.request("POST", create, {"name": name, "recipe": {"split": "*"}}).status == 200
    assert api.request("POST", create, {"name": name, "recipe": {}}).status == 409
    assert api.request("POST", create + "?wait=60", {"recipe": {"view": {"goal": "quantile"}}}).status == 201
    assert api.request("POST", create, b"{", {"Content-Type": "application/json"}).status == 400
    assert api.request("POST", create, {}).status == 422
    assert api.request("POST", create, b"x", {"Content-Type": "text/plain"}).status == 415
    big = {"recipe": {"split": "a" * api.request("GET", "/v1/limits").json()["document_bytes"]}}
    assert api.request("POST", create, big).status == 413
    assert api.request("POST", f"/v1/datasets/{place}-none/snapshots", {"recipe": {}}).status == 404
    # A recipe that says all it can, under which everything falls for some reason.
    rich = {"split": "*", "holdout": {"fraction": 0.9, "part": "eval"}, "reference": "r",
            "reward": {"attributes": {"overall": 1, "depth": -0.5}, "judges": ["j"], "across_judges": "max"},
            "pairing": {"strategy": "all", "min_margin": 20, "min_responses": 1, "seed": 3},
            "filters": {"sources": ["s"], "exclude_sources": ["z"], "exclude_finish_reasons": ["length"],
                        "min_characters": 1, "max_characters": 3, "max_prompt_characters": 2, "min_reward": 1},
            "view": {"augment": "none", "goal": "attributes", "template": "{goal}"}}
    made = api.request("POST", create + "?wait=60", {"recipe": rich}).json()
    assert made["skipped"]["prompt_too_long"] and made["dropped"]["too_long"] and made["pairs"] == 0
    for recipe in ({"pairing": {"min_margin": 9}}, {"pairing": {"strategy": "comparisons"}}, {"filters": {"models": ["m"]}},
                   {"filters": {"exclude_finish_reasons": ["stop"]}}, {"filters": {"min_characters": 4}},
                   {"filters": {"min_reward": 5}}, {"pairing": {"strategy": "all", "min_margin": 9}}):
        assert api.request("POST", create + "?wait=60", {"recipe": recipe}).status == 201
    # A failed one, with its problem.
    reward = {"reward": {"attributes": {"depth": 1}, "rescale": False}, "view": {"format": "trl_text"}}
    post(api.daemon, place, [{"id": "talk", "prompt": [{"role": "user", "content": "a"}] * 2, "responses": [
        {"id": f"talk-{i}", "text": str(i), "scores": [{"judge": "j", "attribute": "depth", "value": 1 + i}]}
        for i in range(2)]}])
    assert api.request("POST", create + "?wait=60", {"name": f"{place}-f", "recipe": reward}).status == 422
    assert api.request("GET", f"/v1/snapshots/{place}-f").json()["state"] == "failed"
    assert api.request("GET", f"/v1/snapshots?dataset={place}").status == 200
    assert api.request("GET", "/v1/snapshots?limit=1").json()["next"] is not None
    assert api.request("GET", "/v1/snapshots?limit=0").status == 422
    assert api.request("GET", "/v1/snapshots?dataset=nowhere").status in (200, 404)
    assert api.request("GET", "/v1/snapshots/nobody").status == 404
    assert api.request("GET", f"/v1/snapshots/{name}?wait=61").status == 422
    assert api.request("DELETE", f"/v1/snapshots/{name}").status == 204
    assert api.request("DELETE", "/v1/snapshots/nobody").status == 404


def test_serving(api, place):
    s = f"/v1/snapshots/{place}-s"
    plain = api.request("GET", s + "/batch")
    assert plain.status == 200 and plain.json()["examples"]
    assert api.request("GET", s + "/batch", headers={"If-None-Match": plain.headers["etag"]}).status == 304
    assert api.request("GET", s + "/batch?format=trl_text").status == 200
    assert api.request("GET", s + "/batch", headers={"Accept": "application/x-ndjson"}).status == 200
    size = plain.json()["epoch_size"]
    assert api.request("GET", s + f"/batch?offset={size}").status == 204
    assert api.request("GET", s + f"/batch?offset={size + 1}").status == 422
    examples = {"trl": "Example", "trl_text": "TextExample", "llamafactory": "LlamaFactoryExample",
                "openrlhf": "OpenRlhfExample"}
    for form, name in examples.items():
        for row in api.request("GET", f"{s}/export?format={form}").rows():
            api.valid({"$ref": f"#/components/schemas/{name}"}, row, form)
    for row in api.request("GET", f"{s}/export?augment=none").rows():
        api.valid({"$ref": "#/components/schemas/Example"}, row, "none")
    assert api.request("GET", s + "/export?format=csv").status == 422
    assert api.request("GET", s + "/rows?offset=2&length=3").status == 200
    assert api.request("GET", s + "/rows?length=0").status == 422
    assert api.request("GET", s + "/statistics").status == 200
    for part in ("batch", "export", "rows", "statistics"):
        assert api.request("GET", f"/v1/snapshots/nobody/{part}").status == 404


def test_backups(api, place):
    first, second = f"/v1/backups/{place}-1", f"/v1/backups/{place}-2"
    assert api.request("GET", first).status == 404
    for attempt in range(50):
        assert api.request("PUT", first).status in (200, 202)
        if api.request("PUT", second).status == 409:
            break
        first, second = f"/v1/backups/{place}-{attempt + 2}", f"/v1/backups/{place}-{attempt + 3}"
    until = time.monotonic() + 60
    while api.request("GET", first).json()["state"] == "running" and time.monotonic() < until:
        time.sleep(0.02)
    assert api.request("PUT", first).status == 200
    assert api.request("GET", "/v1/backups?limit=1").json()["backups"]
    assert api.request("GET", "/v1/backups?limit=0").status == 422


def test_revoked_snapshots(api, daemon):
    dataset = new_dataset(daemon, "revoked")
    post(daemon, dataset, ROWS)
    s = f"/v1/snapshots/{make(daemon, dataset)['id']}"
    assert daemon.request("DELETE", f"/v1/datasets/{dataset}/prompts/p3").status == 204
    for part in ("batch", "export", "rows", "statistics"):
        assert api.request("GET", f"{s}/{part}").status == 410
    assert api.request("GET", s).json()["state"] == "revoked"


def test_snapshots_that_are_still_built(api, daemon):
    """503 with Retry-After while building; a wait sees it ready."""
    dataset = new_dataset(daemon, "slow")
    for k in range(4):
        post(daemon, dataset, [{"id": f"p{k}-{i}", "prompt": f"q{k}-{i}", "responses": [
            {"id": f"r{k}-{i}-{n}", "text": f"{n} " * 50, "scores": [{"judge": "j", "value": 1 + n}]} for n in range(8)]}
            for i in range(1500)])
    recipe = {"pairing": {"strategy": "all"}}
    for attempt in range(5):
        recipe["pairing"]["seed"] = attempt
        made = api.request("POST", f"/v1/datasets/{dataset}/snapshots", {"recipe": recipe}).json()
        for part in ("batch", "export", "rows", "statistics"):
            api.request("GET", f"/v1/snapshots/{made['id']}/{part}")
        assert api.request("GET", f"/v1/snapshots/{made['id']}/batch?wait=60").status == 200
        wanted = {(op, "503") for op in ("getBatch", "exportSnapshot", "getRows", "getStatistics")}
        if wanted <= api.seen:
            return
    raise AssertionError(f"never seen while building: {wanted - api.seen}")


class With:
    """A recorder that sends these headers with everything."""

    def __init__(self, recorder, headers):
        self.recorder, self.headers = recorder, headers

    def request(self, method, path, body=None, headers=None):
        return self.recorder.request(method, path, body, {**self.headers, **(headers or {})})


def documents_refused(api, path, good):
    """What every POST of a document refuses alike."""
    big = {**good, "name": "a" * api.request("GET", "/v1/limits").json()["document_bytes"]}
    assert api.request("POST", path, b"{", {"Content-Type": "application/json"}).status == 400
    assert api.request("POST", path, {**good, "nothing": 1}).status == 422
    assert api.request("POST", path, b"x", {"Content-Type": "text/plain"}).status == 415
    assert api.request("POST", path, big).status == 413


def test_rounds(api, place):
    create, models = f"/v1/datasets/{place}/rounds", {"policy": "m", "reference": "r"}
    document = {"name": f"{place}-r", **models, "responses_per_prompt": 2, "min_responses": 2, "prompts": {"limit": 3}}
    made = api.request("POST", create, document)
    assert made.status == 201 and made.headers["location"] == f"/v1/rounds/{place}-r"
    assert api.request("POST", create, document).status == 200
    assert api.request("POST", create, {**document, "beta": 1}).status == 409
    assert api.request("POST", f"/v1/datasets/{place}-none/rounds", document).status == 404
    replay = {"snapshot": f"{place}-s", "gamma": 0.5, "total": 4}
    assert api.request("POST", create, {**models, "replay": replay, "previous": f"{place}-r", "alpha": 0.5}).status == 201
    documents_refused(api, create, document)
    assert api.request("GET", f"/v1/rounds?dataset={place}").status == 200
    assert api.request("GET", "/v1/rounds?limit=1").json()["next"] is not None
    assert api.request("GET", "/v1/rounds?limit=0").status == 422
    assert api.request("GET", f"/v1/rounds?dataset={place}-none").status == 404
    for method, tail in (("GET", ""), ("POST", "/close"), ("GET", "/rewards")):
        assert api.request(method, f"/v1/rounds/nobody{tail}").status == 404


def test_leases(api, place):
    r = f"/v1/rounds/{place}-r"
    ask, score = {"kind": "sample", "worker": "w", "limit": 2}, {"kind": "score", "worker": "w", "model": "m"}
    lease = api.request("POST", r + "/leases", ask).json()
    assert len(lease["tasks"]) == 2
    assert api.request("POST", r + "/leases", score).status == 204
    documents_refused(api, r + "/leases", ask)
    assert api.request("POST", "/v1/rounds/nobody/leases", ask).status == 404
    assert api.request("POST", f"{r}/leases/{lease['lease']}/renew").status == 200
    assert api.request("DELETE", f"{r}/leases/{lease['lease']}").status == 204
    assert api.request("POST", f"{r}/leases/{lease['lease']}/renew").status == 410
    assert api.request("POST", f"{r}/leases/nobody/renew").status == 404
    assert api.request("DELETE", f"{r}/leases/nobody").status == 404


def bulk(api, path, good, wrong):
    size = api.request("GET", "/v1/limits").json()["row_bytes"] + 1
    for body in (good, [good]):
        assert api.request("POST", path, body).status == 200
    assert api.request("POST", f"{path}?on_error=continue", lines([good, wrong]), NDJSON).status == 207
    assert api.request("POST", path, b"[{", {"Content-Type": "application/json"}).status == 400
    assert api.request("POST", path, lines([wrong]), NDJSON).status == 422
    assert api.request("POST", path, b"a,b", {"Content-Type": "text/csv"}).status == 415
    assert api.request("POST", path, b'"' + b"a" * size + b'"\n', NDJSON).status == 413


def test_deliveries(api, place):
    r = f"/v1/rounds/{place}-r"
    lease = api.request("POST", r + "/leases", {"kind": "sample", "worker": "w"})
    ids = [t["prompt"]["id"] for t in lease.json()["tasks"]]
    samples = [{"prompt": p, "index": i, "text": "text " * (i + 1), "tokens": 3 + i, "finish_reason": "stop",
                "prompt_token_ids": [1], "token_ids": [2, 3]} for p in ids for i in range(2)]
    bulk(api, r + "/responses", samples[0], {"prompt": "nobody", "index": 0, "text": ""})
    assert api.request("POST", r + "/responses", samples).status == 200
    tasks = api.request("POST", r + "/leases", {"kind": "score", "worker": "w", "model": "m"}).json()["tasks"]
    assert len(tasks) == 6 and tasks[0]["response"]["token_ids"] == [2, 3]
    rows = [{"response": t["response"]["id"], "model": m, "logprob": -1.5 - i - len(m), "tokens": 4}
            for m in ("m", "r") for i, t in enumerate(tasks)]
    bulk(api, r + "/logprobs", rows[0], {"response": "nobody", "model": "m", "logprob": -1})
    assert api.request("POST", r + "/logprobs", rows).json() == {"logprobs": {"created": 11, "kept": 1}}
    assert api.request("POST", r + "/leases", {"kind": "sample", "worker": "w"}).status == 410
    done = api.request("GET", r).json()
    assert done["responses"] == {"wanted": 6, "there": 6} and done["logprobs"]["r"] == {"wanted": 6, "there": 6}
    for kind, row in (("responses", samples[0]), ("logprobs", rows[0])):
        assert api.request("POST", f"/v1/rounds/nobody/{kind}", [row]).status == 404


def test_rescorings(api, place):
    r = f"/v1/rounds/{place}-r"
    assert api.request("GET", r + "/rewards").status == 404  # none yet
    first = api.request("POST", r + "/rescore")
    assert first.status == 200 and first.json()["rescoring"] == 1
    assert api.request("POST", r + "/rescore", {"beta": 1, "alpha": 0.5, "min_responses": 3}).json()["pairs"] == 0
    documents_refused(api, r + "/rescore", {})
    assert api.request("POST", "/v1/rounds/nobody/rescore", {}).status == 404
    assert [x["rescoring"] for x in api.request("GET", r).json()["rescorings"]] == [1, 2]
    page = api.request("GET", r + "/rewards?limit=1&rescoring=1").json()
    assert len(page["rewards"]) == 2 and page["next"] == page["rewards"][0]["prompt"]
    assert api.request("GET", f"{r}/rewards?after={page['next']}").status == 200
    assert len(api.request("GET", f"{r}/rewards?prompt={page['next']}").json()["rewards"]) == 2
    assert api.request("GET", r + "/rewards?rescoring=0").status == 422
    assert api.request("GET", r + "/rewards?rescoring=9").status == 404


def test_publishing(api, place):
    r, name = f"/v1/rounds/{place}-r", f"{place}-p"
    assert api.request("POST", r + "/publish", {"name": f"{name}-later"}).status == 202
    made = api.request("POST", r + "/publish?wait=60", {"name": name, "rescoring": 1, "view": {"augment": "both"}})
    assert made.status == 201 and made.headers["location"] == f"/v1/snapshots/{name}"
    assert made.json()["pairs"] == 3 and made.json()["lineage"][0]["origin"] == "on_policy"
    again = api.request("POST", r + "/publish", {"name": name, "rescoring": 1, "view": {"augment": "both"}})
    assert again.status == 200 and again.json()["revision"] == made.json()["revision"]
    assert api.request("POST", r + "/publish", {"name": name, "rescoring": 2}).status == 409
    assert api.request("GET", f"/v1/snapshots/{name}/batch").status == 200
    replay = {"snapshot": f"{place}-s", "gamma": 0.5, "total": 4}
    both = api.request("POST", r + "/publish?wait=60", {"rescoring": 1, "replay": replay}).json()
    assert both["replay"]["generated"] == 2 and both["lineage"][1]["snapshot"] == f"{place}-s"
    gone = api.request("POST", f"/v1/datasets/{place}/snapshots?wait=60", {"recipe": {}}).json()["id"]
    assert api.request("DELETE", f"/v1/snapshots/{gone}").status == 204
    assert api.request("POST", r + "/publish", {"replay": {"snapshot": gone, "gamma": 0.5}}).status == 410
    assert api.request("POST", r + "/publish", {"rescoring": 9}).status == 422
    assert api.request("POST", "/v1/rounds/nobody/publish", {}).status == 404
    documents_refused(api, r + "/publish", {})
    assert {name, f"{name}-later", both["id"]} <= set(api.request("GET", r).json()["snapshots"])


def test_closed_rounds(api, place):
    r = f"/v1/rounds/{place}-r"
    assert api.request("POST", r + "/close").json()["state"] == "closed"
    assert api.request("POST", r + "/leases", {"kind": "sample", "worker": "w"}).status == 410
    for kind in ("responses", "logprobs"):
        assert api.request("POST", f"{r}/{kind}", []).status == 409


def test_implicit_rewards(api):
    path = "/v1/implicit-rewards"
    one = {"id": "a", "policy_logprob": -1, "reference_logprob": -2, "length": 5}
    groups = [{"id": "g", "responses": [one, {**one, "id": "b", "length": 6}]}, {"responses": [one]},
              {"responses": [one, {**one, "id": "c"}]}]
    for alpha in ("auto", "grid", 0.5):
        assert api.request("POST", path, {"alpha": alpha, "groups": groups}).status == 200
    assert api.request("POST", path, b"{", {"Content-Type": "application/json"}).status == 400
    assert api.request("POST", path, b"x", {"Content-Type": "text/plain"}).status == 415
    assert api.request("POST", path, {"beta": 0, "groups": []}).status == 422
    big = {"alpha": "a" * api.request("GET", "/v1/limits").json()["document_bytes"]}
    assert api.request("POST", path, big).status == 413


def test_engines(api, place):
    e, document = f"/v1/engines/{place}-e", {"kind": "vllm", "url": "http://127.0.0.1:1", "model": "m"}
    assert api.request("PUT", e, document).status == 201
    assert api.request("PUT", e, {**document, "max_in_flight": 2}).status == 200
    assert api.request("PUT", e, b"{", {"Content-Type": "application/json"}).status == 400
    assert api.request("PUT", e, b"x", {"Content-Type": "text/plain"}).status == 415
    assert api.request("PUT", e, b" " * 40_000_000, {"Content-Type": "application/json"}).status == 413
    assert api.request("PUT", e, {**document, "url": "http://elsewhere.example"}).status == 422
    assert api.request("GET", e).json()["max_in_flight"] == 2
    assert api.request("GET", "/v1/engines?limit=1").json()["next"] is not None
    assert api.request("GET", "/v1/engines?limit=0").status == 422
    made = api.request("POST", f"/v1/datasets/{place}/rounds", {"policy": "m", "reference": "r",
                                                                 "engines": {"policy": f"{place}-e"}}).json()
    path = f"/v1/rounds/{made['id']}"
    assert api.request("POST", path + "/score").status == 202
    assert api.request("GET", path).json()["scoring"] is not None
    assert api.request("POST", f"/v1/rounds/{place}-r/score").status == 409  # closed
    assert api.request("POST", "/v1/rounds/nobody/score").status == 404
    assert api.request("DELETE", e).status == 204
    assert api.request("POST", path + "/score").status == 422
    for method in ("GET", "DELETE"):
        assert api.request(method, e).status == 404


def test_tokens(api, spec, fresh_daemon):
    """On a daemon of its own: with the first token it closes."""
    own = Recorder(fresh_daemon(), spec)
    bearer = {}

    def ask(method, path, body=None, headers=None):
        return own.request(method, path, body, {**bearer, **(headers or {})})

    assert ask("GET", "/v1/tokens").json() == {"tokens": []}
    assert ask("POST", "/v1/tokens", {"name": "a", "scopes": ["read"]}).status == 422
    root = ask("POST", "/v1/tokens", {"name": "root", "scopes": ["admin"], "requests_per_second": 1000}).json()
    for method, path in (("GET", "/v1/tokens"), ("POST", "/v1/tokens"), ("DELETE", f"/v1/tokens/{root['id']}")):
        assert ask(method, path).status == 401
    bearer["Authorization"] = f"Bearer {root['token']}"
    assert [t["id"] for t in ask("GET", "/v1/tokens").json()["tokens"]] == [root["id"]]
    reader = ask("POST", "/v1/tokens", {"name": "reader", "scopes": ["read"], "datasets": ["d"], "expires": "1h"}).json()
    assert ask("POST", "/v1/tokens", {"name": "reader", "scopes": ["read"]}).status == 409
    documents_refused(With(own, bearer), "/v1/tokens", {"name": "x", "scopes": ["read"]})
    assert ask("POST", "/v1/tokens", {"name": "y", "scopes": ["read"]}, {"Idempotency-Key": "k"}).status == 422
    other = {"Authorization": f"Bearer {reader['token']}"}
    for method, path in (("GET", "/v1/tokens"), ("POST", "/v1/tokens"), ("DELETE", f"/v1/tokens/{root['id']}")):
        assert ask(method, path, headers=other).status == 403
    assert ask("DELETE", f"/v1/tokens/{reader['id']}").status == 204
    assert ask("DELETE", f"/v1/tokens/{reader['id']}").status == 404
    api.seen |= own.seen


def test_every_documented_status_was_seen(api, spec):
    """Runs last: what the tests above met, against what is described."""
    described = {(op["operationId"], code) for op in operations(spec).values() for code in op["responses"]
                 if code != "default"}
    assert {op for op, _ in described} == {op for op, _ in api.seen}
    assert described - api.seen - OUT_OF_REACH == set()
