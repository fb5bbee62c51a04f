"""`avjury bench fuzz`: inputs that grow by the branches they reach, for all that reads what strangers send.

Each target of benchmarks/fuzz_targets.py is fed by libFuzzer (atheris, the extra avjury[fuzz]) in a process of its own,
which begins with a few inputs and keeps and changes those that reach a branch that none reached before. What raises
something other than an error of ours, takes longer than some seconds or too much memory is a mistake: it is in the
record with its input, and the command ends with 1. What it finds becomes an example of a test.
"""

import base64
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.fuzz_targets import TARGETS, Target
from benchmarks.harness import parser, say, show_children_this_tree, write_result

MOST_SECONDS: Final = 10  # of one input
MOST_MB: Final = 2048
ENDED_SECONDS: Final = 120.0  # beyond its time: a process has to start, and to count
_LEFT: Final = ("crash-", "timeout-", "oom-", "leak-")
_SHOWN: Final = re.compile(rb"#(\d+).*?cov: (\d+) ft: (\d+) corp: (\d+)")


def words_of(target: Target) -> str:
    """The target's words as libFuzzer reads them."""
    spelled = ("".join(f"\\x{byte:02x}" for byte in word) for word in target.words)
    return "".join(f'"{word}"\n' for word in spelled)


def run_target(name: str, target: Target, folder: Path, seconds: int, seed: int) -> dict[str, Any]:
    """Feed one. Returns: how often, how far it came, and what was found."""
    corpus, left, found = folder / "corpus", folder / "left", folder / "found"
    for made in (corpus, left):
        made.mkdir(parents=True)
    for number, content in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(content)
    (folder / "words").write_text(words_of(target) or '"\\x00"\n')  # an empty file is refused
    command = [sys.executable, "-m", "benchmarks.fuzz_target", name, str(found), str(corpus)]
    command += [f"-max_total_time={seconds}", f"-seed={seed}", f"-artifact_prefix={left}/", f"-timeout={MOST_SECONDS}"]
    command += [f"-rss_limit_mb={MOST_MB}", f"-max_len={target.longest}", f"-dict={folder / 'words'}"]
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, timeout=seconds + ENDED_SECONDS, check=False)
        said, ended = done.stderr, done.returncode
    except subprocess.TimeoutExpired as late:
        said, ended = late.stderr or b"", -1
    shown = [tuple(int(part) for part in match) for match in _SHOWN.findall(said)]
    runs, branches, features, inputs = shown[-1] if shown else (0, 0, 0, 0)
    mistakes = [json.loads(line) for line in found.read_text().splitlines()] if found.exists() else []
    mistakes += [{"where": path.name.partition("-")[0], "input": base64.b64encode(path.read_bytes()).decode()}
                 for path in sorted(left.iterdir()) if path.name.startswith(_LEFT)]  # fmt: skip
    if (ended != 0 and not mistakes) or not runs:
        error = said[-2000:].decode("utf-8", "replace")
        mistakes.append({"where": f"ended with {ended}", "input": "", "error": error})
    return {"about": target.about, "seconds": round(time.monotonic() - began, 1), "inputs_fed": runs,
            "branches_at_first": shown[0][1] if shown else 0, "branches": branches, "features": features,
            "inputs_kept": inputs, "mistakes": mistakes}  # fmt: skip


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("fuzz", __doc__)
    arguments.add_argument("--seconds", type=int, default=60, help="of each target")
    arguments.add_argument("--targets", nargs="+", choices=tuple(TARGETS), default=list(TARGETS), help="which of them")
    arguments.add_argument("--seed", type=int, default=None, help="of the changes; drawn and told if not given")
    options = arguments.parse_args()
    if importlib.util.find_spec("atheris") is None:
        arguments.error("atheris is not installed: pip install 'avjury[fuzz]'")
    show_children_this_tree()
    seed = int.from_bytes(os.urandom(3), "big") + 1 if options.seed is None else options.seed
    say(f"seed {seed}")
    began = time.monotonic()
    by_target: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory(prefix="avjury-fuzz-") as name:
        for target in options.targets:
            folder = Path(name) / target.replace(" ", "-")
            by_target[target] = run_target(target, TARGETS[target], folder, options.seconds, seed)
            of = by_target[target]
            say(f"{target}: {of['inputs_fed']} inputs, {of['branches']} branches, {len(of['mistakes'])} mistakes")
    mistakes = sum(len(one["mistakes"]) for one in by_target.values())
    figures = {
        "seed": seed,
        "inputs_fed": sum(one["inputs_fed"] for one in by_target.values()),
        "mistakes": mistakes,
        "seconds": round(time.monotonic() - began, 1),
        "by_target": by_target,
    }
    print(write_result("fuzz", figures, options.results))  # noqa: T201 - the command's result
    return 1 if mistakes else 0


if __name__ == "__main__":
    raise SystemExit(main())
