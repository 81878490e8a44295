"""What a probe stream is and how it is counted: numbered datagrams there, and their echoes back.

Rules:

1. A probe is lost if its echo is not there after the time-out; an echo that comes later changes nothing.
2. ``sent`` counts when it is sent, ``received`` and ``lost`` when that is known: over a run, sent = received + lost +
   what is still on its way.
3. Counting begins with the first probe that is answered: before a tunnel's first session there is nothing to lose.
   From then on every probe counts, whether the tunnel is up or not.
4. A gap is the time from one echo to the next, however many intervals it spans, or up to now if none has come yet.
5. Bursts measure throughput: their echoes count in ``bits_per_s`` and nowhere else.

Intervals add up with :func:`together`. No clock and no socket here, and nothing but the standard library:
:mod:`bellweave.edge.probe_world` runs it alone.
"""

from dataclasses import dataclass, field
from statistics import median

MARKER = b"BELLWEAVE-PLAINTEXT-MARKER "
"""Stands in every probe; whoever captures traffic and finds it has found clear text."""

PROBE, BURST = b"P", b"B"
PROBE_HZ = 20.0
"""Probes a second, unless somebody wants another rate."""

ECHO = {PROBE: b"p", BURST: b"b"}

_STREAM_BYTES = 4
_NUMBER_BYTES = 8
LEAST_BYTES = len(MARKER) + 1 + _STREAM_BYTES + _NUMBER_BYTES

MOST_BYTES = 1200
"""Longest probe: fits a tunnel with an MTU of 1280, and the AEAD channel's records a path of 1280."""


@dataclass(frozen=True)
class ProbePlan:
    """What is sent.

    Attributes:
        rate_hz: Probes a second, > 0.
        payload_bytes: Length of a probe, LEAST_BYTES to MOST_BYTES.
        timeout_s: A probe whose echo took longer is lost.
        burst: Further datagrams of MOST_BYTES at once, to measure throughput; 0: none.
        burst_every_s: How often.
    """

    rate_hz: float = PROBE_HZ
    payload_bytes: int = 200
    timeout_s: float = 1.0
    burst: int = 0
    burst_every_s: float = 10.0

    def __post_init__(self) -> None:
        if not LEAST_BYTES <= self.payload_bytes <= MOST_BYTES:
            raise ValueError(f"a probe has {LEAST_BYTES} to {MOST_BYTES} bytes, got {self.payload_bytes}")
        if min(self.rate_hz, self.timeout_s, self.burst_every_s) <= 0.0 or self.burst < 0:
            raise ValueError(f"rates and times of a probe stream are > 0, got {self}")


@dataclass(frozen=True)
class Counted:
    """What a stream met in an interval; see :class:`bellweave.results.network_records.Probed`.

    Attributes:
        elapsed_s: Length of the interval.
    """

    sent: int
    received: int
    lost: int
    longest_gap_s: float
    rtt_s: float | None
    bits_per_s: float
    elapsed_s: float


def datagram(kind: bytes, stream: bytes, number: int, length_bytes: int) -> bytes:
    """Return a datagram.

    Args:
        kind: ``PROBE`` or ``BURST``.
        stream: Four bytes that tell this stream from those before it.
        number: Of the probe.
        length_bytes: >= LEAST_BYTES.
    """
    head = MARKER + kind + stream + number.to_bytes(_NUMBER_BYTES, "big")
    return (head + MARKER * (length_bytes // len(MARKER) + 1))[:length_bytes]


def echo_of(data: bytes) -> bytes | None:
    """Return what is sent back, as long as what came; None: it is no probe."""
    place = len(MARKER)
    echo = ECHO.get(data[place : place + 1])
    if len(data) < LEAST_BYTES or not data.startswith(MARKER) or echo is None:
        return None
    return data[:place] + echo + data[place + 1 :]


def read_echo(data: bytes, stream: bytes) -> tuple[bytes, int] | None:
    """Return kind and number of the probe that this echo of the stream answers; None: it is none."""
    place = len(MARKER)
    if len(data) < LEAST_BYTES or not data.startswith(MARKER):
        return None
    kinds = [kind for kind, echo in ECHO.items() if echo == data[place : place + 1]]
    head = place + 1 + _STREAM_BYTES
    if not kinds or data[place + 1 : head] != stream:
        return None
    return kinds[0], int.from_bytes(data[head : head + _NUMBER_BYTES], "big")


def together(one: Counted, other: Counted) -> Counted:
    """Return what a stream met in two intervals, one after the other; the round trip is the mean of their medians."""
    rtts = [(each.rtt_s, each.received) for each in (one, other) if each.rtt_s is not None]
    echoes = sum(weight for _, weight in rtts)
    elapsed_s = one.elapsed_s + other.elapsed_s
    payload_bits = one.bits_per_s * one.elapsed_s + other.bits_per_s * other.elapsed_s
    return Counted(
        sent=one.sent + other.sent,
        received=one.received + other.received,
        lost=one.lost + other.lost,
        longest_gap_s=max(one.longest_gap_s, other.longest_gap_s),
        rtt_s=sum(rtt_s * weight for rtt_s, weight in rtts) / echoes if echoes else None,
        bits_per_s=payload_bits / elapsed_s if elapsed_s > 0.0 else 0.0,
        elapsed_s=elapsed_s,
    )


@dataclass
class _Interval:
    sent: int = 0
    received: int = 0
    lost: int = 0
    gap_s: float = 0.0
    rtts_s: list[float] = field(default_factory=list)
    payload_bytes: int = 0


class ProbeCounter:
    """Counts one stream.

    Args:
        timeout_s: A probe whose echo took longer is lost.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._pending: dict[int, float] = {}  # number: when it was sent, in this order
        self._last_echo_s: float | None = None
        self._since_s = 0.0
        self._now = _Interval()

    def sent(self, number: int, now_s: float) -> None:
        """Take note of a probe; numbers grow."""
        self._expire(now_s)
        self._pending[number] = now_s
        if self._last_echo_s is not None:
            self._now.sent += 1

    def echoed(self, number: int, length_bytes: int, now_s: float) -> None:
        """Take note of an echo; unknown, late and repeated ones count nothing."""
        self._expire(now_s)
        sent_s = self._pending.pop(number, None)
        if sent_s is None:
            return
        if self._last_echo_s is None:
            self._pending = {other: at_s for other, at_s in self._pending.items() if other > number}
            self._now.sent = 1 + len(self._pending)
            self._since_s = sent_s
        else:
            self._now.gap_s = max(self._now.gap_s, now_s - self._last_echo_s)
        self._last_echo_s = now_s
        self._now.received += 1
        self._now.rtts_s.append(now_s - sent_s)
        self._now.payload_bytes += length_bytes

    def burst_echoed(self, length_bytes: int) -> None:
        """Take note of an echo of a burst."""
        self._now.payload_bytes += length_bytes

    def take(self, now_s: float) -> Counted | None:
        """Return what happened since the last call; None: counting has not begun."""
        self._expire(now_s)
        if self._last_echo_s is None:
            return None
        done, self._now = self._now, _Interval()
        elapsed_s, self._since_s = now_s - self._since_s, now_s
        return Counted(
            sent=done.sent,
            received=done.received,
            lost=done.lost,
            longest_gap_s=max(done.gap_s, now_s - self._last_echo_s),
            rtt_s=median(done.rtts_s) if done.rtts_s else None,
            bits_per_s=8.0 * done.payload_bytes / elapsed_s if elapsed_s > 0.0 else 0.0,
            elapsed_s=elapsed_s,
        )

    def _expire(self, now_s: float) -> None:
        """Give up the probes whose time is over."""
        while self._pending:
            number, sent_s = next(iter(self._pending.items()))
            if now_s < sent_s + self._timeout_s:
                return
            del self._pending[number]
            if self._last_echo_s is not None:
                self._now.lost += 1
