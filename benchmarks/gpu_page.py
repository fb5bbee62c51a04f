"""docs/gpu.md: what a GPU has to do, how long that takes at the least, and what one was measured to take.

`python -m benchmarks.gpu_page` writes it from the newest whole run of `make gpu-check` in benchmarks/results; figures
that no run has are left empty.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.block_rule import PROCESSORS, newest_record, occupancy
from benchmarks.gpu_floors import bytes_per_stream_second, floors, torn_loads
from benchmarks.gpu_plots import TITLES, charts
from benchmarks.harness import RESULTS
from kernels.tuning import CANDIDATES, blocks_for

PAGE: Final = Path(__file__).parents[1] / "docs" / "gpu.md"
# NVIDIA's data sheets: bytes per second of device memory.
_MEMORY: Final = (("T4", 320e9), ("A10G", 600e9), ("L4", 300e9), ("L40S", 864e9), ("H100", 3.35e12), ("H200", 4.8e12))
Found = dict[str, Any]


def _pipeline(row: Found) -> float | None:
    return row.get("pipeline_over_decode")


def _decode(parts: Found) -> list[Found]:
    counts: list[Found] = parts.get("decode", {}).get("counts", [])
    return counts


def _worst_hevc(parts: Found) -> float | None:
    rates = [_pipeline(row) for row in parts.get("decode", {}).get("others", {}).values()]
    known = [rate for rate in rates if rate is not None]
    return min(known) if known else None


def _streams(parts: Found, name: str) -> Any:
    return parts.get("streams", {}).get(name)


def _real_time(parts: Found) -> Found | None:
    rows = [row for row in _streams(parts, "in_real_time") or [] if row["keeping_up"] == row["streams"]]
    return rows[-1] if rows else None


_REST: Final = """
## Launches

What is launched for a batch is recorded once as a CUDA graph and played back (decisions 0061 and 0073), so that a
batch takes as many launches and copies whatever the number of streams; the goal is ten:

| per batch | launches and copies |
|---|---|
| pictures: upload of one table, playback, copy of its result, the judge, its counts to the host | 5 |
| sound, ten times a second: the same | 5 |
| a batch in which pictures are due to be looked at by the network (docs/network.md): upload, playback | 2 more |
| a batch with a second look of the network (docs/network.md), which is seldom: launch by launch | some hundred more |
| a batch in which windows of sound are due for the audio network, each 64 of them: upload, playback | 2 more |
| a batch in which a second of some stream ends: where, which rows, to the host | 3 more |
| a row of which a verdict changed: its events to the host | 1 more |
| ticks of ingest and decoding: judged on the host, where they are made | 0 |

A test counts them over a stand-in of the GPU (tests/engine/test_launches.py). Without a recording a batch of pictures
takes some 850 launches; `make gpu-check` measures both. The networks' convolutions are in 16 bits (bfloat16, and
float16 on GPUs before Ampere), channels last; the one for pictures takes 64 pieces at a time whatever is due, the one
for sound 16 windows, so that what they say of a picture or window depends on no other. Each number of such batches that
a fixed set allows has a recording of its own. What comes before the audio network's convolutions (spectra, the shape of
the wave) and after them stays float32; what 16 bits change was tried on the CPU (decision 0136).

Recording is refused where work waits for the device or makes a tensor from Python's numbers; the tests record
torch's operators on the CPU and run them again in the same memory (tests/engine/test_graphs.py), and run the host side
of every kernel's launch the same way (tests/kernels/test_compiled.py), so that this is found without a GPU.
`engine.graphs: false` launches everything one by one.

A stream that is compared with a reference, and the reference itself, have the brightness of their regions taken
after the playback, launched by itself for each batch that they are in; a window of half a minute is compared
every two seconds, and the loop waits for that.

## When the GPU fails

- *Out of memory* while measuring: the pictures of that batch are left out, which their seconds say, and batches
  are half as large from then on.
- *Anything else that CUDA refuses*, also by way of Triton or of the convolutions' libraries: CUDA does not recover
  within a process. The engine ends with one line; the service starts another within three seconds, and its streams
  go on.
- *No session of NVDEC left*, or a codec that it does not decode: that stream is decoded in software and
  uploaded; its status, the log and a metric say so. Above about 200 sessions NVIDIA's kernel module needs
  settings; `avjury doctor` says which of them are missing.

## Looking at it

`avjury bench trace` draws a few batches on a time axis; the loop's steps are named (NVTX) for Nsight Systems.
`/metrics` has `avjury_gpu_utilization_ratio`, `avjury_gpu_nvdec_utilization_ratio`,
`avjury_gpu_memory_used_bytes` and `avjury_gpu_memory_bytes` by GPU, where NVIDIA's management library is there."""
# H.264 1080p pictures per second that the cards of block_rule decode at the most: engines, by 748 pictures of one of
# Turing and Ampere, and by 1400 of a later one (NVIDIA's support matrix and Video Codec SDK).
DECODED: Final = {75: 2 * 748, 86: 2 * 748, 89: 4 * 1400, 90: 7 * 1400}
# A run's file: the GPU, and when. That of a dry run is none.
_RUN: Final = re.compile(r"gpu-(?!dry-run-).+?-(\d{8}T\d+(?:-\d+)?)\.json")
# What is promised, where it stands in a record, and how.
_FIGURES: Final[tuple[tuple[str, str, Callable[[Found], Any]], ...]] = (
    ("judged over decode-only, H.264 1080p, most sessions", ">= 0.95",
     lambda p: _pipeline(_decode(p)[-1]) if _decode(p) else None),
    ("the same, HEVC of 8 and 10 bit, the lower", ">= 0.95", _worst_hevc),
    ("decode at most sessions over engines x one session", ">= 0.9",
     lambda p: p.get("decode", {}).get("decode_over_engines_times_one")),
    ("`frame_stats`, bytes moved per second over a copy's, 32 streams and more", ">= 0.8",
     lambda p: p.get("kernels", {}).get("frame_stats", {}).get("over_copy", {}).get("p50")),
    ("device to host, bytes per stream-second", "<= 512",
     lambda p: p.get("path", {}).get("recorded", {}).get("device_to_host_bytes_per_stream_second")),
    ("launches and copies of a batch, most of few and of many streams", "<= 10",
     lambda p: max(p.get("path", {}).get("launches_per_batch", {}).values(), default=None)),
    ("host CPU per picture, decoded and judged, most sessions, us", "<= 150",
     lambda p: _decode(p)[-1].get("pipeline", [{}])[-1].get("host_cpu_us_per_frame") if _decode(p) else None),
    ("host CPU per picture after decoding, us", "",
     lambda p: p.get("path", {}).get("recorded", {}).get("host_cpu_us_per_frame")),
    ("under Python's lock per picture, loop and reader together, without demuxing, us at most", "<= 15",
     lambda p: p.get("path", {}).get("under_the_lock_us_per_frame_at_most")),
    ("uploads of software-decoded pictures hidden behind the rest, share", "",
     lambda p: p.get("path", {}).get("uploads", {}).get("hidden")),
    ("`frame_stats`, time of the blocks of the table over that of the best", "",
     lambda p: p.get("blocks", {}).get("frame_stats", {}).get("table_over_best")),
    ("pictures per second after decoding, recorded launches", "",
     lambda p: p.get("path", {}).get("recorded", {}).get("frames_per_second", {}).get("p50")),
    ("the same, launched one by one", "",
     lambda p: p.get("path", {}).get("one_by_one", {}).get("frames_per_second", {}).get("p50")),
    ("most streams of 1080p30 that kept up", "", lambda p: (_real_time(p) or {}).get("streams")),
    ("packet to verdict at nine tenths of that number, p99, ms", "<= 72",
     lambda p: ((_streams(p, "at_nine_tenths_of_the_most") or {}).get("latency_ms") or {}).get("p99")),
    ("healthy streams beside a damaged and a silent one, over without", ">= 0.99",
     lambda p: (_streams(p, "beside_a_damaged_and_a_silent_one") or {}).get("with_over_without")),
    ("device memory per stream, bytes", "", lambda p: (_streams(p, "memory") or {}).get("bytes_per_stream")),
)  # fmt: skip


def newest_run(folder: Path = RESULTS) -> Found | None:
    """The newest record of a whole `make gpu-check` on a GPU; None where there is none."""
    runs = [(found[1], file) for file in folder.glob("gpu-*.json") if (found := _RUN.fullmatch(file.name))]
    for _, file in sorted(runs, reverse=True):
        record: Found = json.loads(file.read_text(encoding="utf-8"))
        if not record["figures"]["quick"]:
            return {"file": file.name, **record}
    return None


def page(record: Found | None) -> str:
    """The page's text.

    Args:
        record: of `newest_run`.
    """
    return "\n".join(_lines(record)) + "\n"


def _lines(record: Found | None) -> Iterator[str]:
    whole = floors()
    per_second = bytes_per_stream_second(whole)
    yield from (
        "# On a GPU",
        "",
        "NVDEC decodes into device memory, and kernels read the pictures where they lie; verdicts and one row per",
        "stream and second come back. This page is made by `python -m benchmarks.gpu_page`.",
        "",
        "## What was measured",
        "",
    )
    if record is None:
        yield "Nothing yet: no GPU was at hand. `make gpu-check` measures every row in under eight minutes."
    else:
        machine = record["figures"]["parts"].get("machine", {}).get("devices") or [{"name": "a GPU"}]
        yield f"One run on {machine[0]['name']} ({record['file']}); benchmarks/results has the whole of it."
    yield from ("", "| figure | goal | measured |", "|---|---|---|")
    parts = record["figures"]["parts"] if record else {}
    for name, goal, find in _FIGURES:
        value = find(parts)
        yield f"| {name} | {goal} | {'not measured' if value is None else value} |"
    for chart in charts(parts):
        yield f"\n![{TITLES[chart]}](images/{chart}.svg)"
    yield from (
        "",
        "## What the kernels cannot take less than",
        "",
        "One 1080p30 stream of 8 bit and stereo sound, nothing changing. Bytes are those of device memory; the time is",
        "theirs at 4.8 TB/s, an H200's (NVIDIA's data sheet), so a floor and not a figure of any run. Launches are of",
        "a batch, however many streams are in it; they are recorded. What runs 0 times a second runs for streams that",
        "want it.",
        "",
        "| kernel | MB | million operations | a second | floor, us | launches | the bytes are |",
        "|---|---|---|---|---|---|---|",
    )
    for floor in whole:
        moved, operations = floor.moved / 1e6, floor.operations / 1e6
        yield (
            f"| {floor.kernel} | {moved:.3f} | {operations:.2f} | {floor.runs_per_second:.3g} | "
            f"{1e6 * floor.moved / 4.8e12:.2f} | {floor.launches} | {floor.why} |"
        )
    yield from (
        "",
        f"Together {per_second / 1e6:.0f} MB per stream-second; 10 bit takes twice as much. What memory alone would",
        "let through, against what NVDEC decodes (NVIDIA's figures, docs/capacity.md), says which of them binds:",
        "",
        "| GPU | memory, GB/s | streams by memory alone |",
        "|---|---|---|",
    )
    for name, bandwidth in _MEMORY:
        yield f"| {name} | {bandwidth / 1e9:.0f} | {bandwidth / per_second:.0f} |"
    yield "\nNVDEC binds on each of them: an H200's seven engines decode about 175 such streams."
    yield from _block_lines()
    yield _REST


def _block_lines() -> Iterator[str]:
    """What the compiler says of the blocks that the table takes."""
    yield from (
        "",
        "## Block sizes",
        "",
        "How large a program of a kernel is follows a rule per architecture (decision 0074) from what the compiler and",
        "the assembler say of each candidate, which needs no GPU: nothing on the stack, enough bytes on the way to",
        "keep the memory busy, then most warps resident. `make gpu-check` measures the candidates on the GPU there is.",
        "",
        "| kernel | architecture | tile | warps | registers | shared bytes | warps resident |",
        "|---|---|---|---|---|---|---|",
    )
    record = newest_record()
    for kernel in CANDIDATES:
        for architecture, kernels in sorted(record.items()):
            blocks = blocks_for(kernel, divmod(architecture, 10))
            taken = next(taken for taken in kernels[kernel] if taken.blocks == blocks)
            yield (
                f"| {kernel} | sm_{architecture} | {' x '.join(map(str, blocks.tile)) or 'a row'} | {blocks.warps} | "
                f"{taken.registers} | {taken.shared_bytes} | {occupancy(taken, architecture):.0%} |"
            )
    yield from (
        "",
        "The others have one size everywhere. On sm_90 none of them leaves anything of a thread on the stack, nor do",
        "those of the table anywhere. A test refuses that, and counts loads of 16 bytes of a thread, where rows are",
        "aligned: in `frame_stats`, `tile_stats`, `to_network`, `audio_stats`, `sound_features` and `judge`. Of the",
        "others only `torn_blocks` runs for every picture, and `scaled_blocks` for each of streams that want it; a",
        "thread of theirs loads one sample at a time, and a warp's loads lie side by side. What that costs the first",
        "at the least is how long the processors take to begin so many loads, against the memory's own time (decisions",
        "0090 and 0109):",
        "",
        "| architecture | memory, us | beginning the loads, us | of the time of the pictures that NVDEC decodes |",
        "|---|---|---|---|",
    )
    (torn,) = (floor for floor in floors() if floor.kernel == "torn_blocks")
    for architecture, processor in sorted(PROCESSORS.items()):
        loading = processor.seconds_to_load(torn_loads())
        yield (
            f"| sm_{architecture} | {1e6 * torn.moved / processor.bandwidth:.2f} | {1e6 * loading:.2f} | "
            f"{loading * DECODED[architecture]:.2%} |"
        )


def main() -> int:
    """Write the page."""
    argparse.ArgumentParser(prog="avjury bench gpu-page", description=__doc__).parse_args()
    record = newest_run()
    PAGE.write_text(page(record), encoding="utf-8")
    for name, chart in charts(record["figures"]["parts"] if record else {}).items():
        (PAGE.parent / "images" / f"{name}.svg").write_text(chart + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
