"""freezedetect, blackdetect, silencedetect and ebur128 of the ffmpeg program, at their defaults, on every real clip.

Freeze is compared on its own: beside black it is dominated (a black picture that stands still is black), which ffmpeg
does not do.
"""

import math

import pytest
from ffmpeg_runs import ebur128, silences, video_intervals
from media import media_dir

from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec

# Where the ffmpeg program is not what we want to equal; see docs/parity.md.
DEVIATIONS = {
    # ffmpeg rebuilds its filters at a change of size and forgets what they knew; the stream goes on all the same.
    "vpf_test_res_change.h264",
}
AUDIO = {"audio.silence": {}, "audio.loudness": {}, "audio.true_peak": {}}


def clips():
    folder = media_dir()
    if folder is None:
        return []
    suffixes = {".md", ".jpg", ".png"}
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in suffixes and path.parent.name != "fate_refs"
    )


def judge(clip, *detector_sets):
    """One outcome per set of detectors, judged side by side."""
    specs = [StreamSpec(f"{index}", str(clip), detectors) for index, detectors in enumerate(detector_sets)]
    return check(specs, EngineSettings(device="cpu"))


def intervals(outcome, detector):
    return [(incident.start, incident.end) for incident in outcome.incidents if incident.detector == detector]


def assert_same(ours, theirs, tolerance, end_of_stream):
    """Same number of intervals, starts and ends within `tolerance`; an end not printed by ffmpeg is the stream's."""
    assert len(ours) == len(theirs), f"ours {ours}, ffmpeg {theirs}"
    for (start, end), (their_start, their_end) in zip(ours, theirs, strict=True):
        assert start == pytest.approx(their_start, abs=tolerance), f"ours {ours}, ffmpeg {theirs}"
        expected = end_of_stream if math.isinf(their_end) else their_end
        assert end == pytest.approx(expected, abs=tolerance), f"ours {ours}, ffmpeg {theirs}"


@pytest.mark.parametrize("clip", clips(), ids=lambda path: path.name)
def test_verdicts_equal_ffmpegs(clip):
    video = video_intervals(clip) if clip.name not in DEVIATIONS else None
    quiet, loudness = silences(clip), ebur128(clip)
    freeze, rest = judge(clip, {"video.freeze": {}}, {"video.black": {}, **AUDIO})
    if video is not None and freeze.summary is not None and freeze.summary.frames_measured:
        frame = 1 / (freeze.info.video.frame_rate or 25.0) + 1e-3
        end = freeze.summary.duration
        assert_same(intervals(freeze, "video.freeze"), video.freeze, frame, end)
        assert_same(intervals(rest, "video.black"), video.black, frame, end)
    if quiet is not None and rest.summary is not None and rest.summary.audio_seconds:
        assert_same(intervals(rest, "audio.silence"), quiet, 0.02, rest.summary.audio_seconds)
    if loudness is not None and rest.summary is not None and rest.summary.loudness is not None:
        ours = rest.summary.loudness
        # ffmpeg prints one decimal, and -70 and -inf for "nothing above the gate" and "no peak", where we say None.
        assert (ours.integrated if ours.integrated is not None else -70.0) == pytest.approx(
            loudness.integrated, abs=0.1 + 0.05
        )
        if ours.range is not None:  # else too short to have one; ebur128 prints some 20 LU there
            assert ours.range == pytest.approx(loudness.range, abs=0.2 + 0.05)
        else:
            assert rest.summary.audio_seconds < 3.5 or ours.integrated is None
        if math.isfinite(loudness.true_peak):
            assert ours.true_peak == pytest.approx(loudness.true_peak, abs=0.2 + 0.05)
        else:
            assert ours.true_peak is None


def test_the_media_folder_is_not_empty(media):
    assert len(clips()) > 50, media
