"""How `bench/soak.py` judges: recovery after faults, and growth of processes."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bellweave.results.network_records import Event, FaultChanged, Probed, SessionBegan, SessionEnded
from bellweave.testing.data_centres import small

BENCH = Path(__file__).parents[2] / "bench"
TUNNEL = "user1-user2"


def bench(name: str) -> ModuleType:
    """Return a module of the benchmarks, which are no package."""
    spec = importlib.util.spec_from_file_location(name, BENCH / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


recovery, growth = bench("soak_recovery"), bench("soak_growth")


def fault(at_s: float, name: str, *, active: bool) -> Event:
    return FaultChanged(at_s=at_s, fault=name, active=active)


def probed(at_s: float, received: int) -> Event:
    return Probed(
        at_s=at_s, tunnel=TUNNEL, sent=20, received=received, lost=20 - received,
        longest_gap_s=0.05, rtt_s=None, bits_per_s=0.0,
    )  # fmt: skip


def judged(*events: Event) -> tuple[list[str], dict[str, object]]:
    judge = recovery.Recovery(small(2))
    for event in (SessionBegan(at_s=0.0, tunnel=TUNNEL, key_id="first"), *events):
        judge.note(event)
    return judge.violations(), judge.figures()


def test_a_tunnel_is_back_when_its_probes_are_answered_after_the_fault_ended() -> None:
    wrong, figures = judged(
        fault(10.0, "down user1", active=True),
        fault(14.0, "down user1", active=False),
        probed(15.0, 0),
        probed(18.0, 20),
    )
    assert wrong == []
    assert figures["back_s"] == {"p50": 4.0, "most": 4.0}


@pytest.mark.parametrize("back_s", [None, 26.0])
def test_a_tunnel_that_is_not_back_in_ten_seconds_is_a_violation(back_s: float | None) -> None:
    came = () if back_s is None else (probed(back_s, 20),)
    wrong, _ = judged(
        fault(10.0, "cut user1-user2", active=True),
        fault(14.0, "cut user1-user2", active=False),
        probed(15.0, 0),
        *came,
    )
    assert len(wrong) == 1
    assert TUNNEL in wrong[0]


def test_probes_without_a_session_do_not_make_a_tunnel_up() -> None:
    wrong, _ = judged(
        fault(10.0, f"charon {TUNNEL}.server", active=True),
        SessionEnded(at_s=10.5, tunnel=TUNNEL, key_id="first", reason="failed"),
        probed(12.0, 20),
    )
    assert len(wrong) == 1


def test_the_last_of_several_faults_counts() -> None:
    wrong, figures = judged(
        fault(10.0, "down user1", active=True),
        fault(11.0, "store user2", active=True),
        fault(12.0, "down user1", active=False),
        fault(30.0, "store user2", active=False),
        probed(31.0, 20),
    )
    assert wrong == []
    assert figures["counted"] == 1


def test_an_outage_without_a_fault_is_told() -> None:
    _, figures = judged(probed(5.0, 20), probed(50.0, 0), probed(51.0, 0), probed(52.0, 20))

    assert figures["outages_without_fault"] == 1


def test_growth_is_seen_through_noise_and_a_process_that_does_not_grow_has_none() -> None:
    def sample(number: int) -> dict[str, object]:
        noise = 3.0 * (number % 3)
        memory = {"leaky 1": 50.0 + number + noise, "steady 2": 50.0 + noise}
        return {
            "at_s": 15.0 * number,
            "processes": {
                name: (mib, mib, 20 + (number // 10 if "leaky" in name else 0)) for name, mib in memory.items()
            },
        }

    grown = growth.growth([sample(number) for number in range(100)], warm_up_s=60.0, long_s=300.0)

    assert grown["leaky 1"].slope_mib_per_h == pytest.approx(240.0, rel=0.05)
    assert grown["leaky 1"].growth_mib == pytest.approx(76.0, abs=6.0)
    assert grown["leaky 1"].growth_files == pytest.approx(8.0, abs=1.0)
    assert grown["steady 2"].slope_mib_per_h == pytest.approx(0.0, abs=1.0)
    assert grown["steady 2"].growth_mib == pytest.approx(0.0, abs=3.0)


def test_processes_that_lived_shortly_are_not_judged() -> None:
    samples = [{"at_s": 15.0 * number, "processes": {f"node {number}": (9.0, 9.0, 9)}} for number in range(40)]

    assert growth.growth(samples, warm_up_s=60.0, long_s=300.0) == {}
