#!/usr/bin/python3
"""A paper model of one prefd and of many (docs/scaling.md).

  tests/bench/model.py [--build build] [--cores 8] [--nic 10] [--trainers 1000] ...

Takes what `make bench` and `make bench-frames` measured from BUILD/bench; what is not
there comes from SEEN. Every input is printed with where it is from, so that nobody takes
an assumption for a figure."""

import argparse
import json
import math
import os

HERE = os.path.dirname(os.path.abspath(__file__))
BATCH = 64
PAYLOAD = 1448 / 1538  # of an Ethernet frame of 1500 with TCP and its time stamps
RATES = (10, 100, 2000)  # examples a second of a rank: a large model, a middling one, a byte-level toy
COST = {"identity": "identity", "zstd": "zstd", "gzip": "gzip"}

# Seen once on two shared cores while this was written; replaced by BUILD/bench where it is there.
SEEN = {
    "identity_us": 94, "identity_bytes": 231_900, "zstd_us": 1565, "zstd_bytes": 79_500, "gzip_us": 4173,
    "gzip_bytes": 86_900,
    "bytes_per_pair": 3350, "singles_ordered": 25_600, "singles_random": 15_400, "bulk": 27_700,
}
# Never measured here.
ASSUMED = {
    "wal_bytes_per_score": 4400,    # random order, 64 a commit: seen with bare SQLite, not with prefd
    "disk_write_MBs": 1000,         # an NVMe disk
    "disk_random_reads": 200_000,   # 4 KiB each, deep queue
    "reads_per_example": 4,         # pages of records and texts of one example
    "page_cache_GB": 24,            # what the kernel can keep of 32 GB
}


def measured(build):
    """{input: (value, where from)}"""
    got = {k: (v, "seen once") for k, v in SEEN.items()}

    def take(name):
        try:
            with open(os.path.join(build, "bench", name), encoding="utf-8") as f:
                return json.load(f)
        except FileNotFoundError:
            return {}

    for coding, r in take("frames.json").get("daemon", {}).items():
        if coding in COST:
            got[coding + "_us"] = (r["cpu_us"], "frames.json")
            got[coding + "_bytes"] = (r["bytes"], "frames.json")
    results = take("results.json")
    label = "results.json" + (", quick" if results.get("quick") else "")
    for row in results.get("rows", []):
        if row["what"].startswith("single scores") and row["yardstick"].startswith("Redis"):
            key = "singles_random" if "random" in row["what"] else "singles_ordered"
        elif row["what"].startswith("bulk ingest") and row["unit"].endswith("/s"):
            key = "bulk"
        else:
            continue
        got[key] = (row["ours"], label)
    return got


def words(x):
    """Three digits that count, with thousands."""
    if x is None:
        return "not measured"
    digits = 0 if x == 0 else max(0, 2 - int(math.floor(math.log10(abs(x)))))
    return f"{round(x, 2 - int(math.floor(math.log10(abs(x)))) if x else 0):,.{digits}f}"


def serving(v, cores, nic_gbit, coding):
    """(examples/s, what stops it) of one machine. All cores serve."""
    by = {"cores": cores * 1e6 / v[coding + "_us"] * BATCH,
          f"card {nic_gbit:g} Gbit/s": nic_gbit * 1e9 / 8 * PAYLOAD / v[coding + "_bytes"] * BATCH}
    limit = min(by, key=by.get)
    return by[limit], limit


def show_serving(v, cores):
    print(f"\nexamples a second that one machine serves ({cores} cores, snapshot in memory), and what stops it")
    for coding in COST:
        line = [f"{coding:9}"]
        for nic in (1, 10, 100):
            rate, limit = serving(v, cores, nic, coding)
            line.append(f"{nic:3} Gbit/s {words(rate):>10} ({limit.split()[0]})")
        print("  " + "   ".join(line))
    cold = ASSUMED["disk_random_reads"] / ASSUMED["reads_per_example"]
    pairs = ASSUMED["page_cache_GB"] * 1e9 / v["bytes_per_pair"]
    print(f"  a snapshot stays in memory up to {words(pairs)} pairs; beyond, shuffled, from the disk: "
          f"{words(cold)} examples/s")


def show_writing(v):
    print("\nscores a second that one machine takes (one writer, whatever the cores)")
    print(f"  one a request, prompt order    {words(v['singles_ordered']):>12}")
    print(f"  one a request, random order    {words(v['singles_random']):>12}   WAL and checkpoint "
          f"{words(2 * v['singles_random'] * ASSUMED['wal_bytes_per_score'] / 1e6)} MB/s "
          f"of {ASSUMED['disk_write_MBs']}")
    bulk = v["bulk"] and 5 * v["bulk"]
    print(f"  in bulk, five on a response    {words(bulk):>12}")
    print("  one client alone, by the time of an fsync: "
          + ", ".join(f"{ms:g} ms {words(1000 / ms)}" for ms in (0.1, 1, 5))
          + " at most; 64 clients at most 64 times that")


def show_fleet(v, cores, nic, machines, ranks):
    print(f"\nwhat {machines} training machines of {ranks} ranks need ({cores} cores and {nic:g} Gbit/s each prefd)")
    for rate in RATES:
        need = machines * ranks * rate
        line = [f"{rate:5} a rank: {words(need):>12} examples/s, {words(need / BATCH * v['identity_bytes'] * 8 / 1e9)} Gbit/s"]
        for coding in ("identity", "zstd"):
            one, limit = serving(v, cores, nic, coding)
            line.append(f"{coding} {math.ceil(need / one)} prefd ({limit.split()[0]})")
        print("  " + "; ".join(line))
    print(f"  connections kept alive: {machines * ranks} in all; --http-connections is 1024 unless set, at most 65536")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", default=os.path.join(HERE, "..", "..", "build"))
    parser.add_argument("--cores", type=int, default=8)
    parser.add_argument("--nic", type=float, default=10, help="Gbit/s")
    parser.add_argument("--trainers", type=int, default=1000, help="machines that train")
    parser.add_argument("--ranks", type=int, default=8, help="of each")
    args = parser.parse_args()
    inputs = measured(args.build)
    print("inputs")
    for name, (value, source) in inputs.items():
        print(f"  {name:22} {words(value):>12}   measured: {source}" if value else f"  {name:22} {'-':>12}   no figure yet")
    for name, value in ASSUMED.items():
        print(f"  {name:22} {words(value):>12}   assumed")
    v = {name: value for name, (value, _) in inputs.items()}
    show_serving(v, args.cores)
    show_writing(v)
    show_fleet(v, args.cores, args.nic, args.trainers, args.ranks)


if __name__ == "__main__":
    main()
