"""`avjury bench detectors-page`: docs/detectors.md, from the declarations and the newest `bench detectors`."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS
from engine.detectors import DETECTORS, Detector

PAGE = Path(__file__).parent.parent / "docs" / "detectors.md"
AREAS = {"video": "Picture", "audio": "Sound", "stream": "Transport and container"}
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


def measured(name: str, figures: Mapping[str, Any]) -> str:
    """What was found of the defects planted for a detector, and its false alarms, in a sentence each."""
    planted, found = 0, 0
    errors: list[float] = []
    for part in ("picture", "sound"):
        for counted in figures.get(part, {}).values():
            if counted["detector"] == name:
                planted, found = planted + counted["planted"], found + counted["found"]
                if counted["onset_error_seconds"]:
                    errors.append(counted["onset_error_seconds"]["p50"])
    words = []
    if planted:
        words.append(f"found {found} of {planted} planted")
        if errors:
            words[-1] += f" (onset {max(errors, key=abs):+.2f} s in the middle)"
    clean = figures.get("clean")
    if clean is not None:
        alarms = len(clean["false_alarms"].get(name, ()))
        words.append(f"{alarms or 'no'} false alarm{'' if alarms == 1 else 's'} in {clean['hours'] * 60:.0f} min")
    return "; ".join(words)


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
            "notice, at random times in eight real clips each; `stream.*` is held by tests with planted faults instead",
            "(tests/engine/test_transport_stream.py). A false alarm is an incident on a clean clip that is not there.",
            "",
        ]
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
