"""Recorded detections of two nodes: from one file a party to distilled keys.

Each party's role is one dialogue that sees one file: echoes, calibration, clicks, matching, distillation.
:func:`distil` runs both in memory; :func:`party` is one of them, for a process of its own. What the table and the
figures show is put together afterwards (:mod:`bellweave.studies.recorded_findings`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec

from bellweave import rng
from bellweave.blocks import Detections, Role
from bellweave.dialogue import Codec, Dialogue
from bellweave.distill import session
from bellweave.distill.accounting import evenly_spread
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.messages import KINDS as DISTILL_KINDS
from bellweave.distill.params import Distillation, Mint
from bellweave.distill.session import Context, Outcome
from bellweave.edge import tag_files
from bellweave.photonics import analyser, calibration, channel_map, coincidence, echoes
from bellweave.photonics.analyser import ChannelMap, Clicks
from bellweave.photonics.calibration import Calibrated
from bellweave.photonics.messages import KINDS as PHOTONICS_KINDS
from bellweave.photonics.params import Arm, Calibration, CwSource, Node
from bellweave.rng import Entropy
from bellweave.sim.classical import converse
from bellweave.units import PS_PER_S

CODEC = Codec(*PHOTONICS_KINDS, *DISTILL_KINDS)
"""Everything that the two parties say to each other."""

SLICE_SHARE = 0.06
"""Each of the two slices is this share of Bob's record. Of 5,000 sifted coincidences, the 600 in the slices tell a QBER
of 4 % to 0.8 points and a delay to a tenth of a peak's width, enough for the window and the threshold; twice as much
would cost more key than the better window gains."""

START_WINDOW_PS = 2_000
"""How wide a correlation peak may be, and where the search for the window starts, if no window is given."""

THRESHOLD_SIGMAS = 2.0
"""The threshold of the provable accounting lies so many standard deviations above the slices' error rate: one honest
block in forty is then above it."""

CONDITIONS = (
    "The detections were recorded by others; nothing vouches for the files, the source or the basis choice.",
    "Detectors of unequal efficiency break the assumption that detection depends on neither basis nor bit.",
    "Which coincidences are seen depends on the window; it and the delays were chosen on the disclosed slices only.",
    "Peaks of different detectors differ in shape, so that a public time may still tell a little about its outcome.",
    "Whether the bases were chosen at random, and evenly, is not in the record.",
)


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How a recording is distilled; the same at both ends but for ``tick_ps`` and ``channels``.

    Attributes:
        tick_ps: Length of a tick in this party's file; None if it holds picoseconds.
        channels: This party's roles, such as ``0=H,1=V,2=D,3=A``; found from the data if None.
        window_ps: Coincidence window; chosen on the slices if None.
        slice_s: Length of each of the two disclosed slices; 6 % of Bob's record if None.
        search_ps: Largest clock offset that is looked for, either way.
        distillation: How; its ``qber_threshold`` comes from the slices if None, and ``pooled`` estimation becomes
            ``per-basis`` if the slices show uneven bases.
        mint: The accounting that fixes the key's length.
        link: Name of the link.
    """

    tick_ps: float | None = None
    channels: str | None = None
    window_ps: int | None = None
    slice_s: float | None = None
    search_ps: int = 1_000_000_000
    distillation: Distillation = msgspec.field(default_factory=Distillation)
    mint: Mint = "provable"
    link: str = "recorded"


@dataclass(frozen=True)
class Recording:
    """A file as read.

    Attributes:
        file: Its name.
        seen: Its detections, channels from 0.
        first_channel: The file's number of channel 0.
        roles: What its channels measure, where that was said.
    """

    file: str
    seen: Detections
    first_channel: int
    roles: ChannelMap | None


@dataclass(frozen=True)
class Party:
    """One party's end.

    Attributes:
        role: Whose.
        recording: Its file.
        found: Echoes by channel.
        calibrated: Its calibration.
        chose_window: Whether the window was chosen on the slices, or given.
        clicks: How many clicks it matched with.
        rounds: How many matched.
        params: As distilled, threshold filled in.
        outcome: Key, ledger and accountings.
    """

    role: Role
    recording: Recording
    found: tuple[echoes.Echoes, ...]
    calibrated: Calibrated
    chose_window: bool
    clicks: int
    rounds: int
    params: Distillation
    outcome: Outcome

    @property
    def duration_s(self) -> float:
        """Length of the record that both cover."""
        start_ps, end_ps = self.calibrated.record_ps
        return (end_ps - start_ps) / PS_PER_S


class Both(NamedTuple):
    """Both parties' ends."""

    alice: Party
    bob: Party


def open_recording(path: str | Path, recipe: Recipe) -> Recording:
    """Read one party's file.

    Raises:
        ScenarioError: The file or the channels are not as they must be.
    """
    first = tag_files.first_channel(path)
    roles = None if recipe.channels is None else channel_map.parse(recipe.channels, first)
    return Recording(str(path), tag_files.read(path, tick_ps=recipe.tick_ps), first, roles)


def party(
    role: Role, recording: Recording, recipe: Recipe, entropy: Entropy, keys: AuthenticationKeys | None = None
) -> Dialogue[Party]:
    """One party's whole role, which sees only its own recording; run it with any driver and :data:`CODEC`.

    Args:
        role: Whose.
        recording: Its file.
        recipe: How.
        entropy: Its source of random bytes.
        keys: Its authentication keys, which have admitted this session; the tags then cover all that crosses.

    Raises:
        NoPeakError: The recordings do not correlate.
        ScenarioError: The recordings can't be used.
        ProtocolError: The peer or the line broke the protocol.
    """
    clean, found = echoes.remove(recording.seen)
    transcript = keys.transcript() if keys else None
    calibrating = _calibrate(role, clean, recording.roles, recipe)
    calibrated = yield from (transcript.watch(calibrating) if transcript else calibrating)
    clicks = _clicks(clean, calibrated, entropy)
    params = _with_threshold(recipe.distillation, calibrated)
    block = context(recipe, calibrated)
    matching = coincidence.alice(clicks, calibrated.window_ps) if role == "alice" else coincidence.bob(clicks)
    rounds = yield from (transcript.watch(matching) if transcript else matching)
    run = session.alice if role == "alice" else session.bob
    outcome = yield from run(rounds, params, block, entropy, keys=keys, transcript=transcript)
    chose = recipe.window_ps is None
    return Party(role, recording, found, calibrated, chose, len(clicks), len(rounds), params, outcome)


def distil(
    recordings: tuple[Recording, Recording],
    recipes: tuple[Recipe, Recipe],
    entropies: tuple[Entropy, Entropy],
    progress: Callable[[str], None] = lambda _: None,
    keys: tuple[AuthenticationKeys | None, AuthenticationKeys | None] = (None, None),
) -> Both:
    """Run both parties in memory, each with its own recording only.

    Args:
        recordings: Alice's and Bob's.
        recipes: Alice's and Bob's.
        entropies: Alice's and Bob's; :func:`seeded`, or the system's in earnest.
        progress: Is told what is going on.
        keys: Alice's and Bob's authentication keys, which have admitted this session; None: none.

    Raises:
        BellweaveError: As :func:`party`.
    """
    progress("calibrating, matching and distilling")
    roles: tuple[Role, Role] = ("alice", "bob")
    alice, bob = (party(*each) for each in zip(roles, recordings, recipes, entropies, keys, strict=True))
    return Both(*converse(alice, bob, CODEC))


def seeded(seed: int) -> tuple[Entropy, Entropy]:
    """Return repeatable entropy for both parties: good for studies, not for secrets."""
    return rng.stream(seed, "recorded", "alice"), rng.stream(seed, "recorded", "bob")


def _calibrate(role: Role, clean: Detections, roles: ChannelMap | None, recipe: Recipe) -> Dialogue[Calibrated]:
    record_s = float(clean.time_ps[-1] - clean.time_ps[0]) / PS_PER_S if len(clean) else 1.0
    params = Calibration(
        slice_s=recipe.slice_s or SLICE_SHARE * max(record_s, 1e-9),
        search_ps=recipe.search_ps,
        choose_window=recipe.window_ps is None,
    )
    if role == "bob":
        return (yield from calibration.bob(clean, params, roles))
    return (yield from calibration.alice(clean, params, recipe.window_ps or START_WINDOW_PS, roles, find_roles=True))


def _clicks(clean: Detections, calibrated: Calibrated, entropy: Entropy) -> Clicks:
    arm = Arm(node=Node(), loss_db={})  # a passive polarisation analyser; all the rest was calibrated
    return analyser.clicks(
        calibrated.remainder(clean),
        arm,
        CwSource(pair_rate_hz=1.0),
        calibrated.window_ps,
        rng.from_bytes(entropy.bytes(32)),
        timing=calibrated.timing,
        channel_map=calibrated.roles,
    )


def _with_threshold(params: Distillation, calibrated: Calibrated) -> Distillation:
    """Fix the threshold from the slices, at both ends alike, before any sample is drawn.

    Where the slices show bases too uneven for the pooled proof, the rarer one is disclosed and proves the other's key.
    """
    if params.estimation == "pooled" and not evenly_spread(*calibrated.sifted):
        params = msgspec.structs.replace(params, estimation="per-basis")
    if params.qber_threshold is not None:
        return params
    seen, errors = sum(calibrated.sifted), sum(calibrated.errors)
    if params.estimation == "per-basis":
        seen, errors = min(zip(calibrated.sifted, calibrated.errors, strict=True))
    qber = (errors + 0.5) / (seen + 1.0)
    sigma = math.sqrt(2.0 * qber * (1.0 - qber) / max(seen, 1))  # of the slices, and of a sample about as large
    threshold = round(min(qber + THRESHOLD_SIGMAS * sigma, params.qber_limit), 3)
    return msgspec.structs.replace(params, qber_threshold=threshold)


def context(recipe: Recipe, calibrated: Calibrated) -> Context:
    """Return which block a recording is: its link's only one."""
    start_ps, end_ps = calibrated.record_ps
    return Context(
        link=recipe.link,
        block_id=f"{recipe.link}/0",
        start_s=0.0,
        end_s=(end_ps - start_ps) / PS_PER_S,
        provenance="recorded",
        mint=recipe.mint,
        assumptions=CONDITIONS,
    )
