#!/usr/bin/python3
"""Measures prefd beside what it must bear comparison with, both sides in the same run, and
prints one table (`make bench`). A ratio above 1 means better than the yardstick.

  tests/bench/run.py                       all lines, at most 15 minutes
  tests/bench/run.py --only batches alpha  some
  tests/bench/run.py --quick               smaller sizes: does everything work?

No speed is asserted: a line fails only when it cannot be measured; then the exit status is 1."""

import argparse
import importlib
import json
import os
import platform
import sys
import time
import traceback

import kit

LINES = ("batches", "fastapi", "scale", "first_batch", "bulk", "singles", "build", "alpha", "stats", "restart")
COLUMNS = ("what", "yardstick", "ours", "yardstick, median", "ratio min / median / max", "good", "goal", "reached")


def figure(x, unit):
    """Three digits that count; the unit's own thousands stay readable."""
    if x is None:
        return "-"
    digits = 0 if abs(x) >= 100 else 1 if abs(x) >= 10 else 2 if abs(x) >= 1 else 3
    return f"{x:,.{digits}f} {unit}"


def cells(row):
    s = row.summary()
    ratio = " / ".join(figure(x, "").strip() for x in s["ratio"]) if s["ratio"] else "-"
    return (row.what, row.yardstick, figure(s["ours"], row.unit), figure(s["theirs"], row.unit), ratio,
            row.good, row.goal, row.reached())


def available(name):
    return os.path.exists(os.path.join(kit.HERE, f"line_{name}.py"))


def run_line(name, args):
    """(rows, None), or ([], why it failed)."""
    began = time.monotonic()
    try:
        rows, why = importlib.import_module(f"line_{name}").measure(args), None
    except Exception as e:  # whatever it is, the other lines are still worth running
        traceback.print_exc()
        rows, why = [], f"{type(e).__name__}: {e}".splitlines()[0][:200]
    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows, why


def table(rows, failures, quick):
    """Markdown with columns of equal width, to be read as it is too."""
    lines = [COLUMNS] + [cells(row) for row in rows]
    lines += [(f"{name}: failed", why, "-", "-", "-", "-", "-", "no") for name, why in failures.items()]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    out = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths)) + " |" for line in lines]
    out.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    out += ["", *(f"{row.what}: {row.note}" for row in rows if row.note)]
    return ("(quick: small sizes, the figures say little)\n\n" if quick else "") + "\n".join(out).rstrip() + "\n"


def document(rows, failures, quick):
    return {"quick": quick, "machine": {"cores": os.cpu_count(), "system": platform.platform()},
            "failures": failures,
            "rows": [{**vars(row), **row.summary(), "all_ours": row.ours, "all_theirs": row.theirs,
                      "ratios": row.ratios(), "reached": row.reached()} for row in rows]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="LINE", choices=LINES, help=", ".join(LINES))
    parser.add_argument("--quick", action="store_true", help="small sizes, a minute in all")
    parser.add_argument("--rounds", type=int, default=None, help="turns of each side (5; quick: 1)")
    parser.add_argument("--build", default=os.path.join(kit.ROOT, "build"), help="folder of prefd and the yardsticks")
    parser.add_argument("--out", default=None, help="folder of the results (BUILD/bench)")
    got = parser.parse_args()
    args = kit.Args(quick=got.quick, rounds=got.rounds or (1 if got.quick else 5), build=os.path.abspath(got.build))
    os.environ["PREFD_BIN"] = os.path.join(args.build, "prefd")
    out = got.out or os.path.join(args.build, "bench")
    os.makedirs(out, exist_ok=True)
    rows, failures = [], {}
    for name in got.only or filter(available, LINES):
        done, why = run_line(name, args)
        rows += done
        if why:
            failures[name] = why
    with open(os.path.join(out, "results.json"), "w", encoding="utf-8") as f:
        json.dump(document(rows, failures, args.quick), f, ensure_ascii=False, indent=1)
    with open(os.path.join(out, "results.md"), "w", encoding="utf-8") as f:
        f.write(table(rows, failures, args.quick))
    print(table(rows, failures, args.quick))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
