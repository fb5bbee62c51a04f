"""The last hours of every stream, second by second: measures and coverage, for timelines and for trying thresholds.

Run by: the fleet's reporting thread writes, the API's threads read. Each stream has one file of fixed size that begins
again at its start when it is full, so that the disk it takes is known beforehand. A file that cannot be written costs
that stream's timelines, and nothing else. After a crash the last second may be missing.
"""

import contextlib
import hashlib
import logging
import os
import struct
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from engine.level_columns import level_names
from engine.verdicts import StreamSecond

_MAGIC: Final = b"AVJHIST1"
# Magic, what the columns are, records that fit, records ever written.
_HEADER: Final = struct.Struct("<8s16sQQ")
_HEADER_BYTES: Final = 64
_COUNT_AT: Final = 32
# By how much the stamp of a second may be off without something having been left out.
_JITTER_SECONDS: Final = 0.8
# By how many of the first stamps it is found where seconds lie, and how fast a drift of the stamps is followed.
_FIRST_SECONDS: Final = 15
_FOLLOWS: Final = 0.1
OPEN: Final = 1
CRITICAL: Final = 2

log = logging.getLogger(__name__)

Rows = npt.NDArray[np.void]


def record_type() -> np.dtype[np.void]:
    """One second of one stream: Unix second at which it was played, coverage, and the levels as they come."""
    width = len(level_names())
    return np.dtype(
        [
            ("at", "<f8"),
            ("expected", "<f4"),
            ("measured", "<f4"),
            ("network", "<f4"),
            ("audio", "<f4"),
            ("errors", "<u4"),
            ("flags", "<u4"),
            ("low", "<f4", width),
            ("high", "<f4", width),
        ]
    )


class History:
    """The files.

    Args:
        folder: of its own.
        hours: kept; 0 keeps nothing.
        clock: Unix seconds.
    """

    def __init__(self, folder: Path, hours: float, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._folder = folder
        self._capacity = round(hours * 3600)
        self._type = record_type()
        self._layout = hashlib.sha256(" ".join((*(self._type.names or ()), *level_names())).encode()).digest()[:16]
        self._head = struct.Struct("<dffffII")
        self._nothing = np.full(2 * len(level_names()), np.nan, np.float32).tobytes()
        self._lock = threading.Lock()
        self._written: dict[str, int] = {}
        self._failing: set[str] = set()
        self.failures = 0
        """Seconds that could not be kept."""

    @property
    def bytes_per_stream(self) -> int:
        """What a full file takes."""
        return _HEADER_BYTES + self._capacity * self._type.itemsize if self._capacity else 0

    def put(self, second: StreamSecond, at: float) -> None:
        """Keep a second that was played at a Unix second. Never raises."""
        if not self._capacity:
            return
        flags = OPEN * bool(second.open) | CRITICAL * bool(second.critical)
        levels = second.levels if len(second.levels) == len(self._nothing) else self._nothing
        record = self._head.pack(
            at, second.frames_expected, second.frames_measured, second.frames_seen_by_network, second.audio_seconds,
            second.decode_errors, flags,
        )  # fmt: skip
        try:
            with self._lock:
                self._write(second.stream, record + levels)
            self._failing.discard(second.stream)
        except OSError as error:
            self.failures += 1
            if second.stream not in self._failing:
                self._failing.add(second.stream)
                log.warning("its timeline cannot be kept: %s", error.strerror or error, extra={"stream": second.stream})

    def read(self, stream: str, since: float, until: float) -> Rows:
        """What was played in [since, until), in order.

        Args:
            since, until: Unix seconds.
        """
        none: Rows = np.empty(0, self._type)
        try:
            with self._path(stream).open("rb") as file:
                count = self._count(file.read(_HEADER_BYTES))
                if count is None:
                    return none
                kept = min(count, self._capacity)
                # A second a second: more than that is only read where it does not reach back to `since`.
                wanted = min(kept, max(0, round((self._clock() - since) * 1.05)) + 60)
                rows = self._last(file, count, wanted)
                if wanted < kept and (not len(rows) or rows["at"].min() >= since):
                    rows = self._last(file, count, kept)
        except OSError:
            return none
        rows = rows[(rows["at"] >= since) & (rows["at"] < until)]
        return rows[np.argsort(rows["at"], kind="stable")]

    def _last(self, file: BinaryIO, count: int, wanted: int) -> Rows:
        """The last records of a file."""
        size, parts = self._type.itemsize, []
        first = (count - wanted) % self._capacity
        for start, many in ((first, min(wanted, self._capacity - first)), (0, max(0, first + wanted - self._capacity))):
            file.seek(_HEADER_BYTES + start * size)
            content = file.read(many * size)
            parts.append(content[: len(content) // size * size])
        rows: Rows = np.frombuffer(b"".join(parts), self._type)
        return rows

    def keep_only(self, streams: Iterable[str]) -> None:
        """Delete the files of all others."""
        wanted = {self._path(stream).name for stream in streams}
        with self._lock, contextlib.suppress(OSError):
            for path in self._folder.glob("*.seconds"):
                if path.name not in wanted:
                    path.unlink(missing_ok=True)
            self._written.clear()  # read anew from what is there

    def _path(self, stream: str) -> Path:
        # An id may be anything that people write, a file's name may not.
        return self._folder / f"{hashlib.sha256(stream.encode()).hexdigest()[:32]}.seconds"

    def _count(self, header: bytes) -> int | None:
        """Records ever written; None where the file is of another layout or length, or no such file."""
        if len(header) < _HEADER.size:
            return None
        magic, layout, capacity, count = _HEADER.unpack_from(header)
        return count if (magic, layout, capacity) == (_MAGIC, self._layout, self._capacity) else None

    def _write(self, stream: str, record: bytes) -> None:
        path = self._path(stream)
        count = self._written.get(stream)
        if count is None:
            count = self._begin(path)
        descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            place = _HEADER_BYTES + count % self._capacity * len(record)
            if os.pwrite(descriptor, record, place) != len(record):
                raise OSError("the disk is full")
            os.pwrite(descriptor, struct.pack("<Q", count + 1), _COUNT_AT)
        finally:
            os.close(descriptor)
        self._written[stream] = count + 1

    def _begin(self, path: Path) -> int:
        """Records of the file that is there; a file of another layout is replaced."""
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            count = self._count(file.read(_HEADER_BYTES))
            if count is not None:
                return count
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".part")
        beside.write_bytes(_HEADER.pack(_MAGIC, self._layout, self._capacity, 0).ljust(_HEADER_BYTES, b"\0"))
        os.replace(beside, path)
        return 0


def _places(at: npt.NDArray[np.float64], step: float) -> npt.NDArray[np.int64]:
    """In which step each row lies.

    A second is stamped when it is known to have been played, which is early or late by some tenths. In steps of a
    second that would show holes and doubles where each second came once, so one after the other take steps one after
    the other, as long as they are not most of a second off.

    Args:
        at: steps since the first one, in order.
        step: seconds.
    """
    if step > 1.0 or not len(at):
        return at.astype(np.int64)
    # Where the next second is due, by all that were before: one stamp alone may be most of a step off.
    due = float(np.median(at[:_FIRST_SECONDS] - np.arange(len(at[:_FIRST_SECONDS]))))
    places: list[int] = []
    for value in at.tolist():
        jumped = abs(value - due) > _JITTER_SECONDS
        due = value if jumped else due + _FOLLOWS * (value - due)
        last = places[-1] if places else int(due) - 1
        next_one = not jumped and abs(due - 0.5 - (last + 1)) <= 1.0
        places.append(last + 1 if next_one else max(last, int(due)))
        due += 1.0
    return np.array(places, np.int64)


def series(rows: Rows, columns: Iterable[str], since: float, until: float, points: int) -> dict[str, Any]:
    """Rows as lines to plot: in each of at most `points` equal steps the lowest and highest value, null where none was.

    Args:
        columns: of `level_names()`; others are left out.
        since, until: Unix seconds; until is later.
    """
    step = max(1.0, float(np.ceil((until - since) / points)))
    count = int(np.ceil((until - since) / step))
    index = np.clip(_places((rows["at"] - since) / step, step), 0, count - 1)
    names = level_names()

    def gathered(values: Any, how: Any) -> list[float | None]:
        into = np.full(count, np.nan, np.float64)
        how.at(into, index, values)
        return [None if value != value else float(f"{value:.6g}") for value in into.tolist()]

    measures = {
        name: {
            "low": gathered(rows["low"][:, names.index(name)], np.fmin),
            "high": gathered(rows["high"][:, names.index(name)], np.fmax),
        }
        for name in dict.fromkeys(columns)
        if name in names
    }
    seen = np.zeros(count)
    np.add.at(seen, index, 1)
    expected, measured, network, sound = (np.zeros(count) for _ in range(4))
    for total, name in ((expected, "expected"), (measured, "measured"), (network, "network"), (sound, "audio")):
        np.add.at(total, index, rows[name])
    with np.errstate(invalid="ignore", divide="ignore"):
        pictures = np.where(expected > 0, np.minimum(measured / expected, 1.0), np.nan)
        looked = np.where(seen > 0, network / seen, np.nan)
        heard = np.where(seen > 0, np.minimum(sound / seen, 1.0), np.nan)
    errors = np.zeros(count)
    np.add.at(errors, index, rows["errors"])
    flags = np.zeros(count, np.int64)
    np.bitwise_or.at(flags, index, rows["flags"].astype(np.int64))
    return {
        "since": round(since, 3),
        "step": step,
        "at": [round(since + step * i, 3) for i in range(count)],
        "measures": measures,
        "pictures": [None if v != v else round(v, 4) for v in pictures.tolist()],
        "network": [None if v != v else round(v, 4) for v in looked.tolist()],
        "sound": [None if v != v else round(v, 4) for v in heard.tolist()],
        "decode_errors": [int(v) for v in errors.tolist()],
        "open": [None if not s else bool(f & OPEN) for s, f in zip(seen.tolist(), flags.tolist(), strict=True)],
    }
