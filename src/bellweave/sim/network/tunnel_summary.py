"""What happened to each tunnel, from a run's events."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bellweave.results.network_records import Delivered, Happening, SessionBegan, SessionEnded, Starved
from bellweave.roles.run import NetworkRun
from bellweave.tunnel.params import Tunnel


@dataclass(frozen=True, kw_only=True)
class TunnelSummary:
    """One tunnel.

    Attributes:
        client, server: Its nodes.
        asked, keys: Answers to ``enc_keys``, and those with a key.
        outcomes: Outcome to count, of the client's KME.
        sessions, renewals: Sessions with a fresh key, and with the key that was in use.
        refused, held: How often a fresh key was due and could not be had, and how often the old session stayed.
        first_key_s, first_session_s: When the first key came, and the first session began; None: never.
        provable_bits, key_bits: Of all keys that the client got.
        waited_mean_s: How long ``enc_keys`` took that gave a key; None without one.
        age_mean_s, age_max_s: Of the key in use, counted from its switch, while a session was up; None without one.
        up_s, down_s: Time with a session, and without one since the first key was due.
        old_s: Time in which the key in use was older than ``limit_s``.
        limit_s: The tunnel's ``max_key_age_s``, or its period where it has none.
    """

    tunnel: str
    client: str
    server: str
    asked: int
    keys: int
    outcomes: Mapping[str, int]
    sessions: int
    renewals: int
    refused: int
    held: int
    first_key_s: float | None
    first_session_s: float | None
    provable_bits: int
    key_bits: int
    waited_mean_s: float | None
    age_mean_s: float | None
    age_max_s: float | None
    up_s: float
    down_s: float
    old_s: float
    limit_s: float


def summarise_tunnels(run: NetworkRun) -> dict[str, TunnelSummary]:
    """Return every tunnel's summary, in the scenario's order."""
    return summarise_each(run.scenario.tunnel, run.events, run.duration_s)


def summarise_each(
    tunnels: Mapping[str, Tunnel], events: Iterable[Happening], duration_s: float
) -> dict[str, TunnelSummary]:
    """Return the summary of tunnels, in their order, from a run's events."""
    tallies = {name: _Tally(name, tunnel, duration_s) for name, tunnel in tunnels.items()}
    for event in events:
        if isinstance(event, Delivered | SessionBegan | SessionEnded | Starved):
            tallies[event.tunnel].take(event)
    return {name: tally.summary() for name, tally in tallies.items()}


class _Tally:
    """Adds up one tunnel's events, in their order. A session that is up when the last slot ends counts until then."""

    def __init__(self, name: str, params: Tunnel, duration_s: float) -> None:
        self._name, self._params, self._duration_s = name, params, duration_s
        self._limit_s = params.period_s if params.max_key_age_s is None else params.max_key_age_s
        self._answers: list[Delivered] = []
        self._starved: list[Starved] = []
        self._first_session_s: float | None = None
        self._counts: Counter[bool] = Counter()  # of sessions, by whether they were renewed
        self._key_id, self._key_s, self._session_s, self._up = "", 0.0, 0.0, False
        self._up_s = self._old_s = self._age_s2 = self._oldest_s = 0.0

    def take(self, event: Delivered | SessionBegan | SessionEnded | Starved) -> None:
        """Take note of an event."""
        match event:
            case Delivered() if event.side == "client":
                self._answers.append(event)
            case Starved():
                self._starved.append(event)
            case SessionBegan():
                self._begin(event)
            case SessionEnded():
                self._end(event.at_s)

    def _begin(self, event: SessionBegan) -> None:
        self._counts[event.renewed] += 1
        self._session_s, self._up = event.at_s, True
        if self._first_session_s is None:
            self._first_session_s = event.at_s
        if event.key_id != self._key_id:  # a renewed session has the key, and its age, of the one before
            self._key_id, self._key_s = event.key_id, event.at_s

    def _end(self, now_s: float) -> None:
        self._up = False
        until_s = max(self._session_s, min(now_s, self._duration_s))
        young_s, age_s = self._session_s - self._key_s, until_s - self._key_s
        self._up_s += age_s - young_s
        self._old_s += max(0.0, age_s - max(young_s, self._limit_s))
        self._age_s2 += (age_s**2 - young_s**2) / 2.0
        self._oldest_s = max(self._oldest_s, age_s)

    def summary(self) -> TunnelSummary:
        """Return the sums."""
        if self._up:  # a run that was cut
            self._end(self._duration_s)
        given = [event for event in self._answers if event.key_id]
        waited_s = sum(event.waited_s for event in given)
        return TunnelSummary(
            tunnel=self._name,
            client=self._params.client,
            server=self._params.server,
            asked=len(self._answers),
            keys=len(given),
            outcomes=Counter(event.outcome for event in self._answers),
            sessions=self._counts[False],
            renewals=self._counts[True],
            refused=len(self._starved),
            held=sum(event.held for event in self._starved),
            first_key_s=given[0].at_s if given else None,
            first_session_s=self._first_session_s,
            provable_bits=sum(event.provable_bits for event in given),
            key_bits=sum(event.bits for event in given),
            waited_mean_s=waited_s / len(given) if given else None,
            age_mean_s=self._age_s2 / self._up_s if self._up_s else None,
            age_max_s=self._oldest_s if self._up_s else None,
            up_s=self._up_s,
            down_s=max(0.0, self._duration_s - self._params.start_s - self._up_s),
            old_s=self._old_s,
            limit_s=self._limit_s,
        )
