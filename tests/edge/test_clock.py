from bellweave.edge import clock


def test_a_step_moves_the_clock_until_it_is_taken_back() -> None:
    before_s = clock.now_s()
    try:
        clock.step(3600.0)
        assert 3599.0 < clock.now_s() - before_s < 3660.0
    finally:
        clock.step(0.0)
    assert abs(clock.now_s() - before_s) < 60.0
