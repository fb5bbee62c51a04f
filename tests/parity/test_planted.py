"""Defects planted at known times come out with their times: within one frame, 20 ms for sound.

The carriers are ffmpeg's moving test pattern, always, and real clips where they are there (ones that move: a face that
keeps still is within the noise level of a freeze, for FFmpeg as for us).
"""

import subprocess

import pytest
from media import ffmpeg_exe, media_dir

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

RATE = 25
CARRIERS = {
    "pattern": None,
    "talk": "real_av/lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
    "hevc portrait": "real_av/latentsync_demo3_1080x1920_hevc.mp4",
    "sport": "real_av/vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
}


def carrier(name):
    path = CARRIERS[name]
    if path is None:
        sources = ("testsrc2=s=640x360:r=25:d=14", "anoisesrc=d=14:a=0.2:r=48000:seed=7")
        return [part for source in sources for part in ("-f", "lavfi", "-i", source)]
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    return ["-t", "14", "-i", str(folder / path)]


def plant(tmp_path, name, video="null", audio="anull"):
    """A clip with filters applied, coded so that nothing else changes: lossless video at 25 fps, PCM sound."""
    out = tmp_path / "planted.mkv"
    scale = "scale=640:360:force_original_aspect_ratio=increase,crop=640:360,fps=25,setpts=N/25/TB"
    command = [
        ffmpeg_exe(), "-y", "-v", "error", *carrier(name),
        "-vf", f"{scale},{video}", "-af", f"aresample=48000,asetnsamples=480:p=0,{audio}",
        "-c:v", "libx264", "-preset", "ultrafast", "-qp", "0", "-pix_fmt", "yuv420p", "-c:a", "pcm_s16le", str(out),
    ]  # fmt: skip
    subprocess.run(command, check=True, timeout=240)
    return out


def found(path, detector):
    [outcome] = check([StreamSpec("clip", str(path), {detector: {}})], EngineSettings(device="cpu"))
    assert outcome.error is None
    return [(i.start, i.end, i.closed_by) for i in outcome.incidents]


@pytest.mark.parametrize("name", CARRIERS)
def test_a_held_picture_is_a_freeze_from_its_first_showing_to_the_next_picture(tmp_path, name):
    # Picture 50, at 2.00 s, is shown 76 times: the next one comes at 2.00 + 76/25 s.
    path = plant(tmp_path, name, video="loop=loop=75:size=1:start=50,setpts=N/25/TB")
    freezes = [f for f in found(path, "video.freeze") if f[0] < 5.0 and f[1] > 2.1]
    assert len(freezes) == 1
    assert freezes[0][0] == pytest.approx(2.0, abs=1 / RATE + 1e-6)
    assert freezes[0][1] == pytest.approx(5.04, abs=1 / RATE + 1e-6)
    assert freezes[0][2] == "recovered"


@pytest.mark.parametrize("name", CARRIERS)
def test_a_blacked_out_picture_is_black_exactly_while_it_is(tmp_path, name):
    path = plant(tmp_path, name, video=r"drawbox=t=fill:color=black:enable=between(t\,1.99\,4.50)")
    blacks = found(path, "video.black")
    assert [(start, end) for start, end, _ in blacks] == [
        (pytest.approx(2.0, abs=1 / RATE + 1e-6), pytest.approx(4.52, abs=1 / RATE + 1e-6))
    ]


@pytest.mark.parametrize("name", CARRIERS)
def test_muted_sound_is_silence_to_20_ms(tmp_path, name):
    path = plant(tmp_path, name, audio=r"volume=0:enable=between(t\,1.9999\,4.4999)")
    silences = [s for s in found(path, "audio.silence") if s[0] < 4.5 and s[1] > 2.0]
    assert [(start, end) for start, end, _ in silences] == [
        (pytest.approx(2.0, abs=0.02), pytest.approx(4.5, abs=0.02))
    ]


def test_a_defect_that_runs_to_the_end_is_closed_at_the_end(tmp_path):
    path = plant(tmp_path, "pattern", video=r"drawbox=t=fill:color=black:enable=gte(t\,9.99)")
    assert found(path, "video.black") == [
        (pytest.approx(10.0, abs=1 / RATE), pytest.approx(14.0, abs=1 / RATE), "end_of_stream")
    ]


def test_black_does_not_also_raise_freeze(tmp_path):
    path = plant(tmp_path, "pattern", video=r"drawbox=t=fill:color=black:enable=between(t\,1.99\,7)")
    spec = StreamSpec("clip", str(path), {"video.black": {}, "video.freeze": {}})
    [outcome] = check([spec], EngineSettings(device="cpu"))
    assert [i.detector for i in outcome.incidents] == ["video.black"]
