"""What the lines of `make bench` share: a row of the table, how two sides take turns,
the load generator, made-up data, and (from servers.py) the servers themselves."""

import dataclasses
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

from servers import Nginx, Prefd, Redis, Sendmsg, Server, Uvicorn  # noqa: F401 - one door for the lines

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
CALM = 0.1  # at most this part of the processors' time may be stolen from a turn


@dataclasses.dataclass
class Args:
    """What run.py hands to each line's measure()."""
    quick: bool = False           # small sizes: only to see that everything works
    rounds: int = 5               # how often each side has its turn
    build: str = os.path.join(ROOT, "build")

    @property
    def seconds(self):
        """How long one turn under load lasts."""
        return 1 if self.quick else 2

    def yardstick(self, name):
        """A program of tests/bench/*.c."""
        return os.path.join(self.build, "bench", name)


@dataclasses.dataclass
class Row:
    """One line of the table. ours[i] and theirs[i] were measured one after the other;
    without theirs, ours is compared with nothing ("itself" is worked out by the line)."""
    what: str
    yardstick: str
    unit: str
    ours: list
    theirs: list
    good: str                     # words, as in the table: "≥ 0.8" is a bound of the ratio
    goal: str
    better: str = "higher"        # or "lower"
    note: str = ""
    verdict: str = ""             # "goal", "good" or "no" where the bounds are not "≥ ratio"

    def ratios(self):
        """Pair by pair; above 1 always means better than the yardstick."""
        if not self.theirs:
            return []
        up = self.better == "higher"
        return [(a / b if up else b / a) for a, b in zip(self.ours, self.theirs)]

    def reached(self):
        """The better of the two bounds that the median holds."""
        if self.verdict:
            return self.verdict
        ratio = self.summary()["ratio"]
        for name, words in (("goal", self.goal), ("good", self.good)):
            bound = re.match(r"≥ ([0-9.,]+)", words)
            if ratio and bound and ratio[1] >= float(bound[1].replace(",", "")):
                return name
        return "no"

    def summary(self):
        """ours, theirs: medians; ratio: (min, median, max). None where there is nothing."""
        r = self.ratios()
        return {"ours": statistics.median(self.ours),
                "theirs": statistics.median(self.theirs) if self.theirs else None,
                "ratio": (min(r), statistics.median(r), max(r)) if r else None}


def stolen():
    """(ticks that the host took from this machine's cores so far, all ticks)."""
    with open("/proc/stat", encoding="ascii") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    return ticks[7], sum(ticks)


def in_turn(sides, rounds=5):
    """Calls the sides one after the other, again and again; for each a list of what it
    returned. On a shared machine others steal processor time; a round from which more than
    CALM of it was stolen is repeated, and after twice the rounds the calmest ones count.
    The choice looks at the stolen time alone, never at a result."""
    done = []
    while sum(lost <= CALM for lost, _ in done) < rounds and len(done) < 2 * rounds:
        lost = []
        got = []
        for side in sides:
            before = stolen()
            got.append(side())
            after = stolen()
            lost.append((after[0] - before[0]) / max(1, after[1] - before[1]))
        done.append((max(lost), got))
    kept = sorted(done, key=lambda turn: turn[0])[:rounds]
    if kept[-1][0] > CALM:
        print(f"  up to {kept[-1][0]:.0%} of the processors' time was stolen from a turn", file=sys.stderr)
    return [[got[i] for _, got in kept] for i in range(len(sides))]


def abab(ours, theirs, rounds=5):
    """in_turn for two sides: two lists."""
    return in_turn((ours, theirs), rounds)


def settle():
    """After the preparation: what was written goes to the disk now, not while others are measured."""
    os.sync()
    time.sleep(0.5)


# --- load ------------------------------------------------------------------------

WRK_DONE = """
function done(summary, latency, requests)
    local e = summary.errors
    io.stderr:write(string.format(
        '{"requests":%d,"bytes":%d,"us":%d,"p50":%d,"p99":%d,"errors":%d}\\n', summary.requests, summary.bytes,
        summary.duration, latency:percentile(50), latency:percentile(99),
        e.connect + e.read + e.write + e.status + e.timeout))
end
"""


def wrk(url, connections, seconds, script="", threads=2):
    """Requests for so many seconds. script: Lua that defines `request`. Anything but a
    2xx ends the measurement with RuntimeError."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as lua:
        lua.write(script + WRK_DONE)
        lua.flush()
        run = subprocess.run(
            ["wrk", "-t", str(min(threads, connections)), "-c", str(connections), "-d", f"{seconds}s",
             "--timeout", "10s", "-s", lua.name, url], capture_output=True, text=True, timeout=seconds + 60)
    if run.returncode or not run.stderr.strip().startswith("{"):
        raise RuntimeError(f"wrk: {run.stderr.strip() or run.stdout.strip()}")
    said = json.loads(run.stderr)
    if said["errors"] or not said["requests"]:
        raise RuntimeError(f"wrk at {url}: {said['errors']} errors in {said['requests']} requests")
    s = said["us"] / 1e6
    return {"requests_per_s": said["requests"] / s, "bytes_per_s": said["bytes"] / s,
            "p50_ms": said["p50"] / 1e3, "p99_ms": said["p99"] / 1e3, "errors": said["errors"]}


def lua_random(path, last, step=1):
    """A script that asks for `path` with %d replaced by a random multiple of step, at most last."""
    return f"""
    function init() math.randomseed(tonumber(tostring({{}}):match("0x(%x+)"), 16) % 2147483647) end
    function request()
        return wrk.format("GET", string.format("{path}", {step} * math.random(0, {last // step})))
    end
    """


def rss_anon(pid):
    """Bytes of a process's own memory: without mapped files."""
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith("RssAnon"))


def cpu_seconds(pid):
    """User and system time of a process so far."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# --- data ------------------------------------------------------------------------

SYLLABLES = "ka lo min tra ve so pel ru dan shi qu est or ban ti ell om gra fi nu".split()
JUDGES = ("gpt-4", "judge-lm", "rule", "human", "reward-model")


def sentences(rng, n):
    """n sentences of invented words, some with a quote, a line break or an umlaut in them."""
    words = ["".join(rng.choices(SYLLABLES, k=rng.randint(1, 4))) for _ in range(3000)]
    out = []
    for i in range(n):
        s = " ".join(rng.choices(words, k=rng.randint(5, 18))).capitalize()
        out.append(s + (".", ".", "?", "!", ":\n", " \"so\".", " - größer.", ".\n\n")[i % 8])
    return out


def texts(rng, mean_bytes):
    """Endless texts: lengths spread about the mean as answers' lengths do (log-normal)."""
    pool = " ".join(sentences(rng, 20000))
    while True:
        size = max(8, int(mean_bytes * rng.lognormvariate(-0.125, 0.5)))
        at = rng.randrange(max(1, len(pool) - size))
        while size > len(pool):
            yield (pool * (size // len(pool) + 1))[:size]
            size = max(8, int(mean_bytes * rng.lognormvariate(-0.125, 0.5)))
        yield pool[at:at + size]


def responses(n, text_bytes, scores=5, seed=1, each=2):
    """n responses as NDJSON lines (bytes) for POST …/records: prompts with `each` responses,
    and so many scores on each response, in whole and half points from 1 to 10. The same
    arguments give the same bytes. The ids run: p0, p1, …; p0.0, p0.1, …"""
    rng = random.Random(seed)
    answer, question = texts(rng, text_bytes), texts(rng, 200)
    for p in range((n + each - 1) // each):
        rows = [{"id": f"p{p}.{k}", "text": next(answer), "model": f"model-{k % 4}",
                 "scores": [{"judge": JUDGES[j % 5] + (str(j // 5) if j > 4 else ""), "value": rng.randint(2, 20) / 2}
                            for j in range(scores)]}
                for k in range(min(each, n - p * each))]
        yield json.dumps({"id": f"p{p}", "prompt": f"{p}. {next(question)}", "responses": rows},
                         ensure_ascii=False).encode() + b"\n"


def bodies(rows, body_bytes=16 << 20):
    """Rows put together into bodies of about that size."""
    held, size = [], 0
    for row in rows:
        held.append(row)
        size += len(row)
        if size >= body_bytes:
            yield b"".join(held)
            held, size = [], 0
    if held:
        yield b"".join(held)
