"""Scenarios: what is read is what was written, and what is wrong is named."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bellweave.errors import ScenarioError
from bellweave.photonics.params import CwSource, PulsedSource
from bellweave.scenario.load import PRESETS, checked_scenario, load, parse, preset_text, to_toml
from bellweave.scenario.schema import Run

VIENNA = preset_text("vienna2004")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_loads_and_survives_being_written_out(name: str) -> None:
    scenario = load(name)

    assert scenario.name == name
    assert parse(to_toml(scenario)) == scenario


@pytest.mark.parametrize(
    ("old", "new", "path", "words"),
    [
        ("efficiency = 1.0", "efficiency = 1.5", "node.alice.detector.efficiency", "<= 1.0, got 1.5"),
        ("length_km = 1.45", "length_km = -1.45", "link.alice-bob.fibre.length_km", ">= 0.0, got -1.45"),
        ("length_km", "lenght_km", "link.alice-bob.fibre", "unknown key `lenght_km`, did you mean `length_km`?"),
        ("block_s = 10.5", 'block_s = "10.5 s"', "link.alice-bob.block_s", "expected `float`, got `str` '10.5 s'"),
        ("unspecified = 7.81", "unspecified = -7.81", "node.bob.loss_db.unspecified", ">= 0.0"),
        ('source = "eps"', 'source = "epr"', "link.alice-bob.source", "there is no 'epr'; there are eps"),
        ('kind = "cw"', 'kind = "laser"', "source.eps.kind", "laser"),
        ('kind = "cw"', 'kind = "cw"\npair_rate_hz = 1.0', "source.eps", "exactly one of"),
        ("format = 1", "format = 2", "format", "2"),
        ("blocks = 100", "blocks = 0", "run.blocks", ">= 1, got 0"),
        ("qber_limit = 0.11", "qber_limit = true", "distill.qber_limit", "expected `float`"),
        ("[run]", "[runs]", "", "unknown key `runs`"),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_with_file_path_value_and_limit(old: str, new: str, path: str, words: str) -> None:
    assert old in VIENNA

    with pytest.raises(ScenarioError) as caught:
        parse(VIENNA.replace(old, new, 1), file="vienna.toml")

    assert caught.value.file == "vienna.toml"
    assert caught.value.path == path
    assert words in caught.value.problem


def test_a_missing_file_names_the_presets_and_broken_toml_its_line(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="vienna2004"):
        load(tmp_path / "none.toml")
    broken = tmp_path / "broken.toml"
    broken.write_text("format = 1\nname = \n[run]\n")
    with pytest.raises(ScenarioError, match="line 2"):
        load(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(ScenarioError, match="can't be read"):
        load(broken)


def test_a_struct_built_in_python_is_checked_too() -> None:
    scenario = msgspec.structs.replace(load("vienna2004"), run=Run(blocks=-3))

    with pytest.raises(ScenarioError, match=r"run\.blocks: .*>= 1, got -3"):
        checked_scenario(scenario)


def test_time_bin_needs_pulses() -> None:
    text = VIENNA.replace(
        "[node.bob]", '[node.bob]\nanalyser = { encoding = "time-bin", bin_separation_ps = 20000 }'
    ).replace("[node.alice]  ", '[node.alice]\nanalyser = { encoding = "time-bin", bin_separation_ps = 20000 }  ')

    with pytest.raises(ScenarioError, match="pulsed"):
        parse(text)


@given(rate=st.floats(1.0, 1e7), position=st.floats(0.0, 1.0), text=st.text(max_size=40))
def test_any_values_survive_being_written_out(rate: float, position: float, text: str) -> None:
    scenario = load("vienna2004")
    link = msgspec.structs.replace(scenario.link["alice-bob"], source_position=position)
    changed = msgspec.structs.replace(
        scenario,
        description=text,
        source={"eps": PulsedSource(repetition_rate_hz=rate, mean_pairs_per_pulse=0.01)},
        link={"alice-bob": link},
    )

    assert parse(to_toml(changed)) == changed


def test_brightness_can_be_given_as_locally_detected_pairs() -> None:
    assert CwSource(local_pair_rate_hz=8200.0).emitted_pair_rate_hz == 8200.0
    assert CwSource(local_pair_rate_hz=8200.0, local_efficiency=0.5).emitted_pair_rate_hz == 32800.0
    with pytest.raises(ValueError, match="exactly one of pair_rate_hz and local_pair_rate_hz, not none"):
        CwSource()
