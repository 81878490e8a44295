"""Frames through a built checkout of brunorijsman/cascade-cpp: its own program ``bin/run_experiments``.

Arguments: the file of frames (of which length and QBER are used), their number, a limit that is not used, the program.
It makes its own frames with the same number of errors each, takes the time of Bob's part and of Alice's answers, and
tells averages alone. Alice uses the shuffles that Bob has made. Its count of errors that stay looks at the lower half
of each 64-bit word only (``__builtin_popcount`` takes 32 bits): a frame with two errors left is missed one time in
four.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

PRESETS = ("original", "yanetal", "option7", "option8")


def measured(preset: str, bits: int, qber: float, frames: int, program: str) -> dict[str, Any]:
    wish = {
        "independent_variable": "key_size",
        "algorithm": preset,
        "error_rate": qber,
        "key_size": bits,
        "runs": frames,
    }
    with tempfile.TemporaryDirectory() as place:
        experiments = Path(place) / "experiments.json"
        experiments.write_text(json.dumps([wish]))
        command = [program, "-d", "-s", "1", "-o", place, str(experiments)]
        subprocess.run(command, capture_output=True, check=True)
        (told,) = Path(place).glob("data__*")
        point = json.loads(told.read_text())
    assert point["key_size"] == bits
    assert point["reconciliations"] == frames
    return {
        "frames": frames,
        "leaked": [point["ask_parity_blocks"]["average"]],
        "bad": round(frames * point["remaining_frame_error_rate"]["average"]),
        "cpu_s": frames * point["elapsed_process_time"]["average"],
    }


def main(path: str, frames: int, program: str) -> dict[str, Any]:
    given = json.loads(Path(path).read_text())
    bits = len(given["alice"][0])
    return {preset: measured(preset, bits, given["qber"], frames, program) for preset in PRESETS}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]), sys.argv[4])))
