"""Prometheus' rules: what promtool says, and that each figure in them exists."""

import re
import shutil

import yaml

from conftest import HERE, call, deploy, text_of


def test_promtool_takes_the_rules(tmp_path):
    status, said = call("promtool", "check", "rules", deploy("alerts.yml"))
    assert status == 0, said


def test_the_rules_fire_and_keep_silent(tmp_path):
    for path in (deploy("alerts.yml"), f"{HERE}/alerts_test.yml"):
        shutil.copy(path, tmp_path)
    status, said = call("promtool", "test", "rules", str(tmp_path / "alerts_test.yml"))
    assert status == 0, said
    # A rule that cannot fire is seen.
    rules = tmp_path / "alerts.yml"
    rules.write_text(rules.read_text().replace("prefd_store_read_only == 1", "prefd_store_read_only == 2"))
    status, said = call("promtool", "test", "rules", str(tmp_path / "alerts_test.yml"))
    assert status != 0 and "PrefdTakesNoWrites" in said


def test_each_figure_exists(daemon):
    printed = set(re.findall(r"^(prefd_\w+) ", daemon.request("GET", "/metrics").body.decode(), re.MULTILINE))
    rules = [r for g in yaml.safe_load(text_of("alerts.yml"))["groups"] for r in g["rules"]]
    used = {name for r in rules for name in re.findall(r"\bprefd_\w+", r["expr"])}
    assert used and used <= printed
    tested = set(re.findall(r"\bprefd_\w+", open(f"{HERE}/alerts_test.yml", encoding="utf-8").read()))
    assert used == tested
    assert all(r["annotations"]["summary"] and r["annotations"]["action"] for r in rules)


def test_thresholds_are_those_of_the_settings(daemon):
    header = open(deploy("..", "include", "base", "conf.h"), encoding="utf-8").read()
    found = re.findall(r"\* (\d+) # (\w+)$", text_of("alerts.yml"), re.MULTILINE)
    assert len(found) == 3
    for number, setting in found:
        assert f'X({setting}, whole, "{number}", ' in header
