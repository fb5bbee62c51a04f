"""Ready-made choices of detectors and parameters for kinds of streams; `--profile`, or a stream's `profile`.

A table is written as in the configuration: a detector's parameters, or whether it judges at all.
"""

from collections.abc import Mapping
from typing import Final

from engine.config import DetectorTable

# Detectors that judge only where a table of the configuration, or `--detectors`, switches them on: those that their
# declarations call optional.
OPTIONAL: Final[DetectorTable] = {"video.scene_cut": False, "audio.stutter": False, "audio.bandwidth": False}

BUILT_IN: Final[Mapping[str, DetectorTable]] = {
    # Channels and events for players on the internet: what the defaults are chosen for.
    "live-ott": {},
    # Contribution and distribution by broadcasters' rules.
    "broadcast": {
        # EBU R 128 s1: at most -18 LUFS short-term.
        "audio.loudness": {"max_short_term": -18.0},
        # EBU R 128: -23 LUFS over a programme, within 1 LU where it is live; a minute of one may differ by more.
        "audio.programme_loudness": {"target": -23.0, "tolerance": 1.0},
        "audio.minute_loudness": {"target": -23.0, "tolerance": 6.0},
        # EBU R 103: at most 1 % of the pixels out of the tolerated range.
        "video.levels": {"threshold": 0.01},
        # ETSI TR 101 290, 2.3.
        "stream.continuity": {"pcr": 0.1},
        # DVB receivers join within a few seconds (ETSI TS 101 154 recommends a key frame at least every 5 s).
        "stream.gop": {"duration": 5.0},
    },
    # The same by the rules of the United States: ATSC A/85:2013, -24 LKFS within 2 dB, and at most -2 dBTP, where no
    # metadata say otherwise. It names no short-term level; EBU's is kept.
    "broadcast-us": {
        "audio.loudness": {"max_short_term": -18.0},
        "audio.programme_loudness": {"target": -24.0, "tolerance": 2.0},
        "audio.minute_loudness": {"target": -24.0, "tolerance": 6.0},
        "audio.true_peak": {"max_true_peak": -2.0},
        "video.levels": {"threshold": 0.01},
        # ISO/IEC 13818-1, 2.7.2.
        "stream.continuity": {"pcr": 0.1},
        "stream.gop": {"duration": 5.0},
    },
    # Files that are delivered: everything that is there is told, however short. A freeze keeps its 2 s: with one, the
    # titles of an advertisement and a camera in an empty room (eight times in 45 s) are frozen.
    "file-qc": {
        "video.black": {"black_min_duration": 0.5},
        "video.uniform": {"duration": 0.5},
        "video.levels": {"threshold": 0.01},
        "audio.silence": {"duration": 1.0},
        "audio.loudness": {"max_short_term": -18.0},
        "audio.programme_loudness": {"target": -23.0, "tolerance": 1.0},
        "stream.missing_video": {"duration": 1.0},
        "stream.missing_audio": {"duration": 1.0},
    },
    # Cameras at few pictures a second that look at a place where little happens, often without sound.
    "surveillance": {
        "audio.*": False,
        "stream.missing_audio": False,
        "stream.av_offset": False,
        # Even an empty room has noise: no change at all for so long is a camera that hangs.
        "video.freeze": {"duration": 60.0, "noise": 0.0001},
        "video.black": {"black_min_duration": 10.0},
        "video.uniform": {"duration": 10.0},
        "video.stutter": False,
        "video.flash": False,
        "video.letterbox": False,
        "video.banding": False,
        "stream.gop": {"duration": 60.0},
    },
}
