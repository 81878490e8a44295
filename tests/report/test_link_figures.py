"""The figure of accumulation is drawn, with and without something simulated or printed."""

from pathlib import Path

import pytest

from bellweave.report import link_figures


@pytest.mark.parametrize(("simulated", "printed"), [((10, 121.0), 796.0), (None, None)])
def test_accumulation_is_drawn_and_repeatable(
    tmp_path: Path, simulated: tuple[int, float] | None, printed: float | None
) -> None:
    curves = {"one": [(1, 0.0), (10, 121.0)], "other (not peer reviewed)": [(1, 0.0), (10, 284.0)]}
    first, again = (
        link_figures.accumulation(curves, simulated, printed, "Link", tmp_path / name) for name in ("a", "b")
    )

    assert [path.name for path in first] == ["accumulation.png", "accumulation.svg"]
    assert all(one.read_bytes() == other.read_bytes() for one, other in zip(first, again, strict=True))
