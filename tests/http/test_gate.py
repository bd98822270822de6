"""What stands before every handler: the gate against request smuggling, slow
clients, bodies as they trickle in, connections that go on after an error.

Raw sockets, because no HTTP client sends what is sent here."""

import json
import signal
import socket
import subprocess
import time

import pytest

from conftest import BINARY, clean_environment

WAIT = 20
HOST = b"Host: localhost\r\n"
NEXT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"  # what was smuggled, or simply the next request
NDJSON = b"Content-Type: application/x-ndjson\r\n"


class Wire:
    """A connection that reads answers one by one."""

    def __init__(self, daemon, receive_buffer=None):
        family = socket.AF_INET6 if ":" in daemon.host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT)
        self.socket.connect((daemon.host.strip("[]"), daemon.port))
        self.seen = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, *parts):
        self.socket.sendall(b"".join(parts))
        return self

    def more(self):
        """False at the end of the connection, however it came."""
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.seen += piece
        return piece != b""

    def head(self):
        """The next status line and headers, or None at the end."""
        while b"\r\n\r\n" not in self.seen:
            if not self.more():
                return None
        head, self.seen = self.seen.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines[1:])
        return int(lines[0].split()[1]), headers

    def answer(self, bodiless=False):
        """(status, headers, body) of the next answer, or None at the end."""
        got = self.head()
        if got is None:
            return None
        status, headers = got
        length = 0 if bodiless or status in (100, 204, 304) else int(headers["content-length"])
        while len(self.seen) < length:
            assert self.more(), "the answer was cut off"
        body, self.seen = self.seen[:length], self.seen[length:]
        return status, headers, body

    def closed(self, seconds=WAIT):
        """True when the daemon ends the connection within that time, saying nothing more."""
        self.socket.settimeout(seconds)
        try:
            return not self.more()
        except TimeoutError:
            return False


def one_problem(daemon, data, status, problem):
    """These bytes get this one answer, and the connection ends."""
    with Wire(daemon) as w:
        w.send(data)
        got = w.answer()
        assert got and got[0] == status, got
        assert got[1]["content-type"] == "application/problem+json" and got[1]["x-request-id"]
        body = json.loads(got[2])
        assert body["type"] == "/problems/" + problem and body["status"] == status and body["detail"]
        assert got[1]["connection"] == "close"
        assert w.answer() is None  # and nothing that hid behind it


def gate(daemon):
    text = daemon.request("GET", "/metrics").body.decode()
    return {line.split()[0]: float(line.split()[1]) for line in text.splitlines() if line and line[0] != "#"}


# --- smuggling ------------------------------------------------------------------------------

POST = b"POST /v1/datasets/smuggle/records HTTP/1.1\r\n"
SMUGGLING = {
    "length and chunks": POST + HOST + NDJSON + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + HOST + NDJSON + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "both on a GET": b"GET /healthz HTTP/1.1\r\n" + HOST
                     + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": POST + HOST + NDJSON + b"Content-Length: 0\r\nContent-Length: 40\r\n\r\n",
    "two equal lengths": POST + HOST + NDJSON + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "an unknown coding": POST + HOST + NDJSON + b"Transfer-Encoding: xchunked\r\n\r\n",
    "a coding before chunked": POST + HOST + NDJSON + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + HOST + NDJSON + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": b"POST /v1/datasets/smuggle/records HTTP/1.0\r\n" + HOST + NDJSON
                          + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": POST + HOST + NDJSON + b"Content-Length : 40\r\n\r\n",
    "a tab before the colon": POST + HOST + NDJSON + b"Transfer-Encoding\t: chunked\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + b"Host: y\r\n\r\n",
    "two equal hosts": b"GET /healthz HTTP/1.1\r\n" + HOST + HOST + b"\r\n",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a host that is a path": b"GET /healthz HTTP/1.1\r\nHost: x/y\r\n\r\n",
    "a control byte in a value": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: a\x01b\r\n\r\n",
    "a bare CR in a value": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: a\rX-B: b\r\n\r\n",
    "a name that is no token": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X(A): b\r\n\r\n",
}


@pytest.mark.parametrize("kind", SMUGGLING)
def test_smuggling_is_refused_and_the_connection_ends(daemon, kind):
    before = gate(daemon)["prefd_http_refused_total"]
    one_problem(daemon, SMUGGLING[kind] + NEXT, 400, "bad-request")
    assert gate(daemon)["prefd_http_refused_total"] == before + 1


# Refused by the library itself, before the gate, in words of its own.
MALFORMED = {
    "a list of lengths": POST + HOST + NDJSON + b"Content-Length: 0, 0\r\n\r\n",
    "a signed length": POST + HOST + NDJSON + b"Content-Length: +0\r\n\r\n",
    "an endless length": POST + HOST + NDJSON + b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A\r\n\r\n",
    "another version": b"GET /healthz HTTP/2.0\r\n" + HOST + b"\r\n",
    "headers without end": b"GET /healthz HTTP/1.1\r\n" + HOST + b"X-A: " + b"a" * 100000 + b"\r\n\r\n",
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_malformed_heads_end_the_connection(daemon, kind):
    with Wire(daemon) as w:
        w.send(MALFORMED[kind] + NEXT)
        got = w.head()
        assert got is None or 400 <= got[0] < 600 and got[0] != 500, got
        while w.more():
            pass
        assert b" 200 " not in w.seen  # what hid behind it is not answered
    assert daemon.request("GET", "/healthz").status == 200


TARGETS = ["/%00", "/healthz%00", "/v1/datasets/a%00b", "/..", "/v1/../healthz", "/%2e%2E/healthz", "/.", "/a/./b",
           "/%0a", "/%7f", "/a%", "/a%4", "/a%zz", "/a\\b", "/a#b", "/a\x7f", "/\xe9", "/a\tb", "/a b", "*", "healthz",
           "ftp://x/healthz", "/v1/datasets?limit=%00", "/v1/datasets?limit=%0"]


@pytest.mark.parametrize("target", TARGETS)
def test_dangerous_targets_are_refused(daemon, target):
    one_problem(daemon, b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 400, "bad-request")


def test_a_long_target_is_refused(daemon):
    one_problem(daemon, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n" + NEXT, 413, "too-large")


@pytest.mark.parametrize("target", ["http://localhost/healthz", "/%68ealthz", "/healthz?", "/v1/datasets?limit=%31"])
def test_other_spellings_of_a_target_work(daemon, target):
    with Wire(daemon) as w:
        assert w.send(f"GET {target} HTTP/1.1\r\n".encode(), HOST, b"\r\n").answer()[0] == 200
        assert w.send(NEXT).answer()[0] == 200


# --- one connection, many requests --------------------------------------------------------------


def test_pipelined_requests_are_answered_in_order(daemon, dataset):
    post = f"POST /v1/datasets/{dataset}/records HTTP/1.1\r\n".encode() + HOST + NDJSON
    row = b'{"prompt":"one"}\n'
    with Wire(daemon) as w:
        w.send(NEXT, b"GET /v1/version HTTP/1.1\r\n", HOST, b"\r\n",
               post, b"Content-Length: %d\r\n\r\n" % len(row), row,
               post, b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(row), row),
               b"GET /nothing HTTP/1.1\r\n", HOST, b"\r\n", NEXT)
        assert json.loads(w.answer()[2]) == {"status": "ok"}
        assert json.loads(w.answer()[2])["name"] == "prefd"
        assert json.loads(w.answer()[2])["rows"] == 1
        assert json.loads(w.answer()[2])["rows"] == 1
        assert w.answer()[0] == 404
        assert w.answer()[0] == 200


def test_a_connection_goes_on_after_errors(daemon, dataset):
    records = f"/v1/datasets/{dataset}/records"
    wrong = [
        ("GET", "/nothing", b"", b"", 404),
        ("POST", "/nothing", NDJSON, b"x" * 100000, 404),
        ("PATCH", "/healthz", b"", b"", 405),
        ("GET", "/v1/datasets?limit=0", b"", b"", 422),
        ("GET", "/healthz", b"", b"a body", 400),
        ("POST", records, b"", b"{}", 415),
        ("POST", records, b"Content-Type: text/plain\r\n", b"x" * 100000, 415),
        ("POST", records, NDJSON, b"broken\n" * 1000, 400),
        ("POST", "/v1/datasets/nowhere/records", NDJSON, b"x" * 3000000, 404),
        ("PUT", f"/v1/datasets/{dataset}", b"Content-Type: application/json\r\n", b"{", 400),
        ("POST", records + "?on_error=maybe", NDJSON, b"x" * 1000, 422),
    ]
    with Wire(daemon) as w:
        for method, path, headers, body, status in wrong:
            w.send(f"{method} {path} HTTP/1.1\r\n".encode(), HOST, headers, b"Content-Length: %d\r\n\r\n" % len(body), body)
            got = w.answer()
            assert got[0] == status, (method, path, got)
            assert got[1]["content-type"] == "application/problem+json"
            assert json.loads(got[2])["instance"] == path.split("?")[0]
            assert "connection" not in got[1]
        assert w.send(NEXT).answer()[0] == 200


def test_405_names_the_methods(daemon, dataset):
    for path, allow in (("/healthz", {"GET", "HEAD"}), (f"/v1/datasets/{dataset}", {"GET", "HEAD", "PUT", "DELETE"}),
                        (f"/v1/datasets/{dataset}/scores", {"POST"})):
        answer = daemon.request("PATCH", path)
        assert answer.status == 405 and set(answer.headers["allow"].split(", ")) == allow


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/v1/limits", "/v1/version", "/v1/datasets",
                                  "/v1/snapshots", "/nothing"])
def test_head_is_get_without_a_body(daemon, path):
    with Wire(daemon) as w:
        w.send(f"GET {path} HTTP/1.1\r\n".encode(), HOST, b"\r\n")
        got = w.answer()
        w.send(f"HEAD {path} HTTP/1.1\r\n".encode(), HOST, b"\r\n")
        head = w.answer(bodiless=True)
        assert head[0] == got[0] and head[2] == b""
        assert head[1].keys() == got[1].keys() and head[1]["content-type"] == got[1]["content-type"]
        if path != "/metrics":
            assert head[1]["content-length"] == got[1]["content-length"]
        assert w.send(NEXT).answer()[0] == 200  # no body came after the head


def test_http_1_0(daemon):
    with Wire(daemon) as w:
        status, headers, body = w.send(b"GET /healthz HTTP/1.0\r\n\r\n").answer()
        assert (status, json.loads(body)) == (200, {"status": "ok"})
        assert w.closed()


@pytest.mark.parametrize("sent,kept", [("a:b_c.D-1", True), ("a" * 128, True), ("a" * 129, False), ("a b", False),
                                       ("", False), ('"', False)])
def test_request_ids(daemon, sent, kept):
    for path in ("/healthz", "/nothing", "/v1/datasets?limit=0"):
        got = daemon.request("GET", path, headers={"X-Request-Id": sent}).headers["x-request-id"]
        assert (got == sent) == kept and got


def test_the_dashboard_is_one_guarded_page(daemon):
    page = daemon.request("GET", "/")
    assert page.status == 200 and page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and policy.count("'sha256-") == 2
    text = page.body.decode()
    assert text.count("<script>") == text.count("<style>") == 1 and " src=" not in text and "http://" not in \
        text.replace("http://www.w3.org/2000/svg", "")
    assert " style=" not in text and "innerHTML" not in text


# --- bodies as they come ----------------------------------------------------------------------------


def rows_body(n):
    return b"".join(json.dumps({"id": f"p{i}", "prompt": f"text {i} é"}, ensure_ascii=False).encode() + b"\n"
                    for i in range(n))


def test_a_request_byte_by_byte(daemon, dataset):
    body = rows_body(3)
    data = (f"POST /v1/datasets/{dataset}/records HTTP/1.1\r\n".encode() + HOST + NDJSON
            + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    with Wire(daemon) as w:
        w.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(data)):
            w.send(data[i:i + 1])
            time.sleep(0.001)
        status, _, answer = w.answer()
        assert status == 200 and json.loads(answer)["rows"] == 3
        assert w.send(NEXT).answer()[0] == 200


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_chunks_of_every_size(daemon, dataset, size):
    body = rows_body(20)
    with Wire(daemon) as w:
        w.send(f"POST /v1/datasets/{dataset}/records HTTP/1.1\r\n".encode(), HOST, NDJSON,
               b"Transfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(body), size):
            piece = body[i:i + size]
            w.send(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        status, _, answer = w.send(b"0\r\nTrailer: x\r\n\r\n").answer()
        assert status == 200 and json.loads(answer)["prompts"]["created"] == 20
        assert w.send(NEXT).answer()[0] == 200


@pytest.mark.parametrize("chunk", [b"xyz\r\n", b"-1\r\n", b"5\r\nabcdefgh\r\n", b"ffffffffffffffffff\r\n"])
def test_broken_chunks_end_the_connection(daemon, dataset, chunk):
    with Wire(daemon) as w:
        w.send(f"POST /v1/datasets/{dataset}/records HTTP/1.1\r\n".encode(), HOST, NDJSON,
               b"Transfer-Encoding: chunked\r\n\r\n", chunk, NEXT)
        got = w.answer()
        assert got is None or got[0] in (400, 413)
        assert w.answer() is None
    assert daemon.request("GET", f"/v1/datasets/{dataset}/stats").json()["prompts"] == 0


def test_100_continue_when_the_body_is_wanted(daemon, dataset):
    body = rows_body(2)
    with Wire(daemon) as w:
        w.send(f"POST /v1/datasets/{dataset}/records HTTP/1.1\r\n".encode(), HOST, NDJSON,
               b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body))
        assert w.answer()[0] == 100
        assert json.loads(w.send(body).answer()[2])["rows"] == 2
        assert w.send(NEXT).answer()[0] == 200


@pytest.mark.parametrize("path,headers,status", [
    ("/v1/datasets/nowhere/records", NDJSON, 404), ("/nothing", NDJSON, 404), ("/healthz", NDJSON, 405),
    ("/v1/datasets/{d}/records", b"Content-Type: text/html\r\n", 415),
    ("/v1/datasets/{d}/records?x=1", NDJSON, 422)])
def test_no_continue_when_it_is_refused(daemon, dataset, path, headers, status):
    with Wire(daemon) as w:
        w.send(f"POST {path.replace('{d}', dataset)} HTTP/1.1\r\n".encode(), HOST, headers,
               b"Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n")
        assert w.answer()[0] == status
        assert w.closed()  # as no one knows whether the body comes


def test_a_refused_body_is_read_to_its_end(daemon):
    """Clients that send before they read (most) must still see the answer."""
    body = b"x" * 30_000_000
    for _ in range(3):
        answer = daemon.request("POST", "/v1/datasets/nowhere/records", body, {"Content-Type": "application/x-ndjson"})
        assert answer.status == 404 and answer.json()["type"] == "/problems/unknown-dataset"


def test_body_limits(fresh_daemon):
    d = fresh_daemon("--body-bytes", "5000", "--document-bytes", "4096")
    assert d.request("PUT", "/v1/datasets/small").status == 201
    row = b'{"prompt":"' + b"a" * 4000 + b'"}\n'
    head = b"POST /v1/datasets/small/records HTTP/1.1\r\n" + HOST + NDJSON
    with Wire(d) as w:
        assert w.send(head, b"Content-Length: %d\r\n\r\n" % len(row), row).answer()[0] == 200
        for data in (b"Content-Length: %d\r\n\r\n" % (2 * len(row)) + 2 * row,
                     b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (2 * len(row), 2 * row)):
            status, _, answer = w.send(head, data).answer()
            assert status == 413 and json.loads(answer)["type"] == "/problems/too-large"
        document = b'{"description":"' + b"a" * 4200 + b'"}'
        w.send(b"PUT /v1/datasets/small HTTP/1.1\r\n", HOST, b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
               % len(document), document)
        assert w.answer()[0] == 413
        assert w.send(NEXT).answer()[0] == 200
    # What is endless is cut off: 64 MiB beyond the limit, without an answer.
    with Wire(d) as w, pytest.raises(OSError):
        w.send(head, b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(200):
            w.send(b"%x\r\n%s\r\n" % (2**20, b"a" * 2**20))
    # What announces as much is told at once.
    with Wire(d) as w:
        assert w.send(head, b"Content-Length: %d\r\n\r\n" % 2**40).answer()[0] == 413
        assert w.closed()
    assert d.request("GET", "/healthz").status == 200


# --- slow clients --------------------------------------------------------------------------------------


def trickle(w, data, pause, seconds):
    """A byte at a time until the daemon ends the connection; after how long that was, or None."""
    begin = time.monotonic()
    w.socket.settimeout(pause)
    for i in range(len(data)):
        if time.monotonic() - begin > seconds:
            return None
        try:
            w.socket.send(data[i:i + 1])
            if not w.more():
                return time.monotonic() - begin
        except TimeoutError:
            pass
        except OSError:
            return time.monotonic() - begin
    return None


def test_slow_heads_are_ended(fresh_daemon):
    d = fresh_daemon("--header-seconds", "1", "--idle-seconds", "3")
    with Wire(d) as silent, Wire(d) as line, Wire(d) as second:
        second.send(NEXT).answer()
        took = trickle(line, b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 500, 0.1, 10)
        assert took and 0.9 < took < 4, took
        assert silent.closed(5)
        # The second request of a connection has no more time for its headers.
        took = trickle(second, b"GET /healthz HTTP/1.1\r\nX-Slow: " + b"a" * 500, 0.1, 10)
        assert took and took < 4, took
    assert d.request("GET", "/healthz").status == 200


def test_slow_bodies_are_ended_and_leave_nothing(fresh_daemon):
    d = fresh_daemon()
    d.request("PUT", "/v1/datasets/slow")
    body = rows_body(1000)
    with Wire(d) as w:
        w.send(b"POST /v1/datasets/slow/records HTTP/1.1\r\n", HOST, NDJSON, b"Content-Length: %d\r\n\r\n" % len(body))
        took = trickle(w, body, 0.2, 20)  # 5 bytes a second, far below 1 KiB
        assert took and 9 < took < 15, took
    assert d.request("GET", "/v1/datasets/slow/stats").json()["prompts"] == 0


def test_clients_that_do_not_read_are_ended(fresh_daemon):
    d = fresh_daemon()
    with Wire(d, receive_buffer=4096) as w:
        w.socket.settimeout(2)
        try:
            w.send((b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 20000)
        except TimeoutError:
            pass  # both directions are full
        end = time.monotonic() + 40
        assert gate(d)["prefd_http_connections"] >= 2
        while gate(d)["prefd_http_connections"] != 1:  # the one that asks
            assert time.monotonic() < end
            time.sleep(0.5)
    assert d.request("GET", "/healthz").status == 200


# --- start and stop ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "192.0.2.1:0", "nonsense", "127.0.0.1:99999", "127.0.0.1"])
def test_it_refuses_to_listen_elsewhere(tmp_path, address):
    done = subprocess.run([BINARY, "serve", "--listen", address, "--data", str(tmp_path / "data")], capture_output=True,
                          timeout=30, env=clean_environment(), check=False)
    assert done.returncode != 0
    assert b"listen" in done.stderr and address.rsplit(":", 1)[0].strip("[]").encode() in done.stderr


def test_a_port_in_use_is_an_error(daemon, tmp_path):
    done = subprocess.run([BINARY, "serve", "--listen", f"127.0.0.1:{daemon.port}", "--data", str(tmp_path / "data")],
                          capture_output=True, timeout=30, env=clean_environment(), check=False)
    assert done.returncode != 0 and b"listen" in done.stderr


def test_it_serves_ipv6(fresh_daemon):
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            pytest.skip("no IPv6 here")
    d = fresh_daemon("--listen", "[::1]:0")
    with Wire(d) as w:
        assert w.send(NEXT).answer()[0] == 200


def test_what_is_under_way_is_answered_at_the_stop(fresh_daemon):
    d = fresh_daemon()
    d.request("PUT", "/v1/datasets/last")
    body = rows_body(50)
    with Wire(d) as w:
        w.send(b"POST /v1/datasets/last/records HTTP/1.1\r\n", HOST, NDJSON,
               b"Content-Length: %d\r\n\r\n" % len(body), body[:100])
        time.sleep(0.2)
        d.process.send_signal(signal.SIGTERM)
        end = time.monotonic() + WAIT
        while time.monotonic() < end:  # until the signal has arrived; then no one new comes in
            try:
                with Wire(d) as late:
                    if late.send(NEXT).answer() is None:
                        break
            except OSError:
                break
            time.sleep(0.05)
        else:
            pytest.fail("new connections are still answered")
        assert d.running()
        status, headers, answer = w.send(body[100:]).answer()
        assert status == 200 and json.loads(answer)["prompts"]["created"] == 50
        assert headers["connection"] == "close"
        assert w.closed()
    d.stop()
    assert d.start().request("GET", "/v1/datasets/last/stats").json()["prompts"] == 50


def test_idle_connections_do_not_hold_up_the_stop(fresh_daemon):
    d = fresh_daemon()
    with Wire(d) as used, Wire(d):
        used.send(NEXT).answer()
        begin = time.monotonic()
        d.stop()
        assert time.monotonic() - begin < 5
        assert used.closed()
