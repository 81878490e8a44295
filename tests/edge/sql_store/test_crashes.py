"""Killed at any moment, a store has all that it said it had, and gives no byte twice."""

import multiprocessing
import time
from pathlib import Path

import pytest

from bellweave.rng import stream
from bellweave.testing.postgres import Postgres
from bellweave.testing.store_crash import Told, prepare, work

ROUNDS = 200
"""A killed process each. They are forked from one that has imported everything, so that a round takes some 100 ms."""

HANG_S = 60.0

PRELOADED = ["pytest", "bellweave.testing.store_crash"]


def kill_again_and_again(url: str, said: Path, rounds: int) -> Told:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    delays = stream(1, "testing", "kill").uniform(0.0, 0.08, rounds)
    prepare(url, 64)
    files = [said.with_name(f"{said.name}-{index}") for index in range(rounds)]  # a kill may tear a file's last line
    for file, delay_s in zip(files, delays, strict=True):
        child = context.Process(target=work, args=(url, str(file)))
        child.start()
        deadline_s = time.monotonic() + HANG_S
        while not file.exists() or file.stat().st_size == 0:  # it is at work
            assert child.is_alive(), "the worker ended by itself"
            assert time.monotonic() < deadline_s
            time.sleep(0.001)
        time.sleep(float(delay_s))
        child.kill()
        child.join()
        child.close()
    told = Told(*files)
    told.check(url)
    return told


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.emu
def test_sqlite_keeps_its_word_through_200_kills(tmp_path: Path) -> None:
    told = kill_again_and_again(f"sqlite:///{tmp_path}/kme.db", tmp_path / "said", ROUNDS)

    assert len(told.delivered) > ROUNDS
    assert len(told.taken) > ROUNDS


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.emu
def test_postgresql_keeps_its_word_through_200_kills(tmp_path: Path, postgres: Postgres) -> None:
    told = kill_again_and_again(postgres.new_database(), tmp_path / "said", ROUNDS)

    assert len(told.delivered) > ROUNDS
    assert len(told.taken) > ROUNDS


@pytest.mark.emu
def test_a_few_kills_in_every_run_of_the_tests(tmp_path: Path) -> None:
    kill_again_and_again(f"sqlite:///{tmp_path}/kme.db", tmp_path / "said", 5)


@pytest.mark.emu
def test_a_database_server_that_crashes_keeps_what_it_committed(tmp_path: Path, postgres: Postgres) -> None:
    url, said = postgres.new_database(), tmp_path / "said"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    prepare(url, 8)
    for _ in range(3):
        told_bytes = said.stat().st_size if said.exists() else 0
        child = context.Process(target=work, args=(url, str(said)))
        child.start()
        deadline_s = time.monotonic() + HANG_S
        while not said.exists() or said.stat().st_size == told_bytes:  # it is at work
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        time.sleep(0.2)
        postgres.crash()
        child.join(HANG_S)
        assert child.exitcode == 1
        postgres.start()
    Told(said).check(url)
