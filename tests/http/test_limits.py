"""What would grow without end is refused, and says so."""

import json
import time


def post(daemon, path, body):
    return daemon.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})


def rows(n, start=0):
    return {"id": "p", "prompt": "p", "responses": [
        {"id": f"r{i}", "text": f"t{i}", "scores": [{"judge": "j", "value": i}]} for i in range(start, start + n)]}


def test_limits_are_published(daemon):
    limits = daemon.request("GET", "/v1/limits").json()
    assert limits["responses_per_prompt"] == 4096
    assert limits["pairs_per_prompt"] == 1 << 20
    assert limits["series"] == 16384


def test_responses_of_one_prompt(daemon):
    daemon.request("PUT", "/v1/datasets/many")
    assert post(daemon, "/v1/datasets/many/records", rows(4096)).status == 200
    for again in (rows(1, 4096), rows(4097)):
        r = post(daemon, "/v1/datasets/many/records", again)
        assert r.status == 422
        assert r.json()["errors"][0]["pointer"] == "/responses"
    assert post(daemon, "/v1/datasets/many/records", rows(4096)).json()["responses"]["unchanged"] == 4096
    assert daemon.request("GET", "/v1/datasets/many/stats").json()["responses"] == 4096


def score(judge, value=3, attribute="overall"):
    return {"response": "r0", "judge": judge, "value": value, "attribute": attribute}


def test_judges_and_attributes_of_one_dataset(daemon):
    d = "/v1/datasets/judged"
    daemon.request("PUT", d)
    assert post(daemon, d + "/records", {"id": "p", "prompt": "p", "responses": [
        {"id": "r0", "text": "a"}, {"id": "r1", "text": "b"}]}).status == 200
    assert post(daemon, d + "/scores", [score(f"j{i}") for i in range(16383)]).status == 200
    for one_more in ([score("new"), score("newer")], [score("new"), score("new", 4, "depth")]):
        r = post(daemon, d + "/scores", one_more)
        assert r.status == 422 and r.json()["errors"][0]["pointer"] == "/judge", r
    assert post(daemon, d + "/scores", score("last")).status == 200
    before = daemon.request("GET", d + "/stats").json()
    assert before["scores"] == 16384
    vote = {"judge": "voter", "chosen": "r0", "rejected": "r1"}
    record = {"id": "q", "prompt": "q", "responses": [{"id": "s", "text": "c", "scores": [{"judge": "new", "value": 1}]}]}
    for path, row, pointer in (("scores", score("new"), "/judge"), ("scores", score("j0", 3, "depth"), "/judge"),
                               ("comparisons", vote, "/judge"), ("records", record, "/responses/0/scores/0/judge"),
                               ("records", {"id": "p", "prompt": "p", "comparisons": [vote]}, "/comparisons/0/judge")):
        r = post(daemon, f"{d}/{path}", row)
        assert r.status == 422 and r.json()["errors"][0]["pointer"] == pointer, (path, r)
    assert daemon.request("GET", d + "/stats").json() == before  # nothing by half
    assert post(daemon, d + "/scores", [score("j5", 4), score("last", 5)]).status == 200  # whoever is there goes on
    lines = "".join(json.dumps(s) + "\n" for s in (score("j7", 9), score("new"), score("j8", 9)))
    r = daemon.request("POST", d + "/scores?on_error=continue", lines, {"Content-Type": "application/x-ndjson"})
    assert r.status == 207 and len(r.json()["errors"]) == 1 and r.json()["scores"]["revised"] == 2, r
    # What goes makes room.
    assert daemon.request("DELETE", d + "/prompts/p").status == 204
    assert post(daemon, d + "/records", record).status == 200
    assert post(daemon, d + "/records", {"id": "p", "prompt": "p", "responses": [{"id": "r0", "text": "a"}]}).status == 200
    assert post(daemon, d + "/scores", [score(f"n{i}") for i in range(16384 - 1)]).status == 200
    assert post(daemon, d + "/scores", score("new")).status == 200
    assert post(daemon, d + "/scores", score("newest")).status == 422


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


def test_declared_attributes(daemon):
    many = {"attributes": {f"a{i}": {"min": 0, "max": 1} for i in range(257)}}
    r = daemon.request("PUT", "/v1/datasets/declared", json.dumps(many), {"Content-Type": "application/json"})
    assert r.status == 422 and r.json()["pointer"] == "/attributes"


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


def big_dataset(daemon, name, prompts=24, characters=1 << 20):
    daemon.request("PUT", f"/v1/datasets/{name}")
    for i in range(prompts):
        row = {"id": f"p{i:02}", "prompt": str(i % 10) * characters, "responses": [
            {"id": f"{name}-{i}-{k}", "text": "x" * k, "scores": [{"judge": "j", "value": k}]} for k in (1, 2)]}
        assert post(daemon, f"/v1/datasets/{name}/records", row).status == 200


def pages(daemon, path, key):
    after, seen, sizes = "", [], []
    while after is not None:
        r = daemon.request("GET", f"{path}&after={after}")
        assert r.status == 200
        seen += [x["id"] for x in r.json()[key]]
        sizes.append(len(r.body))
        after = r.json()["next"]
    return seen, sizes


def test_pages_end_by_bytes_too(daemon):
    """24 prompts of a mebibyte: no page much above 8 MiB, and nothing left out."""
    big_dataset(daemon, "wide-pages")
    seen, sizes = pages(daemon, "/v1/datasets/wide-pages/prompts?limit=1000", "prompts")
    assert seen == [f"p{i:02}" for i in range(24)]
    assert len(sizes) >= 3 and max(sizes) < 17 << 20
    seen, sizes = pages(daemon, "/v1/datasets/wide-pages/responses?unscored_by=me&limit=1000", "responses")
    assert len(set(seen)) == len(seen) == 48
    assert max(sizes) < 17 << 20


def test_a_prompt_too_long_to_show(daemon):
    daemon.request("PUT", "/v1/datasets/long")
    for i in range(9):
        row = {"id": "p", "prompt": "p", "responses": [{"id": f"long-{i}", "text": str(i) * (8 * 1000 * 1000)}]}
        assert post(daemon, "/v1/datasets/long/records", row).status == 200
    r = daemon.request("GET", "/v1/datasets/long/prompts/p")
    assert r.status == 413 and r.json()["type"] == "/problems/too-large"


def test_slow_readers_share_a_budget(fresh_daemon):
    """Answers of 12 MB that nobody reads, more than sockets hold: beyond 32 MiB of them the next is 503, and all is well after."""
    d = fresh_daemon("--answers-bytes", str(32 << 20))
    big_dataset(d, "slow", prompts=12)
    assert post(d, "/v1/datasets/slow/snapshots?wait=30", {"name": "s", "recipe": {}}).status == 201
    path = "/v1/snapshots/s/batch?batch_size=12&shuffle=false"
    whole = d.request("GET", path)
    assert whole.status == 200
    slow = []
    for _ in range(6):
        c = d.connect()
        c.request("GET", path)
        slow.append(c)
    statuses = [c.getresponse().status for c in slow]  # the heads only
    assert 200 in statuses and 503 in statuses
    refused = slow[statuses.index(503)]
    refused.close()
    for c in slow:
        c.close()
    for _ in range(100):
        again = d.request("GET", path)
        if again.status == 200:
            break
        assert again.status == 503 and again.headers["Retry-After"]
        time.sleep(0.1)
    assert again.body == whole.body
