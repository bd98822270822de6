"""Minibatches of about 300 KB at random offsets, beside nginx that sends files of the same
size at random: the most that the loopback and a good server of plain files give."""

import json
import os
import random
import shutil
import tempfile

import kit

BATCH = 64
FILES = 800
CONNECTIONS = 16
TEXT_BYTES = 1800  # of a response: with two and a prompt 64 examples make about 300 KB


def prepare(prefd, pairs):
    """A snapshot of so many pairs; the path of its batches, its number of examples."""
    prefd.dataset("d")
    for body in kit.bodies(kit.responses(2 * pairs, TEXT_BYTES, scores=1)):
        prefd.post("d", body)
    shot = prefd.snapshot("d", "s")
    return f"/v1/snapshots/s/batch?batch_size={BATCH}&offset=%d", shot["examples"]


def check(prefd, path, examples):
    """One batch, looked at; its bytes."""
    status, _, body = prefd.request("GET", path.replace("%d", str(examples // 2)))
    batch = json.loads(body)
    for example in batch["examples"]:
        assert example["chosen"][0]["content"] and example["rejected"][0]["content"], example
    assert status == 200 and len({e["pair"] for e in batch["examples"]}) > BATCH // 2, status
    return body


def write_files(folder, size):
    """Files of a batch's size for nginx, of texts as well (no two alike)."""
    rng = random.Random(3)
    text = kit.texts(rng, TEXT_BYTES)
    pool = "".join(next(text) for _ in range(2000)).encode()
    for i in range(FILES):
        at = rng.randrange(len(pool) - size)
        with open(os.path.join(folder, str(i)), "wb") as f:
            f.write(pool[at:at + size])


def measure(args):
    pairs = 2_000 if args.quick else 58_000  # 58,000 of some 4.4 KB: as much as the 800 files
    folder = tempfile.mkdtemp(prefix="prefd-bench-files-")
    try:
        with kit.Prefd() as prefd, kit.Nginx(folder) as nginx:
            path, examples = prepare(prefd, pairs)
            size = len(check(prefd, path, examples))
            write_files(folder, size)
            status, headers, body = nginx.request("GET", f"/{FILES - 1}")
            assert status == 200 and len(body) == size, status
            kit.settle()
            ours = kit.lua_random(path, examples - BATCH)
            theirs = kit.lua_random("/%d", FILES - 1)
            a, b = kit.abab(lambda: kit.wrk(prefd.url, CONNECTIONS, args.seconds, ours)["bytes_per_s"] / 1e6,
                            lambda: kit.wrk(nginx.url, CONNECTIONS, args.seconds, theirs)["bytes_per_s"] / 1e6,
                            args.rounds)
    finally:
        shutil.rmtree(folder)
    return [kit.Row(f"minibatches of {size / 1000:.0f} KB (64 examples), random offsets, 16 connections", "nginx, sendfile",
                    "MB/s", a, b, "≥ 0.8", "≥ 1.0")]
