"""`python -m benchmarks.cpu_memory CLIP`: resident memory while a clip is judged, in a process of its own."""

import json
import resource
import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any, Final

MEGABYTE: Final = 1024 * 1024


def measure_memory(clip: Path) -> dict[str, Any]:
    """Resident memory of this process while it judges the clip, above what the imported libraries take.

    Returns: megabytes above the imports, largest and per minute of media, and the growth per hour over the second half.
    """
    from engine.detectors import all_detectors
    from engine.listener import Silent
    from engine.pipeline import check
    from engine.spec import EngineSettings, StreamSpec
    from kernels.audio_stats import cpu as _audio
    from kernels.frame_stats import cpu as _frames
    from kernels.judge import cpu as _judge
    from kernels.sharpness import cpu as _edges

    assert all_detectors()
    assert all((_audio, _edges, _frames, _judge))  # numba and its compiled kernels are imports too
    imports = _resident_mb()
    samples: list[tuple[int, float]] = []

    class Sampler(Silent):
        def on_second(self, second: Any) -> None:
            if second.second % 10 == 0:
                samples.append((second.second, _resident_mb() - imports))

    began = time.perf_counter()
    (outcome,) = check([StreamSpec(id=clip.name, url=str(clip))], EngineSettings(device="cpu"), Sampler())
    if outcome.error is not None or outcome.summary is None:
        raise outcome.error or RuntimeError(f"{clip.name}: nothing was judged")
    half = [(at, mb) for at, mb in samples if at >= samples[-1][0] / 2]
    mean_at, mean_mb = (sum(values) / len(half) for values in zip(*half, strict=True))
    spread = sum((at - mean_at) ** 2 for at, _ in half)
    slope = sum((at - mean_at) * (mb - mean_mb) for at, mb in half) / spread if spread else 0.0
    return {
        "media_seconds": round(outcome.summary.duration, 1),
        "wall_seconds": round(time.perf_counter() - began, 1),
        "imports_mb": round(imports, 1),
        "largest_mb_above_imports": round(max(mb for _, mb in samples), 1),
        "growth_mb_per_hour_second_half": round(slope * 3600, 2),
        "mb_above_imports_per_five_minutes": [round(mb, 1) for at, mb in samples if at % 300 == 0],
    }


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / MEGABYTE


if __name__ == "__main__":
    arguments = ArgumentParser(description=measure_memory.__doc__)
    arguments.add_argument("clip", type=Path)
    print(json.dumps(measure_memory(arguments.parse_args().clip)))  # noqa: T201 - read by `bench cpu`
