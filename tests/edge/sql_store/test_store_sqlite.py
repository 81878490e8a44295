"""The store on SQLite keeps the contract of all stores."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from bellweave.edge.sql_store import SqlStore
from bellweave.kms.operations import Store
from bellweave.testing.store_contract import StoreContract
from bellweave.testing.store_walk import walk

MASTER_KEY = bytes(range(32))


class TestSqlite(StoreContract):
    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        store = SqlStore(f"sqlite:///{tmp_path}/kme.db", MASTER_KEY)
        yield store
        store.close()


def test_a_random_walk_uses_no_byte_twice(tmp_path: Path) -> None:
    count = itertools.count()

    def make() -> Store:
        return SqlStore(f"sqlite:///{tmp_path}/{next(count)}.db", MASTER_KEY)

    machine = walk(make)
    run_state_machine_as_test(machine, settings=settings(max_examples=10, stateful_step_count=30, deadline=None))
