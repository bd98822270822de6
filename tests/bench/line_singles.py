"""Single scores, one a request, 64 connections kept alive, each answered after its fsync:
as judges and annotation tools post them. Beside Redis (RPUSH of the same bytes,
`appendfsync always`, no pipelining) and FastAPI with SQLite. Every request is a score that
was not there: responses posted beforehand, and a new judge whenever all have been scored.
Afterwards all are counted, so no answer was a mere `unchanged`."""

import os
import sqlite3
import subprocess
import tempfile

import kit


CONNECTIONS = 64
EACH = 4  # responses of a prompt

# One thread of wrk has one counter. stride: prime to the number of responses, so that
# every response comes once before the first comes again. 1: in prompt order.
SCRIPT = """
local at, judge, n, stride = 0, 0, %(n)d, %(stride)d
local head = "POST %(path)s HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nContent-Length: "
function request()
    if at == n then at, judge = 0, judge + 1 end
    local i = (at * stride) %% n
    at = at + 1
    local body = string.format('{"response":"p%%d.%%d","judge":"%(judge)s-%%d","value":%%d}',
        math.floor(i / %(each)d), i %% %(each)d, judge, 1 + i %% 10)
    return head .. #body .. "\\r\\n\\r\\n" .. body
end
"""


def stride_of(n):
    """About a golden part of n and prime to it."""
    stride = int(n * 0.618) | 1
    while any(stride % p == 0 for p in (2, 3, 5, 7) if n % p == 0):
        stride += 2
    return stride


class Turns:
    """Each call is a turn under load by a judge of its own; p99 and the requests are kept."""

    def __init__(self, server, path, n, stride, seconds):
        self.server, self.path, self.n, self.stride, self.seconds = server, path, n, stride, seconds
        self.p99, self.requests, self.turn = [], 0, 0

    def __call__(self):
        self.turn += 1
        script = SCRIPT % {"n": self.n, "stride": self.stride, "path": self.path, "each": EACH,
                           "judge": f"judge-{self.stride}-{self.turn}"}
        got = kit.wrk(self.server.url, CONNECTIONS, self.seconds, script, threads=1)
        self.p99.append(got["p99_ms"])
        self.requests += round(got["requests_per_s"] * self.seconds)
        return got["requests_per_s"]


def redis_turn(redis, requests):
    """(answers a second, p99 in ms) of RPUSH with a score's bytes; the server must say that it syncs."""
    ask = ["redis-cli", "-p", str(redis.port)]
    said = subprocess.run([*ask, "CONFIG", "GET", "appendfsync"], capture_output=True, text=True, check=True, timeout=30)
    assert said.stdout.split() == ["appendfsync", "always"], said.stdout
    row = '{"response":"p__rand_int__.0","judge":"judge-1-0","value":7}'
    run = subprocess.run(["redis-benchmark", "-p", str(redis.port), "-c", str(CONNECTIONS), "-n", str(requests), "-r",
                          "100000", "--csv", "RPUSH", "scores", row], capture_output=True, text=True, check=True, timeout=120)
    # "test","rps","avg","min","p50","p95","p99","max"; the test's name holds quotes of its own
    figures = [float(x.strip('"')) for x in run.stdout.splitlines()[-1].rsplit(",", 7)[1:]]
    there = subprocess.run([*ask, "LLEN", "scores"], capture_output=True, text=True, check=True, timeout=30)
    assert int(there.stdout) >= requests, there.stdout
    return figures[0], figures[5]


def fill(prefd, n):
    prefd.dataset("d")
    for body in kit.bodies(kit.responses(n, 300, scores=0, each=EACH)):
        prefd.post("d", body)


def check_all_new(stored, turns):
    """As many scores as requests were answered, but for those under way at a turn's end."""
    answered = sum(t.requests for t in turns)
    slack = 0.02 * answered + CONNECTIONS * sum(t.turn for t in turns)
    assert abs(stored - answered) <= slack, f"{answered} answered, {stored} stored"


def row(turns, figures, yardstick, good, goal, order):
    p99 = max(turns.p99)
    r = kit.Row(f"single scores, one a request, 64 connections, {order}", yardstick, "/s", *figures, good, goal,
                note=f"p99 {p99:.1f} ms (at most 60)")
    if p99 > 60:
        r.verdict = "no"
    return r


def redis_rows(args, in_order, at_random):
    tails, requests = [], 3_000 if args.quick else 80_000 * args.seconds
    with kit.Redis() as redis:
        def theirs():
            rate, tail = redis_turn(redis, requests)
            tails.append(tail)
            return rate
        rows = [row(in_order, kit.abab(in_order, theirs, args.rounds), "Redis RPUSH, appendfsync always", "≥ 0.4", "≥ 1.0",
                    "in prompt order"),
                row(at_random, kit.abab(at_random, theirs, args.rounds), "Redis RPUSH, appendfsync always", "≥ 0.4", "≥ 0.6",
                    "in random order")]
    for r in rows:
        r.note += f"; Redis' {max(tails):.1f} ms"
    return rows


def fastapi_row(args, in_order, n):
    with tempfile.TemporaryDirectory(prefix="prefd-bench-") as folder:
        path = os.path.join(folder, "yard.db")
        with kit.Uvicorn("yard_fastapi:app", workers=1, YARD_DB=path) as yard:
            theirs = Turns(yard, "/scores", n, 1, args.seconds)
            figures = kit.abab(in_order, theirs, args.rounds)
        db = sqlite3.connect(path)
        check_all_new(db.execute("SELECT count(*) FROM score").fetchone()[0], [theirs])
        db.close()
    r = row(in_order, figures, "FastAPI + SQLite", "-", "-", "in prompt order")
    r.verdict = "-"  # no bound was set
    return r


def measure(args):
    n = 2_000 if args.quick else 100_000
    with kit.Prefd() as prefd:
        fill(prefd, n)
        kit.settle()
        turns = [Turns(prefd, "/v1/datasets/d/scores", n, stride, args.seconds) for stride in (1, stride_of(n))]
        rows = [*redis_rows(args, *turns), fastapi_row(args, turns[0], n)]
        check_all_new(prefd.json("GET", "/v1/datasets/d/stats")["scores"], turns)
    return rows
