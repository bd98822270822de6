#!/usr/bin/python3
"""Runs the fuzzers that `make fuzz` built, each for some seconds from its corpus.

  tests/fuzz/run.py --build build-fuzz --seconds 30 [--only TARGET ...] [--keep]

What is new lies in BUILD/new/TARGET; --keep merges it into tests/fuzz/corpus, as few files as reach
the same. A crash leaves its input in BUILD/found and fails. `--self-test` plants a broken
property and demands that it is found. Closes with `N passed, N failed`."""

import argparse
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
CORPUS = os.path.join(HERE, "corpus")
SPARE_SECONDS = 60  # beyond what a fuzzer was given
INPUT_BYTES_MAX = 4096


def targets():
    return sorted(os.path.basename(p)[5:-2] for p in glob.glob(os.path.join(HERE, "fuzz_*.c")))


def fuzz(build, target, seconds, env=None):
    """(executions, features covered, output, exit status)"""
    new, found = os.path.join(build, "new", target), os.path.join(build, "found")
    for folder in (new, found, os.path.join(CORPUS, target)):
        os.makedirs(folder, exist_ok=True)
    command = [os.path.join(build, "fuzz", f"fuzz_{target}"), f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}",
               "-print_final_stats=1", "-rss_limit_mb=2048", "-timeout=10", f"-artifact_prefix={found}/{target}-", new,
               os.path.join(CORPUS, target)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=seconds + SPARE_SECONDS, env={**os.environ, **(env or {})}, check=False)
    out = done.stdout.decode("utf-8", "replace")
    runs = re.search(r"stat::number_of_executed_units:\s+(\d+)", out)
    reached = re.findall(r"cov: (\d+)", out)
    return int(runs.group(1)) if runs else 0, int(reached[-1]) if reached else 0, out, done.returncode


def keep(build, target):
    """As few files as reach all that corpus and new ones reach."""
    subprocess.run([os.path.join(build, "fuzz", f"fuzz_{target}"), "-merge=1", os.path.join(CORPUS, target),
                    os.path.join(build, "new", target)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL, timeout=300, check=True)


def self_test(build):
    """A fuzzer that must find something finds it: fuzz_split.c breaks a property when PREFD_FUZZ_PLANT is set."""
    _, _, out, status = fuzz(build, "split", 30, {"PREFD_FUZZ_PLANT": "1"})
    found = status != 0 and "broken:" in out
    for left in glob.glob(os.path.join(build, "found", "split-*")):
        os.remove(left)
    print(f"planted: {'found' if found else 'NOT found'}")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build-fuzz")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--only", nargs="+", choices=targets())
    parser.add_argument("--keep", action="store_true")
    args = parser.parse_args()
    passed = failed = 0
    for target in args.only or targets():
        runs, reached, out, status = fuzz(args.build, target, args.seconds)
        print(f"{target}: {runs:,} executions, {reached} edges, {'ok' if status == 0 else 'FOUND SOMETHING'}", flush=True)
        if status != 0:
            print(out[-4000:])
        elif args.keep:
            keep(args.build, target)
        passed, failed = passed + (status == 0), failed + (status != 0)
    ok = self_test(args.build)
    passed, failed = passed + ok, failed + (not ok)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
