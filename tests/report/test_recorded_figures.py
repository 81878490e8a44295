"""Figures of a recorded experiment are drawn, complete and repeatable."""

from pathlib import Path

from bellweave.report import recorded_figures
from bellweave.results.recorded import Channel, Comparison, Findings, Peak, Side, Window

WINDOWS = tuple(
    Window(window_ps=w, matched=100, sifted=(40 + w // 100, 0), errors=(w // 1_000, 0), secret_bits=w / 100 - 10)
    for w in (500, 1_000, 2_000)
)


def side(first: int) -> Side:
    channels = tuple(
        Channel(number=first + i, role=role, clicks=9, echoes=0, echo_delay_ps=0, dead_time_ps=0, delay_ps=0)
        for i, role in enumerate("HVDA")
    )
    return Side(file="f", duration_s=1.0, channels=channels, sacrificed=1, clicks=8, rounds=3)


def findings() -> Findings:
    peaks = tuple(
        Peak(
            alice=a,
            bob=b,
            kind="other basis" if a // 2 != b // 2 else "equal bits" if a == b else "opposite bits",
            before_ps=0.0,
            coincidences=100 if a == b else 0,
            expected=0.1,
            fitted=a == b,
            before=(0, 5),
            after=(3, 0),
        )
        for a in range(4)
        for b in range(4)
    )
    return Findings(
        alice=side(0),
        bob=side(4),
        slice_s=0.1,
        offset_ps=0,
        drift=0.0,
        offset_sigmas=(9.0, 9.0),
        peaks=peaks,
        width_ps=2_000,
        edges_ps=(-500.0, 0.0, 500.0),
        scan=WINDOWS,
        window_ps=1_000,
        window_chosen=True,
        slices=WINDOWS[1],
        qber_threshold=0.05,
        residual_ps=12.0,
        efficiency_mismatch=(1.0, 1.0),
        zero_share=(0.5, 0.5),
        comparison=(Comparison(treatment="times as recorded", window=WINDOWS[0]),),
        warnings=(),
        conditions=(),
    )


def test_every_figure_comes_as_png_and_svg(tmp_path: Path) -> None:
    files = recorded_figures.draw(findings(), tmp_path)

    names = {"correlation-peaks", "coincidence-matrix", "window"}
    assert {file.name for file in files} == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert all(file.stat().st_size > 1_000 for file in files)


def test_equal_findings_give_equal_files(tmp_path: Path) -> None:
    first, second = (recorded_figures.window(findings(), tmp_path / name) for name in ("a", "b"))

    assert [file.read_bytes() for file in first] == [file.read_bytes() for file in second]
