"""`avjury bench chain`: the chain of cloud functions that avjury replaces, run for real beside it, and what both cost.

benchmarks/function_chain has the chain; its docstrings say how it is built and what is left out in its favour. Both
sides judge the same inputs with the same detectors on this machine, tell the same receiver, and warm up first. The
chain runs in several variants; `cost_ratio` is avjury's cost over that of the cheapest variant that was run and judges
every second as the original did.

With the clips of the media folder it takes some minutes on two cores.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import av

from benchmarks.function_chain.account import (
    INSTANCE,
    agreement,
    chain_cost,
    instance_cost_by_streams,
    limits,
    load_prices,
    one_process_cost,
)
from benchmarks.function_chain.system import Chain, difference, total
from benchmarks.function_chain.variants import ALL, VARIANTS, Variant
from benchmarks.harness import parser, quantiles, say, show_children_this_tree, write_result
from benchmarks.live.service import Receiver
from benchmarks.looped import loop_clip, make_clip, named_clips
from benchmarks.plan import Figures, Wanted, plan

# Large clips of the media folder whose pictures are 8-bit 4:2:0, with what they are coded in.
MEDIA_CLIPS: Final = ("media3_bbb_2500ms_1080p24_mpeg2.ts", "latentsync_demo1_1080x1920_hevc.mp4")
# Share of an instance that may be busy: about there the service refuses streams; `bench service` has what is busy then.
LOAD: Final = 0.75
ASSUMPTIONS: Final = (
    "Functions are warm, keep each stream's decoder and detector state in memory from second to second, and always "
    "find it again. Cold starts and storing that state are not counted.",
    "A function is charged for the CPU time it used, at the memory that buys one vCPU, not for waiting; a core of this "
    "machine counts as a vCPU on both sides.",
    "The client of the object store is written in Rust, moves objects side by side and keeps its connections, without "
    "TLS and without hashing what it sends.",
    "The object store is moto's S3 server. Its CPU time, and that of the state machine, is counted apart and not "
    "charged: both are services that are paid per request and per transition.",
    "Standard workflows are paid per state entered: Convert, Detect, one per detector function, Aggregate, Changed, "
    "and Notify where something changed. What express workflows would come to is told beside it: they keep no state "
    "that a broken-off execution could go on from, and may run one twice.",
    "JPEG is libav's at its best quality, and at quantiser 8 beside it, which takes less CPU time and no fewer "
    "requests; Ut Video loses nothing and takes less CPU time than JPEG at its best. Bytes are not charged.",
    "avjury's share of an instance supposes that there are streams enough to fill it; what fewer cost is told beside "
    "it. The chain costs the same for each stream, however few.",
    "Traffic, stored bytes, logs, notifications and the entry point's gateway cost nothing here; deleting is free.",
    f"avjury pays for a whole {INSTANCE} of which no more than {LOAD:.0%} is used.",
    "No free tier, no reserved or spot prices, on either side.",
)


def faulty_clip(path: Path, seconds: float, size: tuple[int, int], folder: Path) -> Path:
    """A made clip with a freeze, and black and a silence in every 20 s, so that there is something to agree upon."""
    import imageio_ffmpeg

    made = folder / "made.mp4"
    if not made.exists():
        make_clip(made)
    width, height = size
    pictures = (
        f"scale={width}:{height},drawbox=color=black:t=fill:enable='between(mod(t,20),2,4.5)',"
        "loop=loop=75:size=1:start=150,setpts=N/25/TB"
    )
    command = [
        imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", "-stream_loop", "-1", "-i", str(made), "-t", str(seconds),
        "-vf", pictures, "-af", "volume=0:enable='between(mod(t,20),11,14)'", "-c:v", "libx264", "-preset", "veryfast",
        "-g", "50", "-c:a", "aac", str(path),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    return path


def beginning(clip: Path, path: Path) -> Path:
    """The first second of a clip, to warm up with."""
    import imageio_ffmpeg

    command = [
        imageio_ffmpeg.get_ffmpeg_exe(),
        "-y",
        "-v",
        "error",
        "-i",
        str(clip),
        "-t",
        "1",
        "-c",
        "copy",
        str(path),
    ]
    subprocess.run(command, check=True)
    return path


def about(clip: Path) -> dict[str, Any]:
    """What a clip is."""
    with av.open(str(clip)) as container:
        pictures = container.streams.video[0]
        rate = pictures.average_rate
        return {
            "clip": clip.name, "codec": pictures.codec_context.name, "width": pictures.width, "height": pictures.height,
            "rate": None if rate is None else round(float(rate), 3), "sound": bool(container.streams.audio),
        }  # fmt: skip


def as_the_live_service() -> dict[str, Any] | None:
    """What a 1080p25 channel of the live service costs by its own record, its API and processes and all."""
    figures = Figures.load()
    found = plan(Wanted(), INSTANCE, figures)
    return {"record": figures.service["file"], "streams": found.streams, "per_stream_hour": found.cost}


def run_chain(
    variant: Variant, streams: Mapping[str, str], warm_up: Mapping[str, str], folder: Path, instances: int
) -> dict[str, Any]:
    """The chain on the inputs. Returns: its counts, wall time and incidents."""
    receiver = Receiver()
    try:
        chain = Chain(variant, folder, receiver.url, instances)
        try:
            chain.run(warm_up)
            before, told, began = chain.counts(), len(receiver.arrived), time.perf_counter()
            chain.run(streams)
            wall = time.perf_counter() - began
            counts = difference(chain.counts(), before)
            if chain.machine.unfinished():
                raise RuntimeError("executions were not finished")
            return {
                "counts": counts,
                "wall_seconds": wall,
                "notifications": len(receiver.arrived) - told,
                "incidents": {stream: chain.incidents[stream] for stream in streams},
            }
        finally:
            chain.close()
    finally:
        receiver.close()


def run_one_process(streams: Mapping[str, str], warm_up: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """avjury on the inputs."""
    receiver = Receiver()
    try:
        request = {"streams": dict(streams), "warm_up": dict(warm_up), "folder": str(folder), "receiver": receiver.url}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.function_chain.one_process"],
            input=json.dumps(request), stdout=subprocess.PIPE, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    finally:
        receiver.close()


def compare(
    clips: Sequence[Path], names: Sequence[str], *, copies: int, instances: int, repeats: int, folder: Path
) -> dict[str, Any]:
    """Both sides on the same streams.

    Args:
        clips: inputs of equal worth.
        names: of the chain's variants.
        copies: streams per clip.
        instances: of each function.
        repeats: turns of avjury's side, the middle of which counts; a chain's turn is long enough by itself.
        folder: for what the runs write.
    """
    prices = load_prices()
    streams = {f"{clip.stem}-{copy}": str(clip) for clip in clips for copy in range(copies)}
    warm_up = {f"warm-{clip.stem}": str(beginning(clip, folder / f"warm-{clip.stem}.mkv")) for clip in clips}
    turns = [run_one_process(streams, warm_up, folder) for _ in range(repeats)]
    ours = sorted(turns, key=lambda turn: turn["cpu_seconds"])[len(turns) // 2]
    our_cost = one_process_cost(ours["cpu_seconds"], ours["stream_seconds"], LOAD, prices)
    per_second = ours["cpu_seconds"] / ours["stream_seconds"]
    say(f"avjury: {per_second:.3f} CPU s per stream-second, "
         f"{our_cost:.5f} $ per stream-hour")  # fmt: skip
    variants: dict[str, Any] = {}
    for name in names:
        # Other ids, as the chain has seen these.
        found = run_chain(VARIANTS[name], streams, warm_up, folder, instances)
        variants[name] = _figures(VARIANTS[name], found, ours, our_cost, prices)
        say(f"{name}: {variants[name]['cost']['per_stream_hour']:.4f} $ per stream-hour, "
             f"ratio {variants[name]['cost_ratio']:.4f}, {found['wall_seconds']:.0f} s")  # fmt: skip
    cheapest = cheapest_alike(variants)
    return {
        "clips": [clip.name for clip in clips],
        "inputs": [about(clip) for clip in clips],
        "streams": len(streams),
        "detectors": list(ALL),
        "assumptions": list(ASSUMPTIONS),
        "prices": prices,
        "avjury": {
            **{key: value for key, value in ours.items() if key != "incidents"},
            "cpu_seconds_of_each_turn": [turn["cpu_seconds"] for turn in turns],
            "cpu_seconds_per_stream_second": per_second,
            "cpu_seconds_per_stream_second_of_the_turns": quantiles(
                [turn["cpu_seconds"] / turn["stream_seconds"] for turn in turns]
            ),
            "cost_per_stream_hour": our_cost,
            "instance": INSTANCE,
            "load": LOAD,
            "by_streams_on_one_instance": instance_cost_by_streams(per_second, LOAD, prices),
            "as_the_live_service": as_the_live_service(),
            "incidents": ours["incidents"],
        },
        "chain": variants,
        "cheapest_variant": cheapest,
        "cost_ratio": variants[cheapest]["cost_ratio"],
        "cost_ratio_to_the_original": variants["jpeg"]["cost_ratio"] if "jpeg" in variants else None,
    }


def cheapest_alike(variants: Mapping[str, Any]) -> str:
    """The cheapest way that judges every second; one that tells of a defect late is no other way to do the same.

    Args:
        variants: figures by name; where all are late, the cheapest of these.
    """
    alike = [name for name, of in variants.items() if of["like_the_original"]] or list(variants)
    return min(alike, key=lambda name: float(variants[name]["cost"]["per_stream_hour"]))


def _figures(
    variant: Variant, found: Mapping[str, Any], ours: Mapping[str, Any], our_cost: float, prices: Mapping[str, Any]
) -> dict[str, Any]:
    counts = found["counts"]
    seconds = counts["stream_seconds"]
    cost = chain_cost(counts, prices)
    whole = cost["per_stream_hour"]
    parts = cost["parts"]
    without = {
        "orchestration": whole - parts["orchestration"],
        "object store requests": whole - parts["handoff_requests"],
        "both": whole - parts["orchestration"] - parts["handoff_requests"],
    }
    # The last second of a stream is rarely whole.
    if counts["pictures"] != ours["pictures"]:
        raise RuntimeError(f"{variant.name}: the chain judged {counts['pictures']} pictures, avjury {ours['pictures']}")
    return {
        "summary": variant.summary,
        "segment_seconds": variant.segment_seconds,
        "like_the_original": variant.like_the_original,
        "functions": {name: len(detectors) for name, detectors in variant.functions.items()},
        "wall_seconds": found["wall_seconds"],
        "per_stream_second": {
            "cpu_seconds": total(counts, "cpu_seconds") / seconds,
            "handoff_cpu_seconds": total(counts, "handoff_cpu_seconds") / seconds,
            "function_wall_seconds": total(counts, "wall_seconds") / seconds,
            "gb_seconds": total(counts, "cpu_seconds") * prices["lambda_mb_per_vcpu"] / 1024 / seconds,
            "invocations": total(counts, "invocations") / seconds,
            "state_transitions": counts["transitions"] / seconds,
            "object_puts": counts["store"].get("PUT", 0) / seconds,
            "object_gets": counts["store"].get("GET", 0) / seconds,
            "object_bytes": (total(counts, "store_put_bytes") + total(counts, "store_get_bytes")) / seconds,
            "message_bytes": (counts["payload_bytes"] + counts["state_bytes"]) / seconds,
            "object_store_cpu_seconds": counts["store"]["cpu_seconds"] / seconds,
            "state_machine_cpu_seconds": counts["orchestrator_cpu_seconds"] / seconds,
        },
        "cost": cost,
        "cost_ratio": our_cost / whole,
        "cost_ratio_by_express_workflows": our_cost / cost["per_stream_hour_by_express_workflows"],
        "cost_ratio_if_free": {name: our_cost / value for name, value in without.items()},
        "cpu_ratio": (ours["cpu_seconds"] / ours["stream_seconds"]) / (total(counts, "cpu_seconds") / seconds),
        "limits": limits(counts, prices),
        "agreement": agreement(ours["incidents"], found["incidents"], within_seconds=0.05),
        "notifications": found["notifications"],
        "counts": counts,
    }


def main() -> int:
    """Parse the command line, run, and keep the result."""
    arguments = parser("chain", __doc__)
    arguments.add_argument("--clips", nargs="*", help="clips of the media, by name, beside the made one; default: two")
    arguments.add_argument("--media", default=os.environ.get("AVJURY_MEDIA"), help="folder of real clips")
    arguments.add_argument("--variants", nargs="+", choices=tuple(VARIANTS), default=list(VARIANTS))
    arguments.add_argument("--seconds", type=float, default=60.0, help="of each stream")
    arguments.add_argument("--copies", type=int, default=1, help="streams per clip")
    arguments.add_argument("--instances", type=int, default=1, help="warm instances of each function")
    arguments.add_argument("--repeats", type=int, default=3, help="turns of avjury's side")
    arguments.add_argument("--size", nargs=2, type=int, default=(1920, 1080), help="of the made clip")
    options = arguments.parse_args()
    missing = [name for name in options.clips or () if not named_clips(options.media, [name])]
    if missing:
        arguments.error(f"not in the folder of clips: {', '.join(missing)}")
    show_children_this_tree()
    with tempfile.TemporaryDirectory(prefix="avjury-bench-") as name:
        folder = Path(name)
        clips = [faulty_clip(folder / "made_with_faults.mp4", options.seconds, tuple(options.size), folder)]
        names = MEDIA_CLIPS if options.clips is None else options.clips
        more = [clip for name in names for clip in named_clips(options.media, [name])]
        clips += [loop_clip(clip, folder / f"{clip.stem}.mkv", options.seconds) for clip in more]
        figures = compare(
            clips, options.variants, copies=options.copies, instances=options.instances, repeats=options.repeats,
            folder=folder,
        )  # fmt: skip
    path = write_result("chain", figures, options.results)
    print(path)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
