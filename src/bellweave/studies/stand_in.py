"""A stand-in for a recorded experiment, where none is at hand: simulated tags of a messy set-up, written to files."""

from pathlib import Path

import msgspec

from bellweave.edge import tag_files
from bellweave.photonics import link
from bellweave.photonics.params import Clock, CwSource, Detector, Noise
from bellweave.scenario.assemble import optical_link
from bellweave.scenario.load import load


def stand_in(directory: Path) -> tuple[Path, Path]:
    """Write one second of tags as if they were recorded; return Alice's and Bob's file.

    The Vienna link with a bright source, dark counts, dead times, two clocks that know nothing of each other, and
    delays of up to 24 ns between detectors.
    """
    scenario = load("vienna2004")
    messy = {
        "alice": Clock(channel_delay_ps=(0, 12_000, 15_000, 24_000)),
        "bob": Clock(offset_ps=250_000_000, drift=2e-8, channel_delay_ps=(0, 13_000, 16_000, 23_000)),
    }
    nodes = {
        name: msgspec.structs.replace(
            scenario.node[name],
            clock=clock,
            detector=Detector(efficiency=0.5, dark_rate_hz=500.0, jitter_ps=350, dead_time_ps=50_000),
            noise=Noise(rotation_sigma_rad=0.25),
        )
        for name, clock in messy.items()
    }
    scenario = msgspec.structs.replace(scenario, node=nodes, source={"eps": CwSource(pair_rate_hz=1_000_000.0)})
    directory.mkdir(parents=True, exist_ok=True)
    files = (directory / "alice.csv.gz", directory / "bob.csv.gz")
    block = msgspec.structs.replace(optical_link(scenario, "alice-bob"), block_s=1.0)
    for file, seen in zip(files, link.tags(block, scenario.run.seed, 0), strict=True):
        tag_files.write(file, seen)
    return files
