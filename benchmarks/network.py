"""`avjury bench network`: what the artifact network says of whole held-out streams, at the points where it could judge.

Clean streams (clips as they are, and as several coders make them) and streams with real damage, all of clips that were
never trained on, go through the engine as in `avjury check`. From what the network said of every tile that it looked at
come the false alarms and what is found at each operating point; beside it stands what the torn blocks, which judge
`video.corruption`, say of the same streams.

avjury bench network --media FOLDER [--weights FILE] [--skip PREFIX]
"""

import argparse
import itertools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.clean_content import VARIANTS, encode
from benchmarks.harness import write_result
from benchmarks.made_surfaces import make_surface
from benchmarks.tallies import false_per_hour_at_most
from engine.batch import Batcher
from engine.measure import VIDEO_COLUMNS
from engine.measure.arithmetic import Arithmetic
from engine.measure.network import Network, NetworkUse
from engine.outcome import Outcome
from engine.pipeline import Engine
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.artifact_weights import SHIPPED_WEIGHTS, OperatingPoint, load_artifact
from models.synthesis.coded_damage import CODECS, KINDS, plant_damage
from models.synthesis.held_out import is_held_out
from models.synthesis.picture_clip import read_pictures
from models.synthesis.picture_windows import coded_rate
from models.synthesis.planted import Planted
from models.train import clips_of
from models.weight_files import read_weights, write_weights

# Pictures looked at per second in this run; the lower rate is made of it.
RATE: Final = 5.0
RATES: Final = (1.0, 5.0)
TILES: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995)
AREAS: Final = (1 / 144, 0.02, 0.04, 0.08, 0.15, 0.3)
RUNS: Final = (1, 2, 3)
CLEAN_VARIANTS: Final = 6
# Of the damaged streams: their length, and from when until when they are damaged.
SECONDS: Final = 7.0
DAMAGED: Final = (2.0, 5.0)
LINES: Final = 480
# Looks that say so closer together than this are one alarm; what is said so long after damage belongs to it.
APART_SECONDS: Final = 5.0
AFTER_SECONDS: Final = 2.0
# Made-up pictures of which judging is timed.
COST_SIZES: Final = ("640x360", "1280x720", "1920x1080")
COST_SECONDS: Final = 10.0
COST_TURNS: Final = 3
_NETWORK: Final = VIDEO_COLUMNS.index("network_corruption")

Floats = npt.NDArray[np.float64]
T = TypeVar("T")
S_co = TypeVar("S_co", covariant=True)


class Look(Protocol[S_co]):
    """Puts a stream through the engine: its file, clip, how it was coded or damaged, and the damage."""

    def __call__(self, path: Path, name: str, how: str, planted: Planted | None = None) -> S_co: ...


class Known(Protocol[S_co]):
    """What came of a stream before; None: nothing is known of it."""

    def __call__(self, name: str, how: str) -> S_co | None: ...


def nothing(name: str, how: str) -> None:
    """Nothing is known of any stream."""


@dataclass(frozen=True, slots=True, eq=False)
class Streamed:
    """A stream that went through the engine.

    Args:
        name: of the clip.
        how: it was coded, or damaged.
        seconds: of pictures.
        blocks: media seconds at which an incident of `video.corruption` opened, by the torn blocks and the decoder.
        planted: the damage; None where it is clean.
    """

    name: str
    how: str
    seconds: float
    blocks: list[float]
    planted: Planted | None


@dataclass(frozen=True, slots=True, eq=False)
class Told(Streamed):
    """What was said of one stream.

    Args:
        times: (n,) media seconds of the pictures that the network looked at.
        tiles: of each, the probabilities of its tiles.
    """

    times: Floats
    tiles: list[npt.NDArray[np.float32]]


def through(
    engine: Engine, path: Path, name: str, how: str, planted: Planted | None
) -> tuple[Outcome, tuple[str, str, float, list[float], Planted | None]]:
    """A stream through an engine, judged for corruption: its outcome, and the fields of `Streamed`.

    Raises: what ended the stream.
    """
    engine.add(StreamSpec(name, str(path), {"video.corruption": {}}))
    engine.run()
    outcome = engine.outcomes[name]
    if outcome.error is not None:
        raise outcome.error
    seconds = 0.0 if outcome.summary is None else outcome.summary.duration
    return outcome, (name, how, seconds, [incident.start for incident in outcome.incidents], planted)


def judge(path: Path, name: str, how: str, planted: Planted | None = None, *, weights: Path) -> Told:
    """A stream through the engine."""
    tiles: list[npt.NDArray[np.float32]] = []
    network = NetworkSettings(RATE, weights=weights)
    engine = Engine(EngineSettings(device="cpu", trace=True, network=network), slots=1)
    engine.tell_tiles(lambda said: tiles.extend(part[~np.isnan(part)] for part in said.numpy().reshape(len(said), -1)))
    outcome, stream = through(engine, path, name, how, planted)
    trace = outcome.trace.get("video")
    times = np.zeros(0) if trace is None else trace.times[~np.isnan(trace.values[:, _NETWORK])]
    if len(times) != len(tiles):
        raise RuntimeError(f"{name}: {len(tiles)} pictures were looked at, {len(times)} measured")
    return Told(*stream, times, tiles)


def clean_streams(clips: Sequence[Path], folder: Path, look: Look[T], known: Known[T] = nothing) -> Iterator[T]:
    """What `look` makes of held-out clips as they are, and as some coders make them."""
    ffmpeg = imageio_ffmpeg.get_ffmpeg_exe()
    for clip in clips:
        yield known(clip.name, "as it is") or look(clip, clip.name, "as it is")
        for variant in VARIANTS[:CLEAN_VARIANTS]:
            before = known(clip.name, variant.name)
            if before is not None:
                yield before
                continue
            path = folder / f"{clip.stem}{variant.suffix}"
            try:
                encode(clip, variant, path, ffmpeg)
            except subprocess.CalledProcessError:
                continue
            yield look(path, clip.name, variant.name)
            path.unlink()


def damaged_streams(
    clips: Sequence[Path], folder: Path, seed: int, look: Look[T], known: Known[T] = nothing
) -> Iterator[T]:
    """What `look` makes of held-out clips, damaged as coded streams are."""
    for clip in clips:
        pictures, rate, depth = read_pictures(clip, SECONDS, most_lines=LINES)
        if depth != 8 or len(pictures) < SECONDS * float(rate) * 0.8:
            continue
        rate = coded_rate(rate)
        for number, (codec, kind) in enumerate(itertools.product(CODECS, KINDS)):
            if (codec, kind) == ("hevc", "lost"):
                continue
            before = known(clip.name, f"{codec} {kind}")
            if before is not None:
                yield before
                continue
            path = folder / "damaged.ts"
            planted = plant_damage(path, codec, kind, pictures, rate=rate, start=DAMAGED[0], end=DAMAGED[1],
                                   strength=(0.1, 0.3, 0.6)[number % 3], seed=seed + number)  # fmt: skip
            if planted is not None:
                yield look(path, clip.name, f"{codec} {kind}", planted)


def cost(weights: Path, folder: Path) -> list[dict[str, Any]]:
    """CPU seconds that judging a stream-second takes with the network at its usual rate and without, all detectors on.

    CPU time, not wall time: other work on the machine slows both sides alike.
    """
    ffmpeg, found = imageio_ffmpeg.get_ffmpeg_exe(), []
    for size in COST_SIZES:
        path = folder / f"{size}.mp4"
        source = f"mandelbrot=s={size}:r=25,noise=alls=6:allf=t"
        made = ["-f", "lavfi", "-i", source, "-t", f"{COST_SECONDS:g}"]
        coded = ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-pix_fmt", "yuv420p", "-threads", "2"]
        command = [ffmpeg, "-y", "-v", "error", *made, *coded, str(path)]
        subprocess.run(command, check=True, timeout=300, stdin=subprocess.DEVNULL)
        taken: dict[float, list[float]] = {0.0: [], 1.0: []}
        for turn, rate in itertools.product(range(COST_TURNS + 1), taken):
            engine = Engine(EngineSettings(device="cpu", network=NetworkSettings(rate, weights=weights)), slots=1)
            engine.add(StreamSpec(size, str(path)))
            began = time.process_time()
            engine.run()
            if turn:  # the first compiles
                taken[rate].append((time.process_time() - began) / COST_SECONDS)
        without, with_it = (statistics.median(taken[rate]) for rate in taken)
        found.append({"size": size, "cpu_seconds_per_stream_second": round(with_it, 5), "without": round(without, 5),
                      "share": round(1 - without / with_it, 4), "turns": COST_TURNS})  # fmt: skip
        maps = _map_seconds(weights, size)
        found[-1]["map_cpu_seconds"] = round(maps, 4)
    return found


def _map_seconds(weights: Path, size: str) -> float:
    """CPU seconds of one map of a whole picture."""
    width, height = (int(n) for n in size.split("x"))
    network = Network(Arithmetic(torch.device("cpu")), 1, NetworkUse(load_artifact(weights), 1.0))
    now, before = (make_surface("s", torch.device("cpu"), width, height, seed=seed) for seed in (1, 2))
    batch = Batcher(torch.device("cpu"), 1, 0.0).assemble([(0, now)], {0: 0.1})
    reference = torch.tensor([[*before.addresses, before.luma_pitch, before.chroma_pitch]])
    taken = []
    for _ in range(4):
        began = time.process_time()
        network.map_of(now, batch.frames, reference)
        taken.append(time.process_time() - began)
    return statistics.median(taken[1:])


def at_rate(told: Told, rate: float) -> list[int]:
    """Which of its looks a lower rate would have taken."""
    taken, before = [], None
    for index, at in enumerate(told.times):
        step = int((at + 1e-6) * rate)
        if step != before:
            taken.append(index)
        before = step
    return taken


def said_at(told: Told, rate: float, tile: float, area: float, pictures: int) -> list[float]:
    """When the network would have said damage."""
    found, run = [], 0
    for index in at_rate(told, rate):
        run = run + 1 if float((told.tiles[index] >= tile).mean()) >= area else 0
        if run >= pictures:
            found.append(float(told.times[index]))
    return found


def alarms_in(times: Sequence[float], planted: Planted | None) -> int:
    """Alarms that no damage explains."""
    if planted is not None:
        times = [t for t in times if not planted.start - 0.2 <= t <= planted.end + AFTER_SECONDS]
    return sum(k == 0 or t - times[k - 1] > APART_SECONDS for k, t in enumerate(times))


def finds(times: Sequence[float], planted: Planted) -> bool:
    """Whether damage was said while it was there, or at once after it."""
    return any(planted.start - 0.2 <= t <= planted.end + AFTER_SECONDS for t in times)


def points(clean: Sequence[Told], damaged: Sequence[Told]) -> list[dict[str, Any]]:
    """Every operating point: what it raises on clean streams, and what it finds."""
    hours, rows = sum(told.seconds for told in clean) / 3600, []
    for rate, tile, area, pictures in itertools.product(RATES, TILES, AREAS, RUNS):
        point = rate, tile, area, pictures
        false = sum(alarms_in(said_at(told, *point), None) for told in clean)
        found = [t for t in damaged if t.planted is not None and finds(said_at(t, *point), t.planted)]
        beyond = sum(t.planted is not None and not finds(t.blocks, t.planted) for t in found)
        rows.append({"pictures_per_second": rate, "tile": tile, "area": round(area, 4), "pictures": pictures,
                     "false_alarms": false, "false_per_hour_at_most": false_per_hour_at_most(false, hours),
                     "found": len(found), "found_beyond_torn_blocks": beyond, "planted": len(damaged)})  # fmt: skip
    return rows


def chosen(rows: Sequence[Mapping[str, Any]]) -> OperatingPoint | None:
    """The point at which the network may judge, of those at the engine's usual rate.

    The one that finds most of those that raise nothing on clean streams, where neither the next lower probability of a
    tile raises anything, and which need two pictures in a row: one may be a cut. None where there is none.
    """
    usual = [row for row in rows if row["pictures_per_second"] == RATES[0] and row["pictures"] >= 2]
    raised = {(row["tile"], row["area"], row["pictures"]) for row in usual if row["false_alarms"]}
    lower = dict(itertools.pairwise(reversed(TILES)))
    sure = [
        row for row in usual
        if row["tile"] in lower and row["found"]
        and not {(tile, row["area"], row["pictures"]) for tile in (row["tile"], lower[row["tile"]])} & raised
    ]  # fmt: skip
    best = max(sure, key=lambda row: (row["found"], row["tile"], row["area"]), default=None)
    return None if best is None else OperatingPoint(best["tile"], best["area"], best["pictures"])


def keep_point(weights: Path, point: OperatingPoint) -> None:
    """Write the point into the file of weights."""
    tensors, about = read_weights(weights, "artifact")
    write_weights(weights, tensors, about | point.as_text())


def summed(clean: Sequence[Told], damaged: Sequence[Told]) -> dict[str, Any]:
    """All figures."""
    hours = sum(told.seconds for told in clean) / 3600
    rows = points(clean, damaged)
    quiet = [row for row in rows if row["false_alarms"] == 0]
    blocks = sum(bool(told.blocks) and finds(told.blocks, told.planted) for told in damaged if told.planted is not None)
    best: Mapping[str, Any] = {}
    for rate in RATES:
        of_rate = [row for row in quiet if row["pictures_per_second"] == rate]
        if of_rate:
            best = {**best, f"{rate:g}": max(of_rate, key=lambda row: (row["found"], row["tile"], row["area"]))}
    return {
        "clips": sorted({told.name for told in clean}),
        "clean": {"streams": len(clean), "hours": round(hours, 4), "looks": sum(len(t.times) for t in clean),
                  "false_alarms_of_torn_blocks": sum(alarms_in(t.blocks, None) for t in clean)},
        "damaged": {"streams": len(damaged), "found_by_torn_blocks": blocks},
        "most_found_without_a_false_alarm": best,
        "points": rows,
    }  # fmt: skip


def main() -> None:
    """Judge clean and damaged streams, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS)
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--write-point", action="store_true", help="keep the point at which it may judge in the weights"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = [path for path in clips_of(options.media, tuple(options.skip)) if is_held_out(path.name)]
    with tempfile.TemporaryDirectory(prefix="avjury-network-") as name:
        folder, look = Path(name), partial(judge, weights=options.weights)
        streams = itertools.chain(
            clean_streams(clips, folder, look), damaged_streams(clips, folder, options.seed, look)
        )
        all_told: list[Told] = []
        for told in streams:
            all_told.append(told)
            print(f"{told.name}, {told.how}: {len(told.times)} looks", flush=True)  # noqa: T201 - progress
        taken = cost(options.weights, folder)
    clean, damaged = ([t for t in all_told if (t.planted is None) == is_clean] for is_clean in (True, False))
    figures = summed(clean, damaged)
    figures["cost"] = taken
    point = chosen(figures["points"])
    figures["chosen"] = None if point is None else asdict(point)
    if options.write_point and point is not None:
        keep_point(options.weights, point)
    path = write_result("network", figures | {"weights": options.weights.name, "seed": options.seed})
    for key in ("clean", "damaged", "most_found_without_a_false_alarm", "chosen", "cost"):
        print(f"{key}: {figures[key]}")  # noqa: T201 - the command's output
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
