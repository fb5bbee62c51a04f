"""`avjury bench parity`: how near avjury's measures come to those of FFmpeg's filters, quantity by quantity.

It writes a result and docs/parity-table.md. docs/parity.md says where the two are meant to differ.
"""

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, write_result

PAGE = Path(__file__).parent.parent / "docs" / "parity-table.md"


@dataclass(frozen=True, slots=True)
class Compared:
    """One quantity that both measure.

    Args:
        filter: of FFmpeg.
        quantity: as FFmpeg calls it.
        measure: ours.
        unit: what `worst` is.
        worst: the largest difference found.
        tolerance: the largest difference that is held.
        values: how many pairs were compared.
    """

    filter: str
    quantity: str
    measure: str
    unit: str
    worst: float
    tolerance: float
    values: int

    @property
    def held(self) -> bool:
        """Whether the tolerance is kept, of something that was compared."""
        return bool(self.values > 0 and math.isfinite(self.worst) and self.worst <= self.tolerance)


Comparison = Callable[[Path], Iterator[Compared]]


def comparisons() -> dict[str, tuple[Comparison, bool]]:
    """By name: what compares, and whether it wants the folder of real clips rather than the whole media folder."""
    from benchmarks import parity_pictures, parity_sound

    found: dict[str, tuple[Comparison, bool]] = {}
    for part, real in ((parity_pictures.COMPARISONS, True), (parity_sound.COMPARISONS, False)):
        found |= {work.__name__: (work, real) for work in part}
    return found


def compare(name: str, media: Path) -> list[Compared]:
    """Run one comparison over the clips of a media folder."""
    work, real = comparisons()[name]
    return list(work(media / "real_av" if real else media))


def table(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """The lines of a Markdown table."""
    yield "| FFmpeg | quantity | avjury | found | held | values | |"
    yield "|---|---|---|---|---|---|---|"
    for one in found:
        mark = "yes" if one["held"] else "**no**"
        yield (
            f"| `{one['filter']}` | {one['quantity']} | `{one['measure']}` | {one['unit']}: {one['worst']:.3g} "
            f"| {one['tolerance']:.3g} | {one['values']} | {mark} |"
        )


def page(record: Mapping[str, Any]) -> str:
    """docs/parity-table.md.

    Args:
        record: of a result of this benchmark, with its file's name under "file".
    """
    figures, environment = record["figures"], record["environment"]
    return "\n".join(
        [
            "# Parity with FFmpeg, measured",
            "",
            f"Made by `avjury bench parity` from {record['file']}. docs/parity.md explains where the two are",
            "meant to differ. tests/parity makes the same comparisons with the same tolerances.",
            "",
            f"Compared with {figures['ffmpeg'].partition(' Copyright')[0]}, by PyAV {environment['av']}.",
            "*Found* is the largest difference in the run, *held* the largest that is allowed, *values* how many pairs",
            "were compared: pictures, blocks of 100 ms, starts with their ends, or clips.",
            "",
            *table(figures["compared"]),
            "",
        ]
    )


def main() -> None:
    """Run it; see the module's docstring."""
    from benchmarks import ffmpeg_filters

    parser = argparse.ArgumentParser(prog="avjury bench parity", description=__doc__)
    parser.add_argument("--media", type=Path, required=True, help="folder of clips, with a folder real_av")
    parser.add_argument("--only", choices=sorted(comparisons()), action="append", help="one filter; may be given again")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result goes")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the table goes")
    options = parser.parse_args()
    found: list[dict[str, Any]] = []
    for name in comparisons():
        if options.only and name not in options.only:
            continue
        for one in compare(name, options.media):
            # numpy's numbers are not JSON's.
            found.append({**asdict(one), "worst": float(one.worst), "held": one.held})
            print(found[-1], file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
    figures = {"ffmpeg": ffmpeg_filters.version(), "compared": found}
    path = write_result("parity", figures, options.results)
    import json

    record = {**json.loads(path.read_text(encoding="utf-8")), "file": path.name}
    if not options.only:
        options.page.write_text(page(record), encoding="utf-8")
    print("\n".join(table(found)))  # noqa: T201 - the command's output
    print(path, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
