"""What `bench/emulation.py` measures, on a small network and with room for machines that do other things too."""

import asyncio
from pathlib import Path
from statistics import median

import pytest

from bellweave.emu.supervisor import Request, emulate
from bellweave.results.network_records import Event, Probed, Refreshed, SessionBegan
from bellweave.testing.data_centres import small

pytestmark = pytest.mark.emu

PROBE_HZ = 50.0
TIMES = 10.0
"""Times may be so much longer here than on a machine of one's own."""


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[Event, ...]:
    """Return what happens in a network of two with a tunnel that is refreshed every second."""
    tunnels = {"period_s": 1.0, "start_s": 2.0, "retry_s": 0.5}
    scenario = small(2, 16, every_tunnel=tunnels, schedule={"speed": 21.0})
    out: Path = tmp_path_factory.mktemp("run")
    return asyncio.run(emulate(Request(scenario=scenario, out=out, channel="aead", probe_hz=PROBE_HZ))).events


def test_a_refresh_with_both_calls_to_key_servers_takes_milliseconds(events: tuple[Event, ...]) -> None:
    refreshes = [event for event in events if isinstance(event, Refreshed)]

    assert len(refreshes) >= 5
    assert median(event.total_s for event in refreshes) <= TIMES * 0.030
    assert all(event.enc_s + event.peer_s <= event.total_s for event in refreshes)


def test_refreshes_lose_one_probe_in_ten_at_most(events: tuple[Event, ...]) -> None:
    lost = sum(event.lost for event in events if isinstance(event, Probed))

    assert lost <= len([event for event in events if isinstance(event, Refreshed)]) / 10.0 + 1


def test_probes_go_at_the_rate_that_was_asked_for(events: tuple[Event, ...]) -> None:
    began_s = next(event.at_s for event in events if isinstance(event, SessionBegan))
    probed = [event for event in events if isinstance(event, Probed) and event.at_s > began_s + 1.5]
    sent = sum(event.sent for event in probed[1:])
    lasted_s = probed[-1].at_s - probed[0].at_s

    assert 0.6 * PROBE_HZ <= sent / lasted_s <= 1.1 * PROBE_HZ
