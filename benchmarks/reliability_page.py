"""docs/reliability.md: each fault, how it is injected, what is promised and what was measured.

`python -m benchmarks.reliability_page` writes it from records of `avjury bench reliability`, each row from the newest
one that ran it, and from the newest record of the damaged clips.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import write_page
from benchmarks.reliability_table import ROWS, Row

PAGE: Final = Path(__file__).parents[1] / "docs" / "reliability.md"
_PARTS: Final = {"faults": "Faults", "bad inputs": "Bad inputs", "security": "Security"}
_INTRODUCTION: Final = """# What must not break

Each fault is injected by tests into real processes, sockets and files. `make chaos` runs all of them in a random order
with a printed seed, within an hour, and writes a record (`avjury bench reliability`); `make test` runs the quick ones.
The table is benchmarks/reliability_table.py, the kit is tests/faults. A row holds where its tests passed and its
figures kept to the row's limits on the machine of its record; "not run" says that no record has it.
"""


def _latest(folder: Path) -> dict[str, tuple[dict[str, Any], str]]:
    """By fault, what its newest run said, and the record's name."""
    found: dict[str, tuple[dict[str, Any], str]] = {}
    for path in sorted(folder.glob("reliability-2*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        if not record["figures"]["fast"]:
            for fault, said in record["figures"]["by_fault"].items():
                found[fault] = (said, path.stem)
    return found


def _measured(row: Row, said: dict[str, Any]) -> str:
    """What a run says of a row, in a cell."""
    if not said["holds"]:
        return f"**does not hold**: {said['why'][:300]}"
    shown = [f"{said['passed']} tests" + (f", {said['skipped']} skipped" if said["skipped"] else "")]
    for name, values in said["figures"].items():
        if name in row.most or name in row.least:
            shown.append(f"{name}: {max(values) if name in row.most else min(values):g}")
    return "holds; " + "; ".join(shown)


def _lines(folder: Path) -> Iterator[str]:
    yield _INTRODUCTION
    latest = _latest(folder)
    for part, title in _PARTS.items():
        yield f"## {title}\n"
        yield "| fault | how injected | promised | measured | record |"
        yield "|---|---|---|---|---|"
        for row in ROWS:
            if row.part == part:
                said, name = latest.get(row.fault, (None, ""))
                measured = "not run" if said is None else _measured(row, said)
                cells = (row.fault, row.injected, row.promised, measured, name)
                yield (
                    "| "
                    + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ") for cell in cells)
                    + " |"
                )
        yield ""
    yield from _mutations(folder)


def _mutations(folder: Path) -> Iterator[str]:
    yield "## Damaged clips\n"
    yield "`avjury bench mutations` damages clips by draws, and decodes and judges them in processes of their own.\n"
    path = next(iter(sorted(folder.glob("mutations-2*.json"), reverse=True)), None)
    if path is None:
        yield "No record has it."
        return
    said = json.loads(path.read_text(encoding="utf-8"))["figures"]
    grown = said["growth"]
    yield f"- {said['decoded']:,} were decoded and {said['judged']:,} judged, of {said['clips']} clips ({path.stem})."
    died, hung, unexpected = (len(said[name]) for name in ("deaths", "hangs", "unexpected"))
    yield f"- Processes that died: {died}. Processes that hung: {hung}. Errors that are not ours: {unexpected}."
    if grown is not None:
        between = f"{grown['middle_mb']:g} MB half way, {grown['end_mb']:g} MB {grown['clips_between']:,} clips later"
        yield f"- Memory of the process that decodes: {between}."


def page(folder: Path) -> str:
    """The page."""
    return "\n".join(_lines(folder)).rstrip() + "\n"


def main() -> int:
    """Write it."""
    return write_page("reliability-page", __doc__, PAGE, page)


if __name__ == "__main__":
    raise SystemExit(main())
