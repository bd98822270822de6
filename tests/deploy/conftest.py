"""For the checks of deploy/: the HTTP tests' daemon, certificates, running programs."""

import importlib.util
import os
import socket
import subprocess
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))

# The HTTP tests' conftest under a name of its own: there can be one `conftest`.
_spec = importlib.util.spec_from_file_location("daemon_kit", os.path.join(ROOT, "tests", "http", "conftest.py"))
daemon_kit = importlib.util.module_from_spec(_spec)
sys.modules["daemon_kit"] = daemon_kit
_spec.loader.exec_module(daemon_kit)

daemon = daemon_kit.daemon
fresh_daemon = daemon_kit.fresh_daemon


def deploy(*path):
    return os.path.join(ROOT, "deploy", *path)


def text_of(*path):
    with open(deploy(*path), encoding="utf-8") as f:
        return f.read()


def call(*command, seconds=120, **options):
    """(exit status, everything it said)."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=seconds, **options)
    return done.returncode, done.stdout


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as s:
        return s.getsockname()[1]


def wait_for_port(port, process):
    deadline = time.monotonic() + 20
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except OSError:
            assert process.poll() is None, process.args
            assert time.monotonic() < deadline, process.args
            time.sleep(0.05)


def sign(folder, name, subject, extra=()):
    """A key and a certificate from the folder's authority."""
    for command in (
            ["openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", subject,
             "-keyout", f"{name}.key", "-out", f"{name}.csr", *extra],
            ["openssl", "x509", "-req", "-in", f"{name}.csr", "-CA", "clients.pem", "-CAkey", "ca.key", "-CAcreateserial",
             "-days", "2", "-copy_extensions", "copy", "-out", f"{name}.pem"]):
        status, said = call(*command, cwd=folder)
        assert status == 0, said


@pytest.fixture(scope="session")
def tls(tmp_path_factory):
    """A folder as /etc/prefd/tls: server.pem, server.key, server.both.pem, clients.pem; and client.pem, client.key."""
    folder = tmp_path_factory.mktemp("tls")
    status, said = call("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-subj", "/CN=tests", "-days", "2", "-keyout", "ca.key", "-out", "clients.pem", cwd=folder)
    assert status == 0, said
    sign(folder, "server", "/CN=localhost", ("-addext", "subjectAltName=DNS:localhost"))
    sign(folder, "client", "/CN=trainer")
    (folder / "server.both.pem").write_text((folder / "server.pem").read_text() + (folder / "server.key").read_text())
    return folder


def deb_of(folder):
    """The package of this tree, built there."""
    status, said = call("bash", deploy("deb.sh"), env={**os.environ, "BUILD": str(folder)}, seconds=400)
    assert status == 0, said
    return said.strip().splitlines()[-1]
