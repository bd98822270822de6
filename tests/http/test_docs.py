"""The man page says what the program has: settings and subcommands."""

import os
import re
import subprocess

from conftest import BINARY, ROOT, clean_environment


def read(*path):
    with open(os.path.join(ROOT, *path), encoding="utf-8") as f:
        return f.read()


def prefd(*arguments):
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=60, env=clean_environment())


def settings():
    found = re.findall(r'X\((\w+), (\w+), "([^"]*)", (\d+), (\d+), (restart|reload), "([^"]*)"\)', read("include", "base", "conf.h"))
    assert len(found) > 10
    return found


def test_the_man_pages_settings_are_the_programs():
    wanted = []
    for name, kind, default, low, high, when, text in settings():
        span = f", {low} to {high}" if kind == "whole" else ""
        span += "; reload" if when == "reload" else ""
        wanted.append((name, default + span, text[0].upper() + text[1:] + "."))
    section = read("docs", "prefd.1").split(".Ss Settings")[1].split(".Sh ENVIRONMENT")[0]
    assert re.findall(r"^\.It Cm (\w+) Pq (.*)\n(.*)$", section, re.MULTILINE) == wanted


def test_serve_help_lists_every_setting():
    said = prefd("serve", "--help")
    assert said.returncode == 0
    for name, _, default, *_ in settings():
        assert f"--{name.replace('_', '-')}" in said.stdout and default in said.stdout


def test_the_man_pages_commands_are_the_programs():
    said = prefd("--help")
    assert said.returncode == 0
    commands = re.findall(r"^  ([a-z]+)  ", said.stdout, re.MULTILINE)
    assert {"serve", "import", "export", "check"} <= set(commands)
    section = read("docs", "prefd.1").split(".Ss Commands")[1].split(".Ss ")[0]
    assert re.findall(r"^\.It Cm (\w+)$", section, re.MULTILINE) == commands


def test_every_command_helps_with_examples():
    for command in ("import", "export", "round", "check", "backup", "restore"):
        said = prefd(command, "--help")
        assert said.returncode == 0 and said.stderr == ""
        assert said.stdout.startswith(f"usage: prefd {command} ") and "examples:\n" in said.stdout


def test_wrong_commands():
    for arguments in ((), ("nothing",), ("--nothing",)):
        said = prefd(*arguments)
        assert said.returncode == 2 and "usage: prefd" in said.stderr and said.stdout == ""


def test_version_is_the_makefiles():
    version = re.search(r"^VERSION\s*:=\s*(\S+)$", read("Makefile"), re.MULTILINE).group(1)
    assert prefd("--version").stdout == f"prefd {version}\n"
    assert f"## {version}" in read("docs", "CHANGELOG.md")
