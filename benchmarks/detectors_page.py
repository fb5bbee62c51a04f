"""`avjury bench detectors-page`: docs/detectors.md, from the declarations and the newest `bench detectors`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from benchmarks.tallies import (
    GOAL_FALSE_PER_HOUR,
    GOAL_LATE_FRAMES,
    GOAL_RECALL,
    false_per_hour_at_most,
    precision,
)
from engine.detectors import DETECTORS, Detector

PAGE = Path(__file__).parent.parent / "docs" / "detectors.md"
PARTS = ("picture", "damage", "sound", "transport")
AREAS = {"video": "Picture", "audio": "Sound", "av": "Sound against picture", "stream": "Transport and container"}
HEAD = """# Detectors

Made by `avjury bench detectors-page` from the declarations in engine/detectors and from a result of
`avjury bench detectors`; edit those. `avjury detectors` prints the same table; `--detectors 'video.*,-video.bars'`
chooses.

A detector compares one measure with a threshold. It opens an incident when the measure was bad for its duration, and
closes it at the first good moment after which it stayed good. While a master of a detector holds, the detector itself
does not open: black is not also frozen, a lost channel is not also out of balance.
"""


def newest(name: str = "detectors", folder: Path = RESULTS) -> dict[str, Any] | None:
    """The newest recorded result of a benchmark; None where there is none."""
    found = sorted(folder.glob(f"{name}-2*.json"))
    record: dict[str, Any] | None = json.loads(found[-1].read_text(encoding="utf-8")) if found else None
    return None if record is None else {**record, "file": found[-1].name}


def _of(name: str, figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What was planted for a detector: by what means, and what became of it."""
    parts = (figures.get(part, {}) for part in PARTS)
    return [(what, counted) for part in parts for what, counted in part.items() if counted["detector"] == name]


def _clean(figures: Mapping[str, Any]) -> tuple[dict[str, int], float] | None:
    """False alarms by detector, and the hours of clean content, as it is and coded otherwise; None if not judged."""
    parts = [figures[part] for part in ("clean", "variants") if part in figures]
    if not parts:
        return None
    alarms: dict[str, int] = {}
    for part in parts:
        for name, places in part["false_alarms"].items():
            alarms[name] = alarms.get(name, 0) + len(places)
    return alarms, sum(part["hours"] for part in parts)


def measured(name: str, figures: Mapping[str, Any]) -> str:
    """What was found of the defects planted for a detector, and its false alarms, in a clause each."""
    words = []
    for what, counted in _of(name, figures):
        planted, found = counted["planted"], counted["found"]
        named = "" if name.endswith(what.replace(" ", "_")) or what == name else f"{what}: "
        if not planted:
            words.append(f"{named}none planted, no clip has room for it")
            continue
        clause = f"{named}found {found} of {planted} planted"
        if counted["onset_error_seconds"]:
            clause += f" (onset {counted['onset_error_seconds']['p50']:+.2f} s in the middle"
            if counted.get("detection_seconds"):
                clause += (
                    f", known after {counted['detection_seconds']['p50']:.2f} s, {counted['known_in_time']} in time"
                )
            clause += ")"
        words.append(clause)
    clean = _clean(figures)
    if clean is not None:
        alarms, hours = clean[0].get(name, 0), clean[1]
        if words and any(counted["planted"] for _, counted in _of(name, figures)):
            right, told = precision(name, [figures.get(part, {}) for part in PARTS], alarms)
            words.append(f"{right} of {told} incidents were of its defect")
        bound = false_per_hour_at_most(alarms, hours)
        words.append(
            f"{alarms or 'no'} false alarm{'' if alarms == 1 else 's'} in {hours * 60:.0f} min "
            f"(so at most {bound:.1f} an hour, with 95 % confidence)"
        )
    return "; ".join(words)


def missed_goals(detectors: Sequence[Detector], figures: Mapping[str, Any]) -> Iterator[str]:
    """A table of the detectors that do not reach their goals; nothing where all do."""
    rows = []
    clean = _clean(figures)
    for declared in detectors:
        for what, counted in _of(declared.name, figures):
            planted, found = counted["planted"], counted["found"]
            if planted and found / planted < GOAL_RECALL:
                where = ", ".join(place.partition(" at ")[0] for place in counted["missed"])
                rows.append(f"| `{declared.name}` | {what}: recall {found / planted:.2f} | missed in {where} |")
            if counted.get("late_frames") and counted["known_in_time"] < found:
                late = counted["late_frames"]["p50"]
                rows.append(
                    f"| `{declared.name}` | {what}: known in time {counted['known_in_time']} of {found} "
                    f"| {late:+.0f} pictures after the set duration in the middle |"
                )
        alarms = 0 if clean is None else clean[0].get(declared.name, 0)
        if alarms and clean is not None:
            told = f"{alarms} false alarm{'s' * (alarms != 1)}"
            rows.append(f"| `{declared.name}` | {told} | in {clean[1] * 60:.0f} min of clean content |")
    if rows:
        yield "## What does not reach its goal"
        yield ""
        yield f"Goals: recall of {GOAL_RECALL:g} at a strength that viewers notice; known {GOAL_LATE_FRAMES:g} pictures"
        yield f"after the set duration at the latest; {GOAL_FALSE_PER_HOUR:g} false alarms an hour of clean content."
        yield ""
        yield "| detector | goal | |"
        yield "|---|---|---|"
        yield from rows
        yield ""


def section(declared: Detector, figures: Mapping[str, Any]) -> Iterator[str]:
    """The lines on one detector."""
    yield f"### `{declared.name}`"
    yield ""
    yield declared.summary
    yield ""
    masters = ", ".join(f"`{name}`" for name in declared.dominated_by)
    line = f"Severity {declared.severity}; judges `{declared.column}`"
    yield line + (f"; silent while {masters} hold{'s' if len(declared.dominated_by) == 1 else ''}." if masters else ".")
    if declared.optional:
        yield "Optional: judges only where it is asked for by name or pattern."
    told = measured(declared.name, figures)
    if told:
        yield f"Measured: {told}."
    yield ""
    if declared.parameters:
        yield "| parameter | default | allowed | what it is |"
        yield "|---|---|---|---|"
        for p in declared.parameters:
            unit = f" {p.unit}" if p.unit not in ("", "ratio", "level", "count") else ""
            yield f"| `{p.name}` | {p.default:g}{unit} | {p.minimum:g} to {p.maximum:g} | {p.help} |"
        yield ""


def dominance(detectors: Sequence[Detector]) -> Iterator[str]:
    """The graph of who speaks for whom, as Mermaid draws it."""
    yield "```mermaid"
    yield "graph LR"
    for declared in detectors:
        for master in declared.dominated_by:
            yield f"  {master} --> {declared.name}"
    yield "```"


def page(detectors: Sequence[Detector], result: Mapping[str, Any] | None) -> str:
    """The whole page.

    Args:
        detectors: in the order in which they are shown.
        result: a record of `bench detectors`.
    """
    figures = result["figures"] if result is not None else {}
    lines = [HEAD]
    if result is not None:
        lines += [
            f"Figures: {result['file']}, every detector at its defaults. Planted defects have a strength that viewers",
            "notice, at random times in real clips that have room for them (models/synthesis/visible.py). In time is",
            "two pictures after the set duration, for sound two blocks of 100 ms. A false alarm is an incident on a",
            "clean clip, as it is or coded otherwise, that is not there.",
            "",
        ]
        picture = (RESULTS / result["file"]).with_suffix(".svg")
        if picture.exists():
            lines += [f"![Found, and when it was known](../benchmarks/results/{picture.name})", ""]
        lines += missed_goals(detectors, figures)
    for area, title in AREAS.items():
        lines += [f"## {title}", ""]
        for declared in detectors:
            if declared.name.startswith(area + "."):
                lines += section(declared, figures)
    lines += ["## Who speaks for whom", "", *dominance(detectors)]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(DETECTORS, newest()), encoding="utf-8")
    print(PAGE)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
