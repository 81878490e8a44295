"""What a network run amounts to: totals, links, tunnels; and what accumulation would prove."""

from pathlib import Path

import msgspec
import pytest

from bellweave.distill.finite_key import planning
from bellweave.network.fairness import jain
from bellweave.results.io import read_events, read_manifest
from bellweave.results.network_records import BlockDistilled, Delivered, Event, SessionBegan, SessionEnded, Starved
from bellweave.scenario.load import parse
from bellweave.sim.network import NetworkRun, simulate_network
from bellweave.sim.network.proven import proof
from bellweave.sim.network.summary import summarise
from bellweave.testing.data_centres import small


def made_of(*events: Event, duration_s: float = 100.0, **tables: dict[str, object]) -> NetworkRun:
    """Return a run in which just this happened, on a network of two users whose tunnel is due from 20 s on."""
    run = simulate_network(small(slots=1, **tables))  # type: ignore[arg-type]
    return NetworkRun(run.manifest, run.scenario, events, duration_s)


def began(at_s: float, key_id: str, *, renewed: bool = False) -> SessionBegan:
    return SessionBegan(at_s=at_s, tunnel="user1-user2", key_id=key_id, renewed=renewed)


def ended(at_s: float, key_id: str, reason: str = "replaced") -> SessionEnded:
    return SessionEnded(at_s=at_s, tunnel="user1-user2", key_id=key_id, reason=reason)


def test_the_totals_are_the_sums_of_the_events() -> None:
    run = simulate_network(small(3, 40, tunnels=2))
    found = summarise(run)
    blocks = [event.block for event in run.events if isinstance(event, BlockDistilled)]
    given = [event for event in run.events if isinstance(event, Delivered) and event.key_id]

    assert (found.minted.accounting, found.minted.blocks, found.slots) == ("paper", 40, 40)
    assert found.minted.sifted_bits == sum(block.ledger.sifted for block in blocks)
    assert found.minted.disclosed_bits == sum(block.ledger.disclosed for block in blocks)
    assert found.minted.final_bits == sum(block.ledger.final for block in blocks)
    assert found.minted.keys_delivered == len(given) == 2 * found.minted.sessions > 0
    assert found.minted.first_key_s == given[0].at_s
    assert sum(link.keys for link in found.links.values()) == found.minted.sessions
    assert sum(link.delivered_bits for link in found.links.values()) == 128 * found.minted.sessions
    assert found.fairness_bits == jain(link.ledger.final for link in found.links.values())
    assert found.fairness_keys == jain(tunnel.sessions for tunnel in found.tunnels.values())


def test_a_run_that_was_read_from_its_directory_amounts_to_the_same(tmp_path: Path) -> None:
    run = simulate_network(small(3, 20), tmp_path)
    read = NetworkRun(
        read_manifest(tmp_path),
        parse((tmp_path / "scenario.toml").read_text()),
        read_events(tmp_path),
        run.duration_s,
    )

    assert summarise(read) == summarise(run)


def test_ages_of_keys_and_times_without_a_session_are_those_of_the_sessions() -> None:
    run = made_of(
        began(30.0, "a"),
        ended(50.0, "a", "renewed"), began(50.0, "a", renewed=True),  # the key gets older
        ended(60.0, "a"), began(60.0, "b"),
        ended(70.0, "b", "failed"),
        began(90.0, "c"), ended(101.0, "c", "end of run"),
    )  # fmt: skip
    tunnel = summarise(run).tunnels["user1-user2"]

    assert (tunnel.sessions, tunnel.renewals) == (3, 1)
    assert (tunnel.up_s, tunnel.down_s) == (50.0, 30.0)  # of the 80 s since the first key was due
    assert tunnel.age_max_s == 30.0
    assert tunnel.age_mean_s == pytest.approx((30.0**2 + 10.0**2 + 10.0**2) / 2.0 / 50.0)
    assert (tunnel.limit_s, tunnel.old_s) == (15.0, 15.0)  # its period; from 45 s to 60 s
    assert tunnel.first_session_s == 30.0


def test_a_session_of_a_run_that_was_cut_counts_until_its_end() -> None:
    tunnel = summarise(made_of(began(30.0, "a"))).tunnels["user1-user2"]

    assert (tunnel.up_s, tunnel.age_max_s) == (70.0, 70.0)


def test_a_tunnel_that_never_had_a_key_has_no_age_and_was_down_all_the_time() -> None:
    refused = Starved(at_s=20.0, tunnel="user1-user2", reason="not_enough_key", held=False)
    tunnel = summarise(made_of(refused)).tunnels["user1-user2"]

    assert (tunnel.age_mean_s, tunnel.age_max_s, tunnel.first_key_s, tunnel.waited_mean_s) == (None,) * 4
    assert (tunnel.refused, tunnel.held, tunnel.down_s) == (1, 0, 80.0)


def test_time_that_the_switch_takes_is_lost_from_the_sources_use_for_new_links_only() -> None:
    table = (("user1-user2", "user3-user4"), ("user1-user2",))
    schedule = {"scheduler": "table", "table": table, "sources": 2}
    found = summarise(simulate_network(small(4, 2, schedule=schedule, switch={"reconfiguration_s": 2.1})))

    # of 4 x 10.5 s one source idles for 10.5 s, and each of the two links loses 2.1 s once
    assert found.lost_share == pytest.approx(4.2 / 42.0)
    assert found.utilisation == pytest.approx((31.5 - 4.2) / 42.0)


def test_links_wait_as_long_as_a_round_takes() -> None:
    found = summarise(simulate_network(small(4, 24, tunnels=0)))

    assert found.wait_max_s == 63.0
    assert {link.slots for link in found.links.values()} == {4}


def test_rejected_blocks_are_counted_by_reason_and_alarms_by_link() -> None:
    spy = {"spy": {"at_s": 63.0, "set": {"link.user1-user2.eavesdropper": {"fraction": 1.0}}}}
    link = summarise(simulate_network(small(slots=12, fault=spy))).links["user1-user2"]

    assert (link.blocks, link.rejected, dict(link.rejections)) == (12, 6, {"qber above limit": 6})
    assert link.alarms == 1
    assert link.qber is not None
    assert 0.1 < link.qber < 0.25


def test_accumulation_proves_what_the_closed_form_says_and_its_first_key_comes_when_it_is_enough() -> None:
    run = simulate_network(small(slots=60, every_node={"noise": {"rotation_sigma_rad": 0.2}}))
    found = summarise(run)
    link = found.links["user1-user2"]
    blocks = [event for event in run.events if isinstance(event, BlockDistilled)]

    assert link.qber is not None
    given = planning.Conditions(qber=link.qber, sigmas=2.0)
    assert link.accumulated_bits == int(planning.accumulated(link.ledger.sifted, 1, given)) > 1000
    assert found.provable.final_bits == link.accumulated_bits
    assert found.provable.sessions == link.accumulated_bits // 128
    first_s = link.accumulated_key_s
    number = next(n for n, event in enumerate(blocks, 1) if event.at_s == first_s)
    assert proof(run.scenario, blocks[:number], 64).bits > 64
    assert proof(run.scenario, blocks[: number // 2], 128).key_s is None
    assert found.provable.first_key_s == first_s


def test_blocks_without_a_sample_prove_nothing() -> None:
    dark = {"every_node": {"detector": {"efficiency": 1e-9}}}
    found = summarise(simulate_network(small(slots=3, **dark)))  # type: ignore[arg-type]

    assert found.provable.final_bits == 0
    assert found.provable.first_key_s is None
    assert found.links["user1-user2"].qber is None


def test_where_the_proof_mints_the_two_columns_are_one_and_as_printed_is_there_if_something_is_printed() -> None:
    scenario = small(slots=2, kms={"mint": "provable"})
    unprinted = msgspec.structs.replace(
        scenario, distill=msgspec.structs.replace(scenario.distill, printed_removal_bits=None)
    )
    found, other = summarise(simulate_network(scenario)), summarise(simulate_network(unprinted))

    assert found.provable is found.minted
    assert found.as_printed is not None
    assert found.as_printed.final_bits > 0
    assert found.as_printed.keys_delivered == 0, "never minted"
    assert other.as_printed is None
