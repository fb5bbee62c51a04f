"""Recorded results: the newest of a benchmark, and whether a record has all that its figures mean nothing without."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import FORM, RESULTS

# Until then records were written without the command, the samples and the form; some of them are still what is shown.
OLDER_FORM_UNTIL: Final = datetime.fromisoformat("2026-11-28T13:00:00+00:00")
ENVIRONMENT: Final[Mapping[str, tuple[type, ...]]] = {
    "at": (str,), "machine": (str,), "cpu": (str, type(None)), "cores": (int,), "load": (float, int), "python": (str,),
    "gpu": (str, type(None)), "commit": (str,), "changed": (bool,), "torch": (str,), "triton": (str, type(None)),
    "numpy": (str,), "numba": (str,), "av": (str,), "PyNvVideoCodec": (str, type(None)),
}  # fmt: skip
_QUANTILES: Final = ("p20", "p50", "p80")


def newest(name: str, *needs: str, folder: Path = RESULTS, file: str | None = None) -> dict[str, Any]:
    """The newest result of a benchmark that has some parts, or a named one, with its file's name as "file".

    Args:
        name: of the benchmark.
        needs: ways into its figures ("1080p.sustained.channels"); what is empty, zero, or recorded as failed is not
            there.
        folder: of the records.
        file: only this one.
    Raises: FileNotFoundError if there is none.
    """
    for path in sorted(folder.glob(f"{name}-2*.json"), reverse=True):
        if file in (None, path.name):
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if all(_has(record["figures"], way.split(".")) for way in needs):
                return {**record, "file": path.name}
    raise FileNotFoundError(f"no recorded result of {name} with {' and '.join(needs)}")


def _has(figures: Any, way: Sequence[str]) -> bool:
    for name in way:
        if not isinstance(figures, Mapping) or name not in figures or "failed" in figures:
            return False
        figures = figures[name]
    return bool(figures) and not (isinstance(figures, Mapping) and "failed" in figures)


def problems(path: Path) -> list[str]:
    """What is wrong with a record; nothing, if it is a good one.

    Args:
        path: of its file, which names the benchmark and the time.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
    except ValueError as problem:
        return [f"it is no JSON: {problem}"]
    if not isinstance(record, dict):
        return ["it is no mapping"]
    return [*_head(record, path), *_environment(record.get("environment")), *_figures(record)]


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number of JSON")


def _head(record: Mapping[str, Any], path: Path) -> Iterator[str]:
    name = re.fullmatch(r"(.+?)-(\d{8}T\d{6})(-\d+)?", path.stem)
    if name is None:
        yield "its file is not named BENCHMARK-YYYYMMDDTHHMMSS.json"
    # A run of other options than usual may have a word of its own behind the benchmark's name.
    elif name[1] != record.get("benchmark") and not name[1].startswith(f"{record.get('benchmark')}_"):
        yield f"its benchmark is {record.get('benchmark')!r}, and its file's {name[1]!r}"
    if record.get("form", 1) == 1:
        at = _time(record.get("environment"))
        if at is None or at >= OLDER_FORM_UNTIL:
            yield f"it is of the older form and not from before {OLDER_FORM_UNTIL.isoformat()}"
        return
    if record["form"] != FORM:
        yield f"its form is {record['form']!r}; {FORM} is known"
    if not isinstance(record.get("command"), str) or not record["command"].strip():
        yield "it has no command"
    elif re.search(r"(^| |=)'?/\w", record["command"]) and record["command"].startswith("avjury"):
        yield "its command names a folder of one machine"
    if not isinstance(record.get("samples"), dict) or not record["samples"]:
        yield "it does not say what its figures are of (samples)"


def _time(environment: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(environment["at"])
    except (KeyError, TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else None


def _environment(environment: Any) -> Iterator[str]:
    if not isinstance(environment, dict):
        yield "it has no environment"
        return
    for name, kinds in ENVIRONMENT.items():
        value = environment.get(name, ...)
        if value is ... or not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            yield f"environment: {name} is {'missing' if value is ... else repr(value)}"
    if _time(environment) is None:
        yield "environment: at is no time with an offset"
    commit = environment.get("commit")
    if isinstance(commit, str) and not re.fullmatch(r"[0-9a-f]{40}", commit):
        yield f"environment: commit is {commit!r}"


def _figures(record: Mapping[str, Any]) -> Iterator[str]:
    figures = record.get("figures")
    if not isinstance(figures, dict) or not figures:
        yield "it has no figures"
        return
    for where, value in _leaves(figures, ""):
        if isinstance(value, float) and not math.isfinite(value):
            yield f"{where} is {value}"
        elif isinstance(value, Mapping):
            low, middle, high = (value[name] for name in _QUANTILES)
            if not low <= middle <= high:
                yield f"{where}: its quantiles do not rise"
            if record.get("form", 1) >= 2 and not (isinstance(value.get("n"), int) and value["n"] >= 1):
                yield f"{where}: it does not say of how many samples"


def _leaves(value: Any, where: str) -> Iterator[tuple[str, Any]]:
    """Numbers, texts, and mappings that are quantiles, each with the way to it."""
    if isinstance(value, Mapping):
        if all(name in value for name in _QUANTILES):
            yield where, value
        for name, inner in value.items():
            yield from _leaves(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{where}[{index}]")
    else:
        yield where, value
