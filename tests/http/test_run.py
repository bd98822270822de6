"""What `make run` starts (deploy/run.sh), and the commands that it and the
README tell a newcomer to try: run here word by word."""

import json
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import BINARY, ROOT, clean_environment

SECONDS = 120


def free_port():
    """Below the ports that outgoing connections take: its neighbours are free as well."""
    for _ in range(100):
        port = random.randrange(20000, 30000)
        with socket.socket() as s:
            if s.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise AssertionError("no free port")


class Script:
    """deploy/run.sh in a session of its own, as in a terminal."""

    def __init__(self, data, port):
        self.lines = []
        self.process = subprocess.Popen(
            [os.path.join(ROOT, "deploy", "run.sh")], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
            env=clean_environment({"BUILD": os.path.dirname(BINARY), "DATA": str(data), "PORT": str(port),
                                   "XDG_STATE_HOME": str(data) + "-state"}))
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line)

    def text(self):
        return "".join(self.lines)

    def wait_for(self, words):
        deadline = time.monotonic() + SECONDS
        while words not in self.text():
            assert self.process.poll() is None and time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def stop(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGINT)
        status = self.process.wait(SECONDS)
        self.reader.join(SECONDS)
        return status


@pytest.fixture
def script(tmp_path):
    started = []

    def start(data=tmp_path / "data", port=None):
        started.append(Script(data, port or free_port()))
        return started[-1]

    yield start
    for s in started:
        s.stop()


def curls(text):
    return re.findall(r"^curl .*$", text, re.MULTILINE)


def run_line(line):
    return json.loads(subprocess.run(["bash", "-c", line.replace("curl ", "curl -sS --fail-with-body ", 1)], check=True,
                                     capture_output=True, timeout=SECONDS).stdout)


def test_the_three_lines_work_and_are_the_readmes(script):
    port = free_port()
    s = script(port=port)
    s.wait_for("Ctrl-C stops")
    lines = curls(s.text())
    assert len(lines) == 3
    with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
        assert curls(f.read())[:3] == [line.replace(f":{port}/", ":8420/") for line in lines]
    scores, snapshot, batch = (run_line(line) for line in lines)
    assert scores["rows"] == 1 and scores["scores"]["created"] == 1
    assert snapshot["state"] == "ready" and snapshot["examples"] > 0
    assert len(batch["examples"]) == 2 and batch["revision"] == snapshot["revision"]
    assert run_line(lines[1])["revision"] == snapshot["revision"], "again is the same"
    assert s.stop() == 0


def test_a_second_start_and_a_taken_port(script, tmp_path):
    port = free_port()
    first = script(data=tmp_path / "one", port=port)
    first.wait_for("Ctrl-C stops")
    second = script(data=tmp_path / "two", port=port)
    second.wait_for("Ctrl-C stops")
    assert f"Port {port} is taken" in second.text()
    assert all(f"127.0.0.1:{port}/" not in line for line in curls(second.text()))
    assert second.stop() == 0 and first.stop() == 0
    assert "Another prefd holds" not in second.text()
    again = script(data=tmp_path / "one")
    again.wait_for("Ctrl-C stops")
    assert "180 unchanged" in again.text()


def test_a_folder_that_another_holds(script, tmp_path):
    first = script()
    first.wait_for("Ctrl-C stops")
    second = script()
    assert second.process.wait(SECONDS) == 1
    second.reader.join(SECONDS)
    assert f"Another prefd holds the data folder {tmp_path / 'data'}: use DATA=other make run.\n" in second.text()
    assert first.process.poll() is None


def test_a_folder_that_cannot_be_used(script, tmp_path):
    (tmp_path / "file").write_text("")
    s = script(data=tmp_path / "file")
    assert s.process.wait(SECONDS) == 1
    s.reader.join(SECONDS)
    assert "prefd did not start" in s.text()
    assert shlex.quote(str(tmp_path / "file")) in s.text()
