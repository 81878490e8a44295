"""Authentication keys on disk: two ends stay in step, and nothing is spent twice."""

import secrets
from pathlib import Path

import pytest

from bellweave import rng
from bellweave.distill import session
from bellweave.edge.authentication_file import open_keys
from bellweave.edge.entropy import SystemEntropy
from bellweave.errors import ScenarioError
from bellweave.sim.classical import converse
from bellweave.testing.pairs import DISTILLATION, Block, correlated_rounds


def start(directory: Path, length: int = 48) -> Path:
    directory.mkdir()
    key = directory / "start.key"
    key.write_bytes(secrets.token_bytes(length))
    key.chmod(0o600)
    return directory


def test_pools_survive_the_process_and_never_spend_the_same_bits_again(tmp_path: Path) -> None:
    directory = start(tmp_path / "link")
    spent: list[int] = []
    for number in range(3):
        hers, his = open_keys(directory, "alice"), open_keys(directory, "bob")
        assert hers.agrees_with(his)
        spent.append(hers.pool.spent_bits)
        hers.admit(float(number))
        his.admit(float(number))
        block = Block(seed=number, count=4000, qber=0.03)
        rounds = correlated_rounds(rng.stream(number, "rounds"), block.count, block.qber)
        alice, bob = converse(
            session.alice(rounds[0], block.params, block.context, SystemEntropy(), keys=hers),
            session.bob(rounds[1], block.params, block.context, SystemEntropy(), keys=his),
            DISTILLATION,
        )
        assert alice.block is not None
        assert bob.block is not None
        assert alice.block.agrees_with(bob.block)

    assert spent == sorted(set(spent))
    assert (directory / "alice.pool").stat().st_mode & 0o777 == 0o600


def test_bad_key_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"start\.key: can't be read: No such file"):
        open_keys(tmp_path, "alice")
    directory = start(tmp_path / "short", 40)
    with pytest.raises(ScenarioError, match=r"start\.key: a start key has at least 384 bits, not 320"):
        open_keys(directory, "alice")
    (directory / "start.key").chmod(0o644)
    with pytest.raises(ScenarioError, match="others than its owner may read it"):
        open_keys(directory, "alice")
    (directory / "bob.pool").write_bytes(b"nothing")
    (directory / "bob.pool").chmod(0o600)
    with pytest.raises(ScenarioError, match=r"bob\.pool: is no pool"):
        open_keys(directory, "bob")
