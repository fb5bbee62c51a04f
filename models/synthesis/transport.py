"""Plants defects of the transport into real streams, by real means: packets are lost, marked, moved and rewritten.

Everything works on the bytes of an MPEG transport stream of 188-byte packets with one programme, or on a stream that
is encoded or remuxed here. Times are media seconds as the engine counts them, from the stream's first timestamp.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
import numpy.typing as npt

from models.synthesis.planted import Planted

PACKET_BYTES: Final = 188
NULL_PID: Final = 0x1FFF
_PCR_HZ: Final = 27_000_000
_TICKS: Final = 90_000
_WRAP: Final = 1 << 33
# What ends at once still has a first good moment.
_INSTANT_SECONDS: Final = 0.001

Packets = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class Transport:
    """A transport stream, and when which of its bytes are due.

    Args:
        packets: (n, 188) uint8.
        pids: (n,) int64.
        starts: (m,) int64: index of the packet with which each picture begins, in the order of the stream.
        times: (m,) float64: decoding time of each picture, media seconds.
        video: PID of the pictures.
        pmt: PID of the programme's table.
    """

    packets: Packets
    pids: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    video: int
    pmt: int

    @classmethod
    def read(cls, data: bytes) -> "Transport":
        """Take a stream apart.

        Raises: ValueError if it is not whole packets of one programme with pictures.
        """
        if len(data) % PACKET_BYTES or not data:
            raise ValueError(f"{len(data)} bytes are no whole packets of {PACKET_BYTES}")
        packets = np.frombuffer(data, np.uint8).reshape(-1, PACKET_BYTES).copy()
        if (packets[:, 0] != 0x47).any():
            raise ValueError("packets do not begin with 0x47")
        pids = (packets[:, 1].astype(np.int64) & 0x1F) << 8 | packets[:, 2]
        opened: Any = av.open(io.BytesIO(data), format="mpegts")
        with opened as container:
            if not container.streams.video:
                raise ValueError("the stream has no pictures")
            track: Any = container.streams.video[0]
            zero = (container.start_time or 0) / 1e6
            found = [
                (p.pos // PACKET_BYTES, float(p.dts * p.time_base) - zero)
                for p in container.demux(track)
                if p.size and p.pos is not None and p.dts is not None
            ]
            video = track.id
        pat = packets[pids == 0]
        if not len(pat):
            raise ValueError("the stream has no PAT")
        section = pat[0][5:]
        pmt = (int(section[10]) & 0x1F) << 8 | int(section[11])
        starts, times = zip(*found, strict=True)
        return cls(packets, pids, np.array(starts), np.array(times), video, pmt)

    def picture(self, at: float) -> int:
        """Index of the first picture due at or after media second `at`. Raises: ValueError if there is none."""
        later = np.nonzero(self.times >= at)[0]
        if not len(later):
            raise ValueError(f"no picture is due at {at} s; the last one is at {self.times.max():.3f} s")
        return int(later[0])

    def span(self, start: float, end: float) -> tuple[slice, float, float]:
        """The packets of a stretch of media time, and the times of its first picture and of the one after it."""
        first = self.picture(start)
        after = np.nonzero(self.times >= end)[0]
        last = int(after[0]) if len(after) else None
        until = len(self.packets) if last is None else int(self.starts[last])
        begins = max(0.0, float(self.times[first]))
        return slice(int(self.starts[first]), until), begins, float(self.times[last] if last is not None else end)

    def inner(self, at: float, count: int) -> npt.NDArray[np.int64]:
        """Packets from the middle of the picture due at `at`: not the one with its headers."""
        first = self.picture(at)
        until = self.starts[first + 1] if first + 1 < len(self.starts) else len(self.packets)
        inside = np.arange(self.starts[first] + 1, until)
        inside = inside[self.pids[inside] == self.video]
        # Those with an adaptation field carry a PCR or stuffing.
        plain = inside[self.packets[inside, 3] & 0x20 == 0]
        if len(plain) < count:
            raise ValueError(f"the picture at {at} s has {len(plain)} plain packets, not {count}")
        chosen: npt.NDArray[np.int64] = plain[:count]
        return chosen

    def around(self, at: float) -> tuple[float, float]:
        """Times of the picture due at `at`, and of the one after it."""
        first = self.picture(at)
        begins = max(0.0, float(self.times[first]))
        if first + 1 < len(self.times):
            return begins, max(float(self.times[first + 1]), begins + _INSTANT_SECONDS)
        return begins, begins + _INSTANT_SECONDS


def drop_packets(data: bytes, at: float, count: int = 1) -> tuple[bytes, Planted]:
    """Lose packets of the picture due at `at`. Strength: packets."""
    stream = Transport.read(data)
    kept = np.delete(stream.packets, stream.inner(at, count), axis=0)
    start, end = stream.around(at)
    return kept.tobytes(), Planted("stream.continuity", start, end, float(count), {"means": "drop", "count": count})


def repeat_packet(data: bytes, at: float, times: int = 3) -> tuple[bytes, Planted]:
    """Send one packet of the picture due at `at` so many times; twice is allowed. Strength: times."""
    stream = Transport.read(data)
    index = stream.inner(at, 1)[0]
    more = np.repeat(stream.packets[index : index + 1], times - 1, axis=0)
    start, end = stream.around(at)
    made = np.insert(stream.packets, [index + 1] * len(more), more, axis=0)
    return made.tobytes(), Planted("stream.continuity", start, end, float(times), {"means": "repeat", "count": times})


def mark_damaged(data: bytes, at: float, count: int = 1) -> tuple[bytes, Planted]:
    """Set transport_error_indicator on packets of the picture due at `at`. Strength: packets."""
    stream = Transport.read(data)
    stream.packets[stream.inner(at, count), 1] |= 0x80
    start, end = stream.around(at)
    return stream.packets.tobytes(), Planted("stream.continuity", start, end, float(count), {"means": "mark"})


def lose_sync(data: bytes, at: float, missing_bytes: int = 100) -> tuple[bytes, Planted]:
    """Cut bytes out of the middle of two packets of the picture due at `at`. Strength: bytes."""
    stream = Transport.read(data)
    cut = int(stream.inner(at, 2)[1]) * PACKET_BYTES + 10
    start, end = stream.around(at)
    whole = stream.packets.tobytes()
    return whole[:cut] + whole[cut + missing_bytes :], Planted(
        "stream.continuity", start, end, float(missing_bytes), {"means": "cut"}
    )


def flip_bits(data: bytes, start: float, end: float, rate: float, seed: int = 0) -> tuple[bytes, Planted]:
    """Flip bits at random, headers too, as a weak radio link does. Strength: bit error rate."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    bits = np.random.default_rng(seed).random((where.stop - where.start, PACKET_BYTES, 8)) < rate
    stream.packets[where] ^= np.packbits(bits, axis=2)[:, :, 0]
    return stream.packets.tobytes(), Planted("stream.continuity", begins, ends, rate, {"means": "bits", "seed": seed})


def remove_table(data: bytes, start: float, end: float, table: str = "pat") -> tuple[bytes, Planted]:
    """Leave the PAT or the PMT out ("pat", "pmt"); the packets become null packets. Strength: seconds."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    gone = np.zeros(len(stream.packets), bool)
    gone[where] = stream.pids[where] == (0 if table == "pat" else stream.pmt)
    stream.packets[gone, 1:] = 0xFF
    stream.packets[gone, 1] = 0x1F
    stream.packets[gone, 3] = 0x10
    # Later ones count on from the last one that is left.
    later = np.nonzero((stream.pids == (0 if table == "pat" else stream.pmt)) & ~gone)[0]
    later = later[later >= where.stop]
    stream.packets[later, 3] = stream.packets[later, 3] & 0xF0 | (
        (stream.packets[later, 3].astype(np.int64) - int(gone.sum())) & 0x0F
    ).astype(np.uint8)
    planted = Planted("stream.continuity", begins, ends, ends - begins, {"means": "table", "table": table})
    return stream.packets.tobytes(), planted


def _pcr_rows(packets: Packets) -> npt.NDArray[np.int64]:
    has = (packets[:, 3] & 0x20 != 0) & (packets[:, 4] >= 7) & (packets[:, 5] & 0x10 != 0)
    return np.nonzero(has)[0]


def _read_pcr(packet: Packets) -> int:
    base = int.from_bytes(packet[6:11].tobytes(), "big") >> 7
    return base * 300 + ((int(packet[10]) & 1) << 8 | int(packet[11]))


def _write_pcr(packet: Packets, value: int) -> None:
    base, extension = divmod(value % (_WRAP * 300), 300)
    raw = (base << 15 | 0x3F << 9 | extension).to_bytes(6, "big")
    packet[6:12] = np.frombuffer(raw, np.uint8)


def jitter_pcr(data: bytes, start: float, end: float, seconds: float, seed: int = 0) -> tuple[bytes, Planted]:
    """Move every PCR of a stretch by up to `seconds` either way. Strength: seconds."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    draw = np.random.default_rng(seed)
    for row in _pcr_rows(stream.packets[where]) + where.start:
        off = round(float(draw.choice([-1.0, 1.0]) * draw.uniform(0.5, 1.0)) * seconds * _PCR_HZ)
        _write_pcr(stream.packets[row], _read_pcr(stream.packets[row]) + off)
    planted = Planted("stream.continuity", begins, ends, seconds, {"means": "jitter", "seed": seed})
    return stream.packets.tobytes(), planted


def pause_pcr(data: bytes, start: float, end: float) -> tuple[bytes, Planted]:
    """Leave every PCR of a stretch out; stuffing takes its place. Strength: seconds."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    for row in _pcr_rows(stream.packets[where]) + where.start:
        stream.packets[row, 5] &= 0xEF
        stream.packets[row, 6:12] = 0xFF
    return stream.packets.tobytes(), Planted("stream.continuity", begins, ends, ends - begins, {"means": "no pcr"})


def jump_pcr(data: bytes, at: float, seconds: float) -> tuple[bytes, Planted]:
    """Move every PCR from the picture due at `at` on, and nothing else. Strength: seconds, absolute."""
    stream = Transport.read(data)
    first = int(stream.starts[stream.picture(at)])
    for row in _pcr_rows(stream.packets[first:]) + first:
        _write_pcr(stream.packets[row], _read_pcr(stream.packets[row]) + round(seconds * _PCR_HZ))
    start, end = stream.around(at)
    return stream.packets.tobytes(), Planted("stream.continuity", start, end, abs(seconds), {"means": "pcr jump"})


def spoil_table(data: bytes, at: float, table: str = "pat") -> tuple[bytes, Planted]:
    """Change a byte of the first PAT or PMT after the picture due at `at`: its checksum is wrong. Strength: 1."""
    stream = Transport.read(data)
    first = int(stream.starts[stream.picture(at)])
    rows = np.nonzero(stream.pids == (0 if table == "pat" else stream.pmt))[0]
    row = int(rows[rows >= first][0])
    stream.packets[row, 14] ^= 0xFF
    later = np.nonzero(stream.starts > row)[0]
    begins = float(stream.times[max(0, (int(later[0]) if len(later) else len(stream.times)) - 1)])
    planted = Planted(
        "stream.continuity", begins, begins + _INSTANT_SECONDS, 1.0, {"means": "checksum", "table": table}
    )
    return stream.packets.tobytes(), planted


def scramble(data: bytes, start: float, end: float) -> tuple[bytes, Planted]:
    """Mark the pictures' packets of a stretch as scrambled, and change their payload. Strength: seconds."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    rows = np.nonzero(stream.pids[where] == stream.video)[0] + where.start
    plain = rows[stream.packets[rows, 3] & 0x20 == 0]
    stream.packets[plain, 3] |= 0x80
    stream.packets[plain, 4:] ^= 0x5A
    return stream.packets.tobytes(), Planted("stream.continuity", begins, ends, ends - begins, {"means": "scrambled"})


def strip_stamps(data: bytes, start: float, end: float) -> tuple[bytes, Planted]:
    """Leave the PTS and DTS of a stretch of pictures out; stuffing takes their place. Strength: seconds."""
    stream = Transport.read(data)
    where, begins, ends = stream.span(start, end)
    for row in (
        np.nonzero((stream.pids[where] == stream.video) & (stream.packets[where, 1] & 0x40 != 0))[0] + where.start
    ):
        packet = stream.packets[row]
        head = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
        if bytes(packet[head : head + 3]) == b"\0\0\1":
            packet[head + 7] &= 0x3F
            packet[head + 9 : head + 9 + int(packet[head + 8])] = 0xFF
    return stream.packets.tobytes(), Planted("stream.timestamps", begins, ends, ends - begins, {"means": "no pts"})


def _shift_stamp(packet: Packets, at: int, ticks: int) -> None:
    """Move the PTS or DTS at a byte (ISO/IEC 13818-1, 2.4.3.7)."""
    b = [int(v) for v in packet[at : at + 5]]
    value = (b[0] >> 1 & 7) << 30 | b[1] << 22 | (b[2] >> 1) << 15 | b[3] << 7 | b[4] >> 1
    value = (value + ticks) % _WRAP
    packet[at : at + 5] = (
        b[0] & 0xF0 | (value >> 30 & 7) << 1 | 1,
        value >> 22 & 0xFF,
        (value >> 15 & 0x7F) << 1 | 1,
        value >> 7 & 0xFF,
        (value & 0x7F) << 1 | 1,
    )


def jump_timestamps(data: bytes, at: float, seconds: float) -> tuple[bytes, Planted]:
    """Move every PTS, DTS and PCR from the picture due at `at` on. Strength: seconds, absolute."""
    stream = Transport.read(data)
    first = int(stream.starts[stream.picture(at)])
    ticks = round(seconds * _TICKS)
    for row in _pcr_rows(stream.packets[first:]) + first:
        _write_pcr(stream.packets[row], _read_pcr(stream.packets[row]) + ticks * 300)
    for row in np.nonzero(stream.packets[first:, 1] & 0x40)[0] + first:
        packet = stream.packets[row]
        head = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
        if head + 19 > PACKET_BYTES or bytes(packet[head : head + 3]) != b"\0\0\1" or packet[head + 6] >> 6 != 2:
            continue  # a table
        flags = int(packet[head + 7]) >> 6
        if flags & 2:
            _shift_stamp(packet, head + 9, ticks)
        if flags == 3:
            _shift_stamp(packet, head + 14, ticks)
    start, end = stream.around(at)
    return stream.packets.tobytes(), Planted("stream.timestamps", start, end, abs(seconds), {"seconds": seconds})


def _crc(section: bytes) -> bytes:
    """ISO/IEC 13818-1, annex A."""
    value = 0xFFFFFFFF
    for byte in section:
        value ^= byte << 24
        for _ in range(8):
            value = (value << 1 ^ (0x04C11DB7 if value & 0x80000000 else 0)) & 0xFFFFFFFF
    return value.to_bytes(4, "big")


def splice_section(event: int, *, out: bool) -> bytes:
    """A SCTE-35 splice_insert, immediate, of the whole programme (SCTE 35, 9.7.3)."""
    command = event.to_bytes(4, "big") + bytes((0x7F, (0x80 if out else 0) | 0x5F)) + bytes((0, 1, 0, 0))
    body = bytes((0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, len(command), 0x05)) + command + b"\0\0"
    head = bytes((0xFC, 0x30)) + (len(body) + 4).to_bytes(1, "big") + body
    return head + _crc(head)


def add_splices(data: bytes, times: Sequence[float], pid: int = 0x1F0) -> tuple[bytes, list[Planted]]:
    """Announce a SCTE-35 PID in the PMT and send an "out" marker before the picture due at each time. Strength: 1."""
    stream = Transport.read(data)
    for row in np.nonzero(stream.pids == stream.pmt)[0]:
        packet = stream.packets[row]
        head = 4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0)
        section = packet[head + 1 :].tobytes()
        length = 3 + ((section[1] & 0x0F) << 8 | section[2])
        entry = bytes((0x86, 0xE0 | pid >> 8, pid & 0xFF, 0xF0, 0))
        made = bytearray(section[: length - 4] + entry)
        size = len(made) - 3 + 4
        made[1], made[2] = made[1] & 0xF0 | size >> 8, size & 0xFF
        made += _crc(bytes(made))
        packet[head + 1 :] = 0xFF
        packet[head + 1 : head + 1 + len(made)] = np.frombuffer(bytes(made), np.uint8)
    planted, rows, places = [], [], []
    for counter, at in enumerate(times):
        section = splice_section(counter + 1, out=True)
        packet = np.full(PACKET_BYTES, 0xFF, np.uint8)
        whole = bytes((0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | counter & 15, 0)) + section
        packet[: len(whole)] = np.frombuffer(whole, np.uint8)
        place = int(stream.starts[stream.picture(at)])
        # At constant rate it takes a null packet's place; elsewhere it is one more.
        if stream.pids[place - 1] == NULL_PID:
            stream.packets[place - 1] = packet
        else:
            places.append(place)
            rows.append(packet)
        start, end = stream.around(at)
        planted.append(Planted("stream.scte35", start, end, 1.0, {"event": counter + 1}))
    made_stream = np.insert(stream.packets, places, np.array(rows), axis=0) if rows else stream.packets
    return made_stream.tobytes(), planted


# -- streams that are coded here


def _picture(index: int, width: int, height: int) -> Any:
    x, y = np.arange(width)[None, :] + 4 * index, np.arange(height)[:, None]
    rgb = np.stack([(x + y) % 256, (2 * x + 0 * y) % 256, (3 * y + 0 * x) % 256], axis=-1).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")


def _encode(
    width: int, height: int, first: int, count: int, rate: int, gop: int, *, still: bool = False
) -> list[tuple[bytes, int, int]]:
    """Pictures as H.264 access units with their own headers: (bytes, pts, dts) in pictures."""
    context: Any = av.CodecContext.create("libx264", "w")
    context.width, context.height, context.pix_fmt = width, height, "yuv420p"
    context.time_base, context.framerate = Fraction(1, rate), Fraction(rate)
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": f"keyint={gop}:scenecut=0"}
    units = []
    for index in range(first, first + count):
        frame = _picture(first if still else index, width, height)
        frame.pts, frame.time_base = index, Fraction(1, rate)
        units += [(bytes(p), p.pts, p.dts) for p in context.encode(frame)]
    units += [(bytes(p), p.pts, p.dts) for p in context.encode(None)]
    return units


def _mux(path: Path, units: Sequence[tuple[bytes, int, int]], width: int, height: int, rate: int) -> None:
    with av.open(str(path), "w", format="mpegts") as container:
        track: Any = container.add_stream("libx264", rate=rate)
        track.width, track.height, track.pix_fmt = width, height, "yuv420p"
        for data, pts, dts in units:
            packet = av.Packet(data)
            packet.stream, packet.pts, packet.dts, packet.time_base = track, pts, dts, Fraction(1, rate)
            packet.is_keyframe = b"\0\0\1\x65" in data
            container.mux(packet)


def late_sound(source: Path, path: Path, seconds: float) -> Planted:
    """A stream without the sound of its first `seconds`. Strength: seconds.

    Args:
        source: a file with pictures and sound.
        path: to write; its suffix decides the container.
        seconds: media seconds.
    """
    opened: Any = av.open(str(source))
    with opened as given, av.open(str(path), "w") as made:
        tracks = {s.index: made.add_stream_from_template(s) for s in (given.streams.video[0], given.streams.audio[0])}
        zero = (given.start_time or 0) / 1e6
        first = None
        for packet in given.demux(list(given.streams.video[:1]) + list(given.streams.audio[:1])):
            if not packet.size or packet.pts is None:
                continue
            at = float(packet.pts * packet.time_base) - zero
            if packet.stream.type == "audio":
                if at < seconds:
                    continue
                first = at if first is None else first
            packet.stream = tracks[packet.stream.index]
            made.mux(packet)
    if first is None:
        raise ValueError(f"{source.name} has no sound after {seconds} s")
    return Planted("stream.av_offset", 0.0, first, first, {})


def starved(path: Path, start: float, end: float, seconds: float, rate: int = 25) -> Planted:
    """A stream whose pictures stand still from `start` to `end`, for next to no bits. Strength: bitrate over bitrate.

    Args:
        path: of the transport stream to write.
        start, end, seconds: whole media seconds: of the still part, and of the whole stream.
    """
    size = (160, 96)
    moving = _encode(*size, 0, round(start * rate), rate, 10**6)
    still = _encode(*size, round(start * rate), round((end - start) * rate), rate, 10**6, still=True)
    after = _encode(*size, round(end * rate), round((seconds - end) * rate), rate, 10**6)
    _mux(path, moving + still + after, *size, rate)
    full = sum(len(data) for data, _, _ in moving) / start
    least = sum(len(data) for data, _, _ in still[1:]) / (end - start)
    return Planted("stream.bitrate", start, end, full / least, {"rate": rate, "kbps": least * 8e-3})


def starved_keys(path: Path, start: float, end: float, seconds: float, rate: int = 25) -> Planted:
    """A stream with a key frame each second, except between two of them. Strength: seconds without one.

    Args:
        path: of the transport stream to write.
        start, end: whole media seconds: the last key frame before the gap, and the next one.
        seconds: of the whole stream.
    """
    size = (160, 96)
    parts = ((0.0, start, rate), (start, end, 10**6), (end, seconds, rate))
    units = [
        unit
        for begin, until, gop in parts
        for unit in _encode(*size, round(begin * rate), round((until - begin) * rate), rate, gop)
    ]
    _mux(path, units, *size, rate)
    return Planted("stream.gop", start, end, end - start, {"rate": rate})


def changed_size(
    path: Path, at: float, seconds: float, sizes: tuple[tuple[int, int], tuple[int, int]], rate: int = 25
) -> Planted:
    """A stream whose pictures change their size at `at`. Strength: ratio of the areas.

    Args:
        path: of the transport stream to write.
        at, seconds: media seconds: of the change, and of the whole stream.
        sizes: luma samples before and after.
    """
    before, after = sizes
    units = _encode(*before, 0, round(at * rate), rate, rate)
    units += _encode(*after, round(at * rate), round((seconds - at) * rate), rate, rate)
    _mux(path, units, *before, rate)
    areas = sorted((before[0] * before[1], after[0] * after[1]))
    return Planted("stream.format_change", at, at + _INSTANT_SECONDS, areas[1] / areas[0], {"rate": rate})


def changed_rate(path: Path, at: float, seconds: float, rates: tuple[int, int] = (50, 25)) -> Planted:
    """A stream whose picture rate changes at `at`. Strength: ratio of the rates.

    Args:
        path: of the transport stream to write.
        at, seconds: media seconds: of the change, and of the whole stream.
        rates: pictures a second before and after; the first a multiple of the second.
    """
    size, (before, after) = (160, 96), rates
    step = before // after
    first = _encode(*size, 0, round(at * before), before, before)
    second = _encode(*size, 0, round((seconds - at) * after), after, after)
    shift = round(at * before)
    units = first + [(data, shift + step * pts, shift + step * dts) for data, pts, dts in second]
    _mux(path, units, *size, before)
    return Planted("stream.format_change", at, at + _INSTANT_SECONDS, before / after, {"before": before})


def caption_sei(pair: tuple[int, int]) -> bytes:
    """An H.264 SEI unit with one CEA-608 byte pair (ATSC A/53 Part 4, 6.2; SCTE 128-1)."""
    cc = bytes((0xC1, 0xFF, 0xFC, *pair, 0xFF))
    body = b"\xb5\x00\x31GA94\x03" + cc
    return b"\0\0\0\1\x06" + bytes((4, len(body))) + body + b"\x80"


def lost_captions(path: Path, start: float, end: float | None, seconds: float, rate: int = 25) -> Planted:
    """A stream with captions in every picture, except from `start` to `end` (None: to its end). Strength: seconds.

    Args:
        path: of the transport stream to write.
        start, end, seconds: media seconds: without captions, and of the whole stream.
    """
    size = (160, 96)
    until = seconds if end is None else end
    units = []
    for data, pts, dts in _encode(*size, 0, round(seconds * rate), rate, rate):
        lost = start <= pts / rate < until
        units.append((data if lost else caption_sei((0x94, 0x20)) + data, pts, dts))
    _mux(path, units, *size, rate)
    return Planted("stream.captions_missing", start, until, until - start, {"rate": rate})
