"""Tokens: who may come in, and to what.

The matrix asks every route of `prefd routes` with every kind of token; what must come
back is worked out here, from a table of this file's own. A route that is missing in the
table fails, and so does a daemon that lets too much through: both are tried."""

import json
import os
import re
import socket
import stat
import subprocess
import threading
import time

import pytest

from conftest import BINARY, Daemon, clean_environment, quote
from wire import lines

SECONDS = 60
SCOPES = ("read", "ingest", "train", "admin")
D, S, R, E = "/v1/datasets/{dataset}", "/v1/snapshots/{snapshot}", "/v1/rounds/{round}", "/v1/engines/{engine}"

# (method, path): (scope, what it belongs to). From the contract, not from the daemon.
TABLE = {
    ("GET", "/"): ("open", None),
    ("GET", "/healthz"): ("open", None),
    ("GET", "/readyz"): ("open", None),
    ("GET", "/openapi.json"): ("open", None),
    ("GET", "/v1/limits"): ("open", None),
    ("GET", "/v1/version"): ("open", None),
    ("GET", "/metrics"): ("read", "daemon"),
    ("GET", "/v1/datasets"): ("read", "daemon"),
    ("GET", D): ("read", "dataset"),
    ("PUT", D): ("admin", "dataset"),
    ("DELETE", D): ("admin", "dataset"),
    ("GET", D + "/stats"): ("read", "dataset"),
    ("POST", D + "/records"): ("ingest", "dataset"),
    ("POST", D + "/scores"): ("ingest", "dataset"),
    ("POST", D + "/comparisons"): ("ingest", "dataset"),
    ("GET", D + "/responses"): ("read", "dataset"),
    ("GET", D + "/prompts"): ("read", "dataset"),
    ("GET", D + "/prompts/{prompt}"): ("read", "dataset"),
    ("DELETE", D + "/prompts/{prompt}"): ("admin", "dataset"),
    ("POST", D + "/snapshots"): ("admin", "dataset"),
    ("GET", "/v1/snapshots"): ("read", "daemon"),
    ("GET", S): ("read", "snapshot"),
    ("DELETE", S): ("admin", "snapshot"),
    ("GET", S + "/batch"): ("train", "snapshot"),
    ("GET", S + "/export"): ("train", "snapshot"),
    ("GET", S + "/rows"): ("read", "snapshot"),
    ("GET", S + "/statistics"): ("read", "snapshot"),
    ("POST", D + "/rounds"): ("admin", "dataset"),
    ("GET", "/v1/rounds"): ("read", "daemon"),
    ("GET", R): ("read", "round"),
    ("POST", R + "/close"): ("admin", "round"),
    ("POST", R + "/rescore"): ("admin", "round"),
    ("GET", R + "/rewards"): ("read", "round"),
    ("POST", R + "/publish"): ("admin", "round"),
    ("POST", R + "/leases"): ("train", "round"),
    ("POST", R + "/leases/{lease}/renew"): ("train", "round"),
    ("DELETE", R + "/leases/{lease}"): ("train", "round"),
    ("POST", R + "/responses"): ("train", "round"),
    ("POST", R + "/logprobs"): ("train", "round"),
    ("POST", R + "/score"): ("admin", "round"),
    ("POST", "/v1/implicit-rewards"): ("train", "daemon"),
    ("GET", "/v1/engines"): ("read", "daemon"),
    ("GET", E): ("read", "daemon"),
    ("PUT", E): ("admin", "daemon"),
    ("DELETE", E): ("admin", "daemon"),
    ("GET", "/v1/backups"): ("admin", "daemon"),
    ("GET", "/v1/backups/{backup}"): ("admin", "daemon"),
    ("PUT", "/v1/backups/{backup}"): ("admin", "daemon"),
    ("GET", "/v1/tokens"): ("admin", "daemon"),
    ("POST", "/v1/tokens"): ("admin", "daemon"),
    ("DELETE", "/v1/tokens/{token}"): ("admin", "daemon"),
}


def routes():
    """{(method, path): scope} as the binary lists them."""
    done = subprocess.run([BINARY, "routes"], capture_output=True, timeout=SECONDS, text=True, check=True,
                          env=clean_environment())
    return {(m, p): s for m, p, s in (line.split() for line in done.stdout.splitlines())}


def unlike(table, listed):
    """What the table and the binary do not agree about."""
    return sorted({f"{m} {p}" for m, p in table.keys() ^ listed.keys()} |
                  {f"{m} {p}: {listed[m, p]}, not {table[m, p][0]}" for m, p in table.keys() & listed.keys()
                   if listed[m, p] != table[m, p][0]})


def test_the_table_names_every_route():
    listed = routes()
    assert unlike(TABLE, listed) == []
    # The control: a table without a route, and one with another scope, are seen.
    without = {k: v for k, v in TABLE.items() if k != ("GET", S + "/batch")}
    assert unlike(without, listed) == [f"GET {S}/batch"]
    other = {**TABLE, ("GET", "/metrics"): ("open", None)}
    assert unlike(other, listed) == ["GET /metrics: read, not open"]


# --- clients --------------------------------------------------------------------------------


class As:
    """The daemon as the holder of a token sees it; None: without one."""

    def __init__(self, daemon, token):
        self.daemon = daemon
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def request(self, method, path, body=None, headers=None):
        return self.daemon.request(method, path, body, {**self.headers, **(headers or {})})

    def post_rows(self, path, rows, headers=None):
        return self.daemon.post_rows(path, rows, {**self.headers, **(headers or {})})


def prefd(*arguments, env=None, input=None, status=0):
    done = subprocess.run([BINARY, *map(str, arguments)], capture_output=True, timeout=SECONDS, text=True, input=input,
                          env=clean_environment(env))
    assert done.returncode == status, (done.returncode, done.stdout, done.stderr)
    return done


def create(data, name, scope, *more):
    """A token's text, by the command line."""
    return prefd("token", "create", "--data", data, "--name", name, "--scope", scope, *more).stdout.strip()


def audit(daemon, true=lambda lines: True):
    """The audit log's lines, once this holds: a line comes behind its answer."""
    until = time.monotonic() + 10
    while True:
        with open(os.path.join(daemon.data, "audit.log"), encoding="utf-8") as f:
            found = [json.loads(line) for line in f if line.endswith("\n")]
        if true(found) or time.monotonic() > until:
            return found
        time.sleep(0.02)


def row(i, n=2):
    return {"id": f"p{i}", "prompt": f"question {i}",
            "responses": [{"id": f"p{i}-r{k}", "text": f"answer {i} {k}", "model": "m",
                           "scores": [{"judge": "j", "value": 1 + (i + 3 * k) % 10}]} for k in range(n)]}


class Place:
    """A daemon with two datasets alike, `mine` and `theirs`, and tokens of every kind."""

    def __init__(self, daemon):
        self.daemon, self.data = daemon, daemon.data
        self.token = {"root": create(self.data, "root", "admin")}
        self.root = As(daemon, self.token["root"])
        self.of = {name: self.fill(name) for name in ("mine", "theirs")}
        for scope in SCOPES[:3]:
            self.token[scope] = create(self.data, scope, scope)
        self.token["all"] = create(self.data, "all", "read,ingest,train,admin")
        self.token["limited"] = create(self.data, "limited", "admin", "--dataset", "mine")
        self.token["limited-read"] = create(self.data, "limited-read", "read", "--dataset", "mine", "--dataset", "third")
        self.token["expired"] = create(self.data, "expired", "admin", "--expires", "1s")
        self.token["revoked"] = create(self.data, "revoked", "admin")
        prefd("token", "revoke", "revoked", "--data", self.data)
        time.sleep(1.1)

    def fill(self, name):
        ask = self.root.request
        assert ask("PUT", f"/v1/datasets/{name}", {"attributes": {"overall": {"min": 1, "max": 10}}}).status == 201
        assert self.root.post_rows(f"/v1/datasets/{name}/records", [row(i) for i in range(6)]).status == 200
        made = ask("POST", f"/v1/datasets/{name}/snapshots?wait=30", {"name": f"{name}-s", "recipe": {}})
        assert made.status == 201, made
        made = ask("POST", f"/v1/datasets/{name}/rounds", {"name": f"{name}-r", "policy": "m", "reference": "start",
                                                           "responses_per_prompt": 2, "min_responses": 2})
        assert made.status == 201, made
        return {"dataset": name, "snapshot": f"{name}-s", "round": f"{name}-r"}

    def path(self, pattern, whose):
        ids = {**self.of.get(whose, {k: f"{whose}-{k[0]}" for k in ("snapshot", "round")} | {"dataset": whose}),
               "prompt": "p1", "lease": "no-lease", "engine": "no-engine", "backup": "no-backup", "token": "no-token"}
        return re.sub(r"\{(\w+)\}", lambda m: ids[m.group(1)], pattern)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokens")
    d = Daemon(folder / "data", folder / "log", ["--log-level", "debug"]).start()
    yield Place(d)
    d.stop()


# --- the matrix -------------------------------------------------------------------------------

# What a token may: its scopes and whether it is limited to `mine`; None: it is no token.
KINDS = {
    "none": None, "malformed": None, "unknown": None, "expired": None, "revoked": None,
    "read": ({"read"}, False), "ingest": ({"ingest"}, False), "train": ({"train"}, False),
    "root": (set(SCOPES), False), "all": (set(SCOPES), False),
    "limited": (set(SCOPES), True), "limited-read": ({"read"}, True),
}
INSIDE = (422, "unknown-key")  # the door was passed: the query is looked at behind it
UNKNOWN = {"dataset": (404, "unknown-dataset"), "snapshot": (404, "unknown-snapshot"), "round": (404, "unknown-round")}


def expected(route, kind, whose):
    scope, belongs = TABLE[route]
    if scope == "open":
        return INSIDE
    if KINDS[kind] is None:
        return 401, "unauthorized"
    scopes, limited = KINDS[kind]
    if scope not in scopes:
        return 403, "forbidden"
    if not limited:
        return INSIDE
    if belongs == "daemon":
        return (403, "forbidden") if scope == "admin" else INSIDE
    return INSIDE if whose == "mine" else UNKNOWN[belongs]


def tokens_of(place, kind):
    """Header values of this kind."""
    good = place.token["root"]
    if kind == "none":
        return [None]
    if kind == "malformed":
        return [good, "Bearer", "Bearer ", f"Basic {good}", f"Token {good}", f"Bearer{good}", f"Bearer {good} {good}",
                f"Bearer {good},", f"Bearer {good[:-1]}", f"Bearer {good}0", f"Bearer {good.upper()}", f"Bearer {good[6:]}",
                f"Bearer \"{good}\"", "Bearer " + good.replace("_", "%5F"), "Bearer " + "x" * 4000]
    if kind == "unknown":
        return ["Bearer prefd_" + "0" * 12 + "_" + "0" * 64, "Bearer " + good[:18] + "_" + "0" * 64,
                "Bearer " + good[:-1] + ("0" if good[-1] != "0" else "1")]
    return ["Bearer " + place.token[kind]]


def observe(connection, method, path, authorization):
    headers = {"Authorization": authorization} if authorization is not None else {}
    connection.request(method, path + "?no-such-parameter=1", headers=headers)
    answer = connection.getresponse()
    body = answer.read()
    slug = json.loads(body)["type"].removeprefix("/problems/") if body else None
    return (answer.status, slug), {k.lower(): v for k, v in answer.getheaders()}


def complaints(place, holder=lambda kind: kind):
    """Everything that came back otherwise than expected; holder: whose token is sent
    as a kind's."""
    out, connection = [], place.daemon.connect()
    for route in TABLE:
        for kind in KINDS:
            for whose in ("mine", "theirs"):
                want = expected(route, kind, whose)
                for value in tokens_of(place, holder(kind)):
                    got, headers = observe(connection, route[0], place.path(route[1], whose), value)
                    if got != want:
                        out.append((*route, kind, whose, value, got, want))
                    if got[0] == 401 and not headers.get("www-authenticate", "").startswith("Bearer"):
                        out.append((*route, kind, "no challenge"))
                    if headers.get("cache-control") != "no-store":
                        out.append((*route, kind, "may be stored"))
    connection.close()
    return out


def test_every_route_with_every_kind_of_token(place):
    assert complaints(place) == []


def test_a_daemon_that_lets_too_much_in_is_seen(place):
    """The control: the same matrix, with an admin's token sent as a reader's, and with
    a valid one as an expired one's."""
    def planted(kind):
        return {"read": "root", "expired": "all", "limited": "root"}.get(kind, kind)

    seen = {c[2] for c in complaints(place, planted)}
    assert seen == {"read", "expired", "limited"}


def test_head_is_asked_like_get(place):
    connection = place.daemon.connect()
    for method, pattern in TABLE:
        for kind in KINDS if method == "GET" else ():
            for value in tokens_of(place, kind):
                got, _ = observe(connection, "HEAD", place.path(pattern, "theirs"), value)
                assert got[0] == expected((method, pattern), kind, "theirs")[0], (pattern, kind, got)
    connection.close()


def test_a_foreign_thing_and_none_at_all_are_told_alike(place):
    """Byte for byte, but for the name that was asked for; and as to one who may see all."""
    limited = As(place.daemon, place.token["limited"])

    def told(who, method, path, name):
        answer = who.request(method, path)
        headers = {k: v for k, v in answer.headers.items() if k not in ("date", "x-request-id", "content-length")}
        return answer.status, headers, answer.body.replace(name.encode(), b"NAME")

    for (method, pattern), (_, belongs) in TABLE.items():
        if belongs not in UNKNOWN:
            continue
        foreign, nowhere = place.path(pattern, "theirs"), place.path(pattern, "nobody")
        assert foreign != nowhere
        a = told(limited, method, foreign, "theirs")
        assert a == told(limited, method, nowhere, "nobody"), (method, pattern)
        assert a[0] == 404
        if method == "GET":
            assert a[::2] == told(place.root, method, nowhere, "nobody")[::2], (method, pattern)


# --- what lists and documents show ------------------------------------------------------------


def test_lists_hold_what_is_allowed(place):
    """Also page by page: cursors and pages' lengths say nothing of what is left out."""
    names = [f"l{i:02}" for i in range(9)]
    for name in names:
        assert place.root.request("PUT", f"/v1/datasets/{name}", {}).status == 201
        for i in range(2):
            made = place.root.request("POST", f"/v1/datasets/{name}/rounds",
                                      {"name": f"{name}-{i}", "policy": "m", "reference": "s"})
            assert made.status in (201, 422), made
            made = place.root.request("POST", f"/v1/datasets/{name}/snapshots?wait=30", {"name": f"{name}-{i}", "recipe": {}})
            assert made.status in (201, 422), made
    few = As(place.daemon, create(place.data, "few", "read", *[w for n in names[1::3] for w in ("--dataset", n)]))
    for path, kind in (("/v1/datasets", "datasets"), ("/v1/snapshots", "snapshots"), ("/v1/rounds", "rounds")):
        def listed(who, limit):
            out, after, pages = [], None, []
            while True:
                page = who.request("GET", f"{path}?limit={limit}" + (f"&after={quote(after)}" if after else "")).json()
                out += page[kind]
                pages.append(len(page[kind]))
                after = page["next"]
                assert "theirs" not in json.dumps(page) or who is place.root
                if after is None:
                    assert pages == [limit] * (len(pages) - 1) + pages[-1:]
                    return out

        everything = listed(place.root, 3)
        assert len(everything) > 5
        allowed = [x for x in everything if (x["id"] if kind == "datasets" else x["dataset"]) in names[1::3]]
        for limit in (1, 2, 3, 100):
            assert listed(few, limit) == allowed, (kind, limit)
    assert few.request("GET", "/v1/snapshots?dataset=theirs").status == 404
    assert few.request("GET", "/v1/rounds?dataset=theirs").status == 404


def test_a_document_reaches_no_foreign_dataset(place):
    limited = As(place.daemon, place.token["limited"])

    def same(path, document, foreign, nowhere, status):
        a = limited.request("POST", path, json.loads(json.dumps(document).replace("NAME", foreign)))
        b = limited.request("POST", path, json.loads(json.dumps(document).replace("NAME", nowhere)))
        assert a.status == b.status == status, (a, b)
        assert a.body.replace(foreign.encode(), b"-") == b.body.replace(nowhere.encode(), b"-")

    same("/v1/datasets/mine/snapshots?wait=5", {"recipe": {"reward": {"round": "NAME"}}}, "theirs-r", "nobody-r", 422)
    assert limited.request("POST", "/v1/rounds/mine-r/rescore", {}).status in (200, 409, 422)
    same("/v1/rounds/mine-r/publish", {"replay": {"snapshot": "NAME", "gamma": 0.5}}, "theirs-s", "nobody-s", 422)
    got = [limited.request("GET", f"/v1/datasets/mine/responses?unscored_by=x&round={r}") for r in ("theirs-r", "nobody-r")]
    assert [a.status for a in got] == [422, 422]
    assert got[0].body.replace(b"theirs-r", b"-") == got[1].body.replace(b"nobody-r", b"-")
    scored = limited.post_rows("/v1/datasets/mine/scores", [{"response": "elsewhere", "judge": "j", "value": 1}])
    assert scored.status == 422


def test_an_idempotency_key_gives_nobody_anothers_answer(place):
    """The key of one token and another's are two; of unlimited ones it is one, as without tokens."""
    key = {"Idempotency-Key": "one-key"}
    body = [row(100)]
    first = place.root.post_rows("/v1/datasets/theirs/records", body, key)
    assert first.status == 200
    again = As(place.daemon, place.token["ingest"]).post_rows("/v1/datasets/theirs/records", body, key)
    assert again.status == 200 and again.headers.get("idempotency-replayed") == "true"
    limited = As(place.daemon, place.token["limited"])
    assert limited.post_rows("/v1/datasets/theirs/records", body, key).status == 404
    own = limited.post_rows("/v1/datasets/mine/records", body, key)
    assert own.status == 200 and "idempotency-replayed" not in own.headers, own
    again = limited.post_rows("/v1/datasets/mine/records", body, key)
    assert again.body == own.body and again.headers["idempotency-replayed"] == "true"
    assert limited.post_rows("/v1/datasets/mine/records", [row(101)], key).status == 422
    assert As(place.daemon, place.token["read"]).post_rows("/v1/datasets/theirs/records", body, key).status == 403


# --- at the door -----------------------------------------------------------------------------------


def raw(daemon, *parts):
    """Status and body of what is sent as it stands."""
    with socket.create_connection((daemon.host, daemon.port), timeout=SECONDS) as s:
        s.sendall(b"".join(parts))
        s.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    return int(answer.split(b" ", 2)[1]) if answer else None, answer


def test_headers_that_try_it_otherwise(place):
    good = place.token["root"].encode()
    host, end = b"Host: localhost\r\n", b"Connection: close\r\n\r\n"
    line = b"GET /v1/datasets HTTP/1.1\r\n"
    bearer = b"Authorization: Bearer " + good + b"\r\n"
    assert raw(place.daemon, line, host, bearer, end)[0] == 200
    assert raw(place.daemon, line, host, bearer.replace(b"Authorization", b"aUTHORIZATION").replace(b"Bearer", b"bEARER"),
               end)[0] == 200
    assert raw(place.daemon, line, host, b"Authorization:   Bearer   " + good + b"  \r\n", end)[0] == 200
    refused = {
        "two tokens, good first": bearer + b"Authorization: Bearer x\r\n",
        "two tokens, good last": b"Authorization: Bearer x\r\n" + bearer,
        "the same twice": bearer + bearer,
        "a space before the colon": bearer.replace(b":", b" :"),
        "another header": bearer.replace(b"Authorization", b"X-Authorization"),
        "the proxy's": bearer.replace(b"Authorization", b"Proxy-Authorization"),
        "a cookie": b"Cookie: Authorization=Bearer " + good + b"\r\n",
        "a tab": bearer.replace(b"Bearer ", b"Bearer\t"),
        "who it came from": b"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Original-URL: /healthz\r\n",
        "another method": b"X-HTTP-Method-Override: GET\r\n",
    }
    for what, headers in refused.items():
        status, answer = raw(place.daemon, line, host, headers, end)
        assert status in (400, 401), (what, status)
        assert good not in answer, what


def test_targets_that_try_it_otherwise(place):
    end = b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    targets = [b"/v1/datasets", b"/v1/%64atasets", b"//v1/datasets", b"/v1//datasets", b"/v1/datasets/", b"/healthz/../v1/datasets",
               b"/healthz%2F..%2Fv1/datasets", b"/healthz/..;/v1/datasets", b"/v1/datasets;x=/healthz", b"/v1/datasets%00", b"/V1/datasets",
               b"/v1/datasets?/healthz", b"/v1/datasets#/healthz", b"http://localhost/v1/datasets", b"http://evil.example/v1/datasets",
               b"/./v1/datasets", b"*", b"/v1/datasets%3Fx", b"/healthz?/v1/datasets", b"/v1/tokens", b"/v1/limits/../tokens"]
    for target in targets:
        for method in (b"GET ", b"HEAD ", b"get ", b"OPTIONS ", b"TRACE ", b"CONNECT ", b"POST "):
            status, answer = raw(place.daemon, method + target, end)
            assert status in (400, 401, 404, 405, 422, 501), (method, target, status)
            assert b"mine" not in answer and b"theirs" not in answer, (method, target)
    limited = As(place.daemon, place.token["limited"])
    for name in ("%74heirs", "theirs%2F", "mine%2F..%2Ftheirs", "mine/../theirs", "THEIRS", "theirs%00", "theirs%20"):
        assert limited.request("GET", f"/v1/datasets/{name}").status in (400, 404, 405, 422), name
    assert limited.request("GET", "/v1/datasets/%6Dine").status == 200


def test_a_token_in_the_query_is_none(place):
    for name in ("token", "access_token", "Authorization"):
        assert place.daemon.request("GET", f"/v1/datasets?{name}={place.token['root']}").status == 401


def test_refused_before_the_body(place):
    """Whoever may not, may not make the daemon unpack, parse or keep anything."""
    before = place.root.request("GET", "/v1/datasets/theirs/stats").json()
    for token, status in ((None, 401), ("read", 403), ("limited", 404)):
        who = As(place.daemon, place.token.get(token))
        for body in (lines([row(200)]), b"{broken", b""):
            answer = who.request("POST", "/v1/datasets/theirs/records", body, {"Content-Type": "application/x-ndjson"})
            assert answer.status == status and "errors" not in answer.json(), answer
    assert place.root.request("GET", "/v1/datasets/theirs/stats").json() == before


def test_batches_are_for_whoever_asked(place):
    """A cache on the way must not hand them to people without a token."""
    train = As(place.daemon, place.token["train"])
    answer = train.request("GET", "/v1/snapshots/mine-s/batch")
    assert answer.status == 200
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    same = train.request("GET", "/v1/snapshots/mine-s/batch", headers={"If-None-Match": answer.headers["etag"]})
    assert same.status == 304 and same.headers["cache-control"].startswith("private")
    other = As(place.daemon, place.token["read"])
    refused = other.request("GET", "/v1/snapshots/mine-s/batch", headers={"If-None-Match": answer.headers["etag"]})
    assert refused.status == 403 and refused.headers["cache-control"] == "no-store"
    assert place.daemon.request("GET", "/v1/snapshots/mine-s/batch").headers["cache-control"] == "no-store"


def test_batches_of_an_open_daemon_may_be_shared(fresh_daemon):
    d = fresh_daemon()
    d.request("PUT", "/v1/datasets/d", {})
    d.post_rows("/v1/datasets/d/records", [row(i) for i in range(3)])
    assert d.request("POST", "/v1/datasets/d/snapshots?wait=30", {"name": "s", "recipe": {}}).status == 201
    batch = "/v1/snapshots/s/batch"
    assert d.request("GET", batch).headers["cache-control"] == "public, max-age=31536000, immutable"
    root = create(d.data, "root", "admin")
    assert As(d, root).request("GET", batch).headers["cache-control"] == "private, max-age=31536000, immutable"


# --- in force at once --------------------------------------------------------------------------------


def test_revoked_at_once_on_open_connections(place):
    text = create(place.data, "leaver", "read")
    connection = place.daemon.connect()

    def ask():
        connection.request("GET", "/v1/datasets", headers={"Authorization": f"Bearer {text}"})
        answer = connection.getresponse()
        answer.read()
        return answer.status, connection.sock

    status, sock = ask()
    assert status == 200
    for i in range(20):
        prefd("token", "revoke", "leaver", "--data", place.data)
        assert ask() == (401, sock)  # the very next request, on the same connection
        text = create(place.data, "leaver", "read")
        assert ask() == (200, sock)
    by_http = place.root.request("DELETE", f"/v1/tokens/{text[6:18]}")
    assert by_http.status == 204 and ask() == (401, sock)
    connection.close()


def test_a_token_ends_by_itself(place):
    text = create(place.data, "brief", "read", "--expires", "2s")
    who, began = As(place.daemon, text), time.monotonic()
    assert who.request("GET", "/v1/datasets").status == 200
    while who.request("GET", "/v1/datasets").status == 200:
        assert time.monotonic() < began + 10
        time.sleep(0.05)
    assert time.monotonic() > began + 1
    assert "expired" in who.request("GET", "/v1/datasets").json()["detail"]


def test_many_make_tokens_at_once(place):
    """By the command line and over HTTP: none is lost, none is twice."""
    names = [f"w{i}" for i in range(12)]
    made = {}

    def make(name, i):
        if i % 2:
            made[name] = create(place.data, name, "read")
        else:
            made[name] = place.root.request("POST", "/v1/tokens", {"name": name, "scopes": ["read"]}).json()["token"]

    threads = [threading.Thread(target=make, args=(n, i)) for i, n in enumerate(names)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(SECONDS)
    assert len(set(made.values())) == len(names)
    for text in made.values():
        assert As(place.daemon, text).request("GET", "/v1/datasets").status == 200
    for name in names:
        prefd("token", "revoke", name, "--data", place.data)


def test_secrets_are_nowhere(place):
    """Not in the data folder, the log (at debug), the metrics, the lists; nor are hashes in answers."""
    secrets = [t.split("_")[2] for t in place.token.values()]
    mistaken = place.root.request("DELETE", f"/v1/tokens/{place.token['read']}")  # as somebody does one day
    assert mistaken.status == 404
    cut = f"/v1/tokens/{place.token['read'][:18]}..."
    assert audit(place.daemon, lambda found: found[-1]["path"] == cut)[-1]["path"] == cut
    told = [place.root.request("GET", p).body for p in ("/metrics", "/v1/tokens", "/v1/limits")]
    told.append(prefd("token", "list", "--data", place.data).stdout.encode())
    told.append(place.daemon.log().encode())
    assert len(place.daemon.log()) > 1000
    for folder, _, names in os.walk(place.data):
        for name in names:
            with open(os.path.join(folder, name), "rb") as f:
                told.append(f.read())
    kept = json.load(open(os.path.join(place.data, "tokens.json"), encoding="utf-8"))
    for secret in secrets:
        assert not any(secret.encode() in text or secret[:16].encode() in text for text in told)
    for entry in kept["tokens"]:
        assert sum(entry["hash"].encode() in text for text in told) == 1  # in tokens.json alone
    for name in ("tokens.json", "tokens.lock"):
        assert stat.S_IMODE(os.stat(os.path.join(place.data, name)).st_mode) == 0o600


# --- open, closed, damaged -----------------------------------------------------------------------------


def test_while_open_only_this_machine_by_its_own_name(fresh_daemon):
    d = fresh_daemon()
    assert "no token exists" in d.log()
    for host, status in (("localhost", 200), ("LocalHost:1", 200), ("127.0.0.1", 200), ("127.9.9.9:99", 200), ("[::1]:5", 200),
                         ("evil.example", 403), ("127.0.0.1.evil.example", 403), ("localhost.evil.example", 403),
                         ("127.0.0.1evil", 403), ("[::1].evil.example", 403), ("10.0.0.1", 403), ("", 403)):
        for path in ("/v1/datasets", "/metrics", "/"):
            got = raw(d, f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert got[0] == status, (host, path, got)
    for origin, status in (("http://localhost:3000", 201), ("https://127.0.0.1", 200), ("http://[::1]:8", 200),
                           ("https://evil.example", 403), ("null", 403), ("http://localhost@evil.example", 403),
                           ("http://localhost.evil.example", 403), ("file://", 403), ("http://", 403)):
        assert d.request("PUT", "/v1/datasets/d", {}, {"Origin": origin}).status == status, origin


def test_the_first_token_over_http_closes(fresh_daemon):
    d = fresh_daemon()
    for wish in ({"name": "a", "scopes": ["read"]}, {"name": "a", "scopes": ["read", "ingest", "train"]},
                 {"name": "a", "scopes": ["admin"], "datasets": ["d"]}):
        assert d.request("POST", "/v1/tokens", wish).status == 422
        assert d.request("GET", "/v1/datasets").status == 200
    connection = d.connect()
    connection.request("GET", "/v1/datasets")
    assert connection.getresponse().read()
    root = d.request("POST", "/v1/tokens", {"name": "root", "scopes": ["admin"]}).json()
    connection.request("GET", "/v1/datasets")
    assert connection.getresponse().status == 401
    connection.close()
    assert As(d, root["token"]).request("GET", "/v1/datasets").status == 200
    # Closed for good: without its last token, and behind a restart.
    assert As(d, root["token"]).request("DELETE", f"/v1/tokens/{root['id']}").status == 204
    assert d.request("GET", "/v1/datasets").status == 401
    d.restart()
    assert "tokens are asked for" in d.log()
    assert d.request("GET", "/v1/datasets").status == 401 and d.request("GET", "/healthz").status == 200
    assert As(d, create(d.data, "again", "read")).request("GET", "/v1/datasets").status == 200


def test_a_limited_admin_makes_no_tokens(place):
    limited = As(place.daemon, place.token["limited"])
    for wish in ({"name": "x", "scopes": ["admin"]}, {"name": "x", "scopes": ["read"], "datasets": ["mine"]}):
        assert limited.request("POST", "/v1/tokens", wish).status == 403
    assert limited.request("DELETE", f"/v1/tokens/{place.token['root'][6:18]}").status == 403
    assert limited.request("GET", "/v1/tokens").status == 403
    assert place.root.request("GET", "/v1/datasets").status == 200


def test_a_damaged_file_lets_nobody_in(fresh_daemon):
    d = fresh_daemon()
    root = As(d, create(d.data, "root", "admin"))
    path = os.path.join(d.data, "tokens.json")
    good = open(path, "rb").read()
    damages = [b"", b"{", good[:-10], good.replace(b'"hash"', b'"hush"'), good.replace(b'"version":1', b'"version":2'),
               good.replace(b'"admin"', b'"adm1n"'), b"[]", b"null", good + good, b"\0" * len(good)]
    for damage in damages:
        with open(path + ".new", "wb") as f:
            f.write(damage)
        os.replace(path + ".new", path)
        for who in (root, d):
            for p, status in (("/v1/datasets", 503), ("/v1/tokens", 503), ("/healthz", 200), ("/v1/limits", 200)):
                assert who.request("GET", p).status == status, (damage, p)
        done = prefd("token", "create", "--data", d.data, "--name", "x", "--scope", "admin", status=1)
        assert done.stdout == "" and "tokens.json" in done.stderr
    assert d.log().count("nobody comes in") == len(damages)
    d.stop()
    refused = subprocess.run([BINARY, "serve", "--listen", "127.0.0.1:0", "--data", d.data], capture_output=True,
                             timeout=SECONDS, text=True, env=clean_environment())
    assert refused.returncode == 1 and "tokens.json" in refused.stderr
    with open(path, "wb") as f:
        f.write(good)
    d.start()
    assert root.request("GET", "/v1/datasets").status == 200
    os.unlink(path)  # a file that vanishes opens nothing
    assert root.request("GET", "/v1/datasets").status == 401 and d.request("GET", "/v1/datasets").status == 401


def test_beyond_loopback_only_with_tokens(tmp_path):
    data = tmp_path / "data"
    for listen in ("0.0.0.0:0", "[::]:0"):
        done = subprocess.run([BINARY, "serve", "--listen", listen, "--data", str(data)], capture_output=True, text=True,
                              timeout=SECONDS, env=clean_environment())
        assert done.returncode == 1 and "prefd token create" in done.stderr, done
    text = create(data, "root", "admin")
    d = Daemon(data, tmp_path / "log", ["--listen", "0.0.0.0:0"]).start()
    try:
        assert d.request("GET", "/v1/datasets", headers={"Host": "some.example"}).status == 401
        assert As(d, text).request("GET", "/v1/datasets", headers={"Host": "some.example"}).status == 200
        os.unlink(data / "tokens.json")
        assert d.request("GET", "/v1/datasets").status == 401
    finally:
        d.stop()


# --- the command line ------------------------------------------------------------------------------------


def test_the_command_line(tmp_path):
    data = tmp_path / "new" / "data"
    os.mkdir(tmp_path / "new")
    made = prefd("token", "create", "--data", data, "--name", "root", "--scope", "admin")
    assert re.fullmatch(r"prefd_[0-9a-f]{12}_[0-9a-f]{64}\n", made.stdout)  # the token alone
    assert made.stdout.strip() not in made.stderr
    prefd("token", "create", "--data", data, "--name", "judge", "--scope", "ingest,read", "--dataset", "a", "--dataset", "b",
          "--expires", "30d", "--requests-per-second", "5", "--bytes-per-second", "1000")
    listed = [json.loads(line) for line in prefd("token", "list", "--data", data).stdout.splitlines()]
    assert [t["name"] for t in listed] == ["root", "judge"] and listed[0]["datasets"] is None
    assert listed[1]["scopes"] == ["read", "ingest"] and listed[1]["datasets"] == ["a", "b"]
    assert (listed[1]["requests_per_second"], listed[1]["bytes_per_second"]) == (5, 1000) and listed[1]["expires_at"]
    assert not any("hash" in t or "token" in t for t in listed)
    wrong = [["--name", "x"], ["--scope", "read"], ["--name", "x", "--scope", "write"], ["--name", "x", "--scope", ""],
             ["--name", "", "--scope", "read"], ["--name", "a\nb", "--scope", "read"], ["--name", "x", "--scope", "open"],
             ["--name", "x", "--scope", "read", "--expires", "yesterday"], ["--name", "x", "--scope", "read", "--dataset", "a b"],
             ["--name", "x", "--scope", "read", "--expires", "2001-01-01T00:00:00Z"],
             ["--name", "x", "--scope", "read", "--requests-per-second", "0"], ["--name", "x", "--scope", "read", "more"]]
    for options in wrong:
        done = prefd("token", "create", "--data", data, *options, status=2)
        assert done.stdout == "" and done.stderr, options
    prefd("token", "create", "--data", data, "--name", "root", "--scope", "read", status=1)
    prefd("token", "revoke", "nobody", "--data", data, status=1)
    prefd("token", "revoke", listed[0]["id"], "--data", data)
    prefd("token", "revoke", "judge", "--data", data)
    assert prefd("token", "list", "--data", data).stdout == ""
    assert json.load(open(data / "tokens.json", encoding="utf-8"))["tokens"] == []


def test_the_clients_send_the_token(place, tmp_path):
    rows = tmp_path / "rows.ndjson"
    rows.write_bytes(lines([row(i) for i in range(300, 303)]))
    secret = tmp_path / "secret"
    secret.write_text(place.token["root"] + "\n")
    server = ["--server", place.daemon.base]
    env = {"PREFD_TOKEN": place.token["root"], "XDG_STATE_HOME": str(tmp_path / "state")}
    from_file = {"PREFD_TOKEN_FILE": str(secret), "XDG_STATE_HOME": str(tmp_path / "state")}
    assert "3 rows" in prefd("import", *server, "--dataset", "theirs", rows, env=env).stdout
    prefd("round", "show", "mine-r", *server, env=from_file)
    prefd("export", "mine-s", *server, "-o", tmp_path / "out", env=from_file)
    assert os.path.getsize(tmp_path / "out") > 0
    for arguments in (["import", *server, "--dataset", "mine", rows], ["export", "mine-s", *server, "-o", tmp_path / "none"],
                      ["round", "show", "mine-r", *server]):
        done = prefd(*arguments, env={"XDG_STATE_HOME": str(tmp_path / "other")}, status=1)
        assert "token" in done.stderr, done.stderr
    assert not os.path.exists(tmp_path / "none")
    bad = prefd("round", "show", "mine-r", *server, env={"PREFD_TOKEN": "prefd_x"}, status=1)
    assert "prefd_x" not in bad.stderr
    prefd("round", "show", "mine-r", *server, env={"PREFD_TOKEN_FILE": str(tmp_path / "no-file")}, status=1)


# --- written down ----------------------------------------------------------------------------------------


def test_who_did_what_is_written_down(fresh_daemon):
    d = fresh_daemon()
    d.request("PUT", "/v1/datasets/early", {})
    d.post_rows("/v1/datasets/early/records", [row(1)])  # while open: acts of an admin alone
    d.request("GET", "/v1/datasets", headers={"Origin": "http://evil.example"})
    texts = {"root": create(d.data, "root", "admin"), "judge": create(d.data, "judge", "ingest", "--dataset", "early")}
    root, judge = As(d, texts["root"]), As(d, texts["judge"])
    root.request("GET", "/v1/datasets")  # reading leaves nothing
    judge.post_rows("/v1/datasets/early/scores", [{"response": "p1-r0", "judge": "secret judge", "value": 3}],
                    {"X-Request-Id": "mine-17"})
    judge.request("GET", "/v1/datasets")
    judge.request("POST", "/v1/datasets/late/scores")
    d.request("GET", "/v1/datasets?token=" + texts["root"])
    made = root.request("POST", "/v1/tokens", {"name": "tail \"\\ \u2028", "scopes": ["read"]}).json()
    root.request("DELETE", f"/v1/tokens/{made['id']}")
    prefd("token", "revoke", "judge", "--data", d.data)
    prefd("token", "revoke", "nobody", "--data", d.data, status=1)
    d.stop()  # every answer's line is there
    lines_ = audit(d)
    id_of = {name: text[6:18] for name, text in texts.items()}
    got = [(x["name"], x["method"], x["path"], x["status"]) for x in lines_]
    assert got == [
        (None, "PUT", "/v1/datasets/early", 201), (None, "GET", "/v1/datasets", 403),
        (None, "prefd token create", "tokens.json", 200), (None, "prefd token create", "tokens.json", 200),
        ("judge", "POST", "/v1/datasets/early/scores", 200), ("judge", "GET", "/v1/datasets", 403),
        ("judge", "POST", "/v1/datasets/late/scores", 404), (None, "GET", "/v1/datasets", 401),
        ("root", "POST", "/v1/tokens", 201), ("root", "DELETE", f"/v1/tokens/{made['id']}", 204),
        (None, "prefd token revoke", "tokens.json", 200), (None, "prefd token revoke", "tokens.json", 400)]
    scored = lines_[4]
    assert scored["request"] == "mine-17" and scored["token"] == id_of["judge"] and scored["address"] == "127.0.0.1"
    assert scored["received"] > 20 and scored["sent"] > 20
    assert [lines_[i]["about"] for i in (2, 3, 8, 9, 10)] == [id_of["root"], id_of["judge"], made["id"], made["id"], id_of["judge"]]
    assert lines_[2]["address"] == f"uid {os.getuid()}"
    whole = json.dumps(lines_)
    assert not any(s[19:] in whole for s in (*texts.values(), made["token"])) and "secret judge" not in whole
    assert stat.S_IMODE(os.stat(os.path.join(d.data, "audit.log")).st_mode) == 0o600


def test_no_line_can_be_forged(place):
    before = len(audit(place.daemon))
    forged = b'x%0A{"time":"2000-01-01T00:00:00Z"}'
    for target in (b"/v1/datasets/" + forged, b"/v1/datasets/%22%7D%0a", b"/v1/datasets/a%5cb%22", b"/v1/datasets/\xe2\x80\xa8"):
        raw(place.daemon, b"PUT " + target + b" HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: a\x0bb\r\nConnection: close\r\n\r\n")
        raw(place.daemon, b"PUT " + target + b" HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: \"},{\"\r\nConnection: close\r\n\r\n")
    for entry in audit(place.daemon)[before:]:  # each line is one object, of the same shape
        assert set(entry) >= {"time", "request", "token", "name", "address", "method", "path", "status"}
        assert entry["time"] > "2020" and entry["status"] in (400, 401, 404, 422)


def test_strangers_cannot_fill_the_disk(fresh_daemon):
    d = fresh_daemon()
    root = As(d, create(d.data, "root", "admin"))
    connection = d.connect()
    asked, until = 0, time.monotonic() + 1.5
    while time.monotonic() < until:
        connection.request("GET", "/v1/datasets")
        answer = connection.getresponse()
        answer.read()
        asked += answer.status == 401
    connection.close()
    time.sleep(1.1)
    d.request("GET", "/v1/datasets")
    assert asked > 400, asked

    def refused(found):
        return sum(x["status"] == 401 for x in found)

    found = audit(d, lambda found: refused(found) + sum(x.get("refused_unwritten", 0) for x in found) == asked + 1)
    assert refused(found) <= 301
    assert refused(found) + sum(x.get("refused_unwritten", 0) for x in found) == asked + 1
    # Those who hold a token are written down however many they are.
    before = len(found)
    for _ in range(150):
        root.request("DELETE", "/v1/snapshots/none")
    d.stop()
    assert len(audit(d)) - before == 150


def test_the_audit_log_is_moved_and_turned_off(fresh_daemon, tmp_path):
    conf = tmp_path / "conf"
    conf.write_text("log_level = info\n")
    d = fresh_daemon("--config", str(conf))

    def reload(text):
        conf.write_text(text)
        time.sleep(0.2)  # a line comes behind its answer
        n = d.log().count("settings reloaded")
        os.kill(d.pid, 1)
        until = time.monotonic() + 20
        while d.log().count("settings reloaded") == n and time.monotonic() < until:
            time.sleep(0.02)

    d.request("PUT", "/v1/datasets/a", {})
    path = os.path.join(d.data, "audit.log")
    os.rename(path, path + ".1")
    d.request("PUT", "/v1/datasets/b", {})
    reload("log_level = info\n")
    d.request("PUT", "/v1/datasets/c", {})
    reload(f"audit_log = {tmp_path}/elsewhere\n")
    d.request("PUT", "/v1/datasets/d", {})
    reload(f"audit_log = {tmp_path}/no-folder/file\n")
    assert "the old one goes on" in d.log()
    d.request("PUT", "/v1/datasets/e", {})
    reload("audit_log = off\n")
    d.request("PUT", "/v1/datasets/f", {})
    d.stop()

    def paths(file):
        return [json.loads(line)["path"][-1] for line in open(file, encoding="utf-8")]

    assert (paths(path + ".1"), paths(path), paths(tmp_path / "elsewhere")) == (["a", "b"], ["c"], ["d", "e"])


def test_a_lost_line_is_counted_and_stops_nobody(fresh_daemon):
    d = fresh_daemon("--audit-log", "/dev/full")
    for i in range(3):
        assert d.request("PUT", f"/v1/datasets/d{i}", {}).status == 201
    assert "prefd_audit_lost_total 3" in d.request("GET", "/metrics").body.decode()
    assert d.log().count("lines are lost") == 1


# --- limits of a token --------------------------------------------------------------------------------------


def asking(daemon, token, seconds, path="/v1/datasets"):
    """Statuses and headers of as many requests as go into this time, on one connection."""
    connection, out, until = daemon.connect(), [], time.monotonic() + seconds
    while time.monotonic() < until:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        body = answer.read()
        out.append((answer.status, {k.lower(): v for k, v in answer.getheaders()}, body))
    connection.close()
    return out


def test_requests_a_second(place):
    text = create(place.data, "slow", "read", "--requests-per-second", "20")
    began = time.monotonic()
    got = asking(place.daemon, text, 2.0)
    took = time.monotonic() - began
    good = [h for s, h, _ in got if s == 200]
    refused = [(h, b) for s, h, b in got if s == 429]
    assert len(good) + len(refused) == len(got) and refused
    assert 20 <= len(good) <= 20 + 20 * took + 1, (len(good), took)
    assert all(h["ratelimit-policy"] == '"requests";q=20;w=1' for _, h, _ in got)
    assert re.fullmatch(r'"requests";r=19;t=1', good[0]["ratelimit"]) and '"requests";r=0;t=1' in {h["ratelimit"] for h, _ in refused}
    assert all(h["retry-after"] == "1" and h["cache-control"] == "no-store" and
               json.loads(b)["type"] == "/problems/too-many-requests" for h, b in refused)
    time.sleep(1.1)  # as Retry-After says
    assert asking(place.daemon, text, 0.01)[0][0] == 200
    # The control: another token is asked nothing of the kind.
    free = asking(place.daemon, place.token["read"], 0.5)
    assert {s for s, _, _ in free} == {200} and len(free) > 30 and not any("ratelimit" in h for _, h, _ in free)

    def slow(found):
        return sum(x["status"] == 429 and x["name"] == "slow" for x in found)

    assert slow(audit(place.daemon, lambda found: slow(found) >= len(refused))) >= len(refused)


def test_bytes_a_second(place):
    """A long answer is not cut; the next request waits for it."""
    page = len(place.root.request("GET", "/openapi.json").body)
    size = len(place.root.request("GET", "/metrics").body)
    assert page > size > 2000
    text = create(place.data, "thin", "read", "--bytes-per-second", str(size // 3))
    first = asking(place.daemon, text, 0.001, "/metrics")[0]
    assert first[0] == 200 and len(first[2]) > size // 2
    assert first[1]["ratelimit-policy"] == f'"bytes";q={size // 3};w=1;qu="content-bytes"'
    time.sleep(0.2)  # charged behind the answer
    until, statuses = time.monotonic() + 0.5, []
    while time.monotonic() < until:
        status, headers, _ = asking(place.daemon, text, 0.001)[0]
        statuses.append(status)
    assert set(statuses) == {429} and 1 <= int(headers["retry-after"]) <= 4
    time.sleep(int(headers["retry-after"]) + 0.5)
    assert asking(place.daemon, text, 0.001)[0][0] == 200


def test_bodies_count_too(place):
    text = create(place.data, "poster", "ingest", "--bytes-per-second", "1000")
    who, rows = As(place.daemon, text), [row(i, 8) for i in range(400, 410)]
    assert len(lines(rows)) > 4000
    assert who.post_rows("/v1/datasets/theirs/records", rows).status == 200
    time.sleep(0.2)  # charged behind the answer
    answer = who.post_rows("/v1/datasets/theirs/records", rows)
    assert answer.status == 429 and int(answer.headers["retry-after"]) >= 3, answer


def test_connections_of_one_address(fresh_daemon):
    d = fresh_daemon("--address-connections", "5", "--http-connections", "64")
    assert d.request("GET", "/v1/limits").json()["address_connections"] == 5
    held = []
    for _ in range(5):
        connection = d.connect()
        connection.request("GET", "/healthz")
        assert connection.getresponse().read()
        held.append(connection)
    with pytest.raises((ConnectionError, OSError)):
        d.request("GET", "/healthz")
    other = socket.create_connection((d.host, d.port), timeout=SECONDS, source_address=("127.0.0.2", 0))
    other.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert other.recv(100).startswith(b"HTTP/1.1 200")
    other.close()
    for connection in held:
        connection.close()
