"""What would grow without end is refused, and says so."""

import json


def post(daemon, path, body):
    return daemon.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})


def rows(n, start=0):
    return {"id": "p", "prompt": "p", "responses": [
        {"id": f"r{i}", "text": f"t{i}", "scores": [{"judge": "j", "value": i}]} for i in range(start, start + n)]}


def test_limits_are_published(daemon):
    limits = daemon.request("GET", "/v1/limits").json()
    assert limits["responses_per_prompt"] == 4096
    assert limits["pairs_per_prompt"] == 1 << 20


def test_responses_of_one_prompt(daemon):
    daemon.request("PUT", "/v1/datasets/many")
    assert post(daemon, "/v1/datasets/many/records", rows(4096)).status == 200
    for again in (rows(1, 4096), rows(4097)):
        r = post(daemon, "/v1/datasets/many/records", again)
        assert r.status == 422
        assert r.json()["errors"][0]["pointer"] == "/responses"
    assert post(daemon, "/v1/datasets/many/records", rows(4096)).json()["responses"]["unchanged"] == 4096
    assert daemon.request("GET", "/v1/datasets/many/stats").json()["responses"] == 4096


def test_all_pairs_of_too_many(daemon):
    """1,500 responses would make 1,124,250 pairs: the snapshot fails, the daemon does not."""
    daemon.request("PUT", "/v1/datasets/pairs", '{"goal_scale": {"min": 0, "max": 5000}}',
                   {"Content-Type": "application/json"})
    post(daemon, "/v1/datasets/pairs/records", rows(1500))
    r = post(daemon, "/v1/datasets/pairs/snapshots?wait=30", {"name": "too-many", "recipe": {"pairing": {"strategy": "all"}}})
    assert r.status == 422
    assert "1500 responses" in r.json()["detail"]
    assert daemon.request("GET", "/v1/snapshots/too-many").json()["state"] == "failed"
    r = post(daemon, "/v1/datasets/pairs/snapshots?wait=30", {"recipe": {"pairing": {"strategy": "best_rest"}}})
    assert r.status == 201 and r.json()["pairs"] == 1499
    assert daemon.request("GET", "/healthz").status == 200


def test_ranges_that_cannot_be_divided(daemon):
    wide = {"min": -1e308, "max": 1e308}
    for body, pointer in (({"goal_scale": wide}, "/goal_scale/max"),
                          ({"attributes": {"overall": wide}}, "/attributes/overall/max")):
        r = daemon.request("PUT", "/v1/datasets/wide", json.dumps(body), {"Content-Type": "application/json"})
        assert r.status == 422 and r.json()["pointer"] == pointer


def test_seeds_that_json_would_round(daemon):
    daemon.request("PUT", "/v1/datasets/seeds")
    for seed, status in ((2**53 - 1, 201), (2**53, 422), (2**53 + 1, 422)):
        r = post(daemon, "/v1/datasets/seeds/snapshots?wait=30", {"recipe": {"pairing": {"seed": seed}}})
        assert r.status == status, r.body
