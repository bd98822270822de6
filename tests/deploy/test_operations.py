"""docs/operations.md and the manual page against the tree: files, targets, figures, lines of the log."""

import os
import re

import yaml

from conftest import ROOT, text_of


def page(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def test_what_it_names_is_there():
    text = page("docs", "operations.md")
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert os.path.exists(os.path.join(ROOT, "docs", link)), link
    for path in re.findall(r"\b(?:deploy|tests)/[\w./]+\w", text):
        assert os.path.exists(os.path.join(ROOT, path)), path
    targets = set(re.findall(r"(?:^ {4}|`|&& )make ([a-z-]+)", text, re.MULTILINE))
    assert {"deb", "install", "check-deploy", "check-deb"} <= targets
    for target in targets:
        assert re.search(rf"^{target}:", page("Makefile"), re.MULTILINE), target


def test_its_figures_are_the_files():
    text = page("docs", "operations.md")
    unit = dict(re.findall(r"^(\w+)=(.*)$", text_of("prefd.service"), re.MULTILINE))
    assert unit["WatchdogSec"] == "180" and "`WatchdogSec` (180 s)" in text
    assert unit["TimeoutStopSec"] == "90" and "waits 90 seconds" in text
    assert unit["TimeoutStartSec"] == "15min" and "the unit allows 15" in text
    assert "DRAIN_SECONDS = 20" in page("server", "main.c") and "for 20 seconds at most" in text
    assert "BEATS = 4" in page("server", "http", "pulse.c") and "four times as often" in text
    assert "DISK_LOW_BYTES (16LL << 20)" in page("server", "service", "service.c") and "less than 16 MiB" in text
    assert len(yaml.safe_load(text_of("alerts.yml"))["groups"][0]["rules"]) == 11 and "eleven rules" in text
    for proxy in ("nginx.conf", "haproxy.cfg"):
        assert "130s" in text_of(proxy)


def test_its_lines_of_the_log_are_the_programs():
    text = page("docs", "operations.md")
    for line, source in (("room=conf changed setting=http_threads taken=at the next start", "tests/http/test_service_manager.py"),
                         ("room=pulse no beat writer=stuck http=answers", None)):
        assert line in text
        assert source is None or line in page(source)
    assert "no beat writer=stuck http=answers" in page("tests", "http", "test_service_manager.py")
