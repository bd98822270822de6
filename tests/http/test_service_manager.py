"""prefd under a service manager: the socket that it passes, what it is told, its
watchdog, and a reload. The manager here is this test; it speaks systemd's protocols."""

import http.client
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

from conftest import BINARY, Daemon, clean_environment

WAIT_SECONDS = 30
WATCHDOG_USEC = 2_000_000
# Becomes prefd with the socket as descriptor 3; LISTEN_PID is known only here.
LAUNCH = "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid()); os.execv(sys.argv[1], sys.argv[1:])"


class Manager:
    """The end that hears: (seconds, message) as they come."""

    def __init__(self, folder):
        self.path = str(folder / "notify")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        self.socket.settimeout(0.1)
        self.heard, self.on_message = [], None
        self.closing = False
        self.thread = threading.Thread(target=self.listen, daemon=True)
        self.thread.start()

    def listen(self):
        while not self.closing:
            try:
                message = self.socket.recv(4096).decode()
            except TimeoutError:
                continue
            except OSError:
                return
            if self.on_message:
                self.on_message(message)
            self.heard.append((time.monotonic(), message))

    def count(self, word, since=0.0):
        return sum(1 for at, message in list(self.heard) if at >= since and word in message.split("\n"))

    def wait_for(self, word, since=0.0, times=1):
        deadline = time.monotonic() + WAIT_SECONDS
        while self.count(word, since) < times:
            assert time.monotonic() < deadline, (word, self.heard)
            time.sleep(0.02)

    def close(self):
        self.closing = True
        self.thread.join(5)
        self.socket.close()


@pytest.fixture
def manager(tmp_path):
    m = Manager(tmp_path)
    yield m
    m.close()


def wait_until(true, what):
    deadline = time.monotonic() + WAIT_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


# --- the socket ---------------------------------------------------------------------------


def activate(listener, data, log_path, env=None):
    """prefd with this socket as the manager's; not waited for."""
    def place():
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)

    with open(log_path, "ab") as log:
        return subprocess.Popen([sys.executable, "-c", LAUNCH, BINARY, "serve", "--data", str(data)],
                                stdin=subprocess.DEVNULL, stdout=log, stderr=log, close_fds=False, preexec_fn=place,
                                env=clean_environment({"LISTEN_FDS": "1", "LISTEN_FDNAMES": "prefd", **(env or {})}))


def end(process):
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def ask(port, path="/healthz"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_requests_wait_in_the_passed_socket_for_the_start(tmp_path, manager):
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    early = []
    for _ in range(4):  # asked before there is a daemon
        s = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        early.append(s)
    process = activate(listener, tmp_path / "data", tmp_path / "log", {"NOTIFY_SOCKET": manager.path})
    try:
        for s in early:
            assert s.recv(100).startswith(b"HTTP/1.1 200 ")
            s.close()
        manager.wait_for("READY=1")
        assert f"STATUS=listening on http://127.0.0.1:{port}" in manager.heard[0][1]
        assert end(process) == 0
        # The socket is the manager's: it outlives the daemon, and serves the next one.
        s = socket.create_connection(("127.0.0.1", port), timeout=WAIT_SECONDS)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        process = activate(listener, tmp_path / "data", tmp_path / "log")
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        s.close()
        assert end(process) == 0
    finally:
        process.kill()
        process.wait()
        listener.close()


def test_no_request_is_lost_in_restarts(tmp_path):
    """Clients that ask all the time see every answer while the daemon is ended and started again."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port, stop, failed, answers = listener.getsockname()[1], threading.Event(), [], []

    def client():
        while not stop.is_set():
            try:
                answers.append(ask(port))
            except (OSError, http.client.HTTPException) as e:
                failed.append(repr(e))
            time.sleep(0.002)  # or the three of them take both cores

    process = activate(listener, tmp_path / "data", tmp_path / "log")
    threads = [threading.Thread(target=client) for _ in range(3)]
    try:
        for t in threads:
            t.start()
        for _ in range(5):
            since = len(answers)
            wait_until(lambda: len(answers) > since + 20, "answers")
            assert end(process) == 0
            process = activate(listener, tmp_path / "data", tmp_path / "log")
    finally:
        stop.set()
        for t in threads:
            t.join(WAIT_SECONDS)
        assert end(process) == 0
        listener.close()
    assert failed == [] and set(answers) == {200}


def test_a_passed_socket_is_checked(tmp_path):
    strangers = socket.create_server(("0.0.0.0", 0))
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for s, said in ((strangers, "the service manager's socket is not a loopback address"),
                    (datagrams, "the service manager passed no listening TCP socket")):
        log = tmp_path / "log"
        assert activate(s, tmp_path / "data", log).wait(WAIT_SECONDS) == 1
        assert said in log.read_text()
        log.unlink()
        s.close()


# --- what the manager is told ----------------------------------------------------------------


def test_ready_comes_when_the_port_answers_and_stopping_at_the_drain(tmp_path, manager):
    found = []
    log = tmp_path / "log"

    def at_ready(message):  # asked at the very moment of READY, before the message is handed on
        if message.startswith("READY=1"):
            found.append(ask(int(re.search(r"127\.0\.0\.1:(\d+)", message).group(1))))

    manager.on_message = at_ready
    d = Daemon(tmp_path / "data", log, env={"NOTIFY_SOCKET": manager.path}).start()
    manager.wait_for("READY=1")
    assert found == [200]
    assert manager.count("WATCHDOG=1") == 0  # nobody asked for it
    assert manager.count("STOPPING=1") == 0
    d.stop()
    manager.wait_for("STOPPING=1")
    assert "STATUS=draining for at most 20 s" in manager.heard[-1][1]


# --- the watchdog -------------------------------------------------------------------------------


@pytest.fixture
def watched(tmp_path, manager):
    """watched(*flags) → a daemon that is watched, beating."""
    started = []

    def start(*flags):
        d = Daemon(tmp_path / "data", tmp_path / "log", flags,
                   {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": str(WATCHDOG_USEC)})
        started.append(d)
        d.start()
        manager.wait_for("WATCHDOG=1", times=2)
        return d

    yield start
    for d in started:
        d.stop()


def longest_silence(manager, since, until):
    beats = [since] + [at for at, m in list(manager.heard) if m == "WATCHDOG=1" and since <= at <= until] + [until]
    return max(b - a for a, b in zip(beats, beats[1:]))


def test_an_idle_daemon_beats(watched, manager):
    watched()
    since = time.monotonic()
    time.sleep(4)
    assert longest_silence(manager, since, time.monotonic()) < WATCHDOG_USEC / 1e6


def test_no_beat_while_the_writer_waits(watched, manager):
    """Another process holds the database's write lock: the writer waits five seconds for it
    with each group, more than the manager does; the loop and HTTP go on meanwhile."""
    d = watched()
    other = sqlite3.connect(os.path.join(d.data, "prefd.db"), timeout=WAIT_SECONDS, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    since = time.monotonic()
    while time.monotonic() < since + 4.5:
        assert d.request("GET", "/healthz").status == 200
        time.sleep(0.1)
    assert longest_silence(manager, since, time.monotonic()) > WATCHDOG_USEC / 1e6
    assert "no beat writer=stuck http=answers" in d.log()
    other.execute("ROLLBACK")
    other.close()
    manager.wait_for("WATCHDOG=1", since=time.monotonic(), times=2)


def test_no_beat_while_http_is_silent(watched, manager):
    """The only HTTP thread is stuck in open(2): the snapshot's file is a pipe that nobody writes."""
    d = watched("--http-threads", "1")
    assert d.request("PUT", "/v1/datasets/s").status == 201
    assert d.post_rows("/v1/datasets/s/records", [{"prompt": "q", "responses": [
        {"text": str(v), "scores": [{"judge": "j", "value": v}]} for v in (1, 2)]}]).status == 200
    made = d.request("POST", "/v1/datasets/s/snapshots?wait=30", {"name": "one", "recipe": {}})
    assert made.status == 201, made
    file = os.path.join(d.data, "snapshots", made.json()["revision"] + ".snap")
    d.restart()  # it has the file open
    manager.wait_for("WATCHDOG=1", since=time.monotonic())
    os.rename(file, file + ".aside")
    os.mkfifo(file)
    stuck = threading.Thread(target=d.request, args=("GET", "/v1/snapshots/one/batch"), daemon=True)
    stuck.start()
    since = time.monotonic()
    time.sleep(4)
    assert longest_silence(manager, since, time.monotonic()) > WATCHDOG_USEC / 1e6
    assert "no beat writer=works http=silent" in d.log()
    os.rename(file + ".aside", file + ".back")
    with open(file, "wb"):  # lets the thread go; what it reads is damage, like any other
        stuck.join(WAIT_SECONDS)
    assert not stuck.is_alive()
    os.unlink(file + ".back")
    manager.wait_for("WATCHDOG=1", since=time.monotonic(), times=2)


def test_clients_that_take_all_connections_do_not_stop_the_beats(watched, manager):
    d = watched("--http-connections", "8", "--header-seconds", "600", "--idle-seconds", "600")
    held = []
    while True:  # until the library takes no more: then a connection is closed at once, or not answered
        s = socket.create_connection((d.host, d.port), timeout=1)
        held.append(s)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            if not s.recv(100):
                break
        except OSError:
            break
        assert len(held) < 50
    since = time.monotonic()
    time.sleep(5)
    assert longest_silence(manager, since, time.monotonic()) < WATCHDOG_USEC / 1e6
    for s in held:
        s.close()


def test_another_process_is_watched(tmp_path, manager):
    d = Daemon(tmp_path / "data", tmp_path / "log",
               env={"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "400000", "WATCHDOG_PID": "1"}).start()
    time.sleep(1)
    d.stop()
    assert manager.count("WATCHDOG=1") == 0


# --- the reload ------------------------------------------------------------------------------------


class Reloaded:
    """A daemon with a file of settings."""

    def __init__(self, tmp_path, manager, text):
        self.file, self.manager = tmp_path / "prefd.conf", manager
        self.file.write_text(text)
        self.daemon = Daemon(tmp_path / "data", tmp_path / "log", ["--config", str(self.file)],
                             {"NOTIFY_SOCKET": manager.path}).start()

    def reload(self, text):
        """Returns what the log said about it, once the manager has heard that it is over."""
        self.file.write_text(text)
        offset, since = len(self.daemon.log()), time.monotonic()
        self.daemon.process.send_signal(signal.SIGHUP)
        self.manager.wait_for("RELOADING=1", since)
        self.manager.wait_for("READY=1", since)
        assert self.manager.count("RELOADING=1", since) == 1
        return self.daemon.log()[offset:]

    def limits(self):
        return self.daemon.request("GET", "/v1/limits").json()


def test_a_reload_takes_over_what_can_change(tmp_path, manager):
    r = Reloaded(tmp_path, manager, "rows = 3\nengine_hosts = one.example\n")
    d = r.daemon
    engine = {"kind": "vllm", "url": "http://two.example:8000", "model": "m"}
    assert d.request("PUT", "/v1/datasets/s").status == 201
    four = [{"prompt": f"q{i}"} for i in range(4)]
    assert d.post_rows("/v1/datasets/s/records", four).status == 413
    assert d.request("PUT", "/v1/engines/e", engine).status == 422
    log = r.reload("rows = 4\nbatch_size = 5\nlog_level = debug\nengine_hosts = one.example two.example\n"
                   "http_threads = 3\nidle_seconds = 20\n")
    assert "level=info room=conf changed setting=rows taken=now" in log
    assert "changed setting=log_level taken=now" in log
    assert "level=warn room=conf changed setting=http_threads taken=at the next start" in log
    assert "level=warn room=conf changed setting=idle_seconds taken=at the next start" in log
    assert "listen" not in log and "batch_bytes" not in log  # nothing else changed
    limits = r.limits()
    assert limits["rows"] == 4 and limits["batch_size"] == 5 and limits["idle_seconds"] == 75
    assert d.post_rows("/v1/datasets/s/records", four).status == 200
    assert d.request("PUT", "/v1/engines/e", engine).status in (200, 201)
    assert "level=debug" in d.log()
    log = r.reload("rows = 4\n")
    assert r.limits()["batch_size"] == 4096
    assert d.request("PUT", "/v1/engines/f", engine).status == 422
    d.stop()


def test_a_broken_file_changes_nothing(tmp_path, manager):
    r = Reloaded(tmp_path, manager, "rows = 3\n")
    log = r.reload("rows = 4\nrowz = 5\n")
    assert f"level=error room=main not reloaded, the settings stay as they are: {r.file}:2: there is no setting 'rowz'" in log
    assert r.limits()["rows"] == 3
    r.file.unlink()
    since = time.monotonic()
    r.daemon.process.send_signal(signal.SIGHUP)
    manager.wait_for("READY=1", since)
    assert r.limits()["rows"] == 3
    assert "changed setting=rows taken=now" in r.reload("rows = 5\n")
    assert r.limits()["rows"] == 5
    r.daemon.stop()


def test_reloads_beside_requests(tmp_path, manager):
    """What the thread sanitizer looks at: settings are read while they change."""
    r = Reloaded(tmp_path, manager, "rows = 3\n")
    stop, failed = threading.Event(), []

    def requests():
        while not stop.is_set():
            if r.daemon.request("GET", "/v1/limits").json()["rows"] not in (3, 4):
                failed.append("rows")

    threads = [threading.Thread(target=requests) for _ in range(3)]
    for t in threads:
        t.start()
    for i in range(20):
        r.reload(f"rows = {3 + i % 2}\nengine_hosts = host{i}\n")
    stop.set()
    for t in threads:
        t.join(WAIT_SECONDS)
    assert not failed
    r.daemon.stop()


def test_a_check_names_the_place(tmp_path):
    file = tmp_path / "prefd.conf"

    def check(text, *flags, env=None):
        file.write_text(text)
        said = subprocess.run([BINARY, "serve", "--check", "--config", str(file), *flags], capture_output=True,
                              text=True, timeout=60, env=clean_environment(env), cwd=tmp_path)
        return said.returncode, said.stdout + said.stderr

    assert check("rows = 5\n") == (0, "the settings are good\n")
    assert check("# one\nrows = 0\n") == (
        2, f"prefd: {file}:2: rows is a whole number from 1 to 100000000, not '0'\n")
    assert check("", "--rows", "no")[0] == 2
    assert check("", env={"PREFD_ROWS": "no"})[1].startswith("prefd: PREFD_ROWS: ")
    assert check("listen = nowhere\n")[1] == "prefd: listen: nowhere is not ADDRESS:PORT\n"
    assert not (tmp_path / "prefd-data").exists()  # it only looked
