"""Runs the real daemon for the tests that talk HTTP to it.

`daemon` is one process for the whole session; `fresh_daemon()` starts one of
a test's own, to restart or kill. PREFD_BIN names the binary under test (the
sanitized builds use it); the default is build/prefd.
"""

import http.client
import json
import os
import re
import signal
import subprocess
import time
import urllib.parse

import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get("PREFD_BIN", os.path.join(ROOT, "build", "prefd")))
START_SECONDS = 30
STOP_SECONDS = 60
REQUEST_SECONDS = 90
SANITIZER_REPORT = re.compile(r"ERROR: \w*Sanitizer|WARNING: ThreadSanitizer|runtime error:|SUMMARY: \w*Sanitizer")


def clean_environment(extra=None):
    """The test's environment without settings that would leak into the binary."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("PREFD_")}
    env.update(extra or {})
    return env


class Answer:
    """An answer: status, headers (names in lower case) and the body's bytes."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    def json(self):
        return json.loads(self.body)

    def rows(self):
        """The rows of an NDJSON body."""
        return [json.loads(line) for line in self.body.splitlines() if line]

    def __repr__(self):
        return f"<Answer {self.status} {self.body[:400]!r}>"


class Daemon:
    """One `prefd serve`. Its log (standard error) lies at log_path."""

    def __init__(self, data, log_path, flags=(), env=None):
        self.data = str(data)
        self.log_path = str(log_path)
        self.flags = list(flags)
        self.env = env
        self.command = [BINARY]
        self.process = None
        self.host = self.port = self.base = None

    @property
    def pid(self):
        return self.process.pid

    def start(self):
        """Starts the process and waits until it says where it listens."""
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [*self.command, "serve", "--listen", "127.0.0.1:0", "--data", self.data, *self.flags],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=clean_environment(self.env))
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            found = re.search(r"listening on (https?)://([0-9.]+|\[[^]]+\]):(\d+)", self.log()[offset:])
            if found:
                self.host, self.port = found.group(2), int(found.group(3))
                self.base = f"{found.group(1)}://{self.host}:{self.port}"
                return self
            if self.process.poll() is not None:
                raise AssertionError(f"prefd ended with {self.process.returncode}:\n{self.log()}")
            time.sleep(0.02)
        self.kill()
        raise AssertionError(f"prefd did not start in {START_SECONDS} s:\n{self.log()}")

    def log(self):
        with open(self.log_path, "rb") as f:
            return f.read().decode("utf-8", "replace")

    def connect(self, timeout=REQUEST_SECONDS):
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def request(self, method, path, body=None, headers=None):
        """One request on a connection of its own. A dict or list goes as JSON."""
        headers = dict(headers or {})
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        elif isinstance(body, str):
            body = body.encode()
        connection = self.connect()
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, content)
        finally:
            connection.close()

    def post_rows(self, path, rows, headers=None):
        """Rows as NDJSON."""
        body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return self.request("POST", path, body, {"Content-Type": "application/x-ndjson", **(headers or {})})

    def running(self):
        return self.process is not None and self.process.poll() is None

    def stop(self):
        """SIGTERM: drains and must exit 0 without a sanitizer's report."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            status = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"prefd did not drain in {STOP_SECONDS} s:\n{self.log()[-4000:]}") from None
        self.process = None
        report = SANITIZER_REPORT.search(self.log())
        assert not report, self.log()[max(0, report.start() - 200):report.start() + 8000]
        assert status == 0, f"exit status {status}:\n{self.log()[-4000:]}"

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(STOP_SECONDS)
            self.process = None

    def restart(self):
        self.stop()
        return self.start()


def quote(text):
    """For a path segment or a query value."""
    return urllib.parse.quote(text, safe="")


@pytest.fixture(scope="session")
def daemon(tmp_path_factory):
    folder = tmp_path_factory.mktemp("daemon")
    d = Daemon(folder / "data", folder / "log", ["--backups", str(folder / "backups")]).start()
    yield d
    d.stop()


@pytest.fixture
def fresh_daemon(tmp_path):
    """fresh_daemon(*flags, data=, env=) → a started Daemon; stopped at the end
    of the test unless the test killed it."""
    started = []

    def start(*flags, data=None, env=None):
        n = len(started)
        d = Daemon(data or tmp_path / f"data{n}", tmp_path / f"log{n}", flags, env).start()
        started.append(d)
        return d

    yield start
    failure = None
    for d in started:
        try:
            d.stop()
        except AssertionError as e:
            failure = failure or e
    if failure:
        raise failure


@pytest.fixture
def dataset(daemon, request):
    """The name of a new dataset of the session's daemon, one a test."""
    name = re.sub(r"[^A-Za-z0-9._-]", "-", request.node.name)[:90] + f"-{time.monotonic_ns() % 10**9}"
    assert daemon.request("PUT", f"/v1/datasets/{name}").status == 201
    return name
