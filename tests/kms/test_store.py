"""The store in memory keeps the contract of all stores."""

import pytest

from bellweave.kms.operations import Store
from bellweave.kms.store import MemoryStore
from bellweave.testing.store_contract import StoreContract
from bellweave.testing.store_walk import walk


class TestMemoryStore(StoreContract):
    @pytest.fixture
    def store(self) -> Store:
        return MemoryStore()


TestWalk = walk(MemoryStore).TestCase
