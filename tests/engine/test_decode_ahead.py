"""Decoding ahead gives what decoding packet by packet gives, and stops where the timeline is cut."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from made_clips import make
from properties import given, st

from engine.decode.ahead import DecodeAhead
from engine.decode.software import SoftwareVideoDecoder
from engine.errors import DecodeError
from engine.ingest.source import Source
from engine.media import Packet, Surface, Track
from engine.queues import QueueClosed

Row = tuple[float, int, bool, list[float]]


def opened(path: Path) -> tuple[Source, SoftwareVideoDecoder]:
    source = Source(str(path), stream="s")
    info = source.open()
    assert info.video is not None
    return source, SoftwareVideoDecoder(info.video, "s")


def row_of(packet: Packet, errors: int, surfaces: list[Surface]) -> Row:
    return packet.pts or 0.0, errors, any(s.corrupt for s in surfaces), [s.pts for s in surfaces]


def one_by_one(path: Path) -> tuple[list[Row], list[float]]:
    """For each packet of pictures: its time, the errors up to it, and what came of it; and what is held back."""
    source, decoder = opened(path)
    rows = []
    for packet in source.packets():
        if packet.track == "video":
            surfaces = decoder.decode(packet)
            rows.append(row_of(packet, decoder.errors, surfaces))
    return rows, [s.pts for s in decoder.flush()]


def damaged(path: Path) -> Path:
    """The clip with bytes overwritten in the middle of every seventh packet of pictures."""
    made = path.with_name(f"damaged-{path.name}")
    whole = bytearray(path.read_bytes())
    source, _ = opened(path)
    for number, packet in enumerate(p for p in source.packets() if p.track == "video"):
        if number % 7 == 3 and packet.position is not None and packet.size > 64:
            middle = packet.position + packet.size // 2
            whole[middle : middle + 24] = b"\x5a" * 24
    made.write_bytes(whole)
    return made


@pytest.mark.parametrize("pictures", [1, 3, 8, 500])
@pytest.mark.parametrize("spoilt", [False, True])
def test_what_comes_of_each_packet_does_not_depend_on_decoding_ahead(pictures: int, spoilt: bool) -> None:
    path = make("av.mp4")
    if spoilt:
        path = damaged(path)
    wanted, held_back = one_by_one(path)
    assert any(errors for _, errors, _, _ in wanted) == spoilt
    source, decoder = opened(path)
    ahead = DecodeAhead(decoder, pictures, "s", lambda: False)
    found, others = [], 0
    for packet in ahead.read(source.packets(), lambda: 0):
        if packet.track != "video":
            others += 1
            continue
        surfaces = ahead.decode(packet)
        found.append(row_of(packet, ahead.errors, surfaces))
    assert found == wanted
    assert others > 0
    assert [s.pts for s in ahead.flush()] == held_back
    ahead.close()
    ahead.close()


@pytest.mark.parametrize("left_at", [1, 9, 24])
def test_pictures_behind_the_place_where_a_reader_leaves_are_not_given(left_at: int) -> None:
    source, decoder = opened(make("av.mp4"))
    packets = list(source.packets())
    ahead = DecodeAhead(decoder, 8, "s", lambda: False)
    times: list[float] = []
    asked: list[float] = []
    for packet in ahead.read(iter(packets), lambda: 0):
        if packet.track == "video":
            times += [s.pts for s in ahead.decode(packet)]
            asked.append(packet.pts or 0.0)
            if len(asked) == left_at:
                break
    times += [s.pts for s in ahead.flush()]
    assert [round(t, 4) for t in times] == sorted(round(t, 4) for t in asked)
    ahead.close()


class Scripted:
    """Writes down what is asked of it, and gives a picture per packet."""

    name: Literal["nvdec", "software"] = "software"

    def __init__(self) -> None:
        self.errors = 0
        self.calls: list[str] = []
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def decode(self, packet: Packet) -> list[Surface]:
        self.calls.append(f"{packet.pts:g}")
        self.reached.set()
        assert self.go_on.wait(5.0)
        if packet.corrupt:
            raise DecodeError("resolution over limit", stream="s", why="", remedy="")
        return []

    def flush(self) -> list[Surface]:
        self.calls.append("flush")
        return []

    def close(self) -> None:
        self.calls.append("close")


def row(pts: float, offset: float = 0.0, track: Track = "video", *, corrupt: bool = False) -> Packet:
    return Packet("s", track, pts, pts, offset, 1, False, corrupt, None)


def test_nothing_behind_a_cut_is_decoded_before_the_reader_has_flushed() -> None:
    decoder = Scripted()
    ahead = DecodeAhead(decoder, 2, "s", lambda: False)
    packets = [row(t) for t in range(5)] + [row(t, 100.0) for t in range(5, 9)]
    offset = None
    for packet in ahead.read(iter(packets), lambda: 0):
        if packet.offset != offset:
            if offset is not None:
                ahead.flush()
            offset = packet.offset
        ahead.decode(packet)
    assert decoder.calls == ["0", "1", "2", "3", "4", "flush", "5", "6", "7", "8"]
    ahead.close()


def test_a_jump_is_known_at_its_packet_and_not_before() -> None:
    decoder, jumps = Scripted(), 0

    def packets() -> Iterator[Packet]:
        nonlocal jumps
        for t in range(12):
            if t == 7:
                jumps = 1
            yield row(t, track="audio" if t % 3 else "video")

    ahead = DecodeAhead(decoder, 2, "s", lambda: False)
    known = []
    for packet in ahead.read(packets(), lambda: jumps):
        if packet.track == "video":
            ahead.decode(packet)
        known.append(ahead.found)
    assert known == [0] * 7 + [1] * 5
    ahead.close()


def test_a_failure_is_raised_at_its_own_packet() -> None:
    decoder = Scripted()
    ahead = DecodeAhead(decoder, 4, "s", lambda: False)
    packets = [row(0), row(1), row(2, corrupt=True), row(3)]
    reader = ahead.read(iter(packets), lambda: 0)
    ahead.decode(next(reader))
    ahead.decode(next(reader))
    third = next(reader)
    with pytest.raises(DecodeError, match="resolution over limit"):
        ahead.decode(third)
    ahead.decode(next(reader))
    ahead.close()


def test_packets_that_nobody_asks_for_are_passed_over() -> None:
    decoder = Scripted()
    ahead = DecodeAhead(decoder, 2, "s", lambda: False)
    for packet in ahead.read(iter([row(t) for t in range(9)]), lambda: 0):
        if packet.pts not in (1, 2, 5):
            ahead.decode(packet)
    assert decoder.calls == [f"{t}" for t in range(9)]
    ahead.close()


def test_where_pictures_are_rare_little_is_read_ahead() -> None:
    taken = 0

    def packets() -> Iterator[Packet]:
        nonlocal taken
        for t in range(5000):
            taken += 1
            yield row(t, track="audio")

    ahead = DecodeAhead(Scripted(), 8, "s", lambda: False)
    next(ahead.read(packets(), lambda: 0))
    assert taken <= 600
    ahead.close()


@pytest.mark.parametrize("sound", [1, 255, 256, 300, 700])
def test_pictures_that_begin_late_are_decoded_in_order(sound: int) -> None:
    decoder = Scripted()
    ahead = DecodeAhead(decoder, 2, "s", lambda: False)
    packets = [row(0, track="audio")] * sound + [row(t) for t in range(9)]
    for packet in ahead.read(iter(packets), lambda: 0):
        if packet.track == "video":
            ahead.decode(packet)
    assert decoder.calls == [f"{t}" for t in range(9)]
    ahead.close()


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0, 0, 0, 1])), max_size=60), st.integers(1, 5))
def test_any_order_of_tracks_and_cuts_is_decoded_as_one_by_one(rows: list[tuple[bool, int]], pictures: int) -> None:
    packets, wanted, offset, last = [], [], 0, None
    for number, (video, cut) in enumerate(rows):
        offset += cut
        packets.append(row(number, offset, "video" if video else "audio"))
        if last is not None and offset != last:
            wanted.append("flush")
        last = offset
        wanted += [f"{number}"] * video
    decoder, given_, before = Scripted(), [], None
    ahead = DecodeAhead(decoder, pictures, "s", lambda: False)
    for packet in ahead.read(iter(packets), lambda: 0):
        if before is not None and packet.offset != before:
            ahead.flush()
        before = packet.offset
        if packet.track == "video":
            ahead.decode(packet)
        given_.append(packet)
    ahead.close()
    assert given_ == packets
    assert decoder.calls == [*wanted, "close"]


def test_it_ends_while_its_decoder_is_at_work() -> None:
    decoder, stop = Scripted(), threading.Event()
    decoder.go_on.clear()
    ahead = DecodeAhead(decoder, 2, "s", stop.is_set)
    reader = ahead.read(iter([row(t) for t in range(40)]), lambda: 0)
    packet = next(reader)

    def ask() -> None:
        with pytest.raises(QueueClosed):
            ahead.decode(packet)

    asking = threading.Thread(target=ask)
    asking.start()
    assert decoder.reached.wait(5.0)
    stop.set()
    asking.join(5.0)
    assert not asking.is_alive()
    decoder.go_on.set()
    ahead.close()
    assert decoder.calls[-1] == "close"
    assert not [thread for thread in threading.enumerate() if thread.name == "decoder s"]
