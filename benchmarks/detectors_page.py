"""`avjury bench detectors-page`: docs/detectors.md with its chart, from the declarations and recorded results."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.detectors_chart import chart
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
# Below this a difference of two runs is their noise.
LEAST_MS = 0.005
# Of these `--defects` chooses.
SELECTED = ("picture", "damage")
CLEAN = ("clean", "variants", "made")
RECORDED = (*PARTS, *CLEAN)
# Detectors that are younger than the first results that say which there were.
LATER = ("audio.surround_imbalance", "audio.channel_swap")
CHART = PAGE.parent / "images" / "detectors.svg"
AREAS = {"video": "Picture", "audio": "Sound", "av": "Sound against picture", "stream": "Transport and container"}
HEAD = """# Detectors

Made by `avjury bench detectors-page` from the declarations in engine/detectors and from a result of
`avjury bench detectors`; edit those. `avjury detectors` prints the same table; `--detectors 'video.*,-video.bars'`
chooses.

A detector compares one measure with a threshold. It opens an incident when the measure was bad for its duration, and
closes it at the first good moment after which it stayed good. While a master of a detector holds, the detector itself
does not open: black is not also frozen, a lost channel is not also out of balance.
"""

SILENT = (
    "Silence is not in the graph: while nothing sounds, what compares channels, levels or tones has no value, so that",
    "nobody has to be held back. A picture of which nothing is decoded has no value either, and is for the transport.",
)


def read_result(path: Path) -> dict[str, Any]:
    """A recorded result, with its file's name under "file"."""
    return {**json.loads(path.read_text(encoding="utf-8")), "file": path.name}


def newest(folder: Path = RESULTS) -> list[dict[str, Any]]:
    """The results of `bench detectors` that hold the newest figures of each part, oldest first; none where none are.

    What somebody's own clips showed is not of the clips that the page speaks of.
    """
    chosen: list[dict[str, Any]] = []
    missing = set(RECORDED)
    for path in sorted(folder.glob("detectors-2*.json"), reverse=True):
        record = read_result(path)
        held = missing & record["figures"].keys()
        if held and not record["figures"].get("own_clips"):
            chosen.insert(0, record)
            missing -= held - _in_part(record)
    return chosen


def _in_part(result: Mapping[str, Any]) -> set[str]:
    """The parts of which a result holds some of the defects only."""
    return set(SELECTED) if "only" in result["figures"] else set()


def together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One result's figures out of several: of each part, and of what is planted, the newest.

    "unknown" holds the detectors that did not exist when some of the clean content was judged.
    """
    figures: dict[str, Any] = {}
    since = [declared.name for declared in DETECTORS]
    known: dict[str, list[str]] = {}  # by part of the clean content
    for result in results:
        for part, value in result["figures"].items():
            if part in RECORDED:
                figures[part] = {**figures.get(part, {}), **value} if part in _in_part(result) else value
            if part in CLEAN:
                # Results that do not list them are older than these.
                known[part] = result["figures"].get("detectors", [name for name in since if name not in LATER])
    if known:
        figures["unknown"] = [name for name in since if any(name not in names for names in known.values())]
    return figures


def newest_costs(folder: Path = RESULTS) -> dict[str, Any] | None:
    """The newest result of `bench kernels-cpu`; None where there is none."""
    found = sorted(folder.glob("kernels-cpu-2*.json"))
    return read_result(found[-1]) if found else None


def cost(name: str, costs: Mapping[str, Any]) -> str:
    """What a detector takes of a core where it is the only one, in words; "" where that was not measured."""
    for track, what in (("video", "a picture of 1080p"), ("audio", "a second of stereo sound")):
        taken = costs["figures"]["detectors"][track].get(name)
        if taken is None:
            continue
        milliseconds = taken["p50"]
        if taken["p20"] <= 0 or milliseconds < LEAST_MS:
            return f"nothing that can be measured beside what every stream takes for {what}"
        return f"{milliseconds:.2f} ms for {what}"
    return ""


def _of(name: str, figures: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """What was planted for a detector: by what means, and what became of it."""
    parts = (figures.get(part, {}) for part in PARTS)
    return [(what, counted) for part in parts for what, counted in part.items() if counted["detector"] == name]


def _clean(figures: Mapping[str, Any]) -> tuple[dict[str, int], float] | None:
    """False alarms by detector, and the hours of clean content, as it is and coded otherwise; None if not judged."""
    parts = [figures[part] for part in CLEAN if part in figures]
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
    if clean is not None and name not in figures.get("unknown", ()):
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


# By what is planted: why it cannot be known with its first pictures, whoever looks (decisions 0048, 0122, 0131, 0142).
_LASTS: Final = "told after a fifth of a second, as effects are shorter"
_LASTING: Final = ("planes_swapped", "chroma_inverted", "negative", "row_smear", "column_smear")
_STUCK: Final = ("audio.stutter", "AAC, stutter", "AC-3, stutter", "Opus, stutter")
EVIDENCE: Final[Mapping[str, str]] = {
    "tearing": "evidence adds up over four pictures at least",
    "rolling": "told when it has come two rows of tiles, and two more",
    "combing": "late where nothing moves yet",
    **dict.fromkeys(_LASTING, _LASTS),
    **dict.fromkeys(_STUCK, "a single note is told after 2.5 s, as notes last"),
}


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
                why = f"; {EVIDENCE[what]}" if what in EVIDENCE else ""
                rows.append(
                    f"| `{declared.name}` | {what}: known in time {counted['known_in_time']} of {found} "
                    f"| {late:+.0f} pictures after the set duration in the middle{why} |"
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


def section(declared: Detector, figures: Mapping[str, Any], costs: Mapping[str, Any] | None) -> Iterator[str]:
    """The lines on one detector."""
    yield f"### `{declared.name}`"
    yield ""
    yield declared.summary
    if declared.viewer:
        yield f"A viewer {declared.viewer}"
    yield ""
    masters = ", ".join(f"`{name}`" for name in declared.dominated_by)
    line = f"Severity {declared.severity}; judges `{declared.column}`"
    yield line + (f"; silent while {masters} hold{'s' if len(declared.dominated_by) == 1 else ''}." if masters else ".")
    if declared.fills_seconds:
        yield f"Its measure takes up to {declared.fills_seconds:g} s to fill; the set duration is counted after that."
    if declared.optional:
        yield "Optional: judges only where it is asked for by name or pattern."
    told = measured(declared.name, figures)
    if told:
        yield f"Measured: {told}."
    elif figures:
        yield "Measured: not yet."
    if costs is not None and (taken := cost(declared.name, costs)):
        yield f"Takes alone: {taken}."
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


def page(
    detectors: Sequence[Detector], results: Sequence[Mapping[str, Any]], costs: Mapping[str, Any] | None = None
) -> str:
    """The whole page.

    Args:
        detectors: in the order in which they are shown.
        results: records of `bench detectors`, oldest first; of each part the newest counts.
        costs: a record of `bench kernels-cpu`.
    """
    figures = together(results)
    lines = [HEAD]
    if results:
        lines += [
            f"Figures: {', '.join(result['file'] for result in results)}; of each part the newest,",
            "every detector at its defaults. Planted defects have a strength that viewers notice, at random times in",
            "real clips that have room for them (visible.py, audible.py in models/synthesis, benchmarks/detectors.py).",
            "In time is two pictures after the set duration, for sound two blocks of 100 ms, counted from when what is",
            "planted is a defect by its definition: from the seventh transition of flashes, the third hiccup within",
            "two seconds, the end of a flash of colour (decision 0050). A false alarm is an incident that is not",
            "there, on a clean clip as it is or coded otherwise, or on one that benchmarks/made_content.py drew.",
            "",
        ]
        lines += [f"![Found, and when it was known](images/{CHART.name})", ""]
        if costs is not None:
            every = costs["figures"]["detectors"]
            lines += [
                f"Costs: {costs['file']}, one core of {costs['environment']['cpu']}, each detector alone, above what",
                f"every stream takes ({every['video']['every stream']['p50']:.2f} ms a picture, "
                f"{every['audio']['every stream']['p50']:.2f} ms a second of sound). Those that share a",
                f"kernel share its cost: all of them together take {every['video']['all detectors']['p50']:.2f} ms a "
                f"picture and {every['audio']['all detectors']['p50']:.2f} ms a second of sound",
                "more. A detector that nobody enabled costs nothing (tests/engine/test_measure_costs.py).",
                "",
            ]
        lines += missed_goals(detectors, figures)
    for area, title in AREAS.items():
        lines += [f"## {title}", ""]
        for declared in detectors:
            if declared.name.startswith(area + "."):
                lines += section(declared, figures, costs)
    lines += ["## Who speaks for whom", "", *dominance(detectors), "", *SILENT]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Write the page, and its chart."""
    argparse.ArgumentParser(prog="avjury bench detectors-page", description=__doc__).parse_args()
    CHART.write_text(chart(together(newest()), "detectors"), encoding="utf-8")
    PAGE.write_text(page(DETECTORS, newest(), newest_costs()), encoding="utf-8")
    print(PAGE)  # noqa: T201 - the command's output


if __name__ == "__main__":
    main()
