"""The examples for nginx and HAProxy, checked by these programs and then run in
front of prefd, with certificates made here."""

import getpass
import http.client
import json
import re
import socket
import ssl
import subprocess
import time
import zlib

import pytest
import zstandard

from conftest import call, daemon_kit, free_port, text_of, wait_for_port


class Front:
    """A proxy that runs; `request` goes through it with the client's certificate."""

    def __init__(self, name, daemon, tls, folder):
        self.name, self.daemon, self.tls, self.folder = name, daemon, tls, folder
        self.port, self.probes, self.process = free_port(), free_port(), None
        self.context = ssl.create_default_context(cafile=str(tls / "clients.pem"))
        self.context.load_cert_chain(str(tls / "client.pem"), str(tls / "client.key"))
        getattr(self, name)()

    def replace(self, text, *pairs):
        """Each of these stands in the example, and is another here."""
        for old, new in (("/etc/prefd/tls", str(self.tls)), ("127.0.0.1:8420", f"127.0.0.1:{self.daemon.port}"), *pairs):
            assert old in text, old
            text = text.replace(old, new)
        return text

    def nginx(self):
        inner = self.replace(text_of("nginx.conf"), ("listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"),
                             ("/var/cache/nginx/prefd", str(self.folder / "cache")))
        (self.folder / "prefd.conf").write_text(inner)
        user = f"user {getpass.getuser()};\n" if getpass.getuser() == "root" else ""
        temporary = "".join(f"{kind}_temp_path {self.folder / kind};\n"
                            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        self.file = self.folder / "nginx.conf"
        self.file.write_text(f"{user}daemon off; worker_processes 2; pid {self.folder / 'pid'}; error_log stderr;\n"
                             f"events {{}}\nhttp {{ {temporary} access_log off; include {self.folder / 'prefd.conf'}; }}\n")
        self.check = ["nginx", "-t", "-e", "stderr", "-c", str(self.file)]
        self.command = ["nginx", "-e", "stderr", "-c", str(self.file)]

    def haproxy(self):
        self.file = self.folder / "haproxy.cfg"
        self.file.write_text(self.replace(
            text_of("haproxy.cfg"), ("bind :8443", f"bind 127.0.0.1:{self.port}"),
            ("bind :8421", f"bind 127.0.0.1:{self.probes}"), ("inter 5s", "inter 200ms")))
        self.check = ["haproxy", "-c", "-f", str(self.file)]
        self.command = ["haproxy", "-db", "-f", str(self.file)]

    def start(self):
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for_port(self.port, self.process)

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)

    def connect(self, port=None):
        if port:
            return http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection = http.client.HTTPSConnection("localhost", self.port, timeout=60, context=self.context)
        connection._create_connection = lambda address, *rest: socket.create_connection(("127.0.0.1", address[1]), *rest)
        return connection

    def request(self, method, path, body=None, headers=None, port=None):
        connection = self.connect(port)
        try:
            connection.request(method, path, body, headers or {}, encode_chunked=body is not None and not isinstance(body, (bytes, str)))
            answer = connection.getresponse()
            content = answer.read()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, content
        finally:
            connection.close()

    def raw(self, request):
        """These bytes, and everything that came back within a second."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            with self.context.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(request)
                s.settimeout(1)
                said = b""
                try:
                    while piece := s.recv(65536):
                        said += piece
                except OSError:
                    pass
                return said


@pytest.fixture(scope="module", params=["nginx", "haproxy"])
def front(request, daemon, tls, tmp_path_factory):
    f = Front(request.param, daemon, tls, tmp_path_factory.mktemp(request.param))
    f.start()
    yield f
    f.stop()


@pytest.fixture(scope="module")
def snapshot(daemon, front):
    """The name of a snapshot with 40 examples, posted through the proxy."""
    name = front.name
    assert front.request("PUT", f"/v1/datasets/{name}")[0] == 201
    rows = [{"prompt": f"q{i}", "responses": [{"text": f"{name} {i} {v}", "scores": [{"judge": "j", "value": v}]}
                                              for v in (1, 2)]} for i in range(20)]
    status, _, said = front.request("POST", f"/v1/datasets/{name}/records", json.dumps(rows).encode(),
                                    {"Content-Type": "application/json"})
    assert status == 200, said
    status, _, said = front.request("POST", f"/v1/datasets/{name}/snapshots?wait=30",
                                    json.dumps({"name": name, "recipe": {"split": "*"}}).encode(),
                                    {"Content-Type": "application/json"})
    assert status == 201, said
    return name


def test_the_program_takes_the_example(front):
    status, said = call(*front.check)
    assert status == 0, said
    front.file.write_text(front.file.read_text() + "\nno such thing;\n")
    assert call(*front.check)[0] != 0  # it does look


def test_without_a_certificate_nobody_comes_in(front):
    stranger = ssl.create_default_context(cafile=str(front.tls / "clients.pem"))
    before = front.daemon.request("GET", "/metrics").body
    with socket.create_connection(("127.0.0.1", front.port), timeout=10) as plain:
        try:
            with stranger.wrap_socket(plain, server_hostname="localhost") as s:
                s.sendall(b"GET /v1/datasets HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                said = s.recv(4096)
        except OSError:
            said = b""
    assert said == b"" or said.startswith(b"HTTP/1.1 400 "), said
    assert b"datasets" not in said and before


def test_bodies_go_through_packed_and_in_pieces(front, snapshot):
    line = (json.dumps({"prompt": "packed", "responses": [{"text": "x"}]}) + "\n").encode()
    path = f"/v1/datasets/{snapshot}/records"
    for n, (coding, body) in enumerate((("zstd", zstandard.ZstdCompressor().compress(line)),
                                        ("gzip", zlib.compress(line, wbits=31)))):
        status, _, said = front.request("POST", path, iter([body[:10], body[10:]]),
                                        {"Content-Type": "application/x-ndjson", "Content-Encoding": coding,
                                         "Transfer-Encoding": "chunked"})
        assert status == 200 and json.loads(said)["prompts"]["created" if n == 0 else "unchanged"] == 1


def test_a_body_up_to_prefds_limit_and_none_above(front, snapshot):
    """body_bytes is the same number in both: a long upload passes, one byte more than the limit does not."""
    limit = json.loads(front.request("GET", "/v1/limits")[2])["body_bytes"]
    assert str(limit) in text_of("nginx.conf" if front.name == "nginx" else "haproxy.cfg")
    path, kind = f"/v1/datasets/{snapshot}/records", {"Content-Type": "application/x-ndjson"}
    row = json.dumps({"prompt": "long", "metadata": {"x": "y" * 1000}}).encode() + b"\n"
    status, _, said = front.request("POST", path, (row * (limit // len(row)))[:limit], kind)
    assert status == 200, said
    connection = front.connect()
    connection.putrequest("POST", path)
    connection.putheader("Content-Type", kind["Content-Type"])
    connection.putheader("Content-Length", str(limit + 1))
    connection.endheaders()
    assert connection.getresponse().status == 413  # before a byte of it was sent
    connection.close()


def test_answers_stay_packed_and_have_their_headers(front, snapshot):
    path = f"/v1/snapshots/{snapshot}/batch?batch_size=40"
    status, headers, body = front.request("GET", path, headers={"Accept-Encoding": "zstd"})
    assert status == 200 and headers["content-encoding"] == "zstd"
    plain = front.request("GET", path)
    assert zstandard.ZstdDecompressor().decompressobj().decompress(body) == plain[2]
    assert "immutable" in plain[1]["cache-control"] and plain[1]["prefd-next-offset"] == "40"
    status, _, body = front.request("GET", path, headers={"If-None-Match": plain[1]["etag"]})
    assert (status, body) == (304, b"")
    status, headers, _ = front.request("GET", "/healthz")
    assert re.fullmatch(r"[0-9a-f-]{32,36}", headers["x-request-id"])


def test_nginx_answers_a_batch_again_by_itself(front, snapshot):
    if front.name != "nginx":
        pytest.skip("HAProxy's example has no cache")
    path = f"/v1/snapshots/{snapshot}/batch?batch_size=7&seed=99"
    # Hits for a second, then prefd says that it still stands: 304, no batch.
    answers = [front.request("GET", path)]
    time.sleep(2.1)
    answers += [front.request("GET", path) for _ in range(5)]
    said = [a[1]["x-cache"] for a in answers]
    assert said[:2] == ["MISS", "REVALIDATED"] and set(said[2:]) <= {"HIT", "REVALIDATED"} and "HIT" in said, said
    assert [a[0] for a in answers] == [200] * 6
    assert len({a[2] for a in answers}) == 1 and answers[0][2] == front.daemon.request("GET", path).body
    # Somebody else's answer is asked for anew.
    assert front.request("GET", path, headers={"Authorization": "Bearer other"})[1]["x-cache"] == "MISS"
    # Another form of it is another answer, though the path is the same.
    rows = front.request("GET", path, headers={"Accept": "application/x-ndjson"})
    assert rows[1]["x-cache"] == "MISS" and rows[2] != answers[0][2] and rows[2].count(b"\n") == 7
    # Nothing else is kept.
    assert "x-cache" not in front.request("GET", "/v1/limits")[1]


def test_an_export_goes_through_whole(front, snapshot):
    status, _, body = front.request("GET", f"/v1/snapshots/{snapshot}/export")
    assert status == 200 and body == front.daemon.request("GET", f"/v1/snapshots/{snapshot}/export").body


ODD = {
    "a length beside chunks": b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "an unknown coding": b"Transfer-Encoding: odd\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "a space before the colon": b"Content-Length : 40\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n",
    "a folded line": b"X-Odd: a\r\n b\r\n\r\n",
    "a NUL": b"X-Odd: a\0b\r\n\r\n",
    "a bare LF": b"X-Odd: a\nContent-Length: 0\r\n\r\n",
    "a length that is none": b"Content-Length: five\r\n\r\n",
}


@pytest.mark.parametrize("what", sorted(ODD))
def test_what_the_proxy_is_there_to_refuse(front, what):
    """Refused by the proxy, or made plain by it: prefd's gate sees nothing odd, nobody smuggles."""
    def refused():
        return re.search(rb"^prefd_http_refused_total (\d+)", front.daemon.request("GET", "/metrics").body, re.MULTILINE).group(1)

    before = refused()
    said = front.raw(b"POST /v1/datasets/none/records HTTP/1.1\r\nHost: localhost\r\n" + ODD[what])
    first = said.split(b"\r\n")[0]
    assert first.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501 ")), said
    assert refused() == before
    # What hid behind it got no answer of prefd's own.
    assert said.count(b"not-found") == 0, said
    if what in ("a NUL", "a length that is none", "a length beside chunks" if front.name == "nginx" else "two lengths"):
        assert first.startswith(b"HTTP/1.1 400 "), said


def test_figures_are_not_for_clients(front):
    if front.name == "nginx":
        assert front.request("GET", "/metrics")[0] == 200  # from this machine
        return
    assert front.request("GET", "/metrics")[0] == 403
    for path, status in (("/healthz", 200), ("/readyz", 200), ("/metrics", 200), ("/v1/datasets", 404), ("/", 404)):
        assert front.request("GET", path, port=front.probes)[0] == status
    assert front.request("POST", "/healthz", port=front.probes)[0] == 404


def test_haproxy_notices_that_prefd_is_gone_and_back(fresh_daemon, tls, tmp_path):
    d = fresh_daemon()
    f = Front("haproxy", d, tls, tmp_path)
    f.start()
    try:
        assert f.request("GET", "/readyz")[0] == 200
        port = d.port
        d.stop()
        deadline = time.monotonic() + 20
        while f.request("GET", "/v1/limits")[0] != 503:
            assert time.monotonic() < deadline
        d.flags = ["--listen", f"127.0.0.1:{port}"]
        d.start()
        while f.request("GET", "/v1/limits")[0] != 200:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        f.stop()


def test_a_revoked_token_reads_no_kept_batch(fresh_daemon, tls, tmp_path):
    """nginx has the batch, but prefd decides who may have it, each second anew."""
    d = fresh_daemon()
    assert d.request("PUT", "/v1/datasets/s").status == 201
    assert d.post_rows("/v1/datasets/s/records", [{"prompt": "q", "responses": [
        {"text": str(v), "scores": [{"judge": "j", "value": v}]} for v in (1, 2)]}]).status == 200
    assert d.request("POST", "/v1/datasets/s/snapshots?wait=30", {"name": "one", "recipe": {"split": "*"}}).status == 201

    def token(*arguments):
        status, said = call(daemon_kit.BINARY, "token", *arguments, "--data", d.data, env=daemon_kit.clean_environment())
        assert status == 0, said
        return said.split()[-1]  # alone on the last line

    bearer = {"Authorization": f"Bearer {token('create', '--name', 'trainer', '--scope', 'train')}"}
    f = Front("nginx", d, tls, tmp_path)
    f.start()
    try:
        path = "/v1/snapshots/one/batch"
        assert f.request("GET", path)[0] == 401
        assert [f.request("GET", path, headers=bearer)[1]["x-cache"] for _ in range(2)] == ["MISS", "HIT"]
        assert f.request("GET", path)[0] == 401  # it is kept, but not for everybody
        time.sleep(2.1)
        assert f.request("GET", path, headers=bearer)[1]["x-cache"] == "REVALIDATED"
        token("revoke", "trainer")
        time.sleep(2.1)
        assert f.request("GET", path, headers=bearer)[0] == 401
    finally:
        f.stop()
