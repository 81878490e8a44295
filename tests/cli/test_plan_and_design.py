"""Plans and designs of networks, as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def bellweave(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bellweave", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=110)


def test_a_plan_of_a_network_has_its_links_its_tunnels_and_its_warnings(tmp_path: Path) -> None:
    plan = json.loads(bellweave("plan", "datacenter", "--json", cwd=tmp_path).stdout)

    assert [link["link"] for link in plan["links"]] == [link["link"] for link in plan["network"]["links"]]
    assert len(plan["network"]["tunnels"]) == 12
    assert plan["network"]["steady_s"] is None
    assert len(plan["network"]["warnings"]) == 12

    shown = bellweave("plan", "datacenter", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "54 of 204" in shown.stdout
    assert "the periods would have to be 3.64 times as long" in shown.stdout


def test_a_link_of_a_network_can_be_shown_in_full(tmp_path: Path) -> None:
    shown = bellweave("plan", "datacenter", "--link", "bob-diana", cwd=tmp_path)

    assert "bob-diana: what theory expects" in shown.stdout
    assert "accidental" in shown.stdout


def test_a_plan_scales(tmp_path: Path) -> None:
    scale = json.loads(bellweave("plan", "datacenter-modern", "--users", "4,128", "--json", cwd=tmp_path).stdout)

    assert [point["users"] for point in scale["scale"]["points"]] == [4, 4, 4, 128, 128, 128]
    shown = bellweave("plan", "datacenter-modern", "--users", "4,128", cwd=tmp_path)
    users = scale["scale"]["enough_until"]["round-robin"]
    assert f"round-robin: one source serves up to {users} users fully" in shown.stdout


def test_a_design_is_written_checked_and_planned_to_be_enough(tmp_path: Path) -> None:
    wish = ("--tunnels", "12", "--key-bits", "256", "--period-s", "60", "--headroom", "0.2")
    done = bellweave("design", "datacenter", *wish, "--out", "mine.toml", cwd=tmp_path)

    assert done.returncode == 0, done.stderr
    assert "wrote mine.toml; now: bellweave simulate mine.toml" in done.stdout
    plan = json.loads(bellweave("plan", "mine.toml", "--json", cwd=tmp_path).stdout)
    assert 1.2 <= plan["network"]["demand_factor"] < 1.21
    assert plan["network"]["warnings"] == []

    again = bellweave("design", "datacenter", *wish, "--out", "mine.toml", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (2, "bellweave: mine.toml: exists already\n")


def test_an_impossible_design_says_why_and_writes_nothing(tmp_path: Path) -> None:
    changes = ("--scenario-changes", "kms.mint=provable", "--solve", "brightness")
    done = bellweave("design", "datacenter", *changes, "--out", "mine.toml", "--json", cwd=tmp_path)

    assert done.returncode == 4
    (design,) = json.loads(done.stdout)["designs"]
    assert design["value"] is None
    assert "distill.accumulate_blocks = 43" in design["why"]
    assert not (tmp_path / "mine.toml").exists()


def test_a_period_that_was_given_is_not_given_up(tmp_path: Path) -> None:
    wish = ("--key-bits", "8192", "--period-s", "1", "--json")

    done = bellweave("design", "datacenter", *wish, cwd=tmp_path)

    assert done.returncode == 4
    found = json.loads(done.stdout)
    assert found["taken"] is None
    period = next(design for design in found["designs"] if design["solve"] == "period")
    assert period["value"] > 1000.0


def test_a_scenario_that_has_enough_is_said_to(tmp_path: Path) -> None:
    done = bellweave("design", "datacenter-modern", cwd=tmp_path)

    assert done.returncode == 0
    assert "nothing is missing" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("plan", "datacenter", "--users", "4,many"), "--users: expected numbers such as 4,8,16, got '4,many'"),
        (("plan", "vienna2004", "--users", "4"), "schedule: a plan of a network needs a [schedule] table"),
        (("design", "vienna2004", "--tunnels", "1"), "schedule: a plan of a network needs a [schedule] table"),
        (("design", "datacenter", "--scenario-changes", "nonsense"), "expected PATH=VALUE"),
        (("design", "datacenter", "--scenario-changes", "kms.mnt=1"), "did you mean `mint`?"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    refused = bellweave(*arguments, cwd=tmp_path)

    assert refused.returncode == 2
    assert words in refused.stderr
    assert refused.stderr.count("\n") == 1
