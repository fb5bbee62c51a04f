"""`avjury selftest`: makes the cases, judges them like any other input, and tells what was found and when.

Run by: the user's main thread.
"""

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

from engine.certainty import recall_at_least
from engine.detectors import all_detectors
from engine.errors import ConfigError
from engine.exit_codes import CLEAN, INCIDENTS
from engine.pipeline import check
from engine.selftest.cases import Case, Material, cases
from engine.spec import EngineSettings, StreamSpec
from engine.verdicts import Incident
from models.synthesis.planted import Planted

# An incident that ends or begins so near to the planted time is of it.
SLACK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a case.

    Args:
        name: what was planted.
        detector: that had to find it; "" where nothing was planted.
        start, end: media seconds; None where nothing was planted.
        found: the detector raised an incident of it; where nothing was planted, whether nothing was raised.
        detect_seconds: media time from the planted start until it was known; None where it was missed.
        set_seconds: how long the detector waits before it tells, as it is set.
        besides: other detectors that told something.
    """

    name: str
    detector: str
    start: float | None
    end: float | None
    found: bool
    detect_seconds: float | None
    set_seconds: float | None
    besides: tuple[str, ...]


def result_of(case: Case, planted: Planted | None, incidents: Sequence[Incident]) -> Result:
    """Compare what was planted with what was found.

    Args:
        case: what it was.
        planted: what its clip says is in it.
        incidents: of the clip, without those of a track that it does not have.
    """
    if planted is None:
        told = sorted({incident.detector for incident in incidents})
        return Result(case.name, "", None, None, not told, None, None, tuple(told))
    hits = [i for i in incidents if i.detector == planted.detector and overlaps(i, planted)]
    known = [i.decided_at - planted.start for i in hits if i.decided_at is not None]
    declared = next(one for one in all_detectors() if one.name == planted.detector)
    return Result(
        case.name,
        planted.detector,
        planted.start,
        planted.end,
        bool(hits),
        round(min(known), 3) if known else None,
        declared.rule().set_seconds,
        tuple(sorted({i.detector for i in incidents} - {planted.detector})),
    )


def overlaps(incident: Incident, planted: Planted) -> bool:
    """Whether an incident is of the planted time."""
    end = incident.start if incident.end is None else incident.end
    return incident.start <= planted.end + SLACK_SECONDS and end >= planted.start - SLACK_SECONDS


def run_cases(
    chosen: Sequence[Case], folder: Path, device: str, say: Callable[[str], None] = lambda _: None
) -> list[Result]:
    """Make, judge, compare.

    Args:
        chosen: the cases.
        folder: their clips are written there, and stay.
        device: as for `avjury check`.
        say: told what is going on.
    Raises: ConfigError where the folder cannot be written to; DeviceError; SourceError, DecodeError where a clip that
        was made here cannot be judged.
    """
    material = Material()
    planted: list[Planted | None] = []
    paths: list[Path] = []
    say(f"making {len(chosen)} clips ...")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, case in enumerate(chosen):
            path = folder / f"{number:02d}-{''.join(c if c.isalnum() else '-' for c in case.name)}{case.suffix}"
            planted.append(case.write(material, path))
            paths.append(path)
    except OSError as error:
        raise ConfigError("cannot write the clips", stream=str(folder), why=error.strerror or str(error),
                          remedy="name another folder (--keep)") from error  # fmt: skip
    say("judging them ...")
    everything: dict[str, dict[str, object]] = {one.name: {} for one in all_detectors() if not one.optional}
    specs = [StreamSpec(id=path.name, url=str(path), detectors=everything) for path in paths]
    results = []
    for case, truth, outcome in zip(chosen, planted, check(specs, EngineSettings(device=device)), strict=True):
        if outcome.error is not None and outcome.summary is None:
            raise outcome.error
        # Most clips have one track; that the other is missing is no news.
        results.append(result_of(case, truth, [i for i in outcome.incidents if i.cause != "absent_track"]))
    return results


def untried(results: Sequence[Result]) -> list[str]:
    """Detectors that no case was for."""
    tried = {result.detector for result in results}
    return [one.name for one in all_detectors() if one.name not in tried and not one.optional]


def run_selftest(
    out: IO[str], *, full: bool, device: str, format: str, keep: Path | None, say: Callable[[str], None]
) -> int:
    """The command.

    Args:
        out: for the results.
        full: all cases; else a few of each kind.
        device: as for `avjury check`.
        format: "table", "jsonl" or "json".
        keep: where the clips stay; None throws them away.
        say: told what is going on.
    Returns: the exit code: 0 everything planted was found and nothing else was told of clean clips, else 1.
    """
    began = time.monotonic()
    chosen = [case for case in cases() if full or case.quick]
    if keep is not None:
        results = run_cases(chosen, keep, device, say)
    else:
        with tempfile.TemporaryDirectory(prefix="avjury-selftest-") as name:
            results = run_cases(chosen, Path(name), device, say)
    {"table": _table, "jsonl": _lines, "json": _array}[format](out, results)
    planted = [one for one in results if one.detector]
    found = sum(one.found for one in planted)
    false = [one for one in results if not one.detector and not one.found]
    say(
        f"{found} of {len(planted)} planted defects found"
        + (f"; with 95 % confidence at least {recall_at_least(found, len(planted)):.0%} of such" if planted else "")
        + (f"; told of clean clips: {', '.join(sorted({d for one in false for d in one.besides}))}" if false else "")
        + f"; took {time.monotonic() - began:.0f} s"
    )
    left = untried(results)
    say(f"not tried{'' if full else ' (--full tries more)'}: {', '.join(left)}")
    return CLEAN if all(one.found for one in results) else INCIDENTS


def record(result: Result) -> dict[str, Any]:
    """A result as one JSON object."""
    return {"type": "selftest", **asdict(result), "besides": list(result.besides)}


def _lines(out: IO[str], results: Sequence[Result]) -> None:
    for result in results:
        out.write(json.dumps(record(result)) + "\n")


def _array(out: IO[str], results: Sequence[Result]) -> None:
    out.write(json.dumps([record(result) for result in results], indent=2) + "\n")


def _table(out: IO[str], results: Sequence[Result]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("planted", "detector", "verdict"):
        table.add_column(name, no_wrap=True)
    for name in ("known after", "of which set"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("told besides")
    for one in results:
        verdict = "[green]found[/green]" if one.found else "[bold red]MISSED[/bold red]"
        if not one.detector:
            verdict = "[green]clean[/green]" if one.found else "[bold red]FALSE[/bold red]"
        table.add_row(
            one.name,
            one.detector or "-",
            verdict,
            "-" if one.detect_seconds is None else f"{one.detect_seconds:.2f} s",
            "-" if one.set_seconds is None else f"{one.set_seconds:.2f} s",
            ", ".join(one.besides),
        )
    Console(file=out, highlight=False, width=None if out.isatty() else 120).print(table)
