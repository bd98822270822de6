#!/usr/bin/python3
"""Random clients against the real daemon, with crashes in the middle; afterwards every answer is checked.

  tests/history/run.py [--seeds N] [--first SEED] [--seconds S] [--crashes N] [--clients N] [--keep DIR]

A seed is one daemon on a folder of its own, S seconds of clients, and N times kill -9 and a start on the same folder
and port; at the end it is told to stop (SIGTERM), started once more and read through. What clients do follows from
the seed; how they fall among each other does not, so a failure shows the history's file, and
tests/history/check.py says the same of it again. Then the negative controls (mutate.py): histories that were
tampered with, and a database that lost commits, each of which must be found. PREFD_BIN names the binary; the default is build/prefd.

  clients.py   what random clients do       history.py            what is noted
  check.py     the promises                 order.py              the search for an order of all answers
  mutate.py    the negative controls        ledger.py, bodies.py  what a sequential prefd says of datasets
                                            rounds.py             … and of rounds
"""

import argparse
import concurrent.futures
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, HERE)

import check  # noqa: E402
import clients  # noqa: E402
import history  # noqa: E402
import mutate  # noqa: E402
import rounds  # noqa: E402

BINARY = os.path.abspath(os.environ.get("PREFD_BIN", os.path.join(ROOT, "build", "prefd")))
START_SECONDS, STOP_SECONDS, JOIN_SECONDS = 60, 60, 120
LEDGERS, ROUND_PLACES = 3, 1  # datasets
CONTROL_SECONDS = 5  # of the history that controls spoil
FORGET_ATTEMPTS = 4


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Daemon:
    """prefd on one folder and one port, started again and again."""

    def __init__(self, folder, notes):
        self.folder, self.notes, self.port = folder, notes, free_port()
        self.process = None

    def start(self):
        with open(os.path.join(self.folder, "log"), "ab") as log:
            env = {k: v for k, v in os.environ.items() if not k.startswith("PREFD_")}
            self.process = subprocess.Popen(
                [BINARY, "serve", "--listen", f"127.0.0.1:{self.port}", "--data", os.path.join(self.folder, "data")],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env)
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                c.request("GET", "/readyz")
                if c.getresponse().status == 200:
                    c.close()
                    return
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
        raise RuntimeError(f"prefd did not start; its log: {os.path.join(self.folder, 'log')}")

    def end(self, event):
        begin = time.monotonic()
        self.process.send_signal(signal.SIGKILL if event == "kill" else signal.SIGTERM)
        status = self.process.wait(STOP_SECONDS)
        self.notes.note({"event": event, "begin": begin, "end": time.monotonic()})
        if event == "stop" and status != 0:
            raise RuntimeError(f"prefd ended with {status}; its log: {os.path.join(self.folder, 'log')}")


    def forget(self):
        """Loses the later half of the commits in the database's log (SQLite's WAL: a header with a salt, and frames
        with the same one; what lies behind them is from before)."""
        with open(os.path.join(self.folder, "data", "prefd.db-wal"), "r+b") as log:
            header = log.read(32)
            frame, n = 24 + int.from_bytes(header[8:12], "big"), 0
            while header and log.read(frame)[8:16] == header[16:24]:
                n += 1
            log.truncate(len(header) + n // 2 * frame)


class Run:
    """One seed."""

    def __init__(self, seed, options, folder):
        self.seed, self.options, self.folder = seed, options, folder
        self.path = os.path.join(folder, "history.ndjson")
        self.notes = history.History(self.path)
        self.random = random.Random(f"{seed}/run")
        self.daemon = Daemon(folder, self.notes)
        self.up, self.stop = threading.Event(), threading.Event()
        self.ledgers = [f"s{seed}-d{i}" for i in range(LEDGERS)]
        self.rounds = [f"s{seed}-r{i}" for i in range(ROUND_PLACES)]
        self.observer = self.client(0)

    def client(self, number):
        return clients.Client(number, self.seed, self.daemon.port, self.notes, self.up, self.stop, self.ledgers,
                              self.rounds)

    def prepare(self):
        """Datasets, and the prompts of rounds: these are there before anybody takes notes."""
        rows = "".join(f'{{"id": "{p}", "prompt": "{rounds.prompt_text(p)}"}}\n' for p in rounds.PROMPTS)
        for place in self.ledgers + self.rounds:
            self.demand("PUT", f"/v1/datasets/{place}", "{}", "application/json")
        for place in self.rounds:
            self.demand("POST", f"/v1/datasets/{place}/records", rows, "application/x-ndjson")

    def demand(self, method, path, body, form):
        c = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=clients.ANSWER_SECONDS)
        c.request(method, path, body, {"Content-Type": form})
        answer = c.getresponse()
        if answer.status not in (200, 201):
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.read()!r}")
        c.close()

    def observe(self):
        """Reads everything, while nobody waits for it."""
        o = self.observer
        o.hang_up()
        for place in self.ledgers:
            for p in clients.PROMPTS:
                o.read_prompt(place, p)
            o.stats(place)
            o.list(place)
        for place in self.rounds:
            w = clients.Worker(o, place)
            for n in range(1, w.names.get(place, 1) + 1):
                w.round = f"{place}-r{n}"
                w.progress(n)
        for c in self.clients:
            for place, id in c.snapshots[-4:]:
                o.export(place, id)

    def crash(self):
        self.daemon.end("kill")
        self.up.clear()
        if self.options.forget:
            self.daemon.forget()
        self.daemon.start()
        self.observe()
        self.up.set()

    def go(self):
        self.daemon.start()
        self.prepare()
        self.clients = [self.client(i + 1) for i in range(self.options.clients)]
        self.up.set()
        for c in self.clients:
            c.start()
        part = self.options.seconds / (self.options.crashes + 1)
        for _ in range(self.options.crashes):
            time.sleep(part * self.random.uniform(0.6, 1.2))
            self.crash()
        time.sleep(part)
        self.stop.set()
        for c in self.clients:
            c.join(JOIN_SECONDS)
            if c.is_alive() or c.failure:
                raise RuntimeError(f"{c.name} failed: {c.failure!r}") from c.failure
        self.daemon.end("stop")
        self.daemon.start()
        self.observe()
        self.daemon.end("stop")

    def close(self):
        if self.daemon.process and self.daemon.process.poll() is None:
            self.daemon.process.kill()
            self.daemon.process.wait(STOP_SECONDS)
        self.notes.close()


def judged(path):
    return check.check(history.load(path))


def summary(seed, path):
    ops = history.operations(history.load(path))
    kinds = {op["do"] for op in ops}
    lost = sum(op["status"] is None for op in ops)
    return f"seed {seed}: {len(ops)} operations of {len(kinds)} kinds, {lost} without an answer"


def play(seed, options, folder):
    """The history's file."""
    os.makedirs(folder)
    run = Run(seed, options, folder)
    try:
        run.go()
    finally:
        run.close()
    return run.path


def changed(options, **to):
    return argparse.Namespace(**{**vars(options), **to})


def play_all(options, top):
    """(seed, its history's file, what was found in it: a future), one by one; while the next seed plays, the last is
    checked. The last of all is short: the controls spoil it."""
    short = changed(options, seconds=CONTROL_SECONDS, crashes=1)
    plays = [(seed, options) for seed in range(options.first, options.first + options.seeds)] + [("control", short)]
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        waiting = []
        for seed, how in plays:
            path = play(seed, how, os.path.join(top, str(seed)))
            waiting.append((seed, path, pool.submit(judged, path)))
            while waiting and waiting[0][2].done():
                seed, path, found = waiting.pop(0)
                yield seed, path, found.result()
        for seed, path, found in waiting:
            yield seed, path, found.result()


def forgetting_is_noticed(options, top):
    """The control that needs no tampering with histories: a database that really lost what was acknowledged. More
    than one attempt, as the log may just have been emptied."""
    forgetful = changed(options, seconds=CONTROL_SECONDS, crashes=1, forget=True)
    for attempt in range(FORGET_ATTEMPTS):
        path = play(f"forgetful-{attempt}", forgetful, os.path.join(top, f"forgetful-{attempt}"))
        if check.acknowledged_rows_stay(check.Told(history.load(path))):
            print("a database that lost commits was found out", flush=True)
            return True
    print("a database that lost commits was NOT found out")
    return False


def show(seed, path, found):
    """How many promises were broken."""
    broken = {p: texts for p, texts in found.items() if texts}
    print(f"{summary(seed, path)}: {len(found) - len(broken)} of {len(found)} promises kept", flush=True)
    for promise, texts in broken.items():
        print(f"  {promise}: {getattr(check, promise).__doc__}")
        for text in texts[:3]:
            print(f"    {text}")
        print(f"    again: tests/history/check.py {path}")
    return len(broken)


def main():
    parser = argparse.ArgumentParser(description="Random clients, crashes, and what was promised.")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seconds", type=float, default=35, help="of clients, a seed")
    parser.add_argument("--crashes", type=int, default=5, help="a seed")
    parser.add_argument("--clients", type=int, default=6)
    parser.add_argument("--forget", action="store_true",
                        help="lose some commits at each crash: a control, promises must break")
    parser.add_argument("--keep", help="where histories stay; else only those of broken promises do")
    options = parser.parse_args()
    top = tempfile.mkdtemp(prefix="prefd-history-", dir=options.keep)
    passed = failed = 0
    paths = []
    for seed, path, found in play_all(options, top):
        broken = show(seed, path, found)
        passed, failed = passed + len(found) - broken, failed + broken
        paths.insert(0, path)
    if not failed:  # controls spoil what is good; what the short history has not got, they look for in a long one
        missed = mutate.controls([history.load(path) for path in paths[:3]]) + (not forgetting_is_noticed(options, top))
        passed, failed = passed + len(mutate.CONTROLS) + 1 - missed, failed + missed
    if not failed and not options.keep:
        shutil.rmtree(top)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (RuntimeError, OSError, subprocess.TimeoutExpired) as e:
        print(f"{e}\n0 passed, 1 failed")
        sys.exit(1)
