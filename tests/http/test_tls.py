"""https: the handshake, whom a client trusts, a certificate renewed under a running daemon.

Certificates are made by openssl, clients are Python's own ssl."""

import http.client
import os
import socket
import ssl
import subprocess
import threading
import time

import pytest

from conftest import BINARY, Daemon, clean_environment
from test_service_manager import Manager
from test_tokens import As, create, prefd, row

SECONDS = 30


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=SECONDS)


class Authority:
    """A CA of the test's own, and what it signs for 127.0.0.1."""

    def __init__(self, folder, name):
        self.folder, self.name, self.n = folder, name, 0
        self.cert, self.key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                "-subj", f"/CN={name}", "-keyout", self.key, "-out", self.cert)

    def sign(self, days=1):
        """Paths of a certificate and its key."""
        self.n += 1
        stem = self.folder / f"{self.name}-{self.n}"
        key, request, cert, extra = (stem.with_suffix(s) for s in (".key", ".csr", ".crt", ".ext"))
        extra.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN=prefd-{self.n}",
                "-keyout", key, "-out", request)
        openssl("x509", "-req", "-in", request, "-CA", self.cert, "-CAkey", self.key, "-CAcreateserial", "-days", days,
                "-extfile", extra, "-out", cert)
        return cert, key


class TlsDaemon(Daemon):
    """A daemon with a certificate that can be replaced."""

    def __init__(self, folder, authority, *flags):
        self.authority = authority
        self.cert, self.key = folder / "live.crt", folder / "live.key"
        self.install()
        super().__init__(folder / "data", folder / "log", ["--tls-cert", str(self.cert), "--tls-key", str(self.key), *flags])
        self.context = ssl.create_default_context(cafile=str(authority.cert))

    def install(self, cert=None, key=None):
        """By rename, as certbot and the others do."""
        if cert is None:
            cert, key = self.authority.sign()
        for new, live in ((cert, self.cert), (key, self.key)):
            part = live.with_suffix(".part")
            part.write_bytes(new.read_bytes() if hasattr(new, "read_bytes") else new)
            os.replace(part, live)
        return cert

    def connect(self, timeout=SECONDS):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.context)

    def shown(self, context=None):
        """The certificate that a new handshake shows, in PEM."""
        with socket.create_connection((self.host, self.port), timeout=SECONDS) as s:
            with (context or self.context).wrap_socket(s, server_hostname="127.0.0.1") as t:
                return ssl.DER_cert_to_PEM_cert(t.getpeercert(True))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture
def served(tmp_path, authority):
    d = TlsDaemon(tmp_path, authority).start()
    yield d
    d.stop()


def wait_for(true, what):
    until = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < until, what
        time.sleep(0.05)


def test_the_handshake_and_what_goes_over_it(served):
    assert served.base.startswith("https://127.0.0.1:")
    root = As(served, create(served.data, "root", "admin"))
    assert root.request("PUT", "/v1/datasets/d", {}).status == 201
    big = [row(i, 40) for i in range(400)]
    assert root.post_rows("/v1/datasets/d/records", big).json()["prompts"]["created"] == 400
    made = root.request("POST", "/v1/datasets/d/snapshots?wait=30", {"name": "s", "recipe": {"pairing": {"strategy": "all"}}})
    assert made.status == 201, made  # suspended and resumed
    first = root.request("GET", "/v1/snapshots/s/batch?batch_size=512")
    assert first.status == 200 and len(first.json()["examples"]) == 512
    exported = root.request("GET", "/v1/snapshots/s/export")  # streamed
    assert len(exported.rows()) == made.json()["examples"] > 1000
    assert served.request("GET", "/v1/datasets").status == 401
    with open(served.cert, encoding="ascii") as f:
        assert served.shown() in f.read()


def test_whom_a_client_trusts(served, tmp_path):
    other = ssl.create_default_context(cafile=str(Authority(tmp_path, "other").cert))
    with pytest.raises(ssl.SSLCertVerificationError):
        served.shown(other)
    with pytest.raises(ssl.SSLCertVerificationError):
        served.shown(ssl.create_default_context())  # the system's authorities
    assert served.request("GET", "/healthz").status == 200


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_old_versions_are_refused(served):
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context = ssl.create_default_context(cafile=str(served.authority.cert))
        context.minimum_version = context.maximum_version = version
        with socket.create_connection((served.host, served.port), timeout=SECONDS) as s:
            with context.wrap_socket(s, server_hostname="127.0.0.1") as t:
                assert t.version() == version.name.replace("_", ".")
    for version in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")  # the client would
        context.minimum_version = context.maximum_version = version
        with pytest.raises((ssl.SSLError, ConnectionError)):
            served.shown(context)


def test_plain_http_and_noise_on_the_port_do_no_harm(served):
    for noise in (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\0" * 5000, b"\x16\x03\x01", os.urandom(3000), b""):
        with socket.create_connection((served.host, served.port), timeout=SECONDS) as s:
            answer = b""
            try:
                s.sendall(noise)
                s.shutdown(socket.SHUT_WR)
                while piece := s.recv(4096):
                    answer += piece
            except OSError:  # the daemon closed first
                pass
            assert b"200" not in answer and b"ok" not in answer
    assert served.request("GET", "/healthz").status == 200
    wait_for(lambda: b"prefd_http_connections 1\n" in served.request("GET", "/metrics").body, "connections stay")


def test_a_renewed_certificate_without_dropping_anybody(served):
    """The files change; who is connected stays, whoever comes gets the new one."""
    connection = served.connect()
    connection.request("GET", "/healthz")
    assert connection.getresponse().read()
    sock, before = connection.sock, served.shown()
    errors, done, n = [], threading.Event(), [0]

    def stay():
        while not done.is_set():
            try:
                assert served.request("GET", "/healthz").status == 200
                n[0] += 1
            except Exception as e:  # pylint: disable=broad-except
                errors.append(repr(e))

    threads = [threading.Thread(target=stay) for _ in range(3)]
    for t in threads:
        t.start()
    for _ in range(3):
        new = served.install().read_text()
        wait_for(lambda: served.shown() in new, "the new certificate")
    done.set()
    for t in threads:
        t.join(SECONDS)
    assert errors == [] and n[0] > 20 and served.shown() != before
    connection.request("GET", "/healthz")
    assert connection.getresponse().status == 200 and connection.sock is sock
    connection.close()


def test_a_broken_new_certificate_keeps_the_old(served):
    before = served.shown()
    good_cert, good_key = served.authority.sign()
    _, other_key = served.authority.sign()
    broken = [(b"", b""), (good_cert.read_bytes()[:200], good_key.read_bytes()),
              (good_cert.read_bytes(), b"-----BEGIN PRIVATE KEY-----\n"), (good_cert.read_bytes(), other_key.read_bytes())]
    for cert, key in broken:
        told = served.log().count("the certificate in use stays")
        served.install(cert, key)
        wait_for(lambda: served.log().count("the certificate in use stays") > told, "a line about it")
        assert served.shown() == before and served.request("GET", "/healthz").status == 200
    told = served.log().count("the certificate in use stays")
    os.unlink(served.key)
    wait_for(lambda: served.log().count("the certificate in use stays") > told, "a line about it")
    told = served.log().count("the certificate in use stays")
    time.sleep(1.2)  # ticks
    assert served.log().count("the certificate in use stays") == told  # once, not for ever
    os.kill(served.pid, 1)  # SIGHUP tries again and says so again
    wait_for(lambda: served.log().count("the certificate in use stays") > told, "a line about it")
    served.install(good_cert, good_key)
    wait_for(lambda: served.shown() in good_cert.read_text(), "the good one")
    assert "PRIVATE" not in served.log()


def test_settings_that_cannot_be(tmp_path, authority):
    cert, key = authority.sign()
    _, other = authority.sign()
    for flags, word in ((["--tls-cert", cert], "both"), (["--tls-key", key], "both"), (["--tls-cert", cert, "--tls-key", other], "key"),
                        (["--tls-cert", tmp_path / "none", "--tls-key", key], "no such file"), (["--tls-cert", key, "--tls-key", cert], "TLS")):
        done = subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", "--data", str(tmp_path / "d"), *map(str, flags)],
                              capture_output=True, text=True, timeout=SECONDS, env=clean_environment())
        assert done.returncode == 1 and word in done.stderr, done


def test_the_command_line_over_https(served, tmp_path):
    text = create(served.data, "root", "admin")
    assert As(served, text).request("PUT", "/v1/datasets/d", {}).status == 201
    env = {"PREFD_TOKEN": text, "PREFD_CA_FILE": str(served.authority.cert), "PREFD_SERVER": served.base}
    assert "r: created" in prefd("round", "create", "d", "--name", "r", "--policy", "m", "--reference", "s", env=env).stdout
    prefd("round", "list", env=env)
    del env["PREFD_CA_FILE"]
    refused = prefd("export", "none", "-o", tmp_path / "out", env=env, status=1)
    assert "certificate" in refused.stderr.lower(), refused.stderr


def test_beyond_loopback_without_tls_says_so(tmp_path, authority):
    data = tmp_path / "data"
    create(data, "root", "admin")
    d = Daemon(data, tmp_path / "log", ["--listen", "0.0.0.0:0"]).start()
    d.stop()
    assert "no tls_cert" in d.log()
    secure = TlsDaemon(tmp_path, authority, "--listen", "0.0.0.0:0").start()
    secure.stop()
    assert "no tls_cert" not in secure.log()[len(d.log()):]


def test_the_watchdog_asks_over_https(tmp_path, authority):
    """An idle daemon asks itself, whatever name its certificate is for."""
    manager = Manager(tmp_path)
    d = TlsDaemon(tmp_path, authority)
    d.env = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": "2000000"}
    d.start()
    try:
        manager.wait_for("WATCHDOG=1", times=5)
        assert "http=silent" not in d.log()
        assert any(f"STATUS=listening on {d.base}" in message for _, message in manager.heard)
    finally:
        d.stop()
        manager.close()
