"""What a node's detectors saw, or a slave measured, on its way from the source's process: records to bytes and back."""

import numpy as np

from bellweave.blocks import Detections, Rounds
from bellweave.distill.chsh import Measured
from bellweave.emu.messages import Measurement, Quantum
from bellweave.errors import ProtocolError
from bellweave.roles.node import Facts, Seen
from bellweave.roles.slave import Block, Method, Outcomes

MAX_BYTES = 256 * 1024 * 1024
"""Longest message from the source: some 25 million detections of one slot."""


def packed(link: str, slot: int, facts: Facts, seen: Detections | Rounds) -> Quantum:
    """Return the message that brings a node what it saw of a block."""
    common = {
        "link": link,
        "number": facts.number,
        "slot": slot,
        "start_s": facts.start_s,
        "block_s": facts.block_s,
    }
    if isinstance(seen, Rounds):
        return Quantum(**common, round_id=_int64(seen.id), basis=seen.basis.tobytes(), bit=seen.bit.tobytes())  # type: ignore[arg-type]  # of each field its own kind
    return Quantum(
        **common,  # type: ignore[arg-type]
        time_ps=_int64(seen.time_ps),
        channel=seen.channel.tobytes(),
        setting=b"" if seen.setting is None else seen.setting.tobytes(),
        duration_ps=seen.duration_ps,
        channels=seen.channels,
    )


def unpacked(quantum: Quantum) -> Seen:
    """Return what a message brings.

    Raises:
        ProtocolError: It is not as it must be.
    """
    facts = Facts(quantum.number, quantum.start_s, quantum.block_s)
    try:
        if not quantum.channels:
            return facts, Rounds(_ints(quantum.round_id), _bytes(quantum.basis), _bytes(quantum.bit))
        setting = _bytes(quantum.setting) if quantum.setting else None
        times_ps, channel = _ints(quantum.time_ps), _bytes(quantum.channel)
        return facts, Detections(times_ps, channel, quantum.duration_ps, quantum.channels, setting)
    except ValueError as error:
        raise ProtocolError(f"block {quantum.number} of {quantum.link}: {error}") from None


def measurement(demand: str, method: Method, block: Block, own: Outcomes) -> Measurement:
    """Return the message that brings a slave its own outcomes of a block, whose rounds are numbered from 0."""
    setting, intensity, announcement = own.setting if isinstance(own, Measured) else own.basis, None, None
    if isinstance(own, Rounds):
        intensity = None if own.intensity is None else own.intensity.tobytes()
        announcement = None if own.announcement is None else own.announcement.tobytes()
    return Measurement(
        demand=demand,
        method=method,
        number=block.number,
        start_s=block.start_s,
        end_s=block.end_s,
        setting=setting.tobytes(),
        bit=own.bit.tobytes(),
        intensity=intensity,
        announcement=announcement,
    )


def measured(message: Measurement) -> Outcomes:
    """Return what a slave's message brings.

    Raises:
        ProtocolError: It is not as it must be.
    """
    block = f"block {message.number} of {message.demand}"
    try:
        setting, bit = _bytes(message.setting), _bytes(message.bit)
        ids = np.arange(setting.size)
        if message.method == "mdi":
            sent, told = (
                None if column is None else _bytes(column) for column in (message.intensity, message.announcement)
            )
            return Rounds(ids, setting, bit, sent, told)
    except ValueError as error:
        raise ProtocolError(f"{block}: {error}") from None
    if setting.size != bit.size:
        raise ProtocolError(f"{block}: columns must be of one length")
    return Measured(ids, setting, bit)


def _int64(column: np.ndarray) -> bytes:
    return column.astype("<i8").tobytes()


def _ints(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i8").astype(np.int64)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()
