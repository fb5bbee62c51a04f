"""`avjury bench whole-streams`: what the network over the pictures before says of whole held-out streams.

The streams of `avjury bench network`, clean ones and damaged ones of clips that were never trained on, go through the
engine, which looks at every picture whole. From the maps of the pictures comes what `engine.network.whole_pictures`
would say of each, where every picture is looked at and where every third one is, at each operating point: what it
raises on clean streams, and what it finds of damaged ones. Beside it stands what the torn blocks say of the same.

avjury bench whole-streams --media FOLDER [--weights FILE] [--history FILE] [--work FOLDER] [--write-point]
"""

import argparse
import itertools
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.harness import write_result
from benchmarks.network import TILES, alarms_in, finds
from benchmarks.network_streams import Streamed, clean_streams, damaged_streams, keep, place_of, through
from benchmarks.tallies import false_per_hour_at_most
from engine.measure.whole_looks import GAP_SECONDS
from engine.media import Surface
from engine.pipeline import Engine
from engine.spec import EngineSettings, NetworkSettings
from models.artifact_history import SHIPPED_HISTORY, History, HistoryNet, load_history
from models.artifact_weights import SHIPPED_WEIGHTS, OperatingPoint
from models.synthesis.held_out import is_held_out
from models.synthesis.planted import Planted
from models.train import clips_of
from models.weight_files import digest_of, read_weights, write_weights

# More than any stream has: every picture is looked at.
EVERY: Final = 1000.0
# Pictures from one look to the next.
STEPS: Final = (1, 3)
# From the share on from which `video.corruption` tells damage: less would tell nothing.
AREAS: Final = (0.01, 0.015, 0.02, 0.03, 0.04, 0.06, 0.08, 0.12, 0.2, 0.3)
RUNS: Final = (1, 2, 3, 4, 6, 8, 12)
# One picture may be a cut, whatever it looks like.
LEAST_PICTURES: Final = 2

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Seen(Streamed):
    """The maps of one stream.

    Args:
        times: (n,) media seconds of the pictures.
        maps: of each, (rows, columns) float32 logits.
    """

    times: Floats
    maps: list[npt.NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Said(Streamed):
    """What the network over the pictures before says of one stream, whose maps are gone.

    Args:
        looks: for each of STEPS the times (n,) and (n, TILES): shares of the picture that are as probable as TILES.
    """

    looks: Mapping[int, tuple[Floats, Floats]]


def see(path: Path, name: str, how: str, planted: Planted | None = None, *, weights: Path) -> Seen:
    """A stream through the engine."""
    times: list[float] = []
    maps: list[npt.NDArray[np.float32]] = []

    def take(surface: Surface, logits: torch.Tensor) -> None:
        times.append(surface.pts)
        maps.append(logits.cpu().numpy().copy())

    network = NetworkSettings(EVERY, weights=weights, whole_pictures=True, confirms=False)
    engine = Engine(EngineSettings(device="cpu", network=network), slots=1)
    engine.tell_maps(take)
    _, stream = through(engine, path, name, how, planted)
    return Seen(*stream, np.array(times), maps)


def kept(seen: Seen, folder: Path) -> None:
    """Write the maps of a stream, to be read by `found`."""
    planted = {} if seen.planted is None else {"planted": np.array([seen.planted.start, seen.planted.end])}
    maps = {f"map{n}": part.astype(np.float16) for n, part in enumerate(seen.maps)}
    rest = {"seconds": np.array(seen.seconds), "times": seen.times, "blocks": np.array(seen.blocks).reshape(-1, 2)}
    keep(place_of(folder, seen.name, seen.how), {**maps, **rest, **planted})


def found(folder: Path, name: str, how: str) -> Seen | None:
    """What `kept` wrote of a stream; None where it wrote nothing, or of incidents no more than when they opened."""
    path = place_of(folder, name, how)
    if not path.exists():
        return None
    with np.load(path) as file:
        if file["blocks"].ndim != 2:
            return None
        times = file["times"]
        maps = [file[f"map{n}"].astype(np.float32) for n in range(len(times))]
        planted = None
        if "planted" in file:
            start, end = (float(at) for at in file["planted"])
            planted = Planted("video.corruption", start, end, 0.0)
        blocks = [(float(start), float(end)) for start, end in file["blocks"]]
        return Seen(name, how, float(file["seconds"]), blocks, planted, times, maps)


def said_of(net: HistoryNet, seen: Seen) -> Said:
    """What the network over histories says of a stream, as engine/measure/whole_looks.py has it say."""
    return Said(seen.name, seen.how, seen.seconds, seen.blocks, seen.planted,
                {step: _looks(net, seen.times[::step], seen.maps[::step]) for step in STEPS})  # fmt: skip


def _looks(net: HistoryNet, times: Floats, maps: Sequence[npt.NDArray[np.float32]]) -> tuple[Floats, Floats]:
    slots, goes_on = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)
    history, shape, before = None, (0, 0), 0.0
    shares = np.zeros((len(times), len(TILES)))
    with torch.inference_mode():
        for index, (at, logits) in enumerate(zip(times, maps, strict=True)):
            rows, columns = logits.shape
            if history is None or shape != (rows, columns) or not 0 < at - before <= GAP_SECONDS:
                history, shape = History(1, rows, columns, torch.device("cpu")), (rows, columns)
            before = at
            told = net(history.take(slots, torch.from_numpy(logits)[None], goes_on)).sigmoid()[0].numpy()
            shares[index] = [(told >= tile).mean() for tile in TILES]
    return times, shares


def said_at(said: Said, step: int, tile: float, area: float, pictures: int) -> list[float]:
    """When it would have said damage."""
    times, shares = said.looks[step]
    found, run = [], 0
    for at, share in zip(times, shares[:, TILES.index(tile)], strict=True):
        run = run + 1 if share >= area else 0
        if run >= pictures:
            found.append(float(at))
    return found


def points(clean: Sequence[Said], damaged: Sequence[Said]) -> list[dict[str, Any]]:
    """Every operating point: what it raises on clean streams, and what it finds."""
    hours, rows = sum(said.seconds for said in clean) / 3600, []
    for step, tile, area, pictures in itertools.product(STEPS, TILES, AREAS, RUNS):
        point = step, tile, area, pictures
        false = sum(alarms_in(said_at(said, *point), None) for said in clean)
        found = [s for s in damaged if s.planted is not None and finds(said_at(s, *point), s.planted)]
        beyond = sum(not said.found for said in found)
        rows.append({"step": step, "tile": tile, "area": area, "pictures": pictures, "false_alarms": false,
                     "false_per_hour_at_most": false_per_hour_at_most(false, hours), "found": len(found),
                     "found_beyond_torn_blocks": beyond, "planted": len(damaged)})  # fmt: skip
    return rows


def chosen(rows: Sequence[Mapping[str, Any]]) -> OperatingPoint | None:
    """The point at which it may judge, however often it looks.

    The one that finds most of those that raise nothing on clean streams at any step, nor would at the next lower
    probability of a tile, the next smaller share, or with one look less in a row. None where there is none.
    """
    raised = {(row["tile"], row["area"], row["pictures"]) for row in rows if row["false_alarms"]}
    found: dict[tuple[float, float, int], int] = {}
    for row in rows:
        key = row["tile"], row["area"], row["pictures"]
        found[key] = found.get(key, 0) + row["found"]
    less = [dict(itertools.pairwise(reversed(of))) for of in (TILES, AREAS, RUNS)]
    sure = []
    for key, count in found.items():
        if key[2] < LEAST_PICTURES or not count or key[0] not in less[0]:
            continue
        near = {tuple(of.get(k, k) if n == m else k for m, k in enumerate(key)) for n, of in enumerate(less)}
        if not ({key} | near) & raised:
            sure.append((count, key))
    best = max(sure, default=None)
    return None if best is None else OperatingPoint(*best[1])


def keep_point(history: Path, point: OperatingPoint) -> None:
    """Write the point into the file of weights."""
    tensors, about = read_weights(history, "artifact_history")
    write_weights(history, tensors, about | point.as_text())


def summed(clean: Sequence[Said], damaged: Sequence[Said]) -> dict[str, Any]:
    """All figures."""
    rows = points(clean, damaged)
    quiet = {step: [row for row in rows if row["step"] == step and not row["false_alarms"]] for step in STEPS}
    point = chosen(rows)
    figures: dict[str, Any] = {
        "clips": sorted({said.name for said in (*clean, *damaged)}),
        "clean": {"streams": len(clean), "hours": round(sum(said.seconds for said in clean) / 3600, 4),
                  "looks": {str(step): sum(len(said.looks[step][0]) for said in clean) for step in STEPS},
                  "false_alarms_of_torn_blocks": sum(alarms_in([t for t, _ in said.blocks], None) for said in clean)},
        "damaged": {"streams": len(damaged), "found_by_torn_blocks": sum(said.found for said in damaged)},
        "most_found_without_a_false_alarm": {
            str(step): max(of, key=lambda row: (row["found"], row["tile"], row["area"]))
            for step, of in quiet.items()
            if of
        },
        "chosen": None if point is None else asdict(point),
        "points": rows,
    }  # fmt: skip
    if point is not None:
        key = point.tile, point.area, point.pictures
        figures["at_chosen"] = {
            str(row["step"]): row for row in rows if (row["tile"], row["area"], row["pictures"]) == key
        }
    return figures


def streams(clips: Sequence[Path], weights: Path, work: Path, seed: int) -> Iterator[Seen]:
    """The maps of all streams, made where they are not there yet."""
    work.mkdir(parents=True, exist_ok=True)

    def look(path: Path, name: str, how: str, planted: Planted | None = None) -> Seen:
        seen = see(path, name, how, planted, weights=weights)
        kept(seen, work)
        return seen

    known = partial(found, work)
    with tempfile.TemporaryDirectory(prefix="avjury-whole-streams-") as name:
        folder = Path(name)
        yield from clean_streams(clips, folder, look, known)
        yield from damaged_streams(clips, folder, seed, look, known)


def main() -> None:
    """Judge clean and damaged streams, and write what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SHIPPED_WEIGHTS)
    parser.add_argument("--history", type=Path, default=SHIPPED_HISTORY, metavar="FILE")
    parser.add_argument("--work", type=Path, help="where maps are kept, and found again")
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--write-point", action="store_true", help="keep the point at which it may judge in the weights"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    clips = [path for path in clips_of(options.media, tuple(options.skip)) if is_held_out(path.name)]
    net, all_said = load_history(options.history).net, []
    with tempfile.TemporaryDirectory(prefix="avjury-whole-maps-") as name:
        work = (options.work or Path(name)) / f"maps-{digest_of(options.weights)[:8]}"
        for seen in streams(clips, options.weights, work, options.seed):
            all_said.append(said_of(net, seen))
            print(f"{seen.name}, {seen.how}: {len(seen.times)} looks", flush=True)  # noqa: T201 - progress
    clean, damaged = ([s for s in all_said if (s.planted is None) == is_clean] for is_clean in (True, False))
    figures = summed(clean, damaged)
    if options.write_point and figures["chosen"] is not None:
        keep_point(options.history, OperatingPoint(**figures["chosen"]))
    about = {"weights": options.weights.name, "history": options.history.name, "seed": options.seed}
    path = write_result("whole-streams", figures | about)
    for key in ("clean", "damaged", "most_found_without_a_false_alarm", "chosen", "at_chosen"):
        print(f"{key}: {figures.get(key)}")  # noqa: T201 - the command's output
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
