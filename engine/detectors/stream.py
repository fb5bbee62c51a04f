"""What goes wrong before there is a picture or a sound to judge."""

from collections.abc import Mapping

from engine.detectors.base import Detector, Parameter, Rule
from engine.detectors.video import LONGEST_SECONDS, SHORTEST_SECONDS, duration
from engine.verdicts import Severity
from kernels.judge.layout import OnsetRule

# Viewers and operators call a lost track an outage after some seconds; a reconnect or an ad break is over by then.
MISSING_SECONDS = 5.0
STALL_SECONDS = 5.0
# A rate at its limit, which the measure puts at 1, is within it.
OVER = 1.0 + 1e-9


def _decode_errors(p: Mapping[str, float]) -> Rule:
    return Rule(p["errors"], p["errors"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _missing(p: Mapping[str, float]) -> Rule:
    # The measure is itself the time for which the track has been missing, so nothing is left to wait for; the track is
    # back when the measure is, so any value above nothing keeps it open.
    return Rule(p["duration"], SHORTEST_SECONDS, below=False, set_seconds=0.0, clear_seconds=0.0)


DECODE_ERRORS = Detector(
    name="stream.decode_errors",
    track="stream",
    column="decode_errors",
    severity=Severity.CRITICAL,
    summary="Packets or pictures arrive damaged, so viewers see or hear the damage or its concealment.",
    viewer="sees blocks, smears or jumps, or hears gaps, as far as the player hides them badly.",
    parameters=(
        Parameter("errors", 1.0, "count", 1.0, 1e9, "damaged packets and pictures in one second"),
        duration("hold", 2.0, "errors closer together than this are one incident"),
    ),
    make_rule=_decode_errors,
)


def _missing_track(track: str, what: str, viewer: str) -> Detector:
    return Detector(
        name=f"stream.missing_{track}",
        track="stream",
        column=f"{track}_missing_seconds",
        severity=Severity.CRITICAL,
        summary=f"The stream goes on without {what}, or never had one.",
        viewer=viewer,
        parameters=(
            Parameter("duration", MISSING_SECONDS, "s", 1.0, LONGEST_SECONDS, "how long it has to be missing"),
        ),
        make_rule=_missing,
        onset=OnsetRule.BACKDATED,
        dominated_by=("stream.stall", "stream.timestamps"),
    )


STALL = Detector(
    name="stream.stall",
    track="stream",
    column="stall_seconds",
    severity=Severity.CRITICAL,
    summary="A live source gives nothing that can be decoded: it is gone, hangs, or sends no key frame (see `cause`).",
    viewer="sees a spinner, the last picture or an error.",
    parameters=(
        # Players buffer two to six seconds; behind an HLS playlist twice its target duration counts if that is longer.
        Parameter("duration", STALL_SECONDS, "s", 1.0, LONGEST_SECONDS, "how long nothing has to come"),
    ),
    make_rule=_missing,
    onset=OnsetRule.BACKDATED,
)
MISSING_VIDEO = _missing_track("video", "a picture", "hears sound without a picture.")
MISSING_AUDIO = _missing_track("audio", "a sound", "sees a picture without sound.")


def _counted(p: Mapping[str, float]) -> Rule:
    return Rule(1.0, 1.0, below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _errors(p: Mapping[str, float]) -> Rule:
    return Rule(p["errors"], p["errors"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _at_once(p: Mapping[str, float]) -> Rule:
    return Rule(1.0, 1.0, below=False, set_seconds=0.0, clear_seconds=0.0)


def _apart(p: Mapping[str, float]) -> Rule:
    return Rule(p["offset"], p["offset"], below=False, set_seconds=0.0, clear_seconds=p["hold"])


def _off_limits(p: Mapping[str, float]) -> Rule:
    return Rule(OVER, OVER, below=False, set_seconds=p["duration"], clear_seconds=p["duration"])


CONTINUITY = Detector(
    name="stream.continuity",
    track="stream",
    column="continuity_errors",
    severity=Severity.WARNING,
    summary="The MPEG transport stream is damaged: packets lost or marked, sync, PAT, PMT or PCR gone (TR 101 290).",
    viewer="sees blocks or freezes, or a set-top box that does not start at all.",
    parameters=(
        # TR 101 290 counts each one; a healthy stream has none.
        Parameter("errors", 1.0, "count", 1.0, 1e9, "faults in one second"),
        # TR 101 290 V1.4.1, 1.3.a and 1.5.a.
        Parameter("table", 0.5, "s", 0.01, LONGEST_SECONDS, "longest time without PAT or PMT, where it was shorter"),
        # TR 101 290, 2.3 asks for 0.1 s. Packagers for OTT send one PCR a picture and skip some: a clean clip of
        # Android's own tests has 0.25 s, and no player minds. `pcr: 0.1` for a broadcast chain.
        Parameter("pcr", 0.5, "s", 0.01, LONGEST_SECONDS, "longest time between PCRs, and largest jump, where steady"),
        # TR 101 290, 2.4 and ISO/IEC 13818-1, 2.4.2.2.
        Parameter("pcr_jitter", 500e-9, "s", 1e-9, 1.0, "largest error of a PCR, where the rate is constant"),
        duration("hold", 2.0, "faults closer together than this are one incident"),
    ),
    make_rule=_errors,
)

TIMESTAMPS = Detector(
    name="stream.timestamps",
    track="stream",
    column="timestamp_faults",
    severity=Severity.WARNING,
    summary="Timestamps jump, go back, are missing or drift away from the sound; a wrap of the 33-bit clock is none.",
    viewer="sees jumps, stalls or lips out of step, differently from player to player.",
    parameters=(
        # Viewers see half a second; Opus leaves out up to 0.4 s of silence. Where pictures come at any distance, a gap
        # is also four times the longest of late (engine/ingest/timeline.py).
        duration("jump", 0.5, "smallest gap that is a fault", 0.001),
        # Heard at once. Senders that are started anew in the middle of a packet are off by less; sound whose coder
        # leaves silence out is judged by `jump` alone.
        duration("sound_gap", 0.1, "smallest gap of sound that is a fault", 0.001),
        # ITU-R BT.1359-1: sound 0.09 s early or 0.185 s late is no longer acceptable.
        duration("drift", 0.09, "how far the sound's timestamps may depart from the sound", 0.001),
        duration("hold", 2.0, "faults closer together than this are one incident"),
    ),
    make_rule=_counted,
)

FORMAT_CHANGE = Detector(
    name="stream.format_change",
    track="stream",
    column="format_changes",
    severity=Severity.WARNING,
    summary="Picture size, pixel format, frame rate, sampling rate or channels change; an incident without duration.",
    viewer="may see a flash of black or an error while the player starts anew.",
    parameters=(
        # 24 and 25 are 4 % apart; 1001/1000 is a matter of signalling, not of what viewers see.
        Parameter("frame_rate", 0.02, "ratio", 0.001, 1.0, "smallest change of a steady frame rate"),
    ),
    make_rule=_at_once,
)

GOP = Detector(
    name="stream.gop",
    track="stream",
    column="key_distance_seconds",
    severity=Severity.WARNING,
    summary="No key frame for long, so who joins or loses a packet waits; live and transport streams only.",
    viewer="waits long after changing to the channel, and sees damage last.",
    parameters=(
        # Apple's HLS authoring specification asks for one every 2 s, DASH-IF for one per segment; segments of 10 s are
        # the longest in common use. Encoders' own default of 250 pictures is 10 s at 25 a second, so a little more.
        duration("duration", 10.5, "longest time between key frames", 1.0),
    ),
    make_rule=_missing,
    onset=OnsetRule.BACKDATED,
    dominated_by=("stream.missing_video",),
)

BITRATE = Detector(
    name="stream.bitrate",
    track="stream",
    column="bitrate_off",
    severity=Severity.WARNING,
    summary="The stream's bitrate is outside its limits; the measure is how many times.",
    viewer="sees poor pictures where it is too low; buffers where it is too high for the line.",
    parameters=(
        # Black with silence, the cheapest that there is, takes 6 kbit/s at 320x240; below 1 nothing real is left.
        Parameter("minimum", 1.0, "kbit/s", 0.0, 1e9, "lowest bitrate of pictures and sound together"),
        # No default can know what a network carries: uncompressed 8K has less than this.
        Parameter("maximum", 1e8, "kbit/s", 1.0, 1e9, "highest bitrate of pictures and sound together"),
        duration("duration", 5.0, "how long it has to be outside", 1.0),
    ),
    make_rule=_off_limits,
)

AV_OFFSET = Detector(
    name="stream.av_offset",
    track="stream",
    column="av_offset_seconds",
    severity=Severity.WARNING,
    summary="Sound and pictures start apart, or lie apart in the stream, so that one waits for the other.",
    viewer="waits longer for a start, or hears sound early or late at joins.",
    parameters=(
        # ISO/IEC 13818-1, 2.4.2: data waits at most 1 s in the buffers of the system target decoder (still pictures
        # and MPEG-4 video apart), so tracks that lie further apart starve one of them.
        duration("offset", 1.0, "smallest difference", 0.01),
        duration("hold", 2.0, "differences closer together than this are one incident"),
    ),
    make_rule=_apart,
    dominated_by=("stream.timestamps", "stream.missing_video", "stream.missing_audio"),
)

CAPTIONS_MISSING = Detector(
    name="stream.captions_missing",
    track="stream",
    column="captions_missing_seconds",
    severity=Severity.WARNING,
    summary="Captions (CEA-608/708) or subtitles that the stream had are gone; padding without text counts as there.",
    viewer="cannot follow, if deaf or hard of hearing; often against the law.",
    parameters=(
        # CTA-708 keeps its channel filled with padding in every picture; subtitles may rest for a scene without words.
        duration("duration", 30.0, "how long they have to be gone", 1.0),
    ),
    make_rule=_missing,
    onset=OnsetRule.BACKDATED,
)

SCTE35 = Detector(
    name="stream.scte35",
    track="stream",
    column="splice_markers",
    severity=Severity.INFO,
    summary="A SCTE-35 marker: an annotation, no defect.",
    viewer="notices nothing; it is a note of a marker.",
    parameters=(),
    make_rule=_at_once,
)

SCTE35_MISSING = Detector(
    name="stream.scte35_missing",
    track="stream",
    column="splice_missing_seconds",
    severity=Severity.WARNING,
    summary="No SCTE-35 message for long, heartbeats included, on a stream that had them.",
    viewer="sees the national advertisement or a slate where a regional one was sold.",
    parameters=(
        # Chosen, no standard says: splice_null heartbeats come within minutes where a sender has them, and a channel
        # without them has a break each hour.
        duration("duration", 3600.0, "how long they have to be gone", 1.0),
    ),
    make_rule=_missing,
    onset=OnsetRule.BACKDATED,
)

DETECTORS = (
    STALL,
    DECODE_ERRORS,
    MISSING_VIDEO,
    MISSING_AUDIO,
    CONTINUITY,
    TIMESTAMPS,
    FORMAT_CHANGE,
    GOP,
    BITRATE,
    AV_OFFSET,
    CAPTIONS_MISSING,
    SCTE35,
    SCTE35_MISSING,
)
