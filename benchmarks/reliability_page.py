"""docs/reliability.md: each fault, how it is injected, what is promised and what was measured.

`python -m benchmarks.reliability_page` writes it from records of `avjury bench reliability`, each row from the newest
one that ran it, and from the records of damaged clips, of the fuzzer, of kills and of too much load, whose course it
draws.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import RESULTS, write_page
from benchmarks.overload_drill import PRIORITIES, course, drawn
from benchmarks.reliability_table import ROWS, Row

PAGE: Final = Path(__file__).parents[1] / "docs" / "reliability.md"
CHART: Final = PAGE.parent / "images" / "overload.svg"
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
    yield from _fuzz(folder)
    yield from _kills(folder)
    yield from _overload(folder)


def _figures(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The figures of every record of a benchmark, by the record's name, the oldest first."""
    paths = sorted(folder.glob(f"{name}-2*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["figures"] for path in paths}


def _mutations(folder: Path) -> Iterator[str]:
    yield "## Damaged clips\n"
    yield "`avjury bench mutations` damages clips by draws, and decodes and judges them in processes of their own.\n"
    records = _figures(folder, "mutations")
    if not records:
        yield "No record has it."
        return
    # A seed gives the same clips again.
    by_seed = {said["seed"]: (name, said) for name, said in records.items()}
    names, found = zip(*by_seed.values(), strict=True)
    decoded, judged = (sum(said[part] for said in found) for part in ("decoded", "judged"))
    seeds = f"{len(by_seed)} seeds" if len(by_seed) > 1 else "one seed"
    yield f"- {decoded:,} were decoded and {judged:,} judged, by {seeds} ({', '.join(names)})."
    died, hung, unexpected = (sum(len(said[part]) for said in found) for part in ("deaths", "hangs", "unexpected"))
    yield f"- Processes that died: {died}. Processes that hung: {hung}. Errors that are not ours: {unexpected}."
    for name, said in by_seed.values():
        if (grown := said["growth"]) is not None:
            after = f"{grown['end_mb']:g} MB {grown['clips_between']:,} clips later ({name})"
            yield f"- Memory of the process that decodes: {grown['middle_mb']:g} MB half way, {after}."
    yield ""


def _fuzz(folder: Path) -> Iterator[str]:
    yield "## Inputs that grow\n"
    yield (
        "`avjury bench fuzz` (`make fuzz`) feeds each reader with inputs, which it changes and keeps by the branches "
        "that they reach. Each is shown from the newest record that has it.\n"
    )
    records = _figures(folder, "fuzz")
    if not records:
        yield "No record has it."
        return
    newest = {target: (of, name) for name, said in records.items() for target, of in said["by_target"].items()}
    yield "| reads | inputs | branches at first | branches at last | mistakes | record |"
    yield "|---|---|---|---|---|---|"
    for of, name in newest.values():
        cells = [of["about"], f"{of['inputs_fed']:,}", of["branches_at_first"], of["branches"], len(of["mistakes"])]
        yield f"| {' | '.join(map(str, cells))} | {name} |"
    yield ""


def _kills(folder: Path) -> Iterator[str]:
    yield "## Killed\n"
    yield "`avjury bench kills` kills the service at random moments and at chosen writes, while channels are judged.\n"
    records = _figures(folder, "kills")
    if not records:
        yield "No record has it."
        return
    yield "| record | kills | at chosen writes | incidents | lost | doubled | s until ready (median) | problems |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, said in records.items():
        cells = [name, said["kills"], said.get("kills_at_chosen_writes", 0), said["incidents"], said["lost"]]
        problems = "; ".join(said.get("problems", ())) or "none"
        cells += [said["doubled"], f"{said['seconds_to_ready']['p50']:.0f}", problems]
        yield f"| {' | '.join(map(str, cells))} |"
    yield ""


def _overload(folder: Path) -> Iterator[str]:
    yield "## Too much to do\n"
    yield (
        "`avjury bench overload-drill` starts the service with three times as many channels as the machine sustains, "
        "and looks at them each second. What is given up, and in what order, is in processes.md.\n"
    )
    records = _figures(folder, "overload_drill")
    if not records:
        yield "No record has it."
        return
    name, said = list(records.items())[-1]
    went = course(said["rows"])
    fewer, shed, kept = went["first_fewer_pictures"], went["first_shed"], went["kept"]
    gone = ", ".join(
        f"{priority} priority {'never' if shed[priority] is None else f'from {shed[priority]:.0f} s on'}"
        for priority in PRIORITIES
    )
    yield f"- {said['channels']} channels, a third of them of each priority ({name})."
    yield f"- Fewer pictures: {'never' if fewer is None else f'from {fewer:.0f} s on'}. Shed: {gone}."
    yield (
        "- Kept at the end: " + ", ".join(f"{kept[priority]:g} of {priority} priority" for priority in PRIORITIES) + "."
    )
    yield f"- Verdicts of what is kept were at most {went['lag_seconds_at_the_end']:.2f} s late."
    if "of_what_is_sustained" in said:
        yield (
            f"- {said['pictures_a_second_at_the_end']:.0f} pictures a second were judged at the end: "
            f"{said['of_what_is_sustained']:.0%} of those of the channels that the machine sustains."
        )
    yield f"\n![What is judged under three times the load](images/{CHART.name})"
    yield ""


def page(folder: Path) -> str:
    """The page."""
    return "\n".join(_lines(folder)).rstrip() + "\n"


def main() -> int:
    """Write it, and the chart of the newest course under load."""
    for said in list(_figures(RESULTS, "overload_drill").values())[-1:]:
        CHART.write_text(drawn(said["rows"]) + "\n", encoding="utf-8")
    return write_page("reliability-page", __doc__, PAGE, page)


if __name__ == "__main__":
    raise SystemExit(main())
