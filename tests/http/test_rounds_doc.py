"""The commands of docs/rounds.md, run in order as they stand; its answers are
theirs, in the manner of test_readme.py."""

import os
import re
import subprocess

import pytest

from conftest import BINARY, ROOT
from test_readme import first_score, follow, page, sample_daemon


@pytest.mark.parametrize("scored", (False, True), ids=("fresh", "scored"))
def test_every_command_answers_as_it_says(fresh_daemon, tmp_path, scored):
    """On what `make run` starts, and also where the README's first command was run before."""
    daemon = sample_daemon(fresh_daemon, tmp_path)
    (tmp_path / "docs").symlink_to(os.path.join(ROOT, "docs"))
    if scored:
        first_score(daemon, tmp_path)
    follow(page("docs", "rounds.md"), daemon, tmp_path)

    def snapshot(name):
        return daemon.request("GET", f"/v1/snapshots/{name}").json()

    # What the page says besides.
    assert snapshot("r1-again")["revision"] == snapshot("r1-mixed")["revision"]
    origins = [x["origin"] for x in daemon.request("GET", "/v1/snapshots/r1-mixed/export").rows()]
    assert sorted(set(origins)) == ["on_policy", "replay"] and origins.count("replay") == 40
    assert [x["origin"] for x in snapshot("r1-mixed")["lineage"]] == ["on_policy", "replay"]
    assert daemon.request("GET", "/v1/rounds/r2").json()["previous"] == "r1"


def test_the_page_names_what_is_there():
    text = page("docs", "rounds.md")
    for path in set(re.findall(r"docs/examples/\w+\.py", text)):
        assert os.path.exists(os.path.join(ROOT, path))
    for verb, options in re.findall(r"build/prefd round (\w+)(.*)", text):
        said = subprocess.run([BINARY, "round", verb, "--help"], capture_output=True, text=True, timeout=60).stdout
        for option in re.findall(r"(--[a-z-]+)", options.split("--exec")[0]):
            assert option in said, (verb, option)
