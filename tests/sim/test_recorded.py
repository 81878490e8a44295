"""From files to keys: equal at both ends, honest about errors, each party from its own file."""

import asyncio
from pathlib import Path

import pytest

from bellweave.dialogue import Closed, Dialogue, Message
from bellweave.edge import dialogue_tcp, tag_files
from bellweave.errors import BellweaveError, ScenarioError
from bellweave.results.recorded import Findings
from bellweave.sim import recorded
from bellweave.sim.classical import converse
from bellweave.sim.recorded import Both, Party, Recipe
from bellweave.studies.recorded_findings import findings
from bellweave.studies.recorded_table import report
from bellweave.testing.messy_tags import Messy, record

REAL = Path(__file__).parents[3] / "shared" / "data" / "recorded-tags"
MESSY = Messy(offset_ps=40_000_000, drift=1e-7, echo_delay_ps=33_000, qber=(0.05, 0.02), order=(1, 0, 3, 2))
PAPER = Recipe(mint="paper")


def distil(alice: Path, bob: Path, recipe: Recipe = PAPER, seed: int = 1) -> Both:
    recordings = recorded.open_recording(alice, recipe), recorded.open_recording(bob, recipe)
    return recorded.distil(recordings, (recipe, recipe), recorded.seeded(seed))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("messy")
    paths = folder / "alice.npz", folder / "bob.parquet"
    for path, seen in zip(paths, record(MESSY), strict=True):
        tag_files.write(path, seen)
    return paths


@pytest.fixture(scope="module")
def messy(files: tuple[Path, Path]) -> Both:
    return distil(*files)


def test_both_parties_hold_the_same_key(messy: Both) -> None:
    alice, bob = messy.alice.outcome.block, messy.bob.outcome.block

    assert alice is not None
    assert bob is not None
    assert alice.agrees_with(bob)
    assert alice.provenance == "recorded"
    assert messy.alice.outcome.ledger == messy.bob.outcome.ledger
    assert messy.alice.outcome.ledger.closes()


def test_the_planted_error_rates_are_found_per_basis(messy: Both) -> None:
    estimate = messy.alice.outcome.estimate

    for errors, sample, planted in (
        (estimate.errors_z, estimate.sample_z, MESSY.qber[0]),
        (estimate.errors_x, estimate.sample_x, MESSY.qber[1]),
    ):
        assert abs(errors / sample - planted) < 4 * (planted * (1 - planted) / sample) ** 0.5 + 0.005  # accidentals


def test_the_threshold_is_fixed_on_the_slices_at_both_ends(messy: Both) -> None:
    assert messy.alice.params == messy.bob.params
    assert messy.alice.params.qber_threshold is not None
    assert 0.035 < messy.alice.params.qber_threshold < 0.08


def test_even_bases_are_pooled_and_every_proof_is_shown(messy: Both) -> None:
    table = report(messy, findings(messy))

    assert messy.alice.params.estimation == "pooled"
    assert {row.accounting for row in table.rows} >= {"provable", "lim21", "exact"}
    assert "ours" in table.flags


def test_findings_tell_what_was_planted(messy: Both) -> None:
    found = findings(messy)

    assert abs(found.alice.channels[0].echo_delay_ps - MESSY.echo_delay_ps) < 500
    assert abs(found.drift - MESSY.drift) < 1e-9
    assert [channel.role for channel in found.bob.channels] == ["V", "H", "A", "D"]
    assert found.residual_ps < 100
    assert found.warnings == ()
    assert abs(found.zero_share[0] - 0.5) < 0.05
    assert sum(sum(peak.before) for peak in found.peaks) > 0


def test_given_a_window_none_is_chosen(files: tuple[Path, Path]) -> None:
    both = distil(*files, Recipe(mint="paper", window_ps=3_000))

    assert both.alice.calibrated.window_ps == both.bob.calibrated.window_ps == 3_000
    assert not findings(both).window_chosen


def test_the_same_seed_gives_the_same_key(files: tuple[Path, Path], messy: Both) -> None:
    first, again, other = messy, distil(*files), distil(*files, seed=2)

    blocks = [both.alice.outcome.block for both in (first, again, other)]
    assert blocks[0] is not None
    assert blocks[1] is not None
    assert blocks[2] is not None
    assert blocks[0].bits == blocks[1].bits
    assert blocks[0].bits != blocks[2].bits


def test_a_party_needs_its_own_file_only(files: tuple[Path, Path], messy: Both, tmp_path: Path) -> None:
    """Alice's role alone, fed with what Bob said, gives her key: her process never needs Bob's file."""
    said = _transcript_of_bob(files)
    role = recorded.party("alice", recorded.open_recording(files[0], PAPER), PAPER, recorded.seeded(1)[0])

    alone, together = _fed_with(said, role).outcome.block, messy.alice.outcome.block

    assert alone is not None
    assert together is not None
    assert alone.agrees_with(together)


def _fed_with(said: list[Message], role: Dialogue[Party]) -> Party:
    incoming: Message | None = None
    while True:
        try:
            outgoing = role.send(incoming)
        except StopIteration as end:
            party: Party = end.value
            return party
        incoming = (said.pop(0) if said else Closed()) if outgoing is None else None


def _transcript_of_bob(files: tuple[Path, Path]) -> list[Message]:
    heard: list[Message] = []
    recordings = tuple(recorded.open_recording(file, PAPER) for file in files)
    entropies = recorded.seeded(1)
    alice = recorded.party("alice", recordings[0], PAPER, entropies[0])
    bob = recorded.party("bob", recordings[1], PAPER, entropies[1])

    def tap(direction: str, number: int, data: bytes) -> bytes:
        if direction == "bob to alice":
            heard.append(recorded.CODEC.decode(data))
        return data

    converse(alice, bob, recorded.CODEC, tamper=tap)
    return heard


@pytest.mark.parametrize("number", [0, 1])
def test_a_message_that_is_cut_costs_both_the_key(files: tuple[Path, Path], number: int) -> None:
    recordings = tuple(recorded.open_recording(file, PAPER) for file in files)
    entropies = recorded.seeded(1)
    alice = recorded.party("alice", recordings[0], PAPER, entropies[0])
    bob = recorded.party("bob", recordings[1], PAPER, entropies[1])

    def cut(direction: str, count: int, data: bytes) -> bytes:
        return data[:-3] if direction == "bob to alice" and count == number else data

    with pytest.raises(BellweaveError):
        converse(alice, bob, recorded.CODEC, tamper=cut)


@pytest.mark.emu
def test_two_ends_of_a_socket_get_the_key_that_memory_gives(files: tuple[Path, Path], messy: Both) -> None:
    entropies = recorded.seeded(1)
    roles = [
        recorded.party("alice", recorded.open_recording(files[0], PAPER), PAPER, entropies[0]),
        recorded.party("bob", recorded.open_recording(files[1], PAPER), PAPER, entropies[1]),
    ]

    async def both_ends() -> list[Party]:
        done: asyncio.Future[Party] = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            done.set_result(await dialogue_tcp.run(roles[0], reader, writer, recorded.CODEC, 30.0))

        async with dialogue_tcp.listening(serve, "127.0.0.1", 0) as port:
            reader, writer = await dialogue_tcp.connect("127.0.0.1", port)
            bob = await dialogue_tcp.run(roles[1], reader, writer, recorded.CODEC, 30.0)
            alice = await done
            await dialogue_tcp.close(writer)
        return [alice, bob]

    ends = asyncio.run(both_ends())

    for end, in_memory in zip(ends, messy, strict=True):
        assert end.outcome.block is not None
        assert in_memory.outcome.block is not None
        assert end.outcome.block.agrees_with(in_memory.outcome.block)


def test_roles_that_do_not_fit_the_file_are_refused(files: tuple[Path, Path]) -> None:
    with pytest.raises(ScenarioError, match="names the channels"):
        recorded.open_recording(files[0], Recipe(channels="4=H,5=V,6=D,7=A"))


# The real experiment, where it is at hand.


@pytest.fixture(scope="module")
def real() -> Both:
    if not (REAL / "alice.csv.gz").exists():
        pytest.skip(
            "the recorded experiment has no licence that would let it into the repository, and is not beside it"
        )
    return distil(REAL / "alice.csv.gz", REAL / "bob.csv.gz", Recipe(tick_ps=156.25, mint="paper"))


@pytest.fixture(scope="module")
def shown(real: Both) -> Findings:
    return findings(real)


def test_a_key_is_distilled_from_the_real_experiment(real: Both) -> None:
    block = real.alice.outcome.block

    assert block is not None
    assert real.bob.outcome.block is not None
    assert block.agrees_with(real.bob.outcome.block)
    assert block.bit_count > 1_500
    assert real.alice.outcome.ledger.sifted > 4_000


def test_the_real_delays_are_additive_once_echoes_are_gone(shown: Findings) -> None:
    assert sum(peak.fitted for peak in shown.peaks) >= 13
    assert shown.residual_ps < 156.25
    assert shown.alice.channels[0].echoes > 10_000
    assert shown.warnings == ()


def test_a_window_on_the_real_times_as_recorded_hides_the_errors(shown: Findings) -> None:
    """Opposite outcomes arrive 11 to 14 ns away from equal ones there: fewer bits are sifted, most errors are lost."""
    as_recorded, corrected = (
        next(c.window for c in shown.comparison if c.treatment == treatment and c.window.window_ps == 4_062)
        for treatment in ("times as recorded", "echoes removed, delays corrected")
    )

    assert as_recorded.qber < 0.015
    assert 0.04 < corrected.qber < 0.05
    assert sum(corrected.sifted) > max(sum(as_recorded.sifted), 4_915)  # 4,915: the notes' greedy matching


def test_the_real_bases_are_uneven_so_the_rarer_one_is_disclosed_and_judges_the_other(real: Both) -> None:
    ledger, estimate = real.alice.outcome.ledger, real.alice.outcome.estimate

    assert ledger.sifted_z > 3 * ledger.sifted_x
    assert real.alice.params == real.bob.params
    assert real.alice.params.estimation == "per-basis"
    assert (estimate.sample_z, estimate.sample_x) == (0, ledger.sifted_x)
    assert real.alice.outcome.accountings["provable"] == 0  # 4,251 bits are too few


def test_the_table_names_what_the_record_lacks(real: Both, shown: Findings) -> None:
    table = report(real, shown)

    assert any(sentence.startswith("too short") for sentence in table.flags["ours"])
    assert any("the rarer one was disclosed whole" in row.note for row in table.rows)
