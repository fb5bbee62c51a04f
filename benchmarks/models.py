"""`avjury bench models`: the networks on held-out clips; their figures go to benchmarks/results.

avjury bench models --media FOLDER [--network artifact|audio|sync] [--weights FILE] [--history FILE]
    [--work FOLDER] [--pictures]
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.curves import draw_curves
from benchmarks.failure_pictures import draw_artifact_failures, draw_audio_failures
from benchmarks.harness import write_result
from models.artifact_history import SHIPPED_HISTORY, HistoryNet, load_history
from models.audio_weights import SHIPPED_AUDIO, load_audio
from models.evaluate import evaluate, load_artifact_net
from models.evaluate_audio import evaluate_audio
from models.evaluate_frames import evaluate_frames
from models.evaluate_sync import evaluate_sync
from models.sync_weights import SHIPPED_SYNC, load_sync
from models.train import TrainSettings, make_shards, sources
from models.train_audio import AudioTrainSettings, make_sound_shards
from models.train_sync import SyncTrainSettings, sync_rows
from models.weight_files import SHIPPED, digest_of, read_weights, write_weights


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - progress


def _artifact(options: argparse.Namespace, work: Path) -> Path:
    settings = TrainSettings(options.media, work, options.weights, seed=options.seed, skip=tuple(options.skip))
    settings = replace(settings, windows=options.windows or settings.windows)
    net = load_artifact_net(options.weights)
    paths = [] if options.pictures else make_shards(settings, held_out=True, say=_say)
    figures: dict[str, Any] = dict(evaluate(net, paths)) if paths else {}
    held_out = sources(options.media, settings.skip, held_out=True)
    history = _history_of(options)
    weights = [options.weights, *([options.history or SHIPPED_HISTORY] if history is not None else [])]
    made_of = [*(digest_of(path)[:8] for path in weights), str(options.seed), str(settings.windows)]
    keep = work / "pictures" / "-".join(made_of)
    figures["frames"] = evaluate_frames(net, held_out, options.seed, settings.windows, history, keep)
    # By name: a folder that is gone can be filled again.
    figures["held_out"] = [source.name for source in held_out if isinstance(source, Path)]
    record = _record("models", figures, options)
    if paths:
        draw_curves(figures["tiles"], record.with_suffix(".svg"))
        draw_artifact_failures(figures, paths, record.with_suffix(".jpg"))
        _tell_labels(figures["tiles"])
        _say(f"damaged pieces: average precision {figures['damaged_pieces']['average_precision']}")
    for name in (key.removesuffix("_of_real_clips") for key in figures["frames"] if key.endswith("_of_real_clips")):
        both = [figures["frames"][f"{name}{part}"]["average_precision"] for part in ("", "_of_real_clips")]
        _say(f"whole pictures, {name}: average precision {both[0]}, of real clips {both[1]}")
    return record


def _history_of(options: argparse.Namespace) -> HistoryNet | None:
    """What judges by the maps of the pictures before; None where it was trained on maps of other weights."""
    history = load_history(options.history)
    if history.artifact == digest_of(options.weights):
        return history.net
    _say("the network over the pictures before was trained on maps of other weights; nothing is said of it")
    return None


def _audio(options: argparse.Namespace, work: Path) -> Path:
    settings = AudioTrainSettings(options.media, work, options.weights, seed=options.seed, skip=tuple(options.skip))
    settings = replace(settings, windows=options.windows or settings.windows)
    paths = make_sound_shards(settings, held_out=True, say=_say)
    figures = dict(evaluate_audio(load_audio(options.weights).net, paths))
    record = _record("models_audio", figures, options)
    draw_curves(figures["labels"], record.with_suffix(".svg"))
    draw_audio_failures(figures, paths, record.with_suffix(".jpg"))
    _tell_labels(figures["labels"])
    return record


def _sync(options: argparse.Namespace, work: Path) -> Path:
    settings = SyncTrainSettings(options.media, work, options.weights, seed=options.seed, skip=tuple(options.skip))
    figures = dict(evaluate_sync(load_sync(options.weights).net, sync_rows(settings, held_out=True, say=_say)))
    record = _record("models_sync", figures, options)
    for row in figures["at"]:
        _say(f"margin {row['margin']}: judges {row['judged'] or 0:.0%}, within 40 ms {row['within_40_ms'] or 0:.0%}, "
             f"judges foreign sound {row['foreign_sound_judged'] or 0:.0%}")  # fmt: skip
    if options.write_margin:
        tensors, about = read_weights(options.weights, "sync")
        margin = figures["margin_that_reaches_the_goal"]
        told = {"margin": "inf" if margin is None else f"{margin:g}", "slope": f"{figures['slope']:g}",
                "bias": f"{figures['bias']:g}"}  # fmt: skip
        write_weights(options.weights, tensors, about | told)
    return record


def _record(name: str, figures: Mapping[str, Any], options: argparse.Namespace) -> Path:
    return write_result(name, {**figures, "weights": options.weights.name, "seed": options.seed})


def _tell_labels(labels: Mapping[str, Mapping[str, Any]]) -> None:
    for label, found in labels.items():
        _say(f"{label}: average precision {found['average_precision']}, {found['positive']} of {found['known']}")


# By the network: how it is tried, and its shipped weights.
NETWORKS: Final[Mapping[str, tuple[Callable[[argparse.Namespace, Path], Path], Path]]] = {
    "artifact": (_artifact, SHIPPED / "artifact.safetensors"),
    "audio": (_audio, SHIPPED_AUDIO),
    "sync": (_sync, SHIPPED_SYNC),
}


def main() -> None:
    """Make the pieces of the held-out clips, and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="artifact")
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--history", type=Path, metavar="FILE", help="weights of the network over the pictures before")
    parser.add_argument(
        "--work", type=Path, help="where pieces, and what is said of pictures, are kept and found again"
    )
    parser.add_argument("--pictures", action="store_true", help="artifact: whole pictures alone, no pieces")
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--windows", type=int)
    parser.add_argument("--write-margin", action="store_true", help="keep in sync weights how sure they have to be")
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, shipped = NETWORKS[options.network]
    options.weights = options.weights or shipped
    with tempfile.TemporaryDirectory(prefix="avjury-models-") as folder:
        _say(str(run(options, options.work or Path(folder))))


if __name__ == "__main__":
    main()
