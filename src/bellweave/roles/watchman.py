"""Watches the error rates of links: an alarm begins with the first bad block and ends with the first good one."""

from bellweave.network.params import Monitor
from bellweave.results.network_records import Alarmed
from bellweave.results.records import BlockRecord


class Watchman:
    """Alarms of all links."""

    def __init__(self, params: Monitor) -> None:
        self._params = params
        self._without_key: dict[str, int] = {}
        self._ringing: set[str] = set()

    def look(self, record: BlockRecord, now_s: float) -> Alarmed | None:
        """Return the alarm that this block begins or ends, if any."""
        link, qber = record.link, record.estimate.qber
        self._without_key[link] = self._without_key.get(link, 0) + 1 if record.rejection else 0
        reason = None
        if qber is not None and qber > self._params.qber_alarm:
            reason = f"QBER {qber:.3f} is above {self._params.qber_alarm:.3f}"
        elif self._without_key[link] >= self._params.blocks_without_key:
            reason = f"{self._without_key[link]} blocks in a row gave no key: {record.rejection}"
        if (reason is not None) == (link in self._ringing):
            return None
        if reason is None:
            self._ringing.discard(link)
            return Alarmed(at_s=now_s, link=link, reason="over", qber=qber, over=True)
        self._ringing.add(link)
        return Alarmed(at_s=now_s, link=link, reason=reason, qber=qber)
