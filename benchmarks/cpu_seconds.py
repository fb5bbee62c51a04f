"""`python -m benchmarks.cpu_seconds --against TREE`: CPU time per picture of this tree and of another, turn by turn.

For a machine that others use too: frames per second there say how busy it was, CPU seconds what was asked of it. The
sides of `bench cpu` without ffmpeg, in a process per tree and turn, each clip and side once. Both trees have to have
this package's `looped` and `cpu`; what the kernels are compiled to is kept in each tree.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

from benchmarks.cpu import MEDIA_CLIPS
from benchmarks.harness import quantiles, write_result
from benchmarks.looped import loop_clip, make_clip

# Run in each tree: it may be older than this file.
_CHILD: Final = """
import json, os, sys
from pathlib import Path
from benchmarks.cpu import decode_only, judged
found = {}
for clip in map(Path, sys.argv[1:]):
    cores = len(os.sched_getaffinity(0))
    judged(clip, 1)
    runs = {"decode_only": decode_only(clip, 1), "judged": judged(clip, 1),
            "decode_only_every_core": decode_only(clip, cores), "judged_every_core": judged(clip, cores),
            "judged_decoded_on_every_core": judged(clip, 1, decode_threads=0)}
    found[clip.stem] = {name: 1000 * run["cpu_seconds"] / run["frames"] for name, run in runs.items()}
print(json.dumps(found))
"""


def measure(tree: Path, clips: list[Path]) -> dict[str, dict[str, float]]:
    """CPU milliseconds per picture of every side, by clip, with the code of a tree."""
    environment = os.environ | {"PYTHONPATH": str(tree)}
    command = [sys.executable, "-P", "-c", _CHILD, *map(str, clips)]
    done = subprocess.run(command, cwd=tree, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, dict[str, float]] = json.loads(done.stdout)
    return found


def compare(trees: dict[str, Path], clips: list[Path], turns: int) -> dict[str, Any]:
    """Quantiles of each tree's sides by clip, and of the ratio of both trees within a turn."""
    taken: dict[str, list[dict[str, dict[str, float]]]] = {name: [] for name in trees}
    loads = []
    for _ in range(turns):
        loads.append(os.getloadavg()[0])
        for name, tree in trees.items():
            taken[name].append(measure(tree, clips))
            print(json.dumps({name: taken[name][-1]}), file=sys.stderr, flush=True)  # noqa: T201 - progress
    figures: dict[str, Any] = {"load_before_each_turn": quantiles(loads), "turns": turns, "clips": {}}
    for clip in (clip.stem for clip in clips):
        sides = taken["this"][0][clip]
        rows: dict[str, Any] = {
            name: {side: quantiles([turn[clip][side] for turn in taken[name]]) for side in sides} for name in trees
        }
        for name in trees:
            for side in ("", "_every_core"):
                ratios = [turn[clip][f"decode_only{side}"] / turn[clip][f"judged{side}"] for turn in taken[name]]
                rows[name][f"decode_only_over_judged{side}"] = quantiles(ratios)
        figures["clips"][clip] = rows
    return figures


def main() -> int:
    """Parse the command line, run, and keep the result."""
    parser = argparse.ArgumentParser(prog="benchmarks.cpu_seconds", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--against", type=Path, required=True, help="root of the other tree")
    parser.add_argument("--against-commit", default="", help="what it is, for the record")
    parser.add_argument("--media", type=Path, default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    parser.add_argument("--clips", nargs="*", default=list(MEDIA_CLIPS), help="names in it, besides the made clip")
    parser.add_argument("--seconds", type=float, default=4.0, help="media seconds that clips are looped to")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--results", type=Path, help="folder for the result; default: benchmarks/results")
    options = parser.parse_args()
    trees = {"other": options.against.resolve(), "this": Path(__file__).parents[1]}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        known = {path.name: path for path in Path(options.media).rglob("*")} if options.media else {}
        made = make_clip(folder / "made_1080p25_h264.mp4", options.seconds)
        clips = [made, *(known[clip] for clip in options.clips if clip in known)]
        looped = [loop_clip(clip, folder / f"{clip.stem}.mkv", options.seconds) for clip in clips]
        figures = {"other": options.against_commit, **compare(trees, looped, options.turns)}
    path = write_result("cpu_seconds", figures, **({"folder": options.results} if options.results else {}))
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
