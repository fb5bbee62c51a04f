"""`avjury plan`: how many streams an instance judges, what each costs an hour, and what the limit is.

On a CPU: from the newest recorded `bench service` (cores and memory per channel at 360p and 1080p, and the load at
which it refuses more), `bench cpu` (other codecs against H.264) and `bench kernels-cpu` (what detectors cost). Between
sizes and rates the cost is taken to grow with samples and pictures. One core of the recorded machine counts as a vCPU.

On a GPU nothing has been measured: streams are what the published speed of its decoders and the stated limits allow,
as if judging cost nothing, and every such row is marked.

With `--streams`, several times, a fleet for all of them is planned (benchmarks/fleet_plan.py).
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.function_chain.account import load_prices
from benchmarks.harness import RESULTS
from benchmarks.records import newest
from engine.config import parse_selection, select
from engine.detectors import all_detectors
from engine.errors import ConfigError

PAGE: Final = Path(__file__).parent.parent / "docs" / "capacity.md"
PUBLISHED: Final = Path(__file__).parent / "published.json"
RATE: Final = 25.0
MOST_SIDE: Final = 16384
MOST_RATE: Final = 1000.0
SIZES: Final = {"360p": 640 * 360, "1080p": 1920 * 1080}
SUSTAINED: Final = tuple(f"{size}.sustained.channels" for size in SIZES)
H264_CLIP: Final = "made_1080p25_h264.mp4"
# The clip of `bench cpu` that shows a codec's cost, per picture and sample.
CLIPS: Final = {
    "h264": (H264_CLIP, 1920 * 1080),
    "hevc": ("latentsync_demo1_1080x1920_hevc.mp4", 1080 * 1920),
    "mpeg2": ("media3_bbb_2500ms_1080p24_mpeg2.ts", 1920 * 1080),
    "av1": ("simpl_tears-of-steel_1920x800p24_av1.webm", 1920 * 800),
}
# Of a GPU: one 1080p decoder takes about 45 MB; more than about 200 need settings of the driver (published.json).
DECODER_MB_1080P: Final = 45
MOST_DECODERS: Final = 200
# Demuxing in one process, two tracks: about 25,000 packets a second (measured on two cores without a GPU).
PACKETS_PER_SECOND: Final = 25_000
SOUND_PACKETS: Final = 47  # AAC at 48 kHz
SERVICE_MB: Final = 800
# Of what a stream takes with every detector: reading and decoding stay, whatever is left out. An assumption, on the
# careful side of `bench cpu` (decoding alone is most of the whole there).
LEAST_SHARE: Final = 0.1


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be judged.

    Args:
        codec: h264, hevc, mpeg2 or av1.
        width, height: of the pictures.
        rate: pictures per second.
        detectors: names; None for all.
    Raises: ValueError for sizes and rates that no stream has.
    """

    codec: str = "h264"
    width: int = 1920
    height: int = 1080
    rate: float = 25.0
    detectors: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not (1 <= self.width <= MOST_SIDE and 1 <= self.height <= MOST_SIDE):
            raise ValueError(f"a picture has 1 to {MOST_SIDE} samples a side, not {self.width}x{self.height}")
        if not 0 < self.rate <= MOST_RATE:
            raise ValueError(f"a rate is above 0 and at most {MOST_RATE:g} pictures a second, not {self.rate:g}")


@dataclass(frozen=True, slots=True)
class Plan:
    """What one instance can do.

    Args:
        instance: its type.
        streams: at the same time; None where no figure is known.
        cost: US dollars per stream-hour; None without streams.
        binds: what keeps it from more.
        measured: from figures of our own; else published ones.
    """

    instance: str
    streams: int | None
    cost: float | None
    binds: str
    measured: bool


@dataclass(frozen=True, slots=True)
class Figures:
    """What was recorded, and the lists of prices and published figures."""

    service: Mapping[str, Any]
    cpu: Mapping[str, Any]
    kernels: Mapping[str, Any]
    prices: Mapping[str, Any]
    published: Mapping[str, Any]

    @classmethod
    def load(cls, files: Mapping[str, str] | None = None, folder: Path = RESULTS) -> "Figures":
        """The newest, or those of these files by benchmark."""
        files = files or {}
        return cls(
            newest(
                "service", *(f"{size}.sustained.channels" for size in SIZES), folder=folder, file=files.get("service")
            ),
            newest("cpu", "clips", folder=folder, file=files.get("cpu")),
            newest("kernels-cpu", "detectors", folder=folder, file=files.get("kernels-cpu")),
            load_prices(),
            json.loads(PUBLISHED.read_text(encoding="utf-8")),
        )

    def files(self) -> list[str]:
        """The recorded results."""
        return [self.service["file"], self.cpu["file"], self.kernels["file"]]


def _sustained(figures: Figures, size: str) -> tuple[float, float, float]:
    """Cores per channel, share of the cores at the last load that held, and megabytes per channel."""
    found = figures.service["figures"][size]["sustained"]
    last = next(step for step in found["steps"] if step["channels"] == found["channels"])
    cores = figures.service["environment"]["cores"]
    busy = float(last["cores_busy"])
    return busy / found["channels"], busy / cores, float(found["mb_per_channel"])


def _between(small: float, large: float, samples: float) -> float:
    """On the straight line through the value at 360p and that at 1080p; never below a tenth of the smaller."""
    slope = (large - small) / (SIZES["1080p"] - SIZES["360p"])
    return max(small / 10, small + slope * (samples - SIZES["360p"]))


def cores_per_stream(wanted: Wanted, figures: Figures) -> float:
    """Cores that one stream takes on a CPU.

    Raises: ValueError for a codec that was not measured.
    """
    samples = wanted.width * wanted.height
    cores = _between(_sustained(figures, "360p")[0], _sustained(figures, "1080p")[0], samples) * wanted.rate / RATE
    clips = {
        clip["clip"]: clip["cpu_ms_per_frame"]["judge_every_core"]["p50"] for clip in figures.cpu["figures"]["clips"]
    }
    if wanted.codec not in CLIPS or CLIPS[wanted.codec][0] not in clips:
        known = [codec for codec, (clip, _) in CLIPS.items() if clip in clips]
        raise ValueError(f"{wanted.codec} was not measured; there are {', '.join(known)}")
    clip, size = CLIPS[wanted.codec]
    cores *= clips[clip] / size / (clips[H264_CLIP] / SIZES["1080p"])
    if wanted.detectors is None:
        return float(cores)
    # Sound costs the same at any rate of pictures, so at a low one its detectors would spare more than the whole.
    return float(max(LEAST_SHARE * cores, cores - _spared(wanted, figures)))


def _spared(wanted: Wanted, figures: Figures) -> float:
    """Cores that detectors left out would have taken; those whose cost was not measured by itself spare none."""
    costs = figures.kernels["figures"]["detectors"]
    names = set(wanted.detectors or ())

    def left_out(track: str) -> float:
        """Milliseconds; detectors that share a kernel pay for it once, so never more than all together."""
        whole = costs[track]["all detectors"]["p50"]
        chosen = sum(max(0.0, cost["p50"]) for name, cost in costs[track].items() if name in names)
        return float(max(0.0, whole - chosen))

    pictures = left_out("video") * wanted.rate * wanted.width * wanted.height / SIZES["1080p"]
    return (pictures + left_out("audio")) / 1000


def plan(wanted: Wanted, instance: str, figures: Figures) -> Plan:
    """What an instance type can do.

    Raises: ValueError for an instance type or codec that is not known.
    """
    of = priced(instance, figures)
    limits = limits_of(wanted, instance, figures)
    if isinstance(limits, str):
        return Plan(instance, None, None, limits, measured=False)
    binds = min(limits, key=lambda name: limits[name])
    streams = int(limits[binds])
    return Plan(instance, streams, of["hour"] / streams if streams else None, binds, measured=of["gpu"] is None)


def priced(instance: str, figures: Figures) -> Mapping[str, Any]:
    """An instance type, as the list of prices has it. Raises: ValueError for one that it has not."""
    types: Mapping[str, Mapping[str, Any]] = figures.prices["instances"]
    if instance not in types:
        raise ValueError(f"no price of {instance} is listed; there are {', '.join(types)}")
    return types[instance]


def limits_of(wanted: Wanted, instance: str, figures: Figures) -> dict[str, float] | str:
    """How many streams each resource of an instance allows, by its name; or why nothing is known of it.

    Raises: ValueError for an instance type or codec that is not known.
    """
    of = priced(instance, figures)
    return _cpu_limits(wanted, of, figures) if of["gpu"] is None else _gpu_limits(wanted, of, figures)


def _cpu_limits(wanted: Wanted, of: Mapping[str, Any], figures: Figures) -> dict[str, float]:
    load = min(_sustained(figures, size)[1] for size in SIZES)
    samples = wanted.width * wanted.height
    memory = _between(_sustained(figures, "360p")[2], _sustained(figures, "1080p")[2], samples)
    return {
        "CPU": of["vcpus"] * load / cores_per_stream(wanted, figures),
        "memory": (of["memory_gib"] * 1024 - SERVICE_MB) / memory,
    }


def _gpu_limits(wanted: Wanted, of: Mapping[str, Any], figures: Figures) -> dict[str, float] | str:
    gpu = figures.published["gpus"][of["gpu"]]
    if wanted.codec != "h264":
        if wanted.codec == "av1" and not gpu["av1"]:
            return "it decodes no AV1"
        return f"no published figure for {wanted.codec} is recorded"
    fps = gpu["h264_1080p_fps_per_engine"]
    if fps is None:
        return "no published figure for its decoders is recorded"
    share = wanted.width * wanted.height / SIZES["1080p"]
    return {
        "NVDEC": gpu["engines"] * fps / share / wanted.rate,
        "GPU memory": gpu["memory_gb"] * 1000 / (DECODER_MB_1080P * share),
        "decoders without settings of the driver": MOST_DECODERS,
        "demuxing": of["vcpus"] * PACKETS_PER_SECOND / (wanted.rate + SOUND_PACKETS),
    }


def plans(wanted: Wanted, figures: Figures) -> list[Plan]:
    """Every listed instance type, the cheapest first."""
    found = [plan(wanted, instance, figures) for instance in figures.prices["instances"]]
    return sorted(found, key=lambda one: (one.cost is None, one.cost or 0.0))


def cheapest(found: Sequence[Plan], *, measured: bool) -> Plan | None:
    """The cheapest per stream-hour of those that were measured, or of those that were not."""
    return next((one for one in found if one.measured == measured and one.cost is not None), None)


def table(found: Sequence[Plan]) -> list[str]:
    """As Markdown."""
    lines = ["| instance | streams | $ per stream-hour | what binds | figures |", "|---|---|---|---|---|"]
    for one in found:
        basis = "measured" if one.measured else "published, not measured"
        cost = "" if one.cost is None else f"{one.cost:.4f}"
        lines.append(
            f"| {one.instance} | {'' if one.streams is None else one.streams} | {cost} | {one.binds} | {basis} |"
        )
    return lines


def said(found: Sequence[Plan]) -> list[str]:
    """Which is the cheapest."""
    lines = []
    ours, theirs = cheapest(found, measured=True), cheapest(found, measured=False)
    lines += [f"{one.instance}: not even one stream; {one.binds} binds." for one in found if one.streams == 0]
    if ours is not None:
        lines.append(f"Cheapest of what was measured: {ours.instance}, {ours.cost:.4f} $ per stream-hour.")
    if theirs is not None:
        lines.append(
            f"Cheapest by published figures, not measured: {theirs.instance}, {theirs.cost:.4f} $ per stream-hour if "
            "judging cost nothing."
        )
    return lines


def page(figures: Figures) -> str:
    """docs/capacity.md."""
    load = min(_sustained(figures, size)[1] for size in SIZES)
    lines = [
        "# Capacity",
        "",
        "Made by `avjury plan --page` from recorded results, the price list benchmarks/prices.json",
        f"({figures.prices['date']}, {figures.prices['region']}) and benchmarks/published.json; edit those.",
        f"Results: {', '.join(figures.files())}.",
        "`avjury plan --codec hevc --size 1280x720 --detectors video.black,video.freeze` plans other streams.",
        "",
        "- *Measured*: the live service with every detector, on "
        f"{figures.service['environment']['cores']} cores of {figures.service['environment']['cpu']}. A core counts as",
        f"  a vCPU; {load:.0%} of them are used before streams are refused. Between sizes and rates, and for other",
        "  codecs, cost is taken to grow as `bench service` and `bench cpu` show it.",
        "- *Published, not measured*: what the decoders of a GPU would deliver by NVIDIA's figures, and what stated",
        "  limits allow, as if judging cost nothing. Nothing of avjury's speed on a GPU has been measured.",
        "",
    ]
    for title, wanted in (
        ("H.264 1920x1080, 25 pictures a second, every detector", Wanted()),
        ("H.264 1280x720, 50 pictures a second, every detector", Wanted(width=1280, height=720, rate=50.0)),
        ("H.264 640x360, 25 pictures a second, every detector", Wanted(width=640, height=360)),
        ("HEVC 1920x1080, 25 pictures a second, every detector", Wanted(codec="hevc")),
        (
            "H.264 1920x1080, 25 pictures a second, only black, freeze and silence",
            Wanted(detectors=("video.black", "video.freeze", "audio.silence")),
        ),
    ):
        found = plans(wanted, figures)
        lines += [f"## {title}", "", *table(found), "", *said(found), ""]
    lines += ["## Published figures, not run here", "", "| what | figure | source |", "|---|---|---|"]
    lines += [f"| {one['what']} | {one['figure']} | {one['source']} |" for one in figures.published["others"]]
    lines += ["", figures.published["gpu_notes"]]
    return "\n".join(lines) + "\n"


def size_of(text: str) -> tuple[int, int]:
    """Width and height. Raises: ValueError for what is no size."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ValueError(f"a size is WIDTHxHEIGHT as 1920x1080, not {text}")
    return int(width), int(height)


def _chosen(text: str | None) -> tuple[str, ...] | None:
    """Names of detectors, chosen as `avjury check --detectors` does. Raises: ConfigError for one that is not known."""
    if text is None:
        return None
    known = [declared.name for declared in all_detectors()]
    return tuple(select(known, [parse_selection(text, known)]))


def _joined(arguments: Sequence[str]) -> list[str]:
    """With "--detectors -video.blur" as one word, as argparse would take what begins with a minus for an option."""
    words = list(arguments)
    for index, word in enumerate(words[:-1]):
        if word == "--detectors":
            words[index : index + 2] = [f"{word}={words[index + 1]}"]
            break
    return words


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and print, or write the page."""
    parser = argparse.ArgumentParser(prog="avjury plan", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--codec", choices=tuple(CLIPS), default="h264")
    parser.add_argument("--size", default="1920x1080", help="WIDTHxHEIGHT of the pictures")
    parser.add_argument("--rate", type=float, default=25.0, help="pictures per second")
    parser.add_argument("--detectors", help="as for check: video.freeze,audio.* or -video.blur; default: all")
    parser.add_argument("--instance", help="only this type; default: all that have a price")
    parser.add_argument("--streams", action="append", metavar="COUNT:CODEC:WIDTHxHEIGHT:RATE",
                        help="plan a fleet for so many streams of a kind; again for another kind")  # fmt: skip
    parser.add_argument("--spare", type=int, default=1, help="of a fleet: nodes that may be lost and all is judged on")
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--page", action="store_true", help="write docs/capacity.md")
    options = parser.parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    figures = Figures.load()
    if options.page:
        PAGE.write_text(page(figures), encoding="utf-8")
        print(PAGE)  # noqa: T201 - the command's result
        return 0
    try:
        detectors = _chosen(options.detectors)
        if options.streams is not None:
            from benchmarks import fleet_plan  # it is built on this module

            print(fleet_plan.told(options.streams, options.spare, options.instance, detectors, figures,  # noqa: T201
                                  as_json=options.format == "json"))  # fmt: skip
            return 0
        wanted = Wanted(options.codec, *size_of(options.size), options.rate, detectors)
        found = [plan(wanted, options.instance, figures)] if options.instance else plans(wanted, figures)
    except (ConfigError, ValueError) as error:
        print(f"avjury: {error}", file=sys.stderr)  # noqa: T201 - the command's own error line
        return 2
    if options.format == "json":
        rows = [{"instance": p.instance, "streams": p.streams, "dollars_per_stream_hour": p.cost, "binds": p.binds,
                 "measured": p.measured} for p in found]  # fmt: skip
        print(json.dumps({"plans": rows, "results": figures.files()}))  # noqa: T201 - the command's output
    else:
        print("\n".join([*table(found), "", *said(found)]))  # noqa: T201 - the command's output
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
