"""The sample data: the committed file is what its generator writes, and its
scores are what the rules say of the texts."""

import importlib.util
import json
import os
import subprocess
import sys

from conftest import ROOT

FOLDER = os.path.join(ROOT, "schema", "sample")
SAMPLE = os.path.join(FOLDER, "sample.ndjson")


def rows():
    with open(SAMPLE, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def rules():
    spec = importlib.util.spec_from_file_location("make_sample", os.path.join(FOLDER, "make_sample.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_file_is_the_generators():
    made = subprocess.run([sys.executable, os.path.join(FOLDER, "make_sample.py"), "-"],
                          check=True, capture_output=True, timeout=60).stdout
    with open(SAMPLE, "rb") as f:
        assert f.read() == made
    assert len(made) < 300_000


def test_scores_are_true():
    """Judges every text again from what stands in the file alone."""
    r = rules()
    judged = 0
    for row in rows():
        task = {"step": "", **row["metadata"]}
        for response in row["responses"]:
            wanted = r.rule_scores(task, response["text"])
            given = {s["attribute"]: s["value"] for s in response["scores"] if s["judge"] == "rule"}
            assert given == wanted, response["id"]
            judged += 1
    assert judged == 720


def test_shape():
    data = rows()
    splits = [row["split"] for row in data]
    assert (splits.count("train"), splits.count("test")) == (144, 36)
    assert all(len(row["responses"]) == 4 for row in data)
    assert len({json.dumps(row["prompt"]) for row in data}) == len(data)
    scores = [s for row in data for x in row["responses"] for s in x["scores"]]
    assert sum(s.get("status") == "failed" for s in scores) == 1
    assert sum(s["judge"] == "rule-strict" for s in scores) == 60 * 4
    assert sum(len(row.get("comparisons", [])) for row in data) == 17
