"""Nothing that a request waits for walks over a pool, however much is in it."""

from pathlib import Path

import pytest

from bellweave.edge.sql_store import SqlStore
from bellweave.edge.sql_store.database import Database, ForIds
from bellweave.edge.sql_store.statements import Statements
from bellweave.testing.postgres import Postgres
from bellweave.testing.stores import fill

MASTER_KEY = bytes(range(32))
LARGE = ("blocks", "portions", "keys", "materials", "data_keys", "audit")
WALKS = {"all_keys"}
"""After a backup only, and by the row number."""


def texts_of(database: Database) -> dict[str, str]:
    """Return all statements that look for rows, by name."""
    found: dict[str, str] = {}
    for name, text in vars(Statements(database)).items():
        if isinstance(text, ForIds):
            found |= {f"{name} (one)": text.one, f"{name} (many)": text.many}
        elif isinstance(text, str) and not text.startswith("INSERT"):
            found[name] = text
    return {name: text for name, text in found.items() if name not in WALKS}


def test_on_sqlite_every_statement_finds_its_rows_by_an_index(tmp_path: Path) -> None:
    store = SqlStore(f"sqlite:///{tmp_path}/kme.db", MASTER_KEY)
    database = store._database
    with database.transaction(write=False):
        for name, text in texts_of(database).items():
            plan = database.execute(f"EXPLAIN QUERY PLAN {text}", (0,) * text.count("?")).fetchall()
            steps = [step[3] for step in plan]
            scans = [step for step in steps if step.startswith("SCAN") and step.split()[1] in LARGE]
            assert not [step for step in scans if "USING" not in step], (name, steps)
            assert not [step for step in steps if "TEMP B-TREE" in step], (name, steps)
    store.close()


def test_a_parameter_in_another_place_than_its_name_is_noticed(tmp_path: Path) -> None:
    from sqlalchemy import bindparam, select

    from bellweave.edge.sql_store.schema import SERVERS

    database = Database(f"sqlite:///{tmp_path}/none.db")
    query = select(SERVERS).where(SERVERS.c.server == bindparam("a"), SERVERS.c.until_s > bindparam("b"))

    assert database.compiled(query, "a", "b").count("?") == 2
    with pytest.raises(TypeError, match="come as"):
        database.compiled(query, "b", "a")


def test_on_postgresql_rows_that_change_are_locked_in_the_order_of_their_ids(postgres: Postgres) -> None:
    store = SqlStore(postgres.new_database(), MASTER_KEY)
    fill(store, 64)
    texts = Statements(store._database)

    for text in (texts.portions, texts.keys_locked):
        assert "ORDER BY" in text.many
        assert text.many.endswith("FOR UPDATE")
    for text_of_limited in (texts.claimable, texts.claimable_again, texts.done_portions, texts.expired_blocks):
        assert text_of_limited.endswith("SKIP LOCKED")
    store.close()
