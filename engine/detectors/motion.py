"""What can be seen to be wrong in how pictures follow each other. Measures: kernels/temporal/op.py."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# ITU-R BT.1702-3: a sequence of flashes is not to go on at more than three a second. The measure counts transitions in
# the last second, two to a flash: the seventh makes more than three.
MOST_FLASHES = 3.0
# Percent of the luma range. Viewers see a steady 10 Hz modulation of about 0.5 % on a large field (de Lange 1958).
# Clean clips reach 0.8 % for a third of a second at most (decision 0049).
FLICKER_PERCENT = 0.8
# What flash_rate is at least while flashes go on as flicker: FLICKERS and KEPT_FLASH_RATE of the temporal kernel, whose
# package loads torch.
KEPT_FLASH_RATE = 3.25
# One hiccup is no incident; three within two seconds are.
STUTTER_RATE = 1.5
PARTIAL_FREEZE_SECONDS = 3.0
# Of the full scale: four 8-bit codes. A decoder that gives green or grey gives nothing else; no scene is so even.
UNIFORM_SPREAD = 4.0 / 256
# FFmpeg's scdet: default of its threshold.
SCENE_SCORE = 10.0


def _flash(p: Mapping[str, float]) -> Rule:
    # Half a flash more than allowed is the smallest count that is too many. What has flashed goes on while it flickers:
    # it is one incident for who watches it, though not every scene of it is as bright.
    enter = p["flashes"] + 0.5
    return Rule(enter, min(enter, KEPT_FLASH_RATE), below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _above(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


def _stuck(p: Mapping[str, float]) -> Rule:
    return Rule(p["share"], p["share"], below=False, set_seconds=p["duration"], clear_seconds=0.0)


def _cut(p: Mapping[str, float]) -> Rule:
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=0.0, clear_seconds=0.0)


def _uniform(p: Mapping[str, float]) -> Rule:
    return Rule(p["spread"], p["spread"], below=True, set_seconds=p["duration"], clear_seconds=0.0)


UNIFORM = Detector(
    name="video.uniform",
    track="video",
    column="colour_spread",
    severity=Severity.CRITICAL,
    summary="The whole picture has one colour (green, pink, grey), as a broken decoder or a lost source gives it.",
    viewer="sees one flat colour, often green or pink, instead of the programme.",
    parameters=(
        Parameter("spread", UNIFORM_SPREAD, "ratio", 0.0, 1.0, "largest difference within the picture, of full scale"),
        duration("duration", 2.0, "how long it has to be uniform", SHORTEST_SECONDS),
    ),
    make_rule=_uniform,
    closing_counts=True,
    dominated_by=("video.black",),
)

FLASH = Detector(
    name="video.flash",
    track="video",
    column="flash_rate",
    severity=Severity.CRITICAL,
    summary="More flashes, or flashes of saturated red, than photosensitive viewers are safe with (ITU-R BT.1702).",
    viewer="may feel unwell, and with photosensitive epilepsy have a seizure.",
    parameters=(
        Parameter("flashes", MOST_FLASHES, "count", 0.5, 3.0, "most flashes in a second"),
        duration("hold", 1.0, "sequences closer together than this are one incident"),
    ),
    make_rule=_flash,
    onset=OnsetRule.EARLIER,
    since="flash_since",
    # Broken blocks that come and go flash too: they are critical already, and end with the corruption.
    dominated_by=("video.corruption",),
)

FLICKER = Detector(
    name="video.flicker",
    track="video",
    column="flicker",
    severity=Severity.WARNING,
    summary="The whole picture's brightness goes up and down with a period of 2 to 10 pictures.",
    viewer="sees the whole picture pulse, which tires the eyes.",
    parameters=(
        Parameter("threshold", FLICKER_PERCENT, "", 0.1, 100.0, "amplitude in percent of the luma range"),
        duration("duration", 1.0, "how long it has to flicker"),
        duration("hold", 1.0, "flicker closer together than this is one incident"),
    ),
    make_rule=_above,
    onset=OnsetRule.EARLIER,
    since="flicker_since",
    closing_counts=True,
    dominated_by=("video.flash",),
)

STUTTER = Detector(
    name="video.stutter",
    track="video",
    column="stutter_rate",
    severity=Severity.WARNING,
    summary="Pictures are repeated or left out at irregular distances while the content moves; pulldown is regular.",
    viewer="sees motion that jerks, most in pans and tickers.",
    parameters=(
        Parameter("threshold", STUTTER_RATE, "", 0.5, 8.0, "repeats and holes per second, over two seconds"),
        duration("duration", 0.0, "how long it has to stutter"),
        duration("hold", 2.0, "stutter closer together than this is one incident"),
    ),
    make_rule=_above,
    onset=OnsetRule.EARLIER,
    since="stutter_since",
    # Lost pictures are concealed by repeats, and flashes of one colour repeat. A freeze is none of it: it counts where
    # motion goes on, once.
    dominated_by=("video.corruption", "video.flash"),
)

PARTIAL_FREEZE = Detector(
    name="video.partial_freeze",
    track="video",
    column="stuck_share",
    severity=Severity.WARNING,
    summary="A rectangle of the picture stopped at once and stands still while the rest goes on.",
    viewer="sees part of the picture stand while the rest moves, as when one source of a mix is lost.",
    parameters=(
        Parameter("share", 0.15, "ratio", 0.15, 1.0, "smallest share of the picture"),
        duration("duration", PARTIAL_FREEZE_SECONDS, "how long it has to stand still"),
    ),
    make_rule=_stuck,
    closing_counts=True,
    dominated_by=("video.black", "video.uniform", "video.freeze", "video.corruption", "video.slate"),
)

SCENE_CUT = Detector(
    name="video.scene_cut",
    track="video",
    column="scene_score",
    severity=Severity.INFO,
    summary="A cut to another scene (FFmpeg's scdet, its score and its default): an annotation, no defect.",
    viewer="notices nothing; it is a note of where scenes change.",
    parameters=(Parameter("threshold", SCENE_SCORE, "", 0.1, 100.0, "smallest score that is a cut, 0 to 100"),),
    make_rule=_cut,
    optional=True,
)

DETECTORS = (UNIFORM, FLASH, FLICKER, STUTTER, PARTIAL_FREEZE, SCENE_CUT)
