"""The README's commands, run in order as they stand; its answers are theirs.

A block of `sh` is followed by the block that it answers. In an answer, line
breaks between tokens are only for the eye and "…" stands for anything."""

import os
import re
import subprocess

from conftest import BINARY, ROOT, clean_environment

SECONDS = 120
SAMPLE = ["--dataset", "sample", "--attribute", "overall=1:10", "--attribute", "correctness=0:1",
          "--attribute", "brevity=1:5", os.path.join(ROOT, "schema", "sample", "sample.ndjson")]


def blocks():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        found = re.findall(r"^```sh\n(.*?)^```\n```(?:json|text)\n(.*?)^```\n", f.read(), re.MULTILINE | re.DOTALL)
    assert len(found) >= 8
    return found


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


def test_every_command_answers_as_it_says(fresh_daemon, tmp_path):
    daemon = fresh_daemon(data=tmp_path / "prefd-data")
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "prefd").symlink_to(BINARY)
    subprocess.run([BINARY, "import", "--server", daemon.base, *SAMPLE], check=True, timeout=SECONDS,
                   env=clean_environment({"XDG_STATE_HOME": str(tmp_path / "state")}))
    for command, answer in blocks():
        status, said = run(command, daemon, tmp_path)
        assert status == 0, (command, said)
        assert as_said(answer).match(said), f"{command}\nsays: {said}\nwanted: {joined(answer)}"


def test_links_lead_somewhere():
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        text = f.read()
    paths = re.findall(r"`((?:docs|schema|tests|server|include)/[^`]*)`", text) + re.findall(r"\]\((?!http)([^)]+)\)", text)
    assert len(paths) > 5
    for path in paths:
        assert os.path.exists(os.path.join(ROOT, path)), path
