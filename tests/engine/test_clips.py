"""Clips hold the very pictures and sound of their stream, begin at a key frame, and stay in sync."""

import itertools
import os
import subprocess
from fractions import Fraction

import av
import pytest
from made_clips import make
from media import ffmpeg_exe

from engine.evidence import clip
from engine.evidence.clip import Wish
from engine.evidence.packet_ring import PacketRing
from engine.evidence.track_format import TrackFormat
from engine.ingest.source import Source
from engine.media import VideoInfo

CODECS = {
    "h264 aac ts": ("h264.ts", {"video": "libx264", "audio": "aac"}, ".mp4"),
    "h264 aac mp4": ("h264.mp4", {"video": "libx264", "audio": "aac"}, ".mp4"),
    "hevc aac ts": ("hevc.ts", {"video": "libx265", "audio": "aac"}, ".mp4"),
    "mpeg2 mp2 ts": ("mpeg2.ts", {"video": "mpeg2video", "audio": "mp2"}, ".mkv"),
    "av1 opus mkv": ("av1.mkv", {"video": "libsvtav1", "audio": "libopus"}, ".mp4"),
    "vp9 opus webm": ("vp9.webm", {"video": "libvpx-vp9", "audio": "libopus"}, ".mp4"),
    "aac alone": ("aac.ts", {"video": None, "audio": "aac"}, ".mp4"),
    "mp3 alone": ("mp3.mp3", {"video": None, "audio": "libmp3lame"}, ".mp4"),
    "pictures alone": ("alone.ts", {"video": "libx264", "audio": None}, ".mp4"),
    "pcm": ("pcm.mkv", {"video": "libx264", "audio": "pcm_s16le"}, ".mkv"),
}


def recorded(path, hold=1000.0, most=1 << 30, ring=None):
    """A ring that has taken a file in, and what the file is."""
    ring = ring or PacketRing(hold, most)
    with Source(str(path)) as source:
        info = source.open()
        ring.opened(info)
        for packet in source.packets():
            ring.packet(packet)
    return ring, info


def pictures(path):
    """(seconds, content) of every picture, from 0 on; and the begin of sound relative to that of pictures."""
    with av.open(str(path)) as container:
        if not container.streams.video:
            return []
        found = [(f.pts * f.time_base, hash(f.to_ndarray().tobytes())) for f in container.decode(video=0)]
    return found


def sound_begins(path):
    with av.open(str(path)) as container:
        return next(f.pts * f.time_base for f in container.decode(audio=0))


def sound_seconds(path):
    with av.open(str(path)) as container:
        return sum(Fraction(f.samples, f.sample_rate) for f in container.decode(audio=0))


def ffmpeg_pictures(path):
    """How many pictures the ffmpeg program decodes, and what it complains of."""
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-map", "0:v", "-f", "framemd5", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return sum(not line.startswith("#") for line in done.stdout.splitlines()), done.stderr


def ffmpeg_complaints(path):
    command = [ffmpeg_exe(), "-v", "error", "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stderr


@pytest.mark.parametrize("name", CODECS)
def test_a_clip_has_the_same_pictures_and_sound_as_its_stream(tmp_path, name):
    file, tracks, suffix = CODECS[name]
    source = make(f"clip-{file}", seconds=4.0, **tracks)
    ring, info = recorded(source)
    cut = clip.choose(ring.kept(), Wish(1.5, 3.0, 2.0, 2.5))
    assert cut.suffix == suffix
    path = tmp_path / f"clip{cut.suffix}"
    clip.write(cut, path, "a title")

    assert ffmpeg_complaints(path) == ""
    before, after = pictures(source), pictures(path)
    if before:
        begin = before[0][0]
        contents = [content for _, content in before]
        first = contents.index(after[0][1])
        # Key frames are 10 pictures apart: the clip begins at the last one before 1.5 s, and shows all up to 3 s.
        assert 1.5 - 10 / 25 < float(before[first][0] - begin) <= 1.5
        assert [content for _, content in after] == contents[first : first + len(after)]
        assert float(before[first + len(after) - 1][0] - begin) >= 3.0 - 1 / 25 - 0.001
        assert ffmpeg_pictures(path) == (len(after), "")
        times = [float(at - after[0][0]) for at, _ in after]
        assert times == pytest.approx([n / 25 for n in range(len(after))], abs=0.002)
    if info.audio is not None:
        assert float(sound_seconds(path)) == pytest.approx(1.5 if not before else len(after) / 25, abs=0.11)
    if before and info.audio is not None:
        # Where the first kept sound lies relative to the first picture, in the stream and in the clip.
        there = cut.audio[0].pts - cut.video[0].pts
        skipped = 312 / 48000 if info.audio.codec == "opus" else 0.0  # a decoder's own pre-skip
        here = float(sound_begins(path) - after[0][0])
        assert here == pytest.approx(there, abs=0.002 + skipped)


def test_making_av1_leaves_the_tests_that_follow_their_priority():
    before = os.sched_getscheduler(0)
    make("priority-av1.mkv", seconds=0.2, video="libsvtav1", audio=None)
    assert os.sched_getscheduler(0) == before


def test_a_wish_before_everything_gets_what_is_there(tmp_path):
    ring, _ = recorded(make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac"))
    cut = clip.choose(ring.kept(), Wish(-5.0, 1.0, 0.0, 0.5))
    assert cut.video[0].key
    assert cut.begin == pytest.approx(0.0, abs=0.1)
    assert clip.choose(ring.kept(), Wish(50.0, 60.0, 50.0, 55.0)) is None
    assert clip.choose(PacketRing(1.0, 1000).kept(), Wish(0.0, 1.0, 0.0, 1.0)) is None


def test_a_ring_holds_whole_groups_of_pictures_for_as_long_as_it_is_told():
    source = make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac")
    ring, _ = recorded(source, hold=1.0)
    kept = ring.kept()
    assert kept.video[0].key
    newest = max(packet.pts for packet in kept.video)
    assert 1.0 <= newest - kept.video[0].pts <= 1.0 + 10 / 25 + 0.2
    assert kept.audio[0].pts <= kept.video[0].pts
    assert ring.bytes == sum(len(packet.content) for packet in (*kept.video, *kept.audio))


def test_what_is_wanted_is_held_longer():
    source = make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac")
    ring = PacketRing(0.5, 1 << 30)
    ring.want(1.0)
    recorded(source, ring=ring)
    assert 0.5 < ring.kept().video[0].pts <= 1.0


@pytest.mark.parametrize("most", [100, 3_000, 20_000])
def test_a_ring_never_grows_beyond_its_bytes(most):
    source = make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac")
    ring = PacketRing(1000.0, most)
    ring.want(0.0)
    with Source(str(source)) as opened:
        ring.opened(opened.open())
        for packet in opened.packets():
            ring.packet(packet)
            kept = ring.kept()
            assert ring.bytes <= most
            assert ring.bytes == sum(len(one.content) for one in (*kept.video, *kept.audio))
            assert not kept.video or kept.video[0].key


def test_sound_goes_on_where_pictures_stop():
    """As when a camera dies: the ring must not hold the last picture, or all sound since then, for ever."""
    ring = PacketRing(1.0, 1 << 30)
    source = make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac")
    with Source(str(source)) as opened:
        ring.opened(opened.open())
        for packet in opened.packets():
            if packet.track == "audio" or packet.pts < 1.0:
                ring.packet(packet)
    kept = ring.kept()
    assert kept.video == ()
    assert kept.audio[-1].pts - kept.audio[0].pts == pytest.approx(1.0, abs=0.1)


def shifted(ring, path, offset):
    """Feed a file into a ring as if its source had been opened again `offset` seconds later."""
    with Source(str(path)) as source:
        ring.opened(source.open(lambda: offset))
        for packet in source.packets():
            ring.packet(packet)


def test_a_reconnect_with_the_same_coding_gives_one_clip_over_both(tmp_path):
    source = make("clip-short.ts", seconds=2.0, video="libx264", audio="aac")
    ring, _ = recorded(source)
    shifted(ring, source, 5.0)
    cut = clip.choose(ring.kept(), Wish(0.5, 6.5, 2.0, 5.0))
    assert cut.changed_at is None
    path = tmp_path / "clip.mp4"
    clip.write(cut, path)
    assert ffmpeg_complaints(path) == ""
    times = [float(at) for at, _ in pictures(path)]
    assert max(b - a for a, b in itertools.pairwise(times)) == pytest.approx(3.0, abs=0.1)
    assert len(times) == len(cut.video)


def test_a_change_of_the_coding_gives_the_side_with_more_of_the_incident(tmp_path):
    small = make("clip-short.ts", seconds=2.0, video="libx264", audio="aac")
    large = make("clip-large.ts", seconds=2.0, video="libx264", audio="aac", size=(320, 180))
    ring, _ = recorded(small)
    shifted(ring, large, 2.0)
    kept = ring.kept()
    for incident, width in (((1.0, 2.2), 160), ((1.8, 3.5), 320)):
        cut = clip.choose(kept, Wish(0.5, 4.0, *incident))
        assert cut.changed_at == pytest.approx(2.0, abs=0.1)
        path = tmp_path / f"{width}.mp4"
        clip.write(cut, path)
        assert ffmpeg_complaints(path) == ""
        with av.open(str(path)) as container:
            assert container.streams.video[0].width == width
            assert sum(1 for _ in container.decode(video=0)) == len(cut.video)


class Remote:
    """A track as another process's description of it gives it: a decoder's context, and no libav track."""

    def __init__(self, handle):
        context = handle.codec_context
        self.time_base = handle.time_base
        self.codec_context = made = av.CodecContext.create(context.name, "r")
        made.extradata = bytes(context.extradata or b"") or None
        if handle.type == "video":
            made.width, made.height, made.pix_fmt = context.width, context.height, context.pix_fmt
            if context.framerate:
                made.framerate = context.framerate
        else:
            made.sample_rate, made.layout = context.sample_rate, context.layout.name


@pytest.mark.parametrize("name", ["h264 aac ts", "h264 aac mp4", "hevc aac ts", "vp9 opus webm", "mpeg2 mp2 ts"])
def test_a_track_that_another_process_demuxes_is_cut_all_the_same(tmp_path, name):
    file, tracks, _ = CODECS[name]
    source = make(f"clip-{file}", seconds=4.0, **tracks)
    ring = PacketRing(1000.0, 1 << 30)
    with Source(str(source)) as opened:
        info = opened.open()
        remote = [
            type(said)(**{f: getattr(said, f) for f in said.__slots__ if f != "handle"}, handle=Remote(said.handle))
            for said in (info.video, info.audio)
        ]
        ring.opened(type(info)(info.stream, info.container, info.duration, info.live, video=remote[0], audio=remote[1]))
        for packet in opened.packets():
            ring.packet(packet)
    cut = clip.choose(ring.kept(), Wish(1.5, 3.0, 2.0, 2.5))
    path = tmp_path / f"clip{cut.suffix}"
    clip.write(cut, path)
    assert ffmpeg_complaints(path) == ""
    assert len(pictures(path)) == len(cut.video)
    assert {content for _, content in pictures(path)} <= {content for _, content in pictures(source)}
    assert float(sound_seconds(path)) == pytest.approx(len(cut.video) / 25, abs=0.11)


def test_a_format_outlives_its_source(tmp_path):
    """Clips are cut after the source was closed, and its memory given back."""
    source = make("clip-h264.ts", seconds=4.0, video="libx264", audio="aac")
    with Source(str(source)) as opened:
        info = opened.open()
        form = TrackFormat.of("video", info.video)
    del opened, info
    assert form.template.codec_context.width == 160
    assert isinstance(form.signature, tuple)
    assert VideoInfo.__name__ not in repr(form)


@pytest.mark.parametrize(
    "file",
    [
        "real_av/shaka_aac-h264_google-io_talk_720p29.97.ts",
        "real_av/shaka_mp3-h264_seg1-8_promo_720p29.97.ts",
        "real_av/latentsync_demo1_1080x1920_hevc.mp4",
        "real_av/fate_PVA_talk_544x576i25_mpeg2.pva",
        "broken/media3_bbb_642x642_vp9.webm",
        "broken/shaka_text-no-discontinuity_0-1_144p25.ts",
    ],
)
def test_clips_of_real_streams_are_decoded_by_ffmpeg_as_far_as_the_stream_itself(media, tmp_path, file):
    ring, info = recorded(media / file)
    end = max(packet.pts for packet in ring.kept().video)
    cut = clip.choose(ring.kept(), Wish(end / 4, end, end / 2, end))
    path = tmp_path / f"clip{cut.suffix}"
    clip.write(cut, path)
    count, _ = ffmpeg_pictures(path)
    assert len(cut.video) - 2 <= count <= len(cut.video)
    if info.audio is not None:
        assert float(sound_seconds(path)) == pytest.approx(cut.end - cut.begin, abs=1.0)
