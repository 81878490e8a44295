"""Gateways of somebody else's: the agents of an emulation drive daemons that another program has started."""

import asyncio
import contextlib
import json
import signal
import sys
from pathlib import Path

import pytest

from bellweave.edge.gateway import Gateway, Shared
from bellweave.emu.data_network import DataNetwork
from bellweave.results.io import read_events
from bellweave.results.network_records import Refreshed, SessionBegan
from bellweave.scenario.load import to_toml
from bellweave.scenario.schema import Scenario
from bellweave.testing.data_centres import small
from bellweave.testing.system import missing

pytestmark = pytest.mark.emu


def network() -> Scenario:
    """Return two users and one tunnel, refreshed every second."""
    every_tunnel = {"period_s": 1.0, "start_s": 1.0, "retry_s": 0.5, "mode": "ppk"}
    return small(2, 400, tunnels=1, every_tunnel=every_tunnel, schedule={"speed": 21.0})


def table(gateway: Gateway, secret: str) -> str:
    """Return a gateway as it stands in the file."""
    texts = ("vici", "local", "remote", "local_id", "remote_id", "log")
    lines = [f"[tunnel.{gateway.tunnel}.{gateway.side}]"]
    lines += [f"{name} = {json.dumps(getattr(gateway, name))}" for name in texts]
    lines += [f"{name} = {json.dumps(list(getattr(gateway, name)))}" for name in ("local_ts", "remote_ts")]
    return "\n".join([*lines, f"psk = {json.dumps(secret)}", f"encap = {str(gateway.encap).lower()}", ""])


async def test_tunnels_of_others_are_refreshed_with_fresh_keys(tmp_path: Path) -> None:
    from bellweave.edge.doctor import examine

    found = await asyncio.to_thread(examine)
    if not found.ipsec:
        missing("IPsec", "bellweave doctor")
    scenario = network()
    (tmp_path / "mine.toml").write_text(to_toml(scenario))
    others = DataNetwork(
        scenario, tmp_path / "g", "bridge", kernel_esp=found.kernel_esp, note=lambda _: None, now=lambda: 0.0
    )
    (tmp_path / "g").mkdir(mode=0o700)
    async with others as theirs:
        gateways = [channel.gateway for channel in theirs.channels().values()]
        auth = gateways[0].auth
        assert isinstance(auth, Shared)
        secret = tmp_path / "base.psk"
        secret.touch(mode=0o600)
        secret.write_text(f"0x{auth.secret.hex()}\n")
        (tmp_path / "gateways.toml").write_text("\n".join(table(each, "base.psk") for each in gateways))
        with (tmp_path / "printed").open("w") as printed:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "bellweave", "emulate", "mine.toml", "--attach", "gateways.toml", "--out", "run",
                "--no-figures",
                cwd=tmp_path, stdout=printed, stderr=printed,
            )  # fmt: skip
        try:
            async with asyncio.timeout(250.0):
                while (tmp_path / "printed").read_text().count("session with key") < 2 and process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
                process.send_signal(signal.SIGINT)
                code = await process.wait()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        assert code == 0, (tmp_path / "printed").read_text()[-3000:]

    events = read_events(tmp_path / "run")
    keys = {event.key_id for event in events if isinstance(event, SessionBegan) and not event.renewed}
    assert len(keys) >= 2
    assert len(keys) == sum(isinstance(event, Refreshed) for event in events)
    rows = json.loads((tmp_path / "run" / "report.json").read_text())["rows"]
    assert any(row["note"] == "channel ipsec (attached gateways)" for row in rows)
