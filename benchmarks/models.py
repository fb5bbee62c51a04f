"""`avjury bench models`: the networks on held-out clips; their figures go to benchmarks/results.

avjury bench models --media FOLDER [--network artifact|audio] [--weights FILE] [--work FOLDER]
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.curves import draw_curves
from benchmarks.harness import write_result
from models.audio_weights import SHIPPED_AUDIO, load_audio
from models.evaluate import evaluate, load_artifact_net
from models.evaluate_audio import evaluate_audio
from models.train import TrainSettings, make_shards
from models.train_audio import AudioTrainSettings, make_sound_shards
from models.weight_files import SHIPPED


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - progress


def _artifact(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    settings = TrainSettings(options.media, work, options.weights, seed=options.seed, skip=tuple(options.skip),
                             windows=options.windows or TrainSettings.windows)  # fmt: skip
    paths = make_shards(settings, held_out=True, say=_say)
    return dict(evaluate(load_artifact_net(options.weights), paths))


def _audio(options: argparse.Namespace, work: Path) -> dict[str, Any]:
    settings = AudioTrainSettings(options.media, work, options.weights, seed=options.seed, skip=tuple(options.skip),
                                  windows=options.windows or AudioTrainSettings.windows)  # fmt: skip
    paths = make_sound_shards(settings, held_out=True, say=_say)
    return dict(evaluate_audio(load_audio(options.weights).net, paths))


# By the network: how it is tried, its shipped weights, the name of its records, and where its figures by label are.
NETWORKS: Mapping[str, tuple[Callable[[argparse.Namespace, Path], dict[str, Any]], Path, str, str]] = {
    "artifact": (_artifact, SHIPPED / "artifact.safetensors", "models", "tiles"),
    "audio": (_audio, SHIPPED_AUDIO, "models_audio", "labels"),
}


def main() -> None:
    """Make the pieces of the held-out clips, and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=sorted(NETWORKS), default="artifact")
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--work", type=Path, help="where pieces are kept, and found again")
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--windows", type=int)
    options = parser.parse_args()
    torch.set_num_threads(1)
    run, shipped, name, part = NETWORKS[options.network]
    options.weights = options.weights or shipped
    with tempfile.TemporaryDirectory(prefix="avjury-models-") as folder:
        figures = run(options, options.work or Path(folder))
    path = write_result(name, figures | {"weights": options.weights.name, "seed": options.seed})
    draw_curves(figures[part], path.with_suffix(".svg"))
    for label, found in figures[part].items():
        _say(f"{label}: average precision {found['average_precision']}, {found['positive']} of {found['known']}")
    if "damaged_pieces" in figures:
        _say(f"damaged pieces: average precision {figures['damaged_pieces']['average_precision']}")
    _say(str(path))


if __name__ == "__main__":
    main()
