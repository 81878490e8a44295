"""A PostgreSQL server for tests: of its own, in a folder of its own, reached through a Unix socket there.

PostgreSQL refuses to run as root, so root starts it as another user.
"""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bellweave.testing.system import program

FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
USER = "bellweave"
START_S = 60.0

_QUICK = ("fsync=off", "full_page_writes=off")
"""What a process wrote outlives it all the same, only the machine must not fail."""

_SETTINGS = (
    "listen_addresses=''",
    "max_connections=50",
    "deadlock_timeout=100ms",  # tests that race should not wait for a second
    "log_min_messages=fatal",
)


class Postgres:
    """A running server.

    Args:
        durable: Whether commits outlive a failure of the machine, as in earnest; tests do without.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self._settings = _SETTINGS if durable else _SETTINGS + _QUICK
        self._initdb = program("initdb", "postgresql", FOLDERS)
        self._pg_ctl = program("pg_ctl", "postgresql", FOLDERS)
        self._psql = program("psql", "postgresql", FOLDERS)
        self._user = _other_user()
        self._names = itertools.count()
        self.folder = Path(tempfile.mkdtemp(prefix="bellweave-postgres-"))
        try:
            if self._user is not None:
                shutil.chown(self.folder, self._user)
            data = str(self.folder / "data")
            self._run(
                str(self._initdb), "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync", "--no-locale"
            )
            self.start()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def start(self) -> None:
        """Start it, also after :meth:`crash`."""
        settings = " ".join(f"-c {each}" for each in self._settings)
        log = str(self.folder / "log")
        self._control("start", "-l", log, "-o", f"-k {self.folder} {settings}")

    def crash(self) -> None:
        """Stop it at once, as if it had been killed: it recovers from its log when it starts."""
        self._control("stop", "-m", "immediate")

    def remove(self) -> None:
        """Stop it and delete its folder."""
        try:
            self._control("stop", "-m", "immediate")
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """Return the URL of an empty place for tables: a schema of its own, which is made quicker than a database."""
        name = f"test_{next(self._names)}"
        self.execute("postgres", f"CREATE ROLE {name} LOGIN CREATEDB; CREATE SCHEMA AUTHORIZATION {name}")
        return f"postgresql+psycopg://{name}@/postgres?host={self.folder}"

    def execute(self, database: str, command: str) -> None:
        """Run an SQL command."""
        self._run(str(self._psql), "-h", str(self.folder), "-U", USER, "-d", database, "-q", "-c", command)

    def _control(self, *arguments: str) -> None:
        self._run(str(self._pg_ctl), "-D", str(self.folder / "data"), "-w", "-t", str(round(START_S)), *arguments)

    def _run(self, *command: str) -> None:
        with tempfile.TemporaryFile() as said:  # a pipe would never end: the server inherits it
            done = subprocess.run(
                command,
                user=self._user,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                timeout=START_S + 10.0,
                check=False,
            )
            said.seek(0)
            if done.returncode:
                text = said.read().decode(errors="replace")
                raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {text}")


def _other_user() -> str | None:
    """Return whom the server runs as; None: as ourselves."""
    if os.geteuid():
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of a session; each test makes a database of its own."""
    server = Postgres()
    yield server
    server.remove()
