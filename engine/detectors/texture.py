"""What can be seen to be wrong in the texture of pictures, which is measured about once a second."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import duration, lasting
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Shares of blocks, of pixels or of points, or 8-bit codes: what is measured is in kernels/texture/op.py, what real
# clips have of it in docs/decisions/0006-texture-thresholds.md.
COMBING_THRESHOLD = 0.005
NOISE_THRESHOLD = 5.5
# FFmpeg's idet: default of its threshold for interlaced pictures. Decision 0047.
FIELD_ORDER_THRESHOLD = 1.04
BANDING_THRESHOLD = 0.04
LEVELS_THRESHOLD = 0.03
CHROMA_LOSS_THRESHOLD = 0.9
BARS_THRESHOLD = 0.9

# 1.85:1 in 16:9 leaves 4 % of the height to bars, which nobody minds; 2:1 leaves 11 %, 4:3 a quarter of the width.
LETTERBOX_SHARE = 0.06


def _comes_and_goes(p: Mapping[str, float]) -> Rule:
    # Only what moves is combed, so it comes and goes with the motion; the measure is the median of three already.
    return Rule(p["threshold"], p["threshold"], below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


def _other_order(p: Mapping[str, float]) -> Rule:
    threshold = p["intl_thres"]
    return Rule(threshold, threshold, below=False, set_seconds=p["duration"], clear_seconds=p["hold"])


COMBING = Detector(
    name="video.combing",
    track="video",
    column="combing",
    severity=Severity.WARNING,
    summary="Two fields of different times in pictures that are not marked as interlaced; decision 0006.",
    viewer="sees fine horizontal teeth on the edges of all that moves.",
    parameters=(
        Parameter("threshold", COMBING_THRESHOLD, "ratio", 0.0, 1.0, "share of combed blocks of 16x8"),
        duration("duration", 0.0, "how long it has to be combed"),
        duration("hold", 3.0, "combing closer together than this is one incident"),
    ),
    make_rule=_comes_and_goes,
    onset=OnsetRule.EARLIER,
    since="combing_since",
    dominated_by=("video.bars", "video.uniform", "video.line_jitter"),
)

FIELD_ORDER = Detector(
    name="video.field_order",
    track="video",
    column="field_order",
    severity=Severity.CRITICAL,
    summary="Fields come in the other order than the stream says (FFmpeg's idet); decision 0047.",
    viewer="sees all that moves jerk to and fro, fifty or sixty times a second.",
    parameters=(
        Parameter("intl_thres", FIELD_ORDER_THRESHOLD, "", 1.0, 10.0, "how much better the other order has to fit"),
        duration("duration", 0.5, "how long it has to fit better"),
        duration("hold", 3.0, "how long the order has to be right again before it is over"),
    ),
    make_rule=_other_order,
    onset=OnsetRule.EARLIER,
    since="field_order_since",
    dominated_by=("video.black", "video.uniform", "video.bars", "video.slate", "video.corruption"),
)

NOISE = Detector(
    name="video.noise",
    track="video",
    column="noise",
    severity=Severity.WARNING,
    summary="Noise (Immerkaer 1996) above what film grain has, or snow, of a part or of colour; decision 0006.",
    viewer="sees a picture that crawls with grain or snow.",
    parameters=(
        Parameter("threshold", NOISE_THRESHOLD, "", 0.0, 26.0, "standard deviation in 8-bit codes"),
        duration("duration", 2.0, "how long it has to be noisy"),
    ),
    make_rule=lasting,
    onset=OnsetRule.EARLIER,
    since="texture_since",
    closing_counts=True,
)

BANDING = Detector(
    name="video.banding",
    track="video",
    column="banding",
    severity=Severity.WARNING,
    summary="Smooth areas break into flat ones with visible steps (after CAMBI, PCS 2021); decision 0006.",
    viewer="sees steps in skies, fades and dark scenes that should be smooth.",
    parameters=(
        Parameter("threshold", BANDING_THRESHOLD, "ratio", 0.0, 1.0, "share of blocks of 16x8 with such a step"),
        duration("duration", 2.0, "how long it has to be banded"),
    ),
    make_rule=lasting,
    onset=OnsetRule.EARLIER,
    since="texture_since",
    closing_counts=True,
    dominated_by=("video.bars", "video.blockiness", "video.uniform", "video.slate"),
)

LEVELS = Detector(
    name="video.levels",
    track="video",
    column="out_of_tolerance",
    severity=Severity.WARNING,
    summary="Luma outside the range of 5 to 246 that EBU R 103 tolerates, in a stream of limited range.",
    viewer="sees washed-out or crushed shades; some displays cut such levels off.",
    parameters=(
        Parameter("threshold", LEVELS_THRESHOLD, "ratio", 0.0, 1.0, "share of pixels out of tolerance"),
        duration("duration", 2.0, "how long it has to be out of range"),
    ),
    make_rule=lasting,
    onset=OnsetRule.EARLIER,
    since="texture_since",
    closing_counts=True,
    # Strong noise reaches beyond black and white, and a decoder without data shows codes of 0.
    dominated_by=("video.noise", "video.corruption", "video.black", "video.uniform", "video.bars", "video.slate"),
)

CHROMA_LOSS = Detector(
    name="video.chroma_loss",
    track="video",
    column="chroma_loss",
    severity=Severity.WARNING,
    summary="A picture that had colour is grey, or one of its colour planes is lost; decision 0006.",
    viewer="sees a grey picture, or one in wrong colours.",
    parameters=(
        Parameter(
            "threshold", CHROMA_LOSS_THRESHOLD, "ratio", 0.0, 1.0, "share of the earlier saturation that is gone"
        ),
        duration("duration", 4.0, "how long it has to be without colour"),
    ),
    make_rule=lasting,
    onset=OnsetRule.EARLIER,
    since="chroma_loss_since",
    closing_counts=True,
    # Both planes of zeros are what a broken decoder shows, and told at once.
    dominated_by=("video.corruption", "video.black", "video.uniform", "video.bars", "video.slate"),
)

BARS = Detector(
    name="video.bars",
    track="video",
    column="bars",
    severity=Severity.WARNING,
    summary="SMPTE or EBU colour bars, 75 % or 100 %, by their layout and colours.",
    viewer="sees a test pattern instead of the programme.",
    parameters=(
        Parameter("threshold", BARS_THRESHOLD, "ratio", 0.0, 1.0, "share of sampled points that have a bar's colour"),
        duration("duration", 2.0, "how long the bars have to be shown"),
    ),
    make_rule=lasting,
    closing_counts=True,
)

LETTERBOX = Detector(
    name="video.letterbox",
    track="video",
    column="letterbox",
    severity=Severity.WARNING,
    summary="Black bars that the stream did not have (cropdetect's borders), or bars on all four sides.",
    viewer="sees the picture smaller than the screen, with black around it.",
    parameters=(
        Parameter("threshold", LETTERBOX_SHARE, "ratio", 0.03, 1.0, "share of the height or width that is lost"),
        duration("duration", 5.0, "how long the bars have to be there"),
    ),
    make_rule=lasting,
    closing_counts=True,
    dominated_by=("video.black", "video.uniform", "video.slate"),
)

DETECTORS = (COMBING, FIELD_ORDER, NOISE, BANDING, LEVELS, CHROMA_LOSS, BARS, LETTERBOX)
