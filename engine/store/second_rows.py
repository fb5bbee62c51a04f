"""A stream-second as it is kept: one row, and what a file of rows looks like.

Columns are only ever added, at the end, with a default: files and spools of older releases are read by name.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from io import BytesIO
from typing import Any, Final

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from engine.store.records import wall_text
from engine.verdicts import StreamSecond

# Bumped where a column changes its meaning; adding one does not.
FORMAT: Final = 1
# Small enough that one stream's rows are found without reading the others', large enough for the encodings to pay.
ROWS_PER_GROUP: Final = 8192

_NAMES: Final = pa.list_(pa.string())
SCHEMA: Final = pa.schema(
    [
        ("stream", pa.string()),
        ("session", pa.string()),
        ("second", pa.int64()),
        ("played_at", pa.timestamp("ms", tz="UTC")),
        ("frames_expected", pa.float32()),
        ("frames_decoded", pa.int32()),
        ("frames_measured", pa.int32()),
        ("audio_seconds", pa.float32()),
        ("decode_errors", pa.int32()),
        ("open", _NAMES),
        ("critical", _NAMES),
        ("unknown", _NAMES),
        ("av_sync", pa.string()),
        ("av_sync_offset_ms", pa.float32()),
        ("reference_latency_ms", pa.float32()),
        ("same_programme", pa.bool_()),
        ("frames_seen_by_network", pa.int32()),
    ],
    metadata={"avjury_format": str(FORMAT)},
)
_GROWING: Final = ("second", "played_at")
SORTED_BY: Final = ("stream", "session", "second")


class SecondRow(msgspec.Struct, array_like=True, frozen=True):
    """One judged second of one stream.

    Args:
        stream: its id.
        session: tells apart runs of the stream whose media times both begin at 0.
        second: whole media second of the session, from 0.
        played_at: Unix seconds at which it was played.
        frames_expected, frames_decoded, frames_measured, audio_seconds, decode_errors: as in `StreamSecond`.
        open, critical, unknown: names of detectors, as in `StreamSecond`.
        av_sync, av_sync_offset_ms, reference_latency_ms, same_programme: verdict, offset_ms, latency_ms and
            same_programme of `SyncVerdict`; None where nobody asked, or it is not known.
        frames_seen_by_network: as in `StreamSecond`.
    """

    stream: str
    session: str
    second: int
    played_at: float
    frames_expected: float
    frames_decoded: int
    frames_measured: int
    audio_seconds: float
    decode_errors: int
    open: tuple[str, ...] = ()
    critical: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    av_sync: str | None = None
    av_sync_offset_ms: float | None = None
    reference_latency_ms: float | None = None
    same_programme: bool | None = None
    frames_seen_by_network: int = 0

    @property
    def key(self) -> tuple[str, str, int]:
        """What no other row has."""
        return self.stream, self.session, self.second

    def as_json(self) -> dict[str, Any]:
        """The row as the API shows it; its wall-clock time in ISO 8601."""
        shown = msgspec.structs.asdict(self)
        shown["played_at"] = wall_text(self.played_at)
        for name in ("open", "critical", "unknown"):
            shown[name] = list(shown[name])
        return shown


def row_of(second: StreamSecond, session: str, at: float) -> SecondRow:
    """The row of a second that an engine reported; `at` in Unix seconds, kept to the millisecond."""
    sync = second.sync
    return SecondRow(
        stream=second.stream,
        session=session,
        second=second.second,
        played_at=round(at, 3),
        frames_expected=second.frames_expected,
        frames_decoded=second.frames_decoded,
        frames_measured=second.frames_measured,
        audio_seconds=second.audio_seconds,
        decode_errors=second.decode_errors,
        open=second.open,
        critical=second.critical,
        unknown=second.unknown,
        av_sync=None if sync is None else sync.verdict,
        av_sync_offset_ms=None if sync is None else sync.offset_ms,
        reference_latency_ms=None if sync is None else sync.latency_ms,
        same_programme=None if sync is None else sync.same_programme,
        frames_seen_by_network=second.frames_seen_by_network,
    )


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(list[SecondRow])


def pack(rows: Sequence[SecondRow]) -> bytes:
    """Rows as one record of the spool."""
    return _encoder.encode(rows)


def unpack(record: bytes) -> list[SecondRow]:
    """The rows of a record.

    Raises: msgspec.DecodeError (or its ValidationError) for what `pack` did not make.
    """
    return _decoder.decode(record)


def table_of(rows: Iterable[SecondRow]) -> pa.Table:
    """Rows as a table in the order of files."""
    rows = sorted(rows, key=lambda row: row.key)
    columns = [pa.array(_column(rows, field.name), field.type) for field in SCHEMA]
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def _column(rows: Sequence[SecondRow], name: str) -> list[Any]:
    if name == "played_at":
        return [round(row.played_at * 1000) for row in rows]
    return [getattr(row, name) for row in rows]


def rows_of(table: pa.Table) -> list[SecondRow]:
    """The rows of a table, which may have more columns, or fewer of those that have a default."""
    names = [name for name in SCHEMA.names if name in table.column_names]
    columns = [
        table[name].cast(pa.int64()).to_pylist() if name == "played_at" else table[name].to_pylist() for name in names
    ]
    at, lists = (
        names.index("played_at"),
        [names.index(name) for name in ("open", "critical", "unknown") if name in names],
    )
    rows = []
    for values in zip(*columns, strict=True):
        kept = list(values)
        kept[at] /= 1000
        for index in lists:
            kept[index] = tuple(kept[index] or ())
        # A file that was merged of older and newer ones has nothing where the older ones had no such column.
        rows.append(SecondRow(**{name: value for name, value in zip(names, kept, strict=True) if value is not None}))
    return rows


def parquet_bytes(table: pa.Table, *, rows_per_group: int = ROWS_PER_GROUP) -> bytes:
    """A complete Parquet file of a table that is in the order of files."""
    sink = BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        row_group_size=rows_per_group,
        # Seconds and times go up by nearly the same step from row to row; everything else repeats.
        use_dictionary=[path for path in _paths(table.schema) if path not in _GROWING],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in _GROWING if name in table.column_names},
        sorting_columns=[pq.SortingColumn(SCHEMA.names.index(name)) for name in SORTED_BY],
    )
    return sink.getvalue()


def _paths(schema: pa.Schema) -> list[str]:
    """The columns as Parquet names them."""
    return [f"{field.name}.list.element" if pa.types.is_list(field.type) else field.name for field in schema]


def hour_of(at: float) -> tuple[str, int]:
    """The date and the hour, in UTC, of a Unix second."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.date().isoformat(), moment.hour
