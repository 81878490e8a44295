"""Random bytes in earnest, from the operating system."""

import secrets


class SystemEntropy:
    """The system's source as a :class:`bellweave.rng.Entropy`."""

    def bytes(self, length: int, /) -> bytes:
        """Return ``length`` random bytes."""
        return secrets.token_bytes(length)
