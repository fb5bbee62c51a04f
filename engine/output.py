"""Verdicts -> records: the JSON lines that tools read, and the table that people read.

The records' keys are a contract (docs/output.md). JSON here never holds NaN or infinity, which no standard parser
takes: what has no value is null.
"""

import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from io import StringIO
from typing import IO, Any, Final, Literal, Protocol

from engine.errors import AvjuryError
from engine.verdicts import Incident, Severity, Summary

Format = Literal["table", "jsonl", "json"]

# Media time bases go down to 1/90000 s; a microsecond is finer than all of them, and hides float noise.
TIME_DECIMALS: Final = 6
# Measures are float64 built from float32 samples: about 7 digits mean something.
MEASURE_DIGITS: Final = 7
# A table that is not printed on a terminal may be as wide as it needs.
PLAIN_WIDTH: Final = 240

_SEVERITY_STYLE: Final = {Severity.CRITICAL: "bold red", Severity.WARNING: "yellow", Severity.INFO: "dim"}


def seconds(value: float | None) -> float | None:
    """A time as written in records: microseconds, null for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return round(float(value), TIME_DECIMALS) + 0.0  # + 0.0 turns -0.0 into 0.0


def number(value: float | None) -> float | None:
    """A measured value as written in records: its meaningful digits, null for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.{MEASURE_DIGITS}g}") + 0.0


def incident_record(incident: Incident) -> dict[str, Any]:
    """The "incident" record. `cause` is there only where there is one."""
    record: dict[str, Any] = {
        "type": "incident",
        "stream": incident.stream,
        "detector": incident.detector,
        "start": seconds(incident.start),
        "end": seconds(incident.end),
        "duration": seconds(incident.duration),
        "severity": str(incident.severity),
        "score": number(incident.score),
        "closed_by": incident.closed_by,
        "measures": {name: number(value) for name, value in incident.measures.items()},
    }
    if incident.cause is not None:
        record["cause"] = incident.cause
    return record


def summary_record(summary: Summary) -> dict[str, Any]:
    """The "summary" record."""
    loudness = summary.loudness
    return {
        "type": "summary",
        "stream": summary.stream,
        "frames_decoded": summary.frames_decoded,
        "frames_measured": summary.frames_measured,
        "audio_seconds": seconds(summary.audio_seconds),
        "decode_errors": summary.decode_errors,
        "duration": seconds(summary.duration),
        "wall_seconds": seconds(summary.wall_seconds),
        "speed": number(summary.speed),
        "decoder": summary.decoder,
        "device": summary.device,
        "loudness": None if loudness is None else {k: number(v) for k, v in asdict(loudness).items()},
        "av_sync": None if summary.av_sync is None else _plain(summary.av_sync),
    }


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {key: number(value) if isinstance(value, float) else value for key, value in values.items()}


def json_line(record: Mapping[str, Any]) -> str:
    """One record on one line, without the line's end."""
    return json.dumps(record, ensure_ascii=False, allow_nan=False)


def printable(text: str) -> str:
    """Text without what a terminal would obey: names of streams come from outside."""
    return "".join(c if unicodedata.category(c)[0] != "C" else f"\\x{ord(c):02x}" for c in text)


def complain(error: AvjuryError) -> None:
    """One line on stderr."""
    print(f"avjury: {printable(error.line())}", file=sys.stderr)  # noqa: T201 - the command's own error line


class Writer(Protocol):
    """Takes verdicts as they come and writes records."""

    def incident(self, incident: Incident) -> None:
        """An incident was closed."""

    def summary(self, summary: Summary) -> None:
        """An input ended."""

    def finish(self, order: Iterable[str]) -> None:
        """Nothing more comes; `order` is the inputs as they were given."""


class JsonLines:
    """Writes each record when it is known, so that live inputs can be followed; an input's summary is its last line."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    def incident(self, incident: Incident) -> None:
        """Write the incident's line."""
        self._write(incident_record(incident))

    def summary(self, summary: Summary) -> None:
        """Write the summary's line."""
        self._write(summary_record(summary))

    def finish(self, order: Iterable[str]) -> None:
        """Everything was written already."""
        self._out.flush()

    def _write(self, record: Mapping[str, Any]) -> None:
        self._out.write(json_line(record) + "\n")
        self._out.flush()


class _Collected:
    """Keeps verdicts until all inputs have ended."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._incidents: dict[str, list[Incident]] = {}
        self._summaries: dict[str, Summary] = {}

    def incident(self, incident: Incident) -> None:
        """Keep a closed incident."""
        self._incidents.setdefault(incident.stream, []).append(incident)

    def summary(self, summary: Summary) -> None:
        """Keep an input's summary."""
        self._summaries[summary.stream] = summary

    def _incidents_of(self, stream: str) -> list[Incident]:
        return sorted(self._incidents.get(stream, []), key=lambda i: (i.start, i.detector))


class JsonArray(_Collected):
    """Writes all records as one JSON array: input by input as given, incidents by start, then the summary."""

    def finish(self, order: Iterable[str]) -> None:
        """Write the array."""
        records = []
        for stream in order:
            records += [incident_record(incident) for incident in self._incidents_of(stream)]
            if stream in self._summaries:
                records.append(summary_record(self._summaries[stream]))
        json.dump(records, self._out, ensure_ascii=False, allow_nan=False, indent=1)
        self._out.write("\n")
        self._out.flush()


class Table(_Collected):
    """Writes what people read: the incidents, then one row per input."""

    def finish(self, order: Iterable[str]) -> None:
        """Write the tables."""
        from rich.console import Console  # a fifth of a second that `avjury --help` need not wait for

        order = list(order)
        terminal = self._out.isatty()
        buffer: IO[str] = self._out if terminal else StringIO()
        console = Console(file=buffer, width=None if terminal else PLAIN_WIDTH, highlight=False)
        incidents = [incident for stream in order for incident in self._incidents_of(stream)]
        if incidents:
            console.print(incident_table(incidents))
        elif self._summaries:
            console.print("no incidents")
        summaries = [self._summaries[stream] for stream in order if stream in self._summaries]
        if summaries:
            console.print(summary_table(summaries))
        if isinstance(buffer, StringIO):
            # Without a terminal nobody needs the padding up to the table's width.
            self._out.write("".join(line.rstrip() + "\n" for line in buffer.getvalue().splitlines()))
        self._out.flush()


def clock(value: float | None) -> str:
    """A media time for people: "83.480" below a hundred seconds, then "1:23.480", "1:02:03.480"."""
    if value is None:
        return "-"
    if value < 100:
        return f"{value:.3f}"
    minutes, rest = divmod(value, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:06.3f}" if hours else f"{minutes}:{rest:06.3f}"


def incident_table(incidents: Iterable[Incident]) -> Any:
    """A rich table of incidents."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stream", overflow="fold")
    table.add_column("detector", no_wrap=True)
    table.add_column("severity", no_wrap=True)
    for name in ("start", "end", "duration", "score"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("closed by", no_wrap=True)
    for incident in incidents:
        table.add_row(
            Text(printable(incident.stream)),
            incident.detector,
            Text(str(incident.severity), style=_SEVERITY_STYLE[incident.severity]),
            clock(seconds(incident.start)),
            clock(seconds(incident.end)),
            clock(seconds(incident.duration)),
            _short(incident.score),
            (incident.closed_by or "-") + (f" ({incident.cause})" if incident.cause else ""),
        )
    return table


def summary_table(summaries: Iterable[Summary]) -> Any:
    """A rich table with one row per input; what is known of lip sync only where something is of one of them."""
    from rich import box
    from rich.table import Table as RichTable
    from rich.text import Text

    summaries = list(summaries)
    with_sync = any(_says_sync(summary.av_sync) for summary in summaries)
    table = RichTable(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stream", overflow="fold")
    for name in (
        "duration",
        "frames",
        "measured",
        "sound",
        "errors",
        "speed",
        "decoder",
        "device",
        "LUFS",
        "LU",
        "dBTP",
    ):
        table.add_column(name, justify="left" if name in ("decoder", "device") else "right", no_wrap=True)
    for name in ("sound late", "latency") if with_sync else ():
        table.add_column(name, justify="right", no_wrap=True)
    for summary in summaries:
        loudness = summary.loudness
        table.add_row(
            Text(printable(summary.stream)),
            clock(seconds(summary.duration)),
            str(summary.frames_decoded),
            str(summary.frames_measured),
            clock(seconds(summary.audio_seconds)),
            str(summary.decode_errors),
            f"{summary.speed:.1f}x",
            summary.decoder or "-",
            summary.device,
            "-" if loudness is None else _level(loudness.integrated),
            "-" if loudness is None else _level(loudness.range),
            "-" if loudness is None else _level(loudness.true_peak),
            *(_sync_cells(summary.av_sync or {}) if with_sync else ()),
        )
    return table


def _says_sync(av_sync: Mapping[str, object] | None) -> bool:
    return av_sync is not None and (av_sync["offset_ms"] is not None or av_sync.get("same_programme") is not None)


def _sync_cells(av_sync: Mapping[str, Any]) -> tuple[str, str]:
    """By how much sound is late, and the stream after its reference."""
    offset, latency = av_sync.get("offset_ms"), av_sync.get("latency_ms")
    if av_sync.get("same_programme") is False:
        return "another programme", "-"
    shown = "-" if offset is None else f"{offset:+.0f} ms{'' if av_sync['verdict'] == 'in_sync' else ' (out)'}"
    return shown, "-" if latency is None else f"{latency / 1000:.2f} s"


def _short(value: float) -> str:
    return "-" if not math.isfinite(value) else f"{value:.4g}"


def _level(value: float | None) -> str:
    return "-" if value is None or not math.isfinite(value) else f"{value:.1f}"


WRITERS: Final[Mapping[str, type[JsonLines] | type[JsonArray] | type[Table]]] = {
    "table": Table,
    "jsonl": JsonLines,
    "json": JsonArray,
}
