"""The report as a page: everything in one file, drawn when it is written, of use without a network and on paper."""

import base64
from collections.abc import Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import quote

from engine.detectors import Detector, all_detectors
from engine.evidence.series import Points
from engine.outcome import Outcome
from engine.output import clock
from engine.report import (
    Background,
    around,
    described,
    detailed,
    ends,
    known,
    lines,
    noticed,
    overall,
    span_around,
    verdicts,
)
from engine.report_plots import Span, axis, lane, plot
from engine.verdicts import Incident

_PLOT_HEIGHT: Final = 90
_AT_THE_END_SECONDS: Final = 0.1  # blocks of sound and pictures end so much apart
_INCIDENT_PLOT_HEIGHT: Final = 64
_SAYS: Final = {
    "failed": "Failed", "warned": "Passed with warnings", "passed": "Passed", "not judged": "Not judged",
}  # fmt: skip


def page(outcomes: Sequence[Outcome], background: Background | None = None) -> str:
    """The whole page."""
    background = background or Background()
    shown = detailed(outcomes)
    style, script = (Path(__file__).with_suffix(suffix).read_text(encoding="utf-8") for suffix in (".css", ".js"))
    try:
        release = f"avjury {version('avjury')}"
    except PackageNotFoundError:
        release = "avjury"
    title = outcomes[0].stream if len(outcomes) == 1 else f"{len(outcomes)} inputs"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>avjury report: {escape(title)}</title><style>{style}</style></head><body>"
        f"<header><h1>Report on picture and sound</h1><span>{escape(release)}</span></header>"
        f"{_contents(outcomes) if len(outcomes) > 1 else ''}"
        f"{''.join(_input(number, outcome, background, shown) for number, outcome in enumerate(outcomes))}"
        f"<script>{script}</script></body></html>"
    )


def _contents(outcomes: Sequence[Outcome]) -> str:
    rows = "".join(
        f'<tr><td><a href="#input-{number}">{escape(outcome.stream)}</a></td><td>{_badge(outcome)}</td>'
        f'<td class="n">{_count(outcome, "critical")}</td><td class="n">{_count(outcome, "warning")}</td></tr>'
        for number, outcome in enumerate(outcomes)
    )
    return (
        '<h2>Inputs</h2><table><tr><th>input</th><th>verdict</th><th class="n">critical</th><th class="n">warnings</th>'
        f"</tr>{rows}</table>"
    )


def _count(outcome: Outcome, severity: str) -> int:
    return sum(1 for incident in outcome.incidents if str(incident.severity) == severity)


def _badge(outcome: Outcome) -> str:
    said = overall(outcome)
    return f'<span class="verdict {said.split()[0]}">{_SAYS[said]}</span>'


def _input(number: int, outcome: Outcome, background: Background, shown: frozenset[str]) -> str:
    until = ends(outcome)
    parts = [f'<section id="input-{number}"><h2>{escape(outcome.stream)}</h2><p>{_badge(outcome)} {_said(outcome)}</p>']
    if outcome.error is not None:
        parts.append(f'<p class="critical">{escape(outcome.error.line())}</p>')
    parts.append(_facts(outcome, background.profiles.get(outcome.stream)))
    if outcome.incidents:
        parts.append(f"<h3>When</h3>{_lanes(outcome, until)}<h3>Incidents</h3>")
        full = {declared.name: line for declared, line in known(outcome)}
        declared = {one.name: one for one in all_detectors()}
        parts += [
            _incident(
                outcome, one, declared[one.detector], full.get(one.detector), until, background.evidence.get(one.id, {})
            )
            for one in outcome.incidents
            if one.id in shown
        ]
        parts.append(_further([one for one in outcome.incidents if one.id not in shown], background))
    if outcome.thresholds:
        parts.append(_verdict_table(outcome))
    parts.append(_timelines(outcome, until))
    return "".join(parts) + "</section>"


def _said(outcome: Outcome) -> str:
    warnings = _count(outcome, "warning")
    kinds = [(_count(outcome, "critical"), "critical"), (warnings, "warning" if warnings == 1 else "warnings"),
             (_count(outcome, "info"), "for information")]  # fmt: skip
    told = ", ".join(f"{count} {name}" for count, name in kinds if count)
    return f'<span class="muted">{told or ("nothing was found" if outcome.summary is not None else "")}</span>'


def _facts(outcome: Outcome, profile: str | None) -> str:
    facts = [(name.capitalize(), value) for name, value in described(outcome).items()]
    if profile is not None:
        facts.append(("Profile", profile))
    summary = outcome.summary
    if summary is not None:
        share = summary.frames_measured / summary.frames_decoded if summary.frames_decoded else 0.0
        seen = (
            f"{summary.frames_measured} of {summary.frames_decoded}" if share < 1 else f"all {summary.frames_decoded}"
        )
        facts += [
            ("Duration", clock(summary.duration) + (" s" if summary.duration < 100 else "")),
            ("Pictures judged", seen if summary.frames_decoded else "none"),
            ("Sound judged", f"{summary.audio_seconds:.2f} s"),
            ("Decode errors", str(summary.decode_errors)),
            ("Decoded by", f"{summary.decoder or 'nothing'}, judged on {summary.device}"),
        ]
        loudness = summary.loudness
        for name, value, unit in () if loudness is None else (
            ("Integrated loudness", loudness.integrated, "LUFS"), ("Loudness range", loudness.range, "LU"),
            ("True peak", loudness.true_peak, "dBTP"), ("Loudest moment", loudness.max_momentary, "LUFS"),
            ("Loudest 3 s", loudness.max_short_term, "LUFS"),
        ):  # fmt: skip
            facts.append((name, "none" if value is None else f"{value:.1f} {unit}"))
        sync = summary.av_sync
        if sync is not None and sync.get("offset_ms") is not None:
            facts.append(("Sound is late by", f"{sync['offset_ms']:.0f} ms ({str(sync['verdict']).replace('_', ' ')})"))
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
        + "</dl>"
    )


def _spans(incidents: Sequence[Incident], until: float) -> list[Span]:
    return [(one.start, until if one.end is None else one.end, str(one.severity)) for one in incidents]


def _lanes(outcome: Outcome, until: float) -> str:
    names = dict.fromkeys(one.detector for one in outcome.incidents)
    rows = "".join(
        f'<div class="strip"><span>{escape(name)}</span><div class="lane">'
        f"{lane(_spans([one for one in outcome.incidents if one.detector == name], until), 0.0, until)}</div></div>"
        for name in names
    )
    return f'<div class="lanes">{rows}<div class="strip"><span></span>{axis(0.0, until)}</div></div>'


def _incident(
    outcome: Outcome, incident: Incident, declared: Detector, line: Points | None, until: float,
    files: Mapping[str, str],
) -> str:  # fmt: skip
    closes = (
        f"to {clock(incident.end)}, for {incident.duration:.3f} s" if incident.duration is not None else "still open"
    )
    ended = "it lasted to the end of the stream"
    if incident.end is not None and incident.end < until - _AT_THE_END_SECONDS:
        ended = "the stream ended before it had been good again for long"
    why = {"end_of_stream": ended, "removed": "nobody watched any more"}
    closing = f"; {why[incident.closed_by]}" if incident.closed_by in why else ""
    threshold = outcome.thresholds.get(incident.detector)
    against = "" if threshold is None else f", {_bad(declared)} {threshold:.4g}"
    pictures = "".join(
        _image(text, jpeg)
        for text, jpeg in (("the worst moment", outcome.thumbnails.get(incident.id)),
                           ("where the network sees damage", outcome.overlays.get(incident.id)))
        if jpeg is not None
    )  # fmt: skip
    cause = f" ({escape(incident.cause)})" if incident.cause else ""
    near = around(incident, line, until)
    drawn = ""
    if near is not None and threshold is not None:
        since, to = span_around(incident, until)
        to = min(to, max(until, since + 1))
        shape = plot(near, threshold, _spans([incident], until), since, to, _INCIDENT_PLOT_HEIGHT)
        drawn = f'<div class="around plot">{shape}{axis(since, to)}</div>'
    links = _links(files)
    return (
        f'<div class="incident {incident.severity}"><div><h4>{escape(incident.detector)}{cause}</h4>'
        f'<p><b class="{incident.severity}">{incident.severity}</b>, {clock(incident.start)} {closes}{closing}</p>'
        f"<p>{escape(noticed(declared))}</p>"
        f'<p class="muted">Worst {escape(declared.column)} {incident.score:.4g}{against}</p>'
        f"{f'<p>{links}</p>' if links else ''}</div>"
        f'<div class="pictures">{pictures}</div>{drawn}</div>'
    )


def _links(files: Mapping[str, str]) -> str:
    """To the evidence that was written beside the page."""
    names = {"clip": "clip", "thumbnail": "picture", "overlay": "map of damage", "series": "measure"}
    return " ".join(
        f'<a href="{escape(quote(files[kind]))}">{name}</a>' for kind, name in names.items() if kind in files
    )


def _further(incidents: Sequence[Incident], background: Background) -> str:
    """Those for whose pictures and plots the page has no room."""
    if not incidents:
        return ""
    rows = "".join(
        f"<tr><td>{escape(one.detector)}</td><td class={one.severity}>{one.severity}</td><td class=n>{clock(one.start)}"
        f"</td><td class=n>{'' if one.duration is None else f'{one.duration:.3f}'}</td><td class=n>{one.score:.4g}</td>"
        f"<td>{_links(background.evidence.get(one.id, {}))}</td></tr>"
        for one in incidents
    )
    head = (
        '<th>detector</th><th>severity</th><th class="n">start</th><th class="n">seconds</th><th class="n">worst</th>'
    )
    return (
        f"<details><summary>{len(incidents)} more, without picture and plot, which keeps this page small enough to be "
        f"mailed</summary><table><tr>{head}<th></th></tr>{rows}</table></details>"
    )


def _bad(declared: Detector) -> str:
    return "bad at or below" if declared.rule().below else "bad from"


def _image(text: str, jpeg: bytes) -> str:
    encoded = base64.b64encode(jpeg).decode()
    return f'<img alt="{text}" title="{text}" loading="lazy" src="data:image/jpeg;base64,{encoded}">'


def _verdict_table(outcome: Outcome) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.detector)}</td>"
        f'<td class="{one.severity if one.incidents else one.verdict.split()[0]}">{one.verdict}</td>'
        f'<td class="n">{one.threshold:.6g}</td><td class="n">{one.incidents or ""}</td>'
        f'<td class="n">{f"{one.seconds:.3f}" if one.incidents else ""}</td></tr>'
        for one in verdicts(outcome)
    )
    head = "<th>detector</th><th>verdict</th>" + "".join(
        f'<th class="n">{name}</th>' for name in ("threshold", "incidents", "seconds")
    )
    count = len(outcome.thresholds)
    return (
        f"<h3>Detectors</h3><details{' open' if count <= 12 else ''}><summary>The verdict of each of {count}, and by "
        f"which threshold</summary><table><tr>{head}</tr>{rows}</table></details>"
    )


def _timelines(outcome: Outcome, until: float) -> str:
    told = {one.detector for one in outcome.incidents}
    shown: list[str] = []
    folded: list[str] = []
    for declared, line in lines(outcome):
        mine = [one for one in outcome.incidents if one.detector == declared.name]
        (shown if declared.name in told else folded).append(_timeline(outcome, declared, line, mine, until))
    if not shown and not folded:
        return ""
    rest = ""
    if folded:
        summary = f"<summary>{len(folded)} measures in which nothing was found</summary>"
        rest = f"<details{'' if shown else ' open'}>{summary}{''.join(folded)}</details>"
    return f"<h3>Measures over time</h3>{''.join(shown)}{rest}"


def _timeline(outcome: Outcome, declared: Detector, line: Points, mine: Sequence[Incident], until: float) -> str:
    threshold = outcome.thresholds[declared.name]
    drawn = plot(line, threshold, _spans(mine, until), 0.0, until, _PLOT_HEIGHT)
    low, high = float(line.values.min()), float(line.values.max())
    return (
        f'<div class="timeline"><div><b>{escape(declared.name)}</b><br>{escape(declared.column)}<br>'
        f'<span class="muted">{_bad(declared)} {threshold:.6g}</span><br>'
        f'<span class="muted">was {low:.4g} to {high:.4g}</span><br><output></output></div>'
        f'<div class="plot">{drawn}{axis(0.0, until)}</div></div>'
    )
