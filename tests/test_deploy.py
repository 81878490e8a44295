"""The container image and its compose files: what can be checked of them without a container engine."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from bellweave.scenario.load import load

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "deploy"
CONTAINERFILE = (DEPLOY / "Containerfile").read_text()


class Build(msgspec.Struct, forbid_unknown_fields=True):
    context: str
    dockerfile: str


class Service(msgspec.Struct, forbid_unknown_fields=True):
    """What the compose specification has, as far as we use it."""

    build: Build
    image: str
    command: list[str]
    restart: str
    init: bool
    read_only: bool
    cap_drop: list[str]
    security_opt: list[str]
    tmpfs: list[str]
    networks: list[str]
    volumes: list[str]
    ports: list[str] = []


class Compose(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    services: dict[str, Service]
    networks: dict[str, dict[str, Any]]


def compose(name: str) -> Compose:
    raw = yaml.safe_load((DEPLOY / name).read_text())
    return msgspec.convert({key: value for key, value in raw.items() if not key.startswith("x-")}, Compose)


FILES = ("compose.yaml", "compose-kme.yaml")


def test_the_image_passes_the_linter() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint has no build for this machine")

    done = subprocess.run([linter, DEPLOY / "Containerfile"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout


def test_what_the_image_copies_is_there() -> None:
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", CONTAINERFILE, re.MULTILINE)

    assert lines
    for name in " ".join(lines).split():
        assert (ROOT / name).exists(), name


def test_the_extras_that_the_image_installs_are_the_project_s() -> None:
    extras = re.findall(r"'\.\[([a-z,]+)\]'", CONTAINERFILE)
    project = msgspec.toml.decode((ROOT / "pyproject.toml").read_bytes())["project"]

    assert [sorted(each.split(",")) for each in extras] == [sorted(project["optional-dependencies"])]


@pytest.mark.parametrize("name", FILES)
def test_a_compose_file_says_what_the_specification_knows(name: str) -> None:
    found = compose(name)

    for service in found.services.values():
        assert set(service.networks) <= set(found.networks)
        context = DEPLOY / service.build.context
        assert (context / service.build.dockerfile).is_file()
        assert service.cap_drop == ["ALL"]
        assert service.read_only
        targets = [volume.split(":")[1] for volume in service.volumes]
        assert any(argument.startswith(target) for argument in service.command for target in targets)


def test_the_network_in_containers_is_the_preset_s() -> None:
    services = compose("compose.yaml").services

    assert set(services) == {"source", *load("datacenter-modern").node}
    for name, service in services.items():
        assert service.command[:3] == ["emulate", "--node", name]
        assert service.volumes[0].startswith(f"./run/{name}:")


@pytest.mark.parametrize("name", FILES)
def test_commands_of_containers_have_these_options(name: str) -> None:
    for service in compose(name).services.values():
        words = [word for word in service.command if re.fullmatch(r"[a-z]+", word)][:2]
        verb = words if words[0] == "kms" else words[:1]
        command = [str(Path(sys.executable).with_name("bellweave")), *verb, "--help"]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for option in service.command:
            if option.startswith("--"):
                assert re.search(rf"{option}\b", shown), option
