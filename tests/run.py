#!/usr/bin/python3
"""Runs the tests and closes with one line: N passed, N failed.

  tests/run.py [--build DIR] [SUITE ...]

Suites: layers (the rooms' includes), units (cmocka programs DIR/tests/test_*),
corpora (the fuzz targets over their corpora, DIR/fuzz/replay_*),
power (the power-loss test, DIR/tests/power), http (pytest against DIR/prefd). Without a suite:
all of these. By name only: deploy (what lies in deploy/, by the programs that read it) and deb
(the life of the package in a Debian of its own, as root). Output is shown where something failed. The standard library is
enough to run this file.
"""

import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
PROGRAM_SECONDS = 600
POWER_SECONDS = 1200
HTTP_SECONDS = 3000


class Result:
    """What one program or suite came to."""

    def __init__(self, name, passed=0, failed=0, skipped=0, output=""):
        self.name, self.passed, self.failed, self.skipped, self.output = name, passed, failed, skipped, output

    def line(self, seconds=None):
        skipped = f", {self.skipped} skipped" if self.skipped else ""
        took = f" ({seconds:.1f} s)" if seconds is not None else ""
        return f"{self.name}: {self.passed} passed, {self.failed} failed{skipped}{took}"


def execute(command, seconds, env=None):
    """(exit status or None after a timeout, output)."""
    try:
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, **(env or {})}, timeout=seconds,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout.decode("utf-8", "replace")
    except subprocess.TimeoutExpired as e:
        return None, (e.stdout or b"").decode("utf-8", "replace") + f"\nstopped after {seconds} s\n"


def read_tap(name, status, output):
    """cmocka's TAP. A program that ended early or badly has failed, whatever it printed."""
    skipped = len(re.findall(r"^(?:not )?ok \d+.*# SKIP", output, re.MULTILINE))
    passed = len(re.findall(r"^ok \d+(?!.*# SKIP)", output, re.MULTILINE))
    failed = len(re.findall(r"^not ok \d+(?!.*# SKIP)", output, re.MULTILINE))
    # A plan in front, or a sum at the end: without either it ended early.
    plans = re.findall(r"^1\.\.(\d+)$|^(\d+) passed, \d+ failed$", output, re.MULTILINE)
    planned = sum(int(front or end) for front, end in plans)
    if failed == 0 and (status != 0 or planned == 0 or passed + skipped != planned):
        failed = 1
        output += f"\nexit status {status}, {passed} of {planned} tests ended well\n"
    return Result(name, passed, failed, skipped, output)


def run_program(path, seconds=PROGRAM_SECONDS):
    if not os.path.exists(path):
        return Result(os.path.basename(path), failed=1, output="it was not built\n")
    status, output = execute([path], seconds, {"CMOCKA_MESSAGE_OUTPUT": "TAP"})
    return read_tap(os.path.basename(path), status, output)


def units(build):
    sources = sorted(glob.glob(os.path.join(ROOT, "tests", "unit", "test_*.c")))
    programs = [os.path.join(build, "tests", os.path.basename(p)[:-2]) for p in sources]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        yield from pool.map(run_program, programs)


def checked(name, command, seconds, env=None):
    """A command that is one test."""
    status, output = execute(command, seconds, env)
    return Result(name, passed=int(status == 0), failed=int(status != 0), output=output)


def layers(build):
    script = os.path.join(ROOT, "tests", "layers.py")
    yield checked("layers", [PYTHON, script], 60)
    yield checked("layers --self-test", [PYTHON, script, "--self-test"], 60)


def read_junit(name, path, status, output):
    try:
        suites = ElementTree.parse(path).getroot().iter("testsuite")
        totals = [{k: int(s.get(k, "0")) for k in ("tests", "failures", "errors", "skipped")} for s in suites]
    except (OSError, ElementTree.ParseError):
        return Result(name, failed=1, output=output + "\npytest wrote no report\n")
    tests, skipped = sum(t["tests"] for t in totals), sum(t["skipped"] for t in totals)
    failed = sum(t["failures"] + t["errors"] for t in totals)
    if failed == 0 and status != 0:
        failed = 1
    return Result(name, max(0, tests - failed - skipped), failed, skipped, output)


def run_pytest(name, build, *paths):
    with tempfile.TemporaryDirectory() as work:
        report = os.path.join(work, "report.xml")
        status, output = execute(
            [PYTHON, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", f"--junitxml={report}",
             f"--basetemp={os.path.join(work, 'tmp')}", *[os.path.join(ROOT, "tests", p) for p in paths]],
            HTTP_SECONDS, {"PREFD_BIN": os.path.join(build, "prefd"), "PYTHONDONTWRITEBYTECODE": "1"})
        yield read_junit(name, report, status, output)


def http(build):
    yield from run_pytest("http", build, "http")


def deploy(build):
    yield from run_pytest("deploy", build, "deploy")


def deb(build):
    yield from run_pytest("deb", build, "deploy/life.py")


def corpora(build):
    """The fuzz targets' properties over what the fuzzers found so far (tests/fuzz)."""
    for source in sorted(glob.glob(os.path.join(ROOT, "tests", "fuzz", "fuzz_*.c"))):
        target = os.path.basename(source)[len("fuzz_"):-2]
        status, output = execute([os.path.join(build, "fuzz", f"replay_{target}"),
                                  os.path.join(ROOT, "tests", "fuzz", "corpus", target)], PROGRAM_SECONDS)
        yield read_tap(f"corpus {target}", status, output)


def power(build):
    """What it found is shown in any case: the figures are what it is for."""
    result = run_program(os.path.join(build, "tests", "power"), POWER_SECONDS)
    print("".join(line + "\n" for line in result.output.splitlines() if line.startswith(("#", "ok"))), end="")
    yield result


SUITES = {"layers": layers, "units": units, "corpora": corpora, "power": power, "http": http}
BY_NAME = {"deploy": deploy, "deb": deb}


def main():
    parser = argparse.ArgumentParser(description="Runs the tests; see the head of this file.")
    parser.add_argument("--build", default="build", help="the build folder (default: build)")
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=" ".join({**SUITES, **BY_NAME}))
    options = parser.parse_args()
    unknown = [s for s in options.suites if s not in SUITES and s not in BY_NAME]
    if unknown:
        parser.error(f"no such suite: {' '.join(unknown)}")
    build = os.path.abspath(os.path.join(ROOT, options.build))
    results = []
    for suite in options.suites or SUITES:
        before = time.monotonic()
        for result in {**SUITES, **BY_NAME}[suite](build):
            results.append(result)
            if result.failed:
                print(result.output.rstrip())
            print(result.line(time.monotonic() - before), flush=True)
            before = time.monotonic()
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
