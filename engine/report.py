"""One self-contained HTML page of what was found: incidents, and each measure over time with its thresholds."""

import base64
import gzip
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from engine.detectors import Detector, all_detectors
from engine.evidence.series import Points, thinned
from engine.outcome import Outcome
from engine.output import incident_record, summary_record
from engine.verdicts import Incident

_COLOURS = {"critical": "#d1495b", "warning": "#edae49", "info": "#5b8e7d"}
# More points than a screen has columns show nothing more, and an hour of every detector's would be 100 MB.
MOST_POINTS = 1200
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8884}
.facts{display:flex;flex-wrap:wrap;gap:.6rem}.facts span{border:1px solid #8886;border-radius:.5rem;padding:.3rem .7rem}
.critical{color:#d1495b;font-weight:600}.warning{color:#b7791f;font-weight:600}img{max-width:160px;border-radius:.3rem}
"""


# The library and the figures are packed, or the page of an hour would be three times as long.
_UNPACK = """
const unpack = async (id) => {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
};
(async () => {
  const library = document.createElement("script");
  library.textContent = await unpack("plotly");
  document.head.append(library);
  for (const one of JSON.parse(await unpack("figures"))) {
    await Plotly.newPlot(one.place, one.figure.data, one.figure.layout, { responsive: true });
  }
})();
"""


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the page; or what is on it as JSON, where the file is called so.

    Args:
        path: of the file, overwritten.
        outcomes: of engines that ran with `trace` and `thumbnails`.
    Raises: OSError if the file cannot be written.
    """
    if path.suffix == ".json":
        path.write_text(json.dumps([report_data(outcome) for outcome in outcomes]), encoding="utf-8")
        return
    from plotly.offline import get_plotlyjs

    figures: list[dict[str, Any]] = []
    bodies = "".join(_stream(outcome, figures) for outcome in outcomes)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>avjury report</title>'
        f"<style>{_STYLE}</style></head><body><h1>avjury report</h1>{bodies}"
        f'<script type="text/plain" id="plotly">{_packed(get_plotlyjs())}</script>'
        f'<script type="text/plain" id="figures">{_packed(json.dumps(figures))}</script>'
        f"<script>{_UNPACK}</script></body></html>"
    )
    path.write_text(page, encoding="utf-8")


def _packed(text: str) -> str:
    return base64.b64encode(gzip.compress(text.encode(), 9, mtime=0)).decode()


def report_data(outcome: Outcome) -> dict[str, Any]:
    """What the page says of an input, for programs: the same numbers, rounded as there."""
    return {
        "stream": outcome.stream,
        "error": None if outcome.error is None else outcome.error.line(),
        "summary": None if outcome.summary is None else summary_record(outcome.summary),
        "verdicts": [asdict(verdict) for verdict in verdicts(outcome)],
        "incidents": [
            {
                **incident_record(incident),
                "thumbnail": _encoded(outcome.thumbnails.get(incident.id)),
                "overlay": _encoded(outcome.overlays.get(incident.id)),
            }
            for incident in outcome.incidents
        ],
        "timelines": [
            {"detector": declared.name, "measure": declared.column, "threshold": outcome.thresholds[declared.name],
             "seconds": line.times.round(3).tolist(), "values": _rounded(line)}
            for declared, line in _lines(outcome)
        ],
    }  # fmt: skip


def _encoded(jpeg: bytes | None) -> str | None:
    return None if jpeg is None else base64.b64encode(jpeg).decode()


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of an input.

    Args:
        detector: its name.
        severity: of its incidents.
        threshold: the value of its measure from which it is bad.
        incidents: how many.
        seconds: that they lasted, in all.
        verdict: "passed", "failed", or "not measured" where nothing of its measure was there.
    """

    detector: str
    severity: str
    threshold: float
    incidents: int
    seconds: float
    verdict: str


def verdicts(outcome: Outcome) -> list[Verdict]:
    """One of each enabled detector, those with incidents first."""
    measured = {declared.name for declared, _ in _lines(outcome)}
    found = []
    for declared in all_detectors():
        if declared.name not in outcome.thresholds:
            continue
        mine = [incident for incident in outcome.incidents if incident.detector == declared.name]
        seconds = sum(incident.duration or 0.0 for incident in mine)
        verdict = "failed" if mine else "passed" if declared.name in measured else "not measured"
        found.append(
            Verdict(declared.name, str(declared.severity), outcome.thresholds[declared.name], len(mine),
                    round(seconds, 3), verdict)
        )  # fmt: skip
    return sorted(found, key=lambda one: not one.incidents)


def _verdict_table(outcome: Outcome) -> str:
    rows = "".join(
        f'<tr><td>{escape(one.detector)}</td><td class="{one.severity if one.incidents else ""}">{one.verdict}</td>'
        f"<td>{one.threshold:.4g}</td><td>{one.incidents or ''}</td>"
        f"<td>{f'{one.seconds:.3f}' if one.incidents else ''}</td></tr>"
        for one in verdicts(outcome)
    )
    head = "".join(f"<th>{name}</th>" for name in ("detector", "verdict", "threshold", "incidents", "seconds"))
    return f"<details><summary>Verdict of each detector</summary><table><tr>{head}</tr>{rows}</table></details>"


def _stream(outcome: Outcome, figures: list[dict[str, Any]]) -> str:
    parts = [f"<h2>{escape(outcome.stream)}</h2>"]
    if outcome.error is not None:
        parts.append(f'<p class="critical">{escape(outcome.error.line())}</p>')
    summary = outcome.summary
    if summary is not None:
        facts = [
            f"{summary.duration:.2f} s",
            f"{summary.frames_measured} pictures",
            f"{summary.audio_seconds:.2f} s of sound",
            f"{summary.decode_errors} decode errors",
            f"decoder {summary.decoder or 'none'}",
            summary.device,
        ]
        if summary.loudness is not None:
            for name, value, unit in (
                ("integrated", summary.loudness.integrated, "LUFS"),
                ("range", summary.loudness.range, "LU"),
                ("true peak", summary.loudness.true_peak, "dBTP"),
            ):
                facts.append(f"{name} {'none' if value is None else f'{value:.1f} {unit}'}")
        parts.append('<div class="facts">' + "".join(f"<span>{escape(fact)}</span>" for fact in facts) + "</div>")
    parts.append(_incidents(outcome))
    if outcome.thresholds:
        parts.append(_verdict_table(outcome))
    for figure in _plots(outcome):
        place = f"plot-{len(figures)}"
        figures.append({"place": place, "figure": figure})
        parts.append(f'<div id="{place}"></div>')
    return "".join(parts)


def _incidents(outcome: Outcome) -> str:
    if not outcome.incidents:
        return "<p>No incidents.</p>"
    rows = []
    for incident in outcome.incidents:
        picture = outcome.thumbnails.get(incident.id)
        image = "" if picture is None else _image("worst moment", picture)
        if incident.id in outcome.overlays:
            image += _image("where the network sees damage", outcome.overlays[incident.id])
        rows.append(
            f'<tr><td class="{incident.severity}">{incident.severity}</td><td>{escape(incident.detector)}</td>'
            f"<td>{incident.start:.3f}</td><td>{'' if incident.end is None else f'{incident.end:.3f}'}</td>"
            f"<td>{incident.score:.4g}</td><td>{escape(incident.closed_by or 'open')}</td><td>{image}</td></tr>"
        )
    head = "".join(
        f"<th>{name}</th>" for name in ("severity", "detector", "start s", "end s", "score", "closed by", "")
    )
    return f"<table><tr>{head}</tr>{''.join(rows)}</table>"


def _image(text: str, jpeg: bytes) -> str:
    return f'<img alt="{text}" title="{text}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"> '


def _lines(outcome: Outcome) -> list[tuple[Detector, Points]]:
    """The measure of each enabled detector over time, those with incidents first.

    A reader of dozens of flat lines would not find them.
    """
    told = {incident.detector for incident in outcome.incidents}
    found = []
    for declared in sorted(all_detectors(), key=lambda one: one.name not in told):
        trace = outcome.trace.get(declared.track)
        if declared.name not in outcome.thresholds or trace is None or declared.column not in trace.columns:
            continue
        values = trace.values[:, trace.columns.index(declared.column)]
        known = np.isfinite(values)
        if known.any():
            found.append((declared, thinned(Points(trace.times[known], values[known]), MOST_POINTS)))
    return found


def _rounded(line: Points) -> list[float]:
    return [float(f"{value:.4g}") for value in line.values.tolist()]


def _plots(outcome: Outcome) -> list[dict[str, Any]]:
    import plotly.graph_objects as go

    plots = []
    # One scale for all, so that what happens together stands below each other.
    until = max((float(trace.times[-1]) for trace in outcome.trace.values() if len(trace.times)), default=0.0)
    for declared, line in _lines(outcome):
        x, y = line.times.round(3).tolist(), _rounded(line)
        figure = go.Figure(go.Scatter(x=x, y=y, mode="lines", line={"width": 1.2}))
        figure.add_hline(y=outcome.thresholds[declared.name], line_dash="dash", annotation_text="threshold")
        for incident in outcome.incidents:
            if incident.detector == declared.name:
                _shade(figure, incident)
        figure.update_layout(
            title=f"{declared.name}: {declared.column}",
            height=240,
            margin={"l": 50, "r": 20, "t": 40, "b": 30},
            template="plotly_white",
            xaxis={"title": "s", "range": [0, until]},
        )
        plots.append(json.loads(figure.to_json()))
    return plots


def _shade(figure: object, incident: Incident) -> None:
    figure.add_vrect(  # type: ignore[attr-defined]  # plotly carries no types
        x0=incident.start,
        x1=incident.start if incident.end is None else incident.end,
        fillcolor=_COLOURS[incident.severity],
        opacity=0.25,
        line_width=0,
    )
