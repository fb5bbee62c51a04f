"""`avjury bench measured-page`: docs/benchmarks.md, what was measured in words and tables, from what is recorded.

Of each part the newest record counts. The page names its records, so that a test can make it again from the same ones.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks import measured_parts as parts
from benchmarks.harness import RESULTS, write_page
from benchmarks.measured_chain import chain
from benchmarks.measured_parts import Part
from benchmarks.records import newest

PAGE: Final = Path(__file__).parent.parent / "docs" / "benchmarks.md"
PARTS: Final[Mapping[str, Part]] = {
    "chain": Part("The chain of functions and the one process", "avjury bench chain", "chain",
                  ("cost_ratio", "inputs"), chain),
    "cpu": Part("Judging over decoding alone, on a CPU", "avjury bench cpu", "cpu", ("clips",), parts.cpu),
    "ffmpeg": Part("The filters that one would run instead", "avjury bench ffmpeg", "ffmpeg", ("clips",), parts.ffmpeg),
    "kernels": Part("CPU kernels and detectors", "avjury bench kernels-cpu", "kernels-cpu", ("kernels",),
                    parts.kernels),
    "service": Part("The live service", "avjury bench service", "service",
                    ("360p.sustained.channels", "1080p.sustained.channels"), parts.service),
    "small": Part("The live service with small pictures", "avjury bench service --sizes 360p --cycles 0", "service",
                  ("360p.latency.90%.seconds",), parts.small_pictures),
    "scale": Part("What a channel costs as they become more", "avjury bench scale", "scale",
                  ("1080p.rows", "360p.rows"), parts.scale),
    "latency": Part("From defect to webhook", "avjury bench latency", "latency", ("rows",), parts.latency),
    "cycles": Part("Channels that come and go", "avjury bench service --cycles 2000", "service", ("cycles.rows",),
                   parts.cycles),
    "soak": Part("Among faulty sources", "avjury bench service --soak-seconds SECONDS", "service", ("soak.rows",),
                 parts.soak),
    "kills": Part("Killed at random", "avjury bench kills", "kills", ("kills",), parts.kills),
    "memory": Part("Memory of one stream", "avjury bench cpu --only memory", "cpu", ("memory",), parts.memory),
    "side": Part("Beside the loop: verdicts and the network", "avjury bench side-costs", "side-costs",
                 ("verdicts.rows",), parts.side),
    "start": Part("How long commands take to begin", "avjury bench start", "start", ("commands",), parts.start),
}  # fmt: skip


def load(files: Mapping[str, str | None] | None = None, folder: Path = RESULTS) -> dict[str, dict[str, Any] | None]:
    """The record of each part: the newest, or the named one.

    Args:
        files: by part, the name of its record's file, or None where there is none.
    """
    found: dict[str, dict[str, Any] | None] = {}
    for key, part in PARTS.items():
        try:
            if files is not None and files[key] is None:
                raise FileNotFoundError(key)
            found[key] = newest(part.name, *part.needs, folder=folder, file=None if files is None else files[key])
        except FileNotFoundError:
            found[key] = None
    return found


def wrapped(lines: Iterable[str]) -> Iterator[str]:
    """Lines of Markdown, with those of prose wrapped; tables and empty lines as they are."""
    for line in lines:
        if line.startswith("|") or not line:
            yield line
            continue
        bullet = line[: len(line) - len(line.lstrip(" -"))]
        yield from textwrap.wrap(
            " ".join(line.split()[bullet.count("-") :]), 118, initial_indent=bullet,
            subsequent_indent=" " * len(bullet), break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip


def page(records: Mapping[str, dict[str, Any] | None]) -> str:
    """docs/benchmarks.md."""
    lines = [
        "# What was measured",
        "",
        "Made by `avjury bench measured-page` from benchmarks/results, where each record has its command, machine,",
        "versions, commit and quantiles. Ratios are of sides that took turns in one run. Speed on a GPU: "
        "gpu.md. The same",
        "with plots: results.html. Streams per instance: capacity.md.",
        "",
        "Records:",
        "",
        *(f"- {key}: {'none' if record is None else record['file']}" for key, record in records.items()),
        "",
    ]
    for key, part in PARTS.items():
        record = records[key]
        lines += [f"## {part.title}: `{part.command}`", ""]
        lines += [f"Not recorded yet: `{part.command}`.", ""] if record is None else wrapped(part.write(record))
    lines += [
        "## Others",
        "",
        "- `avjury bench detectors`: what is found of planted defects, and false alarms: docs/detectors.md.",
        "- `avjury bench models`: the networks on held-out clips (`--network artifact|audio|sync`), with curves "
        "and what they got",
        "  wrong as pictures; `avjury bench network`: the artifact network on whole streams, `avjury bench "
        "whole-streams`:",
        "  where it looks at every picture whole; `avjury bench scaled-damage`: damage that was there before a scaler;",
        "  `avjury bench clean-hours`: what is told of hours of clean content (docs/network.md).",
        "- `avjury bench parity`: against FFmpeg (docs/parity.md); `bench sync`: how exactly offsets are "
        "found (docs/sync.md).",
        "- `avjury bench cpu-seconds`: two trees in turns, on a machine that is busy.",
        "",
        "Figures that others have published stand at the end of docs/results.html and docs/capacity.md; none was run",
        "here.",
    ]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    return write_page("measured-page", __doc__, PAGE, lambda folder: page(load(folder=folder)))


if __name__ == "__main__":
    raise SystemExit(main())
