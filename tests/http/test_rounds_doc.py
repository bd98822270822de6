"""The commands of docs/rounds.md, run in order as they stand; its answers are
theirs, in the manner of test_readme.py."""

import os
import re
import subprocess
import time

from conftest import BINARY, ROOT, clean_environment
from test_readme import SAMPLE, SECONDS, as_said, joined, run


def blocks():
    with open(os.path.join(ROOT, "docs", "rounds.md"), encoding="utf-8") as f:
        text = f.read()
    found = re.findall(r"^```sh\n(.*?)^```\n```(?:json|text)\n(.*?)^```\n", text, re.MULTILINE | re.DOTALL)
    assert len(found) == text.count("```sh\n") >= 10, "each command with its answer"
    return found


def prepare(daemon, folder):
    (folder / "build").mkdir()
    (folder / "build" / "prefd").symlink_to(BINARY)
    (folder / "docs").symlink_to(os.path.join(ROOT, "docs"))
    subprocess.run([BINARY, "import", "--server", daemon.base, *SAMPLE], check=True, timeout=SECONDS,
                   env=clean_environment({"XDG_STATE_HOME": str(folder / "state")}))


def test_every_command_answers_as_it_says(fresh_daemon, tmp_path):
    daemon = fresh_daemon(data=tmp_path / "prefd-data")
    prepare(daemon, tmp_path)
    for command, answer in blocks():
        began = time.monotonic()
        status, said = run(command, daemon, tmp_path)
        assert status == 0, (command, said)
        assert as_said(answer).match(said), f"{command}\nsays: {said}\nwanted: {joined(answer)}"
        assert time.monotonic() - began < SECONDS

    def snapshot(name):
        return daemon.request("GET", f"/v1/snapshots/{name}").json()

    # What the page says besides.
    assert snapshot("r1-again")["revision"] == snapshot("r1-mixed")["revision"]
    origins = [x["origin"] for x in daemon.request("GET", "/v1/snapshots/r1-mixed/export").rows()]
    assert sorted(set(origins)) == ["on_policy", "replay"] and origins.count("replay") == 40
    assert [x["origin"] for x in snapshot("r1-mixed")["lineage"]] == ["on_policy", "replay"]
    assert daemon.request("GET", "/v1/rounds/r2").json()["previous"] == "r1"


def test_the_page_names_what_is_there():
    with open(os.path.join(ROOT, "docs", "rounds.md"), encoding="utf-8") as f:
        text = f.read()
    for path in set(re.findall(r"docs/examples/\w+\.py", text)):
        assert os.path.exists(os.path.join(ROOT, path))
    for verb, options in re.findall(r"build/prefd round (\w+)(.*)", text):
        said = subprocess.run([BINARY, "round", verb, "--help"], capture_output=True, text=True, timeout=60).stdout
        for option in re.findall(r"(--[a-z-]+)", options.split("--exec")[0]):
            assert option in said, (verb, option)
