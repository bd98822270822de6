"""prefd import and prefd check against the real daemon."""

import gzip
import json
import os
import re
import subprocess

import pytest

from conftest import BINARY, ROOT, SANITIZER_REPORT, clean_environment

SECONDS = 300
SAMPLE = os.path.join(ROOT, "schema", "sample", "sample.ndjson")
RANGES = ["--attribute", "overall=1:10", "--attribute", "correctness=0:1", "--attribute", "brevity=1:5"]


@pytest.fixture
def prefd(tmp_path):
    def call(*arguments, input=None):
        done = subprocess.run([BINARY, *map(str, arguments)], input=input, capture_output=True, timeout=SECONDS,
                              env=clean_environment({"XDG_STATE_HOME": str(tmp_path / "state")}))
        done.out, done.err = done.stdout.decode(), done.stderr.decode()
        assert not SANITIZER_REPORT.search(done.err), done.err
        return done

    return call


def sample():
    with open(SAMPLE, encoding="utf-8") as f:
        return [json.loads(line) for line in f]


def counts(out):
    """{"prompts": {"created": 180}, …} of what import printed."""
    groups = re.findall(r"^  (\w+) +(.*)$", out, re.MULTILINE)
    return {g: {w: int(n) for n, w in re.findall(r"(\d+) (\w+)", text)} for g, text in groups}


# --- import ---------------------------------------------------------------------------


def test_the_sample_goes_in_and_again_changes_nothing(daemon, dataset, prefd):
    scores = sum(len(x["scores"]) for row in sample() for x in row["responses"])
    votes = sum(len(row.get("comparisons", [])) for row in sample())
    first = prefd("import", "--server", daemon.base, "--dataset", dataset, *RANGES, "--body-bytes", "20KiB", SAMPLE)
    assert first.returncode == 0, first.err
    assert first.out.startswith(f"{dataset}: 180 rows in ")
    assert counts(first.out) == {"prompts": {"created": 180}, "responses": {"created": 720},
                                 "scores": {"created": scores}, "comparisons": {"created": votes}}
    with open(SAMPLE, "rb") as f:
        packed = gzip.compress(f.read())
    again = prefd("import", "--server", daemon.base, "--dataset", dataset, "-", input=packed)
    assert counts(again.out) == {"prompts": {"unchanged": 180}, "responses": {"unchanged": 720},
                                 "scores": {"unchanged": scores}, "comparisons": {"unchanged": votes}}
    stats = daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()
    assert (stats["prompts"], stats["responses"], stats["scores"], stats["comparisons"]) == (180, 720, scores, votes)
    assert stats["judges"]["rule-strict"]["overall"]["failed"] == 1


def test_an_array_of_scores_and_comparisons(daemon, dataset, prefd, tmp_path):
    assert prefd("import", "--server", daemon.base, "--dataset", dataset, *RANGES, SAMPLE).returncode == 0
    ids = [x["id"] for row in sample()[:50] for x in row["responses"]]
    scores = [{"response": i, "judge": "second", "value": 5} for i in ids]
    votes = [{"chosen": row["responses"][0]["id"], "rejected": row["responses"][1]["id"], "judge": "second"}
             for row in sample()[:50]]
    for kind, rows in (("scores", scores), ("comparisons", votes)):
        path = tmp_path / f"{kind}.json"
        path.write_text(json.dumps(rows, indent=1))
        done = prefd("import", "--server", daemon.base, "--dataset", dataset, "--kind", kind, path)
        assert done.returncode == 0, done.err
        assert counts(done.out) == {kind: {"created": len(rows)}}


def test_other_projects_forms(daemon, dataset, prefd):
    row = {"prompt": "p", "chosen": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "good"}],
           "rejected": [{"role": "user", "content": "p"}, {"role": "assistant", "content": "bad"}],
           "score_chosen": 8.5, "score_rejected": 3.0, "prompt_id": "p1", "messages": []}
    done = prefd("import", "--server", daemon.base, "--dataset", dataset, "--format", "ultrafeedback_binarized",
                 "--judge", "someone", "-", input=json.dumps(row).encode())
    assert done.returncode == 0, done.err
    judges = daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()["judges"]
    assert judges["someone"]["overall"]["count"] == 2 and judges["someone"]["overall"]["mean"] == 5.75


def test_bad_rows_are_named_by_the_files_rows(daemon, dataset, prefd, tmp_path):
    rows = [json.dumps(row) for row in sample()]
    bad = json.loads(json.dumps(sample()[70]))
    bad["responses"][1]["scores"][2]["value"] = 11
    rows[70] = json.dumps(bad)
    rows[120] = rows[120][:-1]
    path = tmp_path / "bad.ndjson"
    path.write_text("\n".join(rows))
    arguments = ["import", "--server", daemon.base, "--dataset", dataset, *RANGES, "--body-bytes", "20KiB"]
    stopped = prefd(*arguments, path)
    assert stopped.returncode == 1
    assert "  line 71 (row 70), /responses/1/scores/2/value: " in stopped.err and "row 120" not in stopped.err
    assert len(re.findall(r"\brow \d+", stopped.err)) == 1, "the file's number, and not the body's too"
    stored = daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()["prompts"]
    assert 0 < stored <= 70
    went_on = prefd(*arguments, "--on-error", "continue", path)
    assert went_on.returncode == 1
    assert "  line 71 (row 70), /responses/1/scores/2/value: " in went_on.err and "  line 121 (row 120)" in went_on.err
    assert re.search(r"^  rejected +2$", went_on.out, re.MULTILINE)
    assert daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()["prompts"] == 178


def test_refused_rows_say_what_is_to_be_done(daemon, dataset, prefd, tmp_path):
    path = tmp_path / "caps.ndjson"
    arguments = ["import", "--server", daemon.base, "--dataset", dataset]
    bad = '{"id": "a", "prompt": "x"}\n\n{"id": "b", "prompt": 7}\n'
    path.write_text(bad)
    refused = prefd(*arguments, path)
    assert refused.returncode == 1 and refused.out == "", "nothing is stored"
    assert refused.err == ("prefd import: A value is wrong (422): 1 of 2 rows refused, nothing stored\n"
                           "  line 3 (row 1), /prompt: must be a string or an array of messages, not a number\n"
                           "prefd import: nothing of this body is stored; correct the rows, or use --on-error continue\n")
    path.write_text('{"id": "a"\n' + bad)
    broken = prefd(*arguments, path)
    assert "(400)" in broken.err and "  line 1 (row 0): " in broken.err and "other rows were not checked further" in broken.err
    went_on = prefd(*arguments, "--on-error", "continue", path)
    assert went_on.out.startswith(f"{dataset}: 3 rows in ") and counts(went_on.out)["prompts"] == {"created": 1}
    path.write_text(json.dumps([{"id": "a", "prompt": "x"}, {"id": "b", "prompt": 7}], indent=1))
    assert "  row 1, /prompt: " in prefd(*arguments, path).err, "an array has no lines"


def test_routes_help(prefd):
    said = prefd("routes", "--help")
    assert said.returncode == 0 and said.out.startswith("usage: prefd routes") and "/healthz" not in said.out
    assert "GET /healthz open\n" in prefd("routes").out


def test_conflicts(daemon, dataset, prefd, tmp_path):
    path = tmp_path / "f"
    arguments = ["import", "--server", daemon.base, "--dataset", dataset]
    path.write_text('{"id": "a", "prompt": "one"}')
    assert prefd(*arguments, path).returncode == 0
    path.write_text('{"id": "b", "prompt": "new"}\n{"id": "a", "prompt": "two"}')
    refused = prefd(*arguments, path)
    assert refused.returncode == 1 and "(409)" in refused.err and "  line 2 (row 1)" in refused.err
    for how, content in (("keep", "one"), ("replace", "two")):
        assert prefd(*arguments, "--on-conflict", how, path).returncode == 0
        prompt = daemon.request("GET", f"/v1/datasets/{dataset}/prompts/a").json()
        assert prompt["messages"] == [{"role": "user", "content": content}]


def test_a_dataset_must_be_there_or_be_made(daemon, prefd, tmp_path):
    path = tmp_path / "cli-created.ndjson"
    path.write_text('{"prompt": "one"}')
    missing = prefd("import", "--server", daemon.base, path)
    assert missing.returncode == 1 and "(404)" in missing.err and "--create" in missing.err
    made = prefd("import", "--server", daemon.base, "--create", path)
    assert made.returncode == 0 and made.out.startswith("cli-created: 1 rows")


def test_a_daemon_that_is_killed_and_comes_back(fresh_daemon, prefd):
    d = fresh_daemon()
    assert prefd("import", "--server", d.base, "--dataset", "s", *RANGES, SAMPLE).returncode == 0
    d.kill()
    d.start()
    again = prefd("import", "--server", d.base, "--dataset", "s", SAMPLE)
    assert again.returncode == 0 and counts(again.out)["prompts"] == {"unchanged": 180}


# --- check ----------------------------------------------------------------------------


@pytest.fixture
def kept(fresh_daemon, prefd):
    """A daemon with the sample and one ready snapshot."""
    d = fresh_daemon()
    assert prefd("import", "--server", d.base, "--dataset", "s", *RANGES, SAMPLE).returncode == 0
    made = d.request("POST", "/v1/datasets/s/snapshots?wait=30", {"name": "first", "recipe": {}})
    assert made.status == 201, made
    d.snap = os.path.join(d.data, "snapshots", made.json()["revision"] + ".snap")
    assert os.path.exists(d.snap)
    return d


def flip(path, offset):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x10]))


def test_check_beside_the_daemon_and_after_it(kept, prefd):
    beside = prefd("check", "--data", kept.data)
    assert beside.returncode == 0, beside.out + beside.err
    assert beside.out.endswith("1 snapshot files read\nok\n")
    assert kept.request("GET", "/readyz").status == 200
    kept.stop()
    after = prefd("check", "--data", kept.data)
    assert after.returncode == 0 and after.out == beside.out


def test_check_finds_a_damaged_snapshot(kept, prefd):
    size = os.path.getsize(kept.snap)
    for offset in (3, 4096 + 100, size // 2, size - 9):
        flip(kept.snap, offset)
        done = prefd("check", "--data", kept.data)
        assert done.returncode == 1, offset
        assert re.search(r"^snapshot first: .*; will be rebuilt$", done.out, re.MULTILINE), done.out
        assert done.out.endswith("1 findings\n")
        flip(kept.snap, offset)
    assert prefd("check", "--data", kept.data).returncode == 0


def test_check_says_that_a_missing_file_will_be_rebuilt(kept, prefd):
    os.unlink(kept.snap)
    done = prefd("check", "--data", kept.data)
    assert done.returncode == 0
    assert "snapshot first: its file is not there; will be rebuilt\n" in done.out and done.out.endswith("ok\n")


def test_check_finds_a_damaged_database(kept, prefd):
    kept.stop()
    database = max((os.path.join(kept.data, n) for n in os.listdir(kept.data)
                    if os.path.isfile(os.path.join(kept.data, n))), key=os.path.getsize)
    with open(database, "r+b") as f:
        assert f.read(15) == b"SQLite format 3"
        f.seek(os.path.getsize(database) // 2 // 8192 * 8192)
        f.write(b"\xa5" * 8192)
    done = prefd("check", "--data", kept.data)
    assert done.returncode == 1 and (done.out + done.err).strip() and "\nok\n" not in done.out


def test_check_without_a_folder_or_with_wrong_settings(prefd, tmp_path):
    done = prefd("check", "--data", tmp_path / "none")
    assert done.returncode == 1 and str(tmp_path / "none") in done.err
    assert not os.path.exists(tmp_path / "none"), "it makes nothing"
    file = tmp_path / "prefd.conf"
    file.write_text("http_threads = many\n")
    done = prefd("check", "--config", file)
    assert done.returncode == 1 and f"{file}:1" in done.err and "http_threads" in done.err
