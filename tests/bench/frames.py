#!/usr/bin/python3
"""Compressed batches: what packing them anew costs, and what stored frames would save.

  tests/bench/frames.py FOLDER [SET ...] [--build build]     FOLDER: SET.ndjson.gz, record rows

Each set goes into a daemon and an epoch of batches of 64 comes out (format trl). On
those build/bench/frames (frames.c) tries the ways. Then the daemon serves under load
with each coding: seconds of CPU a batch, everything included. Prints both tables,
writes BUILD/bench/frames.json. docs/compressed-batches.md says what follows."""

import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import tempfile

import kit

BATCH = 64
EPOCH_BATCHES_MAX = 30  # of one set
LOAD_SECONDS = 2
ROUNDS = 3
CONNECTIONS = 8
CREATE = {"shaberi": ["--attribute", "overall=0:10"]}  # where the range must be said
VOTES = {"pairing": {"strategy": "comparisons"}, "view": {"augment": "none"}}
COLUMNS = ("bytes", "ratio", "pack_us", "unpack_us", "stored")


def import_set(prefd, path, name):
    env = {**os.environ, "HOME": prefd.folder, "XDG_STATE_HOME": prefd.folder}
    subprocess.run([os.path.abspath(prefd.binary), "import", "--server", prefd.url, "--dataset", name, "--create",
                    *CREATE.get(name, []), path], check=True, capture_output=True, timeout=120, env=env)


def snapshot(prefd, name):
    """Its number of examples: from scores, else from comparisons; 0 where nothing makes a pair."""
    for i, recipe in enumerate(({}, VOTES)):
        status, _, body = prefd.request("POST", f"/v1/datasets/{name}/snapshots?wait=60",
                                        {"name": name + str(i), "recipe": recipe})
        shot = json.loads(body)
        if status == 201 and shot["examples"] >= BATCH:
            return shot["id"], shot["examples"]
    return None, 0


def write_batches(prefd, shot, examples, folder):
    for offset in range(0, min(examples - BATCH, EPOCH_BATCHES_MAX * BATCH) + 1, BATCH):
        status, _, body = prefd.request("GET", f"/v1/snapshots/{shot}/batch?batch_size={BATCH}&offset={offset}",
                                        headers={"Accept": "application/x-ndjson"})
        assert status == 200, body
        with open(os.path.join(folder, f"{shot}-{offset:06}"), "wb") as f:
            f.write(body)


def ways(build, files):
    """{way: {column: value}} of frames.c on these batches."""
    out = subprocess.run([os.path.join(build, "bench", "frames"), *files], check=True, capture_output=True, text=True,
                         timeout=300).stdout
    return {w: dict(zip(COLUMNS, map(float, rest))) for w, *rest in map(str.split, out.splitlines())}


def daemon_cost(prefd, shot, examples, size, coding):
    """(microseconds of CPU, bytes) that the daemon spends on a batch."""
    path = f"/v1/snapshots/{shot}/batch?batch_size={size}&offset=%d"
    script = f'wrk.headers["Accept-Encoding"] = "{coding}"\n' + kit.lua_random(path, examples - size)
    before = kit.cpu_seconds(prefd.pid)
    load = kit.wrk(prefd.url, CONNECTIONS, LOAD_SECONDS, script)
    used = kit.cpu_seconds(prefd.pid) - before
    batches = load["requests_per_s"] * LOAD_SECONDS
    return 1e6 * used / batches, load["bytes_per_s"] / load["requests_per_s"]


def daemon_costs(prefd, shot, examples):
    cases = {"identity": (BATCH, "identity"), "zstd": (BATCH, "zstd"), "gzip": (BATCH, "gzip"),
             "identity, one example": (1, "identity")}
    seen = {name: [] for name in cases}
    for _ in range(ROUNDS):
        for name, (size, coding) in cases.items():
            seen[name].append(daemon_cost(prefd, shot, examples, size, coding))
    return {name: {"cpu_us": statistics.median(c for c, _ in runs), "bytes": statistics.median(b for _, b in runs)}
            for name, runs in seen.items()}


def table(name, rows):
    print(f"\n{name:12}  bytes/batch  ratio   pack us  unpack us  stored")
    for way, r in rows.items():
        print(f"  {way:10} {r['bytes']:12.0f} {r['ratio']:6.3f} {r['pack_us']:9.1f} {r['unpack_us']:10.1f} "
              f"{r['stored']:7.3f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("sets", nargs="*", metavar="set", help="all of the folder unless named")
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"))
    args = parser.parse_args()
    result, largest = {"sets": {}}, (None, 0)
    with kit.Prefd() as prefd, tempfile.TemporaryDirectory() as out:
        for path in sorted(glob.glob(os.path.join(args.folder, "*.ndjson.gz"))):
            name = os.path.basename(path).removesuffix(".ndjson.gz")
            if args.sets and name not in args.sets:
                continue
            import_set(prefd, os.path.abspath(path), name)
            shot, examples = snapshot(prefd, name)
            if not shot:
                print(f"{name}: no pairs (one response a prompt)", file=sys.stderr)
                continue
            largest = max(largest, (shot, examples), key=lambda x: x[1])
            write_batches(prefd, shot, examples, out)
            result["sets"][name] = ways(args.build, sorted(glob.glob(os.path.join(out, shot + "-*"))))
            table(name, result["sets"][name])
        if len(result["sets"]) > 1:
            result["sets"]["all"] = ways(args.build, sorted(glob.glob(os.path.join(out, "*"))))
            table("all", result["sets"]["all"])
        result["daemon"] = daemon_costs(prefd, *largest)
    print(f"\nthe daemon, {largest[0]}    us of CPU a batch, bytes")
    for name, r in result["daemon"].items():
        print(f"  {name:24} {r['cpu_us']:10.1f} {r['bytes']:10.0f}")
    with open(os.path.join(args.build, "bench", "frames.json"), "w", encoding="utf-8") as f:
        json.dump(result, f, indent=1)


if __name__ == "__main__":
    main()
