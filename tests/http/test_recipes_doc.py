"""docs/recipes.md: its commands in order as they stand, in the manner of
test_readme.py, and its tables against what the daemon does."""

import re

from test_readme import first_score, follow, page, sample_daemon


def table(text, head):
    """The rows of the table whose head begins so, as lists of cells."""
    found = re.search(r"^\| " + re.escape(head) + r".*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, head
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in found.group(1).splitlines()]


def words(cell):
    return re.findall(r"`([a-z_]+)`", cell)


def posted(daemon, dataset, recipe):
    done = daemon.request("POST", f"/v1/datasets/{dataset}/snapshots?wait=30", {"recipe": recipe})
    assert done.status == 201, done.body
    return done.json()


def exported(daemon, snapshot, augment):
    return daemon.request("GET", f"/v1/snapshots/{snapshot['id']}/export?augment={augment}").rows()


def put_records(daemon, dataset, rows):
    assert daemon.request("POST", f"/v1/datasets/{dataset}/records", rows).status == 200


def test_every_command_answers_as_it_says(fresh_daemon, tmp_path):
    text, daemon = page("docs", "recipes.md"), sample_daemon(fresh_daemon, tmp_path)
    first_score(daemon, tmp_path)  # who comes here from the README has posted it
    follow(text, daemon, tmp_path)
    strategies_pair_as_the_table_says(text, daemon)
    votes_have_goals_where_rewards_agree(daemon)
    holdout_parts_the_prompts(daemon)


def strategies_pair_as_the_table_says(text, daemon):
    rows = table(text, "`pairing.strategy`")
    assert len(rows) == 6
    for row in rows:
        strategy = words(row[0])[0]
        pairs = exported(daemon, posted(daemon, "four", {"pairing": {"strategy": strategy}}), "none")
        said = ", ".join(sorted(f"{x['chosen_id']} > {x['rejected_id']}" for x in pairs))
        assert said == row[2], strategy


def votes_have_goals_where_rewards_agree(daemon):
    twice = exported(daemon, posted(daemon, "four", {"pairing": {"strategy": "comparisons"}}), "both")
    assert [(x["twin"], x["chosen_id"]) for x in twice] == [
        ("chosen_goal", "a"), ("rejected_goal", "d"), ("plain", "c"), ("plain", "c")]
    assert twice[2] == twice[3]


def holdout_parts_the_prompts(daemon):
    sides = [{x["prompt_id"] for x in daemon.request("GET", f"/v1/snapshots/{name}/export").rows()}
             for name in ("to-train", "to-evaluate")]
    assert [len(side) for side in sides] == [126, 18] and not sides[0] & sides[1]


def test_a_stray_attribute_changes_the_default(daemon, dataset):
    put_records(daemon, dataset, {"prompt": "x", "responses": [
        {"id": "one", "text": "1", "scores": [{"judge": "j", "attribute": "clear", "value": 3}]},
        {"id": "two", "text": "2", "scores": [{"judge": "j", "attribute": "clear", "value": 2}]}]})
    assert posted(daemon, dataset, {})["pairs"] == 1
    stray = {"response": "one", "judge": "j", "attribute": "kind", "value": 3}
    assert daemon.request("POST", f"/v1/datasets/{dataset}/scores", stray).status == 200
    after = posted(daemon, dataset, {})
    assert after["pairs"] == 0 and after["dropped"] == {"missing_attribute": 1}
    assert posted(daemon, dataset, {"reward": {"attributes": {"clear": 1}}})["pairs"] == 1


def test_a_missing_judge(daemon, dataset):
    put_records(daemon, dataset, {"prompt": "x", "responses": [
        {"id": "one", "text": "1", "scores": [{"judge": "j", "value": 3}, {"judge": "k", "value": 5}]},
        {"id": "two", "text": "2", "scores": [{"judge": "j", "value": 2}]},
        {"id": "none", "text": "3"}]})
    made = posted(daemon, dataset, {"reward": {"judges": ["j", "k"]}})
    pairs = exported(daemon, made, "none")
    assert [(x["score_chosen"], x["score_rejected"]) for x in pairs] == [(4, 2)]
    assert made["dropped"] == {"missing_attribute": 1}
    refused = daemon.request("POST", f"/v1/datasets/{dataset}/snapshots?wait=30", {"recipe": {"reward": {"judges": ["l"]}}})
    assert refused.status == 422


def test_every_reason_stands_in_the_tables():
    text, source = page("docs", "recipes.md"), page("server", "service", "pick.h")
    for kind, head in (("SKIPS", "in `skipped`"), ("DROPS", "in `dropped`")):
        listed = re.search(rf"#define {kind}\(X\)((?:.*\\\n)+.*\n)", source).group(1)
        reasons = [word for row in table(text, head) for word in words(row[0])]
        assert sorted(reasons) == sorted(re.findall(r'"(\w+)"', listed)), kind
