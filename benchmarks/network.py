"""`avjury bench network`: what the artifact network says of whole held-out streams, at the points where it could judge.

Clean streams (clips as they are, and as several coders make them) and streams with real damage, as they are and coded
anew, all of clips that were never trained on, go through the engine as in `avjury check`. From what the network said of
every tile that it looked at come the false alarms and what is found at each operating point; beside it stands what the
torn blocks say of the same streams, and what `video.corruption` tells of them where they ask it for a second look, at
the point that the weights have. False alarms are rare, and minutes show little of them: `--clean` names folders of more
clean content, of any length, which is judged whole. What was said is kept in `--work`, so that hours can be judged in
several goes, and by several processes with `--part`.

avjury bench network --media FOLDER [--clean FOLDER]... [--work FOLDER] [--weights FILE] [--skip PREFIX] [--write-point]
"""

import argparse
import itertools
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt
import torch

from benchmarks.harness import write_result
from benchmarks.made_surfaces import make_surface
from benchmarks.network_streams import (
    AFTER_SECONDS,
    BEFORE_SECONDS,
    Streamed,
    clean_streams,
    damaged_streams,
    keep,
    more_clean_streams,
    place_of,
    refuse_twins,
    through,
    times_of,
)  # fmt: skip
from benchmarks.tallies import APART_SECONDS, false_per_hour_at_most
from engine.batch import Batcher
from engine.measure import VIDEO_COLUMNS
from engine.measure.arithmetic import Arithmetic
from engine.measure.network import Network, NetworkUse
from engine.measure.second_looks import AGREE_SECONDS, SEEN_LEVELS
from engine.pipeline import Engine
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from models.artifact_weights import SHIPPED_WEIGHTS, OperatingPoint, RatedPoints, SecondPoint, load_artifact
from models.synthesis.held_out import is_held_out
from models.synthesis.planted import Planted
from models.train import clips_of
from models.weight_files import digest_of, read_weights, write_weights

# Pictures looked at per second in this run; the lower rates are made of it.
RATE: Final = 5.0
RATES: Final = (1.0, 2.0, 5.0)
TILES: Final = SEEN_LEVELS
# The first is one tile of the 144 of four pieces.
AREAS: Final = (0.0069, 0.02, 0.04, 0.08, 0.15, 0.3)
RUNS: Final = (1, 2, 3)
# Of second looks: the least number of tiles that say so, and of looks that agree.
COUNTS: Final = (1, 2, 3, 4, 6, 8, 12, 16)
LOOKS: Final = (1, 2)
# Made-up pictures of which judging is timed.
COST_SIZES: Final = ("640x360", "1280x720", "1920x1080")
COST_SECONDS: Final = 10.0
COST_TURNS: Final = 3
_ALONE: Final = "torn blocks alone"
_NETWORK: Final = VIDEO_COLUMNS.index("network_corruption")

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Told(Streamed):
    """What was said of one stream.

    Args:
        times: (n,) media seconds of the pictures that the network looked at.
        shares: (n, TILES): the share of the tiles looked at that are as probable as TILES.
        second_times: (m,) media seconds of the pictures that were looked at for a second time.
        second_counts: (m, TILES): the number of tiles, of all pieces of these, that are as probable as TILES.
        with_looks: incidents of `video.corruption` with second looks, at the point of the weights, as `blocks`.
    """

    times: Floats
    shares: Floats
    second_times: Floats
    second_counts: Floats
    with_looks: list[tuple[float, float]]

    @property
    def found_with_looks(self) -> bool:
        """As `found`, with second looks."""
        return replace(self, blocks=self.with_looks).found


def judge(path: Path, name: str, how: str, planted: Planted | None = None, *, weights: Path) -> Told:
    """A stream through the engine, as it is and, beside it, with torn blocks and the decoder alone."""
    said_of: list[Floats] = []
    second: list[tuple[float, Floats]] = []

    def take_second(slot: int, pts: float, said: torch.Tensor) -> None:
        tiles = said.numpy().reshape(-1, 1)
        second.append((pts, (tiles >= np.array(TILES, np.float32)).sum(axis=0).astype(np.float64)))

    def take(said: torch.Tensor) -> None:
        said_of.extend(shares_of(part[~np.isnan(part)]) for part in said.numpy().reshape(len(said), -1))

    network = NetworkSettings(RATE, weights=weights)
    engine = Engine(EngineSettings(device="cpu", trace=True, network=network), slots=2)
    engine.tell_tiles(take)
    engine.tell_second_looks(take_second)
    engine.add(StreamSpec(_ALONE, str(path), {"video.corruption": {"network_looks": 0.0}}))
    outcome, stream = through(engine, path, name, how, planted)
    alone = engine.outcomes[_ALONE]
    if alone.error is not None:
        raise alone.error
    trace = outcome.trace.get("video")
    times = np.zeros(0) if trace is None else trace.times[~np.isnan(trace.values[:, _NETWORK])]
    if len(times) != len(said_of):
        raise RuntimeError(f"{name}: {len(said_of)} pictures were looked at, {len(times)} measured")
    counts = np.array([count for _, count in second]).reshape(len(second), len(TILES))
    shares = np.array(said_of).reshape(len(times), len(TILES))
    looks = times, shares, np.array([pts for pts, _ in second]), counts
    return Told(*stream[:3], times_of(alone), planted, *looks, stream[3])


def shares_of(tiles: npt.NDArray[np.float32]) -> Floats:
    """(TILES,): the share of a picture's tiles that are as probable as each."""
    shares: Floats = (tiles[:, None] >= np.array(TILES, np.float32)).mean(axis=0)
    return shares


def kept(told: Told, folder: Path) -> None:
    """Write what was said of a stream, to be read by `found`."""
    planted = {} if told.planted is None else {"planted": np.array([told.planted.start, told.planted.end])}
    told_of = {"blocks": told.blocks, "with_looks": told.with_looks}
    rest = {key: np.array(times).reshape(-1, 2) for key, times in told_of.items()}
    rest["seconds"] = np.array(told.seconds)
    second = {"second_times": told.second_times, "second_counts": told.second_counts}
    parts = {"times": told.times, "shares": told.shares, **second, **rest, **planted}
    keep(place_of(folder, told.name, told.how), parts)


def found(folder: Path, name: str, how: str) -> Told | None:
    """What `kept` wrote of a stream; None where it wrote nothing, or not yet what is told with second looks."""
    path = place_of(folder, name, how)
    if not path.exists():
        return None
    with np.load(path) as file:
        if "with_looks" not in file:
            return None
        planted = None
        if "planted" in file:
            start, end = (float(at) for at in file["planted"])
            planted = Planted("video.corruption", start, end, 0.0)
        blocks, with_looks = (
            [(float(start), float(end)) for start, end in file[key]] for key in ("blocks", "with_looks")
        )
        said = file["times"], file["shares"], file["second_times"], file["second_counts"]
        return Told(name, how, float(file["seconds"]), blocks, planted, *said, with_looks)


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


def at_rate(told: Told, rate: float) -> npt.NDArray[np.intp]:
    """Which of its looks a lower rate would have taken: the first at or after each step, but that of the beginning."""
    steps = ((told.times + 1e-6) * rate).astype(np.int64)
    return np.flatnonzero(np.diff(steps, prepend=0))


def said_at(told: Told, rate: float, tile: float, area: float, pictures: int) -> list[float]:
    """When the network would have said damage."""
    looks = at_rate(told, rate)
    damaged = told.shares[looks, TILES.index(tile)] >= area
    sure = damaged.copy()
    for before in range(1, pictures):
        sure[before:] &= damaged[:-before]
        sure[:before] = False
    found: list[float] = told.times[looks][sure].tolist()
    return found


def alarms_in(times: Sequence[float], planted: Planted | None) -> int:
    """Alarms that no damage explains."""
    if planted is not None:
        times = [t for t in times if not planted.start - BEFORE_SECONDS <= t <= planted.end + AFTER_SECONDS]
    return sum(k == 0 or t - times[k - 1] > APART_SECONDS for k, t in enumerate(times))


def finds(times: Sequence[float], planted: Planted) -> bool:
    """Whether damage was said while it was there, or at once after it."""
    return any(planted.start - BEFORE_SECONDS <= t <= planted.end + AFTER_SECONDS for t in times)


def points(clean: Sequence[Told], damaged: Sequence[Told]) -> list[dict[str, Any]]:
    """Every operating point: what it raises on clean streams, and what it finds."""
    hours, rows = sum(told.seconds for told in clean) / 3600, []
    for rate, tile, area, pictures in itertools.product(RATES, TILES, AREAS, RUNS):
        point = rate, tile, area, pictures
        false = sum(alarms_in(said_at(told, *point), None) for told in clean)
        found = [t for t in damaged if t.planted is not None and finds(said_at(t, *point), t.planted)]
        beyond = sum(not told.found for told in found)
        rows.append({"pictures_per_second": rate, "tile": tile, "area": area, "pictures": pictures,
                     "false_alarms": false, "false_per_hour_at_most": false_per_hour_at_most(false, hours),
                     "found": len(found), "found_beyond_torn_blocks": beyond, "planted": len(damaged)})  # fmt: skip
    return rows


def second_said_at(told: Told, point: SecondPoint) -> list[float]:
    """When second looks would have said damage, as engine/measure/second_looks.py does."""
    found, run, before, last = [], 0, -np.inf, np.nan
    counts, all_seen = told.second_counts[:, TILES.index(point.tile)], told.second_counts.sum(axis=1)
    for at, count, seen in zip(told.second_times, counts, all_seen, strict=True):
        if count >= point.tiles:
            run, before, last = run + (seen != last) if abs(at - before) <= AGREE_SECONDS else 1, at, seen
            if run >= point.looks:
                found.append(float(at))
    return found


def second_points(clean: Sequence[Told], damaged: Sequence[Told]) -> list[dict[str, Any]]:
    """Every point of second looks: what it raises on clean streams, and what is found with it."""
    rows = []
    for values in itertools.product(TILES, COUNTS, LOOKS):
        point = SecondPoint(*values)
        false = sum(alarms_in(second_said_at(told, point), None) for told in clean)
        seen = [t for t in damaged if t.planted is not None and finds(second_said_at(t, point), t.planted)]
        rows.append(asdict(point) | {"false_alarms": false, "found": len(seen), "planted": len(damaged),
                                     "found_beyond_torn_blocks": sum(not told.found for told in seen)})  # fmt: skip
    return rows


def chosen_second(rows: Sequence[Mapping[str, Any]]) -> SecondPoint | None:
    """The point of second looks.

    Of those that raise nothing on clean streams, nor would at the next lower probability, if there is one, or the next
    lower number of tiles, the one that finds most beyond the torn blocks. None where there is none.
    """
    raised = {SecondPoint(row["tile"], row["tiles"], row["looks"]) for row in rows if row["false_alarms"]}
    lower, fewer = dict(itertools.pairwise(reversed(TILES))), dict(itertools.pairwise(reversed(COUNTS)))
    sure = []
    for row in rows:
        point = SecondPoint(row["tile"], row["tiles"], row["looks"])
        if row["found_beyond_torn_blocks"] and point.tiles in fewer:
            less = replace(point, tile=lower.get(point.tile, point.tile)), replace(point, tiles=fewer[point.tiles])
            sure += [(row["found_beyond_torn_blocks"], *astuple(point))] if not {point, *less} & raised else []
    best = max(sure, default=None)
    return None if best is None else SecondPoint(*best[1:])


def chosen(rows: Sequence[Mapping[str, Any]], rate: float) -> OperatingPoint | None:
    """The point at which the network may judge where it looks so often.

    Of those that raise nothing on clean streams, nor would at the next lower probability of a tile, the one that finds
    most beyond the torn blocks, which judge beside it, and then most of all. None where there is none.
    """
    usual = [row for row in rows if row["pictures_per_second"] == rate]
    raised = {(row["tile"], row["area"], row["pictures"]) for row in usual if row["false_alarms"]}
    lower = dict(itertools.pairwise(reversed(TILES)))
    sure = [
        row for row in usual
        if row["tile"] in lower and row["found"]
        and not {(tile, row["area"], row["pictures"]) for tile in (row["tile"], lower[row["tile"]])} & raised
    ]  # fmt: skip
    by = ("found_beyond_torn_blocks", "found", "tile", "area")
    best = max(sure, key=lambda row: tuple(row[key] for key in by), default=None)
    return None if best is None else OperatingPoint(best["tile"], best["area"], best["pictures"])


def keep_points(weights: Path, points: RatedPoints, second: SecondPoint | None) -> None:
    """Write the points into the file of weights, in place of those that it had."""
    tensors, about = read_weights(weights, "artifact")
    about = {key: value for key, value in about.items() if key not in ("points", "second")}
    write_weights(weights, tensors, about | points.as_text() | ({} if second is None else second.as_text()))


def summed(clean: Sequence[Told], damaged: Sequence[Told]) -> dict[str, Any]:
    """All figures."""
    rows = points(clean, damaged)
    quiet = [row for row in rows if row["false_alarms"] == 0]
    second = second_points(clean, damaged)
    at_second = chosen_second(second)
    best: Mapping[str, Any] = {}
    for rate in RATES:
        of_rate = [row for row in quiet if row["pictures_per_second"] == rate]
        if of_rate:
            best = {**best, f"{rate:g}": max(of_rate, key=lambda row: (row["found"], row["tile"], row["area"]))}
    by_rate = {rate: chosen(rows, rate) for rate in RATES}
    return {
        "clean": _of_clean(clean),
        "damaged": {"clips": sorted({told.name for told in damaged}), "streams": len(damaged),
                    "found_by_torn_blocks": sum(told.found for told in damaged),
                    "by_group": _by_group(damaged)},
        "second_looks": {"clean": sum(len(told.second_times) for told in clean),
                         "damaged": sum(len(told.second_times) for told in damaged)},
        "second_chosen": None if at_second is None else asdict(at_second),
        "second_points": second,
        "most_found_without_a_false_alarm": best,
        "chosen": {f"{rate:g}": None if point is None else _at(rows, rate, point) for rate, point in by_rate.items()},
        "points": rows,
    }  # fmt: skip


def _by_group(damaged: Sequence[Told]) -> dict[str, dict[str, int]]:
    """Of streams as they were sent, and of those coded anew: how many are found without second looks, and with them."""
    groups: dict[str, dict[str, int]] = {}
    for told in damaged:
        of = groups.setdefault(told.group, {"streams": 0, "found_by_torn_blocks": 0, "found_with_second_looks": 0})
        of["streams"] += 1
        of["found_by_torn_blocks"] += told.found
        of["found_with_second_looks"] += told.found_with_looks
    return groups


def _of_clean(clean: Sequence[Told]) -> dict[str, Any]:
    """How much of it there was, of which clips, and what was raised by the torn blocks alone, and with second looks."""
    hours = sum(told.seconds for told in clean) / 3600
    raised, false = {}, {}
    for by, told_of in (("torn_blocks", "blocks"), ("second_looks", "with_looks")):
        times = {f"{one.name}, {one.how}": [t for t, _ in getattr(one, told_of)] for one in clean}
        raised[by] = {of: [round(t, 2) for t in found] for of, found in times.items() if found}
        false[by] = sum(alarms_in(found, None) for found in times.values())
    return {"clips": sorted({told.name for told in clean}), "streams": len(clean), "hours": round(hours, 4),
            "hours_as_they_are": round(sum(told.seconds for told in clean if told.how == "as it is") / 3600, 4),
            "looks": sum(len(told.times) for told in clean),
            "false_alarms_of_torn_blocks": false["torn_blocks"],
            "of_torn_blocks_per_hour_at_most": false_per_hour_at_most(false["torn_blocks"], hours),
            "raised_by_torn_blocks": raised["torn_blocks"],
            "false_alarms_with_second_looks": false["second_looks"],
            "with_second_looks_per_hour_at_most": false_per_hour_at_most(false["second_looks"], hours),
            "raised_with_second_looks": raised["second_looks"]}  # fmt: skip


def _at(rows: Sequence[Mapping[str, Any]], rate: float, point: OperatingPoint) -> Mapping[str, Any]:
    """The row of a point."""
    wanted = rate, point.tile, point.area, point.pictures
    return next(row for row in rows
                if (row["pictures_per_second"], row["tile"], row["area"], row["pictures"]) == wanted)  # fmt: skip


def part_of(clips: Sequence[Path], part: str) -> list[Path]:
    """Every so many-th clip: "2/3" is the second of three parts, and each clip is in one.

    Raises: ValueError for what is no part.
    """
    number, count = (int(text) for text in part.split("/"))
    if not 1 <= number <= count:
        raise ValueError(f"there is no part {part}; name one as 1/2")
    return [clip for index, clip in enumerate(clips) if index % count == number - 1]


def streams(options: argparse.Namespace, folder: Path, work: Path) -> Iterator[Told]:
    """What was said of all streams, looked up where it is known."""

    def look(path: Path, name: str, how: str, planted: Planted | None = None) -> Told:
        told = judge(path, name, how, planted, weights=options.weights)
        kept(told, work)
        return told

    skipped, known = tuple(options.skip), partial(found, work)
    held_out = [path for path in clips_of(options.media, skipped) if is_held_out(path.name)]
    more = [clip for media in options.clean for clip in clips_of(media, skipped)]
    refuse_twins([*held_out, *more])
    held_out, more = (part_of(clips, options.part) for clips in (held_out, more))
    yield from clean_streams(held_out, folder, look, known)
    yield from damaged_streams(held_out, folder, options.seed, look, known, anew=True)
    yield from more_clean_streams(more, folder, look, known)


def main() -> None:
    """Judge clean and damaged streams, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--clean", type=Path, action="append", default=[], metavar="FOLDER",
                        help="more clean content, that nobody has damaged")  # fmt: skip
    parser.add_argument("--work", type=Path, help="where what was said is kept, and found again")
    parser.add_argument("--part", default="1/1", metavar="K/N", help="of the clips, and no record")
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS)
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write-point", action="store_true", help="keep the points where it may judge in the weights")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="avjury-network-") as name:
        # What is told depends on the numbers of the weights, and on their point of second looks.
        second_of = load_artifact(options.weights).second
        point = "" if second_of is None else "-{}-{}-{}".format(*astuple(second_of))
        work = (options.work or Path(name)) / f"said-{digest_of(options.weights)[:8]}{point}"
        work.mkdir(parents=True, exist_ok=True)
        all_told: list[Told] = []
        for told in streams(options, Path(name), work):
            all_told.append(told)
            print(f"{told.name}, {told.how}: {len(told.times)} looks", flush=True)  # noqa: T201 - progress
        if options.part != "1/1":
            return
        taken = cost(options.weights, Path(name))
    clean, damaged = ([t for t in all_told if (t.planted is None) == is_clean] for is_clean in (True, False))
    figures = summed(clean, damaged) | {"cost": taken}
    rows = [row for row in figures["chosen"].values() if row is not None]
    if options.write_point and (rows or figures["second_chosen"] is not None):
        by_rate = tuple((row["pictures_per_second"], OperatingPoint.of(row)) for row in rows)
        second = figures["second_chosen"]
        keep_points(options.weights, RatedPoints(by_rate), None if second is None else SecondPoint(**second))
    of_weights = {"weights": options.weights.name, "second": None if second_of is None else asdict(second_of)}
    path = write_result("network", figures | of_weights | {"seed": options.seed})
    for key in ("clean", "damaged", "most_found_without_a_false_alarm", "chosen", "second_chosen", "cost"):
        print(f"{key}: {figures[key]}")  # noqa: T201 - the command's output
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
