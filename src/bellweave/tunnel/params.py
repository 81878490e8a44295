"""What can be set about a tunnel."""

from typing import Literal

from bellweave.params import NonNegative, Params, Positive, PositiveInt


class Tunnel(Params, frozen=True, kw_only=True):
    """An IPsec tunnel between a client gateway at one node and a server gateway at another.

    The client end is the master SAE: it asks for keys. SAE names are the tunnel's name + ``.client`` and ``.server``.

    Attributes:
        client, server: Nodes.
        key_bits: Size of a key.
        period_s: A fresh key is due so often.
        start_s: When the first one is.
        retry_s: After a refusal it is asked for again so much later; None: at the next period.
        session_s: Length of a session as configured at the gateways (the paper prints 20 s); longer than that, and
            without a fresh key, the session is renewed with the old key. None: a session lasts until the next key.
        starvation: Without a fresh key ``keep-old`` goes on with the old one; ``fail-closed`` takes the tunnel down
            when the key is older than ``max_key_age_s``.
        max_key_age_s: Oldest key that a session may use; None: any.
        mode: ``ppk`` (RFC 8784: the key enters the session keys) or ``psk`` (authentication only, as the paper).
    """

    client: str
    server: str
    key_bits: PositiveInt = 256
    period_s: Positive = 60.0
    start_s: NonNegative = 0.0
    retry_s: Positive | None = None
    session_s: Positive | None = None
    starvation: Literal["keep-old", "fail-closed"] = "keep-old"
    max_key_age_s: Positive | None = None
    mode: Literal["ppk", "psk"] = "ppk"
