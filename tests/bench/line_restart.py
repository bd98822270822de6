"""Start after `kill -9`: from the call of the program to the first 200 of /readyz, with a
database of a gigabyte and the WAL that the kill left, beside an empty folder. Each turn posts
rows until it is killed in the middle of them, so each start finds work to recover."""

import http.client
import os
import shutil
import subprocess
import tempfile
import threading
import time

import kit

PROMPTS, RESPONSES, SCORES, TEXT_BYTES = 110_000, 4, 5, 1500  # about a gigabyte
POSTING_SECONDS = 2
BODY_BYTES = 4 << 20


def folder_bytes(folder, ending):
    path = os.path.join(folder, "data", "prefd.db" + ending)
    return os.path.getsize(path) if os.path.exists(path) else 0


def ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


class Restarted(kit.Prefd):
    """A start that is timed; asks every millisecond."""

    def answers(self):
        return ready(self.port)

    def timed_start(self):
        before = time.monotonic()
        self.start()
        return time.monotonic() - before


def post_until_dead(prefd, bodies):
    try:
        for body in bodies:
            prefd.post("more", body)
    except (OSError, http.client.HTTPException):
        pass  # killed under it: what this line is about


def kill_while_posting(prefd, bodies, seconds):
    """Bytes of the WAL that is left."""
    prefd.dataset("more")
    poster = threading.Thread(target=post_until_dead, args=(prefd, bodies))
    poster.start()
    poster.join(seconds)
    prefd.kill()
    poster.join(60)
    return folder_bytes(prefd.folder, "-wal")


def fresh_bodies(turn, responses):
    """Rows that no turn before has posted: ids and texts are the turn's own."""
    rows = kit.responses(responses, TEXT_BYTES, scores=SCORES, seed=turn, each=RESPONSES)
    return list(kit.bodies((row.replace(b'"id": "p', b'"id": "t%d-p' % turn) for row in rows), BODY_BYTES))


def large_turn(prefd, turn, args, wals):
    """Killed amid posting, then the seconds of the next start; it stays up."""
    bodies = fresh_bodies(turn, 4_000 if args.quick else 100_000)
    wals.append(kill_while_posting(prefd, bodies, 0.3 if args.quick else POSTING_SECONDS))
    took = prefd.timed_start()
    stats = prefd.json("GET", "/v1/datasets/d/stats")
    assert stats["responses"] == (PROMPTS // (100 if args.quick else 1)) * RESPONSES, stats["responses"]
    return took


def empty_turn():
    with Restarted() as prefd:
        prefd.kill()
        return prefd.timed_start()


def fill(args, folder):
    prompts = PROMPTS // (100 if args.quick else 1)
    subprocess.run([args.yardstick("fill"), os.path.join(folder, "data"), "d", str(prompts), str(RESPONSES), str(SCORES),
                    str(TEXT_BYTES)], check=True, timeout=600, stdout=subprocess.DEVNULL)


def measure(args):
    folder, wals, turns = tempfile.mkdtemp(prefix="prefd-bench-"), [], iter(range(1, 1000))
    try:
        fill(args, folder)
        kit.settle()
        with Restarted(folder) as prefd:
            a, b = kit.abab(lambda: large_turn(prefd, next(turns), args, wals), empty_turn, args.rounds)
            database = folder_bytes(folder, "")
    finally:
        shutil.rmtree(folder)
    row = kit.Row(f"start after kill -9, database of {database / 1e9:.1f} GB", "itself when empty", "s", a, b,
                  "≤ 2 s", "≤ 0.5 s", "lower", note=f"WAL left by the kills: {', '.join(f'{w / 1e6:.0f}' for w in wals)} MB")
    took = max(a)
    row.verdict = "goal" if took <= 0.5 else "good" if took <= 2 else "no"
    return [row]
