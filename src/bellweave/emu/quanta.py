"""What a node's detectors saw, on its way from the source's process to the node's: records to bytes and back."""

import numpy as np

from bellweave.blocks import Detections, Rounds
from bellweave.emu.messages import Quantum
from bellweave.errors import ProtocolError
from bellweave.roles.node import Facts, Seen

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


def _int64(column: np.ndarray) -> bytes:
    return column.astype("<i8").tobytes()


def _ints(data: bytes) -> np.ndarray:
    return np.frombuffer(data, "<i8").astype(np.int64)


def _bytes(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8).copy()
