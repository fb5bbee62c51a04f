"""Jumps of the container's clock, and that media time is the ffmpeg program's."""

from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest

from engine.ingest.clock import MediaClock

TICK = Fraction(1, 90_000)
TS_DISCONT = 0x0200


def video_track(index: int = 0, start: float | None = 0.0) -> Any:
    context = SimpleNamespace(reorder_depth=0, framerate=Fraction(25))
    ticks = None if start is None else round(start / TICK)
    return SimpleNamespace(
        index=index, time_base=TICK, codec_context=context, average_rate=Fraction(25), start_time=ticks
    )


def audio_track(index: int = 1, start: float = 0.0) -> Any:
    context = SimpleNamespace(sample_rate=48_000, frame_size=1024)
    return SimpleNamespace(index=index, time_base=TICK, codec_context=context, start_time=round(start / TICK))


def clock(*tracks: tuple[Any, Any], start: float | None = 0.0, flags: int = TS_DISCONT) -> MediaClock:
    container = SimpleNamespace(
        format=SimpleNamespace(flags=flags), start_time=None if start is None else round(start * 1e6)
    )
    return MediaClock(container, tracks)


def packet(seconds: float | None, index: int = 0, duration: float = 0.04, pts: float | None = None) -> Any:
    dts = None if seconds is None else round(seconds / TICK)
    shown = dts if pts is None else round(pts / TICK)
    return SimpleNamespace(stream_index=index, pts=shown, dts=dts, duration=round(duration / TICK))


def times(source: MediaClock, *seconds: float) -> list[float]:
    return [round(source.place(packet(s))[0] or 0.0, 4) for s in seconds]


def test_zero_is_the_containers_start() -> None:
    assert times(clock(("video", video_track(start=1.4)), start=1.4), 1.4, 1.44) == [0.0, 0.04]


def test_zero_is_the_first_packet_where_the_container_knows_no_start() -> None:
    assert times(clock(("video", video_track(start=None)), start=None), 7.0, 7.04) == [0.0, 0.04]


def test_zero_is_the_used_tracks_start_where_an_unused_one_begins_earlier() -> None:
    assert times(clock(("video", video_track(start=2.0)), start=1.0), 2.0) == [0.0]
    assert times(clock(("video", video_track(start=2.0)), start=1.0, flags=0), 2.0) == [1.0]


def test_a_gap_of_four_seconds_stays_a_gap() -> None:
    it = clock(("video", video_track()))
    assert times(it, 0.0, 0.04, 4.08) == [0.0, 0.04, 4.08]
    assert it.discontinuities == 0


def test_pictures_that_are_said_to_last_for_years_move_nothing() -> None:
    """Of a damaged header, found by `avjury bench mutations`."""
    it = clock(("video", video_track()))
    placed = [it.place(packet(at, duration=64_424_509.48))[0] for at in (0.0, 0.04, 0.08)]
    assert placed == pytest.approx([0.0, 0.04, 0.08])
    assert it.discontinuities == 0


def test_a_rate_of_a_picture_in_years_moves_nothing() -> None:
    track = video_track()
    track.codec_context.framerate = track.average_rate = Fraction(1, 64_424_509)
    it = clock(("video", track))
    placed = [it.place(packet(at, duration=0.0))[0] for at in (0.0, 0.04, 0.08)]
    assert placed == pytest.approx([0.0, 0.04, 0.08])


def test_a_jump_of_more_than_ten_seconds_is_taken_out() -> None:
    it = clock(("video", video_track()))
    assert times(it, 0.0, 0.04, 100.0, 100.04) == [0.0, 0.04, 0.08, 0.12]
    assert it.discontinuities == 1
    assert it.found[0].jump_seconds == pytest.approx(99.92)
    assert it.found[0].at == pytest.approx(0.08)


def test_a_step_back_is_taken_out_from_a_tenth_of_a_second() -> None:
    it = clock(("video", video_track()))
    assert times(it, 5.0, 5.04, 1.0, 1.04) == [5.0, 5.04, 5.08, 5.12]
    assert it.found[0].jump_seconds == pytest.approx(-4.08)
    small = clock(("video", video_track()))
    assert times(small, 5.0, 5.04, 4.96) == [5.0, 5.04, 4.96]
    assert small.discontinuities == 0


def test_the_other_track_follows_a_jump() -> None:
    it = clock(("video", video_track()), ("audio", audio_track()))
    it.place(packet(0.0))
    it.place(packet(0.0, index=1, duration=0.0213))
    it.place(packet(50.0))
    moved, _ = it.place(packet(50.0, index=1, duration=0.0213))
    assert moved == pytest.approx(0.04)
    assert it.discontinuities == 1


def test_presentation_times_move_with_decoding_times() -> None:
    it = clock(("video", video_track()))
    it.place(packet(0.0, pts=0.08))
    jumped = packet(1000.0, pts=1000.08)
    pts, dts = it.place(jumped)
    assert (pts, dts) == (pytest.approx(0.12), pytest.approx(0.04))
    assert jumped.pts * TICK == pytest.approx(0.12)


def test_a_wrap_of_the_33_bit_clock_is_no_event() -> None:
    wrap = 2**33 / 90_000
    it = clock(("video", video_track(start=wrap - 0.08)), start=wrap - 0.08)
    assert times(it, wrap - 0.08, wrap - 0.04, 0.0, 0.04) == [0.0, 0.04, 0.08, 0.12]
    assert it.discontinuities == 0


def test_a_jump_back_that_libav_showed_as_a_wrap_has_the_right_sign() -> None:
    wrap = 2**33 / 90_000
    it = clock(("video", video_track(start=6000.0)), start=6000.0)
    assert times(it, 6000.0, 6000.04, 6000.08 - 5000 + wrap) == [0.0, 0.04, 0.08]
    assert it.found[0].jump_seconds == pytest.approx(-5000.0)


def test_formats_without_jumps_keep_any_gap_below_thirty_hours() -> None:
    it = clock(("video", video_track()), flags=0)
    assert times(it, 0.0, 0.04, 3600.0, 5.0) == [0.0, 0.04, 3600.0, 5.0]
    assert it.discontinuities == 0
    assert it.place(packet(200_000.0)) == (None, None)
    assert it.discontinuities == 1


def test_packets_without_times_have_none() -> None:
    it = clock(("video", video_track()))
    assert it.place(packet(None)) == (None, None)
    assert it.place(packet(3.0))[0] == pytest.approx(3.0)


def in_periods(*tracks: tuple[Any, Any]) -> MediaClock:
    """A clock whose packets say themselves how many announced breaks lie before them."""
    container = SimpleNamespace(format=SimpleNamespace(flags=TS_DISCONT), start_time=0)
    return MediaClock(container, tracks, period=lambda packet: packet.period)


def of(period: int, it: Any) -> Any:
    it.period = period
    return it


@pytest.mark.parametrize("behind", [3.0, 0.5, 200.0])
def test_behind_an_announced_break_the_timeline_goes_on_without_a_step(behind: float) -> None:
    it = in_periods(("video", video_track()))
    placed = [it.place(of(0, packet(s)))[1] for s in (0.0, 0.04, 0.08)]
    placed += [it.place(of(1, packet(behind + s)))[1] for s in (0.0, 0.04)]
    assert placed == pytest.approx([0.0, 0.04, 0.08, 0.12, 0.16], abs=1e-4)
    assert [jump.declared for jump in it.found] == [True]


def test_sound_from_before_a_break_that_comes_late_stays_where_it_was() -> None:
    it = in_periods(("video", video_track()), ("audio", audio_track()))
    for n in range(3):
        it.place(of(0, packet(0.04 * n)))
    assert it.place(of(0, packet(0.0, 1, 0.0213)))[1] == pytest.approx(0.0)
    assert it.place(of(1, packet(50.0)))[1] == pytest.approx(0.12, abs=1e-4)
    assert it.place(of(0, packet(0.0213, 1, 0.0213)))[1] == pytest.approx(0.0213, abs=1e-4)
    assert it.place(of(1, packet(50.04)))[1] == pytest.approx(0.16, abs=1e-4)
    assert it.place(of(1, packet(50.01, 1, 0.0213)))[1] == pytest.approx(0.13, abs=1e-4)
    assert all(jump.declared for jump in it.found)


def test_a_jump_within_a_period_is_told_as_ever() -> None:
    it = in_periods(("video", video_track()))
    for period, seconds in ((0, 0.0), (1, 7.0), (1, 7.04), (1, 100.0)):
        it.place(of(period, packet(seconds)))
    assert [jump.declared for jump in it.found] == [True, False]
    assert it.found[1].jump_seconds == pytest.approx(92.92, abs=1e-3)
