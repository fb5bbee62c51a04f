"""What an MPEG transport stream says of its own health: ETSI TR 101 290, as far as packets show it.

Priority 1: sync loss (1.1), sync byte (1.2), PAT (1.3), continuity (1.4), PMT (1.5). Priority 2: transport error (2.1),
CRC of the tables (2.2), PCR interval and discontinuity (2.3), PCR accuracy (2.4, only where the multiplex has a
constant rate, since else no position says what a PCR should be), CAT (2.6). A lost elementary stream (1.6) is for
`stream.missing_video` and `stream.missing_audio`, which hear it from the decoders; PTS intervals (2.5) are the
demuxer's packets' own, see timeline.py.

Two rules are softer than the report's, because segmented streams (HLS) break them by design and play well: a table is
missed only where it used to come often enough before, and so is a PCR. An HLS segment has one PAT, at its start.

Belongs to the thread that feeds it. No input makes it raise.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from engine.ingest import ts_packets
from engine.ingest.splice import TABLE_ID as SPLICE_TABLE
from engine.ingest.splice import parse_splice
from engine.ingest.ts_framing import NULL_PID, PACKET_BYTES, PIDS, find_framing
from engine.ingest.ts_packets import Event

_PCR_HZ: Final = 27_000_000
_PCR_WRAP: Final = 2**33 * 300
_PMT_TABLE: Final = 0x02
_STREAM_SPLICE: Final = 0x86  # SCTE 35, 8.1
_STREAM_PRIVATE: Final = 0x06
# ISO/IEC 13818-1, table 2-34, ATSC A/53 and A/52. What else there is has no name of its own here.
_CODECS: Final = {
    0x01: "MPEG-1", 0x02: "MPEG-2", 0x10: "MPEG-4", 0x1B: "H.264", 0x24: "HEVC", 0x33: "VVC", 0x03: "MPEG audio",
    0x04: "MPEG audio", 0x0F: "AAC", 0x11: "AAC (LATM)", 0x81: "AC-3", 0x87: "E-AC-3",
}  # fmt: skip
# EN 300 468, table 12: VBI data, VBI teletext, teletext, subtitling.
_DESCRIPTORS_OF_SUBTITLES: Final = frozenset((0x45, 0x46, 0x56, 0x59))
_MAX_SECTION: Final = 4096
_MAX_PROGRAMS: Final = 64
# How often a table or a PCR has to have come in time before its absence counts.
_REGULAR: Final = 4
# A gap that is no longer than what was usual before is the multiplexer's habit.
_HABIT: Final = 3.0
_RECENT: Final = 8
# PCRs in a row that hold the accuracy before the rate counts as constant, and that break it before it no longer does.
_CONSTANT: Final = 16
_ASTRAY_SECONDS: Final = 0.01
_REMEMBERED_MARKERS: Final = 32
_UNFRAMED_BYTES: Final = 1 << 20

_CAT_PID: Final = 1
_CAT_TABLE: Final = 0x01

FaultKind = Literal["sync", "pat", "pmt", "continuity", "transport_error", "crc", "pcr", "pcr_jitter", "cat"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Thresholds, in seconds.

    Args:
        table_seconds: longest time without a PAT or PMT. TR 101 290, 1.3.a and 1.5.a: 0.5 s.
        pcr_seconds: longest time between PCRs, and largest jump without discontinuity_indicator. TR 101 290,
            2.3: 0.1 s.
        pcr_jitter_seconds: largest deviation of a PCR from its place at constant rate. TR 101 290, 2.4: 500 ns.
    """

    table_seconds: float = 0.5
    pcr_seconds: float = 0.5
    pcr_jitter_seconds: float = 500e-9


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that a healthy transport stream does not have.

    Args:
        position: byte in the stream.
        kind: which rule was broken.
        pid: where; -1 where no PID can be named.
        text: one line for people.
        clock_jump_seconds: by how much the PCR jumped, where that is the fault.
    """

    position: int
    kind: FaultKind
    pid: int
    text: str
    clock_jump_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Marker:
    """Something to note that is no fault: a SCTE-35 marker, another codec.

    Args:
        position: byte in the stream.
        text: what it says.
    """

    position: int
    text: str


@dataclass(frozen=True, slots=True)
class OtherTracks:
    """From a table on, an elementary stream is coded otherwise, or has another PID: a demuxer has to begin anew.

    Args:
        position: byte of the table that says so.
        begins_at: byte of the first table that a demuxer needs from there on.
        pids: of the streams that do not go on.
    """

    position: int
    begins_at: int
    pids: frozenset[int]


@dataclass(slots=True)
class _Table:
    """When a table came. Times are of the stream's own clock."""

    name: Literal["pat", "pmt"]
    pid: int
    last: float | None = None  # the first PCR after the last one came: an absence is never overstated
    fresh: bool = True
    regular: int = 0
    reported: int = 0


class TransportStream:
    """Reads a transport stream in pieces, in the order of its bytes.

    Args:
        limits: what counts as a fault.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.splice_position: int | None = None
        """Byte at which the last splice information came, heartbeats included."""
        self.subtitle_packets = 0
        """Packets of teletext and subtitle PIDs so far."""
        self.has_splice = False
        self.has_subtitles = False
        self._counters = ts_packets.new_counters()
        self._watched: npt.NDArray[np.bool_] = np.zeros(PIDS, np.bool_)
        self._watched[[0, _CAT_PID]] = True
        self._packets: npt.NDArray[np.int64] = np.zeros(PIDS, np.int64)
        self._events: npt.NDArray[np.int64] = np.zeros((ts_packets.MAX_EVENTS, ts_packets.EVENT_FIELDS), np.int64)
        self._framing: tuple[int, int] | None = None
        self._rest = b""
        self._position = 0  # of the first byte of `_rest`
        self._flags = ts_packets.new_flags()
        self._sections: dict[int, bytearray] = {}
        self._good: dict[int, bytes] = {}  # the last section per PID whose CRC was right
        self._tables: dict[int, _Table] = {0: _Table("pat", 0)}
        self._programs: dict[int, tuple[int, frozenset[int], frozenset[int]]] = {}  # PMT PID: PCR, splice, subtitles
        self._subtitles: frozenset[int] = frozenset()
        self._markers: deque[bytes] = deque(maxlen=_REMEMBERED_MARKERS)
        self._pcr_pid: int | None = None
        self._clock = 0.0  # seconds of the stream's own clock, without jumps
        self._pcr: int | None = None
        self._pcr_position = 0
        self._intervals: deque[float] = deque(maxlen=_RECENT)
        self._steps: deque[tuple[int, int]] = deque(maxlen=_CONSTANT)  # (bytes, PCR ticks)
        self._strays = 0
        self._strayed = 0.0  # ticks by which they lie apart from their places altogether
        self._has_cat = False
        self._scrambled_since: float | None = None
        self._scrambled = (0, False)  # how often they were of late; whether some were since the last PCR
        self._broken = False  # since the last PCR: its position says nothing
        self._firsts: dict[int, int] = {}  # of this segment, and of the one before: the first counter of each PID
        self._firsts_before: dict[int, int] = {}
        self._restarts = False  # the tables of this segment are counted as in the one before
        self._kinds: dict[int, int] = {}  # stream type of each PID
        self._codecs: dict[int, dict[int, str]] = {}  # of each program's streams, by its PMT's PID
        self._begins_at: int | None = None  # of the newest PAT that no PMT came after yet
        self.faults: list[Fault] = []
        self.markers: list[Marker] = []
        self.changes: list[Marker] = []
        """Elementary streams whose codec has become another one."""
        self.others: list[OtherTracks] = []
        """Where a demuxer that goes by the tables of before reads nothing, or nonsense."""

    def begin_segment(self, *, anew: bool) -> None:
        """What is fed from here on is another segment of a playlist; what came before it was fed whole.

        Args:
            anew: nothing goes on from before: a break was announced, or segments between were not read.
        """
        if self._framing is not None:
            if self._rest and self._flags[0] and not anew:
                self._fault(self._position, "sync", -1, "a segment ends within a packet")
            self._position += len(self._rest)
            self._rest = b""
            self._flags[0] = True
        ts_packets.mark_border(self._counters, anew=anew)
        self._firsts_before, self._firsts, self._restarts = {} if anew else self._firsts, {}, False
        self._broken = True  # how far a packet lies behind a border says nothing of the rate
        self._sections.clear()
        if anew:
            self._pcr = None
            self._kinds.clear()
            self._codecs.clear()
            self._intervals.clear()
            self._steps.clear()

    def forget_from(self, others: OtherTracks) -> None:
        """Tell nothing of what lies behind a change of tracks: whoever goes on there reads it anew."""
        self.faults = [fault for fault in self.faults if fault.position < others.begins_at]
        self.markers = [marker for marker in self.markers if marker.position < others.begins_at]
        self.changes = [change for change in self.changes if change.position <= others.position]

    def feed(self, data: bytes) -> None:
        """Read on. What is found is added to `faults` and `markers`, in the order of the stream."""
        joined = self._rest + data if self._rest else data
        values = np.frombuffer(joined, np.uint8)
        at = 0
        if self._framing is None:
            found = find_framing(values)
            if found is None:
                if len(joined) > _UNFRAMED_BYTES:  # no transport stream, or none yet
                    self._position += len(joined) - 5 * PACKET_BYTES
                    joined = joined[-5 * PACKET_BYTES :]
                self._rest = joined
                return
            self._framing, at = found[:2], found[2]
        while True:
            end, count = ts_packets.scan(
                values,
                at,
                self._position,
                self._framing,
                self._counters,
                self._flags,
                self._watched,
                self._packets,
                self._events,
            )
            if count:
                self._take(self._events[:count].tolist(), joined)
            if end == at:
                break
            at = end
        if self._subtitles:
            self.subtitle_packets = int(sum(self._packets[pid] for pid in self._subtitles))
        self._position += at
        self._rest = joined[at:]

    def _take(self, events: list[list[int]], data: bytes) -> None:
        for kind, position, pid, value in events:
            if kind in (Event.PCR, Event.PCR_ANEW):
                if self._pcr_pid is None or pid == self._pcr_pid:
                    self._take_pcr(position, pid, value, anew=kind == Event.PCR_ANEW)
            elif kind == Event.WATCHED:
                assert self._framing is not None
                head = value + self._framing[1]
                self._take_packet(position, pid, data[head : head + PACKET_BYTES])
            elif kind == Event.CONTINUITY:
                self._broken = True
                self._sections.pop(pid, None)
                what = f"{value} or more packets lost" if value else "a packet came more than twice"
                self._fault(position, "continuity", pid, f"continuity of PID {pid}: {what}")
            elif kind == Event.FIRST:
                self._take_first(position, pid, value)
            elif kind == Event.TRANSPORT_ERROR:
                self._fault(position, "transport_error", pid, "packet marked as damaged (transport_error_indicator)")
            elif kind == Event.SCRAMBLED:
                self._scrambled = self._scrambled[0], True
            elif kind == Event.SYNC_BYTE:
                self._fault(position, "sync", -1, "wrong sync byte")
            else:
                self._broken = True
                self._fault(position, "sync", -1, "sync lost")

    def _fault(self, position: int, kind: FaultKind, pid: int, text: str) -> None:
        self.faults.append(Fault(position, kind, pid, text))

    def _take_first(self, position: int, pid: int, value: int) -> None:
        """The first packet of a PID in a segment.

        Some packagers write each segment for itself, and count from the same number in each. Players do not mind, so
        that is no loss.
        """
        counter, expected, excused = ts_packets.first_of(value)
        self._firsts[pid] = counter
        if expected is None or excused or counter == expected:
            return
        before, tables = self._firsts_before, self._firsts.get(0)
        as_before = before.get(pid) == counter
        if pid == 0:
            self._restarts = as_before
        if (as_before and (tables is None or before.get(0) == tables)) or (self._restarts and pid not in before):
            return
        self._broken = True
        lost = counter - expected & 15
        self._fault(position, "continuity", pid, f"continuity of PID {pid}: {lost} or more packets lost at a border")

    # -- clock

    def _take_pcr(self, position: int, pid: int, value: int, *, anew: bool) -> None:
        before, self._pcr = self._pcr, value
        travelled, self._pcr_position = position - self._pcr_position, position
        self._pcr_pid = pid
        broken, self._broken = self._broken, False
        if before is None or anew:
            self._steps.clear()
            self._advance(position, 0.0)
            return
        ticks = (value - before + _PCR_WRAP // 2) % _PCR_WRAP - _PCR_WRAP // 2
        seconds = ticks / _PCR_HZ
        usual = max(self._intervals, default=0.0)
        limit = max(self.limits.pcr_seconds, _HABIT * usual)
        if ticks < 0 or (seconds > limit and len(self._intervals) >= _REGULAR):
            self.faults.append(Fault(position, "pcr", pid, f"PCR jumps by {seconds:.3f} s", seconds))
            self._intervals.clear()
            self._steps.clear()
            self._advance(position, 0.0)
            return
        self._intervals.append(seconds)
        if not broken:
            self._judge_accuracy(position, pid, travelled, ticks)
        self._advance(position, seconds)

    def _judge_accuracy(self, position: int, pid: int, travelled: int, ticks: int) -> None:
        """Compare a PCR with its place in a multiplex of constant rate, where the last ones had theirs."""
        steps = self._steps
        if len(steps) < _CONSTANT:
            steps.append((travelled, ticks))
            return
        rate = sum(b for b, _ in steps) / max(1, sum(t for _, t in steps))
        allowed = self.limits.pcr_jitter_seconds * _PCR_HZ
        if rate <= 0 or any(abs(t - b / rate) > allowed for b, t in steps):
            steps.append((travelled, ticks))  # not constant
            return
        off = ticks - travelled / rate
        if abs(off) <= allowed:
            steps.append((travelled, ticks))
            self._strays, self._strayed = 0, 0.0
            return
        self._strays += 1
        self._strayed += off
        # PCRs that jitter stay about their places, however long; those of another rate depart from them.
        if self._strays > _CONSTANT and abs(self._strayed) > _ASTRAY_SECONDS * _PCR_HZ:
            steps.clear()
            self._strays, self._strayed = 0, 0.0
            return
        self._fault(position, "pcr_jitter", pid, f"PCR is {abs(off) / _PCR_HZ * 1e6:.1f} us from its place")

    def _take_scrambling(self, position: int) -> None:
        """Scrambled packets between more than a third of the PCRs want a CAT; a few are bits that fell over."""
        weight, some = self._scrambled
        weight = min(weight + 2, 4 * _REGULAR) if some else max(weight - 1, 0)
        self._scrambled = weight, False
        if not weight:
            self._scrambled_since = None
        elif self._scrambled_since is None:
            self._scrambled_since = self._clock
        if self._has_cat or self._scrambled_since is None or weight < 2 * _REGULAR:
            return
        if self._clock - self._scrambled_since < self.limits.table_seconds:
            return
        self._fault(position, "cat", _CAT_PID, "scrambled packets without a CAT")
        self._scrambled_since = self._clock  # one error for each such time, as for the other tables

    def _advance(self, position: int, seconds: float) -> None:
        self._clock += seconds
        self._take_scrambling(position)
        for table in self._tables.values():
            if table.fresh:
                if table.last is not None:
                    apart = self._clock - table.last
                    table.regular = min(table.regular + 1, _REGULAR) if apart <= self.limits.table_seconds else 0
                table.last, table.fresh, table.reported = self._clock, False, 0
                continue
            if table.last is None or table.regular < _REGULAR:
                continue
            # One error for each such time, as the report counts.
            absent = self._clock - table.last
            periods = int(absent / self.limits.table_seconds)
            if periods > table.reported:
                table.reported = periods
                self._fault(position, table.name, table.pid, f"no {table.name.upper()} for {absent:.1f} s")

    # -- tables

    def _take_packet(self, position: int, pid: int, packet: bytes) -> None:
        """A packet of a watched PID: put its sections together."""
        at = 4
        if packet[3] & 0x20:
            at += 1 + packet[4]
        payload = packet[at:]
        if not payload:
            return
        if packet[1] & 0x40:
            pointer = payload[0]
            open_section = self._sections.get(pid)
            if open_section is not None:
                open_section += payload[1 : 1 + pointer]
                self._complete(position, pid, open_section)
            self._sections[pid] = bytearray(payload[1 + pointer :])
        elif pid in self._sections:
            self._sections[pid] += payload
        else:
            return
        self._complete(position, pid, self._sections[pid])

    def _complete(self, position: int, pid: int, buffer: bytearray) -> None:
        """Take every whole section off the front of a buffer."""
        while len(buffer) >= 3:
            if buffer[0] == 0xFF:  # stuffing to the end of the packet
                buffer.clear()
                return
            length = 3 + ((buffer[1] & 0x0F) << 8 | buffer[2])
            if length > _MAX_SECTION:
                buffer.clear()
                return
            if len(buffer) < length:
                return
            section = bytes(buffer[:length])
            del buffer[:length]
            self._take_section(position, pid, section)

    def _take_section(self, position: int, pid: int, section: bytes) -> None:
        known = self._good.get(pid) == section
        if not known and (len(section) < 12 or crc32_mpeg(section) != 0):
            self._fault(position, "crc", pid, f"table on PID {pid} fails its checksum")
            return
        if pid == _CAT_PID:
            self._good[pid] = section
            self._has_cat = self._has_cat or section[0] == _CAT_TABLE
            if section[0] != _CAT_TABLE:
                self._fault(position, "cat", pid, f"table {section[0]:#04x} in place of a CAT")
            return
        if section[0] == SPLICE_TABLE:
            self._take_splice(position, section)
            return
        table = self._tables.get(pid)
        if table is not None and section[0] == (0 if table.name == "pat" else _PMT_TABLE):
            table.fresh = True
            if table.name == "pat":
                self._begins_at = position
            if not known:
                self._good[pid] = section
                if table.name == "pat":
                    self._take_pat(section)
                else:
                    self._take_pmt(position, pid, section)
            if table.name == "pmt":
                self._begins_at = None

    def _take_pat(self, section: bytes) -> None:
        """ISO/IEC 13818-1, 2.4.4.3."""
        pids: set[int] = set()
        for at in range(8, len(section) - 7, 4):
            program = section[at] << 8 | section[at + 1]
            pid = (section[at + 2] & 0x1F) << 8 | section[at + 3]
            if program and pid and pid != NULL_PID and len(pids) < _MAX_PROGRAMS:
                pids.add(pid)
        for gone in set(self._tables) - pids - {0}:
            del self._tables[gone]
            self._good.pop(gone, None)
            self._programs.pop(gone, None)
        for pid in pids - set(self._tables):
            self._tables[pid] = _Table("pmt", pid)
        self._watch()

    def _take_pmt(self, position: int, pid: int, section: bytes) -> None:
        """ISO/IEC 13818-1, 2.4.4.8."""
        pcr = (section[8] & 0x1F) << 8 | section[9]
        at = 12 + ((section[10] & 0x0F) << 8 | section[11])
        splice: set[int] = set()
        subtitles: set[int] = set()
        otherwise: set[int] = set()
        codecs: dict[int, str] = {}
        while at + 5 <= len(section) - 4:
            kind = section[at]
            stream = (section[at + 1] & 0x1F) << 8 | section[at + 2]
            length = (section[at + 3] & 0x0F) << 8 | section[at + 4]
            descriptors = section[at + 5 : at + 5 + length]
            at += 5 + length
            before, codec = _CODECS.get(self._kinds.get(stream, kind)), _CODECS.get(kind)
            if before is not None and codec is not None and before != codec:
                self.changes.append(Marker(position, f"{before} -> {codec}"))
                otherwise.add(stream)
            if codec is not None:
                codecs[stream] = codec
            self._kinds[stream] = kind
            if kind == _STREAM_SPLICE:
                splice.add(stream)
            elif kind == _STREAM_PRIVATE and _tags(descriptors) & _DESCRIPTORS_OF_SUBTITLES:
                subtitles.add(stream)
        self._programs[pid] = (pcr, frozenset(splice), frozenset(subtitles))
        before_it = self._codecs.get(pid, {})
        if codecs.keys() - before_it.keys():  # a stream that only ends has no successor
            otherwise |= before_it.keys() - codecs.keys()
        self._codecs[pid] = codecs
        if otherwise:
            begins_at = position if self._begins_at is None else self._begins_at
            self.others.append(OtherTracks(position, begins_at, frozenset(otherwise)))
        if pcr not in (self._pcr_pid, NULL_PID) and len(self._tables) <= 2:
            # Before, it was a guess: the first PID that had any.
            self._pcr_pid, self._pcr = pcr, None
            self._intervals.clear()
            self._steps.clear()
        self._watch()

    def _watch(self) -> None:
        splice = {pid for _, pids, _ in self._programs.values() for pid in pids}
        self._subtitles = frozenset(pid for _, _, pids in self._programs.values() for pid in pids)
        self._watched[:] = False
        self._watched[list({_CAT_PID, *self._tables, *splice})] = True
        self.has_splice = self.has_splice or bool(splice)
        self.has_subtitles = self.has_subtitles or bool(self._subtitles)

    def _take_splice(self, position: int, section: bytes) -> None:
        self.splice_position = position
        splice = parse_splice(section)
        # Senders repeat a marker until it is due.
        if splice is not None and not splice.idle and section not in self._markers:
            self._markers.append(section)
            self.markers.append(Marker(position, splice.text))


def _tags(descriptors: bytes) -> set[int]:
    tags, at = set(), 0
    while at + 2 <= len(descriptors):
        tags.add(descriptors[at])
        at += 2 + descriptors[at + 1]
    return tags


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
        table.append(value)
    return tuple(table)


_CRC: Final = _crc_table()


def crc32_mpeg(data: bytes) -> int:
    """The tables' checksum; 0 for a whole section with its own at the end.

    Source: ISO/IEC 13818-1, annex A.
    """
    value = 0xFFFFFFFF
    for byte in data:
        value = value << 8 & 0xFFFFFFFF ^ _CRC[value >> 24 ^ byte]
    return value
