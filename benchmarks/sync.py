"""`python -m benchmarks.sync [pattern|reference]`: how exactly offsets are found, and what is said where there is none.

The part `pattern`: patterns with planted offsets through real coders and containers; flashes and sounds that have
nothing to do with each other must be `unknown`. The goal is 2 ms. The part `reference`: sync_reference.py.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from benchmarks.harness import RESULTS, write_result
from benchmarks.sync_reference import measure
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

SAMPLE_RATE = 48_000
SECONDS = 16.0
PERIOD = 2.0
CODED = (("aac", "mp4"), ("aac", "ts"), ("mp2", "ts"), ("ac3", "ts"), ("ac3", "mkv"), ("libopus", "webm"),
         ("libopus", "mkv"), ("pcm_s16le", "mkv"))  # fmt: skip
RATES = (Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(60))
OFFSETS_MS = (-500, -250, -90, -40, 0, 40, 125, 300, 500)
# Each codec in each container meets each rate with so many of the offsets.
OFFSETS_EACH = 3
# Flashes that have no offset.
WITHOUT = ("no beeps", "beeps at random", "beats at another tempo")


def write_pattern(path: Path, rate: Fraction, codec: str, beeps: Sequence[float], flashes: Sequence[int]) -> None:
    """A small clip.

    Args:
        path: its ending chooses the container.
        rate: pictures per second.
        codec: of the sound.
        beeps: media seconds at which 40 ms of 1 kHz begin.
        flashes: pictures that are white.
    """
    rng = np.random.default_rng(len(beeps))
    white = set(flashes)
    packets: list[Any] = []
    with av.open(str(path), "w") as container:
        vp9 = path.suffix == ".webm"
        options = {"deadline": "realtime", "cpu-used": "8"} if vp9 else {"preset": "ultrafast", "crf": "20"}
        pictures = container.add_stream("libvpx" if vp9 else "libx264", rate=rate, options=options)
        pictures.width, pictures.height, pictures.pix_fmt = 160, 96, "yuv420p"
        sound: Any = container.add_stream(codec, rate=SAMPLE_RATE, layout="stereo")
        for index in range(int(SECONDS * rate)):
            grey = rng.integers(30, 40, (96, 160, 3)).astype(np.uint8)
            if index in white:
                grey[:] = 235
            frame = av.VideoFrame.from_ndarray(grey, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, 1 / rate
            packets.extend(pictures.encode(frame))
        packets.extend(pictures.encode(None))
        resampler = av.AudioResampler(
            format=sound.codec_context.format.name, layout="stereo", rate=SAMPLE_RATE,
            frame_size=sound.codec_context.frame_size or 1024,
        )  # fmt: skip
        whole = av.AudioFrame.from_ndarray(np.tile(_sound(beeps), (2, 1)), format="fltp", layout="stereo")
        whole.sample_rate, whole.pts, whole.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
        for piece in (*resampler.resample(whole), *resampler.resample(None)):
            packets.extend(sound.encode(piece))
        packets.extend(sound.encode(None))
        # A transport stream whose sound comes seconds after its pictures would be another defect.
        for packet in sorted((p for p in packets if p.dts is not None), key=lambda p: p.dts * p.time_base):
            container.mux(packet)


def _sound(beeps: Sequence[float]) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(1)
    samples = rng.normal(0, 1e-4, round(SECONDS * SAMPLE_RATE)).astype(np.float32)
    tone = (0.5 * np.sin(2 * np.pi * 1000 * np.arange(1920) / SAMPLE_RATE)).astype(np.float32)
    for at in beeps:
        begin = round(at * SAMPLE_RATE)
        if 0 <= begin < len(samples) - len(tone):
            samples[begin : begin + len(tone)] += tone
    return samples


def flashes_of(rate: Fraction) -> list[int]:
    """One every `PERIOD`, the first after a second."""
    return [round((1 + PERIOD * k) * rate) for k in range(int((SECONDS - 1) / PERIOD))]


def judged(path: Path) -> tuple[dict[str, Any], list[tuple[float, float | None]]]:
    """What the summary says, and the incidents' times."""
    outcome = check([StreamSpec("pattern", str(path), {"av.sync": {}})], EngineSettings(device="cpu"))[0]
    if outcome.error is not None:
        raise outcome.error
    assert outcome.summary is not None
    return dict(outcome.summary.av_sync or {}), [(one.start, one.end) for one in outcome.incidents]


def planted(folder: Path) -> list[dict[str, Any]]:
    """Each codec, container and rate, with some of the offsets."""
    rows = []
    offsets = itertools.cycle(OFFSETS_MS)
    for (codec, container), rate in itertools.product(CODED, RATES):
        for offset in itertools.islice(offsets, OFFSETS_EACH):
            path = folder / f"pattern.{container}"
            flashes = flashes_of(rate)
            write_pattern(path, rate, codec, [float(at / rate) + offset / 1000 for at in flashes], flashes)
            found = judged(path)[0]
            said = found["offset_ms"]
            rows.append({"codec": codec, "container": container, "rate": round(float(rate), 2), "planted_ms": offset,
                         **found, "error_ms": None if said is None else round(said - offset, 2)})  # fmt: skip
            print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    return rows


def changed(folder: Path) -> list[dict[str, Any]]:
    """Sound that is late from the middle on: when the incident begins, against the first flash that is apart."""
    rows = []
    for rate in RATES:
        path, flashes = folder / "changed.mp4", flashes_of(rate)
        flashes = sorted({*flashes, *(round((2 + PERIOD * k) * rate) for k in range(7))})
        times = [float(at / rate) for at in flashes]
        half = len(times) // 2
        write_pattern(path, rate, "aac", [at + (0.25 if k >= half else 0.0) for k, at in enumerate(times)], flashes)
        incidents = judged(path)[1]
        error = round(1000 * (incidents[0][0] - times[half]), 1) if incidents else None
        rows.append({"rate": round(float(rate), 2), "incidents": len(incidents), "start_error_ms": error})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    return rows


def without(folder: Path, seeds: int) -> list[dict[str, Any]]:
    """Flashes whose sounds have nothing to do with them."""
    rows = []
    for what, seed in itertools.product(WITHOUT, range(seeds)):
        rng = np.random.default_rng(seed)
        tempo = rng.uniform(0.4, 0.9)
        beeps = {"no beeps": [], "beeps at random": rng.uniform(0, SECONDS, 12).tolist(),
                 "beats at another tempo": np.arange(rng.uniform(0, 1), SECONDS, tempo).tolist()}[what]  # fmt: skip
        path = folder / "without.mkv"
        write_pattern(path, RATES[0], "pcm_s16le", sorted(beeps), flashes_of(RATES[0]))
        found, incidents = judged(path)
        rows.append({"what": what, "seed": seed, "incidents": len(incidents), **found})
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    return rows


def patterns(folder: Path, seeds: int) -> dict[str, Any]:
    """The part `pattern`."""
    rows, changes, nothing = planted(folder), changed(folder), without(folder, seeds)
    errors = [abs(row["error_ms"]) for row in rows if row["error_ms"] is not None]
    return {
        "patterns": len(rows),
        "told": len(errors),
        "within_2_ms": sum(error <= 2.0 for error in errors),
        "median_error_ms": round(float(np.median(errors)), 2),
        "worst_error_ms": max(errors),
        "changes": changes,
        "without": len(nothing),
        "without_guessed": sum(row["verdict"] != "unknown" or row["incidents"] > 0 for row in nothing),
        "rows": rows,
        "without_rows": nothing,
    }


def main() -> int:
    """Parse the command line, run, and keep the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sync", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=("pattern", "reference", []), help="all without")
    parser.add_argument("--seeds", type=int, default=5, help="of each kind of clip without a pattern")
    parser.add_argument("--offsets", type=int, default=1, help="that each distribution of each programme meets")
    parser.add_argument("--media", type=Path, default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder for the results")
    options = parser.parse_args()
    parts = options.parts or ["pattern", "reference"]
    if "reference" in parts and options.media is None:
        parser.error("the part reference is made of real clips: --media FOLDER, or AVJURY_MEDIA")
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        if "pattern" in parts:
            figures = patterns(Path(name), options.seeds)
            print(write_result("sync", figures, folder=options.results))  # noqa: T201 - the command's result
        if "reference" in parts:
            figures = measure(Path(name), Path(options.media) / "real_av", options.offsets)
            print(write_result("sync_reference", figures, folder=options.results))  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
