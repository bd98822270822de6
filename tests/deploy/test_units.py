"""The systemd units, and the file of settings that they name."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

from conftest import ROOT, call, daemon_kit, deploy, free_port, text_of

EXPOSURE = 20  # of 100, in tenths of what systemd-analyze prints: 1.1 is 11


def placed(folder):
    """The units with the binary under test in /usr/bin's place."""
    for name in ("prefd.service", "prefd.socket"):
        (folder / name).write_text(text_of(name).replace("/usr/bin/prefd", daemon_kit.BINARY))
    return [str(folder / name) for name in ("prefd.service", "prefd.socket")]


def test_systemd_understands_the_units(tmp_path):
    status, said = call("systemd-analyze", "verify", "--man=no", *placed(tmp_path))
    assert status == 0 and said == "", said
    broken = tmp_path / "broken.service"
    broken.write_text(text_of("prefd.service").replace("WatchdogSec=180", "WatchdogSec=often"))
    assert "often" in call("systemd-analyze", "verify", "--man=no", str(broken))[1]  # it does look


def test_little_is_exposed():
    def security(*units):
        return call("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", *units)

    status, said = security(deploy("prefd.service"))
    assert status == 0, said
    level = float(re.search(r"Overall exposure level for prefd.service: ([\d.]+)", said).group(1))
    assert level <= 1.2, said


def test_an_open_unit_would_be_noticed(tmp_path):
    unit = tmp_path / "prefd.service"
    unit.write_text("[Service]\nExecStart=/usr/bin/prefd serve\n")
    assert call("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", str(unit))[0] != 0


def test_stopping_has_the_time_that_the_drain_takes():
    drain = int(re.search(r"DRAIN_SECONDS = (\d+)", open(os.path.join(ROOT, "server", "main.c")).read()).group(1))
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", text_of("prefd.service"), re.MULTILINE).group(1)) >= 2 * drain


def allowed_calls():
    """What the unit's SystemCallFilter= leaves."""
    def group(name):
        status, said = call("systemd-analyze", "syscall-filter", name)
        assert status == 0, said
        found = set()
        for word in re.findall(r"^    ([@\w-]+)$", said, re.MULTILINE):
            found |= group(word) if word.startswith("@") else {word}
        return found

    allowed = set()
    for line in re.findall(r"^SystemCallFilter=(.*)$", text_of("prefd.service"), re.MULTILINE):
        for word in line.lstrip("~").split():
            allowed = allowed - group(word) if line.startswith("~") else allowed | group(word)
    return allowed


@pytest.mark.skipif("build-" in daemon_kit.BINARY, reason="a sanitizer's calls are not prefd's")
def test_the_system_calls_that_prefd_makes_are_allowed(tmp_path):
    """A life of the daemon under strace: writes, a snapshot, a batch, an export, a reload, a drain."""
    trace, log = tmp_path / "trace", tmp_path / "log"
    port = free_port()
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["strace", "-f", "-qq", "-o", str(trace), daemon_kit.BINARY, "serve", "--listen", f"127.0.0.1:{port}",
             "--data", str(tmp_path / "data")], stdout=out, stderr=out, env=daemon_kit.clean_environment())
    d = daemon_kit.Daemon(tmp_path / "data", log)
    d.host, d.port = "127.0.0.1", port
    deadline = time.monotonic() + 60
    while "listening on" not in d.log():
        assert process.poll() is None and time.monotonic() < deadline, d.log()
        time.sleep(0.05)
    daemon_pid = int(trace.read_text().split()[0])
    assert d.request("PUT", "/v1/datasets/s").status == 201
    assert d.post_rows("/v1/datasets/s/records", [{"prompt": f"q{i}", "responses": [
        {"text": "x" * 2000 + str(v), "scores": [{"judge": "j", "value": v}]} for v in (1, 2)]} for i in range(300)]).status == 200
    assert d.request("POST", "/v1/datasets/s/snapshots?wait=60", {"name": "one", "recipe": {}}).status == 201
    for path in ("/v1/snapshots/one/batch", "/v1/snapshots/one/export", "/readyz", "/metrics", "/v1/datasets/s/stats"):
        assert d.request("GET", path, headers={"Accept-Encoding": "zstd"}).status == 200
    os.kill(daemon_pid, signal.SIGHUP)
    time.sleep(0.5)
    os.kill(daemon_pid, signal.SIGTERM)
    assert process.wait(60) == 0
    made = set(re.findall(r"^\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed)", trace.read_text(), re.MULTILINE))
    # Refused with EPERM by design: the limit of open files is the unit's to set,
    # and prefd goes on with what it has.
    spare = {"prlimit64"}
    if os.geteuid() == 0:
        spare.add("fchown")  # SQLite gives its files to the database's owner, as root only
    assert {"fdatasync", "epoll_wait", "accept4"} <= made
    allowed = allowed_calls()
    assert made - allowed - spare == set()
    assert "mount" not in allowed and "setuid" not in allowed


def test_systemds_own_tool_activates_it(tmp_path):
    """systemd-socket-activate holds the socket and starts prefd at the first connection."""
    if shutil.which("systemd-socket-activate") is None:
        pytest.fail("systemd-socket-activate is not there")
    port = free_port()
    log = tmp_path / "log"
    with open(log, "wb") as out:
        process = subprocess.Popen(
            ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", daemon_kit.BINARY, "serve", "--data",
             str(tmp_path / "data")], stdout=out, stderr=out, env=daemon_kit.clean_environment())
    try:
        deadline = time.monotonic() + 30
        while True:
            try:
                s = socket.create_connection(("127.0.0.1", port), timeout=30)
                break
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.05)
        s.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert s.recv(100).startswith(b"HTTP/1.1 200 ")
        s.close()
    finally:
        process.terminate()  # it has become prefd
        assert process.wait(60) == 0, log.read_text()
    assert f"listening on http://127.0.0.1:{port}" in log.read_text()


# --- prefd.conf ---------------------------------------------------------------------------


def table():
    header = open(os.path.join(ROOT, "include", "base", "conf.h"), encoding="utf-8").read()
    rows = re.findall(r'X\((\w+), (\w+), "([^"]*)", (\d+), (\d+), (restart|reload), "([^"]*)"\)', header)
    assert len(rows) > 10
    return rows


def test_the_file_of_settings_is_good_and_whole(tmp_path):
    status, said = call(daemon_kit.BINARY, "serve", "--check", "--config", deploy("prefd.conf"),
                        env=daemon_kit.clean_environment())
    assert status == 0, said
    shown = re.findall(r"^# (.*)\n(#?)(\w+) = (.*)$", text_of("prefd.conf"), re.MULTILINE)
    wanted = {}
    for name, kind, default, low, high, when, text in table():
        span = f"; {low} to {high}" if kind == "whole" else ""
        wanted[name] = (text[0].upper() + text[1:] + span + (" (reload)" if when == "reload" else ""), default)
    assert {name: (comment, value) for comment, off, name, value in shown if off} == {
        name: w for name, w in wanted.items() if name != "data"}
    assert [(name, value) for _, off, name, value in shown if not off] == [("data", "/var/lib/prefd")]
    # Each line that is commented out is one that prefd takes.
    opened = tmp_path / "prefd.conf"
    opened.write_text(re.sub(r"^#(\w+ = )", r"\1", text_of("prefd.conf"), flags=re.MULTILINE))
    status, said = call(daemon_kit.BINARY, "serve", "--check", "--config", str(opened), env=daemon_kit.clean_environment())
    assert status == 0, said
