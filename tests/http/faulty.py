"""A daemon whose n-th operation fails on demand: faulty.c stands between it and the C library."""

import errno
import mmap
import os
import struct
import subprocess

import pytest
from conftest import BINARY, ROOT, Daemon

WRITE, SYNC, TRUNCATE, OPEN, NAME, READ, ALLOC = (1 << i for i in range(7))
DROP = -1    # a write that is said to have happened
SHORT = 0    # a write that is cut short
ALWAYS = 2**40
SANITIZED = os.path.basename(os.path.dirname(BINARY)) != "build"

needs_shim = pytest.mark.skipif(SANITIZED, reason="a sanitizer stands at the same place")


class Faulty(Daemon):
    def __init__(self, folder):
        self.control_path = str(folder / "control")
        with open(self.control_path, "wb") as f:
            f.write(bytes(mmap.PAGESIZE))
        with open(self.control_path, "r+b") as f:
            self.control = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        library = str(folder / "faulty.so")
        subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-D_GNU_SOURCE", "-o", library,
                        os.path.join(ROOT, "tests", "http", "faulty.c")], check=True)
        data = str(folder / "data")
        super().__init__(data, folder / "log", [], {"LD_PRELOAD": library, "FAULTY_CONTROL": self.control_path,
                                                    "FAULTY_FOLDER": data})

    def arm(self, kinds, error, n, times=1):
        """The n-th operation from here on of these kinds fails, and so do the `times` - 1 behind it."""
        self.control[0:40] = struct.pack("<Iiqqqq", 0, error, n - 1, times, 0, 0)
        self.control[0:4] = struct.pack("<I", kinds)

    def disarm(self):
        """Returns how many operations there were, and how many of them failed."""
        self.control[0:4] = bytes(4)
        return struct.unpack("<qq", self.control[24:40])


NAMES = {errno.EIO: "EIO", errno.ENOSPC: "ENOSPC", SHORT: "short", DROP: "dropped"}
