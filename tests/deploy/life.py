"""The package's life in a Debian 12 of its own, made by debootstrap: installed,
used, upgraded, removed, installed again, purged, with the daemon started by hand.
Then the same Debian is booted, in namespaces, and its systemd runs the unit. As
root. MIRROR takes another mirror than debootstrap's own.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import HERE, call, daemon_kit, deb_of

# What the package depends on, and what a boot needs; a base system has the rest.
LIBRARIES = "libcjson1,libcurl4,libgnutls30,libmicrohttpd12,libnettle8,libsqlite3-0,libuv1,libzstd1,zlib1g,systemd,systemd-sysv,dbus"
UNWANTED = ("systemd-udevd.service", "systemd-udev-trigger.service", "getty.target", "console-getty.service",
            "systemd-logind.service")


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    if os.geteuid() != 0:
        pytest.fail("debootstrap and chroot need root")
    return pathlib.Path(deb_of(tmp_path_factory.mktemp("deb")))


@pytest.fixture(scope="module")
def root(tmp_path_factory, deb):
    where = tmp_path_factory.mktemp("root") / "debian"
    mirror = [os.environ["MIRROR"]] if "MIRROR" in os.environ else []
    status, said = call("debootstrap", "--variant=minbase", f"--include={LIBRARIES}", "bookworm", str(where), *mirror, seconds=900)
    assert status == 0, said[-3000:]
    os.chmod(where.parent.parent, 0o755)  # the package's user comes through these
    os.chmod(where.parent, 0o755)
    yield where
    shutil.rmtree(where)


def inside(root, *command):
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    return call("chroot", str(root), *command, env=environment)


def good(root, *command):
    status, said = inside(root, *command)
    assert status == 0, said
    return said


def install(root, deb):
    shutil.copy(deb, root / "tmp" / "prefd.deb")
    return good(root, "dpkg", "-i", "/tmp/prefd.deb")


class Inside(daemon_kit.Daemon):
    """The installed daemon, as its own user, with its installed settings."""

    def __init__(self, root, log):
        super().__init__(root / "var/lib/prefd", log)
        self.root = root

    def start(self):
        offset = os.path.getsize(self.log_path) if os.path.exists(self.log_path) else 0
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                ["chroot", "--userspec=prefd:prefd", str(self.root), "/usr/bin/prefd", "serve", "--config",
                 "/etc/prefd/prefd.conf", "--listen", "127.0.0.1:0"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"})
        found = None
        while not found:
            assert self.process.poll() is None, self.log()
            found = re.search(r"listening on http://([0-9.]+):(\d+)", self.log()[offset:])
        self.host, self.port = found.group(1), int(found.group(2))
        return self


def newer(deb, folder):
    """The same package with the next number."""
    tree = folder / "newer"
    assert call("dpkg-deb", "-R", str(deb), str(tree))[0] == 0
    control = tree / "DEBIAN" / "control"
    control.write_text(control.read_text().replace("Version: 1.0.0-1", "Version: 1.0.0-2"))
    to = folder / "newer.deb"
    assert call("dpkg-deb", "--root-owner-group", "-b", str(tree), str(to))[0] == 0
    return to


def test_a_life(root, deb, tmp_path):
    data, conf = root / "var/lib/prefd", root / "etc/prefd/prefd.conf"
    install(root, deb)
    # Installed: a user without a shell, a folder of its own, units, man page, settings that are good.
    user = good(root, "getent", "passwd", "prefd").strip().split(":")
    assert user[5] == "/var/lib/prefd" and user[6] == "/usr/sbin/nologin"
    assert (data.stat().st_uid, data.stat().st_mode & 0o777) == (int(user[2]), 0o700)
    assert (root / "lib/systemd/system/prefd.service").exists() and (root / "lib/systemd/system/prefd.socket").exists()
    assert "the settings are good" in good(root, "/usr/bin/prefd", "serve", "--check", "--config", "/etc/prefd/prefd.conf")
    # The service is enabled, the socket is the administrator's choice.
    assert (root / "etc/systemd/system/multi-user.target.wants/prefd.service").is_symlink()
    assert not (root / "etc/systemd/system/sockets.target.wants/prefd.socket").is_symlink()

    d = Inside(root, tmp_path / "log").start()
    assert d.request("PUT", "/v1/datasets/kept").status == 201
    assert d.post_rows("/v1/datasets/kept/records", [{"id": "p", "prompt": "q", "responses": [
        {"text": str(v), "scores": [{"judge": "j", "value": v}]} for v in (1, 2)]}]).status == 200
    made = d.request("POST", "/v1/datasets/kept/snapshots?wait=30", {"name": "one", "recipe": {"split": "*"}})
    assert made.status == 201
    batch = d.request("GET", "/v1/snapshots/one/batch").body
    d.stop()

    # Upgraded: data, and settings that somebody edited, stay.
    conf.write_text(conf.read_text().replace("#rows = 1000000", "rows = 77"))
    install(root, newer(deb, tmp_path))
    assert "1.0.0-2" in good(root, "dpkg-query", "-W", "prefd")
    assert "rows = 77" in conf.read_text()
    d.start()
    assert d.request("GET", "/v1/snapshots/one/batch").body == batch
    assert d.request("GET", "/v1/limits").json()["rows"] == 77
    d.stop()
    assert good(root, "/usr/bin/prefd", "check", "--data", "/var/lib/prefd").endswith("ok\n")

    # Removed: the program is gone, what it kept is not.
    good(root, "dpkg", "-r", "prefd")
    assert not (root / "usr/bin/prefd").exists() and not (root / "lib/systemd/system/prefd.service").exists()
    assert (data / "prefd.db").exists() and "rows = 77" in conf.read_text()

    # Installed again: it goes on where it was.
    install(root, deb)
    d.start()
    assert json.loads(d.request("GET", "/v1/datasets/kept/stats").body)["responses"] == 2
    assert d.request("GET", "/v1/snapshots/one/batch").body == batch
    d.stop()

    # Purged: nothing is left but the user's number.
    good(root, "dpkg", "-P", "prefd")
    assert not data.exists() and not conf.parent.exists()
    assert good(root, "getent", "passwd", "prefd").startswith("prefd:")
    assert inside(root, "dpkg-query", "-W", "prefd")[0] != 0 or "prefd\t" not in inside(root, "dpkg-query", "-W", "prefd")[1]


# --- under systemd ---------------------------------------------------------------------------


class Booted:
    """The Debian, running: commands in it, requests to its prefd."""

    def __init__(self, root, log):
        with open(log, "wb") as out:
            self.process = subprocess.Popen([f"{HERE}/boot.sh", str(root)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        self.pid = None
        wait_until(lambda: self.first_process(log), "systemd")
        wait_until(lambda: self.tell("systemctl", "is-system-running")[1].strip() in ("running", "degraded"), "the boot")

    def first_process(self, log):
        assert self.process.poll() is None, open(log).read()
        children = open(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read().split()
        if children and open(f"/proc/{children[0]}/comm").read().strip() == "systemd":
            self.pid = children[0]
        return self.pid

    def tell(self, *command):
        return call("nsenter", "-t", self.pid, "-m", "-p", "-i", "-u", "-C", "-n", "-r", *command)

    def good(self, *command):
        status, said = self.tell(*command)
        assert status == 0, (command, said, self.tell("journalctl", "--no-pager", "-n", "30")[1])
        return said.strip()

    def ask(self, path, *more):
        """(status or 0, body)"""
        _, said = call("nsenter", "-t", self.pid, "-n", "curl", "-s", "-m", "30", "-w", "\n%{http_code}",
                       f"http://127.0.0.1:8420{path}", *more)
        body, _, status = said.rpartition("\n")
        return int(status), body

    def post(self, path, document):
        return self.ask(path, "-H", "Content-Type: application/json", "-d", json.dumps(document))

    def show(self, name):
        return self.good("systemctl", "show", "-p", name, "--value", "prefd")

    def stop(self):
        # The first process takes the others with it.
        os.kill(int(self.pid), signal.SIGKILL)
        self.process.wait(60)
        remove_cgroup(f"prefd-boot-{self.process.pid}")


def remove_cgroup(name):
    """What boot.sh made; empty once its processes are gone."""
    with open("/proc/mounts", encoding="utf-8") as f:
        where = next(line.split()[1] for line in f if line.split()[2] == "cgroup2")
    for folder, _, _ in os.walk(os.path.join(where, name), topdown=False):
        os.rmdir(folder)


def wait_until(true, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


@pytest.fixture
def booted(root, deb, tmp_path):
    for unit in UNWANTED:
        good(root, "systemctl", "mask", unit)
    install(root, deb)
    b = Booted(root, tmp_path / "log")
    yield b
    b.stop()


def look_at_its_confinement(b):
    status = b.good("cat", f"/proc/{b.show('MainPID')}/status")
    assert re.search(r"^Uid:\t[1-9]", status, re.MULTILINE) and re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
    assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status


def use_it(b):
    assert b.ask("/v1/datasets/s", "-X", "PUT")[0] == 201
    assert b.post("/v1/datasets/s/records", {"prompt": "q", "responses": [
        {"text": str(v), "scores": [{"judge": "j", "value": v}]} for v in (1, 2)]})[0] == 200
    assert b.post("/v1/datasets/s/snapshots?wait=30", {"name": "one", "recipe": {"split": "*"}})[0] == 201
    for path in ("/v1/snapshots/one/batch", "/v1/snapshots/one/export", "/metrics", "/readyz"):
        assert b.ask(path)[0] == 200


def reload_it(b, root):
    conf = root / "etc/prefd/prefd.conf"
    text = conf.read_text()
    conf.write_text(text.replace("#rows = 1000000", "rows = 77"))
    b.good("systemctl", "reload", "prefd")
    wait_until(lambda: '"rows":77,' in b.ask("/v1/limits")[1], "the reload")
    conf.write_text(text.replace("#rows = 1000000", "rows = 5k"))
    assert b.tell("systemctl", "reload", "prefd")[0] != 0
    assert "prefd.conf:" in b.good("journalctl", "-u", "prefd", "--no-pager", "-n", "5")
    assert b.show("ActiveState") == "active" and '"rows":77,' in b.ask("/v1/limits")[1]
    conf.write_text(text)


def hold_its_socket(b):
    b.good("systemctl", "stop", "prefd")
    assert b.show("Result") == "success" and b.ask("/healthz")[0] == 0
    b.good("systemctl", "enable", "--now", "prefd.socket")
    assert b.show("ActiveState") == "inactive"
    assert b.ask("/healthz")[0] == 200  # started by this request
    # Restarted while somebody asks all the time: each gets an answer.
    asking = subprocess.Popen(
        ["nsenter", "-t", b.pid, "-n", "bash", "-c",
         "for i in {1..300}; do curl -s -o /dev/null -m 30 -w '%{http_code}\\n' http://127.0.0.1:8420/healthz; done"],
        stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        b.good("systemctl", "restart", "prefd")
    said, _ = asking.communicate(timeout=120)
    assert said.split() == ["200"] * 300


def wait_for_the_watchdog(b, root):
    """The writer waits for a lock longer than the watchdog does."""
    drop = root / "etc/systemd/system/prefd.service.d"
    drop.mkdir()
    (drop / "soon.conf").write_text("[Service]\nWatchdogSec=3\n")
    b.good("systemctl", "daemon-reload")
    b.good("systemctl", "restart", "prefd")
    time.sleep(8)  # idle, and watched: it stays
    assert b.show("NRestarts") == "0" and b.show("ActiveState") == "active"
    before = b.show("MainPID")
    other = sqlite3.connect(root / "var/lib/prefd/prefd.db", timeout=30, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    wait_until(lambda: int(b.show("NRestarts")) >= 1, "the watchdog")
    other.execute("ROLLBACK")
    other.close()
    wait_until(lambda: b.ask("/readyz")[0] == 200, "the new start")
    assert b.show("MainPID") != before and int(b.show("NRestarts")) >= 1
    said = b.good("journalctl", "-u", "prefd", "--no-pager", "-n", "500")
    assert "no beat writer=stuck http=answers" in said and "Watchdog timeout" in said, said
    assert b.ask("/v1/snapshots/one/batch")[0] == 200


def test_under_systemd(booted, root):
    wait_until(lambda: booted.ask("/readyz")[0] == 200, "prefd")
    assert booted.show("StatusText") == "listening on http://127.0.0.1:8420"
    look_at_its_confinement(booted)
    use_it(booted)
    reload_it(booted, root)
    hold_its_socket(booted)
    wait_for_the_watchdog(booted, root)
    booted.good("systemctl", "stop", "prefd.socket", "prefd")
    assert booted.show("Result") == "success"
