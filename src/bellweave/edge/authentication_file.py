"""A link's authentication keys on disk: ``start.key`` begins a pool, ``<role>.pool`` keeps it from then on.

The pool changes with every session, and pads must never serve twice: each change is on disk before anything that
depends on it leaves. The start key is read once; two pools started from one start key and then used apart would reuse
pads, so delete it at both ends when both pools exist.
"""

from pathlib import Path

import msgspec

from bellweave.blocks import Role
from bellweave.distill.authentication_keys import AuthenticationKeys
from bellweave.distill.params import Authentication
from bellweave.edge.files import write_whole
from bellweave.errors import ScenarioError


def open_keys(directory: Path, role: Role, params: Authentication | None = None) -> AuthenticationKeys:
    """Return the pool of one end, started from ``start.key`` if there is none yet.

    Raises:
        ScenarioError: Neither is there, one can't be read, or others than the owner may read it.
    """
    path = directory / f"{role}.pool"

    def save(data: bytes) -> None:
        write_whole(path, data)

    if path.exists():
        try:
            return AuthenticationKeys.loaded(_secret(path), save)
        except msgspec.MsgspecError:
            raise ScenarioError("is no pool of authentication keys", file=str(path)) from None
    start = directory / "start.key"
    try:
        keys = AuthenticationKeys.started(role, _secret(start), params, save)
    except ValueError as error:
        raise ScenarioError(str(error), file=str(start)) from None
    save(keys.dumped())
    return keys


def _secret(path: Path) -> bytes:
    try:
        if path.stat().st_mode & 0o077:
            raise ScenarioError("others than its owner may read it; chmod 600 it", file=str(path))
        return path.read_bytes()
    except OSError as error:
        raise ScenarioError(f"can't be read: {error.strerror}", file=str(path)) from None
