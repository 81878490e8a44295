"""Echoes are found where there are some, and nowhere else."""

import numpy as np

from bellweave.photonics import echoes
from bellweave.testing.messy_tags import Messy, record


def test_planted_echoes_are_found_and_removed() -> None:
    messy = Messy(echo_delay_ps=33_000)
    clean = record(Messy())[0]
    seen = record(messy)[0]

    rest, found = echoes.remove(seen)

    planted = len(seen) - len(clean)
    assert abs(found[0].delay_ps - messy.echo_delay_ps) < 500
    assert abs(found[0].dropped - planted) < 0.02 * planted
    assert len(rest) == len(seen) - found[0].dropped
    assert [echo.dropped for echo in found[1:]] == [0, 0, 0]


def test_no_echoes_are_found_where_there_are_none() -> None:
    seen = record(Messy())[0]

    rest, found = echoes.remove(seen)

    assert np.array_equal(rest.time_ps, seen.time_ps)
    assert [echo.dead_time_ps for echo in found] == [0, 0, 0, 0]


def test_a_channel_without_clicks_is_no_trouble() -> None:
    seen = record(Messy(pairs=0, dark_rate_hz=1.0))[0]

    assert len(echoes.remove(echoes.take(seen, np.zeros(len(seen), bool)))[0]) == 0
