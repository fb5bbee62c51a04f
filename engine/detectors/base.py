"""What a detector declares. Nothing here loads torch: the service's processes read declarations too."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.errors import ConfigError
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

Unit = Literal["s", "ratio", "level", "dB", "dBTP", "LUFS", "LU", "count", "kbit/s", ""]

_DECIBELS = re.compile(r"\s*([-+]?[0-9.]+(?:e[-+]?\d+)?)\s*dB\s*", re.IGNORECASE)
_CLOCK = re.compile(r"\s*(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)\s*")
_SECONDS = re.compile(r"\s*([-+]?[0-9.]+(?:e[-+]?\d+)?)\s*(s|ms|us)\s*", re.IGNORECASE)
_SCALE = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One setting of a detector.

    Args:
        name: as users write it; FFmpeg's name where FFmpeg has the setting.
        default: in `unit`.
        unit: "s" seconds (also written "500ms" or "00:01:30"), "ratio" 0..1, "level" linear amplitude where 1.0 is
            full scale (also written "-60dB"), or the measure's own.
        minimum, maximum: allowed, both included.
        help: one line for the table of detectors.
    """

    name: str
    default: float
    unit: Unit
    minimum: float
    maximum: float
    help: str

    def parse(self, value: object, detector: str) -> float:
        """The value as a number in `unit`.

        Raises: ConfigError naming detector, parameter and what is allowed.
        """
        number = self._number(value)
        if number is None or not self.minimum <= number <= self.maximum:
            raise ConfigError(
                f"{detector}: wrong value for {self.name}",
                why=f"{value!r} is not {self.allowed()}",
                remedy=f"the default is {self.default:g}",
            )
        return number

    def allowed(self) -> str:
        """The allowed values in words."""
        unit = f" {self.unit}" if self.unit not in ("", "ratio", "level", "count") else ""
        bounds = f"a number from {self.minimum:g} to {self.maximum:g}{unit}"
        return bounds + {"level": ' (or decibels like "-60dB")', "s": ' (or like "500ms", "00:01:30")'}.get(
            self.unit, ""
        )

    def _number(self, value: object) -> float | None:
        if isinstance(value, bool):
            return None
        if isinstance(value, (int, float)):
            return None if math.isnan(value) else float(value)
        if not isinstance(value, str):
            return None
        try:
            if self.unit == "level" and (match := _DECIBELS.fullmatch(value)):
                return float(10.0 ** (float(match[1]) / 20.0))
            if self.unit == "s" and (match := _SECONDS.fullmatch(value)):
                return float(match[1]) * _SCALE[match[2].lower()]
            if self.unit == "s" and (match := _CLOCK.fullmatch(value)):
                return int(match[1] or 0) * 3600.0 + int(match[2]) * 60.0 + float(match[3])
            number = float(value)
        except (ValueError, OverflowError):
            return None
        return None if math.isnan(number) else number


@dataclass(frozen=True, slots=True)
class Rule:
    """When a detector opens and closes on one slot; see kernels/judge/op.py.

    Args:
        enter: a value at or past it is bad while the detector is ok or pending.
        exit: a value at or past it is bad while the detector is open or clearing; equal to `enter` or easier to reach.
        below: bad is at or below the threshold, else at or above it.
        set_seconds: how long it has to be bad before it opens.
        clear_seconds: how long it has to be good before it closes.
    """

    enter: float
    exit: float
    below: bool
    set_seconds: float
    clear_seconds: float

    def __post_init__(self) -> None:
        easier = self.exit >= self.enter if self.below else self.exit <= self.enter
        if not (easier and self.set_seconds >= 0 and self.clear_seconds >= 0):
            raise ConfigError(
                "not a rule",
                why=f"enter {self.enter:g}, exit {self.exit:g} ({'below' if self.below else 'above'} is bad), "
                f"set {self.set_seconds:g} s, clear {self.clear_seconds:g} s",
                remedy="a value that is bad enough to open must be bad enough to stay open, and no time is negative",
            )


@dataclass(frozen=True, slots=True)
class Detector:
    """One defect: which measure shows it, and from when on it is one.

    Args:
        name: "area.defect".
        track: which rows of measures it judges.
        column: the measure that it needs, which is also its score.
        severity: of its incidents.
        summary: one line of what it finds, and the source of its thresholds.
        viewer: what a viewer notices of it, the end of a sentence that begins with "A viewer".
        parameters: settings with their defaults.
        make_rule: the rule for a complete set of parameters.
        onset: how onset and end are found.
        samples: for OnsetRule.SAMPLES columns of the bad samples at the head and at the tail of a good block; for
            OnsetRule.PASSING of the samples from the block's start to onset and end.
        since: for OnsetRule.EARLIER the column of how many seconds before the row the change lay.
        closing_counts: the time up to the first good moment counts as bad (blackdetect, silencedetect).
        dominated_by: detectors of the same track that keep this one from opening.
        fills_seconds: for how long its measure has to hear a defect before it can pass a threshold; what is found is
            known as much later than the set duration at most.
        optional: it judges only where it is asked for by name or pattern.
    """

    name: str
    track: Literal["video", "audio", "stream"]
    column: str
    severity: Severity
    summary: str
    parameters: tuple[Parameter, ...]
    make_rule: Callable[[Mapping[str, float]], Rule] = field(repr=False)
    onset: OnsetRule = OnsetRule.INSTANT
    samples: tuple[str, str] | None = None
    since: str | None = None
    closing_counts: bool = False
    dominated_by: tuple[str, ...] = ()
    fills_seconds: float = 0.0
    optional: bool = False
    viewer: str = ""

    def __post_init__(self) -> None:
        named = re.fullmatch(r"[a-z]+\.[a-z][a-z0-9_]*", self.name)
        by_samples = self.onset in (OnsetRule.SAMPLES, OnsetRule.PASSING)
        dated = self.onset is OnsetRule.EARLIER
        if not named or by_samples != bool(self.samples) or dated != bool(self.since):
            raise ConfigError(
                "not a detector",
                why=f"name {self.name!r}, onset {self.onset.name}, samples {self.samples}, since {self.since}",
                remedy='a name is "area.defect"; `samples` goes with SAMPLES and PASSING, `since` with EARLIER',
            )

    def settle(self, given: Mapping[str, object] | None = None) -> dict[str, float]:
        """All parameters as numbers: those given, and the defaults of the others.

        Raises: ConfigError for an unknown name or a value that is not allowed.
        """
        known = {parameter.name: parameter for parameter in self.parameters}
        for name in given or {}:
            if name not in known:
                raise ConfigError(
                    f"{self.name} has no parameter {name!r}",
                    why=f"it has {', '.join(known) or 'none'}",
                    remedy="use one of these, or leave it out",
                )
        settled = {name: parameter.default for name, parameter in known.items()}
        settled.update({name: known[name].parse(value, self.name) for name, value in (given or {}).items()})
        return settled

    def rule(self, given: Mapping[str, object] | None = None) -> Rule:
        """The rule for these parameters; those left out have their defaults.

        Raises: ConfigError as `settle` does, and where the values contradict each other.
        """
        try:
            return self.make_rule(self.settle(given))
        except ConfigError as error:
            if error.what != "not a rule":
                raise
            raise ConfigError(f"{self.name}: {error.what}", why=error.why, remedy=error.remedy) from error
