"""What the parties of an agreement say to each other.

One kind of message crosses the wire, :class:`Letter`: a request's number, who writes to whom, and a content. Contents
in three groups: between the two slaves, with the nodes of a path, and within a node (these never cross a wire between
nodes; drivers answer them).
"""

from typing import Literal

import msgspec

from bellweave.dialogue import Codec, Message

Reason = Literal[
    "done",
    "peer refused",
    "peer lost",
    "no path",
    "no memory",
    "timeout",
]
"""Why a request ended; ``done``: its time was over. ``timeout``: nodes of the path did not answer."""


class Content(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """Base of what a letter can hold."""


class Lane(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A path with the memory units that are reserved on each of its edges.

    Attributes:
        nodes: Names, the first slave's first.
        edges: Names, one fewer.
        keepers: Which node keeps the books of each edge.
        units: Of each edge, on each side.
    """

    nodes: tuple[str, ...]
    edges: tuple[str, ...]
    keepers: tuple[str, ...]
    units: tuple[int, ...]


# ----------------------------------------------------------------------------------------------- between the two slaves


class Ask(Content, frozen=True):
    """Step 1. ``cluster``: the asker's master."""

    cluster: str


class Judged(Content, frozen=True):
    """Step 2. Bob accepts; ``same_cluster``: his judgement."""

    same_cluster: bool


class Declined(Content, frozen=True):
    """Bob, or a node, will not. ``reason``: words for the log."""

    reason: str


class Begin(Content, frozen=True):
    """Steps 3 and 4: measure what comes along these lanes; ``mdi``: and send for MDI-QKD when the master says so."""

    lanes: tuple[Lane, ...]
    mdi: bool


class Begun(Content, frozen=True):
    """Bob does."""


class End(Content, frozen=True):
    """No more pairs of this request are wanted."""


class Ended(Content, frozen=True):
    """Bob has stopped."""


# --------------------------------------------------------------------------------------------- with the nodes of a path


class Reserve(Content, frozen=True):
    """Set so many units of an edge aside for this request; again for the same edge: for longer.

    Attributes:
        edge: Its name.
        units: Memory units on each side, >= 1.
        lease_s: They are free again so much later if nobody asks once more: a slave that fails blocks nothing for long.
    """

    edge: str
    units: int
    lease_s: float


class Granted(Content, frozen=True):
    """They are set aside."""

    edge: str


class Denied(Content, frozen=True):
    """There are not so many free units; nothing was changed."""

    edge: str
    free: int


class Release(Content, frozen=True):
    """The request needs this edge no more."""

    edge: str


class Released(Content, frozen=True):
    """Nothing of the edge is set aside for the request any more, if anything was."""

    edge: str


# -------------------------------------------------------------------------------------------------------- within a node


class Run(Content, frozen=True):
    """To the own node's quantum layer: make pairs along these lanes, and take turns in MDI-QKD."""

    lanes: tuple[Lane, ...]
    mdi: bool


class Halt(Content, frozen=True):
    """To the own node's quantum layer: no more."""


class Noted(Content, frozen=True):
    """The quantum layer has heard."""


class Alarm(Content, frozen=True):
    """Wake me so much later. ``number``: which alarm it is."""

    number: int
    delay_s: float


class Woken(Content, frozen=True):
    """It is later: the answer to the alarm of that number."""

    number: int


class Lost(Content, frozen=True):
    """A node or an edge of a lane has failed. ``what``: its name."""

    what: str


class Reshared(Content, frozen=True):
    """Units are shared out anew among requests: other lanes may be better."""


class Cancelled(Content, frozen=True):
    """The request's time is over."""


class Unanswered(Content, frozen=True):
    """From the driver, in place of an answer that did not come in time."""


Contents = (
    Ask
    | Judged
    | Declined
    | Begin
    | Begun
    | End
    | Ended
    | Reserve
    | Granted
    | Denied
    | Release
    | Released
    | Run
    | Halt
    | Noted
    | Alarm
    | Woken
    | Lost
    | Reshared
    | Cancelled
    | Unanswered
)


class Letter(Message, frozen=True):
    """What crosses.

    Attributes:
        request: Whose agreement it belongs to.
        sender, to: Names of nodes.
        content: What is said.
    """

    request: int
    sender: str
    to: str
    content: Contents


CODEC = Codec(Letter)
"""Decodes everything that parties of an agreement say."""
