"""docs/reliability.md: each fault, how it is injected, what is promised and what was measured.

`python -m benchmarks.reliability_page` writes it from records of `avjury bench reliability`, each row from the newest
one that ran it, and from the records of lost machines, of soaks, of damaged clips, of the fuzzer, of kills and of too
much load, whose course it draws.
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
# Of `avjury bench cluster-failures`, by scenario: what goes wrong, how, what is promised, and by which figures.
_MACHINES: Final[dict[str, tuple[str, str, str, dict[str, float]]]] = {
    "actor_killed": (
        "an engine's process dies", "kill -9", "verdicts again within 5 s", {"judged_again_seconds": 5.0},
    ),
    "node_lost": (
        "node loss", "kill -9 of all processes of a Ray node", "verdicts again within 15 s",
        {"judged_again_seconds": 15.0},
    ),
    "node_hangs": (
        "partition: a node hangs and comes back", "SIGSTOP of raylet and engine, SIGCONT after others took over",
        "the lease ends before others take over; verdicts again within 15 s", {"judged_again_seconds": 15.0},
    ),
    "engine_cut_off": (
        "partition: an engine without the database", "its connections are cut; it runs on",
        "what it judges meanwhile does not count; verdicts again within 15 s", {"judged_again_seconds": 15.0},
    ),
    "raylet_killed": ("a raylet dies", "kill -9 of the raylet alone", "its engine's streams go on", {}),
    "raylet_hangs": (
        "a raylet hangs", "SIGSTOP for 14 s", "nothing changes its owner", {"changes_of_owners_while_it_hung": 0},
    ),
    "coordinator_killed": (
        "loss of the coordinator", "kill -9", "nothing that runs is disturbed",
        {"changes_of_owners": 0, "longest_gap_seconds": 2.0},
    ),
    "head_restarted": (
        "loss of the head", "kill -9 of the GCS, started again after 9 s", "monitoring goes on",
        {"changes_of_owners": 0, "longest_gap_seconds": 2.0},
    ),
    "node_joins": ("a node joins", "Ray node started", "nothing else moves", {"longest_gap_seconds": 2.0}),
    "node_leaves": (
        "a node is drained and leaves", "`avjury cluster drain`", "no gap above 2 s",
        {"left": 0, "longest_gap_seconds": 2.0},
    ),
    "database_restarted": (
        "the database is away", "PostgreSQL stopped for 9 s", "everything is judged and kept",
        {"changes_of_owners": 0, "longest_gap_seconds": 2.0},
    ),
}  # fmt: skip
_SOAK_GOAL_HOURS: Final = 8.0
_SOAK_GOAL_MB_PER_HOUR: Final = 1.0
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
    yield from _machines(folder)
    yield from _soaks(folder)
    yield from _mutations(folder)
    yield from _fuzz(folder)
    yield from _kills(folder)
    yield from _overload(folder)


def _figures(folder: Path, name: str) -> dict[str, dict[str, Any]]:
    """The figures of every record of a benchmark, by the record's name, the oldest first."""
    paths = sorted(folder.glob(f"{name}-2*.json"))
    return {path.stem: json.loads(path.read_text(encoding="utf-8"))["figures"] for path in paths}


def _machines(folder: Path) -> Iterator[str]:
    yield "## Lost machines\n"
    yield (
        "`avjury bench cluster-failures` takes parts of a cluster of real Ray nodes and a real PostgreSQL away while "
        "channels are on the air. Each is shown from the newest record that has it.\n"
    )
    records = _figures(folder, "cluster_failures")
    newest = {
        scenario: (found, name)
        for name, said in records.items()
        for scenario, found in said.get("outcomes", {}).items()
    }
    if not newest:
        yield "No record has it."
        return
    yield "| fault | how injected | promised | measured | record |"
    yield "|---|---|---|---|---|"
    for scenario, (fault, injected, promised, limits) in _MACHINES.items():
        if scenario in newest:
            found, name = newest[scenario]
            over = [figure for figure, limit in limits.items() if found[figure] > limit]
            shown = "; ".join(f"{figure.replace('_', ' ')}: {found[figure]:g}" for figure in limits)
            holds = f"**does not hold** ({', '.join(over)})" if over else "holds"
            yield f"| {fault} | {injected} | {promised} | {'; '.join(filter(None, (holds, shown)))} | {name} |"
    yield ""
    for name, said in records.items():
        if name in {of for _, of in newest.values()}:
            yield (
                f"- Of {said['seconds_kept']:,} seconds {said['kept_twice']} were kept twice; of {said['incidents']} "
                f"incidents {said['lost']} were lost and {said['doubled']} doubled ({name})."
            )
    yield ""


def _soaks(folder: Path) -> Iterator[str]:
    yield "## Soaks\n"
    yield (
        "`avjury bench service --soak-seconds` has healthy channels, each black for 3 s out of 20, judged among "
        "sources that refuse, are not there, are no media, send garbage, fall silent, come and go, are corrupt "
        "or end at once. "
        f"The goal is {_SOAK_GOAL_HOURS:g} hours in which the service grows by {_SOAK_GOAL_MB_PER_HOUR:g} MB an hour "
        "at most.\n"
    )
    records = {name: said["soak"] for name, said in _figures(folder, "service").items() if "soak" in said}
    if not records:
        yield "No record has it."
        return
    yield (
        "| record | minutes | healthy, faulty sources | MB an hour, handles, threads in the second half | zombies | "
        "healthy ones running at the worst moment | least share of pictures judged | "
        "black pictures found, sent about | load of the machine |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, of in records.items():
        rows = of["rows"]
        half = rows[len(rows) // 2 :]
        hours = (half[-1]["minutes"] - half[0]["minutes"]) / 60.0
        grown = [
            of.get(f"{kind}_per_hour_second_half", (half[-1][kind] - half[0][kind]) / hours)
            for kind in ("handles", "threads")
        ]
        cells = [
            name, f"{of['seconds'] / 60:.0f}", f"{of['healthy']}, {len(of['faulty'])}",
            f"{of['mb_per_hour_second_half']:+g}, {grown[0]:+.1f}, {grown[1]:+.1f}",
            f"{of['most_zombies']:g}" if "most_zombies" in of else "not counted",
            f"{of['least_healthy_running']} of {of['healthy']}", f"{of['least_judged_share']:.1%}",
            f"{of['black_found']}, {of['black_sent_about']}",
            f"{min(row['load'] for row in rows):.0f} to {max(row['load'] for row in rows):.0f}",
        ]  # fmt: skip
        yield f"| {' | '.join(cells)} |"
    hours = sum(of["seconds"] for of in records.values()) / 3600.0
    longest = max(of["seconds"] for of in records.values()) / 60.0
    latest = list(records.values())[-1]
    met = latest["mb_per_hour_second_half"] <= _SOAK_GOAL_MB_PER_HOUR
    yield ""
    yield (
        f"- {hours:.1f} hours in all, the longest {longest:.0f} minutes: no run of {_SOAK_GOAL_HOURS:g} hours was made."
        if longest < 60.0 * _SOAK_GOAL_HOURS
        else f"- {hours:.1f} hours in all, the longest {longest / 60.0:.1f}."
    )
    yield (
        f"- Growth in the newest: {latest['mb_per_hour_second_half']:g} MB an hour in its second half, "
        f"{'within' if met else 'above'} the goal"
        + ("." if met else "; so short a run does not tell what fills up from what grows.")
    )
    yield ""


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
