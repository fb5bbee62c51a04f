"""The streams that the network's benchmarks judge: damaged ones, as they were sent and as a transcoder makes them."""

import subprocess
from fractions import Fraction
from itertools import islice

import av
import pytest

from benchmarks import network_streams
from benchmarks.network_streams import ANEW, SECONDS, Streamed, damaged_streams
from models.synthesis.picture import moving_pattern
from models.synthesis.picture_clip import write_pictures

SIZE = (192, 112)


@pytest.fixture
def clip(tmp_path, monkeypatch):
    """Seven seconds, of which one way to damage them is left."""
    monkeypatch.setattr(network_streams, "CODECS", ("mpeg2",))
    monkeypatch.setattr(network_streams, "KINDS", ("slice",))
    path = tmp_path / "clip.mp4"
    write_pictures(path, islice(moving_pattern(*SIZE), round(SECONDS * 25)), rate=Fraction(25))
    return path


def seen(path, name, how, planted=None):
    """What is kept of a stream here: clip and way, codec, size and pictures, and from when it is damaged."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        count = sum(1 for _ in container.decode(video))
        context = video.codec_context
        return name, how, context.name, (context.width, context.height), count, planted.start


def test_a_damaged_stream_comes_as_it_was_sent_and_coded_anew_with_the_same_damage(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(network_streams, "ANEW_WAYS", len(ANEW))
    found = list(damaged_streams([clip], tmp_path, 1, seen, anew=True))
    assert [(how, codec, size) for _, how, codec, size, _, _ in found] == [
        ("mpeg2 slice", "mpeg2video", SIZE),
        ("mpeg2 slice, then H.264 of its size", "h264", SIZE),
        ("mpeg2 slice, then coarse H.264 of its size", "h264", SIZE),
        ("mpeg2 slice, then HEVC of its size", "hevc", SIZE),
        ("mpeg2 slice, then H.264 of three quarters", "h264", (144, 84)),
        ("mpeg2 slice, then MPEG-2 of one and a half", "mpeg2video", (288, 168)),
    ]
    assert {name for name, *_ in found} == {"clip.mp4"}
    # Every picture that the damaged stream shows is there, and the damage where it was.
    assert len({count for *_, count, _ in found}) == 1
    assert found[0][-1] == pytest.approx(2.0, abs=0.1)
    assert len({start for *_, start in found}) == 1
    assert [Streamed("", how, 7.0, [], None).group for _, how, *_ in found] == [
        "as_sent", *["anew_same_size"] * 3, *["anew_another_size"] * 2,
    ]  # fmt: skip
    assert not list(tmp_path.glob("anew*"))


def test_what_no_transcoder_makes_is_named_and_left_out(clip, tmp_path, monkeypatch, capsys):
    whole = network_streams.encode

    def fails_once(given, variant, path, *rest):
        if "coarse" in variant.name:
            path.write_bytes(b"half")
            raise subprocess.TimeoutExpired("ffmpeg", 300)
        whole(given, variant, path, *rest)

    monkeypatch.setattr(network_streams, "encode", fails_once)
    found = [how for _, how, *_ in damaged_streams([clip], tmp_path, 1, seen, anew=True)]
    assert found == ["mpeg2 slice", "mpeg2 slice, then H.264 of its size"]
    assert "clip.mp4, mpeg2 slice, then coarse H.264 of its size: left out" in capsys.readouterr().out
    assert not list(tmp_path.glob("anew*"))


def test_as_sent_alone_unless_asked_for_and_what_is_known_is_not_made_again(clip, tmp_path):
    assert [how for _, how, *_ in damaged_streams([clip], tmp_path, 1, seen)] == ["mpeg2 slice"]
    made = []

    def look(path, name, how, planted=None):
        made.append(how)
        return how

    def known(name, how):
        return how if how != "mpeg2 slice, then H.264 of its size" else None

    names = list(damaged_streams([clip], tmp_path, 1, look, known, anew=True))
    assert names == [
        "mpeg2 slice", "mpeg2 slice, then H.264 of its size", "mpeg2 slice, then coarse H.264 of its size",
    ]  # fmt: skip
    assert made == ["mpeg2 slice, then H.264 of its size"]
