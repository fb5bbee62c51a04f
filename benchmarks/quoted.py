"""Figures of speed and cost that pages quote, each held to the record that it is from.

A figure in a page that is written by hand has a mark behind it, which readers of the page do not see:

    takes 9 %<!-- record: network-20261128T073634 cost/360p/share x100 --> of the CPU time

The last number before the mark has to be that of the record, times what is behind "x" where there is one, rounded as it
is shown. A way into a record goes through keys and, in lists, through positions or the clip, size or name of an item. A
figure that follows from settings or from a rule is marked "reckoned:" with how.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.harness import RESULTS

_MARK: Final = re.compile(r"<!-- (record|reckoned): ([^<>]+?) -->")
_NUMBER: Final = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
# What tells of speed or cost; sizes and rates of streams, and limits that are set, do not.
_COST: Final = re.compile(
    r"""
    \d\s?(?:%|ms|s|seconds)\sof\s(?:the\s)?(?:CPU|processor|a\score|one\score)
    | CPU\s(?:time|seconds)\s(?:for|a|per)\s | \d\s(?:CPU\s(?:time|seconds)|cores\sper)\b
    | \$\sper\b | per\sstream-hour\b | \btimes\s(?:as\s)?(?:fast|faster|slower|cheap|cheaper)\b
    | \d\s(?:MB|GB)\s(?:per|for\seach|for\san?|while)\b | \bbytes\sa\srow\b
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Quoted:
    """A marked figure.

    Args:
        page: its file's name.
        line: where it stands, from 1.
        shown: the number as it is written.
        basis: what its mark says.
        recorded: from a record; else reckoned.
    """

    page: str
    line: int
    shown: str
    basis: str
    recorded: bool


def quoted(page: Path) -> Iterator[Quoted]:
    """The marked figures of a page.

    Raises: ValueError for a mark without a number before it.
    """
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        at = 0
        for mark in _MARK.finditer(line):
            found = _NUMBER.findall(line[at : mark.start()])
            if not found:
                raise ValueError(f"{page.name}, line {number}: no number stands before its mark")
            yield Quoted(page.name, number, found[-1], mark[2], mark[1] == "record")
            at = mark.end()


def problem(figure: Quoted, folder: Path = RESULTS) -> str | None:
    """What is wrong with a figure from a record; None where it is what the record says."""
    words = figure.basis.split()
    where = f"{figure.page}, line {figure.line}, {figure.shown}"
    if len(words) not in (2, 3) or (len(words) == 3 and not re.fullmatch(r"x\d+(\.\d+)?", words[2])):
        return f"{where}: a mark is a record, a way and maybe x and a number, not {figure.basis!r}"
    path = folder / f"{words[0]}.json"
    if not path.exists():
        return f"{where}: there is no record {words[0]}"
    try:
        value = follow(json.loads(path.read_text(encoding="utf-8"))["figures"], words[1].split("/"))
    except (LookupError, StopIteration, ValueError) as missing:
        return f"{where}: {words[0]} has no {words[1]} ({missing})"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{where}: {words[1]} is {value!r}, no number"
    value *= float(words[2][1:]) if len(words) == 3 else 1.0
    digits = len(figure.shown.partition(".")[2])
    told = f"{value:.{digits}f}"
    if (told if float(told) else told.lstrip("-")) != figure.shown.replace(",", ""):
        return f"{where}: the record says {value:.{digits + 2}f}"
    return None


def follow(figures: Any, way: Sequence[str]) -> Any:
    """Where a way into figures leads.

    Raises: LookupError where it leads nowhere.
    """
    for step in way:
        if isinstance(figures, Mapping):
            figures = figures[step]
        elif isinstance(figures, list) and step.lstrip("-").isdigit():
            figures = figures[int(step)]
        elif isinstance(figures, list):
            figures = next(one for one in figures if step in (one.get("clip"), one.get("size"), one.get("name")))
        else:
            raise LookupError(step)
    return figures


def unmarked(page: Path) -> list[str]:
    """Paragraphs of a page that tell of speed or cost with a number and have no mark.

    Blocks of code and tables of settings do not count: what is written there is what is set.
    """
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    found = []
    for paragraph in re.split(r"\n\s*\n|\n(?=- )", text):
        told = _COST.search(" ".join(paragraph.split()))
        if told is not None and re.search(r"\d", paragraph) and not _MARK.search(paragraph):
            found.append(f"{page.name}: {' '.join(paragraph.split())[:160]}")
    return found
