"""The databases of a sandbox on a PostgreSQL server: ``sandbox_RANDOM_KME``, made at the start, dropped at the end."""

import secrets
from collections.abc import Iterable

from bellweave.errors import ScenarioError, StoreFailed

SERVERS = ("postgresql+psycopg://", "postgresql://", "postgres://")
"""How the URL of such a server begins."""


def make(url: str, kmes: Iterable[str]) -> dict[str, str]:
    """Make a database for each KME; return the URLs of their stores.

    Raises:
        ScenarioError: It is no URL of a server.
        StoreFailed: The server can't be reached, or refuses.
    """
    from sqlalchemy import make_url  # noqa: PLC0415 only where there is such a server

    url, tag = driven(url), secrets.token_hex(3)
    names = {kme: f"sandbox_{tag}_{kme}" for kme in kmes}
    _run(url, [f"CREATE DATABASE {_quoted(name)}" for name in names.values()])
    server = make_url(url)
    return {
        kme: server.set(database=name).render_as_string(hide_password=False)
        for kme, name in names.items()
    }  # fmt: skip


def drop(url: str, stores: Iterable[str]) -> None:
    """Drop the databases of these stores, as far as they are still there, whoever uses them.

    Args:
        url: Of the server, with a database to be connected to meanwhile.
        stores: URLs that :func:`make` has returned.

    Raises:
        StoreFailed: The server can't be reached, or refuses.
    """
    from sqlalchemy import make_url  # noqa: PLC0415

    names = [make_url(store).database or "" for store in stores]
    own = [name for name in names if name.startswith("sandbox_")]
    _run(driven(url), [f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)" for name in own])


def driven(url: str) -> str:
    """Return the URL with the driver that we have."""
    return "postgresql+psycopg://" + url.partition("://")[2]


def _run(url: str, statements: list[str]) -> None:
    from sqlalchemy import create_engine, text  # noqa: PLC0415
    from sqlalchemy.exc import ArgumentError, DBAPIError  # noqa: PLC0415
    from sqlalchemy.pool import NullPool  # noqa: PLC0415

    try:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    except ArgumentError:
        raise ScenarioError("no URL of a PostgreSQL server", path="--store") from None
    except DBAPIError as error:
        first = str(error.orig).strip().splitlines()
        raise StoreFailed(f"the PostgreSQL server: {first[0] if first else 'failed'}") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""').replace(":", r"\:") + '"'
