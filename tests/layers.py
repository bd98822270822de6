#!/usr/bin/python3
"""Proves from the #include lines that the rooms' includes run only downward.

      main.c
     /      \\
  http/     cli/
     \\      /
     service/
    /    |    \\
 align/ store/ snap/
    \\    |    /
       base/

A vendor's header is included in one room only, and service/ and align/ see
none. align/ (the mathematics) knows no clock, no I/O and no thread. Every
angle-bracket header is named below: a new one is a decision, not an accident.

  tests/layers.py               checks this tree
  tests/layers.py --self-test   plants breaches in a copy; each must be seen
"""

import os
import re
import shutil
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

BELOW = {
    "base": set(),
    "align": {"base"},
    "store": {"base"},
    "snap": {"base"},
    "service": {"align", "store", "snap", "base"},
    "http": {"service", "align", "store", "snap", "base"},
    "cli": {"service", "align", "store", "snap", "base"},
    "main": {"http", "cli", "service", "align", "store", "snap", "base"},
}

VENDORS = {  # header (or folder of headers): the one room that may include it
    "sqlite3.h": "store",
    "libpq-fe.h": "store",
    "microhttpd.h": "http",
    "uv.h": "base",
    "cjson/": "base",
    "curl/": "base",
    "zlib.h": "base",
    "zstd.h": "base",
    "nettle/": "base",
    "gnutls/": "http",
    "xxhash.h": "base",
}

LIBC = set("""
    assert.h ctype.h errno.h fcntl.h float.h getopt.h inttypes.h limits.h locale.h math.h netdb.h poll.h
    pthread.h sched.h semaphore.h signal.h stdalign.h stdarg.h stdatomic.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    string.h strings.h threads.h time.h unistd.h dirent.h malloc.h
    arpa/inet.h netinet/in.h netinet/tcp.h
    sys/file.h sys/ioctl.h sys/mman.h sys/random.h sys/resource.h sys/socket.h sys/stat.h sys/statvfs.h
    sys/syscall.h sys/time.h sys/types.h sys/uio.h sys/un.h sys/wait.h linux/tcp.h
""".split())

# What the mathematics must not know: clocks, I/O, threads, settings.
NOT_IN_ALIGN = {"base/clock.h", "base/conf.h", "base/fetch.h", "base/log.h", "base/loop.h", "base/metric.h",
                "base/queue.h", "base/spool.h", "fcntl.h", "pthread.h", "signal.h", "time.h", "unistd.h"}

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(?:"([^"]+)"|<([^>]+)>|(.*))', re.MULTILINE)


def sources(root):
    """(room, path) of every C file of the program."""
    for top in ("server", "include"):
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    path = os.path.join(folder, name)
                    parts = os.path.relpath(path, os.path.join(root, top)).split(os.sep)
                    yield ("main" if parts == ["main.c"] else parts[0]), path


def own_header_breach(root, room, path, name):
    """A header in quotes: "room/file.h" of a lower room or its own, or one beside the source."""
    if "/" not in name:
        beside = os.path.isfile(os.path.join(os.path.dirname(path), name))
        return None if beside else f'"{name}" is not beside it'
    target = name.split("/")[0]
    if target not in BELOW:
        return f'"{name}" is in no room'
    if target != room and target not in BELOW[room]:
        return f"{room}/ must not include {target}/"
    if not os.path.isfile(os.path.join(root, "include", name)):
        return f'"{name}" is not among the doors in include/'
    if room == "align" and name in NOT_IN_ALIGN:
        return f'the mathematics must not know "{name}"'
    return None


def system_header_breach(room, name):
    """A header in angle brackets: libc's, or a vendor's in its one room."""
    if room == "align" and name in NOT_IN_ALIGN:
        return f"the mathematics must not know <{name}>"
    if name in LIBC:
        return None
    home = VENDORS.get(name) or VENDORS.get(name.split("/")[0] + "/")
    if home is None:
        return f"<{name}> is not named in tests/layers.py"
    return None if home == room else f"<{name}> belongs to {home}/ alone"


def breaches(root):
    found, files = [], 0
    for room, path in sources(root):
        files += 1
        where = os.path.relpath(path, root)
        if room not in BELOW:
            found.append(f"{where}: {room}/ is no room")
            continue
        with open(path, encoding="utf-8") as f:
            text = f.read()
        for m in INCLUDE.finditer(text):
            quoted, angled, other = m.groups()
            if quoted:
                breach = own_header_breach(root, room, path, quoted)
            elif angled:
                breach = system_header_breach(room, angled)
            else:
                breach = f"an include that cannot be read: {other}"
            if breach:
                line = text.count("\n", 0, m.start()) + 1
                found.append(f"{where}:{line}: {breach}")
    if files == 0:
        found.append("no source files found")
    return found


# --- the check of the check ----------------------------------------------------

PLANTED = [  # (file, line to add, what the finding must say)
    ("server/base/planted.c", '#include "store/store.h"', "base/ must not include store/"),
    ("server/base/planted.c", '#include "service/service.h"', "base/ must not include service/"),
    ("server/align/planted.c", '#include "snap/read.h"', "align/ must not include snap/"),
    ("server/store/planted.c", '#include "align/pair.h"', "store/ must not include align/"),
    ("server/snap/planted.c", '#include "store/store.h"', "snap/ must not include store/"),
    ("server/service/planted.c", '#include "http/httpd.h"', "service/ must not include http/"),
    ("server/http/planted.c", '#include "cli/cli.h"', "http/ must not include cli/"),
    ("server/cli/planted.c", '#include "http/httpd.h"', "cli/ must not include http/"),
    ("include/store/planted.h", '#include "service/service.h"', "store/ must not include service/"),
    ("server/service/planted.c", "#include <sqlite3.h>", "belongs to store/ alone"),
    ("server/service/planted.c", "  #  include <uv.h>", "belongs to base/ alone"),
    ("server/http/planted.c", "#include <cjson/cJSON.h>", "belongs to base/ alone"),
    ("server/base/planted.c", "#include <microhttpd.h>", "belongs to http/ alone"),
    ("server/cli/planted.c", "#include <curl/curl.h>", "belongs to base/ alone"),
    ("server/base/planted.c", "#include <openssl/ssl.h>", "is not named"),
    ("server/align/planted.c", "#include <time.h>", "the mathematics must not know"),
    ("server/align/planted.c", '#include "base/clock.h"', "the mathematics must not know"),
    ("server/http/planted.c", '#include "../service/inside.h"', "is in no room"),
    ("server/http/planted.c", "#include SOMETHING", "cannot be read"),
    ("server/extra/planted.c", '#include "base/buf.h"', "is no room"),
]


def self_test(root):
    """The number of planted breaches that were not seen."""
    missed = 0
    with tempfile.TemporaryDirectory() as copy:
        for top in ("server", "include"):
            shutil.copytree(os.path.join(root, top), os.path.join(copy, top))
        before = set(breaches(copy))
        for path, line, wanted in PLANTED:
            planted = os.path.join(copy, path)
            os.makedirs(os.path.dirname(planted), exist_ok=True)
            with open(planted, "w", encoding="utf-8") as f:
                f.write(f"/* planted */\n{line}\n")
            seen = any(path in b and wanted in b for b in set(breaches(copy)) - before)
            os.unlink(planted)
            missed += not seen
            print(f"{'ok' if seen else 'not ok'} - planted in {path}: {line.strip()}")
        if set(breaches(copy)) != before:
            missed += 1
            print("not ok - the copy without the planted files is as before")
    return missed


def main(arguments):
    if arguments == ["--self-test"]:
        missed = self_test(ROOT)
        print(f"{len(PLANTED)} breaches planted, {missed} not seen")
        return 1 if missed else 0
    if arguments:
        print("usage: tests/layers.py [--self-test]", file=sys.stderr)
        return 2
    found = breaches(ROOT)
    for b in found:
        print(b)
    print(f"layers: {sum(1 for _ in sources(ROOT))} files, {len(found)} breaches")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
