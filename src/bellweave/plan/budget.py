"""What a plan of a network says: structs that print as JSON. A time that never comes is null."""

import msgspec

from bellweave.plan.supply import SlotYield


class Moments(msgspec.Struct, frozen=True, kw_only=True):
    """What the tunnels of a link get, and when. Null: never, or it has no tunnels.

    Attributes:
        shortest_period_s: Refresh period that the link sustains for all of them.
        first_key_s: A tunnel gets its first key.
        all_keyed_s: Every tunnel has had one.
        steady_s: Nobody waits for a key any more.
        run_keys: Keys that they get in the run.
    """

    shortest_period_s: float | None = None
    first_key_s: float | None = None
    all_keyed_s: float | None = None
    steady_s: float | None = None
    run_keys: int = 0


class LinkBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One link in its network.

    Attributes:
        link, alice, bob: Its name and ends.
        loss_alice_db, loss_bob_db: From source to click, detectors included.
        slot_share: Share of the slots that serve it.
        slot: What a slot gives.
        run_slots: Slots that it gets in the run.
        run_provable_bits: What they would prove in all, distilled as one with the best sample.
        supply_bps, demand_bps: Key that comes and that is asked for, in the long run.
        tunnels: How many use it.
        moments: What they get, and when.
    """

    link: str
    alice: str
    bob: str
    loss_alice_db: float
    loss_bob_db: float
    slot_share: float
    slot: SlotYield
    run_slots: float
    run_provable_bits: float
    supply_bps: float
    demand_bps: float
    tunnels: int
    moments: Moments


class TunnelBudget(msgspec.Struct, frozen=True, kw_only=True):
    """One tunnel: what it asks for, and what it gets in the long run.

    Attributes:
        tunnel, link: Its name, and the link whose key it uses.
        asked_per_hour, keys_per_hour: Keys that are due, and that come: the link's key goes to its tunnels by demand.
        largest_refresh_per_hour: Keys that would come if its link's tunnels asked for all there is.
        run_asked: Keys that are due in the run.
    """

    tunnel: str
    link: str
    asked_per_hour: float
    keys_per_hour: float
    largest_refresh_per_hour: float
    run_asked: int


class NetworkPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What theory expects of a network.

    Attributes:
        scheduler, sources, slot_s: The schedule.
        duration_s: Of the run.
        demand_factor: Every tunnel could ask so many times as often before the first link ran short, the schedule
            being what it is; null without demand.
        limited_by: What runs short first.
        source_share, switching_share: Shares of the sources' time with photons for somebody, and lost to switching.
        user_share: By user, its time in sessions, switching not counted.
        links, tunnels: Their budgets.
        run_asked, run_keys: Keys due and delivered in the run, over all tunnels.
        first_key_s, all_keyed_s, steady_s: Of the first, the last, the slowest; null if never.
        warnings: What is doubtful.
    """

    scheduler: str
    sources: int
    slot_s: float
    duration_s: float
    demand_factor: float | None
    limited_by: str
    source_share: float
    switching_share: float
    user_share: dict[str, float]
    links: tuple[LinkBudget, ...]
    tunnels: tuple[TunnelBudget, ...]
    run_asked: int
    run_keys: int
    first_key_s: float | None
    all_keyed_s: float | None
    steady_s: float | None
    warnings: tuple[str, ...]
