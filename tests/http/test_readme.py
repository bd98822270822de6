"""The README's commands, run in order as they stand; its answers are theirs.

A block of `sh` or `python` is followed by the block that it answers. In an answer, line
breaks between tokens are only for the eye and "…" stands for anything."""

import json
import os
import re
import subprocess

from conftest import BINARY, ROOT, clean_environment

SECONDS = 120
SAMPLE = ["--dataset", "sample", "--attribute", "overall=1:10", "--attribute", "correctness=0:1",
          "--attribute", "brevity=1:5", os.path.join(ROOT, "schema", "sample", "sample.ndjson")]


# What a command may leave in the folder that it is run in: nothing that git would see.
IGNORED = {"build", "prefd-data", "prefd-backups"}


def page(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def blocks(text):
    """[(command, answer)] of a page, each command with its answer; a command is one of bash."""
    found = re.findall(r"^```(sh|python)\n(.*?)^```\n```(?:json|text)\n(.*?)^```\n", text, re.MULTILINE | re.DOTALL)
    assert len(found) == text.count("```sh\n") + text.count("```python\n") > 0, "each command with its answer"
    return [(f"python3 - <<'END'\n{command}END\n" if kind == "python" else command, answer)
            for kind, command, answer in found]


def joined(text):
    return "".join(line.strip() for line in text.splitlines())


def as_said(answer):
    """The README's answer as a pattern for the real one."""
    return re.compile(".*?".join(re.escape(part) for part in joined(answer).split("…")) + "$")


def run(command, daemon, folder):
    done = subprocess.run(["bash", "-c", command.replace("curl ", "curl -sS ").replace(":8420/", f":{daemon.port}/")],
                          cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS,
                          env=clean_environment({"PREFD_SERVER": daemon.base, "XDG_STATE_HOME": str(folder / "state")}))
    # curl's answers end without a newline, so what follows begins on the same line.
    return done.returncode, joined(done.stdout.decode())


def sample_daemon(fresh_daemon, folder):
    """What `make run` starts, seen from a clone's folder."""
    daemon = fresh_daemon("--backups", str(folder / "prefd-backups"), data=folder / "prefd-data")
    (folder / "build").mkdir()
    (folder / "build" / "prefd").symlink_to(BINARY)
    subprocess.run([BINARY, "import", "--server", daemon.base, *SAMPLE], check=True, timeout=SECONDS,
                   env=clean_environment({"XDG_STATE_HOME": str(folder / "state")}))
    return daemon


def follow(text, daemon, folder):
    """Every command of the page answers as it says, and leaves nothing in the clone."""
    before = set(os.listdir(folder)) | IGNORED
    for command, answer in blocks(text):
        status, said = run(command, daemon, folder)
        assert status == 0, (command, said)
        assert as_said(answer).match(said), f"{command}\nsays: {said}\nwanted: {joined(answer)}"
    assert set(os.listdir(folder)) <= before


def first_score(daemon, folder):
    """The README's first command: a score by the judge "me"."""
    command, _ = blocks(page("README.md"))[0]
    status, said = run(command, daemon, folder)
    assert status == 0 and '"created":1' in said


def test_every_command_answers_as_it_says(fresh_daemon, tmp_path):
    assert len(blocks(page("README.md"))) >= 11
    daemon = sample_daemon(fresh_daemon, tmp_path)
    follow(page("README.md"), daemon, tmp_path)
    the_loop_goes_on_where_it_was(daemon, tmp_path)


def the_loop_goes_on_where_it_was(daemon, folder):
    (loop, answer), = [x for x in blocks(page("README.md")) if x[0].startswith("python3 -")]
    checkpoint = folder / "build" / "at.json"
    stored = json.loads(checkpoint.read_text())
    assert stored == {"revision": daemon.request("GET", "/v1/snapshots/first").json()["revision"],
                      "seed": 7, "epoch": 2, "next_offset": 0}
    lines = answer.splitlines()
    for at, line in enumerate(lines):
        epoch, offset, _ = map(int, line.split())
        checkpoint.write_text(json.dumps({**stored, "epoch": epoch, "next_offset": offset}))
        assert run(loop, daemon, folder) == (0, "".join(lines[at:]))


def test_links_lead_somewhere():
    text = page("README.md")
    paths = re.findall(r"`((?:docs|schema|tests|server|include)/[^`]*)`", text) + re.findall(r"\]\((?!http)([^)]+)\)", text)
    assert len(paths) > 5
    for path in paths:
        assert os.path.exists(os.path.join(ROOT, path)), path
