"""`avjury tune`: judges recordings that are known to be good, and proposes thresholds for a target of false alarms.

Every incident on such a recording is a false alarm. For each detector that tells more of them than the target allows,
the judge is run again over the measures that were taken, with parameters ever less sensitive; the first one from which
on the target is proven is proposed. It is then tried twice: on the recording that had the alarms, and on copies of the
recording into which the detector's defects were planted.

What is proven is what the exact upper limit of the rate allows (engine/certainty.py), not what was counted: no alarm in
two hours says no more than 36 a day. Where the recordings are too short for the target nothing is proposed.

Run by: the user's main thread.
"""

import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import yaml

from engine import config as configuration
from engine.certainty import CONFIDENCE, false_per_hour_at_most
from engine.configured import load_config
from engine.detectors import Detector, Rule, resolve
from engine.errors import AvjuryError, ConfigError
from engine.exit_codes import CLEAN, INCIDENTS, INPUT_FAILED
from engine.outcome import Trace
from engine.output import complain
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from engine.tune.planted import can_be_planted, found_of_planted, windows
from engine.tune.replay import Knob, alarms, first_allowed, knobs

HOURS_A_DAY: Final = 24.0
# Values of a measure that are kept of one recording, for its distribution.
_MOST_VALUES: Final = 20_000


@dataclass(slots=True)
class Finding:
    """What is known of one detector.

    Args:
        detector: its name.
        measure: that it judges.
        alarms: incidents on the recordings, as it is set.
        per_day_at_most: false alarms a day that are not ruled out, as it is set.
        verdict: "holds" the target is proven as it is set, "proposed" with the proposal, "unreachable" no parameter
            reaches it, "unproven" the recordings are too short, "not_replayable" its rule cannot be tried on measures.
        parameters: the proposal: what is to be set, and to what.
        proposed_alarms: incidents with it, by the judge run again.
        proposed_per_day_at_most: the same as a rate that is not ruled out.
        confirmed_alarms: incidents with it where the recordings with alarms were judged anew.
        distribution: of the measure over all recordings: p50, p99, p999, lowest and highest value.
        planted, found_now, found_proposed: defects planted into the recordings, and how many of them are found.
    """

    detector: str
    measure: str
    alarms: int = 0
    per_day_at_most: float = 0.0
    verdict: str = "holds"
    parameters: dict[str, float] = field(default_factory=dict)
    proposed_alarms: int | None = None
    proposed_per_day_at_most: float | None = None
    confirmed_alarms: int | None = None
    distribution: dict[str, float] = field(default_factory=dict)
    planted: int = 0
    found_now: int = 0
    found_proposed: int = 0


@dataclass(slots=True)
class _Counts:
    """Alarms of one detector over the recordings: as it is set, and at each step of each knob."""

    by_engine: int = 0
    by_replay: int = 0
    steps: dict[str, list[int]] = field(default_factory=dict)
    files: set[Path] = field(default_factory=set)


class Tuning:
    """The recordings judged, and what follows.

    Args:
        detectors: enabled ones, with the parameters that differ from their defaults.
        per_day: false alarms a day that each detector may have, per stream.
        device: as for `avjury check`.
        say: told what is going on.
    """

    def __init__(
        self, detectors: Mapping[str, Mapping[str, object]], per_day: float, device: str, say: Callable[[str], None]
    ) -> None:
        self._chosen = detectors
        self._per_day = per_day
        self._device = device
        self._say = say
        self._declared, self._parameters = resolve(detectors)
        self._rules: dict[str, Rule] = {d.name: d.rule(self._parameters[d.name]) for d in self._declared}
        self._knobs: dict[str, list[Knob]] = {d.name: knobs(d, self._parameters[d.name]) for d in self._declared}
        self._counts = {d.name: _Counts() for d in self._declared}
        self._values: dict[str, list[Any]] = {d.name: [] for d in self._declared}
        self.durations: dict[Path, float] = {}

    @property
    def hours(self) -> float:
        """Of the recordings."""
        return sum(self.durations.values()) / 3600

    def take(self, path: Path) -> None:
        """Judge a recording.

        Raises: SourceError, DecodeError where it cannot be read to its end.
        """
        settings = EngineSettings(device=self._device, trace=True)
        [outcome] = check([StreamSpec(str(path), str(path), self._chosen)], settings)
        if outcome.error is not None or outcome.summary is None:
            raise outcome.error or ConfigError(
                "cannot be judged", stream=str(path), why="it ended early", remedy="name another recording"
            )
        self.durations[path] = outcome.summary.duration
        # A recording that lacks a track says nothing about it.
        told = [incident for incident in outcome.incidents if incident.cause != "absent_track"]
        for declared in self._declared:
            counts = self._counts[declared.name]
            mine = sum(incident.detector == declared.name for incident in told)
            counts.by_engine += mine
            if mine:
                counts.files.add(path)
            trace = outcome.trace.get(declared.track)
            if trace is not None and declared.column in trace.columns:
                self._replay(declared, trace, counts, any_alarm=mine > 0)
                self._keep_values(declared, trace)

    def _replay(self, declared: Detector, trace: Trace, counts: _Counts, *, any_alarm: bool) -> None:
        others = {name: rule for name, rule in self._rules.items() if name != declared.name}
        # Where it is silent as it is set it is so at every step, which is less sensitive.
        counts.by_replay += alarms(trace, declared, self._rules[declared.name], others) if any_alarm else 0
        for knob in self._knobs[declared.name]:
            steps = counts.steps.setdefault(knob.parameter, [0] * len(knob.values))
            for index, value in enumerate(knob.values if any_alarm else ()):
                rule = declared.rule({**self._parameters[declared.name], knob.parameter: value})
                steps[index] += alarms(trace, declared, rule, others)

    def _keep_values(self, declared: Detector, trace: Trace) -> None:
        column = trace.values[:, trace.columns.index(declared.column)]
        column = column[np.isfinite(column)]
        step = max(1, len(column) // _MOST_VALUES)
        if len(column):
            self._values[declared.name].append(np.concatenate([column[::step], [column.min(), column.max()]]))

    def most_alarms(self) -> int | None:
        """So many alarms on these recordings still prove the target; None where not even none does."""
        count = -1
        while self.per_day_at_most(count + 1) <= self._per_day:
            count += 1
        return None if count < 0 else count

    def per_day_at_most(self, count: int) -> float:
        """False alarms a day that so many on these recordings do not rule out."""
        return HOURS_A_DAY * false_per_hour_at_most(count, self.hours)

    def hours_needed(self) -> float:
        """Of recordings without an alarm, for the target to be proven."""
        return HOURS_A_DAY * false_per_hour_at_most(0, 1.0) / self._per_day

    def findings(self, planted_windows: int) -> list[Finding]:
        """What follows for each detector.

        Args:
            planted_windows: pieces of the recordings into which a changed detector's defects are planted.
        """
        most = self.most_alarms()
        found = []
        for declared in self._declared:
            counts = self._counts[declared.name]
            finding = Finding(declared.name, declared.column, counts.by_engine)
            finding.per_day_at_most = self.per_day_at_most(counts.by_engine)
            finding.distribution = _distribution(self._values[declared.name])
            found.append(finding)
            if most is None:
                finding.verdict = "unproven"
            elif counts.by_engine > most:
                self._propose(declared, counts, finding, most)
        changed = [one for one in found if one.verdict == "proposed"]
        if changed:
            self._try(changed, planted_windows)
        return found

    def _propose(self, declared: Detector, counts: _Counts, finding: Finding, most: int) -> None:
        if counts.by_replay != counts.by_engine:
            finding.verdict = "not_replayable"
            return
        for knob in self._knobs[declared.name]:
            step = first_allowed(counts.steps[knob.parameter], most)
            if step is not None:
                finding.verdict = "proposed"
                finding.parameters = {knob.parameter: knob.values[step]}
                finding.proposed_alarms = counts.steps[knob.parameter][step]
                finding.proposed_per_day_at_most = self.per_day_at_most(finding.proposed_alarms)
                return
        finding.verdict = "unreachable"

    def _try(self, changed: Sequence[Finding], planted_windows: int) -> None:
        """Judge anew what had alarms, and what defects are planted into."""
        proposed = {name: dict(given) for name, given in self._chosen.items()}
        for one in changed:
            proposed[one.detector].update(one.parameters)
        files = sorted({path for one in changed for path in self._counts[one.detector].files})
        self._say(f"judging {len(files)} recordings again, with the proposals ...")
        again = [incident for path in files for incident in self._judged(path, proposed)]
        places = windows(self.durations, planted_windows)
        for one in changed:
            one.confirmed_alarms = sum(incident.detector == one.detector for incident in again)
            if can_be_planted(one.detector) and places:
                self._say(f"planting defects for {one.detector} ...")
                with tempfile.TemporaryDirectory(prefix="avjury-tune-") as name:
                    sets = {"now": self._chosen, "proposed": proposed}
                    one.planted, found = found_of_planted(one.detector, places, sets, Path(name), self._device)
                one.found_now, one.found_proposed = found["now"], found["proposed"]

    def _judged(self, path: Path, detectors: Mapping[str, Mapping[str, object]]) -> list[Any]:
        [outcome] = check([StreamSpec(str(path), str(path), detectors)], EngineSettings(device=self._device))
        return outcome.incidents


def _distribution(parts: Sequence[Any]) -> dict[str, float]:
    if not parts:
        return {}
    values = np.concatenate(parts)
    shown = dict(zip(("p50", "p99", "p999"), np.quantile(values, (0.5, 0.99, 0.999)).tolist(), strict=True))
    shown |= {"lowest": float(values.min()), "highest": float(values.max())}
    return {name: float(f"{value:.4g}") for name, value in shown.items()}


def run_tune(
    inputs: Sequence[str], out: IO[str], *, per_day: float, config: Path | None, profile: str | None,
    detectors: str | None, device: str | None, output: Path | None, format: str, planted: int,
    say: Callable[[str], None],
) -> int:  # fmt: skip
    """The command; see its help.

    Returns: the exit code: 0 the target is proven, with the proposals where there are any; 1 it is not, for some
        detector; 3 a recording could not be judged. The reasons are in the answer.
    """
    loaded, known = load_config(config)
    selection = [] if profile is None else [loaded.profile(profile)]
    if detectors is not None:
        selection.append(configuration.parse_selection(detectors, list(known)))
    chosen = configuration.select(list(known), [*loaded.tables(), *selection])
    paths = [Path(one) for one in dict.fromkeys(inputs)]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise ConfigError("no such recording", stream=str(missing[0]), why="tuning reads files",
                          remedy="record a stream first, then name the file")  # fmt: skip
    tuning = Tuning(chosen, per_day, device or loaded.engine.device, say)
    failed: list[AvjuryError] = []
    for path in paths:
        say(f"judging {path} ...")
        try:
            tuning.take(path)
        except AvjuryError as error:
            failed.append(error)
            complain(error)
    if not tuning.durations:
        raise failed[0]
    findings = tuning.findings(planted)
    snippet = proposal(findings, tuning, per_day)
    if format == "table":
        _table(out, findings, tuning, per_day)
    else:
        _json(out, findings, tuning, per_day, lines=format == "jsonl")
    if output is not None and snippet:
        try:
            output.write_text(snippet, encoding="utf-8")
        except OSError as error:
            raise ConfigError("cannot write output", stream=str(output), why=error.strerror or str(error),
                              remedy="name a writable file") from error  # fmt: skip
    elif snippet and format == "table":
        out.write("\n" + snippet)
    if tuning.most_alarms() is None:
        say(
            f"nothing is proposed: {tuning.hours:.2f} h without an alarm prove no better than "
            f"{tuning.per_day_at_most(0):.3g} a day ({CONFIDENCE:.0%} confidence); {per_day:g} a day takes "
            f"{tuning.hours_needed():.0f} h of recordings"
        )
    if failed:
        return INPUT_FAILED
    return CLEAN if all(one.verdict in ("holds", "proposed") for one in findings) else INCIDENTS


def proposal(findings: Sequence[Finding], tuning: Tuning, per_day: float) -> str:
    """The proposals as a part of a configuration; "" where there are none."""
    changed = {one.detector: one.parameters for one in findings if one.verdict == "proposed"}
    if not changed:
        return ""
    lines = [
        f"# Proposed by avjury tune: at most {per_day:g} false alarms a day for each detector, proven with",
        f"# {CONFIDENCE:.0%} confidence on {tuning.hours:.2f} h of {len(tuning.durations)} recordings.",
    ]
    for one in findings:
        if one.verdict == "proposed":
            line = f"# {one.detector}: {one.alarms} alarms before, {one.confirmed_alarms} with the proposal"
            if one.planted:
                line += f"; of {one.planted} planted defects {one.found_now} found before, {one.found_proposed} with it"
            lines.append(line + ".")
    return "\n".join(lines) + "\n" + yaml.safe_dump({"detectors": changed}, sort_keys=True)


def _json(out: IO[str], findings: Sequence[Finding], tuning: Tuning, per_day: float, *, lines: bool) -> None:
    most = tuning.most_alarms()
    head = {
        "type": "tuning",
        "hours": round(tuning.hours, 4),
        "recordings": [str(path) for path in tuning.durations],
        "false_per_day": per_day,
        "confidence": CONFIDENCE,
        "proven_per_day": round(tuning.per_day_at_most(0), 4),
        "hours_needed": round(tuning.hours_needed(), 2),
        "enough": most is not None,
        "most_alarms": most,
    }
    records = [head, *({"type": "finding", **asdict(one)} for one in findings)]
    if lines:
        out.writelines(json.dumps(record) + "\n" for record in records)
    else:
        out.write(json.dumps(records, indent=2) + "\n")


def _table(out: IO[str], findings: Sequence[Finding], tuning: Tuning, per_day: float) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    out.write(f"{tuning.hours:.2f} h of {len(tuning.durations)} recordings; target {per_day:g} a day and detector\n")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("detector", "verdict", "proposal"):
        table.add_column(name, no_wrap=True)
    for name in (
        "alarms",
        "a day at most",
        "with it",
        "a day at most",
        "planted",
        "found",
        "with it",
        "p99",
        "highest",
    ):
        table.add_column(name, justify="right", no_wrap=True)

    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.3g}"

    # What is to be looked at first.
    order = {"proposed": 0, "unreachable": 1, "not_replayable": 2, "unproven": 3, "holds": 4}
    for one in sorted(findings, key=lambda f: (order[f.verdict], -f.alarms, f.detector)):
        table.add_row(
            one.detector, one.verdict.replace("_", " "),
            ", ".join(f"{name}: {value:g}" for name, value in one.parameters.items()),
            str(one.alarms), shown(one.per_day_at_most), shown(one.confirmed_alarms),
            shown(one.proposed_per_day_at_most), str(one.planted or "-"), str(one.found_now) if one.planted else "-",
            str(one.found_proposed) if one.planted else "-", shown(one.distribution.get("p99")),
            shown(one.distribution.get("highest")),
        )  # fmt: skip
    Console(file=out, highlight=False, width=None if out.isatty() else 160).print(table)
