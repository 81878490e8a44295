"""The store on PostgreSQL keeps the contract of all stores."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from bellweave.edge.sql_store import SqlStore, schema
from bellweave.kms.operations import Store
from bellweave.testing.postgres import Postgres
from bellweave.testing.store_contract import StoreContract
from bellweave.testing.store_walk import walk

MASTER_KEY = bytes(range(32))


@pytest.fixture(scope="module")
def opened(postgres: Postgres) -> Iterator[SqlStore]:
    store = SqlStore(postgres.new_database(), MASTER_KEY)
    yield store
    store.close()


class TestPostgres(StoreContract):
    @pytest.fixture
    def store(self, opened: SqlStore) -> Store:
        with opened._database.transaction():  # to empty the tables takes 5 ms, to make them 300
            for table in schema.METADATA.sorted_tables:
                if table is not schema.META:
                    opened._database.execute(f"DELETE FROM {table.name}")
        opened._memory.clear()
        opened._head = None
        return opened


def test_a_random_walk_uses_no_byte_twice(postgres: Postgres) -> None:
    machine = walk(lambda: SqlStore(postgres.new_database(), MASTER_KEY))
    run_state_machine_as_test(machine, settings=settings(max_examples=4, stateful_step_count=25, deadline=None))
