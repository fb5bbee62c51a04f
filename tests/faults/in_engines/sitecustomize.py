"""Found by every Python process below it (PYTHONPATH): has the engine among them fail as one whose GPU has failed.

As soon as the file STICKY_ERROR_FILE is there, the first engine to measure pictures writes its number into it, and from
then on everything that it measures raises what CUDA raises after an illegal access: each call, to the end of its life.
Each time is a further line of the file.
"""

import os
import sys
from pathlib import Path


def install(file: Path) -> None:
    import torch

    from engine.measure.measure import Measure

    measured = Measure.frames

    def frames(self, batch):
        lines = file.read_text().split() if file.exists() else None
        if lines is None or (lines and lines[0] != str(os.getpid())):
            return measured(self, batch)
        with file.open("a") as log:
            log.write(f"{os.getpid()}\n")
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    Measure.frames = frames


if "engine.child" in sys.orig_argv and "STICKY_ERROR_FILE" in os.environ:
    install(Path(os.environ["STICKY_ERROR_FILE"]))
