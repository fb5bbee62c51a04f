"""`avjury bench models`: the artifact network on held-out clips; its figures go to benchmarks/results.

avjury bench models --media FOLDER [--weights FILE] [--work FOLDER]
"""

import argparse
import tempfile
from pathlib import Path

import torch

from benchmarks.harness import write_result
from models.evaluate import evaluate, load_artifact_net
from models.train import TrainSettings, make_shards
from models.weight_files import SHIPPED


def main() -> None:
    """Make the pieces of the held-out clips, and judge them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--media", type=Path, required=True)
    parser.add_argument("--weights", type=Path, default=SHIPPED / "artifact.safetensors")
    parser.add_argument("--work", type=Path, help="where pieces are kept, and found again")
    parser.add_argument("--skip", action="append", default=[], metavar="PREFIX", help="clips that are damaged")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--windows", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    net = load_artifact_net(options.weights)
    with tempfile.TemporaryDirectory(prefix="avjury-models-") as folder:
        settings = TrainSettings(options.media, options.work or Path(folder), options.weights, seed=options.seed,
                                 skip=tuple(options.skip), windows=options.windows)  # fmt: skip
        paths = make_shards(settings, held_out=True, say=lambda text: print(text, flush=True))  # noqa: T201 - progress
        figures = dict(evaluate(net, paths))
    path = write_result("models", figures | {"weights": options.weights.name, "seed": options.seed})
    for label, found in figures["tiles"].items():
        print(f"{label}: average precision {found['average_precision']}, {found['positive']} tiles")  # noqa: T201
    print(f"damaged pieces: average precision {figures['damaged_pieces']['average_precision']}")  # noqa: T201
    print(path)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
