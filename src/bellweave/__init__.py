"""Bellweave designs, simulates and runs entanglement-based quantum key distribution networks.

Importing this package imports nothing else: take what you need from its modules, for instance ``bellweave.photonics``,
``bellweave.distill`` or ``bellweave.scenario``.
"""


def __getattr__(name: str) -> str:
    """Return ``__version__``, read from the installed package when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415  (4 ms that only the asker pays)

        return version("bellweave")
    raise AttributeError(f"module 'bellweave' has no attribute {name!r}")
