"""prefd round against the real daemon: every verb, and workers that are
slow, wrong, ended and killed."""

import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest

from conftest import BINARY, ROOT, SANITIZER_REPORT, clean_environment
from engine_server import EngineServer
from fake_server import FakeServer
from wire import lines, make, new_dataset, post

SECONDS = 120
POLICY, REFERENCE = "lab/policy-1", "lab/start"
TOY = os.path.join(ROOT, "docs", "examples", "toy_model.py")
VERBS = ["create", "list", "show", "work", "deliver", "score", "rescore", "rewards", "publish", "close"]

# What stands in for a model here: {} is replaced by a function's body.
SAMPLER = """
import json, os, sys, time
def sample(task):
    return [{"prompt": task["prompt"]["id"], "index": i, "text": "answer %d to %s" % (i, task["prompt"]["id"]),
             "tokens": 3 + i, "finish_reason": "stop"} for i in task["indices"]]
def say(rows):
    for row in rows:
        print(json.dumps(row), flush=True)
"""
LOOP = SAMPLER + """
for line in sys.stdin:
    say(sample(json.loads(line)))
"""


# --- helpers ----------------------------------------------------------------------------


@pytest.fixture
def prefd(daemon, tmp_path):
    return runner(daemon.base, tmp_path)


def environment(base, tmp_path):
    return clean_environment({"PREFD_SERVER": base, "XDG_STATE_HOME": str(tmp_path / "state")})


def runner(base, tmp_path):
    """round(*arguments, input=, status=) → standard output; what was said besides is .err"""

    def call(*arguments, input=None, status=0):
        done = subprocess.run([BINARY, "round", *map(str, arguments)], input=input, capture_output=True, timeout=SECONDS,
                              env=environment(base, tmp_path), cwd=tmp_path)
        call.err = done.stderr.decode()
        assert not SANITIZER_REPORT.search(call.err), call.err
        assert done.returncode == status, (arguments, done.stdout.decode(), call.err)
        return done.stdout.decode()

    return call


def start(base, tmp_path, *arguments):
    return subprocess.Popen([BINARY, "round", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            env=environment(base, tmp_path), cwd=tmp_path)


def ended(process, status):
    out, err = process.communicate(timeout=SECONDS)
    assert not SANITIZER_REPORT.search(err.decode()), err.decode()
    assert process.returncode == status, (out, err)
    return out.decode(), err.decode()


def until(condition, what):
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def dataset_of(daemon, n):
    name = new_dataset(daemon, "cli")
    post(daemon, name, [{"id": f"p{i:03}", "prompt": f"question {i}"} for i in range(n)])
    return name


def make_round(daemon, prompts=6, **document):
    dataset = dataset_of(daemon, prompts)
    body = {"policy": POLICY, "reference": REFERENCE, "responses_per_prompt": 4, "min_responses": 2, **document}
    answer = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {"name": f"{dataset}-r", **body})
    assert answer.status == 201, answer
    return answer.json()["id"]


def shown(daemon, round):
    answer = daemon.request("GET", f"/v1/rounds/{round}")
    assert answer.status == 200, answer
    return answer.json()


def there(daemon, round):
    return shown(daemon, round)["responses"]["there"]


def script(tmp_path, text, name="command.py"):
    (tmp_path / name).write_text(text)
    return f"{sys.executable} {tmp_path / name}"


def toy(model):
    return f"{sys.executable} {TOY} {model}"


def sample_rows(prompts, per_prompt=4):
    return [{"prompt": f"p{i:03}", "index": k, "text": f"answer {k} to p{i:03}, " + k * "word ", "finish_reason": "stop"}
            for i in range(prompts) for k in range(per_prompt)]


def responses_of(daemon, dataset_or_round, prompts):
    dataset = dataset_or_round.removesuffix("-r")
    return [x["id"] for i in range(prompts)
            for x in daemon.request("GET", f"/v1/datasets/{dataset}/prompts/p{i:03}").json()["responses"]]


def logprob_rows(ids, model):
    return [{"response": id, "model": model, "logprob": -1 - (k * 7 + len(model)) % 11, "tokens": 5}
            for k, id in enumerate(ids)]


def scored_round(daemon, prefd, prompts=6, **document):
    """A round with all its samples and log-probabilities."""
    r = make_round(daemon, prompts, **document)
    prefd("deliver", r, "responses", "-", input=lines(sample_rows(prompts)))
    ids = responses_of(daemon, r, prompts)
    prefd("deliver", r, "logprobs", "-", input=lines(logprob_rows(ids, POLICY) + logprob_rows(ids, REFERENCE)))
    return r


# --- the command line -----------------------------------------------------------------------


def test_every_verb_helps_with_examples(prefd):
    overview = prefd("--help")
    assert re.findall(r"^  ([a-z]+)  ", overview, re.MULTILINE)[:len(VERBS)] == VERBS
    for verb in VERBS:
        said = prefd(verb, "--help")
        assert said.startswith(f"usage: prefd round {verb} ") and "examples:\n" in said and prefd.err == ""
        assert all(len(line) < 100 for line in said.splitlines())


CREATE = ["create", "d", "--policy", "a", "--reference", "b"]
WORK = ["work", "r", "--worker", "w", "--exec", "cat"]


@pytest.mark.parametrize("arguments, said", [
    ([], "a verb is wanted"),
    (["dance"], "'dance' is not a verb"),
    (["create"], "one DATASET is wanted"),
    (["create", "d"], "--policy and --reference are needed"),
    ([*CREATE, "e"], "one DATASET is wanted"),
    ([*CREATE, "--beta", "x"], "--beta is a number, not 'x'"),
    ([*CREATE, "--beta", "1]"], "--beta is a number"),
    ([*CREATE, "--limit", ""], "--limit is a number"),
    ([*CREATE, "--alpha", "grid"], "--alpha is a number, not 'grid'"),
    ([*CREATE, "--sampling", "{"], "--sampling: "),
    ([*CREATE, "--replay", "s"], "--replay and --gamma go together"),
    ([*CREATE, "--gamma", "0.5"], "--replay and --gamma go together"),
    ([*CREATE, "--color", "red"], "--color is not an option"),
    ([*CREATE, "--beta"], "--beta wants a value"),
    (["list", "r"], "it takes options only"),
    (["show"], "one ROUND is wanted"),
    (["deliver", "r", "responses"], "ROUND, responses or logprobs, and a FILE are wanted"),
    (["deliver", "r", "scores", "-"], "not 'scores'"),
    (["deliver", "r", "logprobs", "-", "--on-error", "stop"], "--on-error is continue"),
    (["deliver", "r", "logprobs", "-", "--body-bytes", "4GB"], "--body-bytes is a size"),
    (["publish", "r", "--replay", "s"], "--replay and --gamma go together"),
    (["publish", "r", "--replay", "s", "--gamma", "1", "--no-replay"], "exclude each other"),
    (["work", "r", "--kind", "sample"], "--kind, --worker and --exec are needed"),
    ([*WORK, "--kind", "judge"], "--kind is sample or score, not 'judge'"),
    ([*WORK, "--kind", "score"], "--model is needed to score"),
    ([*WORK, "--kind", "sample", "--model", "m"], "--model goes with --kind score"),
    ([*WORK, "--kind", "sample", "--limit", "0"], "--limit is a whole number from 1 on"),
    ([*WORK, "--kind", "sample", "--batch", "--restart"], "exclude each other"),
])
def test_wrong_usage(prefd, arguments, said):
    assert prefd(*arguments, status=2) == ""
    assert said in prefd.err and "Try: prefd round" in prefd.err


def test_what_the_server_refuses_is_said_in_its_words(daemon, prefd):
    dataset = dataset_of(daemon, 1)
    prefd("create", dataset, "--policy", "a", "--reference", "a", status=1)
    assert prefd.err.startswith("prefd round create: ") and "(422): /reference: " in prefd.err
    for verb in ("show", "close", "score", "rescore", "rewards", "publish"):
        prefd(verb, "nobody", status=1)
        assert prefd.err.startswith(f"prefd round {verb}: ") and "(404)" in prefd.err
    for arguments in (["deliver", "nobody", "responses", "-"],
                      ["work", "nobody", "--kind", "sample", "--worker", "w", "--exec", "cat"]):
        prefd(*arguments, status=1, input=b'{"a":1}')
        assert "(404)" in prefd.err
    prefd("show", "r", "--server", "http://127.0.0.1:1", status=1)
    assert "http://127.0.0.1:1/v1/rounds/r" in prefd.err


# --- create, list, show, close ------------------------------------------------------------------


def test_a_round_is_created_as_the_options_say(daemon, prefd):
    dataset = dataset_of(daemon, 9)
    snapshot = make(daemon, dataset)["id"]
    first, second = f"{dataset}-1", f"{dataset}-2"
    said = prefd("create", dataset, "--policy", POLICY, "--reference", REFERENCE, "--name", first)
    assert said == f"{first}: created, 9 prompts, 144 samples to come\n"
    arguments = ["create", dataset, "--policy", "p", "--reference", "q", "--name", second, "--previous", first,
                 "--per-prompt", "3", "--min-responses", "2", "--split", "*", "--limit", "5", "--seed", "4",
                 "--beta", "0.05", "--alpha", "1e-3", "--length", "tokens", "--lease-seconds", "7",
                 "--min-characters", "1", "--max-characters", "99", "--exclude-finish-reasons", "length,cut",
                 "--sampling", '{"temperature": 0.70, "n": 12345678901234567890}',
                 "--replay", snapshot, "--gamma", "0.70", "--replay-total", "8", "--replay-seed", "3"]
    assert prefd(*arguments) == f"{second}: created, 5 prompts, 15 samples to come\n"
    assert prefd(*arguments) == f"{second}: was there already, 5 prompts, 15 samples to come\n"
    r = shown(daemon, second)
    assert {k: r[k] for k in ("policy", "reference", "previous", "responses_per_prompt", "min_responses", "beta", "alpha",
                              "length", "lease_seconds")} == {
        "policy": "p", "reference": "q", "previous": first, "responses_per_prompt": 3, "min_responses": 2, "beta": 0.05,
        "alpha": 0.001, "length": "tokens", "lease_seconds": 7}
    assert r["prompts_from"] == {"split": "*", "limit": 5, "seed": 4}
    assert r["filters"] == {"exclude_finish_reasons": ["cut", "length"], "min_characters": 1, "max_characters": 99}
    raw = daemon.request("GET", f"/v1/rounds/{second}").body
    assert b'"temperature":0.70' in raw and b'"n":12345678901234567890' in raw and b'"gamma":0.70' in raw
    assert r["replay"] == {"snapshot": snapshot, "gamma": 0.7, "total": 8, "seed": 3}
    prefd(*arguments, "--beta", "0.06", status=1)
    assert "(409)" in prefd.err
    over = prefd("create", dataset, "--policy", POLICY, "--reference", REFERENCE, "--responses", "dataset", "--alpha", "auto")
    assert over.endswith(": created, 9 prompts, 0 stored responses\n")


def test_rounds_are_listed(daemon, prefd):
    dataset = dataset_of(daemon, 1)
    made = sorted(daemon.request("POST", f"/v1/datasets/{dataset}/rounds",
                                 {"policy": "a", "reference": "b", "name": f"{dataset}-{i}"}).json()["id"]
                  for i in range(102))  # more than a page
    listed = prefd("list", "--dataset", dataset).splitlines()
    assert [line.split(":")[0] for line in listed] == made
    assert listed[0] == f"{made[0]}: open, samples 0 of 16, policy 0 of 16, reference 0 of 16, leases 0, dataset {dataset}"
    assert set(listed) <= set(prefd("list").splitlines())


def test_a_round_is_shown_and_closed(daemon, prefd):
    r = make_round(daemon, prompts=6)
    prefd("deliver", r, "responses", "-", input=lines(sample_rows(3)))
    lease = daemon.request("POST", f"/v1/rounds/{r}/leases", {"kind": "sample", "worker": "w", "limit": 1})
    assert lease.status == 200
    half, none = "[############............]", "[........................]"
    wanted = (f"{r}: open, 6 prompts of {r.removesuffix('-r')}\n  {POLICY} against {REFERENCE}\n"
              f"  samples    {half} 12 of 24\n  policy     {none} 0 of 24\n  reference  {none} 0 of 24\n  leases     1\n")
    assert prefd("show", r) == wanted
    assert prefd("close", r) == wanted.replace("open", "closed").replace("leases     1", "leases     0")
    assert prefd("close", r) == prefd("show", r)
    prefd("deliver", r, "responses", "-", input=lines(sample_rows(6)), status=1)
    assert "(409)" in prefd.err


def on_a_terminal(base, tmp_path, *arguments, meanwhile):
    ours, theirs = pty.openpty()
    process = subprocess.Popen([BINARY, "round", *arguments], stdout=theirs, stderr=theirs,
                               env=environment(base, tmp_path))
    os.close(theirs)
    worker = threading.Thread(target=meanwhile)
    worker.start()
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    worker.join(SECONDS)
    return process.wait(SECONDS), said.decode().replace("\r\n", "\n")


def test_watching_on_a_terminal_draws_again(daemon, prefd, tmp_path):
    r = make_round(daemon)

    def meanwhile():
        time.sleep(1)
        prefd("deliver", r, "responses", "-", input=lines(sample_rows(3)))
        time.sleep(1)
        prefd("deliver", r, "responses", "-", input=lines(sample_rows(6)))
        ids = responses_of(daemon, r, 6)
        prefd("deliver", r, "logprobs", "-", input=lines(logprob_rows(ids, POLICY) + logprob_rows(ids, REFERENCE)))

    status, said = on_a_terminal(daemon.base, tmp_path, "show", r, "--watch", meanwhile=meanwhile)
    assert status == 0, said
    first, *again = said.split("\033[6F\033[J")
    assert len(again) >= 2 and first.count("\n") == 6
    assert "[........................] 0 of 24" in first and any("[############............] 12 of 24" in x for x in again)
    assert again[-1] == prefd("show", r) and again[-1].count("[########################] 24 of 24") == 3


def test_watching_without_a_terminal_prints_lines(daemon, prefd, tmp_path):
    r = make_round(daemon)
    watching = start(daemon.base, tmp_path, "show", r, "--watch")
    time.sleep(1)
    prefd("deliver", r, "responses", "-", input=lines(sample_rows(3)))
    time.sleep(1)
    daemon.request("POST", f"/v1/rounds/{r}/close")
    out, err = ended(watching, 0)
    assert err == "" and out.splitlines() == [
        f"{r}: open, samples 0 of 24, policy 0 of 24, reference 0 of 24, leases 0",
        f"{r}: open, samples 12 of 24, policy 0 of 24, reference 0 of 24, leases 0",
        f"{r}: closed, samples 12 of 24, policy 0 of 24, reference 0 of 24, leases 0"]


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_watching_ends_with_a_signal(daemon, tmp_path, signum):
    watching = start(daemon.base, tmp_path, "show", make_round(daemon), "--watch")
    assert watching.stdout.readline().endswith(b"leases 0\n")
    watching.send_signal(signum)
    ended(watching, 1)


# --- deliver ------------------------------------------------------------------------------------


def test_what_is_delivered_again_changes_nothing(daemon, prefd, tmp_path):
    r = make_round(daemon)
    rows = sample_rows(6)
    (tmp_path / "samples.json").write_text(json.dumps(rows))
    said = prefd("deliver", r, "responses", "samples.json")
    assert re.fullmatch(rf"{r}: 24 rows in \d+\.\d s\n  responses    24 created\n", said), said
    assert "  responses    24 unchanged\n" in prefd("deliver", r, "responses", "samples.json")
    ids = responses_of(daemon, r, 6)
    body = lines(logprob_rows(ids, POLICY))
    assert "  logprobs     24 created\n" in prefd("deliver", r, "logprobs", "-", input=body)
    assert "  logprobs     24 kept\n" in prefd("deliver", r, "logprobs", "-", input=body)
    assert shown(daemon, r)["logprobs"][POLICY] == {"wanted": 24, "there": 24}


def test_bad_rows_are_named_by_the_files_rows(daemon, prefd):
    r = make_round(daemon)
    rows = sample_rows(6)
    rows[17]["index"] = 4
    small = ["--body-bytes", "1KiB"]
    prefd("deliver", r, "responses", "-", *small, input=lines(rows), status=1)
    assert "(422)" in prefd.err and "  line 18 (row 17), /index: " in prefd.err
    assert 0 < there(daemon, r) <= 17
    said = prefd("deliver", r, "responses", "-", *small, "--on-error", "continue", input=lines(rows), status=1)
    assert "  line 18 (row 17), /index: " in prefd.err and "  rejected     1\n" in said
    assert there(daemon, r) == 23
    bad = logprob_rows(responses_of(daemon, r, 1), "somebody-else")
    prefd("deliver", r, "logprobs", "-", input=lines(bad), status=1)
    assert "/model: " in prefd.err
    broken = lines(sample_rows(6)[17:18]) + b'{"prompt": "p0'
    prefd("deliver", r, "responses", "-", input=broken, status=1)
    assert "(400)" in prefd.err and there(daemon, r) == 23
    prefd("deliver", r, "responses", "no-such-file", status=1)
    assert "no-such-file: No such file" in prefd.err


def test_an_interrupted_delivery_is_sent_again(tmp_path):
    rows = lines([{"prompt": f"p{i}", "index": 0, "text": "x"} for i in range(400)])
    (tmp_path / "rows").write_bytes(rows)

    def slow(handler, body):
        time.sleep(0.05)
        return False

    with FakeServer([slow] * 1000, limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
        process = start(server.base, tmp_path, "deliver", "r", "responses", "rows")
        until(lambda: len(server.bodies) >= 3, "bodies")
        process.send_signal(signal.SIGINT)
        _, err = ended(process, 1)
        assert "the same rows may be sent again" in err and 3 <= len(server.bodies) < 40
        server.script.clear()
        server.bodies.clear()
        runner(server.base, tmp_path)("deliver", "r", "responses", "rows")
        assert server.rows() == rows.decode().splitlines() and len(server.bodies) == 40
        assert set(server.targets) == {"/v1/limits", "/v1/rounds/r/responses"}


def test_a_row_longer_than_the_servers(tmp_path):
    rows = [json.dumps({"prompt": "p", "index": i, "text": "x" * (2000 if i == 3 else 1)}) for i in range(6)]
    for on_error, sent in (([], rows[:3]), (["--on-error", "continue"], rows[:3] + rows[4:])):
        with FakeServer(limits={"body_bytes": 65536, "row_bytes": 1024, "rows": 10}) as server:
            prefd = runner(server.base, tmp_path)
            said = prefd("deliver", "r", "responses", "-", *on_error, input="\n".join(rows).encode(), status=1)
            assert f"  line 4 (row 3): {len(rows[3])} bytes" in prefd.err and server.rows() == sent
            assert "  rejected     1\n" in said


# --- score ---------------------------------------------------------------------------------------


def with_engines(daemon, prefd, policy, reference, ids=True):
    dataset = dataset_of(daemon, 3)
    r = f"{dataset}-r"
    for server, name in ((policy, f"{r}-p"), (reference, f"{r}-q")):
        made = daemon.request("PUT", f"/v1/engines/{name}", {"kind": "vllm", "url": server.url, "model": "served"})
        assert made.status == 201, made
    prefd("create", dataset, "--policy", POLICY, "--reference", REFERENCE, "--name", r, "--per-prompt", "4",
          "--policy-engine", f"{r}-p", "--reference-engine", f"{r}-q")
    rows = [{**x, **({"prompt_token_ids": [1, 2], "token_ids": [10 + k, 7]} if ids else {})}
            for k, x in enumerate(sample_rows(3))]
    prefd("deliver", r, "responses", "-", input=lines(rows))
    return r


def test_engines_score(daemon, prefd):
    with EngineServer() as policy, EngineServer(delay=0.1) as reference:
        r = with_engines(daemon, prefd, policy, reference)
        assert "  scoring    running: " in prefd("score", r)
        until(lambda: shown(daemon, r)["scoring"]["state"] != "running", "scores")
        assert "  scoring    done: 24 asked, 24 delivered, failed none\n" in prefd("show", r)
        last = prefd("score", r, "--wait").splitlines()[-1]
    assert last == f"{r}: open, samples 12 of 12, policy 12 of 12, reference 12 of 12, leases 0"


def test_engines_that_fail(daemon, prefd):
    def refuse(server, handler, ids, n):
        return ids[2] == 13 and handler.reply(400, {"error": "no"})

    with EngineServer(answer=refuse) as policy, EngineServer() as reference:
        r = with_engines(daemon, prefd, policy, reference)
        prefd("score", r, "--wait", status=1)
        assert "failed 1 engine_refused\n" in prefd("show", r)
        assert shown(daemon, r)["logprobs"][POLICY] == {"wanted": 12, "there": 11}
        r = with_engines(daemon, prefd, policy, reference, ids=False)
        prefd("score", r, "--wait", status=1)
        assert "failed 24 missing_token_ids\n" in prefd("show", r)
    prefd("score", make_round(daemon), status=1)
    assert "(422)" in prefd.err or "(409)" in prefd.err


# --- rescore, rewards, publish ---------------------------------------------------------------------


def test_rescoring_says_what_it_found(daemon, prefd):
    r = scored_round(daemon, prefd)
    said = prefd("rescore", r)
    told = shown(daemon, r)["rescorings"][0]
    gap = told["length_gap"]
    assert said.splitlines()[0] == (f"rescoring 1: alpha {told['alpha']:.6g}, beta 0.1: 6 pairs of 6 prompts, "
                                    f"length gap {gap['before']:.1f} to {gap['after']:.1f}")
    assert "  skipped    none\n  dropped    none\n  rewards    mean " in said
    again = prefd("rescore", r, "--alpha", "0", "--beta", "0.5", "--length", "tokens", "--min-responses", "5", status=1)
    assert prefd.err == "prefd round rescore: it has 0 pairs; skipped: 6 too_few_responses\n"
    assert again.startswith("rescoring 2: alpha 0, beta 0.5: 0 pairs of 6 prompts")
    assert "  skipped    6 too_few_responses\n" in again
    assert "rescoring  1: alpha " in prefd("show", r) and "rescoring  2: alpha 0, beta 0.5" in prefd("show", r)
    prefd("rescore", r, "--beta", "0", status=1)
    assert "(422): /beta: " in prefd.err
    prefd("rescore", r, "--beta", "b", status=2)


def test_no_pairs_are_said_and_so_is_what_is_missing(daemon, prefd):
    r = make_round(daemon, prompts=2)
    prefd("rescore", r, status=1)
    assert prefd.err == ("prefd round rescore: not all is there yet: samples 0 of 8, policy 0 of 8, reference 0 of 8\n"
                         "prefd round rescore: it has 0 pairs; skipped: 2 too_few_responses\n")
    said = prefd("publish", r, "--name", f"{r}-none", "--wait", status=1)
    assert said.startswith(f"{r}-none: ready, 0 pairs, ")
    assert "warning: No prompt has a pair" in prefd.err and "it has 0 pairs; skipped: 2 too_few_responses" in prefd.err


def test_rewards_are_listed(daemon, prefd):
    r = scored_round(daemon, prefd, prompts=60)  # more than a page of rewards
    prefd("rewards", r, status=1)
    assert "(404)" in prefd.err or "(422)" in prefd.err
    prefd("rescore", r)
    prefd("rescore", r, "--alpha", "0", "--beta", "1")
    listed = [json.loads(line) for line in prefd("rewards", r, "--json").splitlines()]
    assert len(listed) == 240 and len({x["response"] for x in listed}) == 240
    assert [x["prompt"] for x in listed] == sorted(x["prompt"] for x in listed)
    for x in listed:
        assert x["reward"] == pytest.approx(x["policy_logprob"] - x["reference_logprob"])
    one = daemon.request("GET", f"/v1/rounds/{r}/rewards?prompt=p007&rescoring=1").json()["rewards"]
    assert [json.loads(line) for line in prefd("rewards", r, "--json", "--prompt", "p007", "--rescoring", "1").splitlines()] == one
    table = prefd("rewards", r, "--prompt", "p007", "--rescoring", "1").splitlines()
    assert table[0].split() == ["reward", "length", "policy", "reference", "response"] and table[1] == "p007"
    assert len(table) == 2 + 4
    for line, x in zip(table[2:], one):
        cells = line.split()
        assert cells[-1] == x["response"] and (cells[0] == x["role"] if x["role"] else len(cells) == 5)
        assert cells[-5] == f"{x['reward']:.6g}" and cells[-4] == str(x["length"])
    prefd("rewards", r, "--rescoring", "9", status=1)
    prefd("rewards", r, "--prompt", "nobody", status=1)


def test_left_out_responses_say_why(daemon, prefd):
    r = make_round(daemon, prompts=1)
    rows = sample_rows(1)
    rows[1]["text"] = rows[0]["text"]
    prefd("deliver", r, "responses", "-", input=lines(rows))
    there = daemon.request("GET", f"/v1/datasets/{r.removesuffix('-r')}/prompts/p000").json()["responses"]
    ids = [x["id"] for x in sorted(there, key=lambda x: x["text"])]  # the last one's is missing
    prefd("deliver", r, "logprobs", "-", input=lines(logprob_rows(ids[:3], POLICY) + logprob_rows(ids, REFERENCE)))
    dropped = re.search(r"^  dropped    (.*)$", prefd("rescore", r), re.MULTILINE).group(1)
    assert sorted(dropped.split(", ")) == ["1 duplicate_text", "1 missing_logprob"]
    words = {line.split()[0] for line in prefd("rewards", r).splitlines()[2:]}
    assert {"missing_logprob", "duplicate_text", "chosen", "rejected"} == words


def test_publishing(daemon, prefd):
    r = scored_round(daemon, prefd)
    prefd("publish", r, status=1)
    prefd("rescore", r)
    name = f"{r}-pairs"
    said = prefd("publish", r, "--name", name, "--wait")
    told = daemon.request("GET", f"/v1/snapshots/{name}").json()
    assert said == f"{name}: ready, 6 pairs, revision {told['revision']}\n"
    assert prefd("publish", r, "--name", name, "--wait") == said
    other = prefd("publish", r, "--wait")
    assert other.split()[1:] == said.split()[1:] and other != said, "the same inputs, the same revision"
    assert re.match(rf"{r}-both: (building|ready)", prefd("publish", r, "--name", f"{r}-both", "--augment", "both"))
    assert told["recipe"]["view"]["augment"] == "none"
    assert f"  snapshot   {name}\n" in prefd("show", r)


def test_publishing_with_replay(daemon, prefd):
    dataset = new_dataset(daemon, "cli", attributes={"overall": {"min": 1, "max": 10}})
    post(daemon, dataset, [{"id": f"q{i}", "prompt": f"old question {i}", "split": "old", "responses": [
        {"text": f"{k}", "scores": [{"judge": "j", "value": k + 1}]} for k in range(3)]} for i in range(10)])
    post(daemon, dataset, [{"id": f"p{i:03}", "prompt": f"question {i}"} for i in range(6)])
    offline = make(daemon, dataset, {"split": "old"})["id"]
    r = f"{dataset}-r"
    prefd("create", dataset, "--policy", POLICY, "--reference", REFERENCE, "--name", r, "--per-prompt", "4",
          "--min-responses", "2", "--replay", offline, "--gamma", "0.5")
    prefd("deliver", r, "responses", "-", input=lines(sample_rows(6)))
    ids = responses_of(daemon, r, 6)
    prefd("deliver", r, "logprobs", "-", input=lines(logprob_rows(ids, POLICY) + logprob_rows(ids, REFERENCE)))
    prefd("rescore", r)
    # N = 10: 5 of its own, and 0.5 * 5 / (1 - 0.5) = 5 replayed.
    said = prefd("publish", r, "--wait")
    assert ": ready, 10 pairs, " in said and "  replay     5 of its own pairs and 5 replayed, of 5 that were wanted\n" in said
    assert ": ready, 6 pairs, " in prefd("publish", r, "--wait", "--no-replay")
    # N = 4 at 0.75: 1 of its own, and 0.75 / 0.25 = 3 replayed.
    other = prefd("publish", r, "--wait", "--replay", offline, "--gamma", "0.75", "--replay-total", "4")
    assert ": ready, 4 pairs, " in other and "1 of its own pairs and 3 replayed, of 3" in other
    prefd("publish", r, "--replay", offline, "--gamma", "1.5", status=1)
    assert "(422): /replay/gamma: " in prefd.err


# --- work -------------------------------------------------------------------------------------------


def sampling(r, command, *more, worker="w"):
    return ["work", r, "--kind", "sample", "--worker", worker, "--exec", command, *more]


def scoring(r, model, command, *more):
    return ["work", r, "--kind", "score", "--model", model, "--worker", "w", "--exec", command, *more]


def test_a_command_samples_and_scores(daemon, prefd):
    r = make_round(daemon, prompts=10, policy="toy-1", reference="toy-0", responses_per_prompt=3)
    said = prefd(*sampling(r, toy("toy-1"), "--limit", "3"))
    assert re.fullmatch(r"w: 30 rows in \d+\.\d s\n  responses    30 created\n", said), said
    for model in ("toy-1", "toy-0"):
        assert "  logprobs     30 created\n" in prefd(*scoring(r, model, toy(model)))
    told = shown(daemon, r)
    assert told["responses"] == told["logprobs"]["toy-1"] == told["logprobs"]["toy-0"] == {"wanted": 30, "there": 30}
    assert told["leases"] == 0, "what is done is given back"
    assert prefd(*sampling(r, "exit 7")).startswith("w: 0 rows"), "410: the command is not even started"


def started(tmp_path):
    path = tmp_path / "started"
    return path.read_text().split() if path.exists() else []


START = f'open("started", "a").write(str(os.getpid()) + " ")\n'


def test_the_command_is_started_once(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=10)
    command = script(tmp_path, LOOP.replace("for line", START + "for line"))
    prefd(*sampling(r, command, "--limit", "2"))
    assert there(daemon, r) == 40 and len(started(tmp_path)) == 1


def test_batches_are_ended_by_an_empty_line(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=10)
    command = script(tmp_path, SAMPLER + START + """
tasks = []
for line in sys.stdin:
    if line.strip():
        tasks.append(json.loads(line))
        continue
    assert 0 < len(tasks) <= 4
    say([row for task in reversed(tasks) for row in sample(task)])
    tasks = []
assert tasks == []
""")
    prefd(*sampling(r, command, "--limit", "4", "--batch"))
    assert there(daemon, r) == 40 and len(started(tmp_path)) == 1


def test_a_command_that_answers_at_the_end_is_started_anew(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=10)
    command = script(tmp_path, SAMPLER + START + "for task in [json.loads(x) for x in sys.stdin.readlines()]: say(sample(task))")
    prefd(*sampling(r, command, "--limit", "4", "--restart"))
    assert there(daemon, r) == 40 and len(started(tmp_path)) == 3


def test_more_than_a_pipe_holds_goes_both_ways(daemon, prefd, tmp_path):
    dataset = new_dataset(daemon, "cli")
    post(daemon, dataset, [{"id": f"p{i}", "prompt": "x" * 100000} for i in range(20)])
    r = daemon.request("POST", f"/v1/datasets/{dataset}/rounds", {"policy": "a", "reference": "b", "responses_per_prompt": 1,
                                                                 "filters": {"max_characters": 200000}}).json()["id"]
    echo = script(tmp_path, """
import json, sys
for line in sys.stdin:
    task = json.loads(line)
    print(json.dumps({"prompt": task["prompt"]["id"], "index": 0, "text": task["prompt"]["messages"][0]["content"]}))
""")  # flushed when the pipe's buffer is full, and at the end
    prefd(*sampling(r, echo, "--restart"))
    assert there(daemon, r) == 20


@pytest.mark.parametrize("body, said", [
    ("print('loading the model', flush=True)", "line 1 of the command: it is no JSON object: loading the model"),
    ("say([{'prompt': 'p999', 'index': 0, 'text': 'x'}])", "line 1 of the command: prompt p999, index 0 was not asked for"),
    ("rows = sample(json.loads(sys.stdin.readline())); say(rows[:1] * 2)", "line 2 of the command: prompt p000, index 0 has its result already"),
    ("rows = sample(json.loads(sys.stdin.readline())); rows[2]['text'] = 7; say(rows)\nsys.stdin.read()", "/text: "),
    ("say(sample(json.loads(sys.stdin.readline()))[:3]); sys.exit(3)", "the command ended with status 3"),
    ("say(sample(json.loads(sys.stdin.readline()))[:3])", "results are missing"),
    ("os.kill(os.getpid(), 9)", "the command ended with "),
])
def test_a_wrong_command_is_told_of_and_its_lease_given_back(daemon, prefd, tmp_path, body, said):
    r = make_round(daemon, prompts=6)
    prefd(*sampling(r, script(tmp_path, SAMPLER + body)), status=1)
    assert said in prefd.err, prefd.err
    assert shown(daemon, r)["leases"] == 0
    # What was right until then is kept; nobody waits for the rest.
    assert there(daemon, r) in (0, 1, 3)
    prefd(*sampling(r, script(tmp_path, LOOP)))
    assert there(daemon, r) == 24


def test_a_command_that_is_none(daemon, prefd):
    r = make_round(daemon)
    prefd(*sampling(r, "/no/such/command"), status=1)
    assert "the command ended with status 127" in prefd.err and "24 of 24 results are missing" in prefd.err


def test_a_lease_is_renewed_while_the_command_works(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=2, lease_seconds=1)
    command = script(tmp_path, LOOP.replace("    say(", "    time.sleep(2)\n    say("))
    process = start(daemon.base, tmp_path, *sampling(r, command))
    until(lambda: shown(daemon, r)["leases"] == 1, "a lease")
    for _ in range(15):  # 3 s: three leases long
        answer = daemon.request("POST", f"/v1/rounds/{r}/leases", {"kind": "sample", "worker": "other"})
        assert answer.status == 204, answer
        time.sleep(0.2)
    out, _ = ended(process, 0)
    assert "responses    8 created\n" in out


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_delivers_and_gives_back(daemon, tmp_path, signum):
    r = make_round(daemon, prompts=6)
    command = script(tmp_path, SAMPLER + START + """
say(sample(json.loads(sys.stdin.readline())))
time.sleep(600)
""")
    process = start(daemon.base, tmp_path, *sampling(r, command))
    until(lambda: started(tmp_path) and shown(daemon, r)["leases"] == 1, "a lease")
    time.sleep(0.5)
    process.send_signal(signum)
    out, err = ended(process, 1)
    assert "ended by a signal" in err and "responses    4 created" in out
    assert shown(daemon, r)["leases"] == 0 and there(daemon, r) == 4
    until(lambda: not os.path.exists(f"/proc/{started(tmp_path)[0]}"), "the command ends as well")


def test_what_a_killed_worker_held_goes_to_another(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=6, lease_seconds=2)
    process = start(daemon.base, tmp_path, *sampling(r, "sleep 1; cat > /dev/null", "--limit", "4", worker="dead"))
    until(lambda: shown(daemon, r)["leases"] == 1, "a lease")
    process.kill()
    ended(process, -9)
    said = prefd(*sampling(r, script(tmp_path, LOOP), worker="alive"))
    assert "responses    24 created\n" in said and "nothing to be handed out now; waiting" in prefd.err


def test_several_workers_do_nothing_twice(daemon, tmp_path):
    r = make_round(daemon, prompts=60)
    command = script(tmp_path, LOOP)
    workers = [start(daemon.base, tmp_path, *sampling(r, command, "--limit", "3", worker=f"w{i}")) for i in range(3)]
    said = "".join(ended(w, 0)[0] for w in workers)
    assert sum(int(n) for n in re.findall(r"(\d+) created", said)) == 240 and "unchanged" not in said


def test_the_toy_model_says_how_it_is_used():
    for arguments in ([], ["gpt"]):
        done = subprocess.run([sys.executable, TOY, *arguments], input=b"", capture_output=True, timeout=SECONDS)
        assert done.returncode == 1 and done.stderr.startswith(b"usage: toy_model.py MODEL") and done.stdout == b""


def test_scoring_waits_for_samples(daemon, prefd, tmp_path):
    r = make_round(daemon, prompts=4, policy="toy-1", reference="toy-0")
    process = start(daemon.base, tmp_path, *scoring(r, "toy-0", toy("toy-0")))
    assert process.stderr.readline() == b"prefd round work: nothing to be handed out now; waiting; samples 0 of 16\n"
    prefd(*sampling(r, toy("toy-1")))
    out, _ = ended(process, 0)
    assert "logprobs     16 created" in out


def test_a_closed_round_ends_a_worker(daemon, tmp_path):
    r = make_round(daemon, prompts=6)
    process = start(daemon.base, tmp_path, *sampling(r, script(tmp_path, LOOP.replace("    say(", "    time.sleep(1)\n    say("))))
    until(lambda: shown(daemon, r)["leases"] == 1, "a lease")
    daemon.request("POST", f"/v1/rounds/{r}/close")
    _, err = ended(process, 1)
    assert "(409)" in err and "closed" in err


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_a_worker_outlives_the_daemon(fresh_daemon, tmp_path):
    d = fresh_daemon("--listen", f"127.0.0.1:{free_port()}")
    r = make_round(d, prompts=40)
    command = script(tmp_path, LOOP.replace("    say(", "    time.sleep(0.05)\n    say("))
    process = start(d.base, tmp_path, *sampling(r, command, "--limit", "5"))
    until(lambda: there(d, r) > 0, "samples")
    d.kill()
    time.sleep(1)
    d.start()
    out, _ = ended(process, 0)
    assert there(d, r) == 160 and "160 rows" in out


def test_the_progress_of_a_worker_on_a_terminal(daemon, tmp_path):
    r = make_round(daemon, prompts=30)
    command = script(tmp_path, LOOP.replace("    say(", "    time.sleep(0.05)\n    say("))
    status, said = on_a_terminal(daemon.base, tmp_path, *sampling(r, command, "--limit", "2"), meanwhile=lambda: None)
    assert status == 0 and re.search(r"\r\d+ rows, \d+\.\d MB, \d+ rows/s\033\[K", said), said
    assert said.endswith("\r\033[Kw: 120 rows in " + said.rsplit("rows in ", 1)[1])
