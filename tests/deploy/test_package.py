"""The Debian package: it builds, lintian has nothing to say, and it holds what it should."""

import os
import re

import pytest

from conftest import ROOT, call, deb_of, text_of


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    return deb_of(tmp_path_factory.mktemp("deb"))


def test_lintian_is_content(deb):
    status, said = call("lintian", "--fail-on", "error,warning", "--allow-root", deb)
    assert status == 0 and not re.search("^[EW]: ", said, re.MULTILINE), said


def test_what_it_holds(deb):
    status, said = call("dpkg-deb", "-c", deb)
    assert status == 0
    held = {line.split()[5][1:]: line.split()[:2] for line in said.splitlines()}
    for path, mode in (("/usr/bin/prefd", "-rwxr-xr-x"), ("/lib/systemd/system/prefd.service", "-rw-r--r--"),
                       ("/lib/systemd/system/prefd.socket", "-rw-r--r--"), ("/etc/prefd/prefd.conf", "-rw-r--r--"),
                       ("/usr/share/man/man1/prefd.1.gz", "-rw-r--r--"), ("/usr/lib/sysusers.d/prefd.conf", "-rw-r--r--"),
                       ("/usr/share/doc/prefd/examples/nginx.conf", "-rw-r--r--")):
        assert held.get(path) == [mode, "root/root"], path
    assert not [p for p in held if p.startswith("/var")]  # the data is nobody's to overwrite


def test_its_version_is_the_programs(deb):
    version = re.search(r"^VERSION\s*:=\s*(\S+)$", open(os.path.join(ROOT, "Makefile")).read(), re.MULTILINE).group(1)
    status, said = call("dpkg-deb", "-f", deb, "Version", "Depends")
    assert status == 0 and f"Version: {version}-" in said
    for library in ("libcjson1", "libcurl4", "libgnutls30", "libmicrohttpd12", "libnettle8", "libsqlite3-0", "libuv1", "libzstd1", "zlib1g"):
        assert library in said


def test_it_needs_for_its_build_what_the_makefile_needs():
    with open(os.path.join(ROOT, "tests", "packages"), encoding="utf-8") as f:
        wanted = {line.split()[0] for line in f if line.strip() and line[0] != "#" and len(line.split()) == 1}
    field = re.search(r"Build-Depends: (.*?)\n\S", text_of("debian", "control"), re.DOTALL).group(1)
    needed = {re.split(r"[ :(]", word.strip())[0] for word in field.split(",")}
    assert wanted - {"curl", "build-essential"} == needed - {"debhelper-compat"}
