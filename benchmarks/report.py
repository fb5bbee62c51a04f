"""`avjury bench report`: docs/results.html, one page with tables and plots of the newest results of every benchmark.

The page holds all that it shows, and names for each part the result, the machine and the commit that it came from.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.charts import bars, lines_over
from benchmarks.harness import RESULTS
from benchmarks.plan import PUBLISHED
from benchmarks.records import newest

PAGE: Final = Path(__file__).parent.parent / "docs" / "results.html"
STYLE: Final = (
    "body{font:15px/1.45 sans-serif;max-width:960px;margin:24px auto;padding:0 16px;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:12px 0}td,th{border:1px solid #bbb;padding:4px 8px;text-align:left}"
    "small{color:#555}svg{max-width:100%;height:auto;margin:8px 0}"
)
Parts = Iterator[str]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """As HTML."""

    def row(cells: Sequence[object], kind: str) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    return "<table>" + row(head, "th") + "".join(row(cells, "td") for cells in rows) + "</table>"


def _chain(figures: Mapping[str, Any]) -> Parts:
    ours, variants = figures["avjury"], figures["chain"]
    cheapest = variants[figures["cheapest_variant"]]
    yield (
        f"<p>avjury costs <b>{figures['cost_ratio']:.2%}</b> of the cheapest way to build the chain "
        f"({escape(cheapest['summary'])}). The goal is at most 5 %. {figures['streams']} streams, "
        f"{len(figures['detectors'])} detectors; prices of {figures['prices']['date']}.</p>"
    )
    rows: list[tuple[str, Mapping[str, float]]] = []
    for name, of in variants.items():
        p = of["cost"]["parts"]
        rows.append((f"chain, {name}", {
            "orchestration": p["orchestration"],
            "handoff: requests": p["handoff_requests"],
            "handoff: CPU": p["handoff_compute"],
            "compute": p["compute"] + p["invocations"],
        }))  # fmt: skip
    rows.append(("avjury", {"compute": ours["cost_per_stream_hour"]}))
    yield bars("Cost of a stream-hour", rows, "$")
    yield bars(
        "CPU time for a second of a stream",
        [
            *((f"chain, {name}", {
                "handoff": of["per_stream_second"]["handoff_cpu_seconds"],
                "compute": of["per_stream_second"]["cpu_seconds"] - of["per_stream_second"]["handoff_cpu_seconds"],
              }) for name, of in variants.items()),
            ("avjury", {"compute": ours["cpu_seconds_per_stream_second"]}),
        ],
        "s",
    )  # fmt: skip
    each = [of["per_stream_second"] for of in variants.values()]
    yield table(
        ["per stream-second", *variants, "avjury"],
        [
            ["CPU seconds of functions", *(f"{e['cpu_seconds']:.3f}" for e in each),
             f"{ours['cpu_seconds_per_stream_second']:.3f}"],
            [
                "wall seconds, all streams side by side",
                *(f"{v['wall_seconds'] / v['counts']['stream_seconds']:.3f}" for v in variants.values()),
                f"{ours['wall_seconds'] / ours['stream_seconds']:.3f}",
            ],
            ["GB-seconds of functions", *(f"{e['gb_seconds']:.3f}" for e in each), ""],
            ["invocations", *(f"{e['invocations']:.2f}" for e in each), ""],
            ["state transitions", *(f"{e['state_transitions']:.2f}" for e in each), "0"],
            ["object store: PUT", *(f"{e['object_puts']:.1f}" for e in each), "0"],
            ["object store: GET", *(f"{e['object_gets']:.1f}" for e in each), "0"],
            ["MB through the object store", *(f"{e['object_bytes'] / 1e6:.1f}" for e in each), "0"],
            ["kB of messages and state", *(f"{e['message_bytes'] / 1e3:.1f}" for e in each), ""],
            ["CPU seconds of the state machine (not charged)",
             *(f"{e['state_machine_cpu_seconds']:.3f}" for e in each), ""],
            ["CPU seconds of the object store (not charged)",
             *(f"{e['object_store_cpu_seconds']:.3f}" for e in each), ""],
        ],
    )  # fmt: skip
    of_all = list(variants.values())
    yield table(
        ["", *variants],
        [
            ["share of orchestration", *(f"{v['cost']['shares']['orchestration']:.0%}" for v in of_all)],
            ["share of handoff", *(f"{v['cost']['shares']['handoff']:.0%}" for v in of_all)],
            ["share of compute", *(f"{v['cost']['shares']['compute']:.0%}" for v in of_all)],
            ["avjury's cost over it", *(f"{v['cost_ratio']:.2%}" for v in of_all)],
            ["... if transitions and requests were free",
             *(f"{v['cost_ratio_if_free']['both']:.1%}" for v in of_all)],
            ["avjury's CPU time over it", *(f"{v['cpu_ratio']:.1%}" for v in of_all)],
            ["$ per stream-hour if waiting were charged",
             *(f"{v['cost']['per_stream_hour_if_waiting_were_charged']:.2f}" for v in of_all)],
            ["streams at which default limits of an account stop it",
             *(f"{v['limits']['at_streams']} ({v['limits']['first'].replace('_', ' ')})" for v in of_all)],
            ["incidents found by both / only avjury / only the chain",
             *(f"{v['agreement']['in_both']} / {len(v['agreement']['only_avjury'])} / "
               f"{len(v['agreement']['only_chain'])}" for v in of_all)],
        ],
    )  # fmt: skip
    yield "<p>Assumptions:</p><ul>" + "".join(f"<li>{escape(a)}</li>" for a in figures["assumptions"]) + "</ul>"


def _cpu(figures: Mapping[str, Any]) -> Parts:
    clips = figures["clips"]
    yield bars(
        "Judged over decoded only, one stream",
        [(c["clip"], {"": c["judged_over_decode_only"]["p50"]}) for c in clips],
        "",
    )
    yield table(
        ["clip", "one stream", "one per core", "speed over ffmpeg"],
        [
            [c["clip"], f"{c['judged_over_decode_only']['p50']:.2f}",
             f"{c['judged_over_decode_only_every_core']['p50']:.2f}",
             f"{c['speed_over_ffmpeg']['p50']:.1f}" if "speed_over_ffmpeg" in c else ""]
            for c in clips
        ],
    )  # fmt: skip


def _ffmpeg(figures: Mapping[str, Any]) -> Parts:
    sides = {"avjury": "avjury", "ffmpeg_full_size": "ffmpeg, full size", "ffmpeg_360p": "ffmpeg, scaled to 360p"}
    for clip in figures["clips"]:
        rows = [(title, {"": clip[f"{side}_frames_per_second"]["p50"]}) for side, title in sides.items()]
        yield bars(f"Pictures per second: {clip['clip']}", rows, "")
    yield table(
        ["clip", "avjury over ffmpeg at full size", "over ffmpeg at 360p"],
        [
            [c["clip"], f"{c['speed_over_ffmpeg_full_size']['p50']:.1f}", f"{c['speed_over_ffmpeg_360p']['p50']:.1f}"]
            for c in figures["clips"]
        ],
    )


def _scale(figures: Mapping[str, Any]) -> Parts:
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and of.get("rows")}
    for what, unit in (("cores_per_channel", "cores"), ("mb_per_channel", "MB")):
        series = {size: [(row["channels"], row[what]) for row in of["rows"]] for size, of in sizes.items()}
        yield lines_over(what.replace("_", " "), series, "channels", unit)
    yield table(
        ["size", "sustained", "ended by", "$ per stream-hour", "cores per channel, last over first"],
        [
            [size, of["channels"], of["ended_by"], of["dollars_per_stream_hour_of_the_instance"],
             of["cores_per_channel_last_over_first"]]
            for size, of in sizes.items()
        ],
    )  # fmt: skip


def _service(figures: Mapping[str, Any]) -> Parts:
    sizes = {size: of for size, of in figures.items() if isinstance(of, Mapping) and "sustained" in of}
    series = {
        size: [(s["channels"], s["cores_busy"]) for s in of["sustained"]["steps"] if s["channels"]]
        for size, of in sizes.items()
    }
    yield lines_over("Cores busy by channels", series, "channels", "cores")
    yield table(
        ["size", "sustained channels", "load", "median s", "p99 s"],
        [
            [size, of["sustained"]["channels"], load, seen["seconds"]["p50"], seen["seconds"]["p99"]]
            for size, of in sizes.items()
            for load, seen in of["latency"].items()
        ],
    )


def _latency(figures: Mapping[str, Any]) -> Parts:
    yield table(
        ["channels", "defects", "missed", "median s", "p99 s", "longest s"],
        [
            [r["channels"], r["defects"], r["missed"], r["seconds"]["p50"], r["seconds"]["p99"], r["seconds"]["max"]]
            for r in figures["rows"]
        ],
    )


def _kernels(figures: Mapping[str, Any]) -> Parts:
    rows = [
        (name, {"": of["ms"]["p50"]})
        for name, of in figures["kernels"].items()
        if isinstance(of, Mapping) and "ms" in of
    ]
    if rows:
        yield bars("Kernels on one core, a 1080p picture or 100 ms of sound", rows, "ms")
    video = figures.get("detectors", {}).get("video", {})
    costs = [(name, {"": max(0.0, of["p50"])}) for name, of in video.items() if isinstance(of, Mapping)]
    if costs:
        yield bars("Detectors of pictures on one core, on top of what every stream pays", costs, "ms a picture", 2)


# The key is the benchmark's name; the second part is what its newest result must have.
SECTIONS: Final[Mapping[str, tuple[str, str, Callable[[Mapping[str, Any]], Parts]]]] = {
    "chain": ("The chain of functions and the one process", "cost_ratio", _chain),
    "cpu": ("Judging over decoding alone", "clips", _cpu),
    "ffmpeg": ("FFmpeg's filters", "clips", _ffmpeg),
    "service": ("The live service", "1080p", _service),
    "scale": ("What a channel costs as they become more", "1080p", _scale),
    "latency": ("From defect to webhook", "rows", _latency),
    "kernels-cpu": ("Kernels and detectors", "kernels", _kernels),
}


def page(folder: Path = RESULTS) -> str:
    """The whole page."""
    body: list[str] = []
    for name, (title, needs, section) in SECTIONS.items():
        body.append(f'<h2 id="{name}">{escape(title)}</h2>')
        try:
            record = newest(name, needs, folder=folder)
        except FileNotFoundError:
            body.append(f"<p>Not recorded yet: <code>avjury bench {name}</code>.</p>")
            continue
        file, around = record["file"], record["environment"]
        command = record.get("command", f"avjury bench {name}")
        body.append(
            f"<p><small>{escape(file)}: {escape(str(around['cpu']))}, {around['cores']} cores, load "
            f"{around['load']} at the end, commit {escape(str(around['commit'])[:12])}"
            f"{', with changes' if around['changed'] else ''}; <code>{escape(command)}</code></small></p>"
        )
        body += section(record["figures"])
    published = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    body.append('<h2 id="published">What others have published</h2><p>None of these was run here.</p>')
    rows = [[one["what"], one["figure"], one["source"]] for one in published["others"]]
    body.append(table(["what", "figure", "source"], rows))
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>avjury: what was measured</title>'
        f"<style>{STYLE}</style></head><body><h1>What was measured</h1>"
        "<p>Made by <code>avjury bench report</code> from benchmarks/results. Detectors: docs/detectors.md; streams "
        "per instance: docs/capacity.md.</p>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def main() -> int:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="avjury bench report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of results")
    parser.add_argument("--output", type=Path, default=PAGE, help="the page")
    options = parser.parse_args()
    options.output.write_text(page(options.results), encoding="utf-8")
    print(options.output)  # noqa: T201 - the command's result
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
