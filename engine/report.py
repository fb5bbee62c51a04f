"""One self-contained HTML page of what was found: incidents, and each measure over time with its thresholds."""

import base64
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np

from engine.detectors import all_detectors
from engine.evidence.series import Points, thinned
from engine.outcome import Outcome
from engine.verdicts import Incident

_COLOURS = {"critical": "#d1495b", "warning": "#edae49", "info": "#5b8e7d"}
# More points than a screen has columns show nothing more, and an hour of every detector's would be 100 MB.
MOST_POINTS = 2000
_STYLE = """
:root{color-scheme:light dark}
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem}h2{margin-top:2.5rem;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #8884}
.facts{display:flex;flex-wrap:wrap;gap:.6rem}.facts span{border:1px solid #8886;border-radius:.5rem;padding:.3rem .7rem}
.critical{color:#d1495b;font-weight:600}.warning{color:#b7791f;font-weight:600}img{max-width:160px;border-radius:.3rem}
"""


def write_report(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the page.

    Args:
        path: of the file, overwritten.
        outcomes: of engines that ran with `trace` and `thumbnails`.
    Raises: OSError if the file cannot be written.
    """
    from plotly.offline import get_plotlyjs

    bodies = "".join(_stream(outcome) for outcome in outcomes)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>avjury report</title>'
        f"<style>{_STYLE}</style><script>{get_plotlyjs()}</script></head>"
        f"<body><h1>avjury report</h1>{bodies}</body></html>"
    )
    path.write_text(page, encoding="utf-8")


def _stream(outcome: Outcome) -> str:
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
    parts += _plots(outcome)
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


def _plots(outcome: Outcome) -> list[str]:
    import plotly.graph_objects as go

    plots = []
    # One scale for all, so that what happens together stands below each other.
    until = max((float(trace.times[-1]) for trace in outcome.trace.values() if len(trace.times)), default=0.0)
    told = {incident.detector for incident in outcome.incidents}
    # Those with incidents first: a reader of dozens of flat lines would not find them.
    for declared in sorted(all_detectors(), key=lambda one: one.name not in told):
        if declared.name not in outcome.thresholds:
            continue
        trace = outcome.trace.get(declared.track)
        if trace is None or declared.column not in trace.columns:
            continue
        values = trace.values[:, trace.columns.index(declared.column)]
        known = np.isfinite(values)
        if not known.any():
            continue
        line = thinned(Points(trace.times[known], values[known]), MOST_POINTS)
        x, y = line.times, line.values
        figure = go.Figure(go.Scatter(x=x.tolist(), y=y.tolist(), mode="lines", line={"width": 1.2}))
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
        plots.append(figure.to_html(full_html=False, include_plotlyjs=False))
    return plots


def _shade(figure: object, incident: Incident) -> None:
    figure.add_vrect(  # type: ignore[attr-defined]  # plotly carries no types
        x0=incident.start,
        x1=incident.start if incident.end is None else incident.end,
        fillcolor=_COLOURS[incident.severity],
        opacity=0.25,
        line_width=0,
    )
