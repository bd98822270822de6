"""The package's life in a Debian 12 of its own, made by debootstrap: installed,
used, upgraded, removed, installed again, purged. As root; there is no systemd in
it, so the daemon is started by hand, as the unit would, and what the unit adds
(its confinement, the watchdog) is not tried here.

MIRROR takes another mirror than debootstrap's own.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from conftest import call, daemon_kit, deb_of

# What the package depends on; a base system has the rest.
LIBRARIES = "libcjson1,libcurl4,libmicrohttpd12,libnettle8,libsqlite3-0,libuv1,libzstd1,zlib1g,systemd-standalone-sysusers"


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
